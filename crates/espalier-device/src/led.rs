//! What the status LED shows: patterns as pure functions of time, and which of several wishes wins. Not a driver: the binding
//! sets the brightness (a board without PWM lights up from half on) and asks again when it is due.

use heapless::Deque;

/// Shortest time that a slow pattern stays on and off, in milliseconds.
pub const SLOW_MIN_MS: u32 = 100;
/// Longest time that a slow pattern stays on and off, in milliseconds.
pub const SLOW_MAX_MS: u32 = 5_000;
/// Time that a slow pattern stays on and off unless someone says otherwise, in milliseconds.
pub const SLOW_MS: u32 = 1_000;
/// Bursts that wait for their turn; more are dropped, because nobody can count them.
const WAITING: usize = 4;

/// A light that goes on for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Dark.
    Off,
    /// Lit.
    On,
    /// Two short beats every two seconds.
    Heartbeat,
    /// On and off, 200 ms each.
    Fast,
    /// On and off, so many milliseconds each: 100 to 5000, others are taken as the nearest of these.
    Slow(u32),
    /// Up and down in 2 s.
    Breathing,
    /// Three blinks of 150 ms and a pause of a second.
    Triple,
    /// A spark of 50 ms every 5 s: all is well.
    Spark,
}

/// A few blinks, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// How many.
    pub blinks: u8,
    /// How long each is on, and off, in milliseconds.
    pub each_ms: u16,
}

/// The bursts that boards have always shown.
pub mod bursts {
    use super::Burst;

    const fn burst(blinks: u8, each_ms: u16) -> Burst {
        Burst { blinks, each_ms }
    }

    /// The board starts.
    pub const START: Burst = burst(3, 100);
    /// The network is there.
    pub const CONNECTED: Burst = burst(5, 100);
    /// The network is lost.
    pub const NO_WIFI: Burst = burst(6, 100);
    /// The button asks for new firmware.
    pub const ASKED: Burst = burst(3, 200);
    /// New firmware begins to come in.
    pub const UPDATE: Burst = burst(10, 100);
    /// A long press is recognised.
    pub const LONG_PRESS: Burst = burst(5, 100);
    /// The first page is shown.
    pub const ONE: Burst = burst(1, 150);
    /// The second page is shown.
    pub const TWO: Burst = burst(2, 150);
}

/// What the LED does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Light {
    /// 0 is dark, 255 is as bright as it gets.
    pub brightness: u8,
    /// Milliseconds until it changes; none when it does not.
    pub for_ms: Option<u32>,
}

impl Light {
    const DARK: Light = Light {
        brightness: 0,
        for_ms: None,
    };
}

/// Milliseconds between two steps of breathing, and what a step adds or takes.
const BREATH_MS: u64 = 20;
const BREATH_STEP: u64 = 5;

impl Pattern {
    /// Reads the number that existing boards and apps use: 0 heartbeat, 1 fast, 2 slow, 3 breathing, 4 triple.
    pub fn numbered(mode: i64, slow_ms: u32) -> Option<Self> {
        Some(match mode {
            0 => Pattern::Heartbeat,
            1 => Pattern::Fast,
            2 => Pattern::Slow(slow_ms),
            3 => Pattern::Breathing,
            4 => Pattern::Triple,
            _ => return None,
        })
    }

    /// The names of patterns that a person can choose.
    pub const NAMES: [&'static str; 7] = [
        "off",
        "on",
        "heartbeat",
        "fast",
        "slow",
        "breathing",
        "triple",
    ];

    /// Reads the name of a pattern.
    pub fn named(name: &str, slow_ms: u32) -> Option<Self> {
        let patterns = [
            Pattern::Off,
            Pattern::On,
            Pattern::Heartbeat,
            Pattern::Fast,
            Pattern::Slow(slow_ms),
            Pattern::Breathing,
            Pattern::Triple,
        ];
        let at = Pattern::NAMES.iter().position(|known| *known == name)?;
        patterns.get(at).copied()
    }

    /// Returns what the pattern shows `elapsed` milliseconds after it began, at most so bright.
    pub fn at(self, elapsed: u64, brightness: u8) -> Light {
        // Pairs of on and off; every pattern with blinks begins with a lit one.
        let blinks: &[u32] = match self {
            Pattern::Off => return Light::DARK,
            Pattern::On => {
                return Light {
                    brightness,
                    for_ms: None,
                };
            }
            Pattern::Breathing => return breath(elapsed, brightness),
            Pattern::Heartbeat => &[100, 100, 100, 1_700],
            Pattern::Fast => &[200, 200],
            Pattern::Slow(ms) => {
                let ms = ms.clamp(SLOW_MIN_MS, SLOW_MAX_MS);
                return blinking(&[ms, ms], elapsed, brightness);
            }
            Pattern::Triple => &[150, 150, 150, 150, 150, 1_000],
            Pattern::Spark => &[50, 4_950],
        };
        blinking(blinks, elapsed, brightness)
    }
}

fn blinking(times: &[u32], elapsed: u64, brightness: u8) -> Light {
    let period: u64 = times.iter().copied().map(u64::from).sum();
    let mut at = elapsed % period.max(1);
    for (n, time) in times.iter().enumerate() {
        let time = u64::from(*time);
        if at < time {
            return Light {
                brightness: if n % 2 == 0 { brightness } else { 0 },
                // Below the time, which is a u32.
                for_ms: Some((time - at) as u32),
            };
        }
        at -= time;
    }
    Light::DARK
}

fn breath(elapsed: u64, brightness: u8) -> Light {
    let steps = 255 / BREATH_STEP;
    let step = (elapsed / BREATH_MS) % (2 * steps);
    let level = BREATH_STEP
        * if step <= steps {
            step
        } else {
            2 * steps - step
        };
    Light {
        // At most 255 * 255 / 255.
        brightness: (level * u64::from(brightness) / 255) as u8,
        for_ms: Some((BREATH_MS - elapsed % BREATH_MS) as u32),
    }
}

impl Burst {
    /// Returns what the burst shows `elapsed` milliseconds after it began; none when it is over.
    pub fn at(self, elapsed: u64) -> Option<Light> {
        let each = u64::from(self.each_ms.max(1));
        let n = elapsed / each;
        (n < 2 * u64::from(self.blinks)).then(|| Light {
            brightness: if n.is_multiple_of(2) { 255 } else { 0 },
            // At most `each`, which came from a u16.
            for_ms: Some((each - elapsed % each) as u32),
        })
    }
}

/// One LED and everybody's wishes for it. A finger on the button comes first, then bursts in their order, then a status that
/// a person must see, then the pattern that the person chose, then the ordinary status.
#[derive(Debug)]
pub struct Lamp {
    held: Option<Pattern>,
    bursts: Deque<Burst, WAITING>,
    burst_since: u64,
    alarm: Option<Pattern>,
    chosen: Option<(Pattern, u8)>,
    status: Pattern,
    /// What is shown of the patterns, and since when, so that a pattern begins at its beginning.
    shown: Pattern,
    since: u64,
}

impl Default for Lamp {
    fn default() -> Self {
        Lamp {
            held: None,
            bursts: Deque::new(),
            burst_since: 0,
            alarm: None,
            chosen: None,
            status: Pattern::Off,
            shown: Pattern::Off,
            since: 0,
        }
    }
}

impl Lamp {
    /// Shows a pattern while a button is held, or none.
    pub fn hold(&mut self, pattern: Option<Pattern>) {
        self.held = pattern;
    }

    /// Shows a few blinks after those that wait already.
    pub fn burst(&mut self, now: u64, burst: Burst) {
        if self.bursts.is_empty() {
            self.burst_since = now;
        }
        // A burst too many is dropped.
        let _ = self.bursts.push_back(burst);
    }

    /// Shows a status that goes before what the person chose, or none: no network, safe mode, new firmware.
    pub fn alarm(&mut self, pattern: Option<Pattern>) {
        self.alarm = pattern;
    }

    /// Shows what the person chose, as bright as that person likes, or the status again.
    pub fn choose(&mut self, chosen: Option<(Pattern, u8)>) {
        self.chosen = chosen;
    }

    /// Shows how the board is while nothing else is to be shown.
    pub fn status(&mut self, pattern: Pattern) {
        self.status = pattern;
    }

    /// Returns what the LED does at `now`, milliseconds of a clock that counts up.
    pub fn light(&mut self, now: u64) -> Light {
        if self.held.is_none() {
            while let Some(burst) = self.bursts.front() {
                let elapsed = now.saturating_sub(self.burst_since);
                if let Some(light) = burst.at(elapsed) {
                    return light;
                }
                self.burst_since += 2 * u64::from(burst.blinks) * u64::from(burst.each_ms.max(1));
                self.bursts.pop_front();
                // Afterwards the pattern begins anew.
                self.since = now;
            }
        }
        let (pattern, brightness) = match (self.held.or(self.alarm), self.chosen) {
            (Some(pattern), _) => (pattern, 255),
            (None, Some(chosen)) => chosen,
            (None, None) => (self.status, 255),
        };
        if pattern != self.shown {
            (self.shown, self.since) = (pattern, now);
        }
        pattern.at(now.saturating_sub(self.since), brightness)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// The lit times of a pattern from its beginning, as a stopwatch takes them.
    fn changes(pattern: Pattern, until: u64) -> Vec<(u64, u8)> {
        let (mut at, mut seen) = (0, Vec::new());
        while at < until {
            let light = pattern.at(at, 200);
            if seen.last().is_none_or(|(_, b)| *b != light.brightness) {
                seen.push((at, light.brightness));
            }
            let Some(wait) = light.for_ms else { break };
            at += u64::from(wait);
        }
        seen
    }

    #[test]
    fn patterns_have_the_times_that_people_know() {
        let lit = |pattern, until| {
            let all = changes(pattern, until).into_iter();
            all.map(|(at, b)| (at, b > 0)).collect::<Vec<_>>()
        };
        assert_eq!(
            lit(Pattern::Heartbeat, 2_300),
            [
                (0, true),
                (100, false),
                (200, true),
                (300, false),
                (2_000, true),
                (2_100, false),
                (2_200, true)
            ]
        );
        assert_eq!(
            lit(Pattern::Fast, 500),
            [(0, true), (200, false), (400, true)]
        );
        assert_eq!(
            lit(Pattern::Slow(1_000), 2_500),
            [(0, true), (1_000, false), (2_000, true)]
        );
        assert_eq!(
            lit(Pattern::Slow(1), 250),
            [(0, true), (100, false), (200, true)]
        );
        assert_eq!(
            lit(Pattern::Slow(u32::MAX), 11_000),
            [(0, true), (5_000, false), (10_000, true)]
        );
        assert_eq!(
            lit(Pattern::Triple, 1_800),
            [
                (0, true),
                (150, false),
                (300, true),
                (450, false),
                (600, true),
                (750, false),
                (1_750, true)
            ]
        );
        assert_eq!(
            lit(Pattern::Spark, 5_001),
            [(0, true), (50, false), (5_000, true)]
        );
        assert_eq!(
            (lit(Pattern::On, 9_000), lit(Pattern::Off, 9_000)),
            (Vec::from([(0, true)]), Vec::from([(0, false)]))
        );
    }

    #[test]
    fn breathing_goes_up_and_down_in_small_steps() {
        let seen = changes(Pattern::Breathing, 2_040);
        let brightest = seen.iter().max_by_key(|(_, b)| *b).unwrap();
        assert_eq!(*brightest, (1_020, 200));
        assert!(seen.windows(2).all(|w| w[0].1.abs_diff(w[1].1) <= 4));
        assert_eq!(
            (seen[0], Pattern::Breathing.at(2_040, 200).brightness),
            ((0, 0), 0)
        );
    }

    #[test]
    fn names_and_numbers_mean_the_same() {
        for (n, name) in (0..).zip(["heartbeat", "fast", "slow", "breathing", "triple"]) {
            assert_eq!(Pattern::numbered(n, 700), Pattern::named(name, 700));
            assert!(Pattern::named(name, 700).is_some());
        }
        assert_eq!(Pattern::numbered(5, 1), None);
        assert_eq!(Pattern::named("disco", 1), None);
    }

    #[test]
    fn the_most_urgent_wish_is_shown() {
        let mut lamp = Lamp::default();
        lamp.status(Pattern::Spark);
        lamp.choose(Some((Pattern::On, 40)));
        assert_eq!(lamp.light(0).brightness, 40);
        lamp.alarm(Some(Pattern::Fast));
        assert_eq!(
            lamp.light(1_000),
            Light {
                brightness: 255,
                for_ms: Some(200)
            }
        );
        lamp.burst(1_100, bursts::TWO);
        lamp.burst(1_150, bursts::ONE);
        assert_eq!(
            lamp.light(1_300),
            Light {
                brightness: 0,
                for_ms: Some(100)
            }
        );
        // The second burst follows without a gap of its own.
        assert_eq!(
            lamp.light(1_700),
            Light {
                brightness: 255,
                for_ms: Some(150)
            }
        );
        lamp.hold(Some(Pattern::On));
        assert_eq!(
            lamp.light(1_750),
            Light {
                brightness: 255,
                for_ms: None
            }
        );
        lamp.hold(None);
        // Bursts that ended while the button was held are not shown late; the pattern begins at its beginning.
        assert_eq!(
            lamp.light(5_000),
            Light {
                brightness: 255,
                for_ms: Some(200)
            }
        );
        lamp.alarm(None);
        lamp.choose(None);
        assert_eq!(
            lamp.light(6_000),
            Light {
                brightness: 255,
                for_ms: Some(50)
            }
        );
        assert_eq!(
            lamp.light(6_050),
            Light {
                brightness: 0,
                for_ms: Some(4_950)
            }
        );
    }

    proptest! {
        /// Between now and the moment of the change that it names, a light does not change; it never waits for nothing.
        #[test]
        fn a_light_stays_as_long_as_it_says(
            n in 0..8_usize, ms: u32, elapsed in 0..u64::MAX / 2, brightness: u8, part in 0.0..1.0_f64,
        ) {
            let pattern = [
                Pattern::Off, Pattern::On, Pattern::Heartbeat, Pattern::Fast,
                Pattern::Slow(ms), Pattern::Breathing, Pattern::Triple, Pattern::Spark,
            ][n];
            let light = pattern.at(elapsed, brightness);
            prop_assert!(light.brightness <= brightness);
            let wait = light.for_ms.unwrap_or(1 << 20);
            prop_assert!(wait > 0);
            let later = elapsed + (f64::from(wait) * part) as u64;
            prop_assert_eq!(pattern.at(later, brightness).brightness, light.brightness);
        }
    }
}
