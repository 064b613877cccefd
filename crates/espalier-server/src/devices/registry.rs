//! Every device in memory, found by id, alias, token digest or the account that may see it.
//!
//! Invariant: the database is written first, then the memory, both under the device's lock
//! ([`State::lock`]); so two changes of one device never cross, and memory never shows what is not stored.

use super::claim::Attempts;
use super::events::Journal;
use super::facts::Facts;
use super::password::Turns;
use super::presence::{Presence, Tracker};
use super::store;
use espalier_db::Db;
use espalier_model::{AccountId, DeviceId, Oid, ShareRole};
use parking_lot::RwLock;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex, MutexGuard};

/// A board as the server knows it. A change makes a new one; whoever holds the old one keeps a snapshot.
#[derive(Clone)]
pub struct Device {
    /// The id inside the server.
    pub id: DeviceId,
    /// The id on the wire.
    pub oid: Oid,
    /// Whose it is.
    pub owner: AccountId,
    /// What people call it.
    pub name: String,
    /// What kind of board it is, in its owner's or firmware's word, e.g. `plug`.
    pub kind: Option<Box<str>>,
    /// Where it stands, in its owner's words.
    pub location: Option<Box<str>>,
    /// Free words to find it by.
    pub tags: Box<[Box<str>]>,
    /// The groups it is in.
    pub groups: Box<[Box<str>]>,
    /// The other names under which it answers.
    pub aliases: Box<[Box<str>]>,
    /// How often it is expected to report, seconds; `None` means the installation's default.
    pub expected_interval_s: Option<u32>,
    /// What it says of itself, when it ever did.
    pub facts: Option<Box<Facts>>,
    /// Waits to be claimed by whoever knows its product password; until then it belongs to who prepared it.
    pub unclaimed: bool,
    /// The digest of its token.
    pub token_digest: [u8; 32],
    /// With whom it is shared.
    pub shares: Vec<(AccountId, ShareRole)>,
    /// When it was created, milliseconds UTC.
    pub created_at: i64,
    /// Whether it is there; shared by all snapshots of the device.
    pub(super) presence: Arc<Presence>,
}

impl Device {
    /// Tells whether the device is online.
    pub fn is_online(&self) -> bool {
        self.presence.is_online()
    }

    /// When the device was last heard of, milliseconds UTC.
    pub fn last_active(&self) -> Option<i64> {
        self.presence.last_active()
    }

    /// Tells whether the device has been deleted since this snapshot was taken; then nothing may be kept of it.
    pub fn is_deleted(&self) -> bool {
        self.presence.is_gone()
    }

    /// The role in which it is shared with an account.
    pub fn shared_with(&self, account: AccountId) -> Option<ShareRole> {
        let found = self.shares.iter().find(|(to, _)| *to == account);
        found.map(|(_, role)| *role)
    }

    /// Every account that may see it: the owner and those it is shared with.
    pub fn audience(&self) -> impl Iterator<Item = AccountId> + '_ {
        std::iter::once(self.owner).chain(self.shares.iter().map(|(account, _)| *account))
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device")
            .field("oid", &self.oid)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How many locks the devices share. Two devices on one lock only wait for each other; 256 keep that rare.
const LOCKS: usize = 256;

/// The devices in memory.
pub struct State {
    index: RwLock<Index>,
    locks: Box<[Mutex<()>]>,
    pub(super) tracker: Tracker,
    pub(super) journal: Journal,
    pub(super) attempts: Attempts,
    pub(super) password_turns: Turns,
    /// How often a device was added, changed or removed.
    revision: AtomicU64,
    /// Those that were, since somebody took them.
    changes: parking_lot::Mutex<HashSet<DeviceId>>,
    pub(super) cms: super::cms::State,
    /// Deleted devices whose telemetry is removed once more when their last reports must have arrived.
    pub(super) open_deletions: parking_lot::Mutex<Vec<(DeviceId, i64)>>,
}

#[derive(Default)]
struct Index {
    by_id: HashMap<DeviceId, Arc<Device>>,
    by_oid: HashMap<Oid, DeviceId>,
    by_token: HashMap<[u8; 32], DeviceId>,
    by_alias: HashMap<Box<str>, DeviceId>,
    /// What an account may see: its own and what is shared with it. UUIDv7 sorts by time of creation.
    by_account: HashMap<AccountId, BTreeSet<DeviceId>>,
}

impl Index {
    fn remove(&mut self, id: DeviceId) -> Option<Arc<Device>> {
        let old = self.by_id.remove(&id)?;
        self.by_oid.remove(&old.oid);
        self.by_token.remove(&old.token_digest);
        for alias in &old.aliases {
            self.by_alias.remove(alias);
        }
        for account in old.audience() {
            if let Some(set) = self.by_account.get_mut(&account) {
                set.remove(&id);
                if set.is_empty() {
                    self.by_account.remove(&account);
                }
            }
        }
        Some(old)
    }

    fn insert(&mut self, device: Arc<Device>) {
        self.by_oid.insert(device.oid, device.id);
        self.by_token.insert(device.token_digest, device.id);
        for alias in &device.aliases {
            self.by_alias.insert(alias.clone(), device.id);
        }
        for account in device.audience() {
            self.by_account
                .entry(account)
                .or_default()
                .insert(device.id);
        }
        self.by_id.insert(device.id, device);
    }
}

impl State {
    /// Loads every device.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(db: &Db) -> Result<Self, espalier_db::Error> {
        let (devices, last_event) = db
            .read(|c| Ok::<_, espalier_db::Error>((store::all(c)?, store::last_event(c)?)))
            .await?;
        let mut index = Index::default();
        for device in devices {
            index.insert(Arc::new(device));
        }
        Ok(Self {
            index: RwLock::new(index),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            tracker: Tracker::default(),
            journal: Journal::new(last_event),
            attempts: Attempts::default(),
            password_turns: Turns::default(),
            revision: AtomicU64::new(0),
            changes: parking_lot::Mutex::default(),
            cms: super::cms::State::load(db).await?,
            open_deletions: parking_lot::Mutex::default(),
        })
    }

    fn lock_of(id: DeviceId) -> usize {
        // The last byte of a UUIDv7 is random.
        usize::from(id.0.as_bytes()[15]) % LOCKS
    }

    /// Waits until nobody else changes this device.
    pub(super) async fn lock(&self, id: DeviceId) -> MutexGuard<'_, ()> {
        self.locks[Self::lock_of(id)].lock().await
    }

    /// Adds or replaces a device.
    pub fn put(&self, device: Arc<Device>) {
        let id = device.id;
        let mut index = self.index.write();
        index.remove(id);
        index.insert(device);
        drop(index);
        self.note_change(id);
    }

    fn note_change(&self, id: DeviceId) {
        // The change first: whoever sees the new revision finds it.
        self.changes.lock().insert(id);
        self.revision.fetch_add(1, Ordering::SeqCst);
    }

    /// A number that grows whenever a device is added, changed or removed; presence does not count.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::SeqCst)
    }

    /// Takes the devices that were added, changed or removed since it was asked last.
    pub fn take_changes(&self) -> HashSet<DeviceId> {
        std::mem::take(&mut *self.changes.lock())
    }

    /// Forgets a device.
    pub(super) fn remove(&self, id: DeviceId) -> Option<Arc<Device>> {
        let removed = self.index.write().remove(id);
        self.note_change(id);
        removed
    }

    /// The device whose token has this digest.
    pub fn by_token(&self, digest: &[u8; 32]) -> Option<Arc<Device>> {
        let index = self.index.read();
        let id = index.by_token.get(digest)?;
        index.by_id.get(id).cloned()
    }

    /// The device with this id.
    pub fn get(&self, id: DeviceId) -> Option<Arc<Device>> {
        self.index.read().by_id.get(&id).cloned()
    }

    /// The device that a path segment names: a 24-digit id, a UUID or an alias.
    pub fn resolve(&self, text: &str) -> Option<Arc<Device>> {
        let index = self.index.read();
        let id = if let Ok(oid) = text.parse::<Oid>() {
            *index.by_oid.get(&oid)?
        } else if let Ok(id) = text.parse::<DeviceId>() {
            id
        } else {
            *index.by_alias.get(text)?
        };
        index.by_id.get(&id).cloned()
    }

    /// What an account owns or has shared with it, in order of creation.
    pub fn visible_to(&self, account: AccountId) -> Vec<Arc<Device>> {
        let index = self.index.read();
        let Some(ids) = index.by_account.get(&account) else {
            return Vec::new();
        };
        ids.iter()
            .filter_map(|id| index.by_id.get(id))
            .cloned()
            .collect()
    }

    /// How many devices there are.
    pub fn count(&self) -> usize {
        self.index.read().by_id.len()
    }

    /// How many notifications devices have caused since the start: coming, going, low batteries, heat.
    pub fn notifications(&self) -> u64 {
        self.tracker.caused.load(Ordering::Relaxed)
    }

    /// Every device, in no order.
    pub fn all(&self) -> Vec<Arc<Device>> {
        self.index.read().by_id.values().cloned().collect()
    }
}
