//! History, export, import and retention, as people and their programs use them.

use axum::http::Method;
use espalier_testkit::{Client, START_MS, TestApp, story};
use serde_json::{Value, json};

const HOUR: i64 = 3_600_000;

/// Posts `(ts, value)` of one key.
async fn fill(
    client: &Client,
    device: &str,
    key: &str,
    points: impl IntoIterator<Item = (i64, Value)>,
) {
    let samples: Vec<Value> = points
        .into_iter()
        .map(|(ts, value)| json!({"ts": ts, "data": {key: value}}))
        .collect();
    let path = format!("/devices/{device}/telemetry");
    for chunk in samples.chunks(5000) {
        client
            .post(&path, json!({"samples": chunk}))
            .await
            .expect(200);
    }
}

async fn board(app: &TestApp, person: &espalier_testkit::Person, name: &str) -> (String, Client) {
    let (device, token) = person.device(name).await;
    (device, app.anonymous().bearer(&token))
}

story!(history_is_what_was_stored, |app| async move {
    let ada = app.person("ada").await;
    let (device, client) = board(&app, &ada, "d").await;
    fill(
        &client,
        &device,
        "t",
        [
            (START_MS - HOUR, json!(1.5)),
            (START_MS, json!(2.5)),
            (START_MS - 25 * HOUR, json!(0)),
        ],
    )
    .await;
    let short = ada
        .client
        .get(&format!(
            "/telemetry/history?device_id={device}&key=t&period=24h"
        ))
        .await
        .expect(200);
    assert_eq!(
        short,
        json!([
            {"timestamp": "2026-03-01T11:00:00.000Z", "value": 1.5},
            {"timestamp": "2026-03-01T12:00:00.000Z", "value": 2.5},
        ])
    );
    let nothing = ada
        .client
        .get(&format!(
            "/telemetry/history?device_id={device}&key=nothing"
        ))
        .await
        .expect(200);
    assert_eq!(nothing, json!([]));
    let full = format!(
        "/telemetry/history?device_id={device}&key=t,x&from=2026-02-28T00:00:00Z&to={}&order=desc&limit=2",
        START_MS + 1
    );
    let full = ada.client.get(&full).await.expect(200);
    assert_eq!(
        full,
        json!({
            "from": "2026-02-28T00:00:00.000Z", "to": "2026-03-01T12:00:00.001Z", "interval": null, "tz": "UTC",
            "series": [
                {"device_id": device, "key": "t", "points": [{"t": START_MS, "value": 2.5}, {"t": START_MS - HOUR, "value": 1.5}], "more": true},
                {"device_id": device, "key": "x", "points": []},
            ],
        })
    );
});

story!(
    buckets_aggregate_and_empty_ones_are_null_when_asked,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, client) = board(&app, &ada, "d").await;
        let at = START_MS - 3 * HOUR;
        fill(
            &client,
            &device,
            "t",
            [
                (at, json!(1)),
                (at + 1000, json!(2)),
                (at + 2000, json!(6)),
                (at + 2 * HOUR, json!(4)),
            ],
        )
        .await;
        let url = format!(
            "/telemetry/history?device_id={device}&key=t&from={at}&to={}&interval=1h&fill=null\
        &agg=min,max,mean&agg=last&agg=first,count,sum",
            at + 3 * HOUR
        );
        let points = ada.client.get(&url).await.expect(200)["series"][0]["points"].clone();
        assert_eq!(
            points,
            json!([
                {"t": at, "min": 1, "max": 6, "mean": 3, "last": 6, "first": 1, "count": 3, "sum": 9},
                {"t": at + HOUR, "min": null, "max": null, "mean": null, "last": null, "first": null, "count": 0, "sum": null},
                {"t": at + 2 * HOUR, "min": 4, "max": 4, "mean": 4, "last": 4, "first": 4, "count": 1, "sum": 4},
            ])
        );
        let body = json!({"device_ids": [device], "keys": ["t"], "from": at.to_string(), "to": (at + 3 * HOUR).to_string(), "buckets": 3, "agg": ["count"]});
        let points =
            ada.client.post("/telemetry/query", body).await.expect(200)["series"][0]["points"]
                .clone();
        assert_eq!(
            points,
            json!([{"t": at, "count": 3}, {"t": at + 2 * HOUR, "count": 1}])
        );
    }
);

story!(
    days_of_berlin_have_23_and_25_hours_when_clocks_change,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, client) = board(&app, &ada, "d").await;
        app.clock.advance(300 * 24 * HOUR);
        for (first, last, hours) in [
            ("2026-03-28", "2026-03-31", [24, 23, 24]),
            ("2026-10-24", "2026-10-27", [24, 25, 24]),
        ] {
            let zone = midnight_in_berlin(first);
            let points = (0..hours.iter().sum::<i64>()).map(|hour| (zone + hour * HOUR, json!(1)));
            fill(&client, &device, "n", points).await;
            let url = format!(
                "/telemetry/history?device_id={device}&key=n&from={first}&to={last}&interval=1d&agg=count&tz=Europe/Berlin"
            );
            let answer = client.get(&url).await.expect(200);
            let counts: Vec<_> = answer["series"][0]["points"]
                .as_array()
                .expect("points")
                .iter()
                .filter_map(|p| p["count"].as_i64())
                .collect();
            assert_eq!(counts, hours, "{first}");
        }
    }
);

/// Midnight in Berlin of a day before the clocks change: one hour before UTC in March, two in October.
fn midnight_in_berlin(day: &str) -> i64 {
    match day {
        "2026-03-28" => 1_774_652_400_000,
        _ => 1_792_792_800_000,
    }
}

story!(
    questions_without_sense_are_refused_in_a_sentence,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, _) = board(&app, &ada, "d").await;
        let many = "k,".repeat(1001);
        for wrong in [
            "key=t".to_owned(),
            format!("device_id={device}&key=t&period=24"),
            format!("device_id={device}&key=t&from=yesterday"),
            format!("device_id={device}&key=t&from=2026-03-02&to=2026-03-01"),
            format!("device_id={device}&key=t&tz=Mars/Olympus"),
            format!("device_id={device}&key=t&interval=0h"),
            format!("device_id={device}&key=t&interval=1ms&period=30d"),
            format!("device_id={device}&key=t&interval=1h&buckets=5"),
            format!("device_id={device}&key=t&buckets=0"),
            format!("device_id={device}&key=t&buckets=100001"),
            format!("device_id={device}&key=t&interval=1h&agg=median"),
            format!("device_id={device}&key=t&agg=mean"),
            format!("device_id={device}&key=t&order=up"),
            format!("device_id={device}&key=t&interval=1h&fill=0"),
            format!("device_id={device}&key=t&limit=-1"),
            format!("device_id={device}&key=t&format=xml"),
            format!("device_id={device}&key=t,u&format=array"),
            format!("device_id={device}&key={many}"),
        ] {
            let answer = ada.client.get(&format!("/telemetry/history?{wrong}")).await;
            assert_eq!(
                answer.status,
                422,
                "{}: {}",
                &wrong[..wrong.len().min(90)],
                answer.text()
            );
        }
        ada.client
            .post(
                "/telemetry/query",
                json!({"device_ids": [device], "unknown": 1}),
            )
            .await
            .expect(422);
        app.anonymous()
            .get(&format!("/telemetry/history?device_id={device}&key=t"))
            .await
            .expect(401);
    }
);

#[cfg(not(feature = "parquet"))]
story!(
    without_parquet_the_answer_says_how_to_build_it_in,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, _) = board(&app, &ada, "d").await;
        for path in ["history", "export"] {
            let url = format!("/telemetry/{path}?device_id={device}&format=parquet");
            let refused = ada.client.get(&url).await.expect(400);
            let message = refused["message"].as_str().unwrap_or_default();
            assert!(message.contains("--features parquet"), "{message}");
        }
        let body = json!({"device_ids": [device], "format": "parquet"});
        ada.client.post("/telemetry/query", body).await.expect(400);
    }
);

story!(
    more_than_an_answer_may_hold_points_to_the_export,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, client) = board(&app, &ada, "d").await;
        let from = START_MS - 200_000_000;
        fill(
            &client,
            &device,
            "n",
            (0..100_001).map(|i| (from + i * 1000, json!(i))),
        )
        .await;
        let url = format!("/telemetry/history?device_id={device}&key=n&from={from}");
        let refused = ada.client.get(&url).await.expect(422);
        assert!(
            refused["message"]
                .as_str()
                .unwrap_or_default()
                .contains("/telemetry/export")
        );
        let short = ada
            .client
            .get(&format!(
                "/telemetry/history?device_id={device}&key=n&period=7d"
            ))
            .await
            .expect(200);
        assert!((100..=1000).contains(&short.as_array().expect("a list").len()));
        let file = ada
            .client
            .get(&format!(
                "/telemetry/export?device_id={device}&key=n&from={from}&format=ndjson"
            ))
            .await;
        assert_eq!(file.text().lines().count(), 100_001);
    }
);

story!(
    another_users_device_is_not_found_on_every_path,
    |app| async move {
        let ada = app.person("ada").await;
        let eve = app.person("eve").await;
        let (device, client) = board(&app, &ada, "d").await;
        fill(&client, &device, "t", [(START_MS, json!(1))]).await;
        let (_, foreign) = board(&app, &eve, "e").await;
        for stranger in [&eve.client, &foreign] {
            for path in [
                format!("/devices/{device}/telemetry/latest"),
                format!("/telemetry/history?device_id={device}&key=t"),
                format!("/telemetry/export?device_id={device}"),
            ] {
                assert_eq!(stranger.get(&path).await.status, 404, "{path}");
            }
            stranger
                .post("/telemetry/query", json!({"device_ids": [device]}))
                .await
                .expect(404);
        }
        let eve = &eve.client;
        eve.get(&format!("/devices/{device}/retention"))
            .await
            .expect(404);
        eve.put(&format!("/devices/{device}/retention"), json!([]))
            .await
            .expect(404);
        eve.delete(&format!("/devices/{device}/telemetry"))
            .await
            .expect(404);
        let import = format!("/devices/{device}/telemetry/import");
        let csv = "timestamp,t\n2026-03-01,1\n";
        assert_eq!(
            eve.send(Method::POST, &import, Some("text/csv"), csv)
                .await
                .status,
            404
        );
        for path in [&import, &format!("/devices/{device}/telemetry/latest")] {
            let answer = app
                .anonymous()
                .send(
                    if path.ends_with("import") {
                        Method::POST
                    } else {
                        Method::GET
                    },
                    path,
                    None,
                    csv,
                )
                .await;
            assert_eq!(answer.status, 401, "{path}");
        }
    }
);

story!(an_export_imports_as_the_same_values, |app| async move {
    let ada = app.person("ada").await;
    let (device, client) = board(&app, &ada, "d").await;
    let data = json!({
        "n": -0.1, "whole": 9_007_199_254_740_992_i64, "small": 1e-300, "b": true,
        "t": "plain", "tricky": "=cmd|' /C calc'!A0", "digits": "007", "yes": "true", "quoted": "a \"b\", c\r\nd",
        "apostrophe": "'x", "empty": "", "space": " x ", "o": {"a": [1, "ü", null]}, "- key": 5,
    });
    client
        .post("/telemetry", json!({"data": data}))
        .await
        .expect(200);
    fill(
        &client,
        &device,
        "series",
        (0..10_000).map(|i| (START_MS - i * 1000, json!(f64::from(i as i32) / 7.0))),
    )
    .await;
    let export = ada
        .client
        .get(&format!(
            "/telemetry/export?device_id={device}&format=csv&period=7d"
        ))
        .await;
    assert_eq!(export.headers["content-type"], "text/csv; charset=utf-8");
    let csv = export.text();
    assert!(csv.starts_with("timestamp,device_id,key,value\r\n"));
    assert!(
        csv.contains(",n,-0.1\r\n") && csv.contains(",\"'=cmd") | csv.contains(",'=cmd"),
        "{}",
        &csv[..2000]
    );
    let before = client.get("/telemetry/latest").await.expect(200)["data"].clone();
    ada.client
        .delete(&format!("/devices/{device}/telemetry"))
        .await
        .expect(200);
    assert_eq!(
        client.get("/telemetry/latest").await.expect(200)["data"],
        json!({})
    );
    let path = format!("/devices/{device}/telemetry/import");
    let imported = ada
        .client
        .send(Method::POST, &path, Some("text/csv"), csv.clone())
        .await
        .expect(200);
    assert_eq!(imported["accepted"], 10_014);
    assert_eq!(
        client.get("/telemetry/latest").await.expect(200)["data"],
        before
    );
    let again = ada
        .client
        .get(&format!(
            "/telemetry/export?device_id={device}&format=csv&period=7d"
        ))
        .await;
    assert_eq!(again.text(), csv);
});

story!(
    an_import_with_a_wrong_line_stores_nothing_and_names_it,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, client) = board(&app, &ada, "d").await;
        let path = format!("/devices/{device}/telemetry/import");
        let good: String = (0..20_000)
            .map(|i| format!("{},{i},\n", START_MS - i * 1000))
            .collect();
        for (csv, line) in [
            (format!("timestamp,a,b\n{good}yesterday,1,2\n"), 20_002),
            (
                format!("timestamp,a,b\n{good}1772366400000,NaN,2\n"),
                20_002,
            ),
            (
                "timestamp,a\n1772366400000,1\n1772366400000,1,2\n".to_owned(),
                3,
            ),
            ("timestamp,a\n0,1\n".to_owned(), 2),
            ("timestamp,a\n\"32503680000000\",1\n".to_owned(), 2),
            ("timestamp,_a\n1772366400000,1\n".to_owned(), 1),
            ("timestamp,a,a\n1772366400000,1,2\n".to_owned(), 1),
            ("a,b\n1,2\n".to_owned(), 1),
            ("timestamp\n1772366400000\n".to_owned(), 1),
            (
                "timestamp,device_id,key,value\n1772366400000,0123456789abcdef01234567,a,1\n"
                    .to_owned(),
                2,
            ),
            (String::new(), 1),
        ] {
            let answer = ada
                .client
                .send(Method::POST, &path, Some("text/csv"), csv.clone())
                .await;
            let shown: String = csv.chars().take(60).collect();
            assert_eq!(answer.status, 422, "{shown}: {}", answer.text());
            let message = answer.json()["message"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            assert!(
                message.contains(&format!("line {line} ")),
                "{shown}: {message}"
            );
        }
        assert_eq!(
            client.get("/telemetry/latest").await.expect(200)["data"],
            json!({})
        );
        let wide = "\u{feff}Time,temperature,humidity\n2026-03-01T10:00:00Z,1.5,\n2026-03-01T12:00:00+01:00,2.5,40\n1772366400,3,41\n";
        let imported = ada
            .client
            .send(Method::POST, &path, Some("text/csv"), wide)
            .await
            .expect(200);
        assert_eq!(imported["accepted"], 5);
        let history = ada
            .client
            .get(&format!(
                "/telemetry/history?device_id={device}&key=temperature"
            ))
            .await
            .expect(200);
        let times: Vec<_> = history
            .as_array()
            .expect("a list")
            .iter()
            .map(|p| p["timestamp"].clone())
            .collect();
        assert_eq!(
            times,
            [
                "2026-03-01T10:00:00.000Z",
                "2026-03-01T11:00:00.000Z",
                "2026-03-01T12:00:00.000Z"
            ]
        );
        let large = vec![b'x'; (64 << 20) + 1];
        assert_eq!(
            ada.client
                .send(Method::POST, &path, Some("text/csv"), large)
                .await
                .status,
            413
        );
    }
);

story!(
    an_import_that_is_cut_off_leaves_everything_or_nothing,
    |app| async move {
        const LINES: usize = 60_000;
        let mut app = app;
        let ada = app.person("ada").await;
        let (device, _) = board(&app, &ada, "d").await;
        let rows = (0..LINES as i64).map(|n| format!("{},{n}\n", START_MS - n * 1000));
        let csv = format!("timestamp,t\n{}", rows.collect::<String>());
        let path = format!("/devices/{device}/telemetry/import");
        let stores = app.app.tsdb.clone();
        let before = stores.stats().await.expect("counters").accepted;
        let client = ada.client.clone();
        let import = tokio::spawn(async move {
            let csv = client.send(Method::POST, &path, Some("text/csv"), csv);
            csv.await.status
        });
        // As soon as anything is stored, the store goes away.
        while !import.is_finished() && stores.stats().await.expect("counters").accepted == before {
            tokio::task::yield_now().await;
        }
        stores.close().await.expect("closed");
        let status = import.await.expect("an answer");
        app.restart().await;
        let client = app.anonymous().bearer(&ada.token);
        let url = format!("/telemetry/export?device_id={device}&key=t&period=7d&format=ndjson");
        let stored = client.get(&url).await.text().lines().count();
        assert!(stored == 0 || stored == LINES, "{stored} of {LINES}");
        assert!(status != 200 || stored == LINES, "a 200 is a promise");
    }
);

story!(retention_removes_what_no_rule_keeps, |app| async move {
    let ada = app.person("ada").await;
    let (device, client) = board(&app, &ada, "d").await;
    let (other, other_client) = board(&app, &ada, "e").await;
    let day = 24 * HOUR;
    for (device, client) in [(&device, &client), (&other, &other_client)] {
        for key in ["a", "b"] {
            fill(
                client,
                device,
                key,
                (0..10).map(|i| (START_MS - i * day, json!(i))),
            )
            .await;
        }
    }
    ada.client
        .put(
            "/me/retention",
            json!([{"key": "*", "keep_days": 5}, {"key": "b", "keep_days": 2}]),
        )
        .await
        .expect(200);
    let rules = json!([{"key": "a", "keep_days": 3}]);
    ada.client
        .put(&format!("/devices/{device}/retention"), rules.clone())
        .await
        .expect(200);
    assert_eq!(
        ada.client
            .get(&format!("/devices/{device}/retention"))
            .await
            .expect(200),
        rules
    );
    espalier_server::telemetry::tick(&app.app)
        .await
        .expect("a tick");
    let count = |device: String, key: &'static str| {
        let client = ada.client.clone();
        async move {
            let url = format!("/telemetry/history?device_id={device}&key={key}&period=30d");
            client
                .get(&url)
                .await
                .expect(200)
                .as_array()
                .map_or(0, Vec::len)
        }
    };
    assert_eq!(count(device.clone(), "a").await, 4, "its own rule");
    assert_eq!(
        count(device.clone(), "b").await,
        3,
        "the account's rule for the key"
    );
    assert_eq!(
        count(other.clone(), "a").await,
        6,
        "the account's rule for all"
    );
    assert_eq!(count(other.clone(), "b").await, 3);
    for wrong in [
        json!([{"key": "a", "keep_days": 0}]),
        json!([{"key": "_a", "keep_days": 1}]),
        json!([{"key": "a"}]),
        json!([{"key": "a", "keep_days": 1}, {"key": "a", "keep_days": 2}]),
    ] {
        ada.client.put("/me/retention", wrong).await.expect(422);
    }
    app.clock.advance(100 * day);
    espalier_server::telemetry::tick(&app.app)
        .await
        .expect("a tick");
    assert_eq!(
        client.get("/telemetry/latest").await.expect(200)["data"],
        json!({})
    );
});

story!(a_range_is_deleted_by_its_owner_only, |app| async move {
    let ada = app.person("ada").await;
    let (device, client) = board(&app, &ada, "d").await;
    for key in ["a", "b"] {
        fill(
            &client,
            &device,
            key,
            (0..10).map(|i| (START_MS - i * HOUR, json!(i))),
        )
        .await;
    }
    let path = format!("/devices/{device}/telemetry");
    client.delete(&path).await.expect(403);
    let range = format!(
        "{path}?key=a&from={}&to={}",
        START_MS - 2 * HOUR,
        START_MS + 1
    );
    assert_eq!(ada.client.delete(&range).await.expect(200)["deleted"], 3);
    let latest = ada.client.get(&format!("{path}/latest")).await.expect(200);
    assert_eq!(latest["data"], json!({"a": 3, "b": 0}));
    assert_eq!(
        latest["updated_ms"],
        json!({"a": START_MS - 3 * HOUR, "b": START_MS})
    );
    ada.client
        .delete(&format!("{path}?from=2026-03-02&to=2026-03-01"))
        .await
        .expect(422);
});
