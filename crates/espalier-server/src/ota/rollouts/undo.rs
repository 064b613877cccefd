//! Rolling back: every board that took an image returns to what it ran before, as far as that is possible.

use super::memory::{Member, Rollout, Row, Track, Way};
use super::{engine, events, matching, store};
use crate::error::ApiResult;
use crate::identity::{self, Caller};
use crate::{AppState, random};
use espalier_model::ota::rollout::{Command, State};
use espalier_model::ota::update::{self, Update};
use espalier_model::{AccountId, DeviceId, RolloutId};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Rows written in one transaction.
const CHUNK: usize = 500;

/// Why a board cannot return, as a sentence.
pub fn why_not(code: &str) -> &'static str {
    match code {
        "unknown_before" => "It never said what it ran before.",
        "not_in_library" => {
            "What it ran before is not in the library any more; upload it and send it to this device."
        }
        "secure_version" => "It does not accept the secure version of what it ran before any more.",
        "unsigned" => "What it ran before is not signed, and it takes signed images only.",
        _ => "It does not accept what it ran before any more.",
    }
}

/// Rolls a rollout back.
///
/// # Errors
/// 409 when there is nothing to roll back; fails when the database does.
pub async fn roll_back(app: &AppState, caller: &Caller, id: RolloutId) -> ApiResult<()> {
    let _alone = app.ota.rollouts.changing.lock().await;
    let row = super::manage::obeyed(app, id, Command::RollBack)?.0;
    // Of one that is over, the updates are in the database only.
    engine::flush(app).await?;
    let stored = app.db.read(move |c| store::updates_of(c, id)).await?;
    let known: HashMap<DeviceId, Track> = stored
        .into_iter()
        .filter(|(_, track)| matches!(track.way, Way::Forward(_)))
        .collect();
    let back = ways_back(app, &row, &known);
    let chunks: Vec<Vec<(DeviceId, Track)>> = back.chunks(CHUNK).map(<[_]>::to_vec).collect();
    for chunk in chunks {
        app.db
            .write(move |c| {
                chunk
                    .iter()
                    .try_for_each(|(id, track)| store::put_update(c, *id, track))
            })
            .await?;
    }
    let now = app.clock.now_ms();
    let barred = back
        .iter()
        .filter(|(_, track)| track.verdict.is_some())
        .count();
    let event = (
        "rolling_back",
        json!({ "devices": back.len(), "barred": barred, "by": caller.username }),
    );
    engine::change(app, id, Some(event), |row| {
        row.state = State::RollingBack;
        row.ended_at = None;
    })
    .await?;
    take_over(app, id, known, back, now);
    identity::audit(
        app,
        caller,
        "rollout.rollback",
        &id.to_string(),
        json!({ "name": row.name }),
    )
    .await?;
    engine::flush(app).await?;
    finish(app, id).await?;
    app.ota.rollouts.bump();
    app.ota.rollouts.wake.notify_one();
    events::publish_rollout(app, id);
    Ok(())
}

/// The way back of every board that took the image.
fn ways_back(
    app: &AppState,
    row: &Row,
    known: &HashMap<DeviceId, Track>,
) -> Vec<(DeviceId, Track)> {
    let took = |track: &&Track| {
        matches!(
            track.update.state(),
            update::State::Written | update::State::Trial | update::State::Confirmed
        )
    };
    let mut back = Vec::new();
    for (device, track) in known.iter().filter(|(_, track)| took(track)) {
        back.push((*device, way_back(app, row.owner, row.id, *device, track)));
    }
    back
}

fn way_back(
    app: &AppState,
    owner: AccountId,
    rollout: RolloutId,
    device: DeviceId,
    track: &Track,
) -> Track {
    let now = app.clock.now_ms();
    let running = app.ota.fleet.get(device);
    let firmware = track
        .from
        .map(|from| app.ota.library.by_digest(owner, &from));
    let barred = match &firmware {
        None => Some("unknown_before".to_owned()),
        Some(None) => Some("not_in_library".to_owned()),
        Some(Some(firmware)) => {
            let fits = matching::may_return(app, running.as_deref(), firmware);
            fits.err().map(|misfit| misfit.code().to_owned())
        }
    };
    let mut update = Update::new();
    if barred.is_some() {
        update.cancel(now);
    }
    let target = firmware.flatten();
    Track {
        id: random::update_id(&app.clock),
        way: Way::Back(rollout),
        firmware: target.as_ref().map_or(track.firmware, |f| f.id),
        sha256: track.from.unwrap_or(track.sha256),
        version: target
            .map(|f| f.version.clone())
            .or(track.from_version.clone())
            .unwrap_or_default(),
        from: Some(track.sha256),
        from_version: Some(track.version.clone()),
        wave: track.wave,
        update,
        pending: None,
        signs: None,
        verdict: barred,
        created_by: None,
        created_at: now,
        updated_at: now,
    }
}

/// Puts the ways back into memory and calls off what is under way.
fn take_over(
    app: &AppState,
    id: RolloutId,
    known: HashMap<DeviceId, Track>,
    back: Vec<(DeviceId, Track)>,
    now: i64,
) {
    let mut core = app.ota.rollouts.core.lock();
    let core = &mut *core;
    let Some(rollout) = core.rollouts.get_mut(&id) else {
        return;
    };
    for (device, track) in known {
        core.updates.insert(track.id, (device, Way::Forward(id)));
        // One that is over has let go of its devices, but not of what they were counted as.
        let standing = track.standing(rollout.row.plan.max_attempts);
        let wave = track.wave.unwrap_or(u8::MAX);
        rollout
            .members
            .entry(device)
            .or_insert(Member { wave, standing });
        rollout.tracks.entry(device).or_insert(track);
    }
    for (device, track) in back {
        core.updates.insert(track.id, (device, Way::Back(id)));
        core.taken.remove(&device);
        if track.verdict.is_none() {
            rollout.nudges.push(Reverse((now, device)));
        }
        rollout.back.insert(device, track);
    }
    let fetching: Vec<DeviceId> = rollout
        .tracks
        .iter()
        .filter(|(_, t)| t.fetches())
        .map(|(id, _)| *id)
        .collect();
    for device in fetching {
        if let Some(track) = core.track_mut(device, Way::Forward(id)) {
            track.pending = None;
            track.update.cancel(now);
        }
        core.changed(device, Way::Forward(id), now);
    }
    // Some are back already: their trial failed meanwhile.
    let devices: Vec<DeviceId> = core
        .rollouts
        .get(&id)
        .map(|r| r.back.keys().copied().collect())
        .unwrap_or_default();
    for device in devices {
        if let (Some(running), Some(track)) = (
            app.ota.fleet.get(device),
            core.track_mut(device, Way::Back(id)),
        ) {
            let firmware = app.ota.library.get(track.firmware);
            let seen = track.sees(&running, firmware.as_deref());
            if track.verdict.is_none() && seen.is_some_and(|seen| track.update.observe(seen)) {
                core.changed(device, Way::Back(id), now);
            }
        }
    }
}

/// Ends a rollout that rolls back when every board has returned, or cannot. Whoever calls holds the lock for changes.
pub async fn finish(app: &AppState, id: RolloutId) -> ApiResult<()> {
    let done = |rollout: &Rollout| {
        let max_attempts = rollout.row.plan.max_attempts;
        rollout.row.state == State::RollingBack
            && rollout
                .back
                .values()
                .all(|track| track.is_over(max_attempts))
    };
    if !app
        .ota
        .rollouts
        .core
        .lock()
        .rollouts
        .get(&id)
        .is_some_and(done)
    {
        return Ok(());
    }
    engine::flush(app).await?;
    events::tell(app);
    let (returned, all) = {
        let core = app.ota.rollouts.core.lock();
        let returned = |t: &&Track| t.update.state() == update::State::Confirmed;
        core.rollouts.get(&id).map_or((0, 0), |r| {
            (r.back.values().filter(returned).count(), r.back.len())
        })
    };
    let now = app.clock.now_ms();
    engine::change(
        app,
        id,
        Some((
            "rolled_back",
            json!({ "devices": all, "returned": returned }),
        )),
        |row| {
            row.state = State::RolledBack;
            row.ended_at = Some(now);
        },
    )
    .await?;
    app.ota.rollouts.core.lock().retire(id);
    let message = format!("{returned} of {all} devices run what they ran before.");
    let kind = if returned == all {
        "success"
    } else {
        "warning"
    };
    events::notify(app, id, "Rollout Rolled Back", message, kind).await
}
