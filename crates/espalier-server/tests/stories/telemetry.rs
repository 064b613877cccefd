//! What boards post and poll, over HTTP, as existing firmware does it.

use espalier_testkit::{START_MS, story};
use serde_json::json;

story!(a_post_is_answered_with_the_merged_state, |app| async move {
    let ada = app.person("ada").await;
    let (device, token) = ada.device("balcony").await;
    let path = format!("/devices/{device}/telemetry");
    let first = json!({"device_token": token, "data": {"temperature": 21.5, "v0": 0, "ok": true}});
    let answer = app.anonymous().post(&path, first).await.expect(200);
    assert_eq!(
        answer,
        json!({
            "message": "ok", "device_id": device,
            "data": {"ok": true, "temperature": 21.5, "v0": 0},
            "timestamp": "2026-03-01T12:00:00.000Z",
        })
    );
    app.clock.advance(1000);
    let second = json!({"device_token": token, "data": {"humidity": 40}});
    let answer = app.anonymous().post(&path, second).await.expect(200);
    assert_eq!(
        answer["data"],
        json!({"humidity": 40, "ok": true, "temperature": 21.5, "v0": 0})
    );
    assert_eq!(answer["timestamp"], "2026-03-01T12:00:01.000Z");
    let poll = format!("/telemetry/latest?device_token={token}");
    let latest = app.anonymous().get(&poll).await.expect(200);
    assert_eq!(latest["data"], answer["data"]);
    assert_eq!(latest["timestamp"], answer["timestamp"]);
    assert_eq!(latest["time"], START_MS + 1000);
});
