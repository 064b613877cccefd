//! The routes that show what runs where.

use super::view::{self, BoardView, FleetView};
use crate::AppState;
use crate::devices;
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query};
use crate::identity::{Caller, Principal};
use axum::extract::{Path, State};
use espalier_model::Action;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get_fleet))
        .routes(routes!(get_board))
}

/// Whose boards.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Whose {
    /// The boards of everybody; for admins.
    #[serde(default)]
    all: bool,
}

/// Count which boards run what, and how well it does.
#[utoipa::path(get, path = "/fleet", tag = "firmware", security(("bearer" = [])), params(Whose),
    responses((status = 200, body = FleetView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 422, body = Problem)))]
async fn get_fleet(
    State(app): State<AppState>,
    caller: Caller,
    Query(whose): Query<Whose>,
) -> ApiResult<Json<FleetView>> {
    Ok(Json(view::fleet(&app, &caller, whose.all)?))
}

/// Tell what runs on a board and what ran before.
#[utoipa::path(get, path = "/devices/{id}/firmware", tag = "firmware", security(("bearer" = []), ("device" = [])),
    params(("id" = String, Path, description = "24-digit id, UUID or alias")),
    responses((status = 200, body = BoardView), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn get_board(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> ApiResult<Json<BoardView>> {
    let device = devices::require(&app, &principal, &id, Action::Read)?;
    Ok(Json(view::board(&app, &principal, &device).await?))
}
