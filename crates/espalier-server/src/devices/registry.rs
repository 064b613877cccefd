//! Every device in memory, found by id, alias or token digest.

use super::store;
use espalier_db::Db;
use espalier_model::{AccountId, DeviceId, Oid, ShareRole};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

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
    /// The digest of its token.
    pub token_digest: [u8; 32],
    /// With whom it is shared.
    pub shares: Vec<(AccountId, ShareRole)>,
    /// When it was created, milliseconds UTC.
    pub created_at: i64,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device")
            .field("oid", &self.oid)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The devices in memory.
pub struct State {
    index: RwLock<Index>,
}

#[derive(Default)]
struct Index {
    by_id: HashMap<DeviceId, Arc<Device>>,
    by_oid: HashMap<Oid, DeviceId>,
    by_token: HashMap<[u8; 32], DeviceId>,
    by_alias: HashMap<String, DeviceId>,
}

impl State {
    /// Loads every device.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(db: &Db) -> Result<Self, espalier_db::Error> {
        let state = Self {
            index: RwLock::default(),
        };
        for device in db.read(|c| store::all(c)).await? {
            state.put(Arc::new(device));
        }
        Ok(state)
    }

    /// Adds or replaces a device.
    pub fn put(&self, device: Arc<Device>) {
        let mut index = self.index.write();
        if let Some(old) = index.by_id.insert(device.id, device.clone()) {
            index.by_token.remove(&old.token_digest);
        }
        index.by_oid.insert(device.oid, device.id);
        index.by_token.insert(device.token_digest, device.id);
    }

    /// The device whose token has this digest.
    pub fn by_token(&self, digest: &[u8; 32]) -> Option<Arc<Device>> {
        let index = self.index.read();
        index
            .by_token
            .get(digest)
            .and_then(|id| index.by_id.get(id))
            .cloned()
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

    /// Every device, in no order.
    pub fn all(&self) -> Vec<Arc<Device>> {
        self.index.read().by_id.values().cloned().collect()
    }
}
