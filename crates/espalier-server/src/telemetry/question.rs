//! Questions about the past: what is asked for, checked and turned into series, a range and buckets.
//!
//! Reading the answer is `history.rs`; what a moment or an interval is, is `range.rs`.

use super::latest::{self, ARRIVAL_LEAD_MS};
use super::range::{self, Interval};
use crate::devices::{self, Device};
use crate::error::ApiResult;
use crate::identity::Principal;
use crate::{ApiError, AppState};
use espalier_model::Action;
use espalier_tsdb::Buckets;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Most series in one answer.
pub const MAX_SERIES: usize = 1000;

/// Most points or buckets in one answer, about 3 MB; more is an export.
pub const MAX_POINTS: usize = 100_000;

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
    /// `series`, `array` for the short form (one series only), or `parquet` for a file.
    pub format: Option<String>,
}

/// One aggregate of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
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
    /// The series, in the order asked for.
    pub series: Vec<(Arc<Device>, Arc<str>)>,
    /// Begin, inclusive, milliseconds UTC.
    pub from: i64,
    /// End, exclusive, milliseconds UTC.
    pub to: i64,
    /// Points or buckets.
    pub how: How,
    /// Whether the newest comes first.
    pub descending: bool,
    /// The time zone as asked for.
    pub tz: String,
    /// The length of a bucket as asked for.
    pub interval: Option<String>,
}

/// What is told of each series.
pub enum How {
    /// The points themselves.
    Raw {
        /// Most of each series.
        limit: Option<usize>,
    },
    /// Aggregates.
    Buckets {
        /// The division of time.
        buckets: Buckets,
        /// The aggregates, each once.
        what: Vec<What>,
        /// Whether buckets without points are told too.
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

/// A refusal of one parameter.
pub fn wrong(field: &str, what: impl Into<String>) -> ApiError {
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

    /// Whether the answer is a Parquet file.
    pub fn is_parquet(&self) -> bool {
        self.format.as_deref() == Some("parquet")
    }

    /// The same question for every point of the range, as an export answers it.
    pub fn of_points(&self) -> Self {
        Self {
            device_ids: self.device_ids.clone(),
            keys: self.keys.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            period: self.period.clone(),
            tz: self.tz.clone(),
            format: self.format.clone(),
            ..Self::default()
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
        if !matches!(
            self.format.as_deref(),
            None | Some("series" | "array" | "parquet")
        ) {
            return Err(wrong("format", "must be series, array or parquet"));
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
                // A file is written series by series; a JSON answer holds all of them.
                let at_once = if self.is_parquet() { 1 } else { series.len() };
                if buckets.len().saturating_mul(at_once) > MAX_POINTS {
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
pub fn equal_spans(from: i64, to: i64, count: usize) -> Buckets {
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

    /// The word for it.
    pub fn name(self) -> &'static str {
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
}
