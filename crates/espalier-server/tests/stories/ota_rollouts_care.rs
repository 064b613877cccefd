//! Rollouts: health windows, attempts, forced updates, restarts, and many devices.

use crate::rollout_kit::{Lab, NEW, OLD, plan};
use espalier_model::DeviceId;
use espalier_server::ota::rollouts::{self, Decision};
use espalier_testkit::story;
use espalier_wire::ota::Stage;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

story!(
    a_board_counts_when_it_was_well_for_a_while,
    |app| async move {
        let lab = Lab::new(app).await;
        let mut boards = lab.boards(4).await;
        let health = json!({ "window_s": 600, "silence_s": 200, "min_heap": 10_000, "max_heap_loss_percent": 50 });
        let id = lab
            .rollout(plan(json!({ "health": health, "limit": { "count": 3 } })))
            .await;
        for board in &mut boards {
            assert!(board.updates(&lab).await);
        }
        let view = lab.show(&id).await;
        assert_eq!(view["counts"]["watched"], 4);
        let heap = |free: u32| {
            move |running: &mut espalier_server::ota::fleet::Running| {
                running.sha256 = Some(NEW);
                running.heap_free = Some(free);
            }
        };
        // The first lives, the second starts again and again, the third loses its heap, the fourth falls silent.
        for n in 0..6 {
            lab.pass(100).await;
            boards[0].says(&lab, heap(50_000));
            if n < 3 {
                boards[1].boots += 1;
                boards[1].says(&lab, heap(50_000));
            }
            boards[2].says(&lab, heap(if n == 1 { 9_000 } else { 50_000 }));
        }
        let view = lab.show(&id).await;
        assert_eq!(
            (
                view["counts"]["succeeded"].as_u64(),
                view["counts"]["failed"].as_u64()
            ),
            (Some(1), Some(3))
        );
        assert_eq!(
            (view["state"].as_str(), view["reason"].as_str()),
            (Some("halted"), Some("failures"))
        );
        let unwell = lab.devices(&id, "&state=unwell").await;
        let mut why: Vec<_> = unwell
            .iter()
            .map(|d| d["update"]["health"].as_str().unwrap())
            .collect();
        why.sort_unstable();
        assert_eq!(why, ["crash_loop", "heap", "silent"]);
        assert!(unwell.iter().all(|d| {
            d["message"]
                .as_str()
                .unwrap()
                .ends_with("after the update.")
        }));
    }
);

story!(
    a_board_must_report_telemetry_when_the_plan_says_so,
    |app| async move {
        let lab = Lab::new(app).await;
        let mut boards = lab.boards(2).await;
        let id = lab
            .rollout(plan(
                json!({ "health": { "window_s": 60, "telemetry": true } }),
            ))
            .await;
        for board in &mut boards {
            assert!(board.updates(&lab).await);
        }
        lab.pass(30).await;
        let path = format!("/devices/{}/telemetry", boards[0].oid());
        let body = json!({ "device_token": boards[0].token, "data": { "t": 1 } });
        lab.app
            .anonymous()
            .bearer(&boards[0].token)
            .post(&path, body)
            .await
            .expect(200);
        lab.pass(31).await;
        let view = lab.show(&id).await;
        assert_eq!(
            (
                view["counts"]["succeeded"].as_u64(),
                view["counts"]["failed"].as_u64()
            ),
            (Some(1), Some(1))
        );
    }
);

story!(attempts_are_limited_and_spaced, |app| async move {
    let lab = Lab::new(app).await;
    let mut boards = lab.boards(1).await;
    let id = lab.rollout(plan(json!({ "max_attempts": 2 }))).await;
    let offer = boards[0].takes(&lab).await.expect("an offer");
    boards[0]
        .tells(&lab, &offer, Stage::Failed, Some("patch"))
        .await;
    assert!(lab.offered(&boards).is_empty(), "it rests first");
    let Decision::Nothing {
        until_ms: Some(until),
    } = boards[0].asks(&lab)
    else {
        panic!("it knows no moment")
    };
    assert_eq!(until, lab.app.clock.now_ms() + 300_000);
    assert_eq!(lab.show(&id).await["counts"]["under_way"], 1);
    lab.pass(300).await;
    let offer = boards[0].takes(&lab).await.expect("a second offer");
    assert_eq!((offer.attempt, offer.whole), (2, true));
    // The first attempt's late word does not end the second.
    let late = rollouts::Offer {
        attempt: 1,
        ..offer.clone()
    };
    boards[0]
        .tells(&lab, &late, Stage::Failed, Some("download"))
        .await;
    assert_eq!(lab.offered(&boards), [0]);
    boards[0]
        .tells(&lab, &offer, Stage::Failed, Some("download"))
        .await;
    lab.pass(24 * 3600).await;
    assert!(lab.offered(&boards).is_empty());
    let view = lab.show(&id).await;
    assert_eq!(
        (view["state"].as_str(), view["counts"]["failed"].as_u64()),
        (Some("finished"), Some(1))
    );
    // Somebody flashes it by cable: the truth wins.
    boards[0].boots += 1;
    boards[0].runs(&lab, NEW, false);
});

story!(
    one_device_can_be_sent_an_image_until_it_has_it,
    |app| async move {
        let lab = Lab::new(app).await;
        let mut boards = lab.boards(2).await;
        let path = format!("/devices/{}/update", boards[0].oid());
        let body = json!({ "firmware_id": lab.firmware[1] });
        let update = lab.client().post(&path, body.clone()).await.expect(202);
        assert_eq!(update["way"], "forced");
        assert_eq!(
            lab.client().post(&path, body.clone()).await.expect(202)["id"],
            update["id"]
        );
        assert_eq!(lab.offered(&boards), [0]);
        // It survives failures and the server's end.
        assert!(boards[0].crashes(&lab).await);
        let mut lab = lab;
        lab.tick().await;
        lab.app.restart().await;
        lab.sign_in().await;
        lab.pass(7 * 3600).await;
        assert!(boards[0].updates(&lab).await);
        lab.tick().await;
        assert!(lab.offered(&boards).is_empty());
        let refused = lab.client().post(&path, body).await.expect(409);
        assert_eq!(refused["code"], "installed");
        let history = lab
            .client()
            .get(&format!("/devices/{}/updates", boards[0].oid()))
            .await
            .expect(200);
        assert_eq!(
            (
                history["total"].as_u64(),
                history["data"][0]["attempt"].as_u64()
            ),
            (Some(1), Some(2))
        );
    }
);

story!(a_rollout_goes_on_after_the_server_died, |app| async move {
    let mut lab = Lab::new(app).await;
    let mut boards = lab.boards(6).await;
    let id = lab
        .rollout(plan(
            json!({ "waves": [{ "count": 3 }, { "percent": 100 }], "limit": { "count": 5 } }),
        ))
        .await;
    let first = lab.offered(&boards);
    assert!(boards[first[0]].updates(&lab).await);
    assert!(boards[first[1]].crashes(&lab).await);
    let offer = boards[first[2]].takes(&lab).await.expect("an offer");
    let before = lab.show(&id).await;
    lab.app.restart().await;
    lab.sign_in().await;
    let after = lab.show(&id).await;
    assert_eq!(after["counts"], before["counts"]);
    assert_eq!(after["waves"], before["waves"]);
    let again = boards[first[2]].takes(&lab).await.expect("the same offer");
    assert_eq!((again.update, again.attempt), (offer.update, offer.attempt));
    lab.pass(300).await;
    assert!(boards[first[1]].updates(&lab).await);
    assert!(boards[first[2]].updates(&lab).await);
    lab.tick().await;
    for board in &mut boards {
        board.updates(&lab).await;
    }
    let view = lab.show(&id).await;
    assert_eq!(
        (view["state"].as_str(), view["counts"]["succeeded"].as_u64()),
        (Some("finished"), Some(6))
    );
});

story!(
    a_death_in_the_middle_of_an_abort_calls_off_what_was_open,
    |app| async move {
        let mut lab = Lab::new(app).await;
        let mut boards = lab.boards(2).await;
        let id = lab.rollout(plan(json!({}))).await;
        let offer = boards[0].takes(&lab).await.expect("an offer");
        lab.tick().await;
        // What an abort writes first, and nothing of what it does then.
        let rollout = id.clone();
        let half = move |c: &espalier_db::Conn<'_>| {
            let sql = "update rollout set state = 'aborted', ended_at = 1 where id = $1";
            c.execute(sql, espalier_db::params![&rollout]).map(drop)
        };
        lab.app.app.db.write(half).await.unwrap();
        lab.app.restart().await;
        lab.sign_in().await;
        assert_eq!(lab.state(&id).await, "aborted");
        assert!(lab.offered(&boards).is_empty());
        let states = lab.devices(&id, "&state=cancelled").await;
        assert_eq!(states.len(), 1, "{states:?}");
        let counted = |view: &serde_json::Value| {
            let counts = &view["counts"];
            ["members", "under_way", "cancelled"].map(|name| counts[name].as_u64().unwrap())
        };
        let before = counted(&lab.show(&id).await);
        assert_eq!(before[1..], [0, 1], "{before:?}");
        lab.tick().await;
        lab.app.restart().await;
        lab.sign_in().await;
        assert_eq!(counted(&lab.show(&id).await), before);
        // What the board had begun is no way on either.
        let stage = espalier_wire::ota::Stage::Written;
        boards[0].tells(&lab, &offer, stage, None).await;
        assert!(!boards[1].updates(&lab).await);
    }
);

story!(
    ten_thousand_devices_in_memory_stay_quick,
    |app| async move {
        let lab = Lab::new(app).await;
        let model = lab.board("model").await;
        // Only in memory: it is decisions that are looked at here.
        let mut ids = Vec::new();
        for n in 1..10_000_u128 {
            let mut device = (*model.device).clone();
            device.id = DeviceId(format!("{n:032x}").parse().expect("an id"));
            device.oid = format!("{n:024x}").parse().expect("an id");
            device.token_digest[..16].copy_from_slice(&n.to_be_bytes());
            ids.push(device.id);
            lab.app.app.devices.put(Arc::new(device));
        }
        let begun = Instant::now();
        let id = lab
            .rollout(plan(
                json!({ "waves": [{ "percent": 10 }, { "percent": 100 }] }),
            ))
            .await;
        let started = begun.elapsed();
        let running = lab
            .app
            .app
            .ota
            .fleet
            .get(model.device.id)
            .expect("it said what it runs");
        let devices: Vec<_> = ids
            .iter()
            .filter_map(|id| lab.app.app.devices.get(*id))
            .collect();
        let begun = Instant::now();
        let offers = devices
            .iter()
            .filter(|d| {
                matches!(
                    rollouts::decide(&lab.app.app, d, &running),
                    Decision::Offer(_)
                )
            })
            .count();
        let asked = begun.elapsed();
        assert!((900..=1100).contains(&offers), "{offers}");
        let list = lab
            .client()
            .get(&format!("/rollouts/{id}/devices?wave=2&limit=10&page=100"))
            .await
            .expect(200);
        assert!((8900..=9100).contains(&list["total"].as_u64().unwrap()));
        // Generous: this is a debug build beside other tests.
        assert!(
            started < Duration::from_secs(20) && asked < Duration::from_secs(20),
            "{started:?} {asked:?}"
        );
        boards_rest(&lab.show(&id).await);
    }
);

fn boards_rest(view: &Value) {
    assert_eq!(view["counts"]["members"], 10_000);
    assert_eq!(view["counts"]["succeeded"], 0);
}

story!(whoever_leaves_the_target_is_called_off, |app| async move {
    let lab = Lab::new(app).await;
    let boards = lab.boards(3).await;
    for board in &boards {
        let path = format!("/devices/{}", board.oid());
        lab.client()
            .patch(&path, json!({ "tags": ["blue"] }))
            .await
            .expect(200);
    }
    let id = lab
        .draft(plan(json!({})), json!({ "tags": ["blue"] }))
        .await;
    lab.act(&id, "start").await;
    boards[0].takes(&lab).await.expect("an offer");
    for board in &boards[..2] {
        lab.client()
            .patch(&format!("/devices/{}", board.oid()), json!({ "tags": [] }))
            .await
            .expect(200);
    }
    assert_eq!(lab.offered(&boards), [2]);
    let view = lab.show(&id).await;
    assert_eq!(
        (
            view["counts"]["members"].as_u64(),
            view["counts"]["cancelled"].as_u64()
        ),
        (Some(2), Some(1))
    );
    // A deleted one is gone.
    assert_eq!(
        lab.client()
            .delete(&format!("/devices/{}", boards[2].oid()))
            .await
            .status
            / 100,
        2
    );
    assert_eq!(lab.show(&id).await["counts"]["members"], 1);
    boards[0].runs(&lab, OLD, false);
});

story!(
    of_two_rollouts_the_newer_one_wins_and_nobody_goes_back,
    |app| async move {
        let lab = Lab::new(app).await;
        let mut boards = lab.boards(2).await;
        for board in &boards {
            board.runs(&lab, [9; 32], false);
        }
        let body = json!({ "release_id": lab.releases[0], "target": "everything", "plan": plan(json!({})) });
        let made = lab.client().post("/rollouts", body).await.expect(201);
        let older = made["id"].as_str().expect("an id").to_owned();
        lab.act(&older, "start").await;
        let first = boards[0].takes(&lab).await.expect("an offer");
        assert_eq!(first.firmware.sha256, OLD);
        lab.app.clock.advance(1000);
        let newer = lab.rollout(plan(json!({}))).await;
        // What it was fetching is called off: never two at once.
        let second = boards[0].takes(&lab).await.expect("an offer");
        assert_eq!(second.firmware.sha256, NEW);
        assert_eq!(lab.devices(&older, "&state=cancelled").await.len(), 1);
        for board in &mut boards {
            assert!(board.updates(&lab).await);
        }
        assert_eq!(lab.state(&newer).await, "finished");
        assert!(lab.offered(&boards).is_empty());
        // Not even when the newer one is gone.
        lab.act(&newer, "abort").await;
        assert_eq!(
            lab.client()
                .delete(&format!("/rollouts/{newer}"))
                .await
                .status,
            204
        );
        assert!(lab.offered(&boards).is_empty());
    }
);
