//! When to try again: exponential backoff with full jitter, so that a fleet that lost its server does not return as one
//! wave. Not the decision whether to try.

use crate::rng::Rng;

/// First ceiling of the delay, in milliseconds.
pub const BASE_MS: u64 = 1_000;
/// Highest ceiling of the delay, in milliseconds: a person who restarts the server sees the fleet within a minute.
pub const CAP_MS: u64 = 60_000;
/// Shortest delay, in milliseconds, so that a lucky draw does not hammer a server that is starting.
pub const FLOOR_MS: u64 = 100;
/// A connection that lived this long, in milliseconds, proves that the way is good again.
pub const STABLE_MS: u64 = 10_000;

/// The number of failed attempts in a row.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes a failure and returns the delay before the next attempt, in milliseconds.
    pub fn next_delay(&mut self, rng: &mut Rng) -> u64 {
        // From so many failures on it is the cap.
        let ceiling = (BASE_MS << self.failures.min(16)).min(CAP_MS);
        self.failures = self.failures.saturating_add(1);
        FLOOR_MS.max(rng.up_to(ceiling))
    }

    /// Notes a refusal that will not pass by itself and returns a delay in the upper half of the cap, in milliseconds.
    pub fn refused_delay(&mut self, rng: &mut Rng) -> u64 {
        self.failures = self.failures.saturating_add(1);
        CAP_MS / 2 + rng.up_to(CAP_MS / 2)
    }

    /// Forgets the failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_under_a_doubling_ceiling_and_differ_between_devices() {
        let (mut a, mut b) = (Backoff::default(), Backoff::default());
        let (mut rng_a, mut rng_b) = (Rng::new(1), Rng::new(2));
        let mut differ = 0;
        for n in 0..200_u32 {
            let ceiling = BASE_MS.saturating_mul(1 << n.min(20)).min(CAP_MS);
            let (x, y) = (a.next_delay(&mut rng_a), b.next_delay(&mut rng_b));
            assert!((FLOOR_MS..=ceiling).contains(&x) && (FLOOR_MS..=ceiling).contains(&y));
            differ += usize::from(x != y);
        }
        assert!(differ > 150);
        a.reset();
        assert!(a.next_delay(&mut rng_a) <= BASE_MS);
    }
}
