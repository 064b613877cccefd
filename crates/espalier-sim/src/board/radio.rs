//! The radio of a simulated board: what the Wi-Fi machine of its node drives, before an access point that may be out of reach. No
//! packets: what is in the network has TCP.

use espalier_device::rng::Rng;
use espalier_device::wifi::{Action, Event, Found};

/// The network that is saved on every simulated board.
pub(super) const SSID: &str = "espalier";
/// What a scan finds where the access point is in reach.
static FOUND: [Found<'static>; 1] = [Found {
    ssid: SSID,
    rssi: -58,
}];
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
    rng: Rng,
    /// Whether the access point is in reach.
    air: bool,
    /// Whether the image's driver works.
    works: bool,
    busy: Option<(u64, Busy)>,
}

impl Radio {
    /// Makes the radio of a board that has just started.
    pub fn new(seed: u64, air: bool) -> Self {
        Radio {
            rng: Rng::new(seed),
            air,
            works: true,
            busy: None,
        }
    }

    /// Says whether the access point is in reach.
    pub const fn has_air(&self) -> bool {
        self.air
    }

    /// When it must be looked at again; `u64::MAX` when it rests.
    pub fn due(&self) -> u64 {
        self.busy.map_or(u64::MAX, |(at, _)| at)
    }

    /// Does what the Wi-Fi machine says.
    pub fn obey(&mut self, now: u64, action: Action) {
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
            // Nobody sets a simulated board up by its portal.
            Action::OpenPortal | Action::ClosePortal | Action::Online { .. } | Action::Offline => {}
        }
    }

    /// Returns what has come of the last order, once.
    pub fn outcome(&mut self, now: u64) -> Option<Event<'static>> {
        let (_, busy) = self.busy.take_if(|(at, _)| *at <= now)?;
        let there = self.air && self.works;
        Some(match busy {
            Busy::Scanning => Event::Scanned(if there { &FOUND } else { &[] }),
            Busy::Joining if there => Event::Connected { network: 0 },
            Busy::Joining => Event::ConnectFailed {
                network: 0,
                refused: false,
            },
        })
    }

    /// The access point comes into reach or goes out of it, by which a network is lost.
    pub const fn set_air(&mut self, air: bool) {
        self.air = air;
    }

    /// The image's driver stops for good.
    pub const fn fail(&mut self) {
        self.works = false;
    }
}

#[cfg(test)]
mod tests {
    use espalier_device::wifi::{Policy, Wifi};

    use super::*;

    struct World {
        radio: Radio,
        wifi: Wifi,
        now: u64,
    }

    impl World {
        fn new() -> Self {
            let mut wifi = Wifi::new(Policy::default(), 7);
            wifi.set_networks([SSID], None);
            let radio = Radio::new(7, true);
            let mut world = World {
                radio,
                wifi,
                now: 0,
            };
            world.step(Event::Tick);
            world
        }

        fn step(&mut self, event: Event<'_>) {
            self.wifi.step(self.now, event);
            while let Some(action) = self.wifi.poll() {
                self.radio.obey(self.now, action);
            }
        }

        /// Lets time pass until something happens.
        fn pass(&mut self) {
            self.now = self.radio.due().min(self.wifi.due()).max(self.now);
            let event = self.radio.outcome(self.now).unwrap_or(Event::Tick);
            self.step(event);
        }

        /// Lets time pass until the board has joined, and returns when.
        fn join(&mut self) -> u64 {
            while !self.wifi.is_online() {
                assert!(self.now < 3_600_000, "an hour has passed");
                self.pass();
            }
            self.now
        }
    }

    #[test]
    fn a_board_joins_loses_its_network_and_joins_again() {
        let mut w = World::new();
        let first = w.join();
        assert!(first >= JOIN_MS.0, "{first}");
        w.now += 5_000;
        w.radio.set_air(false);
        w.step(Event::Lost);
        // It tries in vain for ten minutes, and finds it as soon as its patience lets it.
        while w.now < 600_000 {
            assert!(!w.wifi.is_online());
            w.pass();
        }
        let back = w.now;
        w.radio.set_air(true);
        let took = w.join() - back;
        assert!(took <= 120_000, "{took} ms after its return");
        w.radio.fail();
        w.step(Event::Lost);
        assert!(!w.wifi.is_online());
    }
}
