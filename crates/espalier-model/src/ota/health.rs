//! Whether a board is well on its new image, judged by its signs of life in the health window.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Starts within the window from which on a board counts as crashing again and again.
pub const CRASH_LOOP: u32 = 3;

/// What a board must show in its health window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Seconds after the confirmation in which the board is watched; 0: it is not.
    pub window_s: u32,
    /// Seconds that it may be silent in the window; 0: as long as it likes.
    pub silence_s: u32,
    /// The least free heap, bytes.
    pub min_heap: Option<u32>,
    /// By how many percent its free heap may shrink in the window.
    pub max_heap_loss_percent: Option<u8>,
    /// It must report telemetry in the window.
    pub telemetry: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            window_s: 10 * 60,
            silence_s: 0,
            min_heap: None,
            max_heap_loss_percent: None,
            telemetry: false,
        }
    }
}

/// What was heard of a board in its window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signs {
    /// When the window began: the confirmation, milliseconds UTC.
    pub since: i64,
    /// When the board was heard last.
    pub heard_at: Option<i64>,
    /// Its starts at the beginning and now.
    pub boots: Option<(u32, u32)>,
    /// Its free heap at the beginning and the least since.
    pub heap: Option<(u32, u32)>,
    /// It has reported telemetry.
    pub telemetry: bool,
    /// It runs another image again.
    pub left: bool,
}

impl Signs {
    /// A window that begins now.
    pub fn begin(since: i64) -> Self {
        Self {
            since,
            ..Self::default()
        }
    }

    /// Takes a sign of life.
    pub fn hear(&mut self, at: i64, boots: Option<u32>, heap: Option<u32>) {
        self.heard_at = Some(self.heard_at.map_or(at, |old| old.max(at)));
        if let Some(now) = boots {
            let (first, last) = self.boots.unwrap_or((now, now));
            self.boots = Some((first.min(now), last.max(now)));
        }
        if let Some(now) = heap {
            let (first, least) = self.heap.unwrap_or((now, now));
            self.heap = Some((first, least.min(now)));
        }
    }
}

/// Why a board is not well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Illness {
    /// It was silent for too long.
    Silent,
    /// It started again and again.
    CrashLoop,
    /// Too little heap is free.
    Heap,
    /// Its free heap shrank by too much.
    HeapLoss,
    /// It reported no telemetry.
    NoTelemetry,
    /// It runs another image again.
    Left,
}

impl Illness {
    /// A stable word.
    pub fn code(self) -> &'static str {
        match self {
            Illness::Silent => "silent",
            Illness::CrashLoop => "crash_loop",
            Illness::Heap => "heap",
            Illness::HeapLoss => "heap_loss",
            Illness::NoTelemetry => "no_telemetry",
            Illness::Left => "left",
        }
    }
}

impl fmt::Display for Illness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Illness::Silent => "It fell silent after the update.",
            Illness::CrashLoop => "It started again and again after the update.",
            Illness::Heap => "It has too little free heap after the update.",
            Illness::HeapLoss => "Its free heap shrank too far after the update.",
            Illness::NoTelemetry => "It reported no telemetry after the update.",
            Illness::Left => "It runs another image again.",
        })
    }
}

/// The verdict on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The window is not over; look again at this moment, milliseconds UTC.
    Watching(i64),
    /// It is well.
    Healthy,
    /// It is not.
    Ill(Illness),
}

impl Health {
    /// Judges a board at `now`.
    pub fn judge(&self, signs: &Signs, now: i64) -> Verdict {
        let end = signs.since.saturating_add(i64::from(self.window_s) * 1000);
        if signs.left {
            return Verdict::Ill(Illness::Left);
        }
        if signs
            .boots
            .is_some_and(|(first, last)| last - first >= CRASH_LOOP)
        {
            return Verdict::Ill(Illness::CrashLoop);
        }
        if let Some((first, least)) = signs.heap {
            if self.min_heap.is_some_and(|min| least < min) {
                return Verdict::Ill(Illness::Heap);
            }
            let kept = |loss: u8| u64::from(first) * u64::from(100 - loss.min(100)) / 100;
            if self
                .max_heap_loss_percent
                .is_some_and(|loss| u64::from(least) < kept(loss))
            {
                return Verdict::Ill(Illness::HeapLoss);
            }
        }
        let heard = signs.heard_at.unwrap_or(signs.since).max(signs.since);
        let silent_from = heard.saturating_add(i64::from(self.silence_s) * 1000);
        if self.silence_s > 0 && silent_from < now.min(end) {
            return Verdict::Ill(Illness::Silent);
        }
        if now < end {
            let next = if self.silence_s > 0 {
                silent_from.saturating_add(1).min(end)
            } else {
                end
            };
            return Verdict::Watching(next.max(now + 1));
        }
        if self.telemetry && !signs.telemetry {
            return Verdict::Ill(Illness::NoTelemetry);
        }
        Verdict::Healthy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Health {
        Health {
            window_s: 600,
            silence_s: 120,
            min_heap: Some(10_000),
            max_heap_loss_percent: Some(30),
            telemetry: true,
        }
    }

    fn lively(until: i64) -> Signs {
        let mut signs = Signs::begin(0);
        signs.telemetry = true;
        for at in (0..=until).step_by(60_000) {
            signs.hear(at, Some(7), Some(100_000));
        }
        signs
    }

    #[test]
    fn a_board_that_lives_is_healthy_when_the_window_is_over() {
        assert!(matches!(
            health().judge(&lively(300_000), 300_000),
            Verdict::Watching(_)
        ));
        assert_eq!(health().judge(&lively(600_000), 600_000), Verdict::Healthy);
        assert_eq!(
            Health {
                window_s: 0,
                ..Health::default()
            }
            .judge(&Signs::begin(5), 5),
            Verdict::Healthy
        );
    }

    #[test]
    fn every_illness_is_found() {
        let ill = |signs: &Signs, now| match health().judge(signs, now) {
            Verdict::Ill(illness) => illness.code(),
            _ => "well",
        };
        assert_eq!(ill(&lively(60_000), 180_001), "silent");
        assert_eq!(ill(&lively(60_000), 9_000_000), "silent");
        let mut crashing = lively(60_000);
        crashing.hear(61_000, Some(9), None);
        assert_eq!(ill(&crashing, 61_000), "well");
        crashing.hear(62_000, Some(10), None);
        assert_eq!(ill(&crashing, 62_000), "crash_loop");
        let mut low = lively(60_000);
        low.hear(61_000, None, Some(9_999));
        assert_eq!(ill(&low, 61_000), "heap");
        let mut leaking = lively(60_000);
        leaking.hear(61_000, None, Some(69_999));
        assert_eq!(ill(&leaking, 61_000), "heap_loss");
        let mut mute = lively(600_000);
        mute.telemetry = false;
        assert_eq!(ill(&mute, 600_000), "no_telemetry");
        let mut gone = lively(60_000);
        gone.left = true;
        assert_eq!(ill(&gone, 61_000), "left");
    }

    #[test]
    fn watching_names_a_later_moment() {
        for now in (0..600_000).step_by(7_000) {
            if let Verdict::Watching(next) = health().judge(&lively(now), now) {
                assert!(next > now);
            }
        }
    }
}
