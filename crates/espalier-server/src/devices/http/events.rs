//! The route that tells what happened to a device.

use crate::clock::iso;
use crate::devices::{events, require};
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query};
use crate::identity::Principal;
use crate::{ApiError, AppState};
use axum::extract::{Path, State};
use espalier_model::Action;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Events of one page when nobody says otherwise.
const DEFAULT_LIMIT: i64 = 50;
/// The largest page.
const MAX_LIMIT: i64 = 500;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_events))
}

/// Which events to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventFilter {
    /// At most so many, 1 to 500; 50 when left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
    /// Only those before the event with this id.
    before: Option<i64>,
    /// Only those of one kind, e.g. `online`.
    kind: Option<String>,
}

/// Something that happened to a device.
#[derive(Debug, Serialize, ToSchema)]
struct EventView {
    /// Grows with time.
    id: i64,
    /// When (RFC 3339, UTC).
    at: String,
    /// When, milliseconds UTC.
    at_ms: i64,
    /// What, e.g. `created`, `online`, `offline`, `renamed`, `token_rotated`, `claimed`.
    kind: String,
    /// More about it.
    detail: Value,
}

/// List what happened to a device, newest first.
#[utoipa::path(get, path = "/devices/{id}/events", tag = "devices",
    security(("bearer" = []), ("device" = [])),
    params(("id" = String, Path, description = "24-digit id, UUID or alias"), EventFilter),
    responses((status = 200, body = [EventView]), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn get_events(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Query(filter): Query<EventFilter>,
) -> ApiResult<Json<Vec<EventView>>> {
    let device = require(&app, &principal, &id, Action::Read)?;
    let limit = filter.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let wanted = format!("must be 1 to {MAX_LIMIT}");
        return Err(ApiError::invalid(&["query", "limit"], wanted));
    }
    let before = filter.before.unwrap_or(i64::MAX);
    let events = events::list(&app, &device, before, filter.kind, limit).await?;
    let view = events.into_iter().map(|event| EventView {
        id: event.id,
        at: iso(event.at),
        at_ms: event.at,
        kind: event.kind,
        detail: serde_json::from_str(&event.detail).unwrap_or(Value::Null),
    });
    Ok(Json(view.collect()))
}
