//! Stories of kits that are refused: unsigned ones, what is no kit, and every way in which one would not boot; nothing of them is
//! kept.

use super::ota_kit::{Part, form, key, signature, trust};
use super::ota_kits::{Kit, LAYOUT, blobs, kits, refused};
use espalier_image::chip::Chip;
use espalier_image::make::{self, Make};
use espalier_testkit::{Engine, TestApp, story};
use serde_json::{Value, json};

story!(an_unsigned_kit_is_refused_whole, |app| async move {
    let ada = app.person("ada").await.client;
    let kit = Kit::new("base", b"mine.");
    let answer = kit.upload(&ada).await;
    refused(&answer, 422, "unsigned", "espalier firmware sign");
    let answer = kit.clone().signed(&key(1)).upload(&ada).await;
    refused(&answer, 422, "bad_signature", "not trusted");
    trust(&ada, &key(1)).await;
    let mut other = kit.clone();
    other.signature = Some(signature(&Kit::new("base", b"other").app, &key(1)));
    refused(&other.upload(&ada).await, 422, "bad_signature", "SHA-256");
    assert_eq!(kits(&ada).await, [] as [Value; 0]);
    assert_eq!(ada.get("/firmware").await.expect(200), json!([]));
    assert_eq!(blobs(&app), 0);
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_may_allow_unsigned_kits() {
    let app = TestApp::with(Engine::Sqlite, |config| config.allow_unsigned = true).await;
    let ada = app.person("ada").await.client;
    let kept = Kit::new("base", b"").upload(&ada).await.expect(201);
    let image = format!("/firmware/{}", kept["firmware_id"].as_str().unwrap());
    let image = ada.get(&image).await.expect(200);
    assert_eq!(image["signature"]["state"], "unsigned");
}

story!(
    what_would_not_boot_is_refused_with_the_reason,
    |app| async move {
        let ada = app.person("ada").await.client;
        let key = key(1);
        trust(&ada, &key).await;
        let kit = Kit::new("base", &[7; 100]);
        let changed = |change: &dyn Fn(&mut Kit)| {
            let mut changed = kit.clone();
            change(&mut changed);
            changed
        };
        let files = |change: &dyn Fn(&mut Kit)| changed(change).described();
        let set = |pointer: &str, value: Value| kit.clone().with(pointer, value);
        let without = |line: &str| {
            let kept = LAYOUT.lines().filter(|one| !one.starts_with(line));
            kept.collect::<Vec<_>>().join("\n")
        };
        let low = "espalier, data, undefined, 0x8000, 0x12000
otadata, data, ota, 0x1a000, 0x2000
ota_0, app, ota_0, 0x20000, 1M
ota_1, app, ota_1, 0x120000, 1M";
        let small = LAYOUT.replace("0x10000, 0x1e0000", "0x10000, 0x1000");
        let c6 = Make {
            chip: Chip::Esp32C6,
            project: "espalier",
            version: "0.1.0",
            ..Make::default()
        }
        .bytes();
        let large = Kit::new("base", &[7; 0x2000]);
        let cases: Vec<(Kit, &str)> = vec![
            // kit.json
            (set("/format", json!(2)), "update the server"),
            (set("/format", json!("one")), "\"format\": 1"),
            (set("/chip", json!("ESP8266")), "take one of ESP32, "),
            (set("/variant", json!("")), "variant"),
            (set("/version", json!("1\n2")), "plain characters"),
            (set("/flash_size", json!(4_000_000)), "power of two"),
            (set("/parts/0/offset", json!(-1)), "parts[0].offset"),
            (
                set("/parts/0/name", json!("merged")),
                "has the parts bootloader, partitions and app",
            ),
            (set("/parts/1/name", json!("app")), "no part partitions"),
            (set("/parts/2/file", json!("../app.bin")), "without folders"),
            (
                set("/parts/2/sha256", json!("abc")),
                "64 hexadecimal digits",
            ),
            (
                changed(&|kit| kit.json["notes"] = json!("x".repeat(1801))),
                "1800",
            ),
            (
                changed(&|kit| {
                    kit.json.as_object_mut().unwrap().remove("settings");
                }),
                "settings",
            ),
            (
                changed(&|kit| {
                    kit.json["parts"].as_array_mut().unwrap().push(json!({
            "name": "app", "file": "a", "offset": 0, "size": 1, "sha256": "00" }))
                }),
                "twice",
            ),
            // The files are not those that are described.
            (
                changed(&|kit| kit.bootloader.push(0)),
                "bootloader.bin has ",
            ),
            (changed(&|kit| kit.app[400] ^= 1), "it was changed after"),
            // What they are
            (files(&|kit| kit.bootloader = kit.app.clone()), "kind `app`"),
            (files(&|kit| kit.bootloader[60] ^= 1), "no sound bootloader"),
            (
                files(&|kit| kit.bootloader = make::bootloader(Chip::Esp32C6)),
                "a bootloader for ESP32-C6",
            ),
            (set("/parts/0/offset", json!(0x1000)), "looks for it at 0x0"),
            (set("/parts/0/offset", json!(0x10)), "no multiple of 0x1000"),
            (
                files(&|kit| kit.partitions = LAYOUT.into()),
                "partitions.bin: ",
            ),
            (files(&|kit| kit.partitions[5] ^= 1), "partitions.bin: "),
            (
                files(&|kit| kit.partitions.resize(5000, 0xFF)),
                "at most 4096",
            ),
            (kit.clone().divided(&without("ota_1")), "one app slot"),
            (kit.clone().divided(&without("otadata")), "no OTA data"),
            (set("/flash_size", json!(2 << 20)), "beyond the flash"),
            (files(&|kit| kit.app = kit.bootloader.clone()), "app.bin: "),
            (files(&|kit| kit.app[400] ^= 1), "app.bin: "),
            (files(&|kit| kit.app = c6.clone()), "an app for ESP32-C6"),
            (set("/version", json!("0.2.0")), "its version is \"0.1.0\""),
            (
                set("/project", json!("other")),
                "its project is \"espalier\"",
            ),
            (
                set("/parts/2/offset", json!(0x1f_0000)),
                "starts the partition ota_0",
            ),
            (large.divided(&small), "smallest app slot"),
            // Where they are
            (set("/otadata/offset", json!(0xe000)), "has it at 0xd000"),
            (
                set("/settings/size", json!(0x1_1000)),
                "at least 73728 bytes",
            ),
            (
                set("/settings/offset", json!(0x3d_0001)),
                "multiple of 4096",
            ),
            (
                set("/settings/offset", json!(0x3e_0000)),
                "does not lie in one data partition",
            ),
            (
                set("/settings/offset", json!(0x1f_0000)),
                "for something else",
            ),
            (
                set("/parts/1/offset", json!(0x9000)),
                "look for it at 0x8000",
            ),
            (
                files(&|kit| kit.bootloader.resize(0x8001, 0xFF)),
                "the part bootloader and the part partitions overlap",
            ),
            (
                kit.clone()
                    .divided(low)
                    .with("/parts/2/offset", 0x2_0000)
                    .with("/otadata/offset", 0x1_a000)
                    .with("/settings/offset", 0x8000)
                    .with("/settings/size", 0x1_2000),
                "the part partitions and the settings region overlap",
            ),
            (
                kit.clone()
                    .divided(&LAYOUT.replace("0x9000, 0x4000", "0x8000, 0x5000")),
                "reaches into the partition nvs",
            ),
        ];
        for (case, words) in cases {
            // A signature would be right: it is not what the refusal is about.
            let answer = case.upload(&ada).await;
            refused(&answer, 422, "bad_kit", words);
        }
        assert_eq!(kits(&ada).await, [] as [Value; 0]);
        assert_eq!(ada.get("/firmware").await.expect(200), json!([]));
        assert_eq!(blobs(&app), 0);
        kit.signed(&key).upload(&ada).await.expect(201);
    }
);

story!(what_is_no_form_of_a_kit_is_refused, |app| async move {
    let ada = app.person("ada").await.client;
    let answer = ada.post("/firmware/kits", json!({})).await;
    refused(&answer, 400, "not_a_form", "multipart");
    let kit = Kit::new("base", b"");
    let text = kit.json.to_string();
    let parts = [
        Part::Text("kit", &text),
        Part::File("app", "app.bin", &kit.app),
    ];
    let answer = form(&ada, "/firmware/kits", &parts).await;
    refused(&answer, 400, "no_file", "no part `bootloader`");
    let answer = form(&ada, "/firmware/kits", &parts[1..]).await;
    refused(&answer, 400, "no_file", "no part `kit`");
    let answer = form(&ada, "/firmware/kits", &[Part::Text("kit", "{")]).await;
    refused(&answer, 422, "bad_kit", "no JSON");
    let huge = vec![0xFF; (256 << 10) + 1];
    let answer = form(
        &ada,
        "/firmware/kits",
        &[Part::File("bootloader", "b", &huge)],
    )
    .await;
    refused(&answer, 413, "too_large", "256 kB");
    let huge = "x".repeat((64 << 10) + 1);
    let answer = form(&ada, "/firmware/kits", &[Part::Text("kit", &huge)]).await;
    refused(&answer, 422, "invalid", "65536");
});
