//! Who vouches for an image: its manifest against the keys of its owner.

use super::Firmware;
use super::keys::Key;
use crate::ApiError;
use crate::error::ApiResult;
use axum::http::StatusCode;
use espalier_image::app::Head;
use espalier_image::keys::{PublicKey, VerifyError};
use espalier_image::manifest::{MAX_MANIFEST, Manifest};
use std::sync::Arc;

/// How a line with a signature begins.
const SIGNATURE: &str = "signature:";

/// Who vouches for an image.
#[derive(Debug, Clone)]
pub enum Signed {
    /// Nobody known.
    Unsigned,
    /// A key that the owner trusts.
    Trusted(Arc<Key>),
    /// Only keys that the owner has retired.
    Retired(Arc<Key>),
}

/// Why boards are not offered an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody known signed it.
    Unsigned,
    /// Only retired keys signed it.
    Retired,
}

impl Refusal {
    /// One sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Unsigned => {
                "The image is not signed: sign it with `espalier firmware sign` and add the signature."
            }
            Self::Retired => {
                "The image is signed by a retired key only: sign it with a current key and add the signature."
            }
        }
    }
}

/// The refusal of an image without a signature.
pub fn unsigned() -> ApiError {
    let sentence = "The image is not signed. Sign it with `espalier firmware sign`, add the public key to your library, and \
                    upload the image with its .sig file; or let the operator set allow_unsigned.";
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "unsigned", sentence)
}

/// The refusal of a signature.
pub fn bad(sentence: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_signature", sentence)
}

/// Checks that a manifest speaks of an image and that a key which is trusted now signed it; returns which.
///
/// # Errors
/// 422 that says which line differs, or why no signature counts.
pub fn check(text: &str, image: &Subject<'_>, keys: &[Arc<Key>]) -> ApiResult<Arc<Key>> {
    if text.len() > MAX_MANIFEST {
        return Err(bad(format!(
            "The signature has {} bytes; a .sig file has at most {MAX_MANIFEST}.",
            text.len()
        )));
    }
    let manifest = Manifest::parse(text).map_err(|error| bad(error.to_string()))?;
    let matches = manifest.matches(&image.head, image.sha256, image.size);
    matches.map_err(|error| bad(error.to_string()))?;
    let trusted: Vec<PublicKey> = current(keys).map(|key| key.public).collect();
    match manifest.verify(&trusted) {
        Ok(id) => {
            let found = current(keys).find(|key| key.public.id() == id);
            found
                .cloned()
                .ok_or_else(|| bad("The key is not trusted any more."))
        }
        Err(error) => Err(bad(explain(&error, keys))),
    }
}

/// What a signature must speak of.
pub struct Subject<'a> {
    pub head: Head<'a>,
    pub sha256: &'a super::Digest,
    pub size: u64,
}

fn current(keys: &[Arc<Key>]) -> impl Iterator<Item = &Arc<Key>> {
    keys.iter().filter(|key| key.retired_at.is_none())
}

/// Says why no signature counts, and when the key is a retired one, that.
pub fn explain(error: &VerifyError, keys: &[Arc<Key>]) -> String {
    if let VerifyError::UnknownKey { key: id } = error
        && let Some(key) = keys.iter().find(|key| key.public.id() == *id)
    {
        return format!(
            "It is signed by the key {id} ({}), which was retired: sign it with a current key.",
            key.name
        );
    }
    error.to_string()
}

/// The known keys that signed an image, retired ones too. Each signature is verified by itself: a line that merely names a key
/// counts for nothing.
pub fn signers(firmware: &Firmware, keys: &[Arc<Key>]) -> Vec<Arc<Key>> {
    let Some(text) = &firmware.manifest else {
        return Vec::new();
    };
    let Ok(manifest) = Manifest::parse(text) else {
        return Vec::new();
    };
    let signed = |key: &&Arc<Key>| manifest.verify(&[key.public]).is_ok();
    keys.iter().filter(signed).cloned().collect()
}

/// Puts the signatures of a manifest beside those that are there; one by the same key is replaced.
///
/// # Errors
/// 422 when there would be too many.
pub fn merge(old: &str, new: &str) -> ApiResult<String> {
    let key = |line: &str| line.split(':').nth(1).unwrap_or_default().to_owned();
    let signatures = |text: &'_ str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with(SIGNATURE));
        lines.map(str::to_owned).collect()
    };
    let mut all = signatures(old);
    for line in signatures(new) {
        all.retain(|there| key(there) != key(&line));
        all.push(line);
    }
    let parsed = Manifest::parse(new).map_err(|error| bad(error.to_string()))?;
    let mut text = parsed.signed().to_owned();
    for line in all {
        text.push_str(&line);
        text.push('\n');
    }
    match Manifest::parse(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(bad(
            "The image has as many signatures as a manifest can hold; remove the image and upload it with those that count.",
        )),
    }
}
