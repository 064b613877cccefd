//! Copies of a store: taking one while the store is in use, and putting one in its place.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::open::lock;
use super::schema::{open_reader, storage_error, verify};
use crate::error::{Error, Result};

fn broken(path: &Path) -> impl Fn(std::io::Error) -> Error + Copy {
    move |error| Error::Storage {
        path: path.into(),
        detail: error.to_string(),
        source: Some(Box::new(error)),
    }
}

/// `path` with `suffix` behind its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes a new or renamed file survive power loss.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Writes a consistent, compact copy of a store to the new file `dest`, also while it is in use, here or by another
/// process. The copy is complete on disk when this returns.
///
/// # Errors
/// [`Error::Storage`] when `dest` exists already or cannot be written.
pub(crate) fn backup(path: &Path, dest: &Path) -> Result<()> {
    let fail = broken(dest);
    if dest.exists() {
        let exists = "the file exists already; name a new one";
        return Err(fail(std::io::Error::new(
            std::io::ErrorKind::AlreadyExists,
            exists,
        )));
    }
    let name = dest
        .to_str()
        .ok_or_else(|| fail(std::io::Error::other("its name is not UTF-8")))?;
    let conn: Connection = open_reader(path)?;
    verify(&conn, path)?;
    if let Err(error) = conn.execute("vacuum into ?1", [name]) {
        let _ = std::fs::remove_file(dest);
        return Err(storage_error(dest, error));
    }
    File::open(dest)
        .and_then(|file| file.sync_all())
        .map_err(fail)?;
    sync_folder(dest).map_err(fail)
}

/// Puts a copy made by [`backup`] in the place of the store at `path`, which no process may have open. The copy is
/// checked first; the old store stays until the new one is complete.
///
/// # Errors
/// [`Error::Locked`] when the store is in use; [`Error::Incompatible`] or [`Error::Corrupt`] when the copy is no good.
pub(crate) fn restore(backup: &Path, path: &Path) -> Result<()> {
    let _lock = lock(path)?;
    {
        let conn = open_reader(backup)?;
        verify(&conn, backup)?;
        let check: String = conn
            .query_row("pragma quick_check(1)", [], |row| row.get(0))
            .map_err(|error| storage_error(backup, error))?;
        if check != "ok" {
            return Err(Error::Corrupt {
                path: backup.into(),
                detail: check,
            });
        }
    }
    let fail = broken(path);
    let fresh = beside(path, ".restore");
    std::fs::copy(backup, &fresh)
        .and_then(|_| File::open(&fresh)?.sync_all())
        .map_err(fail)?;
    // The log belongs to the old file: beside the new one it would be replayed into it. Folding it into the old file
    // first keeps that one whole should the machine stop right here.
    if path.exists()
        && let Ok(conn) = Connection::open(path)
    {
        let _ = conn.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()));
    }
    for suffix in ["-wal", "-shm"] {
        match std::fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
    }
    std::fs::rename(&fresh, path)
        .and_then(|()| sync_folder(path))
        .map_err(fail)
}
