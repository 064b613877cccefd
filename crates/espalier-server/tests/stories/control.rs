//! Control: dashboards, widgets, desired and reported state.

use espalier_db::params;
use espalier_model::ShareRole;
use espalier_server::control::{self, Reported};
use espalier_server::devices::Device;
use espalier_testkit::{Client, Person, TestApp, story};
use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub async fn dashboard(client: &Client, name: &str) -> String {
    let made = client
        .post("/dashboards", json!({ "name": name }))
        .await
        .expect(200);
    made["_id"].as_str().unwrap().to_owned()
}

async fn widget(client: &Client, body: Value) -> Value {
    client.post("/widgets", body).await.expect(200)
}

/// A dashboard with one LED on a new device: the LED's id, the device's id and token.
async fn led(person: &Person) -> (String, String, String) {
    let (device, token) = person.device("lamp").await;
    let board = dashboard(&person.client, "Home").await;
    let made = widget(
        &person.client,
        json!({"dashboard_id": board, "device_id": device, "type": "led"}),
    )
    .await;
    (made["_id"].as_str().unwrap().to_owned(), device, token)
}

pub fn device(app: &TestApp, id: &str) -> Arc<Device> {
    app.app.devices.resolve(id).expect("the device exists")
}

/// What a device posts, as the telemetry path hands it to control.
async fn posts(app: &TestApp, id: &str, data: Value) {
    let data: Map<String, Value> = data.as_object().unwrap().clone();
    let device = device(app, id);
    control::report_telemetry(&app.app, &device, &data)
        .await
        .expect("the report is taken");
}

/// What a device is told when it polls.
fn polls(app: &TestApp, id: &str) -> BTreeMap<String, Value> {
    let pending = control::pending(&app.app, device(app, id).id);
    pending.into_iter().map(|(key, d)| (key, d.value)).collect()
}

async fn answers(app: &TestApp, id: &str, key: &str, value: Value, version: u64) {
    let reported = BTreeMap::from([(key.to_owned(), Reported { value, version })]);
    control::report(&app.app, &device(app, id), &reported)
        .await
        .expect("the report is taken");
}

async fn state(client: &Client, id: &str, key: &str) -> Value {
    client
        .get(&format!("/devices/{id}/state"))
        .await
        .expect(200)["state"][key]
        .clone()
}

/// Shares a device as its owner would, in the database and in memory.
pub fn share(app: &TestApp, id: &str, with: &Person, role: ShareRole) {
    let mut changed = Device::clone(&device(app, id));
    changed.shares.push((with.account, role));
    app.app.devices.put(Arc::new(changed));
}

async fn count(app: &TestApp, table: &'static str) -> i64 {
    let count = move |c: &espalier_db::Conn<'_>| {
        c.query_one(&format!("select count(*) as n from {table}"), params![])?
            .get("n")
    };
    app.app
        .db
        .read(count)
        .await
        .map_err(|e: espalier_db::Error| e)
        .unwrap()
}

story!(
    a_dashboard_is_made_listed_renamed_and_deleted,
    |app| async move {
        let ada = app.person("ada").await;
        let made = ada
            .client
            .post(
                "/dashboards",
                json!({"name": " Home ", "description": "ground floor"}),
            )
            .await
            .expect(200);
        assert_eq!(made["_id"], made["id"]);
        assert_eq!(made["user_id"], ada.account.to_string());
        assert_eq!(
            (&made["name"], &made["created_at"]),
            (&json!("Home"), &json!("2026-03-01T12:00:00.000Z"))
        );
        let id = made["_id"].as_str().unwrap();
        assert_eq!(
            ada.client.get("/dashboards").await.expect(200),
            json!([made])
        );
        let path = format!("/dashboards/{id}");
        let changed = ada
            .client
            .patch(&path, json!({"name": "House", "description": ""}))
            .await
            .expect(200);
        assert_eq!(
            (&changed["name"], &changed["description"]),
            (&json!("House"), &Value::Null)
        );
        assert_eq!(
            ada.client.get(&path).await.expect(200)["widgets"],
            json!([])
        );
        widget(&ada.client, json!({"dashboard_id": id})).await;
        assert_eq!(
            ada.client.delete(&path).await.expect(200)["message"],
            "Dashboard deleted"
        );
        ada.client.get(&path).await.expect(404);
        ada.client.delete(&path).await.expect(404);
        assert_eq!(count(&app, "widget").await, 0);
    }
);

story!(
    a_dashboard_of_somebody_else_does_not_exist,
    |app| async move {
        let (ada, bob) = (app.person("ada").await, app.person("bob").await);
        let (led, _, _) = led(&ada).await;
        let board = ada.client.get("/dashboards").await.expect(200)[0]["_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let b = &bob.client;
        let path = format!("/dashboards/{board}");
        b.get(&path).await.expect(404);
        b.patch(&path, json!({"name": "mine"})).await.expect(404);
        b.delete(&path).await.expect(404);
        b.put(&format!("{path}/layout"), json!({"layout": []}))
            .await
            .expect(404);
        b.post(&format!("{path}/share"), json!({}))
            .await
            .expect(404);
        b.delete(&format!("{path}/share")).await.expect(404);
        b.post("/widgets", json!({"dashboard_id": board}))
            .await
            .expect(404);
        b.get(&format!("/widgets/{board}")).await.expect(404);
        b.patch(&format!("/widgets/{led}"), json!({"label": "x"}))
            .await
            .expect(404);
        b.delete(&format!("/widgets/{led}")).await.expect(404);
        b.post(&format!("/widgets/{led}/state"), json!({"state": 1}))
            .await
            .expect(404);
        assert_eq!(b.get("/dashboards").await.expect(200), json!([]));
    }
);

// Contract bug 5: the list of widgets was open to everybody.
story!(
    the_widgets_of_a_dashboard_need_a_signed_in_owner,
    |app| async move {
        let ada = app.person("ada").await;
        let board = dashboard(&ada.client, "Home").await;
        app.anonymous()
            .get(&format!("/widgets/{board}"))
            .await
            .expect(401);
        let (_, token) = ada.device("lamp").await;
        app.anonymous()
            .bearer(&token)
            .get(&format!("/widgets/{board}"))
            .await
            .expect(403);
    }
);

story!(an_led_gets_the_lowest_free_virtual_pin, |app| async move {
    let ada = app.person("ada").await;
    let (device, _) = ada.device("lamp").await;
    let board = dashboard(&ada.client, "Home").await;
    let new = |config: Value| json!({"dashboard_id": board, "device_id": device, "type": "led", "config": config});
    let first = widget(&ada.client, new(json!({}))).await;
    assert_eq!(
        first["config"],
        json!({"schedules": [], "virtual_pin": "v0"})
    );
    assert_eq!(
        (&first["type"], &first["next_schedule"]),
        (&json!("led"), &Value::Null)
    );
    let named = widget(
        &ada.client,
        new(json!({"virtual_pin": "V2", "colour": {"mine": 1}})),
    )
    .await;
    assert_eq!(named["config"]["virtual_pin"], "v2");
    assert_eq!(named["config"]["colour"], json!({"mine": 1}));
    assert_eq!(
        widget(&ada.client, new(json!({}))).await["config"]["virtual_pin"],
        "v1"
    );
    assert_eq!(
        widget(&ada.client, new(json!({}))).await["config"]["virtual_pin"],
        "v3"
    );
    ada.client
        .delete(&format!("/widgets/{}", first["_id"].as_str().unwrap()))
        .await
        .expect(200);
    assert_eq!(
        widget(&ada.client, new(json!({}))).await["config"]["virtual_pin"],
        "v0"
    );
    let other = dashboard(&ada.client, "Garden").await;
    let there = widget(
        &ada.client,
        json!({"dashboard_id": other, "type": "switch"}),
    )
    .await;
    assert_eq!(there["config"]["virtual_pin"], "v0");
    let orders: Vec<_> = ada
        .client
        .get(&format!("/widgets/{board}"))
        .await
        .expect(200)
        .as_array()
        .unwrap()
        .iter()
        .map(|w| w["order"].as_i64().unwrap())
        .collect();
    assert_eq!(orders, [1, 2, 3, 4]);
});

story!(
    widgets_made_at_the_same_time_get_different_pins,
    |app| async move {
        let ada = app.person("ada").await;
        let board = dashboard(&ada.client, "Home").await;
        let new = || {
            ada.client
                .post("/widgets", json!({"dashboard_id": board, "type": "led"}))
        };
        let made = futures_util::future::join_all((0..8).map(|_| new())).await;
        let pins: BTreeSet<_> = made
            .iter()
            .map(|a| a.expect(200)["config"]["virtual_pin"].to_string())
            .collect();
        assert_eq!(pins.len(), 8);
    }
);

story!(
    wrong_widgets_are_refused_with_a_sentence,
    |app| async move {
        let ada = app.person("ada").await;
        let board = dashboard(&ada.client, "Home").await;
        let wrong = [
            json!({"type": "laser"}),
            json!({"type": "slider"}),
            json!({"type": "slider", "config": {"key": "a", "min": 5, "max": 5}}),
            json!({"type": "slider", "config": {"key": "a", "min": 500}}),
            json!({"type": "number", "config": {"key": "a", "step": 0}}),
            json!({"type": "number", "config": {"key": "a", "min": "low"}}),
            json!({"type": "led", "config": {"virtual_pin": "relay"}}),
            json!({"type": "led", "config": {"virtual_pin": "v1234"}}),
            json!({"type": "switch", "config": {"on_value": "x", "off_value": "x"}}),
            json!({"type": "switch", "config": {"on_value": [1]}}),
            json!({"config": {"key": "a\nb"}}),
            json!({"config": {"key": 7}}),
            json!({"config": {"decimals": 99}}),
            json!({"config": {"unit": "x".repeat(64)}}),
            json!({"config": {"big": "x".repeat(100_000)}}),
            json!({"config": [1]}),
            json!({"label": "a\u{0}b"}),
            json!({"value": "x".repeat(5_000)}),
            json!({"type": "image", "config": {"url": "http://example.com/a.png"}}),
            json!({"type": "image", "config": {"url": "javascript:alert(1)"}}),
            json!({"type": "image", "config": {"url": "data:text/html;base64,AAAA"}}),
            json!({"type": "image", "config": {"url": "https://"}}),
        ];
        for mut body in wrong {
            body["dashboard_id"] = json!(board);
            let answer = ada.client.post("/widgets", body.clone()).await;
            assert_eq!(answer.status, 422, "{body}: {}", answer.text());
        }
        for name in [
            json!(""),
            json!("   "),
            json!("x".repeat(101)),
            json!("a\nb"),
            json!("\u{0}"),
            json!(5),
        ] {
            ada.client
                .post("/dashboards", json!({ "name": name }))
                .await
                .expect(422);
        }
        let fine = json!({"dashboard_id": board, "type": "image", "config": {"url": "https://example.com/a.png"}});
        ada.client.post("/widgets", fine).await.expect(200);
        assert_eq!(count(&app, "widget").await, 1);
    }
);

story!(
    a_widget_cannot_be_bound_to_a_device_that_the_caller_may_not_see,
    |app| async move {
        let (ada, bob) = (app.person("ada").await, app.person("bob").await);
        let (device, _) = ada.device("lamp").await;
        let board = dashboard(&bob.client, "Mine").await;
        let new = json!({"dashboard_id": board, "device_id": device, "type": "led"});
        bob.client.post("/widgets", new.clone()).await.expect(404);
        let made = widget(&bob.client, json!({"dashboard_id": board, "type": "led"})).await;
        let path = format!("/widgets/{}", made["_id"].as_str().unwrap());
        bob.client
            .patch(&path, json!({"device_id": device}))
            .await
            .expect(404);
        share(&app, &device, &bob, ShareRole::Viewer);
        bob.client
            .patch(&path, json!({"device_id": device}))
            .await
            .expect(200);
    }
);

story!(a_layout_is_placed_whole_or_not_at_all, |app| async move {
    let ada = app.person("ada").await;
    let board = dashboard(&ada.client, "Home").await;
    let a = widget(&ada.client, json!({"dashboard_id": board, "label": "a"})).await["_id"].clone();
    let b = widget(&ada.client, json!({"dashboard_id": board, "label": "b"})).await["_id"].clone();
    let path = format!("/dashboards/{board}/layout");
    let placed = ada.client.put(&path, json!({"layout": [
        {"id": a, "width": 4, "height": 2, "x": 1, "y": 0, "order": 5}, {"_id": b, "width": 3}
    ]})).await.expect(200);
    assert_eq!(placed["modified_count"], 2);
    let unknown = json!({"layout": [{"id": a, "width": 9}, {"id": "0123456789abcdef01234567"}]});
    ada.client.put(&path, unknown).await.expect(404);
    ada.client
        .put(&path, json!({"layout": [{"id": a, "width": -1}]}))
        .await
        .expect(422);
    let list = ada
        .client
        .get(&format!("/widgets/{board}"))
        .await
        .expect(200);
    assert_eq!(
        (&list[0]["label"], &list[0]["width"], &list[0]["order"]),
        (&json!("b"), &json!(3), &json!(1))
    );
    assert_eq!(
        (&list[1]["label"], &list[1]["width"], &list[1]["x"]),
        (&json!("a"), &json!(4), &json!(1))
    );
});

// Contract bug 1: the headline endpoint answered 500 after it had applied the state.
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

story!(a_widget_shows_the_loop, |app| async move {
    let ada = app.person("ada").await;
    let (led, device, _) = led(&ada).await;
    let board = ada.client.get("/dashboards").await.expect(200)[0]["_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let list = || async {
        ada.client
            .get(&format!("/widgets/{board}"))
            .await
            .expect(200)[0]
            .clone()
    };
    let before = list().await;
    assert_eq!(
        (&before["state"], &before["desired"], &before["value"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    ada.client
        .post(&format!("/widgets/{led}/state"), json!({"state": 1}))
        .await
        .expect(200);
    let pending = list().await;
    assert!(
        pending["state"] == "pending" || pending["state"] == "offline",
        "{pending}"
    );
    assert_eq!(
        (&pending["desired"], &pending["value"], &pending["version"]),
        (&json!(1), &Value::Null, &json!(1))
    );
    posts(&app, &device, json!({"v0": 1})).await;
    let done = list().await;
    assert_eq!(
        (&done["state"], &done["value"], &done["reported"]),
        (&json!("done"), &json!(1), &json!(1))
    );
    let patched = ada
        .client
        .patch(
            &format!("/widgets/{led}"),
            json!({"label": "Lamp", "config": {"colour": "red"}}),
        )
        .await
        .expect(200);
    assert_eq!(
        (&patched["label"], &patched["config"]["virtual_pin"]),
        (&json!("Lamp"), &json!("v0"))
    );
});

story!(
    a_read_only_link_shows_its_widgets_and_nothing_else,
    |app| async move {
        let ada = app.person("ada").await;
        let (led, device, token) = led(&ada).await;
        let board = ada.client.get("/dashboards").await.expect(200)[0]["_id"]
            .as_str()
            .unwrap()
            .to_owned();
        ada.client
            .patch(
                &format!("/widgets/{led}"),
                json!({"config": {"app_secret": "s3cret"}}),
            )
            .await
            .expect(200);
        ada.client
            .put(
                &format!("/devices/{device}/desired"),
                json!({"v0": 1, "hidden": 5}),
            )
            .await
            .expect(200);
        answers(&app, &device, "v0", json!(1), 1).await;
        answers(&app, &device, "hidden", json!(5), 1).await;
        let share = format!("/dashboards/{board}/share");
        let link = ada.client.post(&share, json!({})).await.expect(200);
        let path = link["path"].as_str().unwrap().to_owned();
        let shown = app.anonymous().get(&path).await;
        assert_eq!(shown.expect(200)["widgets"][0]["value"], 1);
        for secret in [
            "s3cret",
            "hidden",
            &device,
            &token,
            &ada.account.to_string(),
            "desired",
        ] {
            assert!(
                !shown.text().contains(secret),
                "{secret} in {}",
                shown.text()
            );
        }
        let text = format!("%{}%", link["token"].as_str().unwrap());
        let kept = "select count(*) as n from dashboard where cast(share_digest as text) like $1";
        let kept = app
            .app
            .db
            .read(move |c| c.query_one(kept, params![&text])?.get::<i64>("n"))
            .await;
        assert_eq!(kept.map_err(|e: espalier_db::Error| e).unwrap(), 0);
        let newer = ada.client.post(&share, json!({})).await.expect(200);
        app.anonymous().get(&path).await.expect(404);
        let path = newer["path"].as_str().unwrap().to_owned();
        app.anonymous().get(&path).await.expect(200);
        ada.client.delete(&share).await.expect(200);
        app.anonymous().get(&path).await.expect(404);
        app.anonymous()
            .get("/shared/dashboards/x")
            .await
            .expect(404);
    }
);

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
