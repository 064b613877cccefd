//! Patches between images: made in the background, tried, kept over a restart, none where none pays, gone with their images.

use crate::ota_kit::{image, image_for, keep, key, trust};
use espalier_image::chip::Chip;
use espalier_image::delta as patches;
use espalier_server::ota::deltas::{self, Patch};
use espalier_server::ota::library::Firmware;
use espalier_testkit::{Client, TestApp, story};
use serde_json::json;
use std::sync::Arc;

/// Bytes without order, so that only what images share makes a patch small.
fn noise(seed: u32, length: u32) -> Vec<u8> {
    let mix = |n: u32| (n ^ n >> 15).wrapping_mul(0x2c1b_3c6d);
    let bytes = (0..length).map(|n| mix(mix(n.wrapping_add(seed << 20))) >> 24);
    bytes.map(|byte| byte as u8).collect()
}

async fn firmware(app: &TestApp, client: &Client, image: &[u8]) -> Arc<Firmware> {
    let kept = keep(client, image, &key(1)).await;
    let id = kept["id"].as_str().unwrap().parse().unwrap();
    app.app.ota.library.get(id).expect("it was just kept")
}

/// What a board makes of a patch.
async fn applied(app: &TestApp, old: &[u8], patch: &Patch) -> Vec<u8> {
    let bytes = app.app.ota.blobs.get(&patch.sha256).await.unwrap();
    assert_eq!(bytes.len() as u64, patch.size);
    patches::apply(old, &bytes).unwrap()
}

story!(a_patch_is_made_once_and_kept, |app| async move {
    let mut app = app;
    let ada = app.person("ada").await;
    trust(&ada.client, &key(1)).await;
    let mut payload = noise(1, 40_000);
    let old = image("greenhouse", "1.0.0", &payload);
    payload[20_000] ^= 1;
    let new = image("greenhouse", "1.1.0", &payload);
    let from = firmware(&app, &ada.client, &old).await;
    let to = firmware(&app, &ada.client, &new).await;
    // Who asks first gets the whole image; the patch is ready soon after.
    assert_eq!(deltas::patch(&app.app, &from, &to), None);
    let patch = deltas::prepare(&app.app, &from, &to)
        .await
        .expect("a patch");
    assert!(patch.size < 1000, "{} bytes", patch.size);
    assert_eq!(deltas::patch(&app.app, &from, &to), Some(patch));
    assert_eq!(applied(&app, &old, &patch).await, new);
    app.restart().await;
    assert_eq!(deltas::patch(&app.app, &from, &to), Some(patch));
    // A restored server has the rows but not the patches: they are made again.
    app.app.ota.blobs.delete(&patch.sha256).await.unwrap();
    app.restart().await;
    let again = deltas::prepare(&app.app, &from, &to).await;
    let back = deltas::prepare(&app.app, &to, &from)
        .await
        .expect("the way back");
    assert_eq!(applied(&app, &new, &back).await, old);
    assert_eq!(again, Some(patch));
    let patch = deltas::prepare(&app.app, &from, &to).await.unwrap();
    assert_eq!(applied(&app, &old, &patch).await, new);
});

story!(there_is_no_patch_where_none_helps, |app| async move {
    let mut app = app;
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    trust(&ada.client, &key(1)).await;
    trust(&bob.client, &key(1)).await;
    let old = firmware(&app, &ada.client, &image("a", "1", &noise(1, 20_000))).await;
    let other = firmware(&app, &ada.client, &image("a", "2", &noise(2, 20_000))).await;
    let chip = image_for(Chip::Esp32C6, "a", "2", &noise(1, 20_000));
    let chip = firmware(&app, &ada.client, &chip).await;
    let foreign = firmware(&app, &bob.client, &image("a", "2", &noise(1, 20_001))).await;
    assert_eq!(deltas::prepare(&app.app, &old, &other).await, None);
    for never in [&old, &chip, &foreign] {
        assert_eq!(deltas::prepare(&app.app, &old, never).await, None);
    }
    // That none pays is remembered too.
    app.restart().await;
    assert_eq!(deltas::patch(&app.app, &old, &other), None);
    assert_eq!(deltas::prepare(&app.app, &old, &other).await, None);
});

story!(patches_go_with_their_images, |app| async move {
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    trust(&ada.client, &key(1)).await;
    trust(&bob.client, &key(1)).await;
    let (old, new) = (
        image("a", "1", &noise(1, 9_000)),
        image("a", "2", &noise(1, 9_000)),
    );
    let from = firmware(&app, &ada.client, &old).await;
    let to = firmware(&app, &ada.client, &new).await;
    let same = firmware(&app, &bob.client, &new).await;
    let patch = deltas::prepare(&app.app, &from, &to)
        .await
        .expect("a patch");
    let there = async || app.app.ota.blobs.exists(&patch.sha256).await.unwrap();
    ada.client
        .delete(&format!("/firmware/{}", to.id))
        .await
        .expect(200);
    assert!(there().await, "bob has the same image");
    bob.client
        .delete(&format!("/firmware/{}", same.id))
        .await
        .expect(200);
    assert!(!there().await, "nobody has the image any more");
});

story!(a_board_fetches_a_patch_whole_or_in_part, |app| async move {
    let ada = app.person("ada").await;
    trust(&ada.client, &key(1)).await;
    let mut payload = noise(3, 40_000);
    let old = image("greenhouse", "1.0.0", &payload);
    payload[30_000] ^= 1;
    let new = image("greenhouse", "1.1.0", &payload);
    let from = firmware(&app, &ada.client, &old).await;
    let to = firmware(&app, &ada.client, &new).await;
    deltas::prepare(&app.app, &from, &to)
        .await
        .expect("a patch");
    let (id, token) = ada.device("bench").await;
    let board = app.anonymous().bearer(&token);
    let force = json!({ "firmware_id": to.id });
    let path = format!("/devices/{id}/update");
    ada.client.post(&path, force).await.expect(202);
    let running = hex::encode(from.sha256);
    let check = format!("/device/update?running={running}");
    let offer = board.get(&check).await.expect(200);
    let path = format!("/device/update/{}/patch", offer["update"].as_str().unwrap());
    let whole = board.get(&path).await;
    assert_eq!(whole.status, 200);
    assert_eq!(offer["patch_size"].as_u64(), Some(whole.bytes.len() as u64));
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    // In pieces, as after a connection that broke off.
    let mut pieces = Vec::new();
    while pieces.len() < whole.bytes.len() {
        let (at, end) = (pieces.len(), pieces.len() + 99);
        let part = board.header("range", &format!("bytes={at}-{end}"));
        let part = part.get(&path).await;
        assert_eq!(part.status, 206);
        let last = at + part.bytes.len() - 1;
        let range = format!("bytes {at}-{last}/{}", whole.bytes.len());
        assert_eq!(part.headers["content-range"], range);
        pieces.extend(part.bytes);
    }
    let made = patches::apply(&old, &pieces).unwrap();
    assert!(made == new, "the patch makes another image");
    let beyond = board.header("range", &format!("bytes={}-", whole.bytes.len()));
    assert_eq!(beyond.get(&path).await.status, 416);
    // Another board is told nothing of it, and who runs something else gets no patch.
    let (_, other) = ada.device("other").await;
    let other = app.anonymous().bearer(&other);
    assert_eq!(other.get(&path).await.status, 404);
    let running = hex::encode(to.sha256);
    board
        .get(&format!("/device/update?running={running}"))
        .await;
    assert_eq!(board.get(&path).await.status, 404);
});
