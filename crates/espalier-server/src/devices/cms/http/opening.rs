//! How an owner opens a device to its old board, which has no token.

use super::super::claim::{self, Opening};
use super::super::legacy::{self, Legacy};
use super::super::pin;
use super::super::view::legacy_id;
use crate::devices::{Device, require};
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::{Caller, Principal};
use crate::{ApiError, AppState};
use axum::extract::{Path, State};
use espalier_model::Action;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_opening, put_opening))
}

/// Whether a device is open to a board without a token.
#[derive(Serialize, ToSchema)]
struct OpeningView {
    /// The id compiled into the board.
    legacy_id: String,
    /// It may speak without a token.
    open: bool,
    /// The address it is pinned to; null is every address from which boards may speak without a token.
    address: Option<String>,
    /// The MAC it is pinned to; learnt when the board first sends it.
    mac: Option<String>,
    /// What the board calls itself.
    device_name: Option<String>,
    /// What its person does.
    occupation: Option<String>,
    /// The network it is in.
    wifi_ssid: Option<String>,
    /// What it can.
    capabilities: Option<String>,
    /// Whether content of its own is shown on it.
    custom_content_enabled: bool,
}

impl OpeningView {
    fn of(device: &Device, legacy: Option<&Legacy>) -> Self {
        let profile = legacy
            .map(|legacy| legacy.profile.clone())
            .unwrap_or_default();
        let address = legacy.and_then(|legacy| legacy.address);
        let mac = legacy.and_then(|legacy| legacy.mac);
        Self {
            legacy_id: legacy_id(device, legacy),
            open: legacy.is_some_and(|legacy| legacy.open),
            address: address.map(|address| address.to_string()),
            mac: mac.map(|mac| mac.to_string()),
            device_name: profile.device_name,
            occupation: profile.occupation,
            wifi_ssid: profile.wifi_ssid,
            capabilities: profile.capabilities,
            custom_content_enabled: profile.custom_content_enabled,
        }
    }
}

/// Show whether a device is open to a board without a token, and what that board said of itself.
#[utoipa::path(get, path = "/devices/{id}/legacy", tag = "old boards",
    params(("id" = String, Path, description = "24-digit id, UUID or alias")), security(("bearer" = [])),
    responses((status = 200, body = OpeningView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
async fn get_opening(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<OpeningView>> {
    let device = require(&app, &Principal::Account(caller), &id, Action::Manage)?;
    let legacy = legacy::of(&app, device.id);
    Ok(Json(OpeningView::of(&device, legacy.as_deref())))
}

/// How to open a device to a board without a token.
#[derive(Debug, Deserialize, ToSchema)]
struct OpeningBody {
    /// It may speak without a token. Whoever can send from its address can then speak for it.
    open: bool,
    /// The id compiled into the board; missing: as it is.
    legacy_id: Option<String>,
    /// The address it is pinned to; null or missing is every address from which boards may speak without a token.
    address: Option<String>,
    /// The MAC it is pinned to; null or missing: learnt when the board first sends it.
    mac: Option<String>,
}

/// Open a device to its old board, which has no token, or close it.
#[utoipa::path(put, path = "/devices/{id}/legacy", tag = "old boards", request_body = OpeningBody,
    params(("id" = String, Path, description = "24-digit id, UUID or alias")), security(("bearer" = [])),
    responses((status = 200, body = OpeningView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, description = "It could not be told from another open device", body = Problem),
        (status = 422, body = Problem)))]
async fn put_opening(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<OpeningBody>,
) -> ApiResult<Json<OpeningView>> {
    let principal = Principal::Account(caller.clone());
    let device = require(&app, &principal, &id, Action::Own)?;
    let wish = opening(&app, &device, body)?;
    let legacy = claim::open(&app, &caller, &device, wish).await?;
    Ok(Json(OpeningView::of(&device, Some(&legacy))))
}

fn opening(app: &AppState, device: &Device, body: OpeningBody) -> ApiResult<Opening> {
    let known = legacy::of(app, device.id);
    let legacy_id = match body.legacy_id {
        None => legacy_id(device, known.as_deref()),
        Some(id) if pin::is_id(&id) => id,
        Some(_) => {
            let wanted = "must have 1 to 255 bytes and no control characters";
            return Err(ApiError::invalid(&["body", "legacy_id"], wanted));
        }
    };
    let address = body.address.map(|text| text.trim().parse::<IpAddr>());
    let address = address.transpose().map_err(|_| {
        let wanted = "must be an IP address, e.g. 192.168.1.20";
        ApiError::invalid(&["body", "address"], wanted)
    })?;
    let mac = body.mac.map(|text| text.trim().parse()).transpose();
    let mac = mac
        .map_err(|wanted: pin::NotAMac| ApiError::invalid(&["body", "mac"], wanted.to_string()))?;
    Ok(Opening {
        legacy_id,
        open: body.open,
        mac,
        address: address.map(|address| address.to_canonical()),
    })
}
