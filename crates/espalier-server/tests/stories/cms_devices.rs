//! Old sketches as they are: the requests of the three variants, what they send wrong, and who tries to be them.

use axum::http::Method;
use espalier_model::Role;
use espalier_testkit::{Answer, Client, Person, TestApp, story};
use serde_json::{Value, json};

/// A server that believes this machine when it says where a request comes from, so that a test can stand anywhere.
pub async fn lan(app: &TestApp) -> TestApp {
    let believe = |config: &mut espalier_server::Config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    };
    TestApp::with(app.engine(), believe).await
}

/// A sketch without a credential at an address.
pub fn sketch(app: &TestApp, address: &str) -> Client {
    app.anonymous()
        .header("x-forwarded-for", address)
        .header("user-agent", "ESP32HTTPClient")
}

/// Lets a board speak once and makes it a device, open to go on without a token.
pub async fn claimed(admin: &Person, board: &Client, id: &str) -> Value {
    let path = format!("/api/devices/{id}/ping");
    board.post(&path, json!({})).await.expect(200);
    let waiting = admin.client.get("/quarantine").await.expect(200);
    let waiting = waiting.as_array().unwrap();
    let entry = waiting.iter().find(|w| w["device_id"] == id).unwrap();
    let path = format!("/quarantine/{}/claim", entry["id"].as_str().unwrap());
    let wish = json!({ "open": true, "name": format!("Claimed {id}") });
    admin.client.post(&path, wish).await.expect(200)
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

async fn latest(person: &Person, id: &str) -> Value {
    let path = format!("/devices/{id}/telemetry/latest");
    person.client.get(&path).await.expect(200)
}

const BASE: &str = "ESP32_OTA_BASE_001";
const FULL: &str = "ESP32_DEV1_002";
const LED: &str = "ESP32_OTA_LED_001";

fn register_base() -> Value {
    json!({
        "device_id": BASE, "device_name": "Hall", "occupation": "Student", "device_type": "ESP32_DevKit_V1",
        "wifi_ssid": "home", "nickname": "Hall", "firmware_version": "2.4.0",
        "capabilities": "dashboard,images,ota,bmp_download",
        "preferences": { "jokes": [], "riddles": [], "news": [] },
    })
}

fn heartbeat(id: &str, kind: &str, uptime: u64) -> Value {
    json!({
        "device_id": id, "device_name": "Hall", "occupation": "Student", "device_type": kind, "version": "2.4.0",
        "uptime": uptime, "free_heap": 201_344, "wifi_rssi": -61,
    })
}

/// The 24 fields that old clients read.
const FIELDS: [&str; 24] = [
    "created_at",
    "custom_content_enabled",
    "device_id",
    "device_name",
    "device_type",
    "firmware_version",
    "free_heap",
    "humidity",
    "id",
    "is_active",
    "is_connected",
    "is_online",
    "last_seen",
    "motion_detected",
    "nickname",
    "occupation",
    "preferences",
    "sensor_last_update",
    "sleep_mode",
    "temperature",
    "updated_at",
    "uptime_seconds",
    "wifi_rssi",
    "wifi_ssid",
];

story!(the_base_sketch_lives_as_it_always_did, |app| async move {
    let app = lan(&app).await;
    let root = app.person_with("root", Role::Admin).await;
    let board = sketch(&app, "192.168.1.20");
    let device = claimed(&root, &board, BASE).await;
    let id = device["id"].as_str().unwrap();

    let answer = board.post("/api/devices/register", register_base()).await;
    let answer = answer.expect(200);
    assert_eq!(
        answer,
        json!({ "success": true, "message": "Device registered successfully", "device_id": BASE })
    );

    let mut beat = heartbeat(BASE, "ESP32_OTA_Base", 30);
    beat["current_mode"] = json!("dashboard");
    beat["dashboard_loaded"] = json!(true);
    beat["image_loaded"] = json!(false);
    let path = format!("/api/devices/{BASE}/heartbeat");
    let answer = board.post(&path, beat).await.expect(200);
    assert_eq!(keys(&answer), ["status", "timestamp"]);
    assert_eq!(answer["status"], "heartbeat_received");

    let seen = root.client.get(&format!("/devices/{id}")).await.expect(200);
    assert_eq!(seen["online"], true);
    assert_eq!(seen["facts"]["firmware_version"], "2.4.0");
    let state = latest(&root, id).await.to_string();
    for value in ["uptime_seconds", "201344", "-61", "\"dashboard\""] {
        assert!(state.contains(value), "{value} in {state}");
    }
    // Five minutes of silence, as in the old system, and it is offline.
    app.clock.advance(299_000);
    espalier_server::devices::tick(&app.app).await.unwrap();
    let online = |seen: Value| seen["online"].clone();
    let path = format!("/devices/{id}");
    assert_eq!(online(root.client.get(&path).await.expect(200)), true);
    app.clock.advance(2_000);
    espalier_server::devices::tick(&app.app).await.unwrap();
    assert_eq!(online(root.client.get(&path).await.expect(200)), false);
});

story!(the_full_sketch_reports_what_it_measures, |app| async move {
    let app = lan(&app).await;
    let root = app.person_with("root", Role::Admin).await;
    let board = sketch(&app, "192.168.1.21");
    claimed(&root, &board, FULL).await;
    let mut hello = register_base();
    hello["device_id"] = json!(FULL);
    for (key, value) in [
        ("temperature", json!(0.0)),
        ("humidity", json!(0.0)),
        ("motion_detected", json!(false)),
        ("sleep_mode", json!(false)),
    ] {
        hello[key] = value;
    }
    board.post("/api/devices/register", hello).await.expect(200);
    let path = format!("/api/devices/{FULL}/sensor-data");
    let body = json!({ "device_id": FULL, "temperature": 21.5, "humidity": 44.5, "motion_detected": true, "sleep_mode": false, "timestamp": 120 });
    app.clock.advance(1000);
    let answer = board.post(&path, body).await.expect(200);
    assert_eq!(keys(&answer), ["device", "message", "status"]);
    assert_eq!(answer["status"], "success");
    assert_eq!(
        answer["message"],
        "Sensor data updated: temperature, humidity, motion_detected, sleep_mode"
    );
    let device = &answer["device"];
    assert_eq!(keys(device), FIELDS);
    assert_eq!(device["device_id"], FULL);
    assert_eq!(
        (&device["temperature"], &device["humidity"]),
        (&json!(21.5), &json!(44.5))
    );
    assert_eq!(
        (&device["motion_detected"], &device["sleep_mode"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&device["uptime_seconds"], &device["is_connected"]),
        (&json!(120), &json!(true))
    );
    // A failed sensor says null; that is no value.
    let failed = json!({ "temperature": null, "humidity": null, "motion_detected": false });
    let answer = board.post(&path, failed).await.expect(200);
    assert_eq!(answer["message"], "Sensor data updated: motion_detected");
    assert_eq!(answer["device"]["temperature"], 21.5);
});

story!(
    the_led_sketch_never_registers_and_is_heard,
    |app| async move {
        let app = lan(&app).await;
        let root = app.person_with("root", Role::Admin).await;
        let board = sketch(&app, "192.168.1.22");
        let path = format!("/api/devices/{LED}/heartbeat");
        let beat = |uptime| heartbeat(LED, "ESP32_LED_Blink", uptime);
        board.post(&path, beat(30)).await.expect(200);
        let waiting = root.client.get("/quarantine").await.expect(200);
        assert_eq!(
            (&waiting[0]["device_type"], &waiting[0]["free_heap"]),
            (&json!("ESP32_LED_Blink"), &json!(201_344))
        );
        let device = claimed(&root, &board, LED).await;
        assert_eq!(device["kind"], "ESP32_LED_Blink");
        for uptime in [60, 90] {
            app.clock.advance(30_000);
            board.post(&path, beat(uptime)).await.expect(200);
        }
        let shown = root
            .client
            .get(&format!("/api/devices/{LED}"))
            .await
            .expect(200);
        assert_eq!(keys(&shown), FIELDS);
        assert_eq!(
            (&shown["uptime_seconds"], &shown["wifi_rssi"]),
            (&json!(90), &json!(-61))
        );
    }
);

story!(a_board_with_its_token_needs_no_opening, |app| async move {
    let app = lan(&app).await;
    let ada = app.person("ada").await;
    let body = json!({ "name": "Mine", "alias": BASE });
    let made = ada.client.post("/devices", body).await.expect(200);
    let token = made["device_token"].as_str().unwrap();
    let path = format!("/api/devices/{BASE}/heartbeat");
    let beat = || heartbeat(BASE, "ESP32_OTA_Base", 5);
    let basic = {
        use base64::Engine;
        let text = format!("{BASE}:{token}");
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(text)
        )
    };
    // Also from afar, and by every carrier.
    let far = sketch(&app, "8.8.8.8");
    for board in [
        far.bearer(token),
        far.header("x-api-key", token),
        far.header("authorization", &basic),
    ] {
        board.post(&path, beat()).await.expect(200);
    }
    let shown = ada
        .client
        .get(&format!("/api/devices/{BASE}"))
        .await
        .expect(200);
    assert_eq!(
        (&shown["uptime_seconds"], &shown["nickname"]),
        (&json!(5), &json!("Mine"))
    );
    // It speaks for itself only.
    let (_, other) = ada.device("other").await;
    far.bearer(&other).post(&path, beat()).await.expect(404);
    far.bearer("0".repeat(32).as_str())
        .post(&path, beat())
        .await
        .expect(401);
    let id = made["id"].as_str().unwrap();
    let path = format!("/api/devices/{id}/sensor-data");
    far.bearer(token)
        .post(&path, json!({ "temperature": 1 }))
        .await
        .expect(200);
});

/// The failures of the old contract, with our keys beside.
fn failed(answer: &Answer, status: u16, flagged: bool, sentence: &str) {
    let body = answer.expect(status);
    assert_eq!(body["error"], sentence, "{body}");
    assert_eq!(body["message"], sentence);
    assert_eq!(body.get("success"), flagged.then_some(&json!(false)));
    assert!(body["code"].is_string() && body["request_id"].is_string());
}

story!(
    wrong_input_is_refused_as_the_contract_says,
    |app| async move {
        let app = lan(&app).await;
        let board = sketch(&app, "192.168.1.20");
        let post = |path: &'static str, body: &'static str| {
            let board = board.clone();
            async move { board.send(Method::POST, path, None, body.to_owned()).await }
        };
        const REGISTER: &str = "/api/devices/register";
        for body in [
            r#"{"device_id":"A"}"#,
            r#"{"device_id":"","device_name":"a","occupation":"b","device_type":"c"}"#,
            r#"{"device_id":7,"device_name":"a","occupation":"b","device_type":"c"}"#,
            r#"{"device_id":"A","device_name":" ","occupation":"b","device_type":"c"}"#,
            r#"{"device_id":"A","device_name":"a","occupation":null,"device_type":"c"}"#,
        ] {
            failed(
                &post(REGISTER, body).await,
                400,
                true,
                "Missing required fields",
            );
        }
        for body in ["", "{}", "[]", "null", "nonsense", "{\"temperature\": nan}"] {
            failed(
                &post(REGISTER, body).await,
                400,
                true,
                "No JSON data provided",
            );
            for path in ["/api/devices/A/heartbeat", "/api/devices/A/sensor-data"] {
                failed(&post(path, body).await, 400, false, "No JSON data provided");
            }
        }
        let answer = post("/api/devices/A/sensor-data", r#"{"temperature":"warm"}"#).await;
        assert!(
            answer.expect(400)["error"]
                .as_str()
                .unwrap()
                .contains("a number")
        );
        let answer = post("/api/devices/%0a/heartbeat", r#"{"uptime":1}"#).await;
        failed(&answer, 404, false, "Device not found");
        let long = format!("/api/devices/{}/heartbeat", "x".repeat(256));
        board.post(&long, json!({ "uptime": 1 })).await.expect(404);
        let huge = json!({ "device_id": "A", "device_name": "x".repeat(2 << 20), "occupation": "b", "device_type": "c" });
        assert_eq!(board.post(REGISTER, huge).await.status, 413);
    }
);

story!(nobody_takes_over_a_claimed_board, |app| async move {
    let app = lan(&app).await;
    let root = app.person_with("root", Role::Admin).await;
    let eve = app.person("eve").await;
    let board = sketch(&app, "192.168.1.20");
    claimed(&root, &board, BASE).await;
    board
        .post("/api/devices/register", register_base())
        .await
        .expect(200);
    let show = || async {
        root.client
            .get(&format!("/api/devices/{BASE}"))
            .await
            .expect(200)
    };
    let before = show().await;

    // A stranger registers it anew, reports for it, renames it, deletes it: from the next desk and from afar.
    let mut grab = register_base();
    grab["device_name"] = json!("Eve's");
    grab["nickname"] = json!("Eve's");
    grab["wifi_ssid"] = json!("evil");
    grab["firmware_version"] = json!("9.9.9");
    for address in ["192.168.1.66", "8.8.8.8"] {
        let stranger = sketch(&app, address);
        let status = if address.starts_with("192") { 200 } else { 401 };
        let answer = stranger.post("/api/devices/register", grab.clone()).await;
        let answer = answer.expect(status).to_string();
        assert!(
            !answer.contains("Hall") && !answer.contains("Claimed"),
            "{answer}"
        );
        let path = format!("/api/devices/{BASE}");
        let sensors = json!({ "temperature": 99.0 });
        let answer = stranger
            .post(&format!("{path}/sensor-data"), sensors)
            .await
            .expect(status);
        if status == 200 {
            // It hears what it said and nothing of the device.
            assert_eq!(keys(&answer["device"]), FIELDS);
            assert_eq!(
                (&answer["device"]["id"], &answer["device"]["nickname"]),
                (&Value::Null, &Value::Null)
            );
        }
        stranger
            .post(&format!("{path}/heartbeat"), heartbeat(BASE, "x", 1))
            .await
            .expect(status);
        stranger.delete(&path).await.expect(401);
        stranger.get(&path).await.expect(401);
        stranger
            .post(&format!("{path}/unlink"), json!({}))
            .await
            .expect(401);
        stranger
            .put(&format!("{path}/nickname"), json!({ "nickname": "E" }))
            .await
            .expect(401);
        stranger
            .get(&format!("/api/esp32-debug/{BASE}"))
            .await
            .expect(401);
    }
    // A person who may not see it.
    let path = format!("/api/devices/{BASE}");
    failed(
        &eve.client.delete(&path).await,
        404,
        false,
        "Device not found",
    );
    eve.client.get(&path).await.expect(404);
    eve.client
        .post(&format!("{path}/unlink"), json!({}))
        .await
        .expect(404);
    eve.client
        .put(&format!("{path}/nickname"), json!({ "nickname": "E" }))
        .await
        .expect(404);
    eve.client
        .post(&format!("{path}/heartbeat"), json!({ "uptime": 1 }))
        .await
        .expect(403);
    let debug = eve
        .client
        .get(&format!("/api/esp32-debug/{BASE}"))
        .await
        .expect(404);
    assert_eq!(
        (&debug["status"], &debug["device_id"]),
        (&json!("NOT_FOUND"), &json!(BASE))
    );
    assert_eq!(show().await, before);
    // A board of hers with a token does not become this one either.
    let (_, token) = eve.device("hers").await;
    let hers = app.anonymous().bearer(&token);
    hers.post("/api/devices/register", grab.clone())
        .await
        .expect(404);
    hers.delete(&path).await.expect(403);
    assert_eq!(show().await, before);
    // The board itself may say what changed about it, not what it is called.
    board.post("/api/devices/register", grab).await.expect(200);
    let after = show().await;
    for key in [
        "device_name",
        "nickname",
        "occupation",
        "device_type",
        "temperature",
        "id",
    ] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_eq!(
        (&after["wifi_ssid"], &after["firmware_version"]),
        (&json!("evil"), &json!("9.9.9"))
    );
});

story!(
    a_person_registers_renames_unlinks_and_deletes,
    |app| async move {
        let app = lan(&app).await;
        let ada = app.person("ada").await;
        let answer = ada
            .client
            .post("/api/devices/register", register_base())
            .await
            .expect(200);
        let token = answer["device_token"].as_str().unwrap().to_owned();
        let path = format!("/api/devices/{BASE}");
        let shown = ada.client.get(&path).await.expect(200);
        assert_eq!(
            (&shown["occupation"], &shown["device_type"]),
            (&json!("Student"), &json!("ESP32_DevKit_V1"))
        );
        assert_eq!(shown["preferences"]["jokes"], json!([]));
        let board = app.anonymous().bearer(&token);
        board
            .post(&format!("{path}/heartbeat"), heartbeat(BASE, "x", 1))
            .await
            .expect(200);
        // Again: what the board says of itself, and no second device.
        let mut again = register_base();
        again["occupation"] = json!("Teacher");
        let answer = ada
            .client
            .post("/api/devices/register", again)
            .await
            .expect(200);
        assert!(answer.get("device_token").is_none());
        let list = ada.client.get("/api/devices").await.expect(200);
        assert_eq!(
            (&list["count"], &list["devices"][0]["occupation"]),
            (&json!(1), &json!("Teacher"))
        );

        let nickname = |name: &str| json!({ "nickname": name });
        let put = format!("{path}/nickname");
        assert_eq!(
            ada.client.put(&put, nickname("Küche 🍳")).await.expect(200)["nickname"],
            "Küche 🍳"
        );
        for wrong in [
            nickname(""),
            nickname(&"x".repeat(101)),
            nickname("a\u{1b}b"),
            json!({ "nickname": 7 }),
        ] {
            assert_eq!(
                ada.client.put(&put, wrong).await.expect(400)["success"],
                false
            );
        }
        let debug = app
            .anonymous()
            .bearer(&ada.token)
            .header("host", "cms.local:5000");
        let debug = debug
            .get(&format!("/api/esp32-debug/{BASE}"))
            .await
            .expect(200);
        assert_eq!(
            debug["dashboard_bmp_url"],
            format!("http://cms.local:5000/dashboards/{BASE}_current.bmp")
        );
        assert_eq!(debug["simple_test"], "ESP32_CONNECTED");

        let answer = ada
            .client
            .post(&format!("{path}/unlink"), json!({}))
            .await
            .expect(200);
        assert_eq!(
            keys(&answer),
            ["device_id", "device_name", "message", "note", "status"]
        );
        assert_eq!(
            answer["message"],
            "Device \"Küche 🍳\" unlinked successfully"
        );
        let shown = ada.client.get(&path).await.expect(200);
        assert_eq!(
            (&shown["is_active"], &shown["is_connected"]),
            (&json!(false), &json!(false))
        );

        let answer = ada.client.delete(&path).await.expect(200);
        let expected = json!({
            "status": "success", "message": "Device \"Küche 🍳\" successfully removed", "device_id": BASE, "device_name": "Küche 🍳",
            "cleanup_summary": { "custom_content_deleted": 0, "image_assignments_removed": 0 },
        });
        assert_eq!(answer, expected);
        failed(
            &ada.client.delete(&path).await,
            404,
            false,
            "Device not found",
        );
        board
            .post(&format!("{path}/heartbeat"), heartbeat(BASE, "x", 1))
            .await
            .expect(401);
    }
);
