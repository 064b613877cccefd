//! Property tests of the promises: nothing is lost below capacity, nothing is forgotten before the server said so,
//! and reported versions are true and never go down, whatever the network does.

mod harness;

use espalier_device::Input;
use espalier_device::machine::RESTART_PATIENCE_MS;
use espalier_wire::device::{Command, Down};
use espalier_wire::http::HeartbeatPost;
use espalier_wire::json::{Json, Value};
use harness::World;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Sample,
    Pass(u64),
    Connect,
    Lose,
    Ack(usize),
    KeepSilently(usize),
    StrayAck(u32),
    Busy(usize),
    Want(bool, bool, u64),
    PushDesired,
    OldDesired(u64),
    BreakSwitch(bool),
    Button(bool),
    Restart,
    Jump(i64),
    Garbage,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => Just(Op::Sample),
        4 => (0..40_000u64).prop_map(Op::Pass),
        5 => Just(Op::Connect),
        2 => Just(Op::Lose),
        5 => any::<usize>().prop_map(Op::Ack),
        2 => any::<usize>().prop_map(Op::KeepSilently),
        1 => (0..50u32).prop_map(Op::StrayAck),
        1 => any::<usize>().prop_map(Op::Busy),
        2 => (any::<bool>(), any::<bool>(), 1..9u64).prop_map(|(k, v, n)| Op::Want(k, v, n)),
        2 => Just(Op::PushDesired),
        1 => (0..9u64).prop_map(Op::OldDesired),
        1 => any::<bool>().prop_map(Op::BreakSwitch),
        1 => any::<bool>().prop_map(Op::Button),
        1 => Just(Op::Restart),
        1 => (-1_000_000..10_000_000i64).prop_map(Op::Jump),
        1 => Just(Op::Garbage),
    ]
}

fn apply(world: &mut World, op: &Op) {
    match *op {
        Op::Sample => world.sample(),
        Op::Pass(ms) => world.pass(ms),
        Op::Connect => world.connect(),
        Op::Lose => world.lose(),
        Op::Ack(pick) => world.keep(pick, true),
        Op::KeepSilently(pick) => world.keep(pick, false),
        // An id that is not on its way must not make the device forget anything.
        Op::StrayAck(id)
            if world.socket
                && !world.server.pending.contains_key(&id)
                && !world.server.pending_reports.contains(&id) =>
        {
            world.down(&Down::Ack { id });
        }
        Op::StrayAck(_) => {}
        Op::Busy(pick) => {
            let ids: Vec<u32> = world.server.pending.keys().copied().collect();
            if !ids.is_empty() {
                world.refuse(ids[pick % ids.len()], "unavailable", Some(500));
            }
        }
        Op::Want(key, value, version) => {
            world.want(if key { "v0" } else { "relay1" }, value, version)
        }
        Op::PushDesired => world.push_desired(),
        Op::OldDesired(version) if world.socket => {
            // Late and unknown entries; the value never matters, because the version was overtaken.
            let newest = world.server.wanted.get("v0").map_or(0, |w| w.1);
            let map = format!(
                r#"{{"v0":{{"value":7,"version":{}}},"unknown":{{"value":1,"version":9}}}}"#,
                version.min(newest)
            );
            let text = format!(r#"{{"type":"desired","state":{map}}}"#);
            world.push_desired();
            world.step(Input::Frame(&text));
        }
        Op::OldDesired(_) => {}
        Op::BreakSwitch(works) => world.apply_works = works,
        Op::Button(on) => world.step(Input::LocalChange {
            key: "v0",
            value: on.into(),
        }),
        Op::Restart => world.restart(world.sample_no.unsigned_abs()),
        Op::Jump(by) => {
            world.now = world.now.saturating_add_signed(by);
            world.step(Input::Tick);
        }
        Op::Garbage => world.step(Input::Frame(r#"{"type":"ack","id":"x"}"#)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_sample_arrives_and_every_report_is_true(seed in any::<u64>(), ops in prop::collection::vec(op(), 0..120)) {
        let mut world = World::new(seed);
        let (mut dropped, mut acked_before, mut taken) = (0, 0, 0);
        for op in &ops {
            if matches!(op, Op::Restart) {
                dropped += world.core.stats().samples_dropped;
            }
            let (queued, acked) = (world.core.queued(), world.core.stats().samples_acked);
            apply(&mut world, op);
            if !matches!(op, Op::Ack(_) | Op::Sample | Op::Restart) {
                // Only acknowledgements (and a full queue) make a device forget.
                prop_assert_eq!(world.core.queued(), queued, "{:?}", op);
                prop_assert_eq!(world.core.stats().samples_acked, acked);
            }
            if matches!(op, Op::Restart) {
                (acked_before, taken) = (0, 0);
            }
            let stats = world.core.stats();
            prop_assert!(stats.samples_acked >= acked_before);
            prop_assert!(stats.samples_taken >= taken);
            (acked_before, taken) = (stats.samples_acked, stats.samples_taken);
        }
        world.heal();
        dropped += world.core.stats().samples_dropped;
        let missing = (1..=world.sample_no).filter(|n| !world.server.stored.contains(n)).count() as u64;
        prop_assert!(missing <= dropped, "{} samples lost, only {} were pushed out", missing, dropped);
        prop_assert_eq!(world.core.stats().samples_refused, 0);
        // Desired and reported have met, unless somebody pressed the button since.
        let pressed = ops.iter().any(|op| matches!(op, Op::Button(_)));
        for (key, (value, version)) in &world.server.wanted {
            let applied = world.applied.get(key).cloned();
            prop_assert_eq!(applied, Some((value.clone(), *version)));
            if !pressed {
                prop_assert_eq!(&world.server.last_report[key].0, value);
            }
        }
    }

    #[test]
    fn the_oldest_go_first_and_are_counted(seed in any::<u64>(), count in 1..200i64) {
        let mut world = World::new(seed);
        (0..count).for_each(|_| world.sample());
        let dropped = i64::try_from(world.core.stats().samples_dropped).unwrap();
        prop_assert_eq!(i64::from(world.core.queued()) + dropped, count);
        world.heal();
        let kept: Vec<i64> = (dropped + 1..=count).collect();
        prop_assert_eq!(world.server.stored.iter().copied().collect::<Vec<_>>(), kept);
    }
}

#[test]
fn a_refused_sample_is_found_and_dropped_alone() {
    let mut world = World::new(3);
    (0..20).for_each(|_| world.sample());
    world.connect();
    // The server refuses every batch that holds sample 7, and only those.
    for _ in 0..200 {
        let Some((&id, samples)) = world.server.pending.iter().next() else {
            if let Some(&id) = world.server.pending_reports.iter().next() {
                world.server.pending_reports.remove(&id);
                world.down(&Down::Ack { id });
                continue;
            }
            break;
        };
        if samples.contains(&7) {
            world.refuse(id, "invalid_data", None);
        } else {
            let samples = world.server.pending.remove(&id).unwrap();
            world.server.stored.extend(samples);
            world.down(&Down::Ack { id });
        }
    }
    let missing: Vec<i64> = (1..=20)
        .filter(|n| !world.server.stored.contains(n))
        .collect();
    assert_eq!(missing, [7]);
    assert_eq!(
        (world.core.stats().samples_refused, world.core.queued()),
        (1, 0)
    );
}

#[test]
fn samples_carry_the_time_at_which_they_were_taken() {
    let mut world = World::new(5);
    world.sample();
    world.pass(4_000);
    world.sample();
    world.pass(1_000);
    world.heal();
    assert_eq!(world.server.stamps[&1], Some(harness::T0));
    assert_eq!(world.server.stamps[&2], Some(harness::T0 + 4_000));
    // After a restart without a known time, an old sample has none; a new one gets it from the welcome.
    let mut world = World::new(5);
    world.sample();
    world.restart(6);
    world.pass(2_000);
    world.sample();
    world.heal();
    assert_eq!(
        (world.server.stamps[&1], world.server.stamps[&2]),
        (None, Some(harness::T0 + 2_000))
    );
}

#[test]
fn a_command_runs_once_and_is_answered_each_time_it_is_delivered() {
    let mut world = World::new(1);
    world.connect();
    let command = |id| {
        Down::Command(Command {
            id,
            name: "identify".into(),
            params: Json::EMPTY_OBJECT,
            expires_at: i64::MAX,
        })
    };
    world.down(&command("c-1".into()));
    world.down(&command("c-1".into()));
    let late = Command {
        id: "c-2".into(),
        name: "identify".into(),
        params: Json::EMPTY_OBJECT,
        expires_at: harness::T0 - 1,
    };
    world.down(&Down::Command(late));
    assert_eq!(world.ran, ["c-1"]);
    assert_eq!(world.server.results, ["c-1", "c-1", "c-2"]);
    assert!(
        world
            .server
            .frames
            .last()
            .unwrap()
            .contains(r#""ok":false"#)
    );
}

#[test]
fn a_silent_server_is_left_and_everything_is_sent_again() {
    let mut world = World::new(9);
    world.sample();
    world.connect();
    assert_eq!(world.server.pending.len(), 1);
    world.pass(31_000);
    assert!(
        !world.socket,
        "an acknowledgement that does not come means a broken connection"
    );
    world.heal();
    assert!(world.server.stored.contains(&1));
}

const LATEST: &str = "/telemetry/latest?only=desired";

/// Leads a device without sockets to its first request.
fn polling_world() -> World {
    let mut world = World::new(4);
    for _ in 0..400 {
        if world.request.is_some() {
            return world;
        }
        world.lose();
        world.pass(500);
    }
    panic!("the device never fell back to polling");
}

fn answer(world: &mut World, status: u16, body: &str) -> String {
    let (path, _) = world.request.take().expect("a request");
    world.step(Input::Answer {
        status,
        body,
        date: None,
        retry_after_s: None,
    });
    path
}

#[test]
fn a_server_without_versions_is_obeyed_by_value() {
    let mut world = polling_world();
    // The first reports, then the poll.
    while world.request.as_ref().unwrap().0 != LATEST {
        answer(&mut world, 200, "{}");
    }
    answer(
        &mut world,
        200,
        r#"{"device_id":"dev1","data":{"v0":1,"other":2},"timestamp":null}"#,
    );
    assert_eq!(world.applied["v0"], ("1".to_owned(), 0));
    // A button that the server has not heard of is newer than what the server shows.
    world.step(Input::LocalChange {
        key: "v0",
        value: false.into(),
    });
    answer(&mut world, 200, r#"{"commands":[]}"#);
    assert_eq!(world.core.switches().get("v0").unwrap().as_str(), "false");
}

#[test]
fn a_device_that_the_server_does_not_know_keeps_its_samples() {
    let mut world = polling_world();
    (0..5).for_each(|_| world.sample());
    for status in [404, 503, 401] {
        while world.request.is_none() {
            world.lose();
            world.pass(1_000);
        }
        answer(&mut world, status, "");
        assert_eq!(
            (world.core.queued(), world.core.stats().samples_refused),
            (5, 0),
            "{status}"
        );
    }
    world.heal();
    assert_eq!(world.server.stored.len(), 5);
}

#[test]
fn flash_is_written_only_while_samples_cannot_be_delivered() {
    let mut world = World::new(8);
    world.heal();
    for _ in 0..500 {
        world.sample();
        world.heal();
        world.pass(10_000);
    }
    assert_eq!(
        world.flash.1, 0,
        "a device that delivers does not wear its flash"
    );
    world.lose();
    for _ in 0..60 {
        world.sample();
        world.pass(10_000);
        world.lose();
        if world.request.take().is_some() {
            world.step(Input::RequestFailed);
        }
    }
    // Ten minutes offline: once in half a minute.
    assert!((10..=21).contains(&world.flash.1), "{}", world.flash.1);
    let before = world.flash.1;
    world.heal();
    world.pass(60_000);
    // The last samples may have been stored while the way was opened.
    let after = world.flash.1;
    assert!(
        (1..=2).contains(&(after - before)),
        "the stored copy is emptied once"
    );
    world.pass(600_000);
    assert_eq!(world.flash.1, after);
}

/// A day on a network that lets no socket through, with a sample every half minute: returns every request of the last hour.
fn day_of_polling(world: &mut World) -> Vec<(String, String)> {
    let mut asked = Vec::new();
    let (end, mut next) = (world.now + 86_400_000, world.now);
    while world.now < end {
        if world.now >= next {
            next += 30_000;
            world.sample();
        }
        world.lose();
        match world.request.clone() {
            Some(request) => {
                let body = if request.0.ends_with("/pending") {
                    r#"{"commands":[]}"#
                } else {
                    r#"{"data":{},"time":1763683200000}"#
                };
                answer(world, 200, body);
                if world.now + 3_600_000 > end {
                    asked.push(request);
                }
            }
            None => world.pass(1_000),
        }
    }
    asked
}

#[test]
fn a_device_that_polls_delivers_and_spares_its_flash() {
    let mut world = polling_world();
    let before = world.flash.1;
    day_of_polling(&mut world);
    assert!(world.core.stats().samples_acked >= 2_870);
    let writes = world.flash.1 - before;
    assert!(writes <= 3, "{writes} writes in a day");
}

#[test]
fn a_device_that_polls_gives_signs_of_life() {
    let mut world = polling_world();
    world.step(Input::Vitals {
        heap_free: Some(118_000),
        rssi: Some(-61),
    });
    let asked = day_of_polling(&mut world);
    let beats: Vec<&String> = asked
        .iter()
        .filter(|(path, _)| path == "/devices/dev1/heartbeat")
        .map(|(_, body)| body)
        .collect();
    // One every half minute, or one a cycle where that is longer.
    assert!(
        (60..=130).contains(&beats.len()),
        "{} in an hour",
        beats.len()
    );
    let post = HeartbeatPost::parse(beats[0]).unwrap();
    assert_eq!(
        (post.heartbeat.heap_free, post.heartbeat.rssi),
        (Some(118_000), Some(-61))
    );
    assert!(post.heartbeat.uptime_s > 80_000 && post.heartbeat.boot_reason.is_some());
    assert!(post.hello.expected_interval_s.is_some() && post.hello.token.is_none());
    // A server that knows no such path hears everything else.
    let mut world = polling_world();
    world.sample();
    assert_eq!(world.request.as_ref().unwrap().0, "/devices/dev1/heartbeat");
    answer(&mut world, 404, "");
    assert_eq!(world.request.as_ref().unwrap().0, "/devices/dev1/telemetry");
}

#[test]
fn a_connection_that_lives_for_months_keeps_the_time() {
    let mut world = World::new(5);
    world.heal();
    let wall = |world: &World| world.core.wall_ms().unwrap() - i64::try_from(world.now).unwrap();
    let before = wall(&world);
    // Until the device pings, which it does when it has heard nothing for a while.
    let ask = |world: &mut World| {
        let pings = |world: &World| {
            world
                .server
                .frames
                .iter()
                .filter(|f| f.contains("ping"))
                .count()
        };
        let count = pings(world);
        while pings(world) == count {
            world.pass(1_000);
        }
    };
    // The server's clock is two seconds ahead of the board's by now; within the hour that changes nothing.
    let told = |world: &World| world.core.wall_ms().unwrap() + 2_000;
    ask(&mut world);
    let time = Some(told(&world));
    world.down(&Down::Pong { time });
    assert_eq!(wall(&world), before);
    while world.now < 3_700_000 {
        ask(&mut world);
        world.down(&Down::Pong { time: None });
    }
    // An answer that was long on its way is not believed, the next one is.
    ask(&mut world);
    let time = Some(told(&world));
    world.pass(1_500);
    world.down(&Down::Pong { time });
    assert_eq!(wall(&world), before);
    ask(&mut world);
    let time = Some(told(&world));
    world.down(&Down::Pong { time });
    assert_eq!(wall(&world), before + 2_000);
}

#[test]
fn sockets_return_soon_after_an_outage() {
    let mut world = polling_world();
    world.opening = false;
    // The network is back: the first cycle gets through, and the next thing is a socket.
    for _ in 0..8 {
        if world.request.is_some() {
            let latest = world.request.as_ref().is_some_and(|r| r.0 == LATEST);
            let pending = world
                .request
                .as_ref()
                .is_some_and(|r| r.0.ends_with("/pending"));
            let body = if pending {
                r#"{"commands":[]}"#
            } else {
                r#"{"data":{},"time":1}"#
            };
            answer(&mut world, 200, if latest || pending { body } else { "{}" });
        }
    }
    assert!(!world.opening);
    world.pass(5_000);
    assert!(
        world.opening,
        "a socket is tried at the next cycle, not minutes later"
    );
    // It fails although HTTP works: now polling goes on, and the next attempt is minutes away.
    world.lose();
    world.pass(3_000);
    assert!(world.request.is_some() && !world.opening);
}

#[test]
fn a_value_that_no_report_could_carry_is_refused() {
    let mut world = World::new(1);
    world.pass(1_000);
    world.connect();
    world.pass(1_000);
    let frames = world.server.frames.len();
    let list = format!(r#"["{}"]"#, "x".repeat(200));
    let text =
        format!(r#"{{"type":"desired","state":{{"schedules":{{"value":{list},"version":3}}}}}}"#);
    world.step(Input::Frame(&text));
    world.pass(1_000);
    assert_eq!(world.core.stats().desired_refused, 1);
    assert!(!world.applied.contains_key("schedules"));
    // The server hears why, until it has kept it; what the switch was it stays.
    let said = world.server.frames[frames..].join("\n");
    let refusal = r#""state":{"schedules":{"value":[],"version":3,"error":"the value is longer than this board can hold"}}"#;
    assert!(said.contains(refusal), "{said}");
    world.lose();
    world.heal();
    world.pass(1_000);
    let again = world.server.frames.iter().filter(|f| f.contains(refusal));
    assert_eq!(again.count(), 2, "after a lost connection once more");
    world.lose();
    world.heal();
    let again = world.server.frames.iter().filter(|f| f.contains(refusal));
    assert_eq!(
        again.count(),
        2,
        "what the server has kept is not said again"
    );
    // There is one such switch, and it has its bounds.
    let long = |text: &'static str| Value::Json(Json::parse(text).unwrap());
    assert!(!world.core.declare_long_switch("other", long("[]")));
    assert!(world.core.declare_long_switch("schedules", long("[1]")));
    assert_eq!(
        world.core.switches().get("schedules").unwrap().as_str(),
        "[1]"
    );
}

#[test]
fn a_board_that_is_alone_for_long_spares_its_flash() {
    let mut world = World::new(9);
    let hour = |world: &mut World| {
        let before = world.flash.1;
        for _ in 0..360 {
            world.pass(10_000);
            world.sample();
        }
        world.flash.1 - before
    };
    let (first, second) = (hour(&mut world), hour(&mut world));
    assert!((100..=122).contains(&first), "{first} in the first hour");
    assert!((11..=13).contains(&second), "{second} in the second hour");
}

#[test]
fn a_refusal_goes_by_http_too_and_a_newer_value_ends_it() {
    let mut world = polling_world();
    while world.request.as_ref().unwrap().0 != LATEST {
        answer(&mut world, 200, "{}");
    }
    let desired = r#"{"data":{},"time":1,"desired":{"led_mode":{"value":1,"version":7}}}"#;
    answer(&mut world, 200, desired);
    answer(&mut world, 200, r#"{"commands":[]}"#);
    // Not in the next cycle: somebody waits for it.
    let refusal = r#"{"data":{},"reported":{"led_mode":{"value":null,"version":7,"error":"this board has no switch of this name"}}}"#;
    assert_eq!(world.request.as_ref().unwrap().1, refusal);
    answer(&mut world, 200, "{}");
    assert_eq!(world.core.stats().desired_refused, 1);

    // A value that the binding refuses; the next one is taken before the server has heard of that.
    let mut world = World::new(6);
    world.heal();
    let frames = world.server.frames.len();
    let want = |world: &mut World, value: bool, version: u64| {
        world.want("v0", value, version);
        world.push_desired();
    };
    world.refuse_values = true;
    want(&mut world, true, 90);
    world.pass(100);
    let said = world.server.frames[frames..].join("\n");
    assert!(
        said.contains(r#""v0":{"value":false,"version":90,"error":"too hot"}"#),
        "{said}"
    );
    world.refuse_values = false;
    world.lose();
    want(&mut world, true, 91);
    world.heal();
    let last = |what: &str| world.server.frames.iter().rposition(|f| f.contains(what));
    assert!(last("too hot") < last(r#""v0":{"value":true,"version":91}"#));
    assert_eq!(world.core.switches().get("v0").unwrap().as_str(), "true");
}

/// Leads a device without sockets to where it has asked for commands.
fn asking_for_commands() -> World {
    let mut world = polling_world();
    while world.request.as_ref().unwrap().0 != LATEST {
        answer(&mut world, 200, "{}");
    }
    answer(&mut world, 200, r#"{"data":{},"time":1}"#);
    assert_eq!(
        world.request.as_ref().unwrap().0,
        "/devices/dev1/commands/pending"
    );
    world
}

const RESTART: &str =
    r#"{"commands":[{"id":"restart","name":"restart","params":{},"expires_at":9000000000000}]}"#;

#[test]
fn a_restart_that_was_polled_waits_until_the_server_has_its_result() {
    let mut world = asking_for_commands();
    answer(&mut world, 200, RESTART);
    let (path, body) = world.request.clone().expect("the result goes at once");
    assert_eq!(path, "/devices/dev1/commands/restart/result");
    assert_eq!(body, r#"{"ok":true,"result":1}"#);
    world.pass(3_000);
    assert_eq!((world.ran.len(), world.restarts), (1, 0));
    answer(&mut world, 200, "{}");
    assert_eq!(world.restarts, 1);
}

#[test]
fn a_restart_does_not_wait_for_ever_for_a_server_that_does_not_take_the_result() {
    let mut world = asking_for_commands();
    answer(&mut world, 200, RESTART);
    answer(&mut world, 503, "");
    assert_eq!((world.restarts, world.request.is_some()), (0, false));
    // It is told again after a moment, and not more often than the server wants.
    world.pass(1_900);
    assert!(world.request.is_none());
    world.pass(200);
    let again = answer(&mut world, 503, "");
    assert_eq!(again, "/devices/dev1/commands/restart/result");
    // Some two seconds of it have passed.
    world.pass(RESTART_PATIENCE_MS - 3_000);
    assert_eq!(world.restarts, 0);
    world.pass(1_000);
    assert_eq!((world.restarts, world.ran.len()), (1, 1));

    // A server that is gone altogether.
    let mut world = asking_for_commands();
    answer(&mut world, 200, RESTART);
    world.request = None;
    world.step(Input::RequestFailed);
    assert_eq!(world.restarts, 0);
    world.pass(RESTART_PATIENCE_MS);
    assert_eq!(world.restarts, 1);
}

#[test]
fn a_result_that_the_server_does_not_want_is_not_told_again() {
    for status in [200, 404, 409] {
        let mut world = asking_for_commands();
        answer(&mut world, 200, &RESTART.replace("restart", "c1"));
        assert!(answer(&mut world, status, "{}").ends_with("/c1/result"));
        assert!(world.request.is_none(), "{status}");
    }
}

#[test]
fn what_was_desired_is_answered_at_once_and_what_a_button_did_is_not() {
    let mut world = asking_for_commands();
    answer(&mut world, 200, r#"{"commands":[]}"#);
    world.step(Input::LocalChange {
        key: "relay1",
        value: true.into(),
    });
    assert!(world.request.is_none());
    while world.request.as_ref().is_none_or(|r| r.0 != LATEST) {
        world.lose();
        match world.request {
            Some(_) => drop(answer(&mut world, 200, "{}")),
            None => world.pass(500),
        }
    }
    world.want("v0", true, 3);
    let desired = r#"{"time":1,"desired":{"v0":{"value":true,"version":3}}}"#;
    answer(&mut world, 200, desired);
    answer(&mut world, 200, r#"{"commands":[]}"#);
    let (path, body) = world.request.clone().expect("the report goes at once");
    assert_eq!(path, "/devices/dev1/telemetry");
    let report = r#""reported":{"v0":{"value":true,"version":3}}"#;
    assert!(body.contains(report), "{body}");
    answer(&mut world, 200, "{}");
    assert!(world.request.is_none(), "the next cycle begins in its time");
}

#[test]
fn on_a_socket_the_result_leaves_before_the_restart() {
    let mut world = World::new(3);
    world.connect();
    let commands = espalier_wire::http::PendingCommands::parse(RESTART).unwrap();
    world.down(&Down::Command(commands.iter().next().unwrap()));
    assert_eq!(world.server.results, ["restart"]);
    assert_eq!(world.restarts, 1);
}

#[test]
fn a_frame_that_is_too_long_costs_only_itself() {
    let mut world = World::new(5);
    world.heal();
    let before = world.core.stats().not_understood;
    world.step(Input::FrameTooLong);
    assert!(world.socket && world.core.is_online());
    assert_eq!(world.core.stats().not_understood, before + 1);
}
