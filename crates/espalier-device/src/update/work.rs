//! What the flash is told, one bounded piece at a time: reading again what is there, verifying the slot, choosing it,
//! confirming the image that runs, taking the old one back.

use embedded_storage::nor_flash::NorFlash;
use espalier_image::otadata::{OtaData, State, abort_other, choose, set_state};
use espalier_wire::ota::reasons;
use sha2::{Digest, Sha256};

use super::gate::confirm;
use super::journal::JobStage;
use super::layout::{PAGE, Sha, feed};
use super::load::{Load, Place};
use super::{Ask, Phase, RECORD_EVERY, Updates};
use crate::storage::Storage;

/// How long to wait before storage or flash that failed is tried again, in milliseconds.
const AGAIN_MS: u64 = 1_000;
/// How long the server may take to hear that an image is written, in milliseconds; then the board restarts anyway.
const TELL_MS: u64 = 20_000;

impl Updates {
    /// Says whether flash or storage must be worked on now.
    pub fn work_due(&self, now: u64) -> bool {
        !self.work_asked && self.wants_work() && now >= self.work_at
    }

    pub(super) fn wants_work(&self) -> bool {
        let phase = matches!(
            self.phase,
            Phase::Rehash { .. }
                | Phase::Verify { .. }
                | Phase::Choose
                | Phase::Confirm
                | Phase::Return
        );
        self.board.is_some() && (phase || self.journal_unsaved || self.keys_unsaved)
    }

    pub fn asked_to_work(&mut self) {
        self.work_asked = true;
    }

    /// Does one piece of work.
    pub fn work<S: Storage, F: NorFlash>(&mut self, now: u64, storage: &mut S, flash: &mut F) {
        self.work_asked = false;
        // A bad image is taken back also when nothing can be noted any more.
        if !self.save(now, storage) && self.phase != Phase::Return {
            return;
        }
        match self.phase {
            Phase::Rehash { at } => self.rehash(at, flash),
            Phase::Verify { at } => self.verify(now, at, flash),
            Phase::Choose => self.choose_new(flash),
            Phase::Confirm => self.confirm(now, flash),
            Phase::Return => self.take_back(now, storage, flash),
            _ => {}
        }
        self.save(now, storage);
    }

    /// Stores what has changed; says whether everything is stored.
    fn save<S: Storage>(&mut self, now: u64, storage: &mut S) -> bool {
        if self.keys_unsaved && self.keys.save(storage).is_ok() {
            self.keys_unsaved = false;
        }
        if self.journal_unsaved && self.journal.save(storage).is_ok() {
            self.journal_unsaved = false;
        }
        let done = !self.keys_unsaved && !self.journal_unsaved;
        if !done {
            self.storage_errors += 1;
            self.work_at = now + AGAIN_MS;
        }
        done
    }

    fn rehash<F: NorFlash>(&mut self, at: u32, flash: &mut F) {
        let (Some(board), Some(job)) = (&self.board, &self.journal.job) else {
            return self.forget();
        };
        let new = board.layout.slot(job.slot);
        if at < job.bytes {
            match feed::<PAGE, F>(flash, new, at, job.bytes, &mut self.sha) {
                Some(count) => self.phase = Phase::Rehash { at: at + count },
                None => self.fail(reasons::FLASH),
            }
            return;
        }
        let patch = self.patch.filter(|_| job.patch);
        let sha = core::mem::take(&mut self.sha);
        self.load = Some(Load::new(job, patch, board.running.size, new.size, sha));
        self.phase = Phase::Loading;
        (self.fruitless, self.fetched_before) = (0, 0);
        self.progress_due = true;
    }

    /// Takes in bytes of the download that is on its way.
    pub fn receive<S: Storage, F: NorFlash>(
        &mut self,
        bytes: &[u8],
        storage: &mut S,
        flash: &mut F,
    ) {
        self.heard = true;
        let secure_version = self.lowest_secure_version();
        let (Some(board), Some(job), Some(load)) =
            (&self.board, &mut self.journal.job, &mut self.load)
        else {
            return;
        };
        let expected = matches!(self.on_the_way, Some((Ask::Download, _)));
        if self.phase != Phase::Loading || !expected {
            return; // late bytes of a download that was given up
        }
        let place = Place {
            old: board.layout.slot(board.booted),
            new: board.layout.slot(job.slot),
            chip: board.chip,
            secure_version,
        };
        if let Err(why) = load.take(bytes, flash, &place) {
            return self.fail(&why);
        }
        job.secure_version = load.secure_version;
        if load.written >= job.bytes.saturating_add(RECORD_EVERY) {
            // Only whole pages count; the last one may not be.
            (job.bytes, job.starts) = (load.written - load.written % PAGE as u32, 0);
            if self.journal.save(storage).is_err() {
                self.storage_errors += 1;
            }
        }
    }

    /// Every byte is here: the image is checked, and the slot is read back next.
    pub(super) fn loaded(&mut self) {
        let (Some(job), Some(load)) = (&self.journal.job, &self.load) else {
            return;
        };
        match load.finish(&job.sha256) {
            Ok(()) => {
                self.load = None;
                self.sha = Sha256::default();
                self.phase = Phase::Verify { at: 0 };
            }
            Err(why) => self.fail(&why),
        }
    }

    fn verify<F: NorFlash>(&mut self, now: u64, at: u32, flash: &mut F) {
        let (Some(board), Some(job)) = (&self.board, &mut self.journal.job) else {
            return self.forget();
        };
        if at < job.size {
            let new = board.layout.slot(job.slot);
            match feed::<PAGE, F>(flash, new, at, job.size, &mut self.sha) {
                Some(count) => self.phase = Phase::Verify { at: at + count },
                None => self.fail(reasons::FLASH),
            }
            return;
        }
        let found: Sha = core::mem::take(&mut self.sha).finalize().into();
        let plan = OtaData::read(flash, board.layout.otadata)
            .ok()
            .and_then(|data| data.plan(board.layout.count(), job.slot, State::New));
        match plan {
            Some((_, entry)) if found == job.sha256 => {
                (job.stage, job.sequence) = (JobStage::Written, entry.sequence);
                self.journal_unsaved = true;
                self.phase = Phase::Tell {
                    until: now + TELL_MS,
                };
            }
            _ => self.fail(reasons::FLASH),
        }
    }

    fn choose_new<F: NorFlash>(&mut self, flash: &mut F) {
        let (Some(board), Some(job)) = (&self.board, &self.journal.job) else {
            return self.forget();
        };
        let (at, count) = (board.layout.otadata, board.layout.count());
        match choose(flash, at, count, job.slot, State::New) {
            Ok(_) => self.phase = Phase::Restart { asked: false },
            Err(_) => self.fail(reasons::FLASH),
        }
    }

    fn confirm<F: NorFlash>(&mut self, now: u64, flash: &mut F) {
        let Some(board) = &self.board else { return };
        let (at, count) = (board.layout.otadata, board.layout.count());
        if set_state(flash, at, count, State::Valid).is_err() {
            // The trial goes on; when the flash never takes it, the old image comes back.
            self.phase = Phase::Trial;
            self.accepted = false;
            self.beat_at = now + AGAIN_MS;
            return;
        }
        confirm(&mut self.journal);
        self.journal_unsaved = true;
        self.phase = Phase::Idle;
        self.ask_soon(now);
    }

    fn take_back<S: Storage, F: NorFlash>(&mut self, now: u64, storage: &mut S, flash: &mut F) {
        let (Some(board), Some(job)) = (&self.board, &mut self.journal.job) else {
            self.phase = Phase::Idle;
            return;
        };
        if job.stage != JobStage::Returning {
            (job.stage, job.reason) = (JobStage::Returning, self.why.clone());
            self.journal_unsaved = true;
        }
        let (at, count, new, old) = (
            board.layout.otadata,
            board.layout.count(),
            job.slot,
            job.old,
        );
        // The reason is noted first; without the note the gate says less, but the old image runs.
        self.save(now, storage);
        if choose(flash, at, count, old, State::Valid).is_ok() {
            let _ = abort_other(flash, at, count, new);
            self.phase = Phase::Restart { asked: false };
        } else {
            self.work_at = now + AGAIN_MS;
        }
    }
}
