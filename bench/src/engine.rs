//! The telemetry engine alone: appends against a raw SQLite journal, a day's query, bytes per point.

use crate::report::{Report, median};
use espalier_sim::BoardKind;
use espalier_sim::physics::{Moment, Reading, Readings, model};
use espalier_tsdb::{Buckets, Mode, Options, Point, Query, Tsdb, Value};
use rusqlite::{Connection, params};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

/// Points appended in one round.
const POINTS: usize = 300_000;
/// Points per transaction of the journal, and per append of the engine.
const BATCH: usize = 1_000;
/// Writers of the engine: it groups what they bring into one commit, as the server's requests do.
const WRITERS: usize = 4;
/// Series that take turns, as points arrive in life.
const SERIES: usize = 10_000;
/// Rounds; the two take turns and the median ratio counts.
const ROUNDS: usize = 5;

fn device(n: usize) -> Uuid {
    Uuid::from_u128(n as u128 + 1)
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn value(n: usize) -> f64 {
    (n % 997) as f64 / 10.0
}

/// The peer: rows into a table without an index, a thousand per transaction, `synchronous=FULL`.
fn raw_journal(dir: &Path) -> anyhow::Result<f64> {
    let mut connection = Connection::open(dir.join("journal.db"))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch("create table journal (series integer, ts integer, value real)")?;
    let started = Instant::now();
    for batch in 0..POINTS / BATCH {
        let transaction = connection.transaction()?;
        let mut insert = transaction
            .prepare_cached("insert into journal (series, ts, value) values (?1, ?2, ?3)")?;
        for n in batch * BATCH..(batch + 1) * BATCH {
            insert.execute(params![(n % SERIES) as i64, ts(n), value(n)])?;
        }
        drop(insert);
        transaction.commit()?;
    }
    Ok(rate(started))
}

fn ts(n: usize) -> i64 {
    1_700_000_000_000 + i64::try_from(n / SERIES * 5000).unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "a count of points")]
fn rate(started: Instant) -> f64 {
    POINTS as f64 / started.elapsed().as_secs_f64()
}

async fn engine_appends(dir: &Path) -> anyhow::Result<f64> {
    let engine = Tsdb::open_embedded(&dir.join("telemetry.db"), Options::default()).await?;
    let keys: Vec<Arc<str>> = (0..10).map(|k| format!("key{k}").into()).collect();
    let point = |n: usize| Point {
        device: device(n % SERIES / 10),
        key: keys[n % 10].clone(),
        ts: ts(n),
        value: Value::Number(value(n)),
    };
    let mut work: Vec<Vec<Vec<Point>>> = vec![Vec::new(); WRITERS];
    for batch in 0..POINTS / BATCH {
        work[batch % WRITERS].push((batch * BATCH..(batch + 1) * BATCH).map(point).collect());
    }
    let started = Instant::now();
    let writers: Vec<_> = work
        .into_iter()
        .map(|batches| {
            let engine = engine.clone();
            tokio::spawn(async move {
                for batch in batches {
                    engine.append(batch).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    let rate = rate(started);
    engine.close().await?;
    Ok(rate)
}

/// Durable appends of the engine, against durable appends to a raw SQLite journal.
pub async fn appends(report: &mut Report) -> anyhow::Result<()> {
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let dir = tempfile::tempdir()?;
        let mine = engine_appends(dir.path()).await?;
        let path = dir.path().to_owned();
        let theirs = tokio::task::spawn_blocking(move || raw_journal(&path)).await??;
        if round > 0 {
            ratios.push(mine / theirs);
            a.push(mine);
            b.push(theirs);
        }
    }
    report.add(
        "engine appends, 10,000 series interleaved",
        format!("{:.2} of raw SQLite journal appends", median(ratios)),
        ">= 0.6",
        format!("{:.0} points/s against {:.0} rows/s", median(a), median(b)),
    );
    Ok(())
}

/// A day at one point per second, read as 1,000 buckets.
pub async fn day_query(report: &mut Report) -> anyhow::Result<()> {
    const DAY: i64 = 86_400;
    let dir = tempfile::tempdir()?;
    let engine = Tsdb::open_embedded(&dir.path().join("telemetry.db"), Options::default()).await?;
    let (id, key): (Uuid, Arc<str>) = (device(0), "temperature".into());
    let start = 1_700_006_400_000;
    for block in (0..DAY).collect::<Vec<_>>().chunks(10_000) {
        let point = |&s: &i64| Point {
            device: id,
            key: key.clone(),
            ts: start + s * 1000,
            value: Value::Number(f64::from(i32::try_from(s % 900).unwrap_or(0)) / 10.0),
        };
        engine.append(block.iter().map(point).collect()).await?;
    }
    engine.seal_now().await?;
    let mut times = Vec::new();
    for _ in 0..21 {
        let started = Instant::now();
        let mode = Mode::Buckets(Buckets::Fixed {
            start,
            width: DAY,
            count: 1000,
        });
        let query = Query {
            series: vec![(id, key.clone())],
            from: start,
            to: start + DAY * 1000,
            mode,
        };
        let answer = engine.query(query).await?;
        anyhow::ensure!(answer.len() == 1, "one series is asked for");
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    engine.close().await?;
    let detail = "86,400 sealed points, median of 21".to_owned();
    report.add(
        "one day at 1 Hz to 1,000 buckets",
        format!("{:.2} ms", median(times)),
        "< 20 ms",
        detail,
    );
    Ok(())
}

/// Bytes per point after sealing, on what the simulated boards measure in a day.
pub async fn bytes_per_point(report: &mut Report) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let engine = Tsdb::open_embedded(&dir.path().join("telemetry.db"), Options::default()).await?;
    for (n, kind) in BoardKind::ALL.into_iter().enumerate() {
        let mut physics = model(kind, n as u64 + 1);
        let step = kind.interval().as_secs_f64();
        let mut now = 1_772_323_200.0;
        let end = now + 86_400.0;
        let mut points = Vec::new();
        while now < end {
            // A board's own clock and scheduler move each report by some milliseconds.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "milliseconds of this century fit"
            )]
            let ts = (now * 1000.0) as i64 + i64::try_from(points.len() * 7919 % 23).unwrap_or(0);
            let mut readings = Readings::default();
            physics.measure(Moment { t: now, dt: step }, &mut readings);
            for (key, reading) in readings.0 {
                points.push(Point {
                    device: device(n),
                    key: key.into(),
                    ts,
                    value: stored(reading),
                });
            }
            now += step;
        }
        for block in points.chunks(10_000) {
            engine.append(block.to_vec()).await?;
        }
    }
    engine.seal_now().await?;
    let stats = engine.stats().await?;
    engine.close().await?;
    report.add(
        "bytes per stored point after sealing",
        format!(
            "{:.2} B",
            stats.bytes_per_sealed_point().unwrap_or(f64::NAN)
        ),
        "< 4 B",
        format!(
            "{} points of a simulated day, {} chunks",
            stats.sealed_points, stats.sealed_chunks
        ),
    );
    Ok(())
}

fn stored(reading: Reading) -> Value {
    match reading {
        Reading::Number(x) => Value::Number(x),
        Reading::Whole(n) => Value::Number(f64::from(i32::try_from(n).unwrap_or(i32::MAX))),
        Reading::Text(text) => Value::Text(text.into()),
    }
}
