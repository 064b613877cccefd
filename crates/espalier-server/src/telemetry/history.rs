//! History that is true: what was stored, point by point or per bucket, for many series in one answer.
//!
//! It decides what a question means and writes the answer; the arithmetic of buckets is the engine's.

use super::latest::{self, ARRIVAL_LEAD_MS};
use super::range::{self, Interval};
use super::{ingest, values};
use crate::devices::{self, Device};
use crate::error::ApiResult;
use crate::identity::Principal;
use crate::{ApiError, AppState, clock};
use espalier_model::Action;
use espalier_tsdb::{Agg, Buckets, Mode, Order, Query, Rows, SeriesData};
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Most series in one answer.
pub const MAX_SERIES: usize = 1000;

/// Most points or buckets in one answer, about 3 MB; more is an export.
pub const MAX_POINTS: usize = 100_000;

/// Most points that the short form gives as they are; longer ranges are thinned.
const SHORT_POINTS: usize = 10_000;

/// Into how many spans the short form thins a long range.
const SHORT_SPANS: usize = 1000;

/// The range without `from` and `period`, milliseconds.
const DEFAULT_PERIOD: i64 = 24 * 3_600_000;

/// A question about the past.
#[derive(Debug, Default, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Question {
    /// The devices: 24-digit ids or aliases.
    #[schema(required = true, example = json!(["65f0c0ffee0000000000abcd"]))]
    pub device_ids: Vec<String>,
    /// The keys, each of every device; without any, all keys of each device.
    #[schema(example = json!(["temperature", "humidity"]))]
    pub keys: Vec<String>,
    /// Begin, inclusive: ISO, or milliseconds UTC as text. Without it `period` before `to`.
    pub from: Option<String>,
    /// End, exclusive; without it now.
    pub to: Option<String>,
    /// Length of the range when `from` is not given: `15m`, `24h` (the default), `7d`, `30d`.
    pub period: Option<String>,
    /// What to tell of each bucket: `min`, `max`, `mean`, `last`, `first`, `count`, `sum`.
    pub agg: Vec<String>,
    /// Length of a bucket: `10s`, `1m`, `1h`, `1d`, `1w`, `1mo`. Days, weeks and months follow `tz`.
    pub interval: Option<String>,
    /// Number of equal buckets, instead of `interval`.
    pub buckets: Option<usize>,
    /// IANA time zone of days and of times without an offset; `UTC` without it.
    pub tz: Option<String>,
    /// Most points of each series, for raw points.
    pub limit: Option<usize>,
    /// `asc` (the default) or `desc`.
    pub order: Option<String>,
    /// `null` gives buckets without points too.
    pub fill: Option<String>,
    /// `series`, or `array` for the short form (one series only).
    pub format: Option<String>,
}

/// One aggregate of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Min,
    Max,
    Mean,
    Last,
    First,
    Count,
    Sum,
}

/// A question that makes sense.
pub struct Ask {
    series: Vec<(Arc<Device>, Arc<str>)>,
    from: i64,
    to: i64,
    how: How,
    descending: bool,
    tz: String,
    interval: Option<String>,
}

enum How {
    Raw {
        limit: Option<usize>,
    },
    Buckets {
        buckets: Buckets,
        what: Vec<What>,
        fill: bool,
    },
}

/// The range of a question in milliseconds UTC, begin inclusive, end exclusive.
pub struct Range {
    /// Begin.
    pub from: i64,
    /// End.
    pub to: i64,
    /// Whether the end was asked for; else it is now.
    open: bool,
    tz: TimeZone,
}

fn wrong(field: &str, what: impl Into<String>) -> ApiError {
    ApiError::invalid(&["query", field], what)
}

impl Question {
    /// Reads a question from the pairs of a query string; `device_id`, `key` and `agg` may be repeated or be lists
    /// with commas. Unknown names are left alone: clients append them against caches.
    pub fn from_pairs(pairs: Vec<(String, String)>) -> ApiResult<Self> {
        let mut question = Self::default();
        let number = |field: &str, text: &str| {
            text.parse::<usize>()
                .map_err(|_| wrong(field, "must be a whole number"))
        };
        for (name, value) in pairs {
            let list = || {
                value
                    .split(',')
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
            };
            match name.as_str() {
                "device_id" | "device_ids" => question.device_ids.extend(list()),
                "key" | "keys" => question.keys.extend(list()),
                "agg" => question.agg.extend(list()),
                "limit" => question.limit = Some(number("limit", &value)?),
                "buckets" => question.buckets = Some(number("buckets", &value)?),
                "from" => question.from = Some(value),
                "to" => question.to = Some(value),
                "period" => question.period = Some(value),
                "interval" => question.interval = Some(value),
                "tz" => question.tz = Some(value),
                "order" => question.order = Some(value),
                "fill" => question.fill = Some(value),
                "format" => question.format = Some(value),
                _ => {}
            }
        }
        Ok(question)
    }

    /// Whether the answer is the short form: asked for, or one device, one key and nothing that the short form
    /// does not know.
    pub fn is_short(&self) -> bool {
        match self.format.as_deref() {
            Some("array") => true,
            Some(_) => false,
            None => {
                let plain = [
                    &self.from,
                    &self.to,
                    &self.interval,
                    &self.tz,
                    &self.order,
                    &self.fill,
                ];
                self.device_ids.len() == 1
                    && self.keys.len() == 1
                    && self.agg.is_empty()
                    && self.buckets.is_none()
                    && self.limit.is_none()
                    && plain.iter().all(|field| field.is_none())
            }
        }
    }

    /// The range that is asked for.
    pub fn range(&self, now: i64) -> ApiResult<Range> {
        let tz = match &self.tz {
            Some(name) => range::zone(name).map_err(|what| wrong("tz", what))?,
            None => TimeZone::UTC,
        };
        let moment = |field, text: &Option<String>| {
            let read = |text: &String| range::moment(text, &tz).map_err(|what| wrong(field, what));
            text.as_ref().map(read).transpose()
        };
        let (from, to) = (moment("from", &self.from)?, moment("to", &self.to)?);
        let period = self.period.as_deref().map(range::period).transpose();
        let period = period.map_err(|what| wrong("period", what))?;
        if from.is_some() && period.is_some() && to.is_some() {
            return Err(wrong(
                "period",
                "give two of from, to and period, not all three",
            ));
        }
        // Arrival times may run a little ahead of the clock; what was just acknowledged must be seen.
        let open = to.is_none();
        let period = period.unwrap_or(DEFAULT_PERIOD);
        let to = match (from, to) {
            (_, Some(to)) => to,
            (Some(from), None) if self.period.is_some() => from + period,
            _ => now + ARRIVAL_LEAD_MS,
        };
        let from = from.unwrap_or_else(|| if open { now - period } else { to - period });
        if from >= to {
            return Err(wrong("from", "must be before to"));
        }
        Ok(Range { from, to, open, tz })
    }

    /// The devices and keys that are asked for, each only when `principal` may read the device.
    pub async fn series(
        &self,
        app: &AppState,
        principal: &Principal,
    ) -> ApiResult<Vec<(Arc<Device>, Arc<str>)>> {
        if self.device_ids.is_empty() {
            return Err(wrong("device_id", "field required"));
        }
        let too_many = || {
            wrong(
                "device_id",
                format!("that are more than {MAX_SERIES} series; ask for fewer devices or keys"),
            )
        };
        if self.device_ids.len().saturating_mul(self.keys.len().max(1)) > MAX_SERIES {
            return Err(too_many());
        }
        let mut series = Vec::new();
        for id in &self.device_ids {
            let device = devices::require_telemetry(app, principal, id, Action::Read)?;
            if self.keys.is_empty() {
                let latest = latest::of(app, device.id).await?;
                let keys: Vec<_> =
                    latest.read(|entries| entries.iter().map(|e| e.key.clone()).collect());
                series.extend(keys.into_iter().map(|key| (device.clone(), key)));
            } else {
                let keys = self.keys.iter().map(|key| Arc::from(key.as_str()));
                series.extend(keys.map(|key| (device.clone(), key)));
            }
        }
        if series.len() > MAX_SERIES {
            return Err(too_many());
        }
        Ok(series)
    }

    /// Checks the question and decides what it means.
    pub async fn ask(&self, app: &AppState, principal: &Principal) -> ApiResult<Ask> {
        let now = app.clock.now_ms();
        let range = self.range(now)?;
        let series = self.series(app, principal).await?;
        let descending = match self.order.as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(wrong("order", "must be asc or desc")),
        };
        if !matches!(self.format.as_deref(), None | Some("series" | "array")) {
            return Err(wrong("format", "must be series or array"));
        }
        let how = match self.divide(&range, now)? {
            None if !self.agg.is_empty() => {
                return Err(wrong("agg", "give interval=1h or buckets=100 with agg"));
            }
            None => How::Raw { limit: self.limit },
            Some(buckets) => {
                let what = self.what()?;
                let fill = match self.fill.as_deref() {
                    None | Some("none") => false,
                    Some("null") => true,
                    Some(_) => return Err(wrong("fill", "must be null or none")),
                };
                if buckets.len().saturating_mul(series.len()) > MAX_POINTS {
                    let what = format!(
                        "that are more than {MAX_POINTS} buckets in one answer; take a longer interval or fewer series"
                    );
                    return Err(wrong("interval", what));
                }
                How::Buckets {
                    buckets,
                    what,
                    fill,
                }
            }
        };
        Ok(Ask {
            series,
            from: range.from,
            to: range.to,
            how,
            descending,
            tz: self.tz.clone().unwrap_or_else(|| "UTC".to_owned()),
            interval: self.interval.clone(),
        })
    }

    fn divide(&self, range: &Range, now: i64) -> ApiResult<Option<Buckets>> {
        match (&self.interval, self.buckets) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(wrong("buckets", "give interval or buckets, not both")),
            (Some(text), None) => {
                let interval: Interval =
                    range::interval(text).map_err(|what| wrong("interval", what))?;
                // Without an end the last bucket is the one that holds the present, not one of the future.
                let to = if range.open {
                    (now + 1).max(range.from + 1)
                } else {
                    range.to
                };
                let buckets = interval.divide(range.from, to, &range.tz);
                buckets.map(Some).map_err(|what| wrong("interval", what))
            }
            (None, Some(count)) => {
                if count == 0 || count > MAX_POINTS {
                    return Err(wrong("buckets", format!("must be 1 to {MAX_POINTS}")));
                }
                Ok(Some(equal_spans(range.from, range.to, count)))
            }
        }
    }

    fn what(&self) -> ApiResult<Vec<What>> {
        if self.agg.is_empty() {
            return Ok(vec![What::Mean]);
        }
        let mut what = Vec::new();
        for name in &self.agg {
            let one = What::ALL
                .iter()
                .find(|what| what.name() == name)
                .ok_or_else(|| {
                    wrong(
                        "agg",
                        format!("{name:?} is not one of min, max, mean, last, first, count, sum"),
                    )
                })?;
            if !what.contains(one) {
                what.push(*one);
            }
        }
        Ok(what)
    }
}

/// `count` equal spans of at least a millisecond that cover a range.
fn equal_spans(from: i64, to: i64, count: usize) -> Buckets {
    let wanted = i64::try_from(count).unwrap_or(i64::MAX);
    let width = (to - from).unsigned_abs().div_ceil(wanted.unsigned_abs());
    let width = i64::try_from(width).unwrap_or(i64::MAX).max(1);
    Buckets::Fixed {
        start: from,
        width,
        count,
    }
}

impl What {
    const ALL: [Self; 7] = [
        Self::Min,
        Self::Max,
        Self::Mean,
        Self::Last,
        Self::First,
        Self::Count,
        Self::Sum,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Last => "last",
            Self::First => "first",
            Self::Count => "count",
            Self::Sum => "sum",
        }
    }

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

    async fn query(
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

    async fn rows(&self, app: &AppState) -> ApiResult<Vec<SeriesData>> {
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

/// The starts and aggregates of buckets, empty ones too when they are to be filled in.
fn spread<'a>(
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
