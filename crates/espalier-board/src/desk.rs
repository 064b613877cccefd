//! What the tasks of a board share: its station, its records, and what one of them wants of another. One executor polls them all,
//! so a cell is enough; nothing is borrowed over an `await`.

use core::cell::{Cell, RefCell};
use core::fmt;

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::pipe::Pipe;
use embassy_sync::signal::Signal;
use embedded_storage::nor_flash::NorFlash;
use espalier_device::Led;
use espalier_device::node::{Station, StationInput, View};
use espalier_device::parts::health::{Change, Health, Sensor};
use espalier_device::profile::Profile;
use espalier_device::records::Records;
use espalier_device::safe::{Boots, Task};
use espalier_device::setup::Facts;
use espalier_wire::json::Value;

use crate::radio::Order;

/// A bell that one task rings and another one hears.
pub type Bell = Signal<NoopRawMutex, ()>;
/// Most orders that wait for the radio, and most changes that wait for the server.
const WAITING: usize = 8;
/// Bytes that wait for the serial lines.
const SERIAL: usize = 2048;

/// What only the chip knows.
#[derive(Debug, Clone, Copy)]
pub struct Chip {
    /// Returns milliseconds since the start.
    pub now_ms: fn() -> u64,
    /// Returns the free bytes of the heap, where there is one.
    pub heap_free: fn() -> Option<u32>,
    /// Says a line to whoever watches the serial port.
    pub say: fn(fmt::Arguments<'_>),
}

/// What the tasks share.
pub struct Desk<F> {
    /// What only the chip knows.
    pub chip: Chip,
    /// What the board does beside its connection.
    pub station: RefCell<Station>,
    /// Rung when the station was told something: its wishes may have changed.
    pub station_bell: Bell,
    /// The board's pins.
    pub profile: Profile,
    /// What survives a restart.
    pub store: RefCell<Records<F>>,
    /// What is wanted of the radio.
    pub radio: Channel<NoopRawMutex, Order, WAITING>,
    /// What the serial lines are to say.
    pub serial: Pipe<NoopRawMutex, SERIAL>,
    /// What was changed at the board, for the server.
    pub changes: Channel<NoopRawMutex, (&'static str, Value<'static>), WAITING>,
    /// Rung when a person asks for new firmware.
    pub asked: Bell,
    /// Rung when a person wants to see another page.
    pub page: Bell,
    /// Rung when the board is another one with the restart that follows: the core stops, and stores nothing more.
    pub halt: Bell,
    /// Rung when the board shall restart once the core has stored what it knows.
    pub leave: Bell,
    /// The count of starts.
    pub boots: RefCell<Boots>,
    /// Which sensors work.
    pub health: RefCell<Health>,
    /// Signal strength in dBm, while the board is in a network.
    pub rssi: Cell<Option<i32>>,
    /// The address in that network.
    pub address: Cell<Option<[u8; 4]>>,
    /// How the core is.
    pub view: Cell<View>,
    /// What went wrong last with the server.
    pub trouble: Cell<Option<&'static str>>,
    /// Whose silence keeps the watchdog from being fed.
    missed: Cell<Option<Task>>,
}

impl<F> fmt::Debug for Desk<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("profile", &self.profile)
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}

impl<F: NorFlash> Desk<F> {
    /// Puts everything on the desk.
    pub fn new(
        chip: Chip,
        station: Station,
        profile: Profile,
        store: Records<F>,
        boots: Boots,
    ) -> Self {
        Desk {
            chip,
            station: RefCell::new(station),
            station_bell: Bell::new(),
            profile,
            store: RefCell::new(store),
            radio: Channel::new(),
            serial: Pipe::new(),
            changes: Channel::new(),
            asked: Bell::new(),
            page: Bell::new(),
            halt: Bell::new(),
            leave: Bell::new(),
            boots: RefCell::new(boots),
            health: RefCell::default(),
            rssi: Cell::new(None),
            address: Cell::new(None),
            view: Cell::new(View::default()),
            trouble: Cell::new(None),
            missed: Cell::new(None),
        }
    }

    /// Returns milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        (self.chip.now_ms)()
    }

    /// Says a line to whoever watches the serial port.
    pub fn say(&self, line: fmt::Arguments<'_>) {
        (self.chip.say)(line);
    }

    /// Lets the station step, without a word to the task that serves it.
    pub fn step(&self, input: StationInput<'_>) {
        let store = &mut *self.store.borrow_mut();
        let now = self.now_ms();
        self.station.borrow_mut().step(now, input, store);
    }

    /// Tells the station something.
    pub fn tell(&self, input: StationInput<'_>) {
        self.step(input);
        self.station_bell.signal(());
    }

    /// Tells the station what only the board knows, for whoever asks it next.
    pub fn tell_facts(&self) {
        self.step(StationInput::Facts(Facts {
            address: self.address.get(),
            rssi: self.rssi.get(),
            online: self.view.get().led == Led::Steady,
            trouble: self.trouble.get(),
            uptime_ms: self.now_ms(),
            heap_free: (self.chip.heap_free)(),
        }));
    }

    /// Notes that the start was good, or that it ends by the board's own wish. A count that cannot be written is only a count.
    pub fn settle(&self) {
        let mut store = self.store.borrow_mut();
        let _ = self.boots.borrow_mut().settle(store.flash());
    }

    /// Notes how an attempt to use a sensor ended: it is part of every sample, and news are said.
    pub fn used(&self, sensor: Sensor, ok: bool) {
        match self.health.borrow_mut().note(sensor, ok) {
            Some(Change::Broken) => self.say(format_args!("{} is false now", sensor.key())),
            Some(Change::Works) => self.say(format_args!("{} is true now", sensor.key())),
            None => {}
        }
    }

    /// Notes that a task is alive; it is watched from now on.
    pub fn alive(&self, task: Task) {
        let now = self.now_ms();
        self.station.borrow_mut().node().alive(task, now);
    }

    /// Watches a task no more.
    pub fn rests(&self, task: Task) {
        self.station.borrow_mut().node().rests(task);
    }

    /// Says whether the watchdog of the chip may be fed, and names who keeps it from that.
    pub fn may_feed(&self) -> bool {
        let now = self.now_ms();
        let silent = self.station.borrow_mut().node().silent(now);
        if self.missed.replace(silent) != silent
            && let Some(task) = silent
        {
            self.say(format_args!(
                "{} hangs: the watchdog restarts the board",
                task.as_str()
            ));
        }
        silent.is_none()
    }
}
