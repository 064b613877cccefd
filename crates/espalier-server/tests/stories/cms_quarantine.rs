//! Boards that nobody has claimed: they wait, say what they are, are told nothing, and cost nothing.

use crate::cms_devices::{claimed, lan, sketch};
use espalier_model::Role;
use espalier_server::config::LegacyBoards;
use espalier_testkit::{Client, Person, TestApp, story};
use serde_json::{Value, json};

const ID: &str = "ESP32_OTA_BASE_001";
const BEAT: &str = "/api/devices/ESP32_OTA_BASE_001/heartbeat";
const A: &str = "24:6F:28:00:00:0A";
const B: &str = "24:6F:28:00:00:0B";

async fn waiting(person: &Person) -> Vec<Value> {
    let list = person.client.get("/quarantine").await.expect(200);
    list.as_array().unwrap().clone()
}

fn hello(id: &str) -> Value {
    json!({
        "device_id": id, "device_name": "Désk 机 🤖", "occupation": "Nurse", "device_type": "ESP32_DevKit_V1",
        "wifi_ssid": "ward", "nickname": "Night desk", "firmware_version": "2.4.1", "capabilities": "dashboard",
        "preferences": { "news": ["tech_news"] },
    })
}

async fn beat(board: &Client, uptime: u64) -> u16 {
    board.post(BEAT, json!({ "uptime": uptime })).await.status
}

async fn uptime(person: &Person, id: &str) -> Value {
    let shown = person.client.get(&format!("/api/devices/{id}")).await;
    shown.expect(200)["uptime_seconds"].clone()
}

fn entry(list: &[Value], address: &str) -> String {
    let found = list.iter().find(|w| w["address"] == address);
    found.expect("it waits")["id"].as_str().unwrap().to_owned()
}

async fn claim(person: &Person, entry: &str, wish: Value) -> espalier_testkit::Answer {
    person
        .client
        .post(&format!("/quarantine/{entry}/claim"), wish)
        .await
}

story!(
    an_unknown_board_waits_until_an_admin_claims_it,
    |app| async move {
        let app = lan(&app).await;
        let root = app.person_with("root", Role::Admin).await;
        let board = sketch(&app, "192.168.1.20");
        let answer = board
            .post("/api/devices/register", hello(ID))
            .await
            .expect(200);
        assert_eq!(answer["success"], true);
        assert_eq!(beat(&board, 30).await, 200);
        // Nothing exists because of it.
        assert_eq!(app.app.devices.count(), 0);
        root.client
            .get(&format!("/api/devices/{ID}"))
            .await
            .expect(404);

        let list = waiting(&root).await;
        assert_eq!(list.len(), 1);
        for (key, value) in [
            ("device_id", json!(ID)),
            ("device_name", json!("Désk 机 🤖")),
            ("occupation", json!("Nurse")),
            ("wifi_ssid", json!("ward")),
            ("firmware_version", json!("2.4.1")),
            ("uptime_seconds", json!(30)),
            ("address", json!("192.168.1.20")),
            ("requests", json!(2)),
            ("collision", json!(false)),
            ("devices", json!([])),
        ] {
            assert_eq!(list[0][key], value, "{key}");
        }
        let device = claim(
            &root,
            &entry(&list, "192.168.1.20"),
            json!({ "open": true }),
        )
        .await
        .expect(200);
        assert_eq!(device["device_token"].as_str().unwrap().len(), 32);
        assert_eq!(
            (&device["name"], &device["kind"]),
            (&json!("Night desk"), &json!("ESP32_DevKit_V1"))
        );
        assert_eq!(
            (&device["aliases"], &device["user_id"]),
            (&json!([ID]), &json!(root.account.to_string()))
        );
        assert_eq!(device["facts"]["firmware_version"], "2.4.1");
        assert!(waiting(&root).await.is_empty());
        let legacy = root
            .client
            .get(&format!("/devices/{ID}/legacy"))
            .await
            .expect(200);
        assert_eq!(
            (&legacy["occupation"], &legacy["wifi_ssid"]),
            (&json!("Nurse"), &json!("ward"))
        );
        assert_eq!(
            (&legacy["open"], &legacy["address"]),
            (&json!(true), &json!("192.168.1.20"))
        );
        // Now it counts.
        assert_eq!(beat(&board, 60).await, 200);
        assert_eq!(uptime(&root, ID).await, 60);
        assert!(waiting(&root).await.is_empty());
    }
);

story!(
    what_is_known_survives_a_restart_and_who_waits_comes_again,
    |app| async move {
        let mut app = lan(&app).await;
        let root = app.person_with("root", Role::Admin).await;
        let board = sketch(&app, "192.168.1.20");
        claimed(&root, &board, ID).await;
        let rude = sketch(&app, "192.168.1.66");
        assert_eq!(beat(&rude, 1).await, 200);
        let id = entry(&waiting(&root).await, "192.168.1.66");
        root.client
            .post(&format!("/quarantine/{id}/block"), json!({}))
            .await
            .expect(200);
        app.restart().await;
        let again = app.anonymous().bearer(&root.token);
        assert_eq!(again.get("/quarantine").await.expect(200), json!([]));
        assert_eq!(beat(&sketch(&app, "192.168.1.20"), 77).await, 200);
        let shown = again.get(&format!("/api/devices/{ID}")).await.expect(200);
        assert_eq!(shown["uptime_seconds"], 77);
        assert_eq!(beat(&sketch(&app, "192.168.1.66"), 1).await, 401);
        assert_eq!(again.get("/quarantine").await.expect(200), json!([]));
    }
);

story!(only_admins_see_who_waits, |app| async move {
    let app = lan(&app).await;
    let root = app.person_with("root", Role::Admin).await;
    let ada = app.person("ada").await;
    let board = sketch(&app, "192.168.1.20");
    assert_eq!(beat(&board, 1).await, 200);
    let id = entry(&waiting(&root).await, "192.168.1.20");
    for client in [&ada.client, &sketch(&app, "192.168.1.20")] {
        let refused = |status: u16| assert!(matches!(status, 401 | 403), "{status}");
        refused(client.get("/quarantine").await.status);
        refused(client.get("/quarantine/blocked").await.status);
        refused(
            client
                .post(&format!("/quarantine/{id}/claim"), json!({}))
                .await
                .status,
        );
        refused(
            client
                .post(&format!("/quarantine/{id}/block"), json!({}))
                .await
                .status,
        );
        refused(client.delete(&format!("/quarantine/{id}")).await.status);
        refused(
            client
                .delete(&format!("/quarantine/blocked/{id}"))
                .await
                .status,
        );
    }
    assert_eq!(waiting(&root).await.len(), 1);
});

story!(two_boards_with_one_id_are_kept_apart, |app| async move {
    let app = lan(&app).await;
    let root = app.person_with("root", Role::Admin).await;
    let (first, second) = (sketch(&app, "192.168.1.20"), sketch(&app, "192.168.1.21"));
    claimed(&root, &first, ID).await;
    assert_eq!(beat(&first, 10).await, 200);
    assert_eq!(beat(&second, 999).await, 200);
    assert_eq!(
        uptime(&root, ID).await,
        10,
        "the second board's values are not the first one's"
    );
    let list = waiting(&root).await;
    assert_eq!(
        (&list[0]["collision"], &list[0]["devices"][0]["name"]),
        (&json!(true), &json!(format!("Claimed {ID}")))
    );
    // It becomes a device of its own; the id as an alias stays the first one's.
    let wish = json!({ "open": true, "name": "Twin" });
    let twin = claim(&root, &entry(&list, "192.168.1.21"), wish)
        .await
        .expect(200);
    assert_eq!(twin["aliases"], json!([]));
    assert_eq!(beat(&second, 20).await, 200);
    assert_eq!(beat(&first, 11).await, 200);
    assert_eq!(uptime(&root, twin["id"].as_str().unwrap()).await, 20);
    assert_eq!(uptime(&root, ID).await, 11);

    // Two behind one address are told apart by their MAC only, and without one neither is believed.
    let shared = sketch(&app, "192.168.1.30");
    let (a, b) = (
        shared.header("x-ESP32-STA-MAC", A),
        shared.header("x-ESP32-STA-MAC", B),
    );
    assert_eq!((beat(&a, 1).await, beat(&b, 2).await), (200, 200));
    let list = waiting(&root).await;
    let of = |mac: &str| {
        list.iter().find(|w| w["mac"] == mac).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let a_device = claim(&root, &of(A), json!({ "open": true }))
        .await
        .expect(200);
    claim(&root, &of(B), json!({ "open": true }))
        .await
        .expect(200);
    assert_eq!(beat(&shared, 500).await, 200);
    assert_eq!(beat(&a, 31).await, 200);
    assert_eq!(uptime(&root, a_device["id"].as_str().unwrap()).await, 31);
    let list = waiting(&root).await;
    let refused = claim(
        &root,
        &entry(&list, "192.168.1.30"),
        json!({ "open": true }),
    )
    .await;
    assert_eq!(refused.expect(409)["code"], "same_station");
    assert_eq!(waiting(&root).await.len(), 1, "it waits on");
});

story!(
    a_board_that_got_another_address_is_found_again,
    |app| async move {
        let app = lan(&app).await;
        let root = app.person_with("root", Role::Admin).await;
        let old = sketch(&app, "192.168.1.20");
        let device = claimed(&root, &old, ID).await;
        // Its MAC comes with an update's request, is learnt, and then followed.
        assert_eq!(beat(&old.header("x-ESP32-STA-MAC", A), 1).await, 200);
        let new = sketch(&app, "192.168.1.99");
        // While it is heard where it was, whoever shows its MAC elsewhere takes nothing from it.
        assert_eq!(beat(&new.header("x-ESP32-STA-MAC", A), 1).await, 200);
        assert_eq!(beat(&old, 2).await, 200);
        assert_eq!(uptime(&root, ID).await, 2);
        app.clock.advance(120_000);
        assert_eq!(beat(&new.header("x-ESP32-STA-MAC", A), 2).await, 200);
        assert_eq!(beat(&new, 3).await, 200);
        assert_eq!(uptime(&root, ID).await, 3);
        // Another MAC at the address is another board.
        assert_eq!(beat(&new.header("x-ESP32-STA-MAC", B), 444).await, 200);
        assert_eq!(uptime(&root, ID).await, 3);
        // A move that the server cannot know of is said by a person.
        let third = sketch(&app, "192.168.1.50");
        assert_eq!(beat(&third, 4).await, 200);
        let list = waiting(&root).await;
        let wish = json!({ "open": true, "device": device["id"] });
        let same = claim(&root, &entry(&list, "192.168.1.50"), wish)
            .await
            .expect(200);
        assert_eq!(
            (&same["id"], &same["device_token"]),
            (&device["id"], &json!("***"))
        );
        assert_eq!(beat(&third, 5).await, 200);
        assert_eq!(uptime(&root, ID).await, 5);
        assert_eq!(beat(&new, 6).await, 200);
        assert_eq!(
            uptime(&root, ID).await,
            5,
            "the old address speaks for it no more"
        );
    }
);

story!(an_owner_opens_and_closes_a_device, |app| async move {
    let app = lan(&app).await;
    // Of which board it is, only an admin says.
    let ada = app.person_with("ada", Role::Admin).await;
    let eve = app.person("eve").await;
    ada.client
        .post("/devices", json!({ "name": "Mine", "alias": ID }))
        .await
        .expect(200);
    let path = format!("/devices/{ID}/legacy");
    let board = sketch(&app, "192.168.1.20");
    let shown = ada.client.get(&path).await.expect(200);
    assert_eq!(
        (&shown["open"], &shown["legacy_id"]),
        (&json!(false), &json!(ID))
    );
    assert_eq!(beat(&board, 1).await, 200);
    assert_eq!(uptime(&ada, ID).await, Value::Null, "closed by default");

    eve.client
        .put(&path, json!({ "open": true }))
        .await
        .expect(404);
    for wrong in [
        json!({ "open": true, "address": "here" }),
        json!({ "open": true, "mac": "x" }),
        json!({ "open": true, "legacy_id": "" }),
        json!({}),
    ] {
        ada.client.put(&path, wrong).await.expect(422);
    }
    let anywhere = ada
        .client
        .put(&path, json!({ "open": true }))
        .await
        .expect(200);
    assert_eq!(anywhere["address"], Value::Null);
    assert_eq!(beat(&board, 2).await, 200);
    assert_eq!(uptime(&ada, ID).await, 2);
    let pinned = json!({ "open": true, "address": "192.168.1.20", "mac": A.to_lowercase() });
    assert_eq!(ada.client.put(&path, pinned).await.expect(200)["mac"], A);
    assert_eq!(beat(&sketch(&app, "192.168.1.21"), 3).await, 200);
    assert_eq!(uptime(&ada, ID).await, 2);
    ada.client
        .post(&format!("/api/devices/{ID}/unlink"), json!({}))
        .await
        .expect(200);
    assert_eq!(beat(&board, 4).await, 200);
    assert_eq!(uptime(&ada, ID).await, 2, "unlinked");
});

story!(a_board_is_sent_away_or_blocked, |app| async move {
    let app = lan(&app).await;
    let root = app.person_with("root", Role::Admin).await;
    let board = sketch(&app, "192.168.1.20");
    assert_eq!(beat(&board, 1).await, 200);
    let path = |id: &str| format!("/quarantine/{id}");
    let id = entry(&waiting(&root).await, "192.168.1.20");
    root.client.delete(&path(&id)).await.expect(200);
    root.client.delete(&path(&id)).await.expect(404);
    claim(&root, &id, json!({})).await.expect(404);
    assert!(waiting(&root).await.is_empty());
    assert_eq!(beat(&board, 2).await, 200);
    let id = entry(&waiting(&root).await, "192.168.1.20");
    let block = root
        .client
        .post(&format!("/quarantine/{id}/block"), json!({}))
        .await
        .expect(200);
    assert_eq!(beat(&board, 3).await, 401);
    assert_eq!(
        beat(&sketch(&app, "192.168.1.21"), 3).await,
        200,
        "another board with the id is not blocked"
    );
    let list = root.client.get("/quarantine/blocked").await.expect(200);
    assert_eq!(
        (&list[0]["device_id"], &list[0]["blocked_by"]),
        (&json!(ID), &json!("root"))
    );
    let path = format!("/quarantine/blocked/{}", block["id"].as_str().unwrap());
    root.client.delete(&path).await.expect(200);
    root.client.delete(&path).await.expect(404);
    assert_eq!(beat(&board, 4).await, 200);
});

story!(
    a_flood_of_boards_is_bounded_and_costs_the_honest_nothing,
    |app| async move {
        let app = lan(&app).await;
        let root = app.person_with("root", Role::Admin).await;
        let honest = sketch(&app, "192.168.1.20");
        assert_eq!(beat(&honest, 1).await, 200);
        let flood = sketch(&app, "192.168.1.66");
        for n in 0..120 {
            let id = format!("FLOOD_{n}_{}", "x".repeat(230));
            let body = json!({
                "device_id": id, "device_name": "😀".repeat(5000), "occupation": "\u{202e}\u{0}<script>", "device_type": "y".repeat(9999),
                "preferences": { "jokes": vec!["z".repeat(100); 1000] },
            });
            flood.post("/api/devices/register", body).await.expect(200);
        }
        let list = waiting(&root).await;
        assert_eq!(list.len(), 51);
        assert!(list.iter().any(|w| w["address"] == "192.168.1.20"));
        let longest = list.iter().map(|w| {
            w["device_name"]
                .as_str()
                .unwrap_or_default()
                .chars()
                .count()
        });
        assert_eq!(longest.max(), Some(100));
        assert_eq!(app.app.devices.count(), 0);
        // One with an id that no alias could be becomes a device all the same.
        let id = entry(&list, "192.168.1.66");
        let made = claim(&root, &id, json!({ "open": true })).await.expect(200);
        assert_eq!(made["aliases"], json!([]));
        assert_eq!(made["name"].as_str().unwrap().chars().count(), 100);
    }
);

story!(
    an_address_that_asks_too_often_is_held_back,
    |app| async move {
        let few = |config: &mut espalier_server::Config| config.rate_limit_requests = 5;
        let app = TestApp::with(app.engine(), few).await;
        let board = app.anonymous();
        let mut answers = Vec::new();
        for n in 0..7 {
            answers.push(beat(&board, n).await);
        }
        assert_eq!(answers, [200, 200, 200, 200, 200, 429, 429]);
    }
);

story!(where_boards_are_heard_is_a_setting, |app| async move {
    let with = |setting| {
        let engine = app.engine();
        TestApp::with(engine, move |config| {
            config.legacy_boards = setting;
            config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        })
    };
    let near = "192.168.1.20";
    for (setting, from_near, from_far) in [
        (LegacyBoards::Lan, 200, 401),
        (LegacyBoards::On, 200, 200),
        (LegacyBoards::Off, 401, 401),
    ] {
        let app = with(setting).await;
        assert_eq!(beat(&sketch(&app, near), 1).await, from_near, "{setting:?}");
        assert_eq!(
            beat(&sketch(&app, "8.8.8.8"), 1).await,
            from_far,
            "{setting:?}"
        );
        // A page in somebody's browser is no board.
        let page = sketch(&app, near).header("origin", "http://evil.example");
        assert_eq!(beat(&page, 1).await, 401, "{setting:?}");
    }
    // Behind a proxy that the operator did not name nobody knows where a request comes from.
    let blind = TestApp::new(app.engine()).await;
    assert_eq!(beat(&blind.anonymous(), 1).await, 200);
    assert_eq!(beat(&sketch(&blind, "192.168.1.20"), 1).await, 401);
});
