//! Deleting devices so that nothing is left of them, also when the server dies in the middle.
//!
//! The control plane goes in one transaction, which also notes that telemetry is still to be removed. The
//! note stays for a while after that is done, because a report that was on its way may still arrive.

use super::{Device, cms, logic, store};
use crate::live::{self, Event};
use crate::{ApiError, AppState, control, ota, telemetry};
use espalier_model::{AccountId, DeviceId};
use std::sync::Arc;

/// How long after a deletion telemetry is removed once more, milliseconds: longer than any report takes.
const GRACE_MS: i64 = 60 * 1000;

/// Deletes a device; returns whether it was there.
pub async fn delete(app: &AppState, id: DeviceId) -> Result<bool, ApiError> {
    let _guard = app.devices.lock(id).await;
    let Some(device) = app.devices.get(id) else {
        return Ok(false);
    };
    let now = app.clock.now_ms();
    app.db
        .write(move |c| store::delete(c, id, now))
        .await
        .map_err(logic::stored)?;
    app.devices.open_deletions.lock().push((id, now));
    forget(app, &device);
    purge(app, id).await;
    Ok(true)
}

/// Forgets the devices of an account whose rows are gone, and ends what was shared with it.
pub async fn forget_account(app: &AppState, account: AccountId) {
    let now = app.clock.now_ms();
    for device in app.devices.visible_to(account) {
        let _guard = app.devices.lock(device.id).await;
        let Some(device) = app.devices.get(device.id) else {
            continue;
        };
        if device.owner == account {
            app.devices.open_deletions.lock().push((device.id, now));
            forget(app, &device);
            purge(app, device.id).await;
        } else {
            let mut left = Device::clone(&device);
            left.shares.retain(|(to, _)| *to != account);
            app.devices.put(Arc::new(left));
        }
    }
}

/// Takes a device out of the memory and tells everybody.
pub fn forget(app: &AppState, device: &Arc<Device>) {
    device.presence.bury();
    app.devices.remove(device.id);
    cms::forget(app, device.id);
    control::forget(app, device.id);
    ota::forget_device(app, device.id);
    live::recheck_device(app, device.id);
    live::publish(
        app,
        Event::DeviceRemoved {
            device: device.clone(),
        },
    );
}

/// Removes a deleted device's telemetry. A failure is logged; the note in the database remains.
async fn purge(app: &AppState, id: DeviceId) -> bool {
    match telemetry::forget(app, id).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%error, device = %id, "the telemetry of a deleted device could not be removed yet; it is tried again");
            false
        }
    }
}

/// Reads which deletions are open, and finishes those that a stop or crash interrupted.
///
/// # Errors
/// Fails when the database does.
pub async fn resume(app: &AppState) -> Result<(), ApiError> {
    let open = app.db.read(store::deletions).await?;
    // The reports of a former process cannot arrive any more.
    let overdue = open.into_iter().map(|(id, _)| (id, i64::MIN));
    app.devices.open_deletions.lock().extend(overdue);
    finish(app).await
}

/// Removes once more what late reports may have left of deleted devices, and forgets their deletion.
///
/// # Errors
/// Fails when the database does.
pub async fn finish(app: &AppState) -> Result<(), ApiError> {
    let due_before = app.clock.now_ms() - GRACE_MS;
    let due: Vec<DeviceId> = {
        let open = app.devices.open_deletions.lock();
        let due = open.iter().filter(|(_, at)| *at <= due_before);
        due.map(|(id, _)| *id).collect()
    };
    for id in due {
        if purge(app, id).await {
            app.db.write(move |c| store::deletion_done(c, id)).await?;
            app.devices
                .open_deletions
                .lock()
                .retain(|(open, _)| *open != id);
        }
    }
    Ok(())
}
