//! Records: what is written is read, and no power cut takes both the old and the new.

use espalier_device::records::{REGION, Records, RecordsError, SECTOR, region, room};
use espalier_device::{Slot, Storage};
use espalier_image::partitions::Table;
use proptest::prelude::*;

use crate::flash::{Nor, OFFSET};

const SLOTS: [Slot; 8] = [
    Slot::Queue,
    Slot::State,
    Slot::JournalA,
    Slot::JournalB,
    Slot::KeysA,
    Slot::KeysB,
    Slot::Settings,
    Slot::Schedules,
];
/// Those whose two copies are inside.
const DOUBLE: [Slot; 4] = [Slot::Queue, Slot::State, Slot::Settings, Slot::Schedules];

fn records(nor: &Nor) -> Records<Nor> {
    Records::new(nor.clone(), OFFSET, REGION).unwrap()
}

fn read(nor: &Nor, slot: Slot) -> Vec<u8> {
    let mut bytes = vec![0; room(slot) as usize];
    let len = records(nor).read(slot, &mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

fn content(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
        .collect()
}

#[test]
fn every_slot_keeps_its_own_record_of_every_length() {
    let nor = Nor::new();
    for slot in SLOTS {
        assert_eq!(read(&nor, slot), b"");
    }
    for round in 0..3 {
        for (n, slot) in SLOTS.into_iter().enumerate() {
            let most = room(slot) as usize;
            let len = [0, 1, 255, 256, 257, most - 1, most][(n + round) % 7];
            let bytes = content(len, (n + round) as u8);
            let (one, two) = bytes.split_at(len / 3);
            records(&nor).write(slot, &[one, b"", two]).unwrap();
            assert_eq!(read(&nor, slot), bytes, "{slot:?}");
        }
    }
    for (n, slot) in SLOTS.into_iter().enumerate() {
        let most = room(slot) as usize;
        let len = [0, 1, 255, 256, 257, most - 1, most][(n + 2) % 7];
        assert_eq!(read(&nor, slot), content(len, (n + 2) as u8), "{slot:?}");
    }
    // Nothing beside the region.
    let bytes = nor.bytes();
    assert!(bytes[..OFFSET as usize].iter().all(|b| *b == 0xff));
    assert!(
        bytes[(OFFSET + REGION) as usize..]
            .iter()
            .all(|b| *b == 0xff)
    );
}

#[test]
fn a_record_lies_where_and_as_the_format_says() {
    let nor = Nor::new();
    records(&nor).write(Slot::Settings, &[b"hello"]).unwrap();
    let bytes = nor.bytes();
    let first = &bytes[OFFSET as usize..][..SECTOR as usize];
    // The checksum is zlib's, of 0x01 0 0 0, 0x05 0 0 0, "hello".
    let expected = b"ESR1\x01\0\0\0\x05\0\0\0\xd3\x8b\x47\x68hello\xff\xff\xff";
    assert_eq!(&first[..24], expected);
    assert!(first[24..].iter().all(|b| *b == 0xff));
    records(&nor).write(Slot::JournalB, &[b"j"]).unwrap();
    let journal = &nor.bytes()[(OFFSET + 5 * SECTOR) as usize..][..12];
    assert_eq!(journal, b"ESR1\0\0\0\0\x01\0\0\0");
}

#[test]
fn what_is_stored_already_is_not_written_again() {
    let nor = Nor::new();
    for slot in SLOTS {
        records(&nor).write(slot, &[b"the same"]).unwrap();
        let before = nor.operations();
        records(&nor).write(slot, &[b"the", b" same"]).unwrap();
        assert_eq!(nor.operations(), before, "{slot:?}");
        for other in [&b"the sam"[..], b"the same!", b""] {
            records(&nor).write(slot, &[other]).unwrap();
            assert_eq!(read(&nor, slot), other);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let nor = Nor::new();
    for slot in SLOTS {
        records(&nor).write(slot, &[b"kept"]).unwrap();
        let long = content(room(slot) as usize + 1, 0);
        let refused = records(&nor).write(slot, &[&long]);
        assert_eq!(refused, Err(RecordsError::TooLong));
        let short = records(&nor).read(slot, &mut [0; 3]);
        assert_eq!(short, Err(RecordsError::Buffer));
        assert_eq!(read(&nor, slot), b"kept");
    }
    for (offset, size) in [
        (OFFSET + 4, REGION),
        (OFFSET, REGION - 1),
        (0, u32::MAX),
        (u32::MAX - 4095, REGION),
    ] {
        let refused = Records::new(nor.clone(), offset, size).err();
        assert_eq!(refused, Some(RecordsError::Region), "{offset:#x} {size:#x}");
    }
}

#[test]
fn a_worn_sector_is_told() {
    let nor = Nor::new();
    nor.wear_out(OFFSET as usize + 20);
    let told = records(&nor).write(Slot::Settings, &[b"seven words"]);
    assert_eq!(told, Err(RecordsError::NotKept));
    assert_eq!(read(&nor, Slot::Settings), b"");
}

#[test]
fn forgetting_leaves_no_byte_and_never_brings_back_the_record_before() {
    for slot in SLOTS {
        let nor = Nor::new();
        for text in ["first", "second", "third"] {
            records(&nor).write(slot, &[text.as_bytes()]).unwrap();
        }
        let before = nor.bytes();
        let start = nor.operations();
        records(&nor).forget(slot).unwrap();
        let operations = nor.operations() - start;
        assert!(nor.bytes().iter().all(|b| *b == 0xff), "{slot:?}");
        for cut in 0..operations {
            for noise in 0..20 {
                let nor = Nor::of(before.clone());
                nor.cut_at(cut, noise);
                assert!(records(&nor).forget(slot).is_err());
                nor.power_on();
                let left = read(&nor, slot);
                assert!(left.is_empty() || left == b"third", "{slot:?}: {left:?}");
            }
        }
    }
}

#[test]
fn scrubbing_takes_what_was_and_keeps_what_is() {
    for slot in SLOTS {
        let nor = Nor::new();
        records(&nor).scrub(slot).unwrap();
        for text in ["an old secret", "new"] {
            records(&nor).write(slot, &[text.as_bytes()]).unwrap();
        }
        records(&nor).scrub(slot).unwrap();
        assert_eq!(read(&nor, slot), b"new");
        assert!(
            !nor.bytes().windows(6).any(|six| six == b"secret"),
            "{slot:?}"
        );
    }
}

#[test]
fn every_cut_of_every_operation_leaves_the_old_or_the_new() {
    for slot in DOUBLE {
        for (old, new) in [(5, 700), (4080, 1), (300, 4080), (257, 257)] {
            let (old, new) = (content(old, 1), content(new, 2));
            let prepared = Nor::new();
            records(&prepared).write(slot, &[b"before"]).unwrap();
            records(&prepared).write(slot, &[&old]).unwrap();
            let before = prepared.bytes();
            records(&prepared).write(slot, &[&new]).unwrap();
            let nor = Nor::of(before.clone());
            records(&nor).write(slot, &[&new]).unwrap();
            for cut in 0..nor.operations() {
                for noise in 0..8 {
                    let nor = Nor::of(before.clone());
                    nor.cut_at(cut, noise * 7919 + cut);
                    assert!(records(&nor).write(slot, &[&new]).is_err());
                    nor.power_on();
                    let found = read(&nor, slot);
                    assert!(
                        found == old || found == new,
                        "{slot:?} cut {cut} noise {noise}"
                    );
                    records(&nor).write(slot, &[b"after"]).unwrap();
                    assert_eq!(read(&nor, slot), b"after");
                }
            }
        }
    }
}

#[test]
fn generations_may_wrap_around() {
    let nor = Nor::new();
    let mut sector = vec![0xff; SECTOR as usize];
    records(&nor).write(Slot::Schedules, &[b"x"]).unwrap();
    // As after four thousand million writes.
    sector[..20].copy_from_slice(LAST_GENERATION);
    nor.put(OFFSET + 8 * SECTOR, &sector);
    assert_eq!(read(&nor, Slot::Schedules), b"end.");
    for text in ["one", "two", "three"] {
        records(&nor)
            .write(Slot::Schedules, &[text.as_bytes()])
            .unwrap();
        assert_eq!(read(&nor, Slot::Schedules), text.as_bytes());
    }
}

const LAST_GENERATION: &[u8; 20] = b"ESR1\xff\xff\xff\xff\x04\0\0\0\x72\xb3\x43\xe8end.";

#[test]
fn the_region_is_found_in_partition_tables() {
    let csv = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nota_0,app,ota_0,0x10000,0x1E0000\nota_1,app,ota_1,0x1F0000,0x1E0000\n";
    let with = |line: &str| region(&Table::from_csv(&format!("{csv}{line}")).unwrap());
    let ours = Some((0x3D_0000, 0x2_0000));
    assert_eq!(with("espalier,data,0x06,0x3D0000,0x20000"), ours);
    assert_eq!(with("spiffs,data,spiffs,0x3D0000,0x20000"), ours);
    assert_eq!(
        with("spiffs,data,spiffs,0x3D0000,0x20000\nespalier,data,0x06,0x3F0000,0x12000"),
        Some((0x3F_0000, 0x1_2000))
    );
    assert_eq!(with("spiffs,data,spiffs,0x3D0000,0x11000"), None);
    assert_eq!(with("storage,data,fat,0x3D0000,0x20000"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Any life of a board: writes, cuts in any of them, and starts after it.
    #[test]
    fn a_life_with_power_cuts(
        steps in prop::collection::vec((0..SLOTS.len(), 0..12_273_usize, any::<u8>(), prop::option::of((0..60_u64, any::<u64>()))), 1..30)
    ) {
        let nor = Nor::new();
        let mut kept: Vec<Vec<u8>> = vec![Vec::new(); SLOTS.len()];
        for (n, len, seed, cut) in steps {
            let slot = SLOTS[n];
            let new = content(len % (room(slot) as usize + 1), seed);
            if let Some((operation, noise)) = cut {
                nor.cut_at(operation, noise);
            }
            let done = records(&nor).write(slot, &[&new]);
            let dead = nor.is_dead();
            nor.power_on();
            let found = read(&nor, slot);
            if done.is_ok() {
                prop_assert_eq!(&found, &new);
            } else {
                prop_assert!(dead);
                let single_torn = !DOUBLE.contains(&slot) && found.is_empty();
                prop_assert!(found == new || found == kept[n] || single_torn);
            }
            kept[n] = found;
            for (slot, kept) in SLOTS.into_iter().zip(&kept) {
                prop_assert_eq!(&read(&nor, slot), kept);
            }
        }
    }

    /// Whatever lies in flash: reading ends, and a write works afterwards.
    #[test]
    fn hostile_sectors(mut bytes in prop::collection::vec(any::<u8>(), 24), len in 0_u32..20_000, copy in 0..2_u32) {
        bytes[..4].copy_from_slice(b"ESR1");
        bytes[8..12].copy_from_slice(&len.to_le_bytes());
        let nor = Nor::new();
        nor.put(OFFSET + copy * SECTOR, &bytes);
        let _ = read(&nor, Slot::Settings);
        records(&nor).write(Slot::Settings, &[b"new"]).unwrap();
        prop_assert_eq!(read(&nor, Slot::Settings), b"new");
    }
}
