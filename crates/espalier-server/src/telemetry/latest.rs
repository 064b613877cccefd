//! The newest value of every key of a device, in memory, and the interned names of its keys.
//!
//! The telemetry store is the truth; this is loaded from it at first use and follows every append that was made
//! durable. An older point never replaces a newer one, in whatever order the appends return.

use super::ingest::store_error;
use crate::{ApiError, AppState};
use espalier_model::DeviceId;
use espalier_tsdb::{Sample, Value};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;

/// How far arrival times may run ahead of the clock, milliseconds. Samples without a time of their own get distinct
/// arrival times, so that two within one millisecond stay two points; a device that sends more than this many ahead
/// of time shares the last millisecond.
pub const ARRIVAL_LEAD_MS: i64 = 1000;

/// The latest values of the devices that were heard of or asked about since the start.
#[derive(Default)]
pub struct Index(RwLock<HashMap<DeviceId, Arc<Latest>>>);

/// The latest values of one device.
pub struct Latest(Mutex<Inner>);

#[derive(Default)]
pub(super) struct Inner {
    /// Sorted by key.
    entries: Vec<Entry>,
    /// The newest arrival time given to a sample without one of its own.
    last_arrival: i64,
    /// Points were deleted: whoever still holds this must look again.
    stale: bool,
}

/// The latest value of one key.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// When it was measured, milliseconds UTC.
    pub ts: i64,
    /// What was measured.
    pub value: Value,
}

/// Finds the latest values of a device, loading them at first use.
pub async fn of(app: &AppState, device: DeviceId) -> Result<Arc<Latest>, ApiError> {
    let index = &app.telemetry.latest;
    if let Some(latest) = index.0.read().get(&device) {
        return Ok(latest.clone());
    }
    let rows = app.tsdb.latest(device.0).await;
    let rows = rows.map_err(store_error)?;
    let loaded = Arc::new(Latest::new(rows));
    // Who loaded first wins: a second load has seen no more, because appends go through the one in the index.
    Ok(index.0.write().entry(device).or_insert(loaded).clone())
}

impl Index {
    /// Forgets a device after points of it were deleted; the next use loads what is left.
    pub fn forget(&self, device: DeviceId) {
        if let Some(latest) = self.0.write().remove(&device) {
            latest.0.lock().stale = true;
        }
    }

    /// Forgets every device.
    pub fn forget_all(&self) {
        for (_, latest) in self.0.write().drain() {
            latest.0.lock().stale = true;
        }
    }
}

impl Latest {
    fn new(mut rows: Vec<(Arc<str>, Sample)>) -> Self {
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let entries = rows.into_iter().map(|(key, sample)| Entry {
            key,
            ts: sample.ts,
            value: sample.value,
        });
        Self(Mutex::new(Inner {
            entries: entries.collect(),
            ..Inner::default()
        }))
    }

    /// Lets `read` look at the values, sorted by key. It must not block.
    pub fn read<T>(&self, read: impl FnOnce(&[Entry]) -> T) -> T {
        read(&self.0.lock().entries)
    }

    /// Lets `work` intern names and take arrival times.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock())
    }

    /// Takes over values that are durable now and returns which of them are the newest of their key; `None` when
    /// the state was forgotten meanwhile.
    pub fn update(&self, new: &[Entry]) -> Option<Vec<bool>> {
        let mut inner = self.0.lock();
        if inner.stale {
            return None;
        }
        Some(new.iter().map(|entry| inner.put(entry)).collect())
    }
}

impl Inner {
    fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| (*entry.key).cmp(key))
    }

    /// The name of a known key, without a new allocation.
    pub fn interned(&self, key: &str) -> Option<Arc<str>> {
        Some(self.entries[self.find(key).ok()?].key.clone())
    }

    /// The number of keys that have a value.
    pub fn keys(&self) -> usize {
        self.entries.len()
    }

    /// Takes `n` arrival times, one millisecond apart, and returns the first. They end at `now` when the device sent
    /// nothing else lately.
    pub fn arrivals(&mut self, now: i64, n: usize) -> i64 {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        let earliest = now.saturating_sub(n - 1);
        let furthest = now.saturating_add(ARRIVAL_LEAD_MS);
        let first = if self.last_arrival > furthest {
            // The clock was set back: begin again where it is.
            earliest
        } else {
            // A flood shares the furthest moments; going back would make its newest values look old.
            let next = earliest.max(self.last_arrival.saturating_add(1));
            next.min(furthest.saturating_sub(n - 1))
        };
        self.last_arrival = first.saturating_add(n - 1);
        first
    }

    fn put(&mut self, new: &Entry) -> bool {
        match self.find(&new.key) {
            Ok(at) if self.entries[at].ts > new.ts => false,
            Ok(at) => {
                self.entries[at].ts = new.ts;
                self.entries[at].value = new.value.clone();
                true
            }
            Err(at) => {
                self.entries.insert(at, new.clone());
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_never_goes_back_and_stays_near_the_clock() {
        let mut inner = Inner::default();
        let mut newest = 0;
        // Three seconds at five a millisecond, and a batch now and then.
        for now in 1_000_000..1_003_000 {
            for n in [1, 1, 1, 1, 1, if now % 100 == 0 { 50 } else { 1 }] {
                let first = inner.arrivals(now, n);
                let last = first + n as i64 - 1;
                assert!(last >= newest, "{last} after {newest}");
                assert!(last <= now + ARRIVAL_LEAD_MS);
                newest = last;
            }
        }
    }

    #[test]
    fn a_clock_that_was_set_back_is_followed() {
        let mut inner = Inner::default();
        assert_eq!(inner.arrivals(5_000_000, 3), 4_999_998);
        assert_eq!(inner.arrivals(1_000_000, 3), 999_998);
        assert_eq!(inner.arrivals(1_000_000, 2), 1_000_001);
    }
}
