//! Rollouts: schedules, maintenance windows, delays, how many fetch at once, and who comes late.

use crate::rollout_kit::{Lab, NEW, plan};
use espalier_server::ota::rollouts::Decision;
use espalier_testkit::story;
use espalier_wire::ota::Stage;
use serde_json::json;

story!(a_rollout_waits_for_its_moment, |app| async move {
    let lab = Lab::new(app).await;
    let boards = lab.boards(1).await;
    // Tests begin at 2026-03-01T12:00:00Z.
    let id = lab
        .rollout(plan(json!({ "start_at": "2026-03-01T14:00:00Z" })))
        .await;
    assert_eq!(lab.state(&id).await, "scheduled");
    assert!(lab.offered(&boards).is_empty());
    lab.pass(7199).await;
    assert_eq!(lab.state(&id).await, "scheduled");
    lab.pass(1).await;
    assert_eq!(lab.state(&id).await, "running");
    assert_eq!(lab.offered(&boards), [0]);
});

story!(
    windows_are_meant_in_the_time_of_each_device,
    |app| async move {
        let lab = Lab::new(app).await;
        let boards = lab.boards(3).await;
        for (board, zone) in boards.iter().zip(["Asia/Tokyo", "Europe/Berlin"]) {
            let path = format!("/devices/{}/time-zone", board.oid());
            let put = lab
                .client()
                .put(&path, json!({ "time_zone": zone }))
                .await
                .expect(200);
            assert_eq!(put["time_zone"], zone);
            assert_eq!(lab.client().get(&path).await.expect(200)["time_zone"], zone);
            lab.client()
                .put(&path, json!({ "time_zone": "Moon/Base" }))
                .await
                .expect(422);
        }
        // 12:00 UTC on a Sunday is 21:00 in Tokyo and 13:00 in Berlin.
        let windows = json!([{ "weekdays": ["sun"], "from": "22:00", "to": "04:00" }]);
        let id = lab
            .rollout(plan(
                json!({ "windows": windows, "time_zone": "America/New_York" }),
            ))
            .await;
        assert!(lab.offered(&boards).is_empty());
        let Decision::Nothing { until_ms } = boards[0].asks(&lab) else {
            panic!("its window is closed")
        };
        assert_eq!(until_ms, Some(lab.app.clock.now_ms() + 3_600_000));
        let waits = lab.devices(&id, "&state=waiting").await;
        assert!(
            waits
                .iter()
                .all(|d| d["message"] == "Its maintenance window is closed.")
        );
        lab.pass(3600).await;
        assert_eq!(lab.offered(&boards), [0]);
        boards[0].takes(&lab).await.expect("an offer");
        lab.pass(8 * 3600).await;
        // Who has begun goes on after its window has closed.
        assert_eq!(lab.offered(&boards), [0, 1]);
        // Six hours later it is Monday in Berlin, and Sunday night in New York.
        lab.pass(6 * 3600).await;
        assert_eq!(lab.offered(&boards), [0, 2]);
    }
);

story!(each_device_waits_its_own_delay, |app| async move {
    let lab = Lab::new(app).await;
    let boards = lab.boards(12).await;
    lab.rollout(plan(json!({ "random_delay_s": 1000 }))).await;
    let mut before = lab.offered(&boards);
    assert!(before.len() < 12);
    for _ in 0..10 {
        lab.pass(100).await;
        let now = lab.offered(&boards);
        assert!(before.iter().all(|n| now.contains(n)));
        before = now;
    }
    assert_eq!(before.len(), 12);
});

story!(only_so_many_fetch_at_once, |app| async move {
    let lab = Lab::new(app).await;
    let boards = lab.boards(5).await;
    lab.rollout(plan(json!({ "downloads": 2 }))).await;
    let mut offers = Vec::new();
    for board in &boards {
        offers.push(board.takes(&lab).await);
    }
    assert_eq!(offers.iter().flatten().count(), 2);
    // Whoever is done makes room for the next one at once.
    let first = offers.iter().position(Option::is_some).expect("somebody");
    boards[first]
        .tells(
            &lab,
            offers[first].as_ref().expect("an offer"),
            Stage::Written,
            None,
        )
        .await;
    let others = boards.iter().enumerate().filter(|(n, _)| *n != first);
    let now: Vec<usize> = others
        .filter(|(_, b)| matches!(b.asks(&lab), Decision::Offer(_)))
        .map(|(n, _)| n)
        .collect();
    assert_eq!(now.len(), 2);
    // A board that falls silent does not keep its place for ever; a decision that nobody took even less.
    lab.pass(16 * 60).await;
    let mut later = 0;
    for (n, board) in boards.iter().enumerate() {
        later += usize::from(n != first && !now.contains(&n) && board.takes(&lab).await.is_some());
    }
    assert!(later > 0);
});

story!(new_devices_join_and_nobody_goes_back, |app| async move {
    let lab = Lab::new(app).await;
    let mut boards = lab.boards(2).await;
    let id = lab.rollout(plan(json!({}))).await;
    for board in &mut boards {
        assert!(board.updates(&lab).await);
    }
    lab.app.clock.advance(1000);
    assert_eq!(lab.state(&id).await, "finished");
    // It has finished, and still serves who comes.
    let mut late = lab.board("late").await;
    assert!(late.updates(&lab).await);
    let view = lab.show(&id).await;
    assert_eq!(
        (view["state"].as_str(), view["counts"]["succeeded"].as_u64()),
        (Some("finished"), Some(3))
    );
    // Who was sent something else since is left alone.
    lab.app.clock.advance(1000);
    let back = json!({ "firmware_id": lab.firmware[0] });
    lab.client()
        .post(&format!("/devices/{}/update", late.oid()), back)
        .await
        .expect(202);
    assert!(late.updates(&lab).await);
    lab.tick().await;
    assert!(matches!(late.asks(&lab), Decision::Nothing { .. }));
    late.runs(&lab, NEW, false);
});

story!(
    new_devices_stay_out_when_the_plan_says_so,
    |app| async move {
        let lab = Lab::new(app).await;
        let boards = lab.boards(1).await;
        let id = lab.rollout(plan(json!({ "new_devices": false }))).await;
        lab.app.clock.advance(1000);
        let late = lab.board("late").await;
        assert!(matches!(late.asks(&lab), Decision::Nothing { .. }));
        assert_eq!(lab.offered(&boards), [0]);
        assert_eq!(lab.show(&id).await["counts"]["members"], 1);
    }
);
