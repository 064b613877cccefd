//! Sealed chunks in the file: finding, reading, merging new samples into them and trimming them.
//!
//! Invariant kept here: the chunks of a series do not overlap in time, so the chunk that may hold a ts is the one with the
//! greatest `t0` not after it.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::schema::{from_sql, storage_error, to_sql};
use super::series::overlay;
use crate::codec::chunk;
use crate::error::{Error, Result};
use crate::query::Agg;
use crate::types::Sample;

/// A connection with the name of its file for errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Store<'a> {
    pub(super) conn: &'a Connection,
    pub(super) path: &'a Path,
}

/// A chunk without its samples.
#[derive(Debug)]
pub(super) struct ChunkHead {
    pub(super) id: i64,
    pub(super) t0: i64,
    pub(super) t1: i64,
    pub(super) n: i64,
    pub(super) bytes: i64,
}

/// A chunk to be written.
#[derive(Debug)]
pub(super) struct NewChunk {
    pub(super) series: i64,
    pub(super) agg: Agg,
    pub(super) data: Vec<u8>,
}

/// What merging samples into the chunks of some series comes to.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) replaced: Vec<ChunkHead>,
    pub(super) chunks: Vec<NewChunk>,
}

impl Plan {
    fn add(&mut self, series: i64, samples: &[Sample]) {
        let mut rest = samples.iter();
        let Some(first) = rest.next() else { return };
        let mut agg = Agg::of(first.ts, first.value.clone());
        rest.for_each(|sample| agg.push(sample.ts, &sample.value));
        self.chunks.push(NewChunk {
            series,
            agg,
            data: chunk::encode(samples),
        });
    }

    /// Adds samples in equal chunks of at most `chunk_len`.
    fn add_split(&mut self, series: i64, samples: &[Sample], chunk_len: usize) {
        let pieces = samples.len().div_ceil(chunk_len).max(1);
        samples
            .chunks(samples.len().div_ceil(pieces).max(1))
            .for_each(|piece| self.add(series, piece));
    }
}

fn head(row: &Row<'_>) -> rusqlite::Result<ChunkHead> {
    Ok(ChunkHead {
        id: row.get(0)?,
        t0: row.get(1)?,
        t1: row.get(2)?,
        n: row.get(3)?,
        bytes: row.get(4)?,
    })
}

impl<'a> Store<'a> {
    pub(super) fn fail(&self) -> impl Fn(rusqlite::Error) -> Error + Copy + 'a {
        let path = self.path;
        move |error| storage_error(path, error)
    }

    pub(super) fn corrupt(&self, detail: String) -> Error {
        Error::Corrupt {
            path: self.path.into(),
            detail,
        }
    }

    /// The only chunk that may hold `ts`, or the newest before it.
    pub(super) fn chunk_before(&self, series: i64, ts: i64) -> Result<Option<ChunkHead>> {
        let sql = "select id, t0, t1, n, length(data) from chunk where series = ?1 and t0 <= ?2 order by t0 desc limit 1";
        let mut statement = self.conn.prepare_cached(sql).map_err(self.fail())?;
        statement
            .query_row(params![series, ts], head)
            .optional()
            .map_err(self.fail())
    }

    /// Where the next chunk after `ts` starts.
    pub(super) fn next_start(&self, series: i64, ts: i64) -> Result<Option<i64>> {
        let sql = "select t0 from chunk where series = ?1 and t0 > ?2 order by t0 limit 1";
        let mut statement = self.conn.prepare_cached(sql).map_err(self.fail())?;
        statement
            .query_row(params![series, ts], |row| row.get(0))
            .optional()
            .map_err(self.fail())
    }

    /// Time of the newest sealed sample.
    pub(super) fn sealed_to(&self, series: i64) -> Result<Option<i64>> {
        Ok(self.chunk_before(series, i64::MAX)?.map(|chunk| chunk.t1))
    }

    /// The samples of a chunk.
    pub(super) fn load(&self, id: i64) -> Result<Vec<Sample>> {
        let mut statement = self
            .conn
            .prepare_cached("select data from chunk where id = ?1")
            .map_err(self.fail())?;
        let mut rows = statement.query([id]).map_err(self.fail())?;
        let row = rows
            .next()
            .map_err(self.fail())?
            .ok_or_else(|| self.corrupt(format!("chunk {id} is missing")))?;
        let blob = row
            .get_ref(0)
            .map_err(self.fail())?
            .as_blob()
            .map_err(|_| self.corrupt(format!("chunk {id} is no blob")))?;
        chunk::decode(blob).map_err(|damaged| self.corrupt(format!("chunk {id}: {damaged}")))
    }

    /// Works out how `samples` (sorted, one per ts) become part of the chunks of a series: a run between two chunks
    /// merges into the one before it when they overlap or that one is still small, else it makes chunks of its own.
    pub(super) fn plan_merge(
        &self,
        series: i64,
        samples: &[Sample],
        chunk_len: usize,
        plan: &mut Plan,
    ) -> Result<()> {
        let mut rest = samples;
        while let (Some(first), Some(last)) = (rest.first(), rest.last()) {
            let before = self.chunk_before(series, first.ts)?;
            let next = self
                .next_start(series, first.ts)?
                .filter(|t0| *t0 <= last.ts);
            let len = next.map_or(rest.len(), |t0| {
                rest.partition_point(|sample| sample.ts < t0)
            });
            let (run, later) = rest.split_at(len);
            rest = later;
            match before {
                Some(chunk) if chunk.t1 >= first.ts || (chunk.n as usize) < chunk_len / 2 => {
                    let merged = overlay(&self.load(chunk.id)?, run);
                    plan.replaced.push(chunk);
                    plan.add_split(series, &merged, chunk_len);
                }
                _ => plan.add_split(series, run, chunk_len),
            }
        }
        Ok(())
    }

    /// Carries out a plan; to be called within a transaction.
    pub(super) fn carry_out(&self, plan: &Plan) -> Result<()> {
        let fail = self.fail();
        let (mut chunks, mut points, mut bytes) = (0i64, 0i64, 0i64);
        {
            let mut delete = self
                .conn
                .prepare_cached("delete from chunk where id = ?1")
                .map_err(fail)?;
            for chunk in &plan.replaced {
                delete.execute([chunk.id]).map_err(fail)?;
                (chunks, points, bytes) = (chunks - 1, points - chunk.n, bytes - chunk.bytes);
            }
            let sql = "insert into chunk (series, t0, t1, n, numeric, min, max, sum, first, last, data) \
                       values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
            let mut insert = self.conn.prepare_cached(sql).map_err(fail)?;
            for NewChunk { series, agg, data } in &plan.chunks {
                let (n, numeric) = (agg.count as i64, agg.numeric as i64);
                let (first, last) = (to_sql(&agg.first), to_sql(&agg.last));
                let row = params![
                    series,
                    agg.first_ts,
                    agg.last_ts,
                    n,
                    numeric,
                    agg.min,
                    agg.max,
                    agg.sum,
                    first,
                    last,
                    data
                ];
                insert.execute(row).map_err(fail)?;
                (chunks, points, bytes) = (chunks + 1, points + n, bytes + data.len() as i64);
            }
        }
        self.add_totals(chunks, points, bytes)
    }

    fn add_totals(&self, chunks: i64, points: i64, bytes: i64) -> Result<()> {
        let sql =
            "update totals set chunks = chunks + ?1, points = points + ?2, bytes = bytes + ?3";
        self.conn
            .prepare_cached(sql)
            .map_err(self.fail())?
            .execute([chunks, points, bytes])
            .map_err(self.fail())?;
        Ok(())
    }

    /// The number of chunks, their points and their bytes.
    pub(super) fn totals(&self) -> Result<[u64; 3]> {
        let read = |row: &Row<'_>| Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?]);
        let totals = self
            .conn
            .query_row("select chunks, points, bytes from totals", [], read)
            .map_err(self.fail())?;
        Ok(totals.map(i64::unsigned_abs))
    }

    /// Removes sealed samples with `from <= ts < to`, whole chunks without reading them, and returns how many. To be
    /// called within a transaction.
    pub(super) fn delete_range(&self, series: i64, from: i64, to: i64) -> Result<u64> {
        let mut plan = Plan::default();
        let mut removed = 0;
        // Only the two chunks at the ends can be partly within the range.
        let mut trim = |chunk: ChunkHead| -> Result<()> {
            if (chunk.t0 < from || chunk.t1 >= to) && chunk.t1 >= from && chunk.t0 < to {
                let kept: Vec<Sample> = self
                    .load(chunk.id)?
                    .into_iter()
                    .filter(|sample| sample.ts < from || sample.ts >= to)
                    .collect();
                let gone = chunk.n - kept.len() as i64;
                if gone > 0 {
                    removed += gone as u64;
                    plan.add(series, &kept);
                    plan.replaced.push(chunk);
                }
            }
            Ok(())
        };
        let first = self.chunk_before(series, from)?;
        let last = self.chunk_before(series, to - 1)?;
        let same = first.as_ref().map(|chunk| chunk.id) == last.as_ref().map(|chunk| chunk.id);
        first.map_or(Ok(()), &mut trim)?;
        last.filter(|_| !same).map_or(Ok(()), &mut trim)?;

        let within = "from chunk where series = ?1 and t0 >= ?2 and t0 < ?3 and t1 < ?3";
        let sql = format!(
            "select count(*), coalesce(sum(n), 0), coalesce(sum(length(data)), 0) {within}"
        );
        let read = |row: &Row<'_>| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
            ))
        };
        let mut count = self.conn.prepare_cached(&sql).map_err(self.fail())?;
        let (chunks, points, bytes) = count
            .query_row(params![series, from, to], read)
            .map_err(self.fail())?;
        if chunks > 0 {
            let sql = format!("delete {within}");
            let mut delete = self.conn.prepare_cached(&sql).map_err(self.fail())?;
            delete
                .execute(params![series, from, to])
                .map_err(self.fail())?;
            self.add_totals(-chunks, -points, -bytes)?;
        }
        self.carry_out(&plan)?;
        Ok(removed + points as u64)
    }

    /// Removes all chunks of a series and returns how many samples they had. To be called within a transaction.
    pub(super) fn delete_series(&self, series: i64) -> Result<u64> {
        let sql = "select count(*), coalesce(sum(n), 0), coalesce(sum(length(data)), 0) from chunk where series = ?1";
        let read = |row: &Row<'_>| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
            ))
        };
        let mut count = self.conn.prepare_cached(sql).map_err(self.fail())?;
        let (chunks, points, bytes) = count.query_row([series], read).map_err(self.fail())?;
        let mut delete = self
            .conn
            .prepare_cached("delete from chunk where series = ?1")
            .map_err(self.fail())?;
        delete.execute([series]).map_err(self.fail())?;
        self.add_totals(-chunks, -points, -bytes)?;
        Ok(points as u64)
    }
}

/// The aggregate in the columns `t0, t1, n, numeric, min, max, sum, first, last` that start at `at`.
pub(super) fn read_agg(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Agg>> {
    let numeric = row.get::<_, i64>(at + 3)?.unsigned_abs();
    // SQLite has no NaN: the sum of an infinite sum and its opposite comes back as NULL.
    let number = |column: usize| {
        Ok::<_, rusqlite::Error>(row.get::<_, Option<f64>>(column)?.unwrap_or(f64::NAN))
    };
    let number = |column: usize| {
        if numeric > 0 {
            number(column).map(Some)
        } else {
            Ok(None)
        }
    };
    let (first, last) = (
        from_sql(row.get_ref(at + 7)?),
        from_sql(row.get_ref(at + 8)?),
    );
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(None);
    };
    Ok(Some(Agg {
        count: row.get::<_, i64>(at + 2)?.unsigned_abs(),
        numeric,
        min: number(at + 4)?,
        max: number(at + 5)?,
        sum: number(at + 6)?,
        first,
        first_ts: row.get(at)?,
        last,
        last_ts: row.get(at + 1)?,
    }))
}

/// Answers whether the sealed part of one series has a ts, remembering the chunk or gap it looked at last, because late
/// points come in runs.
#[derive(Debug)]
pub(super) struct Lookup<'a> {
    store: Store<'a>,
    series: i64,
    /// What `from..=to` holds: these times and no others.
    seen: Option<(i64, i64, Vec<i64>)>,
    /// An error met on the way; the answer was "no" then.
    pub(super) error: Option<Error>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(store: Store<'a>, series: i64) -> Self {
        Self {
            store,
            series,
            seen: None,
            error: None,
        }
    }

    pub(super) fn contains(&mut self, ts: i64) -> bool {
        if !self
            .seen
            .as_ref()
            .is_some_and(|(from, to, _)| (*from..=*to).contains(&ts))
        {
            match self.look(ts) {
                Ok(seen) => self.seen = Some(seen),
                Err(error) => {
                    self.error.get_or_insert(error);
                    return false;
                }
            }
        }
        self.seen
            .as_ref()
            .is_some_and(|(_, _, times)| times.binary_search(&ts).is_ok())
    }

    fn look(&self, ts: i64) -> Result<(i64, i64, Vec<i64>)> {
        let before = self.store.chunk_before(self.series, ts)?;
        if let Some(chunk) = before.as_ref().filter(|chunk| ts <= chunk.t1) {
            let times = self
                .store
                .load(chunk.id)?
                .into_iter()
                .map(|sample| sample.ts)
                .collect();
            return Ok((chunk.t0, chunk.t1, times));
        }
        let from = before.map_or(i64::MIN, |chunk| chunk.t1.saturating_add(1));
        let to = self
            .store
            .next_start(self.series, ts)?
            .map_or(i64::MAX, |t0| t0 - 1);
        Ok((from, to, Vec::new()))
    }
}
