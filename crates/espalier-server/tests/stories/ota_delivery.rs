//! Boards with our firmware: they ask, fetch whole or in part, report, and are told the same thing once.

use super::ota_kit::{image, keep, key, put_key_set, trust, upload};
use axum::http::Method;
use espalier_image::keys::KeySet;
use espalier_testkit::{Answer, Client, Engine, Person, TestApp, story};
use espalier_wire::ota::Offer;
use serde_json::{Value, json};

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} in {value}"))
}

/// A person with a key, two signed images, and a board that runs the first.
struct Bench {
    ada: Person,
    board: Client,
    id: String,
    old: Value,
    new: Value,
    file: Vec<u8>,
}

async fn bench(app: &TestApp) -> Bench {
    let ada = app.person("ada").await;
    let signer = key(1);
    trust(&ada.client, &signer).await;
    let old = keep(&ada.client, &image("weather", "1.0.0", b"old"), &signer).await;
    let file = image("weather", "1.1.0", &vec![7; 50_000]);
    let new = keep(&ada.client, &file, &signer).await;
    let (id, token) = ada.device("balcony").await;
    let board = app.anonymous().bearer(&token);
    Bench {
        ada,
        board,
        id,
        old,
        new,
        file,
    }
}

impl Bench {
    async fn ask(&self, more: &str) -> Answer {
        let path = format!("/device/update?running={}{more}", text(&self.old, "sha256"));
        self.board.get(&path).await
    }

    async fn force(&self) {
        let body = json!({ "firmware_id": self.new["id"] });
        let path = format!("/devices/{}/update", self.id);
        self.ada.client.post(&path, body).await.expect(202);
    }

    async fn offered(&self) -> Value {
        self.force().await;
        self.ask("").await.expect(200)
    }

    async fn state(&self) -> Value {
        let path = format!("/devices/{}/updates", self.id);
        let updates = self.ada.client.get(&path).await.expect(200);
        updates["data"][0].clone()
    }

    async fn report(&self, offer: &Value, stage: &str, more: Value) -> Answer {
        let mut body = json!({ "attempt": offer["attempt"], "stage": stage });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        let path = format!("/device/update/{}", text(offer, "update"));
        self.board.post(&path, body).await
    }
}

story!(a_board_is_told_only_what_is_new, |app| async move {
    let bench = bench(&app).await;
    let first = bench.ask("").await;
    assert_eq!((first.status, first.bytes.len()), (204, 0));
    let etag = first.headers["etag"].to_str().unwrap().to_owned();
    let knowing = Bench {
        board: bench.board.header("if-none-match", &etag),
        ..bench
    };
    assert_eq!(knowing.ask("").await.status, 304);
    knowing.force().await;
    let offered = knowing.ask("&slot=1310720&secure=0&trial=0").await;
    let body = offered.text();
    let offer = Offer::parse(&body).expect("an offer");
    assert_eq!(offer.sha256.to_string(), text(&knowing.new, "sha256"));
    assert_eq!(offer.size as usize, knowing.file.len());
    assert_eq!(
        (offer.attempt, offer.version.to_string()),
        (1, "1.1.0".to_owned())
    );
    let manifest = offer.manifest.expect("it is signed").to_owned_string();
    assert!(
        manifest.starts_with("espalier-firmware-manifest-v1\n"),
        "{manifest}"
    );
    // The board has the offer now.
    let again = knowing
        .board
        .header("if-none-match", offered.headers["etag"].to_str().unwrap());
    let path = format!("/device/update?running={}", text(&knowing.old, "sha256"));
    assert_eq!(again.get(&path).await.status, 304);
});

story!(an_image_is_fetched_whole_or_in_part, |app| async move {
    let bench = bench(&app).await;
    let offer = bench.offered().await;
    let path = format!("/device/update/{}/image", text(&offer, "update"));
    let whole = bench.board.get(&path).await;
    assert_eq!((whole.status, whole.bytes == bench.file), (200, true));
    let etag = format!("\"{}\"", text(&bench.new, "sha256"));
    assert_eq!(whole.headers["etag"], etag);
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    assert_eq!(
        whole.headers["content-length"],
        bench.file.len().to_string()
    );

    let part = |range: &str| bench.board.header("range", range);
    let middle = part("bytes=1000-1999").get(&path).await;
    assert_eq!(
        (middle.status, &middle.bytes[..]),
        (206, &bench.file[1000..2000])
    );
    let size = bench.file.len();
    assert_eq!(
        middle.headers["content-range"],
        format!("bytes 1000-1999/{size}")
    );
    assert_eq!(middle.headers["content-length"], "1000");
    let rest = part("bytes=40000-")
        .header("if-range", &etag)
        .get(&path)
        .await;
    assert_eq!((rest.status, &rest.bytes[..]), (206, &bench.file[40_000..]));
    let tail = part("bytes=-32").get(&path).await;
    assert_eq!(&tail.bytes[..], &bench.file[size - 32..]);
    let other = part("bytes=40000-")
        .header("if-range", "\"other\"")
        .get(&path)
        .await;
    assert_eq!((other.status, other.bytes.len()), (200, size));
    let beyond = part("bytes=9999999-").get(&path).await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.headers["content-range"], format!("bytes */{size}"));
    let has = bench.board.header("if-none-match", &etag).get(&path).await;
    assert_eq!(has.status, 304);
    let head = bench
        .board
        .send(axum::http::Method::HEAD, &path, None, "")
        .await;
    assert_eq!((head.status, head.bytes.len()), (200, 0));
    assert_eq!(head.headers["content-length"], size.to_string());
});

story!(an_update_ends_when_the_board_runs_it, |app| async move {
    let bench = bench(&app).await;
    let offer = bench.offered().await;
    let half = json!({ "bytes": 25_000 });
    bench.report(&offer, "downloading", half).await.expect(200);
    assert_eq!(bench.state().await["state"], "downloading");
    // A report that comes twice, and one that comes late.
    bench.report(&offer, "written", json!({})).await.expect(200);
    bench.report(&offer, "written", json!({})).await.expect(200);
    bench
        .report(&offer, "downloading", json!({ "bytes": 10 }))
        .await
        .expect(200);
    assert_eq!(bench.state().await["state"], "written");
    let new = text(&bench.new, "sha256");
    let on_trial = format!("/device/update?running={new}&trial=1");
    assert_eq!(bench.board.get(&on_trial).await.status, 204);
    assert_eq!(bench.state().await["state"], "trial");
    let fleet = bench.ada.client.get("/fleet").await.expect(200);
    assert_eq!(fleet["images"][0]["trial"], 1);
    let running = json!({ "running": new });
    let noted = bench.report(&offer, "confirmed", running).await.expect(200);
    assert_eq!(noted["state"], "confirmed");
    assert_eq!(
        bench
            .board
            .get(&format!("/device/update?running={new}"))
            .await
            .status,
        204
    );
    let path = format!("/device/update/{}/image", text(&offer, "update"));
    bench.board.get(&path).await.expect(404);
    let board = bench
        .ada
        .client
        .get(&format!("/devices/{}/firmware", bench.id))
        .await
        .expect(200);
    assert_eq!(board["image"]["id"], bench.new["id"]);
    assert_eq!(
        (&board["native"], &board["trial"]),
        (&json!(true), &json!(false))
    );
});

story!(
    an_image_by_its_other_names_is_the_same_image,
    |app| async move {
        let bench = bench(&app).await;
        bench.force().await;
        // ESP-IDF names the running image by the digest at its end.
        let end = text(&bench.new, "appended_sha256");
        assert_eq!(
            bench
                .board
                .get(&format!("/device/update?running={end}"))
                .await
                .status,
            204
        );
        assert_eq!(bench.state().await["state"], "confirmed");
    }
);

story!(only_the_board_itself_sees_its_update, |app| async move {
    let bench = bench(&app).await;
    let offer = bench.offered().await;
    let (_, token) = bench.ada.device("other").await;
    let other = app.anonymous().bearer(&token);
    let update = text(&offer, "update");
    for path in ["image", "patch"] {
        let path = format!("/device/update/{update}/{path}");
        other.get(&path).await.expect(404);
        bench.ada.client.get(&path).await.expect(403);
        app.anonymous().get(&path).await.expect(401);
    }
    let body = json!({ "attempt": 1, "stage": "confirmed" });
    let path = format!("/device/update/{update}");
    other.post(&path, body.clone()).await.expect(404);
    bench.ada.client.post(&path, body).await.expect(403);
    assert_eq!(bench.state().await["state"], "offered");
    bench
        .board
        .post(&path, json!({ "attempt": 1, "stage": "nonsense" }))
        .await
        .expect(422);
    bench
        .board
        .get("/device/update?running=nonsense")
        .await
        .expect(422);
});

story!(a_board_gets_the_keys_that_it_lacks, |app| async move {
    let bench = bench(&app).await;
    let set = put_key_set(&bench.ada.client, 2, &[&key(1), &key(2)], &key(1)).await;
    assert!(matches!(set.status, 200 | 201), "{}", set.text());
    bench.force().await;
    let older = bench.ask("&keys=1").await.expect(200);
    assert!(text(&older, "keys").starts_with("espalier-key-set-v1\nserial:2\n"));
    let same = bench.ask("&keys=2").await.expect(200);
    assert!(same["keys"].is_null());
});

story!(
    a_board_without_keys_is_told_those_of_its_owner,
    |app| async move {
        let bench = bench(&app).await;
        trust(&bench.ada.client, &key(2)).await;
        bench.force().await;
        // Nobody has put a set: the key that signed the image comes first.
        let first = bench.ask("&keys=0").await.expect(200);
        let document = text(&first, "keys");
        let set = KeySet::parse(document).expect("a key set");
        let keys = [key(1).public(), key(2).public()];
        assert_eq!((set.serial, &set.keys[..]), (0, &keys[..]));
        assert_eq!(set.signatures.keys().count(), 0);
        // Who holds a set, or says nothing of keys, is told nothing.
        assert!(bench.ask("&keys=1").await.expect(200)["keys"].is_null());
        assert!(bench.ask("").await.expect(200)["keys"].is_null());
        // What was put takes the place of it, and a retired key is in neither.
        let put = put_key_set(&bench.ada.client, 1, &[&key(2)], &key(2)).await;
        assert!(matches!(put.status, 200 | 201), "{}", put.text());
        let signed = bench.ask("&keys=0").await.expect(200);
        assert!(text(&signed, "keys").starts_with("espalier-key-set-v1\nserial:1\n"));
    }
);

async fn unsigned(engine: Engine) {
    let app = TestApp::with(engine, |config| config.allow_unsigned = true).await;
    let ada = app.person("ada").await;
    let kept = upload(&ada.client, &image("weather", "2", b"x"), &[])
        .await
        .expect(201);
    let (id, token) = ada.device("balcony").await;
    let body = json!({ "firmware_id": kept["id"] });
    ada.client
        .post(&format!("/devices/{id}/update"), body)
        .await
        .expect(202);
    let board = app.anonymous().bearer(&token);
    let running = "1".repeat(64);
    let ask = |more: &str| format!("/device/update?running={running}{more}");
    // A board that holds keys refuses it anyway.
    assert_eq!(board.get(&ask("&keys=1")).await.status, 204);
    let (other, token) = ada.device("bare").await;
    let body = json!({ "firmware_id": kept["id"] });
    ada.client
        .post(&format!("/devices/{other}/update"), body)
        .await
        .expect(202);
    let offer = app
        .anonymous()
        .bearer(&token)
        .get(&ask(""))
        .await
        .expect(200);
    assert!(offer["manifest"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsigned_images_reach_only_boards_that_take_them_sqlite() {
    unsigned(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsigned_images_reach_only_boards_that_take_them_postgres() {
    if espalier_testkit::postgres_available() {
        unsigned(Engine::Postgres).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_downloads_come_back_later() {
    let app = TestApp::with(Engine::Sqlite, |config| config.max_downloads = 0).await;
    let bench = bench(&app).await;
    let offer = bench.offered().await;
    let path = format!("/device/update/{}/image", text(&offer, "update"));
    let answer = bench.board.get(&path).await;
    answer.expect(503);
    let after: u32 = answer.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((10..=20).contains(&after), "{after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_holds_its_place_while_it_moves() {
    let app = TestApp::with(Engine::Sqlite, |config| config.max_downloads = 1).await;
    let bench = bench(&app).await;
    let offer = bench.offered().await;
    let path = format!("/device/update/{}/image", text(&offer, "update"));
    let slow = bench.board.open(Method::GET, &path, None, "").await;
    assert_eq!(slow.status(), 200);
    bench.board.get(&path).await.expect(503);
    // Whoever goes away makes room at once.
    drop(slow);
    assert_eq!(bench.board.get(&path).await.status, 200);
    // Whoever stays and takes nothing makes room after a minute.
    let stuck = bench.board.open(Method::GET, &path, None, "").await;
    app.clock.advance(59_000);
    bench.board.get(&path).await.expect(503);
    app.clock.advance(1_000);
    assert_eq!(bench.board.get(&path).await.status, 200);
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_reads_slowly_takes_a_place_too() {
    let app = TestApp::with(Engine::Sqlite, |config| config.max_downloads = 1).await;
    let bench = bench(&app).await;
    let path = format!("/firmware/{}/image", text(&bench.new, "id"));
    let ada = &bench.ada.client;
    let slow = ada.open(Method::GET, &path, None, "").await;
    assert_eq!(slow.status(), 200);
    assert!(slow.headers().contains_key("content-disposition"));
    ada.get(&path).await.expect(503);
    drop(slow);
    let part = ada.header("range", "bytes=10-19").get(&path).await;
    assert_eq!((part.status, &part.bytes[..]), (206, &bench.file[10..20]));
}
