//! Widgets over HTTP.

use super::Done;
use crate::AppState;
use crate::clock::iso;
use crate::control::boards::config::Kind;
use crate::control::boards::logic;
use crate::control::boards::view::WidgetView;
use crate::control::boards::widgets::{self, NewWidget, WidgetChange};
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::Caller;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A new widget.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateWidget {
    /// The dashboard that will hold it.
    dashboard_id: String,
    /// The device whose key it shows or sets.
    device_id: Option<String>,
    /// What it is.
    #[serde(rename = "type", default)]
    kind: Kind,
    /// What it is called, up to 100 characters.
    label: Option<String>,
    /// Its own value, for a widget without key.
    value: Option<Value>,
    /// How it shows and what it sets; unknown keys are kept.
    #[serde(default)]
    #[schema(value_type = Object)]
    config: Option<Map<String, Value>>,
}

/// Makes a widget.
///
/// `config.key` or `config.virtual_pin` names the key of the device. An LED or switch without either gets the
/// lowest `vN` that is free on its dashboard.
#[utoipa::path(
    post, path = "/widgets", tag = "control", request_body = CreateWidget,
    responses(
        (status = 200, description = "The widget", body = WidgetView),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "The account may only look", body = Problem),
        (status = 404, description = "No such dashboard of yours, or no such device", body = Problem),
        (status = 409, description = "Too many widgets", body = Problem),
        (status = 422, description = "A field is wrong", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn create_widget(
    State(app): State<AppState>,
    caller: Caller,
    Json(new): Json<CreateWidget>,
) -> ApiResult<Json<WidgetView>> {
    let new = NewWidget {
        dashboard: new.dashboard_id,
        device: new.device_id,
        kind: new.kind,
        label: new.label,
        value: new.value,
        config: new.config.unwrap_or_default(),
    };
    widgets::create_widget(&app, &caller, new).await.map(Json)
}

/// Lists the widgets of a dashboard with their current values.
#[utoipa::path(
    get, path = "/widgets/{id}", tag = "control",
    params(("id" = String, Path, description = "The dashboard's id")),
    responses(
        (status = 200, description = "The widgets in their order", body = Vec<WidgetView>),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "No such dashboard of yours", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn list_widgets(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Vec<WidgetView>>> {
    let (_, widgets) = logic::dashboard(&app, &caller, id).await?;
    Ok(Json(widgets))
}

/// What changes on a widget; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangeWidget {
    /// Another device.
    device_id: Option<String>,
    /// What it is called, up to 100 characters.
    label: Option<String>,
    /// Its own value.
    value: Option<Value>,
    /// Laid over the old config; null removes a key.
    #[schema(value_type = Option<Object>)]
    config: Option<Map<String, Value>>,
}

/// Changes a widget.
#[utoipa::path(
    patch, path = "/widgets/{id}", tag = "control", request_body = ChangeWidget,
    params(("id" = String, Path, description = "The widget's id")),
    responses(
        (status = 200, description = "The widget", body = WidgetView),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "The account may only look", body = Problem),
        (status = 404, description = "No such widget of yours, or no such device", body = Problem),
        (status = 422, description = "A field is wrong", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn change_widget(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(change): Json<ChangeWidget>,
) -> ApiResult<Json<WidgetView>> {
    let change = WidgetChange {
        device: change.device_id,
        label: change.label,
        value: change.value,
        config: change.config,
    };
    widgets::change_widget(&app, &caller, id, change)
        .await
        .map(Json)
}

/// Deletes a widget.
#[utoipa::path(
    delete, path = "/widgets/{id}", tag = "control",
    params(("id" = String, Path, description = "The widget's id")),
    responses(
        (status = 200, description = "Deleted", body = Done),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "The account may only look", body = Problem),
        (status = 404, description = "No such widget of yours", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn delete_widget(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Done>> {
    widgets::delete_widget(&app, &caller, id).await?;
    Ok(Json(Done {
        message: "Widget deleted",
    }))
}

/// What a widget should set: `state` for switches, `state` or `value` for all others.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SetState {
    /// 0, 1, true, false, "0" or "1" for switches; a number or text for others.
    state: Option<Value>,
    /// The same under another name.
    value: Option<Value>,
}

/// What was set, and whether the device has answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct StateSet {
    /// Always `ok`.
    message: &'static str,
    /// 0 or 1 for switches, else the value.
    state: Value,
    /// The key that was set.
    virtual_pin: String,
    /// When.
    timestamp: String,
    /// The version of the desired value.
    version: u64,
    /// The value that the device should have.
    desired: Value,
    /// `pending` until the device reports it.
    status: &'static str,
}

/// Sets what the widget's device should be.
///
/// It is stored when the answer comes; a connected device hears of it at once, any other at its next poll.
#[utoipa::path(
    post, path = "/widgets/{id}/state", tag = "control", request_body = SetState,
    params(("id" = String, Path, description = "The widget's id")),
    responses(
        (status = 200, description = "Stored", body = StateSet),
        (status = 400, description = "The widget only shows, or has no device", body = Problem),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "You may see the device, but not control it", body = Problem),
        (status = 404, description = "No such widget of yours", body = Problem),
        (status = 422, description = "The value does not fit the widget", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn set_widget_state(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<SetState>,
) -> ApiResult<Json<StateSet>> {
    let input = body.state.or(body.value);
    let touched = widgets::touch(&app, &caller, id, input.as_ref()).await?;
    Ok(Json(StateSet {
        message: "ok",
        state: touched.state,
        virtual_pin: touched.key,
        timestamp: iso(app.clock.now_ms()),
        version: touched.version,
        desired: touched.desired,
        status: touched.status,
    }))
}
