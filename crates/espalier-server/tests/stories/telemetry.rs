//! What boards post and poll, over HTTP, as existing firmware does it, and everything that must be refused.
//! What people ask of it is in [`history`].

#[path = "telemetry_history.rs"]
mod history;

use axum::http::Method;
use espalier_server::devices::Device;
use espalier_server::telemetry::{self, Sample};
use espalier_testkit::{Answer, START_MS, TestApp, story};
use serde_json::{Value, json};
use std::sync::Arc;

/// Sends a body as it is, without a content type, as small boards do.
async fn raw(app: &TestApp, path: &str, body: impl Into<String>) -> Answer {
    let body: String = body.into();
    app.anonymous().send(Method::POST, path, None, body).await
}

fn device_of(app: &TestApp, id: &str) -> Arc<Device> {
    app.app.devices.resolve(id).expect("the device exists")
}

/// Everything that is stored of a device.
async fn points(app: &TestApp, id: &str) -> u64 {
    let device = device_of(app, id).id.0;
    let mut count = 0;
    for key in app.app.tsdb.keys(device).await.expect("the keys") {
        let query = espalier_tsdb::Query {
            series: vec![(device, key)],
            from: i64::MIN,
            to: i64::MAX,
            mode: espalier_tsdb::Mode::Raw {
                limit: 1_000_000,
                order: espalier_tsdb::Order::Asc,
            },
        };
        let answer = app.app.tsdb.query(query).await.expect("an answer");
        count += answer[0].rows.samples().len() as u64;
    }
    count
}

story!(a_post_is_answered_with_the_merged_state, |app| async move {
    let ada = app.person("ada").await;
    let (device, token) = ada.device("balcony").await;
    let path = format!("/devices/{device}/telemetry");
    let first = json!({"device_token": token, "data": {"temperature": 21.5, "v0": 0, "ok": true}});
    let answer = app.anonymous().post(&path, first).await.expect(200);
    assert_eq!(
        answer,
        json!({
            "message": "ok", "device_id": device,
            "data": {"ok": true, "temperature": 21.5, "v0": 0},
            "timestamp": "2026-03-01T12:00:00.000Z",
        })
    );
    app.clock.advance(1000);
    let second = json!({"device_token": token, "data": {"humidity": 40}});
    let answer = app.anonymous().post(&path, second).await.expect(200);
    assert_eq!(
        answer["data"],
        json!({"humidity": 40, "ok": true, "temperature": 21.5, "v0": 0})
    );
    assert_eq!(answer["timestamp"], "2026-03-01T12:00:01.000Z");
    let poll = format!("/telemetry/latest?device_token={token}");
    let latest = app.anonymous().get(&poll).await.expect(200);
    assert_eq!(latest["data"], answer["data"]);
    assert_eq!(latest["timestamp"], answer["timestamp"]);
    assert_eq!(latest["time"], START_MS + 1000);
});

story!(existing_firmware_posts_its_exact_bytes, |app| async move {
    let ada = app.person("ada").await;
    let (device, token) = ada.device("relay").await;
    let body = format!(
        "{{\"device_token\":\"{token}\",\"data\":{{\"v0\":0,\"v1\":1,\"v2\":0,\"v3\":0,\"v4\":0,\"led\":0,\"timestamp\":123456}}}}"
    );
    let answer = raw(&app, "/telemetry", body.clone()).await.expect(200);
    assert_eq!(answer["message"], "ok");
    assert_eq!(answer["device_id"], device.as_str());
    assert_eq!(answer["led"], 0);
    assert_eq!(answer["updated_data"]["v1"], 1);
    assert_eq!(answer["updated_data"]["timestamp"], 123_456);
    assert_eq!(answer["timestamp"], "2026-03-01T12:00:00.000Z");
    let v2 = raw(&app, &format!("/devices/{device}/telemetry"), body)
        .await
        .expect(200);
    assert_eq!(v2["data"], answer["updated_data"]);
    assert_eq!(points(&app, &device).await, 14, "two posts of seven values");
});

story!(
    wrong_callers_get_the_codes_of_the_contract,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, token) = ada.device("a").await;
        let (other, other_token) = ada.device("b").await;
        let path = format!("/devices/{device}/telemetry");
        let body = |token: &str| json!({"device_token": token, "data": {"v": 1}}).to_string();
        let detail = |answer: &Answer| {
            answer.json()["detail"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };

        let answer = raw(&app, "/devices/not-an-id/telemetry", body(&token)).await;
        assert_eq!(
            (answer.status, detail(&answer).as_str()),
            (400, "Invalid device ID")
        );
        let answer = raw(
            &app,
            "/devices/0123456789abcdef01234567/telemetry",
            body(&token),
        )
        .await;
        assert_eq!(
            (answer.status, detail(&answer).as_str()),
            (404, "Device not found")
        );
        for wrong in [other_token.as_str(), "nobody"] {
            let answer = raw(&app, &path, body(wrong)).await;
            assert_eq!(
                (answer.status, detail(&answer).as_str()),
                (403, "Invalid device_token for device")
            );
        }
        raw(&app, &path, r#"{"data":{"v":1}}"#).await.expect(422);
        ada.client
            .post(&path, json!({"data": {"v": 1}}))
            .await
            .expect(403);

        raw(&app, "/telemetry", r#"{"data":{"v":1}}"#)
            .await
            .expect(400);
        let answer = raw(&app, "/telemetry", body("nobody")).await;
        assert_eq!(
            (answer.status, detail(&answer).as_str()),
            (404, "Device not found")
        );
        app.anonymous()
            .get("/telemetry/latest?device_token=nobody")
            .await
            .expect(404);
        app.anonymous().get("/telemetry/latest").await.expect(422);
        assert_eq!(points(&app, &device).await + points(&app, &other).await, 0);

        for client in [
            app.anonymous().bearer(&token),
            app.anonymous().header("x-api-key", &token),
        ] {
            client
                .post(&path, json!({"data": {"v": 1}}))
                .await
                .expect(200);
            client.get("/telemetry/latest").await.expect(200);
            client
                .post("/telemetry", json!({"data": {"v": 1}}))
                .await
                .expect(200);
            client
                .post(
                    &format!("/devices/{other}/telemetry"),
                    json!({"data": {"v": 1}}),
                )
                .await
                .expect(403);
        }
    }
);

story!(
    what_breaks_a_limit_is_refused_whole_and_names_the_place,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, token) = ada.device("d").await;
        let path = format!("/devices/{device}/telemetry");
        let long_key = "k".repeat(300);
        let many: String = (0..10_000).map(|i| format!("\"k{i}\":1,")).collect();
        let deep = "[".repeat(200) + &"]".repeat(200);
        let long_text = "x".repeat(5000);
        let cases: Vec<(String, &str)> = vec![
            (r#"{"good":1,"bad":null}"#.into(), "bad"),
            (r#"{"good":1,"bad":9007199254740993}"#.into(), "bad"),
            (r#"{"good":1,"bad":-9007199254740993}"#.into(), "bad"),
            (r#"{"good":1,"bad":12345678901234567890}"#.into(), "bad"),
            (r#"{"good":1,"bad":1e999}"#.into(), "bad"),
            (r#"{"good":1,"bad":NaN}"#.into(), "body"),
            (r#"{"good":1,"bad":Infinity}"#.into(), "body"),
            (r#"{"good":1,"bad":01}"#.into(), "body"),
            (r#"{"good":1,"bad":{"n":9007199254740993}}"#.into(), "bad"),
            (r#"{"good":1,"good":2}"#.into(), "good"),
            (r#"{"good":1,"":2}"#.into(), "data"),
            (r#"{"good":1,"_iot_derived":2}"#.into(), "_iot_derived"),
            (r#"{"good":1,"a\u0000b":2}"#.into(), "data"),
            (r#"{"good":1,"bad":"a\u0000b"}"#.into(), "bad"),
            (format!(r#"{{"good":1,"{long_key}":2}}"#), "data"),
            (format!(r#"{{{many}"last":1}}"#), "data"),
            (format!(r#"{{"good":1,"bad":{deep}}}"#), "bad"),
            (format!(r#"{{"good":1,"bad":"{long_text}"}}"#), "bad"),
            (format!(r#"{{"good":1,"bad":["{long_text}"]}}"#), "bad"),
            ("[1,2]".into(), "data"),
            ("7".into(), "data"),
            ("\"text\"".into(), "data"),
            (r#"{"good":1"#.into(), "body"),
        ];
        for (data, place) in cases {
            let answer = raw(
                &app,
                &path,
                format!(r#"{{"device_token":"{token}","data":{data}}}"#),
            )
            .await;
            let shown: String = data.chars().take(60).collect();
            assert_eq!(answer.status, 422, "{shown}: {}", answer.text());
            let loc = answer.json()["detail"][0]["loc"].to_string();
            assert!(loc.contains(place), "{shown}: {loc}");
            assert!(
                !answer.text().contains(&token),
                "a secret in an error: {shown}"
            );
        }
        for body in [
            "",
            "[]",
            "null",
            "{}",
            "{\"data\":{}} x",
            "{\"data\":{},\"data\":{}}",
            "\u{1}",
        ] {
            let answer = raw(&app, &path, body).await;
            assert_eq!(answer.status, 422, "{body}: {}", answer.text());
        }
        let invalid = app.anonymous().bearer(&token);
        let answer = invalid
            .send(Method::POST, &path, None, vec![0xff, 0xfe])
            .await;
        assert_eq!(answer.status, 422);
        let huge = format!(
            r#"{{"device_token":"{token}","data":{{"v":"{}"}}}}"#,
            "x".repeat(10 << 20)
        );
        raw(&app, &path, huge).await.expect(413);
        assert_eq!(points(&app, &device).await, 0, "nothing is stored by half");
    }
);

story!(
    times_out_of_reason_refuse_the_whole_batch,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, token) = ada.device("d").await;
        let client = app.anonymous().bearer(&token);
        let path = format!("/devices/{device}/telemetry");
        let far = START_MS + 24 * 3_600_000;
        for wrong in [
            json!(0),
            json!(946_684_799_999_i64),
            json!(far + 1),
            json!(32_503_680_000_000_i64),
            json!(1.5),
            json!("2026-03-01"),
            json!(true),
            json!(1_772_366_400),
        ] {
            let samples =
                json!([{"ts": START_MS, "data": {"v": 1}}, {"ts": wrong, "data": {"v": 2}}]);
            let answer = client.post(&path, json!({"samples": samples})).await;
            assert_eq!(answer.status, 422, "{wrong}: {}", answer.text());
            assert!(
                answer.json()["detail"][0]["loc"]
                    .to_string()
                    .contains("\"1\",\"ts\""),
                "{}",
                answer.text()
            );
        }
        assert_eq!(points(&app, &device).await, 0);
        let edge =
            json!([{"ts": far, "data": {"v": 1}}, {"ts": 946_684_800_000_i64, "data": {"v": 2}}]);
        let answer = client
            .post(&path, json!({"samples": edge}))
            .await
            .expect(200);
        assert_eq!(
            answer,
            json!({"message": "ok", "device_id": device, "accepted": 2, "timestamp": "2026-03-01T12:00:00.000Z"})
        );
        assert_eq!(points(&app, &device).await, 2);
        let seconds = client
            .post(&path, json!({"ts": 1_772_366_400, "data": {"v": 1}}))
            .await
            .expect(422);
        assert!(
            seconds["message"]
                .as_str()
                .unwrap_or_default()
                .contains("looks like seconds")
        );
    }
);

story!(
    late_and_repeated_points_land_where_they_belong,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, token) = ada.device("d").await;
        let client = app.anonymous().bearer(&token);
        let path = format!("/devices/{device}/telemetry");
        let at = |seconds: i64| START_MS - seconds * 1000;
        let batch = json!({"samples": [
            {"ts": at(10), "data": {"a": 10, "b": 1}},
            {"ts": at(30), "data": {"a": 30}},
            {"ts": at(20), "data": {"a": 20}},
            {"ts": at(20), "data": {"a": 21}},
        ]});
        client.post(&path, batch.clone()).await.expect(200);
        client.post(&path, batch).await.expect(200);
        client
            .post(&path, json!({"ts": at(40), "data": {"a": 40}}))
            .await
            .expect(200);
        let latest = client.get("/telemetry/latest").await.expect(200);
        assert_eq!(
            latest["data"],
            json!({"a": 10, "b": 1}),
            "a late point never replaces a newer one"
        );
        assert_eq!(latest["timestamp"], "2026-03-01T11:59:50.000Z");
        let history = client
            .get(&format!("/telemetry/history?device_id={device}&key=a"))
            .await
            .expect(200);
        let values: Vec<_> = history
            .as_array()
            .expect("a list")
            .iter()
            .map(|p| p["value"].clone())
            .collect();
        assert_eq!(
            values,
            [json!(40), json!(30), json!(21), json!(10)],
            "the same point twice is one point"
        );
    }
);

story!(
    samples_without_a_time_are_not_lost_in_one_millisecond,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, token) = ada.device("d").await;
        let client = app.anonymous().bearer(&token);
        let path = format!("/devices/{device}/telemetry");
        let samples: Vec<Value> = (0..50).map(|i| json!({"data": {"v": i}})).collect();
        client
            .post(&path, json!({"samples": samples}))
            .await
            .expect(200);
        for i in 50..60 {
            client
                .post(&path, json!({"data": {"v": i}}))
                .await
                .expect(200);
        }
        let history = client
            .get(&format!("/telemetry/history?device_id={device}&key=v"))
            .await
            .expect(200);
        let values: Vec<_> = history
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|p| p["value"].as_i64())
            .collect();
        assert_eq!(values, (0..60).collect::<Vec<_>>());
        assert_eq!(
            client.get("/telemetry/latest").await.expect(200)["data"]["v"],
            59
        );
    }
);

story!(
    a_poll_answer_for_eight_metrics_stays_small,
    |app| async move {
        let ada = app.person("ada").await;
        let (_, token) = ada.device("d").await;
        let client = app.anonymous().bearer(&token);
        let data = json!({"temperature": 21.37, "humidity": 48.2, "pressure": 1013.25, "battery": 87,
        "uptime": 123_456, "rssi": -61, "v0": 1, "relay1": 0});
        for _ in 0..20 {
            client
                .post("/telemetry", json!({"data": data}))
                .await
                .expect(200);
        }
        let poll = client.get("/telemetry/latest").await;
        assert_eq!(poll.expect(200)["data"]["pressure"], 1013.25);
        assert!(
            poll.bytes.len() < 300,
            "{} bytes: {}",
            poll.bytes.len(),
            poll.text()
        );
        assert!(!poll.text().contains("_iot"));
    }
);

story!(derived_values_come_only_when_asked_for, |app| async move {
    let ada = app.person("ada").await;
    let (device, token) = ada.device("d").await;
    let client = app.anonymous().bearer(&token);
    let path = format!("/devices/{device}/telemetry");
    for (i, t) in [20.0, 20.1, 19.9, 20.0, 20.1, 19.9].iter().enumerate() {
        let ts = START_MS - 60_000 + i as i64 * 1000;
        client
            .post(
                &path,
                json!({"ts": ts, "data": {"temperature": t, "humidity": 50}}),
            )
            .await
            .expect(200);
    }
    let body = json!({"data": {"temperature": 25.0}});
    let answer = client
        .post(&format!("{path}?derived=1"), body)
        .await
        .expect(200);
    let derived = &answer["iot_derived"];
    assert_eq!(derived["algorithms_version"], 2);
    assert_eq!(derived["per_key"]["temperature"]["delta"], 5.1);
    assert!(derived["thresholds"]["temperature_statistical_spike"].as_f64() > Some(3.0));
    assert_eq!(derived["moist_air"]["temp_field"], "temperature");
    let dew_point = derived["moist_air"]["dew_point_c"]
        .as_f64()
        .expect("a number");
    // 25 °C at 50 % in psychrometric tables.
    assert!((dew_point - 13.85).abs() < 0.02, "{dew_point}");
    assert!(
        answer["data"]
            .as_object()
            .expect("data")
            .keys()
            .all(|key| !key.starts_with('_'))
    );
    let plain = client.get("/telemetry/latest").await.expect(200);
    assert!(plain.get("iot_derived").is_none());
    let latest = client.get("/telemetry/latest?derived=1").await.expect(200);
    assert_eq!(latest["iot_derived"]["moist_air"], derived["moist_air"]);
});

story!(
    a_command_is_not_lost_to_telemetry_that_was_on_its_way,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, token) = ada.device("plug").await;
        let client = app.anonymous().bearer(&token);
        client
            .post("/telemetry", json!({"data": {"v0": 0, "led": 0}}))
            .await
            .expect(200);
        let dashboard = ada
            .client
            .post("/dashboards", json!({"name": "home"}))
            .await
            .expect(200);
        let widget = json!({"dashboard_id": dashboard["_id"], "device_id": device, "type": "led", "config": {"virtual_pin": "v0"}});
        let widget = ada.client.post("/widgets", widget).await.expect(200);
        let id = widget["_id"].as_str().expect("an id");
        ada.client
            .post(&format!("/widgets/{id}/state"), json!({"state": 1}))
            .await
            .expect(200);
        let posted = client
            .post("/telemetry", json!({"data": {"v0": 0}}))
            .await
            .expect(200);
        assert_eq!(
            (&posted["led"], &posted["updated_data"]["v0"]),
            (&json!(1), &json!(1))
        );
        let poll = client.get("/telemetry/latest").await.expect(200);
        assert_eq!(
            poll["data"]["v0"], 1,
            "the command stands until the device reports it"
        );
        assert!(poll["desired"]["v0"]["version"].as_u64() >= Some(1));
        client
            .post("/telemetry", json!({"data": {"v0": 1}}))
            .await
            .expect(200);
        let poll = client.get("/telemetry/latest").await.expect(200);
        assert_eq!(poll["data"]["v0"], 1);
        assert!(poll.get("desired").is_none());
    }
);

story!(other_transports_pass_the_same_checks, |app| async move {
    let ada = app.person("ada").await;
    let (id, _) = ada.device("d").await;
    let device = device_of(&app, &id);
    let sample = |data: Value| Sample {
        ts: Some(START_MS),
        data: data.as_object().cloned().unwrap_or_default(),
    };
    for wrong in [
        json!({"a": null}),
        json!({"_a": 1}),
        json!({"a": u64::MAX}),
        json!({"a": "x".repeat(5000)}),
    ] {
        let error = telemetry::ingest(
            &app.app,
            &device,
            vec![sample(json!({"ok": 1})), sample(wrong)],
        )
        .await;
        assert_eq!(error.expect_err("refused").status(), 422);
    }
    let frame = r#"{"type":"telemetry","id":1,"samples":[{"ts":1772366400000,"data":{"a":1.5,"b":{"x": [1]}}}]}"#;
    let Ok(espalier_wire::device::Up::Telemetry {
        telemetry: frame, ..
    }) = espalier_wire::device::Up::parse(frame)
    else {
        panic!("a telemetry frame");
    };
    let stored = telemetry::ingest_wire(&app.app, &device, frame)
        .await
        .expect("stored");
    assert_eq!(stored.points, 2);
    let (data, ts) = telemetry::latest(&app.app, &device)
        .await
        .expect("the state");
    assert_eq!(
        (Value::Object(data), ts),
        (json!({"a": 1.5, "b": {"x": [1]}}), Some(START_MS))
    );
});

/// Not a `story!`, because it needs the app to itself.
async fn restart(mut app: TestApp) {
    let ada = app.person("ada").await;
    let (device, token) = ada.device("d").await;
    let data = json!({"n": 1.25, "b": false, "t": "äöü\n", "o": {"a": [1, 2, {"b": null}]}});
    app.anonymous()
        .bearer(&token)
        .post("/telemetry", json!({"data": data}))
        .await
        .expect(200);
    let old = json!({"samples": [{"ts": START_MS - 1000, "data": {"n": 9}}]});
    let path = format!("/devices/{device}/telemetry");
    app.anonymous()
        .bearer(&token)
        .post(&path, old.clone())
        .await
        .expect(200);
    app.restart().await;
    let client = app.anonymous().bearer(&token);
    client.post(&path, old).await.expect(200);
    let latest = client.get("/telemetry/latest").await.expect(200);
    assert_eq!(
        latest["data"],
        json!({"b": false, "n": 1.25, "o": {"a": [1, 2, {"b": null}]}, "t": "äöü\n"})
    );
    assert_eq!(latest["timestamp"], "2026-03-01T12:00:00.000Z");
    assert_eq!(points(&app, &device).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_the_latest_state_sqlite() {
    restart(TestApp::new(espalier_testkit::Engine::Sqlite).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_the_latest_state_postgres() {
    if espalier_testkit::postgres_available() {
        restart(TestApp::new(espalier_testkit::Engine::Postgres).await).await;
    }
}

story!(
    posts_at_once_keep_the_newest_of_each_key,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, token) = ada.device("d").await;
        let path = format!("/devices/{device}/telemetry");
        let posts = (0..40_i64).map(|i| {
            let client = app.anonymous().bearer(&token);
            let path = path.clone();
            // A permutation of 0..40, so that they do not come in order.
            let age = i * 7 % 40;
            async move {
                let body = json!({"ts": START_MS - age * 1000, "data": {"v": age}});
                client.post(&path, body).await.expect(200);
            }
        });
        futures_util::future::join_all(posts).await;
        let latest = app
            .anonymous()
            .bearer(&token)
            .get("/telemetry/latest")
            .await
            .expect(200);
        assert_eq!(latest["data"]["v"], 0);
        assert_eq!(points(&app, &device).await, 40);
    }
);
