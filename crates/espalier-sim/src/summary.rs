//! What a fleet does, as counters that anyone may watch while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use espalier_device::Stats;
use tokio::sync::Notify;

/// Buckets of the latency histogram: eight for each doubling from 1 µs to over an hour.
const BUCKETS: usize = 8 * 32;

/// The state of a fleet at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    /// Boards in the fleet.
    pub boards: u64,
    /// Boards that are connected now.
    pub connected: u64,
    /// Times that a server welcomed a board.
    pub welcomes: u64,
    /// Welcomes after the first one of a board.
    pub reconnects: u64,
    /// Connections lost or not established.
    pub failures: u64,
    /// Samples taken.
    pub samples: u64,
    /// Samples that the server has acknowledged.
    pub samples_acked: u64,
    /// Values in frames that were sent, repeated ones included.
    pub points_sent: u64,
    /// Values that the server has acknowledged.
    pub points_acked: u64,
    /// Samples that wait for an acknowledgement now.
    pub queued: u64,
    /// Samples pushed out of full queues.
    pub dropped: u64,
    /// Samples that the server refused for good.
    pub refused: u64,
    /// Desired values that took effect.
    pub desired_applied: u64,
    /// Reported values that the server has acknowledged.
    pub reports_acked: u64,
    /// Commands run.
    pub commands: u64,
    /// Errors that the server has sent.
    pub errors: u64,
    /// Messages of the server that the boards did not understand.
    pub not_understood: u64,
    /// Restarts of boards.
    pub restarts: u64,
    /// Jumps of the boards' clocks.
    pub clock_jumps: u64,
    /// Updates whose image proved itself, as far as the server has heard.
    pub updates_confirmed: u64,
    /// Updates whose image was taken back, as far as the server has heard.
    pub updates_rolled_back: u64,
    /// Updates that ended before their image ran, as far as the server has heard.
    pub updates_failed: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Boards that do not start any more.
    pub bricked: u64,
    /// Half of the acknowledgements came within this time.
    pub ack_p50: Option<Duration>,
    /// 99 of 100 acknowledgements came within this time.
    pub ack_p99: Option<Duration>,
}

/// The counters behind a [`Summary`]; every board adds to them.
#[derive(Debug)]
pub(crate) struct Counters {
    boards: u64,
    pub(crate) connected: AtomicI64,
    queued: AtomicI64,
    reconnects: AtomicU64,
    points_sent: AtomicU64,
    restarts: AtomicU64,
    power_cuts: AtomicU64,
    bricked: AtomicU64,
    firmware: Mutex<FirmwareView>,
    stats: StatCounters,
    latency: Vec<AtomicU64>,
    pub(crate) changed: Notify,
}

#[derive(Debug, Default)]
struct StatCounters {
    welcomes: AtomicU64,
    failures: AtomicU64,
    samples: AtomicU64,
    samples_acked: AtomicU64,
    points_acked: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
    desired_applied: AtomicU64,
    reports_acked: AtomicU64,
    commands: AtomicU64,
    errors: AtomicU64,
    not_understood: AtomicU64,
    clock_jumps: AtomicU64,
    updates_confirmed: AtomicU64,
    updates_rolled_back: AtomicU64,
    updates_failed: AtomicU64,
}

/// What one board has added so far.
#[derive(Debug, Default)]
pub(crate) struct Share {
    stats: Stats,
    queued: i64,
    connected: i64,
    welcomed: bool,
    runs: Option<Runs>,
}

/// What one board runs, and what it does about it: the place in [`FirmwareView::states`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Runs {
    pub version: String,
    pub slot: u8,
    pub safe: bool,
    pub state: usize,
}

/// What runs on the boards of a fleet at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FirmwareView {
    /// Version → how many boards run it.
    pub versions: BTreeMap<String, u64>,
    /// How many boards run from each slot.
    pub slots: [u64; 2],
    /// How many boards are in safe mode.
    pub safe: u64,
    /// How many boards rest, load, have written, are on trial, and go back.
    pub states: [u64; 5],
}

impl FirmwareView {
    fn change(&mut self, runs: &Runs, add: bool) {
        let change = |count: &mut u64| {
            *count = if add {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
        };
        change(self.versions.entry(runs.version.clone()).or_default());
        self.versions.retain(|_, count| *count > 0);
        self.slots.get_mut(usize::from(runs.slot)).map(change);
        self.states.get_mut(runs.state).map(change);
        if runs.safe {
            change(&mut self.safe);
        }
    }
}

impl Counters {
    pub(crate) fn new(boards: usize) -> Self {
        Counters {
            boards: boards as u64,
            connected: AtomicI64::new(0),
            queued: AtomicI64::new(0),
            reconnects: AtomicU64::new(0),
            points_sent: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            power_cuts: AtomicU64::new(0),
            bricked: AtomicU64::new(0),
            firmware: Mutex::default(),
            stats: StatCounters::default(),
            latency: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            changed: Notify::new(),
        }
    }

    /// Adds what a board has done since it was here last.
    pub(crate) fn take_over(&self, share: &mut Share, stats: &Stats, queued: u32, connected: bool) {
        let add = |counter: &AtomicU64, new: u64, old: u64| {
            if new > old {
                counter.fetch_add(new - old, Ordering::Relaxed);
            }
        };
        let (all, old) = (&self.stats, &share.stats);
        add(&all.welcomes, stats.welcomes, old.welcomes);
        add(&all.failures, stats.failures, old.failures);
        add(&all.samples, stats.samples_taken, old.samples_taken);
        add(&all.samples_acked, stats.samples_acked, old.samples_acked);
        add(&all.points_acked, stats.points_acked, old.points_acked);
        add(&all.dropped, stats.samples_dropped, old.samples_dropped);
        add(&all.refused, stats.samples_refused, old.samples_refused);
        add(
            &all.desired_applied,
            stats.desired_applied,
            old.desired_applied,
        );
        add(&all.reports_acked, stats.reports_acked, old.reports_acked);
        add(&all.commands, stats.commands_run, old.commands_run);
        add(&all.errors, stats.errors, old.errors);
        add(
            &all.not_understood,
            stats.not_understood,
            old.not_understood,
        );
        add(&all.clock_jumps, stats.clock_jumps, old.clock_jumps);
        let (confirmed, back) = (stats.updates_confirmed, stats.updates_rolled_back);
        add(&all.updates_confirmed, confirmed, old.updates_confirmed);
        add(&all.updates_rolled_back, back, old.updates_rolled_back);
        add(
            &all.updates_failed,
            stats.updates_failed,
            old.updates_failed,
        );
        let fresh = stats.welcomes.saturating_sub(old.welcomes);
        let first = u64::from(fresh > 0 && !share.welcomed);
        self.reconnects.fetch_add(fresh - first, Ordering::Relaxed);
        share.welcomed |= fresh > 0;
        let (queued, connected) = (i64::from(queued), i64::from(connected));
        self.queued
            .fetch_add(queued - share.queued, Ordering::Relaxed);
        self.connected
            .fetch_add(connected - share.connected, Ordering::Relaxed);
        (share.queued, share.connected) = (queued, connected);
        if *stats != share.stats {
            share.stats = *stats;
            self.changed.notify_waiters();
        }
    }

    /// A board starts from zero again.
    pub(crate) fn restarted(&self, share: &mut Share) {
        share.stats = Stats::default();
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// A board runs this now.
    pub(crate) fn runs(&self, share: &mut Share, runs: Runs) {
        if share.runs.as_ref() == Some(&runs) {
            return;
        }
        let mut view = self.firmware.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &share.runs {
            view.change(before, false);
        }
        view.change(&runs, true);
        drop(view);
        share.runs = Some(runs);
        self.changed.notify_waiters();
    }

    /// A board does not start any more.
    pub(crate) fn bricked(&self, share: &mut Share) {
        self.bricked.fetch_add(1, Ordering::Relaxed);
        let mut view = self.firmware.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = share.runs.take() {
            view.change(&before, false);
        }
        drop(view);
        self.changed.notify_waiters();
    }

    /// A board has no flash to start from.
    pub(crate) fn without_flash(&self) {
        self.bricked.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    pub(crate) fn power_cut(&self) {
        self.power_cuts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn firmware(&self) -> FirmwareView {
        let view = self.firmware.lock();
        view.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn sent(&self, points: u64) {
        self.points_sent.fetch_add(points, Ordering::Relaxed);
    }

    pub(crate) fn acked_after(&self, latency: Duration) {
        self.latency[bucket(latency)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn summary(&self) -> Summary {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let gauge =
            |counter: &AtomicI64| u64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(0);
        let latency: Vec<u64> = self.latency.iter().map(read).collect();
        let all = &self.stats;
        Summary {
            boards: self.boards,
            connected: gauge(&self.connected),
            welcomes: read(&all.welcomes),
            reconnects: read(&self.reconnects),
            failures: read(&all.failures),
            samples: read(&all.samples),
            samples_acked: read(&all.samples_acked),
            points_sent: read(&self.points_sent),
            points_acked: read(&all.points_acked),
            queued: gauge(&self.queued),
            dropped: read(&all.dropped),
            refused: read(&all.refused),
            desired_applied: read(&all.desired_applied),
            reports_acked: read(&all.reports_acked),
            commands: read(&all.commands),
            errors: read(&all.errors),
            not_understood: read(&all.not_understood),
            restarts: read(&self.restarts),
            clock_jumps: read(&all.clock_jumps),
            updates_confirmed: read(&all.updates_confirmed),
            updates_rolled_back: read(&all.updates_rolled_back),
            updates_failed: read(&all.updates_failed),
            power_cuts: read(&self.power_cuts),
            bricked: read(&self.bricked),
            ack_p50: quantile(&latency, 0.5),
            ack_p99: quantile(&latency, 0.99),
        }
    }
}

fn bucket(latency: Duration) -> usize {
    let us = latency.as_micros().max(1) as f64;
    ((us.log2() * 8.0) as usize).min(BUCKETS - 1)
}

/// Returns the upper edge of the bucket that holds the quantile.
fn quantile(buckets: &[u64], q: f64) -> Option<Duration> {
    let total: u64 = buckets.iter().sum();
    let wanted = (total as f64 * q).ceil() as u64;
    let mut seen = 0;
    let at = buckets.iter().position(|count| {
        seen += count;
        seen >= wanted.max(1)
    })?;
    Some(Duration::from_secs_f64(
        2_f64.powf((at as f64 + 1.0) / 8.0) / 1e6,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_tenth() {
        let counters = Counters::new(1);
        assert_eq!(counters.summary().ack_p50, None);
        (1..=1000).for_each(|ms| counters.acked_after(Duration::from_millis(ms)));
        let summary = counters.summary();
        let near = |got: Option<Duration>, ms: f64| {
            (got.unwrap().as_secs_f64() * 1e3 / ms - 1.0).abs() < 0.1
        };
        assert!(near(summary.ack_p50, 500.0), "{:?}", summary.ack_p50);
        assert!(near(summary.ack_p99, 990.0), "{:?}", summary.ack_p99);
    }
}
