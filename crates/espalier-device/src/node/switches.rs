//! Relays and PWM pins: what they should be, what was told to the binding, and what the core must hear of. No pin is touched here.

use espalier_wire::json::{Json, Value};
use heapless::{String, Vec};

use crate::profile::{MAX_KEY, MAX_PINS, Profile, Role};

#[derive(Debug)]
struct Switch {
    gpio: u8,
    key: String<MAX_KEY>,
    inverted: bool,
    /// Whether it takes values between off and on.
    pwm: bool,
    level: u8,
    /// The level that was told last.
    told: Option<u8>,
    /// Whether it was changed here, and the core has not heard of it.
    changed: bool,
}

impl Switch {
    fn value(&self) -> Value<'static> {
        if self.pwm {
            Value::Int(i64::from(self.level))
        } else {
            Value::Bool(self.level > 0)
        }
    }

    /// Reads `true`, `false`, 0 or 1, of a PWM pin 0 to 255.
    fn read(&self, value: Json<'_>) -> Option<u8> {
        if let Some(on) = value.as_bool() {
            return Some(if on { 255 } else { 0 });
        }
        match (self.pwm, u8::try_from(value.as_u64()?).ok()?) {
            (true, level) => Some(level),
            (false, 0) => Some(0),
            (false, 1) => Some(255),
            _ => None,
        }
    }
}

/// The switched pins of a board.
#[derive(Debug, Default)]
pub(super) struct Pins {
    list: Vec<Switch, MAX_PINS>,
    /// Whether no pin is driven.
    idle: bool,
}

impl Pins {
    /// Takes the relays and PWM pins of a profile, all off; none when the firmware does not switch. An idle board knows its
    /// switches, so that nothing of them is forgotten, and drives none.
    pub fn of(profile: &Profile, switched: bool, idle: bool) -> Self {
        let pins = profile.switched().filter(|_| switched).map(|pin| Switch {
            gpio: pin.gpio,
            key: pin.key.clone(),
            inverted: pin.inverted,
            pwm: pin.role == Role::Pwm,
            level: 0,
            told: None,
            changed: false,
        });
        Pins {
            list: pins.collect(),
            idle,
        }
    }

    /// Returns keys and values.
    pub fn values(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.list.iter().map(|s| (s.key.as_str(), s.value()))
    }

    /// Sets a switch as the core asks; says whether there is such a switch and value.
    pub fn set(&mut self, key: &str, value: Json<'_>) -> bool {
        let Some(switch) = self.list.iter_mut().find(|s| s.key == key) else {
            return false;
        };
        let Some(level) = switch.read(value) else {
            return false;
        };
        (switch.level, switch.changed) = (level, false);
        true
    }

    /// Sets a switch by the board's own wish: the core hears of it.
    pub fn set_here(&mut self, key: &str, value: Json<'_>) -> bool {
        let before = self
            .list
            .iter()
            .find(|s| s.key == key)
            .map(|s| (s.level, s.changed));
        let done = self.set(key, value);
        if let Some((level, changed)) = before
            && let Some(switch) = self.list.iter_mut().find(|s| s.key == key)
        {
            switch.changed = changed || switch.level != level;
        }
        done
    }

    /// Returns a pin whose level has to change.
    pub fn next_level(&mut self) -> Option<(u8, u8)> {
        let waits = |s: &&mut Switch| s.told != Some(s.level);
        let switch = self.list.iter_mut().filter(|_| !self.idle).find(waits)?;
        switch.told = Some(switch.level);
        let level = if switch.inverted {
            255 - switch.level
        } else {
            switch.level
        };
        Some((switch.gpio, level))
    }

    pub fn has_changes(&self) -> bool {
        self.list.iter().any(|s| s.changed)
    }

    /// Returns a switch that the core must hear of.
    pub fn next_change(&mut self) -> Option<(&str, Value<'_>)> {
        let switch = self.list.iter_mut().find(|s| s.changed)?;
        switch.changed = false;
        Some((&switch.key, switch.value()))
    }
}
