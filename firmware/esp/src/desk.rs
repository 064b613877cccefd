//! What the tasks of this firmware share. One executor polls them all, so a cell is enough; nothing is borrowed over an `await`.

use core::cell::{Cell, RefCell};

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::pipe::Pipe;
use embassy_sync::signal::Signal;
use embassy_time::Instant;
use esp_println::println;
use espalier_device::Led;
use espalier_device::node::{Node, NodeInput, View};
use espalier_device::profile::Profile;
use espalier_device::records::Records;
use espalier_device::safe::Boots;
use espalier_device::settings::Network;
use espalier_device::setup::{self, Facts, Setup};
use espalier_device::wifi::Action;
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
    /// The node wants something.
    Node(Action),
    /// A person wants to know which networks there are.
    Scan,
    /// A person wants to know whether this network lets the board in; it is not saved yet.
    Join(Network),
}

/// What the tasks share.
pub struct Desk {
    /// What the board does beside its connection.
    pub node: RefCell<Node>,
    /// Rung when the node was told something: its wishes may have changed.
    pub node_bell: Bell,
    /// The board's pins.
    pub profile: Profile,
    /// Who the board is, and how people tell it.
    pub setup: RefCell<Setup>,
    /// Rung when the set-up was told something.
    pub setup_bell: Bell,
    /// What the serial lines are to say.
    pub serial: Pipe<NoopRawMutex, SERIAL>,
    /// What survives a restart.
    pub store: RefCell<Store>,
    /// What is wanted of the radio.
    pub radio: Channel<NoopRawMutex, Order, WAITING>,
    /// What was changed at the board, for the server.
    pub changes: Channel<NoopRawMutex, (&'static str, Value<'static>), WAITING>,
    /// Rung when a person asks for new firmware.
    pub asked: Bell,
    /// Rung when the next page of the display is wanted.
    pub page: Bell,
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
}

/// Returns milliseconds since the start.
pub fn now_ms() -> u64 {
    Instant::now().as_millis()
}

impl Desk {
    /// Puts everything on the desk.
    pub fn new(node: Node, profile: Profile, setup: Setup, store: Store, boots: Boots) -> Self {
        Desk {
            node: RefCell::new(node),
            node_bell: Bell::new(),
            profile,
            setup: RefCell::new(setup),
            setup_bell: Bell::new(),
            serial: Pipe::new(),
            store: RefCell::new(store),
            radio: Channel::new(),
            changes: Channel::new(),
            asked: Bell::new(),
            page: Bell::new(),
            leave: Bell::new(),
            boots: RefCell::new(boots),
            rssi: Cell::new(None),
            address: Cell::new(None),
            view: Cell::new(View::default()),
        }
    }

    /// Tells the node something.
    pub fn tell(&self, input: NodeInput<'_>) {
        self.node.borrow_mut().step(now_ms(), input);
        self.node_bell.signal(());
    }

    /// Tells the set-up something, after what only this firmware knows.
    pub fn set_up(&self, input: setup::Input<'_>) {
        let (setup, store) = (&mut *self.setup.borrow_mut(), &mut *self.store.borrow_mut());
        let now = now_ms();
        setup.step(now, setup::Input::Facts(self.facts(now)), store);
        setup.step(now, input, store);
        self.setup_bell.signal(());
    }

    fn facts(&self, now: u64) -> Facts {
        Facts {
            address: self.address.get(),
            rssi: self.rssi.get(),
            online: self.view.get().led == Led::Steady,
            uptime_ms: now,
            heap_free: u32::try_from(esp_alloc::HEAP.free()).ok(),
        }
    }

    /// Notes that the start was good, or that it ends by the board's own wish. A count that cannot be written is only a count.
    pub fn settle(&self) {
        let mut store = self.store.borrow_mut();
        let _ = self.boots.borrow_mut().settle(store.flash());
    }

    /// Forgets what a person has told the board; it restarts soon after.
    pub fn forget(&self) {
        let store = &mut *self.store.borrow_mut();
        if self
            .setup
            .borrow_mut()
            .factory_reset(now_ms(), store)
            .is_err()
        {
            println!("espalier: the flash cannot be written: some settings may be left");
        }
        self.setup_bell.signal(());
    }

    /// Restarts the chip on purpose.
    pub fn restart(&self) -> ! {
        self.settle();
        reset::restart()
    }
}
