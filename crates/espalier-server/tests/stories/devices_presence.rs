//! Whether boards are there: online at once, offline after three missed reports, and no flood about it.

use espalier_server::{App, AppState, devices, identity};
use espalier_testkit::{Person, story};
use serde_json::{Map, Value, json};
use std::sync::Arc;

fn device(app: &App, id: &str) -> Arc<devices::Device> {
    app.devices.resolve(id).expect("the device is known")
}

async fn tick(app: &AppState) {
    devices::tick(app).await.expect("a tick");
}

/// The kinds of a device's events that say whether it is there, oldest first.
async fn comings(person: &Person, id: &str) -> Vec<String> {
    let events = person
        .client
        .get(&format!("/devices/{id}/events?limit=500"))
        .await
        .expect(200);
    let kinds = events
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|e| e["kind"].as_str().unwrap().to_owned());
    kinds
        .filter(|kind| kind == "online" || kind == "offline")
        .collect()
}

async fn status(person: &Person, id: &str) -> String {
    let device = person
        .client
        .get(&format!("/devices/{id}"))
        .await
        .expect(200);
    assert_eq!(device["online"], device["status"] == "online");
    device["status"].as_str().unwrap().to_owned()
}

story!(
    a_board_is_online_until_three_reports_are_missing,
    |app| async move {
        let ada = app.person("ada").await;
        let made = ada
            .client
            .post("/devices", json!({ "expected_interval_seconds": 100 }))
            .await
            .expect(200);
        let id = made["id"].as_str().unwrap();
        let board = device(&app.app, id);
        assert_eq!(status(&ada, id).await, "offline");
        devices::seen(&app.app, &board);
        assert_eq!(status(&ada, id).await, "online");
        tick(&app.app).await;
        app.clock.advance(299_999);
        tick(&app.app).await;
        assert_eq!(status(&ada, id).await, "online");
        devices::seen(&app.app, &board);
        app.clock.advance(299_999);
        tick(&app.app).await;
        assert_eq!(status(&ada, id).await, "online");
        app.clock.advance(1);
        tick(&app.app).await;
        assert_eq!(status(&ada, id).await, "offline");
        assert_eq!(comings(&ada, id).await, ["online", "offline"]);
        // An interval that is made longer counts from now on.
        devices::seen(&app.app, &board);
        ada.client
            .patch(
                &format!("/devices/{id}"),
                json!({ "expected_interval_seconds": 1000 }),
            )
            .await
            .expect(200);
        app.clock.advance(300_000);
        tick(&app.app).await;
        assert_eq!(status(&ada, id).await, "online");
        ada.client
            .patch(
                &format!("/devices/{id}"),
                json!({ "expected_interval_seconds": 10 }),
            )
            .await
            .expect(200);
        app.clock.advance(30_000);
        tick(&app.app).await;
        assert_eq!(status(&ada, id).await, "offline");
    }
);

story!(
    a_board_without_interval_has_the_default_patience,
    |app| async move {
        let ada = app.person("ada").await;
        let (id, _) = ada.device("plain").await;
        devices::seen(&app.app, &device(&app.app, &id));
        let patience = app.app.config.offline_after_ms();
        app.clock.advance(patience - 1);
        tick(&app.app).await;
        assert_eq!(status(&ada, &id).await, "online");
        app.clock.advance(1);
        tick(&app.app).await;
        assert_eq!(status(&ada, &id).await, "offline");
    }
);

story!(
    a_flapping_board_is_a_list_of_events_and_not_a_flood,
    |app| async move {
        let ada = app.person("ada").await;
        let made = ada
            .client
            .post("/devices", json!({ "expected_interval_seconds": 1 }))
            .await
            .expect(200);
        let id = made["id"].as_str().unwrap();
        let board = device(&app.app, id);
        for _ in 0..20 {
            devices::seen(&app.app, &board);
            tick(&app.app).await;
            app.clock.advance(3_000);
            tick(&app.app).await;
        }
        assert_eq!(comings(&ada, id).await.len(), 40);
        assert_eq!(app.app.devices.notifications(), 1);
        // It stays away: that is told when the cooldown is over, once.
        app.clock.advance(5 * 60_000);
        tick(&app.app).await;
        tick(&app.app).await;
        assert_eq!(app.app.devices.notifications(), 2);
    }
);

story!(
    a_restart_announces_nobody_falsely_and_keeps_everything,
    |app| async move {
        let mut app = app;
        let ada = app.person("ada").await;
        let bob = app.person("bob").await;
        let made = ada
        .client
        .post("/devices", json!({ "name": "kept", "kind": "plug", "location": "attic", "tags": ["a"], "groups": ["g"],
            "aliases": ["kept_1"], "expected_interval_seconds": 100 }))
        .await
        .expect(200);
        let id = made["id"].as_str().unwrap();
        ada.client
            .put(
                &format!("/devices/{id}/shares/bob"),
                json!({ "role": "member" }),
            )
            .await
            .expect(200);
        devices::seen(&app.app, &device(&app.app, id));
        // The event of its coming is written behind: this waits until it is.
        tick(&app.app).await;
        let before = ada.client.get(&format!("/devices/{id}")).await.expect(200);
        let events = ada
            .client
            .get(&format!("/devices/{id}/events"))
            .await
            .expect(200);
        app.restart().await;
        // The server was away for longer than the board's patience.
        app.clock.advance(299_999);
        tick(&app.app).await;
        let as_ada = app.anonymous().bearer(&ada.token);
        let as_bob = app.anonymous().bearer(&bob.token);
        let board = app
            .anonymous()
            .bearer(made["device_token"].as_str().unwrap());
        assert_eq!(as_ada.get("/devices/kept_1").await.expect(200), before);
        assert_eq!(
            as_bob.get("/devices/kept_1").await.expect(200)["role"],
            "member"
        );
        assert_eq!(
            board.get("/devices/kept_1").await.expect(200)["role"],
            "device"
        );
        assert_eq!(
            as_ada
                .get(&format!("/devices/{id}/events"))
                .await
                .expect(200),
            events
        );
        app.clock.advance(1);
        tick(&app.app).await;
        assert_eq!(
            as_ada.get("/devices/kept_1").await.expect(200)["status"],
            "offline"
        );
    }
);

story!(
    a_status_set_by_hand_counts_only_for_own_devices,
    |app| async move {
        let (ada, bob) = (app.person("ada").await, app.person("bob").await);
        let (mine, _) = ada.device("mine").await;
        let (his, _) = bob.device("his").await;
        let body = json!({ "device_ids": [mine, mine, his, "nothing"], "status": "online" });
        let answer = ada
            .client
            .patch("/devices/bulk/status", body)
            .await
            .expect(200);
        assert_eq!(answer["modified_count"], 1);
        assert!(answer["message"].is_string());
        assert_eq!(status(&ada, &mine).await, "online");
        assert_eq!(status(&bob, &his).await, "offline");
        let events = ada
            .client
            .get(&format!("/devices/{mine}/events?kind=status_set"))
            .await
            .expect(200);
        assert_eq!(
            events[0]["detail"],
            json!({ "status": "online", "by": "ada" })
        );
        // Nothing is heard of it: silence overrides.
        app.clock.advance(app.app.config.offline_after_ms());
        tick(&app.app).await;
        assert_eq!(status(&ada, &mine).await, "offline");
        ada.client
            .patch(
                "/devices/bulk/status",
                json!({ "device_ids": [mine], "status": "asleep" }),
            )
            .await
            .expect(422);
        ada.client
            .patch(
                "/devices/bulk/status",
                json!({ "device_ids": [], "status": "online" }),
            )
            .await
            .expect(422);
    }
);

fn data(key: &str, value: f64) -> Map<String, Value> {
    Map::from_iter([(key.to_owned(), json!(value))])
}

story!(
    a_low_battery_is_told_once_an_hour_at_most,
    |app| async move {
        let ada = app.person("ada").await;
        let (id, _) = ada.device("plant").await;
        let board = device(&app.app, &id);
        let battery = |value| devices::observe(&app.app, &board, &data("battery", value));
        for value in [10.0, 9.9, 9.0, 12.0, 8.0, 15.0, 9.0] {
            battery(value);
        }
        devices::observe(&app.app, &board, &data("temperature", 70.0));
        tick(&app.app).await;
        assert_eq!(app.app.devices.notifications(), 1);
        devices::observe(&app.app, &board, &data("temperature", 70.5));
        tick(&app.app).await;
        assert_eq!(app.app.devices.notifications(), 2);
        // Back to normal within the hour, low again after it.
        app.clock.advance(60 * 60_000);
        battery(9.0);
        battery(8.0);
        tick(&app.app).await;
        assert_eq!(app.app.devices.notifications(), 3);
        // The access token of an hour ago has expired.
        let token = identity::open_session(&app.app, ada.account).await.unwrap();
        let ada = app.anonymous().bearer(&token);
        let events = ada
            .get(&format!("/devices/{id}/events?kind=low_battery"))
            .await
            .expect(200);
        assert_eq!(events.as_array().unwrap().len(), 2);
    }
);

story!(events_are_bounded_and_paged, |app| async move {
    let ada = app.person("ada").await;
    let (id, _) = ada.device("busy").await;
    let board = device(&app.app, &id);
    for n in 0..2500 {
        devices::record_event(&app.app, &board, "command", json!({ "n": n }))
            .await
            .unwrap();
    }
    let path = format!("/devices/{id}/events");
    let mut before = i64::MAX;
    let mut seen = Vec::new();
    loop {
        let page = ada
            .client
            .get(&format!("{path}?limit=400&before={before}"))
            .await
            .expect(200);
        let page = page.as_array().unwrap();
        let Some(last) = page.last() else { break };
        before = last["id"].as_i64().unwrap();
        seen.extend(
            page.iter()
                .map(|event| event["detail"]["n"].as_i64().unwrap()),
        );
    }
    assert!(
        (1000..1000 + 64).contains(&seen.len()),
        "{} are kept",
        seen.len()
    );
    let newest_first: Vec<i64> = (0..2500).rev().take(seen.len()).collect();
    assert_eq!(seen, newest_first);
    ada.client.get(&format!("{path}?limit=0")).await.expect(422);
});
