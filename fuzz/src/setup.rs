//! The ways into a board that is being set up, as the ones at its serial line and in its network use them: console and Improv,
//! the portal's requests, DNS and DHCP.

use std::collections::HashMap;

use espalier_device::settings::Settings;
use espalier_device::setup::portal::{REQUEST_TIMEOUT_MS, Request};
use espalier_device::setup::{About, Input, Output, Seen, Setup, dhcp, dns};
use espalier_device::{Slot, Storage};

use crate::{Target, Verdict, texts};

pub const CONSOLE: Target = Target {
    name: "device_console",
    run: console,
    seeds: || {
        let mut seeds = texts(&[
            "provision\r\n65a1f0c2b3d4e5f601234567\r\ns3cret\r\nhttp://farm:8000\r\nstatus\r\n",
            "wifi\nHome\npassword\nportal\nhelp\n",
            "wifi\rOpen\r\rreset\r",
        ]);
        let wifi = packet(3, b"\x01\x0e\x04Home\x08password");
        seeds.push([&wifi[..], &packet(3, b"\x04\0"), &packet(3, b"\x02\0")].concat());
        seeds.push([b"sta", &packet(3, b"\x03\0")[..], b"tus\n"].concat());
        seeds
    },
    words: &[
        b"provision\n",
        b"wifi\n",
        b"status\n",
        b"reset\n",
        b"IMPROV\x01",
        b"\x03\x02\x02\0\xe5",
        b"\x03",
        b"\x7f",
        b"\r\n",
        b"http://h",
        b"password",
    ],
};

pub const PORTAL: Target = Target {
    name: "device_portal",
    run: portal,
    seeds: || {
        let form = "device_name=Kitchen&wifi_ssid=Home&custom_wifi_ssid=&wifi_password=password&server_url=http%3A%2F%2Ffarm%3A8000&device_id=a&device_token=b";
        let post = format!(
            "POST /submit HTTP/1.1\r\nHost: 192.168.4.1\r\nOrigin: http://192.168.4.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        texts(&[
            "GET / HTTP/1.1\r\nHost: 192.168.4.1\r\n\r\n",
            "HEAD /scan HTTP/1.0\r\n\r\n",
            "GET http://www.example.com/generate_204 HTTP/1.1\r\n\r\n",
            "POST /submit HTTP/1.1\r\nContent-Length: 28\r\n\r\nwifi_ssid=%3Cb&server_url=a:b",
            &post,
        ])
    },
    words: &[
        b"GET / HTTP/1.1\r\n",
        b"POST /submit HTTP/1.1\r\n",
        b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: ",
        b"Origin: null\r\n",
        b"\r\n\r\n",
        b"&wifi_ssid=",
        b"&server_url=http://h",
        b"%",
        b"%00",
        b"+",
    ],
};

pub const NET: Target = Target {
    name: "device_net",
    run: net,
    seeds: || {
        let mut dhcp = vec![0; 240];
        dhcp[..4].copy_from_slice(&[1, 1, 6, 0]);
        dhcp[236..].copy_from_slice(&[99, 130, 83, 99]);
        let with = |options: &[u8]| [&b"H"[..], &dhcp, options].concat();
        vec![
            b"D\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01".to_vec(),
            b"D\x12\x34\x01\0\0\x01\0\0\0\0\0\0\0\0\x1c\0\x01".to_vec(),
            with(&[53, 1, 1, 255]),
            with(&[53, 1, 3, 50, 4, 192, 168, 4, 2, 54, 4, 192, 168, 4, 1, 255]),
        ]
    },
    words: &[
        b"\xc0\x0c",
        b"\0\x01\0\x01",
        b"\x3f",
        b"\x35\x01\x03",
        b"\x32\x04\xc0\xa8\x04\x05",
        b"\xff",
    ],
};

/// An Improv packet.
fn packet(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut out = b"IMPROV\x01".to_vec();
    out.push(kind);
    out.push(data.len() as u8);
    out.extend(data);
    out.push(out.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
    out
}

/// Storage that keeps everything.
#[derive(Default)]
struct Memory(HashMap<Slot, Vec<u8>>);

impl Storage for Memory {
    type Error = ();

    fn read(&mut self, slot: Slot, into: &mut [u8]) -> Result<usize, ()> {
        let bytes = self.0.get(&slot).map_or(&[][..], Vec::as_slice);
        into.get_mut(..bytes.len())
            .ok_or(())?
            .copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write(&mut self, slot: Slot, parts: &[&[u8]]) -> Result<(), ()> {
        self.0.insert(slot, parts.concat());
        Ok(())
    }
}

fn open(storage: &mut Memory) -> Setup {
    let about = About::new("espalier-base", "1.0.0", "ESP32-C3", [1, 2, 3, 4, 5, 6]);
    let mut setup = Setup::open(about, storage, |_| None, [5; 16]);
    let seen = Seen {
        ssid: "<b>\"&'",
        rssi: -50,
        encryption: 3,
    };
    setup.step(0, Input::Scanned(&[seen]), storage);
    setup
}

/// What is stored must be what the machine works with, and readable.
fn check(setup: &Setup, storage: &mut Memory) {
    let stored = Settings::load(storage).expect("memory does not fail, and ours are readable");
    assert_eq!(stored.as_ref(), Some(setup.settings()));
}

fn console(bytes: &[u8]) -> Verdict {
    let mut storage = Memory::default();
    let mut setup = open(&mut storage);
    let (mut changed, mut now, mut said) = (false, 0, Vec::new());
    for piece in bytes.chunks(13) {
        now += 50;
        setup.step(now, Input::Serial(piece), &mut storage);
        let mut join = None;
        while let Some(output) = setup.poll() {
            match output {
                Output::Serial(bytes) => said.extend_from_slice(bytes),
                Output::Join(network) => join = Some(network.ssid().to_owned()),
                Output::Changed => changed = true,
                _ => {}
            }
        }
        if let Some(ssid) = join {
            let joined = Input::Joined {
                ssid: &ssid,
                address: [10, 0, 0, 1],
            };
            setup.step(now, joined, &mut storage);
            changed = true;
        }
        assert!(setup.wake_in_ms().is_none_or(|ms| ms <= 60_000));
    }
    check(&setup, &mut storage);
    // Whatever was typed, the console still answers.
    setup.step(now + 60_000, Input::Serial(b"\x03\nhelp\n"), &mut storage);
    let told = said.windows(9).any(|nine| nine == b"Firmware:");
    said.clear();
    while let Some(output) = setup.poll() {
        if let Output::Serial(bytes) = output {
            said.extend_from_slice(bytes);
        }
    }
    let answers = said.windows(9).any(|nine| nine == b"provision");
    assert!(answers, "it says {}", said.escape_ascii());
    if changed || told {
        Verdict::Accepted
    } else {
        Verdict::Refused
    }
}

fn portal(bytes: &[u8]) -> Verdict {
    let (mut whole, mut pieces) = (Request::default(), Request::default());
    whole.feed(0, bytes);
    for piece in bytes.chunks(17) {
        pieces.feed(0, piece);
    }
    assert_eq!(whole.refusal(), pieces.refusal());
    assert_eq!((whole.path(), whole.form()), (pieces.path(), pieces.form()));
    let refused = !whole.is_whole() || whole.refusal().is_some();
    assert!(whole.tick(REQUEST_TIMEOUT_MS), "a request without end");
    let mut storage = Memory::default();
    let mut setup = open(&mut storage);
    let answer = setup.http(0, &whole, &mut storage);
    let (mut sent, mut piece) = (Vec::new(), [0; 1460]);
    while let Some(len @ 1..) = setup.answer(&answer, sent.len(), &mut piece) {
        sent.extend_from_slice(&piece[..len]);
    }
    let text = String::from_utf8(sent).expect("answers are text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let length = head
        .split("Content-Length: ")
        .nth(1)
        .and_then(|t| t.lines().next());
    let head_only = answer.status() != 302 && body.is_empty();
    assert!(
        head_only || length.and_then(|l| l.parse().ok()) == Some(body.len()),
        "{head}"
    );
    assert!(
        !(head.contains("text/html") && body.contains("<b>")),
        "{body}"
    );
    check(&setup, &mut storage);
    if refused {
        Verdict::Refused
    } else {
        Verdict::Accepted
    }
}

fn net(bytes: &[u8]) -> Verdict {
    let answered = match bytes.split_first() {
        Some((b'D', packet)) => {
            let mut into = [0; dns::PACKET];
            let len = dns::answer(packet, &mut into);
            if let Some(len) = len {
                assert_eq!(into[..2], packet[..2]);
                let again = dns::answer(&into[..len], &mut [0; dns::PACKET]);
                assert_eq!(again, None, "it answers an answer");
            }
            len.is_some_and(|_| into[3] & 15 == 0)
        }
        Some((_, packet)) => {
            let mut leases = dhcp::Leases::default();
            let mut into = [0; dhcp::PACKET];
            let reply = leases.answer(0, packet, &mut into);
            if let Some(reply) = reply {
                assert_eq!(into[4..8], packet[4..8]);
                assert!(into[240..reply.len].contains(&255));
            }
            reply.is_some()
        }
        None => false,
    };
    if answered {
        Verdict::Accepted
    } else {
        Verdict::Refused
    }
}
