//! Backup and restore, on a running and on a stopped server, tested by restoring and comparing.

use crate::process::{Server, add_user, run};
use serde_json::{Value, json};
use std::path::Path;

/// A server with something of everything in it; returns what a person sees of it.
async fn fill(server: &Server, token: &str) -> Value {
    let (id, secret) = server.device(token, "greenhouse").await;
    for n in 0..50 {
        let sample = json!({ "ts": 1_700_000_000_000_i64 + n * 1000, "data": { "t": 20.5 + n as f64 / 10.0, "ok": n % 2 == 0, "note": format!("n{n}"), "at": { "lat": 1.5 } } });
        let body = json!({ "device_token": secret, "samples": [sample] });
        let (status, answer) = server
            .ask("POST", &format!("/devices/{id}/telemetry"), "", Some(body))
            .await;
        assert_eq!(status, 200, "{answer}");
    }
    let (status, board) = server
        .ask(
            "POST",
            "/dashboards",
            token,
            Some(json!({ "name": "Garden" })),
        )
        .await;
    assert_eq!(status, 200, "{board}");
    let widget =
        json!({ "dashboard_id": board["_id"], "device_id": id, "type": "led", "label": "Pump" });
    let (status, answer) = server.ask("POST", "/widgets", token, Some(widget)).await;
    assert_eq!(status, 200, "{answer}");
    look(server, token).await
}

/// What a person sees: devices, dashboards, widgets, and every stored point.
async fn look(server: &Server, token: &str) -> Value {
    let (_, mut devices) = server.ask("GET", "/devices", token, None).await;
    let (_, dashboards) = server.ask("GET", "/dashboards", token, None).await;
    let board = dashboards[0]["_id"].as_str().unwrap_or("none").to_owned();
    let (_, widgets) = server
        .ask("GET", &format!("/widgets/{board}"), token, None)
        .await;
    let id = devices[0]["id"].as_str().unwrap_or("none").to_owned();
    let path = format!(
        "/telemetry/history?device_id={id}&key=t,ok,note,at&from=2001-01-01T00:00:00Z&format=series&limit=1000"
    );
    let (_, history) = server.ask("GET", &path, token, None).await;
    // Whether a board is online is no part of what is kept.
    for device in devices.as_array_mut().into_iter().flatten() {
        for volatile in [
            "status",
            "online",
            "last_active",
            "last_status_notification",
        ] {
            device.as_object_mut().map(|d| d.remove(volatile));
        }
    }
    json!({ "devices": devices, "dashboards": dashboards, "widgets": widgets.as_array().map(Vec::len), "series": history["series"] })
}

fn must(data: &Path, args: &[&str]) {
    let output = run(data, args, "");
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_running_server_restores_on_a_running_and_on_a_stopped_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup.zst");
    let file = file.to_str().unwrap();
    add_user(dir.path(), "ada");
    let server = Server::start(dir.path());
    let token = server.login("ada").await;
    let before = fill(&server, &token).await;
    assert_eq!(
        before["series"].as_array().map(Vec::len),
        Some(4),
        "{before}"
    );
    must(dir.path(), &["backup", file]);

    // The running server moves on, then goes back.
    server.device(&token, "to be forgotten").await;
    must(dir.path(), &["restore", file]);
    let token = server.login("ada").await;
    assert_eq!(look(&server, &token).await, before);
    assert!(server.stop());

    // The same on an empty machine.
    let other = tempfile::tempdir().unwrap();
    must(other.path(), &["restore", file]);
    let server = Server::start(other.path());
    let token = server.login("ada").await;
    assert_eq!(look(&server, &token).await, before);
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup.zst");
    add_user(dir.path(), "ada");
    must(dir.path(), &["backup", file.to_str().unwrap()]);
    let bytes = std::fs::read(&file).unwrap();
    let server = Server::start(dir.path());
    let token = server.login("ada").await;
    let before = fill(&server, &token).await;
    for broken in [&bytes[..bytes.len() / 2], b"not a backup", b""] {
        std::fs::write(&file, broken).unwrap();
        let output = run(dir.path(), &["restore", file.to_str().unwrap()], "");
        assert_eq!(output.status.code(), Some(1));
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("backup"),
            "{output:?}"
        );
    }
    assert_eq!(look(&server, &token).await, before);
}
