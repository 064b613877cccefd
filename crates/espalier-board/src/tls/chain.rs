//! From the certificate of a server to a pinned authority, over the authorities that the server shows in between. It follows the
//! order in which they are shown and searches nothing, so a server can make a board check few signatures and no more.

use embedded_tls::CertificateEntryRef;

use super::certificate::Certificate;
use super::{MAX_BETWEEN, MAX_CERTIFICATE, Now, Refusal};

/// Whether a server's certificate is that of the authority, or leads to it over those that were shown behind it.
///
/// # Errors
/// Says where it leads elsewhere.
pub(crate) fn leads(
    server: &Certificate<'_>,
    shown: &[CertificateEntryRef<'_>],
    authority: &Certificate<'_>,
    now: Now,
) -> Result<(), Refusal> {
    if authority.whole == server.whole {
        return Ok(());
    }
    if !authority.may_sign() {
        return Err(Refusal::NotAnAuthority);
    }
    let mut below = *server;
    let mut behind = shown.iter();
    for between in 0..=MAX_BETWEEN {
        let pinned = issued(&below, authority, between);
        let Some(CertificateEntryRef::X509(next)) = behind.next() else {
            return pinned.and_then(|()| for_itself(server));
        };
        // What follows the pinned authority, or is that itself, makes no difference.
        if pinned.is_ok() || *next == authority.whole {
            return pinned.and_then(|()| for_itself(server));
        }
        if between == MAX_BETWEEN {
            break;
        }
        let next = read(next).ok_or(Refusal::BadCertificate)?;
        issued(&below, &next, between)?;
        dates(&next, now)?;
        below = next;
    }
    Err(Refusal::PathTooLong)
}

/// An authority below the authority is not a server.
const fn for_itself(server: &Certificate<'_>) -> Result<(), Refusal> {
    if server.is_authority() {
        return Err(Refusal::NotForServers);
    }
    Ok(())
}

/// Reads a certificate that a server shows.
pub(crate) fn read(bytes: &[u8]) -> Option<Certificate<'_>> {
    Some(bytes)
        .filter(|bytes| bytes.len() <= MAX_CERTIFICATE)
        .and_then(Certificate::parse)
}

/// Whether a certificate is valid now, as far as that is known.
pub(crate) const fn dates(certificate: &Certificate<'_>, now: Now) -> Result<(), Refusal> {
    let (Now::Known(at) | Now::AtLeast(at)) = now;
    if at > certificate.not_after {
        return Err(Refusal::Expired);
    }
    if matches!(now, Now::Known(_)) && at < certificate.not_before {
        return Err(Refusal::NotYetValid);
    }
    Ok(())
}

/// Whether an authority has issued a certificate with so many authorities below its own.
fn issued(
    below: &Certificate<'_>,
    authority: &Certificate<'_>,
    between: u8,
) -> Result<(), Refusal> {
    if !authority.may_sign() {
        return Err(Refusal::NotAnIssuer);
    }
    if below.issuer != authority.subject {
        return Err(Refusal::WrongIssuer);
    }
    if authority.path_length.is_some_and(|most| between > most) {
        return Err(Refusal::PathTooLong);
    }
    let key = authority.key().ok_or(Refusal::Algorithm)?;
    if !below.has_signature_for(&key) {
        return Err(Refusal::Algorithm);
    }
    if below.is_signed_by(&key) {
        Ok(())
    } else {
        Err(Refusal::WrongIssuer)
    }
}
