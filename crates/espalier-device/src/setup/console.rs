//! The console on the serial line: one command a line, and the questions that some of them ask. It shows no token and no password
//! of a network, and repeats nothing that was typed.

use core::fmt::{self, Write};

use super::serial::{Event, MAX_LINE};
use super::{Facts, MAX_SERIAL, Notice, Setup};
use crate::config::{MAX_DEVICE_ID, MAX_TOKEN, MAX_URL};
use crate::profile::{self, Profile, ProfileError};
use crate::schedule::Zone;
use crate::settings::{
    AccessError, LOCAL_SERVER, MAX_BOARD, MAX_PORTAL, MAX_SSID, MAX_TZ, NO_PIN, Network, Settings,
    SettingsError,
};
use crate::storage::Storage;
use heapless::{String, Vec};

/// What the next line answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialog {
    /// Nothing: it is a command.
    Idle,
    Device,
    Token,
    Server,
    Pin,
    Ssid,
    Password,
}

/// What was answered so far, each of it checked; what is empty keeps what is set.
#[derive(Default)]
pub(super) struct Answers {
    device: String<MAX_DEVICE_ID>,
    token: String<MAX_TOKEN>,
    server: String<MAX_URL>,
    keys: String<{ KEYS * 65 }>,
    ssid: String<MAX_SSID>,
}

/// Most keys that `provision` is given at once.
const KEYS: usize = 4;

const HELP: &str = "provision  enter device id, device token and API URL; `provision KEY` also says who signs firmware\r\n\
    pin        enter the SHA-256 of the key of an https server, or of two\r\n\
    wifi       enter a Wi-Fi network\r\n\
    zone       show the time zone; `zone CET-1CEST,M3.5.0,M10.5.0/3` sets it, for schedules by the clock\r\n\
    profile    show which pins do what; `profile NAME` or `profile {JSON}` sets it\r\n\
    status     show who this board is and how it does\r\n\
    portal     open the board's own network and show its password\r\n\
    reset      forget all settings and restart\r\n\
    help       show this list\r\n\
    An empty answer keeps what is set. Ctrl-C leaves a question.\r\n";

/// Writes text for the line, as much as there is room for.
struct Line<'a>(&'a mut Vec<u8, MAX_SERIAL>);

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0
            .extend_from_slice(text.as_bytes())
            .map_err(|_| fmt::Error)
    }
}

/// A sentence for people: what came from elsewhere may hold letters that a terminal obeys.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        self.0.chars().map(safe).try_for_each(|c| f.write_char(c))
    }
}

/// A time zone for people.
struct Zoned<'a>(&'a str);

impl fmt::Display for Zoned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("not set, so UTC"),
            tz if Zone::parse(tz).is_ok() => fmt::Display::fmt(&Shown(tz), f),
            tz => write!(f, "{} cannot be read, so UTC", Shown(tz)),
        }
    }
}

impl Setup {
    pub(super) fn serial_bytes<S: Storage>(&mut self, bytes: &[u8], storage: &mut S) {
        for byte in bytes {
            match self.serial.feed(self.now, *byte) {
                None => {}
                Some(Event::Line) => {
                    let line = self.serial.take_line();
                    self.line(&line, storage);
                }
                Some(Event::Overlong) => {
                    self.say(format_args!("A line may have at most {MAX_LINE} bytes."));
                    self.ask();
                }
                Some(Event::Cancel) if self.dialog == Dialog::Idle => {}
                Some(Event::Cancel) => {
                    self.dialog = Dialog::Idle;
                    self.answers = Answers::default();
                    self.say(format_args!("Left. Nothing is changed."));
                }
                Some(Event::Packet { kind, data }) => self.improv_packet(kind, &data),
                Some(Event::Damaged) => self.improv_damaged(),
            }
        }
    }

    /// Says one sentence.
    fn say(&mut self, sentence: fmt::Arguments<'_>) {
        self.write(sentence);
        self.write(format_args!("\r\n"));
    }

    fn write(&mut self, text: fmt::Arguments<'_>) {
        self.make_room();
        // What has no room is lost: the line is slower than the one who asks.
        let _ = Line(&mut self.out).write_fmt(text);
    }

    /// Forgets the bytes that were handed out.
    pub(super) fn make_room(&mut self) {
        if core::mem::take(&mut self.taken) {
            self.out.clear();
        }
    }

    /// Repeats the question that is open.
    fn ask(&mut self) {
        let question = match self.dialog {
            Dialog::Idle => return,
            Dialog::Device => "Device ID: ",
            Dialog::Token => "Device Token: ",
            Dialog::Server => "API URL: ",
            Dialog::Pin => "Server pin: ",
            Dialog::Ssid => "Network name: ",
            Dialog::Password => "Password, empty for an open network: ",
        };
        self.write(format_args!("{question}\r\n"));
    }

    fn line<S: Storage>(&mut self, line: &[u8], storage: &mut S) {
        let Ok(text) = core::str::from_utf8(line) else {
            self.say(format_args!("That was no UTF-8 text."));
            return self.ask();
        };
        let word = text.trim();
        match core::mem::replace(&mut self.dialog, Dialog::Idle) {
            Dialog::Idle => return self.command(word, storage),
            Dialog::Device => {
                let checked = Settings::default().set_device(word);
                if self.goes_on(checked, Dialog::Device, Dialog::Token) {
                    self.answers.device = fit(word);
                }
            }
            Dialog::Token => {
                let checked = Settings::default().set_token(word);
                if self.goes_on(checked, Dialog::Token, Dialog::Server) {
                    self.answers.token = fit(word);
                }
            }
            Dialog::Server => {
                let checked = Settings::default().set_server(word);
                if self.goes_on(checked, Dialog::Server, Dialog::Idle) {
                    self.answers.server = fit(word);
                    self.answered("", storage);
                }
            }
            Dialog::Pin => self.answered(word, storage),
            // Names and passwords of networks may begin and end with spaces.
            Dialog::Ssid if text.is_empty() => self.say(format_args!("Nothing is changed.")),
            Dialog::Ssid => {
                let checked = Network::new(text, "").map(|_| ());
                if self.goes_on(checked, Dialog::Ssid, Dialog::Password) {
                    self.answers.ssid = fit(text);
                }
            }
            Dialog::Password => self.network_given(text, storage),
        }
        self.ask();
    }

    /// Goes on to the next question, or says what was wrong and asks again.
    fn goes_on(&mut self, checked: Result<(), SettingsError>, again: Dialog, next: Dialog) -> bool {
        self.dialog = match checked {
            Ok(()) => next,
            Err(error) => {
                self.wrong(error);
                again
            }
        };
        checked.is_ok()
    }

    fn wrong(&mut self, error: SettingsError) {
        match error {
            SettingsError::Member { must, .. } => self.say(format_args!("It must {must}.")),
            error => self.say(format_args!("Not possible: {error}.")),
        }
    }

    fn command<S: Storage>(&mut self, text: &str, storage: &mut S) {
        let is = |command| text.eq_ignore_ascii_case(command);
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        if text.is_empty() {
        } else if is("help") || text == "?" {
            self.write(format_args!("{HELP}"));
        } else if is("status") {
            self.status();
        } else if word.eq_ignore_ascii_case("provision") {
            self.provision(rest.trim());
        } else if is("pin") {
            self.dialog = Dialog::Pin;
            self.ask();
        } else if word.eq_ignore_ascii_case("zone") {
            self.zone(rest.trim(), storage);
        } else if word.eq_ignore_ascii_case("profile") {
            self.profile(rest.trim(), storage);
        } else if is("wifi") {
            self.dialog = Dialog::Ssid;
            self.ask();
        } else if is("portal") {
            self.tell_portal();
            self.portal_wanted = true;
        } else if is("reset") {
            match self.factory_reset(self.now, storage) {
                Ok(()) => self.say(format_args!("All settings are forgotten. Restarting.")),
                Err(_) => self.say(format_args!(
                    "The flash cannot be written: some settings may be left."
                )),
            }
        } else {
            self.say(format_args!("No such command: type help."));
        }
    }

    /// Begins to ask who the board is; with keys that sign its firmware, when a person will not leave them to the first contact.
    fn provision(&mut self, keys: &str) {
        let checked = Settings::default().set_keys(keys);
        let (Ok(()), Ok(keys)) = (checked, String::try_from(keys)) else {
            return self.say(format_args!(
                "The keys must be at most {KEYS} Ed25519 public keys, each as 64 hexadecimal digits or as the base64 of its .pub file."
            ));
        };
        self.answers.keys = keys;
        self.dialog = Dialog::Device;
        self.ask();
    }

    /// Takes the last answer of `provision` or `pin`; all of them are stored together.
    fn answered<S: Storage>(&mut self, pins: &str, storage: &mut S) {
        let mut next = self.settings.clone();
        let given = &self.answers;
        let set = |next: &mut Settings| {
            if !given.device.is_empty() {
                next.set_device(&given.device)?;
            }
            if !given.token.is_empty() {
                next.set_token(&given.token)?;
            }
            if !given.server.is_empty() {
                next.set_server(&given.server)?;
            }
            if !given.keys.is_empty() {
                next.set_keys(&given.keys)?;
            }
            if !pins.is_empty() {
                next.set_pins(pins)?;
            }
            if next.lacks_trust() {
                return Err(NO_PIN);
            }
            Ok(())
        };
        if let Err(error) = set(&mut next) {
            self.wrong(error);
            // Only that is new: the others were checked before.
            self.dialog = Dialog::Pin;
            return;
        }
        self.answers = Answers::default();
        if next == self.settings {
            return self.say(format_args!("Nothing is changed."));
        }
        let is_local = next.has_local_server();
        let saved = self.save_and_restart(next, storage);
        self.tell_saved(saved, "Saved. Restarting.");
        if is_local {
            self.say(format_args!("{LOCAL_SERVER}"));
        }
    }

    /// Says the name and the password of the board's own network.
    pub(super) fn tell_portal(&mut self) {
        let (ssid, password) = (
            self.portal_ssid(),
            fit::<MAX_PORTAL>(self.settings.portal()),
        );
        self.say(format_args!("Network: {ssid}"));
        self.say(format_args!("Password: {password}"));
    }

    /// Shows the time zone, or takes one, which counts at once.
    fn zone<S: Storage>(&mut self, given: &str, storage: &mut S) {
        if given.is_empty() {
            let zone = fit::<MAX_TZ>(self.settings.tz());
            return self.say(format_args!("Time zone: {}", Zoned(&zone)));
        }
        let mut next = self.settings.clone();
        if let Err(SettingsError::Member { must, .. }) = next.set_tz(given) {
            return self.say(format_args!("The time zone must {must}."));
        }
        let saved = self.save(next, storage);
        self.tell_saved(saved, "Saved.");
    }

    /// Shows which pins do what, or takes a profile: the name of a board that is known, or one of a person's own.
    fn profile<S: Storage>(&mut self, given: &str, storage: &mut S) {
        if given.is_empty() {
            let profile =
                fit::<MAX_BOARD>(match (self.settings.board(), self.settings.profile()) {
                    ("", "") => "not set",
                    ("", name) => name,
                    (own, _) => own,
                });
            return self.say(format_args!("Profile: {}", Shown(&profile)));
        }
        let mut next = self.settings.clone();
        let profile = if given.starts_with('{') {
            next.set_board(given)
                .and_then(|()| Profile::from_json(given))
        } else {
            let _ = next.set_board("");
            // A name that is too long is none.
            let _ = next.set_profile(given);
            let unknown = ProfileError::Malformed("is none that this firmware knows");
            profile::named(given).ok_or(unknown)
        };
        let chip = self.about.chip.clone();
        match profile {
            Err(error) => self.say(format_args!("Not possible: {error}.")),
            Ok(profile) if profile.chip.title() != chip => self.say(format_args!(
                "Not possible: the board profile is for the {}, and this is an {chip}.",
                profile.chip.title()
            )),
            Ok(_) => {
                let saved = self.save_and_restart(next, storage);
                self.tell_saved(saved, "Saved. Restarting.");
            }
        }
    }

    fn network_given<S: Storage>(&mut self, password: &str, storage: &mut S) {
        match Network::new(&self.answers.ssid, password) {
            Ok(network) => {
                self.answers = Answers::default();
                let mut next = self.settings.clone();
                next.put_network(network);
                let saved = self.save(next, storage);
                self.tell_saved(saved, "Saved. The board tries the network now.");
            }
            Err(error) => {
                self.wrong(error);
                self.dialog = Dialog::Password;
            }
        }
    }

    fn status(&mut self) {
        self.make_room();
        let Setup {
            about,
            settings,
            facts,
            notice,
            out,
            ..
        } = self;
        let mut line = Line(out);
        // What has no room is lost: the line is slower than the one who asks.
        let _ = write!(
            line,
            "Firmware: {} {} on {}\r\n",
            about.firmware, about.version, about.chip
        )
        .and_then(|()| write_settings(&mut line, settings))
        .and_then(|()| write_facts(&mut line, facts))
        .and_then(|()| match notice {
            Notice::Unreadable(error) => write!(line, "Settings: {error}\r\n"),
            _ => Ok(()),
        });
    }

    fn tell_saved<E>(&mut self, saved: Result<(), AccessError<E>>, done: &str) {
        match saved {
            Ok(()) => self.say(format_args!("{done}")),
            Err(AccessError::Settings(error)) => self.say(format_args!("Not saved: {error}.")),
            Err(AccessError::Storage(_)) => {
                self.say(format_args!("Not saved: the flash cannot be written."));
            }
        }
    }
}

/// Writes who the board is and whom it knows, without secrets.
fn write_settings(line: &mut Line<'_>, settings: &Settings) -> fmt::Result {
    let or = |text, otherwise| match text {
        "" => Shown(otherwise),
        text => Shown(text),
    };
    let set = |text: &str| if text.is_empty() { "not set" } else { "set" };
    write!(line, "Name: {}\r\n", or(settings.name(), "not set"))?;
    write!(line, "Device ID: {}\r\n", or(settings.device(), "not set"))?;
    write!(line, "Device Token: {}\r\n", set(settings.token()))?;
    write!(line, "API URL: {}\r\n", or(settings.server(), "not set"))?;
    match (settings.ca().is_empty(), settings.pins().len()) {
        (true, 0) => {}
        (true, count) => write!(line, "Server pins: {count}\r\n")?,
        (false, 0) => write!(line, "Server certificate: set\r\n")?,
        (false, count) => write!(line, "Server certificate: set, and {count} pins\r\n")?,
    }
    match settings.keys().len() {
        0 => line
            .write_str("Signing keys: none given, the first that the server names are kept\r\n")?,
        count => write!(line, "Signing keys: {count} given\r\n")?,
    }
    write!(line, "Time zone: {}\r\n", Zoned(settings.tz()))?;
    for network in settings.networks() {
        let kind = if network.is_open() {
            "open"
        } else {
            "password set"
        };
        write!(line, "Wi-Fi: {} ({kind})\r\n", Shown(network.ssid()))?;
    }
    if settings.networks().is_empty() {
        line.write_str("Wi-Fi: not set\r\n")?;
    }
    Ok(())
}

/// Writes how the board does.
fn write_facts(line: &mut Line<'_>, facts: &Facts) -> fmt::Result {
    match (facts.address, facts.rssi) {
        (None, _) => line.write_str("Network: not connected\r\n")?,
        (Some([a, b, c, d]), None) => write!(line, "Network: {a}.{b}.{c}.{d}\r\n")?,
        (Some([a, b, c, d]), Some(rssi)) => {
            write!(line, "Network: {a}.{b}.{c}.{d}, {rssi} dBm\r\n")?;
        }
    }
    match (facts.online, facts.trouble) {
        (true, _) => line.write_str("Server: answers\r\n")?,
        (false, None) => line.write_str("Server: does not answer\r\n")?,
        (false, Some(why)) => write!(line, "Server: does not answer: {why}\r\n")?,
    }
    write!(line, "Uptime: {} s\r\n", facts.uptime_ms / 1000)?;
    match facts.heap_free {
        Some(bytes) => write!(line, "Free heap: {bytes} bytes\r\n"),
        None => Ok(()),
    }
}

/// A text that was checked, and so fits.
fn fit<const N: usize>(text: &str) -> String<N> {
    String::try_from(text).unwrap_or_default()
}
