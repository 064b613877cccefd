//! The life of a whole board towards its server: makes the core out of what the station knows, gives the driver what it needs, and
//! ends when the board is to restart. The driver stands below it and knows of no station.

use embassy_futures::select::{Either, Either3, select, select3};
use embassy_time::Timer;
use embedded_nal_async::{Dns, TcpConnect};
use embedded_storage::nor_flash::NorFlash;
use espalier_device::node::{StationInput, View};
use espalier_device::records::Records;
use espalier_device::refusals::MAX_REASON;
use espalier_device::safe::Task;
use espalier_device::settings::{MAX_CA, Settings};
use espalier_device::state::STATE_IMAGE;
use espalier_device::update::Boot;
use espalier_device::{Config, ConfigError, Core, Storage, UpdatePolicy};
use espalier_wire::json::{Json, Value};
use heapless::{String, Vec};
use rand_core::{CryptoRng, RngCore};

use crate::buffers::{Buffers, FULL_RECORD};
use crate::desk::Desk;
use crate::driver::{Board, run_with};
use crate::error::NetError;
use crate::fetch::Fetch;
use crate::hardware::{Done, Happening, Hardware, Sample, Vitals};
use crate::tls::{Trust, anchors};

/// Bytes of the queue of samples.
const QUEUE: usize = 8192;
/// Bytes of a frame.
const FRAME: usize = 2048;
/// Bytes of heap that firmware on trial must leave: with fewer the radio does not live long.
const LEAST_HEAP: u32 = 8 * 1024;
/// Every so many samples the board adds its own vital signs.
const VITALS_EVERY: u32 = 6;

// What is restored passes through the buffer of a record, which nobody needs before the first connection.
const _: () = assert!(QUEUE + 12 <= FULL_RECORD && STATE_IMAGE + 12 <= FULL_RECORD);

type BoardCore = Core<QUEUE, FRAME>;

/// What a variant has beside its station: sensors, and what only it understands.
pub trait Parts {
    /// Texts that the server may set, each a switch of its own; they begin empty.
    const TEXTS: &'static [&'static str] = &[];
    /// What a person hears who gives a command that nobody knows.
    const UNKNOWN: &'static str =
        "this board knows the commands ping, identify, measure and restart";

    /// Reads the sensors. One that does not answer adds no value, and is noted with [`Desk::used`].
    async fn measure(&mut self, sample: &mut Sample);

    /// Sets a text; says whether it took effect, and nothing when the key is another one's.
    fn set(&mut self, _key: &str, _value: Json<'_>) -> Option<bool> {
        None
    }

    /// Runs a command; nothing when it is another one's.
    async fn run(&mut self, _name: &str, _params: Json<'_>) -> Option<Done> {
        None
    }
}

/// What the core is told about the firmware.
#[derive(Debug, Clone, Copy)]
pub struct Firmware<'a> {
    /// The chip, in the word of the wire.
    pub chip: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Unix seconds of its sources: no certificate that ended before is believed.
    pub date: u64,
    /// Its patience with updates.
    pub updates: UpdatePolicy,
    /// Milliseconds between measurements and between questions without a socket, where they are not the usual ones.
    pub intervals_ms: Option<(u32, u32)>,
}

/// What the connection needs of the start.
#[derive(Debug)]
pub struct Start<'a, F, N, R, P, W> {
    /// What the gate said.
    pub boot: Boot,
    /// The firmware.
    pub firmware: Firmware<'a>,
    /// The records.
    pub store: Records<F>,
    /// The flash with the slots.
    pub flash: F,
    /// The network.
    pub net: N,
    /// A generator for keys and masks, seeded by the chip.
    pub rng: R,
    /// Sensors and what else the variant has.
    pub parts: P,
    /// Who wants something fetched.
    pub fetch: W,
}

/// The memory of a life, in a static or wherever there is room.
#[derive(Debug)]
pub struct Memory {
    /// None or one; unlike an option, an empty list is nothing but zeros, which no image has to carry.
    core: Vec<BoardCore, 1>,
    buffers: Buffers,
    authority: Vec<u8, MAX_CA>,
}

impl Memory {
    /// Makes empty memory.
    pub const fn new() -> Self {
        Memory {
            core: Vec::new(),
            buffers: Buffers::new(),
            authority: Vec::new(),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// Serves the server until the board is to restart. A board that cannot know its server waits for a person who tells it.
pub async fn serve<F, N, R, P, W>(
    desk: &'static Desk<F>,
    start: Start<'_, F, N, R, P, W>,
    memory: &mut Memory,
) where
    F: NorFlash,
    N: TcpConnect + Dns,
    R: RngCore + CryptoRng,
    P: Parts,
    W: Fetch,
{
    let Start {
        boot,
        firmware,
        mut store,
        mut flash,
        net,
        mut rng,
        parts,
        mut fetch,
    } = start;
    let Some(config) = config(desk, &firmware) else {
        desk.rests(Task::Link);
        return wait(desk, boot, store).await;
    };
    let Some(core) = make(&mut memory.core, config, rng.next_u64()) else {
        return;
    };
    let mut hands = Hands {
        desk,
        parts,
        samples: 0,
        refused_text: false,
    };
    let scratch = memory.buffers.scratch();
    if !hands.prepare(core, &mut store, scratch) {
        desk.say(format_args!("not all switches of the board found room"));
    }
    core.booted(boot);
    // What the settings hold fits.
    memory.authority = Vec::from_slice(desk.station.borrow().settings().ca()).unwrap_or_default();
    let anchors = anchors(&memory.authority, desk.station.borrow().settings().pins());
    let trust = Trust {
        anchors: &anchors,
        floor: firmware.date,
    };
    let board = Board {
        core: &mut *core,
        net: &net,
        hardware: &mut hands,
        storage: &mut store,
        flash: &mut flash,
        rng: &mut rng,
        trust: &trust,
    };
    desk.alive(Task::Link);
    let life = run_with(board, &mut memory.buffers, &mut fetch);
    match select3(desk.halt.wait(), life, desk.leave.wait()).await {
        // A board that becomes another one must not remember what it was told as this one.
        Either3::First(()) => {
            desk.rests(Task::Link);
            left(desk).await;
        }
        Either3::Second(()) | Either3::Third(()) => core.persist(&mut store),
    }
}

/// Waits until the board is to restart. Nobody waits for what is changed here; the station must not wait for somebody either.
async fn left<F>(desk: &Desk<F>) {
    let changes = async {
        loop {
            desk.changes.receive().await;
        }
    };
    let _: Either<(), ()> = select(desk.leave.wait(), changes).await;
}

/// Makes the core in its place. It has some thirty kilobytes, which must not stay on the stack of a task.
#[inline(never)]
fn make(place: &mut Vec<BoardCore, 1>, config: Config, seed: u64) -> Option<&mut BoardCore> {
    place.clear();
    // There is room for one.
    let _ = place.push(Core::new(config, seed));
    place.first_mut()
}

/// Waits for a restart, because the board does not know its server. An image on trial cannot prove itself so, and is taken back:
/// it may be what cannot read the settings.
async fn wait<F: NorFlash>(desk: &Desk<F>, mut boot: Boot, mut store: Records<F>) {
    let trial = async {
        match boot.trial_ms() {
            Some(until) => Timer::after_millis(until.saturating_sub(desk.now_ms())).await,
            None => core::future::pending().await,
        }
    };
    if matches!(select(trial, left(desk)).await, Either::First(())) {
        desk.say(format_args!(
            "this firmware did not prove itself, the one before comes back"
        ));
        // Where it cannot be noted, the number of starts ends the trial.
        let _ = boot.give_up(&mut store);
    }
}

/// Makes the configuration of the core out of the settings, when the board knows its server.
fn config<F: NorFlash>(desk: &Desk<F>, firmware: &Firmware<'_>) -> Option<Config> {
    let station = desk.station.borrow();
    let settings = station.settings();
    if !settings.has_identity() {
        desk.say(format_args!("the board does not know its server yet"));
        return None;
    }
    let config = named(settings, &desk.profile.name, firmware);
    config
        .inspect_err(|error| desk.say(format_args!("the settings cannot be used: {error}")))
        .ok()
}

fn named(settings: &Settings, board: &str, firmware: &Firmware<'_>) -> Result<Config, ConfigError> {
    let config =
        settings
            .config(firmware.updates)?
            .with_names(board, firmware.chip, firmware.version)?;
    match firmware.intervals_ms {
        Some((measure, poll)) => config.with_intervals(measure, poll),
        None => Ok(config),
    }
}

/// What the server sees of the board.
struct Hands<F: 'static, P> {
    desk: &'static Desk<F>,
    parts: P,
    /// Samples that were taken since one had the vital signs.
    samples: u32,
    /// Whether the last value that was set was a text, and refused.
    refused_text: bool,
}

impl<F: NorFlash, P: Parts> Hands<F, P> {
    /// Gives the core its switches and what it remembers, and lets the board be as it was. Says whether all switches found room.
    #[inline(never)]
    fn prepare(
        &mut self,
        core: &mut BoardCore,
        store: &mut Records<F>,
        scratch: &mut [u8],
    ) -> bool {
        let desk = self.desk;
        let mut station = desk.station.borrow_mut();
        let node = station.node();
        let mut all = node.declare(core);
        for key in P::TEXTS {
            all &= core.declare_switch(key, "".into());
        }
        let waiting = core.restore(store, scratch);
        if waiting > 0 {
            desk.say(format_args!("{waiting} samples wait for the server"));
        }
        core.resume(|key, value| {
            let text = self.parts.set(key, value);
            text.unwrap_or_else(|| node.apply(key, value))
        });
        drop(station);
        desk.station_bell.signal(());
        all
    }

    fn add_vitals(&mut self, sample: &mut Sample) {
        let is_due = self.samples.is_multiple_of(VITALS_EVERY);
        let safe = self.desk.station.borrow_mut().node().is_safe();
        // The end of safe mode is told, too: who looks at the last value must not see it for ever.
        if safe || is_due {
            sample.add("safe_mode", Value::Bool(safe));
        }
        if is_due {
            if let Some(rssi) = self.desk.rssi.get() {
                sample.add("rssi", Value::Int(i64::from(rssi)));
            }
            let seconds = i64::try_from(self.desk.now_ms() / 1000).unwrap_or(i64::MAX);
            sample.add("uptime", Value::Int(seconds));
        }
        self.samples = self.samples.wrapping_add(1);
    }

    async fn command(&mut self, name: &str, params: Json<'_>) -> Done {
        if let Some(done) = self.parts.run(name, params).await {
            return done;
        }
        match name {
            "ping" => Done::Ok,
            "identify" => {
                self.desk.station.borrow_mut().node().identify();
                self.desk.station_bell.signal(());
                Done::Ok
            }
            "measure" => {
                // A person asked for it, so it has everything.
                self.samples = 0;
                Done::Measure
            }
            "restart" => Done::Restart,
            _ => Done::Failed(P::UNKNOWN),
        }
    }
}

impl<F: NorFlash, P: Parts> Hardware for Hands<F, P> {
    async fn measure(&mut self, sample: &mut Sample) {
        self.desk.alive(Task::Parts);
        self.parts.measure(sample).await;
        let motion = self.desk.station.borrow_mut().node().motion();
        if let Some(motion) = motion {
            sample.add("motion", Value::Bool(motion));
        }
        for (key, works) in self.desk.health.borrow().values() {
            sample.add(key, works);
        }
        self.add_vitals(sample);
        self.desk.rests(Task::Parts);
    }

    async fn apply(&mut self, key: &str, value: Json<'_>) -> bool {
        let text = self.parts.set(key, value);
        self.refused_text = text == Some(false);
        if let Some(done) = text {
            return done;
        }
        let done = self.desk.station.borrow_mut().node().apply(key, value);
        self.desk.station_bell.signal(());
        done
    }

    fn refusal(&mut self) -> Option<String<MAX_REASON>> {
        if self.refused_text {
            return String::try_from("this board does not take that text: it may be too long").ok();
        }
        let mut station = self.desk.station.borrow_mut();
        String::try_from(station.node().refusal()?).ok()
    }

    async fn run(&mut self, name: &str, params: Json<'_>) -> Done {
        self.desk.alive(Task::Parts);
        let done = self.command(name, params).await;
        self.desk.rests(Task::Parts);
        done
    }

    async fn self_test(&mut self) -> bool {
        // Whoever asks was reached over the network; what is left is that the board would find its server again, and lives.
        let silent = self
            .desk
            .station
            .borrow_mut()
            .node()
            .silent(self.desk.now_ms());
        let does_well = does_well(silent, (self.desk.chip.heap_free)());
        if let Err(why) = does_well {
            self.desk
                .say(format_args!("the check of this firmware failed: {why}"));
        }
        does_well.is_ok() && knows_its_server(&mut *self.desk.store.borrow_mut())
    }

    async fn happens(&mut self) -> Happening {
        match select(self.desk.changes.receive(), self.desk.asked.wait()).await {
            Either::First((key, value)) => Happening::Switch(key, value),
            Either::Second(()) => Happening::AskForUpdate,
        }
    }

    fn vitals(&mut self) -> Vitals {
        Vitals {
            heap_free: (self.desk.chip.heap_free)(),
            rssi: self.desk.rssi.get(),
        }
    }

    fn look(&mut self, view: View) {
        self.desk.view.set(view);
        self.desk.tell(StationInput::Core(view));
    }

    fn log(&mut self, error: NetError) {
        self.desk.trouble.set(Some(error.as_str()));
        self.desk.say(format_args!("{error}"));
    }

    fn alive(&mut self) {
        self.desk.alive(Task::Link);
    }
}

/// Checks that no task hangs, and that there is heap left where there is one.
///
/// # Errors
/// Says what is wrong.
fn does_well(silent: Option<Task>, heap_free: Option<u32>) -> Result<(), &'static str> {
    match (silent, heap_free) {
        (Some(task), _) => Err(task.as_str()),
        (None, Some(bytes)) if bytes < LEAST_HEAP => Err("too little heap"),
        _ => Ok(()),
    }
}

/// Says whether the settings in storage can be read, and make a configuration.
#[inline(never)]
fn knows_its_server<S: Storage>(storage: &mut S) -> bool {
    let settings = Settings::load(storage).ok().flatten();
    settings.is_some_and(|settings| {
        settings.has_identity() && settings.config(UpdatePolicy::default()).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use espalier_device::Slot;

    use super::*;

    struct Stored(&'static str);

    impl Storage for Stored {
        type Error = ();

        fn read(&mut self, slot: Slot, into: &mut [u8]) -> Result<usize, ()> {
            let bytes: Vec<u8> = match slot {
                Slot::Settings => self.0.into(),
                _ => Vec::new(),
            };
            into.get_mut(..bytes.len())
                .ok_or(())?
                .copy_from_slice(&bytes);
            Ok(bytes.len())
        }

        fn write(&mut self, _: Slot, _: &[&[u8]]) -> Result<(), ()> {
            Err(())
        }
    }

    #[test]
    fn the_self_test_wants_live_tasks_and_some_heap() {
        for heap in [None, Some(LEAST_HEAP)] {
            assert_eq!(does_well(None, heap), Ok(()));
            assert_eq!(does_well(Some(Task::Radio), heap), Err("the radio"));
        }
        assert_eq!(
            does_well(None, Some(LEAST_HEAP - 1)),
            Err("too little heap")
        );
    }

    #[test]
    fn the_self_test_wants_settings_that_make_a_configuration() {
        for (settings, passes) in [
            (
                r#"{"v":1,"server":"https://farm","device":"d1","token":"t1"}"#,
                true,
            ),
            // From newer firmware, damaged, without the server, empty.
            (
                r#"{"v":9,"server":"https://farm","device":"d1","token":"t1"}"#,
                false,
            ),
            (r#"{"v":1,"server":"https://fa"#, false),
            (r#"{"v":1,"device":"d1","token":"t1"}"#, false),
            ("", false),
        ] {
            assert_eq!(
                knows_its_server(&mut Stored(settings)),
                passes,
                "{settings}"
            );
        }
    }
}
