//! The state of devices in memory: one look-up tells that a device has none.

use super::store;
use espalier_db::Db;
use espalier_model::{DeviceId, Twin};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The keys of one device, by name.
pub type Keys = BTreeMap<String, Twin>;

/// The state of one device.
#[derive(Default)]
pub struct DeviceTwin {
    /// Held from reading a change's start to writing its result to memory, so that memory follows the order
    /// of the commits.
    pub gate: tokio::sync::Mutex<()>,
    /// The keys as last committed.
    pub keys: RwLock<Keys>,
    /// The key with which the next answer to a device begins that polls part by part; empty for the first one.
    pub next: Mutex<String>,
}

/// The state of every device that has any.
pub struct Twins(RwLock<HashMap<DeviceId, Arc<DeviceTwin>>>);

impl Twins {
    /// Loads every key of every device.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(db: &Db) -> Result<Self, espalier_db::Error> {
        let mut map: HashMap<DeviceId, Keys> = HashMap::new();
        for (device, key, twin) in db.read(store::all).await? {
            map.entry(device).or_default().insert(key, twin);
        }
        let shared = |keys| {
            Arc::new(DeviceTwin {
                gate: tokio::sync::Mutex::default(),
                keys: RwLock::new(keys),
                next: Mutex::default(),
            })
        };
        let map = map.into_iter().map(|(device, keys)| (device, shared(keys)));
        Ok(Self(RwLock::new(map.collect())))
    }

    /// The state of a device, if it has any.
    pub fn get(&self, device: DeviceId) -> Option<Arc<DeviceTwin>> {
        self.0.read().get(&device).cloned()
    }

    /// The state of a device; empty at first.
    pub fn get_or_new(&self, device: DeviceId) -> Arc<DeviceTwin> {
        if let Some(twin) = self.get(device) {
            return twin;
        }
        self.0.write().entry(device).or_default().clone()
    }

    /// Drops a device's state.
    pub fn forget(&self, device: DeviceId) {
        self.0.write().remove(&device);
    }

    /// Keeps only the devices for which `keep` says so.
    pub fn retain(&self, keep: impl Fn(DeviceId) -> bool) {
        self.0.write().retain(|device, _| keep(*device));
    }

    /// A copy of one key's state.
    pub fn key(&self, device: DeviceId, key: &str) -> Option<Twin> {
        self.get(device)?.keys.read().get(key).cloned()
    }

    /// A copy of all keys of a device.
    pub fn keys(&self, device: DeviceId) -> Keys {
        self.get(device)
            .map_or_else(Keys::new, |twin| twin.keys.read().clone())
    }
}

/// The next moment at which something may be over. It begins in the past: the first tick looks.
#[derive(Default)]
pub struct Due(AtomicI64);

impl Due {
    /// Something will be over at that moment (milliseconds UTC).
    pub fn at(&self, moment: i64) {
        self.0.fetch_min(moment, Ordering::SeqCst);
    }

    /// Tells whether the moment has come, and forgets it when so.
    pub fn take(&self, now: i64) -> bool {
        let due = self.0.load(Ordering::SeqCst);
        due <= now
            && self
                .0
                .compare_exchange(due, i64::MAX, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
    }
}
