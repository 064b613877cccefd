//! One push button: debounced, short and long presses, and the long hold that resets the board to the state of the factory,
//! with something to see at every step. Not a pin: the binding says what level it reads, whenever that changes or the machine
//! asks.

/// The times of a button, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How long a level must stay until it counts.
    pub debounce_ms: u64,
    /// From when on a press is long.
    pub long_ms: u64,
    /// From when on the button warns that it resets the board soon; letting go then does nothing.
    pub warn_ms: u64,
    /// From when on it resets the board.
    pub reset_ms: u64,
}

impl Default for Times {
    fn default() -> Self {
        Times {
            debounce_ms: 50,
            long_ms: 2_000,
            warn_ms: 6_000,
            reset_ms: 10_000,
        }
    }
}

/// What the person did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    /// The button went down: show it.
    Down,
    /// It was down briefly.
    Short,
    /// It has been down for long enough to be long: show it. It acts when it is let go.
    LongReached,
    /// It was down for long.
    Long,
    /// The board will be reset soon: show it.
    Warning,
    /// It was let go during the warning: nothing happens.
    Cancelled,
    /// Forget everything that a person has set.
    FactoryReset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Up,
    Down {
        since: u64,
        told: Told,
    },
    /// Nothing counts until it is let go: it was down at the start, or has reset the board.
    Ignored,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Down,
    Long,
    /// With the moment at which the warning was given.
    Warning(u64),
}

/// The machine.
#[derive(Debug)]
pub struct Button {
    times: Times,
    phase: Phase,
    /// The level that was read last, and since when.
    raw: Option<(bool, u64)>,
}

impl Button {
    /// Makes the machine of a button. One that is down at the start is ignored until it is let go: a pin that is stuck must
    /// not reset a board, and holding the button while the board starts belongs to the bootloader.
    pub const fn new(times: Times) -> Self {
        Button {
            times,
            phase: Phase::Ignored,
            raw: None,
        }
    }

    /// Takes the level that the pin has at `now`, milliseconds of a clock that counts up, and says what the person did.
    /// Call it whenever the level changes and when it is [due](Button::due).
    pub fn step(&mut self, now: u64, down: bool) -> Option<Press> {
        match self.raw {
            Some((level, _)) if level == down => {}
            _ => self.raw = Some((down, now)),
        }
        let (_, since) = self.raw?;
        let stable = now >= since.saturating_add(self.times.debounce_ms);
        match self.phase {
            Phase::Up if stable && down => {
                let told = Told::Down;
                self.phase = Phase::Down { since, told };
                Some(Press::Down)
            }
            Phase::Ignored if stable && !down => {
                self.phase = Phase::Up;
                None
            }
            Phase::Down {
                since: pressed,
                told,
            } if stable && !down => {
                self.phase = Phase::Up;
                // It was let go when the level changed, not when that was believed.
                let held = since.saturating_sub(pressed);
                Some(match told {
                    Told::Warning(_) => Press::Cancelled,
                    _ if held >= self.times.warn_ms => Press::Cancelled,
                    _ if held >= self.times.long_ms => Press::Long,
                    _ => Press::Short,
                })
            }
            // While a release is not believed yet, nothing new is reached.
            Phase::Down {
                since: pressed,
                told,
            } if down => self.held(now, pressed, told),
            _ => None,
        }
    }

    fn held(&mut self, now: u64, pressed: u64, told: Told) -> Option<Press> {
        // A board that was busy for ten seconds warns as long as any other before it forgets.
        if now < self.next_at(pressed, told) {
            return None;
        }
        let (next, press) = match told {
            Told::Down => (Told::Long, Press::LongReached),
            Told::Long => (Told::Warning(now), Press::Warning),
            Told::Warning(_) => {
                self.phase = Phase::Ignored;
                return Some(Press::FactoryReset);
            }
        };
        self.phase = Phase::Down {
            since: pressed,
            told: next,
        };
        Some(press)
    }

    /// When the next thing is reached by a button that stays down.
    const fn next_at(&self, pressed: u64, told: Told) -> u64 {
        let Times {
            long_ms,
            warn_ms,
            reset_ms,
            ..
        } = self.times;
        match told {
            Told::Down => pressed.saturating_add(long_ms),
            Told::Long => pressed.saturating_add(warn_ms),
            Told::Warning(at) => at.saturating_add(reset_ms.saturating_sub(warn_ms)),
        }
    }

    /// Returns when the machine must be stepped again although the level stays, in milliseconds of its clock.
    pub fn due(&self) -> u64 {
        let Some((down, since)) = self.raw else {
            return 0;
        };
        let settled = since.saturating_add(self.times.debounce_ms);
        match self.phase {
            Phase::Up if down => settled,
            Phase::Ignored if !down => settled,
            Phase::Down { .. } if !down => settled,
            Phase::Down { since, told } => self.next_at(since, told),
            _ => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// Levels and how long each stays; steps at every change and whenever the machine is due.
    fn play(levels: &[(bool, u64)]) -> Vec<(u64, Press)> {
        let mut button = Button::new(Times::default());
        let (mut now, mut seen) = (1_000, Vec::new());
        for (level, time) in levels {
            let end = now + time;
            let mut at = now;
            while at < end {
                seen.extend(button.step(at, *level).map(|press| (at - 1_000, press)));
                at = button.due().max(at + 1);
            }
            now = end;
        }
        seen
    }

    fn presses(levels: &[(bool, u64)]) -> Vec<Press> {
        play(levels).into_iter().map(|(_, press)| press).collect()
    }

    #[test]
    fn a_press_is_short_long_cancelled_or_the_end_of_everything() {
        let hold = |ms| play(&[(false, 100), (true, ms), (false, 100)]);
        assert_eq!(hold(300), [(150, Press::Down), (450, Press::Short)]);
        assert_eq!(hold(1_999).last(), Some(&(2_149, Press::Short)));
        assert_eq!(
            hold(3_000),
            [
                (150, Press::Down),
                (2_100, Press::LongReached),
                (3_150, Press::Long)
            ]
        );
        assert_eq!(
            hold(9_900)[2..],
            [(6_100, Press::Warning), (10_050, Press::Cancelled)]
        );
        assert_eq!(
            hold(60_000)[2..],
            [(6_100, Press::Warning), (10_100, Press::FactoryReset)],
            "once, and letting go afterwards means nothing"
        );
    }

    #[test]
    fn contacts_that_bounce_are_one_press() {
        let mut levels = vec![(false, 100)];
        for _ in 0..10 {
            levels.extend([(true, 3), (false, 4)]);
        }
        levels.push((true, 200));
        for _ in 0..10 {
            levels.extend([(false, 5), (true, 5)]);
        }
        levels.push((false, 200));
        assert_eq!(presses(&levels), [Press::Down, Press::Short]);
    }

    #[test]
    fn a_button_that_is_down_at_the_start_does_nothing_until_it_is_let_go() {
        assert_eq!(presses(&[(true, 600_000)]), []);
        assert_eq!(
            presses(&[(true, 20_000), (false, 100), (true, 100), (false, 100)]),
            [Press::Down, Press::Short]
        );
    }

    #[test]
    fn a_board_that_was_busy_warns_before_it_forgets() {
        let mut button = Button::new(Times::default());
        for at in [0, 60] {
            assert_eq!(button.step(at, false), None);
        }
        assert_eq!(button.step(100, true), None);
        // Nobody looked for a minute, and the button was perhaps up in between.
        let times = [60_000, 60_001, 60_002, 60_003, 64_001, 64_002, 70_000];
        let seen = times.map(|at| button.step(at, true));
        let in_order = [
            Some(Press::Down),
            Some(Press::LongReached),
            Some(Press::Warning),
            None,
            None,
            Some(Press::FactoryReset),
            None,
        ];
        assert_eq!(seen, in_order);
    }

    proptest! {
        /// Whatever the contacts do: every press begins with `Down`, ends once, and a reset needs ten seconds.
        #[test]
        fn any_levels_make_whole_presses(
            levels in proptest::collection::vec((any::<bool>(), 1..4_000_u64), 0..60),
        ) {
            let mut levels = levels;
            levels.push((false, 100));
            let (mut down_at, mut open) = (0, false);
            for (at, press) in play(&levels) {
                match press {
                    Press::Down => {
                        prop_assert!(!open);
                        (open, down_at) = (true, at);
                    }
                    Press::LongReached | Press::Warning => prop_assert!(open),
                    Press::Short | Press::Long | Press::Cancelled => {
                        prop_assert!(open);
                        open = false;
                    }
                    Press::FactoryReset => {
                        prop_assert!(open && at >= down_at + 10_000 - 50);
                        open = false;
                    }
                }
            }
            prop_assert!(!open);
        }
    }
}
