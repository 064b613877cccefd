//! DNS and DHCP of the board's own network, asked as phones ask, and as nobody should.

use espalier_device::setup::dhcp::{self, LEASE_S, Leases, MAX_LEASES};
use espalier_device::setup::dns;
use proptest::prelude::*;

fn query(flags: u8, questions: u8, name: &[u8], kind: u16, class: u16) -> Vec<u8> {
    let mut out = vec![0x12, 0x34, flags, 0, 0, questions, 0, 0, 0, 0, 0, 0];
    out.extend(name);
    out.extend(kind.to_be_bytes());
    out.extend(class.to_be_bytes());
    out
}

const NAME: &[u8] = b"\x07captive\x05apple\x03com\0";

fn asked(query: &[u8]) -> Option<Vec<u8>> {
    let mut into = [0xaa; dns::PACKET];
    dns::answer(query, &mut into).map(|len| into[..len].to_vec())
}

#[test]
fn every_name_leads_to_the_board() {
    for kind in [1, 255] {
        let query = query(1, 1, NAME, kind, 1);
        let answer = asked(&query).unwrap();
        assert_eq!(
            answer[..12],
            [0x12, 0x34, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]
        );
        assert_eq!(answer[12..query.len()], query[12..]);
        assert_eq!(
            answer[query.len()..],
            [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 192, 168, 4, 1]
        );
    }
    // What follows the question, as EDNS has it, changes nothing.
    let mut with_more = query(1, 1, NAME, 1, 1);
    with_more[11] = 1;
    with_more.extend(b"\0\0\x29\x10\0\0\0\0\0\0\0");
    assert_eq!(asked(&with_more), asked(&query(1, 1, NAME, 1, 1)));
    assert_eq!(asked(&query(0, 1, b"\0", 1, 1)).unwrap()[2], 0x84);
}

#[test]
fn other_questions_have_no_answer_but_are_no_error() {
    for (kind, class) in [(28, 1), (16, 1), (65, 1), (1, 3)] {
        let answer = asked(&query(1, 1, NAME, kind, class)).unwrap();
        assert_eq!(answer[3..8], [0x80, 0, 1, 0, 0], "{kind} {class}");
    }
}

#[test]
fn what_is_no_query_is_refused_or_passed_over() {
    assert_eq!(asked(b""), None);
    assert_eq!(asked(&query(1, 1, NAME, 1, 1)[..11]), None);
    assert_eq!(asked(&query(0x81, 1, NAME, 1, 1)), None, "an answer");
    let code = |query: &[u8]| asked(query).map(|answer| answer[3] & 15);
    assert_eq!(code(&query(1, 0, NAME, 1, 1)), Some(1));
    assert_eq!(code(&query(1, 2, NAME, 1, 1)), Some(1));
    assert_eq!(
        code(&query(1, 1, b"\xc0\x0c", 1, 1)),
        Some(1),
        "a name that points"
    );
    assert_eq!(
        code(&query(1, 1, &[63; 64], 1, 1)),
        Some(1),
        "a name without end"
    );
    assert_eq!(
        code(&query(1, 1, &[[1, b'a']; 128].concat(), 1, 1)),
        Some(1)
    );
    assert_eq!(
        code(&query(1, 1, NAME, 1, 1)[..20]),
        Some(1),
        "a name that is cut"
    );
    assert_eq!(code(&query(0x11, 1, NAME, 1, 1)), Some(4), "a status");
    let longest = [&[[1, b'a']; 127].concat()[..], b"\0"].concat();
    assert_eq!(code(&query(1, 1, &longest, 1, 1)), Some(0));
}

proptest! {
    #[test]
    fn any_dns_packet(mut bytes in prop::collection::vec(any::<u8>(), 0..600), plain in any::<bool>()) {
        if plain && bytes.len() > 12 {
            bytes[2] &= 1;
            bytes[4..6].copy_from_slice(&[0, 1]);
        }
        if let Some(answer) = asked(&bytes) {
            prop_assert!(answer.len() >= 12 && answer[2] & 0x80 != 0);
            prop_assert_eq!(&answer[..2], &bytes[..2]);
            prop_assert_eq!(asked(&answer), None);
        }
    }
}

fn packet(mac: u8, kind: u8, options: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 240];
    out[..4].copy_from_slice(&[1, 1, 6, 0]);
    out[4..8].copy_from_slice(&[9, 8, 7, mac]);
    out[28..34].copy_from_slice(&[2, 0, 0, 0, 0, mac]);
    out[236..].copy_from_slice(&[99, 130, 83, 99]);
    out.extend([53, 1, kind]);
    out.extend(options);
    out.push(255);
    out
}

struct Got {
    kind: u8,
    address: [u8; 4],
    bytes: Vec<u8>,
    to: [u8; 4],
}

fn ask(leases: &mut Leases, now: u64, packet: &[u8]) -> Option<Got> {
    let mut into = [0xaa; dhcp::PACKET];
    let reply = leases.answer(now, packet, &mut into)?;
    let bytes = into[..reply.len].to_vec();
    assert!(bytes.len() >= 300 && bytes[0] == 2 && bytes[236..240] == [99, 130, 83, 99]);
    assert_eq!(
        (&bytes[4..8], &bytes[28..44]),
        (&packet[4..8], &packet[28..44])
    );
    assert_eq!(bytes[240..242], [53, 1]);
    assert!(bytes.windows(6).any(|w| w == [54, 4, 192, 168, 4, 1]));
    Some(Got {
        kind: bytes[242],
        address: bytes[16..20].try_into().unwrap(),
        to: reply.to,
        bytes,
    })
}

const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;

fn wants(address: [u8; 4]) -> Vec<u8> {
    [&[50, 4][..], &address, &[54, 4, 192, 168, 4, 1]].concat()
}

#[test]
fn a_phone_gets_an_address_and_keeps_it() {
    let mut leases = Leases::default();
    let offer = ask(&mut leases, 0, &packet(7, DISCOVER, &[])).unwrap();
    assert_eq!(
        (offer.kind, offer.address, offer.to),
        (2, [192, 168, 4, 2], [255; 4])
    );
    for option in [
        &[1, 4, 255, 255, 255, 0][..],
        &[3, 4, 192, 168, 4, 1],
        &[6, 4, 192, 168, 4, 1],
        &[51, 4, 0, 0, 0x0e, 0x10],
    ] {
        assert!(offer.bytes.windows(6).any(|w| w == option), "{option:?}");
    }
    let ack = ask(&mut leases, 0, &packet(7, REQUEST, &wants(offer.address))).unwrap();
    assert_eq!((ack.kind, ack.address), (5, offer.address));
    // Again, by name; another phone; and the renewal, which is sent to its address.
    let again = ask(&mut leases, 9_000, &packet(7, DISCOVER, &[])).unwrap();
    assert_eq!(again.address, offer.address);
    let other = ask(&mut leases, 9_000, &packet(8, DISCOVER, &[])).unwrap();
    assert_eq!(other.address, [192, 168, 4, 3]);
    let mut renewal = packet(7, REQUEST, &[]);
    renewal[12..16].copy_from_slice(&offer.address);
    let renewed = ask(&mut leases, 1_000_000, &renewal).unwrap();
    assert_eq!((renewed.kind, renewed.to), (5, offer.address));
    renewal[10] = 0x80;
    assert_eq!(ask(&mut leases, 1_000_000, &renewal).unwrap().to, [255; 4]);
}

#[test]
fn an_address_of_another_network_or_phone_is_refused() {
    let mut leases = Leases::default();
    for wanted in [[192, 168, 1, 5], [192, 168, 4, 1], [192, 168, 4, 99]] {
        let nak = ask(&mut leases, 0, &packet(7, REQUEST, &wants(wanted))).unwrap();
        assert_eq!((nak.kind, nak.address, nak.to), (6, [0; 4], [255; 4]));
    }
    ask(
        &mut leases,
        0,
        &packet(7, REQUEST, &wants([192, 168, 4, 5])),
    )
    .unwrap();
    let nak = ask(
        &mut leases,
        0,
        &packet(8, REQUEST, &wants([192, 168, 4, 5])),
    )
    .unwrap();
    assert_eq!(nak.kind, 6);
}

#[test]
fn addresses_run_out_expire_and_are_given_back() {
    let mut leases = Leases::default();
    let get = |leases: &mut Leases, now, mac| {
        let offer = ask(leases, now, &packet(mac, DISCOVER, &[]))?;
        ask(leases, now, &packet(mac, REQUEST, &wants(offer.address))).map(|got| got.address)
    };
    let got: Vec<_> = (0..MAX_LEASES as u8)
        .map(|mac| get(&mut leases, 0, mac).unwrap())
        .collect();
    let expected: Vec<_> = (0..MAX_LEASES as u8)
        .map(|n| [192, 168, 4, 2 + n])
        .collect();
    assert_eq!(got, expected);
    assert_eq!(get(&mut leases, 1, 99), None);
    assert!(ask(&mut leases, 1, &packet(3, 7, &[])).is_none());
    assert_eq!(get(&mut leases, 2, 99), Some([192, 168, 4, 5]));
    let later = u64::from(LEASE_S) * 1000 + 1;
    assert_eq!(get(&mut leases, later, 50), Some([192, 168, 4, 2]));
    // An offer that nobody takes is free again.
    let mut leases = Leases::default();
    for mac in 0..MAX_LEASES as u8 {
        ask(&mut leases, 0, &packet(mac, DISCOVER, &[])).unwrap();
    }
    assert_eq!(get(&mut leases, 0, 99), None);
    assert!(get(&mut leases, 30_000, 99).is_some());
    // One that chose another server's offer frees ours.
    let mut leases = Leases::default();
    ask(&mut leases, 0, &packet(1, DISCOVER, &[])).unwrap();
    let elsewhere = packet(1, REQUEST, &[54, 4, 10, 0, 0, 1, 50, 4, 10, 0, 0, 9]);
    assert!(ask(&mut leases, 0, &elsewhere).is_none());
    assert_eq!(get(&mut leases, 0, 2), Some([192, 168, 4, 2]));
}

#[test]
fn a_declined_address_is_not_lent_and_nobody_else_may_decline_it() {
    let mut leases = Leases::default();
    ask(
        &mut leases,
        0,
        &packet(1, REQUEST, &wants([192, 168, 4, 2])),
    )
    .unwrap();
    assert!(ask(&mut leases, 0, &packet(2, 4, &wants([192, 168, 4, 2]))).is_none());
    let mine = ask(&mut leases, 0, &packet(1, DISCOVER, &[])).unwrap();
    assert_eq!(mine.address, [192, 168, 4, 2]);
    ask(&mut leases, 0, &packet(1, 4, &wants([192, 168, 4, 2])));
    let next = ask(&mut leases, 0, &packet(1, DISCOVER, &[])).unwrap();
    assert_eq!(next.address, [192, 168, 4, 3]);
}

#[test]
fn who_has_an_address_is_told_the_rest() {
    let mut inform = packet(1, 8, &[]);
    inform[12..16].copy_from_slice(&[192, 168, 4, 77]);
    let told = ask(&mut Leases::default(), 0, &inform).unwrap();
    assert_eq!(
        (told.kind, told.address, told.to),
        (5, [0; 4], [192, 168, 4, 77])
    );
    assert!(!told.bytes[240..].windows(2).any(|w| w == [51, 4]));
}

#[test]
fn what_is_no_request_gets_no_answer() {
    let good = packet(1, DISCOVER, &[]);
    let mut leases = Leases::default();
    for len in 0..241 {
        assert!(ask(&mut leases, 0, &good[..len]).is_none());
    }
    for (at, byte) in [
        (0, 2),
        (1, 2),
        (2, 16),
        (236, 0),
        (242, 0),
        (242, 2),
        (242, 99),
    ] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert!(ask(&mut leases, 0, &bad).is_none(), "{at}");
    }
    for options in [
        &[50, 3, 1, 2, 3][..],
        &[50, 200, 1],
        &[54, 0],
        &[53, 0],
        &[50],
    ] {
        let mut bad = packet(1, DISCOVER, options);
        bad.pop();
        assert!(ask(&mut leases, 0, &bad).is_none(), "{options:?}");
    }
}

proptest! {
    #[test]
    fn any_dhcp_packets(packets in prop::collection::vec((any::<u8>(), 0_u8..10, prop::collection::vec(any::<u8>(), 0..40), 0_u64..10_000_000), 0..40)) {
        let mut leases = Leases::default();
        for (mac, kind, options, now) in packets {
            if let Some(got) = ask(&mut leases, now, &packet(mac, kind, &options)) {
                let ours = got.address[..3] == [192, 168, 4] && (2..2 + MAX_LEASES as u8).contains(&got.address[3]);
                prop_assert!(ours || got.address == [0; 4]);
            }
        }
    }
}
