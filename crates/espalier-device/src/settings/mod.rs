//! Who a board is, how it reaches its server, and which networks it may join: one record of JSON, with a version. Not where the
//! record lies (that is [`crate::records`]), and not how a person enters them (that is [`crate::setup`]).
//!
//! A browser writes the same record while it flashes a board; `tests/data/settings-record.bin` is what both must agree on.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the settings, their bounds, their place in storage |
//! | `error.rs` | why they are refused |
//! | `json.rs` | their JSON |
//! | `codes.rs` | base64 and hexadecimal digits |
//! | `import.rs` | settings that other firmware left |
//! | `nvs.rs` | how ESP-IDF keeps values in flash |

mod codes;
mod error;
pub mod import;
mod json;
pub mod nvs;

use core::fmt;

use heapless::{String, Vec};

pub(crate) use error::NO_PIN;
pub use error::{AccessError, SettingsError};

use crate::config::{
    Config, ConfigError, Endpoint, MAX_DEVICE_ID, MAX_KEYS, MAX_NAME, MAX_TOKEN, MAX_URL,
    UpdatePolicy,
};
use crate::profile::{Profile, ProfileError};
use crate::schedule::Zone;
use crate::storage::{Slot, Storage};

/// The version of the record that this firmware writes, and the newest that it reads.
pub const VERSION: u32 = 1;
/// Most bytes of the JSON.
pub const MAX_JSON: usize = 2048;
/// Longest name that people give a board, in bytes.
pub const MAX_LABEL: usize = 64;
/// Most networks.
pub const MAX_NETWORKS: usize = 4;
/// Longest name of a network, in bytes.
pub const MAX_SSID: usize = 32;
/// Longest password of a network, in bytes: 64 hexadecimal digits of a key.
pub const MAX_PASSWORD: usize = 64;
/// Longest password of the portal, in bytes.
pub const MAX_PORTAL: usize = 63;
/// Shortest password of a network or the portal, in bytes.
pub const MIN_PASSWORD: usize = 8;
/// Most bytes of the certificate of a certification authority, as DER.
pub const MAX_CA: usize = 1024;
/// Most keys of servers that are believed: the present one and its successor.
pub const MAX_PINS: usize = 2;
/// Most bytes of a board profile of one's own, as JSON.
pub const MAX_BOARD: usize = 1024;
/// Longest time zone, in bytes.
pub const MAX_TZ: usize = 64;

/// What a person is told who gives the board a server that [`Settings::has_local_server`] means.
pub(crate) const LOCAL_SERVER: &str = "This firmware cannot look up names that end in .local: it needs the server's address in numbers, or a name that the router knows.";

/// A network that the board may join. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Network {
    ssid: String<MAX_SSID>,
    password: String<MAX_PASSWORD>,
}

impl Network {
    /// Checks a name of 1 to 32 bytes and a password: none for an open network, else 8 to 63 bytes without control characters, or
    /// 64 hexadecimal digits.
    ///
    /// # Errors
    /// Says which of them cannot be.
    pub fn new(ssid: &str, password: &str) -> Result<Self, SettingsError> {
        let named = String::try_from(ssid).ok().filter(|s| !s.is_empty());
        let digits = password.bytes().all(|b| b.is_ascii_hexdigit());
        let good = match password.len() {
            0 | MIN_PASSWORD..=63 => !password.contains(|c: char| c.is_control()),
            MAX_PASSWORD => digits,
            _ => false,
        };
        Ok(Network {
            ssid: named.ok_or(member("ssid", "have 1 to 32 bytes"))?,
            password: String::try_from(password)
                .ok()
                .filter(|_| good)
                .ok_or(member(
                    "password",
                    "be empty for an open network, or have 8 to 63 characters, or be a key of 64 hexadecimal digits",
                ))?,
        })
    }

    /// Returns the name.
    pub fn ssid(&self) -> &str {
        &self.ssid
    }

    /// Returns the password, empty for an open network.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Says whether it has no password.
    pub fn is_open(&self) -> bool {
        self.password.is_empty()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("ssid", &self.ssid)
            .finish_non_exhaustive()
    }
}

/// The settings of a board, each of them valid or empty. `Debug` hides what is secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Settings {
    name: String<MAX_LABEL>,
    server: String<MAX_URL>,
    device: String<MAX_DEVICE_ID>,
    token: String<MAX_TOKEN>,
    networks: Vec<Network, MAX_NETWORKS>,
    portal: String<MAX_PORTAL>,
    profile: String<MAX_NAME>,
    board: String<MAX_BOARD>,
    ca: Vec<u8, MAX_CA>,
    pins: Vec<[u8; 32], MAX_PINS>,
    keys: Vec<[u8; 32], MAX_KEYS>,
    tz: String<MAX_TZ>,
}

const fn member(name: &'static str, must: &'static str) -> SettingsError {
    SettingsError::Member { name, must }
}

/// Takes a text that fits and passes a check, or is empty.
fn text<const N: usize>(
    text: &str,
    good: impl Fn(&str) -> bool,
    refused: SettingsError,
) -> Result<String<N>, SettingsError> {
    String::try_from(text)
        .ok()
        .filter(|t| t.is_empty() || good(t))
        .ok_or(refused)
}

fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| c.is_control())
}

/// Several values in one line, with spaces or commas between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',']).filter(|word| !word.is_empty())
}

fn is_ascii(text: &str) -> bool {
    text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

impl Settings {
    /// Sets what people call the board; at most [`MAX_LABEL`] bytes without control characters.
    ///
    /// # Errors
    /// Refuses anything else.
    pub fn set_name(&mut self, name: &str) -> Result<(), SettingsError> {
        let refused = member("name", "have at most 64 bytes and no control characters");
        self.name = text(name, is_plain, refused)?;
        Ok(())
    }

    /// Sets the URL of the server.
    ///
    /// # Errors
    /// Refuses what is no such URL.
    pub fn set_server(&mut self, url: &str) -> Result<(), SettingsError> {
        let refused = member("server", "look like http://host:8000 or https://host");
        let good = |url: &str| crate::config::Endpoint::parse(url).is_ok();
        self.server = text(url, good, refused)?;
        Ok(())
    }

    /// Sets the id of the device.
    ///
    /// # Errors
    /// Refuses what is no id.
    pub fn set_device(&mut self, id: &str) -> Result<(), SettingsError> {
        let refused = member("device", "be 1 to 64 letters, digits, _ or -");
        let good = |id: &str| {
            id.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        self.device = text(id, good, refused)?;
        Ok(())
    }

    /// Sets the token of the device.
    ///
    /// # Errors
    /// Refuses what is no token.
    pub fn set_token(&mut self, token: &str) -> Result<(), SettingsError> {
        let refused = member("token", "be 1 to 128 printable characters without spaces");
        let good = |token: &str| token.bytes().all(|b| b.is_ascii_graphic());
        self.token = text(token, good, refused)?;
        Ok(())
    }

    /// Sets the password of the board's own network while it is set up.
    ///
    /// # Errors
    /// Refuses less than 8 and more than 63 printable ASCII characters.
    pub fn set_portal(&mut self, password: &str) -> Result<(), SettingsError> {
        let refused = member("portal", "have 8 to 63 printable ASCII characters");
        let good = |text: &str| text.len() >= MIN_PASSWORD && is_ascii(text);
        self.portal = text(password, good, refused)?;
        Ok(())
    }

    /// Sets the name of the board profile.
    ///
    /// # Errors
    /// Refuses more than 32 bytes, and control characters.
    pub fn set_profile(&mut self, name: &str) -> Result<(), SettingsError> {
        let refused = member("profile", "have at most 32 bytes and no control characters");
        self.profile = text(name, is_plain, refused)?;
        Ok(())
    }

    /// Sets a board profile of one's own, as [`Profile::from_json`] reads it, which takes the place of a named one; empty for none.
    ///
    /// # Errors
    /// Says why its pins cannot be used, or that it has more than [`MAX_BOARD`] bytes.
    pub fn set_board(&mut self, json: &str) -> Result<(), ProfileError> {
        if !json.is_empty() {
            Profile::from_json(json)?;
        }
        let long = ProfileError::Malformed("has more than 1024 bytes");
        self.board = String::try_from(json).map_err(|_| long)?;
        Ok(())
    }

    /// Sets the time zone in the form of POSIX `TZ`, as [`Zone::parse`] reads it.
    ///
    /// # Errors
    /// Refuses anything else, and more than [`MAX_TZ`] characters.
    pub fn set_tz(&mut self, tz: &str) -> Result<(), SettingsError> {
        let refused = member(
            "tz",
            "be a POSIX time zone of at most 64 characters, like CET-1CEST,M3.5.0,M10.5.0/3 or UTC0",
        );
        self.tz = text(tz, |tz| Zone::parse(tz).is_ok(), refused)?;
        Ok(())
    }

    /// Sets the certificate (DER) of the one certification authority that the board trusts; empty for none.
    ///
    /// # Errors
    /// Refuses more than [`MAX_CA`] bytes.
    pub fn set_ca(&mut self, der: &[u8]) -> Result<(), SettingsError> {
        self.ca = Vec::from_slice(der).map_err(|_| json::BAD_CA)?;
        Ok(())
    }

    /// Sets whom the board believes over `https`, in place of everybody it believed before: up to [`MAX_PINS`] servers, each by the
    /// SHA-256 of its public key (the `SubjectPublicKeyInfo` of its certificate) in 64 hexadecimal digits, with spaces between them.
    ///
    /// # Errors
    /// Refuses anything else.
    pub fn set_pins(&mut self, text: &str) -> Result<(), SettingsError> {
        let mut pins = Vec::new();
        for word in words(text) {
            let pin = codes::from_hex(word.as_bytes()).ok_or(json::BAD_PINS)?;
            pins.push(pin).map_err(|_| json::BAD_PINS)?;
        }
        self.pins = pins;
        self.ca.clear();
        Ok(())
    }

    /// Sets the keys that sign firmware for this board, in place of all that it knew before: each in 64 hexadecimal digits or in the
    /// base64 of a `.pub` file, with spaces between them.
    ///
    /// # Errors
    /// Refuses more than [`MAX_KEYS`] keys, and what is none.
    pub fn set_keys(&mut self, text: &str) -> Result<(), SettingsError> {
        self.keys = json::keys_of(words(text))?;
        Ok(())
    }

    /// Puts a network first; one with the same name goes, and the last one when there are too many.
    pub fn put_network(&mut self, network: Network) {
        self.networks.retain(|n| n.ssid != network.ssid);
        self.networks.truncate(MAX_NETWORKS - 1);
        // There is room now.
        let _ = self.networks.insert(0, network);
    }

    /// Returns what people call the board, or an empty text.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the URL of the server, or an empty text.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Returns the id of the device, or an empty text.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Returns the token of the device, or an empty text.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns the networks that the board may join, the preferred one first.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// Returns the network with this name.
    pub fn network(&self, ssid: &str) -> Option<&Network> {
        self.networks.iter().find(|n| n.ssid == ssid)
    }

    /// Returns the password of the board's own network, or an empty text: then one must be made.
    pub fn portal(&self) -> &str {
        &self.portal
    }

    /// Returns the name of the board profile, or an empty text.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// Returns the certificate of the one certification authority that the board trusts, as DER; empty for none.
    pub fn ca(&self) -> &[u8] {
        &self.ca
    }

    /// Returns the SHA-256 of the public keys of the servers that the board believes over `https`.
    pub fn pins(&self) -> &[[u8; 32]] {
        &self.pins
    }

    /// Returns the board profile of one's own, as JSON, or an empty text.
    pub fn board(&self) -> &str {
        &self.board
    }

    /// Says whether the server is to be reached over TLS and the board was not told whom to believe there.
    pub fn lacks_trust(&self) -> bool {
        let is_tls = Endpoint::parse(&self.server).is_ok_and(|endpoint| endpoint.tls);
        is_tls && self.ca.is_empty() && self.pins.is_empty()
    }

    /// Says whether a board with these settings is another device than one with those, or a device of another server.
    pub(crate) fn is_another(&self, than: &Settings) -> bool {
        self.device != than.device || self.server != than.server
    }

    /// Returns the keys that sign firmware for this board.
    pub fn keys(&self) -> &[[u8; 32]] {
        &self.keys
    }

    /// Returns the time zone, or an empty text.
    pub fn tz(&self) -> &str {
        &self.tz
    }

    /// Says whether the server has a name that only multicast DNS knows, which this firmware does not speak.
    pub(crate) fn has_local_server(&self) -> bool {
        let host = Endpoint::parse(&self.server).map_or("", |endpoint| endpoint.host);
        let end = host.strip_suffix('.').unwrap_or(host).as_bytes();
        end.last_chunk::<6>()
            .is_some_and(|end| end.eq_ignore_ascii_case(b".local"))
    }

    /// Says whether the board knows its server and who it is there.
    pub fn has_identity(&self) -> bool {
        !self.server.is_empty() && !self.device.is_empty() && !self.token.is_empty()
    }

    /// Returns what a factory reset leaves: the portal's password, which may stand on a label, the profile, which is what the board
    /// is made of, the time zone, the keys that sign its firmware, and whom it believes over `https`. The last three are no secrets:
    /// without them a board would be worth less to the one who resets it than when it was new, and who needs others gives them.
    pub(crate) fn kept_by_reset(&self) -> Self {
        Settings {
            portal: self.portal.clone(),
            profile: self.profile.clone(),
            board: self.board.clone(),
            ca: self.ca.clone(),
            pins: self.pins.clone(),
            keys: self.keys.clone(),
            tz: self.tz.clone(),
            ..Settings::default()
        }
    }

    /// Makes the configuration of the device core. Names and intervals are the binding's to add.
    ///
    /// # Errors
    /// Says what is missing or cannot be used.
    pub fn config(&self, updates: UpdatePolicy) -> Result<Config, ConfigError> {
        Config::new(&self.server, &self.device, &self.token)?.with_updates(updates, &self.keys)
    }

    /// Reads the settings in storage; nothing when none were stored yet.
    ///
    /// # Errors
    /// When the storage fails, and when what it holds is damaged or from newer firmware.
    pub fn load<S: Storage>(storage: &mut S) -> Result<Option<Self>, AccessError<S::Error>> {
        let mut bytes = [0; MAX_JSON];
        let len = storage
            .read(Slot::Settings, &mut bytes)
            .map_err(AccessError::Storage)?;
        let bytes = bytes.get(..len).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(None);
        }
        core::str::from_utf8(bytes)
            .map_err(|_| SettingsError::NotText)
            .and_then(Settings::parse)
            .map(Some)
            .map_err(AccessError::Settings)
    }

    /// Stores the settings, unless those in storage are from newer firmware; what is damaged is replaced.
    ///
    /// # Errors
    /// When the storage fails, the settings are too long, or newer ones are stored.
    pub fn store<S: Storage>(&self, storage: &mut S) -> Result<(), AccessError<S::Error>> {
        self.store_after(storage, |_| Ok(()))
    }

    /// Stores the settings as [`Settings::store`] does, after something else that must be done first, and only once nothing but the
    /// storage can refuse them any more.
    pub(crate) fn store_after<S: Storage>(
        &self,
        storage: &mut S,
        first: impl FnOnce(&mut S) -> Result<(), S::Error>,
    ) -> Result<(), AccessError<S::Error>> {
        match Settings::load(storage) {
            Err(AccessError::Settings(newer @ SettingsError::Newer { .. })) => {
                return Err(AccessError::Settings(newer));
            }
            Err(AccessError::Storage(error)) => return Err(AccessError::Storage(error)),
            _ => {}
        }
        let text = self.to_json().map_err(AccessError::Settings)?;
        first(storage).map_err(AccessError::Storage)?;
        storage
            .write(Slot::Settings, &[text.as_bytes()])
            .map_err(AccessError::Storage)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("server", &self.server)
            .field("device", &self.device)
            .field("networks", &self.networks)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}
