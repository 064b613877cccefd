//! Settings: the bytes that a browser writes, what is refused and why, and what newer firmware wrote.

use espalier_device::config::UpdatePolicy;
use espalier_device::records::{REGION, Records, SECTOR};
use espalier_device::settings::{AccessError, MAX_JSON, Network, Settings, SettingsError};
use espalier_device::{Slot, Storage};
use proptest::prelude::*;

use crate::flash::{Nor, OFFSET};

const JSON: &str = include_str!("../data/settings-record.json");
const RECORD: &[u8; SECTOR as usize] = include_bytes!("../data/settings-record.bin");

fn records(nor: &Nor) -> Records<Nor> {
    Records::new(nor.clone(), OFFSET, REGION).unwrap()
}

#[test]
fn what_a_browser_writes_is_read() {
    let nor = Nor::new();
    nor.put(OFFSET, RECORD);
    let settings = Settings::load(&mut records(&nor)).unwrap().unwrap();
    assert_eq!(settings.name(), "Kitchen ☀");
    assert_eq!(settings.server(), "https://farm.example:8443");
    assert_eq!(settings.device(), "65a1f0c2b3d4e5f601234567");
    assert_eq!(settings.token(), "00112233445566778899aabbccddeeff");
    let [cafe, guest] = settings.networks() else {
        panic!("two networks");
    };
    assert_eq!(cafe.ssid(), "Café \"5G\" \\ home");
    assert_eq!(cafe.password(), "pass w0rd\\\"!");
    assert!(guest.is_open() && guest.ssid() == "Open Guest");
    assert_eq!(settings.portal(), "bramble-otter-42");
    assert_eq!(settings.profile(), "esp32-c3-devkit");
    assert_eq!((settings.ca().len(), settings.ca()[0]), (416, 0x30));
    assert_eq!(settings.keys().len(), 1);
    assert_eq!(settings.tz(), "CET-1CEST,M3.5.0,M10.5.0/3");
    let config = settings.config(UpdatePolicy::default()).unwrap();
    assert_eq!(config.server(), settings.server());
    assert_eq!(config.keys(), settings.keys());
    let shown = format!("{settings:?}");
    for secret in ["pass w0rd", "00112233", "bramble"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn the_board_writes_the_same_bytes() {
    let settings = Settings::parse(JSON).unwrap();
    assert_eq!(settings.to_json().unwrap(), JSON);
    let nor = Nor::new();
    settings.store(&mut records(&nor)).unwrap();
    assert_eq!(nor.bytes()[OFFSET as usize..][..RECORD.len()], RECORD[..]);
}

#[test]
fn what_is_missing_is_empty_and_what_is_unknown_is_left_out() {
    for text in [
        "{}",
        "{\"v\":1}",
        "{\"v\":1,\"name\":null,\"colour\":{\"a\":[1]}}",
    ] {
        assert_eq!(Settings::parse(text), Ok(Settings::default()), "{text}");
    }
    assert_eq!(Settings::default().to_json().unwrap(), "{\"v\":1}");
    assert!(Settings::default().config(UpdatePolicy::default()).is_err());
    let one = Settings::parse(r#"{"networks":[{"ssid":"x","password":null,"bssid":7}]}"#).unwrap();
    assert!(one.networks()[0].is_open());
    let escaped = Settings::parse(r#"{"name":"\u0041\ud83d\ude00\/"}"#).unwrap();
    assert_eq!(escaped.name(), "A😀/");
}

#[test]
fn what_cannot_be_used_is_refused_with_its_name() {
    let key = "00".repeat(32);
    let long = "x".repeat(2000);
    let (net, nine_keys) = (
        r#"{"ssid":"a","password":""}"#,
        ["\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\""; 9].join(","),
    );
    let five = [net; 5].join(",");
    for (name, value) in [
        ("v", "0".to_owned()),
        ("v", "\"1\"".to_owned()),
        ("v", "1.5".to_owned()),
        ("name", format!("\"{}\"", &long[..65])),
        ("name", r#""a\nb""#.to_owned()),
        ("name", "7".to_owned()),
        ("server", "\"host\"".to_owned()),
        ("server", format!("\"http://{}\"", &long[..130])),
        ("device", "\"a/b\"".to_owned()),
        ("device", format!("\"{}\"", &long[..65])),
        ("token", "\"two words\"".to_owned()),
        ("networks", "{}".to_owned()),
        ("networks", format!("[{five}]")),
        ("networks", "[1]".to_owned()),
        ("ssid", r#"[{"password":"12345678"}]"#.to_owned()),
        ("ssid", format!(r#"[{{"ssid":"{}"}}]"#, &long[..33])),
        (
            "password",
            r#"[{"ssid":"a","password":"1234567"}]"#.to_owned(),
        ),
        (
            "password",
            format!(r#"[{{"ssid":"a","password":"{}"}}]"#, &long[..64]),
        ),
        (
            "password",
            r#"[{"ssid":"a","password":"1234\t5678"}]"#.to_owned(),
        ),
        ("portal", "\"1234567\"".to_owned()),
        ("portal", format!("\"{}\"", &long[..64])),
        ("profile", format!("\"{}\"", &long[..33])),
        ("ca", "\"Zg=\"".to_owned()),
        ("ca", format!("\"{}\"", "AAAA".repeat(342))),
        ("ca", format!("\"{}\"", "AAAA".repeat(480))),
        ("pins", "\"x\"".to_owned()),
        ("pins", "[\"00\"]".to_owned()),
        ("pins", format!("[\"{key}\",\"{key}\",\"{key}\"]")),
        ("board", "\"esp32-c3-devkit\"".to_owned()),
        ("board", format!("{{\"name\":\"{}\"}}", &long[..1020])),
        ("keys", "\"x\"".to_owned()),
        ("keys", format!("[\"{key}\"]")),
        ("keys", "[\"00\"]".to_owned()),
        ("keys", format!("[{nine_keys}]")),
        ("tz", "\"é\"".to_owned()),
    ] {
        let member = if matches!(name, "ssid" | "password") {
            "networks"
        } else {
            name
        };
        let text = format!("{{\"{member}\":{value}}}");
        match Settings::parse(&text) {
            Err(SettingsError::Member { name: found, .. }) => assert_eq!(found, name, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(matches!(
        Settings::parse("{"),
        Err(SettingsError::NotJson(_))
    ));
    assert_eq!(Settings::parse("[]"), Err(SettingsError::NotObject));
    let padded = format!("{{}}{}", " ".repeat(MAX_JSON));
    assert_eq!(Settings::parse(&padded), Err(SettingsError::TooLong));
    let told = Settings::parse("{\"server\":\"x\"}")
        .unwrap_err()
        .to_string();
    assert_eq!(
        told,
        "the setting `server` must look like http://host:8000 or https://host"
    );
}

#[test]
fn pins_and_a_profile_of_ones_own_come_back() {
    let board = r#"{"chip":"ESP32-C3", "pins":[{"gpio":4,"role":"relay","key":"a"}]}"#;
    let (one, two) = ("01".repeat(32), "ff".repeat(32));
    let text = format!(
        r#"{{"v":1,"server":"https://h","board":{board},"ca":"MAA=","pins":["{one}","{two}"]}}"#
    );
    let settings = Settings::parse(&text).unwrap();
    assert_eq!(
        (settings.board(), settings.pins()),
        (board, &[[1; 32], [0xff; 32]][..])
    );
    assert!(!settings.ca().is_empty() && !settings.lacks_trust());
    assert_eq!(settings.to_json().unwrap().as_str(), text);
    // Who believes nobody reaches no https server, and any other.
    let alone = Settings::parse(r#"{"server":"https://h"}"#).unwrap();
    assert!(alone.lacks_trust());
    assert!(
        !Settings::parse(r#"{"server":"http://h"}"#)
            .unwrap()
            .lacks_trust()
    );
    assert!(!Settings::default().lacks_trust());
    // A profile that is refused takes nothing else with it.
    let odd = Settings::parse(r#"{"name":"x","board":{"pins":7}}"#).unwrap();
    assert_eq!((odd.name(), odd.board()), ("x", r#"{"pins":7}"#));
    let mut settings = settings;
    assert!(settings.set_board("{}").is_err());
    assert_eq!(settings.board(), board);
}

#[test]
fn newer_settings_are_refused_kept_and_forgotten_only_on_purpose() {
    let nor = Nor::new();
    let newer = "{\"v\":2,\"name\":[\"changed\"]}";
    records(&nor)
        .write(Slot::Settings, &[newer.as_bytes()])
        .unwrap();
    let refused = AccessError::Settings(SettingsError::Newer { version: 2 });
    assert_eq!(Settings::load(&mut records(&nor)), Err(refused));
    let mut ours = Settings::default();
    ours.set_name("ours").unwrap();
    assert_eq!(ours.store(&mut records(&nor)), Err(refused));
    let mut bytes = [0; 64];
    let len = records(&nor).read(Slot::Settings, &mut bytes).unwrap();
    assert_eq!(&bytes[..len], newer.as_bytes());
    records(&nor).forget(Slot::Settings).unwrap();
    assert_eq!(Settings::load(&mut records(&nor)), Ok(None));
    ours.store(&mut records(&nor)).unwrap();
    assert_eq!(Settings::load(&mut records(&nor)), Ok(Some(ours)));
}

#[test]
fn damaged_settings_are_told_and_replaced() {
    let nor = Nor::new();
    for damaged in [&b"\xff\xfe"[..], b"{\"v\":1", b"{\"server\":\"x\"}"] {
        records(&nor).write(Slot::Settings, &[damaged]).unwrap();
        let told = Settings::load(&mut records(&nor));
        assert!(matches!(told, Err(AccessError::Settings(_))), "{told:?}");
        Settings::default().store(&mut records(&nor)).unwrap();
        assert_eq!(
            Settings::load(&mut records(&nor)),
            Ok(Some(Settings::default()))
        );
    }
}

#[test]
fn too_many_settings_are_refused_before_they_are_stored() {
    let mut settings = Settings::default();
    settings.set_ca(&[7; 1024]).unwrap();
    assert!(settings.set_ca(&[7; 1025]).is_err());
    for n in 0..4 {
        let (ssid, password) = (format!("{n}{}", "\"".repeat(31)), "\\".repeat(63));
        settings.put_network(Network::new(&ssid, &password).unwrap());
    }
    let nor = Nor::new();
    let refused = settings.store(&mut records(&nor));
    assert_eq!(refused, Err(AccessError::Settings(SettingsError::TooLong)));
    assert_eq!(nor.operations(), 0);
}

#[test]
fn the_last_network_that_was_given_comes_first() {
    let mut settings = Settings::default();
    for ssid in ["a", "b", "c", "d", "e", "c"] {
        settings.put_network(Network::new(ssid, "password").unwrap());
    }
    let names: Vec<_> = settings.networks().iter().map(Network::ssid).collect();
    assert_eq!(names, ["c", "e", "d", "b"]);
    settings.put_network(Network::new("b", "").unwrap());
    assert!(settings.network("b").unwrap().is_open());
    assert_eq!(settings.networks().len(), 4);
}

#[test]
fn a_zone_that_cannot_be_read_is_not_set_and_takes_nothing_with_it() {
    let mut settings = Settings::default();
    settings.set_tz("CET-1CEST").unwrap();
    for bad in ["Europe/Berlin", "UTC", "CET-1CEST,M3.5.0", "é"] {
        assert!(settings.set_tz(bad).is_err(), "{bad}");
    }
    assert_eq!(settings.tz(), "CET-1CEST");
    // Another program wrote it: the board must still find its server.
    let read = Settings::parse(r#"{"server":"http://h","tz":"Europe/Berlin"}"#).unwrap();
    assert_eq!((read.server(), read.tz()), ("http://h", "Europe/Berlin"));
}

proptest! {
    /// What was read is written so that it is read again.
    #[test]
    fn settings_come_back(
        name in "\\PC{0,16}",
        ssids in prop::collection::vec(("\\PC{1,8}", "[ -~]{8,63}"), 0..4),
        ca in prop::collection::vec(any::<u8>(), 0..200),
        tz in prop::sample::select(vec!["", "UTC0", "<+0330>-3:30", "CET-1CEST,M3.5.0,M10.5.0/3"]),
    ) {
        let mut settings = Settings::default();
        prop_assume!(settings.set_name(&name).is_ok());
        settings.set_ca(&ca).unwrap();
        settings.set_tz(tz).unwrap();
        for (ssid, password) in &ssids {
            settings.put_network(Network::new(ssid, password).unwrap());
        }
        let text = settings.to_json().unwrap();
        prop_assert_eq!(Settings::parse(&text), Ok(settings));
    }
}
