//! The records of a board: what updates need lies in four sectors of the flash chip, one record each, and a write that the power
//! cuts leaves what it leaves. The queue and the switches are kept beside it, whole or not at all.

use std::fs;
use std::path::PathBuf;

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use espalier_device::{Slot, Storage};

use super::{Flash, NVS, SECTOR};

/// The records of a board.
#[derive(Debug)]
pub struct Nvs {
    flash: Flash,
    queue: Vec<u8>,
    state: Vec<u8>,
    /// Where queue and switches are stored, when they outlive the process.
    files: Option<(PathBuf, PathBuf)>,
}

/// A record cannot be read or written.
#[derive(Debug)]
pub struct Unusable;

impl Nvs {
    /// Takes the records in a chip; those beside it live in memory.
    pub fn new(flash: Flash) -> Self {
        Nvs {
            flash,
            queue: Vec::new(),
            state: Vec::new(),
            files: None,
        }
    }

    /// Takes the records in a chip, and those beside it in files next to the file of the chip.
    pub fn in_files(flash: Flash, chip: &std::path::Path) -> Self {
        let files = (chip.with_extension("queue"), chip.with_extension("state"));
        Nvs {
            queue: fs::read(&files.0).unwrap_or_default(),
            state: fs::read(&files.1).unwrap_or_default(),
            files: Some(files),
            flash,
        }
    }

    fn place(slot: Slot) -> Option<u32> {
        let sector = match slot {
            Slot::Queue | Slot::State => return None,
            Slot::JournalA => 0,
            Slot::JournalB => 1,
            Slot::KeysA => 2,
            Slot::KeysB => 3,
        };
        Some(NVS + sector * SECTOR as u32)
    }
}

impl Storage for Nvs {
    type Error = Unusable;

    fn read(&mut self, slot: Slot, into: &mut [u8]) -> Result<usize, Unusable> {
        let Some(at) = Nvs::place(slot) else {
            let bytes = match slot {
                Slot::Queue => &self.queue,
                _ => &self.state,
            };
            into.get_mut(..bytes.len())
                .ok_or(Unusable)?
                .copy_from_slice(bytes);
            return Ok(bytes.len());
        };
        let mut sector = vec![0; SECTOR];
        self.flash.read(at, &mut sector).map_err(|_| Unusable)?;
        let (len, content) = sector.split_at(4);
        let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
        match content.get(..len) {
            Some(content) => {
                into.get_mut(..len)
                    .ok_or(Unusable)?
                    .copy_from_slice(content);
                Ok(len)
            }
            // Erased, or torn in its first word.
            None => Ok(0),
        }
    }

    fn write(&mut self, slot: Slot, parts: &[&[u8]]) -> Result<(), Unusable> {
        let content = parts.concat();
        let Some(at) = Nvs::place(slot) else {
            if self.flash.is_dead() {
                return Err(Unusable);
            }
            let (bytes, file) = match slot {
                Slot::Queue => (&mut self.queue, self.files.as_ref().map(|f| &f.0)),
                _ => (&mut self.state, self.files.as_ref().map(|f| &f.1)),
            };
            *bytes = content;
            return file
                .map_or(Ok(()), |file| fs::write(file, &bytes))
                .map_err(|_| Unusable);
        };
        let len = u32::try_from(content.len()).map_err(|_| Unusable)?;
        let mut record = len.to_le_bytes().to_vec();
        record.extend(content);
        record.resize(record.len().next_multiple_of(4), 0xff);
        let end = at + SECTOR as u32;
        self.flash.erase(at, end).map_err(|_| Unusable)?;
        self.flash.write(at, &record).map_err(|_| Unusable)
    }
}
