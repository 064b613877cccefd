//! Spans of time and how they are divided: what people write (`24h`, `1mo`, ISO) becomes milliseconds UTC.
//!
//! Days, weeks and months are those of a time zone, so a day of a change of clocks has 23 or 25 hours. Shorter
//! intervals are fixed, and begin where the zone's own hours begin at the start of the range.

use espalier_tsdb::{Buckets, MAX_BUCKETS};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};

/// The length of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// Milliseconds.
    Fixed(i64),
    /// Days from midnight to midnight.
    Days(i64),
    /// Weeks from Monday.
    Weeks(i64),
    /// Calendar months.
    Months(i64),
}

/// Reads a moment: milliseconds UTC, an ISO date-time with an offset, or one without, which is in `tz`.
///
/// # Errors
/// Says what is wanted.
pub fn moment(text: &str, tz: &TimeZone) -> Result<i64, String> {
    let wanted = || {
        format!(
            "{text:?} is not a time; write 2026-03-01T12:00:00Z, 2026-03-01 or milliseconds since 1970 UTC"
        )
    };
    let text = text.trim();
    if let Ok(ms) = text.parse::<i64>() {
        return Timestamp::from_millisecond(ms)
            .map(|_| ms)
            .map_err(|_| wanted());
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp.as_millisecond());
    }
    // A `+` of an offset arrives as a space when the client did not encode it.
    if let Ok(timestamp) = text.replacen(' ', "+", 1).parse::<Timestamp>() {
        return Ok(timestamp.as_millisecond());
    }
    let civil = text.parse::<DateTime>().map_err(|_| wanted())?;
    let zoned = civil.to_zoned(tz.clone()).map_err(|_| wanted())?;
    Ok(zoned.timestamp().as_millisecond())
}

fn number_and_unit(text: &str) -> Option<(i64, &str)> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number = if number.is_empty() {
        1
    } else {
        number.parse().ok()?
    };
    (number > 0).then_some((number, unit))
}

fn unit_ms(unit: &str) -> Option<i64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return None,
    })
}

/// Reads a length of time such as `15m`, `24h` or `7d`, in milliseconds; at most ten years.
///
/// # Errors
/// Says what is wanted.
pub fn period(text: &str) -> Result<i64, String> {
    const MAX: i64 = 3660 * 86_400_000;
    number_and_unit(text)
        .and_then(|(number, unit)| number.checked_mul(unit_ms(unit)?))
        .filter(|ms| *ms <= MAX)
        .ok_or_else(|| {
            format!("{text:?} is not a period; write 15m, 24h, 7d or 30d, at most ten years")
        })
}

/// Reads an interval such as `10s`, `1h`, `1d`, `1w` or `1mo`.
///
/// # Errors
/// Says what is wanted.
pub fn interval(text: &str) -> Result<Interval, String> {
    let wanted = || format!("{text:?} is not an interval; write 10s, 1m, 1h, 1d, 1w or 1mo");
    let (number, unit) = number_and_unit(text).ok_or_else(wanted)?;
    // Larger numbers are no division of anything; the bound keeps the arithmetic of dates in range.
    if number > 10_000_000 {
        return Err(wanted());
    }
    Ok(match unit {
        "d" => Interval::Days(number),
        "w" => Interval::Weeks(number),
        "mo" => Interval::Months(number),
        _ => {
            let ms = unit_ms(unit).and_then(|ms| ms.checked_mul(number));
            Interval::Fixed(ms.ok_or_else(wanted)?)
        }
    })
}

/// Finds a time zone by its IANA name.
///
/// # Errors
/// Says what is wanted.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| {
        format!("{name:?} is not a time zone; write an IANA name such as Europe/Berlin")
    })
}

impl Interval {
    /// Divides `from..to` into whole buckets of this length that cover it.
    ///
    /// # Errors
    /// Says that there would be too many buckets, or that the range leaves the calendar.
    pub fn divide(self, from: i64, to: i64, tz: &TimeZone) -> Result<Buckets, String> {
        let too_many =
            || format!("that makes more than {MAX_BUCKETS} buckets; take a longer interval");
        if let Self::Fixed(width) = self {
            let start = floor_fixed(from, width, tz);
            let span = (to.max(from + 1) - start).unsigned_abs();
            let count = span.div_ceil(width.unsigned_abs());
            let count = usize::try_from(count)
                .ok()
                .filter(|count| *count <= MAX_BUCKETS);
            let count = count.ok_or_else(too_many)?;
            return Ok(Buckets::Fixed {
                start,
                width,
                count,
            });
        }
        let outside = |_| "the range leaves the calendar; take a shorter one".to_owned();
        let mut date = self
            .floor(local_date(from, tz).map_err(outside)?)
            .map_err(outside)?;
        let mut edges = vec![midnight(date, tz).map_err(outside)?];
        while edges.last().is_some_and(|last| *last < to.max(from + 1)) {
            if edges.len() > MAX_BUCKETS {
                return Err(too_many());
            }
            date = date.checked_add(self.step()).map_err(outside)?;
            let edge = midnight(date, tz).map_err(outside)?;
            // Where a zone left out a whole day there are two equal midnights.
            if edges.last().is_none_or(|last| *last < edge) {
                edges.push(edge);
            }
        }
        Ok(Buckets::Edges(edges))
    }

    fn step(self) -> Span {
        match self {
            Self::Fixed(ms) => ms.milliseconds(),
            Self::Days(days) => days.days(),
            Self::Weeks(weeks) => weeks.weeks(),
            Self::Months(months) => months.months(),
        }
    }

    /// The first day of the bucket that holds a date. Several days, weeks or months are counted from a fixed origin,
    /// so that the buckets do not move with the range.
    fn floor(self, date: Date) -> Result<Date, jiff::Error> {
        let epoch = Date::constant(1970, 1, 1);
        let days = i64::from(epoch.until(date)?.get_days());
        match self {
            Self::Fixed(_) => Ok(date),
            Self::Days(n) => date.checked_sub(days.rem_euclid(n).days()),
            Self::Weeks(n) => {
                // 1970-01-05 was the first Monday.
                date.checked_sub((days - 4).rem_euclid(n * 7).days())
            }
            Self::Months(n) => {
                let months = (i64::from(date.year()) - 1970) * 12 + i64::from(date.month()) - 1;
                date.first_of_month()
                    .checked_sub(months.rem_euclid(n).months())
            }
        }
    }
}

fn floor_fixed(from: i64, width: i64, tz: &TimeZone) -> i64 {
    let offset = Timestamp::from_millisecond(from)
        .map_or(0, |from| i64::from(tz.to_offset(from).seconds()) * 1000);
    (from + offset).div_euclid(width) * width - offset
}

fn local_date(ms: i64, tz: &TimeZone) -> Result<Date, jiff::Error> {
    Ok(Timestamp::from_millisecond(ms)?.to_zoned(tz.clone()).date())
}

fn midnight(date: Date, tz: &TimeZone) -> Result<i64, jiff::Error> {
    Ok(date.to_zoned(tz.clone())?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600_000;

    fn edges(buckets: &Buckets) -> Vec<i64> {
        let mut edges: Vec<i64> = (0..buckets.len()).map(|i| buckets.bounds(i).0).collect();
        edges.push(buckets.bounds(buckets.len() - 1).1);
        edges
    }

    #[test]
    fn a_day_of_a_change_of_clocks_is_shorter_or_longer() {
        let berlin = zone("Europe/Berlin").expect("a zone");
        for (from, to, hours) in [
            ("2026-03-28", "2026-03-31", [24, 23, 24]),
            ("2026-10-24", "2026-10-27", [24, 25, 24]),
        ] {
            let from = moment(from, &berlin).expect("a time");
            let to = moment(to, &berlin).expect("a time");
            let days = Interval::Days(1).divide(from, to, &berlin).expect("days");
            let found: Vec<i64> = edges(&days)
                .windows(2)
                .map(|e| (e[1] - e[0]) / HOUR)
                .collect();
            assert_eq!(found, hours);
        }
    }

    #[test]
    fn hours_of_a_zone_with_half_an_hour_begin_where_its_clocks_strike() {
        let kolkata = zone("Asia/Kolkata").expect("a zone");
        let from = moment("2026-03-01T10:15:00", &kolkata).expect("a time");
        let hours = Interval::Fixed(HOUR)
            .divide(from, from + 1, &kolkata)
            .expect("hours");
        let strike = moment("2026-03-01T10:00:00", &kolkata).expect("a time");
        assert_eq!(edges(&hours), [strike, strike + HOUR]);
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let utc = TimeZone::UTC;
        let at = |text| moment(text, &utc).expect("a time");
        let week = Interval::Weeks(1).divide(at("2026-03-04"), at("2026-03-05"), &utc);
        assert_eq!(
            edges(&week.expect("a week")),
            [at("2026-03-02"), at("2026-03-09")]
        );
        let months = Interval::Months(1).divide(at("2024-01-31"), at("2024-02-29"), &utc);
        assert_eq!(
            edges(&months.expect("months")),
            [at("2024-01-01"), at("2024-02-01"), at("2024-03-01")]
        );
    }

    #[test]
    fn what_is_written_is_read() {
        let utc = TimeZone::UTC;
        assert_eq!(moment("2026-03-01T12:00:00Z", &utc), Ok(1_772_366_400_000));
        assert_eq!(
            moment("2026-03-01T13:00:00+01:00", &utc),
            Ok(1_772_366_400_000)
        );
        assert_eq!(
            moment("2026-03-01T13:00:00 01:00", &utc),
            Ok(1_772_366_400_000)
        );
        assert_eq!(moment("1772366400000", &utc), Ok(1_772_366_400_000));
        assert_eq!(period("15m"), Ok(900_000));
        assert_eq!(interval("1mo"), Ok(Interval::Months(1)));
        for wrong in [
            "",
            "h",
            "0h",
            "24",
            "1y",
            "-1h",
            "99999999999999999999h",
            "5000d",
        ] {
            assert!(period(wrong).is_err() || wrong == "h", "{wrong}");
        }
        for wrong in ["", "10", "0s", "1x", "99999999999d"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
        assert!(moment("yesterday", &utc).is_err());
        assert!(zone("Mars/Olympus").is_err());
    }

    proptest! {
        #[test]
        fn buckets_cover_the_range_without_gaps(
            from in 0_i64..4_000_000_000_000,
            days in 1_i64..800,
            kind in 0..4,
            n in 1_i64..5,
            name in prop::sample::select(vec!["Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "UTC"]),
        ) {
            let tz = zone(name).expect("a zone");
            let interval = match kind {
                0 => Interval::Fixed(n * HOUR),
                1 => Interval::Days(n),
                2 => Interval::Weeks(n),
                _ => Interval::Months(n),
            };
            let to = from + days * 24 * HOUR;
            let buckets = interval.divide(from, to, &tz).expect("buckets");
            let edges = edges(&buckets);
            prop_assert!(edges[0] <= from && edges[edges.len() - 1] >= to);
            prop_assert!(edges[1] > from && edges[edges.len() - 2] < to);
            prop_assert!(edges.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
