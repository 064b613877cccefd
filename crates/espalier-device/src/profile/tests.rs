//! Board profiles: the table is sound, and what a chip cannot do is refused with a sentence that says why.

extern crate std;

use std::format;
use std::string::{String, ToString};

use proptest::prelude::*;

use super::*;

fn one(chip: &str, gpio: u8, role: &str) -> Result<(), String> {
    let key = if matches!(role, "relay" | "pwm") {
        r#","key":"k""#
    } else {
        ""
    };
    let text = format!(r#"{{"chip":"{chip}","pins":[{{"gpio":{gpio},"role":"{role}"{key}}}]}}"#);
    Profile::from_json(&text)
        .map(drop)
        .map_err(|e| e.to_string())
}

fn refused(chip: &str, gpio: u8, role: &str) -> String {
    one(chip, gpio, role).expect_err(&format!("{role} on GPIO{gpio} of {chip}"))
}

#[test]
fn every_board_of_the_table_passes_the_check() {
    for name in NAMES {
        let board = named(name).unwrap();
        assert_eq!(board.check(), Ok(()), "{name}");
        assert_eq!(board.name, name);
    }
    assert_eq!(named("toaster"), None);
    let full = named("esp32-full").unwrap();
    assert!(full.has_epd() && full.has_i2c());
    assert_eq!(full.pin(Role::Trigger).unwrap().gpio, 14);
    assert!(named("esp32-c3-full").unwrap().has_epd());
    let s3 = named("esp32-s3-full").unwrap();
    assert!(s3.has_epd() && s3.has_i2c() && s3.chip == Chip::Esp32S3);
    // The firmware and the flash page call a chip's usual board so.
    for chip in [Chip::Esp32, Chip::Esp32C3, Chip::Esp32C6, Chip::Esp32S3] {
        let usual = named(&format!("{}-devkit", chip.title().to_lowercase())).unwrap();
        assert_eq!(usual.chip, chip);
        assert!(usual.pin(Role::Led).is_some() && usual.pin(Role::Button).is_some());
    }
    let things = named("esp32-things").unwrap();
    let keys: std::vec::Vec<_> = things
        .switched()
        .map(|p| (p.key.as_str(), p.gpio))
        .collect();
    assert_eq!(
        keys,
        [("v0", 2), ("v1", 4), ("v2", 5), ("v3", 18), ("v4", 19)]
    );
}

#[test]
fn inputs_that_others_drive_are_refused_on_every_strapping_pin() {
    for (chip, straps) in [
        ("ESP32-C3", &[2, 8, 9][..]),
        ("ESP32-C6", &[4, 5, 8, 9, 15]),
        ("ESP32", &[0, 2, 5, 12, 15]),
        ("ESP32-S3", &[0, 3, 45, 46]),
    ] {
        for gpio in straps {
            for role in ["pir", "dht22", "nfc_irq", "epd_busy"] {
                let why = refused(chip, *gpio, role);
                assert!(why.contains("decides how the"), "{why}");
            }
            assert_eq!(one(chip, *gpio, "led"), Ok(()));
        }
    }
    assert_eq!(
        refused("ESP32", 12, "pir"),
        "GPIO12 decides how the ESP32 starts and cannot be pir, whose level is not the board's at that moment"
    );
    // Buttons are refused where holding one keeps the board from starting, pull-ups where a high level does.
    assert_eq!(
        (one("ESP32-C3", 9, "button"), one("ESP32", 12, "button")),
        (Ok(()), Ok(()))
    );
    refused("ESP32-C3", 8, "button");
    refused("ESP32-C3", 2, "trigger");
    assert_eq!(one("ESP32-S3", 0, "button"), Ok(()));
    refused("ESP32-S3", 45, "i2c_scl");
    // A button that pulls up while the board starts would take the flash's voltage from it.
    let inverted = |chip, gpio| {
        Profile::from_json(&format!(
            r#"{{"chip":"{chip}","pins":[{{"gpio":{gpio},"role":"button","inverted":true}}]}}"#
        ))
    };
    assert!(inverted("ESP32", 12).is_err() && inverted("ESP32-S3", 45).is_err());
    assert!(inverted("ESP32", 0).is_ok() && inverted("ESP32", 14).is_ok());
    refused("ESP32", 12, "i2c_sda");
    assert_eq!(one("ESP32", 5, "i2c_sda"), Ok(()));
}

#[test]
fn pins_that_the_chip_needs_or_cannot_drive_are_refused() {
    for (chip, gpio, role, why) in [
        (
            "ESP32",
            6,
            "relay",
            "GPIO6 cannot be used: the chip needs it for its flash",
        ),
        (
            "ESP32",
            1,
            "relay",
            "GPIO1 cannot be used: the chip needs it for the serial console",
        ),
        (
            "ESP32-C3",
            18,
            "led",
            "GPIO18 cannot be used: the chip needs it for USB",
        ),
        (
            "ESP32-C6",
            12,
            "led",
            "GPIO12 cannot be used: the chip needs it for USB",
        ),
        (
            "ESP32-S3",
            33,
            "pir",
            "GPIO33 cannot be used: the chip needs it for its flash",
        ),
        (
            "ESP32-S3",
            20,
            "led",
            "GPIO20 cannot be used: the chip needs it for USB",
        ),
        (
            "ESP32-S3",
            43,
            "led",
            "GPIO43 cannot be used: the chip needs it for the serial console",
        ),
        ("ESP32-S3", 22, "led", "the ESP32-S3 has no GPIO22"),
        ("ESP32-S3", 49, "led", "the ESP32-S3 has no GPIO49"),
        (
            "ESP32",
            34,
            "relay",
            "GPIO34 can only be read and cannot be relay",
        ),
        (
            "ESP32",
            39,
            "dht22",
            "GPIO39 can only be read and cannot be dht22",
        ),
        (
            "ESP32",
            36,
            "button",
            "GPIO36 can only be read and cannot be button",
        ),
        ("ESP32", 24, "led", "the ESP32 has no GPIO24"),
        ("ESP32-C3", 22, "led", "the ESP32-C3 has no GPIO22"),
    ] {
        assert_eq!(refused(chip, gpio, role), why);
    }
    for gpio in 6..=11 {
        assert!(refused("ESP32", gpio, "led").ends_with("for its flash"));
    }
    for gpio in 26..=37 {
        assert!(refused("ESP32-S3", gpio, "led").ends_with("for its flash"));
    }
    for gpio in 34..=39 {
        assert!(refused("ESP32", gpio, "led").contains("can only be read"));
    }
    assert_eq!(one("ESP32", 34, "pir"), Ok(()));
    assert_eq!(
        refused("ESP32-P4", 4, "led"),
        "the pins of the ESP32-P4 are not known"
    );
}

#[test]
fn settings_name_pins_in_json() {
    let profile = Profile::from_json(
        r#"{"name":"kitchen","chip":"esp32c3","colour":"red","pins":[
            {"gpio":4,"role":"relay","key":"relay1","inverted":true},{"gpio":5,"role":"pwm","key":"fan"}]}"#,
    )
    .unwrap();
    assert_eq!(
        (profile.name.as_str(), profile.chip, profile.pins.len()),
        ("kitchen", Chip::Esp32C3, 2)
    );
    assert!(profile.pins[0].inverted && !profile.pins[1].inverted);
    for (text, why) in [
        ("[", "the board profile is not JSON"),
        ("[]", "the board profile is not an object"),
        (r#"{"pins":[]}"#, "the board profile does not name its chip"),
        (r#"{"chip":"ESP32"}"#, "the board profile has no pins"),
        (
            r#"{"chip":"Z80","pins":[]}"#,
            "the board profile is for an unknown chip",
        ),
        (
            r#"{"chip":"ESP32","pins":[{"gpio":4,"role":"laser"}]}"#,
            "a pin of the board profile has the unknown role laser",
        ),
        (
            r#"{"chip":"ESP32","pins":[{"gpio":4,"role":"relay"}]}"#,
            "GPIO4 is to be switched and needs a key, such as relay1",
        ),
        (
            r#"{"chip":"ESP32","pins":[{"gpio":300,"role":"led"}]}"#,
            "the board profile has a GPIO that is no number of a pin",
        ),
        (
            r#"{"chip":"ESP32","pins":[{"gpio":4,"role":"led"},{"gpio":4,"role":"pir"}]}"#,
            "GPIO4, its role or its key is used twice in the board profile",
        ),
        (
            r#"{"chip":"ESP32","pins":[{"gpio":4,"role":"led"},{"gpio":16,"role":"led"}]}"#,
            "GPIO16, its role or its key is used twice in the board profile",
        ),
    ] {
        assert_eq!(Profile::from_json(text).unwrap_err().to_string(), why);
    }
    let many = r#"{"gpio":4,"role":"led"},"#.repeat(MAX_PINS + 1);
    let text = format!(
        r#"{{"chip":"ESP32","pins":[{}]}}"#,
        many.trim_end_matches(',')
    );
    assert_eq!(Profile::from_json(&text), Err(ProfileError::TooMany));
}

#[test]
fn roles_have_names_both_ways() {
    for (role, name, _) in Role::ALL {
        assert_eq!((Role::named(name), role.as_str()), (Some(role), name));
    }
}

proptest! {
    /// No text makes the reader fall over, and what it takes passes the check.
    #[test]
    fn any_text_is_taken_or_refused(text in r#"[\{\}\[\]":,a-z0-9 ]{0,80}"#, gpio: u8, n in 0..18_usize) {
        let _ = Profile::from_json(&text);
        let role = Role::ALL[n].1;
        let text = format!(r#"{{"chip":"ESP32-C6","pins":[{{"gpio":{gpio},"role":"{role}","key":"k"}}]}}"#);
        if let Ok(profile) = Profile::from_json(&text) {
            prop_assert_eq!(profile.check(), Ok(()));
        }
    }
}

fn with_pins(chip: &str, pins: &[String]) -> Result<Profile, ProfileError> {
    let pins = pins.join(",");
    Profile::from_json(&std::format!(r#"{{"chip":"{chip}","pins":[{pins}]}}"#))
}

#[test]
fn a_board_dims_no_more_pins_than_its_chip_has_channels() {
    let pwm = |gpio: &u8| std::format!(r#"{{"gpio":{gpio},"role":"pwm","key":"p{gpio}"}}"#);
    let role = |gpio: u8, role: &str| std::format!(r#"{{"gpio":{gpio},"role":"{role}"}}"#);
    let mut pins: std::vec::Vec<String> = [0, 1, 3, 4, 5].iter().map(pwm).collect();
    pins.push(role(6, "external_led"));
    assert!(with_pins("ESP32-C3", &pins).is_ok());
    let seventh = [pins.clone(), std::vec![pwm(&7)]].concat();
    let refused = with_pins("ESP32-C3", &seventh);
    assert_eq!(refused, Err(ProfileError::TooManyDimmed(7)));
    let refused = with_pins(
        "ESP32-C3",
        &[pins.clone(), std::vec![role(7, "led")]].concat(),
    );
    assert_eq!(refused, Err(ProfileError::TooManyDimmed(7)));
    // The coloured LED and relays need no channel.
    pins.push(role(8, "led"));
    pins.push(r#"{"gpio":7,"role":"relay","key":"r"}"#.into());
    assert!(with_pins("ESP32-C3", &pins).is_ok());
    let plain = r#"{"gpio":8,"role":"led","inverted":true}"#;
    pins[6] = plain.into();
    let refused = with_pins("ESP32-C3", &pins);
    assert_eq!(refused, Err(ProfileError::TooManyDimmed(8)));
}

#[test]
fn a_key_is_one_that_the_wire_carries() {
    for (key, good) in [
        ("fan 1", true),
        ("pump/a.b:c-d_e", true),
        ("lüfter", false),
        ("a,b", false),
    ] {
        let pin = std::format!(r#"{{"gpio":4,"role":"relay","key":"{key}"}}"#);
        let read = with_pins("ESP32-C3", &[pin]);
        assert_eq!(read.is_ok(), good, "{key}");
        assert!(good || read == Err(ProfileError::BadKey(4)));
    }
}
