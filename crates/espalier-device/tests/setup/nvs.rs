//! What other firmware left in ESP-IDF's key-value store, as Espressif's own tool writes it, and as nothing should.

use espalier_device::records::Records;
use espalier_device::settings::Settings;
use espalier_device::settings::import::{Imported, import};
use espalier_device::settings::nvs::{MAX_PAGES, Nvs, NvsError, PAGE, region};
use espalier_device::setup::{About, Setup};
use espalier_image::partitions::Table;
use proptest::prelude::*;

use crate::bench::records;
use crate::flash::{Fault, Nor};

const NVS: &[u8] = include_bytes!("../data/nvs-legacy.bin");
const AT: u32 = 0x3000;

fn flash(nvs: &[u8]) -> Nor {
    let nor = Nor::of(vec![0xff; AT as usize + nvs.len() + 0x1000]);
    nor.put(AT, nvs);
    nor
}

fn imported(nvs: &[u8]) -> Option<Imported> {
    import(&mut flash(nvs), AT, nvs.len() as u32).unwrap()
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    })
}

/// Where the entry with this key of this namespace is.
fn place(nvs: &[u8], namespace: u8, key: &str) -> usize {
    let key = [key.as_bytes(), b"\0"].concat();
    (64..nvs.len())
        .step_by(32)
        .find(|at| nvs[*at] == namespace && nvs[*at + 8..].starts_with(&key))
        .unwrap()
}

/// Changes an entry and makes its checksum right again.
fn change(nvs: &mut [u8], at: usize, change: impl FnOnce(&mut [u8])) {
    let entry = &mut nvs[at..at + 32];
    change(entry);
    let sum = crc(&[&entry[..4], &entry[8..]].concat());
    entry[4..8].copy_from_slice(&sum.to_le_bytes());
}

fn erase(nvs: &mut [u8], at: usize) {
    let (page, number) = (at / 4096 * 4096, (at % 4096 - 64) / 32);
    nvs[page + 32 + number / 4] &= !(0b11 << (number % 4 * 2));
}

#[test]
fn both_firmwares_settings_are_taken_over() {
    let Imported { settings, skipped } = imported(NVS).unwrap();
    assert_eq!(skipped.len(), 0);
    assert_eq!(settings.name(), "Küche 7");
    let [network] = settings.networks() else {
        panic!("one network")
    };
    assert_eq!(
        (network.ssid(), network.password()),
        ("Home \"2.4\" & more", "pässword with spaces")
    );
    assert_eq!(settings.device(), "65a1f0c2b3d4e5f601234567");
    assert_eq!(settings.token(), "00112233445566778899aabbccddeeff");
    assert_eq!(settings.server(), "https://iot.example");
    let nor = Nor::new();
    settings.store(&mut records(&nor)).unwrap();
}

#[test]
fn a_board_of_other_firmware_starts_with_its_settings() {
    let nor = Nor::new();
    let end = nor.bytes().len() as u32;
    let nor = Nor::of([nor.bytes(), NVS.to_vec()].concat());
    let about = About::new("f", "v", "c", [0; 6]);
    let legacy = |records: &mut Records<Nor>| {
        let found = import(records.flash(), end, NVS.len() as u32).unwrap();
        found.map(|found| found.settings)
    };
    let setup = Setup::open(about, &mut records(&nor), legacy, [1; 16]);
    assert_eq!(setup.settings().name(), "Küche 7");
    let stored = Settings::load(&mut records(&nor)).unwrap().unwrap();
    assert_eq!(&stored, setup.settings());
    assert_eq!(stored.portal().len(), 14);
    // The other firmware can be flashed again.
    assert_eq!(nor.bytes()[end as usize..], *NVS);
}

#[test]
fn one_of_them_is_enough() {
    let mut nvs = NVS.to_vec();
    let at = place(&nvs, 0, "iot-config");
    erase(&mut nvs, at);
    let left = imported(&nvs).unwrap().settings;
    assert_eq!(
        (left.server(), left.device()),
        ("http://192.168.1.5:5000", "")
    );
    let mut nvs = NVS.to_vec();
    let at = place(&nvs, 0, "esp32ota");
    erase(&mut nvs, at);
    let left = imported(&nvs).unwrap().settings;
    assert_eq!((left.server(), left.name()), ("https://iot.example", ""));
    let at = place(&nvs, 0, "iot-config");
    erase(&mut nvs, at);
    assert_eq!(imported(&nvs), None);
    assert_eq!(imported(&[0xff; 0x4000]), None);
    assert_eq!(imported(&[0; 0x4000]), None);
}

#[test]
fn every_kind_of_value_is_read() {
    let mut flash = flash(NVS);
    let mut nvs = Nvs::open(&mut flash, AT, NVS.len() as u32).unwrap();
    let (screen, iot) = (
        nvs.namespace("esp32ota").unwrap().unwrap(),
        nvs.namespace("iot-config").unwrap().unwrap(),
    );
    assert_eq!(nvs.namespace("nobody"), Ok(None));
    for (namespace, key, value) in [
        (screen, "led_mode", 3),
        (screen, "led_brightness", 255),
        (screen, "blink_interval", 1000),
        (screen, "external_led", -1),
        (iot, "big", i128::from(u64::MAX)),
        (iot, "small", i128::from(i64::MIN)),
    ] {
        assert_eq!(nvs.integer(namespace, key), Ok(Some(value)), "{key}");
    }
    assert_eq!(nvs.integer(iot, "led_mode"), Ok(None));
    assert_eq!(nvs.integer(screen, "device_name"), Ok(None));
    let mut text = [0; 80];
    let preferences = nvs.text(screen, "preferences", &mut text).unwrap().unwrap();
    assert_eq!(
        preferences,
        r#"{"jokes":["dad_jokes"],"riddles":[],"news":["tech_news"]}"#
    );
    assert_eq!(
        nvs.text(screen, "device_name", &mut [0; 8]),
        Err(NvsError::TooLong)
    );
    assert_eq!(nvs.text(screen, "led_mode", &mut text), Ok(None));
    // A blob over two pages.
    let mut blob = vec![0; 6000];
    assert_eq!(nvs.blob(screen, "pad", &mut blob), Ok(Some(5000)));
    assert!((0..5000).all(|i| blob[i] == ((i * 37 + i / 256) & 255) as u8));
    assert_eq!(
        nvs.blob(screen, "pad", &mut blob[..4999]),
        Err(NvsError::TooLong)
    );
    assert_eq!(nvs.blob(iot, "pad", &mut blob), Ok(None));
}

#[test]
fn of_two_values_the_last_whole_one_counts() {
    // As a cut leaves it: the key again, further behind, the old one not erased.
    let (old, new) = (place(NVS, 2, "device_name"), place(NVS, 2, "occupation"));
    let mut nvs = NVS.to_vec();
    let key = nvs[old + 8..old + 24].to_vec();
    change(&mut nvs, new, |entry| entry[8..24].copy_from_slice(&key));
    assert_eq!(imported(&nvs).unwrap().settings.name(), "Engineer");
    nvs[new + 32] ^= 1;
    assert_eq!(imported(&nvs).unwrap().settings.name(), "Küche 7");
    // Pages count in the order of their numbers, wherever they lie.
    let mut nvs = NVS.to_vec();
    let at = place(&nvs, 3, "api_url");
    assert!(at >= 4096, "the second page");
    change(&mut nvs, at, |entry| {
        entry[0] = 2;
        entry[8..24].copy_from_slice(b"server_url\0\0\0\0\0\0");
    });
    let mut swapped = nvs.clone();
    swapped[..4096].copy_from_slice(&nvs[4096..8192]);
    swapped[4096..8192].copy_from_slice(&nvs[..4096]);
    for nvs in [nvs, swapped] {
        assert_eq!(
            imported(&nvs).unwrap().settings.server(),
            "https://iot.example"
        );
    }
}

#[test]
fn older_pages_are_read_and_damaged_ones_are_not() {
    let mut nvs = NVS.to_vec();
    for page in [0, 4096] {
        nvs[page + 8] = 0xff;
        let sum = crc(&nvs[page + 4..page + 28]);
        nvs[page + 28..page + 32].copy_from_slice(&sum.to_le_bytes());
    }
    assert_eq!(imported(&nvs), imported(NVS));
    for (at, byte) in [(0, 0), (4, 9), (8, 0xfd), (28, 0)] {
        let mut nvs = NVS.to_vec();
        nvs[at] = byte;
        // Both namespaces are named on the first page, or one is on the second.
        let left = imported(&nvs).map_or(String::new(), |i| i.settings.name().to_owned());
        assert_eq!(left, "", "{at}");
    }
    // A page that is being freed still holds what counts.
    let mut nvs = NVS.to_vec();
    nvs[0] = 0xf8;
    assert_eq!(imported(&nvs), imported(NVS));
}

#[test]
fn values_that_cannot_be_used_are_named() {
    let mut nvs = NVS.to_vec();
    let replace = |nvs: &mut Vec<u8>, namespace, key, text: &[u8]| {
        let at = place(nvs, namespace, key);
        nvs[at + 32..at + 32 + text.len()].copy_from_slice(text);
        let sum = crc(text);
        change(nvs, at, |entry| {
            entry[24..26].copy_from_slice(&(text.len() as u16).to_le_bytes());
            entry[28..32].copy_from_slice(&sum.to_le_bytes());
        });
    };
    replace(&mut nvs, 2, "wifi_password", b"short\0");
    replace(&mut nvs, 2, "device_name", b"\xff\xfe\0");
    replace(&mut nvs, 2, "server_url", b"farm\0");
    replace(&mut nvs, 3, "device_id", b"a b\0");
    let Imported { settings, skipped } = imported(&nvs).unwrap();
    assert_eq!(
        skipped,
        ["device_name", "server_url", "wifi_password", "device_id"]
    );
    assert!(settings.networks().is_empty() && settings.device().is_empty());
    assert_eq!(settings.token(), "00112233445566778899aabbccddeeff");
    // No password is an open network, as is an empty one.
    let mut nvs = NVS.to_vec();
    replace(&mut nvs, 2, "wifi_password", b"\0");
    assert!(imported(&nvs).unwrap().settings.networks()[0].is_open());
    let at = place(&nvs, 2, "wifi_password");
    erase(&mut nvs, at);
    assert!(imported(&nvs).unwrap().settings.networks()[0].is_open());
}

#[test]
fn lengths_that_lie_end_nowhere_else() {
    let at = place(NVS, 2, "device_name");
    for (byte, value) in [(2, 0), (2, 127), (2, 255), (24, 33), (25, 0xff)] {
        let mut nvs = NVS.to_vec();
        change(&mut nvs, at, |entry| entry[byte] = value);
        assert_eq!(
            imported(&nvs).unwrap().settings.name(),
            "",
            "{byte} {value}"
        );
    }
}

#[test]
fn places_that_are_none_are_refused() {
    let mut nor = flash(NVS);
    let end = nor.bytes().len() as u32;
    for (at, size) in [
        (AT, 0),
        (AT, 4095),
        (end, PAGE),
        (u32::MAX, PAGE),
        (AT + 1, PAGE),
        (0, (MAX_PAGES as u32 + 1) * PAGE),
    ] {
        assert_eq!(import(&mut nor, at, size), Err(NvsError::Region), "{at:#x}");
    }
    nor.cut_at(0, 0);
    let _ = embedded_storage::nor_flash::NorFlash::erase(&mut nor, 0, PAGE);
    assert_eq!(
        import(&mut nor, AT, PAGE),
        Err(NvsError::Flash(Fault::NoPower))
    );
    let csv = "nvs_key,data,nvs_keys,0x9000,0x1000\ncfg,data,nvs,0xA000,0x1000\nnvs,data,nvs,0xB000,0x4000\napp,app,ota_0,0x10000,0x10000\n";
    assert_eq!(
        region(&Table::from_csv(csv).unwrap()),
        Some((0xb000, 0x4000))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any damage: reading ends, and what comes out is valid settings.
    #[test]
    fn any_damage(places in prop::collection::vec((0..8192_usize, any::<u8>(), any::<bool>()), 1..40)) {
        let mut nvs = NVS.to_vec();
        for (at, byte, sum) in places {
            nvs[at] = byte;
            let entry = at / 32 * 32;
            if sum && at % 4096 >= 64 {
                change(&mut nvs, entry, |_| {});
            }
        }
        if let Some(found) = imported(&nvs) {
            let text = found.settings.to_json().unwrap();
            prop_assert_eq!(Settings::parse(&text), Ok(found.settings));
        }
        let mut flash = flash(&nvs);
        let mut nvs = Nvs::open(&mut flash, AT, NVS.len() as u32).unwrap();
        let _ = nvs.blob(2, "pad", &mut [0; 6000]);
    }
}
