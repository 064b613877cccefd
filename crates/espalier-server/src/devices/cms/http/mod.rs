//! The routes of old boards. They convert and nothing else.

mod boards;
mod opening;
mod operators;
mod quarantine;

use super::shape::Failure;
use crate::http::body_error;
use crate::{ApiError, AppState};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;

/// Every route of old boards.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(boards::routes())
        .merge(operators::routes())
        .merge(quarantine::routes())
        .merge(opening::routes())
}

/// The JSON object of a body; old clients expect 400 for everything else.
fn object(body: Result<Bytes, BytesRejection>) -> Result<Map<String, Value>, ApiError> {
    let bytes = body.map_err(|error| body_error(&error))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) if !object.is_empty() => Ok(object),
        _ => Err(ApiError::bad_request("invalid", "No JSON data provided")),
    }
}

/// The result of a handler on an old path.
type LegacyResult<T> = Result<T, Failure>;
