//! What an operator sees: health, metrics, the description of the API, limits, backup over the API.

use espalier_model::Role;
use espalier_testkit::{Engine, TestApp, postgres_available, story};
use serde_json::json;

story!(health_and_metrics_tell_what_is_true, |app| async move {
    let ada = app.person("ada").await;
    let (id, token) = ada.device("board").await;
    let body = json!({ "device_token": token, "data": { "a": 1, "b": 2 } });
    app.anonymous()
        .post(&format!("/devices/{id}/telemetry"), body)
        .await
        .expect(200);
    let wrong = json!({ "device_token": token, "data": { "a": null } });
    app.anonymous()
        .post(&format!("/devices/{id}/telemetry"), wrong)
        .await
        .expect(422);
    let health = app.anonymous().get("/health").await.expect(200);
    assert_eq!(
        (&health["status"], &health["ok"]),
        (&json!("healthy"), &json!(true))
    );
    app.anonymous().get("/health/live").await.expect(200);
    app.anonymous().get("/health/ready").await.expect(200);
    let metrics = app.anonymous().get("/metrics").await.expect(200);
    assert_eq!(metrics["telemetry"]["points_accepted"], 2, "{metrics}");
    assert_eq!(metrics["telemetry"]["messages_refused"], 1, "{metrics}");
    assert_eq!(metrics["devices"], 1);
    let text = app
        .anonymous()
        .header("accept", "text/plain")
        .get("/metrics")
        .await;
    assert!(
        text.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
    let text = text.text();
    assert!(
        text.contains("espalier_telemetry_points_accepted_total 2"),
        "{text}"
    );
    assert!(
        text.contains("espalier_http_request_duration_seconds_bucket"),
        "{text}"
    );
});

story!(
    the_root_speaks_html_to_browsers_and_json_to_programs,
    |app| async move {
        let root = app.anonymous().get("/").await.expect(200);
        for key in [
            "message",
            "version",
            "status",
            "docs",
            "documentation",
            "health",
            "websocket_endpoint",
            "features",
        ] {
            assert!(root.get(key).is_some(), "{key}");
        }
        let page = app.anonymous().header("accept", "text/html").get("/").await;
        assert_eq!(page.status, 200);
        assert!(page.text().contains("<title>Espalier</title>"));
        let docs = app.anonymous().get("/docs/").await;
        assert_eq!(docs.status, 200);
        assert!(
            !docs.text().contains("//cdn"),
            "the page loads nothing from elsewhere"
        );
    }
);

story!(
    every_answer_carries_a_request_id_and_every_page_the_fences,
    |app| async move {
        let has = |answer: &espalier_testkit::Answer, names: &[&str]| {
            for name in names {
                assert!(answer.headers.contains_key(*name), "{name}");
            }
        };
        let always = ["x-request-id", "x-content-type-options"];
        let pages = [
            "content-security-policy",
            "x-frame-options",
            "referrer-policy",
        ];
        let data = app.anonymous().get("/health").await;
        has(&data, &always);
        for page in ["/", "/docs/", "/setup?token=wrong", "/metrics"] {
            let client = app.anonymous().header("accept", "text/html, text/plain");
            let page = client.get(page).await;
            has(&page, &always);
            has(&page, &pages);
        }
        has(&app.anonymous().get("/nothing").await, &always);
        let other = app
            .anonymous()
            .header("origin", "https://evil.example")
            .get("/health")
            .await;
        assert!(!other.headers.contains_key("access-control-allow-origin"));
    }
);

async fn limited(engine: Engine) {
    let app = TestApp::with(engine, |config| config.rate_limit_requests = 5).await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    for left in (0..5).rev() {
        let answer = ada.client.get("/me").await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.headers["ratelimit-remaining"],
            left.to_string().as_str()
        );
    }
    let refused = ada.client.get("/me").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers["retry-after"], "12");
    bob.client.get("/me").await.expect(200);
    // What must answer always, answers always.
    ada.client.get("/health").await.expect(200);
    app.clock.advance(12_000);
    ada.client.get("/me").await.expect(200);
    // A board that shows its token in the body counts for itself, not for its address.
    let (id, token) = bob.device("board").await;
    let body = json!({ "device_token": token, "data": { "a": 1 } });
    for _ in 0..5 {
        app.anonymous()
            .post(&format!("/devices/{id}/telemetry"), body.clone())
            .await
            .expect(200);
    }
    assert_eq!(
        app.anonymous()
            .post(&format!("/devices/{id}/telemetry"), body)
            .await
            .status,
        429
    );
    assert_eq!(app.anonymous().get("/app/config").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rate_limit_is_per_principal() {
    limited(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_forwarded_header_changes_nothing() {
    let app = TestApp::with(Engine::Sqlite, |config| config.rate_limit_requests = 3).await;
    for n in 0..3 {
        app.anonymous()
            .header("x-forwarded-for", &format!("10.9.8.{n}"))
            .get("/app/config")
            .await
            .expect(200);
    }
    let fourth = app
        .anonymous()
        .header("x-forwarded-for", "10.9.8.77")
        .get("/app/config")
        .await;
    assert_eq!(fourth.status, 429);
}

/// Fills an app on one engine, restores its backup on another, and compares.
async fn carried_over(from: Engine, to: Engine) {
    let source = TestApp::new(from).await;
    let ada = source.person("ada").await;
    let (id, token) = ada.device("greenhouse").await;
    for n in 0..20 {
        let sample = json!({ "ts": 1_700_000_000_000_i64 + n * 500, "data": { "t": 20.25 + n as f64, "note": "ok", "on": n % 2 == 0 } });
        let body = json!({ "device_token": token, "samples": [sample] });
        source
            .anonymous()
            .post(&format!("/devices/{id}/telemetry"), body)
            .await
            .expect(200);
    }
    let admin = source.person_with("admin", Role::Admin).await;
    let archive = admin.client.get("/admin/backup").await;
    assert_eq!(archive.status, 200, "{}", archive.text());
    let path = format!(
        "/telemetry/history?device_id={id}&key=t,note,on&from=2001-01-01T00:00:00Z&format=series"
    );
    let before = ada.client.get(&path).await.expect(200);

    let mut target = TestApp::new(to).await;
    let boss = target.person_with("boss", Role::Admin).await;
    let broken = boss
        .client
        .send(
            "POST".parse().unwrap(),
            "/admin/restore",
            None,
            archive.bytes[..40].to_vec(),
        )
        .await;
    broken.expect(400);
    boss.client
        .send(
            "POST".parse().unwrap(),
            "/admin/restore",
            None,
            archive.bytes,
        )
        .await
        .expect(200);
    assert!(target.app.wants_restart());
    target.restart().await;
    target
        .anonymous()
        .bearer(&boss.token)
        .get("/me")
        .await
        .expect(401);
    let login = json!({ "email": "ada@example.com", "password": espalier_testkit::PASSWORD });
    let signed = target.anonymous().post("/login", login).await.expect(200);
    let ada = target
        .anonymous()
        .bearer(signed["access_token"].as_str().unwrap());
    let after = ada.get(&path).await.expect(200);
    assert_eq!(after["series"], before["series"]);
    assert_eq!(
        ada.get("/devices").await.expect(200)[0]["name"],
        "greenhouse"
    );
    // The board's token is as good as before.
    let body = json!({ "device_token": token, "data": { "t": 1 } });
    target
        .anonymous()
        .post(&format!("/devices/{id}/telemetry"), body)
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_carries_everything_to_either_engine() {
    carried_over(Engine::Sqlite, Engine::Sqlite).await;
    if postgres_available() {
        carried_over(Engine::Sqlite, Engine::Postgres).await;
        carried_over(Engine::Postgres, Engine::Sqlite).await;
    } else {
        eprintln!("skipped: set TEST_DATABASE_URL, or run `cargo xtask test`");
    }
}

/// Client generators name their functions after the operations' ids.
#[test]
fn every_operation_has_a_name_of_its_own() {
    let document = serde_json::to_value(espalier_server::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.values().flat_map(|path| path.as_object().unwrap());
    let names: Vec<_> = operations
        .filter_map(|(_, operation)| operation["operationId"].as_str())
        .collect();
    let different: std::collections::BTreeSet<_> = names.iter().collect();
    assert!(names.len() > 100, "{}", names.len());
    assert_eq!(different.len(), names.len(), "{names:?}");
}
