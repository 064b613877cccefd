//! Slows down guessing: after a few failures each further one makes the next attempt wait longer.
//!
//! In memory and bounded. It is not the rate limit of the API ([`crate::http`]); it counts failures only.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Failures that cost nothing: people mistype.
const FREE: u32 = 5;
/// The longest wait between two attempts, milliseconds.
const MAX_WAIT: i64 = 15 * 60 * 1000;
/// Failures are forgotten after that long without another, milliseconds.
const FORGET: i64 = 60 * 60 * 1000;
/// Entries kept; beyond it the ones that would be forgotten first go.
const MAX_ENTRIES: usize = 20_000;

/// What is guessed, and from where.
pub type Key = [u8; 32];

#[derive(Clone, Copy)]
struct Entry {
    failures: u32,
    free: u32,
    last: i64,
}

/// Counts failures.
#[derive(Default)]
pub struct Throttle(Mutex<HashMap<Key, Entry>>);

/// The key for guesses at `what` from `address`. An IPv6 client owns its whole /64 network.
pub fn key(what: &str, address: IpAddr) -> Key {
    let network = match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let s = v6.segments();
            IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], 0, 0, 0, 0))
        }
    };
    crate::random::digest(&format!("{what}\0{network}"))
}

fn wait_after(failures: u32, free: u32) -> i64 {
    match failures.checked_sub(free) {
        None => 0,
        Some(over) => (1000_i64 << over.min(20)).min(MAX_WAIT),
    }
}

impl Throttle {
    /// Milliseconds until the next attempt is allowed, or `None` when it is allowed now.
    pub fn wait(&self, key: &Key, now: i64) -> Option<i64> {
        let entry = *self.0.lock().get(key)?;
        let left = entry.last + wait_after(entry.failures, entry.free) - now;
        (left > 0).then_some(left)
    }

    /// Counts a failure.
    pub fn failed(&self, key: Key, now: i64) {
        self.failed_with(key, FREE, now);
    }

    /// Counts a failure where `free` of them cost nothing.
    pub fn failed_with(&self, key: Key, free: u32, now: i64) {
        let mut entries = self.0.lock();
        if entries.len() >= MAX_ENTRIES && !entries.contains_key(&key) {
            entries.retain(|_, entry| now - entry.last < FORGET);
            if entries.len() >= MAX_ENTRIES {
                let mut times: Vec<i64> = entries.values().map(|entry| entry.last).collect();
                let (_, middle, _) = times.select_nth_unstable(MAX_ENTRIES / 2);
                let middle = *middle;
                entries.retain(|_, entry| entry.last > middle);
            }
        }
        let entry = entries.entry(key).or_insert(Entry {
            failures: 0,
            free,
            last: now,
        });
        if now - entry.last >= FORGET {
            entry.failures = 0;
        }
        entry.failures = entry.failures.saturating_add(1);
        entry.last = now;
    }

    /// Forgets the failures: the right secret was given.
    pub fn succeeded(&self, key: &Key) {
        self.0.lock().remove(key);
    }

    /// Drops what is long past.
    pub fn prune(&self, now: i64) {
        self.0.lock().retain(|_, entry| now - entry.last < FORGET);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_wait_grows_and_success_ends_it() {
        let throttle = Throttle::default();
        let key = key("ada", IpAddr::from([127, 0, 0, 1]));
        for _ in 0..4 {
            throttle.failed(key, 0);
            assert_eq!(throttle.wait(&key, 0), None);
        }
        throttle.failed(key, 0);
        assert_eq!(throttle.wait(&key, 0), Some(1000));
        throttle.failed(key, 1000);
        assert_eq!(throttle.wait(&key, 1000), Some(2000));
        assert_eq!(throttle.wait(&key, 3000), None);
        throttle.succeeded(&key);
        throttle.failed(key, 3000);
        assert_eq!(throttle.wait(&key, 3000), None);
    }

    #[test]
    fn neighbours_in_one_ipv6_network_share_a_count_and_others_do_not() {
        let at = |text: &str| key("ada", text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
    }

    #[test]
    fn it_stays_bounded() {
        let throttle = Throttle::default();
        for n in 0..(MAX_ENTRIES as i64 * 2) {
            throttle.failed(crate::random::digest(&n.to_string()), n);
        }
        assert!(throttle.0.lock().len() <= MAX_ENTRIES);
    }

    proptest! {
        #[test]
        fn the_wait_never_exceeds_its_bound_nor_shrinks(failures: u32) {
            let wait = wait_after(failures, FREE);
            prop_assert!((0..=MAX_WAIT).contains(&wait));
            prop_assert!(wait <= wait_after(failures.saturating_add(1), FREE));
        }
    }
}
