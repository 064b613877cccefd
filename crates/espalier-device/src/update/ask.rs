//! What the machine asks of the server and tells it, what it makes of the answers, and when. Not how a request is sent.

use core::fmt::Write;

use espalier_wire::json::Text;
use espalier_wire::ota::{Offer, Report, Stage, reasons};
use heapless::String;
use sha2::Sha256;

use super::journal::{Job, JobStage, Outcome, cut};
use super::offer::{self, Answer, Facts};
use super::{PIECE, Phase, SelfTest, Updates};
use crate::machine::Method;
use crate::rng::Rng;

/// How long a request may bring nothing, in milliseconds.
const REQUEST_TIMEOUT_MS: u64 = 30_000;
/// Downloads in a row that bring nothing before the attempt is given up.
const MAX_FRUITLESS: u32 = 8;
/// Times that the board tries to tell that an image is written, before it restarts all the same.
const MAX_TOLD: u8 = 3;
/// Over how long the first question after a start is spread, in milliseconds.
const FIRST_ASK_MS: u64 = 1_000;
/// Time between heartbeats on trial until one is acknowledged, in milliseconds.
const BEAT_MS: u64 = 5_000;
/// Longest wait that a server may ask for, in milliseconds.
const MAX_WAIT_MS: u64 = 600_000;

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
        if self.work_due(now) {
            self.asked_to_work();
            return Some(Step::Work);
        }
        if self.phase == (Phase::Restart { asked: false }) {
            self.phase = Phase::Restart { asked: true };
            return Some(Step::Restart);
        }
        if self.phase == Phase::Trial && self.self_test == SelfTest::Due {
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
        let work = (self.wants_work() && !self.work_asked).then_some(self.work_at);
        let request = match self.on_the_way {
            Some((_, since)) => Some(since + REQUEST_TIMEOUT_MS),
            None => free.then(|| self.request_at(quiet)),
        };
        let phase = match self.phase {
            Phase::Tell { until } => Some(until),
            Phase::Restart { asked: false } => Some(0),
            Phase::Trial if self.self_test == SelfTest::Due => Some(0),
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
        let what = if self.patch.is_some() { "patch" } else { "image" };
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
            self.journal.secure_version,
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

    fn ask_later(&mut self, now: u64, after_ms: u32, rng: &mut Rng) {
        let after = u64::from(after_ms);
        self.ask_at = now + after + rng.up_to(after / 4);
    }

    /// Acts on every time-out that has passed; says whether the request on its way was given up.
    pub fn run_timers(&mut self, now: u64, rng: &mut Rng) -> bool {
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
        let given_up = self.on_the_way.is_some_and(late);
        if given_up {
            self.answered(now, None, "", None, rng);
        }
        given_up
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
        self.self_test = if ok { SelfTest::Passed } else { SelfTest::Failed };
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

    /// The server has answered a request with success.
    pub fn served(&mut self, now: u64) {
        self.accepted |= self.phase == Phase::Trial && now >= self.settle_at;
    }

    /// Takes the answer to the request that is on its way; no status when there was none. Says whether it was understood.
    pub fn answered(
        &mut self,
        now: u64,
        status: Option<u16>,
        body: &str,
        retry_after_s: Option<u32>,
        rng: &mut Rng,
    ) -> bool {
        let Some((ask, _)) = self.on_the_way.take() else {
            return true;
        };
        if let Some(200..=299) = status {
            self.served(now);
            self.backoff.reset();
        }
        match ask {
            Ask::Offer => return self.offer_answered(now, status, body, retry_after_s, rng),
            Ask::Report(about) => self.report_answered(now, about, status, retry_after_s, rng),
            Ask::Download => self.download_ended(now, status, retry_after_s, rng),
        }
        true
    }

    fn wait(&mut self, now: u64, retry_after_s: Option<u32>, rng: &mut Rng) {
        let backoff = self.backoff.next_delay(rng);
        let wait = retry_after_s.map_or(backoff, |s| u64::from(s) * 1000 + rng.up_to(1_000));
        self.retry_at = now + wait.min(MAX_WAIT_MS);
    }

    fn offer_answered(
        &mut self,
        now: u64,
        status: Option<u16>,
        body: &str,
        retry_after_s: Option<u32>,
        rng: &mut Rng,
    ) -> bool {
        match status {
            Some(200) => {
                self.ask_later(now, self.policy.check_interval_ms, rng);
                return self.take_offer(body);
            }
            Some(204 | 304) => {
                self.forget();
                self.ask_later(now, self.policy.check_interval_ms, rng);
            }
            None | Some(429 | 500..=599) => self.wait(now, retry_after_s, rng),
            // A server that knows no updates, or not this board.
            Some(_) => self.ask_later(now, self.policy.check_interval_ms, rng),
        }
        true
    }

    fn take_offer(&mut self, body: &str) -> bool {
        let (Ok(offer), Some(board)) = (Offer::parse(body), &self.board) else {
            return false;
        };
        if let Some(newer) = offer.keys.and_then(|text| offer::newer_keys(text, &self.keys)) {
            self.keys = newer;
            self.keys_unsaved = true;
        }
        let slot = board.layout.after(board.booted);
        let facts = Facts {
            running: &board.running.sha256,
            chip: board.chip,
            slot_size: board.layout.slot(slot).size,
            slots: (slot, board.booted),
            keys: &self.keys,
            allow_unsigned: self.policy.allow_unsigned,
        };
        match offer::judge(&offer, &facts, &self.journal) {
            Answer::Take(job, patch) => self.begin(job, patch),
            Answer::Refuse(job, reason) => {
                self.journal.job = Some(job);
                self.fail(reason);
            }
            Answer::Runs(job) => {
                self.journal.job = Some(job);
                self.journal.end(Stage::Confirmed, "");
                self.drop_load();
                self.journal_unsaved = true;
            }
            Answer::Ended => {
                if let Some(outcome) = &mut self.journal.outcome {
                    outcome.reported = false;
                    self.repeated = true;
                }
            }
            Answer::Nonsense => return false,
        }
        true
    }

    /// Begins an update, or goes on with it after a restart.
    fn begin(&mut self, job: Job, patch: Option<u32>) {
        let known = self.journal.job.as_mut().filter(|known| {
            (&known.update, known.attempt, known.sha256) == (&job.update, job.attempt, job.sha256)
                && known.slot == job.slot
                && known.size == job.size
        });
        let stage = match known {
            Some(known) => {
                known.patch &= patch.is_some();
                self.patch = patch.filter(|_| known.patch);
                known.confirm_within_s = job.confirm_within_s;
                known.stage
            }
            None => {
                self.patch = patch;
                self.journal.job = Some(job);
                self.journal_unsaved = true;
                JobStage::Loading
            }
        };
        (self.told, self.sha) = (0, Sha256::default());
        self.phase = if stage == JobStage::Written {
            Phase::Verify { at: 0 }
        } else {
            Phase::Rehash { at: 0 }
        };
    }

    fn report_answered(
        &mut self,
        now: u64,
        about: About,
        status: Option<u16>,
        retry_after_s: Option<u32>,
        rng: &mut Rng,
    ) {
        // What a server refuses for good it does not want to hear again.
        let settled = status.is_some_and(|s| s < 500 && !matches!(s, 401 | 403 | 408 | 429));
        let withdrawn = matches!(status, Some(404 | 410));
        match about {
            About::Outcome if settled => {
                let Some(outcome) = &mut self.journal.outcome else {
                    return;
                };
                outcome.reported = true;
                let next = next_question(outcome, self.repeated, self.policy.check_interval_ms, self.policy.retry_ms);
                if !core::mem::take(&mut self.repeated) {
                    self.journal_unsaved = true;
                }
                self.ask_later(now, next, rng);
            }
            About::Trial if settled => self.trial_told = true,
            About::Progress | About::Written if withdrawn => {
                self.forget();
                self.ask_later(now, self.policy.retry_ms, rng);
            }
            About::Progress => {}
            About::Written if settled || self.told + 1 >= MAX_TOLD => {
                if let Phase::Tell { .. } = self.phase {
                    self.phase = Phase::Choose;
                }
            }
            _ => {
                self.told = self.told.saturating_add(1);
                self.wait(now, retry_after_s, rng);
            }
        }
    }

    fn download_ended(
        &mut self,
        now: u64,
        status: Option<u16>,
        retry_after_s: Option<u32>,
        rng: &mut Rng,
    ) {
        let (Phase::Loading, Some(load)) = (self.phase, &self.load) else {
            return;
        };
        let came = load.fetched > self.fetched_before;
        self.fetched_before = load.fetched;
        if came {
            self.fruitless = 0;
            self.backoff.reset();
        }
        if load.is_complete() {
            return self.loaded();
        }
        match status {
            Some(200 | 206) if came => self.progress_due = true,
            Some(404 | 409 | 410) if self.patch.is_some() => self.take_whole(),
            Some(404 | 409 | 410) => {
                self.forget();
                self.ask_later(now, self.policy.retry_ms, rng);
            }
            Some(416) => self.fail(reasons::DOWNLOAD),
            // The server has no place free; that is nobody's fault.
            Some(429 | 503) => self.wait(now, retry_after_s, rng),
            _ => {
                self.fruitless += u32::from(!came);
                if self.fruitless > MAX_FRUITLESS {
                    return self.fail(reasons::DOWNLOAD);
                }
                self.wait(now, None, rng);
            }
        }
    }

    /// There is no patch any more: the whole image it is, from where the patch has come.
    fn take_whole(&mut self) {
        self.patch = None;
        self.load = None;
        self.sha = Sha256::default();
        if let Some(job) = &mut self.journal.job {
            job.patch = false;
            self.journal_unsaved = true;
        }
        self.phase = Phase::Rehash { at: 0 };
    }
}

/// How long after a report the board asks again: a failed attempt may be followed by another one soon.
const fn next_question(outcome: &Outcome, repeated: bool, check_ms: u32, retry_ms: u32) -> u32 {
    match outcome.stage {
        _ if repeated => check_ms,
        Stage::Confirmed => 1_000,
        _ => retry_ms,
    }
}
