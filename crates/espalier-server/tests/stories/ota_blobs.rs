//! Stories of blobs: what was kept comes back as it was, in parts too, or with a clear refusal; what nobody needs goes.

use axum::body::{Bytes, to_bytes};
use espalier_server::ota::blobs;
use espalier_testkit::{TestApp, story};
use std::path::PathBuf;

const HOUR: i64 = 3_600_000;

fn file(app: &TestApp, digest: &[u8; 32]) -> PathBuf {
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    app.data().join("blobs").join(&name[..2]).join(name)
}

async fn part(app: &TestApp, digest: &[u8; 32], range: std::ops::Range<u64>) -> Bytes {
    let body = app.app.ota.blobs.stream(digest, range).await;
    let body = body.expect("a body");
    to_bytes(body, usize::MAX).await.expect("all of it")
}

story!(
    a_blob_is_one_blob_however_often_it_is_kept,
    |app| async move {
        let bytes = Bytes::from_static(b"seven bytes and some more");
        let digest = app.app.ota.blobs.put(bytes.clone()).await.unwrap();
        assert_eq!(app.app.ota.blobs.put(bytes.clone()).await.unwrap(), digest);
        assert_eq!(std::fs::read(file(&app, &digest)).unwrap(), bytes);
        assert_eq!(app.app.ota.blobs.get(&digest).await.unwrap(), bytes);
        assert!(app.app.ota.blobs.exists(&digest).await.unwrap());
        assert_eq!(part(&app, &digest, 6..11).await, "bytes");
        assert_eq!(part(&app, &digest, 3..3).await, "");
        app.app.ota.blobs.delete(&digest).await.unwrap();
        app.app.ota.blobs.delete(&digest).await.unwrap();
        assert!(!app.app.ota.blobs.exists(&digest).await.unwrap());
        let error = app.app.ota.blobs.get(&digest).await.unwrap_err();
        assert_eq!(
            (error.status().as_u16(), error.code()),
            (404, "blob_missing")
        );
    }
);

story!(
    a_damaged_blob_is_never_handed_out_and_mended_by_the_next_upload,
    |app| async move {
        let mut app = app;
        let bytes = Bytes::from_static(b"as it was");
        let digest = app.app.ota.blobs.put(bytes.clone()).await.unwrap();
        std::fs::write(file(&app, &digest), b"as it is!").unwrap();
        app.restart().await;
        let error = app.app.ota.blobs.get(&digest).await.unwrap_err();
        assert_eq!(
            (error.status().as_u16(), error.code()),
            (500, "blob_damaged")
        );
        let error = app.app.ota.blobs.stream(&digest, 0..9).await.unwrap_err();
        assert_eq!(error.code(), "blob_damaged");
        app.app.ota.blobs.put(bytes.clone()).await.unwrap();
        app.restart().await;
        assert_eq!(app.app.ota.blobs.get(&digest).await.unwrap(), bytes);
        let beyond = app.app.ota.blobs.stream(&digest, 5..10).await.unwrap_err();
        assert_eq!(beyond.status().as_u16(), 500);
    }
);

story!(
    a_blob_too_large_for_the_memory_passes_in_pieces,
    |app| async move {
        let bytes: Vec<u8> = (0..17u32 << 20).map(|n| (n % 251) as u8).collect();
        let digest = app.app.ota.blobs.put(bytes.clone().into()).await.unwrap();
        let all = part(&app, &digest, 0..17 << 20).await;
        assert!(all == bytes);
        let some = part(&app, &digest, 1_000_003..1_900_001).await;
        assert!(some == bytes[1_000_003..1_900_001]);
        assert_eq!(part(&app, &digest, 5..5).await, "");
        let beyond = app.app.ota.blobs.stream(&digest, 0..18 << 20).await;
        assert_eq!(beyond.unwrap_err().code(), "blob_damaged");
    }
);

story!(
    a_blob_that_nothing_refers_to_is_removed_after_an_hour,
    |app| async move {
        let mut app = app;
        let digest = app.app.ota.blobs.put("lost".into()).await.unwrap();
        assert_eq!(blobs::collect(&app.app).await.unwrap(), 0);
        app.clock.advance(HOUR - 1);
        assert_eq!(blobs::collect(&app.app).await.unwrap(), 0);
        // Somebody is about to refer to it.
        app.app.ota.blobs.put("lost".into()).await.unwrap();
        app.clock.advance(HOUR);
        assert_eq!(blobs::collect(&app.app).await.unwrap(), 0);
        app.clock.advance(HOUR);
        assert_eq!(blobs::collect(&app.app).await.unwrap(), 1);
        assert!(!file(&app, &digest).exists());
        // What a crash left half written goes at the next start.
        let half = app.data().join("blobs/incoming/half");
        std::fs::write(&half, "ha").unwrap();
        app.restart().await;
        assert!(!half.exists());
    }
);

story!(many_who_ask_at_once_get_the_same, |app| async move {
    let mut app = app;
    let bytes = Bytes::from(vec![7; 2 << 20]);
    let digest = app.app.ota.blobs.put(bytes.clone()).await.unwrap();
    app.restart().await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let app = app.app.clone();
        asking.spawn(async move { app.ota.blobs.get(&digest).await.unwrap() });
    }
    let mut places = std::collections::HashSet::new();
    while let Some(got) = asking.join_next().await {
        let got = got.unwrap();
        assert!(got == bytes);
        places.insert(got.as_ptr() as usize);
    }
    assert_eq!(places.len(), 1, "it was read once");
});
