//! The background work: opens waves, halts, finishes, judges health, nudges boards, stores what has changed, tells.
//!
//! Everything here can be done again after a crash: a step is stored before it is acted upon.

use super::memory::{Core, HEALTHY, Member, Rollout, Row, Standing, Track, Way};
use super::{decide, events, manage, matching, store, undo, updates};
use crate::error::ApiResult;
use crate::{ApiError, AppState, identity, live, telemetry};
use espalier_model::ota::health::Verdict;
use espalier_model::ota::rollout::{Counts, Progress, State, Step, step};
use espalier_model::ota::update::Next;
use espalier_model::{AccountId, DeviceId, RolloutId};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Boards that are nudged in one second.
const NUDGES: u32 = 50;
/// How long a nudged board counts as about to fetch, milliseconds.
const NUDGED_MS: i64 = 30_000;
/// Rows written in one transaction.
const CHUNK: usize = 200;

/// How many boards were nudged in this second.
#[derive(Default)]
pub struct Pace {
    second: i64,
    nudged: u32,
}

/// One step of the background work.
///
/// # Errors
/// Fails when the database does; nothing is lost, the next step goes on.
pub async fn tick(app: &AppState) -> Result<(), ApiError> {
    let mut pace = app.ota.rollouts.ticking.lock().await;
    callers(app).await?;
    tidy(app);
    judge(app).await?;
    let ids: Vec<RolloutId> = app
        .ota
        .rollouts
        .core
        .lock()
        .rollouts
        .keys()
        .copied()
        .collect();
    for id in ids {
        advance(app, id).await?;
    }
    flush(app).await?;
    nudge(app, &mut pace);
    events::tell(app);
    Ok(())
}

/// Calls off what an aborted rollout has not brought to its end.
pub fn call_off(core: &mut Core, id: RolloutId, now: i64) {
    let Some(rollout) = core.rollouts.get_mut(&id) else {
        return;
    };
    let max_attempts = rollout.row.plan.max_attempts;
    let is_open = |track: &Track| {
        let next = track.update.next(now, max_attempts);
        !matches!(next, Next::Done | Next::Exhausted)
    };
    let mut open = Vec::new();
    for (device, track) in rollout.tracks.iter().filter(|(_, track)| is_open(track)) {
        // One that was over when the server started holds no devices, but has counted them.
        let (wave, standing) = (track.wave.unwrap_or(u8::MAX), track.standing(max_attempts));
        let member = Member { wave, standing };
        rollout.members.entry(*device).or_insert(member);
        open.push(*device);
    }
    for device in open {
        let way = Way::Forward(id);
        if let Some(track) = core.track_mut(device, way) {
            track.pending = None;
            track.update.cancel(now);
        }
        core.changed(device, way, now);
    }
}

/// Puts every device of what was under way when the server stopped where it stands.
pub fn restore(app: &AppState) {
    let ids: Vec<RolloutId> = {
        let mut core = app.ota.rollouts.core.lock();
        let rollouts = core.rollouts.values();
        let aborted: Vec<_> = rollouts
            .filter(|r| r.row.state == State::Aborted)
            .map(|r| r.row.id)
            .collect();
        for id in aborted {
            call_off(&mut core, id, app.clock.now_ms());
        }
        core.rollouts
            .values()
            .filter(|r| r.is_live())
            .map(|r| r.row.id)
            .collect()
    };
    for id in ids {
        let Some(row) = app
            .ota
            .rollouts
            .core
            .lock()
            .rollouts
            .get(&id)
            .map(|r| r.row.clone())
        else {
            continue;
        };
        // What the access rules say is asked at the first tick, when the owner is known.
        let members = find(app, &row, None, true);
        let mut core = app.ota.rollouts.core.lock();
        if let Some(rollout) = core.rollouts.get_mut(&id) {
            settle_all(rollout, members);
            let back: Vec<_> = rollout
                .back
                .keys()
                .map(|device| Reverse((0, *device)))
                .collect();
            rollout.nudges.extend(back);
            let opened = row.opened.len();
            for wave in 0..opened {
                queue(rollout, wave);
            }
        }
    }
    app.devices.take_changes();
}

/// The devices of a rollout with their waves. `trust` leaves out the access rules.
fn find(
    app: &AppState,
    row: &Row,
    caller: Option<&identity::Caller>,
    trust: bool,
) -> HashMap<DeviceId, Member> {
    let ranker = espalier_model::ota::rollout::Ranker::new(row.id);
    let mut devices = app.devices.visible_to(row.owner);
    devices.retain(|device| {
        let reach = if trust {
            device.owner == row.owner && !device.unclaimed
        } else {
            matching::may_reach(app, row.owner, caller, device)
        };
        let running = app.ota.fleet.get(device.id);
        reach
            && matching::joins(row, device)
            && matching::means(&row.target, device, running.as_deref())
    });
    let matched = matching::Matched {
        devices: devices
            .into_iter()
            .map(|device| (device.clone(), ranker.rank(device.id)))
            .collect(),
        cut_offs: row.cut_offs.clone(),
    };
    matching::members(app, row, &matched, &matching::images(app, row))
}

/// Takes the members that were found, and over them what is known of their updates.
pub fn settle_all(rollout: &mut Rollout, mut members: HashMap<DeviceId, Member>) {
    let max_attempts = rollout.row.plan.max_attempts;
    for (device, track) in &rollout.tracks {
        if track.update.attempt() > 0 {
            let wave = track.wave.unwrap_or(u8::MAX);
            members.insert(
                *device,
                Member {
                    wave,
                    standing: track.standing(max_attempts),
                },
            );
        }
        if track.fetches() {
            rollout.fetching.insert(*device);
        }
        if track.signs.is_some() && track.verdict.is_none() {
            rollout.watch.push(Reverse((0, *device)));
        }
    }
    rollout.members = members;
    rollout.recount();
}

/// Queues the devices of a wave to be nudged.
pub fn queue(rollout: &mut Rollout, wave: usize) {
    let Some(opened) = rollout.row.opened.get(wave).copied() else {
        return;
    };
    let (ranker, delay) = (rollout.ranker, rollout.row.plan.random_delay_s);
    let waiting = rollout.members.iter().filter(|(_, member)| {
        usize::from(member.wave) == wave && member.standing == Standing::Waiting
    });
    let due: Vec<_> = waiting
        .map(|(id, _)| Reverse((opened + ranker.delay_ms(*id, delay), *id)))
        .collect();
    rollout.nudges.extend(due);
}

/// While the access rules are not the ones that ship, owners are looked up for them.
async fn callers(app: &AppState) -> ApiResult<()> {
    if identity::by_default(app) {
        app.ota.rollouts.core.lock().callers.clear();
        return Ok(());
    }
    let owners: Vec<AccountId> = {
        let core = app.ota.rollouts.core.lock();
        core.rollouts
            .values()
            .filter(|r| r.is_live())
            .map(|r| r.row.owner)
            .collect()
    };
    let mut found = HashMap::new();
    for owner in owners {
        if let Some(caller) = identity::in_place_of(app, owner).await? {
            found.insert(owner, caller);
        }
    }
    app.ota.rollouts.core.lock().callers = found;
    Ok(())
}

/// Looks at changed devices, and takes back what was decided and never handed out, and places of silent boards.
fn tidy(app: &AppState) {
    let now = app.clock.now_ms();
    let mut core = app.ota.rollouts.core.lock();
    updates::sync(app, &mut core);
    let mut freed = false;
    let Core {
        rollouts, updates, ..
    } = &mut *core;
    for rollout in rollouts.values_mut() {
        for id in rollout.fetching.iter().copied().collect::<Vec<_>>() {
            let Rollout { tracks, back, .. } = rollout;
            let Some(track) = tracks
                .get_mut(&id)
                .filter(|t| t.fetches())
                .or_else(|| back.get_mut(&id))
            else {
                rollout.fetching.remove(&id);
                continue;
            };
            if track.is_stale(now) {
                track.pending = None;
                if track.update.attempt() == 0 && matches!(track.way, Way::Forward(_)) {
                    updates.remove(&track.id);
                    tracks.remove(&id);
                }
                rollout.fetching.remove(&id);
                freed |= std::mem::take(&mut rollout.crowded);
            } else if rollout.crowded && now - track.updated_at > decide::SILENT_MS {
                rollout.fetching.remove(&id);
                freed |= std::mem::take(&mut rollout.crowded);
            }
        }
        rollout.nudged.retain(|_, at| now - *at < NUDGED_MS);
    }
    drop(core);
    if freed {
        app.ota.rollouts.bump();
    }
}

/// Judges the boards whose moment has come.
async fn judge(app: &AppState) -> ApiResult<()> {
    let now = app.clock.now_ms();
    let mut due: Vec<(RolloutId, DeviceId)> = Vec::new();
    {
        let mut core = app.ota.rollouts.core.lock();
        for (id, rollout) in &mut core.rollouts {
            while let Some(Reverse((at, device))) = rollout.watch.peek().copied() {
                if at > now {
                    break;
                }
                rollout.watch.pop();
                due.push((*id, device));
            }
        }
    }
    for (id, device) in due {
        judge_one(app, id, device, now).await?;
    }
    Ok(())
}

async fn judge_one(app: &AppState, id: RolloutId, device: DeviceId, now: i64) -> ApiResult<()> {
    let Some(board) = app.devices.get(device) else {
        return Ok(());
    };
    let asked = {
        let core = app.ota.rollouts.core.lock();
        let Some(rollout) = core.rollouts.get(&id) else {
            return Ok(());
        };
        let health = rollout.row.plan.health.clone();
        rollout
            .tracks
            .get(&device)
            .filter(|t| t.verdict.is_none())
            .and_then(|t| Some((health, t.signs?)))
    };
    let Some((health, mut signs)) = asked else {
        return Ok(());
    };
    if let Some(at) = board.last_active() {
        signs.hear(at, None, None);
    }
    if health.telemetry {
        match telemetry::latest(app, &board).await {
            Ok((_, newest)) => signs.telemetry = newest.is_some_and(|at| at >= signs.since),
            Err(error) => {
                // Nobody can tell now; the board must not suffer for it.
                let mut core = app.ota.rollouts.core.lock();
                if let Some(rollout) = core.rollouts.get_mut(&id) {
                    rollout.watch.push(Reverse((now + 10_000, device)));
                }
                return Err(error);
            }
        }
    }
    let way = Way::Forward(id);
    let mut core = app.ota.rollouts.core.lock();
    match health.judge(&signs, now) {
        Verdict::Watching(at) => {
            if let Some(rollout) = core.rollouts.get_mut(&id) {
                rollout.watch.push(Reverse((at, device)));
            }
        }
        Verdict::Healthy => {
            if let Some(track) = core.track_mut(device, way) {
                track.verdict = Some(HEALTHY.to_owned());
            }
            core.changed(device, way, now);
        }
        Verdict::Ill(illness) => updates::fall_ill(app, &mut core, device, way, illness, now),
    }
    Ok(())
}

/// What a rollout looks like to [`step`].
fn ask(app: &AppState, id: RolloutId, now: i64) -> Option<(State, Step)> {
    let core = app.ota.rollouts.core.lock();
    let rollout = core.rollouts.get(&id)?;
    let row = &rollout.row;
    let progress = Progress {
        open: row.opened.len(),
        opened_at: row.opened.last().copied().unwrap_or(now),
        reached_at: row.reached_at,
        waves: &row.counts,
    };
    Some((row.state, step(&row.plan, &progress, now)))
}

/// Takes all steps of a rollout that are due.
pub async fn advance(app: &AppState, id: RolloutId) -> ApiResult<()> {
    let _alone = app.ota.rollouts.changing.lock().await;
    steps(app, id).await
}

/// The same for whoever holds the lock.
pub async fn steps(app: &AppState, id: RolloutId) -> ApiResult<()> {
    // Every step opens a wave, or notes that one has succeeded, or ends it.
    for _ in 0..64 {
        let now = app.clock.now_ms();
        let Some((state, step)) = ask(app, id, now) else {
            return Ok(());
        };
        match state {
            State::Scheduled => {
                let due = {
                    let core = app.ota.rollouts.core.lock();
                    core.rollouts
                        .get(&id)
                        .is_some_and(|r| r.row.plan.start_at.is_none_or(|at| at <= now))
                };
                if !due {
                    return Ok(());
                }
                manage::begin(app, id).await?;
            }
            State::RollingBack => return undo::finish(app, id).await,
            State::Running => match step {
                Step::Wait(_) => return Ok(()),
                Step::Open => open(app, id, now).await?,
                Step::Reached => change(app, id, None, |row| row.reached_at = Some(now)).await?,
                Step::Halt(halt) => {
                    let (code, sentence) = (halt.code().to_owned(), halt.to_string());
                    let event = ("halted", json!({ "reason": code, "message": sentence }));
                    let message = sentence.clone();
                    change(app, id, Some(event), move |row| {
                        row.state = State::Halted;
                        row.reason = Some((code, sentence));
                    })
                    .await?;
                    return events::notify(app, id, "Rollout Halted", message, "error").await;
                }
                Step::Finish => return finish(app, id, now).await,
            },
            _ => return Ok(()),
        }
    }
    Ok(())
}

async fn open(app: &AppState, id: RolloutId, now: i64) -> ApiResult<()> {
    let wave = {
        let core = app.ota.rollouts.core.lock();
        core.rollouts.get(&id).map_or(0, |r| r.row.opened.len())
    };
    let event = ("wave_opened", json!({ "wave": wave + 1 }));
    change(app, id, Some(event), |row| {
        row.opened.push(now);
        row.reached_at = None;
    })
    .await?;
    if let Some(rollout) = app.ota.rollouts.core.lock().rollouts.get_mut(&id) {
        queue(rollout, wave);
    }
    Ok(())
}

async fn finish(app: &AppState, id: RolloutId, now: i64) -> ApiResult<()> {
    // What is known of its devices is stored and told before they leave memory.
    flush(app).await?;
    events::tell(app);
    change(app, id, Some(("finished", json!({}))), |row| {
        row.state = State::Finished;
        row.ended_at = Some(now);
    })
    .await?;
    let sum = {
        let mut core = app.ota.rollouts.core.lock();
        core.retire(id);
        core.rollouts
            .get(&id)
            .map(|r| total(&r.row.counts))
            .unwrap_or_default()
    };
    let message = format!(
        "{} of {} devices run the new version.",
        sum.succeeded, sum.members
    );
    events::notify(app, id, "Rollout Finished", message, "success").await
}

/// All waves together.
pub fn total(waves: &[Counts]) -> Counts {
    waves.iter().fold(Counts::default(), |sum, wave| Counts {
        members: sum.members + wave.members,
        waiting: sum.waiting + wave.waiting,
        under_way: sum.under_way + wave.under_way,
        watched: sum.watched + wave.watched,
        succeeded: sum.succeeded + wave.succeeded,
        failed: sum.failed + wave.failed,
        retried: sum.retried + wave.retried,
        cancelled: sum.cancelled + wave.cancelled,
        forgiven: sum.forgiven + wave.forgiven,
    })
}

/// Changes a rollout: stored first, then in memory, then told. Whoever calls holds the lock for changes.
pub async fn change(
    app: &AppState,
    id: RolloutId,
    event: Option<(&str, serde_json::Value)>,
    apply: impl FnOnce(&mut Row),
) -> ApiResult<()> {
    let mut row = {
        let core = app.ota.rollouts.core.lock();
        let found = core.rollouts.get(&id);
        found
            .map(|r| r.row.clone())
            .ok_or_else(|| ApiError::not_found("Rollout"))?
    };
    apply(&mut row);
    let event = event.map(|(kind, detail)| events::happened(app, id, None, kind, detail));
    let stored = row.clone();
    app.db
        .write(move |c| {
            store::put_rollout(c, &stored)?;
            event
                .iter()
                .try_for_each(|event| store::add_event(c, event))
        })
        .await?;
    {
        let mut core = app.ota.rollouts.core.lock();
        if let Some(rollout) = core.rollouts.get_mut(&id) {
            // The counts have gone on meanwhile; only what was forgiven is decided here.
            let counts = std::mem::take(&mut rollout.row.counts);
            let forgiven: Vec<u32> = row.counts.iter().map(|wave| wave.forgiven).collect();
            rollout.row = row;
            if counts.len() == rollout.row.plan.waves.len() {
                rollout.row.counts = counts;
            }
            for (wave, forgiven) in rollout.row.counts.iter_mut().zip(forgiven) {
                wave.forgiven = forgiven;
            }
            rollout.moved = true;
        }
        core.resort();
    }
    app.ota.rollouts.bump();
    events::publish_rollout(app, id);
    Ok(())
}

/// Stores these updates as they are in memory.
///
/// # Errors
/// Fails when the database does; they are stored with the next tick.
pub async fn persist(app: &AppState, which: Vec<(DeviceId, Way)>) -> ApiResult<()> {
    let _underway = app.ota.rollouts.storing.read().await;
    {
        let mut core = app.ota.rollouts.core.lock();
        for one in &which {
            core.dirty.remove(one);
        }
    }
    let (shared, wanted) = (app.clone(), which.clone());
    let written: Result<(), espalier_db::Error> = app
        .db
        .write(move |c| {
            // Read here, so that of two writers at once the later one writes the newer state.
            let tracks: Vec<(DeviceId, Track)> = {
                let core = shared.ota.rollouts.core.lock();
                let found = wanted
                    .iter()
                    .filter_map(|(id, way)| Some((*id, core.track(*id, *way)?.clone())));
                found
                    .filter(|(_, track)| {
                        track.update.attempt() > 0 || !matches!(track.way, Way::Forward(_))
                    })
                    .collect()
            };
            tracks
                .iter()
                .try_for_each(|(id, track)| store::put_update(c, *id, track))
        })
        .await;
    if let Err(error) = written {
        app.ota.rollouts.core.lock().dirty.extend(which);
        return Err(error.into());
    }
    Ok(())
}

/// Stores everything that is not stored yet.
///
/// # Errors
/// Fails when the database does; what is left is stored with the next tick.
pub async fn flush(app: &AppState) -> ApiResult<()> {
    let dirty: Vec<(DeviceId, Way)> = app.ota.rollouts.core.lock().dirty.iter().copied().collect();
    for chunk in dirty.chunks(CHUNK) {
        persist(app, chunk.to_vec()).await?;
    }
    let late: Vec<Row> = {
        // What others are storing must be stored too, and in memory until it is.
        let _none = app.ota.rollouts.storing.write().await;
        let mut core = app.ota.rollouts.core.lock();
        core.drop_forced();
        let late = core
            .rollouts
            .values()
            .filter(|r| r.moved && matches!(r.row.state, State::Finished | State::Aborted));
        late.map(|r| r.row.clone()).collect()
    };
    let events = std::mem::take(&mut *app.ota.rollouts.journal.lock());
    if events.is_empty() && late.is_empty() {
        return Ok(());
    }
    let stored = events.clone();
    let known: Vec<RolloutId> = app
        .ota
        .rollouts
        .core
        .lock()
        .rollouts
        .keys()
        .copied()
        .collect();
    let written: Result<(), espalier_db::Error> = app
        .db
        .write(move |c| {
            late.iter().try_for_each(|row| store::put_rollout(c, row))?;
            let events = stored.iter().filter(|event| known.contains(&event.rollout));
            events
                .into_iter()
                .try_for_each(|event| store::add_event(c, event))
        })
        .await;
    if let Err(error) = written {
        app.ota.rollouts.journal.lock().extend(events);
        return Err(error.into());
    }
    Ok(())
}

/// Nudges connected boards that have something to fetch, a few per second, and no more than may fetch at once.
fn nudge(app: &AppState, pace: &mut Pace) {
    let now = app.clock.now_ms();
    if pace.second != now / 1000 {
        *pace = Pace {
            second: now / 1000,
            nudged: 0,
        };
    }
    let mut core = app.ota.rollouts.core.lock();
    for id in core.serving.clone() {
        let Some(rollout) = core.rollouts.get_mut(&id) else {
            continue;
        };
        while pace.nudged < NUDGES {
            let limit = usize::try_from(rollout.row.plan.downloads).unwrap_or(usize::MAX);
            let due = rollout
                .nudges
                .peek()
                .is_some_and(|Reverse((at, _))| *at <= now);
            let full = limit > 0 && rollout.fetching.len() + rollout.nudged.len() >= limit;
            if !due || full {
                break;
            }
            let Some(Reverse((_, device))) = rollout.nudges.pop() else {
                break;
            };
            let ready = |track: &Track| matches!(track.update.next(now, u32::MAX), Next::Begin(_));
            let waits = match rollout.row.state {
                State::RollingBack => rollout.back.get(&device).is_some_and(ready),
                _ => match rollout.tracks.get(&device) {
                    Some(track) => ready(track),
                    None => rollout
                        .members
                        .get(&device)
                        .is_some_and(|member| member.standing == Standing::Waiting),
                },
            };
            if waits && live::nudge(app, device) {
                rollout.nudged.insert(device, now);
                pace.nudged += 1;
            }
        }
    }
}
