//! A reader of the key-value store of ESP-IDF ("NVS"), versions 1 and 2 of its pages, over any flash. It writes nothing, and does
//! not read encrypted partitions: their entries look damaged, and so nothing is found.
//!
//! A partition is made of pages of 4096 bytes: a header, two bits of state for each of 126 entries, and the entries, 32 bytes each.
//! Long values take the entries after theirs; blobs may be spread over pages. Everything has a CRC-32. Where a key is there twice,
//! because the power failed while it was replaced, the whole value that was written last counts.

use embedded_storage::nor_flash::ReadNorFlash;
use espalier_image::partitions::Table;
use heapless::Vec;

use crate::storage::crc32;

/// Bytes of a page.
pub const PAGE: u32 = 4096;
/// Most pages that are read.
pub const MAX_PAGES: usize = 64;
/// Longest key or name of a namespace, in bytes.
pub const MAX_KEY: usize = 15;
const ENTRIES: u32 = 126;
const ENTRY: u32 = 32;
/// Bytes before the entries.
const HEAD: u32 = 64;
/// The states of pages that hold entries.
const ACTIVE: u32 = 0xffff_fffe;
const FULL: u32 = 0xffff_fffc;
const FREEING: u32 = 0xffff_fff8;
/// The versions of pages, in the order of their numbers.
const VERSIONS: [u8; 2] = [0xff, 0xfe];
/// The state of an entry that was written and not erased.
const WRITTEN: u8 = 0b10;

const STRING: u8 = 0x21;
const BLOB: u8 = 0x41;
const BLOB_PART: u8 = 0x42;
const BLOB_INDEX: u8 = 0x48;

/// Why a value was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NvsError<E> {
    /// The flash refused.
    Flash(E),
    /// The partition is not made of at least one and at most [`MAX_PAGES`] pages within the flash.
    Region,
    /// The value is longer than the buffer.
    TooLong,
    /// The text is not UTF-8.
    NotText,
}

impl<E: core::fmt::Debug> core::fmt::Display for NvsError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            NvsError::Flash(error) => write!(f, "the flash refused: {error:?}"),
            NvsError::Region => write!(
                f,
                "an NVS partition has 1 to {MAX_PAGES} pages of {PAGE} bytes"
            ),
            NvsError::TooLong => f.write_str("the value is longer than any that is used"),
            NvsError::NotText => f.write_str("the value is not UTF-8 text"),
        }
    }
}

impl<E: core::fmt::Debug> core::error::Error for NvsError<E> {}

/// Finds the partition in a table: where it begins and how many bytes it has.
pub fn region(table: &Table) -> Option<(u32, u32)> {
    let is_nvs = |kind, subtype| (kind, subtype) == (1, 2);
    let entries = || table.entries().iter().filter(|e| is_nvs(e.kind, e.subtype));
    entries()
        .find(|e| e.label == "nvs")
        .or_else(|| entries().next())
        .map(|e| (e.offset, e.size))
}

/// A partition.
#[derive(Debug)]
pub struct Nvs<'f, F> {
    flash: &'f mut F,
    /// The pages that hold entries, in the order in which they were begun: their number and where they are.
    pages: Vec<(u32, u32), MAX_PAGES>,
}

type Done<T, F> = Result<T, NvsError<<F as embedded_storage::nor_flash::ErrorType>::Error>>;

/// An entry with a right checksum.
#[derive(Clone, Copy)]
struct Entry {
    /// Where in flash.
    at: u32,
    bytes: [u8; ENTRY as usize],
}

impl Entry {
    fn parse(at: u32, bytes: [u8; ENTRY as usize]) -> Option<Self> {
        let entry = Entry { at, bytes };
        // Checksums are continued from all ones.
        let crc = crc32(crc32(u32::MAX, &bytes[..4]), &bytes[8..]);
        (crc == entry.word(4)).then_some(entry)
    }

    fn word(&self, at: usize) -> u32 {
        let bytes = self.bytes.get(at..).and_then(|b| b.first_chunk::<4>());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    const fn namespace(&self) -> u8 {
        self.bytes[0]
    }

    const fn kind(&self) -> u8 {
        self.bytes[1]
    }

    fn span(&self) -> u32 {
        u32::from(self.bytes[2])
    }

    const fn part(&self) -> u8 {
        self.bytes[3]
    }

    fn is(&self, namespace: u8, key: &str) -> bool {
        let name = &self.bytes[8..24];
        let len = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        self.namespace() == namespace && name[..len] == *key.as_bytes()
    }

    /// The length of a value in the entries after this one.
    fn len(&self) -> u32 {
        self.word(24) & 0xffff
    }
}

impl<'f, F: ReadNorFlash> Nvs<'f, F> {
    /// Opens the partition that begins at `offset` and has `size` bytes.
    ///
    /// # Errors
    /// When there is no such place, or the flash cannot be read.
    pub fn open(flash: &'f mut F, offset: u32, size: u32) -> Done<Self, F> {
        const {
            assert!(
                (ENTRY as usize).is_multiple_of(F::READ_SIZE),
                "entries are read whole"
            )
        };
        let count = size / PAGE;
        let end = offset.checked_add(size).map(|end| end as usize);
        let fits = end.is_some_and(|end| end <= flash.capacity());
        if !fits || count == 0 || count as usize > MAX_PAGES || !offset.is_multiple_of(ENTRY) {
            return Err(NvsError::Region);
        }
        let mut pages = Vec::<_, MAX_PAGES>::new();
        for at in (0..count).map(|n| offset + n * PAGE) {
            let mut head = [0; 32];
            flash.read(at, &mut head).map_err(NvsError::Flash)?;
            let word = |at: usize| {
                u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
            };
            let used = [ACTIVE, FULL, FREEING].contains(&word(0));
            if used && VERSIONS.contains(&head[8]) && crc32(u32::MAX, &head[4..28]) == word(28) {
                // There are at most as many.
                let _ = pages.push((word(4), at));
            }
        }
        pages.sort_unstable();
        Ok(Nvs { flash, pages })
    }

    fn get<const N: usize>(&mut self, at: u32) -> Done<[u8; N], F> {
        let mut bytes = [0; N];
        self.flash.read(at, &mut bytes).map_err(NvsError::Flash)?;
        Ok(bytes)
    }

    /// Finds the last entry that is wanted and whose value is whole.
    fn find(&mut self, wanted: impl Fn(&Entry) -> bool) -> Done<Option<Entry>, F> {
        let mut found = None;
        for page in 0..self.pages.len() {
            let at = self.pages[page].1;
            let states: [u8; 32] = self.get(at + 32)?;
            let mut number = 0;
            while number < ENTRIES {
                let state = states[number as usize / 4] >> (number % 4 * 2) & 0b11;
                let place = at + HEAD + number * ENTRY;
                let entry = match state {
                    WRITTEN => Entry::parse(place, self.get(place)?),
                    _ => None,
                };
                // A value that reaches beyond its page is none.
                let entry = entry.filter(|e| (1..=ENTRIES - number).contains(&e.span()));
                number += entry.map_or(1, |e| e.span());
                if let Some(entry) = entry.filter(&wanted)
                    && self.is_whole(&entry)?
                {
                    found = Some(entry);
                }
            }
        }
        Ok(found)
    }

    /// Says whether the value after an entry, if it has one, is as it was written.
    fn is_whole(&mut self, entry: &Entry) -> Done<bool, F> {
        if ![STRING, BLOB, BLOB_PART].contains(&entry.kind()) {
            return Ok(true);
        }
        if entry.len() > (entry.span() - 1) * ENTRY {
            return Ok(false);
        }
        let mut crc = u32::MAX;
        self.walk(entry, |bytes| crc = crc32(crc, bytes))?;
        Ok(crc == entry.word(28))
    }

    /// Hands the value after an entry to `each`, piece by piece.
    fn walk(&mut self, entry: &Entry, mut each: impl FnMut(&[u8])) -> Done<(), F> {
        let (mut at, mut left) = (entry.at + ENTRY, entry.len());
        while left > 0 {
            let bytes: [u8; ENTRY as usize] = self.get(at)?;
            let count = left.min(ENTRY);
            each(&bytes[..count as usize]);
            (at, left) = (at + ENTRY, left - count);
        }
        Ok(())
    }

    /// Copies the value after an entry to the front of a buffer, and returns its length.
    fn copy(&mut self, entry: &Entry, into: &mut [u8]) -> Done<usize, F> {
        let len = entry.len() as usize;
        let mut left = into.get_mut(..len).ok_or(NvsError::TooLong)?.iter_mut();
        self.walk(entry, |bytes| {
            // In this order, so that none of `left` is lost at the end of a piece.
            for (from, to) in bytes.iter().zip(left.by_ref()) {
                *to = *from;
            }
        })?;
        Ok(len)
    }

    /// Returns the number of a namespace; nothing when it does not exist.
    ///
    /// # Errors
    /// When the flash cannot be read.
    pub fn namespace(&mut self, name: &str) -> Done<Option<u8>, F> {
        let found = self.find(|e| e.is(0, name) && e.kind() == 1)?;
        Ok(found.map(|e| e.bytes[24]).filter(|number| *number > 0))
    }

    /// Reads a text into a buffer; nothing when there is none under this key.
    ///
    /// # Errors
    /// When the flash cannot be read, the text is longer than the buffer, or is not UTF-8.
    pub fn text<'b>(
        &mut self,
        namespace: u8,
        key: &str,
        into: &'b mut [u8],
    ) -> Done<Option<&'b str>, F> {
        let Some(entry) = self.find(|e| e.is(namespace, key) && e.kind() == STRING)? else {
            return Ok(None);
        };
        let len = self.copy(&entry, into)?;
        let bytes = into.get(..len).unwrap_or_default();
        // It ends with a zero byte.
        let bytes = bytes.split(|b| *b == 0).next().unwrap_or_default();
        core::str::from_utf8(bytes)
            .map(Some)
            .map_err(|_| NvsError::NotText)
    }

    /// Reads an integer of any width; nothing when there is none under this key.
    ///
    /// # Errors
    /// When the flash cannot be read.
    pub fn integer(&mut self, namespace: u8, key: &str) -> Done<Option<i128>, F> {
        let width = |kind| match kind {
            0x01 | 0x11 => Some(1),
            0x02 | 0x12 => Some(2),
            0x04 | 0x14 => Some(4),
            0x08 | 0x18 => Some(8),
            _ => None,
        };
        let found = self.find(|e| e.is(namespace, key) && width(e.kind()).is_some())?;
        Ok(found.map(|e| {
            let bits = 8 * width(e.kind()).unwrap_or(8);
            let raw = u64::from(e.word(28)) << 32 | u64::from(e.word(24));
            let raw = i128::from(raw) & ((1 << bits) - 1);
            let negative = e.kind() & 0x10 != 0 && raw >> (bits - 1) == 1;
            raw - if negative { 1 << bits } else { 0 }
        }))
    }

    /// Reads a blob into a buffer and returns its length; nothing when there is none under this key, or a part of it is missing.
    ///
    /// # Errors
    /// When the flash cannot be read, or the blob is longer than the buffer.
    pub fn blob(&mut self, namespace: u8, key: &str, into: &mut [u8]) -> Done<Option<usize>, F> {
        let kinds = [BLOB, BLOB_INDEX];
        let Some(entry) = self.find(|e| e.is(namespace, key) && kinds.contains(&e.kind()))? else {
            return Ok(None);
        };
        if entry.kind() == BLOB {
            return self.copy(&entry, into).map(Some);
        }
        let (size, [.., count, first, _, _]) = (entry.word(24) as usize, entry.bytes);
        if size > into.len() {
            return Err(NvsError::TooLong);
        }
        let mut done = 0;
        for n in 0..count {
            let part = first.wrapping_add(n);
            let found =
                self.find(|e| e.is(namespace, key) && e.kind() == BLOB_PART && e.part() == part)?;
            let (Some(found), Some(rest)) = (found, into.get_mut(done..)) else {
                return Ok(None);
            };
            done += self.copy(&found, rest)?;
        }
        Ok(Some(size).filter(|size| *size == done))
    }
}
