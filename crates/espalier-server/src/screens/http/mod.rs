//! Screens over HTTP.

pub mod boards;
pub mod content;
pub mod forms;
pub mod images;
pub mod pictures;
pub mod screen;

use serde::Serialize;
use utoipa::ToSchema;

/// A sentence that says what was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScreenDone {
    /// The sentence.
    pub message: &'static str,
}
