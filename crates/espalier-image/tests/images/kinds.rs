//! Files that are something else than an app.

use espalier_image::app;
use espalier_image::chip::Chip;
use espalier_image::make::{self, Make};
use espalier_image::merged::{Kind, recognise};
use espalier_image::partitions::{self, Table};
use sha2::{Digest, Sha256};

/// A binary partition table.
pub(crate) fn table(rows: &[(&str, u8, u8, u32, u32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (label, kind, subtype, offset, size) in rows {
        let end = bytes.len() + 32;
        bytes.extend([0xAA, 0x50, *kind, *subtype]);
        bytes.extend(offset.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.extend(label.as_bytes());
        bytes.resize(end, 0);
    }
    bytes.resize(0xC00, 0xFF);
    bytes
}

fn two_slots() -> Vec<u8> {
    table(&[
        ("nvs", 1, 2, 0x9000, 0x4000),
        ("otadata", 1, 0, 0xD000, 0x2000),
        ("ota_0", 0, 0x10, 0x1_0000, 0x10_0000),
        ("ota_1", 0, 0x11, 0x11_0000, 0x10_0000),
    ])
}

/// An image whose first segment does not begin with an app descriptor, as bootloaders are.
fn bootloader(chip: Chip) -> Vec<u8> {
    let mut bytes = Make {
        chip,
        ..Make::default()
    }
    .bytes();
    let body = bytes.len() - 33;
    // Two bytes change, by the same bits: the checksum stays.
    bytes[32] ^= 0x10;
    bytes[40] ^= 0x10;
    let digest = Sha256::digest(&bytes[..=body]);
    bytes[body + 1..].copy_from_slice(&digest);
    bytes
}

fn merged(chip: Chip, begin: usize) -> Vec<u8> {
    let app = Make {
        chip,
        ..Make::default()
    }
    .bytes();
    let mut flash = vec![0xFF; 0x1_0000 + app.len()];
    let mut put = |at: usize, bytes: &[u8]| flash[at..at + bytes.len()].copy_from_slice(bytes);
    put(chip.bootloader_offset() as usize, &bootloader(chip));
    put(0x8000, &two_slots());
    put(0x1_0000, &app);
    flash.split_off(begin)
}

#[test]
fn a_merged_image_says_where_its_app_is() {
    for (chip, begin, place) in [
        (Chip::Esp32C3, 0, "0x10000"),
        (Chip::Esp32, 0, "0x10000"),
        (Chip::Esp32, 0x1000, "0xf000"),
        (Chip::Esp32P4, 0x2000, "0xe000"),
    ] {
        let bytes = merged(chip, begin);
        let error = app::parse(&bytes).unwrap_err().to_string();
        let wanted = format!(
            "This is a merged image (bootloader, partition table and app), which is for flashing over USB: upload the app at {place}, "
        );
        assert!(error.starts_with(&wanted), "{error}");
        let Kind::Merged {
            app: Some(found), ..
        } = recognise(&bytes)
        else {
            panic!("{:?}", recognise(&bytes));
        };
        let end = found.offset + found.length.unwrap();
        assert_eq!(
            app::parse(&bytes[found.offset..end]).unwrap().head.chip,
            chip
        );
    }
}

#[test]
fn a_bootloader_is_told_from_an_app() {
    let bytes = bootloader(Chip::Esp32C3);
    assert_eq!(
        recognise(&bytes),
        Kind::Bootloader {
            chip: Chip::Esp32C3
        }
    );
    assert!(
        app::parse(&bytes)
            .unwrap_err()
            .to_string()
            .contains("bootloader for ESP32-C3")
    );
}

#[test]
fn other_files_are_explained() {
    let mut ota_data = vec![0xFF; 0x2000];
    ota_data[..4].copy_from_slice(&1u32.to_le_bytes());
    ota_data[28..32].copy_from_slice(&0x4743_989Au32.to_le_bytes());
    let mut nvs = vec![0xFF; 0x4000];
    nvs[..9].copy_from_slice(&[0xFE, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0xFE]);
    let cases: [(Vec<u8>, Kind); 18] = [
        (two_slots(), Kind::PartitionTable),
        (
            b"nvs, data, nvs, 0x9000, 0x4000\n".to_vec(),
            Kind::PartitionCsv,
        ),
        (ota_data, Kind::OtaData),
        (nvs, Kind::Nvs),
        (
            b"\x01\0\0\0\xf0\x0f\xff\xf7littlefs/\xe0\0".to_vec(),
            Kind::FileSystem,
        ),
        (b"\x7fELF\x01\x01\x01".to_vec(), Kind::Elf),
        (b":020000021000EC\n".to_vec(), Kind::IntelHex),
        (b"UF2\nWQ]\x9e".to_vec(), Kind::Uf2),
        (b"PK\x03\x04\x14\0".to_vec(), Kind::Zip),
        (b"\x1f\x8b\x08\0".to_vec(), Kind::Compressed),
        (
            b"\n<!DOCTYPE html><title>Sign in</title>".to_vec(),
            Kind::Html,
        ),
        (b"espalier-firmware-manifest-v1\n".to_vec(), Kind::Manifest),
        (b"espalier-private-key-v1\n".to_vec(), Kind::Key),
        ("h\u{e9}llo".into(), Kind::Text),
        (vec![0xFF; 5000], Kind::Blank),
        (vec![0; 5000], Kind::Blank),
        (vec![], Kind::Empty),
        (vec![1, 2, 3], Kind::Unknown),
    ];
    for (bytes, kind) in cases {
        assert_eq!(recognise(&bytes), kind);
        let error = app::parse(&bytes).unwrap_err().to_string();
        assert_eq!(error, kind.to_string());
        assert!(error.contains("upload") && error.ends_with('.'), "{error}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_something(bytes: Vec<u8>, at: proptest::sample::Index) {
        let _ = recognise(&bytes).to_string();
        let mut flash = merged(Chip::Esp32C3, 0);
        let from = at.index(flash.len());
        for (to, noise) in flash[from..].iter_mut().zip(&bytes) { *to = *noise; }
        let _ = recognise(&flash).to_string();
    }
}

#[test]
fn made_bootloaders_and_tables_are_what_they_say() {
    for chip in Chip::ALL {
        let made = make::bootloader(chip);
        assert_eq!(recognise(&made), Kind::Bootloader { chip });
    }
    let text = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\n\
                ota_0,app,ota_0,0x10000,1M\nota_1,app,ota_1,,1M\nsixteen_letters_,data,0x40,,4K,encrypted\n";
    let table = Table::from_csv(text).unwrap();
    let made = make::partition_table(&table);
    let read = Table::parse(&made).unwrap();
    assert_eq!(read.entries(), table.entries());
    assert!(read.md5 && made.len() == partitions::SIZE);
    let mut damaged = made;
    damaged[5] ^= 1;
    assert!(Table::parse(&damaged).is_err());
}
