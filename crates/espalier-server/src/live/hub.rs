//! Who watches: every app socket and event stream by account, and the events on their way to them.
//!
//! Publishing takes two short locks (the index, the queue of each reader) and never waits: a reader owns a
//! bounded queue, and what happens when it is full concerns nobody else.

use super::queue::{Overflow, Queue, Values};
use super::replay::{Lane, Ring, Rings};
use super::signal::{End, Signal};
use super::{Event, frame};
use crate::AppState;
use crate::devices::{self, Device};
use crate::identity::{self, Caller};
use axum::extract::ws::Utf8Bytes;
use espalier_model::{AccountId, DeviceId};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What an event is about, for readers that chose channels.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    Device(DeviceId),
    /// A device that the reader does not see any more.
    Gone(DeviceId),
    Dashboard(&'a str),
    /// A rollout of the reader's.
    Rollout,
    Notification,
}

/// The channels that a reader chose.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    /// Everything of the caller's, but notifications only when the next field says so.
    pub(super) everything: bool,
    pub(super) notifications: bool,
    pub(super) devices: Vec<DeviceId>,
    pub(super) all_devices: bool,
    pub(super) dashboards: Vec<String>,
    pub(super) rollouts: bool,
    /// Every device of the installation; granted to admins only.
    pub(super) admin: bool,
}

impl Selection {
    /// Everything of the caller's.
    pub(super) fn all() -> Self {
        Self {
            everything: true,
            notifications: true,
            ..Self::default()
        }
    }

    fn wants(&self, subject: Subject<'_>) -> bool {
        match subject {
            Subject::Device(id) | Subject::Gone(id) => {
                self.everything || self.all_devices || self.devices.contains(&id)
            }
            Subject::Dashboard(id) => self.everything || self.dashboards.iter().any(|d| d == id),
            Subject::Rollout => self.everything || self.rollouts,
            Subject::Notification => self.notifications,
        }
    }
}

/// One reader: an app socket or an event stream.
pub(super) struct Watcher {
    id: u64,
    pub(super) caller: Caller,
    pub(super) signal: Signal,
    /// Whether silence ends it: a socket must be heard, a stream cannot be.
    pub(super) speaks: bool,
    /// Until when the caller's credential is good, milliseconds UTC; asked again at that moment, because it
    /// may have been prolonged.
    pub(super) good_until: AtomicI64,
    inner: Mutex<Inner>,
}

struct Inner {
    selection: Selection,
    queue: Queue,
}

impl Watcher {
    /// Takes the frame of the oldest waiting event, with its place among those that can be resumed.
    pub(super) fn pop(&self) -> Option<(u64, Utf8Bytes)> {
        self.inner.lock().queue.pop()
    }

    fn wants(&self, subject: Subject<'_>) -> bool {
        self.inner.lock().selection.wants(subject)
    }

    fn offer(
        &self,
        subject: Subject<'_>,
        as_admin: bool,
        cut_off: &AtomicU64,
        mut push: impl FnMut(&mut Queue) -> Result<(), Overflow>,
    ) {
        let pushed = {
            let mut inner = self.inner.lock();
            if self.signal.ended().is_some() {
                return;
            }
            let wanted = if as_admin {
                inner.selection.admin
            } else {
                inner.selection.wants(subject)
            };
            if !wanted {
                return;
            }
            push(&mut inner.queue)
        };
        match pushed {
            Ok(()) => self.signal.wake(),
            Err(Overflow) => {
                if self.signal.finish(End::TooSlow) {
                    cut_off.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Every reader.
#[derive(Default)]
pub(super) struct Hub {
    accounts: RwLock<HashMap<AccountId, Vec<Arc<Watcher>>>>,
    /// Those of them that chose the channel `admin`; almost always nobody.
    admins: RwLock<Vec<Arc<Watcher>>>,
    ids: AtomicU64,
    /// What streams may have missed.
    rings: Rings,
    /// Readers that did not read, since the start.
    cut_off: AtomicU64,
}

/// A reader that leaves the hub when this is dropped.
pub(super) struct Watching {
    app: AppState,
    watcher: Arc<Watcher>,
}

impl std::ops::Deref for Watching {
    type Target = Watcher;
    fn deref(&self) -> &Watcher {
        &self.watcher
    }
}

impl Watching {
    /// Chooses what to hear from now on.
    pub(super) fn select(&self, selection: Selection) {
        let mut admins = self.app.live.hub.admins.write();
        admins.retain(|watcher| watcher.id != self.watcher.id);
        if selection.admin {
            admins.push(self.watcher.clone());
        }
        self.watcher.inner.lock().selection = selection;
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.app.live.hub.remove(&self.watcher);
    }
}

/// Adds a reader.
///
/// # Errors
/// Says why it cannot be served: its credential was revoked meanwhile, or the database is away.
pub(super) async fn watch(
    app: &AppState,
    caller: Caller,
    selection: Selection,
    speaks: bool,
) -> Result<Watching, End> {
    let hub = &app.live.hub;
    let watcher = Arc::new(Watcher {
        id: hub.ids.fetch_add(1, Ordering::Relaxed),
        caller,
        signal: Signal::new(app.clock.now_ms()),
        speaks,
        good_until: AtomicI64::new(0),
        inner: Mutex::new(Inner {
            selection,
            queue: Queue::default(),
        }),
    });
    hub.accounts
        .write()
        .entry(watcher.caller.account)
        .or_default()
        .push(watcher.clone());
    // Looked at after the insertion: whoever cancels between the two finds the reader in the index.
    if app.shutdown.is_cancelled() {
        watcher.signal.finish(End::Stopping);
    }
    let watching = Watching {
        app: app.clone(),
        watcher,
    };
    // Asked after the insertion too: a revocation before it is in the database, one after it finds the
    // reader in the index.
    renew(app, &watching).await?;
    Ok(watching)
}

/// Asks until when the reader's credential is good.
///
/// # Errors
/// The reason to end it, when the credential is not good any more or nobody can tell.
pub(super) async fn renew(app: &AppState, watcher: &Watcher) -> Result<(), End> {
    match identity::good_until(app, &watcher.caller).await {
        Ok(Some(until)) => {
            watcher.good_until.store(until, Ordering::Relaxed);
            Ok(())
        }
        Ok(None) => Err(End::Unauthorized),
        Err(_) => Err(End::Busy),
    }
}

impl Hub {
    fn remove(&self, watcher: &Watcher) {
        let mut accounts = self.accounts.write();
        if let Some(watchers) = accounts.get_mut(&watcher.caller.account) {
            watchers.retain(|w| w.id != watcher.id);
            if watchers.is_empty() {
                accounts.remove(&watcher.caller.account);
            }
        }
        drop(accounts);
        self.admins.write().retain(|w| w.id != watcher.id);
    }

    /// Every reader at this moment.
    pub(super) fn all(&self) -> Vec<Arc<Watcher>> {
        self.accounts.read().values().flatten().cloned().collect()
    }

    /// How many readers an account has.
    pub(super) fn of_account(&self, account: AccountId) -> usize {
        self.accounts.read().get(&account).map_or(0, Vec::len)
    }

    /// How many readers there are.
    pub(super) fn len(&self) -> usize {
        self.accounts.read().values().map(Vec::len).sum()
    }

    /// How many readers were cut off since the start because they did not read.
    pub(super) fn cut_off(&self) -> u64 {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// What streams may have missed.
    pub(super) fn rings(&self) -> &Rings {
        &self.rings
    }

    /// Gives one frame to an account's readers that want it.
    pub(super) fn to_account(&self, account: AccountId, subject: Subject<'_>, text: &Utf8Bytes) {
        let parcel = Parcel::Control(std::slice::from_ref(text).into());
        let accounts = self.accounts.read();
        let watchers = accounts.get(&account).map_or(&[][..], Vec::as_slice);
        self.deliver(
            self.rings.get(account),
            watchers,
            |_| true,
            subject,
            &parcel,
        );
    }

    /// Gives one frame to the readers that chose the channel `admin`, but for those of `account`, which have it already.
    fn to_admins(&self, account: AccountId, subject: Subject<'_>, text: &Utf8Bytes) {
        let parcel = Parcel::Control(std::slice::from_ref(text).into());
        let admins = self.admins.read();
        for watcher in admins.iter().filter(|w| w.caller.account != account) {
            self.hand(watcher, subject, true, 0, &parcel);
        }
    }

    /// Gives an event of a device to everybody who may see the device now and wants it. `parcel` makes the
    /// frames when the first reader wants them, so that an event that nobody watches costs nothing.
    /// `values` says that it holds what the device measures. Returns how many readers got values merged with others.
    fn to_device_audience(
        &self,
        app: &AppState,
        device: &Device,
        subject: Subject<'_>,
        values: bool,
        mut parcel: impl FnMut(AccountId) -> Parcel,
    ) -> u64 {
        let accounts = self.accounts.read();
        if accounts.is_empty() && self.rings.is_empty() {
            return 0;
        }
        // The rules that ship let everybody in this audience see the device.
        let open = identity::by_default(app);
        let may = |w: &Watcher| open || devices::may_watch(app, &w.caller, device, values);
        let mut thinned = 0;
        let sees = |account: AccountId| {
            account == device.owner || device.shares.iter().any(|(shared, _)| *shared == account)
        };
        let shared = device.shares.iter().map(|(account, _)| *account);
        let audience = std::iter::once(device.owner).chain(shared.filter(|a| *a != device.owner));
        for account in audience {
            let watchers = accounts.get(&account).map_or(&[][..], Vec::as_slice);
            let ring = self.rings.get(account);
            if ring.is_some() || watchers.iter().any(|w| w.wants(subject)) {
                thinned += self.deliver(ring, watchers, may, subject, &parcel(account));
            }
        }
        drop(accounts);
        let admins = self.admins.read();
        for watcher in admins.iter().filter(|w| !sees(w.caller.account)) {
            if may(watcher) {
                let parcel = parcel(watcher.caller.account);
                thinned += self.hand(watcher, subject, true, 0, &parcel);
            }
        }
        thinned
    }

    /// Keeps an event for one account's streams and hands it to its readers. Both under the ring's lock, so
    /// that every reader gets the events in the order of their places.
    fn deliver(
        &self,
        ring: Option<Arc<Mutex<Ring>>>,
        watchers: &[Arc<Watcher>],
        may: impl Fn(&Watcher) -> bool,
        subject: Subject<'_>,
        parcel: &Parcel,
    ) -> u64 {
        let mut ring = ring.as_ref().map(|ring| ring.lock());
        let (lane, device) = match subject {
            Subject::Device(id) => (Lane::Events, Some(id)),
            Subject::Gone(_) | Subject::Dashboard(_) | Subject::Rollout => (Lane::Events, None),
            Subject::Notification => (Lane::Notifications, None),
        };
        let values = matches!(parcel, Parcel::Values(_));
        let mut keep = |text: &Utf8Bytes| {
            let ring = ring.as_mut();
            ring.map_or(0, |ring| ring.keep(lane, device, values, text))
        };
        let mut thinned = 0;
        match parcel {
            Parcel::Control(frames) => {
                for text in frames.iter() {
                    let (seq, one) = (keep(text), Parcel::Control([text.clone()].into()));
                    for watcher in watchers.iter().filter(|w| may(w)) {
                        thinned += self.hand(watcher, subject, false, seq, &one);
                    }
                }
            }
            Parcel::Values(values) => {
                let seq = values.text.as_ref().map_or(0, keep);
                for watcher in watchers.iter().filter(|w| may(w)) {
                    thinned += self.hand(watcher, subject, false, seq, parcel);
                }
            }
        }
        thinned
    }

    /// Puts an event into one reader's queue; returns 1 when its values were merged with others.
    fn hand(
        &self,
        watcher: &Watcher,
        subject: Subject<'_>,
        as_admin: bool,
        seq: u64,
        parcel: &Parcel,
    ) -> u64 {
        let mut thinned = 0;
        watcher.offer(subject, as_admin, &self.cut_off, |queue| match parcel {
            Parcel::Control(frames) => frames
                .iter()
                .try_for_each(|text| queue.control(seq, text.clone())),
            Parcel::Values(values) => {
                thinned = u64::from(!queue.values(values, seq));
                Ok(())
            }
        });
        thinned
    }
}

/// An event, written.
#[derive(Clone)]
enum Parcel {
    Control(Arc<[Utf8Bytes]>),
    Values(Values),
}

/// Hands an event to everybody who watches.
pub(super) fn publish(app: &AppState, event: &Event) {
    let hub = &app.live.hub;
    let device = match event {
        Event::Widget {
            account, dashboard, ..
        }
        | Event::WidgetDeleted {
            account, dashboard, ..
        } => {
            for text in frame::control(event, app.clock.now_ms()) {
                hub.to_account(*account, Subject::Dashboard(dashboard), &text);
            }
            return;
        }
        Event::Rollout { account, .. } => {
            for text in frame::control(event, app.clock.now_ms()) {
                hub.to_account(*account, Subject::Rollout, &text);
                hub.to_admins(*account, Subject::Rollout, &text);
            }
            return;
        }
        // Its registry entry is gone: the event holds who could see it last.
        Event::DeviceRemoved { device } => device.clone(),
        Event::Telemetry { device, .. }
        | Event::Status { device, .. }
        | Event::DeviceAdded { device }
        | Event::Desired { device, .. }
        | Event::Update { device, .. }
        | Event::Command { device, .. } => {
            // The event may hold an older snapshot; who may see the device is decided now.
            match app.devices.get(device.id) {
                Some(current) => current,
                None => return,
            }
        }
    };
    let mut written = None;
    let now = app.clock.now_ms();
    let subject = match event {
        Event::DeviceRemoved { .. } => Subject::Gone(device.id),
        _ => Subject::Device(device.id),
    };
    let values = matches!(event, Event::Telemetry { .. });
    let thinned = hub.to_device_audience(app, &device, subject, values, |account| match event {
        // It says what the reader is to the device, so that each gets its own.
        Event::DeviceAdded { .. } => Parcel::Control([frame::added(&device, account, now)].into()),
        _ => written
            .get_or_insert_with(|| write(event, &device, now))
            .clone(),
    });
    if thinned > 0 {
        app.ops.metrics.dropped("telemetry", thinned);
    }
}

fn write(event: &Event, device: &Device, now: i64) -> Parcel {
    match event {
        Event::Telemetry { ts, data, .. } => Parcel::Values(Values {
            id: device.id,
            oid: device.oid,
            ts: *ts,
            data: data.clone(),
            seq: 0,
            text: Some(frame::telemetry(device.oid, *ts, data)),
        }),
        other => Parcel::Control(frame::control(other, now).into()),
    }
}
