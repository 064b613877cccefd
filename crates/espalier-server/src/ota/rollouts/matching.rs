//! Which devices a rollout means, in which wave each is, and which image fits it.

use super::memory::{self, Core, Member, Rollout, Row, Standing, Way};
use crate::AppState;
use crate::devices::{self, Device};
use crate::identity::{self, Caller, Principal};
use crate::ota::fleet::Running;
use crate::ota::library::{Firmware, Signed};
use espalier_model::ota::fit::{self, Board, Image, Misfit};
use espalier_model::ota::rollout::{Ranker, Wave, cut_offs, wave_of};
use espalier_model::ota::target::{Facts, Target};
use espalier_model::{AccountId, Action, DeviceId};
use std::collections::HashMap;
use std::sync::Arc;

/// What a target looks at.
fn facts<'a>(device: &'a Device, running: Option<&'a Running>) -> Facts<'a> {
    let said = device.facts.as_deref();
    let runs = |pick: fn(&Running) -> Option<&str>| running.and_then(pick);
    Facts {
        oid: device.oid,
        name: &device.name,
        kind: device
            .kind
            .as_deref()
            .or_else(|| runs(|r| r.device_type.as_deref())),
        groups: &device.groups,
        tags: &device.tags,
        chip: runs(|r| r.chip.as_deref()).or_else(|| said?.chip.as_deref()),
        version: runs(|r| r.version.as_deref()).or_else(|| said?.firmware_version.as_deref()),
    }
}

fn image<'a>(app: &AppState, firmware: &'a Firmware, running: Option<&Running>) -> Image<'a> {
    // What only a retired key signed is as good as unsigned.
    let retired = matches!(app.ota.library.signed(firmware), Signed::Retired(_));
    Image {
        chip: &firmware.chip,
        revisions: firmware.revisions(),
        size: firmware.size,
        secure_version: firmware.secure_version,
        device_type: firmware.device_type.as_deref(),
        signed: firmware.manifest.is_some() && !retired,
        installed: running.is_some_and(|running| memory::runs(running, firmware)),
    }
}

/// The images that a rollout brings; none when its release was deleted.
pub fn images(app: &AppState, row: &Row) -> Vec<Arc<Firmware>> {
    let release = app.ota.library.release(row.release);
    release.map_or_else(Vec::new, |release| app.ota.library.images(&release))
}

/// The image of a release for a device.
///
/// # Errors
/// Says why none fits.
pub fn choose<'a>(
    app: &AppState,
    device: &Device,
    running: Option<&Running>,
    images: &'a [Arc<Firmware>],
) -> Result<&'a Arc<Firmware>, Misfit> {
    let said = device.facts.as_deref();
    let board = Board {
        chip: running
            .and_then(|r| r.chip.as_deref())
            .or_else(|| said?.chip.as_deref()),
        revision: running.and_then(|r| r.chip_revision),
        slot_bytes: running.and_then(|r| r.slot_bytes),
        secure_version: running.and_then(|r| r.secure_version),
        device_type: running
            .filter(|r| !r.native)
            .and_then(|r| r.device_type.as_deref()),
        native: running.is_some_and(|r| r.native),
    };
    let of_release = images.iter().map(|firmware| image(app, firmware, running));
    let place = fit::choose(&board, of_release, app.config.allow_unsigned)?;
    images.get(place).ok_or(Misfit::Nothing)
}

/// Tells whether an image may be sent back to a board that ran it before.
///
/// # Errors
/// Says why not.
pub fn may_return(
    app: &AppState,
    running: Option<&Running>,
    firmware: &Firmware,
) -> Result<(), Misfit> {
    let board = Board {
        secure_version: running.and_then(|r| r.secure_version),
        native: running.is_some_and(|r| r.native),
        ..Board::default()
    };
    let image = image(app, firmware, running);
    match fit::fit(&board, &image, app.config.allow_unsigned) {
        Err(Misfit::Installed) | Ok(()) => Ok(()),
        Err(misfit) => Err(misfit),
    }
}

/// Tells whether an account's rollouts may reach a device: it owns it, and the access rules let it manage it.
/// What others share with it, it does not update: those boards trust other keys.
pub fn may_reach(
    app: &AppState,
    owner: AccountId,
    caller: Option<&Caller>,
    device: &Device,
) -> bool {
    if device.owner != owner || device.unclaimed || device.is_deleted() {
        return false;
    }
    identity::by_default(app)
        || caller.is_some_and(|caller| {
            let principal = Principal::Account(caller.clone());
            devices::permits(app, &principal, device, Action::Manage)
        })
}

/// Tells whether a target means a device.
pub fn means(target: &Target, device: &Device, running: Option<&Running>) -> bool {
    target.means(&facts(device, running))
}

/// The devices that a target means, with their places in line and the cut-offs of the waves.
pub struct Matched {
    /// Every device that is meant.
    pub devices: Vec<(Arc<Device>, u64)>,
    /// Up to which place each wave goes.
    pub cut_offs: Vec<Option<u64>>,
}

/// Finds everything that a target means.
pub fn matched(
    app: &AppState,
    owner: AccountId,
    caller: Option<&Caller>,
    target: &Target,
    waves: &[Wave],
    ranker: Ranker,
) -> Matched {
    let mut devices = Vec::new();
    for device in app.devices.visible_to(owner) {
        if may_reach(app, owner, caller, &device) {
            let running = app.ota.fleet.get(device.id);
            if means(target, &device, running.as_deref()) {
                let rank = ranker.rank(device.id);
                devices.push((device, rank));
            }
        }
    }
    let mut ranks: Vec<u64> = devices.iter().map(|(_, rank)| *rank).collect();
    let cut_offs = cut_offs(waves, &mut ranks);
    Matched { devices, cut_offs }
}

/// The wave that a device is in.
pub fn wave(waves: &[Wave], cut_offs: &[Option<u64>], device: &Device, rank: u64) -> Option<u8> {
    let in_group = |name: &str| device.groups.iter().any(|group| **group == *name);
    wave_of(waves, cut_offs, rank, in_group).and_then(|wave| u8::try_from(wave).ok())
}

/// Puts everything that was found into its place.
pub fn members(
    app: &AppState,
    row: &Row,
    matched: &Matched,
    images: &[Arc<Firmware>],
) -> HashMap<DeviceId, Member> {
    let mut members = HashMap::with_capacity(matched.devices.len());
    for (device, rank) in &matched.devices {
        if let Some(wave) = wave(&row.plan.waves, &row.cut_offs, device, *rank) {
            let running = app.ota.fleet.get(device.id);
            let standing = match choose(app, device, running.as_deref(), images) {
                Ok(_) => Standing::Waiting,
                Err(_) => Standing::Apart,
            };
            members.insert(device.id, Member { wave, standing });
        }
    }
    members
}

/// Looks at one device again: whether a rollout means it still, or now.
pub fn again(app: &AppState, core: &mut Core, device: &Device) {
    let running = app.ota.fleet.get(device.id);
    let now = app.clock.now_ms();
    let ids: Vec<_> = core
        .rollouts
        .iter()
        .filter(|(_, r)| r.is_live())
        .map(|(id, _)| *id)
        .collect();
    for id in ids {
        let owner = core.rollouts.get(&id).map(|rollout| rollout.row.owner);
        let caller = owner.and_then(|owner| core.callers.get(&owner).cloned());
        let Some(rollout) = core.rollouts.get_mut(&id) else {
            continue;
        };
        let images = images(app, &rollout.row);
        let cancel = look(
            app,
            rollout,
            caller.as_ref(),
            device,
            running.as_deref(),
            &images,
            now,
        );
        if cancel && let Some(track) = rollout.tracks.get_mut(&device.id) {
            track.pending = None;
            track.update.cancel(now);
            core.changed(device.id, Way::Forward(id), now);
        }
    }
}

/// Returns whether the device's update must be cancelled, because it is not meant any more.
fn look(
    app: &AppState,
    rollout: &mut Rollout,
    caller: Option<&Caller>,
    device: &Device,
    running: Option<&Running>,
    images: &[Arc<Firmware>],
    now: i64,
) -> bool {
    let row = &rollout.row;
    let meant = may_reach(app, row.owner, caller, device)
        && joins(row, device)
        && means(&row.target, device, running);
    let track = rollout.tracks.get(&device.id);
    if let Some(track) = track.filter(|track| track.update.attempt() > 0) {
        // What has begun is counted to its end; only a board that merely fetches is called off.
        return !meant && track.update.state().is_fetching();
    }
    let rank = rollout.ranker.rank(device.id);
    let wave = meant
        .then(|| wave(&row.plan.waves, &row.cut_offs, device, rank))
        .flatten();
    let open = row.opened.len();
    let member = wave.map(|wave| Member {
        wave,
        standing: match choose(app, device, running, images) {
            Ok(_) => Standing::Waiting,
            Err(_) => Standing::Apart,
        },
    });
    if member.is_none() {
        rollout.tracks.remove(&device.id);
        rollout.fetching.remove(&device.id);
    }
    let before = rollout.members.get(&device.id).copied();
    if before == member {
        return false;
    }
    rollout.place(device.id, member);
    if member.is_some_and(|m| m.standing == Standing::Waiting && usize::from(m.wave) < open) {
        let at = now
            + rollout
                .ranker
                .delay_ms(device.id, rollout.row.plan.random_delay_s);
        rollout.nudges.push(std::cmp::Reverse((at, device.id)));
    }
    false
}

/// Tells whether a device was there in time, or new ones may join.
pub fn joins(row: &Row, device: &Device) -> bool {
    row.plan.new_devices || row.started_at.is_none_or(|at| device.created_at <= at)
}
