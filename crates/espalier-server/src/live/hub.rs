//! Who watches: every app socket and event stream by account, and the events on their way to them.
//!
//! Publishing takes two short locks (the index, the queue of each reader) and never waits: a reader owns a
//! bounded queue, and what happens when it is full concerns nobody else.

use super::queue::{Overflow, Queue, Values};
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
    Dashboard(&'a str),
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
            Subject::Device(id) => {
                self.everything || self.all_devices || self.devices.contains(&id)
            }
            Subject::Dashboard(id) => self.everything || self.dashboards.iter().any(|d| d == id),
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
    /// Takes the frame of the oldest waiting event.
    pub(super) fn pop(&self) -> Option<Utf8Bytes> {
        self.inner.lock().queue.pop()
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

    /// Gives one frame to an account's readers that want it.
    pub(super) fn to_account(&self, account: AccountId, subject: Subject<'_>, text: &Utf8Bytes) {
        let accounts = self.accounts.read();
        for watcher in accounts.get(&account).into_iter().flatten() {
            watcher.offer(subject, false, &self.cut_off, |queue| {
                queue.control(text.clone())
            });
        }
    }

    /// Gives an event of a device to everybody who may see the device now and wants it. `push` writes the
    /// frame the first time it is called, so that an event that nobody watches costs nothing.
    /// `values` says that it holds what the device measures.
    fn to_device_audience(
        &self,
        app: &AppState,
        device: &Device,
        values: bool,
        mut push: impl FnMut(&mut Queue) -> Result<(), Overflow>,
    ) {
        let accounts = self.accounts.read();
        if accounts.is_empty() {
            return;
        }
        // The rules that ship let everybody in this audience see the device.
        let open = identity::by_default(app);
        let may = |w: &Watcher| open || devices::may_watch(app, &w.caller, device, values);
        let subject = Subject::Device(device.id);
        let sees = |account: AccountId| {
            account == device.owner || device.shares.iter().any(|(shared, _)| *shared == account)
        };
        let shared = device.shares.iter().map(|(account, _)| *account);
        let audience = std::iter::once(device.owner).chain(shared.filter(|a| *a != device.owner));
        for watcher in audience.filter_map(|a| accounts.get(&a)).flatten() {
            if may(watcher) {
                watcher.offer(subject, false, &self.cut_off, &mut push);
            }
        }
        drop(accounts);
        let admins = self.admins.read();
        for watcher in admins.iter().filter(|w| !sees(w.caller.account)) {
            if may(watcher) {
                watcher.offer(subject, true, &self.cut_off, &mut push);
            }
        }
    }
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
        // Its registry entry is gone: the event holds who could see it last.
        Event::DeviceRemoved { device } => device.clone(),
        Event::Telemetry { device, .. }
        | Event::Status { device, .. }
        | Event::DeviceAdded { device }
        | Event::Desired { device, .. }
        | Event::Command { device, .. } => {
            // The event may hold an older snapshot; who may see the device is decided now.
            match app.devices.get(device.id) {
                Some(current) => current,
                None => return,
            }
        }
    };
    if let Event::Telemetry { ts, data, .. } = event {
        let (mut values, mut thinned) = (None, 0);
        hub.to_device_audience(app, &device, true, |queue| {
            let values = values.get_or_insert_with(|| Values {
                id: device.id,
                oid: device.oid,
                ts: *ts,
                data: data.clone(),
                text: Some(frame::telemetry(device.oid, *ts, data)),
            });
            thinned += u64::from(!queue.values(values));
            Ok(())
        });
        if thinned > 0 {
            app.ops.metrics.dropped("telemetry", thinned);
        }
        return;
    }
    let mut frames = None;
    hub.to_device_audience(app, &device, false, |queue| {
        frames
            .get_or_insert_with(|| frame::control(event, app.clock.now_ms()))
            .iter()
            .try_for_each(|text| queue.control(text.clone()))
    });
}
