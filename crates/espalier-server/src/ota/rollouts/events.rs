//! What people should read of rollouts: their events, notifications, and frames for those who watch.

use super::memory::{Core, Way};
use super::store::Happened;
use super::view::{RolloutView, UpdateView};
use crate::live::{self, Event, NewNotification};
use crate::{ApiError, AppState, random};
use espalier_model::{DeviceId, RolloutId};
use serde_json::{Value, json};

/// The shortest time between two frames of one rollout, milliseconds.
const FRAME_MS: i64 = 300;

/// Frames about devices that one tick sends; readers see the rest in the counts and when they look.
const UPDATES: usize = 1_000;

/// Makes an event. Ids sort by time, and within a moment by when they were made.
pub fn happened(
    app: &AppState,
    rollout: RolloutId,
    device: Option<DeviceId>,
    kind: &str,
    detail: Value,
) -> Happened {
    let at = app.clock.now_ms();
    let place = app
        .ota
        .rollouts
        .events
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let noise = hex::encode(random::bytes::<4>());
    Happened {
        id: format!("{:012x}{place:08x}{noise}", at.max(0)),
        rollout,
        device,
        at,
        kind: kind.to_owned(),
        detail,
    }
}

/// Notes an event; it is stored with the next tick.
pub fn note(
    app: &AppState,
    rollout: RolloutId,
    device: Option<DeviceId>,
    kind: &str,
    detail: Value,
) {
    let event = happened(app, rollout, device, kind, detail);
    app.ota.rollouts.journal.lock().push(event);
}

/// Tells a rollout's owner that it halted or is done.
pub async fn notify(
    app: &AppState,
    rollout: RolloutId,
    title: &str,
    message: String,
    kind: &'static str,
) -> Result<(), ApiError> {
    let (owner, name) = {
        let core = app.ota.rollouts.core.lock();
        match core.rollouts.get(&rollout) {
            Some(found) => (found.row.owner, found.row.name.clone()),
            None => return Ok(()),
        }
    };
    let notification = NewNotification {
        title: title.to_owned(),
        message: format!("{name}: {message}"),
        kind,
        details: json!({ "rollout_id": rollout }),
        device: None,
        widget: None,
    };
    live::notify(app, owner, notification).await
}

/// Tells who watches how a rollout stands, at once.
pub fn publish_rollout(app: &AppState, rollout: RolloutId) {
    let found = {
        let mut core = app.ota.rollouts.core.lock();
        let now = app.clock.now_ms();
        core.rollouts.get_mut(&rollout).map(|found| {
            found.moved = false;
            found.told_at = now;
            (found.row.owner, RolloutView::of(found))
        })
    };
    if let Some((account, view)) = found
        && let Ok(rollout) = serde_json::to_value(view)
    {
        live::publish(app, Event::Rollout { account, rollout });
    }
}

/// Tells who watches what has changed since they were told last: rollouts a few times a second, devices one by one.
pub fn tell(app: &AppState) {
    let now = app.clock.now_ms();
    let (rollouts, updates) = {
        let mut core = app.ota.rollouts.core.lock();
        let core = &mut *core;
        let due = |r: &&super::memory::Rollout| {
            r.moved && (now - r.told_at >= FRAME_MS || now < r.told_at)
        };
        let rollouts: Vec<RolloutId> = core
            .rollouts
            .values()
            .filter(due)
            .map(|r| r.row.id)
            .collect();
        let untold: Vec<(DeviceId, Way)> = std::mem::take(&mut core.untold).into_iter().collect();
        let views = untold
            .into_iter()
            .take(UPDATES)
            .filter_map(|(device, way)| view(app, core, device, way));
        (rollouts, views.collect::<Vec<_>>())
    };
    for id in rollouts {
        publish_rollout(app, id);
    }
    for (device, update) in updates {
        live::publish(app, Event::Update { device, update });
    }
}

fn view(
    app: &AppState,
    core: &Core,
    device: DeviceId,
    way: Way,
) -> Option<(std::sync::Arc<crate::devices::Device>, Value)> {
    let device = app.devices.get(device)?;
    let track = core.track(device.id, way)?;
    let view = UpdateView::of(app, &device, track, core.max_attempts(way));
    Some((device, serde_json::to_value(view).ok()?))
}
