//! The writer's way of removing points: from chunks, journal and memory in one transaction.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::chunks::{Lookup, Store};
use super::journal::RecordWriter;
use super::series::Series;
use super::shared::Deletion;
use super::writer::{Transaction, Writer, insert_record};
use crate::error::Result;

impl Writer {
    /// Removes points from chunks, journal (by an entry that replays the removal) and memory. Nothing is frozen now.
    pub(super) fn delete(&mut self, what: &Deletion) -> Result<u64> {
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
    match sealed.error {
        // What goes away whole may go although it is damaged; only the number may be too large then.
        Some(error) if !all => Err(error),
        _ => Ok((samples.len() - both) as u64),
    }
}
