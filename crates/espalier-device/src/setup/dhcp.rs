//! The DHCP of the board's own network (RFC 2131): a few addresses, each lent for a while. Not for any other network, and no relay.

use super::ADDRESS;

/// Bytes of an answer, and the most that are read of a packet.
pub const PACKET: usize = 576;
/// Addresses that can be lent at once: 192.168.4.2 and those after it.
pub const MAX_LEASES: usize = 8;
/// Seconds for which an address is lent.
pub const LEASE_S: u32 = 3600;
/// Milliseconds for which an offer is kept free.
const OFFER_MS: u64 = 30_000;
const FIRST_HOST: u8 = 2;
const MASK: [u8; 4] = [255, 255, 255, 0];
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Bytes before the options, with the cookie.
const HEAD: usize = 240;

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const ACK: u8 = 5;
const NAK: u8 = 6;
const RELEASE: u8 = 7;
const INFORM: u8 = 8;

/// An answer and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Bytes of the answer.
    pub len: usize,
    /// The address to send it to, on port 68; the one of everybody where the client has none yet.
    pub to: [u8; 4],
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    mac: [u8; 6],
    until: u64,
}

/// The addresses that are lent.
#[derive(Debug, Default)]
pub struct Leases([Option<Lease>; MAX_LEASES]);

/// What is used of a packet.
struct Packet<'p> {
    bytes: &'p [u8; HEAD],
    kind: u8,
    wanted: Option<[u8; 4]>,
    server: Option<[u8; 4]>,
    mac: [u8; 6],
}

fn four(bytes: &[u8], at: usize) -> [u8; 4] {
    let mut out = [0; 4];
    if let Some(four) = bytes.get(at..at + 4) {
        out.copy_from_slice(four);
    }
    out
}

impl<'p> Packet<'p> {
    fn parse(packet: &'p [u8]) -> Option<Self> {
        let (bytes, mut options) = packet.split_first_chunk::<HEAD>()?;
        // A request over Ethernet or Wi-Fi.
        if bytes[..3] != [1, 1, 6] || bytes[236..] != COOKIE {
            return None;
        }
        let mut mac = [0; 6];
        mac.copy_from_slice(&bytes[28..34]);
        let mut found = Packet {
            bytes,
            kind: 0,
            wanted: None,
            server: None,
            mac,
        };
        loop {
            match options {
                [] | [255, ..] => break,
                [0, rest @ ..] => options = rest,
                [code, len, rest @ ..] => {
                    let (value, rest) = rest.split_at_checked(usize::from(*len))?;
                    let address = || <[u8; 4]>::try_from(value).ok();
                    match code {
                        53 => found.kind = *value.first()?,
                        50 => found.wanted = Some(address()?),
                        54 => found.server = Some(address()?),
                        _ => {}
                    }
                    options = rest;
                }
                [_] => return None,
            }
        }
        Some(found)
    }

    /// The address that the client has already.
    fn client(&self) -> [u8; 4] {
        four(self.bytes, 12)
    }
}

/// The address at a place of the table.
const fn address(place: usize) -> [u8; 4] {
    let [a, b, c, _] = ADDRESS;
    [a, b, c, FIRST_HOST + place as u8]
}

impl Leases {
    /// Answers a packet at `now` milliseconds; nothing when it asks for nothing, or there is no address left.
    pub fn answer(&mut self, now: u64, packet: &[u8], into: &mut [u8; PACKET]) -> Option<Reply> {
        let packet = Packet::parse(packet)?;
        let for_us = packet.server.is_none_or(|server| server == ADDRESS);
        match packet.kind {
            DISCOVER => {
                let place = self.place(now, packet.mac, packet.wanted)?;
                // An offer that is not taken is free again soon; a lease stays one.
                let held = self.0[place].filter(|lease| lease.until > now);
                let until = held.map_or(0, |lease| lease.until).max(now + OFFER_MS);
                self.lend(place, packet.mac, until);
                Some(reply(&packet, OFFER, Some(address(place)), into))
            }
            REQUEST if for_us => {
                let client = Some(packet.client()).filter(|a| *a != [0; 4]);
                let wanted = packet.wanted.or(client)?;
                match self.place(now, packet.mac, Some(wanted)) {
                    Some(place) if address(place) == wanted => {
                        let until = now + u64::from(LEASE_S) * 1000;
                        self.lend(place, packet.mac, until);
                        Some(reply(&packet, ACK, Some(wanted), into))
                    }
                    _ => Some(reply(&packet, NAK, None, into)),
                }
            }
            // It chose another server: what was offered is free.
            REQUEST | RELEASE => {
                self.free(packet.mac);
                None
            }
            // Somebody else has that address: it is not lent for a while.
            DECLINE if for_us => {
                let wanted = packet.wanted?;
                let place = (0..MAX_LEASES).find(|place| address(*place) == wanted)?;
                if self.0[place].is_some_and(|lease| lease.mac == packet.mac) {
                    self.lend(place, [0; 6], now + u64::from(LEASE_S) * 1000);
                }
                None
            }
            INFORM => Some(reply(&packet, ACK, None, into)),
            _ => None,
        }
    }

    fn lend(&mut self, place: usize, mac: [u8; 6], until: u64) {
        self.0[place] = Some(Lease { mac, until });
    }

    fn free(&mut self, mac: [u8; 6]) {
        for lease in &mut self.0 {
            lease.take_if(|lease| lease.mac == mac);
        }
    }

    /// Finds the place of a client: its own, the wanted one if free, any free one, the one that expires first of those expired.
    fn place(&self, now: u64, mac: [u8; 6], wanted: Option<[u8; 4]>) -> Option<usize> {
        let free = |place: &usize| self.0[*place].is_none_or(|lease| lease.until <= now);
        let mine = |place: &usize| self.0[*place].is_some_and(|lease| lease.mac == mac);
        let all = 0..MAX_LEASES;
        all.clone()
            .find(mine)
            .or_else(|| {
                all.clone()
                    .find(|place| free(place) && wanted == Some(address(*place)))
            })
            .or_else(|| all.clone().find(|place| self.0[*place].is_none()))
            .or_else(|| all.clone().find(free))
    }
}

/// Writes an answer.
fn reply(packet: &Packet<'_>, kind: u8, lent: Option<[u8; 4]>, into: &mut [u8; PACKET]) -> Reply {
    into.fill(0);
    // Operation, hardware, lengths; then the number of the exchange, the flags, the relay and the client's hardware as they came.
    into[..4].copy_from_slice(&[2, 1, 6, 0]);
    for range in [4..8, 10..12, 24..28, 28..44] {
        into[range.clone()].copy_from_slice(&packet.bytes[range]);
    }
    if kind != NAK {
        into[12..16].copy_from_slice(&packet.client());
    }
    into[16..20].copy_from_slice(&lent.unwrap_or_default());
    into[20..24].copy_from_slice(&ADDRESS);
    into[236..240].copy_from_slice(&COOKIE);
    let mut at = HEAD;
    let mut put = |code: u8, value: &[u8]| {
        into[at..at + 2].copy_from_slice(&[code, value.len() as u8]);
        into[at + 2..at + 2 + value.len()].copy_from_slice(value);
        at += 2 + value.len();
    };
    put(53, &[kind]);
    put(54, &ADDRESS);
    if kind != NAK {
        put(1, &MASK);
        put(3, &ADDRESS);
        put(6, &ADDRESS);
        if lent.is_some() {
            put(51, &LEASE_S.to_be_bytes());
        }
    }
    into[at] = 255;
    let everybody = packet.bytes[10] & 0x80 != 0 || packet.client() == [0; 4] || kind == NAK;
    Reply {
        // Old clients drop packets that are shorter than BOOTP's.
        len: (at + 1).max(300),
        to: if everybody { [255; 4] } else { packet.client() },
    }
}
