//! The settings as JSON: what a browser and a board write, each in the same order. Not a second set of checks: every value passes
//! the setters.

use core::fmt::{self, Write};

use espalier_image::keys::PublicKey;
use espalier_wire::json::{Json, ObjectWriter, Text};
use heapless::{String, Vec};

use super::{MAX_JSON, MAX_KEYS, Network, Settings, SettingsError, VERSION, codes, member};

pub(super) const BAD_CA: SettingsError =
    member("ca", "be base64 of a certificate of at most 1024 bytes");
pub(super) const BAD_PINS: SettingsError = member(
    "pins",
    "be one or two SHA-256 of public keys, of 64 hexadecimal digits each",
);
const BAD_KEYS: SettingsError = member(
    "keys",
    "be at most 8 Ed25519 public keys of 64 hexadecimal digits",
);
const BAD_BOARD: SettingsError = member(
    "board",
    "be the object of a board profile of at most 1024 bytes",
);
const BAD_NETWORKS: SettingsError = member(
    "networks",
    "be at most 4 objects with an ssid and a password",
);

/// A text of a member without its escapes. Longer ones than any setting takes are cut there, and so refused.
fn plain(
    value: Json<'_>,
    name: &'static str,
) -> Result<String<{ super::MAX_CA * 4 / 3 + 8 }>, SettingsError> {
    let text = value.as_text().ok_or(member(name, "be a text"))?;
    let mut out = String::new();
    for c in text.chars() {
        if out.push(c).is_err() {
            break;
        }
    }
    Ok(out)
}

/// Reads public keys, in hexadecimal digits or in base64.
pub(super) fn keys_of<'t>(
    words: impl Iterator<Item = &'t str>,
) -> Result<Vec<[u8; 32], MAX_KEYS>, SettingsError> {
    let mut keys = Vec::new();
    for word in words {
        let base64 = || codes::from_base64::<32>(word.as_bytes())?.into_array().ok();
        let key = codes::from_hex(word.as_bytes())
            .or_else(base64)
            .filter(|key| PublicKey::from_bytes(key).is_some())
            .ok_or(BAD_KEYS)?;
        keys.push(key).map_err(|_| BAD_KEYS)?;
    }
    Ok(keys)
}

impl Settings {
    /// Reads the JSON of a record. Unknown members are left out, missing ones and `null` are empty.
    ///
    /// # Errors
    /// Says what cannot be read or used, or that newer firmware wrote it.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        if text.len() > MAX_JSON {
            return Err(SettingsError::TooLong);
        }
        let json = Json::parse(text).map_err(SettingsError::NotJson)?;
        let members = || json.members().ok_or(SettingsError::NotObject);
        // The version says what the rest means.
        for (_, value) in members()?.filter(|(name, _)| *name == "v") {
            match value.as_u64() {
                Some(1) => {}
                Some(version) if version > u64::from(VERSION) => {
                    return Err(SettingsError::Newer { version });
                }
                _ => return Err(member("v", "be a version, 1 or higher")),
            }
        }
        let mut settings = Settings::default();
        for (name, value) in members()?.filter(|(_, value)| !value.is_null()) {
            settings.take(name, value)?;
        }
        Ok(settings)
    }

    fn take(&mut self, name: Text<'_>, value: Json<'_>) -> Result<(), SettingsError> {
        // No known name has escapes.
        match name.as_plain().unwrap_or_default() {
            "name" => self.set_name(&plain(value, "name")?),
            "server" => self.set_server(&plain(value, "server")?),
            "device" => self.set_device(&plain(value, "device")?),
            "token" => self.set_token(&plain(value, "token")?),
            "networks" => self.take_networks(value),
            "portal" => self.set_portal(&plain(value, "portal")?),
            "profile" => self.set_profile(&plain(value, "profile")?),
            "board" => self.take_board(value),
            "pins" => self.take_pins(value),
            "ca" => {
                let text = plain(value, "ca")?;
                self.ca = codes::from_base64(text.as_bytes()).ok_or(BAD_CA)?;
                Ok(())
            }
            "keys" => self.take_keys(value),
            "tz" => self.take_tz(&plain(value, "tz")?),
            _ => Ok(()),
        }
    }

    fn take_networks(&mut self, value: Json<'_>) -> Result<(), SettingsError> {
        self.networks.clear();
        for element in value.elements().ok_or(BAD_NETWORKS)? {
            let (mut ssid, mut password) = (String::new(), String::new());
            for (name, value) in element.members().ok_or(BAD_NETWORKS)? {
                if name == "ssid" {
                    ssid = plain(value, "ssid")?;
                } else if name == "password" && !value.is_null() {
                    password = plain(value, "password")?;
                }
            }
            let network = Network::new(&ssid, &password)?;
            self.networks.push(network).map_err(|_| BAD_NETWORKS)?;
        }
        Ok(())
    }

    /// Whether it is a zone is judged when it is used: one that cannot be read must not take everything else with it.
    fn take_tz(&mut self, tz: &str) -> Result<(), SettingsError> {
        let refused = member("tz", "have at most 64 ASCII characters");
        self.tz = super::text(tz, super::is_ascii, refused)?;
        Ok(())
    }

    /// Its pins are judged when it is used: a profile that newer firmware refuses must not take everything else with it.
    fn take_board(&mut self, value: Json<'_>) -> Result<(), SettingsError> {
        value.members().ok_or(BAD_BOARD)?;
        self.board = String::try_from(value.as_str()).map_err(|_| BAD_BOARD)?;
        Ok(())
    }

    fn take_pins(&mut self, value: Json<'_>) -> Result<(), SettingsError> {
        self.pins.clear();
        for element in value.elements().ok_or(BAD_PINS)? {
            let pin = codes::from_hex(plain(element, "pins")?.as_bytes()).ok_or(BAD_PINS)?;
            self.pins.push(pin).map_err(|_| BAD_PINS)?;
        }
        Ok(())
    }

    fn take_keys(&mut self, value: Json<'_>) -> Result<(), SettingsError> {
        let mut keys = Vec::new();
        for element in value.elements().ok_or(BAD_KEYS)? {
            let text = plain(element, "keys")?;
            let key = codes::from_hex(text.as_bytes())
                .filter(|key| PublicKey::from_bytes(key).is_some())
                .ok_or(BAD_KEYS)?;
            keys.push(key).map_err(|_| BAD_KEYS)?;
        }
        self.keys = keys;
        Ok(())
    }

    /// Writes the JSON of a record. What is empty is left out.
    ///
    /// # Errors
    /// Refuses settings that have more than [`MAX_JSON`] bytes together.
    pub fn to_json(&self) -> Result<String<MAX_JSON>, SettingsError> {
        let mut out = String::new();
        self.write_json(&mut out)
            .map_err(|_| SettingsError::TooLong)?;
        Ok(out)
    }

    fn write_json(&self, out: &mut impl Write) -> fmt::Result {
        fn given(text: &str) -> Option<&str> {
            Some(text).filter(|t| !t.is_empty())
        }
        let mut object = ObjectWriter::begin(out)?;
        object.number("v", u64::from(VERSION))?;
        object.optional("name", given(&self.name))?;
        object.optional("server", given(&self.server))?;
        object.optional("device", given(&self.device))?;
        object.optional("token", given(&self.token))?;
        if !self.networks.is_empty() {
            let out = object.value_of("networks")?;
            for (n, network) in self.networks.iter().enumerate() {
                out.write_char(if n == 0 { '[' } else { ',' })?;
                let mut one = ObjectWriter::begin(out)?;
                one.member("ssid", network.ssid())?;
                one.member("password", network.password())?;
                one.end()?;
            }
            out.write_char(']')?;
        }
        object.optional("portal", given(&self.portal))?;
        object.optional("profile", given(&self.profile))?;
        if !self.board.is_empty() {
            object.value_of("board")?.write_str(&self.board)?;
        }
        if !self.ca.is_empty() {
            let out = object.value_of("ca")?;
            out.write_char('"')?;
            codes::write_base64(&self.ca, out)?;
            out.write_char('"')?;
        }
        for (name, list) in [("pins", &self.pins[..]), ("keys", &self.keys[..])] {
            if list.is_empty() {
                continue;
            }
            let out = object.value_of(name)?;
            for (n, digits) in list.iter().enumerate() {
                out.write_str(if n == 0 { "[\"" } else { ",\"" })?;
                codes::write_hex(digits, out)?;
                out.write_char('"')?;
            }
            out.write_char(']')?;
        }
        object.optional("tz", given(&self.tz))?;
        object.end()
    }
}
