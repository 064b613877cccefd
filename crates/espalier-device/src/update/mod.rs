//! New firmware: asking for it, taking it into the other slot, starting it on trial, keeping it or taking the old one back.
//!
//! Decisions are pure: requests and answers pass through [`crate::Core::poll`] and [`crate::Core::step`], and flash is touched
//! only in [`gate`], [`crate::Core::work`] and [`crate::Core::receive`], each a bounded piece of work.
//!
//! | module | holds |
//! |---|---|
//! | [`gate`](gate()) | what happens first after every start |
//! | `offer` | whether an offer is taken |
//! | `load` | bytes on their way into the slot |
//! | `work` | what the flash is told: verifying, choosing, confirming, returning |
//! | `ask`, `answers` | requests and reports, and when; what the answers mean |
//! | `journal` | what is remembered across restarts |
//! | [`Layout`] | where the slots are; the image that runs |
//! | [`table`] | where they are on a board without a partition table to read |
//!
//! # The order of things, and why the power may fail anywhere
//! 1. The slot that does not run is written page by page; what is there for sure is noted every 64 kB. After a restart the bytes
//!    that were noted are read again, so that the digest is that of the flash, and the download goes on there.
//! 2. The whole slot is read back. Only then the record says *written*, and only then the slot is chosen, by one write
//!    that is not in use until it is complete.
//! 3. The gate of the new image counts its start before anything else. It is kept when the server has accepted it, its
//!    own test has passed and it has lived for a moment; the flash says so first, the record follows.
//! 4. To take the old image back the record says so first, the choice follows; the old slot was not touched since.
//!
//! # Whose firmware it is
//! A board starts only what one of its keys signed. It has them from its settings (a browser wrote them while it flashed the board, or
//! a person gave them at the console or in the portal), or, when the settings hold none, from its server: like SSH, it trusts the
//! first key set that the server names to which a person has provisioned it, signed or not, and keeps it. From then on, and on a board
//! with keys from the first moment on, a set counts only when a known key signed it and its serial is higher. Nothing but a factory
//! reset of a board without keys in its settings leads back to that first trust; keys that a person gives take the place of all others.

mod answers;
mod ask;
mod gate;
mod journal;
mod layout;
mod load;
mod offer;
pub mod table;
mod work;

use espalier_image::chip::Chip;
use espalier_wire::ota::Stage;
use heapless::Vec;
use sha2::Sha256;

use crate::backoff::Backoff;
use crate::config::UpdatePolicy;
pub(crate) use ask::{Ask, Step};
pub use gate::{Boot, BootReason, Gate, MAX_LOADING_STARTS, MAX_TRIAL_STARTS, gate};
use journal::{JobStage, Journal, Reason};
pub(crate) use journal::{Keys, StoredKeys};
use layout::Sha;
pub use layout::{Layout, MAX_SLOTS, PAGE, Part, Running};
use load::Load;
pub(crate) use offer::hex;

/// Bytes of an image after which the progress is noted in storage.
pub const RECORD_EVERY: u32 = 64 * 1024;
/// Bytes of one download request: little enough that reports get through between them.
pub const PIECE: u32 = 128 * 1024;

/// What the machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing, or asking.
    Idle,
    /// Bytes that are in flash already are read again, up to this one.
    Rehash { at: u32 },
    /// The download comes in.
    Loading,
    /// The slot is read back, up to this byte.
    Verify { at: u32 },
    /// The server hears that the image is written, until this uptime.
    Tell { until: u64 },
    /// The slot is chosen next.
    Choose,
    /// The board restarts.
    Restart { asked: bool },
    /// The image that runs is on trial.
    Trial,
    /// The image that runs has proven itself.
    Confirm,
    /// The old image is taken back.
    Return,
}

/// The image's own check of its hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SelfTest {
    Due,
    Asked,
    Passed,
    Failed,
}

/// What is known of the board since its start.
#[derive(Debug)]
struct Board {
    booted: u8,
    reason: BootReason,
    layout: Layout,
    running: Running,
    chip: Chip,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Updates {
    policy: UpdatePolicy,
    /// None when the binding offers no slots: then nothing is ever asked.
    board: Option<Board>,
    journal: Journal,
    keys: Keys,
    /// Whether the board, while it knows no key, keeps the first set that its server names.
    trusts_first: bool,
    journal_unsaved: bool,
    keys_unsaved: bool,
    phase: Phase,
    load: Option<Load>,
    sha: Sha256,
    /// Bytes of the patch that the present offer names.
    patch: Option<u32>,
    /// The request that is on its way, and since when nothing was heard of it.
    on_the_way: Option<(Ask, u64)>,
    heard: bool,
    /// Whether what is on its way is not wanted any more.
    abandon: bool,
    ask_at: u64,
    retry_at: u64,
    work_at: u64,
    work_asked: bool,
    backoff: Backoff,
    /// Attempts begun since the budget was last full, and from when on the next one is earned.
    beginnings: (u32, u64),
    /// Downloads in a row that brought nothing.
    fruitless: u32,
    fetched_before: u32,
    told: u8,
    /// The outcome that the server has just heard of.
    told_of: Option<Stage>,
    progress_due: bool,
    trial_told: bool,
    /// Whether the outcome is told once more, because the server offered an attempt that has ended.
    repeated: bool,
    self_test: SelfTest,
    accepted: bool,
    /// Heartbeats on trial that wait for their acknowledgement.
    beats: Vec<u32, 4>,
    beat_at: u64,
    settle_at: u64,
    trial_until: u64,
    why: Reason,
    storage_errors: u64,
}

/// What a board does about its firmware, for displays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateState {
    /// It runs what it should, as far as it knows.
    Idle,
    /// A new image comes in or is checked.
    Loading {
        /// Bytes that are in flash.
        bytes: u32,
        /// Bytes of the image.
        size: u32,
    },
    /// The new image is whole; the board restarts.
    Written,
    /// The image that runs has yet to prove itself.
    Trial,
    /// The old image is taken back.
    Returning,
}

impl Updates {
    pub fn new(policy: UpdatePolicy, keys: Keys) -> Self {
        Updates {
            policy,
            board: None,
            journal: Journal::default(),
            keys,
            trusts_first: false,
            journal_unsaved: false,
            keys_unsaved: false,
            phase: Phase::Idle,
            load: None,
            sha: Sha256::default(),
            patch: None,
            on_the_way: None,
            heard: false,
            abandon: false,
            ask_at: u64::MAX,
            retry_at: 0,
            work_at: 0,
            work_asked: false,
            backoff: Backoff::default(),
            beginnings: (0, 0),
            fruitless: 0,
            fetched_before: 0,
            told: 0,
            told_of: None,
            progress_due: false,
            trial_told: false,
            repeated: false,
            self_test: SelfTest::Due,
            accepted: false,
            beats: Vec::new(),
            beat_at: u64::MAX,
            settle_at: 0,
            trial_until: u64::MAX,
            why: Reason::new(),
            storage_errors: 0,
        }
    }

    /// Takes over what the gate found; nothing happens on a board whose own image cannot be read.
    pub fn booted(&mut self, boot: Boot) {
        self.journal = boot.journal;
        // Who has known keys once trusts no stranger, also when they cannot be read any more.
        self.trusts_first = !boot.keys.is_damaged;
        if let Some(keys) = boot.keys.newest(&self.keys) {
            self.keys = keys.clone();
        }
        let Some(running) = boot.running else { return };
        let unproven = self
            .journal
            .job
            .as_ref()
            .filter(|job| job.slot == boot.booted);
        let trial = unproven.filter(|job| job.stage == JobStage::Trial);
        let returning = unproven.filter(|job| job.stage == JobStage::Returning);
        if let Some(job) = returning {
            // The flash did not take the old choice back at the gate; until it does, nothing else happens.
            (self.phase, self.why) = (Phase::Return, job.reason.clone());
        } else if let Some(job) = trial {
            let within = u64::from(job.confirm_within_s) * 1000;
            self.phase = Phase::Trial;
            self.trial_until = within;
            self.settle_at = u64::from(self.policy.settle_ms).min(within / 2);
            self.beat_at = self.settle_at;
            // Nobody waits for the news of a trial whose record is lost.
            self.trial_told = job.update.is_empty();
        } else {
            self.self_test = SelfTest::Passed;
        }
        self.board = Some(Board {
            booted: boot.booted,
            reason: boot.reason,
            layout: boot.layout,
            chip: running.chip,
            running,
        });
    }

    /// Returns the identity and version of the image that runs.
    pub fn running(&self) -> Option<(&Sha, &str)> {
        let running = &self.board.as_ref()?.running;
        Some((&running.sha256, &running.version))
    }

    /// The lowest secure version that the board takes: that of every image that it has confirmed, and of the one that runs,
    /// which may have come over USB or be all that is left when the record is lost.
    pub(super) fn lowest_secure_version(&self) -> u32 {
        let running = self
            .board
            .as_ref()
            .map(|board| board.running.secure_version);
        self.journal.secure_version.max(running.unwrap_or(0))
    }

    /// Returns why the board started, and how often it has.
    pub fn boot(&self) -> Option<(BootReason, u32)> {
        Some((self.board.as_ref()?.reason, self.journal.boots))
    }

    /// Says whether the image that runs has yet to prove itself.
    pub const fn is_trial(&self) -> bool {
        matches!(self.phase, Phase::Trial | Phase::Confirm | Phase::Return)
    }

    /// Says whether a board that sleeps should stay awake for it.
    pub fn is_busy(&self, now: u64) -> bool {
        self.board.is_some()
            && (self.on_the_way.is_some()
                || self.phase != Phase::Idle
                || self.outcome_due()
                || now >= self.ask_at)
    }

    /// Returns what the board does about its firmware.
    pub fn state(&self) -> UpdateState {
        let bytes = self.load.as_ref().map(|load| load.written);
        let job = self.journal.job.as_ref();
        let size = job.map_or(0, |job| job.size);
        match self.phase {
            Phase::Idle => UpdateState::Idle,
            Phase::Rehash { at } => UpdateState::Loading { bytes: at, size },
            Phase::Loading => UpdateState::Loading {
                bytes: bytes.unwrap_or(0),
                size,
            },
            Phase::Verify { .. } => UpdateState::Loading { bytes: size, size },
            Phase::Tell { .. } | Phase::Choose | Phase::Restart { .. } => UpdateState::Written,
            Phase::Trial | Phase::Confirm => UpdateState::Trial,
            Phase::Return => UpdateState::Returning,
        }
    }

    /// Returns how the last update ended, with its reason.
    pub fn outcome(&self) -> Option<(Stage, &str)> {
        let outcome = self.journal.outcome.as_ref()?;
        Some((outcome.stage, &outcome.reason))
    }

    /// Returns how often storing has failed since this was asked last.
    pub fn take_storage_errors(&mut self) -> u64 {
        core::mem::take(&mut self.storage_errors)
    }

    /// Returns the outcome that the server has heard of since this was asked last.
    pub fn take_told(&mut self) -> Option<Stage> {
        self.told_of.take()
    }

    fn outcome_due(&self) -> bool {
        self.journal.outcome.as_ref().is_some_and(|o| !o.reported)
    }

    /// Ends the present update without the image having run.
    fn fail(&mut self, reason: &str) {
        self.journal.end(Stage::Failed, reason);
        self.drop_load();
        self.journal_unsaved = true;
    }

    /// Forgets the present update: nobody wants it any more.
    fn forget(&mut self) {
        if self.journal.job.take().is_some() {
            self.journal_unsaved = true;
        }
        self.drop_load();
    }

    fn drop_load(&mut self) {
        self.load = None;
        self.phase = Phase::Idle;
        self.progress_due = false;
        if matches!(self.on_the_way, Some((Ask::Download, _))) {
            self.on_the_way = None;
            self.abandon = true;
        }
    }
}
