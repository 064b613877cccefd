//! Boards: what they are called, who they belong to, whether they are there, and what happened to them.
//!
//! Every device is in memory ([`State`]), so that a board is recognised without asking the database. It
//! does not keep what boards measure ([`crate::telemetry`]) or should do ([`crate::control`]).

mod registry;
mod store;

pub use registry::{Device, State};

use crate::identity::Principal;
use crate::{ApiError, AppState, random};
use espalier_model::{AccountId, Action};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// The routes of this feature.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}

/// Starts the background work of this feature.
pub(crate) fn start(_app: &AppState) {}

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

/// Tells whether `principal` may do `action` with `device`.
pub fn permits(_app: &AppState, principal: &Principal, device: &Device, action: Action) -> bool {
    match principal {
        Principal::Device(own) => own.id == device.id && action <= Action::Control,
        Principal::Account(caller) => {
            caller.role.is_admin()
                || device.owner == caller.account
                || device
                    .shares
                    .iter()
                    .any(|(account, role)| *account == caller.account && role.permits(action))
        }
    }
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
    let token = hex::encode(random::bytes::<16>());
    let device = Arc::new(Device {
        id: random::device_id(&app.clock),
        oid: random::oid(&app.clock),
        owner,
        name: name.to_owned(),
        token_digest: random::digest(&token),
        shares: Vec::new(),
        created_at: app.clock.now_ms(),
    });
    let row = device.clone();
    app.db.write(move |c| store::insert(c, &row)).await?;
    app.devices.put(device.clone());
    Ok((device, token))
}

/// Notes that a device was heard of just now: it is online.
pub fn seen(_app: &AppState, _device: &Arc<Device>) {}

/// Notes that something happened to a device, for its list of events.
///
/// # Errors
/// Fails when the database does.
pub async fn record_event(
    _app: &AppState,
    _device: &Device,
    _kind: &str,
    _detail: serde_json::Value,
) -> Result<(), ApiError> {
    Ok(())
}
