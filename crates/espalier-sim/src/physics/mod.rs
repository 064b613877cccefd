//! What the boards measure: small models of rooms, tanks and people, the same for the same seed and time. Not a network.

mod climate;
mod garden;
mod home;
mod power;
mod signal;
#[cfg(test)]
mod tests;

use espalier_wire::json::{Json, Value};

use crate::kinds::BoardKind;

/// The moment of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Seconds since 1970 in local time, so that days have mornings.
    pub t: f64,
    /// Seconds since the last measurement; 0 at the first, never negative, at most an hour.
    pub dt: f64,
}

/// A measured value, rounded as the sensor would.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// A number with few decimals.
    Number(f64),
    /// A count or a flag.
    Whole(i64),
    /// A short text.
    Text(&'static str),
}

impl Reading {
    /// Returns the value as the wire has it.
    pub fn to_value(self) -> Value<'static> {
        match self {
            Reading::Number(x) => Value::Float(x),
            Reading::Whole(i) => Value::Int(i),
            Reading::Text(text) => Value::from(text),
        }
    }
}

/// The values of one measurement.
#[derive(Debug, Default)]
pub struct Readings(pub Vec<(&'static str, Reading)>);

impl Readings {
    /// Adds a number, rounded to this many decimals.
    pub fn number(&mut self, key: &'static str, x: f64, decimals: i32) {
        let scale = 10_f64.powi(decimals);
        let rounded = (x * scale).round() / scale;
        // A sensor never says "minus zero".
        self.0.push((key, Reading::Number(rounded + 0.0)));
    }

    /// Adds a count.
    pub fn whole(&mut self, key: &'static str, i: i64) {
        self.0.push((key, Reading::Whole(i)));
    }

    /// Adds a flag as 0 or 1, as the conventional keys have it.
    pub fn flag(&mut self, key: &'static str, on: bool) {
        self.whole(key, i64::from(on));
    }

    /// Adds a text.
    pub fn text(&mut self, key: &'static str, text: &'static str) {
        self.0.push((key, Reading::Text(text)));
    }
}

/// A model behind a board. Its switches are pins, which [`Physics::drive`] sets, and values that no pin can have, such as a colour
/// or a setpoint: those come through [`Physics::set`], and no schedule of the board reaches them.
pub trait Physics: Send {
    /// Returns the switches with the values that they have when nobody has ever set them, as JSON.
    fn switches(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Puts the pin of a switch on a level: 0 is off, 255 is full.
    fn drive(&mut self, _key: &str, _level: u8) {}

    /// Sets a switch without a pin; returns false for a value that the board cannot take.
    fn set(&mut self, _key: &str, _value: Json<'_>) -> bool {
        false
    }

    /// Moves the model to a moment and reads the sensors.
    fn measure(&mut self, at: Moment, out: &mut Readings);

    /// Returns a switch that the board has changed by itself since the last call, with its new value as JSON.
    fn changed(&mut self) -> Option<(&'static str, &'static str)> {
        None
    }
}

/// Makes the model of a kind.
pub fn model(kind: BoardKind, seed: u64) -> Box<dyn Physics> {
    match kind {
        BoardKind::WeatherStation => Box::new(climate::Weather::new(seed)),
        BoardKind::AirQuality => Box::new(climate::Air::new(seed)),
        BoardKind::Thermostat => Box::new(climate::Thermostat::new(seed)),
        BoardKind::Freezer => Box::new(climate::Freezer::new(seed)),
        BoardKind::SmartPlug => Box::new(power::Plug::new(seed)),
        BoardKind::RelayBoard => Box::new(power::Relays::new(seed)),
        BoardKind::Lamp => Box::new(power::Lamp::new(seed)),
        BoardKind::EnergyMeter => Box::new(power::Meter::new(seed)),
        BoardKind::Plant => Box::new(garden::Plant::new(seed)),
        BoardKind::WaterTank => Box::new(garden::Tank::new(seed)),
        BoardKind::Motion => Box::new(home::Motion::new(seed)),
        BoardKind::DoorLock => Box::new(home::Door::new(seed)),
        BoardKind::BatterySensor => Box::new(home::Battery::new(seed)),
    }
}

/// Returns a Wi-Fi signal strength in dBm that drifts around the board's place in the house.
pub fn rssi(seed: u64, sample: u64) -> i32 {
    let place = -52.0 - 24.0 * signal::chance(seed, 7);
    (place + 5.0 * signal::noise(seed ^ 0x51, sample as f64, 20.0)) as i32
}

/// Reads a number within bounds.
fn number_in(value: Json<'_>, low: f64, high: f64) -> Option<f64> {
    value.as_f64().filter(|x| (low..=high).contains(x))
}

/// Takes over a new value and says whether there was one.
fn set<T>(slot: &mut T, value: Option<T>) -> bool {
    match value {
        Some(value) => {
            *slot = value;
            true
        }
        None => false,
    }
}
