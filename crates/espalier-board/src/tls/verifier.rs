//! The decision whether a server is believed, in the order of the handshake: its certificate, then its signature.

use embedded_tls::{
    Aes128GcmSha256, CertificateEntryRef, CertificateRef, CertificateVerifyRef, CryptoProvider,
    CryptoRngCore, SignatureScheme, TlsError, TlsVerifier,
};
use p256::ecdsa::VerifyingKey;
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};

use super::certificate::Certificate;
use super::key::{Key, verifies};
use super::{Anchor, Now, Refusal, chain, name};

/// What a server signs before the digest of the handshake.
const CONTEXT: &[u8; 34] = b"TLS 1.3, server CertificateVerify\0";

enum State {
    /// Nothing was shown yet.
    Waiting,
    /// A certificate was believed; its key must sign this digest.
    Shown(VerifyingKey, [u8; 32]),
    /// The key has signed.
    Proven,
    Refused(Refusal),
}

/// Decides for one handshake whether a server is believed.
pub struct Verifier<'a> {
    anchors: &'a [Anchor<'a>],
    host: &'a str,
    now: Now,
    state: State,
}

impl<'a> Verifier<'a> {
    /// Makes a verifier for one handshake with a host, as its URL names it. It believes a server when one of the anchors does.
    pub const fn new(anchors: &'a [Anchor<'a>], host: &'a str, now: Now) -> Self {
        Verifier {
            anchors,
            host,
            now,
            state: State::Waiting,
        }
    }

    /// Says whether the server has proved who it is. Ask it after the handshake, even after one that succeeded: nobody else insists
    /// that a server shows a certificate at all.
    ///
    /// # Errors
    /// Says what was missing or wrong.
    pub const fn verdict(&self) -> Result<(), Refusal> {
        match self.state {
            State::Proven => Ok(()),
            State::Refused(refusal) => Err(refusal),
            State::Waiting | State::Shown(..) => Err(Refusal::NoProof),
        }
    }

    /// Checks the certificates that a server shows, in DER and in its order.
    fn check(&self, shown: &[CertificateEntryRef<'_>]) -> Result<VerifyingKey, Refusal> {
        let [CertificateEntryRef::X509(first), rest @ ..] = shown else {
            return Err(Refusal::NoCertificate);
        };
        let server = chain::read(first).ok_or(Refusal::BadCertificate)?;
        // Of several that do not vouch for the server, the first says why.
        let mut vouched = Err(Refusal::NoProof);
        for anchor in self.anchors.iter().rev() {
            vouched = vouches(anchor, &server, rest, self.now);
            if vouched.is_ok() {
                break;
            }
        }
        vouched?;
        if !server.may_serve() {
            return Err(Refusal::NotForServers);
        }
        if !server
            .names
            .is_some_and(|names| name::is_named(names, self.host))
        {
            return Err(Refusal::WrongName);
        }
        chain::dates(&server, self.now)?;
        match server.key() {
            Some(Key::P256(key)) => Ok(key),
            _ => Err(Refusal::Algorithm),
        }
    }

    fn check_signature(&self, verify: &CertificateVerifyRef<'_>) -> Result<(), Refusal> {
        let State::Shown(key, transcript) = &self.state else {
            return Err(Refusal::NoProof);
        };
        if verify.signature_scheme != SignatureScheme::EcdsaSecp256r1Sha256 {
            return Err(Refusal::Algorithm);
        }
        let mut message = [b' '; 64 + CONTEXT.len() + 32];
        message[64..64 + CONTEXT.len()].copy_from_slice(CONTEXT);
        message[64 + CONTEXT.len()..].copy_from_slice(transcript);
        if verifies(key, &message, verify.signature) {
            Ok(())
        } else {
            Err(Refusal::BadSignature)
        }
    }
}

/// Whether an anchor vouches for a server that has shown these certificates behind its own.
fn vouches(
    anchor: &Anchor<'_>,
    server: &Certificate<'_>,
    rest: &[CertificateEntryRef<'_>],
    now: Now,
) -> Result<(), Refusal> {
    let bytes = match anchor {
        Anchor::Certificate(bytes) => *bytes,
        // Whoever has the key is the server: what others say of it in further certificates makes no difference.
        Anchor::Key(wanted) => {
            let found = <[u8; 32]>::from(Sha256::digest(server.key_info));
            return (found == *wanted).then_some(()).ok_or(Refusal::WrongKey);
        }
    };
    let authority = Certificate::parse(bytes).ok_or(Refusal::BadAnchor)?;
    chain::leads(server, rest, &authority, now)
}

impl TlsVerifier<Aes128GcmSha256> for Verifier<'_> {
    fn set_hostname_verification(&mut self, _: &str) -> Result<(), TlsError> {
        // The host was given to `new`, also when it is an address, which TLS names nowhere.
        Ok(())
    }

    fn verify_certificate(
        &mut self,
        transcript: &Sha256,
        shown: CertificateRef<'_>,
    ) -> Result<(), TlsError> {
        let checked = match self.state {
            State::Waiting => self.check(&shown.entries),
            // A second certificate in one handshake is an attack or a mistake.
            _ => Err(Refusal::NoCertificate),
        };
        match checked {
            Ok(key) => {
                self.state = State::Shown(key, transcript.clone().finalize().into());
                Ok(())
            }
            Err(refusal) => {
                self.state = State::Refused(refusal);
                Err(TlsError::InvalidCertificate)
            }
        }
    }

    fn verify_signature(&mut self, verify: CertificateVerifyRef<'_>) -> Result<(), TlsError> {
        match self.check_signature(&verify) {
            Ok(()) => {
                self.state = State::Proven;
                Ok(())
            }
            Err(refusal) => {
                self.state = State::Refused(refusal);
                Err(TlsError::InvalidSignature)
            }
        }
    }
}

/// What `embedded-tls` asks for: random numbers and the verifier.
pub(crate) struct Provider<'a, R> {
    pub rng: R,
    pub verifier: Verifier<'a>,
}

impl<R: RngCore + CryptoRng> CryptoProvider for Provider<'_, R> {
    type CipherSuite = Aes128GcmSha256;
    type Signature = &'static [u8];

    fn rng(&mut self) -> impl CryptoRngCore {
        &mut self.rng
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Aes128GcmSha256>, TlsError> {
        Ok(&mut self.verifier)
    }
}
