//! What the tasks of this firmware share. One executor polls them all, so a cell is enough; nothing is borrowed over an `await`.

use core::cell::{Cell, RefCell};

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use embassy_time::Instant;
use espalier_device::Storage;
use espalier_device::led::{Burst, Lamp, Pattern};
use espalier_device::records::Records;
use espalier_device::safe::{Boots, Task, Watchdog};
use espalier_device::settings::Settings;
use espalier_device::storage::Slot;

use crate::flash::Flash;
use crate::reset;

/// A bell that one task rings and another one hears.
pub type Bell = Signal<NoopRawMutex, ()>;
/// Where the records are kept.
pub type Store = Records<Flash>;

/// What the radio is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Open the portal: a person wants it.
    Portal,
    /// Somebody uses the portal.
    PortalUsed,
    /// The saved networks have changed; try the one with this number at once, if it is given.
    Networks(Option<u8>),
}

/// What the tasks share.
pub struct Desk {
    /// Who the board is.
    pub settings: RefCell<Settings>,
    /// What survives a restart.
    pub store: RefCell<Store>,
    /// The status LED's wishes.
    pub lamp: RefCell<Lamp>,
    /// Rung when the lamp has another wish.
    pub lamp_bell: Bell,
    /// What the radio shall do.
    pub radio: Channel<NoopRawMutex, Request, 4>,
    /// Rung when a person has pressed the button briefly.
    pub pressed: Bell,
    /// Rung when the board shall restart.
    pub restart: Bell,
    /// Who is alive.
    pub watchdog: RefCell<Watchdog>,
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
    pub fn new(settings: Settings, store: Store, boots: Boots) -> Self {
        Desk {
            settings: RefCell::new(settings),
            store: RefCell::new(store),
            lamp: RefCell::new(Lamp::default()),
            lamp_bell: Bell::new(),
            radio: Channel::new(),
            pressed: Bell::new(),
            restart: Bell::new(),
            watchdog: RefCell::new(Watchdog::default()),
            boots: RefCell::new(boots),
            rssi: Cell::new(None),
        }
    }

    /// Changes what the status LED shows.
    pub fn show(&self, change: impl FnOnce(&mut Lamp)) {
        change(&mut self.lamp.borrow_mut());
        self.lamp_bell.signal(());
    }

    /// Shows a few blinks.
    pub fn burst(&self, burst: Burst) {
        self.show(|lamp| lamp.burst(now_ms(), burst));
    }

    /// Shows a status that goes before what a person chose, or none.
    pub fn alarm(&self, pattern: Option<Pattern>) {
        self.show(|lamp| lamp.alarm(pattern));
    }

    /// Asks the radio for something. A radio that has four requests waiting will hear of nothing new in a fifth.
    pub fn ask(&self, request: Request) {
        let _ = self.radio.try_send(request);
    }

    /// Says that a task is alive.
    pub fn seen(&self, task: Task) {
        self.watchdog.borrow_mut().seen(task, now_ms());
    }

    /// Forgets everything that a person or a server has told the board, and restarts. What the flash does not forget, it keeps.
    pub fn factory_reset(&self) -> ! {
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
        drop(store);
        self.leave()
    }

    /// Restarts the chip on purpose.
    pub fn leave(&self) -> ! {
        let store = &mut *self.store.borrow_mut();
        // A count that cannot be written costs at most a wrong count.
        let _ = self.boots.borrow_mut().settle(store.flash());
        reset::restart()
    }
}
