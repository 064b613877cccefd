//! Wi-Fi: which saved network to try and when, and when to open the captive portal. Not a driver, and it holds no password:
//! the binding looks it up in the settings under the number of the network.
//!
//! # How it decides
//! - A *round* scans once and tries every saved network once: those that did not refuse the password first, of them those that
//!   were seen, of them the one that worked last, then the strongest. Networks that were not seen may be hidden: they come last.
//! - Rounds that fail back off exponentially with full jitter. A connection that lived for a while and is lost is tried again
//!   at once, without a scan.
//! - The portal opens when no network is saved, when nothing has worked for [`Policy::portal_after_ms`], or when someone asks
//!   with the button. While a person uses it the radio stays on its channel: no scan, no attempt, unless the person asks.
//!   While nobody does, the saved networks are tried on. It closes when a network works, and after [`Policy::portal_idle_ms`].
//!   One that was asked for closes when a network works that was typed in there: opening and closing the access point
//!   interrupts the station, whose return says nothing about the person.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the machine: what comes in, what goes out, when |
//! | `portal.rs` | when the portal opens, counts as used, and closes |
//! | `networks.rs` | other networks are saved; the radio is lent |
//! | `known.rs` | the saved networks and their order |

mod known;
mod networks;
mod portal;
#[cfg(test)]
mod tests;

use crate::backoff::{Backoff, STABLE_MS};
use crate::rng::Rng;
use heapless::Vec;
use known::Known;
pub use known::{MAX_NETWORKS, MAX_SSID};
use portal::Portal;

/// The patience of the machine, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long one attempt may take, from the first frame to an address.
    pub connect_timeout_ms: u64,
    /// How long a scan may take.
    pub scan_timeout_ms: u64,
    /// How long nothing may work until the portal opens.
    pub portal_after_ms: u64,
    /// How long the portal stays open while nobody uses it.
    pub portal_idle_ms: u64,
    /// How long after its last sign of life a person counts as using the portal.
    pub portal_busy_ms: u64,
    /// Shortest time between two rounds while the portal is open: a scan disturbs its channel.
    pub portal_retry_ms: u64,
    /// How long the portal stays after a network works, so that its page can say so.
    pub farewell_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            connect_timeout_ms: 20_000,
            scan_timeout_ms: 10_000,
            portal_after_ms: 180_000,
            portal_idle_ms: 900_000,
            portal_busy_ms: 90_000,
            portal_retry_ms: 60_000,
            farewell_ms: 20_000,
        }
    }
}

/// A network that a scan found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its name.
    pub ssid: &'a str,
    /// Its signal strength in dBm.
    pub rssi: i32,
}

/// Something that happened to the radio, or at the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// Nothing but the passing of time.
    Tick,
    /// The scan that was asked for is done.
    Scanned(&'a [Found<'a>]),
    /// The scan that was asked for failed.
    ScanFailed,
    /// The network that was asked for is joined, and the board has an address.
    Connected {
        /// Its number: the answer to an attempt that was given up changes nothing.
        network: u8,
    },
    /// The network that was asked for cannot be joined.
    ConnectFailed {
        /// Its number.
        network: u8,
        /// Whether the network is there and refused the password.
        refused: bool,
    },
    /// The network is lost.
    Lost,
    /// Someone uses the portal: a station joined, a page was asked for.
    PortalUsed,
    /// Someone wants the portal, by the button or over the console.
    WantPortal,
}

/// Something that the radio should do, or that others should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Look for networks; answer with `Scanned` or `ScanFailed`.
    Scan,
    /// Join the saved network with this number; answer with `Connected` or `ConnectFailed`.
    Connect {
        /// The number of the network, in the order in which they were given.
        network: u8,
    },
    /// Drop the network or the attempt, and report nothing more about it.
    Disconnect,
    /// Open the access point of the portal beside what else the radio does.
    OpenPortal,
    /// Close it.
    ClosePortal,
    /// The board is in a network.
    Online {
        /// The number of the network.
        network: u8,
    },
    /// The board is in no network any more.
    Offline,
}

/// What a display should say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// No network is saved and the portal is closed: nothing happens until someone wants the portal.
    Unset,
    /// It looks for a network.
    Searching,
    /// The portal is open, and no network works.
    Portal,
    /// It is in a network.
    Online,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Radio {
    Resting {
        until: u64,
    },
    Scanning {
        since: u64,
    },
    Connecting {
        network: u8,
        since: u64,
    },
    Online {
        network: u8,
        since: u64,
    },
    /// Someone else has the radio, for so long at most.
    Lent {
        until: u64,
    },
}

/// What the radio was asked for last. The number tells one request from the next of the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    None,
    Scan(u32),
    Connect(u8, u32),
}

/// The machine.
#[derive(Debug)]
pub struct Wifi {
    policy: Policy,
    rng: Rng,
    backoff: Backoff,
    known: Known,
    radio: Radio,
    /// What is left of the present round.
    round: Vec<u8, MAX_NETWORKS>,
    now: u64,
    offline_since: u64,
    portal: Option<Portal>,
    /// Whether the portal may still open by itself although no network is saved: once, until someone wants it.
    inviting: bool,
    requests: u32,
    wanted: Order,
    told: Order,
    told_portal: bool,
    told_online: Option<u8>,
}

impl Wifi {
    /// Makes a machine that looks for a network at once; the seed spreads its attempts.
    pub fn new(policy: Policy, seed: u64) -> Self {
        Wifi {
            policy,
            rng: Rng::new(seed),
            backoff: Backoff::default(),
            known: Known::default(),
            radio: Radio::Resting { until: 0 },
            round: Vec::new(),
            now: 0,
            offline_since: 0,
            portal: None,
            inviting: true,
            requests: 0,
            wanted: Order::None,
            told: Order::None,
            told_portal: false,
            told_online: None,
        }
    }

    /// Takes one event at `now`, milliseconds of a clock that counts up. Poll afterwards until nothing is left.
    pub fn step(&mut self, now: u64, event: Event<'_>) {
        self.now = self.now.max(now);
        if self.is_answer(event) {
            self.told = Order::None;
            self.wanted = Order::None;
        }
        match (event, self.radio) {
            (Event::Scanned(found), Radio::Scanning { .. }) => {
                self.round = self.known.order(found);
                self.next_of_round();
            }
            (Event::ScanFailed, Radio::Scanning { .. }) => {
                self.round = self.known.order(&[]);
                self.next_of_round();
            }
            (Event::Connected { network: joined }, Radio::Connecting { network, .. })
                if joined == network =>
            {
                self.known.worked(network);
                self.round.clear();
                self.radio = Radio::Online {
                    network,
                    since: self.now,
                };
                if let Some(portal) = &mut self.portal {
                    portal.used_at = self.now;
                }
            }
            (
                Event::ConnectFailed {
                    network: failed,
                    refused,
                },
                Radio::Connecting { network, .. },
            ) if failed == network => {
                if refused {
                    self.known.refused(network);
                }
                self.next_of_round();
            }
            // The answer to an earlier attempt was believed, and the radio then obeyed the later order.
            (
                Event::ConnectFailed {
                    network: failed, ..
                },
                Radio::Online { network, since },
            ) if failed == network => {
                self.lost(network, since);
            }
            (Event::Lost, Radio::Online { network, since }) => self.lost(network, since),
            (Event::PortalUsed, _) => {
                if let Some(portal) = &mut self.portal {
                    (portal.used_at, portal.used) = (self.now, true);
                }
            }
            (Event::WantPortal, _) => self.open_portal(true),
            _ => {}
        }
        self.run_timers();
    }

    /// Returns the next thing to do; nothing more until the next step when it returns none.
    pub fn poll(&mut self) -> Option<Action> {
        let online = match self.radio {
            Radio::Online { network, .. } => Some(network),
            _ => None,
        };
        if self.told_online.is_some() && self.told_online != online {
            self.told_online = None;
            return Some(Action::Offline);
        }
        if self.told != self.wanted {
            if matches!(self.told, Order::Connect(..)) {
                self.told = Order::None;
                return Some(Action::Disconnect);
            }
            self.told = self.wanted;
            match self.wanted {
                Order::Scan(_) => return Some(Action::Scan),
                Order::Connect(network, _) => return Some(Action::Connect { network }),
                Order::None => {}
            }
        }
        if self.told_portal != self.portal.is_some() {
            self.told_portal = self.portal.is_some();
            return Some(if self.told_portal {
                Action::OpenPortal
            } else {
                Action::ClosePortal
            });
        }
        if self.told_online != online {
            self.told_online = online;
            return online.map(|network| Action::Online { network });
        }
        None
    }

    /// Returns when the machine must be stepped again, in milliseconds of its clock.
    pub fn due(&self) -> u64 {
        let radio = match self.radio {
            Radio::Resting { .. } if self.known.is_empty() => u64::MAX,
            Radio::Resting { until } => self.free_at(until),
            Radio::Scanning { since } => since.saturating_add(self.policy.scan_timeout_ms),
            Radio::Connecting { since, .. } => since.saturating_add(self.policy.connect_timeout_ms),
            Radio::Online { .. } => u64::MAX,
            Radio::Lent { until } => until,
        };
        let portal = match self.portal {
            Some(_) => self.portal_ends(),
            None if self.is_online() || self.known.is_empty() => u64::MAX,
            None => self
                .offline_since
                .saturating_add(self.policy.portal_after_ms),
        };
        radio.min(portal)
    }

    /// Returns what a display should say.
    pub fn status(&self) -> Status {
        match (self.radio, self.portal) {
            (Radio::Online { .. }, _) => Status::Online,
            (_, Some(_)) => Status::Portal,
            _ if self.known.is_empty() => Status::Unset,
            _ => Status::Searching,
        }
    }

    /// Says whether the board is in a network.
    pub const fn is_online(&self) -> bool {
        matches!(self.radio, Radio::Online { .. })
    }

    /// Says whether an event ends what the radio was asked for.
    fn is_answer(&self, event: Event<'_>) -> bool {
        matches!(
            (event, self.radio),
            (
                Event::Scanned(_) | Event::ScanFailed,
                Radio::Scanning { .. }
            ) | (Event::Lost, Radio::Online { .. })
        ) || match (event, self.radio) {
            (
                Event::ConnectFailed {
                    network: failed, ..
                },
                Radio::Connecting { network, .. } | Radio::Online { network, .. },
            ) => failed == network,
            _ => false,
        }
    }

    fn lost(&mut self, network: u8, since: u64) {
        self.leave();
        self.offline_since = self.now;
        if self.now >= since.saturating_add(STABLE_MS) {
            self.backoff.reset();
            self.round.push(network).ok();
            self.next_of_round();
        } else {
            self.rest();
        }
    }

    /// Ends what the radio does.
    fn leave(&mut self) {
        if self.is_online() {
            self.offline_since = self.now;
        }
        self.wanted = Order::None;
    }

    fn connect(&mut self, network: u8) {
        self.requests = self.requests.wrapping_add(1);
        self.wanted = Order::Connect(network, self.requests);
        self.radio = Radio::Connecting {
            network,
            since: self.now,
        };
    }

    fn next_of_round(&mut self) {
        // A person who came to the portal meanwhile is not disturbed by the rest of the round.
        if self.round.is_empty() || self.is_used() {
            self.round.clear();
            self.rest();
        } else {
            let network = self.round.remove(0);
            self.connect(network);
        }
    }

    fn rest(&mut self) {
        let mut delay = self.backoff.next_delay(&mut self.rng);
        if self.portal.is_some() {
            delay = delay.max(self.policy.portal_retry_ms);
        }
        self.wanted = Order::None;
        self.radio = Radio::Resting {
            until: self.now.saturating_add(delay),
        };
    }

    fn run_timers(&mut self) {
        let now = self.now;
        match self.radio {
            Radio::Scanning { since }
                if now >= since.saturating_add(self.policy.scan_timeout_ms) =>
            {
                self.wanted = Order::None;
                self.round = self.known.order(&[]);
                self.next_of_round();
            }
            Radio::Connecting { since, .. }
                if now >= since.saturating_add(self.policy.connect_timeout_ms) =>
            {
                self.wanted = Order::None;
                self.next_of_round();
            }
            Radio::Lent { until } if now >= until => self.rest(),
            Radio::Resting { until }
                if now >= until && !self.known.is_empty() && !self.is_used() =>
            {
                self.requests = self.requests.wrapping_add(1);
                self.wanted = Order::Scan(self.requests);
                self.radio = Radio::Scanning { since: now };
            }
            _ => {}
        }
        self.run_portal();
    }
}
