//! The radio of a simulated board: the device core's Wi-Fi machine before an access point that may be out of reach. No packets:
//! what is in the network has TCP.

use espalier_device::rng::Rng;
use espalier_device::wifi::{Action, Event, Found, Policy, Wifi};

/// The network that is saved on every simulated board.
const SSID: &str = "espalier";
/// How long a scan takes, in milliseconds.
const SCAN_MS: u64 = 250;
/// How long joining takes at least, and how much longer at most: association, keys, an address.
const JOIN_MS: (u64, u64) = (150, 600);
/// How long it takes until joining a network that is out of reach fails, in milliseconds.
const NOBODY_MS: u64 = 2_000;

/// What the driver is busy with.
#[derive(Clone, Copy)]
enum Busy {
    Scanning,
    Joining,
}

/// The radio. Times are milliseconds since the board started.
pub(super) struct Radio {
    wifi: Wifi,
    rng: Rng,
    /// Whether the access point is in reach.
    air: bool,
    /// Whether the image's driver works.
    works: bool,
    joined: bool,
    busy: Option<(u64, Busy)>,
}

impl Radio {
    /// Makes the radio of a board that has just started, and lets it look for its network.
    pub fn new(seed: u64, air: bool) -> Self {
        let mut wifi = Wifi::new(Policy::default(), seed);
        wifi.set_networks([SSID], None);
        let mut radio = Radio {
            wifi,
            rng: Rng::new(seed),
            air,
            works: true,
            joined: false,
            busy: None,
        };
        radio.step(0, Event::Tick);
        radio
    }

    /// Says whether the board is in a network.
    pub const fn is_joined(&self) -> bool {
        self.joined
    }

    /// Says whether the access point is in reach.
    pub const fn has_air(&self) -> bool {
        self.air
    }

    /// When it must be looked at again.
    pub fn due(&self) -> u64 {
        let busy = self.busy.map_or(u64::MAX, |(at, _)| at);
        self.wifi.due().min(busy)
    }

    /// Lets time pass.
    pub fn pass(&mut self, now: u64) {
        if let Some((_, busy)) = self.busy.take_if(|(at, _)| *at <= now) {
            let there = self.air && self.works;
            let found = [Found {
                ssid: SSID,
                rssi: -58,
            }];
            match busy {
                Busy::Scanning => self.step(now, Event::Scanned(if there { &found } else { &[] })),
                Busy::Joining if there => self.step(now, Event::Connected { network: 0 }),
                Busy::Joining => {
                    let refused = false;
                    self.step(
                        now,
                        Event::ConnectFailed {
                            network: 0,
                            refused,
                        },
                    );
                }
            }
        } else if self.wifi.due() <= now {
            self.step(now, Event::Tick);
        }
    }

    /// The access point comes into reach or goes out of it.
    pub fn set_air(&mut self, now: u64, air: bool) {
        self.air = air;
        if !air {
            self.step(now, Event::Lost);
        }
    }

    /// The image's driver stops for good.
    pub fn fail(&mut self, now: u64) {
        self.works = false;
        self.step(now, Event::Lost);
    }

    fn step(&mut self, now: u64, event: Event<'_>) {
        self.wifi.step(now, event);
        while let Some(action) = self.wifi.poll() {
            match action {
                Action::Scan => self.busy = Some((now + SCAN_MS, Busy::Scanning)),
                Action::Connect { .. } => {
                    let (least, more) = JOIN_MS;
                    let takes = if self.air && self.works {
                        least + self.rng.up_to(more)
                    } else {
                        NOBODY_MS
                    };
                    self.busy = Some((now + takes, Busy::Joining));
                }
                Action::Disconnect => self.busy = None,
                Action::Online { .. } => self.joined = true,
                Action::Offline => self.joined = false,
                // Nobody sets a simulated board up by its portal.
                Action::OpenPortal | Action::ClosePortal => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets time pass until the radio has joined or not, and returns when.
    fn until(radio: &mut Radio, mut now: u64, joined: bool) -> u64 {
        while radio.is_joined() != joined {
            now = radio.due().max(now);
            assert!(now < 3_600_000, "an hour has passed");
            radio.pass(now);
        }
        now
    }

    #[test]
    fn a_board_joins_loses_its_network_and_joins_again() {
        let mut radio = Radio::new(7, true);
        let first = until(&mut radio, 0, true);
        assert!(first >= JOIN_MS.0, "{first}");
        radio.set_air(first + 5_000, false);
        assert!(!radio.is_joined());
        // It tries in vain for ten minutes, and finds it as soon as its patience lets it.
        let mut now = first + 5_000;
        while now < 600_000 {
            now = radio.due().max(now);
            radio.pass(now);
            assert!(!radio.is_joined());
        }
        radio.set_air(now, true);
        let again = until(&mut radio, now, true);
        assert!(
            again - now <= 120_000,
            "{} ms after its return",
            again - now
        );
        radio.fail(again);
        assert!(!radio.is_joined());
    }
}
