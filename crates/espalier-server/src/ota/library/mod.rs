//! The library: every firmware image and release in memory, found by id, digest or the key that old clients use.
//!
//! Invariant: an image's identity is its SHA-256; its bytes are in the blob store under it. The database is written first, then
//! the memory. It does not decide who installs what.

mod store;

use espalier_db::Db;
use espalier_model::{AccountId, FirmwareId, ReleaseId};
use parking_lot::RwLock;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// A SHA-256.
pub type Digest = [u8; 32];

/// One image in somebody's library.
#[derive(Debug, Clone)]
pub struct Firmware {
    /// Its id.
    pub id: FirmwareId,
    /// Whose it is.
    pub owner: AccountId,
    /// SHA-256 of the file: its identity, and its name in the blob store.
    pub sha256: Digest,
    /// MD5 of the file, which the Arduino updater compares.
    pub md5: [u8; 16],
    /// Bytes.
    pub size: u64,
    /// The chip it is for, e.g. `esp32c3`.
    pub chip: String,
    /// The project's name from the app descriptor.
    pub project: String,
    /// The version from the app descriptor.
    pub version: String,
    /// The secure version from the app descriptor (anti-rollback).
    pub secure_version: u32,
    /// SHA-256 of the ELF file, from the app descriptor.
    pub elf_sha256: Digest,
    /// The SHA-256 at the image's end, which the Arduino updater sends as `x-ESP32-sketch-sha256`.
    pub appended_sha256: Option<Digest>,
    /// Everything else that the image says of itself, for people.
    pub facts: Map<String, Value>,
    /// The type under which old clients ask for it, e.g. `ESP32_OTA_Base`.
    pub device_type: Option<String>,
    /// `{type}_{YYYYMMDD.HHMMSS}`: its name for old clients.
    pub legacy_key: String,
    /// The name of the file that was uploaded.
    pub filename: String,
    /// What people say of it.
    pub description: String,
    /// The signed manifest as text; it was verified against the owner's keys when it was kept.
    pub manifest: Option<String>,
    /// Who uploaded it: an account's id.
    pub created_by: String,
    /// When, milliseconds UTC.
    pub created_at: i64,
}

/// Images published together.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its id.
    pub id: ReleaseId,
    /// Whose it is.
    pub owner: AccountId,
    /// The version that people see.
    pub version: String,
    /// The channel, e.g. `stable` or `beta`.
    pub channel: String,
    /// What is new.
    pub notes: String,
    /// The images: at most one fits a device.
    pub firmware: Vec<FirmwareId>,
    /// Who made it: an account's id.
    pub created_by: String,
    /// When, milliseconds UTC.
    pub created_at: i64,
    /// When it was withdrawn: no rollout may begin with it.
    pub withdrawn_at: Option<i64>,
}

/// The library in memory.
#[derive(Default)]
pub struct State {
    index: RwLock<Index>,
}

#[derive(Default)]
struct Index {
    firmware: HashMap<FirmwareId, Arc<Firmware>>,
    by_key: HashMap<String, FirmwareId>,
    by_digest: HashMap<(AccountId, Digest), FirmwareId>,
    releases: HashMap<ReleaseId, Arc<Release>>,
}

impl Index {
    fn put(&mut self, firmware: Arc<Firmware>) {
        self.by_key.insert(firmware.legacy_key.clone(), firmware.id);
        self.by_digest
            .insert((firmware.owner, firmware.sha256), firmware.id);
        self.firmware.insert(firmware.id, firmware);
    }
}

impl State {
    /// Loads every image and release.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(db: &Db) -> Result<Self, espalier_db::Error> {
        let (firmware, releases) = db
            .read(|c| Ok::<_, espalier_db::Error>((store::firmware(c)?, store::releases(c)?)))
            .await?;
        let mut index = Index::default();
        for one in firmware {
            index.put(Arc::new(one));
        }
        index.releases = releases
            .into_iter()
            .map(|release| (release.id, Arc::new(release)))
            .collect();
        Ok(Self {
            index: RwLock::new(index),
        })
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
        self.find(|one| one.owner == owner && one.appended_sha256.as_ref() == Some(digest))
    }

    /// An account's image with this MD5.
    pub fn by_md5(&self, owner: AccountId, md5: &[u8; 16]) -> Option<Arc<Firmware>> {
        self.find(|one| one.owner == owner && one.md5 == *md5)
    }

    fn find(&self, is: impl Fn(&Firmware) -> bool) -> Option<Arc<Firmware>> {
        let index = self.index.read();
        index.firmware.values().find(|one| is(one)).cloned()
    }

    /// The release with this id.
    pub fn release(&self, id: ReleaseId) -> Option<Arc<Release>> {
        self.index.read().releases.get(&id).cloned()
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
}
