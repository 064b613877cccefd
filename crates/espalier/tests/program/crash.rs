//! `kill -9` in the middle of work: what was acknowledged is there afterwards, and nothing else is broken. And the polite
//! end: what was begun is finished.

use crate::process::{Server, add_user, client};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Boards that post while the process is killed.
const WRITERS: usize = 8;
/// Acknowledgements after which the process is killed, per round.
const ENOUGH: usize = 120;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_nine() {
    let dir = tempfile::tempdir().unwrap();
    add_user(dir.path(), "ada");
    let mut server = Server::start(dir.path());
    let token = server.login("ada").await;
    let mut devices = Vec::new();
    for n in 0..WRITERS {
        devices.push(server.device(&token, &format!("board {n}")).await);
    }
    let mut acknowledged: Vec<BTreeMap<i64, f64>> = vec![BTreeMap::new(); WRITERS];
    for round in 0..3 {
        let count = Arc::new(AtomicUsize::new(0));
        let enough = Arc::new(tokio::sync::Notify::new());
        let mut writers = Vec::new();
        for (id, secret) in devices.clone() {
            let (url, count, enough) = (server.url.clone(), count.clone(), enough.clone());
            writers.push(tokio::spawn(async move {
                let client = client();
                let mut kept = Vec::new();
                for n in 0.. {
                    let (ts, value) = (1_700_000_000_000 + round * 1_000_000 + n * 10, (round * 1000 + n) as f64);
                    let body = json!({ "device_token": secret, "samples": [{ "ts": ts, "data": { "n": value } }] });
                    let answer = client.post(format!("{url}/devices/{id}/telemetry")).json(&body).send().await;
                    match answer {
                        Ok(answer) if answer.status().is_success() => kept.push((ts, value)),
                        Ok(answer) => panic!("refused with {}", answer.status()),
                        // The process is gone.
                        Err(_) => return kept,
                    }
                    if count.fetch_add(1, Ordering::SeqCst) + 1 == ENOUGH {
                        enough.notify_one();
                    }
                }
                kept
            }));
        }
        enough.notified().await;
        server = server.kill_and_restart();
        for (writer, kept) in writers.into_iter().zip(&mut acknowledged) {
            kept.extend(writer.await.unwrap());
        }
        for ((id, _), kept) in devices.iter().zip(&acknowledged) {
            let stored: BTreeMap<i64, f64> =
                server.history(&token, id, "n").await.into_iter().collect();
            for (ts, value) in kept {
                assert_eq!(
                    stored.get(ts),
                    Some(value),
                    "acknowledged and lost at {ts} after round {round}"
                );
            }
        }
    }
    assert!(server.stop(), "the server ends well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_devices_and_desired_state_survive_kill_nine() {
    let dir = tempfile::tempdir().unwrap();
    add_user(dir.path(), "ada");
    let server = Server::start(dir.path());
    let token = server.login("ada").await;
    let (id, secret) = server.device(&token, "lamp").await;
    let (status, answer) = server
        .ask(
            "PUT",
            &format!("/devices/{id}/desired"),
            &token,
            Some(json!({ "v0": 1 })),
        )
        .await;
    assert_eq!(status, 200, "{answer}");
    let server = server.kill_and_restart();
    let (status, state) = server
        .ask(
            "GET",
            &format!("/telemetry/latest?device_token={secret}"),
            "",
            None,
        )
        .await;
    assert_eq!((status, &state["data"]["v0"]), (200, &json!(1)), "{state}");
    let (status, devices) = server.ask("GET", "/devices", &token, None).await;
    assert_eq!(
        (status, &devices[0]["name"]),
        (200, &json!("lamp")),
        "{devices}"
    );
    assert!(server.stop());
}

/// A request is half sent when the process is asked to end: it takes no new connections, reads the rest, stores it,
/// answers, and ends well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_finishes_the_request_that_it_began() {
    let dir = tempfile::tempdir().unwrap();
    add_user(dir.path(), "ada");
    let server = Server::start(dir.path());
    let token = server.login("ada").await;
    let (id, secret) = server.device(&token, "board").await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let body = json!({ "device_token": secret, "ts": 1_700_000_000_000_i64, "data": { "n": 7 } })
        .to_string();
    let (first, rest) = body.split_at(body.len() / 2);
    let mut stream = TcpStream::connect(&address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /devices/{id}/telemetry HTTP/1.1\r\nhost: {address}\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
    )
    .unwrap();
    // The server says this when it begins to read the body: the request runs.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(first.as_bytes()).unwrap();
    server.ask_to_stop();
    while TcpStream::connect(&address).is_ok() {
        std::thread::yield_now();
    }
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(server.ended_well());
    let server = Server::start(dir.path());
    let stored = server.history(&token, &id, "n").await;
    assert_eq!(stored, [(1_700_000_000_000, 7.0)]);
    assert!(server.stop());
}
