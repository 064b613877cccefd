//! Old clients keep working: the requests of the existing firmware and app, byte for byte, and every field they
//! read of the answers.

use espalier_testkit::{Answer, story};
use serde_json::{Value, json};

/// Fails unless every key is there, whatever its value.
#[track_caller]
fn has(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "no {key:?} in {value}");
    }
}

fn hex_id(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What the firmware sends: no `Content-Length` games, a `String` put together by hand, `timestamp` from `millis()`.
async fn firmware_post(client: &espalier_testkit::Client, path: &str, body: &str) -> Answer {
    client
        .send(
            "POST".parse().unwrap(),
            path,
            Some("application/json"),
            body.to_owned(),
        )
        .await
}

story!(
    the_existing_firmware_reports_polls_and_obeys,
    |app| async move {
        let ada = app.person("ada").await;
        let (id, token) = ada.device("ESP32").await;
        assert_eq!((id.len(), token.len()), (24, 32));
        let board = app.anonymous();

        // main.ino: every ten seconds.
        let body = format!(
            "{{\"device_token\":\"{token}\",\"data\":{{\"v0\":0,\"v1\":0,\"v2\":0,\"v3\":0,\"v4\":0,\"led\":0,\"timestamp\":123456}}}}"
        );
        let answer = firmware_post(&board, "/telemetry", &body).await.expect(200);
        has(
            &answer,
            &["message", "device_id", "led", "updated_data", "timestamp"],
        );
        assert_eq!(
            (&answer["message"], &answer["device_id"], &answer["led"]),
            (&json!("ok"), &json!(id), &json!(0))
        );
        assert_eq!(answer["updated_data"]["v4"], 0);

        // The guide's sketch.
        let body = format!(
            "{{\"device_token\":\"{token}\",\"data\":{{\"temperature\":24.50,\"humidity\":60.00,\"v0\":0}}}}"
        );
        let answer = firmware_post(&board, &format!("/devices/{id}/telemetry"), &body)
            .await
            .expect(200);
        has(&answer, &["message", "device_id", "data", "timestamp"]);
        assert_eq!(answer["data"]["temperature"], 24.5);
        assert!(!answer.to_string().contains("_iot_"), "{answer}");

        // Every three seconds: the poll finds what the app has asked for.
        let widget = {
            let dashboard = ada
                .client
                .post("/dashboards", json!({ "name": "Home" }))
                .await
                .expect(200);
            let new = json!({ "dashboard_id": dashboard["_id"], "device_id": id, "type": "led", "label": "Lamp" });
            ada.client.post("/widgets", new).await.expect(200)
        };
        assert_eq!(widget["config"]["virtual_pin"], "v0");
        let pressed = ada
            .client
            .post(
                &format!("/widgets/{}/state", widget["_id"].as_str().unwrap()),
                json!({ "state": 1 }),
            )
            .await;
        let pressed = pressed.expect(200);
        has(&pressed, &["message", "state", "virtual_pin", "timestamp"]);
        let poll = board
            .get(&format!("/telemetry/latest?device_token={token}"))
            .await
            .expect(200);
        has(&poll, &["device_id", "data", "timestamp"]);
        assert_eq!(poll["data"]["v0"], 1);

        // Its next post still holds the old value: the wish must survive it (bug 2 of the old system).
        let stale =
            format!("{{\"device_token\":\"{token}\",\"data\":{{\"v0\":0,\"timestamp\":133456}}}}");
        firmware_post(&board, "/telemetry", &stale)
            .await
            .expect(200);
        let poll = board
            .get(&format!("/telemetry/latest?device_token={token}"))
            .await
            .expect(200);
        assert_eq!(poll["data"]["v0"], 1);
        let obeyed = stale.replace("\"v0\":0", "\"v0\":1");
        firmware_post(&board, "/telemetry", &obeyed)
            .await
            .expect(200);
        let widgets = ada
            .client
            .get(&format!(
                "/widgets/{}",
                widget["dashboard_id"].as_str().unwrap()
            ))
            .await
            .expect(200);
        assert_eq!(
            (&widgets[0]["state"], &widgets[0]["value"]),
            (&json!("done"), &json!(1)),
            "{widgets}"
        );
    }
);

story!(
    the_codes_that_the_firmware_branches_on_are_kept,
    |app| async move {
        let ada = app.person("ada").await;
        let (id, token) = ada.device("ESP32").await;
        let (_, other) = ada.device("other").await;
        let board = app.anonymous();
        let data = json!({ "temperature": 20 });
        let post = |path: String, body: Value| {
            let board = board.clone();
            async move { board.post(&path, body).await.status }
        };
        let good = json!({ "device_token": token, "data": data });
        assert_eq!(
            post("/devices/not-an-id/telemetry".to_owned(), good.clone()).await,
            400
        );
        assert_eq!(
            post(
                "/devices/0123456789abcdef01234567/telemetry".to_owned(),
                good.clone()
            )
            .await,
            404
        );
        let wrong = json!({ "device_token": other, "data": data });
        assert_eq!(post(format!("/devices/{id}/telemetry"), wrong).await, 403);
        assert_eq!(
            post(
                format!("/devices/{id}/telemetry"),
                json!({ "device_token": token, "data": 5 })
            )
            .await,
            422
        );
        assert_eq!(
            post(
                "/telemetry".to_owned(),
                json!({ "device_token": "0".repeat(32), "data": data })
            )
            .await,
            404
        );
        assert_eq!(
            post("/telemetry".to_owned(), json!({ "data": data })).await,
            400
        );
        assert_eq!(
            board
                .get(&format!(
                    "/telemetry/latest?device_token={}",
                    "0".repeat(32)
                ))
                .await
                .status,
            404
        );
        let health = board.get("/health").await.expect(200);
        has(
            &health,
            &[
                "status",
                "timestamp",
                "database",
                "websocket_connections",
                "mqtt",
                "kafka",
            ],
        );
        assert_eq!(
            (&health["status"], &health["database"]),
            (&json!("healthy"), &json!("connected"))
        );
    }
);

story!(
    the_existing_app_signs_up_and_manages_its_things,
    |app| async move {
        let anyone = app.anonymous();
        let new = json!({ "email": "Grace@Example.com", "username": "grace_h", "password": "Nanosecond1", "full_name": "Grace" });
        let signed = anyone.post("/signup", new.clone()).await.expect(200);
        has(
            &signed,
            &["access_token", "refresh_token", "token_type", "user"],
        );
        assert_eq!(signed["token_type"], "bearer");
        has(
            &signed["user"],
            &[
                "id",
                "email",
                "username",
                "full_name",
                "role",
                "is_active",
                "created_at",
                "last_login",
                "notification_settings",
                "integrations",
            ],
        );
        anyone.post("/signup", new).await.expect(400);

        anyone
            .form("/token", "username=grace_h&password=Nanosecond1")
            .await
            .expect(200);
        anyone
            .form(
                "/token",
                "username=grace%40example.com&password=Nanosecond1",
            )
            .await
            .expect(200);
        let refused = anyone
            .form("/token", "username=grace_h&password=wrong")
            .await
            .expect(400);
        assert_eq!(refused["detail"], "Incorrect username or password");
        let login = json!({ "email": "grace@example.com", "password": "Nanosecond1" });
        // Two sign-ins in one second (bug 11 of the old system).
        let first = anyone.post("/login", login.clone()).await.expect(200);
        let second = anyone.post("/login", login).await.expect(200);
        assert_ne!(first["access_token"], second["access_token"]);

        let refresh = second["refresh_token"].as_str().unwrap();
        let rotated = anyone
            .post(&format!("/refresh?refresh_token={refresh}"), Value::Null)
            .await
            .expect(200);
        has(&rotated, &["access_token", "refresh_token", "token_type"]);
        anyone
            .post(&format!("/refresh?refresh_token={refresh}"), Value::Null)
            .await
            .expect(401);

        let me = anyone.bearer(first["access_token"].as_str().unwrap());
        let device = me
            .post("/devices", json!({ "name": "Lamp" }))
            .await
            .expect(200);
        has(
            &device,
            &[
                "_id",
                "id",
                "user_id",
                "name",
                "status",
                "last_active",
                "device_token",
            ],
        );
        assert!(hex_id(&device["_id"]) && device["_id"] == device["id"]);
        let token = device["device_token"].as_str().unwrap().to_owned();
        let listed = me.get("/devices").await;
        assert!(
            !listed.text().contains(&token),
            "a list must not hold a token"
        );
        let id = device["_id"].as_str().unwrap();
        let bulk = json!({ "device_ids": [id], "status": "offline" });
        let bulk = me.patch("/devices/bulk/status", bulk).await.expect(200);
        has(&bulk, &["message", "modified_count"]);

        let dashboard = me
            .post(
                "/dashboards",
                json!({ "name": "Home", "description": "all" }),
            )
            .await
            .expect(200);
        has(
            &dashboard,
            &["_id", "user_id", "name", "description", "created_at"],
        );
        let board = dashboard["_id"].as_str().unwrap();
        let new = json!({ "dashboard_id": board, "device_id": id, "label": "Temperature", "config": { "key": "temperature" } });
        let widget = me.post("/widgets", new).await.expect(200);
        has(
            &widget,
            &[
                "_id",
                "dashboard_id",
                "device_id",
                "type",
                "label",
                "value",
                "config",
            ],
        );
        assert_eq!(widget["type"], "telemetry");
        let led = me
            .post(
                "/widgets",
                json!({ "dashboard_id": board, "device_id": id, "type": "led" }),
            )
            .await
            .expect(200);
        for state in [
            json!(1),
            json!(0),
            json!(true),
            json!(false),
            json!("1"),
            json!("0"),
        ] {
            let path = format!("/widgets/{}/state", led["_id"].as_str().unwrap());
            me.post(&path, json!({ "state": state })).await.expect(200);
        }
        me.post(
            &format!("/widgets/{}/state", widget["_id"].as_str().unwrap()),
            json!({ "state": 1 }),
        )
        .await
        .expect(400);
        let layout = json!({ "layout": [{ "id": widget["_id"], "width": 2, "height": 1 }] });
        me.put(&format!("/dashboards/{board}/layout"), layout)
            .await
            .expect(200);
        // Reading widgets needs a sign-in (bug 5 of the old system).
        anyone.get(&format!("/widgets/{board}")).await.expect(401);
        assert_eq!(
            me.get(&format!("/widgets/{board}"))
                .await
                .expect(200)
                .as_array()
                .map(Vec::len),
            Some(2)
        );
        me.patch(
            &format!("/widgets/{}", widget["_id"].as_str().unwrap()),
            json!({ "label": "T" }),
        )
        .await
        .expect(200);

        let history = me
            .get(&format!(
                "/telemetry/history?device_id={id}&key=temperature&period=24h"
            ))
            .await
            .expect(200);
        assert_eq!(
            history,
            json!([]),
            "nothing was measured, so nothing is told"
        );
        let notifications = me.get("/notifications?limit=50").await.expect(200);
        has(&notifications, &["notifications"]);
        me.put("/notifications/read-all", json!({}))
            .await
            .expect(200);
        anyone.get("/__debug/devices").await.expect(404);
        anyone.get("/app/config").await.expect(200);

        me.delete(&format!("/devices/{id}")).await.expect(200);
        me.delete(&format!("/dashboards/{board}")).await.expect(200);
        let out = me.post("/logout", Value::Null).await.expect(200);
        has(&out, &["message", "tokens_deleted", "already_logged_out"]);
        assert_eq!(out["already_logged_out"], false);
        let again = me.post("/logout", Value::Null).await.expect(200);
        assert_eq!(
            (&again["already_logged_out"], &again["tokens_deleted"]),
            (&json!(true), &json!(0))
        );
        me.get("/me").await.expect(401);
    }
);

story!(
    nobody_becomes_somebody_else_by_renaming_themselves,
    |app| async move {
        let victim = app.person("victim").await;
        let thief = app.person("thief").await;
        for change in [
            json!({ "username": "victim@example.com" }),
            json!({ "username": "victim" }),
            json!({ "username": "VICTIM" }),
            json!({ "email": "victim@example.com" }),
            json!({ "email": "Victim@Example.COM" }),
        ] {
            let status = thief.client.put("/me", change.clone()).await.status;
            assert!((400..500).contains(&status), "{change} gave {status}");
        }
        assert_eq!(
            victim.client.get("/me").await.expect(200)["username"],
            "victim"
        );
        assert_eq!(
            thief.client.get("/me").await.expect(200)["username"],
            "thief"
        );
    }
);
