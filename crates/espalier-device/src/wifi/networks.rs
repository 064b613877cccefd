//! What changes the course of the machine from outside: other networks are saved, or someone else needs the radio for a while.

use super::{Order, Radio, Wifi};

impl Wifi {
    /// Replaces the saved networks, of which the first [`super::MAX_NETWORKS`] with a usable name count. A connection to one that is
    /// still among them stays, anything else that is going on ends. The network `first`, if one is named, is tried at once,
    /// although a person may be at the portal.
    pub fn set_networks<'a>(
        &mut self,
        ssids: impl IntoIterator<Item = &'a str>,
        first: Option<u8>,
    ) {
        let online = match self.radio {
            Radio::Online { network, since } => self.known.ssid(network).map(|ssid| (ssid, since)),
            _ => None,
        };
        self.known.replace(ssids);
        self.round.clear();
        self.inviting = true;
        let first = first.filter(|n| self.known.contains(*n));
        let kept = online.and_then(|(ssid, since)| Some((self.known.number(&ssid)?, since)));
        if let Some((network, since)) = kept.filter(|(n, _)| first.is_none_or(|first| first == *n))
        {
            self.take_over(network, since);
            return;
        }
        if matches!(self.radio, Radio::Lent { .. }) && first.is_none() {
            return;
        }
        self.leave();
        self.backoff.reset();
        self.radio = Radio::Resting { until: self.now };
        if let Some(network) = first {
            self.note_try();
            self.connect(network);
        }
    }

    /// The radio is in this saved network, whoever asked for it.
    fn take_over(&mut self, network: u8, since: u64) {
        let order = Order::Connect(network, self.requests);
        (self.wanted, self.told) = (order, order);
        if self.told_online.is_some() {
            self.told_online = Some(network);
        }
        self.radio = Radio::Online { network, since };
    }

    /// Lends the radio to someone who tries a network that is not saved yet, for at most so many milliseconds. Poll afterwards.
    pub fn lend(&mut self, ms: u64) {
        self.leave();
        self.round.clear();
        self.radio = Radio::Lent {
            until: self.now.saturating_add(ms),
        };
    }

    /// Returns the number of a saved network.
    pub fn number(&self, ssid: &str) -> Option<u8> {
        self.known.number(ssid)
    }

    /// Says whether the radio is lent.
    pub const fn is_lent(&self) -> bool {
        matches!(self.radio, Radio::Lent { .. })
    }

    /// Takes the radio back: it is in this network, which is saved by now, or in none.
    pub fn take_back(&mut self, joined: Option<&str>) {
        if !self.is_lent() {
            return;
        }
        match joined.and_then(|ssid| self.known.number(ssid)) {
            Some(network) => {
                self.known.worked(network);
                self.note_try();
                self.requests = self.requests.wrapping_add(1);
                self.take_over(network, self.now);
            }
            None => self.radio = Radio::Resting { until: self.now },
        }
    }
}
