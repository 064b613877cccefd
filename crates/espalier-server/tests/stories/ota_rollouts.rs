//! Rollouts: waves that open, failures that halt, and what people do with them.

use crate::rollout_kit::{Lab, NEW, OLD, plan};
use espalier_model::Role;
use espalier_server::ota::rollouts::{self, Decision};
use espalier_testkit::story;
use serde_json::{Value, json};

story!(
    waves_open_one_after_the_other_and_everybody_arrives,
    |app| async move {
        let lab = Lab::new(app).await;
        let mut boards = lab.boards(10).await;
        let id = lab.rollout(plan(json!({ "waves": [{ "count": 2 }, { "percent": 50 }, { "percent": 100 }], "soak_s": 60 }))).await;
        let first = lab.offered(&boards);
        assert_eq!(first.len(), 2);
        // A look costs nothing: the same boards, the same updates.
        assert_eq!(lab.offered(&boards), first);
        for n in &first {
            assert!(boards[*n].updates(&lab).await);
        }
        let view = lab.show(&id).await;
        assert_eq!(
            (
                view["open_waves"].as_u64(),
                view["counts"]["succeeded"].as_u64()
            ),
            (Some(1), Some(2))
        );
        assert_eq!(lab.offered(&boards), Vec::<usize>::new(), "the wave rests");
        lab.pass(60).await;
        let second = lab.offered(&boards);
        assert_eq!(second.len(), 3);
        for n in second {
            assert!(boards[n].updates(&lab).await);
        }
        lab.tick().await;
        lab.pass(60).await;
        for board in &mut boards {
            board.updates(&lab).await;
        }
        let view = lab.show(&id).await;
        assert_eq!(view["state"], "finished");
        assert_eq!(view["counts"]["succeeded"], 10);
        assert_eq!(lab.devices(&id, "").await.len(), 10);
        let wave = lab.devices(&id, "&wave=2&state=succeeded").await;
        assert_eq!(wave.len(), 3);
        assert_eq!(wave[0]["update"]["version"], "2.0.0");
        assert_eq!(wave[0]["update"]["from_version"], Value::Null);
        // Nobody is offered it again, and the owner was told.
        assert!(lab.offered(&boards).is_empty());
        let inbox = lab.client().get("/notifications").await.expect(200);
        assert_eq!(inbox["notifications"][0]["title"], "Rollout Finished");
        let events = lab
            .client()
            .get(&format!("/rollouts/{id}/events"))
            .await
            .expect(200);
        let kinds: Vec<_> = events["data"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(|e| e["kind"].as_str().unwrap())
            .collect();
        assert_eq!(
            kinds,
            [
                "created",
                "started",
                "running",
                "wave_opened",
                "wave_opened",
                "wave_opened",
                "finished"
            ]
        );
        let history = lab
            .client()
            .get(&format!("/devices/{}/updates", boards[0].oid()))
            .await
            .expect(200);
        assert_eq!(history["data"][0]["state"], "confirmed");
    }
);

story!(
    bad_firmware_halts_by_number_and_by_share,
    |app| async move {
        let lab = Lab::new(app).await;
        let mut boards = lab.boards(6).await;
        let id = lab.rollout(plan(json!({ "limit": { "count": 2 } }))).await;
        assert!(boards[0].crashes(&lab).await);
        assert_eq!(lab.state(&id).await, "running");
        assert!(boards[1].crashes(&lab).await);
        let view = lab.show(&id).await;
        assert_eq!(
            (view["state"].as_str(), view["reason"].as_str()),
            (Some("halted"), Some("failures"))
        );
        assert_eq!(view["message"], "2 devices failed, which is the limit.");
        assert!(lab.offered(&boards).is_empty(), "nobody gets it any more");
        let failed = lab.devices(&id, "&state=failed").await;
        assert_eq!(failed.len(), 2);
        assert_eq!(failed[0]["update"]["reason"], "crash_loop");
        let inbox = lab.client().get("/notifications").await.expect(200);
        assert_eq!(inbox["notifications"][0]["title"], "Rollout Halted");
        // Somebody resumes: what was is forgiven, what comes counts.
        lab.act(&id, "resume").await;
        assert_eq!(lab.state(&id).await, "running");
        assert!(boards[2].crashes(&lab).await);
        assert_eq!(lab.state(&id).await, "running");
        assert!(boards[3].crashes(&lab).await);
        assert_eq!(lab.state(&id).await, "halted");
        lab.act(&id, "abort").await;

        let id = lab
            .rollout(plan(json!({ "limit": { "percent": 20 } })))
            .await;
        assert!(boards[4].crashes(&lab).await);
        assert_eq!(
            lab.state(&id).await,
            "running",
            "1 of 6 is below 20 percent"
        );
        assert!(boards[5].crashes(&lab).await);
        assert_eq!(lab.show(&id).await["reason"], "failure_percent");
    }
);

story!(people_pause_resume_abort_and_delete, |app| async move {
    let mut lab = Lab::new(app).await;
    let mut boards = lab.boards(4).await;
    let id = lab.rollout(plan(json!({}))).await;
    let offer = boards[0].takes(&lab).await.expect("an offer");
    lab.act(&id, "pause").await;
    // Who has begun goes on, nobody else begins.
    assert_eq!(lab.offered(&boards), [0]);
    boards[0]
        .tells(&lab, &offer, espalier_wire::ota::Stage::Written, None)
        .await;
    lab.act(&id, "resume").await;
    assert!(boards[1].updates(&lab).await);
    let fetching = boards[2].takes(&lab).await.expect("an offer");
    lab.act(&id, "abort").await;
    assert!(lab.offered(&boards).is_empty());
    let states: Vec<_> = lab
        .devices(&id, "")
        .await
        .iter()
        .map(|d| d["state"].as_str().unwrap().to_owned())
        .collect();
    assert!(states.contains(&"cancelled".to_owned()) && states.contains(&"succeeded".to_owned()));
    let counts = lab.show(&id).await["counts"].clone();
    assert_eq!(counts["cancelled"], 2, "{counts}");
    lab.app.restart().await;
    lab.sign_in().await;
    assert_eq!(lab.show(&id).await["counts"], counts);
    // A late report of a board that was called off changes nothing that matters, and is taken.
    boards[2]
        .tells(
            &lab,
            &fetching,
            espalier_wire::ota::Stage::Downloading,
            None,
        )
        .await;
    for verb in ["start", "pause", "resume", "abort"] {
        let refused = lab
            .client()
            .post(&format!("/rollouts/{id}/{verb}"), json!({}))
            .await
            .expect(409);
        assert!(refused["detail"].as_str().unwrap().ends_with('.'));
    }
    assert_eq!(
        lab.client().delete(&format!("/rollouts/{id}")).await.status,
        204
    );
    lab.client()
        .get(&format!("/rollouts/{id}"))
        .await
        .expect(404);
    boards[3].runs(&lab, OLD, false);
});

story!(
    a_roll_back_returns_everybody_whom_it_can,
    |app| async move {
        let lab = Lab::new(app).await;
        let mut boards = lab.boards(4).await;
        // What the last one runs is in nobody's library.
        boards[3].runs(&lab, [9; 32], false);
        let id = lab.rollout(plan(json!({}))).await;
        for board in &mut boards {
            assert!(board.updates(&lab).await);
        }
        assert_eq!(lab.state(&id).await, "finished");
        let view = lab.act(&id, "rollback").await;
        assert_eq!(view["state"], "rolling_back");
        assert_eq!(
            view["returning"],
            json!({ "devices": 4, "returned": 0, "barred": 1 })
        );
        let barred = lab.devices(&id, "").await;
        let barred: Vec<_> = barred
            .iter()
            .filter(|d| !d["back"]["barred"].is_null())
            .collect();
        assert_eq!(barred.len(), 1);
        assert_eq!(barred[0]["device_id"], boards[3].oid());
        assert!(
            barred[0]["back"]["barred"]
                .as_str()
                .unwrap()
                .contains("not in the library")
        );
        for board in &mut boards[..3] {
            let Decision::Offer(offer) = board.asks(&lab) else {
                panic!("nothing to return to")
            };
            assert_eq!(offer.firmware.sha256, OLD);
            assert!(board.updates(&lab).await);
        }
        assert!(lab.offered(&boards).is_empty());
        let view = lab.show(&id).await;
        assert_eq!(view["state"], "rolled_back");
        let inbox = lab.client().get("/notifications").await.expect(200);
        assert!(
            inbox["notifications"][0]["message"]
                .as_str()
                .unwrap()
                .contains("3 of 4")
        );
        lab.client()
            .post(&format!("/rollouts/{id}/rollback"), json!({}))
            .await
            .expect(409);
    }
);

story!(a_second_person_approves, |app| async move {
    let lab = Lab::new(app).await;
    let boards = lab.boards(2).await;
    let id = lab
        .draft(plan(json!({ "approval": true })), json!("everything"))
        .await;
    assert_eq!(lab.act(&id, "start").await["state"], "awaiting_approval");
    assert!(lab.offered(&boards).is_empty());
    let refused = lab
        .client()
        .post(&format!("/rollouts/{id}/approve"), json!({}))
        .await
        .expect(409);
    assert_eq!(refused["code"], "own_rollout");
    let eve = lab.app.person("eve").await;
    eve.client
        .post(&format!("/rollouts/{id}/approve"), json!({}))
        .await
        .expect(404);
    let bob = lab.app.person_with("bob", Role::Admin).await;
    let view = bob
        .client
        .post(&format!("/rollouts/{id}/approve"), json!({}))
        .await
        .expect(200);
    assert_eq!(view["state"], "running");
    assert_eq!(view["approved_by"], bob.account.to_string());
    assert_eq!(lab.offered(&boards).len(), 2);
});

story!(rollouts_of_others_do_not_exist, |app| async move {
    let lab = Lab::new(app).await;
    let eve = lab.app.person("eve").await;
    let (foreign, _) = eve.device("foreign").await;
    let boards = lab.boards(1).await;
    let id = lab.rollout(plan(json!({}))).await;
    assert_eq!(eve.client.get("/rollouts").await.expect(200)["total"], 0);
    for path in ["", "/devices", "/events"] {
        eve.client
            .get(&format!("/rollouts/{id}{path}"))
            .await
            .expect(404);
    }
    for verb in ["start", "approve", "pause", "resume", "abort", "rollback"] {
        eve.client
            .post(&format!("/rollouts/{id}/{verb}"), json!({}))
            .await
            .expect(404);
    }
    eve.client
        .patch(&format!("/rollouts/{id}"), json!({ "name": "mine" }))
        .await
        .expect(404);
    eve.client
        .delete(&format!("/rollouts/{id}"))
        .await
        .expect(404);
    let theirs = json!({ "release_id": lab.releases[1], "target": "everything" });
    eve.client
        .post("/rollouts", theirs.clone())
        .await
        .expect(404);
    eve.client
        .post("/rollouts/preview", theirs)
        .await
        .expect(404);
    let force = json!({ "firmware_id": lab.firmware[1] });
    eve.client
        .post(&format!("/devices/{foreign}/update"), force.clone())
        .await
        .expect(404);
    eve.client
        .post(&format!("/devices/{}/update", boards[0].oid()), force)
        .await
        .expect(404);
    // Devices of others are not reached, though everything is meant.
    assert_eq!(lab.devices(&id, "").await.len(), 1);
    // A report about an update of somebody else's.
    let offer = boards[0].takes(&lab).await.expect("an offer");
    let other = lab.app.app.devices.resolve(&foreign).unwrap();
    let report = espalier_wire::ota::Report {
        attempt: 1,
        stage: espalier_wire::ota::Stage::Confirmed,
        bytes: None,
        patch: false,
        running: None,
        reason: None,
    };
    let refused = rollouts::report(&lab.app.app, &other, offer.update, report).await;
    assert_eq!(refused.unwrap_err().status().as_u16(), 404);
});

story!(
    a_preview_shows_who_gets_what_and_stores_nothing,
    |app| async move {
        let lab = Lab::new(app).await;
        let boards = lab.boards(5).await;
        boards[0].runs(&lab, NEW, false);
        boards[1].says(&lab, |running| {
            running.sha256 = Some(OLD);
            running.chip = Some("esp32c6".to_owned());
        });
        let silent = lab.silent("silent").await.oid();
        let body = json!({ "release_id": lab.releases[1], "target": "everything", "plan": { "waves": [{ "count": 2 }, { "percent": 100 }] } });
        let view = lab
            .client()
            .post("/rollouts/preview?limit=500", body.clone())
            .await
            .expect(200);
        assert_eq!(
            (view["meant"].as_u64(), view["served"].as_u64()),
            (Some(6), Some(4))
        );
        assert_eq!(view["reasons"], json!({ "chip": 1, "installed": 1 }));
        let lines = view["devices"].as_array().unwrap();
        let chip = lines.iter().find(|line| line["reason"] == "chip").unwrap();
        assert_eq!(
            chip["message"],
            "Its chip is an esp32c6; the image is for the esp32c3."
        );
        assert_eq!(
            lines
                .iter()
                .find(|line| line["device_id"] == silent.as_str())
                .unwrap()["silent"],
            true
        );
        assert_eq!(lab.client().get("/rollouts").await.expect(200)["total"], 0);
        // With its id, each device is in the wave that was shown.
        let mut made = body;
        made["id"] = view["id"].clone();
        made["plan"]["health"] = json!({ "window_s": 0 });
        let id = lab.client().post("/rollouts", made).await.expect(201)["id"]
            .as_str()
            .unwrap()
            .to_owned();
        lab.act(&id, "start").await;
        let wave = |list: &[Value], device: &str| {
            list.iter()
                .find(|d| d["device_id"] == device)
                .map(|d| d["wave"].clone())
        };
        let devices = lab.devices(&id, "").await;
        for line in lines.iter().filter(|line| line["reason"].is_null()) {
            let device = line["device_id"].as_str().unwrap();
            assert_eq!(wave(&devices, device), Some(line["wave"].clone()));
        }
    }
);

story!(what_is_wrong_is_told_by_field, |app| async move {
    let lab = Lab::new(app).await;
    let with = |target: Value, plan: Value| json!({ "release_id": lab.releases[1], "target": target, "plan": plan });
    for (body, field) in [
        (with(json!({ "tags": [] }), json!({})), "target"),
        (with(json!("everything"), json!({ "waves": [] })), "waves"),
        (
            with(json!("everything"), json!({ "time_zone": "Mars/Olympus" })),
            "time_zone",
        ),
        (
            with(
                json!("everything"),
                json!({ "windows": [{ "from": "9:00", "to": "10:00" }] }),
            ),
            "windows",
        ),
        (
            with(json!("everything"), json!({ "start_at": "tomorrow" })),
            "start_at",
        ),
        (
            with(json!("everything"), json!({ "max_attempts": 0 })),
            "max_attempts",
        ),
        (with(json!({ "version": "< spring" }), json!({})), "target"),
        (with(json!("everything"), json!({ "speed": 9 })), "plan"),
    ] {
        let refused = lab
            .client()
            .post("/rollouts", body.clone())
            .await
            .expect(422);
        let told = refused["detail"][0].to_string();
        assert!(told.contains(field), "{body}: {told}");
    }
    lab.client()
        .post(
            "/rollouts",
            json!({ "release_id": "nothing", "target": "everything" }),
        )
        .await
        .expect(404);
    let id = lab
        .draft(plan(json!({})), json!({ "groups": ["lab"] }))
        .await;
    let changed = lab
        .client()
        .patch(
            &format!("/rollouts/{id}"),
            json!({ "name": "n", "target": { "tags": ["x"] } }),
        )
        .await
        .expect(200);
    assert_eq!(
        (changed["name"].as_str(), &changed["target"]),
        (Some("n"), &json!({ "tags": ["x"] }))
    );
    lab.act(&id, "start").await;
    let refused = lab
        .client()
        .patch(
            &format!("/rollouts/{id}"),
            json!({ "target": "everything" }),
        )
        .await
        .expect(409);
    assert_eq!(refused["code"], "already_started");
    lab.client()
        .patch(&format!("/rollouts/{id}"), json!({ "name": "m" }))
        .await
        .expect(200);
});

story!(an_open_page_moves_without_asking, |app| async move {
    let lab = Lab::new(app).await;
    let server = lab.app.serve().await;
    let mut socket = server.socket("/ws", Some(&lab.ada.token)).await.unwrap();
    socket.until("connected").await;
    let boards = lab.boards(1).await;
    let mut wire = server
        .socket("/ws/device", Some(&boards[0].token))
        .await
        .unwrap();
    wire.send(json!({ "type": "hello", "proto": 1 })).await;
    wire.send(json!({ "type": "heartbeat", "id": 1, "uptime_s": 5 }))
        .await;
    wire.until("ack").await;
    let id = lab.rollout(plan(json!({}))).await;
    assert_eq!(socket.until("rollout").await["rollout_id"], id.as_str());
    // A connected board is told to ask.
    lab.tick().await;
    wire.until("update").await;
    let offer = boards[0].takes(&lab).await.expect("an offer");
    lab.tick().await;
    let update = socket.until("update").await;
    assert_eq!(update["device_id"], boards[0].oid());
    assert_eq!(update["update"]["id"], offer.update.to_string());
    assert_eq!(update["update"]["state"], "offered");
});
