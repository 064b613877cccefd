//! Improv over the serial line: a browser that speaks as the description says, faults included.

use espalier_device::setup::{Facts, Input, JOIN_TIMEOUT_MS, SCAN_TIMEOUT_MS};

use crate::bench::{Bench, HOSTILE, seen};

const STATE: u8 = 1;
const ERROR: u8 = 2;
const RESULT: u8 = 4;

fn packet(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut out = b"IMPROV\x01".to_vec();
    out.extend([kind, data.len() as u8]);
    out.extend(data);
    let sum = out.iter().map(|b| u32::from(*b)).sum::<u32>();
    out.push(sum as u8);
    out
}

fn command(number: u8, data: &[u8]) -> Vec<u8> {
    let mut all = vec![number, data.len() as u8];
    all.extend(data);
    packet(3, &all)
}

fn wifi(ssid: &str, password: &str) -> Vec<u8> {
    let mut data = vec![ssid.len() as u8];
    data.extend(ssid.as_bytes());
    data.push(password.len() as u8);
    data.extend(password.as_bytes());
    command(1, &data)
}

/// Takes packets apart and checks them.
fn packets(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(&bytes[..7], b"IMPROV\x01");
        let end = 9 + usize::from(bytes[8]);
        let sum = bytes[..end].iter().map(|b| u32::from(*b)).sum::<u32>();
        assert_eq!((bytes[end], bytes[end + 1]), (sum as u8, b'\n'));
        found.push((bytes[7], bytes[9..end].to_vec()));
        bytes = &bytes[end + 2..];
    }
    found
}

fn texts(result: &[u8]) -> (u8, Vec<String>) {
    let (head, mut rest) = result.split_at(2);
    assert_eq!(usize::from(head[1]), rest.len());
    let mut found = Vec::new();
    while let [len, more @ ..] = rest {
        let (text, after) = more.split_at(usize::from(*len));
        found.push(String::from_utf8(text.to_vec()).unwrap());
        rest = after;
    }
    (head[0], found)
}

fn send(bench: &mut Bench, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    bench.heard.clear();
    bench.step(Input::Serial(bytes));
    packets(&bench.heard)
}

fn then(bench: &mut Bench, input: Input<'_>) -> Vec<(u8, Vec<u8>)> {
    bench.heard.clear();
    bench.step(input);
    packets(&bench.heard)
}

#[test]
fn a_network_is_tried_then_saved_and_the_server_is_where_to_go() {
    let mut bench = Bench::set(r#"{"server":"https://farm.example","portal":"12345678"}"#);
    let told = send(&mut bench, &wifi("Home", "password"));
    assert_eq!(told, [(ERROR, vec![0]), (STATE, vec![3])]);
    assert_eq!(bench.joins, [("Home".to_owned(), "password".to_owned())]);
    assert!(bench.stored().networks().is_empty());
    // Another network that comes back meanwhile is not the one.
    let other = Input::Joined {
        ssid: "Old",
        address: [10, 0, 0, 2],
    };
    assert_eq!(then(&mut bench, other), []);
    assert_eq!(bench.changes, 0);
    let joined = Input::Joined {
        ssid: "Home",
        address: [10, 0, 0, 3],
    };
    let told = then(&mut bench, joined);
    assert_eq!(told[0], (STATE, vec![4]));
    assert_eq!(told[1].0, RESULT);
    assert_eq!(
        texts(&told[1].1),
        (1, vec!["https://farm.example".to_owned()])
    );
    assert_eq!((told.len(), bench.changes), (2, 1));
    assert_eq!(
        bench.stored().network("Home").unwrap().password(),
        "password"
    );
    bench.wait(10 * JOIN_TIMEOUT_MS);
    assert_eq!(bench.restarts, 0);
}

#[test]
fn a_network_that_cannot_be_joined_is_not_saved() {
    let failed = [(ERROR, vec![3]), (STATE, vec![2])];
    let mut bench = Bench::new();
    send(&mut bench, &wifi("Home", "password"));
    let refused = Input::NotJoined {
        ssid: "Home",
        refused: true,
    };
    assert_eq!(then(&mut bench, refused), failed);
    send(&mut bench, &wifi("Home", "password"));
    assert_eq!(bench.setup.wake_in_ms(), Some(JOIN_TIMEOUT_MS));
    bench.now += JOIN_TIMEOUT_MS;
    assert_eq!(then(&mut bench, Input::Tick), failed);
    // Too late.
    let joined = Input::Joined {
        ssid: "Home",
        address: [10, 0, 0, 3],
    };
    assert_eq!(then(&mut bench, joined), []);
    assert_eq!(bench.stored().networks().len(), 0);
    let told = send(&mut bench, &wifi("Home", "short"));
    assert_eq!(told, [(ERROR, vec![0]), (ERROR, vec![3])]);
    assert_eq!(bench.joins.len(), 2);
}

#[test]
fn what_cannot_be_stored_is_an_error() {
    let mut bench = Bench::new();
    send(&mut bench, &wifi("Home", ""));
    bench.nor.cut_at(0, 3);
    let joined = Input::Joined {
        ssid: "Home",
        address: [10, 0, 0, 3],
    };
    assert_eq!(
        then(&mut bench, joined),
        [(ERROR, vec![0xff]), (STATE, vec![2])]
    );
}

#[test]
fn state_device_and_networks_are_told() {
    let mut bench = Bench::new();
    assert_eq!(
        send(&mut bench, &command(2, &[])),
        [(ERROR, vec![0]), (STATE, vec![2])]
    );
    bench.step(Input::Facts(Facts {
        address: Some([10, 0, 0, 9]),
        ..Facts::default()
    }));
    let told = send(&mut bench, &command(2, &[]));
    assert_eq!(told[1], (STATE, vec![4]));
    assert_eq!(texts(&told[2].1), (2, vec![]));
    let told = send(&mut bench, &command(3, &[]));
    let (number, about) = texts(&told[1].1);
    assert_eq!(number, 3);
    assert_eq!(
        about,
        ["espalier-base", "1.2.3", "ESP32-C3", "Espalier-ABCDEF"]
    );
    assert_eq!(send(&mut bench, &command(4, &[])), [(ERROR, vec![0])]);
    assert_eq!(bench.scans, 1);
    let told = then(&mut bench, Input::Scanned(&seen()));
    let networks: Vec<_> = told.iter().map(|(_, data)| texts(data).1).collect();
    assert_eq!(
        networks,
        [
            vec!["Café".to_owned(), "-40".to_owned(), "YES".to_owned()],
            vec!["Garden".to_owned(), "-50".to_owned(), "YES".to_owned()],
            vec![HOSTILE.to_owned(), "-85".to_owned(), "NO".to_owned()],
            vec![],
        ]
    );
    // A scan that nobody asked for, and one that never ends.
    assert_eq!(then(&mut bench, Input::Scanned(&seen())), []);
    send(&mut bench, &command(4, &[]));
    bench.now += SCAN_TIMEOUT_MS;
    assert_eq!(then(&mut bench, Input::Tick).len(), 4);
    send(&mut bench, &command(4, &[]));
    assert_eq!(then(&mut bench, Input::ScanFailed).len(), 4);
}

#[test]
fn faults_have_their_errors() {
    let mut bench = Bench::new();
    let bad = [(ERROR, vec![1])];
    let mut damaged = command(2, &[]);
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(send(&mut bench, &damaged), bad);
    assert_eq!(send(&mut bench, &packet(1, &[2])), bad);
    assert_eq!(send(&mut bench, &packet(3, &[])), bad);
    assert_eq!(send(&mut bench, &packet(3, &[2])), bad);
    assert_eq!(send(&mut bench, &packet(3, &[2, 1])), bad);
    for wrong in [
        &[5, b'a'][..],
        &[1, b'a'],
        &[1, b'a', 9, b'b'],
        &[1, 0xff, 0],
        &[0, 0, 0],
    ] {
        let told = send(&mut bench, &command(1, wrong));
        assert_eq!(told, [(ERROR, vec![0]), (ERROR, vec![1])], "{wrong:?}");
    }
    assert_eq!(
        send(&mut bench, &command(9, &[])),
        [(ERROR, vec![0]), (ERROR, vec![2])]
    );
    assert_eq!(bench.joins.len(), 0);
}

#[test]
fn packets_and_lines_share_the_stream() {
    let mut bench = Bench::new();
    let state = command(2, &[]);
    // In any pieces, in the middle of a line, after half a header.
    for lead in ["", "sta", "I", "IMPRO", "IIMP"] {
        for size in [1, 2, 5, 100] {
            bench.types("\x03");
            bench.heard.clear();
            let bytes = [lead.as_bytes(), &state].concat();
            for piece in bytes.chunks(size) {
                bench.step(Input::Serial(piece));
            }
            assert_eq!(packets(&bench.heard).len(), 2, "{lead} {size}");
            let rest = bench.types("\n");
            assert_eq!(rest.is_empty(), lead.is_empty(), "{lead}: {rest}");
        }
    }
    bench.types("\x03");
    bench.heard.clear();
    bench.step(Input::Serial(&[b"sta", &state[..], b"tus\n"].concat()));
    let after = bench.heard.split_off(2 * 12);
    assert_eq!(packets(&bench.heard).len(), 2);
    assert!(after.starts_with(b"Firmware"));
    // A network may be named like a header.
    bench.types("wifi\n");
    let asked = bench.types("IMPROV\n");
    assert!(asked.starts_with("Password"), "{asked}");
}

#[test]
fn half_a_packet_is_given_up() {
    let mut bench = Bench::new();
    let state = command(2, &[]);
    bench.types("provision\n");
    bench.step(Input::Serial(&state[..10]));
    assert_eq!(bench.setup.wake_in_ms(), Some(1_000));
    bench.wait(1_000);
    assert_eq!(bench.setup.wake_in_ms(), None);
    assert_eq!(bench.types("dev1\n"), "Device Token: \r\n");
    // Letters of a slow hand are no packet.
    bench.types("IMP");
    bench.wait(5_000);
    assert_eq!(bench.types("x\n"), "API URL: \r\n");
    bench.types("http://h\n");
    assert_eq!(bench.stored().token(), "IMPx");
}
