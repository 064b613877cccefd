//! Who waits for the outcome of which command; woken, never polling.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// The requests that wait for outcomes.
#[derive(Default)]
pub struct Waiters(Mutex<HashMap<String, Arc<Notify>>>);

/// One request that waits; it leaves nothing behind when it is dropped.
pub struct Waiting<'a> {
    /// Notified when the outcome is known.
    pub signal: Arc<Notify>,
    waiters: &'a Waiters,
    id: &'a str,
}

impl Waiters {
    /// Begins to wait for this command; to be called before looking whether there is an outcome already.
    pub fn wait<'a>(&'a self, id: &'a str) -> Waiting<'a> {
        Waiting {
            signal: self.0.lock().entry(id.to_owned()).or_default().clone(),
            waiters: self,
            id,
        }
    }

    /// Wakes everybody who waits for this command.
    pub fn wake(&self, id: &str) {
        if let Some(signal) = self.0.lock().remove(id) {
            signal.notify_waiters();
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.0.lock();
        // One count is this one's, one the map's: nobody else waits.
        let last = |signal: &Arc<Notify>| {
            Arc::ptr_eq(signal, &self.signal) && Arc::strong_count(signal) == 2
        };
        if waiting.get(self.id).is_some_and(last) {
            waiting.remove(self.id);
        }
    }
}
