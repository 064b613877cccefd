//! Updates of boards with our firmware: the contract is [`espalier_wire::ota`].

use super::send::{Blob, Watch, send, value};
use super::slots::By;
use crate::devices::{self, Device};
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query, Raw};
use crate::identity::Principal;
use crate::ota::fleet::{self, Running};
use crate::ota::library::{self, Digest, Firmware};
use crate::ota::rollouts::{self, Decision, Offer};
use crate::{ApiError, AppState, ota};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use espalier_model::{FirmwareId, UpdateId};
use espalier_wire::json::Text;
use espalier_wire::ota as wire;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// What a board says when it asks.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct Asking {
    /// SHA-256 of the image that runs, 64 hexadecimal digits.
    running: Option<String>,
    /// 1: it runs on trial.
    trial: Option<u8>,
    /// Bytes that the slot for the next image has.
    slot: Option<u64>,
    /// The lowest secure version that the board accepts.
    secure: Option<u32>,
    /// The serial of the key set that the board holds.
    keys: Option<u32>,
}

/// An image to install.
#[derive(Serialize, ToSchema)]
pub struct OfferBody {
    /// The id of this device's update; every report names it.
    update: String,
    /// The attempt, counted from 1; every report names it.
    attempt: u32,
    /// SHA-256 of the image, hexadecimal.
    sha256: String,
    /// Bytes of the image.
    size: u32,
    /// Version text, for people.
    version: String,
    /// The signed manifest.
    manifest: Option<String>,
    /// Bytes of the patch from the running image, when there is one that pays.
    patch_size: Option<u32>,
    /// Seconds that the image has, after its first boot, to confirm itself.
    confirm_within_s: u32,
    /// A newer key set than the board's; for a board whose serial is 0 perhaps the owner's keys as a set that nobody signed.
    keys: Option<String>,
}

/// How far a board is with an update.
#[derive(Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "it describes what `espalier_wire::ota::Report` reads"
)]
pub struct ReportBody {
    /// The attempt of the offer.
    attempt: u32,
    /// `downloading`, `written`, `trial`, `confirmed`, `rolled_back` or `failed`.
    stage: String,
    /// Bytes of the new image that are in flash, while downloading.
    bytes: Option<u32>,
    /// Whether a patch is applied.
    patch: Option<bool>,
    /// SHA-256 of the image that runs now, hexadecimal.
    running: Option<String>,
    /// Why it failed or was rolled back.
    reason: Option<String>,
}

/// The report is noted.
#[derive(Debug, Serialize, ToSchema)]
pub struct UpdateNoted {
    /// Where the update stands.
    state: &'static str,
}

/// Tell a board what to install.
#[utoipa::path(get, path = "/device/update", tag = "firmware", security(("device" = [])), params(Asking),
    responses((status = 200, description = "Install this", body = OfferBody),
        (status = 204, description = "Nothing to do"),
        (status = 304, description = "As before (`If-None-Match`)"),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn check(
    State(app): State<AppState>,
    principal: Principal,
    Query(asking): Query<Asking>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let device = board(principal)?;
    let running = hear(&app, &device, asking)?;
    let answer = match rollouts::decide(&app, &device, &running) {
        Decision::Offer(offer) if may_offer(&app, &offer, &running) => {
            rollouts::offered(&app, &device, &offer).await?;
            Some(written(&app, &device, &offer, &running)?)
        }
        _ => None,
    };
    let etag = etag(&running, answer.as_deref());
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|has| *has == etag);
    let mut response = match answer {
        _ if known => StatusCode::NOT_MODIFIED.into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
        Some(body) => {
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json)], body).into_response()
        }
    };
    response.headers_mut().insert(header::ETAG, etag);
    Ok(response)
}

/// What a board is told depends on what it runs and on the answer; both make its name.
fn etag(running: &Running, answer: Option<&str>) -> HeaderValue {
    let runs = running.sha256.map_or(0, |digest| {
        u64::from_le_bytes(digest[..8].try_into().unwrap_or_default())
    });
    let said = answer.map_or([0; 8], |body| {
        let digest = crate::random::digest(body);
        digest[..8].try_into().unwrap_or_default()
    });
    value(&format!("\"{runs:016x}{:016x}\"", u64::from_le_bytes(said)))
}

/// The board that asks.
fn board(principal: Principal) -> ApiResult<Arc<Device>> {
    match principal {
        Principal::Device(device) => Ok(device),
        Principal::Account(_) => Err(ApiError::forbidden(
            "Only a board may ask this; send its token.",
        )),
    }
}

/// Takes in what a board says when it asks.
fn hear(app: &AppState, device: &Arc<Device>, asking: Asking) -> ApiResult<Arc<Running>> {
    let sha256 = match asking.running.as_deref() {
        None | Some("") => None,
        Some(text) => Some(ota::digest(text).ok_or_else(|| {
            let wanted = "must be a SHA-256 in 64 hexadecimal digits";
            ApiError::invalid(&["query", "running"], wanted)
        })?),
    };
    devices::seen(app, device);
    Ok(fleet::heard(app, device, |running| {
        running.native = true;
        running.sha256 = sha256;
        running.trial = asking.trial == Some(1);
        running.slot_bytes = asking.slot;
        running.secure_version = asking.secure;
        running.key_serial = asking.keys;
    }))
}

/// Whether an offer may reach this board: what runs is not offered, and a board that holds keys gets only what a key signed.
fn may_offer(app: &AppState, offer: &Offer, running: &Running) -> bool {
    let needs_signature = running.key_serial.is_some() || !app.config.allow_unsigned;
    let signed = app
        .ota
        .library
        .installable(&offer.firmware, !needs_signature);
    running.sha256 != Some(offer.firmware.sha256) && signed.is_ok()
}

/// The offer as the board reads it.
fn written(app: &AppState, device: &Device, offer: &Offer, running: &Running) -> ApiResult<String> {
    let firmware = &offer.firmware;
    let update = offer.update.to_string();
    let sha256 = hex::encode(firmware.sha256);
    let put = app.ota.library.key_set(device.owner);
    let newer = put.filter(|set| running.key_serial.is_some_and(|has| has < set.serial));
    let keys = match newer {
        Some(set) => Some(set.document.clone()),
        // Perhaps it was provisioned by hand and knows no key yet.
        None if running.key_serial == Some(0) => library::first_set(app, device.owner, firmware),
        None => None,
    };
    let patch = patch_of(app, device, offer, running);
    let body = wire::Offer {
        update: Text::new(&update),
        attempt: offer.attempt,
        sha256: Text::new(&sha256),
        size: u32::try_from(firmware.size).map_err(ApiError::internal)?,
        version: Text::new(&firmware.version),
        manifest: firmware.manifest.as_deref().map(Text::new),
        patch_size: patch.and_then(|patch| u32::try_from(patch.size).ok()),
        confirm_within_s: offer.confirm_within_s,
        keys: keys.as_deref().map(Text::new),
    };
    let mut text = String::with_capacity(1024);
    body.write(&mut text).map_err(ApiError::internal)?;
    Ok(text)
}

/// The patch from what runs to what is offered, when there is one that pays.
fn patch_of(app: &AppState, device: &Device, offer: &Offer, running: &Running) -> Option<Blob> {
    if offer.whole {
        return None;
    }
    let from = app
        .ota
        .library
        .by_digest(device.owner, running.sha256.as_ref()?)?;
    let patch = ota::deltas::patch(app, &from, &offer.firmware)?;
    Some(Blob {
        digest: patch.sha256,
        size: patch.size,
    })
}

/// The offer that a board is to install now, if it is the update that the path names.
fn current(app: &AppState, device: &Device, update: &str) -> ApiResult<(Offer, Arc<Running>)> {
    let gone = || {
        let why = "This update is not this board's, or it is over; ask `GET /device/update` again.";
        ApiError::new(StatusCode::NOT_FOUND, "not_found", why)
    };
    let update: UpdateId = update.parse().map_err(|_| gone())?;
    let running = app.ota.fleet.get(device.id).unwrap_or_default();
    match rollouts::decide(app, device, &running) {
        Decision::Offer(offer) if offer.update == update && may_offer(app, &offer, &running) => {
            Ok((offer, running))
        }
        _ => Err(gone()),
    }
}

/// Counts the image as downloaded when its last byte has left.
struct Whole {
    app: AppState,
    firmware: FirmwareId,
    size: u64,
}

impl Watch for Whole {
    fn sent(&mut self, up_to: u64) {
        if up_to == self.size {
            library::count_download(&self.app, self.firmware);
        }
    }
}

fn whole(app: &AppState, firmware: &Firmware, size: u64) -> Whole {
    Whole {
        app: app.clone(),
        firmware: firmware.id,
        size,
    }
}

/// Give a board its new image, whole or in part.
#[utoipa::path(get, path = "/device/update/{update}/image", tag = "firmware", security(("device" = [])),
    params(("update" = String, Path, description = "The update's id, from the offer")),
    responses((status = 200, description = "The image", content_type = "application/octet-stream"),
        (status = 206, description = "The part that `Range` names", content_type = "application/octet-stream"),
        (status = 304, description = "The board has it (`If-None-Match`)"),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "Not this board's update, or over", body = Problem),
        (status = 416, description = "No such bytes", body = Problem),
        (status = 503, description = "Too many boards download; see `Retry-After`", body = Problem)))]
pub async fn image(
    State(app): State<AppState>,
    principal: Principal,
    Path(update): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let device = board(principal)?;
    let (offer, _) = current(&app, &device, &update)?;
    devices::seen(&app, &device);
    let firmware = &offer.firmware;
    let blob = Blob {
        digest: firmware.sha256,
        size: firmware.size,
    };
    let watch = whole(&app, firmware, firmware.size);
    send(&app, By::Board(device.id), &method, &headers, &blob, watch).await
}

/// Give a board the patch from the image that runs to its new image, whole or in part.
#[utoipa::path(get, path = "/device/update/{update}/patch", tag = "firmware", security(("device" = [])),
    params(("update" = String, Path, description = "The update's id, from the offer")),
    responses((status = 200, description = "The patch", content_type = "application/octet-stream"),
        (status = 206, description = "The part that `Range` names", content_type = "application/octet-stream"),
        (status = 304, description = "The board has it (`If-None-Match`)"),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "No patch: take the whole image; or not this board's update", body = Problem),
        (status = 416, description = "No such bytes", body = Problem),
        (status = 503, description = "Too many boards download; see `Retry-After`", body = Problem)))]
pub async fn patch(
    State(app): State<AppState>,
    principal: Principal,
    Path(update): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let device = board(principal)?;
    let (offer, running) = current(&app, &device, &update)?;
    devices::seen(&app, &device);
    let Some(blob) = patch_of(&app, &device, &offer, &running) else {
        let why = "There is no patch from the image that runs; take the whole image.";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "no_patch", why));
    };
    let watch = whole(&app, &offer.firmware, blob.size);
    send(&app, By::Board(device.id), &method, &headers, &blob, watch).await
}

/// Take a board's report of how far it is. The same report again is fine, and so is any order.
#[utoipa::path(post, path = "/device/update/{update}", tag = "firmware", security(("device" = [])),
    request_body = ReportBody,
    params(("update" = String, Path, description = "The update's id, from the offer")),
    responses((status = 200, description = "The report is noted", body = UpdateNoted), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, description = "Not this board's update", body = Problem),
        (status = 422, body = Problem)))]
pub async fn report(
    State(app): State<AppState>,
    principal: Principal,
    Path(update): Path<String>,
    Raw(body): Raw,
) -> ApiResult<Json<UpdateNoted>> {
    let device = board(principal)?;
    let text = std::str::from_utf8(&body)
        .map_err(|error| ApiError::invalid(&["body"], error.to_string()))?;
    let report = wire::Report::parse(text)
        .map_err(|error| ApiError::invalid(&["body"], error.to_string()))?;
    let update: UpdateId = update.parse().map_err(|_| ApiError::not_found("Update"))?;
    devices::seen(&app, &device);
    let running: Option<Digest> = report
        .running
        .and_then(|text| ota::digest(text.as_plain()?));
    let trial = report.stage == wire::Stage::Trial;
    let state = rollouts::report(&app, &device, update, report).await?;
    if running.is_some() {
        fleet::heard(&app, &device, |now| {
            now.native = true;
            now.sha256 = running;
            now.trial = trial;
        });
    }
    Ok(Json(UpdateNoted {
        state: state.as_str(),
    }))
}
