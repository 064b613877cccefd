//! The life of a whole board, composed as on a chip: the core out of the settings, schedules, sensors that fail, an image on trial
//! that cannot read its settings, and who may feed the watchdog.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;

use embassy_futures::join::join;
use embassy_futures::poll_once;
use espalier_board::desk::Desk;
use espalier_board::life::{self, Firmware, Memory, Parts, Start};
use espalier_board::{FetchNothing, Sample, station};
use espalier_device::UpdatePolicy;
use espalier_device::parts::health::Sensor;
use espalier_device::update::{Boot, BootReason, Gate, gate};
use espalier_image::otadata::{self, OtaData, choose};
use espalier_wire::json::Value;
use rand_core::OsRng;
use tokio::time::timeout;

use crate::server::{DEVICE, Server, State, TOKEN, desired};
use crate::story::PATIENCE;
use crate::whole::{NoPins, Shared, desk, desk_after, flash, has_said, now, set_now};
use crate::world::{Net, OTADATA, layout};

/// Ten minutes, the patience of a trial whose record is lost.
const TRIAL_MS: u64 = 600_000;

fn settings(port: u16) -> String {
    format!(
        r#"{{"v":1,"server":"http://127.0.0.1:{port}","device":"{DEVICE}","token":"{TOKEN}","portal":"portal-secret"}}"#
    )
}

/// A thermometer that works, and a sensor that does not.
struct Sensors {
    desk: &'static Desk<Shared>,
    /// Whether asking them ends.
    hang: Rc<Cell<bool>>,
}

impl Parts for Sensors {
    async fn measure(&mut self, sample: &mut Sample) {
        if self.hang.get() {
            core::future::pending().await
        }
        self.desk.used(Sensor::Bme280, true);
        self.desk.used(Sensor::Dht22, false);
        sample.add("temperature", Value::Float(21.5));
    }
}

fn boot(flash: &Shared, reason: BootReason) -> Option<Boot> {
    let (mut store, mut flash) = (flash.records(), flash.clone());
    let booted = OtaData::read(&mut flash, OTADATA).unwrap().selected(2);
    match gate(&mut store, &mut flash, &layout(), booted, reason) {
        Gate::Go(boot) => Some(boot),
        Gate::Restart => None,
    }
}

/// The life of a board until it is to restart.
async fn live(desk: &'static Desk<Shared>, flash: &Shared, hang: Rc<Cell<bool>>) {
    let start = Start {
        boot: boot(flash, BootReason::PowerOn).expect("the image stays"),
        firmware: Firmware {
            chip: "esp32c3",
            version: "1.0.0",
            date: 0,
            updates: UpdatePolicy::default(),
            intervals_ms: Some((100, 100)),
        },
        store: flash.records(),
        flash: flash.clone(),
        net: Net,
        rng: OsRng,
        parts: Sensors { desk, hang },
        fetch: FetchNothing,
    };
    let mut memory = Box::new(Memory::new());
    life::serve(desk, start, &mut memory).await;
}

#[tokio::test]
async fn long_schedules_are_taken_and_sensors_say_whether_they_work() {
    let server = Server::start(None).await;
    let list = r#"[{"key":"v0","at":"06:00:00","days":"1-5","value":true},{"key":"v0","at":"22:00:00","days":"1-5","value":false}]"#;
    assert!(list.len() > 96);
    server.with(|s| s.wanted = Some(desired("schedules", list, 3)));
    let flash = flash(&settings(server.port));
    let desk = desk(&flash);
    let mut pins = NoPins;
    let all = async {
        tokio::select! {
            () = live(desk, &flash, Rc::default()) => panic!("the board restarted"),
            _ = station::serve(desk, &mut pins, || {}) => {}
            () = server.until(|s| {
                let schedules = s.reported.iter().any(|(key, _, version)| key == "schedules" && *version == 3);
                schedules && s.sample.contains(r#""dht22_ok":false"#) && s.sample.contains(r#""bme280_ok":true"#)
            }) => {}
        }
    };
    timeout(PATIENCE, all)
        .await
        .expect("it does what it should");
    server.with(|s| assert!(!s.sample.contains("display_ok") && s.bad.is_empty()));
    assert_eq!(desk.station.borrow_mut().node().schedules().text(), list);
    assert!(has_said("dht22_ok is false now"));
    // It restarts when a person wants it, with what it knows.
    desk.leave.signal(());
    timeout(PATIENCE, live(desk, &flash, Rc::default()))
        .await
        .expect("it leaves");
}

/// Lets a board live with its station until the server has seen something.
async fn until(
    server: &Server,
    desk: &'static Desk<Shared>,
    flash: &Shared,
    seen: impl Fn(&State) -> bool,
) {
    let mut pins = NoPins;
    let all = async {
        tokio::select! {
            () = live(desk, flash, Rc::default()) => panic!("the board restarted"),
            _ = station::serve(desk, &mut pins, || {}) => {}
            () = server.until(seen) => {}
        }
    };
    timeout(PATIENCE, all)
        .await
        .expect("it does what it should");
}

#[tokio::test]
async fn safe_mode_claims_no_switch_and_says_that_it_is_there() {
    let server = Server::start(None).await;
    server.with(|s| s.wanted = Some(desired("v0", "true", 3)));
    let flash = flash(&settings(server.port));
    let board = desk(&flash);
    let mut pins = NoPins;
    let first = async {
        let seen = async {
            let on = ("v0".to_owned(), "true".to_owned(), 3);
            let told = r#""safe_mode":false"#;
            server
                .until(|s| s.reported.contains(&on) && s.sample.contains(told))
                .await;
            board.leave.signal(());
        };
        tokio::select! {
            ((), ()) = join(live(board, &flash, Rc::default()), seen) => {}
            _ = station::serve(board, &mut pins, || {}) => {}
        }
    };
    timeout(PATIENCE, first)
        .await
        .expect("it stores what it knows and leaves");
    let crashed = || desk_after(&flash, BootReason::Panic);
    let (_, _, board) = (crashed(), crashed(), crashed());
    assert!(board.station.borrow_mut().node().is_safe());
    server.with(|s| (s.wanted, s.samples) = (None, 0));
    server.with(|s| s.reported.clear());
    until(&server, board, &flash, |s| {
        s.samples >= 8 && s.sample.contains(r#""safe_mode":true"#)
    })
    .await;
    server.with(|s| {
        let claimed: Vec<_> = s.reported.iter().filter(|r| r.0 != "schedules").collect();
        assert!(claimed.is_empty(), "{claimed:?}");
    });
    // The value is kept for the time after.
    board.settle();
    let board = desk(&flash);
    until(&server, board, &flash, |s| {
        s.reported.iter().any(|r| r.0 == "v0" && r.1 == "true")
    })
    .await;
}

#[tokio::test]
async fn an_image_on_trial_that_knows_no_server_is_taken_back() {
    for unusable in ["", r#"{"v":99,"server":"http://127.0.0.1:9"}"#] {
        let flash = flash(unusable);
        choose(&mut flash.clone(), OTADATA, 2, 0, otadata::State::New).unwrap();
        let desk = desk(&flash);
        let mut life = pin!(live(desk, &flash, Rc::default()));
        assert!(poll_once(life.as_mut()).is_pending());
        assert!(has_said("does not know its server"));
        // What is changed at such a board has no reader; its station must not wait for one.
        for n in 0..40 {
            let mut sent = pin!(desk.changes.send(("v0", Value::Bool(n % 2 == 0))));
            while poll_once(sent.as_mut()).is_pending() {
                assert!(poll_once(life.as_mut()).is_pending());
            }
        }
        set_now(TRIAL_MS);
        // The wait began when the clock read zero; a board that starts later waits for the rest only.
        let mut late = pin!(live(desk, &flash, Rc::default()));
        assert!(!has_said("did not prove itself"));
        timeout(PATIENCE, late.as_mut()).await.expect("it gives up");
        assert!(has_said("did not prove itself"));
        let mut flash = flash.clone();
        assert!(
            boot(&flash, BootReason::Restart).is_none(),
            "the gate takes it back"
        );
        assert_eq!(OtaData::read(&mut flash, OTADATA).unwrap().selected(2), 1);
    }
}

/// Lets the clock of the board go on by a second while its station is served; says whether the watchdog was fed.
async fn second(desk: &'static Desk<Shared>) -> bool {
    set_now(now() + 1_000);
    // The radio of this board takes every order.
    while desk.radio.try_receive().is_ok() {}
    station::turn(desk, &mut NoPins).await
}

#[tokio::test]
async fn a_link_that_hangs_starves_the_watchdog() {
    let flash = flash(&settings(9));
    let desk = desk(&flash);
    let mut life = pin!(live(desk, &flash, Rc::default()));
    // While it lives, the watchdog is fed.
    for _ in 0..300 {
        desk.asked.signal(());
        assert!(poll_once(life.as_mut()).is_pending());
        assert!(second(desk).await, "at {}", now());
    }
    let hangs_at = now();
    while second(desk).await {
        assert!(now() <= hangs_at + 61_000, "it is never missed");
    }
    assert!(has_said("the connection hangs"));
    // It was only slow.
    desk.asked.signal(());
    assert!(poll_once(life.as_mut()).is_pending());
    assert!(second(desk).await);
}

#[tokio::test]
async fn a_sensor_that_hangs_starves_the_watchdog() {
    let flash = flash(&settings(9));
    let desk = desk(&flash);
    let mut life = pin!(live(desk, &flash, Rc::new(Cell::new(true))));
    assert!(poll_once(life.as_mut()).is_pending());
    while second(desk).await {
        assert!(poll_once(life.as_mut()).is_pending());
        assert!(now() <= 31_000, "it is never missed");
    }
    assert!(has_said("a sensor or a switch hangs"));
}

#[tokio::test]
async fn a_board_without_a_server_waits_with_its_watchdog_fed() {
    let flash = flash("");
    let desk = desk(&flash);
    let mut life = pin!(live(desk, &flash, Rc::default()));
    for _ in 0..1_000 {
        assert!(poll_once(life.as_mut()).is_pending());
        assert!(second(desk).await, "at {}", now());
    }
    desk.leave.signal(());
    assert!(poll_once(life.as_mut()).is_ready());
}
