//! The file that is the flash of an emulated board: erased, an image in the first slot, and settings when the board is to believe
//! somebody over `https`. Who the board is, where its server is and who signs its firmware, it is told over its serial line.

use anyhow::{Context, Result, anyhow, ensure};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use espalier_device::records::Records;
use espalier_device::settings::Settings;
use espalier_device::update::table::{FLASH, RECORDS, SLOTS};

/// Flash in memory; whoever writes it here does so as a chip allows.
struct Memory(Vec<u8>);

#[derive(Debug)]
struct Misused;

impl NorFlashError for Misused {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl ErrorType for Memory {
    type Error = Misused;
}

impl ReadNorFlash for Memory {
    const READ_SIZE: usize = 4;

    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), Misused> {
        let at = at as usize;
        into.copy_from_slice(self.0.get(at..at + into.len()).ok_or(Misused)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        FLASH as usize
    }
}

impl NorFlash for Memory {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Misused> {
        let sector = self.0.get_mut(from as usize..to as usize).ok_or(Misused)?;
        sector.fill(0xff);
        Ok(())
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Misused> {
        let at = at as usize;
        let cells = self.0.get_mut(at..at + bytes.len()).ok_or(Misused)?;
        for (cell, byte) in cells.iter_mut().zip(bytes) {
            *cell &= byte;
        }
        Ok(())
    }
}

/// Makes a flash.
///
/// # Errors
/// When the image does not fit, or the authority is too long.
pub fn make(image: &[u8], authority: Option<&[u8]>) -> Result<Vec<u8>> {
    let slot = SLOTS[0];
    ensure!(
        image.len() <= slot.size as usize,
        "the image is larger than its slot"
    );
    let mut flash = Memory(vec![0xff; FLASH as usize]);
    flash.0[slot.offset as usize..][..image.len()].copy_from_slice(image);
    let Some(authority) = authority else {
        return Ok(flash.0);
    };
    let mut settings = Settings::default();
    settings
        .set_ca(authority)
        .map_err(|error| anyhow!("{error}"))?;
    let mut records = Records::new(flash, RECORDS.offset, RECORDS.size)
        .ok()
        .context("the records do not fit the flash")?;
    settings
        .store(&mut records)
        .map_err(|_| anyhow!("the settings do not fit the flash"))?;
    Ok(std::mem::take(&mut records.flash().0))
}
