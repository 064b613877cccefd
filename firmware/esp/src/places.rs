//! Where things are in this board's flash: the partition table, the slot that runs, the region of the records. Reads only.

use embedded_storage::nor_flash::ReadNorFlash;
use espalier_device::records;
use espalier_device::settings::nvs;
use espalier_device::update::{Layout, Part};
use espalier_image::partitions::{Entry, OFFSET, SIZE, Table};
use heapless::Vec;

use crate::chip;
use crate::flash::Flash;

/// What the partition table says.
pub struct Places {
    /// The OTA slots and the OTA data.
    pub layout: Layout,
    /// The slot that runs.
    pub booted: u8,
    /// The region of the records.
    pub records: Part,
    /// Where ESP-IDF keeps settings: other firmware may have left some. Offset and bytes.
    pub nvs: Option<(u32, u32)>,
}

/// Why this board cannot be used as it is.
#[derive(Debug, Clone, Copy)]
pub enum Unusable {
    /// The flash cannot be read, or holds no partition table.
    NoTable,
    /// There are not two slots and OTA data.
    NoSlots,
    /// What runs is in none of the slots.
    NotInSlot,
    /// There is no partition for the records.
    NoRecords,
}

impl Unusable {
    /// Says in one sentence what is wrong and what helps.
    pub const fn as_str(self) -> &'static str {
        match self {
            Unusable::NoTable => {
                "The flash holds no partition table that can be read: flash the whole kit over USB."
            }
            Unusable::NoSlots => {
                "The partition table has no two OTA slots with OTA data: flash the whole kit over USB."
            }
            Unusable::NotInSlot => {
                "This firmware does not run from an OTA slot, so that it cannot be updated: flash the whole kit over USB."
            }
            Unusable::NoRecords => {
                "There is no partition `espalier`, and no `spiffs` of 72 kB, for the settings: flash the whole kit over USB."
            }
        }
    }
}

impl Places {
    /// Reads the partition table and finds what runs.
    ///
    /// # Errors
    /// Says why the board cannot be used.
    // The table needs several kilobytes, which must not stay on the stack of the caller.
    #[inline(never)]
    pub fn read(flash: &mut Flash) -> Result<Self, Unusable> {
        let mut bytes = [0; SIZE];
        flash
            .read(OFFSET as u32, &mut bytes)
            .map_err(|_| Unusable::NoTable)?;
        let table = Table::parse(&bytes).map_err(|_| Unusable::NoTable)?;
        let ota = table.ota().map_err(|_| Unusable::NoSlots)?;
        let mut slots: Vec<(u8, Part), 4> = Vec::new();
        for entry in table.entries() {
            if let Some(number) = entry.slot() {
                slots
                    .push((number, part(entry)))
                    .map_err(|_| Unusable::NoSlots)?;
            }
        }
        slots.sort_unstable_by_key(|&(number, _)| number);
        let parts: Vec<Part, 4> = slots.iter().map(|&(_, part)| part).collect();
        let layout = Layout::new(ota.data_offset, &parts).ok_or(Unusable::NoSlots)?;
        let at = chip::booted_from();
        let booted = parts
            .iter()
            .position(|part| part.offset == at)
            .and_then(|slot| u8::try_from(slot).ok())
            .ok_or(Unusable::NotInSlot)?;
        let (offset, size) = records::region(&table).ok_or(Unusable::NoRecords)?;
        Ok(Places {
            layout,
            booted,
            records: Part { offset, size },
            nvs: nvs::region(&table),
        })
    }

    /// Lets the flash be written where this firmware has to write: not the slot that runs.
    pub fn unfence(&self, flash: &Flash) -> bool {
        let mut all = flash.open(self.layout.otadata, 2 * 4096);
        all &= flash.open(self.records.offset, self.records.size);
        for (slot, part) in (0u8..).zip(&self.layout.slots) {
            if slot != self.booted {
                all &= flash.open(part.offset, part.size);
            }
        }
        all
    }
}

fn part(entry: &Entry) -> Part {
    Part {
        offset: entry.offset,
        size: entry.size,
    }
}
