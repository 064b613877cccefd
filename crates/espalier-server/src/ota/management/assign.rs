//! Making an image the current one of its type.

use crate::AppState;
use crate::error::ApiResult;
use crate::identity::Caller;
use crate::ota::library::{self, Draft, Firmware, Release};
use std::sync::Arc;

/// The channel of what everybody gets.
const STABLE: &str = "stable";

/// What an image alone is published as.
fn draft(firmware: &Firmware) -> Draft {
    let version = match firmware.version.trim() {
        "" => &firmware.legacy_key,
        _ => &firmware.version,
    };
    Draft {
        version: Some(version.clone()),
        channel: Some(STABLE.to_owned()),
        notes: firmware.description.clone(),
        firmware: vec![firmware.id],
    }
}

/// The releases that say no more than "this image": [`assign`] made them.
fn plain(app: &AppState, firmware: &Firmware) -> Vec<Arc<Release>> {
    let draft = draft(firmware);
    app.ota.library.releases(|release| {
        release.withdrawn_at.is_none()
            && release.firmware == draft.firmware
            && Some(&release.version) == draft.version.as_ref()
            && Some(&release.channel) == draft.channel.as_ref()
            && release.notes == draft.notes
    })
}

/// Publishes an image alone as a stable release, unless it is published so already.
///
/// # Errors
/// Fails as making a release does.
pub async fn assign(
    app: &AppState,
    caller: &Caller,
    firmware: &Firmware,
) -> ApiResult<Arc<Release>> {
    match plain(app, firmware).into_iter().next() {
        Some(release) => Ok(release),
        None => library::create_release(app, caller, draft(firmware)).await,
    }
}

/// Deletes the releases that [`assign`] made of an image: who deletes the image on an old page knows of none.
///
/// # Errors
/// 409 when a rollout needs one.
pub async fn unassign(app: &AppState, caller: &Caller, firmware: &Firmware) -> ApiResult<()> {
    for release in plain(app, firmware) {
        library::remove_release(app, caller, release.id).await?;
    }
    Ok(())
}
