//! The HTTP fallback for networks that let no socket through: one cycle posts what is due, then asks for the desired
//! state and for commands. What these asked for is answered at once, the rest waits for the next cycle. One request at a
//! time; a socket is tried again every few minutes.

use core::fmt::{self, Write};

use espalier_wire::device::write_samples;
use espalier_wire::http::{Latest, PendingCommands, ResultPost};
use espalier_wire::json::{Json, ObjectWriter};

use super::frames::waiting;
use super::link::Link;
use super::{Action, Core, FRAME_OVERHEAD, Method};

/// How long the fallback runs before a socket is tried again, in milliseconds.
pub const SOCKET_RETRY_MS: u64 = 120_000;

/// The request that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exchange {
    /// None is.
    None,
    /// A sign of life.
    Heartbeat,
    /// A post of telemetry or reports with this frame id.
    Post(u32),
    /// The latest state.
    Latest,
    /// The pending commands.
    Commands,
    /// The result of a command.
    Result,
}

/// How far the cycle has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A sign of life when it is due, reports, telemetry and results are posted, until nothing is left.
    Posting,
    /// The latest state is asked for.
    Asking,
    /// Pending commands are asked for.
    Commands,
    /// Nothing until the next cycle, but answers to what the server wanted.
    Resting,
}

impl<const QUEUE: usize, const FRAME: usize> Core<QUEUE, FRAME> {
    pub(super) fn start_polling(&mut self) {
        let now = self.clock.uptime();
        // After an outage nobody knows yet whether sockets work: the first cycle that gets through tries one at once.
        let known = self.socket_probed || self.socket_answered;
        let socket_at = if known { now + SOCKET_RETRY_MS } else { now };
        self.heartbeat_at = now;
        self.link = Link::Polling {
            exchange: Exchange::None,
            stage: Stage::Posting,
            since: now,
            next_at: now,
            socket_at,
        };
    }

    /// Returns the next request of the cycle.
    pub(super) fn next_poll(&mut self) -> Option<Action> {
        let now = self.clock.uptime();
        let Link::Polling {
            exchange: Exchange::None,
            stage,
            next_at,
            socket_at,
            ..
        } = self.link
        else {
            return None;
        };
        if self.updates.is_on_the_way() {
            return None; // one request at a time
        }
        if stage == Stage::Resting && now < next_at {
            if !self.answer_to_post() || now < self.hold_until {
                return None;
            }
        } else if stage == Stage::Resting {
            if now >= socket_at {
                // One attempt; when it fails, polling goes on.
                self.socket_probed = true;
                self.socket_failures = super::link::FAILURES_BEFORE_POLLING - 1;
                self.link = Link::Opening { since: now };
                return Some(Action::Open);
            }
            self.set_stage(Stage::Posting);
        }
        let (exchange, method) = self.write_request()?;
        if let Link::Polling {
            exchange: slot,
            since,
            ..
        } = &mut self.link
        {
            (*slot, *since) = (exchange, now);
        }
        Some(Action::Request(method))
    }

    /// Says whether the server waits for something that a post would tell.
    pub(super) fn answer_to_post(&self) -> bool {
        self.commands.result_due() || self.switches.answer_due() || self.refusals.is_due()
    }

    fn set_stage(&mut self, to: Stage) {
        let now = self.clock.uptime();
        let every = u64::from(self.config.poll_interval_ms());
        if let Link::Polling { stage, next_at, .. } = &mut self.link {
            *stage = to;
            if to == Stage::Resting {
                *next_at = now + every;
            }
        }
    }

    fn write_request(&mut self) -> Option<(Exchange, Method)> {
        self.frame.clear();
        self.path.clear();
        let Link::Polling { stage, .. } = self.link else {
            return None;
        };
        if matches!(stage, Stage::Posting | Stage::Resting) {
            match self.write_post() {
                Some(exchange) => return Some((exchange, Method::Post)),
                None if stage == Stage::Resting => return None,
                None => self.set_stage(Stage::Asking),
            }
        }
        match self.link {
            Link::Polling {
                stage: Stage::Commands,
                ..
            } => {
                write!(
                    self.path,
                    "/devices/{}/commands/pending",
                    self.config.device_id()
                )
                .ok()?;
                Some((Exchange::Commands, Method::Get))
            }
            _ => {
                // The device is known by its Bearer token. Of its own values it needs none, and they may be many.
                self.path.push_str("/telemetry/latest?only=desired").ok()?;
                Some((Exchange::Latest, Method::Get))
            }
        }
    }

    fn write_post(&mut self) -> Option<Exchange> {
        if self.commands.result_due() {
            let result = self.commands.next_post()?;
            write!(
                self.path,
                "/devices/{}/commands/{}/result",
                self.config.device_id(),
                result.id
            )
            .ok()?;
            let post = ResultPost {
                device_token: None,
                result,
            };
            if post.write(&mut self.frame).is_err() {
                self.commands.posted(true);
                return None;
            }
            return Some(Exchange::Result);
        }
        if self.clock.uptime() < self.hold_until {
            return None;
        }
        if self.clock.uptime() >= self.heartbeat_at {
            self.heartbeat_at = self.clock.uptime() + self.heartbeat_ms;
            write!(self.path, "/devices/{}/heartbeat", self.config.device_id()).ok()?;
            self.write_heartbeat_post().ok()?;
            return Some(Exchange::Heartbeat);
        }
        let reports = self.switches.due_within(FRAME - FRAME_OVERHEAD);
        let samples = self.fitting(FRAME - FRAME_OVERHEAD);
        let refusals = match (reports, samples) {
            (0, 0) => self.refusals.due_within(FRAME - FRAME_OVERHEAD),
            _ => 0,
        };
        if reports == 0 && samples == 0 && refusals == 0 {
            return None;
        }
        let id = self.take_id();
        write!(self.path, "/devices/{}/telemetry", self.config.device_id()).ok()?;
        let (clock, switches, queue) = (&self.clock, &self.switches, &self.queue);
        let held = &self.refusals;
        let write = |out: &mut heapless::String<FRAME>| -> fmt::Result {
            let mut body = ObjectWriter::begin(out)?;
            if reports > 0 {
                switches.write_values(body.value_of("data")?, reports)?;
                switches.write_report(body.value_of("reported")?, reports)?;
            } else if refusals > 0 {
                body.member("data", Json::EMPTY_OBJECT)?;
                held.write(body.value_of("reported")?, refusals, switches)?;
            } else {
                write_samples(
                    body.value_of("samples")?,
                    waiting(queue.iter(), clock).take(samples),
                )?;
            }
            body.end()
        };
        write(&mut self.frame).ok()?;
        if reports > 0 {
            self.switches.mark_reported(reports, id);
        } else if refusals > 0 {
            self.refusals.mark_sent(refusals, id);
        } else {
            self.queue.mark_sent(samples, id);
        }
        self.note_sent(id);
        Some(Exchange::Post(id))
    }

    pub(super) fn answered(
        &mut self,
        status: u16,
        body: &str,
        date: Option<i64>,
        retry_after_s: Option<u32>,
    ) {
        if self.updates.is_on_the_way() {
            return self.update_answered(status, body, retry_after_s);
        }
        let Link::Polling { exchange, .. } = &mut self.link else {
            return;
        };
        let done = core::mem::replace(exchange, Exchange::None);
        if done == Exchange::None {
            return;
        }
        if let (None, Some(date)) = (self.clock.wall(), date) {
            self.clock.learn(date);
        }
        match status {
            200..=299 => self.take_answer(done, body),
            // The device itself is refused, or not known any more; asking faster does not help, and no sample is at fault.
            401 | 403 => self.leave_refused(),
            404 if matches!(done, Exchange::Post(_) | Exchange::Latest) => self.leave_refused(),
            429 | 500..=599 => {
                self.stats.errors += 1;
                self.hold(retry_after_s.map(|s| u64::from(s) * 1000));
                self.undo(done, true);
                self.set_stage(Stage::Resting);
            }
            // A server that knows no signs of life by HTTP hears everything else.
            404 | 405 if done == Exchange::Heartbeat => {}
            _ => {
                self.stats.errors += 1;
                self.undo(done, false);
                self.advance(done);
            }
        }
    }

    fn take_answer(&mut self, done: Exchange, body: &str) {
        self.backoff.reset();
        self.refused = false;
        self.updates.served(self.clock.uptime(), body);
        match done {
            Exchange::Post(id) => self.acknowledged(id),
            Exchange::Latest => match Latest::parse(body) {
                Ok(latest) => self.take_latest(&latest),
                Err(_) => self.stats.not_understood += 1,
            },
            Exchange::Commands => match PendingCommands::parse(body) {
                Ok(pending) => pending.iter().for_each(|command| {
                    self.commands.take(&command);
                }),
                Err(_) => self.stats.not_understood += 1,
            },
            Exchange::Result => self.commands.posted(true),
            Exchange::Heartbeat | Exchange::None => {}
        }
        self.advance(done);
    }

    fn take_latest(&mut self, latest: &Latest<'_>) {
        if let Some(time) = latest.time {
            self.clock.learn(time);
        }
        match (latest.desired, latest.time) {
            (Some(desired), _) => self.desired(desired),
            // A server of ours that wants nothing.
            (None, Some(_)) => {}
            // A server that knows only values: what it shows for a switch is what it wants.
            (None, None) => {
                for (key, value) in latest.data.members().into_iter().flatten() {
                    if let Some(key) = key.as_plain() {
                        self.switches.desire_plain(key, value);
                    }
                }
            }
        }
    }

    fn leave_refused(&mut self) {
        self.stats.errors += 1;
        self.refused = true;
        self.leave_polling(true);
    }

    fn advance(&mut self, done: Exchange) {
        match done {
            Exchange::Latest => self.set_stage(Stage::Commands),
            Exchange::Commands => {
                self.set_stage(Stage::Resting);
                let now = self.clock.uptime();
                self.updates.connected(now, false, &mut self.rng);
            }
            Exchange::Heartbeat | Exchange::Post(_) | Exchange::Result | Exchange::None => {}
        }
    }

    /// A post was not kept.
    fn undo(&mut self, done: Exchange, retry: bool) {
        match done {
            Exchange::Post(id) => self.frame_refused(id, retry),
            Exchange::Result => self.commands.posted(!retry),
            _ => {}
        }
    }

    pub(super) fn request_failed(&mut self) {
        if self.updates.is_on_the_way() {
            self.stats.failures += 1;
            return self.update_failed();
        }
        if let Link::Polling { .. } = self.link {
            self.stats.failures += 1;
            self.leave_polling(false);
        }
    }

    /// The fallback does not work either: start again with a socket, after a while.
    fn leave_polling(&mut self, refused: bool) {
        self.forget_sent();
        self.commands.posted(false);
        (self.socket_failures, self.socket_probed) = (0, false);
        let delay = if refused {
            self.backoff.refused_delay(&mut self.rng)
        } else {
            self.backoff.next_delay(&mut self.rng)
        };
        self.wait(delay);
    }
}
