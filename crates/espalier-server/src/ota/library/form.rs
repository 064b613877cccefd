//! Forms with large files: how many may be in memory at once, and reading their parts. What the parts mean is said where the form
//! is.

use super::index::UPLOADS_OF_ONE;
use crate::error::ApiResult;
use crate::{ApiError, AppState};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use bytes::{Bytes, BytesMut};
use espalier_model::AccountId;

/// The largest image, bytes: the flash of the largest boards.
pub const MAX_IMAGE: usize = 16 << 20;

/// Begins to read a form of at most `limit` bytes; `wanted` is the sentence for a body that is none.
///
/// # Errors
/// 413 when it is too large, 400 when it is no form, 503 when too many come in at once.
pub async fn open(
    app: &AppState,
    account: AccountId,
    request: Request,
    limit: usize,
    wanted: &'static str,
) -> ApiResult<(Multipart, Held)> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let held = Held::take(app, account)?;
    let form = Multipart::from_request(request, app).await;
    let form = form.map_err(|_| ApiError::bad_request("not_a_form", wanted))?;
    Ok((form, held))
}

/// A place among the uploads that may be in memory at the same time; held until the upload is dealt with.
pub struct Held {
    app: AppState,
    account: AccountId,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl Held {
    fn take(app: &AppState, account: AccountId) -> ApiResult<Self> {
        let busy = || {
            let sentence = "Too many uploads are under way; try again in a moment.";
            ApiError::busy(sentence, 5)
        };
        let library = &app.ota.library;
        let permit = library.uploads.clone().try_acquire_owned();
        let permit = permit.map_err(|_| busy())?;
        let mut uploading = library.uploading.lock();
        let of_one = uploading.entry(account).or_default();
        if *of_one >= UPLOADS_OF_ONE {
            return Err(busy());
        }
        *of_one += 1;
        drop(uploading);
        Ok(Self {
            app: app.clone(),
            account,
            _permit: permit,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut uploading = self.app.ota.library.uploading.lock();
        if let Some(of_one) = uploading.get_mut(&self.account) {
            *of_one = of_one.saturating_sub(1);
            if *of_one == 0 {
                uploading.remove(&self.account);
            }
        }
    }
}

/// Reads a part; nothing when it is longer than it may be.
pub async fn read(mut field: Field<'_>, limit: usize) -> ApiResult<Option<Bytes>> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = field.chunk().await.map_err(|e| broken(&e))? {
        if bytes.len() + piece.len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Some(bytes.freeze()))
}

/// Reads a field of a form that is a text of at most `limit` bytes.
///
/// # Errors
/// 422 when it is longer or no UTF-8, 400 when the body breaks off.
pub async fn text(field: Field<'_>, name: &str, limit: usize) -> ApiResult<String> {
    let bytes = read(field, limit).await?;
    let wrong = |why: String| ApiError::invalid(&["body", name], why);
    let bytes = bytes.ok_or_else(|| wrong(format!("may have at most {limit} bytes")))?;
    String::from_utf8(bytes.into()).map_err(|_| wrong("must be UTF-8 text".to_owned()))
}

/// The refusal of a file that no board has flash for.
pub fn too_large() -> ApiError {
    ApiError::too_large(format!(
        "The file is larger than {} MB, the flash of the largest boards; upload the app's .bin file alone.",
        MAX_IMAGE >> 20
    ))
}

/// The refusal of a form that could not be read.
pub fn broken(error: &MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large();
    }
    let sentence = "The upload broke off, or is no multipart/form-data; send it again.";
    ApiError::bad_request("unreadable_body", sentence)
}
