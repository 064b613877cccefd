//! The device's idea of time: a monotonic clock that survives jumps of its source, and the wall clock learnt from the
//! server. Not a source of time: every input brings the time with it.

/// How much later than asked a step may come before the clock counts as jumped, in milliseconds. A busy chip is late
/// by milliseconds, a suspended simulator by seconds.
pub const JUMP_MS: u64 = 60_000;

/// Monotonic time since start, and what the server's clock adds to it.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    source: Option<u64>,
    uptime: u64,
    offset: Option<i64>,
}

impl Clock {
    /// Takes over the time of the source and says whether it jumped. `due` is the uptime at which a step was expected.
    ///
    /// A jump is not believed: the uptime goes on from where it was, and the wall clock is forgotten until the server
    /// tells it again, because samples with a wrong time are worse than samples that wait for one.
    pub fn advance(&mut self, source: u64, due: Option<u64>) -> bool {
        let Some(last) = self.source.replace(source) else {
            return false;
        };
        let latest = due
            .unwrap_or(self.uptime)
            .max(self.uptime)
            .saturating_add(JUMP_MS);
        let jumped = source < last || self.uptime.saturating_add(source - last) > latest;
        if jumped {
            self.offset = None;
        } else {
            self.uptime += source - last;
        }
        jumped
    }

    /// Returns milliseconds since start.
    pub const fn uptime(&self) -> u64 {
        self.uptime
    }

    /// Sets the wall clock from the server's time in milliseconds UTC.
    pub fn learn(&mut self, server_ms: i64) {
        self.offset = i64::try_from(self.uptime)
            .ok()
            .map(|uptime| server_ms.saturating_sub(uptime));
    }

    /// Returns the wall clock time of an uptime, in milliseconds UTC, once the server has told the time.
    pub fn wall_at(&self, uptime: u64) -> Option<i64> {
        Some(self.offset?.saturating_add(i64::try_from(uptime).ok()?))
    }

    /// Returns the wall clock time in milliseconds UTC, once the server has told it.
    pub fn wall(&self) -> Option<i64> {
        self.wall_at(self.uptime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_stop_the_wall_clock_but_not_the_uptime() {
        let mut clock = Clock::default();
        assert!(!clock.advance(5_000, None));
        clock.learn(1_700_000_000_000);
        assert!(!clock.advance(6_000, Some(1_000)));
        assert_eq!(clock.wall(), Some(1_700_000_001_000));
        assert!(clock.advance(5_500, Some(2_000)), "backwards");
        assert_eq!((clock.uptime(), clock.wall()), (1_000, None));
        clock.learn(1_700_000_000_000);
        assert!(clock.advance(90_000_000, Some(2_000)), "far ahead");
        assert_eq!((clock.uptime(), clock.wall()), (1_000, None));
        assert!(!clock.advance(90_003_000, Some(4_000)));
        assert_eq!(clock.uptime(), 4_000);
    }
}
