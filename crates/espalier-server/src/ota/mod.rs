//! Firmware on its way: the library of images, releases, rollouts, delivery, and what runs where.
//!
//! - `blobs`: large files by what they contain: images, patches, pictures
//! - `deltas`: patches from one image to another
//! - `fleet`: what runs where
//! - `kits`: what a board is flashed with over USB the first time
//! - `library`: images, keys and releases: what there is to install
//! - `management`: the library as old pages and scripts manage it
//! - `rollouts`: who gets what and when, and whether it goes well
//! - `delivery`: boards ask, download and report; old sketches too
//!
//! The way of a decision: [`espalier_model`] decides without I/O, `rollouts` keeps its inputs in memory and its outcomes in the
//! database, `delivery` turns it into answers. It does not draw what devices are ([`crate::devices`]).

pub mod blobs;
pub mod delivery;
pub mod deltas;
pub mod fleet;
pub mod kits;
pub mod library;
mod management;
pub mod rollouts;

use crate::AppState;
use crate::error::ApiResult;
use espalier_db::Db;
use espalier_model::{AccountId, DeviceId};
use utoipa_axum::router::OpenApiRouter;

/// What of this feature lives in memory.
pub struct State {
    /// The files of images, patches and pictures.
    pub blobs: blobs::State,
    /// The patches between images.
    pub deltas: deltas::State,
    /// Every image and release.
    pub library: library::State,
    /// What runs on every board.
    pub fleet: fleet::State,
    /// What is on its way to boards.
    pub delivery: delivery::State,
    /// Rollouts and updates under way.
    pub rollouts: rollouts::State,
}

impl State {
    /// Loads what must be in memory; `blobs` is open before it, because a restore fills it.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(db: &Db, blobs: blobs::State) -> anyhow::Result<Self> {
        Ok(Self {
            blobs,
            deltas: deltas::State::load(db).await?,
            library: library::State::load(db).await?,
            fleet: fleet::State::load(db).await?,
            delivery: delivery::State::default(),
            rollouts: rollouts::State::load(db).await?,
        })
    }
}

/// The routes of this feature.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(library::routes())
        .merge(kits::routes())
        .merge(management::routes())
        .merge(fleet::routes())
        .merge(rollouts::routes())
        .merge(delivery::routes())
}

/// Starts the background work of this feature.
pub(crate) fn start(app: &AppState) {
    blobs::start(app);
    library::start(app);
    deltas::start(app);
    fleet::start(app);
    rollouts::start(app);
    delivery::start(app);
}

/// Forgets what belonged to an account that was deleted.
///
/// # Errors
/// Fails when the server is stopping; files that nobody needs then go after the next start.
pub async fn forget_account(app: &AppState, account: AccountId) -> ApiResult<()> {
    rollouts::forget_account(app, account);
    library::forget_account(app, account).await
}

/// Forgets a device that was deleted.
pub(crate) fn forget_device(app: &AppState, device: DeviceId) {
    fleet::forget(app, device);
}

/// A SHA-256 that somebody wrote in hexadecimal digits.
pub fn digest(text: &str) -> Option<library::Digest> {
    let mut digest = library::Digest::default();
    hex::decode_to_slice(text, &mut digest).ok()?;
    Some(digest)
}
