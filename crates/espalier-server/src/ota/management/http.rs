//! The routes of old firmware management.

use super::shape::Failure;
use super::view::{self, FirmwareStats, FirmwareTypes, FirmwareVersions, UploadedFirmware};
use super::{assign, library};
use crate::devices::cms::LegacyProblem;
use crate::http::{Json, Query};
use crate::identity::Caller;
use crate::ota::delivery::DEFAULT_TYPE;
use crate::ota::library::Firmware;
use crate::{ApiError, AppState};
use axum::extract::{Path, Request, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

type Legacy<T> = Result<Json<T>, Failure>;
/// Who asks; a refusal has the shape that clients of these paths read.
type Asking = Result<Caller, ApiError>;

/// An image to upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the form")]
pub struct LegacyFirmwareForm {
    /// The app's .bin file, at most 16 MB.
    #[schema(value_type = String, format = Binary)]
    firmware: Vec<u8>,
    /// Its type: 1 to 64 letters, digits, `_`, `.` or `-`; absent: `ESP32_PersonalCMS`.
    device_type: Option<String>,
    /// What to say of it.
    description: Option<String>,
    /// `true` makes it the current image of its type.
    auto_assign: Option<String>,
    /// The text of its .sig file.
    signature: Option<String>,
}

fn images(app: &AppState, caller: &Caller, kind: Option<&str>) -> Vec<Arc<Firmware>> {
    app.ota
        .library
        .list(|one| caller.sees(one.owner) && kind.is_none_or(|kind| one.kind() == kind))
}

/// Upload a firmware image (old path).
#[utoipa::path(post, path = "/api/ota/upload", tag = "firmware", security(("bearer" = [])),
    request_body(content = LegacyFirmwareForm, content_type = "multipart/form-data"), responses(
    (status = 200, description = "The image is kept, or was there already", body = UploadedFirmware),
    (status = 400, description = "No file, not a sound and signed image, or a field is wrong", body = LegacyProblem),
    (status = 401, description = "Nobody is signed in", body = LegacyProblem),
    (status = 403, description = "The account may only look", body = LegacyProblem),
    (status = 409, description = "The image is there under another type, or the library is full", body = LegacyProblem),
    (status = 413, description = "Larger than 16 MB", body = LegacyProblem),
    (status = 503, description = "Too many uploads at once", body = LegacyProblem),
    (status = 507, description = "The disk is full", body = LegacyProblem)))]
pub async fn upload(
    State(app): State<AppState>,
    caller: Asking,
    request: Request,
) -> Legacy<UploadedFirmware> {
    let caller = caller?;
    let (mut upload, _held) = library::receive(&app, caller.account, request).await?;
    let kind = upload.device_type.take();
    upload.device_type = Some(kind.unwrap_or_else(|| DEFAULT_TYPE.to_owned()));
    let auto_assign = upload.auto_assign;
    let kept = library::keep(&app, &caller, upload).await?;
    let firmware = kept.firmware();
    if auto_assign {
        assign::assign(&app, &caller, firmware).await?;
    }
    Ok(Json(UploadedFirmware {
        success: true,
        firmware_key: firmware.legacy_key.clone(),
        firmware_info: view::info(&app, firmware),
    }))
}

/// Which images to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfType {
    /// Their type.
    device_type: Option<String>,
}

/// List images (old path).
#[utoipa::path(get, path = "/api/ota/versions", tag = "firmware", params(OfType), security(("bearer" = [])), responses(
    (status = 200, description = "The images, newest first", body = FirmwareVersions),
    (status = 401, description = "Nobody is signed in", body = LegacyProblem),
    (status = 403, description = "A device asks", body = LegacyProblem)))]
pub async fn versions(
    State(app): State<AppState>,
    caller: Asking,
    Query(filter): Query<OfType>,
) -> Legacy<FirmwareVersions> {
    let found = images(&app, &caller?, filter.device_type.as_deref());
    let firmware_versions = found.iter().map(|one| view::version(&app, one)).collect();
    Ok(Json(FirmwareVersions { firmware_versions }))
}

/// List images (old path).
#[utoipa::path(get, path = "/api/ota/firmware", tag = "firmware", params(OfType), security(("bearer" = [])), responses(
    (status = 200, description = "The images, newest first", body = FirmwareVersions),
    (status = 401, description = "Nobody is signed in", body = LegacyProblem),
    (status = 403, description = "A device asks", body = LegacyProblem)))]
pub async fn firmware(
    app: State<AppState>,
    caller: Asking,
    filter: Query<OfType>,
) -> Legacy<FirmwareVersions> {
    versions(app, caller, filter).await
}

/// The types there are images for (old path).
#[utoipa::path(get, path = "/api/ota/firmware-types", tag = "firmware", security(("bearer" = [])), responses(
    (status = 200, description = "The types", body = FirmwareTypes),
    (status = 401, description = "Nobody is signed in", body = LegacyProblem),
    (status = 403, description = "A device asks", body = LegacyProblem)))]
pub async fn types(State(app): State<AppState>, caller: Asking) -> Legacy<FirmwareTypes> {
    let found = images(&app, &caller?, None);
    let kinds: BTreeSet<String> = found.iter().map(|one| one.kind().to_owned()).collect();
    let firmware_types = kinds.into_iter().collect();
    Ok(Json(FirmwareTypes { firmware_types }))
}

/// What came of a deletion.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedFirmware {
    /// Always `true`.
    success: bool,
    /// A sentence.
    message: &'static str,
}

/// Remove an image (old path).
#[utoipa::path(delete, path = "/api/ota/delete/{key}", tag = "firmware", security(("bearer" = [])),
    params(("key" = String, Path, description = "The image's key")), responses(
    (status = 200, description = "Removed", body = DeletedFirmware),
    (status = 401, description = "Nobody is signed in", body = LegacyProblem),
    (status = 403, description = "The account may only look", body = LegacyProblem),
    (status = 404, description = "No such image of yours", body = LegacyProblem),
    (status = 409, description = "A release or a rollout needs it", body = LegacyProblem)))]
pub async fn delete(
    State(app): State<AppState>,
    caller: Asking,
    Path(key): Path<String>,
) -> Legacy<DeletedFirmware> {
    let caller = caller?;
    let found = app.ota.library.by_key(&key);
    let found = found.filter(|one| caller.sees(one.owner));
    let found = found.ok_or_else(|| ApiError::not_found("Firmware"))?;
    assign::unassign(&app, &caller, &found).await?;
    library::remove(&app, &caller, found.id).await?;
    Ok(Json(DeletedFirmware {
        success: true,
        message: "Firmware deleted",
    }))
}

/// Counts of the library (old path).
#[utoipa::path(get, path = "/api/ota/stats", tag = "firmware", security(("bearer" = [])), responses(
    (status = 200, description = "The counts", body = FirmwareStats),
    (status = 401, description = "Nobody is signed in", body = LegacyProblem),
    (status = 403, description = "A device asks", body = LegacyProblem)))]
pub async fn stats(State(app): State<AppState>, caller: Asking) -> Legacy<FirmwareStats> {
    let found = images(&app, &caller?, None);
    Ok(Json(view::stats(&app, &found)))
}
