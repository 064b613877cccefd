//! What differs from chip to chip and no driver hides. Each function has one arm per chip.

use espalier_image::chip::Chip;

#[cfg(not(any(feature = "esp32c3", feature = "esp32c6")))]
compile_error!("choose the chip: build with the feature `esp32c3` or `esp32c6`");
#[cfg(all(feature = "esp32c3", feature = "esp32c6"))]
compile_error!("`esp32c3` and `esp32c6` are different chips: choose one of them");

/// The chip.
pub const CHIP: Chip = if cfg!(feature = "esp32c3") {
    Chip::Esp32C3
} else {
    Chip::Esp32C6
};

/// The profile of a board that was not told which one it is.
pub const BOARD: &str = if cfg!(feature = "esp32c3") {
    "esp32-c3-devkit"
} else {
    "esp32-c6-devkit"
};

/// The pins of the UART that the ROM and all tools use.
#[cfg(feature = "esp32c3")]
pub struct Console {
    pub rx: esp_hal::peripherals::GPIO20<'static>,
    pub tx: esp_hal::peripherals::GPIO21<'static>,
}

/// The pins of the UART that the ROM and all tools use.
#[cfg(feature = "esp32c6")]
pub struct Console {
    pub rx: esp_hal::peripherals::GPIO17<'static>,
    pub tx: esp_hal::peripherals::GPIO16<'static>,
}

/// Takes the pins of the console.
macro_rules! console {
    ($peripherals:ident) => {{
        #[cfg(feature = "esp32c3")]
        let (rx, tx) = ($peripherals.GPIO20, $peripherals.GPIO21);
        #[cfg(feature = "esp32c6")]
        let (rx, tx) = ($peripherals.GPIO17, $peripherals.GPIO16);
        $crate::chip::Console { rx, tx }
    }};
}
pub(crate) use console;

/// Returns where in flash the running image begins: the bootloader maps its constants first, and the first entry of the
/// chip's memory map for flash says from which 64 kB page.
pub fn booted_from() -> u32 {
    #[cfg(feature = "esp32c3")]
    {
        const FIRST_ENTRY: *const u32 = 0x600c_5000 as *const u32;
        // SAFETY: the memory map of the flash cache is always readable on this chip; reading it has no effect.
        unsafe { (FIRST_ENTRY.read_volatile() & 0xff) << 16 }
    }
    #[cfg(feature = "esp32c6")]
    {
        const INDEX: *mut u32 = 0x6000_2380 as *mut u32;
        const CONTENT: *const u32 = 0x6000_237c as *const u32;
        // SAFETY: the two registers choose and show an entry; nothing else uses the index at this point of the start.
        unsafe {
            INDEX.write_volatile(0);
            (CONTENT.read_volatile() & 0xff) << 16
        }
    }
}
