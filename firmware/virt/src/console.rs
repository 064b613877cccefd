//! The serial line as a console: bytes go to the station and come from it. Not what the commands do.

use embassy_time::Timer;
use espalier_device::node::StationInput;
use espalier_virt::machine::Serial;
use heapless::Vec;

use crate::Desk;

/// Milliseconds between two looks at the line.
const LOOK_EVERY_MS: u64 = 5;

/// Hears what is typed.
#[embassy_executor::task]
pub async fn listen(desk: &'static Desk) -> ! {
    let mut serial = Serial;
    loop {
        let mut bytes = Vec::<u8, 64>::new();
        while !bytes.is_full()
            && let Some(byte) = serial.read()
        {
            // There is room: the loop has asked.
            let _ = bytes.push(byte);
        }
        if !bytes.is_empty() {
            desk.tell_facts();
            desk.tell(StationInput::Serial(&bytes));
        }
        Timer::after_millis(LOOK_EVERY_MS).await;
    }
}

/// Says what the desk has for the line.
#[embassy_executor::task]
pub async fn speak(desk: &'static Desk) -> ! {
    let mut piece = [0; 64];
    loop {
        let count = desk.serial.read(&mut piece).await;
        Serial.send(piece.get(..count).unwrap_or_default());
    }
}
