//! Why settings are refused, not read, or not stored: one sentence each.

use core::fmt;

use espalier_wire::json::JsonError;

use super::{MAX_JSON, VERSION};

/// Why settings are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingsError {
    /// The record is not UTF-8.
    NotText,
    /// The record is not JSON.
    NotJson(JsonError),
    /// The record is no JSON object.
    NotObject,
    /// The record was written by newer firmware.
    Newer {
        /// Its version.
        version: u64,
    },
    /// A setting cannot be used.
    Member {
        /// Its name in the record.
        name: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// All settings together have more than [`MAX_JSON`] bytes.
    TooLong,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingsError::NotText => f.write_str("the settings are not UTF-8 text"),
            SettingsError::NotJson(error) => write!(f, "the settings are {error}"),
            SettingsError::NotObject => f.write_str("the settings are no JSON object"),
            SettingsError::Newer { version } => write!(
                f,
                "the settings have version {version} and this firmware knows {VERSION}: install newer firmware, or reset the board to lose them"
            ),
            SettingsError::Member { name, must } => write!(f, "the setting `{name}` must {must}"),
            SettingsError::TooLong => write!(
                f,
                "all settings together may have at most {MAX_JSON} bytes of JSON"
            ),
        }
    }
}

impl core::error::Error for SettingsError {}

/// Why the server of a board is refused that was not told whom to believe there.
pub(crate) const NO_PIN: SettingsError = SettingsError::Member {
    name: "pins",
    must: "be given for an https server, because the board believes nobody else: the SHA-256 of the public key of its certificate, 64 hexadecimal digits (firmware/README.md has the command that prints it)",
};

/// Why settings were not read from storage or not written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessError<E> {
    /// The storage failed.
    Storage(E),
    /// The settings are refused.
    Settings(SettingsError),
}

impl<E: fmt::Debug> fmt::Display for AccessError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessError::Storage(error) => write!(f, "the storage failed: {error:?}"),
            AccessError::Settings(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for AccessError<E> {}
