//! The PostgreSQL engine: the same face over tables of its own, for fleets with more than one server.
//!
//! Several servers may write at the same time; what one acknowledged all see, because nothing but ids of series is kept
//! in memory. Appends are grouped like on the embedded engine: everything that waits becomes one transaction
//! (`writer.rs`). Points are rows, partitioned by month (`schema.rs`); there is nothing to seal.

mod read;
mod schema;
mod writer;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use deadpool_postgres::{Object, Pool};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::schema::Sql;
use self::writer::Job;
use crate::error::{Error, Result};
use crate::options::{Options, room};
use crate::query::{Query, SeriesData};
use crate::types::{Appended, Point, RetentionRule, Sample, Stats};

/// Series per transaction of a retention run.
const RETENTION_STEP: usize = 256;

/// An open store in PostgreSQL.
#[derive(Debug)]
pub(crate) struct Engine {
    shared: Arc<Shared>,
    queue: Mutex<Option<mpsc::UnboundedSender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Shared by the writer task and the callers.
#[derive(Debug)]
struct Shared {
    pool: Pool,
    sql: Sql,
    options: Options,
    /// Ids of series met before. Rows of the series table are never removed, so what is here stays true.
    ids: RwLock<HashMap<Uuid, HashMap<Arc<str>, i64>>>,
    queued: AtomicUsize,
    accepted: AtomicU64,
    new: AtomicU64,
    commits: AtomicU64,
    refused: AtomicU64,
}

/// Turns a driver's error into ours; `doing` completes "could not …".
fn database_error(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> Error + Copy {
    move |error| {
        let reason = error
            .as_db_error()
            .map_or_else(|| error.to_string(), |db| db.message().to_owned());
        Error::Database {
            detail: format!("could not {doing}: {reason}"),
            source: Some(Box::new(error)),
        }
    }
}

impl Shared {
    async fn client(&self) -> Result<Object> {
        let fail = |error: deadpool_postgres::PoolError| Error::Database {
            detail: "no connection could be had; is PostgreSQL running and DATABASE_URL right?"
                .into(),
            source: Some(Box::new(error)),
        };
        self.pool.get().await.map_err(fail)
    }

    fn known(&self, device: Uuid, key: &str) -> Option<i64> {
        self.ids.read().get(&device)?.get(key).copied()
    }

    fn remember(&self, device: Uuid, key: Arc<str>, id: i64) {
        self.ids.write().entry(device).or_default().insert(key, id);
    }
}

impl Engine {
    pub(crate) async fn open(pool: Pool, options: Options) -> Result<Self> {
        let sql = Sql::new(&options.postgres_schema)?;
        let shared = Arc::new(Shared {
            pool,
            sql,
            options,
            ids: RwLock::default(),
            queued: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            new: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        schema::create(&mut shared.client().await?, &shared.sql).await?;
        let (queue, jobs) = mpsc::unbounded_channel();
        let writer = tokio::spawn(writer::run(Arc::clone(&shared), jobs));
        Ok(Self {
            shared,
            queue: Mutex::new(Some(queue)),
            writer: Mutex::new(Some(writer)),
        })
    }

    pub(crate) async fn append(&self, points: Vec<Point>) -> Result<Appended> {
        let (reply, answer) = oneshot::channel();
        {
            let queue = self.queue.lock();
            let queue = queue.as_ref().ok_or(Error::Closed)?;
            let waiting = self.shared.queued.load(Relaxed);
            let most = self.shared.options.max_queued_points;
            let room = room(points.len(), most);
            if waiting > 0 && waiting + room > most {
                self.shared.refused.fetch_add(1, Relaxed);
                return Err(Error::Busy);
            }
            self.shared.queued.fetch_add(room, Relaxed);
            queue
                .send(Job { points, reply })
                .map_err(|_| Error::Closed)?;
        }
        answer.await.unwrap_or(Err(Error::Closed))
    }

    fn ensure_open(&self) -> Result<()> {
        if self.queue.lock().is_some() {
            Ok(())
        } else {
            Err(Error::Closed)
        }
    }

    pub(crate) async fn latest(&self, device: Uuid) -> Result<Vec<(Arc<str>, Sample)>> {
        self.ensure_open()?;
        read::latest(&self.shared, device).await
    }

    pub(crate) async fn query(&self, query: Query) -> Result<Vec<SeriesData>> {
        self.ensure_open()?;
        read::query(&self.shared, query).await
    }

    pub(crate) async fn recent(
        &self,
        device: Uuid,
        key: &str,
        n: usize,
    ) -> Result<Vec<(i64, f64)>> {
        self.ensure_open()?;
        read::recent(&self.shared, device, key, n).await
    }

    pub(crate) async fn delete_device(&self, device: Uuid) -> Result<u64> {
        self.delete(device, None, None).await
    }

    pub(crate) async fn delete_range(
        &self,
        device: Uuid,
        key: Option<Arc<str>>,
        from: i64,
        to: i64,
    ) -> Result<u64> {
        self.delete(device, key, Some((from, to))).await
    }

    /// Removes points and sets the newest sample of every series concerned to what is left.
    async fn delete(
        &self,
        device: Uuid,
        key: Option<Arc<str>>,
        range: Option<(i64, i64)>,
    ) -> Result<u64> {
        self.ensure_open()?;
        let fail = database_error("delete telemetry");
        let (from, to) = range.unwrap_or((i64::MIN, i64::MAX));
        let sql = &self.shared.sql;
        let mut client = self.shared.client().await?;
        let transaction = client.transaction().await.map_err(fail)?;
        let rows = transaction
            .query(&sql.find_series, &[&device, &key.as_deref()])
            .await
            .map_err(fail)?;
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        let removed = transaction
            .execute(&sql.delete_points, &[&ids, &from, &to])
            .await
            .map_err(fail)?;
        transaction
            .execute(&sql.delete_latest, &[&ids, &from, &to])
            .await
            .map_err(fail)?;
        transaction
            .execute(&sql.refill_latest, &[&ids])
            .await
            .map_err(fail)?;
        transaction.commit().await.map_err(fail)?;
        Ok(removed)
    }

    pub(crate) async fn enforce_retention(
        &self,
        rules: &[RetentionRule],
        now_ms: i64,
    ) -> Result<u64> {
        self.ensure_open()?;
        let fail = database_error("enforce the retention of telemetry");
        let sql = &self.shared.sql;
        let mut client = self.shared.client().await?;
        let rows = client.query(&sql.all_series, &[]).await.map_err(fail)?;
        let due: Vec<(i64, i64)> = rows
            .iter()
            .filter_map(|row| {
                Some((
                    row.get(0),
                    RetentionRule::cutoff(rules, row.get(1), row.get(2), now_ms)?,
                ))
            })
            .collect();
        let mut removed = 0;
        for step in due.chunks(RETENTION_STEP) {
            let (ids, cutoffs): (Vec<i64>, Vec<i64>) = step.iter().copied().unzip();
            let transaction = client.transaction().await.map_err(fail)?;
            removed += transaction
                .execute(&sql.expire_points, &[&ids, &cutoffs])
                .await
                .map_err(fail)?;
            transaction
                .execute(&sql.expire_latest, &[&ids, &cutoffs])
                .await
                .map_err(fail)?;
            transaction.commit().await.map_err(fail)?;
        }
        Ok(removed)
    }

    pub(crate) async fn close(&self) -> Result<()> {
        drop(self.queue.lock().take());
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            let _ = writer.await;
        }
        Ok(())
    }

    pub(crate) async fn stats(&self) -> Result<Stats> {
        self.ensure_open()?;
        let fail = database_error("read the size of telemetry");
        let row = self
            .shared
            .client()
            .await?
            .query_one(&self.shared.sql.sizes, &[])
            .await
            .map_err(fail)?;
        let size = |column: usize| row.get::<_, i64>(column).max(0).unsigned_abs();
        let (accepted, new) = (
            self.shared.accepted.load(Relaxed),
            self.shared.new.load(Relaxed),
        );
        Ok(Stats {
            accepted,
            new,
            replaced: accepted.saturating_sub(new),
            commits: self.shared.commits.load(Relaxed),
            refused: self.shared.refused.load(Relaxed),
            queue_depth: self.shared.queued.load(Relaxed) as u64,
            series: size(0),
            sealed_points: size(1),
            stored_bytes: size(2),
            ..Stats::default()
        })
    }
}
