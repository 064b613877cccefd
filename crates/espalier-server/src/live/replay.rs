//! What event streams may have missed: the last events of each account that reads one, so that a reader whose
//! connection broke goes on where it was.
//!
//! Bounded in every direction: accounts, events and bytes per account, and time. What it forgot it says so, and
//! the reader loads anew. Frames are shared with the readers' queues; nothing is kept per connection, and
//! nothing for accounts that read no stream.

use crate::{AppState, random};
use axum::extract::ws::Utf8Bytes;
use espalier_model::{AccountId, DeviceId};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Accounts whose events are kept; further ones read without the means to resume.
const MAX_RINGS: usize = 64;

/// How long events are kept for an account after its last stream ended, milliseconds: longer than a phone
/// needs to find its network again.
const KEEP_MS: i64 = 5 * 60 * 1_000;

/// Events and bytes that are kept of devices and dashboards: about a minute of a busy home.
const EVENTS: Bound = Bound {
    items: 1_024,
    bytes: 512 * 1024,
};

/// The same for notifications, apart, so that telemetry does not push them out.
const NOTIFICATIONS: Bound = Bound {
    items: 128,
    bytes: 128 * 1024,
};

#[derive(Clone, Copy)]
struct Bound {
    items: usize,
    bytes: usize,
}

/// Which of the two streams an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Events,
    Notifications,
}

/// Names an event of an account on the wire. A restarted server, or one that forgot, uses another `epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) epoch: u64,
    pub(super) seq: u64,
}

impl EventId {
    /// Reads what [`EventId`] displays; nothing for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (epoch, seq) = text.trim().split_once('-')?;
        Some(Self {
            epoch: u64::from_str_radix(epoch, 16).ok()?,
            seq: seq.parse().ok()?,
        })
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.seq)
    }
}

/// An event that was told.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) seq: u64,
    /// The device that one must still be allowed to see to hear of it again.
    pub(super) device: Option<DeviceId>,
    /// It holds what the device measures, which the access rules may treat apart.
    pub(super) values: bool,
    pub(super) text: Utf8Bytes,
}

#[derive(Default)]
struct Held {
    items: VecDeque<Kept>,
    bytes: usize,
    /// The newest event that was forgotten.
    lost: u64,
}

impl Held {
    fn push(&mut self, kept: Kept, bound: Bound) {
        self.bytes += kept.text.len();
        self.items.push_back(kept);
        while (self.items.len() > bound.items || self.bytes > bound.bytes)
            && let Some(oldest) = self.items.pop_front()
        {
            self.bytes -= oldest.text.len();
            self.lost = oldest.seq;
        }
    }
}

/// The last events of one account.
pub(super) struct Ring {
    epoch: u64,
    seq: u64,
    events: Held,
    notifications: Held,
    readers: usize,
    idle_since: i64,
}

impl Ring {
    fn new(epoch: u64) -> Self {
        Self {
            epoch,
            seq: 0,
            events: Held::default(),
            notifications: Held::default(),
            readers: 0,
            idle_since: 0,
        }
    }

    /// Keeps an event and returns its place.
    pub(super) fn keep(
        &mut self,
        lane: Lane,
        device: Option<DeviceId>,
        values: bool,
        text: &Utf8Bytes,
    ) -> u64 {
        self.seq += 1;
        let kept = Kept {
            seq: self.seq,
            device,
            values,
            text: text.clone(),
        };
        match lane {
            Lane::Events => self.events.push(kept, EVENTS),
            Lane::Notifications => self.notifications.push(kept, NOTIFICATIONS),
        }
        self.seq
    }

    fn after(&self, lane: Lane, id: EventId) -> Option<Vec<Kept>> {
        let held = match lane {
            Lane::Events => &self.events,
            Lane::Notifications => &self.notifications,
        };
        if id.epoch != self.epoch || id.seq < held.lost || id.seq > self.seq {
            return None;
        }
        let from = held.items.partition_point(|kept| kept.seq <= id.seq);
        Some(held.items.range(from..).cloned().collect())
    }
}

/// The rings of all accounts that read streams, or did so lately.
#[derive(Default)]
pub(super) struct Rings(RwLock<HashMap<AccountId, Arc<Mutex<Ring>>>>);

impl Rings {
    /// The ring of an account, when it has one.
    pub(super) fn get(&self, account: AccountId) -> Option<Arc<Mutex<Ring>>> {
        self.0.read().get(&account).cloned()
    }

    /// Tells whether nothing is kept for anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }

    /// Forgets what nobody came back for.
    pub(super) fn expire(&self, now: i64) {
        if self.is_empty() {
            return;
        }
        self.0.write().retain(|_, ring| {
            let ring = ring.lock();
            ring.readers > 0 || now - ring.idle_since < KEEP_MS
        });
    }

    fn open(&self, account: AccountId, now: i64) -> Option<Arc<Mutex<Ring>>> {
        // Under the lock of the map, so that no ring is forgotten between being found and being counted.
        let mut rings = self.0.write();
        if !rings.contains_key(&account) && rings.len() >= MAX_RINGS {
            let idle = rings.iter().filter_map(|(account, ring)| {
                let ring = ring.lock();
                (ring.readers == 0).then_some((ring.idle_since, *account))
            });
            let (_, longest) = idle.min_by_key(|(since, _)| *since)?;
            rings.remove(&longest);
        }
        let ring = rings.entry(account).or_insert_with(|| {
            let epoch = u64::from_be_bytes(random::bytes());
            Arc::new(Mutex::new(Ring::new(epoch)))
        });
        let mut inner = ring.lock();
        inner.readers += 1;
        inner.idle_since = now;
        drop(inner);
        Some(ring.clone())
    }
}

/// One stream's part in its account's ring; the ring is forgotten some time after the last is dropped.
pub(super) struct Reading {
    app: AppState,
    ring: Arc<Mutex<Ring>>,
    epoch: u64,
}

impl Reading {
    /// Begins to read; nothing when too many accounts do.
    pub(super) fn begin(app: &AppState, account: AccountId) -> Option<Self> {
        let ring = app.live.hub.rings().open(account, app.clock.now_ms())?;
        let epoch = ring.lock().epoch;
        Some(Self {
            app: app.clone(),
            ring,
            epoch,
        })
    }

    /// The id of an event at this place.
    pub(super) fn id(&self, seq: u64) -> EventId {
        EventId {
            epoch: self.epoch,
            seq,
        }
    }

    /// The place of the newest event.
    pub(super) fn newest(&self) -> u64 {
        self.ring.lock().seq
    }

    /// What was told after an event, with the place of the newest event; nothing when some of it is forgotten.
    pub(super) fn after(&self, lane: Lane, id: EventId) -> Option<(Vec<Kept>, u64)> {
        let ring = self.ring.lock();
        Some((ring.after(lane, id)?, ring.seq))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut ring = self.ring.lock();
        ring.readers -= 1;
        ring.idle_since = self.app.clock.now_ms();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(kept: &[Kept]) -> Vec<&str> {
        kept.iter().map(|kept| kept.text.as_str()).collect()
    }

    #[test]
    fn an_id_reads_back_and_nothing_else_does() {
        let id = EventId {
            epoch: u64::MAX,
            seq: 7,
        };
        assert_eq!(EventId::parse(&id.to_string()), Some(id));
        for text in [
            "",
            "-",
            "7",
            "x-7",
            "f-",
            "f--1",
            "f-7-7",
            "10000000000000000-1",
        ] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_flood_of_events_does_not_push_out_notifications() {
        let mut ring = Ring::new(1);
        ring.keep(Lane::Notifications, None, false, &"note".into());
        for n in 0..2 * EVENTS.items {
            ring.keep(Lane::Events, None, false, &n.to_string().into());
        }
        let id = |seq| EventId { epoch: 1, seq };
        assert!(ring.after(Lane::Events, id(0)).is_none());
        let notes = ring.after(Lane::Notifications, id(0)).unwrap();
        assert_eq!(texts(&notes), ["note"]);
        assert_eq!(ring.events.items.len(), EVENTS.items);
    }

    proptest! {
        /// Whoever comes back either gets exactly what came after its last event, or is told to load anew;
        /// and the bounds hold.
        #[test]
        fn nothing_is_missing_unless_it_is_said(
            events in proptest::collection::vec((any::<bool>(), 0usize..40_000), 0..200),
            last in 0u64..250,
        ) {
            let mut ring = Ring::new(9);
            let mut all = Vec::new();
            for (note, size) in &events {
                let lane = if *note { Lane::Notifications } else { Lane::Events };
                let text = "x".repeat(*size);
                let seq = ring.keep(lane, None, false, &text.as_str().into());
                all.push((seq, lane));
            }
            prop_assert!(ring.events.bytes <= EVENTS.bytes && ring.notifications.bytes <= NOTIFICATIONS.bytes);
            for lane in [Lane::Events, Lane::Notifications] {
                let expected: Vec<u64> = all.iter().filter(|(s, l)| *l == lane && *s > last).map(|(s, _)| *s).collect();
                match ring.after(lane, EventId { epoch: 9, seq: last }) {
                    Some(kept) => {
                        let seqs: Vec<u64> = kept.iter().map(|kept| kept.seq).collect();
                        prop_assert_eq!(seqs, expected);
                    }
                    None => {
                        let held = if lane == Lane::Events { &ring.events } else { &ring.notifications };
                        prop_assert!(last > ring.seq || held.lost > last);
                    }
                }
                let foreign = EventId { epoch: 8, seq: last };
                prop_assert!(ring.after(lane, foreign).is_none());
            }
        }
    }
}
