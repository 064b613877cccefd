//! The Espalier firmware for ESP32 chips: the order in which a board starts. Everything is decided in `espalier-device`, and put
//! together in `espalier-board`; here it meets pins, flash and radio.
//!
//! 1. The watchdog of the chip, and why the chip started (`reset`).
//! 2. The boot gate: an image that failed its trial is taken back here, before anything else of it can fail (`places`, `flash`).
//! 3. Settings, profile, station: what the board is (`desk`).
//! 4. Radio, pins, serial line, portal: one task each.
//! 5. The link to the server, until the board is to restart (`link`).
//!
//! | module | holds |
//! |---|---|
//! | `desk` | what the tasks share |
//! | `station`, `radio`, `pins` | serving the station: time, Wi-Fi, pins |
//! | `serial`, `portal` | setting the board up, over the serial lines and its own network |
//! | `net`, `link` | network stacks, the connection with the server |
//! | `things`, `climate`, `sensors` | what the variant has, what is measured, and how |
//! | `picture`, `panel` | what the display shows, and its bus |
//! | `card`, `nfc` | business cards, and the reader that writes them |
//! | `flash`, `places`, `reset`, `crash`, `random`, `chip` | the chip |
#![no_std]
#![no_main]

#[cfg(feature = "nfc")]
mod card;
mod chip;
#[cfg(feature = "sensors")]
mod climate;
mod crash;
mod desk;
mod flash;
mod link;
mod net;
#[cfg(feature = "nfc")]
mod nfc;
#[cfg(feature = "screen")]
mod panel;
#[cfg(feature = "screen")]
mod picture;
mod pins;
mod places;
mod portal;
mod radio;
mod random;
mod reset;
#[cfg(feature = "sensors")]
mod sensors;
mod serial;
mod station;
mod things;
mod variant;

use embassy_executor::{SpawnError, SpawnToken, Spawner};
use embassy_net::Stack;

use esp_hal::clock::CpuClock;
use esp_hal::efuse::{InterfaceMacAddress, interface_mac_address};
use esp_hal::rtc_cntl::{Rtc, RwdtStage};
use esp_hal::time::Duration;
use esp_println::println;
use esp_radio::wifi::{ControllerConfig, WifiController};
use espalier_board::sockets::PAGES;
use espalier_device::node::{Station, StationError, profile_of};
use espalier_device::profile::{self, Profile};
use espalier_device::records::Records;
use espalier_device::safe::{BOOTS_OFFSET, Boots, Start};
use espalier_device::settings::{Settings, import::import};
use espalier_device::setup::{About, Setup};
use espalier_device::update::{Boot, Gate, gate};
use espalier_device::wifi::Policy;
use heapless::{String, Vec};
use rand_core::RngCore;
use static_cell::StaticCell;

use desk::{Desk, Store};
use flash::Flash;
use places::{Places, Unusable};
use radio::Radio;
use random::Random;
use serial::Lines;

esp_bootloader_esp_idf::esp_app_desc!(
    env!("CARGO_PKG_VERSION"),
    variant::PROJECT,
    esp_bootloader_esp_idf::BUILD_TIME,
    esp_bootloader_esp_idf::BUILD_DATE,
    esp_bootloader_esp_idf::ESP_IDF_COMPATIBLE_VERSION,
    esp_bootloader_esp_idf::MMU_PAGE_SIZE,
    0,
    u16::MAX,
    esp_bootloader_esp_idf::SECURE_VERSION
);

/// How long after it was fed last the chip resets itself. It is fed at least every ten seconds, while no task is silent for longer
/// than it may be.
const WATCHDOG: Duration = Duration::from_secs(60);

#[esp_rtos::main]
async fn main(spawner: Spawner) -> ! {
    let chip = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    let mut rtc = Rtc::new(chip.RTC_TIMER);
    rtc.rwdt.set_timeout(RwdtStage::Stage0, WATCHDOG);
    rtc.rwdt.enable();

    let console = chip::console!(chip);
    let flash = Flash::new(chip.FLASH);
    let (boot, places, count) = match begin(flash) {
        Ok(begun) => begun,
        Err(error) => {
            println!("espalier: {}", error.as_str());
            // Somebody must flash it again; the watchdog lets it say so once a minute.
            loop {
                core::hint::spin_loop();
            }
        }
    };

    // Wi-Fi needs most of it. The bootloader's memory is free now.
    esp_alloc::heap_allocator!(#[esp_hal::ram(reclaimed)] size: chip::HEAP.0);
    esp_alloc::heap_allocator!(size: chip::HEAP.1);
    esp_rtos::start(chip::timer!(chip), chip.FROM_CPU_INTR0);
    let controller = match WifiController::new(chip.WIFI, ControllerConfig::default()) {
        Ok(controller) => controller,
        Err(error) => panic!("the radio does not start: {error:?}"),
    };

    let mut random = Random::new();
    let setup = read(flash, &places, &mut random);
    let desk = lay(setup, records(flash, &places), count, &mut random);
    let pulses = pins::pulses(chip.RMT);
    let outputs = pins::Outputs::new(
        &desk.profile,
        #[cfg(feature = "outputs")]
        chip.LEDC,
        pulses.transmitter,
    );
    #[cfg(feature = "sensors")]
    let bus = sensors::bus(&desk.profile, chip.I2C0);
    let things = things::Things {
        #[cfg(feature = "sensors")]
        climate: climate::Climate::new(desk, pulses.receiver, bus),
        #[cfg(feature = "nfc")]
        reader: bus,
        #[cfg(feature = "nfc")]
        card: card::Texts::default(),
        #[cfg(feature = "nfc")]
        desk,
    };
    #[cfg(feature = "screen")]
    let picture = picture::Picture::new(desk, chip.SPI2, random.next_u64());
    let (stack, runner) = net::station(&mut random);
    let (portal_stack, portal_runner) = net::portal(&mut random);
    let own = {
        let mut station = desk.station.borrow_mut();
        let setup = station.setup();
        radio::access_point(&setup.portal_ssid(), setup.settings().portal())
    };
    let own = match own {
        Ok(own) => own,
        Err(error) => panic!("the portal's name or password is too long: {error:?}"),
    };
    let client = net::client(stack);
    let lines = Lines::new(
        #[cfg(feature = "usb")]
        chip.USB_DEVICE,
        chip.UART0,
        console,
    );

    start(&spawner, station::serve(desk, outputs, rtc));
    start(
        &spawner,
        radio::serve(desk, Radio::new(controller, stack, own)),
    );
    start(&spawner, net::carry(runner));
    start(&spawner, net::carry(portal_runner));
    #[cfg(feature = "screen")]
    if let Some(picture) = picture {
        start(&spawner, picture::show(desk, picture));
    }
    serve_people(&spawner, desk, lines, portal_stack);
    let begun = link::Begun {
        boot,
        store: records(flash, &places),
        flash,
        client,
        random,
        things,
        #[cfg(feature = "screen")]
        eyes: picture::Eyes(picture),
        #[cfg(not(feature = "screen"))]
        eyes: espalier_board::FetchNothing,
    };
    link::serve(desk, begun).await;
    desk::restart(desk)
}

/// Starts what people meet: the serial lines, the portal, the buttons and the motion sensor.
fn serve_people(
    spawner: &Spawner,
    desk: &'static Desk,
    lines: Lines,
    portal_stack: Stack<'static>,
) {
    start(spawner, serial::speak(desk, lines.out));
    #[cfg(feature = "usb")]
    start(spawner, serial::listen_usb(desk, lines.usb_in));
    if let Some(uart) = lines.uart_in {
        start(spawner, serial::listen_uart(desk, uart));
    }
    start(spawner, portal::addresses(desk, portal_stack));
    start(spawner, portal::names(portal_stack));
    for _ in 0..PAGES {
        start(spawner, portal::pages(desk, portal_stack));
    }
    for pin in &desk.profile.pins {
        if let Some(input) = pins::input(pin) {
            start(spawner, pins::watch(desk, pin.gpio, input));
        }
    }
}

/// Starts a task. Each has a place of its own, so that none is refused.
fn start<S>(spawner: &Spawner, task: Result<SpawnToken<S>, SpawnError>) {
    match task {
        Ok(task) => spawner.spawn(task),
        Err(error) => panic!("a task does not start: {error:?}"),
    }
}

/// Finds out where everything is, lets the gate decide which image runs, and counts the start.
#[inline(never)]
fn begin(mut flash: Flash) -> Result<(Boot, Places, Start), Unusable> {
    let reason = reset::boot_reason();
    let places = Places::read(&mut flash)?;
    if !places.unfence(&flash) {
        return Err(Unusable::NoSlots);
    }
    let mut store = records(flash, &places);
    match gate(
        &mut store,
        &mut flash,
        &places.layout,
        places.booted,
        reason,
    ) {
        Gate::Go(boot) => {
            println!(
                "espalier: {} {} on {}, slot {}, started by {}, start {}",
                variant::PROJECT,
                env!("CARGO_PKG_VERSION"),
                chip::CHIP.as_str(),
                places.booted,
                reason.as_str(),
                boot.boots()
            );
            // Counted before the radio, whose driver may be what fails.
            let at = places.records.offset + BOOTS_OFFSET;
            let count = Boots::start(&mut flash, at, places.booted, reason);
            Ok((boot, places, count))
        }
        Gate::Restart => {
            println!("espalier: this firmware did not prove itself, the one before comes back");
            reset::restart()
        }
    }
}

fn records(flash: Flash, places: &Places) -> Store {
    match Records::new(flash, places.records.offset, places.records.size) {
        Ok(records) => records,
        Err(error) => panic!("{error}"),
    }
}

/// Reads who the board is. What this needs of the stack must be free again before the desk is laid.
#[inline(never)]
fn read(flash: Flash, places: &Places, random: &mut Random) -> Setup {
    let mut store = records(flash, places);
    let mac = interface_mac_address(InterfaceMacAddress::Station);
    let about = About::new(
        variant::PROJECT,
        env!("CARGO_PKG_VERSION"),
        chip::CHIP.title(),
        <[u8; 6]>::try_from(mac.as_bytes()).unwrap_or_default(),
    );
    let mut noise = [0; 16];
    random.fill_bytes(&mut noise);
    Setup::open(about, &mut store, |_| legacy(flash, places.nvs?), noise)
}

/// Lays everything that the tasks share on the desk.
#[inline(never)]
fn lay(setup: Setup, mut store: Store, count: Start, random: &mut Random) -> &'static Desk {
    static DESK: StaticCell<Desk> = StaticCell::new();
    let profile = board(setup.settings());
    let mut station = Station::new(
        setup,
        &profile,
        variant::CAPABILITIES,
        Policy::default(),
        count.failed,
        random.next_u64(),
    );
    if station.node().is_safe() {
        println!("espalier: safe mode, because the last starts ended too early");
    }
    station.restore(&mut store);
    DESK.init_with(|| Desk::new(desk::CHIP, station, profile, store, count.boots))
}

/// Takes over the settings that other firmware left on this board.
fn legacy(mut flash: Flash, (offset, size): (u32, u32)) -> Option<Settings> {
    // A place that cannot be read holds nothing for us.
    let found = import(&mut flash, offset, size).ok()??;
    println!("espalier: the settings of the firmware before this one are taken over");
    for key in &found.skipped {
        println!("espalier: its setting `{key}` cannot be used");
    }
    Some(found.settings)
}

/// Returns the profile that the settings hold or name; that of the chip's development board when they name none, and one without pins
/// when it is none for this chip.
fn board(settings: &Settings) -> Profile {
    let named = if settings.board().is_empty() && settings.profile().is_empty() {
        profile::named(chip::BOARD).ok_or(StationError::UnknownProfile)
    } else {
        profile_of(settings, chip::CHIP, |error| {
            println!("espalier: {error}; this pin is left away");
        })
    };
    named.unwrap_or_else(|error| {
        println!("espalier: {error}");
        Profile {
            name: String::new(),
            chip: chip::CHIP,
            pins: Vec::new(),
        }
    })
}
