//! Commands over HTTP: for people, and for devices that poll.

use super::logic::{self, NewCommand};
use super::store::{Command, Phase};
use crate::clock::iso;
use crate::devices::{self, Device};
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query};
use crate::identity::{Caller, Principal};
use crate::{ApiError, AppState};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use espalier_model::Action;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// How long a command is wanted unless it says otherwise, seconds.
const DEFAULT_EXPIRY_S: u32 = 300;
/// The longest that a command may wait for its device, seconds (7 days).
const MAX_EXPIRY_S: u32 = 7 * 24 * 3600;
/// The longest that a request waits for an outcome, seconds: below the time-outs of common proxies.
const MAX_WAIT_S: u32 = 30;
/// Commands in one list.
const MAX_LIST: u32 = 500;

/// A command.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommandView {
    /// The id.
    pub id: String,
    /// The same id.
    pub command_id: String,
    /// The device.
    pub device_id: String,
    /// What to do.
    pub name: String,
    /// With what.
    #[schema(value_type = Object)]
    pub params: Value,
    /// `queued`, `delivered`, `done`, `failed`, `expired` or `cancelled`; in the answer to sending it also
    /// `sent`: handed to the connected device just now.
    pub status: &'static str,
    /// What the device returned.
    pub result: Option<Value>,
    /// Why the device could not do it.
    pub error: Option<String>,
    /// Who sent it.
    pub created_by: String,
    /// When it was sent.
    pub created_at: String,
    /// When it is no longer wanted.
    pub expires_at: String,
    /// When the device got it first.
    pub delivered_at: Option<String>,
    /// When its outcome was known.
    pub finished_at: Option<String>,
}

impl CommandView {
    /// The command as shown.
    pub fn new(device: &Device, command: Command) -> Self {
        Self {
            command_id: command.id.clone(),
            id: command.id,
            device_id: device.oid.to_string(),
            name: command.name,
            params: command.params,
            status: command.phase.as_str(),
            result: command.result,
            error: command.error,
            created_by: command.created_by,
            created_at: iso(command.created_at),
            expires_at: iso(command.expires_at),
            delivered_at: command.delivered_at.map(iso),
            finished_at: command.finished_at.map(iso),
        }
    }
}

/// A command to send.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SendCommand {
    /// What to do: 1 to 64 letters, digits, `_`, `-`, `.` or `:`.
    name: String,
    /// With what; at most 1,792 bytes of JSON, nested at most 8 levels deep.
    #[schema(value_type = Option<Object>)]
    params: Option<Map<String, Value>>,
    /// Seconds after which it is no longer wanted, 1 to 604800; 300 when absent.
    #[schema(minimum = 1, maximum = 604_800)]
    expires_in_seconds: Option<u32>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Seconds to wait for the outcome, up to 30.
    #[param(maximum = 30)]
    wait: Option<u32>,
}

impl WaitQuery {
    fn duration(&self) -> Result<Duration, ApiError> {
        match self.wait {
            Some(s) if s > MAX_WAIT_S => {
                let why = format!("must be at most {MAX_WAIT_S} seconds; ask again to wait longer");
                Err(ApiError::invalid(&["query", "wait"], why))
            }
            wait => Ok(Duration::from_secs(wait.unwrap_or(0).into())),
        }
    }
}

/// Sends a command to a device.
///
/// A connected device gets it at once, any other when it asks next. With `wait` the answer comes with the
/// outcome (200), or without it when the time is over (202).
#[utoipa::path(
    post, path = "/devices/{id}/commands", tag = "control", request_body = SendCommand,
    params(("id" = String, Path, description = "The device's id or alias"), WaitQuery),
    responses(
        (status = 200, description = "The outcome, when waited for", body = CommandView),
        (status = 202, description = "Stored: `queued`, or `sent` when the device is connected", body = CommandView),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "You may see the device, but not control it", body = Problem),
        (status = 404, description = "No such device", body = Problem),
        (status = 409, description = "Too many open commands", body = Problem),
        (status = 422, description = "A field is wrong", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn send(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<WaitQuery>,
    Json(body): Json<SendCommand>,
) -> ApiResult<Response> {
    let wait = query.duration()?;
    let by = caller.account.to_string();
    let device = devices::require(&app, &Principal::Account(caller), &id, Action::Control)?;
    let seconds = body.expires_in_seconds.unwrap_or(DEFAULT_EXPIRY_S);
    if !(1..=MAX_EXPIRY_S).contains(&seconds) {
        let why = format!("must be between 1 and {MAX_EXPIRY_S}");
        return Err(ApiError::invalid(&["body", "expires_in_seconds"], why));
    }
    let new = NewCommand {
        name: body.name,
        params: Value::Object(body.params.unwrap_or_default()),
        expires_at: app.clock.now_ms() + i64::from(seconds) * 1000,
        by,
    };
    let (mut command, sent) = logic::send(&app, &device, new).await?;
    if !wait.is_zero() {
        command = logic::outcome(&app, device.id, &command.id, wait).await?;
    }
    let open = command.phase.is_open();
    let mut view = CommandView::new(&device, command);
    if open && sent {
        view.status = "sent";
    }
    let status = if open {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(view)).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// How many at most, up to 500; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// Only those that are `queued`, `delivered`, `done`, `failed`, `expired` or `cancelled`.
    status: Option<String>,
}

/// Lists the commands of a device, newest first.
#[utoipa::path(
    get, path = "/devices/{id}/commands", tag = "control",
    params(("id" = String, Path, description = "The device's id or alias"), ListQuery),
    responses(
        (status = 200, description = "The commands", body = Vec<CommandView>),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "No such device", body = Problem),
        (status = 422, description = "A parameter is wrong", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
) -> ApiResult<Json<Vec<CommandView>>> {
    let device = devices::require(&app, &Principal::Account(caller), &id, Action::Read)?;
    let wrong = |name: &str, why: String| ApiError::invalid(&["query", name], why);
    let limit = query.limit.unwrap_or(50);
    if !(1..=MAX_LIST).contains(&limit) {
        return Err(wrong("limit", format!("must be between 1 and {MAX_LIST}")));
    }
    let phase = query.status.map(|s| s.parse::<Phase>()).transpose();
    let phase = phase.map_err(|why| wrong("status", why))?;
    let commands = logic::list(&app, device.id, phase, limit).await?;
    let views = commands.into_iter().map(|c| CommandView::new(&device, c));
    Ok(Json(views.collect()))
}

/// Shows a command; with `wait` as soon as its outcome is known.
#[utoipa::path(
    get, path = "/devices/{id}/commands/{command}", tag = "control",
    params(
        ("id" = String, Path, description = "The device's id or alias"),
        ("command" = String, Path, description = "The command's id"),
        WaitQuery,
    ),
    responses(
        (status = 200, description = "The command", body = CommandView),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "No such device or command", body = Problem),
        (status = 422, description = "A parameter is wrong", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Path((id, command)): Path<(String, String)>,
    Query(query): Query<WaitQuery>,
) -> ApiResult<Json<CommandView>> {
    let wait = query.duration()?;
    let device = devices::require(&app, &Principal::Account(caller), &id, Action::Read)?;
    let command = logic::outcome(&app, device.id, &command, wait).await?;
    Ok(Json(CommandView::new(&device, command)))
}

/// Cancels a command that the device has not answered.
///
/// A device that got it already may still do it; its answer is then refused.
#[utoipa::path(
    delete, path = "/devices/{id}/commands/{command}", tag = "control",
    params(
        ("id" = String, Path, description = "The device's id or alias"),
        ("command" = String, Path, description = "The command's id"),
    ),
    responses(
        (status = 200, description = "Cancelled", body = CommandView),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "You may see the device, but not control it", body = Problem),
        (status = 404, description = "No such device or command", body = Problem),
        (status = 409, description = "It is answered or expired", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn cancel(
    State(app): State<AppState>,
    caller: Caller,
    Path((id, command)): Path<(String, String)>,
) -> ApiResult<Json<CommandView>> {
    let device = devices::require(&app, &Principal::Account(caller), &id, Action::Control)?;
    let command = logic::cancel(&app, &device, &command).await?;
    Ok(Json(CommandView::new(&device, command)))
}
