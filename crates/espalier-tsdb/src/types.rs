//! The nouns of the engine: points, values, samples, and what an append and the counters report.
//! Questions and answers live in `query.rs`, tuning in `options.rs`.

use std::sync::Arc;

use uuid::Uuid;

/// Longest accepted key in bytes; longer names are a client error, not data.
pub const MAX_KEY_BYTES: usize = 1024;

/// Longest accepted text or JSON value in bytes. A point is a measurement; documents and images have other homes.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// One measurement of one series. A series is a (`device`, `key`) pair; a point is identified by its series and `ts`.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The device that measured.
    pub device: Uuid,
    /// The name of what was measured, at most [`MAX_KEY_BYTES`] bytes, not empty, without NUL.
    pub key: Arc<str>,
    /// When, in milliseconds since the Unix epoch, UTC.
    pub ts: i64,
    /// What was measured.
    pub value: Value,
}

/// The value of a point. One series may change its kind over time.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A finite number; the engine refuses NaN and infinities.
    Number(f64),
    /// A truth value; aggregates count it as 0 or 1.
    Bool(bool),
    /// Text of at most [`MAX_TEXT_BYTES`] bytes.
    Text(Arc<str>),
    /// The canonical JSON text of a small object or array, at most [`MAX_TEXT_BYTES`] bytes. The engine does not parse it.
    Json(Arc<str>),
}

impl Value {
    /// The number this value counts as in aggregates: itself, or 0/1 for a truth value; nothing for text and JSON.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Bool(flag) => Some(f64::from(u8::from(*flag))),
            Self::Text(_) | Self::Json(_) => None,
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// A value at a time (milliseconds UTC), without the name of its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When, in milliseconds since the Unix epoch, UTC.
    pub ts: i64,
    /// What was measured.
    pub value: Value,
}

/// What an append did. `accepted == new + replaced`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// Points given, all of which are now durable.
    pub accepted: u64,
    /// Points whose (series, ts) did not exist before.
    pub new: u64,
    /// Points whose (series, ts) existed: the same point again, or a newer value for it.
    pub replaced: u64,
}

/// Counters of one engine. Counts of events start at zero when the engine is opened; sizes describe the store as it is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stats {
    /// Points acknowledged since the engine was opened.
    pub accepted: u64,
    /// Of those, points that did not exist before.
    pub new: u64,
    /// Of those, points that existed already (repeated or replaced).
    pub replaced: u64,
    /// Durable commits of appends since the engine was opened; `accepted / commits` is the size of a group.
    pub commits: u64,
    /// Appends refused because the queue was full.
    pub refused: u64,
    /// Points waiting to be committed.
    pub queue_depth: u64,
    /// Series known.
    pub series: u64,
    /// Points held in memory because they are not sealed yet (0 on PostgreSQL).
    pub head_points: u64,
    /// Bytes in the journal (0 on PostgreSQL).
    pub journal_bytes: u64,
    /// Sealed chunks stored (0 on PostgreSQL).
    pub sealed_chunks: u64,
    /// Points in sealed chunks, or all rows of the point table as PostgreSQL estimates them.
    pub sealed_points: u64,
    /// Bytes of sealed chunk data, without the database's own overhead (0 on PostgreSQL).
    pub sealed_bytes: u64,
    /// Bytes the store takes on disk: database file and write-ahead log, or the tables and indexes on PostgreSQL.
    pub stored_bytes: u64,
}

impl Stats {
    /// Bytes of chunk data per sealed point, or nothing before the first seal.
    #[must_use]
    pub fn bytes_per_sealed_point(&self) -> Option<f64> {
        (self.sealed_points > 0 && self.sealed_bytes > 0)
            .then(|| self.sealed_bytes as f64 / self.sealed_points as f64)
    }
}

/// How long points of some series are kept. Of several rules that match a series the most specific wins:
/// device and key, then device, then key, then the rule for all.
#[derive(Debug, Clone, PartialEq)]
pub struct RetentionRule {
    /// The device, or all devices.
    pub device: Option<Uuid>,
    /// The key, or all keys.
    pub key: Option<Arc<str>>,
    /// Points older than this many milliseconds are removed.
    pub keep_ms: i64,
}

impl RetentionRule {
    /// The oldest time that the best matching rule of `rules` keeps, or nothing when no rule matches the series.
    pub(crate) fn cutoff(rules: &[Self], device: Uuid, key: &str, now_ms: i64) -> Option<i64> {
        rules
            .iter()
            .filter(|rule| {
                rule.device.is_none_or(|d| d == device)
                    && rule.key.as_deref().is_none_or(|k| k == key)
            })
            .max_by_key(|rule| (rule.device.is_some(), rule.key.is_some()))
            .map(|rule| now_ms.saturating_sub(rule.keep_ms.max(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_retention_rule_wins() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let rule = |device, key: Option<&str>, keep_ms| RetentionRule {
            device,
            key: key.map(Into::into),
            keep_ms,
        };
        let rules = [
            rule(None, None, 10),
            rule(None, Some("t"), 20),
            rule(Some(a), None, 30),
            rule(Some(a), Some("t"), 40),
        ];
        assert_eq!(RetentionRule::cutoff(&rules, a, "t", 100), Some(60));
        assert_eq!(RetentionRule::cutoff(&rules, a, "x", 100), Some(70));
        assert_eq!(RetentionRule::cutoff(&rules, b, "t", 100), Some(80));
        assert_eq!(RetentionRule::cutoff(&rules, b, "x", 100), Some(90));
        assert_eq!(RetentionRule::cutoff(&rules[1..2], b, "x", 100), None);
    }
}
