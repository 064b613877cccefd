//! Blobs in an S3 bucket, against a server that others wrote.
//!
//! A binary of its own, because only a server built with the feature `s3` can do it. `cargo xtask test` starts the S3
//! server and names it in `TEST_S3_ENDPOINT`.

use axum::body::{Bytes, to_bytes};
use espalier_server::Config;
use espalier_server::ota::blobs;
use espalier_testkit::{Engine, TestApp};
use std::io::{Read, Write};
use std::net::TcpStream;

const HOUR: i64 = 3_600_000;

/// An app whose blobs are in a new bucket; nothing without a server to talk to.
async fn app(bucket: &str, place: &str) -> Option<TestApp> {
    #[expect(
        clippy::disallowed_methods,
        reason = "where the S3 server is, is this test's input"
    )]
    let Ok(endpoint) = std::env::var("TEST_S3_ENDPOINT") else {
        eprintln!("skipped: set TEST_S3_ENDPOINT, or run `cargo xtask test`");
        return None;
    };
    make(&endpoint, bucket);
    let set = |config: &mut Config| {
        config.blobs = format!("s3://{bucket}{place}");
        config.s3_endpoint = Some(endpoint.clone());
        config.s3_access_key_id = Some("somebody".to_owned());
        config.s3_secret_access_key = Some("anything".to_owned());
    };
    Some(TestApp::with(Engine::Sqlite, set).await)
}

/// Makes a bucket by hand: the product never does.
fn make(endpoint: &str, bucket: &str) {
    let host = endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("the S3 server listens");
    let request = format!(
        "PUT /{bucket} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

async fn part(app: &TestApp, digest: &[u8; 32], range: std::ops::Range<u64>) -> Bytes {
    let body = app.app.ota.blobs.stream(digest, range).await;
    let body = body.expect("a body");
    to_bytes(body, usize::MAX).await.expect("all of it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_in_a_bucket_comes_back_as_it_was() {
    for (bucket, place) in [("first", "/deep/down/"), ("second", "")] {
        let Some(mut app) = app(bucket, place).await else {
            return;
        };
        let bytes = Bytes::from((0..300_000u32).map(|n| (n % 241) as u8).collect::<Vec<_>>());
        let digest = app.app.ota.blobs.put(bytes.clone()).await.unwrap();
        assert_eq!(app.app.ota.blobs.put(bytes.clone()).await.unwrap(), digest);
        app.restart().await;
        assert!(app.app.ota.blobs.exists(&digest).await.unwrap());
        assert!(app.app.ota.blobs.get(&digest).await.unwrap() == bytes);
        assert!(part(&app, &digest, 1000..200_000).await == bytes[1000..200_000]);
        app.app.ota.blobs.delete(&digest).await.unwrap();
        app.app.ota.blobs.delete(&digest).await.unwrap();
        assert!(!app.app.ota.blobs.exists(&digest).await.unwrap());
        let error = app.app.ota.blobs.get(&digest).await.unwrap_err();
        assert_eq!(error.code(), "blob_missing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_blob_comes_in_pieces_and_an_unused_one_goes() {
    let Some(app) = app("third", "/images").await else {
        return;
    };
    let bytes: Vec<u8> = (0..17u32 << 20).map(|n| (n % 251) as u8).collect();
    let digest = app.app.ota.blobs.put(bytes.clone().into()).await.unwrap();
    assert!(part(&app, &digest, 0..17 << 20).await == bytes);
    assert!(part(&app, &digest, 1_000_003..1_900_001).await == bytes[1_000_003..1_900_001]);
    assert_eq!(part(&app, &digest, 7..7).await, "");
    assert_eq!(blobs::collect(&app.app).await.unwrap(), 0);
    app.clock.advance(HOUR);
    assert_eq!(blobs::collect(&app.app).await.unwrap(), 1);
    assert!(!app.app.ota.blobs.exists(&digest).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_not_there_is_said_when_it_is_used() {
    let Some(app) = app("fourth", "").await else {
        return;
    };
    let elsewhere = Config {
        blobs: "s3://nowhere".to_owned(),
        s3_endpoint: app.app.config.s3_endpoint.clone(),
        s3_access_key_id: Some("somebody".to_owned()),
        s3_secret_access_key: Some("anything".to_owned()),
        ..Config::default()
    };
    let store = blobs::State::open(&elsewhere).unwrap();
    let error = store.put("x".into()).await.unwrap_err();
    assert!(
        error.cause().unwrap().contains("nowhere")
            || error.cause().unwrap().contains("NoSuchBucket")
    );
    let wrong = Config {
        blobs: "s3://".to_owned(),
        ..Config::default()
    };
    assert!(blobs::State::open(&wrong).is_err());
}
