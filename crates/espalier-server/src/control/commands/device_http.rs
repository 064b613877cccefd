//! Commands over HTTP, for the devices that do them.

use crate::devices::{self, Device};
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::{self, Identified, Principal};
use crate::{ApiError, AppState};
use axum::Extension;
use axum::extract::{Path, State};
use espalier_wire::limits::MAX_DOWN_BYTES;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// The commands that a device should do.
#[derive(Debug, Serialize, ToSchema)]
pub struct PendingCommands {
    /// Oldest first; one that was not answered comes again under the same id. At most 2,048 bytes of them, the others when these are
    /// answered.
    commands: Vec<PendingView>,
}

/// A command as its device gets it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PendingView {
    /// The id under which to answer.
    id: String,
    /// What to do.
    name: String,
    /// With what.
    #[schema(value_type = Object)]
    params: Value,
    /// When it is no longer wanted, milliseconds UTC.
    expires_at: i64,
}

/// Gives a device the commands that wait for it.
#[utoipa::path(
    get, path = "/devices/{id}/commands/pending", tag = "control",
    params(("id" = String, Path, description = "The device's id or alias")),
    responses(
        (status = 200, description = "The commands", body = PendingCommands),
        (status = 401, description = "No device token", body = Problem),
        (status = 403, description = "Not this device's token", body = Problem),
        (status = 404, description = "No such device", body = Problem),
    ),
    security(("device" = []))
)]
pub async fn pending(
    State(app): State<AppState>,
    Extension(who): Extension<Identified>,
    Path(id): Path<String>,
) -> ApiResult<Json<PendingCommands>> {
    let device = own_device(&app, &who, None, &id)?;
    devices::seen(&app, &device);
    let commands = super::pending_commands(&app, device.id, Some(MAX_DOWN_BYTES)).await?;
    let commands = commands.into_iter().map(|c| PendingView {
        id: c.id,
        name: c.name,
        params: c.params,
        expires_at: c.expires_at,
    });
    Ok(Json(PendingCommands {
        commands: commands.collect(),
    }))
}

/// What came of a command.
#[derive(Deserialize, ToSchema)]
pub struct CommandResult {
    /// The device token, unless a header carries it.
    device_token: Option<String>,
    /// Whether it succeeded.
    ok: bool,
    /// What it returned.
    result: Option<Value>,
    /// Why it failed, in one sentence.
    error: Option<String>,
}

/// The outcome is noted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Noted {
    /// Always `ok`.
    message: &'static str,
}

/// Takes a device's answer to a command; the same answer again is fine.
#[utoipa::path(
    post, path = "/devices/{id}/commands/{command}/result", tag = "control", request_body = CommandResult,
    params(
        ("id" = String, Path, description = "The device's id or alias"),
        ("command" = String, Path, description = "The command's id"),
    ),
    responses(
        (status = 200, description = "Noted", body = Noted),
        (status = 401, description = "No device token", body = Problem),
        (status = 403, description = "Not this device's token", body = Problem),
        (status = 404, description = "No such device or command", body = Problem),
        (status = 409, description = "It is answered otherwise, cancelled or expired", body = Problem),
        (status = 422, description = "A field is wrong", body = Problem),
    ),
    security(("device" = []))
)]
pub async fn result(
    State(app): State<AppState>,
    Extension(who): Extension<Identified>,
    Path((id, command)): Path<(String, String)>,
    Json(body): Json<CommandResult>,
) -> ApiResult<Json<Noted>> {
    let device = own_device(&app, &who, body.device_token.as_deref(), &id)?;
    devices::seen(&app, &device);
    let result = if body.ok {
        Ok(body.result.unwrap_or_default())
    } else {
        Err(body
            .error
            .unwrap_or_else(|| "The device gave no reason.".to_owned()))
    };
    super::command_result(&app, &device, &command, result).await?;
    Ok(Json(Noted { message: "ok" }))
}

/// The device that asks, when it asks about itself; its token may stand in the body.
///
/// # Errors
/// Without a device token, with that of another device, and when there is no such device.
pub(crate) fn own_device(
    app: &AppState,
    who: &Identified,
    body_token: Option<&str>,
    id: &str,
) -> Result<Arc<Device>, ApiError> {
    let from_body = || body_token.and_then(|token| identity::device_by_token(app, token));
    let device = match who {
        Identified::Known(Principal::Device(device)) => device.clone(),
        Identified::Known(Principal::Account(_)) => {
            let why = "Only the device itself may do this; send its token.";
            return Err(ApiError::forbidden(why));
        }
        Identified::Nobody | Identified::Unknown => from_body().ok_or_else(|| {
            ApiError::unauthorized(
                "The device token is missing or wrong; send `Authorization: Bearer <token>`.",
            )
        })?,
    };
    let named = app.devices.resolve(id);
    let named = named.ok_or_else(|| ApiError::not_found("Device"))?;
    if named.id == device.id {
        return Ok(named);
    }
    Err(ApiError::forbidden("This token belongs to another device."))
}
