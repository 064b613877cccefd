//! How often somebody may ask: a fair rate per principal, and a growing pause for who does not stop.
//!
//! The rate is GCRA (the `governor` crate): bursts up to the limit, then one more request each time a share
//! of the window has passed. Who keeps asking while refused is shut out for a pause that doubles each time,
//! up to an hour; a quiet hour forgives. The state is in memory and bounded.

use crate::{ApiError, Clock, Config};
use espalier_model::{AccountId, DeviceId};
use governor::clock::Clock as GovernorClock;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

/// How much more a browser on our pages may ask than a program: a page asks some thirty things when it is opened, and
/// cannot come from elsewhere.
const BROWSER_FACTOR: u32 = 10;
/// Refusals in a row (without a pause of one window) that turn into a shut-out.
const STRIKES: u32 = 50;
/// The longest shut-out, milliseconds.
const MAX_PAUSE_MS: i64 = 3_600_000;
/// Offenders that are remembered; the least recent are forgotten first.
const MAX_OFFENDERS: usize = 10_000;

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// A person with everything they are signed in with.
    Account(AccountId),
    /// The same person in a browser on our own pages.
    Browser(AccountId),
    /// A board.
    Device(DeviceId),
    /// Whoever comes from this address without a credential, or with a wrong one.
    Address(IpAddr),
}

/// What is left after a request, for the `RateLimit-*` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Requests per window.
    pub limit: u32,
    /// Requests that may come at once now.
    pub remaining: u32,
    /// Seconds until the whole limit is free again.
    pub reset: u32,
}

type Gcra = RateLimiter<Key, DashMapStateStore<Key>, AppClock, StateInformationMiddleware>;

/// Counts requests per [`Key`].
pub struct Limiter {
    gcra: Option<Counter>,
    /// For [`Key::Browser`].
    browsers: Option<Counter>,
    window_ms: i64,
    clock: Clock,
    offenders: Mutex<HashMap<Key, Offender>>,
}

/// One rate and who uses how much of it.
struct Counter {
    gcra: Gcra,
    /// Requests per window.
    limit: u32,
}

impl Counter {
    fn new(limit: u32, window_ms: i64, clock: &Clock) -> Option<Self> {
        let burst = NonZeroU32::new(limit)?;
        let period = Duration::from_millis(window_ms.unsigned_abs()) / limit;
        let quota = Quota::with_period(period)?.allow_burst(burst);
        let limiter: RateLimiter<_, _, _, governor::middleware::NoOpMiddleware<Duration>> =
            RateLimiter::new(quota, DashMapStateStore::default(), AppClock(clock.clone()));
        let gcra = limiter.with_middleware();
        Some(Self { gcra, limit })
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Offender {
    strikes: u32,
    level: u32,
    last_ms: i64,
    until_ms: i64,
}

/// The app's clock, as `governor` wants it.
#[derive(Clone)]
struct AppClock(Clock);

impl GovernorClock for AppClock {
    type Instant = Duration;
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now_ms().max(0).unsigned_abs())
    }
}

impl Limiter {
    /// A limiter with the configured rate; a rate of 0 lets everything pass.
    pub fn new(config: &Config, clock: &Clock) -> Self {
        let limit = config.rate_limit_requests;
        let window_ms = i64::from(config.rate_limit_window_seconds.max(1)) * 1000;
        Self {
            gcra: Counter::new(limit, window_ms, clock),
            browsers: Counter::new(limit.saturating_mul(BROWSER_FACTOR), window_ms, clock),
            window_ms,
            clock: clock.clone(),
            offenders: Mutex::default(),
        }
    }

    /// Counts one request.
    ///
    /// # Errors
    /// 429 with `Retry-After` when it is one too many.
    pub fn check(&self, key: Key) -> Result<Option<Allowance>, ApiError> {
        let counter = match key {
            Key::Browser(_) => &self.browsers,
            _ => &self.gcra,
        };
        let Some(Counter { gcra, limit }) = counter else {
            return Ok(None);
        };
        let now = self.clock.now_ms();
        if let Some(until) = self.shut_out(key, now) {
            return Err(refusal(
                "You kept asking after being refused and are shut out for a while",
                until - now,
            ));
        }
        match gcra.check_key(&key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let used = i64::from(limit.saturating_sub(remaining));
                let reset = seconds(used * self.window_ms / i64::from(*limit));
                Ok(Some(Allowance {
                    limit: *limit,
                    remaining,
                    reset,
                }))
            }
            Err(not_until) => {
                let wait =
                    not_until.wait_time_from(Duration::from_millis(now.max(0).unsigned_abs()));
                let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                self.strike(key, now);
                Err(refusal("Too many requests", wait_ms))
            }
        }
    }

    fn shut_out(&self, key: Key, now: i64) -> Option<i64> {
        let offenders = self.offenders.lock();
        offenders
            .get(&key)
            .map(|o| o.until_ms)
            .filter(|&until| until > now)
    }

    fn strike(&self, key: Key, now: i64) {
        let mut offenders = self.offenders.lock();
        if offenders.len() >= MAX_OFFENDERS && !offenders.contains_key(&key) {
            let oldest = offenders
                .iter()
                .min_by_key(|(_, o)| o.last_ms)
                .map(|(key, _)| *key);
            oldest.map(|key| offenders.remove(&key));
        }
        let offender = offenders.entry(key).or_default();
        if now - offender.last_ms > self.window_ms {
            offender.strikes = 0;
        }
        offender.last_ms = now;
        offender.strikes += 1;
        if offender.strikes >= STRIKES {
            let pause = (self.window_ms << offender.level.min(10)).min(MAX_PAUSE_MS);
            offender.until_ms = now + pause;
            offender.level += 1;
            offender.strikes = 0;
            tracing::warn!(
                ?key,
                seconds = pause / 1000,
                "shut out for asking too often"
            );
        }
    }

    /// Forgets who has been quiet for long, so that memory stays bounded.
    pub fn tick(&self) {
        for counter in [&self.gcra, &self.browsers].into_iter().flatten() {
            counter.gcra.retain_recent();
        }
        let now = self.clock.now_ms();
        self.offenders
            .lock()
            .retain(|_, o| o.last_ms.max(o.until_ms) + MAX_PAUSE_MS > now);
    }
}

fn seconds(ms: i64) -> u32 {
    u32::try_from((ms + 999) / 1000).unwrap_or(u32::MAX)
}

fn refusal(reason: &str, wait_ms: i64) -> ApiError {
    let wait = seconds(wait_ms).max(1);
    ApiError::too_many(format!("{reason}; try again in {wait} s."), wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_browser_has_a_rate_of_its_own() {
        let (limiter, _) = limiter(2);
        let account = "0190d3c0-0000-7000-8000-000000000000".parse().unwrap();
        for _ in 0..2 {
            assert!(limiter.check(Key::Account(account)).is_ok());
        }
        assert!(limiter.check(Key::Account(account)).is_err());
        for _ in 0..20 {
            let allowance = limiter.check(Key::Browser(account)).unwrap().unwrap();
            assert_eq!(allowance.limit, 20);
        }
        assert!(limiter.check(Key::Browser(account)).is_err());
    }

    const ME: Key = Key::Address(IpAddr::V4(Ipv4Addr::LOCALHOST));

    fn limiter(requests: u32) -> (Limiter, Clock) {
        let clock = Clock::fixed(1_000_000);
        let config = Config {
            rate_limit_requests: requests,
            rate_limit_window_seconds: 60,
            ..Config::default()
        };
        (Limiter::new(&config, &clock), clock)
    }

    #[test]
    fn the_limit_passes_then_each_share_of_the_window_frees_one() {
        let (limiter, clock) = limiter(60);
        for left in (0..60).rev() {
            assert_eq!(limiter.check(ME).unwrap().unwrap().remaining, left);
        }
        assert_eq!(limiter.check(ME).unwrap_err().retry_after(), Some(1));
        clock.advance(1_000);
        assert!(limiter.check(ME).is_ok());
        assert!(limiter.check(ME).is_err());
    }

    #[test]
    fn one_principal_never_costs_another() {
        let (limiter, _) = limiter(1);
        assert!(limiter.check(ME).is_ok());
        assert!(limiter.check(ME).is_err());
        assert!(
            limiter
                .check(Key::Address(Ipv4Addr::BROADCAST.into()))
                .is_ok()
        );
    }

    #[test]
    fn who_does_not_stop_waits_longer_each_time() {
        let (limiter, clock) = limiter(1);
        let offend = || {
            let mut longest = 0;
            for _ in 0..=STRIKES + 1 {
                longest = longest.max(
                    limiter
                        .check(ME)
                        .err()
                        .and_then(|e| e.retry_after())
                        .unwrap_or(0),
                );
            }
            longest
        };
        let first = offend();
        clock.advance(i64::from(first) * 1000);
        let second = offend();
        assert!(second > first, "{first} then {second}");
        clock.advance(2 * MAX_PAUSE_MS + i64::from(second) * 1000);
        limiter.tick();
        assert!(limiter.check(ME).is_ok());
        assert!(limiter.offenders.lock().is_empty());
    }

    #[test]
    fn zero_switches_the_limit_off() {
        let (limiter, _) = limiter(0);
        assert!((0..10_000).all(|_| limiter.check(ME).unwrap().is_none()));
    }
}
