//! The serial line as a console: bytes go to the setup machine and come from it. Not what the commands do.

use core::cell::RefCell;

use embassy_time::{Instant, Timer};
use espalier_device::setup::{Input, Output, Setup};
use espalier_device::update::BootReason;
use espalier_virt::machine::{Serial, restart};
use heapless::Vec;

use crate::Store;

/// Milliseconds between two looks at the line.
pub const LOOK_EVERY_MS: u64 = 5;

#[embassy_executor::task]
pub async fn serve(setup: &'static RefCell<Setup>, mut store: Store) -> ! {
    let mut serial = Serial;
    loop {
        let mut bytes = Vec::<u8, 64>::new();
        while !bytes.is_full()
            && let Some(byte) = serial.read()
        {
            // There is room: the loop has asked.
            let _ = bytes.push(byte);
        }
        let now = Instant::now().as_millis();
        let mut setup = setup.borrow_mut();
        match bytes.as_slice() {
            [] => setup.step(now, Input::Tick, &mut store),
            bytes => setup.step(now, Input::Serial(bytes), &mut store),
        }
        while let Some(output) = setup.poll() {
            match output {
                Output::Serial(bytes) => serial.send(bytes),
                Output::Restart => restart(BootReason::Restart),
                // The board looks by itself whether it is another one.
                Output::Halt => {}
                // There is no radio to look around with, or to join a network.
                Output::Scan | Output::Join(_) | Output::Changed | Output::PortalUsed => {}
            }
        }
        drop(setup);
        Timer::after_millis(LOOK_EVERY_MS).await;
    }
}
