//! The sockets' handshakes.

use super::{MAX_FRAME, app_socket, device_socket};
use crate::error::Problem;
use crate::identity::Identified;
use crate::{ApiError, AppState};
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// Bytes that a device's socket reads at once. Its frames are small; a larger one grows the buffer for as
/// long as it is read.
const DEVICE_READ_BUFFER: usize = 512;

/// Bytes that a device's socket collects before it writes; every batch of answers is flushed anyway.
const DEVICE_WRITE_BUFFER: usize = 512;

/// The same for apps, which are few and hear a lot.
const APP_READ_BUFFER: usize = 2 * 1024;
const APP_WRITE_BUFFER: usize = 8 * 1024;

fn upgrade(upgrade: Upgrade) -> Result<WebSocketUpgrade, ApiError> {
    let upgrade = upgrade.map_err(|_| {
        ApiError::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "This path speaks WebSocket; connect to it with a WebSocket client.",
        )
    })?;
    // A frame somewhat above our limit is still read, so that it can be answered with 1009.
    Ok(upgrade
        .max_frame_size(2 * MAX_FRAME)
        .max_message_size(2 * MAX_FRAME))
}

/// Opens the app socket.
///
/// JSON text frames: everything that happens to the caller's devices, dashboards and notifications, as it
/// happens. The token comes in the query, a header, the browser's cookie, or the first frame
/// `{"type":"auth","token":…}` within 10 seconds. Send something (`{"type":"ping"}`) every 45 seconds.
/// Close codes: 4401 token missing, wrong, expired or revoked; 4403 a key without the scope `read`; 1008
/// silent, garbage or too many frames; 1009 frame too large; 1013 too slow; 1001 the server stops.
#[utoipa::path(
    get, path = "/ws", tag = "live",
    params(("token" = Option<String>, Query, description = "An access token; a header or the first frame is better, because a URL is easily logged.")),
    responses(
        (status = 101, description = "The socket is open; a wrong token closes it with 4401."),
        (status = 403, body = Problem, description = "A page of another site tried to use the cookie, or the API key lacks the scope `read`."),
        (status = 426, body = Problem, description = "Not a WebSocket handshake."),
    ),
    security((), ("bearer" = [])),
)]
pub(super) async fn app(
    State(app): State<AppState>,
    Extension(identified): Extension<Identified>,
    request: Upgrade,
) -> Result<Response, ApiError> {
    let request = upgrade(request)?
        .read_buffer_size(APP_READ_BUFFER)
        .write_buffer_size(APP_WRITE_BUFFER);
    Ok(request.on_upgrade(move |socket: WebSocket| async move {
        let tasks = app.tasks.clone();
        // A task of its own: it holds nothing of the handshake, and stopping waits for it.
        tasks.spawn(app_socket::run(app, socket, identified));
    }))
}

/// Opens the device socket.
///
/// JSON text frames of at most 64 KiB: `hello`, `telemetry`, `reported`, `heartbeat`, `command_result` and
/// `ping` up, `welcome`, `ack`, `error`, `desired`, `command` and `pong` down. The token comes in a header,
/// the query, or the first frame `{"type":"hello","token":…}` within 10 seconds. What is acknowledged is
/// durable. Close codes: 4401 token missing, wrong or renewed; 4403 a token that may not open this; 4409 replaced by a newer connection of the
/// same device; 1008 silent, garbage or too many frames; 1009 frame too large; 1013 too slow or busy; 1001 the server stops.
#[utoipa::path(
    get, path = "/ws/device", tag = "live",
    params(("token" = Option<String>, Query, description = "The device's token; a header or the first frame is better.")),
    responses(
        (status = 101, description = "The socket is open; a wrong token closes it with 4401."),
        (status = 426, body = Problem, description = "Not a WebSocket handshake."),
    ),
    security((), ("device" = [])),
)]
pub(super) async fn device(
    State(app): State<AppState>,
    Extension(identified): Extension<Identified>,
    request: Upgrade,
) -> Result<Response, ApiError> {
    let request = upgrade(request)?
        .read_buffer_size(DEVICE_READ_BUFFER)
        .write_buffer_size(DEVICE_WRITE_BUFFER);
    Ok(request.on_upgrade(move |socket: WebSocket| async move {
        let tasks = app.tasks.clone();
        tasks.spawn(device_socket::run(app, socket, identified));
    }))
}
