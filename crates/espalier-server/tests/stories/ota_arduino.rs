//! Old sketches as they are: Arduino's `HTTPUpdate` replayed byte by byte, and every way in which it went wrong before.

use super::cms_devices::claimed;
use super::ota_kit::{image_for, key, signature, trust, upload};
use espalier_image::chip::Chip;
use espalier_model::Role;
use espalier_server::ota::delivery;
use espalier_testkit::{Answer, Client, Engine, Person, Server, TestApp, story};
use md5::{Digest, Md5};
use serde_json::{Value, json};
use std::collections::HashMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BASE: &str = "ESP32_OTA_BASE_001";
const TYPE: &str = "ESP32_OTA_Base";
const MAC: &str = "24:6F:28:01:02:03";

/// What the updater got.
struct Got {
    status: u16,
    version: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

/// The state of a simulated board as its headers tell it.
#[derive(Clone)]
struct Updater {
    md5: Option<String>,
    sha256: Option<String>,
    free: u64,
    flash: u64,
    version: Option<&'static str>,
    credentials: Option<String>,
    mac: &'static str,
}

impl Default for Updater {
    fn default() -> Self {
        Self {
            md5: None,
            sha256: None,
            free: 1_310_720,
            flash: 4 << 20,
            version: None,
            credentials: None,
            mac: MAC,
        }
    }
}

impl Updater {
    /// The request as `HTTPClient` and `HTTPUpdate` write it, in their order.
    fn request(&self, host: &str, path: &str) -> String {
        let mut text = format!(
            "GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: ESP32-http-Update\r\nConnection: close\r\n"
        );
        if let Some(credentials) = &self.credentials {
            text += &format!("Authorization: Basic {credentials}\r\n");
        }
        text += &format!(
            "Cache-Control: no-cache\r\nx-ESP32-STA-MAC: {}\r\nx-ESP32-AP-MAC: 24:6F:28:01:02:04\r\nx-ESP32-free-space: {}\r\n\
             x-ESP32-sketch-size: 1133664\r\n",
            self.mac, self.free
        );
        for (name, value) in [("md5", &self.md5), ("sha256", &self.sha256)] {
            if let Some(value) = value {
                text += &format!("x-ESP32-sketch-{name}: {value}\r\n");
            }
        }
        text += &format!(
            "x-ESP32-chip-size: {}\r\nx-ESP32-sdk-version: v4.4.7\r\nx-ESP32-mode: sketch\r\n",
            self.flash
        );
        if let Some(version) = self.version {
            text += &format!("x-ESP32-version: {version}\r\n");
        }
        text + "\r\n"
    }

    /// Follows a link; reads at most `most` bytes and then hangs up.
    async fn follow(&self, url: &str, most: usize) -> Got {
        let rest = url.strip_prefix("http://").expect("a plain URL");
        let (host, path) = rest.split_once('/').expect("a path");
        let mut stream = TcpStream::connect(host).await.expect("a connection");
        let request = self.request(host, &format!("/{path}"));
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut raw = Vec::new();
        let mut piece = [0; 4096];
        while raw.len() < most {
            let read = stream.read(&mut piece).await.expect("read");
            if read == 0 {
                break;
            }
            raw.extend_from_slice(&piece[..read]);
        }
        let end = raw
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("headers");
        let head = String::from_utf8(raw[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let mut first = lines.next().unwrap().split(' ');
        let version = first.next().unwrap().to_owned();
        let status = first.next().unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        Got {
            status,
            version,
            headers: headers.collect(),
            body: raw[end + 4..].to_vec(),
        }
    }

    async fn fetch(&self, url: &str) -> Got {
        self.follow(url, usize::MAX).await
    }
}

/// A claimed old board, its owner, and a server that it can reach.
struct Old {
    root: Person,
    board: Client,
    device: String,
    server: Server,
}

async fn old(app: &TestApp) -> Old {
    let root = app.person_with("root", Role::Admin).await;
    trust(&root.client, &key(1)).await;
    let board = app.anonymous();
    let device = claimed(&root, &board, BASE).await;
    let device = device["id"].as_str().expect("an id").to_owned();
    let server = app.serve().await;
    let host = server.address.to_string();
    let board = board
        .header("host", &host)
        .header("x-device-version", "2.4.0")
        .header("x-device-type", TYPE);
    Old {
        root,
        board,
        device,
        server,
    }
}

fn sketch(version: &str) -> Vec<u8> {
    image_for(Chip::Esp32, "sketch", version, &vec![3; 60_000])
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Old {
    async fn keep(&self, file: &[u8], device_type: &str) -> Value {
        let signature = signature(file, &key(1));
        let beside = [
            ("signature", signature.as_str()),
            ("device_type", device_type),
            ("description", "\"better\" ".repeat(200).leak()),
        ];
        upload(&self.root.client, file, &beside).await.expect(201)
    }

    async fn force(&self, device_type: &str) -> Answer {
        let body = json!({ "firmware_type": device_type });
        self.root
            .client
            .post(&format!("/api/ota/force-update/{BASE}"), body)
            .await
    }

    async fn check(&self) -> Value {
        let answer = self.board.get(&format!("/api/ota/check/{BASE}")).await;
        assert!(answer.bytes.len() <= 1024, "{}", answer.bytes.len());
        answer.expect(200)
    }

    async fn beat(&self, uptime: u64) {
        let body = json!({ "device_id": BASE, "device_type": TYPE, "version": "2.4.0", "uptime": uptime, "free_heap": 200_000,
            "wifi_rssi": -60 });
        self.board
            .post(&format!("/api/devices/{BASE}/heartbeat"), body)
            .await
            .expect(200);
    }

    async fn link(&self) -> String {
        let update = self.check().await;
        assert_eq!(update["update_available"], true, "{update}");
        update["firmware_url"].as_str().unwrap().to_owned()
    }

    async fn update(&self, app: &TestApp) -> Value {
        delivery::settled(&app.app).await;
        let path = format!("/devices/{}/updates", self.device);
        self.root.client.get(&path).await.expect(200)["data"][0].clone()
    }
}

story!(
    a_sketch_updates_once_whatever_its_version_says,
    |app| async move {
        let old = old(&app).await;
        let file = sketch("9.9.9");
        let kept = old.keep(&file, TYPE).await;
        assert_eq!(old.check().await["update_available"], false);
        let forced = old.force(TYPE).await.expect(200);
        assert_eq!(forced["file_size"], file.len());
        let update = old.check().await;
        assert_eq!(update["update_type"], "same_type");
        assert_eq!(update["target_firmware"], TYPE);
        assert_eq!(update["version"], "9.9.9");
        let url = update["firmware_url"].as_str().unwrap();
        let prefix = format!(
            "http://{}/api/ota/download/{}?ticket=",
            old.server.address,
            kept["key"].as_str().unwrap()
        );
        assert!(url.starts_with(&prefix), "{url}");

        let got = Updater::default().fetch(url).await;
        assert_eq!((got.status, got.body == file), (200, true));
        assert_eq!(got.version, "HTTP/1.0");
        assert_eq!(got.headers["x-md5"], md5(&file));
        assert_eq!(got.headers["content-length"], file.len().to_string());
        assert_eq!(got.headers["content-type"], "application/octet-stream");
        let name = format!(
            "attachment; filename=\"{}.bin\"",
            kept["key"].as_str().unwrap()
        );
        assert_eq!(got.headers["content-disposition"], name);
        assert_eq!(old.update(&app).await["state"], "written");
        // The link worked once.
        app.clock.advance(30_000);
        assert_eq!(Updater::default().fetch(url).await.status, 404);

        // It restarts and still says 2.4.0, because that is compiled in. It is not told to install anything again, ever.
        app.clock.advance(20_000);
        for _ in 0..3 {
            assert_eq!(old.check().await["update_available"], false);
            app.clock.advance(120_000);
        }
        assert_eq!(old.update(&app).await["state"], "confirmed");
        let runs = old
            .root
            .client
            .get(&format!("/devices/{}/firmware", old.device))
            .await
            .expect(200);
        assert_eq!(runs["image"]["id"], kept["id"]);
        assert_eq!(runs["version"], "2.4.0");
        assert_eq!(runs["slot_bytes"], 1_310_720);
    }
);

story!(a_download_that_breaks_off_begins_anew, |app| async move {
    let old = old(&app).await;
    let file = sketch("2.5.0");
    old.keep(&file, TYPE).await;
    old.force(TYPE).await.expect(200);
    let url = old.link().await;
    let broken = Updater::default().follow(&url, 8_192).await;
    assert_eq!(broken.status, 200);
    assert!(broken.body.len() < file.len());
    let again = Updater::default().fetch(&url).await;
    assert_eq!((again.status, again.body == file), (200, true));
    assert_eq!(again.headers["x-md5"], md5(&file));
});

story!(a_board_that_runs_the_image_hears_so, |app| async move {
    let old = old(&app).await;
    let file = sketch("2.5.0");
    let kept = old.keep(&file, TYPE).await;
    let by = [
        Updater {
            md5: Some(md5(&file)),
            ..Updater::default()
        },
        Updater {
            sha256: kept["appended_sha256"].as_str().map(str::to_owned),
            ..Updater::default()
        },
        Updater {
            version: Some("2.5.0"),
            ..Updater::default()
        },
    ];
    old.force(TYPE).await.expect(200);
    let url = old.link().await;
    let other = Updater {
        md5: Some(md5(b"else")),
        version: Some("2.5.0"),
        ..Updater::default()
    };
    let begun = other.follow(&url, 4_096).await;
    assert_eq!(begun.status, 200, "a digest says more than a version");
    for updater in by {
        let got = updater.fetch(&url).await;
        assert_eq!((got.status, got.body.len()), (304, 0));
    }
    assert_eq!(old.update(&app).await["state"], "confirmed");
    assert_eq!(old.check().await["update_available"], false);
});

story!(
    no_board_gets_the_firmware_of_another_type_unless_forced,
    |app| async move {
        let old = old(&app).await;
        let led = old.keep(&sketch("7.0.0"), "ESP32_LED_Blink").await;
        let release = json!({ "firmware": [led["id"]] });
        let release = old.root.client.post("/releases", release).await.expect(201);
        let rollout = json!({ "release_id": release["id"], "target": "everything" });
        let rollout = old.root.client.post("/rollouts", rollout).await.expect(201);
        let start = format!("/rollouts/{}/start", rollout["id"].as_str().unwrap());
        let started = old.root.client.post(&start, json!({})).await;
        assert!(
            matches!(started.status, 200 | 202 | 409),
            "{}",
            started.text()
        );
        assert_eq!(old.check().await["update_available"], false);

        let forced = old.force("ESP32_LED_Blink").await.expect(200);
        assert_eq!(forced["update_type"], "forced_cross_firmware");
        let update = old.check().await;
        assert_eq!(update["update_type"], "forced_cross_firmware");
        assert_eq!(update["target_firmware"], "ESP32_LED_Blink");
        old.force("ESP32_Nothing").await.expect(404);
    }
);

async fn persists(engine: Engine) {
    let mut app = TestApp::new(engine).await;
    let old = old(&app).await;
    // More than the network takes in without a reader.
    let file = image_for(Chip::Esp32, "sketch", "2.5.0", &vec![3; 9 << 20]);
    old.keep(&file, TYPE).await;
    old.force(TYPE).await.expect(200);
    let roomy = Updater {
        free: 12 << 20,
        flash: 32 << 20,
        ..Updater::default()
    };
    // Served in part, served again: a forced update stands until the board runs it.
    for _ in 0..2 {
        let url = old.link().await;
        roomy.follow(&url, 4_096).await;
    }
    let url = old.link().await;
    roomy.fetch(&url).await;
    delivery::settled(&app.app).await;
    drop(old.server);
    app.restart().await;
    // What was downloaded before the restart is known after it.
    app.clock.advance(30_000);
    let board = app
        .anonymous()
        .header("x-device-version", "2.4.0")
        .header("x-device-type", TYPE);
    let check = board
        .get(&format!("/api/ota/check/{BASE}"))
        .await
        .expect(200);
    assert_eq!(check["update_available"], false);
    let root = app.anonymous().bearer(&old.root.token);
    let updates = root
        .get(&format!("/devices/{}/updates", old.device))
        .await
        .expect(200);
    assert_eq!(updates["data"][0]["state"], "confirmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_update_stands_until_the_board_runs_it_sqlite() {
    persists(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_update_stands_until_the_board_runs_it_postgres() {
    if espalier_testkit::postgres_available() {
        persists(Engine::Postgres).await;
    }
}

story!(
    a_board_with_one_slot_is_never_written_over,
    |app| async move {
        let old = old(&app).await;
        old.keep(&sketch("2.5.0"), TYPE).await;
        old.force(TYPE).await.expect(200);
        let url = old.link().await;
        let huge = Updater {
            free: 0x30_0000,
            ..Updater::default()
        };
        let got = huge.fetch(&url).await;
        assert_eq!(got.status, 409);
        let why: Value = serde_json::from_slice(&got.body).unwrap();
        assert!(why["error"].as_str().unwrap().contains("over USB"), "{why}");
        let update = old.update(&app).await;
        assert_eq!(
            (&update["state"], &update["reason"]),
            (&json!("failed"), &json!("slot"))
        );
        assert_eq!(old.check().await["update_available"], false);
    }
);

story!(
    an_image_larger_than_the_slot_is_not_sent,
    |app| async move {
        let old = old(&app).await;
        old.keep(&sketch("2.5.0"), TYPE).await;
        old.force(TYPE).await.expect(200);
        let url = old.link().await;
        let small = Updater {
            free: 50_000,
            ..Updater::default()
        };
        assert_eq!(small.fetch(&url).await.status, 409);
        assert_eq!(old.update(&app).await["reason"], "slot");
    }
);

story!(
    a_board_that_did_not_restart_did_not_take_it,
    |app| async move {
        let old = old(&app).await;
        old.keep(&sketch("2.5.0"), TYPE).await;
        old.beat(5_000).await;
        old.force(TYPE).await.expect(200);
        let url = old.link().await;
        Updater::default().fetch(&url).await;
        app.clock.advance(30_000);
        old.beat(5_040).await;
        let update = old.update(&app).await;
        assert_eq!(update["state"], "failed", "{update}");
        // The next attempt comes after a pause, and this time it restarts.
        app.clock.advance(600_000);
        let url = old.link().await;
        Updater::default().fetch(&url).await;
        app.clock.advance(20_000);
        old.beat(12).await;
        assert_eq!(old.update(&app).await["state"], "confirmed");
    }
);

story!(
    a_board_that_does_not_come_back_has_failed_until_it_does,
    |app| async move {
        let old = old(&app).await;
        old.keep(&sketch("2.5.0"), TYPE).await;
        old.force(TYPE).await.expect(200);
        let url = old.link().await;
        Updater::default().fetch(&url).await;
        app.clock.advance(301_000);
        delivery::tick(&app.app);
        let update = old.update(&app).await;
        assert_eq!(
            (&update["state"], &update["reason"]),
            (&json!("failed"), &json!("no_return"))
        );
        app.clock.advance(60_000);
        old.beat(15).await;
        assert_eq!(old.update(&app).await["state"], "confirmed");
        assert_eq!(old.check().await["update_available"], false);
    }
);

story!(
    an_unknown_board_is_answered_and_told_nothing,
    |app| async move {
        let board = app.anonymous().header("x-device-type", "ESP32_LED_Blink");
        let answer = board
            .get("/api/ota/check/ESP32_OTA_LED_001")
            .await
            .expect(200);
        let expected = json!({ "update_available": false, "message": "No firmware available", "current_version": "1.0.0" });
        assert_eq!(answer, expected);
        let root = app.person_with("root", Role::Admin).await;
        let waiting = root.client.get("/quarantine").await.expect(200);
        assert_eq!(waiting[0]["device_id"], "ESP32_OTA_LED_001");
    }
);

story!(
    firmware_is_given_to_boards_with_a_link_or_a_token_only,
    |app| async move {
        let old = old(&app).await;
        let file = sketch("2.5.0");
        let kept = old.keep(&file, TYPE).await;
        let (id, token) = old.root.device("token").await;
        let path = format!("/api/ota/download/{}", kept["key"].as_str().unwrap());
        let url = old.server.url(&path);
        assert_eq!(Updater::default().fetch(&url).await.status, 401);
        assert_eq!(
            Updater::default()
                .fetch(&format!("{url}?ticket=guess"))
                .await
                .status,
            404
        );
        // A token opens what its board is to install, and nothing else.
        use base64::Engine as _;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{token}"));
        let with_token = Updater {
            credentials: Some(basic),
            ..Updater::default()
        };
        assert_eq!(with_token.fetch(&url).await.status, 404);
        let body = json!({ "firmware_id": kept["id"] });
        old.root
            .client
            .post(&format!("/devices/{id}/update"), body)
            .await
            .expect(202);
        let got = with_token.fetch(&url).await;
        assert_eq!((got.status, got.body == file), (200, true));
        // People see their own library.
        let mine = old.root.client.get(&path).await;
        assert_eq!((mine.status, mine.bytes == file), (200, true));
        let other = app.person("other").await;
        other.client.get(&path).await.expect(404);
    }
);

story!(a_link_is_for_one_board, |app| async move {
    let old = old(&app).await;
    old.keep(&sketch("2.5.0"), TYPE).await;
    old.force(TYPE).await.expect(200);
    let url = old.link().await;
    assert_eq!(Updater::default().follow(&url, 4_096).await.status, 200);
    // The first download has told the board's MAC; another unit with the same compiled id is not it.
    let twin = Updater {
        mac: "24:6F:28:0A:0B:0C",
        ..Updater::default()
    };
    assert_eq!(twin.fetch(&url).await.status, 403);
    app.clock.advance(11 * 60_000);
    assert_eq!(Updater::default().fetch(&url).await.status, 404);
});

story!(
    a_link_names_the_host_that_the_board_asked,
    |app| async move {
        let old = old(&app).await;
        old.keep(&sketch("2.5.0"), TYPE).await;
        old.force(TYPE).await.expect(200);
        for (host, expected) in [
            ("espalier.local:5000", "http://espalier.local:5000/"),
            ("[fd00::1]:8000", "http://[fd00::1]:8000/"),
            ("evil.example/x?", "http://127.0.0.1:8000/"),
        ] {
            let board = old.board.header("host", host);
            let update = board
                .get(&format!("/api/ota/check/{BASE}"))
                .await
                .expect(200);
            let url = update["firmware_url"].as_str().unwrap();
            assert!(url.starts_with(expected), "{url}");
        }
    }
);
