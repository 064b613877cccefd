//! The devices that are connected, and what waits to be written to each.

use crate::AppState;
use crate::live::signal::{End, Signal};
use axum::extract::ws::Utf8Bytes;
use espalier_model::DeviceId;
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Frames that may wait for a device. A device that lets more pile up does not read; it gets the whole
/// pending state when it connects again.
const MAX_WAITING: usize = 256;

/// One connected device.
pub(in crate::live) struct Link {
    pub(super) device: DeviceId,
    /// The digest of the token it showed; another one in the registry means that this one was renewed.
    pub(super) digest: [u8; 32],
    pub(in crate::live) signal: Signal,
    /// Nothing is allocated until something waits.
    outbox: Mutex<VecDeque<Push>>,
}

struct Push {
    command: Option<Box<str>>,
    text: Utf8Bytes,
}

impl Link {
    /// Adds a frame; `command` is the id when it is one. Returns whether it was taken.
    fn push(&self, command: Option<&str>, text: Utf8Bytes, cut_off: &AtomicU64) -> bool {
        if self.signal.ended().is_some() {
            return false;
        }
        let mut outbox = self.outbox.lock();
        if outbox.len() >= MAX_WAITING {
            *outbox = VecDeque::new();
            drop(outbox);
            if self.signal.finish(End::TooSlow) {
                cut_off.fetch_add(1, Ordering::Relaxed);
            }
            return false;
        }
        outbox.push_back(Push {
            command: command.map(Into::into),
            text,
        });
        drop(outbox);
        self.signal.wake();
        true
    }

    /// Takes the oldest waiting frame.
    pub(super) fn pop(&self) -> Option<Utf8Bytes> {
        let mut outbox = self.outbox.lock();
        let push = outbox.pop_front()?;
        if outbox.is_empty() {
            // Idle sockets keep no buffer.
            *outbox = VecDeque::new();
        }
        Some(push.text)
    }

    /// Drops waiting commands that are sent on another way, so that none is sent twice.
    pub(super) fn forget_commands(&self, sent: &HashSet<&str>) {
        self.outbox
            .lock()
            .retain(|push| push.command.as_deref().is_none_or(|id| !sent.contains(id)));
    }
}

/// Every connected device.
#[derive(Default)]
pub(in crate::live) struct Links {
    by_device: RwLock<HashMap<DeviceId, Arc<Link>>>,
    /// Devices that did not read, since the start.
    cut_off: AtomicU64,
}

impl Links {
    /// The link of a device.
    pub(in crate::live) fn get(&self, device: DeviceId) -> Option<Arc<Link>> {
        self.by_device.read().get(&device).cloned()
    }

    /// Pushes a frame to a device; `command` is the id when it is one. Returns whether it was handed over.
    pub(super) fn push(&self, device: DeviceId, command: Option<&str>, text: Utf8Bytes) -> bool {
        self.get(device)
            .is_some_and(|link| link.push(command, text, &self.cut_off))
    }

    /// How many devices were cut off since the start because they did not read.
    pub(in crate::live) fn cut_off(&self) -> u64 {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// How many devices are connected.
    pub(in crate::live) fn len(&self) -> usize {
        self.by_device.read().len()
    }

    /// Every link at this moment.
    pub(in crate::live) fn all(&self) -> Vec<Arc<Link>> {
        self.by_device.read().values().cloned().collect()
    }
}

/// A link that leaves the registry when this is dropped, unless a newer one has taken its place.
pub(super) struct Linked {
    app: AppState,
    link: Arc<Link>,
}

impl std::ops::Deref for Linked {
    type Target = Link;
    fn deref(&self) -> &Link {
        &self.link
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        let mut links = self.app.live.links.by_device.write();
        if links
            .get(&self.link.device)
            .is_some_and(|current| Arc::ptr_eq(current, &self.link))
        {
            links.remove(&self.link.device);
        }
    }
}

/// Registers a connection; an older one of the same device ends.
pub(super) fn connect(app: &AppState, device: DeviceId, digest: [u8; 32]) -> Linked {
    let link = Arc::new(Link {
        device,
        digest,
        signal: Signal::new(app.clock.now_ms()),
        outbox: Mutex::default(),
    });
    let older = app
        .live
        .links
        .by_device
        .write()
        .insert(device, link.clone());
    if let Some(older) = older {
        older.signal.finish(End::Replaced);
    }
    // Looked at after the insertion: whoever stops the server between the two finds the link.
    if app.shutdown.is_cancelled() {
        link.signal.finish(End::Stopping);
    }
    Linked {
        app: app.clone(),
        link,
    }
}
