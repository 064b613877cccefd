//! What stories of firmware begin with: images that boot nowhere, keys, signatures, and forms to upload them with.

use axum::http::Method;
use espalier_image::app::Revision;
use espalier_image::chip::Chip;
use espalier_image::keys::{PrivateKey, key_set, sign};
use espalier_image::make::Make;
use espalier_image::manifest;
use espalier_testkit::{Answer, Client};
use serde_json::{Value, json};

/// A key; the same number is the same key.
pub fn key(n: u8) -> PrivateKey {
    PrivateKey::from_seed(&[n; 32])
}

/// A sound image for the ESP32-C3.
pub fn image(project: &str, version: &str, payload: &[u8]) -> Vec<u8> {
    image_for(Chip::Esp32C3, project, version, payload)
}

/// A sound image for a chip.
pub fn image_for(chip: Chip, project: &str, version: &str, payload: &[u8]) -> Vec<u8> {
    let make = Make {
        chip,
        project,
        version,
        payload,
        secure_version: 3,
        min_revision: Revision(2),
    };
    make.bytes()
}

/// The text of an image's .sig file.
pub fn signature(image: &[u8], key: &PrivateKey) -> String {
    let text = manifest::of(image).expect("an image");
    sign(&text, key).expect("a signature")
}

/// Lets somebody's boards trust a key; returns its id.
pub async fn trust(client: &Client, key: &PrivateKey) -> String {
    let body = json!({ "name": "workshop", "public_key": key.public().to_file() });
    let answer = client.post("/firmware/keys", body).await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// Puts a key set that `by` signs.
pub async fn put_key_set(
    client: &Client,
    serial: u32,
    keys: &[&PrivateKey],
    by: &PrivateKey,
) -> Answer {
    let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
    let text = key_set(serial, &keys).expect("a key set");
    let document = sign(&text, by).expect("a signature");
    let body = json!({ "document": document });
    client.put("/firmware/keys/set", body).await
}

/// A part of a form.
pub enum Part<'a> {
    Text(&'a str, &'a str),
    /// The part's name, the file's name, its bytes.
    File(&'a str, &'a str, &'a [u8]),
}

/// Sends a form, as browsers do.
pub async fn form(client: &Client, path: &str, parts: &[Part<'_>]) -> Answer {
    const BOUNDARY: &str = "----a-line-that-is-in-no-file";
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(format!("--{BOUNDARY}\r\n").as_bytes());
        let (head, bytes) = match part {
            Part::Text(name, text) => (format!("name=\"{name}\"\r\n"), text.as_bytes()),
            Part::File(name, file, bytes) => {
                let kind = "Content-Type: application/octet-stream\r\n";
                (
                    format!("name=\"{name}\"; filename=\"{file}\"\r\n{kind}"),
                    *bytes,
                )
            }
        };
        body.extend_from_slice(format!("Content-Disposition: form-data; {head}\r\n").as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    client.send(Method::POST, path, Some(&kind), body).await
}

/// Uploads an image with what stands beside it.
pub async fn upload(client: &Client, image: &[u8], beside: &[(&str, &str)]) -> Answer {
    let mut parts: Vec<_> = beside
        .iter()
        .map(|(name, text)| Part::Text(name, text))
        .collect();
    parts.push(Part::File("firmware", "app.bin", image));
    form(client, "/firmware", &parts).await
}

/// Uploads an image that `key` signs; returns what is known of it.
pub async fn keep(client: &Client, image: &[u8], key: &PrivateKey) -> Value {
    let signature = signature(image, key);
    let answer = upload(client, image, &[("signature", &signature)]).await;
    answer.expect(201)
}
