//! What an X.509 certificate says, taken out of its DER in place. It judges nothing but its form: unknown critical extensions make
//! it unreadable, as the standard wants.

use super::der::{Reader, Value, tag};
use super::key::{Curve, Key, Scheme};
use crate::http::seconds;

const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// The last byte of the extensions `2.5.29.n`.
const KEY_USAGE: u8 = 15;
const ALT_NAME: u8 = 17;
const BASIC_CONSTRAINTS: u8 = 19;
const NAME_CONSTRAINTS: u8 = 30;
const EXT_KEY_USAGE: u8 = 37;
/// First byte of `keyUsage`.
const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_CERT_SIGN: u8 = 0x04;

/// A certificate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Certificate<'a> {
    /// All of it.
    pub whole: &'a [u8],
    /// What is signed.
    signed: &'a [u8],
    signature: &'a [u8],
    pub issuer: &'a [u8],
    pub subject: &'a [u8],
    /// Unix seconds.
    pub not_before: u64,
    pub not_after: u64,
    /// The key with its algorithm.
    pub key_info: &'a [u8],
    /// The point of a key of a known kind.
    key: Option<(Curve, &'a [u8])>,
    /// How it is signed, when that is known here.
    scheme: Option<Scheme>,
    is_authority: bool,
    /// How many authorities may follow below it, when that is limited.
    pub path_length: Option<u8>,
    /// First byte of the key usage, when it is limited.
    key_usage: Option<u8>,
    for_servers: Option<bool>,
    /// The general names of the subject.
    pub names: Option<&'a [u8]>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate; none when it is malformed, of an old version, or has a critical extension that is not known here.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut outer = Reader::new(bytes);
        let whole = outer.take(tag::SEQUENCE).filter(|_| outer.is_empty())?;
        let mut parts = Reader::new(whole.content);
        let signed = parts.take(tag::SEQUENCE)?;
        let algorithm = parts.take(tag::SEQUENCE)?;
        let signature = parts.bits().filter(|_| parts.is_empty())?;

        let mut body = Reader::new(signed.content);
        let mut version = body.enter(tag::context(0))?;
        if version.take(tag::INTEGER)?.content != [2] {
            return None;
        }
        body.take(tag::INTEGER)?;
        if body.take(tag::SEQUENCE)?.whole != algorithm.whole {
            return None;
        }
        let issuer = body.take(tag::SEQUENCE)?.whole;
        let mut validity = body.enter(tag::SEQUENCE)?;
        let (not_before, not_after) = (moment(validity.next()?)?, moment(validity.next()?)?);
        let subject = body.take(tag::SEQUENCE)?.whole;
        let key_info = body.take(tag::SEQUENCE)?;
        body.take_if(tag::context_primitive(1));
        body.take_if(tag::context_primitive(2));

        let mut certificate = Certificate {
            whole: whole.whole,
            signed: signed.whole,
            signature,
            issuer,
            subject,
            not_before,
            not_after,
            key_info: key_info.whole,
            key: point(key_info),
            scheme: scheme(algorithm),
            is_authority: false,
            path_length: None,
            key_usage: None,
            for_servers: None,
            names: None,
        };
        if let Some(mut explicit) = body
            .take_if(tag::context(3))
            .map(|v| Reader::new(v.content))
        {
            certificate.read_extensions(explicit.enter(tag::SEQUENCE)?)?;
        }
        body.is_empty().then_some(certificate)
    }

    fn read_extensions(&mut self, mut extensions: Reader<'a>) -> Option<()> {
        let mut seen = 0_u64;
        while !extensions.is_empty() {
            let mut extension = extensions.enter(tag::SEQUENCE)?;
            let oid = extension.take(tag::OID)?.content;
            let critical = extension.boolean_or(false)?;
            let value = extension.take(tag::OCTET_STRING)?.content;
            let number = match oid {
                [0x55, 0x1d, number] => *number,
                _ if critical => return None,
                _ => continue,
            };
            // No extension may come twice.
            let bit = 1_u64.checked_shl(u32::from(number))?;
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
            let mut inside = Reader::new(value);
            match number {
                BASIC_CONSTRAINTS => {
                    let mut limits = inside.enter(tag::SEQUENCE)?;
                    self.is_authority = limits.boolean_or(false)?;
                    if self.is_authority && !limits.is_empty() {
                        self.path_length = Some(small(limits.take(tag::INTEGER)?)?);
                    }
                    if !limits.is_empty() {
                        return None;
                    }
                }
                KEY_USAGE => {
                    let bits = inside.take(tag::BIT_STRING)?.content;
                    self.key_usage = Some(*bits.get(1)?);
                }
                EXT_KEY_USAGE => {
                    let mut uses = inside.enter(tag::SEQUENCE)?;
                    let mut found = false;
                    while !uses.is_empty() {
                        found |= uses.take(tag::OID)?.content == SERVER_AUTH;
                    }
                    self.for_servers = Some(found);
                }
                ALT_NAME => self.names = Some(inside.take(tag::SEQUENCE)?.content),
                // Whoever limits the names of those below means it, whether they call it critical or not.
                NAME_CONSTRAINTS => return None,
                _ if critical => return None,
                _ => continue,
            }
            if !inside.is_empty() {
                return None;
            }
        }
        Some(())
    }

    /// Whether it may sign the certificates of servers.
    pub fn may_sign(&self) -> bool {
        self.is_authority
            && self.for_servers.unwrap_or(true)
            && self.key_usage.is_none_or(|bits| bits & KEY_CERT_SIGN != 0)
    }

    /// Whether it may identify a server. An authority may not, except for itself.
    pub fn may_serve(&self) -> bool {
        self.for_servers.unwrap_or(true)
            && self
                .key_usage
                .is_none_or(|bits| bits & DIGITAL_SIGNATURE != 0)
    }

    pub const fn is_authority(&self) -> bool {
        self.is_authority
    }

    /// Returns the key, when it is one that can be used here.
    pub fn key(&self) -> Option<Key> {
        let (curve, point) = self.key?;
        Key::read(curve, point)
    }

    /// Says whether the signature is of the kind that a key makes.
    pub fn has_signature_for(&self, key: &Key) -> bool {
        self.scheme == Some(key.scheme())
    }

    /// Says whether the holder of a key has signed this.
    pub fn is_signed_by(&self, key: &Key) -> bool {
        self.has_signature_for(key) && key.verifies(self.signed, self.signature)
    }
}

/// Returns a number that is not negative; what is larger than a byte is as good as 255.
fn small(value: Value<'_>) -> Option<u8> {
    match *value.content {
        [small @ 0..=0x7f] => Some(small),
        [0, large @ 0x80..=0xff] => Some(large),
        [1..=0x7f, _, ..] | [0, 0x80..=0xff, _, ..] => Some(u8::MAX),
        _ => None,
    }
}

fn point(info: Value<'_>) -> Option<(Curve, &[u8])> {
    let mut parts = Reader::new(info.content);
    let mut algorithm = parts.enter(tag::SEQUENCE)?;
    let (kind, curve) = (algorithm.take(tag::OID)?, algorithm.take(tag::OID)?);
    let curve = Curve::of(kind.content, curve.content)?;
    let point = parts.bits()?;
    (algorithm.is_empty() && parts.is_empty()).then_some((curve, point))
}

fn scheme(algorithm: Value<'_>) -> Option<Scheme> {
    let mut parts = Reader::new(algorithm.content);
    let oid = parts.take(tag::OID)?;
    Scheme::of(oid.content).filter(|_| parts.is_empty())
}

/// Reads a time: `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, as Unix seconds; what was before 1970 is 0.
fn moment(value: Value<'_>) -> Option<u64> {
    let (century, digits) = match (value.tag, value.content.len()) {
        (tag::UTC_TIME, 13) => (None, value.content),
        (tag::GENERALIZED_TIME, 15) => {
            let (century, rest) = value.content.split_at_checked(2)?;
            (Some(pair(century)?), rest)
        }
        _ => return None,
    };
    let (digits, zone) = digits.split_at_checked(12)?;
    if zone != b"Z" {
        return None;
    }
    let mut pairs = digits.chunks(2).map(pair);
    let mut next = || pairs.next().flatten();
    let year = next()?;
    let year = match century {
        Some(century) => century * 100 + year,
        None if year < 50 => 2000 + year,
        None => 1900 + year,
    };
    let (month, day) = (next()?, next()?);
    let at = seconds(year, month, day, (next()?, next()?, next()?))?;
    Some(u64::try_from(at).unwrap_or(0))
}

fn pair(two: &[u8]) -> Option<i64> {
    let &[tens, ones] = two else {
        return None;
    };
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(tag: u8, content: &[u8]) -> Option<u64> {
        moment(Value {
            tag,
            content,
            whole: content,
        })
    }

    #[test]
    fn times_are_those_of_both_kinds() {
        assert_eq!(time(tag::UTC_TIME, b"941106084937Z"), Some(784_111_777));
        assert_eq!(time(tag::UTC_TIME, b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(tag::UTC_TIME, b"500101000000Z"), Some(0));
        assert_eq!(
            time(tag::GENERALIZED_TIME, b"40960101000000Z"),
            Some(67_090_118_400)
        );
        for bad in [
            &b"9411060849Z"[..],
            b"941306084937Z",
            b"941106084937+",
            b"94110608493xZ",
        ] {
            assert_eq!(time(tag::UTC_TIME, bad), None, "{bad:?}");
        }
    }

    #[test]
    fn path_lengths_are_numbers_that_are_not_negative() {
        let read = |content: &[u8]| {
            small(Value {
                tag: tag::INTEGER,
                content,
                whole: content,
            })
        };
        assert_eq!(read(&[0]), Some(0));
        assert_eq!(read(&[0x7f]), Some(127));
        assert_eq!(read(&[0, 0x80]), Some(128));
        assert_eq!(read(&[1, 0]), Some(255));
        assert_eq!(read(&[0, 0x80, 0]), Some(255));
        for bad in [&[][..], &[0x80], &[0xff, 0], &[0, 1], &[0, 0x7f, 0]] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    const AUTHORITY: &[u8] = include_bytes!("../../tests/data/authority.der");

    /// The same with some bytes in the place of others.
    fn with(from: &[u8], to: &[u8]) -> std::vec::Vec<u8> {
        let at = AUTHORITY.windows(from.len()).position(|w| w == from);
        let mut bytes = AUTHORITY.to_vec();
        let at = at.unwrap();
        bytes[at..at + from.len()].copy_from_slice(to);
        bytes
    }

    #[test]
    fn nothing_is_left_over_in_what_is_understood() {
        assert!(Certificate::parse(AUTHORITY).unwrap().may_sign());
        // Behind the flag of an authority comes the length of its path, and nothing else.
        let limits = [0x30, 3, 1, 1, 0xff];
        assert!(Certificate::parse(&with(&limits, &[0x30, 3, 2, 1, 0])).is_none());
        assert!(Certificate::parse(&with(&limits, &[0x30, 0, 5, 1, 0])).is_none());
        // A key whose bits end early is none, whatever follows.
        let key = [3, 0x42, 0, 4];
        let short = with(&key, &[3, 1, 0, 4]);
        assert!(Certificate::parse(&short).is_none_or(|read| read.key().is_none()));
    }

    #[test]
    fn noise_is_no_certificate() {
        let mut noise = [0_u8; 64];
        for seed in 0..=255_u8 {
            for (n, byte) in noise.iter_mut().enumerate() {
                *byte = (n as u8).wrapping_mul(31).wrapping_add(seed);
            }
            noise[0] = 0x30;
            noise[1] = 62;
            assert!(Certificate::parse(&noise).is_none());
        }
    }
}
