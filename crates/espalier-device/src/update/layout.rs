//! Where in flash the slots and the OTA data are, and what the image in a slot says of itself. Not a partition table.

use embedded_storage::nor_flash::ReadNorFlash;
use espalier_image::app::{HEAD, Head};
use espalier_image::chip::Chip;
use heapless::{String, Vec};
use sha2::{Digest, Sha256};

/// Most OTA slots of a board.
pub const MAX_SLOTS: usize = 4;
/// Bytes that are erased and written at once.
pub const PAGE: usize = 4096;
/// Bytes of a digest.
pub type Sha = [u8; 32];

/// A part of the flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Where it begins, a multiple of 4096.
    pub offset: u32,
    /// How long it is, a multiple of 4096.
    pub size: u32,
}

/// The parts that updates need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Where the OTA data begin.
    pub otadata: u32,
    /// The OTA slots, in order.
    pub slots: Vec<Part, MAX_SLOTS>,
}

impl Layout {
    /// Takes two to four slots; none when there are fewer, or when a part is not made of whole sectors.
    pub fn new(otadata: u32, slots: &[Part]) -> Option<Self> {
        let whole = |n: u32| n.is_multiple_of(PAGE as u32);
        let sound = slots.len() >= 2
            && whole(otadata)
            && slots
                .iter()
                .all(|s| s.size > 0 && whole(s.offset) && whole(s.size));
        let slots = Vec::from_slice(slots).ok().filter(|_| sound)?;
        Some(Layout { otadata, slots })
    }

    /// Returns the number of slots.
    pub fn count(&self) -> u8 {
        u8::try_from(self.slots.len()).unwrap_or(u8::MAX)
    }

    /// Returns a slot; a slot that does not exist has no bytes.
    pub fn slot(&self, slot: u8) -> Part {
        let none = Part { offset: 0, size: 0 };
        self.slots.get(usize::from(slot)).copied().unwrap_or(none)
    }

    /// Returns the slot after this one: where the next image goes.
    pub fn after(&self, slot: u8) -> u8 {
        let next = slot.saturating_add(1);
        if next < self.count() { next } else { 0 }
    }
}

/// The image that runs, as the flash holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// SHA-256 of the image's file: its identity.
    pub sha256: Sha,
    /// Bytes of the image's file.
    pub size: u32,
    /// The version that the image names.
    pub version: String<32>,
    /// The chip that the image is for.
    pub chip: Chip,
    /// The secure version that the image names.
    pub secure_version: u32,
}

impl Running {
    /// Reads the image in a part of the flash. `known` is the identity and size of what was installed there, which tell of
    /// signature blocks behind the image; what was put there by other means is measured.
    ///
    /// Returns none when the flash cannot be read or holds no image.
    pub fn read<F: ReadNorFlash>(
        flash: &mut F,
        part: Part,
        known: Option<(Sha, u32)>,
    ) -> Option<Self> {
        let mut head = [0; HEAD];
        flash.read(part.offset, &mut head).ok()?;
        let head = Head::parse(&head).ok()?;
        let installed =
            known.filter(|(sha, size)| digest(flash, part, *size).as_ref() == Some(sha));
        let (sha256, size) = match installed {
            Some(known) => known,
            None => {
                let size = head.length(|at| number(flash, part, at))?;
                (digest(flash, part, size)?, size)
            }
        };
        Some(Running {
            sha256,
            size,
            version: String::try_from(head.version).unwrap_or_default(),
            chip: head.chip,
            secure_version: head.secure_version,
        })
    }
}

/// Reads a number of 32 bits in a part.
fn number<F: ReadNorFlash>(flash: &mut F, part: Part, at: u32) -> Option<u32> {
    let mut bytes = [0; 4];
    if at.checked_add(4)? > part.size {
        return None;
    }
    flash.read(part.offset.checked_add(at)?, &mut bytes).ok()?;
    Some(u32::from_le_bytes(bytes))
}

/// Returns the digest of the first `size` bytes of a part.
pub(crate) fn digest<F: ReadNorFlash>(flash: &mut F, part: Part, size: u32) -> Option<Sha> {
    if size > part.size {
        return None;
    }
    let mut sha = Sha256::new();
    let mut at = 0;
    while at < size {
        at += feed::<512, F>(flash, part, at, size, &mut sha)?;
    }
    Some(sha.finalize().into())
}

/// Adds up to `N` bytes at `at` to a digest and returns how many.
pub(crate) fn feed<const N: usize, F: ReadNorFlash>(
    flash: &mut F,
    part: Part,
    at: u32,
    end: u32,
    sha: &mut Sha256,
) -> Option<u32> {
    let mut block = [0; N];
    let wanted = usize::try_from(end.checked_sub(at)?).ok()?.min(N);
    // Reads are aligned; what is read beyond the end does not count.
    let aligned = wanted.next_multiple_of(F::READ_SIZE).min(N);
    flash
        .read(part.offset.checked_add(at)?, block.get_mut(..aligned)?)
        .ok()?;
    sha.update(block.get(..wanted)?);
    u32::try_from(wanted).ok()
}
