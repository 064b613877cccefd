//! The ESP-IDF bootloader as far as updates see it: it follows the OTA data, checks the whole image before it starts it, and
//! tries the other slots when the image is broken. It takes nothing back by itself; that is the boot gate's.

use embedded_storage::nor_flash::ReadNorFlash;
use espalier_image::app;
use espalier_image::chip::Chip;
use espalier_image::otadata::{self, OtaData, State};

use super::{Flash, FlashError, OTADATA, SLOTS};

/// What starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The slot.
    pub slot: u8,
    /// The image's file, without signature blocks.
    pub image: Vec<u8>,
}

/// Starts a board of this chip; none when no slot holds an image that may start, which is what people call bricked.
///
/// # Errors
/// When the flash has no power.
pub fn start(flash: &mut Flash, chip: Chip) -> Result<Option<Started>, FlashError> {
    let data = OtaData::read(flash, OTADATA)?;
    let count = SLOTS.len() as u8;
    if data.entries().iter().all(Option::is_none) {
        // It decides for the first slot before it knows whether that one starts.
        let written = otadata::choose(flash, OTADATA, count, 0, State::Valid);
        if let Err(otadata::OtaDataError::Flash(error)) = written {
            return Err(error);
        }
    }
    let first = data.selected(count);
    // Down from the chosen slot, then up from it, as the real one searches.
    let order = (0..=first).rev().chain(first + 1..count);
    for slot in order {
        if let Some(image) = image(flash, slot, chip)? {
            return Ok(Some(Started { slot, image }));
        }
    }
    Ok(None)
}

/// Returns the image in a slot when the chip may start it.
///
/// # Errors
/// When the flash has no power.
pub fn image(flash: &mut Flash, slot: u8, chip: Chip) -> Result<Option<Vec<u8>>, FlashError> {
    let part = SLOTS[usize::from(slot)];
    let mut head = [0; app::HEAD];
    flash.read(part.offset, &mut head)?;
    let Ok(head) = app::Head::parse(&head) else {
        return Ok(None);
    };
    let mut at = 24_u64;
    for _ in 0..head.segments {
        if at + 8 > u64::from(part.size) {
            return Ok(None);
        }
        let mut header = [0; 8];
        flash.read(part.offset + at as u32, &mut header)?;
        let [_, _, _, _, a, b, c, d] = header;
        at += 8 + u64::from(u32::from_le_bytes([a, b, c, d]));
    }
    let end = (at | 15) + if head.hash_appended { 33 } else { 1 };
    if end > u64::from(part.size) {
        return Ok(None);
    }
    let mut bytes = vec![0; end as usize];
    flash.read(part.offset, &mut bytes)?;
    let sound = app::parse(&bytes).is_ok_and(|image| image.head.chip == chip);
    Ok(sound.then_some(bytes))
}
