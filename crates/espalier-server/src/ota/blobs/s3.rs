//! Blobs as objects of an S3 bucket: `prefix/ab/abcdef…`.

use super::super::library::Digest;
use super::Pieces;
use crate::config::Config;
use anyhow::Context;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore, ObjectStoreExt};
use std::ops::Range;

/// A bucket, or a part of one.
pub struct Bucket {
    store: AmazonS3,
    prefix: String,
}

impl Bucket {
    /// Prepares to talk to the bucket that the settings name; nothing is asked yet.
    ///
    /// # Errors
    /// Says which setting is wrong.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let place = config.blobs.trim_start_matches("s3://");
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        anyhow::ensure!(
            !bucket.is_empty(),
            "the setting blobs is {}; wanted s3://bucket or s3://bucket/prefix",
            config.blobs
        );
        // A second server in the same process finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&config.s3_region);
        if let Some(endpoint) = &config.s3_endpoint {
            builder = builder
                .with_endpoint(endpoint)
                .with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(id) = &config.s3_access_key_id {
            builder = builder.with_access_key_id(id);
        }
        if let Some(secret) = &config.s3_secret_access_key {
            builder = builder.with_secret_access_key(secret);
        }
        if let Some(token) = &config.s3_session_token {
            builder = builder.with_token(token);
        }
        let built = builder.build();
        let store = built.with_context(|| format!("cannot use {} for blobs", config.blobs))?;
        let prefix = prefix.trim_matches('/').to_owned();
        Ok(Self { store, prefix })
    }

    fn object(&self, digest: &Digest) -> Path {
        let name = hex::encode(digest);
        Path::from(format!("{}/{}/{name}", self.prefix, &name[..2]))
    }

    /// Writes a blob; the bucket has it then.
    pub async fn put(&self, digest: &Digest, bytes: Bytes) -> anyhow::Result<()> {
        self.store.put(&self.object(digest), bytes.into()).await?;
        Ok(())
    }

    /// Reads a whole blob.
    pub async fn get(&self, digest: &Digest) -> anyhow::Result<Option<Bytes>> {
        match there(self.store.get(&self.object(digest)).await)? {
            Some(found) => Ok(Some(found.bytes().await?)),
            None => Ok(None),
        }
    }

    /// Its length.
    pub async fn size(&self, digest: &Digest) -> anyhow::Result<Option<u64>> {
        let head = self.store.head(&self.object(digest)).await;
        Ok(there(head)?.map(|meta| meta.size))
    }

    /// Reads a part of a blob piece by piece.
    pub async fn pieces(&self, digest: &Digest, range: Range<u64>) -> anyhow::Result<Pieces> {
        if range.is_empty() {
            return Ok(futures_util::stream::empty().boxed());
        }
        let options = GetOptions::new().with_range(Some(range));
        let found = self.store.get_opts(&self.object(digest), options).await?;
        Ok(found.into_stream().map_err(anyhow::Error::from).boxed())
    }

    /// Removes a blob.
    pub async fn delete(&self, digest: &Digest) -> anyhow::Result<()> {
        there(self.store.delete(&self.object(digest)).await)?;
        Ok(())
    }

    /// The names of all blobs; objects that are none are passed over.
    pub async fn list(&self) -> anyhow::Result<Vec<Digest>> {
        let prefix = Path::from(self.prefix.as_str());
        let mut objects = self.store.list(Some(&prefix));
        let mut found = Vec::new();
        while let Some(object) = objects.try_next().await? {
            let mut digest = Digest::default();
            let name = object.location.filename().unwrap_or_default();
            let named = hex::decode_to_slice(name, &mut digest).is_ok();
            if named && self.object(&digest) == object.location {
                found.push(digest);
            }
        }
        Ok(found)
    }
}

fn there<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
