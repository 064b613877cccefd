//! Dashboards over HTTP.

use super::Done;
use crate::control::boards::logic::{self, Move};
use crate::control::boards::view::{DashboardView, DashboardWithWidgets};
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::Caller;
use crate::{AppState, screens};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a new dashboard is called.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateDashboard {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Up to 1000 characters.
    #[schema(max_length = 1000)]
    description: Option<String>,
}

/// What changes on a dashboard; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangeDashboard {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Up to 1000 characters; an empty text removes it.
    #[schema(max_length = 1000)]
    description: Option<String>,
}

/// Makes a dashboard.
#[utoipa::path(
    post, path = "/dashboards", tag = "control", request_body = CreateDashboard,
    responses(
        (status = 200, description = "The dashboard", body = DashboardView),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "The account may only look", body = Problem),
        (status = 409, description = "Too many dashboards", body = Problem),
        (status = 422, description = "A field is wrong", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn create_dashboard(
    State(app): State<AppState>,
    caller: Caller,
    Json(new): Json<CreateDashboard>,
) -> ApiResult<Json<DashboardView>> {
    let description = new.description.as_deref();
    let dashboard = logic::create_dashboard(&app, &caller, &new.name, description).await?;
    Ok(Json(dashboard.into()))
}

/// Lists the caller's dashboards, oldest first.
#[utoipa::path(
    get, path = "/dashboards", tag = "control",
    responses(
        (status = 200, description = "The dashboards", body = Vec<DashboardView>),
        (status = 401, description = "Not signed in", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn list_dashboards(
    State(app): State<AppState>,
    caller: Caller,
) -> ApiResult<Json<Vec<DashboardView>>> {
    let all = logic::dashboards(&app, &caller).await?;
    Ok(Json(all.into_iter().map(DashboardView::from).collect()))
}

/// Shows a dashboard with its widgets and their current values.
///
/// The same path gives boards with a screen what it shows, as a BMP of 48,062 bytes: `{device}_current.bmp`, and
/// `{device}_fallback.bmp` for the time before there is anything to show.
#[utoipa::path(
    get, path = "/dashboards/{id}", tag = "control",
    params(("id" = String, Path, description = "The dashboard's id")),
    responses(
        (status = 200, description = "The dashboard, or the picture", content(
            (DashboardWithWidgets = "application/json"), (Vec<u8> = "image/bmp"))),
        (status = 304, description = "You have the picture"),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "No such dashboard or device of yours", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn get_dashboard(
    State(app): State<AppState>,
    mut parts: Parts,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    if let Some(name) = id.strip_suffix(".bmp") {
        let who = screens::Who::of(&parts, &app);
        return screens::screen_file(&app, &who, name).await;
    }
    let caller = Caller::from_request_parts(&mut parts, &app).await?;
    let (dashboard, widgets) = logic::dashboard(&app, &caller, id).await?;
    let dashboard = dashboard.into();
    Ok(Json(DashboardWithWidgets { dashboard, widgets }).into_response())
}

/// Renames or describes a dashboard.
#[utoipa::path(
    patch, path = "/dashboards/{id}", tag = "control", request_body = ChangeDashboard,
    params(("id" = String, Path, description = "The dashboard's id")),
    responses(
        (status = 200, description = "The dashboard", body = DashboardView),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "The account may only look", body = Problem),
        (status = 404, description = "No such dashboard of yours", body = Problem),
        (status = 422, description = "A field is wrong", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn change_dashboard(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(change): Json<ChangeDashboard>,
) -> ApiResult<Json<DashboardView>> {
    let (name, description) = (change.name, change.description);
    let dashboard = logic::change_dashboard(&app, &caller, id, name, description).await?;
    Ok(Json(dashboard.into()))
}

/// Deletes a dashboard with its widgets and its link.
#[utoipa::path(
    delete, path = "/dashboards/{id}", tag = "control",
    params(("id" = String, Path, description = "The dashboard's id")),
    responses(
        (status = 200, description = "Deleted", body = Done),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "The account may only look", body = Problem),
        (status = 404, description = "No such dashboard of yours", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn delete_dashboard(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Done>> {
    logic::delete_dashboard(&app, &caller, id).await?;
    Ok(Json(Done {
        message: "Dashboard deleted",
    }))
}

/// The places of widgets on a dashboard.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Layout {
    /// The widgets that move.
    layout: Vec<LayoutItem>,
}

/// Where one widget goes; what is absent stays. Numbers are the app's own units, 0 to 100000.
#[derive(Debug, Deserialize, ToSchema)]
pub struct LayoutItem {
    /// The widget.
    #[serde(alias = "_id")]
    id: String,
    /// Its width.
    width: Option<i64>,
    /// Its height.
    height: Option<i64>,
    /// Its place from the left.
    x: Option<i64>,
    /// Its place from the top.
    y: Option<i64>,
    /// Its place in the order.
    order: Option<i64>,
}

/// How many widgets were placed.
#[derive(Debug, Serialize, ToSchema)]
pub struct LayoutDone {
    /// A sentence.
    message: &'static str,
    /// The number of widgets.
    modified_count: usize,
}

/// Places the widgets of a dashboard; all of them or none.
#[utoipa::path(
    put, path = "/dashboards/{id}/layout", tag = "control", request_body = Layout,
    params(("id" = String, Path, description = "The dashboard's id")),
    responses(
        (status = 200, description = "Placed", body = LayoutDone),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "The account may only look", body = Problem),
        (status = 404, description = "No such dashboard of yours, or no such widget on it", body = Problem),
        (status = 422, description = "A number is out of range", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn set_layout(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(layout): Json<Layout>,
) -> ApiResult<Json<LayoutDone>> {
    let moves = layout.layout.into_iter().map(|item| Move {
        id: item.id,
        order: item.order,
        x: item.x,
        y: item.y,
        width: item.width,
        height: item.height,
    });
    let modified_count = logic::set_layout(&app, &caller, id, moves.collect()).await?;
    Ok(Json(LayoutDone {
        message: "Layout updated",
        modified_count,
    }))
}
