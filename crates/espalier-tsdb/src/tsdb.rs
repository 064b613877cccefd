//! The face of the engine: one handle over the embedded and the PostgreSQL engine. It validates and dispatches; it
//! stores nothing itself.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::embedded;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::postgres;
use crate::query::{Query, SeriesData};
use crate::scan::{Scan, ScanQuery};
use crate::types::{
    Appended, MAX_KEY_BYTES, MAX_TEXT_BYTES, Point, RetentionRule, Sample, Stats, Value,
};

/// A telemetry store. Cheap to clone; all clones are the same store. Dropping the last clone finishes what was accepted.
#[derive(Debug, Clone)]
pub struct Tsdb {
    engine: Engine,
}

#[derive(Debug, Clone)]
enum Engine {
    Embedded(Arc<embedded::Engine>),
    Postgres(Arc<postgres::Engine>),
}

macro_rules! on_engine {
    ($self:ident, $engine:ident => $call:expr) => {
        match &$self.engine {
            Engine::Embedded($engine) => $call,
            Engine::Postgres($engine) => $call,
        }
    };
}

impl Tsdb {
    /// Opens or creates the store in one SQLite file, replaying what was acknowledged but not sealed.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Incompatible`], [`Error::Corrupt`] or [`Error::Storage`], each naming the file.
    pub async fn open_embedded(path: &Path, options: Options) -> Result<Self> {
        Ok(Self {
            engine: Engine::Embedded(Arc::new(embedded::Engine::open(path, options).await?)),
        })
    }

    /// Opens or creates the store in the PostgreSQL behind `pool`, in a schema of its own ([`Options::postgres_schema`]).
    ///
    /// # Errors
    /// [`Error::Database`] when it cannot be reached or the tables cannot be made; [`Error::Incompatible`] when a newer
    /// program made them.
    pub async fn open_postgres(pool: deadpool_postgres::Pool, options: Options) -> Result<Self> {
        Ok(Self {
            engine: Engine::Postgres(Arc::new(postgres::Engine::open(pool, options).await?)),
        })
    }

    /// Stores points; resolves when they are durable and visible to reads. A batch is stored whole or not at all, also
    /// when this future is dropped. The last value given for a (series, ts) wins.
    ///
    /// # Errors
    /// [`Error::InvalidPoint`] and [`Error::Busy`] before anything is queued; [`Error::Storage`] or [`Error::Database`]
    /// when nothing of the batch could be stored.
    pub async fn append(&self, points: Vec<Point>) -> Result<Appended> {
        validate(&points)?;
        if points.is_empty() {
            return Ok(Appended::default());
        }
        on_engine!(self, engine => engine.append(points).await)
    }

    /// The newest sample of every series of a device, sorted by key.
    ///
    /// # Errors
    /// Storage errors; the embedded engine answers from memory once a device was asked for.
    pub async fn latest(&self, device: Uuid) -> Result<Vec<(Arc<str>, Sample)>> {
        on_engine!(self, engine => engine.latest(device).await)
    }

    /// The keys of a device that have points, sorted.
    ///
    /// # Errors
    /// As [`Self::latest`].
    pub async fn keys(&self, device: Uuid) -> Result<Vec<Arc<str>>> {
        Ok(self
            .latest(device)
            .await?
            .into_iter()
            .map(|(key, _)| key)
            .collect())
    }

    /// Answers a query, one entry per series asked for, in that order. Sees every point acknowledged before the call;
    /// of batches acknowledged while it runs it may see a part.
    ///
    /// # Errors
    /// [`Error::InvalidQuery`]; storage errors.
    pub async fn query(&self, query: Query) -> Result<Vec<SeriesData>> {
        query.validate()?;
        on_engine!(self, engine => engine.query(query).await)
    }

    /// Starts a read of any length that is pulled page by page, series after series, oldest first, holding one page in
    /// memory.
    #[must_use]
    pub fn scan(&self, query: ScanQuery) -> Scan {
        Scan::new(self.clone(), query)
    }

    /// The newest `n` numeric samples of a series, oldest first; from memory when they are there (`n` up to
    /// [`Options::recent_points`] after the first call on the embedded engine).
    ///
    /// # Errors
    /// Storage errors.
    pub async fn recent(&self, device: Uuid, key: &str, n: usize) -> Result<Vec<(i64, f64)>> {
        on_engine!(self, engine => engine.recent(device, key, n).await)
    }

    /// Removes everything of a device and returns how many points that were.
    ///
    /// # Errors
    /// Storage errors; then nothing was removed.
    pub async fn delete_device(&self, device: Uuid) -> Result<u64> {
        on_engine!(self, engine => engine.delete_device(device).await)
    }

    /// Removes the points of a device with `from <= ts < to`, of one key or of all, and returns how many.
    ///
    /// # Errors
    /// Storage errors; then nothing was removed.
    pub async fn delete_range(
        &self,
        device: Uuid,
        key: Option<Arc<str>>,
        from: i64,
        to: i64,
    ) -> Result<u64> {
        if from >= to {
            return Ok(0);
        }
        on_engine!(self, engine => engine.delete_range(device, key, from, to).await)
    }

    /// Removes what the rules no longer keep at `now_ms` and returns how many points that were. Works in small
    /// transactions, so appends are not held up and a failure leaves whole steps done.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn enforce_retention(&self, rules: &[RetentionRule], now_ms: i64) -> Result<u64> {
        on_engine!(self, engine => engine.enforce_retention(rules, now_ms).await)
    }

    /// Writes a consistent copy of the store to a new file while it is in use.
    ///
    /// # Errors
    /// [`Error::Storage`] when `dest` exists or cannot be written; [`Error::Unsupported`] on PostgreSQL.
    pub async fn backup(&self, dest: &Path) -> Result<()> {
        match &self.engine {
            Engine::Embedded(engine) => engine.backup(dest).await,
            Engine::Postgres(_) => Err(Error::Unsupported(
                "telemetry in PostgreSQL is backed up with PostgreSQL's own tools: use pg_dump",
            )),
        }
    }

    /// Writes a consistent copy of the embedded store at `path` to a new file, also while another process uses it.
    ///
    /// # Errors
    /// As [`Self::backup`]; [`Error::Incompatible`] when `path` is no telemetry store.
    pub async fn backup_file(path: &Path, dest: &Path) -> Result<()> {
        let (path, dest) = (path.to_owned(), dest.to_owned());
        blocking(move || embedded::backup::backup(&path, &dest)).await
    }

    /// Puts a copy made by [`Self::backup`] in the place of the embedded store at `path`, which must be closed. The copy
    /// is checked first.
    ///
    /// # Errors
    /// [`Error::Locked`] when the store is in use; [`Error::Incompatible`] or [`Error::Corrupt`] when the copy is no good.
    pub async fn restore_file(backup: &Path, path: &Path) -> Result<()> {
        let (backup, path) = (backup.to_owned(), path.to_owned());
        blocking(move || embedded::backup::restore(&backup, &path)).await
    }

    /// Seals everything that is only in the journal into chunks, now. Nothing to do on PostgreSQL.
    ///
    /// # Errors
    /// Storage errors; the points stay in the journal then.
    pub async fn seal_now(&self) -> Result<()> {
        match &self.engine {
            Engine::Embedded(engine) => engine.seal_now().await,
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// Finishes what was accepted, writes the log into the file and stops the threads. Later calls fail with
    /// [`Error::Closed`]. Unsealed points stay in the journal and are replayed by the next open.
    ///
    /// # Errors
    /// Storage errors of the final checkpoint; acknowledged points are safe regardless.
    pub async fn close(&self) -> Result<()> {
        on_engine!(self, engine => engine.close().await)
    }

    /// Counters and sizes.
    ///
    /// # Errors
    /// Storage errors while reading sizes.
    pub async fn stats(&self) -> Result<Stats> {
        on_engine!(self, engine => engine.stats().await)
    }
}

/// Runs work on files off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let failed = |error: tokio::task::JoinError| Error::Database {
        detail: error.to_string(),
        source: None,
    };
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

fn validate(points: &[Point]) -> Result<()> {
    for (index, point) in points.iter().enumerate() {
        let reason = match &point.value {
            _ if point.key.is_empty() => "its key is empty",
            _ if point.key.len() > MAX_KEY_BYTES => "its key is longer than 1024 bytes",
            _ if point.key.contains('\0') => "its key contains a NUL character",
            _ if point.ts == i64::MAX => {
                "its time is the end of all time, which no range can include"
            }
            Value::Number(number) if !number.is_finite() => "its value is not a finite number",
            Value::Text(text) | Value::Json(text) if text.len() > MAX_TEXT_BYTES => {
                "its value is longer than 64 KiB"
            }
            _ => continue,
        };
        return Err(Error::InvalidPoint { index, reason });
    }
    Ok(())
}
