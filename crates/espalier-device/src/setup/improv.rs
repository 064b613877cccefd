//! The Improv protocol over the serial line (improv-wifi.com/serial): packets, states, errors, and the commands of a browser. Not
//! how bytes become packets, which is `serial.rs`.

use heapless::Vec;

use super::Setup;
use super::serial::{PREFIX, checksum};
use crate::config::MAX_URL;
use crate::settings::Network;
use crate::storage::Storage;

/// The types of packets.
const CURRENT_STATE: u8 = 1;
const ERROR_STATE: u8 = 2;
const RPC_COMMAND: u8 = 3;
const RPC_RESULT: u8 = 4;

/// The states.
const READY: u8 = 2;
const PROVISIONING: u8 = 3;
const PROVISIONED: u8 = 4;

/// The errors.
const NO_ERROR: u8 = 0;
const BAD_PACKET: u8 = 1;
const UNKNOWN_COMMAND: u8 = 2;
const NOT_CONNECTED: u8 = 3;
const OTHER: u8 = 0xff;

/// The commands.
const SEND_WIFI: u8 = 1;
const GET_STATE: u8 = 2;
const GET_DEVICE: u8 = 3;
const GET_NETWORKS: u8 = 4;

/// Takes a counted text from the front of some bytes.
fn counted<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (len, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*len))?;
    *bytes = rest;
    core::str::from_utf8(text).ok()
}

impl Setup {
    /// Takes a packet whose checksum was right.
    pub(super) fn improv_packet(&mut self, kind: u8, data: &[u8]) {
        let ([command, len, rest @ ..], RPC_COMMAND) = (data, kind) else {
            return self.improv_error(BAD_PACKET);
        };
        if rest.len() != usize::from(*len) {
            return self.improv_error(BAD_PACKET);
        }
        self.improv_error(NO_ERROR);
        match *command {
            SEND_WIFI => self.improv_wifi(rest),
            GET_STATE => {
                self.improv_state();
                if self.facts.address.is_some() && self.joining.is_none() {
                    self.improv_url(GET_STATE);
                }
            }
            GET_DEVICE => {
                let about = self.about.clone();
                let name = match self.settings.name() {
                    "" => self.portal_ssid(),
                    name => cut(name),
                };
                self.improv_result(
                    GET_DEVICE,
                    &[&about.firmware, &about.version, &about.chip, &name],
                );
            }
            GET_NETWORKS => {
                self.improv_scan = true;
                self.want_scan();
            }
            _ => self.improv_error(UNKNOWN_COMMAND),
        }
    }

    pub(super) fn improv_damaged(&mut self) {
        self.improv_error(BAD_PACKET);
    }

    fn improv_wifi(&mut self, mut data: &[u8]) {
        let (Some(ssid), Some(password), []) = (counted(&mut data), counted(&mut data), data)
        else {
            return self.improv_error(BAD_PACKET);
        };
        match Network::new(ssid, password) {
            Ok(network) => {
                self.joining = Some((network, self.now));
                self.join_wanted = true;
                self.improv_state();
            }
            // No network has such a name or password.
            Err(_) => self.improv_error(NOT_CONNECTED),
        }
    }

    /// The board joined a network: the one that Improv wanted is saved.
    pub(super) fn joined<S: Storage>(&mut self, ssid: &str, storage: &mut S) {
        let Some((network, _)) = self.joining.take_if(|(n, _)| n.ssid() == ssid) else {
            return;
        };
        self.join_wanted = false;
        let mut next = self.settings.clone();
        next.put_network(network);
        if self.save(next, storage).is_err() {
            self.improv_error(OTHER);
            return self.improv_send(CURRENT_STATE, &[READY]);
        }
        self.improv_state();
        self.improv_url(SEND_WIFI);
    }

    /// The network that Improv wanted cannot be joined.
    pub(super) fn improv_not_joined(&mut self) {
        self.joining = None;
        self.join_wanted = false;
        self.improv_error(NOT_CONNECTED);
        // Also where an older network works on: the browser asks for another password.
        self.improv_send(CURRENT_STATE, &[READY]);
    }

    /// Tells the networks of the last scan, one by one, and then nothing for the end.
    pub(super) fn improv_networks(&mut self) {
        for at in 0..self.seen.len() {
            let known = self.seen[at].clone();
            let mut rssi = heapless::String::<12>::new();
            let _ = core::fmt::Write::write_fmt(&mut rssi, format_args!("{}", known.rssi));
            let locked = if known.encryption == 0 { "NO" } else { "YES" };
            self.improv_result(GET_NETWORKS, &[&known.ssid, &rssi, locked]);
        }
        self.improv_result(GET_NETWORKS, &[]);
    }

    fn improv_state(&mut self) {
        let state = match (&self.joining, self.facts.address) {
            (Some(_), _) => PROVISIONING,
            (None, Some(_)) => PROVISIONED,
            (None, None) => READY,
        };
        self.improv_send(CURRENT_STATE, &[state]);
    }

    fn improv_error(&mut self, error: u8) {
        self.improv_send(ERROR_STATE, &[error]);
    }

    /// Tells where to go on: to the server, when the board knows it.
    fn improv_url(&mut self, command: u8) {
        match cut::<MAX_URL>(self.settings.server()).as_str() {
            "" => self.improv_result(command, &[]),
            server => self.improv_result(command, &[server]),
        }
    }

    fn improv_result(&mut self, command: u8, texts: &[&str]) {
        let mut data = Vec::<u8, 255>::new();
        let len: usize = texts.iter().map(|text| 1 + text.len()).sum();
        // The longest four texts that are told have 32 + 32 + 32 + 64 bytes.
        let _ = data.extend_from_slice(&[command, len as u8]);
        for text in texts {
            let _ = data.push(text.len() as u8);
            let _ = data.extend_from_slice(text.as_bytes());
        }
        self.improv_send(RPC_RESULT, &data);
    }

    fn improv_send(&mut self, kind: u8, data: &[u8]) {
        let mut packet = Vec::<u8, 272>::new();
        let _ = packet.extend_from_slice(&PREFIX);
        let _ = packet.extend_from_slice(&[kind, data.len() as u8]);
        let _ = packet.extend_from_slice(data);
        let sum = checksum(&packet);
        let _ = packet.push(sum);
        // A line end keeps what follows readable in a terminal.
        let _ = packet.push(b'\n');
        self.make_room();
        if self.out.capacity() - self.out.len() >= packet.len() {
            let _ = self.out.extend_from_slice(&packet);
        }
    }
}

/// Cuts a text to what a packet tells of it.
fn cut<const N: usize>(text: &str) -> heapless::String<N> {
    let mut out = heapless::String::new();
    for c in text.chars() {
        if out.push(c).is_err() {
            break;
        }
    }
    out
}
