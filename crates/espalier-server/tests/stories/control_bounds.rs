//! Control: no message to a board is larger than a board can hold, and nothing that is wanted gets lost by that.

use espalier_db::params;
use espalier_testkit::{Client, Socket, TestApp, story};
use espalier_wire::limits::{MAX_DOWN_BYTES, MAX_KEY_BYTES, MAX_WISH_BYTES};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// So many values, of half a kilobyte each.
fn many(prefix: &str, count: usize) -> Value {
    let one = |n| (format!("{prefix}{n:03}"), json!("x".repeat(500)));
    Value::Object((0..count).map(one).collect::<Map<_, _>>())
}

/// The longest text that may be wanted of a device.
fn longest() -> String {
    "y".repeat(MAX_WISH_BYTES - 2)
}

/// Reads frames with values until so many keys have come; returns how many frames they were.
async fn until_keys(board: &mut Socket, count: usize) -> usize {
    let (mut keys, mut frames) = (BTreeSet::new(), 0);
    while keys.len() < count {
        let frame = board.next().await;
        assert_eq!(frame["type"], "desired");
        let size = frame.to_string().len();
        assert!(size <= MAX_DOWN_BYTES, "{size}");
        keys.extend(frame["state"].as_object().unwrap().keys().cloned());
        frames += 1;
    }
    frames
}

async fn polled(board: &Client) -> Map<String, Value> {
    let answer = board.get("/telemetry/latest?only=desired").await;
    assert!(answer.text().len() <= MAX_DOWN_BYTES, "{}", answer.text());
    let answer = answer.expect(200);
    assert!(answer.get("data").is_none() && answer["time"].is_i64());
    answer["desired"].as_object().cloned().unwrap_or_default()
}

story!(
    a_large_set_comes_in_frames_that_a_board_can_hold,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let (device, token) = ada.device("board").await;
        let path = format!("/devices/{device}/desired");
        ada.client.put(&path, many("a", 40)).await.expect(200);
        let key = "k".repeat(MAX_KEY_BYTES);
        let wide = json!({ key: longest() });
        ada.client.put(&path, wide).await.expect(200);
        let mut board = server.socket("/ws/device", Some(&token)).await.unwrap();
        assert_eq!(board.next().await["type"], "welcome");
        assert_eq!(until_keys(&mut board, 41).await, 15);
        // Also what is set while the board is connected.
        ada.client.put(&path, many("b", 10)).await.expect(200);
        assert_eq!(until_keys(&mut board, 10).await, 4);
    }
);

story!(
    a_large_set_comes_in_answers_that_a_board_can_hold,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, token) = ada.device("board").await;
        let path = format!("/devices/{device}/desired");
        let board = app.anonymous().bearer(&token);
        assert_eq!(polled(&board).await, Map::new());
        ada.client.put(&path, many("a", 10)).await.expect(200);
        // A board that takes none of them gets all of them, and then again.
        let mut seen = Vec::new();
        for _ in 0..8 {
            seen.extend(polled(&board).await.into_iter().map(|(key, _)| key));
        }
        let keys: BTreeSet<&String> = seen.iter().collect();
        let times = |key| seen.iter().filter(|one| *one == key).count();
        assert_eq!((keys.len(), seen.len()), (10, 24));
        assert!(keys.iter().all(|key| times(*key) >= 2), "{seen:?}");
        // One that does is told what is left.
        let state: Map<String, Value> = (0..9)
            .map(|n| {
                (
                    format!("a{n:03}"),
                    json!({"value": "x".repeat(500), "version": 1}),
                )
            })
            .collect();
        let post = json!({"data": {}, "reported": state});
        let posts = format!("/devices/{device}/telemetry");
        board.post(&posts, post).await.expect(200);
        let left: Vec<String> = polled(&board)
            .await
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(left, ["a009"]);
        // Existing firmware asks as ever, and is told everything.
        ada.client.put(&path, many("a", 10)).await.expect(200);
        let all = board.get("/telemetry/latest").await.expect(200);
        assert_eq!(all["desired"].as_object().unwrap().len(), 10);
        assert_eq!(all["data"].as_object().unwrap().len(), 10);
        board.get("/telemetry/latest?only=data").await.expect(422);
    }
);

story!(
    what_no_board_could_hold_is_refused_when_it_is_set,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, _) = ada.device("board").await;
        let (desired, commands) = (
            format!("/devices/{device}/desired"),
            format!("/devices/{device}/commands"),
        );
        let fits = json!({"v0": longest()});
        ada.client.put(&desired, fits).await.expect(200);
        let long = json!({"v0": format!("{}y", longest())});
        let refused = ada.client.put(&desired, long).await;
        refused.expect(422);
        let limit = format!("at most {MAX_WISH_BYTES} bytes");
        assert!(refused.text().contains(&limit), "{}", refused.text());
        let around = r#"{"t":""}"#.len();
        let params = |more: usize| json!({"t": "y".repeat(MAX_WISH_BYTES - around + more)});
        let name = "n".repeat(64);
        let fits = json!({"name": name, "params": params(0)});
        ada.client.post(&commands, fits).await.expect(202);
        let long = json!({"name": "n", "params": params(1)});
        let refused = ada.client.post(&commands, long).await;
        refused.expect(422);
        assert!(refused.text().contains(&limit), "{}", refused.text());
        // What a board would not read as JSON would keep it from reading the commands beside it.
        let nested = |levels| {
            let inner = (1..levels).fold(json!(0), |value, _| json!([value]));
            json!({"name": "n", "params": {"t": inner}})
        };
        ada.client.post(&commands, nested(8)).await.expect(202);
        let refused = ada.client.post(&commands, nested(9)).await;
        refused.expect(422);
        assert!(refused.text().contains("8 levels"), "{}", refused.text());
    }
);

story!(
    commands_come_in_answers_that_a_board_can_hold,
    |app| async move {
        let ada = app.person("ada").await;
        let (device, token) = ada.device("board").await;
        let path = format!("/devices/{device}/commands");
        let board = app.anonymous().bearer(&token);
        let mut sent = Vec::new();
        for n in 0..7 {
            let body = json!({"name": format!("c{n}"), "params": {"t": "x".repeat(500)}});
            let command = ada.client.post(&path, body).await.expect(202);
            sent.push(command["id"].as_str().unwrap().to_owned());
            app.clock.advance(1);
        }
        let fetch = async || {
            let answer = board.get(&format!("{path}/pending")).await;
            assert!(answer.text().len() <= MAX_DOWN_BYTES, "{}", answer.text());
            let commands = answer.expect(200)["commands"].as_array().unwrap().clone();
            let ids = commands
                .iter()
                .map(|c| c["id"].as_str().unwrap().to_owned());
            ids.collect::<Vec<_>>()
        };
        assert_eq!(fetch().await, sent[..3]);
        // Whoever does not answer does not keep the others from being heard of.
        assert_eq!(fetch().await, sent[3..6]);
        for id in &sent[..6] {
            let result = format!("{path}/{id}/result");
            board.post(&result, json!({"ok": true})).await.expect(200);
        }
        assert_eq!(fetch().await, sent[6..]);
    }
);

async fn age(app: &TestApp, statement: &'static str, text: String) {
    let change = move |c: &espalier_db::Conn<'_>| c.execute(statement, params![text.clone()]);
    let changed = app.app.db.write(change).await;
    assert_eq!(changed.map_err(|e: espalier_db::Error| e).unwrap(), 1);
}

story!(
    what_was_set_before_there_was_a_bound_is_answered_in_the_place_of_the_board,
    |app| async move {
        let mut app = app;
        let ada = app.person("ada").await;
        let (device, token) = ada.device("board").await;
        let path = format!("/devices/{device}");
        let desired = format!("{path}/desired");
        ada.client
            .put(&desired, json!({"text": 1, "v0": 1}))
            .await
            .expect(200);
        let body = json!({"name": "show", "params": {}});
        let command = ada
            .client
            .post(&format!("{path}/commands"), body)
            .await
            .expect(202);
        let long = json!("x".repeat(4_000)).to_string();
        age(
            &app,
            "update twin set desired = $1 where key = 'text'",
            long.clone(),
        )
        .await;
        let params = format!(r#"{{"t":{long}}}"#);
        age(
            &app,
            "update command set params = $1 where name = 'show'",
            params,
        )
        .await;
        app.restart().await;
        let server = app.serve().await;
        let mut board = server.socket("/ws/device", Some(&token)).await.unwrap();
        assert_eq!(board.next().await["type"], "welcome");
        let told = board.next().await;
        assert_eq!(told["state"], json!({"v0": {"value": 1, "version": 1}}));
        let client = app.anonymous().bearer(&ada.token);
        let state = client.get(&format!("{path}/state")).await.expect(200);
        assert_eq!(state["state"]["text"]["status"], "refused");
        let why = state["state"]["text"]["reason"].as_str().unwrap();
        assert!(why.contains("at most 1792 bytes"), "{why}");
        board.send(json!({"type": "ping"})).await;
        assert_eq!(board.next().await["type"], "pong");
        let id = command["id"].as_str().unwrap();
        let ended = client
            .get(&format!("{path}/commands/{id}"))
            .await
            .expect(200);
        assert_eq!(ended["status"], "failed");
        assert!(ended["error"].as_str().unwrap().contains("1792"));
    }
);
