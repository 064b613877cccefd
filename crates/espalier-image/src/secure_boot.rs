//! The signature blocks of ESP-IDF's Secure Boot v2: recognised, checked for damage, described. The signatures themselves are for
//! the chip to check, whose fuses hold the digests of the keys.

use crate::bytes::{array, crc32, u8_at, u32_at};
use crate::error::ImageError;
use core::fmt;
use sha2::{Digest, Sha256, Sha384};

/// The signature sector begins at a multiple of this and is as long.
const SECTOR: usize = 4096;
const BLOCK: usize = 1216;
/// The bytes of a block that its CRC covers.
const COVERED: usize = 1196;
/// Most blocks of a sector.
const MAX_BLOCKS: u8 = 3;

/// How a signature was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RSA-PSS with 3072 bits.
    Rsa3072,
    /// ECDSA on the curve P-192.
    EcdsaP192,
    /// ECDSA on the curve P-256.
    EcdsaP256,
    /// ECDSA on the curve P-384.
    EcdsaP384,
}

impl Scheme {
    /// The name for people and programs, e.g. `RSA-3072`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Rsa3072 => "RSA-3072",
            Scheme::EcdsaP192 => "ECDSA-P192",
            Scheme::EcdsaP256 => "ECDSA-P256",
            Scheme::EcdsaP384 => "ECDSA-P384",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The signatures of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecureBoot {
    /// How the first one was made.
    pub scheme: Scheme,
    /// How many there are.
    pub blocks: u8,
}

/// Reads what follows an image that ends at `end`: nothing, or a signature sector after padding.
pub(crate) fn after(bytes: &[u8], end: usize) -> Result<Option<SecureBoot>, ImageError> {
    if bytes.len() == end {
        return Ok(None);
    }
    let trailing = ImageError::Trailing {
        end,
        found: bytes.len(),
    };
    let start = end.checked_next_multiple_of(SECTOR).ok_or(trailing)?;
    let padding = bytes.get(end..start).ok_or(trailing)?;
    let sector = bytes.get(start..).ok_or(trailing)?;
    let first = padding.first().copied().unwrap_or(0xFF);
    let padded = matches!(first, 0 | 0xFF) && padding.iter().all(|&byte| byte == first);
    if !padded || sector.len() != SECTOR || sector.first() != Some(&0xE7) {
        return Err(trailing);
    }
    let signed = bytes.get(..start).ok_or(trailing)?;
    let mut blocks = 0;
    let mut found = None;
    let mut at: usize = 0;
    while blocks < MAX_BLOCKS {
        let block = sector.get(at..at.saturating_add(BLOCK)).ok_or(trailing)?;
        if block.iter().all(|&byte| byte == 0xFF) {
            break;
        }
        let scheme = scheme(block, signed).ok_or(ImageError::SignatureBlock { block: blocks })?;
        found = found.or(Some(scheme));
        blocks = blocks.saturating_add(1);
        at = at.saturating_add(BLOCK);
    }
    let rest = sector.get(at..).unwrap_or_default();
    if rest.iter().any(|&byte| byte != 0xFF) {
        return Err(trailing);
    }
    Ok(found.map(|scheme| SecureBoot { scheme, blocks }))
}

/// The scheme of a sound block that was made for these bytes.
fn scheme(block: &[u8], signed: &[u8]) -> Option<Scheme> {
    let sound = u32_at(block, COVERED)? == crc32(0, block.get(..COVERED)?);
    if u8_at(block, 0)? != 0xE7 || !sound {
        return None;
    }
    let own = array::<32>(block, 4)? == <[u8; 32]>::from(Sha256::digest(signed));
    match (u8_at(block, 1)?, own) {
        (2, true) => Some(Scheme::Rsa3072),
        (3, true) => match u8_at(block, 36)? {
            1 => Some(Scheme::EcdsaP192),
            2 => Some(Scheme::EcdsaP256),
            _ => None,
        },
        // P-384 signs a longer digest.
        (3, false) if u8_at(block, 52)? == 3 => {
            let own = array::<48>(block, 4)? == <[u8; 48]>::from(Sha384::digest(signed));
            own.then_some(Scheme::EcdsaP384)
        }
        _ => None,
    }
}
