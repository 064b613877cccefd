//! Telemetry values as JSON: written straight into an answer, or as a document for those who want one.

use super::latest::Entry;
use espalier_tsdb::Value;
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::{Map, Value as Json};

/// The largest magnitude up to which a whole float is written as an integer: `1`, not `1.0`.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Writes a value as JSON.
pub fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Number(number) => write_number(out, *number),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Text(text) => write_text(out, text),
        Value::Json(text) => out.extend_from_slice(text.as_bytes()),
    }
}

/// Writes a number in its shortest form that reads back to the same float; whole ones as integers.
pub fn write_number(out: &mut Vec<u8>, number: f64) {
    // Writing into a `Vec` cannot fail.
    let _ = if number.fract() == 0.0 && number.abs() <= MAX_WHOLE {
        CompactFormatter.write_i64(out, number as i64)
    } else if number.is_finite() {
        CompactFormatter.write_f64(out, number)
    } else {
        CompactFormatter.write_null(out)
    };
}

/// Writes an integer.
pub fn write_int(out: &mut Vec<u8>, number: i64) {
    let _ = CompactFormatter.write_i64(out, number);
}

/// Writes a JSON string with its quotes.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text);
}

/// A number as a document: whole ones as integers.
pub fn number(number: f64) -> Json {
    if number.fract() == 0.0 && number.abs() <= MAX_WHOLE {
        Json::from(number as i64)
    } else {
        Json::from(number)
    }
}

/// A value as a document.
pub fn document(value: &Value) -> Json {
    match value {
        Value::Number(float) => number(*float),
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Text(text) => Json::String(text.to_string()),
        // It was checked when it was taken; text is the honest answer if a store gives back something else.
        Value::Json(text) => {
            serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_string()))
        }
    }
}

/// Entries as one document.
pub fn map(entries: &[Entry]) -> Map<String, Json> {
    entries
        .iter()
        .map(|entry| (entry.key.to_string(), document(&entry.value)))
        .collect()
}
