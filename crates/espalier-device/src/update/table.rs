//! Where everything is in the flash of a board of 4 MB: `firmware/partitions.csv` as numbers, for boards that have no partition table
//! to read. A test compares both.

use super::layout::{Layout, Part};

/// Bytes of the flash.
pub const FLASH: u32 = 4 << 20;
/// Where the OTA data begin, two sectors.
pub const OTADATA: u32 = 0xd000;
/// The two slots for firmware.
pub const SLOTS: [Part; 2] = [
    Part {
        offset: 0x1_0000,
        size: 0x1e_0000,
    },
    Part {
        offset: 0x1f_0000,
        size: 0x1e_0000,
    },
];
/// What the board keeps.
pub const RECORDS: Part = Part {
    offset: 0x3d_0000,
    size: 0x2_0000,
};

/// Returns where updates are.
pub fn layout() -> Layout {
    Layout {
        otadata: OTADATA,
        slots: SLOTS.into_iter().collect(),
    }
}
