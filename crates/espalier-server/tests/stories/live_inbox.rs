//! Notifications and event streams.

use espalier_server::devices;
use espalier_server::live::{self, NewNotification};
use espalier_testkit::{Person, Server, TestApp, story};
use serde_json::{Value, json};
use std::sync::Arc;

fn note(title: &str) -> NewNotification {
    NewNotification {
        title: title.to_owned(),
        message: format!("{title} happened."),
        kind: "warning",
        details: json!({"why": title}),
        device: None,
        widget: Some("w1".to_owned()),
    }
}

async fn notify(app: &TestApp, person: &Person, title: &str) {
    live::notify(&app.app, person.account, note(title))
        .await
        .expect("the notification is stored");
}

async fn titles(person: &Person, path: &str) -> Vec<String> {
    let list = person.client.get(path).await.expect(200);
    list["notifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["title"].as_str().unwrap().to_owned())
        .collect()
}

fn bearer(person: &Person) -> String {
    format!("Bearer {}", person.token)
}

async fn open(server: &Server, path: &str, person: &Person) -> espalier_testkit::EventStream {
    let stream = server
        .events(path, &[("authorization", &bearer(person))])
        .await;
    assert_eq!(stream.status, 200);
    stream
}

story!(
    a_notification_is_kept_in_the_inbox_and_pushed,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let mut socket = server.socket("/ws", Some(&ada.token)).await.unwrap();
        // Greeted means that it hears what comes from now on.
        socket.until("connected").await;
        notify(&app, &ada, "Frost").await;
        let list = ada.client.get("/notifications").await.expect(200);
        assert_eq!(list["unread_count"], 1);
        let stored = &list["notifications"][0];
        let id = stored["_id"].as_str().unwrap();
        assert_eq!(
            *stored,
            json!({"_id": id, "id": id, "title": "Frost", "message": "Frost happened.", "type": "warning",
                   "details": {"why": "Frost"}, "device_id": null, "widget_id": "w1", "read": false,
                   "created_at": "2026-03-01T12:00:00.000Z"})
        );
        assert_eq!(
            socket.until("notification").await,
            json!({"type": "notification", "notification": {
                "id": id, "title": "Frost", "message": "Frost happened.", "type": "warning",
                "details": {"why": "Frost"}, "time": "12:00 PM", "timestamp": "2026-03-01T12:00:00.000Z",
                "device_id": null, "widget_id": "w1"}})
        );
    }
);

story!(
    the_inbox_is_read_marked_and_emptied_by_its_owner_only,
    |app| async move {
        let (ada, bob) = (app.person("ada").await, app.person("bob").await);
        for title in ["one", "two", "three"] {
            notify(&app, &ada, title).await;
        }
        assert_eq!(
            titles(&ada, "/notifications").await,
            ["three", "two", "one"]
        );
        assert_eq!(titles(&ada, "/notifications?limit=1").await, ["three"]);
        let list = ada.client.get("/notifications").await.expect(200);
        let id = list["notifications"][0]["_id"].as_str().unwrap();
        let read = format!("/notifications/{id}/read");
        bob.client.put(&read, json!({})).await.expect(404);
        bob.client
            .delete(&format!("/notifications/{id}"))
            .await
            .expect(404);
        assert!(titles(&bob, "/notifications").await.is_empty());
        ada.client.put(&read, json!({})).await.expect(200);
        assert_eq!(titles(&ada, "/notifications?read=true").await, ["three"]);
        assert_eq!(
            titles(&ada, "/notifications?read=false").await,
            ["two", "one"]
        );
        let all = ada
            .client
            .put("/notifications/read-all", json!({}))
            .await
            .expect(200);
        assert_eq!(all["modified_count"], 2);
        let gone = ada.client.delete(&format!("/notifications/{id}")).await;
        assert_eq!(gone.expect(204), Value::Null);
        assert_eq!(titles(&ada, "/notifications").await, ["two", "one"]);
        ada.client.delete("/notifications").await.expect(204);
        assert!(titles(&ada, "/notifications").await.is_empty());
        for limit in ["0", "1001", "x"] {
            let path = format!("/notifications?limit={limit}");
            ada.client.get(&path).await.expect(422);
        }
        app.anonymous().get("/notifications").await.expect(401);
        let health = ada.client.get("/notifications/health").await.expect(200);
        assert_eq!(health["status"], "healthy");
    }
);

story!(the_inbox_keeps_the_newest_thousand, |app| async move {
    let ada = app.person("ada").await;
    for n in 0..1_003 {
        notify(&app, &ada, &n.to_string()).await;
    }
    let kept = titles(&ada, "/notifications?limit=1000").await;
    assert_eq!(kept.len(), 1_000);
    assert_eq!(kept.first().unwrap(), "1002");
    assert_eq!(kept.last().unwrap(), "3");
});

story!(
    who_switched_notifications_off_is_not_disturbed_but_finds_them_in_the_inbox,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let settings =
            json!({"notification_settings": {"enabled": false, "push": true, "email": false}});
        ada.client.put("/me", settings).await.expect(200);
        let mut socket = server.socket("/ws", Some(&ada.token)).await.unwrap();
        socket.until("connected").await;
        notify(&app, &ada, "Frost").await;
        socket.send(json!({"type": "ping"})).await;
        assert_eq!(socket.next().await["type"], "pong");
        assert_eq!(titles(&ada, "/notifications").await, ["Frost"]);
    }
);

story!(
    what_was_said_about_a_device_goes_with_the_device,
    |app| async move {
        let ada = app.person("ada").await;
        let (oid, _) = ada.device("board").await;
        let about = NewNotification {
            device: Some(oid.parse().unwrap()),
            ..note("Offline")
        };
        live::notify(&app.app, ada.account, about).await.unwrap();
        let list = ada.client.get("/notifications").await.expect(200);
        assert_eq!(list["notifications"][0]["device_id"], oid);
        ada.client
            .delete(&format!("/devices/{oid}"))
            .await
            .expect(200);
        assert!(titles(&ada, "/notifications").await.is_empty());
    }
);

story!(
    the_notification_stream_begins_with_what_is_unread_and_reaches_every_tab,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let bob = app.person("bob").await;
        for n in 0..12 {
            notify(&app, &ada, &n.to_string()).await;
        }
        let mut tabs = Vec::new();
        for person in [&ada, &ada, &bob] {
            let mut tab = open(&server, "/notifications/stream", person).await;
            assert_eq!(tab.next().await, json!({"type": "connected"}));
            let initial = tab.next().await;
            assert_eq!(initial["type"], "initial");
            tabs.push((tab, initial));
        }
        let first = tabs[0].1["notifications"].as_array().unwrap();
        assert_eq!(first.len(), 10);
        assert_eq!(first[0]["title"], "11");
        assert_eq!(tabs[2].1["notifications"], json!([]));
        notify(&app, &bob, "for bob").await;
        notify(&app, &ada, "for ada").await;
        for (index, (tab, _)) in tabs.iter_mut().enumerate() {
            let event = tab.next().await;
            assert_eq!(event["type"], "notification");
            let title = if index == 2 { "for bob" } else { "for ada" };
            assert_eq!(event["notification"]["title"], title);
        }
    }
);

story!(
    the_event_stream_tells_the_callers_devices_only_and_no_token,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let bob = app.person("bob").await;
        let mut stream = open(&server, "/events/stream", &ada).await;
        assert_eq!(
            stream.next().await,
            json!({"type": "connected", "message": "Global event stream connected"})
        );
        bob.device("theirs").await;
        let (mine, token) = devices::create(&app.app, ada.account, "mine")
            .await
            .unwrap();
        let added = stream.next().await;
        assert_eq!(added["type"], "device_added");
        assert_eq!(added["device_id"], mine.oid.to_string());
        assert_eq!(added["data"]["device_token"], "***");
        assert!(!added.to_string().contains(&token));
        notify(&app, &ada, "not here").await;
        let path = format!("/devices/{}/telemetry", mine.oid);
        let body = json!({"device_token": token, "data": {"t": 21.5}});
        app.anonymous().post(&path, body).await.expect(200);
        loop {
            let event = stream.next().await;
            assert_ne!(event["type"], "notification");
            if event["type"] == "telemetry_update" {
                assert_eq!(event["data"]["t"], 21.5);
                break;
            }
        }
        ada.client
            .delete(&format!("/devices/{}", mine.oid))
            .await
            .expect(200);
        while stream.next().await["type"] != "device_removed" {}
    }
);

story!(
    a_quiet_stream_gets_a_comment_every_30_seconds,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let mut stream = open(&server, "/notifications/stream", &ada).await;
        stream.next().await;
        stream.next().await;
        for _ in 0..2 {
            app.clock.advance(30_000);
            live::tick(&app.app).await;
            assert_eq!(stream.next_line().await.unwrap(), ": keepalive");
        }
    }
);

story!(a_ticket_opens_one_stream_once_and_soon, |app| async move {
    let (server, ada) = (app.serve().await, app.person("ada").await);
    let ticket = |answer: Value| answer["ticket"].as_str().unwrap().to_owned();
    let first = ticket(
        ada.client
            .post("/events/ticket", json!({}))
            .await
            .expect(200),
    );
    let path = format!("/events/stream?ticket={first}");
    let mut stream = server.events(&path, &[]).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.next().await["type"], "connected");
    assert_eq!(server.events(&path, &[]).await.status, 401);
    let second = ticket(
        ada.client
            .post("/events/ticket", json!({}))
            .await
            .expect(200),
    );
    app.clock.advance(30_000);
    let path = format!("/events/stream?ticket={second}");
    assert_eq!(server.events(&path, &[]).await.status, 401);
    app.anonymous()
        .post("/events/ticket", json!({}))
        .await
        .expect(401);
    app.anonymous().get("/events/stream").await.expect(401);
    let (_, device_token) = ada.device("board").await;
    let device = app.anonymous().bearer(&device_token);
    device.get("/events/stream").await.expect(403);
});

story!(
    a_stream_ends_when_its_credential_does_and_when_the_server_stops,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let bob = app.person("bob").await;
        let mut a = open(&server, "/events/stream", &ada).await;
        let mut b = open(&server, "/events/stream", &bob).await;
        a.next().await;
        b.next().await;
        ada.client.post("/logout", json!({})).await.expect(200);
        assert_eq!(a.next_line().await, None);
        let stopping = app.app.clone();
        let stop = tokio::spawn(async move { stopping.stop().await });
        assert_eq!(b.next_line().await, None);
        stop.await.unwrap();
    }
);

/// Opens a stream as a client does that comes back.
async fn come_back(
    server: &Server,
    path: &str,
    person: &Person,
    last_id: &str,
) -> espalier_testkit::EventStream {
    let headers = [
        ("authorization", bearer(person)),
        ("last-event-id", last_id.to_owned()),
    ];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let mut stream = server.events(path, &headers).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.next().await["type"], "connected");
    stream
}

fn measured(app: &TestApp, device: &Arc<devices::Device>, n: i64) {
    let data = serde_json::Map::from_iter([("n".to_owned(), json!(n))]);
    let event = live::Event::Telemetry {
        device: device.clone(),
        ts: espalier_testkit::START_MS,
        data: Arc::new(data),
    };
    live::publish(&app.app, event);
}

async fn board(app: &TestApp, person: &Person, name: &str) -> Arc<devices::Device> {
    let (board, _) = devices::create(&app.app, person.account, name)
        .await
        .unwrap();
    board
}

story!(
    a_stream_that_broke_goes_on_where_it_was_and_tells_nobody_elses_events,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let bob = app.person("bob").await;
        let (mine, theirs) = (board(&app, &ada, "m").await, board(&app, &bob, "t").await);
        let path = "/events/stream";
        let mut bobs = open(&server, path, &bob).await;
        bobs.next().await;
        let mut stream = open(&server, path, &ada).await;
        stream.next().await;
        let before = stream.last_id.clone();
        assert!(
            !before.is_empty(),
            "a client knows where it is from the start"
        );
        measured(&app, &mine, 1);
        assert_eq!(stream.next().await["data"]["n"], 1);
        let last_id = stream.last_id.clone();
        assert_ne!(last_id, before);
        drop(stream);
        measured(&app, &mine, 2);
        measured(&app, &theirs, 3);
        notify(&app, &ada, "not here").await;
        let widget = live::Event::WidgetDeleted {
            account: ada.account,
            dashboard: "d".to_owned(),
            widget: "w".to_owned(),
        };
        live::publish(&app.app, widget);
        for resume in [
            (path.to_owned(), last_id.as_str()),
            // For clients that cannot send headers; the header wins.
            (format!("{path}?last_event_id={last_id}"), ""),
            (format!("{path}?last_event_id={before}"), last_id.as_str()),
        ] {
            let mut again = come_back(&server, &resume.0, &ada, resume.1).await;
            assert_eq!(again.next().await["data"]["n"], 2);
            assert_eq!(again.next().await["type"], "widget_deleted");
            // Nothing else was missed: the next event is the next that happens, and it comes once.
            measured(&app, &theirs, 4);
            let event = live::Event::Status {
                device: mine.clone(),
                online: true,
                at: 0,
            };
            live::publish(&app.app, event);
            let next = again.next().await;
            if resume.1 == last_id && resume.0 == path {
                assert_eq!(next["type"], "status_update");
            }
        }
        let mut all = come_back(&server, path, &ada, &before).await;
        assert_eq!(all.next().await["data"]["n"], 1);
        // Somebody else's id means nothing here.
        assert_eq!(bobs.next().await["data"]["n"], 3);
        let mut foreign = come_back(&server, path, &ada, &bobs.last_id).await;
        assert_eq!(foreign.next().await["type"], "resync");
    }
);

story!(
    what_a_client_may_not_see_any_more_is_not_told_again,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let bob = app.person("bob").await;
        let mine = board(&app, &ada, "m").await;
        let mut stream = open(&server, "/events/stream", &bob).await;
        stream.next().await;
        let last_id = stream.last_id.clone();
        let share = format!("/devices/{}/shares/bob", mine.oid);
        let role = json!({"role": "viewer"});
        ada.client.put(&share, role).await.expect(200);
        let added = stream.next().await;
        assert_eq!(added["type"], "device_added");
        assert_eq!(
            added["data"]["role"], "viewer",
            "what the reader is to it, not the owner"
        );
        measured(&app, &mine, 1);
        assert_eq!(stream.next().await["data"]["n"], 1);
        drop(stream);
        let answer = ada.client.delete(&share).await;
        assert!(answer.status < 300, "{}", answer.text());
        let mut again = come_back(&server, "/events/stream", &bob, &last_id).await;
        assert_eq!(again.next().await["type"], "device_removed");
    }
);

story!(
    who_was_away_for_too_long_is_told_to_load_everything_again,
    |app| async move {
        let mut app = app;
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let mine = board(&app, &ada, "m").await;
        let path = "/events/stream";
        let mut stream = open(&server, path, &ada).await;
        stream.next().await;
        let last_id = stream.last_id.clone();
        drop(stream);
        for n in 0..1_100 {
            measured(&app, &mine, n);
        }
        let mut again = come_back(&server, path, &ada, &last_id).await;
        let resync = again.next().await;
        assert_eq!(resync["type"], "resync");
        assert!(resync["message"].as_str().unwrap().contains("load"));
        let newer = again.last_id.clone();
        drop(again);
        for wrong in ["nonsense", "1-1", "ffffffffffffffffff-0"] {
            let mut again = come_back(&server, path, &ada, wrong).await;
            assert_eq!(again.next().await["type"], "resync", "{wrong}");
        }
        // From there on it goes on.
        measured(&app, &mine, 7);
        let mut again = come_back(&server, path, &ada, &newer).await;
        assert_eq!(again.next().await["data"]["n"], 7);
        drop((again, server));
        app.restart().await;
        let server = app.serve().await;
        let mut again = come_back(&server, path, &ada, &newer).await;
        assert_eq!(again.next().await["type"], "resync");
    }
);

story!(
    missed_notifications_are_told_when_the_stream_comes_back,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let mine = board(&app, &ada, "m").await;
        let path = "/notifications/stream";
        let mut stream = open(&server, path, &ada).await;
        stream.next().await;
        assert_eq!(stream.next().await["type"], "initial");
        let last_id = stream.last_id.clone();
        drop(stream);
        notify(&app, &ada, "one").await;
        // However much is measured meanwhile.
        for n in 0..1_100 {
            measured(&app, &mine, n);
        }
        notify(&app, &ada, "two").await;
        let mut again = come_back(&server, path, &ada, &last_id).await;
        for title in ["one", "two"] {
            assert_eq!(again.next().await["notification"]["title"], title);
        }
        notify(&app, &ada, "three").await;
        assert_eq!(again.next().await["notification"]["title"], "three");
        let mut lost = come_back(&server, path, &ada, "0-0").await;
        assert_eq!(lost.next().await["type"], "resync");
        assert_eq!(lost.next().await["type"], "initial");
    }
);
