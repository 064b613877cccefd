//! The checking scanner: positions in, positions out. It decides what is JSON; it builds nothing.

use core::fmt;

/// Where and why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset of the fault.
    pub at: usize,
    /// What is wrong there.
    pub fault: JsonFault,
}

/// What can be wrong with a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonFault {
    /// The text ends inside a value.
    UnexpectedEnd,
    /// A value was expected.
    ExpectedValue,
    /// A quoted member name was expected.
    ExpectedName,
    /// A `:` was expected after a member name.
    ExpectedColon,
    /// A `,` or the closing bracket was expected.
    ExpectedComma,
    /// A number is not written as JSON wants it.
    BadNumber,
    /// An escape is unknown, or half of a surrogate pair stands alone.
    BadEscape,
    /// A control character stands in a string.
    ControlCharacter,
    /// The value nests too deep.
    TooDeep,
    /// More text follows the value.
    TrailingText,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            JsonFault::UnexpectedEnd => "the text ends inside a value",
            JsonFault::ExpectedValue => "a value is missing",
            JsonFault::ExpectedName => "a quoted member name is missing",
            JsonFault::ExpectedColon => "a colon is missing",
            JsonFault::ExpectedComma => "a comma or a closing bracket is missing",
            JsonFault::BadNumber => "a number is malformed",
            JsonFault::BadEscape => "a string holds an invalid escape",
            JsonFault::ControlCharacter => "a string holds a control character",
            JsonFault::TooDeep => "the value nests too deep",
            JsonFault::TrailingText => "text follows the value",
        };
        write!(f, "not valid JSON at byte {}: {what}", self.at)
    }
}

impl core::error::Error for JsonError {}

type Scan = Result<usize, JsonError>;

const fn fail(at: usize, fault: JsonFault) -> Scan {
    Err(JsonError { at, fault })
}

fn byte(text: &str, at: usize) -> Option<u8> {
    text.as_bytes().get(at).copied()
}

/// Returns the first position at or after `at` that is not white space.
pub(super) fn skip_space(text: &str, mut at: usize) -> usize {
    while matches!(byte(text, at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Returns the end of the value that starts at `at`; `depth` is how many levels it may open.
pub(super) fn skip_value(text: &str, at: usize, depth: usize) -> Scan {
    match byte(text, at) {
        None => fail(at, JsonFault::UnexpectedEnd),
        Some(b'{') => skip_object(text, at, depth),
        Some(b'[') => skip_array(text, at, depth),
        Some(b'"') => skip_string(text, at),
        Some(b't') => skip_word(text, at, "true"),
        Some(b'f') => skip_word(text, at, "false"),
        Some(b'n') => skip_word(text, at, "null"),
        Some(b'-' | b'0'..=b'9') => skip_number(text, at),
        Some(_) => fail(at, JsonFault::ExpectedValue),
    }
}

fn skip_object(text: &str, at: usize, depth: usize) -> Scan {
    let Some(inner) = depth.checked_sub(1) else {
        return fail(at, JsonFault::TooDeep);
    };
    let mut at = skip_space(text, at + 1);
    if byte(text, at) == Some(b'}') {
        return Ok(at + 1);
    }
    loop {
        match byte(text, at) {
            Some(b'"') => at = skip_space(text, skip_string(text, at)?),
            None => return fail(at, JsonFault::UnexpectedEnd),
            Some(_) => return fail(at, JsonFault::ExpectedName),
        }
        match byte(text, at) {
            Some(b':') => at = skip_space(text, at + 1),
            None => return fail(at, JsonFault::UnexpectedEnd),
            Some(_) => return fail(at, JsonFault::ExpectedColon),
        }
        at = skip_space(text, skip_value(text, at, inner)?);
        match byte(text, at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(b'}') => return Ok(at + 1),
            None => return fail(at, JsonFault::UnexpectedEnd),
            Some(_) => return fail(at, JsonFault::ExpectedComma),
        }
    }
}

fn skip_array(text: &str, at: usize, depth: usize) -> Scan {
    let Some(inner) = depth.checked_sub(1) else {
        return fail(at, JsonFault::TooDeep);
    };
    let mut at = skip_space(text, at + 1);
    if byte(text, at) == Some(b']') {
        return Ok(at + 1);
    }
    loop {
        at = skip_space(text, skip_value(text, at, inner)?);
        match byte(text, at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(b']') => return Ok(at + 1),
            None => return fail(at, JsonFault::UnexpectedEnd),
            Some(_) => return fail(at, JsonFault::ExpectedComma),
        }
    }
}

fn skip_word(text: &str, at: usize, word: &str) -> Scan {
    if text.as_bytes()[at..].starts_with(word.as_bytes()) {
        Ok(at + word.len())
    } else {
        fail(at, JsonFault::ExpectedValue)
    }
}

fn skip_digits(text: &str, mut at: usize) -> Scan {
    if !matches!(byte(text, at), Some(b'0'..=b'9')) {
        return fail(at, JsonFault::BadNumber);
    }
    while matches!(byte(text, at), Some(b'0'..=b'9')) {
        at += 1;
    }
    Ok(at)
}

fn skip_number(text: &str, at: usize) -> Scan {
    let start = if byte(text, at) == Some(b'-') {
        at + 1
    } else {
        at
    };
    let mut end = skip_digits(text, start)?;
    if byte(text, start) == Some(b'0') && end > start + 1 {
        return fail(start, JsonFault::BadNumber); // a leading zero
    }
    if byte(text, end) == Some(b'.') {
        end = skip_digits(text, end + 1)?;
    }
    if matches!(byte(text, end), Some(b'e' | b'E')) {
        end += 1;
        if matches!(byte(text, end), Some(b'+' | b'-')) {
            end += 1;
        }
        end = skip_digits(text, end)?;
    }
    Ok(end)
}

/// Returns the end of the string whose opening quote is at `at`.
pub(super) fn skip_string(text: &str, at: usize) -> Scan {
    let mut at = at + 1;
    loop {
        match byte(text, at) {
            None => return fail(at, JsonFault::UnexpectedEnd),
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = skip_escape(text, at)?,
            Some(0..=0x1f) => return fail(at, JsonFault::ControlCharacter),
            Some(_) => at += 1,
        }
    }
}

fn skip_escape(text: &str, at: usize) -> Scan {
    match byte(text, at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match hex4(text, at + 2) {
            Some(0xd800..=0xdbff) => match low_surrogate(text, at + 6) {
                Some(_) => Ok(at + 12),
                None => fail(at, JsonFault::BadEscape),
            },
            Some(0xdc00..=0xdfff) | None => fail(at, JsonFault::BadEscape),
            Some(_) => Ok(at + 6),
        },
        None => fail(at, JsonFault::UnexpectedEnd),
        Some(_) => fail(at, JsonFault::BadEscape),
    }
}

/// Reads four hexadecimal digits.
pub(super) fn hex4(text: &str, at: usize) -> Option<u32> {
    let digits = text.as_bytes().get(at..at + 4)?;
    digits
        .iter()
        .try_fold(0, |sum, d| Some(sum * 16 + char::from(*d).to_digit(16)?))
}

/// Reads the `\uDC00` half of a surrogate pair.
pub(super) fn low_surrogate(text: &str, at: usize) -> Option<u32> {
    if text.as_bytes().get(at..at + 2)? != b"\\u" {
        return None;
    }
    hex4(text, at + 2).filter(|low| (0xdc00..=0xdfff).contains(low))
}

/// Moves to the start of the next item of a checked container, or returns nothing at its closing bracket.
pub(super) fn next_item(text: &str, at: usize, close: u8) -> Option<usize> {
    let mut at = skip_space(text, at);
    if byte(text, at) == Some(b',') {
        at = skip_space(text, at + 1);
    }
    match byte(text, at) {
        None => None,
        Some(b) if b == close => None,
        Some(_) => Some(at),
    }
}

/// Returns the nesting depth of a checked value.
pub(super) fn depth(text: &str) -> usize {
    let (mut open, mut deepest, mut at) = (0_usize, 0, 0);
    while let Some(b) = byte(text, at) {
        match b {
            b'"' => {
                at = skip_string(text, at).unwrap_or(text.len());
                continue;
            }
            b'{' | b'[' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    deepest
}
