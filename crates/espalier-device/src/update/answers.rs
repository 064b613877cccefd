//! What the machine makes of answers: offers, receipts of reports, the ends of downloads. Not what it asks.

use espalier_wire::ota::{Offer, Stage, reasons};
use sha2::Sha256;

use super::ask::{About, Ask};
use super::journal::{Job, JobStage, Outcome};
use super::offer::{self, Answer, Facts};
use super::{Phase, Updates};
use crate::rng::Rng;

/// Downloads in a row that bring nothing before the attempt is given up.
const MAX_FRUITLESS: u32 = 8;
/// Times that the board tries to tell that an image is written, before it restarts all the same.
const MAX_TOLD: u8 = 3;
/// Attempts that a board begins without a pause between them: a slot is erased for each, and flash wears out.
pub(super) const MAX_BEGINNINGS: u32 = 6;
/// After this time it may begin one more, in milliseconds.
const BEGINNING_EVERY_MS: u64 = 600_000;
/// Longest wait that a server may ask for, in milliseconds.
const MAX_WAIT_MS: u64 = 600_000;

impl Updates {
    fn ask_later(&mut self, now: u64, after_ms: u32, rng: &mut Rng) {
        let after = u64::from(after_ms);
        self.ask_at = now + after + rng.up_to(after / 4);
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
            self.served(now, body);
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
                return self.take_offer(now, body);
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

    fn take_offer(&mut self, now: u64, body: &str) -> bool {
        let (Ok(offer), Some(board)) = (Offer::parse(body), &self.board) else {
            return false;
        };
        if let Some(newer) = offer
            .keys
            .and_then(|text| offer::newer_keys(text, &self.keys, self.trusts_first))
        {
            self.keys = newer;
            self.keys_unsaved = true;
        }
        let slot = board.layout.after(board.booted);
        let facts = Facts {
            running: &board.running.sha256,
            chip: board.chip,
            slot_size: board.layout.slot(slot).size,
            slots: (slot, board.booted),
            secure_version: self.lowest_secure_version(),
            keys: &self.keys,
            allow_unsigned: self.policy.allow_unsigned,
        };
        match offer::judge(&offer, &facts, &self.journal) {
            Answer::Take(job, patch) => self.begin(now, job, patch),
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
    fn begin(&mut self, now: u64, job: Job, patch: Option<u32>) {
        let same = |known: &Job| {
            (&known.update, known.attempt, known.sha256) == (&job.update, job.attempt, job.sha256)
                && known.slot == job.slot
                && known.size == job.size
        };
        if !self.journal.job.as_ref().is_some_and(same) && !self.may_begin(now) {
            return;
        }
        let known = self.journal.job.as_mut().filter(|known| same(known));
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

    /// Counts the beginning of an attempt; when there were too many, the board asks again after a while.
    fn may_begin(&mut self, now: u64) -> bool {
        let (begun, since) = self.beginnings;
        let earned = now.saturating_sub(since) / BEGINNING_EVERY_MS;
        let begun = u64::from(begun).saturating_sub(earned);
        let since = if begun == 0 {
            now
        } else {
            since + earned * BEGINNING_EVERY_MS
        };
        let may = begun < u64::from(MAX_BEGINNINGS);
        let begun = u32::try_from(begun).unwrap_or(MAX_BEGINNINGS) + u32::from(may);
        self.beginnings = (begun, since);
        if !may {
            self.ask_at = since + BEGINNING_EVERY_MS;
        }
        may
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
                let next = next_question(
                    outcome,
                    self.repeated,
                    self.policy.check_interval_ms,
                    self.policy.retry_ms,
                );
                if !core::mem::take(&mut self.repeated) {
                    self.told_of = Some(outcome.stage);
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
