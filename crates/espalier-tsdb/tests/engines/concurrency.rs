//! Appends and reads at the same time, on both engines: a read sees what was acknowledged before it began, in order and
//! once; counts add up when many write the same points.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::support::{self, Place};
use espalier_tsdb::{Buckets, Mode, Options, Order, Point, Query, Value};
use uuid::Uuid;

const WRITERS: u128 = 4;
const BATCHES: i64 = 150;
const BATCH: i64 = 10;

fn batch(device: Uuid, number: i64) -> Vec<Point> {
    let key: Arc<str> = "t".into();
    (0..BATCH)
        .map(|i| Point {
            device,
            key: key.clone(),
            ts: number * BATCH + i,
            value: Value::Number(1.0),
        })
        .collect()
}

async fn readers_see_what_was_acknowledged(place: Place) {
    let tsdb = place
        .open(Options {
            chunk_points: 32,
            seal_points: 500,
            ..Options::default()
        })
        .await;
    let done = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    let all: Vec<Arc<AtomicI64>> = (0..WRITERS).map(|_| Arc::default()).collect();
    let (reader, seen, ended) = (tsdb.clone(), all.clone(), Arc::clone(&done));
    tasks.spawn(async move {
        while !ended.load(Ordering::Acquire) {
            // One question about all series, of which each must be seen as a whole.
            let before: Vec<i64> = seen
                .iter()
                .map(|count| count.load(Ordering::Acquire))
                .collect();
            let series = (0..WRITERS)
                .map(|writer| (Uuid::from_u128(writer), "t".into()))
                .collect();
            let mode = Mode::Raw {
                limit: usize::MAX,
                order: Order::Asc,
            };
            let answer = reader
                .query(Query {
                    series,
                    from: 0,
                    to: i64::MAX,
                    mode,
                })
                .await
                .unwrap();
            for (data, before) in answer.iter().zip(before) {
                let times = data.rows.samples().iter().map(|sample| sample.ts);
                assert!(times.len() as i64 >= before, "{} of {before}", times.len());
                assert!(times.eq(0..data.rows.samples().len() as i64));
            }
            tokio::task::yield_now().await;
        }
    });
    for writer in 0..WRITERS {
        let device = Uuid::from_u128(writer);
        let acknowledged = Arc::clone(&all[writer as usize]);
        let (reader, seen, ended) = (tsdb.clone(), Arc::clone(&acknowledged), Arc::clone(&done));
        tasks.spawn(async move {
            while !ended.load(Ordering::Acquire) {
                let before = seen.load(Ordering::Acquire);
                let mode = Mode::Raw {
                    limit: usize::MAX,
                    order: Order::Desc,
                };
                let (samples, _) = support::raw(&reader, device, "t", 0, i64::MAX, mode).await;
                assert!(
                    samples.len() as i64 >= before,
                    "{} of {before}",
                    samples.len()
                );
                // Points come in order without gaps, so newest first they count down to 0.
                assert!(
                    samples
                        .iter()
                        .rev()
                        .map(|sample| sample.ts)
                        .eq(0..samples.len() as i64)
                );
                let before = seen.load(Ordering::Acquire);
                let hours = Buckets::Fixed {
                    start: 0,
                    width: 100,
                    count: 100,
                };
                let counted: u64 = support::buckets(&reader, device, "t", 0, i64::MAX, hours)
                    .await
                    .iter()
                    .map(|b| b.agg.count)
                    .sum();
                assert!(counted as i64 >= before, "{counted} of {before}");
                let latest = reader.latest(device).await.unwrap();
                assert!(latest.first().map_or(0, |(_, sample)| sample.ts + 1) >= before);
                tokio::task::yield_now().await;
            }
        });
        let (tsdb, done) = (tsdb.clone(), Arc::clone(&done));
        tasks.spawn(async move {
            for number in 0..BATCHES {
                tsdb.append(batch(device, number)).await.unwrap();
                acknowledged.store((number + 1) * BATCH, Ordering::Release);
            }
            if device.is_nil() {
                done.store(true, Ordering::Release);
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    tsdb.close().await.unwrap();
    place.clean_up().await;
}

async fn many_writers_of_the_same_points_count_each_once(place: Place) {
    let tsdb = place
        .open(Options {
            seal_points: 300,
            ..Options::default()
        })
        .await;
    let appends: Vec<_> = (0..200)
        .map(|i| {
            let tsdb = tsdb.clone();
            tokio::spawn(async move { tsdb.append(batch(Uuid::nil(), i % 40)).await.unwrap() })
        })
        .collect();
    let (mut new, mut replaced) = (0, 0);
    for append in appends {
        let appended = append.await.unwrap();
        new += appended.new;
        replaced += appended.replaced;
    }
    assert_eq!((new, replaced), (400, 1600));
    let stats = tsdb.stats().await.unwrap();
    assert_eq!(
        (stats.accepted, stats.new, stats.replaced, stats.queue_depth),
        (2000, 400, 1600, 0)
    );
    tsdb.close().await.unwrap();
    place.clean_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_writers_embedded() {
    readers_see_what_was_acknowledged(Place::embedded()).await;
    many_writers_of_the_same_points_count_each_once(Place::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_writers_postgres() {
    if let Some(place) = Place::postgres() {
        readers_see_what_was_acknowledged(place).await;
    }
    if let Some(place) = Place::postgres() {
        many_writers_of_the_same_points_count_each_once(place).await;
    }
}

#[tokio::test]
async fn two_servers_share_one_postgres() {
    let Some(place) = Place::postgres() else {
        return;
    };
    let (a, b) = tokio::join!(
        place.open(Options::default()),
        place.open(Options::default())
    );
    let device = Uuid::from_u128(1);
    let point = |ts, value: f64| {
        vec![Point {
            device,
            key: "t".into(),
            ts,
            value: Value::Number(value),
        }]
    };
    a.append(point(5, 1.0)).await.unwrap();
    let appended = b.append(point(5, 2.0)).await.unwrap();
    assert_eq!((appended.new, appended.replaced), (0, 1));
    // A late point does not become the latest.
    b.append(point(4, 3.0)).await.unwrap();
    assert_eq!(
        a.latest(device).await.unwrap()[0].1.value,
        Value::Number(2.0)
    );
    b.delete_device(device).await.unwrap();
    assert!(a.latest(device).await.unwrap().is_empty());
    a.append(point(3, 4.0)).await.unwrap();
    assert_eq!(b.recent(device, "t", 9).await.unwrap(), [(3, 4.0)]);
    a.close().await.unwrap();
    b.close().await.unwrap();
    place.clean_up().await;
}
