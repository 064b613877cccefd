//! Keeping, changing and removing images.

use super::look::{Look, NoImage, look};
use super::signature::{self, Subject};
use super::{Firmware, Release, Upload, intake, store, to_the_end};
use crate::error::ApiResult;
use crate::identity::{self, Caller};
use crate::ota::{blobs, rollouts};
use crate::{ApiError, AppState, random};
use axum::http::StatusCode;
use bytes::Bytes;
use espalier_db::{Conn, Error as DbError};
use espalier_image::app::Head;
use espalier_model::{AccountId, FirmwareId};
use serde_json::json;
use std::sync::Arc;

/// Images of one account.
const MAX_IMAGES: i64 = 1000;
/// The longest description, characters.
const MAX_DESCRIPTION: usize = 2000;
/// The longest type, characters.
const MAX_TYPE: usize = 64;

/// What came of an upload.
#[derive(Debug)]
pub enum Kept {
    /// The image is new.
    New(Arc<Firmware>),
    /// The account had it already.
    Known(Arc<Firmware>),
}

impl Kept {
    /// The image.
    pub fn firmware(&self) -> &Arc<Firmware> {
        match self {
            Self::New(firmware) | Self::Known(firmware) => firmware,
        }
    }
}

/// There is no such image of the caller's.
pub fn no_firmware() -> ApiError {
    ApiError::not_found("Firmware")
}

/// Tells somebody without an account that there is nowhere to keep things.
pub fn no_library(error: DbError) -> ApiError {
    match error {
        DbError::ForeignKey => ApiError::conflict(
            "no_account",
            "Whoever has no account has no library; sign in as a person.",
        ),
        other => other.into(),
    }
}

/// Who made what is in an account's library: the operator at the command line has no account and acts for the owner.
pub fn maker(caller: &Caller, owner: AccountId) -> AccountId {
    if caller.account.0.is_nil() {
        owner
    } else {
        caller.account
    }
}

/// An image that the caller may see.
///
/// # Errors
/// 404 when there is none.
pub fn visible(app: &AppState, caller: &Caller, id: FirmwareId) -> ApiResult<Arc<Firmware>> {
    let found = app.ota.library.get(id);
    found
        .filter(|firmware| caller.sees(firmware.owner))
        .ok_or_else(no_firmware)
}

/// Checks a type: it is a part of names and addresses, so it is plain.
///
/// # Errors
/// 422 when it is empty, too long or holds anything else.
pub fn check_type(text: &str) -> ApiResult<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let fits = (1..=MAX_TYPE).contains(&text.len()) && text.chars().all(plain);
    if fits && text.chars().any(|c| c != '.') {
        return Ok(text.to_owned());
    }
    let why = format!("must have 1 to {MAX_TYPE} letters, digits, `_`, `.` or `-`");
    Err(ApiError::invalid(&["body", "device_type"], why))
}

/// Checks a description, and returns it without the spaces around it.
///
/// # Errors
/// 422 when it is too long or holds a NUL.
pub fn check_description(text: &str) -> ApiResult<String> {
    if text.chars().count() <= MAX_DESCRIPTION && !text.contains('\0') {
        return Ok(text.trim().to_owned());
    }
    let why = format!("may have at most {MAX_DESCRIPTION} characters");
    Err(ApiError::invalid(&["body", "description"], why))
}

/// Looks at a file without keeping it: what it says of itself, or why it is no image.
///
/// # Errors
/// When the work was cut off.
pub async fn inspect(bytes: Bytes) -> ApiResult<Result<Look, NoImage>> {
    let work = move || look(&bytes);
    tokio::task::spawn_blocking(work)
        .await
        .map_err(ApiError::internal)
}

/// Checks the signature of a file that was looked at and returns the key that made it; without one there is nothing to check.
///
/// # Errors
/// 422 when it belongs to another file, or to no key of the account.
pub fn check_signature(
    app: &AppState,
    owner: AccountId,
    bytes: &[u8],
    look: &Look,
    manifest: Option<&str>,
) -> ApiResult<Option<Arc<super::Key>>> {
    let Some(manifest) = manifest else {
        return Ok(None);
    };
    let subject = Subject {
        head: Head::parse(bytes).map_err(|error| signature::bad(error.to_string()))?,
        sha256: &look.sha256,
        size: look.size,
    };
    let keys = app.ota.library.keys(owner);
    signature::check(manifest, &subject, &keys).map(Some)
}

/// Keeps an uploaded image in the caller's library. What is already there stays, gets the new signature, and its file is
/// written again if it was damaged.
///
/// # Errors
/// 422 when the file is no sound image, is not signed, or its signature does not count; 409 when the library is full.
pub async fn keep(app: &AppState, caller: &Caller, upload: Upload) -> ApiResult<Kept> {
    keep_for(app, caller, caller.account, upload).await
}

/// Keeps an uploaded image in an account's library, which the caller was allowed to change; its keys decide about the signature.
///
/// # Errors
/// As [`keep`].
pub async fn keep_for(
    app: &AppState,
    caller: &Caller,
    owner: AccountId,
    upload: Upload,
) -> ApiResult<Kept> {
    let device_type = upload.device_type.as_deref().map(check_type).transpose()?;
    let description = check_description(&upload.description)?;
    let look = inspect(upload.bytes.clone()).await?.map_err(|no| {
        ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "not_an_image",
            no.sentence,
        )
    })?;
    let manifest = upload.signature.as_deref();
    check_signature(app, owner, &upload.bytes, &look, manifest)?;
    let firmware = Firmware {
        id: random::firmware_id(&app.clock),
        owner,
        sha256: look.sha256,
        md5: look.md5,
        size: look.size,
        chip: look.chip.to_owned(),
        project: look.project,
        version: look.version,
        secure_version: look.secure_version,
        elf_sha256: look.elf_sha256,
        appended_sha256: look.appended_sha256,
        facts: look.facts,
        device_type,
        legacy_key: String::new(),
        filename: upload.filename,
        description,
        manifest: upload.signature,
        created_by: maker(caller, owner).to_string(),
        created_at: app.clock.now_ms(),
    };
    let (app, caller) = (app.clone(), caller.clone());
    to_the_end(&app.clone(), async move {
        store_image(&app, &caller, firmware, upload.bytes).await
    })
    .await
}

async fn store_image(
    app: &AppState,
    caller: &Caller,
    mut firmware: Firmware,
    bytes: Bytes,
) -> ApiResult<Kept> {
    let library = &app.ota.library;
    let _hold = app.ota.blobs.hold(&firmware.sha256).await;
    let known = library.by_digest(firmware.owner, &firmware.sha256);
    if known.is_none() && firmware.manifest.is_none() && !app.config.allow_unsigned {
        return Err(signature::unsigned());
    }
    app.ota.blobs.put(bytes).await?;
    let _alone = library.changing.lock().await;
    if let Some(known) = known {
        return again(app, caller, known, firmware).await.map(Kept::Known);
    }
    let mut row = firmware.clone();
    let insert = move |c: &Conn<'_>| {
        if store::count_firmware(c, row.owner)? >= MAX_IMAGES {
            let sentence = format!("A library can hold {MAX_IMAGES} images; delete one first.");
            return Err(ApiError::conflict("too_many_images", sentence));
        }
        row.legacy_key = free_key(c, &row)?;
        store::insert_firmware(c, &row).map_err(no_library)?;
        Ok(row.legacy_key.clone())
    };
    firmware.legacy_key = app.db.write(insert).await?;
    let firmware = Arc::new(firmware);
    library.put(firmware.clone());
    let detail = json!({
        "sha256": hex::encode(firmware.sha256), "project": firmware.project, "version": firmware.version,
        "chip": firmware.chip, "signed": firmware.manifest.is_some(),
    });
    identity::audit(
        app,
        caller,
        "firmware.upload",
        &firmware.id.to_string(),
        detail,
    )
    .await?;
    Ok(Kept::New(firmware))
}

/// The same file once more: what the image lacked, the new upload adds.
async fn again(
    app: &AppState,
    caller: &Caller,
    known: Arc<Firmware>,
    new: Firmware,
) -> ApiResult<Arc<Firmware>> {
    let mut known = match &new.manifest {
        Some(manifest) => add_signature(app, caller, &known, manifest).await?,
        None => known,
    };
    let kind = known
        .device_type
        .clone()
        .or_else(|| new.device_type.clone());
    if new.device_type.is_some() && kind != new.device_type {
        let sentence = format!(
            "This image is in the library already as {} of the type {}; change the type there.",
            known.legacy_key,
            known.kind()
        );
        return Err(ApiError::conflict("other_type", sentence));
    }
    let describes = known.description.is_empty() && !new.description.is_empty();
    if describes || kind != known.device_type {
        let mut changed = Firmware::clone(&known);
        changed.device_type = kind;
        if describes {
            changed.description = new.description;
        }
        check_releases(app, &changed)?;
        known = write_down(app, changed).await?;
    }
    Ok(known)
}

/// A key for old clients that no other image has: its type and the time, a second later for each that is taken.
fn free_key(c: &Conn<'_>, firmware: &Firmware) -> Result<String, ApiError> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let kind: String = match &firmware.device_type {
        Some(kind) => kind.clone(),
        None => firmware.project.chars().map(plain).take(MAX_TYPE).collect(),
    };
    let mut at =
        jiff::Timestamp::from_millisecond(firmware.created_at).map_err(ApiError::internal)?;
    loop {
        let key = format!("{kind}_{}", at.strftime("%Y%m%d.%H%M%S"));
        if !store::key_is_taken(c, &key)? {
            return Ok(key);
        }
        let next = at.checked_add(jiff::SignedDuration::from_secs(1));
        at = next.map_err(ApiError::internal)?;
    }
}

/// Adds a signature to an image that is there.
///
/// # Errors
/// 422 that says which line differs, or why the signature does not count.
pub async fn sign(
    app: &AppState,
    caller: &Caller,
    id: FirmwareId,
    manifest: String,
) -> ApiResult<Arc<Firmware>> {
    let firmware = visible(app, caller, id)?;
    let manifest = manifest.replace("\r\n", "\n");
    let bytes = app.ota.blobs.get(&firmware.sha256).await?;
    let subject = Subject {
        head: Head::parse(&bytes).map_err(ApiError::internal)?,
        sha256: &firmware.sha256,
        size: firmware.size,
    };
    let keys = app.ota.library.keys(firmware.owner);
    signature::check(&manifest, &subject, &keys)?;
    let (app, caller) = (app.clone(), caller.clone());
    to_the_end(&app.clone(), async move {
        let _alone = app.ota.library.changing.lock().await;
        // It may have changed, or gone, meanwhile.
        let firmware = visible(&app, &caller, id)?;
        add_signature(&app, &caller, &firmware, &manifest).await
    })
    .await
}

/// Adds a checked signature; the library is not changed by others meanwhile.
async fn add_signature(
    app: &AppState,
    caller: &Caller,
    firmware: &Arc<Firmware>,
    manifest: &str,
) -> ApiResult<Arc<Firmware>> {
    let merged = match &firmware.manifest {
        Some(old) => signature::merge(old, manifest)?,
        None => manifest.to_owned(),
    };
    if firmware.manifest.as_ref() == Some(&merged) {
        return Ok(firmware.clone());
    }
    let mut signed = Firmware::clone(firmware);
    signed.manifest = Some(merged);
    let signed = write_down(app, signed).await?;
    identity::audit(
        app,
        caller,
        "firmware.sign",
        &signed.id.to_string(),
        json!({}),
    )
    .await?;
    Ok(signed)
}

/// Stores what of an image can change.
async fn write_down(app: &AppState, firmware: Firmware) -> ApiResult<Arc<Firmware>> {
    let change = store::Change {
        id: firmware.id,
        device_type: firmware.device_type.clone(),
        description: firmware.description.clone(),
        manifest: firmware.manifest.clone(),
    };
    let update = move |c: &Conn<'_>| store::update_firmware(c, &change);
    if !app.db.write(update).await? {
        return Err(no_firmware());
    }
    let firmware = Arc::new(firmware);
    app.ota.library.put(firmware.clone());
    Ok(firmware)
}

/// What to change of an image; what is absent stays.
#[derive(Debug, Default)]
pub struct Wanted {
    pub description: Option<String>,
    pub device_type: Option<Option<String>>,
}

/// Describes an image or gives it another type.
///
/// # Errors
/// 409 when two images of a release would then fit the same boards, 422 when a text does not fit.
pub async fn change(
    app: &AppState,
    caller: &Caller,
    id: FirmwareId,
    wanted: Wanted,
) -> ApiResult<Arc<Firmware>> {
    let description = wanted
        .description
        .map(|text| check_description(&text))
        .transpose()?;
    let device_type = match wanted.device_type {
        Some(Some(text)) => Some(Some(check_type(&text)?)),
        other => other,
    };
    let (app, caller) = (app.clone(), caller.clone());
    to_the_end(&app.clone(), async move {
        let _alone = app.ota.library.changing.lock().await;
        let mut firmware = Firmware::clone(&*visible(&app, &caller, id)?);
        if let Some(description) = description {
            firmware.description = description;
        }
        if let Some(device_type) = device_type {
            firmware.device_type = device_type;
            check_releases(&app, &firmware)?;
        }
        let detail =
            json!({ "description": firmware.description, "device_type": firmware.device_type });
        let changed = write_down(&app, firmware).await?;
        identity::audit(&app, &caller, "firmware.change", &id.to_string(), detail).await?;
        Ok(changed)
    })
    .await
}

/// Refuses a type with which two images of a release would fit the same boards.
fn check_releases(app: &AppState, changed: &Firmware) -> ApiResult<()> {
    for release in releases_of(app, changed.id) {
        let images = app.ota.library.images(&release);
        let others = images.iter().filter(|other| other.id != changed.id);
        if let Some(other) = others
            .into_iter()
            .find(|other| super::releases::same_boards(other, changed))
        {
            let sentence = format!(
                "The release {} has another image for such boards already ({}); make a new release first.",
                release.version, other.filename
            );
            return Err(ApiError::conflict("same_boards", sentence));
        }
    }
    Ok(())
}

/// The releases that an image is in and that were not withdrawn.
pub fn releases_of(app: &AppState, id: FirmwareId) -> Vec<Arc<Release>> {
    let holds =
        |release: &Release| release.withdrawn_at.is_none() && release.firmware.contains(&id);
    app.ota.library.releases(holds)
}

/// Removes an image, and its file when nobody else has it.
///
/// # Errors
/// 409 that names the release which holds it.
pub async fn remove(app: &AppState, caller: &Caller, id: FirmwareId) -> ApiResult<()> {
    let (app, caller) = (app.clone(), caller.clone());
    to_the_end(&app.clone(), async move {
        let alone = app.ota.library.changing.lock().await;
        let firmware = visible(&app, &caller, id)?;
        if let Some(release) = releases_of(&app, id).first() {
            let sentence = format!(
                "The release {} ({}) holds this image; delete or withdraw the release first.",
                release.version, release.channel
            );
            return Err(ApiError::conflict("in_release", sentence));
        }
        // A rollout goes on with a release that was withdrawn after it began.
        let holds = |release: &Release| release.firmware.contains(&id);
        for release in app.ota.library.releases(holds) {
            if let Some(rollout) = rollouts::of_release(&app, release.id) {
                let sentence = format!(
                    "The rollout {rollout} still brings this image to boards; let it finish or abort it first."
                );
                return Err(ApiError::conflict("in_rollout", sentence));
            }
        }
        let delete = move |c: &Conn<'_>| store::delete_firmware(c, id);
        app.db.write(delete).await?;
        app.ota.library.remove(id);
        let detail = json!({
            "sha256": hex::encode(firmware.sha256), "project": firmware.project, "version": firmware.version,
        });
        identity::audit(&app, &caller, "firmware.delete", &id.to_string(), detail).await?;
        drop(alone);
        crate::ota::deltas::forget(&app, &firmware.sha256).await?;
        blobs::release(&app, &firmware.sha256).await?;
        Ok(())
    })
    .await
}

/// What the largest form is; routes that take an upload raise their limit to it.
pub const MAX_FORM: usize = intake::MAX_FORM;
