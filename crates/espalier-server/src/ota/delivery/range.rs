//! Which bytes a request wants: `Range` and `If-Range` (RFC 9110), one range at a time. Pure.

use axum::http::{HeaderMap, header};
use std::ops::Range;

/// What is wanted of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that it does not have.
    Nothing,
}

/// Reads the range that a request names. What is no single range of bytes is ignored, as the standard demands; so is a range of another
/// version of the blob.
pub fn wanted(headers: &HeaderMap, etag: &str, size: u64) -> Wanted {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = text(header::RANGE) else {
        return Wanted::Whole;
    };
    if text(header::IF_RANGE).is_some_and(|version| version.trim() != etag) {
        return Wanted::Whole;
    }
    parse(range, size).unwrap_or(Wanted::Whole)
}

fn parse(text: &str, size: u64) -> Option<Wanted> {
    let (first, last) = text.trim().strip_prefix("bytes=")?.trim().split_once('-')?;
    if first.is_empty() {
        let count: u64 = number(last)?;
        return Some(match count.min(size) {
            0 => Wanted::Nothing,
            count => Wanted::Part(size - count..size),
        });
    }
    let first: u64 = number(first)?;
    let end = match last {
        "" => size,
        last => number(last)?.checked_add(1)?.min(size),
    };
    let backwards = last != "" && number(last)? < first;
    if backwards {
        return None;
    }
    Some(if first >= size {
        Wanted::Nothing
    } else {
        Wanted::Part(first..end)
    })
}

/// Digits only: `parse` would take a sign.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(range: &str, if_range: Option<&str>) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        if let Some(version) = if_range {
            headers.insert(header::IF_RANGE, version.parse().unwrap());
        }
        wanted(&headers, "\"abc\"", 100)
    }

    #[test]
    fn every_form_of_a_range_is_read() {
        for (text, expected) in [
            ("bytes=0-", Wanted::Part(0..100)),
            ("bytes=10-19", Wanted::Part(10..20)),
            ("bytes=90-999", Wanted::Part(90..100)),
            ("bytes=-5", Wanted::Part(95..100)),
            ("bytes=-500", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
        ] {
            assert_eq!(of(text, None), expected, "{text}");
        }
        assert_eq!(of("bytes=1-2", Some("\"abc\"")), Wanted::Part(1..3));
        assert_eq!(of("bytes=1-2", Some("\"other\"")), Wanted::Whole);
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_blob(text in "(bytes=)?[0-9, -]{0,24}", size in 0u64..1000) {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, text.parse().unwrap());
            if let Wanted::Part(part) = wanted(&headers, "", size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }
    }
}
