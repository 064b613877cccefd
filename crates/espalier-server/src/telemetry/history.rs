//! History that is true: what was stored, point by point or per bucket, for many series in one answer.
//!
//! It reads and writes the answer; what a question means is `question.rs`, the arithmetic of buckets is the engine's.

use super::question::{Ask, How, MAX_POINTS, What, equal_spans, wrong};
use super::{ingest, values};
use crate::devices::Device;
use crate::error::ApiResult;
use crate::{AppState, clock};
use espalier_tsdb::{Agg, Buckets, Mode, Order, Query, Rows, SeriesData};
use std::sync::Arc;

/// Most points that the short form gives as they are; longer ranges are thinned.
const SHORT_POINTS: usize = 10_000;

/// Into how many spans the short form thins a long range.
const SHORT_SPANS: usize = 1000;

impl What {
    fn write(self, out: &mut Vec<u8>, agg: Option<&Agg>) {
        let number = |out: &mut Vec<u8>, number: Option<f64>| match number {
            Some(number) => values::write_number(out, number),
            None => out.extend_from_slice(b"null"),
        };
        match (self, agg) {
            (Self::Count, agg) => {
                let count = agg.map_or(0, |agg| agg.count);
                values::write_int(out, i64::try_from(count).unwrap_or(i64::MAX));
            }
            (_, None) => out.extend_from_slice(b"null"),
            (Self::Min, Some(agg)) => number(out, agg.min),
            (Self::Max, Some(agg)) => number(out, agg.max),
            (Self::Mean, Some(agg)) => number(out, agg.mean()),
            (Self::Sum, Some(agg)) => number(out, agg.sum),
            (Self::First, Some(agg)) => values::write(out, &agg.first),
            (Self::Last, Some(agg)) => values::write(out, &agg.last),
        }
    }
}

impl Ask {
    /// Reads the answer and writes it in its full form.
    pub async fn answer(&self, app: &AppState) -> ApiResult<Vec<u8>> {
        let rows = self.rows(app).await?;
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(b"{\"from\":");
        values::write_text(&mut out, &clock::iso(self.from));
        out.extend_from_slice(b",\"to\":");
        values::write_text(&mut out, &clock::iso(self.to));
        out.extend_from_slice(b",\"interval\":");
        match &self.interval {
            Some(interval) => values::write_text(&mut out, interval),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"tz\":");
        values::write_text(&mut out, &self.tz);
        out.extend_from_slice(b",\"series\":[");
        for (nth, ((device, key), data)) in self.series.iter().zip(&rows).enumerate() {
            if nth > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"device_id\":");
            values::write_text(&mut out, &device.oid.to_string());
            out.extend_from_slice(b",\"key\":");
            values::write_text(&mut out, key);
            out.extend_from_slice(b",\"points\":[");
            self.write_points(&mut out, data);
            out.push(b']');
            if let Rows::Raw { more: true, .. } = data.rows {
                out.extend_from_slice(b",\"more\":true");
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        Ok(out)
    }

    fn write_points(&self, out: &mut Vec<u8>, data: &SeriesData) {
        match (&self.how, &data.rows) {
            (
                How::Buckets {
                    buckets,
                    what,
                    fill,
                },
                Rows::Buckets(found),
            ) => {
                for (nth, (start, agg)) in
                    spread(buckets, found, *fill, self.descending).enumerate()
                {
                    out.extend_from_slice(if nth > 0 { b",{\"t\":" } else { b"{\"t\":" });
                    values::write_int(out, start);
                    for what in what {
                        out.extend_from_slice(b",\"");
                        out.extend_from_slice(what.name().as_bytes());
                        out.extend_from_slice(b"\":");
                        what.write(out, agg);
                    }
                    out.push(b'}');
                }
            }
            (_, rows) => {
                for (nth, sample) in rows.samples().iter().enumerate() {
                    out.extend_from_slice(if nth > 0 { b",{\"t\":" } else { b"{\"t\":" });
                    values::write_int(out, sample.ts);
                    out.extend_from_slice(b",\"value\":");
                    values::write(out, &sample.value);
                    out.push(b'}');
                }
            }
        }
    }

    /// Reads the answer and writes the short form: `[{timestamp, value}]`. Up to 10,000 points are given as they
    /// are; a longer range is thinned to the mean (of texts the last) of 1,000 equal spans.
    pub async fn answer_short(&self, app: &AppState) -> ApiResult<Vec<u8>> {
        let [(device, key)] = &self.series[..] else {
            return Err(wrong("format", "array is for one device and one key"));
        };
        let mut out = vec![b'['];
        let mut write = |start: i64, value: &dyn Fn(&mut Vec<u8>)| {
            out.extend_from_slice(if out.len() > 1 {
                b",{\"timestamp\":"
            } else {
                b"{\"timestamp\":"
            });
            values::write_text(&mut out, &clock::iso(start));
            out.extend_from_slice(b",\"value\":");
            value(&mut out);
            out.push(b'}');
        };
        let mut how = match &self.how {
            How::Raw { limit } => Mode::Raw {
                limit: limit.unwrap_or(SHORT_POINTS).min(MAX_POINTS),
                order: self.order(),
            },
            How::Buckets { buckets, .. } => Mode::Buckets(buckets.clone()),
        };
        let series = [(device.clone(), key.clone())];
        let mut data = self.query(app, &series, how).await?;
        let thinned = matches!(self.how, How::Raw { limit: None })
            && data
                .iter()
                .any(|data| matches!(data.rows, Rows::Raw { more: true, .. }));
        if thinned {
            how = Mode::Buckets(equal_spans(self.from, self.to, SHORT_SPANS));
            data = self.query(app, &series, how).await?;
        }
        let Some(data) = data.first() else {
            return Ok(b"[]".to_vec());
        };
        for sample in data.rows.samples() {
            write(sample.ts, &|out| values::write(out, &sample.value));
        }
        let what = match &self.how {
            How::Buckets { what, .. } => what.first().copied().unwrap_or(What::Mean),
            How::Raw { .. } => What::Mean,
        };
        for bucket in data.rows.buckets() {
            // A mean of texts is nothing; then the last one is shown.
            let what = if thinned && bucket.agg.numeric == 0 {
                What::Last
            } else {
                what
            };
            write(bucket.start, &|out| what.write(out, Some(&bucket.agg)));
        }
        out.push(b']');
        Ok(out)
    }

    fn order(&self) -> Order {
        if self.descending {
            Order::Desc
        } else {
            Order::Asc
        }
    }

    /// Reads some of the series.
    pub async fn query(
        &self,
        app: &AppState,
        series: &[(Arc<Device>, Arc<str>)],
        mode: Mode,
    ) -> ApiResult<Vec<SeriesData>> {
        // A bucket is whole, also where the range begins or ends inside it.
        let (from, to) = match &mode {
            Mode::Buckets(buckets) if !buckets.is_empty() => {
                (buckets.bounds(0).0, buckets.bounds(buckets.len() - 1).1)
            }
            _ => (self.from, self.to),
        };
        let series = series
            .iter()
            .map(|(device, key)| (device.id.0, key.clone()));
        let query = Query {
            series: series.collect(),
            from,
            to,
            mode,
        };
        let answer = app.tsdb.query(query).await;
        answer.map_err(ingest::store_error)
    }

    /// Reads all series, within the limits of one answer.
    pub async fn rows(&self, app: &AppState) -> ApiResult<Vec<SeriesData>> {
        let limit = match &self.how {
            How::Buckets { buckets, .. } => {
                return self
                    .query(app, &self.series, Mode::Buckets(buckets.clone()))
                    .await;
            }
            How::Raw { limit } => *limit,
        };
        let order = self.order();
        if let Some(limit) = limit
            && limit.saturating_mul(self.series.len()) <= MAX_POINTS
        {
            return self
                .query(app, &self.series, Mode::Raw { limit, order })
                .await;
        }
        // One series after the other, so that never more than one answer is in memory.
        let mut all = Vec::with_capacity(self.series.len());
        let mut left = MAX_POINTS;
        for series in &self.series {
            let most = limit.unwrap_or(usize::MAX).min(left + 1);
            let mode = Mode::Raw { limit: most, order };
            for data in self.query(app, std::slice::from_ref(series), mode).await? {
                let found = data.rows.samples().len();
                if found > left
                    || matches!(data.rows, Rows::Raw { more: true, .. }) && limit.is_none()
                {
                    let what = format!(
                        "that are more than {MAX_POINTS} points in one answer; give interval, limit or a shorter range, or use GET /telemetry/export"
                    );
                    return Err(wrong("from", what));
                }
                left -= found;
                all.push(data);
            }
        }
        Ok(all)
    }
}

/// The means of equal spans of some keys of a device.
pub async fn means(
    app: &AppState,
    device: &Device,
    keys: &[&str],
    start: i64,
    width: i64,
    count: usize,
) -> ApiResult<Vec<Vec<Option<f64>>>> {
    let spans = i64::try_from(count).unwrap_or(i64::MAX);
    let buckets = Buckets::Fixed {
        start,
        width,
        count,
    };
    let query = Query {
        series: keys
            .iter()
            .map(|key| (device.id.0, Arc::from(*key)))
            .collect(),
        from: start,
        to: start.saturating_add(width.saturating_mul(spans)),
        mode: Mode::Buckets(buckets),
    };
    let found = app.tsdb.query(query).await.map_err(ingest::store_error)?;
    let line = |data: SeriesData| {
        let mut line = vec![None; count];
        if let Rows::Buckets(buckets) = data.rows {
            for bucket in buckets {
                if let Some(slot) = line.get_mut(bucket.index) {
                    *slot = bucket.agg.mean();
                }
            }
        }
        line
    };
    Ok(found.into_iter().map(line).collect())
}

/// The starts and aggregates of buckets, empty ones too when they are to be filled in.
pub fn spread<'a>(
    buckets: &'a Buckets,
    found: &'a [espalier_tsdb::Bucket],
    fill: bool,
    descending: bool,
) -> impl Iterator<Item = (i64, Option<&'a Agg>)> {
    let mut all: Vec<(i64, Option<&Agg>)> = if fill {
        let mut all: Vec<_> = (0..buckets.len())
            .map(|i| (buckets.bounds(i).0, None))
            .collect();
        for bucket in found {
            if let Some(slot) = all.get_mut(bucket.index) {
                slot.1 = Some(&bucket.agg);
            }
        }
        all
    } else {
        found
            .iter()
            .map(|bucket| (bucket.start, Some(&bucket.agg)))
            .collect()
    };
    if descending {
        all.reverse();
    }
    all.into_iter()
}
