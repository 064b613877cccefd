//! The console on the serial line: one command a line, and the questions that some of them ask. It shows no token and no password
//! of a network, and repeats nothing that was typed.

use core::fmt::{self, Write};

use super::serial::{Event, MAX_LINE};
use super::{MAX_SERIAL, Notice, RESTART_AFTER_MS, Setup};
use crate::config::{MAX_DEVICE_ID, MAX_TOKEN};
use crate::settings::{AccessError, MAX_SSID, Network, Settings, SettingsError};
use crate::storage::Storage;
use heapless::{String, Vec};

/// What the next line answers, with the answers before it.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Dialog {
    /// Nothing: it is a command.
    Idle,
    Device,
    Token {
        device: String<MAX_DEVICE_ID>,
    },
    Server {
        device: String<MAX_DEVICE_ID>,
        token: String<MAX_TOKEN>,
    },
    Ssid,
    Password {
        ssid: String<MAX_SSID>,
    },
}

const HELP: &str = "provision  enter device id, device token and API URL\r\n\
    wifi       enter a Wi-Fi network\r\n\
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

impl Setup {
    pub(super) fn serial_bytes<S: Storage>(&mut self, bytes: &[u8], storage: &mut S) {
        for byte in bytes {
            match self.serial.feed(self.now, *byte) {
                None => {}
                Some(Event::Line(line)) => self.line(&line, storage),
                Some(Event::Overlong) => {
                    self.say(format_args!("A line may have at most {MAX_LINE} bytes."));
                    self.ask();
                }
                Some(Event::Cancel) if self.dialog == Dialog::Idle => {}
                Some(Event::Cancel) => {
                    self.dialog = Dialog::Idle;
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
        let question = match &self.dialog {
            Dialog::Idle => return,
            Dialog::Device => "Device ID: ",
            Dialog::Token { .. } => "Device Token: ",
            Dialog::Server { .. } => "API URL: ",
            Dialog::Ssid => "Network name: ",
            Dialog::Password { .. } => "Password, empty for an open network: ",
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
                self.next(checked, Dialog::Device, || {
                    let device = String::try_from(word).ok()?;
                    Some(Dialog::Token { device })
                });
            }
            Dialog::Token { device } => {
                let checked = Settings::default().set_token(word);
                let again = Dialog::Token {
                    device: device.clone(),
                };
                self.next(checked, again, || {
                    let token = String::try_from(word).ok()?;
                    Some(Dialog::Server { device, token })
                });
            }
            Dialog::Server { device, token } => self.provisioned(&device, &token, word, storage),
            // Names and passwords of networks may begin and end with spaces.
            Dialog::Ssid if text.is_empty() => self.say(format_args!("Nothing is changed.")),
            Dialog::Ssid => {
                let checked = Network::new(text, "").map(|_| ());
                self.next(checked, Dialog::Ssid, || {
                    let ssid = String::try_from(text).ok()?;
                    Some(Dialog::Password { ssid })
                });
            }
            Dialog::Password { ssid } => self.network_given(ssid, text, storage),
        }
        self.ask();
    }

    /// Goes on to the next question, or says what was wrong and asks again.
    fn next(
        &mut self,
        checked: Result<(), SettingsError>,
        again: Dialog,
        next: impl FnOnce() -> Option<Dialog>,
    ) {
        match checked {
            // What was checked fits.
            Ok(()) => self.dialog = next().unwrap_or(again),
            Err(error) => {
                self.wrong(error);
                self.dialog = again;
            }
        }
    }

    fn wrong(&mut self, error: SettingsError) {
        match error {
            SettingsError::Member { must, .. } => self.say(format_args!("It must {must}.")),
            error => self.say(format_args!("Not possible: {error}.")),
        }
    }

    fn command<S: Storage>(&mut self, text: &str, storage: &mut S) {
        let is = |command| text.eq_ignore_ascii_case(command);
        if text.is_empty() {
        } else if is("help") || text == "?" {
            self.write(format_args!("{HELP}"));
        } else if is("status") {
            self.status();
        } else if is("provision") {
            self.dialog = Dialog::Device;
            self.ask();
        } else if is("wifi") {
            self.dialog = Dialog::Ssid;
            self.ask();
        } else if is("portal") {
            let ssid = self.portal_ssid();
            let password = self.settings.clone();
            self.say(format_args!("Network: {ssid}"));
            self.say(format_args!("Password: {}", password.portal()));
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

    /// Takes the last answer of `provision`; all three are stored together.
    fn provisioned<S: Storage>(
        &mut self,
        device: &str,
        token: &str,
        server: &str,
        storage: &mut S,
    ) {
        if [device, token, server]
            .iter()
            .all(|answer| answer.is_empty())
        {
            return self.say(format_args!("Nothing is changed."));
        }
        let mut next = self.settings.clone();
        let set = |next: &mut Settings| {
            if !device.is_empty() {
                next.set_device(device)?;
            }
            if !token.is_empty() {
                next.set_token(token)?;
            }
            if !server.is_empty() {
                next.set_server(server)?;
            }
            Ok(())
        };
        if let Err(error) = set(&mut next) {
            self.wrong(error);
            // Only the server is new: the others were checked before.
            if let (Ok(device), Ok(token)) = (String::try_from(device), String::try_from(token)) {
                self.dialog = Dialog::Server { device, token };
            }
            return;
        }
        let saved = self.save(next, storage);
        if saved.is_ok() {
            self.restart_at = Some(self.now + RESTART_AFTER_MS);
        }
        self.tell_saved(saved, "Saved. Restarting.");
    }

    fn network_given<S: Storage>(
        &mut self,
        ssid: String<MAX_SSID>,
        password: &str,
        storage: &mut S,
    ) {
        match Network::new(&ssid, password) {
            Ok(network) => {
                let mut next = self.settings.clone();
                next.put_network(network);
                let saved = self.save(next, storage);
                self.tell_saved(saved, "Saved. The board tries the network now.");
            }
            Err(error) => {
                self.wrong(error);
                self.dialog = Dialog::Password { ssid };
            }
        }
    }

    fn status(&mut self) {
        let (about, settings, facts) = (self.about.clone(), self.settings.clone(), self.facts);
        let or = |text, otherwise| match text {
            "" => Shown(otherwise),
            text => Shown(text),
        };
        let set = |text: &str| if text.is_empty() { "not set" } else { "set" };
        self.say(format_args!(
            "Firmware: {} {} on {}",
            about.firmware, about.version, about.chip
        ));
        self.say(format_args!("Name: {}", or(settings.name(), "not set")));
        self.say(format_args!(
            "Device ID: {}",
            or(settings.device(), "not set")
        ));
        self.say(format_args!("Device Token: {}", set(settings.token())));
        self.say(format_args!(
            "API URL: {}",
            or(settings.server(), "not set")
        ));
        for network in settings.networks() {
            let kind = if network.is_open() {
                "open"
            } else {
                "password set"
            };
            self.say(format_args!("Wi-Fi: {} ({kind})", Shown(network.ssid())));
        }
        if settings.networks().is_empty() {
            self.say(format_args!("Wi-Fi: not set"));
        }
        match (facts.address, facts.rssi) {
            (None, _) => self.say(format_args!("Network: not connected")),
            (Some([a, b, c, d]), None) => self.say(format_args!("Network: {a}.{b}.{c}.{d}")),
            (Some([a, b, c, d]), Some(rssi)) => {
                self.say(format_args!("Network: {a}.{b}.{c}.{d}, {rssi} dBm"));
            }
        }
        let answers = if facts.online {
            "answers"
        } else {
            "does not answer"
        };
        self.say(format_args!("Server: {answers}"));
        self.say(format_args!("Uptime: {} s", facts.uptime_ms / 1000));
        if let Some(bytes) = facts.heap_free {
            self.say(format_args!("Free heap: {bytes} bytes"));
        }
        if let Notice::Unreadable(error) = self.notice {
            self.say(format_args!("Settings: {error}"));
        }
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
