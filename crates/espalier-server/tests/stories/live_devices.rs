//! The device socket: who gets in, what is acknowledged, what is pushed, and when it ends.

use espalier_server::control::{self, Desired, PendingCommand};
use espalier_server::devices::{self, Device};
use espalier_server::{AppState, live};
use espalier_testkit::{Server, Socket, story};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Opens a device socket and reads the welcome.
async fn connect(server: &Server, token: &str) -> Socket {
    let mut socket = server.socket("/ws/device", Some(token)).await.unwrap();
    assert_eq!(socket.next().await["type"], "welcome");
    socket
}

fn held(app: &AppState, oid: &str) -> Arc<Device> {
    app.devices.resolve(oid).expect("the device is known")
}

story!(
    a_device_signs_in_by_header_query_or_hello,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let (oid, token) = ada.device("board").await;
        let mut by_header = server.socket("/ws/device", Some(&token)).await.unwrap();
        let welcome = by_header.next().await;
        assert_eq!(
            welcome,
            json!({"type": "welcome", "device_id": oid, "time": espalier_testkit::START_MS, "heartbeat_s": 30})
        );
        let path = format!("/ws/device?token={token}");
        let mut by_query = server.socket(&path, None).await.unwrap();
        assert_eq!(by_query.next().await["type"], "welcome");
        let mut by_hello = server.socket("/ws/device", None).await.unwrap();
        by_hello
            .send(json!({"type": "hello", "token": token, "proto": 1, "chip": "esp32c3"}))
            .await;
        assert_eq!(by_hello.next().await["device_id"], oid);
    }
);

story!(
    a_wrong_token_gets_an_error_frame_and_4401,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        for token in ["0123456789abcdef0123456789abcdef", ada.token.as_str()] {
            let mut socket = server.socket("/ws/device", Some(token)).await.unwrap();
            assert_eq!(socket.next().await["code"], "unauthorized");
            assert_eq!(socket.next_or_close().await, Err(Some(4401)));
        }
        let mut silent = server.socket("/ws/device", None).await.unwrap();
        silent.send(json!({"type": "ping"})).await;
        assert_eq!(silent.close_code().await, 4401);
    }
);

story!(every_message_is_acknowledged_by_its_id, |app| async move {
    let (server, ada) = (app.serve().await, app.person("ada").await);
    let mut board = connect(&server, &ada.device("board").await.1).await;
    let frames = [
        json!({"type": "telemetry", "id": 1, "data": {"t": 21.5}}),
        json!({"type": "telemetry", "id": 2, "samples": [{"ts": espalier_testkit::START_MS, "data": {"t": 1}}]}),
        json!({"type": "reported", "id": 3, "state": {"v0": {"value": true, "version": 0}}}),
        json!({"type": "heartbeat", "id": 4, "uptime_s": 7, "heap_free": 1000, "rssi": -60}),
        json!({"type": "telemetry", "id": 1, "data": {"t": 21.5}}),
    ];
    for frame in frames {
        let id = frame["id"].clone();
        board.send(frame).await;
        assert_eq!(board.next().await, json!({"type": "ack", "id": id}));
    }
    // A heartbeat without an id is stored, but not answered.
    board
        .send(json!({"type": "heartbeat", "uptime_s": 8}))
        .await;
    board.send(json!({"type": "ping"})).await;
    assert_eq!(
        board.next().await,
        json!({"type": "pong", "time": espalier_testkit::START_MS})
    );
});

story!(
    a_refusal_of_a_board_reaches_whoever_wants_the_value,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let (oid, token) = ada.device("board").await;
        let set = format!("/devices/{oid}/desired");
        let state = format!("/devices/{oid}/state");
        let wanted = json!({"schedules": [{"key": "v0"}], "led_mode": 3, "v0": true});
        let query = format!("{set}?expires_in_seconds=60");
        ada.client.put(&query, wanted).await.expect(200);
        let mut watcher = server.socket("/ws", Some(&ada.token)).await.unwrap();
        let mut board = connect(&server, &token).await;
        assert_eq!(board.next().await["state"].as_object().unwrap().len(), 3);
        let why = "schedule 1 names no time";
        board
            .send(json!({"type": "reported", "id": 1, "state": {
                "schedules": {"value": [], "version": 1, "error": why},
                "led_mode": {"value": null, "version": 1, "error": "no \u{7}such switch"},
                "other": {"value": null, "version": 1, "error": "nobody wanted it"},
                "v0": {"value": true, "version": 1}}}))
            .await;
        assert_eq!(board.next().await, json!({"type": "ack", "id": 1}));
        loop {
            let told = watcher.until("desired_update").await;
            if told["key"] == "schedules" {
                assert_eq!(
                    (&told["state"], &told["reason"]),
                    (&json!("refused"), &json!(why))
                );
                break;
            }
        }
        let now = ada.client.get(&state).await.expect(200)["state"].clone();
        assert_eq!(now["schedules"]["status"], "refused");
        assert_eq!(now["schedules"]["reason"], why);
        assert_eq!(now["schedules"]["reported"], json!([]));
        assert_eq!(now["led_mode"]["reason"], "no such switch");
        assert_eq!(
            (&now["v0"]["status"], &now["v0"]["reason"]),
            (&json!("done"), &Value::Null)
        );
        assert!(now.get("other").is_none());
        // It is not tried again and does not run out, also over a restart; what is set anew is.
        let mut app = app;
        drop((board, watcher));
        app.restart().await;
        app.clock.advance(120_000);
        control::tick(&app.app).await.unwrap();
        let (server, ada) = (app.serve().await, app.anonymous().bearer(&ada.token));
        let now = ada.get(&state).await.expect(200)["state"].clone();
        assert_eq!(
            (&now["schedules"]["status"], &now["schedules"]["reason"]),
            (&json!("refused"), &json!(why))
        );
        let mut board = connect(&server, &token).await;
        let good = json!({"schedules": []});
        ada.put(&set, good).await.expect(200);
        let told = board.until("desired").await;
        assert_eq!(
            told["state"],
            json!({"schedules": {"value": [], "version": 2}})
        );
        let now = ada.get(&state).await.expect(200)["state"].clone();
        assert_eq!(
            (&now["schedules"]["status"], &now["schedules"]["reason"]),
            (&json!("pending"), &Value::Null)
        );
        // By HTTP the same.
        let body = json!({"data": {}, "reported": {"schedules": {"value": null, "version": 2, "error": "not now"}}});
        let path = format!("/devices/{oid}/telemetry");
        app.anonymous()
            .bearer(&token)
            .post(&path, body)
            .await
            .expect(200);
        let now = ada.get(&state).await.expect(200)["state"].clone();
        assert_eq!(now["schedules"]["reason"], "not now");
    }
);

story!(
    a_board_without_a_socket_gives_signs_of_life,
    |app| async move {
        let ada = app.person("ada").await;
        let ((oid, token), (other, _)) = (ada.device("board").await, ada.device("other").await);
        let path = format!("/devices/{oid}/heartbeat");
        let body = json!({"firmware": {"version": "1.2.0", "sha256": "ab".repeat(32), "trial": true}, "chip": "esp32c3",
            "board": "weather", "expected_interval_s": 60, "boots": 7, "uptime_s": 3600, "heap_free": 120_000,
            "rssi": -61, "boot_reason": "panic"});
        let board = app.anonymous().bearer(&token);
        let answer = board.post(&path, body.clone()).await.expect(200);
        assert_eq!(
            answer,
            json!({"message": "ok", "time": espalier_testkit::START_MS})
        );
        let device = ada.client.get(&format!("/devices/{oid}")).await.expect(200);
        assert_eq!(device["status"], "online");
        let running = ada
            .client
            .get(&format!("/devices/{oid}/firmware"))
            .await
            .expect(200)
            .clone();
        for (key, value) in [
            ("version", json!("1.2.0")),
            ("sha256", json!("ab".repeat(32))),
            ("trial", json!(true)),
            ("boots", json!(7)),
            ("boot_reason", json!("panic")),
            ("heap_free", json!(120_000)),
            ("rssi", json!(-61)),
            ("uptime_s", json!(3600)),
        ] {
            assert_eq!(running[key], value, "{key}");
        }
        let latest = ada
            .client
            .get(&format!("/devices/{oid}/telemetry/latest"))
            .await
            .expect(200);
        assert_eq!(latest["data"]["heap_free"], 120_000);
        // Who may not, and what is no sign of life.
        board
            .post(&format!("/devices/{other}/heartbeat"), body.clone())
            .await
            .expect(403);
        board
            .post("/devices/nobody/heartbeat", body.clone())
            .await
            .expect(404);
        app.anonymous().post(&path, body.clone()).await.expect(401);
        ada.client.post(&path, body.clone()).await.expect(403);
        board
            .post(&path, json!({"chip": "esp32c3"}))
            .await
            .expect(422);
        let mut huge = body.clone();
        huge["board"] = json!("x".repeat(70_000));
        board.post(&path, huge).await.expect(413);
        let mut by_body = body;
        by_body["device_token"] = json!(token);
        app.anonymous().post(&path, by_body).await.expect(200);
    }
);

story!(
    many_messages_may_be_in_flight_and_all_are_answered,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let mut board = connect(&server, &ada.device("board").await.1).await;
        for id in 0..500 {
            let frame = json!({"type": "telemetry", "id": id, "data": {"n": id}});
            board.send(frame).await;
        }
        let mut answered: Vec<u64> = Vec::new();
        for _ in 0..500 {
            let ack = board.next().await;
            assert_eq!(ack["type"], "ack");
            answered.push(ack["id"].as_u64().unwrap());
        }
        answered.sort_unstable();
        assert_eq!(answered, (0..500).collect::<Vec<_>>());
    }
);

story!(
    one_bad_frame_is_refused_with_its_id_and_nothing_else_happens,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let mut board = connect(&server, &ada.device("board").await.1).await;
        let cases: [(&str, Value, &str); 6] = [
            ("{", Value::Null, "bad_message"),
            (r#"{"type":"telemetry","id":5}"#, json!(5), "bad_message"),
            (
                r#"{"type":"telemetry","id":6,"data":[]}"#,
                json!(6),
                "bad_message",
            ),
            (r#"{"type":"dance","id":7}"#, json!(7), "unknown_type"),
            (
                r#"{"type":"reported","id":8,"state":{"ä":{"value":1,"version":1}}}"#,
                json!(8),
                "invalid_data",
            ),
            (
                r#"{"type":"telemetry","id":9,"data":{"t":1e999}}"#,
                json!(9),
                "invalid_data",
            ),
        ];
        for (text, id, code) in cases {
            board.send_text(text).await;
            let error = board.next().await;
            assert_eq!(error["type"], "error", "{text}");
            assert_eq!(error["code"], code, "{text}");
            assert_eq!(error.get("id").cloned().unwrap_or_default(), id, "{text}");
            assert!(!error["detail"].as_str().unwrap().is_empty());
            assert!(
                error.get("retry_after_ms").is_none(),
                "again would not help"
            );
        }
        board
            .send(json!({"type": "telemetry", "id": 10, "data": {"t": 1}}))
            .await;
        assert_eq!(board.next().await, json!({"type": "ack", "id": 10}));
    }
);

story!(
    garbage_is_closed_with_1008_and_a_large_frame_with_1009,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let (_, token) = ada.device("board").await;
        let mut board = connect(&server, &token).await;
        for _ in 0..40 {
            board.send_text("x").await;
        }
        assert_eq!(board.close_code().await, 1008);
        let mut board = connect(&server, &token).await;
        let large = "x".repeat(65 * 1024);
        board
            .send(json!({"type": "telemetry", "id": 1, "data": {"text": large}}))
            .await;
        assert_eq!(board.close_code().await, 1009);
    }
);

story!(
    a_newer_connection_of_the_same_device_replaces_the_older,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let (oid, token) = ada.device("board").await;
        let mut first = connect(&server, &token).await;
        let mut second = connect(&server, &token).await;
        assert_eq!(first.next().await["code"], "replaced");
        assert_eq!(first.next_or_close().await, Err(Some(4409)));
        assert_eq!(app.app.live.connected_devices(), 1);
        let device = held(&app.app, &oid);
        let desired = BTreeMap::from([(
            "v0".to_owned(),
            Desired {
                value: json!(1),
                version: 1,
            },
        )]);
        assert!(live::push_desired(&app.app, device.id, &desired));
        assert_eq!(second.next().await["type"], "desired");
    }
);

story!(
    desired_values_and_commands_are_pushed_at_once,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let (oid, token) = ada.device("board").await;
        let device = held(&app.app, &oid);
        let desired = BTreeMap::from([
            (
                "v0".to_owned(),
                Desired {
                    value: json!(true),
                    version: 4,
                },
            ),
            (
                "text \"quoted\"".to_owned(),
                Desired {
                    value: json!({"a": ["ü", 1.5]}),
                    version: 9,
                },
            ),
        ]);
        let command = PendingCommand {
            id: "c1".to_owned(),
            name: "identify".to_owned(),
            params: json!({"seconds": 3}),
            expires_at: espalier_testkit::START_MS + 1_000,
        };
        assert!(!live::push_desired(&app.app, device.id, &desired));
        assert!(!live::push_command(&app.app, device.id, &command));
        let mut board = connect(&server, &token).await;
        assert!(live::push_desired(&app.app, device.id, &desired));
        assert_eq!(
            board.next().await,
            json!({"type": "desired", "state": {
                "text \"quoted\"": {"value": {"a": ["ü", 1.5]}, "version": 9},
                "v0": {"value": true, "version": 4},
            }})
        );
        assert!(live::push_command(&app.app, device.id, &command));
        assert_eq!(
            board.next().await,
            json!({"type": "command", "id": "c1", "name": "identify", "params": {"seconds": 3},
                   "expires_at": espalier_testkit::START_MS + 1_000})
        );
    }
);

story!(
    a_renewed_token_or_a_deleted_device_closes_with_4401,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let (oid, token) = ada.device("board").await;
        let mut board = connect(&server, &token).await;
        let path = format!("/devices/{oid}/token");
        let answer = ada.client.post(&path, json!({})).await;
        assert!(answer.status < 300, "{}", answer.text());
        assert_eq!(board.next().await["code"], "unauthorized");
        assert_eq!(board.next_or_close().await, Err(Some(4401)));
        let mut late = server.socket("/ws/device", Some(&token)).await.unwrap();
        assert_eq!(late.close_code().await, 4401);
        let (oid, token) = ada.device("other").await;
        let mut board = connect(&server, &token).await;
        let path = format!("/devices/{oid}");
        ada.client.delete(&path).await.expect(200);
        assert_eq!(board.close_code().await, 4401);
    }
);

story!(
    what_waits_for_a_device_is_handed_over_when_it_connects,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let (oid, token) = ada.device("board").await;
        let device = held(&app.app, &oid);
        let desired = BTreeMap::from([("v0".to_owned(), json!(1)), ("v1".to_owned(), json!(2))]);
        control::set_desired(&app.app, &device, "test", desired, None)
            .await
            .expect("the values are stored");
        let path = format!("/devices/{oid}/commands");
        let command = json!({"name": "identify", "params": {"s": 1}});
        let sent = ada.client.post(&path, command).await;
        assert!(sent.status < 300, "{}", sent.text());
        let mut board = connect(&server, &token).await;
        let pending = board.next().await;
        assert_eq!(pending["type"], "desired");
        assert_eq!(pending["state"]["v0"]["value"], 1);
        assert_eq!(pending["state"]["v1"]["value"], 2);
        let command = board.next().await;
        assert_eq!(command["type"], "command");
        assert_eq!(command["name"], "identify");
        // What is reported with its version is done, and not handed over again.
        let version = pending["state"]["v0"]["version"].clone();
        let state = json!({"v0": {"value": 1, "version": version}});
        board
            .send(json!({"type": "reported", "id": 1, "state": state}))
            .await;
        assert_eq!(board.until("ack").await["id"], 1);
        let result =
            json!({"type": "command_result", "id": command["id"], "ok": true, "result": {"n": 1}});
        board.send(result).await;
        board
            .send(json!({"type": "command_result", "id": "nobody", "ok": true}))
            .await;
        assert_eq!(board.until("error").await["code"], "unknown_command");
        let mut again = connect(&server, &token).await;
        let pending = again.next().await;
        assert_eq!(pending["type"], "desired");
        assert!(pending["state"].get("v0").is_none());
        assert_eq!(pending["state"]["v1"]["value"], 2);
        again.send(json!({"type": "ping"})).await;
        assert_eq!(
            again.next().await["type"],
            "pong",
            "no command waits any more"
        );
    }
);

story!(
    a_device_that_sends_too_much_is_told_when_to_send_again_and_then_closed_with_1008,
    |app| async move {
        let engine = app.engine();
        let app = espalier_testkit::TestApp::with(engine, |c| c.socket_frames_per_second = 1).await;
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let mut board = connect(&server, &ada.device("board").await.1).await;
        let telemetry = |id: u32| json!({"type": "telemetry", "id": id, "data": {"n": id}});
        for id in 0..10 {
            board.send(telemetry(id)).await;
            assert_eq!(board.next().await, json!({"type": "ack", "id": id}));
        }
        board.send(telemetry(10)).await;
        let error = board.next().await;
        assert_eq!(error["code"], "rate_limited", "{error}");
        assert_eq!(error["id"], 10);
        assert_eq!(error["retry_after_ms"], 1_000);
        app.clock.advance(1_000);
        board.send(telemetry(10)).await;
        assert_eq!(board.next().await, json!({"type": "ack", "id": 10}));
        for id in 11..111 {
            board.send(telemetry(id)).await;
        }
        assert_eq!(board.close_code().await, 1008);
        let metrics = app.anonymous().get("/metrics").await.expect(200);
        // The eleventh, and all of the flood but the one that closed the socket.
        assert_eq!(metrics["live"]["frames_refused"], 99, "{metrics}");
        assert_eq!(metrics["telemetry"]["points_accepted"], 11, "{metrics}");
    }
);

story!(
    a_device_that_does_not_read_is_cut_off_with_1013,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let (oid, token) = ada.device("board").await;
        let mut board = connect(&server, &token).await;
        let device = held(&app.app, &oid);
        let command = PendingCommand {
            id: "c1".to_owned(),
            name: "show".to_owned(),
            params: json!({"text": "x".repeat(50_000)}),
            expires_at: espalier_testkit::START_MS + 1_000,
        };
        while live::push_command(&app.app, device.id, &command) {}
        assert_eq!(app.app.live.cut_off()[1], ("device", 1));
        assert_eq!(board.close_code().await, 1013);
    }
);

/// Waits until everything that the device sent before is handled.
async fn handled(board: &mut Socket) {
    let state = json!({"settled": {"value": 1, "version": 0}});
    board
        .send(json!({"type": "reported", "id": 77, "state": state}))
        .await;
    assert_eq!(board.until("ack").await["id"], 77);
}

async fn facts(client: &espalier_testkit::Client, oid: &str, chip: &str) -> Value {
    // The greeting has no answer: the device shows it as soon as it is stored.
    loop {
        let device = client.get(&format!("/devices/{oid}")).await.expect(200);
        if device["facts"]["chip"] == chip {
            return device["facts"].clone();
        }
        tokio::task::yield_now().await;
    }
}

story!(
    what_a_board_says_of_itself_is_kept_and_drives_presence_unless_the_owner_said_otherwise,
    |app| async move {
        let mut app = app;
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let (oid, token) = ada.device("board").await;
        let path = format!("/devices/{oid}");
        let before = ada.client.get(&path).await.expect(200);
        assert_eq!(before["facts"], Value::Null);
        let mut board = connect(&server, &token).await;
        let hello = json!({"type": "hello", "firmware": {"version": "1.2.0", "sha256": "ab"},
            "chip": "esp32c3", "board": "weather", "expected_interval_s": 100});
        board.send(hello.clone()).await;
        let said = json!({"firmware_version": "1.2.0", "firmware_sha256": "ab", "chip": "esp32c3",
            "board": "weather", "expected_interval_seconds": 100});
        assert_eq!(facts(&ada.client, &oid, "esp32c3").await, said);
        let introduced = |events: Value| {
            let list = events.as_array().or(events["events"].as_array()).cloned();
            list.unwrap()
                .iter()
                .filter(|e| e["kind"] == "introduced")
                .count()
        };
        // The same again, in this connection or by the first frame of the next, is no news.
        board.send(hello.clone()).await;
        handled(&mut board).await;
        let mut again = server.socket("/ws/device", None).await.unwrap();
        let mut with_token = hello.clone();
        with_token["token"] = json!(token);
        again.send(with_token.clone()).await;
        assert_eq!(again.until("welcome").await["device_id"], oid);
        handled(&mut again).await;
        devices::tick(&app.app).await.unwrap();
        let events = ada.client.get(&format!("{path}/events")).await.expect(200);
        assert_eq!(introduced(events), 1);
        // Three times what it says of itself, not three times the default.
        let status = |app: &AppState| held(app, &oid).is_online();
        app.clock.advance(299_000);
        devices::tick(&app.app).await.unwrap();
        assert!(status(&app.app));
        app.clock.advance(2_000);
        devices::tick(&app.app).await.unwrap();
        assert!(!status(&app.app));
        // The owner's word wins.
        let owners = json!({"expected_interval_seconds": 10});
        ada.client.patch(&path, owners).await.expect(200);
        let device = held(&app.app, &oid);
        devices::seen(&app.app, &device);
        app.clock.advance(31_000);
        devices::tick(&app.app).await.unwrap();
        assert!(!status(&app.app));
        // New firmware is news, by the first frame too; and all of it outlives a restart.
        let mut updated = server.socket("/ws/device", None).await.unwrap();
        with_token["firmware"] = json!({"version": "1.3.0"});
        with_token["chip"] = json!("esp32c6");
        updated.send(with_token).await;
        let newer = facts(&ada.client, &oid, "esp32c6").await;
        assert_eq!(newer["firmware_version"], "1.3.0");
        assert_eq!(newer["firmware_sha256"], Value::Null);
        drop(server);
        app.restart().await;
        let client = app.anonymous().bearer(&ada.token);
        assert_eq!(facts(&client, &oid, "esp32c6").await, newer);
    }
);
