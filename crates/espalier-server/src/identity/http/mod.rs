//! The HTTP side of identity: what comes and goes on the wire, one file per kind of thing.

mod accounts;
mod keys;
mod reset;
mod rules;
mod setup;
mod types;

use crate::AppState;
use crate::http::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

/// Every route of this feature.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().merge(accounts::routes())
        .merge(setup::routes())
        .merge(keys::routes())
        .merge(reset::routes())
        .merge(rules::routes())
}

/// A sentence that says what was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Message {
    /// The sentence.
    pub message: String,
}

/// An answer that is only a sentence.
fn message(text: impl Into<String>) -> Json<Message> {
    Json(Message {
        message: text.into(),
    })
}
