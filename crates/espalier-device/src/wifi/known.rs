//! The saved networks: their names, what is remembered of them, and the order in which they are tried. No passwords.

use core::cmp::Reverse;

use heapless::{String, Vec};

use super::Found;

/// Most saved networks.
pub const MAX_NETWORKS: usize = 4;
/// Longest name of a network, in bytes.
pub const MAX_SSID: usize = 32;

#[derive(Debug)]
struct Network {
    /// The number under which the settings know it.
    number: u8,
    ssid: String<MAX_SSID>,
    /// Counts up with every success of any network; 0 before the first.
    worked: u32,
    refused: bool,
}

/// The saved networks.
#[derive(Debug, Default)]
pub(super) struct Known {
    list: Vec<Network, MAX_NETWORKS>,
    successes: u32,
}

impl Known {
    /// Replaces the networks; what is known of one with the same name is kept, except that it refused the password.
    pub fn replace<'a>(&mut self, ssids: impl IntoIterator<Item = &'a str>) {
        let old = core::mem::take(&mut self.list);
        for (number, ssid) in (0..).zip(ssids).take(MAX_NETWORKS) {
            let Some(name) = String::try_from(ssid).ok().filter(|s| !s.is_empty()) else {
                continue;
            };
            let worked = old.iter().find(|n| n.ssid == ssid).map_or(0, |n| n.worked);
            let network = Network {
                number,
                ssid: name,
                worked,
                refused: false,
            };
            // There is room: at most as many are taken.
            let _ = self.list.push(network);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn contains(&self, number: u8) -> bool {
        self.list.iter().any(|n| n.number == number)
    }

    /// Returns the name of a network.
    pub fn ssid(&self, number: u8) -> Option<String<MAX_SSID>> {
        let found = self.list.iter().find(|n| n.number == number);
        found.map(|n| n.ssid.clone())
    }

    /// Returns the number of the network with this name.
    pub fn number(&self, ssid: &str) -> Option<u8> {
        let found = self.list.iter().find(|n| n.ssid == ssid);
        found.map(|n| n.number)
    }

    fn find(&mut self, number: u8) -> Option<&mut Network> {
        self.list.iter_mut().find(|n| n.number == number)
    }

    /// Notes that a network works.
    pub fn worked(&mut self, number: u8) {
        self.successes = self.successes.saturating_add(1);
        let now = self.successes;
        if let Some(network) = self.find(number) {
            (network.worked, network.refused) = (now, false);
        }
    }

    /// Notes that a network refused the password.
    pub fn refused(&mut self, number: u8) {
        if let Some(network) = self.find(number) {
            network.refused = true;
        }
    }

    /// Returns the numbers of all networks in the order in which they are tried after a scan.
    pub fn order(&self, found: &[Found<'_>]) -> Vec<u8, MAX_NETWORKS> {
        let rssi = |network: &Network| {
            let same = found.iter().filter(|f| f.ssid == network.ssid.as_str());
            same.map(|f| f.rssi).max()
        };
        let key = |n: &&Network| {
            let rssi = rssi(n);
            let unseen = rssi.is_none();
            (
                n.refused,
                unseen,
                Reverse(n.worked),
                Reverse(rssi),
                n.number,
            )
        };
        let mut order: Vec<&Network, MAX_NETWORKS> = self.list.iter().collect();
        order.sort_unstable_by_key(key);
        order.iter().map(|n| n.number).collect()
    }
}
