//! Who waits for the outcome of which command; woken, never polling.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// The requests that wait for outcomes.
#[derive(Default)]
pub struct Waiters(Mutex<HashMap<String, Arc<Notify>>>);

impl Waiters {
    /// A signal for the outcome of this command; ask for it before looking whether there is one already.
    pub fn signal(&self, id: &str) -> Arc<Notify> {
        self.0.lock().entry(id.to_owned()).or_default().clone()
    }

    /// Wakes everybody who waits for this command.
    pub fn wake(&self, id: &str) {
        if let Some(signal) = self.0.lock().remove(id) {
            signal.notify_waiters();
        }
    }

    /// Drops a signal that nobody else holds.
    pub fn leave(&self, id: &str, mine: Arc<Notify>) {
        let mut waiting = self.0.lock();
        drop(mine);
        if waiting.get(id).is_some_and(|s| Arc::strong_count(s) == 1) {
            waiting.remove(id);
        }
    }
}
