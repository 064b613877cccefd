//! How values stand in the cells of a CSV file, so that what is exported can be imported again as the same value.
//!
//! Numbers, `true`, `false` and objects stand as they are. A text that would be read as one of those, or that a
//! spreadsheet would run as a formula, has an apostrophe before it, which spreadsheets hide and the import takes off.

use super::{parse, values};
use espalier_tsdb::Value;
use espalier_wire::limits::MAX_EXACT_INTEGER;
use std::borrow::Cow;

/// The largest integer that a value keeps exactly, whatever its sign.
const MAX_INTEGER: u64 = MAX_EXACT_INTEGER.unsigned_abs();

/// Writes a value as a cell, without the quotes of CSV.
pub fn write(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Number(number) => {
            let mut out = Vec::new();
            values::write_number(&mut out, *number);
            Cow::Owned(String::from_utf8_lossy(&out).into_owned())
        }
        Value::Bool(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        Value::Json(text) => Cow::Borrowed(text),
        Value::Text(text) => guard(text),
    }
}

/// Puts the apostrophe before a text that needs it.
pub fn guard(text: &str) -> Cow<'_, str> {
    let plain = !text.starts_with(['\'', '=', '+', '-', '@', '\t', '\r', '{', '['])
        && text == text.trim()
        && !text.is_empty()
        && matches!(read(text), Ok(Some(Value::Text(_))));
    if plain {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{text}"))
    }
}

/// Takes the apostrophe off.
pub fn unguard(text: &str) -> &str {
    text.strip_prefix('\'').unwrap_or(text)
}

/// Reads a cell; an empty one is no value.
///
/// # Errors
/// Says why it is not a telemetry value.
pub fn read(cell: &str) -> Result<Option<Value>, String> {
    if let Some(text) = cell.strip_prefix('\'') {
        return parse::check_text(text).map(Some);
    }
    let cell = cell.trim();
    let Some(first) = cell.bytes().next() else {
        return Ok(None);
    };
    match cell {
        "true" | "TRUE" | "True" => return Ok(Some(Value::Bool(true))),
        "false" | "FALSE" | "False" => return Ok(Some(Value::Bool(false))),
        _ => {}
    }
    if matches!(first, b'{' | b'[') {
        return parse::check_json(cell).map(Some);
    }
    if let Ok(number) = cell.parse::<f64>() {
        // Asked of the digits, because the float of 2^53 + 1 is 2^53 already.
        let digits = cell.trim_start_matches(['-', '+']);
        let whole = digits.bytes().all(|digit| digit.is_ascii_digit());
        let exact = || {
            digits
                .parse::<u64>()
                .is_ok_and(|whole| whole <= MAX_INTEGER)
        };
        if !number.is_finite() || whole && !exact() {
            return Err(parse::INEXACT.to_owned());
        }
        return Ok(Some(Value::Number(number)));
    }
    parse::check_text(cell).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_formula_is_disarmed_and_a_number_is_not() {
        for formula in ["=1+1", "+1x", "-cmd", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(guard(formula), format!("'{formula}"));
        }
        assert_eq!(write(&Value::Number(-5.5)), "-5.5");
        assert_eq!(write(&Value::Text("-5.5".into())), "'-5.5");
        assert_eq!(write(&Value::Text("sunny".into())), "sunny");
    }

    #[test]
    fn what_is_no_finite_number_is_refused() {
        for wrong in ["NaN", "inf", "-Infinity", "1e999", "9007199254740993"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(read(""), Ok(None));
        assert_eq!(read(" 7 "), Ok(Some(Value::Number(7.0))));
    }

    proptest! {
        #[test]
        fn a_text_reads_back_as_itself(text in "[^\0]{0,40}") {
            let value = Value::Text(text.as_str().into());
            prop_assert_eq!(read(&write(&value)), Ok(Some(value.clone())));
        }

        #[test]
        fn a_number_reads_back_as_itself(number in proptest::num::f64::NORMAL) {
            let value = Value::Number(number);
            prop_assert_eq!(read(&write(&value)), Ok(Some(value.clone())));
        }
    }
}
