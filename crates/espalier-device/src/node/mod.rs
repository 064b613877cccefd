//! What a board does beside its connection: Wi-Fi, light, buttons, switches, schedules, safe mode. It composes the machines of
//! this crate into one with inputs, outputs and a time to wake up; [`crate::Core`] stands beside it and keeps the connection.
//!
//! # The loop of a binding
//! 1. [`Node::step`] with whatever happened, also [`NodeInput::Tick`] after [`Node::wake_in_ms`] at the latest.
//! 2. [`Node::poll`] until it is empty; do what it says.
//! 3. Between node and core: `Output::Apply` of the core goes to [`Node::apply`]; [`NodeOutput::Changed`] becomes
//!    `Input::LocalChange`; [`NodeOutput::AskForUpdate`] is [`crate::Core::ask_for_update`]; what [`crate::Core::led`],
//!    [`crate::Core::wall_ms`] and [`crate::Core::update_state`] return goes into [`NodeInput::Core`] after every step of the core.
//! 4. At the start: [`crate::safe::Boots::start`], then [`Node::new`], [`Node::restore`] and [`Node::declare`]; restore the core, and
//!    let [`crate::Core::resume`] hand what its switches remember to [`Node::apply`].
//!
//! # Variants
//! The kinds of firmware are capabilities of one node ([`Capabilities`]), not copies of it.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the machine |
//! | `io.rs` | inputs, outputs, capabilities |
//! | `station.rs` | the node and [`crate::setup`] together: what a board with Wi-Fi runs |
//! | `switches.rs` | relays and PWM pins |
//! | `lights.rs` | what the LEDs show |
//! | `glow.rs` | the pattern that a person chooses for the LED |
//! | `hands.rs` | buttons and the motion sensor |

mod glow;
mod hands;
mod io;
mod lights;
mod station;
#[cfg(test)]
mod station_tests;
mod switches;
#[cfg(test)]
mod tests;

use core::fmt::Write;

use espalier_wire::json::{Json, Value};
use heapless::String;

use crate::clock::Clock;
use crate::led::{Burst, Lamp, bursts};
use crate::machine::Core;
use crate::profile::{Profile, Role};
use crate::refusals::MAX_REASON;
use crate::safe::{self, Safe, Task, Watchdog};
use crate::schedule::{self, Schedules, Zone};
use crate::storage::Storage;
use crate::update::UpdateState;
use crate::wifi::{self, Status, Wifi};
use glow::Glow;
pub use glow::{KEYS as GLOW_KEYS, modes as glow_modes};
use hands::{Hands, Wish};
pub use io::{Capabilities, NodeInput, NodeOutput, View, Why};
pub use lights::IDENTIFY_MS;
use lights::Lit;
pub use station::{Station, StationError, StationInput, StationOutput, profile_of};
use switches::Pins;

/// Longest time between two steps, in milliseconds: each lets the watchdog be fed.
const STEP_MS: u64 = Task::Node.limit_ms() / 3;

/// What is due once, in the order in which it is told.
#[derive(Debug, Default)]
struct Once {
    ask: bool,
    page: bool,
    motion: Option<bool>,
    store: bool,
    settle: bool,
    reset: bool,
    restart: Option<Why>,
}

/// The machine.
#[derive(Debug)]
pub struct Node {
    can: Capabilities,
    clock: Clock,
    due: Option<u64>,
    wifi: Wifi,
    lamp: Lamp,
    glow: Glow,
    status_led: Option<Lit>,
    external_led: Option<Lit>,
    hands: Hands,
    pins: Pins,
    schedules: Schedules,
    /// Runs of schedules that named no switch of the board.
    idle_runs: u32,
    safe: Safe,
    watchdog: Watchdog,
    view: View,
    once: Once,
    settled: bool,
    /// Until when the board shows which one it is.
    identify_until: u64,
    /// Why the last value was refused; empty when it was not.
    refusal: String<MAX_REASON>,
}

impl Node {
    /// Makes the node of a board. `failed` is what [`crate::safe::Boots::start`] says, the seed spreads the attempts of the Wi-Fi.
    pub fn new(
        profile: &Profile,
        can: Capabilities,
        wifi: wifi::Policy,
        zone: Zone,
        failed: u32,
        seed: u64,
    ) -> Self {
        let safe = Safe::new(failed);
        let lit = |role| profile.pin(role).map(Lit::new);
        let mut node = Node {
            can,
            clock: Clock::default(),
            due: None,
            wifi: Wifi::new(wifi, seed),
            lamp: Lamp::default(),
            glow: Glow::default(),
            status_led: lit(Role::Led),
            external_led: lit(Role::ExternalLed).filter(|_| can.pattern && !safe.is_safe()),
            hands: Hands::new(profile, can, safe.is_safe()),
            pins: Pins::of(profile, can.switches, safe.is_safe()),
            schedules: Schedules::new(zone),
            idle_runs: 0,
            safe,
            watchdog: Watchdog::default(),
            view: View::default(),
            once: Once::default(),
            settled: false,
            identify_until: 0,
            refusal: String::new(),
        };
        node.watchdog.watch(Task::Node, 0, Task::Node.limit_ms());
        node.lamp.burst(0, bursts::START);
        node
    }

    /// Returns the switches to declare to the core, with their values at the start.
    pub fn switches(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        let glow = self.glow.settings().filter(|_| self.can.pattern);
        let list = Json::parse(self.schedules.text())
            .ok()
            .filter(|_| self.can.schedules);
        let list = list.map(|list| (schedule::KEY, Value::Json(list)));
        self.pins.values().chain(glow).chain(list)
    }

    /// Declares the switches of the board to its core; says whether all of them found room. Call it after [`Node::restore`].
    pub fn declare<const QUEUE: usize, const FRAME: usize>(
        &self,
        core: &mut Core<QUEUE, FRAME>,
    ) -> bool {
        let mut all = true;
        for (key, value) in self.switches() {
            all &= if key == schedule::KEY {
                core.declare_long_switch(key, value)
            } else {
                core.declare_switch(key, value)
            };
        }
        all
    }

    /// Takes over the schedules that an earlier start stored; returns how many.
    pub fn restore<S: Storage>(&mut self, storage: &mut S) -> usize {
        if self.can.schedules {
            self.schedules.restore(storage, self.clock.uptime())
        } else {
            0
        }
    }

    /// Stores the schedules, as [`NodeOutput::StoreSchedules`] asks.
    ///
    /// # Errors
    /// When the storage cannot be written; it is asked for again with the next change.
    pub fn store<S: Storage>(&mut self, storage: &mut S) -> Result<(), S::Error> {
        self.schedules.store(storage)
    }

    /// Tells the saved networks, by their names; `first` is tried at once. Step and poll afterwards.
    pub fn set_networks<'a>(
        &mut self,
        ssids: impl IntoIterator<Item = &'a str>,
        first: Option<u8>,
    ) {
        self.wifi.set_networks(ssids, first);
    }

    /// Takes one input at `now`, milliseconds of a clock that counts up. Poll afterwards until nothing is left.
    pub fn step(&mut self, now: u64, input: NodeInput<'_>) {
        self.clock.advance(now, self.due);
        let uptime = self.clock.uptime();
        self.watchdog.seen(Task::Node, uptime);
        let event = match input {
            NodeInput::Wifi(event) => event,
            NodeInput::Pin { gpio, high } => {
                self.hands.level(gpio, high);
                wifi::Event::Tick
            }
            NodeInput::Core(view) => {
                self.look(view);
                wifi::Event::Tick
            }
            NodeInput::Restarting => {
                self.settle();
                wifi::Event::Tick
            }
            NodeInput::Tick => wifi::Event::Tick,
        };
        let was = self.wifi.status();
        self.wifi.step(uptime, event);
        self.see_wifi(was);
        self.see_hands();
        self.run_schedules();
        match self.safe.step(uptime) {
            Some(safe::Action::Settle) => self.settle(),
            Some(safe::Action::Restart) => self.once.restart = Some(Why::LeaveSafeMode),
            None => {}
        }
        self.show();
        self.due = Some(self.due_at());
    }

    /// Sets a switch; says whether the value took effect, which is the answer to `Output::Apply` of the core. When it did not,
    /// [`Node::refusal`] says whether it never will. Poll afterwards.
    pub fn apply(&mut self, key: &str, value: Json<'_>) -> bool {
        self.refusal.clear();
        let uptime = self.clock.uptime();
        if key == schedule::KEY && self.can.schedules {
            let set = self.schedules.set(value, uptime, self.clock.wall());
            self.once.store |= self.schedules.take_news();
            if let Err(error) = &set {
                // What does not fit is left away.
                let _ = write!(self.refusal, "{error}");
            }
            return set.is_ok();
        }
        // What may have crashed the board is not driven until it has lived in safe mode; the server keeps the wish.
        if self.safe.is_safe() {
            return false;
        }
        let done = self.pins.set(key, value) || (self.can.pattern && self.glow.set(key, value));
        if !done {
            let _ = self.refusal.push_str("this board does not take that value");
        }
        self.show();
        done
    }

    /// Returns why the value of the last [`Node::apply`] was refused for good; none when it was taken, or may be later.
    pub fn refusal(&self) -> Option<&str> {
        Some(self.refusal.as_str()).filter(|why| !why.is_empty())
    }

    /// Returns the next thing to do; nothing more until the next step when it returns none.
    pub fn poll(&mut self) -> Option<NodeOutput<'_>> {
        if let Some(action) = self.wifi.poll() {
            return Some(NodeOutput::Wifi(action));
        }
        if let Some((gpio, level)) = self.pins.next_level() {
            return Some(NodeOutput::Level { gpio, level });
        }
        if let Some((gpio, level)) = self.next_light() {
            return Some(NodeOutput::Level { gpio, level });
        }
        let once = &mut self.once;
        if core::mem::take(&mut once.ask) {
            return Some(NodeOutput::AskForUpdate);
        }
        if core::mem::take(&mut once.page) {
            return Some(NodeOutput::NextPage);
        }
        if let Some(motion) = once.motion.take() {
            return Some(NodeOutput::Motion(motion));
        }
        if core::mem::take(&mut once.store) {
            return Some(NodeOutput::StoreSchedules);
        }
        if core::mem::take(&mut once.settle) {
            return Some(NodeOutput::Settle);
        }
        if core::mem::take(&mut once.reset) {
            return Some(NodeOutput::FactoryReset);
        }
        if let Some(why) = once.restart.take() {
            // A restart of the board's own wish is no failure; that is written first.
            if !self.settled {
                self.settled = true;
                self.once.restart = Some(why);
                return Some(NodeOutput::Settle);
            }
            return Some(NodeOutput::Restart(why));
        }
        if self.pins.has_changes() {
            let (key, value) = self.pins.next_change()?;
            return Some(NodeOutput::Changed { key, value });
        }
        if self.glow.has_changes() {
            let (key, value) = self.glow.next_change()?;
            return Some(NodeOutput::Changed { key, value });
        }
        None
    }

    /// Returns how long the binding may sleep without an input, in milliseconds.
    pub fn wake_in_ms(&self) -> u64 {
        self.due.unwrap_or(0).saturating_sub(self.clock.uptime())
    }

    /// Says whether the watchdog of the chip may be fed at `now`, in milliseconds of the clock that [`Node::step`] is given.
    pub fn may_feed(&self, now: u64) -> bool {
        self.silent(now).is_none()
    }

    /// Returns the task that should have been heard of by `now`.
    pub fn silent(&self, now: u64) -> Option<Task> {
        self.watchdog.silent(self.uptime_at(now))
    }

    /// Notes at `now` that a task is alive. From then on it is watched, until it [rests](Node::rests).
    pub fn alive(&mut self, task: Task, now: u64) {
        let uptime = self.uptime_at(now);
        self.watchdog.watch(task, uptime, task.limit_ms());
    }

    /// Watches a task no more: it ends, or waits for something that may take for ever.
    pub fn rests(&mut self, task: Task) {
        self.watchdog.leave(task);
    }

    /// The uptime outside of a step: time has passed since the last one.
    fn uptime_at(&self, now: u64) -> u64 {
        let mut clock = self.clock.clone();
        clock.advance(now, Some(u64::MAX));
        clock.uptime()
    }

    /// Returns milliseconds since start, without the jumps of the source.
    pub const fn uptime_ms(&self) -> u64 {
        self.clock.uptime()
    }

    /// Says whether the board runs in safe mode: then the binding measures nothing and shows nothing on displays.
    pub const fn is_safe(&self) -> bool {
        self.safe.is_safe()
    }

    /// Returns the Wi-Fi machine, to look at.
    pub const fn wifi(&self) -> &Wifi {
        &self.wifi
    }

    /// Returns the schedules, to look at.
    pub const fn schedules(&self) -> &Schedules {
        &self.schedules
    }

    /// Returns how many runs of schedules named no switch of this board, or a value that it does not take.
    pub const fn idle_runs(&self) -> u32 {
        self.idle_runs
    }

    /// Says whether something moves; none without a sensor, and while it is cold.
    pub fn motion(&self) -> Option<bool> {
        self.hands.motion()
    }

    fn settle(&mut self) {
        if !self.settled {
            self.settled = true;
            self.once.settle = true;
        }
    }

    fn look(&mut self, view: View) {
        if let Some(wall) = view.wall_ms {
            self.clock.learn(wall);
        }
        let loads = |view: &View| matches!(view.update, UpdateState::Loading { .. });
        if loads(&view) && !loads(&self.view) {
            self.lamp.burst(self.clock.uptime(), bursts::UPDATE);
        }
        self.view = view;
    }

    fn see_wifi(&mut self, was: Status) {
        let burst = match (was, self.wifi.status()) {
            (Status::Online, Status::Online) => return,
            (_, Status::Online) => bursts::CONNECTED,
            (Status::Online, _) => bursts::NO_WIFI,
            _ => return,
        };
        self.lamp.burst(self.clock.uptime(), burst);
    }

    fn see_hands(&mut self) {
        let uptime = self.clock.uptime();
        while let Some(wish) = self.hands.step(uptime) {
            let burst: Option<Burst> = match wish {
                Wish::AskForUpdate => {
                    self.once.ask = true;
                    Some(bursts::ASKED)
                }
                Wish::NextPage => {
                    self.once.page = true;
                    None
                }
                Wish::Portal => {
                    self.wifi.step(uptime, wifi::Event::WantPortal);
                    Some(bursts::LONG_PRESS)
                }
                Wish::FactoryReset => {
                    self.once.reset = true;
                    None
                }
                Wish::Motion(motion) => {
                    self.once.motion = Some(motion);
                    None
                }
            };
            if let Some(burst) = burst {
                self.lamp.burst(uptime, burst);
            }
        }
        self.lamp.hold(self.hands.feedback());
    }

    fn run_schedules(&mut self) {
        if self.safe.is_safe() || !self.can.schedules {
            return;
        }
        let (uptime, wall) = (self.clock.uptime(), self.clock.wall());
        // Each schedule at most once a step: what is left is due at once.
        for _ in 0..schedule::MAX_SCHEDULES {
            let (pins, glow, pattern) = (&mut self.pins, &mut self.glow, self.can.pattern);
            let mut idle = 0;
            let ran = self.schedules.next(uptime, wall, |key, value| {
                let done = pins.set_here(key, value) || (pattern && glow.set_here(key, value));
                idle += u32::from(!done);
            });
            self.idle_runs = self.idle_runs.saturating_add(idle);
            if !ran {
                break;
            }
        }
        self.once.store |= self.schedules.take_news();
    }

    fn due_at(&mut self) -> u64 {
        let uptime = self.clock.uptime();
        let mut due = self.wifi.due().min(self.hands.due()).min(self.safe.due());
        if uptime < self.identify_until {
            due = due.min(self.identify_until);
        }
        for light in [self.lamp.light(uptime), self.external_light(uptime)] {
            if let Some(ms) = light.for_ms {
                due = due.min(uptime.saturating_add(u64::from(ms)));
            }
        }
        if self.can.schedules && !self.safe.is_safe() {
            due = due.min(self.schedules.due(uptime, self.clock.wall()));
        }
        // The loop shows that it is alive, and lets the watchdog be fed.
        due.min(uptime + STEP_MS)
    }
}
