//! Old boards: sketches with an id compiled in and no token, which speak to `/api/devices/…` as they always did.
//!
//! Who speaks for such an id is decided in one place ([`admit`]): the board's token, or, for a device that its owner opened to
//! old boards, the station it is pinned to. Everybody else waits in quarantine, in memory and bounded, until an admin claims
//! the board; what waits is answered as ever, told nothing, and never written to the database. It does not keep what screens
//! show, and delivers no firmware.
//!
//! Reading order: `pin.rs` (what a request shows of its sender), `gate.rs` (who speaks), `quarantine.rs` (who waits), `said.rs` (what
//! boards say), `legacy.rs` (what is known of claimed ones), `claim.rs` (what people decide), `shape.rs` (failures as old clients
//! read them), `report.rs` and `view.rs` (boards' words in, the old shape of a device out).

mod claim;
mod gate;
mod http;
mod legacy;
mod pin;
mod quarantine;
mod report;
mod said;
mod shape;
mod store;
mod view;

pub use gate::{Admitted, admit, is_from};
pub use legacy::{Legacy, Profile, find_for, names, of};
pub use pin::Mac;
pub use shape::{Failure, LegacyProblem};

use crate::AppState;
use espalier_db::Db;
use espalier_model::DeviceId;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use utoipa_axum::router::OpenApiRouter;

/// What of old boards lives in memory.
pub struct State {
    known: RwLock<legacy::Index>,
    blocks: RwLock<Vec<claim::Block>>,
    waiting: Mutex<quarantine::Quarantine>,
    /// When claimed boards were last heard at the address that they are pinned to, milliseconds UTC.
    heard: Mutex<HashMap<DeviceId, i64>>,
}

impl State {
    /// Loads what is known of old boards; the quarantine begins empty, because boards speak again soon.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(db: &Db) -> Result<Self, espalier_db::Error> {
        let (known, blocks) = db
            .read(|c| Ok::<_, espalier_db::Error>((store::all(c)?, store::blocks(c)?)))
            .await?;
        Ok(Self {
            known: RwLock::new(legacy::Index::of(known)),
            blocks: RwLock::new(blocks),
            waiting: Mutex::default(),
            heard: Mutex::default(),
        })
    }
}

/// The routes of old boards and of the quarantine.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    http::routes()
}

/// Forgets a deleted device.
pub(super) fn forget(app: &AppState, device: espalier_model::DeviceId) {
    app.devices.cms.known.write().remove(device);
}

/// Remembers what is known of an old board, after it was stored.
pub(super) fn remember(app: &AppState, device: espalier_model::DeviceId, legacy: Legacy) {
    app.devices.cms.known.write().put(device, legacy);
}

/// Stores what is known of an old board.
///
/// # Errors
/// Returns the database's error.
pub(super) fn put(
    c: &espalier_db::Conn<'_>,
    device: espalier_model::DeviceId,
    legacy: &Legacy,
) -> espalier_db::Result<()> {
    store::put(c, device, legacy)
}
