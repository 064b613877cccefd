//! The engine against a map that does everything the obvious way, under any interleaving of appends (late, repeated,
//! replacing), seals, restarts, crashes, retention and deletes, with every kind of question after each step.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::support::{self, Place};
use espalier_tsdb::{
    Agg, Bucket, Buckets, Mode, Options, Order, Point, RetentionRule, Sample, ScanQuery, Tsdb,
    Value,
};
use proptest::prelude::*;
use uuid::Uuid;

const DEVICES: u128 = 2;
const KEYS: [&str; 3] = ["a", "b", "ключ"];

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Point>),
    Seal,
    Reopen,
    Crash,
    Retention {
        keep: i64,
        now: i64,
        device: Option<Uuid>,
        key: Option<usize>,
    },
    DeleteRange {
        device: Uuid,
        key: Option<usize>,
        from: i64,
        to: i64,
    },
    DeleteDevice(Uuid),
    Ask {
        from: i64,
        to: i64,
        limit: usize,
        edges: Vec<i64>,
        width: i64,
    },
}

fn device() -> impl Strategy<Value = Uuid> {
    (1..=DEVICES).prop_map(Uuid::from_u128)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => (-500i32..500).prop_map(|i| Value::Number(f64::from(i) / 10.0)),
        1 => any::<i32>().prop_map(|i| Value::Number(f64::from(i) / 7.0)),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => "[a-c\u{0}ß]{0,3}".prop_map(|text| Value::Text(text.into())),
        1 => "[a-c]{0,3}".prop_map(|text| Value::Json(format!("[{text:?}]").into())),
    ]
}

fn points() -> impl Strategy<Value = Vec<Point>> {
    let point = |(device, key, ts, value): (Uuid, usize, i64, Value)| Point {
        device,
        key: KEYS[key].into(),
        ts,
        value,
    };
    let scattered = prop::collection::vec(
        (device(), 0..KEYS.len(), 0i64..300, value()).prop_map(point),
        1..40,
    );
    let in_order = (
        device(),
        0..KEYS.len(),
        0i64..400,
        1i64..4,
        prop::collection::vec(value(), 1..80),
    )
        .prop_map(|(device, key, start, step, values)| {
            let at = |(i, value)| Point {
                device,
                key: KEYS[key].into(),
                ts: start + i as i64 * step,
                value,
            };
            values.into_iter().enumerate().map(at).collect()
        });
    prop_oneof![scattered, in_order]
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop::option::of(0..KEYS.len());
    prop_oneof![
        10 => points().prop_map(Step::Append),
        3 => Just(Step::Seal),
        1 => Just(Step::Reopen),
        2 => Just(Step::Crash),
        1 => (0i64..300, 0i64..500, prop::option::of(device()), key.clone())
            .prop_map(|(keep, now, device, key)| Step::Retention { keep, now, device, key }),
        2 => (device(), key, 0i64..400, 0i64..200)
            .prop_map(|(device, key, from, len)| Step::DeleteRange { device, key, from, to: from + len }),
        1 => device().prop_map(Step::DeleteDevice),
        6 => (-10i64..400, 0i64..400, 0usize..60, prop::collection::btree_set(-10i64..500, 0..6), 1i64..60)
            .prop_map(|(from, len, limit, edges, width)| {
                Step::Ask { from, to: from + len, limit, edges: edges.into_iter().collect(), width }
            }),
    ]
}

type Model = BTreeMap<(Uuid, &'static str), BTreeMap<i64, Value>>;

fn name(key: &str) -> &'static str {
    KEYS.into_iter().find(|name| *name == key).unwrap()
}

fn remove(model: &mut Model, matches: impl Fn(Uuid, &str) -> bool, from: i64, to: i64) -> u64 {
    let mut removed = 0;
    for ((device, key), points) in model {
        if matches(*device, key) && from < to {
            let before = points.len();
            points.retain(|ts, _| *ts < from || *ts >= to);
            removed += before - points.len();
        }
    }
    removed as u64
}

async fn run(mut place: Place, steps: Vec<Step>) {
    let options = Options {
        chunk_points: 16,
        seal_points: 60,
        recent_points: 5,
        ..Options::default()
    };
    let mut tsdb = place.open(options.clone()).await;
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Append(points) => {
                let mut new = 0;
                for point in &points {
                    let series = model.entry((point.device, name(&point.key))).or_default();
                    new += u64::from(series.insert(point.ts, point.value.clone()).is_none());
                }
                let accepted = points.len() as u64;
                let appended = tsdb.append(points).await.unwrap();
                assert_eq!(
                    (appended.accepted, appended.new, appended.replaced),
                    (accepted, new, accepted - new)
                );
            }
            Step::Seal => tsdb.seal_now().await.unwrap(),
            Step::Reopen => {
                tsdb.close().await.unwrap();
                tsdb = place.open(options.clone()).await;
            }
            Step::Crash => {
                place.crash(tsdb);
                tsdb = place.open(options.clone()).await;
            }
            Step::Retention {
                keep,
                now,
                device,
                key,
            } => {
                let key = key.map(|key| KEYS[key]);
                let rules = [RetentionRule {
                    device,
                    key: key.map(Into::into),
                    keep_ms: keep,
                }];
                let removed = tsdb.enforce_retention(&rules, now).await.unwrap();
                let matches = |d, k: &str| {
                    device.is_none_or(|device| device == d) && key.is_none_or(|key| key == k)
                };
                assert_eq!(removed, remove(&mut model, matches, i64::MIN, now - keep));
            }
            Step::DeleteRange {
                device,
                key,
                from,
                to,
            } => {
                let key = key.map(|key| KEYS[key]);
                let removed = tsdb
                    .delete_range(device, key.map(Into::into), from, to)
                    .await
                    .unwrap();
                assert_eq!(
                    removed,
                    remove(
                        &mut model,
                        |d, k| d == device && key.is_none_or(|key| key == k),
                        from,
                        to
                    )
                );
            }
            Step::DeleteDevice(device) => {
                let removed = tsdb.delete_device(device).await.unwrap();
                assert_eq!(
                    removed,
                    remove(&mut model, |d, _| d == device, i64::MIN, i64::MAX)
                );
            }
            Step::Ask {
                from,
                to,
                limit,
                edges,
                width,
            } => ask(&tsdb, &model, from, to, limit, edges, width).await,
        }
    }
    ask(
        &tsdb,
        &model,
        i64::MIN,
        i64::MAX,
        usize::MAX,
        vec![0, 50, 51, 400],
        7,
    )
    .await;
    tsdb.close().await.unwrap();
    place.clean_up().await;
}

async fn ask(
    tsdb: &Tsdb,
    model: &Model,
    from: i64,
    to: i64,
    limit: usize,
    edges: Vec<i64>,
    width: i64,
) {
    let empty = BTreeMap::new();
    for device in (1..=DEVICES).map(Uuid::from_u128) {
        let mut latest = Vec::new();
        for key in KEYS {
            let points = model.get(&(device, key)).unwrap_or(&empty);
            let all: Vec<Sample> = points
                .range(from..to)
                .map(|(ts, value)| Sample {
                    ts: *ts,
                    value: value.clone(),
                })
                .collect();
            if let Some((ts, value)) = points.last_key_value() {
                latest.push((
                    Arc::from(key),
                    Sample {
                        ts: *ts,
                        value: value.clone(),
                    },
                ));
            }
            let (samples, more) = support::raw(
                tsdb,
                device,
                key,
                from,
                to,
                Mode::Raw {
                    limit,
                    order: Order::Asc,
                },
            )
            .await;
            assert_eq!(
                (&samples[..], more),
                (&all[..all.len().min(limit)], all.len() > limit)
            );
            let (samples, more) = support::raw(
                tsdb,
                device,
                key,
                from,
                to,
                Mode::Raw {
                    limit,
                    order: Order::Desc,
                },
            )
            .await;
            assert!(
                samples.iter().eq(all.iter().rev().take(limit)) && more == (all.len() > limit),
                "{samples:?} {all:?}"
            );

            for buckets in [
                Buckets::Edges(edges.clone()),
                Buckets::Fixed {
                    start: from.max(-20),
                    width,
                    count: 40,
                },
            ] {
                let answer = support::buckets(tsdb, device, key, from, to, buckets.clone()).await;
                assert_same(&answer, &aggregate(&all, &buckets));
            }
            for n in [1, 5, 8] {
                let mut expected: Vec<(i64, f64)> = points
                    .iter()
                    .rev()
                    .filter_map(|(ts, value)| Some((*ts, value.as_number()?)))
                    .take(n)
                    .collect();
                expected.reverse();
                assert_eq!(
                    tsdb.recent(device, key, n).await.unwrap(),
                    expected,
                    "newest {n} of {key}"
                );
            }
            let mut scan = tsdb.scan(ScanQuery {
                series: vec![(device, key.into())],
                from,
                to,
                page_points: 7,
            });
            let mut scanned = Vec::new();
            while let Some(page) = scan.next_page().await.unwrap() {
                assert!((1..=7).contains(&page.samples.len()));
                scanned.extend(page.samples);
            }
            assert_eq!(scanned, all);
        }
        latest.sort_by(|a: &(Arc<str>, Sample), b| a.0.cmp(&b.0));
        assert_eq!(tsdb.latest(device).await.unwrap(), latest);
        assert_eq!(
            tsdb.keys(device).await.unwrap(),
            latest.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        );
    }
}

fn aggregate(samples: &[Sample], buckets: &Buckets) -> Vec<Bucket> {
    let mut answer: Vec<Bucket> = Vec::new();
    for index in 0..buckets.len() {
        let (start, end) = buckets.bounds(index);
        let mut inside = samples
            .iter()
            .filter(|sample| sample.ts >= start && sample.ts < end);
        let Some(first) = inside.next() else { continue };
        let mut agg = Agg::of(first.ts, first.value.clone());
        for sample in inside {
            agg.extend(Agg::of(sample.ts, sample.value.clone()));
        }
        answer.push(Bucket {
            index,
            start,
            end,
            agg,
        });
    }
    answer
}

/// Equal but for the rounding of sums, which depends on their order.
fn assert_same(answer: &[Bucket], expected: &[Bucket]) {
    assert_eq!(answer.len(), expected.len(), "{answer:?} {expected:?}");
    for (a, b) in answer.iter().zip(expected) {
        let (sum_a, sum_b) = (a.agg.sum.unwrap_or(0.0), b.agg.sum.unwrap_or(0.0));
        assert!(
            (sum_a - sum_b).abs() <= 1e-6 * (1.0 + sum_b.abs()),
            "{a:?} {b:?}"
        );
        let mut a = a.clone();
        a.agg.sum = b.agg.sum.filter(|_| a.agg.sum.is_some());
        assert_eq!(&a, b);
    }
}

fn on_runtime(run: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, ..ProptestConfig::default() })]
    #[test]
    fn the_embedded_engine_is_the_model(steps in prop::collection::vec(step(), 1..40)) {
        on_runtime(run(Place::embedded(), steps));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 60, ..ProptestConfig::default() })]
    #[test]
    fn the_postgres_engine_is_the_model(steps in prop::collection::vec(step(), 1..30)) {
        if let Some(place) = Place::postgres() {
            on_runtime(run(place, steps));
        }
    }
}
