//! Sockets, relays, lamps and meters.

use espalier_wire::json::{Json, Kind};

use super::signal::{daily, happens, hour, jitter, noise};
use super::{Moment, Physics, Readings, set};

/// Mains voltage in volts.
fn mains(seed: u64, t: f64) -> f64 {
    230.0 + 3.0 * noise(seed ^ 0xac, t, 400.0) + 0.4 * jitter(seed, t)
}

/// A socket with a meter.
pub struct Plug {
    seed: u64,
    on: bool,
    energy: f64,
}

impl Plug {
    pub fn new(seed: u64) -> Self {
        Plug {
            seed,
            on: true,
            energy: 0.0,
        }
    }
}

impl Physics for Plug {
    fn switches(&self) -> &'static [(&'static str, &'static str)] {
        &[("relay1", "1")]
    }

    fn drive(&mut self, key: &str, level: u8) {
        if key == "relay1" {
            self.on = level > 0;
        }
    }

    fn measure(&mut self, at: Moment, out: &mut Readings) {
        let Moment { t, dt } = at;
        let brewing = happens(self.seed, t, 120.0, 0.3);
        let load = if brewing {
            1_350.0 + 25.0 * noise(self.seed, t, 5.0)
        } else {
            3.4 + 0.3 * jitter(self.seed, t)
        };
        let power = if self.on { load } else { 0.0 };
        let voltage = mains(self.seed, t);
        self.energy += power * dt / 3_600_000.0;
        out.number("power", power, 1);
        out.number("voltage", voltage, 1);
        out.number("current", power / voltage, 3);
        out.number("energy", self.energy, 3);
        out.flag("relay1", self.on);
    }
}

/// Four relays.
pub struct Relays {
    seed: u64,
    on: [bool; 4],
}

const RELAYS: [&str; 4] = ["relay1", "relay2", "relay3", "relay4"];

impl Relays {
    pub fn new(seed: u64) -> Self {
        Relays {
            seed,
            on: [false, true, false, false],
        }
    }
}

impl Physics for Relays {
    fn switches(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("relay1", "0"),
            ("relay2", "1"),
            ("relay3", "0"),
            ("relay4", "0"),
        ]
    }

    fn drive(&mut self, key: &str, level: u8) {
        if let Some(i) = RELAYS.iter().position(|k| *k == key) {
            self.on[i] = level > 0;
        }
    }

    fn measure(&mut self, at: Moment, out: &mut Readings) {
        for (key, on) in RELAYS.into_iter().zip(self.on) {
            out.flag(key, on);
        }
        let coils = self.on.iter().filter(|on| **on).count() as f64;
        out.number(
            "supply",
            12.06 - 0.04 * coils + 0.02 * jitter(self.seed, at.t),
            2,
        );
    }
}

/// A lamp with brightness and colour.
pub struct Lamp {
    seed: u64,
    on: bool,
    /// The duty of its PWM, 0 to 255.
    brightness: u8,
    color: String,
}

impl Lamp {
    pub fn new(seed: u64) -> Self {
        Lamp {
            seed,
            on: false,
            brightness: 178,
            color: "#ffb36b".to_owned(),
        }
    }
}

/// Reads a colour, `#rrggbb`.
fn color(value: Json<'_>) -> Option<String> {
    let text = if value.kind() == Kind::Text {
        value.as_text()?.to_owned_string()
    } else {
        return None;
    };
    let digits = text.strip_prefix('#')?;
    (digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.clone())
}

impl Physics for Lamp {
    fn switches(&self) -> &'static [(&'static str, &'static str)] {
        &[("v0", "0"), ("brightness", "178"), ("color", "\"#ffb36b\"")]
    }

    fn drive(&mut self, key: &str, level: u8) {
        match key {
            "v0" => self.on = level > 0,
            "brightness" => self.brightness = level,
            _ => {}
        }
    }

    fn set(&mut self, key: &str, value: Json<'_>) -> bool {
        key == "color" && set(&mut self.color, color(value))
    }

    fn measure(&mut self, at: Moment, out: &mut Readings) {
        let shines = if self.on {
            f64::from(self.brightness) / 255.0
        } else {
            0.0
        };
        let standby = if self.on { 0.4 } else { 0.2 };
        out.flag("v0", self.on);
        out.whole("brightness", i64::from(self.brightness));
        let power = standby + 8.5 * shines;
        out.number("power", power + 0.02 * jitter(self.seed, at.t), 2);
        out.number(
            "temperature",
            23.0 + 12.0 * shines + 0.3 * noise(self.seed, at.t, 120.0),
            1,
        );
    }
}

/// The meter of a house with panels on the roof.
pub struct Meter {
    seed: u64,
    imported: f64,
    exported: f64,
}

impl Meter {
    pub fn new(seed: u64) -> Self {
        Meter {
            seed,
            imported: 4_512.0,
            exported: 1_207.0,
        }
    }
}

impl Physics for Meter {
    fn measure(&mut self, at: Moment, out: &mut Readings) {
        let Moment { t, dt } = at;
        let hour = hour(t);
        let cooking = (11.5..13.0).contains(&hour) || (18.0..20.0).contains(&hour);
        let base = 280.0 + 90.0 * noise(self.seed, t, 600.0) + if cooking { 1_400.0 } else { 0.0 };
        let load = base
            + if happens(self.seed ^ 1, t, 300.0, 0.15) {
                2_000.0
            } else {
                0.0
            };
        let sun =
            3_600.0 * daily(t, 13.0).max(0.0) * (0.75 + 0.25 * noise(self.seed ^ 2, t, 240.0));
        let power = load - sun;
        let energy = power * dt / 3_600_000.0;
        if energy > 0.0 {
            self.imported += energy;
        } else {
            self.exported -= energy;
        }
        out.number("power", power + 2.0 * jitter(self.seed, t), 0);
        out.number("solar", sun, 0);
        out.number("voltage", mains(self.seed, t), 1);
        out.number("energy", self.imported, 3);
        out.number("energy_exported", self.exported, 3);
    }
}
