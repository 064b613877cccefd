//! How many downloads run at once: more would only make each of them slower. Boards that are refused come back a little later.

use crate::{ApiError, AppState, random};
use espalier_model::{AccountId, DeviceId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A download that took nothing for so long holds no place any more, milliseconds.
const IDLE_MS: i64 = 60_000;
/// Refused boards come back after at least so many seconds, and at most twice as many: not all at once.
const COME_BACK_S: u32 = 10;

/// Downloads of one board or person at the same time: whoever takes them slowly does not keep all places.
const MOST_OF_ONE: usize = 4;

/// Who downloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A board.
    Board(DeviceId),
    /// A person.
    Person(AccountId),
}

/// The downloads that run.
#[derive(Default)]
pub struct Slots {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    active: HashMap<u64, (By, Arc<AtomicI64>)>,
}

impl Inner {
    /// Tells whether there is no place for one more.
    fn is_full(&self, by: By, limit: usize) -> bool {
        let of_one = self.active.values().filter(|(of, _)| *of == by);
        self.active.len() >= limit || of_one.count() >= MOST_OF_ONE
    }
}

/// A place for one download; it is free again when this is dropped.
pub struct Slot {
    app: AppState,
    number: u64,
    moved: Arc<AtomicI64>,
}

impl Slot {
    /// Takes a place.
    ///
    /// # Errors
    /// 503 with a `Retry-After` that differs from board to board when all are taken.
    pub fn take(app: &AppState, by: By) -> Result<Self, ApiError> {
        let now = app.clock.now_ms();
        let limit = usize::try_from(app.config.max_downloads).unwrap_or(usize::MAX);
        let mut inner = app.ota.delivery.slots.inner.lock();
        if inner.is_full(by, limit) {
            let moves = |moved: &AtomicI64| moved.load(Ordering::Relaxed) + IDLE_MS > now;
            inner.active.retain(|_, (_, moved)| moves(moved));
        }
        if inner.is_full(by, limit) {
            let [a, b] = random::bytes();
            let jitter = u32::from(u16::from_le_bytes([a, b])) % (COME_BACK_S + 1);
            let why = "Too many boards download at this moment; try again a little later.";
            return Err(ApiError::busy(why, COME_BACK_S + jitter));
        }
        inner.next += 1;
        let (number, moved) = (inner.next, Arc::new(AtomicI64::new(now)));
        inner.active.insert(number, (by, moved.clone()));
        drop(inner);
        let app = app.clone();
        Ok(Self { app, number, moved })
    }

    /// Notes that bytes were taken.
    pub fn moves(&self) {
        let now = self.app.clock.now_ms();
        self.moved.store(now, Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut inner = self.app.ota.delivery.slots.inner.lock();
        inner.active.remove(&self.number);
    }
}
