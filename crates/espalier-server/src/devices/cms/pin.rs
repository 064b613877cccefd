//! What a request shows of the station it comes from: its address, and its MAC when the sketch sends one. Pure.

use crate::config::LegacyBoards;
use crate::http::Peer;
use axum::http::{HeaderMap, header};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The header in which the Arduino updater names its station.
const STA_MAC: &str = "x-esp32-sta-mac";
/// The longest id that old boards have, bytes.
pub const MAX_ID: usize = 255;

/// The hardware address of a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac([u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

/// Why a text is no MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a MAC has six pairs of hexadecimal digits, e.g. 24:6F:28:01:02:03")]
pub struct NotAMac;

impl FromStr for Mac {
    type Err = NotAMac;
    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let mut bytes = [0; 6];
        let mut pairs = text.split([':', '-']);
        for byte in &mut bytes {
            let pair = pairs.next().ok_or(NotAMac)?;
            if pair.len() != 2 || !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(NotAMac);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotAMac)?;
        }
        match pairs.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(NotAMac),
        }
    }
}

/// Where a request without a credential comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Station {
    /// Its address.
    pub address: IpAddr,
    /// Its MAC, when it sent one.
    pub mac: Option<Mac>,
}

impl Station {
    /// Reads the station off a request.
    pub fn of(peer: Peer, headers: &HeaderMap) -> Self {
        let mac = headers.get(STA_MAC).and_then(|value| value.to_str().ok());
        Self {
            address: peer.0,
            mac: mac.and_then(|text| text.trim().parse().ok()),
        }
    }
}

/// Tells whether boards without a token may speak from here at all.
///
/// A page in somebody's browser is no board, even when the browser stands in the same network; and a request that a proxy passed
/// on comes from wherever the proxy says, unless the operator did not name that proxy: then nobody knows.
pub fn may_speak(setting: LegacyBoards, peer: Peer, headers: &HeaderMap) -> bool {
    let browser = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    match setting {
        LegacyBoards::Off => false,
        LegacyBoards::On => !browser,
        LegacyBoards::Lan => !browser && is_local(peer.0) && !hidden(peer, headers),
    }
}

/// Tells whether a proxy passed the request on whose word was not believed.
fn hidden(peer: Peer, headers: &HeaderMap) -> bool {
    if headers.contains_key("x-forwarded-for") {
        let values = headers.get_all("x-forwarded-for").iter();
        let mut hops = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        return !hops.any(|hop| hop.trim().parse() == Ok(peer.0));
    }
    headers.contains_key("forwarded")
        || headers.contains_key("x-real-ip")
        || headers.contains_key(header::VIA)
}

/// Tells whether an address is of this machine or of a private network.
pub fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Under which address a station is counted: one home has one IPv4 address, or a whole /64.
pub fn bucket(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

/// Tells whether a text can be the id of an old board.
pub fn is_id(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= MAX_ID && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer(text.parse().unwrap())
    }

    #[test]
    fn a_mac_is_read_in_either_spelling_and_shown_in_one() {
        let mac: Mac = "24:6f:28:0a:0B:0c".parse().unwrap();
        assert_eq!(mac.to_string(), "24:6F:28:0A:0B:0C");
        assert_eq!("24-6F-28-0A-0B-0C".parse(), Ok(mac));
        for wrong in [
            "",
            "24:6F:28",
            "24:6F:28:0A:0B:0C:0D",
            "+4:6F:28:0A:0B:0C",
            "ä4:6F:28:0A:0B:0C",
        ] {
            assert_eq!(wrong.parse::<Mac>(), Err(NotAMac), "{wrong}");
        }
    }

    #[test]
    fn boards_speak_from_the_own_network_and_pages_never() {
        let none = HeaderMap::new();
        let lan = |text| may_speak(LegacyBoards::Lan, peer(text), &none);
        assert!(
            [
                "127.0.0.1",
                "192.168.1.9",
                "10.0.0.1",
                "172.16.3.4",
                "169.254.1.1",
                "::1",
                "fd00::1",
                "fe80::1"
            ]
            .map(lan)
                == [true; 8]
        );
        assert!(["8.8.8.8", "172.32.0.1", "2001:db8::1"].map(lan) == [false; 3]);
        assert!(may_speak(LegacyBoards::On, peer("8.8.8.8"), &none));
        assert!(!may_speak(LegacyBoards::Off, peer("127.0.0.1"), &none));
        let mut page = HeaderMap::new();
        page.insert(header::ORIGIN, "http://evil.example".parse().unwrap());
        assert!(!may_speak(LegacyBoards::Lan, peer("127.0.0.1"), &page));
    }

    #[test]
    fn behind_an_unnamed_proxy_nobody_is_local() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "8.8.8.8".parse().unwrap());
        assert!(!may_speak(LegacyBoards::Lan, peer("127.0.0.1"), &headers));
        // The operator named the proxy, so its word is the peer.
        headers.insert("x-forwarded-for", "8.8.8.8, 192.168.1.9".parse().unwrap());
        assert!(may_speak(LegacyBoards::Lan, peer("192.168.1.9"), &headers));
    }

    #[test]
    fn an_ipv6_home_is_one_bucket() {
        let of = |text: &str| bucket(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:9::8"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.168.1.1"), of("192.168.1.2"));
    }
}
