//! What a board reads besides its connection: schedules, time zones, pins, and pictures for its screen.

use espalier_device::parts::bmp::Decoder;
use espalier_device::profile::Profile;
use espalier_device::schedule::{Schedules, Zone};
use espalier_wire::json::Json;

use crate::{Target, Verdict, texts};

pub const SCHEDULES: Target = Target {
    name: "device_schedules",
    run: schedules,
    seeds: || {
        texts(&[
            "[]",
            r#"[{"key":"relay1","at":"07:30","days":"1-5","value":true}]"#,
            r#"[{"key":"v0","every":30,"value":1},{"key":"v1","at":"23:59","days":"6,7","grace":600,"value":{"a":[1]}}]"#,
        ])
    },
    words: &[
        br#"{"key":"v0","every":"#,
        br#""at":"24:00""#,
        br#""days":"7-1""#,
        br#""grace":-1"#,
        br#","value":null}"#,
        b"18446744073709551616",
    ],
};

pub const ZONE: Target = Target {
    name: "device_zone",
    run: zone,
    seeds: || {
        texts(&[
            "UTC0",
            "CET-1CEST,M3.5.0,M10.5.0/3",
            "EST5EDT,M3.2.0,M11.1.0",
            "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
            "XXX3YYY,J60/-24,300/167",
        ])
    },
    words: &[
        b",M5.5.6",
        b",J365",
        b"/-167:59:59",
        b"<-03>3",
        b",0",
        b"24:59:59",
    ],
};

pub const PROFILE: Target = Target {
    name: "device_profile",
    run: profile,
    seeds: || {
        texts(&[
            r#"{"name":"kitchen","chip":"esp32c3","pins":[{"gpio":4,"role":"relay","key":"relay1","inverted":true},{"gpio":5,"role":"pwm","key":"fan"}]}"#,
            r#"{"chip":"ESP32","pins":[{"gpio":2,"role":"led"},{"gpio":14,"role":"button"}]}"#,
        ])
    },
    words: &[
        br#"{"gpio":255,"#,
        br#""role":"dht22""#,
        br#""chip":"ESP32-S3""#,
        br#""key":"v0""#,
        br#""gpio":-1"#,
    ],
};

pub const PICTURE: Target = Target {
    name: "device_picture",
    run: picture,
    seeds: || {
        let mut file = b"BM".to_vec();
        file.extend(48_062_u32.to_le_bytes());
        file.extend([0; 4]);
        file.extend(62_u32.to_le_bytes());
        file.extend(40_u32.to_le_bytes());
        file.extend(800_i32.to_le_bytes());
        file.extend(480_i32.to_le_bytes());
        file.extend([1, 0, 1, 0]);
        file.extend([0; 24]);
        file.extend([0, 0, 0, 0, 0xff, 0xff, 0xff, 0]);
        // Some rows are enough: what is short must be said.
        file.extend([0xa5; 300]);
        vec![file]
    },
    words: &[
        b"BM",
        &[0x20, 3, 0, 0],
        &[0xe0, 1, 0, 0],
        &[0x20, 0xfe, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff],
    ],
};

fn schedules(bytes: &[u8]) -> Verdict {
    let Some(json) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| Json::parse(text).ok())
    else {
        return Verdict::Refused;
    };
    let zone = Zone::parse("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
    let mut list = Schedules::new(zone);
    // 2026-11-27T12:00:00Z
    let start = 1_795_780_800_000;
    if list.set(json, 0, Some(start)).is_err() {
        assert_eq!(
            list.text(),
            Schedules::new(zone).text(),
            "nothing is kept of it"
        );
        return Verdict::Refused;
    }
    assert_eq!(list.text(), json.as_str());
    // A day passes in steps of whatever is due; every run names a value that is JSON.
    let (mut uptime, mut runs) = (0, 0);
    while uptime < 86_400_000 && runs < 500 {
        let wall = Some(start + uptime as i64);
        while runs < 500
            && list.next(uptime, wall, |_, value| {
                assert!(Json::parse(value.as_str()).is_ok());
            })
        {
            runs += 1;
        }
        uptime = list.due(uptime, wall).max(uptime + 1_000);
    }
    Verdict::Accepted
}

fn zone(bytes: &[u8]) -> Verdict {
    let Some(zone) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| Zone::parse(text).ok())
    else {
        return Verdict::Refused;
    };
    for week in 0..160_i64 {
        let utc = 1_700_000_000 + week * 604_800 + week * 3_607;
        let offset = i64::from(zone.offset_at(utc));
        // POSIX allows 24 hours and a summer time of one more.
        assert!(offset.abs() <= 26 * 3_600, "{offset}");
        let back = zone.to_utc(utc + offset);
        assert!(
            (back - utc).abs() <= 52 * 3_600,
            "{utc} came back as {back}"
        );
    }
    Verdict::Accepted
}

fn profile(bytes: &[u8]) -> Verdict {
    let Some(profile) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| Profile::from_json(text).ok())
    else {
        return Verdict::Refused;
    };
    assert_eq!(profile.check(), Ok(()));
    for (n, pin) in profile.pins.iter().enumerate() {
        assert!(
            profile.pins[..n].iter().all(|other| other.gpio != pin.gpio),
            "a pin has one role"
        );
    }
    Verdict::Accepted
}

/// Decodes an input at once and in pieces: the rows must be the same.
fn picture(bytes: &[u8]) -> Verdict {
    let decode = |piece: usize| {
        let (mut decoder, mut rows) = (Decoder::default(), Vec::new());
        let mut done = Ok(());
        for part in bytes.chunks(piece) {
            done = decoder.push(part, |place, row| rows.push((place, row.to_vec())));
            if done.is_err() {
                break;
            }
        }
        (done, decoder.is_complete(), rows)
    };
    let whole = decode(bytes.len().max(1));
    assert_eq!(whole, decode(7));
    if whole.0.is_ok() && !whole.2.is_empty() {
        Verdict::Accepted
    } else {
        Verdict::Refused
    }
}
