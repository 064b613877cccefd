//! The small text formats of manifests, key sets and key files: lines `name:value`, hexadecimal and base64 in one spelling each.

use crate::bytes::printable;
use core::fmt;

/// Why a text is none of the formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatError {
    /// The text is longer than the format allows.
    TooLong {
        /// Most bytes.
        most: usize,
    },
    /// A line is missing or not the one that belongs there.
    Line {
        /// The line, counted from 1.
        line: u16,
        /// How it should begin.
        wanted: &'static str,
    },
    /// A line has the right name, but its value is not spelled as the format wants it.
    Value {
        /// The line, counted from 1.
        line: u16,
        /// The name.
        name: &'static str,
    },
    /// A line or key is there twice.
    Twice {
        /// The line, counted from 1.
        line: u16,
    },
    /// There are more lines of one kind than the format allows.
    TooMany {
        /// The line, counted from 1.
        line: u16,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooLong { most } => {
                write!(f, "it is longer than {most} bytes, which is the most")
            }
            Self::Line { line, wanted } => write!(
                f,
                "line {line} is missing or another one than `{wanted}…`, which belongs there"
            ),
            Self::Value { line, name } => write!(f, "line {line} has no valid value for `{name}`"),
            Self::Twice { line } => write!(f, "line {line} repeats an earlier one"),
            Self::TooMany { line } => write!(f, "line {line} is one of its kind too many"),
        }
    }
}

impl core::error::Error for FormatError {}

/// Reads a text line by line; every line, also the last, ends with a line feed and nothing else.
pub(crate) struct Lines<'a> {
    rest: &'a str,
    /// The line read last, counted from 1.
    pub(crate) line: u16,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(text: &'a str, most: usize) -> Result<Self, FormatError> {
        if text.len() > most {
            return Err(FormatError::TooLong { most });
        }
        Ok(Self {
            rest: text,
            line: 0,
        })
    }

    /// Whether everything was read.
    pub(crate) fn done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes that were not read yet.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Whether the next line begins so.
    pub(crate) fn next_is(&self, prefix: &str) -> bool {
        self.rest.starts_with(prefix)
    }

    /// The next line after a prefix that it must have.
    pub(crate) fn after(&mut self, prefix: &'static str) -> Result<&'a str, FormatError> {
        self.line = self.line.saturating_add(1);
        let missing = FormatError::Line {
            line: self.line,
            wanted: prefix,
        };
        let (line, rest) = self.rest.split_once('\n').ok_or(missing)?;
        let value = line.strip_prefix(prefix).ok_or(missing)?;
        self.rest = rest;
        Ok(value)
    }

    /// The first line, which must be exactly this.
    pub(crate) fn header(&mut self, header: &'static str) -> Result<(), FormatError> {
        let rest = self.after(header)?;
        let wrong = FormatError::Line {
            line: self.line,
            wanted: header,
        };
        rest.is_empty().then_some(()).ok_or(wrong)
    }

    /// A complaint about the value of the line read last.
    pub(crate) fn value<T>(&self, name: &'static str, value: Option<T>) -> Result<T, FormatError> {
        let line = self.line;
        value.ok_or(FormatError::Value { line, name })
    }
}

/// A number in its only spelling.
pub(crate) fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| plain && canonical)
}

/// A text for people: printable ASCII, at most `most` bytes.
pub(crate) fn words(text: &str, most: usize) -> Option<&str> {
    printable(text.as_bytes()).filter(|text| text.len() <= most)
}

/// Lower-case hexadecimal digits of exactly `N` bytes.
pub(crate) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut out = [0; N];
    for (byte, &[high, low]) in out.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(out)
}

/// Shows bytes as lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The standard base64 of exactly `N` bytes, padded, in its only spelling.
pub(crate) fn base64<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (groups, rest) = text.as_bytes().as_chunks::<4>();
    if !rest.is_empty() || groups.len() != N.div_ceil(3) {
        return None;
    }
    let mut out = [0; N];
    for (place, group) in out.chunks_mut(3).zip(groups) {
        let digits = place.len() + 1;
        let mut bits: u32 = 0;
        for (n, byte) in group.iter().enumerate() {
            let digit = if n < digits {
                ALPHABET.iter().position(|letter| letter == byte)?
            } else if *byte == b'=' {
                0
            } else {
                return None;
            };
            bits = bits << 6 | u32::try_from(digit).ok()?;
        }
        let [_, bytes @ ..] = bits.to_be_bytes();
        let (kept, spare) = bytes.split_at_checked(place.len())?;
        if spare.iter().any(|&byte| byte != 0) {
            return None;
        }
        place.copy_from_slice(kept);
    }
    Some(out)
}

/// Shows bytes as padded base64.
pub(crate) struct Base64<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for chunk in self.0.chunks(3) {
            let mut bytes = [0; 4];
            for (to, from) in bytes.iter_mut().skip(1).zip(chunk) {
                *to = *from;
            }
            let bits = u32::from_be_bytes(bytes);
            for n in 0..4 {
                let digit = usize::try_from(bits >> (18 - 6 * n) & 63).unwrap_or(0);
                let letter = ALPHABET
                    .get(digit)
                    .map_or('=', |&letter| char::from(letter));
                f.write_char(if n <= chunk.len() { letter } else { '=' })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "encode")]
    use super::{Base64, Hex};
    use super::{base64, hex, number};

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("4294967295"), Some(u32::MAX));
        for wrong in ["", "00", "01", "+1", "-1", "1 ", "4294967296"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(base64::<4>("AAECAw=="), Some([0, 1, 2, 3]));
        assert_eq!(base64::<3>("AAEC"), Some([0, 1, 2]));
        for wrong in [
            "AAECAx==",
            "AAECAw=",
            "AAECAw",
            "AAECAw==\n",
            "AAEC====",
            "AAE=Aw==",
        ] {
            assert_eq!(base64::<4>(wrong), None, "{wrong}");
        }
        assert_eq!(hex::<2>("0aff"), Some([10, 255]));
        for wrong in ["0aFf", "0af", "0aff0", "0xff"] {
            assert_eq!(hex::<2>(wrong), None, "{wrong}");
        }
    }

    #[cfg(feature = "encode")]
    proptest::proptest! {
        #[test]
        fn what_is_shown_reads_back(bytes: [u8; 32], more: [u8; 64]) {
            assert_eq!(base64::<32>(&Base64(&bytes).to_string()), Some(bytes));
            assert_eq!(base64::<64>(&Base64(&more).to_string()), Some(more));
            assert_eq!(hex::<32>(&Hex(&bytes).to_string()), Some(bytes));
        }
    }
}
