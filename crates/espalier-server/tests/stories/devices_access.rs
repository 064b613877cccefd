//! Who may use a device: shares and their roles, transfer, tokens, claims.

use espalier_model::Role;
use espalier_testkit::{Client, story};
use serde_json::{Value, json};

async fn sees(client: &Client) -> usize {
    client
        .get("/devices")
        .await
        .expect(200)
        .as_array()
        .unwrap()
        .len()
}

story!(a_share_permits_what_its_role_says, |app| async move {
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let cleo = app.person("cleo").await;
    let (id, _) = ada.device("shared").await;
    let path = format!("/devices/{id}");
    let share = format!("{path}/shares/bob@example.com");
    let cases = [
        ("viewer", 403, 403, 403),
        ("member", 403, 403, 403),
        ("admin", 200, 200, 403),
    ];
    for (role, rename, list, own) in cases {
        ada.client
            .put(&share, json!({ "role": role }))
            .await
            .expect(200);
        let device = bob.client.get(&path).await.expect(200);
        assert_eq!(device["role"], role);
        assert_eq!(sees(&bob.client).await, 1);
        bob.client.get(&format!("{path}/events")).await.expect(200);
        bob.client
            .patch(&path, json!({ "name": "renamed" }))
            .await
            .expect(rename);
        bob.client.get(&format!("{path}/shares")).await.expect(list);
        bob.client
            .put(&format!("{path}/shares/cleo"), json!({ "role": "viewer" }))
            .await
            .expect(list);
        bob.client
            .post(&format!("{path}/token"), json!({}))
            .await
            .expect(rename);
        bob.client.delete(&path).await.expect(own);
        bob.client
            .post(&format!("{path}/transfer"), json!({ "to": "bob" }))
            .await
            .expect(own);
        bob.client
            .post(&format!("{path}/claim-code"), json!({}))
            .await
            .expect(own);
    }
    let shares = ada.client.get(&format!("{path}/shares")).await.expect(200);
    let names: Vec<&str> = shares
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["username"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["bob", "cleo"]);
    // A recipient may leave, but not throw out another one.
    cleo.client.delete(&share).await.expect(403);
    cleo.client
        .delete(&format!("{path}/shares/cleo"))
        .await
        .expect(200);
    assert_eq!(sees(&cleo.client).await, 0);
    ada.client.delete(&share).await.expect(200);
    ada.client.delete(&share).await.expect(404);
    bob.client.get(&path).await.expect(404);
    assert_eq!(sees(&bob.client).await, 0);
    ada.client
        .put(
            &format!("{path}/shares/nobody"),
            json!({ "role": "viewer" }),
        )
        .await
        .expect(404);
    ada.client
        .put(&format!("{path}/shares/ada"), json!({ "role": "viewer" }))
        .await
        .expect(409);
    ada.client
        .put(&share, json!({ "role": "king" }))
        .await
        .expect(422);
});

story!(a_viewer_account_only_looks, |app| async move {
    let ada = app.person("ada").await;
    let guest = app.person_with("guest", Role::Viewer).await;
    let (id, _) = ada.device("shared").await;
    ada.client
        .put(
            &format!("/devices/{id}/shares/guest"),
            json!({ "role": "admin" }),
        )
        .await
        .expect(200);
    guest
        .client
        .get(&format!("/devices/{id}"))
        .await
        .expect(200);
    guest
        .client
        .patch(&format!("/devices/{id}"), json!({ "name": "x" }))
        .await
        .expect(403);
    guest.client.post("/devices", json!({})).await.expect(403);
    ada.client
        .post(&format!("/devices/{id}/transfer"), json!({ "to": "guest" }))
        .await
        .expect(409);
});

story!(
    a_transferred_device_is_its_new_owners_alone,
    |app| async move {
        let (ada, bob) = (app.person("ada").await, app.person("bob").await);
        let cleo = app.person("cleo").await;
        let (id, token) = ada.device("gift").await;
        let path = format!("/devices/{id}");
        ada.client
            .put(&format!("{path}/shares/cleo"), json!({ "role": "admin" }))
            .await
            .expect(200);
        ada.client
            .post(
                &format!("{path}/transfer"),
                json!({ "to": "nobody@example.com" }),
            )
            .await
            .expect(404);
        ada.client
            .post(
                &format!("{path}/transfer"),
                json!({ "to": "bob@example.com" }),
            )
            .await
            .expect(200);
        ada.client.get(&path).await.expect(404);
        cleo.client.get(&path).await.expect(404);
        assert_eq!(bob.client.get(&path).await.expect(200)["role"], "owner");
        // The board itself notices nothing.
        app.anonymous().bearer(&token).get(&path).await.expect(200);
        let admin = app.person_with("root", Role::Admin).await;
        admin
            .client
            .post(&format!("{path}/transfer"), json!({ "to": "ada" }))
            .await
            .expect(200);
        assert_eq!(sees(&ada.client).await, 1);
        assert_eq!(sees(&bob.client).await, 0);
        let events = ada
            .client
            .get(&format!("{path}/events?kind=transferred"))
            .await
            .expect(200);
        assert_eq!(events[0]["detail"], json!({ "to": "ada", "by": "root" }));
        assert_eq!(events.as_array().unwrap().len(), 2);
    }
);

story!(a_renewed_token_kills_the_old_one, |app| async move {
    let ada = app.person("ada").await;
    let (id, old) = ada.device("balcony").await;
    let path = format!("/devices/{id}");
    let renewed = ada
        .client
        .post(&format!("{path}/token"), json!({}))
        .await
        .expect(200);
    let new = renewed["device_token"].as_str().unwrap();
    assert_ne!(new, old);
    app.anonymous().bearer(&old).get(&path).await.expect(401);
    app.anonymous().bearer(new).get(&path).await.expect(200);
    let shown = ada.client.get(&path).await.expect(200);
    assert_eq!(shown["device_token"], "***");
});

story!(of_two_who_claim_at_once_one_wins, |app| async move {
    let admin = app.person_with("root", Role::Admin).await;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let product = json!({ "product_id": "BOX-0001", "password": "printed-below" });
    ada.client
        .post("/devices", product.clone())
        .await
        .expect(403);
    let made = admin
        .client
        .post("/devices", product.clone())
        .await
        .expect(200);
    assert_eq!(
        (&made["unclaimed"], &made["aliases"]),
        (&json!(true), &json!(["BOX-0001"]))
    );
    admin
        .client
        .post("/devices", product.clone())
        .await
        .expect(409);

    let wrong = json!({ "product_id": "BOX-0001", "password": "guessed-wrong" });
    ada.client.post("/devices/claim", wrong).await.expect(404);
    let (first, second) = tokio::join!(
        ada.client.post("/devices/claim", product.clone()),
        bob.client.post("/devices/claim", product.clone()),
    );
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", first.text(), second.text());
    let (winner, loser) = if first.status == 200 {
        (&ada, &bob)
    } else {
        (&bob, &ada)
    };
    let device = winner.client.get("/devices/BOX-0001").await.expect(200);
    assert_eq!(
        (&device["role"], &device["unclaimed"]),
        (&json!("owner"), &json!(false))
    );
    loser.client.get("/devices/BOX-0001").await.expect(404);
    assert_eq!(sees(&admin.client).await, 0);
});

story!(a_claim_code_works_once_and_not_for_long, |app| async move {
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let cleo = app.person("cleo").await;
    let (id, _) = ada.device("gift").await;
    let path = format!("/devices/{id}/claim-code");
    let code = |answer: &Value| json!({ "code": answer["code"] });
    ada.client
        .post(&path, json!({ "expires_in_seconds": 5 }))
        .await
        .expect(422);
    let replaced = ada.client.post(&path, json!({})).await.expect(200);
    let expired = ada
        .client
        .post(&path, json!({ "expires_in_seconds": 60 }))
        .await
        .expect(200);
    bob.client
        .post("/devices/claim", code(&replaced))
        .await
        .expect(404);
    app.clock.advance(60_000);
    bob.client
        .post("/devices/claim", code(&expired))
        .await
        .expect(404);

    let good = ada.client.post(&path, json!({})).await.expect(200);
    ada.client
        .post("/devices/claim", code(&good))
        .await
        .expect(409);
    let (first, second) = tokio::join!(
        bob.client.post("/devices/claim", code(&good)),
        cleo.client.post("/devices/claim", code(&good)),
    );
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404], "{} {}", first.text(), second.text());
    assert_eq!(sees(&ada.client).await, 0);
    ada.client
        .post("/devices/claim", code(&good))
        .await
        .expect(404);
});

story!(codes_cannot_be_guessed_for_long, |app| async move {
    let bob = app.person("bob").await;
    for _ in 0..10 {
        bob.client
            .post("/devices/claim", json!({ "code": "AAAA-AAAA" }))
            .await
            .expect(404);
    }
    let refused = bob
        .client
        .post("/devices/claim", json!({ "code": "AAAA-AAAA" }))
        .await;
    refused.expect(429);
    assert_eq!(refused.headers["retry-after"], "901");
    app.clock.advance(15 * 60_000);
    bob.client
        .post("/devices/claim", json!({ "code": "AAAA-AAAA" }))
        .await
        .expect(404);
    bob.client
        .post("/devices/claim", json!({ "product_id": "x" }))
        .await
        .expect(422);
});

story!(management_leaves_a_record, |app| async move {
    let ada = app.person("ada").await;
    app.person("bob").await;
    let made = ada
        .client
        .post("/devices", json!({ "name": "x" }))
        .await
        .expect(200);
    let path = format!("/devices/{}", made["id"].as_str().unwrap());
    ada.client
        .patch(&path, json!({ "name": "y" }))
        .await
        .expect(200);
    ada.client
        .put(&format!("{path}/shares/bob"), json!({ "role": "viewer" }))
        .await
        .expect(200);
    ada.client
        .delete(&format!("{path}/shares/bob"))
        .await
        .expect(200);
    ada.client
        .post(&format!("{path}/token"), json!({}))
        .await
        .expect(200);
    ada.client.delete(&path).await.expect(200);
    let rows = app
        .app
        .db
        .read(|c| {
            c.query(
                "select action from audit where action like 'device.%'",
                espalier_db::params![],
            )
        })
        .await
        .unwrap();
    let mut actions: Vec<String> = rows.iter().map(|row| row.get("action").unwrap()).collect();
    actions.sort();
    let wanted = [
        "device.change",
        "device.create",
        "device.delete",
        "device.rotate_token",
        "device.share",
        "device.unshare",
    ];
    assert_eq!(actions, wanted);
});

story!(
    who_claims_with_a_code_gets_a_token_that_the_former_owner_does_not_know,
    |app| async move {
        let server = app.serve().await;
        let (ada, bob) = (app.person("ada").await, app.person("bob").await);
        let (id, old) = ada.device("gift").await;
        let mut board = server.socket("/ws/device", Some(&old)).await.unwrap();
        assert_eq!(board.next().await["type"], "welcome");
        let path = format!("/devices/{id}/claim-code");
        let claim =
            async |from: &espalier_testkit::Person, by: &espalier_testkit::Person, keep: bool| {
                let code = from.client.post(&path, json!({})).await.expect(200);
                let body = json!({ "code": code["code"], "keep_token": keep });
                by.client.post("/devices/claim", body).await.expect(200)
            };
        let claimed = claim(&ada, &bob, false).await;
        let new = claimed["device_token"].as_str().unwrap().to_owned();
        assert!(new != old && new.len() == 32, "{claimed}");
        // The old token is dead at once, with what it had opened.
        assert_eq!(board.close_code().await, 4401);
        let send = async |token: &str| {
            let body = json!({ "device_token": token, "data": { "t": 1 } });
            let answer = app.anonymous().post("/telemetry", body).await;
            answer.status
        };
        assert!(send(&old).await >= 400);
        assert_eq!(send(&new).await, 200);
        // Between two accounts of one person nothing needs to change.
        let kept = claim(&bob, &ada, true).await;
        assert_eq!(kept["device_token"], "***");
        assert_eq!(send(&new).await, 200);
    }
);

story!(
    a_product_that_is_claimed_stays_connected,
    |app| async move {
        let admin = app.person_with("root", Role::Admin).await;
        let ada = app.person("ada").await;
        let product = json!({ "product_id": "BOX-0002", "password": "printed-below" });
        let made = admin
            .client
            .post("/devices", product.clone())
            .await
            .expect(200);
        let token = made["device_token"].as_str().unwrap();
        let claimed = ada.client.post("/devices/claim", product).await.expect(200);
        assert_eq!(claimed["device_token"], "***");
        let body = json!({ "device_token": token, "data": { "t": 1 } });
        app.anonymous().post("/telemetry", body).await.expect(200);
    }
);
