//! Sequences of strings: a table of the distinct ones and an index per string.
//!
//! ```text
//! texts = distinct:varint  coding:u8 (0 plain, 1 zstd)  table_len:varint [packed_len:varint]  table  indexes(integers)
//! table = (length:varint bytes)*     in order of first appearance
//! ```
//! States repeat ("heating", "idle"), so the table is short and the indexes take a bit or two. Positions and other JSON
//! are all distinct but alike, which is what zstd is for: it is used when it makes the table smaller.

use std::collections::HashMap;
use std::sync::Arc;

use super::Damaged;
use super::bytes::{Reader, put_varint};
use super::ints;

/// Below this, compression costs more than it can save.
const MIN_ZSTD: usize = 128;
/// Fast and within a few percent of the slow levels on tables of a few kilobytes.
const ZSTD_LEVEL: i32 = 3;
/// A table holds at most 65,536 strings of 64 KiB; anything above is damage, not data.
const MAX_TABLE: usize = 1 << 32;
/// zstd cannot shrink further than this in one block, so a larger claim is damage.
const MAX_RATIO: usize = 40_000;

/// Appends `texts`.
pub(crate) fn encode(texts: &[&str], out: &mut Vec<u8>) {
    let mut positions = HashMap::new();
    let mut table = Vec::new();
    let indexes: Vec<i64> = texts
        .iter()
        .map(|text| {
            let next = positions.len() as i64;
            *positions.entry(*text).or_insert_with(|| {
                put_varint(&mut table, text.len() as u64);
                table.extend_from_slice(text.as_bytes());
                next
            })
        })
        .collect();
    put_varint(out, positions.len() as u64);
    let packed = (table.len() >= MIN_ZSTD)
        .then(|| zstd::bulk::compress(&table, ZSTD_LEVEL).ok())
        .flatten()
        .filter(|packed| packed.len() + 4 < table.len());
    out.push(u8::from(packed.is_some()));
    put_varint(out, table.len() as u64);
    match packed {
        Some(packed) => {
            put_varint(out, packed.len() as u64);
            out.extend_from_slice(&packed);
        }
        None => out.extend_from_slice(&table),
    }
    ints::encode(&indexes, out);
}

/// Reads `count` strings; equal ones share their memory.
pub(crate) fn decode(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Arc<str>>, Damaged> {
    let distinct = reader.count(count)?;
    let coding = reader.u8()?;
    let table_len = reader.count(MAX_TABLE)?;
    let unpacked;
    let mut table = match coding {
        0 => Reader::new(reader.take(table_len)?),
        1 => {
            let packed_len = reader.count(MAX_TABLE)?;
            let packed = reader.take(packed_len)?;
            if table_len / MAX_RATIO > packed.len() {
                return Err(Damaged("impossible text size"));
            }
            unpacked = zstd::bulk::decompress(packed, table_len)
                .map_err(|_| Damaged("texts do not decompress"))?;
            Reader::new(&unpacked)
        }
        _ => return Err(Damaged("unknown text coding")),
    };
    let mut strings: Vec<Arc<str>> = Vec::with_capacity(distinct.min(table.rest().len()));
    for _ in 0..distinct {
        let len = table.count(table_len)?;
        let text =
            std::str::from_utf8(table.take(len)?).map_err(|_| Damaged("text is not UTF-8"))?;
        strings.push(text.into());
    }
    let string = |index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| strings.get(index))
            .cloned()
    };
    ints::decode(reader, count)?
        .into_iter()
        .map(|i| string(i).ok_or(Damaged("text index out of range")))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(texts: &[&str]) -> usize {
        let mut bytes = Vec::new();
        encode(texts, &mut bytes);
        let mut reader = Reader::new(&bytes);
        let decoded = decode(&mut reader, texts.len()).unwrap();
        assert!(reader.is_empty());
        assert!(decoded.iter().map(|t| &**t).eq(texts.iter().copied()));
        bytes.len()
    }

    #[test]
    fn states_are_small_and_similar_documents_compress() {
        round_trip(&[]);
        round_trip(&["", "ß", ""]);
        let states: Vec<&str> = (0..1000)
            .map(|i| if i / 50 % 2 == 0 { "heating" } else { "idle" })
            .collect();
        assert!(round_trip(&states) < 160);
        let documents: Vec<String> = (0..500)
            .map(|i| format!(r#"{{"lat":48.{:05},"lon":11.{:05}}}"#, 13000 + i, 57000 - i))
            .collect();
        let plain: usize = documents.iter().map(String::len).sum();
        assert!(round_trip(&documents.iter().map(|d| &**d).collect::<Vec<_>>()) < plain / 3);
    }

    proptest! {
        #[test]
        fn any_strings_survive(texts in prop::collection::vec(".{0,12}", 0..200)) {
            round_trip(&texts.iter().map(|t| &**t).collect::<Vec<_>>());
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), count in 0usize..2000) {
            let _ = decode(&mut Reader::new(&bytes), count);
        }
    }
}
