//! What may be desired or reported: keys, values and how many of them.

use super::memory::Keys;
use crate::ApiError;
use espalier_wire::limits;
use serde_json::Value;
use std::collections::BTreeMap;

/// Keys that one device may have desired or reported state for: a board has tens of switches, not hundreds,
/// and all of them are in memory.
const MAX_KEYS: usize = 256;

/// Checks the keys and values that somebody wants to set.
pub fn check_values(values: &BTreeMap<String, Value>) -> Result<(), ApiError> {
    if values.is_empty() {
        return Err(ApiError::invalid(
            &["body"],
            "nothing to set; send at least one key with its value",
        ));
    }
    values.iter().try_for_each(|(key, value)| {
        if !fits(value) {
            check_key(key)?;
            return Err(ApiError::invalid(&["body", key], too_long()));
        }
        check_value(key, value)
    })
}

/// Says whether a value is short enough for a message to a device.
pub fn fits(value: &Value) -> bool {
    value.to_string().len() <= limits::MAX_WISH_BYTES
}

/// What is wrong with a desired value that is longer.
pub fn too_long() -> String {
    format!(
        "a desired value may have at most {} bytes of JSON, as devices hold no more at once",
        limits::MAX_WISH_BYTES
    )
}

/// Checks a key.
pub fn check_key(key: &str) -> Result<(), ApiError> {
    let shown: String = key.chars().take(limits::MAX_KEY_BYTES).collect();
    limits::check_key(key).map_err(|e| ApiError::invalid(&["body", &shown], e.to_string()))
}

/// Checks a key and its value.
pub fn check_value(key: &str, value: &Value) -> Result<(), ApiError> {
    check_key(key)?;
    let shown: String = key.chars().take(limits::MAX_KEY_BYTES).collect();
    let refuse = |why: String| Err(ApiError::invalid(&["body", &shown], why));
    match value {
        Value::Null => refuse(
            "null is no state; send a number, a boolean, a text or a small object".to_owned(),
        ),
        Value::Bool(_) => Ok(()),
        Value::Number(n) if n.is_f64() => Ok(()),
        Value::Number(n) => match n.as_i64().map(i64::unsigned_abs) {
            Some(size) if size <= limits::MAX_EXACT_INTEGER.unsigned_abs() => Ok(()),
            _ => refuse("whole numbers beyond 2^53 are not exact; send them as text".to_owned()),
        },
        Value::String(text) if text.len() <= limits::MAX_TEXT_VALUE_BYTES => Ok(()),
        Value::String(_) => refuse(format!(
            "a text may have at most {} bytes",
            limits::MAX_TEXT_VALUE_BYTES
        )),
        Value::Array(_) | Value::Object(_) if depth(value) > limits::MAX_VALUE_DEPTH => {
            refuse(format!(
                "a value may be nested at most {} deep",
                limits::MAX_VALUE_DEPTH
            ))
        }
        Value::Array(_) | Value::Object(_)
            if value.to_string().len() <= limits::MAX_OBJECT_VALUE_BYTES =>
        {
            Ok(())
        }
        Value::Array(_) | Value::Object(_) => refuse(format!(
            "an object may have at most {} bytes",
            limits::MAX_OBJECT_VALUE_BYTES
        )),
    }
}

/// How many levels of arrays and objects a value has.
pub fn depth(value: &Value) -> usize {
    // The JSON reader refuses more than 128 levels, so the recursion is bounded.
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

pub fn check_count(keys: &Keys) -> Result<(), ApiError> {
    if keys.len() > MAX_KEYS {
        return Err(ApiError::invalid(
            &["body"],
            format!("a device can have state for at most {MAX_KEYS} keys"),
        ));
    }
    Ok(())
}
