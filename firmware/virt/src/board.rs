//! The board towards the server: an emulated relay and emulated sensors, and the driver that serves the core.

use core::cell::{Cell, RefCell};

use embassy_futures::select::select;
use embassy_net::Stack;
use embassy_time::{Instant, Timer};
use espalier_board::life::{self, Firmware, Memory, Parts, Start};
use espalier_board::{Done, FetchNothing, Sample, station};
use espalier_device::UpdatePolicy;
use espalier_device::update::{Boot, BootReason};
use espalier_virt::flash::Flash;
use espalier_virt::machine::{power_off, restart};
use espalier_virt::say;
use espalier_virt::virtio::{Memory as Pages, Transport, find};
use espalier_wire::json::{Json, Value};
use rand_core::{CryptoRng, RngCore};
use static_cell::{ConstStaticCell, StaticCell};
use virtio_drivers::device::rng::VirtIORng;
use virtio_drivers::transport::DeviceType;

use crate::{Desk, Store, net};

/// Milliseconds between measurements: the board is there for tests, which do not wait.
const INTERVAL_MS: u32 = 1_000;
/// Milliseconds that a new image must live.
const SETTLE_MS: u32 = 3_000;
/// Milliseconds that the firmware which crashes lives.
const CRASH_AFTER_MS: u64 = 1_000;
/// Unix seconds of the sources of this image: no certificate that ended before is believed.
const DATE: &str = env!("ESPALIER_DATE");

/// The generator of random numbers: that of the host, through virtio.
pub struct Random(RefCell<VirtIORng<Pages, Transport>>);

impl Random {
    /// Finds the device. Call it once.
    pub fn new() -> Option<Self> {
        let device = VirtIORng::new(find(DeviceType::EntropySource)?).ok()?;
        Some(Random(RefCell::new(device)))
    }

    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    fn fill(&self, bytes: &mut [u8]) {
        let mut left = bytes;
        while !left.is_empty() {
            match self.0.borrow_mut().request_entropy(left) {
                Ok(count) if count > 0 => left = left.get_mut(count..).unwrap_or_default(),
                Ok(_) => {}
                // Without it nothing that is secret can be made.
                Err(_) => panic!("the generator of random numbers failed"),
            }
        }
    }
}

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill(bytes);
        Ok(())
    }
}

impl CryptoRng for Random {}

/// The pins of the board, as a profile.
pub const PROFILE: &str =
    r#"{"name":"virt","chip":"ESP32-C3","pins":[{"gpio":4,"role":"relay","key":"relay1"}]}"#;

/// A relay that shows what it does on the serial line.
#[derive(Clone, Copy)]
pub struct Relay(&'static Cell<bool>);

impl Relay {
    /// Takes the relay. Call it once.
    pub fn new() -> Self {
        static RELAY: StaticCell<Cell<bool>> = StaticCell::new();
        Relay(RELAY.init(Cell::new(false)))
    }
}

impl station::Pins for Relay {
    fn set(&mut self, _gpio: u8, level: u8) {
        self.0.set(level > 0);
        say!("relay1: {}", self.0.get());
    }
}

/// Sensors that show that time passes.
struct Sensors(Relay);

impl Parts for Sensors {
    const UNKNOWN: &'static str =
        "this board knows the commands ping, identify, measure, restart and power_off";

    async fn measure(&mut self, sample: &mut Sample) {
        let seconds = Instant::now().as_secs();
        sample.add(
            "temperature",
            Value::Float(20.0 + (seconds % 10) as f64 / 10.0),
        );
        sample.add("relay1", Value::Bool(self.0.0.get()));
        #[cfg(feature = "extra")]
        sample.add(
            "pressure",
            Value::Float(1013.0 - (seconds % 7) as f64 / 4.0),
        );
    }

    async fn run(&mut self, name: &str, _: Json<'_>) -> Option<Done> {
        match name {
            // It has no light to blink.
            "identify" => say!("here I am"),
            "power_off" => power_off(0),
            _ => {}
        }
        None
    }
}

/// What the connection needs of the start.
pub struct Begun {
    pub boot: Boot,
    pub store: Store,
    pub flash: Flash<'static>,
    pub stack: Stack<'static>,
    pub random: Random,
    pub relay: Relay,
}

/// Serves the server until the board is to restart.
#[embassy_executor::task]
pub async fn serve(desk: &'static Desk, begun: Begun) {
    static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());
    let Begun {
        boot,
        store,
        flash,
        stack,
        random,
        relay,
    } = begun;
    let running = boot.running().map(|running| running.version.clone());
    let start = Start {
        boot,
        firmware: Firmware {
            chip: "esp32c3",
            version: running.as_deref().unwrap_or_default(),
            date: DATE.parse().unwrap_or(0),
            updates: UpdatePolicy {
                settle_ms: SETTLE_MS,
                ..UpdatePolicy::default()
            },
            intervals_ms: Some((INTERVAL_MS, INTERVAL_MS)),
        },
        store,
        flash,
        net: net::client(stack),
        rng: random,
        parts: Sensors(relay),
        fetch: FetchNothing,
    };
    let life = life::serve(desk, start, MEMORY.take());
    select(life, crash()).await;
    desk.settle();
    restart(BootReason::Restart)
}

/// What is wrong with the firmware that must not stay.
async fn crash() {
    if cfg!(feature = "crash") {
        Timer::after_millis(CRASH_AFTER_MS).await;
        panic!("this firmware crashes on purpose");
    }
    core::future::pending().await
}
