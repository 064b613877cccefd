//! Devices: create, list, find, delete; two people never see each other's.

use espalier_testkit::story;
use serde_json::{Value, json};

story!(a_device_shows_its_token_once, |app| async move {
    let ada = app.person("ada").await;
    let made = ada
        .client
        .post(
            "/devices",
            json!({ "name": "  Balcony  ", "kind": "weather", "tags": ["out", "out"],
            "group": "home", "alias": "bot_001", "expected_interval_seconds": 30 }),
        )
        .await
        .expect(200);
    let token = made["device_token"].as_str().unwrap();
    assert_eq!(token.len(), 32);
    assert_eq!(made["name"], "Balcony");
    assert_eq!(made["_id"], made["id"]);
    assert_eq!(made["id"].as_str().unwrap().len(), 24);
    assert_eq!(made["tags"], json!(["out"]));
    assert_eq!(made["groups"], json!(["home"]));
    assert_eq!(made["aliases"], json!(["bot_001"]));
    assert_eq!(made["user_id"], ada.account.to_string());
    assert_eq!(
        (&made["status"], &made["online"]),
        (&json!("offline"), &json!(false))
    );
    assert_eq!(made["last_active"], Value::Null);

    let list = ada.client.get("/devices").await;
    assert_eq!(list.headers["x-total-count"], "1");
    let list = list.expect(200);
    assert_eq!(list[0]["device_token"], "***");
    assert_eq!(list[0]["role"], "owner");
    assert!(!list.to_string().contains(token));
    let one = ada.client.get("/devices/bot_001").await.expect(200);
    assert_eq!(one["id"], made["id"]);
    let own = app.anonymous().bearer(token).get("/devices/bot_001").await;
    assert_eq!(own.expect(200)["role"], "device");
});

story!(two_people_never_see_each_others_devices, |app| async move {
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let (adas, _) = ada.device("hers").await;
    let (bobs, bobs_token) = bob.device("his").await;
    let list = ada.client.get("/devices").await.expect(200);
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["id"], adas);
    for path in [format!("/devices/{bobs}")] {
        ada.client.get(&path).await.expect(404);
        ada.client.delete(&path).await.expect(404);
    }
    let board = app.anonymous().bearer(&bobs_token);
    board.get(&format!("/devices/{adas}")).await.expect(404);
    board.get("/devices").await.expect(403);
    app.anonymous().get("/devices").await.expect(401);
    bob.client
        .get(&format!("/devices/{bobs}"))
        .await
        .expect(200);
});

story!(a_deleted_device_is_gone, |app| async move {
    let ada = app.person("ada").await;
    let (id, token) = ada.device("balcony").await;
    let answer = ada
        .client
        .delete(&format!("/devices/{id}"))
        .await
        .expect(200);
    assert_eq!(answer, json!({ "message": "Device deleted" }));
    ada.client
        .delete(&format!("/devices/{id}"))
        .await
        .expect(404);
    let wrong = ada.client.delete("/devices/nonsense").await.expect(400);
    assert_eq!(wrong["detail"], "Invalid device ID");
    app.anonymous()
        .bearer(&token)
        .get(&format!("/devices/{id}"))
        .await
        .expect(401);
    assert_eq!(ada.client.get("/devices").await.expect(200), json!([]));
});
