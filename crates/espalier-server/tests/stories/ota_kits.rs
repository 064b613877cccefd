//! Stories of kits: what is flashed over USB is kept whole, seen by its owner only, and gone with its files when nobody needs
//! them.

use super::ota_kit::{Part, form, keep, key, signature, trust};
use axum::http::Method;
use espalier_image::chip::Chip;
use espalier_image::keys::PrivateKey;
use espalier_image::make::{self, Make};
use espalier_image::partitions::Table;
use espalier_model::Role;
use espalier_server::identity;
use espalier_testkit::{Answer, Client, TestApp, story};
use serde_json::{Value, json};
use sha2::Digest;

/// How our firmware divides 4 MB of flash.
pub const LAYOUT: &str = "nvs, data, nvs, 0x9000, 0x4000
otadata, data, ota, 0xd000, 0x2000
phy_init, data, phy, 0xf000, 0x1000
ota_0, app, ota_0, 0x10000, 0x1e0000
ota_1, app, ota_1, 0x1f0000, 0x1e0000
espalier, data, undefined, 0x3d0000, 0x20000";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

fn table(layout: &str) -> Vec<u8> {
    make::partition_table(&Table::from_csv(layout).expect("a partition table"))
}

/// A kit as it lies in a folder.
#[derive(Clone)]
pub struct Kit {
    /// What `kit.json` says.
    pub json: Value,
    /// The bootloader's file.
    pub bootloader: Vec<u8>,
    /// The partition table's file.
    pub partitions: Vec<u8>,
    /// The app's file.
    pub app: Vec<u8>,
    /// The text of the app's .sig file.
    pub signature: Option<String>,
    owner: Option<String>,
}

impl Kit {
    /// A sound kit for the ESP32-C3; another payload makes it another one.
    pub fn new(variant: &str, payload: &[u8]) -> Self {
        let app = Make {
            project: "espalier",
            version: "0.1.0",
            payload,
            ..Make::default()
        };
        let json = json!({
            "format": 1, "variant": variant, "chip": "ESP32-C3", "project": "espalier", "version": "0.1.0",
            "flash_size": 4 << 20,
            "parts": [
                { "name": "bootloader", "file": "bootloader.bin", "offset": 0 },
                { "name": "partitions", "file": "partitions.bin", "offset": 0x8000 },
                { "name": "app", "file": "app.bin", "offset": 0x1_0000 },
            ],
            "settings": { "offset": 0x3d_0000, "size": 0x2_0000 },
            "otadata": { "offset": 0xd000, "size": 0x2000 },
        });
        let kit = Self {
            json,
            bootloader: make::bootloader(Chip::Esp32C3),
            partitions: table(LAYOUT),
            app: app.bytes(),
            signature: None,
            owner: None,
        };
        kit.described()
    }

    /// The same with sizes and digests of its files as they are now.
    pub fn described(mut self) -> Self {
        let files = [&self.bootloader, &self.partitions, &self.app];
        for (n, file) in files.into_iter().enumerate() {
            self.json["parts"][n]["size"] = file.len().into();
            self.json["parts"][n]["sha256"] = sha256(file).into();
        }
        self
    }

    /// The same with an app that `key` signs.
    pub fn signed(mut self, key: &PrivateKey) -> Self {
        self.signature = Some(signature(&self.app, key));
        self
    }

    /// The same with another word or number in `kit.json`, at a JSON pointer.
    pub fn with(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *self.json.pointer_mut(pointer).expect("a member") = value.into();
        self
    }

    /// The same with another partition table.
    pub fn divided(mut self, layout: &str) -> Self {
        self.partitions = table(layout);
        self.described()
    }

    fn for_account(mut self, name: &str) -> Self {
        self.owner = Some(name.to_owned());
        self
    }

    /// Sends it, as browsers do.
    pub async fn upload(&self, client: &Client) -> Answer {
        let kit = self.json.to_string();
        let mut parts = vec![
            Part::Text("kit", &kit),
            Part::File("bootloader", "bootloader.bin", &self.bootloader),
            Part::File("partitions", "partitions.bin", &self.partitions),
            Part::File("app", "app.bin", &self.app),
        ];
        parts.extend(
            self.signature
                .as_deref()
                .map(|text| Part::Text("signature", text)),
        );
        parts.extend(self.owner.as_deref().map(|text| Part::Text("owner", text)));
        form(client, "/firmware/kits", &parts).await
    }
}

/// Checks that an answer refuses with this code and these words.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str, words: &str) {
    let body = answer.expect(status);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(body["code"], code, "{body}");
    let message = body["message"].as_str().unwrap();
    assert!(message.contains(words), "{message}");
}

/// Whose kits somebody sees.
pub async fn kits(client: &Client) -> Vec<Value> {
    let all = client.get("/firmware/kits").await.expect(200);
    all["kits"].as_array().unwrap().clone()
}

fn id(kit: &Value) -> String {
    kit["id"].as_str().unwrap().to_owned()
}

/// The files below a data folder's blobs that are not half written.
pub fn blobs(app: &TestApp) -> usize {
    let folders = std::fs::read_dir(app.data().join("blobs")).unwrap();
    let folders = folders.map(|folder| folder.unwrap().path());
    folders
        .filter(|folder| folder.file_name().unwrap().len() == 2)
        .map(|folder| std::fs::read_dir(folder).unwrap().count())
        .sum()
}

story!(a_kit_comes_back_as_it_was_given, |app| async move {
    let mut app = app;
    let person = app.person("ada").await;
    let ada = person.client;
    let key = key(1);
    trust(&ada, &key).await;
    let kit = Kit::new("base", b"one").signed(&key);
    let kept = kit.upload(&ada).await.expect(201);
    let members = [
        ("variant", json!("base")),
        ("chip", json!("ESP32-C3")),
        ("project", json!("espalier")),
        ("version", json!("0.1.0")),
        ("notes", json!("")),
        ("flash_size", json!(4_194_304)),
        ("settings", kit.json["settings"].clone()),
        ("otadata", kit.json["otadata"].clone()),
        ("owner_name", json!("ada")),
        ("created_by_name", json!("ada")),
        ("created_at", json!("2026-03-01T12:00:00.000Z")),
    ];
    for (name, wanted) in members {
        assert_eq!(kept[name], wanted, "{name}");
    }
    assert_eq!(
        kept["parts"],
        json!([
            { "name": "bootloader", "offset": 0, "size": kit.bootloader.len(), "sha256": sha256(&kit.bootloader) },
            { "name": "partitions", "offset": 32768, "size": 3072, "sha256": sha256(&kit.partitions) },
            { "name": "app", "offset": 65536, "size": kit.app.len(), "sha256": sha256(&kit.app) },
        ])
    );
    app.restart().await;
    let token = identity::open_session(&app.app, person.account).await;
    let ada = app.anonymous().bearer(&token.unwrap());
    assert_eq!(kits(&ada).await, std::slice::from_ref(&kept));
    let part = |name: &str| format!("/firmware/kits/{}/parts/{name}", id(&kept));
    for (name, bytes) in [
        ("bootloader", &kit.bootloader),
        ("partitions", &kit.partitions),
        ("app", &kit.app),
    ] {
        let answer = ada.get(&part(name)).await;
        assert_eq!((answer.status, &answer.bytes == bytes), (200, true));
        let etag = format!("\"{}\"", sha256(bytes));
        assert_eq!(answer.headers["etag"], etag);
        assert_eq!(answer.headers["content-length"], bytes.len().to_string());
        assert_eq!(answer.headers["content-type"], "application/octet-stream");
        let again = ada.header("if-none-match", &etag).get(&part(name)).await;
        assert_eq!((again.status, again.bytes.len()), (304, 0));
    }
    refused(&ada.get(&part("merged")).await, 404, "not_found", "Part");
    // The app is an image as any other: it can be released and rolled out.
    let images = ada.get("/firmware").await.expect(200);
    assert_eq!(images[0]["id"], kept["firmware_id"]);
    assert_eq!(images[0]["sha256"], sha256(&kit.app));
    assert_eq!(images[0]["filename"], "base-esp32c3.bin");
    assert_eq!(images[0]["installable"], true);
    let release = json!({ "firmware": [images[0]["id"]] });
    ada.post("/releases", release).await.expect(201);
});

story!(the_same_kit_again_is_the_same, |app| async move {
    let ada = app.person("ada").await.client;
    let (one, two) = (key(1), key(2));
    trust(&ada, &one).await;
    trust(&ada, &two).await;
    let kit = Kit::new("base", b"one");
    let first = kit.clone().signed(&one).upload(&ada).await.expect(201);
    app.clock.advance(1000);
    // Names of files, notes and the order of the parts do not make it another one; a new signature is added to its app.
    let mut again = kit.clone().signed(&two);
    again.json["notes"] = json!("Read this.");
    again.json["parts"].as_array_mut().unwrap().reverse();
    again.json["parts"][0]["file"] = json!("espalier.bin");
    let again = again.upload(&ada).await.expect(200);
    assert_eq!(again, first);
    let image = format!("/firmware/{}", first["firmware_id"].as_str().unwrap());
    let image = ada.get(&image).await.expect(200);
    let manifest = image["manifest"].as_str().unwrap();
    assert_eq!(manifest.matches("signature:").count(), 2, "{manifest}");
    // Another variant is another kit with the same files.
    let other = Kit::new("full", b"one").signed(&one);
    let other = other.upload(&ada).await.expect(201);
    assert_eq!(other["firmware_id"], first["firmware_id"]);
    let all: Vec<_> = kits(&ada).await.iter().map(id).collect();
    assert_eq!(all, [id(&other), id(&first)]);
    assert_eq!(
        ada.get("/firmware")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // An image that was there before the kit is its app, too.
    let third = Kit::new("base", b"two");
    let image = keep(&ada, &third.app, &one).await;
    let third = third.upload(&ada).await.expect(201);
    assert_eq!(third["firmware_id"], image["id"]);
    // A file that was lost comes back with the same kit.
    let digest = sha256(&kit.bootloader);
    let file = app.data().join("blobs").join(&digest[..2]).join(&digest);
    std::fs::remove_file(&file).unwrap();
    kit.upload(&ada).await.expect(200);
    assert_eq!(std::fs::read(&file).unwrap(), kit.bootloader);
});

story!(kits_are_their_owners_and_the_admins, |app| async move {
    let (ada, bob) = (
        app.person("ada").await.client,
        app.person("bob").await.client,
    );
    let root = app.person_with("root", Role::Admin).await.client;
    let (key, unknown) = (key(1), key(2));
    trust(&ada, &key).await;
    trust(&bob, &key).await;
    let kit = Kit::new("base", b"").signed(&key);
    let hers = kit.upload(&ada).await.expect(201);
    let his = kit.upload(&bob).await.expect(201);
    assert_ne!(id(&hers), id(&his));
    assert_eq!(kits(&ada).await, std::slice::from_ref(&hers));
    assert_eq!(kits(&bob).await, std::slice::from_ref(&his));
    assert_eq!(kits(&root).await.len(), 2);
    let path = format!("/firmware/kits/{}", id(&hers));
    bob.get(&format!("{path}/parts/app")).await.expect(404);
    bob.delete(&path).await.expect(404);
    let answer = root.get(&format!("{path}/parts/app")).await;
    assert_eq!((answer.status, answer.bytes == kit.app), (200, true));
    ada.delete("/firmware/kits/nonsense").await.expect(404);
    // Only an admin puts something into somebody else's library, and her keys decide.
    let answer = kit.clone().for_account("ada").upload(&bob).await;
    refused(&answer, 403, "forbidden", "Only an admin");
    let answer = kit.clone().for_account("nobody").upload(&bob).await;
    refused(&answer, 403, "forbidden", "Only an admin");
    let answer = kit.clone().for_account("nobody").upload(&root).await;
    refused(&answer, 404, "not_found", "Account");
    kit.clone()
        .for_account("Bob")
        .upload(&bob)
        .await
        .expect(200);
    let other = Kit::new("full", b"").signed(&key).for_account("ada");
    let given = other.upload(&root).await.expect(201);
    assert_eq!(given["owner_id"], hers["owner_id"]);
    assert_ne!(given["created_by"], hers["created_by"]);
    assert_eq!(
        (&given["owner_name"], &given["created_by_name"]),
        (&json!("ada"), &json!("root"))
    );
    assert_eq!(kits(&ada).await.len(), 2);
    let stranger = Kit::new("full", b"x").signed(&unknown).for_account("ada");
    refused(
        &stranger.upload(&root).await,
        422,
        "bad_signature",
        "not trusted",
    );
});

story!(
    files_stay_as_long_as_something_needs_them,
    |app| async move {
        let ada = app.person("ada").await.client;
        let bob = app.person("bob").await.client;
        let key = key(1);
        trust(&ada, &key).await;
        trust(&bob, &key).await;
        let base = Kit::new("base", b"").signed(&key);
        let hers = base.upload(&ada).await.expect(201);
        let his = base.upload(&bob).await.expect(201);
        assert_eq!(blobs(&app), 3);
        let path = |kit: &Value| format!("/firmware/kits/{}", id(kit));
        // The image may go; the kit keeps its file, and says that there is no such image any more.
        let image = format!("/firmware/{}", hers["firmware_id"].as_str().unwrap());
        ada.delete(&image).await.expect(200);
        assert_eq!(kits(&ada).await[0]["firmware_id"], Value::Null);
        let answer = ada.get(&format!("{}/parts/app", path(&hers))).await;
        assert_eq!(answer.bytes, base.app);
        ada.delete(&path(&hers)).await.expect(200);
        ada.delete(&path(&hers)).await.expect(404);
        assert_eq!(blobs(&app), 3);
        bob.delete(&path(&his)).await.expect(200);
        // His library still has the app.
        assert_eq!(blobs(&app), 1);
        let image = format!("/firmware/{}", his["firmware_id"].as_str().unwrap());
        let file = bob.get(&format!("{image}/image")).await;
        assert_eq!(file.bytes, base.app);
        bob.delete(&image).await.expect(200);
        assert_eq!(blobs(&app), 0);
    }
);

story!(the_operator_gives_kits_to_the_owner, |app| async move {
    let ada = app.person("ada").await.client;
    let operator = app.anonymous().bearer(app.app.ops.local_token());
    trust(&ada, &key(1)).await;
    let kit = Kit::new("base", b"").signed(&key(1));
    let answer = kit.upload(&operator).await;
    refused(&answer, 409, "no_account", "--account");
    let kept = kit.clone().for_account("ada@example.com");
    let kept = kept.upload(&operator).await.expect(201);
    assert_eq!(kits(&ada).await, std::slice::from_ref(&kept));
    assert_eq!(kept["created_by"], kept["owner_id"]);
    // Where there is one owner, the kits are theirs.
    let boss = app.person_with("boss", Role::Owner).await;
    trust(&boss.client, &key(1)).await;
    let theirs = kit.upload(&operator).await.expect(201);
    assert_eq!(theirs["owner_id"], boss.account.to_string());
    app.person_with("second", Role::Owner).await;
    let answer = kit.upload(&operator).await;
    refused(&answer, 409, "no_account", "exactly one owner");
});

story!(a_backup_carries_kits, |app| async move {
    let mut app = app;
    let ada = app.person("ada").await;
    let admin = app.person_with("admin", Role::Admin).await.client;
    trust(&ada.client, &key(1)).await;
    let kit = Kit::new("base", b"").signed(&key(1));
    let kept = kit.upload(&ada.client).await.expect(201);
    let archive = admin.get("/admin/backup").await;
    let path = format!("/firmware/kits/{}", id(&kept));
    ada.client.delete(&path).await.expect(200);
    let restore = admin
        .send(Method::POST, "/admin/restore", None, archive.bytes)
        .await;
    assert_eq!(restored(&restore), 3);
    app.restart().await;
    let token = identity::open_session(&app.app, ada.account).await;
    let ada = app.anonymous().bearer(&token.unwrap());
    assert_eq!(kits(&ada).await, [kept]);
    let answer = ada.get(&format!("{path}/parts/bootloader")).await;
    assert_eq!(answer.bytes, kit.bootloader);
});

/// How many files a restored backup held.
fn restored(answer: &Answer) -> u64 {
    answer.expect(200)["contents"]["blobs"].as_u64().unwrap()
}

story!(a_library_holds_two_hundred_kits, |app| async move {
    let ada = app.person("ada").await.client;
    let key = key(1);
    trust(&ada, &key).await;
    let signed = Kit::new("base", b"").signed(&key);
    for n in 0..200 {
        let one = signed.clone().with("/variant", format!("v{n}"));
        one.upload(&ada).await.expect(201);
    }
    let full = Kit::new("base", b"another").signed(&key).upload(&ada).await;
    refused(&full, 409, "too_many_kits", "200 kits");
    // What is there already still is, and nothing of the other one was kept.
    signed
        .clone()
        .with("/variant", "v7")
        .upload(&ada)
        .await
        .expect(200);
    assert_eq!(
        ada.get("/firmware")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(blobs(&app), 3);
});
