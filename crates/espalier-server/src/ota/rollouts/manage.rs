//! What people do with rollouts: make, change, start, approve, pause, resume, end and delete them.

use super::memory::{Rollout, Row};
use super::view::{NewRollout, RolloutPatch};
use super::{engine, events, matching, store, zones};
use crate::error::ApiResult;
use crate::identity::{self, Caller};
use crate::ota::library::Release;
use crate::{ApiError, AppState, random};
use espalier_model::Role;
use espalier_model::RolloutId;
use espalier_model::ota::rollout::{Command, Counts, Plan, State, obey};
use espalier_model::ota::target::Target;
use serde_json::json;
use std::sync::Arc;

/// Rollouts of one account that are not over, at most.
const MAX_OPEN: usize = 100;

/// The release that a rollout brings, when the caller may use it.
///
/// # Errors
/// 404 when there is none for them, 409 when it was withdrawn or has no images.
pub fn release(app: &AppState, caller: &Caller, id: &str) -> ApiResult<Arc<Release>> {
    let missing = || ApiError::not_found("Release");
    let id = id.parse().map_err(|_| missing())?;
    let release = app.ota.library.release(id).ok_or_else(missing)?;
    if !caller.sees(release.owner) {
        return Err(missing());
    }
    if release.withdrawn_at.is_some() {
        return Err(ApiError::conflict(
            "withdrawn",
            "This release was withdrawn; choose another one.",
        ));
    }
    if app.ota.library.images(&release).is_empty() {
        return Err(ApiError::conflict(
            "no_images",
            "This release has no images; add one for each chip first.",
        ));
    }
    Ok(release)
}

/// Checks a target and a plan.
///
/// # Errors
/// 422 that names the field.
pub fn check(target: &mut Target, plan: &Plan) -> ApiResult<()> {
    target
        .check()
        .map_err(|why| ApiError::invalid(&["body", "target"], why))?;
    plan.check()
        .map_err(|(field, why)| ApiError::invalid(&["body", "plan", field], why))?;
    zones::check(&["body", "plan", "time_zone"], &plan.time_zone)?;
    Ok(())
}

fn check_name(name: &str) -> ApiResult<String> {
    let name = name.trim();
    let fits = (1..=100).contains(&name.chars().count());
    if !fits || name.chars().any(char::is_control) {
        return Err(ApiError::invalid(
            &["body", "name"],
            "must be 1 to 100 characters on one line",
        ));
    }
    Ok(name.to_owned())
}

fn may_make(caller: &Caller) -> ApiResult<()> {
    if caller.role == Role::Viewer {
        return Err(ApiError::forbidden(
            "A viewer cannot make rollouts; ask an admin for the role of a member.",
        ));
    }
    Ok(())
}

/// Makes a draft.
///
/// # Errors
/// 403 for viewers, 404 for an unknown release, 409 when its id is taken or there are too many, 422 for a wrong field.
pub async fn create(app: &AppState, caller: &Caller, body: NewRollout) -> ApiResult<RolloutId> {
    may_make(caller)?;
    let release = release(app, caller, &body.release_id)?;
    let (mut target, plan) = (body.target, body.plan.into_plan()?);
    check(&mut target, &plan)?;
    let id = match &body.id {
        Some(text) => text
            .parse()
            .map_err(|_| ApiError::invalid(&["body", "id"], "must be the id of a preview"))?,
        None => random::rollout_id(&app.clock),
    };
    let name = body
        .name
        .unwrap_or_else(|| format!("{} {}", release.channel, release.version));
    let row = Row {
        id,
        owner: release.owner,
        name: check_name(&name)?,
        release: release.id,
        version: release.version.clone(),
        channel: release.channel.clone(),
        target,
        cut_offs: vec![None; plan.waves.len()],
        counts: vec![Counts::default(); plan.waves.len()],
        plan,
        state: State::Draft,
        reason: None,
        opened: Vec::new(),
        reached_at: None,
        created_by: caller.account,
        created_by_name: caller.username.clone(),
        started_by: None,
        approved_by: None,
        created_at: app.clock.now_ms(),
        started_at: None,
        ended_at: None,
    };
    let _alone = app.ota.rollouts.changing.lock().await;
    {
        let core = app.ota.rollouts.core.lock();
        if core.rollouts.contains_key(&id) {
            return Err(ApiError::conflict(
                "exists",
                "There is a rollout with this id already; make a new preview.",
            ));
        }
        let open = core
            .rollouts
            .values()
            .filter(|r| r.row.owner == row.owner && !r.row.state.is_over());
        if open.count() >= MAX_OPEN {
            return Err(ApiError::conflict(
                "too_many_rollouts",
                format!(
                    "An account has at most {MAX_OPEN} rollouts that are not over; delete or end one first."
                ),
            ));
        }
    }
    let event = events::happened(app, id, None, "created", json!({ "by": caller.username }));
    let stored = row.clone();
    app.db
        .write(move |c| {
            store::put_rollout(c, &stored)?;
            store::add_event(c, &event)
        })
        .await?;
    let detail = json!({ "name": row.name, "release": row.release });
    app.ota
        .rollouts
        .core
        .lock()
        .rollouts
        .insert(id, Rollout::new(row));
    identity::audit(app, caller, "rollout.create", &id.to_string(), detail).await?;
    events::publish_rollout(app, id);
    Ok(id)
}

/// Changes a rollout: its name at any time, everything else until it runs.
///
/// # Errors
/// 409 when it runs already, 422 for a wrong field.
pub async fn patch(
    app: &AppState,
    caller: &Caller,
    id: RolloutId,
    body: RolloutPatch,
) -> ApiResult<()> {
    let _alone = app.ota.rollouts.changing.lock().await;
    let row = current(app, id)?;
    let planned = body.release_id.is_some() || body.target.is_some() || body.plan.is_some();
    if planned && !row.state.is_planned() {
        return Err(ApiError::conflict(
            "already_started",
            "A rollout that has begun can only be renamed; abort it and make a new one.",
        ));
    }
    let name = body.name.as_deref().map(check_name).transpose()?;
    let release = body
        .release_id
        .as_deref()
        .map(|id| release(app, caller, id))
        .transpose()?;
    if release
        .as_ref()
        .is_some_and(|release| release.owner != row.owner)
    {
        return Err(ApiError::not_found("Release"));
    }
    let mut target = body.target.unwrap_or_else(|| row.target.clone());
    let plan = body
        .plan
        .map_or_else(|| Ok(row.plan.clone()), super::view::PlanBody::into_plan)?;
    check(&mut target, &plan)?;
    let state = match row.state {
        // Who approves must have seen what runs: a changed plan is approved again.
        // Not even a plan that waives approval comes without it.
        State::Scheduled if planned && (plan.approval || row.plan.approval) => {
            State::AwaitingApproval
        }
        state => state,
    };
    let by = caller.account;
    engine::change(
        app,
        id,
        Some(("changed", json!({ "by": caller.username }))),
        move |row| {
            if let Some(name) = name {
                row.name = name;
            }
            if let Some(release) = release {
                row.release = release.id;
                row.version.clone_from(&release.version);
                row.channel.clone_from(&release.channel);
            }
            if planned {
                row.counts = vec![Counts::default(); plan.waves.len()];
                row.cut_offs = vec![None; plan.waves.len()];
                row.target = target;
                row.plan = plan;
                row.state = state;
                // Who changed what was started stands for it, and cannot be the second person.
                if row.started_by.is_some() {
                    row.started_by = Some(by);
                }
            }
        },
    )
    .await?;
    {
        let mut core = app.ota.rollouts.core.lock();
        if let Some(rollout) = core.rollouts.get_mut(&id)
            && planned
        {
            *rollout = Rollout::new(rollout.row.clone());
        }
    }
    identity::audit(app, caller, "rollout.change", &id.to_string(), json!({})).await
}

/// Deletes a rollout that never began or is over.
///
/// # Errors
/// 409 when it is under way.
pub async fn delete(app: &AppState, caller: &Caller, id: RolloutId) -> ApiResult<()> {
    let _alone = app.ota.rollouts.changing.lock().await;
    let row = current(app, id)?;
    if row.state != State::Draft && !row.state.is_over() {
        return Err(ApiError::conflict(
            "under_way",
            "This rollout is under way; abort it first.",
        ));
    }
    app.db.write(move |c| store::delete_rollout(c, id)).await?;
    {
        let mut core = app.ota.rollouts.core.lock();
        core.rollouts.remove(&id);
        core.updates.retain(|_, (_, way)| !matches!(way, super::memory::Way::Forward(of) | super::memory::Way::Back(of) if *of == id));
        core.resort();
    }
    app.ota.rollouts.bump();
    identity::audit(
        app,
        caller,
        "rollout.delete",
        &id.to_string(),
        json!({ "name": row.name }),
    )
    .await
}

fn current(app: &AppState, id: RolloutId) -> ApiResult<Row> {
    let core = app.ota.rollouts.core.lock();
    let found = core.rollouts.get(&id);
    found
        .map(|r| r.row.clone())
        .ok_or_else(|| ApiError::not_found("Rollout"))
}

/// The rollout as it is, and the state that a command leads to.
///
/// # Errors
/// 404 when it is gone, 409 when the command cannot be obeyed.
pub fn obeyed(app: &AppState, id: RolloutId, command: Command) -> ApiResult<(Row, State)> {
    let row = current(app, id)?;
    let state = obey(row.state, command, &row.plan, app.clock.now_ms())
        .map_err(|refusal| ApiError::conflict(refusal.code, refusal.sentence))?;
    Ok((row, state))
}

/// Starts a draft, or asks for approval.
///
/// # Errors
/// 409 when it was started already or its release is gone.
pub async fn start(app: &AppState, caller: &Caller, id: RolloutId) -> ApiResult<()> {
    let _alone = app.ota.rollouts.changing.lock().await;
    let (row, state) = obeyed(app, id, Command::Start)?;
    release(app, caller, &row.release.to_string())?;
    let by = caller.account;
    enter(app, caller, id, state, "started", move |row| {
        row.started_by = Some(by)
    })
    .await
}

/// Approves a rollout in the place of a second person.
///
/// # Errors
/// 409 when it does not wait for approval, or the caller created or started it.
pub async fn approve(
    app: &AppState,
    caller: &Caller,
    id: RolloutId,
    seen: Option<&str>,
) -> ApiResult<()> {
    let _alone = app.ota.rollouts.changing.lock().await;
    let row = current(app, id)?;
    if seen.is_some_and(|seen| seen != super::view::fingerprint(&row)) {
        let why = "The rollout was changed since you looked at it; look at it again before you approve it.";
        return Err(ApiError::conflict("changed", why));
    }
    let second = row.created_by != caller.account && row.started_by != Some(caller.account);
    let (_, state) = obeyed(app, id, Command::Approve { second })?;
    let by = caller.account;
    enter(app, caller, id, state, "approved", move |row| {
        row.approved_by = Some(by)
    })
    .await
}

/// Pauses a rollout: what boards fetch already goes on, nothing new begins.
///
/// # Errors
/// 409 when it does not run.
pub async fn pause(app: &AppState, caller: &Caller, id: RolloutId) -> ApiResult<()> {
    let _alone = app.ota.rollouts.changing.lock().await;
    let (_, state) = obeyed(app, id, Command::Pause)?;
    enter(app, caller, id, state, "paused", |_| {}).await
}

/// Lets a rollout go on. Failures of before are forgiven when it had halted.
///
/// # Errors
/// 409 when it neither is paused nor has halted.
pub async fn resume(app: &AppState, caller: &Caller, id: RolloutId) -> ApiResult<()> {
    let _alone = app.ota.rollouts.changing.lock().await;
    let (row, state) = obeyed(app, id, Command::Resume)?;
    let halted = row.state == State::Halted;
    let few = row
        .reason
        .as_ref()
        .is_some_and(|(code, _)| code == "too_few_succeeded");
    let now = app.clock.now_ms();
    enter(app, caller, id, state, "resumed", move |row| {
        row.reason = None;
        if halted {
            for wave in &mut row.counts {
                wave.forgiven = wave.failed;
            }
        }
        if few {
            // Somebody has decided that it was enough.
            row.reached_at = Some(now);
        }
    })
    .await
}

/// Ends a rollout; boards that have not written the image keep what they run.
///
/// # Errors
/// 409 when it is over or was never started.
pub async fn abort(app: &AppState, caller: &Caller, id: RolloutId) -> ApiResult<()> {
    let _alone = app.ota.rollouts.changing.lock().await;
    let (_, state) = obeyed(app, id, Command::Abort)?;
    let now = app.clock.now_ms();
    // First of all: a board that asks meanwhile must not begin.
    enter(app, caller, id, state, "aborted", move |row| {
        row.ended_at = Some(now)
    })
    .await?;
    engine::flush(app).await?;
    // With the counts that follow from it.
    engine::change(app, id, None, |_| {}).await?;
    events::tell(app);
    Ok(())
}

/// Brings a rollout into a state that a person wanted, and does what that means at once.
async fn enter(
    app: &AppState,
    caller: &Caller,
    id: RolloutId,
    state: State,
    kind: &str,
    apply: impl FnOnce(&mut Row),
) -> ApiResult<()> {
    let begins = state == State::Running && current(app, id)?.started_at.is_none();
    let event = (kind, json!({ "by": caller.username }));
    engine::change(app, id, Some(event), |row| {
        apply(row);
        // One that begins is scheduled for now until its devices are found.
        row.state = if begins { State::Scheduled } else { state };
    })
    .await?;
    if begins {
        begin(app, id).await?;
    }
    if state == State::Aborted {
        let now = app.clock.now_ms();
        engine::call_off(&mut app.ota.rollouts.core.lock(), id, now);
    }
    identity::audit(
        app,
        caller,
        &format!("rollout.{kind}"),
        &id.to_string(),
        json!({}),
    )
    .await?;
    engine::steps(app, id).await?;
    app.ota.rollouts.wake.notify_one();
    Ok(())
}

/// Finds the devices of a rollout, gives them their places and lets it run. Whoever calls holds the lock for changes.
///
/// # Errors
/// Fails when the database does.
pub async fn begin(app: &AppState, id: RolloutId) -> ApiResult<()> {
    let row = current(app, id)?;
    let caller = identity::in_place_of(app, row.owner).await?;
    let (shared, found) = (app.clone(), row.clone());
    // A million devices take a moment; other requests must not wait for it.
    let work = move || {
        let ranker = espalier_model::ota::rollout::Ranker::new(found.id);
        let matched = matching::matched(
            &shared,
            found.owner,
            caller.as_ref(),
            &found.target,
            &found.plan.waves,
            ranker,
        );
        let row = Row {
            cut_offs: matched.cut_offs.clone(),
            ..found
        };
        let members = matching::members(&shared, &row, &matched, &matching::images(&shared, &row));
        (row.cut_offs, members)
    };
    let (cut_offs, members) = tokio::task::spawn_blocking(work)
        .await
        .map_err(ApiError::internal)?;
    let now = app.clock.now_ms();
    engine::change(
        app,
        id,
        Some(("running", json!({ "devices": members.len() }))),
        |row| {
            row.state = State::Running;
            row.started_at = Some(now);
            row.cut_offs = cut_offs;
        },
    )
    .await?;
    let mut core = app.ota.rollouts.core.lock();
    if let Some(rollout) = core.rollouts.get_mut(&id) {
        engine::settle_all(rollout, members);
    }
    Ok(())
}
