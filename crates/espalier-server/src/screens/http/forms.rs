//! The forms of the old pages: one picture, which picture for which device, where texts come from.

use super::images::{Form, UploadForm, file_of};
use crate::devices;
use crate::devices::cms::Failure;
use crate::error::Problem;
use crate::http::{Json, body_error};
use crate::identity::{Caller, Principal};
use crate::screens::view::{self, Change};
use crate::screens::{content, images};
use crate::{ApiError, AppState};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use espalier_model::Action;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What became of a form.
#[derive(Debug, Serialize, ToSchema)]
pub struct FormDone {
    /// Always true.
    success: bool,
    /// A sentence.
    message: &'static str,
}

/// A picture that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadedPicture {
    /// Always true.
    success: bool,
    /// A sentence.
    message: &'static str,
    /// The picture's id.
    id: String,
    /// What boards call it.
    filename: String,
    /// Where its dots are.
    bmp_url: String,
    /// Bytes of the file.
    file_size: i64,
}

/// Uploads a picture, as the old page does.
#[utoipa::path(post, path = "/upload", tag = "screens", security(("bearer" = [])),
    request_body(content = UploadForm, content_type = "multipart/form-data"), responses(
    (status = 200, description = "The picture", body = UploadedPicture),
    (status = 400, description = "No file, or not a picture", body = Problem),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 409, description = "Too many pictures", body = Problem),
    (status = 413, description = "Too large", body = Problem)))]
pub async fn post_upload(
    State(app): State<AppState>,
    caller: Caller,
    form: Form,
) -> Result<Json<UploadedPicture>, Failure> {
    let work = async {
        let (title, file) = file_of(form.0?).await?;
        images::upload(&app, &caller, &title, file).await
    };
    let image = work.await.map_err(Failure::flagged)?;
    Ok(Json(UploadedPicture {
        success: true,
        message: "Picture uploaded",
        bmp_url: format!("/uploads/{}/bmp", image.name),
        id: image.id,
        filename: image.name,
        file_size: image.size,
    }))
}

/// The fields of a form, however often each comes.
fn fields(body: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut fields = BTreeMap::<String, Vec<String>>::new();
    let text = String::from_utf8_lossy(body);
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let read = |part: &str| {
            let part = part.replace('+', " ");
            percent_encoding::percent_decode_str(&part)
                .decode_utf8_lossy()
                .into_owned()
        };
        fields.entry(read(name)).or_default().push(read(value));
    }
    fields
}

/// Sets the pictures of devices: each field `assign_{device}` names a picture by id or file name, in order. An empty value
/// alone takes all away; devices that are not named stay as they are.
#[utoipa::path(post, path = "/assign-device-images", tag = "screens", security(("bearer" = [])),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "Assigned", body = FormDone),
    (status = 400, description = "No device is named", body = Problem),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "You may only see a device", body = Problem),
    (status = 404, description = "No such device or picture of yours", body = Problem),
    (status = 422, description = "Too many pictures", body = Problem)))]
pub async fn post_assignments(
    State(app): State<AppState>,
    caller: Caller,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<FormDone>, Failure> {
    assign(&app, &caller, body)
        .await
        .map_err(Failure::flagged)?;
    Ok(Json(FormDone {
        success: true,
        message: "Pictures assigned",
    }))
}

async fn assign(
    app: &AppState,
    caller: &Caller,
    body: Result<Bytes, BytesRejection>,
) -> Result<(), ApiError> {
    let body = body.map_err(|e| body_error(&e))?;
    let principal = Principal::Account(caller.clone());
    let mut changes = Vec::new();
    for (name, mut values) in fields(&body) {
        let Some(id) = name.strip_prefix("assign_") else {
            continue;
        };
        values.retain(|value| !value.is_empty());
        // Every device is asked for before the first is changed.
        changes.push((
            devices::cms::find_for(app, &principal, id, Action::Control)?,
            values,
        ));
    }
    if changes.is_empty() {
        let why = "The form names no device; send fields named `assign_` and a device's id.";
        return Err(ApiError::bad_request("no_device", why));
    }
    for (device, pictures) in changes {
        let change = Change {
            pictures: Some(pictures),
            ..Change::default()
        };
        view::change(app, &device, caller.account, change).await?;
    }
    Ok(())
}

/// Where texts of a kind come from.
#[derive(Debug, Serialize, ToSchema)]
pub struct Toggled {
    /// Always true.
    success: bool,
    /// A sentence.
    message: &'static str,
    /// `jokes`, `riddles` or `news`.
    category: String,
    /// The subcategory.
    subcategory: String,
    /// `preset` or `none`.
    source_type: content::Source,
}

/// Says where the texts of a kind come from, for all screens of the caller: fields `category`, `subcategory` and
/// `source_type`, which is `preset` or `none`.
#[utoipa::path(post, path = "/toggle-content-source", tag = "screens", security(("bearer" = [])),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "Set", body = Toggled),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 422, description = "No such kind or source", body = Problem)))]
pub async fn post_source(
    State(app): State<AppState>,
    caller: Caller,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Toggled>, Failure> {
    let body = body.map_err(|e| Failure::flagged(body_error(&e)))?;
    let mut fields = fields(&body);
    let mut field = |name: &str| {
        fields
            .remove(name)
            .and_then(|mut values| values.pop())
            .unwrap_or_default()
    };
    let (category, subcategory, source) = (
        field("category"),
        field("subcategory"),
        field("source_type"),
    );
    let set = content::set_source(&app, &caller, &category, &subcategory, &source).await;
    Ok(Json(Toggled {
        success: true,
        message: "Source set",
        source_type: set.map_err(Failure::flagged)?,
        category,
        subcategory,
    }))
}
