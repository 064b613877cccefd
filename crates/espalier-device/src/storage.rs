//! What must survive a restart, and how a torn write is recognised. Not a flash driver.

/// The things that the core stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Samples that the server has not acknowledged.
    Queue,
    /// The values of the switches.
    State,
    /// What is remembered of firmware updates, and the copy that was written before: at most 524 bytes each.
    JournalA,
    /// The other copy.
    JournalB,
    /// The keys that sign firmware, and the set that was stored before: at most 276 bytes each.
    KeysA,
    /// The other set.
    KeysB,
    /// Who the board is and how it reaches its server: [`crate::settings`].
    Settings,
    /// What happens by the clock, also without a server.
    Schedules,
}

/// Storage that survives a restart: NVS on a chip, memory or a file in the simulator.
pub trait Storage {
    /// Why storing failed.
    type Error;

    /// Reads a slot into `into` and returns how many bytes it holds; 0 when it was never written.
    ///
    /// # Errors
    /// When the medium cannot be read, or `into` is too small.
    fn read(&mut self, slot: Slot, into: &mut [u8]) -> Result<usize, Self::Error>;

    /// Replaces a slot by the concatenation of `parts`.
    ///
    /// # Errors
    /// When the medium cannot be written.
    fn write(&mut self, slot: Slot, parts: &[&[u8]]) -> Result<(), Self::Error>;

    /// Empties a slot, so that it reads as one that was never written; nothing of it should stay on the medium.
    ///
    /// # Errors
    /// When the medium cannot be written.
    fn forget(&mut self, slot: Slot) -> Result<(), Self::Error> {
        self.write(slot, &[])
    }

    /// Erases what is left of earlier contents of a slot and keeps what it holds now.
    ///
    /// # Errors
    /// When the medium cannot be written.
    fn scrub(&mut self, _slot: Slot) -> Result<(), Self::Error> {
        // Most media keep one content.
        Ok(())
    }
}

/// Bytes before the content of a slot: a format number, the length, and a checksum over the content.
pub(crate) const ENVELOPE: usize = 12;
const FORMAT: u32 = 0x4553_5031; // "ESP1"

/// Returns the envelope for a content.
pub(crate) fn seal(content: &[u8]) -> [u8; ENVELOPE] {
    seal_for(0, content)
}

/// Returns the envelope for a content that only its owner finds again: the checksum begins with the owner's number.
pub(crate) fn seal_for(owner: u32, content: &[u8]) -> [u8; ENVELOPE] {
    let mut out = [0; ENVELOPE];
    out[..4].copy_from_slice(&FORMAT.to_le_bytes());
    out[4..8].copy_from_slice(
        &u32::try_from(content.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes(),
    );
    out[8..].copy_from_slice(&crc32(owner, content).to_le_bytes());
    out
}

/// Returns the content of a stored slot, unless the power failed while it was written.
pub(crate) fn open(stored: &[u8]) -> Option<&[u8]> {
    open_of(0, stored)
}

/// Returns the content of a stored slot when it is this owner's.
pub(crate) fn open_of(owner: u32, stored: &[u8]) -> Option<&[u8]> {
    let (envelope, content) = stored.split_at_checked(ENVELOPE)?;
    (envelope == seal_for(owner, content)).then_some(content)
}

/// The checksum's steps for the sixteen values of half a byte: a small table, for records of a few kilobytes.
const CRC_STEPS: [u32; 16] = {
    let mut steps = [0; 16];
    let mut half = 0;
    while half < 16 {
        let (mut step, mut bit) = (half as u32, 0);
        while bit < 4 {
            step = (step >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(step & 1));
            bit += 1;
        }
        steps[half] = step;
        half += 1;
    }
    steps
};

/// CRC-32 (IEEE), continued from the one of the bytes before, 0 at first.
pub(crate) fn crc32(before: u32, bytes: &[u8]) -> u32 {
    let half = |crc: u32| (crc >> 4) ^ CRC_STEPS[(crc & 15) as usize];
    !bytes
        .iter()
        .fold(!before, |crc, byte| half(half(crc ^ u32::from(*byte))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_write_is_recognised() {
        assert_eq!(crc32(0, b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(crc32(0, b"1234"), b"56789"), 0xcbf4_3926);
        let content = b"four samples";
        let mut stored = [0; ENVELOPE + 12];
        stored[..ENVELOPE].copy_from_slice(&seal(content));
        stored[ENVELOPE..].copy_from_slice(content);
        assert_eq!(open(&stored), Some(&content[..]));
        for cut in 0..stored.len() {
            assert_eq!(open(&stored[..cut]), None);
        }
        stored[20] ^= 1;
        assert_eq!(open(&stored), None);
        stored[20] ^= 1;
        stored[..ENVELOPE].copy_from_slice(&seal_for(7, content));
        assert_eq!((open(&stored), open_of(8, &stored)), (None, None));
        assert_eq!(open_of(7, &stored), Some(&content[..]));
    }
}
