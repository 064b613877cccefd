//! A kit as it comes: a form with `kit.json`, one file per part and a few words beside them.

use super::check::Files;
use super::file::{KitFile, MAX_KIT_FILE};
use crate::error::ApiResult;
use crate::ota::library::form::{self, Held, MAX_IMAGE};
use crate::{ApiError, AppState};
use axum::extract::Request;
use axum::http::StatusCode;
use bytes::Bytes;
use espalier_image::manifest::MAX_MANIFEST;
use espalier_model::AccountId;

/// The largest bootloader or partition table, bytes.
const MAX_SMALL: usize = 256 << 10;
/// The largest form, bytes.
pub const MAX_FORM: usize = MAX_IMAGE + 2 * MAX_SMALL + (128 << 10);
/// The longest name of an account, bytes.
const MAX_ACCOUNT: usize = 320;

/// A kit with its files.
#[derive(Debug)]
pub struct Upload {
    /// What `kit.json` says.
    pub kit: KitFile,
    /// Bootloader, partition table and app.
    pub files: Files,
    /// The signed manifest of the app as text.
    pub signature: Option<String>,
    /// Whose library it goes to, when it is not the caller's: an account's name or id.
    pub owner: Option<String>,
}

/// The refusal of a kit.
pub fn bad_kit(sentence: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_kit", sentence)
}

/// Reads a form; parts with other names are passed over.
///
/// # Errors
/// 413 when it is too large, 400 when it is no form, lacks a part or breaks off, 422 when `kit.json` is none, 503 when too many
/// come in at once.
pub async fn receive(
    app: &AppState,
    account: AccountId,
    request: Request,
) -> ApiResult<(Upload, Held)> {
    let wanted = "The body is no form: send kit.json as multipart/form-data in the part `kit`, and each file in a part with its name.";
    let (mut form, held) = form::open(app, account, request, MAX_FORM, wanted).await?;
    let (mut kit, mut signature, mut owner) = (None, None, None);
    let mut files: [(&str, Option<Bytes>); 3] =
        [("bootloader", None), ("partitions", None), ("app", None)];
    while let Some(field) = form.next_field().await.map_err(|e| form::broken(&e))? {
        let name = field.name().unwrap_or_default().to_owned();
        match &*name {
            "kit" => kit = Some(form::text(field, "kit", MAX_KIT_FILE).await?),
            "signature" => {
                let text = form::text(field, "signature", MAX_MANIFEST).await?;
                let text = text.replace("\r\n", "\n");
                signature = Some(text).filter(|text| !text.trim().is_empty());
            }
            "owner" => {
                let text = form::text(field, "owner", MAX_ACCOUNT).await?;
                owner = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
            }
            _ => {
                if let Some((name, file)) = files.iter_mut().find(|(known, _)| *known == name) {
                    let limit = if *name == "app" { MAX_IMAGE } else { MAX_SMALL };
                    let bytes = form::read(field, limit).await?;
                    let sentence = format!(
                        "The part {name} is larger than {} kB; no such file is.",
                        limit >> 10
                    );
                    *file = Some(bytes.ok_or_else(|| ApiError::too_large(sentence))?);
                }
            }
        }
    }
    let missing = |name: &str| {
        let sentence = format!(
            "The form has no part `{name}`: send kit.json in `kit`, and the files in `bootloader`, `partitions` and `app`."
        );
        ApiError::bad_request("no_file", sentence)
    };
    let kit = kit.ok_or_else(|| missing("kit"))?;
    let kit = KitFile::parse(&kit).map_err(bad_kit)?;
    let [bootloader, partitions, app] = files.map(|(name, file)| file.ok_or_else(|| missing(name)));
    let upload = Upload {
        kit,
        files: [bootloader?, partitions?, app?],
        signature,
        owner,
    };
    Ok((upload, held))
}
