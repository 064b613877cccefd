//! A whole board on the host: what its tasks share, over flash that its handles share, with a clock that only a test moves.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use espalier_board::desk::{Chip, Desk};
use espalier_board::station;
use espalier_device::node::{Capabilities, Station};
use espalier_device::profile;
use espalier_device::records::Records;
use espalier_device::safe::{BOOTS_OFFSET, Boots};
use espalier_device::setup::{About, Setup};
use espalier_device::update::BootReason;
use espalier_device::wifi::Policy;
use espalier_device::{Slot, Storage};

use crate::world::{Flash, Misused, RECORDS};

thread_local! {
    /// Each test has a thread of its own.
    static NOW: Cell<u64> = const { Cell::new(0) };
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Lets the board's clock show another time.
pub fn set_now(ms: u64) {
    NOW.set(ms);
}

pub fn now() -> u64 {
    NOW.get()
}

/// Whether the board has said something on its serial line.
pub fn has_said(text: &str) -> bool {
    SAID.with_borrow(|said| said.contains(text))
}

fn say(line: fmt::Arguments<'_>) {
    SAID.with_borrow_mut(|said| {
        said.push_str(&line.to_string());
        said.push('\n');
    });
}

/// One flash with several handles, as a chip's driver has.
#[derive(Clone)]
pub struct Shared(Rc<RefCell<Flash>>);

impl ErrorType for Shared {
    type Error = Misused;
}

impl ReadNorFlash for Shared {
    const READ_SIZE: usize = Flash::READ_SIZE;

    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), Misused> {
        self.0.borrow_mut().read(at, into)
    }

    fn capacity(&self) -> usize {
        self.0.borrow().capacity()
    }
}

impl NorFlash for Shared {
    const WRITE_SIZE: usize = Flash::WRITE_SIZE;
    const ERASE_SIZE: usize = Flash::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Misused> {
        self.0.borrow_mut().erase(from, to)
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Misused> {
        self.0.borrow_mut().write(at, bytes)
    }
}

impl Shared {
    pub fn records(&self) -> Records<Shared> {
        Records::new(self.clone(), RECORDS.offset, RECORDS.size).unwrap()
    }
}

/// Pins whose levels nobody looks at.
pub struct NoPins;

impl station::Pins for NoPins {
    fn set(&mut self, _gpio: u8, _level: u8) {}
}

/// Makes flash with settings in it; without any when the text is empty.
pub fn flash(settings: &str) -> Shared {
    let flash = Shared(Rc::new(RefCell::new(Flash::new())));
    if !settings.is_empty() {
        let parts: &[&[u8]] = &[settings.as_bytes()];
        flash.records().write(Slot::Settings, parts).unwrap();
    }
    flash
}

/// Starts a board up to the desk.
pub fn desk(flash: &Shared) -> &'static Desk<Shared> {
    desk_after(flash, BootReason::PowerOn)
}

/// Starts a board for a reason, up to the desk.
pub fn desk_after(flash: &Shared, reason: BootReason) -> &'static Desk<Shared> {
    set_now(0);
    SAID.with_borrow_mut(String::clear);
    let mut store = flash.records();
    let about = About::new("espalier-test", "1.0.0", "ESP32-C3", [2, 0, 0, 1, 2, 3]);
    let setup = Setup::open(about, &mut store, |_| None, [7; 16]);
    let board = profile::named("esp32-c3-things").unwrap();
    let at = RECORDS.offset + BOOTS_OFFSET;
    let count = Boots::start(&mut flash.clone(), at, 0, reason);
    let mut station = Station::new(
        setup,
        &board,
        Capabilities::THINGS,
        Policy::default(),
        count.failed,
        3,
    );
    station.restore(&mut store);
    let chip = Chip {
        now_ms: now,
        heap_free: || Some(50_000),
        say,
    };
    Box::leak(Box::new(Desk::new(
        chip,
        station,
        board,
        store,
        count.boots,
    )))
}
