//! Partition tables: what is where in a board's flash, as the board holds it and as people write it.
//!
//! What matters to updates: two app slots and the OTA data between which the bootloader chooses.

use crate::bytes::{array, u8_at, u16_at, u32_at};
use core::fmt;
use heapless::Vec;
use md5::{Digest, Md5};

/// Where in flash the table usually is.
pub const OFFSET: usize = 0x8000;
/// Most bytes of a table.
pub const SIZE: usize = 0xC00;
/// Most entries of a table; the last place is for the MD5.
pub const MAX_ENTRIES: usize = 95;
const ENTRY: usize = 32;
/// Apps begin at multiples of this.
const APP_ALIGNMENT: u32 = 0x1_0000;
/// Everything begins at multiples of this.
const ALIGNMENT: u32 = 0x1000;
/// Bytes of the OTA data: two flash sectors.
const OTA_DATA: u32 = 0x2000;

/// The name of a partition.
pub type Label = heapless::String<16>;

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub label: Label,
    /// The type: 0 is an app, 1 is data.
    pub kind: u8,
    /// The subtype.
    pub subtype: u8,
    /// Where in flash.
    pub offset: u32,
    /// How many bytes.
    pub size: u32,
    /// Flags: 1 encrypted, 2 read-only.
    pub flags: u32,
}

impl Entry {
    /// Whether an app belongs here.
    pub fn is_app(&self) -> bool {
        self.kind == 0
    }

    /// The number of the OTA slot, when it is one.
    pub fn slot(&self) -> Option<u8> {
        (self.is_app() && (0x10..0x20).contains(&self.subtype)).then_some(self.subtype & 15)
    }

    /// Whether this is the OTA data.
    pub fn is_ota_data(&self) -> bool {
        self.kind == 1 && self.subtype == 0
    }

    /// Where it ends; checked when the table was read.
    fn end(&self) -> u32 {
        self.offset.saturating_add(self.size)
    }
}

/// Why a table is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableError {
    /// It has no entry.
    Empty,
    /// Something else than an entry stands where one should.
    Entry {
        /// The entry or line, counted from 1.
        number: u16,
    },
    /// A field of an entry cannot be read.
    Field {
        /// The line, counted from 1.
        line: u16,
        /// Which.
        what: &'static str,
    },
    /// There are more entries than fit.
    TooMany,
    /// The MD5 is not that of the entries.
    Md5,
    /// A partition begins at a place where it may not, ends behind the end of everything, or is empty.
    Place {
        /// The entry, counted from 1.
        number: u16,
    },
    /// Two partitions share bytes.
    Overlap {
        /// The later entry, counted from 1.
        number: u16,
    },
    /// There is no app slot for updates.
    NoSlots,
    /// There is only one app slot, so that an app would have to overwrite itself.
    OneSlot,
    /// The OTA data is missing or has the wrong size.
    OtaData,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("The partition table is empty: flash one with two OTA slots over USB."),
            Self::Entry { number } => write!(
                f,
                "Entry {number} of the partition table is damaged or no entry: write the table again."
            ),
            Self::Field { line, what } => {
                write!(f, "Line {line} of the partition table has no valid {what}: correct it.")
            }
            Self::TooMany => write!(
                f,
                "The partition table has more than {MAX_ENTRIES} entries: remove some."
            ),
            Self::Md5 => f.write_str(
                "The MD5 of the partition table is not that of its entries: the table is damaged; write it again.",
            ),
            Self::Place { number } => write!(
                f,
                "Partition {number} begins or ends where it may not (apps begin at multiples of 0x10000, others of 0x1000, and none is empty): move it."
            ),
            Self::Overlap { number } => write!(
                f,
                "Partition {number} overlaps another one: move it or make it smaller."
            ),
            Self::NoSlots => f.write_str(
                "There is no OTA slot, so the board cannot update over the air: flash a partition table with two slots (ota_0 and ota_1) over USB.",
            ),
            Self::OneSlot => f.write_str(
                "There is only one app slot (as in `huge_app`), so the board cannot update over the air: flash a partition table with two slots (ota_0 and ota_1, as in `min_spiffs`) over USB.",
            ),
            Self::OtaData => f.write_str(
                "There are two app slots, but no OTA data of 0x2000 bytes that says which one starts: add a partition `otadata, data, ota, , 0x2000`.",
            ),
        }
    }
}

impl core::error::Error for TableError {}

/// What updates need of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ota {
    /// How many slots there are, at least two.
    pub slots: u8,
    /// Bytes of the smallest slot: no larger image fits everywhere.
    pub slot_size: u32,
    /// Where the OTA data is.
    pub data_offset: u32,
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    entries: Vec<Entry, MAX_ENTRIES>,
    /// Whether an MD5 protected it.
    pub md5: bool,
}

impl Table {
    /// Reads the table as it is in flash; the bytes may go on after it.
    ///
    /// # Errors
    /// Says what is wrong with the table.
    pub fn parse(bytes: &[u8]) -> Result<Self, TableError> {
        let mut table = Self {
            entries: Vec::new(),
            md5: false,
        };
        let (rows, _) = bytes
            .get(..bytes.len().min(SIZE))
            .unwrap_or_default()
            .as_chunks::<ENTRY>();
        let mut before = 0;
        for (row, number) in rows.iter().zip(1u16..) {
            match u16_at(row, 0) {
                Some(0x50AA) => {
                    let entry = binary_entry(row).ok_or(TableError::Entry { number })?;
                    table.push(entry)?;
                }
                Some(0xEBEB) => {
                    let covered = bytes.get(..before).unwrap_or_default();
                    let digest: [u8; 16] = Md5::digest(covered).into();
                    if array::<16>(row, 16) != Some(digest) {
                        return Err(TableError::Md5);
                    }
                    table.md5 = true;
                    break;
                }
                _ if row.iter().all(|&byte| byte == 0xFF) => break,
                _ => return Err(TableError::Entry { number }),
            }
            before = before.saturating_add(ENTRY);
        }
        table.check()
    }

    /// Reads the table as people write it: `name, type, subtype, offset, size, flags`, offsets may be left out.
    ///
    /// # Errors
    /// Says what is wrong with the table.
    pub fn from_csv(text: &str) -> Result<Self, TableError> {
        let mut table = Self {
            entries: Vec::new(),
            md5: false,
        };
        // The first partition follows the table.
        let mut next = 0x9000;
        for (row, line) in text.lines().zip(1u16..) {
            let row = row.split('#').next().unwrap_or_default().trim();
            if row.is_empty() {
                continue;
            }
            let entry = csv_entry(row, next, line)?;
            next = entry.end();
            table.push(entry)?;
        }
        table.check()
    }

    fn push(&mut self, entry: Entry) -> Result<(), TableError> {
        self.entries.push(entry).map_err(|_| TableError::TooMany)
    }

    /// Checks places and sizes.
    fn check(self) -> Result<Self, TableError> {
        if self.entries.is_empty() {
            return Err(TableError::Empty);
        }
        for (n, (entry, number)) in self.entries.iter().zip(1u16..).enumerate() {
            let alignment = if entry.is_app() {
                APP_ALIGNMENT
            } else {
                ALIGNMENT
            };
            let end = entry.offset.checked_add(entry.size);
            if entry.size == 0 || entry.offset % alignment != 0 || end.is_none() {
                return Err(TableError::Place { number });
            }
            let mut earlier = self.entries.iter().take(n);
            if earlier.any(|other| entry.offset < other.end() && other.offset < entry.end()) {
                return Err(TableError::Overlap { number });
            }
        }
        Ok(self)
    }

    /// The partitions, in the order of the table.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What updates need.
    ///
    /// # Errors
    /// Says why a board with this table cannot update over the air.
    pub fn ota(&self) -> Result<Ota, TableError> {
        let slots = || self.entries.iter().filter(|entry| entry.slot().is_some());
        let apps = self.entries.iter().filter(|entry| entry.is_app()).count();
        let slot_size = match slots().count() {
            0 | 1 if apps == 1 => return Err(TableError::OneSlot),
            0 | 1 => return Err(TableError::NoSlots),
            _ => slots().map(|slot| slot.size).min(),
        };
        let mut data = self.entries.iter().filter(|entry| entry.is_ota_data());
        let data = data.next().filter(|data| data.size == OTA_DATA);
        Ok(Ota {
            slots: u8::try_from(slots().count()).unwrap_or(u8::MAX),
            slot_size: slot_size.ok_or(TableError::NoSlots)?,
            data_offset: data.ok_or(TableError::OtaData)?.offset,
        })
    }

    /// Bytes of the smallest OTA slot.
    ///
    /// # Errors
    /// Says why a board with this table cannot update over the air.
    pub fn slot_size(&self) -> Result<u32, TableError> {
        Ok(self.ota()?.slot_size)
    }
}

fn binary_entry(row: &[u8; ENTRY]) -> Option<Entry> {
    let name: [u8; 16] = array(row, 12)?;
    let name = name.split(|&byte| byte == 0).next()?;
    let mut label = Label::new();
    label.push_str(core::str::from_utf8(name).ok()?).ok()?;
    Some(Entry {
        label,
        kind: u8_at(row, 2)?,
        subtype: u8_at(row, 3)?,
        offset: u32_at(row, 4)?,
        size: u32_at(row, 8)?,
        flags: u32_at(row, 28)?,
    })
}

fn csv_entry(row: &str, next: u32, line: u16) -> Result<Entry, TableError> {
    let mut fields = row.split(',').map(str::trim);
    let mut field = || fields.next().unwrap_or_default();
    let bad = |what| TableError::Field { line, what };
    let (name, kind, subtype, offset, size) = (field(), field(), field(), field(), field());
    let mut label = Label::new();
    if name.is_empty() || label.push_str(name).is_err() {
        return Err(bad("name (1 to 16 bytes)"));
    }
    let kind = match kind {
        "app" => 0,
        "data" => 1,
        "bootloader" => 2,
        "partition_table" => 3,
        other => byte(other).ok_or(bad("type (app, data or a number)"))?,
    };
    let subtype = subtype_of(kind, subtype).ok_or(bad("subtype"))?;
    let alignment = if kind == 0 { APP_ALIGNMENT } else { ALIGNMENT };
    let offset = match offset {
        "" => next.checked_next_multiple_of(alignment),
        other => number(other),
    };
    let mut flags = 0;
    for flag in field().split(':').map(str::trim) {
        flags |= match flag {
            "" => 0,
            "encrypted" => 1,
            "readonly" => 2,
            _ => return Err(bad("flag (encrypted or readonly)")),
        };
    }
    if fields.any(|more| !more.is_empty()) {
        return Err(bad("end (more than 6 fields)"));
    }
    Ok(Entry {
        label,
        kind,
        subtype,
        offset: offset.ok_or(bad("offset"))?,
        size: number(size).ok_or(bad("size"))?,
        flags,
    })
}

/// A subtype by name or number.
fn subtype_of(kind: u8, text: &str) -> Option<u8> {
    const DATA: [(&str, u8); 11] = [
        ("ota", 0),
        ("phy", 1),
        ("nvs", 2),
        ("coredump", 3),
        ("nvs_keys", 4),
        ("efuse", 5),
        ("undefined", 6),
        ("esphttpd", 0x80),
        ("fat", 0x81),
        ("spiffs", 0x82),
        ("littlefs", 0x83),
    ];
    let data = |text: &str| {
        DATA.iter()
            .find(|(name, _)| *name == text)
            .map(|(_, id)| *id)
    };
    match (kind, text) {
        (0, "factory") => Some(0),
        (0, "test") => Some(0x20),
        (1, "") => Some(6),
        (2, "primary") | (3, "primary") => Some(0),
        (2, "ota") | (3, "ota") => Some(1),
        (0, text) if text.starts_with("ota_") => {
            let slot = byte(text.strip_prefix("ota_")?)?;
            (slot < 16).then_some(0x10 | slot)
        }
        (1, text) => data(text).or_else(|| byte(text)),
        (_, text) => byte(text),
    }
}

fn byte(text: &str) -> Option<u8> {
    number(text)?.try_into().ok()
}

/// A decimal or hexadecimal number, perhaps with K or M after it.
fn number(text: &str) -> Option<u32> {
    let (digits, unit) = if let Some(digits) = text.strip_suffix(['K', 'k']) {
        (digits, 1 << 10)
    } else if let Some(digits) = text.strip_suffix(['M', 'm']) {
        (digits, 1 << 20)
    } else {
        (text, 1)
    };
    let hex = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((digits, 10), |hex| (hex, 16));
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()?.checked_mul(unit)
}
