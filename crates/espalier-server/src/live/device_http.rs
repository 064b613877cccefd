//! The sign of life of a device without a socket: what a greeting and a heartbeat say, in one request. Not telemetry, and not the
//! heartbeat of old boards.

use super::{MAX_FRAME, device_socket};
use crate::control::own_device;
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Raw};
use crate::identity::Identified;
use crate::{ApiError, AppState, devices};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use espalier_wire::http::HeartbeatPost;
use serde::Serialize;
use utoipa::ToSchema;

/// What a device says of itself.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the body, which the device protocol reads"
)]
pub(super) struct HeartbeatBody {
    /// The device token, unless a header carries it.
    device_token: Option<String>,
    /// Seconds since it started.
    uptime_s: u64,
    /// Free heap, bytes.
    heap_free: Option<u32>,
    /// Wi-Fi signal strength, dBm.
    rssi: Option<i32>,
    /// Why it started last, for example `power_on` or `panic`.
    boot_reason: Option<String>,
    /// How often it has started in its life.
    boots: Option<u32>,
    /// What runs on it.
    firmware: Option<RunningFirmware>,
    /// Its chip, for example `esp32c3`.
    chip: Option<String>,
    /// Its board, for example `weather`.
    board: Option<String>,
    /// How often it means to be heard, seconds.
    expected_interval_s: Option<u32>,
}

/// The firmware that runs on a device.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the body, which the device protocol reads"
)]
pub(super) struct RunningFirmware {
    /// Its version.
    version: String,
    /// SHA-256 of the image, 64 hexadecimal digits.
    sha256: Option<String>,
    /// Whether it has not confirmed itself yet.
    trial: Option<bool>,
}

/// The sign of life was heard.
#[derive(Serialize, ToSchema)]
pub(super) struct Heard {
    /// Always `ok`.
    message: &'static str,
    /// The server's time, milliseconds UTC.
    time: i64,
}

/// Takes the sign of life of a device that has no socket
///
/// Heap, signal and uptime become telemetry, as with the `heartbeat` of a socket; firmware and chip are what the fleet view shows.
#[utoipa::path(
    post, path = "/devices/{id}/heartbeat", tag = "telemetry", request_body = HeartbeatBody,
    params(("id" = String, Path, description = "The device's id or alias")),
    responses(
        (status = 200, description = "Heard", body = Heard),
        (status = 401, description = "No device token", body = Problem),
        (status = 403, description = "Not this device's token", body = Problem),
        (status = 404, description = "No such device", body = Problem),
        (status = 413, description = "More than 64 KiB", body = Problem),
        (status = 422, description = "The body breaks a rule", body = Problem),
        (status = 503, description = "The server cannot store it now; send it again after `Retry-After`", body = Problem),
    ),
    security(("device" = []))
)]
pub(super) async fn heartbeat(
    State(app): State<AppState>,
    Extension(who): Extension<Identified>,
    Path(id): Path<String>,
    Raw(body): Raw,
) -> ApiResult<Json<Heard>> {
    if body.len() > MAX_FRAME {
        let why = "a sign of life has at most 64 KiB; send values as telemetry";
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            why,
        ));
    }
    let said = std::str::from_utf8(&body)
        .map_err(|_| ApiError::invalid(&["body"], "The body must be JSON in UTF-8."))
        .and_then(|text| {
            HeartbeatPost::parse(text)
                .map_err(|wrong| ApiError::invalid(&["body"], wrong.to_string()))
        });
    // Who may not speak hears nothing of what the body should be.
    let token = said.as_ref().ok().and_then(|post| post.hello.token);
    let token = token.map(|token| token.expose().to_cow());
    let device = own_device(&app, &who, token.as_deref(), &id)?;
    let post = said?;
    devices::seen(&app, &device);
    device_socket::hear_post(&app, &device, &post).await?;
    Ok(Json(Heard {
        message: "ok",
        time: app.clock.now_ms(),
    }))
}
