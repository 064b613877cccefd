//! Devices: create, list, find, delete; two people never see each other's.

use espalier_testkit::story;
use serde_json::{Value, json};

story!(a_device_shows_its_token_once, |app| async move {
    let ada = app.person("ada").await;
    let made = ada
        .client
        .post(
            "/devices",
            json!({ "name": "  Balcony  ", "kind": "weather", "tags": ["out", "out"],
            "group": "home", "alias": "bot_001", "expected_interval_seconds": 30 }),
        )
        .await
        .expect(200);
    let token = made["device_token"].as_str().unwrap();
    assert_eq!(token.len(), 32);
    assert_eq!(made["name"], "Balcony");
    assert_eq!(made["_id"], made["id"]);
    assert_eq!(made["id"].as_str().unwrap().len(), 24);
    assert_eq!(made["tags"], json!(["out"]));
    assert_eq!(made["groups"], json!(["home"]));
    assert_eq!(made["aliases"], json!(["bot_001"]));
    assert_eq!(made["user_id"], ada.account.to_string());
    assert_eq!(
        (&made["status"], &made["online"]),
        (&json!("offline"), &json!(false))
    );
    assert_eq!(made["last_active"], Value::Null);

    let list = ada.client.get("/devices").await;
    assert_eq!(list.headers["x-total-count"], "1");
    let list = list.expect(200);
    assert_eq!(list[0]["device_token"], "***");
    assert_eq!(list[0]["role"], "owner");
    assert!(!list.to_string().contains(token));
    let one = ada.client.get("/devices/bot_001").await.expect(200);
    assert_eq!(one["id"], made["id"]);
    let own = app.anonymous().bearer(token).get("/devices/bot_001").await;
    assert_eq!(own.expect(200)["role"], "device");
});

story!(two_people_never_see_each_others_devices, |app| async move {
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let (adas, _) = ada.device("hers").await;
    let (bobs, bobs_token) = bob.device("his").await;
    let list = ada.client.get("/devices").await.expect(200);
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["id"], adas);
    for path in [format!("/devices/{bobs}")] {
        ada.client.get(&path).await.expect(404);
        ada.client.delete(&path).await.expect(404);
    }
    let board = app.anonymous().bearer(&bobs_token);
    board.get(&format!("/devices/{adas}")).await.expect(404);
    board.get("/devices").await.expect(403);
    app.anonymous().get("/devices").await.expect(401);
    bob.client
        .get(&format!("/devices/{bobs}"))
        .await
        .expect(200);
});

story!(a_deleted_device_is_gone, |app| async move {
    let ada = app.person("ada").await;
    let (id, token) = ada.device("balcony").await;
    let answer = ada
        .client
        .delete(&format!("/devices/{id}"))
        .await
        .expect(200);
    assert_eq!(answer, json!({ "message": "Device deleted" }));
    ada.client
        .delete(&format!("/devices/{id}"))
        .await
        .expect(404);
    let wrong = ada.client.delete("/devices/nonsense").await.expect(400);
    assert_eq!(wrong["detail"], "Invalid device ID");
    app.anonymous()
        .bearer(&token)
        .get(&format!("/devices/{id}"))
        .await
        .expect(401);
    assert_eq!(ada.client.get("/devices").await.expect(200), json!([]));
});

story!(devices_are_found_and_paged, |app| async move {
    let ada = app.person("ada").await;
    for (name, kind, tag) in [
        ("Alpha", "plug", "x"),
        ("beta", "plug", "y"),
        ("Gamma", "weather", "x"),
    ] {
        let body =
            json!({ "name": name, "kind": kind, "tags": [tag], "group": format!("g-{tag}") });
        ada.client.post("/devices", body).await.expect(200);
        app.clock.advance(1);
    }
    let find = async |query: &str| -> (String, Vec<String>) {
        let answer = ada.client.get(&format!("/devices?{query}")).await;
        let list = answer.expect(200);
        let names = list
            .as_array()
            .unwrap()
            .iter()
            .map(|d| d["name"].as_str().unwrap().to_owned());
        (
            answer.headers["x-total-count"].to_str().unwrap().to_owned(),
            names.collect(),
        )
    };
    let is = |total: &str, names: &[&str]| {
        (
            total.to_owned(),
            names.iter().map(|n| n.to_string()).collect(),
        )
    };
    assert_eq!(find("").await, is("3", &["Alpha", "beta", "Gamma"]));
    assert_eq!(find("q=ALP").await, is("1", &["Alpha"]));
    assert_eq!(find("kind=plug").await, is("2", &["Alpha", "beta"]));
    assert_eq!(find("tag=x&group=g-x").await, is("2", &["Alpha", "Gamma"]));
    assert_eq!(find("status=online").await, is("0", &[]));
    assert_eq!(find("limit=1&offset=1").await, is("3", &["beta"]));
    assert_eq!(find("offset=9").await, is("3", &[]));
    ada.client.get("/devices?limit=0").await.expect(422);
    ada.client.get("/devices?status=asleep").await.expect(422);
    let groups = ada.client.get("/groups").await.expect(200);
    assert_eq!(
        groups[0],
        json!({ "name": "g-x", "device_count": 2, "online_count": 0 })
    );
    assert_eq!(groups.as_array().unwrap().len(), 2);
});

story!(a_device_is_renamed_and_labelled, |app| async move {
    let ada = app.person("ada").await;
    let (id, _) = ada.device("old").await;
    let (other, _) = ada.device("other").await;
    let path = format!("/devices/{id}");
    let patch = json!({ "name": " new ", "kind": "relay", "location": "Shed", "tags": ["b", "a"], "groups": ["g"],
        "aliases": ["ABCD1234", "bot_1"], "expected_interval_seconds": 60 });
    let device = ada.client.patch(&path, patch).await.expect(200);
    assert_eq!(device["name"], "new");
    assert_eq!(device["location"], "Shed");
    assert_eq!(device["tags"], json!(["b", "a"]));
    assert_eq!(device["expected_interval_seconds"], 60);
    assert_eq!(
        ada.client.get("/devices/ABCD1234").await.expect(200),
        device
    );

    let taken = ada
        .client
        .patch(
            &format!("/devices/{other}"),
            json!({ "name": "lost", "aliases": ["free", "bot_1"] }),
        )
        .await;
    assert_eq!(taken.expect(409)["code"], "alias_taken");
    // Nothing of a refused change is kept.
    assert_eq!(
        ada.client
            .get(&format!("/devices/{other}"))
            .await
            .expect(200)["name"],
        "other"
    );
    ada.client.get("/devices/free").await.expect(404);

    let patch =
        json!({ "kind": null, "location": null, "expected_interval_seconds": null, "aliases": [] });
    let device = ada.client.patch(&path, patch).await.expect(200);
    assert_eq!(
        (&device["kind"], &device["location"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(device["expected_interval_seconds"], Value::Null);
    ada.client.get("/devices/bot_1").await.expect(404);
    ada.client
        .patch(
            &format!("/devices/{other}"),
            json!({ "aliases": ["bot_1"] }),
        )
        .await
        .expect(200);
    let events = ada
        .client
        .get(&format!("{path}/events?kind=renamed"))
        .await
        .expect(200);
    assert_eq!(events[0]["detail"]["name"], "new");
});

story!(wrong_devices_are_refused_with_a_reason, |app| async move {
    let ada = app.person("ada").await;
    let (id, _) = ada.device("there").await;
    let wrong = [
        json!({ "name": "x".repeat(101) }),
        json!({ "name": "a\u{0}b" }),
        json!({ "name": 5 }),
        json!({ "tags": ["x".repeat(51)] }),
        json!({ "tags": (0..33).map(|n| n.to_string()).collect::<Vec<_>>() }),
        json!({ "tags": [" "] }),
        json!({ "aliases": ["has space"] }),
        json!({ "aliases": ["0123456789abcdef01234567"] }),
        json!({ "aliases": (0..17).map(|n| format!("a{n}")).collect::<Vec<_>>() }),
        json!({ "expected_interval_seconds": 0 }),
        json!({ "expected_interval_seconds": -1 }),
        json!({ "expected_interval_seconds": 1e300 }),
        json!({ "kind": "k".repeat(51) }),
        json!([]),
    ];
    for body in wrong {
        for answer in [
            ada.client.post("/devices", body.clone()).await,
            ada.client
                .patch(&format!("/devices/{id}"), body.clone())
                .await,
        ] {
            let problem = answer.expect(422);
            assert!(problem["detail"][0]["msg"].is_string(), "{problem}");
        }
    }
    ada.client
        .patch(&format!("/devices/{id}"), json!({ "name": " " }))
        .await
        .expect(422);
    assert_eq!(
        ada.client
            .post("/devices", json!({ "name": " " }))
            .await
            .expect(200)["name"],
        "My Device"
    );
    assert_eq!(
        ada.client.post("/devices", json!({})).await.expect(200)["name"],
        "My Device"
    );
    ada.client
        .post("/devices", json!({ "product_id": "x" }))
        .await
        .expect(422);
});

story!(
    many_devices_are_changed_and_deleted_in_one_request,
    |app| async move {
        let (ada, bob) = (app.person("ada").await, app.person("bob").await);
        let (one, _) = ada.device("one").await;
        let (two, _) = ada.device("two").await;
        let (his, _) = bob.device("his").await;
        let run = async |action: Value| {
            let body = json!({ "device_ids": [one, his, two], "action": action });
            let answer = ada.client.post("/devices/bulk", body).await.expect(200);
            let results = answer["results"].as_array().unwrap().clone();
            assert_eq!(results[1]["status"], 404);
            assert_eq!(results[1]["device_id"], his);
            assert!(results[1]["error"].is_string());
            answer["done"].as_u64().unwrap()
        };
        assert_eq!(
            run(json!({ "add_tags": ["a", "b"], "set_group": "g" })).await,
            2
        );
        assert_eq!(run(json!({ "remove_tags": ["a"] })).await, 2);
        let device = ada.client.get(&format!("/devices/{one}")).await.expect(200);
        assert_eq!(
            (&device["tags"], &device["groups"]),
            (&json!(["b"]), &json!(["g"]))
        );
        assert_eq!(run(json!({ "set_group": null })).await, 2);
        assert_eq!(ada.client.get("/groups").await.expect(200), json!([]));
        assert_eq!(run(json!({ "delete": true })).await, 2);
        assert_eq!(ada.client.get("/devices").await.expect(200), json!([]));
        bob.client.get(&format!("/devices/{his}")).await.expect(200);
        for action in [
            json!({}),
            json!({ "delete": true, "add_tags": ["x"] }),
            json!({ "add_tags": [""] }),
        ] {
            let body = json!({ "device_ids": [his], "action": action });
            ada.client.post("/devices/bulk", body).await.expect(422);
        }
    }
);

/// Every text and number of every table, but the audit log, which outlives what it tells of.
async fn rows_about(app: &espalier_testkit::TestApp, needles: Vec<String>) -> Vec<String> {
    app.app
        .db
        .read(move |c| {
            let mut found = Vec::new();
            for table in espalier_db::tables(c)?
                .iter()
                .filter(|table| *table != "audit")
            {
                for row in c.query(&format!("select * from {table}"), &[])? {
                    let text = format!("{:?}", row.values());
                    if needles.iter().any(|needle| text.contains(needle)) {
                        found.push(format!("{table}: {text}"));
                    }
                }
            }
            Ok::<_, espalier_db::Error>(found)
        })
        .await
        .unwrap()
}

/// Fills every corner that a device can leave something in, and returns its id.
async fn lived_in(
    app: &espalier_testkit::TestApp,
    ada: &espalier_testkit::Person,
) -> (String, Vec<String>) {
    app.person("bob").await;
    let made = ada
        .client
        .post("/devices", json!({ "alias": "gone_1" }))
        .await
        .expect(200);
    let id = made["id"].as_str().unwrap().to_owned();
    let token = made["device_token"].as_str().unwrap();
    let path = format!("/devices/{id}");
    ada.client
        .put(&format!("{path}/shares/bob"), json!({ "role": "viewer" }))
        .await
        .expect(200);
    ada.client
        .post(&format!("{path}/claim-code"), json!({}))
        .await
        .expect(200);
    let post = json!({ "device_token": token, "data": { "battery": 5, "v0": 1 } });
    app.anonymous()
        .post(&format!("{path}/telemetry"), post)
        .await
        .expect(200);
    let board = ada
        .client
        .post("/dashboards", json!({ "name": "d" }))
        .await
        .expect(200);
    let widget = json!({ "dashboard_id": board["_id"], "device_id": id, "type": "led" });
    ada.client.post("/widgets", widget).await.expect(200);
    espalier_server::devices::tick(&app.app).await.unwrap();
    let device = app.app.devices.resolve(&id).unwrap();
    assert_eq!(app.app.tsdb.keys(device.id.0).await.unwrap().len(), 2);
    (
        id.clone(),
        vec![id, device.id.to_string(), "gone_1".to_owned()],
    )
}

story!(a_deleted_device_leaves_nothing_behind, |app| async move {
    let ada = app.person("ada").await;
    let (id, needles) = lived_in(&app, &ada).await;
    assert!(rows_about(&app, needles.clone()).await.len() > 6);
    let device = app.app.devices.resolve(&id).unwrap();
    ada.client
        .delete(&format!("/devices/{id}"))
        .await
        .expect(200);
    assert!(app.app.tsdb.keys(device.id.0).await.unwrap().is_empty());
    // A report that was on its way when the device was deleted.
    espalier_server::devices::seen(&app.app, &device);
    espalier_server::devices::record_event(&app.app, &device, "late", json!({}))
        .await
        .unwrap();
    app.clock.advance(60_000);
    espalier_server::devices::tick(&app.app).await.unwrap();
    assert_eq!(rows_about(&app, needles).await, Vec::<String>::new());
});

story!(
    a_deleted_account_takes_its_devices_along,
    |app| async move {
        let ada = app.person("ada").await;
        let bob_sees = |client: espalier_testkit::Client| async move {
            client.get("/devices").await.expect(200)
        };
        let (id, needles) = lived_in(&app, &ada).await;
        let device = app.app.devices.resolve(&id).unwrap();
        let cleo = app.person("cleo").await;
        let (shared, _) = cleo.device("hers").await;
        cleo.client
            .put(
                &format!("/devices/{shared}/shares/ada"),
                json!({ "role": "viewer" }),
            )
            .await
            .expect(200);
        ada.client.delete("/me").await.expect(200);
        app.clock.advance(60_000);
        espalier_server::devices::tick(&app.app).await.unwrap();
        assert_eq!(rows_about(&app, needles).await, Vec::<String>::new());
        assert!(app.app.tsdb.keys(device.id.0).await.unwrap().is_empty());
        assert!(app.app.devices.resolve("gone_1").is_none());
        assert_eq!(
            cleo.client
                .get(&format!("/devices/{shared}/shares"))
                .await
                .expect(200),
            json!([])
        );
        assert_eq!(
            bob_sees(cleo.client.clone())
                .await
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }
);

story!(
    a_deletion_that_a_crash_interrupted_is_finished_at_the_start,
    |app| async move {
        let mut app = app;
        let ada = app.person("ada").await;
        let (id, needles) = lived_in(&app, &ada).await;
        let device = app.app.devices.resolve(&id).unwrap();
        let inside = device.id.to_string();
        // What the control plane has committed when the server dies before the telemetry is removed.
        let half = move |c: &espalier_db::Conn<'_>| {
            c.execute(
                "delete from device where id = $1",
                espalier_db::params![&inside],
            )?;
            c.execute(
                "insert into device_deletion (device_id, deleted_at) values ($1, $2)",
                espalier_db::params![&inside, 1i64],
            )
        };
        app.app.db.write(half).await.unwrap();
        app.restart().await;
        while !rows_about(&app, needles.clone()).await.is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(app.app.tsdb.keys(device.id.0).await.unwrap().is_empty());
        assert!(app.app.devices.resolve(&id).is_none());
    }
);
