//! The count of starts in flash, with little wear: two words a start in a sector that is erased only when it is full, after 510
//! starts. Two sectors take turns, so that the count survives a power cut in any erase or write.
//!
//! A sector begins with a head of 16 bytes: the magic `ESB1`, the generation, the starts counted before, and CRC-32 over these
//! twelve bytes, little-endian. Then come pairs of words, each written once (flash that is encrypted or has ECC allows no more):
//! the first when the board starts (`0x424f4f00` and the slot), the second when it is known what became of that start: `0` when it
//! turned out good, `0x43555400` when something else than the firmware ended it, which the next start notes. A word that the power
//! tore counts as written; a torn second word says neither that the start was good nor that it failed.

use embedded_storage::nor_flash::NorFlash;

use crate::storage::crc32;
use crate::update::BootReason;

/// Bytes of the region: two sectors.
pub const BOOTS_BYTES: u32 = 2 * SECTOR;
/// Where it begins, from the start of the region that [`crate::records::region`] finds.
pub const BOOTS_OFFSET: u32 = 6 * SECTOR;
const SECTOR: u32 = 4096;
const MAGIC: u32 = 0x3142_5345; // "ESB1"
const HEAD: u32 = 16;
const PAIR: u32 = 8;
const PAIRS: u32 = (SECTOR - HEAD) / PAIR;
const STARTED: u32 = 0x424f_4f00; // "BOO" and the slot
const GOOD: u32 = 0;
const CUT: u32 = 0x4355_5400; // "CUT"
const BLANK: u32 = u32::MAX;

/// A handle on the word of this start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boots {
    /// Where the second word goes; none when this start could not be counted.
    settle_at: Option<u32>,
}

/// What the count says at a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The handle.
    pub boots: Boots,
    /// Starts before this one that failed in a row, with the image that runs now, at most 510. As many as safe mode takes when
    /// [`super::MAX_CUT`] in a row ended too early for whatever reason.
    pub failed: u32,
    /// Starts of this board so far, this one included; 0 when the flash does not tell.
    pub total: u32,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    generation: u32,
    before: u32,
}

/// What a sector holds.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    used: u32,
    /// Starts at the end, with this slot, of which none was good and the firmware ended this many.
    failed: u32,
    /// All of these starts, whoever ended them.
    early: u32,
    /// Whether it is not noted yet what became of the last start.
    open: bool,
}

impl Count {
    /// Adds a start by its two words.
    fn add(&mut self, started: u32, end: u32, slot: u8) {
        self.used += 1;
        self.open = end == BLANK;
        // A torn word names no slot that could be trusted: it counts for any.
        let known = (started & 0xffff_ff00 == STARTED).then_some(started & 0xff);
        if end == GOOD || known.is_some_and(|s| s != u32::from(slot)) {
            (self.failed, self.early) = (0, 0);
            return;
        }
        self.early += 1;
        self.failed += u32::from(self.open);
    }

    /// What counts towards safe mode.
    fn judged(&self) -> u32 {
        if self.early >= super::MAX_CUT {
            self.failed.max(super::MAX_FAILED)
        } else {
            self.failed
        }
    }
}

impl Boots {
    /// Counts a start with the image in `slot`. `at` is where the two sectors begin. `reason` says what ended the start before: one
    /// that the power, a button or a person ended has not failed. A flash that fails never keeps a board from starting: then
    /// nothing is counted, and nothing has failed.
    pub fn start<F: NorFlash>(flash: &mut F, at: u32, slot: u8, reason: BootReason) -> Start {
        let nothing = Start {
            boots: Boots { settle_at: None },
            failed: 0,
            total: 0,
        };
        count(flash, at, slot, reason).unwrap_or(nothing)
    }

    /// Notes that this start was good, or that it ends because the board wants to restart.
    ///
    /// # Errors
    /// When the flash cannot be written.
    pub fn settle<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), F::Error> {
        match self.settle_at.take() {
            Some(at) => flash.write(at, &GOOD.to_le_bytes()),
            None => Ok(()),
        }
    }
}

/// Says whether a start for this reason means that the firmware, or what it did, has ended the one before.
const fn is_failure(reason: BootReason) -> bool {
    match reason {
        BootReason::PowerOn | BootReason::Restart | BootReason::DeepSleep => false,
        BootReason::Panic | BootReason::Watchdog | BootReason::Brownout | BootReason::Unknown => {
            true
        }
    }
}

fn count<F: NorFlash>(flash: &mut F, at: u32, slot: u8, reason: BootReason) -> Option<Start> {
    let sectors = [at, at.checked_add(SECTOR)?];
    let heads = [head(flash, sectors[0])?, head(flash, sectors[1])?];
    let newest = match heads {
        [Some(a), Some(b)] if b.generation > a.generation => Some((1, b)),
        [Some(a), _] => Some((0, a)),
        [None, Some(b)] => Some((1, b)),
        [None, None] => None,
    };
    let Some((current, head)) = newest else {
        let first = Head {
            generation: 1,
            before: 0,
        };
        return fresh(flash, sectors[0], first, Count::default(), slot);
    };
    let sector = *sectors.get(current)?;
    let mut seen = scan(flash, sector, slot)?;
    if seen.open && !is_failure(reason) {
        let end = end_of(sector, seen.used - 1);
        // What cannot be noted counts as failed.
        if flash.write(end, &CUT.to_le_bytes()).is_ok() {
            seen = scan(flash, sector, slot)?;
        }
    }
    if seen.used < PAIRS {
        return note(flash, sector, head.before, seen, slot);
    }
    let next = Head {
        generation: head.generation.wrapping_add(1),
        before: head.before.saturating_add(PAIRS),
    };
    fresh(flash, *sectors.get(1 - current)?, next, seen, slot)
}

/// Begins a sector with this start. Failures go on to count: as many starts as failed in a row are noted again, as far as they
/// matter; those that something else ended are forgotten.
fn fresh<F: NorFlash>(
    flash: &mut F,
    sector: u32,
    head: Head,
    seen: Count,
    slot: u8,
) -> Option<Start> {
    let carried = seen.judged().min(super::MAX_FAILED);
    flash.erase(sector, sector + SECTOR).ok()?;
    for n in 0..=carried {
        write_start(flash, sector, n, slot)?;
    }
    let mut bytes = [0; HEAD as usize];
    bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[4..8].copy_from_slice(&head.generation.to_le_bytes());
    // The starts that are noted again are counted already.
    let before = head.before.saturating_sub(carried);
    bytes[8..12].copy_from_slice(&before.to_le_bytes());
    let crc = crc32(0, &bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    // The head comes last: without it the other sector counts.
    flash.write(sector, &bytes).ok()?;
    Some(Start {
        boots: Boots {
            settle_at: Some(end_of(sector, carried)),
        },
        failed: seen.judged(),
        total: before.saturating_add(carried).saturating_add(1),
    })
}

/// Notes this start behind what a sector holds.
fn note<F: NorFlash>(
    flash: &mut F,
    sector: u32,
    before: u32,
    seen: Count,
    slot: u8,
) -> Option<Start> {
    let noted = write_start(flash, sector, seen.used, slot).is_some();
    Some(Start {
        boots: Boots {
            settle_at: noted.then_some(end_of(sector, seen.used)),
        },
        failed: seen.judged(),
        total: before.saturating_add(seen.used).saturating_add(1),
    })
}

/// Where the second word of a pair is.
const fn end_of(sector: u32, n: u32) -> u32 {
    sector + HEAD + n * PAIR + 4
}

fn write_start<F: NorFlash>(flash: &mut F, sector: u32, n: u32, slot: u8) -> Option<()> {
    let word = STARTED | u32::from(slot);
    flash
        .write(sector + HEAD + n * PAIR, &word.to_le_bytes())
        .ok()
}

/// Reads the head of a sector; the outer none says that the flash cannot be read.
fn head<F: NorFlash>(flash: &mut F, sector: u32) -> Option<Option<Head>> {
    let mut bytes = [0; HEAD as usize];
    flash.read(sector, &mut bytes).ok()?;
    let word = |n: usize| {
        Some(u32::from_le_bytes(
            bytes.get(4 * n..)?.first_chunk().copied()?,
        ))
    };
    let sound = word(0)? == MAGIC && word(3)? == crc32(0, &bytes[..12]);
    let (generation, before) = (word(1)?, word(2)?);
    Some(sound.then_some(Head { generation, before }))
}

/// Counts the pairs that are written, and those at their end that never turned out good with this slot.
fn scan<F: NorFlash>(flash: &mut F, sector: u32, slot: u8) -> Option<Count> {
    let mut count = Count::default();
    for n in 0..PAIRS {
        let mut pair = [0; PAIR as usize];
        flash.read(sector + HEAD + n * PAIR, &mut pair).ok()?;
        let (started, end) = pair.split_at(4);
        let word = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.first_chunk().copied()?));
        let (started, end) = (word(started)?, word(end)?);
        if started == BLANK && end == BLANK {
            break;
        }
        count.add(started, end, slot);
    }
    Some(count)
}

#[cfg(test)]
#[path = "boots_tests.rs"]
mod tests;
