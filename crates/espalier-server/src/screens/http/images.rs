//! The collection of pictures.

use super::{ScreenDone, pictures};
use crate::clock::iso;
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query};
use crate::identity::Caller;
use crate::screens::images::{self, Image};
use crate::screens::paint::decode::MAX_FILE;
use crate::screens::{Fit, render};
use crate::{ApiError, AppState};
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A picture of somebody's collection. The file itself is never given out, only its dots.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScreenImage {
    /// Its 24-digit id.
    pub id: String,
    /// What boards call it.
    pub filename: String,
    /// What the file was called when it was uploaded.
    pub title: String,
    /// `png`, `jpeg`, `gif`, `webp` or `bmp`.
    pub kind: String,
    /// Pixels per row of the file, upright.
    pub width: i64,
    /// Rows.
    pub height: i64,
    /// Bytes of the file.
    pub file_size: i64,
    /// Its dots as a PNG of 800×480.
    pub preview_url: String,
    /// Its dots as boards read them.
    pub bmp_url: String,
    /// When it was uploaded (RFC 3339, UTC).
    pub uploaded_at: String,
}

impl From<Image> for ScreenImage {
    fn from(image: Image) -> Self {
        Self {
            preview_url: format!("/screens/images/{}/preview.png", image.id),
            bmp_url: format!("/uploads/{}/bmp", image.name),
            id: image.id,
            filename: image.name,
            title: image.title,
            kind: image.kind,
            width: image.width,
            height: image.height,
            file_size: image.size,
            uploaded_at: iso(image.created_at),
        }
    }
}

/// A file to upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the form")]
pub struct UploadForm {
    /// PNG, JPEG, GIF (its first frame), WebP or BMP; at most 10 MB and 40 million pixels.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// Reads the field `file` of a form.
pub async fn file_of(mut form: Multipart) -> ApiResult<(String, Bytes)> {
    while let Some(field) = form.next_field().await.map_err(|e| wrong_form(&e))? {
        if field.name() != Some("file") {
            continue;
        }
        let name = field.file_name().unwrap_or_default().to_owned();
        let bytes = field.bytes().await.map_err(|e| wrong_form(&e))?;
        return Ok((name, bytes));
    }
    Err(ApiError::bad_request(
        "no_file",
        "The form has no file; send the picture as the field `file`.",
    ))
}

fn wrong_form(error: &MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let most = MAX_FILE >> 20;
        return ApiError::too_large(format!(
            "A picture may have at most {most} MB; make it smaller."
        ));
    }
    ApiError::bad_request(
        "unreadable_form",
        "The form could not be read to its end; send it again as multipart/form-data.",
    )
}

/// Lists the caller's pictures, the newest first.
#[utoipa::path(get, path = "/screens/images", tag = "screens", security(("bearer" = [])), responses(
    (status = 200, description = "The pictures", body = Vec<ScreenImage>),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem)))]
pub async fn list_images(
    State(app): State<AppState>,
    caller: Caller,
) -> ApiResult<Json<Vec<ScreenImage>>> {
    let all = images::list(&app, &caller).await?;
    Ok(Json(all.into_iter().map(ScreenImage::from).collect()))
}

/// Uploads a picture; the same file twice is one picture.
#[utoipa::path(post, path = "/screens/images", tag = "screens", security(("bearer" = [])),
    request_body(content = UploadForm, content_type = "multipart/form-data"), responses(
    (status = 200, description = "The picture", body = ScreenImage),
    (status = 400, description = "No file, or not a picture", body = Problem),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 409, description = "Too many pictures", body = Problem),
    (status = 413, description = "Too large", body = Problem)))]
pub async fn upload_image(
    State(app): State<AppState>,
    caller: Caller,
    form: Form,
) -> ApiResult<Json<ScreenImage>> {
    let (title, file) = file_of(form.0?).await?;
    let image = images::upload(&app, &caller, &title, file).await?;
    Ok(Json(image.into()))
}

/// A form with files; what is wrong with it is said after it is clear who asks.
pub struct Form(pub ApiResult<Multipart>);

impl axum::extract::FromRequest<AppState> for Form {
    type Rejection = std::convert::Infallible;
    async fn from_request(
        request: axum::extract::Request,
        app: &AppState,
    ) -> Result<Self, Self::Rejection> {
        let form = Multipart::from_request(request, app).await;
        Ok(Self(form.map_err(|_| {
            ApiError::bad_request(
                "not_a_form",
                "Send the picture as multipart/form-data, in the field `file`.",
            )
        })))
    }
}

/// Deletes a picture from the collection and from every screen.
#[utoipa::path(delete, path = "/screens/images/{id}", tag = "screens", security(("bearer" = [])),
    params(("id" = String, Path, description = "The picture's id")), responses(
    (status = 200, description = "Deleted", body = ScreenDone),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 404, description = "No such picture of yours", body = Problem)))]
pub async fn delete_image(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<ScreenDone>> {
    images::delete(&app, &caller, &id).await?;
    let message = "Picture deleted";
    Ok(Json(ScreenDone { message }))
}

/// How to fill the screen.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filling {
    /// `contain` (the default) shows all of it, `cover` fills the screen.
    #[serde(default)]
    fit: Fit,
}

/// Shows a picture as a screen would: 800×480 pixels, black and white.
#[utoipa::path(get, path = "/screens/images/{id}/preview.png", tag = "screens", security(("bearer" = [])),
    params(("id" = String, Path, description = "The picture's id"), Filling), responses(
    (status = 200, description = "The picture", content_type = "image/png", body = Vec<u8>),
    (status = 304, description = "You have it"),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem),
    (status = 404, description = "No such picture of yours", body = Problem),
    (status = 422, description = "No such fit", body = Problem)))]
pub async fn preview_image(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(filling): Query<Filling>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let image = images::own(&app, &caller, &id).await?;
    let dots = images::dots(&app, &image, filling.fit).await?;
    pictures::png(&render::shown(dots)?, &headers)
}
