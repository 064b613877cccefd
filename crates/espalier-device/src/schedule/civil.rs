//! Days and dates of the Gregorian calendar, in whole numbers. A day is counted from 1 January 1970.

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

/// Days of 400 years, after which the calendar repeats, and the day on which such a cycle begins: 1 March 0000.
const CYCLE: i64 = 146_097;
const MARCH_0000: i64 = -719_468;

/// Returns the day of a date; `month` is 1 to 12.
pub(super) const fn day(year: i64, month: i64, date: i64) -> i64 {
    // Years begin in March, so that leap days come last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let before_month = (153 * month + 2) / 5;
    let of_cycle = year.rem_euclid(400);
    let before_year = of_cycle * 365 + of_cycle / 4 - of_cycle / 100;
    MARCH_0000 + year.div_euclid(400) * CYCLE + before_year + before_month + date - 1
}

/// Returns the year of a day.
pub(super) const fn year(of: i64) -> i64 {
    // The estimate is at most one year off.
    let estimate = 1970 + of.div_euclid(366);
    let mut year = estimate + (of - day(estimate, 1, 1)).div_euclid(366);
    while day(year + 1, 1, 1) <= of {
        year += 1;
    }
    year
}

/// Returns the day of the week of a day, 0 for Monday.
pub(super) const fn weekday(of: i64) -> i64 {
    // 1 January 1970 was a Thursday.
    (of + 3).rem_euclid(7)
}

/// Says whether a year has 366 days.
pub(super) const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_follow_one_another_for_eight_hundred_years() {
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut expected = day(1600, 1, 1);
        assert_eq!((day(1970, 1, 1), weekday(0)), (0, 3));
        assert_eq!((day(2000, 2, 29), day(1969, 12, 31)), (11_016, -1));
        for y in 1600..2400 {
            for (month, length) in (1..).zip(lengths) {
                let length = length + i64::from(month == 2 && is_leap(y));
                for date in 1..=length {
                    assert_eq!((day(y, month, date), year(expected)), (expected, y));
                    expected += 1;
                }
            }
        }
    }
}
