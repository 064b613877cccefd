//! The routes that decide who may use a device.

use super::Message;
use crate::AppState;
use crate::clock::iso;
use crate::devices::access::{self, Share};
use crate::devices::view::DeviceView;
use crate::devices::{Device, require};
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::{Caller, Principal};
use axum::extract::{Path, State};
use espalier_model::{Action, ShareRole};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get_shares))
        .routes(routes!(put_share, delete_share))
        .routes(routes!(post_transfer))
        .routes(routes!(post_token))
}

/// An account with which a device is shared.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Share")]
pub struct ShareView {
    /// The account's id.
    pub account_id: String,
    /// The name it signs in with.
    pub username: String,
    /// `viewer` sees, `member` also controls, `admin` also manages.
    pub role: &'static str,
    /// Since when (RFC 3339, UTC).
    pub since: String,
}

impl From<Share> for ShareView {
    fn from(share: Share) -> Self {
        Self {
            account_id: share.account.to_string(),
            username: share.username,
            role: share.role.as_str(),
            since: iso(share.since),
        }
    }
}

/// What a share permits.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ShareBody {
    /// `viewer` sees, `member` also controls, `admin` also manages.
    #[schema(value_type = String, example = "viewer")]
    pub role: ShareRole,
}

/// To whom a device goes.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TransferBody {
    /// The new owner's e-mail or username.
    pub to: String,
}

fn managed(app: &AppState, caller: &Caller, id: &str, action: Action) -> ApiResult<Arc<Device>> {
    require(app, &Principal::Account(caller.clone()), id, action)
}

/// List with whom a device is shared.
#[utoipa::path(get, path = "/devices/{id}/shares", tag = "devices", security(("bearer" = [])),
    params(("id" = String, Path, description = "24-digit id, UUID or alias")),
    responses((status = 200, body = [ShareView]), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
async fn get_shares(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Vec<ShareView>>> {
    let device = managed(&app, &caller, &id, Action::Manage)?;
    let shares = access::shares(&app, &device).await?;
    Ok(Json(shares.into_iter().map(ShareView::from).collect()))
}

/// Share a device with an account, or change what the share permits.
#[utoipa::path(put, path = "/devices/{id}/shares/{account}", tag = "devices", request_body = ShareBody,
    security(("bearer" = [])),
    params(("id" = String, Path, description = "24-digit id, UUID or alias"),
        ("account" = String, Path, description = "E-mail, username or account id")),
    responses((status = 200, body = ShareView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn put_share(
    State(app): State<AppState>,
    caller: Caller,
    Path((id, account)): Path<(String, String)>,
    Json(body): Json<ShareBody>,
) -> ApiResult<Json<ShareView>> {
    let device = managed(&app, &caller, &id, Action::Manage)?;
    let share = access::share(&app, &caller, &device, &account, body.role).await?;
    Ok(Json(share.into()))
}

/// End a share; whoever received it may also end it.
#[utoipa::path(delete, path = "/devices/{id}/shares/{account}", tag = "devices", security(("bearer" = [])),
    params(("id" = String, Path, description = "24-digit id, UUID or alias"),
        ("account" = String, Path, description = "E-mail, username or account id")),
    responses((status = 200, body = Message), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
async fn delete_share(
    State(app): State<AppState>,
    caller: Caller,
    Path((id, account)): Path<(String, String)>,
) -> ApiResult<Json<Message>> {
    let device = managed(&app, &caller, &id, Action::Read)?;
    let with = access::named(&app, &account).await?;
    if with.id != caller.account {
        managed(&app, &caller, &id, Action::Manage)?;
    }
    access::unshare(&app, &caller, &device, with).await?;
    Ok(Json(Message::new("Share ended")))
}

/// Give a device to another account.
///
/// Everybody it was shared with loses it. Only the owner or an admin may do this.
#[utoipa::path(post, path = "/devices/{id}/transfer", tag = "devices", request_body = TransferBody,
    security(("bearer" = [])),
    params(("id" = String, Path, description = "24-digit id, UUID or alias")),
    responses((status = 200, body = Message), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn post_transfer(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<TransferBody>,
) -> ApiResult<Json<Message>> {
    let device = managed(&app, &caller, &id, Action::Own)?;
    access::transfer(&app, &caller, &device, &body.to).await?;
    Ok(Json(Message::new("Device transferred")))
}

/// Give a device a new token.
///
/// The answer holds it in clear, for the only time; the old one is dead at once.
#[utoipa::path(post, path = "/devices/{id}/token", tag = "devices", security(("bearer" = [])),
    params(("id" = String, Path, description = "24-digit id, UUID or alias")),
    responses((status = 200, description = "The device with its new token", body = DeviceView),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn post_token(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<DeviceView>> {
    let device = managed(&app, &caller, &id, Action::Manage)?;
    let (device, token) = access::rotate(&app, &caller, &device).await?;
    Ok(Json(
        DeviceView::of(&device, caller.account).with_token(token),
    ))
}
