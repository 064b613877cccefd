//! A node as a binding drives it: levels in, levels out, in virtual time.

extern crate std;

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use proptest::prelude::*;

use super::*;
use crate::machine::Led;
use crate::profile;
use crate::wifi::{Action, Event, Policy};

/// Monday, 14 January 2030, 00:00 UTC.
const MONDAY_MS: i64 = 1_894_579_200_000;

struct World {
    node: Node,
    now: u64,
    levels: BTreeMap<u8, u8>,
    log: Vec<(u64, String)>,
    /// How often the level of a pin was set.
    changes: BTreeMap<u8, u32>,
    settled: bool,
}

impl World {
    fn new(board: &str, variant: &str, failed: u32) -> Self {
        let board = profile::named(board).unwrap();
        World::of(&board, Capabilities::named(variant).unwrap(), failed)
    }

    fn of(board: &Profile, can: Capabilities, failed: u32) -> Self {
        let mut node = Node::new(board, can, Policy::default(), Zone::UTC, failed, 7);
        node.set_networks(["home"], None);
        let mut world = World {
            node,
            now: 0,
            levels: BTreeMap::new(),
            log: vec![],
            changes: BTreeMap::new(),
            settled: false,
        };
        // Every line is high at rest: buttons are up.
        for pin in &board.pins {
            let high = pin.role != Role::Pir;
            world.step(NodeInput::Pin {
                gpio: pin.gpio,
                high,
            });
        }
        world
    }

    fn step(&mut self, input: NodeInput<'_>) {
        self.node.step(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(output) = self.node.poll() {
            count += 1;
            assert!(count < 60, "it never ends: {output:?}");
            let line = match output {
                NodeOutput::Level { gpio, level } => {
                    self.levels.insert(gpio, level);
                    *self.changes.entry(gpio).or_default() += 1;
                    continue;
                }
                NodeOutput::Changed { key, value } => {
                    let mut text = String::new();
                    value.write_json(&mut text).unwrap();
                    format!("{key}={text}")
                }
                NodeOutput::Settle => {
                    assert!(!std::mem::replace(&mut self.settled, true));
                    continue;
                }
                NodeOutput::Restart(_) => {
                    assert!(
                        self.settled,
                        "a restart of its own wish would count as a failure"
                    );
                    "restart".to_string()
                }
                NodeOutput::Wifi(Action::Scan | Action::Connect { .. } | Action::Disconnect) => {
                    continue;
                }
                other => format!("{other:?}"),
            };
            self.log.push((self.now, line));
        }
    }

    /// Time passes as a binding lets it pass.
    fn pass(&mut self, mut ms: u64) {
        while ms > 0 {
            let part = self.node.wake_in_ms().clamp(1, ms);
            self.now += part;
            self.step(NodeInput::Tick);
            assert!(self.node.may_feed(self.now));
            ms -= part;
        }
    }

    fn online(&mut self) {
        self.step(NodeInput::Wifi(Event::Scanned(&[])));
        self.step(NodeInput::Wifi(Event::Connected { network: 0 }));
        assert!(self.node.wifi().is_online());
        self.core(Led::Steady, None);
        // The bursts of the start and the connection pass.
        self.pass(5_000);
        self.log.clear();
    }

    fn core(&mut self, led: Led, wall_ms: Option<i64>) {
        let update = UpdateState::Idle;
        self.step(NodeInput::Core(View {
            led,
            wall_ms,
            update,
        }));
    }

    fn apply(&mut self, key: &str, value: &str) -> bool {
        let done = self.node.apply(key, Json::parse(value).unwrap());
        self.drain();
        // The pattern decides anew when it wants to be woken.
        self.step(NodeInput::Tick);
        done
    }

    fn press(&mut self, gpio: u8, ms: u64) {
        self.step(NodeInput::Pin { gpio, high: false });
        self.pass(ms);
        self.step(NodeInput::Pin { gpio, high: true });
        self.pass(200);
    }

    fn said(&self) -> Vec<&str> {
        self.log.iter().map(|(_, line)| line.as_str()).collect()
    }

    fn flickers(&mut self, gpio: u8, ms: u64) -> u32 {
        let before = self.changes.get(&gpio).copied().unwrap_or(0);
        self.pass(ms);
        self.changes.get(&gpio).copied().unwrap_or(0) - before
    }
}

#[test]
fn blink_shows_what_the_person_chose_on_both_leds() {
    let mut w = World::new("esp32-led", "blink", 0);
    let declared: Vec<_> = w.node.switches().map(|(key, _)| key.to_string()).collect();
    assert_eq!(
        declared,
        [
            "led_mode",
            "led_brightness",
            "blink_interval",
            "external_led",
            "schedules"
        ]
    );
    w.online();
    assert!(
        w.apply("led_mode", "2")
            && w.apply("blink_interval", "500")
            && w.apply("led_brightness", "40")
    );
    assert_eq!((w.flickers(2, 10_000), w.flickers(4, 10_000)), (20, 20));
    assert!([0, 40].contains(&w.levels[&2]));
    // By name, and only on the status LED.
    assert!(w.apply("led_mode", "\"on\"") && w.apply("external_led", "false"));
    w.pass(100);
    assert_eq!((w.levels[&2], w.levels[&4]), (40, 0));
    for (key, value) in [
        ("led_mode", "5"),
        ("led_mode", "\"disco\""),
        ("led_brightness", "256"),
        ("led_brightness", "-1"),
        ("blink_interval", "99"),
        ("blink_interval", "5001"),
        ("external_led", "1"),
        ("relay1", "true"),
    ] {
        assert!(!w.apply(key, value), "{key} {value}");
    }
    w.pass(100);
    assert_eq!(w.levels[&2], 40, "what is refused changes nothing");
    // The status of the board again: a spark every five seconds.
    assert!(w.apply("led_mode", "\"status\""));
    assert_eq!(w.flickers(2, 20_000), 8);
}

#[test]
fn base_blinks_only_its_status_and_has_no_switches() {
    let mut w = World::new("esp32-led", "base", 0);
    assert_eq!(w.node.switches().count(), 0);
    assert!(!w.apply("led_mode", "1") && !w.apply("schedules", "[]"));
    // No network for three minutes: the portal, which is seen as fast blinking.
    w.step(NodeInput::Wifi(Event::Scanned(&[])));
    w.step(NodeInput::Wifi(Event::ConnectFailed {
        network: 0,
        refused: false,
    }));
    w.pass(190_000);
    assert_eq!(w.said(), ["Wifi(OpenPortal)"]);
    assert_eq!((w.flickers(2, 4_000), w.changes.get(&4)), (20, None));
}

#[test]
fn things_switch_their_pins_and_tell_what_a_schedule_did() {
    let board = Profile::from_json(
        r#"{"name":"x","chip":"ESP32-C3","pins":[{"gpio":4,"role":"relay","key":"relay1"},
            {"gpio":5,"role":"relay","key":"relay2","inverted":true},{"gpio":6,"role":"pwm","key":"fan"}]}"#,
    )
    .unwrap();
    let mut w = World::of(&board, Capabilities::THINGS, 0);
    assert_eq!(
        w.levels,
        BTreeMap::from([(4, 0), (5, 255), (6, 0)]),
        "everything is off at the start"
    );
    w.online();
    assert!(w.apply("relay1", "true") && w.apply("relay2", "1") && w.apply("fan", "77"));
    assert_eq!(w.levels, BTreeMap::from([(4, 255), (5, 0), (6, 77)]));
    assert!(
        !w.apply("relay1", "2")
            && !w.apply("relay1", "\"on\"")
            && !w.apply("fan", "256")
            && !w.apply("v9", "1")
    );
    let list = r#"[{"key":"relay1","at":"00:10","value":false},{"key":"fan","every":60,"value":200},{"key":"ghost","every":3600,"value":1}]"#;
    assert!(w.apply("schedules", list));
    assert!(
        !w.apply("schedules", r#"[{"key":"relay1"}]"#),
        "a list that cannot be used is refused"
    );
    w.core(Led::Searching, Some(MONDAY_MS));
    assert_eq!(w.said(), ["StoreSchedules"]);
    w.log.clear();
    let from = w.now;
    w.pass(3_700_000);
    let relay = from + 600_000;
    let said: Vec<_> = w
        .log
        .iter()
        .filter(|(_, line)| line.starts_with("relay"))
        .collect();
    assert_eq!(said, [&(relay, "relay1=false".to_string())]);
    assert_eq!((w.levels[&4], w.levels[&6]), (0, 200));
    // The fan was at 200 already each further time: nothing new to tell. Nobody is called ghost.
    assert_eq!(
        w.said().iter().filter(|line| **line == "fan=200").count(),
        1
    );
    assert_eq!(w.node.idle_runs(), 1);
    assert_eq!(
        w.said()
            .iter()
            .filter(|line| **line == "StoreSchedules")
            .count(),
        1
    );
}

#[test]
fn a_bot_asks_for_its_firmware_when_its_button_is_pressed() {
    let mut w = World::new("esp32-c3-devkit", "bot", 0);
    w.online();
    w.press(5, 100);
    assert_eq!(w.said(), ["AskForUpdate"]);
    // However long the trigger is held, it resets nothing.
    w.press(5, 15_000);
    assert_eq!(w.said(), ["AskForUpdate"; 2]);
    // A board without a trigger uses its button.
    let mut w = World::new("esp32-led", "bot", 0);
    w.online();
    w.press(0, 100);
    assert_eq!(w.said(), ["AskForUpdate"]);
    // Other firmware leaves the pin alone.
    let mut w = World::new("esp32-c3-devkit", "things", 0);
    w.online();
    w.press(5, 100);
    assert_eq!(w.said(), [""; 0]);
}

#[test]
fn the_button_turns_pages_opens_the_portal_and_resets_the_board() {
    let mut w = World::new("esp32-full", "full", 0);
    w.online();
    w.press(12, 100);
    w.press(14, 100);
    w.press(12, 3_000);
    assert_eq!(w.said(), ["NextPage", "AskForUpdate", "Wifi(OpenPortal)"]);
    w.press(12, 8_000);
    assert_eq!(w.log.len(), 3, "let go in time");
    w.press(12, 11_000);
    assert_eq!(w.said()[3..], ["FactoryReset"]);
}

#[test]
fn motion_is_told_when_the_sensor_is_warm() {
    let mut w = World::new("esp32-full", "full", 0);
    w.online();
    w.step(NodeInput::Pin {
        gpio: 32,
        high: true,
    });
    w.pass(10_000);
    assert_eq!((w.said().len(), w.node.motion()), (0, None));
    w.pass(60_000);
    w.step(NodeInput::Pin {
        gpio: 32,
        high: false,
    });
    w.pass(60_000);
    assert_eq!(w.said(), ["Motion(true)", "Motion(false)"]);
    // Firmware without sensors does not look.
    let mut w = World::new("esp32-full", "base", 0);
    w.step(NodeInput::Pin {
        gpio: 32,
        high: true,
    });
    w.pass(100_000);
    assert_eq!(w.node.motion(), None);
}

#[test]
fn safe_mode_keeps_the_connection_and_nothing_else() {
    let mut w = World::new("esp32-c3-things", "things", 3);
    assert!(w.node.is_safe());
    let relays = |w: &World| {
        [4, 5, 6, 7, 10]
            .iter()
            .filter(|pin| w.levels.contains_key(pin))
            .count()
    };
    w.online();
    assert!(!w.apply("v0", "true"), "the wish stays open at the server");
    assert!(
        w.apply("schedules", r#"[{"key":"v0","every":10,"value":true}]"#),
        "and is kept"
    );
    assert_eq!(w.node.switches().count(), 6, "nothing is forgotten");
    w.pass(120_000);
    assert_eq!((relays(&w), w.said()), (0, vec!["StoreSchedules"]));
    assert!(w.flickers(8, 8_750) == 30, "three blinks and a pause");
    // The button still works.
    w.press(9, 3_000);
    assert_eq!(w.said()[1..], ["Wifi(OpenPortal)"]);
    w.pass(600_000);
    assert!(w.said().contains(&"restart"));
    // Two failures are no reason.
    let mut w = World::new("esp32-c3-things", "things", 2);
    w.online();
    assert!(w.apply("v0", "true"));
    assert_eq!((w.node.is_safe(), w.levels[&4]), (false, 255));
}

#[test]
fn a_start_is_good_after_a_minute_or_when_the_board_wants_to_restart() {
    let mut w = World::new("esp32-led", "base", 0);
    w.pass(59_000);
    assert!(!w.settled);
    w.pass(2_000);
    assert!(w.settled);
    let mut w = World::new("esp32-led", "base", 0);
    w.step(NodeInput::Restarting);
    assert!(w.settled);
    w.pass(100_000);
}

#[test]
fn a_loop_that_stands_still_is_not_fed() {
    let mut w = World::new("esp32-led", "base", 0);
    w.pass(100_000);
    assert!(w.node.may_feed(w.now + 29_000));
    assert!(!w.node.may_feed(w.now + 31_000));
    w.now += 31_000;
    w.step(NodeInput::Tick);
    assert!(w.node.may_feed(w.now));
}

#[test]
fn a_task_that_hangs_lets_the_watchdog_bite_while_the_loop_goes_on() {
    for task in [Task::Link, Task::Parts, Task::Radio] {
        let mut w = World::new("esp32-led", "base", 0);
        // Nobody has heard of it yet, so nobody misses it.
        w.pass(200_000);
        for _ in 0..40 {
            w.pass(5_000);
            w.node.alive(task, w.now);
        }
        let since = w.now;
        while w.node.may_feed(w.now) {
            w.now += 1_000;
            w.step(NodeInput::Tick);
            assert!(w.now <= since + 61_000, "{task:?} is never missed");
        }
        assert!(w.now > since + task.limit_ms());
        assert_eq!(w.node.silent(w.now), Some(task));
        w.node.rests(task);
        w.pass(200_000);
        w.node.alive(task, w.now);
        assert_eq!(w.node.silent(w.now), None);
    }
}

#[derive(Debug, Clone)]
enum Happening {
    Pass(u64),
    Jump(u64),
    Pin(u8, bool),
    Wifi(u8),
    Core(Option<i64>),
    Apply(usize, usize),
    Networks(u8),
}

const KEYS: [&str; 6] = [
    "v0",
    "led_mode",
    "schedules",
    "led_brightness",
    "ghost",
    "v4",
];
const VALUES: [&str; 6] = [
    "true",
    "3",
    r#"[{"key":"v0","every":1,"value":true},{"key":"v4","at":"00:00:05","value":0}]"#,
    "null",
    r#"[{"key":"led_mode","every":2,"value":1},{"key":"led_mode","every":3,"value":4}]"#,
    "[]",
];

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (1..30_000_u64).prop_map(Happening::Pass),
        1 => any::<u64>().prop_map(Happening::Jump),
        3 => (0..12_u8, any::<bool>()).prop_map(|(gpio, high)| Happening::Pin(gpio, high)),
        3 => (0..7_u8).prop_map(Happening::Wifi),
        1 => proptest::option::of(any::<i64>()).prop_map(Happening::Core),
        2 => (0..KEYS.len(), 0..VALUES.len()).prop_map(|(k, v)| Happening::Apply(k, v)),
        1 => (0..3_u8).prop_map(Happening::Networks),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever happens, also clocks that jump: a step ends, only outputs of the profile are driven, the board sleeps, and its
    /// watchdog is fed.
    #[test]
    fn any_day_of_a_board_goes_by(
        failed in 0..5_u32, variant in 0..5_usize, day in proptest::collection::vec(happening(), 0..60),
    ) {
        let board = profile::named("esp32-c3-things").unwrap();
        let can = Capabilities::named(["base", "blink", "full", "bot", "things"][variant]).unwrap();
        let mut w = World::of(&board, can, failed);
        for happening in day {
            match happening {
                Happening::Pass(ms) => {
                    let mut left = ms;
                    let mut turns = 0;
                    while left > 0 {
                        let part = w.node.wake_in_ms().clamp(1, left);
                        w.now = w.now.saturating_add(part);
                        w.step(NodeInput::Tick);
                        left -= part;
                        turns += 1;
                    }
                    // Breathing takes a step every 20 ms; nothing else is as busy.
                    prop_assert!(turns <= 60 + ms / 10, "{turns} turns in {ms} ms");
                }
                Happening::Jump(to) => {
                    w.now = to;
                    w.step(NodeInput::Tick);
                }
                Happening::Pin(gpio, high) => w.step(NodeInput::Pin { gpio, high }),
                Happening::Wifi(n) => w.step(NodeInput::Wifi([
                    Event::Connected { network: 0 }, Event::Lost, Event::Scanned(&[]), Event::ScanFailed,
                    Event::ConnectFailed { network: 0, refused: true }, Event::PortalUsed, Event::WantPortal,
                ][usize::from(n)])),
                Happening::Core(wall) => w.core(Led::Steady, wall),
                Happening::Apply(key, value) => {
                    let before = w.node.switches().count();
                    w.apply(KEYS[key], VALUES[value]);
                    prop_assert_eq!(w.node.switches().count(), before);
                }
                Happening::Networks(n) => {
                    w.node.set_networks(["a", "b", "c"].into_iter().take(usize::from(n)), Some(n));
                    w.step(NodeInput::Tick);
                }
            }
            prop_assert!(w.node.may_feed(w.now));
        }
        let outputs = [8, 4, 5, 6, 7, 10];
        prop_assert!(w.levels.keys().all(|pin| outputs.contains(pin)));
        if failed >= 3 {
            prop_assert!(w.levels.keys().all(|pin| *pin == 8));
        }
    }
}

#[test]
fn a_board_shows_which_one_it_is_and_then_its_status_again() {
    let mut w = World::new("esp32-led", "base", 0);
    w.online();
    w.core(Led::Steady, None);
    w.pass(10_000);
    let calm = w.flickers(2, IDENTIFY_MS);
    w.node.identify();
    w.drain();
    // Three blinks every 1.75 seconds; otherwise one spark every 5.
    let seen = w.flickers(2, IDENTIFY_MS);
    assert!(seen >= calm + 20, "{seen} and {calm}");
    assert_eq!(w.flickers(2, 20_000), 8);
}

#[test]
fn a_display_without_trigger_has_the_short_press() {
    let mut w = World::new("esp32-c3-full", "full", 0);
    w.online();
    w.press(9, 100);
    assert_eq!(w.said(), ["NextPage"]);
    // Without a display the press asks for firmware, as on every board without trigger.
    let mut w = World::new("esp32-c3-things", "full", 0);
    w.online();
    w.press(9, 100);
    assert_eq!(w.said(), ["AskForUpdate"]);
}
