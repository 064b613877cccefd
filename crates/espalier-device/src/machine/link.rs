//! The socket: opening, greeting, listening, losing it, and waiting before the next attempt.

use espalier_wire::codes;
use espalier_wire::device::{Down, StateMap};
use espalier_wire::json::Text;

use super::polling::{Exchange, Stage};
use super::timers::{HEARTBEAT_RANGE_MS, PROMPT_MS, RELEARN_MS};
use super::{Acked, Action, Core};
use crate::backoff::STABLE_MS;
use crate::state::Desire;

/// Socket attempts in a row that must fail before HTTP polling takes over.
pub const FAILURES_BEFORE_POLLING: u32 = 3;
/// Longest time that the server may make the device wait, in milliseconds.
pub const MAX_HOLD_MS: u64 = 600_000;
/// How long telemetry waits after an error that names no time, in milliseconds.
pub const DEFAULT_HOLD_MS: u64 = 2_000;

/// Where the connection stands. Times are uptimes in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Not connected; the next attempt is at this time.
    Waiting { until: u64 },
    /// The binding is opening the socket.
    Opening { since: u64 },
    /// The socket is open; the welcome has not come yet.
    Greeting { since: u64, said_hello: bool },
    /// Welcomed.
    Online { since: u64 },
    /// On the HTTP fallback.
    Polling {
        exchange: Exchange,
        stage: Stage,
        since: u64,
        next_at: u64,
        socket_at: u64,
    },
    /// Disconnected on purpose, to save power.
    Asleep { until: u64 },
}

impl Link {
    pub(super) const fn is_socket(self) -> bool {
        matches!(
            self,
            Link::Opening { .. } | Link::Greeting { .. } | Link::Online { .. }
        )
    }
}

impl<const QUEUE: usize, const FRAME: usize> Core<QUEUE, FRAME> {
    /// Returns what the connection wants to do next.
    pub(super) fn next_on_link(&mut self) -> Option<Action> {
        let now = self.clock.uptime();
        match self.link {
            Link::Waiting { until } | Link::Asleep { until } if now >= until => {
                if self.socket_failures >= FAILURES_BEFORE_POLLING {
                    self.start_polling();
                    return self.next_poll();
                }
                self.link = Link::Opening { since: now };
                Some(Action::Open)
            }
            Link::Greeting {
                since,
                said_hello: false,
            } => {
                self.link = Link::Greeting {
                    since,
                    said_hello: true,
                };
                self.write_hello();
                Some(Action::Send(None))
            }
            Link::Online { .. } => self.next_frame(),
            Link::Polling { .. } => self.next_poll(),
            _ => None,
        }
    }

    pub(super) fn opened(&mut self) {
        if let Link::Opening { .. } = self.link {
            self.link = Link::Greeting {
                since: self.clock.uptime(),
                said_hello: false,
            };
        }
    }

    pub(super) fn open_failed(&mut self, status: Option<u16>) {
        if !self.link.is_socket() {
            return;
        }
        self.stats.failures += 1;
        self.forget_sent();
        self.socket_answered = status.is_some();
        // A server that answers but does not know the path is not refusing the device; polling may work there.
        self.refused = matches!(status, Some(401 | 403));
        let delay = if self.refused {
            self.backoff.refused_delay(&mut self.rng)
        } else {
            self.socket_failures = self.socket_failures.saturating_add(1);
            self.backoff.next_delay(&mut self.rng)
        };
        self.wait(delay);
    }

    /// The socket closed by itself.
    pub(super) fn lost(&mut self) {
        if let Link::Online { since } = self.link {
            self.stats.failures += 1;
            if self.clock.uptime() >= since + STABLE_MS {
                self.backoff.reset();
            }
            self.forget_sent();
            let delay = self.backoff.next_delay(&mut self.rng);
            self.wait(delay);
        } else {
            self.open_failed(None);
        }
    }

    pub(super) fn give_up_opening(&mut self) {
        self.close_socket = true;
        self.open_failed(None);
    }

    /// The socket does not answer any more.
    pub(super) fn fail_socket(&mut self) {
        self.close_socket = true;
        self.lost();
    }

    /// Closes the socket on purpose and comes back after a delay.
    pub(super) fn close(&mut self, delay: u64) {
        self.close_socket = true;
        self.forget_sent();
        self.wait(delay);
    }

    pub(super) fn wait(&mut self, delay: u64) {
        self.link = Link::Waiting {
            until: self.clock.uptime() + delay,
        };
    }

    pub(super) fn fall_asleep(&mut self) {
        self.close_socket = true;
        self.forget_sent();
        let every = u64::from(self.config.wake_interval_ms().unwrap_or(1000));
        // Spread by an eighth, so that a fleet that was switched on together does not wake together.
        let early = self.rng.up_to(every / 8);
        self.link = Link::Asleep {
            until: self.clock.uptime() + every - early,
        };
    }

    /// What was on its way may have been lost, so it waits again.
    pub(super) fn forget_sent(&mut self) {
        self.sent.clear();
        self.queue.return_sent(None);
        self.switches.return_sent(None);
        self.refusals.return_sent(None);
    }

    pub(super) fn frame_received(&mut self, text: &str) {
        if !self.link.is_socket() {
            return; // a late frame of a socket that was given up
        }
        self.socket_heard();
        let Ok(frame) = Down::parse(text) else {
            self.stats.not_understood += 1;
            return;
        };
        match frame {
            Down::Welcome {
                time, heartbeat_s, ..
            } => self.welcomed(time, heartbeat_s),
            Down::Ack { id } => self.acknowledged(id),
            Down::Error {
                id,
                code,
                retry_after_ms,
                ..
            } => self.refused_by_server(id, code, retry_after_ms),
            Down::Desired { state } => self.desired(state),
            Down::Command(command) => {
                self.asked_at = self.clock.uptime();
                self.commands.take(&command);
            }
            Down::Update => {
                self.asked_at = self.clock.uptime();
                self.updates.nudged(self.asked_at);
            }
            Down::Pong { time } => self.ponged(time),
        }
    }

    fn socket_heard(&mut self) {
        self.heard_at = self.clock.uptime();
        self.ping_at = self.heard_at + self.heartbeat_ms;
    }

    /// Nobody knows what the frame said, but the server lives.
    pub(super) fn frame_dropped(&mut self) {
        if self.link.is_socket() {
            self.socket_heard();
            self.stats.not_understood += 1;
        }
    }

    /// A connection may live for months: the time of the server is learnt anew now and then, from an answer that came at once.
    fn ponged(&mut self, time: Option<i64>) {
        let now = self.clock.uptime();
        let prompt = now.saturating_sub(self.pinged_at) <= PROMPT_MS;
        if let Some(time) = time.filter(|_| prompt && now >= self.learnt_at + RELEARN_MS) {
            self.clock.learn(time);
            self.learnt_at = now;
        }
    }

    fn welcomed(&mut self, time: i64, heartbeat_s: u32) {
        let now = self.clock.uptime();
        self.clock.learn(time);
        self.learnt_at = now;
        let (low, high) = HEARTBEAT_RANGE_MS;
        self.heartbeat_ms = (u64::from(heartbeat_s) * 1000).clamp(low, high);
        self.heartbeat_at = now;
        self.ping_at = now + self.heartbeat_ms;
        self.hold_until = 0;
        (self.socket_failures, self.socket_probed) = (0, false);
        self.refused = false;
        self.stats.welcomes += 1;
        // A device that sleeps asks now and then, not each time it wakes.
        let again = self.config.wake_interval_ms().is_none();
        self.updates.connected(now, again, &mut self.rng);
        self.link = Link::Online { since: now };
    }

    /// The server has kept the frame with this id.
    pub(super) fn acknowledged(&mut self, id: u32) {
        self.updates.acked(id);
        let Some(at) = self.sent.iter().position(|s| s.id == id) else {
            return;
        };
        self.sent.remove(at);
        self.kept_at = self.clock.uptime();
        // A server that keeps what it gets is worth coming back to soon, however short the connection is.
        self.backoff.reset();
        let (samples, points) = self.queue.acknowledge(id);
        self.stats.samples_acked += u64::from(samples);
        self.stats.points_acked += u64::from(points);
        self.stats.reports_acked += u64::from(self.switches.acknowledge(id));
        self.refusals.acknowledge(id);
        self.alone = self.alone.saturating_sub(samples);
        if self.acked.is_full() {
            self.acked.pop_front();
        }
        let _ = self.acked.push_back(Acked {
            id,
            samples,
            points,
        });
    }

    pub(super) fn desired(&mut self, state: StateMap<'_>) {
        for entry in state.iter() {
            self.asked_at = self.clock.uptime();
            if let Desire::Refused(why) = self.switches.desire(entry) {
                // No switch of a board has a key that needs escapes.
                self.refuse(entry.key.as_plain().unwrap_or(""), entry.version, why);
            }
        }
    }

    /// Notes that a desired value will not be taken, for the server to hear. A plain value, of version 0, is just left.
    pub(super) fn refuse(&mut self, key: &str, version: u64, why: &str) {
        self.stats.desired_refused += 1;
        if version > 0 {
            self.refusals.note(key, version, why);
        }
    }

    fn refused_by_server(&mut self, id: Option<u32>, code: Text<'_>, retry_after_ms: Option<u32>) {
        self.stats.errors += 1;
        let code = code.as_plain().unwrap_or("");
        if matches!(code, codes::UNAUTHORIZED | codes::REPLACED) {
            self.refused = true;
            let delay = self.backoff.refused_delay(&mut self.rng);
            self.close(delay);
            return;
        }
        let retry = retry_after_ms.is_some() || codes::is_retryable(code);
        if retry {
            self.hold(retry_after_ms.map(u64::from));
        }
        if let Some(id) = id {
            self.frame_refused(id, retry);
        }
    }

    /// Telemetry and reports wait for a while.
    pub(super) fn hold(&mut self, wait_ms: Option<u64>) {
        let wait = wait_ms.unwrap_or(DEFAULT_HOLD_MS).min(MAX_HOLD_MS);
        self.hold_until = self.hold_until.max(self.clock.uptime() + wait);
    }

    /// The server has not kept the frame with this id, and says whether another try may help.
    pub(super) fn frame_refused(&mut self, id: u32, retry: bool) {
        let Some(at) = self.sent.iter().position(|s| s.id == id) else {
            return;
        };
        self.sent.remove(at);
        if retry {
            self.queue.return_sent(Some(id));
            self.switches.return_sent(Some(id));
            self.refusals.return_sent(Some(id));
            return;
        }
        self.switches.acknowledge(id);
        self.refusals.acknowledge(id);
        let held = self.queue.iter().filter(|r| r.frame == Some(id)).count();
        if held > 1 {
            // Nothing of a refused batch was stored. Alone, only the sample at fault will be refused.
            let last = self
                .queue
                .iter()
                .enumerate()
                .filter(|(_, r)| r.frame == Some(id))
                .last();
            let front = last.map_or(0, |(i, _)| u32::try_from(i + 1).unwrap_or(u32::MAX));
            self.alone = self.alone.max(front);
            self.queue.return_sent(Some(id));
        } else {
            let (samples, _) = self.queue.acknowledge(id);
            self.stats.samples_refused += u64::from(samples);
            self.alone = self.alone.saturating_sub(samples);
        }
    }
}
