//! The firmware of the emulated board: the gate, the console, the network, the driver. Everything that decides is in
//! `espalier-device`; everything that talks to the server is in `espalier-board`.
#![no_std]
#![no_main]

mod board;
mod console;
mod net;
#[cfg(feature = "times")]
mod times;

use core::fmt;
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::Ordering;

use embassy_executor::{SpawnError, SpawnToken, Spawner, raw};
use embassy_time::Instant;
use espalier_board::desk::{self, Chip};
use espalier_board::station;
use espalier_device::node::{Capabilities, Station};
use espalier_device::profile::Profile;
use espalier_device::records::Records;
use espalier_device::safe::{BOOTS_OFFSET, Boots};
use espalier_device::setup::{About, Setup};
use espalier_device::update::{Boot, BootReason, Gate, gate};
use espalier_device::wifi::Policy;
use espalier_virt::boot::{Kept, RECORDS, layout};
use espalier_virt::flash::{self, Device, Flash};
use espalier_virt::machine::{panicked, power_off, restart, sleep};
use espalier_virt::say;
use portable_atomic::AtomicU64;
use static_cell::StaticCell;

use board::{Begun, Random, Relay};

/// How QEMU ends when a device is missing.
const NO_DEVICE: u16 = 5;

/// Milliseconds that the board may be silent until its watchdog restarts it.
const WATCHDOG_MS: u64 = 60_000;
/// When the watchdog was fed last.
static FED: AtomicU64 = AtomicU64::new(0);

/// The storage of records.
pub type Store = Records<Flash<'static>>;
/// What the tasks share.
pub type Desk = desk::Desk<Flash<'static>>;

/// What only the machine knows.
const CHIP: Chip = Chip {
    now_ms,
    heap_free: || None,
    say: line,
};

fn now_ms() -> u64 {
    Instant::now().as_millis()
}

fn line(line: fmt::Arguments<'_>) {
    say!("espalier: {line}");
}

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
    let desk = lay(store(), flash, &boot, &random);
    static NIC: StaticCell<net::Shared> = StaticCell::new();
    let nic = &*NIC.init_with(|| net::Shared::new(link));
    let (stack, runner) = net::stack(nic, &random);
    let relay = Relay::new();
    let begun = Begun {
        boot,
        store: store(),
        flash,
        stack,
        random,
        relay,
    };

    static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();
    let executor = EXECUTOR.init(raw::Executor::new(ptr::null_mut()));
    let spawner = executor.spawner();
    spawn(&spawner, station_loop(desk, relay));
    spawn(&spawner, net::carry(runner));
    spawn(&spawner, net::radio(desk));
    spawn(&spawner, net::address(desk, stack));
    spawn(&spawner, console::listen(desk));
    spawn(&spawner, console::speak(desk));
    spawn(&spawner, board::serve(desk, begun));
    #[cfg(feature = "times")]
    times::tell();
    loop {
        // SAFETY: only this loop polls, and never from within a task.
        unsafe { executor.poll() };
        sleep();
        nic.look();
        // The machine has no watchdog: this one notices a task that hangs, and no loop that does.
        if now_ms().saturating_sub(FED.load(Ordering::Relaxed)) > WATCHDOG_MS {
            restart(BootReason::Watchdog);
        }
    }
}

#[embassy_executor::task]
async fn station_loop(desk: &'static Desk, mut relay: Relay) {
    let feed = || FED.store(now_ms(), Ordering::Relaxed);
    station::serve(desk, &mut relay, feed).await
}

fn pass_gate(store: &mut Store, mut flash: Flash<'static>) -> Boot {
    let layout = layout();
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

/// Reads who the board is, and lays everything that the tasks share on the desk.
fn lay(store: Store, mut flash: Flash<'static>, boot: &Boot, random: &Random) -> &'static Desk {
    static DESK: StaticCell<Desk> = StaticCell::new();
    let mut store = store;
    let version = boot
        .running()
        .map_or("", |running| running.version.as_str());
    let about = About::new("espalier-virt", version, "QEMU virt", net::MAC);
    let setup = Setup::open(about, &mut store, |_| None, random.bytes());
    let Ok(profile) = Profile::from_json(board::PROFILE) else {
        missing("profile")
    };
    let (slot, reason) = Kept::started();
    let count = Boots::start(&mut flash, RECORDS.offset + BOOTS_OFFSET, slot, reason);
    let mut station = Station::new(
        setup,
        &profile,
        Capabilities::THINGS,
        Policy::default(),
        count.failed,
        u64::from_le_bytes(random.bytes()),
    );
    station.restore(&mut store);
    DESK.init_with(|| Desk::new(CHIP, station, profile, store, count.boots))
}

/// Starts a task. Each has a place of its own, so that none is refused.
fn spawn<S>(spawner: &Spawner, task: Result<SpawnToken<S>, SpawnError>) {
    match task {
        Ok(task) => spawner.spawn(task),
        Err(_) => missing("room for its tasks"),
    }
}
