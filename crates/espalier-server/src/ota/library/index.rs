//! The library in memory: what is looked up for every board that asks.

use super::keys::{Key, KeySet};
use super::signature::{self, Refusal, Signed};
use super::{Digest, Firmware, Release, downloads, store};
use espalier_db::Db;
use espalier_model::{AccountId, FirmwareId, ReleaseId};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// Uploads that are read into memory at the same time.
const UPLOADS: usize = 8;
/// Of these, uploads of one account: who sends slowly does not keep everybody else from it.
pub(super) const UPLOADS_OF_ONE: usize = UPLOADS / 2;

/// The library in memory.
pub struct State {
    index: RwLock<Index>,
    revision: AtomicU64,
    /// Held by every change, so that memory takes them in the order of the database.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Bounds the memory that uploads take.
    pub(super) uploads: Arc<Semaphore>,
    /// How many of them each account has.
    pub(super) uploading: Mutex<HashMap<AccountId, usize>>,
    pub(super) downloads: downloads::Downloads,
}

#[derive(Default)]
struct Index {
    firmware: HashMap<FirmwareId, Arc<Firmware>>,
    by_key: HashMap<String, FirmwareId>,
    by_digest: HashMap<(AccountId, Digest), FirmwareId>,
    by_appended: HashMap<(AccountId, Digest), FirmwareId>,
    by_md5: HashMap<(AccountId, [u8; 16]), FirmwareId>,
    releases: HashMap<ReleaseId, Arc<Release>>,
    keys: HashMap<AccountId, Vec<Arc<Key>>>,
    key_sets: HashMap<AccountId, Arc<KeySet>>,
    /// The keys that signed each image, retired ones too; their signatures were verified.
    signers: HashMap<FirmwareId, Vec<Arc<Key>>>,
}

impl Index {
    fn put(&mut self, firmware: Arc<Firmware>) {
        self.by_key.insert(firmware.legacy_key.clone(), firmware.id);
        self.by_digest
            .insert((firmware.owner, firmware.sha256), firmware.id);
        if let Some(digest) = firmware.appended_sha256 {
            self.by_appended
                .insert((firmware.owner, digest), firmware.id);
        }
        self.by_md5
            .insert((firmware.owner, firmware.md5), firmware.id);
        let keys = self.keys.get(&firmware.owner);
        let signers = signature::signers(&firmware, keys.map_or(&[], Vec::as_slice));
        self.signers.insert(firmware.id, signers);
        self.firmware.insert(firmware.id, firmware);
    }

    fn remove(&mut self, id: FirmwareId) -> Option<Arc<Firmware>> {
        let firmware = self.firmware.remove(&id)?;
        self.by_key.remove(&firmware.legacy_key);
        self.by_digest.remove(&(firmware.owner, firmware.sha256));
        // Two files may differ only in what follows the digest: the other one keeps its place.
        self.by_appended.retain(|_, other| *other != id);
        self.by_md5.retain(|_, other| *other != id);
        self.signers.remove(&id);
        for release in self.releases.values_mut() {
            if release.firmware.contains(&id) {
                Arc::make_mut(release).firmware.retain(|one| *one != id);
            }
        }
        Some(firmware)
    }
}

impl State {
    /// Loads every image, release and key.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(db: &Db) -> Result<Self, espalier_db::Error> {
        let all = db.read(store::everything).await?;
        let mut index = Index::default();
        for key in all.keys {
            index.keys.entry(key.owner).or_default().push(Arc::new(key));
        }
        let sets = all.key_sets.into_iter();
        index.key_sets = sets.map(|set| (set.owner, Arc::new(set))).collect();
        for one in all.firmware {
            index.put(Arc::new(one));
        }
        let releases = all.releases.into_iter();
        index.releases = releases
            .map(|release| (release.id, Arc::new(release)))
            .collect();
        Ok(Self {
            index: RwLock::new(index),
            revision: AtomicU64::new(0),
            changing: tokio::sync::Mutex::default(),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            uploading: Mutex::default(),
            downloads: downloads::Downloads::new(all.downloads),
        })
    }

    /// Changes whenever anything in the library does.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The image with this id.
    pub fn get(&self, id: FirmwareId) -> Option<Arc<Firmware>> {
        self.index.read().firmware.get(&id).cloned()
    }

    /// The image that old clients call so.
    pub fn by_key(&self, key: &str) -> Option<Arc<Firmware>> {
        let index = self.index.read();
        index.firmware.get(index.by_key.get(key)?).cloned()
    }

    /// An account's image with this digest.
    pub fn by_digest(&self, owner: AccountId, sha256: &Digest) -> Option<Arc<Firmware>> {
        let index = self.index.read();
        let id = index.by_digest.get(&(owner, *sha256))?;
        index.firmware.get(id).cloned()
    }

    /// An account's image with this SHA-256 at its end.
    pub fn by_appended(&self, owner: AccountId, digest: &Digest) -> Option<Arc<Firmware>> {
        let index = self.index.read();
        let id = index.by_appended.get(&(owner, *digest))?;
        index.firmware.get(id).cloned()
    }

    /// An account's image with this MD5.
    pub fn by_md5(&self, owner: AccountId, md5: &[u8; 16]) -> Option<Arc<Firmware>> {
        let index = self.index.read();
        let id = index.by_md5.get(&(owner, *md5))?;
        index.firmware.get(id).cloned()
    }

    /// The newest of an account's images that old clients know under this type.
    pub fn newest_of_type(&self, owner: AccountId, device_type: &str) -> Option<Arc<Firmware>> {
        let index = self.index.read();
        let of_type = index
            .firmware
            .values()
            .filter(|one| one.owner == owner && one.device_type.as_deref() == Some(device_type));
        of_type.max_by_key(|one| (one.created_at, one.id)).cloned()
    }

    /// Every image that `wanted` picks, newest first.
    pub fn list(&self, wanted: impl Fn(&Firmware) -> bool) -> Vec<Arc<Firmware>> {
        let index = self.index.read();
        let found = index.firmware.values().filter(|one| wanted(one));
        let mut found: Vec<_> = found.cloned().collect();
        drop(index);
        found.sort_by_key(|one| std::cmp::Reverse((one.created_at, one.id)));
        found
    }

    /// The release with this id.
    pub fn release(&self, id: ReleaseId) -> Option<Arc<Release>> {
        self.index.read().releases.get(&id).cloned()
    }

    /// Every release that `wanted` picks, newest first.
    pub fn releases(&self, wanted: impl Fn(&Release) -> bool) -> Vec<Arc<Release>> {
        let index = self.index.read();
        let found = index.releases.values().filter(|one| wanted(one));
        let mut found: Vec<_> = found.cloned().collect();
        drop(index);
        found.sort_by_key(|one| std::cmp::Reverse((one.created_at, one.id)));
        found
    }

    /// The images of a release, as far as they are still there.
    pub fn images(&self, release: &Release) -> Vec<Arc<Firmware>> {
        let index = self.index.read();
        let found = release.firmware.iter();
        found
            .filter_map(|id| index.firmware.get(id))
            .cloned()
            .collect()
    }

    /// Who vouches for an image.
    pub fn signed(&self, firmware: &Firmware) -> Signed {
        let index = self.index.read();
        let signers = index
            .signers
            .get(&firmware.id)
            .map_or(&[][..], Vec::as_slice);
        let trusted = signers.iter().find(|key| key.retired_at.is_none());
        match (trusted, signers.first()) {
            (Some(key), _) => Signed::Trusted(key.clone()),
            (None, Some(key)) => Signed::Retired(key.clone()),
            (None, None) => Signed::Unsigned,
        }
    }

    /// Whether boards may be offered an image: a trusted key signed it, or the installation takes unsigned ones. A
    /// signature by a retired key counts as little as none.
    ///
    /// # Errors
    /// Says why not.
    pub fn installable(&self, firmware: &Firmware, allow_unsigned: bool) -> Result<(), Refusal> {
        match self.signed(firmware) {
            Signed::Trusted(_) => Ok(()),
            Signed::Retired(_) => Err(Refusal::Retired),
            Signed::Unsigned if allow_unsigned => Ok(()),
            Signed::Unsigned => Err(Refusal::Unsigned),
        }
    }

    /// An account's keys, oldest first, retired ones too.
    pub fn keys(&self, owner: AccountId) -> Vec<Arc<Key>> {
        self.index
            .read()
            .keys
            .get(&owner)
            .cloned()
            .unwrap_or_default()
    }

    /// The key set that an account's boards are to keep.
    pub fn key_set(&self, owner: AccountId) -> Option<Arc<KeySet>> {
        self.index.read().key_sets.get(&owner).cloned()
    }

    /// How often boards have downloaded an image.
    pub fn downloads(&self, id: FirmwareId) -> u64 {
        self.downloads.of(id)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        let changed = change(&mut self.index.write());
        self.revision.fetch_add(1, Ordering::AcqRel);
        changed
    }

    pub(super) fn put(&self, firmware: Arc<Firmware>) {
        self.change(|index| index.put(firmware));
    }

    pub(super) fn remove(&self, id: FirmwareId) {
        self.change(|index| index.remove(id));
        self.downloads.forget(id);
    }

    pub(super) fn put_release(&self, release: Arc<Release>) {
        self.change(|index| index.releases.insert(release.id, release));
    }

    pub(super) fn remove_release(&self, id: ReleaseId) {
        self.change(|index| index.releases.remove(&id));
    }

    /// Takes in an account's keys as they are now, and finds anew who signed its images.
    pub(super) fn put_keys(&self, owner: AccountId, keys: Vec<Key>) {
        let keys: Vec<_> = keys.into_iter().map(Arc::new).collect();
        self.change(|index| {
            for one in index.firmware.values().filter(|one| one.owner == owner) {
                index.signers.insert(one.id, signature::signers(one, &keys));
            }
            index.keys.insert(owner, keys);
        });
    }

    pub(super) fn put_key_set(&self, set: Arc<KeySet>) {
        self.change(|index| index.key_sets.insert(set.owner, set));
    }

    /// Forgets everything of an account and returns which blobs it had.
    pub(super) fn forget(&self, owner: AccountId) -> Vec<Digest> {
        self.change(|index| {
            index.releases.retain(|_, release| release.owner != owner);
            index.keys.remove(&owner);
            index.key_sets.remove(&owner);
            let firmware = index.firmware.values();
            let gone = firmware.filter(|one| one.owner == owner).map(|one| one.id);
            let gone: Vec<_> = gone.collect();
            let gone = gone.into_iter().filter_map(|id| index.remove(id));
            gone.map(|one| one.sha256).collect()
        })
    }
}
