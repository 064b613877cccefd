//! The machine: one [`Core`] takes inputs and hands out outputs. Read here first, then `io.rs` (what
//! goes in and out), `link.rs` (the socket), `polling.rs`
//! (the HTTP fallback), `frames.rs` (what is sent), `updating.rs` (new firmware) and `timers.rs` (when).

mod frames;
mod io;
mod link;
mod polling;
mod timers;
mod updating;

use espalier_wire::json::{Json, Value, write_object};
use heapless::{String, Vec};

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::commands::Commands;
use crate::config::Config;
use crate::queue::{HEADER, PushError, Queue, Stamp};
use crate::refusals::Refusals;
use crate::rng::Rng;
use crate::state::{MAX_LONG_VALUE, STATE_IMAGE, Switches};
use crate::stats::Stats;
use crate::storage::{self, Slot, Storage};
use crate::update::{Keys, Updates};
pub use io::{Input, Led, Method, Output};
use link::Link;

/// Most telemetry and report frames that wait for an acknowledgement at once: enough to fill a link with 200 ms round
/// trips, few enough that a server under load is not buried.
pub const WINDOW: usize = 4;
/// How long a restart that was asked for waits at the most until the server has its answers, in milliseconds: one request may fail, and
/// the next one take as long as it may.
pub const RESTART_PATIENCE_MS: u64 = 2 * timers::OPEN_TIMEOUT_MS + 5_000;
/// Bytes that a frame needs besides the text of one sample.
pub const FRAME_OVERHEAD: usize = 128;

/// A frame that waits for its acknowledgement.
#[derive(Debug, Clone, Copy)]
struct Sent {
    id: u32,
    at: u64,
}

/// An acknowledgement to tell the binding about.
#[derive(Debug, Clone, Copy)]
struct Acked {
    id: u32,
    samples: u32,
    points: u32,
}

/// The device core. `QUEUE` bytes hold unacknowledged samples, `FRAME` bytes one outgoing frame.
#[derive(Debug)]
pub struct Core<const QUEUE: usize = 8192, const FRAME: usize = 2048> {
    config: Config,
    rng: Rng,
    clock: Clock,
    backoff: Backoff,
    queue: Queue<QUEUE>,
    switches: Switches,
    refusals: Refusals,
    commands: Commands,
    stats: Stats,
    updates: Updates,
    link: Link,
    /// Socket attempts that failed in a row; decides when polling takes over.
    socket_failures: u32,
    /// Whether the last failed attempt was answered by a server, which then lets no socket through.
    socket_answered: bool,
    /// Whether a socket was tried since polling works.
    socket_probed: bool,
    refused: bool,
    close_socket: bool,
    /// Ids of frames; start at 1, because the queue marks waiting samples with 0.
    next_id: u32,
    sent: Vec<Sent, WINDOW>,
    acked: heapless::Deque<Acked, WINDOW>,
    /// Samples at the front that travel alone, because a batch that held one of them was refused.
    alone: u32,
    /// Telemetry and reports wait until this uptime, because the server asked for it.
    hold_until: u64,
    frame: String<FRAME>,
    path: String<192>,
    heap_free: Option<u32>,
    rssi: Option<i32>,
    restarted: bool,
    measure_at: u64,
    heartbeat_ms: u64,
    heartbeat_at: u64,
    ping_at: u64,
    /// When the last ping was sent, and when the server last told the time.
    pinged_at: u64,
    learnt_at: u64,
    heard_at: u64,
    /// When the server last wanted something: a device that sleeps stays awake a moment longer for it.
    asked_at: u64,
    persist_at: u64,
    /// When the server last acknowledged something.
    kept_at: u64,
    /// When the first of the samples that wait was taken.
    waits_since: u64,
    /// The changes of queue and switches that storage has seen.
    persisted: (u32, u32),
    /// Whether the stored queue holds samples.
    stored_samples: bool,
    persist_asked: bool,
    /// Until when a restart that was asked for waits for the answers that are owed.
    restart_by: Option<u64>,
    due: Option<u64>,
}

impl<const QUEUE: usize, const FRAME: usize> Core<QUEUE, FRAME> {
    /// Makes a core that wants to connect and to measure at once; the seed spreads its reconnections.
    pub fn new(config: Config, seed: u64) -> Self {
        let keys = Keys::given(config.keys());
        Core {
            updates: Updates::new(config.updates(), keys),
            config,
            rng: Rng::new(seed),
            clock: Clock::default(),
            backoff: Backoff::default(),
            queue: Queue::default(),
            switches: Switches::default(),
            refusals: Refusals::default(),
            commands: Commands::default(),
            stats: Stats::default(),
            link: Link::Waiting { until: 0 },
            socket_failures: 0,
            socket_answered: false,
            socket_probed: false,
            refused: false,
            close_socket: false,
            next_id: 1,
            sent: Vec::new(),
            acked: heapless::Deque::new(),
            alone: 0,
            hold_until: 0,
            frame: String::new(),
            path: String::new(),
            heap_free: None,
            rssi: None,
            restarted: false,
            measure_at: 0,
            heartbeat_ms: timers::HEARTBEAT_MS,
            heartbeat_at: 0,
            ping_at: 0,
            pinged_at: 0,
            learnt_at: 0,
            heard_at: 0,
            asked_at: 0,
            persist_at: timers::PERSIST_MS,
            kept_at: 0,
            waits_since: 0,
            persisted: (0, 0),
            stored_samples: false,
            persist_asked: false,
            restart_by: None,
            due: None,
        }
    }

    /// Adds a switch that obeys the server; returns false when there is no room or the value does not fit.
    pub fn declare_switch(&mut self, key: &str, value: Value<'_>) -> bool {
        self.switches.declare(key, value)
    }

    /// Adds the one switch whose values may be as long as [`MAX_LONG_VALUE`], such as the schedules; a frame must still hold two
    /// of them. Returns false when there is no room, another one is there, or the value does not fit.
    pub fn declare_long_switch(&mut self, key: &str, value: Value<'_>) -> bool {
        let room = FRAME.saturating_sub(FRAME_OVERHEAD + 64) / 2;
        let most = room.saturating_sub(key.len()).min(MAX_LONG_VALUE);
        self.switches.declare_long(key, value, most)
    }

    /// Takes one input at `now` milliseconds of a clock that counts up. Call [`Core::poll`] until it is empty afterwards.
    pub fn step(&mut self, now: u64, input: Input<'_>) {
        if self.clock.advance(now, self.due) {
            self.stats.clock_jumps += 1;
            // A new welcome brings the time back.
            if self.link.is_socket() {
                self.close(0);
            }
        }
        match input {
            Input::Tick => {}
            Input::Opened => self.opened(),
            Input::OpenFailed { status } => self.open_failed(status),
            Input::Frame(text) => self.frame_received(text),
            Input::FrameTooLong => self.frame_dropped(),
            Input::Closed => self.lost(),
            Input::Answer {
                status,
                body,
                date,
                retry_after_s,
            } => self.answered(status, body, date, retry_after_s),
            Input::RequestFailed => self.request_failed(),
            Input::Sample(values) => self.sample(values),
            Input::Applied { key, ok } => {
                let done = self.switches.applied(key, ok);
                *(if done {
                    &mut self.stats.desired_applied
                } else {
                    &mut self.stats.desired_refused
                }) += 1;
                if done {
                    self.refusals.forget(key);
                }
            }
            Input::Refused { key, why } => {
                if let Some(version) = self.switches.give_up(key) {
                    self.refuse(key, version, why);
                }
            }
            Input::LocalChange { key, value } => self.switches.changed_locally(key, value),
            Input::CommandDone { id, outcome } => self.commands.finished(id, outcome),
            Input::Downloaded {
                status,
                retry_after_s,
            } => self.downloaded(status, retry_after_s),
            Input::SelfTested { ok } => self.updates.tested(ok),
            Input::Vitals { heap_free, rssi } => (self.heap_free, self.rssi) = (heap_free, rssi),
        }
        self.run_timers();
        self.due = Some(self.due_at());
    }

    /// Returns the next thing to do; nothing more until the next step when it returns none.
    pub fn poll(&mut self) -> Option<Output<'_>> {
        let action = self.next_action()?;
        self.due = Some(self.due_at());
        Some(match action {
            Action::Open => Output::OpenSocket,
            Action::Close => Output::CloseSocket,
            Action::Send(id) => Output::Send {
                id,
                frame: &self.frame,
            },
            Action::Request(method) => Output::Request {
                method,
                path: &self.path,
                body: &self.frame,
            },
            Action::Measure => Output::Measure,
            Action::Acked(Acked {
                id,
                samples,
                points,
            }) => Output::Acked {
                id,
                samples,
                points,
            },
            Action::Persist => Output::Persist,
            Action::Work => Output::Work,
            Action::Download { from, len } => Output::Download {
                path: &self.path,
                from,
                len,
            },
            Action::Abandon => Output::Abandon,
            Action::SelfTest => Output::SelfTest,
            Action::Restart => Output::Restart,
            Action::Apply => {
                let (key, value) = self.switches.next_to_apply()?;
                Output::Apply { key, value }
            }
            Action::Run => {
                self.stats.commands_run += 1;
                let (id, name, params) = self.commands.next_to_run()?;
                Output::Run { id, name, params }
            }
        })
    }

    fn next_action(&mut self) -> Option<Action> {
        if core::mem::take(&mut self.close_socket) {
            return Some(Action::Close);
        }
        if let Some(acked) = self.acked.pop_front() {
            return Some(Action::Acked(acked));
        }
        if self.clock.uptime() >= self.measure_at {
            self.schedule_measure();
            return Some(Action::Measure);
        }
        if self.switches.has_to_apply() {
            return Some(Action::Apply);
        }
        if let Some(now) = self.clock.wall() {
            self.commands.expire(now);
        }
        if self.commands.has_to_run() {
            return Some(Action::Run);
        }
        if self.persist_due() {
            self.persist_asked = true;
            return Some(Action::Persist);
        }
        if let Some(by) = self.restart_by {
            // Nothing else is begun any more: one request at a time, and the answers go first.
            return self.next_on_link().or_else(|| self.next_restart(by));
        }
        if let Some(action) = self.next_update() {
            return Some(action);
        }
        self.next_on_link()
    }

    /// Asks for a restart as soon as the server has its answers, but within [`RESTART_PATIENCE_MS`]: a command whose result is
    /// lost with the restart would come again. The binding calls it before it tells that the command is done.
    pub fn want_restart(&mut self) {
        let by = self.clock.uptime() + RESTART_PATIENCE_MS;
        self.restart_by.get_or_insert(by);
    }

    fn next_restart(&mut self, by: u64) -> Option<Action> {
        if self.owes_answer() && self.clock.uptime() < by {
            return None;
        }
        self.restart_by = None;
        Some(Action::Restart)
    }

    /// Says whether the server waits for the end of a command, or for what became of a desired value.
    fn owes_answer(&self) -> bool {
        self.commands.is_busy() || self.switches.answer_due() || self.refusals.is_due()
    }

    fn sample(&mut self, values: &[(&str, Value<'_>)]) {
        self.stats.samples_taken += 1;
        let uptime = self.clock.uptime();
        let stamp = self.clock.wall().map_or(Stamp::Uptime(uptime), Stamp::Wall);
        let points = u16::try_from(values.len()).unwrap_or(u16::MAX);
        let max = FRAME
            .saturating_sub(FRAME_OVERHEAD)
            .min(QUEUE.saturating_sub(HEADER));
        if self.queue.is_empty() {
            self.waits_since = self.clock.uptime();
        }
        match self.queue.push(stamp, points, max, |mut out| {
            write_object(&mut out, values.iter().copied())
        }) {
            Ok(dropped) => self.stats.samples_dropped += u64::from(dropped),
            Err(PushError::TooLarge | PushError::NotJson) => self.stats.samples_refused += 1,
        }
    }

    fn take_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        id
    }

    /// Stores what must survive a restart.
    pub fn persist<S: Storage>(&mut self, storage: &mut S) {
        self.persist_asked = false;
        self.persist_at = self.clock.uptime() + self.persist_every();
        let (queue, state) = (self.queue.changes(), self.switches.changes());
        let owner = self.config.owner();
        if queue != self.persisted.0 {
            let image = self.queue.image();
            match storage.write(Slot::Queue, &[&storage::seal_for(owner, image), image]) {
                Ok(()) => {
                    self.persisted.0 = queue;
                    self.stored_samples = !self.queue.is_empty();
                }
                Err(_) => self.stats.storage_errors += 1,
            }
        }
        if state != self.persisted.1 {
            let mut image = String::<STATE_IMAGE>::new();
            if self.switches.write_image(&mut image) {
                match storage.write(
                    Slot::State,
                    &[
                        &storage::seal_for(owner, image.as_bytes()),
                        image.as_bytes(),
                    ],
                ) {
                    Ok(()) => self.persisted.1 = state,
                    Err(_) => self.stats.storage_errors += 1,
                }
            }
        }
    }

    /// Takes over what an earlier start stored for the same device of the same server; what belongs to another one stays where it
    /// is and counts for nothing. Call it once, after declaring the switches and before the first step.
    /// `scratch` must hold the larger of the queue and [`STATE_IMAGE`] plus 12 bytes. Returns the samples found.
    pub fn restore<S: Storage>(&mut self, storage: &mut S, scratch: &mut [u8]) -> u32 {
        self.restarted = true;
        let owner = self.config.owner();
        let state = storage
            .read(Slot::State, scratch)
            .ok()
            .and_then(|len| scratch.get(..len));
        if let Some(text) = state
            .and_then(|stored| storage::open_of(owner, stored))
            .and_then(|image| core::str::from_utf8(image).ok())
        {
            self.switches.restore(text);
        }
        let stored = storage
            .read(Slot::Queue, scratch)
            .ok()
            .and_then(|len| scratch.get(..len));
        let samples = stored
            .and_then(|stored| storage::open_of(owner, stored))
            .map_or(0, |image| self.queue.restore(image));
        self.persisted.0 = self.queue.changes();
        self.stored_samples = samples > 0;
        samples
    }

    /// Returns the configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the counters.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Returns the switches.
    pub const fn switches(&self) -> &Switches {
        &self.switches
    }

    /// Hands out what was [restored](Core::restore). A value that is not taken is not reported, because the device does not have it.
    pub fn resume(&mut self, take: impl FnMut(&str, Json<'_>) -> bool) {
        self.switches.resume(take);
    }

    /// Returns the number of samples that the server has not acknowledged.
    pub const fn queued(&self) -> u32 {
        self.queue.len()
    }

    /// Returns milliseconds since start, without the jumps of the source.
    pub const fn uptime_ms(&self) -> u64 {
        self.clock.uptime()
    }

    /// Returns the wall clock in milliseconds UTC, once the server has told it.
    pub fn wall_ms(&self) -> Option<i64> {
        self.clock.wall()
    }

    /// Says whether the server has welcomed the device on a socket that is still open.
    pub const fn is_online(&self) -> bool {
        matches!(self.link, Link::Online { .. })
    }

    /// Returns what the status LED should show.
    pub const fn led(&self) -> Led {
        match self.link {
            Link::Online { .. } | Link::Polling { .. } => Led::Steady,
            Link::Asleep { .. } => Led::Off,
            _ if self.refused => Led::Refused,
            _ => Led::Searching,
        }
    }
}

/// What [`Core::poll`] will hand out; the texts are in the buffers by then.
#[derive(Debug, Clone, Copy)]
enum Action {
    Open,
    Close,
    Send(Option<u32>),
    Request(Method),
    Measure,
    Acked(Acked),
    Persist,
    Apply,
    Run,
    Work,
    Download { from: u32, len: u32 },
    Abandon,
    SelfTest,
    Restart,
}
