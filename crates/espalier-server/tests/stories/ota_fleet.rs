//! What runs where, as the boards say: counted for whoever sees them, told board by board, kept over a restart.

use espalier_testkit::{Engine, TestApp, story};
use serde_json::{Value, json};

const OLD: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222222222222222222222222222";

/// A board greets and sends a heartbeat; returns when the server has both.
async fn board(app: &TestApp, token: &str, hello: Value, heap: u32) {
    let server = app.serve().await;
    let mut socket = server
        .socket("/ws/device", Some(token))
        .await
        .expect("a socket");
    let mut frame = json!({ "type": "hello", "proto": 1, "chip": "esp32c3" });
    for (key, value) in hello.as_object().unwrap() {
        frame[key] = value.clone();
    }
    socket.send(frame).await;
    let beat =
        json!({ "type": "heartbeat", "id": 1, "uptime_s": 5, "heap_free": heap, "rssi": -60 });
    socket.send(beat).await;
    socket.until("ack").await;
    socket.close().await;
}

fn hello(version: &str, sha256: &str, trial: bool, boots: u32, reason: &str) -> Value {
    json!({ "firmware": { "version": version, "sha256": sha256, "trial": trial }, "boots": boots, "boot_reason": reason })
}

story!(boards_are_counted_by_what_they_run, |app| async move {
    let ada = app.person("ada").await;
    let (first, first_token) = ada.device("first").await;
    let (_, second_token) = ada.device("second").await;
    ada.device("silent").await;
    board(
        &app,
        &first_token,
        hello("1.0.0", OLD, false, 3, "power_on"),
        100_000,
    )
    .await;
    board(
        &app,
        &second_token,
        hello("1.0.0", OLD, false, 9, "power_on"),
        80_000,
    )
    .await;
    board(
        &app,
        &second_token,
        hello("1.1.0", NEW, true, 10, "software"),
        60_000,
    )
    .await;
    let fleet = ada.client.get("/fleet").await.expect(200);
    assert_eq!(fleet["boards"], 3);
    assert_eq!(fleet["unknown"], 1);
    assert_eq!(fleet["chips"], json!({ "esp32c3": 2 }));
    let of = |sha: &str| {
        let images = fleet["images"].as_array().unwrap();
        images
            .iter()
            .find(|image| image["sha256"] == sha)
            .unwrap()
            .clone()
    };
    assert_eq!(of(OLD)["boards"], 1);
    assert_eq!(of(OLD)["left"], 1);
    assert_eq!(of(OLD)["crash_free_boards"], 1.0);
    assert_eq!(
        of(OLD)["heap"],
        json!({ "min": 100_000, "median": 100_000 })
    );
    assert_eq!(of(NEW)["trial"], 1);
    assert_eq!(of(NEW)["version"], "1.1.0");

    let one = ada
        .client
        .get(&format!("/devices/{first}/firmware"))
        .await
        .expect(200);
    assert_eq!(one["sha256"], OLD);
    assert_eq!(one["boots"], 3);
    assert_eq!(one["rssi"], -60);
    assert_eq!(one["history"].as_array().unwrap().len(), 1);
});

story!(an_image_that_crashes_is_seen_to_crash, |app| async move {
    let ada = app.person("ada").await;
    let (id, token) = ada.device("balcony").await;
    board(
        &app,
        &token,
        hello("1.0.0", OLD, false, 1, "power_on"),
        90_000,
    )
    .await;
    app.clock.advance(3_600_000);
    board(
        &app,
        &token,
        hello("1.1.0", NEW, true, 2, "software"),
        70_000,
    )
    .await;
    app.clock.advance(3_600_000);
    board(
        &app,
        &token,
        hello("1.1.0", NEW, true, 3, "task_wdt"),
        50_000,
    )
    .await;
    board(&app, &token, hello("1.0.0", OLD, false, 6, "panic"), 90_000).await;
    // The first session is over after two hours.
    let token = espalier_server::identity::open_session(&app.app, ada.account)
        .await
        .expect("a session");
    let client = app.anonymous().bearer(&token);
    let fleet = client.get("/fleet").await.expect(200);
    let images = fleet["images"].as_array().unwrap();
    let bad = images.iter().find(|image| image["sha256"] == NEW).unwrap();
    assert_eq!((&bad["boards"], &bad["left"]), (&json!(0), &json!(1)));
    assert_eq!(bad["crashes"], 2);
    assert_eq!(bad["crash_free_boards"], 0.0);
    assert_eq!(bad["crash_free_hours"], 0.5);
    let one = client
        .get(&format!("/devices/{id}/firmware"))
        .await
        .expect(200);
    let history = one["history"].as_array().unwrap();
    assert_eq!(history.len(), 3);
    assert_eq!(history[1]["crash_reason"], "panic");
    assert_eq!(history[1]["heap_min"], 50_000);
    assert!(history[0]["to"].is_null());
    assert_eq!(history[2]["to"], history[1]["from"]);
});

story!(nobody_counts_the_boards_of_others, |app| async move {
    let ada = app.person("ada").await;
    let bob = app.person("bob").await;
    let (id, token) = ada.device("hers").await;
    board(
        &app,
        &token,
        hello("1.0.0", OLD, false, 1, "power_on"),
        90_000,
    )
    .await;
    let fleet = bob.client.get("/fleet").await.expect(200);
    assert_eq!(
        (&fleet["boards"], &fleet["images"]),
        (&json!(0), &json!([]))
    );
    bob.client.get("/fleet?all=true").await.expect(403);
    bob.client
        .get(&format!("/devices/{id}/firmware"))
        .await
        .expect(404);
    let admin = app.person_with("eve", espalier_model::Role::Admin).await;
    assert_eq!(
        admin.client.get("/fleet?all=true").await.expect(200)["boards"],
        1
    );
    ada.client.delete(&format!("/devices/{id}")).await;
    let left = admin.client.get("/fleet?all=true").await.expect(200);
    assert_eq!(left["images"], json!([]));
});

async fn survives(engine: Engine) {
    let mut app = TestApp::new(engine).await;
    let ada = app.person("ada").await;
    let (id, token) = ada.device("balcony").await;
    board(
        &app,
        &token,
        hello("1.0.0", OLD, false, 1, "power_on"),
        90_000,
    )
    .await;
    board(
        &app,
        &token,
        hello("1.1.0", NEW, false, 2, "software"),
        90_000,
    )
    .await;
    app.restart().await;
    let client = app.anonymous().bearer(&ada.token);
    let one = client
        .get(&format!("/devices/{id}/firmware"))
        .await
        .expect(200);
    assert_eq!(one["sha256"], NEW);
    assert_eq!(one["history"].as_array().unwrap().len(), 2);
    let fleet = client.get("/fleet").await.expect(200);
    assert_eq!(fleet["images"][1]["left"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_boards_said_survives_a_restart_sqlite() {
    survives(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_boards_said_survives_a_restart_postgres() {
    if espalier_testkit::postgres_available() {
        survives(Engine::Postgres).await;
    }
}
