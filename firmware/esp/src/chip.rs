//! What differs from chip to chip and no driver hides. Each item has one arm per chip.

use esp_hal::gpio::AnyPin;
use espalier_image::chip::Chip;

/// How many chips are chosen.
const CHOSEN: usize = cfg!(feature = "esp32") as usize
    + cfg!(feature = "esp32c3") as usize
    + cfg!(feature = "esp32c6") as usize
    + cfg!(feature = "esp32s3") as usize;
const _: () = assert!(
    CHOSEN == 1,
    "choose one chip: build with the feature esp32, esp32c3, esp32c6 or esp32s3"
);

/// The chip, and the profile of a board that was not told which one it is.
const THIS: (Chip, &str) = cfg_select! {
    feature = "esp32" => (Chip::Esp32, "esp32-devkit"),
    feature = "esp32c3" => (Chip::Esp32C3, "esp32-c3-devkit"),
    feature = "esp32s3" => (Chip::Esp32S3, "esp32-s3-devkit"),
    _ => (Chip::Esp32C6, "esp32-c6-devkit"),
};
/// The chip.
pub const CHIP: Chip = THIS.0;
/// The profile of a board that was not told which one it is.
pub const BOARD: &str = THIS.1;

/// Bytes of heap: in what the bootloader leaves, and beside the firmware's own data. On the ESP32 the memory of the link is in the
/// former.
pub const HEAP: (usize, usize) = cfg_select! {
    feature = "esp32" => (12 * 1024, 54 * 1024),
    _ => (64 * 1024, 32 * 1024),
};

/// The channel of the unit for pulses that receives: some chips have channels that only send before it.
#[cfg(feature = "sensors")]
pub const RECEIVER: u8 = cfg_select! {
    any(feature = "esp32", feature = "esp32s3") => 4,
    _ => 2,
};

/// Takes the channels of the unit for pulses: the first one sends, the other one receives.
macro_rules! pulses {
    ($rmt:ident) => {
        cfg_select! {
            any(feature = "esp32", feature = "esp32s3") => { ($rmt.channel0, $rmt.channel4) }
            _ => { ($rmt.channel0, $rmt.channel2) }
        }
    };
}
pub(crate) use pulses;

/// Takes the timer of the scheduler.
macro_rules! timer {
    ($peripherals:ident) => {
        cfg_select! {
            // It has no timer of the system.
            feature = "esp32" => { esp_hal::timer::timg::TimerGroup::new($peripherals.TIMG0).timer0 }
            _ => { esp_hal::timer::systimer::SystemTimer::new($peripherals.SYSTIMER).alarm0 }
        }
    };
}
pub(crate) use timer;

/// The pins of the UART that the ROM and all tools use.
pub struct Console {
    pub rx: AnyPin<'static>,
    pub tx: AnyPin<'static>,
}

/// Takes the pins of the console.
macro_rules! console {
    ($peripherals:ident) => {{
        let (rx, tx) = cfg_select! {
            feature = "esp32" => { ($peripherals.GPIO3, $peripherals.GPIO1) }
            feature = "esp32c3" => { ($peripherals.GPIO20, $peripherals.GPIO21) }
            feature = "esp32s3" => { ($peripherals.GPIO44, $peripherals.GPIO43) }
            _ => { ($peripherals.GPIO17, $peripherals.GPIO16) }
        };
        $crate::chip::Console {
            rx: rx.into(),
            tx: tx.into(),
        }
    }};
}
pub(crate) use console;

/// Returns where in flash the running image begins: the bootloader maps its constants first, and the first entry of the
/// chip's memory map for flash says from which 64 kB page.
pub fn booted_from() -> u32 {
    cfg_select! {
        feature = "esp32c6" => {
            const INDEX: *mut u32 = 0x6000_2380 as *mut u32;
            const CONTENT: *const u32 = 0x6000_237c as *const u32;
            // SAFETY: the two registers choose and show an entry; nothing else uses the index at this point of the start.
            unsafe {
                INDEX.write_volatile(0);
                (CONTENT.read_volatile() & 0xff) << 16
            }
        }
        _ => {
            /// The map, and which bits of an entry are the number of a page.
            const MAP: (*const u32, u32) = cfg_select! {
                // That of the first core, the only one that runs.
                feature = "esp32" => (0x3ff1_0000 as *const u32, 0xff),
                feature = "esp32s3" => (0x600c_5000 as *const u32, 0x3fff),
                _ => (0x600c_5000 as *const u32, 0xff),
            };
            // SAFETY: the memory map of the flash cache is always readable on these chips; reading it has no effect.
            unsafe { (MAP.0.read_volatile() & MAP.1) << 16 }
        }
    }
}
