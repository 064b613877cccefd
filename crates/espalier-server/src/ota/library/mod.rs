//! The library: every firmware image, release and key in memory, found by id, digest or the key that old clients use.
//!
//! Invariant: an image's identity is its SHA-256; its bytes are in the blob store under it. The database is written first, then
//! the memory. An image is kept only when it is whole and signed by a trusted key, unless the installation allows unsigned
//! ones. It does not decide who installs what.

mod downloads;
mod firmware;
pub(super) mod form;
mod http;
mod index;
mod intake;
mod keys;
mod look;
mod releases;
mod signature;
mod store;

pub use downloads::{count_download, flush};
pub use firmware::{Kept, MAX_FORM, keep, keep_for, maker, no_library, remove, visible};
pub use index::State;
pub use intake::{Upload, receive};
pub use keys::{Key, KeySet, first_set};
pub use releases::{Draft, create as create_release, remove as remove_release};
pub use signature::{Refusal, Signed};

use crate::error::ApiResult;
use crate::{ApiError, AppState};
use espalier_model::{AccountId, FirmwareId, ReleaseId};
use serde_json::{Map, Value};
use std::future::Future;
use utoipa_axum::router::OpenApiRouter;

/// A SHA-256.
pub type Digest = [u8; 32];

/// One image in somebody's library.
#[derive(Debug, Clone)]
pub struct Firmware {
    /// Its id.
    pub id: FirmwareId,
    /// Whose it is.
    pub owner: AccountId,
    /// SHA-256 of the file: its identity, and its name in the blob store.
    pub sha256: Digest,
    /// MD5 of the file, which the Arduino updater compares.
    pub md5: [u8; 16],
    /// Bytes.
    pub size: u64,
    /// The chip it is for, e.g. `esp32c3`.
    pub chip: String,
    /// The project's name from the app descriptor.
    pub project: String,
    /// The version from the app descriptor.
    pub version: String,
    /// The secure version from the app descriptor (anti-rollback).
    pub secure_version: u32,
    /// SHA-256 of the ELF file, from the app descriptor.
    pub elf_sha256: Digest,
    /// The SHA-256 at the image's end, which the Arduino updater sends as `x-ESP32-sketch-sha256`.
    pub appended_sha256: Option<Digest>,
    /// Everything else that the image says of itself, for people.
    pub facts: Map<String, Value>,
    /// The type under which old clients ask for it, e.g. `ESP32_OTA_Base`.
    pub device_type: Option<String>,
    /// `{type}_{YYYYMMDD.HHMMSS}`: its name for old clients.
    pub legacy_key: String,
    /// The name of the file that was uploaded.
    pub filename: String,
    /// What people say of it.
    pub description: String,
    /// The signed manifest as text; it was verified against the owner's keys when it was kept.
    pub manifest: Option<String>,
    /// Who uploaded it: an account's id.
    pub created_by: String,
    /// When, milliseconds UTC.
    pub created_at: i64,
}

impl Firmware {
    /// The lowest and the highest revision of the chip that it runs on.
    pub fn revisions(&self) -> (u16, u16) {
        let number = |fact: &str| self.facts.get(fact)?.as_u64()?.try_into().ok();
        (
            number("min_chip_revision").unwrap_or(0),
            number("max_chip_revision").unwrap_or(u16::MAX),
        )
    }

    /// What old clients call its type: the one it was given, or else its project.
    pub fn kind(&self) -> &str {
        self.device_type.as_deref().unwrap_or(&self.project)
    }
}

/// Images published together.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its id.
    pub id: ReleaseId,
    /// Whose it is.
    pub owner: AccountId,
    /// The version that people see.
    pub version: String,
    /// The channel, e.g. `stable` or `beta`.
    pub channel: String,
    /// What is new.
    pub notes: String,
    /// The images: at most one fits a device.
    pub firmware: Vec<FirmwareId>,
    /// Who made it: an account's id.
    pub created_by: String,
    /// When, milliseconds UTC.
    pub created_at: i64,
    /// When it was withdrawn: no rollout may begin with it.
    pub withdrawn_at: Option<i64>,
}

/// The routes of this part.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    http::routes()
}

/// Starts the background work: downloads are written down.
pub(super) fn start(app: &AppState) {
    downloads::start(app);
}

/// Forgets what belonged to an account whose rows are gone, and the files that nobody else needs.
///
/// # Errors
/// Fails when the server is stopping; the files then go within hours after the next start.
pub(super) async fn forget_account(app: &AppState, account: AccountId) -> ApiResult<()> {
    let app = app.clone();
    to_the_end(&app.clone(), async move {
        let gone = {
            let _alone = app.ota.library.changing.lock().await;
            app.ota.library.forget(account)
        };
        for digest in gone {
            super::deltas::forget(&app, &digest).await?;
            super::blobs::release(&app, &digest).await?;
        }
        Ok(())
    })
    .await
}

/// Runs a change to its end even when the client hangs up meanwhile; otherwise memory could miss what the database has.
async fn to_the_end<T: Send + 'static>(
    app: &AppState,
    work: impl Future<Output = ApiResult<T>> + Send + 'static,
) -> ApiResult<T> {
    app.tasks.spawn(work).await.map_err(ApiError::internal)?
}
