//! Setting a board up: over the serial line (console and Improv) and over the board's own network (the captive portal). Not the
//! radio, which `wifi` decides over, and not the wires: a binding moves bytes and tells what happened.
//!
//! # The loop of a binding
//! 1. [`Setup::open`] once: it reads the settings, takes over those of other firmware, and makes the portal's password.
//! 2. [`Setup::step`] for everything that happens: serial bytes, scan results, the outcome of joining, the passing of time.
//! 3. [`Setup::poll`] until it is empty: serial bytes to send, a scan to make, a network to try, a restart.
//! 4. [`Setup::wake_in_ms`] says when to come back at the latest.
//!
//! While the portal is open: each TCP connection on port 80 feeds a [`portal::Request`] until it is whole, passes it to
//! [`Setup::http`], sends what [`Setup::answer`] writes, chunk by chunk, and closes. Each UDP packet on port 53 goes through
//! [`dns::answer`], each on port 67 through [`Setup::dhcp`]; what they write goes back. The board has the address [`ADDRESS`], its
//! network the name [`Setup::portal_ssid`] and the password `settings().portal()`.
//!
//! Settings are stored before anything says that they are; [`Output::Changed`] tells that [`Setup::settings`] are new ones, and
//! [`Output::Halt`] before it that they make the board another one.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the machine |
//! | `io.rs` | what comes in and what goes out |
//! | `seen.rs` | the networks of the last scan |
//! | `serial.rs` | the byte stream that the console and Improv share |
//! | `console.rs` | the commands `provision`, `pin`, `wifi`, `zone`, `profile`, `status`, `portal`, `reset`, `help` |
//! | `improv.rs` | the Improv protocol |
//! | `portal/` | the captive portal: requests, form, page, answers |
//! | `dns.rs`, `dhcp.rs` | what leads a phone to the portal |
//! | `password.rs` | the portal's password, one per board |

mod console;
pub mod dhcp;
pub mod dns;
mod improv;
mod io;
pub mod password;
pub mod portal;
mod seen;
mod serial;

use core::fmt;

use heapless::{String, Vec};
pub use io::{About, Facts, Input, Output, Seen};

use crate::settings::{AccessError, MAX_SSID, Network, Settings, SettingsError};
use crate::storage::{Slot, Storage};
use crate::update::StoredKeys;

/// The address of the board in its own network.
pub const ADDRESS: [u8; 4] = [192, 168, 4, 1];
/// Most networks that are remembered of a scan; the strongest stay.
pub const MAX_SEEN: usize = 20;
/// Most bytes that wait to be sent over the serial line; what comes on top is lost.
pub const MAX_SERIAL: usize = 2048;
/// Milliseconds from saving to the restart, so that the last words get out.
pub const RESTART_AFTER_MS: u64 = 2_000;
/// Milliseconds that joining a network may take until it counts as failed.
pub const JOIN_TIMEOUT_MS: u64 = 30_000;
/// Milliseconds that a scan may take until it counts as failed.
pub const SCAN_TIMEOUT_MS: u64 = 15_000;

/// What the page should say above its form.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Notice {
    None,
    /// The settings in storage cannot be read.
    Unreadable(SettingsError),
    /// Something in the form cannot be used.
    Fault(SettingsError),
    /// Nothing was said about the network.
    NoNetwork,
    /// The flash refused.
    NotStored,
    /// A network cannot be joined.
    NotJoined {
        ssid: String<MAX_SSID>,
        refused: bool,
    },
}

/// The machine. `Debug` hides what is typed and what is secret.
pub struct Setup {
    about: About,
    settings: Settings,
    facts: Facts,
    now: u64,
    serial: serial::Serial,
    dialog: console::Dialog,
    answers: console::Answers,
    out: Vec<u8, MAX_SERIAL>,
    /// Whether the binding has the bytes of `out`.
    taken: bool,
    seen: Vec<seen::Known, MAX_SEEN>,
    scanned_at: Option<u64>,
    scan_since: Option<u64>,
    scan_wanted: bool,
    /// Whether Improv waits for the scan.
    improv_scan: bool,
    /// The network that Improv wants, and since when it is tried.
    joining: Option<(Network, u64)>,
    join_wanted: bool,
    form: portal::Entered,
    notice: Notice,
    /// Counts what people change of the page, so that no answer is made of two. What changes by itself is kept by each answer.
    shown: u32,
    changed: bool,
    used: bool,
    portal_wanted: bool,
    /// Whether the board becomes another one with the restart that is on its way.
    leaving: bool,
    halt: bool,
    restart_at: Option<u64>,
    leases: dhcp::Leases,
}

/// Forgets what a board has measured, switched and planned.
fn forget_doings<S: Storage>(storage: &mut S) -> Result<(), S::Error> {
    [Slot::Queue, Slot::State, Slot::Schedules]
        .into_iter()
        .try_for_each(|slot| storage.forget(slot))
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("about", &self.about)
            .field("settings", &self.settings)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

impl Setup {
    /// Reads the settings of a board; when none are stored, stores those that `legacy` finds in other firmware's place, as
    /// [`crate::settings::import::import`] does with [`crate::records::Records::flash`]. A portal without a password gets one made
    /// of `random`, which must come from the chip's generator.
    pub fn open<S: Storage>(
        about: About,
        storage: &mut S,
        legacy: impl FnOnce(&mut S) -> Option<Settings>,
        random: [u8; 16],
    ) -> Self {
        let (mut settings, mut notice, mut store) = match Settings::load(storage) {
            Ok(Some(settings)) => (settings, Notice::None, false),
            Ok(None) => match legacy(storage) {
                Some(settings) => (settings, Notice::None, true),
                None => (Settings::default(), Notice::None, false),
            },
            Err(AccessError::Settings(error)) => {
                (Settings::default(), Notice::Unreadable(error), false)
            }
            Err(AccessError::Storage(_)) => (Settings::default(), Notice::NotStored, false),
        };
        if settings.portal().is_empty() {
            // A password of our own making is always one.
            let _ = settings.set_portal(&password::from_random(random));
            // What cannot be read is left for the one who can.
            store |= notice == Notice::None;
        }
        if store && settings.store(storage).is_err() {
            notice = Notice::NotStored;
        }
        Setup {
            about,
            settings,
            facts: Facts::default(),
            now: 0,
            serial: serial::Serial::default(),
            dialog: console::Dialog::Idle,
            answers: console::Answers::default(),
            out: Vec::new(),
            taken: false,
            seen: Vec::new(),
            scanned_at: None,
            scan_since: None,
            scan_wanted: false,
            improv_scan: false,
            joining: None,
            join_wanted: false,
            form: portal::Entered::default(),
            notice,
            shown: 0,
            changed: false,
            used: false,
            portal_wanted: false,
            leaving: false,
            halt: false,
            restart_at: None,
            leases: dhcp::Leases::default(),
        }
    }

    /// Takes one input at `now` milliseconds of a clock that counts up. Call [`Setup::poll`] until it is empty afterwards.
    pub fn step<S: Storage>(&mut self, now: u64, input: Input<'_>, storage: &mut S) {
        self.now = self.now.max(now);
        match input {
            Input::Tick => {}
            Input::Serial(bytes) => self.serial_bytes(bytes, storage),
            Input::Scanned(seen) => self.scanned(seen),
            Input::ScanFailed => self.scan_ended(),
            Input::Joined { ssid, address } => {
                self.facts.address = Some(address);
                if matches!(self.notice, Notice::NotJoined { .. }) {
                    self.notice = Notice::None;
                }
                self.joined(ssid, storage);
            }
            Input::NotJoined { ssid, refused } => self.not_joined(ssid, refused),
            Input::Facts(facts) => self.facts = facts,
        }
        self.serial.tick(self.now);
        if self.due(self.scan_since, SCAN_TIMEOUT_MS) {
            self.scan_ended();
        }
        if self.due(
            self.joining.as_ref().map(|(_, since)| *since),
            JOIN_TIMEOUT_MS,
        ) {
            self.improv_not_joined();
        }
    }

    /// Returns why a board that is in a network does not reach its server.
    fn trouble(&self) -> Option<&'static str> {
        let in_network = self.facts.address.is_some() && !self.facts.online;
        self.facts.trouble.filter(|_| in_network)
    }

    fn due(&self, since: Option<u64>, after: u64) -> bool {
        since.is_some_and(|since| self.now.saturating_sub(since) >= after)
    }

    /// Returns the next thing to do; nothing more until the next step when it returns none.
    pub fn poll(&mut self) -> Option<Output<'_>> {
        if core::mem::take(&mut self.taken) {
            self.out.clear();
        }
        if !self.out.is_empty() {
            self.taken = true;
            return Some(Output::Serial(&self.out));
        }
        if core::mem::take(&mut self.halt) {
            return Some(Output::Halt);
        }
        if core::mem::take(&mut self.changed) {
            return Some(Output::Changed);
        }
        if core::mem::take(&mut self.used) {
            return Some(Output::PortalUsed);
        }
        if core::mem::take(&mut self.portal_wanted) {
            return Some(Output::WantPortal);
        }
        if core::mem::take(&mut self.scan_wanted) {
            return Some(Output::Scan);
        }
        if core::mem::take(&mut self.join_wanted)
            && let Some((network, _)) = &self.joining
        {
            return Some(Output::Join(network));
        }
        if self.restart_at.is_some_and(|at| self.now >= at) {
            self.restart_at = None;
            return Some(Output::Restart);
        }
        None
    }

    /// Returns the milliseconds after which a [`Input::Tick`] is due; none when only something that happens can matter.
    pub fn wake_in_ms(&self) -> Option<u64> {
        let after = |since: Option<u64>, ms| since.map(|since| since + ms);
        [
            self.restart_at,
            after(self.scan_since, SCAN_TIMEOUT_MS),
            after(self.joining.as_ref().map(|j| j.1), JOIN_TIMEOUT_MS),
            self.serial.due_at(),
        ]
        .into_iter()
        .flatten()
        .map(|at| at.saturating_sub(self.now))
        .min()
    }

    /// Returns the settings.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Says whether the board becomes another one with the restart that is on its way: what is stored until then would be taken for
    /// the other one's.
    pub const fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Returns the name of the board's own network: `Espalier-` and the last three bytes of its address.
    pub fn portal_ssid(&self) -> String<MAX_SSID> {
        let [_, _, _, a, b, c] = self.about.mac;
        let mut out = String::new();
        // There is room for 15 bytes.
        let _ = fmt::Write::write_fmt(&mut out, format_args!("Espalier-{a:02X}{b:02X}{c:02X}"));
        out
    }

    /// The board's own network opens: looks for networks, so that the first page has them, and says how to join it when the board
    /// is in no other way to be had.
    pub(crate) fn portal_opens(&mut self) {
        if self.settings.networks().is_empty() {
            self.tell_portal();
        }
        if self.scan_is_old() {
            self.want_scan();
        }
    }

    /// Answers a DHCP packet of the board's own network: writes the answer and returns where it goes and its length.
    pub fn dhcp(
        &mut self,
        now: u64,
        packet: &[u8],
        into: &mut [u8; dhcp::PACKET],
    ) -> Option<dhcp::Reply> {
        self.leases.answer(now, packet, into)
    }

    /// Takes the board back to what it was when it left the hand that made it, and restarts it: it forgets its name, its server,
    /// who it is there, its networks, switches, samples and schedules. The portal's password, the profile, the time zone, whom it
    /// believes over `https`, and the keys that sign firmware stay, as do the records of updates.
    ///
    /// Only keys that a board without any in its settings has learned from its server go with that server: it was the person's trust
    /// in the server that made them count, and the next owner's server must be able to update the board.
    ///
    /// # Errors
    /// When the storage cannot be written; then some of it may be forgotten.
    pub fn factory_reset<S: Storage>(&mut self, now: u64, storage: &mut S) -> Result<(), S::Error> {
        self.now = self.now.max(now);
        let kept = self.settings.kept_by_reset();
        forget_doings(storage)?;
        if kept.keys().is_empty() {
            StoredKeys::forget(storage)?;
        }
        match kept.store(storage) {
            Ok(()) => storage.scrub(Slot::Settings)?,
            Err(AccessError::Storage(error)) => return Err(error),
            // Newer firmware's are forgotten too: that is what a reset is for.
            Err(AccessError::Settings(_)) => {
                storage.forget(Slot::Settings)?;
                if let Err(AccessError::Storage(error)) = kept.store(storage) {
                    return Err(error);
                }
            }
        }
        self.settings = kept;
        self.notice = Notice::None;
        self.settings_changed();
        self.leave();
        self.restart_at = Some(self.now + RESTART_AFTER_MS);
        Ok(())
    }

    fn settings_changed(&mut self) {
        self.changed = true;
        self.shown = self.shown.wrapping_add(1);
    }

    /// From now on the board is another one.
    fn leave(&mut self) {
        self.leaving = true;
        self.halt = true;
    }

    /// Stores other settings and takes them. With them the board may be another device, or one of another server: what it measured,
    /// switched and planned as the one before is forgotten first, so that a power cut in between costs that and gives nothing away.
    fn save<S: Storage>(
        &mut self,
        settings: Settings,
        storage: &mut S,
    ) -> Result<(), AccessError<S::Error>> {
        let other = settings.is_another(&self.settings);
        settings.store_after(storage, |storage| match other {
            true => forget_doings(storage),
            false => Ok(()),
        })?;
        if other {
            self.leave();
        }
        self.settings = settings;
        self.notice = Notice::None;
        self.settings_changed();
        Ok(())
    }

    /// Stores what makes the board start anew, and restarts it.
    fn save_and_restart<S: Storage>(
        &mut self,
        settings: Settings,
        storage: &mut S,
    ) -> Result<(), AccessError<S::Error>> {
        self.save(settings, storage)?;
        self.restart_at = Some(self.now + RESTART_AFTER_MS);
        Ok(())
    }

    fn not_joined(&mut self, ssid: &str, refused: bool) {
        if self.joining.as_ref().is_some_and(|(n, _)| n.ssid() == ssid) {
            self.improv_not_joined();
        } else if let Ok(ssid) = String::try_from(ssid) {
            let told = Notice::NotJoined { ssid, refused };
            if !matches!(self.notice, Notice::Unreadable(_)) {
                self.notice = told;
            }
        }
    }
}
