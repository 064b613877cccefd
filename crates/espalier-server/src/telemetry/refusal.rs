//! Why telemetry is refused: a place, a sentence and the reason it is counted under.

use crate::ApiError;

/// Under which heading a refusal is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The body is not what was asked for, or a key or value breaks a limit.
    Invalid,
    /// A timestamp is not believable.
    Time,
    /// Too much at once.
    TooLarge,
    /// Too many keys on one device.
    TooManyKeys,
    /// Nobody known sent it, or it was sent to another device.
    Unauthorized,
    /// The queue was full.
    Busy,
    /// The store failed.
    Storage,
}

impl Reason {
    /// The label of its counter.
    pub fn label(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Time => "time",
            Self::TooLarge => "too_large",
            Self::TooManyKeys => "too_many_keys",
            Self::Unauthorized => "unauthorized",
            Self::Busy => "busy",
            Self::Storage => "storage",
        }
    }
}

/// Telemetry that is not taken; nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The heading.
    pub reason: Reason,
    /// Where: `body`, then the path of the field.
    pub loc: Vec<String>,
    /// What is wrong and what is wanted.
    pub message: String,
}

impl Refusal {
    pub(super) fn new(reason: Reason, loc: Vec<String>, message: impl Into<String>) -> Self {
        Self {
            reason,
            loc,
            message: message.into(),
        }
    }

    pub(super) fn at(loc: Vec<String>, message: impl Into<String>) -> Self {
        Self::new(Reason::Invalid, loc, message)
    }

    /// About the body as a whole.
    pub(super) fn body(message: impl Into<String>) -> Self {
        Self::at(vec!["body".to_owned()], message)
    }

    /// About a value whose place the caller knows.
    pub(super) fn value(message: impl Into<String>) -> Self {
        Self::at(Vec::new(), message)
    }

    /// Gives a refusal without a place the one it happened at.
    pub(super) fn inside(mut self, loc: impl FnOnce() -> Vec<String>) -> Self {
        if self.loc.is_empty() {
            self.loc = loc();
        }
        self
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let loc: Vec<&str> = refusal.loc.iter().map(String::as_str).collect();
        match refusal.reason {
            Reason::TooLarge => {
                ApiError::too_large(format!("{}: {}.", loc.join("."), refusal.message))
            }
            _ => ApiError::invalid(&loc, refusal.message),
        }
    }
}

/// A name of the client for an error: its beginning, when it is long.
pub(super) fn shorten(text: &str) -> String {
    const SHOWN: usize = 64;
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
