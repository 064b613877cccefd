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
use super::sealer::{Sealed, Task, Work};
use super::series::Series;
use super::shared::{Deletion, Job, Next, Shared};
use crate::error::{Error, Result};
use crate::types::{Appended, Point, Sample};

/// While a seal is under way the journal may grow to this many times its limit before appends wait for it; bounds memory
/// when points come faster than they can be sealed.
const BACKLOG: usize = 3;

/// A series with this many chunks' worth of unsealed samples starts a seal, because inserting late samples into a long
/// head gets slow.
const HEAD_CHUNKS: usize = 32;

/// What is carried over instead of sealed may fill this part of the journal's limits.
const CARRY_PART: usize = 4;

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
    fn add(&mut self, points: usize, bytes: usize) {
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
        let points: usize = group.iter().map(|(points, _)| points.len()).sum();
        match self.commit(&group) {
            Ok(runs) => {
                for ((points, reply), runs) in group.into_iter().zip(runs) {
                    let appended = self.show(points, runs);
                    let _ = reply.send(Ok(appended));
                }
                self.shared.counters.commits.fetch_add(1, Relaxed);
            }
            Err(error) => {
                tracing::error!(%error, points, "telemetry could not be stored");
                for (_, reply) in group {
                    let _ = reply.send(Err(copy(&error)));
                }
            }
        }
        self.shared.queue.done(points);
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

    fn journaled(&mut self, points: usize, bytes: usize) {
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

    /// Starts a seal when the journal is full, and holds appends up when it overflows.
    fn seal_if_due(&mut self) {
        let options = &self.shared.options;
        let (points, bytes) = (options.seal_points.max(1), options.seal_bytes.max(1));
        if self.sealing.is_some() {
            if self.journal.points > points.saturating_mul(BACKLOG)
                || self.journal.bytes > bytes.saturating_mul(BACKLOG)
            {
                self.settle();
            }
            return;
        }
        let long = self.longest_head > HEAD_CHUNKS * options.chunk_len();
        let full = self.journal.points >= points || self.journal.bytes >= bytes || long;
        if full && self.journal.bytes >= self.retry_at {
            self.start_seal(false);
        }
    }

    /// Freezes what is worth sealing (or all) and hands it to the sealer.
    fn start_seal(&mut self, all: bool) {
        let options = &self.shared.options;
        let mut waiting: Vec<(usize, usize, Arc<Series>)> = Vec::new();
        let mut left = Size::default();
        for series in self.shared.registry.all() {
            let (len, bytes) = {
                let state = series.state.lock();
                (
                    state.head.len(),
                    state
                        .head
                        .iter()
                        .map(|sample| sample_bytes(sample))
                        .sum::<usize>(),
                )
            };
            if len > 0 {
                left.add(len, bytes);
                waiting.push((len, bytes, series));
            }
        }
        // The longest heads first: they make the best chunks. Short ones are carried over while they fit.
        waiting.sort_unstable_by_key(|(len, _, _)| std::cmp::Reverse(*len));
        let worth = options.chunk_len() / 2;
        let mut task = Task {
            upto: self.next_seq - 1,
            frozen: Vec::new(),
            carry: Vec::new(),
        };
        for (len, bytes, series) in waiting {
            let too_much = left.points > options.seal_points / CARRY_PART
                || left.bytes > options.seal_bytes / CARRY_PART;
            if all || len >= worth || too_much {
                left.points -= len;
                left.bytes -= bytes;
                let frozen = series.state.lock().freeze();
                task.frozen.push((series, frozen));
            } else {
                task.carry.push(series);
            }
        }
        self.sealing = Some(Size::default());
        self.longest_head = 0;
        if let Err(mpsc::SendError(Work::Seal(task))) = self.sealer.send(Work::Seal(task)) {
            let result = Err(Error::Closed);
            drop(self.finish_seal(Sealed { task, result }));
        }
    }

    /// Commits a planned seal, or takes everything back.
    fn finish_seal(&mut self, sealed: Sealed) -> Result<()> {
        let since = self.sealing.take().unwrap_or_default();
        let Sealed { task, result } = sealed;
        let carried = result.and_then(|planned| {
            let store = Store {
                conn: &self.conn,
                path: &self.shared.path,
            };
            let fail = store.fail();
            let transaction = Transaction::new(&self.conn, &self.shared);
            transaction.begin()?;
            store.carry_out(&planned.plan)?;
            self.conn
                .execute("delete from journal where seq <= ?1", [task.upto])
                .map_err(fail)?;
            let mut carried = Size::default();
            if let Some((record, points)) = planned.carry {
                let sql = "insert into journal (seq, data) values (?1, ?2)";
                self.conn
                    .execute(sql, params![task.upto, record])
                    .map_err(fail)?;
                carried.add(points, record.len());
            }
            transaction.commit()?;
            Ok(carried)
        });
        let counters = &self.shared.counters;
        match carried {
            Ok(carried) => {
                let keep = self.shared.options.recent_points;
                let points: usize = task.frozen.iter().map(|(_, samples)| samples.len()).sum();
                task.frozen
                    .iter()
                    .for_each(|(series, _)| series.state.lock().sealed(keep));
                counters.head_points.fetch_sub(points as u64, Relaxed);
                self.journal = since;
                self.journal.add(carried.points, carried.bytes);
                self.retry_at = 0;
                counters
                    .journal_bytes
                    .store(self.journal.bytes as u64, Relaxed);
                let _ = self.sealer.send(Work::Checkpoint);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "telemetry could not be sealed; it stays in the journal and is tried again later");
                let doubled: usize = task
                    .frozen
                    .iter()
                    .map(|(series, _)| series.state.lock().thaw())
                    .sum();
                counters.head_points.fetch_sub(doubled as u64, Relaxed);
                self.retry_at = self.journal.bytes + self.shared.options.seal_bytes / 8;
                Err(error)
            }
        }
    }

    /// Waits for a seal that is under way.
    fn settle(&mut self) {
        if self.sealing.is_some() {
            let sealed = self.shared.queue.wait_sealed();
            drop(self.finish_seal(sealed));
        }
    }

    fn seal_all(&mut self) -> Result<()> {
        self.settle();
        self.start_seal(true);
        if self.sealing.is_none() {
            return Err(Error::Closed);
        }
        let sealed = self.shared.queue.wait_sealed();
        self.finish_seal(sealed)
    }

    /// Removes points from chunks, journal (by an entry that replays the removal) and memory. Nothing is frozen now.
    fn delete(&mut self, what: &Deletion) -> Result<u64> {
        let (device, targets) = match what {
            Deletion::Device(device) => (Some(*device), self.shared.registry.of_device(*device)),
            Deletion::Ranges(ranges) => (
                None,
                ranges
                    .iter()
                    .map(|(series, _, _)| Arc::clone(series))
                    .collect(),
            ),
        };
        let ranges: Vec<(i64, i64)> = match what {
            Deletion::Device(_) => vec![(i64::MIN, i64::MAX); targets.len()],
            Deletion::Ranges(ranges) => ranges.iter().map(|(_, from, to)| (*from, *to)).collect(),
        };
        let store = Store {
            conn: &self.conn,
            path: &self.shared.path,
        };
        let transaction = Transaction::new(&self.conn, &self.shared);
        transaction.begin()?;
        let mut record = RecordWriter::with_capacity(0);
        let mut removed = 0;
        for (series, (from, to)) in targets.iter().zip(&ranges) {
            removed += unsealed_only(store, series, *from, *to, device.is_some())?;
            if device.is_some() {
                removed += store.delete_series(series.id)?;
                self.conn
                    .execute("delete from series where id = ?1", [series.id])
                    .map_err(store.fail())?;
                record.drop_series(series.id);
            } else {
                removed += store.delete_range(series.id, *from, *to)?;
                if !series.state.lock().unsealed(*from, *to).is_empty() {
                    record.delete(series.id, *from, *to);
                }
            }
        }
        let sealed_to = targets
            .iter()
            .map(|series| store.sealed_to(series.id))
            .collect::<Result<Vec<_>>>()?;
        let bytes = if record.is_empty() {
            None
        } else {
            Some(insert_record(
                &self.conn,
                &self.shared,
                self.next_seq,
                record,
            )?)
        };
        transaction.commit()?;
        if let Some(bytes) = bytes {
            self.journaled(0, bytes);
        }
        if let Some(device) = device {
            self.shared.registry.remove_device(device);
        }
        let mut from_head = 0;
        for ((series, (from, to)), sealed_to) in targets.iter().zip(&ranges).zip(sealed_to) {
            let mut state = series.state.lock();
            from_head += if device.is_some() {
                std::mem::take(&mut state.head).len()
            } else {
                state.remove(*from, *to)
            };
            state.sealed_to = sealed_to;
            state.sealed_last = None;
            state.tail = None;
            state.sealed_generation += 1;
        }
        self.shared
            .counters
            .head_points
            .fetch_sub(from_head as u64, Relaxed);
        Ok(removed)
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

fn insert_record(
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

/// How many unsealed samples of the range are not in the sealed part as well.
fn unsealed_only(store: Store<'_>, series: &Series, from: i64, to: i64, all: bool) -> Result<u64> {
    let state = series.state.lock();
    let samples = if all {
        state.head.clone()
    } else {
        state.unsealed(from, to)
    };
    let sealed_to = state.sealed_to;
    drop(state);
    let mut sealed = Lookup::new(store, series.id);
    let both = samples
        .iter()
        .filter(|s| sealed_to.is_some_and(|to| s.ts <= to) && sealed.contains(s.ts))
        .count();
    sealed.error.map_or(Ok((samples.len() - both) as u64), Err)
}

/// About what a sample takes in the journal.
fn sample_bytes(sample: &Sample) -> usize {
    use crate::types::Value;
    12 + match &sample.value {
        Value::Text(text) | Value::Json(text) => text.len(),
        Value::Number(_) | Value::Bool(_) => 0,
    }
}

/// A transaction that is begun when needed and rolled back unless committed.
struct Transaction<'a> {
    conn: &'a Connection,
    shared: &'a Shared,
}

impl<'a> Transaction<'a> {
    fn new(conn: &'a Connection, shared: &'a Shared) -> Self {
        Self { conn, shared }
    }

    fn begin(&self) -> Result<()> {
        self.execute_unless(false, "begin immediate")
    }

    fn commit(self) -> Result<()> {
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
