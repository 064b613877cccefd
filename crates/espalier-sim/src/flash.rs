//! Flash that lives in memory: it survives the restart of a board, not of the simulator.

use espalier_device::{Slot, Storage};

/// The two slots of a board.
#[derive(Debug, Default)]
pub struct MemoryFlash {
    queue: Vec<u8>,
    state: Vec<u8>,
}

/// The stored content is larger than the buffer to read it into.
#[derive(Debug)]
pub struct TooSmall;

impl MemoryFlash {
    fn slot(&mut self, slot: Slot) -> &mut Vec<u8> {
        match slot {
            Slot::Queue => &mut self.queue,
            Slot::State => &mut self.state,
        }
    }
}

impl Storage for MemoryFlash {
    type Error = TooSmall;

    fn read(&mut self, slot: Slot, into: &mut [u8]) -> Result<usize, TooSmall> {
        let bytes = self.slot(slot);
        into.get_mut(..bytes.len())
            .ok_or(TooSmall)?
            .copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write(&mut self, slot: Slot, parts: &[&[u8]]) -> Result<(), TooSmall> {
        *self.slot(slot) = parts.concat();
        Ok(())
    }
}
