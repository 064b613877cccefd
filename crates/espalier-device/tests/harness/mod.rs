//! A server, a network and a board for the core, all in memory and driven step by step.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use espalier_device::{Config, Core, Input, Output, Slot, Storage};
use espalier_wire::device::{Down, StateMap, Telemetry, Up, write_state};
use espalier_wire::json::{Json, Text, Value};

/// The server's time when the board's clock reads 0.
pub const T0: i64 = 1_763_683_200_000;
pub type SmallCore = Core<2048, 512>;

#[derive(Default)]
pub struct Flash(HashMap<Slot, Vec<u8>>, pub u32);

impl Storage for Flash {
    type Error = ();

    fn read(&mut self, slot: Slot, into: &mut [u8]) -> Result<usize, ()> {
        let Some(bytes) = self.0.get(&slot) else {
            return Ok(0);
        };
        into.get_mut(..bytes.len())
            .ok_or(())?
            .copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write(&mut self, slot: Slot, parts: &[&[u8]]) -> Result<(), ()> {
        self.1 += 1;
        self.0.insert(slot, parts.concat());
        Ok(())
    }
}

#[derive(Default)]
pub struct Server {
    /// Ids that wait for the server's decision on the live connection, with the samples they carried.
    pub pending: BTreeMap<u32, Vec<i64>>,
    pub pending_reports: BTreeSet<u32>,
    pub stored: BTreeSet<i64>,
    pub stamps: BTreeMap<i64, Option<i64>>,
    pub wanted: BTreeMap<String, (String, u64)>,
    /// Newest nonzero version reported since the device started.
    pub reported: BTreeMap<String, u64>,
    pub last_report: BTreeMap<String, (String, u64)>,
    pub results: Vec<String>,
    pub frames: Vec<String>,
}

pub struct World {
    pub core: SmallCore,
    pub now: u64,
    pub flash: Flash,
    pub socket: bool,
    pub opening: bool,
    pub request: Option<(String, String)>,
    pub server: Server,
    pub sample_no: i64,
    /// Switch → the value that took effect last and its version.
    pub applied: BTreeMap<String, (String, u64)>,
    pub apply_works: bool,
    /// Whether the binding refuses every value for good.
    pub refuse_values: bool,
    pub ran: Vec<String>,
    /// How often the core wanted a restart; the world goes on without.
    pub restarts: u32,
}

pub fn core(seed: u64) -> SmallCore {
    let config = Config::new("http://server:8000", "dev1", "token")
        .unwrap()
        .with_intervals(86_400_000, 5_000)
        .unwrap();
    let mut core = Core::new(config, seed);
    assert!(
        core.declare_switch("v0", Value::Bool(false))
            && core.declare_switch("relay1", Value::Bool(false))
            && core.declare_long_switch("schedules", Value::Json(Json::parse("[]").unwrap()))
    );
    core
}

/// What the core asked for, copied out so that the world can answer.
enum Wish {
    Open,
    Close,
    Frame(String),
    Request(String, String),
    Apply(String, String),
    Run(String),
    Persist,
    Restart,
    Nothing,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut world = World {
            core: core(seed),
            now: 0,
            flash: Flash::default(),
            socket: false,
            opening: false,
            request: None,
            server: Server::default(),
            sample_no: 0,
            applied: BTreeMap::new(),
            apply_works: true,
            refuse_values: false,
            ran: Vec::new(),
            restarts: 0,
        };
        world.step(Input::Tick);
        world
    }

    pub fn step(&mut self, input: Input<'_>) {
        self.core.step(self.now, input);
        while let Some(wish) = self.next_wish() {
            self.grant(wish);
        }
    }

    fn next_wish(&mut self) -> Option<Wish> {
        Some(match self.core.poll()? {
            Output::OpenSocket => Wish::Open,
            Output::CloseSocket => Wish::Close,
            Output::Send { frame, .. } => Wish::Frame(frame.into()),
            Output::Request { path, body, .. } => Wish::Request(path.into(), body.into()),
            Output::Apply { key, value } => Wish::Apply(key.into(), value.as_str().into()),
            Output::Run { id, .. } => Wish::Run(id.into()),
            Output::Persist => Wish::Persist,
            Output::Restart => Wish::Restart,
            // Updates have a harness of their own, with a flash: that of the simulator.
            _ => Wish::Nothing,
        })
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Open => self.opening = true,
            Wish::Close => self.disconnect(),
            Wish::Frame(text) => {
                assert!(self.socket, "a frame without a socket: {text}");
                self.server.hears(&text, &self.applied);
            }
            Wish::Request(path, body) => self.request = Some((path, body)),
            Wish::Apply(key, _) if self.refuse_values => {
                let why = "too hot";
                self.core.step(self.now, Input::Refused { key: &key, why });
            }
            Wish::Apply(key, value) => {
                if self.apply_works {
                    let version = self
                        .server
                        .wanted
                        .get(&key)
                        .filter(|w| w.0 == value)
                        .map_or(0, |w| w.1);
                    self.applied.insert(key.clone(), (value, version));
                }
                self.core.step(
                    self.now,
                    Input::Applied {
                        key: &key,
                        ok: self.apply_works,
                    },
                );
            }
            Wish::Run(id) => {
                if id == "restart" {
                    self.core.want_restart();
                }
                self.core.step(
                    self.now,
                    Input::CommandDone {
                        id: &id,
                        outcome: Ok(Some(Value::Int(1))),
                    },
                );
                self.ran.push(id);
            }
            Wish::Persist => self.core.persist(&mut self.flash),
            Wish::Restart => self.restarts += 1,
            Wish::Nothing => {}
        }
    }

    /// Lets time pass as a binding would: never past the moment at which the core wants to be stepped.
    pub fn pass(&mut self, mut ms: u64) {
        while ms > 0 {
            let part = self.core.wake_in_ms().clamp(1, ms);
            self.now += part;
            self.step(Input::Tick);
            ms -= part;
        }
    }

    pub fn connect(&mut self) {
        if !std::mem::take(&mut self.opening) {
            return;
        }
        self.socket = true;
        self.step(Input::Opened);
        let time = T0 + i64::try_from(self.now).unwrap();
        self.down(&Down::Welcome {
            device_id: Text::new("dev1"),
            time,
            heartbeat_s: 30,
        });
        self.push_desired();
    }

    pub fn down(&mut self, frame: &Down<'_>) {
        self.step(Input::Frame(&frame.to_json()));
    }

    fn disconnect(&mut self) {
        (self.socket, self.opening) = (false, false);
        self.server.pending.clear();
        self.server.pending_reports.clear();
    }

    pub fn lose(&mut self) {
        if self.socket {
            self.disconnect();
            self.step(Input::Closed);
        } else if std::mem::take(&mut self.opening) {
            self.step(Input::OpenFailed { status: None });
        }
    }

    pub fn sample(&mut self) {
        self.sample_no += 1;
        let n = Value::Int(self.sample_no);
        self.step(Input::Sample(&[
            ("n", n),
            ("temperature", Value::Float(21.5)),
        ]));
    }

    pub fn want(&mut self, key: &str, value: bool, version: u64) {
        if version > self.server.wanted.get(key).map_or(0, |w| w.1) {
            self.server
                .wanted
                .insert(key.into(), (value.to_string(), version));
            // A long value goes the same way.
            let list = format!(
                r#"[{{"key":"relay1","at":"07:30","days":"1-5","value":{value},"note":"{version:045}"}}]"#
            );
            assert!(list.len() > espalier_device::state::MAX_SWITCH_VALUE);
            let newest = self.server.wanted.get("schedules").map_or(0, |w| w.1);
            if version > newest {
                self.server
                    .wanted
                    .insert("schedules".into(), (list, version));
            }
        }
    }

    pub fn push_desired(&mut self) {
        if self.socket {
            let map = self.server.desired();
            let state = StateMap::check(Json::parse(&map).unwrap()).unwrap();
            self.down(&Down::Desired { state });
        }
    }

    /// The server keeps a pending frame; with `answer` the device hears of it.
    pub fn keep(&mut self, pick: usize, answer: bool) {
        let ids: Vec<u32> = self
            .server
            .pending
            .keys()
            .chain(&self.server.pending_reports)
            .copied()
            .collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[pick % ids.len()];
        if let Some(samples) = self.server.pending.get(&id) {
            self.server.stored.extend(samples);
        }
        if answer {
            self.server.forget(id);
            self.down(&Down::Ack { id });
        }
    }

    pub fn refuse(&mut self, id: u32, code: &str, retry_after_ms: Option<u32>) {
        self.server.forget(id);
        self.down(&Down::Error {
            id: Some(id),
            code: code.into(),
            detail: "".into(),
            retry_after_ms,
        });
    }

    pub fn restart(&mut self, seed: u64) {
        self.core.persist(&mut self.flash);
        self.disconnect();
        self.request = None;
        self.core = core(seed);
        self.core.restore(&mut self.flash, &mut [0; 8192]);
        self.server.reported.clear();
        self.now = 0;
        self.step(Input::Tick);
    }

    /// A good network and a good server until the device has nothing left to say.
    pub fn heal(&mut self) {
        self.apply_works = true;
        self.push_desired();
        for _ in 0..2_000 {
            self.connect();
            while !(self.server.pending.is_empty() && self.server.pending_reports.is_empty()) {
                self.keep(0, true);
            }
            if self.socket && self.core.queued() == 0 && !self.core.switches().is_busy() {
                return;
            }
            if self.request.take().is_some() {
                self.step(Input::RequestFailed);
            }
            self.pass(500);
        }
        panic!("the device never delivered: {:?}", self.core);
    }
}

impl Server {
    fn forget(&mut self, id: u32) {
        self.pending.remove(&id);
        self.pending_reports.remove(&id);
    }

    pub fn desired(&self) -> String {
        let mut map = String::new();
        let entries = self
            .wanted
            .iter()
            .map(|(k, (v, n))| (k.as_str(), Json::parse(v).unwrap().into(), *n));
        write_state(&mut map, entries).unwrap();
        map
    }

    fn hears(&mut self, text: &str, applied: &BTreeMap<String, (String, u64)>) {
        match Up::parse(text).expect("the core sends only frames of the protocol") {
            Up::Telemetry { id, telemetry } => {
                let numbers = self.take(telemetry);
                assert!(
                    self.pending.insert(id, numbers).is_none(),
                    "an id was used twice on one connection"
                );
                let window = self.pending.len() + self.pending_reports.len();
                assert!(window <= espalier_device::machine::WINDOW);
            }
            Up::Reported { id, state } => {
                self.check_report(state, applied);
                self.pending_reports.insert(id);
            }
            Up::CommandResult(result) => self.results.push(result.id.to_string()),
            Up::Hello(_) | Up::Heartbeat(_) | Up::Ping => {}
        }
        self.frames.push(text.into());
    }

    pub fn take(&mut self, telemetry: Telemetry<'_>) -> Vec<i64> {
        let mut numbers = Vec::new();
        for sample in telemetry.samples() {
            let mut members = sample.data.members().unwrap();
            let n = members
                .find(|(k, _)| *k == "n")
                .unwrap()
                .1
                .as_i64()
                .unwrap();
            self.stamps.insert(n, sample.ts);
            numbers.push(n);
        }
        numbers
    }

    pub fn check_report(&mut self, state: StateMap<'_>, applied: &BTreeMap<String, (String, u64)>) {
        // A refusal says what the switch stays, and reports nothing.
        for entry in state.iter().filter(|entry| entry.error.is_none()) {
            let key = entry.key.to_string();
            self.last_report
                .insert(key.clone(), (entry.value.as_str().into(), entry.version));
            if entry.version > 0 {
                let newest = applied.get(&key).map_or(0, |a| a.1);
                assert!(
                    entry.version <= newest,
                    "{key} reports {} but applied {newest}",
                    entry.version
                );
                let last = self.reported.insert(key, entry.version).unwrap_or(0);
                assert!(entry.version >= last, "a reported version went down");
            }
        }
    }
}
