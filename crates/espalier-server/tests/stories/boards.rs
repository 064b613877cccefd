//! Simulated boards: the machines of the firmware against the whole server.

use espalier_testkit::{BoardKind, Client, SimulatedBoard, story};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// How long a board has for what it is told.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for what is wanted and reported, again whenever the board has delivered something, until it is as it should be.
async fn until(
    client: &Client,
    board: &SimulatedBoard,
    device: &str,
    is: impl Fn(&Value) -> bool,
) -> Value {
    let path = format!("/devices/{device}/state");
    let begun = Instant::now();
    loop {
        let delivered = board.fleet.summary().samples_acked;
        let now = client.get(&path).await.expect(200)["state"].take();
        if is(&now) {
            return now;
        }
        assert!(begun.elapsed() < PATIENCE, "the board says {now}");
        let more = board.fleet.wait_until(|now| now.samples_acked > delivered);
        let delivers = tokio::time::timeout(PATIENCE, more).await;
        delivers.expect("a board that delivers");
    }
}

story!(
    a_person_plans_what_a_board_switches_by_itself,
    |app| async move {
        let (server, ada) = (app.serve().await, app.person("ada").await);
        let (device, token) = ada.device("workshop").await;
        let board = server.board(BoardKind::RelayBoard, &device, &token);
        until(&ada.client, &board, &device, |now| {
            now["schedules"]["reported"] == json!([])
        })
        .await;
        let path = format!("/devices/{device}/desired");
        let set = async |list: &Value| {
            ada.client
                .put(&path, json!({"schedules": list}))
                .await
                .expect(200)
        };

        // A list that no board can keep comes back with the board's own words, and changes nothing.
        set(&json!([{"key": "relay3", "at": "noon", "value": true}])).await;
        let now = until(&ada.client, &board, &device, |now| {
            now["schedules"]["status"] == "refused"
        })
        .await;
        let why = "schedule 1 needs a time such as 07:30 in `at`";
        assert_eq!(
            (&now["schedules"]["reason"], &now["relay3"]["reported"]),
            (&json!(why), &json!(0))
        );

        let list = json!([{"key": "relay3", "every": 30, "value": true}]);
        set(&list).await;
        let now = until(&ada.client, &board, &device, |now| {
            now["relay3"]["reported"] == 1 || now["relay3"]["reported"] == true
        })
        .await;
        assert_eq!(
            (&now["schedules"]["status"], &now["schedules"]["reported"]),
            (&json!("done"), &list)
        );
        // Nobody wanted it but the plan.
        assert_eq!(now["relay3"]["reported_version"], 0);
        assert_eq!(board.fleet.summary().dropped, 0);
    }
);
