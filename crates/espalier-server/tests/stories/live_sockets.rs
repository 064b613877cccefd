//! The app socket: who gets in, what is heard, and what a slow reader costs others.

use espalier_server::devices::{self, Device};
use espalier_server::live::{self, Event};
use espalier_server::{AppState, identity};
use espalier_testkit::{Person, START_MS, Server, Socket, story};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A device of a person, as the server holds it.
async fn device(app: &AppState, person: &Person, name: &str) -> Arc<Device> {
    devices::create(app, person.account, name)
        .await
        .expect("the device is created")
        .0
}

/// Opens the app socket and reads its greeting.
async fn listen(server: &Server, person: &Person) -> Socket {
    let mut socket = server.socket("/ws", Some(&person.token)).await.unwrap();
    assert_eq!(socket.next().await["type"], "connected");
    socket
}

fn measured(app: &AppState, device: &Arc<Device>, data: Value) {
    let data: Map<String, Value> = serde_json::from_value(data).unwrap();
    live::publish(
        app,
        Event::Telemetry {
            device: device.clone(),
            ts: START_MS,
            data: Arc::new(data),
        },
    );
}

story!(
    a_socket_is_opened_with_a_token_in_header_query_or_first_frame,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        listen(&server, &ada).await.close().await;
        let path = format!("/ws?token={}", ada.token);
        let mut by_query = server.socket(&path, None).await.unwrap();
        assert_eq!(by_query.next().await["type"], "connected");
        let mut by_frame = server.socket("/ws", None).await.unwrap();
        by_frame
            .send(json!({"type": "auth", "token": ada.token}))
            .await;
        let connected = by_frame.next().await;
        assert_eq!(connected["type"], "connected");
        assert_eq!(connected["timestamp"], "2026-03-01T12:00:00.000Z");
    }
);

story!(
    a_wrong_token_is_accepted_and_then_closed_with_4401,
    |app| async move {
        let server = app.serve().await;
        let (_, device_token) = app.person("ada").await.device("board").await;
        for token in ["esp_at_wrong", device_token.as_str()] {
            let mut socket = server.socket("/ws", Some(token)).await.unwrap();
            assert_eq!(socket.next_or_close().await, Err(Some(4401)));
        }
        let mut late = server.socket("/ws", None).await.unwrap();
        late.send(json!({"type": "auth", "token": "esp_at_wrong"}))
            .await;
        assert_eq!(late.next_or_close().await, Err(Some(4401)));
        let mut rude = server.socket("/ws", None).await.unwrap();
        rude.send_text("hello?").await;
        assert_eq!(rude.next_or_close().await, Err(Some(4401)));
    }
);

story!(a_plain_request_is_told_to_use_websocket, |app| async move {
    for path in ["/ws", "/ws/device"] {
        let problem = app.anonymous().get(path).await.expect(426);
        assert_eq!(problem["code"], "upgrade_required");
    }
});

story!(
    pings_are_answered_and_unknown_frames_are_refused_without_closing,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let mut socket = listen(&server, &ada).await;
        socket.send(json!({"type": "ping"})).await;
        let pong = socket.next().await;
        assert_eq!(
            pong,
            json!({"type": "pong", "timestamp": "2026-03-01T12:00:00.000Z"})
        );
        for text in ["ping", "{", "[]", r#"{"type":"dance"}"#, r#"{"type":7}"#] {
            socket.send_text(text).await;
            let error = socket.next().await;
            assert_eq!(error["type"], "error", "{text}");
            assert!(error["message"].as_str().unwrap().contains("ping"));
        }
        socket.send(json!({"type": "ping"})).await;
        assert_eq!(socket.next().await["type"], "pong");
    }
);

story!(a_flood_of_garbage_is_closed_with_1008, |app| async move {
    let (server, ada) = (app.serve().await, app.person("ada").await);
    let mut socket = listen(&server, &ada).await;
    for _ in 0..40 {
        socket.send_text("x").await;
    }
    assert_eq!(socket.close_code().await, 1008);
});

story!(
    every_event_arrives_in_the_shape_of_the_contract,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let board = device(&app.app, &ada, "board").await;
        let mut socket = listen(&server, &ada).await;
        let (id, at) = (board.oid.to_string(), "2026-03-01T12:00:00.000Z");

        measured(&app.app, &board, json!({"t": 21.5, "on": true}));
        assert_eq!(
            socket.until("telemetry_update").await,
            json!({"type": "telemetry_update", "device_id": id, "timestamp": at, "data": {"t": 21.5, "on": true}})
        );
        let status = Event::Status {
            device: board.clone(),
            online: true,
            at: START_MS,
        };
        live::publish(&app.app, status);
        assert_eq!(
            socket.until("status_update").await,
            json!({"type": "status_update", "device_id": id, "status": "online", "timestamp": at})
        );
        let widget = Event::Widget {
            account: ada.account,
            dashboard: "d1".to_owned(),
            widget: json!({"_id": "w1"}),
        };
        live::publish(&app.app, widget);
        assert_eq!(
            socket.until("widget_update").await,
            json!({"type": "widget_update", "dashboard_id": "d1", "widget": {"_id": "w1"}, "timestamp": at})
        );
        let deleted = Event::WidgetDeleted {
            account: ada.account,
            dashboard: "d1".to_owned(),
            widget: "w1".to_owned(),
        };
        live::publish(&app.app, deleted);
        assert_eq!(
            socket.until("widget_deleted").await,
            json!({"type": "widget_deleted", "widget_id": "w1", "dashboard_id": "d1", "timestamp": at})
        );
        let desired = Event::Desired {
            device: board.clone(),
            key: "v0".to_owned(),
            value: json!(1),
            version: 3,
            reported_version: 2,
            state: "pending",
            reason: None,
        };
        live::publish(&app.app, desired);
        assert_eq!(
            socket.until("desired_update").await,
            json!({"type": "desired_update", "device_id": id, "key": "v0", "value": 1, "version": 3,
                   "reported_version": 2, "state": "pending"})
        );
        let command = Event::Command {
            device: board.clone(),
            command: json!({"id": "c1", "name": "identify", "params": {"s": 2}, "state": "pending"}),
        };
        live::publish(&app.app, command);
        assert_eq!(
            socket.until("control_command").await,
            json!({"type": "control_command", "device_id": id, "command": "identify", "params": {"s": 2},
                   "timestamp": at})
        );
        assert_eq!(
            socket.until("command_update").await,
            json!({"type": "command_update", "device_id": id, "command_id": "c1", "state": "pending",
                   "timestamp": at})
        );
        live::publish(&app.app, Event::DeviceRemoved { device: board });
        assert_eq!(
            socket.until("device_removed").await,
            json!({"type": "device_removed", "device_id": id, "data": {"id": id}, "timestamp": at})
        );
    }
);

story!(
    an_added_device_is_announced_without_its_token,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let mut socket = listen(&server, &ada).await;
        let (board, token) = devices::create(&app.app, ada.account, "board")
            .await
            .unwrap();
        let added = socket.until("device_added").await;
        assert_eq!(added["data"]["_id"], board.oid.to_string());
        assert_eq!(added["data"]["id"], board.oid.to_string());
        assert_eq!(added["data"]["device_token"], "***");
        assert!(!added.to_string().contains(&token));
        assert!(!added.to_string().contains(&hex(&board.token_digest)));
    }
);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

story!(two_people_never_hear_each_others_events, |app| async move {
    let server = app.serve().await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let admin = app.person_with("root", espalier_model::Role::Admin).await;
    let board_a = device(&app.app, &ada, "a").await;
    let board_b = device(&app.app, &bob, "b").await;
    let (mut a, mut b) = (listen(&server, &ada).await, listen(&server, &bob).await);
    let mut quiet_admin = listen(&server, &admin).await;
    let mut admin_socket = listen(&server, &admin).await;
    admin_socket
        .send(json!({"type": "subscribe", "channels": ["admin"]}))
        .await;
    admin_socket.until("subscribed").await;
    a.send(json!({"type": "subscribe", "channels": ["admin"]}))
        .await;
    assert_eq!(a.next().await["type"], "error");
    measured(&app.app, &board_a, json!({"t": 1}));
    measured(&app.app, &board_b, json!({"t": 2}));
    for (socket, device) in [(&mut a, &board_a), (&mut b, &board_b)] {
        let frame = socket.until("telemetry_update").await;
        assert_eq!(frame["device_id"], device.oid.to_string());
    }
    for socket in [&mut a, &mut b, &mut quiet_admin] {
        // Whatever was published before the pong would have come before it.
        socket.send(json!({"type": "ping"})).await;
        assert_eq!(socket.next().await["type"], "pong");
    }
    assert_eq!(admin_socket.next().await["data"]["t"], 1);
    assert_eq!(admin_socket.next().await["data"]["t"], 2);
});

story!(
    a_share_counts_from_the_moment_it_is_given_until_it_is_taken,
    |app| async move {
        let server = app.serve().await;
        let (ada, bob) = (app.person("ada").await, app.person("bob").await);
        let board = device(&app.app, &ada, "board").await;
        let mut b = listen(&server, &bob).await;
        measured(&app.app, &board, json!({"t": 1}));
        let share = format!("/devices/{}/shares/bob", board.oid);
        let role = json!({"role": "viewer"});
        ada.client.put(&share, role).await.expect(200);
        assert_eq!(b.next().await["type"], "device_added");
        // The event holds the old snapshot, as a device socket may: what counts is who may see it now.
        measured(&app.app, &board, json!({"t": 2}));
        assert_eq!(b.next().await["data"]["t"], 2);
        let answer = ada.client.delete(&share).await;
        assert!(answer.status < 300, "{}", answer.text());
        measured(&app.app, &board, json!({"t": 3}));
        b.send(json!({"type": "ping"})).await;
        assert_eq!(b.next().await["type"], "device_removed");
        assert_eq!(b.next().await["type"], "pong");
    }
);

story!(
    a_subscription_narrows_and_an_unknown_channel_of_old_clients_does_not,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let one = device(&app.app, &ada, "one").await;
        let two = device(&app.app, &ada, "two").await;
        let mut socket = listen(&server, &ada).await;
        let channels = json!([format!("device:{}", one.oid), "dashboard:d1"]);
        socket
            .send(json!({"type": "subscribe", "channels": channels}))
            .await;
        assert_eq!(
            socket.next().await,
            json!({"type": "subscribed", "channels": channels})
        );
        measured(&app.app, &two, json!({"t": 1}));
        measured(&app.app, &one, json!({"t": 2}));
        assert_eq!(socket.next().await["data"]["t"], 2);
        for dashboard in ["d2", "d1"] {
            let event = Event::WidgetDeleted {
                account: ada.account,
                dashboard: dashboard.to_owned(),
                widget: "w".to_owned(),
            };
            live::publish(&app.app, event);
        }
        assert_eq!(socket.next().await["dashboard_id"], "d1");
        socket
            .send(json!({"type": "subscribe", "channels": ["telemetry", "notifications"]}))
            .await;
        assert_eq!(socket.next().await["type"], "subscribed");
        measured(&app.app, &two, json!({"t": 3}));
        assert_eq!(socket.next().await["data"]["t"], 3);
        let other = app.person("bob").await.device("theirs").await.0;
        let channels = json!([format!("device:{other}")]);
        socket
            .send(json!({"type": "subscribe", "channels": channels}))
            .await;
        assert_eq!(socket.next().await["type"], "error");
    }
);

story!(
    a_slow_reader_is_thinned_and_a_fast_one_hears_everything,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let board = device(&app.app, &ada, "board").await;
        let mut slow = listen(&server, &ada).await;
        let mut fast = listen(&server, &ada).await;
        // Enough to fill every buffer between the server and a reader that does not read.
        let (rounds, padding) = (3_000, "x".repeat(4_000));
        for n in 0..rounds {
            measured(&app.app, &board, json!({"n": n, "padding": padding}));
            if n == 10 {
                let status = Event::Status {
                    device: board.clone(),
                    online: true,
                    at: START_MS,
                };
                live::publish(&app.app, status);
                assert_eq!(fast.until("status_update").await["status"], "online");
            } else {
                assert_eq!(fast.next().await["data"]["n"], n);
            }
        }
        measured(&app.app, &board, json!({"last": true}));
        assert_eq!(fast.next().await["data"]["last"], true);
        let (mut heard, mut statuses) = (0, 0);
        let mut newest = -1;
        loop {
            let frame = slow.next().await;
            if frame["type"] == "status_update" {
                statuses += 1;
                continue;
            }
            heard += 1;
            if let Some(n) = frame["data"]["n"].as_i64() {
                assert!(n > newest, "values never go back");
                newest = n;
            }
            if frame["data"]["last"] == true {
                break;
            }
        }
        assert_eq!(statuses, 1);
        assert_eq!(newest, rounds - 1, "the newest value arrives");
        assert!(heard < rounds, "{heard} of {rounds} frames were kept");
    }
);

story!(
    a_reader_that_lets_control_events_pile_up_is_cut_off_with_1013,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let mut socket = listen(&server, &ada).await;
        let widget = json!({"_id": "w", "text": "x".repeat(20_000)});
        // Until the reader is cut off and not longer: from then on it has 30 seconds to read the reason.
        while app.app.live.cut_off()[0].1 == 0 {
            let event = Event::Widget {
                account: ada.account,
                dashboard: "d".to_owned(),
                widget: widget.clone(),
            };
            live::publish(&app.app, event);
        }
        assert_eq!(socket.close_code().await, 1013);
        assert_eq!(app.app.live.watchers(), 0);
        let metrics = app.anonymous().get("/metrics").await.expect(200);
        assert_eq!(metrics["live"]["cut_off"], 1, "{metrics}");
        let client = app.anonymous().header("accept", "text/plain");
        let text = client.get("/metrics").await.text();
        let line = "espalier_live_cut_off_total{kind=\"app\"} 1";
        assert!(text.lines().any(|l| l == line), "{text}");
    }
);

story!(
    a_client_that_says_nothing_for_45_seconds_is_dropped,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let mut talking = listen(&server, &ada).await;
        app.clock.advance(44_000);
        talking.send(json!({"type": "ping"})).await;
        talking.until("pong").await;
        app.clock.advance(44_000);
        live::tick(&app.app).await;
        talking.send(json!({"type": "ping"})).await;
        talking.until("pong").await;
        // A client that does not even read cannot answer the server's ping.
        app.clock.advance(45_000);
        live::tick(&app.app).await;
        assert_eq!(talking.close_code().await, 1008);
    }
);

story!(
    signing_out_or_an_expired_token_closes_the_socket_at_once,
    |app| async move {
        let (server, ada, bob) = (
            app.serve().await,
            app.person("ada").await,
            app.person("bob").await,
        );
        let (mut a, mut b) = (listen(&server, &ada).await, listen(&server, &bob).await);
        ada.client.post("/logout", json!({})).await.expect(200);
        assert_eq!(a.close_code().await, 4401);
        b.send(json!({"type": "ping"})).await;
        b.until("pong").await;
        // Thirty minutes in steps, because a silent client is dropped sooner.
        for _ in 0..45 {
            app.clock.advance(40_000);
            b.send(json!({"type": "ping"})).await;
            b.until("pong").await;
        }
        live::tick(&app.app).await;
        assert_eq!(b.close_code().await, 4401);
    }
);

story!(stopping_closes_sockets_with_1001, |app| async move {
    let (server, ada) = (app.serve().await, app.person("ada").await);
    let (_, token) = ada.device("board").await;
    let mut person = listen(&server, &ada).await;
    let mut board = server.socket("/ws/device", Some(&token)).await.unwrap();
    assert_eq!(board.next().await["type"], "welcome");
    let stopping = app.app.clone();
    let stop = tokio::spawn(async move { stopping.stop().await });
    assert_eq!(person.close_code().await, 1001);
    assert_eq!(board.close_code().await, 1001);
    stop.await.unwrap();
});

story!(
    the_cookie_opens_a_socket_only_from_our_own_pages,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let token = identity::open_session(&app.app, ada.account).await.unwrap();
        let cookie = format!("espalier_session={token}");
        let own = format!("http://{}", server.address);
        let headers = [("cookie", cookie.as_str()), ("origin", own.as_str())];
        let mut socket = server.socket_with("/ws", &headers).await.unwrap();
        assert_eq!(socket.next().await["type"], "connected");
        let headers = [
            ("cookie", cookie.as_str()),
            ("origin", "https://evil.example"),
        ];
        assert!(server.socket_with("/ws", &headers).await.is_err());
    }
);

/// Makes an API key and returns its id and secret.
async fn key(person: &Person, scopes: &[&str]) -> (String, String) {
    let new = json!({"name": "k", "scopes": scopes});
    let key = person.client.post("/me/api-keys", new).await.expect(201);
    let text = |name: &str| key[name].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

/// Opens the app socket and shows a token in its first frame.
async fn by_first_frame(server: &Server, token: &str) -> Socket {
    let mut socket = server.socket("/ws", None).await.unwrap();
    socket.send(json!({"type": "auth", "token": token})).await;
    socket
}

story!(
    a_key_that_may_not_read_opens_nothing_whichever_way_it_comes,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let (_, secret) = key(&ada, &["write"]).await;
        let mut by_frame = by_first_frame(&server, &secret).await;
        assert_eq!(by_frame.next_or_close().await, Err(Some(4403)));
        assert!(server.socket("/ws", Some(&secret)).await.is_err());
        let query = format!("/ws?token={secret}");
        assert!(server.socket(&query, None).await.is_err());
        let bearer = format!("Bearer {secret}");
        for path in ["/events/stream", "/notifications/stream"] {
            let headers = [("authorization", bearer.as_str())];
            assert_eq!(server.events(path, &headers).await.status, 403, "{path}");
            // A ticket is bought with a POST, which this key may do; it must not open more than the key does.
            let client = app.anonymous().bearer(&secret);
            let ticket = client.post("/events/ticket", json!({})).await.expect(200);
            let path = format!("{path}?ticket={}", ticket["ticket"].as_str().unwrap());
            assert_eq!(server.events(&path, &[]).await.status, 403, "{path}");
        }
        let (_, reader) = key(&ada, &["read"]).await;
        let mut by_frame = by_first_frame(&server, &reader).await;
        assert_eq!(by_frame.next().await["type"], "connected");
        let mut device = server.socket("/ws/device", None).await.unwrap();
        device.send(json!({"type": "hello", "token": secret})).await;
        assert_eq!(device.close_code().await, 4403);
        let mut device = server.socket("/ws/device", None).await.unwrap();
        device.send(json!({"type": "hello", "token": reader})).await;
        assert_eq!(device.close_code().await, 4401);
    }
);

story!(
    an_admins_key_hears_other_peoples_devices_only_with_the_scope_admin,
    |app| async move {
        let server = app.serve().await;
        let root = app.person_with("root", espalier_model::Role::Admin).await;
        for (scopes, answer) in [
            (&["read"][..], "error"),
            (&["read", "admin"][..], "subscribed"),
        ] {
            let mut socket = by_first_frame(&server, &key(&root, scopes).await.1).await;
            assert_eq!(socket.next().await["type"], "connected");
            let subscribe = json!({"type": "subscribe", "channels": ["admin"]});
            socket.send(subscribe).await;
            assert_eq!(socket.next().await["type"], answer, "{scopes:?}");
        }
    }
);

story!(
    whatever_ends_a_credential_ends_all_that_it_opened,
    |app| async move {
        let server = app.serve().await;
        let root = app.person_with("root", espalier_model::Role::Admin).await;
        for end in ["key", "disabled", "role", "deleted"] {
            let ada = app.person(end).await;
            let (id, secret) = key(&ada, &["read", "write"]).await;
            let mut sockets = Vec::new();
            let bearer = format!("Bearer {secret}");
            for header in [("authorization", bearer.as_str()), ("x-api-key", &secret)] {
                sockets.push(server.socket_with("/ws", &[header]).await.unwrap());
            }
            let query = format!("/ws?token={secret}");
            sockets.push(server.socket(&query, None).await.unwrap());
            sockets.push(by_first_frame(&server, &secret).await);
            for socket in &mut sockets {
                assert_eq!(socket.next().await["type"], "connected");
            }
            let client = app.anonymous().bearer(&secret);
            let ticket = client.post("/events/ticket", json!({})).await.expect(200);
            let by_ticket = format!(
                "/events/stream?ticket={}",
                ticket["ticket"].as_str().unwrap()
            );
            let header = [("authorization", bearer.as_str())];
            let mut streams = vec![
                server.events(&by_ticket, &[]).await,
                server.events("/events/stream", &header).await,
                server.events("/notifications/stream", &header).await,
            ];
            let unused = client.post("/events/ticket", json!({})).await.expect(200);
            let user = format!("/admin/users/{}", ada.account);
            let answer = match end {
                "key" => ada.client.delete(&format!("/me/api-keys/{id}")).await,
                "disabled" => {
                    let off = json!({"is_active": false});
                    root.client.patch(&user, off).await
                }
                "role" => root.client.patch(&user, json!({"role": "viewer"})).await,
                _ => root.client.delete(&user).await,
            };
            assert!(answer.status < 300, "{end}: {}", answer.text());
            for socket in &mut sockets {
                assert_eq!(socket.close_code().await, 4401, "{end}");
            }
            for stream in &mut streams {
                while stream.next_line().await.is_some() {}
            }
            let path = format!(
                "/events/stream?ticket={}",
                unused["ticket"].as_str().unwrap()
            );
            assert_eq!(server.events(&path, &[]).await.status, 401, "{end}");
        }
    }
);

story!(
    who_asks_too_often_is_not_let_in_by_the_first_frame_either,
    |app| async move {
        let (engine, _) = (app.engine(), app);
        let app = espalier_testkit::TestApp::with(engine, |c| c.rate_limit_requests = 3).await;
        let (server, ada) = (app.serve().await, app.person("ada").await);
        for _ in 0..3 {
            ada.client.get("/me").await.expect(200);
        }
        ada.client.get("/me").await.expect(429);
        let mut socket = by_first_frame(&server, &ada.token).await;
        assert_eq!(socket.next_or_close().await, Err(Some(1013)));
    }
);

story!(
    an_app_that_sends_too_much_is_told_and_then_closed_with_1008,
    |app| async move {
        let app = slow_lane(app).await;
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let mut socket = listen(&server, &ada).await;
        for _ in 0..10 {
            socket.send(json!({"type": "ping"})).await;
            assert_eq!(socket.next().await["type"], "pong");
        }
        socket.send(json!({"type": "ping"})).await;
        let error = socket.next().await;
        assert_eq!(error["code"], "rate_limited", "{error}");
        app.clock.advance(1_000);
        socket.send(json!({"type": "ping"})).await;
        assert_eq!(socket.next().await["type"], "pong");
        for _ in 0..100 {
            socket.send(json!({"type": "ping"})).await;
        }
        assert_eq!(socket.close_code().await, 1008);
    }
);

/// The same app with sockets that may send one frame a second.
async fn slow_lane(app: espalier_testkit::TestApp) -> espalier_testkit::TestApp {
    espalier_testkit::TestApp::with(app.engine(), |c| c.socket_frames_per_second = 1).await
}
