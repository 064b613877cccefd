//! The models must be believable: in range, rounded, the same for the same seed, and obedient to their switches.

use espalier_wire::json::Json;
use espalier_wire::limits::check_key;
use proptest::prelude::*;

use super::{Moment, Physics, Reading, Readings, model};
use crate::kinds::BoardKind;
use crate::wiring;

/// A Wednesday at midnight, in seconds.
const MIDNIGHT: f64 = 1_763_510_400.0;

fn measure(board: &mut dyn Physics, t: f64, dt: f64) -> Vec<(&'static str, Reading)> {
    let mut out = Readings::default();
    board.measure(Moment { t, dt }, &mut out);
    out.0
}

fn number(readings: &[(&'static str, Reading)], key: &str) -> f64 {
    match readings.iter().find(|(k, _)| *k == key).unwrap().1 {
        Reading::Number(x) => x,
        Reading::Whole(i) => i as f64,
        Reading::Text(_) => panic!("{key} is a text"),
    }
}

fn set(board: &mut dyn Physics, key: &str, value: &str) -> bool {
    board.set(key, Json::parse(value).unwrap())
}

/// What a real sensor of this key could show.
fn range(key: &str) -> (f64, f64) {
    match key {
        "temperature" => (-30.0, 45.0),
        "humidity" | "battery" | "level" | "soil_moisture" => (0.0, 100.0),
        "brightness" => (0.0, 255.0),
        "pressure" => (960.0, 1_060.0),
        "co2" => (380.0, 3_000.0),
        "voltage" => (220.0, 240.0),
        "power" => (-5_000.0, 6_000.0),
        _ => (0.0, 100_000.0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_day_of_every_board_is_believable(seed in any::<u64>(), kind in prop::sample::select(&BoardKind::ALL[..]), step in 1.0..300.0f64) {
        let (mut board, mut twin) = (model(kind, seed), model(kind, seed));
        for i in 0..(86_400.0 / step) as u32 {
            let t = MIDNIGHT + f64::from(i) * step;
            let readings = measure(board.as_mut(), t, step);
            prop_assert_eq!(&readings, &measure(twin.as_mut(), t, step));
            for (key, reading) in readings {
                prop_assert!(check_key(key).is_ok());
                if let Reading::Number(x) = reading {
                    let (low, high) = range(key);
                    prop_assert!((low..=high).contains(&x), "{} of {:?} is {}", key, kind, x);
                    prop_assert!(format!("{x}").split('.').nth(1).is_none_or(|d| d.len() <= 3), "{}", x);
                }
            }
        }
    }

    #[test]
    fn a_board_takes_the_values_that_it_shows(seed in any::<u64>(), kind in prop::sample::select(&BoardKind::ALL[..])) {
        let mut board = model(kind, seed);
        for (key, value) in board.switches() {
            let wired = wiring::switched(kind).any(|wired| wired == *key);
            prop_assert_eq!(set(board.as_mut(), key, value), !wired, "{} = {}", key, value);
            let refused = !set(board.as_mut(), key, r#"{"on":[1]}"#);
            prop_assert!(refused);
        }
        prop_assert!(!set(board.as_mut(), "no such switch", "1"));
    }
}

#[test]
fn days_are_warmer_than_nights_and_seeds_differ() {
    let mean = |hour: f64| -> f64 {
        let temperatures = (0..40).map(|seed| {
            let mut board = model(BoardKind::WeatherStation, seed);
            number(
                &measure(board.as_mut(), MIDNIGHT + hour * 3_600.0, 0.0),
                "temperature",
            )
        });
        temperatures.sum::<f64>() / 40.0
    };
    assert!(mean(15.0) > mean(3.0) + 5.0);
    let at = |seed| {
        measure(
            model(BoardKind::WeatherStation, seed).as_mut(),
            MIDNIGHT,
            0.0,
        )
    };
    assert_ne!(at(1), at(2));
}

#[test]
fn a_room_follows_its_setpoint_and_cools_when_it_is_off() {
    let mut board = model(BoardKind::Thermostat, 3);
    assert!(set(board.as_mut(), "setpoint", "24") && !set(board.as_mut(), "setpoint", "90"));
    let hours = |from: u32, to: u32, board: &mut dyn Physics| {
        let mut last = 0.0;
        for i in from * 720..to * 720 {
            last = number(
                &measure(board, MIDNIGHT + f64::from(i) * 5.0, 5.0),
                "temperature",
            );
        }
        last
    };
    let warm = hours(0, 3, board.as_mut());
    assert!((23.5..24.6).contains(&warm), "{warm}");
    board.drive("v0", 0);
    assert!(hours(3, 5, board.as_mut()) < warm - 2.0);
}

#[test]
fn the_pump_waters_the_plant_and_stops_by_itself() {
    let mut board = model(BoardKind::Plant, 1);
    let before = number(&measure(board.as_mut(), MIDNIGHT, 0.0), "soil_moisture");
    board.drive("v0", 255);
    for i in 1..=5 {
        measure(board.as_mut(), MIDNIGHT + f64::from(i) * 5.0, 5.0);
    }
    assert_eq!(board.changed(), Some(("v0", "0")));
    assert_eq!(board.changed(), None);
    let after = measure(board.as_mut(), MIDNIGHT + 30.0, 5.0);
    assert!(number(&after, "soil_moisture") > before + 10.0);
    assert_eq!(number(&after, "v0"), 0.0);
}

#[test]
fn a_plug_that_is_off_uses_nothing_and_a_full_tank_closes_its_valve() {
    let mut plug = model(BoardKind::SmartPlug, 1);
    plug.drive("relay1", 0);
    let off = measure(plug.as_mut(), MIDNIGHT, 5.0);
    assert_eq!(
        (
            number(&off, "power"),
            number(&off, "current"),
            number(&off, "relay1")
        ),
        (0.0, 0.0, 0.0)
    );

    let mut tank = model(BoardKind::WaterTank, 1);
    tank.drive("relay1", 255);
    let closed = (1..2_000).find_map(|i| {
        measure(tank.as_mut(), MIDNIGHT + f64::from(i) * 5.0, 5.0);
        tank.changed()
    });
    assert_eq!(closed, Some(("relay1", "0")));
}
