//! Blobs as files: `ab/abcdef…`, written beside and renamed, so that a file is whole or not there.

use super::super::library::Digest;
use super::{PIECE, Pieces};
use crate::random;
use anyhow::Context;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where files are written before they get their name.
const HALF_WRITTEN: &str = "incoming";

/// A folder of blobs.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder when it is not there, and removes what a crash left half written.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let incoming = path.join(HALF_WRITTEN);
        fs::create_dir_all(&incoming)?;
        for file in fs::read_dir(&incoming)? {
            fs::remove_file(file?.path())?;
        }
        sync(path)?;
        let path = path.to_owned();
        Ok(Self { path })
    }

    fn file(&self, digest: &Digest) -> PathBuf {
        let name = hex::encode(digest);
        self.path.join(&name[..2]).join(name)
    }

    /// Writes a blob; it is on disk then.
    pub async fn put(&self, digest: Digest, bytes: Bytes) -> anyhow::Result<()> {
        let (root, file) = (self.path.clone(), self.file(&digest));
        blocking(move || write(&root, &file, &bytes)).await
    }

    /// Reads a whole blob.
    pub async fn get(&self, digest: &Digest) -> anyhow::Result<Option<Bytes>> {
        let file = self.file(digest);
        blocking(move || Ok(there(fs::read(&file))?.map(Bytes::from))).await
    }

    /// Its length.
    pub async fn size(&self, digest: &Digest) -> anyhow::Result<Option<u64>> {
        let file = self.file(digest);
        blocking(move || Ok(there(fs::metadata(&file))?.map(|meta| meta.len()))).await
    }

    /// Reads a part of a blob piece by piece.
    pub async fn pieces(&self, digest: &Digest, range: Range<u64>) -> anyhow::Result<Pieces> {
        let path = self.file(digest);
        let open = move || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(range.start))?;
            Ok((file, range.end - range.start))
        };
        let read = |(mut file, left): (File, u64)| async move {
            if left == 0 {
                return Ok(None);
            }
            let size = left.min(PIECE);
            blocking(move || {
                let mut piece = vec![0; usize::try_from(size)?];
                file.read_exact(&mut piece)?;
                Ok(Some((Bytes::from(piece), (file, left - size))))
            })
            .await
        };
        Ok(stream::try_unfold(blocking(open).await?, read).boxed())
    }

    /// Removes a blob.
    pub async fn delete(&self, digest: &Digest) -> anyhow::Result<()> {
        let file = self.file(digest);
        blocking(move || Ok(there(fs::remove_file(&file)).map(|_| ())?)).await
    }

    /// The names of all blobs; files that are none are passed over.
    pub async fn list(&self) -> anyhow::Result<Vec<Digest>> {
        let root = self.path.clone();
        blocking(move || {
            let mut found = Vec::new();
            for folder in fs::read_dir(&root)? {
                let folder = folder?;
                if folder.file_name().len() != 2 || !folder.file_type()?.is_dir() {
                    continue;
                }
                for file in fs::read_dir(folder.path())? {
                    let mut digest = Digest::default();
                    let name = file?.file_name();
                    if hex::decode_to_slice(name.as_encoded_bytes(), &mut digest).is_ok() {
                        found.push(digest);
                    }
                }
            }
            Ok(found)
        })
        .await
    }
}

fn write(root: &Path, file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = file.parent().context("a blob without a folder")?;
    if !folder.exists() {
        fs::create_dir_all(folder)?;
        sync(root)?;
    }
    match there(fs::read(file))? {
        Some(same) if same == bytes => {
            // Whoever wrote it may not have come as far as making it durable.
            File::open(file)?.sync_all()?;
            return sync(folder);
        }
        Some(_) => tracing::warn!(blob = %file.display(), "a damaged blob is written anew"),
        None => {}
    }
    let beside = root
        .join(HALF_WRITTEN)
        .join(hex::encode(random::bytes::<16>()));
    let written = (|| {
        let mut new = File::create_new(&beside)?;
        new.write_all(bytes)?;
        new.sync_all()?;
        fs::rename(&beside, file)
    })();
    if let Err(error) = written {
        let _ = fs::remove_file(&beside);
        return Err(error.into());
    }
    sync(folder)
}

fn sync(folder: &Path) -> anyhow::Result<()> {
    Ok(File::open(folder)?.sync_all()?)
}

fn there<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}
