//! What the telemetry engine reads back from a disk that may lie. Inputs are the bytes before the checksum, which is put right
//! first: otherwise it would refuse all of them, and the decoder behind it would never run.

use espalier_tsdb::formats::{decode_chunk, encode_chunk, encode_record, entries_in_record};
use espalier_tsdb::{Sample, Value};

use crate::{Target, Verdict};

const WORDS: &[&[u8]] = &[
    b"\x01",
    b"\x0f",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x80\x40",
];

pub const CHUNK: Target = Target {
    name: "tsdb_chunk",
    run: chunk,
    seeds: || {
        samples()
            .iter()
            .map(|samples| without_checksum(encode_chunk(samples)))
            .collect()
    },
    words: WORDS,
};

pub const RECORD: Target = Target {
    name: "tsdb_record",
    run: record,
    seeds: || {
        samples()
            .iter()
            .map(|samples| without_checksum(encode_record(7, samples)))
            .collect()
    },
    words: WORDS,
};

/// Series as boards make them, and one with every kind of value.
fn samples() -> Vec<Vec<Sample>> {
    let series = |count: i64, value: fn(i64) -> Value| -> Vec<Sample> {
        (0..count)
            .map(|n| Sample {
                ts: 1_700_000_000_000 + n * 1_000,
                value: value(n),
            })
            .collect()
    };
    vec![
        series(1, |_| Value::Number(21.5)),
        series(40, |n| Value::Number(20.0 + (n % 7) as f64 / 10.0)),
        series(9, |n| Value::Bool(n % 2 == 0)),
        series(5, |n| Value::Text(format!("state {n}").into())),
        series(12, |n| match n % 4 {
            0 => Value::Number(f64::MAX),
            1 => Value::Bool(true),
            2 => Value::Text("é".into()),
            _ => Value::Json("{\"x\":1}".into()),
        }),
    ]
}

fn without_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len().saturating_sub(4));
    bytes
}

fn with_checksum(body: &[u8]) -> Vec<u8> {
    [body, &crc32fast::hash(body).to_le_bytes()].concat()
}

fn chunk(body: &[u8]) -> Verdict {
    let Some(samples) = decode_chunk(&with_checksum(body)) else {
        return Verdict::Refused;
    };
    // A damaged text may still decode; what it decodes to must be sound. NaN has no equal, so that bytes are compared.
    let written = encode_chunk(&samples);
    let again = decode_chunk(&written).unwrap_or_else(|| panic!("its own chunk is damaged"));
    assert_eq!(again.len(), samples.len());
    assert_eq!(encode_chunk(&again), written);
    Verdict::Accepted
}

fn record(body: &[u8]) -> Verdict {
    match entries_in_record(&with_checksum(body)) {
        Some(_) => Verdict::Accepted,
        None => Verdict::Refused,
    }
}
