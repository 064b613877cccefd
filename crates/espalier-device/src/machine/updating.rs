//! New firmware: what connects the update machine with the rest of the core, and what a binding calls with its flash.

use embedded_storage::nor_flash::NorFlash;

use espalier_wire::ota::Stage as Told;

use super::link::Link;
use super::polling::{Exchange, Stage};
use super::{Action, Core};
use crate::storage::Storage;
use crate::update::{Boot, Step, UpdateState};

impl<const QUEUE: usize, const FRAME: usize> Core<QUEUE, FRAME> {
    /// Takes over what [`crate::update::gate`] found; call it once, before the first step. Without it the device never
    /// asks for firmware.
    pub fn booted(&mut self, boot: Boot) {
        self.updates.booted(boot);
    }

    /// Does one piece of work on flash and storage, as [`super::Output::Work`] asks; at most some pages are read or written.
    pub fn work<S: Storage, F: NorFlash>(&mut self, storage: &mut S, flash: &mut F) {
        self.updates.work(self.clock.uptime(), storage, flash);
        self.stats.storage_errors += self.updates.take_storage_errors();
    }

    /// Takes in the next bytes of the [`super::Output::Download`] that is on its way, however many. Step afterwards.
    pub fn receive<S: Storage, F: NorFlash>(
        &mut self,
        bytes: &[u8],
        storage: &mut S,
        flash: &mut F,
    ) {
        self.updates.receive(bytes, storage, flash);
    }

    /// Lets the device ask for firmware as soon as it can: someone at the device wants it. Step afterwards.
    pub fn ask_for_update(&mut self) {
        self.asked_at = self.clock.uptime();
        self.updates.nudged(self.asked_at);
    }

    /// Returns what the device does about its firmware.
    pub fn update_state(&self) -> UpdateState {
        self.updates.state()
    }

    /// Returns how the last update ended, in the words of the wire, with its reason.
    pub fn update_outcome(&self) -> Option<(&'static str, &str)> {
        let (stage, reason) = self.updates.outcome()?;
        Some((stage.as_str(), reason))
    }

    /// Returns the version of the image that runs, as its flash says.
    pub fn running_version(&self) -> Option<&str> {
        self.updates.running().map(|(_, version)| version)
    }

    /// Returns SHA-256 of the image that runs, as its flash says.
    pub fn running_sha256(&self) -> Option<&[u8; 32]> {
        self.updates.running().map(|(sha256, _)| sha256)
    }

    /// Says whether a request may be sent, and whether nothing else occupies the device.
    fn may_update(&self) -> (bool, bool) {
        let free = match self.link {
            Link::Online { .. } => true,
            Link::Polling {
                exchange: Exchange::None,
                stage: Stage::Resting,
                next_at,
                ..
            } => self.clock.uptime() < next_at,
            _ => false,
        };
        (free, !self.commands.is_busy())
    }

    pub(super) fn next_update(&mut self) -> Option<Action> {
        let (now, may) = (self.clock.uptime(), self.may_update());
        let step = self
            .updates
            .next(now, may, &mut self.path, &mut self.frame)?;
        Some(match step {
            Step::Request(method) => Action::Request(method),
            Step::Download { from, len } => Action::Download { from, len },
            Step::Abandon => Action::Abandon,
            Step::Work => Action::Work,
            Step::SelfTest => Action::SelfTest,
            Step::Restart => Action::Restart,
        })
    }

    pub(super) fn update_due(&self) -> u64 {
        let (free, quiet) = self.may_update();
        self.updates.due_at(free, quiet)
    }

    pub(super) fn update_answered(&mut self, status: u16, body: &str, retry_after_s: Option<u32>) {
        let now = self.clock.uptime();
        let understood =
            self.updates
                .answered(now, Some(status), body, retry_after_s, &mut self.rng);
        self.stats.not_understood += u64::from(!understood);
        match self.updates.take_told() {
            Some(Told::Confirmed) => self.stats.updates_confirmed += 1,
            Some(Told::RolledBack) => self.stats.updates_rolled_back += 1,
            Some(_) => self.stats.updates_failed += 1,
            None => {}
        }
    }

    pub(super) fn update_failed(&mut self) {
        let now = self.clock.uptime();
        self.updates.answered(now, None, "", None, &mut self.rng);
    }

    pub(super) fn downloaded(&mut self, status: Option<u16>, retry_after_s: Option<u32>) {
        let now = self.clock.uptime();
        self.updates
            .answered(now, status, "", retry_after_s, &mut self.rng);
    }
}
