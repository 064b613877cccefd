//! Places in flash and memory, and the page that survives a restart: how the loader and the firmware know of each other.

use core::ptr;

use espalier_device::update::BootReason;
pub use espalier_device::update::table::{OTADATA, RECORDS, SLOTS, layout};

/// Bytes of the flash.
pub const FLASH: usize = espalier_device::update::table::FLASH as usize;

/// Where the firmware runs, and how long it may be with everything it needs.
pub const APP: usize = 0x8020_0000;
pub const APP_SIZE: usize = 8 << 20;
/// Where the loader reads an image.
pub const STAGING: usize = 0x8100_0000;
/// The page that survives a restart.
const KEPT: usize = 0x8010_0000;
/// Says that the page was written since the power came.
const MAGIC: u32 = 0x4553_4b50;

/// What survives a restart and no power cut.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Kept {
    magic: u32,
    /// The slot that was started.
    slot: u32,
    /// Why it was started.
    reason: u32,
    /// Why the next start will be, as far as anybody knows yet.
    next: u32,
}

const RESTART: u32 = 1;
const PANIC: u32 = 2;
const UNKNOWN: u32 = 3;
const WATCHDOG: u32 = 4;

impl Kept {
    fn read() -> Option<Self> {
        // SAFETY: the page is memory that no program has a variable in, aligned, and any bits are a `Kept`.
        let kept = unsafe { ptr::read_volatile(KEPT as *const Kept) };
        (kept.magic == MAGIC).then_some(kept)
    }

    fn write(self) {
        // SAFETY: as in `read`.
        unsafe { ptr::write_volatile(KEPT as *mut Kept, self) }
    }

    /// Notes at a start which slot runs; the reason is what was noted before the restart, or that the power came.
    pub fn start(slot: u8) {
        Kept {
            magic: MAGIC,
            slot: u32::from(slot),
            reason: Kept::read().map_or(0, |kept| kept.next),
            next: UNKNOWN,
        }
        .write();
    }

    /// Notes why the next start will be.
    pub fn note(reason: BootReason) {
        if let Some(mut kept) = Kept::read() {
            kept.next = match reason {
                BootReason::Restart => RESTART,
                BootReason::Panic => PANIC,
                BootReason::Watchdog => WATCHDOG,
                _ => UNKNOWN,
            };
            kept.write();
        }
    }

    /// Returns the slot that runs and why it was started.
    pub fn started() -> (u8, BootReason) {
        let Some(kept) = Kept::read() else {
            return (0, BootReason::Unknown);
        };
        let reason = match kept.reason {
            0 => BootReason::PowerOn,
            RESTART => BootReason::Restart,
            PANIC => BootReason::Panic,
            WATCHDOG => BootReason::Watchdog,
            _ => BootReason::Unknown,
        };
        (u8::try_from(kept.slot).unwrap_or(0), reason)
    }
}
