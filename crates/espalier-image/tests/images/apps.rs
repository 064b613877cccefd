//! Whole app images.

use espalier_image::app::{self, HEAD, Head, Revision};
use espalier_image::chip::Chip;
use espalier_image::error::{Field, ImageError};
use espalier_image::make::Make;
use espalier_image::merged::Kind;
use espalier_image::secure_boot::Scheme;
use proptest::prelude::*;
use sha2::{Digest, Sha256, Sha384};

fn made() -> Vec<u8> {
    Make {
        chip: Chip::Esp32C6,
        project: "greenhouse",
        version: "1.2.3",
        secure_version: 7,
        min_revision: Revision(102),
        payload: b"water the tomatoes",
    }
    .bytes()
}

#[test]
fn a_made_image_says_what_it_was_told() {
    let bytes = made();
    let image = app::parse(&bytes).unwrap();
    let head = image.head;
    assert_eq!(head, Head::parse(&bytes[..HEAD]).unwrap());
    assert_eq!((head.chip, head.secure_version), (Chip::Esp32C6, 7));
    assert_eq!((head.project, head.version), ("greenhouse", "1.2.3"));
    assert_eq!(head.min_revision.to_string(), "v1.2");
    assert_eq!(head.max_revision, None);
    assert_eq!(
        (head.flash.mode_name(), head.flash.megabytes()),
        (Some("dio"), Some(4))
    );
    assert_eq!(image.payload(), b"water the tomatoes\0\0");
    assert_eq!(image.length, bytes.len());
    assert_eq!(image.appended_sha256.unwrap(), bytes[bytes.len() - 32..]);
    assert_eq!(image.segments().count(), 2);
    assert!(head.runs_on(Chip::Esp32C6).is_ok());
    assert!(head.runs_on_revision(Revision(102)) && !head.runs_on_revision(Revision(101)));
    assert_eq!(
        head.runs_on(Chip::Esp32).unwrap_err().to_string(),
        "The image is for ESP32-C6, but the board is ESP32: build it for esp32."
    );
    let size = bytes.len() as u64;
    assert!(image.fits(size).is_ok() && image.fits(size - 1).is_err());
}

#[test]
fn every_chip_can_be_made() {
    for chip in Chip::ALL {
        let make = Make {
            chip,
            ..Make::default()
        };
        assert_eq!(app::parse(&make.bytes()).unwrap().head.chip, chip);
    }
}

#[test]
fn real_images_are_accepted() {
    for (name, chip, size) in [
        ("c3-wifi-v1.bin", Chip::Esp32C3, 729_568),
        ("c3-wifi-v2.bin", Chip::Esp32C3, 729_568),
        ("c3-eth-v1.bin", Chip::Esp32C3, 351_312),
        ("c3-eth-never-confirms.bin", Chip::Esp32C3, 351_552),
        ("c6-wifi-v1.bin", Chip::Esp32C6, 810_016),
    ] {
        let Some(bytes) = crate::real(name) else {
            continue;
        };
        let image = app::parse(&bytes).unwrap();
        assert_eq!((image.head.chip, image.length), (chip, size), "{name}");
        assert_eq!((image.head.project, image.head.version), ("fw", "0.1.0"));
        assert_eq!(image.segments().count(), 5);
        assert!(image.appended_sha256.is_some() && image.secure_boot.is_none());
    }
}

/// An edit of a file and what is said of it.
type Case = (fn(&mut Vec<u8>), ImageError);

#[test]
fn each_fault_has_its_name() {
    let length = made().len();
    let cases: [Case; 10] = [
        (|b| b[0] = 0x42, ImageError::Other(Kind::Unknown)),
        (|b| b[1] = 17, ImageError::SegmentCount { found: 17 }),
        (|b| b[1] = 0, ImageError::SegmentCount { found: 0 }),
        (|b| b[12] = 99, ImageError::Chip { found: 99 }),
        (|b| b[23] = 2, ImageError::DigestFlag { found: 2 }),
        (|b| b[32] = 0, ImageError::Descriptor),
        (
            |b| b[48] = b'\n',
            ImageError::Text {
                field: Field::Version,
            },
        ),
        (
            |b| b[28] ^= 1,
            ImageError::SegmentLength {
                segment: 0,
                found: 277,
            },
        ),
        (
            |b| b.truncate(b.len() - 1),
            ImageError::CutShort {
                wanted: length,
                found: length - 1,
            },
        ),
        (
            |b| b.push(0),
            ImageError::Trailing {
                end: length,
                found: length + 1,
            },
        ),
    ];
    for (edit, wanted) in cases {
        let mut bytes = made();
        edit(&mut bytes);
        assert_eq!(app::parse(&bytes), Err(wanted), "{wanted}");
    }
    let last = |b: &mut Vec<u8>, back: usize| {
        let at = b.len() - back;
        b[at] ^= 1;
    };
    let mut bytes = made();
    last(&mut bytes, 1);
    assert_eq!(app::parse(&bytes), Err(ImageError::Digest));
    last(&mut bytes, 33);
    assert!(matches!(
        app::parse(&bytes),
        Err(ImageError::Checksum { .. })
    ));
    assert_eq!(
        app::parse(&[0xE9, 1]),
        Err(ImageError::TooShort { found: 2 })
    );
    assert_eq!(app::parse(&[]), Err(ImageError::Other(Kind::Empty)));
}

#[test]
fn an_image_may_have_no_digest() {
    let mut bytes = made();
    bytes[23] = 0;
    bytes.truncate(bytes.len() - 32);
    assert_eq!(app::parse(&bytes).unwrap().appended_sha256, None);
}

#[test]
fn old_images_know_one_byte_of_revision() {
    for (chip, legacy, wanted) in [
        (Chip::Esp32, 3, 300),
        (Chip::Esp32C3, 3, 3),
        (Chip::Esp32S3, 3, 0),
    ] {
        let mut bytes = Make {
            chip,
            ..Make::default()
        }
        .bytes();
        bytes[14] = legacy;
        bytes[15..19].fill(0);
        assert_eq!(Head::parse(&bytes).unwrap().min_revision, Revision(wanted));
    }
}

/// A signature block for what was signed; the signature itself is for the chip to check.
fn block(signed: &[u8], scheme: Scheme) -> Vec<u8> {
    let mut block = vec![0xE7, if scheme == Scheme::Rsa3072 { 2 } else { 3 }, 0, 0];
    let curve = match scheme {
        Scheme::Rsa3072 => 0,
        Scheme::EcdsaP192 => 1,
        Scheme::EcdsaP256 => 2,
        Scheme::EcdsaP384 => 3,
    };
    if scheme == Scheme::EcdsaP384 {
        block.extend_from_slice(&Sha384::digest(signed));
    } else {
        block.extend_from_slice(&Sha256::digest(signed));
    }
    block.push(curve);
    block.resize(1196, 0x5A);
    let crc = block.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
        })
    });
    block.extend_from_slice(&(!crc).to_le_bytes());
    block.resize(1216, 0);
    block
}

fn signed(schemes: &[Scheme]) -> Vec<u8> {
    let mut bytes = made();
    bytes.resize(bytes.len().next_multiple_of(4096), 0xFF);
    let body = bytes.clone();
    for scheme in schemes {
        bytes.extend(block(&body, *scheme));
    }
    bytes.resize(body.len() + 4096, 0xFF);
    bytes
}

#[test]
fn secure_boot_signatures_are_described() {
    for scheme in [
        Scheme::Rsa3072,
        Scheme::EcdsaP192,
        Scheme::EcdsaP256,
        Scheme::EcdsaP384,
    ] {
        for count in 1..=3 {
            let bytes = signed(&vec![scheme; count]);
            let image = app::parse(&bytes).unwrap();
            let found = image.secure_boot.unwrap();
            assert_eq!((found.scheme, usize::from(found.blocks)), (scheme, count));
            assert_eq!((image.length, image.size()), (made().len(), bytes.len()));
        }
    }
}

#[test]
fn damaged_signature_blocks_are_refused() {
    let mut bytes = signed(&[Scheme::Rsa3072, Scheme::Rsa3072]);
    bytes[4096 + 1216 + 100] ^= 1;
    assert_eq!(
        app::parse(&bytes),
        Err(ImageError::SignatureBlock { block: 1 })
    );
    let mut other = signed(&[Scheme::Rsa3072]);
    // The padding is signed too.
    let length = made().len();
    other[length..4096].fill(0);
    assert_eq!(
        app::parse(&other),
        Err(ImageError::SignatureBlock { block: 0 })
    );
    other[length] = 7;
    assert!(matches!(
        app::parse(&other),
        Err(ImageError::Trailing { .. })
    ));
    assert!(matches!(
        app::parse(&signed(&[])),
        Err(ImageError::Trailing { .. })
    ));
}

proptest! {
    #[test]
    fn what_is_made_is_sound(chip in 0..Chip::ALL.len(), project in "[ -~]{0,31}", version in "[ -~]{0,31}", secure_version: u32, payload: Vec<u8>) {
        let make = Make { chip: Chip::ALL[chip], project: &project, version: &version, secure_version, payload: &payload, ..Make::default() };
        let bytes = make.bytes();
        let image = app::parse(&bytes).unwrap();
        prop_assert_eq!((image.head.project, image.head.version), (&*project, &*version));
        prop_assert!(image.payload().starts_with(&payload));
        let number = |at: u32| bytes.get(at as usize..)?.first_chunk().copied().map(u32::from_le_bytes);
        prop_assert_eq!(image.head.length(number), u32::try_from(bytes.len()).ok());
    }

    /// The digest covers everything before it, and the file ends with it.
    #[test]
    fn no_flipped_bit_is_missed(at: prop::sample::Index, bit in 0..8u8) {
        let mut bytes = made();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // One bit decides whether a digest follows: without one, its bytes are too many.
        prop_assert!(app::parse(&bytes).is_err());
    }

    #[test]
    fn any_cut_is_refused(at: prop::sample::Index) {
        let bytes = made();
        prop_assert!(app::parse(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn any_bytes_are_survived(noise: Vec<u8>, at: prop::sample::Index, cut: prop::sample::Index) {
        let mut bytes = made();
        let from = at.index(bytes.len());
        for (to, noise) in bytes[from..].iter_mut().zip(&noise) { *to = *noise; }
        bytes.truncate(cut.index(bytes.len()) + 1);
        for bytes in [&bytes, &noise] {
            if let Err(error) = app::parse(bytes) {
                prop_assert!(error.to_string().ends_with('.'));
            }
        }
    }
}
