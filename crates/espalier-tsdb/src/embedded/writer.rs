//! The writer thread: the only one that changes the file. It takes everything that waits, makes one commit of it, and
//! only then tells the callers and shows the points to readers.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rusqlite::{Connection, params};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::chunks::{Lookup, Store};
use super::journal::RecordWriter;
use super::schema::storage_error;
use super::sealer::Work;
use super::series::Series;
use super::shared::{Job, Next, Shared};
use crate::error::{Error, Result};
use crate::types::{Appended, Point, Sample};

type Group = Vec<(Vec<Point>, oneshot::Sender<Result<Appended>>)>;

/// The state of the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) conn: Connection,
    pub(super) sealer: mpsc::Sender<Work>,
    /// Number of the next journal record.
    pub(super) next_seq: i64,
    /// Points and bytes in the journal.
    pub(super) journal: Size,
    /// A seal that is under way, and what the journal gained since.
    pub(super) sealing: Option<Size>,
    /// The journal's size at which a failed seal is tried again.
    pub(super) retry_at: usize,
    /// Longest head seen since the last seal.
    pub(super) longest_head: usize,
}

/// Points and bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    pub(super) points: usize,
    pub(super) bytes: usize,
}

impl Size {
    pub(super) fn add(&mut self, points: usize, bytes: usize) {
        self.points += points;
        self.bytes += bytes;
    }
}

/// Neighbouring points of one series within a batch.
struct Run {
    series: Arc<Series>,
    len: usize,
}

impl Writer {
    /// Works until [`Job::Close`].
    pub(super) fn run(mut self) {
        loop {
            match self
                .shared
                .queue
                .next(self.shared.options.max_commit_points)
            {
                Next::Group(group) => self.append(group),
                Next::Sealed(sealed) => drop(self.finish_seal(sealed)),
                Next::Job(Job::Delete { what, reply }) => {
                    self.settle();
                    let _ = reply.send(self.delete(&what));
                }
                Next::Job(Job::SealAll { reply }) => {
                    let _ = reply.send(self.seal_all());
                }
                Next::Job(Job::Close { reply }) => {
                    self.settle();
                    let result = self.close();
                    let _ = reply.send(result);
                    return;
                }
                Next::Job(Job::Append { points, reply }) => self.append(vec![(points, reply)]),
            }
            self.seal_if_due();
        }
    }

    /// Commits a group and answers its callers.
    fn append(&mut self, group: Group) {
        let batches: Vec<usize> = group.iter().map(|(points, _)| points.len()).collect();
        let committed = self.commit(&group);
        // Before the answers: who has one may send the next batch, and finds the room of this one.
        self.shared.queue.done(batches.iter().copied());
        match committed {
            Ok(runs) => {
                for ((points, reply), runs) in group.into_iter().zip(runs) {
                    let appended = self.show(points, runs);
                    let _ = reply.send(Ok(appended));
                }
                self.shared.counters.commits.fetch_add(1, Relaxed);
            }
            Err(error) => {
                let points: usize = batches.iter().sum();
                tracing::error!(%error, points, "telemetry could not be stored");
                for (_, reply) in group {
                    let _ = reply.send(Err(copy(&error)));
                }
            }
        }
    }

    /// Makes a group durable: new series and one journal record in one transaction.
    fn commit(&mut self, group: &Group) -> Result<Vec<Vec<Run>>> {
        let mut created = Vec::new();
        let transaction = Transaction::new(&self.conn, &self.shared);
        let mut fresh = HashMap::new();
        let mut runs = Vec::with_capacity(group.len());
        for (points, _) in group {
            runs.push(resolve(points, |device, key| {
                if let Some(series) = self.shared.registry.get(device, key) {
                    return Ok(series);
                }
                if let Some(series) = fresh.get(&(device, Arc::clone(key))) {
                    return Ok(Arc::clone(series));
                }
                transaction.begin()?;
                let series = create_series(&self.conn, &self.shared, device, key)?;
                fresh.insert((device, Arc::clone(key)), Arc::clone(&series));
                created.push(Arc::clone(&series));
                Ok(series)
            })?);
        }
        let total: usize = group.iter().map(|(points, _)| points.len()).sum();
        let mut record = RecordWriter::with_capacity(total);
        for ((points, _), runs) in group.iter().zip(&runs) {
            let mut rest = &points[..];
            for run in runs {
                let (these, later) = rest.split_at(run.len);
                record.points(
                    run.series.id,
                    these.iter().map(|point| (point.ts, &point.value)),
                );
                rest = later;
            }
        }
        let bytes = insert_record(&self.conn, &self.shared, self.next_seq, record)?;
        transaction.commit()?;
        self.journaled(total, bytes);
        created
            .into_iter()
            .for_each(|series| self.shared.registry.insert(series));
        Ok(runs)
    }

    pub(super) fn journaled(&mut self, points: usize, bytes: usize) {
        self.next_seq += 1;
        self.journal.add(points, bytes);
        if let Some(since) = &mut self.sealing {
            since.add(points, bytes);
        }
        self.shared
            .counters
            .journal_bytes
            .store(self.journal.bytes as u64, Relaxed);
    }

    /// Shows durable points to readers and counts them.
    fn show(&mut self, points: Vec<Point>, runs: Vec<Run>) -> Appended {
        let accepted = points.len() as u64;
        let (mut new, mut added) = (0, 0);
        let mut points = points.into_iter();
        for Run { series, len } in runs {
            let run: Vec<Sample> = points
                .by_ref()
                .take(len)
                .map(|p| Sample {
                    ts: p.ts,
                    value: p.value,
                })
                .collect();
            let store = Store {
                conn: &self.conn,
                path: &self.shared.path,
            };
            let mut sealed = Lookup::new(store, series.id);
            let mut state = series.state.lock();
            let applied = state.apply(run, |ts| sealed.contains(ts));
            self.longest_head = self.longest_head.max(state.head.len());
            drop(state);
            new += applied.new;
            added += applied.added_to_head as u64;
            if let Some(error) = sealed.error {
                // The points are safe in the journal; only the count of new ones may be wrong.
                tracing::error!(%error, "sealed telemetry could not be read");
            }
        }
        let counters = &self.shared.counters;
        counters.accepted.fetch_add(accepted, Relaxed);
        counters.new.fetch_add(new, Relaxed);
        counters.head_points.fetch_add(added, Relaxed);
        Appended {
            accepted,
            new,
            replaced: accepted - new,
        }
    }

    fn close(&mut self) -> Result<()> {
        let fail = |error| storage_error(&self.shared.path, error);
        self.conn
            .busy_timeout(Duration::from_secs(1))
            .map_err(fail)?;
        self.conn
            .query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))
            .map_err(fail)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Also when the thread dies of a panic: nobody may wait for a writer that is gone.
        self.shared.queue.abandon();
    }
}

/// Groups neighbouring points of the same series.
fn resolve(
    points: &[Point],
    mut find: impl FnMut(Uuid, &Arc<str>) -> Result<Arc<Series>>,
) -> Result<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    for point in points {
        match runs.last_mut() {
            Some(run) if run.series.device == point.device && run.series.key == point.key => {
                run.len += 1
            }
            _ => runs.push(Run {
                series: find(point.device, &point.key)?,
                len: 1,
            }),
        }
    }
    Ok(runs)
}

fn create_series(
    conn: &Connection,
    shared: &Shared,
    device: Uuid,
    key: &Arc<str>,
) -> Result<Arc<Series>> {
    let fail = |error| storage_error(&shared.path, error);
    let mut insert = conn
        .prepare_cached("insert into series (device, key) values (?1, ?2)")
        .map_err(fail)?;
    let id = insert
        .insert(params![device.as_bytes(), &**key])
        .map_err(fail)?;
    Ok(Arc::new(Series {
        id,
        device,
        key: Arc::clone(key),
        state: parking_lot::Mutex::default(),
    }))
}

pub(super) fn insert_record(
    conn: &Connection,
    shared: &Shared,
    seq: i64,
    record: RecordWriter,
) -> Result<usize> {
    let fail = |error| storage_error(&shared.path, error);
    let record = record.finish();
    let mut insert = conn
        .prepare_cached("insert into journal (seq, data) values (?1, ?2)")
        .map_err(fail)?;
    insert.execute(params![seq, record]).map_err(fail)?;
    Ok(record.len())
}

/// A transaction that is begun when needed and rolled back unless committed.
pub(super) struct Transaction<'a> {
    conn: &'a Connection,
    shared: &'a Shared,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(conn: &'a Connection, shared: &'a Shared) -> Self {
        Self { conn, shared }
    }

    pub(super) fn begin(&self) -> Result<()> {
        self.execute_unless(false, "begin immediate")
    }

    pub(super) fn commit(self) -> Result<()> {
        self.execute_unless(true, "commit")
    }

    fn execute_unless(&self, autocommit: bool, sql: &str) -> Result<()> {
        if self.conn.is_autocommit() == autocommit {
            return Ok(());
        }
        let run = || self.conn.prepare_cached(sql)?.execute([]);
        run()
            .map(drop)
            .map_err(|error| storage_error(&self.shared.path, error))
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("rollback")
        {
            tracing::error!(%error, "a failed telemetry transaction could not be rolled back");
        }
    }
}

/// The same error once more, for the next caller of a group.
fn copy(error: &Error) -> Error {
    match error {
        Error::Corrupt { path, detail } => Error::Corrupt {
            path: path.clone(),
            detail: detail.clone(),
        },
        Error::Storage { path, detail, .. } => Error::Storage {
            path: path.clone(),
            detail: detail.clone(),
            source: None,
        },
        _ => Error::Closed,
    }
}
