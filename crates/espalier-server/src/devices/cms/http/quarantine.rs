//! What admins see and decide about boards that wait.
//!
//! Only admins see the quarantine: a board that waits belongs to nobody yet, and what it says of itself (a name, an occupation,
//! a network) may be another member's.

use super::super::claim::{self, Block, Wish};
use super::super::legacy::{self, Legacy};
use super::super::quarantine::Waiting;
use crate::clock::iso;
use crate::devices::Device;
use crate::devices::http::Message;
use crate::devices::view::DeviceView;
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::Admin;
use crate::{ApiError, AppState};
use axum::extract::{Path, State};
use espalier_model::Oid;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get_waiting))
        .routes(routes!(get_blocks))
        .routes(routes!(delete_block))
        .routes(routes!(delete_waiting))
        .routes(routes!(post_claim))
        .routes(routes!(post_block))
}

/// A board that waits to be claimed.
#[derive(Serialize, ToSchema)]
struct WaitingBoard {
    /// Names this entry.
    id: String,
    /// The id that the board has compiled in.
    device_id: String,
    /// What it calls itself.
    device_name: Option<String>,
    /// What people call it.
    nickname: Option<String>,
    /// What its person does.
    occupation: Option<String>,
    /// Its type.
    device_type: Option<String>,
    /// The version of its firmware.
    firmware_version: Option<String>,
    /// What it can.
    capabilities: Option<String>,
    /// The network it is in.
    wifi_ssid: Option<String>,
    /// Seconds since it started.
    uptime_seconds: Option<u64>,
    /// Free heap, bytes.
    free_heap: Option<u32>,
    /// Wi-Fi signal strength, dBm.
    wifi_rssi: Option<i32>,
    /// Where it speaks from.
    address: String,
    /// The MAC of its station, when it sent one.
    mac: Option<String>,
    /// When it was first heard of (RFC 3339, UTC).
    first_seen: String,
    /// When it was last heard of (RFC 3339, UTC).
    last_seen: String,
    /// How often it asked.
    requests: u64,
    /// Another board has the same id: one that waits, or one of `devices`. They are kept apart by MAC and address.
    collision: bool,
    /// The devices that have this id already, because of another board, or because this board's address changed.
    devices: Vec<KnownDevice>,
}

/// A device that has the same id.
#[derive(Serialize, ToSchema)]
struct KnownDevice {
    /// Its 24-digit id.
    id: String,
    /// What it is called.
    name: String,
    /// Whether it is open to old boards.
    open: bool,
    /// The address it is pinned to.
    address: Option<String>,
    /// The MAC it is pinned to.
    mac: Option<String>,
}

impl KnownDevice {
    fn of(device: &Device, legacy: Option<&Legacy>) -> Self {
        let address = legacy.and_then(|legacy| legacy.address);
        let mac = legacy.and_then(|legacy| legacy.mac);
        Self {
            id: device.oid.to_string(),
            name: device.name.clone(),
            open: legacy.is_some_and(|legacy| legacy.open),
            address: address.map(|address| address.to_string()),
            mac: mac.map(|mac| mac.to_string()),
        }
    }
}

fn known(app: &AppState, legacy_id: &str) -> Vec<KnownDevice> {
    let mut found: Vec<_> = legacy::with_id(app, legacy_id)
        .into_iter()
        .map(|(device, legacy)| KnownDevice::of(&device, Some(&legacy)))
        .collect();
    if let Some(device) = app.devices.resolve(legacy_id) {
        let own = KnownDevice::of(&device, legacy::of(app, device.id).as_deref());
        if found.iter().all(|other| other.id != own.id) {
            found.push(own);
        }
    }
    found
}

impl WaitingBoard {
    fn of(app: &AppState, board: &Waiting, twins: bool) -> Self {
        let devices = known(app, &board.legacy_id);
        let said = board.said.clone();
        Self {
            id: board.id.to_string(),
            device_id: board.legacy_id.to_string(),
            device_name: said.name,
            nickname: said.nickname,
            occupation: said.occupation,
            device_type: said.device_type,
            firmware_version: said.version,
            capabilities: said.capabilities,
            wifi_ssid: said.wifi_ssid,
            uptime_seconds: said.uptime_s,
            free_heap: said.free_heap,
            wifi_rssi: said.rssi,
            address: board.address.to_string(),
            mac: board.mac.map(|mac| mac.to_string()),
            first_seen: iso(board.first_seen),
            last_seen: iso(board.last_seen),
            requests: board.requests,
            collision: twins || !devices.is_empty(),
            devices,
        }
    }
}

/// List the boards that wait to be claimed, the newest first.
///
/// They have no token and speak for no device. The list is in memory; after a restart it fills as they speak again.
#[utoipa::path(get, path = "/quarantine", tag = "old boards", security(("bearer" = [])),
    responses((status = 200, body = [WaitingBoard]), (status = 401, body = Problem), (status = 403, body = Problem)))]
async fn get_waiting(State(app): State<AppState>, _: Admin) -> Json<Vec<WaitingBoard>> {
    let waiting = claim::waiting(&app);
    let twins = |board: &Waiting| {
        let same = waiting.iter().filter(|w| w.legacy_id == board.legacy_id);
        same.count() > 1
    };
    let boards = waiting.iter();
    Json(
        boards
            .map(|board| WaitingBoard::of(&app, board, twins(board)))
            .collect(),
    )
}

/// How to claim a board.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
struct ClaimBoard {
    /// What to call it; missing: what it calls itself.
    name: Option<String>,
    /// It may go on without a token, from the station it speaks from now.
    open: bool,
    /// The device that it is, instead of a new one: any of its names.
    device: Option<String>,
}

fn oid(id: &str) -> ApiResult<Oid> {
    id.parse().map_err(|_| ApiError::not_found("Board"))
}

/// Make a board that waits a device of the caller, or tell which device it is.
///
/// A new device answers to the board's id, unless another does already, and is shown with its token for the only time. With
/// `open` the board goes on as it is, pinned to its MAC and address; without, its firmware must be given the token.
#[utoipa::path(post, path = "/quarantine/{id}/claim", tag = "old boards", request_body = ClaimBoard,
    params(("id" = String, Path, description = "The entry's id")), security(("bearer" = [])),
    responses((status = 200, description = "The device, a new one with its token", body = DeviceView),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "It waits no more, or there is no such device", body = Problem),
        (status = 409, description = "It could not be told from another open board", body = Problem),
        (status = 422, body = Problem)))]
async fn post_claim(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Path(id): Path<String>,
    Json(body): Json<ClaimBoard>,
) -> ApiResult<Json<DeviceView>> {
    let wish = Wish {
        name: body.name,
        open: body.open,
        device: body.device,
    };
    let (device, token) = claim::claim(&app, &caller, oid(&id)?, wish).await?;
    let view = DeviceView::of(&device, caller.account);
    Ok(Json(match token {
        Some(token) => view.with_token(token),
        None => view,
    }))
}

/// Send a board that waits away; when it speaks again it waits again.
#[utoipa::path(delete, path = "/quarantine/{id}", tag = "old boards",
    params(("id" = String, Path, description = "The entry's id")), security(("bearer" = [])),
    responses((status = 200, body = Message), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
async fn delete_waiting(
    State(app): State<AppState>,
    _: Admin,
    Path(id): Path<String>,
) -> ApiResult<Json<Message>> {
    claim::dismiss(&app, oid(&id)?)?;
    Ok(Json(Message::new(
        "Sent away; it waits again when it speaks again",
    )))
}

/// A board that is refused.
#[derive(Serialize, ToSchema)]
struct BlockedBoard {
    /// Names the block.
    id: String,
    /// The id that the board has compiled in.
    device_id: String,
    /// Its MAC, when it was known.
    mac: Option<String>,
    /// Where it spoke from.
    address: String,
    /// Who blocked it.
    blocked_by: String,
    /// When (RFC 3339, UTC).
    blocked_at: String,
}

impl From<Block> for BlockedBoard {
    fn from(block: Block) -> Self {
        Self {
            id: block.id.to_string(),
            device_id: block.legacy_id.into(),
            mac: block.mac.map(|mac| mac.to_string()),
            address: block.address.to_string(),
            blocked_by: block.by,
            blocked_at: iso(block.at),
        }
    }
}

/// Block a board that waits: this id is refused from its station from now on.
#[utoipa::path(post, path = "/quarantine/{id}/block", tag = "old boards",
    params(("id" = String, Path, description = "The entry's id")), security(("bearer" = [])),
    responses((status = 200, body = BlockedBoard), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, description = "Too many are blocked", body = Problem)))]
async fn post_block(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Path(id): Path<String>,
) -> ApiResult<Json<BlockedBoard>> {
    let block = claim::block(&app, &caller, oid(&id)?).await?;
    Ok(Json(block.into()))
}

/// List the boards that are refused, the newest first.
#[utoipa::path(get, path = "/quarantine/blocked", tag = "old boards", security(("bearer" = [])),
    responses((status = 200, body = [BlockedBoard]), (status = 401, body = Problem), (status = 403, body = Problem)))]
async fn get_blocks(State(app): State<AppState>, _: Admin) -> Json<Vec<BlockedBoard>> {
    let blocks = claim::blocks(&app).into_iter();
    Json(blocks.map(BlockedBoard::from).collect())
}

/// Let a blocked board be heard again.
#[utoipa::path(delete, path = "/quarantine/blocked/{id}", tag = "old boards",
    params(("id" = String, Path, description = "The block's id")), security(("bearer" = [])),
    responses((status = 200, body = Message), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
async fn delete_block(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Path(id): Path<String>,
) -> ApiResult<Json<Message>> {
    claim::unblock(&app, &caller, oid(&id)?).await?;
    Ok(Json(Message::new(
        "Unblocked; it waits when it speaks again",
    )))
}
