//! Time zones as POSIX `TZ` texts have them: `CET-1CEST,M3.5.0,M10.5.0/3`. One standard time, perhaps one summer time, and the
//! rules of the years to come. Not a history of zones.

use core::fmt;

use super::civil::{self, DAY};

/// Longest offset from UTC, in seconds.
const MAX_OFFSET: i32 = 24 * 3600 + 59 * 60 + 59;

/// Why a text is no time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneError {
    /// The byte at which it stops being one.
    pub at: usize,
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the time zone must look like CET-1CEST,M3.5.0,M10.5.0/3 and is wrong at character {}",
            self.at + 1
        )
    }
}

impl core::error::Error for ZoneError {}

/// A day of a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// `Jn`: 1 to 365, 29 February is never counted.
    Julian(i64),
    /// `n`: 0 to 365, 29 February is counted.
    Ordinal(i64),
    /// `Mm.w.d`: the day of the week (0 is Sunday) in the week (5 is the last) of the month.
    Month { month: i64, week: i64, weekday: i64 },
}

/// A moment in every year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    rule: Rule,
    /// Seconds since midnight, also before it or after the day.
    time: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Summer {
    /// Seconds east of UTC.
    offset: i32,
    begins: Change,
    ends: Change,
}

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone {
    /// Seconds east of UTC.
    standard: i32,
    summer: Option<Summer>,
}

impl Zone {
    /// The zone of boards that were not told another one.
    pub const UTC: Zone = Zone {
        standard: 0,
        summer: None,
    };

    /// Reads a POSIX `TZ` text. A summer time without rules follows those of the United States, as everywhere.
    ///
    /// # Errors
    /// Says where the text is wrong.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        let mut read = Reader {
            text: text.as_bytes(),
            at: 0,
        };
        let zone = read.zone().filter(|_| read.at == text.len());
        zone.ok_or(ZoneError { at: read.at })
    }

    /// Returns the seconds east of UTC at a moment, in seconds UTC.
    pub fn offset_at(&self, utc: i64) -> i32 {
        let Some(summer) = self.summer else {
            return self.standard;
        };
        let year = civil::year((utc + i64::from(self.standard)).div_euclid(DAY));
        let begins = summer.begins.of(year) - i64::from(self.standard);
        let ends = summer.ends.of(year) - i64::from(summer.offset);
        let is_summer = if begins <= ends {
            (begins..ends).contains(&utc)
        } else {
            !(ends..begins).contains(&utc)
        };
        if is_summer {
            summer.offset
        } else {
            self.standard
        }
    }

    /// Returns the moment at which the local clock shows this, in seconds UTC; `local` counts as if the zone were UTC. Of two
    /// moments the first; for a time that is skipped the one that lies as far after the change.
    pub fn to_utc(&self, local: i64) -> i64 {
        let offsets = [
            i64::from(self.standard),
            i64::from(self.summer.map_or(self.standard, |s| s.offset)),
        ];
        let earlier = local - offsets[0].max(offsets[1]);
        let later = local - offsets[0].min(offsets[1]);
        let is_shown = |utc: i64| utc + i64::from(self.offset_at(utc)) == local;
        if is_shown(earlier) { earlier } else { later }
    }
}

impl Change {
    /// Returns the moment in a year, in seconds of the local clock.
    fn of(self, year: i64) -> i64 {
        let day = match self.rule {
            Rule::Julian(n) => {
                let after_february = civil::is_leap(year) && n > 59;
                civil::day(year, 1, 1) + n - 1 + i64::from(after_february)
            }
            Rule::Ordinal(n) => civil::day(year, 1, 1) + n,
            Rule::Month {
                month,
                week,
                weekday,
            } => {
                let first = civil::day(year, month, 1);
                // POSIX begins its week on Sunday, we on Monday.
                let ahead = (weekday + 6 - civil::weekday(first)).rem_euclid(7);
                let day = first + ahead + 7 * (week - 1);
                let (next_year, next_month) = if month == 12 {
                    (year + 1, 1)
                } else {
                    (year, month + 1)
                };
                if day >= civil::day(next_year, next_month, 1) {
                    day - 7
                } else {
                    day
                }
            }
        };
        day * DAY + self.time
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn zone(&mut self) -> Option<Zone> {
        self.name()?;
        let standard = -self.offset()?;
        if self.peek().is_none() {
            return Some(Zone {
                standard,
                summer: None,
            });
        }
        self.name()?;
        let offset = match self.peek() {
            None | Some(b',') => standard + 3600,
            Some(_) => -self.offset()?,
        };
        let (begins, ends) = if self.skip(b',') {
            let begins = self.change()?;
            if !self.skip(b',') {
                return None;
            }
            (begins, self.change()?)
        } else {
            (us(3, 2), us(11, 1))
        };
        Some(Zone {
            standard,
            summer: Some(Summer {
                offset,
                begins,
                ends,
            }),
        })
    }

    /// Skips `CET` or `<+0330>`.
    fn name(&mut self) -> Option<()> {
        let quoted = self.skip(b'<');
        let start = self.at;
        while self.peek().is_some_and(|b| match quoted {
            true => b.is_ascii_alphanumeric() || b == b'+' || b == b'-',
            false => b.is_ascii_alphabetic(),
        }) {
            self.at += 1;
        }
        let long_enough = self.at - start >= 3;
        (long_enough && (!quoted || self.skip(b'>'))).then_some(())
    }

    /// Reads at most `digits` digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let start = self.at;
        let mut number = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if self.at - start == digits {
                return None;
            }
            number = number * 10 + i64::from(digit - b'0');
            self.at += 1;
        }
        (self.at > start).then_some(number)
    }

    /// Reads `[+|-]hh[:mm[:ss]]` in seconds.
    fn time(&mut self, max_hours: i64) -> Option<i64> {
        let negative = self.skip(b'-');
        if !negative {
            self.skip(b'+');
        }
        let mut seconds = self.number(3).filter(|h| *h <= max_hours)? * 3600;
        for unit in [60, 1] {
            if !self.skip(b':') {
                break;
            }
            seconds += self.number(2).filter(|n| *n < 60)? * unit;
        }
        Some(if negative { -seconds } else { seconds })
    }

    fn offset(&mut self) -> Option<i32> {
        let seconds = i32::try_from(self.time(24)?).ok()?;
        (seconds.abs() <= MAX_OFFSET).then_some(seconds)
    }

    fn change(&mut self) -> Option<Change> {
        let rule = match self.peek()? {
            b'J' => {
                self.at += 1;
                Rule::Julian(self.number(3).filter(|n| (1..=365).contains(n))?)
            }
            b'M' => {
                self.at += 1;
                let month = self.number(2).filter(|n| (1..=12).contains(n))?;
                let dot = self.skip(b'.');
                let week = self.number(1).filter(|n| dot && (1..=5).contains(n))?;
                let dot = self.skip(b'.');
                let weekday = self.number(1).filter(|n| dot && *n <= 6)?;
                Rule::Month {
                    month,
                    week,
                    weekday,
                }
            }
            _ => Rule::Ordinal(self.number(3).filter(|n| *n <= 365)?),
        };
        let time = if self.skip(b'/') {
            self.time(167)?
        } else {
            7200
        };
        Some(Change { rule, time })
    }
}

/// The Sunday in a week of a month, at two.
const fn us(month: i64, week: i64) -> Change {
    Change {
        rule: Rule::Month {
            month,
            week,
            weekday: 0,
        },
        time: 7200,
    }
}
