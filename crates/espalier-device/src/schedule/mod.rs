//! What the board switches by itself, by the clock and without a server: `schedules` in its desired state. Not the rules and
//! timers of the server, which need a connection.
//!
//! # Format
//! A list of at most [`MAX_SCHEDULES`] objects, of at most [`MAX_TEXT`] bytes of JSON:
//!
//! | member | meaning |
//! |---|---|
//! | `key` | the switch |
//! | `value` | the value that it gets, at most [`MAX_VALUE`] bytes of JSON |
//! | `at` | local time of the day, `"07:30"` or `"07:30:15"`; or: |
//! | `every` | seconds between two runs, 1 to 604800, counted from the start of the board or the change of the list |
//! | `days` | with `at`: days of the week, `"1-5"` or `"6,7"`; 1 is Monday, 7 (or 0) Sunday; every day when it is missing |
//! | `grace` | with `at`: how many seconds late it may still run, 900 when it is missing |
//!
//! # Time
//! `at` needs the time, from the server, and the zone, from the settings ([`Zone`]). A time that the spring skips runs as much
//! later as the clocks go forward; one that comes twice in autumn runs the first time. After a jump of the clock, a power failure or
//! a long wait a missed run is made up for once when it is not later than its grace; what ran once is remembered over restarts
//! ([`Schedules::until`]) and does not run again. `every` needs no time at all; runs that were missed are made up for by one.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the list, and what is due |
//! | `entry.rs` | one schedule: reading it, its moments |
//! | `civil.rs` | days and dates |
//! | `zone.rs` | POSIX time zones |

mod civil;
mod entry;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transitions;
mod zone;

use core::fmt;

use espalier_wire::json::Json;
use heapless::{String, Vec};

use crate::state::MAX_LONG_VALUE;
use crate::storage::{self, ENVELOPE, Slot, Storage};
use entry::{Entry, When};
pub use zone::{Zone, ZoneError};

/// The key in the desired state.
pub const KEY: &str = "schedules";
/// Most schedules of a board.
pub const MAX_SCHEDULES: usize = 8;
/// Longest list, in bytes of JSON.
pub const MAX_TEXT: usize = MAX_LONG_VALUE;
/// Longest value, in bytes of JSON.
pub const MAX_VALUE: usize = 48;
/// Longest key of a switch, in bytes.
pub const MAX_KEY: usize = 32;
/// How late a run may be unless its schedule says otherwise, in seconds.
pub const GRACE_S: u32 = 900;
/// Longest time between two looks at the clock, in milliseconds: it may be set in between.
const LOOK_MS: u64 = 60_000;
/// A clock that is set back by more than this was wrong before, in seconds.
const SET_BACK_S: i64 = 3_600;
/// Bytes of the record: the moment, then the text.
const MOMENT: usize = 8;

/// Why a list is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleError {
    /// The text is no list, or longer than [`MAX_TEXT`].
    NotAList,
    /// There are more than [`MAX_SCHEDULES`].
    TooMany,
    /// One of them, counted from 1, cannot be used.
    Bad(u8, &'static str),
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScheduleError::NotAList => {
                write!(f, "schedules must be a list of at most {MAX_TEXT} bytes")
            }
            ScheduleError::TooMany => {
                write!(f, "a board keeps at most {MAX_SCHEDULES} schedules")
            }
            ScheduleError::Bad(n, why) => write!(f, "schedule {n} {why}"),
        }
    }
}

impl core::error::Error for ScheduleError {}

/// The schedules of a board.
#[derive(Debug)]
pub struct Schedules {
    zone: Zone,
    text: String<MAX_TEXT>,
    list: Vec<Entry, MAX_SCHEDULES>,
    /// Everything that was planned up to here has run or will not run, in seconds UTC; none before the time was ever known.
    until: Option<i64>,
    /// Runs that were too late.
    missed: u32,
    unsaved: bool,
    /// Whether storing was not asked for since the last change.
    news: bool,
}

impl Schedules {
    /// Makes an empty list for a board in this zone.
    pub fn new(zone: Zone) -> Self {
        Schedules {
            zone,
            text: String::new(),
            list: Vec::new(),
            until: None,
            missed: 0,
            unsaved: false,
            news: false,
        }
    }

    /// Replaces the list. Schedules by the clock that were due before `wall` (milliseconds UTC) do not run; those that run every
    /// few seconds begin to count at `uptime` (milliseconds). A list that is the same as before changes nothing.
    ///
    /// # Errors
    /// Says which schedule cannot be used; then the list stays as it was.
    pub fn set(
        &mut self,
        json: Json<'_>,
        uptime: u64,
        wall: Option<i64>,
    ) -> Result<(), ScheduleError> {
        if self.text == json.as_str() {
            return Ok(());
        }
        self.read(json, uptime)?;
        self.until = wall.map(seconds);
        (self.unsaved, self.news) = (true, true);
        Ok(())
    }

    fn read(&mut self, json: Json<'_>, uptime: u64) -> Result<(), ScheduleError> {
        let text = String::try_from(json.as_str()).map_err(|_| ScheduleError::NotAList)?;
        let mut list = Vec::new();
        for (n, element) in (1..).zip(json.elements().ok_or(ScheduleError::NotAList)?) {
            let entry = Entry::read(element, uptime).map_err(|why| ScheduleError::Bad(n, why))?;
            list.push(entry).map_err(|_| ScheduleError::TooMany)?;
        }
        (self.text, self.list) = (text, list);
        Ok(())
    }

    /// Forgets every schedule, without a word to the storage.
    pub fn clear(&mut self) {
        *self = Schedules::new(self.zone);
    }

    /// Moves the board to another zone; says whether it is another one.
    pub fn set_zone(&mut self, zone: Zone) -> bool {
        core::mem::replace(&mut self.zone, zone) != zone
    }

    /// Returns the list as it was given; an empty list when there is none.
    pub fn text(&self) -> &str {
        if self.text.is_empty() {
            "[]"
        } else {
            &self.text
        }
    }

    /// Returns the moment up to which everything has run, in seconds UTC.
    pub const fn until(&self) -> Option<i64> {
        self.until
    }

    /// Returns how many runs were too late to be made up for.
    pub const fn missed(&self) -> u32 {
        self.missed
    }

    /// Takes the next run that is due: calls `run` with the key and the value. Returns false when nothing is due.
    /// `uptime` is in milliseconds of a clock that counts up, `wall` in milliseconds UTC when the time is known.
    ///
    /// What is due together runs in the order of its moments, then of the list.
    pub fn next(
        &mut self,
        uptime: u64,
        wall: Option<i64>,
        mut run: impl FnMut(&str, Json<'_>),
    ) -> bool {
        if let Some(index) = self.next_by_clock(wall.map(seconds)) {
            return self.run(index, &mut run);
        }
        let due = |entry: &Entry| matches!(entry.when, When::Every { next, .. } if uptime >= next);
        let Some(index) = self.list.iter().position(due) else {
            return false;
        };
        if let Some(Entry {
            when: When::Every { every_ms, next },
            ..
        }) = self.list.get_mut(index)
        {
            // Missed runs are one run; the rhythm stays.
            let late = uptime.saturating_sub(*next) / *every_ms;
            *next = next.saturating_add((late + 1).saturating_mul(*every_ms));
        }
        self.run(index, &mut run)
    }

    fn run(&self, index: usize, run: &mut impl FnMut(&str, Json<'_>)) -> bool {
        if let Some(entry) = self.list.get(index)
            && let Ok(value) = Json::parse(&entry.value)
        {
            run(&entry.key, value);
        }
        true
    }

    /// Returns the schedule by the clock whose missed moment is the earliest, and notes that it has run.
    fn next_by_clock(&mut self, now: Option<i64>) -> Option<usize> {
        let now = now?;
        let until = match self.until {
            Some(until) if until <= now.saturating_add(SET_BACK_S) => until,
            // The first time, or a clock that was wrong: nothing of the past is made up for.
            _ => {
                self.until = Some(now);
                for entry in &mut self.list {
                    entry.ran = i64::MIN;
                }
                return None;
            }
        };
        for entry in &mut self.list {
            let Some(moment) = entry.latest(&self.zone, now) else {
                continue;
            };
            if moment <= until.max(entry.ran) {
                continue;
            }
            if now - moment > i64::from(entry.grace_s) {
                entry.ran = moment;
                self.missed = self.missed.saturating_add(1);
            }
        }
        let due = self.list.iter().enumerate().filter_map(|(index, entry)| {
            let moment = entry.latest(&self.zone, now)?;
            (moment > until.max(entry.ran)).then_some((moment, index))
        });
        let Some((moment, index)) = due.min() else {
            // Everything up to now is done. It is remembered with the next run, not every minute: flash wears out.
            return None;
        };
        if let Some(entry) = self.list.get_mut(index) {
            entry.ran = moment;
        }
        let open = |entry: &Entry| {
            let latest = entry.latest(&self.zone, now);
            latest.is_some_and(|at| at == moment && at > until.max(entry.ran))
        };
        if !self.list.iter().any(open) {
            self.until = Some(moment);
            (self.unsaved, self.news) = (true, true);
        }
        Some(index)
    }

    /// Returns when [`Schedules::next`] must be called again, in milliseconds of the uptime.
    pub fn due(&self, uptime: u64, wall: Option<i64>) -> u64 {
        let mut due = u64::MAX;
        for entry in &self.list {
            due = due.min(match (entry.when, wall) {
                (When::Every { next, .. }, _) => next,
                // The time will come from outside, with a step.
                (When::At { .. }, None) => u64::MAX,
                (When::At { .. }, Some(wall)) => {
                    let next = entry.next(&self.zone, seconds(wall));
                    let wait =
                        next.map_or(i64::MAX, |at| at.saturating_mul(1000).saturating_sub(wall));
                    uptime.saturating_add(u64::try_from(wait).unwrap_or(0).min(LOOK_MS))
                }
            });
        }
        due
    }

    /// Says whether [`Schedules::store`] should be called soon.
    pub const fn is_unsaved(&self) -> bool {
        self.unsaved
    }

    /// Says once after every change that [`Schedules::store`] should be called: a flash that fails is not tried without end.
    pub(crate) fn take_news(&mut self) -> bool {
        core::mem::take(&mut self.news) && self.unsaved
    }

    /// Stores the list, and up to when it has run.
    ///
    /// # Errors
    /// When the storage cannot be written.
    pub fn store<S: Storage>(&mut self, storage: &mut S) -> Result<(), S::Error> {
        let mut content = [0; MOMENT + MAX_TEXT];
        let text = self.text.as_bytes();
        let (moment, rest) = content.split_at_mut(MOMENT);
        moment.copy_from_slice(&self.until.unwrap_or(i64::MIN).to_le_bytes());
        if let Some(place) = rest.get_mut(..text.len()) {
            place.copy_from_slice(text);
        }
        let content = content.get(..MOMENT + text.len()).unwrap_or_default();
        storage.write(Slot::Schedules, &[&storage::seal(content), content])?;
        self.unsaved = false;
        Ok(())
    }

    /// Takes over what was stored before a restart; a record that is torn or damaged counts as none. Returns the schedules found.
    pub fn restore<S: Storage>(&mut self, storage: &mut S, uptime: u64) -> usize {
        let mut stored = [0; ENVELOPE + MOMENT + MAX_TEXT];
        let len = storage.read(Slot::Schedules, &mut stored).unwrap_or(0);
        let content = stored.get(..len).and_then(storage::open);
        let Some((moment, text)) = content.and_then(|c| c.split_first_chunk::<MOMENT>()) else {
            return 0;
        };
        let json = core::str::from_utf8(text)
            .ok()
            .and_then(|t| Json::parse(t).ok());
        if json.is_some_and(|json| self.read(json, uptime).is_ok()) {
            self.until = Some(i64::from_le_bytes(*moment)).filter(|m| *m != i64::MIN);
        }
        (self.unsaved, self.news) = (false, false);
        self.list.len()
    }
}

fn seconds(wall_ms: i64) -> i64 {
    wall_ms.div_euclid(1000)
}
