//! What the writer thread, the sealer thread and the readers share: the bounded queue, the series and the counters.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::sealer::Sealed;
use super::series::Registry;
use crate::error::{Error, Result};
use crate::options::{Options, room};
use crate::types::{Appended, Point};

/// Shared by all parts of one open engine.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) options: Options,
    pub(super) registry: Registry,
    pub(super) queue: Queue,
    pub(super) counters: Counters,
}

/// Work for the writer thread, done in the order it came.
#[derive(Debug)]
pub(super) enum Job {
    Append {
        points: Vec<Point>,
        reply: oneshot::Sender<Result<Appended>>,
    },
    Delete {
        what: Deletion,
        reply: oneshot::Sender<Result<u64>>,
    },
    SealAll {
        reply: oneshot::Sender<Result<()>>,
    },
    Close {
        reply: oneshot::Sender<Result<()>>,
    },
}

/// What to remove. Times are `from` (inclusive) to `to` (exclusive).
#[derive(Debug)]
pub(super) enum Deletion {
    Device(Uuid),
    Ranges(Vec<(std::sync::Arc<super::series::Series>, i64, i64)>),
}

/// Counters since the engine was opened, and sizes as of the last commit.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: AtomicU64,
    pub(super) new: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) head_points: AtomicU64,
    pub(super) journal_bytes: AtomicU64,
}

/// The queue of the writer, bounded by points.
#[derive(Debug)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    ready: Condvar,
    points: AtomicUsize,
    max_points: usize,
}

#[derive(Debug, Default)]
struct Inner {
    jobs: VecDeque<Job>,
    sealed: Option<Sealed>,
    /// Set when the writer is gone or about to be: nothing more is taken.
    closed: bool,
}

/// What the writer does next.
#[derive(Debug)]
pub(super) enum Next {
    /// Appends to commit together.
    Group(Vec<(Vec<Point>, oneshot::Sender<Result<Appended>>)>),
    /// Something else.
    Job(Job),
    /// The sealer is done.
    Sealed(Sealed),
}

impl Queue {
    pub(super) fn new(max_points: usize) -> Self {
        Self {
            inner: Mutex::default(),
            ready: Condvar::new(),
            points: AtomicUsize::new(0),
            max_points,
        }
    }

    /// Points waiting or being committed.
    pub(super) fn depth(&self) -> usize {
        self.points.load(Ordering::Relaxed)
    }

    /// Queues an append; refused when the queue is full. A batch too large for the queue takes half of it, so that others
    /// still may wait beside it.
    pub(super) fn push_append(
        &self,
        points: Vec<Point>,
        reply: oneshot::Sender<Result<Appended>>,
    ) -> Result<()> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(Error::Closed);
        }
        let waiting = self.points.load(Ordering::Relaxed);
        let room = room(points.len(), self.max_points);
        if waiting > 0 && waiting + room > self.max_points {
            return Err(Error::Busy);
        }
        self.points.fetch_add(room, Ordering::Relaxed);
        inner.jobs.push_back(Job::Append { points, reply });
        drop(inner);
        self.ready.notify_one();
        Ok(())
    }

    /// Queues anything else; never refused for being full. [`Job::Close`] is the last job taken.
    pub(super) fn push(&self, job: Job) -> Result<()> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(Error::Closed);
        }
        inner.closed = matches!(job, Job::Close { .. });
        inner.jobs.push_back(job);
        drop(inner);
        self.ready.notify_one();
        Ok(())
    }

    /// Hands the sealer's result to the writer.
    pub(super) fn push_sealed(&self, sealed: Sealed) {
        self.inner.lock().sealed = Some(sealed);
        self.ready.notify_one();
    }

    /// Waits for work: the sealer's result first, then jobs in order, neighbouring appends together up to `max_points`.
    pub(super) fn next(&self, max_points: usize) -> Next {
        let mut inner = self.inner.lock();
        loop {
            if let Some(sealed) = inner.sealed.take() {
                return Next::Sealed(sealed);
            }
            match inner.jobs.pop_front() {
                Some(Job::Append { points, reply }) => {
                    let mut total = points.len();
                    let mut group = vec![(points, reply)];
                    while let Some(Job::Append { points, .. }) = inner.jobs.front()
                        && total + points.len() <= max_points
                        && let Some(Job::Append { points, reply }) = inner.jobs.pop_front()
                    {
                        total += points.len();
                        group.push((points, reply));
                    }
                    return Next::Group(group);
                }
                Some(job) => return Next::Job(job),
                None => self.ready.wait(&mut inner),
            }
        }
    }

    /// Waits for the sealer's result only.
    pub(super) fn wait_sealed(&self) -> Sealed {
        let mut inner = self.inner.lock();
        loop {
            if let Some(sealed) = inner.sealed.take() {
                return sealed;
            }
            self.ready.wait(&mut inner);
        }
    }

    /// Notes that batches of these sizes left the queue for good.
    pub(super) fn done(&self, batches: impl Iterator<Item = usize>) {
        let room: usize = batches.map(|points| room(points, self.max_points)).sum();
        self.points.fetch_sub(room, Ordering::Relaxed);
    }

    /// Stops taking work and drops what waits; their callers see [`Error::Closed`].
    pub(super) fn abandon(&self) {
        let jobs = {
            let mut inner = self.inner.lock();
            inner.closed = true;
            std::mem::take(&mut inner.jobs)
        };
        drop(jobs);
        self.points.store(0, Ordering::Relaxed);
    }
}
