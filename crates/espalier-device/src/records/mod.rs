//! The records of a board in its flash: [`Storage`] over whole sectors, where a power cut leaves the old record or the new one.
//! Not a file system, and not what the records mean.
//!
//! # A record
//! Little-endian, at the start of a sector: `ESR1`, a generation (4 bytes), the length of the content (4), the CRC-32 (IEEE) over
//! generation, length and content (4), then the content, padded with `ff` to whole words. The header is written last: what the
//! power cuts has none, or one whose checksum is wrong.
//!
//! Most slots have two copies. The valid one with the highest generation is the record; a write goes over the other one. The
//! journal and the keys take turns themselves, as [`Slot::JournalA`] and [`Slot::JournalB`]: each of those is one sector.
//!
//! # Where
//! Sectors of 4096 bytes, counted from the start of the region that [`region`] finds:
//!
//! | sectors | slot |
//! |---|---|
//! | 0, 1 | [`Slot::Settings`] |
//! | 2, 3 | [`Slot::KeysA`], [`Slot::KeysB`] |
//! | 4, 5 | [`Slot::JournalA`], [`Slot::JournalB`] |
//! | 6, 7 | no record: the count of starts, [`crate::safe::Boots`] |
//! | 8, 9 | [`Slot::Schedules`] |
//! | 10, 11 | [`Slot::State`] |
//! | 12–14, 15–17 | [`Slot::Queue`] |
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | reading, writing, forgetting |
//! | `format.rs` | where a slot is, and what stands before its content |
//!
//! # Wear
//! A sector of such a chip bears about 100,000 erases, and each write erases one copy. So a slot with two copies bears 200,000
//! writes: [`Slot::Queue`], written every half minute in the first hour without a server and then every five minutes, lasts 23 months
//! of such weather. A write of what is stored already is not made and costs nothing.

mod format;

use core::fmt;

use embedded_storage::nor_flash::NorFlash;
use espalier_image::partitions::Table;
use format::{Header, Place};

use crate::state::STATE_IMAGE;
use crate::storage::{self, Slot, Storage, crc32};

/// Bytes of a sector.
pub const SECTOR: u32 = 4096;
/// Bytes that the records need; the region may be larger.
pub const REGION: u32 = 18 * SECTOR;
/// Bytes before the content of a record.
pub const HEADER: u32 = 16;
/// The first bytes of a record.
pub const MAGIC: [u8; 4] = *b"ESR1";
/// The name of the partition that holds the records.
pub const PARTITION: &str = "espalier";
/// The partition that holds them on boards whose table was made for other firmware.
pub const BORROWED: &str = "spiffs";
// What is larger than its place would be refused in every start.
const _: () = assert!(STATE_IMAGE + storage::ENVELOPE <= room(Slot::State) as usize);
/// Bytes that are read, compared or written at a time.
const CHUNK: usize = 256;

/// Why a record was not read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordsError<E> {
    /// The flash refused.
    Flash(E),
    /// The region does not begin at a sector, or has less than [`REGION`] bytes, or reaches beyond the flash.
    Region,
    /// The content is longer than the slot.
    TooLong,
    /// The buffer is shorter than the record.
    Buffer,
    /// The flash holds something else than what was written: it is worn out.
    NotKept,
}

impl<E: fmt::Debug> fmt::Display for RecordsError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordsError::Flash(error) => write!(f, "the flash refused: {error:?}"),
            RecordsError::Region => write!(
                f,
                "the records need {REGION} bytes of flash that begin at a sector"
            ),
            RecordsError::TooLong => f.write_str("the record is longer than its place in flash"),
            RecordsError::Buffer => f.write_str("the buffer is shorter than the stored record"),
            RecordsError::NotKept => {
                f.write_str("the flash did not keep what was written: it is worn out")
            }
        }
    }
}

impl<E: fmt::Debug> core::error::Error for RecordsError<E> {}

/// Finds the flash for the records in a partition table: where it begins and how many bytes it has.
///
/// That is the data partition named [`PARTITION`]; on a board that came from other firmware the one named [`BORROWED`], whose files
/// are then lost.
pub fn region(table: &Table) -> Option<(u32, u32)> {
    [PARTITION, BORROWED].into_iter().find_map(|name| {
        table
            .entries()
            .iter()
            .find(|e| e.kind == 1 && e.label == name && e.size >= REGION)
            .map(|e| (e.offset, e.size))
    })
}

/// The records of a board in one region of its flash.
#[derive(Debug)]
pub struct Records<F> {
    flash: F,
    offset: u32,
}

/// Returns how many bytes a slot takes.
pub const fn room(slot: Slot) -> u32 {
    Place::of(slot).room()
}

/// A record that was found.
#[derive(Clone, Copy)]
struct Found {
    /// Which copy.
    number: u32,
    header: Header,
}

type Done<T, F> = Result<T, RecordsError<<F as embedded_storage::nor_flash::ErrorType>::Error>>;

impl<F: NorFlash> Records<F> {
    /// Takes the region of a flash that begins at `offset` and has `size` bytes; nothing is read or written yet.
    ///
    /// # Errors
    /// Refuses a region that does not begin at a sector, is too small, or reaches beyond the flash.
    pub fn new(flash: F, offset: u32, size: u32) -> Done<Self, F> {
        const {
            assert!(
                4 % F::WRITE_SIZE == 0 && 4 % F::READ_SIZE == 0,
                "records are made of words"
            );
            assert!(
                (SECTOR as usize).is_multiple_of(F::ERASE_SIZE),
                "records are made of sectors"
            );
        };
        let end = offset
            .checked_add(size)
            .filter(|end| *end as usize <= flash.capacity());
        if !offset.is_multiple_of(SECTOR) || size < REGION || end.is_none() {
            return Err(RecordsError::Region);
        }
        Ok(Records { flash, offset })
    }

    /// Returns the flash.
    pub const fn flash(&mut self) -> &mut F {
        &mut self.flash
    }

    fn get(&mut self, at: u32, into: &mut [u8]) -> Done<(), F> {
        self.flash
            .read(self.offset + at, into)
            .map_err(RecordsError::Flash)
    }

    /// Hands a content to `each`, chunk by chunk, until that returns false.
    fn walk(&mut self, at: u32, len: u32, mut each: impl FnMut(&[u8]) -> bool) -> Done<(), F> {
        let mut chunk = [0; CHUNK];
        let mut done = 0;
        while done < len {
            let count = (len - done).min(CHUNK as u32);
            let words = &mut chunk[..count.next_multiple_of(4) as usize];
            self.get(at + HEADER + done, words)?;
            if !each(&words[..count as usize]) {
                break;
            }
            done += count;
        }
        Ok(())
    }

    /// Reads the header of a copy; nothing when there is none.
    fn header(&mut self, place: Place, number: u32) -> Done<Option<Header>, F> {
        let mut bytes = [0; HEADER as usize];
        self.get(place.copy(number), &mut bytes)?;
        Ok(Header::parse(bytes).filter(|header| header.len <= place.room()))
    }

    fn is_whole(&mut self, place: Place, number: u32, header: Header) -> Done<bool, F> {
        let mut crc = Header::seed(header.generation, header.len);
        self.walk(place.copy(number), header.len, |bytes| {
            crc = crc32(crc, bytes);
            true
        })?;
        Ok(crc == header.crc)
    }

    /// Finds the record of a slot.
    fn newest(&mut self, place: Place) -> Done<Option<Found>, F> {
        let mut newest: Option<Found> = None;
        for number in 0..place.copies {
            let Some(header) = self.header(place, number)? else {
                continue;
            };
            let is_newer = newest.is_none_or(|n| header.is_after(n.header));
            if is_newer && self.is_whole(place, number, header)? {
                newest = Some(Found { number, header });
            }
        }
        Ok(newest)
    }

    /// Says whether a record holds this content.
    fn holds(&mut self, place: Place, found: Found, parts: &[&[u8]]) -> Done<bool, F> {
        let mut content = parts.iter().copied().flatten();
        let mut same = true;
        self.walk(place.copy(found.number), found.header.len, |bytes| {
            same = bytes.iter().all(|byte| content.next() == Some(byte));
            same
        })?;
        Ok(same && content.next().is_none())
    }

    fn erase(&mut self, at: u32, sectors: u32) -> Done<(), F> {
        let from = self.offset + at;
        self.flash
            .erase(from, from + sectors * SECTOR)
            .map_err(RecordsError::Flash)
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> Done<(), F> {
        self.flash
            .write(self.offset + at, bytes)
            .map_err(RecordsError::Flash)
    }

    /// Writes a content behind the place of its header.
    fn put_content(&mut self, at: u32, parts: &[&[u8]]) -> Done<(), F> {
        let mut chunk = [0xff; CHUNK];
        let (mut held, mut at) = (0, at + HEADER);
        for byte in parts.iter().copied().flatten() {
            chunk[held] = *byte;
            held += 1;
            if held == CHUNK {
                self.put(at, &chunk)?;
                (chunk, held, at) = ([0xff; CHUNK], 0, at + CHUNK as u32);
            }
        }
        match held {
            0 => Ok(()),
            _ => self.put(at, &chunk[..held.next_multiple_of(4)]),
        }
    }
}

impl<F: NorFlash> Storage for Records<F> {
    type Error = RecordsError<F::Error>;

    fn read(&mut self, slot: Slot, into: &mut [u8]) -> Result<usize, Self::Error> {
        let place = Place::of(slot);
        let Some(found) = self.newest(place)? else {
            return Ok(0);
        };
        let len = found.header.len as usize;
        let into = into.get_mut(..len).ok_or(RecordsError::Buffer)?;
        let mut left = into;
        self.walk(place.copy(found.number), found.header.len, |bytes| {
            // A slice of the same length in steps of the same size.
            let (now, rest) = core::mem::take(&mut left).split_at_mut(bytes.len());
            now.copy_from_slice(bytes);
            left = rest;
            true
        })?;
        Ok(len)
    }

    fn write(&mut self, slot: Slot, parts: &[&[u8]]) -> Result<(), Self::Error> {
        let place = Place::of(slot);
        let len = parts
            .iter()
            .try_fold(0_u32, |sum, part| {
                sum.checked_add(u32::try_from(part.len()).ok()?)
            })
            .filter(|len| *len <= place.room())
            .ok_or(RecordsError::TooLong)?;
        let newest = self.newest(place)?;
        if let Some(found) = newest
            && self.holds(place, found, parts)?
        {
            return Ok(());
        }
        let (number, generation) = match newest {
            _ if place.copies == 1 => (0, 0),
            None => (0, 1),
            Some(found) => (1 - found.number, found.header.generation.wrapping_add(1)),
        };
        let crc = parts
            .iter()
            .fold(Header::seed(generation, len), |crc, part| crc32(crc, part));
        let header = Header {
            generation,
            len,
            crc,
        };
        let at = place.copy(number);
        self.erase(at, (HEADER + len).div_ceil(SECTOR))?;
        self.put_content(at, parts)?;
        self.put(at, &header.bytes())?;
        let kept = self.header(place, number)? == Some(header);
        if kept && self.is_whole(place, number, header)? {
            Ok(())
        } else {
            Err(RecordsError::NotKept)
        }
    }

    /// Erases the copies of a slot, the older one first: a power cut leaves the record or nothing, never the one before it.
    fn forget(&mut self, slot: Slot) -> Result<(), Self::Error> {
        let place = Place::of(slot);
        let last = self.newest(place)?.map_or(0, |found| found.number);
        for step in 1..=place.copies {
            let number = (last + step) % place.copies;
            self.erase(place.copy(number), place.sectors)?;
        }
        Ok(())
    }

    fn scrub(&mut self, slot: Slot) -> Result<(), Self::Error> {
        let place = Place::of(slot);
        let Some(found) = self.newest(place)? else {
            return self.forget(slot);
        };
        for number in (0..place.copies).filter(|number| *number != found.number) {
            self.erase(place.copy(number), place.sectors)?;
        }
        Ok(())
    }
}
