//! Where each slot is, and the header before a content: numbers and bytes only. Not what reads or writes them.

use super::{HEADER, MAGIC, SECTOR};
use crate::storage::{Slot, crc32};

/// Where a slot is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Bytes from the start of the region to the first copy.
    pub at: u32,
    /// Sectors of a copy.
    pub sectors: u32,
    /// One or two.
    pub copies: u32,
}

impl Place {
    pub const fn of(slot: Slot) -> Self {
        let (first, sectors, copies) = match slot {
            Slot::Settings => (0, 1, 2),
            Slot::KeysA => (2, 1, 1),
            Slot::KeysB => (3, 1, 1),
            Slot::JournalA => (4, 1, 1),
            Slot::JournalB => (5, 1, 1),
            Slot::Schedules => (8, 1, 2),
            Slot::State => (10, 1, 2),
            Slot::Queue => (12, 3, 2),
        };
        Place {
            at: first * SECTOR,
            sectors,
            copies,
        }
    }

    /// Most bytes of a content.
    pub const fn room(self) -> u32 {
        self.sectors * SECTOR - HEADER
    }

    pub const fn copy(self, number: u32) -> u32 {
        self.at + number * self.sectors * SECTOR
    }
}

/// What stands before a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub generation: u32,
    pub len: u32,
    pub crc: u32,
}

impl Header {
    pub fn parse(bytes: [u8; HEADER as usize]) -> Option<Self> {
        let [magic, generation, len, crc] = *bytes.as_chunks::<4>().0 else {
            return None;
        };
        (magic == MAGIC).then_some(Header {
            generation: u32::from_le_bytes(generation),
            len: u32::from_le_bytes(len),
            crc: u32::from_le_bytes(crc),
        })
    }

    pub fn bytes(self) -> [u8; HEADER as usize] {
        let mut out = [0; HEADER as usize];
        let fields = [
            MAGIC,
            self.generation.to_le_bytes(),
            self.len.to_le_bytes(),
            self.crc.to_le_bytes(),
        ];
        for (to, from) in out.as_chunks_mut::<4>().0.iter_mut().zip(fields) {
            *to = from;
        }
        out
    }

    /// The checksum over what of the header it covers.
    pub fn seed(generation: u32, len: u32) -> u32 {
        crc32(crc32(0, &generation.to_le_bytes()), &len.to_le_bytes())
    }

    /// Generations may wrap around; two copies are never far apart.
    pub const fn is_after(self, other: Header) -> bool {
        matches!(
            self.generation.wrapping_sub(other.generation),
            1..=0x7fff_ffff
        )
    }
}
