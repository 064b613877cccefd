//! The connection with the server: gives the board's driver what it needs, and ends when the board is to restart.

use embassy_futures::select::{Either, Either3, select, select3};
use esp_println::println;
use espalier_board::tls::anchors;
use espalier_board::{Board, Buffers, Done, Happening, Hardware, NetError, Sample, Trust, Vitals};
use espalier_device::node::{StationInput, View};
use espalier_device::state::STATE_IMAGE;
use espalier_device::update::Boot;
use espalier_device::{Config, Core, UpdatePolicy};
use espalier_wire::json::Json;
use heapless::Vec;
use rand_core::RngCore;
use static_cell::StaticCell;

use crate::chip;
use crate::desk::{Desk, Store, heap_free};
use crate::flash::Flash;
use crate::net::Client;
use crate::random::Random;
use crate::things::Things;

/// Bytes of the queue of samples, as the simulator has them.
const QUEUE: usize = 8192;
/// Bytes of a frame.
const FRAME: usize = 2048;
/// Unix seconds of the sources of this image: no certificate that ended before is believed.
const DATE: &str = env!("ESPALIER_DATE");

/// What a person hears who gives another command.
const UNKNOWN: &str = if cfg!(feature = "nfc") {
    "this board knows the commands ping, identify, measure, write_card and restart"
} else {
    "this board knows the commands ping, identify, measure and restart"
};

type BoardCore = Core<QUEUE, FRAME>;

/// What the connection needs of the start.
pub struct Start {
    pub boot: Boot,
    pub store: Store,
    pub flash: Flash,
    pub client: Client,
    pub things: Things,
    #[cfg(feature = "nfc")]
    pub reader: Option<crate::sensors::Bus>,
    #[cfg(feature = "screen")]
    pub eyes: crate::picture::Eyes,
}

/// Serves the server until the board is to restart. A board without identity waits for one.
pub async fn serve(desk: &'static Desk, start: Start, mut random: Random) {
    let Some(config) = config(desk) else {
        println!("espalier: the board does not know its server yet");
        return desk.leave.wait().await;
    };
    static CORE: StaticCell<BoardCore> = StaticCell::new();
    static BUFFERS: StaticCell<Buffers> = StaticCell::new();
    static AUTHORITY: StaticCell<Vec<u8, { espalier_device::settings::MAX_CA }>> =
        StaticCell::new();
    let Start {
        boot,
        mut store,
        mut flash,
        client,
        things,
        #[cfg(feature = "nfc")]
        reader,
        #[cfg(feature = "screen")]
        mut eyes,
    } = start;
    #[cfg(not(feature = "screen"))]
    let mut eyes = espalier_board::FetchNothing;
    let core = CORE.init_with(|| Core::new(config, random.next_u64()));
    prepare(desk, core, &mut store);
    core.booted(boot);
    let authority =
        AUTHORITY.init(Vec::from_slice(desk.station.borrow().settings().ca()).unwrap_or_default());
    let anchors = anchors(authority, desk.station.borrow().settings().pins());
    let trust = Trust {
        anchors: &anchors,
        floor: DATE.parse().unwrap_or(0),
    };
    let mut hands = Hands {
        desk,
        things,
        #[cfg(feature = "nfc")]
        reader,
        #[cfg(feature = "nfc")]
        card: crate::card::Texts::default(),
    };
    #[cfg(feature = "nfc")]
    for (key, value) in core.switches().iter() {
        hands.card.set(key, value);
    }
    let board = Board {
        core: &mut *core,
        net: &client,
        hardware: &mut hands,
        storage: &mut store,
        flash: &mut flash,
        rng: &mut random,
        trust: &trust,
    };
    let life = espalier_board::run_with(board, BUFFERS.init_with(Buffers::new), &mut eyes);
    match select3(desk.halt.wait(), life, desk.leave.wait()).await {
        // A board that becomes another one must not remember what it was told as this one.
        Either3::First(()) => desk.leave.wait().await,
        Either3::Second(()) | Either3::Third(()) => core.persist(&mut store),
    }
}

fn config(desk: &Desk) -> Option<Config> {
    let station = desk.station.borrow();
    let settings = station.settings();
    if !settings.has_identity() {
        return None;
    }
    let config = settings.config(UpdatePolicy::default());
    let named = config.and_then(|config| {
        config.with_names(
            &desk.profile.name,
            chip::CHIP.as_str(),
            env!("CARGO_PKG_VERSION"),
        )
    });
    named
        .inspect_err(|error| println!("espalier: the settings cannot be used: {error}"))
        .ok()
}

/// Gives the core its switches and what it remembers, and lets the pins be as they were.
#[inline(never)]
fn prepare(desk: &Desk, core: &mut BoardCore, store: &mut Store) {
    let mut station = desk.station.borrow_mut();
    let node = station.node();
    for (key, value) in node.switches() {
        core.declare_switch(key, value);
    }
    #[cfg(feature = "nfc")]
    for key in crate::card::KEYS {
        core.declare_switch(key, "".into());
    }
    const SCRATCH: usize = if QUEUE > STATE_IMAGE {
        QUEUE
    } else {
        STATE_IMAGE
    } + 16;
    let mut scratch = [0; SCRATCH];
    let waiting = core.restore(store, &mut scratch);
    if waiting > 0 {
        println!("espalier: {waiting} samples wait for the server");
    }
    for (key, value) in core.switches().iter() {
        node.apply(key, value);
    }
    drop(station);
    desk.station_bell.signal(());
}

/// What the server sees of the board.
struct Hands {
    desk: &'static Desk,
    things: Things,
    /// Where an NFC reader may be.
    #[cfg(feature = "nfc")]
    reader: Option<crate::sensors::Bus>,
    #[cfg(feature = "nfc")]
    card: crate::card::Texts,
}

impl Hardware for Hands {
    async fn measure(&mut self, sample: &mut Sample) {
        self.things.measure(sample).await;
    }

    async fn apply(&mut self, key: &str, value: Json<'_>) -> bool {
        #[cfg(feature = "nfc")]
        if let Some(done) = self.card.set(key, value) {
            return done;
        }
        let done = self.desk.station.borrow_mut().node().apply(key, value);
        self.desk.station_bell.signal(());
        done
    }

    async fn run(&mut self, name: &str, _params: Json<'_>) -> Done {
        match name {
            "ping" => Done::Ok,
            "identify" => {
                self.desk.station.borrow_mut().node().identify();
                self.desk.station_bell.signal(());
                Done::Ok
            }
            "measure" => {
                self.things.measure_all();
                Done::Measure
            }
            #[cfg(feature = "nfc")]
            "write_card" => match crate::nfc::write(self.reader, self.card.card()).await {
                Ok(()) => Done::Ok,
                Err(why) => Done::Failed(why),
            },
            "restart" => Done::Restart,
            _ => Done::Failed(UNKNOWN),
        }
    }

    async fn self_test(&mut self) -> bool {
        // Whoever asks was reached over the radio; what is left is that the records can be read.
        let mut store = self.desk.store.borrow_mut();
        let mut head = [0; 2048];
        espalier_device::Storage::read(&mut *store, espalier_device::Slot::Settings, &mut head)
            .is_ok()
    }

    async fn happens(&mut self) -> Happening {
        match select(self.desk.changes.receive(), self.desk.asked.wait()).await {
            Either::First((key, value)) => Happening::Switch(key, value),
            Either::Second(()) => Happening::AskForUpdate,
        }
    }

    fn vitals(&mut self) -> Vitals {
        Vitals {
            heap_free: heap_free(),
            rssi: self.desk.rssi.get(),
        }
    }

    fn look(&mut self, view: View) {
        self.desk.view.set(view);
        self.desk.tell(StationInput::Core(view));
    }

    fn log(&mut self, error: NetError) {
        self.desk.trouble.set(Some(error.as_str()));
        println!("espalier: {error}");
    }
}
