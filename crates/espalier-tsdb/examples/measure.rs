//! Measures the embedded engine on this machine: appends beside raw SQLite journal appends, a day at 1 Hz to 1,000
//! buckets, and bytes per sealed point. Run with `cargo run --release -p espalier-tsdb --example measure`.

use std::sync::Arc;
use std::time::Instant;

use espalier_tsdb::{Buckets, Mode, Options, Point, Query, Tsdb, Value};
use uuid::Uuid;

const DEVICES: u128 = 1000;
const KEYS: [&str; 10] = [
    "temperature",
    "humidity",
    "pressure",
    "lux",
    "battery",
    "rssi",
    "heap",
    "power",
    "relay",
    "state",
];
const BATCH: usize = 1000;
const BATCHES: usize = 1000;
/// Appends in flight at the same time, as from so many connections.
const IN_FLIGHT: usize = 16;

/// A small generator of repeatable noise (xorshift), in -1..1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

/// The value of a believable sensor: slow waves and a little noise, with the decimals sensors report.
fn sensor(key: usize, device: f64, t: f64, noise: &mut Noise) -> Value {
    let wave = (t / 3600.0 + device).sin();
    match key {
        0 => rounded(21.0 + 4.0 * wave + 0.05 * noise.next(), 2).into(),
        1 => rounded(45.0 + 10.0 * wave + 0.3 * noise.next(), 1).into(),
        2 => rounded(1013.0 + 3.0 * wave + 0.05 * noise.next(), 2).into(),
        3 => rounded(400.0 + 300.0 * wave + 5.0 * noise.next(), 0).into(),
        4 => rounded(4.1 - t / 900_000.0 + 0.002 * noise.next(), 3).into(),
        5 => rounded(-60.0 + 3.0 * noise.next(), 0).into(),
        6 => rounded(182_000.0 + 500.0 * noise.next(), 0).into(),
        7 => rounded(60.0 + 20.0 * wave + noise.next(), 1).into(),
        8 => Value::Bool(wave > 0.0),
        _ => Value::Text(if wave > 0.5 { "heating" } else { "idle" }.into()),
    }
}

/// Ticks of all devices and keys as they arrive, cut into batches.
fn arrivals() -> Vec<Vec<Point>> {
    let keys: Vec<Arc<str>> = KEYS.iter().map(|key| Arc::from(*key)).collect();
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    let mut points = Vec::with_capacity(BATCH * BATCHES);
    for tick in 0.. {
        for device in 0..DEVICES {
            let ts = 1_760_000_000_000 + tick * 5_000 + (noise.next() * 8.0) as i64;
            for (index, key) in keys.iter().enumerate() {
                let value = sensor(index, device as f64, tick as f64 * 5.0, &mut noise);
                points.push(Point {
                    device: Uuid::from_u128(device),
                    key: key.clone(),
                    ts,
                    value,
                });
            }
        }
        if points.len() >= BATCH * BATCHES {
            break;
        }
    }
    points
        .chunks(BATCH)
        .take(BATCHES)
        .map(<[Point]>::to_vec)
        .collect()
}

fn raw_sqlite(dir: &std::path::Path) -> f64 {
    let conn = rusqlite::Connection::open(dir.join("raw.db")).unwrap();
    conn.query_row("pragma journal_mode = wal", [], |_| Ok(()))
        .unwrap();
    conn.pragma_update(None, "synchronous", "full").unwrap();
    conn.execute_batch(
        "create table journal (device integer, key integer, ts integer, value real)",
    )
    .unwrap();
    let start = Instant::now();
    for batch in 0..BATCHES {
        conn.execute_batch("begin immediate").unwrap();
        let mut insert = conn
            .prepare_cached("insert into journal values (?1, ?2, ?3, ?4)")
            .unwrap();
        for row in 0..BATCH {
            let i = (batch * BATCH + row) as i64;
            insert
                .execute(rusqlite::params![
                    i / 10 % 1000,
                    i % 10,
                    1_760_000_000_000 + i,
                    i as f64 / 100.0
                ])
                .unwrap();
        }
        drop(insert);
        conn.execute_batch("commit").unwrap();
    }
    (BATCH * BATCHES) as f64 / start.elapsed().as_secs_f64()
}

async fn engine(dir: &std::path::Path) -> f64 {
    let tsdb = Tsdb::open_embedded(&dir.join("t.db"), Options::default())
        .await
        .unwrap();
    let mut batches = arrivals().into_iter();
    let start = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    loop {
        while running.len() < IN_FLIGHT
            && let Some(batch) = batches.next()
        {
            let tsdb = tsdb.clone();
            running.spawn(async move { tsdb.append(batch).await.unwrap() });
        }
        if running.join_next().await.is_none() {
            break;
        }
    }
    let rate = (BATCH * BATCHES) as f64 / start.elapsed().as_secs_f64();
    let stats = tsdb.stats().await.unwrap();
    println!(
        "  groups of {} points; {} sealed, {} in the head",
        stats.accepted / stats.commits,
        stats.sealed_points,
        stats.head_points
    );
    let start = Instant::now();
    tsdb.seal_now().await.unwrap();
    println!(
        "  sealing all: {:.0} ms, {:.2} bytes per sealed point",
        start.elapsed().as_secs_f64() * 1e3,
        tsdb.stats()
            .await
            .unwrap()
            .bytes_per_sealed_point()
            .unwrap()
    );
    tsdb.close().await.unwrap();
    let start = Instant::now();
    Tsdb::open_embedded(&dir.join("t.db"), Options::default())
        .await
        .unwrap();
    println!(
        "  opening {} series: {:.0} ms",
        stats.series,
        start.elapsed().as_secs_f64() * 1e3
    );
    rate
}

async fn day(dir: &std::path::Path) {
    let tsdb = Tsdb::open_embedded(&dir.join("day.db"), Options::default())
        .await
        .unwrap();
    let device = Uuid::from_u128(1);
    let mut noise = Noise(7);
    for (index, name) in KEYS.iter().enumerate() {
        let key: Arc<str> = (*name).into();
        let points: Vec<Point> = (0..86_400i64)
            .map(|s| Point {
                device,
                key: key.clone(),
                ts: s * 1000 + (noise.next() * 8.0) as i64 + 10,
                value: sensor(index, 0.0, s as f64, &mut noise),
            })
            .collect();
        let before = tsdb.stats().await.unwrap();
        for batch in points.chunks(1000) {
            tsdb.append(batch.to_vec()).await.unwrap();
        }
        tsdb.seal_now().await.unwrap();
        let after = tsdb.stats().await.unwrap();
        let bytes = (after.sealed_bytes - before.sealed_bytes) as f64
            / (after.sealed_points - before.sealed_points) as f64;
        println!("  {name}: {bytes:.2} bytes per point");
    }
    let stats = tsdb.stats().await.unwrap();
    tsdb.close().await.unwrap();
    println!(
        "  all: {:.2} bytes per point in chunks, {:.2} in the file",
        stats.bytes_per_sealed_point().unwrap(),
        std::fs::metadata(dir.join("day.db")).unwrap().len() as f64 / stats.sealed_points as f64
    );
    let tsdb = Tsdb::open_embedded(&dir.join("day.db"), Options::default())
        .await
        .unwrap();
    let ask = || Query {
        series: vec![(device, "temperature".into())],
        from: 0,
        to: 86_400_000,
        mode: Mode::Buckets(Buckets::Fixed {
            start: 0,
            width: 86_400,
            count: 1000,
        }),
    };
    let mut times = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        let answer = tsdb.query(ask()).await.unwrap();
        times.push(start.elapsed().as_secs_f64() * 1e3);
        assert_eq!(answer[0].rows.buckets().len(), 1000);
    }
    let first = times[0];
    times.sort_by(f64::total_cmp);
    println!(
        "a day at 1 Hz to 1,000 buckets: {first:.2} ms first, {:.2} ms median",
        times[times.len() / 2]
    );
}

async fn single_posts(dir: &std::path::Path) {
    let tsdb = Tsdb::open_embedded(&dir.join("single.db"), Options::default())
        .await
        .unwrap();
    let start = Instant::now();
    let posts = (0..64u128).map(|device| {
        let tsdb = tsdb.clone();
        tokio::spawn(async move {
            let keys: [Arc<str>; 3] = ["a".into(), "b".into(), "c".into()];
            for ts in 0..500 {
                let point = |key: &Arc<str>| Point {
                    device: Uuid::from_u128(device),
                    key: key.clone(),
                    ts,
                    value: Value::Number(ts as f64),
                };
                tsdb.append(keys.iter().map(point).collect()).await.unwrap();
            }
        })
    });
    for post in posts.collect::<Vec<_>>() {
        post.await.unwrap();
    }
    let stats = tsdb.stats().await.unwrap();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "single posts of 3 values, 64 connections: {:.0} posts/s, {:.1} posts per commit",
        32_000.0 / seconds,
        32_000.0 / stats.commits as f64
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let dir = dir.path().join(round.to_string());
        std::fs::create_dir(&dir).unwrap();
        let raw = raw_sqlite(&dir);
        let ours = engine(&dir).await;
        println!(
            "raw SQLite journal {:.2} M rows/s, engine {:.2} M points/s, ratio {:.2}",
            raw / 1e6,
            ours / 1e6,
            ours / raw
        );
    }
    day(dir.path()).await;
    single_posts(dir.path()).await;
}
