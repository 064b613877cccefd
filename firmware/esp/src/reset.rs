//! Why the chip started, and starting it again. The chip itself only knows "software": a note in memory that survives a reset
//! says whether the software meant it.

use esp_hal::rtc_cntl::SocResetReason as Reset;
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
    match esp_hal::system::reset_reason() {
        Some(Reset::ChipPowerOn) => BootReason::PowerOn,
        Some(Reset::CoreSw | Reset::Cpu0Sw) => match note {
            MEANT => BootReason::Restart,
            CRASHED => BootReason::Panic,
            _ => BootReason::Unknown,
        },
        Some(Reset::CoreDeepSleep) => BootReason::DeepSleep,
        Some(Reset::SysBrownOut) => BootReason::Brownout,
        // Whoever flashes or debugs over USB resets the chip: not the firmware's fault.
        Some(Reset::CoreUsbUart | Reset::CoreUsbJtag) => BootReason::Restart,
        Some(
            Reset::CoreMwdt0
            | Reset::CoreMwdt1
            | Reset::CoreRtcWdt
            | Reset::Cpu0Mwdt0
            | Reset::Cpu0Mwdt1
            | Reset::Cpu0RtcWdt
            | Reset::SysRtcWdt
            | Reset::SysSuperWdt,
        ) => BootReason::Watchdog,
        _ => BootReason::Unknown,
    }
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
