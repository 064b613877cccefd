//! Large files by what they contain: a blob's name is its SHA-256. It lives in a folder or an S3 bucket, and the ones in
//! use in memory.
//!
//! A table that refers to blobs is named in [`store`]: backups take its blobs along, and blobs that no table refers to
//! are removed (`collect.rs`). Invariant: what is handed out was compared with its name first, unless it is too large for
//! the memory. It does not know what a blob is for.

mod cache;
mod collect;
mod folder;
#[cfg(feature = "s3")]
mod s3;
mod store;

pub use collect::{collect, release};
pub(crate) use store::to_back_up;

use super::library::Digest;
use crate::config::Config;
use crate::error::ApiResult;
use crate::{ApiError, AppState};
use anyhow::Context;
use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use sha2::Digest as _;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{MutexGuard, OnceCell};

/// Bytes of blobs that stay in memory.
const MEMORY: usize = 64 << 20;
/// The largest blob that is taken into memory; larger ones pass through it in pieces.
const LARGEST_IN_MEMORY: u64 = 16 << 20;
/// Bytes of a piece of what is too large for the memory.
const PIECE: u64 = 256 << 10;
/// How many blobs can be held at once; two that share a lock only wait for each other.
const LOCKS: usize = 64;

/// The blobs of a running server.
pub struct State {
    place: Place,
    cache: cache::Cache,
    /// Blobs that are being read right now: many boards ask for the same one at the same time.
    loading: Mutex<HashMap<Digest, Arc<OnceCell<Bytes>>>>,
    holds: [tokio::sync::Mutex<()>; LOCKS],
    /// Blobs that nothing referred to when they were last looked at, and since when.
    unused: Mutex<HashMap<Digest, i64>>,
}

/// Where the bytes are.
enum Place {
    Folder(folder::Folder),
    #[cfg(feature = "s3")]
    Bucket(s3::Bucket),
}

type Pieces = BoxStream<'static, anyhow::Result<Bytes>>;

impl Place {
    fn open(config: &Config) -> anyhow::Result<Self> {
        if config.blobs.starts_with("s3://") {
            return Self::open_bucket(config);
        }
        let folder = match config.blobs.as_str() {
            "" => config.data.join("blobs"),
            folder => folder.into(),
        };
        let opened = folder::Folder::open(&folder);
        let at = || format!("cannot use {} for firmware images", folder.display());
        Ok(Self::Folder(opened.with_context(at)?))
    }

    #[cfg(feature = "s3")]
    fn open_bucket(config: &Config) -> anyhow::Result<Self> {
        Ok(Self::Bucket(s3::Bucket::open(config)?))
    }

    #[cfg(not(feature = "s3"))]
    fn open_bucket(config: &Config) -> anyhow::Result<Self> {
        anyhow::bail!(
            "the setting blobs is {}, but this program was built without the feature s3; build it with \
             `--features s3`, or name a folder",
            config.blobs
        )
    }

    async fn put(&self, digest: &Digest, bytes: &Bytes) -> anyhow::Result<()> {
        match self {
            Self::Folder(folder) => folder.put(*digest, bytes.clone()).await,
            #[cfg(feature = "s3")]
            Self::Bucket(bucket) => bucket.put(digest, bytes.clone()).await,
        }
    }

    async fn get(&self, digest: &Digest) -> anyhow::Result<Option<Bytes>> {
        match self {
            Self::Folder(folder) => folder.get(digest).await,
            #[cfg(feature = "s3")]
            Self::Bucket(bucket) => bucket.get(digest).await,
        }
    }

    async fn size(&self, digest: &Digest) -> anyhow::Result<Option<u64>> {
        match self {
            Self::Folder(folder) => folder.size(digest).await,
            #[cfg(feature = "s3")]
            Self::Bucket(bucket) => bucket.size(digest).await,
        }
    }

    async fn pieces(&self, digest: &Digest, range: Range<u64>) -> anyhow::Result<Pieces> {
        match self {
            Self::Folder(folder) => folder.pieces(digest, range).await,
            #[cfg(feature = "s3")]
            Self::Bucket(bucket) => bucket.pieces(digest, range).await,
        }
    }

    async fn delete(&self, digest: &Digest) -> anyhow::Result<()> {
        match self {
            Self::Folder(folder) => folder.delete(digest).await,
            #[cfg(feature = "s3")]
            Self::Bucket(bucket) => bucket.delete(digest).await,
        }
    }

    async fn list(&self) -> anyhow::Result<Vec<Digest>> {
        match self {
            Self::Folder(folder) => folder.list().await,
            #[cfg(feature = "s3")]
            Self::Bucket(bucket) => bucket.list().await,
        }
    }
}

impl State {
    /// Opens the folder or bucket that the settings name.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            place: Place::open(config)?,
            cache: cache::Cache::new(MEMORY),
            loading: Mutex::default(),
            holds: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            unused: Mutex::default(),
        })
    }

    /// Keeps the others that hold the same blob waiting: held from [`State::put`] until the row that refers to the blob is
    /// written, so that nobody removes the blob in between.
    pub async fn hold(&self, digest: &Digest) -> MutexGuard<'_, ()> {
        self.holds[usize::from(digest[0]) % LOCKS].lock().await
    }

    /// Holds several blobs at once, as [`State::hold`] does one; those who hold several never wait for each other in a circle.
    pub async fn hold_all(&self, digests: &[Digest]) -> Vec<MutexGuard<'_, ()>> {
        let places = digests
            .iter()
            .map(|digest| usize::from(digest[0]) % LOCKS)
            .collect::<BTreeSet<_>>();
        let mut held = Vec::with_capacity(places.len());
        for place in places {
            held.push(self.holds[place].lock().await);
        }
        held
    }

    /// Keeps a blob and returns its name; it is durable then. The same blob twice is one blob, and one that was damaged is
    /// whole again.
    ///
    /// # Errors
    /// 507 when the disk is full, 500 when it cannot be written.
    pub async fn put(&self, bytes: Bytes) -> ApiResult<Digest> {
        let digest = digest_of(bytes.clone()).await?;
        self.unused.lock().remove(&digest);
        self.place
            .put(&digest, &bytes)
            .await
            .map_err(|error| not_kept(error, &digest))?;
        self.cache.put(digest, bytes);
        Ok(digest)
    }

    /// A whole blob, from memory when it is in use.
    ///
    /// # Errors
    /// 404 when it is not there, 500 when it is damaged or cannot be read; the log says which one.
    pub async fn get(&self, digest: &Digest) -> ApiResult<Bytes> {
        if let Some(bytes) = self.cache.get(digest) {
            return Ok(bytes);
        }
        let cell = self.loading.lock().entry(*digest).or_default().clone();
        let loaded = cell.get_or_try_init(|| self.load(digest)).await.cloned();
        self.loading.lock().remove(digest);
        loaded
    }

    async fn load(&self, digest: &Digest) -> ApiResult<Bytes> {
        let read = self.place.get(digest).await;
        let bytes = read
            .map_err(|error| unreadable(error, digest))?
            .ok_or_else(|| missing(digest))?;
        if digest_of(bytes.clone()).await? != *digest {
            return Err(damaged(digest));
        }
        self.cache.put(*digest, bytes.clone());
        Ok(bytes)
    }

    /// A part of a blob as the body of an answer; its length is known.
    ///
    /// # Errors
    /// As [`State::get`]; 500 also when the blob is shorter than asked for. What breaks off later ends the body.
    pub async fn stream(&self, digest: &Digest, range: Range<u64>) -> ApiResult<Body> {
        let bytes = match self.cache.get(digest) {
            Some(bytes) => bytes,
            None => match self.place.size(digest).await {
                Ok(Some(size)) if size > LARGEST_IN_MEMORY => {
                    return self.stream_large(digest, range, size).await;
                }
                Ok(Some(_)) => self.get(digest).await?,
                Ok(None) => return Err(missing(digest)),
                Err(error) => return Err(unreadable(error, digest)),
            },
        };
        let (from, to) = (usize::try_from(range.start), usize::try_from(range.end));
        match (from, to) {
            (Ok(from), Ok(to)) if from <= to && to <= bytes.len() => {
                Ok(Body::from(bytes.slice(from..to)))
            }
            _ => Err(damaged(digest)),
        }
    }

    async fn stream_large(&self, digest: &Digest, range: Range<u64>, size: u64) -> ApiResult<Body> {
        if range.start > range.end || range.end > size {
            return Err(damaged(digest));
        }
        let pieces = self.place.pieces(digest, range).await;
        let pieces = pieces.map_err(|error| unreadable(error, digest))?;
        let name = hex::encode(digest);
        Ok(Body::from_stream(pieces.inspect(move |piece| {
            if let Err(error) = piece {
                tracing::error!(
                    blob = name,
                    error = format!("{error:#}"),
                    "a blob broke off while it was sent"
                );
            }
        })))
    }

    /// Tells whether a blob is there; it may be damaged.
    ///
    /// # Errors
    /// 500 when that cannot be found out.
    pub async fn exists(&self, digest: &Digest) -> ApiResult<bool> {
        let size = self.place.size(digest).await;
        Ok(size.map_err(|error| unreadable(error, digest))?.is_some())
    }

    /// Removes a blob, whoever refers to it; [`release`] asks first. One that is not there is removed.
    ///
    /// # Errors
    /// 500 when it cannot be removed.
    pub async fn delete(&self, digest: &Digest) -> ApiResult<()> {
        self.cache.remove(digest);
        let deleted = self.place.delete(digest).await;
        deleted.map_err(|error| unreadable(error, digest))
    }
}

/// Starts the background work: blobs that nothing refers to are removed.
pub(super) fn start(app: &AppState) {
    collect::start(app);
}

async fn digest_of(bytes: Bytes) -> ApiResult<Digest> {
    let hash = move || sha2::Sha256::digest(&bytes).into();
    let hashed = tokio::task::spawn_blocking(hash).await;
    hashed.map_err(ApiError::internal)
}

fn not_kept(error: anyhow::Error, digest: &Digest) -> ApiError {
    let kind = error.downcast_ref().map(std::io::Error::kind);
    if matches!(
        kind,
        Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
    ) {
        tracing::error!(
            blob = hex::encode(digest),
            error = format!("{error:#}"),
            "a blob was not kept"
        );
        let sentence = "The server's disk is full, so the file was not kept; tell the operator.";
        return ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", sentence);
    }
    ApiError::internal(error.context(format!("the blob {} was not kept", hex::encode(digest))))
}

fn unreadable(error: anyhow::Error, digest: &Digest) -> ApiError {
    ApiError::internal(error.context(format!("the blob {} cannot be used", hex::encode(digest))))
}

fn missing(digest: &Digest) -> ApiError {
    tracing::error!(
        blob = hex::encode(digest),
        "a blob is missing; upload the file again, or restore a backup"
    );
    let sentence =
        "The file is missing from the server's store; upload it again, or tell the operator.";
    ApiError::new(StatusCode::NOT_FOUND, "blob_missing", sentence)
}

fn damaged(digest: &Digest) -> ApiError {
    tracing::error!(
        blob = hex::encode(digest),
        "a blob is damaged; upload the file again, or restore a backup"
    );
    let sentence = "The file is damaged in the server's store and was not sent; upload it again, or tell the operator.";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "blob_damaged", sentence)
}
