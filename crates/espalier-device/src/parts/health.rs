//! Whether the sensors of a board work, so that a sensor that fails says so instead of going quiet: one value per sensor in every
//! sample, and a word when it changes. Not the sensors.

use espalier_wire::json::Value;

/// Failures in a row from which on a sensor counts as broken: one lost bit is not worth a word.
pub const MAX_FAILURES: u8 = 3;

/// A sensor that may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensor {
    /// Temperature and humidity over one wire.
    Dht22,
    /// Temperature, pressure and humidity over I2C.
    Bme280,
    /// The display, which answers by its busy line.
    Display,
    /// The reader of NFC tags.
    Nfc,
}

impl Sensor {
    const ALL: [(Sensor, &'static str); 4] = [
        (Sensor::Dht22, "dht22_ok"),
        (Sensor::Bme280, "bme280_ok"),
        (Sensor::Display, "display_ok"),
        (Sensor::Nfc, "nfc_ok"),
    ];

    const fn index(self) -> usize {
        match self {
            Sensor::Dht22 => 0,
            Sensor::Bme280 => 1,
            Sensor::Display => 2,
            Sensor::Nfc => 3,
        }
    }

    /// Returns the key of its value in samples.
    pub fn key(self) -> &'static str {
        Sensor::ALL.get(self.index()).map_or("", |(_, key)| key)
    }
}

/// What has become of a sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is broken.
    Broken,
    /// It works again, or for the first time.
    Works,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    failures: u8,
    works: Option<bool>,
}

/// The sensors of a board.
#[derive(Debug, Default)]
pub struct Health([State; 4]);

impl Health {
    /// Notes how an attempt ended, and returns what is news.
    pub fn note(&mut self, sensor: Sensor, ok: bool) -> Option<Change> {
        let state = self.0.get_mut(sensor.index())?;
        if ok {
            state.failures = 0;
            return (state.works.replace(true) != Some(true)).then_some(Change::Works);
        }
        state.failures = state.failures.saturating_add(1);
        let broken = state.failures >= MAX_FAILURES && state.works.replace(false) != Some(false);
        broken.then_some(Change::Broken)
    }

    /// Returns whether a sensor works; none while that is not known.
    pub fn works(&self, sensor: Sensor) -> Option<bool> {
        self.0.get(sensor.index())?.works
    }

    /// Returns the values of all sensors of which something is known, for a sample.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, Value<'static>)> {
        let states = self.0.iter().zip(Sensor::ALL);
        states.filter_map(|(state, (_, key))| Some((key, Value::Bool(state.works?))))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_sensor_that_fails_again_and_again_is_broken_until_it_works_once() {
        let mut health = Health::default();
        assert_eq!(
            (health.works(Sensor::Dht22), health.values().count()),
            (None, 0)
        );
        let story = [
            true, false, false, true, false, false, false, false, true, true,
        ];
        let news: Vec<_> = story
            .iter()
            .map(|ok| health.note(Sensor::Dht22, *ok))
            .collect();
        let (works, broken) = (Some(Change::Works), Some(Change::Broken));
        assert_eq!(
            news,
            [
                works, None, None, None, None, None, broken, None, works, None
            ]
        );
        // One that never worked says so, too.
        for _ in 0..MAX_FAILURES {
            health.note(Sensor::Nfc, false);
        }
        let values: Vec<_> = health.values().collect();
        assert_eq!(
            values,
            [
                ("dht22_ok", Value::Bool(true)),
                ("nfc_ok", Value::Bool(false))
            ]
        );
        for (sensor, key) in Sensor::ALL {
            assert_eq!(sensor.key(), key);
        }
    }
}
