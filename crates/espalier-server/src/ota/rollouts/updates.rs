//! What boards were offered, what they reported and what was seen to run on them.

use super::decide::Offer;
use super::memory::{Core, HEALTHY, Track, Way};
use super::{engine, events, matching, store};
use crate::devices::Device;
use crate::error::ApiResult;
use crate::identity::{self, Caller};
use crate::ota::fleet::Running;
use crate::ota::library::Firmware;
use crate::{ApiError, AppState, live, random};
use espalier_model::ota::health::{Illness, Signs, Verdict};
use espalier_model::ota::update::{Next, Runs, State, Told, Update};
use espalier_model::{DeviceId, UpdateId};
use espalier_wire::ota::{MAX_REASON, Report};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Looks again at devices that were changed since it was asked last, so that no decision is made about what they were.
pub fn sync(app: &AppState, core: &mut Core) {
    let revision = app.devices.revision();
    if app.ota.rollouts.synced.swap(revision, Ordering::SeqCst) == revision {
        return;
    }
    for id in app.devices.take_changes() {
        match app.devices.get(id) {
            Some(device) => matching::again(app, core, &device),
            None => core.forget(id),
        }
    }
}

fn missing() -> ApiError {
    ApiError::not_found("Update")
}

/// The way of an update, when it is this device's.
fn way_of(core: &Core, device: &Device, update: UpdateId) -> Option<Way> {
    let (owner, way) = core.updates.get(&update)?;
    (*owner == device.id).then_some(*way)
}

/// Notes that an offer was handed out; the same offer again changes nothing. It is stored when this returns.
///
/// # Errors
/// 404 when the update is not this device's or not wanted any more; fails when the database does.
pub async fn offered(app: &AppState, device: &Device, offer: &Offer) -> ApiResult<()> {
    let now = app.clock.now_ms();
    let boots = app
        .ota
        .fleet
        .get(device.id)
        .and_then(|running| running.boots);
    let way = {
        let mut core = app.ota.rollouts.core.lock();
        let way = way_of(&core, device, offer.update).ok_or_else(missing)?;
        let track = core
            .track_mut(device.id, way)
            .filter(|track| track.id == offer.update)
            .filter(|track| track.update.state() != State::Cancelled)
            .ok_or_else(missing)?;
        let fresh = track.pending.take().is_some() && track.update.attempt() < offer.attempt;
        if !fresh && track.update.attempt() >= offer.attempt {
            return Ok(());
        }
        track.update.begin(now, boots);
        core.changed(device.id, way, now);
        supersede(&mut core, device.id, way, now);
        way
    };
    app.ota.rollouts.cache.drop(device.id);
    engine::persist(app, vec![(device.id, way)]).await?;
    app.ota.rollouts.wake.notify_one();
    Ok(())
}

/// A board fetches one image at a time: what else it was fetching is called off.
fn supersede(core: &mut Core, device: DeviceId, way: Way, now: i64) {
    for other in core.ways(device).into_iter().filter(|other| *other != way) {
        let Some(track) = core
            .track_mut(device, other)
            .filter(|track| track.fetches())
        else {
            continue;
        };
        track.pending = None;
        // A forced one stands until it is confirmed.
        if other != Way::Forced && track.update.attempt() > 0 {
            track.update.cancel(now);
            core.changed(device, other, now);
        }
    }
}

/// Takes a report of a board. It is stored when this returns. The same report again, and one of an attempt that is
/// over, change nothing.
///
/// # Errors
/// 404 when the update is not this device's; fails when the database does.
pub async fn report(
    app: &AppState,
    device: &Device,
    update: UpdateId,
    report: Report<'_>,
) -> ApiResult<State> {
    let now = app.clock.now_ms();
    let told = Told {
        attempt: report.attempt,
        stage: report.stage,
        bytes: report.bytes.unwrap_or(0),
        patch: report.patch,
        reason: report.reason.map(|text| shorten(&text.to_string())),
        at: now,
    };
    let noted = {
        let mut core = app.ota.rollouts.core.lock();
        match way_of(&core, device, update) {
            Some(way) => note(app, &mut core, device, way, told, now)
                .map(|(state, changed)| (way, state, changed)),
            None => None,
        }
    };
    let Some((way, state, changed)) = noted else {
        return over(app, device, update).await;
    };
    if changed {
        app.ota.rollouts.cache.drop(device.id);
        engine::persist(app, vec![(device.id, way)]).await?;
        app.ota.rollouts.wake.notify_one();
    }
    Ok(state)
}

fn note(
    app: &AppState,
    core: &mut Core,
    device: &Device,
    way: Way,
    told: Told,
    now: i64,
) -> Option<(State, bool)> {
    let track = core.track_mut(device.id, way)?;
    let (before, attempt) = (track.update.state(), told.attempt);
    // A board may report before the server knows that its answer arrived.
    if track.pending.is_some() && attempt == track.update.attempt() + 1 {
        track.pending = None;
        track.update.begin(now, None);
    }
    let changed = track.update.report(told);
    let state = track.update.state();
    if changed {
        moved(app, core, device, way, before, now);
    }
    Some((state, changed))
}

/// The state of an update that is not in memory any more.
async fn over(app: &AppState, device: &Device, update: UpdateId) -> ApiResult<State> {
    let id = device.id;
    let state = app.db.read(move |c| store::state_of(c, id, update)).await?;
    state.ok_or_else(missing)
}

fn shorten(text: &str) -> String {
    let mut end = text.len().min(MAX_REASON);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Brings everything up to date that follows from a change of an update, and notes what people should read of it.
fn moved(app: &AppState, core: &mut Core, device: &Device, way: Way, before: State, now: i64) {
    let settings = match way {
        Way::Forward(id) => core
            .rollouts
            .get(&id)
            .map(|r| (id, r.row.plan.health.window_s)),
        _ => None,
    };
    let mut event = None;
    if let Some(track) = core.track_mut(device.id, way) {
        let state = track.update.state();
        if let (State::Confirmed, None, None, Some((_, window_s))) =
            (state, &track.signs, &track.verdict, settings)
        {
            if window_s == 0 {
                track.verdict = Some(HEALTHY.to_owned());
            } else {
                track.signs = Some(Signs::begin(now));
            }
        }
        if state != before && matches!(state, State::Failed | State::RolledBack) {
            let detail = json!({ "reason": track.update.reason(), "attempt": track.update.attempt(), "back": matches!(way, Way::Back(_)) });
            event = Some((state.as_str(), detail));
        }
    }
    if let Some((id, window_s)) = settings
        && let Some(rollout) = core.rollouts.get_mut(&id)
    {
        let max_attempts = rollout.row.plan.max_attempts;
        let next = rollout
            .tracks
            .get(&device.id)
            .map(|t| t.update.next(now, max_attempts));
        if let Some(Next::WaitUntil(at)) = next {
            rollout.nudges.push(std::cmp::Reverse((at, device.id)));
        }
        if window_s > 0
            && rollout
                .tracks
                .get(&device.id)
                .is_some_and(|t| t.signs.is_some() && t.verdict.is_none())
        {
            rollout.watch.push(std::cmp::Reverse((now, device.id)));
        }
        if let Some((kind, detail)) = event {
            events::note(app, id, Some(device.id), kind, detail);
        }
    }
    let crowded = leaves_room(core, device.id, way, now);
    if crowded {
        app.ota.rollouts.bump();
    }
}

/// Counts a change, and tells whether a board that was told to wait may fetch now.
fn leaves_room(core: &mut Core, device: DeviceId, way: Way, now: i64) -> bool {
    let id = match way {
        Way::Forward(id) | Way::Back(id) => Some(id),
        Way::Forced => None,
    };
    let fetching = |core: &Core| {
        id.and_then(|id| core.rollouts.get(&id))
            .map_or(0, |r| r.fetching.len())
    };
    let before = fetching(core);
    core.changed(device, way, now);
    let freed = fetching(core) < before;
    let Some(rollout) = id.and_then(|id| core.rollouts.get_mut(&id)) else {
        return false;
    };
    freed && std::mem::take(&mut rollout.crowded)
}

/// Takes what a board is seen to run, and its signs of life. What follows is stored soon after; when the server dies
/// before, the board says the same again.
pub fn observed(app: &AppState, device: &Device, running: &Running) {
    let now = app.clock.now_ms();
    let state = &app.ota.rollouts;
    let mut stirred = false;
    {
        let mut core = state.core.lock();
        if core.rollouts.is_empty() && core.forced.is_empty() {
            return;
        }
        sync(app, &mut core);
        for way in core.ways(device.id) {
            stirred |= look(app, &mut core, device, way, running, now);
        }
        matching::again(app, &mut core, device);
    }
    if stirred {
        state.cache.drop(device.id);
        state.wake.notify_one();
    }
}

/// A board has connected: one that has something to fetch is told soon. While it was away it could not be, and a board
/// that sleeps does not ask each time it wakes.
pub fn connected(app: &AppState, device: DeviceId) {
    let state = &app.ota.rollouts;
    {
        let mut core = state.core.lock();
        let now = app.clock.now_ms();
        for id in core.serving.clone() {
            let Some(rollout) = core.rollouts.get_mut(&id) else {
                continue;
            };
            let concerned = rollout.tracks.contains_key(&device)
                || rollout.back.contains_key(&device)
                || rollout.members.contains_key(&device);
            if concerned {
                rollout.nudges.push(std::cmp::Reverse((now, device)));
            }
        }
        let forced = core
            .forced
            .get(&device)
            .is_some_and(|track| matches!(track.update.next(now, u32::MAX), Next::Begin(_)));
        if forced {
            live::nudge(app, device);
        }
    }
    state.wake.notify_one();
}

fn look(
    app: &AppState,
    core: &mut Core,
    device: &Device,
    way: Way,
    running: &Running,
    now: i64,
) -> bool {
    let health = match way {
        Way::Forward(id) => core.rollouts.get(&id).map(|r| r.row.plan.health.clone()),
        _ => None,
    };
    let Some(track) = core.track_mut(device.id, way) else {
        return false;
    };
    let firmware = app.ota.library.get(track.firmware);
    let before = track.update.state();
    let seen = track.sees(running, firmware.as_deref());
    // Before anything was offered, a board that runs the image already is none of a rollout's doing.
    let begun = track.update.attempt() > 0 || !matches!(way, Way::Forward(_));
    let changed = begun && seen.is_some_and(|seen| track.update.observe(seen));
    if changed {
        moved(app, core, device, way, before, now);
    }
    let Some(health) = health else {
        return changed;
    };
    let Some(track) = core.track_mut(device.id, way) else {
        return changed;
    };
    if let (Some(signs), None) = (&mut track.signs, &track.verdict) {
        let before = (signs.boots, signs.heap, signs.left);
        signs.hear(now, running.boots, running.heap_free);
        signs.left |= seen.is_some_and(|seen| matches!(seen.what, Runs::Old | Runs::Other));
        let news = before != (signs.boots, signs.heap, signs.left);
        if let Verdict::Ill(illness) = health.judge(signs, now) {
            fall_ill(app, core, device.id, way, illness, now);
            return true;
        }
        if news {
            core.dirty.insert((device.id, way));
        }
    }
    changed
}

/// Notes that a board is not well.
pub fn fall_ill(
    app: &AppState,
    core: &mut Core,
    device: DeviceId,
    way: Way,
    illness: Illness,
    now: i64,
) {
    if let Some(track) = core.track_mut(device, way) {
        track.verdict = Some(illness.code().to_owned());
    }
    if let Way::Forward(id) = way {
        events::note(
            app,
            id,
            Some(device),
            "unwell",
            json!({ "reason": illness.code(), "message": illness.to_string() }),
        );
    }
    core.changed(device, way, now);
}

/// Gives one device an image now, whatever the rollouts say; it stands until the image is confirmed. It is stored when
/// this returns.
///
/// # Errors
/// 409 when the image does not fit the device or it runs it already; fails when the database does.
pub async fn force(
    app: &AppState,
    caller: &Caller,
    device: &Arc<Device>,
    firmware: Arc<Firmware>,
) -> ApiResult<UpdateId> {
    let running = app.ota.fleet.get(device.id);
    let images = [firmware.clone()];
    // A person may give an old sketch an image of another type; a rollout may not.
    let untyped = running.as_deref().map(|running| Running {
        device_type: None,
        ..running.clone()
    });
    matching::choose(app, device, untyped.as_ref(), &images).map_err(|misfit| {
        ApiError::conflict(
            misfit.code(),
            format!("This image is not for this device. {misfit}"),
        )
    })?;
    let now = app.clock.now_ms();
    let mut track = Track {
        id: random::update_id(&app.clock),
        way: Way::Forced,
        firmware: firmware.id,
        sha256: firmware.sha256,
        version: firmware.version.clone(),
        from: running.as_ref().and_then(|r| r.sha256),
        from_version: running.as_ref().and_then(|r| r.version.clone()),
        wave: None,
        update: Update::new(),
        pending: None,
        signs: None,
        verdict: None,
        created_by: Some(caller.account.to_string()),
        created_at: now,
        updated_at: now,
    };
    let _alone = app.ota.rollouts.changing.lock().await;
    let old = app.ota.rollouts.core.lock().forced.get(&device.id).cloned();
    if let Some(old) = &old
        && old.firmware == firmware.id
        && !old.is_over(u32::MAX)
    {
        return Ok(old.id);
    }
    // The same moment must not hide which of two was the later one.
    track.created_at = old.as_ref().map_or(now, |old| now.max(old.created_at + 1));
    let ended = old.map(|mut old| {
        old.update.cancel(now);
        old.updated_at = now;
        old
    });
    let (id, stored, before) = (device.id, track.clone(), ended.clone());
    app.db
        .write(move |c| {
            if let Some(before) = &before {
                store::put_update(c, id, before)?;
            }
            store::put_update(c, id, &stored)
        })
        .await?;
    let update = track.id;
    {
        let mut core = app.ota.rollouts.core.lock();
        if let Some(ended) = ended {
            core.updates.remove(&ended.id);
        }
        core.updates.insert(update, (device.id, Way::Forced));
        core.forced.insert(device.id, track);
        core.untold.insert((device.id, Way::Forced));
    }
    let detail = json!({ "firmware": firmware.id, "version": firmware.version });
    identity::audit(
        app,
        caller,
        "device.update",
        &device.oid.to_string(),
        detail,
    )
    .await?;
    app.ota.rollouts.cache.drop(device.id);
    app.ota.rollouts.bump();
    app.ota.rollouts.wake.notify_one();
    live::nudge(app, device.id);
    Ok(update)
}
