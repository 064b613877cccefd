//! Delivery, control, faults, restarts, the fallback.

use std::time::Duration;

use crate::server::{Server, token};
use espalier_sim::{
    BoardKind, BoardSpec, Faults, Fleet, FleetHandle, Outage, SimError, SimOptions, demo_fleet,
};
use espalier_wire::device::{Command, Down};
use espalier_wire::json::Json;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Boards that measure as fast as they can.
const FAST: f64 = 50.0;

fn spec(kind: BoardKind, n: u64) -> BoardSpec {
    let device_id = format!("dev{n}");
    let token = token(&device_id);
    BoardSpec {
        kind,
        name: format!("Board {n}"),
        device_id,
        token,
        seed: n,
        outage: None,
    }
}

fn run(
    server: &Server,
    specs: Vec<BoardSpec>,
    faults: Faults,
) -> (FleetHandle, CancellationToken, DropGuard) {
    let cancel = CancellationToken::new();
    let options = SimOptions {
        rate: FAST,
        faults,
        ..SimOptions::new(&server.url)
    };
    let fleet = Fleet::run(specs, &options, &cancel).unwrap();
    (fleet, cancel.clone(), cancel.drop_guard())
}

#[tokio::test]
async fn every_kind_of_board_delivers() {
    let server = Server::start().await;
    let specs: Vec<_> = BoardKind::ALL
        .into_iter()
        .zip(0..)
        .map(|(kind, n)| spec(kind, n))
        .collect();
    let (fleet, cancel, _guard) = run(&server, specs, Faults::default());
    fleet
        .wait_until(|s| s.connected >= 12 && s.samples_acked >= 200)
        .await;
    for n in 0..13 {
        server
            .until(|s| s.points.iter().any(|p| p.0 == format!("dev{n}")))
            .await;
    }
    cancel.cancel();
    fleet.stopped().await;
    let summary = fleet.summary();
    assert_eq!(
        (
            summary.connected,
            summary.dropped,
            summary.refused,
            summary.errors
        ),
        (0, 0, 0, 0)
    );
    assert!(summary.ack_p50 <= summary.ack_p99 && summary.ack_p99.is_some());
    server.with(|s| assert_eq!(s.bad_frames, Vec::<String>::new()));
}

#[tokio::test]
async fn a_switch_obeys_reports_its_version_and_shows_at_once() {
    let server = Server::start().await;
    let (fleet, _cancel, _guard) = run(&server, vec![spec(BoardKind::Lamp, 1)], Faults::default());
    fleet.wait_until(|s| s.connected == 1).await;
    server.want("dev1", "v0", "true");
    server.want("dev1", "brightness", "35");
    let is = |s: &crate::server::State, key: &str, value: &str, version| {
        s.reported.get("dev1").and_then(|r| r.get(key)) == Some(&(value.to_owned(), version))
    };
    server
        .until(|s| is(s, "v0", "true", 1) && is(s, "brightness", "35", 1))
        .await;
    server.want("dev1", "v0", "false");
    server.until(|s| is(s, "v0", "false", 2)).await;
    // A value that the lamp cannot take is never reported as done, and the lamp says so.
    server.want("dev1", "brightness", "900");
    server.want("dev1", "color", "\"#00ff00\"");
    server
        .until(|s| is(s, "color", "\"#00ff00\"", 1) && !s.refused.is_empty())
        .await;
    server.with(|s| {
        let why = "this board does not take that value".to_owned();
        // With every further wish the server wants it again, as this one forgets nothing.
        let refusal = ("brightness".to_owned(), 2, why);
        assert!(
            s.refused.iter().all(|refused| *refused == refusal),
            "{:?}",
            s.refused
        );
    });
    server.with(|s| assert!(is(s, "brightness", "35", 1) || is(s, "brightness", "35", 0)));
}

#[tokio::test]
async fn the_first_report_names_no_version() {
    let server = Server::start().await;
    let (fleet, _cancel, _guard) = run(
        &server,
        vec![spec(BoardKind::DoorLock, 1)],
        Faults::default(),
    );
    fleet.wait_until(|s| s.reports_acked >= 1).await;
    server.with(|s| assert_eq!(s.reported["dev1"]["v0"], ("1".to_owned(), 0)));
}

#[tokio::test]
async fn commands_are_answered() {
    let server = Server::start().await;
    let (fleet, _cancel, _guard) = run(
        &server,
        vec![spec(BoardKind::SmartPlug, 1)],
        Faults::default(),
    );
    fleet.wait_until(|s| s.connected == 1).await;
    let command = |id: &'static str, name: &'static str| {
        Down::Command(Command {
            id: id.into(),
            name: name.into(),
            params: Json::EMPTY_OBJECT,
            expires_at: i64::MAX,
        })
    };
    server.command("dev1", &command("a", "identify"));
    server.command("dev1", &command("b", "fly"));
    server.until(|s| s.results.len() == 2).await;
    server.with(|s| assert_eq!(s.results, [("a".to_owned(), true), ("b".to_owned(), false)]));
    server.command("dev1", &command("c", "restart"));
    let summary = fleet
        .wait_until(|s| s.restarts == 1 && s.welcomes >= 2)
        .await;
    assert_eq!(summary.dropped, 0);
    server.with(|s| assert_eq!(s.results.last(), Some(&("c".to_owned(), true))));
}

#[tokio::test]
async fn nothing_measured_during_cuts_and_delays_is_lost() {
    let server = Server::start().await;
    let ms = Duration::from_millis;
    let faults = Faults {
        cut_every: Some(ms(700)),
        cut_for: ms(150),
        latency: Some(ms(5)),
        ..Faults::default()
    };
    let specs = (0..8).map(|n| spec(BoardKind::Motion, n)).collect();
    let (fleet, _cancel, _guard) = run(&server, specs, faults);
    let summary = fleet
        .wait_until(|s| s.reconnects >= 12 && s.samples_acked >= 400)
        .await;
    assert_eq!((summary.dropped, summary.refused), (0, 0));
    // Every acknowledged sample is at the server, with the times at which they were taken: no gap is longer than the
    // board's own interval allows, also across the cuts.
    server.with(|s| {
        let moments: usize = (0..8)
            .map(|n| s.times(&format!("dev{n}"), "motion").len())
            .sum();
        assert!(
            moments as u64 + s.untimed >= summary.samples_acked,
            "{moments} of {}",
            summary.samples_acked
        );
    });
}

#[tokio::test]
async fn withheld_acknowledgements_make_the_board_keep_its_samples() {
    let server = Server::start().await;
    server.with(|s| s.withhold_acks = true);
    let (fleet, _cancel, _guard) =
        run(&server, vec![spec(BoardKind::Motion, 1)], Faults::default());
    let summary = fleet
        .wait_until(|s| s.connected == 1 && s.samples >= 20)
        .await;
    assert_eq!(summary.samples_acked, 0);
    assert_eq!(summary.queued, summary.samples);
    // The window bounds what is on its way, whatever piles up behind it.
    server.with(|s| assert!(s.times("dev1", "motion").len() <= 8));
    server.with(|s| s.withhold_acks = false);
    server.drop_sockets();
    let summary = fleet
        .wait_until(|s| s.samples_acked >= 20 && s.queued <= 1)
        .await;
    assert_eq!(summary.dropped, 0);
}

#[tokio::test]
async fn a_power_cut_keeps_what_was_stored_and_the_switches() {
    let server = Server::start().await;
    let (fleet, _cancel, _guard) = run(
        &server,
        vec![spec(BoardKind::RelayBoard, 1)],
        Faults::default(),
    );
    fleet.wait_until(|s| s.connected == 1).await;
    server.want("dev1", "relay3", "1");
    fleet.wait_until(|s| s.desired_applied >= 1).await;
    server.with(|s| s.withhold_acks = true);
    fleet.wait_until(|s| s.queued >= 10).await;
    let restart = Command {
        id: "r".into(),
        name: "restart".into(),
        params: Json::EMPTY_OBJECT,
        expires_at: i64::MAX,
    };
    server.command("dev1", &Down::Command(restart));
    fleet.wait_until(|s| s.restarts == 1).await;
    assert!(
        fleet.summary().queued >= 10,
        "the queue came back from flash"
    );
    server.with(|s| s.withhold_acks = false);
    server.drop_sockets();
    fleet.wait_until(|s| s.queued == 0).await;
    // The wanted value is pushed again and was applied before; the board says so again.
    server
        .until(|s| s.reported["dev1"]["relay3"].0 == "1")
        .await;
}

#[tokio::test]
async fn a_schedule_is_kept_runs_and_survives_a_restart() {
    let server = Server::start().await;
    let (fleet, _cancel, _guard) = run(
        &server,
        vec![spec(BoardKind::RelayBoard, 1)],
        Faults::default(),
    );
    fleet.wait_until(|s| s.connected == 1).await;
    server.want(
        "dev1",
        "schedules",
        r#"[{"key":"relay3","at":"25:00","value":1}]"#,
    );
    server.until(|s| !s.refused.is_empty()).await;
    server.with(|s| {
        let why = "schedule 1 needs a time such as 07:30 in `at`".to_owned();
        assert_eq!(s.refused[0], ("schedules".to_owned(), 1, why));
    });
    // A minute of a board that lives fifty times as fast.
    let list = r#"[{"key":"relay3","every":60,"value":true}]"#;
    server.want("dev1", "schedules", list);
    let is = |s: &crate::server::State, key: &str, value: &str| s.reported["dev1"][key].0 == value;
    server
        .until(|s| is(s, "schedules", list) && is(s, "relay3", "true"))
        .await;
    let restart = Command {
        id: "r".into(),
        name: "restart".into(),
        params: Json::EMPTY_OBJECT,
        expires_at: i64::MAX,
    };
    server.command("dev1", &Down::Command(restart));
    fleet
        .wait_until(|s| s.restarts == 1 && s.connected == 1)
        .await;
    server.want("dev1", "relay3", "0");
    server.until(|s| is(s, "relay3", "0")).await;
    server.until(|s| is(s, "relay3", "true")).await;
}

#[tokio::test]
async fn clock_jumps_never_reach_the_stored_times() {
    let server = Server::start().await;
    let faults = Faults {
        clock_jump_every: Some(Duration::from_millis(300)),
        clock_jump_max: Duration::from_secs(100_000),
        ..Faults::default()
    };
    let (fleet, _cancel, _guard) = run(
        &server,
        (0..4).map(|n| spec(BoardKind::Motion, n)).collect(),
        faults,
    );
    fleet
        .wait_until(|s| s.clock_jumps >= 8 && s.samples_acked >= 100)
        .await;
    server.with(|s| {
        let times: Vec<i64> = s.points.iter().map(|p| p.1).filter(|t| *t >= 0).collect();
        let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        // Jumps below a minute are within the core's tolerance; a day is not.
        assert!(
            last - first < 600_000,
            "times spread over {} ms",
            last - first
        );
    });
}

#[tokio::test]
async fn polling_takes_over_where_no_socket_gets_through() {
    let server = Server::start().await;
    server.with(|s| s.refuse_sockets = true);
    let (fleet, _cancel, _guard) = run(
        &server,
        vec![spec(BoardKind::SmartPlug, 1)],
        Faults::default(),
    );
    server.until(|s| s.posts >= 3).await;
    server.want("dev1", "relay1", "0");
    server
        .until(|s| {
            s.reported.get("dev1").and_then(|r| r.get("relay1")) == Some(&("0".to_owned(), 1))
        })
        .await;
    let summary = fleet.wait_until(|s| s.samples_acked >= 10).await;
    assert_eq!((summary.connected, summary.refused), (0, 0));
    server.with(|s| assert_eq!(s.bad_frames, Vec::<String>::new()));
}

#[tokio::test]
async fn a_board_that_polls_restarts_once_and_after_its_answer() {
    let server = Server::start().await;
    server.with(|s| {
        s.refuse_sockets = true;
        s.commands = vec!["restart".to_owned()];
    });
    let (fleet, _cancel, _guard) = run(
        &server,
        vec![spec(BoardKind::SmartPlug, 1)],
        Faults::default(),
    );
    fleet.wait_until(|s| s.restarts >= 1).await;
    server.with(|s| assert_eq!(s.results, [("restart".to_owned(), true)]));
    let posts = server.with(|s| s.posts);
    server.until(|s| s.posts >= posts + 5).await;
    assert_eq!(fleet.summary().restarts, 1);
    server.with(|s| assert_eq!(s.results.len(), 1));
}

#[tokio::test]
async fn a_weak_board_drops_off_and_returns() {
    let server = Server::start().await;
    let mut weak = spec(BoardKind::Freezer, 1);
    weak.outage = Some(Outage {
        up: Duration::from_millis(300),
        away: Duration::from_millis(200),
    });
    let (fleet, _cancel, _guard) = run(&server, vec![weak], Faults::default());
    fleet.wait_until(|s| s.connected == 1).await;
    fleet.wait_until(|s| s.connected == 0).await;
    let summary = fleet
        .wait_until(|s| s.reconnects >= 2 && s.samples_acked >= 10)
        .await;
    assert_eq!(summary.dropped, 0);
}

#[tokio::test]
async fn a_sleeping_board_comes_by_delivers_and_leaves() {
    let server = Server::start().await;
    let (fleet, _cancel, _guard) = run(
        &server,
        vec![spec(BoardKind::BatterySensor, 1)],
        Faults::default(),
    );
    fleet.wait_until(|s| s.connected == 1).await;
    fleet.wait_until(|s| s.connected == 0 && s.queued > 0).await;
    let summary = fleet
        .wait_until(|s| s.reconnects >= 1 && s.samples_acked >= 5)
        .await;
    assert_eq!((summary.failures, summary.dropped), (0, 0));
}

#[tokio::test]
async fn a_fleet_that_cannot_work_does_not_start() {
    let cancel = CancellationToken::new();
    let start = |options: &SimOptions, spec: BoardSpec| {
        Fleet::run(vec![spec], options, &cancel)
            .map(drop)
            .unwrap_err()
    };
    let error = start(
        &SimOptions::new("https://farm.example"),
        spec(BoardKind::Lamp, 1),
    );
    assert!(matches!(error, SimError::Tls));
    let error = start(
        &SimOptions {
            rate: f64::NAN,
            ..SimOptions::new("http://h")
        },
        spec(BoardKind::Lamp, 1),
    );
    assert!(matches!(error, SimError::Rate));
    let bad = BoardSpec {
        token: String::new(),
        ..spec(BoardKind::Lamp, 1)
    };
    let error = start(&SimOptions::new("http://h"), bad);
    assert!(
        error
            .to_string()
            .starts_with("board \"Board 1\": the device token"),
        "{error}"
    );
}

#[test]
fn the_demo_fleet_has_twelve_kinds_and_one_weak_board() {
    let fleet = demo_fleet();
    let kinds: std::collections::HashSet<_> = fleet.iter().map(|b| b.kind).collect();
    assert_eq!(
        (
            kinds.len(),
            fleet.iter().filter(|b| b.outage.is_some()).count()
        ),
        (12, 1)
    );
}
