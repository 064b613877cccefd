//! What the node of a board decides and the board does: joining its Wi-Fi, driving its pins, keeping its schedules, counting its
//! starts. `Core` stands beside it and keeps the connection.
//!
//! The node lives by the clock of the radio: `rate` times as fast as the board measures by. So at a higher rate also the `every`
//! of schedules and the minute after which a start counts as good pass faster. The time of day stays the server's.

use std::time::Duration;

use espalier_device::Input;
use espalier_device::node::{Node, NodeInput, NodeOutput, View};
use espalier_device::safe::{BOOTS_OFFSET, Boots};
use espalier_device::schedule;
use espalier_device::state::STATE_IMAGE;
use espalier_device::update::BootReason;
use espalier_device::wifi::{self, Policy};
use espalier_wire::json::{Json, Value};
use tokio::time::Instant;

use super::{Board, QUEUE, radio};
use crate::flash::RECORDS;
use crate::kinds::BoardKind;
use crate::options::{BoardSpec, SimOptions};
use crate::wiring;

/// Where the clock of a board begins, in milliseconds, so that it can jump back by years.
const CLOCK_BEGINS_MS: i64 = 1 << 40;

/// Makes the node of a board of which `failed` starts in a row have failed.
pub(super) fn node(spec: &BoardSpec, zone_s: i32, failed: u32, seed: u64) -> Node {
    Node::new(
        &wiring::profile(spec.kind),
        wiring::capabilities(spec.kind),
        Policy::default(),
        wiring::zone(zone_s),
        failed,
        seed,
    )
}

/// Makes the node of a board that has never started.
pub(super) fn first(spec: &BoardSpec, options: &SimOptions) -> Box<Node> {
    Box::new(node(spec, options.utc_offset_s, 0, spec.seed))
}

/// Says whether the node sets this switch; else the model does.
pub(super) fn is_nodes(kind: BoardKind, key: &str) -> bool {
    key == schedule::KEY || wiring::switched(kind).any(|wired| wired == key)
}

impl Board {
    /// Counts the start and makes the node anew, with the schedules in flash.
    pub(super) fn start_node(&mut self, seed: u64, reason: BootReason) {
        let computer = &mut self.computer;
        let at = RECORDS.offset + BOOTS_OFFSET;
        let count = Boots::start(&mut computer.flash, at, computer.slot, reason);
        computer.boots = Some(count.boots);
        *self.node = node(&self.spec, self.utc_offset_s, count.failed, seed);
        self.node.restore(&mut computer.records);
        self.node.set_networks([radio::SSID], None);
        self.switched = false;
        // Without power no pin is driven.
        for key in wiring::switched(self.spec.kind) {
            self.model.drive(key, 0);
        }
    }

    /// Gives the core its switches and what it remembers, and lets the board be as it was.
    pub(super) fn restore(&mut self) {
        self.node.declare(&mut self.core);
        for (key, value) in self.model.switches() {
            if let Ok(json) = Json::parse(value) {
                self.core.declare_switch(key, Value::Json(json));
            }
        }
        let mut scratch = vec![0; QUEUE.max(STATE_IMAGE) + 16];
        self.core.restore(&mut self.computer.records, &mut scratch);
        let (kind, node, model) = (self.spec.kind, &mut self.node, &mut self.model);
        self.core.resume(|key, value| {
            if is_nodes(kind, key) {
                node.apply(key, value)
            } else {
                !node.is_safe() && model.set(key, value)
            }
        });
    }

    /// The clock of the board's chip in milliseconds, which may jump. `ran` is how long it has run.
    pub(super) fn chip_ms(&self, ran: u64) -> u64 {
        let begins = CLOCK_BEGINS_MS.saturating_add(self.clock_offset_ms);
        u64::try_from(begins).unwrap_or(0).saturating_add(ran)
    }

    /// Tells the node how the core is, and does what it wants then.
    pub(super) fn look(&mut self) {
        let view = View {
            led: self.core.led(),
            wall_ms: self.core.wall_ms(),
            update: self.core.update_state(),
        };
        self.step_node(NodeInput::Core(view));
    }

    /// Lets the radio say what has become of its orders.
    pub(super) fn hear_radio(&mut self) {
        if let Some(event) = self.radio.outcome(self.radio_ms()) {
            self.step_node(NodeInput::Wifi(event));
        }
    }

    /// The network is lost.
    pub(super) fn lose_wifi(&mut self) {
        self.step_node(NodeInput::Wifi(wifi::Event::Lost));
        self.drop_network();
    }

    /// Takes one input of the node and does what it wants.
    pub(super) fn step_node(&mut self, input: NodeInput<'_>) {
        let now = self.chip_ms(self.radio_ms());
        self.node.step(now, input);
        self.obey();
    }

    fn obey(&mut self) {
        let (core_ms, radio_ms) = (self.clock_ms(), self.radio_ms());
        while let Some(output) = self.node.poll() {
            match output {
                NodeOutput::Wifi(action) => self.radio.obey(radio_ms, action),
                NodeOutput::Level { gpio, level } => {
                    if let Some((key, level)) = wiring::driven(self.spec.kind, gpio, level) {
                        self.model.drive(key, level);
                    }
                }
                NodeOutput::Changed { key, value } => {
                    self.core.step(core_ms, Input::LocalChange { key, value });
                    self.switched = true;
                }
                NodeOutput::AskForUpdate => self.core.ask_for_update(),
                // What fails is stored with the next change.
                NodeOutput::StoreSchedules => {
                    let _ = self.node.store(&mut self.computer.records);
                }
                NodeOutput::Settle => self.computer.settle(),
                NodeOutput::Restart(_) => self.core.want_restart(),
                // No board has a button, a display or a motion sensor on a pin.
                NodeOutput::NextPage | NodeOutput::Motion(_) | NodeOutput::FactoryReset => {}
            }
        }
        self.see_radio();
    }

    /// Returns when node and radio must be looked at again.
    pub(super) fn node_at(&self) -> Instant {
        let radio = self.radio.due().saturating_sub(self.radio_ms());
        let after = self.node.wake_in_ms().min(radio);
        // Rounded up to a whole millisecond, so that it is due when the time has come.
        let ms = (after as f64 / self.rate).ceil() + 1.0;
        Instant::now() + Duration::from_secs_f64(ms / 1_000.0)
    }
}
