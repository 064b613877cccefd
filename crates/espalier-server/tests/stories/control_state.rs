//! Control: desired and reported state, and who may set it.

use crate::control::{answers, count, dashboard, device, led, polls, posts, share, state, widget};
use espalier_db::params;
use espalier_model::ShareRole;
use espalier_server::control;
use espalier_testkit::story;
use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

story!(
    setting_an_led_answers_what_the_contract_says,
    |app| async move {
        let ada = app.person("ada").await;
        let (led, device, _) = led(&ada).await;
        let path = format!("/widgets/{led}/state");
        for (input, state, version) in [
            (json!(1), 1, 1),
            (json!(false), 0, 2),
            (json!("1"), 1, 3),
            (json!("0"), 0, 4),
        ] {
            let answer = ada
                .client
                .post(&path, json!({ "state": input }))
                .await
                .expect(200);
            assert_eq!(
                answer,
                json!({
                    "message": "ok", "state": state, "virtual_pin": "v0", "timestamp": "2026-03-01T12:00:00.000Z",
                    "version": version, "desired": state, "status": "pending",
                })
            );
        }
        for wrong in [
            json!({"state": 2}),
            json!({"state": "on"}),
            json!({"state": null}),
            json!({}),
            json!({"state": [1]}),
        ] {
            ada.client.post(&path, wrong).await.expect(422);
        }
        assert_eq!(
            polls(&app, &device),
            BTreeMap::from([("v0".to_owned(), json!(0))])
        );
    }
);

// Contract bug 2: telemetry that was on its way undid the command.
story!(
    telemetry_of_the_old_value_does_not_undo_a_command,
    |app| async move {
        let ada = app.person("ada").await;
        let (led, device, token) = led(&ada).await;
        let board = app.anonymous();
        let posts = async |data: Value| {
            app.clock.advance(1);
            let body = json!({"device_token": token, "data": data});
            let path = format!("/devices/{device}/telemetry");
            board.post(&path, body).await.expect(200);
        };
        let polls = async || {
            let path = format!("/telemetry/latest?device_token={token}");
            board.get(&path).await.expect(200)["data"]["v0"].clone()
        };
        posts(json!({"v0": 0, "temperature": 21.5})).await;
        let path = format!("/widgets/{led}/state");
        ada.client
            .post(&path, json!({"state": 1}))
            .await
            .expect(200);
        posts(json!({"v0": 0, "temperature": 21.5})).await;
        assert_eq!(polls().await, 1);
        assert_eq!(state(&ada.client, &device, "v0").await["reported"], 0);
        posts(json!({"v0": 1})).await;
        let now = state(&ada.client, &device, "v0").await;
        assert_eq!(
            (&now["status"], &now["desired"], &now["reported"]),
            (&json!("done"), &json!(1), &json!(1))
        );
        // A press of the button on the board stands: nothing overrides it any more.
        posts(json!({"v0": 0})).await;
        assert_eq!(polls().await, 0);
        assert_eq!(state(&ada.client, &device, "v0").await["reported"], 0);
    }
);

story!(the_oldest_firmware_answers_with_led, |app| async move {
    let ada = app.person("ada").await;
    let (led, device, _) = led(&ada).await;
    ada.client
        .post(&format!("/widgets/{led}/state"), json!({"state": true}))
        .await
        .expect(200);
    posts(&app, &device, json!({"led": 1})).await;
    assert_eq!(state(&ada.client, &device, "v0").await["status"], "done");
    let data = |v: Value| v.as_object().unwrap().clone();
    assert_eq!(control::led(&data(json!({"led": true}))), json!(1));
    assert_eq!(control::led(&data(json!({"v0": 0, "led": 1}))), json!(0));
    assert_eq!(control::led(&data(json!({}))), json!(0));
});

story!(
    a_versioned_device_closes_the_loop_by_version,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, _) = ada.device("heater").await;
        let path = format!("/devices/{device}/desired");
        let set = ada
            .client
            .put(&path, json!({"target": 90, "mode": "eco"}))
            .await
            .expect(200);
        assert_eq!(set["state"]["target"]["version"], 1);
        assert_eq!(set["state"]["mode"]["status"], "offline");
        assert_eq!(set["state"]["mode"]["set_by"], ada.account.to_string());
        ada.client
            .put(&path, json!({"target": 95}))
            .await
            .expect(200);
        espalier_server::devices::seen(&app.app, &self::device(&app, &device));
        answers(&app, &device, "target", json!(90), 1).await;
        assert_eq!(
            state(&ada.client, &device, "target").await["status"],
            "pending"
        );
        answers(&app, &device, "target", json!(80), 2).await;
        let now = state(&ada.client, &device, "target").await;
        assert_eq!(
            (&now["status"], &now["reported"], &now["reported_version"]),
            (&json!("done"), &json!(80), &json!(2))
        );
    }
);

story!(state_survives_a_restart, |app| async move {
    let mut app = app;
    let ada = app.person("ada").await;
    let (led, device, _) = led(&ada).await;
    let (path, state_path) = (
        format!("/widgets/{led}/state"),
        format!("/devices/{device}/state"),
    );
    ada.client
        .post(&path, json!({"state": 1}))
        .await
        .expect(200);
    answers(&app, &device, "relay", json!(true), 0).await;
    let before = ada.client.get(&state_path).await.expect(200);
    app.restart().await;
    let ada = app.anonymous().bearer(&ada.token);
    assert_eq!(ada.get(&state_path).await.expect(200), before);
    assert_eq!(
        polls(&app, &device),
        BTreeMap::from([("v0".to_owned(), json!(1))])
    );
    let again = ada.post(&path, json!({"state": 0})).await.expect(200);
    assert_eq!(again["version"], 2);
});

story!(
    concurrent_sets_get_different_growing_versions,
    |app| async move {
        let ada = app.person("ada").await;
        let (led, device, _) = led(&ada).await;
        let path = format!("/widgets/{led}/state");
        let set = |n: u64| ada.client.post(&path, json!({"state": n % 2})).boxed();
        let answers = futures_util::future::join_all((0..24).map(set)).await;
        let versions: BTreeSet<_> = answers
            .iter()
            .map(|a| a.expect(200)["version"].as_u64().unwrap())
            .collect();
        assert_eq!(versions, (1..=24).collect());
        // What the device is told is what the last version was set to.
        let last = answers
            .iter()
            .map(|a| a.json())
            .find(|a| a["version"] == 24)
            .unwrap();
        assert_eq!(polls(&app, &device)["v0"], last["desired"]);
    }
);

story!(a_desired_value_expires_unanswered, |app| async move {
    let ada = app.person("ada").await;
    let (device, _) = ada.device("lamp").await;
    let path = format!("/devices/{device}/desired");
    ada.client
        .put(&format!("{path}?expires_in_seconds=0"), json!({"v0": 1}))
        .await
        .expect(422);
    ada.client
        .put(&format!("{path}?expires_in_seconds=60"), json!({"v0": 1}))
        .await
        .expect(200);
    app.clock.advance(59_000);
    control::tick(&app.app).await.unwrap();
    assert_eq!(polls(&app, &device).len(), 1);
    app.clock.advance(1_000);
    assert!(polls(&app, &device).is_empty());
    control::tick(&app.app).await.unwrap();
    let over = "select count(*) as n from twin where expired = 1";
    let stored = app
        .app
        .db
        .read(move |c| c.query_one(over, params![])?.get::<i64>("n"))
        .await;
    assert_eq!(stored.map_err(|e: espalier_db::Error| e).unwrap(), 1);
    assert_eq!(state(&ada.client, &device, "v0").await["status"], "expired");
});

story!(wrong_desired_values_are_refused_whole, |app| async move {
    let ada = app.person("ada").await;
    let (device, _) = ada.device("lamp").await;
    let path = format!("/devices/{device}/desired");
    let mut deep = json!(1);
    for _ in 0..9 {
        deep = json!({ "a": deep });
    }
    let many: Map<String, Value> = (0..257).map(|n| (format!("k{n}"), json!(1))).collect();
    let wrong = [
        json!({}),
        json!([1]),
        json!({"ok": 1, "no": null}),
        json!({"ok": 1, "a\u{0}b": 1}),
        json!({"ok": 1, "": 1}),
        json!({"ok": 1, "k".repeat(129): 1}),
        json!({"ok": 1, "big": 9_007_199_254_740_993_i64}),
        json!({"ok": 1, "text": "x".repeat(4097)}),
        json!({"ok": 1, "deep": deep}),
        json!({"ok": 1, "wide": vec![1; 4096]}),
        Value::Object(many),
    ];
    for body in wrong {
        ada.client.put(&path, body).await.expect(422);
    }
    assert_eq!(count(&app, "twin").await, 0);
});

story!(
    every_controllable_type_sets_and_every_other_refuses,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, _) = ada.device("board").await;
        let board = dashboard(&ada.client, "Home").await;
        let cases = [
            (
                "switch",
                json!({"on_value": "open", "off_value": "shut"}),
                json!({"state": 1}),
                Some(json!("open")),
            ),
            (
                "slider",
                json!({"key": "level", "max": 10}),
                json!({"value": 7.5}),
                Some(json!(7.5)),
            ),
            (
                "slider",
                json!({"key": "level", "max": 10}),
                json!({"value": 11}),
                None,
            ),
            (
                "slider",
                json!({"key": "level"}),
                json!({"value": -1}),
                None,
            ),
            (
                "number",
                json!({"key": "target", "min": -40}),
                json!({"state": 1000}),
                Some(json!(1000)),
            ),
            (
                "number",
                json!({"key": "target"}),
                json!({"state": "x"}),
                None,
            ),
            (
                "text",
                json!({"key": "line"}),
                json!({"value": "Hello"}),
                Some(json!("Hello")),
            ),
            (
                "text",
                json!({"key": "line", "max_length": 3}),
                json!({"value": "Hello"}),
                None,
            ),
            ("button", json!({"key": "ring"}), json!({}), Some(json!(1))),
            (
                "button",
                json!({"key": "ring", "value": "ding"}),
                json!({"value": "dong"}),
                Some(json!("ding")),
            ),
        ];
        for (kind, config, body, wanted) in cases {
            let new =
                json!({"dashboard_id": board, "device_id": device, "type": kind, "config": config});
            let id = widget(&ada.client, new).await["_id"]
                .as_str()
                .unwrap()
                .to_owned();
            let answer = ada.client.post(&format!("/widgets/{id}/state"), body).await;
            match wanted {
                Some(wanted) => assert_eq!(answer.expect(200)["desired"], wanted, "{kind}"),
                None => assert_eq!(answer.expect(422)["code"], "invalid", "{kind}"),
            }
        }
        for kind in ["telemetry", "gauge", "chart", "location", "image"] {
            let new = json!({"dashboard_id": board, "device_id": device, "type": kind, "config": {"key": "t"}});
            let id = widget(&ada.client, new).await["_id"]
                .as_str()
                .unwrap()
                .to_owned();
            let refused = ada
                .client
                .post(&format!("/widgets/{id}/state"), json!({"state": 1}))
                .await;
            assert_eq!(refused.expect(400)["code"], "not_controllable");
        }
        let free = widget(&ada.client, json!({"dashboard_id": board, "type": "led"})).await;
        let path = format!("/widgets/{}/state", free["_id"].as_str().unwrap());
        assert_eq!(
            ada.client
                .post(&path, json!({"state": 1}))
                .await
                .expect(400)["code"],
            "not_bound"
        );
    }
);

story!(a_viewer_sees_and_a_member_controls, |app| async move {
    let (ada, vera, max) = (
        app.person("ada").await,
        app.person("vera").await,
        app.person("max").await,
    );
    let (device, token) = ada.device("lamp").await;
    share(&app, &device, &vera, ShareRole::Viewer);
    share(&app, &device, &max, ShareRole::Member);
    let desired = format!("/devices/{device}/desired");
    for (person, status) in [(&vera, 403), (&max, 200)] {
        let board = dashboard(&person.client, "Mine").await;
        let led = widget(
            &person.client,
            json!({"dashboard_id": board, "device_id": device, "type": "led"}),
        )
        .await;
        let path = format!("/widgets/{}/state", led["_id"].as_str().unwrap());
        person
            .client
            .post(&path, json!({"state": 1}))
            .await
            .expect(status);
        person
            .client
            .put(&desired, json!({"v0": 1}))
            .await
            .expect(status);
        person
            .client
            .get(&format!("/devices/{device}/state"))
            .await
            .expect(200);
    }
    let eve = app.person("eve").await;
    eve.client.put(&desired, json!({"v0": 1})).await.expect(404);
    eve.client
        .get(&format!("/devices/{device}/state"))
        .await
        .expect(404);
    app.anonymous()
        .put(&desired, json!({"v0": 1}))
        .await
        .expect(401);
    let board = app.anonymous().bearer(&token);
    board.put(&desired, json!({"v0": 1})).await.expect(403);
    board
        .get(&format!("/devices/{device}/state"))
        .await
        .expect(200);
    assert_eq!(state(&ada.client, &device, "v0").await["version"], 2);
});

story!(a_deleted_device_leaves_nothing_behind, |app| async move {
    let ada = app.person("ada").await;
    let (led, device, _) = led(&ada).await;
    ada.client
        .post(&format!("/widgets/{led}/state"), json!({"state": 1}))
        .await
        .expect(200);
    ada.client
        .post(
            &format!("/devices/{device}/commands"),
            json!({"name": "blink"}),
        )
        .await
        .expect(202);
    let id = self::device(&app, &device).id.to_string();
    let gone = app
        .app
        .db
        .write(move |c| c.execute("delete from device where id = $1", params![&id]))
        .await;
    assert_eq!(gone.map_err(|e: espalier_db::Error| e).unwrap(), 1);
    for table in ["widget", "twin", "command"] {
        assert_eq!(count(&app, table).await, 0, "{table}");
    }
    control::forget(&app.app, self::device(&app, &device).id);
    assert!(polls(&app, &device).is_empty());
    // A set that was under way when the device went is refused, not kept.
    ada.client
        .put(&format!("/devices/{device}/desired"), json!({"v0": 1}))
        .await
        .expect(404);
    ada.client
        .post(
            &format!("/devices/{device}/commands"),
            json!({"name": "blink"}),
        )
        .await
        .expect(404);
});
