//! The routes of devices. They convert and nothing else.

pub mod access;
pub mod bulk;
pub mod claim;
pub mod events;
pub mod items;

use crate::AppState;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

/// Every route of devices.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(items::routes())
        .merge(bulk::routes())
        .merge(access::routes())
        .merge(claim::routes())
        .merge(events::routes())
}

/// A sentence that says what was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Message {
    /// The sentence.
    pub message: String,
}

impl Message {
    pub fn new(message: &str) -> Self {
        Self {
            message: message.to_owned(),
        }
    }
}

/// Tells a field that is `null` from one that is not there.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}
