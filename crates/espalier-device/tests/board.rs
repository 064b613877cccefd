//! A board beside its core: what the server wants reaches the pins, and what the board does by itself reaches the server, also
//! when it happened while there was no server.

use std::collections::HashMap;

use espalier_device::node::{Capabilities, Node, NodeInput, NodeOutput, View};
use espalier_device::profile::Profile;
use espalier_device::schedule::Zone;
use espalier_device::wifi::{Action, Event, Policy};
use espalier_device::{Config, Core, Input, Output, Slot, Storage};
use espalier_wire::device::{Down, StateMap, Up};
use espalier_wire::json::{Json, Text, Value};

/// Monday, 14 January 2030, 06:00 UTC: seven in Berlin.
const T0: i64 = 1_894_600_800_000;
const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
const BOARD: &str = r#"{"name":"pump","chip":"ESP32-C3","pins":[{"gpio":8,"role":"led"},{"gpio":9,"role":"button"},
    {"gpio":4,"role":"relay","key":"relay1"},{"gpio":5,"role":"relay","key":"relay2"}]}"#;

#[derive(Debug, Default)]
struct Records(HashMap<Slot, Vec<u8>>);

impl Storage for Records {
    type Error = ();

    fn read(&mut self, slot: Slot, into: &mut [u8]) -> Result<usize, ()> {
        let stored = self.0.get(&slot).cloned().unwrap_or_default();
        into.get_mut(..stored.len())
            .ok_or(())?
            .copy_from_slice(&stored);
        Ok(stored.len())
    }

    fn write(&mut self, slot: Slot, parts: &[&[u8]]) -> Result<(), ()> {
        self.0.insert(slot, parts.concat());
        Ok(())
    }
}

struct World {
    core: Core,
    node: Node,
    records: Records,
    now: u64,
    /// The wall clock when the board started.
    started: i64,
    server: bool,
    socket: bool,
    levels: HashMap<u8, u8>,
    reported: HashMap<String, (String, u64)>,
}

impl World {
    fn new() -> Self {
        World::start(Records::default(), T0)
    }

    /// Starts a board with these records, as a binding does.
    fn start(mut records: Records, started: i64) -> Self {
        let board = Profile::from_json(BOARD).unwrap();
        let zone = Zone::parse(BERLIN).unwrap();
        let mut node = Node::new(&board, Capabilities::THINGS, Policy::default(), zone, 0, 5);
        node.restore(&mut records);
        node.set_networks(["home"], None);
        let config = Config::new("http://server:8000", "dev1", "token")
            .unwrap()
            .with_intervals(86_400_000, 5_000)
            .unwrap();
        let mut core = Core::new(config, 5);
        assert!(node.declare(&mut core));
        core.restore(&mut records, &mut [0; 8_300]);
        core.resume(|key, value| {
            assert!(node.apply(key, value), "{key}");
            true
        });
        let mut world = World {
            core,
            node,
            records,
            now: 0,
            started,
            server: true,
            socket: false,
            levels: HashMap::new(),
            reported: HashMap::new(),
        };
        world.tell(NodeInput::Wifi(Event::Tick));
        world.tell(NodeInput::Wifi(Event::ScanFailed));
        world.tell(NodeInput::Wifi(Event::Connected { network: 0 }));
        world.step(Input::Tick);
        world
    }

    fn tell(&mut self, input: NodeInput<'_>) {
        self.node.step(self.now, input);
        self.drain_node();
    }

    fn drain_node(&mut self) {
        while let Some(output) = self.node.poll() {
            match output {
                NodeOutput::Level { gpio, level } => {
                    self.levels.insert(gpio, level);
                }
                NodeOutput::Changed { key, value } => {
                    self.core.step(self.now, Input::LocalChange { key, value });
                }
                NodeOutput::StoreSchedules => self.node.store(&mut self.records).unwrap(),
                NodeOutput::AskForUpdate => self.core.ask_for_update(),
                NodeOutput::Wifi(Action::Scan | Action::Connect { .. } | Action::Online { .. }) => {
                }
                NodeOutput::Settle => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn step(&mut self, input: Input<'_>) {
        self.core.step(self.now, input);
        enum Wish {
            Open,
            Frame(String),
            Apply(String, String),
            Other,
        }
        loop {
            let wish = match self.core.poll() {
                None => break,
                Some(Output::OpenSocket) => Wish::Open,
                Some(Output::Send { frame, .. }) => Wish::Frame(frame.to_owned()),
                Some(Output::Apply { key, value }) => {
                    Wish::Apply(key.to_owned(), value.as_str().to_owned())
                }
                Some(Output::Request { .. }) => {
                    self.core.step(self.now, Input::RequestFailed);
                    Wish::Other
                }
                Some(Output::Persist) => {
                    self.core.persist(&mut self.records);
                    Wish::Other
                }
                Some(_) => Wish::Other,
            };
            match wish {
                Wish::Open if self.server => {
                    self.socket = true;
                    self.core.step(self.now, Input::Opened);
                }
                Wish::Open => self.core.step(self.now, Input::OpenFailed { status: None }),
                Wish::Frame(frame) => self.hear(&frame),
                Wish::Apply(key, value) => {
                    let ok = self.node.apply(&key, Json::parse(&value).unwrap());
                    self.drain_node();
                    self.core.step(self.now, Input::Applied { key: &key, ok });
                }
                Wish::Other => {}
            }
        }
        let view = View {
            led: self.core.led(),
            wall_ms: self.core.wall_ms(),
            update: self.core.update_state(),
        };
        self.tell(NodeInput::Core(view));
    }

    fn hear(&mut self, frame: &str) {
        let answer = match Up::parse(frame).unwrap() {
            Up::Hello(_) => Down::Welcome {
                device_id: Text::new("dev1"),
                time: self.started + i64::try_from(self.now).unwrap(),
                heartbeat_s: 30,
            },
            Up::Reported { id, state } => {
                for entry in state.iter() {
                    let value = (entry.value.as_str().to_owned(), entry.version);
                    self.reported.insert(entry.key.to_string(), value);
                }
                Down::Ack { id }
            }
            Up::Telemetry { id, .. } => Down::Ack { id },
            Up::Heartbeat(beat) if beat.id.is_none() => return,
            Up::Ping => Down::Pong { time: None },
            _ => return,
        };
        self.core.step(self.now, Input::Frame(&answer.to_json()));
    }

    fn want(&mut self, key: &str, value: &str, version: u64) {
        let map = format!(r#"{{"{key}":{{"value":{value},"version":{version}}}}}"#);
        let state = StateMap::check(Json::parse(&map).unwrap()).unwrap();
        self.step(Input::Frame(&Down::Desired { state }.to_json()));
    }

    fn lose_server(&mut self) {
        self.server = false;
        if std::mem::take(&mut self.socket) {
            self.step(Input::Closed);
        }
    }

    fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while self.now < until {
            let wake = self.core.wake_in_ms().min(self.node.wake_in_ms()).max(1);
            self.now = (self.now + wake).min(until);
            self.step(Input::Tick);
        }
    }
}

const LIST: &str = r#"[{"key":"relay1","at":"07:30","days":"1-5","value":true},{"key":"relay1","at":"07:45","value":false},{"key":"relay2","every":1200,"value":true}]"#;

#[test]
fn what_the_server_wants_is_switched_and_reported() {
    let mut w = World::new();
    w.pass(1_000);
    assert_eq!((w.levels[&4], w.levels[&5]), (0, 0));
    w.want("relay1", "true", 4);
    w.pass(1_000);
    assert_eq!(
        (w.levels[&4], w.reported["relay1"].clone()),
        (255, ("true".to_owned(), 4))
    );
    // What the pin cannot be is not applied, and not reported as if it were.
    w.want("relay1", "\"on\"", 5);
    w.pass(1_000);
    assert_eq!((w.levels[&4], w.reported["relay1"].1), (255, 4));
    assert_eq!(w.core.stats().desired_refused, 1);
}

#[test]
fn schedules_run_without_a_server_and_are_told_when_it_is_back() {
    let mut w = World::new();
    w.pass(1_000);
    w.want("schedules", LIST, 9);
    w.pass(1_000);
    assert_eq!(w.reported["schedules"], (LIST.to_owned(), 9));
    w.lose_server();
    w.pass(29 * 60_000);
    assert_eq!(
        (w.levels[&4], w.levels[&5]),
        (0, 255),
        "the second relay needs no clock"
    );
    w.pass(60_000);
    assert_eq!(w.levels[&4], 255, "half past seven in Berlin");
    w.server = true;
    w.pass(120_000);
    assert_eq!(
        w.reported["relay1"],
        ("true".to_owned(), 0),
        "the board's own doing"
    );
    w.pass(15 * 60_000);
    assert_eq!(
        (w.levels[&4], w.reported["relay1"].0.as_str()),
        (0, "false")
    );
}

#[test]
fn a_power_failure_at_the_wrong_moment_is_made_up_for() {
    let mut w = World::new();
    w.pass(1_000);
    w.want("schedules", LIST, 9);
    w.pass(60_000);
    // The power is gone from 07:01 to 07:33.
    let mut w = World::start(w.records, T0 + 33 * 60_000);
    w.pass(5_000);
    assert_eq!(w.levels[&4], 255);
    // And again: what ran once does not run twice, although someone has switched it off meanwhile.
    w.want("relay1", "false", 10);
    w.pass(40_000);
    let mut w = World::start(w.records, T0 + 40 * 60_000);
    w.pass(5_000);
    assert_eq!(w.levels[&4], 0);
}

#[test]
fn the_light_tells_how_the_connection_is() {
    let mut w = World::new();
    w.pass(20_000);
    let lit = |w: &mut World, ms: u64| {
        let mut lit = 0;
        for _ in 0..ms / 10 {
            w.pass(10);
            lit += u64::from(w.levels[&8] > 0) * 10;
        }
        lit
    };
    let spark = lit(&mut w, 10_000);
    assert!((80..=120).contains(&spark), "two sparks: {spark}");
    w.lose_server();
    w.pass(120_000);
    let beats = lit(&mut w, 10_000);
    assert!(
        (900..=1_100).contains(&beats),
        "a heartbeat every two seconds: {beats}"
    );
}

#[test]
fn what_one_device_has_stored_is_no_other_ones() {
    let core = |server: &str, device: &str| -> Core {
        let mut core = Core::new(Config::new(server, device, "token").unwrap(), 1);
        core.declare_switch("relay1", Value::Bool(false));
        core
    };
    let mut records = Records::default();
    let mut first = core("http://server:8000", "dev1");
    first.step(0, Input::Sample(&[("temperature", Value::Int(21))]));
    first.step(
        1,
        Input::LocalChange {
            key: "relay1",
            value: Value::Bool(true),
        },
    );
    first.persist(&mut records);
    let mut found = |server: &str, device: &str| {
        let mut core = core(server, device);
        let samples = core.restore(&mut records, &mut [0; 8_300]);
        let relay = core.switches().iter().next().unwrap().1.as_str() == "true";
        (samples, relay)
    };
    assert_eq!(found("http://server:8000", "dev2"), (0, false));
    assert_eq!(found("http://other:8000", "dev1"), (0, false));
    assert_eq!(found("http://server:8000", "dev1"), (1, true));
}
