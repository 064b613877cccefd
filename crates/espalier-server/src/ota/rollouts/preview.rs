//! Who would get what, and why not: of a rollout that is planned, and of one that is under way.

use super::memory::{Core, Member, Rollout, Standing, Track, Way};
use super::view::{NewRollout, UpdateView, word};
use super::{manage, matching, store, zones};
use crate::clock::iso;
use crate::devices::Device;
use crate::error::ApiResult;
use crate::identity::{self, Caller};
use crate::{ApiError, AppState, random};
use espalier_model::ota::fit::Misfit;
use espalier_model::ota::rollout::{Ranker, State};
use espalier_model::{DeviceId, RolloutId};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use utoipa::ToSchema;

/// A device in a preview.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewDevice {
    /// Its id.
    pub device_id: String,
    /// What it is called.
    pub name: String,
    /// Its wave, from 1; null: in none.
    pub wave: Option<u32>,
    /// The image that it would get.
    pub firmware_id: Option<String>,
    /// Why it would get none, as a stable word: `installed`, `chip`, `revision`, `slot`, `secure_version`, `type`, `unsigned`,
    /// `no_image` or `no_wave`.
    pub reason: Option<String>,
    /// Why it would get none, as a sentence.
    pub message: Option<String>,
    /// The version that it runs.
    pub running: Option<String>,
    /// It was never heard of.
    pub silent: bool,
}

/// What a rollout would do. Nothing of it is stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preview {
    /// Make the rollout with this id, and each device is in the wave that is shown here.
    pub id: String,
    /// Devices that are meant.
    pub meant: usize,
    /// Devices that would get an image.
    pub served: usize,
    /// Devices of each wave that would get an image.
    pub waves: Vec<usize>,
    /// Devices that would get none, by reason.
    pub reasons: BTreeMap<String, usize>,
    /// One page of the devices that are meant: those that would get an image by wave, then the others.
    pub devices: Vec<PreviewDevice>,
    /// This page, from 1.
    pub page: usize,
    /// Devices per page.
    pub limit: usize,
}

/// One line of a preview before it is written out.
struct Line {
    device: Arc<Device>,
    wave: Option<u8>,
    found: Result<String, Misfit>,
}

/// Shows what a rollout would do.
///
/// # Errors
/// As making it.
pub async fn preview(
    app: &AppState,
    caller: &Caller,
    body: NewRollout,
    page: usize,
    limit: usize,
) -> ApiResult<Preview> {
    let release = manage::release(app, caller, &body.release_id)?;
    let (mut target, plan) = (body.target, body.plan.into_plan()?);
    manage::check(&mut target, &plan)?;
    let id: RolloutId = match &body.id {
        Some(text) => text.parse().map_err(|_| {
            ApiError::invalid(&["body", "id"], "must be the id of a rollout or a preview")
        })?,
        None => random::rollout_id(&app.clock),
    };
    let owner = identity::in_place_of(app, release.owner).await?;
    let shared = app.clone();
    let work = move || {
        let images = shared.ota.library.images(&release);
        let found = matching::matched(
            &shared,
            release.owner,
            owner.as_ref(),
            &target,
            &plan.waves,
            Ranker::new(id),
        );
        let line = |(device, rank): &(Arc<Device>, u64)| {
            let running = shared.ota.fleet.get(device.id);
            let chosen = matching::choose(&shared, device, running.as_deref(), &images);
            Line {
                device: device.clone(),
                wave: matching::wave(&plan.waves, &found.cut_offs, device, *rank),
                found: chosen.map(|firmware| firmware.id.to_string()),
            }
        };
        let lines: Vec<Line> = found.devices.iter().map(line).collect();
        summary(&shared, id, plan.waves.len(), lines, page, limit)
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(ApiError::internal)
}

fn summary(
    app: &AppState,
    id: RolloutId,
    waves: usize,
    mut lines: Vec<Line>,
    page: usize,
    limit: usize,
) -> Preview {
    let (mut counts, mut reasons, mut served) = (vec![0; waves], BTreeMap::new(), 0);
    for line in &lines {
        let reason = match (&line.found, line.wave) {
            (Ok(_), Some(wave)) => {
                served += 1;
                if let Some(count) = counts.get_mut(usize::from(wave)) {
                    *count += 1;
                }
                continue;
            }
            (Ok(_), None) => "no_wave",
            (Err(misfit), _) => misfit.code(),
        };
        *reasons.entry(reason.to_owned()).or_insert(0) += 1;
    }
    lines.sort_by_key(|line| {
        (
            line.found.is_err(),
            line.wave.unwrap_or(u8::MAX),
            line.device.id,
        )
    });
    let meant = lines.len();
    let shown = lines.into_iter().skip((page - 1) * limit).take(limit);
    Preview {
        id: id.to_string(),
        meant,
        served,
        waves: counts,
        reasons,
        devices: shown.map(|line| write(app, line)).collect(),
        page,
        limit,
    }
}

fn write(app: &AppState, line: Line) -> PreviewDevice {
    let running = app.ota.fleet.get(line.device.id);
    let (firmware, why) = match line.found {
        Ok(id) => (Some(id), None),
        Err(misfit) => (None, Some((misfit.code().to_owned(), misfit.to_string()))),
    };
    let no_wave = || ("no_wave".to_owned(), "No wave reaches so far.".to_owned());
    let why = why.or_else(|| line.wave.is_none().then(no_wave));
    PreviewDevice {
        device_id: line.device.oid.to_string(),
        name: line.device.name.clone(),
        wave: line.wave.map(|wave| u32::from(wave) + 1),
        firmware_id: firmware,
        reason: why.as_ref().map(|(code, _)| code.clone()),
        message: why.map(|(_, sentence)| sentence),
        silent: running.is_none(),
        running: running.and_then(|running| running.version.clone()),
    }
}

/// A device in a rollout.
#[derive(Debug, Serialize, ToSchema)]
pub struct RolloutDevice {
    /// Its id.
    pub device_id: String,
    /// What it is called.
    pub name: String,
    /// It is there.
    pub online: bool,
    /// Its wave, from 1.
    pub wave: Option<u32>,
    /// `waiting`, `offered`, `downloading`, `written`, `trial`, `watched` (confirmed, in its health window), `succeeded`,
    /// `unwell`, `rolled_back`, `failed`, `cancelled` or `apart` (nothing is there for it).
    pub state: &'static str,
    /// Why it waits, is apart or is not well.
    pub message: Option<String>,
    /// Until when it waits, as far as that is known.
    pub until: Option<String>,
    /// Its update, once something was offered.
    pub update: Option<UpdateView>,
    /// Its way back, when the rollout is rolled back.
    pub back: Option<UpdateView>,
}

/// Which devices of a rollout.
#[derive(Debug, Default)]
pub struct Which {
    pub state: Option<String>,
    /// From 1.
    pub wave: Option<u32>,
}

impl Which {
    fn fits(&self, member: Member, track: Option<&Track>) -> bool {
        let wave = self
            .wave
            .is_none_or(|wave| u32::from(member.wave) + 1 == wave);
        let group = || match self.state.as_deref() {
            Some("under_way") => member.standing == Standing::UnderWay,
            Some("failed") => matches!(member.standing, Standing::Failed | Standing::Retried),
            Some(state) => word(member.standing, track) == state,
            None => true,
        };
        wave && group()
    }
}

/// One page of a rollout's devices, by wave, and how many fit.
///
/// # Errors
/// Fails when the database does.
pub async fn devices(
    app: &AppState,
    id: RolloutId,
    which: &Which,
    offset: usize,
    limit: usize,
) -> ApiResult<(Vec<RolloutDevice>, usize)> {
    let live = app
        .ota
        .rollouts
        .core
        .lock()
        .rollouts
        .get(&id)
        .is_some_and(Rollout::is_live);
    if live {
        return Ok(page(app, id, which, offset, limit));
    }
    // It is over: what it did is in the database.
    super::engine::flush(app).await?;
    let stored = app.db.read(move |c| store::updates_of(c, id)).await?;
    let (mut forward, mut back) = (HashMap::new(), HashMap::new());
    for (device, track) in stored {
        match track.way {
            Way::Back(_) => back.insert(device, track),
            _ => forward.insert(device, track),
        };
    }
    let core = app.ota.rollouts.core.lock();
    let Some(rollout) = core.rollouts.get(&id) else {
        return Err(ApiError::not_found("Rollout"));
    };
    let max_attempts = rollout.row.plan.max_attempts;
    let member = |track: &Track| Member {
        wave: track.wave.unwrap_or(u8::MAX),
        standing: track.standing(max_attempts),
    };
    let mut found: Vec<(u8, DeviceId)> = Vec::new();
    for (device, track) in &forward {
        if which.fits(member(track), Some(track)) {
            found.push((track.wave.unwrap_or(u8::MAX), *device));
        }
    }
    found.sort_unstable();
    let total = found.len();
    let shown = found.into_iter().skip(offset).take(limit);
    let line = |(_, id): (u8, DeviceId)| {
        let track = forward.get(&id)?;
        line(
            app,
            &core,
            rollout,
            id,
            member(track),
            Some(track),
            back.get(&id),
        )
    };
    Ok((shown.filter_map(line).collect(), total))
}

fn page(
    app: &AppState,
    id: RolloutId,
    which: &Which,
    offset: usize,
    limit: usize,
) -> (Vec<RolloutDevice>, usize) {
    let core = app.ota.rollouts.core.lock();
    let Some(rollout) = core.rollouts.get(&id) else {
        return (Vec::new(), 0);
    };
    let members = rollout.members.iter();
    let fits = members.filter(|(device, member)| which.fits(**member, rollout.tracks.get(device)));
    let mut found: Vec<(u8, DeviceId)> = fits
        .map(|(device, member)| (member.wave, *device))
        .collect();
    found.sort_unstable();
    let total = found.len();
    let shown = found.into_iter().skip(offset).take(limit);
    let line = |(_, id): (u8, DeviceId)| {
        let member = *rollout.members.get(&id)?;
        line(
            app,
            &core,
            rollout,
            id,
            member,
            rollout.tracks.get(&id),
            rollout.back.get(&id),
        )
    };
    (shown.filter_map(line).collect(), total)
}

fn line(
    app: &AppState,
    core: &Core,
    rollout: &Rollout,
    id: DeviceId,
    member: Member,
    track: Option<&Track>,
    back: Option<&Track>,
) -> Option<RolloutDevice> {
    let device = app.devices.get(id)?;
    let max_attempts = rollout.row.plan.max_attempts;
    let view = |track: &Track| UpdateView::of(app, &device, track, max_attempts);
    let begun = track.filter(|track| track.update.attempt() > 0);
    let (message, until) = match begun {
        None => why(app, core, rollout, &device, member),
        Some(track) => (unwell(track), None),
    };
    Some(RolloutDevice {
        device_id: device.oid.to_string(),
        name: device.name.clone(),
        online: device.is_online(),
        wave: (member.wave != u8::MAX).then(|| u32::from(member.wave) + 1),
        state: word(member.standing, track),
        message,
        until: until.map(iso),
        update: begun.map(view),
        back: back.map(view),
    })
}

fn unwell(track: &Track) -> Option<String> {
    use espalier_model::ota::health::Illness;
    let all = [
        Illness::Silent,
        Illness::CrashLoop,
        Illness::Heap,
        Illness::HeapLoss,
        Illness::NoTelemetry,
        Illness::Left,
    ];
    let found = all
        .into_iter()
        .find(|illness| track.verdict.as_deref() == Some(illness.code()));
    found.map(|illness| illness.to_string())
}

/// Why a device has nothing yet, and until when.
fn why(
    app: &AppState,
    core: &Core,
    rollout: &Rollout,
    device: &Device,
    member: Member,
) -> (Option<String>, Option<i64>) {
    let now = app.clock.now_ms();
    let row = &rollout.row;
    let running = app.ota.fleet.get(device.id);
    let images = matching::images(app, row);
    let say = |text: &str, until| (Some(text.to_owned()), until);
    if let Err(misfit) = matching::choose(app, device, running.as_deref(), &images) {
        return (Some(misfit.to_string()), None);
    }
    match row.state {
        State::Running => {}
        State::Paused => return say("The rollout is paused.", None),
        State::Halted => return say("The rollout has halted.", None),
        _ => return say("The rollout does not offer anything.", None),
    }
    if core
        .forced
        .get(&device.id)
        .is_some_and(|track| !track.is_over(u32::MAX))
    {
        return say(
            "A person has sent it an image of its own; that comes first.",
            None,
        );
    }
    let Some(opened) = row.opened.get(usize::from(member.wave)) else {
        return say("Its wave is not open yet.", None);
    };
    if core
        .taken
        .get(&device.id)
        .is_some_and(|at| row.started_at.is_none_or(|began| *at >= began))
    {
        return say(
            "It was given something else since this rollout began.",
            None,
        );
    }
    let turn = opened + rollout.ranker.delay_ms(device.id, row.plan.random_delay_s);
    if turn > now {
        return say("It waits its random delay.", Some(turn));
    }
    let zone = core.zones.get(&device.id).unwrap_or(&rollout.zone);
    if let Some(at) = zones::next_opening(&row.plan.windows, zone, now) {
        return say("Its maintenance window is closed.", Some(at));
    }
    if running.is_none() {
        return say(
            "It never said what it runs; it is offered the image when it asks.",
            None,
        );
    }
    if !rollout.has_room(device.id) {
        return say(
            "Others are fetching; it follows when one of them is done.",
            None,
        );
    }
    say("It is offered the image when it asks next.", None)
}
