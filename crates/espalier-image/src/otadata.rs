//! OTA data: the two entries by which the ESP-IDF bootloader chooses the slot that it starts. Reading them as it does, and
//! changing them so that the power may fail at any moment. Not the decision which slot that should be.
//!
//! Each entry has a sector of its own: sequence number, label, state, checksum over the sequence number. The bootloader
//! takes the valid entry with the highest number `n` and starts slot `(n - 1) % slots`. Every change here is written
//! into the sector that is *not* in use, with a higher number and its checksum last: until that is there the old entry holds.

use core::fmt;

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};

use crate::bytes::{array, crc32, u32_at};

/// Bytes of one entry.
pub const ENTRY: usize = 32;
/// Bytes of one sector; the partition has two.
pub const SECTOR: u32 = 4096;
/// Highest sequence number that counts; the next one reads as erased.
pub const MAX_SEQUENCE: u32 = u32::MAX - 1;

/// What is known of the image in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Chosen, and not started since.
    New,
    /// Started, and not confirmed.
    PendingVerify,
    /// Confirmed.
    Valid,
    /// Found to be bad; never started.
    Invalid,
    /// Given up after a start without confirmation; never started.
    Aborted,
    /// Nothing is said: the image is simply started.
    Undefined,
}

impl State {
    /// Returns the number in flash.
    pub const fn to_u32(self) -> u32 {
        match self {
            State::New => 0,
            State::PendingVerify => 1,
            State::Valid => 2,
            State::Invalid => 3,
            State::Aborted => 4,
            State::Undefined => u32::MAX,
        }
    }

    /// Reads the number in flash; what the bootloader does not know means nothing to it.
    pub const fn from_u32(number: u32) -> Self {
        match number {
            0 => State::New,
            1 => State::PendingVerify,
            2 => State::Valid,
            3 => State::Invalid,
            4 => State::Aborted,
            _ => State::Undefined,
        }
    }

    /// Says whether the bootloader passes over an entry with this state.
    pub const fn is_refused(self) -> bool {
        matches!(self, State::Invalid | State::Aborted)
    }
}

/// One entry as it is in flash, its checksum being right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The sequence number.
    pub sequence: u32,
    /// The label, which the bootloader does not read.
    pub label: [u8; 20],
    /// The state of the slot that the number means.
    pub state: State,
}

impl Entry {
    /// Makes an entry without a label.
    pub const fn new(sequence: u32, state: State) -> Self {
        Entry {
            sequence,
            label: [0xff; 20],
            state,
        }
    }

    /// Reads an entry at the beginning of `bytes`; none when it is erased, torn, or not whole.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let entry = Entry {
            sequence: u32_at(bytes, 0)?,
            label: array(bytes, 4)?,
            state: State::from_u32(u32_at(bytes, 24)?),
        };
        let sound = u32_at(bytes, 28)? == checksum(entry.sequence);
        (sound && entry.sequence <= MAX_SEQUENCE).then_some(entry)
    }

    /// Returns the bytes for the flash.
    pub fn to_bytes(self) -> [u8; ENTRY] {
        let mut bytes = [0xff; ENTRY];
        bytes[..4].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[4..24].copy_from_slice(&self.label);
        bytes[24..28].copy_from_slice(&self.state.to_u32().to_le_bytes());
        bytes[28..].copy_from_slice(&checksum(self.sequence).to_le_bytes());
        bytes
    }

    /// Returns the slot that the number means among `slots`; slot 0 when there are none.
    pub fn slot(&self, slots: u8) -> u8 {
        // The bootloader subtracts without looking, so the number 0 means what wraps around.
        let raw = self
            .sequence
            .wrapping_sub(1)
            .checked_rem(u32::from(slots))
            .unwrap_or(0);
        u8::try_from(raw).unwrap_or(0)
    }
}

/// The checksum of an entry: the CRC-32 of the ROM, started with all ones, over the sequence number.
pub fn checksum(sequence: u32) -> u32 {
    crc32(u32::MAX, &sequence.to_le_bytes())
}

/// Why OTA data could not be read or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtaDataError<E> {
    /// The flash failed.
    Flash(E),
    /// What was written reads back differently.
    ReadBack,
    /// There is no such slot.
    NoSlot,
}

impl<E: fmt::Debug> fmt::Display for OtaDataError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OtaDataError::Flash(error) => write!(f, "the flash failed: {error:?}"),
            OtaDataError::ReadBack => {
                f.write_str("the OTA data reads back differently than it was written")
            }
            OtaDataError::NoSlot => f.write_str("the partition table has no such OTA slot"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for OtaDataError<E> {}

/// Both entries, as read from flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtaData {
    entries: [Option<Entry>; 2],
}

impl OtaData {
    /// Reads the partition at `offset`.
    ///
    /// # Errors
    /// When the flash cannot be read.
    pub fn read<F: ReadNorFlash>(flash: &mut F, offset: u32) -> Result<Self, F::Error> {
        let mut entries = [None; 2];
        for (entry, at) in entries.iter_mut().zip([offset, offset + SECTOR]) {
            let mut bytes = [0; ENTRY];
            flash.read(at, &mut bytes)?;
            *entry = Entry::parse(&bytes);
        }
        Ok(OtaData { entries })
    }

    /// Takes the entries as they are.
    pub const fn from_entries(entries: [Option<Entry>; 2]) -> Self {
        OtaData { entries }
    }

    /// Returns both entries, also those that the bootloader passes over.
    pub const fn entries(&self) -> &[Option<Entry>; 2] {
        &self.entries
    }

    /// Returns the entry in use and its sector; none when the bootloader finds no entry to follow.
    pub fn active(&self) -> Option<(usize, Entry)> {
        let usable = |at: usize| {
            self.entries[at]
                .filter(|entry| !entry.state.is_refused())
                .map(|entry| (at, entry))
        };
        match (usable(0), usable(1)) {
            (Some(first), Some(second)) if second.1.sequence > first.1.sequence => Some(second),
            (Some(first), _) => Some(first),
            (None, second) => second,
        }
    }

    /// Returns the slot that the bootloader tries first, among `slots` and without a factory partition. With blank
    /// OTA data that is slot 0.
    pub fn selected(&self, slots: u8) -> u8 {
        self.active().map_or(0, |(_, entry)| entry.slot(slots))
    }

    /// Returns the state of the entry in use.
    pub fn state(&self) -> State {
        self.active()
            .map_or(State::Undefined, |(_, entry)| entry.state)
    }

    /// Returns what [`choose`] would write for a slot: the sector and the entry.
    pub fn plan(&self, slots: u8, slot: u8, state: State) -> Option<(usize, Entry)> {
        if slot >= slots {
            return None;
        }
        let (sector, after) = match self.active() {
            Some((sector, entry)) => (1 - sector, entry.sequence),
            // An entry that nobody follows still counts: numbers do not go back.
            None => (
                0,
                self.entries
                    .iter()
                    .flatten()
                    .map(|e| e.sequence)
                    .max()
                    .unwrap_or(0),
            ),
        };
        let sequence = next_sequence(after, slots, slot);
        // At the end of the numbers counting starts again; `choose` then erases the old entry.
        let sequence = sequence.unwrap_or(u32::from(slot) + 1);
        Some((sector, Entry::new(sequence, state)))
    }
}

/// The lowest number above `after` that means `slot`.
fn next_sequence(after: u32, slots: u8, slot: u8) -> Option<u32> {
    let slots = u32::from(slots);
    let first = after.checked_add(1)?;
    // What `first` means, and how far it is from there to the slot.
    let meant = first.checked_sub(1)?.checked_rem(slots)?;
    let steps = (u32::from(slot) + slots - meant) % slots;
    first.checked_add(steps).filter(|n| *n <= MAX_SEQUENCE)
}

/// Makes the bootloader start `slot` from now on, with a state. Until the write is complete it starts what it did before.
///
/// # Errors
/// When the slot does not exist or the flash fails; the old choice then still holds.
pub fn choose<F: NorFlash>(
    flash: &mut F,
    offset: u32,
    slots: u8,
    slot: u8,
    state: State,
) -> Result<Entry, OtaDataError<F::Error>> {
    let data = OtaData::read(flash, offset).map_err(OtaDataError::Flash)?;
    let (sector, entry) = data.plan(slots, slot, state).ok_or(OtaDataError::NoSlot)?;
    if data.entries[sector].is_some_and(|other| other.state.is_refused()) {
        spoil(flash, offset, sector)?;
    }
    put(flash, offset, sector, entry)?;
    if let Some((old, before)) = data.active()
        && before.sequence >= entry.sequence
    {
        // Counting has started again: the new entry counts once the old one is gone.
        spoil(flash, offset, old)?;
        erase(flash, offset, old)?;
    }
    Ok(entry)
}

/// Changes the state of the slot that is chosen now. The choice itself holds at every moment.
///
/// # Errors
/// When the flash fails; the old state then still holds.
pub fn set_state<F: NorFlash>(
    flash: &mut F,
    offset: u32,
    slots: u8,
    state: State,
) -> Result<Entry, OtaDataError<F::Error>> {
    let slot = OtaData::read(flash, offset)
        .map_err(OtaDataError::Flash)?
        .selected(slots);
    choose(flash, offset, slots, slot, state)
}

/// Marks the entry that is not in use as aborted when it means `slot`, so that no bootloader ever returns to it.
///
/// # Errors
/// When the flash fails; the entry in use is not touched.
pub fn abort_other<F: NorFlash>(
    flash: &mut F,
    offset: u32,
    slots: u8,
    slot: u8,
) -> Result<(), OtaDataError<F::Error>> {
    let data = OtaData::read(flash, offset).map_err(OtaDataError::Flash)?;
    let Some((used, _)) = data.active() else {
        return Ok(());
    };
    match data.entries[1 - used] {
        Some(other) if other.slot(slots) == slot && !other.state.is_refused() => {
            let aborted = Entry {
                state: State::Aborted,
                ..other
            };
            put(flash, offset, 1 - used, aborted)
        }
        _ => Ok(()),
    }
}

fn sector_at(offset: u32, sector: usize) -> u32 {
    if sector == 0 { offset } else { offset + SECTOR }
}

/// Makes an entry count for nothing before it is erased: an erase that breaks off may change the state and leave the rest.
///
/// No two numbers share a checksum, so that an entry whose checksum goes, at once or bit by bit, is what it was or is none. The
/// number stays: erased bits are the checksum of number 0. Flash that is written in larger pieces holds the state beside
/// the checksum, and there the number goes.
fn spoil<F: NorFlash>(
    flash: &mut F,
    offset: u32,
    sector: usize,
) -> Result<(), OtaDataError<F::Error>> {
    let (from, len) = if F::WRITE_SIZE <= 4 {
        (28, 4)
    } else {
        (0, F::WRITE_SIZE.min(ENTRY))
    };
    flash
        .write(sector_at(offset, sector) + from, &[0; ENTRY][..len])
        .map_err(OtaDataError::Flash)
}

fn erase<F: NorFlash>(
    flash: &mut F,
    offset: u32,
    sector: usize,
) -> Result<(), OtaDataError<F::Error>> {
    let at = sector_at(offset, sector);
    flash.erase(at, at + SECTOR).map_err(OtaDataError::Flash)
}

fn put<F: NorFlash>(
    flash: &mut F,
    offset: u32,
    sector: usize,
    entry: Entry,
) -> Result<(), OtaDataError<F::Error>> {
    erase(flash, offset, sector)?;
    let (at, bytes) = (sector_at(offset, sector), entry.to_bytes());
    // The checksum is last: a write that breaks off anywhere before it, in whatever order the flash sets its bits, leaves no entry.
    let parts: &[(u32, &[u8])] = if F::WRITE_SIZE <= 4 {
        &[(4, &bytes[4..28]), (0, &bytes[..4]), (28, &bytes[28..])]
    } else {
        &[(0, &bytes)]
    };
    for (from, part) in parts {
        flash.write(at + from, part).map_err(OtaDataError::Flash)?;
    }
    let mut back = [0; ENTRY];
    flash.read(at, &mut back).map_err(OtaDataError::Flash)?;
    if back == bytes {
        Ok(())
    } else {
        Err(OtaDataError::ReadBack)
    }
}

#[cfg(test)]
#[path = "otadata_tests.rs"]
mod tests;
