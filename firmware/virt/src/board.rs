//! The board towards the server: an emulated relay and emulated sensors, and the driver that serves the core.

use core::cell::{Cell, RefCell};

use embassy_futures::select::{Either3, select3};
use embassy_net::Stack;
use embassy_time::{Instant, Timer};
use espalier_board::hardware::{Done, Hardware, Sample};
use espalier_board::tls::anchors;
use espalier_board::{Board, Buffers, NetError, Trust, run};
use espalier_device::settings::MAX_CA;
use espalier_device::setup::Setup;
use espalier_device::state::STATE_IMAGE;
use espalier_device::update::{Boot, BootReason};
use espalier_device::{Config, ConfigError, Core, UpdatePolicy};
use espalier_virt::flash::Flash;
use espalier_virt::machine::{power_off, restart};
use espalier_virt::say;
use espalier_virt::virtio::{Memory, Transport, find};
use espalier_wire::json::{Json, Value};
use heapless::Vec;
use rand_core::{CryptoRng, RngCore};
use static_cell::StaticCell;
use virtio_drivers::device::rng::VirtIORng;
use virtio_drivers::transport::DeviceType;

use crate::Store;
use crate::console::LOOK_EVERY_MS;
use crate::net::Client;

const QUEUE: usize = 8192;
const FRAME: usize = 2048;
/// Milliseconds between measurements: the board is there for tests, which do not wait.
const INTERVAL_MS: u32 = 1_000;
/// Milliseconds that a new image must live.
const SETTLE_MS: u32 = 3_000;
/// Milliseconds that the firmware which crashes lives.
const CRASH_AFTER_MS: u64 = 1_000;
/// Unix seconds of the sources of this image: no certificate that ended before is believed.
const DATE: &str = env!("ESPALIER_DATE");

/// The generator of random numbers: that of the host, through virtio.
pub struct Random(RefCell<VirtIORng<Memory, Transport>>);

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

/// A relay, and sensors that show that time passes.
struct Pins {
    relay: Cell<bool>,
}

impl Hardware for Pins {
    async fn measure(&mut self, sample: &mut Sample) {
        let seconds = Instant::now().as_secs();
        sample.add(
            "temperature",
            Value::Float(20.0 + (seconds % 10) as f64 / 10.0),
        );
        sample.add("relay1", Value::Bool(self.relay.get()));
        #[cfg(feature = "extra")]
        sample.add(
            "pressure",
            Value::Float(1013.0 - (seconds % 7) as f64 / 4.0),
        );
    }

    async fn apply(&mut self, key: &str, value: Json<'_>) -> bool {
        let wanted = match value.as_str() {
            "true" => true,
            "false" => false,
            _ => return false,
        };
        if key == "relay1" {
            self.relay.set(wanted);
            say!("relay1: {wanted}");
        }
        key == "relay1"
    }

    async fn run(&mut self, name: &str, _: Json<'_>) -> Done {
        match name {
            "identify" => {
                say!("here I am");
                Done::Ok
            }
            "restart" => Done::Restart,
            "power_off" => power_off(0),
            _ => Done::Failed("this board knows identify, restart and power_off"),
        }
    }

    async fn self_test(&mut self) -> bool {
        true
    }

    fn log(&mut self, error: NetError) {
        say!("espalier: {error}");
    }
}

#[embassy_executor::task]
pub async fn serve(
    setup: &'static RefCell<Setup>,
    stack: Stack<'static>,
    mut store: Store,
    mut flash: Flash<'static>,
    start: (Boot, Random),
) {
    let (boot, mut random) = start;
    let mut authority = Vec::<u8, MAX_CA>::new();
    // What the settings hold fits.
    let _ = authority.extend_from_slice(setup.borrow().settings().ca());
    let anchors = anchors(&authority, setup.borrow().settings().pins());
    let config = match configuration(&setup.borrow(), &boot) {
        Ok(config) => config,
        Err(error) => {
            say!("espalier: the board is not provisioned: {error}");
            return;
        }
    };
    static CORE: StaticCell<Core<QUEUE, FRAME>> = StaticCell::new();
    static BUFFERS: StaticCell<Buffers> = StaticCell::new();
    let core = CORE.init_with(|| Core::new(config, random.next_u64()));
    core.declare_switch("relay1", Value::Bool(false));
    restore(core, &mut store);
    let pins = &mut Pins {
        relay: Cell::new(false),
    };
    for (key, value) in core.switches().iter() {
        pins.apply(key, value).await;
    }
    core.booted(boot);
    stack.wait_config_up().await;
    if let Some(config) = stack.config_v4() {
        say!("espalier: the board has the address {}", config.address);
    }
    let trust = Trust {
        anchors: &anchors,
        floor: DATE.parse().unwrap_or(0),
    };
    let client = Client::new(stack);
    let board = Board {
        core,
        net: &client,
        hardware: pins,
        storage: &mut store,
        flash: &mut flash,
        rng: &mut random,
        trust: &trust,
    };
    let life = run(board, BUFFERS.init_with(Buffers::new));
    match select3(halted(setup), life, crash()).await {
        // The console restarts a board that becomes another one, when its last words are said.
        Either3::First(()) => core::future::pending().await,
        Either3::Second(()) | Either3::Third(()) => restart(BootReason::Restart),
    }
}

/// Makes the configuration of the core out of the settings.
fn configuration(setup: &Setup, boot: &Boot) -> Result<Config, ConfigError> {
    let policy = UpdatePolicy {
        settle_ms: SETTLE_MS,
        ..UpdatePolicy::default()
    };
    let version = boot
        .running()
        .map_or("", |running| running.version.as_str());
    setup
        .settings()
        .config(policy)?
        .with_names("virt", "esp32c3", version)?
        .with_intervals(INTERVAL_MS, INTERVAL_MS)
}

fn restore(core: &mut Core<QUEUE, FRAME>, store: &mut Store) {
    const SCRATCH: usize = if QUEUE > STATE_IMAGE {
        QUEUE
    } else {
        STATE_IMAGE
    } + 12;
    static BYTES: StaticCell<[u8; SCRATCH]> = StaticCell::new();
    let found = core.restore(store, BYTES.init_with(|| [0; SCRATCH]));
    if found > 0 {
        say!("espalier: {found} samples were stored");
    }
}

/// Waits until the board is another one with the restart that follows: the core stops, and stores nothing more.
async fn halted(setup: &RefCell<Setup>) {
    while !setup.borrow().is_leaving() {
        Timer::after_millis(LOOK_EVERY_MS).await;
    }
}

/// What is wrong with the firmware that must not stay.
async fn crash() {
    if cfg!(feature = "crash") {
        Timer::after_millis(CRASH_AFTER_MS).await;
        panic!("this firmware crashes on purpose");
    }
    core::future::pending().await
}
