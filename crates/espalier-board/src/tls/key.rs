//! The public keys that certificates hold, and the signatures that they check: NIST P-256 with SHA-256; with the feature `p384` also
//! P-384 with SHA-384, for authorities alone: a server signs the handshake with P-256.

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};

const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
#[cfg(feature = "p384")]
const P384: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
#[cfg(feature = "p384")]
const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];

/// What a key is a point of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    #[cfg(feature = "p384")]
    P384,
}

impl Curve {
    /// Finds the curve of a key by the object identifiers of its algorithm.
    pub fn of(kind: &[u8], curve: &[u8]) -> Option<Self> {
        match curve {
            _ if kind != EC_KEY => None,
            P256 => Some(Curve::P256),
            #[cfg(feature = "p384")]
            P384 => Some(Curve::P384),
            _ => None,
        }
    }
}

/// How something is signed: one way for each curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    EcdsaSha256,
    #[cfg(feature = "p384")]
    EcdsaSha384,
}

impl Scheme {
    /// Finds the scheme by its object identifier.
    pub fn of(oid: &[u8]) -> Option<Self> {
        match oid {
            ECDSA_SHA256 => Some(Scheme::EcdsaSha256),
            #[cfg(feature = "p384")]
            ECDSA_SHA384 => Some(Scheme::EcdsaSha384),
            _ => None,
        }
    }
}

/// A public key.
pub(crate) enum Key {
    P256(VerifyingKey),
    #[cfg(feature = "p384")]
    P384(p384::ecdsa::VerifyingKey),
}

impl Key {
    /// Reads a point; none when it is not on its curve.
    pub fn read(curve: Curve, point: &[u8]) -> Option<Self> {
        match curve {
            Curve::P256 => VerifyingKey::from_sec1_bytes(point).ok().map(Key::P256),
            #[cfg(feature = "p384")]
            Curve::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(point)
                .ok()
                .map(Key::P384),
        }
    }

    /// How it signs.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Key::P256(_) => Scheme::EcdsaSha256,
            #[cfg(feature = "p384")]
            Key::P384(_) => Scheme::EcdsaSha384,
        }
    }

    /// Says whether a signature in DER over a message is of this key.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Key::P256(key) => verifies(key, message, signature),
            #[cfg(feature = "p384")]
            Key::P384(key) => p384::ecdsa::DerSignature::try_from(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

/// The same of a key of P-256.
pub(crate) fn verifies(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    DerSignature::try_from(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
}
