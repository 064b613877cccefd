//! The boot gate: what a board does first after every start, before the network. The bootloader that ships with espflash does
//! not take an image back by itself; this does. Not the proof of a new image: that is the machine's, minutes later.
//!
//! The gate acts only when the slot that runs is the slot that was chosen. When they differ, the bootloader has refused the
//! chosen image: then the choice is what is wrong, and is set to what runs.
//!
//! | runs | the record says | the gate |
//! |---|---|---|
//! | not what was chosen | – | chooses what runs; an update that wanted the other is over: `bootloader` |
//! | the new image | written | begins the trial |
//! | the new image | on trial | goes on after a power cut, twice at most; after a crash takes the old image back |
//! | the new image | to be taken back | takes the old image back |
//! | the new image, confirmed in flash | on trial | notes the confirmation that the power cut |
//! | the old image | on trial, or to be taken back | notes that it is back |
//! | the old image | loading, or written | goes on with it |

use embedded_storage::nor_flash::NorFlash;
use espalier_image::app::{HEAD, Head};
use espalier_image::otadata::{OtaData, State, abort_other, choose, set_state};
use espalier_wire::ota::{Stage, reasons};

use super::journal::{Installed, Job, JobStage, Journal, Reason, StoredKeys, UpdateId, cut};
use super::layout::{Layout, Running};
use crate::storage::Storage;

/// Starts of an image on trial before it is taken back, when each of them was the power's fault.
pub const MAX_TRIAL_STARTS: u8 = 3;
/// Starts in a row in the middle of a download that makes no progress, before the attempt is given up.
pub const MAX_LOADING_STARTS: u8 = 10;
/// How long an image may take to prove itself when the record of its update is lost, in seconds.
const NAMELESS_CONFIRM_S: u32 = 600;

/// Why the board started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootReason {
    /// The power came.
    PowerOn,
    /// The firmware restarted the chip on purpose.
    Restart,
    /// The firmware crashed.
    Panic,
    /// The firmware hung.
    Watchdog,
    /// The supply voltage was too low.
    Brownout,
    /// A deep sleep ended.
    DeepSleep,
    /// The chip does not say.
    Unknown,
}

impl BootReason {
    /// Returns the word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            BootReason::PowerOn => "power_on",
            BootReason::Restart => "restart",
            BootReason::Panic => "panic",
            BootReason::Watchdog => "watchdog",
            BootReason::Brownout => "brownout",
            BootReason::DeepSleep => "deep_sleep",
            BootReason::Unknown => "unknown",
        }
    }

    /// Reads the number by which the ROM of an ESP32 says why the chip started; all chips of the family number alike, and those
    /// that lack a reason leave its number out. `software` is what a reset by software means: only the firmware knows.
    pub const fn from_rom(code: u32, software: BootReason) -> Self {
        match code {
            // Some chips say so after a brown-out, too.
            0x01 => BootReason::PowerOn,
            // The whole chip, or one core.
            0x03 | 0x0c => software,
            0x05 => BootReason::DeepSleep,
            0x0f => BootReason::Brownout,
            // The watchdogs of both timer groups and of the clock that never stops, each of which can reset the chip or one core;
            // and the one that watches the latter.
            0x07..=0x09 | 0x0b | 0x0d | 0x10..=0x12 => BootReason::Watchdog,
            // Whoever flashes or debugs over USB resets the chip: not the firmware's fault.
            0x15 | 0x16 => BootReason::Restart,
            _ => BootReason::Unknown,
        }
    }

    /// Says whether the firmware is at fault; on trial the doubt counts against it.
    pub const fn is_crash(self) -> bool {
        matches!(
            self,
            BootReason::Panic | BootReason::Watchdog | BootReason::Unknown
        )
    }
}

/// What the gate knows about this start; hand it to [`crate::Core::booted`].
#[derive(Debug, Clone)]
pub struct Boot {
    pub(crate) booted: u8,
    pub(crate) reason: BootReason,
    pub(crate) layout: Layout,
    pub(crate) running: Option<Running>,
    pub(crate) journal: Journal,
    pub(crate) keys: StoredKeys,
}

impl Boot {
    /// Returns the image that runs, when the flash holds one.
    pub const fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    /// Says whether the image that runs has yet to prove itself.
    pub fn is_trial(&self) -> bool {
        self.journal
            .job
            .as_ref()
            .is_some_and(|job| job.stage == JobStage::Trial)
    }

    /// Returns how long after its start an image on trial must have proven itself, in milliseconds.
    pub fn trial_ms(&self) -> Option<u64> {
        let job = self.journal.job.as_ref();
        let trial = job.filter(|job| job.stage == JobStage::Trial);
        Some(u64::from(trial?.confirm_within_s) * 1000)
    }

    /// Notes that the image on trial is to be taken back: for a board that runs no core, which would prove the image or do this.
    /// Restart afterwards, so that the gate takes it back; where nothing can be noted, the starts of a trial end it.
    ///
    /// # Errors
    /// When the storage cannot be written.
    pub fn give_up<S: Storage>(&mut self, storage: &mut S) -> Result<(), S::Error> {
        let job = self.journal.job.as_mut();
        let Some(job) = job.filter(|job| job.stage == JobStage::Trial) else {
            return Ok(());
        };
        (job.stage, job.reason) = (JobStage::Returning, cut(reasons::SELF_TEST));
        self.journal.save(storage)
    }

    /// Returns how often the board has started in its life.
    pub const fn boots(&self) -> u32 {
        self.journal.boots
    }
}

/// What to do after the gate.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "made once per start, and there is no heap to put it on"
)]
pub enum Gate {
    /// Go on starting.
    Go(Boot),
    /// Reset the chip at once: the old image is to run.
    Restart,
}

/// What the flash must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing.
    Go,
    /// The image that runs is on trial.
    Trial,
    /// What runs is what is chosen.
    Settle,
    /// The image in this slot is to run instead.
    Return(u8),
}

/// Decides at a start, and changes OTA data and record accordingly. `booted` is the slot that runs. Call it once per start, first.
///
/// Flash or storage that fails does not keep the board from starting.
pub fn gate<S: Storage, F: NorFlash>(
    storage: &mut S,
    flash: &mut F,
    layout: &Layout,
    booted: u8,
    reason: BootReason,
) -> Gate {
    let mut journal = Journal::load(storage);
    journal.boots = journal.boots.saturating_add(1);
    let at = layout.otadata;
    let (count, data) = (layout.count(), OtaData::read(flash, at).ok());
    let verdict = data.map_or(Verdict::Go, |data| {
        if journal.job.is_none() && data.selected(count) == booted {
            without_record(&mut journal, flash, &data, layout, booted)
        } else {
            judge(&mut journal, &data, layout, booted, reason)
        }
    });
    // The record comes first: an image that dies in the next line has had its start counted.
    let _ = journal.save(storage);
    match verdict {
        Verdict::Go => {}
        Verdict::Trial => {
            if data.is_some_and(|data| data.state() != State::PendingVerify) {
                let _ = set_state(flash, at, count, State::PendingVerify);
            }
        }
        Verdict::Settle => {
            let _ = choose(flash, at, count, booted, State::Valid);
        }
        Verdict::Return(old) => {
            if choose(flash, at, count, old, State::Valid).is_ok() {
                let _ = abort_other(flash, at, count, booted);
                return Gate::Restart;
            }
        }
    }
    let known = match (&journal.job, journal.installed) {
        (Some(job), _) if job.slot == booted => Some((job.sha256, job.size)),
        (_, Some(installed)) if installed.slot == booted => {
            Some((installed.sha256, installed.size))
        }
        _ => None,
    };
    Gate::Go(Boot {
        booted,
        reason,
        running: Running::read(flash, layout.slot(booted), known),
        layout: layout.clone(),
        keys: StoredKeys::load(storage),
        journal,
    })
}

fn judge(
    journal: &mut Journal,
    data: &OtaData,
    layout: &Layout,
    booted: u8,
    boot_reason: BootReason,
) -> Verdict {
    let selected = data.selected(layout.count());
    let Some(job) = &mut journal.job else {
        return Verdict::Settle;
    };
    let runs_new = job.slot == booted;
    if selected != booted {
        let why = match job.stage {
            JobStage::Returning => job.reason.clone(),
            _ => cut(reasons::BOOTLOADER),
        };
        match job.stage {
            // The old image does not start any more, so the new one is all there is.
            JobStage::Trial | JobStage::Returning if runs_new => confirm(journal),
            JobStage::Loading if !runs_new => {}
            _ if runs_new => journal.job = None,
            _ => journal.end(Stage::RolledBack, &why),
        }
        return Verdict::Settle;
    }
    match (runs_new, job.stage) {
        (true, JobStage::Loading) => journal.job = None,
        (true, JobStage::Written) => {
            (job.stage, job.starts) = (JobStage::Trial, 1);
            return Verdict::Trial;
        }
        (true, JobStage::Trial) if data.state() == State::Valid => confirm(journal),
        (true, JobStage::Trial) => {
            if !boot_reason.is_crash() && job.starts < MAX_TRIAL_STARTS {
                job.starts += 1;
                return Verdict::Trial;
            }
            (job.stage, job.reason) = (JobStage::Returning, cut(reasons::CRASH_LOOP));
            return Verdict::Return(job.old);
        }
        (true, JobStage::Returning) => return Verdict::Return(job.old),
        (false, JobStage::Loading) => {
            job.starts = job.starts.saturating_add(1);
            if job.starts > MAX_LOADING_STARTS {
                journal.end(Stage::Failed, reasons::DOWNLOAD);
            }
        }
        (false, JobStage::Written) => {
            if was_started(data, job) {
                journal.end(Stage::RolledBack, reasons::CRASH_LOOP);
            }
        }
        (false, JobStage::Trial) => journal.end(Stage::RolledBack, reasons::BOOTLOADER),
        (false, JobStage::Returning) => {
            let why = job.reason.clone();
            journal.end(Stage::RolledBack, &why);
        }
    }
    Verdict::Go
}

/// Whether a bootloader that takes images back by itself has done so before this gate ran in the new image.
fn was_started(data: &OtaData, job: &Job) -> bool {
    data.entries()
        .iter()
        .flatten()
        .any(|entry| entry.sequence == job.sequence && entry.state.is_refused())
}

/// The image that runs is chosen and there is no record: usual, or the record was erased in the middle of a trial.
fn without_record<F: NorFlash>(
    journal: &mut Journal,
    flash: &mut F,
    data: &OtaData,
    layout: &Layout,
    booted: u8,
) -> Verdict {
    let old = layout.after(booted);
    match data.state() {
        State::New => {
            journal.job = Some(Job {
                update: UpdateId::new(),
                attempt: 0,
                sha256: [0; 32],
                size: 0,
                secure_version: 0,
                confirm_within_s: NAMELESS_CONFIRM_S,
                patch: false,
                bytes: 0,
                stage: JobStage::Trial,
                slot: booted,
                old,
                sequence: 0,
                starts: 1,
                reason: Reason::new(),
            });
            Verdict::Trial
        }
        State::PendingVerify if holds_image(flash, layout, old) => Verdict::Return(old),
        State::PendingVerify => Verdict::Settle,
        _ => Verdict::Go,
    }
}

fn holds_image<F: NorFlash>(flash: &mut F, layout: &Layout, slot: u8) -> bool {
    let mut head = [0; HEAD];
    flash.read(layout.slot(slot).offset, &mut head).is_ok() && Head::parse(&head).is_ok()
}

/// Notes that the image of the present update stays.
pub(crate) fn confirm(journal: &mut Journal) {
    if let Some(job) = &journal.job {
        journal.secure_version = journal.secure_version.max(job.secure_version);
        if !job.update.is_empty() {
            journal.installed = Some(Installed {
                slot: job.slot,
                size: job.size,
                sha256: job.sha256,
            });
        }
    }
    journal.end(Stage::Confirmed, "");
}

#[cfg(test)]
mod tests {
    use super::BootReason;

    #[test]
    fn the_numbers_of_the_rom_are_reasons() {
        let reasons = [
            (0x01, BootReason::PowerOn),
            (0x05, BootReason::DeepSleep),
            (0x0f, BootReason::Brownout),
            (0x15, BootReason::Restart),
            (0x16, BootReason::Restart),
            // A peripheral of the ESP32, the other core, a fault of the fuses: nobody knows whose fault it is.
            (0x06, BootReason::Unknown),
            (0x0e, BootReason::Unknown),
            (0x14, BootReason::Unknown),
            (0x00, BootReason::Unknown),
        ];
        for (code, reason) in reasons {
            assert_eq!(
                BootReason::from_rom(code, BootReason::Panic),
                reason,
                "{code:#x}"
            );
        }
        for code in [0x07, 0x08, 0x09, 0x0b, 0x0d, 0x10, 0x11, 0x12] {
            assert_eq!(
                BootReason::from_rom(code, BootReason::Panic),
                BootReason::Watchdog
            );
        }
        for software in [BootReason::Restart, BootReason::Panic, BootReason::Unknown] {
            assert_eq!(BootReason::from_rom(0x03, software), software);
            assert_eq!(BootReason::from_rom(0x0c, software), software);
        }
    }
}
