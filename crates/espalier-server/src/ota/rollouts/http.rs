//! The routes of rollouts, and of the updates of one device.

use super::preview::{self, Preview, RolloutDevice, Which};
use super::view::{NewRollout, RolloutPatch, RolloutView, UpdateView};
use super::{manage, require, store, undo, updates};
use crate::clock::iso;
use crate::devices;
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query};
use crate::identity::{Caller, Principal};
use crate::{ApiError, AppState};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use espalier_model::{Action, RolloutId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Things per page when the client does not say.
const PAGE: usize = 50;
/// The most things per page.
const MAX_PAGE: usize = 500;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show_preview))
        .routes(routes!(get_one, patch, delete))
        .routes(routes!(start))
        .routes(routes!(approve))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(abort))
        .routes(routes!(roll_back))
        .routes(routes!(list_devices))
        .routes(routes!(list_events))
        .routes(routes!(updates_of_device))
        .routes(routes!(force))
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listed<T> {
    /// The things on this page.
    pub data: Vec<T>,
    /// How many there are in all.
    pub total: usize,
    /// This page, from 1.
    pub page: usize,
    /// Things per page.
    pub limit: usize,
}

/// Which page.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paged {
    /// The page, from 1.
    page: Option<usize>,
    /// Things per page, 1 to 500; 50 when absent.
    limit: Option<usize>,
}

impl Paged {
    /// The page and how many things are on it.
    fn check(self) -> ApiResult<(usize, usize)> {
        let (page, limit) = (self.page.unwrap_or(1), self.limit.unwrap_or(PAGE));
        if !(1..=1_000_000).contains(&page) {
            return Err(ApiError::invalid(
                &["query", "page"],
                "must be 1 to 1000000",
            ));
        }
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(ApiError::invalid(
                &["query", "limit"],
                format!("must be 1 to {MAX_PAGE}"),
            ));
        }
        Ok((page, limit))
    }
}

/// Which rollouts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RolloutQuery {
    /// Only those in this state, e.g. `running`.
    state: Option<String>,
    /// The page, from 1.
    page: Option<usize>,
    /// Rollouts per page, 1 to 500; 50 when absent.
    limit: Option<usize>,
}

/// What is approved.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Approval {
    /// The `fingerprint` of the rollout that the caller has looked at: a rollout that was changed since is not approved.
    seen: Option<String>,
}

fn show(app: &AppState, id: RolloutId) -> ApiResult<Json<RolloutView>> {
    let core = app.ota.rollouts.core.lock();
    let found = core.rollouts.get(&id).map(RolloutView::of);
    found
        .map(Json)
        .ok_or_else(|| ApiError::not_found("Rollout"))
}

/// The rollouts, newest first
///
/// A member sees their own, an admin all.
#[utoipa::path(get, path = "/rollouts", tag = "rollouts", security(("bearer" = [])), params(RolloutQuery), responses(
    (status = 200, description = "One page of rollouts", body = Listed<RolloutView>),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 422, description = "A parameter is wrong", body = Problem)))]
async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(query): Query<RolloutQuery>,
) -> ApiResult<Json<Listed<RolloutView>>> {
    let paged = Paged {
        page: query.page,
        limit: query.limit,
    };
    let (page, limit) = paged.check()?;
    let core = app.ota.rollouts.core.lock();
    let sees = |r: &&super::memory::Rollout| {
        let state = query
            .state
            .as_deref()
            .is_none_or(|state| r.row.state.as_str() == state);
        state && caller.sees(r.row.owner)
    };
    let mut found: Vec<_> = core.rollouts.values().filter(sees).collect();
    found.sort_by_key(|r| std::cmp::Reverse((r.row.created_at, r.row.id)));
    let data = found
        .iter()
        .skip((page - 1) * limit)
        .take(limit)
        .map(|r| RolloutView::of(r))
        .collect();
    Ok(Json(Listed {
        data,
        total: found.len(),
        page,
        limit,
    }))
}

/// Make a rollout
///
/// It is a draft until it is started. It reaches devices that the release's owner owns.
#[utoipa::path(post, path = "/rollouts", tag = "rollouts", security(("bearer" = [])), request_body = NewRollout, responses(
    (status = 201, description = "The draft", body = RolloutView),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "A viewer cannot make rollouts", body = Problem),
    (status = 404, description = "No such release", body = Problem),
    (status = 409, description = "The release was withdrawn or has no images, or there are too many rollouts", body = Problem),
    (status = 422, description = "A field is wrong", body = Problem)))]
async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Json(body): Json<NewRollout>,
) -> ApiResult<(StatusCode, Json<RolloutView>)> {
    let id = manage::create(&app, &caller, body).await?;
    Ok((StatusCode::CREATED, show(&app, id)?))
}

/// See what a rollout would do
///
/// Who gets what in which wave, and who does not and why. Nothing is stored.
#[utoipa::path(post, path = "/rollouts/preview", tag = "rollouts", security(("bearer" = [])), params(Paged), request_body = NewRollout,
    responses(
        (status = 200, description = "What it would do", body = Preview),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such release", body = Problem),
        (status = 409, description = "The release was withdrawn or has no images", body = Problem),
        (status = 422, description = "A field is wrong", body = Problem)))]
async fn show_preview(
    State(app): State<AppState>,
    caller: Caller,
    Query(paged): Query<Paged>,
    Json(body): Json<NewRollout>,
) -> ApiResult<Json<Preview>> {
    let (page, limit) = paged.check()?;
    preview::preview(&app, &caller, body, page, limit)
        .await
        .map(Json)
}

/// One rollout
#[utoipa::path(get, path = "/rollouts/{id}", tag = "rollouts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The rollout's id")),
    responses(
        (status = 200, description = "The rollout", body = RolloutView),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such rollout", body = Problem)))]
async fn get_one(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<RolloutView>> {
    show(&app, require(&app, &caller, &id)?)
}

/// Change a rollout
///
/// Everything until it runs; then only its name. A scheduled rollout that needs approval needs it again.
#[utoipa::path(patch, path = "/rollouts/{id}", tag = "rollouts", security(("bearer" = [])), request_body = RolloutPatch,
    params(("id" = String, Path, description = "The rollout's id")),
    responses(
        (status = 200, description = "The rollout now", body = RolloutView),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such rollout or release", body = Problem),
        (status = 409, description = "It has begun", body = Problem),
        (status = 422, description = "A field is wrong", body = Problem)))]
async fn patch(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<RolloutPatch>,
) -> ApiResult<Json<RolloutView>> {
    let id = require(&app, &caller, &id)?;
    manage::patch(&app, &caller, id, body).await?;
    show(&app, id)
}

/// Delete a rollout that never began or is over
#[utoipa::path(delete, path = "/rollouts/{id}", tag = "rollouts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The rollout's id")),
    responses(
        (status = 204, description = "It is gone, with the history of its updates"),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such rollout", body = Problem),
        (status = 409, description = "It is under way", body = Problem)))]
async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let id = require(&app, &caller, &id)?;
    manage::delete(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Start a rollout
///
/// It runs, waits for its moment, or waits for the approval of a second person, as its plan says.
#[utoipa::path(post, path = "/rollouts/{id}/start", tag = "rollouts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The rollout's id")),
    responses(
        (status = 200, description = "The rollout now", body = RolloutView),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such rollout, or its release is gone", body = Problem),
        (status = 409, description = "It was started already, or its release was withdrawn", body = Problem)))]
async fn start(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<RolloutView>> {
    let id = require(&app, &caller, &id)?;
    manage::start(&app, &caller, id).await?;
    show(&app, id)
}

/// Approve a rollout
///
/// The release's owner or an admin, but not who created, started or changed the rollout.
#[utoipa::path(post, path = "/rollouts/{id}/approve", tag = "rollouts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The rollout's id"), Approval),
    responses(
        (status = 200, description = "The rollout now", body = RolloutView),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such rollout", body = Problem),
        (status = 409, description = "It does not wait for approval, the caller created, started or changed it, or it is not what was seen any more", body = Problem)))]
async fn approve(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(approval): Query<Approval>,
) -> ApiResult<Json<RolloutView>> {
    let id = require(&app, &caller, &id)?;
    manage::approve(&app, &caller, id, approval.seen.as_deref()).await?;
    show(&app, id)
}

/// Pause a rollout
///
/// What boards fetch already goes on; nothing new begins.
#[utoipa::path(post, path = "/rollouts/{id}/pause", tag = "rollouts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The rollout's id")),
    responses(
        (status = 200, description = "The rollout now", body = RolloutView),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such rollout", body = Problem),
        (status = 409, description = "It does not run", body = Problem)))]
async fn pause(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<RolloutView>> {
    let id = require(&app, &caller, &id)?;
    manage::pause(&app, &caller, id).await?;
    show(&app, id)
}

/// Let a rollout go on
///
/// After it has halted, the failures so far are forgiven.
#[utoipa::path(post, path = "/rollouts/{id}/resume", tag = "rollouts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The rollout's id")),
    responses(
        (status = 200, description = "The rollout now", body = RolloutView),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such rollout", body = Problem),
        (status = 409, description = "It neither is paused nor has halted", body = Problem)))]
async fn resume(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<RolloutView>> {
    let id = require(&app, &caller, &id)?;
    manage::resume(&app, &caller, id).await?;
    show(&app, id)
}

/// End a rollout
///
/// Boards that have not written the image keep what they run; those that have it keep it.
#[utoipa::path(post, path = "/rollouts/{id}/abort", tag = "rollouts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The rollout's id")),
    responses(
        (status = 200, description = "The rollout now", body = RolloutView),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such rollout", body = Problem),
        (status = 409, description = "It is over, or was never started", body = Problem)))]
async fn abort(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<RolloutView>> {
    let id = require(&app, &caller, &id)?;
    manage::abort(&app, &caller, id).await?;
    show(&app, id)
}

/// Roll a rollout back
///
/// Every board that took the image returns to what it ran before, when the library still has it and the board accepts
/// it. The list of devices says which boards cannot return and why.
#[utoipa::path(post, path = "/rollouts/{id}/rollback", tag = "rollouts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The rollout's id")),
    responses(
        (status = 200, description = "The rollout now", body = RolloutView),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such rollout", body = Problem),
        (status = 409, description = "It reached no device yet, or is rolled back already", body = Problem)))]
async fn roll_back(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<RolloutView>> {
    let id = require(&app, &caller, &id)?;
    undo::roll_back(&app, &caller, id).await?;
    show(&app, id)
}

/// Which devices of a rollout.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeviceQuery {
    /// Only those in this state: one of a device's states, `under_way` or `failed` (also those that are tried again).
    state: Option<String>,
    /// Only those in this wave, from 1.
    wave: Option<u32>,
    /// The page, from 1.
    page: Option<usize>,
    /// Devices per page, 1 to 500; 50 when absent.
    limit: Option<usize>,
}

/// The devices of a rollout
///
/// By wave. Of a rollout that did not begin there are none: a preview shows whom it means.
#[utoipa::path(get, path = "/rollouts/{id}/devices", tag = "rollouts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The rollout's id"), DeviceQuery),
    responses(
        (status = 200, description = "One page of devices", body = Listed<RolloutDevice>),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such rollout", body = Problem),
        (status = 422, description = "A parameter is wrong", body = Problem)))]
async fn list_devices(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<DeviceQuery>,
) -> ApiResult<Json<Listed<RolloutDevice>>> {
    let id = require(&app, &caller, &id)?;
    let paged = Paged {
        page: query.page,
        limit: query.limit,
    };
    let (page, limit) = paged.check()?;
    let which = Which {
        state: query.state,
        wave: query.wave,
    };
    let (data, total) = preview::devices(&app, id, &which, (page - 1) * limit, limit).await?;
    Ok(Json(Listed {
        data,
        total,
        page,
        limit,
    }))
}

/// Something that happened to a rollout.
#[derive(Debug, Serialize, ToSchema)]
pub struct RolloutEvent {
    /// Its id.
    pub id: String,
    /// When.
    pub at: String,
    /// `created`, `changed`, `started`, `approved`, `running`, `wave_opened`, `paused`, `resumed`, `halted`, `finished`, `aborted`,
    /// `rolling_back`, `rolled_back`; of one device `failed`, `rolled_back` or `unwell`.
    pub kind: String,
    /// The device, when it is about one.
    pub device_id: Option<String>,
    /// The device's name.
    pub device_name: Option<String>,
    /// More about it.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
}

/// What happened to a rollout, newest first
#[utoipa::path(get, path = "/rollouts/{id}/events", tag = "rollouts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The rollout's id"), Paged),
    responses(
        (status = 200, description = "One page of events", body = Listed<RolloutEvent>),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such rollout", body = Problem),
        (status = 422, description = "A parameter is wrong", body = Problem)))]
async fn list_events(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(paged): Query<Paged>,
) -> ApiResult<Json<Listed<RolloutEvent>>> {
    let id = require(&app, &caller, &id)?;
    let (page, limit) = paged.check()?;
    super::engine::flush(&app).await?;
    let (offset, count) = window(page, limit);
    let (events, total) = app
        .db
        .read(move |c| store::events(c, id, count, offset))
        .await?;
    let shown = events.into_iter().map(|event| {
        let device = event.device.and_then(|id| app.devices.get(id));
        RolloutEvent {
            id: event.id,
            at: iso(event.at),
            kind: event.kind,
            device_id: device.as_ref().map(|d| d.oid.to_string()),
            device_name: device.map(|d| d.name.clone()),
            detail: event.detail,
        }
    });
    Ok(Json(Listed {
        data: shown.collect(),
        total: usize::try_from(total).unwrap_or(0),
        page,
        limit,
    }))
}

/// Offset and count for the database.
fn window(page: usize, limit: usize) -> (i64, i64) {
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    (number((page - 1).saturating_mul(limit)), number(limit))
}

/// The updates of a device, newest first
#[utoipa::path(get, path = "/devices/{id}/updates", tag = "rollouts", security(("bearer" = [])),
    params(("id" = String, Path, description = "The device's id or alias"), Paged),
    responses(
        (status = 200, description = "One page of updates", body = Listed<UpdateView>),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such device", body = Problem),
        (status = 422, description = "A parameter is wrong", body = Problem)))]
async fn updates_of_device(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(paged): Query<Paged>,
) -> ApiResult<Json<Listed<UpdateView>>> {
    let device = devices::require(&app, &Principal::Account(caller), &id, Action::Read)?;
    let (page, limit) = paged.check()?;
    super::engine::flush(&app).await?;
    let (offset, count) = window(page, limit);
    let id = device.id;
    let (tracks, total) = app
        .db
        .read(move |c| store::updates_for(c, id, count, offset))
        .await?;
    let core = app.ota.rollouts.core.lock();
    let shown = tracks
        .iter()
        .map(|track| UpdateView::of(&app, &device, track, core.max_attempts(track.way)));
    Ok(Json(Listed {
        data: shown.collect(),
        total: usize::try_from(total).unwrap_or(0),
        page,
        limit,
    }))
}

/// An image for one device.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ForceBody {
    /// The image.
    pub firmware_id: String,
}

/// Send an image to one device
///
/// Now, whatever the rollouts say. It stands until the device has confirmed the image.
#[utoipa::path(post, path = "/devices/{id}/update", tag = "rollouts", security(("bearer" = [])), request_body = ForceBody,
    params(("id" = String, Path, description = "The device's id or alias")),
    responses(
        (status = 202, description = "The update", body = UpdateView),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 403, description = "You may see the device, but not change it", body = Problem),
        (status = 404, description = "No such device or image", body = Problem),
        (status = 409, description = "The image does not fit the device, or it runs it already", body = Problem),
        (status = 422, description = "The body is wrong", body = Problem)))]
async fn force(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ForceBody>,
) -> ApiResult<(StatusCode, Json<UpdateView>)> {
    let device = devices::require(
        &app,
        &Principal::Account(caller.clone()),
        &id,
        Action::Manage,
    )?;
    let missing = || ApiError::not_found("Firmware");
    let firmware = body
        .firmware_id
        .parse()
        .ok()
        .and_then(|id| app.ota.library.get(id))
        .ok_or_else(missing)?;
    // The image must be of the library whose keys the device trusts, whoever else may manage the device.
    if firmware.owner != device.owner || !caller.sees(firmware.owner) {
        return Err(missing());
    }
    updates::force(&app, &caller, &device, firmware).await?;
    let core = app.ota.rollouts.core.lock();
    let track = core.forced.get(&device.id).ok_or_else(missing)?;
    Ok((
        StatusCode::ACCEPTED,
        Json(UpdateView::of(&app, &device, track, u32::MAX)),
    ))
}
