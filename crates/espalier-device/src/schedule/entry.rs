//! One schedule: reading it from JSON, and the moments at which it runs.

use espalier_wire::json::{Json, Text};
use heapless::String;

use super::civil::{self, DAY};
use super::{GRACE_S, MAX_KEY, MAX_VALUE, Zone};

/// Longest time between two runs, in seconds.
const MAX_EVERY_S: u64 = 7 * 86_400;
/// Longest grace, in seconds.
const MAX_GRACE_S: u32 = 86_400;
/// All days of the week, Monday in bit 0.
const EVERY_DAY: u8 = 0x7f;

/// When a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// By the local clock.
    At {
        /// Seconds since midnight.
        second: i64,
        /// Monday in bit 0.
        days: u8,
    },
    /// Again and again.
    Every {
        every_ms: u64,
        /// The next run, in milliseconds of the uptime.
        next: u64,
    },
}

/// One schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub key: String<MAX_KEY>,
    pub value: String<MAX_VALUE>,
    pub when: When,
    pub grace_s: u32,
    /// The moment that ran last, or was missed, in seconds UTC.
    pub ran: i64,
}

impl Entry {
    /// Reads one; `uptime` is when it begins to count, in milliseconds.
    pub fn read(json: Json<'_>, uptime: u64) -> Result<Self, &'static str> {
        let (mut key, mut value, mut at, mut every) = (None, None, None, None);
        let (mut days, mut grace_s) = (None, None);
        for (name, member) in json.members().ok_or("is no object")? {
            if name == "key" {
                let text = member.as_text().and_then(copy);
                key = Some(
                    text.filter(|k| !k.is_empty())
                        .ok_or("has a key that no switch has")?,
                );
            } else if name == "value" {
                let text = String::try_from(member.as_str());
                value = Some(text.map_err(|_| "has a value that is too long")?);
            } else if name == "at" {
                let time = member
                    .as_text()
                    .and_then(copy::<8>)
                    .and_then(|t| time_of_day(&t));
                at = Some(time.ok_or("needs a time such as 07:30 in `at`")?);
            } else if name == "every" {
                let seconds = member.as_u64().filter(|s| (1..=MAX_EVERY_S).contains(s));
                every = Some(seconds.ok_or("needs 1 to 604800 seconds in `every`")?);
            } else if name == "days" {
                let mask = member.as_text().and_then(copy::<16>).and_then(|t| week(&t));
                days = Some(mask.ok_or("needs days such as 1-5 or 6,7 in `days`")?);
            } else if name == "grace" {
                let seconds = member.as_u64().and_then(|s| u32::try_from(s).ok());
                grace_s = Some(
                    seconds
                        .filter(|s| *s <= MAX_GRACE_S)
                        .ok_or("needs 0 to 86400 seconds in `grace`")?,
                );
            }
        }
        let when = match (at, every) {
            (Some(second), None) => When::At {
                second,
                days: days.unwrap_or(EVERY_DAY),
            },
            (None, Some(_)) if days.is_some() || grace_s.is_some() => {
                return Err("has `every`, which knows neither days nor a grace");
            }
            (None, Some(seconds)) => When::Every {
                every_ms: seconds * 1000,
                next: uptime.saturating_add(seconds * 1000),
            },
            (Some(_), Some(_)) => return Err("has `at` and `every`, of which one is enough"),
            (None, None) => return Err("has neither `at` nor `every`"),
        };
        Ok(Entry {
            key: key.ok_or("does not name its key")?,
            value: value.ok_or("has no value")?,
            when,
            grace_s: grace_s.unwrap_or(GRACE_S),
            ran: i64::MIN,
        })
    }

    /// Returns the last moment at or before `now` at which it should have run, in seconds UTC.
    pub fn latest(&self, zone: &Zone, now: i64) -> Option<i64> {
        self.nearest(zone, now, -1, |moment| moment <= now)
    }

    /// Returns the first moment after `now` at which it should run, in seconds UTC.
    pub fn next(&self, zone: &Zone, now: i64) -> Option<i64> {
        self.nearest(zone, now, 1, |moment| moment > now)
    }

    /// Looks at the days around `now`, in the direction of `step`, for the first moment that fits. Days are those of the local
    /// calendar; a change of the clocks may move a moment into the day beside.
    fn nearest(&self, zone: &Zone, now: i64, step: i64, fits: impl Fn(i64) -> bool) -> Option<i64> {
        let When::At { second, days } = self.when else {
            return None;
        };
        let today = (now + i64::from(zone.offset_at(now))).div_euclid(DAY);
        (-1..=8)
            .map(|n| today + n * step)
            .filter(|day| days >> civil::weekday(*day) & 1 == 1)
            .map(|day| zone.to_utc(day * DAY + second))
            .find(|moment| fits(*moment))
    }
}

fn copy<const N: usize>(text: Text<'_>) -> Option<String<N>> {
    let mut out = String::new();
    text.chars().try_for_each(|c| out.push(c)).ok()?;
    Some(out)
}

/// Reads `hh:mm` or `hh:mm:ss` as seconds since midnight.
fn time_of_day(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let mut part = |max: i64| {
        let digits = parts.next()?;
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        let number: i64 = digits.parse().ok().filter(|_| plain)?;
        (number <= max).then_some(number)
    };
    let (hours, minutes) = (part(23)?, part(59)?);
    let seconds = if text.len() > 5 { part(59)? } else { 0 };
    (parts.next().is_none()).then_some(hours * 3600 + minutes * 60 + seconds)
}

/// Reads `1-5` or `6,7` or `1,3-5` as days, Monday in bit 0; 0 is Sunday as 7 is.
fn week(text: &str) -> Option<u8> {
    let mut mask = 0;
    for part in text.split(',') {
        let day = |digit: &str| match digit.as_bytes() {
            [b @ b'0'..=b'7'] => Some(b - b'0'),
            _ => None,
        };
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        if first > last {
            return None;
        }
        for n in first..=last {
            mask |= 1 << ((n + 6) % 7);
        }
    }
    Some(mask)
}
