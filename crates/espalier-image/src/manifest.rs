//! The signed manifest of an image: what a board believes before it writes the first byte.
//!
//! Text, at most 1,024 bytes, one format everywhere (`IMAGE.sig`, the library, the wire):
//!
//! ```text
//! espalier-firmware-manifest-v1
//! sha256:HEX
//! size:N
//! chip:esp32c3
//! project:NAME
//! version:TEXT
//! secure-version:N
//! signature:KEYID:BASE64
//! ```
//!
//! Every line ends with a line feed, each value has one spelling, nothing may be added: two texts that mean the same are the same.
//! Signed is everything before the first `signature:` line.

use crate::app::Head;
use crate::chip::Chip;
use crate::keys::{KeyId, PublicKey, Signatures, VerifyError};
use crate::text::{FormatError, Hex, Lines, hex, number, words};
use core::fmt;

/// Most bytes of a manifest.
pub const MAX_MANIFEST: usize = 1024;
/// The first line of a manifest.
pub const MANIFEST_HEADER: &str = "espalier-firmware-manifest-v1";
/// Most bytes of a project's name or a version.
const MAX_WORDS: usize = 64;

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest<'a> {
    /// SHA-256 of the image's file.
    pub sha256: [u8; 32],
    /// Bytes of the image's file.
    pub size: u32,
    /// The chip it is for.
    pub chip: Chip,
    /// The project's name.
    pub project: &'a str,
    /// The version.
    pub version: &'a str,
    /// The secure version.
    pub secure_version: u32,
    /// Who vouches for it.
    pub signatures: Signatures,
    signed: &'a str,
}

impl<'a> Manifest<'a> {
    /// Reads a manifest; it may have no signature yet.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &'a str) -> Result<Self, FormatError> {
        let mut lines = Lines::of(text, MAX_MANIFEST)?;
        lines.header(MANIFEST_HEADER)?;
        let sha256 = lines.after("sha256:")?;
        let sha256 = lines.value("sha256", hex(sha256))?;
        let size = lines.after("size:")?;
        let size = lines.value("size", number(size))?;
        let chip = lines.after("chip:")?;
        let chip = lines.value("chip", Chip::from_name(chip))?;
        let project = lines.after("project:")?;
        let project = lines.value("project", words(project, MAX_WORDS))?;
        let version = lines.after("version:")?;
        let version = lines.value("version", words(version, MAX_WORDS))?;
        let secure_version = lines.after("secure-version:")?;
        let secure_version = lines.value("secure-version", number(secure_version))?;
        let signed_bytes = text.len().saturating_sub(lines.left());
        let signed = text.get(..signed_bytes).unwrap_or_default();
        let signatures = Signatures::parse(&mut lines)?;
        Ok(Self {
            sha256,
            size,
            chip,
            project,
            version,
            secure_version,
            signatures,
            signed,
        })
    }

    /// The bytes that are signed.
    pub fn signed(&self) -> &'a str {
        self.signed
    }

    /// Checks that a trusted key signed the manifest and returns which.
    ///
    /// # Errors
    /// Says why no signature counts.
    pub fn verify(&self, trusted: &[PublicKey]) -> Result<KeyId, VerifyError> {
        self.signatures.verify(self.signed, trusted)
    }

    /// Checks that the manifest speaks of this file.
    ///
    /// # Errors
    /// Names the first thing that differs.
    pub fn matches(&self, head: &Head<'_>, sha256: &[u8; 32], size: u64) -> Result<(), MatchError> {
        if u64::from(self.size) != size {
            return Err(MatchError::Size {
                manifest: self.size,
                file: size,
            });
        }
        if self.sha256 != *sha256 {
            return Err(MatchError::Digest);
        }
        self.matches_head(head)
    }

    /// Checks that the manifest speaks of an image with this beginning; a board asks that before it has the rest.
    ///
    /// # Errors
    /// Names the first thing that differs.
    pub fn matches_head(&self, head: &Head<'_>) -> Result<(), MatchError> {
        let checks = [
            (self.chip == head.chip, "chip"),
            (self.project == head.project, "project"),
            (self.version == head.version, "version"),
            (self.secure_version == head.secure_version, "secure version"),
        ];
        match checks.into_iter().find(|(same, _)| !same) {
            Some((_, what)) => Err(MatchError::Differs { what }),
            None => Ok(()),
        }
    }
}

/// Writes the manifest with its signatures.
impl fmt::Display for Manifest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{MANIFEST_HEADER}")?;
        writeln!(f, "sha256:{}", Hex(&self.sha256))?;
        writeln!(f, "size:{}", self.size)?;
        writeln!(f, "chip:{}", self.chip.as_str())?;
        writeln!(f, "project:{}", self.project)?;
        writeln!(f, "version:{}", self.version)?;
        writeln!(f, "secure-version:{}", self.secure_version)?;
        self.signatures.fmt(f)
    }
}

/// Why a manifest is not this file's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchError {
    /// The file has another size.
    Size {
        /// Bytes that the manifest says.
        manifest: u32,
        /// Bytes of the file.
        file: u64,
    },
    /// The file has another SHA-256.
    Digest,
    /// The file says something else of itself.
    Differs {
        /// What differs.
        what: &'static str,
    },
}

impl fmt::Display for MatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Size { manifest, file } => write!(
                f,
                "The manifest is for a file of {manifest} bytes, but this one has {file}: take the .sig file that belongs to it, or sign it again."
            ),
            Self::Digest => f.write_str(
                "The manifest is for a file with another SHA-256: take the .sig file that belongs to it, or sign it again.",
            ),
            Self::Differs { what } => write!(
                f,
                "The manifest and the image do not name the same {what}: sign the image again with `espalier firmware sign`."
            ),
        }
    }
}

impl core::error::Error for MatchError {}

/// Writes the manifest of an image, without a signature.
///
/// # Errors
/// When the bytes are no sound image.
#[cfg(feature = "encode")]
pub fn of(bytes: &[u8]) -> Result<String, crate::ImageError> {
    use sha2::{Digest, Sha256};
    let image = crate::app::parse(bytes)?;
    let manifest = Manifest {
        sha256: Sha256::digest(bytes).into(),
        // An image has at most 16 segments below 16 MB.
        size: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        chip: image.head.chip,
        project: image.head.project,
        version: image.head.version,
        secure_version: image.head.secure_version,
        signatures: Signatures::default(),
        signed: "",
    };
    Ok(manifest.to_string())
}
