//! What the machine asks of the server and tells it, and when. Not how a request is sent, nor what the answers mean.

use core::fmt::Write;

use espalier_wire::json::{Json, Text};
use espalier_wire::ota::{Report, Stage, reasons};
use heapless::String;

use super::journal::cut;
use super::offer;
use super::{PIECE, Phase, SelfTest, Updates};
use crate::machine::Method;
use crate::rng::Rng;

/// How long a request may bring nothing, in milliseconds.
const REQUEST_TIMEOUT_MS: u64 = 30_000;
/// Over how long the first question after a start is spread, in milliseconds.
const FIRST_ASK_MS: u64 = 1_000;
/// Time between heartbeats on trial until one is acknowledged, in milliseconds.
const BEAT_MS: u64 = 5_000;

/// A request that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Whether there is something to install.
    Offer,
    /// How far the board is.
    Report(About),
    /// A piece of an image or a patch.
    Download,
}

/// What a report tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    Outcome,
    Trial,
    Progress,
    Written,
}

/// What the machine wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Request(Method),
    Download { from: u32, len: u32 },
    Abandon,
    Work,
    SelfTest,
    Restart,
}

impl Updates {
    /// Returns the next thing to do. `free` says that a request may be sent, `quiet` that nothing else occupies the board.
    pub fn next<const BODY: usize>(
        &mut self,
        now: u64,
        (free, quiet): (bool, bool),
        path: &mut String<192>,
        body: &mut String<BODY>,
    ) -> Option<Step> {
        self.board.as_ref()?;
        if core::mem::take(&mut self.abandon) {
            return Some(Step::Abandon);
        }
        if self.work_due(now) {
            self.asked_to_work();
            return Some(Step::Work);
        }
        if self.phase == (Phase::Restart { asked: false }) {
            self.phase = Phase::Restart { asked: true };
            return Some(Step::Restart);
        }
        if self.test_due() {
            self.self_test = SelfTest::Asked;
            return Some(Step::SelfTest);
        }
        if !free || now < self.request_at(quiet) {
            return None;
        }
        let (ask, step) = self.write_request(path, body)?;
        self.on_the_way = Some((ask, now));
        Some(step)
    }

    /// Says whether the image shall test itself: after a moment with the server, because what it does wrong shows only then.
    fn test_due(&self) -> bool {
        self.phase == Phase::Trial && self.accepted && self.self_test == SelfTest::Due
    }

    /// Returns when the next request is due.
    fn request_at(&self, quiet: bool) -> u64 {
        if self.on_the_way.is_some() || self.wants_work() {
            return u64::MAX;
        }
        match self.phase {
            _ if self.outcome_due() => self.retry_at,
            Phase::Idle if quiet => self.ask_at.max(self.retry_at),
            Phase::Trial if !self.trial_told => self.retry_at,
            Phase::Loading | Phase::Tell { .. } => self.retry_at,
            _ => u64::MAX,
        }
    }

    /// Returns the uptime at which something is due.
    pub fn due_at(&self, free: bool, quiet: bool) -> u64 {
        if self.board.is_none() {
            return u64::MAX;
        }
        if self.abandon {
            return 0;
        }
        let work = (self.wants_work() && !self.work_asked).then_some(self.work_at);
        let request = match self.on_the_way {
            Some((_, since)) => Some(since + REQUEST_TIMEOUT_MS),
            None => free.then(|| self.request_at(quiet)),
        };
        let phase = match self.phase {
            Phase::Tell { until } => Some(until),
            Phase::Restart { asked: false } => Some(0),
            _ if self.test_due() => Some(0),
            Phase::Trial => Some(self.trial_until),
            _ => None,
        };
        let all = [work, request, phase];
        all.into_iter().flatten().min().unwrap_or(u64::MAX)
    }

    fn write_request<const BODY: usize>(
        &mut self,
        path: &mut String<192>,
        body: &mut String<BODY>,
    ) -> Option<(Ask, Step)> {
        path.clear();
        body.clear();
        let about = match self.phase {
            _ if self.outcome_due() => Some(About::Outcome),
            Phase::Trial => Some(About::Trial),
            Phase::Tell { .. } => Some(About::Written),
            Phase::Loading if core::mem::take(&mut self.progress_due) => Some(About::Progress),
            _ => None,
        };
        if let Some(about) = about {
            self.write_report(about, path, body)?;
            return Some((Ask::Report(about), Step::Request(Method::Post)));
        }
        if self.phase == Phase::Idle {
            self.write_question(path)?;
            return Some((Ask::Offer, Step::Request(Method::Get)));
        }
        let (job, load) = (self.journal.job.as_ref()?, self.load.as_ref()?);
        let what = if self.patch.is_some() {
            "patch"
        } else {
            "image"
        };
        write!(path, "/device/update/{}/{what}", job.update).ok()?;
        let (from, left) = (load.fetched, load.total.saturating_sub(load.fetched));
        let len = left.min(PIECE);
        Some((Ask::Download, Step::Download { from, len }))
    }

    fn write_question(&self, path: &mut String<192>) -> Option<()> {
        let board = self.board.as_ref()?;
        let slot = board.layout.slot(board.layout.after(board.booted)).size;
        write!(
            path,
            "/device/update?running={}&slot={slot}&secure={}&keys={}",
            offer::hex(&board.running.sha256),
            self.lowest_secure_version(),
            self.keys.serial
        )
        .ok()
    }

    fn write_report<const BODY: usize>(
        &self,
        about: About,
        path: &mut String<192>,
        body: &mut String<BODY>,
    ) -> Option<()> {
        let running = offer::hex(&self.board.as_ref()?.running.sha256);
        let running = Some(Text::new(&running));
        let (update, report) = if about == About::Outcome {
            let outcome = self.journal.outcome.as_ref()?;
            let reason = Text::new(&outcome.reason);
            let report = Report {
                attempt: outcome.attempt,
                stage: outcome.stage,
                bytes: None,
                patch: outcome.patch,
                running,
                reason: Some(reason).filter(|reason| !reason.is_empty()),
            };
            (&outcome.update, report)
        } else {
            let job = self.journal.job.as_ref()?;
            let report = Report {
                attempt: job.attempt,
                stage: match about {
                    About::Trial => Stage::Trial,
                    About::Written => Stage::Written,
                    _ => Stage::Downloading,
                },
                bytes: self.load.as_ref().map(|load| load.written),
                patch: job.patch,
                running,
                reason: None,
            };
            (&job.update, report)
        };
        write!(path, "/device/update/{update}").ok()?;
        report.write(body).ok()
    }

    /// Says whether a request of the machine is on its way.
    pub const fn is_on_the_way(&self) -> bool {
        self.on_the_way.is_some()
    }

    /// The server has welcomed the board on a socket, or a cycle of polls has got through.
    pub fn connected(&mut self, now: u64, again: bool, rng: &mut Rng) {
        if self.ask_at == u64::MAX || again {
            self.ask_at = self.ask_at.min(now + rng.up_to(FIRST_ASK_MS));
        }
    }

    /// The server says that there may be something.
    pub fn nudged(&mut self, now: u64) {
        self.ask_soon(now);
    }

    pub(super) fn ask_soon(&mut self, now: u64) {
        self.ask_at = now;
    }

    /// Acts on every time-out that has passed.
    pub fn run_timers(&mut self, now: u64, rng: &mut Rng) {
        if core::mem::take(&mut self.heard)
            && let Some((_, since)) = &mut self.on_the_way
        {
            *since = now;
        }
        match self.phase {
            Phase::Tell { until } if now >= until => self.phase = Phase::Choose,
            Phase::Trial => self.try_trial(now),
            _ => {}
        }
        let late = |(_, since): (Ask, u64)| now >= since + REQUEST_TIMEOUT_MS;
        if self.on_the_way.is_some_and(late) {
            self.abandon = true;
            self.answered(now, None, "", None, rng);
        }
    }

    fn try_trial(&mut self, now: u64) {
        let why = if self.self_test == SelfTest::Failed {
            reasons::SELF_TEST
        } else if self.accepted && self.self_test == SelfTest::Passed {
            self.phase = Phase::Confirm;
            return;
        } else if now < self.trial_until {
            return;
        } else if self.accepted {
            reasons::SELF_TEST
        } else {
            reasons::NO_SERVER
        };
        self.why = cut(why);
        self.phase = Phase::Return;
    }

    /// The image's own check has ended.
    pub fn tested(&mut self, ok: bool) {
        self.self_test = if ok {
            SelfTest::Passed
        } else {
            SelfTest::Failed
        };
    }

    /// Says when the next heartbeat of an image on trial is due, which asks for an acknowledgement.
    pub fn beat_at(&self) -> Option<u64> {
        (self.phase == Phase::Trial && !self.accepted).then_some(self.beat_at)
    }

    /// Such a heartbeat was sent.
    pub fn beat_sent(&mut self, now: u64, id: u32) {
        if self.beats.is_full() {
            self.beats.remove(0);
        }
        let _ = self.beats.push(id);
        self.beat_at = now + BEAT_MS;
    }

    /// The server has kept the frame with this id.
    pub fn acked(&mut self, id: u32) {
        self.accepted |= self.beats.contains(&id);
    }

    /// The server has answered a request with success. A network that answers everything with its own page is no server.
    pub fn served(&mut self, now: u64, body: &str) {
        if self.phase == Phase::Trial && now >= self.settle_at {
            self.accepted |= Json::parse(body)
                .is_ok_and(|json| json.members().is_some() || json.elements().is_some());
        }
    }
}
