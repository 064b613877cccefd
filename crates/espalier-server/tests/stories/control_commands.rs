//! Commands: sent by people, fetched and answered by boards that sleep.

use crate::control::share;
use espalier_model::ShareRole;
use espalier_server::control;
use espalier_testkit::{Client, TestApp, story};
use serde_json::{Value, json};
use std::time::Duration;

/// Less than the wait that a wake-up must cut short.
const PATIENCE: Duration = Duration::from_secs(20);

async fn send(client: &Client, device: &str, body: Value) -> String {
    let sent = client
        .post(&format!("/devices/{device}/commands"), body)
        .await
        .expect(202);
    sent["id"].as_str().unwrap().to_owned()
}

async fn fetch(board: &Client, device: &str) -> Vec<Value> {
    let pending = board
        .get(&format!("/devices/{device}/commands/pending"))
        .await
        .expect(200);
    pending["commands"].as_array().unwrap().clone()
}

fn board(app: &TestApp, token: &str) -> Client {
    app.anonymous().bearer(token)
}

story!(
    a_sleeping_device_fetches_a_command_and_answers_once,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, token) = ada.device("plant").await;
        let board = board(&app, &token);
        let sent = ada
            .client
            .post(
                &format!("/devices/{device}/commands"),
                json!({"name": "water", "params": {"ml": 50}}),
            )
            .await
            .expect(202);
        assert_eq!(
            (&sent["status"], &sent["expires_at"]),
            (&json!("queued"), &json!("2026-03-01T12:05:00.000Z"))
        );
        let id = sent["id"].as_str().unwrap();
        let path = format!("/devices/{device}/commands/{id}");
        let got = fetch(&board, &device).await;
        assert_eq!(
            got,
            [
                json!({"id": id, "name": "water", "params": {"ml": 50}, "expires_at": espalier_testkit::START_MS + 300_000})
            ]
        );
        let delivered = ada.client.get(&path).await.expect(200);
        assert_eq!(
            (&delivered["status"], &delivered["delivered_at"]),
            (&json!("delivered"), &json!("2026-03-01T12:00:00.000Z"))
        );
        // It lost the answer: the same command comes again under the same id.
        assert_eq!(fetch(&board, &device).await, got);
        let result = format!("{path}/result");
        board
            .post(&result, json!({"ok": true, "result": {"ml": 48}}))
            .await
            .expect(200);
        board
            .post(&result, json!({"ok": true, "result": {"ml": 99}}))
            .await
            .expect(200);
        board
            .post(&result, json!({"ok": false, "error": "pump"}))
            .await
            .expect(409);
        let done = ada.client.get(&path).await.expect(200);
        assert_eq!(
            (&done["status"], &done["result"], &done["error"]),
            (&json!("done"), &json!({"ml": 48}), &Value::Null)
        );
        assert!(fetch(&board, &device).await.is_empty());
    }
);

story!(a_device_may_send_its_token_in_the_body, |app| async move {
    let ada = app.person("ada").await;
    let (device, token) = ada.device("plant").await;
    let id = send(&ada.client, &device, json!({"name": "water"})).await;
    let result = format!("/devices/{device}/commands/{id}/result");
    app.anonymous()
        .post(
            &result,
            json!({"ok": false, "error": "dry", "device_token": "wrong"}),
        )
        .await
        .expect(401);
    app.anonymous()
        .post(
            &result,
            json!({"ok": false, "error": "dry", "device_token": token}),
        )
        .await
        .expect(200);
    let list = ada
        .client
        .get(&format!("/devices/{device}/commands?status=failed"))
        .await
        .expect(200);
    assert_eq!(
        (list.as_array().unwrap().len(), &list[0]["error"]),
        (1, &json!("dry"))
    );
});

story!(
    commands_expire_and_late_answers_are_refused,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, token) = ada.device("plant").await;
        let board = board(&app, &token);
        let id = send(
            &ada.client,
            &device,
            json!({"name": "water", "expires_in_seconds": 60}),
        )
        .await;
        let lasting = send(
            &ada.client,
            &device,
            json!({"name": "grow", "expires_in_seconds": 604_800}),
        )
        .await;
        assert_eq!(fetch(&board, &device).await.len(), 2);
        app.clock.advance(60_000);
        let left = fetch(&board, &device).await;
        assert_eq!((left.len(), &left[0]["id"]), (1, &json!(lasting)));
        let path = format!("/devices/{device}/commands/{id}");
        board
            .post(&format!("{path}/result"), json!({"ok": true}))
            .await
            .expect(409);
        control::tick(&app.app).await.unwrap();
        let over = ada.client.get(&path).await.expect(200);
        assert_eq!(
            (&over["status"], &over["finished_at"]),
            (&json!("expired"), &json!("2026-03-01T12:01:00.000Z"))
        );
        ada.client.delete(&path).await.expect(409);
    }
);

story!(a_cancelled_command_is_not_delivered, |app| async move {
    let ada = app.person("ada").await;
    let (device, token) = ada.device("plant").await;
    let id = send(&ada.client, &device, json!({"name": "water"})).await;
    let path = format!("/devices/{device}/commands/{id}");
    assert_eq!(
        ada.client.delete(&path).await.expect(200)["status"],
        "cancelled"
    );
    assert_eq!(
        ada.client.delete(&path).await.expect(200)["status"],
        "cancelled"
    );
    let board = board(&app, &token);
    assert!(fetch(&board, &device).await.is_empty());
    board
        .post(&format!("{path}/result"), json!({"ok": true}))
        .await
        .expect(409);
});

story!(
    commands_survive_a_restart_in_their_order,
    |app| async move {
        let mut app = app;
        let ada = app.person("ada").await;
        let (device, token) = ada.device("plant").await;
        let mut sent = Vec::new();
        for n in 0..3 {
            sent.push(send(&ada.client, &device, json!({"name": format!("step{n}")})).await);
            app.clock.advance(1);
        }
        app.restart().await;
        let got = fetch(&board(&app, &token), &device).await;
        let ids: Vec<_> = got.iter().map(|c| c["id"].as_str().unwrap()).collect();
        assert_eq!(ids, sent);
    }
);

story!(who_waits_gets_the_answer_when_it_comes, |app| async move {
    let ada = app.person("ada").await;
    let (device, token) = ada.device("plant").await;
    let board = board(&app, &token);
    let path = format!("/devices/{device}/commands?wait=30");
    let waiting = ada.client.post(&path, json!({"name": "water"}));
    let answering = async {
        let id = loop {
            match fetch(&board, &device).await.first() {
                Some(command) => break command["id"].as_str().unwrap().to_owned(),
                None => tokio::task::yield_now().await,
            }
        };
        board
            .post(
                &format!("/devices/{device}/commands/{id}/result"),
                json!({"ok": true, "result": 48}),
            )
            .await
            .expect(200);
    };
    // Without the wake-up the answer would come after 30 seconds.
    let both = async { tokio::join!(waiting, answering) };
    let (answer, ()) = tokio::time::timeout(PATIENCE, both)
        .await
        .expect("the wake-up");
    let done = answer.expect(200);
    assert_eq!(
        (&done["status"], &done["result"]),
        (&json!("done"), &json!(48))
    );
    let id = done["id"].as_str().unwrap();
    // The outcome is known: nobody waits.
    ada.client
        .get(&format!("/devices/{device}/commands/{id}?wait=30"))
        .await
        .expect(200);
    ada.client
        .get(&format!("/devices/{device}/commands/{id}?wait=31"))
        .await
        .expect(422);
});

story!(
    only_who_may_control_sends_and_only_the_device_answers,
    |app| async move {
        let (ada, vera, max, eve) = (
            app.person("ada").await,
            app.person("vera").await,
            app.person("max").await,
            app.person("eve").await,
        );
        let (device, token) = ada.device("plant").await;
        let (other, other_token) = ada.device("pump").await;
        share(&app, &device, &vera, ShareRole::Viewer);
        share(&app, &device, &max, ShareRole::Member);
        let path = format!("/devices/{device}/commands");
        let id = send(&max.client, &device, json!({"name": "water"})).await;
        vera.client
            .post(&path, json!({"name": "water"}))
            .await
            .expect(403);
        vera.client.get(&path).await.expect(200);
        vera.client
            .delete(&format!("{path}/{id}"))
            .await
            .expect(403);
        eve.client
            .post(&path, json!({"name": "water"}))
            .await
            .expect(404);
        eve.client.get(&format!("{path}/{id}")).await.expect(404);
        app.anonymous()
            .post(&path, json!({"name": "water"}))
            .await
            .expect(401);
        board(&app, &token)
            .post(&path, json!({"name": "water"}))
            .await
            .expect(403);
        ada.client.get(&format!("{path}/pending")).await.expect(403);
        app.anonymous()
            .get(&format!("{path}/pending"))
            .await
            .expect(401);
        let stranger = board(&app, &other_token);
        stranger.get(&format!("{path}/pending")).await.expect(403);
        stranger
            .post(&format!("{path}/{id}/result"), json!({"ok": true}))
            .await
            .expect(403);
        stranger
            .post(
                &format!("/devices/{other}/commands/{id}/result"),
                json!({"ok": true}),
            )
            .await
            .expect(404);
        ada.client
            .get(&format!("/devices/{other}/commands/{id}"))
            .await
            .expect(404);
    }
);

story!(
    wrong_commands_are_refused_with_a_sentence,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, _) = ada.device("plant").await;
        let path = format!("/devices/{device}/commands");
        let wrong = [
            json!({}),
            json!({"name": ""}),
            json!({"name": "a b"}),
            json!({"name": "x".repeat(65)}),
            json!({"name": "a", "params": [1]}),
            json!({"name": "a", "params": {"x": "y".repeat(20_000)}}),
            json!({"name": "a", "expires_in_seconds": 0}),
            json!({"name": "a", "expires_in_seconds": 604_801}),
            json!({"name": "a", "expires_in_seconds": -1}),
        ];
        for body in wrong {
            ada.client.post(&path, body).await.expect(422);
        }
        for query in ["limit=0", "limit=501", "limit=x", "status=lost"] {
            ada.client.get(&format!("{path}?{query}")).await.expect(422);
        }
        assert_eq!(ada.client.get(&path).await.expect(200), json!([]));
        for _ in 0..100 {
            send(&ada.client, &device, json!({"name": "a"})).await;
        }
        assert_eq!(
            ada.client
                .post(&path, json!({"name": "a"}))
                .await
                .expect(409)["code"],
            "too_many_commands"
        );
    }
);
