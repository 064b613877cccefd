//! Rollouts: who gets what and when, whether it goes well, and what happens when it does not.
//!
//! - `memory`: rollouts and updates under one lock, and how they are counted
//! - `matching`: which devices are meant, in which wave, and what fits them
//! - `decide`: what one board should install now, from memory
//! - `updates`: what boards reported and were seen to run
//! - `engine`: opens waves, halts, finishes, judges health, stores, tells
//! - `manage`, `undo`, `preview`: what people do with rollouts
//! - `zones`: time zones of devices
//!
//! Invariant: what is offered was stored before; what [`espalier_model`] can decide is decided there. It does not move a byte of
//! an image (`delivery`) and does not know what runs where (`fleet`) but by being told.
//!
//! A rollout reaches devices that its owner owns, and no others: what others share with them trusts other keys. An admin who
//! makes one of somebody else's release makes it for them, and it reaches their devices.

mod assign;
mod decide;
mod engine;
mod events;
mod http;
mod manage;
mod matching;
mod memory;
mod preview;
mod store;
mod undo;
mod updates;
mod view;
mod zones;

pub use assign::{bring, forget_release};
pub use decide::{Decision, Offer, decide};
pub use engine::tick;
pub use events::publish_rollout;
pub use matching::{Matched, matched};
pub use updates::{connected, force, observed, offered, report};
pub use view::UpdateView;

use crate::{ApiError, AppState};
use decide::Cache;
use espalier_db::Db;
use espalier_model::ota::rollout::State as RolloutState;
use espalier_model::{AccountId, ReleaseId};
use memory::{Core, Rollout, Way};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use utoipa_axum::router::OpenApiRouter;

/// How often the background task looks when nothing wakes it.
const TICK: Duration = Duration::from_secs(1);

/// Rollouts and updates in memory.
#[derive(Default)]
pub struct State {
    core: Mutex<Core>,
    cache: Cache,
    generation: AtomicU64,
    /// What happened to rollouts and is not stored yet.
    journal: Mutex<Vec<store::Happened>>,
    /// Events so far, which orders those of one moment.
    events: AtomicU32,
    wake: Notify,
    /// Held by whoever changes a rollout.
    changing: tokio::sync::Mutex<()>,
    /// Held, shared, by whoever stores updates.
    storing: tokio::sync::RwLock<()>,
    /// Held by whoever runs a tick.
    ticking: tokio::sync::Mutex<engine::Pace>,
    /// The registry's revision up to which devices were looked at.
    synced: AtomicU64,
}

impl State {
    /// Loads what is under way.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(db: &Db) -> Result<Self, espalier_db::Error> {
        let core = db
            .read(|c| {
                let mut core = Core::default();
                for row in store::rollouts(c)? {
                    let mut rollout = Rollout::new(row);
                    let over = matches!(
                        rollout.row.state,
                        RolloutState::Finished | RolloutState::Aborted
                    );
                    if rollout.is_live() || over {
                        for (device, track) in store::updates_of(c, rollout.row.id)? {
                            if over && track.update.confirmed_at().is_some() {
                                continue;
                            }
                            core.updates.insert(track.id, (device, track.way));
                            match track.way {
                                Way::Back(_) => rollout.back.insert(device, track),
                                _ => rollout.tracks.insert(device, track),
                            };
                        }
                    }
                    core.rollouts.insert(rollout.row.id, rollout);
                }
                for (device, track) in store::open_forced(c)? {
                    core.updates.insert(track.id, (device, Way::Forced));
                    core.forced.insert(device, track);
                }
                core.taken = store::last_taken(c)?.into_iter().collect();
                core.zones = zones::load(c)?;
                core.resort();
                Ok::<_, espalier_db::Error>(core)
            })
            .await?;
        Ok(Self {
            core: Mutex::new(core),
            ..Self::default()
        })
    }

    /// Notes that decisions may have changed.
    fn bump(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

/// A number that changes whenever a decision may have changed for any reason but the passing of time, which
/// [`Decision::Nothing`] tells itself, and what the asking board says.
pub fn generation(app: &AppState) -> u64 {
    let own = app.ota.rollouts.generation.load(Ordering::SeqCst);
    own.wrapping_add(app.devices.revision())
        .wrapping_add(app.ota.library.revision())
}

/// The name of a rollout of a release that is not over, if there is one.
pub fn of_release(app: &AppState, release: ReleaseId) -> Option<String> {
    let core = app.ota.rollouts.core.lock();
    let mut rollouts = core.rollouts.values();
    let found = rollouts.find(|one| one.row.release == release && !one.row.state.is_over());
    found.map(|one| one.row.name.clone())
}

/// The routes of this part.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    http::routes().merge(zones::routes())
}

/// Starts the background work of this part.
pub(super) fn start(app: &AppState) {
    engine::restore(app);
    let app = app.clone();
    app.clone().tasks.spawn(async move {
        loop {
            let last = tokio::select! {
                () = app.shutdown.cancelled() => true,
                () = app.ota.rollouts.wake.notified() => false,
                () = tokio::time::sleep(TICK) => false,
            };
            let result = if last {
                engine::flush(&app).await
            } else {
                tick(&app).await
            };
            if let Err(error) = result {
                tracing::warn!(%error, "rollouts could not be stored; it is tried again");
                tokio::select! {
                    () = app.shutdown.cancelled() => {}
                    () = tokio::time::sleep(TICK) => {}
                }
            }
            if last {
                return;
            }
        }
    });
}

/// Forgets the rollouts of an account that was deleted.
pub fn forget_account(app: &AppState, account: AccountId) {
    let state = &app.ota.rollouts;
    let mut core = state.core.lock();
    core.rollouts
        .retain(|_, rollout| rollout.row.owner != account);
    core.resort();
    drop(core);
    state.bump();
}

/// Finds a rollout that a path names, for somebody who may see it: its owner, and admins.
///
/// # Errors
/// 404 when there is none that they may see.
fn require(
    app: &AppState,
    caller: &crate::identity::Caller,
    id: &str,
) -> Result<espalier_model::RolloutId, ApiError> {
    let missing = || ApiError::not_found("Rollout");
    let id = id.parse().map_err(|_| missing())?;
    let core = app.ota.rollouts.core.lock();
    let rollout = core.rollouts.get(&id).ok_or_else(missing)?;
    if caller.sees(rollout.row.owner) {
        return Ok(id);
    }
    Err(missing())
}
