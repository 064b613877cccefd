//! What ingest has done since the start, for the metrics of the server.

use super::refusal::Reason;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of ingest; they start at zero with the server.
#[derive(Debug, Default)]
pub struct Counters {
    posts: AtomicU64,
    accepted: AtomicU64,
    stored: AtomicU64,
    duplicate: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
    refused_posts: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Posts, frames and imports that were acknowledged.
    pub posts: u64,
    /// Points that were acknowledged.
    pub accepted: u64,
    /// Of those, points that did not exist before.
    pub stored: u64,
    /// Of those, points that existed already: the same again, or a new value for the same time.
    pub duplicate: u64,
    /// Posts, frames and imports that were refused.
    pub refused_posts: u64,
    /// Points that were refused, by reason; a body that could not be read counts as one.
    pub refused: Vec<(&'static str, u64)>,
    /// Points that were acknowledged and lost. Always zero by construction: an acknowledgement follows the commit.
    pub dropped: u64,
}

impl Counters {
    pub(super) fn accept(&self, appended: espalier_tsdb::Appended) {
        self.posts.fetch_add(1, Relaxed);
        self.accepted.fetch_add(appended.accepted, Relaxed);
        self.stored.fetch_add(appended.new, Relaxed);
        self.duplicate.fetch_add(appended.replaced, Relaxed);
    }

    /// Counts a refusal of `points` points; at least one.
    pub(super) fn refuse(&self, reason: Reason, points: usize) {
        let points = u64::try_from(points.max(1)).unwrap_or(u64::MAX);
        self.refused_posts.fetch_add(1, Relaxed);
        self.refused[reason as usize].fetch_add(points, Relaxed);
    }

    pub(super) fn read(&self) -> Counts {
        Counts {
            posts: self.posts.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            stored: self.stored.load(Relaxed),
            duplicate: self.duplicate.load(Relaxed),
            refused_posts: self.refused_posts.load(Relaxed),
            refused: Reason::ALL
                .iter()
                .zip(&self.refused)
                .map(|(reason, count)| (reason.label(), count.load(Relaxed)))
                .collect(),
            dropped: 0,
        }
    }
}
