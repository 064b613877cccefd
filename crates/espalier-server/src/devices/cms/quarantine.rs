//! The boards that nobody has claimed: in memory, bounded, the oldest forgotten first. Pure.

use super::pin::{Mac, Station, bucket};
use super::said::Said;
use espalier_model::Oid;
use std::collections::HashMap;
use std::net::IpAddr;

/// Boards that wait in total.
pub const MAX_WAITING: usize = 1000;
/// Boards that wait from one address; a home behind one router, or a class.
pub const MAX_PER_ADDRESS: usize = 50;
/// How long a board that is silent is remembered, milliseconds: a week.
const KEEP_MS: i64 = 7 * 24 * 3_600_000;

/// A board that waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Names this entry; it says nothing of the board.
    pub id: Oid,
    /// The id that the board has compiled in.
    pub legacy_id: Box<str>,
    /// Where it speaks from.
    pub address: IpAddr,
    /// Its MAC, when it ever sent one.
    pub mac: Option<Mac>,
    /// Everything it said.
    pub said: Said,
    /// When it was first heard of, milliseconds UTC.
    pub first_seen: i64,
    /// When it was last heard of, milliseconds UTC.
    pub last_seen: i64,
    /// How often it asked.
    pub requests: u64,
}

/// The boards that wait.
#[derive(Debug, Default)]
pub struct Quarantine {
    waiting: Vec<Waiting>,
}

impl Quarantine {
    /// Notes that a board spoke; `fresh` names it when it is new.
    pub fn heard(&mut self, legacy_id: &str, station: Station, said: Said, now: i64, fresh: Oid) {
        if let Some(at) = self.find(legacy_id, station) {
            let entry = &mut self.waiting[at];
            entry.address = station.address;
            entry.mac = station.mac.or(entry.mac);
            entry.last_seen = now;
            entry.requests += 1;
            entry.said.update(said);
            return;
        }
        self.make_room(station.address, now);
        self.waiting.push(Waiting {
            id: fresh,
            legacy_id: legacy_id.into(),
            address: station.address,
            mac: station.mac,
            said,
            first_seen: now,
            last_seen: now,
            requests: 1,
        });
    }

    /// The entry of the board that speaks. The same id with another MAC is another board; without a MAC the address tells, as
    /// long as only one such board is there.
    fn find(&self, legacy_id: &str, station: Station) -> Option<usize> {
        let same = self.waiting.iter().enumerate();
        let same: Vec<_> = same.filter(|(_, w)| *w.legacy_id == *legacy_id).collect();
        let here = || same.iter().filter(|(_, w)| w.address == station.address);
        let found = if station.mac.is_some() {
            let by_mac = same.iter().find(|(_, w)| w.mac == station.mac);
            by_mac.or_else(|| here().find(|(_, w)| w.mac.is_none()))
        } else {
            let nameless = here().find(|(_, w)| w.mac.is_none());
            nameless.or_else(|| here().next().filter(|_| here().count() == 1))
        };
        found.map(|(at, _)| *at)
    }

    /// Forgets who was silent for long, and then the oldest of whoever takes up most room, until one more fits.
    fn make_room(&mut self, address: IpAddr, now: i64) {
        let from = bucket(address);
        let here = self.waiting.iter();
        if here.filter(|w| bucket(w.address) == from).count() >= MAX_PER_ADDRESS {
            self.forget_oldest(from);
        }
        if self.waiting.len() >= MAX_WAITING {
            self.prune(now);
        }
        if self.waiting.len() >= MAX_WAITING {
            let mut counts: HashMap<IpAddr, usize> = HashMap::new();
            for entry in &self.waiting {
                *counts.entry(bucket(entry.address)).or_default() += 1;
            }
            let fullest = counts.into_iter().max_by_key(|&(address, n)| (n, address));
            if let Some((fullest, _)) = fullest {
                self.forget_oldest(fullest);
            }
        }
    }

    fn forget_oldest(&mut self, from: IpAddr) {
        let entries = self.waiting.iter().enumerate();
        let oldest = entries
            .filter(|(_, w)| bucket(w.address) == from)
            .min_by_key(|(_, w)| w.last_seen);
        if let Some((at, _)) = oldest {
            self.waiting.remove(at);
        }
    }

    /// Forgets who was silent for long.
    pub fn prune(&mut self, now: i64) {
        self.waiting.retain(|w| now - w.last_seen < KEEP_MS);
    }

    /// Everybody who waits, the newest first.
    pub fn list(&self) -> Vec<Waiting> {
        let mut list = self.waiting.clone();
        list.sort_by_key(|w| (std::cmp::Reverse(w.first_seen), w.legacy_id.clone()));
        list
    }

    /// Takes a board out.
    pub fn take(&mut self, id: Oid) -> Option<Waiting> {
        let at = self.waiting.iter().position(|w| w.id == id)?;
        Some(self.waiting.remove(at))
    }

    /// Puts a board back that could not be dealt with.
    pub fn put_back(&mut self, entry: Waiting, now: i64) {
        self.make_room(entry.address, now);
        self.waiting.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn station(address: &str, mac: Option<&str>) -> Station {
        Station {
            address: address.parse().unwrap(),
            mac: mac.map(|mac| mac.parse().unwrap()),
        }
    }

    fn oid(n: i64) -> Oid {
        Oid::mint(n * 1000, n.to_be_bytes())
    }

    const A: Option<&str> = Some("24:6F:28:00:00:0A");
    const B: Option<&str> = Some("24:6F:28:00:00:0B");

    #[test]
    fn two_boards_with_one_id_are_two() {
        let mut q = Quarantine::default();
        let mut hear =
            |address, mac, n| q.heard("ID", station(address, mac), Said::default(), n, oid(n));
        hear("10.0.0.1", None, 1);
        hear("10.0.0.1", A, 2);
        hear("10.0.0.1", None, 3);
        hear("10.0.0.2", A, 4);
        hear("10.0.0.2", B, 5);
        hear("10.0.0.3", None, 6);
        let list = q.list();
        let all: Vec<_> = list
            .iter()
            .map(|w| (w.requests, w.mac.map(|m| m.to_string())))
            .collect();
        let text = |mac: Option<&str>| mac.map(str::to_owned);
        assert_eq!(all, [(1, None), (1, text(B)), (4, text(A))]);
    }

    #[test]
    fn a_flood_from_one_address_costs_only_that_address() {
        let mut q = Quarantine::default();
        q.heard(
            "HONEST",
            station("10.0.0.1", None),
            Said::default(),
            0,
            oid(0),
        );
        for n in 1..5000 {
            q.heard(
                &format!("F{n}"),
                station("10.0.0.2", None),
                Said::default(),
                n,
                oid(n),
            );
        }
        assert_eq!(q.list().len(), MAX_PER_ADDRESS + 1);
        assert!(q.list().iter().any(|w| &*w.legacy_id == "HONEST"));
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_and_takes_from_the_fullest() {
        let mut q = Quarantine::default();
        q.heard(
            "HONEST",
            station("10.0.0.1", None),
            Said::default(),
            0,
            oid(0),
        );
        for n in 0..4000_i64 {
            let from = format!("10.1.{}.1", n % 100);
            q.heard(
                &format!("F{n}"),
                station(&from, None),
                Said::default(),
                n,
                oid(n),
            );
        }
        assert_eq!(q.list().len(), MAX_WAITING);
        assert!(q.list().iter().any(|w| &*w.legacy_id == "HONEST"));
        q.prune(4000 + KEEP_MS);
        assert!(q.list().is_empty());
    }
}
