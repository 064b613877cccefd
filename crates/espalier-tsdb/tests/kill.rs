//! kill -9 at any moment: every acknowledged batch is there afterwards, and every batch is whole or absent.
//!
//! The test runs itself as a child process that appends and reports what was acknowledged, and kills it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use espalier_tsdb::{Mode, Options, Order, Point, Query, Rows, Sample, Tsdb, Value};
use uuid::Uuid;

const CHILD: &str = "ESPALIER_TSDB_KILL_CHILD";
const WRITERS: u128 = 4;
const BATCH: i64 = 20;

/// Small limits, so that seals and checkpoints are under way all the time.
fn options() -> Options {
    Options {
        chunk_points: 64,
        seal_points: 1_000,
        ..Options::default()
    }
}

fn batch(device: Uuid, number: i64) -> Vec<Point> {
    let key: Arc<str> = "points".into();
    let mut points: Vec<Point> = (0..BATCH)
        .map(|i| Point {
            device,
            key: key.clone(),
            ts: number * BATCH + i,
            value: Value::Number(number as f64),
        })
        .collect();
    // One point that every batch replaces.
    points.push(Point {
        device,
        key: "number".into(),
        ts: 0,
        value: Value::Number(number as f64),
    });
    points
}

/// Appends from several tasks for ever, starting after what is stored, and prints what was acknowledged.
async fn child(path: &Path) {
    let tsdb = Tsdb::open_embedded(path, options()).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let tsdb = tsdb.clone();
        writers.spawn(async move {
            let device = Uuid::from_u128(writer);
            let latest = tsdb.latest(device).await.unwrap();
            let next = latest
                .iter()
                .find(|(key, _)| &**key == "points")
                .map_or(0, |(_, sample)| sample.ts / BATCH + 1);
            for number in next.. {
                tsdb.append(batch(device, number)).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "acknowledged {writer} {number}").unwrap();
                out.flush().unwrap();
            }
        });
    }
    writers.join_all().await;
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "how the parent process tells the child which file to use"
)]
fn child_process() {
    if let Ok(path) = std::env::var(CHILD) {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
            .block_on(child(path.as_ref()));
    }
}

/// Lets a child append until it has acknowledged `count` batches, kills it, and returns the newest per writer.
fn run_and_kill(path: &Path, count: usize) -> BTreeMap<u128, i64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_process",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut newest = BTreeMap::new();
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some(at) = line.find("acknowledged ") else {
            continue;
        };
        let mut words = line[at..].split(' ').skip(1);
        // The last line may be cut off in the middle; a number that was cut is no promise.
        let (Some(writer), Some(number), true) = (words.next(), words.next(), seen < count * 10)
        else {
            continue;
        };
        if let (Ok(writer), Ok(number)) = (writer.parse(), number.parse()) {
            newest.insert(writer, number);
        }
        seen += 1;
        if seen == count {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= count, "the child ended by itself");
    newest
}

async fn all(tsdb: &Tsdb, device: Uuid, key: &str) -> Vec<Sample> {
    let mode = Mode::Raw {
        limit: usize::MAX,
        order: Order::Asc,
    };
    let query = Query {
        series: vec![(device, key.into())],
        from: i64::MIN,
        to: i64::MAX,
        mode,
    };
    match tsdb.query(query).await.unwrap().remove(0).rows {
        Rows::Raw { samples, .. } => samples,
        Rows::Buckets(_) => unreachable!(),
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_no_batch_is_halved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    let mut acknowledged = BTreeMap::new();
    for count in [1, 40, 333, 1000] {
        acknowledged.append(&mut run_and_kill(&path, count));
        let tsdb = Tsdb::open_embedded(&path, options()).await.unwrap();
        for (writer, newest) in &acknowledged {
            let device = Uuid::from_u128(*writer);
            let points = all(&tsdb, device, "points").await;
            let batches = points.len() as i64 / BATCH;
            assert!(
                batches > *newest,
                "writer {writer}: {batches} batches stored, number {newest} was acknowledged"
            );
            let whole: Vec<Sample> = (0..batches * BATCH)
                .map(|ts| Sample {
                    ts,
                    value: Value::Number((ts / BATCH) as f64),
                })
                .collect();
            assert_eq!(points, whole);
            let number = vec![Sample {
                ts: 0,
                value: Value::Number((batches - 1) as f64),
            }];
            assert_eq!(all(&tsdb, device, "number").await, number);
        }
        tsdb.close().await.unwrap();
    }
}
