//! The devices that are connected, and what waits to be written to each.

use crate::AppState;
use crate::live::signal::{End, Signal};
use axum::extract::ws::Utf8Bytes;
use espalier_model::DeviceId;
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

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
    pub(super) fn push(&self, command: Option<&str>, text: Utf8Bytes) -> bool {
        if self.signal.ended().is_some() {
            return false;
        }
        let mut outbox = self.outbox.lock();
        if outbox.len() >= MAX_WAITING {
            *outbox = VecDeque::new();
            drop(outbox);
            self.signal.finish(End::TooSlow);
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
pub(in crate::live) struct Links(RwLock<HashMap<DeviceId, Arc<Link>>>);

impl Links {
    /// The link of a device.
    pub(in crate::live) fn get(&self, device: DeviceId) -> Option<Arc<Link>> {
        self.0.read().get(&device).cloned()
    }

    /// How many devices are connected.
    pub(in crate::live) fn len(&self) -> usize {
        self.0.read().len()
    }

    /// Every link at this moment.
    pub(in crate::live) fn all(&self) -> Vec<Arc<Link>> {
        self.0.read().values().cloned().collect()
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
        let mut links = self.app.live.links.0.write();
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
    let older = app.live.links.0.write().insert(device, link.clone());
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
