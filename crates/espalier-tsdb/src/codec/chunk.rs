//! The blob of a sealed chunk: the samples of one series, in order of time, without gaps in meaning.
//!
//! ```text
//! chunk    = version:u8 (1)  kinds:u8  count:varint  times(integers)  [kind per sample (integers)]  section*  crc:u32le
//! kinds    = bit set of the kinds that occur: 1 number, 2 bool, 4 text, 8 json
//! section  = the values of one kind, in the order of the bits: numbers, integers 0/1, texts, texts
//! ```
//! The kind of every sample (0 number, 1 bool, 2 text, 3 json) is written only when more than one kind occurs. The CRC-32
//! covers everything before it, so damage on disk is found before it is believed.

use crate::types::{Sample, Value};

use super::bytes::{Reader, put_varint};
use super::{Damaged, ints, numbers, texts};

const VERSION: u8 = 1;
const KINDS: usize = 4;

/// More samples than a chunk is ever given (65,536), with room for older settings; a larger count is damage.
const MAX_SAMPLES: usize = 1 << 20;

fn kind_of(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::Bool(_) => 1,
        Value::Text(_) => 2,
        Value::Json(_) => 3,
    }
}

/// Encodes samples that are sorted by time.
pub(crate) fn encode(samples: &[Sample]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + samples.len() * 3);
    let kinds = samples
        .iter()
        .fold(0u8, |set, sample| set | 1 << kind_of(&sample.value));
    out.extend_from_slice(&[VERSION, kinds]);
    put_varint(&mut out, samples.len() as u64);
    ints::encode(
        &samples.iter().map(|sample| sample.ts).collect::<Vec<_>>(),
        &mut out,
    );
    if kinds.count_ones() > 1 {
        ints::encode(
            &samples
                .iter()
                .map(|sample| i64::from(kind_of(&sample.value)))
                .collect::<Vec<_>>(),
            &mut out,
        );
    }
    let mut numbers = Vec::with_capacity(samples.len());
    let (mut bools, mut strings, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for sample in samples {
        match &sample.value {
            Value::Number(number) => numbers.push(*number),
            Value::Bool(flag) => bools.push(i64::from(*flag)),
            Value::Text(text) => strings.push(&**text),
            Value::Json(text) => documents.push(&**text),
        }
    }
    if !numbers.is_empty() {
        numbers::encode(&numbers, &mut out);
    }
    if !bools.is_empty() {
        ints::encode(&bools, &mut out);
    }
    for texts in [strings, documents] {
        if !texts.is_empty() {
            texts::encode(&texts, &mut out);
        }
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// The samples of a chunk.
pub(crate) fn decode(blob: &[u8]) -> Result<Vec<Sample>, Damaged> {
    let (body, crc) = blob
        .split_last_chunk::<4>()
        .ok_or(Damaged("chunk too short"))?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err(Damaged("chunk checksum does not match"));
    }
    let mut reader = Reader::new(body);
    if reader.u8()? != VERSION {
        return Err(Damaged("unknown chunk version"));
    }
    let kinds = reader.u8()?;
    let count = reader.count(MAX_SAMPLES)?;
    let times = ints::decode(&mut reader, count)?;
    let samples = if kinds.count_ones() > 1 {
        let kind_per_sample = ints::decode(&mut reader, count)?;
        decode_mixed(&mut reader, kinds, &times, &kind_per_sample)?
    } else {
        let values = decode_section(&mut reader, kinds.trailing_zeros() as usize, count)?;
        times
            .into_iter()
            .zip(values)
            .map(|(ts, value)| Sample { ts, value })
            .collect()
    };
    if reader.is_empty() {
        Ok(samples)
    } else {
        Err(Damaged("chunk has bytes left over"))
    }
}

fn decode_mixed(
    reader: &mut Reader<'_>,
    kinds: u8,
    times: &[i64],
    kind_per_sample: &[i64],
) -> Result<Vec<Sample>, Damaged> {
    let mut sections: [std::vec::IntoIter<Value>; KINDS] = Default::default();
    for (kind, section) in sections
        .iter_mut()
        .enumerate()
        .filter(|(kind, _)| kinds & 1 << kind != 0)
    {
        let count = kind_per_sample
            .iter()
            .filter(|k| **k == kind as i64)
            .count();
        *section = decode_section(reader, kind, count)?.into_iter();
    }
    let next = |(ts, kind): (&i64, &i64)| {
        let section = usize::try_from(*kind)
            .ok()
            .and_then(|kind| sections.get_mut(kind))
            .ok_or(Damaged("unknown kind"))?;
        let value = section.next().ok_or(Damaged("value missing"))?;
        Ok(Sample { ts: *ts, value })
    };
    times.iter().zip(kind_per_sample).map(next).collect()
}

fn decode_section(
    reader: &mut Reader<'_>,
    kind: usize,
    count: usize,
) -> Result<Vec<Value>, Damaged> {
    let flag = |integer| match integer {
        0 => Ok(Value::Bool(false)),
        1 => Ok(Value::Bool(true)),
        _ => Err(Damaged("truth value out of range")),
    };
    match kind {
        0 => Ok(numbers::decode(reader, count)?
            .into_iter()
            .map(Value::Number)
            .collect()),
        1 => ints::decode(reader, count)?.into_iter().map(flag).collect(),
        2 => Ok(texts::decode(reader, count)?
            .into_iter()
            .map(Value::Text)
            .collect()),
        3 => Ok(texts::decode(reader, count)?
            .into_iter()
            .map(Value::Json)
            .collect()),
        _ => Err(Damaged("unknown kind")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i32>().prop_map(|i| Value::Number(f64::from(i) / 100.0)),
            any::<f64>()
                .prop_filter("finite", |v| v.is_finite())
                .prop_map(Value::Number),
            any::<bool>().prop_map(Value::Bool),
            "[a-c]{0,3}".prop_map(|t| Value::Text(t.into())),
            "[a-c]{0,3}".prop_map(|t| Value::Json(format!("[{t:?}]").into())),
        ]
    }

    proptest! {
        #[test]
        fn any_samples_survive(samples in prop::collection::vec((any::<i64>(), any_value()), 1..300)) {
            let samples: Vec<Sample> = samples.into_iter().map(|(ts, value)| Sample { ts, value }).collect();
            prop_assert_eq!(decode(&encode(&samples)), Ok(samples));
        }

        #[test]
        fn a_changed_or_cut_chunk_is_refused(samples in prop::collection::vec((any::<i32>(), any_value()), 1..50), at in any::<usize>(), bit in 0u8..8) {
            let samples: Vec<Sample> = samples.into_iter().map(|(ts, value)| Sample { ts: ts.into(), value }).collect();
            let blob = encode(&samples);
            let at = at % blob.len();
            prop_assert!(decode(&blob[..at]).is_err());
            let mut changed = blob;
            changed[at] ^= 1u8 << bit;
            prop_assert!(decode(&changed).is_err());
        }

        #[test]
        fn hostile_bytes_with_a_right_checksum_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), honest in any::<bool>()) {
            if honest && let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            let crc = crc32fast::hash(&bytes);
            bytes.extend_from_slice(&crc.to_le_bytes());
            let _ = decode(&bytes);
        }
    }
}
