//! `kill -9` in the middle of work: what was acknowledged is there afterwards, and nothing else is broken.

use crate::process::{Server, add_user, client};
use serde_json::json;
use std::collections::BTreeMap;
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
