//! Messages of one device that were read and are not answered yet: many at once, bounded, answered by id.
//!
//! Telemetry runs side by side, so that a device need not wait for one acknowledgement before the next
//! frame. Reports of state and command results run one after the other in their order, because the last one
//! must win.

use axum::extract::ws::Utf8Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::VecDeque;

/// Messages of one socket that may be unanswered; the socket is not read while there are that many.
const MAX_IN_FLIGHT: usize = 64;

/// A message being handled; ends with the answer, if it has one.
pub(super) type Job = BoxFuture<'static, Option<Utf8Bytes>>;

/// The unanswered messages. An idle socket has none and pays for none.
#[derive(Default)]
pub(super) struct Work(Option<Box<Busy>>);

#[derive(Default)]
struct Busy {
    running: FuturesUnordered<BoxFuture<'static, (bool, Option<Utf8Bytes>)>>,
    /// One of `running` is of the ordered kind.
    ordered_runs: bool,
    ordered: VecDeque<Job>,
}

impl Busy {
    fn start_ordered(&mut self) {
        if self.ordered_runs {
            return;
        }
        if let Some(job) = self.ordered.pop_front() {
            self.ordered_runs = true;
            self.running
                .push(Box::pin(async move { (true, job.await) }));
        }
    }
}

impl Work {
    /// Adds a message that may run beside others.
    pub(super) fn side_by_side(&mut self, job: Job) {
        let busy = self.0.get_or_insert_default();
        busy.running
            .push(Box::pin(async move { (false, job.await) }));
    }

    /// Adds a message that runs after the ordered ones before it.
    pub(super) fn in_order(&mut self, job: Job) {
        let busy = self.0.get_or_insert_default();
        busy.ordered.push_back(job);
        busy.start_ordered();
    }

    /// Tells whether another message may be read.
    pub(super) fn has_room(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|busy| busy.running.len() + busy.ordered.len() < MAX_IN_FLIGHT)
    }

    /// Tells whether nothing is unanswered.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Waits for the next message to be done: its answer, or `None` when nothing is left.
    pub(super) async fn next(&mut self) -> Option<Option<Utf8Bytes>> {
        let busy = self.0.as_mut()?;
        let done = busy.running.next().await;
        if let Some((true, _)) = done {
            busy.ordered_runs = false;
            busy.start_ordered();
        }
        if busy.running.is_empty() {
            self.0 = None;
        }
        done.map(|(_, answer)| answer)
    }
}
