//! Identities: UUIDv7 inside, 24 hexadecimal digits for existing clients, free aliases for people and boards.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A text is not an id of the wanted form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not {wanted}")]
pub struct InvalidId {
    /// What was given, shortened.
    found: String,
    /// The form that is wanted.
    wanted: &'static str,
}

fn invalid(found: &str, wanted: &'static str) -> InvalidId {
    InvalidId {
        found: found.chars().take(80).collect(),
        wanted,
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Mints an id that sorts by time from the moment (milliseconds UTC) and ten random bytes.
            pub fn mint(now_ms: i64, random: [u8; 10]) -> Self {
                Self(uuid_v7(now_ms, random))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| invalid(text, $wanted))
            }
        }
    };
}

uuid_id!(
    /// An account: a person who signs in.
    AccountId,
    "an account id (a UUID)"
);
uuid_id!(
    /// A device: one board.
    DeviceId,
    "a device id (a UUID)"
);
uuid_id!(
    /// A firmware image in somebody's library.
    FirmwareId,
    "a firmware id (a UUID)"
);
uuid_id!(
    /// A release: one or more images published under one version.
    ReleaseId,
    "a release id (a UUID)"
);
uuid_id!(
    /// A kit: what a board is flashed with over USB.
    KitId,
    "a kit id (a UUID)"
);
uuid_id!(
    /// A rollout: a release on its way to devices.
    RolloutId,
    "a rollout id (a UUID)"
);
uuid_id!(
    /// One device's way to one image.
    UpdateId,
    "an update id (a UUID)"
);

fn uuid_v7(now_ms: i64, random: [u8; 10]) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(now_ms.max(0).unsigned_abs(), &random).into_uuid()
}

/// A 24-digit lower-case hexadecimal id, the form that existing clients validate (a MongoDB ObjectId).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid([u8; 12]);

impl Oid {
    /// Mints an id from the moment (its first four bytes are seconds UTC, so it sorts by time) and eight
    /// random bytes.
    pub fn mint(now_ms: i64, random: [u8; 8]) -> Self {
        let mut bytes = [0; 12];
        let seconds = u32::try_from(now_ms.max(0) / 1000).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..].copy_from_slice(&random);
        Self(bytes)
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Oid {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let wanted = "an id of 24 lower-case hexadecimal digits";
        let digits = text.as_bytes();
        if digits.len() != 24
            || !digits
                .iter()
                .all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(invalid(text, wanted));
        }
        let mut bytes = [0; 12];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| invalid(text, wanted))?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| invalid(text, wanted))?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Oid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Oid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Another name under which a device answers, unique in the installation: `ABCD1234`, `bot_001`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Alias(String);

impl Alias {
    /// The alias as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Alias {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if text.is_empty() || text.len() > 64 || !text.chars().all(fits) {
            return Err(invalid(
                text,
                "an alias of 1 to 64 letters, digits, `_` or `-`",
            ));
        }
        // An alias must never be mistaken for an id of another device.
        if text.parse::<Oid>().is_ok() || Uuid::try_parse(text).is_ok() {
            return Err(invalid(text, "an alias (it looks like a generated id)"));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_oid_reads_back_as_it_was_written(ms in 0i64..4_000_000_000_000, random: [u8; 8]) {
            let oid = Oid::mint(ms, random);
            prop_assert_eq!(oid.to_string().parse::<Oid>(), Ok(oid));
        }

        #[test]
        fn parsing_an_id_never_panics(text in ".{0,80}") {
            let _ = text.parse::<Oid>();
            let _ = text.parse::<Alias>();
            let _ = text.parse::<DeviceId>();
        }
    }

    #[test]
    fn ids_sort_by_time() {
        assert!(Oid::mint(1_000, [255; 8]) < Oid::mint(2_000, [0; 8]));
        assert!(DeviceId::mint(1_000, [255; 10]) < DeviceId::mint(2_000, [0; 10]));
    }

    #[test]
    fn an_alias_that_looks_like_an_id_is_refused() {
        assert!("bot_001".parse::<Alias>().is_ok());
        assert!("0123456789abcdef01234567".parse::<Alias>().is_err());
        assert!("../etc/passwd".parse::<Alias>().is_err());
        assert!("".parse::<Alias>().is_err());
    }
}
