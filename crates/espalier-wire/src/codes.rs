//! The stable error codes of `error` frames. The detail beside a code is for people and may change; the code may not.

/// The token is missing, wrong or revoked; the server closes the socket after this.
pub const UNAUTHORIZED: &str = "unauthorized";
/// The frame is not JSON, or a field is missing or has the wrong type; sending it again will not help.
pub const BAD_MESSAGE: &str = "bad_message";
/// The server does not know this `type`.
pub const UNKNOWN_TYPE: &str = "unknown_type";
/// The values were refused (key, type, size or timestamp); nothing of the batch was stored. Drop it.
pub const INVALID_DATA: &str = "invalid_data";
/// The frame or the batch is larger than the limits allow.
pub const TOO_LARGE: &str = "too_large";
/// Too many messages; wait `retry_after_ms`, then send again.
pub const RATE_LIMITED: &str = "rate_limited";
/// The server cannot keep the message now (queue full, disk full); wait `retry_after_ms`, then send again.
pub const UNAVAILABLE: &str = "unavailable";
/// The command is not known, not this device's, or already expired.
pub const UNKNOWN_COMMAND: &str = "unknown_command";
/// The same device opened a newer socket; this one is closed.
pub const REPLACED: &str = "replaced";
/// A fault inside the server; send again later.
pub const INTERNAL: &str = "internal";

/// Says whether the same message may succeed later. Codes of newer servers count as permanent, so that a device does
/// not send a poisoned message for ever; a code with `retry_after_ms` is always worth another try.
pub fn is_retryable(code: &str) -> bool {
    matches!(code, RATE_LIMITED | UNAVAILABLE | INTERNAL)
}
