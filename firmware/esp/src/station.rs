//! The task of the station, with the pins of the chip and its watchdog.

use esp_hal::rtc_cntl::Rtc;
use espalier_board::station;

use crate::desk::Desk;
use crate::pins::Outputs;

impl station::Pins for Outputs {
    fn set(&mut self, gpio: u8, level: u8) {
        Outputs::set(self, gpio, level);
    }
}

/// Runs for ever.
#[embassy_executor::task]
pub async fn serve(desk: &'static Desk, mut outputs: Outputs, mut rtc: Rtc<'static>) {
    station::serve(desk, &mut outputs, || rtc.rwdt.feed()).await
}
