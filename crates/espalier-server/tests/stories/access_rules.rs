//! Access rules: what an admin writes holds for every list, answer and live event, and locks nobody out.

use crate::control::{dashboard, device, share};
use espalier_model::{Role, ShareRole};
use espalier_server::live::{self, Event, NewNotification};
use espalier_testkit::{Person, START_MS, TestApp, story};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const RULES: &str = "/admin/security-rules";

/// Saves the shipped document with these entries instead of its own.
async fn change(admin: &Person, entries: Value) {
    let mut rules = admin.client.get(RULES).await.expect(200)["rules"].clone();
    for (collection, entry) in entries.as_object().unwrap() {
        for (action, rule) in entry.as_object().unwrap() {
            rules[collection][action] = rule.clone();
        }
    }
    save(admin, rules).await;
}

async fn save(admin: &Person, rules: Value) {
    let saved = admin.client.post(RULES, json!({ "rules": rules })).await;
    saved.expect(200);
}

fn names(list: &Value) -> Vec<&str> {
    let entries = list.as_array().expect("a list").iter();
    entries.map(|e| e["name"].as_str().unwrap()).collect()
}

fn measured(app: &TestApp, id: &str, data: Value) {
    let data: Map<String, Value> = serde_json::from_value(data).unwrap();
    let event = Event::Telemetry {
        device: device(app, id),
        ts: START_MS,
        data: Arc::new(data),
    };
    live::publish(&app.app, event);
}

async fn notify(app: &TestApp, person: &Person, title: &str, kind: &'static str) {
    let new = NewNotification {
        title: title.to_owned(),
        message: "It happened.".to_owned(),
        kind,
        details: Value::Null,
        device: None,
        widget: None,
    };
    live::notify(&app.app, person.account, new).await.unwrap();
}

story!(
    a_rule_that_hides_others_things_hides_them_everywhere,
    |app| async move {
        let root = app.person_with("root", Role::Admin).await;
        let (ada, bob) = (app.person("ada").await, app.person("bob").await);
        let (lamp, token) = ada.device("lamp").await;
        bob.device("plug").await;
        share(&app, &lamp, &bob, ShareRole::Member);
        let report = json!({ "device_token": token, "data": { "t": 1 } });
        let up = format!("/devices/{lamp}/telemetry");
        app.anonymous().post(&up, report).await.expect(200);
        let paths = [
            format!("/devices/{lamp}"),
            format!("/devices/{lamp}/state"),
            format!("/devices/{lamp}/telemetry/latest"),
            format!("/telemetry/history?device_id={lamp}&key=t"),
            format!("/telemetry/history?device_id={lamp}&device_id={lamp}&key=t&format=series"),
        ];
        let all_see = async |people: &[(&Person, u16)]| {
            for (person, status) in people {
                for path in &paths {
                    let answer = person.client.get(path).await;
                    assert_eq!(answer.status, *status, "{path}: {}", answer.text());
                }
            }
        };
        all_see(&[(&root, 200), (&ada, 200), (&bob, 200)]).await;
        let own = "data.owner == auth.uid";
        change(
            &root,
            json!({ "devices": { ".read": own, ".control": own } }),
        )
        .await;
        all_see(&[(&root, 404), (&ada, 200), (&bob, 404)]).await;
        let listed = bob.client.get("/devices").await;
        assert_eq!(names(&listed.expect(200)), ["plug"]);
        assert_eq!(listed.headers["x-total-count"], "1");
        let listed = ada.client.get("/devices").await.expect(200);
        assert_eq!(names(&listed), ["lamp"]);
        let desired = json!({ "v0": 1 });
        let path = format!("/devices/{lamp}/desired");
        for (person, status) in [(&bob, 404), (&root, 404), (&ada, 200)] {
            let answer = person.client.put(&path, desired.clone()).await;
            assert_eq!(answer.status, status, "{}", answer.text());
        }
        // What the board itself does follows no rule for people.
        let latest = format!("/telemetry/latest?device_token={token}");
        app.anonymous().get(&latest).await.expect(200);
    }
);

story!(
    what_a_device_measures_can_be_hidden_apart_from_it,
    |app| async move {
        let root = app.person_with("root", Role::Admin).await;
        let ada = app.person("ada").await;
        let (lamp, token) = ada.device("lamp").await;
        let report = json!({ "device_token": token, "data": { "t": 7 } });
        let up = format!("/devices/{lamp}/telemetry");
        app.anonymous().post(&up, report).await.expect(200);
        let board = dashboard(&ada.client, "Home").await;
        let gauge = json!({ "dashboard_id": board, "device_id": lamp, "config": { "key": "t" } });
        ada.client.post("/widgets", gauge).await.expect(200);
        let link = format!("/dashboards/{board}/share");
        let link = ada.client.post(&link, json!({})).await.expect(200);
        let link = link["path"].as_str().unwrap().to_owned();
        let board = format!("/dashboards/{board}");
        let value = async |value: Value| {
            let shown = ada.client.get(&board).await.expect(200);
            assert_eq!(shown["widgets"][0]["value"], value);
            let shown = app.anonymous().get(&link).await.expect(200);
            assert_eq!(shown["widgets"][0]["value"], value);
        };
        value(json!(7)).await;
        change(&root, json!({ "telemetry": { ".read": "auth.is_admin" } })).await;
        value(Value::Null).await;
        ada.client
            .get(&format!("/devices/{lamp}"))
            .await
            .expect(200);
        let latest = format!("/devices/{lamp}/telemetry/latest");
        ada.client.get(&latest).await.expect(403);
        root.client.get(&latest).await.expect(200);
        let query = json!({ "device_ids": [lamp], "keys": ["t"] });
        ada.client.post("/telemetry/query", query).await.expect(403);
        change(&root, json!({ "dashboards": { ".read": false } })).await;
        app.anonymous().get(&link).await.expect(404);
    }
);

story!(a_rule_can_make_dashboards_read_only, |app| async move {
    let root = app.person_with("root", Role::Admin).await;
    let ada = app.person("ada").await;
    let (lamp, _) = ada.device("lamp").await;
    let board = dashboard(&ada.client, "Home").await;
    let led = json!({ "dashboard_id": board, "device_id": lamp, "type": "led" });
    let widget = ada.client.post("/widgets", led.clone()).await.expect(200)["_id"].clone();
    let widget = widget.as_str().unwrap();
    let read_only = json!({ "dashboards": { ".manage": false, ".own": false } });
    change(&root, read_only).await;
    let path = format!("/dashboards/{board}");
    let c = &ada.client;
    let shown = c.get(&path).await.expect(200);
    assert_eq!(shown["widgets"].as_array().map(Vec::len), Some(1));
    assert_eq!(names(&c.get("/dashboards").await.expect(200)), ["Home"]);
    let refusal = c.patch(&path, json!({ "name": "Mine" })).await.expect(403);
    let sentence = refusal["detail"].as_str().unwrap();
    assert!(sentence.contains("dashboards/.manage"), "{sentence}");
    let layout = json!({ "layout": [{ "id": widget, "width": 2 }] });
    let touched = format!("/widgets/{widget}");
    for answer in [
        c.put(&format!("{path}/layout"), layout).await,
        c.post("/dashboards", json!({ "name": "Second" })).await,
        c.post("/widgets", led).await,
        c.patch(&touched, json!({ "label": "Light" })).await,
        c.delete(&touched).await,
        c.post(&format!("{path}/share"), json!({})).await,
        c.delete(&path).await,
    ] {
        answer.expect(403);
    }
    // To touch a switch is `.control`, which the document still permits.
    let state = format!("{touched}/state");
    c.post(&state, json!({ "state": 1 })).await.expect(200);
    change(&root, json!({ "widgets": { ".control": false } })).await;
    c.post(&state, json!({ "state": 0 })).await.expect(403);
    change(
        &root,
        json!({ "widgets": { ".read": "data.kind != 'led'" } }),
    )
    .await;
    let shown = c.get(&path).await.expect(200);
    assert_eq!(shown["widgets"], json!([]));
    c.post(&state, json!({ "state": 0 })).await.expect(404);
});

story!(
    what_a_document_leaves_out_is_denied_but_nobody_is_locked_out,
    |app| async move {
        let owner = app.person_with("chief", Role::Owner).await;
        let root = app.person_with("root", Role::Admin).await;
        let ada = app.person("ada").await;
        let (lamp, _) = ada.device("lamp").await;
        let board = dashboard(&ada.client, "Home").await;
        notify(&app, &ada, "Frost", "warning").await;
        save(&root, json!({ "devices": { ".read": true } })).await;
        let c = &ada.client;
        c.get(&format!("/devices/{lamp}")).await.expect(200);
        c.get(&format!("/dashboards/{board}")).await.expect(404);
        c.get(&format!("/widgets/{board}")).await.expect(404);
        assert_eq!(c.get("/dashboards").await.expect(200), json!([]));
        let inbox = c.get("/notifications").await.expect(200);
        assert_eq!(inbox, json!({ "notifications": [], "unread_count": 0 }));
        c.get(&format!("/telemetry/history?device_id={lamp}&key=t"))
            .await
            .expect(403);
        for answer in [
            c.post("/devices", json!({ "name": "second" })).await,
            c.post("/dashboards", json!({ "name": "second" })).await,
            c.patch(&format!("/devices/{lamp}"), json!({ "name": "mine" }))
                .await,
            c.delete(&format!("/devices/{lamp}")).await,
        ] {
            answer.expect(403);
        }
        // One's own account is nobody's rule.
        c.get("/me").await.expect(200);
        let users = root.client.get("/admin/users").await.expect(200);
        assert_eq!((&users["total"], &users["data"]), (&json!(0), &json!([])));
        let of_ada = format!("/admin/users/{}", ada.account);
        root.client.get(&of_ada).await.expect(404);
        let users = owner.client.get("/admin/users").await.expect(200);
        assert_eq!(users["total"], 3);
        // The emptiest document still lets every admin in.
        save(&root, json!({})).await;
        c.get(&format!("/devices/{lamp}")).await.expect(404);
        assert_eq!(c.get("/devices").await.expect(200), json!([]));
        root.client.get("/me").await.expect(200);
        let elevated = json!({ "users": { ".read": true, ".manage": "data.kind == 'member'", ".own": false } });
        save(&root, elevated).await;
        let rename = json!({ "full_name": "Ada" });
        root.client.patch(&of_ada, rename.clone()).await.expect(200);
        root.client.delete(&of_ada).await.expect(403);
        let of_root = format!("/admin/users/{}", root.account);
        root.client.patch(&of_root, rename).await.expect(403);
        let new = json!({ "email": "c@example.com", "username": "carl", "role": "viewer" });
        root.client.post("/admin/users", new).await.expect(403);
    }
);

story!(
    a_bad_rule_of_any_collection_is_refused_with_its_place,
    |app| async move {
        let root = app.person_with("root", Role::Admin).await;
        for (collection, action, rule, wanted) in [
            (
                "dashboards",
                ".manage",
                "auth.is_admin &&",
                "line 1, column",
            ),
            ("notifications", ".read", "data.severity == 'x'", "severity"),
            ("users", ".own", "data.owner", "must be true or false"),
            ("gadgets", ".read", "true", "unknown collection"),
        ] {
            let body = json!({ "rules": { collection: { action: rule } } });
            let refusal = root.client.post(RULES, body).await.expect(422);
            let text = refusal.to_string();
            assert!(text.contains(collection) && text.contains(wanted), "{text}");
        }
        let shown = root.client.get(RULES).await.expect(200);
        assert_eq!(shown["revision"], 0);
    }
);

story!(live_events_follow_the_rules_at_once, |app| async move {
    let root = app.person_with("root", Role::Admin).await;
    let ada = app.person("ada").await;
    let (open, _) = ada.device("open").await;
    let (secret, _) = ada.device("secret").await;
    let server = app.serve().await;
    let mut socket = server.socket("/ws", Some(&ada.token)).await.unwrap();
    let bearer = format!("Bearer {}", ada.token);
    let mut stream = server
        .events("/events/stream", &[("authorization", &bearer)])
        .await;
    stream.next().await;
    let mut admin = server.socket("/ws", Some(&root.token)).await.unwrap();
    admin
        .send(json!({ "type": "subscribe", "channels": ["admin"] }))
        .await;
    admin.until("subscribed").await;
    socket.next().await;
    measured(&app, &secret, json!({ "t": 1 }));
    assert_eq!(socket.next().await["device_id"], json!(secret));
    assert_eq!(stream.next().await["device_id"], json!(secret));
    assert_eq!(admin.next().await["device_id"], json!(secret));
    // The sockets are open: the rule holds for their next event.
    let hidden = json!({ "devices": { ".read": "data.name != 'secret' || auth.is_admin" } });
    change(&root, hidden).await;
    measured(&app, &secret, json!({ "t": 2 }));
    measured(&app, &open, json!({ "t": 3 }));
    for frame in [socket.next().await, stream.next().await] {
        assert_eq!(frame["device_id"], json!(open), "{frame}");
    }
    assert_eq!(admin.next().await["data"]["t"], 2);
    assert_eq!(admin.next().await["data"]["t"], 3);
    // A name is part of the decision: renamed is another thing.
    let path = format!("/devices/{secret}");
    root.client
        .patch(&path, json!({ "name": "public" }))
        .await
        .expect(200);
    measured(&app, &secret, json!({ "t": 4 }));
    assert_eq!(socket.next().await["data"]["t"], 4);
    // Its values may be hidden while its coming and going is not.
    change(&root, json!({ "telemetry": { ".read": false } })).await;
    measured(&app, &open, json!({ "t": 5 }));
    let status = Event::Status {
        device: device(&app, &open),
        online: true,
        at: START_MS,
    };
    live::publish(&app.app, status);
    assert_eq!(socket.next().await["type"], "status_update");
});

story!(notifications_follow_the_rules, |app| async move {
    let root = app.person_with("root", Role::Admin).await;
    let ada = app.person("ada").await;
    let server = app.serve().await;
    let mut socket = server.socket("/ws", Some(&ada.token)).await.unwrap();
    socket.next().await;
    for (title, kind) in [("Frost", "warning"), ("Thaw", "info")] {
        notify(&app, &ada, title, kind).await;
        socket.next().await;
    }
    let ids = ada.client.get("/notifications").await.expect(200);
    let id = |at: usize| ids["notifications"][at]["_id"].as_str().unwrap().to_owned();
    let (thaw, frost) = (id(0), id(1));
    let rules = json!({ "notifications": { ".read": "data.kind != 'warning'", ".own": "data.name != 'Thaw'" } });
    change(&root, rules).await;
    notify(&app, &ada, "Ice", "warning").await;
    notify(&app, &ada, "Rain", "info").await;
    assert_eq!(socket.next().await["notification"]["title"], "Rain");
    let inbox = ada.client.get("/notifications?limit=1").await.expect(200);
    assert_eq!(inbox["unread_count"], 2);
    assert_eq!(inbox["notifications"][0]["title"], "Rain");
    let read = format!("/notifications/{frost}/read");
    ada.client.put(&read, json!({})).await.expect(404);
    let marked = ada.client.put("/notifications/read-all", json!({})).await;
    assert_eq!(marked.expect(200)["modified_count"], 2);
    let path = format!("/notifications/{thaw}");
    ada.client.delete(&path).await.expect(403);
    ada.client.delete("/notifications").await.expect(204);
    // What was hidden is still there, unread and undeleted, when the rule is gone.
    change(&root, json!({ "notifications": { ".read": true } })).await;
    let inbox = ada.client.get("/notifications").await.expect(200);
    assert_eq!(inbox["unread_count"], 2);
    let left = inbox["notifications"].as_array().unwrap().iter();
    let left: Vec<_> = left.map(|n| n["title"].as_str().unwrap()).collect();
    assert_eq!(left, ["Ice", "Thaw", "Frost"]);
});

story!(
    a_touched_widget_is_told_only_to_those_who_may_see_it,
    |app| async move {
        let root = app.person_with("root", Role::Admin).await;
        let ada = app.person("ada").await;
        let (lamp, _) = ada.device("lamp").await;
        let mut widgets = Vec::new();
        for name in ["Home", "Hidden"] {
            let board = dashboard(&ada.client, name).await;
            let led = json!({ "dashboard_id": board, "device_id": lamp, "type": "led" });
            let made = ada.client.post("/widgets", led).await.expect(200);
            widgets.push(made["_id"].as_str().unwrap().to_owned());
        }
        change(
            &root,
            json!({ "dashboards": { ".read": "data.name != 'Hidden'" } }),
        )
        .await;
        let server = app.serve().await;
        let mut socket = server.socket("/ws", Some(&ada.token)).await.unwrap();
        socket.next().await;
        let state = format!("/widgets/{}/state", widgets[0]);
        let touched = ada.client.post(&state, json!({ "state": 1 })).await;
        touched.expect(200);
        // Both widgets show the same key; only one of them is told.
        assert_eq!(
            socket.until("widget_update").await["widget"]["_id"],
            json!(widgets[0])
        );
        socket.send(json!({ "type": "ping" })).await;
        loop {
            let frame = socket.next().await;
            assert_ne!(frame["widget"]["_id"], json!(widgets[1]));
            if frame["type"] == "pong" {
                break;
            }
        }
    }
);
