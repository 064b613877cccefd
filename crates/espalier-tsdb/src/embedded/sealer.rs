//! The sealer thread: encodes frozen samples into chunks beside the writer, which only has to commit the result.
//!
//! A seal has three steps. The writer *freezes* series at journal position `upto` and hands them over. The sealer *plans*:
//! it reads the chunks that the samples belong to, merges and encodes, and writes the unsealed samples of all other series
//! into one carry-over record. The writer *commits* in one transaction: chunks in, journal up to `upto` out, carry-over
//! record in its place. Until that commit nothing changed on disk; after it nothing is missing. The carry-over may hold
//! samples that came after `upto`: replaying their own records again on top changes nothing.

use std::collections::HashSet;
use std::sync::{Arc, mpsc};

use super::chunks::{Plan, Store};
use super::journal::RecordWriter;
use super::schema;
use super::series::Series;
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::types::Sample;

/// What to seal.
#[derive(Debug)]
pub(super) struct Task {
    /// Every journal record up to here is covered by `frozen` and `carry`.
    pub(super) upto: i64,
    pub(super) frozen: Vec<(Arc<Series>, Arc<Vec<Sample>>)>,
    /// Series whose unsealed samples stay in the journal.
    pub(super) carry: Vec<Arc<Series>>,
}

/// A planned seal.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) task: Task,
    pub(super) result: Result<Planned>,
}

#[derive(Debug)]
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// The carry-over record and its number of points, when there is anything to carry over.
    pub(super) carry: Option<(Vec<u8>, usize)>,
    /// Series whose chunks on disk are damaged: their samples are carried over, so that the others can be sealed.
    pub(super) damaged: HashSet<i64>,
}

/// Work for the sealer.
#[derive(Debug)]
pub(super) enum Work {
    Seal(Task),
    /// Fold the write-ahead log into the file, after a seal made it long.
    Checkpoint,
}

/// Runs until the writer drops its end of `work`.
pub(super) fn run(shared: &Shared, work: &mpsc::Receiver<Work>) {
    let mut conn = None;
    while let Ok(work) = work.recv() {
        match work {
            Work::Seal(task) => {
                // A panic here would leave the writer waiting for ever, so it is turned into a failed seal.
                let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    plan(shared, &mut conn, &task)
                }));
                let result = caught.unwrap_or_else(|_| {
                    Err(Error::Storage {
                        path: shared.path.clone(),
                        detail: "sealing failed unexpectedly".into(),
                        source: None,
                    })
                });
                shared.queue.push_sealed(Sealed { task, result });
            }
            Work::Checkpoint => {
                if let Err(error) = checkpoint(shared) {
                    tracing::warn!(%error, "the telemetry log could not be folded into its file; it is tried again later");
                }
            }
        }
    }
}

fn plan(shared: &Shared, conn: &mut Option<rusqlite::Connection>, task: &Task) -> Result<Planned> {
    if conn.is_none() {
        *conn = Some(schema::open_reader(&shared.path)?);
    }
    let conn = conn.as_ref().ok_or(Error::Closed)?;
    let store = Store {
        conn,
        path: &shared.path,
    };
    // One view of the file for all lookups: the writer commits meanwhile, but only to the journal, and a new view for
    // every lookup would throw away the page cache each time. Ended when dropped.
    let _view = conn.unchecked_transaction().map_err(store.fail())?;
    let mut plan = Plan::default();
    let mut record = RecordWriter::with_capacity(0);
    let mut points = 0;
    let mut damaged = HashSet::new();
    for (series, samples) in &task.frozen {
        let (replaced, chunks) = (plan.replaced.len(), plan.chunks.len());
        match store.plan_merge(series.id, samples, shared.options.chunk_len(), &mut plan) {
            Ok(()) => {}
            Err(error @ Error::Corrupt { .. }) => {
                tracing::error!(%error, device = %series.device, "telemetry of a device cannot be sealed; it stays in the journal");
                plan.replaced.truncate(replaced);
                plan.chunks.truncate(chunks);
                damaged.insert(series.id);
                points += samples.len();
                record.points(
                    series.id,
                    samples.iter().map(|sample| (sample.ts, &sample.value)),
                );
            }
            Err(error) => return Err(error),
        }
    }
    for series in &task.carry {
        let state = series.state.lock();
        if !state.head.is_empty() {
            points += state.head.len();
            record.points(
                series.id,
                state.head.iter().map(|sample| (sample.ts, &sample.value)),
            );
        }
    }
    let carry = (points > 0).then(|| (record.finish(), points));
    Ok(Planned {
        plan,
        carry,
        damaged,
    })
}

/// Copies the log into the file as far as no reader needs it; does not hold up the writer.
fn checkpoint(shared: &Shared) -> Result<()> {
    let fail = |error| schema::storage_error(&shared.path, error);
    let conn = rusqlite::Connection::open(&shared.path).map_err(fail)?;
    conn.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))
        .map_err(fail)
}
