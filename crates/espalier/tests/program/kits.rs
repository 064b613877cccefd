//! `espalier firmware import`: folders of kits into a library, as a person uses it: while the server runs, while it does not, and
//! from another machine.

use crate::process::{Demo, Server, add_user, run};
use espalier_image::Hex;
use espalier_image::chip::Chip;
use espalier_image::make::{self, Make};
use espalier_image::partitions::Table;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::process::{Command, Output};

const LAYOUT: &str = "nvs, data, nvs, 0x9000, 0x4000
otadata, data, ota, 0xd000, 0x2000
ota_0, app, ota_0, 0x10000, 0x1e0000
ota_1, app, ota_1, 0x1f0000, 0x1e0000
espalier, data, undefined, 0x3d0000, 0x20000";

/// Writes a folder with a kit, as a build does.
fn write_kit(folder: &Path, variant: &str, chip: Chip) {
    std::fs::create_dir_all(folder).unwrap();
    let app = Make {
        chip,
        project: "espalier",
        version: "0.1.0",
        payload: variant.as_bytes(),
        ..Make::default()
    };
    let table = make::partition_table(&Table::from_csv(LAYOUT).unwrap());
    let parts = [
        (
            "bootloader",
            chip.bootloader_offset(),
            make::bootloader(chip),
        ),
        ("partitions", 0x8000, table),
        ("app", 0x1_0000, app.bytes()),
    ];
    let described = parts.iter().map(|(name, offset, bytes)| {
        std::fs::write(folder.join(format!("{name}.bin")), bytes).unwrap();
        json!({
            "name": name, "file": format!("{name}.bin"), "offset": offset, "size": bytes.len(),
            "sha256": Hex(&Sha256::digest(bytes)).to_string(),
        })
    });
    let kit = json!({
        "format": 1, "variant": variant, "chip": chip.title(), "project": "espalier", "version": "0.1.0",
        "flash_size": 4 << 20, "parts": described.collect::<Vec<_>>(),
        "settings": { "offset": 0x3d_0000, "size": 0x2_0000 }, "otadata": { "offset": 0xd000, "size": 0x2000 },
    });
    std::fs::write(folder.join("kit.json"), kit.to_string()).unwrap();
}

/// A signing key in a folder; returns the text of its public half.
fn keygen(folder: &Path) -> String {
    let made = Command::new(env!("CARGO_BIN_EXE_espalier"))
        .args(["firmware", "keygen", "--out", "release"])
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::read_to_string(folder.join("release.pub")).unwrap()
}

async fn trust(server: &Server, token: &str, public: &str) {
    let body = json!({ "name": "release", "public_key": public });
    let (status, answer) = server
        .ask("POST", "/firmware/keys", token, Some(body))
        .await;
    assert_eq!(status, 201, "{answer}");
}

async fn kits(server: &Server, token: &str) -> Vec<Value> {
    let (status, answer) = server.ask("GET", "/firmware/kits", token, None).await;
    assert_eq!(status, 200, "{answer}");
    answer["kits"].as_array().unwrap().clone()
}

/// Runs `firmware import` on a data folder.
fn import(data: &Path, args: &[&str]) -> Output {
    run(data, &[&["firmware", "import"], args].concat(), "")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn kits_are_imported_while_the_server_runs_and_while_it_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let dist = data.join("dist");
    write_kit(&dist.join("base-esp32c3"), "base", Chip::Esp32C3);
    write_kit(&dist.join("base-esp32c6"), "base", Chip::Esp32C6);
    std::fs::create_dir(dist.join("something-else")).unwrap();
    let public = keygen(data);
    add_user(data, "ada");
    let server = Server::start(data);
    let token = server.login("ada").await;
    trust(&server, &token, &public).await;

    let unsigned = complaint(&import(data, &["dist"]));
    assert!(unsigned.contains("not signed"), "{unsigned}");
    assert!(
        unsigned.ends_with("2 of 2 kits were not imported\n"),
        "{unsigned}"
    );
    let done = import(data, &["dist", "--key", "release.key"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(
        out(&done),
        "dist/base-esp32c3: base 0.1.0 for ESP32-C3 is in the library now\n\
         dist/base-esp32c6: base 0.1.0 for ESP32-C6 is in the library now\n"
    );
    assert!(!dist.join("base-esp32c3/app.bin.sig").exists());
    let chips: Vec<_> = kits(&server, &token)
        .await
        .iter()
        .map(|kit| kit["chip"].clone())
        .collect();
    assert_eq!(chips, ["ESP32-C6", "ESP32-C3"]);
    let again = import(data, &["dist/base-esp32c3", "--key", "release.key"]);
    assert!(again.status.success(), "{again:?}");
    assert!(
        out(&again).ends_with("was in the library already\n"),
        "{again:?}"
    );
    assert!(server.stop());

    // Without a server the same rules hold, and one broken kit holds up no other.
    write_kit(&dist.join("full-esp32c3"), "full", Chip::Esp32C3);
    std::fs::write(dist.join("base-esp32c6/partitions.bin"), "cut off").unwrap();
    let mixed = import(data, &["dist", "--key", "release.key", "--account", "ada"]);
    assert_eq!(out(&mixed).lines().count(), 2, "{mixed:?}");
    let why = complaint(&mixed);
    assert!(
        why.contains("dist/base-esp32c6: partitions.bin has 7 bytes"),
        "{why}"
    );
    assert!(why.ends_with("1 of 3 kits were not imported\n"), "{why}");
    let server = Server::start(data);
    let token = server.login("ada").await;
    let variants: Vec<_> = kits(&server, &token)
        .await
        .iter()
        .map(|kit| kit["variant"].clone())
        .collect();
    assert_eq!(variants, ["full", "base", "base"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kits_go_to_a_server_elsewhere_with_an_api_key() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let elsewhere = tempfile::tempdir().unwrap();
    let here = elsewhere.path();
    write_kit(&here.join("kit"), "base", Chip::Esp32C3);
    let public = keygen(here);
    add_user(data, "ada");
    let server = Server::start(data);
    let token = server.login("ada").await;
    trust(&server, &token, &public).await;
    let body = json!({ "name": "build", "scopes": ["write"] });
    let (status, made) = server.ask("POST", "/me/api-keys", &token, Some(body)).await;
    assert_eq!(status, 201, "{made}");
    std::fs::write(here.join("key.txt"), made["secret"].as_str().unwrap()).unwrap();
    let import = |key: &str| {
        Command::new(env!("CARGO_BIN_EXE_espalier"))
            .args(["firmware", "import", "kit", "--key", "release.key"])
            .args(["--server", &server.url, "--api-key-file", key])
            .current_dir(here)
            .env_clear()
            .output()
            .unwrap()
    };
    let done = import("key.txt");
    assert!(done.status.success(), "{done:?}");
    assert_eq!(kits(&server, &token).await.len(), 1);
    std::fs::write(here.join("wrong.txt"), "esp_wrong").unwrap();
    let refused = complaint(&import("wrong.txt"));
    assert!(refused.contains("credential is wrong"), "{refused}");
}

#[test]
fn what_is_no_kit_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    add_user(data, "ada");
    std::fs::create_dir(data.join("empty")).unwrap();
    let cases = [
        ("empty", "holds no kit.json"),
        ("nowhere", "cannot read the folder nowhere"),
    ];
    for (folder, words) in cases {
        let why = complaint(&import(data, &[folder]));
        assert!(why.contains(words), "{why}");
    }
    write_kit(&data.join("kit"), "base", Chip::Esp32C3);
    std::fs::remove_file(data.join("kit/bootloader.bin")).unwrap();
    let why = complaint(&import(data, &["kit"]));
    assert!(why.contains("kit: cannot read kit/bootloader.bin"), "{why}");
    std::fs::write(data.join("kit/kit.json"), "{").unwrap();
    let why = complaint(&import(data, &["kit"]));
    assert!(why.contains("kit: kit.json is no JSON"), "{why}");
    let why = complaint(&import(data, &["kit", "--key", "kit/app.bin"]));
    assert!(why.contains("no text file"), "{why}");
    let wrong = import(data, &["kit", "--server", "http://127.0.0.1:1"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert_eq!(import(data, &[]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_has_a_kit_that_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (server, token) = Demo::start(dir.path()).await;
    let kits = kits(&server, &token).await;
    let [kit] = kits.as_slice() else {
        panic!("{kits:?}");
    };
    assert_eq!(
        (&kit["variant"], &kit["chip"]),
        (&json!("base"), &json!("ESP32-C3"))
    );
    assert_eq!(kit["project"], "espalier-demo");
    let notes = kit["notes"].as_str().unwrap();
    assert!(notes.contains("does not run on a real board"), "{notes}");
    let image = format!("/firmware/{}", kit["firmware_id"].as_str().unwrap());
    let (_, image) = server.ask("GET", &image, &token, None).await;
    assert_eq!(image["signature"]["state"], "trusted");
}
