//! The bounds that both sides of the wire agree on. Not policy: rate limits and quotas belong to the server.

use core::fmt;

/// Longest telemetry or state key, in bytes.
pub const MAX_KEY_BYTES: usize = 128;
/// Most keys in one sample: more is a table, not a reading, and would make one post cost thousands of series.
pub const MAX_KEYS_PER_SAMPLE: usize = 256;
/// Most points (key, time, value) in one batch: one journal transaction stays in the low milliseconds.
pub const MAX_POINTS_PER_BATCH: usize = 10_000;
/// Longest text value, in bytes of UTF-8.
pub const MAX_TEXT_VALUE_BYTES: usize = 4096;
/// Longest object or array value, in bytes of its JSON text.
pub const MAX_OBJECT_VALUE_BYTES: usize = 4096;
/// Deepest nesting inside one value: `{"a":{"b":1}}` has depth 2.
pub const MAX_VALUE_DEPTH: usize = 8;
/// Deepest nesting of a whole message: a value inside `samples[].data.key`, plus room for newer fields.
pub const MAX_MESSAGE_DEPTH: usize = MAX_VALUE_DEPTH + 8;
/// Largest frame that a device may send on its socket, in bytes: what a chip can still hold twice.
pub const MAX_FRAME_BYTES: usize = 64 * 1024;
/// Largest frame that the server sends to a device, and largest answer to one that asks for its desired values only or for its
/// commands, in bytes: each of our boards holds it whole. What is more goes in several.
pub const MAX_DOWN_BYTES: usize = 2048;
/// Longest desired value, and longest parameters of a command, in bytes of JSON: with the longest key or name, and what stands
/// around it, it fits [`MAX_DOWN_BYTES`].
pub const MAX_WISH_BYTES: usize = MAX_DOWN_BYTES - 256;
/// Largest HTTP body on device and app endpoints, in bytes (firmware uploads have their own bound).
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Oldest accepted device timestamp, 2000-01-01T00:00:00Z in milliseconds: anything older is an unset clock.
pub const MIN_TIMESTAMP_MS: i64 = 946_684_800_000;
/// How far a device timestamp may lie ahead of the server's clock, in milliseconds (24 h).
pub const MAX_FUTURE_MS: i64 = 24 * 60 * 60 * 1000;
/// Largest magnitude of an exact integer, 2^53: beyond it a JSON number does not survive a float.
pub const MAX_EXACT_INTEGER: i64 = 1 << 53;
/// Version of the device socket protocol that this crate speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// Why a key is not a telemetry or state key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// The key has no characters.
    Empty,
    /// The key has more than [`MAX_KEY_BYTES`] bytes.
    TooLong,
    /// The key holds a character outside `A-Z a-z 0-9 _ . : - /` and space.
    BadCharacter(char),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Empty => f.write_str("a key must not be empty"),
            KeyError::TooLong => write!(f, "a key may have at most {MAX_KEY_BYTES} bytes"),
            KeyError::BadCharacter(c) => {
                write!(
                    f,
                    "a key may hold letters, digits, _ . : - / and space, not {c:?}"
                )
            }
        }
    }
}

impl core::error::Error for KeyError {}

/// Checks that a key can name a series or a state.
///
/// # Errors
/// Says what is wrong with the key.
pub fn check_key(key: &str) -> Result<(), KeyError> {
    if key.is_empty() {
        return Err(KeyError::Empty);
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(KeyError::TooLong);
    }
    match key.chars().find(|c| !is_key_char(*c)) {
        Some(c) => Err(KeyError::BadCharacter(c)),
        None => Ok(()),
    }
}

/// Says whether a character may stand in a key.
pub const fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-' | '/' | ' ')
}

/// Says whether a device timestamp is believable, given the server's time; both in milliseconds UTC.
pub const fn is_plausible_time(ts: i64, now: i64) -> bool {
    ts >= MIN_TIMESTAMP_MS && ts <= now.saturating_add(MAX_FUTURE_MS)
}
