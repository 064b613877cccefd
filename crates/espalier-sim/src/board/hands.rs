//! What a board does with its pins: measuring, switching, running commands. Not the network.

use std::time::{SystemTime, UNIX_EPOCH};

use espalier_device::Input;
use espalier_wire::json::{Json, Value};

use super::Board;
use crate::physics::{self, Moment, Readings};

/// Every so many samples the board adds its own vital signs.
const VITALS_EVERY: u64 = 6;

impl Board {
    pub(super) fn measure(&mut self) {
        let t = unix_seconds() + f64::from(self.utc_offset_s);
        let dt = self
            .measured_at
            .replace(t)
            .map_or(0.0, |last| (t - last).clamp(0.0, 3_600.0));
        let mut readings = Readings::default();
        self.model.measure(Moment { t, dt }, &mut readings);
        if self.samples.is_multiple_of(VITALS_EVERY) {
            self.add_vitals(&mut readings);
        }
        self.samples += 1;
        let values: Vec<_> = readings
            .0
            .into_iter()
            .map(|(key, reading)| (key, reading.to_value()))
            .collect();
        self.step(Input::Sample(&values));
        while let Some((key, value)) = self.model.changed() {
            if let Ok(json) = Json::parse(&value) {
                self.step(Input::LocalChange {
                    key,
                    value: Value::Json(json),
                });
            }
        }
    }

    fn add_vitals(&mut self, readings: &mut Readings) {
        let rssi = physics::rssi(self.spec.seed, self.samples);
        readings.whole("rssi", i64::from(rssi));
        readings.whole(
            "uptime",
            i64::try_from(self.core.uptime_ms() / 1000).unwrap_or(0),
        );
        self.step(Input::Vitals {
            heap_free: Some(self.heap_free()),
            rssi: Some(rssi),
        });
    }

    pub(super) fn apply(&mut self, key: &str, value: &str) {
        let ok = Json::parse(value).is_ok_and(|json| self.model.apply(key, json));
        let why = "this board does not take that value";
        self.step(if ok {
            Input::Applied { key, ok }
        } else {
            Input::Refused { key, why }
        });
        if ok {
            // What the switch changes is seen at once, not at the next interval.
            self.measure();
        }
    }

    pub(super) fn command(&mut self, id: &str, name: &str) {
        let outcome = match name {
            "identify" | "ping" => Ok(None),
            "measure" => {
                self.measure();
                Ok(None)
            }
            "restart" => {
                self.core.want_restart();
                Ok(None)
            }
            _ => Err(
                "this board does not know the command; it knows identify, measure, ping and restart",
            ),
        };
        self.step(Input::CommandDone { id, outcome });
    }
}

/// The time of the world outside, which decides over sun and people; not the board's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the simulated world has the day and night of the real one"
)]
fn unix_seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
