//! The keys that sign firmware, their files, and key sets: how boards learn of new keys.
//!
//! A key set is text like a manifest: `espalier-key-set-v1`, `serial:N`, one line `key:BASE64` per key, and lines
//! `signature:KEYID:BASE64` by keys that the board already trusts. It replaces all keys of a board; its serial must be higher than the
//! one of the set that the board has, so that an old set cannot bring a withdrawn key back.

use crate::text::{Base64, FormatError, Hex, Lines, base64, hex, number};
use core::fmt;
use ed25519_dalek::{Signature, VerifyingKey};
use heapless::Vec;
use sha2::{Digest, Sha256};

/// Most bytes of a key set.
pub const MAX_KEY_SET: usize = 1024;
/// Most keys of a key set.
pub const MAX_KEYS: usize = 8;
/// Most signatures under one text.
pub const MAX_SIGNATURES: usize = 4;
/// The first line of a key set.
pub const KEY_SET_HEADER: &str = "espalier-key-set-v1";
/// The first line of a public key's file.
pub const PUBLIC_KEY_HEADER: &str = "espalier-public-key-v1";
/// The first line of a private key's file.
pub const PRIVATE_KEY_HEADER: &str = "espalier-private-key-v1";
/// Most bytes of a key's file.
const MAX_FILE: usize = 256;
const SIGNATURE: &str = "signature:";

/// The id of a key: the first eight bytes of its SHA-256, shown as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// Reads 16 lower-case hexadecimal digits.
    pub fn from_text(text: &str) -> Option<Self> {
        hex(text).map(Self)
    }

    /// The bytes.
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A public Ed25519 key that can sign nothing weakly.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Takes the 32 bytes of a key; nothing when they are no point of the curve or a weak one.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let key = VerifyingKey::from_bytes(bytes).ok()?;
        (!key.is_weak()).then_some(Self(key))
    }

    /// Reads the base64 of a key.
    pub fn from_base64(text: &str) -> Option<Self> {
        Self::from_bytes(&base64(text)?)
    }

    /// Reads a public key's file.
    ///
    /// # Errors
    /// Says what is wrong with the file.
    pub fn from_file(text: &str) -> Result<Self, FormatError> {
        let mut lines = Lines::of(text, MAX_FILE)?;
        lines.header(PUBLIC_KEY_HEADER)?;
        let key = lines.after("key:")?;
        let key = lines.value("key", Self::from_base64(key))?;
        end(&lines)?;
        Ok(key)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The id.
    pub fn id(&self) -> KeyId {
        let digest: [u8; 32] = Sha256::digest(self.bytes()).into();
        let mut id = [0; 8];
        for (to, from) in id.iter_mut().zip(digest) {
            *to = from;
        }
        KeyId(id)
    }

    /// Whether the key made a signature over these bytes.
    pub fn verifies(&self, signed: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        self.0.verify_strict(signed, &signature).is_ok()
    }
}

/// Shows the key's base64.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base64(self.bytes()).fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// Nothing may follow the last line.
fn end(lines: &Lines<'_>) -> Result<(), FormatError> {
    let line = lines.line.saturating_add(1);
    let more = FormatError::TooMany { line };
    lines.done().then_some(()).ok_or(more)
}

/// Why no signature under a text counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyError {
    /// There is no signature.
    Unsigned,
    /// There are signatures, but none by a trusted key.
    UnknownKey {
        /// Who made the first one.
        key: KeyId,
    },
    /// A trusted key's signature does not belong to this text.
    BadSignature {
        /// The key.
        key: KeyId,
    },
    /// The key set is not newer than the one that is there.
    OldSerial {
        /// The serial of the set.
        found: u32,
        /// The serial that is there.
        known: u32,
    },
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unsigned => {
                f.write_str("There is no signature: sign it with `espalier firmware sign`.")
            }
            Self::UnknownKey { key } => write!(
                f,
                "It is signed by the key {key}, which is not trusted: sign it with a trusted key or add this one."
            ),
            Self::BadSignature { key } => write!(
                f,
                "The signature by the key {key} does not belong to this text: it was changed after it was signed; sign it again."
            ),
            Self::OldSerial { found, known } => write!(
                f,
                "The key set has the serial {found}, but {known} is already known: make a set with a higher serial."
            ),
        }
    }
}

impl core::error::Error for VerifyError {}

/// The signatures under a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signatures(Vec<(KeyId, [u8; 64]), MAX_SIGNATURES>);

impl Signatures {
    /// Reads all remaining lines.
    pub(crate) fn parse(lines: &mut Lines<'_>) -> Result<Self, FormatError> {
        let mut all = Self::default();
        while !lines.done() {
            let value = lines.after(SIGNATURE)?;
            let one = value
                .split_once(':')
                .and_then(|(id, signature)| Some((KeyId::from_text(id)?, base64(signature)?)));
            let one = lines.value("signature", one)?;
            let line = lines.line;
            if all.keys().any(|key| key == one.0) {
                return Err(FormatError::Twice { line });
            }
            all.0.push(one).map_err(|_| FormatError::TooMany { line })?;
        }
        Ok(all)
    }

    /// The ids of the keys that signed.
    pub fn keys(&self) -> impl Iterator<Item = KeyId> {
        self.0.iter().map(|(key, _)| *key)
    }

    /// Finds a trusted key whose signature is right.
    pub(crate) fn verify(&self, signed: &str, trusted: &[PublicKey]) -> Result<KeyId, VerifyError> {
        let (first, _) = self.0.first().ok_or(VerifyError::Unsigned)?;
        let mut outcome = Err(VerifyError::UnknownKey { key: *first });
        for (key, signature) in &self.0 {
            let Some(public) = trusted.iter().find(|trusted| trusted.id() == *key) else {
                continue;
            };
            if public.verifies(signed.as_bytes(), signature) {
                return Ok(*key);
            }
            outcome = Err(VerifyError::BadSignature { key: *key });
        }
        outcome
    }
}

impl fmt::Display for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, signature) in &self.0 {
            writeln!(f, "{SIGNATURE}{key}:{}", Base64(signature))?;
        }
        Ok(())
    }
}

/// The keys that a board is to trust from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet<'a> {
    /// Higher than that of every set before it.
    pub serial: u32,
    /// The keys, at least one.
    pub keys: Vec<PublicKey, MAX_KEYS>,
    /// Who vouches for it.
    pub signatures: Signatures,
    signed: &'a str,
}

impl<'a> KeySet<'a> {
    /// Reads a key set; it may have no signature yet.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &'a str) -> Result<Self, FormatError> {
        let mut lines = Lines::of(text, MAX_KEY_SET)?;
        lines.header(KEY_SET_HEADER)?;
        let serial = lines.after("serial:")?;
        let serial = lines.value("serial", number(serial))?;
        let mut keys: Vec<PublicKey, MAX_KEYS> = Vec::new();
        while keys.is_empty() || !(lines.done() || lines.next_is(SIGNATURE)) {
            let key = lines.after("key:")?;
            let key = lines.value("key", PublicKey::from_base64(key))?;
            let line = lines.line;
            if keys.contains(&key) {
                return Err(FormatError::Twice { line });
            }
            keys.push(key).map_err(|_| FormatError::TooMany { line })?;
        }
        let signed_bytes = text.len().saturating_sub(lines.left());
        let signed = text.get(..signed_bytes).unwrap_or_default();
        let signatures = Signatures::parse(&mut lines)?;
        Ok(Self {
            serial,
            keys,
            signatures,
            signed,
        })
    }

    /// Checks that a trusted key vouches for the set and that it is newer than the one that is there.
    ///
    /// # Errors
    /// Says why the set does not count.
    pub fn verify(&self, trusted: &[PublicKey], known_serial: u32) -> Result<KeyId, VerifyError> {
        let key = self.signatures.verify(self.signed, trusted)?;
        if self.serial <= known_serial {
            return Err(VerifyError::OldSerial {
                found: self.serial,
                known: known_serial,
            });
        }
        Ok(key)
    }
}

impl fmt::Display for KeySet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{KEY_SET_HEADER}\nserial:{}", self.serial)?;
        for key in &self.keys {
            writeln!(f, "key:{key}")?;
        }
        self.signatures.fmt(f)
    }
}

#[cfg(feature = "encode")]
pub use encode::{PrivateKey, key_set, sign};

/// Making keys, key sets and signatures.
#[cfg(feature = "encode")]
mod encode {
    use super::{
        KEY_SET_HEADER, KeySet, MAX_FILE, MAX_SIGNATURES, PRIVATE_KEY_HEADER, PUBLIC_KEY_HEADER,
        PublicKey, Signatures, end,
    };
    use crate::manifest::Manifest;
    use crate::text::{Base64, FormatError, Lines, base64};
    use core::fmt;
    use ed25519_dalek::{Signer, SigningKey};

    /// A private Ed25519 key.
    pub struct PrivateKey(SigningKey);

    impl PrivateKey {
        /// Makes the key of 32 unpredictable bytes.
        pub fn from_seed(seed: &[u8; 32]) -> Self {
            Self(SigningKey::from_bytes(seed))
        }

        /// Reads a private key's file.
        ///
        /// # Errors
        /// Says what is wrong with the file.
        pub fn from_file(text: &str) -> Result<Self, FormatError> {
            let mut lines = Lines::of(text, MAX_FILE)?;
            lines.header(PRIVATE_KEY_HEADER)?;
            let seed = lines.after("seed:")?;
            let seed = lines.value("seed", base64(seed))?;
            end(&lines)?;
            Ok(Self::from_seed(&seed))
        }

        /// The text of the private key's file.
        pub fn to_file(&self) -> String {
            format!("{PRIVATE_KEY_HEADER}\nseed:{}\n", Base64(self.0.as_bytes()))
        }

        /// The key with which others verify.
        pub fn public(&self) -> PublicKey {
            PublicKey(self.0.verifying_key())
        }

        /// Signs bytes.
        pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
            self.0.sign(bytes).to_bytes()
        }
    }

    impl fmt::Debug for PrivateKey {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "PrivateKey({})", self.public().id())
        }
    }

    impl PublicKey {
        /// The text of the public key's file.
        pub fn to_file(&self) -> String {
            format!("{PUBLIC_KEY_HEADER}\nkey:{self}\n")
        }
    }

    /// Writes a key set without signatures.
    ///
    /// # Errors
    /// Says what of it the format does not allow.
    pub fn key_set(serial: u32, keys: &[PublicKey]) -> Result<String, FormatError> {
        let mut text = format!("{KEY_SET_HEADER}\nserial:{serial}\n");
        for key in keys {
            text.push_str(&format!("key:{key}\n"));
        }
        KeySet::parse(&text)?;
        Ok(text)
    }

    /// Adds a signature to a manifest or key set; one by the same key is replaced.
    ///
    /// # Errors
    /// Says what is wrong with the text, or that it would have too many signatures.
    pub fn sign(text: &str, key: &PrivateKey) -> Result<String, FormatError> {
        let (signed, mut signatures) = if text.starts_with(KEY_SET_HEADER) {
            let set = KeySet::parse(text)?;
            (set.signed, set.signatures)
        } else {
            let manifest = Manifest::parse(text)?;
            (manifest.signed(), manifest.signatures)
        };
        let (id, signature) = (key.public().id(), key.sign(signed.as_bytes()));
        let Signatures(all) = &mut signatures;
        if let Some(old) = all.iter_mut().find(|(old, _)| *old == id) {
            old.1 = signature;
        } else {
            let line = u16::try_from(signed.lines().count() + MAX_SIGNATURES + 1).unwrap_or(0);
            all.push((id, signature))
                .map_err(|_| FormatError::TooMany { line })?;
        }
        let text = format!("{signed}{signatures}");
        // What is too long with the new signature is no manifest or key set any more.
        if text.starts_with(KEY_SET_HEADER) {
            KeySet::parse(&text)?;
        } else {
            Manifest::parse(&text)?;
        }
        Ok(text)
    }
}
