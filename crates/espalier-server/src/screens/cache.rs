//! A few things in memory that are costly to make; what was used least lately goes first.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;

/// Keeps at most so many things.
pub struct Cache<K, V> {
    most: usize,
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    /// Grows with every use.
    uses: u64,
    kept: HashMap<K, (u64, V)>,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    pub fn new(most: usize) -> Self {
        let kept = HashMap::new();
        Self {
            most,
            inner: Mutex::new(Inner { uses: 0, kept }),
        }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        let mut inner = self.inner.lock();
        inner.uses += 1;
        let now = inner.uses;
        let (used, found) = inner.kept.get_mut(key)?;
        *used = now;
        Some(found.clone())
    }

    pub fn put(&self, key: K, value: V) {
        let mut inner = self.inner.lock();
        inner.uses += 1;
        let now = inner.uses;
        inner.kept.insert(key, (now, value));
        if inner.kept.len() > self.most {
            let oldest = inner.kept.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                inner.kept.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_least_lately_goes_first() {
        let cache = Cache::new(2);
        cache.put("a", 1);
        cache.put("b", 2);
        assert_eq!(cache.get(&"a"), Some(1));
        cache.put("c", 3);
        assert_eq!(cache.get(&"b"), None);
        assert_eq!((cache.get(&"a"), cache.get(&"c")), (Some(1), Some(3)));
    }
}
