//! Who a board believes: an authority, a certificate, or the keys of servers, pinned by its owner. TLS itself is `embedded-tls`; what a
//! certificate proves is decided here.
//!
//! The verifier that comes with `embedded-tls` checks signatures, names and dates, but not whether a certificate may sign others:
//! whoever holds a certificate of the authority could make one for any name. And its handshake does not insist on a certificate at
//! all. Ours is smaller and stricter:
//!
//! - the server shows a certificate that the pinned authority has signed, or one that leads to it over at most [`MAX_BETWEEN`]
//!   authorities, which follow it in their order; or the pinned certificate; or one with a pinned key, whoever signed it;
//! - every authority may sign the certificates of servers (`basicConstraints` with its path length, `keyUsage`, `extKeyUsage`); the
//!   server's may identify servers (`keyUsage`, `extKeyUsage`) and is no authority; nothing in any of them is critical and unknown,
//!   or limits names;
//! - the host is one of its `subjectAltName`s, a DNS name or an IP address; the common name is nobody's name;
//! - its dates and those of the authorities in between are checked, always: against the time that the server has told, or else against the last moment that is certain to
//!   be past ([`Now`]);
//! - its key has signed this handshake.
//!
//! Keys are NIST P-256 with SHA-256. With the feature `p384` the authorities may have P-384 keys and SHA-384, as public ones do; that
//! costs 165 kB of flash. Not here: RSA, revocation.
//!
//! | file | holds |
//! |---|---|
//! | `verifier.rs` | the decision, and the provider for `embedded-tls` |
//! | `chain.rs` | the way from a server's certificate to a pinned one |
//! | `certificate.rs` | what a certificate says |
//! | `key.rs` | keys and signatures |
//! | `der.rs` | ASN.1 as bytes |
//! | `name.rs` | hosts and the names of certificates |

pub(crate) mod certificate;
mod chain;
pub(crate) mod der;
mod key;
pub(crate) mod name;
mod verifier;

use core::fmt;

use espalier_device::settings::MAX_PINS;
use heapless::Vec;

pub(crate) use verifier::Provider;
pub use verifier::Verifier;

/// Longest certificate that is taken, in bytes of DER.
pub const MAX_CERTIFICATE: usize = 2048;

/// Most authorities between a server's certificate and the pinned one.
pub const MAX_BETWEEN: u8 = 2;

/// Who is believed.
#[derive(Debug, Clone, Copy)]
pub enum Anchor<'a> {
    /// This certificate in DER: an authority that signs the server's, or the server's itself.
    Certificate(&'a [u8]),
    /// A certificate with this key, whoever signed it: SHA-256 of its `SubjectPublicKeyInfo` in DER.
    Key([u8; 32]),
}

/// Most anchors of a board: what its settings can hold.
pub const MAX_ANCHORS: usize = 1 + MAX_PINS;

/// Returns the anchors that the settings of a board name: a certificate in DER, unless it is empty, and the keys of servers.
pub fn anchors<'a>(certificate: &'a [u8], pins: &[[u8; 32]]) -> Vec<Anchor<'a>, MAX_ANCHORS> {
    let certificate = Some(certificate).filter(|der| !der.is_empty());
    certificate
        .map(Anchor::Certificate)
        .into_iter()
        .chain(pins.iter().take(MAX_PINS).copied().map(Anchor::Key))
        .collect()
}

/// What a board needs for `https`.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// Who is believed, each of them alone; without any, no `https` server is.
    pub anchors: &'a [Anchor<'a>],
    /// Unix seconds of a moment that is certainly past: when the image was built, or the last time that was stored.
    pub floor: u64,
}

/// What is known of the time, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// The server has told it.
    Known(u64),
    /// It is this or later. Certificates that ended before are refused; one that begins later may have begun by now.
    AtLeast(u64),
}

/// Why a server is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The pinned certificate cannot be read.
    BadAnchor,
    /// The pinned certificate may not sign others, and it is not the server's.
    NotAnAuthority,
    /// The server shows no certificate, or shows one twice in a handshake.
    NoCertificate,
    /// The server's certificate cannot be read, or asks for something that is not known here.
    BadCertificate,
    /// The key or signature is of a kind that is not taken.
    Algorithm,
    /// Somebody else has signed the certificate.
    WrongIssuer,
    /// A certificate that the server shows may not sign the one before it.
    NotAnIssuer,
    /// There are more authorities in between than one of them allows, or than are followed here.
    PathTooLong,
    /// The certificate has another key than the pinned one.
    WrongKey,
    /// The certificate is for other hosts.
    WrongName,
    /// The certificate is not valid any more.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// The certificate is not for servers.
    NotForServers,
    /// The server does not have the key of its certificate.
    BadSignature,
    /// The server never proved who it is.
    NoProof,
}

impl Refusal {
    /// Returns what is wrong, without a full stop.
    pub const fn as_str(self) -> &'static str {
        match self {
            Refusal::BadAnchor => "the pinned certificate cannot be read",
            Refusal::NotAnAuthority => "the pinned certificate may not sign others",
            Refusal::NoCertificate => "the server must show its certificate, and only once",
            Refusal::BadCertificate => "the certificate of the server cannot be read",
            Refusal::Algorithm if cfg!(feature = "p384") => {
                "the certificate needs a P-256 key, and signatures of P-256 or P-384 keys"
            }
            Refusal::Algorithm => "the certificate needs a P-256 key and a SHA-256 signature",
            Refusal::WrongIssuer => "the certificate was not signed by the pinned authority",
            Refusal::NotAnIssuer => {
                "the server shows a certificate that may not sign the one before it"
            }
            Refusal::PathTooLong => {
                "there are too many authorities between the certificate and the pinned one"
            }
            Refusal::WrongKey => "the certificate does not have the pinned key",
            Refusal::WrongName => "the certificate is for another host",
            Refusal::Expired => "the certificate has expired",
            Refusal::NotYetValid => "the certificate is not valid yet",
            Refusal::NotForServers => "the certificate may not identify servers",
            Refusal::BadSignature => "the server does not have the key of its certificate",
            Refusal::NoProof => "the server has not proved who it is",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for Refusal {}
