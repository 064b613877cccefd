//! Screens: pictures as dots, one after the other; what boards read; what is drawn and when; and who may see it.

use crate::cms_devices::{claimed, lan, sketch};
use axum::http::Method;
use espalier_model::Role;
use espalier_testkit::{Answer, Client, Person, TestApp, story};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, RgbImage};
use serde_json::{Value, json};
use std::io::Cursor;

fn file(picture: DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).expect("an encoder");
    out.into_inner()
}

/// A PNG of one grey of the size of a screen.
fn grey(value: u8) -> Vec<u8> {
    let picture = GrayImage::from_pixel(800, 480, Luma([value]));
    file(DynamicImage::ImageLuma8(picture), ImageFormat::Png)
}

async fn post_file(client: &Client, path: &str, name: &str, bytes: &[u8]) -> Answer {
    let mut body = format!(
        "--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: image/png\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n--XX--\r\n");
    let kind = Some("multipart/form-data; boundary=XX");
    client.send(Method::POST, path, kind, body).await
}

async fn upload(person: &Person, name: &str, bytes: &[u8]) -> Value {
    post_file(&person.client, "/screens/images", name, bytes)
        .await
        .expect(200)
}

/// The pixels of a file as boards read it, after checking its frame.
fn pixels(answer: &Answer) -> &[u8] {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.bytes.len(), 48_062);
    assert_eq!(answer.headers["content-type"], "image/bmp");
    assert_eq!(&answer.bytes[..2], b"BM");
    assert_eq!(answer.bytes[10], 62);
    &answer.bytes[62..]
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().expect("a text")
}

/// A member with a device, and a client that is its board.
async fn board(app: &TestApp, name: &str) -> (Person, String, Client) {
    let person = app.person(name).await;
    let (device, token) = person.device("Kitchen").await;
    let client = app.anonymous().bearer(&token);
    (person, device, client)
}

async fn measure(client: &Client, device: &str, data: Value) {
    let path = format!("/devices/{device}/telemetry");
    client
        .post(&path, json!({ "data": data }))
        .await
        .expect(200);
}

story!(
    a_picture_becomes_the_bytes_that_boards_read,
    |app| async move {
        let (ada, device, board) = board(&app, "ada").await;
        let white = upload(&ada, "white.png", &grey(255)).await;
        assert_eq!(
            (&white["width"], &white["height"], &white["kind"]),
            (&json!(800), &json!(480), &json!("png"))
        );
        assert_eq!(white["title"], "white.png");
        let squares = GrayImage::from_fn(800, 480, |x, y| {
            Luma([if (x + y) % 2 == 0 { 0 } else { 255 }])
        });
        let squares = file(DynamicImage::ImageLuma8(squares), ImageFormat::Bmp);
        let squares = upload(&ada, "squares.bmp", &squares).await;
        let images = json!([white["id"], squares["id"]]);
        let path = format!("/devices/{device}/screen");
        ada.client
            .put(&path, json!({ "mode": "images", "images": images }))
            .await
            .expect(200);

        let answer = board.get(text(&white, "bmp_url")).await;
        assert!(pixels(&answer).iter().all(|byte| *byte == 0xFF));
        let answer = board.get(text(&squares, "bmp_url")).await;
        let rows = pixels(&answer).chunks(100);
        // The bottom row is row 479: it begins with a white pixel.
        for (nth, row) in rows.enumerate() {
            let byte = if nth % 2 == 0 { 0xAA } else { 0x55 };
            assert!(row.iter().all(|found| *found == byte), "row {nth}");
        }
        let preview = ada.client.get(text(&white, "preview_url")).await;
        assert_eq!(
            (preview.status, &preview.headers["content-type"]),
            (200, &"image/png".parse().unwrap())
        );
        let preview = image::load_from_memory(&preview.bytes).unwrap().to_luma8();
        assert_eq!(preview.dimensions(), (800, 480));
        assert!(preview.pixels().all(|pixel| pixel.0[0] == 255));
    }
);

story!(pictures_take_turns_by_time, |app| async move {
    let (ada, device, board) = board(&app, "ada").await;
    let mut ids = Vec::new();
    for value in [255, 0] {
        ids.push(upload(&ada, "one.png", &grey(value)).await["id"].clone());
    }
    let screen = json!({ "mode": "images", "images": ids, "rotation_seconds": 60 });
    let set = ada
        .client
        .put(&format!("/devices/{device}/screen"), screen)
        .await
        .expect(200);
    assert_eq!(set["images"], json!(ids));
    let file = format!("/dashboards/{device}_current.bmp");
    let list = format!("/api/devices/{device}/images-sequence");
    let mut seen = Vec::new();
    for _ in 0..4 {
        let shown = pixels(&board.get(&file).await)[0];
        let first = board.get(&list).await.expect(200)["assigned_images"][0]["id"].clone();
        let place = ids.iter().position(|id| *id == first).expect("one of them");
        assert_eq!(
            shown,
            [0xFF, 0x00][place],
            "the list begins with what is shown"
        );
        seen.push(shown);
        app.clock.advance(60_000);
    }
    assert_ne!(seen[0], seen[1]);
    assert_eq!((seen[0], seen[1]), (seen[2], seen[3]));
});

story!(
    old_boards_read_their_lists_whatever_is_assigned,
    |app| async move {
        let (ada, device, board) = board(&app, "ada").await;
        let content = format!("/api/devices/{device}/content");
        let empty = board.get(&content).await.expect(200);
        assert_eq!(empty["images"], json!([]));
        assert_eq!(empty["status"], "success");
        assert_eq!(
            empty["dashboard_url"],
            format!("/dashboards/{device}_current.bmp")
        );
        assert_eq!(
            empty["fallback_url"],
            format!("/dashboards/{device}_fallback.bmp")
        );

        // As the old page does it: upload, then assign.
        let mut names = Vec::new();
        for value in 0..12u8 {
            let picture = RgbImage::from_pixel(4, 4, image::Rgb([value * 20, 7, 9]));
            let bytes = file(DynamicImage::ImageRgb8(picture), ImageFormat::Png);
            let done = post_file(&ada.client, "/upload", "one.png", &bytes)
                .await
                .expect(200);
            assert_eq!(done["success"], true);
            names.push(text(&done, "filename").to_owned());
        }
        let form: Vec<String> = names
            .iter()
            .map(|name| format!("assign_{device}={name}"))
            .collect();
        ada.client
            .form("/assign-device-images", &form.join("&"))
            .await
            .expect(200);
        let preferences = json!({ "preferences": {
        "jokes": ["dad_jokes", "no_such_jokes"], "riddles": ["logic_riddles"], "news": ["tech_news"] } });
        let path = format!("/api/devices/{device}/preferences");
        let kept = board.put(&path, preferences).await.expect(200);
        assert_eq!(kept["preferences"]["jokes"], json!(["dad_jokes"]));
        assert_eq!(board.get(&path).await.expect(200), kept);

        let answer = board.get(&content).await.expect(200);
        assert_eq!(answer["total_images"], 12);
        let images = answer["images"].as_array().unwrap();
        assert!(!images.is_empty() && images.len() < 12);
        assert!(text(&images[0], "upload_date").starts_with("2026-"));
        assert!(
            board_cost(&answer) <= 2048,
            "{} bytes on a board",
            board_cost(&answer)
        );
        assert!(answer["content"]["jokes"]["dad_jokes"][0]["content"].is_string());
        assert!(answer["content"]["news"].is_null(), "no news is invented");

        let sequence = format!("/api/devices/{device}/images-sequence");
        let mut found = Vec::new();
        let mut offset = Some(0);
        while let Some(from) = offset {
            let page = board
                .get(&format!("{sequence}?offset={from}"))
                .await
                .expect(200);
            assert!(
                board_cost(&page) <= 2048,
                "{} bytes on a board",
                board_cost(&page)
            );
            for image in page["assigned_images"].as_array().unwrap() {
                assert_eq!(image["file_size"], 48_062);
                pixels(&board.get(text(image, "bmp_url")).await);
                found.push(text(image, "filename").to_owned());
            }
            offset = page["next_offset"].as_u64();
        }
        assert_eq!(found, names, "page after page all of them, in their order");
        assert_eq!(
            board.get(&sequence).await.expect(200)["content_categories"],
            json!(["jokes", "riddles"])
        );
        let page = ada
            .client
            .get(&format!("/api/devices/{device}/dashboard"))
            .await;
        assert_eq!(
            (page.status, page.headers["location"].to_str().unwrap()),
            (302, &*format!("/ui/devices/{device}"))
        );
    }
);

/// What a document takes on a board: 16 bytes per value, each text with its end, each name once.
fn board_cost(value: &Value) -> usize {
    fn walk<'a>(value: &'a Value, names: &mut std::collections::HashSet<&'a str>) -> usize {
        match value {
            Value::String(text) => text.len() + 1,
            Value::Array(list) => list.iter().map(|one| 16 + walk(one, names)).sum(),
            Value::Object(map) => map
                .iter()
                .map(|(name, one)| {
                    let new = if names.insert(name) {
                        name.len() + 1
                    } else {
                        0
                    };
                    16 + new + walk(one, names)
                })
                .sum(),
            _ => 0,
        }
    }
    walk(value, &mut std::collections::HashSet::new())
}

story!(
    a_screen_is_drawn_only_when_something_changed,
    |app| async move {
        let (ada, device, board) = board(&app, "ada").await;
        measure(
            &board,
            &device,
            json!({ "temperature": 21.5, "humidity": 40 }),
        )
        .await;
        let path = format!("/dashboards/{device}_current.bmp");
        let before = app.app.screens.renders();
        let first = board.get(&path).await;
        let etag = first.headers["etag"].to_str().unwrap().to_owned();
        let second = board.get(&path).await;
        assert_eq!(pixels(&first), pixels(&second));
        assert_eq!(
            app.app.screens.renders(),
            before + 1,
            "two polls, one picture"
        );
        let knowing = board.header("if-none-match", &etag);
        let known = knowing.get(&path).await;
        assert_eq!((known.status, known.bytes.len()), (304, 0));
        assert_eq!(known.headers["etag"].to_str().unwrap(), etag);
        app.clock.advance(30_000);
        assert_eq!(
            knowing.get(&path).await.status,
            304,
            "half a minute changes nothing"
        );
        assert_eq!(app.app.screens.renders(), before + 1);

        app.clock.advance(1);
        measure(&board, &device, json!({ "temperature": 22.5 })).await;
        let changed = knowing.get(&path).await;
        assert_ne!(pixels(&changed), pixels(&first));
        assert_eq!(app.app.screens.renders(), before + 2);
        // The web app shows the same pixels.
        let preview = ada
            .client
            .get(&format!("/screens/preview?device={device}"))
            .await;
        let preview = image::load_from_memory(&preview.bytes).unwrap().to_luma8();
        let boards = image::load_from_memory(&changed.bytes).unwrap().to_luma8();
        assert_eq!(preview, boards);
        assert_eq!(app.app.screens.renders(), before + 2);
    }
);

story!(a_dashboard_shows_what_was_chosen, |app| async move {
    let (ada, device, board) = board(&app, "ada").await;
    let path = format!("/dashboards/{device}_current.bmp");
    let screen = format!("/devices/{device}/screen");
    let waiting = board.get(&path).await;
    let fallback = board
        .get(&format!("/dashboards/{device}_fallback.bmp"))
        .await;
    let ink = |answer: &Answer| {
        pixels(answer)
            .iter()
            .map(|byte| byte.count_zeros())
            .sum::<u32>()
    };
    assert!(
        ink(&waiting) > 1_000 && ink(&fallback) > 1_000,
        "both say something"
    );
    for value in 0..10 {
        measure(
            &board,
            &device,
            json!({ "temperature": 20 + value % 5, "door": value % 2 == 0 }),
        )
        .await;
        app.clock.advance(60_000);
    }
    let automatic = board.get(&path).await;
    assert_ne!(pixels(&automatic), pixels(&waiting));
    let image = upload(&ada, "one.png", &grey(128)).await["id"].clone();
    let changes = [
        json!({ "layout": { "tiles": [{ "key": "temperature", "chart": false }] } }),
        json!({ "layout": { "tiles": [{ "key": "temperature", "label": "Oven", "unit": "K", "decimals": 2 }] } }),
        json!({ "layout": { "tiles": [{ "key": "temperature" }], "text": "Buy milk" } }),
        json!({ "layout": { "tiles": [{ "key": "temperature" }], "text": "Buy milk", "image": image } }),
        json!({ "clock": "time", "timezone": "Asia/Kolkata" }),
        json!({ "layout": { "title": "Αυλή" } }),
    ];
    let mut last = pixels(&automatic).to_vec();
    for change in changes {
        let set = ada.client.put(&screen, change.clone()).await.expect(200);
        for (key, value) in change
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| *key != "layout")
        {
            assert_eq!(&set[key], value);
        }
        let now = board.get(&path).await;
        assert_ne!(pixels(&now), last, "{change}");
        last = pixels(&now).to_vec();
    }
    assert_eq!(ada.client.get(&screen).await.expect(200)["version"], 6);
    for (wrong, field) in [
        (json!({ "rotation_seconds": 1 }), "rotation_seconds"),
        (json!({ "timezone": "Nowhere" }), "timezone"),
        (json!({ "mode": "video" }), "mode"),
        (
            json!({ "layout": { "tiles": vec![json!({ "key": "t" }); 9] } }),
            "tiles",
        ),
    ] {
        let answer = ada.client.put(&screen, wrong).await.expect(422);
        assert!(
            answer["message"].as_str().unwrap().contains(field),
            "{answer}"
        );
    }
    let missing = json!({ "images": ["000000000000000000000000"] });
    ada.client.put(&screen, missing).await.expect(404);
    assert_eq!(
        ada.client.get(&screen).await.expect(200)["version"],
        6,
        "nothing of it was kept"
    );
});

story!(
    what_people_write_is_shown_until_it_expires,
    |app| async move {
        let (ada, device, board) = board(&app, "ada").await;
        let text = json!({ "device_id": device, "title": "Note", "text": "Back at six", "priority": 5,
        "expires_at": "2026-03-01T12:10:00Z" });
        let note = ada.client.post("/screens/content", text).await.expect(200);
        let all = json!({ "text": "For every screen", "category": "jokes", "subcategory": "clean_jokes" });
        ada.client.post("/screens/content", all).await.expect(200);
        let path = format!("/api/devices/{device}/content");
        let content = board.get(&path).await.expect(200)["content"].clone();
        assert_eq!(
            content["custom"]["note"][0],
            json!({ "title": "Note", "content": "Back at six", "priority": 5 })
        );
        assert_eq!(
            content["jokes"]["clean_jokes"][0]["content"],
            "For every screen"
        );

        let screen = format!("/devices/{device}/screen");
        ada.client
            .put(
                &screen,
                json!({ "mode": "content", "rotation_seconds": 60 }),
            )
            .await
            .expect(200);
        let file = format!("/dashboards/{device}_current.bmp");
        let first = board.get(&file).await;
        app.clock.advance(60_000);
        assert_ne!(
            pixels(&board.get(&file).await),
            pixels(&first),
            "the other text has its turn"
        );
        app.clock.advance(600_000);
        assert!(board.get(&path).await.expect(200)["content"]["custom"].is_null());

        let id = note["id"].as_str().unwrap();
        let change = json!({ "text": "Back at seven", "device_id": device });
        let changed = ada
            .client
            .put(&format!("/screens/content/{id}"), change)
            .await
            .expect(200);
        assert_eq!(
            (&changed["text"], &changed["expires_at"]),
            (&json!("Back at seven"), &Value::Null)
        );
        assert_eq!(
            ada.client
                .get("/screens/content")
                .await
                .expect(200)
                .as_array()
                .unwrap()
                .len(),
            2
        );
        ada.client
            .delete(&format!("/screens/content/{id}"))
            .await
            .expect(200);
        ada.client
            .delete(&format!("/screens/content/{id}"))
            .await
            .expect(404);

        // Presets come when they are preferred, and go when their source is switched off.
        let wish = json!({ "preferences": { "jokes": ["clean_jokes"] } });
        board
            .put(&format!("/api/devices/{device}/preferences"), wish)
            .await
            .expect(200);
        let count = async || {
            board.get(&path).await.expect(200)["content"]["jokes"]["clean_jokes"]
                .as_array()
                .unwrap()
                .len()
        };
        assert_eq!(count().await, 3);
        let form = "category=jokes&subcategory=clean_jokes&source_type=none";
        ada.client
            .form("/toggle-content-source", form)
            .await
            .expect(200);
        assert_eq!(count().await, 1);
        for refused in [
            "category=jokes&subcategory=clean_jokes&source_type=api",
            "category=news&subcategory=tech_news&source_type=preset",
            "category=jokes&subcategory=nothing&source_type=preset",
        ] {
            ada.client
                .form("/toggle-content-source", refused)
                .await
                .expect(422);
        }
        let sources = ada.client.get("/screens/sources").await.expect(200);
        let of = |name: &str| {
            sources
                .as_array()
                .unwrap()
                .iter()
                .find(|source| source["subcategory"] == name)
                .cloned()
                .unwrap()
        };
        assert_eq!(of("clean_jokes")["source_type"], "none");
        assert_eq!(of("dad_jokes")["texts"], 2);
        assert!(of("tech_news")["note"].is_string());
    }
);

story!(
    hostile_files_are_refused_and_nothing_is_served_as_it_came,
    |app| async move {
        let ada = app.person("ada").await;
        let refused = async |name: &str, bytes: &[u8]| {
            for path in ["/screens/images", "/upload"] {
                let answer = post_file(&ada.client, path, name, bytes).await;
                assert_eq!(answer.status, 400, "{name}: {}", answer.text());
                assert!(
                    answer.json()["message"]
                        .as_str()
                        .is_some_and(|text| text.ends_with('.'))
                );
            }
        };
        refused("page.png", b"<html><script>alert(1)</script></html>").await;
        refused("page.html", b"<!doctype html>").await;
        refused(
            "drawing.svg",
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        )
        .await;
        refused("empty.png", b"").await;
        let whole = grey(7);
        refused("cut.png", &whole[..whole.len() / 2]).await;
        refused("huge.gif", b"GIF89a\xFF\xFF\xFF\xFF\x00\x00\x00,\x00\x00\x00\x00\xFF\xFF\xFF\xFF\x00\x02\x02D\x01\x00;").await;
        let mut bomb = grey(7);
        // A BMP that says it has 60000×60000 pixels.
        bomb.clear();
        bomb.extend_from_slice(
            b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x60\xEA\0\0\x60\xEA\0\0\x01\0\x18\0\0\0\0\0",
        );
        bomb.resize(58, 0);
        refused("bomb.bmp", &bomb).await;
        let large = vec![0; 11 << 20];
        let answer = post_file(&ada.client, "/screens/images", "large.png", &large).await;
        assert_eq!(answer.status, 413, "{}", answer.text());
        ada.client
            .post("/screens/images", json!({}))
            .await
            .expect(400);
        assert_eq!(
            ada.client.get("/screens/images").await.expect(200),
            json!([])
        );

        // A picture with a page behind its end is a picture: what is served are its dots.
        let mut mixed = grey(255);
        mixed.extend_from_slice(b"<script>alert(1)</script>");
        let image = upload(&ada, "../../static/evil.html", &mixed).await;
        assert_eq!(image["title"], "evil.html");
        let name = text(&image, "filename");
        assert!(!name.contains("evil"));
        for path in [
            text(&image, "bmp_url").to_owned(),
            text(&image, "preview_url").to_owned(),
        ] {
            let served = ada.client.get(&path).await;
            assert!(!served.text().contains("script"));
            assert_eq!(served.headers["x-content-type-options"], "nosniff");
        }
        ada.client
            .get(&format!("/uploads/{name}"))
            .await
            .expect(404);
    }
);

story!(
    two_people_never_see_each_others_pictures,
    |app| async move {
        let (ada, device, adas_board) = board(&app, "ada").await;
        let (bob, bobs_device, bobs_board) = board(&app, "bob").await;
        let image = upload(&ada, "hers.png", &grey(255)).await;
        let (id, bmp) = (text(&image, "id"), text(&image, "bmp_url"));
        let preview = format!("/screens/images/{id}/preview.png");
        assert_eq!(
            bob.client.get("/screens/images").await.expect(200),
            json!([])
        );
        bob.client.get(&preview).await.expect(404);
        bob.client
            .delete(&format!("/screens/images/{id}"))
            .await
            .expect(404);
        bob.client.get(bmp).await.expect(404);
        bobs_board.get(bmp).await.expect(404);
        app.anonymous().get(bmp).await.expect(401);
        let steal = json!({ "images": [id] });
        bob.client
            .put(&format!("/devices/{bobs_device}/screen"), steal.clone())
            .await
            .expect(404);
        let form = format!("assign_{bobs_device}={}", text(&image, "filename"));
        bob.client
            .form("/assign-device-images", &form)
            .await
            .expect(404);
        for path in [
            format!("/dashboards/{device}_current.bmp"),
            format!("/screens/preview?device={device}"),
            format!("/api/devices/{device}/content"),
            format!("/devices/{device}/screen"),
        ] {
            bob.client.get(&path).await.expect(404);
        }
        // Her board sees the picture from when its screen shows it, and no longer than that.
        adas_board.get(bmp).await.expect(404);
        ada.client
            .put(&format!("/devices/{device}/screen"), steal)
            .await
            .expect(200);
        assert_eq!(adas_board.get(bmp).await.status, 200);
        // The same file of somebody else is another picture over the same bytes.
        let his = upload(&bob, "his.png", &grey(255)).await;
        assert_ne!(his["id"], image["id"]);
        let again = upload(&ada, "again.png", &grey(255)).await;
        assert_eq!(again["id"], image["id"]);
        ada.client
            .delete(&format!("/screens/images/{id}"))
            .await
            .expect(200);
        adas_board.get(bmp).await.expect(404);
        assert_eq!(bob.client.get(text(&his, "bmp_url")).await.status, 200);
        let screen = ada
            .client
            .get(&format!("/devices/{device}/screen"))
            .await
            .expect(200);
        assert_eq!(screen["images"], json!([]));
    }
);

story!(
    an_old_board_without_a_token_sees_its_own_screen_once_it_is_claimed,
    |app| async move {
        let app = lan(&app).await;
        let root = app.person_with("root", Role::Admin).await;
        let (board, stranger) = (sketch(&app, "192.168.1.20"), sketch(&app, "192.168.1.30"));
        let id = "ESP32_OTA_BASE_001";
        let (content, file) = (
            format!("/api/devices/{id}/content"),
            format!("/dashboards/{id}_current.bmp"),
        );
        // Before: it is answered as ever, told nothing, and shows that it waits.
        let answer = board.get(&content).await.expect(200);
        assert_eq!(
            (&answer["images"], &answer["content"]),
            (&json!([]), &json!({}))
        );
        let waits = board.get(&file).await;
        let waits = pixels(&waits).to_vec();
        let sequence = format!("/api/devices/{id}/images-sequence");
        assert_eq!(board.get(&sequence).await.expect(200)["success"], true);

        let device = claimed(&root, &board, id).await;
        let image = upload(&root, "one.png", &grey(255)).await;
        let screen = json!({ "mode": "images", "images": [image["id"]] });
        let path = format!("/devices/{}/screen", text(&device, "id"));
        root.client.put(&path, screen).await.expect(200);
        let answer = board.get(&content).await.expect(200);
        let bmp = text(&answer["images"][0], "bmp_url").to_owned();
        assert!(
            pixels(&board.get(&bmp).await)
                .iter()
                .all(|byte| *byte == 0xFF)
        );
        assert!(
            pixels(&board.get(&file).await)
                .iter()
                .all(|byte| *byte == 0xFF)
        );
        // Another station that claims to be the same board is told nothing.
        assert_eq!(
            stranger.get(&content).await.expect(200)["images"],
            json!([])
        );
        assert_eq!(pixels(&stranger.get(&file).await), waits);
        // Who only tries a link to a picture does not wait to be claimed.
        sketch(&app, "192.168.1.31").get(&bmp).await.expect(401);
        let waiting = root.client.get("/quarantine").await.expect(200).to_string();
        assert!(
            waiting.contains("192.168.1.30") && !waiting.contains("192.168.1.31"),
            "{waiting}"
        );
    }
);
