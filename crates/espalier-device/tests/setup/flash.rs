//! A small NOR flash in memory whose power may fail in any operation, and that checks how it is used. Not a model of time or wear.

use std::cell::RefCell;
use std::rc::Rc;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use espalier_device::records::{REGION, SECTOR};

/// Where the records begin in the flash of the tests: not at its start, so that a forgotten offset shows.
pub const OFFSET: u32 = 2 * SECTOR;
const SIZE: usize = (OFFSET + REGION + SECTOR) as usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    NoPower,
    Misused,
}

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

struct Chip {
    bytes: Vec<u8>,
    operations: u64,
    /// The operation in which the power fails, and a seed for what is left of it.
    cut: Option<(u64, u64)>,
    dead: bool,
    /// Writes to this place are lost, as in a worn sector.
    worn: Option<usize>,
}

/// A handle; clones are the same chip.
#[derive(Clone)]
pub struct Nor(Rc<RefCell<Chip>>);

impl Nor {
    pub fn new() -> Self {
        Nor::of(vec![0xff; SIZE])
    }

    pub fn of(bytes: Vec<u8>) -> Self {
        Nor(Rc::new(RefCell::new(Chip {
            bytes,
            operations: 0,
            cut: None,
            dead: false,
            worn: None,
        })))
    }

    pub fn operations(&self) -> u64 {
        self.0.borrow().operations
    }

    /// Lets the power fail in the operation with this number from now on, the first being 0.
    pub fn cut_at(&self, operation: u64, noise: u64) {
        let mut chip = self.0.borrow_mut();
        chip.cut = Some((chip.operations + operation, noise));
    }

    pub fn power_on(&self) {
        let mut chip = self.0.borrow_mut();
        (chip.cut, chip.dead) = (None, false);
    }

    pub fn is_dead(&self) -> bool {
        self.0.borrow().dead
    }

    pub fn wear_out(&self, at: usize) {
        self.0.borrow_mut().worn = Some(at);
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }

    /// Puts bytes as another tool would.
    pub fn put(&self, at: u32, bytes: &[u8]) {
        self.0.borrow_mut().bytes[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }
}

impl Chip {
    fn change(
        &mut self,
        at: u32,
        len: usize,
        unit: usize,
        new: impl Fn(usize, u8) -> u8,
    ) -> Result<(), Fault> {
        if self.dead {
            return Err(Fault::NoPower);
        }
        let at = at as usize;
        if !at.is_multiple_of(unit) || !len.is_multiple_of(unit) || at + len > self.bytes.len() {
            return Err(Fault::Misused);
        }
        let mut noise = match self.cut {
            Some((operation, noise)) if operation == self.operations => Some(noise),
            _ => None,
        };
        self.operations += 1;
        let mut random = move || {
            noise.map(|_| {
                let next = noise
                    .unwrap_or_default()
                    .wrapping_mul(6_364_136_223_846_793_005);
                noise = Some(next.wrapping_add(1_442_695_040_888_963_407));
                (next >> 33) as usize
            })
        };
        let done = random().map_or(len, |r| r % (len + 1));
        let blurred = done + random().map_or(0, |r| r % 16);
        for i in 0..len {
            let mask = match i {
                _ if i < done => 0xff,
                _ if i < blurred => random().unwrap_or_default() as u8,
                _ => 0,
            };
            let old = self.bytes[at + i];
            if self.worn != Some(at + i) {
                self.bytes[at + i] = (old & !mask) | (new(i, old) & mask);
            }
        }
        self.dead = random().is_some();
        if self.dead {
            Err(Fault::NoPower)
        } else {
            Ok(())
        }
    }
}

impl ErrorType for Nor {
    type Error = Fault;
}

impl ReadNorFlash for Nor {
    const READ_SIZE: usize = 4;

    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), Fault> {
        let chip = self.0.borrow();
        let at = at as usize;
        if !at.is_multiple_of(4) || !into.len().is_multiple_of(4) {
            return Err(Fault::Misused);
        }
        if chip.dead {
            return Err(Fault::NoPower);
        }
        into.copy_from_slice(chip.bytes.get(at..at + into.len()).ok_or(Fault::Misused)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.borrow().bytes.len()
    }
}

impl NorFlash for Nor {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        for at in (from..to).step_by(SECTOR as usize) {
            let len = (to - at).min(SECTOR) as usize;
            let mut chip = self.0.borrow_mut();
            chip.change(at, len, SECTOR as usize, |_, _| 0xff)?;
        }
        Ok(())
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Fault> {
        let mut chip = self.0.borrow_mut();
        chip.change(at, bytes.len(), 4, |i, old| old & bytes[i])
    }
}
