//! The embedded engine: one SQLite file with a journal, sealed chunks and a head in memory.
//!
//! *Write*: callers queue batches (`shared.rs`); the writer thread makes one transaction of all that wait, with one journal
//! record and one fsync, then puts the points into the head and answers (`writer.rs`, `journal.rs`, `series.rs`). *Seal*:
//! when the journal is full the sealer thread turns heads into chunks (`sealer.rs`, `chunks.rs`). *Read*: chunks from the
//! file with the head laid over them (`reader.rs`). *Open*: the journal is replayed into the head (`open.rs`). The tables
//! are in `schema.rs`.
//!
//! Series ids, the newest sample per series and everything unsealed are in memory; sealed samples are only on disk.

pub(crate) mod backup;
mod chunks;
mod deleting;
pub(crate) mod journal;
mod open;
mod reader;
mod schema;
mod sealer;
mod sealing;
mod series;
mod shared;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

use self::reader::{ReadPool, Snapshot};
use self::series::{Latest, Series, Tail};
use self::shared::{Deletion, Job, Shared};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::query::{Mode, Order, Query, Rows, SeriesData};
use crate::types::{Appended, Point, RetentionRule, Sample, Stats};

/// Series per transaction of a retention run, so that appends get their turn in between.
const RETENTION_STEP: usize = 128;

/// An open embedded store.
#[derive(Debug)]
pub(crate) struct Engine {
    shared: Arc<Shared>,
    pool: Arc<ReadPool>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    pub(crate) async fn open(path: &Path, options: Options) -> Result<Self> {
        let path = path.to_owned();
        let pool = Arc::new(ReadPool::new(options.readers));
        let open = tokio::task::spawn_blocking(move || open::open(path, options)).await;
        let (shared, writer) = open.map_err(|error| Error::Database {
            detail: error.to_string(),
            source: None,
        })??;
        Ok(Self {
            shared,
            pool,
            writer: Mutex::new(Some(writer)),
        })
    }

    pub(crate) async fn append(&self, points: Vec<Point>) -> Result<Appended> {
        let (reply, answer) = oneshot::channel();
        if let Err(error) = self.shared.queue.push_append(points, reply) {
            if matches!(error, Error::Busy) {
                self.shared.counters.refused.fetch_add(1, Relaxed);
            }
            return Err(error);
        }
        answer.await.unwrap_or(Err(Error::Closed))
    }

    async fn job<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T>>) -> Job) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push(job(reply))?;
        answer.await.unwrap_or(Err(Error::Closed))
    }

    pub(crate) async fn latest(&self, device: Uuid) -> Result<Vec<(Arc<str>, Sample)>> {
        let mut latest = Vec::new();
        let mut sealed = Vec::new();
        for series in self.shared.registry.of_device(device) {
            let known = series.state.lock().latest();
            match known {
                Latest::Known(sample) => latest.push((Arc::clone(&series.key), sample)),
                Latest::Sealed => sealed.push((Snapshot::of(&series, i64::MIN, i64::MAX), series)),
                Latest::None => {}
            }
        }
        if !sealed.is_empty() {
            let load = move |store: chunks::Store<'_>| {
                let mut loaded = Vec::new();
                for (snapshot, series) in sealed {
                    if let Some(sample) = load_latest(store, &snapshot, &series)? {
                        loaded.push((Arc::clone(&series.key), sample));
                    }
                }
                Ok(loaded)
            };
            latest.extend(self.pool.run(&self.shared, load).await?);
        }
        latest.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(latest)
    }

    pub(crate) async fn query(&self, query: Query) -> Result<Vec<SeriesData>> {
        let shared = Arc::clone(&self.shared);
        let read = move |store: chunks::Store<'_>| {
            let Query {
                series,
                from,
                to,
                mode,
            } = query;
            let snapshot = |(device, key): (Uuid, Arc<str>)| {
                let series = shared.registry.get(device, &key);
                let snapshot = series.map(|series| Snapshot::of(&series, from, to));
                (device, key, snapshot)
            };
            // All of them before the file is looked at for the first of them.
            let snapshots: Vec<_> = series.into_iter().map(snapshot).collect();
            let one = |(device, key, snapshot): (Uuid, Arc<str>, Option<Snapshot>)| {
                let rows = match snapshot {
                    Some(snapshot) => reader::query(store, &snapshot, from, to, &mode)?,
                    None if matches!(mode, Mode::Raw { .. }) => Rows::Raw {
                        samples: Vec::new(),
                        more: false,
                    },
                    None => Rows::Buckets(Vec::new()),
                };
                Ok(SeriesData { device, key, rows })
            };
            snapshots.into_iter().map(one).collect()
        };
        self.pool.run(&self.shared, read).await
    }

    pub(crate) async fn recent(
        &self,
        device: Uuid,
        key: &str,
        n: usize,
    ) -> Result<Vec<(i64, f64)>> {
        let Some(series) = self.shared.registry.get(device, key) else {
            return Ok(Vec::new());
        };
        if let Some(recent) = recent_in_memory(&series, n) {
            return Ok(recent);
        }
        let keep = n.max(self.shared.options.recent_points);
        let load = move |store: chunks::Store<'_>| load_recent(store, &series, n, keep);
        self.pool.run(&self.shared, load).await
    }

    pub(crate) async fn delete_device(&self, device: Uuid) -> Result<u64> {
        self.job(|reply| Job::Delete {
            what: Deletion::Device(device),
            reply,
        })
        .await
    }

    pub(crate) async fn delete_range(
        &self,
        device: Uuid,
        key: Option<Arc<str>>,
        from: i64,
        to: i64,
    ) -> Result<u64> {
        let series = match key {
            Some(key) => self.shared.registry.get(device, &key).into_iter().collect(),
            None => self.shared.registry.of_device(device),
        };
        let ranges = series
            .into_iter()
            .map(|series| (series, from, to))
            .collect();
        self.job(|reply| Job::Delete {
            what: Deletion::Ranges(ranges),
            reply,
        })
        .await
    }

    pub(crate) async fn enforce_retention(
        &self,
        rules: &[RetentionRule],
        now_ms: i64,
    ) -> Result<u64> {
        let due = |series: Arc<Series>| {
            let cutoff = RetentionRule::cutoff(rules, series.device, &series.key, now_ms)?;
            Some((series, i64::MIN, cutoff)).filter(|(_, from, to)| from < to)
        };
        let due: Vec<_> = self
            .shared
            .registry
            .all()
            .into_iter()
            .filter_map(due)
            .collect();
        let mut removed = 0;
        for step in due.chunks(RETENTION_STEP) {
            let ranges = step.to_vec();
            removed += self
                .job(|reply| Job::Delete {
                    what: Deletion::Ranges(ranges),
                    reply,
                })
                .await?;
        }
        Ok(removed)
    }

    pub(crate) async fn backup(&self, dest: &Path) -> Result<()> {
        let path = self.shared.path.clone();
        let dest = dest.to_owned();
        let copy = tokio::task::spawn_blocking(move || backup::backup(&path, &dest)).await;
        copy.map_err(|error| Error::Database {
            detail: error.to_string(),
            source: None,
        })?
    }

    pub(crate) async fn seal_now(&self) -> Result<()> {
        self.job(|reply| Job::SealAll { reply }).await
    }

    pub(crate) async fn close(&self) -> Result<()> {
        let result = self.job(|reply| Job::Close { reply }).await;
        self.pool.close().await;
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
        match result {
            // Closing twice is not a failure.
            Err(Error::Closed) => Ok(()),
            result => result,
        }
    }

    pub(crate) async fn stats(&self) -> Result<Stats> {
        let [chunks, points, bytes] = self.pool.run(&self.shared, |store| store.totals()).await?;
        let file_len = |suffix: &str| {
            let mut name = self.shared.path.clone().into_os_string();
            name.push(suffix);
            std::fs::metadata(name).map_or(0, |meta| meta.len())
        };
        let counters = &self.shared.counters;
        let (accepted, new) = (counters.accepted.load(Relaxed), counters.new.load(Relaxed));
        Ok(Stats {
            accepted,
            new,
            replaced: accepted.saturating_sub(new),
            commits: counters.commits.load(Relaxed),
            refused: counters.refused.load(Relaxed),
            queue_depth: self.shared.queue.depth() as u64,
            series: self.shared.registry.len() as u64,
            head_points: counters.head_points.load(Relaxed),
            journal_bytes: counters.journal_bytes.load(Relaxed),
            sealed_chunks: chunks,
            sealed_points: points,
            sealed_bytes: bytes,
            stored_bytes: file_len("") + file_len("-wal"),
        })
    }
}

impl Drop for Engine {
    /// Finishes what was accepted and waits for the writer (at most one commit and one seal), so that the file can be
    /// opened again at once.
    fn drop(&mut self) {
        if let Some(writer) = self.writer.lock().take() {
            let (reply, _) = oneshot::channel();
            let _ = self.shared.queue.push(Job::Close { reply });
            let _ = writer.join();
        }
    }
}

/// Loads the newest sample of a series, which is a sealed one, and remembers it.
fn load_latest(
    store: chunks::Store<'_>,
    snapshot: &Snapshot,
    series: &Series,
) -> Result<Option<Sample>> {
    let newest = Mode::Raw {
        limit: 1,
        order: Order::Desc,
    };
    let rows = reader::query(store, snapshot, i64::MIN, i64::MAX, &newest)?;
    let sample = rows.samples().first().cloned();
    if let Some(sample) = &sample
        && snapshot.sealed_to() == Some(sample.ts)
    {
        snapshot.remember(series, |state| {
            state.sealed_last = Some(sample.value.clone())
        });
    }
    Ok(sample)
}

/// The newest `n` numbers, when memory has them all.
fn recent_in_memory(series: &Series, n: usize) -> Option<Vec<(i64, f64)>> {
    let state = series.state.lock();
    let unsealed = state.head.len() + state.frozen.len();
    let in_order = state
        .frozen
        .last()
        .is_none_or(|frozen| state.head.first().is_none_or(|head| frozen.ts < head.ts));
    let newer = |from: Option<i64>| {
        let sealed_to = state.sealed_to;
        from.is_none_or(|ts| sealed_to.is_none_or(|to| to < ts))
    };
    let oldest = state
        .frozen
        .first()
        .or(state.head.first())
        .map(|sample| sample.ts);
    if unsealed > 0 && !(in_order && newer(oldest)) {
        // Late samples are among them: the general way sorts it out.
        return None;
    }
    let mut recent: Vec<(i64, f64)> = Vec::with_capacity(n);
    let numbers = |sample: &Sample| Some((sample.ts, sample.value.as_number()?));
    recent.extend(
        state
            .head
            .iter()
            .rev()
            .chain(state.frozen.iter().rev())
            .filter_map(numbers)
            .take(n),
    );
    if recent.len() < n && state.sealed_to.is_some() {
        let tail = state.tail.as_ref()?;
        let missing = n - recent.len();
        if tail.samples.len() < missing && !tail.complete {
            return None;
        }
        recent.extend(tail.samples.iter().rev().take(missing));
    }
    recent.reverse();
    Some(recent)
}

/// Loads the newest numbers and remembers the sealed ones for the next time.
fn load_recent(
    store: chunks::Store<'_>,
    series: &Series,
    n: usize,
    keep: usize,
) -> Result<Vec<(i64, f64)>> {
    let snapshot = Snapshot::of(series, i64::MIN, i64::MAX);
    let newest = Mode::Raw {
        limit: keep,
        order: Order::Desc,
    };
    let mut recent = Vec::with_capacity(keep);
    let mut to = i64::MAX;
    let mut complete = false;
    while recent.len() < keep && !complete {
        let rows = reader::query(store, &snapshot, i64::MIN, to, &newest)?;
        let samples = rows.samples();
        complete = samples.len() < keep;
        to = samples.last().map_or(i64::MIN, |sample| sample.ts);
        let number = |sample: &Sample| Some((sample.ts, sample.value.as_number()?));
        recent.extend(samples.iter().filter_map(number));
    }
    complete &= recent.len() <= keep;
    recent.truncate(keep);
    recent.reverse();
    // Only what is sealed belongs to the tail, and only if nothing unsealed lies among or over it.
    let sealed_end = snapshot.sealed_to().map(|to| to.saturating_add(1));
    let sealed_end = sealed_end.unwrap_or(i64::MIN);
    let sealed = recent.partition_point(|(ts, _)| *ts < sealed_end);
    snapshot.remember(series, |state| {
        if state.unsealed(i64::MIN, sealed_end).is_empty() {
            let samples = recent[..sealed].to_vec();
            state.tail = Some(Tail { samples, complete });
        }
    });
    let surplus = recent.len().saturating_sub(n);
    recent.drain(..surplus);
    Ok(recent)
}
