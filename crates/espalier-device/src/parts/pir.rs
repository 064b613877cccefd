//! A motion sensor (PIR): its level as motion and rest. It is blind for a while after the power comes, and a blind sensor says
//! nothing instead of *no motion*.

/// The times of a sensor, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How long the sensor is blind after the start: HC-SR501 and its like need up to a minute.
    pub warm_up_ms: u64,
    /// How long the line must be high to be motion; shorter is noise.
    pub least_ms: u64,
    /// How long after the last motion it is rest: people who sit still move now and then.
    pub rest_ms: u64,
}

impl Default for Times {
    fn default() -> Self {
        Times {
            warm_up_ms: 60_000,
            least_ms: 50,
            rest_ms: 30_000,
        }
    }
}

/// The machine.
#[derive(Debug)]
pub struct Pir {
    times: Times,
    started: Option<u64>,
    /// The level that was read last, and since when.
    raw: (bool, u64),
    /// When motion was seen last.
    seen: u64,
    motion: Option<bool>,
}

impl Pir {
    /// Makes the machine; the sensor counts as blind from its first step on.
    pub const fn new(times: Times) -> Self {
        Pir {
            times,
            started: None,
            raw: (false, 0),
            seen: 0,
            motion: None,
        }
    }

    /// Takes the level of the line at `now`, milliseconds of a clock that counts up, and returns what has changed: `true` when
    /// motion begins, `false` when it is rest. Call it whenever the level changes and when it is [due](Pir::due).
    pub fn step(&mut self, now: u64, high: bool) -> Option<bool> {
        let started = *self.started.get_or_insert(now);
        if high != self.raw.0 {
            let long_enough = now >= self.raw.1.saturating_add(self.times.least_ms);
            if self.raw.0 && long_enough {
                self.seen = now;
            }
            self.raw = (high, now);
        }
        if now < started.saturating_add(self.times.warm_up_ms) {
            return None;
        }
        if high && now >= self.raw.1.saturating_add(self.times.least_ms) {
            self.seen = now;
            return (self.motion.replace(true) != Some(true)).then_some(true);
        }
        let still = match self.motion {
            None => true,
            Some(true) => now >= self.seen.saturating_add(self.times.rest_ms) && !high,
            Some(false) => false,
        };
        (still && !high && self.motion.replace(false) != Some(false)).then_some(false)
    }

    /// Returns when the machine must be stepped again although the level stays, in milliseconds of its clock.
    pub fn due(&self) -> u64 {
        let Some(started) = self.started else {
            return 0;
        };
        let (high, since) = self.raw;
        let seeing = started.saturating_add(self.times.warm_up_ms);
        let next = match (self.motion, high) {
            (Some(true), true) | (Some(false), false) => return u64::MAX,
            (Some(true), false) => self.seen.saturating_add(self.times.rest_ms),
            (_, true) => since.saturating_add(self.times.least_ms),
            (None, false) => seeing,
        };
        next.max(seeing)
    }

    /// Returns whether something moves; none while the sensor is blind.
    pub const fn motion(&self) -> Option<bool> {
        self.motion
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// Levels and how long each stays; steps at every change and whenever the machine is due.
    fn play(levels: &[(bool, u64)]) -> Vec<(u64, bool)> {
        let mut pir = Pir::new(Times::default());
        let (mut now, mut seen) = (0, Vec::new());
        for (level, time) in levels {
            let end = now + time;
            let mut at = now;
            while at < end {
                seen.extend(pir.step(at, *level).map(|motion| (at, motion)));
                let due = pir.due();
                assert!(due > at, "it never rests");
                at = due;
            }
            now = end;
        }
        seen
    }

    #[test]
    fn a_cold_sensor_says_nothing_and_a_warm_one_what_it_sees() {
        assert_eq!(play(&[(true, 59_000), (false, 900)]), []);
        assert_eq!(play(&[(true, 1_000), (false, 70_000)]), [(60_000, false)]);
        assert_eq!(
            play(&[
                (false, 70_000),
                (true, 5_000),
                (false, 10_000),
                (true, 5_000),
                (false, 60_000)
            ]),
            [(60_000, false), (70_050, true), (120_000, false)],
            "a pause of ten seconds is no rest"
        );
        assert_eq!(
            play(&[(false, 70_000), (true, 40), (false, 60_000)]),
            [(60_000, false)],
            "noise"
        );
        assert_eq!(
            play(&[(true, 200_000)]),
            [(60_000, true)],
            "motion at the end of the warming up"
        );
    }

    proptest! {
        /// Motion and rest take turns, nothing is said while the sensor is cold, and it ends in rest.
        #[test]
        fn motion_and_rest_take_turns(levels in proptest::collection::vec((any::<bool>(), 1..40_000_u64), 0..40)) {
            let mut levels = levels;
            levels.push((false, 200_000));
            let seen = play(&levels);
            prop_assert!(seen.iter().all(|(at, _)| *at >= 60_000));
            prop_assert!(seen.windows(2).all(|w| w[0].1 != w[1].1 && w[0].0 < w[1].0));
            prop_assert_eq!(seen.last().map(|(_, motion)| *motion), Some(false));
        }
    }
}
