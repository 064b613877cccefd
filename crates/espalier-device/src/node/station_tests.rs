//! A station as a binding drives it: a serial line, a radio in a world of networks, a button, records that survive restarts.

extern crate std;

use std::collections::HashMap;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use espalier_image::chip::Chip;
use espalier_wire::json::Json;
use proptest::prelude::*;

use super::*;
use crate::profile::{self, ProfileError};
use crate::settings::{Network, Settings};
use crate::setup::portal::Request;
use crate::setup::{About, Seen, Setup};
use crate::storage::Slot;
use crate::wifi::Policy;

#[derive(Debug, Default, Clone)]
struct Records {
    slots: HashMap<Slot, Vec<u8>>,
    broken: bool,
}

impl Storage for Records {
    type Error = ();

    fn read(&mut self, slot: Slot, into: &mut [u8]) -> Result<usize, ()> {
        let stored = self.slots.get(&slot).cloned().unwrap_or_default();
        into.get_mut(..stored.len())
            .ok_or(())?
            .copy_from_slice(&stored);
        Ok(stored.len())
    }

    fn write(&mut self, slot: Slot, parts: &[&[u8]]) -> Result<(), ()> {
        if self.broken {
            return Err(());
        }
        self.slots.insert(slot, parts.concat());
        Ok(())
    }
}

struct World {
    station: Station,
    records: Records,
    now: u64,
    /// Networks in reach, and their passwords.
    nets: HashMap<String, String>,
    /// What the radio works on: a scan, or the network to join.
    scan: bool,
    join: Option<(String, String)>,
    online: Option<String>,
    portal: bool,
    settled: bool,
    halted: bool,
    restarted: bool,
    heard: String,
    log: Vec<String>,
    scans: u32,
}

fn station(records: &mut Records) -> Station {
    let about = About::new(
        "espalier-blink",
        "1.0.0",
        "ESP32",
        [2, 0, 0, 0xab, 0xcd, 0xef],
    );
    let setup = Setup::open(about, records, |_| None, [7; 16]);
    let board = profile::named("esp32-led").unwrap();
    let mut station = Station::new(setup, &board, Capabilities::BLINK, Policy::default(), 0, 3);
    station.restore(records);
    station
}

impl World {
    fn new(nets: &[(&str, &str)]) -> Self {
        let mut records = Records::default();
        let mut world = World {
            station: station(&mut records),
            records,
            now: 0,
            nets: nets
                .iter()
                .map(|(a, b)| (a.to_string(), b.to_string()))
                .collect(),
            scan: false,
            join: None,
            online: None,
            portal: false,
            settled: false,
            halted: false,
            restarted: false,
            heard: String::new(),
            log: vec![],
            scans: 0,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.step(StationInput::Pin {
            gpio: 0,
            high: true,
        });
    }

    /// Restarts the board, which was told to, or lost its power.
    fn restart(&mut self) {
        self.station = station(&mut self.records);
        (self.now, self.scan, self.join, self.online) = (0, false, None, None);
        (self.portal, self.settled, self.restarted) = (false, false, false);
        self.halted = false;
        self.begin();
    }

    fn step(&mut self, input: StationInput<'_>) {
        self.station.step(self.now, input, &mut self.records);
        self.drain();
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(output) = self.station.poll() {
            count += 1;
            assert!(count < 100, "it never ends: {output:?}");
            match output {
                StationOutput::Serial(bytes) => self.heard += &String::from_utf8_lossy(bytes),
                StationOutput::Scan => {
                    assert!(
                        !std::mem::replace(&mut self.scan, true),
                        "two scans at once"
                    );
                    self.scans += 1;
                }
                StationOutput::Join(network) => {
                    assert!(self.online.is_none(), "it is in a network");
                    self.join = Some((network.ssid().into(), network.password().into()));
                }
                StationOutput::Disconnect => (self.join, self.online) = (None, None),
                StationOutput::OpenPortal => self.portal = true,
                StationOutput::ClosePortal => self.portal = false,
                StationOutput::Settle => self.settled = true,
                StationOutput::Halt => self.halted = true,
                StationOutput::Restart => {
                    assert!(self.settled, "it would count as a failure");
                    self.restarted = true;
                }
                StationOutput::Nothing | StationOutput::Level { .. } => {}
                other => self.log.push(format!("{other:?}")),
            }
        }
    }

    /// The radio answers, or time passes until the station wants to be stepped.
    fn turn(&mut self) {
        if std::mem::take(&mut self.scan) {
            self.now += 2_000;
            let names: Vec<String> = self.nets.keys().cloned().collect();
            let seen: Vec<Seen<'_>> = names
                .iter()
                .map(|ssid| Seen {
                    ssid,
                    rssi: -50,
                    encryption: 3,
                })
                .collect();
            return self.step(StationInput::Scanned(&seen));
        }
        if let Some((ssid, password)) = self.join.take() {
            self.now += 1_000;
            let right = self.nets.get(&ssid).cloned();
            if right.as_ref() == Some(&password) {
                self.online = Some(ssid.clone());
                return self.step(StationInput::Joined {
                    ssid: &ssid,
                    address: [10, 0, 0, 2],
                });
            }
            return self.step(StationInput::NotJoined {
                ssid: &ssid,
                refused: right.is_some(),
            });
        }
        self.now += self.station.wake_in_ms().max(1);
        self.step(StationInput::Tick);
    }

    fn until(&mut self, what: &str, done: impl Fn(&World) -> bool) {
        for _ in 0..20_000 {
            if done(self) {
                return;
            }
            self.turn();
        }
        panic!("never: {what}; {:?}", self.station);
    }

    fn types(&mut self, text: &str) {
        self.step(StationInput::Serial(text.as_bytes()));
    }

    fn submits(&mut self, form: &str) {
        let text = format!(
            "POST /submit HTTP/1.1\r\nHost: 192.168.4.1\r\nOrigin: http://192.168.4.1\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let mut request = Request::default();
        assert!(request.feed(self.now, text.as_bytes()));
        let _ = self
            .station
            .setup()
            .http(self.now, &request, &mut self.records);
        self.drain();
    }

    fn improv(&mut self, ssid: &str, password: &str) {
        let mut data = vec![1, (ssid.len() + password.len() + 2) as u8, ssid.len() as u8];
        data.extend(ssid.bytes());
        data.push(password.len() as u8);
        data.extend(password.bytes());
        let mut packet = b"IMPROV\x01\x03".to_vec();
        packet.push(data.len() as u8);
        packet.extend(data);
        packet.push(packet.iter().fold(0_u8, |sum, b| sum.wrapping_add(*b)));
        self.step(StationInput::Serial(&packet));
    }

    fn saved(&self) -> Vec<&str> {
        self.station
            .settings()
            .networks()
            .iter()
            .map(Network::ssid)
            .collect()
    }
}

const FORM: &str = "device_name=Lamp&occupation=x&wifi_ssid=Home&wifi_password=secret88&server_url=http%3A%2F%2Fhost%3A8000";

#[test]
fn a_new_board_is_set_up_over_its_portal() {
    let mut w = World::new(&[("Home", "secret88")]);
    assert!(w.portal, "it invites");
    w.submits(FORM);
    assert_eq!(w.saved(), ["Home"]);
    w.until("the restart", |w| w.restarted);
    assert!(
        w.now <= 5_000 && w.join.is_none(),
        "the page was left alone until then"
    );
    w.restart();
    w.until("online", |w| w.online.is_some());
    assert!(!w.portal);
    assert_eq!(w.log, ["Online"]);
}

#[test]
fn a_network_from_the_serial_line_is_used_at_once() {
    let mut w = World::new(&[("Home", "secret88"), ("Shed", "secret99")]);
    w.types("wifi\nHome\nsecret88\n");
    w.until("online", |w| w.online.as_deref() == Some("Home"));
    // Another one is saved beside it: the connection stays.
    w.types("wifi\nShed\nsecret99\n");
    w.turn();
    assert_eq!(
        (w.online.as_deref(), w.saved().len(), w.log.len()),
        (Some("Home"), 2, 1)
    );
    // It is there when the first one goes.
    w.nets.remove("Home");
    w.online = None;
    w.step(StationInput::Lost);
    w.until("online", |w| w.online.as_deref() == Some("Shed"));
}

#[test]
fn the_portal_opens_from_the_serial_line() {
    let mut w = World::new(&[("Home", "secret88")]);
    w.types("wifi\nHome\nsecret88\n");
    w.until("online, and the portal closed", |w| {
        w.online.is_some() && !w.portal
    });
    w.types("portal\n");
    assert!(w.portal && w.online.is_some());
    assert!(w.heard.contains("Network: Espalier-ABCDEF"));
    w.until("it closes while nobody comes", |w| !w.portal);
}

#[test]
fn improv_tries_a_network_before_it_is_saved_and_has_the_radio_meanwhile() {
    let mut w = World::new(&[("Home", "secret88"), ("Shed", "secret99")]);
    w.until("the scan for the portal is over", |w| !w.scan);
    w.improv("Home", "secret88");
    assert!(w.saved().is_empty());
    assert_eq!(w.join, Some(("Home".into(), "secret88".into())));
    w.turn();
    assert_eq!(
        (w.online.as_deref(), w.saved()),
        (Some("Home"), vec!["Home"])
    );
    w.until("the portal closes", |w| !w.portal);
    assert_eq!(w.online.as_deref(), Some("Home"), "it stays where it is");
    // A wrong password: the old network is left for it, and taken again.
    w.improv("Shed", "wrong999");
    assert_eq!(
        (w.online.as_deref(), w.log.last().map(String::as_str)),
        (None, Some("Offline"))
    );
    w.until("online again", |w| w.online.is_some());
    assert_eq!(
        (w.online.as_deref(), w.saved()),
        (Some("Home"), vec!["Home"])
    );
    // One that never answers: the radio is taken back.
    w.improv("Shed", "secret99");
    w.join = None;
    w.until("online again", |w| w.online.is_some());
    assert_eq!(w.saved(), ["Home"]);
}

#[test]
fn the_button_makes_it_a_new_board() {
    let mut w = World::new(&[("Home", "secret88")]);
    w.types("wifi\nHome\nsecret88\n");
    w.until("online", |w| w.online.is_some());
    let list = r#"[{"key":"led_mode","every":60,"value":1}]"#;
    assert!(
        w.station
            .node()
            .apply("schedules", espalier_wire::json::Json::parse(list).unwrap())
    );
    w.step(StationInput::Tick);
    assert!(w.records.slots[&Slot::Schedules].ends_with(list.as_bytes()));
    w.restart();
    assert_eq!(w.station.node().schedules().text(), list);
    w.now += 100;
    w.step(StationInput::Tick);
    w.step(StationInput::Pin {
        gpio: 0,
        high: false,
    });
    let from = w.now;
    w.until("the restart", |w| w.restarted);
    assert!((from + 10_000..from + 13_000).contains(&w.now));
    w.restart();
    assert!(w.saved().is_empty() && w.portal);
    assert_eq!(w.station.node().schedules().text(), "[]");
}

#[test]
fn a_board_that_becomes_another_one_plans_nothing_more() {
    for leave in ["provision\nother\n\n\n", "reset\n"] {
        let mut w = World::new(&[]);
        w.types("provision\ndev1\ntoken\nhttp://old\n");
        assert!(w.halted, "it was nobody before");
        w.restart();
        let list = r#"[{"key":"led_mode","every":60,"value":1}]"#;
        let plan = |w: &mut World| {
            let list = espalier_wire::json::Json::parse(list).unwrap();
            assert!(w.station.node().apply("schedules", list));
            w.step(StationInput::Tick);
        };
        plan(&mut w);
        assert!(w.records.slots[&Slot::Schedules].ends_with(list.as_bytes()));
        w.types(leave);
        assert!(w.halted && w.records.slots[&Slot::Schedules].is_empty());
        // The old server is still there, until the board restarts.
        w.station
            .node()
            .apply("schedules", espalier_wire::json::Json::parse("[]").unwrap());
        plan(&mut w);
        assert!(w.records.slots[&Slot::Schedules].is_empty());
        w.until("the restart", |w| w.restarted);
        w.restart();
        assert_eq!(w.station.node().schedules().text(), "[]");
    }
}

#[test]
fn a_reset_that_the_flash_refuses_leaves_the_board_as_it_was() {
    let mut w = World::new(&[("Home", "secret88")]);
    w.types("wifi\nHome\nsecret88\n");
    w.until("online", |w| w.online.is_some());
    w.records.broken = true;
    w.step(StationInput::Pin {
        gpio: 0,
        high: false,
    });
    let until = w.now + 20_000;
    w.until("twenty seconds", |w| w.now > until);
    assert_eq!((w.restarted, w.saved()), (false, vec!["Home"]));
}

#[test]
fn one_scan_serves_the_page_and_the_machine() {
    let mut w = World::new(&[("Home", "secret88")]);
    w.types("wifi\nOther\nsecret88\n");
    assert!(w.scan);
    // Improv asks for the networks meanwhile: what comes answers both.
    let mut packet = b"IMPROV\x01\x03\x02\x04\x00".to_vec();
    packet.push(packet.iter().fold(0_u8, |sum, b| sum.wrapping_add(*b)));
    w.step(StationInput::Serial(&packet));
    assert_eq!(w.scans, 1);
    w.turn();
    assert!(w.heard.contains("Home") && w.join.is_some());
}

#[test]
fn profiles_must_be_for_the_chip() {
    let with = |name: &str| {
        let json = format!(r#"{{"v":1,"profile":"{name}"}}"#);
        profile_of(&Settings::parse(&json).unwrap(), Chip::Esp32C3, drop)
    };
    assert_eq!(with("esp32-c3-things").unwrap().pins.len(), 8);
    assert_eq!(with("").unwrap().pins.len(), 0);
    assert_eq!(with("toaster"), Err(StationError::UnknownProfile));
    let left = std::cell::RefCell::new(std::vec::Vec::new());
    let own = |json: &str| {
        let text = format!(r#"{{"profile":"esp32-c3-things","board":{json}}}"#);
        profile_of(&Settings::parse(&text).unwrap(), Chip::Esp32C3, |e| {
            left.borrow_mut().push(e)
        })
    };
    let pins = r#"{"name":"mine","chip":"ESP32-C3","pins":[{"gpio":4,"role":"relay","key":"a"}]}"#;
    assert_eq!(own(pins).unwrap().name, "mine");
    // What older firmware took does not take the other pins with it.
    let old = r#"{"chip":"ESP32-C3","pins":[{"gpio":5,"role":"relay","key":"lüfter"},{"gpio":4,"role":"relay","key":"a"}]}"#;
    assert!(left.borrow().is_empty());
    assert_eq!(own(old).unwrap().pins[0].gpio, 4);
    assert_eq!(*left.borrow(), [ProfileError::BadKey(5)]);
    assert_eq!(
        own(r#"{"chip":"ESP32-C3","pins":[{"gpio":99,"role":"led"}]}"#)
            .unwrap_err()
            .to_string(),
        "the ESP32-C3 has no GPIO99"
    );
    assert!(matches!(
        own(r#"{"chip":"ESP32","pins":[]}"#),
        Err(StationError::OtherChip(..))
    ));
    assert_eq!(
        with("esp32-full").unwrap_err().to_string(),
        "the board profile is for the ESP32, and this is an ESP32-C3"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Whatever people do at the serial line, the portal and the button, and whatever the radio says: the asserts of the world
    /// hold, and a board that is told a network that works is in it in the end.
    #[test]
    fn any_afternoon_ends_online(
        story in proptest::collection::vec((0..10_u8, 1..40_000_u64, 0..3_usize), 0..50),
    ) {
        let names = ["Home", "Shed", "Away"];
        let mut w = World::new(&[("Home", "secret88"), ("Shed", "secret99")]);
        for (what, ms, n) in story {
            match what {
                0 => w.types(&format!("wifi\n{}\nsecret88\n", names[n])),
                1 => w.improv(names[n], "secret99"),
                2 => w.submits(FORM),
                3 => w.step(StationInput::Pin { gpio: 0, high: n == 0 }),
                4 if w.online.take().is_some() => w.step(StationInput::Lost),
                5 => (w.scan, w.join) = (w.scan, None),
                6 => w.records.broken = n == 0,
                7 => w.restart(),
                8 => {
                    w.now += ms.min(w.station.wake_in_ms());
                    w.step(StationInput::Tick);
                }
                _ => w.turn(),
            }
            if w.restarted {
                w.restart();
            }
        }
        w.records.broken = false;
        w.step(StationInput::Pin { gpio: 0, high: true });
        // The line may be in the middle of a question, and a restart on its way.
        w.restart();
        w.types("wifi\nHome\nsecret88\n");
        w.until("online", |w| w.online.is_some());
        w.until("the portal closes", |w| !w.portal);
    }
}

#[test]
fn a_new_board_says_how_to_reach_it_and_looks_around_before_the_first_page() {
    let mut w = World::new(&[("Home", "secret88")]);
    assert!(w.portal && w.scan, "it has begun to look");
    let told = "Network: Espalier-ABCDEF\r\nPassword: ";
    assert!(w.heard.starts_with(told), "{}", w.heard);
    w.turn();
    let mut request = Request::default();
    request.feed(w.now, b"GET / HTTP/1.1\r\nHost: 192.168.4.1\r\n\r\n");
    let (setup, records) = (w.station.setup(), &mut w.records);
    let answer = setup.http(w.now, &request, records);
    let mut page = vec![0; 20_000];
    let count = setup.answer(&answer, 0, &mut page).unwrap();
    let page = String::from_utf8_lossy(&page[..count]).to_string();
    assert!(page.contains("<option value=\"Home\">"), "{page}");
    w.drain();
    assert_eq!(w.scans, 1);
    // Who has saved a network is not told on every line.
    w.types("wifi\nHome\nsecret88\n");
    w.restart();
    w.heard.clear();
    w.nets.clear();
    w.until("the portal", |w| w.portal);
    assert_eq!(w.heard, "");
}

#[test]
fn another_zone_counts_at_once() {
    let mut w = World::new(&[]);
    let list = r#"[{"key":"external_led","value":false,"at":"12:00"}]"#;
    assert!(
        w.station
            .node()
            .apply("schedules", Json::parse(list).unwrap())
    );
    // 2026-01-15 10:30:00 UTC.
    let view = View {
        wall_ms: Some(1_768_473_000_000),
        ..View::default()
    };
    w.step(StationInput::Core(view));
    w.log.clear();
    w.types("zone EET-2\n");
    // The next noon there is ten o'clock in UTC, at which nothing was due.
    let noon = View {
        wall_ms: Some(1_768_473_000_000 + 84_600_000),
        ..View::default()
    };
    w.step(StationInput::Core(noon));
    let told = w.log.iter().any(|line| line.contains("external_led"));
    assert!(told, "{:?}", w.log);
}

#[test]
fn another_zone_lets_the_radio_do_what_it_does() {
    let mut w = World::new(&[("Home", "secret88")]);
    w.types("wifi\nHome\nsecret88\n");
    w.until("it is saved", |w| w.saved() == ["Home"]);
    w.restart();
    w.until("it joins", |w| w.join.is_some());
    let scans = w.scans;
    w.types("zone EET-2\n");
    assert!(w.join.is_some(), "{}", w.heard);
    w.until("online", |w| w.online.is_some());
    assert_eq!(w.scans, scans);
}
