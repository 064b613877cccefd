//! What people may call and label devices: the limits, each with the sentence that says so.

use crate::ApiError;
use espalier_model::Alias;

/// Characters of a device's name.
pub const MAX_NAME: usize = 100;
/// Tags of a device, and groups of a device.
pub const MAX_TAGS: usize = 32;
/// Characters of a tag or a group's name.
pub const MAX_TAG: usize = 50;
/// Aliases of a device.
pub const MAX_ALIASES: usize = 16;
/// Characters of a kind.
pub const MAX_KIND: usize = 50;
/// Characters of a location.
pub const MAX_LOCATION: usize = 200;
/// The longest expected interval, seconds: thirty days.
pub const MAX_INTERVAL_S: u32 = 30 * 24 * 3600;
/// Bytes of a product password; argon2 must not be fed with megabytes.
pub const MAX_PASSWORD: usize = 128;
/// Devices of one bulk request.
pub const MAX_BULK: usize = 1000;

/// The name of a device that was given none.
pub const DEFAULT_NAME: &str = "My Device";

fn text(field: &str, value: &str, max: usize) -> Result<Box<str>, ApiError> {
    let value = value.trim();
    if value.is_empty() || value.chars().count() > max {
        return Err(ApiError::invalid(
            &["body", field],
            format!("must have 1 to {max} characters"),
        ));
    }
    if value.chars().any(char::is_control) {
        return Err(ApiError::invalid(
            &["body", field],
            "must not contain control characters",
        ));
    }
    Ok(value.into())
}

/// A device's name, trimmed.
pub fn name(value: &str) -> Result<String, ApiError> {
    text("name", value, MAX_NAME).map(Into::into)
}

/// An optional text; empty means none.
fn optional(field: &str, value: Option<&str>, max: usize) -> Result<Option<Box<str>>, ApiError> {
    match value.map(str::trim) {
        None | Some("") => Ok(None),
        Some(value) => text(field, value, max).map(Some),
    }
}

/// A device's kind; empty means none.
pub fn kind(value: Option<&str>) -> Result<Option<Box<str>>, ApiError> {
    optional("kind", value, MAX_KIND)
}

/// Where a device stands; empty means nowhere in particular.
pub fn location(value: Option<&str>) -> Result<Option<Box<str>>, ApiError> {
    optional("location", value, MAX_LOCATION)
}

/// Tags or groups: trimmed, each once, in the order given.
pub fn labels<S: AsRef<str>>(field: &str, values: &[S]) -> Result<Box<[Box<str>]>, ApiError> {
    let mut labels: Vec<Box<str>> = Vec::new();
    for value in values {
        let label = text(field, value.as_ref(), MAX_TAG)?;
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    if labels.len() > MAX_TAGS {
        return Err(ApiError::invalid(
            &["body", field],
            format!("must have at most {MAX_TAGS} entries"),
        ));
    }
    Ok(labels.into())
}

/// Aliases: valid, each once, sorted.
pub fn aliases<S: AsRef<str>>(values: &[S]) -> Result<Box<[Box<str>]>, ApiError> {
    let mut aliases: Vec<Box<str>> = Vec::new();
    for value in values {
        let alias: Alias = value
            .as_ref()
            .trim()
            .parse()
            .map_err(|e| ApiError::invalid(&["body", "aliases"], format!("{e}")))?;
        aliases.push(alias.as_str().into());
    }
    aliases.sort_unstable();
    aliases.dedup();
    if aliases.len() > MAX_ALIASES {
        return Err(ApiError::invalid(
            &["body", "aliases"],
            format!("must have at most {MAX_ALIASES} entries"),
        ));
    }
    Ok(aliases.into())
}

/// An expected interval, seconds.
pub fn interval(value: Option<u32>) -> Result<Option<u32>, ApiError> {
    match value {
        Some(seconds) if !(1..=MAX_INTERVAL_S).contains(&seconds) => Err(ApiError::invalid(
            &["body", "expected_interval_seconds"],
            format!("must be 1 to {MAX_INTERVAL_S}"),
        )),
        other => Ok(other),
    }
}

/// A product password.
pub fn password(value: &str) -> Result<(), ApiError> {
    if (8..=MAX_PASSWORD).contains(&value.len()) {
        return Ok(());
    }
    Err(ApiError::invalid(
        &["body", "password"],
        format!("must have 8 to {MAX_PASSWORD} bytes"),
    ))
}
