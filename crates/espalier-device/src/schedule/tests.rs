//! Schedules: zones against an independent implementation, days against a slow search, and a board that is switched off, is set
//! to wrong times and waits too long.

extern crate std;

use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use proptest::prelude::*;

use super::transitions::ZONES;
use super::*;

const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
/// Monday, 14 January 2030, 00:00 UTC.
const MONDAY: i64 = 1_894_579_200;
const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

fn list(text: &str) -> Json<'_> {
    Json::parse(text).unwrap()
}

fn schedules(zone: &str, text: &str, wall: Option<i64>) -> Schedules {
    let mut all = Schedules::new(Zone::parse(zone).unwrap());
    all.set(list(text), 0, wall.map(|s| s * 1000)).unwrap();
    all
}

/// What is due at a moment.
fn due(all: &mut Schedules, uptime: u64, wall: Option<i64>) -> Vec<String> {
    let mut seen = vec![];
    while all.next(uptime, wall.map(|s| s * 1000), |key, value| {
        seen.push(format!("{key}={}", value.as_str()));
    }) {
        assert!(seen.len() < 50, "for ever");
    }
    seen
}

/// Lets a board look at the clock when it wants to, and notes when what runs.
fn play(all: &mut Schedules, from: i64, to: i64) -> Vec<(i64, String)> {
    let (mut now, mut seen) = (from * 1000, vec![]);
    while now <= to * 1000 {
        let uptime = (now - from * 1000) as u64;
        seen.extend(
            due(all, uptime, Some(now.div_euclid(1000)))
                .into_iter()
                .map(|what| (now / 1000, what)),
        );
        let next = all.due(uptime, Some(now));
        assert!(next > uptime, "it never rests");
        now += (next - uptime).min(LOOK_MS) as i64;
    }
    seen
}

#[test]
fn zones_change_as_another_implementation_says() {
    for (name, posix, moments) in ZONES {
        let zone = Zone::parse(posix).unwrap_or_else(|e| panic!("{name}: {e}"));
        for pair in moments.windows(2) {
            let [(from, offset), (to, _)] = pair else {
                unreachable!()
            };
            for utc in [*from, from + 1, (from + to) / 2, to - 1] {
                assert_eq!(zone.offset_at(utc), *offset, "{name} at {utc}");
            }
        }
        let (last, offset) = moments.last().unwrap();
        assert_eq!(zone.offset_at(*last), *offset, "{name}");
    }
    // Julian days, days of the year, rules of a summer time without any, and quoted names.
    let julian = Zone::parse("AAA0BBB,J60/0,J300/0").unwrap();
    let ordinal = Zone::parse("AAA0BBB,59/0,299/0").unwrap();
    let (y2030, y2032) = (1_893_456_000, 1_956_528_000);
    assert_eq!(
        (
            julian.offset_at(y2030 + 59 * DAY - 1),
            julian.offset_at(y2030 + 59 * DAY)
        ),
        (0, 3600)
    );
    assert_eq!(
        (
            julian.offset_at(y2032 + 60 * DAY - 1),
            julian.offset_at(y2032 + 60 * DAY)
        ),
        (0, 3600),
        "1 March of a leap year"
    );
    assert_eq!(
        ordinal.offset_at(y2032 + 59 * DAY),
        3600,
        "29 February of a leap year"
    );
    assert_eq!(
        Zone::parse("EST5EDT"),
        Zone::parse("EST5EDT,M3.2.0,M11.1.0")
    );
    assert_eq!(Zone::parse("<+0330>-3:30").unwrap().offset_at(0), 12_600);
}

#[test]
fn texts_that_are_no_zones_are_refused() {
    for (text, at) in [
        ("", 0),
        ("C", 1),
        ("CET", 3),
        ("CET-", 4),
        ("CET-25", 6),
        ("CET-1CE", 7),
        ("<CET-1", 6),
        ("CET-1CEST,", 10),
        ("CET-1CEST,M3.5.0", 16),
        ("CET-1CEST,M13.5.0,M10.5.0", 13),
        ("CET-1CEST,M3.6.0,M10.5.0", 14),
        ("CET-1CEST,M3.5.7,M10.5.0", 16),
        ("CET-1CEST,J0,J5", 12),
        ("CET-1CEST,366,5", 13),
        ("CET-1CEST,M3.5.0,M10.5.0/168", 28),
        ("CET-1 ", 5),
        ("Europe/Berlin", 6),
        ("CET-1CEST,M3.5.0,M10.5.0x", 24),
        ("CET-1:60", 8),
    ] {
        assert_eq!(Zone::parse(text), Err(ZoneError { at }), "{text}");
    }
    assert_eq!(
        ZoneError { at: 5 }.to_string(),
        "the time zone must look like CET-1CEST,M3.5.0,M10.5.0/3 and is wrong at character 6"
    );
}

#[test]
fn lists_that_cannot_be_used_are_refused_and_change_nothing() {
    let good = r#"[{"key":"relay1","at":"07:30","days":"1-5","value":true}]"#;
    let mut all = schedules("UTC0", good, Some(MONDAY));
    for (text, why) in [
        ("{}", "schedules must be a list of at most 704 bytes"),
        (r#"[1]"#, "schedule 1 is no object"),
        (
            r#"[{"key":"a","value":1}]"#,
            "schedule 1 has neither `at` nor `every`",
        ),
        (r#"[{"key":"a","at":"07:30"}]"#, "schedule 1 has no value"),
        (
            r#"[{"at":"07:30","value":1}]"#,
            "schedule 1 does not name its key",
        ),
        (
            r#"[{"key":"","at":"07:30","value":1}]"#,
            "schedule 1 has a key that no switch has",
        ),
        (
            r#"[{"key":"a","at":"7:30","value":1}]"#,
            "schedule 1 needs a time such as 07:30 in `at`",
        ),
        (
            r#"[{"key":"a","at":"24:00","value":1}]"#,
            "schedule 1 needs a time such as 07:30 in `at`",
        ),
        (
            r#"[{"key":"a","at":"07:30:","value":1}]"#,
            "schedule 1 needs a time such as 07:30 in `at`",
        ),
        (
            r#"[{"key":"a","at":"07:+1","value":1}]"#,
            "schedule 1 needs a time such as 07:30 in `at`",
        ),
        (
            r#"[{"key":"a","at":"07:30","days":"5-1","value":1}]"#,
            "schedule 1 needs days such as 1-5 or 6,7 in `days`",
        ),
        (
            r#"[{"key":"a","at":"07:30","days":"8","value":1}]"#,
            "schedule 1 needs days such as 1-5 or 6,7 in `days`",
        ),
        (
            r#"[{"key":"a","every":0,"value":1}]"#,
            "schedule 1 needs 1 to 604800 seconds in `every`",
        ),
        (
            r#"[{"key":"a","every":5,"at":"07:30","value":1}]"#,
            "schedule 1 has `at` and `every`, of which one is enough",
        ),
        (
            r#"[{"key":"a","every":5,"days":"1","value":1}]"#,
            "schedule 1 has `every`, which knows neither days nor a grace",
        ),
        (
            r#"[{"key":"a","every":5,"value":1},{"key":"a","at":"07:30","grace":86401,"value":1}]"#,
            "schedule 2 needs 0 to 86400 seconds in `grace`",
        ),
    ] {
        assert_eq!(
            all.set(list(text), 0, None).unwrap_err().to_string(),
            why,
            "{text}"
        );
        assert_eq!(all.text(), good);
    }
    let nine = format!("[{}]", [r#"{"key":"a","every":5,"value":1}"#; 9].join(","));
    assert_eq!(all.set(list(&nine), 0, None), Err(ScheduleError::TooMany));
    let long = format!(r#"[{{"key":"a","every":5,"value":"{}"}}]"#, "x".repeat(60));
    assert_eq!(
        all.set(list(&long), 0, None),
        Err(ScheduleError::Bad(1, "has a value that is too long"))
    );
    all.set(list("[]"), 0, None).unwrap();
    assert_eq!(all.due(0, Some(MONDAY * 1000)), u64::MAX);
}

#[test]
fn a_week_of_mornings_in_local_time() {
    let mut all = schedules(
        BERLIN,
        r#"[{"key":"relay1","at":"07:30","days":"1-5","value":true},{"key":"relay1","at":"22:00:30","days":"0,6","value":false}]"#,
        Some(MONDAY),
    );
    let seen = play(&mut all, MONDAY, MONDAY + 8 * DAY - 1);
    let mut expected: Vec<_> = [0, 1, 2, 3, 4, 7]
        .map(|day| {
            (
                MONDAY + day * DAY + 6 * HOUR + 30 * MINUTE,
                "relay1=true".to_string(),
            )
        })
        .into();
    for day in [5, 6] {
        let evening = MONDAY + day * DAY + 21 * HOUR + 30;
        expected.push((evening, "relay1=false".to_string()));
    }
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn clocks_that_change_skip_nothing_and_repeat_nothing() {
    // In Berlin in 2030 the clocks go forward on 31 March at 01:00 UTC and back on 27 October at 01:00 UTC.
    let (spring, autumn) = (1_901_149_200, 1_919_293_200);
    let at_half_past_two = r#"[{"key":"a","at":"02:30","value":1}]"#;
    for (change, expected) in [
        (
            spring,
            [
                spring - DAY + 30 * MINUTE,
                spring + 30 * MINUTE,
                spring + DAY - 30 * MINUTE,
            ],
        ),
        (
            autumn,
            [
                autumn - DAY - 30 * MINUTE,
                autumn - 30 * MINUTE,
                autumn + DAY + 30 * MINUTE,
            ],
        ),
    ] {
        let mut all = schedules(BERLIN, at_half_past_two, Some(change - DAY - 6 * HOUR));
        let seen = play(&mut all, change - DAY - 6 * HOUR, change + DAY + 6 * HOUR);
        let times: Vec<_> = seen.into_iter().map(|(at, _)| at).collect();
        assert_eq!(times, expected);
    }
}

#[test]
fn a_missed_run_is_made_up_for_once_and_not_when_it_is_too_late() {
    let text = r#"[{"key":"a","at":"07:30","value":1},{"key":"b","at":"07:40","grace":0,"value":2},{"key":"a","at":"07:35","value":3}]"#;
    let half_past = MONDAY + 7 * HOUR + 30 * MINUTE;
    let mut all = schedules("UTC0", text, Some(MONDAY));
    assert_eq!(due(&mut all, 0, Some(half_past - 1)), [""; 0]);
    // The board was busy for eleven minutes: in the order of the moments, without the one that allows no delay.
    assert_eq!(
        due(&mut all, 1, Some(half_past + 11 * MINUTE)),
        ["a=1", "a=3"]
    );
    assert_eq!(
        (
            due(&mut all, 2, Some(half_past + 12 * MINUTE)),
            all.missed()
        ),
        (vec![], 1)
    );
    // The next day it wakes up 20 minutes late.
    assert_eq!(
        due(&mut all, 3, Some(half_past + DAY + 20 * MINUTE)),
        ["a=3"]
    );
    // A clock that is a little slow repeats nothing; one that was wrong by years begins anew, without making up.
    assert_eq!(
        due(&mut all, 4, Some(half_past + DAY + 4 * MINUTE)),
        [""; 0]
    );
    assert_eq!(
        due(&mut all, 5, Some(half_past + DAY + 21 * MINUTE)),
        [""; 0]
    );
    let past = half_past - 3_000 * DAY;
    assert_eq!(due(&mut all, 6, Some(past + MINUTE)), [""; 0]);
    assert_eq!(due(&mut all, 7, Some(past + 5 * MINUTE)), ["a=3"]);
}

#[test]
fn without_the_time_only_what_needs_none_runs() {
    let mut all = schedules(
        "UTC0",
        r#"[{"key":"a","at":"00:01","value":1},{"key":"b","every":10,"value":2}]"#,
        None,
    );
    assert_eq!(all.due(0, None), 10_000);
    assert_eq!(due(&mut all, 9_999, None), [""; 0]);
    assert_eq!(due(&mut all, 10_000, None), ["b=2"]);
    // Three missed runs are one, and the rhythm stays.
    assert_eq!(due(&mut all, 45_000, None), ["b=2"]);
    assert_eq!(all.due(45_000, None), 50_000);
    // When the time comes, nothing of the past is made up for.
    assert_eq!(due(&mut all, 46_000, Some(MONDAY + 2 * MINUTE)), [""; 0]);
    assert_eq!(due(&mut all, 47_000, Some(MONDAY + DAY + MINUTE)), ["a=1"]);
}

struct Record(Vec<u8>, u32);

impl Storage for Record {
    type Error = ();

    fn read(&mut self, slot: Slot, into: &mut [u8]) -> Result<usize, ()> {
        assert_eq!(slot, Slot::Schedules);
        into.get_mut(..self.0.len())
            .ok_or(())?
            .copy_from_slice(&self.0);
        Ok(self.0.len())
    }

    fn write(&mut self, slot: Slot, parts: &[&[u8]]) -> Result<(), ()> {
        assert_eq!(slot, Slot::Schedules);
        (self.0, self.1) = (parts.concat(), self.1 + 1);
        Ok(())
    }
}

#[test]
fn a_restart_neither_repeats_nor_forgets() {
    let text = r#"[{"key":"a","at":"07:30","value":1},{"key":"b","at":"07:30","value":2},{"key":"c","every":60,"value":3}]"#;
    let half_past = MONDAY + 7 * HOUR + 30 * MINUTE;
    let mut all = schedules("UTC0", text, Some(MONDAY));
    let mut record = Record(vec![], 0);
    assert!(all.is_unsaved());
    all.store(&mut record).unwrap();
    // The power fails before the time and returns five minutes after it.
    let mut again = Schedules::new(Zone::UTC);
    assert_eq!((again.restore(&mut record, 0), again.text()), (3, text));
    assert_eq!(
        due(&mut again, 5_000, Some(half_past + 5 * MINUTE)),
        ["a=1", "b=2"]
    );
    assert!(again.is_unsaved());
    again.store(&mut record).unwrap();
    // What runs every minute writes nothing.
    assert_eq!(
        (
            due(&mut again, 65_000, Some(half_past + 6 * MINUTE)).len(),
            again.is_unsaved()
        ),
        (1, false)
    );
    let mut third = Schedules::new(Zone::UTC);
    third.restore(&mut record, 0);
    assert_eq!(
        due(&mut third, 5_000, Some(half_past + 7 * MINUTE)),
        [""; 0]
    );
    // The server says the same list again when it connects: that begins nothing anew.
    third
        .set(list(text), 50_000, Some((half_past + 8 * MINUTE) * 1000))
        .unwrap();
    assert_eq!(
        (third.is_unsaved(), third.due(59_000, None)),
        (false, 60_000)
    );
    // A torn record is none.
    for cut in 0..record.0.len() {
        let mut torn = Record(record.0[..cut].to_vec(), 0);
        assert_eq!(Schedules::new(Zone::UTC).restore(&mut torn, 0), 0);
    }
}

proptest! {
    /// Whatever the zone: the last and the next moment are those that a search second by second over local time would find,
    /// and nothing lies between them.
    #[test]
    fn moments_are_those_of_the_local_calendar(
        n in 0..ZONES.len(), now in 1_893_456_000_i64..2_019_686_400, second in 0..86_400_i64, days in 1..128_u8,
    ) {
        let zone = Zone::parse(ZONES[n].1).unwrap();
        let at = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
        let week: Vec<String> = (0..7).filter(|d| days >> d & 1 == 1).map(|d| (d + 1).to_string()).collect();
        let text = format!(r#"{{"key":"a","at":"{at}","days":"{}","value":1}}"#, week.join(","));
        let entry = Entry::read(list(&text), 0).unwrap();
        let (latest, next) = (entry.latest(&zone, now).unwrap(), entry.next(&zone, now).unwrap());
        prop_assert!(latest <= now && now < next && next - latest <= 8 * DAY);
        for moment in [latest, next] {
            let local = moment + i64::from(zone.offset_at(moment));
            let shown = local.rem_euclid(DAY);
            // A time that the spring skips is shown as much later as the clocks go forward, at most an hour.
            let later = (shown - second).rem_euclid(DAY);
            prop_assert!(later == 0 || (later <= HOUR && zone.offset_at(moment - later) < zone.offset_at(moment)), "{later}");
            prop_assert!(days >> civil::weekday((local - later).div_euclid(DAY)) & 1 == 1);
        }
        prop_assert_eq!(entry.next(&zone, latest - 1), Some(latest));
        prop_assert_eq!(entry.latest(&zone, next), Some(next));
        prop_assert_eq!(entry.latest(&zone, next - 1), Some(latest));
    }

    /// No text makes the readers fall over; a zone that is read has sane offsets and a local time that comes back.
    #[test]
    fn any_text_is_taken_or_refused(
        text in r"[A-Z<>+\-0-9:,./JM]{0,40}", rules in r"[JM]?[0-9.]{1,6}(/-?[0-9]{1,3})?", json in r#"[\[\]{}":,a-z0-9\-]{0,60}"#,
        local in -100_000_000_000_i64..100_000_000_000,
    ) {
        for text in [text.clone(), format!("AAA3BBB,{rules},M10.5.0")] {
            if let Ok(zone) = Zone::parse(&text) {
                let utc = zone.to_utc(local);
                prop_assert!((utc - local).abs() <= 25 * HOUR + 3600);
                let shown = utc + i64::from(zone.offset_at(utc));
                prop_assert!((shown - local).abs() <= 50 * HOUR);
            }
        }
        if let Ok(json) = Json::parse(&json) {
            let _ = Schedules::new(Zone::UTC).set(json, 0, None);
        }
    }
}
