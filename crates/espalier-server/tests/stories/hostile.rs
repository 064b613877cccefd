//! What a hostile member or board tries, and does not get.

use crate::cms_devices::{lan, sketch};
use crate::ota_kit::{image as firmware, keep, key, trust};
use crate::rollout_kit::{Lab, plan};
use axum::http::Method;
use espalier_model::Role;
use espalier_testkit::{Client, Person, story};
use image::{DynamicImage, GrayImage, ImageFormat, Luma};
use serde_json::{Value, json};
use std::io::Cursor;

const ID: &str = "ESP32_OTA_BASE_001";

/// A member with an image in a library of their own.
async fn armed(person: &Person, n: u8) -> Value {
    trust(&person.client, &key(n)).await;
    let file = firmware("sketch", &n.to_string(), &[n; 4000]);
    keep(&person.client, &file, &key(n)).await
}

async fn checks(board: &Client) -> u16 {
    let running = "1".repeat(64);
    board
        .get(&format!("/device/update?running={running}"))
        .await
        .status
}

story!(
    who_may_manage_a_device_cannot_give_it_firmware_of_their_own,
    |app| async move {
        let ada = app.person("ada").await;
        let eve = app.person("eve").await;
        let evil = armed(&eve, 6).await;
        let (id, token) = ada.device("balcony").await;
        ada.client
            .put(
                &format!("/devices/{id}/shares/eve"),
                json!({ "role": "admin" }),
            )
            .await
            .expect(200);
        let force = json!({ "firmware_id": evil["id"] });
        let path = format!("/devices/{id}/update");
        eve.client.post(&path, force.clone()).await.expect(404);
        // An admin of the server neither: the device trusts its owner's keys.
        let root = app.person_with("root", Role::Admin).await;
        root.client.post(&path, force).await.expect(404);
        assert_eq!(checks(&app.anonymous().bearer(&token)).await, 204);
        let good = armed(&ada, 1).await;
        let force = json!({ "firmware_id": good["id"] });
        ada.client.post(&path, force).await.expect(202);
        assert_eq!(checks(&app.anonymous().bearer(&token)).await, 200);
    }
);

story!(
    what_was_sent_to_a_device_ends_when_it_is_given_away,
    |app| async move {
        let ada = app.person("ada").await;
        let eve = app.person("eve").await;
        let evil = armed(&eve, 6).await;
        let (id, token) = eve.device("gift").await;
        let force = json!({ "firmware_id": evil["id"] });
        let path = format!("/devices/{id}");
        eve.client
            .post(&format!("{path}/update"), force)
            .await
            .expect(202);
        assert_eq!(checks(&app.anonymous().bearer(&token)).await, 200);
        eve.client
            .post(&format!("{path}/transfer"), json!({ "to": "ada" }))
            .await
            .expect(200);
        let renewed = ada.client.post(&format!("{path}/token"), json!({})).await;
        let token = renewed.expect(200)["device_token"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(checks(&app.anonymous().bearer(&token)).await, 204);
    }
);

story!(
    a_member_does_not_take_a_waiting_board_by_its_id,
    |app| async move {
        let app = lan(&app).await;
        let root = app.person_with("root", Role::Admin).await;
        let eve = app.person("eve").await;
        let board = sketch(&app, "192.168.1.20");
        let beat = format!("/api/devices/{ID}/heartbeat");
        board.post(&beat, json!({ "uptime": 1 })).await.expect(200);
        let (id, _) = eve.device("mine").await;
        let path = format!("/devices/{id}/legacy");
        for address in [Value::Null, json!("192.168.1.20"), json!("192.168.1.21")] {
            let wish = json!({ "open": true, "legacy_id": ID, "address": address });
            eve.client.put(&path, wish).await.expect(403);
        }
        board.post(&beat, json!({ "uptime": 2 })).await.expect(200);
        let waits = root.client.get("/quarantine").await.expect(200);
        assert_eq!(waits[0]["requests"], 2, "it waits on");
        // The device's own id is nobody else's.
        let own = json!({ "open": true, "legacy_id": id });
        eve.client.put(&path, own).await.expect(200);
        // What others call theirs is not told.
        let (secret, _) = root.device("Secret freezer").await;
        let pinned = json!({ "open": true, "legacy_id": id, "address": "192.168.1.30" });
        root.client
            .put(&format!("/devices/{secret}/legacy"), pinned.clone())
            .await
            .expect(200);
        let refused = eve.client.put(&path, pinned).await;
        assert!(!refused.text().contains("Secret"), "{}", refused.text());
        assert_eq!(refused.expect(409)["code"], "same_station");
    }
);

story!(
    who_changed_a_rollout_does_not_approve_it,
    |app| async move {
        let lab = Lab::new(app).await;
        let id = lab
            .draft(plan(json!({ "approval": true })), json!({ "kinds": ["x"] }))
            .await;
        assert_eq!(lab.act(&id, "start").await["state"], "awaiting_approval");
        let bob = lab.app.person_with("bob", Role::Admin).await;
        let change = json!({ "target": "everything" });
        bob.client
            .patch(&format!("/rollouts/{id}"), change)
            .await
            .expect(200);
        let path = format!("/rollouts/{id}/approve");
        let refused = bob.client.post(&path, json!({})).await.expect(409);
        assert_eq!(refused["code"], "own_rollout");
        // Nor does anybody approve what they have not seen.
        let eve = lab.app.person_with("eve", Role::Admin).await;
        let seen = eve.client.get(&format!("/rollouts/{id}")).await.expect(200);
        let seen = seen["fingerprint"].as_str().unwrap().to_owned();
        let narrower = json!({ "target": { "kinds": ["x", "y"] } });
        let rollout = format!("/rollouts/{id}");
        let changed = bob.client.patch(&rollout, narrower).await;
        let now = changed.expect(200)["fingerprint"]
            .as_str()
            .unwrap()
            .to_owned();
        let stale = format!("{path}?seen={seen}");
        let refused = eve.client.post(&stale, json!({})).await.expect(409);
        assert_eq!(refused["code"], "changed");
        let path = format!("{path}?seen={now}");
        eve.client.post(&path, json!({})).await.expect(200);
        // Nor does what was approved become something else without approval.
        let later = "2100-01-01T00:00:00Z";
        let first = plan(json!({ "approval": true, "start_at": later }));
        let second = lab.draft(first, json!({ "kinds": ["x"] })).await;
        lab.act(&second, "start").await;
        let path = format!("/rollouts/{second}");
        let approved = eve
            .client
            .post(&format!("{path}/approve"), json!({}))
            .await
            .expect(200);
        assert_eq!(approved["state"], "scheduled");
        let waived = plan(json!({ "approval": false, "start_at": later }));
        let change = json!({ "target": "everything", "plan": waived });
        let changed = lab.client().patch(&path, change).await.expect(200);
        assert_eq!(changed["state"], "awaiting_approval");
        // A name is one line.
        for name in ["a\0b", "a\nb", "\u{1b}[31m"] {
            let renamed = json!({ "name": name });
            eve.client
                .patch(&format!("/rollouts/{id}"), renamed)
                .await
                .expect(422);
        }
    }
);

story!(
    pictures_of_others_on_a_screen_do_not_lock_it,
    |app| async move {
        let ada = app.person("ada").await;
        let eve = app.person("eve").await;
        let (id, token) = ada.device("hall").await;
        ada.client
            .put(
                &format!("/devices/{id}/shares/eve"),
                json!({ "role": "member" }),
            )
            .await
            .expect(200);
        let mut file = Cursor::new(Vec::new());
        DynamicImage::ImageLuma8(GrayImage::from_pixel(8, 8, Luma([7])))
            .write_to(&mut file, ImageFormat::Png)
            .unwrap();
        let mut form =
            b"--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n"
                .to_vec();
        form.extend(file.into_inner());
        form.extend(b"\r\n--XX--\r\n");
        let kind = Some("multipart/form-data; boundary=XX");
        let picture = eve
            .client
            .send(Method::POST, "/screens/images", kind, form)
            .await
            .expect(200);
        let path = format!("/devices/{id}/screen");
        let wish = json!({ "layout": { "image": picture["id"] }, "images": [picture["id"]] });
        eve.client.put(&path, wish.clone()).await.expect(200);
        ada.client
            .put(
                &path,
                json!({ "rotation_seconds": 60, "images": [picture["id"]] }),
            )
            .await
            .expect(200);
        let preferences = json!({ "preferences": { "jokes": ["dad_jokes"] } });
        let own = format!("/api/devices/{id}/preferences");
        app.anonymous()
            .bearer(&token)
            .put(&own, preferences)
            .await
            .expect(200);
        eve.client
            .delete(&format!(
                "/screens/images/{}",
                picture["id"].as_str().unwrap()
            ))
            .await
            .expect(200);
        ada.client
            .put(&path, json!({ "rotation_seconds": 61 }))
            .await
            .expect(200);
        // Put there anew, it must be one's own.
        ada.client
            .put(&path, json!({ "layout": {} }))
            .await
            .expect(200);
        ada.client.put(&path, wish).await.expect(404);
    }
);

story!(a_nul_in_a_path_is_no_failure_of_ours, |app| async move {
    let ada = app.person("ada").await;
    for path in [
        "/uploads/%00/bmp",
        "/screens/images/%00/preview.png",
        "/dashboards/%00",
        "/widgets/%00",
    ] {
        for client in [&ada.client, &app.anonymous()] {
            let status = client.get(path).await.status;
            assert!((400..500).contains(&status), "{path}: {status}");
        }
    }
});

story!(
    one_account_does_not_keep_all_places_for_uploads,
    |app| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let server = app.serve().await;
        let eve = app.person("eve").await;
        let ada = app.person("ada").await;
        let head = format!(
            "POST /firmware/inspect HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: multipart/form-data; boundary=b\r\n\
             Content-Length: 1000000\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"firmware\"; filename=\"a.bin\"\r\n\r\n",
            server.address, eve.token
        );
        // Four of them take her places; the others are refused at once, which is what is waited for.
        let (refused_to, mut refusals) = tokio::sync::mpsc::unbounded_channel();
        let mut slow = Vec::new();
        for _ in 0..8 {
            let stream = tokio::net::TcpStream::connect(server.address).await;
            let (mut from, mut to) = stream.expect("a connection").into_split();
            to.write_all(head.as_bytes()).await.expect("sent");
            slow.push(to);
            let refused_to = refused_to.clone();
            tokio::spawn(async move {
                let mut status = [0; 12];
                if from.read_exact(&mut status).await.is_ok() {
                    let _ = refused_to.send(status);
                }
            });
        }
        for _ in 0..4 {
            let patience = std::time::Duration::from_secs(30);
            let status = tokio::time::timeout(patience, refusals.recv()).await;
            assert_eq!(status.expect("an answer"), Some(*b"HTTP/1.1 503"));
        }
        let body = b"--XX\r\ncontent-disposition: form-data; name=\"firmware\"; filename=\"a.bin\"\r\n\r\nx\r\n--XX--\r\n";
        let kind = Some("multipart/form-data; boundary=XX");
        let path = "/firmware/inspect";
        let refused = eve
            .client
            .send(Method::POST, path, kind, body.to_vec())
            .await;
        refused.expect(503);
        let answer = ada
            .client
            .send(Method::POST, path, kind, body.to_vec())
            .await;
        answer.expect(200);
    }
);

story!(
    a_huge_body_is_refused_as_every_other_error_is,
    |app| async move {
        let ada = app.person("ada").await;
        let (id, token) = ada.device("balcony").await;
        let board = app.anonymous().bearer(&token);
        let (huge, update) = ("x".repeat(2 << 20), "0".repeat(24));
        for (client, path) in [
            (&app.anonymous(), "/token".to_owned()),
            (&app.anonymous(), "/login".to_owned()),
            (&app.anonymous(), "/refresh".to_owned()),
            (&app.anonymous(), "/setup".to_owned()),
            (&board, format!("/devices/{id}/telemetry")),
            (&board, format!("/devices/{id}/heartbeat")),
            (&board, format!("/device/update/{update}")),
            (&ada.client, format!("/api/ota/force-update/{id}")),
        ] {
            let answer = client.form(&path, &huge).await;
            assert_eq!(answer.status, 413, "{path}: {}", answer.text());
            assert_eq!(answer.json()["status"], 413, "{path}");
        }
    }
);
