//! Images: upload, look, list, change, sign, remove.

use super::view::{FirmwareView, Signature, firmware_view};
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query};
use crate::identity::Caller;
use crate::ota::delivery;
use crate::ota::library::firmware::{self, Wanted, visible};
use crate::ota::library::{Firmware, Kept, Signed, intake};
use crate::{ApiError, AppState};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use espalier_model::FirmwareId;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

/// How many images match, whatever the page.
static TOTAL: HeaderName = HeaderName::from_static("x-total-count");
/// Images of a page when none is asked for.
const PAGE: usize = 100;
/// Images of the largest page.
const MAX_PAGE: usize = 1000;

/// An image to upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes the form")]
pub struct FirmwareForm {
    /// The app's .bin file, at most 16 MB; the part may also be called `file`.
    #[schema(value_type = String, format = Binary)]
    firmware: Vec<u8>,
    /// The text of its .sig file.
    signature: Option<String>,
    /// What to say of it, at most 2000 characters.
    description: Option<String>,
    /// The type under which old clients ask for it: 1 to 64 letters, digits, `_`, `.` or `-`.
    device_type: Option<String>,
}

/// Upload a firmware image.
///
/// It is read byte by byte and kept only when it is whole and signed by a trusted key, or when the installation allows
/// unsigned images. The same file again is the same image; a new signature is added to it.
#[utoipa::path(post, path = "/firmware", tag = "firmware", security(("bearer" = [])),
    request_body(content = FirmwareForm, content_type = "multipart/form-data"), responses(
    (status = 200, description = "The image was there already", body = FirmwareView),
    (status = 201, description = "The image is kept", body = FirmwareView),
    (status = 400, description = "No form, or no file in it", body = Problem),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 409, description = "The library is full", body = Problem),
    (status = 413, description = "Larger than 16 MB", body = Problem),
    (status = 422, description = "Not a sound app image, not signed, or the signature does not count", body = Problem),
    (status = 503, description = "Too many uploads at once", body = Problem),
    (status = 507, description = "The disk is full", body = Problem)))]
pub async fn upload(
    State(app): State<AppState>,
    caller: Caller,
    request: Request,
) -> ApiResult<(StatusCode, Json<FirmwareView>)> {
    let (upload, _held) = intake::receive(&app, caller.account, request).await?;
    let kept = firmware::keep(&app, &caller, upload).await?;
    let status = match kept {
        Kept::New(_) => StatusCode::CREATED,
        Kept::Known(_) => StatusCode::OK,
    };
    Ok((status, Json(firmware_view(&app, kept.firmware()))))
}

/// What a file is.
#[derive(Serialize, ToSchema)]
pub struct Inspection {
    /// It is a sound app image.
    ok: bool,
    /// What it is: `app`, `merged`, `bootloader`, `partition_table`, `elf`, `unknown`, …
    kind: &'static str,
    /// What is wrong with it and what to do, one sentence; null when nothing is.
    problem: Option<String>,
    /// What is wrong with its signature; null when nothing is, or there is none.
    signature_problem: Option<String>,
    /// It would be taken as it is.
    acceptable: bool,
    /// What the image says of itself.
    image: Option<InspectedImage>,
}

/// What an image says of itself.
#[derive(Serialize, ToSchema)]
pub struct InspectedImage {
    /// SHA-256 of the file.
    sha256: String,
    /// Bytes.
    size: u64,
    /// The chip it is for.
    chip: &'static str,
    /// The project's name.
    project: String,
    /// The version.
    version: String,
    /// The secure version.
    secure_version: u32,
    /// Everything else that it says of itself.
    #[schema(value_type = Object)]
    facts: Value,
    /// Who vouches for it.
    signature: Signature,
    /// The image's id, when it is in the library already.
    known: Option<String>,
}

/// Say what a file is, without keeping it.
#[utoipa::path(post, path = "/firmware/inspect", tag = "firmware", security(("bearer" = [])),
    request_body(content = FirmwareForm, content_type = "multipart/form-data"), responses(
    (status = 200, description = "What it is, and what is wrong with it", body = Inspection),
    (status = 400, description = "No form, or no file in it", body = Problem),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 413, description = "Larger than 16 MB", body = Problem),
    (status = 422, description = "A text beside the file is none", body = Problem),
    (status = 503, description = "Too many uploads at once", body = Problem)))]
pub async fn inspect(
    State(app): State<AppState>,
    caller: Caller,
    request: Request,
) -> ApiResult<Json<Inspection>> {
    let (upload, _held) = intake::receive(&app, caller.account, request).await?;
    let look = match firmware::inspect(upload.bytes.clone()).await? {
        Ok(look) => look,
        Err(no) => {
            return Ok(Json(Inspection {
                ok: false,
                kind: no.kind,
                problem: Some(no.sentence),
                signature_problem: None,
                acceptable: false,
                image: None,
            }));
        }
    };
    let known = app.ota.library.by_digest(caller.account, &look.sha256);
    let manifest = upload.signature.as_deref();
    let checked = firmware::check_signature(&app, caller.account, &upload.bytes, &look, manifest);
    let (key, signature_problem) = match checked {
        Ok(key) => (key, None),
        Err(error) => (None, Some(error.message().to_owned())),
    };
    let signed = match (key, &known) {
        (Some(key), _) => Signed::Trusted(key),
        (None, Some(known)) => app.ota.library.signed(known),
        (None, None) => Signed::Unsigned,
    };
    let vouched = matches!(signed, Signed::Trusted(_)) || app.config.allow_unsigned;
    Ok(Json(Inspection {
        ok: true,
        kind: "app",
        problem: None,
        acceptable: signature_problem.is_none() && (vouched || known.is_some()),
        signature_problem,
        image: Some(InspectedImage {
            sha256: hex::encode(look.sha256),
            size: look.size,
            chip: look.chip,
            project: look.project,
            version: look.version,
            secure_version: look.secure_version,
            facts: Value::Object(look.facts),
            signature: Signature::of(&signed),
            known: known.map(|known| known.id.to_string()),
        }),
    }))
}

/// Which images to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// The chip, e.g. `esp32c3`.
    chip: Option<String>,
    /// The project's name.
    project: Option<String>,
    /// Part of the project, version, file name, type, description or digest; case does not matter.
    q: Option<String>,
    /// At most so many, 1 to 1000; without it 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Leave out so many first.
    offset: Option<usize>,
}

impl Filter {
    fn fits(&self, one: &Firmware, q: Option<&str>) -> bool {
        let is =
            |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|w| w == value);
        let has = |q: &str| {
            let texts = [&one.project, &one.version, &one.filename, &one.description];
            let kind = one.device_type.as_deref().unwrap_or_default();
            texts
                .into_iter()
                .any(|text| text.to_lowercase().contains(q))
                || kind.to_lowercase().contains(q)
                || hex::encode(one.sha256).starts_with(q)
        };
        is(&self.chip, &one.chip) && is(&self.project, &one.project) && q.is_none_or(has)
    }
}

/// List one's images, newest first; admins see everybody's.
#[utoipa::path(get, path = "/firmware", tag = "firmware", params(Filter), security(("bearer" = [])), responses(
    (status = 200, description = "The images; the header `X-Total-Count` has their number without paging", body = [FirmwareView]),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem),
    (status = 422, description = "A filter is wrong", body = Problem)))]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> ApiResult<Response> {
    let limit = filter.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        let why = format!("must be 1 to {MAX_PAGE}");
        return Err(ApiError::invalid(&["query", "limit"], why));
    }
    let q = filter.q.as_deref().map(str::to_lowercase);
    let wanted = |one: &Firmware| caller.sees(one.owner) && filter.fits(one, q.as_deref());
    let found = app.ota.library.list(wanted);
    let page = found.iter().skip(filter.offset.unwrap_or(0)).take(limit);
    let views: Vec<_> = page.map(|one| firmware_view(&app, one)).collect();
    let mut response = Json(views).into_response();
    let headers = response.headers_mut();
    headers.insert(TOTAL.clone(), HeaderValue::from(found.len()));
    Ok(response)
}

fn parse(id: &str) -> ApiResult<FirmwareId> {
    id.parse().map_err(|_| firmware::no_firmware())
}

/// One image.
#[utoipa::path(get, path = "/firmware/{id}", tag = "firmware", security(("bearer" = [])),
    params(("id" = String, Path, description = "The image's id")), responses(
    (status = 200, description = "The image", body = FirmwareView),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem),
    (status = 404, description = "No such image of yours", body = Problem)))]
pub async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<FirmwareView>> {
    let one = visible(&app, &caller, parse(&id)?)?;
    Ok(Json(firmware_view(&app, &one)))
}

/// What to change of an image; what is left out stays. `null` takes the type away.
#[derive(Debug, Deserialize, ToSchema)]
pub struct FirmwarePatch {
    /// What to say of it, at most 2000 characters.
    description: Option<String>,
    /// The type under which old clients ask for it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    device_type: Option<Option<String>>,
}

/// Tells a field that is `null` from one that is not there.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Describe an image or give it another type.
#[utoipa::path(patch, path = "/firmware/{id}", tag = "firmware", security(("bearer" = [])), request_body = FirmwarePatch,
    params(("id" = String, Path, description = "The image's id")), responses(
    (status = 200, description = "The image", body = FirmwareView),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 404, description = "No such image of yours", body = Problem),
    (status = 409, description = "Two images of a release would then be for the same boards", body = Problem),
    (status = 422, description = "A field is wrong", body = Problem)))]
pub async fn patch(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<FirmwarePatch>,
) -> ApiResult<Json<FirmwareView>> {
    let wanted = Wanted {
        description: body.description,
        device_type: body.device_type,
    };
    let one = firmware::change(&app, &caller, parse(&id)?, wanted).await?;
    Ok(Json(firmware_view(&app, &one)))
}

/// Remove an image.
#[utoipa::path(delete, path = "/firmware/{id}", tag = "firmware", security(("bearer" = [])),
    params(("id" = String, Path, description = "The image's id")), responses(
    (status = 200, description = "Removed", body = Value),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 404, description = "No such image of yours", body = Problem),
    (status = 409, description = "A release or a rollout needs it; the sentence says which", body = Problem)))]
pub async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Value>> {
    firmware::remove(&app, &caller, parse(&id)?).await?;
    Ok(Json(json!({ "message": "Firmware removed" })))
}

/// Download an image's file.
#[utoipa::path(get, path = "/firmware/{id}/image", tag = "firmware", security(("bearer" = [])),
    params(("id" = String, Path, description = "The image's id")), responses(
    (status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 206, description = "The part that `Range` names", content_type = "application/octet-stream"),
    (status = 304, description = "The caller has it (`If-None-Match`)"),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem),
    (status = 404, description = "No such image of yours, or its file is missing", body = Problem),
    (status = 416, description = "No such bytes", body = Problem),
    (status = 500, description = "The file is damaged", body = Problem),
    (status = 503, description = "Too many downloads; see `Retry-After`", body = Problem)))]
pub async fn image(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let one = visible(&app, &caller, parse(&id)?)?;
    let asked = (&method, &headers);
    let mut answer = delivery::to_person(&app, caller.account, asked, &one).await?;
    let name = format!("attachment; filename=\"{}.bin\"", one.legacy_key);
    if let Ok(name) = HeaderValue::from_str(&name) {
        answer
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(answer)
}

/// A signature to add.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewSignature {
    /// The text of the .sig file.
    signature: String,
}

/// Add a signature to an image.
#[utoipa::path(put, path = "/firmware/{id}/signature", tag = "firmware", security(("bearer" = [])), request_body = NewSignature,
    params(("id" = String, Path, description = "The image's id")), responses(
    (status = 200, description = "The image", body = FirmwareView),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 404, description = "No such image of yours", body = Problem),
    (status = 422, description = "The signature does not count; the sentence says why", body = Problem)))]
pub async fn sign(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<NewSignature>,
) -> ApiResult<Json<FirmwareView>> {
    let one = firmware::sign(&app, &caller, parse(&id)?, body.signature).await?;
    Ok(Json(firmware_view(&app, &one)))
}
