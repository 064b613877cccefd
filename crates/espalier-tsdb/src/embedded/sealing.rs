//! The writer's half of sealing: when it starts, what is handed over, and the commit of the result. The other half is in
//! `sealer.rs`, where the steps are explained.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};

use rusqlite::params;

use super::chunks::Store;
use super::sealer::{Planned, Sealed, Task, Work};
use super::series::Series;
use super::writer::{Size, Transaction, Writer};
use crate::error::{Error, Result};
use crate::types::{Sample, Value};

/// While a seal is under way the journal may grow to this many times its limit before appends wait for it; bounds memory
/// when points come faster than they can be sealed.
const BACKLOG: usize = 3;

/// A series with this many chunks' worth of unsealed samples starts a seal, because inserting late samples into a long
/// head gets slow.
const HEAD_CHUNKS: usize = 32;

/// What is carried over instead of sealed may fill this part of the journal's limits.
const CARRY_PART: usize = 4;

impl Writer {
    /// Starts a seal when the journal is full, and holds appends up when it overflows.
    pub(super) fn seal_if_due(&mut self) {
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
                    state.head.iter().map(sample_bytes).sum::<usize>(),
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
    pub(super) fn finish_seal(&mut self, sealed: Sealed) -> Result<()> {
        let since = self.sealing.take().unwrap_or_default();
        let Sealed { task, result } = sealed;
        let committed = result.and_then(|planned| {
            let carried = self.commit_seal(task.upto, &planned)?;
            Ok((carried, planned.damaged))
        });
        let keep = self.shared.options.recent_points;
        let mut left_head = 0;
        let result = match committed {
            Ok((carried, damaged)) => {
                for (series, samples) in &task.frozen {
                    let mut state = series.state.lock();
                    if damaged.contains(&series.id) {
                        left_head += state.thaw();
                    } else {
                        left_head += samples.len();
                        state.sealed(keep);
                    }
                }
                self.journal = since;
                self.journal.add(carried.points, carried.bytes);
                self.retry_at = if damaged.is_empty() { 0 } else { self.later() };
                let _ = self.sealer.send(Work::Checkpoint);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "telemetry could not be sealed; it stays in the journal and is tried again later");
                left_head = task
                    .frozen
                    .iter()
                    .map(|(series, _)| series.state.lock().thaw())
                    .sum();
                self.retry_at = self.later();
                Err(error)
            }
        };
        let counters = &self.shared.counters;
        counters.head_points.fetch_sub(left_head as u64, Relaxed);
        counters
            .journal_bytes
            .store(self.journal.bytes as u64, Relaxed);
        result
    }

    /// The size of the journal at which sealing is worth another try after it failed.
    fn later(&self) -> usize {
        self.journal.bytes + self.shared.options.seal_bytes / 8
    }

    /// Chunks in, journal records out, in one transaction. Returns what is carried over.
    fn commit_seal(&self, upto: i64, planned: &Planned) -> Result<Size> {
        let store = Store {
            conn: &self.conn,
            path: &self.shared.path,
        };
        let transaction = Transaction::new(&self.conn, &self.shared);
        transaction.begin()?;
        store.carry_out(&planned.plan)?;
        self.conn
            .execute("delete from journal where seq <= ?1", [upto])
            .map_err(store.fail())?;
        let mut carried = Size::default();
        if let Some((record, points)) = &planned.carry {
            let sql = "insert into journal (seq, data) values (?1, ?2)";
            self.conn
                .execute(sql, params![upto, record])
                .map_err(store.fail())?;
            carried.add(*points, record.len());
        }
        transaction.commit()?;
        Ok(carried)
    }

    /// Waits for a seal that is under way.
    pub(super) fn settle(&mut self) {
        if self.sealing.is_some() {
            let sealed = self.shared.queue.wait_sealed();
            drop(self.finish_seal(sealed));
        }
    }

    pub(super) fn seal_all(&mut self) -> Result<()> {
        self.settle();
        self.start_seal(true);
        if self.sealing.is_none() {
            return Err(Error::Closed);
        }
        let sealed = self.shared.queue.wait_sealed();
        self.finish_seal(sealed)
    }
}

/// About what a sample takes in the journal.
fn sample_bytes(sample: &Sample) -> usize {
    12 + match &sample.value {
        Value::Text(text) | Value::Json(text) => text.len(),
        Value::Number(_) | Value::Bool(_) => 0,
    }
}
