//! A board that is set up by people: the [`Node`] and [`Setup`] as one machine, so that a binding drives one loop. It decides who
//! has the radio, keeps what must be stored, and forgets everything when the button says so. The core still stands beside it.
//!
//! # The loop of a binding
//! As that of the node, with [`Station::step`] and [`Station::poll`]; connections to the portal go to [`Station::setup`] itself,
//! and the station is polled afterwards.

use core::fmt;

use espalier_image::chip::Chip;
use espalier_wire::json::Value;
use heapless::{String, Vec};

use super::{Capabilities, Node, NodeInput, NodeOutput, View, Why};
use crate::profile::{self, Profile, ProfileError};
use crate::schedule::Zone;
use crate::settings::{MAX_SSID, Network, Settings};
use crate::setup::{self, Facts, JOIN_TIMEOUT_MS, MAX_SEEN, SCAN_TIMEOUT_MS, Seen, Setup};
use crate::storage::Storage;
use crate::wifi::{self, Action, Event, Found};

/// How much longer than an attempt of the setup the radio is lent, in milliseconds.
const LENT_MORE_MS: u64 = 5_000;

/// Something that happened. Time comes beside it.
#[derive(Debug, Clone, Copy)]
pub enum StationInput<'a> {
    /// Nothing but the passing of time.
    Tick,
    /// Bytes came over the serial line.
    Serial(&'a [u8]),
    /// A scan is done.
    Scanned(&'a [Seen<'a>]),
    /// The scan that was asked for failed, or cannot be made now.
    ScanFailed,
    /// The network that was asked for is joined.
    Joined {
        /// Its name.
        ssid: &'a str,
        /// The address that the board has there.
        address: [u8; 4],
    },
    /// The network that was asked for cannot be joined.
    NotJoined {
        /// Its name.
        ssid: &'a str,
        /// Whether the network is there and refused the password.
        refused: bool,
    },
    /// The network is lost.
    Lost,
    /// What only the binding knows has changed.
    Facts(Facts),
    /// The level of an input pin: at the start, and whenever it changes.
    Pin {
        /// The number of the GPIO.
        gpio: u8,
        /// Its level.
        high: bool,
    },
    /// How the core is after its step.
    Core(View),
    /// The core wants to restart the board; poll for [`StationOutput::Settle`] before it.
    Restarting,
}

/// Something to do. What is borrowed is valid until the next call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StationOutput<'a> {
    /// Send these bytes over the serial line.
    Serial(&'a [u8]),
    /// Look for networks; answer with `Scanned` or `ScanFailed`.
    Scan,
    /// Join this network; answer with `Joined` or `NotJoined`.
    Join(&'a Network),
    /// Drop the network or the attempt, and report nothing more about it.
    Disconnect,
    /// Open the board's own network: name and password are those of [`Station::setup`].
    OpenPortal,
    /// Close it.
    ClosePortal,
    /// The board is in a network.
    Online,
    /// The board is in no network any more.
    Offline,
    /// Drive an output pin, as [`NodeOutput::Level`].
    Level {
        /// The number of the GPIO.
        gpio: u8,
        /// The level.
        level: u8,
    },
    /// Tell the core that a switch was changed at the board.
    Changed {
        /// The switch.
        key: &'a str,
        /// Its new value.
        value: Value<'a>,
    },
    /// Let the core ask for firmware at once.
    AskForUpdate,
    /// Show the next page of the display.
    NextPage,
    /// Something begins to move, or has not moved for a while.
    Motion(bool),
    /// Call [`crate::safe::Boots::settle`].
    Settle,
    /// The board is another one with the restart that follows: stop the core at once, and store nothing of it any more.
    Halt,
    /// Restart the board.
    Restart,
    /// Done in passing; poll again.
    Nothing,
}

/// Why a board cannot be made from its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StationError {
    /// The profile in the settings cannot be used.
    BadProfile(ProfileError),
    /// There is no board with this name.
    UnknownProfile,
    /// The board has another chip.
    OtherChip(Chip, Chip),
}

impl fmt::Display for StationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StationError::BadProfile(error) => error.fmt(f),
            StationError::UnknownProfile => {
                f.write_str("the settings name a board profile that this firmware does not know")
            }
            StationError::OtherChip(theirs, ours) => write!(
                f,
                "the board profile is for the {}, and this is an {}",
                theirs.title(),
                ours.title()
            ),
        }
    }
}

impl core::error::Error for StationError {}

/// Returns the profile in the settings, or the one that they name, or one for the chip alone, without any pin. Pins that are left away
/// are told to `left`, see [`Profile::saved`].
///
/// # Errors
/// When the profile cannot be used, there is none with that name, or it is for another chip: the board then runs without pins, and
/// says why.
pub fn profile_of(
    settings: &Settings,
    chip: Chip,
    left: impl FnMut(ProfileError),
) -> Result<Profile, StationError> {
    if settings.board().is_empty() && settings.profile().is_empty() {
        return Ok(Profile {
            name: String::new(),
            chip,
            pins: Vec::new(),
        });
    }
    let profile = match settings.board() {
        "" => profile::named(settings.profile()).ok_or(StationError::UnknownProfile)?,
        own => Profile::saved(own, left).map_err(StationError::BadProfile)?,
    };
    if profile.chip == chip {
        Ok(profile)
    } else {
        Err(StationError::OtherChip(profile.chip, chip))
    }
}

/// The zone of the settings. One that cannot be read counts as UTC.
fn zone_of(settings: &Settings) -> Zone {
    Zone::parse(settings.tz()).unwrap_or(Zone::UTC)
}

/// A number that tells lists of networks apart (FNV-1a over names and passwords).
fn fingerprint(networks: &[Network]) -> u64 {
    let texts = networks.iter().flat_map(|n| [n.ssid(), n.password()]);
    // No text holds the byte that ends each of them.
    let bytes = texts.flat_map(|text| text.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What is left for the next poll.
#[derive(Debug, Default)]
struct Pending {
    changed: bool,
    used: bool,
    portal: bool,
    scan: bool,
    /// The setup wants to try a network.
    join: bool,
    disconnect: bool,
    restart: bool,
}

/// The machine.
#[derive(Debug)]
pub struct Station {
    node: Node,
    setup: Setup,
    pending: Pending,
    /// The network that the setup tries.
    guest: Option<Network>,
    /// Since when a scan is on its way.
    scanning: Option<u64>,
    /// Of the networks that the radio knows.
    taken: u64,
}

impl Station {
    /// Makes the machine of a board that has read its settings. A time zone that cannot be read counts as UTC.
    pub fn new(
        setup: Setup,
        profile: &Profile,
        can: Capabilities,
        wifi: wifi::Policy,
        failed: u32,
        seed: u64,
    ) -> Self {
        let zone = zone_of(setup.settings());
        let mut station = Station {
            node: Node::new(profile, can, wifi, zone, failed, seed),
            setup,
            pending: Pending::default(),
            guest: None,
            scanning: None,
            taken: 0,
        };
        station.take_networks();
        station
    }

    /// Takes over the schedules that an earlier start stored; returns how many.
    pub fn restore<S: Storage>(&mut self, storage: &mut S) -> usize {
        self.node.restore(storage)
    }

    fn take_networks(&mut self) {
        let networks = self.setup.settings().networks();
        self.taken = fingerprint(networks);
        let names = networks.iter().map(Network::ssid);
        self.node.wifi.set_networks(names, None);
    }

    /// Takes one input at `now`, milliseconds of a clock that counts up. Poll afterwards until nothing is left.
    pub fn step<S: Storage>(&mut self, now: u64, input: StationInput<'_>, storage: &mut S) {
        let (node, setup) = (&mut self.node, &mut self.setup);
        let mut tell = |input| setup.step(now, input, storage);
        match input {
            StationInput::Tick => {
                tell(setup::Input::Tick);
                node.step(now, NodeInput::Tick);
            }
            StationInput::Serial(bytes) => tell(setup::Input::Serial(bytes)),
            StationInput::Scanned(seen) => {
                self.scanning = None;
                tell(setup::Input::Scanned(seen));
                let found: Vec<Found<'_>, MAX_SEEN> = seen
                    .iter()
                    .filter(|one| !one.ssid.is_empty() && one.ssid.len() <= MAX_SSID)
                    .map(|one| Found {
                        ssid: one.ssid,
                        rssi: one.rssi,
                    })
                    .take(MAX_SEEN)
                    .collect();
                node.step(now, NodeInput::Wifi(Event::Scanned(&found)));
            }
            StationInput::ScanFailed => {
                self.scanning = None;
                tell(setup::Input::ScanFailed);
                node.step(now, NodeInput::Wifi(Event::ScanFailed));
            }
            StationInput::Joined { ssid, address } => {
                tell(setup::Input::Joined { ssid, address });
                if self.guest.take_if(|n| n.ssid() == ssid).is_some() {
                    // The setup has saved it, unless the flash refused.
                    self.take_networks();
                    self.node.wifi.take_back(Some(ssid));
                    self.pending.disconnect = !self.node.wifi.is_online();
                    self.node.step(now, NodeInput::Tick);
                } else if let Some(network) = node.wifi.number(ssid) {
                    node.step(now, NodeInput::Wifi(Event::Connected { network }));
                }
            }
            StationInput::NotJoined { ssid, refused } => {
                tell(setup::Input::NotJoined { ssid, refused });
                if self.guest.take_if(|n| n.ssid() == ssid).is_some() {
                    node.wifi.take_back(None);
                    node.step(now, NodeInput::Tick);
                } else if let Some(network) = node.wifi.number(ssid) {
                    let event = Event::ConnectFailed { network, refused };
                    node.step(now, NodeInput::Wifi(event));
                }
            }
            StationInput::Lost => node.step(now, NodeInput::Wifi(Event::Lost)),
            StationInput::Facts(facts) => tell(setup::Input::Facts(facts)),
            StationInput::Pin { gpio, high } => node.step(now, NodeInput::Pin { gpio, high }),
            StationInput::Core(view) => node.step(now, NodeInput::Core(view)),
            StationInput::Restarting => node.step(now, NodeInput::Restarting),
        }
        self.keep(now, storage);
    }

    /// Stores and forgets what the node wants stored and forgotten.
    fn keep<S: Storage>(&mut self, now: u64, storage: &mut S) {
        // Who becomes another one has no plans any more.
        if core::mem::take(&mut self.node.once.store) && !self.setup.is_leaving() {
            // What fails is stored with the next change.
            let _ = self.node.store(storage);
        }
        if core::mem::take(&mut self.node.once.reset) {
            // What fails is seen: the board does not restart, and the button can be held again.
            let _ = self.setup.factory_reset(now, storage);
            self.node.schedules.clear();
        }
        if self.guest.is_some() && !self.node.wifi.is_lent() && !self.pending.join {
            self.guest = None;
            self.pending.disconnect = true;
        }
    }

    /// Does what was left from the last poll.
    fn catch_up(&mut self) {
        let uptime = self.node.uptime_ms();
        let mut event = None;
        if core::mem::take(&mut self.pending.changed) {
            let zone = zone_of(self.setup.settings());
            let moved = self.node.schedules.set_zone(zone);
            event = Some(Event::Tick);
            // Another zone is no reason to look for the same networks anew; a person who saves them again wants that.
            let others = fingerprint(self.setup.settings().networks()) != self.taken;
            if self.guest.is_none() && (others || !moved) {
                self.take_networks();
            }
        }
        if core::mem::take(&mut self.pending.used) {
            event = Some(Event::PortalUsed);
        }
        if core::mem::take(&mut self.pending.portal) {
            event = Some(Event::WantPortal);
        }
        if self.pending.join && !self.node.wifi.is_lent() {
            self.node.wifi.lend(JOIN_TIMEOUT_MS + LENT_MORE_MS);
            event = event.or(Some(Event::Tick));
        }
        if core::mem::take(&mut self.pending.restart) {
            self.node.once.restart = Some(Why::Setup);
        }
        if let Some(event) = event {
            self.node.wifi.step(uptime, event);
            self.node.due = Some(self.node.due_at());
        }
    }

    /// Returns the next thing to do; nothing more until the next step when it returns none.
    pub fn poll(&mut self) -> Option<StationOutput<'_>> {
        self.catch_up();
        if core::mem::take(&mut self.pending.disconnect) {
            return Some(StationOutput::Disconnect);
        }
        if let Some(action) = self.node.wifi.poll() {
            return self.radio(action);
        }
        if core::mem::take(&mut self.pending.join) && self.guest.is_some() {
            return self.guest.as_ref().map(StationOutput::Join);
        }
        if core::mem::take(&mut self.pending.scan) {
            return Some(self.scan());
        }
        if let Some(output) = self.node.poll() {
            return Some(match output {
                NodeOutput::Level { gpio, level } => StationOutput::Level { gpio, level },
                NodeOutput::Changed { key, value } => StationOutput::Changed { key, value },
                NodeOutput::AskForUpdate => StationOutput::AskForUpdate,
                NodeOutput::NextPage => StationOutput::NextPage,
                NodeOutput::Motion(motion) => StationOutput::Motion(motion),
                NodeOutput::Settle => StationOutput::Settle,
                NodeOutput::Restart(_) => StationOutput::Restart,
                // These are taken before they come so far.
                NodeOutput::Wifi(_) | NodeOutput::StoreSchedules | NodeOutput::FactoryReset => {
                    StationOutput::Nothing
                }
            });
        }
        match self.setup.poll()? {
            setup::Output::Serial(bytes) => return Some(StationOutput::Serial(bytes)),
            setup::Output::Join(network) => {
                self.guest = Some(network.clone());
                self.pending.join = true;
            }
            setup::Output::Halt => return Some(StationOutput::Halt),
            setup::Output::Scan => self.pending.scan = true,
            setup::Output::Changed => self.pending.changed = true,
            setup::Output::PortalUsed => self.pending.used = true,
            setup::Output::WantPortal => self.pending.portal = true,
            setup::Output::Restart => self.pending.restart = true,
        }
        Some(StationOutput::Nothing)
    }

    /// One scan serves everyone; one that was never answered is forgotten.
    fn scan(&mut self) -> StationOutput<'static> {
        let now = self.node.uptime_ms();
        let under_way = |since: u64| now < since.saturating_add(SCAN_TIMEOUT_MS);
        if self.scanning.is_some_and(under_way) {
            return StationOutput::Nothing;
        }
        self.scanning = Some(now);
        StationOutput::Scan
    }

    fn radio(&mut self, action: Action) -> Option<StationOutput<'_>> {
        Some(match action {
            Action::Scan => self.scan(),
            Action::Connect { network } => {
                let networks = self.setup.settings().networks();
                match networks.get(usize::from(network)) {
                    Some(network) => StationOutput::Join(network),
                    None => StationOutput::Nothing,
                }
            }
            Action::Disconnect => StationOutput::Disconnect,
            Action::OpenPortal => {
                self.setup.portal_opens();
                StationOutput::OpenPortal
            }
            Action::ClosePortal => StationOutput::ClosePortal,
            Action::Online { .. } => StationOutput::Online,
            Action::Offline => StationOutput::Offline,
        })
    }

    /// Returns how long the binding may sleep without an input, in milliseconds.
    pub fn wake_in_ms(&self) -> u64 {
        let setup = self.setup.wake_in_ms().unwrap_or(u64::MAX);
        self.node.wake_in_ms().min(setup)
    }

    /// Returns the setup, for the connections of the portal.
    pub fn setup(&mut self) -> &mut Setup {
        &mut self.setup
    }

    /// Returns the settings.
    pub const fn settings(&self) -> &Settings {
        self.setup.settings()
    }

    /// Returns the node: to apply switches, and to look at.
    pub fn node(&mut self) -> &mut Node {
        &mut self.node
    }
}
