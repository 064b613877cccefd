//! The flash: a file behind virtio that behaves like one. Erased in sectors, and writing only clears bits.

use core::cell::RefCell;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use espalier_device::update::PAGE;
use virtio_drivers::device::blk::{SECTOR_SIZE as BLOCK, VirtIOBlk};
use virtio_drivers::transport::DeviceType;

use crate::boot::FLASH;
use crate::virtio::{Memory, Transport, find};

/// The device.
pub type Device = RefCell<VirtIOBlk<Memory, Transport>>;

/// Finds the device; none when the board has no flash, or one of another size. Call it once.
pub fn device() -> Option<Device> {
    let device = VirtIOBlk::new(find(DeviceType::Block)?).ok()?;
    (device.capacity() == (FLASH / BLOCK) as u64).then(|| RefCell::new(device))
}

/// Why the flash refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashError {
    /// The place is not aligned.
    NotAligned,
    /// The place does not exist.
    OutOfBounds,
    /// The device failed.
    Device,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            FlashError::NotAligned => NorFlashErrorKind::NotAligned,
            FlashError::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            FlashError::Device => NorFlashErrorKind::Other,
        }
    }
}

/// The flash. Copies are the same flash.
#[derive(Clone, Copy)]
pub struct Flash<'a>(pub &'a Device);

#[repr(align(16))]
struct Block([u8; BLOCK]);

fn check(at: u32, len: usize, unit: usize) -> Result<(), FlashError> {
    let at = at as usize;
    if !at.is_multiple_of(unit) || !len.is_multiple_of(unit) {
        return Err(FlashError::NotAligned);
    }
    match at.checked_add(len) {
        Some(end) if end <= FLASH => Ok(()),
        _ => Err(FlashError::OutOfBounds),
    }
}

/// Calls `each` with the number of a block, where in it something begins, and the range of the bytes that belong there.
fn in_blocks(
    at: u32,
    len: usize,
    mut each: impl FnMut(usize, usize, core::ops::Range<usize>) -> Result<(), FlashError>,
) -> Result<(), FlashError> {
    let (mut done, at) = (0, at as usize);
    while done < len {
        let within = (at + done) % BLOCK;
        let now = (BLOCK - within).min(len - done);
        each((at + done) / BLOCK, within, done..done + now)?;
        done += now;
    }
    Ok(())
}

impl ErrorType for Flash<'_> {
    type Error = FlashError;
}

impl ReadNorFlash for Flash<'_> {
    const READ_SIZE: usize = 4;

    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashError> {
        check(at, into.len(), Self::READ_SIZE)?;
        let mut device = self.0.borrow_mut();
        in_blocks(at, into.len(), |number, within, part| {
            let mut block = Block([0; BLOCK]);
            device
                .read_blocks(number, &mut block.0)
                .map_err(|_| FlashError::Device)?;
            let len = part.len();
            into[part].copy_from_slice(&block.0[within..within + len]);
            Ok(())
        })
    }

    fn capacity(&self) -> usize {
        FLASH
    }
}

impl NorFlash for Flash<'_> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let len = to.checked_sub(from).ok_or(FlashError::OutOfBounds)? as usize;
        check(from, len, PAGE)?;
        let mut device = self.0.borrow_mut();
        let erased = Block([0xff; BLOCK]);
        in_blocks(from, len, |number, _, _| {
            device
                .write_blocks(number, &erased.0)
                .map_err(|_| FlashError::Device)
        })
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check(at, bytes.len(), Self::WRITE_SIZE)?;
        let mut device = self.0.borrow_mut();
        in_blocks(at, bytes.len(), |number, within, part| {
            let mut block = Block([0; BLOCK]);
            device
                .read_blocks(number, &mut block.0)
                .map_err(|_| FlashError::Device)?;
            for (cell, byte) in block.0[within..].iter_mut().zip(&bytes[part]) {
                *cell &= byte;
            }
            device
                .write_blocks(number, &block.0)
                .map_err(|_| FlashError::Device)
        })
    }
}
