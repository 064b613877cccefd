//! Questions and answers: raw samples, buckets and their aggregates. The arithmetic of buckets is here, so both engines
//! share it; where points come from is the engines' affair.

use std::sync::Arc;

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::types::{Sample, Value};

/// Most buckets one query may ask for.
pub const MAX_BUCKETS: usize = 1_000_000;

/// A question about some series over `from <= ts < to` (milliseconds UTC).
#[derive(Debug, Clone)]
pub struct Query {
    /// The series, each a device and a key; unknown ones answer with no rows.
    pub series: Vec<(Uuid, Arc<str>)>,
    /// First millisecond, inclusive.
    pub from: i64,
    /// Last millisecond, exclusive.
    pub to: i64,
    /// What to return.
    pub mode: Mode,
}

/// What a query returns per series.
#[derive(Debug, Clone)]
pub enum Mode {
    /// The points themselves.
    Raw {
        /// Most samples per series.
        limit: usize,
        /// Oldest or newest first.
        order: Order,
    },
    /// One aggregate per bucket that has points.
    Buckets(Buckets),
}

/// Order of raw samples by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

/// How time is divided. Points outside the buckets, or outside `from..to` of the query, do not count.
#[derive(Debug, Clone)]
pub enum Buckets {
    /// Bucket `i` is `edges[i] <= ts < edges[i + 1]`; sorted, strictly increasing: hours, days or months of any time zone.
    Edges(Vec<i64>),
    /// `count` buckets of `width` milliseconds from `start`.
    Fixed {
        /// Start of the first bucket.
        start: i64,
        /// Milliseconds per bucket, more than 0.
        width: i64,
        /// Number of buckets.
        count: usize,
    },
}

impl Buckets {
    /// The number of buckets.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Edges(edges) => edges.len().saturating_sub(1),
            Self::Fixed { count, .. } => *count,
        }
    }

    /// Whether there is no bucket at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Start (inclusive) and end (exclusive) of bucket `index`; the ends saturate at the limits of time.
    #[must_use]
    pub fn bounds(&self, index: usize) -> (i64, i64) {
        match self {
            Self::Edges(edges) => (edges[index], edges[index + 1]),
            Self::Fixed { start, width, .. } => {
                let at = |i: usize| clamp_time(i128::from(*start) + i128::from(*width) * i as i128);
                (at(index), at(index + 1))
            }
        }
    }

    /// The bucket that holds `ts`, if any.
    #[must_use]
    pub fn index_of(&self, ts: i64) -> Option<usize> {
        match self {
            Self::Edges(edges) => {
                let after = edges.partition_point(|edge| *edge <= ts);
                (after > 0 && after < edges.len()).then(|| after - 1)
            }
            Self::Fixed {
                start,
                width,
                count,
            } => {
                let offset = i128::from(ts) - i128::from(*start);
                if offset < 0 {
                    return None;
                }
                usize::try_from(offset / i128::from(*width))
                    .ok()
                    .filter(|index| index < count)
            }
        }
    }
}

fn clamp_time(ts: i128) -> i64 {
    ts.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

impl Query {
    /// Refuses what cannot be answered.
    ///
    /// # Errors
    /// [`Error::InvalidQuery`] for unsorted edges, a width that is not positive, or too many buckets.
    pub fn validate(&self) -> Result<()> {
        let Mode::Buckets(buckets) = &self.mode else {
            return Ok(());
        };
        if buckets.len() > MAX_BUCKETS {
            return Err(Error::InvalidQuery(
                "at most 1,000,000 buckets can be asked for",
            ));
        }
        match buckets {
            Buckets::Edges(edges) if edges.windows(2).any(|pair| pair[0] >= pair[1]) => {
                Err(Error::InvalidQuery("bucket edges must strictly increase"))
            }
            Buckets::Fixed { width, .. } if *width <= 0 => {
                Err(Error::InvalidQuery("the bucket width must be positive"))
            }
            _ => Ok(()),
        }
    }
}

/// The answer for one series, in the order of the question.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesData {
    /// The device.
    pub device: Uuid,
    /// The key.
    pub key: Arc<str>,
    /// The rows, of the kind the mode asked for.
    pub rows: Rows,
}

/// The rows of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// For [`Mode::Raw`].
    Raw {
        /// In the order asked for.
        samples: Vec<Sample>,
        /// Whether the limit cut off further points.
        more: bool,
    },
    /// For [`Mode::Buckets`]: only buckets with points, in order of time.
    Buckets(Vec<Bucket>),
}

impl Rows {
    /// The raw samples, empty for a bucketed answer.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        match self {
            Self::Raw { samples, .. } => samples,
            Self::Buckets(_) => &[],
        }
    }

    /// The buckets, empty for a raw answer.
    #[must_use]
    pub fn buckets(&self) -> &[Bucket] {
        match self {
            Self::Buckets(buckets) => buckets,
            Self::Raw { .. } => &[],
        }
    }
}

/// One bucket with points.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Its position among the buckets asked for.
    pub index: usize,
    /// Its first millisecond.
    pub start: i64,
    /// The millisecond after its last.
    pub end: i64,
    /// What its points amount to.
    pub agg: Agg,
}

/// The aggregate of at least one point. Truth values count as 0 and 1; text and JSON only in `count`, `first` and `last`.
#[derive(Debug, Clone, PartialEq)]
pub struct Agg {
    /// All points.
    pub count: u64,
    /// Points with a numeric meaning; `min`, `max` and `sum` are about these.
    pub numeric: u64,
    /// Smallest number, if any.
    pub min: Option<f64>,
    /// Largest number, if any.
    pub max: Option<f64>,
    /// Sum of the numbers, if any. May overflow to an infinity; the order of summation is not defined.
    pub sum: Option<f64>,
    /// The oldest value.
    pub first: Value,
    /// Its time.
    pub first_ts: i64,
    /// The newest value.
    pub last: Value,
    /// Its time.
    pub last_ts: i64,
}

impl Agg {
    /// The arithmetic mean of the numbers, if any.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        self.sum.map(|sum| sum / self.numeric as f64)
    }

    /// The aggregate of a single sample.
    #[must_use]
    pub fn of(ts: i64, value: Value) -> Self {
        let number = value.as_number();
        Self {
            count: 1,
            numeric: u64::from(number.is_some()),
            min: number,
            max: number,
            sum: number,
            first: value.clone(),
            first_ts: ts,
            last: value,
            last_ts: ts,
        }
    }

    /// Takes in an aggregate of strictly newer points.
    pub fn extend(&mut self, newer: Self) {
        self.count += newer.count;
        self.numeric += newer.numeric;
        self.min = fold(self.min, newer.min, f64::min);
        self.max = fold(self.max, newer.max, f64::max);
        self.sum = fold(self.sum, newer.sum, |a, b| a + b);
        self.last = newer.last;
        self.last_ts = newer.last_ts;
    }

    /// Takes in one strictly newer sample; the inner loop of every bucketed read.
    #[inline]
    pub fn push(&mut self, ts: i64, value: &Value) {
        self.count += 1;
        if let Some(number) = value.as_number() {
            self.numeric += 1;
            self.min = fold(self.min, Some(number), f64::min);
            self.max = fold(self.max, Some(number), f64::max);
            self.sum = fold(self.sum, Some(number), |a, b| a + b);
        }
        self.last.clone_from(value);
        self.last_ts = ts;
    }
}

#[inline]
fn fold(a: Option<f64>, b: Option<f64>, f: impl Fn(f64, f64) -> f64) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(f(a, b)),
        (a, b) => a.or(b),
    }
}

/// Collects points that arrive in order of time into buckets.
#[derive(Debug)]
pub(crate) struct Bucketer<'a> {
    buckets: &'a Buckets,
    done: Vec<Bucket>,
    /// Bounds of the last bucket of `done`; empty before the first.
    open: (i64, i64),
}

impl<'a> Bucketer<'a> {
    pub(crate) fn new(buckets: &'a Buckets) -> Self {
        Self {
            buckets,
            done: Vec::new(),
            open: (0, 0),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, ts: i64, value: &Value) {
        if ts >= self.open.0
            && ts < self.open.1
            && let Some(bucket) = self.done.last_mut()
        {
            bucket.agg.push(ts, value);
            return;
        }
        if let Some(index) = self.buckets.index_of(ts) {
            self.start(index, Agg::of(ts, value.clone()));
        }
    }

    /// Whether all of `t0..=t1` falls into one bucket, so that a stored aggregate can be taken whole.
    pub(crate) fn covers(&self, t0: i64, t1: i64) -> bool {
        self.buckets
            .index_of(t0)
            .is_some_and(|index| t1 < self.buckets.bounds(index).1)
    }

    /// Whether `t0..=t1` touches no bucket, so that its points need not be read.
    pub(crate) fn misses(&self, t0: i64, t1: i64) -> bool {
        let buckets = self.buckets.len();
        buckets == 0 || t1 < self.buckets.bounds(0).0 || t0 >= self.buckets.bounds(buckets - 1).1
    }

    /// Takes a whole aggregate for which [`Self::covers`] holds.
    pub(crate) fn push_agg(&mut self, agg: Agg) {
        let Some(index) = self.buckets.index_of(agg.first_ts) else {
            return;
        };
        match self.done.last_mut() {
            Some(bucket) if bucket.index == index => bucket.agg.extend(agg),
            _ => self.start(index, agg),
        }
    }

    fn start(&mut self, index: usize, agg: Agg) {
        let (start, end) = self.buckets.bounds(index);
        self.open = (start, end);
        self.done.push(Bucket {
            index,
            start,
            end,
            agg,
        });
    }

    pub(crate) fn finish(self) -> Vec<Bucket> {
        self.done
    }
}
