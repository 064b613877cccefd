//! What the tasks of this firmware share. One executor polls them all, so a cell is enough; nothing is borrowed over an `await`.

use core::cell::{Cell, RefCell};

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use embassy_time::Instant;
use espalier_device::Storage;
use espalier_device::node::{Node, NodeInput};
use espalier_device::profile::Profile;
use espalier_device::records::Records;
use espalier_device::safe::Boots;
use espalier_device::settings::Settings;
use espalier_device::storage::Slot;
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

/// What the tasks share.
pub struct Desk {
    /// What the board does beside its connection.
    pub node: RefCell<Node>,
    /// Rung when the node was told something: its wishes may have changed.
    pub node_bell: Bell,
    /// The board's pins.
    pub profile: Profile,
    /// Who the board is.
    pub settings: RefCell<Settings>,
    /// What survives a restart.
    pub store: RefCell<Store>,
    /// What the node wants of the radio.
    pub radio: Channel<NoopRawMutex, Action, WAITING>,
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
}

/// Returns milliseconds since the start.
pub fn now_ms() -> u64 {
    Instant::now().as_millis()
}

impl Desk {
    /// Puts everything on the desk.
    pub fn new(
        node: Node,
        profile: Profile,
        settings: Settings,
        store: Store,
        boots: Boots,
    ) -> Self {
        Desk {
            node: RefCell::new(node),
            node_bell: Bell::new(),
            profile,
            settings: RefCell::new(settings),
            store: RefCell::new(store),
            radio: Channel::new(),
            changes: Channel::new(),
            asked: Bell::new(),
            page: Bell::new(),
            leave: Bell::new(),
            boots: RefCell::new(boots),
            rssi: Cell::new(None),
        }
    }

    /// Tells the node something.
    pub fn tell(&self, input: NodeInput<'_>) {
        self.node.borrow_mut().step(now_ms(), input);
        self.node_bell.signal(());
    }

    /// Notes that the start was good, or that it ends by the board's own wish. A count that cannot be written is only a count.
    pub fn settle(&self) {
        let mut store = self.store.borrow_mut();
        let _ = self.boots.borrow_mut().settle(store.flash());
    }

    /// Forgets everything that a person or a server has told the board. What the flash does not forget, it keeps.
    pub fn forget(&self) {
        let mut store = self.store.borrow_mut();
        for slot in [
            Slot::Settings,
            Slot::KeysA,
            Slot::KeysB,
            Slot::Schedules,
            Slot::State,
            Slot::Queue,
        ] {
            let _ = store.forget(slot);
        }
    }

    /// Restarts the chip on purpose.
    pub fn restart(&self) -> ! {
        self.settle();
        reset::restart()
    }
}
