//! Deterministic noise and curves: a value depends on the seed and the time only, so a restart continues the same day.

use std::f64::consts::TAU;

/// Seconds of a day.
pub const DAY: f64 = 86_400.0;

/// Returns 64 mixed bits of a seed and a counter.
fn hash(seed: u64, n: i64) -> u64 {
    let mut z = seed ^ (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Returns a number in 0..1 for a seed and a counter.
pub fn chance(seed: u64, n: i64) -> f64 {
    // 53 bits are what a float holds.
    (hash(seed, n) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Returns smooth noise in -1..1 that changes over about one period, in seconds.
pub fn noise(seed: u64, t: f64, period: f64) -> f64 {
    let x = t / period;
    let cell = x.floor();
    let f = x - cell;
    let smooth = f * f * (3.0 - 2.0 * f);
    let (a, b) = (chance(seed, cell as i64), chance(seed, cell as i64 + 1));
    2.0 * (a + (b - a) * smooth) - 1.0
}

/// Returns what a sensor adds by itself, in -1..1, new at every measurement.
pub fn jitter(seed: u64, t: f64) -> f64 {
    2.0 * chance(seed ^ 0x5e, (t * 1000.0) as i64) - 1.0
}

/// Returns a curve in -1..1 with its top at this hour of the local day.
pub fn daily(t: f64, top_hour: f64) -> f64 {
    (TAU * (t / DAY - top_hour / 24.0)).cos()
}

/// Returns the hour of the local day, 0..24.
pub fn hour(t: f64) -> f64 {
    t.rem_euclid(DAY) / 3600.0
}

/// Says whether something happens in the slot of this length, in seconds, that `t` lies in.
pub fn happens(seed: u64, t: f64, slot: f64, probability: f64) -> bool {
    chance(seed, (t / slot).floor() as i64) < probability
}

/// Moves a value towards a goal with a time constant, in seconds; exact for any step.
pub fn approach(value: f64, goal: f64, dt: f64, constant: f64) -> f64 {
    goal + (value - goal) * (-dt / constant).exp()
}

/// Returns daylight in 0..1, with clouds.
pub fn daylight(seed: u64, t: f64) -> f64 {
    let sun = (daily(t, 13.0) + 0.15).max(0.0) / 1.15;
    sun * (0.7 + 0.3 * noise(seed ^ 0xc10d, t, 600.0))
}
