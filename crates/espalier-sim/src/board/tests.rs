//! A board in simulated time, for which no server is in reach.

use std::time::Duration;

use super::*;
use crate::firmware::{Fault, Firmware};
use crate::flash::SLOTS;
use crate::kinds::BoardKind;
use crate::physics::{Moment, Reading, Readings};
use espalier_image::chip::Chip;

/// Seconds that the boards are ahead of UTC.
const AHEAD_S: i32 = 7_200;

fn board(kind: BoardKind) -> Board {
    let options = SimOptions {
        utc_offset_s: AHEAD_S,
        ..SimOptions::new("http://127.0.0.1:9")
    };
    let spec = BoardSpec {
        kind,
        name: "Board".into(),
        device_id: "dev1".into(),
        token: "token".into(),
        seed: 1,
        outage: None,
    };
    let config = config(&spec, &options).unwrap();
    let target = net::check_server(&options.server).unwrap();
    let counters = Arc::new(Counters::new(1));
    Board::new(spec, config, &options, &Pool::default(), target, counters).unwrap()
}

/// Lets so many milliseconds pass.
async fn live(board: &mut Board, ms: u64) {
    let end = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < end {
        board.drain().await;
        sleep_until(board.wake_at().min(end)).await;
        board.time_passed();
    }
    board.drain().await;
}

/// Lets a server say what time it is, in milliseconds UTC, and go away again.
fn tell_time(board: &mut Board, time: i64) {
    let welcome =
        format!(r#"{{"type":"welcome","device_id":"dev1","time":{time},"heartbeat_s":30}}"#);
    for input in [Input::Opened, Input::Frame(&welcome), Input::Closed] {
        board.step(input);
    }
}

/// What the world behind the pins shows, whatever the board believes.
fn shows(board: &mut Board, key: &str) -> Reading {
    let mut readings = Readings::default();
    board
        .model
        .measure(Moment { t: 0.0, dt: 0.0 }, &mut readings);
    readings.0.into_iter().find(|(k, _)| *k == key).unwrap().1
}

const OFF: Reading = Reading::Whole(0);
const ON: Reading = Reading::Whole(1);

#[tokio::test(start_paused = true)]
async fn schedules_switch_pins_without_a_server_and_after_a_restart() {
    let mut board = board(BoardKind::RelayBoard);
    board.start(BootReason::PowerOn);
    live(&mut board, 5_000).await;
    assert!(board.is_joined());
    assert_eq!(shows(&mut board, "relay2"), ON, "as it is sold");
    let list =
        r#"[{"key":"relay3","value":true,"at":"07:30"},{"key":"relay1","value":1,"every":3600}]"#;
    // Half past seven is half past five in UTC, in ten seconds.
    tell_time(&mut board, 1_763_530_190_000);
    board.apply("schedules", list);
    live(&mut board, 9_000).await;
    assert_eq!(shows(&mut board, "relay3"), OFF);
    live(&mut board, 2_000).await;
    assert_eq!(shows(&mut board, "relay3"), ON);
    assert_eq!(
        board.core.switches().get("relay3").unwrap().as_str(),
        "true"
    );

    // Long enough for the switches to be stored.
    live(&mut board, 60_000).await;
    board.restart(BootReason::PowerOn);
    assert_eq!(board.node.schedules().text(), list);
    assert_eq!(
        board.core.switches().get("schedules").unwrap().as_str(),
        list
    );
    live(&mut board, 3_590_000).await;
    let now = (shows(&mut board, "relay3"), shows(&mut board, "relay1"));
    assert_eq!(now, (ON, OFF));
    live(&mut board, 15_000).await;
    assert_eq!(shows(&mut board, "relay1"), ON);
    assert!(!board.core.is_online() && !board.node.is_safe());
}

#[tokio::test(start_paused = true)]
async fn a_board_that_keeps_crashing_lives_in_safe_mode_and_drives_no_pin() {
    let mut board = board(BoardKind::RelayBoard);
    let firmware = Firmware {
        fault: Fault::CrashMeasuring,
        ..Firmware::new(Chip::Esp32, "1.0.0")
    };
    let flash = &board.computer.flash;
    flash.burn(SLOTS[0].offset, &firmware.image()).unwrap();
    board.start(BootReason::PowerOn);
    assert!(!board.node.is_safe());
    assert_eq!(shows(&mut board, "relay2"), ON);
    live(&mut board, 10_000).await;
    let counted = |board: &Board| (board.counters.summary().restarts, board.node.is_safe());
    assert_eq!(counted(&board), (3, true));
    board.publish();
    assert_eq!(board.counters.firmware().safe, 1);
    // It is in its network, and keeps what it is told for later.
    assert!(board.is_joined());
    board.apply("relay3", "1");
    let list = r#"[{"key":"relay3","value":1,"every":10}]"#;
    board.apply("schedules", list);
    live(&mut board, 60_000).await;
    let now = (shows(&mut board, "relay2"), shows(&mut board, "relay3"));
    assert_eq!(now, (OFF, OFF));
    assert_eq!(board.node.schedules().text(), list);
    // After ten minutes it tries again, in vain.
    live(&mut board, 540_000).await;
    assert_eq!(counted(&board), (7, true));
}

#[tokio::test(start_paused = true)]
async fn values_that_no_pin_can_have_reach_the_model() {
    let mut board = board(BoardKind::Lamp);
    board.start(BootReason::PowerOn);
    board.apply("brightness", "51");
    board.apply("v0", "true");
    board.apply("color", "\"#102030\"");
    assert_eq!(shows(&mut board, "brightness"), Reading::Whole(51));
    assert_eq!(shows(&mut board, "v0"), ON);
    let refusal = |board: &Board, key| board.refusal(key, false);
    assert_eq!(refusal(&board, "brightness"), None);
    board.apply("color", "7");
    assert!(refusal(&board, "color").is_some());
}

#[test]
fn ten_thousand_boards_fit_into_a_small_computer() {
    let machines = size_of::<BoardCore>() + size_of::<Node>();
    let bytes = size_of::<Board>() + machines;
    assert!(bytes < 40_000, "{bytes} bytes for a board");
}
