//! What old boards ask for their screen, on the paths that they have compiled in.

use super::pictures;
use crate::devices::cms::{Admitted, Failure};
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query};
use crate::screens::boards::{self, BoardContent, ImagesSequence};
use crate::screens::content::Preferences;
use crate::screens::view::{self, Change};
use crate::screens::who::Who;
use crate::screens::{images, render, store};
use crate::{ApiError, AppState};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use espalier_model::Action;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Where a list of pictures begins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Begin with this one, in their order. Without it the list begins with whose turn it is.
    offset: Option<usize>,
}

/// Tells a board where its pictures are, and its texts.
///
/// The answer is never larger than what old boards can parse; the first picture is the one whose turn it is.
#[utoipa::path(get, path = "/api/devices/{id}/content", tag = "screens", security(("bearer" = []), ()),
    params(("id" = String, Path, description = "The board's id"), Paging), responses(
    (status = 200, description = "Pictures and texts", body = BoardContent),
    (status = 401, description = "Not the board, and nobody who may see it", body = Problem),
    (status = 404, description = "No such device of yours", body = Problem)))]
pub async fn get_content(
    State(app): State<AppState>,
    who: Who,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<BoardContent>, Failure> {
    let now = app.clock.now_ms();
    let Admitted::Device(device) = who.device(&app, &id, Action::Read).await? else {
        return Ok(Json(boards::empty_content(&id, now)));
    };
    let view = view::of(&app, &device).await?;
    Ok(Json(boards::content(&view, &id, paging.offset, now)))
}

/// Tells a board which pictures it shows one after the other; the first is the one whose turn it is.
#[utoipa::path(get, path = "/api/devices/{id}/images-sequence", tag = "screens", security(("bearer" = []), ()),
    params(("id" = String, Path, description = "The board's id"), Paging), responses(
    (status = 200, description = "The pictures", body = ImagesSequence),
    (status = 401, description = "Not the board, and nobody who may see it", body = Problem),
    (status = 404, description = "No such device of yours", body = Problem)))]
pub async fn get_sequence(
    State(app): State<AppState>,
    who: Who,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<ImagesSequence>, Failure> {
    let admitted = who
        .device(&app, &id, Action::Read)
        .await
        .map_err(Failure::flagged)?;
    let Admitted::Device(device) = admitted else {
        return Ok(Json(boards::empty_sequence(&id)));
    };
    let view = view::of(&app, &device).await.map_err(Failure::flagged)?;
    let now = app.clock.now_ms();
    Ok(Json(boards::sequence(&view, &id, paging.offset, now)))
}

/// Which kinds of text a board's screen shows.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PreferencesBody {
    /// Categories with their subcategories; what does not exist is left out.
    preferences: Preferences,
}

/// Shows which kinds of text a board's screen shows.
#[utoipa::path(get, path = "/api/devices/{id}/preferences", tag = "screens", security(("bearer" = []), ()),
    params(("id" = String, Path, description = "The board's id")), responses(
    (status = 200, description = "The preferences", body = PreferencesBody),
    (status = 401, description = "Not the board, and nobody who may see it", body = Problem),
    (status = 404, description = "No such device of yours", body = Problem)))]
pub async fn get_preferences(
    State(app): State<AppState>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Json<PreferencesBody>, Failure> {
    let preferences = match who.device(&app, &id, Action::Read).await? {
        Admitted::Device(device) => view::of(&app, &device).await?.preferences,
        Admitted::Quarantined => Preferences::default(),
    };
    Ok(Json(PreferencesBody { preferences }))
}

/// Sets which kinds of text a board's screen shows. Of a board that nobody claimed nothing is kept.
#[utoipa::path(put, path = "/api/devices/{id}/preferences", tag = "screens", security(("bearer" = []), ()),
    params(("id" = String, Path, description = "The board's id")), request_body = PreferencesBody, responses(
    (status = 200, description = "The preferences", body = PreferencesBody),
    (status = 401, description = "Not the board, and nobody who may control it", body = Problem),
    (status = 403, description = "You may only see this device", body = Problem),
    (status = 404, description = "No such device of yours", body = Problem),
    (status = 422, description = "Not preferences", body = Problem)))]
pub async fn put_preferences(
    State(app): State<AppState>,
    who: Who,
    Path(id): Path<String>,
    body: Result<Json<PreferencesBody>, ApiError>,
) -> Result<Json<PreferencesBody>, Failure> {
    let admitted = who.device(&app, &id, Action::Control).await?;
    let Json(PreferencesBody { preferences }) = body?;
    let preferences = match admitted {
        Admitted::Device(device) => {
            let change = Change {
                preferences: Some(preferences),
                ..Change::default()
            };
            view::change(&app, &device, device.owner, change)
                .await?
                .preferences
        }
        Admitted::Quarantined => preferences.known(),
    };
    Ok(Json(PreferencesBody { preferences }))
}

/// Leads to the device's page.
#[utoipa::path(get, path = "/api/devices/{id}/dashboard", tag = "screens", security(("bearer" = []), ()),
    params(("id" = String, Path, description = "The board's id")), responses(
    (status = 302, description = "To the page"),
    (status = 401, description = "Not the board, and nobody who may see it", body = Problem),
    (status = 404, description = "No such device of yours", body = Problem)))]
pub async fn get_page(
    State(app): State<AppState>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let to = match who.device(&app, &id, Action::Read).await? {
        Admitted::Device(device) => format!("/ui/devices/{}", device.oid),
        Admitted::Quarantined => "/".to_owned(),
    };
    Ok((StatusCode::FOUND, [(header::LOCATION, to)]).into_response())
}

/// Answers `GET /dashboards/{id}_current.bmp` and `GET /dashboards/{id}_fallback.bmp`.
pub async fn screen_file(app: &AppState, who: &Who, name: &str) -> ApiResult<Response> {
    let (id, current) = match (
        name.strip_suffix("_current"),
        name.strip_suffix("_fallback"),
    ) {
        (Some(id), _) => (id, true),
        (_, Some(id)) => (id, false),
        _ => return Err(who.refusal(ApiError::not_found("Picture"))),
    };
    let admitted = match current {
        true => who.watcher(app, id).await?,
        false => who.device(app, id, Action::Read).await?,
    };
    match admitted {
        Admitted::Device(device) if current => {
            pictures::bmp(&*render::current(app, &device).await?, &who.headers)
        }
        Admitted::Device(device) => {
            pictures::bmp(&*render::fallback(app, &device).await?, &who.headers)
        }
        Admitted::Quarantined => pictures::bmp(&render::unclaimed(id).await?, &who.headers),
    }
}

/// Gives a picture as boards read it: to its owner, and to boards whose screen shows it.
#[utoipa::path(get, path = "/uploads/{name}/bmp", tag = "screens", security(("bearer" = []), ()),
    params(("name" = String, Path, description = "The picture's name")), responses(
    (status = 200, description = "48,062 bytes", content_type = "image/bmp", body = Vec<u8>),
    (status = 304, description = "You have it"),
    (status = 401, description = "Nobody known asks", body = Problem),
    (status = 404, description = "No such picture for you", body = Problem)))]
pub async fn get_upload(
    State(app): State<AppState>,
    who: Who,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let missing = || who.refusal(images::no_image());
    let find = move |c: &espalier_db::Conn<'_>| {
        let Some(image) = store::image_by_name(c, &name)? else {
            return Ok(None);
        };
        let shown = store::shown_on(c, &image.id)?;
        Ok::<_, espalier_db::Error>(Some((image, shown)))
    };
    let Some((image, shown_on)) = app.db.read(find).await.map_err(ApiError::from)? else {
        return Err(missing().into());
    };
    let mut fit = None;
    let owner = who.person().is_some_and(|caller| caller.sees(image.owner));
    for device in shown_on.iter().filter_map(|id| app.devices.get(*id)) {
        if who.speaks_for(&app, &device) {
            fit = Some(view::of(&app, &device).await?.settings.fit);
            break;
        }
    }
    if !owner && fit.is_none() {
        return Err(missing().into());
    }
    let dots = images::dots(&app, &image, fit.unwrap_or_default()).await?;
    Ok(pictures::bmp(&render::shown(dots)?, &who.headers)?)
}
