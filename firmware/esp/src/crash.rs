//! What happens when the firmware crashes: it says why on the serial port and starts again. No backtrace: the address in the
//! message and the ELF file of the kit tell the rest.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::reset;

static CRASHING: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // A crash while a crash is told must not tell again.
    if !CRASHING.load(Ordering::Relaxed) {
        CRASHING.store(true, Ordering::Relaxed);
        esp_println::println!("\nespalier: crashed: {info}");
    }
    reset::restart_crashed()
}
