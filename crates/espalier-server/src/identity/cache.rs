//! Credentials that were used lately, in memory: bounded, and honest about revocation.
//!
//! The race that matters: a request reads a good session from the database, the session is revoked, and
//! only then the request puts it into the cache. Every revocation counts up a generation, and what was
//! read in an older generation is not kept.

use super::Revoked;
use super::principal::{Caller, Credential};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};

/// Credentials kept, some 300 bytes each.
const MAX_ENTRIES: usize = 50_000;

/// A credential that was good when it was read.
pub struct Entry {
    caller: Caller,
    expires_at: i64,
    used_at: AtomicI64,
    written_at: AtomicI64,
}

impl Entry {
    /// A credential used at `now` that is good until `expires_at`.
    pub fn new(caller: Caller, expires_at: i64, now: i64) -> Self {
        Self {
            caller,
            expires_at,
            used_at: AtomicI64::new(now),
            written_at: AtomicI64::new(0),
        }
    }
}

/// The generation in which something was read.
#[derive(Clone, Copy)]
pub struct Fresh(u64);

#[derive(Default)]
struct Inner {
    entries: HashMap<[u8; 32], Entry>,
    generation: u64,
}

/// The cache.
#[derive(Default)]
pub struct Cache(RwLock<Inner>);

impl Cache {
    /// The caller with this digest, when remembered and still good.
    pub fn get(&self, digest: &[u8; 32], now: i64) -> Option<Caller> {
        let inner = self.0.read();
        let entry = inner.entries.get(digest)?;
        if entry.expires_at <= now {
            // A browser's session may have been prolonged in the database meanwhile.
            return None;
        }
        entry.used_at.store(now, Ordering::Relaxed);
        Some(entry.caller.clone())
    }

    /// Call before reading the database for something to be [`Cache::put`].
    pub fn fresh(&self) -> Fresh {
        Fresh(self.0.read().generation)
    }

    /// Keeps a credential, unless something was revoked since `fresh`.
    pub fn put(&self, digest: [u8; 32], entry: Entry, fresh: Fresh, now: i64) {
        let mut inner = self.0.write();
        if inner.generation != fresh.0 {
            return;
        }
        if inner.entries.len() >= MAX_ENTRIES {
            inner.entries.retain(|_, entry| entry.expires_at > now);
            if inner.entries.len() >= MAX_ENTRIES {
                // The next use of each costs one query; nothing is lost but time.
                inner.entries.clear();
            }
        }
        inner.entries.insert(digest, entry);
    }

    /// Forgets what was revoked.
    pub fn forget(&self, what: &Revoked) {
        self.forget_if(|caller| match what {
            Revoked::Account(account) => caller.account == *account,
            Revoked::Session(id) => matches!(&caller.credential, Credential::Session(s) if s == id),
            Revoked::ApiKey(id) => matches!(&caller.credential, Credential::ApiKey(k) if k == id),
        });
    }

    /// Forgets the secrets of a session that has new ones.
    pub fn forget_session(&self, id: &str) {
        self.forget_if(|caller| matches!(&caller.credential, Credential::Session(s) if s == id));
    }

    fn forget_if(&self, gone: impl Fn(&Caller) -> bool) {
        let mut inner = self.0.write();
        inner.generation += 1;
        inner.entries.retain(|_, entry| !gone(&entry.caller));
    }

    /// The credentials used since they were last written down, with the moment.
    pub fn take_used(&self, now: i64) -> Vec<(Credential, i64)> {
        let mut inner = self.0.write();
        inner.entries.retain(|_, entry| entry.expires_at > now);
        let used = inner.entries.values().filter_map(|entry| {
            let used = entry.used_at.load(Ordering::Relaxed);
            let written = entry.written_at.swap(used, Ordering::Relaxed);
            (used > written).then(|| (entry.caller.credential.clone(), used))
        });
        used.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::principal::{CallerInfo, Scopes};
    use super::*;
    use espalier_model::{AccountId, Role};
    use std::sync::Arc;

    fn caller(account: AccountId, session: &str) -> Caller {
        Caller(Arc::new(CallerInfo {
            account,
            username: "ada".to_owned(),
            role: Role::Member,
            credential: Credential::Session(session.to_owned()),
            scopes: Scopes::ALL,
        }))
    }

    #[test]
    fn what_was_read_before_a_revocation_is_not_kept_after_it() {
        let cache = Cache::default();
        let account = AccountId::mint(0, [1; 10]);
        let fresh = cache.fresh();
        cache.forget(&Revoked::Account(account));
        cache.put([0; 32], Entry::new(caller(account, "s"), 100, 0), fresh, 0);
        assert!(cache.get(&[0; 32], 1).is_none());
        let fresh = cache.fresh();
        cache.put([0; 32], Entry::new(caller(account, "s"), 100, 0), fresh, 0);
        assert!(cache.get(&[0; 32], 1).is_some());
        assert!(cache.get(&[0; 32], 100).is_none());
    }

    #[test]
    fn a_use_is_reported_once() {
        let cache = Cache::default();
        let account = AccountId::mint(0, [1; 10]);
        cache.put(
            [0; 32],
            Entry::new(caller(account, "s"), 100, 5),
            cache.fresh(),
            5,
        );
        assert_eq!(cache.take_used(6).len(), 1);
        assert_eq!(cache.take_used(6).len(), 0);
        cache.get(&[0; 32], 7);
        assert_eq!(
            cache.take_used(8),
            [(Credential::Session("s".to_owned()), 7)]
        );
    }
}
