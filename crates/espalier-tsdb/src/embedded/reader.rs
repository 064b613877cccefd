//! Reads: a pool of connections off the async threads, and the walk over chunks with the unsealed samples laid over them.
//!
//! A read first copies the unsealed samples of its range from memory and then takes its view of the file. In between a
//! seal can only add what was copied already or what came later, so nothing acknowledged before is missed; what is in
//! both is taken from the copy.

use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, params};
use tokio::sync::Semaphore;

use super::chunks::{Store, read_agg};
use super::schema;
use super::series::{Series, State, overlay, range};
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::query::{Agg, Bucketer, Buckets, Mode, Order, Rows};
use crate::types::Sample;

/// A few connections that only read, opened when first needed.
#[derive(Debug)]
pub(super) struct ReadPool {
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
    size: usize,
}

impl ReadPool {
    pub(super) fn new(size: usize) -> Self {
        Self {
            idle: Mutex::default(),
            permits: Semaphore::new(size.max(1)),
            size: size.max(1),
        }
    }

    /// Runs `read` on a blocking thread within one read transaction.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        read: impl FnOnce(Store<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.permits.acquire().await.map_err(|_| Error::Closed)?;
        let (pool, shared) = (Arc::clone(self), Arc::clone(shared));
        let work = move || {
            let idle = pool.idle.lock().pop();
            let conn = idle.map_or_else(|| schema::open_reader(&shared.path), Ok)?;
            let store = Store {
                conn: &conn,
                path: &shared.path,
            };
            conn.execute_batch("begin").map_err(store.fail())?;
            let result = read(store);
            // A connection that cannot end its transaction is dropped instead of handed to the next reader.
            if conn.execute_batch("commit").is_ok() {
                pool.idle.lock().push(conn);
            }
            result
        };
        let result = tokio::task::spawn_blocking(work).await;
        drop(permit);
        result.map_err(|error| Error::Storage {
            path: "telemetry".into(),
            detail: error.to_string(),
            source: None,
        })?
    }

    /// Waits for running reads and closes the connections; later reads fail with [`Error::Closed`].
    pub(super) async fn close(&self) {
        let all = u32::try_from(self.size).unwrap_or(u32::MAX);
        if let Ok(permits) = self.permits.acquire_many(all).await {
            permits.forget();
        }
        self.permits.close();
        self.idle.lock().clear();
    }
}

/// What memory knows of a series within a range, at one moment.
///
/// It must be taken before the first statement of the read transaction: a seal in between would take samples out of
/// memory that the older view of the file does not have yet.
#[derive(Debug)]
pub(super) struct Snapshot {
    series: i64,
    unsealed: Vec<Sample>,
    sealed_to: Option<i64>,
    generation: u64,
}

impl Snapshot {
    pub(super) fn of(series: &Series, from: i64, to: i64) -> Self {
        let state = series.state.lock();
        Self {
            series: series.id,
            unsealed: state.unsealed(from, to),
            sealed_to: state.sealed_to,
            generation: state.sealed_generation,
        }
    }

    /// Lets `remember` keep something that was read with this snapshot, if the sealed part is still the same.
    pub(super) fn remember(&self, series: &Series, remember: impl FnOnce(&mut State)) {
        let mut state = series.state.lock();
        if state.sealed_generation == self.generation && state.sealed_to == self.sealed_to {
            remember(&mut state);
        }
    }

    pub(super) fn sealed_to(&self) -> Option<i64> {
        self.sealed_to
    }
}

/// Answers a query for one series within the range of the snapshot.
pub(super) fn query(
    store: Store<'_>,
    snapshot: &Snapshot,
    from: i64,
    to: i64,
    mode: &Mode,
) -> Result<Rows> {
    let sealed = snapshot.sealed_to.is_some_and(|newest| newest >= from);
    let unsealed = &snapshot.unsealed[range(&snapshot.unsealed, from, to)];
    let mut walk = Walk {
        store,
        series: snapshot.series,
        from,
        to,
        unsealed,
    };
    match mode {
        Mode::Raw { limit, order } => walk.raw(sealed, *limit, *order),
        Mode::Buckets(buckets) => walk.buckets(sealed, buckets),
    }
}

/// A walk over `from <= ts < to` of one series.
struct Walk<'a> {
    store: Store<'a>,
    series: i64,
    from: i64,
    to: i64,
    /// The unsealed samples not passed yet.
    unsealed: &'a [Sample],
}

/// A chunk met on the way.
struct Met {
    id: i64,
    t0: i64,
    t1: i64,
    agg: Option<Agg>,
}

impl<'a> Walk<'a> {
    fn raw(&mut self, sealed: bool, limit: usize, order: Order) -> Result<Rows> {
        let mut samples: Vec<Sample> = Vec::new();
        if sealed && self.from < self.to {
            self.each_chunk(order, |walk, chunk| {
                // One sample more than the limit tells whether there are more.
                if samples.len() > limit {
                    return Ok(false);
                }
                walk.take_outside(order, &chunk, &mut samples);
                let merged = walk.merged(&chunk)?;
                match order {
                    Order::Asc => samples.extend(merged),
                    Order::Desc => samples.extend(merged.into_iter().rev()),
                }
                Ok(true)
            })?;
        }
        if samples.len() <= limit {
            match order {
                Order::Asc => {
                    samples.extend(self.unsealed.iter().take(limit.saturating_add(1)).cloned())
                }
                Order::Desc => samples.extend(
                    self.unsealed
                        .iter()
                        .rev()
                        .take(limit.saturating_add(1))
                        .cloned(),
                ),
            }
        }
        let more = samples.len() > limit;
        samples.truncate(limit);
        Ok(Rows::Raw { samples, more })
    }

    fn buckets(&mut self, sealed: bool, buckets: &Buckets) -> Result<Rows> {
        let mut bucketer = Bucketer::new(buckets);
        if sealed && self.from < self.to {
            self.each_chunk(Order::Asc, |walk, mut chunk| {
                let before = walk.unsealed.partition_point(|sample| sample.ts < chunk.t0);
                let (older, rest) = walk.unsealed.split_at(before);
                older
                    .iter()
                    .for_each(|sample| bucketer.push(sample.ts, &sample.value));
                walk.unsealed = rest;
                let untouched = rest.first().is_none_or(|sample| sample.ts > chunk.t1);
                let inside = chunk.t0 >= walk.from && chunk.t1 < walk.to;
                match chunk.agg.take() {
                    Some(agg) if untouched && inside && bucketer.covers(chunk.t0, chunk.t1) => {
                        bucketer.push_agg(agg)
                    }
                    _ if untouched && bucketer.misses(chunk.t0, chunk.t1) => {}
                    _ => walk
                        .merged(&chunk)?
                        .iter()
                        .for_each(|sample| bucketer.push(sample.ts, &sample.value)),
                }
                Ok(true)
            })?;
        }
        self.unsealed
            .iter()
            .for_each(|sample| bucketer.push(sample.ts, &sample.value));
        Ok(Rows::Buckets(bucketer.finish()))
    }

    /// Visits the chunks that may have samples in the range, in order, until `visit` says no.
    fn each_chunk(
        &mut self,
        order: Order,
        mut visit: impl FnMut(&mut Self, Met) -> Result<bool>,
    ) -> Result<()> {
        let store = self.store;
        let fail = store.fail();
        let first = store
            .chunk_before(self.series, self.from)?
            .map_or(self.from, |chunk| chunk.t0);
        let order = match order {
            Order::Asc => "asc",
            Order::Desc => "desc",
        };
        let sql = format!(
            "select id, t0, t1, n, numeric, min, max, sum, first, last from chunk \
             where series = ?1 and t0 >= ?2 and t0 < ?3 order by t0 {order}"
        );
        let mut statement = store.conn.prepare_cached(&sql).map_err(fail)?;
        let mut rows = statement
            .query(params![self.series, first, self.to])
            .map_err(fail)?;
        while let Some(row) = rows.next().map_err(fail)? {
            let id = row.get(0).map_err(fail)?;
            let (t0, t1) = (row.get(1).map_err(fail)?, row.get(2).map_err(fail)?);
            if t1 < self.from {
                continue;
            }
            let agg = read_agg(row, 1).map_err(fail)?;
            if agg.is_none() {
                return Err(store.corrupt(format!("chunk {id} has an unknown value")));
            }
            if !visit(self, Met { id, t0, t1, agg })? {
                break;
            }
        }
        Ok(())
    }

    /// Takes the unsealed samples that come before a chunk in the order of the walk.
    fn take_outside(&mut self, order: Order, chunk: &Met, out: &mut Vec<Sample>) {
        match order {
            Order::Asc => {
                let (before, rest) = self
                    .unsealed
                    .split_at(self.unsealed.partition_point(|s| s.ts < chunk.t0));
                out.extend_from_slice(before);
                self.unsealed = rest;
            }
            Order::Desc => {
                let (rest, after) = self
                    .unsealed
                    .split_at(self.unsealed.partition_point(|s| s.ts <= chunk.t1));
                out.extend(after.iter().rev().cloned());
                self.unsealed = rest;
            }
        }
    }

    /// The samples of a chunk within the range, with the unsealed ones of its time laid over them.
    fn merged(&mut self, chunk: &Met) -> Result<Vec<Sample>> {
        let mut samples = self.store.load(chunk.id)?;
        if chunk.t0 < self.from || chunk.t1 >= self.to {
            let within = range(&samples, self.from, self.to);
            samples.truncate(within.end);
            samples.drain(..within.start);
        }
        let above = self.unsealed;
        let start = above.partition_point(|s| s.ts < chunk.t0);
        let end = above.partition_point(|s| s.ts <= chunk.t1);
        if start == end {
            return Ok(samples);
        }
        // Ascending walks have passed everything before `start`, descending ones everything from `end`.
        self.unsealed = if start == 0 {
            &above[end..]
        } else {
            &above[..start]
        };
        Ok(overlay(&samples, &above[start..end]))
    }
}
