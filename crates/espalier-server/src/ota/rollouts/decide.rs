//! What one board should install now, from memory. It is asked for every check of every board, so its answers are kept until
//! something changes.

use super::memory::{Core, Member, Rollout, Standing, Track, Way, runs};
use super::{matching, updates};
use crate::AppState;
use crate::devices::Device;
use crate::ota::fleet::Running;
use crate::ota::library::Firmware;
use crate::random;
use espalier_model::ota::rollout::State as RolloutState;
use espalier_model::ota::update::{Next, Update};
use espalier_model::{DeviceId, RolloutId, UpdateId};
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Seconds that a forced image has to confirm itself.
const FORCED_CONFIRM_S: u32 = 300;
/// How long a decision to wait for others is kept, milliseconds.
const CROWD_MS: i64 = 30_000;
/// How long an offer is kept before it is decided again, milliseconds.
const OFFER_MS: i64 = 60_000;
/// How long a place among those that fetch is held for a board that says nothing, milliseconds.
pub const SILENT_MS: i64 = 15 * 60 * 1000;
/// Decisions are kept under so many locks.
const SHARDS: usize = 64;

/// What a board should install.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The update; its board's reports name it.
    pub update: UpdateId,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The image.
    pub firmware: Arc<Firmware>,
    /// Seconds that it has, after its first boot, to confirm itself.
    pub confirm_within_s: u32,
    /// A person wants it for this board.
    pub forced: bool,
    /// A patch has failed before: the whole image is to be taken.
    pub whole: bool,
}

/// What a board should do.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Install this.
    Offer(Offer),
    /// Nothing, for all that is known until that moment (milliseconds UTC), or until something changes.
    Nothing {
        /// Ask again then.
        until_ms: Option<i64>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    generation: u64,
    devices: u64,
    running: u64,
}

struct Kept {
    key: Key,
    until: i64,
    decision: Decision,
}

/// Decisions that still hold.
pub struct Cache(Box<[Mutex<HashMap<DeviceId, Kept>>]>);

impl Default for Cache {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Cache {
    fn shard(&self, device: DeviceId) -> &Mutex<HashMap<DeviceId, Kept>> {
        // The last byte of a UUIDv7 is random.
        &self.0[usize::from(device.0.as_bytes()[15]) % SHARDS]
    }

    /// Forgets what was decided for a device.
    pub fn drop(&self, device: DeviceId) {
        self.shard(device).lock().remove(&device);
    }
}

/// What of a board's words a decision depends on.
fn fingerprint(running: &Running) -> u64 {
    let mut hasher = DefaultHasher::new();
    running.sha256.hash(&mut hasher);
    running.appended_sha256.hash(&mut hasher);
    running.md5.hash(&mut hasher);
    running.version.hash(&mut hasher);
    running.device_type.hash(&mut hasher);
    running.chip.hash(&mut hasher);
    (
        running.chip_revision,
        running.trial,
        running.slot_bytes,
        running.secure_version,
        running.native,
    )
        .hash(&mut hasher);
    hasher.finish()
}

/// What a board should install now. It neither waits nor asks the database.
pub fn decide(app: &AppState, device: &Device, running: &Running) -> Decision {
    let state = &app.ota.rollouts;
    let now = app.clock.now_ms();
    let key = Key {
        generation: state
            .generation
            .load(Ordering::SeqCst)
            .wrapping_add(app.ota.library.revision()),
        devices: app.devices.revision(),
        running: fingerprint(running),
    };
    let shard = state.cache.shard(device.id);
    if let Some(kept) = shard.lock().get(&device.id)
        && kept.key == key
        && now < kept.until
    {
        return kept.decision.clone();
    }
    let (decision, until) = {
        let mut core = state.core.lock();
        updates::sync(app, &mut core);
        let zone = core.zones.get(&device.id).cloned();
        let mut asked = Asked {
            app,
            device,
            running,
            now,
            zone,
            until: None,
        };
        let decision = asked.decide(&mut core);
        let until = match &decision {
            Decision::Offer(_) => Some(now + OFFER_MS),
            Decision::Nothing { .. } => asked.until,
        };
        (decision, until)
    };
    let kept = Kept {
        key,
        until: until.unwrap_or(i64::MAX),
        decision: decision.clone(),
    };
    shard.lock().insert(device.id, kept);
    decision
}

struct Asked<'a> {
    app: &'a AppState,
    device: &'a Device,
    running: &'a Running,
    now: i64,
    /// The device's own time zone.
    zone: Option<TimeZone>,
    /// When to look again.
    until: Option<i64>,
}

/// What follows from one update.
enum Ready {
    /// Offer this attempt.
    Attempt(u32),
    /// Not yet.
    Wait,
    /// Nothing more of it.
    Over,
}

impl Asked<'_> {
    fn wait_until(&mut self, at: i64) {
        self.until = Some(self.until.map_or(at, |old| old.min(at)));
    }

    fn decide(&mut self, core: &mut Core) -> Decision {
        // An image on trial is decided first: it stays, or the old one comes back.
        if self.running.trial {
            return self.nothing();
        }
        if let Some(decision) = self.forced(core) {
            return decision;
        }
        for id in core.serving.clone() {
            if let Some(decision) = self.rollout(core, id) {
                return decision;
            }
        }
        self.nothing()
    }

    fn nothing(&self) -> Decision {
        Decision::Nothing {
            until_ms: self.until,
        }
    }

    /// What an update asks for.
    fn ready(&mut self, track: &Track, firmware: &Firmware, max_attempts: u32) -> Ready {
        if runs(self.running, firmware) {
            return Ready::Over;
        }
        match track.update.next(self.now, max_attempts) {
            Next::Continue(attempt) | Next::Begin(attempt) => Ready::Attempt(attempt),
            Next::WaitUntil(at) => {
                self.wait_until(at);
                Ready::Wait
            }
            Next::Exhausted | Next::Done => Ready::Over,
        }
    }

    fn offer(
        track: &Track,
        attempt: u32,
        firmware: Arc<Firmware>,
        confirm_within_s: u32,
    ) -> Decision {
        Decision::Offer(Offer {
            update: track.id,
            attempt,
            firmware,
            confirm_within_s,
            forced: track.way == Way::Forced,
            whole: track.update.wants_whole_image(),
        })
    }

    fn forced(&mut self, core: &mut Core) -> Option<Decision> {
        let track = core.forced.get_mut(&self.device.id)?;
        let firmware = self.app.ota.library.get(track.firmware)?;
        // The device was given away since: what its owner before sent is not for the new one.
        if firmware.owner != self.device.owner {
            return None;
        }
        match self.ready(track, &firmware, u32::MAX) {
            Ready::Attempt(attempt) => {
                track.pending = Some(self.now);
                Some(Self::offer(track, attempt, firmware, FORCED_CONFIRM_S))
            }
            Ready::Wait => Some(self.nothing()),
            Ready::Over => None,
        }
    }

    /// What a rollout has for this board; `None` when an older one may have something.
    fn rollout(&mut self, core: &mut Core, id: RolloutId) -> Option<Decision> {
        let taken = core.taken.get(&self.device.id).copied();
        let rollout = core.rollouts.get_mut(&id)?;
        if rollout.row.owner != self.device.owner {
            return None;
        }
        rollout.nudged.remove(&self.device.id);
        if rollout.row.state == RolloutState::RollingBack {
            return self.on_its_way(rollout, true);
        }
        if let Some(track) = rollout.tracks.get(&self.device.id)
            && track.update.attempt() > 0
        {
            // A later update has come through meanwhile; this one must not take its board back.
            if taken.is_some_and(|at| at > track.created_at) {
                return None;
            }
            return self.on_its_way(rollout, false);
        }
        // Who was given something since this rollout began must not be taken back to it.
        if rollout.row.state == RolloutState::Paused
            || taken.is_some_and(|at| rollout.row.started_at.is_none_or(|began| at >= began))
        {
            return None;
        }
        let decision = self.begin(rollout)?;
        if let Decision::Offer(offer) = &decision {
            core.updates
                .insert(offer.update, (self.device.id, Way::Forward(id)));
        }
        Some(decision)
    }

    /// Goes on with what was offered before.
    fn on_its_way(&mut self, rollout: &mut Rollout, back: bool) -> Option<Decision> {
        let plan = &rollout.row.plan;
        let (max_attempts, confirm_within_s, windows) = (
            plan.max_attempts,
            plan.confirm_within_s,
            plan.windows.clone(),
        );
        let tracks = if back { &rollout.back } else { &rollout.tracks };
        let track = tracks.get(&self.device.id)?;
        let Some(firmware) = self.app.ota.library.get(track.firmware) else {
            return Some(self.nothing());
        };
        let attempt = match self.ready(track, &firmware, max_attempts) {
            Ready::Attempt(attempt) => attempt,
            Ready::Wait => return Some(self.nothing()),
            // A cancelled one left the target of this rollout; an older one may mean it.
            Ready::Over
                if track.update.state() == espalier_model::ota::update::State::Cancelled =>
            {
                return None;
            }
            Ready::Over => return Some(self.nothing()),
        };
        let begins = attempt > track.update.attempt();
        if begins {
            if rollout.row.state == RolloutState::Paused {
                return Some(self.nothing());
            }
            if !back && !self.in_window(rollout, &windows) {
                return Some(self.nothing());
            }
        }
        if !rollout.has_room(self.device.id) {
            rollout.crowded = true;
            self.wait_until(self.now + CROWD_MS);
            return Some(self.nothing());
        }
        let now = self.now;
        let tracks = if back {
            &mut rollout.back
        } else {
            &mut rollout.tracks
        };
        let track = tracks.get_mut(&self.device.id)?;
        if begins {
            track.pending = Some(now);
        }
        let decision = Self::offer(track, attempt, firmware, confirm_within_s);
        rollout.fetching.insert(self.device.id);
        Some(decision)
    }

    fn in_window(
        &mut self,
        rollout: &Rollout,
        windows: &[espalier_model::ota::window::Window],
    ) -> bool {
        if windows.is_empty() {
            return true;
        }
        let zone = self.zone.clone().unwrap_or_else(|| rollout.zone.clone());
        match super::zones::next_opening(windows, &zone, self.now) {
            None => true,
            Some(at) => {
                self.wait_until(at);
                false
            }
        }
    }

    /// Begins with a board that was offered nothing by this rollout yet, when it is its turn.
    fn begin(&mut self, rollout: &mut Rollout) -> Option<Decision> {
        let finished = rollout.row.state == RolloutState::Finished;
        let wave = match rollout.members.get(&self.device.id) {
            Some(member) => member.wave,
            None if finished => self.late(rollout)?,
            None => return None,
        };
        let opened = match rollout.row.opened.get(usize::from(wave)) {
            Some(at) => *at,
            None => return None,
        };
        let images = matching::images(self.app, &rollout.row);
        let firmware = matching::choose(self.app, self.device, Some(self.running), &images)
            .ok()?
            .clone();
        let turn = opened
            + rollout
                .ranker
                .delay_ms(self.device.id, rollout.row.plan.random_delay_s);
        if turn > self.now {
            self.wait_until(turn);
            return None;
        }
        let windows = rollout.row.plan.windows.clone();
        if !self.in_window(rollout, &windows) {
            return None;
        }
        if !rollout.has_room(self.device.id) {
            rollout.crowded = true;
            self.wait_until(self.now + CROWD_MS);
            return None;
        }
        let confirm_within_s = rollout.row.plan.confirm_within_s;
        let (app, device, running, now) = (self.app, self.device, self.running, self.now);
        let way = Way::Forward(rollout.row.id);
        if rollout
            .tracks
            .get(&device.id)
            .is_some_and(|track| track.firmware != firmware.id)
        {
            // It never was handed out, and the board has said more of itself since.
            rollout.tracks.remove(&device.id);
        }
        let track = rollout.tracks.entry(device.id).or_insert_with(|| Track {
            id: random::update_id(&app.clock),
            way,
            firmware: firmware.id,
            sha256: firmware.sha256,
            version: firmware.version.clone(),
            from: running.sha256,
            from_version: running.version.clone(),
            wave: Some(wave),
            update: Update::new(),
            pending: None,
            signs: None,
            verdict: None,
            created_by: None,
            created_at: now,
            updated_at: now,
        });
        track.pending = Some(now);
        let decision = Self::offer(track, 1, firmware, confirm_within_s);
        rollout.fetching.insert(device.id);
        if finished {
            rollout.place(
                device.id,
                Some(Member {
                    wave,
                    standing: Standing::Waiting,
                }),
            );
        }
        Some(decision)
    }

    /// The wave of a board that comes when the rollout has finished.
    fn late(&self, rollout: &Rollout) -> Option<u8> {
        let row = &rollout.row;
        let means = matching::means(&row.target, self.device, Some(self.running));
        let rank = rollout.ranker.rank(self.device.id);
        means
            .then(|| matching::wave(&row.plan.waves, &row.cut_offs, self.device, rank))
            .flatten()
    }
}
