//! Lines that fall silent in the middle of something: the board must notice, say all the while that it is alive, and go on. The
//! clock stands still while anybody works, so minutes of silence cost nothing.

use std::rc::Rc;
use std::time::Duration;

use espalier_board::{FetchNothing, NetError};
use espalier_device::update::BootReason;
use espalier_wire::ota::Stage;
use tokio::time::{Instant, sleep, timeout};

use crate::lines::{Fault, Lines};
use crate::server::{Server, State, desired};
use crate::story::{nobody, showing_good};
use crate::world::{TestBoard, image};

/// How long the driver may be silent towards a watchdog.
const ALIVE: Duration = Duration::from_secs(5);
/// What a board waits before it connects again, at the most, after so few failures.
const BACKOFF: Duration = Duration::from_secs(5);
/// Longer than any of these stories takes on the board's clock.
const PATIENCE: Duration = Duration::from_secs(1_800);

struct World {
    server: Server,
    lines: Lines,
    board: TestBoard,
}

fn world(tls: bool) -> World {
    let server = Server::new(443);
    let (lines, mut board) = if tls {
        let (config, url, trust) = showing_good(server.port);
        let lines = Lines::new(server.clone(), Some(config));
        (lines, TestBoard::new(url, trust))
    } else {
        let lines = Lines::new(server.clone(), None);
        (lines, TestBoard::new("http://farm:443".into(), nobody()))
    };
    board.every_ms = 2_000;
    World {
        server,
        lines,
        board,
    }
}

impl World {
    /// Runs the board until a test is done with it; says how long that took.
    async fn while_running(&mut self, test: impl Future<Output = ()>) -> Duration {
        let began = Instant::now();
        let mut nothing = FetchNothing;
        let life = self
            .board
            .power_on_in(&self.lines, BootReason::PowerOn, &mut nothing);
        let both = async {
            tokio::select! {
                () = life => panic!("the board restarted"),
                () = test => {}
            }
        };
        timeout(PATIENCE, both)
            .await
            .expect("the board does what it should");
        began.elapsed()
    }

    fn longest_silence(&self) -> Duration {
        self.board.seen.borrow().longest_silence()
    }
}

fn reported(state: &State, value: &str, version: u64) -> bool {
    state
        .reported
        .contains(&("relay1".to_owned(), value.to_owned(), version))
}

/// Breaks the line of the socket in the middle of a long frame, and returns how long it takes until all is well again.
async fn after_half_a_frame(world: &mut World, fault: Fault) -> Duration {
    let server = world.server.clone();
    let broken = Rc::new(std::cell::Cell::new(Duration::ZERO));
    let took = Rc::clone(&broken);
    world
        .while_running(async {
            server.until(|s| s.samples >= 3).await;
            let began = Instant::now();
            server.with(|s| {
                *s.breaker.lock().unwrap() = fault;
                s.wanted = Some(desired("relay1", "true", 7));
            });
            let long = format!("\"{}\"", "x".repeat(800));
            server.push(&desired("note", &long, 6));
            server
                .until(|s| s.hellos.len() == 2 && reported(s, "true", 7))
                .await;
            let before = server.with(|s| s.samples);
            server.until(|s| s.samples >= before + 3).await;
            took.set(began.elapsed());
        })
        .await;
    assert!(
        world.longest_silence() <= ALIVE,
        "{:?}",
        world.longest_silence()
    );
    broken.get()
}

#[tokio::test(start_paused = true)]
async fn half_a_record_of_tls_costs_the_connection_and_nothing_else() {
    let mut world = world(true);
    let took = after_half_a_frame(&mut world, Fault::Cut).await;
    // The rest of a record has 15 seconds.
    assert!(took < Duration::from_secs(15 + 6) + BACKOFF, "{took:?}");
    let errors = world.board.seen.borrow().errors.clone();
    assert_eq!(errors, [NetError::TimedOut]);
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_without_tls_is_noticed_by_what_is_not_acknowledged() {
    let mut world = world(false);
    let took = after_half_a_frame(&mut world, Fault::Cut).await;
    assert!(took < Duration::from_secs(30 + 8) + BACKOFF, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_slow_in_both_directions_does_not_hold_a_frame_for_ever() {
    let mut world = world(true);
    world.board.every_ms = 200;
    // The record ends just in time, and then the server takes nothing: each of both is within its own limit.
    let fault = Fault::CutFor(Duration::from_secs(14));
    let took = after_half_a_frame(&mut world, fault).await;
    // The frame was given 20 seconds, where a read and a write have 25.
    assert!(took >= Duration::from_secs(20), "{took:?}");
    assert!(took < Duration::from_secs(22) + BACKOFF, "{took:?}");
    let errors = world.board.seen.borrow().errors.clone();
    assert_eq!(errors, [NetError::TimedOut]);
}

/// A server that takes connections and says nothing on them.
async fn finds_back_from_a_hole(tls: bool) {
    let mut world = world(tls);
    let (server, lines) = (world.server.clone(), world.lines.clone());
    lines.be_a_hole(true);
    let seen = Rc::clone(&world.board.seen);
    world
        .while_running(async {
            sleep(Duration::from_secs(600)).await;
            let failures = seen.borrow().errors.len();
            assert!(failures >= 10, "{failures}");
            assert!(seen.borrow().longest_silence() <= ALIVE);
            lines.be_a_hole(false);
            // What was measured in the meantime is delivered, too.
            server
                .until(|s| s.hellos.len() == 1 && s.samples >= 290)
                .await;
        })
        .await;
    assert!(world.longest_silence() <= ALIVE);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_the_hello_of_tls_is_tried_again() {
    finds_back_from_a_hole(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_at_all_is_tried_again() {
    finds_back_from_a_hole(false).await;
}

async fn goes_on_after_answers_that_stop(tls: bool) {
    let mut world = world(tls);
    let server = world.server.clone();
    // No sockets here, so that everything goes by requests.
    server.with(|s| s.refuse_sockets = Some(404));
    world
        .while_running(async {
            for stop in [0, 9, 40, 50] {
                server.until(|s| s.posts >= 2).await;
                server.with(|s| s.stalled_answers.push(stop));
                server.until(|s| s.stalled_answers.is_empty()).await;
                server.with(|s| s.posts = 0);
                server.until(|s| s.posts >= 2).await;
            }
        })
        .await;
    assert!(world.longest_silence() <= ALIVE);
    assert!(
        world
            .board
            .seen
            .borrow()
            .errors
            .contains(&NetError::TimedOut)
    );
}

#[tokio::test(start_paused = true)]
async fn heads_and_bodies_that_stop_in_the_middle_are_given_up() {
    goes_on_after_answers_that_stop(false).await;
}

#[tokio::test(start_paused = true)]
async fn heads_and_bodies_that_stop_in_the_middle_are_given_up_in_tls() {
    goes_on_after_answers_that_stop(true).await;
}

async fn updates_over_a_line_that_stops(tls: bool) {
    let mut world = world(tls);
    let (new, manifest) = image("2.0.0");
    world.server.with(|s| {
        s.firmware = Some((new.clone(), manifest));
        s.stalled_downloads = vec![60_000, 10_001, 0];
    });
    let mut nothing = FetchNothing;
    let life = world
        .board
        .power_on_in(&world.lines, BootReason::PowerOn, &mut nothing);
    timeout(PATIENCE, life)
        .await
        .expect("the board takes the update and restarts");
    assert!(world.longest_silence() <= ALIVE);
    assert_eq!(world.board.selected(), 1);
    let server = world.server.clone();
    server.with(|s| assert_eq!(s.stalled_downloads, Vec::<usize>::new()));
    let confirmed = |(stage, _): &(Stage, String)| *stage == Stage::Confirmed;
    world
        .while_running(server.until(|s| s.reports.iter().any(confirmed)))
        .await;
    assert!(world.longest_silence() <= ALIVE);
}

#[tokio::test(start_paused = true)]
async fn a_download_that_stalls_goes_on_where_it_was() {
    updates_over_a_line_that_stops(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_download_that_stalls_goes_on_where_it_was_in_tls() {
    updates_over_a_line_that_stops(true).await;
}

#[tokio::test(start_paused = true)]
async fn hardware_that_hangs_is_not_called_alive_and_is_given_up() {
    let mut world = world(false);
    let (server, seen) = (world.server.clone(), Rc::clone(&world.board.seen));
    world
        .while_running(async {
            server.until(|s| s.samples >= 3).await;
            assert!(seen.borrow().longest_silence() <= ALIVE);
            seen.borrow_mut().stuck = true;
            sleep(Duration::from_secs(30)).await;
            // Whoever wants something else of the board gets it.
            server.push(&desired("relay1", "true", 7));
            let began = Instant::now();
            server.until(|s| reported(s, "true", 7)).await;
            assert!(began.elapsed() < Duration::from_secs(1));
            sleep(Duration::from_secs(270)).await;
            seen.borrow_mut().stuck = false;
            let before = server.with(|s| s.samples);
            server.until(|s| s.samples >= before + 3).await;
        })
        .await;
    let silence = world.longest_silence();
    assert!(silence >= Duration::from_secs(20), "{silence:?}");
    assert!(silence <= Duration::from_secs(21), "{silence:?}");
    // The connection has lived through it.
    world.server.with(|s| assert_eq!(s.hellos, ["1.0.0"]));
}
