//! Boards: what they are called, who they belong to, whether they are there, and what happened to them.
//!
//! Every device is in memory ([`State`]), so that a board is recognised without asking the database. It
//! does not keep what boards measure ([`crate::telemetry`]) or should do ([`crate::control`]).

mod access;
mod alerts;
mod batch;
mod bulk;
mod check;
mod claim;
pub mod cms;
mod delete;
mod events;
mod facts;
mod http;
mod list;
mod logic;
mod password;
mod presence;
mod registry;
mod store;
mod view;

pub use alerts::observe;
pub use facts::{Facts, introduce};
pub use list::visible;
pub use registry::{Device, State};
pub use view::DeviceView;

use crate::identity::{self, Caller, Collection, Principal, RuleData};
use crate::{ApiError, AppState};
use espalier_model::{AccountId, Action};
use std::sync::Arc;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;

/// How often the background task looks after presence, events and notifications when nothing wakes it.
const TICK: Duration = Duration::from_secs(1);

/// The routes of this feature.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    http::routes().merge(batch::routes()).merge(cms::routes())
}

/// Starts the background work of this feature.
pub(crate) fn start(app: &AppState) {
    presence::begin(app);
    let app = app.clone();
    app.clone().tasks.spawn(async move {
        if let Err(error) = delete::resume(&app).await {
            tracing::warn!(%error, "deletions that were interrupted could not be finished; they are at the next start");
        }
        loop {
            let last = tokio::select! {
                () = app.shutdown.cancelled() => true,
                () = app.devices.tracker.wake.notified() => false,
                () = tokio::time::sleep(TICK) => false,
            };
            if let Err(error) = step(&app, last).await {
                tracing::warn!(%error, "presence and events of devices could not be stored; it is tried again");
                // The database is away: its wake-ups must not turn into a busy loop.
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

/// One step of the background work: silent devices go offline, owners are told, and events, notifications and
/// presence are stored.
///
/// # Errors
/// Fails when the database does; nothing is lost, the next step goes on.
pub async fn tick(app: &AppState) -> Result<(), ApiError> {
    step(app, false).await
}

async fn step(app: &AppState, everything: bool) -> Result<(), ApiError> {
    let _alone = app.devices.tracker.ticking.lock().await;
    if !everything {
        presence::expire(app);
        presence::tell(app);
    }
    events::flush(app).await?;
    presence::save(app, everything).await?;
    presence::deliver(app).await?;
    delete::finish(app).await
}

/// Finds the device that a path names (24-digit id, UUID or alias) and checks that `principal` may act on it.
///
/// # Errors
/// 404 when there is none that the principal may see, 403 when it may be seen but not acted upon.
pub fn require(
    app: &AppState,
    principal: &Principal,
    id: &str,
    action: Action,
) -> Result<Arc<Device>, ApiError> {
    let device = app
        .devices
        .resolve(id)
        .ok_or_else(|| ApiError::not_found("Device"))?;
    if permits(app, principal, &device, action) {
        return Ok(device);
    }
    if permits(app, principal, &device, Action::Read) {
        return Err(ApiError::forbidden(
            "You may see this device, but not do this with it; ask its owner.",
        ));
    }
    Err(ApiError::not_found("Device"))
}

/// The same for what the device measures, which the access rules may treat apart.
///
/// # Errors
/// As [`require`]; 403 when the device may be seen, but not this be done with its telemetry.
pub fn require_telemetry(
    app: &AppState,
    principal: &Principal,
    id: &str,
    action: Action,
) -> Result<Arc<Device>, ApiError> {
    let device = require(app, principal, id, action)?;
    if let Principal::Account(caller) = principal
        && !rules_permit(app, caller, &device, Collection::Telemetry, action)
    {
        return Err(ApiError::forbidden(
            "You may see this device, but not do this with what it measures; ask an admin.",
        ));
    }
    Ok(device)
}

/// Tells whether `principal` may do `action` with `device`.
pub fn permits(app: &AppState, principal: &Principal, device: &Device, action: Action) -> bool {
    match principal {
        Principal::Device(own) => own.id == device.id && action <= Action::Control,
        Principal::Account(caller) => {
            rules_permit(app, caller, device, Collection::Devices, action)
        }
    }
}

/// Tells whether an account may see a device, and what it measures when `values` are asked for. Cheap
/// enough for every event of the device.
pub fn may_watch(app: &AppState, caller: &Caller, device: &Device, values: bool) -> bool {
    let may = |collection| rules_permit(app, caller, device, collection, Action::Read);
    may(Collection::Devices) && (!values || may(Collection::Telemetry))
}

fn rules_permit(
    app: &AppState,
    caller: &Caller,
    device: &Device,
    collection: Collection,
    action: Action,
) -> bool {
    let id = device.oid.to_string();
    let data = RuleData {
        share: device.shared_with(caller.account),
        kind: device.kind.as_deref().unwrap_or_default(),
        device: &id,
        tags: &device.tags,
        ..RuleData::of(device.owner, &id, &device.name)
    };
    identity::allowed(app, caller, collection, action, &data)
}

/// Creates a device and returns it with its token, in clear for the only time.
///
/// # Errors
/// Fails when the database does.
pub async fn create(
    app: &AppState,
    owner: AccountId,
    name: &str,
) -> Result<(Arc<Device>, String), ApiError> {
    let draft = logic::Draft {
        name: check::name(name)?,
        ..logic::Draft::default()
    };
    logic::create(app, owner, draft).await
}

/// Notes that a device was heard of just now: it is online.
pub fn seen(app: &AppState, device: &Arc<Device>) {
    presence::seen(app, device);
}

/// Notes, in the transaction that deletes an account, that the telemetry of its devices is to be removed.
///
/// # Errors
/// Returns the database's error.
pub fn note_account_deletion(
    c: &espalier_db::Conn<'_>,
    account: AccountId,
    now: i64,
) -> Result<(), espalier_db::Error> {
    store::delete_owned(c, account, now)
}

/// Forgets the devices of an account that was deleted, with their telemetry, and what was shared with it.
///
/// # Errors
/// Fails when the server is stopping; telemetry is then removed at the next start.
pub async fn forget_account(app: &AppState, account: AccountId) -> Result<(), ApiError> {
    let app = app.clone();
    logic::to_the_end(&app.clone(), async move {
        delete::forget_account(&app, account).await;
        Ok(())
    })
    .await
}

/// Notes that something happened to a device, for its list of events. It is stored with the next
/// [`tick`].
///
/// # Errors
/// None today; the caller need not know whether events are stored at once.
pub async fn record_event(
    app: &AppState,
    device: &Device,
    kind: &str,
    detail: serde_json::Value,
) -> Result<(), ApiError> {
    let now = app.clock.now_ms();
    app.devices.journal.add(device, now, kind, &detail);
    Ok(())
}
