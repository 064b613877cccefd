//! One device's way to one image: what it was offered, what it reported, what was seen to run on it, and what
//! follows from that.
//!
//! An [`Update`] keeps facts and derives its state from them, so that reports may come twice, late, in any order or
//! not at all. What a board is seen to run outweighs what it reported. A confirmed update stays confirmed.

use espalier_wire::ota::{Stage, reasons};
use serde::{Deserialize, Serialize};

/// How long after the first failed attempt the next one begins, milliseconds; it doubles with every failure.
pub const BACK_OFF_MS: i64 = 5 * 60 * 1000;
/// The longest time between two attempts, milliseconds.
pub const MAX_BACK_OFF_MS: i64 = 6 * 3_600_000;
/// A sighting with fewer boots than one that is this much older comes from a board whose counter was erased, milliseconds.
const LATE_MS: i64 = 10 * 60 * 1000;
/// A board that wrote an image restarts at once. One that is seen on the old image this much later did not start it, milliseconds.
const RESTART_MS: i64 = 60 * 1000;

/// What was seen to run on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runs {
    /// The image that it should run, for good.
    Target,
    /// The image that it should run, on trial.
    TargetOnTrial,
    /// The image that it ran before the update.
    Old,
    /// Another image.
    Other,
}

/// A sighting of what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What.
    pub what: Runs,
    /// How often the board had started in its life.
    pub boots: Option<u32>,
    /// When, milliseconds UTC.
    pub at: i64,
}

impl Seen {
    /// Tells whether this is the later one of two sightings, in whatever order they arrived.
    fn is_after(&self, other: &Seen) -> bool {
        if let (Some(mine), Some(theirs)) = (self.boots, other.boots) {
            if mine != theirs {
                let (fewer, more) = if mine < theirs {
                    (self, other)
                } else {
                    (other, self)
                };
                let erased = fewer.at > more.at + LATE_MS;
                return (mine > theirs) != erased;
            }
            // Within one start, a trial is only ever followed by its success.
            match (self.what, other.what) {
                (Runs::Target, Runs::TargetOnTrial) => return true,
                (Runs::TargetOnTrial, Runs::Target) => return false,
                _ => {}
            }
        }
        self.at >= other.at
    }
}

/// A report of a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The attempt that it names.
    pub attempt: u32,
    /// How far.
    pub stage: Stage,
    /// Bytes in flash, while downloading.
    pub bytes: u32,
    /// A patch is applied.
    pub patch: bool,
    /// Why it failed.
    pub reason: Option<String>,
    /// When it came, milliseconds UTC.
    pub at: i64,
}

/// How an attempt ended without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Before the image ran.
    Failed,
    /// After it ran on trial: the old image is back.
    RolledBack,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it was offered, milliseconds UTC.
    pub offered_at: i64,
    /// The board's starts at that moment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    boots: Option<u32>,
    /// Bytes of the image that are in flash.
    #[serde(skip_serializing_if = "is_zero", default)]
    bytes: u32,
    /// A patch was applied.
    #[serde(skip_serializing_if = "is_false", default)]
    patch: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    loading_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    written_at: Option<i64>,
    /// The first report of the trial.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    trial_at: Option<i64>,
    /// The last sighting of the trial: the board's starts, and when.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    trial_seen: Option<(Option<u32>, i64)>,
    /// Since when sightings say that it is over, while the board does not: what it waits for does not begin anew with each of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    back_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    end: Option<End>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ended_at: Option<i64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(b: &bool) -> bool {
    !*b
}

fn earliest(kept: &mut Option<i64>, at: i64) {
    *kept = Some(kept.map_or(at, |old| old.min(at)));
}

impl Attempt {
    fn finish(&mut self, end: End, reason: Option<String>, at: i64) {
        match self.end {
            Some(old) if old > end => return,
            Some(old) if old == end => {
                // Of two reasons any one would do; the choice must not depend on which came first.
                self.reason = match (self.reason.take(), reason) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
            _ => {
                self.end = Some(end);
                self.reason = reason;
                self.ended_at = None;
            }
        }
        earliest(&mut self.ended_at, at);
    }

    /// Tells whether a sighting of another image means that this attempt is over, and how.
    fn came_back(&self, seen: &Seen) -> Option<(End, Option<&'static str>)> {
        if seen.at < self.offered_at || !matches!(seen.what, Runs::Old | Runs::Other) {
            return None;
        }
        let starts = seen
            .boots
            .zip(self.boots)
            .map(|(now, then)| now.saturating_sub(then));
        if let Some((boots, at)) = self.trial_seen {
            let after = seen
                .boots
                .zip(boots)
                .map_or(seen.at > at, |(now, trial)| now > trial);
            return after.then_some((End::RolledBack, None));
        }
        if let Some(at) = self.trial_at {
            // One start into the trial and one back.
            let after = seen.at > at && starts.is_none_or(|n| n >= 2);
            return after.then_some((End::RolledBack, None));
        }
        let at = self.written_at?;
        let after = seen.at > at + RESTART_MS && starts.is_none_or(|n| n >= 1);
        after.then_some((End::RolledBack, Some(reasons::BOOTLOADER)))
    }

    fn stage(&self) -> State {
        if self.trial_at.is_some() || self.trial_seen.is_some() {
            State::Trial
        } else if self.written_at.is_some() {
            State::Written
        } else if self.loading_at.is_some() {
            State::Downloading
        } else {
            State::Offered
        }
    }
}

/// Where an update stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing was offered yet.
    Waiting,
    /// The image was offered.
    Offered,
    /// It is coming in.
    Downloading,
    /// It is in the other slot; the board restarts next.
    Written,
    /// It runs on trial.
    Trial,
    /// It runs for good.
    Confirmed,
    /// The old image is back.
    RolledBack,
    /// The attempt ended before the image ran.
    Failed,
    /// It is not wanted any more.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [State; 9] = [
        State::Waiting,
        State::Offered,
        State::Downloading,
        State::Written,
        State::Trial,
        State::Confirmed,
        State::RolledBack,
        State::Failed,
        State::Cancelled,
    ];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Offered => "offered",
            State::Downloading => "downloading",
            State::Written => "written",
            State::Trial => "trial",
            State::Confirmed => "confirmed",
            State::RolledBack => "rolled_back",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }

    /// The state with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Tells whether an attempt is under way.
    pub fn is_under_way(self) -> bool {
        matches!(
            self,
            State::Offered | State::Downloading | State::Written | State::Trial
        )
    }

    /// Tells whether the board fetches bytes, or is about to.
    pub fn is_fetching(self) -> bool {
        matches!(self, State::Offered | State::Downloading)
    }
}

/// What to do next with a board that runs something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Go on with this attempt.
    Continue(u32),
    /// Begin this attempt.
    Begin(u32),
    /// Begin the next attempt at this moment, milliseconds UTC.
    WaitUntil(i64),
    /// Nothing more: too many attempts failed, or trying again cannot help.
    Exhausted,
    /// Nothing more: it is done, or not wanted any more.
    Done,
}

/// One device's way to one image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    attempts: Vec<Attempt>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    seen: Option<Seen>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    confirmed_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    cancelled_at: Option<i64>,
}

/// Tells whether trying again cannot change the outcome.
pub fn is_permanent(reason: &str) -> bool {
    matches!(
        reason,
        reasons::SIGNATURE | reasons::CHIP | reasons::SECURE_VERSION | reasons::SLOT
    )
}

fn back_off_ms(failures: usize) -> i64 {
    let doublings = u32::try_from(failures.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(10);
    (BACK_OFF_MS << doublings).min(MAX_BACK_OFF_MS)
}

impl Update {
    /// An update of which nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The attempts, the first one first.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The number of the newest attempt; 0 before the first.
    pub fn attempt(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
    }

    /// Notes that an attempt begins. It returns its number. An attempt that is under way must not be left for another:
    /// ask [`Update::next`] first.
    pub fn begin(&mut self, at: i64, boots: Option<u32>) -> u32 {
        // What ended the attempt before may only follow from a sighting; that must not be lost with the next sighting.
        let (end, reason) = self.end().unwrap_or((End::Failed, None));
        let reason = reason.map(str::to_owned);
        if let Some(last) = self.attempts.last_mut()
            && last.end.is_none()
        {
            last.finish(end, reason, at);
        }
        self.attempts.push(Attempt {
            offered_at: at,
            boots,
            bytes: 0,
            patch: false,
            loading_at: None,
            written_at: None,
            trial_at: None,
            trial_seen: None,
            back_at: None,
            end: None,
            reason: None,
            ended_at: None,
        });
        self.attempt()
    }

    /// Takes a report; returns whether it said anything new. Reports of attempts that never began are ignored.
    pub fn report(&mut self, told: Told) -> bool {
        let index = usize::try_from(told.attempt)
            .unwrap_or(usize::MAX)
            .wrapping_sub(1);
        let before = self.clone();
        let Some(attempt) = self.attempts.get_mut(index) else {
            return false;
        };
        attempt.patch |= told.patch;
        match told.stage {
            Stage::Downloading => {
                attempt.bytes = attempt.bytes.max(told.bytes);
                earliest(&mut attempt.loading_at, told.at);
            }
            Stage::Written => earliest(&mut attempt.written_at, told.at),
            Stage::Trial => earliest(&mut attempt.trial_at, told.at),
            Stage::Confirmed => earliest(&mut self.confirmed_at, told.at),
            Stage::RolledBack => attempt.finish(End::RolledBack, told.reason, told.at),
            Stage::Failed => attempt.finish(End::Failed, told.reason, told.at),
        }
        *self != before
    }

    /// Takes a sighting; returns whether it changed anything but its moment.
    pub fn observe(&mut self, seen: Seen) -> bool {
        let before = (self.state(), self.attempt(), self.confirmed_at, self.runs());
        match seen.what {
            Runs::Target => earliest(&mut self.confirmed_at, seen.at),
            Runs::TargetOnTrial => {
                let began = |a: &&mut Attempt| a.offered_at <= seen.at;
                if let Some(attempt) = self.attempts.iter_mut().rev().find(began) {
                    let newest = attempt.trial_seen.unwrap_or((seen.boots, seen.at));
                    attempt.trial_seen = Some((newest.0.max(seen.boots), newest.1.max(seen.at)));
                }
            }
            Runs::Old | Runs::Other => {}
        }
        if self.seen.is_none_or(|old| seen.is_after(&old)) {
            self.seen = Some(seen);
        }
        let over = self.end().is_some();
        if let (Some(last), Some(newest)) = (self.attempts.last_mut(), self.seen) {
            if over {
                earliest(&mut last.back_at, newest.at);
            } else {
                last.back_at = None;
            }
        }
        before != (self.state(), self.attempt(), self.confirmed_at, self.runs())
    }

    /// What was seen to run last.
    pub fn runs(&self) -> Option<Runs> {
        self.seen.map(|seen| seen.what)
    }

    /// Notes that the update is not wanted any more. What the board has written already it still starts.
    pub fn cancel(&mut self, at: i64) {
        earliest(&mut self.cancelled_at, at);
    }

    /// Notes that a cancelled update is wanted again.
    pub fn renew(&mut self) {
        self.cancelled_at = None;
    }

    /// How the newest attempt ended, if it ended without success.
    fn end(&self) -> Option<(End, Option<&str>)> {
        let last = self.attempts.last()?;
        if let Some(end) = last.end {
            return Some((end, last.reason.as_deref()));
        }
        last.came_back(&self.seen?)
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        if self.confirmed_at.is_some() {
            return State::Confirmed;
        }
        let state = match (self.end(), self.attempts.last()) {
            (Some((End::RolledBack, _)), _) => State::RolledBack,
            (Some((End::Failed, _)), _) => State::Failed,
            (None, Some(last)) => last.stage(),
            (None, None) => State::Waiting,
        };
        let may_stop = matches!(
            state,
            State::Waiting | State::Offered | State::Downloading | State::Written
        );
        if self.cancelled_at.is_some() && may_stop {
            return State::Cancelled;
        }
        state
    }

    /// Why the newest attempt ended without success.
    pub fn reason(&self) -> Option<&str> {
        if self.confirmed_at.is_some() {
            return None;
        }
        self.end().and_then(|(_, reason)| reason)
    }

    /// Bytes of the image that are in flash.
    pub fn bytes(&self) -> u32 {
        self.attempts.last().map_or(0, |last| last.bytes)
    }

    /// Tells whether the newest attempt applies a patch.
    pub fn is_patch(&self) -> bool {
        self.attempts.last().is_some_and(|last| last.patch)
    }

    /// When it was confirmed, milliseconds UTC.
    pub fn confirmed_at(&self) -> Option<i64> {
        self.confirmed_at
    }

    /// Tells whether a patch has failed: from then on the whole image is taken.
    pub fn wants_whole_image(&self) -> bool {
        let mut attempts = self.attempts.iter();
        attempts.any(|a| a.reason.as_deref() == Some(reasons::PATCH))
    }

    /// What to do next at `now`, when the board does not run the image.
    pub fn next(&self, now: i64, max_attempts: u32) -> Next {
        if self.confirmed_at.is_some() || self.cancelled_at.is_some() {
            return Next::Done;
        }
        let Some(last) = self.attempts.last() else {
            return Next::Begin(1);
        };
        let Some((_, reason)) = self.end() else {
            return Next::Continue(self.attempt());
        };
        if self.attempt() >= max_attempts || reason.is_some_and(is_permanent) {
            return Next::Exhausted;
        }
        let ended = last
            .ended_at
            .or(last.back_at)
            .or(self.seen.map(|seen| seen.at))
            .unwrap_or(last.offered_at);
        let at = ended.saturating_add(back_off_ms(self.attempts.len()));
        if now >= at {
            Next::Begin(self.attempt() + 1)
        } else {
            Next::WaitUntil(at)
        }
    }
}
