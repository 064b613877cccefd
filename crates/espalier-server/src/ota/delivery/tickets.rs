//! The secret in a link that an old sketch follows: for one board and one image, for ten minutes, and until the image went out once.
//!
//! That it went out does not mean that it arrived: what was handed to the network may be lost with the connection, and the updater then
//! asks again at once. So a used link lives on for a moment.

use crate::ota::rollouts::Offer;
use crate::random;
use espalier_model::DeviceId;
use parking_lot::Mutex;
use std::collections::HashMap;

/// How long a link is good, milliseconds.
pub const LIFE_MS: i64 = 10 * 60 * 1000;
/// How long a link is good after the image went out whole, milliseconds.
const USED_LIFE_MS: i64 = 30 * 1000;
/// Links that are remembered; those that end soonest make room.
const MOST: usize = 100_000;

/// What a link stands for.
#[derive(Clone)]
pub struct Ticket {
    /// The board.
    pub device: DeviceId,
    /// What it was offered.
    pub offer: Offer,
    until: i64,
    used: bool,
}

/// The links that are good.
#[derive(Default)]
pub struct Tickets {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_secret: HashMap<String, Ticket>,
    /// A board has one link at a time.
    by_device: HashMap<DeviceId, String>,
}

impl Tickets {
    /// A link's secret for a board: the one it has, when that is for the same offer and good for a while, else a new one.
    pub fn issue(&self, device: DeviceId, offer: &Offer, now: i64) -> String {
        let mut inner = self.inner.lock();
        if let Some(secret) = inner.by_device.get(&device)
            && let Some(ticket) = inner.by_secret.get(secret)
            && (ticket.offer.update, ticket.offer.attempt) == (offer.update, offer.attempt)
            && !ticket.used
            && ticket.until - now > LIFE_MS / 2
        {
            return secret.clone();
        }
        if let Some(old) = inner.by_device.remove(&device) {
            inner.by_secret.remove(&old);
        }
        if inner.by_secret.len() >= MOST {
            inner.make_room(now);
        }
        let secret = hex::encode(random::bytes::<16>());
        let ticket = Ticket {
            device,
            offer: offer.clone(),
            until: now + LIFE_MS,
            used: false,
        };
        inner.by_secret.insert(secret.clone(), ticket);
        inner.by_device.insert(device, secret.clone());
        secret
    }

    /// What a secret stands for, while it is good.
    pub fn find(&self, secret: &str, now: i64) -> Option<Ticket> {
        let inner = self.inner.lock();
        let ticket = inner.by_secret.get(secret)?;
        (now < ticket.until).then(|| ticket.clone())
    }

    /// The image went out whole.
    pub fn used(&self, secret: &str, now: i64) {
        if let Some(ticket) = self.inner.lock().by_secret.get_mut(secret)
            && !ticket.used
        {
            ticket.used = true;
            ticket.until = ticket.until.min(now + USED_LIFE_MS);
        }
    }
}

impl Inner {
    fn make_room(&mut self, now: i64) {
        self.by_secret.retain(|_, ticket| now < ticket.until);
        if self.by_secret.len() >= MOST {
            let mut ends: Vec<i64> = self.by_secret.values().map(|ticket| ticket.until).collect();
            ends.sort_unstable();
            let bound = ends[ends.len() / 10];
            self.by_secret.retain(|_, ticket| ticket.until > bound);
        }
        let by_secret = &self.by_secret;
        self.by_device
            .retain(|_, secret| by_secret.contains_key(secret));
    }
}
