//! The blobs that are in use, in memory: the ones that were asked for longest ago make room.

use super::super::library::Digest;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Blobs in memory, at most a number of bytes.
pub struct Cache {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    blobs: HashMap<Digest, (Bytes, u64)>,
    bytes: usize,
    /// Counts the questions: who was asked for longest ago has the lowest number.
    asked: u64,
}

impl Cache {
    /// An empty one that grows up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let kept = Mutex::default();
        Self { limit, kept }
    }

    /// A blob, when it is in memory.
    pub fn get(&self, digest: &Digest) -> Option<Bytes> {
        let mut kept = self.kept.lock();
        kept.asked += 1;
        let asked = kept.asked;
        let (bytes, last) = kept.blobs.get_mut(digest)?;
        *last = asked;
        Some(bytes.clone())
    }

    /// Takes a blob in; one that would displace more than a quarter of the others stays out.
    pub fn put(&self, digest: Digest, bytes: Bytes) {
        if bytes.len() > self.limit / 4 {
            return;
        }
        let mut kept = self.kept.lock();
        kept.asked += 1;
        let asked = kept.asked;
        kept.bytes += bytes.len();
        if let Some((old, _)) = kept.blobs.insert(digest, (bytes, asked)) {
            kept.bytes -= old.len();
        }
        while kept.bytes > self.limit {
            let oldest = kept.blobs.iter().min_by_key(|(_, (_, last))| *last);
            let Some(oldest) = oldest.map(|(digest, _)| *digest) else {
                return;
            };
            kept.remove(&oldest);
        }
    }

    /// Forgets a blob.
    pub fn remove(&self, digest: &Digest) {
        self.kept.lock().remove(digest);
    }
}

impl Kept {
    fn remove(&mut self, digest: &Digest) {
        if let Some((old, _)) = self.blobs.remove(digest) {
            self.bytes -= old.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(n: u8) -> (Digest, Bytes) {
        ([n; 32], Bytes::from(vec![n; 10]))
    }

    #[test]
    fn the_one_asked_for_longest_ago_makes_room() {
        let cache = Cache::new(40);
        for n in 1..=4 {
            let (digest, bytes) = blob(n);
            cache.put(digest, bytes);
        }
        assert!(cache.get(&[1; 32]).is_some());
        cache.put([5; 32], blob(5).1);
        assert!(cache.get(&[2; 32]).is_none());
        assert!(cache.get(&[1; 32]).is_some() && cache.get(&[5; 32]).is_some());
    }

    #[test]
    fn what_is_too_large_stays_out_and_the_same_counts_once() {
        let cache = Cache::new(40);
        cache.put([9; 32], Bytes::from(vec![0; 11]));
        assert!(cache.get(&[9; 32]).is_none());
        for _ in 0..20 {
            cache.put([1; 32], blob(1).1);
        }
        cache.put([2; 32], blob(2).1);
        assert!(cache.get(&[1; 32]).is_some());
        cache.remove(&[1; 32]);
        assert!(cache.get(&[1; 32]).is_none());
    }
}
