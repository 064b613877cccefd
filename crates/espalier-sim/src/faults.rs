//! When a board's next mishap is due. Each board has its own plan, drawn from its seed.

use std::time::Duration;

use espalier_device::rng::Rng;
use tokio::time::Instant;

use crate::options::{Faults, Outage};

/// What happens to a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The network goes away.
    Cut,
    /// The network comes back.
    Restore,
    /// The access point goes out of reach.
    OutOfReach,
    /// The access point is in reach again.
    InReach,
    /// The clock jumps by this many milliseconds.
    ClockJump(i64),
    /// The power fails for a moment.
    Restart,
    /// The power will fail in the middle of one of the next writes to flash.
    WeakPower,
}

/// The mishaps of one board.
#[derive(Debug)]
pub struct Plan {
    rng: Rng,
    faults: Faults,
    outage: Option<Outage>,
    cut_at: Option<Instant>,
    restore_at: Option<Instant>,
    jump_at: Option<Instant>,
    restart_at: Option<Instant>,
    weak_at: Option<Instant>,
}

impl Plan {
    /// Draws the first of each kind.
    pub fn new(seed: u64, faults: Faults, outage: Option<Outage>, now: Instant) -> Self {
        let mut plan = Plan {
            rng: Rng::new(seed ^ 0xfa17),
            outage,
            cut_at: None,
            restore_at: None,
            jump_at: None,
            restart_at: None,
            weak_at: None,
            faults,
        };
        plan.jump_at = plan
            .faults
            .clock_jump_every
            .map(|mean| now + plan.around(mean));
        plan.restart_at = plan
            .faults
            .restart_every
            .map(|mean| now + plan.around(mean));
        plan.weak_at = plan
            .faults
            .weak_power_every
            .map(|mean| now + plan.around(mean));
        plan.cut_at = plan.next_cut(now);
        plan
    }

    /// Draws a duration around a mean: between a half and one and a half of it.
    fn around(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(0.5 + self.rng.up_to(1_000) as f64 / 1_000.0)
    }

    fn next_cut(&mut self, now: Instant) -> Option<Instant> {
        match (self.outage, self.faults.cut_every) {
            (Some(outage), _) => Some(now + outage.up),
            (None, Some(mean)) => Some(now + self.around(mean)),
            (None, None) => None,
        }
    }

    /// Returns when the next mishap is due.
    pub fn next_at(&self) -> Option<Instant> {
        let all = [
            self.cut_at,
            self.restore_at,
            self.jump_at,
            self.restart_at,
            self.weak_at,
        ];
        all.into_iter().flatten().min()
    }

    /// Takes the next mishap that is due.
    pub fn take(&mut self, now: Instant) -> Option<Mishap> {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.restore_at) {
            self.restore_at = None;
            self.cut_at = self.next_cut(now);
            return Some(match self.outage {
                Some(_) => Mishap::InReach,
                None => Mishap::Restore,
            });
        }
        if due(self.cut_at) {
            self.cut_at = None;
            let away = match self.outage {
                Some(outage) => outage.away,
                None => self.around(self.faults.cut_for),
            };
            self.restore_at = Some(now + away);
            return Some(match self.outage {
                Some(_) => Mishap::OutOfReach,
                None => Mishap::Cut,
            });
        }
        if due(self.jump_at) {
            self.jump_at = self
                .faults
                .clock_jump_every
                .map(|mean| now + self.around(mean));
            let max = u64::try_from(self.faults.clock_jump_max.as_millis()).unwrap_or(u64::MAX / 4);
            let by = i64::try_from(self.rng.up_to(2 * max)).unwrap_or(0)
                - i64::try_from(max).unwrap_or(0);
            return Some(Mishap::ClockJump(by));
        }
        if due(self.restart_at) {
            self.restart_at = self
                .faults
                .restart_every
                .map(|mean| now + self.around(mean));
            return Some(Mishap::Restart);
        }
        if due(self.weak_at) {
            self.weak_at = self
                .faults
                .weak_power_every
                .map(|mean| now + self.around(mean));
            return Some(Mishap::WeakPower);
        }
        None
    }

    /// Returns the delay that the network adds to the next frame.
    pub fn delay(&mut self) -> Option<Duration> {
        let mean = self.faults.latency?;
        Some(self.around(mean))
    }
}
