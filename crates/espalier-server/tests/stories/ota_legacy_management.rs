//! Old firmware management keeps working, and what was wrong with it is gone.
//!
//! The numbers in the names of these stories are those of the old system's list of faults.

use super::ota_kit::{Part, form, image, key, signature, trust};
use espalier_image::keys::PrivateKey;
use espalier_model::Role;
use espalier_server::ota::library;
use espalier_testkit::{Answer, Client, TestApp, story};
use serde_json::{Value, json};

/// Uploads as the old page does, with a signature.
async fn upload(
    client: &Client,
    image: &[u8],
    key: &PrivateKey,
    beside: &[(&str, &str)],
) -> Answer {
    let signature = signature(image, key);
    let mut parts = vec![
        Part::File("firmware", "sketch.bin", image),
        Part::Text("signature", &signature),
    ];
    parts.extend(beside.iter().map(|(name, text)| Part::Text(name, text)));
    form(client, "/api/ota/upload", &parts).await
}

async fn operator(app: &TestApp, name: &str) -> (Client, PrivateKey) {
    let client = app.person(name).await.client;
    let key = key(1);
    trust(&client, &key).await;
    (client, key)
}

#[track_caller]
fn keys(value: &Value) -> Vec<&str> {
    let object = value.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

#[track_caller]
fn failed(answer: &Answer, status: u16) -> String {
    let body = answer.expect(status);
    assert_eq!(body["success"], false, "{body}");
    assert_eq!(body["status"], status);
    for key in ["error", "message", "detail", "code", "request_id"] {
        assert!(body[key].is_string(), "no {key} in {body}");
    }
    body["error"].as_str().unwrap().to_owned()
}

const INFO: [&str; 10] = [
    "version",
    "device_type",
    "filename",
    "filepath",
    "description",
    "upload_date",
    "file_size",
    "file_hash",
    "download_count",
    "is_active",
];

story!(the_old_page_uploads_lists_and_deletes, |app| async move {
    let (ada, key) = operator(&app, "ada").await;
    let file = image("base", "2.4.0", b"");
    let beside = [
        ("device_type", "ESP32_OTA_Base"),
        ("description", "first"),
        ("version", "9.9.9"),
    ];
    let up = upload(&ada, &file, &key, &beside).await.expect(200);
    assert_eq!(keys(&up), ["success", "firmware_key", "firmware_info"]);
    assert_eq!(up["success"], true);
    assert_eq!(up["firmware_key"], "ESP32_OTA_Base_20260301.120000");
    let info = &up["firmware_info"];
    assert_eq!(keys(info), INFO);
    assert_eq!(
        (
            &info["version"],
            &info["device_type"],
            &info["filename"],
            &info["description"]
        ),
        (
            &json!("2.4.0"),
            &json!("ESP32_OTA_Base"),
            &json!("sketch.bin"),
            &json!("first")
        )
    );
    assert_eq!(
        (&info["file_size"], &info["download_count"]),
        (&json!(file.len()), &json!(0))
    );
    assert_eq!(
        (&info["is_active"], &info["upload_date"]),
        (&json!(true), &json!("2026-03-01T12:00:00.000Z"))
    );
    let versions = ada.get("/api/ota/versions").await.expect(200);
    let listed = &versions["firmware_versions"][0];
    assert_eq!(keys(listed)[0], "key");
    assert_eq!(keys(listed)[1..], INFO);
    assert_eq!(listed["key"], up["firmware_key"]);
    assert_eq!(ada.get("/api/ota/firmware").await.expect(200), versions);
    let none = ada
        .get("/api/ota/versions?device_type=Other")
        .await
        .expect(200);
    assert_eq!(none, json!({ "firmware_versions": [] }));
    let same = ada
        .get("/api/ota/versions?device_type=ESP32_OTA_Base")
        .await
        .expect(200);
    assert_eq!(same, versions);
    let path = "/api/ota/delete/ESP32_OTA_Base_20260301.120000";
    assert_eq!(ada.delete(path).await.expect(200)["success"], true);
    failed(&ada.delete(path).await, 404);
});

story!(keys_are_unique_and_types_have_a_default, |app| async move {
    let (ada, key) = operator(&app, "ada").await;
    let (bob, _) = operator(&app, "bob").await;
    let mut found = Vec::new();
    for (n, client) in [&ada, &ada, &bob].into_iter().enumerate() {
        let up = upload(client, &image("p", "1", &[n as u8]), &key, &[])
            .await
            .expect(200);
        assert_eq!(up["firmware_info"]["device_type"], "ESP32_PersonalCMS");
        found.push(up["firmware_key"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        found,
        [
            "ESP32_PersonalCMS_20260301.120000",
            "ESP32_PersonalCMS_20260301.120001",
            "ESP32_PersonalCMS_20260301.120002"
        ]
    );
    // The same file again is the same image; under another type it is not silently moved.
    let again = upload(&ada, &image("p", "1", &[0]), &key, &[])
        .await
        .expect(200);
    assert_eq!(again["firmware_key"], found[0]);
    let other = upload(
        &ada,
        &image("p", "1", &[0]),
        &key,
        &[("device_type", "Other")],
    )
    .await;
    assert!(failed(&other, 409).contains(&found[0]));
});

story!(stats_tell_of_types_and_downloads, |app| async move {
    let (ada, key) = operator(&app, "ada").await;
    for n in 0..12 {
        app.clock.advance(60_000);
        let kind = if n % 3 == 0 { "A" } else { "B" };
        upload(
            &ada,
            &image("p", &format!("1.{n}"), b""),
            &key,
            &[("device_type", kind)],
        )
        .await
        .expect(200);
    }
    let newest = ada.get("/api/ota/versions?device_type=A").await.expect(200);
    let newest = newest["firmware_versions"][0].clone();
    let one = app
        .app
        .ota
        .library
        .by_key(newest["key"].as_str().unwrap())
        .unwrap();
    library::count_download(&app.app, one.id);
    let stats = ada.get("/api/ota/stats").await.expect(200);
    assert_eq!(
        keys(&stats),
        [
            "total_firmware_versions",
            "total_downloads",
            "device_types",
            "recent_uploads"
        ]
    );
    assert_eq!(
        (&stats["total_firmware_versions"], &stats["total_downloads"]),
        (&json!(12), &json!(1))
    );
    let kind = &stats["device_types"]["A"];
    assert_eq!(keys(kind), ["count", "latest_version", "total_downloads"]);
    assert_eq!(
        (&kind["count"], &kind["total_downloads"]),
        (&json!(4), &json!(1))
    );
    assert_eq!(kind["latest_version"]["version"], "1.9");
    assert_eq!(stats["device_types"]["B"]["count"], 8);
    let recent = stats["recent_uploads"].as_array().unwrap();
    assert_eq!((recent.len(), &recent[0]["version"]), (10, &json!("1.11")));
    let types = ada.get("/api/ota/firmware-types").await.expect(200);
    assert_eq!(types, json!({ "firmware_types": ["A", "B"] }));
});

story!(
    bug_4_nobody_manages_firmware_without_signing_in,
    |app| async move {
        let (ada, key) = operator(&app, "ada").await;
        let up = upload(&ada, &image("p", "1", b""), &key, &[])
            .await
            .expect(200);
        let path = format!("/api/ota/delete/{}", up["firmware_key"].as_str().unwrap());
        let (_, token) = app.person("eve").await.device("board").await;
        let bob = app.person("bob").await.client;
        for (who, status) in [
            (app.anonymous(), 401),
            (app.anonymous().bearer(&token), 403),
        ] {
            failed(
                &upload(&who, &image("p", "2", b""), &key, &[]).await,
                status,
            );
            failed(&who.delete(&path).await, status);
            for path in ["versions", "firmware", "firmware-types", "stats"] {
                failed(&who.get(&format!("/api/ota/{path}")).await, status);
            }
        }
        // Another account's images do not exist.
        failed(&bob.delete(&path).await, 404);
        assert_eq!(
            bob.get("/api/ota/versions").await.expect(200),
            json!({ "firmware_versions": [] })
        );
        assert_eq!(
            bob.get("/api/ota/firmware-types").await.expect(200),
            json!({ "firmware_types": [] })
        );
        assert_eq!(
            bob.get("/api/ota/stats").await.expect(200)["total_firmware_versions"],
            0
        );
        let viewer = app.person_with("val", Role::Viewer).await.client;
        upload(&viewer, &image("p", "1", b""), &key, &[])
            .await
            .expect(403);
        let admin = app.person_with("root", Role::Admin).await.client;
        assert_eq!(
            admin.get("/api/ota/stats").await.expect(200)["total_firmware_versions"],
            1
        );
        ada.delete(&path).await.expect(200);
    }
);

story!(bug_5_no_type_or_name_becomes_a_path, |app| async move {
    let (ada, key) = operator(&app, "ada").await;
    let file = image("p", "1", b"");
    for evil in [
        "../../../static/evil",
        "..",
        "a/b",
        "a\\b",
        "C:",
        "%2e%2e%2f",
        "a\u{0}b",
        "x\ny",
    ] {
        let answer = upload(&ada, &file, &key, &[("device_type", evil)]).await;
        assert!(failed(&answer, 400).contains("device_type"));
    }
    assert_eq!(
        ada.get("/api/ota/versions").await.expect(200),
        json!({ "firmware_versions": [] })
    );
    let signature = signature(&file, &key);
    let parts = [
        Part::File("firmware", "../../../../tmp/evil.bin", &file),
        Part::Text("signature", &signature),
    ];
    let up = form(&ada, "/api/ota/upload", &parts).await.expect(200);
    assert_eq!(up["firmware_info"]["filename"], "evil.bin");
    // Only what is named by its content is on disk.
    let mut files = Vec::new();
    let mut folders = vec![app.data().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    assert!(!files.iter().any(|file| file.contains("evil")), "{files:?}");
    let hash = up["firmware_info"]["file_hash"].as_str().unwrap();
    assert!(files.iter().any(|file| file == hash), "{files:?}");
});

story!(
    bug_6_only_sound_and_signed_images_are_taken,
    |app| async move {
        let (ada, key) = operator(&app, "ada").await;
        let send = async |bytes: &[u8]| {
            form(
                &ada,
                "/api/ota/upload",
                &[Part::File("firmware", "x.bin", bytes)],
            )
            .await
        };
        assert!(failed(&send(b"ten bytes!").await, 400).contains(".bin"));
        assert!(failed(&send(&image("p", "1", b"")).await, 400).contains("not signed"));
        let mut damaged = image("p", "1", b"some code");
        damaged[310] ^= 0x10;
        assert!(failed(&send(&damaged).await, 400).contains("damaged"));
        let nothing = form(&ada, "/api/ota/upload", &[Part::Text("device_type", "A")]).await;
        assert!(failed(&nothing, 400).contains("firmware"));
        failed(&ada.post("/api/ota/upload", json!({})).await, 400);
        failed(&send(&vec![0xE9; 17 << 20]).await, 413);
        upload(&ada, &image("p", "1", b""), &key, &[])
            .await
            .expect(200);
    }
);

story!(bug_9_no_path_of_the_server_is_shown, |app| async move {
    let (ada, key) = operator(&app, "ada").await;
    let up = upload(&ada, &image("p", "1", b""), &key, &[("device_type", "A")])
        .await
        .expect(200);
    let path = up["firmware_info"]["filepath"].as_str().unwrap();
    assert_eq!(
        path,
        format!("{}.bin", up["firmware_key"].as_str().unwrap())
    );
    let data = app.data().to_string_lossy().into_owned();
    for path in ["/api/ota/versions", "/api/ota/stats", "/firmware"] {
        let text = ada.get(path).await.text();
        assert!(!text.contains(&data) && !text.contains("blobs"), "{text}");
    }
});

story!(
    bug_17_a_restart_in_the_middle_loses_nothing,
    |app| async move {
        let mut app = app;
        let (ada, key) = operator(&app, "ada").await;
        let up = upload(&ada, &image("p", "1", b""), &key, &[("device_type", "A")])
            .await
            .expect(200);
        let one = app
            .app
            .ota
            .library
            .by_key(up["firmware_key"].as_str().unwrap())
            .unwrap();
        for _ in 0..5 {
            library::count_download(&app.app, one.id);
        }
        app.restart().await;
        let again = app.app.ota.library.by_key(&one.legacy_key).unwrap();
        assert_eq!(
            (again.id, app.app.ota.library.downloads(one.id)),
            (one.id, 5)
        );
    }
);

story!(auto_assign_publishes_the_image, |app| async move {
    let (ada, key) = operator(&app, "ada").await;
    let file = image("p", "1.5", b"");
    let beside = [
        ("device_type", "A"),
        ("auto_assign", "true"),
        ("description", "good"),
    ];
    let up = upload(&ada, &file, &key, &beside).await.expect(200);
    upload(&ada, &file, &key, &beside).await.expect(200);
    let releases = ada.get("/releases").await.expect(200);
    assert_eq!(releases.as_array().unwrap().len(), 1, "once");
    let release = &releases[0];
    assert_eq!(
        (&release["version"], &release["channel"], &release["notes"]),
        (&json!("1.5"), &json!("stable"), &json!("good"))
    );
    assert_eq!(
        release["firmware"][0]["sha256"],
        up["firmware_info"]["file_hash"]
    );
    // The old page knows of no releases: deleting the image takes along what only publishes it.
    let path = format!("/api/ota/delete/{}", up["firmware_key"].as_str().unwrap());
    ada.delete(&path).await.expect(200);
    assert_eq!(ada.get("/releases").await.expect(200), json!([]));
    // One that somebody made with care holds it.
    let up = upload(&ada, &file, &key, &[]).await.expect(200);
    let one = app
        .app
        .ota
        .library
        .by_key(up["firmware_key"].as_str().unwrap())
        .unwrap();
    let care = json!({ "firmware": [one.id.to_string()], "version": "Spring" });
    ada.post("/releases", care).await.expect(201);
    let path = format!("/api/ota/delete/{}", one.legacy_key);
    assert!(failed(&ada.delete(&path).await, 409).contains("Spring"));
});

story!(
    old_addresses_lead_to_the_page_for_firmware,
    |app| async move {
        for (path, place) in [
            ("/ota-management", "/ui/firmware"),
            ("/ota-upload", "/ui/firmware?upload"),
        ] {
            let answer = app
                .anonymous()
                .header("accept", "text/html")
                .get(path)
                .await;
            assert_eq!(
                (answer.status, &answer.headers["location"]),
                (303, &place.parse().unwrap())
            );
        }
    }
);
