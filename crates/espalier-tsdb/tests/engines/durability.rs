//! What was acknowledged is there after a restart, after a crash and after a failure; what failed is not.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use espalier_tsdb::{Error, Mode, Options, Order, Point, Query, Rows, Sample, Tsdb, Value};
use uuid::Uuid;

const DEVICE: Uuid = Uuid::from_u128(1);

fn points(key: &str, times: impl IntoIterator<Item = i64>) -> Vec<Point> {
    let key: Arc<str> = key.into();
    times
        .into_iter()
        .map(|ts| Point {
            device: DEVICE,
            key: key.clone(),
            ts,
            value: Value::Number(ts as f64 / 10.0),
        })
        .collect()
}

async fn raw(tsdb: &Tsdb, key: &str) -> Vec<Sample> {
    let mode = Mode::Raw {
        limit: usize::MAX,
        order: Order::Asc,
    };
    let query = Query {
        series: vec![(DEVICE, key.into())],
        from: i64::MIN,
        to: i64::MAX,
        mode,
    };
    match tsdb.query(query).await.unwrap().remove(0).rows {
        Rows::Raw { samples, .. } => samples,
        Rows::Buckets(_) => unreachable!(),
    }
}

async fn times(tsdb: &Tsdb, key: &str) -> Vec<i64> {
    raw(tsdb, key)
        .await
        .into_iter()
        .map(|sample| sample.ts)
        .collect()
}

/// The files as a crash would leave them: copied while the engine runs.
fn copy_as_crashed(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
    std::fs::copy(from.with_extension("db-wal"), to.with_extension("db-wal")).unwrap();
}

#[tokio::test]
async fn acknowledged_points_survive_restart_crash_and_close() {
    let dir = tempfile::tempdir().unwrap();
    let (path, crashed) = (dir.path().join("t.db"), dir.path().join("c.db"));
    let tsdb = Tsdb::open_embedded(&path, Options::default())
        .await
        .unwrap();
    let appended = tsdb.append(points("t", 0..1000)).await.unwrap();
    assert_eq!(
        (appended.accepted, appended.new, appended.replaced),
        (1000, 1000, 0)
    );
    tsdb.seal_now().await.unwrap();
    let appended = tsdb.append(points("t", 500..1500)).await.unwrap();
    assert_eq!(
        (appended.accepted, appended.new, appended.replaced),
        (1000, 500, 500)
    );
    copy_as_crashed(&path, &crashed);

    let expected: Vec<i64> = (0..1500).collect();
    assert_eq!(times(&tsdb, "t").await, expected);
    assert!(matches!(
        Tsdb::open_embedded(&path, Options::default()).await,
        Err(Error::Locked { .. })
    ));
    tsdb.close().await.unwrap();
    tsdb.close().await.unwrap();
    assert!(matches!(
        tsdb.append(points("t", 0..1)).await,
        Err(Error::Closed)
    ));
    assert!(matches!(
        tsdb.latest(DEVICE).await,
        Ok(_) | Err(Error::Closed)
    ));

    for path in [&path, &crashed] {
        let tsdb = Tsdb::open_embedded(path, Options::default()).await.unwrap();
        assert_eq!(times(&tsdb, "t").await, expected);
        assert_eq!(
            tsdb.latest(DEVICE).await.unwrap(),
            [(
                "t".into(),
                Sample {
                    ts: 1499,
                    value: Value::Number(149.9)
                }
            )]
        );
    }
}

#[tokio::test]
async fn a_full_store_refuses_loudly_keeps_what_it_had_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    let options = Options {
        max_file_bytes: Some(400_000),
        seal_points: 2_000,
        ..Options::default()
    };
    let tsdb = Tsdb::open_embedded(&path, options.clone()).await.unwrap();
    let mut acknowledged = Vec::new();
    let refused = loop {
        let next = acknowledged.len() as i64;
        // Values that do not compress, so that sealing alone cannot make room.
        let batch: Vec<Point> = points("t", next..next + 500)
            .into_iter()
            .map(|p| Point {
                value: Value::Number((p.ts as f64).sin()),
                ..p
            })
            .collect();
        match tsdb.append(batch).await {
            Ok(_) => acknowledged.extend(next..next + 500),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 1_000_000);
    };
    assert!(matches!(&refused, Error::Storage { .. }), "{refused}");
    assert!(refused.to_string().contains("t.db"), "{refused}");
    assert_eq!(times(&tsdb, "t").await, acknowledged);

    let removed = tsdb
        .delete_range(DEVICE, None, 0, acknowledged.len() as i64 - 100)
        .await;
    drop(tsdb);
    let tsdb = Tsdb::open_embedded(
        &path,
        Options {
            max_file_bytes: None,
            ..options
        },
    )
    .await
    .unwrap();
    if removed.is_ok() {
        acknowledged.drain(..acknowledged.len() - 100);
    }
    assert_eq!(times(&tsdb, "t").await, acknowledged);
    let next = 10_000_000;
    tsdb.append(points("t", next..next + 1)).await.unwrap();
    acknowledged.push(next);
    assert_eq!(times(&tsdb, "t").await, acknowledged);
}

#[tokio::test]
async fn damage_is_named_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    std::fs::write(
        &path,
        b"this is not a database, but long enough to look at".repeat(100),
    )
    .unwrap();
    let error = Tsdb::open_embedded(&path, Options::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");

    let other = dir.path().join("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("create table mine (x)")
        .unwrap();
    let error = Tsdb::open_embedded(&other, Options::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Incompatible { .. }), "{error}");

    let path = dir.path().join("j.db");
    let tsdb = Tsdb::open_embedded(&path, Options::default())
        .await
        .unwrap();
    tsdb.append(points("t", 0..100)).await.unwrap();
    tsdb.seal_now().await.unwrap();
    tsdb.append(points("t", 100..200)).await.unwrap();
    tsdb.close().await.unwrap();
    drop(tsdb);
    let damage = |sql: &str| {
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch(sql)
            .unwrap()
    };
    damage("update chunk set data = zeroblob(40)");
    let tsdb = Tsdb::open_embedded(&path, Options::default())
        .await
        .unwrap();
    let mode = Mode::Raw {
        limit: 1,
        order: Order::Asc,
    };
    let error = tsdb
        .query(Query {
            series: vec![(DEVICE, "t".into())],
            from: 0,
            to: 9,
            mode,
        })
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Corrupt { .. }) && error.to_string().contains("j.db"),
        "{error}"
    );
    tsdb.close().await.unwrap();
    drop(tsdb);
    damage("update journal set data = x'0102030405'");
    let error = Tsdb::open_embedded(&path, Options::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Corrupt { .. }) && error.to_string().contains("journal record"),
        "{error}"
    );
}

#[tokio::test]
async fn a_backup_of_a_running_store_is_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let tsdb = Tsdb::open_embedded(&dir.path().join("t.db"), Options::default())
        .await
        .unwrap();
    tsdb.append(points("t", 0..3000)).await.unwrap();
    tsdb.seal_now().await.unwrap();
    tsdb.append(points("t", 3000..3100)).await.unwrap();
    let copy = dir.path().join("copy.db");
    tsdb.backup(&copy).await.unwrap();
    let again = tsdb.backup(&copy).await.unwrap_err();
    assert!(matches!(again, Error::Storage { .. }), "{again}");
    tsdb.append(points("t", 3100..3200)).await.unwrap();
    let restored = Tsdb::open_embedded(&copy, Options::default())
        .await
        .unwrap();
    assert_eq!(times(&restored, "t").await, (0..3100).collect::<Vec<_>>());
}

#[tokio::test]
async fn invalid_points_store_nothing_and_a_full_queue_says_busy() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        max_queued_points: 10,
        ..Options::default()
    };
    let tsdb = Tsdb::open_embedded(&dir.path().join("t.db"), options)
        .await
        .unwrap();
    let mut batch = points("t", 0..3);
    batch[2].value = Value::Number(f64::NAN);
    let error = tsdb.append(batch).await.unwrap_err();
    assert!(
        matches!(error, Error::InvalidPoint { index: 2, .. }),
        "{error}"
    );
    assert!(times(&tsdb, "t").await.is_empty());

    // Polled once each, so that all are queued before the writer can have answered the first few.
    let appends: Vec<_> = (0..2000)
        .map(|i| {
            tokio::spawn({
                let tsdb = tsdb.clone();
                async move { tsdb.append(points("t", i * 5..i * 5 + 5)).await }
            })
        })
        .collect();
    let mut stored = 0;
    for append in appends {
        match append.await.unwrap() {
            Ok(appended) => stored += appended.new,
            Err(error) => assert!(matches!(error, Error::Busy), "{error}"),
        }
    }
    assert_eq!(times(&tsdb, "t").await.len() as u64, stored);
    assert_eq!(tsdb.stats().await.unwrap().accepted, stored);
}

#[tokio::test]
async fn a_batch_larger_than_the_queue_is_stored_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        max_file_bytes: Some(400_000),
        max_queued_points: 1_000,
        max_commit_points: 500,
        ..Options::default()
    };
    let tsdb = Tsdb::open_embedded(&dir.path().join("t.db"), options)
        .await
        .unwrap();
    let noise = |points: Vec<Point>| -> Vec<Point> {
        let noise = |p: Point| Point {
            value: Value::Number((p.ts as f64).sin()),
            ..p
        };
        points.into_iter().map(noise).collect()
    };
    tsdb.append(points("t", 0..100)).await.unwrap();
    let error = tsdb
        .append(noise(points("t", 100..100_000)))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Storage { .. }), "{error}");
    assert_eq!(times(&tsdb, "t").await, (0..100).collect::<Vec<_>>());
    tsdb.append(noise(points("t", 100..5_000))).await.unwrap();
    assert_eq!(times(&tsdb, "t").await, (0..5_000).collect::<Vec<_>>());
    assert_eq!(tsdb.stats().await.unwrap().queue_depth, 0);
}

#[tokio::test]
async fn a_dropped_append_is_whole_or_absent() {
    let dir = tempfile::tempdir().unwrap();
    let tsdb = Tsdb::open_embedded(&dir.path().join("t.db"), Options::default())
        .await
        .unwrap();
    for i in 0..50 {
        let mut append = Box::pin(tsdb.append(points("t", i * 10..i * 10 + 10)));
        std::future::poll_fn(|context| {
            let _ = append.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }
    tsdb.append(points("end", 0..1)).await.unwrap();
    assert_eq!(times(&tsdb, "t").await, (0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_damaged_chunk_of_one_series_does_not_stop_the_sealing_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    let tsdb = Tsdb::open_embedded(&path, Options::default())
        .await
        .unwrap();
    tsdb.append(points("bad", 0..100)).await.unwrap();
    tsdb.seal_now().await.unwrap();
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("update chunk set data = x'00'")
        .unwrap();
    tsdb.append(points("good", 0..100)).await.unwrap();
    tsdb.append(points("bad", 100..150)).await.unwrap();
    tsdb.seal_now().await.unwrap();
    let stats = tsdb.stats().await.unwrap();
    assert_eq!((stats.sealed_points, stats.head_points), (200, 50));
    drop(tsdb);
    let tsdb = Tsdb::open_embedded(&path, Options::default())
        .await
        .unwrap();
    assert_eq!(times(&tsdb, "good").await, (0..100).collect::<Vec<_>>());
    let mode = Mode::Raw {
        limit: 1000,
        order: Order::Asc,
    };
    let query = Query {
        series: vec![(DEVICE, "bad".into())],
        from: 100,
        to: 1000,
        mode,
    };
    assert_eq!(tsdb.query(query).await.unwrap()[0].rows.samples().len(), 50);
    assert_eq!(tsdb.delete_device(DEVICE).await.unwrap(), 250);
    assert!(tsdb.keys(DEVICE).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_backup_can_be_put_in_the_place_of_a_closed_store() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("t.db"), dir.path().join("copy.db"));
    let tsdb = Tsdb::open_embedded(&path, Options::default())
        .await
        .unwrap();
    tsdb.append(points("t", 0..100)).await.unwrap();
    Tsdb::backup_file(&path, &copy).await.unwrap();
    tsdb.append(points("t", 100..200)).await.unwrap();
    let error = Tsdb::restore_file(&copy, &path).await.unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    tsdb.close().await.unwrap();
    let error = Tsdb::restore_file(&dir.path().join("t.db.lock"), &path)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Incompatible { .. } | Error::Corrupt { .. }),
        "{error}"
    );
    Tsdb::restore_file(&copy, &path).await.unwrap();
    let tsdb = Tsdb::open_embedded(&path, Options::default())
        .await
        .unwrap();
    assert_eq!(times(&tsdb, "t").await, (0..100).collect::<Vec<_>>());
}
