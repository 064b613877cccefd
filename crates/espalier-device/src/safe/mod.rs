//! What keeps a board reachable that cannot live with what it was told: the count of starts that failed, safe mode after three of
//! them, and when the watchdog may be fed. Firmware on trial has its own judge, [`crate::update::gate`].
//!
//! A start has *failed* when a panic, the watchdog, a brown-out or something that the chip does not name ends it before the board
//! has been up for [`STABLE_MS`]. After [`MAX_FAILED`] of them in a row, with the same image, the board runs in safe mode: the
//! connection, updates and the console, no sensors, no outputs, no schedules. It leaves it by a restart of its own after [`SAFE_MS`]
//! without a failure. A power cut, the reset pin, USB or a wish of the board ends a start without making it failed or good; only
//! [`MAX_CUT`] early ends in a row lead to safe mode whatever ended them, because some chips call a brown-out a power-on.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | safe mode |
//! | `boots.rs` | the count in flash |
//! | `watchdog.rs` | who must be alive for the watchdog to be fed |

mod boots;
mod watchdog;

pub use boots::{BOOTS_BYTES, BOOTS_OFFSET, Boots, Start};
pub use watchdog::{Task, Watchdog};

/// Failed starts in a row after which the board runs in safe mode.
pub const MAX_FAILED: u32 = 3;
/// Starts in a row that ended too early, whatever ended them, after which the board runs in safe mode: more than a person who
/// presses a button or plugs a board in again and again gets to by chance.
pub const MAX_CUT: u32 = 10;
/// How long a board must live for its start to count as good, in milliseconds.
pub const STABLE_MS: u64 = 60_000;
/// How long a board stays in safe mode, in milliseconds: long enough to update it.
pub const SAFE_MS: u64 = 600_000;

/// What safe mode asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Call [`Boots::settle`]: this start was good.
    Settle,
    /// Restart: try again as an ordinary board.
    Restart,
}

/// Whether the board runs in safe mode, and when that ends.
#[derive(Debug)]
pub struct Safe {
    safe: bool,
    failed: u32,
    settled: bool,
    restarted: bool,
}

impl Safe {
    /// Decides from the number of starts before this one that failed in a row.
    pub const fn new(failed: u32) -> Self {
        Safe {
            safe: failed >= MAX_FAILED,
            failed,
            settled: false,
            restarted: false,
        }
    }

    /// Says whether the board runs in safe mode.
    pub const fn is_safe(&self) -> bool {
        self.safe
    }

    /// Returns the number of starts before this one that failed in a row.
    pub const fn failed(&self) -> u32 {
        self.failed
    }

    /// Takes the time since the start in milliseconds and says what is to be done, each thing once.
    pub fn step(&mut self, uptime: u64) -> Option<Action> {
        if !self.settled && uptime >= STABLE_MS {
            self.settled = true;
            return Some(Action::Settle);
        }
        if self.safe && !self.restarted && uptime >= SAFE_MS {
            self.restarted = true;
            return Some(Action::Restart);
        }
        None
    }

    /// Returns when [`Safe::step`] must be called again, in milliseconds since the start.
    pub const fn due(&self) -> u64 {
        if !self.settled {
            STABLE_MS
        } else if self.safe && !self.restarted {
            SAFE_MS
        } else {
            u64::MAX
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_mode_begins_after_three_failures_and_ends_by_itself() {
        assert!(!Safe::new(2).is_safe());
        let mut safe = Safe::new(3);
        assert!(safe.is_safe());
        assert_eq!((safe.step(0), safe.due()), (None, STABLE_MS));
        assert_eq!(safe.step(STABLE_MS), Some(Action::Settle));
        assert_eq!((safe.step(STABLE_MS), safe.due()), (None, SAFE_MS));
        assert_eq!(safe.step(SAFE_MS), Some(Action::Restart));
        assert_eq!((safe.step(u64::MAX), safe.due()), (None, u64::MAX));

        let mut good = Safe::new(0);
        assert_eq!(good.step(STABLE_MS), Some(Action::Settle));
        assert_eq!((good.step(SAFE_MS), good.due()), (None, u64::MAX));
    }
}
