//! The desk of this firmware: what its tasks share, over the flash of the chip.

use core::fmt;

use embassy_time::Instant;
use esp_println::println;
use espalier_board::desk::{self, Chip};
use espalier_device::records::Records;

use crate::flash::Flash;
use crate::reset;

/// What the tasks share.
pub type Desk = desk::Desk<Flash>;
/// Where the records are kept.
pub type Store = Records<Flash>;

/// What only the chip knows.
pub const CHIP: Chip = Chip {
    now_ms,
    heap_free,
    say,
};

/// Returns milliseconds since the start.
pub fn now_ms() -> u64 {
    Instant::now().as_millis()
}

fn heap_free() -> Option<u32> {
    u32::try_from(esp_alloc::HEAP.free()).ok()
}

fn say(line: fmt::Arguments<'_>) {
    println!("espalier: {line}");
}

/// Restarts the chip on purpose.
pub fn restart(desk: &Desk) -> ! {
    desk.settle();
    reset::restart()
}
