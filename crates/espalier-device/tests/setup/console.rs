//! The serial console: its commands, its questions, and what it must not say.

use espalier_device::records::SECTOR;
use espalier_device::settings::{Network, Settings};
use espalier_device::setup::{Facts, Input, RESTART_AFTER_MS, Setup};
use espalier_device::{Slot, Storage};
use proptest::prelude::*;

use crate::bench::{Bench, open, records};
use crate::flash::{Nor, OFFSET};

const SET: &str = r#"{"v":1,"name":"Kitchen","server":"http://old:8000","device":"dev1","token":"t0ken-secret","networks":[{"ssid":"Home","password":"wifi-secret"},{"ssid":"Guest","password":""}],"portal":"portal-secret","profile":"c3","keys":["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"],"tz":"UTC0"}"#;

#[test]
fn provisioning_asks_three_questions_stores_and_restarts() {
    for end in ["\r", "\n", "\r\n"] {
        let mut bench = Bench::new();
        let asked = bench.types(&format!("provision{end}"));
        assert_eq!(asked, "Device ID: \r\n", "{end:?}");
        assert_eq!(
            bench.types(&format!("65a1f0c2b3d4e5f601234567{end}")),
            "Device Token: \r\n"
        );
        assert_eq!(bench.types(&format!("s3cret{end}")), "API URL: \r\n");
        assert_eq!(
            bench.types(&format!("http://farm:8000{end}")),
            "Saved. Restarting.\r\n"
        );
        let stored = bench.stored();
        assert_eq!(stored.device(), "65a1f0c2b3d4e5f601234567");
        assert_eq!(
            (stored.token(), stored.server()),
            ("s3cret", "http://farm:8000")
        );
        assert_eq!((bench.changes, bench.restarts), (1, 0));
        assert_eq!(bench.setup.wake_in_ms(), Some(RESTART_AFTER_MS));
        bench.wait(RESTART_AFTER_MS - 1);
        assert_eq!(bench.restarts, 0);
        bench.wait(1);
        bench.wait(10_000);
        assert_eq!(bench.restarts, 1);
        assert_eq!(bench.setup.wake_in_ms(), None);
    }
}

#[test]
fn all_three_answers_may_come_at_once_and_in_any_pieces() {
    let script = "PROVISION\r\nabc\r\nXYZ\r\nhttp://h\r\nstatus\r\n";
    let whole = Bench::new().types(script);
    assert!(whole.contains("Saved. Restarting."), "{whole}");
    for size in 1..9 {
        let mut bench = Bench::new();
        let mut heard = String::new();
        for piece in script.as_bytes().chunks(size) {
            heard += &bench.types(std::str::from_utf8(piece).unwrap());
        }
        assert_eq!(heard, whole);
    }
}

#[test]
fn a_wrong_answer_is_told_and_asked_again() {
    let mut bench = Bench::new();
    bench.types("provision\n");
    let told = bench.types("two words\n");
    assert_eq!(
        told,
        "It must be 1 to 64 letters, digits, _ or -.\r\nDevice ID: \r\n"
    );
    bench.types("dev1\n");
    let told = bench.types("to ken\n");
    assert!(
        told.ends_with("Device Token: \r\n") && told.starts_with("It must"),
        "{told}"
    );
    bench.types("token\n");
    let told = bench.types("farm:8000\n");
    assert_eq!(
        told,
        "It must look like http://host:8000 or https://host.\r\nAPI URL: \r\n"
    );
    assert_eq!(bench.types("http://farm:8000\n"), "Saved. Restarting.\r\n");
    assert_eq!(bench.stored().device(), "dev1");
}

#[test]
fn empty_answers_keep_what_is_set_and_ctrl_c_leaves() {
    let mut bench = Bench::set(SET);
    bench.types("provision\n\n\n");
    assert_eq!(bench.types("http://new:8000\n"), "Saved. Restarting.\r\n");
    let stored = bench.stored();
    assert_eq!((stored.device(), stored.token()), ("dev1", "t0ken-secret"));
    assert_eq!(stored.server(), "http://new:8000");
    let mut bench = Bench::set(SET);
    assert!(
        bench
            .types("provision\n\n\n\n")
            .ends_with("Nothing is changed.\r\n")
    );
    bench.types("provision\nother\n");
    assert_eq!(bench.types("\x03"), "Left. Nothing is changed.\r\n");
    assert_eq!(bench.types("\x1b\x03"), "");
    assert_eq!((bench.stored().device(), bench.changes), ("dev1", 0));
    bench.wait(60_000);
    assert_eq!(bench.restarts, 0);
}

/// The key of RFC 8032's first test, as a board and as its `.pub` file write it.
const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const KEY_BASE64: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const PIN: &str = "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef";

#[test]
fn provisioning_takes_the_keys_that_sign_firmware() {
    for key in [KEY, KEY_BASE64] {
        let mut bench = Bench::new();
        assert_eq!(
            bench.types(&format!("provision {key}\n")),
            "Device ID: \r\n"
        );
        assert_eq!(
            bench.types("dev1\ntoken\nhttp://farm:8000\n"),
            "Device Token: \r\nAPI URL: \r\nSaved. Restarting.\r\n"
        );
        let stored = bench.stored();
        assert_eq!((stored.keys().len(), stored.keys()[0][0]), (1, 0xd7));
        assert_eq!(stored.device(), "dev1");
    }
    // They replace what was there, also when nothing else changes; what is none is refused at once.
    let other = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    let mut bench = Bench::set(SET);
    let told = bench.types(&format!("provision {other}\n\n\n\n"));
    assert!(told.ends_with("Saved. Restarting.\r\n"), "{told}");
    let stored = bench.stored();
    assert_eq!((stored.keys().len(), stored.keys()[0][0]), (1, 0x3d));
    assert_eq!((stored.device(), bench.halts), ("dev1", 0));
    let nothing = "00".repeat(32);
    let five = [KEY; 5].join(" ");
    for bad in ["key", &KEY[1..], &nothing, &five] {
        let mut bench = Bench::set(SET);
        let told = bench.types(&format!("provision {bad}\nstatus\n"));
        assert!(
            told.starts_with("The keys must be at most 4 Ed25519 public keys"),
            "{told}"
        );
        assert!(told.contains("Firmware:"), "it asks nothing: {told}");
    }
}

#[test]
fn an_https_server_needs_its_pin() {
    let mut bench = Bench::new();
    let told = bench.types("provision\ndev1\ntoken\nhttps://farm\n");
    let sentence = "It must be given for an https server, because the board believes nobody else: the SHA-256 of the \
        public key of its certificate, 64 hexadecimal digits (firmware/README.md has the command that prints it).\r\n\
        Server pin: \r\n";
    assert!(told.ends_with(sentence), "{told}");
    assert_eq!(bench.types("\n"), sentence);
    assert_eq!(bench.changes, 0);
    let told = bench.types("0123\n");
    assert!(
        told.starts_with("It must be one or two SHA-256 of public keys"),
        "{told}"
    );
    assert_eq!(bench.types(&format!("{PIN}\n")), "Saved. Restarting.\r\n");
    let stored = bench.stored();
    assert_eq!((stored.server(), stored.device()), ("https://farm", "dev1"));
    assert_eq!((stored.pins().len(), stored.pins()[0][1]), (1, 0x23));
    // With a successor, or another one, at any time; the server and its token stay.
    let (mut bench, next) = (Bench::with(bench.nor), "00".repeat(32));
    assert_eq!(bench.types("pin\n"), "Server pin: \r\n");
    bench.types(&format!("{PIN}, {next}\n"));
    assert_eq!(bench.stored().pins().len(), 2);
    assert!(bench.types("status\n").contains("\r\nServer pins: 2\r\n"));
    assert!(bench.types("pin\n\n").ends_with("Nothing is changed.\r\n"));
    let told = bench.types(&format!("pin\n{PIN} {PIN} {PIN}\n\x03"));
    assert!(told.contains("one or two") && told.ends_with("Left. Nothing is changed.\r\n"));
    assert_eq!((bench.stored().token(), bench.halts), ("token", 0));
    // A pin takes the place of a certificate: only who has the key is believed from then on.
    let mut bench = Bench::set(r#"{"server":"https://h","device":"d","token":"t","ca":"MAA="}"#);
    assert!(bench.types("status\n").contains("Server certificate: set"));
    assert!(
        bench
            .types("provision\n\n\nhttps://i\n")
            .ends_with("Saved. Restarting.\r\n")
    );
    bench.types(&format!("pin\n{PIN}\n"));
    assert_eq!(
        (bench.stored().ca().len(), bench.stored().pins().len()),
        (0, 1)
    );
}

#[test]
fn the_status_says_why_the_server_does_not_answer() {
    let mut bench = Bench::set(SET);
    bench.step(Input::Facts(Facts {
        address: Some([10, 0, 0, 7]),
        trouble: Some("the certificate has expired"),
        ..Facts::default()
    }));
    let status = bench.types("status\n");
    assert!(
        status.contains("\r\nServer: does not answer: the certificate has expired\r\n"),
        "{status}"
    );
}

#[test]
fn a_profile_of_ones_own_is_taken_when_its_pins_are_safe() {
    let own =
        r#"{"name":"pump","chip":"ESP32-C3","pins":[{"gpio":4,"role":"relay","key":"pump"}]}"#;
    let mut bench = Bench::set(SET);
    assert_eq!(bench.types("profile\n"), "Profile: c3\r\n");
    for (given, sentence) in [
        (
            r#"{"chip":"ESP32-C3","pins":[{"gpio":2,"role":"pir"}]}"#,
            "Not possible: GPIO2 decides how the ESP32-C3 starts and cannot be pir, whose level is not the board's at that moment.\r\n",
        ),
        (
            r#"{"chip":"ESP32","pins":[]}"#,
            "Not possible: the board profile is for the ESP32, and this is an ESP32-C3.\r\n",
        ),
        ("{", "Not possible: the board profile is not JSON.\r\n"),
        (
            "toaster",
            "Not possible: the board profile is none that this firmware knows.\r\n",
        ),
    ] {
        assert_eq!(bench.types(&format!("profile {given}\n")), sentence);
    }
    assert_eq!((bench.changes, bench.stored().board()), (0, ""));
    let told = bench.types(&format!("profile {own}\n"));
    assert_eq!(told, "Saved. Restarting.\r\n");
    assert_eq!((bench.stored().board(), bench.halts), (own, 0));
    assert_eq!(bench.types("profile\n"), format!("Profile: {own}\r\n"));
    bench.wait(RESTART_AFTER_MS);
    assert_eq!(bench.restarts, 1);
    // It outlives a reset, and a name takes its place.
    bench.types("reset\n");
    assert_eq!(bench.stored().board(), own);
    bench.types("profile esp32-c3-things\n");
    assert_eq!(
        (bench.stored().board(), bench.stored().profile()),
        ("", "esp32-c3-things")
    );
}

/// What a board has measured, switched and planned.
const DOINGS: [Slot; 3] = [Slot::Queue, Slot::State, Slot::Schedules];

fn with_doings(bench: &Bench) {
    for slot in DOINGS {
        records(&bench.nor).write(slot, &[b"something"]).unwrap();
    }
}

fn doings(bench: &Bench) -> [usize; 3] {
    DOINGS.map(|slot| records(&bench.nor).read(slot, &mut [0; 64]).unwrap())
}

#[test]
fn another_device_or_server_inherits_nothing() {
    for (script, left, halts) in [
        ("provision\nother\n\n\n", [0; 3], 1),
        ("provision\n\n\nhttp://new\n", [0; 3], 1),
        // The same device with a new token, or in another network.
        ("provision\n\nnew-token\n\n", [9; 3], 0),
        ("provision\ndev1\n\nhttp://old:8000\n", [9; 3], 0),
        ("wifi\nShed\npassword\n", [9; 3], 0),
    ] {
        let mut bench = Bench::set(SET);
        with_doings(&bench);
        bench.types(script);
        assert_eq!((doings(&bench), bench.halts), (left, halts), "{script}");
        assert_eq!(bench.setup.is_leaving(), halts == 1);
    }
    let mut bench = Bench::set(SET);
    with_doings(&bench);
    bench.submit("device_id=other");
    assert_eq!((doings(&bench), bench.halts), ([0; 3], 1));
    // What cannot be stored costs nothing.
    let mut bench = Bench::set(SET);
    records(&bench.nor)
        .write(Slot::Settings, &[b"{\"v\":9}"])
        .unwrap();
    with_doings(&bench);
    let told = bench.types("provision\nother\n\n\n");
    assert!(told.contains("Not saved"), "{told}");
    assert_eq!((doings(&bench), bench.halts), ([9; 3], 0));
}

#[test]
fn a_power_cut_gives_nothing_to_another_device() {
    let before = {
        let bench = Bench::set(SET);
        with_doings(&bench);
        bench.nor.bytes()
    };
    for cut in 0..30 {
        let mut bench = Bench::with(Nor::of(before.clone()));
        bench.nor.cut_at(cut, cut + 1);
        bench.types("provision\nother\n\n\n");
        let cut_off = bench.nor.is_dead();
        bench.nor.power_on();
        let device = bench.stored().device().to_owned();
        if device == "other" {
            assert_eq!(doings(&bench), [0; 3], "cut {cut}");
        }
        if !cut_off {
            assert_eq!(device, "other");
            return assert!(cut > 8, "nothing was cut");
        }
    }
    panic!("it takes more than thirty operations");
}

#[test]
fn a_network_is_taken_with_its_spaces() {
    let mut bench = Bench::set(SET);
    assert_eq!(bench.types("wifi\r\n"), "Network name: \r\n");
    let asked = bench.types(" Café 5 \r\n");
    assert_eq!(asked, "Password, empty for an open network: \r\n");
    assert!(
        bench
            .types("short\r\n")
            .starts_with("It must be empty for an open network")
    );
    let told = bench.types(" eight ch \r\n");
    assert_eq!(told, "Saved. The board tries the network now.\r\n");
    let stored = bench.stored();
    let first = &stored.networks()[0];
    assert_eq!((first.ssid(), first.password()), (" Café 5 ", " eight ch "));
    assert_eq!((stored.networks().len(), bench.changes), (3, 1));
    bench.types("wifi\nOpen\n\n");
    assert!(bench.stored().network("Open").is_some_and(Network::is_open));
    bench.types("wifi\n");
    assert_eq!(bench.types("\n"), "Nothing is changed.\r\n");
}

#[test]
fn the_status_tells_everything_but_secrets() {
    let mut bench = Bench::set(SET);
    bench.step(Input::Facts(Facts {
        address: Some([10, 0, 0, 7]),
        rssi: Some(-61),
        online: true,
        trouble: Some("nothing of now"),
        uptime_ms: 61_500,
        heap_free: Some(70_000),
    }));
    let status = bench.types("  Status \n");
    assert_eq!(
        status,
        "Firmware: espalier-base 1.2.3 on ESP32-C3\r\nName: Kitchen\r\nDevice ID: dev1\r\nDevice Token: set\r\n\
         API URL: http://old:8000\r\nSigning keys: 1 given\r\nTime zone: UTC0\r\nWi-Fi: Home (password set)\r\nWi-Fi: Guest (open)\r\n\
         Network: 10.0.0.7, -61 dBm\r\nServer: answers\r\nUptime: 61 s\r\nFree heap: 70000 bytes\r\n"
    );
    let bare = Bench::new().types("status\n");
    for line in [
        "Device ID: not set",
        "Device Token: not set",
        "Signing keys: none given, the first that the server names are kept",
        "Time zone: not set, so UTC",
        "Wi-Fi: not set",
        "Network: not connected",
    ] {
        assert!(bare.contains(line), "{bare}");
    }
    bench.types("provision\nx\nt0ken-secret2\nwifi-secret");
    let shown = format!("{:?}", bench.setup);
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn a_zone_is_set_without_a_restart_and_a_wrong_one_is_refused() {
    let mut bench = Bench::set(SET);
    assert_eq!(bench.types("zone\n"), "Time zone: UTC0\r\n");
    let told = bench.types("zone Europe/Berlin\n");
    assert!(told.starts_with(
        "The time zone must be a POSIX time zone of at most 64 characters, like CET-1"
    ));
    assert_eq!(bench.stored().tz(), "UTC0");
    assert_eq!(
        bench.types("Zone CET-1CEST,M3.5.0,M10.5.0/3\n"),
        "Saved.\r\n"
    );
    assert_eq!(bench.stored().tz(), "CET-1CEST,M3.5.0,M10.5.0/3");
    bench.wait(RESTART_AFTER_MS);
    assert_eq!((bench.changes, bench.restarts, bench.halts), (1, 0, 0));
}

#[test]
fn a_server_that_the_firmware_cannot_look_up_is_saved_with_a_warning() {
    let mut bench = Bench::new();
    let told = bench.types("provision\ndev1\nt0ken\nhttp://farm.local:8000\n");
    assert!(
        told.contains(
            "Saved. Restarting.\r\nThis firmware cannot look up names that end in .local"
        )
    );
    assert_eq!(bench.stored().server(), "http://farm.local:8000");
}

#[test]
fn the_portal_is_named_and_opened_when_someone_asks_for_it() {
    let mut bench = Bench::set(SET);
    let told = bench.types("portal\n");
    assert_eq!(bench.wanted, 1);
    assert_eq!(
        told,
        "Network: Espalier-ABCDEF\r\nPassword: portal-secret\r\n"
    );
}

#[test]
fn a_reset_forgets_who_the_board_is_and_keeps_what_it_is() {
    let mut bench = Bench::set(SET);
    for slot in [Slot::Queue, Slot::State, Slot::Schedules, Slot::JournalA] {
        records(&bench.nor).write(slot, &[b"something"]).unwrap();
    }
    let told = bench.types("reset\n");
    assert_eq!(told, "All settings are forgotten. Restarting.\r\n");
    bench.wait(RESTART_AFTER_MS);
    assert_eq!((bench.restarts, bench.changes), (1, 1));
    let left = bench.stored();
    assert_eq!((left.portal(), left.profile()), ("portal-secret", "c3"));
    assert_eq!(left.keys().len(), 1);
    assert!(!left.has_identity() && left.networks().is_empty());
    assert_eq!(left.tz(), "UTC0");
    let bytes = bench.nor.bytes();
    for secret in [&b"wifi-secret"[..], b"t0ken-secret"] {
        assert!(!bytes.windows(secret.len()).any(|w| w == secret));
    }
    let mut read = |slot| records(&bench.nor).read(slot, &mut [0; 64]).unwrap();
    let left = [Slot::Queue, Slot::State, Slot::Schedules, Slot::JournalA].map(&mut read);
    assert_eq!(left, [0, 0, 0, 9]);
    assert_eq!(open(&bench.nor).settings().portal(), "portal-secret");
}

#[test]
fn a_reset_keeps_whom_the_board_believes_and_what_it_was_given() {
    let pins = format!("\"pins\":[\"{PIN}\",\"{PIN}\"]");
    let json = format!(r#"{{"server":"https://h","device":"d","token":"t","ca":"MAA=",{pins}}}"#);
    let mut bench = Bench::set(&json);
    for slot in [Slot::KeysA, Slot::KeysB] {
        records(&bench.nor).write(slot, &[b"learned"]).unwrap();
    }
    bench.types("reset\n");
    let left = bench.stored();
    assert_eq!((left.ca(), left.pins().len()), (&[0x30, 0][..], 2));
    assert!(!left.has_identity());
    // Keys that it has learned from its server alone go with that server.
    let read = |bench: &Bench, slot| records(&bench.nor).read(slot, &mut [0; 64]).unwrap();
    assert_eq!([Slot::KeysA, Slot::KeysB].map(|s| read(&bench, s)), [0, 0]);
    // Who was given keys keeps what they have vouched for.
    let mut bench = Bench::set(SET);
    records(&bench.nor)
        .write(Slot::KeysA, &[b"learned"])
        .unwrap();
    bench.types("reset\n");
    assert_eq!(read(&bench, Slot::KeysA), 7);
    assert_eq!((bench.stored().keys().len(), bench.halts), (1, 1));
}

#[test]
fn a_reset_that_the_power_cuts_leaves_the_settings_or_not() {
    let before = Bench::set(SET).nor.bytes();
    let whole = Settings::parse(SET).unwrap();
    for cut in 0..20 {
        for noise in 0..10 {
            let mut bench = Bench::with(Nor::of(before.clone()));
            bench.nor.cut_at(cut, noise);
            let told = bench.types("reset\n");
            if !bench.nor.is_dead() {
                return assert!(cut > 4, "nothing was cut");
            }
            assert!(told.starts_with("The flash cannot be written"), "{told}");
            bench.nor.power_on();
            let left = bench.stored();
            assert!(
                left == whole || (left.device().is_empty() && left.portal() == "portal-secret")
            );
        }
    }
    panic!("a reset takes more than twenty operations");
}

#[test]
fn what_cannot_be_stored_is_told() {
    let mut bench = Bench::new();
    bench.types("provision\na\nb\n");
    bench.nor.cut_at(0, 1);
    let told = bench.types("http://h\n");
    assert_eq!(told, "Not saved: the flash cannot be written.\r\n");
    bench.nor.power_on();
    bench.wait(60_000);
    assert_eq!((bench.changes, bench.restarts), (0, 0));
    assert_eq!(bench.setup.settings().device(), "");
}

#[test]
fn newer_settings_are_not_touched_and_told() {
    let nor = Nor::new();
    records(&nor)
        .write(Slot::Settings, &[b"{\"v\":9}"])
        .unwrap();
    let mut bench = Bench::with(nor);
    let status = bench.types("status\n");
    assert!(
        status.contains("Settings: the settings have version 9"),
        "{status}"
    );
    let told = bench.types("wifi\nHome\npassword\n");
    assert!(
        told.contains("Not saved: the settings have version 9"),
        "{told}"
    );
    let page = bench.get("/");
    assert!(page.contains("The saved settings cannot be read: the settings have version 9"));
    bench.types("reset\n");
    assert!(bench.stored().networks().is_empty());
    assert!(!bench.types("status\n").contains("version 9"));
}

#[test]
fn long_lines_strange_bytes_and_backspaces() {
    let mut bench = Bench::new();
    let long = "x".repeat(1041);
    assert_eq!(
        bench.types(&format!("{long}\n")),
        "A line may have at most 1040 bytes.\r\n"
    );
    assert_eq!(
        bench.types(&format!("{}\n", &long[..1040])),
        "No such command: type help.\r\n"
    );
    bench.heard.clear();
    bench.step(Input::Serial(b"\xff\xfe\n"));
    assert_eq!(bench.heard, b"That was no UTF-8 text.\r\n");
    assert_eq!(bench.types("\0\t\x01?\n").lines().count(), 10);
    assert_eq!(bench.types("\r\n\r\n\n"), "");
    let status = bench.types("statué\x7fs\n");
    assert!(status.starts_with("Firmware"), "{status}");
    assert_eq!(bench.types("\x08\x08help\n"), bench.types("help\n"));
}

#[test]
fn the_password_of_the_portal_is_made_once_per_board() {
    let nor = Nor::new();
    let first = open(&nor).settings().portal().to_owned();
    assert_eq!(first.len(), 14);
    let about = espalier_device::setup::About::new("f", "v", "c", [0; 6]);
    let again = Setup::open(about.clone(), &mut records(&nor), |_| None, [9; 16]);
    assert_eq!(again.settings().portal(), first);
    let other = Setup::open(about, &mut records(&Nor::new()), |_| None, [9; 16]);
    assert_ne!(other.settings().portal(), first);
    // A board whose settings cannot be read has one too, and stores nothing over them.
    let damaged = Nor::new();
    records(&damaged).write(Slot::Settings, &[b"?"]).unwrap();
    let before = damaged.bytes();
    assert_eq!(open(&damaged).settings().portal(), first);
    assert_eq!(damaged.bytes(), before);
}

#[test]
fn what_other_firmware_left_is_stored_once() {
    let nor = Nor::new();
    let about = espalier_device::setup::About::new("f", "v", "c", [0; 6]);
    let mut left = Settings::default();
    left.set_name("left").unwrap();
    let first = Setup::open(about.clone(), &mut records(&nor), |_| Some(left), [1; 16]);
    assert_eq!(first.settings().name(), "left");
    let again = Setup::open(
        about,
        &mut records(&nor),
        |_| panic!("asked again"),
        [1; 16],
    );
    assert_eq!(again.settings(), first.settings());
    assert_eq!(nor.bytes()[(OFFSET + SECTOR) as usize..][..4], [0xff; 4]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is typed: the console answers, the settings stay readable, and no secret is said.
    #[test]
    fn any_typing(words in prop::collection::vec(prop_oneof![
        Just("provision\n".to_owned()), Just("wifi\r\n".to_owned()), Just("status\r".to_owned()),
        Just("help\n".to_owned()), Just("\x03".to_owned()), Just("IMPROV\x01".to_owned()),
        "[ -~]{0,70}\n", "\\PC{0,20}", Just("http://h:1\n".to_owned()),
    ], 0..30)) {
        let mut bench = Bench::set(SET);
        for word in &words {
            bench.heard.clear();
            bench.step(Input::Serial(word.as_bytes()));
            let said = String::from_utf8_lossy(&bench.heard).into_owned();
            prop_assert!(!said.contains("secret"), "{}", said);
            bench.now += 100;
        }
        prop_assert_eq!(&bench.stored(), bench.setup.settings());
    }
}
