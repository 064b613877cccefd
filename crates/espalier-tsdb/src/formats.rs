//! The stored formats as plain functions, for the fuzz targets. Not a way to read a database: that is [`crate::Tsdb`].

use crate::codec::chunk;
use crate::embedded::journal::{self, RecordWriter};
use crate::types::Sample;

/// Encodes samples that are sorted by time as a sealed chunk.
#[must_use]
pub fn encode_chunk(samples: &[Sample]) -> Vec<u8> {
    chunk::encode(samples)
}

/// Decodes a sealed chunk; nothing when it is damaged.
#[must_use]
pub fn decode_chunk(blob: &[u8]) -> Option<Vec<Sample>> {
    chunk::decode(blob).ok()
}

/// Encodes the points of one series as a journal record.
#[must_use]
pub fn encode_record(series: i64, samples: &[Sample]) -> Vec<u8> {
    let mut record = RecordWriter::with_capacity(samples.len());
    record.points(
        series,
        samples.iter().map(|sample| (sample.ts, &sample.value)),
    );
    record.finish()
}

/// Counts the entries of a journal record; nothing when it is damaged.
#[must_use]
pub fn entries_in_record(record: &[u8]) -> Option<usize> {
    let mut entries = 0;
    journal::replay(record, |_| entries += 1).ok()?;
    Some(entries)
}
