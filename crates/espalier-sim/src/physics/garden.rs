//! Soil and water.

use super::signal::{DAY, approach, daylight, happens, jitter, noise};
use super::{Moment, Physics, Readings};

/// A potted plant with a pump that stops by itself.
pub struct Plant {
    seed: u64,
    moisture: f64,
    pump: bool,
    pumped: f64,
    stopped: bool,
}

/// How long the pump runs at most, in seconds: a pot is small.
const PUMP_S: f64 = 20.0;

impl Plant {
    pub fn new(seed: u64) -> Self {
        Plant {
            seed,
            moisture: 46.0,
            pump: false,
            pumped: 0.0,
            stopped: false,
        }
    }
}

impl Physics for Plant {
    fn switches(&self) -> &'static [(&'static str, &'static str)] {
        &[("v0", "0")]
    }

    fn drive(&mut self, key: &str, level: u8) {
        if key == "v0" {
            self.pump = level > 0;
            (self.pumped, self.stopped) = (0.0, false);
        }
    }

    fn measure(&mut self, at: Moment, out: &mut Readings) {
        let Moment { t, dt } = at;
        let light = daylight(self.seed, t);
        // A pot dries from wet to dry within two days of sun, and a minute of pumping fills it.
        self.moisture -= dt * (10.0 + 40.0 * light) / (2.0 * DAY);
        if self.pump {
            self.moisture = approach(self.moisture, 82.0, dt, 25.0);
            self.pumped += dt;
            if self.pumped >= PUMP_S {
                (self.pump, self.stopped) = (false, true);
            }
        }
        self.moisture = self.moisture.clamp(4.0, 90.0);
        out.number(
            "soil_moisture",
            self.moisture + 0.3 * jitter(self.seed, t),
            1,
        );
        out.number("light", 18_000.0 * light, 0);
        out.number(
            "temperature",
            20.0 + 3.0 * light + 0.4 * noise(self.seed ^ 1, t, 900.0),
            1,
        );
        out.flag("v0", self.pump);
    }

    fn changed(&mut self) -> Option<(&'static str, &'static str)> {
        std::mem::take(&mut self.stopped).then_some(("v0", "0"))
    }
}

/// A tank with an inlet valve; the garden takes water out of it.
pub struct Tank {
    seed: u64,
    level: f64,
    valve: bool,
    full: bool,
}

/// Litres in a full tank.
const TANK_L: f64 = 1_000.0;

impl Tank {
    pub fn new(seed: u64) -> Self {
        Tank {
            seed,
            level: 640.0,
            valve: false,
            full: false,
        }
    }
}

impl Physics for Tank {
    fn switches(&self) -> &'static [(&'static str, &'static str)] {
        &[("relay1", "0")]
    }

    fn drive(&mut self, key: &str, level: u8) {
        if key == "relay1" {
            self.valve = level > 0;
        }
    }

    fn measure(&mut self, at: Moment, out: &mut Readings) {
        let Moment { t, dt } = at;
        let inflow = if self.valve {
            24.0 + 0.8 * noise(self.seed, t, 15.0)
        } else {
            0.0
        };
        let outflow = if happens(self.seed ^ 1, t, 90.0, 0.35) {
            6.0 + 2.0 * noise(self.seed ^ 2, t, 30.0)
        } else {
            0.0
        };
        self.level = (self.level + (inflow - outflow) * dt / 60.0).clamp(0.0, TANK_L);
        if self.valve && self.level > 0.97 * TANK_L {
            (self.valve, self.full) = (false, true); // the float switch
        }
        out.number("level", 100.0 * self.level / TANK_L, 1);
        out.number("flow", inflow, 1);
        out.number("usage", outflow, 1);
        out.number(
            "temperature",
            12.0 + 1.5 * noise(self.seed ^ 3, t, 20_000.0),
            1,
        );
        out.flag("relay1", self.valve);
    }

    fn changed(&mut self) -> Option<(&'static str, &'static str)> {
        std::mem::take(&mut self.full).then_some(("relay1", "0"))
    }
}
