//! What old boards call.

use super::super::gate::{self, Admitted};
use super::super::legacy::{self, Legacy};
use super::super::pin::{self, MAX_ID};
use super::super::said::Said;
use super::super::shape::{Failure, LegacyProblem};
use super::super::view::LegacyDevice;
use super::super::{claim, report};
use super::{LegacyResult, object};
use crate::clock::iso;
use crate::devices;
use crate::error::ApiResult;
use crate::http::{Json, Peer};
use crate::identity::{Caller, Identified, Principal};
use crate::{ApiError, AppState};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use espalier_model::Action;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(post_register))
        .routes(routes!(post_heartbeat))
        .routes(routes!(post_sensor_data))
        .routes(routes!(post_ping))
}

/// What an old board says when it starts.
#[derive(Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "describes the body; it is read leniently, field by field"
)]
struct RegisterBody {
    /// The id that it has compiled in, at most 255 bytes.
    device_id: String,
    /// What it calls itself.
    device_name: String,
    /// What its person does.
    occupation: String,
    /// Its type.
    device_type: String,
    /// The network it is in.
    wifi_ssid: Option<String>,
    /// What it wants to be shown.
    #[schema(value_type = Option<Object>)]
    preferences: Option<Value>,
    /// What people call it.
    nickname: Option<String>,
    /// The version of its firmware.
    firmware_version: Option<String>,
    /// What it can.
    capabilities: Option<String>,
}

/// The board is registered, or waits.
#[derive(Serialize, ToSchema)]
struct Registered {
    /// Always true.
    success: bool,
    /// A sentence.
    message: &'static str,
    /// The id that it has compiled in.
    device_id: String,
    /// The device's token, when a person registered a new device; in clear for the only time.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_token: Option<String>,
}

/// An old board says that it is there and what it is.
///
/// A claimed board updates its network, firmware version, capabilities and sensors; owner and names stay. An unknown one waits in
/// quarantine. A signed-in person makes a device of their own that answers to the id.
#[utoipa::path(post, path = "/api/devices/register", tag = "old boards", request_body = RegisterBody,
    security((), ("device" = []), ("bearer" = [])),
    responses((status = 200, body = Registered), (status = 400, description = "A field is missing", body = LegacyProblem),
        (status = 401, description = "Wrong token, or boards without one are not heard from here", body = LegacyProblem),
        (status = 403, body = LegacyProblem), (status = 404, description = "The token of another device", body = LegacyProblem),
        (status = 413, body = LegacyProblem), (status = 422, body = LegacyProblem)))]
async fn post_register(
    State(app): State<AppState>,
    peer: Peer,
    Extension(who): Extension<Identified>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> LegacyResult<Json<Registered>> {
    register(&app, peer, &who, &headers, body)
        .await
        .map(Json)
        .map_err(Failure::flagged)
}

async fn register(
    app: &AppState,
    peer: Peer,
    who: &Identified,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> ApiResult<Registered> {
    let body = object(body)?;
    let id = body.get("device_id").and_then(Value::as_str);
    let id = id.unwrap_or_default().trim();
    let said = Said::of(&body);
    let given = said.name.is_some() && said.occupation.is_some() && said.device_type.is_some();
    if id.is_empty() || !given {
        let sentence = "Missing required fields";
        return Err(ApiError::bad_request("missing_fields", sentence));
    }
    if !pin::is_id(id) {
        let sentence =
            format!("device_id must have 1 to {MAX_ID} bytes and no control characters.");
        return Err(ApiError::bad_request("invalid_id", sentence));
    }
    let mut device_token = None;
    if let Identified::Known(Principal::Account(caller)) = who {
        device_token = register_for(app, caller, id, said).await?;
    } else if let Admitted::Device(device) =
        gate::speak(app, id, peer, headers, who, said.clone()).await?
    {
        let sensors = report::sensors(&body).unwrap_or_default();
        report::take(app, &device, id, said, sensors).await?;
    }
    Ok(Registered {
        success: true,
        message: "Device registered successfully",
        device_id: id.to_owned(),
        device_token,
    })
}

/// A person registers a board: a new device of theirs, or what one of theirs says of itself.
async fn register_for(
    app: &AppState,
    caller: &Caller,
    id: &str,
    said: Said,
) -> ApiResult<Option<String>> {
    let principal = Principal::Account(caller.clone());
    let profile = claim::profile_of(&said);
    match legacy::find_for(app, &principal, id, Action::Manage) {
        Ok(device) => {
            let edit = move |legacy: &mut Legacy| {
                let enabled = legacy.profile.custom_content_enabled;
                legacy.profile = profile;
                legacy.profile.custom_content_enabled = enabled;
            };
            legacy::change(app, device.id, id, edit).await?;
            Ok(None)
        }
        Err(error) if error.status() == axum::http::StatusCode::NOT_FOUND => {
            let legacy = Legacy {
                profile,
                ..Legacy::new(id)
            };
            let name = said.nickname.clone().or_else(|| said.name.clone());
            let name = name.unwrap_or_else(|| id.to_owned());
            let (_, token) = claim::adopt(app, caller, legacy, &name, &said).await?;
            Ok(Some(token))
        }
        Err(error) => Err(error),
    }
}

/// What an old board says every 30 seconds.
#[derive(Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "describes the body; it is read leniently, field by field"
)]
struct HeartbeatBody {
    /// The version of its firmware.
    version: Option<String>,
    /// Its type.
    device_type: Option<String>,
    /// Seconds since it started.
    uptime: Option<u64>,
    /// Free heap, bytes.
    free_heap: Option<u32>,
    /// Wi-Fi signal strength, dBm.
    wifi_rssi: Option<i32>,
    /// `dashboard` or `images`.
    current_mode: Option<String>,
    /// The dashboard is on its screen.
    dashboard_loaded: Option<bool>,
    /// An image is on its screen.
    image_loaded: Option<bool>,
}

/// The sign of life was heard.
#[derive(Serialize, ToSchema)]
struct Heard {
    /// Always `heartbeat_received`.
    status: &'static str,
    /// The server's time (RFC 3339, UTC).
    timestamp: String,
}

/// An old board says that it is there and how it is.
#[utoipa::path(post, path = "/api/devices/{id}/heartbeat", tag = "old boards", request_body = HeartbeatBody,
    params(("id" = String, Path, description = "The id compiled into the board, or any name of the device")),
    security((), ("device" = [])),
    responses((status = 200, body = Heard), (status = 400, description = "No JSON object", body = LegacyProblem),
        (status = 401, description = "Wrong token, or boards without one are not heard from here", body = LegacyProblem),
        (status = 403, body = LegacyProblem), (status = 404, description = "The token of another device", body = LegacyProblem),
        (status = 413, body = LegacyProblem), (status = 503, body = LegacyProblem)))]
async fn post_heartbeat(
    State(app): State<AppState>,
    Path(id): Path<String>,
    peer: Peer,
    Extension(who): Extension<Identified>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> LegacyResult<Json<Heard>> {
    let body = object(body)?;
    let said = Said::of(&body);
    let admitted = gate::speak(&app, &id, peer, &headers, &who, said.clone()).await?;
    if let Admitted::Device(device) = admitted {
        report::take(&app, &device, &id, said, Map::new()).await?;
    }
    Ok(Json(Heard {
        status: "heartbeat_received",
        timestamp: iso(app.clock.now_ms()),
    }))
}

/// What an old board measured.
#[derive(Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "describes the body; it is read leniently, field by field"
)]
struct SensorBody {
    /// Degrees Celsius; null when the sensor failed.
    temperature: Option<f64>,
    /// Percent.
    humidity: Option<f64>,
    /// Whether it saw motion.
    motion_detected: Option<bool>,
    /// Whether it sleeps.
    sleep_mode: Option<bool>,
    /// Seconds since it started.
    timestamp: Option<u64>,
}

/// The values are stored.
#[derive(Serialize, ToSchema)]
struct Measured {
    /// Always `success`.
    status: &'static str,
    /// Names the fields that were taken.
    message: String,
    /// The device as it is now; for a board that waits, what it said just now.
    device: LegacyDevice,
}

/// An old board reports what it measured.
#[utoipa::path(post, path = "/api/devices/{id}/sensor-data", tag = "old boards", request_body = SensorBody,
    params(("id" = String, Path, description = "The id compiled into the board, or any name of the device")),
    security((), ("device" = [])),
    responses((status = 200, body = Measured),
        (status = 400, description = "No JSON object, or a value of another kind", body = LegacyProblem),
        (status = 401, description = "Wrong token, or boards without one are not heard from here", body = LegacyProblem),
        (status = 403, body = LegacyProblem), (status = 404, description = "The token of another device", body = LegacyProblem),
        (status = 413, body = LegacyProblem), (status = 503, body = LegacyProblem)))]
async fn post_sensor_data(
    State(app): State<AppState>,
    Path(id): Path<String>,
    peer: Peer,
    Extension(who): Extension<Identified>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> LegacyResult<Json<Measured>> {
    let body = object(body)?;
    let sensors = report::sensors(&body)?;
    let said = Said::of(&body);
    let fields: Vec<&str> = sensors.keys().map(String::as_str).collect();
    let message = format!("Sensor data updated: {}", fields.join(", "));
    let admitted = gate::speak(&app, &id, peer, &headers, &who, said.clone()).await?;
    let device = match admitted {
        Admitted::Quarantined => LegacyDevice::of_stranger(&id, said, &sensors),
        Admitted::Device(device) => {
            report::take(&app, &device, &id, said, sensors).await?;
            let device = app.devices.get(device.id).unwrap_or(device);
            LegacyDevice::of(&app, &device).await?
        }
    };
    Ok(Json(Measured {
        status: "success",
        message,
        device,
    }))
}

/// The sign of life was heard.
#[derive(Serialize, ToSchema)]
struct Pong {
    /// Always `success`.
    status: &'static str,
    /// Always `pong`.
    message: &'static str,
    /// The id that was named.
    device_id: String,
    /// The server's time (RFC 3339, UTC).
    timestamp: String,
}

/// An old board says that it is there, and nothing else.
#[utoipa::path(post, path = "/api/devices/{id}/ping", tag = "old boards",
    params(("id" = String, Path, description = "The id compiled into the board, or any name of the device")),
    security((), ("device" = [])),
    responses((status = 200, body = Pong),
        (status = 401, description = "Wrong token, or boards without one are not heard from here", body = LegacyProblem),
        (status = 403, body = LegacyProblem), (status = 404, description = "The token of another device", body = LegacyProblem)))]
async fn post_ping(
    State(app): State<AppState>,
    Path(id): Path<String>,
    peer: Peer,
    Extension(who): Extension<Identified>,
    headers: HeaderMap,
) -> LegacyResult<Json<Pong>> {
    if let Admitted::Device(device) = gate::admit(&app, &id, peer, &headers, &who).await? {
        devices::seen(&app, &device);
    }
    Ok(Json(Pong {
        status: "success",
        message: "pong",
        device_id: id,
        timestamp: iso(app.clock.now_ms()),
    }))
}
