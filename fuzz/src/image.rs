//! What the image crate reads: apps, partition tables, any file, signed texts. A made image carries a checksum and a digest that a
//! mutation breaks; the target of images puts them right first, so that what lies behind them is reached too.

use espalier_image::app::{self, HEAD, Head};
use espalier_image::chip::Chip;
use espalier_image::keys::{self, KeySet, PrivateKey};
use espalier_image::make::Make;
use espalier_image::manifest::{self, Manifest};
use espalier_image::merged::{Kind, recognise};
use espalier_image::partitions::Table;
use sha2::{Digest, Sha256};

use crate::{Target, Verdict, texts};

pub const APP: Target = Target {
    name: "image_app",
    run: app_image,
    seeds: images,
    words: &[
        b"\xe9",
        b"\x32\x54\xcd\xab",
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        b"\xe7\x02\0\0",
    ],
};

pub const PARTITIONS: Target = Target {
    name: "image_partitions",
    run: partitions,
    seeds: || {
        let mut seeds = texts(&[
            "nvs,data,nvs,0x9000,0x5000\notadata,data,ota,0xe000,0x2000\na,app,ota_0,,1M\nb,app,ota_1,,1M,encrypted\n",
            "# comment\nfactory, app, factory, 0x10000, 3M,\n",
        ]);
        seeds.push(table());
        seeds
    },
    words: &[
        b"\xaa\x50",
        b"\xeb\xeb",
        b"app",
        b"data",
        b",",
        b"0x",
        b"K",
        b"M",
        b"\n",
        b"readonly",
    ],
};

pub const ANY: Target = Target {
    name: "image_recognise",
    run: any,
    seeds: || {
        let mut seeds = texts(&[
            "<html>",
            ":020000021000EC\n",
            "UF2\nWQ]\u{1}",
            "espalier-key-set-v1\n",
        ]);
        seeds.extend(images());
        seeds.push(table());
        seeds.push(vec![0xFF; 64]);
        seeds
    },
    words: &[
        b"\xe9",
        b"\x7fELF",
        b"PK\x03\x04",
        b"\xaa\x50",
        b"littlefs",
        b"\xfe\xff\xff\xff",
    ],
};

pub const SIGNED: Target = Target {
    name: "image_signed_text",
    run: signed_text,
    seeds: || {
        let [one, two] = [1, 2].map(|n| PrivateKey::from_seed(&[n; 32]));
        let mut seeds = Vec::new();
        for image in images() {
            if let Ok(text) = manifest::of(&image) {
                seeds.extend(keys::sign(&text, &one).and_then(|text| keys::sign(&text, &two)));
                seeds.push(text);
            }
        }
        let set = keys::key_set(7, &[one.public(), two.public()]);
        seeds.extend(set.and_then(|set| keys::sign(&set, &one)));
        seeds.into_iter().map(String::into_bytes).collect()
    },
    words: &[b"signature:", b"key:", b"size:", b"\n", b"\r\n", b"=", b"0"],
};

fn images() -> Vec<Vec<u8>> {
    let make = |chip, project, payload| Make {
        chip,
        project,
        payload,
        ..Make::default()
    };
    let mut signed = make(Chip::Esp32S3, "long", &[7; 900]).bytes();
    signed[23] = 0;
    signed.truncate(signed.len() - 32);
    vec![
        make(Chip::Esp32C3, "greenhouse", b"water").bytes(),
        make(Chip::Esp32, "", &[]).bytes(),
        signed,
    ]
}

fn table() -> Vec<u8> {
    let row = |subtype: u8, offset: u32| {
        let mut row = vec![0xAA, 0x50, 0, subtype];
        row.extend(offset.to_le_bytes());
        row.extend(0x10_0000u32.to_le_bytes());
        row.extend(b"slot");
        row.resize(32, 0);
        row
    };
    [row(0x10, 0x1_0000), row(0x11, 0x11_0000), vec![0xFF; 32]].concat()
}

/// Puts the checksum and digest of an image right, as far as its segments can be followed.
fn sealed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut at = 24;
    let mut sum = 0xEF;
    for _ in 0..*bytes.get(1)? {
        let length: [u8; 4] = bytes.get(at + 4..at + 8)?.try_into().ok()?;
        let end = (at + 8).checked_add(usize::try_from(u32::from_le_bytes(length)).ok()?)?;
        sum = bytes
            .get(at + 8..end)?
            .iter()
            .fold(sum, |sum, byte| sum ^ byte);
        at = end;
    }
    let mut sealed = bytes.get(..at)?.to_vec();
    sealed.resize(at | 15, 0);
    sealed.push(sum);
    if bytes.get(23) == Some(&1) {
        let digest = Sha256::digest(&sealed);
        sealed.extend_from_slice(&digest);
    }
    Some(sealed)
}

fn app_image(bytes: &[u8]) -> Verdict {
    let _ = app::parse(bytes).map_err(|error| error.to_string());
    let Some(sealed) = sealed(bytes) else {
        return Verdict::Refused;
    };
    match app::parse(&sealed) {
        Ok(image) => {
            assert_eq!(image.length, sealed.len());
            assert_eq!(Head::parse(&sealed[..HEAD]), Ok(image.head));
            let data: usize = image.segments().map(|segment| segment.data.len()).sum();
            assert!(
                data <= sealed.len()
                    && image.segments().count() == usize::from(image.head.segments)
            );
            assert_eq!(recognise(&sealed), Kind::App);
            // Another byte is another image.
            let mut other = sealed.clone();
            let last = other.len() - 1;
            other[last] ^= 1;
            assert!(app::parse(&other).is_err());
            Verdict::Accepted
        }
        Err(error) => {
            assert!(error.to_string().ends_with('.'));
            Verdict::Refused
        }
    }
}

fn partitions(bytes: &[u8]) -> Verdict {
    let text = std::str::from_utf8(bytes).map(Table::from_csv);
    let tables = [Some(Table::parse(bytes)), text.ok()];
    let mut verdict = Verdict::Refused;
    for table in tables.into_iter().flatten() {
        match table {
            Ok(table) => {
                let mut ends: Vec<_> = table
                    .entries()
                    .iter()
                    .map(|e| (e.offset, e.offset + e.size))
                    .collect();
                ends.sort_unstable();
                assert!(
                    ends.windows(2).all(|pair| pair[0].1 <= pair[1].0),
                    "they overlap"
                );
                if let Ok(ota) = table.ota() {
                    assert!(ota.slots >= 2 && ota.slot_size > 0);
                }
                verdict = Verdict::Accepted;
            }
            Err(error) => assert!(error.to_string().ends_with('.')),
        }
    }
    verdict
}

/// Accepts what is recognised.
fn any(bytes: &[u8]) -> Verdict {
    let kind = recognise(bytes);
    assert!(kind.to_string().ends_with('.'));
    // What a parser takes is recognised as that.
    assert!(app::parse(bytes).is_err() || kind == Kind::App);
    match kind {
        Kind::Unknown => Verdict::Refused,
        _ => Verdict::Accepted,
    }
}

/// A text that is taken is written back byte by byte, and only what was signed verifies.
fn signed_text(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let trusted = [PrivateKey::from_seed(&[1; 32]).public()];
    if let Ok(manifest) = Manifest::parse(text) {
        assert_eq!(manifest.to_string(), text);
        let _ = manifest.verify(&trusted);
        Verdict::Accepted
    } else if let Ok(set) = KeySet::parse(text) {
        assert_eq!(set.to_string(), text);
        let _ = set.verify(&trusted, 0);
        Verdict::Accepted
    } else {
        Verdict::Refused
    }
}
