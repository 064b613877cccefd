//! What a board keeps in its flash: records that a torn write or another tool left, settings, and the store of other firmware. A
//! mutation breaks the checksums; those targets put them right first where the input says so, so that what lies behind is reached.

use crc32fast::Hasher;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use espalier_device::records::{REGION, Records, SECTOR, room};
use espalier_device::settings::Settings;
use espalier_device::settings::import::import;
use espalier_device::settings::nvs::{Nvs, PAGE};
use espalier_device::{Slot, Storage};

use crate::{Target, Verdict, texts};

pub const SETTINGS: Target = Target {
    name: "device_settings",
    run: settings,
    seeds: || {
        let mut seeds = texts(&[
            "{}",
            "{\"v\":1,\"name\":\"K\\u00fcche\",\"networks\":[{\"ssid\":\"a\",\"password\":\"\"}],\"tz\":\"UTC0\"}",
        ]);
        seeds.push(
            include_bytes!("../../crates/espalier-device/tests/data/settings-record.json").to_vec(),
        );
        seeds
    },
    words: &[
        b"{\"v\":1,",
        b"\"networks\":[",
        b"{\"ssid\":\"",
        b"\"password\":\"",
        b"\"keys\":[\"",
        b"\"ca\":\"AAAA",
        b"\\u0000",
        b"null",
        b"]}",
    ],
};

pub const RECORDS: Target = Target {
    name: "device_records",
    run: records,
    seeds: || {
        let record = |lead: [u8; 2], content: &[u8]| {
            let mut out = lead.to_vec();
            out.extend(b"ESR1\x07\0\0\0");
            out.extend((content.len() as u32).to_le_bytes());
            out.extend([0; 4]);
            out.extend(content);
            out
        };
        vec![
            record([0, 1], b"a queue"),
            record([6, 1], b"{\"v\":1}"),
            record([2, 3], &[7; 300]),
        ]
    },
    words: &[b"ESR1", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xf0\x0f\0\0"],
};

pub const NVS: Target = Target {
    name: "device_nvs_import",
    run: nvs,
    seeds: || {
        let mut entries = vec![3];
        let mut put = |namespace: u8, kind: u8, key: &str, data: [u8; 4], text: &[u8]| {
            let span = 1 + text.len().div_ceil(32);
            entries.extend([namespace, kind, span as u8, 0xff, 0, 0, 0, 0]);
            let mut name = [0; 16];
            name[..key.len()].copy_from_slice(key.as_bytes());
            entries.extend(name);
            entries.extend(data);
            entries.extend([0; 4]);
            let mut padded = text.to_vec();
            padded.resize((span - 1) * 32, 0xff);
            entries.extend(padded);
        };
        let len = |text: &str| [text.len() as u8 + 1, 0, 0xff, 0xff];
        put(0, 1, "esp32ota", [1, 0, 0, 0], b"");
        put(0, 1, "iot-config", [2, 0, 0, 0], b"");
        for (namespace, key, text) in [
            (1, "device_name", "Kitchen"),
            (1, "wifi_ssid", "Home"),
            (1, "wifi_password", "a password that takes two entries"),
            (2, "device_id", "65a1f0c2b3d4e5f601234567"),
            (2, "api_url", "http://farm:8000"),
        ] {
            put(
                namespace,
                0x21,
                key,
                len(text),
                format!("{text}\0").as_bytes(),
            );
        }
        put(1, 0x42, "pad", [5, 0, 0, 0], b"bytes");
        put(1, 0x48, "pad", [5, 0, 0, 0], b"");
        vec![entries]
    },
    words: &[
        b"\x01\x21\x02\xff",
        b"\x00\x01\x01\xff",
        b"wifi_ssid\0",
        b"server_url\0",
        b"\xff\x7f",
        b"\x7e",
    ],
};

/// A small flash in memory that only clears bits.
struct Ram(Vec<u8>);

#[derive(Debug, PartialEq, Eq)]
struct Misused;

impl NorFlashError for Misused {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for Ram {
    type Error = Misused;
}

impl Ram {
    fn part(&mut self, at: u32, len: usize, unit: usize) -> Result<&mut [u8], Misused> {
        let at = at as usize;
        let fits = at.is_multiple_of(unit) && len.is_multiple_of(unit);
        self.0.get_mut(at..at + len).filter(|_| fits).ok_or(Misused)
    }
}

impl ReadNorFlash for Ram {
    const READ_SIZE: usize = 4;

    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), Misused> {
        into.copy_from_slice(self.part(at, into.len(), 4)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Ram {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Misused> {
        self.part(from, (to - from) as usize, SECTOR as usize)?
            .fill(0xff);
        Ok(())
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Misused> {
        for (to, from) in self.part(at, bytes.len(), 4)?.iter_mut().zip(bytes) {
            *to &= from;
        }
        Ok(())
    }
}

fn crc(start: u32, parts: &[&[u8]]) -> [u8; 4] {
    let mut hasher = Hasher::new_with_initial(start);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().to_le_bytes()
}

fn word(bytes: &[u8], at: usize) -> usize {
    let four = bytes.get(at..).and_then(|b| b.first_chunk::<4>());
    four.map_or(0, |four| u32::from_le_bytes(*four) as usize)
}

fn settings(bytes: &[u8]) -> Verdict {
    let Ok(settings) = std::str::from_utf8(bytes)
        .map_err(|_| ())
        .and_then(|text| Settings::parse(text).map_err(|_| ()))
    else {
        return Verdict::Refused;
    };
    // Escapes may make a text longer or shorter; what still fits comes back.
    if let Ok(written) = settings.to_json() {
        assert_eq!(Settings::parse(&written), Ok(settings), "{written}");
    }
    Verdict::Accepted
}

/// Puts an input into the first or second copy of a slot, as it is or with a right checksum.
fn records(bytes: &[u8]) -> Verdict {
    const SLOTS: [(Slot, u32); 8] = [
        (Slot::Queue, 12),
        (Slot::State, 10),
        (Slot::Settings, 0),
        (Slot::Schedules, 8),
        (Slot::JournalA, 4),
        (Slot::JournalB, 5),
        (Slot::KeysA, 2),
        (Slot::KeysB, 3),
    ];
    let [which, flags, record @ ..] = bytes else {
        return Verdict::Refused;
    };
    let (slot, sector) = SLOTS[usize::from(*which) % SLOTS.len()];
    let mut record = record.to_vec();
    record.truncate(SECTOR as usize);
    let len = word(&record, 8);
    if flags & 1 != 0 && record.len() >= 16 && len <= record.len() - 16 {
        let sum = crc(0, &[&record[4..12], &record[16..16 + len]]);
        record[12..16].copy_from_slice(&sum);
    }
    let mut ram = Ram(vec![0xff; REGION as usize]);
    let second = flags & 2 != 0 && sector >= 8 && slot != Slot::Queue;
    let at = ((sector + u32::from(second)) * SECTOR) as usize;
    ram.0[at..at + record.len()].copy_from_slice(&record);
    let mut records = Records::new(ram, 0, REGION).expect("the region is one");
    let mut into = vec![0; room(slot) as usize];
    let found = records
        .read(slot, &mut into)
        .expect("every record has room");
    assert!(found == 0 || into[..found] == record[16..16 + found]);
    records.write(slot, &[b"new"]).expect("the flash works");
    assert_eq!(records.read(slot, &mut into), Ok(3));
    assert_eq!(&into[..3], b"new");
    if found > 0 {
        Verdict::Accepted
    } else {
        Verdict::Refused
    }
}

/// Makes a page of the entries that an input is, with right checksums where its first byte says so.
fn nvs(bytes: &[u8]) -> Verdict {
    let Some((flags, entries)) = bytes.split_first() else {
        return Verdict::Refused;
    };
    let mut page = vec![0xff; PAGE as usize];
    page[..9].copy_from_slice(b"\xfe\xff\xff\xff\0\0\0\0\xfe");
    let sum = crc(u32::MAX, &[&page[4..28]]);
    page[28..32].copy_from_slice(&sum);
    page[32..64].fill(0xaa);
    let count = entries.len().min(PAGE as usize - 64);
    page[64..64 + count].copy_from_slice(&entries[..count]);
    let mut at = 64;
    while at < page.len() {
        let len = word(&page, at + 24) & 0xffff;
        let value = page
            .get(at + 32..at + 32 + len)
            .map(|value| crc(u32::MAX, &[value]));
        let long = [0x21, 0x41, 0x42].contains(&page[at + 1]);
        if let Some(sum) = value.filter(|_| long && flags & 2 != 0) {
            page[at + 28..at + 32].copy_from_slice(&sum);
        }
        if flags & 1 != 0 {
            let sum = crc(u32::MAX, &[&page[at..at + 4], &page[at + 8..at + 32]]);
            page[at + 4..at + 8].copy_from_slice(&sum);
        }
        at += 32 * usize::from(page[at + 2]).clamp(1, 126);
    }
    let mut ram = Ram(page);
    let found = import(&mut ram, 0, PAGE).expect("memory does not fail");
    let mut nvs = Nvs::open(&mut ram, 0, PAGE).expect("one page");
    let _ = nvs.blob(1, "pad", &mut [0; 64]);
    let _ = nvs.integer(1, "led_mode");
    match found {
        None => Verdict::Refused,
        Some(found) => {
            let text = found.settings.to_json().expect("a page of settings fits");
            assert_eq!(Settings::parse(&text), Ok(found.settings));
            Verdict::Accepted
        }
    }
}
