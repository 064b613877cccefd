//! A rollout to real boards: the program with its twelve simulated boards, which check signatures, download over HTTP, restart
//! into flash, prove themselves and go back. Nothing here is a stand-in but the silicon.

use crate::process::{Demo, Server};
use serde_json::{Value, json};

/// Every board but the one that sleeps: it would make the test as long as its naps.
fn awake() -> Value {
    json!({ "not": { "kinds": ["battery"] } })
}

/// Waves that open as soon as the one before is well; boards are watched for a second.
fn plan() -> Value {
    json!({ "waves": [{ "count": 2 }, { "percent": 100 }], "health": { "window_s": 1 }, "limit": { "count": 2 },
        "max_attempts": 1, "confirm_within_s": 10 })
}

async fn release(server: &Server, token: &str, version: &str) -> String {
    let (status, all) = server.ask("GET", "/releases", token, None).await;
    assert_eq!(status, 200, "{all}");
    let found = all.as_array().unwrap().iter();
    let found = found.clone().find(|one| one["version"] == version);
    found.expect("the demo makes it")["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Plans and starts a rollout, and waits for its end by what the server pushes.
async fn roll_out(server: &Server, token: &str, version: &str, end: &[&str]) -> Value {
    let body = json!({ "release_id": release(server, token, version).await, "target": awake(), "plan": plan() });
    let (status, made) = server.ask("POST", "/rollouts", token, Some(body)).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().unwrap().to_owned();
    let events = server.events(token).await;
    let start = format!("/rollouts/{id}/start");
    let (status, started) = server.ask("POST", &start, token, None).await;
    assert_eq!(status, 200, "{started}");
    events
        .find(|event| {
            let rollout = &event["rollout"];
            let over = rollout["state"]
                .as_str()
                .is_some_and(|state| end.contains(&state));
            (rollout["id"] == id.as_str() && over).then(|| rollout.clone())
        })
        .await
}

/// How many boards run a version.
async fn running(server: &Server, token: &str, version: &str) -> u64 {
    let (status, fleet) = server.ask("GET", "/fleet", token, None).await;
    assert_eq!(status, 200, "{fleet}");
    let images = fleet["images"].as_array().unwrap().iter();
    let counted = images.filter(|image| image["version"] == version);
    counted.map(|image| image["boards"].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boards_take_what_is_good_and_refuse_to_keep_what_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    let (server, token) = Demo::start(dir.path()).await;

    let good = roll_out(&server, &token, "1.1.0", &["finished", "halted"]).await;
    assert_eq!(good["state"], "finished", "{good}");
    assert_eq!(
        (&good["counts"]["succeeded"], &good["counts"]["failed"]),
        (&json!(11), &json!(0)),
        "{good}"
    );
    assert_eq!(running(&server, &token, "1.1.0").await, 11);

    // The bad one comes to the two boards of the first wave, and no further: they take the old image back by themselves.
    let bad = roll_out(&server, &token, "1.2.0", &["finished", "halted"]).await;
    assert_eq!(bad["state"], "halted", "{bad}");
    assert_eq!(
        (&bad["open_waves"], &bad["counts"]["failed"]),
        (&json!(1), &json!(2)),
        "{bad}"
    );
    assert_eq!(bad["counts"]["succeeded"], 0, "{bad}");
    let path = format!(
        "/rollouts/{}/devices?state=failed",
        bad["id"].as_str().unwrap()
    );
    let (_, failed) = server.ask("GET", &path, &token, None).await;
    for board in failed["data"].as_array().unwrap() {
        assert_eq!(board["update"]["state"], "rolled_back", "{board}");
        assert!(board["update"]["reason"].is_string(), "{board}");
    }
    assert_eq!(running(&server, &token, "1.2.0").await, 0);
    assert_eq!(running(&server, &token, "1.1.0").await, 11);
    assert!(server.stop());
}
