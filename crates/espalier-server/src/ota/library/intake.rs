//! An upload as it comes: a form with a file and a few words beside it.

use super::index::UPLOADS_OF_ONE;
use crate::error::ApiResult;
use crate::{ApiError, AppState};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use bytes::{Bytes, BytesMut};
use espalier_image::manifest::MAX_MANIFEST;
use espalier_model::AccountId;

/// The largest image, bytes: the flash of the largest boards.
pub const MAX_IMAGE: usize = 16 << 20;
/// The largest form, bytes: an image and what stands beside it.
pub const MAX_FORM: usize = MAX_IMAGE + (64 << 10);
/// The longest text beside a file, bytes.
const MAX_TEXT: usize = 16 << 10;
/// The longest name of a file that is kept, characters.
const MAX_NAME: usize = 128;

/// What an upload holds.
#[derive(Debug, Default)]
pub struct Upload {
    /// The file.
    pub bytes: Bytes,
    /// The file's name, without folders.
    pub filename: String,
    /// The signed manifest as text.
    pub signature: Option<String>,
    /// What people say of it.
    pub description: String,
    /// The type under which old clients ask for it.
    pub device_type: Option<String>,
    /// It becomes the current image of its type.
    pub auto_assign: bool,
}

/// Reads an upload. The file is the part `firmware` or `file`; parts with other names are passed over.
///
/// # Errors
/// 413 when it is too large, 400 when it is no form, has no file or breaks off, 422 when a text is none, 503 when too many
/// come in at once.
pub async fn receive(
    app: &AppState,
    account: AccountId,
    request: Request,
) -> ApiResult<(Upload, Held)> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > MAX_FORM) {
        return Err(too_large());
    }
    let held = Held::take(app, account)?;
    let mut form = Multipart::from_request(request, app).await.map_err(|_| {
        let sentence =
            "The body is no form: send the image as multipart/form-data in the part `firmware`.";
        ApiError::bad_request("not_a_form", sentence)
    })?;
    let mut upload = Upload::default();
    let mut found = false;
    while let Some(field) = form.next_field().await.map_err(|e| broken(&e))? {
        match field.name().unwrap_or_default() {
            "firmware" | "file" => {
                upload.filename = plain_name(field.file_name().unwrap_or_default());
                upload.bytes = read(field, MAX_IMAGE).await?.ok_or_else(too_large)?;
                found = true;
            }
            "signature" => {
                let text = text(field, "signature", MAX_MANIFEST).await?;
                // Browsers end the lines of a text field with CR LF; what is signed has LF only.
                let text = text.replace("\r\n", "\n");
                upload.signature = Some(text).filter(|text| !text.trim().is_empty());
            }
            "description" => upload.description = text(field, "description", MAX_TEXT).await?,
            "device_type" => {
                let text = text(field, "device_type", MAX_TEXT).await?;
                upload.device_type = Some(text).filter(|text| !text.is_empty());
            }
            "auto_assign" => {
                let text = text(field, "auto_assign", MAX_TEXT).await?;
                upload.auto_assign = matches!(text.trim(), "true" | "1" | "on" | "yes");
            }
            _ => {}
        }
    }
    if found {
        return Ok((upload, held));
    }
    let sentence = "No firmware file was sent; send the image in the part `firmware`.";
    Err(ApiError::bad_request("no_file", sentence))
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
async fn read(mut field: Field<'_>, limit: usize) -> ApiResult<Option<Bytes>> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = field.chunk().await.map_err(|e| broken(&e))? {
        if bytes.len() + piece.len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Some(bytes.freeze()))
}

async fn text(field: Field<'_>, name: &str, limit: usize) -> ApiResult<String> {
    let bytes = read(field, limit).await?;
    let wrong = |why: String| ApiError::invalid(&["body", name], why);
    let bytes = bytes.ok_or_else(|| wrong(format!("may have at most {limit} bytes")))?;
    String::from_utf8(bytes.into()).map_err(|_| wrong("must be UTF-8 text".to_owned()))
}

fn too_large() -> ApiError {
    ApiError::too_large(format!(
        "The file is larger than {} MB, the flash of the largest boards; upload the app's .bin file alone.",
        MAX_IMAGE >> 20
    ))
}

fn broken(error: &MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large();
    }
    let sentence = "The upload broke off, or is no multipart/form-data; send it again.";
    ApiError::bad_request("unreadable_body", sentence)
}

/// The name of a file without its folders, for people to read; it never becomes a path.
fn plain_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME)
        .collect();
    if plain.trim().is_empty() {
        "firmware.bin".to_owned()
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::plain_name;

    #[test]
    fn a_name_never_leads_anywhere() {
        assert_eq!(plain_name("../../etc/passwd"), "passwd");
        assert_eq!(plain_name("C:\\build\\app.bin"), "app.bin");
        assert_eq!(plain_name("a\r\nb.bin"), "ab.bin");
        assert_eq!(plain_name(".."), "..");
        assert_eq!(plain_name(" / "), "firmware.bin");
    }
}
