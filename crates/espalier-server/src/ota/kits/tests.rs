//! Whatever `kit.json` says: nothing panics, and what is accepted shares no byte of flash.

use super::Region;
use super::check::{Files, check};
use super::file::KitFile;
use espalier_image::chip::Chip;
use espalier_image::make::{self, Make};
use espalier_image::partitions::Table;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Digest as _;

const LAYOUT: &str = "nvs, data, nvs, 0x9000, 0x4000
otadata, data, ota, 0xd000, 0x2000
ota_0, app, ota_0, 0x10000, 0x1e0000
ota_1, app, ota_1, 0x1f0000, 0x1e0000
espalier, data, undefined, 0x3d0000, 0x20000";

fn files() -> Files {
    files_for(Chip::Esp32C3)
}

fn files_for(chip: Chip) -> Files {
    let app = Make {
        chip,
        project: "espalier",
        version: "0.1.0",
        ..Make::default()
    };
    let table = Table::from_csv(LAYOUT).expect("a partition table");
    [
        make::bootloader(chip).into(),
        make::partition_table(&table).into(),
        app.bytes().into(),
    ]
}

/// A sound `kit.json` of these files, with other offsets.
fn described(files: &Files, offsets: [u32; 3], settings: Region, otadata: Region) -> Value {
    let parts = ["bootloader", "partitions", "app"].into_iter().zip(files);
    let parts = parts.zip(offsets).map(|((name, bytes), offset)| {
        json!({
            "name": name, "file": format!("{name}.bin"), "offset": offset, "size": bytes.len(),
            "sha256": hex::encode(sha2::Sha256::digest(bytes)),
        })
    });
    json!({
        "format": 1, "variant": "base", "chip": "ESP32-C3", "project": "espalier", "version": "0.1.0",
        "flash_size": 4 << 20, "parts": parts.collect::<Vec<_>>(),
        "settings": { "offset": settings.offset, "size": settings.size },
        "otadata": { "offset": otadata.offset, "size": otadata.size },
    })
}

const SETTINGS: Region = Region {
    offset: 0x3d_0000,
    size: 0x2_0000,
};
const OTADATA: Region = Region {
    offset: 0xd000,
    size: 0x2000,
};
const OFFSETS: [u32; 3] = [0, 0x8000, 0x1_0000];

/// Numbers of flash: the right ones, those beside them, and any.
fn number() -> impl Strategy<Value = u32> {
    let known = [
        0, 0x1000, 0x2000, 0x8000, 0x9000, 0xd000, 0x1_0000, 0x1_2000, 0x2_0000, 0x1f_0000,
        0x3d_0000,
    ];
    prop_oneof![
        4 => prop::sample::select(known.to_vec()),
        2 => (0u32..1024).prop_map(|sector| sector * 4096),
        1 => any::<u32>(),
    ]
}

/// A number that is right in one of two cases, so that some kits are accepted.
fn mostly(right: u32) -> impl Strategy<Value = u32> {
    prop_oneof![2 => Just(right), 1 => number()]
}

proptest! {
    #[test]
    fn what_is_accepted_shares_no_byte(
        bootloader in mostly(OFFSETS[0]), partitions in mostly(OFFSETS[1]), app in mostly(OFFSETS[2]),
        settings in (mostly(SETTINGS.offset), mostly(SETTINGS.size)), otadata in (mostly(OTADATA.offset), mostly(OTADATA.size)),
    ) {
        let region = |(offset, size)| Region { offset, size };
        let files = files();
        let (settings, otadata) = (region(settings), region(otadata));
        let json = described(&files, [bootloader, partitions, app], settings, otadata);
        let kit = KitFile::parse(&json.to_string()).expect("the words are right");
        match check(&kit, &files) {
            Ok(()) => {
                let parts = kit.parts.iter().map(|part| part.place);
                let all: Vec<Region> = parts.chain([kit.settings, kit.otadata]).collect();
                for (n, one) in all.iter().enumerate() {
                    prop_assert!(one.end() <= u64::from(kit.flash_size));
                    prop_assert!(all.iter().skip(n + 1).all(|other| !one.overlaps(*other)));
                }
            }
            Err(sentence) => prop_assert!(sentence.ends_with('.'), "{sentence}"),
        }
    }

    #[test]
    fn a_changed_byte_is_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let text = described(&files(), OFFSETS, SETTINGS, OTADATA).to_string();
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes) && let Err(sentence) = KitFile::parse(&text) {
            prop_assert!(!sentence.is_empty());
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        prop_assert!(KitFile::parse(&text).is_err());
    }
}

#[test]
fn a_sound_kit_is_accepted_and_its_digest_is_of_what_matters() {
    let files = files();
    let json = described(&files, OFFSETS, SETTINGS, OTADATA);
    let kit = KitFile::parse(&json.to_string()).expect("a kit");
    assert_eq!(check(&kit, &files), Ok(()));
    let digest = |change: &dyn Fn(&mut Value)| {
        let mut json = json.clone();
        change(&mut json);
        KitFile::parse(&json.to_string()).expect("a kit").digest()
    };
    let same = digest(&|json| json["notes"] = "Read this.".into());
    assert_eq!(same, kit.digest());
    let other = digest(&|json| json["settings"]["size"] = 0x1_8000.into());
    assert_ne!(other, kit.digest());
}

#[test]
fn the_bootloader_of_each_chip_belongs_where_it_looks_for_it() {
    for (chip, right, wrong) in [
        (Chip::Esp32, 0x1000, 0),
        (Chip::Esp32C3, 0, 0x1000),
        (Chip::Esp32C6, 0, 0x1000),
        (Chip::Esp32S3, 0, 0x1000),
    ] {
        let files = files_for(chip);
        let at = |bootloader| {
            let offsets = [bootloader, OFFSETS[1], OFFSETS[2]];
            let mut json = described(&files, offsets, SETTINGS, OTADATA);
            json["chip"] = chip.title().into();
            KitFile::parse(&json.to_string()).expect("a kit")
        };
        assert_eq!(check(&at(right), &files), Ok(()), "{chip}");
        let refused = check(&at(wrong), &files).unwrap_err();
        let why = format!("{chip} looks for it at 0x{right:x}: correct its offset.");
        assert!(refused.ends_with(&why), "{refused}");
    }
}

#[test]
fn ranges_overlap_when_they_share_a_byte() {
    let at = |offset, size| Region { offset, size };
    assert!(at(0, 10).overlaps(at(9, 1)) && at(9, 1).overlaps(at(0, 10)));
    assert!(!at(0, 10).overlaps(at(10, 1)) && !at(5, 0).overlaps(at(6, 1)));
    let last = at(u32::MAX, u32::MAX);
    assert!(last.overlaps(last) && last.end() > u64::from(u32::MAX));
}
