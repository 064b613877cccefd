//! People, doors and batteries.

use super::signal::{DAY, daily, daylight, happens, hour, jitter, noise};
use super::{Moment, Physics, Readings};

/// A motion sensor.
pub struct Motion {
    seed: u64,
    present: bool,
    events: i64,
}

impl Motion {
    pub fn new(seed: u64) -> Self {
        Motion {
            seed,
            present: false,
            events: 0,
        }
    }
}

impl Physics for Motion {
    fn measure(&mut self, at: Moment, out: &mut Readings) {
        let Moment { t, .. } = at;
        let awake = (6.5..23.0).contains(&hour(t));
        let present = happens(self.seed, t, 15.0, if awake { 0.3 } else { 0.02 });
        self.events += i64::from(present && !self.present);
        self.present = present;
        let lamp = if present && awake { 140.0 } else { 0.0 };
        out.flag("motion", present);
        out.number(
            "lux",
            (420.0 * daylight(self.seed, t) + lamp + 2.0 * jitter(self.seed, t)).max(0.0),
            0,
        );
        out.whole("events", self.events);
    }
}

/// A door with a lock.
pub struct Door {
    seed: u64,
    locked: bool,
}

impl Door {
    pub fn new(seed: u64) -> Self {
        Door { seed, locked: true }
    }
}

impl Physics for Door {
    fn switches(&self) -> &'static [(&'static str, &'static str)] {
        &[("v0", "1")]
    }

    fn drive(&mut self, key: &str, level: u8) {
        if key == "v0" {
            self.locked = level > 0;
        }
    }

    fn measure(&mut self, at: Moment, out: &mut Readings) {
        let Moment { t, .. } = at;
        // Nobody walks through a locked door.
        let open = !self.locked && happens(self.seed, t, 40.0, 0.4);
        out.flag("open", open);
        out.flag("v0", self.locked);
        out.text("lock", if self.locked { "locked" } else { "unlocked" });
        out.number("battery", 88.0 + 2.0 * noise(self.seed, t, 200_000.0), 0);
    }
}

/// A sensor on two AA cells; a fresh pair when they are empty.
pub struct Battery {
    seed: u64,
    charge: f64,
}

impl Battery {
    pub fn new(seed: u64) -> Self {
        Battery { seed, charge: 84.0 }
    }
}

impl Physics for Battery {
    fn measure(&mut self, at: Moment, out: &mut Readings) {
        let Moment { t, dt } = at;
        // Twelve days for a pair, so that a person who looks twice sees it fall.
        self.charge -= dt * 100.0 / (12.0 * DAY);
        if self.charge < 3.0 {
            self.charge = 100.0;
        }
        let charge = self.charge / 100.0;
        // Flat in the middle, steep at both ends, as alkaline cells are.
        let volts = 2.3 + 0.5 * charge + 0.2 * charge.powi(12) - 0.3 * (1.0 - charge).powi(12);
        out.number(
            "temperature",
            11.0 + 0.8 * daily(t, 17.0) + 0.3 * noise(self.seed, t, 3_600.0),
            2,
        );
        out.number(
            "humidity",
            72.0 + 4.0 * noise(self.seed ^ 1, t, 20_000.0) + 0.2 * jitter(self.seed, t),
            1,
        );
        out.number("battery", self.charge, 0);
        out.number("battery_voltage", volts, 2);
    }
}
