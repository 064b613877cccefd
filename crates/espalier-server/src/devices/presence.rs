//! Whether a board is there: online with its first sign of life, offline after three missed reports.
//!
//! [`Presence`] is a handful of atomics shared by all snapshots of a device, so that noting a sign of life
//! costs a store and a load. Everything else (events, notifications, the stored copy) is left to
//! [`super::tick`]. It does not know why a device is silent.

use super::{Device, store};
use crate::live::{self, Event, NewNotification};
use crate::{ApiError, AppState};
use espalier_model::{AccountId, DeviceId};
use parking_lot::Mutex;
use serde_json::json;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64};
use tokio::sync::Notify;

/// Reports that a device may miss before it counts as offline.
pub const MISSED_REPORTS: i64 = 3;

/// The shortest time between two notifications about a device coming and going, milliseconds: five minutes,
/// so that a flapping board is a line in its events and not a flood in the inbox.
pub const NOTIFY_COOLDOWN_MS: i64 = 5 * 60 * 1000;

/// How old the stored moment of the last sign of life may be, milliseconds.
const SAVE_MS: i64 = 60 * 1000;

/// Notifications that wait for the database; more than these are dropped and counted in the log.
const OUTBOX: usize = 10_000;

/// Stands for "never" in the atomics below.
const NEVER: i64 = i64::MIN;

/// Whether one device is there.
pub struct Presence {
    online: AtomicBool,
    gone: AtomicBool,
    last_seen: AtomicI64,
    /// The last change of `online`.
    status_at: AtomicI64,
    /// The deadline under which the device stands in the tracker's queue; other entries are stale.
    scheduled: AtomicI64,
    /// The value of `last_seen` that is stored.
    saved: AtomicI64,
    /// What people were told last, and when.
    announced: AtomicBool,
    announced_at: AtomicI64,
    pub(super) alerts: [super::alerts::Alert; 2],
    pub(super) events_since_trim: AtomicU32,
}

impl Presence {
    /// A device that was never heard of.
    pub fn new() -> Self {
        Self::restored(false, None, None)
    }

    /// What the database knows of a device. Nothing of it is announced again.
    pub fn restored(online: bool, last_active: Option<i64>, status_at: Option<i64>) -> Self {
        Self {
            online: AtomicBool::new(online),
            gone: AtomicBool::new(false),
            last_seen: AtomicI64::new(last_active.unwrap_or(NEVER)),
            status_at: AtomicI64::new(status_at.unwrap_or(NEVER)),
            scheduled: AtomicI64::new(NEVER),
            saved: AtomicI64::new(last_active.unwrap_or(NEVER)),
            announced: AtomicBool::new(online),
            announced_at: AtomicI64::new(NEVER),
            alerts: Default::default(),
            events_since_trim: AtomicU32::new(0),
        }
    }

    pub fn is_online(&self) -> bool {
        self.online.load(Relaxed)
    }

    pub fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }

    pub fn last_active(&self) -> Option<i64> {
        known(&self.last_seen)
    }

    pub fn status_at(&self) -> Option<i64> {
        known(&self.status_at)
    }

    /// The device was deleted: from now on nothing is announced or stored of it.
    pub fn bury(&self) {
        self.gone.store(true, SeqCst);
    }
}

fn known(moment: &AtomicI64) -> Option<i64> {
    Some(moment.load(Relaxed)).filter(|&at| at != NEVER)
}

/// What [`super::tick`] has to do for all devices together.
#[derive(Default)]
pub struct Tracker {
    /// When this server began to listen; silence before it is not the devices' fault.
    boot: AtomicI64,
    /// Held while a device changes between online and offline, so that its events are in order.
    transition: Mutex<()>,
    /// Online devices by the moment at which to look at them again.
    queue: Mutex<BinaryHeap<Reverse<(i64, DeviceId)>>>,
    /// Devices whose stored presence is out of date.
    dirty: Mutex<HashSet<DeviceId>>,
    /// Devices whose state people were not told yet.
    untold: Mutex<HashSet<DeviceId>>,
    outbox: Mutex<VecDeque<(AccountId, NewNotification)>>,
    /// Notifications caused since the start.
    pub(super) caused: AtomicU64,
    /// Wakes the background task before its time.
    pub(super) wake: Notify,
    /// Held by whoever runs a tick.
    pub(super) ticking: tokio::sync::Mutex<()>,
}

impl Tracker {
    fn schedule(&self, device: &Device, at: i64) {
        device.presence.scheduled.store(at, Relaxed);
        self.queue.lock().push(Reverse((at, device.id)));
    }

    pub(super) fn send(&self, to: AccountId, notification: NewNotification) {
        let mut outbox = self.outbox.lock();
        if outbox.len() >= OUTBOX {
            tracing::warn!(
                "more than {OUTBOX} notifications wait for the database; one is dropped"
            );
            return;
        }
        outbox.push_back((to, notification));
        self.caused.fetch_add(1, Relaxed);
        drop(outbox);
        self.wake.notify_one();
    }
}

/// How long a device may be silent, milliseconds.
pub fn patience_ms(app: &AppState, device: &Device) -> i64 {
    // Its owner's word first, then its own, then the installation's.
    let said = || device.facts.as_ref()?.expected_interval_seconds;
    device
        .expected_interval_s
        .or_else(said)
        .map_or(app.config.offline_after_ms(), |seconds| {
            MISSED_REPORTS * i64::from(seconds) * 1000
        })
}

/// Begins to watch the devices that were online when the server stopped.
pub fn begin(app: &AppState) {
    let now = app.clock.now_ms();
    app.devices.tracker.boot.store(now, Relaxed);
    for device in app.devices.all() {
        if device.is_online() {
            let at = now + patience_ms(app, &device).min(SAVE_MS);
            app.devices.tracker.schedule(&device, at);
        }
    }
}

/// Notes that a device was heard of just now: it is online.
///
/// It is called for every report, so it touches nothing but the device's own atomics unless the device was
/// offline.
pub fn seen(app: &AppState, device: &Device) {
    let now = app.clock.now_ms();
    let presence = &*device.presence;
    // SeqCst pairs with `expire`: of a report and a deadline at the same moment, one always sees the other.
    if presence.last_seen.load(Relaxed) < now {
        presence.last_seen.store(now, SeqCst);
    }
    if !presence.online.load(SeqCst) {
        turn(app, device, true, now, json!({}));
    }
}

/// Lets a device come or go, announces it and returns whether that was a change.
pub fn turn(
    app: &AppState,
    device: &Device,
    online: bool,
    now: i64,
    detail: serde_json::Value,
) -> bool {
    let _ordered = app.devices.tracker.transition.lock();
    if device.is_deleted() || device.presence.online.swap(online, SeqCst) == online {
        return false;
    }
    announce(app, device, online, now, detail);
    true
}

/// Tells that a device came or went; the caller holds the transition lock and has set `online`.
fn announce(app: &AppState, device: &Device, online: bool, now: i64, detail: serde_json::Value) {
    let tracker = &app.devices.tracker;
    device.presence.status_at.store(now, Relaxed);
    tracker.dirty.lock().insert(device.id);
    tracker.untold.lock().insert(device.id);
    if online {
        tracker.schedule(device, now + patience_ms(app, device).min(SAVE_MS));
    }
    let kind = if online { "online" } else { "offline" };
    app.devices.journal.add(device, now, kind, &detail);
    if let Some(device) = app.devices.get(device.id) {
        live::publish(
            app,
            Event::Status {
                device,
                online,
                at: now,
            },
        );
    }
    tracker.wake.notify_one();
}

/// A device's interval was changed: look at it again at the right moment.
pub fn reschedule(app: &AppState, device: &Device) {
    if device.is_online() {
        let now = app.clock.now_ms();
        let at = now + patience_ms(app, device).min(SAVE_MS);
        app.devices.tracker.schedule(device, at);
    }
}

/// Looks at every device whose moment has come: silent ones go offline, the others are looked at later.
pub fn expire(app: &AppState) {
    let now = app.clock.now_ms();
    let tracker = &app.devices.tracker;
    loop {
        let due = {
            let mut queue = tracker.queue.lock();
            match queue.peek() {
                Some(Reverse((at, _))) if *at <= now => queue.pop(),
                _ => None,
            }
        };
        let Some(Reverse((at, id))) = due else { return };
        let Some(device) = app.devices.get(id) else {
            continue;
        };
        if device.presence.scheduled.load(Relaxed) == at && device.is_online() {
            look(app, &device, now);
        }
    }
}

/// The moment at which a device counts as silent.
fn deadline(app: &AppState, device: &Device) -> i64 {
    let presence = &device.presence;
    let since = presence
        .last_seen
        .load(SeqCst)
        .max(presence.status_at.load(Relaxed))
        .max(app.devices.tracker.boot.load(Relaxed));
    since + patience_ms(app, device)
}

fn look(app: &AppState, device: &Device, now: i64) {
    let tracker = &app.devices.tracker;
    let presence = &*device.presence;
    if presence.last_seen.load(Relaxed) != presence.saved.load(Relaxed) {
        tracker.dirty.lock().insert(device.id);
    }
    if deadline(app, device) <= now {
        let _ordered = tracker.transition.lock();
        // Offline first, then a second look: a report at this very moment either sees the flag and comes
        // through `turn`, or is seen here.
        presence.online.store(false, SeqCst);
        if deadline(app, device) <= now {
            let silent_ms = now - presence.last_seen.load(Relaxed).max(0);
            announce(app, device, false, now, json!({ "silent_ms": silent_ms }));
            return;
        }
        presence.online.store(true, SeqCst);
    }
    tracker.schedule(device, deadline(app, device).min(now + SAVE_MS));
}

/// Tells owners about devices that came or went, at most once per device and [`NOTIFY_COOLDOWN_MS`], and
/// only when the device is not already back in the state that was told last.
pub fn tell(app: &AppState) {
    let now = app.clock.now_ms();
    let waiting: Vec<DeviceId> = app.devices.tracker.untold.lock().iter().copied().collect();
    for id in waiting {
        let told = app
            .devices
            .get(id)
            .is_none_or(|device| tell_one(app, &device, now));
        if told {
            app.devices.tracker.untold.lock().remove(&id);
        }
    }
}

/// Returns whether there is nothing left to tell.
fn tell_one(app: &AppState, device: &Device, now: i64) -> bool {
    let _ordered = app.devices.tracker.transition.lock();
    let presence = &*device.presence;
    let online = presence.is_online();
    if presence.announced.load(Relaxed) == online {
        return true;
    }
    if known(&presence.announced_at).is_some_and(|at| now - at < NOTIFY_COOLDOWN_MS) {
        return false;
    }
    presence.announced.store(online, Relaxed);
    presence.announced_at.store(now, Relaxed);
    let (title, words, kind) = if online {
        ("Device Online", "is online", "success")
    } else {
        ("Device Offline", "went offline", "warning")
    };
    let notification = NewNotification {
        title: title.to_owned(),
        message: format!("{} {words}.", device.name),
        kind,
        details: json!({ "status": if online { "online" } else { "offline" } }),
        device: Some(device.oid),
        widget: None,
    };
    app.devices.tracker.send(device.owner, notification);
    true
}

/// Puts the waiting notifications into the inboxes.
///
/// # Errors
/// Fails when the database does; what is left is sent at the next tick.
pub async fn deliver(app: &AppState) -> Result<(), ApiError> {
    loop {
        let next = app.devices.tracker.outbox.lock().pop_front();
        let Some((to, notification)) = next else {
            return Ok(());
        };
        let again = notification.clone();
        if let Err(error) = live::notify(app, to, notification).await {
            // A full second of patience, not a loss: the outbox is bounded anyway.
            app.devices.tracker.outbox.lock().push_front((to, again));
            return Err(error);
        }
    }
}

/// Stores the presence of the devices whose stored copy is out of date; `everything` also counts those that
/// were merely heard of again, for the moment before the server stops.
///
/// # Errors
/// Fails when the database does; what is left is stored at the next tick.
pub async fn save(app: &AppState, everything: bool) -> Result<(), ApiError> {
    let mut ids = std::mem::take(&mut *app.devices.tracker.dirty.lock());
    if everything {
        let stale =
            |d: &Arc<Device>| d.presence.last_seen.load(Relaxed) != d.presence.saved.load(Relaxed);
        ids.extend(app.devices.all().iter().filter(|d| stale(d)).map(|d| d.id));
    }
    let devices: Vec<_> = ids.iter().filter_map(|&id| app.devices.get(id)).collect();
    for chunk in devices.chunks(store::PRESENCE_CHUNK) {
        let rows: Vec<store::PresenceRow> = chunk
            .iter()
            .map(|device| store::PresenceRow {
                device: device.id,
                online: device.is_online(),
                last_active: device.last_active(),
                status_at: device.presence.status_at(),
            })
            .collect();
        let stored = rows.clone();
        let result: Result<(), espalier_db::Error> =
            app.db.write(move |c| store::save_presence(c, &rows)).await;
        if let Err(error) = result {
            app.devices.tracker.dirty.lock().extend(ids);
            return Err(error.into());
        }
        for (device, row) in chunk.iter().zip(stored) {
            let saved = row.last_active.unwrap_or(NEVER);
            device.presence.saved.store(saved, Relaxed);
        }
    }
    Ok(())
}
