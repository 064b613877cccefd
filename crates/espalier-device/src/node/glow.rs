//! The pattern that a person chooses for the LED: `led_mode`, `led_brightness`, `blink_interval` and `external_led` of the desired
//! state, as existing boards and apps have them. Not the status that the LED shows of itself.

use espalier_wire::json::{Json, Value};
use heapless::String;

use crate::led::{Pattern, SLOW_MAX_MS, SLOW_MIN_MS, SLOW_MS};

/// The keys of the pattern of the LED.
// In the order of the flags of what has changed.
pub const KEYS: [&str; 4] = [
    "led_mode",
    "led_brightness",
    "blink_interval",
    "external_led",
];
/// The mode that shows the status of the board.
const STATUS: &str = "status";

/// Returns the texts that `led_mode` can be.
pub fn modes() -> impl Iterator<Item = &'static str> {
    core::iter::once(STATUS).chain(Pattern::NAMES)
}

/// How `led_mode` was given, to be reported alike.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    Number(u8),
    Name(String<12>),
}

/// The choice.
#[derive(Debug)]
pub(super) struct Glow {
    mode: Mode,
    brightness: u8,
    interval_ms: u32,
    external: bool,
    /// What was changed here, and the core has not heard of, a bit for each key.
    changed: u8,
}

impl Default for Glow {
    fn default() -> Self {
        Glow {
            mode: Mode::Number(0),
            brightness: 255,
            interval_ms: SLOW_MS,
            external: true,
            changed: 0,
        }
    }
}

impl Glow {
    /// Returns keys and values.
    pub fn settings(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        KEYS.iter()
            .enumerate()
            .map(|(n, key)| (*key, self.value(n)))
    }

    fn value(&self, n: usize) -> Value<'_> {
        match n {
            0 => match &self.mode {
                Mode::Number(mode) => Value::Int(i64::from(*mode)),
                Mode::Name(name) => Value::from(name.as_str()),
            },
            1 => Value::Int(i64::from(self.brightness)),
            2 => Value::Int(i64::from(self.interval_ms)),
            _ => Value::Bool(self.external),
        }
    }

    /// Sets one of the keys; says whether there is such a key and value.
    pub fn set(&mut self, key: &str, value: Json<'_>) -> bool {
        let Some(n) = KEYS.iter().position(|known| *known == key) else {
            return false;
        };
        let done = match n {
            0 => self.read_mode(value).map(|mode| self.mode = mode),
            1 => small(value).map(|brightness| self.brightness = brightness),
            2 => interval(value).map(|interval| self.interval_ms = interval),
            _ => value.as_bool().map(|external| self.external = external),
        };
        if done.is_some() {
            self.changed &= !(1 << n);
        }
        done.is_some()
    }

    /// Sets one of the keys by the board's own wish: the core hears of it.
    pub fn set_here(&mut self, key: &str, value: Json<'_>) -> bool {
        let done = self.set(key, value);
        if done && let Some(n) = KEYS.iter().position(|known| *known == key) {
            self.changed |= 1 << n;
        }
        done
    }

    fn read_mode(&self, value: Json<'_>) -> Option<Mode> {
        if let Some(number) = value.as_i64() {
            Pattern::numbered(number, 0)?;
            return u8::try_from(number).ok().map(Mode::Number);
        }
        let mut name = String::new();
        value
            .as_text()?
            .chars()
            .try_for_each(|c| name.push(c))
            .ok()?;
        let known = name == STATUS || Pattern::named(&name, 0).is_some();
        known.then_some(Mode::Name(name))
    }

    /// Returns the pattern and its brightness; none when the LED is to show the status.
    pub fn chosen(&self) -> Option<(Pattern, u8)> {
        let pattern = match &self.mode {
            Mode::Number(mode) => Pattern::numbered(i64::from(*mode), self.interval_ms),
            Mode::Name(name) => Pattern::named(name, self.interval_ms),
        };
        pattern.map(|pattern| (pattern, self.brightness))
    }

    /// Says whether the second LED shows the pattern, too.
    pub const fn external(&self) -> bool {
        self.external
    }

    pub const fn has_changes(&self) -> bool {
        self.changed != 0
    }

    /// Returns a key that the core must hear of.
    pub fn next_change(&mut self) -> Option<(&'static str, Value<'_>)> {
        let n = usize::try_from(self.changed.trailing_zeros()).ok()?;
        let key = KEYS.get(n)?;
        self.changed &= self.changed - 1;
        Some((key, self.value(n)))
    }
}

fn small(value: Json<'_>) -> Option<u8> {
    u8::try_from(value.as_u64()?).ok()
}

fn interval(value: Json<'_>) -> Option<u32> {
    let ms = u32::try_from(value.as_u64()?).ok()?;
    (SLOW_MIN_MS..=SLOW_MAX_MS).contains(&ms).then_some(ms)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn every_name_of_a_mode_is_taken_and_told() {
        let mut glow = Glow::default();
        for name in modes() {
            let text = std::format!("\"{name}\"");
            assert!(
                glow.set_here(KEYS[0], Json::parse(&text).unwrap()),
                "{name}"
            );
            assert_eq!(glow.next_change(), Some((KEYS[0], Value::from(name))));
        }
        let other = Json::parse("\"sparkling\"").unwrap();
        assert!(!glow.set_here(KEYS[0], other) && !glow.has_changes());
    }
}
