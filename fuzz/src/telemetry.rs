//! What boards post and people import, as the server reads it: the telemetry body, the device frame, and the CSV file.

use espalier_server::telemetry::{
    MAX_IMPORT_POINTS, MAX_KEYS_PER_DEVICE, Readings, parse_post, parse_wire, read_file,
    write_csv_line,
};
use espalier_tsdb::Value;
use espalier_wire::device::Up;
use espalier_wire::limits::{
    MAX_EXACT_INTEGER, MAX_FUTURE_MS, MAX_KEYS_PER_SAMPLE, MAX_OBJECT_VALUE_BYTES,
    MAX_POINTS_PER_BATCH, MAX_TEXT_VALUE_BYTES, MIN_TIMESTAMP_MS, check_key,
};

use crate::wire::WORDS;
use crate::{Target, Verdict, texts};

pub const BODY: Target = Target {
    name: "telemetry_body",
    run: body,
    seeds: || {
        texts(&[
            r#"{"device_token":"secret","data":{"t":21.5,"relay1":true,"name":"a\n\u00e4","pos":{"x":[1,null]}},"ts":1700000000000}"#,
            r#"{"samples":[{"ts":1.7e12,"data":{"t":-0.0}},{"data":{"t":9007199254740992,"u":1e-300}}],"x":[{}]}"#,
            r#"{"data":{},"reported":{"relay1":{"value":true,"version":4}},"samples":null}"#,
            r#"{"type":"telemetry","id":7,"data":{"temperature":21.5,"relay1":true,"name":"a"}}"#,
            r#"{"type":"telemetry","id":9,"samples":[{"ts":1700000000000,"data":{"t":1}},{"ts":1700000001000,"data":{"t":2}}]}"#,
        ])
    },
    words: WORDS,
};

pub const IMPORT: Target = Target {
    name: "telemetry_import",
    run: import,
    seeds: || {
        texts(&[
            "timestamp,temperature,humidity\n2026-03-01T10:00:00Z,1.5,\n2026-03-01T12:00:00+01:00,2.5,40\n1772366400,true,\"a \"\"b\"\", c\"\n",
            "timestamp,device_id,key,value\r\n2026-03-01T12:00:00.000Z,65f0c0ffee65f0c0ffee65f0,t,-0.1\r\n2026-03-01T12:00:00.001Z,65f0c0ffee65f0c0ffee65f0,'- key,'=1+1\r\n",
            "\u{feff}Time,key,value\n1772366400000,o,\"{\"\"a\"\":[1,null]}\"\n1772366400000.4,d,'007\n",
        ])
    },
    words: &[
        b",",
        b"\"",
        b"\"\"",
        b"\r\n",
        b"'",
        b" ",
        b"\t",
        b"'=1",
        b"true",
        b"1e308",
        b"{\"a\":1}",
        b"[1]",
        b"1772366400",
        b"2026-03-01",
        b"timestamp",
        b"device_id",
        b"key",
        b"value",
        b"\xef\xbb\xbf",
    ],
};

/// The device that files are imported to.
const DEVICE: &str = "65f0c0ffee65f0c0ffee65f0";

/// 2026-03-01T12:00:00Z.
const NOW: i64 = 1_772_366_400_000;

/// Readings as plain data: per sample its time, keys and values.
type Samples = Vec<(Option<i64>, Vec<(String, Value)>)>;

fn samples(readings: &Readings<'_>) -> Samples {
    let samples = readings.samples();
    samples
        .map(|(ts, values)| {
            let values = values
                .iter()
                .map(|(key, value)| (key.to_string(), value.clone()));
            (ts, values.collect())
        })
        .collect()
}

/// Reads an input as a frame of the device socket when it is one, otherwise as a body.
fn body(bytes: &[u8]) -> Verdict {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(Up::Telemetry { telemetry, .. }) = Up::parse(text)
    {
        let Ok(readings) = parse_wire(telemetry) else {
            return Verdict::Refused;
        };
        let mut samples = samples(&readings);
        // A frame's time may be any integer, a body's must be exact; no time that is believable is as large.
        for (ts, _) in &mut samples {
            *ts = ts.filter(|ts| ts.unsigned_abs() <= MAX_EXACT_INTEGER.unsigned_abs());
        }
        checked(&samples);
        return Verdict::Accepted;
    }
    let Ok(post) = parse_post(bytes) else {
        return Verdict::Refused;
    };
    // Numbers beyond f64 in fields that nobody reads are well-formed text, which serde_json's Value cannot hold.
    let other = serde_json::from_slice::<serde_json::Value>(bytes);
    let too_big = |error: &serde_json::Error| error.to_string().starts_with("number out of range");
    assert!(
        other.as_ref().map_or_else(too_big, |_| true),
        "only ours accepts it: {other:?}"
    );
    checked(&samples(&post.readings));
    Verdict::Accepted
}

/// What was accepted keeps the limits, and written again it reads as the same.
fn checked(samples: &Samples) {
    let points: usize = samples.iter().map(|(_, values)| values.len()).sum();
    assert!(points <= MAX_POINTS_PER_BATCH);
    for (_, values) in samples {
        assert!(values.len() <= MAX_KEYS_PER_SAMPLE);
        for (key, value) in values {
            sound(key, value);
        }
    }
    let written = written(samples);
    let again = parse_post(written.as_bytes())
        .unwrap_or_else(|refusal| panic!("refuses its own {written}: {refusal:?}"));
    assert_eq!(self::samples(&again.readings), *samples, "{written}");
}

fn sound(key: &str, value: &Value) {
    assert!(check_key(key).is_ok() && !key.starts_with('_'), "{key:?}");
    match value {
        Value::Number(number) => assert!(number.is_finite()),
        Value::Bool(_) => {}
        Value::Text(text) => assert!(text.len() <= MAX_TEXT_VALUE_BYTES && !text.contains('\0')),
        Value::Json(text) => {
            assert!(text.len() <= MAX_OBJECT_VALUE_BYTES, "{} bytes", text.len());
            let value: serde_json::Value = serde_json::from_str(text)
                .unwrap_or_else(|error| panic!("keeps what is no JSON: {text}: {error}"));
            assert_eq!(value.to_string(), **text, "it is canonical");
        }
    }
}

/// Samples as a body. Keys may stand twice in one object here, so that it is written by hand.
fn written(samples: &Samples) -> String {
    let sample = |(ts, values): &(Option<i64>, Vec<(String, Value)>)| {
        let values = values.iter().map(|(key, value)| {
            let value = match value {
                Value::Number(number) => serde_json::Value::from(*number).to_string(),
                Value::Bool(flag) => flag.to_string(),
                Value::Text(text) => serde_json::Value::from(&**text).to_string(),
                Value::Json(text) => text.to_string(),
            };
            format!("{}:{value}", serde_json::Value::from(key.as_str()))
        });
        let ts = ts.map_or("null".to_owned(), |ts| ts.to_string());
        let values: Vec<String> = values.collect();
        format!("{{\"ts\":{ts},\"data\":{{{}}}}}", values.join(","))
    };
    let samples: Vec<String> = samples.iter().map(sample).collect();
    format!("{{\"samples\":[{}]}}", samples.join(","))
}

/// Reads a file; what was accepted keeps the limits, and exported again it imports as the same.
fn import(bytes: &[u8]) -> Verdict {
    let Some((points, keys)) = read(bytes) else {
        return Verdict::Refused;
    };
    assert!(points.len() <= MAX_IMPORT_POINTS && keys <= MAX_KEYS_PER_DEVICE);
    let mut written = b"timestamp,device_id,key,value\r\n".to_vec();
    for (key, ts, value) in &points {
        assert!((MIN_TIMESTAMP_MS..=NOW + MAX_FUTURE_MS).contains(ts));
        sound(key, value);
        write_csv_line(&mut written, DEVICE, key, *ts, value);
    }
    let text = String::from_utf8_lossy(&written);
    let (again, _) = read(&written).unwrap_or_else(|| panic!("refuses its own {text}"));
    assert_eq!(again, points, "{text}");
    Verdict::Accepted
}

type Points = Vec<(String, i64, Value)>;

fn read(bytes: &[u8]) -> Option<(Points, usize)> {
    let mut points = Vec::new();
    let keys = read_file(bytes, DEVICE, NOW, &mut |key, ts, value| {
        points.push((key.to_string(), ts, value));
    });
    Some((points, keys.ok()?.len()))
}
