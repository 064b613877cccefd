//! The life of a board through the driver, plain and in TLS: telemetry, switches, commands, an update over a line that breaks.

use std::sync::Arc;
use std::time::Duration;

use espalier_board::tls::Refusal;
use espalier_board::{Anchor, NetError, Trust};
use espalier_device::update::BootReason;
use espalier_wire::device::{Command, Down};
use espalier_wire::json::{Json, Text};
use espalier_wire::ota::Stage;
use rustls::ServerConfig;
use tokio::time::timeout;

use crate::certificates::{
    Authority, HOST, NOW, authority, server as showing, server_params, signed,
};
use crate::server::{Server, desired};
use crate::world::{TestBoard, image};

/// When the server says it is, in milliseconds.
const NOW_MS: i64 = NOW.cast_signed() * 1000;
/// Long enough for any of these stories; a board that hangs is not one that is slow.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn nobody() -> Trust<'static> {
    Trust {
        anchors: &[],
        floor: NOW,
    }
}

fn believing(ca: &Authority) -> &'static [Anchor<'static>] {
    let der = Box::leak(ca.der().to_vec().into_boxed_slice());
    Box::leak(Box::new([Anchor::Certificate(der)]))
}

pub async fn plain() -> (Server, TestBoard) {
    let server = Server::start(None).await;
    let board = TestBoard::new(format!("http://127.0.0.1:{}", server.port), nobody());
    (server, board)
}

/// What a server shows whose authority a board believes, its URL, and what the board believes.
pub fn showing_good(port: u16) -> (Arc<ServerConfig>, String, Trust<'static>) {
    let ca = authority("house");
    let good = signed(server_params(), &ca);
    let trust = Trust {
        anchors: believing(&ca),
        floor: NOW,
    };
    let config = showing(&[good.der()], good.key());
    (config, format!("https://{HOST}:{port}"), trust)
}

pub async fn tls() -> (Server, TestBoard) {
    let (config, _, trust) = showing_good(0);
    let server = Server::start(Some(config)).await;
    let board = TestBoard::new(format!("https://{HOST}:{}", server.port), trust);
    (server, board)
}

/// Runs a board until the test is done with it.
async fn while_running(board: &mut TestBoard, test: impl Future<Output = ()>) {
    let both = async {
        tokio::select! {
            () = board.power_on(BootReason::PowerOn) => panic!("the board restarted"),
            () = test => {}
        }
    };
    timeout(PATIENCE, both)
        .await
        .expect("the board does what it should");
}

async fn obeys((server, mut board): (Server, TestBoard)) {
    server.with(|s| s.wanted = Some(desired("relay1", "true", 3)));
    let seen = std::rc::Rc::clone(&board.seen);
    while_running(&mut board, async {
        server.until(|s| s.samples >= 4).await;
        let reported = |s: &crate::server::State, value: &str, version: u64| {
            s.reported
                .contains(&("relay1".to_owned(), value.to_owned(), version))
        };
        server.until(|s| reported(s, "true", 3)).await;
        assert!(seen.borrow().relay);
        // A connection that breaks is made again, and what was wanted in the meantime is done.
        server.with(|s| s.wanted = Some(desired("relay1", "false", 4)));
        server.drop_sockets();
        server.until(|s| reported(s, "false", 4)).await;
        assert!(!seen.borrow().relay);
        let command = |id, name| {
            Down::Command(Command {
                id: Text::new(id),
                name: Text::new(name),
                params: Json::EMPTY_OBJECT,
                expires_at: NOW_MS + 600_000,
            })
            .to_json()
        };
        server.push(&command("c1", "identify"));
        server.push(&command("c2", "fly"));
        server.push(&command("c3", "measure"));
        server
            .until(|s| {
                s.results.contains(&("c1".into(), true))
                    && s.results.contains(&("c3".into(), true))
                    && s.results.contains(&("c2".into(), false))
            })
            .await;
        let before = server.with(|s| s.samples);
        server.until(|s| s.samples >= before + 3).await;
    })
    .await;
    server.with(|s| {
        assert_eq!(s.bad, Vec::<String>::new());
        // The server says welcome at once; the board still says who it is, on each socket.
        assert_eq!(s.hellos, ["1.0.0", "1.0.0"]);
    });
}

#[tokio::test]
async fn a_board_delivers_and_obeys() {
    obeys(plain().await).await;
}

#[tokio::test]
async fn a_board_delivers_and_obeys_in_tls() {
    obeys(tls().await).await;
}

async fn updates((server, mut board): (Server, TestBoard)) {
    let (new, manifest) = image("2.0.0");
    server.with(|s| {
        s.firmware = Some((new.clone(), manifest));
        // The line breaks three times: at once, in the middle of a page, late.
        s.breaks = vec![100_000, 10_001, 0];
    });
    timeout(PATIENCE, board.power_on(BootReason::PowerOn))
        .await
        .expect("the board takes the update and restarts");
    assert_eq!(board.selected(), 1);
    assert_eq!(board.slot(1, new.len()), &new[..]);
    // What had arrived was not fetched again.
    let downloads = server.with(|s| s.downloads.clone());
    assert!(
        downloads.len() >= 4 && downloads[2] >= 8192,
        "{downloads:?}"
    );
    let fetched: usize = new.len() + 3 * 16_384;
    assert!(
        downloads.is_sorted() && *downloads.last().unwrap() < fetched,
        "{downloads:?}"
    );

    // The new image proves itself.
    while_running(&mut board, async {
        server
            .until(|s| {
                s.reports
                    .iter()
                    .any(|(stage, _)| *stage == Stage::Confirmed)
            })
            .await;
    })
    .await;
    server.with(|s| {
        let bad =
            |(stage, _): &&(Stage, String)| matches!(stage, Stage::Failed | Stage::RolledBack);
        assert_eq!(s.reports.iter().find(bad), None);
    });
    assert_eq!(board.selected(), 1);
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_was() {
    updates(plain().await).await;
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_was_in_tls() {
    updates(tls().await).await;
}

#[tokio::test]
async fn a_command_restarts_the_board_after_its_answer() {
    let (server, mut board) = plain().await;
    let pushing = server.clone();
    let both = async {
        let push = async {
            pushing.until(|s| s.samples > 0).await;
            let restart = Down::Command(Command {
                id: Text::new("c9"),
                name: Text::new("restart"),
                params: Json::EMPTY_OBJECT,
                expires_at: NOW_MS + 600_000,
            });
            pushing.push(&restart.to_json());
        };
        tokio::join!(board.power_on(BootReason::PowerOn), push);
        server
            .until(|s| s.results.contains(&("c9".into(), true)))
            .await;
    };
    timeout(PATIENCE, both)
        .await
        .expect("the board answers and restarts");
}

#[tokio::test]
async fn a_server_without_sockets_gets_its_telemetry_by_requests() {
    let (server, mut board) = plain().await;
    server.with(|s| s.refuse_sockets = Some(404));
    while_running(&mut board, server.until(|s| s.posts >= 2)).await;
    let errors = board.seen.borrow().errors.clone();
    assert!(errors.contains(&NetError::Refused(404)), "{errors:?}");
}

#[tokio::test]
async fn a_restart_that_was_polled_happens_once_and_after_its_answer() {
    let (server, mut board) = plain().await;
    server.with(|s| {
        s.refuse_sockets = Some(404);
        s.commands = vec!["restart".to_owned()];
    });
    timeout(PATIENCE, board.power_on(BootReason::PowerOn))
        .await
        .expect("the board restarts");
    server.with(|s| assert_eq!(s.results, [("restart".to_owned(), true)]));
    server.with(|s| s.posts = 0);
    while_running(&mut board, server.until(|s| s.posts >= 3)).await;
    server.with(|s| assert_eq!(s.results.len(), 1));
}

fn too_large(board: &TestBoard) -> usize {
    let seen = board.seen.borrow();
    let errors = seen.errors.iter();
    errors.filter(|e| **e == NetError::TooLarge).count()
}

#[tokio::test]
async fn a_message_that_no_board_could_hold_costs_neither_the_link_nor_the_next_one() {
    let (server, mut board) = plain().await;
    let long = desired("note", &format!("\"{}\"", "x".repeat(9_000)), 6);
    server.with(|s| s.wanted = Some(long.clone()));
    while_running(&mut board, async {
        server.until(|s| s.samples >= 3).await;
        server.push(&long);
        server.push(&desired("relay1", "true", 7));
        let taken = ("relay1".to_owned(), "true".to_owned(), 7);
        server.until(|s| s.reported.contains(&taken)).await;
    })
    .await;
    assert_eq!(too_large(&board), 1, "it is said once");
    server.with(|s| assert_eq!(s.hellos, ["1.0.0"]));
}

#[tokio::test]
async fn an_answer_that_the_board_cannot_hold_is_said_once_and_stops_nothing() {
    let (server, mut board) = plain().await;
    server.with(|s| {
        s.refuse_sockets = Some(404);
        s.padding = 3_000;
    });
    while_running(&mut board, server.until(|s| s.posts >= 4)).await;
    assert_eq!(too_large(&board), 1);
    // One that just fits is none.
    server.with(|s| s.padding = 2_048 - 90);
    server.with(|s| s.posts = 0);
    board.seen.borrow_mut().errors.clear();
    while_running(&mut board, server.until(|s| s.posts >= 3)).await;
    assert_eq!(too_large(&board), 0);
}

#[tokio::test]
async fn a_board_tells_nothing_to_a_server_that_it_does_not_believe() {
    let (server, mut board) = tls().await;
    let other = authority("house");
    let strange_key: &[_] = &[Anchor::Key([7; 32])];
    for (anchors, wanted) in [
        (&[][..], NetError::NoTrust),
        (believing(&other), NetError::Tls(Some(Refusal::WrongIssuer))),
        (strange_key, NetError::Tls(Some(Refusal::WrongKey))),
    ] {
        board.trust.anchors = anchors;
        board.seen.borrow_mut().errors.clear();
        let seen = std::rc::Rc::clone(&board.seen);
        while_running(&mut board, async move {
            while seen.borrow().errors.len() < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(
            board
                .seen
                .borrow()
                .errors
                .iter()
                .all(|error| *error == wanted)
        );
    }
    server.with(|s| assert_eq!((s.samples, s.posts), (0, 0)));
}
