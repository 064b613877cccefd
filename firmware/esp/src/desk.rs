//! What the tasks of this firmware share. One executor polls them all, so a cell is enough; nothing is borrowed over an `await`.

use core::cell::{Cell, RefCell};

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::pipe::Pipe;
use embassy_sync::signal::Signal;
use embassy_time::Instant;
use espalier_device::Led;
use espalier_device::node::{Station, StationInput, View};
use espalier_device::profile::Profile;
use espalier_device::records::Records;
use espalier_device::safe::Boots;
use espalier_device::settings::Network;
use espalier_device::setup::Facts;
use espalier_wire::json::Value;

use crate::flash::Flash;
use crate::reset;

/// A bell that one task rings and another one hears.
pub type Bell = Signal<NoopRawMutex, ()>;
/// Where the records are kept.
pub type Store = Records<Flash>;
/// Most orders that wait for the radio, and most changes that wait for the server.
const WAITING: usize = 8;
/// Bytes that wait for the serial lines.
const SERIAL: usize = 2048;

/// What the radio is asked for.
#[derive(Debug)]
pub enum Order {
    /// Look for networks.
    Scan,
    /// Join a network.
    Join(Network),
    /// Drop the network or the attempt.
    Disconnect,
    /// Open the board's own network.
    OpenPortal,
    /// Close it.
    ClosePortal,
}

/// What the tasks share.
pub struct Desk {
    /// What the board does beside its connection.
    pub station: RefCell<Station>,
    /// Rung when the station was told something: its wishes may have changed.
    pub station_bell: Bell,
    /// The board's pins.
    pub profile: Profile,
    /// What survives a restart.
    pub store: RefCell<Store>,
    /// What is wanted of the radio.
    pub radio: Channel<NoopRawMutex, Order, WAITING>,
    /// What the serial lines are to say.
    pub serial: Pipe<NoopRawMutex, SERIAL>,
    /// What was changed at the board, for the server.
    pub changes: Channel<NoopRawMutex, (&'static str, Value<'static>), WAITING>,
    /// Rung when a person asks for new firmware.
    pub asked: Bell,
    /// Rung when a person wants to see another page.
    #[cfg(feature = "screen")]
    pub page: Bell,
    /// Rung when the board is another one with the restart that follows: the core stops, and stores nothing more.
    pub halt: Bell,
    /// Rung when the board shall restart once the core has stored what it knows.
    pub leave: Bell,
    /// The count of starts.
    pub boots: RefCell<Boots>,
    /// Signal strength in dBm, while the board is in a network.
    pub rssi: Cell<Option<i32>>,
    /// The address in that network.
    pub address: Cell<Option<[u8; 4]>>,
    /// How the core is.
    pub view: Cell<View>,
    /// What went wrong last with the server.
    pub trouble: Cell<Option<&'static str>>,
}

/// Returns milliseconds since the start.
pub fn now_ms() -> u64 {
    Instant::now().as_millis()
}

/// Returns the free bytes of the heap.
pub fn heap_free() -> Option<u32> {
    u32::try_from(esp_alloc::HEAP.free()).ok()
}

impl Desk {
    /// Puts everything on the desk.
    pub fn new(station: Station, profile: Profile, store: Store, boots: Boots) -> Self {
        Desk {
            station: RefCell::new(station),
            station_bell: Bell::new(),
            profile,
            store: RefCell::new(store),
            radio: Channel::new(),
            serial: Pipe::new(),
            changes: Channel::new(),
            asked: Bell::new(),
            #[cfg(feature = "screen")]
            page: Bell::new(),
            halt: Bell::new(),
            leave: Bell::new(),
            boots: RefCell::new(boots),
            rssi: Cell::new(None),
            address: Cell::new(None),
            view: Cell::new(View::default()),
            trouble: Cell::new(None),
        }
    }

    /// Lets the station step, without a word to the task that serves it.
    pub fn step(&self, input: StationInput<'_>) {
        let store = &mut *self.store.borrow_mut();
        self.station.borrow_mut().step(now_ms(), input, store);
    }

    /// Tells the station something.
    pub fn tell(&self, input: StationInput<'_>) {
        self.step(input);
        self.station_bell.signal(());
    }

    /// Tells the station what only this firmware knows, for whoever asks it next.
    pub fn tell_facts(&self) {
        self.step(StationInput::Facts(Facts {
            address: self.address.get(),
            rssi: self.rssi.get(),
            online: self.view.get().led == Led::Steady,
            trouble: self.trouble.get(),
            uptime_ms: now_ms(),
            heap_free: heap_free(),
        }));
    }

    /// Notes that the start was good, or that it ends by the board's own wish. A count that cannot be written is only a count.
    pub fn settle(&self) {
        let mut store = self.store.borrow_mut();
        let _ = self.boots.borrow_mut().settle(store.flash());
    }

    /// Restarts the chip on purpose.
    pub fn restart(&self) -> ! {
        self.settle();
        reset::restart()
    }
}
