//! What a device must know to reach its server, checked before it is used or stored. Not where it is kept.

use core::fmt;

pub use espalier_image::keys::MAX_KEYS;
use espalier_image::keys::PublicKey;
use heapless::{String, Vec};

use crate::storage::crc32;

/// Longest server URL, in bytes.
pub const MAX_URL: usize = 128;
/// Longest device id, in bytes.
pub const MAX_DEVICE_ID: usize = 64;
/// Longest device token, in bytes.
pub const MAX_TOKEN: usize = 128;
/// Longest board, chip or version name, in bytes.
pub const MAX_NAME: usize = 32;
/// Shortest interval, in milliseconds: ten samples a second.
pub const MIN_INTERVAL_MS: u32 = 100;
/// Longest interval, in milliseconds (one day).
pub const MAX_INTERVAL_MS: u32 = 86_400_000;

/// Why a configuration cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigError {
    /// The server URL is not `http(s)://host[:port][/path]` or `ws(s)://…`.
    BadUrl,
    /// The device id is empty, too long, or holds other characters than letters, digits, `_` and `-`.
    BadDeviceId,
    /// The token is empty, too long, or holds spaces or characters outside ASCII.
    BadToken,
    /// A name is longer than [`MAX_NAME`] bytes.
    NameTooLong,
    /// An interval is shorter than [`MIN_INTERVAL_MS`] or longer than [`MAX_INTERVAL_MS`].
    BadInterval,
    /// There are more than [`MAX_KEYS`] keys, or one of them is no Ed25519 public key.
    BadKey,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::BadUrl => {
                f.write_str("the server URL must look like http://host:8000 or https://host")
            }
            ConfigError::BadDeviceId => write!(
                f,
                "the device id must be 1 to {MAX_DEVICE_ID} letters, digits, _ or -"
            ),
            ConfigError::BadToken => {
                write!(
                    f,
                    "the device token must be 1 to {MAX_TOKEN} printable characters without spaces"
                )
            }
            ConfigError::NameTooLong => write!(
                f,
                "a board, chip or version name may have at most {MAX_NAME} bytes"
            ),
            ConfigError::BadInterval => write!(
                f,
                "an interval must be {MIN_INTERVAL_MS} to {MAX_INTERVAL_MS} milliseconds"
            ),
            ConfigError::BadKey => write!(
                f,
                "the device takes at most {MAX_KEYS} Ed25519 public keys of 32 bytes"
            ),
        }
    }
}

impl core::error::Error for ConfigError {}

/// When a board asks for new firmware, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdatePolicy {
    /// Milliseconds between questions when the server does not nudge.
    pub check_interval_ms: u32,
    /// Milliseconds after an attempt that failed until the board asks for another one.
    pub retry_ms: u32,
    /// Milliseconds that a new image must live before it may stay; never more than half of what the server grants it.
    pub settle_ms: u32,
    /// Whether images without a valid signature are taken. Only for installations that say so.
    pub allow_unsigned: bool,
}

impl Default for UpdatePolicy {
    fn default() -> Self {
        UpdatePolicy {
            check_interval_ms: 900_000,
            retry_ms: 60_000,
            settle_ms: 15_000,
            allow_unsigned: false,
        }
    }
}

/// A checked configuration. `Debug` hides the token.
#[derive(Clone)]
pub struct Config {
    server: String<MAX_URL>,
    device_id: String<MAX_DEVICE_ID>,
    token: String<MAX_TOKEN>,
    board: String<MAX_NAME>,
    chip: String<MAX_NAME>,
    firmware: String<MAX_NAME>,
    telemetry_interval_ms: u32,
    poll_interval_ms: u32,
    wake_interval_ms: Option<u32>,
    updates: UpdatePolicy,
    keys: Vec<[u8; 32], MAX_KEYS>,
}

impl Config {
    /// Checks the three things that no device can guess; everything else has a default.
    ///
    /// # Errors
    /// Says which of them cannot be used.
    pub fn new(server: &str, device_id: &str, token: &str) -> Result<Self, ConfigError> {
        Endpoint::parse(server)?;
        let id_ok = !device_id.is_empty()
            && device_id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        let token_ok = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
        Ok(Config {
            server: String::try_from(server).map_err(|_| ConfigError::BadUrl)?,
            device_id: String::try_from(device_id)
                .ok()
                .filter(|_| id_ok)
                .ok_or(ConfigError::BadDeviceId)?,
            token: String::try_from(token)
                .ok()
                .filter(|_| token_ok)
                .ok_or(ConfigError::BadToken)?,
            board: String::new(),
            chip: String::new(),
            firmware: String::new(),
            telemetry_interval_ms: 10_000,
            poll_interval_ms: 5_000,
            wake_interval_ms: None,
            updates: UpdatePolicy::default(),
            keys: Vec::new(),
        })
    }

    /// Names the board, the chip and the firmware version; empty names are not sent.
    ///
    /// # Errors
    /// Refuses names longer than [`MAX_NAME`].
    pub fn with_names(
        mut self,
        board: &str,
        chip: &str,
        firmware: &str,
    ) -> Result<Self, ConfigError> {
        let name = |text| String::try_from(text).map_err(|_| ConfigError::NameTooLong);
        (self.board, self.chip, self.firmware) = (name(board)?, name(chip)?, name(firmware)?);
        Ok(self)
    }

    /// Sets the milliseconds between measurements, and between polls while the device is on the HTTP fallback.
    ///
    /// # Errors
    /// Refuses less than [`MIN_INTERVAL_MS`] and more than [`MAX_INTERVAL_MS`].
    pub fn with_intervals(mut self, telemetry_ms: u32, poll_ms: u32) -> Result<Self, ConfigError> {
        (self.telemetry_interval_ms, self.poll_interval_ms) =
            (interval(telemetry_ms)?, interval(poll_ms)?);
        Ok(self)
    }

    /// Lets the device sleep: it connects every so many milliseconds, delivers, listens briefly and disconnects.
    ///
    /// # Errors
    /// Refuses less than [`MIN_INTERVAL_MS`] and more than [`MAX_INTERVAL_MS`].
    pub fn with_sleep(mut self, wake_every_ms: u32) -> Result<Self, ConfigError> {
        self.wake_interval_ms = Some(interval(wake_every_ms)?);
        Ok(self)
    }

    /// Sets when the device asks for firmware, and the public keys that it trusts until a key set replaces them.
    ///
    /// # Errors
    /// Refuses intervals out of range, more than [`MAX_KEYS`] keys, and what is no key.
    pub fn with_updates(
        mut self,
        policy: UpdatePolicy,
        keys: &[[u8; 32]],
    ) -> Result<Self, ConfigError> {
        interval(policy.check_interval_ms)?;
        interval(policy.retry_ms)?;
        if keys.iter().any(|key| PublicKey::from_bytes(key).is_none()) {
            return Err(ConfigError::BadKey);
        }
        self.keys = Vec::from_slice(keys).map_err(|_| ConfigError::BadKey)?;
        self.updates = policy;
        Ok(self)
    }

    /// Returns a number that differs between devices and between servers, so that nothing that is stored for one is taken for
    /// another's.
    pub(crate) fn owner(&self) -> u32 {
        let server = crc32(0, self.server.as_bytes());
        // No URL has a zero byte.
        crc32(crc32(server, &[0]), self.device_id.as_bytes())
    }

    /// Returns when the device asks for firmware, and what it takes.
    pub const fn updates(&self) -> UpdatePolicy {
        self.updates
    }

    /// Returns the public keys that the device trusts until a key set replaces them.
    pub fn keys(&self) -> &[[u8; 32]] {
        &self.keys
    }

    /// Returns the server's URL as it was given.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Returns the device id.
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// Returns the token, for the handshake only.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns the board name, or an empty text.
    pub fn board(&self) -> &str {
        &self.board
    }

    /// Returns the chip name, or an empty text.
    pub fn chip(&self) -> &str {
        &self.chip
    }

    /// Returns the firmware version, or an empty text.
    pub fn firmware(&self) -> &str {
        &self.firmware
    }

    /// Returns the milliseconds between measurements.
    pub const fn telemetry_interval_ms(&self) -> u32 {
        self.telemetry_interval_ms
    }

    /// Returns the milliseconds between polls on the HTTP fallback.
    pub const fn poll_interval_ms(&self) -> u32 {
        self.poll_interval_ms
    }

    /// Returns the milliseconds between wake-ups of a device that sleeps.
    pub const fn wake_interval_ms(&self) -> Option<u32> {
        self.wake_interval_ms
    }

    /// Returns how often the server should expect to hear from the device, in whole seconds and at least one.
    pub fn expected_interval_s(&self) -> u32 {
        self.wake_interval_ms
            .unwrap_or(0)
            .max(self.telemetry_interval_ms)
            .div_ceil(1000)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("server", &self.server)
            .field("device_id", &self.device_id)
            .field("board", &self.board)
            .finish_non_exhaustive()
    }
}

const fn interval(ms: u32) -> Result<u32, ConfigError> {
    match ms {
        MIN_INTERVAL_MS..=MAX_INTERVAL_MS => Ok(ms),
        _ => Err(ConfigError::BadInterval),
    }
}

/// The parts of a server URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// Whether TLS is wanted.
    pub tls: bool,
    /// Host name, IPv4 address or bracketed IPv6 address.
    pub host: &'a str,
    /// Port, from the URL or the scheme.
    pub port: u16,
    /// Path before ours, without a slash at the end.
    pub base: &'a str,
}

impl<'a> Endpoint<'a> {
    /// Parses `http(s)://host[:port][/base]` or `ws(s)://…`.
    ///
    /// # Errors
    /// Refuses other schemes, user names, queries, and malformed hosts and ports.
    pub fn parse(url: &'a str) -> Result<Self, ConfigError> {
        let bad = ConfigError::BadUrl;
        let (scheme, rest) = url.split_once("://").ok_or(bad)?;
        let tls = match scheme {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(bad),
        };
        if !rest
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"@?#\\\"<>".contains(&b))
        {
            return Err(bad);
        }
        let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| bad)?),
            _ => (authority, if tls { 443 } else { 80 }),
        };
        let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
        if host.is_empty() || port == 0 || (!bracketed && host.bytes().any(|b| b"[]:".contains(&b)))
        {
            return Err(bad);
        }
        Ok(Endpoint {
            tls,
            host,
            port,
            base: base.trim_end_matches('/'),
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::format;

    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let e = Endpoint::parse("https://farm.example/espalier/").unwrap();
        assert_eq!(
            (e.tls, e.host, e.port, e.base),
            (true, "farm.example", 443, "/espalier")
        );
        let e = Endpoint::parse("http://[::1]:8000").unwrap();
        assert_eq!((e.tls, e.host, e.port, e.base), (false, "[::1]", 8000, ""));
        assert_eq!(Endpoint::parse("ws://[::1]").map(|e| e.port), Ok(80));
        for bad in [
            "",
            "host",
            "ftp://x",
            "http://",
            "http://:80",
            "http://a:b",
            "http://a:0",
            "http://u@h",
            "http://a b",
        ] {
            assert_eq!(Endpoint::parse(bad), Err(ConfigError::BadUrl), "{bad}");
        }
    }

    #[test]
    fn a_configuration_is_checked_and_hides_its_token() {
        let good = Config::new("http://h:8000", "bot_001", "s3cret").unwrap();
        assert!(!format!("{good:?}").contains("s3cret"));
        assert_eq!(
            Config::new("http://h", "a/b", "t").unwrap_err(),
            ConfigError::BadDeviceId
        );
        assert_eq!(
            Config::new("http://h", "a", "two words").unwrap_err(),
            ConfigError::BadToken
        );
        assert_eq!(
            good.clone().with_intervals(0, 1_000).unwrap_err(),
            ConfigError::BadInterval
        );
        assert_eq!(
            good.with_sleep(86_400_001).unwrap_err(),
            ConfigError::BadInterval
        );
    }
}
