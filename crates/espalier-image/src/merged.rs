//! What a file is when it may be anything: recognised by its bytes, explained in one sentence.
//!
//! It looks as far as it must to tell, and no further: that something is an app does not mean that it is a sound one; see
//! [`crate::app::parse`].

use crate::app::{Body, Head, Header, MAGIC};
use crate::bytes::{u8_at, u32_at};
use crate::chip::Chip;
use crate::otadata::Entry;
use crate::partitions::{self, Table};
use core::fmt;

/// Where a partition table may be in a merged image.
const TABLE_STEP: usize = 0x1000;
const LAST_TABLE: usize = 0x2_0000;

/// The app inside a merged image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergedApp {
    /// Where in the file it begins.
    pub offset: usize,
    /// Its bytes; nothing when it is not sound.
    pub length: Option<usize>,
    /// Its chip.
    pub chip: Chip,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An app image.
    App,
    /// Bootloader, partition table and app in one, to be flashed over USB.
    Merged {
        /// Where in the file the partition table is.
        table: usize,
        /// The first app in it, when one is there.
        app: Option<MergedApp>,
    },
    /// A bootloader.
    Bootloader {
        /// Its chip.
        chip: Chip,
    },
    /// A binary partition table.
    PartitionTable,
    /// A partition table as text.
    PartitionCsv,
    /// OTA data: which slot is booted.
    OtaData,
    /// Settings in flash.
    Nvs,
    /// A file system of flash or card.
    FileSystem,
    /// An ELF file.
    Elf,
    /// Intel HEX.
    IntelHex,
    /// UF2.
    Uf2,
    /// A ZIP archive.
    Zip,
    /// Something compressed: gzip, xz, zstd or bzip2.
    Compressed,
    /// A web page.
    Html,
    /// A signed manifest of this product.
    Manifest,
    /// A key or key set of this product.
    Key,
    /// Other text.
    Text,
    /// Flash that was never written, or zeros.
    Blank,
    /// Nothing at all.
    Empty,
    /// None of these.
    Unknown,
}

impl Kind {
    /// The name for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::App => "app",
            Kind::Merged { .. } => "merged",
            Kind::Bootloader { .. } => "bootloader",
            Kind::PartitionTable => "partition_table",
            Kind::PartitionCsv => "partition_csv",
            Kind::OtaData => "ota_data",
            Kind::Nvs => "nvs",
            Kind::FileSystem => "file_system",
            Kind::Elf => "elf",
            Kind::IntelHex => "intel_hex",
            Kind::Uf2 => "uf2",
            Kind::Zip => "zip",
            Kind::Compressed => "compressed",
            Kind::Html => "html",
            Kind::Manifest => "manifest",
            Kind::Key => "key",
            Kind::Text => "text",
            Kind::Blank => "blank",
            Kind::Empty => "empty",
            Kind::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match *self {
            Kind::Merged {
                app: Some(MergedApp { offset, length, .. }),
                ..
            } => {
                write!(
                    f,
                    "This is a merged image (bootloader, partition table and app), which is for flashing over USB: upload the app at 0x{offset:x}"
                )?;
                if let Some(length) = length {
                    write!(f, ", {length} bytes")?;
                }
                ", which the build also keeps as a .bin file of its own."
            }
            Kind::Bootloader { chip } => {
                return write!(
                    f,
                    "This is a bootloader for {chip}, which is never updated over the air: upload the app's .bin file."
                );
            }
            Kind::App => "This is an app image.",
            Kind::Merged { app: None, .. } => {
                "This is a merged image without an app in it: upload the app's .bin file."
            }
            Kind::PartitionTable => {
                "This is a partition table, which is never updated over the air: upload the app's .bin file."
            }
            Kind::PartitionCsv => {
                "This is a partition table as text, which is an input of the build: upload the app's .bin file."
            }
            Kind::OtaData => {
                "This is OTA data, which says what slot a board starts: upload the app's .bin file."
            }
            Kind::Nvs => {
                "This is an NVS partition, which holds the settings of one board: upload the app's .bin file."
            }
            Kind::FileSystem => "This is a file system, not an app: upload the app's .bin file.",
            Kind::Elf => {
                "This is an ELF file, from which the app image is made: upload the .bin file, which `esptool elf2image` or `espflash save-image` makes of it."
            }
            Kind::IntelHex => "This is an Intel HEX file: upload the app's .bin file.",
            Kind::Uf2 => {
                "This is a UF2 file, which is for flashing over USB: upload the app's .bin file."
            }
            Kind::Zip => "This is a ZIP archive: unpack it and upload the app's .bin file.",
            Kind::Compressed => {
                "This is a compressed file: unpack it and upload the app's .bin file."
            }
            Kind::Html => {
                "This is a web page, perhaps of a download that needed a sign-in: download the .bin file again and upload that."
            }
            Kind::Manifest => {
                "This is a signed manifest: upload the image that it belongs to, and this file as its signature."
            }
            Kind::Key => {
                "This is a key, not an image: upload the app's .bin file, and never give a private key to anybody."
            }
            Kind::Text => "This is a text file: upload the app's .bin file.",
            Kind::Blank => {
                "This file holds nothing but blank flash: upload the app's .bin file as the build made it."
            }
            Kind::Empty => "This file is empty: upload the app's .bin file.",
            Kind::Unknown => {
                "This file is no app image, which begins with 0xe9, and nothing else that is known here: upload the app's .bin file."
            }
        };
        f.write_str(sentence)
    }
}

/// Says what a file is.
pub fn recognise(bytes: &[u8]) -> Kind {
    if bytes.is_empty() {
        return Kind::Empty;
    }
    if Head::parse(bytes).is_ok() {
        return Kind::App;
    }
    // A merged image for ESP32 begins with blank flash, one for ESP32-C3 with the bootloader.
    let merged_begin = matches!(bytes.first(), Some(&(MAGIC | 0xFF | 0)));
    if let Some(merged) = merged_begin.then(|| merged(bytes)).flatten() {
        return merged;
    }
    if let Ok(header) = Header::parse(bytes)
        && Body::parse(bytes, &header).is_ok()
    {
        return Kind::Bootloader { chip: header.chip };
    }
    flash(bytes)
        .or_else(|| file(bytes))
        .or_else(|| text(bytes))
        .unwrap_or(Kind::Unknown)
}

/// What a file is that is no sound beginning of an app; nothing when it is at least meant to be one.
pub(crate) fn explain(bytes: &[u8]) -> Option<Kind> {
    match recognise(bytes) {
        Kind::App => None,
        Kind::Unknown if bytes.first() == Some(&MAGIC) => None,
        kind => Some(kind),
    }
}

/// The place of every partition table that may be in a file.
fn merged(bytes: &[u8]) -> Option<Kind> {
    let places =
        core::iter::once(partitions::OFFSET).chain((TABLE_STEP..=LAST_TABLE).step_by(TABLE_STEP));
    let (table, parsed) = places
        .filter(|&place| u8_at(bytes, place) == Some(0xAA))
        .find_map(|place| {
            let end = bytes.len().min(place.saturating_add(partitions::SIZE));
            Some((place, Table::parse(bytes.get(place..end)?).ok()?))
        })?;
    // A file may begin where the bootloader does: then all places in it are so much earlier than in flash.
    let app = [0, 0x1000, 0x2000].into_iter().find_map(|begin| {
        let apps = parsed.entries().iter().filter(|entry| entry.is_app());
        apps.filter_map(|entry| {
            let offset = usize::try_from(entry.offset).ok()?.checked_sub(begin)?;
            let app = bytes.get(offset..)?;
            let head = Head::parse(app).ok()?;
            let length = Body::parse(app, &Header::parse(app).ok()?).ok();
            Some(MergedApp {
                offset,
                length: length.map(|body| body.length),
                chip: head.chip,
            })
        })
        .next()
    });
    Some(Kind::Merged { table, app })
}

/// Other things that are in a board's flash.
fn flash(bytes: &[u8]) -> Option<Kind> {
    if Table::parse(bytes).is_ok() {
        return Some(Kind::PartitionTable);
    }
    let is_entry = |entry: &[u8]| Entry::parse(entry).is_some();
    if bytes.len() == 0x2000 && bytes.chunks(0x1000).any(is_entry) {
        return Some(Kind::OtaData);
    }
    let nvs_page = matches!(
        u32_at(bytes, 0),
        Some(0xFFFF_FFFE | 0xFFFF_FFFC | 0xFFFF_FFF8)
    );
    if nvs_page && bytes.len() >= 4096 && matches!(u8_at(bytes, 8), Some(0xFE | 0xFF)) {
        return Some(Kind::Nvs);
    }
    let fat =
        bytes.get(510..512) == Some(&[0x55, 0xAA]) && matches!(bytes.first(), Some(0xEB | 0xE9));
    if fat || bytes.get(8..16) == Some(b"littlefs") {
        return Some(Kind::FileSystem);
    }
    let blank = |value: u8| bytes.iter().all(|&byte| byte == value);
    (blank(0xFF) || blank(0)).then_some(Kind::Blank)
}

/// Files that other tools make.
fn file(bytes: &[u8]) -> Option<Kind> {
    const KNOWN: [(&[u8], Kind); 8] = [
        (b"\x7fELF", Kind::Elf),
        (b"UF2\n", Kind::Uf2),
        (b"PK\x03\x04", Kind::Zip),
        (b"PK\x05\x06", Kind::Zip),
        (b"\x1f\x8b", Kind::Compressed),
        (b"\xfd7zXZ\0", Kind::Compressed),
        (b"\x28\xb5\x2f\xfd", Kind::Compressed),
        (b"BZh", Kind::Compressed),
    ];
    let mut known = KNOWN.into_iter();
    known.find_map(|(begin, kind)| bytes.starts_with(begin).then_some(kind))
}

fn text(bytes: &[u8]) -> Option<Kind> {
    let begin = bytes.get(..bytes.len().min(4096)).unwrap_or_default();
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80..);
    if !begin.iter().all(is_text) {
        return None;
    }
    let begin = begin
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(begin)
        .trim_ascii_start();
    let ascii = begin.is_ascii();
    let starts = |prefix: &[u8]| {
        let found = begin.get(..prefix.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(prefix))
    };
    if starts(b"<!doctype") || starts(b"<html") || starts(b"<?xml") {
        return Some(Kind::Html);
    }
    if starts(b"espalier-firmware-manifest") {
        return Some(Kind::Manifest);
    }
    if starts(b"espalier-") || starts(b"-----BEGIN") {
        return Some(Kind::Key);
    }
    let hex = begin
        .get(1..9)
        .is_some_and(|line| line.iter().all(u8::is_ascii_hexdigit));
    if starts(b":") && hex {
        return Some(Kind::IntelHex);
    }
    let csv = core::str::from_utf8(bytes).ok().map(Table::from_csv);
    if csv.is_some_and(|table| table.is_ok()) {
        return Some(Kind::PartitionCsv);
    }
    // Bytes above ASCII alone are no text.
    (ascii || core::str::from_utf8(bytes).is_ok()).then_some(Kind::Text)
}
