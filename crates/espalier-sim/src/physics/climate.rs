//! Weather, air, heating and cooling.

use espalier_wire::json::Json;

use super::signal::{approach, daily, happens, hour, jitter, noise};
use super::{Moment, Physics, Readings, number_in, set};

/// A station on a roof.
pub struct Weather {
    seed: u64,
    rain: f64,
}

impl Weather {
    pub fn new(seed: u64) -> Self {
        Weather { seed, rain: 0.0 }
    }

    /// Outside temperature in °C: a day, slower weather over it, and gusts.
    fn temperature(seed: u64, t: f64) -> f64 {
        14.0 + 6.0 * daily(t, 15.0)
            + 4.0 * noise(seed, t, 90_000.0)
            + 0.4 * noise(seed ^ 1, t, 300.0)
    }
}

impl Physics for Weather {
    fn measure(&mut self, at: Moment, out: &mut Readings) {
        let Moment { t, dt } = at;
        let temperature = Self::temperature(self.seed, t);
        let pressure = 1013.2
            + 12.0 * noise(self.seed ^ 2, t, 200_000.0)
            + 0.3 * noise(self.seed ^ 3, t, 1_800.0);
        // Warm air is relatively drier; low pressure is moist.
        let humidity = 68.0 - 2.4 * (temperature - 14.0) - 0.6 * (pressure - 1013.2)
            + 3.0 * noise(self.seed ^ 4, t, 900.0);
        let raining = pressure < 1008.0 && happens(self.seed ^ 5, t, 1_200.0, 0.5);
        if raining {
            self.rain += dt * 2.0 / 3600.0;
        }
        let wind =
            (3.0 + 2.5 * noise(self.seed ^ 6, t, 3_600.0) + 1.2 * noise(self.seed ^ 7, t, 20.0))
                .max(0.0);
        out.number("temperature", temperature + 0.05 * jitter(self.seed, t), 1);
        out.number(
            "humidity",
            (humidity + 0.3 * jitter(self.seed ^ 8, t)).clamp(15.0, 100.0),
            1,
        );
        out.number("pressure", pressure, 1);
        out.number("wind", wind, 1);
        out.number("rain", self.rain, 1);
    }
}

/// The air of a classroom.
pub struct Air {
    seed: u64,
    co2: f64,
}

impl Air {
    pub fn new(seed: u64) -> Self {
        Air { seed, co2: 520.0 }
    }

    /// People in the room: lessons in the day, a break each hour, few in the evening.
    fn people(seed: u64, t: f64) -> f64 {
        let hour = hour(t);
        let busy = if (7.5..18.0).contains(&hour) {
            18.0
        } else {
            2.0
        };
        let pause = if hour.fract() > 0.8 { 0.3 } else { 1.0 };
        (busy * pause * (1.0 + 0.3 * noise(seed, t, 1_200.0))).round()
    }
}

impl Physics for Air {
    fn measure(&mut self, at: Moment, out: &mut Readings) {
        let Moment { t, dt } = at;
        let people = Self::people(self.seed, t);
        let window = happens(self.seed ^ 1, t, 900.0, 0.25);
        let (goal, constant) = if window {
            (440.0 + 12.0 * people, 180.0)
        } else {
            (440.0 + 70.0 * people, 900.0)
        };
        self.co2 = approach(self.co2, goal, dt, constant);
        let pm25 = 6.0
            + 3.0 * noise(self.seed ^ 2, t, 7_200.0)
            + 0.2 * people
            + if window { 2.5 } else { 0.0 };
        out.number("co2", self.co2 + 6.0 * jitter(self.seed, t), 0);
        out.number("pm25", (pm25 + 0.6 * jitter(self.seed ^ 3, t)).max(0.5), 1);
        out.number(
            "temperature",
            20.5 + 0.08 * people + 0.4 * noise(self.seed ^ 4, t, 1_800.0),
            1,
        );
        out.number(
            "humidity",
            (41.0 + 0.5 * people + 3.0 * noise(self.seed ^ 5, t, 3_600.0)).clamp(20.0, 90.0),
            1,
        );
    }
}

/// A room with a heater that follows a setpoint.
pub struct Thermostat {
    seed: u64,
    enabled: bool,
    setpoint: f64,
    temperature: f64,
    heating: bool,
}

impl Thermostat {
    pub fn new(seed: u64) -> Self {
        Thermostat {
            seed,
            enabled: true,
            setpoint: 21.0,
            temperature: 19.2,
            heating: false,
        }
    }
}

impl Physics for Thermostat {
    fn switches(&self) -> &'static [(&'static str, &'static str)] {
        &[("v0", "1"), ("setpoint", "21")]
    }

    fn drive(&mut self, key: &str, level: u8) {
        if key == "v0" {
            self.enabled = level > 0;
        }
    }

    fn set(&mut self, key: &str, value: Json<'_>) -> bool {
        key == "setpoint" && set(&mut self.setpoint, number_in(value, 5.0, 30.0))
    }

    fn measure(&mut self, at: Moment, out: &mut Readings) {
        let Moment { t, dt } = at;
        // Half a degree of hysteresis, as a real thermostat has.
        if self.temperature < self.setpoint - 0.25 {
            self.heating = true;
        } else if self.temperature > self.setpoint + 0.25 {
            self.heating = false;
        }
        let on = self.enabled && self.heating;
        let outside = Weather::temperature(self.seed, t);
        // A heater that could hold 34 °C above outside; the room follows within minutes, so that a person sees it.
        let goal = if on { outside + 34.0 } else { outside + 2.0 };
        self.temperature = approach(self.temperature, goal, dt, 1_800.0);
        out.number(
            "temperature",
            self.temperature + 0.03 * jitter(self.seed, t),
            1,
        );
        out.number("setpoint", self.setpoint, 1);
        out.flag("heating", on);
        out.number(
            "humidity",
            44.0 - 0.8 * (self.temperature - 20.0) + 2.0 * noise(self.seed ^ 1, t, 1_800.0),
            1,
        );
    }
}

/// A freezer in a garage.
pub struct Freezer {
    seed: u64,
    temperature: f64,
    cooling: bool,
    energy: f64,
}

impl Freezer {
    pub fn new(seed: u64) -> Self {
        Freezer {
            seed,
            temperature: -18.0,
            cooling: true,
            energy: 0.0,
        }
    }
}

impl Physics for Freezer {
    fn measure(&mut self, at: Moment, out: &mut Readings) {
        let Moment { t, dt } = at;
        let open = happens(self.seed, t, 60.0, 0.03);
        if self.temperature > -16.8 {
            self.cooling = true;
        } else if self.temperature < -19.2 {
            self.cooling = false;
        }
        let goal = if self.cooling { -24.0 } else { 8.0 };
        self.temperature = approach(
            self.temperature,
            goal,
            dt,
            if self.cooling { 900.0 } else { 5_400.0 },
        );
        if open {
            self.temperature = approach(self.temperature, 12.0, dt, 1_200.0);
        }
        let power = if self.cooling {
            78.0 + 4.0 * jitter(self.seed ^ 1, t)
        } else {
            1.2
        };
        self.energy += power * dt / 3_600_000.0;
        out.number(
            "temperature",
            self.temperature + 0.05 * jitter(self.seed ^ 2, t),
            1,
        );
        out.flag("door", open);
        out.number("power", power, 1);
        out.number("energy", self.energy, 3);
    }
}
