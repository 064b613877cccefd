//! Releases: make, list, change, withdraw, delete.

use super::view::{ReleaseView, release_view};
use crate::AppState;
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query};
use crate::identity::Caller;
use crate::ota::library::Release;
use crate::ota::library::releases::{self, Draft, Wanted, visible};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use espalier_model::{FirmwareId, ReleaseId};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

/// Which releases to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// The channel.
    channel: Option<String>,
    /// The id of an image that they hold.
    firmware: Option<String>,
}

/// List one's releases, newest first; admins see everybody's.
#[utoipa::path(get, path = "/releases", tag = "firmware", params(Filter), security(("bearer" = [])), responses(
    (status = 200, description = "The releases", body = [ReleaseView]),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem)))]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Json<Vec<ReleaseView>> {
    let holds = |release: &Release, id: &str| {
        let id = id.parse::<FirmwareId>();
        id.is_ok_and(|id| release.firmware.contains(&id))
    };
    let found = app.ota.library.releases(|release| {
        caller.sees(release.owner)
            && filter
                .channel
                .as_ref()
                .is_none_or(|channel| *channel == release.channel)
            && filter
                .firmware
                .as_deref()
                .is_none_or(|id| holds(release, id))
    });
    Json(
        found
            .iter()
            .map(|release| release_view(&app, release))
            .collect(),
    )
}

/// A release to make.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewRelease {
    /// The version that people see; absent: that of the images, when they agree.
    version: Option<String>,
    /// The channel: `stable`, `beta`, `dev` or any other word; absent: `stable`.
    channel: Option<String>,
    /// What is new, as Markdown.
    #[serde(default)]
    notes: String,
    /// The ids of its images: at most one for each kind of board.
    firmware: Vec<String>,
}

/// Make a release.
#[utoipa::path(post, path = "/releases", tag = "firmware", security(("bearer" = [])), request_body = NewRelease, responses(
    (status = 201, description = "The release", body = ReleaseView),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 409, description = "Too many releases", body = Problem),
    (status = 422, description = "A field is wrong, or two images are for the same boards", body = Problem)))]
pub async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Json(new): Json<NewRelease>,
) -> ApiResult<(StatusCode, Json<ReleaseView>)> {
    let ids = new.firmware.iter().map(|id| {
        let why =
            |_| crate::ApiError::invalid(&["body", "firmware"], format!("there is no image {id}"));
        id.parse::<FirmwareId>().map_err(why)
    });
    let draft = Draft {
        version: new.version,
        channel: new.channel,
        notes: new.notes,
        firmware: ids.collect::<ApiResult<_>>()?,
    };
    let release = releases::create(&app, &caller, draft).await?;
    Ok((StatusCode::CREATED, Json(release_view(&app, &release))))
}

fn parse(id: &str) -> ApiResult<ReleaseId> {
    id.parse().map_err(|_| releases::no_release())
}

/// One release.
#[utoipa::path(get, path = "/releases/{id}", tag = "firmware", security(("bearer" = [])),
    params(("id" = String, Path, description = "The release's id")), responses(
    (status = 200, description = "The release", body = ReleaseView),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem),
    (status = 404, description = "No such release of yours", body = Problem)))]
pub async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<ReleaseView>> {
    let release = visible(&app, &caller, parse(&id)?)?;
    Ok(Json(release_view(&app, &release)))
}

/// What to change of a release; what is left out stays. Its images never change.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ReleasePatch {
    /// The version that people see.
    version: Option<String>,
    /// The channel.
    channel: Option<String>,
    /// What is new, as Markdown.
    notes: Option<String>,
}

/// Change a release's version, channel or notes.
#[utoipa::path(patch, path = "/releases/{id}", tag = "firmware", security(("bearer" = [])), request_body = ReleasePatch,
    params(("id" = String, Path, description = "The release's id")), responses(
    (status = 200, description = "The release", body = ReleaseView),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 404, description = "No such release of yours", body = Problem),
    (status = 422, description = "A field is wrong", body = Problem)))]
pub async fn patch(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ReleasePatch>,
) -> ApiResult<Json<ReleaseView>> {
    let wanted = Wanted {
        version: body.version,
        channel: body.channel,
        notes: body.notes,
        withdraw: false,
    };
    let release = releases::change(&app, &caller, parse(&id)?, wanted).await?;
    Ok(Json(release_view(&app, &release)))
}

/// Withdraw a release: no rollout may begin with it any more. That cannot be undone.
#[utoipa::path(post, path = "/releases/{id}/withdraw", tag = "firmware", security(("bearer" = [])),
    params(("id" = String, Path, description = "The release's id")), responses(
    (status = 200, description = "The release", body = ReleaseView),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 404, description = "No such release of yours", body = Problem)))]
pub async fn withdraw(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<ReleaseView>> {
    let wanted = Wanted {
        withdraw: true,
        ..Wanted::default()
    };
    let release = releases::change(&app, &caller, parse(&id)?, wanted).await?;
    Ok(Json(release_view(&app, &release)))
}

/// Delete a release; its images stay.
#[utoipa::path(delete, path = "/releases/{id}", tag = "firmware", security(("bearer" = [])),
    params(("id" = String, Path, description = "The release's id")), responses(
    (status = 200, description = "Deleted", body = Value),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 404, description = "No such release of yours", body = Problem),
    (status = 409, description = "A rollout needs it", body = Problem)))]
pub async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Value>> {
    releases::remove(&app, &caller, parse(&id)?).await?;
    Ok(Json(json!({ "message": "Release deleted" })))
}
