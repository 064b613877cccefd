//! Rollouts and updates in memory, and how they are counted.
//!
//! Everything that a decision needs is here under one lock ([`super::State`]), which is held for microseconds and never while
//! waiting. A rollout that is over keeps only what it may still need.

use crate::identity::Caller;
use crate::ota::fleet::Running;
use crate::ota::library::{Digest, Firmware};
use espalier_model::ota::health::Signs;
use espalier_model::ota::rollout::{Counts, Plan, Ranker, State};
use espalier_model::ota::target::Target;
use espalier_model::ota::update::{self, Next, Runs, Seen, Update};
use espalier_model::{AccountId, DeviceId, FirmwareId, ReleaseId, RolloutId, UpdateId};
use jiff::tz::TimeZone;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// The verdict on a board that was well in its health window.
pub const HEALTHY: &str = "healthy";

/// How long an offer that was decided waits for being handed out, milliseconds.
const PENDING_MS: i64 = 2 * 60 * 1000;

/// Why an update exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// A rollout brings it.
    Forward(RolloutId),
    /// A rollout takes back what it brought.
    Back(RolloutId),
    /// A person wants it for this one device.
    Forced,
}

/// A rollout as stored.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: RolloutId,
    pub owner: AccountId,
    pub name: String,
    pub release: ReleaseId,
    pub version: String,
    pub channel: String,
    pub target: Target,
    pub plan: Plan,
    pub state: State,
    /// Why it halted: a stable word and a sentence.
    pub reason: Option<(String, String)>,
    /// When each wave opened that is open.
    pub opened: Vec<i64>,
    pub reached_at: Option<i64>,
    pub cut_offs: Vec<Option<u64>>,
    pub counts: Vec<Counts>,
    pub created_by: AccountId,
    pub created_by_name: String,
    pub started_by: Option<AccountId>,
    pub approved_by: Option<AccountId>,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
}

/// One device's way to one image.
#[derive(Debug, Clone)]
pub struct Track {
    pub id: UpdateId,
    pub way: Way,
    pub firmware: FirmwareId,
    pub sha256: Digest,
    pub version: String,
    /// What the board ran before.
    pub from: Option<Digest>,
    pub from_version: Option<String>,
    pub wave: Option<u8>,
    pub update: Update,
    /// When an offer of the next attempt was decided that was not handed out yet; only in memory.
    pub pending: Option<i64>,
    pub signs: Option<Signs>,
    /// [`HEALTHY`], or why the board is not well; of a way back why it is barred.
    pub verdict: Option<String>,
    pub created_by: Option<String>,
    pub created_at: i64,
    pub updated_at: i64,
}

/// Where a device stands in a rollout, as counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Waiting,
    UnderWay,
    Watched,
    Succeeded,
    /// It failed and is tried again.
    Retried,
    /// It failed for good, or is not well.
    Failed,
    Cancelled,
    /// It needs nothing, or nothing fits it: not counted.
    Apart,
}

/// A device in a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub wave: u8,
    pub standing: Standing,
}

/// A rollout in memory.
pub struct Rollout {
    pub row: Row,
    pub ranker: Ranker,
    pub zone: TimeZone,
    /// The devices that are meant; empty once it is over.
    pub members: HashMap<DeviceId, Member>,
    /// Their updates.
    pub tracks: HashMap<DeviceId, Track>,
    /// Their ways back.
    pub back: HashMap<DeviceId, Track>,
    /// Devices that fetch, or are about to.
    pub fetching: HashSet<DeviceId>,
    /// Somebody was told to wait for one of them.
    pub crowded: bool,
    /// Devices to be nudged, by moment.
    pub nudges: BinaryHeap<Reverse<(i64, DeviceId)>>,
    /// Devices that were nudged and have not asked since.
    pub nudged: HashMap<DeviceId, i64>,
    /// Devices whose health is to be judged, by moment.
    pub watch: BinaryHeap<Reverse<(i64, DeviceId)>>,
    /// Its counts have changed since readers were told.
    pub moved: bool,
    /// When they were told last.
    pub told_at: i64,
}

/// Everything under the lock.
#[derive(Default)]
pub struct Core {
    pub rollouts: HashMap<RolloutId, Rollout>,
    /// Those that may offer something, the newest first.
    pub serving: Vec<RolloutId>,
    pub forced: HashMap<DeviceId, Track>,
    pub updates: HashMap<UpdateId, (DeviceId, Way)>,
    /// When a device was given what it has confirmed since.
    pub taken: HashMap<DeviceId, i64>,
    pub zones: HashMap<DeviceId, TimeZone>,
    /// Owners, for the access rules; only while these are not the ones that ship.
    pub callers: HashMap<AccountId, Caller>,
    /// Updates that are not stored as they are.
    pub dirty: HashSet<(DeviceId, Way)>,
    /// Updates that readers were not told of.
    pub untold: HashSet<(DeviceId, Way)>,
}

fn count(counts: &mut Counts, standing: Standing, by: i32) {
    let fields: [Option<&mut u32>; 3] = match standing {
        Standing::Waiting => [Some(&mut counts.members), Some(&mut counts.waiting), None],
        Standing::UnderWay => [Some(&mut counts.members), Some(&mut counts.under_way), None],
        Standing::Watched => [Some(&mut counts.members), Some(&mut counts.watched), None],
        Standing::Succeeded => [Some(&mut counts.members), Some(&mut counts.succeeded), None],
        Standing::Retried => [
            Some(&mut counts.members),
            Some(&mut counts.failed),
            Some(&mut counts.retried),
        ],
        Standing::Failed => [Some(&mut counts.members), Some(&mut counts.failed), None],
        Standing::Cancelled => [Some(&mut counts.members), Some(&mut counts.cancelled), None],
        Standing::Apart => [None, None, None],
    };
    for field in fields.into_iter().flatten() {
        *field = field.saturating_add_signed(by);
    }
}

impl Rollout {
    /// A rollout as it was stored, without its devices.
    pub fn new(row: Row) -> Self {
        Self {
            ranker: Ranker::new(row.id),
            zone: TimeZone::get(&row.plan.time_zone).unwrap_or(TimeZone::UTC),
            row,
            members: HashMap::new(),
            tracks: HashMap::new(),
            back: HashMap::new(),
            fetching: HashSet::new(),
            crowded: false,
            nudges: BinaryHeap::new(),
            nudged: HashMap::new(),
            watch: BinaryHeap::new(),
            moved: false,
            told_at: 0,
        }
    }

    /// Tells whether it may offer something to somebody.
    pub fn serves(&self) -> bool {
        match self.row.state {
            State::Running | State::Paused | State::RollingBack => true,
            State::Finished => self.row.plan.new_devices,
            _ => false,
        }
    }

    /// Tells whether its devices are held one by one.
    pub fn is_live(&self) -> bool {
        matches!(
            self.row.state,
            State::Running | State::Paused | State::Halted | State::RollingBack
        )
    }

    /// Puts a device where it stands now, or takes it out, and counts that.
    pub fn place(&mut self, device: DeviceId, member: Option<Member>) {
        let old = match member {
            Some(member) => self.members.insert(device, member),
            None => self.members.remove(&device),
        };
        if old == member {
            return;
        }
        for (entry, by) in [(old, -1), (member, 1)] {
            if let Some(entry) = entry
                && let Some(counts) = self.row.counts.get_mut(usize::from(entry.wave))
            {
                count(counts, entry.standing, by);
            }
        }
        self.moved = true;
    }

    /// Counts all devices anew; what was forgiven stays.
    pub fn recount(&mut self) {
        let mut counts = vec![Counts::default(); self.row.plan.waves.len()];
        for (new, old) in counts.iter_mut().zip(&self.row.counts) {
            new.forgiven = old.forgiven;
        }
        for member in self.members.values() {
            if let Some(wave) = counts.get_mut(usize::from(member.wave)) {
                count(wave, member.standing, 1);
            }
        }
        self.row.counts = counts;
        self.moved = true;
    }

    /// Brings what is derived from a device's update up to date.
    pub fn settle(&mut self, device: DeviceId) {
        let Some(track) = self.tracks.get(&device) else {
            return;
        };
        let wave = track.wave.unwrap_or(u8::MAX);
        let standing = track.standing(self.row.plan.max_attempts);
        let fetches = track.fetches();
        self.place(device, Some(Member { wave, standing }));
        self.note_fetching(device, fetches);
        self.moved = true;
    }

    /// Notes whether a device fetches.
    pub fn note_fetching(&mut self, device: DeviceId, fetches: bool) {
        if fetches {
            self.fetching.insert(device);
        } else {
            self.fetching.remove(&device);
        }
    }

    /// Tells whether one more device may fetch.
    pub fn has_room(&self, device: DeviceId) -> bool {
        let limit = usize::try_from(self.row.plan.downloads).unwrap_or(usize::MAX);
        limit == 0 || self.fetching.contains(&device) || self.fetching.len() < limit
    }
}

impl Track {
    /// Where it stands, as counted.
    pub fn standing(&self, max_attempts: u32) -> Standing {
        let again = || self.update.next(0, max_attempts) != Next::Exhausted;
        match self.update.state() {
            update::State::Waiting => Standing::Waiting,
            update::State::Offered
            | update::State::Downloading
            | update::State::Written
            | update::State::Trial => Standing::UnderWay,
            update::State::Confirmed => match self.verdict.as_deref() {
                None => Standing::Watched,
                Some(HEALTHY) => Standing::Succeeded,
                Some(_) => Standing::Failed,
            },
            update::State::RolledBack if again() => Standing::Retried,
            // It never ran: nothing speaks against the image while it is tried again.
            update::State::Failed if again() => Standing::UnderWay,
            update::State::RolledBack | update::State::Failed => Standing::Failed,
            update::State::Cancelled => Standing::Cancelled,
        }
    }

    /// Tells whether its board fetches, or is about to.
    pub fn fetches(&self) -> bool {
        self.pending.is_some() || self.update.state().is_fetching()
    }

    /// Tells whether nothing more happens to it.
    pub fn is_over(&self, max_attempts: u32) -> bool {
        match self.update.state() {
            update::State::Confirmed | update::State::Cancelled => true,
            update::State::RolledBack | update::State::Failed => {
                self.update.next(0, max_attempts) == Next::Exhausted
            }
            _ => false,
        }
    }

    /// Tells whether an offer was decided and never handed out.
    pub fn is_stale(&self, now: i64) -> bool {
        self.pending.is_some_and(|at| now > at + PENDING_MS)
    }

    /// What is seen to run on its board.
    pub fn sees(&self, running: &Running, firmware: Option<&Firmware>) -> Option<Seen> {
        let target = match firmware {
            Some(firmware) => runs(running, firmware),
            None => running.sha256 == Some(self.sha256),
        };
        let what = if target && running.trial {
            Runs::TargetOnTrial
        } else if target {
            Runs::Target
        } else if running.sha256.is_some() && running.sha256 == self.from {
            Runs::Old
        } else if says_what(running) {
            if self.from.is_none() {
                Runs::Old
            } else {
                Runs::Other
            }
        } else {
            return None;
        };
        Some(Seen {
            what,
            boots: running.boots,
            at: running.at,
        })
    }
}

/// Tells whether a board said anything by which an image can be told.
fn says_what(running: &Running) -> bool {
    running.sha256.is_some() || running.appended_sha256.is_some() || running.md5.is_some()
}

/// Tells whether a board runs an image, for good or on trial. What it says best decides alone.
pub fn runs(running: &Running, firmware: &Firmware) -> bool {
    if let Some(sha256) = running.sha256 {
        return sha256 == firmware.sha256;
    }
    if let (Some(own), Some(image)) = (running.appended_sha256, firmware.appended_sha256) {
        return own == image;
    }
    running.md5.is_some_and(|md5| md5 == firmware.md5)
}

impl Core {
    /// The update of a device on this way.
    pub fn track(&self, device: DeviceId, way: Way) -> Option<&Track> {
        match way {
            Way::Forced => self.forced.get(&device),
            Way::Forward(id) => self.rollouts.get(&id)?.tracks.get(&device),
            Way::Back(id) => self.rollouts.get(&id)?.back.get(&device),
        }
    }

    /// The same, to change it; call [`Core::changed`] afterwards.
    pub fn track_mut(&mut self, device: DeviceId, way: Way) -> Option<&mut Track> {
        match way {
            Way::Forced => self.forced.get_mut(&device),
            Way::Forward(id) => self.rollouts.get_mut(&id)?.tracks.get_mut(&device),
            Way::Back(id) => self.rollouts.get_mut(&id)?.back.get_mut(&device),
        }
    }

    /// Every way on which a device has an update.
    pub fn ways(&self, device: DeviceId) -> Vec<Way> {
        let mut ways = Vec::new();
        if self.forced.contains_key(&device) {
            ways.push(Way::Forced);
        }
        for (id, rollout) in &self.rollouts {
            if rollout.back.contains_key(&device) {
                ways.push(Way::Back(*id));
            }
            if rollout.tracks.contains_key(&device) {
                ways.push(Way::Forward(*id));
            }
        }
        ways
    }

    /// Notes that an update has changed: what follows from it is brought up to date, stored and told.
    pub fn changed(&mut self, device: DeviceId, way: Way, now: i64) {
        let Some(track) = self.track_mut(device, way) else {
            return;
        };
        track.updated_at = now;
        if track.update.confirmed_at().is_some() {
            let at = track.created_at;
            self.taken
                .entry(device)
                .and_modify(|old| *old = at.max(*old))
                .or_insert(at);
        }
        match way {
            Way::Forward(id) => {
                if let Some(rollout) = self.rollouts.get_mut(&id) {
                    rollout.settle(device);
                }
            }
            Way::Back(id) => {
                if let Some(rollout) = self.rollouts.get_mut(&id)
                    && let Some(track) = rollout.back.get(&device)
                {
                    let fetches = track.fetches();
                    rollout.note_fetching(device, fetches);
                    rollout.moved = true;
                }
            }
            Way::Forced => {}
        }
        self.dirty.insert((device, way));
        self.untold.insert((device, way));
    }

    /// Sorts out again which rollouts may offer something.
    pub fn resort(&mut self) {
        let mut serving: Vec<_> = self
            .rollouts
            .values()
            .filter(|r| r.serves())
            .map(|r| (r.row.started_at, r.row.id))
            .collect();
        serving.sort_unstable();
        self.serving = serving.into_iter().rev().map(|(_, id)| id).collect();
    }

    /// The attempts that a way allows.
    pub fn max_attempts(&self, way: Way) -> u32 {
        match way {
            Way::Forced => u32::MAX,
            Way::Forward(id) | Way::Back(id) => self
                .rollouts
                .get(&id)
                .map_or(u32::MAX, |r| r.row.plan.max_attempts),
        }
    }

    /// Lets go of what a rollout that is over does not need any more.
    pub fn retire(&mut self, id: RolloutId) {
        let Some(rollout) = self.rollouts.get_mut(&id) else {
            return;
        };
        let serves = rollout.serves();
        // Of those that have it, `taken` knows; of the others, that they had their attempts.
        let kept = |track: &Track| serves && track.update.confirmed_at().is_none();
        for track in rollout
            .tracks
            .values()
            .chain(rollout.back.values())
            .filter(|track| !kept(track))
        {
            self.updates.remove(&track.id);
        }
        rollout.tracks.retain(|_, track| kept(track));
        rollout.back.clear();
        let tracks = &rollout.tracks;
        rollout
            .members
            .retain(|device, _| tracks.contains_key(device));
        rollout
            .fetching
            .retain(|device| tracks.contains_key(device));
        rollout.nudges.clear();
        rollout.nudged.clear();
        rollout
            .watch
            .retain(|Reverse((_, device))| tracks.contains_key(device));
        rollout.crowded = false;
        self.dirty.retain(
            |(_, way)| !matches!(way, Way::Forward(of) | Way::Back(of) if *of == id && !serves),
        );
    }

    /// Lets go of forced updates that are over, stored and told.
    pub fn drop_forced(&mut self) {
        let (dirty, untold, updates) = (&self.dirty, &self.untold, &mut self.updates);
        self.forced.retain(|device, track| {
            let one = (*device, Way::Forced);
            let keep = !track.is_over(u32::MAX) || dirty.contains(&one) || untold.contains(&one);
            if !keep {
                updates.remove(&track.id);
            }
            keep
        });
    }

    /// Forgets a device.
    pub fn forget(&mut self, device: DeviceId) {
        for rollout in self.rollouts.values_mut() {
            if rollout.members.contains_key(&device) {
                rollout.place(device, None);
            }
            rollout.tracks.remove(&device);
            rollout.back.remove(&device);
            rollout.fetching.remove(&device);
            rollout.nudged.remove(&device);
        }
        self.forced.remove(&device);
        self.taken.remove(&device);
        self.zones.remove(&device);
        self.updates.retain(|_, (of, _)| *of != device);
        self.dirty.retain(|(of, _)| *of != device);
        self.untold.retain(|(of, _)| *of != device);
    }
}
