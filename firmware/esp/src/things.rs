//! What a board measures: its sensors, when this firmware has them, and its own vital signs.

use espalier_board::Sample;
use espalier_wire::json::Value;

#[cfg(feature = "sensors")]
use crate::climate::Climate;
use crate::desk::{Desk, now_ms};

/// Every so many samples the board adds its own vital signs.
const VITALS_EVERY: u32 = 6;

/// What there is to measure.
pub struct Things {
    desk: &'static Desk,
    samples: u32,
    #[cfg(feature = "sensors")]
    climate: Climate,
}

impl Things {
    /// Takes what measures.
    pub const fn new(desk: &'static Desk, #[cfg(feature = "sensors")] climate: Climate) -> Self {
        Things {
            desk,
            samples: 0,
            #[cfg(feature = "sensors")]
            climate,
        }
    }

    /// Adds what is measured.
    pub async fn measure(&mut self, sample: &mut Sample) {
        #[cfg(feature = "sensors")]
        {
            self.climate.measure(sample).await;
            let motion = self.desk.station.borrow_mut().node().motion();
            if let Some(motion) = motion {
                sample.add("motion", Value::Bool(motion));
            }
        }
        if self.samples.is_multiple_of(VITALS_EVERY) {
            self.add_vitals(sample);
        }
        self.samples = self.samples.wrapping_add(1);
    }

    /// Lets the next sample have the vital signs, because a person asked for it.
    pub const fn measure_all(&mut self) {
        self.samples = 0;
    }

    fn add_vitals(&self, sample: &mut Sample) {
        if let Some(rssi) = self.desk.rssi.get() {
            sample.add("rssi", Value::Int(i64::from(rssi)));
        }
        let seconds = i64::try_from(now_ms() / 1000).unwrap_or(i64::MAX);
        sample.add("uptime", Value::Int(seconds));
    }
}
