//! Journal records: what one commit did, in the order it did it.
//!
//! ```text
//! record = version:u8 (1)  entry*  crc:u32le
//! entry  = 1 series:varint count:varint (ts:signed value)*     points of one series; ts is the difference to the ts
//!                                                              before it in the record (from 0)
//!        | 2 series:varint from:signed to:signed               points with from <= ts < to are gone
//!        | 3 series:varint                                     the series is gone
//! value  = 0 f64le | 1 (false) | 2 (true) | 3 len:varint text | 4 len:varint json
//! ```
//! Replaying records in order gives the same head whatever prefix of it was sealed before, because entries only set and
//! remove. One row per commit instead of one per point is what makes appends cheap.

use crate::codec::Damaged;
use crate::codec::bytes::{Reader, put_varint, zigzag};
use crate::types::{Sample, Value};

const VERSION: u8 = 1;
const POINTS: u8 = 1;
const DELETE: u8 = 2;
const DROP: u8 = 3;

/// Builds one record.
#[derive(Debug)]
pub(crate) struct RecordWriter {
    bytes: Vec<u8>,
    last_ts: i64,
}

impl RecordWriter {
    pub(crate) fn with_capacity(points: usize) -> Self {
        let mut bytes = Vec::with_capacity(16 + points * 16);
        bytes.push(VERSION);
        Self { bytes, last_ts: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == 1
    }

    /// Adds points of one series.
    pub(crate) fn points<'a>(
        &mut self,
        series: i64,
        points: impl ExactSizeIterator<Item = (i64, &'a Value)>,
    ) {
        self.bytes.push(POINTS);
        put_varint(&mut self.bytes, series as u64);
        put_varint(&mut self.bytes, points.len() as u64);
        for (ts, value) in points {
            put_varint(&mut self.bytes, zigzag(ts.wrapping_sub(self.last_ts)));
            self.last_ts = ts;
            put_value(&mut self.bytes, value);
        }
    }

    /// Adds the removal of a range.
    pub(crate) fn delete(&mut self, series: i64, from: i64, to: i64) {
        self.bytes.push(DELETE);
        put_varint(&mut self.bytes, series as u64);
        put_varint(&mut self.bytes, zigzag(from));
        put_varint(&mut self.bytes, zigzag(to));
    }

    /// Adds the removal of a series.
    pub(crate) fn drop_series(&mut self, series: i64) {
        self.bytes.push(DROP);
        put_varint(&mut self.bytes, series as u64);
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        let crc = crc32fast::hash(&self.bytes);
        self.bytes.extend_from_slice(&crc.to_le_bytes());
        self.bytes
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    let mut text = |tag, text: &str| {
        out.push(tag);
        put_varint(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    };
    match value {
        Value::Text(value) => text(3, value),
        Value::Json(value) => text(4, value),
        Value::Bool(flag) => out.push(1 + u8::from(*flag)),
        Value::Number(number) => {
            out.push(0);
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// One entry of a record.
#[derive(Debug, PartialEq)]
pub(crate) enum Entry {
    Points { series: i64, samples: Vec<Sample> },
    Delete { series: i64, from: i64, to: i64 },
    Drop { series: i64 },
}

/// Reads a record and hands its entries over in order.
pub(crate) fn replay(record: &[u8], mut each: impl FnMut(Entry)) -> Result<(), Damaged> {
    let (body, crc) = record
        .split_last_chunk::<4>()
        .ok_or(Damaged("record too short"))?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err(Damaged("record checksum does not match"));
    }
    let mut reader = Reader::new(body);
    if reader.u8()? != VERSION {
        return Err(Damaged("unknown record version"));
    }
    let mut ts = 0i64;
    while !reader.is_empty() {
        let tag = reader.u8()?;
        let series = i64::try_from(reader.varint()?).map_err(|_| Damaged("impossible series"))?;
        each(match tag {
            POINTS => {
                let count = reader.count(reader.rest().len())?;
                let mut samples = Vec::with_capacity(count);
                for _ in 0..count {
                    ts = ts.wrapping_add(reader.signed()?);
                    samples.push(Sample {
                        ts,
                        value: get_value(&mut reader)?,
                    });
                }
                Entry::Points { series, samples }
            }
            DELETE => Entry::Delete {
                series,
                from: reader.signed()?,
                to: reader.signed()?,
            },
            DROP => Entry::Drop { series },
            _ => return Err(Damaged("unknown entry")),
        });
    }
    Ok(())
}

fn get_value(reader: &mut Reader<'_>) -> Result<Value, Damaged> {
    let tag = reader.u8()?;
    match tag {
        0 => Ok(Value::Number(reader.f64()?)),
        1 | 2 => Ok(Value::Bool(tag == 2)),
        3 | 4 => {
            let len = reader.count(reader.rest().len())?;
            let text =
                std::str::from_utf8(reader.take(len)?).map_err(|_| Damaged("text is not UTF-8"))?;
            Ok(if tag == 3 {
                Value::Text(text.into())
            } else {
                Value::Json(text.into())
            })
        }
        _ => Err(Damaged("unknown value")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(record: &[u8]) -> Result<Vec<Entry>, Damaged> {
        let mut entries = Vec::new();
        replay(record, |entry| entries.push(entry)).map(|()| entries)
    }

    #[test]
    fn entries_come_back_in_order() {
        let values = [
            Value::Number(-0.5),
            Value::Bool(true),
            Value::Bool(false),
            "ß".into(),
            Value::Json("[1]".into()),
        ];
        let samples: Vec<Sample> = values
            .into_iter()
            .zip([i64::MIN, 0, i64::MAX, -1, 7])
            .map(|(value, ts)| Sample { ts, value })
            .collect();
        let mut writer = RecordWriter::with_capacity(5);
        assert!(writer.is_empty());
        writer.points(9, samples.iter().map(|s| (s.ts, &s.value)));
        writer.delete(9, i64::MIN, i64::MAX);
        writer.drop_series(i64::MAX);
        let record = writer.finish();
        let expected = vec![
            Entry::Points { series: 9, samples },
            Entry::Delete {
                series: 9,
                from: i64::MIN,
                to: i64::MAX,
            },
            Entry::Drop { series: i64::MAX },
        ];
        assert_eq!(entries(&record), Ok(expected));
        for len in 0..record.len() {
            assert!(entries(&record[..len]).is_err());
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_with_a_right_checksum_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut record = vec![VERSION];
            record.extend(bytes);
            let crc = crc32fast::hash(&record);
            record.extend_from_slice(&crc.to_le_bytes());
            let _ = entries(&record);
        }
    }
}
