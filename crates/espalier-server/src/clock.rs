//! The only source of the current time; tests hold it still and move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Tells the time in milliseconds UTC.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// A clock that stands still at `now_ms` until it is moved.
    pub fn fixed(now_ms: i64) -> Self {
        Self(Some(Arc::new(AtomicI64::new(now_ms))))
    }

    /// The current time, milliseconds since 1970 UTC.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else asks"
    )]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Some(fixed) => fixed.load(Ordering::SeqCst),
            None => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// Moves a fixed clock; a real one ignores it.
    pub fn advance(&self, ms: i64) {
        if let Some(fixed) = &self.0 {
            fixed.fetch_add(ms, Ordering::SeqCst);
        }
    }
}

/// Writes a moment as RFC 3339 with milliseconds and `Z`, e.g. `2026-11-20T08:15:30.123Z`.
pub fn iso(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(
        |_| String::from("invalid"),
        |t| t.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
    )
}
