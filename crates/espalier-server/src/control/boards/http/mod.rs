//! Dashboards and widgets over HTTP.

pub mod dashboards;
pub mod widgets;

use serde::Serialize;
use utoipa::ToSchema;

/// A sentence that says what was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    /// The sentence.
    pub message: &'static str,
}
