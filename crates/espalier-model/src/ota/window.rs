//! Maintenance windows: on which days and between which minutes of the day an update may begin.
//!
//! A window is told in local time; which local time that is, the caller says.

use serde::{Deserialize, Serialize};

/// Minutes of a day.
const DAY: u32 = 24 * 60;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Weekday {
    /// Every day, Monday first.
    pub const ALL: [Weekday; 7] = [
        Weekday::Mon,
        Weekday::Tue,
        Weekday::Wed,
        Weekday::Thu,
        Weekday::Fri,
        Weekday::Sat,
        Weekday::Sun,
    ];

    /// The day with this number, Monday being 0.
    pub fn from_monday(n: usize) -> Self {
        Self::ALL[n % 7]
    }

    fn next(self, days: usize) -> Self {
        Self::from_monday(self as usize + days)
    }
}

/// A moment in some local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// The day.
    pub weekday: Weekday,
    /// The minute of the day, 0 to 1439.
    pub minute: u32,
}

/// A window: on these days from one minute of the day to another. One that ends before it begins ends on the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The days on which it begins; none means every day.
    #[serde(default)]
    pub weekdays: Vec<Weekday>,
    /// The minute of the day at which it begins, 0 to 1439.
    pub from: u32,
    /// The minute of the day before which it ends, 1 to 1440.
    pub to: u32,
}

impl Window {
    /// Checks a window that somebody wants to save.
    ///
    /// # Errors
    /// One sentence that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        if self.from >= DAY || self.to == 0 || self.to > DAY {
            return Err(
                "a window begins at minute 0 to 1439 of the day and ends at minute 1 to 1440"
                    .to_owned(),
            );
        }
        if self.from == self.to {
            return Err("a window that begins and ends at the same minute is empty".to_owned());
        }
        Ok(())
    }

    fn begins_on(&self, day: Weekday) -> bool {
        self.weekdays.is_empty() || self.weekdays.contains(&day)
    }

    /// Tells whether it is open.
    pub fn is_open(&self, at: Local) -> bool {
        if self.from < self.to {
            return self.begins_on(at.weekday) && (self.from..self.to).contains(&at.minute);
        }
        // Over midnight: the evening of its day, or the morning after.
        (self.begins_on(at.weekday) && at.minute >= self.from)
            || (self.begins_on(at.weekday.next(6)) && at.minute < self.to)
    }

    /// Minutes until it begins next; 0 when it is open.
    pub fn minutes_until(&self, at: Local) -> u32 {
        if self.is_open(at) {
            return 0;
        }
        let mut ahead = 0;
        for days in 0..=7 {
            let begins = ahead + self.from;
            if begins > at.minute && self.begins_on(at.weekday.next(days)) {
                return begins - at.minute;
            }
            ahead += DAY;
        }
        // Not reached by a window that passed `check`.
        DAY
    }
}

/// Minutes until one of the windows is open; 0 when one is, or there are none.
pub fn minutes_until(windows: &[Window], at: Local) -> u32 {
    let each = windows.iter().map(|window| window.minutes_until(at));
    each.min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(weekday: Weekday, hour: u32, minute: u32) -> Local {
        Local {
            weekday,
            minute: hour * 60 + minute,
        }
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let night = Window {
            weekdays: vec![Weekday::Fri],
            from: 22 * 60,
            to: 4 * 60,
        };
        assert!(night.is_open(at(Weekday::Fri, 22, 0)));
        assert!(night.is_open(at(Weekday::Sat, 3, 59)));
        assert!(!night.is_open(at(Weekday::Sat, 4, 0)));
        assert!(!night.is_open(at(Weekday::Fri, 3, 0)));
        assert_eq!(night.minutes_until(at(Weekday::Fri, 21, 0)), 60);
        assert_eq!(
            night.minutes_until(at(Weekday::Sat, 4, 0)),
            6 * DAY + 18 * 60
        );
        assert_eq!(minutes_until(&[], at(Weekday::Sat, 4, 0)), 0);
    }

    #[test]
    fn wrong_windows_are_refused() {
        for (from, to) in [(1440, 10), (0, 0), (0, 1441), (60, 60)] {
            assert!(
                Window {
                    weekdays: vec![],
                    from,
                    to
                }
                .check()
                .is_err()
            );
        }
        assert!(
            Window {
                weekdays: vec![],
                from: 0,
                to: 1440
            }
            .check()
            .is_ok()
        );
    }

    proptest! {
        /// It is open at the moment that `minutes_until` names, and at none before.
        #[test]
        fn the_next_opening_is_the_next(
            days in proptest::collection::vec(0usize..7, 0..4), from in 0u32..1440, length in 1u32..1440,
            day in 0usize..7, minute in 0u32..1440,
        ) {
            let to = (from + length - 1) % DAY + 1;
            prop_assume!(to != from);
            let window = Window { weekdays: days.into_iter().map(Weekday::from_monday).collect(), from, to };
            prop_assert!(window.check().is_ok());
            let later = |minutes: u32| {
                let total = minute + minutes;
                Local { weekday: Weekday::from_monday(day + (total / DAY) as usize), minute: total % DAY }
            };
            let wait = window.minutes_until(later(0));
            prop_assert!(wait <= 7 * DAY);
            prop_assert!(window.is_open(later(wait)));
            for earlier in 0..wait {
                prop_assert!(!window.is_open(later(earlier)));
            }
        }
    }
}
