//! What people and their tools call on the paths of the old system. The old system asked nobody who they were; here they sign in.

use super::super::legacy;
use super::super::shape::{Failure, LegacyProblem};
use super::super::view::{LegacyDevice, legacy_id};
use super::{LegacyResult, object};
use crate::clock::iso;
use crate::devices::http::items::DevicePatch;
use crate::devices::{Device, check, logic, permits, presence};
use crate::error::ApiResult;
use crate::http::{Json, request_id};
use crate::identity::{self, Caller, Principal};
use crate::{ApiError, AppState};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use espalier_model::Action;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Devices in one answer; this path knows no pages.
const MAX_LISTED: usize = 1000;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get_all))
        .routes(routes!(get_one, delete_one))
        .routes(routes!(post_unlink))
        .routes(routes!(put_nickname))
        .routes(routes!(get_debug))
}

fn find(app: &AppState, caller: &Caller, id: &str, action: Action) -> ApiResult<Arc<Device>> {
    let principal = Principal::Account(caller.clone());
    legacy::find_for(app, &principal, id, action)
}

/// The name under which an old client knows a device.
fn id_of(app: &AppState, device: &Device) -> String {
    legacy_id(device, legacy::of(app, device.id).as_deref())
}

/// The devices of the caller, in the old shape.
#[derive(Serialize, ToSchema)]
struct LegacyList {
    /// Always `success`.
    status: &'static str,
    /// The first thousand.
    devices: Vec<LegacyDevice>,
    /// How many there are.
    count: usize,
}

/// List the devices that the caller may see, in the old shape.
#[utoipa::path(get, path = "/api/devices", tag = "old boards", security(("bearer" = [])),
    responses((status = 200, body = LegacyList), (status = 401, body = LegacyProblem), (status = 403, body = LegacyProblem)))]
async fn get_all(
    State(app): State<AppState>,
    caller: Result<Caller, ApiError>,
) -> LegacyResult<Json<LegacyList>> {
    let caller = caller?;
    let principal = Principal::Account(caller.clone());
    let mut seen = match caller.role.is_admin() {
        true => app.devices.all(),
        false => app.devices.visible_to(caller.account),
    };
    seen.retain(|device| permits(&app, &principal, device, Action::Read));
    seen.sort_by_key(|device| device.id);
    let mut devices = Vec::new();
    for device in seen.iter().take(MAX_LISTED) {
        devices.push(LegacyDevice::of(&app, device).await?);
    }
    Ok(Json(LegacyList {
        status: "success",
        devices,
        count: seen.len(),
    }))
}

/// Show a device in the old shape.
#[utoipa::path(get, path = "/api/devices/{id}", tag = "old boards",
    params(("id" = String, Path, description = "The id compiled into the board, or any name of the device")),
    security(("bearer" = []), ("device" = [])),
    responses((status = 200, body = LegacyDevice), (status = 401, body = LegacyProblem), (status = 404, body = LegacyProblem)))]
async fn get_one(
    State(app): State<AppState>,
    principal: Result<Principal, ApiError>,
    Path(id): Path<String>,
) -> LegacyResult<Json<LegacyDevice>> {
    let principal = principal?;
    let device = legacy::find_for(&app, &principal, &id, Action::Read)?;
    Ok(Json(LegacyDevice::of(&app, &device).await?))
}

/// The device is gone.
#[derive(Serialize, ToSchema)]
struct Removed {
    /// Always `success`.
    status: &'static str,
    /// A sentence.
    message: String,
    /// The id compiled into its board.
    device_id: String,
    /// What it was called.
    device_name: String,
    /// What went with it.
    cleanup_summary: Cleanup,
}

/// What went with a device.
#[derive(Serialize, ToSchema)]
struct Cleanup {
    /// Pieces of content of its own.
    custom_content_deleted: u64,
    /// Images that were shown on it; the images themselves stay.
    image_assignments_removed: u64,
}

/// Delete a device with everything that belongs to it.
#[utoipa::path(delete, path = "/api/devices/{id}", tag = "old boards",
    params(("id" = String, Path, description = "The id compiled into the board, or any name of the device")),
    security(("bearer" = [])),
    responses((status = 200, body = Removed), (status = 401, body = LegacyProblem), (status = 403, body = LegacyProblem),
        (status = 404, body = LegacyProblem)))]
async fn delete_one(
    State(app): State<AppState>,
    caller: Result<Caller, ApiError>,
    Path(id): Path<String>,
) -> LegacyResult<Json<Removed>> {
    let caller = caller?;
    let device = find(&app, &caller, &id, Action::Own)?;
    let device_id = id_of(&app, &device);
    logic::delete(&app, &caller, &device).await?;
    Ok(Json(Removed {
        status: "success",
        message: format!("Device \"{}\" successfully removed", device.name),
        device_id,
        device_name: device.name.clone(),
        cleanup_summary: Cleanup {
            custom_content_deleted: 0,
            image_assignments_removed: 0,
        },
    }))
}

/// The device is unlinked.
#[derive(Serialize, ToSchema)]
struct Unlinked {
    /// Always `success`.
    status: &'static str,
    /// A sentence.
    message: String,
    /// The id compiled into its board.
    device_id: String,
    /// What it is called.
    device_name: String,
    /// What stays.
    note: &'static str,
}

/// Unlink a device from its old board: the board speaks for it no more until it is claimed again, and nothing is deleted.
#[utoipa::path(post, path = "/api/devices/{id}/unlink", tag = "old boards",
    params(("id" = String, Path, description = "The id compiled into the board, or any name of the device")),
    security(("bearer" = [])),
    responses((status = 200, body = Unlinked), (status = 401, body = LegacyProblem), (status = 403, body = LegacyProblem),
        (status = 404, body = LegacyProblem)))]
async fn post_unlink(
    State(app): State<AppState>,
    caller: Result<Caller, ApiError>,
    Path(id): Path<String>,
) -> LegacyResult<Json<Unlinked>> {
    let caller = caller?;
    let device = find(&app, &caller, &id, Action::Own)?;
    let device_id = id_of(&app, &device);
    let closed = |legacy: &mut legacy::Legacy| {
        legacy.open = false;
        legacy.mac = None;
        legacy.address = None;
    };
    legacy::change(&app, device.id, &device_id, closed).await?;
    let now = app.clock.now_ms();
    presence::turn(&app, &device, false, now, json!({ "reason": "unlinked" }));
    let target = device.oid.to_string();
    identity::audit(&app, &caller, "device.unlink", &target, json!({})).await?;
    Ok(Json(Unlinked {
        status: "success",
        message: format!("Device \"{}\" unlinked successfully", device.name),
        device_id,
        device_name: device.name.clone(),
        note: "The board speaks for this device no more; nothing was deleted. Use DELETE to remove the device.",
    }))
}

/// What to call a device.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; it is read leniently")]
struct NicknameBody {
    /// 1 to 100 characters.
    nickname: String,
}

/// The device has a new name.
#[derive(Serialize, ToSchema)]
struct Renamed {
    /// Always true.
    success: bool,
    /// A sentence.
    message: &'static str,
    /// The id compiled into its board.
    device_id: String,
    /// What it is called now.
    nickname: String,
}

/// Say what to call a device.
#[utoipa::path(put, path = "/api/devices/{id}/nickname", tag = "old boards", request_body = NicknameBody,
    params(("id" = String, Path, description = "The id compiled into the board, or any name of the device")),
    security(("bearer" = [])),
    responses((status = 200, body = Renamed), (status = 400, body = LegacyProblem), (status = 401, body = LegacyProblem),
        (status = 403, body = LegacyProblem), (status = 404, body = LegacyProblem), (status = 413, body = LegacyProblem)))]
async fn put_nickname(
    State(app): State<AppState>,
    caller: Result<Caller, ApiError>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> LegacyResult<Json<Renamed>> {
    let caller = caller.map_err(Failure::flagged)?;
    let device = find(&app, &caller, &id, Action::Manage).map_err(Failure::flagged)?;
    let body = object(body).map_err(Failure::flagged)?;
    let nickname = body.get("nickname").and_then(Value::as_str);
    let nickname = nickname.and_then(|name| check::name(name).ok());
    let nickname = nickname.ok_or_else(|| {
        let sentence = "nickname must have 1 to 100 characters, none of them a control character.";
        Failure::flagged(ApiError::bad_request("invalid", sentence))
    })?;
    let patch = DevicePatch {
        name: Some(nickname),
        ..DevicePatch::default()
    };
    let renamed = logic::patch(&app, &caller, &device, patch).await;
    let renamed = renamed.map_err(Failure::flagged)?;
    Ok(Json(Renamed {
        success: true,
        message: "Nickname updated successfully",
        device_id: id_of(&app, &renamed),
        nickname: renamed.name.clone(),
    }))
}

/// How a board is to reach what is shown on it.
#[derive(Serialize, ToSchema)]
struct Debug {
    /// The id compiled into the board.
    device_id: String,
    /// What the device is called.
    device_name: String,
    /// Always `OK`.
    status: &'static str,
    /// The server's time (RFC 3339, UTC).
    server_time: String,
    /// Where its dashboard is.
    dashboard_bmp_url: String,
    /// The images that are shown on it.
    assigned_images: Vec<String>,
    /// Where they are.
    image_bmp_urls: Vec<String>,
    /// Always `ESP32_CONNECTED`.
    simple_test: &'static str,
}

/// There is no such device.
#[derive(Serialize, ToSchema)]
struct Unfound {
    /// A sentence.
    error: String,
    /// The id that was named.
    device_id: String,
    /// Always `NOT_FOUND`.
    status: &'static str,
    /// The same sentence.
    message: String,
    /// A stable word for programs.
    code: &'static str,
    /// Names this request in the server's log.
    request_id: String,
}

impl Unfound {
    fn of(id: &str, error: &ApiError) -> Self {
        Self {
            error: error.message().to_owned(),
            device_id: id.to_owned(),
            status: "NOT_FOUND",
            message: error.message().to_owned(),
            code: error.code(),
            request_id: request_id(),
        }
    }
}

/// The URL under which boards reach this server: the configured one, or else the host that was asked.
fn base_url(app: &AppState, headers: &HeaderMap) -> String {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']');
    match host.filter(|host| host.chars().all(plain)) {
        Some(host) if app.config.public_url.is_empty() => format!("http://{host}"),
        _ => app.config.base_url(),
    }
}

/// Show how a board reaches what is shown on it.
#[utoipa::path(get, path = "/api/esp32-debug/{id}", tag = "old boards",
    params(("id" = String, Path, description = "The id compiled into the board, or any name of the device")),
    security(("bearer" = [])),
    responses((status = 200, body = Debug), (status = 401, body = LegacyProblem), (status = 403, body = LegacyProblem),
        (status = 404, body = Unfound)))]
async fn get_debug(
    State(app): State<AppState>,
    caller: Result<Caller, ApiError>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> LegacyResult<Response> {
    let caller = caller?;
    let device = match find(&app, &caller, &id, Action::Read) {
        Err(error) if error.status() == StatusCode::NOT_FOUND => {
            return Ok((error.status(), Json(Unfound::of(&id, &error))).into_response());
        }
        found => found?,
    };
    let device_id = id_of(&app, &device);
    let base = base_url(&app, &headers);
    Ok(Json(Debug {
        dashboard_bmp_url: format!("{base}/dashboards/{device_id}_current.bmp"),
        device_id,
        device_name: device.name.clone(),
        status: "OK",
        server_time: iso(app.clock.now_ms()),
        assigned_images: Vec::new(),
        image_bmp_urls: Vec::new(),
        simple_test: "ESP32_CONNECTED",
    })
    .into_response())
}
