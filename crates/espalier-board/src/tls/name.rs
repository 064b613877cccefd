//! Whether a host is among the names of a certificate. Common names are not looked at.

use core::net::IpAddr;

use super::der::{Reader, tag};
use crate::connect::host_address;

/// Numbers of the general names that are hosts.
const DNS: u8 = tag::context_primitive(2);
const ADDRESS: u8 = tag::context_primitive(7);

/// Says whether one of the general names is the host: a DNS name, an IPv4 address, or an IPv6 address in brackets.
pub(crate) fn is_named(names: &[u8], host: &str) -> bool {
    let address = host_address(host);
    let mut names = Reader::new(names);
    while let Some(name) = names.next() {
        let found = match (name.tag, address) {
            (ADDRESS, Some(IpAddr::V4(wanted))) => name.content == wanted.octets(),
            (ADDRESS, Some(IpAddr::V6(wanted))) => name.content == wanted.octets(),
            // An address is never a DNS name, whatever the text looks like.
            (DNS, None) => matches(name.content, host.as_bytes()),
            _ => false,
        };
        if found {
            return true;
        }
    }
    false
}

/// Whether a pattern covers a host: equal but for case, or `*.` for exactly one label.
fn matches(pattern: &[u8], host: &[u8]) -> bool {
    let host = host.strip_suffix(b".").unwrap_or(host);
    if let Some(domain) = pattern.strip_prefix(b"*.") {
        let Some(dot) = host.iter().position(|byte| *byte == b'.') else {
            return false;
        };
        let (label, rest) = host.split_at(dot);
        // `*.com` would be everybody.
        return !label.is_empty()
            && domain.contains(&b'.')
            && rest[1..].eq_ignore_ascii_case(domain);
    }
    !pattern.is_empty() && pattern.eq_ignore_ascii_case(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cover_hosts_and_a_star_covers_one_label() {
        for (pattern, host) in [
            ("farm.example", "FARM.example"),
            ("farm.example", "farm.example."),
            ("*.farm.example", "a.farm.example"),
            ("localhost", "localhost"),
        ] {
            assert!(
                matches(pattern.as_bytes(), host.as_bytes()),
                "{pattern} {host}"
            );
        }
        for (pattern, host) in [
            ("farm.example", "a.farm.example"),
            ("*.farm.example", "farm.example"),
            ("*.farm.example", "a.b.farm.example"),
            ("*.farm.example", ".farm.example"),
            ("*.example", "farm.example"),
            ("*", "farm"),
            ("a*.farm.example", "ab.farm.example"),
            ("", ""),
        ] {
            assert!(
                !matches(pattern.as_bytes(), host.as_bytes()),
                "{pattern} {host}"
            );
        }
    }

    #[test]
    fn addresses_are_compared_as_addresses() {
        let names = [
            0x82, 9, b'1', b'0', b'.', b'0', b'.', b'0', b'.', b'1', b'0', 0x87, 4, 10, 0, 0, 2,
        ];
        assert!(is_named(&names, "10.0.0.2"));
        assert!(
            !is_named(&names, "10.0.0.10"),
            "a DNS name that looks like an address is none"
        );
        assert!(!is_named(&names, "[::1]"));
        let six = [0x87, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert!(is_named(&six, "[::1]"));
    }
}
