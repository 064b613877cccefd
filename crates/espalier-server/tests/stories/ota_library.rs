//! Stories of the library: what is kept and what is refused, who signed it, releases, and what is left when something goes.

use super::ota_kit::{
    Part, form, image, image_for, keep, key, put_key_set, signature, trust, upload,
};
use espalier_image::chip::Chip;
use espalier_model::Role;
use espalier_server::ota::{blobs, library};
use espalier_testkit::{Client, Engine, PASSWORD, TestApp, postgres_available, story};
use md5::Digest;
use serde_json::{Value, json};

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

fn sha256(bytes: &[u8]) -> String {
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn one(client: &Client, id: &str) -> Value {
    client.get(&format!("/firmware/{id}")).await.expect(200)
}

#[track_caller]
fn refused(answer: &espalier_testkit::Answer, status: u16, code: &str, words: &str) {
    let body = answer.expect(status);
    assert_eq!(body["code"], code, "{body}");
    let message = body["message"].as_str().unwrap();
    assert!(message.contains(words), "{message}");
}

story!(a_signed_image_is_kept_as_it_is, |app| async move {
    let mut app = app;
    let ada = app.person("ada").await.client;
    let key = key(1);
    let key_id = trust(&ada, &key).await;
    let file = image("greenhouse", "1.2.0", b"something");
    let signature = signature(&file, &key);
    let beside = [
        ("signature", signature.as_str()),
        ("description", "the first"),
        ("device_type", "ESP32_OTA_Base"),
    ];
    let kept = upload(&ada, &file, &beside).await.expect(201);
    assert_eq!(kept["sha256"], sha256(&file));
    assert_eq!(kept["size"], file.len());
    assert_eq!(
        (
            &kept["chip"],
            &kept["project"],
            &kept["version"],
            &kept["secure_version"]
        ),
        (
            &json!("esp32c3"),
            &json!("greenhouse"),
            &json!("1.2.0"),
            &json!(3)
        )
    );
    assert_eq!(kept["facts"]["min_chip_revision"], 2);
    assert_eq!(kept["facts"]["idf_version"], "v5.5");
    assert!(kept["appended_sha256"].is_string());
    assert_eq!(kept["key"], "ESP32_OTA_Base_20260301.120000");
    assert_eq!(kept["filename"], "app.bin");
    assert_eq!(
        kept["signature"],
        json!({ "state": "trusted", "key": key_id, "key_name": "workshop" })
    );
    assert_eq!(
        (&kept["installable"], &kept["why_not"]),
        (&json!(true), &Value::Null)
    );
    // The same file again is the same image.
    let again = upload(&ada, &file, &[]).await.expect(200);
    assert_eq!(again["id"], kept["id"]);
    app.restart().await;
    let ada = app.anonymous().bearer(&app.token_of("ada").await);
    let mut after = one(&ada, &id(&kept)).await;
    after["downloads"] = kept["downloads"].clone();
    assert_eq!(after, kept);
    let answer = ada.get(&format!("/firmware/{}/image", id(&kept))).await;
    assert_eq!((answer.status, answer.bytes == file), (200, true));
    assert_eq!(answer.headers["content-length"], file.len().to_string());
});

story!(
    what_nobody_trusted_has_signed_is_refused,
    |app| async move {
        let ada = app.person("ada").await.client;
        let (mine, other) = (key(1), key(2));
        trust(&ada, &mine).await;
        let file = image("p", "1", b"");
        let answer = upload(&ada, &file, &[]).await;
        refused(&answer, 422, "unsigned", "espalier firmware sign");
        let by_other = signature(&file, &other);
        let answer = upload(&ada, &file, &[("signature", &by_other)]).await;
        refused(&answer, 422, "bad_signature", "not trusted");
        // Somebody put their own words above a good signature.
        let good = signature(&file, &mine);
        let forged = good.replace("version:1", "version:9");
        let answer = upload(&ada, &file, &[("signature", &forged)]).await;
        refused(&answer, 422, "bad_signature", "version");
        let forged = good.replace("signature:", "signature: ");
        refused(
            &upload(&ada, &file, &[("signature", &forged)]).await,
            422,
            "bad_signature",
            "",
        );
        // A signature of another image.
        let another = signature(&image("p", "2", b""), &mine);
        let answer = upload(&ada, &file, &[("signature", &another)]).await;
        refused(&answer, 422, "bad_signature", "SHA-256");
        let long = "x".repeat(1025);
        let answer = upload(&ada, &file, &[("signature", &long)]).await;
        refused(&answer, 422, "invalid", "1024");
        assert_eq!(ada.get("/firmware").await.expect(200), json!([]));
        // Nothing of all that was kept, not even as a file.
        let folder = std::fs::read_dir(app.data().join("blobs")).unwrap();
        assert_eq!(folder.count(), 1, "only the folder of what is half written");
        upload(&ada, &file, &[("signature", &good)])
            .await
            .expect(201);
        // Another account trusts nobody yet.
        let bob = app.person("bob").await.client;
        let answer = upload(&bob, &file, &[("signature", &good)]).await;
        refused(&answer, 422, "bad_signature", "not trusted");
    }
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_may_allow_unsigned_images() {
    let app = TestApp::with(Engine::Sqlite, |config| config.allow_unsigned = true).await;
    let ada = app.person("ada").await.client;
    let file = image("p", "1", b"");
    let kept = upload(&ada, &file, &[]).await.expect(201);
    assert_eq!(kept["signature"]["state"], "unsigned");
    assert_eq!(kept["installable"], true);
    // A signature that does not count is refused all the same.
    let by_nobody = signature(&file, &key(7));
    let answer = upload(&ada, &file, &[("signature", &by_nobody)]).await;
    refused(&answer, 422, "bad_signature", "not trusted");
    // A key that is trusted later makes it a signed one.
    trust(&ada, &key(7)).await;
    let signed = upload(&ada, &file, &[("signature", &by_nobody)])
        .await
        .expect(200);
    assert_eq!(signed["signature"]["state"], "trusted");
}

story!(
    what_is_no_image_is_refused_with_what_it_is,
    |app| async move {
        let ada = app.person("ada").await.client;
        let file = image("p", "1", &[7; 100]);
        let damaged = |at: usize| {
            let mut file = file.clone();
            file[at] ^= 1;
            file
        };
        let mut longer = file.clone();
        longer.extend_from_slice(b"and more");
        let cases: [(&[u8], &str); 8] = [
            (b"", "empty"),
            (b"any bytes named .bin", "app's .bin file"),
            (b"<!DOCTYPE html><html>", "web page"),
            (b"PK\x03\x04 and so on", "ZIP"),
            (&file[..file.len() - 20], "cut short"),
            (&damaged(330), "damaged"),
            (&damaged(12), "chip"),
            (&longer, "no part of it"),
        ];
        for (bytes, words) in cases {
            refused(&upload(&ada, bytes, &[]).await, 422, "not_an_image", words);
            let looked = form(
                &ada,
                "/firmware/inspect",
                &[Part::File("file", "x.bin", bytes)],
            )
            .await;
            let looked = looked.expect(200);
            assert_eq!(
                (&looked["ok"], &looked["acceptable"]),
                (&json!(false), &json!(false))
            );
            assert!(
                looked["problem"].as_str().unwrap().contains(words),
                "{looked}"
            );
        }
        let answer = form(&ada, "/firmware", &[Part::Text("description", "no file")]).await;
        refused(&answer, 400, "no_file", "firmware");
        let answer = ada.post("/firmware", json!({})).await;
        refused(&answer, 400, "not_a_form", "multipart");
        let kind = Some("multipart/form-data; boundary=x");
        let broken = "--x\r\nContent-Disposition: form-data; name=\"firmware\"\r\n\r\nhalf";
        let answer = ada
            .send("POST".parse().unwrap(), "/firmware", kind, broken)
            .await;
        refused(&answer, 400, "unreadable_body", "again");
    }
);

story!(sixteen_megabytes_are_enough, |app| async move {
    let ada = app.person("ada").await.client;
    let huge = vec![0xE9; (16 << 20) + 1];
    let answer = upload(&ada, &huge, &[]).await;
    refused(&answer, 413, "too_large", "16 MB");
    let answer = upload(&ada, &vec![0xE9; 17 << 20], &[]).await;
    refused(&answer, 413, "too_large", "16 MB");
    // Whoever says so before is not even listened to.
    let liar = ada.header("content-length", "99999999");
    let answer = liar
        .send("POST".parse().unwrap(), "/firmware", None, "")
        .await;
    refused(&answer, 413, "too_large", "16 MB");
    // The largest image that fits is read to its end.
    let answer = upload(&ada, &huge[1..], &[]).await;
    refused(&answer, 422, "not_an_image", "");
});

story!(a_look_keeps_nothing, |app| async move {
    let ada = app.person("ada").await.client;
    let key = key(1);
    let file = image("p", "1", b"");
    let sig = signature(&file, &key);
    let parts = [
        Part::Text("signature", &sig),
        Part::File("file", "a.bin", &file),
    ];
    let looked = form(&ada, "/firmware/inspect", &parts).await.expect(200);
    assert_eq!(
        (&looked["ok"], &looked["acceptable"]),
        (&json!(true), &json!(false))
    );
    assert!(
        looked["signature_problem"]
            .as_str()
            .unwrap()
            .contains("not trusted")
    );
    trust(&ada, &key).await;
    let looked = form(&ada, "/firmware/inspect", &parts).await.expect(200);
    assert_eq!(looked["acceptable"], true);
    assert_eq!(looked["image"]["signature"]["state"], "trusted");
    assert_eq!(looked["image"]["sha256"], sha256(&file));
    assert_eq!(looked["image"]["known"], Value::Null);
    assert_eq!(ada.get("/firmware").await.expect(200), json!([]));
    let kept = keep(&ada, &file, &key).await;
    let looked = form(&ada, "/firmware/inspect", &parts[1..])
        .await
        .expect(200);
    assert_eq!(
        (&looked["image"]["known"], &looked["acceptable"]),
        (&kept["id"], &json!(true))
    );
});

story!(one_finds_ones_own_images_and_no_others, |app| async move {
    let (ada, bob) = (
        app.person("ada").await.client,
        app.person("bob").await.client,
    );
    let admin = app.person_with("root", Role::Admin).await.client;
    let key = key(1);
    trust(&ada, &key).await;
    trust(&bob, &key).await;
    let first = keep(&ada, &image("lamp", "1.0", b""), &key).await;
    app.clock.advance(1000);
    let second = keep(
        &ada,
        &image_for(Chip::Esp32S3, "Greenhouse", "1.0", b""),
        &key,
    )
    .await;
    let his = keep(&bob, &image("lamp", "1.0", b""), &key).await;
    assert_eq!(his["sha256"], first["sha256"]);
    assert_ne!((&his["id"], &his["key"]), (&first["id"], &first["key"]));
    let ids = |list: Value| -> Vec<Value> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].clone())
            .collect()
    };
    let list = async |client: &Client, query: &str| {
        ids(client.get(&format!("/firmware{query}")).await.expect(200))
    };
    let (first_id, second_id) = (first["id"].clone(), second["id"].clone());
    assert_eq!(list(&ada, "").await, [second_id.clone(), first_id.clone()]);
    assert_eq!(list(&ada, "?chip=esp32s3").await, [second_id.clone()]);
    assert_eq!(list(&ada, "?project=lamp").await, [first_id.clone()]);
    assert_eq!(list(&ada, "?q=GREEN").await, [second_id.clone()]);
    let digest = first["sha256"].as_str().unwrap();
    assert_eq!(
        list(&ada, &format!("?q={}", &digest[..10])).await,
        [first_id.clone()]
    );
    let page = ada.get("/firmware?limit=1&offset=1").await;
    assert_eq!(page.headers["x-total-count"], "2");
    assert_eq!(ids(page.json()), [first_id.clone()]);
    ada.get("/firmware?limit=0").await.expect(422);
    assert_eq!(list(&admin, "").await.len(), 3);
    bob.get(&format!("/firmware/{}", id(&first)))
        .await
        .expect(404);
    bob.get(&format!("/firmware/{}/image", id(&first)))
        .await
        .expect(404);
    bob.delete(&format!("/firmware/{}", id(&first)))
        .await
        .expect(404);
    admin
        .get(&format!("/firmware/{}", id(&first)))
        .await
        .expect(200);
    ada.get("/firmware/nonsense").await.expect(404);
    // The file is there once, and stays as long as one of them needs it.
    bob.delete(&format!("/firmware/{}", id(&his)))
        .await
        .expect(200);
    let file = ada.get(&format!("/firmware/{}/image", id(&first))).await;
    assert_eq!(sha256(&file.bytes), digest);
    ada.delete(&format!("/firmware/{}", id(&first)))
        .await
        .expect(200);
    let gone = app.data().join("blobs").join(&digest[..2]).join(digest);
    assert!(!gone.exists());
});

story!(an_image_is_described_and_typed, |app| async move {
    let ada = app.person("ada").await.client;
    let key = key(1);
    trust(&ada, &key).await;
    let kept = keep(&ada, &image("p", "1", b""), &key).await;
    let path = format!("/firmware/{}", id(&kept));
    let changed = ada
        .patch(
            &path,
            json!({ "description": "new", "device_type": "Lamp_2" }),
        )
        .await
        .expect(200);
    assert_eq!(
        (&changed["description"], &changed["device_type"]),
        (&json!("new"), &json!("Lamp_2"))
    );
    let changed = ada
        .patch(&path, json!({ "device_type": null }))
        .await
        .expect(200);
    assert_eq!(
        (&changed["description"], &changed["device_type"]),
        (&json!("new"), &Value::Null)
    );
    for wrong in [
        "",
        "../../../static/evil",
        "a b",
        "..",
        &"x".repeat(65),
        "a/b",
        "a\\b",
        "ä",
    ] {
        let body = json!({ "device_type": wrong });
        ada.patch(&path, body).await.expect(422);
        let file = image("p", "2", wrong.as_bytes());
        let beside = [
            ("signature", &*signature(&file, &key)),
            ("device_type", wrong),
        ];
        let status = upload(&ada, &file, &beside).await.status;
        assert_eq!(status, if wrong.is_empty() { 201 } else { 422 }, "{wrong}");
    }
    ada.patch(&path, json!({ "description": "x".repeat(2001) }))
        .await
        .expect(422);
});

story!(signatures_are_added_and_keys_retired, |app| async move {
    let mut app = app;
    let ada = app.person("ada").await.client;
    let (old, new) = (key(1), key(2));
    let old_id = trust(&ada, &old).await;
    let file = image("p", "1", b"");
    let kept = keep(&ada, &file, &old).await;
    let path = format!("/firmware/{}", id(&kept));
    let sign = async |signature: &str| {
        let body = json!({ "signature": signature });
        ada.put(&format!("{path}/signature"), body).await
    };
    refused(
        &sign(&signature(&file, &new)).await,
        422,
        "bad_signature",
        "not trusted",
    );
    let new_id = trust(&ada, &new).await;
    let retired = ada
        .delete(&format!("/firmware/keys/{old_id}"))
        .await
        .expect(200);
    assert!(retired["retired_at"].is_string());
    let now = one(&ada, &id(&kept)).await;
    assert_eq!(
        (&now["signature"]["state"], &now["installable"]),
        (&json!("retired"), &json!(false))
    );
    assert!(now["why_not"].as_str().unwrap().contains("retired"));
    // Nothing new by it, and it does not come back.
    let another = image("p", "2", b"");
    let by_old = signature(&another, &old);
    refused(
        &upload(&ada, &another, &[("signature", &by_old)]).await,
        422,
        "bad_signature",
        "retired",
    );
    let body = json!({ "name": "again", "public_key": old.public().to_file() });
    refused(
        &ada.post("/firmware/keys", body).await,
        409,
        "retired_key",
        "new one",
    );
    // A current key signs beside it.
    let signed = sign(&signature(&file, &new)).await.expect(200);
    assert_eq!(
        signed["signature"],
        json!({ "state": "trusted", "key": new_id, "key_name": "workshop" })
    );
    let manifest = signed["manifest"].as_str().unwrap();
    assert!(
        manifest.contains(&old_id) && manifest.contains(&new_id),
        "{manifest}"
    );
    sign(&signature(&file, &new)).await.expect(200);
    sign("nonsense").await.expect(422);
    app.restart().await;
    let ada = app.anonymous().bearer(&app.token_of("ada").await);
    assert_eq!(one(&ada, &id(&kept)).await["signature"]["state"], "trusted");
    let keys = ada.get("/firmware/keys").await.expect(200);
    assert_eq!(
        (&keys[0]["id"], &keys[1]["id"]),
        (&json!(old_id), &json!(new_id))
    );
    assert!(keys[0]["retired_at"].is_string() && keys[1]["retired_at"].is_null());
    let bob = app.person("bob").await.client;
    bob.delete(&format!("/firmware/keys/{new_id}"))
        .await
        .expect(404);
    assert_eq!(bob.get("/firmware/keys").await.expect(200), json!([]));
    let audit = app.person_with("root", Role::Admin).await.client;
    let audit = audit.get("/admin/audit").await.expect(200).to_string();
    for action in [
        "firmware.upload",
        "firmware.sign",
        "firmware.key.add",
        "firmware.key.retire",
    ] {
        assert!(audit.contains(action), "{action}");
    }
});

story!(
    a_line_that_merely_names_a_key_counts_for_nothing,
    |app| async move {
        let ada = app.person("ada").await.client;
        let (old, new) = (key(1), key(2));
        let old_id = trust(&ada, &old).await;
        let file = image("p", "1", b"");
        let new_id = trust(&ada, &new).await;
        // A good signature by the old key, and a copy of it under the new key's name.
        let good = signature(&file, &old);
        let line = good.lines().last().unwrap().replace(&old_id, &new_id);
        let both = format!("{good}{line}\n");
        let kept = upload(&ada, &file, &[("signature", &both)])
            .await
            .expect(201);
        assert_eq!(kept["signature"]["key"], old_id);
        ada.delete(&format!("/firmware/keys/{old_id}"))
            .await
            .expect(200);
        let now = one(&ada, &id(&kept)).await;
        assert_eq!(now["signature"]["state"], "retired");
    }
);

story!(keys_are_what_they_say, |app| async move {
    let ada = app.person("ada").await.client;
    let public = key(1).public();
    let text = public.to_file();
    let base64 = public.to_string();
    let add = async |name: &str, key: &str| {
        ada.post("/firmware/keys", json!({ "name": name, "public_key": key }))
            .await
    };
    for wrong in ["", "nonsense", &base64[1..], &key(1).to_file()] {
        let body = add("x", wrong).await.expect(422);
        assert!(
            body["message"].as_str().unwrap().contains("public_key"),
            "{body}"
        );
    }
    add("", &text).await.expect(422);
    add("two\nlines", &text).await.expect(422);
    let added = add("mine", &base64).await.expect(201);
    assert_eq!(added["public_key"], text);
    assert_eq!(add("other name", &text).await.expect(200), added);
});

story!(key_sets_grow_and_are_signed, |app| async move {
    let ada = app.person("ada").await.client;
    let (one, two, stranger) = (key(1), key(2), key(3));
    let one_id = trust(&ada, &one).await;
    ada.get("/firmware/keys/set").await.expect(404);
    refused(
        &put_key_set(&ada, 1, &[&stranger], &stranger).await,
        422,
        "bad_key_set",
        "not trusted",
    );
    let set = put_key_set(&ada, 5, &[&one, &two], &one).await.expect(200);
    let two_id = two.public().id().to_string();
    assert_eq!(set["serial"], 5);
    assert_eq!(set["keys"], json!([one_id, two_id]));
    assert_eq!(set["left_out"], json!([]));
    assert_eq!(ada.get("/firmware/keys/set").await.expect(200), set);
    // The key that a trusted key vouched for signs from now on.
    keep(&ada, &image("p", "1", b""), &two).await;
    for serial in [4, 5] {
        refused(
            &put_key_set(&ada, serial, &[&one], &one).await,
            409,
            "old_serial",
            "higher",
        );
    }
    let set = put_key_set(&ada, 6, &[&two], &two).await.expect(200);
    assert_eq!(set["left_out"], json!([one_id]));
    ada.delete(&format!("/firmware/keys/{one_id}"))
        .await
        .expect(200);
    refused(
        &put_key_set(&ada, 7, &[&one, &two], &two).await,
        422,
        "bad_key_set",
        "retired",
    );
    refused(
        &put_key_set(&ada, 7, &[&two], &one).await,
        422,
        "bad_key_set",
        "retired",
    );
    let body = json!({ "document": "nonsense" });
    refused(
        &ada.put("/firmware/keys/set", body).await,
        422,
        "bad_key_set",
        "",
    );
    let bob = app.person("bob").await.client;
    bob.get("/firmware/keys/set").await.expect(404);
});

story!(
    a_release_has_one_image_for_each_kind_of_board,
    |app| async move {
        let mut app = app;
        let ada = app.person("ada").await.client;
        let key = key(1);
        trust(&ada, &key).await;
        let c3 = keep(&ada, &image("lamp", "1.0", b""), &key).await;
        let s3 = keep(&ada, &image_for(Chip::Esp32S3, "lamp", "1.0", b""), &key).await;
        let newer = keep(&ada, &image("lamp", "1.1", b""), &key).await;
        let fan = keep(&ada, &image("fan", "1.0", b""), &key).await;
        let post = async |body: Value| ada.post("/releases", body).await;
        let release =
            post(json!({ "firmware": [c3["id"], s3["id"], fan["id"]], "notes": "# new" }))
                .await
                .expect(201);
        assert_eq!(
            (&release["version"], &release["channel"]),
            (&json!("1.0"), &json!("stable"))
        );
        assert_eq!(release["firmware"].as_array().unwrap().len(), 3);
        let wrong = [
            (
                json!({ "firmware": [c3["id"], newer["id"]], "version": "2" }),
                "both for esp32c3",
            ),
            (
                json!({ "firmware": [c3["id"], c3["id"]] }),
                "both for esp32c3",
            ),
            (json!({ "firmware": [s3["id"], newer["id"]] }), "1.0, 1.1"),
            (json!({ "firmware": [] }), "1 to 32"),
            (json!({ "firmware": ["nonsense"] }), "no image nonsense"),
            (
                json!({ "firmware": [c3["id"]], "channel": "a b" }),
                "channel",
            ),
            (json!({ "firmware": [c3["id"]], "version": "" }), "version"),
            (
                json!({ "firmware": [c3["id"]], "notes": "x".repeat(20_001) }),
                "notes",
            ),
        ];
        for (body, words) in wrong {
            let answer = post(body).await.expect(422);
            assert!(
                answer["message"].as_str().unwrap().contains(words),
                "{answer}"
            );
        }
        let typed = ada
            .patch(
                &format!("/firmware/{}", id(&newer)),
                json!({ "device_type": "B" }),
            )
            .await;
        typed.expect(200);
        ada.patch(
            &format!("/firmware/{}", id(&c3)),
            json!({ "device_type": "A" }),
        )
        .await
        .expect(200);
        let two =
            post(json!({ "firmware": [c3["id"], newer["id"]], "version": "2", "channel": "beta" }))
                .await
                .expect(201);
        let answer = ada
            .patch(
                &format!("/firmware/{}", id(&newer)),
                json!({ "device_type": "A" }),
            )
            .await;
        refused(&answer, 409, "same_boards", "release 2");
        let path = format!("/releases/{}", id(&two));
        let changed = ada
            .patch(&path, json!({ "channel": "stable", "notes": "n" }))
            .await
            .expect(200);
        assert_eq!(
            (&changed["version"], &changed["channel"]),
            (&json!("2"), &json!("stable"))
        );
        // An image that is published stays.
        refused(
            &ada.delete(&format!("/firmware/{}", id(&newer))).await,
            409,
            "in_release",
            "release 2 (stable)",
        );
        assert_eq!(one(&ada, &id(&newer)).await["releases"][0]["version"], "2");
        let withdrawn = ada
            .post(&format!("{path}/withdraw"), json!({}))
            .await
            .expect(200);
        assert!(withdrawn["withdrawn_at"].is_string());
        app.restart().await;
        let ada = app.anonymous().bearer(&app.token_of("ada").await);
        assert_eq!(ada.get(&path).await.expect(200), withdrawn);
        ada.delete(&format!("/firmware/{}", id(&newer)))
            .await
            .expect(200);
        assert_eq!(
            ada.get(&path).await.expect(200)["firmware"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        let found = ada
            .get(&format!("/releases?channel=stable&firmware={}", id(&c3)))
            .await
            .expect(200);
        assert_eq!(found.as_array().unwrap().len(), 2);
        ada.delete(&path).await.expect(200);
        ada.get(&path).await.expect(404);
        let bob = app.person("bob").await.client;
        assert_eq!(bob.get("/releases").await.expect(200), json!([]));
        bob.get(&format!("/releases/{}", id(&release)))
            .await
            .expect(404);
        bob.post("/releases", json!({ "firmware": [c3["id"]] }))
            .await
            .expect(422);
    }
);

story!(
    downloads_are_counted_and_survive_a_restart,
    |app| async move {
        let mut app = app;
        let ada = app.person("ada").await.client;
        let key = key(1);
        trust(&ada, &key).await;
        let kept = keep(&ada, &image("p", "1", b""), &key).await;
        let firmware = id(&kept).parse().unwrap();
        for _ in 0..3 {
            library::count_download(&app.app, firmware);
        }
        assert_eq!(one(&ada, &id(&kept)).await["downloads"], 3);
        library::flush(&app.app).await.unwrap();
        library::count_download(&app.app, firmware);
        app.restart().await;
        let ada = app.anonymous().bearer(&app.token_of("ada").await);
        assert_eq!(one(&ada, &id(&kept)).await["downloads"], 4);
        // People look at a file; that is no download by a board.
        ada.get(&format!("/firmware/{}/image", id(&kept))).await;
        assert_eq!(one(&ada, &id(&kept)).await["downloads"], 4);
    }
);

story!(
    an_account_that_goes_takes_its_library_along,
    |app| async move {
        let (ada, bob) = (app.person("ada").await, app.person("bob").await.client);
        let key = key(1);
        trust(&ada.client, &key).await;
        trust(&bob, &key).await;
        let (both, hers) = (image("p", "1", b""), image("p", "2", b""));
        keep(&ada.client, &both, &key).await;
        let kept = keep(&ada.client, &hers, &key).await;
        ada.client
            .post("/releases", json!({ "firmware": [kept["id"]] }))
            .await
            .expect(201);
        let his = keep(&bob, &both, &key).await;
        ada.client.delete("/me").await.expect(200);
        let admin = app.person_with("root", Role::Admin).await.client;
        let left = admin.get("/firmware").await.expect(200);
        assert_eq!(left.as_array().unwrap().len(), 1);
        assert_eq!(admin.get("/releases").await.expect(200), json!([]));
        assert!(app.app.ota.library.keys(ada.account).is_empty());
        let file = |bytes: &[u8]| {
            let name = sha256(bytes);
            app.data().join("blobs").join(&name[..2]).join(name)
        };
        assert!(file(&both).exists() && !file(&hers).exists());
        bob.get(&format!("/firmware/{}/image", id(&his))).await;
    }
);

story!(the_file_of_an_image_is_never_collected, |app| async move {
    let ada = app.person("ada").await.client;
    let key = key(1);
    trust(&ada, &key).await;
    let kept = keep(&ada, &image("p", "1", b""), &key).await;
    for _ in 0..3 {
        assert_eq!(blobs::collect(&app.app).await.unwrap(), 0);
        app.clock.advance(3_600_000);
    }
    // Three hours are more than a session lasts.
    let ada = app.anonymous().bearer(&app.token_of("ada").await);
    let file = ada.get(&format!("/firmware/{}/image", id(&kept))).await;
    assert_eq!(file.status, 200);
    // A file that was damaged on disk is mended by uploading it again.
    let digest = kept["sha256"].as_str().unwrap();
    std::fs::write(
        app.data().join("blobs").join(&digest[..2]).join(digest),
        "x",
    )
    .unwrap();
    upload(&ada, &image("p", "1", b""), &[]).await.expect(200);
    let bytes = std::fs::read(app.data().join("blobs").join(&digest[..2]).join(digest)).unwrap();
    assert_eq!(sha256(&bytes), digest);
});

story!(
    the_same_file_by_many_at_once_is_one_image,
    |app| async move {
        let ada = app.person("ada").await.client;
        let key = key(1);
        trust(&ada, &key).await;
        let file = image("p", "1", b"");
        let signature = signature(&file, &key);
        let beside = [("signature", signature.as_str())];
        let (one, two, three) = tokio::join!(
            upload(&ada, &file, &beside),
            upload(&ada, &file, &beside),
            upload(&ada, &file, &beside)
        );
        let mut statuses = [one.status, two.status, three.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 201]);
        assert_eq!(
            ada.get("/firmware")
                .await
                .expect(200)
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }
);

/// Fills a library on one engine, restores its backup on another, and downloads.
async fn carried_over(from: Engine, to: Engine) {
    let source = TestApp::new(from).await;
    let ada = source.person("ada").await.client;
    let key = key(1);
    trust(&ada, &key).await;
    put_key_set(&ada, 2, &[&key], &key).await.expect(200);
    let file = image("p", "1", &vec![5; 300_000]);
    let kept = keep(&ada, &file, &key).await;
    let release = ada
        .post("/releases", json!({ "firmware": [kept["id"]] }))
        .await
        .expect(201);
    let admin = source.person_with("admin", Role::Admin).await.client;
    let archive = admin.get("/admin/backup").await;
    assert_eq!(archive.status, 200);

    let mut target = TestApp::new(to).await;
    let boss = target.person_with("boss", Role::Admin).await.client;
    let restored = boss
        .send(
            "POST".parse().unwrap(),
            "/admin/restore",
            None,
            archive.bytes,
        )
        .await;
    assert_eq!(restored.expect(200)["contents"]["blobs"], 1);
    target.restart().await;
    let ada = target.anonymous().bearer(&target.token_of("ada").await);
    assert_eq!(one(&ada, &id(&kept)).await["signature"]["state"], "trusted");
    let answer = ada.get(&format!("/firmware/{}/image", id(&kept))).await;
    assert!(answer.status == 200 && answer.bytes == file);
    assert_eq!(
        ada.get(&format!("/releases/{}", id(&release)))
            .await
            .expect(200),
        release
    );
    assert_eq!(ada.get("/firmware/keys/set").await.expect(200)["serial"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_carries_the_images_to_either_engine() {
    carried_over(Engine::Sqlite, Engine::Sqlite).await;
    if postgres_available() {
        carried_over(Engine::Sqlite, Engine::Postgres).await;
        carried_over(Engine::Postgres, Engine::Sqlite).await;
    } else {
        eprintln!("skipped: set TEST_DATABASE_URL, or run `cargo xtask test`");
    }
}

/// Signs in again: a restart or a restore may have ended the session.
trait Returning {
    async fn token_of(&self, name: &str) -> String;
}

impl Returning for TestApp {
    async fn token_of(&self, name: &str) -> String {
        let login = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
        let signed = self.anonymous().post("/login", login).await.expect(200);
        signed["access_token"].as_str().expect("a token").to_owned()
    }
}
