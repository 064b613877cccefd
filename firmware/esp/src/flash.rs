//! The flash of the chip as the core wants it, with a fence: nothing but the slots that do not run, the OTA data and the
//! region of the records can be erased or written. Not a partition table.

use core::cell::RefCell;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use esp_storage::{FlashStorage, FlashStorageError};
use heapless::Vec;
use static_cell::StaticCell;

/// Most places that may be written.
const GATES: usize = 8;
/// Bytes that are read or written at once: the ROM wants aligned memory, and callers may have any.
const BOUNCE: usize = 256;

/// Why the flash refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashError {
    /// The driver or the chip failed, or the place is not aligned or does not exist.
    Driver(FlashStorageError),
    /// The place is one that this firmware never writes: the bootloader, the partition table, or the image that runs.
    Fenced,
}

impl From<FlashStorageError> for FlashError {
    fn from(error: FlashStorageError) -> Self {
        FlashError::Driver(error)
    }
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            FlashError::Driver(FlashStorageError::NotAligned) => NorFlashErrorKind::NotAligned,
            FlashError::Driver(FlashStorageError::OutOfBounds) => NorFlashErrorKind::OutOfBounds,
            _ => NorFlashErrorKind::Other,
        }
    }
}

/// Aligned memory for the ROM.
#[repr(align(4))]
struct Bounce([u8; BOUNCE]);

struct Inner {
    driver: FlashStorage<'static>,
    open: Vec<(u32, u32), GATES>,
}

/// The whole flash; offsets count from its first byte. Copies are the same flash: nothing holds it over an `await`.
#[derive(Clone, Copy)]
pub struct Flash(&'static RefCell<Inner>);

impl Flash {
    /// Takes the flash; nothing in it may be written yet. Call it once.
    pub fn new(peripheral: esp_hal::peripherals::FLASH<'static>) -> Self {
        static INNER: StaticCell<RefCell<Inner>> = StaticCell::new();
        Flash(INNER.init(RefCell::new(Inner {
            driver: FlashStorage::new(peripheral),
            open: Vec::new(),
        })))
    }

    /// Allows writing from `offset` on for `size` bytes; says whether there was room to remember it.
    pub fn open(&self, offset: u32, size: u32) -> bool {
        let Some(end) = offset.checked_add(size) else {
            return false;
        };
        self.0.borrow_mut().open.push((offset, end)).is_ok()
    }
}

impl Inner {
    fn check(&self, from: u32, to: u32) -> Result<(), FlashError> {
        let open = self
            .open
            .iter()
            .any(|&(start, end)| start <= from && from <= to && to <= end);
        if open {
            Ok(())
        } else {
            Err(FlashError::Fenced)
        }
    }
}

impl ErrorType for Flash {
    type Error = FlashError;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = FlashStorage::READ_SIZE;

    fn read(&mut self, mut offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let inner = &mut *self.0.borrow_mut();
        let mut bounce = Bounce([0; BOUNCE]);
        for piece in bytes.chunks_mut(BOUNCE) {
            let (aligned, _) = bounce.0.split_at_mut(piece.len());
            inner.driver.read_nor(offset, aligned)?;
            piece.copy_from_slice(aligned);
            offset = offset.saturating_add(piece.len() as u32);
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.borrow().driver.capacity()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = FlashStorage::WRITE_SIZE;
    const ERASE_SIZE: usize = FlashStorage::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let inner = &mut *self.0.borrow_mut();
        inner.check(from, to)?;
        Ok(inner.driver.erase(from, to)?)
    }

    fn write(&mut self, mut offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let inner = &mut *self.0.borrow_mut();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        inner.check(offset, offset.saturating_add(length))?;
        let mut bounce = Bounce([0; BOUNCE]);
        for piece in bytes.chunks(BOUNCE) {
            let (aligned, _) = bounce.0.split_at_mut(piece.len());
            aligned.copy_from_slice(piece);
            inner.driver.write_nor(offset, aligned)?;
            offset = offset.saturating_add(piece.len() as u32);
        }
        Ok(())
    }
}
