//! The routes of kits.

use super::intake::{self, MAX_FORM};
use super::logic::{self, Kept};
use super::{Kit, Region};
use crate::clock::iso;
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::Caller;
use crate::{ApiError, AppState};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::slice;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, upload))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .routes(routes!(delete))
        .routes(routes!(part))
}

/// A range of flash.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlashRegion {
    /// Where it begins, bytes from the beginning of flash.
    offset: u32,
    /// Bytes.
    size: u32,
}

impl From<Region> for FlashRegion {
    fn from(region: Region) -> Self {
        Self {
            offset: region.offset,
            size: region.size,
        }
    }
}

/// A file of a kit.
#[derive(Debug, Serialize, ToSchema)]
pub struct KitPart {
    /// `bootloader`, `partitions` or `app`.
    name: String,
    /// Where in flash it is written, bytes from the beginning.
    offset: u32,
    /// Bytes.
    size: u32,
    /// SHA-256 of the file.
    sha256: String,
}

/// A kit: what a board is flashed with over USB the first time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Kit")]
pub struct KitView {
    /// Its id.
    id: String,
    /// The account whose library it is in.
    owner_id: String,
    /// Its username.
    owner_name: Option<String>,
    /// Which firmware it is, e.g. `base`.
    variant: String,
    /// The chip as tools that flash call it, e.g. `ESP32-C3`.
    chip: String,
    /// The project's name, as the app says.
    project: String,
    /// The version, as the app says.
    version: String,
    /// What to know before it is flashed; empty when there is nothing.
    notes: String,
    /// Bytes of flash that a board must have at least.
    flash_size: u32,
    /// Its files, in the order of flash.
    parts: Vec<KitPart>,
    /// Where the board keeps its settings: a browser may write them there.
    settings: FlashRegion,
    /// What says which app starts: erase it, so that the board starts the app of the kit.
    otadata: FlashRegion,
    /// The app as an image of the library; null when it was removed there.
    firmware_id: Option<String>,
    /// The account that uploaded it.
    created_by: String,
    /// Its username; null when the account is gone.
    created_by_name: Option<String>,
    /// When it was uploaded.
    created_at: String,
}

fn view(app: &AppState, kit: &Kit, names: &HashMap<String, String>) -> KitView {
    let owner = kit.owner.to_string();
    let image = kit.part("app");
    let image = image.and_then(|image| app.ota.library.by_digest(kit.owner, &image.sha256));
    let parts = kit.parts.iter().map(|part| KitPart {
        name: part.name.clone(),
        offset: part.place.offset,
        size: part.place.size,
        sha256: hex::encode(part.sha256),
    });
    KitView {
        id: kit.id.to_string(),
        owner_name: names.get(&owner).cloned(),
        owner_id: owner,
        variant: kit.variant.clone(),
        chip: kit.chip.clone(),
        project: kit.project.clone(),
        version: kit.version.clone(),
        notes: kit.notes.clone(),
        flash_size: kit.flash_size,
        parts: parts.collect(),
        settings: kit.settings.into(),
        otadata: kit.otadata.into(),
        firmware_id: image.map(|image| image.id.to_string()),
        created_by: kit.created_by.clone(),
        created_by_name: names.get(&kit.created_by).cloned(),
        created_at: iso(kit.created_at),
    }
}

/// Kits.
#[derive(Debug, Serialize, ToSchema)]
struct Kits {
    /// Newest first.
    kits: Vec<KitView>,
}

/// List one's kits, newest first; admins see everybody's.
#[utoipa::path(get, path = "/firmware/kits", tag = "firmware", security(("bearer" = [])), responses(
    (status = 200, description = "The kits", body = Kits),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem)))]
async fn list(State(app): State<AppState>, caller: Caller) -> ApiResult<Json<Kits>> {
    let kits = logic::list(&app, &caller).await?;
    let names = logic::names(&app, &kits).await?;
    let kits = kits.iter().map(|kit| view(&app, kit, &names)).collect();
    Ok(Json(Kits { kits }))
}

/// A kit to upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the form")]
struct KitForm {
    /// The text of `kit.json`, at most 64 kB.
    kit: String,
    /// The bootloader, at most 256 kB.
    #[schema(value_type = String, format = Binary)]
    bootloader: Vec<u8>,
    /// The binary partition table.
    #[schema(value_type = String, format = Binary)]
    partitions: Vec<u8>,
    /// The app's .bin file, at most 16 MB.
    #[schema(value_type = String, format = Binary)]
    app: Vec<u8>,
    /// The text of the app's .sig file.
    signature: Option<String>,
    /// The name or id of the account whose library it goes to; only admins may name another than their own.
    owner: Option<String>,
}

/// Upload a kit: what a board is flashed with over USB the first time.
///
/// Every file is checked against `kit.json` and read byte by byte, and they must fit each other. The app also becomes an image of
/// the library, under the same rule: it is signed by a trusted key, or the installation allows unsigned images. The same kit
/// again is the same kit; a new signature is added to its app.
#[utoipa::path(post, path = "/firmware/kits", tag = "firmware", security(("bearer" = [])),
    request_body(content = KitForm, content_type = "multipart/form-data"), responses(
    (status = 200, description = "The kit was there already", body = KitView),
    (status = 201, description = "The kit is kept", body = KitView),
    (status = 400, description = "No form, or a part is missing in it", body = Problem),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look, or names another one", body = Problem),
    (status = 404, description = "No such account", body = Problem),
    (status = 409, description = "The library is full", body = Problem),
    (status = 413, description = "A part is too large", body = Problem),
    (status = 422, description = "A part is not what it should be, they do not fit each other, or the app's signature does not count", body = Problem),
    (status = 503, description = "Too many uploads at once", body = Problem),
    (status = 507, description = "The disk is full", body = Problem)))]
async fn upload(
    State(app): State<AppState>,
    caller: Caller,
    request: Request,
) -> ApiResult<(StatusCode, Json<KitView>)> {
    let (upload, _held) = intake::receive(&app, caller.account, request).await?;
    let kept = logic::keep(&app, &caller, upload).await?;
    let status = match kept {
        Kept::New(_) => StatusCode::CREATED,
        Kept::Known(_) => StatusCode::OK,
    };
    let kit = kept.kit();
    let names = logic::names(&app, slice::from_ref(kit)).await?;
    Ok((status, Json(view(&app, kit, &names))))
}

/// Download a file of a kit.
#[utoipa::path(get, path = "/firmware/kits/{id}/parts/{name}", tag = "firmware", security(("bearer" = [])), params(
    ("id" = String, Path, description = "The kit's id"),
    ("name" = String, Path, description = "`bootloader`, `partitions` or `app`")), responses(
    (status = 200, description = "The file; its `ETag` is its SHA-256", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 304, description = "It is the one in `If-None-Match`"),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem),
    (status = 404, description = "No such kit of yours, no such part, or its file is missing", body = Problem),
    (status = 500, description = "The file is damaged", body = Problem)))]
async fn part(
    State(app): State<AppState>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let kit = logic::visible(&app, &caller, &id).await?;
    let part = kit
        .part(&name)
        .ok_or_else(|| ApiError::not_found("Part of the kit"))?;
    let etag = format!("\"{}\"", hex::encode(part.sha256));
    let names = [
        (header::ETAG, etag.clone()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
    ];
    let has = headers.get(header::IF_NONE_MATCH);
    if has.is_some_and(|has| has.as_bytes() == etag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, names).into_response());
    }
    let whole = 0..u64::from(part.place.size);
    let body = app.ota.blobs.stream(&part.sha256, whole).await?;
    let file = format!("attachment; filename=\"{name}.bin\"");
    let kind = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, file),
    ];
    Ok((names, kind, body).into_response())
}

/// Remove a kit; its app stays in the library.
#[utoipa::path(delete, path = "/firmware/kits/{id}", tag = "firmware", security(("bearer" = [])),
    params(("id" = String, Path, description = "The kit's id")), responses(
    (status = 200, description = "Removed", body = Value),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 404, description = "No such kit of yours", body = Problem)))]
async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Value>> {
    logic::remove(&app, &caller, &id).await?;
    Ok(Json(json!({ "message": "Kit removed" })))
}
