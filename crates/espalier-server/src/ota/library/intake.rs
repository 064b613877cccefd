//! An image as it comes: a form with a file and a few words beside it.

use super::form::{self, Held, MAX_IMAGE, broken, read, text, too_large};
use crate::error::ApiResult;
use crate::{ApiError, AppState};
use axum::extract::Request;
use bytes::Bytes;
use espalier_image::manifest::MAX_MANIFEST;
use espalier_model::AccountId;

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
    let wanted =
        "The body is no form: send the image as multipart/form-data in the part `firmware`.";
    let (mut form, held) = form::open(app, account, request, MAX_FORM, wanted).await?;
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
