//! Why the chip started, and starting it again. The chip itself only knows "software": a note in memory that survives a reset
//! says whether the software meant it.

use espalier_device::update::BootReason;
use portable_atomic::{AtomicU32, Ordering};

/// The firmware restarts the chip on purpose.
const MEANT: u32 = 0x4553_5052;
/// The firmware crashed.
const CRASHED: u32 = 0x4553_5043;

/// Survives a reset, and holds noise after the power came.
#[esp_hal::ram(unstable(rtc_fast, persistent))]
static NOTE: AtomicU32 = AtomicU32::new(0);

/// Says why the chip started. Call it once per start; it erases the note.
pub fn boot_reason() -> BootReason {
    let note = NOTE.load(Ordering::Relaxed);
    NOTE.store(0, Ordering::Relaxed);
    let software = match note {
        MEANT => BootReason::Restart,
        CRASHED => BootReason::Panic,
        _ => BootReason::Unknown,
    };
    // The drivers of the chips name their reasons differently; the numbers are the same.
    esp_hal::system::reset_reason().map_or(BootReason::Unknown, |reason| {
        BootReason::from_rom(reason as u32, software)
    })
}

/// Restarts the chip on purpose.
pub fn restart() -> ! {
    NOTE.store(MEANT, Ordering::Relaxed);
    esp_hal::system::software_reset()
}

/// Restarts the chip after a crash.
pub fn restart_crashed() -> ! {
    NOTE.store(CRASHED, Ordering::Relaxed);
    esp_hal::system::software_reset()
}
