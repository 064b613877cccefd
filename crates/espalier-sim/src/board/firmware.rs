//! The board as a computer: it starts what its bootloader finds in flash, behaves as that image says, and loses its power.

use std::path::PathBuf;
use std::time::Duration;

use espalier_device::node::NodeInput;
use espalier_device::records::Records;
use espalier_device::safe::Boots;
use espalier_device::update::{BootReason, Gate, UpdateState, gate};
use espalier_device::{Core, Input};
use espalier_image::chip::Chip;
use tokio::time::Instant;

use super::radio::Radio;
use super::{Board, Link};
use crate::firmware::{Behaviour, Fault, Firmware};
use crate::flash::{Flash, Pool, SLOTS, bootloader, layout, records};
use crate::options::{BoardSpec, SimOptions};
use crate::summary::Runs;

/// How long an image that crashes lives.
const CRASH_AFTER: Duration = Duration::from_millis(400);
/// How long the Wi-Fi of an image that loses it works: less than an image must live before it may stay.
const WIFI_LASTS: Duration = Duration::from_secs(4);
/// How long the memory of an image that leaks lasts.
const LEAK_LASTS: Duration = Duration::from_secs(90);
/// Free heap of a board in bytes; each board differs a little.
const HEAP: u32 = 118_000;
/// How long a board that cannot start is left alone.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The flash of a board and what runs from it.
pub(super) struct Computer {
    pub(super) flash: Flash,
    pub(super) records: Records<Flash>,
    chip: Chip,
    behaviour: Behaviour,
    pub(super) slot: u8,
    /// The count of starts in flash, to say that this one was good; none before the first.
    pub(super) boots: Option<Boots>,
    started: Instant,
    /// How the Wi-Fi of this start ends.
    wifi_until: Option<Instant>,
    /// How this start ends, if by itself.
    crash_at: Option<Instant>,
    bricked: bool,
}

/// Makes the flash of a board: the one in its file, or a new one with the image from the factory.
pub(super) fn computer(
    spec: &BoardSpec,
    options: &SimOptions,
    pool: &Pool,
) -> std::io::Result<Computer> {
    let file = options.flash_dir.as_deref().map(|dir| file(dir, spec));
    let (flash, used) = match &file {
        Some(file) => Flash::in_file(file)?,
        None => (Flash::in_memory(pool), false),
    };
    let chip = Chip::from_name(spec.kind.chip()).unwrap_or(Chip::Esp32C3);
    if !used {
        let factory = Firmware {
            size: options.firmware_size,
            ..Firmware::new(chip, &options.firmware)
        };
        flash
            .burn(SLOTS[0].offset, &factory.image())
            .map_err(|_| std::io::Error::other("the firmware does not fit into the slot"))?;
    }
    Ok(Computer {
        records: records(&flash),
        flash,
        chip,
        behaviour: Behaviour {
            version: options.firmware.clone(),
            fault: Fault::None,
        },
        slot: 0,
        boots: None,
        started: Instant::now(),
        wifi_until: None,
        crash_at: None,
        bricked: false,
    })
}

impl Computer {
    /// Notes that this start was good. What fails counts as a start that was not.
    pub(super) fn settle(&mut self) {
        if let Some(boots) = &mut self.boots {
            let _ = boots.settle(&mut self.flash);
        }
    }
}

fn file(dir: &std::path::Path, spec: &BoardSpec) -> PathBuf {
    dir.join(format!("{}.flash", spec.device_id))
}

impl Board {
    /// Starts the board: the bootloader, the gate, the core, as often as it takes.
    pub(super) fn start(&mut self, mut reason: BootReason) {
        self.unplug();
        let computer = &mut self.computer;
        let boot = loop {
            computer.flash.power_on();
            let found = bootloader::start(&mut computer.flash, computer.chip);
            let Ok(Some(started)) = found else {
                computer.bricked = true;
                self.counters.bricked(&mut self.share);
                return;
            };
            if let Some(behaviour) = Behaviour::of(&started.image) {
                computer.behaviour = behaviour;
            }
            computer.slot = started.slot;
            let (records, flash) = (&mut computer.records, &mut computer.flash);
            match gate(records, flash, &layout(), started.slot, reason) {
                Gate::Go(boot) => break boot,
                Gate::Restart => reason = BootReason::Restart,
            }
            self.counters.restarted(&mut self.share);
        };
        computer.started = Instant::now();
        let seed = self.spec.seed.wrapping_add(self.samples);
        self.radio = Radio::new(seed, self.radio.has_air());
        *self.core = Core::new(self.config.clone(), seed);
        self.start_node(seed, reason);
        self.restore();
        self.tempt_fate();
        self.core.booted(boot);
        (self.clock_started, self.clock_offset_ms) = (Instant::now(), 0);
        self.step(Input::Tick);
    }

    /// Decides how this start ends, if by itself.
    fn tempt_fate(&mut self) {
        let at = |after: Duration| Instant::now() + after;
        let computer = &mut self.computer;
        let fault = computer.behaviour.fault;
        computer.wifi_until = (fault == Fault::LosesWifi).then(|| at(WIFI_LASTS));
        computer.crash_at = match fault {
            Fault::Crash => Some(at(CRASH_AFTER)),
            Fault::CrashMeasuring if !self.node.is_safe() => Some(at(CRASH_AFTER)),
            Fault::Leaks => Some(at(LEAK_LASTS)),
            _ => None,
        };
    }

    /// The board starts again; what it had not stored is lost.
    pub(super) fn restart(&mut self, reason: BootReason) {
        if reason == BootReason::Restart {
            self.step_node(NodeInput::Restarting);
        }
        self.publish();
        self.counters.restarted(&mut self.share);
        self.start(reason);
    }

    /// Everything that needs power ends.
    fn unplug(&mut self) {
        (self.link, self.request, self.download) = (Link::None, None, None);
        self.open_waits = false;
        self.sent.clear();
    }

    /// Starts again when the power failed in the middle of a write.
    pub(super) fn check_power(&mut self) {
        if self.computer.flash.is_dead() {
            self.counters.power_cut();
            self.restart(BootReason::PowerOn);
        }
    }

    /// The power will fail in one of the next writes.
    pub(super) fn weaken_power(&mut self) {
        let noise = self.computer.flash.operations() ^ self.spec.seed.rotate_left(32);
        self.computer.flash.cut_power_at(noise % 24, noise);
    }

    /// Milliseconds of the radio's life since the board started: by no clock that jumps, and as much faster as the board measures.
    pub(super) fn radio_ms(&self) -> u64 {
        (self.computer.started.elapsed().as_secs_f64() * 1_000.0 * self.rate) as u64
    }

    /// Returns when the image does something by itself.
    pub(super) fn fate_at(&self) -> Option<Instant> {
        if self.computer.bricked {
            return Some(Instant::now() + FOREVER);
        }
        let fates = [self.computer.wifi_until, self.computer.crash_at];
        fates.into_iter().flatten().min()
    }

    /// Lets the image do what is due; says whether something was.
    pub(super) fn meet_fate(&mut self) -> bool {
        let now = Instant::now();
        if self.computer.crash_at.is_some_and(|at| at <= now) {
            self.restart(BootReason::Panic);
            return true;
        }
        if self.computer.wifi_until.take_if(|at| *at <= now).is_some() {
            self.radio.fail();
            self.lose_wifi();
            return true;
        }
        false
    }

    pub(super) const fn is_bricked(&self) -> bool {
        self.computer.bricked
    }

    /// The image's own check of the hardware.
    pub(super) fn self_test(&mut self) {
        match self.computer.behaviour.fault {
            Fault::NeverConfirms => {}
            fault => self.step(Input::SelfTested {
                ok: fault != Fault::SelfTest,
            }),
        }
    }

    /// Free heap in bytes.
    pub(super) fn heap_free(&self) -> u32 {
        let full = HEAP + (self.spec.seed % 9_000) as u32;
        if self.computer.behaviour.fault != Fault::Leaks {
            return full;
        }
        let gone = self.computer.started.elapsed().as_secs_f64() / LEAK_LASTS.as_secs_f64();
        (f64::from(full) * (1.0 - gone)).max(2_000.0) as u32
    }

    /// Returns what the counters show of this board's firmware.
    pub(super) fn runs(&self) -> Runs {
        Runs {
            version: self.computer.behaviour.version.clone(),
            slot: self.computer.slot,
            safe: self.node.is_safe(),
            state: match self.core.update_state() {
                UpdateState::Idle => 0,
                UpdateState::Loading { .. } => 1,
                UpdateState::Written => 2,
                UpdateState::Trial => 3,
                UpdateState::Returning => 4,
            },
        }
    }
}
