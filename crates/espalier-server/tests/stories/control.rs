//! Control: dashboards and widgets; what should be and is, is in `control_state`.

use espalier_db::params;
use espalier_model::ShareRole;
use espalier_server::control::{self, Reported};
use espalier_server::devices::Device;
use espalier_testkit::{Client, Person, TestApp, story};
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

pub async fn widget(client: &Client, body: Value) -> Value {
    client.post("/widgets", body).await.expect(200)
}

/// A dashboard with one LED on a new device: the LED's id, the device's id and token.
pub async fn led(person: &Person) -> (String, String, String) {
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
pub async fn posts(app: &TestApp, id: &str, data: Value) {
    let data: Map<String, Value> = data.as_object().unwrap().clone();
    let device = device(app, id);
    control::report_telemetry(&app.app, &device, &data)
        .await
        .expect("the report is taken");
}

/// What a device is told when it polls.
pub fn polls(app: &TestApp, id: &str) -> BTreeMap<String, Value> {
    let pending = control::pending(&app.app, device(app, id).id);
    pending.into_iter().map(|(key, d)| (key, d.value)).collect()
}

pub async fn answers(app: &TestApp, id: &str, key: &str, value: Value, version: u64) {
    let reported = BTreeMap::from([(key.to_owned(), Reported::new(value, version, None))]);
    control::report(&app.app, &device(app, id), &reported)
        .await
        .expect("the report is taken");
}

pub async fn state(client: &Client, id: &str, key: &str) -> Value {
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

pub async fn count(app: &TestApp, table: &'static str) -> i64 {
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
