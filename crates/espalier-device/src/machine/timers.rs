//! When things happen: measuring, heartbeats, time-outs, storing, and when the core must be stepped again.

use super::link::Link;
use super::polling::Exchange;
use super::{Core, Sent};

/// Time between heartbeats until the server says otherwise, in milliseconds.
pub const HEARTBEAT_MS: u64 = 30_000;
/// Bounds of the heartbeat that a server may ask for, in milliseconds.
pub const HEARTBEAT_RANGE_MS: (u64, u64) = (1_000, 3_600_000);
/// How long opening a socket or a request may take, in milliseconds.
pub const OPEN_TIMEOUT_MS: u64 = 15_000;
/// How long the server may take to welcome the device, in milliseconds.
pub const WELCOME_TIMEOUT_MS: u64 = 10_000;
/// How long an acknowledgement may take, in milliseconds; then the connection counts as broken.
pub const ACK_TIMEOUT_MS: u64 = 30_000;
/// How much longer than two heartbeats a silent connection is trusted, in milliseconds.
pub const SILENCE_GRACE_MS: u64 = 10_000;
/// How long a device that sleeps listens after the welcome, and after the server last wanted something, in milliseconds.
pub const LINGER_MS: u64 = 1_500;
/// Longest time that a device that sleeps stays awake for one connection, in milliseconds.
pub const AWAKE_MS: u64 = 60_000;
/// Shortest time between two writes of the queue to storage, in milliseconds: flash wears out.
pub const PERSIST_MS: u64 = 30_000;
/// After so long without an acknowledgement the queue is stored less often, in milliseconds.
pub const LONG_OFFLINE_MS: u64 = 3_600_000;
/// Time between two stores from then on, in milliseconds.
pub const PERSIST_OFFLINE_MS: u64 = 300_000;

/// A connection that lives is asked for the time again after so long, in milliseconds: a crystal of 20 ppm is 0.07 s off by then.
pub const RELEARN_MS: u64 = 3_600_000;
/// An answer that took longer than this, in milliseconds, does not tell the time.
pub const PROMPT_MS: u64 = 1_000;

impl<const QUEUE: usize, const FRAME: usize> Core<QUEUE, FRAME> {
    /// Returns how long the binding may sleep without an input, in milliseconds.
    pub fn wake_in_ms(&self) -> u64 {
        self.due_at().saturating_sub(self.clock.uptime())
    }

    pub(super) fn schedule_measure(&mut self) {
        let every = u64::from(self.config.telemetry_interval_ms());
        self.measure_at = (self.measure_at + every).max(self.clock.uptime() + every / 2);
    }

    /// Acts on every time-out that has passed.
    pub(super) fn run_timers(&mut self) {
        let now = self.clock.uptime();
        self.updates.run_timers(now, &mut self.rng);
        match self.link {
            Link::Opening { since } if now >= since + OPEN_TIMEOUT_MS => self.give_up_opening(),
            Link::Greeting { since, .. } if now >= since + WELCOME_TIMEOUT_MS => {
                self.give_up_opening()
            }
            Link::Online { since } => {
                let late = self.sent.iter().any(|s| now >= s.at + ACK_TIMEOUT_MS);
                let silent = now >= self.heard_at + self.silence_ms();
                if late || silent {
                    self.fail_socket();
                } else if self.may_sleep(since) {
                    self.fall_asleep();
                }
            }
            Link::Polling {
                exchange, since, ..
            } if exchange != Exchange::None && now >= since + OPEN_TIMEOUT_MS => {
                self.request_failed();
            }
            _ => {}
        }
    }

    fn silence_ms(&self) -> u64 {
        2 * self.heartbeat_ms + SILENCE_GRACE_MS
    }

    /// A device that sleeps goes back to sleep when everything is said and a moment has passed.
    fn may_sleep(&self, since: u64) -> bool {
        let now = self.clock.uptime();
        if self.updates.is_busy(now) {
            return false;
        }
        let quiet = self.queue.is_empty()
            && !self.switches.is_busy()
            && !self.refusals.is_busy()
            && !self.commands.is_busy();
        let done =
            (quiet && now >= self.asked_at.max(since) + LINGER_MS) || now >= since + AWAKE_MS;
        self.config.wake_interval_ms().is_some() && done
    }

    /// How long after storing the queue may be stored again: flash wears out, so a board that has been alone for long stores less
    /// often.
    pub(super) fn persist_every(&self) -> u64 {
        if self.clock.uptime() >= self.kept_at + LONG_OFFLINE_MS {
            PERSIST_OFFLINE_MS
        } else {
            PERSIST_MS
        }
    }

    /// Something new must be stored, and the last time is long enough ago.
    pub(super) fn persist_due(&self) -> bool {
        self.store_at().is_some_and(|at| self.clock.uptime() >= at)
    }

    /// Returns when something should be stored. The queue is, once nothing of it could be delivered for a while; when all of it has
    /// been, the stored copy is replaced by an empty one.
    fn store_at(&self) -> Option<u64> {
        if self.persist_asked {
            return None;
        }
        let queue = if self.queue.is_empty() {
            self.stored_samples.then_some(self.persist_at)
        } else {
            let waits = !self.is_online() && self.queue.changes() != self.persisted.0;
            let since = self.kept_at.max(self.waits_since);
            waits.then(|| self.persist_at.max(since + self.patience()))
        };
        let switches = self.switches.changes() != self.persisted.1;
        let switches = switches.then_some(self.persist_at);
        queue.into_iter().chain(switches).min()
    }

    /// How long after the last acknowledgement the queue counts as undelivered: a device that polls delivers once a cycle.
    fn patience(&self) -> u64 {
        let polls = self.socket_probed || matches!(self.link, Link::Polling { .. });
        let cycle = if polls {
            u64::from(self.config.poll_interval_ms()) + OPEN_TIMEOUT_MS
        } else {
            0
        };
        PERSIST_MS.max(cycle)
    }

    /// Returns the uptime at which something is due.
    pub(super) fn due_at(&self) -> u64 {
        let mut due = self.measure_at;
        if let Some(at) = self.store_at() {
            due = due.min(at);
        }
        due = due.min(self.update_due());
        if let Some(by) = self.restart_by {
            due = due.min(by);
        }
        due.min(match self.link {
            Link::Waiting { until } | Link::Asleep { until } => until,
            Link::Opening { since } => since + OPEN_TIMEOUT_MS,
            Link::Greeting { since, .. } => since + WELCOME_TIMEOUT_MS,
            Link::Online { since } => self.online_due(since),
            Link::Polling {
                exchange,
                since,
                next_at,
                ..
            } => match exchange {
                // The answer that is on its way ends the wait.
                Exchange::None if self.updates.is_on_the_way() => u64::MAX,
                Exchange::None
                    if self.answer_to_post() && self.hold_until > self.clock.uptime() =>
                {
                    next_at.min(self.hold_until)
                }
                Exchange::None => next_at,
                _ => since + OPEN_TIMEOUT_MS,
            },
        })
    }

    fn online_due(&self, since: u64) -> u64 {
        let mut due = self
            .heartbeat_at
            .min(self.ping_at)
            .min(self.heard_at + self.silence_ms());
        if let Some(at) = self.updates.beat_at() {
            due = due.min(at);
        }
        if let Some(Sent { at, .. }) = self.sent.first() {
            due = due.min(at + ACK_TIMEOUT_MS);
        }
        if self.hold_until > self.clock.uptime() {
            due = due.min(self.hold_until);
        }
        if self.config.wake_interval_ms().is_some() {
            let linger = self.asked_at.max(since) + LINGER_MS;
            let sleep_at = if linger > self.clock.uptime() {
                linger
            } else {
                since + AWAKE_MS
            };
            due = due.min(sleep_at);
        }
        due
    }
}
