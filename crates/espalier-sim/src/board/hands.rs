//! What a board does with its pins: measuring, switching, running commands. Not the network.

use std::time::{SystemTime, UNIX_EPOCH};

use espalier_device::Input;
use espalier_wire::json::{Json, Value};

use super::Board;
use super::node::is_nodes;
use crate::physics::{self, Moment, Readings};

/// Every so many samples the board adds its own vital signs.
const VITALS_EVERY: u64 = 6;
/// Why a value that no pin carries is refused; the node says the same of the others.
const NOT_TAKEN: &str = "this board does not take that value";

impl Board {
    /// Measures. In safe mode no sensor is read, and every sample says so.
    pub(super) fn measure(&mut self) {
        let safe = self.node.is_safe();
        let vitals = self.samples.is_multiple_of(VITALS_EVERY);
        self.samples += 1;
        let mut readings = Readings::default();
        if !safe {
            self.read_sensors(&mut readings);
        }
        if vitals {
            self.add_vitals(&mut readings);
        }
        let mut values: Vec<_> = readings
            .0
            .into_iter()
            .map(|(key, reading)| (key, reading.to_value()))
            .collect();
        // The end of safe mode is told, too.
        if safe || vitals {
            values.push(("safe_mode", Value::Bool(safe)));
        }
        self.step(Input::Sample(&values));
        while let Some((key, value)) = self.model.changed() {
            if let Ok(json) = Json::parse(value) {
                self.node.apply(key, json);
                let value = Value::Json(json);
                self.step(Input::LocalChange { key, value });
            }
        }
    }

    fn read_sensors(&mut self, readings: &mut Readings) {
        let t = unix_seconds() + f64::from(self.utc_offset_s);
        let dt = self
            .measured_at
            .replace(t)
            .map_or(0.0, |last| (t - last).clamp(0.0, 3_600.0));
        self.model.measure(Moment { t, dt }, readings);
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
        let Ok(json) = Json::parse(value) else {
            return self.step(Input::Applied { key, ok: false });
        };
        let ok = self.set(key, json);
        match self.refusal(key, ok) {
            Some(why) => self.step(Input::Refused { key, why: &why }),
            None => self.step(Input::Applied { key, ok }),
        }
        if ok {
            // What the switch changes is seen at once, not at the next interval.
            self.measure();
        }
    }

    /// Sets a switch; says whether the value took effect. In safe mode none does.
    fn set(&mut self, key: &str, value: Json<'_>) -> bool {
        if is_nodes(self.spec.kind, key) {
            self.node.apply(key, value)
        } else {
            !self.node.is_safe() && self.model.set(key, value)
        }
    }

    /// Returns why a value was refused for good; none when it was taken, or may be later.
    pub(super) fn refusal(&self, key: &str, ok: bool) -> Option<String> {
        if is_nodes(self.spec.kind, key) {
            return self.node.refusal().map(str::to_owned);
        }
        (!ok && !self.node.is_safe()).then(|| NOT_TAKEN.to_owned())
    }

    pub(super) fn command(&mut self, id: &str, name: &str) {
        let outcome = match name {
            "ping" => Ok(None),
            "identify" => {
                self.node.identify();
                Ok(None)
            }
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
