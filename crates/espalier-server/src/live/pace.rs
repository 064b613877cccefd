//! How many frames one socket may send: so many a second over time, a burst at once, and an end for who does
//! not stop. A few bytes per socket; who opens sockets too often is stopped at the edge.

/// Seconds whose frames may come at once: what a board sends that was offline for a while.
const BURST_SECONDS: i64 = 10;

/// Refused frames after which a socket is closed, unless it was quiet for [`BURST_SECONDS`] in between. Each of
/// them was answered with when to try again, so that an honest sender never gets here.
const STRIKES: u16 = 100;

/// What to do with a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Take it.
    Pass,
    /// Refuse it; it may be sent again after that many milliseconds.
    Refuse(u32),
    /// Close the socket.
    End,
}

/// What a sender that is too fast is told.
pub(super) fn sentence(per_second: u32) -> String {
    format!(
        "too many frames: a socket may send {per_second} a second; wait and send this one again"
    )
}

/// The frames that one socket has sent, as a leaking bucket (GCRA).
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// When the bucket will have leaked empty, microseconds UTC.
    empty_at: i64,
    refused: u16,
}

impl Bucket {
    /// Counts a frame at `now_ms`; `per_second` of 0 lets everything pass.
    pub(super) fn take(&mut self, now_ms: i64, per_second: u32) -> Pace {
        if per_second == 0 {
            return Pace::Pass;
        }
        let now = now_ms.saturating_mul(1_000);
        let share = 1_000_000 / i64::from(per_second).min(1_000_000);
        let burst = BURST_SECONDS * 1_000_000;
        if self.empty_at <= now {
            *self = Self {
                empty_at: now,
                refused: 0,
            };
        }
        // A clock that was set back must not shut the socket out for as long.
        self.empty_at = self.empty_at.min(now.saturating_add(burst));
        let wait = self
            .empty_at
            .saturating_sub(now)
            .saturating_add(share - burst);
        if wait <= 0 {
            self.empty_at = self.empty_at.saturating_add(share);
            return Pace::Pass;
        }
        self.refused = self.refused.saturating_add(1);
        if self.refused >= STRIKES {
            return Pace::End;
        }
        Pace::Refuse(u32::try_from(wait.saturating_add(999) / 1_000).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_passes_then_the_rate_then_the_socket_is_closed() {
        let mut bucket = Bucket::default();
        assert!((0..20).all(|_| bucket.take(1_000, 2) == Pace::Pass));
        assert_eq!(bucket.take(1_000, 2), Pace::Refuse(500));
        assert_eq!(bucket.take(1_500, 2), Pace::Pass);
        for _ in 2..STRIKES {
            assert_eq!(bucket.take(1_500, 2), Pace::Refuse(500));
        }
        assert_eq!(bucket.take(1_500, 2), Pace::End);
        // Quiet forgives.
        assert_eq!(bucket.take(12_000, 2), Pace::Pass);
        assert!((1..20).all(|_| bucket.take(12_000, 2) == Pace::Pass));
        assert_eq!(bucket.take(12_000, 2), Pace::Refuse(500));
    }

    #[test]
    fn a_clock_that_is_set_back_shuts_nobody_out() {
        let mut bucket = Bucket::default();
        assert!((0..10).all(|_| bucket.take(1_000_000_000, 1) == Pace::Pass));
        assert_eq!(bucket.take(0, 1), Pace::Refuse(1_000));
        assert_eq!(bucket.take(1_000, 1), Pace::Pass);
    }

    proptest! {
        /// Whatever is sent when: no more than the burst and the rate ever pass, who keeps to the rate is
        /// never refused, and nothing overflows.
        #[test]
        fn the_rate_holds(gaps in proptest::collection::vec(0i64..200, 1..400), rate in 1u32..200) {
            let (mut bucket, mut now, mut passed) = (Bucket::default(), 1_000_000, 0i64);
            let begin = now;
            for gap in gaps {
                now += gap;
                passed += i64::from(bucket.take(now, rate) == Pace::Pass);
                let allowed = (BURST_SECONDS * 1_000 + now - begin) * i64::from(rate) / 1_000;
                // Shares of a second are rounded down to whole microseconds.
                prop_assert!(passed <= allowed + 1 + allowed / 1_000, "{passed} of {allowed}");
            }
            let mut polite = Bucket::default();
            for i in 0..500i64 {
                let at = i * (1_000 / i64::from(rate) + 1);
                prop_assert_eq!(polite.take(at, rate), Pace::Pass);
            }
            let mut extreme = Bucket::default();
            for at in [i64::MIN, i64::MAX, 0, i64::MAX - 1] {
                let _ = extreme.take(at, rate);
            }
        }
    }
}
