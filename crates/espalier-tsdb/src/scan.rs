//! Reads of any length for exports: pages are pulled one at a time, so neither side holds more than one.

use std::sync::Arc;

use uuid::Uuid;

use crate::error::Result;
use crate::query::{Mode, Order, Query, Rows};
use crate::tsdb::Tsdb;
use crate::types::Sample;

/// What to export: `from <= ts < to` of some series.
#[derive(Debug, Clone)]
pub struct ScanQuery {
    /// The series, read one after the other.
    pub series: Vec<(Uuid, Arc<str>)>,
    /// First millisecond, inclusive.
    pub from: i64,
    /// Last millisecond, exclusive.
    pub to: i64,
    /// Most samples per page; at least 1.
    pub page_points: usize,
}

/// Samples of one series, oldest first; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The device.
    pub device: Uuid,
    /// The key.
    pub key: Arc<str>,
    /// The samples.
    pub samples: Vec<Sample>,
}

/// A running export. Each page is read when asked for: points that arrive behind the cursor meanwhile are not seen,
/// points before it are; no point is seen twice.
#[derive(Debug)]
pub struct Scan {
    tsdb: Tsdb,
    query: ScanQuery,
    /// Position in `query.series`.
    series: usize,
    /// Where the next page of that series starts; `None` when it is finished.
    cursor: Option<i64>,
}

impl Scan {
    pub(crate) fn new(tsdb: Tsdb, query: ScanQuery) -> Self {
        let cursor = Some(query.from);
        Self {
            tsdb,
            query,
            series: 0,
            cursor,
        }
    }

    /// The next page, or nothing at the end. After an error the same page can be asked for again.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn next_page(&mut self) -> Result<Option<Page>> {
        while let Some((device, key)) = self.query.series.get(self.series).cloned() {
            if let Some(from) = self.cursor
                && from < self.query.to
            {
                let limit = self.query.page_points.max(1);
                let mode = Mode::Raw {
                    limit,
                    order: Order::Asc,
                };
                let query = Query {
                    series: vec![(device, key.clone())],
                    from,
                    to: self.query.to,
                    mode,
                };
                let rows = self.tsdb.query(query).await?.pop().map(|data| data.rows);
                let (samples, more) = match rows {
                    Some(Rows::Raw { samples, more }) => (samples, more),
                    _ => (Vec::new(), false),
                };
                self.cursor = samples
                    .last()
                    .filter(|_| more)
                    .and_then(|sample| sample.ts.checked_add(1));
                if !samples.is_empty() {
                    return Ok(Some(Page {
                        device,
                        key,
                        samples,
                    }));
                }
            }
            self.series += 1;
            self.cursor = Some(self.query.from);
        }
        Ok(None)
    }
}
