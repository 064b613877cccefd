//! The firmware of the emulated board: the gate, the console, the network, the driver. Everything that decides is in
//! `espalier-device`; everything that talks to the server is in `espalier-board`.
#![no_std]
#![no_main]

mod board;
mod console;
mod net;

use core::cell::RefCell;
use core::panic::PanicInfo;
use core::ptr;

use embassy_executor::{Spawner, raw};
use espalier_device::records::Records;
use espalier_device::setup::{About, Setup};
use espalier_device::update::{Boot, BootReason, Gate, gate};
use espalier_virt::boot::{Kept, RECORDS, layout};
use espalier_virt::flash::{self, Device, Flash};
use espalier_virt::machine::{panicked, power_off, restart, sleep};
use espalier_virt::say;
use static_cell::StaticCell;

use board::Random;

/// How QEMU ends when a device is missing.
const NO_DEVICE: u16 = 5;

/// The storage of records.
pub type Store = Records<Flash<'static>>;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    panicked(info)
}

/// The loop polls whenever it does not sleep, so nobody has to be told.
#[unsafe(export_name = "__pender")]
fn pender(_: *mut ()) {}

/// Ends a board that lacks something.
fn missing(what: &str) -> ! {
    say!("espalier: the board has no {what}");
    power_off(NO_DEVICE)
}

#[unsafe(no_mangle)]
extern "C" fn start() -> ! {
    static DEVICE: StaticCell<Device> = StaticCell::new();
    let Some(device) = flash::device() else {
        missing("flash")
    };
    let flash = Flash(DEVICE.init(device));
    let store = || match Records::new(flash, RECORDS.offset, RECORDS.size) {
        Ok(store) => store,
        Err(_) => missing("records"),
    };
    // Before anything else can go wrong.
    let boot = pass_gate(&mut store(), flash);
    if let Some(running) = boot.running() {
        say!("espalier: version {} runs", running.version);
    }
    let Some(random) = Random::new() else {
        missing("generator of random numbers")
    };
    let Some(link) = net::Nic::new() else {
        missing("network")
    };
    let setup = open_setup(&mut store(), &boot, &random);
    static SETUP: StaticCell<RefCell<Setup>> = StaticCell::new();
    let setup = SETUP.init_with(|| RefCell::new(setup));
    static NIC: StaticCell<net::Shared> = StaticCell::new();
    let nic = &*NIC.init_with(|| net::Shared::new(link));

    static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();
    let executor = EXECUTOR.init(raw::Executor::new(ptr::null_mut()));
    let spawner = executor.spawner();
    spawn(
        spawner,
        setup,
        nic,
        (boot, flash, random),
        (store(), store()),
    );
    loop {
        // SAFETY: only this loop polls, and never from within a task.
        unsafe { executor.poll() };
        sleep();
        nic.look();
    }
}

fn pass_gate(store: &mut Store, mut flash: Flash<'static>) -> Boot {
    let Some(layout) = layout() else {
        missing("slots")
    };
    let (slot, reason) = Kept::started();
    say!(
        "espalier: slot {slot} was started because of {}",
        reason.as_str()
    );
    match gate(store, &mut flash, &layout, slot, reason) {
        Gate::Go(boot) => boot,
        Gate::Restart => {
            say!("espalier: the image before this one is started again");
            restart(BootReason::Restart)
        }
    }
}

fn open_setup(store: &mut Store, boot: &Boot, random: &Random) -> Setup {
    let version = boot
        .running()
        .map_or("", |running| running.version.as_str());
    let about = About::new("espalier-virt", version, "QEMU virt", net::MAC);
    Setup::open(about, store, |_| None, random.bytes())
}

fn spawn(
    spawner: Spawner,
    setup: &'static RefCell<Setup>,
    nic: &'static net::Shared,
    (boot, flash, random): (Boot, Flash<'static>, Random),
    (console_store, board_store): (Store, Store),
) {
    let (stack, runner) = net::stack(nic, &random);
    let (Ok(carry), Ok(console), Ok(board)) = (
        net::carry(runner),
        console::serve(setup, console_store),
        board::serve(setup, stack, board_store, flash, (boot, random)),
    ) else {
        missing("room for its tasks")
    };
    spawner.spawn(carry);
    spawner.spawn(console);
    spawner.spawn(board);
}
