//! What a board measures: its sensors by profile, and its own vital signs. A sensor that does not answer adds no value, and the
//! serial port says why.

use espalier_board::Sample;
use espalier_wire::json::Value;

use crate::desk::{Desk, now_ms};

/// Every so many samples the board adds its own vital signs.
const VITALS_EVERY: u32 = 6;

/// The sensors of a board.
pub struct Things {
    desk: &'static Desk,
    samples: u32,
}

impl Things {
    /// Takes the sensors that the profile names, when this firmware reads sensors.
    pub fn new(desk: &'static Desk) -> Self {
        Things { desk, samples: 0 }
    }

    /// Adds what is measured.
    pub async fn measure(&mut self, sample: &mut Sample) {
        if let Some(motion) = self.desk.node.borrow().motion() {
            sample.add("motion", Value::Bool(motion));
        }
        if self.samples.is_multiple_of(VITALS_EVERY) {
            self.add_vitals(sample);
        }
        self.samples = self.samples.wrapping_add(1);
    }

    fn add_vitals(&self, sample: &mut Sample) {
        if let Some(rssi) = self.desk.rssi.get() {
            sample.add("rssi", Value::Int(i64::from(rssi)));
        }
        let seconds = i64::try_from(now_ms() / 1000).unwrap_or(i64::MAX);
        sample.add("uptime", Value::Int(seconds));
    }
}
