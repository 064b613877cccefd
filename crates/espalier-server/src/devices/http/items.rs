//! The routes of devices themselves: list, create, read, change, delete.

use super::{Message, given};
use crate::devices::view::DeviceView;
use crate::devices::{list, logic, require};
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query};
use crate::identity::{Caller, Principal};
use crate::{ApiError, AppState};
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use espalier_model::{Action, DeviceId, Oid};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get_devices, post_device))
        .routes(routes!(get_device, patch_device, delete_device))
        .routes(routes!(get_groups))
}

/// How many devices match, whatever the page.
static TOTAL: HeaderName = HeaderName::from_static("x-total-count");

/// A new device; everything may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct NewDeviceBody {
    /// What to call it, at most 100 characters.
    pub name: Option<String>,
    /// What kind of board it is, at most 50 characters.
    pub kind: Option<String>,
    /// Where it stands, at most 200 characters.
    pub location: Option<String>,
    /// Free words to find it by, at most 32 of 50 characters.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The group to put it into.
    pub group: Option<String>,
    /// More groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Another name under which it answers: 1 to 64 letters, digits, `_` or `-`.
    pub alias: Option<String>,
    /// More such names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// How often it will report, seconds.
    pub expected_interval_seconds: Option<u32>,
    /// Admins only: the id printed on the product; the device then waits to be claimed.
    pub product_id: Option<String>,
    /// Admins only: the password with which the product is claimed, 8 to 128 bytes.
    pub password: Option<String>,
}

/// What to change of a device; what is left out stays. `null` takes a kind, location or interval away.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct DevicePatch {
    /// What to call it, 1 to 100 characters.
    pub name: Option<String>,
    /// What kind of board it is.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub kind: Option<Option<String>>,
    /// Where it stands.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub location: Option<Option<String>>,
    /// All its tags.
    pub tags: Option<Vec<String>>,
    /// All its groups.
    pub groups: Option<Vec<String>>,
    /// All its other names.
    pub aliases: Option<Vec<String>>,
    /// How often it will report, seconds.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    pub expected_interval_seconds: Option<Option<u32>>,
}

/// Turns the error for a device that cannot be named into what existing clients expect: 400 when the id has
/// not even the form of one and is nobody's alias.
fn contract_error(id: &str, error: ApiError) -> ApiError {
    let formed = id.parse::<Oid>().is_ok() || id.parse::<DeviceId>().is_ok();
    if error.status() == axum::http::StatusCode::NOT_FOUND && !formed {
        return ApiError::bad_request("invalid_id", "Invalid device ID");
    }
    error
}

/// List the devices that the caller owns or that are shared with them.
#[utoipa::path(get, path = "/devices", tag = "devices", params(list::Filter), security(("bearer" = [])),
    responses(
        (status = 200, description = "The devices; the header `X-Total-Count` has their number without paging", body = [DeviceView]),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn get_devices(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<list::Filter>,
) -> ApiResult<Response> {
    let (total, devices) = list::devices(&app, &caller, &filter)?;
    let mut response = Json(devices).into_response();
    let headers = response.headers_mut();
    headers.insert(TOTAL.clone(), HeaderValue::from(total));
    Ok(response)
}

/// Create a device.
///
/// The answer holds the token in clear, for the only time.
#[utoipa::path(post, path = "/devices", tag = "devices", request_body = NewDeviceBody, security(("bearer" = [])),
    responses(
        (status = 200, description = "The device with its token", body = DeviceView),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 422, body = Problem)))]
async fn post_device(
    State(app): State<AppState>,
    caller: Caller,
    Json(body): Json<NewDeviceBody>,
) -> ApiResult<Json<DeviceView>> {
    let (device, token) = logic::create_for(&app, &caller, body).await?;
    Ok(Json(
        DeviceView::of(&device, caller.account).with_token(token),
    ))
}

/// Show a device.
#[utoipa::path(get, path = "/devices/{id}", tag = "devices",
    params(("id" = String, Path, description = "24-digit id, UUID or alias")),
    security(("bearer" = []), ("device" = [])),
    responses((status = 200, body = DeviceView), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn get_device(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> ApiResult<Json<DeviceView>> {
    let device = require(&app, &principal, &id, Action::Read)?;
    Ok(Json(DeviceView::for_principal(&device, &principal)))
}

/// Rename a device, or change its tags, groups, aliases, kind, location or interval.
#[utoipa::path(patch, path = "/devices/{id}", tag = "devices", request_body = DevicePatch,
    params(("id" = String, Path, description = "24-digit id, UUID or alias")),
    security(("bearer" = [])),
    responses((status = 200, body = DeviceView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, description = "An alias is taken", body = Problem),
        (status = 422, body = Problem)))]
async fn patch_device(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(patch): Json<DevicePatch>,
) -> ApiResult<Json<DeviceView>> {
    let principal = Principal::Account(caller.clone());
    let device = require(&app, &principal, &id, Action::Manage)?;
    let device = logic::patch(&app, &caller, &device, patch).await?;
    Ok(Json(DeviceView::of(&device, caller.account)))
}

/// List the groups of the devices that the caller may see.
#[utoipa::path(get, path = "/groups", tag = "devices", security(("bearer" = [])),
    responses((status = 200, body = [list::Group]), (status = 401, body = Problem), (status = 403, body = Problem)))]
async fn get_groups(State(app): State<AppState>, caller: Caller) -> Json<Vec<list::Group>> {
    Json(list::groups(&app, &caller))
}

/// Delete a device with everything that belongs to it.
#[utoipa::path(delete, path = "/devices/{id}", tag = "devices",
    params(("id" = String, Path, description = "24-digit id, UUID or alias")),
    security(("bearer" = [])),
    responses((status = 200, body = Message), (status = 400, description = "Not an id", body = Problem),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn delete_device(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Message>> {
    let principal = Principal::Account(caller.clone());
    let device =
        require(&app, &principal, &id, Action::Own).map_err(|error| contract_error(&id, error))?;
    logic::delete(&app, &caller, &device).await?;
    Ok(Json(Message::new("Device deleted")))
}
