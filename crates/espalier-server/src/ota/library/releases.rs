//! Releases: images published together under one version.

use super::firmware::no_library;
use super::{Firmware, Release, store, to_the_end};
use crate::error::ApiResult;
use crate::identity::{self, Caller};
use crate::ota::rollouts;
use crate::{ApiError, AppState, random};
use espalier_db::Conn;
use espalier_model::{FirmwareId, ReleaseId};
use serde_json::json;
use std::sync::Arc;

/// Releases of one account.
const MAX_RELEASES: i64 = 10_000;
/// Images of one release.
const MAX_IMAGES: usize = 32;
/// The longest version, characters.
const MAX_VERSION: usize = 64;
/// The longest channel, characters.
const MAX_CHANNEL: usize = 32;
/// The longest notes, characters.
const MAX_NOTES: usize = 20_000;

/// A release to make.
#[derive(Debug, Default)]
pub struct Draft {
    /// The version; absent: that of the images.
    pub version: Option<String>,
    /// The channel; absent: `stable`.
    pub channel: Option<String>,
    /// What is new, as Markdown.
    pub notes: String,
    /// The images.
    pub firmware: Vec<FirmwareId>,
}

/// There is no such release of the caller's.
pub fn no_release() -> ApiError {
    ApiError::not_found("Release")
}

/// A release that the caller may see.
///
/// # Errors
/// 404 when there is none.
pub fn visible(app: &AppState, caller: &Caller, id: ReleaseId) -> ApiResult<Arc<Release>> {
    let found = app.ota.library.release(id);
    found
        .filter(|release| caller.sees(release.owner))
        .ok_or_else(no_release)
}

/// Whether two images are for the same boards: the same chip, and the same type or, where one has none, project.
pub fn same_boards(one: &Firmware, other: &Firmware) -> bool {
    one.chip == other.chip
        && match (&one.device_type, &other.device_type) {
            (Some(one), Some(other)) => one == other,
            _ => one.project == other.project,
        }
}

fn check_version(text: &str) -> ApiResult<String> {
    let text = text.trim();
    if (1..=MAX_VERSION).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    let why = format!("must have 1 to {MAX_VERSION} characters on one line");
    Err(ApiError::invalid(&["body", "version"], why))
}

fn check_channel(text: &str) -> ApiResult<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if (1..=MAX_CHANNEL).contains(&text.len()) && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    let why = format!(
        "must be a word such as `stable` or `beta` of at most {MAX_CHANNEL} letters, digits, `_`, `.` or `-`"
    );
    Err(ApiError::invalid(&["body", "channel"], why))
}

fn check_notes(text: &str) -> ApiResult<String> {
    if text.chars().count() <= MAX_NOTES && !text.contains('\0') {
        return Ok(text.to_owned());
    }
    let why = format!("may have at most {MAX_NOTES} characters");
    Err(ApiError::invalid(&["body", "notes"], why))
}

/// The images that a release shall hold: of one owner, each offered to boards, no two for the same boards.
fn check_images(
    app: &AppState,
    caller: &Caller,
    ids: &[FirmwareId],
) -> ApiResult<Vec<Arc<Firmware>>> {
    let wrong = |why: String| ApiError::invalid(&["body", "firmware"], why);
    if !(1..=MAX_IMAGES).contains(&ids.len()) {
        return Err(wrong(format!("must have 1 to {MAX_IMAGES} images")));
    }
    let mut images: Vec<Arc<Firmware>> = Vec::with_capacity(ids.len());
    for id in ids {
        let image = app.ota.library.get(*id);
        let image = image.filter(|image| caller.sees(image.owner));
        let image = image.ok_or_else(|| wrong(format!("there is no image {id}")))?;
        let offered = app
            .ota
            .library
            .installable(&image, app.config.allow_unsigned);
        offered.map_err(|refusal| wrong(format!("{}: {}", image.filename, refusal.sentence())))?;
        if let Some(other) = images.iter().find(|other| same_boards(other, &image)) {
            return Err(wrong(format!(
                "{} and {} are both for {} boards of the type {}; a release has one image for each",
                other.filename,
                image.filename,
                image.chip,
                image.kind()
            )));
        }
        if images.iter().any(|other| other.owner != image.owner) {
            return Err(wrong("the images belong to different accounts".to_owned()));
        }
        images.push(image);
    }
    Ok(images)
}

/// The version that all images have.
fn common_version(images: &[Arc<Firmware>]) -> ApiResult<String> {
    let mut versions: Vec<&str> = images.iter().map(|image| image.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    match versions[..] {
        [version] if !version.trim().is_empty() => Ok(version.to_owned()),
        _ => {
            let why = format!("name one: the images say {}", versions.join(", "));
            Err(ApiError::invalid(&["body", "version"], why))
        }
    }
}

/// Makes a release.
///
/// # Errors
/// 422 that says which image or text does not fit, 409 when there are too many releases.
pub async fn create(app: &AppState, caller: &Caller, mut draft: Draft) -> ApiResult<Arc<Release>> {
    let version = draft.version.as_deref().map(check_version).transpose()?;
    let channel = check_channel(draft.channel.as_deref().unwrap_or("stable"))?;
    let notes = check_notes(&draft.notes)?;
    draft.firmware.sort_unstable();
    let (app, caller) = (app.clone(), caller.clone());
    to_the_end(&app.clone(), async move {
        let _alone = app.ota.library.changing.lock().await;
        let images = check_images(&app, &caller, &draft.firmware)?;
        let version = version.map_or_else(|| common_version(&images), Ok)?;
        let release = Release {
            id: random::release_id(&app.clock),
            owner: images.first().map_or(caller.account, |image| image.owner),
            version,
            channel,
            notes,
            firmware: draft.firmware,
            created_by: caller.account.to_string(),
            created_at: app.clock.now_ms(),
            withdrawn_at: None,
        };
        let row = release.clone();
        let insert = move |c: &Conn<'_>| {
            if store::count_releases(c, row.owner)? >= MAX_RELEASES {
                let sentence =
                    format!("An account can have {MAX_RELEASES} releases; delete one first.");
                return Err(ApiError::conflict("too_many_releases", sentence));
            }
            store::insert_release(c, &row).map_err(no_library)
        };
        app.db.write(insert).await?;
        let release = Arc::new(release);
        app.ota.library.put_release(release.clone());
        let detail = json!({ "version": release.version, "channel": release.channel });
        identity::audit(
            &app,
            &caller,
            "release.create",
            &release.id.to_string(),
            detail,
        )
        .await?;
        Ok(release)
    })
    .await
}

/// What to change of a release; what is absent stays. Its images never change: boards may be on their way to them.
#[derive(Debug, Default)]
pub struct Wanted {
    pub version: Option<String>,
    pub channel: Option<String>,
    pub notes: Option<String>,
    /// No rollout may begin with it any more; that cannot be undone.
    pub withdraw: bool,
}

/// Changes or withdraws a release.
///
/// # Errors
/// 422 when a text does not fit.
pub async fn change(
    app: &AppState,
    caller: &Caller,
    id: ReleaseId,
    wanted: Wanted,
) -> ApiResult<Arc<Release>> {
    let version = wanted
        .version
        .map(|text| check_version(&text))
        .transpose()?;
    let channel = wanted
        .channel
        .map(|text| check_channel(&text))
        .transpose()?;
    let notes = wanted.notes.map(|text| check_notes(&text)).transpose()?;
    let (app, caller) = (app.clone(), caller.clone());
    to_the_end(&app.clone(), async move {
        let _alone = app.ota.library.changing.lock().await;
        let mut release = Release::clone(&*visible(&app, &caller, id)?);
        release.version = version.unwrap_or(release.version);
        release.channel = channel.unwrap_or(release.channel);
        release.notes = notes.unwrap_or(release.notes);
        if wanted.withdraw {
            release.withdrawn_at = release.withdrawn_at.or(Some(app.clock.now_ms()));
        }
        let row = release.clone();
        let update = move |c: &Conn<'_>| store::update_release(c, &row);
        if !app.db.write(update).await? {
            return Err(no_release());
        }
        let release = Arc::new(release);
        app.ota.library.put_release(release.clone());
        let action = if wanted.withdraw {
            "release.withdraw"
        } else {
            "release.change"
        };
        let detail = json!({ "version": release.version, "channel": release.channel });
        identity::audit(&app, &caller, action, &id.to_string(), detail).await?;
        Ok(release)
    })
    .await
}

/// Deletes a release; its images stay.
///
/// # Errors
/// 409 when a rollout needs it.
pub async fn remove(app: &AppState, caller: &Caller, id: ReleaseId) -> ApiResult<()> {
    let (app, caller) = (app.clone(), caller.clone());
    to_the_end(&app.clone(), async move {
        let _alone = app.ota.library.changing.lock().await;
        let release = visible(&app, &caller, id)?;
        if let Some(rollout) = rollouts::of_release(&app, id) {
            let sentence = format!(
                "The rollout {rollout} still brings this release to boards; let it finish or abort it first."
            );
            return Err(ApiError::conflict("in_rollout", sentence));
        }
        let delete = move |c: &Conn<'_>| store::delete_release(c, id);
        app.db.write(delete).await?;
        app.ota.library.remove_release(id);
        let detail = json!({ "version": release.version, "channel": release.channel });
        identity::audit(&app, &caller, "release.delete", &id.to_string(), detail).await
    })
    .await
}
