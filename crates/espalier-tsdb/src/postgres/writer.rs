//! The writer task: everything that waits becomes one transaction, then all its callers are answered.
//!
//! Nearly all points are new, so the first try inserts and ignores conflicts; only when some rows were there already the
//! transaction is done again with the general statements, which also tell who brought what.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use deadpool_postgres::Object;
use tokio::sync::{mpsc, oneshot};

use super::{Shared, database_error, schema};
use crate::error::{Error, Result};
use crate::options::room;
use crate::types::{Appended, Point, Value};

/// One append.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) points: Vec<Point>,
    pub(super) reply: oneshot::Sender<Result<Appended>>,
}

/// Runs until the sender of `jobs` is gone and everything is answered.
pub(super) async fn run(shared: Arc<Shared>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut partitions = HashSet::new();
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(job) => job,
            None => match jobs.recv().await {
                Some(job) => job,
                None => return,
            },
        };
        let mut total = first.points.len();
        let mut group = vec![first];
        while let Ok(job) = jobs.try_recv() {
            if total + job.points.len() > shared.options.max_commit_points {
                next = Some(job);
                break;
            }
            total += job.points.len();
            group.push(job);
        }
        let result = store(&shared, &group, &mut partitions).await;
        let most = shared.options.max_queued_points;
        let rooms = group.iter().map(|job| room(job.points.len(), most));
        shared.queued.fetch_sub(rooms.sum(), Relaxed);
        answer(&shared, group, result);
    }
}

fn answer(shared: &Shared, group: Vec<Job>, result: Result<Vec<u64>>) {
    match result {
        Ok(new) => {
            shared.commits.fetch_add(1, Relaxed);
            for (job, new) in group.into_iter().zip(new) {
                let accepted = job.points.len() as u64;
                shared.accepted.fetch_add(accepted, Relaxed);
                shared.new.fetch_add(new, Relaxed);
                let _ = job.reply.send(Ok(Appended {
                    accepted,
                    new,
                    replaced: accepted - new,
                }));
            }
        }
        Err(error) => {
            tracing::error!(%error, "telemetry could not be stored");
            let detail = error.to_string();
            let mut first = Some(error);
            for job in group {
                let error = first.take().unwrap_or_else(|| Error::Database {
                    detail: detail.clone(),
                    source: None,
                });
                let _ = job.reply.send(Err(error));
            }
        }
    }
}

/// The distinct points of a group as columns, sorted by (series, ts) so that servers lock rows in one order.
#[derive(Debug, Default)]
struct Columns<'a> {
    series: Vec<i64>,
    ts: Vec<i64>,
    kind: Vec<i16>,
    number: Vec<Option<f64>>,
    body: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, series: i64, ts: i64, value: &'a Value) {
        let (kind, number, body) = match value {
            Value::Number(number) => (0, Some(*number), None),
            Value::Bool(flag) => (1, Some(f64::from(u8::from(*flag))), None),
            Value::Text(text) => (2, None, Some(text.as_bytes())),
            Value::Json(text) => (3, None, Some(text.as_bytes())),
        };
        self.series.push(series);
        self.ts.push(ts);
        self.kind.push(kind);
        self.number.push(number);
        self.body.push(body);
    }

    fn params(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 5] {
        [&self.series, &self.ts, &self.kind, &self.number, &self.body]
    }
}

/// Stores a group and returns how many points of each append were new.
async fn store(shared: &Shared, group: &[Job], partitions: &mut HashSet<i64>) -> Result<Vec<u64>> {
    let mut client = shared.client().await?;
    resolve(shared, &client, group).await?;
    // Distinct points with the last value given and the append that brought them first.
    let mut distinct: HashMap<(i64, i64), (&Value, usize)> = HashMap::new();
    for (index, job) in group.iter().enumerate() {
        for point in &job.points {
            let id = shared
                .known(point.device, &point.key)
                .ok_or(Error::Closed)?;
            distinct
                .entry((id, point.ts))
                .and_modify(|entry| entry.0 = &point.value)
                .or_insert((&point.value, index));
        }
    }
    let mut sorted: Vec<_> = distinct
        .iter()
        .map(|(id, (value, first))| (*id, *value, *first))
        .collect();
    sorted.sort_unstable_by_key(|(id, _, _)| *id);
    let (mut points, mut newest) = (Columns::default(), Columns::default());
    for (at, ((series, ts), value, _)) in sorted.iter().enumerate() {
        points.push(*series, *ts, value);
        if sorted
            .get(at + 1)
            .is_none_or(|((next, _), _, _)| next != series)
        {
            newest.push(*series, *ts, value);
        }
    }
    make_partitions(shared, &mut client, &points.ts, partitions).await;
    let old: HashSet<(i64, i64)> = if insert_new(shared, &mut client, &points, &newest).await? {
        HashSet::new()
    } else {
        upsert(shared, &mut client, &points, &newest).await?
    };
    let mut new = vec![0; group.len()];
    sorted
        .iter()
        .filter(|(id, _, _)| !old.contains(id))
        .for_each(|(_, _, first)| new[*first] += 1);
    Ok(new)
}

/// Learns the ids of all series of a group, making those that do not exist.
async fn resolve(shared: &Shared, client: &Object, group: &[Job]) -> Result<()> {
    let fail = database_error("add series of telemetry");
    let mut unknown = HashSet::new();
    for point in group.iter().flat_map(|job| &job.points) {
        if shared.known(point.device, &point.key).is_none() {
            unknown.insert((point.device, Arc::clone(&point.key)));
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let mut unknown: Vec<_> = unknown.into_iter().collect();
    unknown.sort_unstable();
    let (devices, keys): (Vec<_>, Vec<&str>) = unknown
        .iter()
        .map(|(device, key)| (*device, &**key))
        .unzip();
    client
        .execute(&shared.sql.add_series, &[&devices, &keys])
        .await
        .map_err(fail)?;
    for row in client
        .query(&shared.sql.series_ids, &[&devices, &keys])
        .await
        .map_err(fail)?
    {
        shared.remember(row.get(1), row.get::<_, &str>(2).into(), row.get(0));
    }
    Ok(())
}

/// Makes the partitions for months that are met for the first time. Where that fails the default partition is used.
async fn make_partitions(
    shared: &Shared,
    client: &mut Object,
    times: &[i64],
    known: &mut HashSet<i64>,
) {
    let months: HashSet<i64> = times
        .iter()
        .map(|ts| schema::month_of(*ts))
        .filter(|month| !known.contains(month))
        .collect();
    for month in months {
        if let Some(create) = shared.sql.create_partition(month) {
            // The setting of the lock's time is only for this transaction.
            let made = async {
                let transaction = client.transaction().await?;
                transaction.batch_execute(&create).await?;
                transaction.commit().await
            };
            if let Err(error) = made.await {
                tracing::info!(%error, month, "no partition for a month of telemetry; its points go to the default partition");
            }
        }
        known.insert(month);
    }
}

/// Stores points if all are new. Otherwise nothing is stored and the answer is no.
async fn insert_new(
    shared: &Shared,
    client: &mut Object,
    points: &Columns<'_>,
    newest: &Columns<'_>,
) -> Result<bool> {
    let fail = database_error("store telemetry");
    let insert = client
        .prepare_cached(&shared.sql.insert_new)
        .await
        .map_err(fail)?;
    let latest = client
        .prepare_cached(&shared.sql.upsert_latest)
        .await
        .map_err(fail)?;
    let transaction = client.transaction().await.map_err(fail)?;
    let inserted = transaction
        .execute(&insert, &points.params())
        .await
        .map_err(fail)?;
    if inserted != points.ts.len() as u64 {
        transaction.rollback().await.map_err(fail)?;
        return Ok(false);
    }
    transaction
        .execute(&latest, &newest.params())
        .await
        .map_err(fail)?;
    transaction.commit().await.map_err(fail)?;
    Ok(true)
}

/// Stores points of which some exist and returns those.
async fn upsert(
    shared: &Shared,
    client: &mut Object,
    points: &Columns<'_>,
    newest: &Columns<'_>,
) -> Result<HashSet<(i64, i64)>> {
    let fail = database_error("store telemetry");
    let existing = client
        .prepare_cached(&shared.sql.existing)
        .await
        .map_err(fail)?;
    let upsert = client
        .prepare_cached(&shared.sql.upsert)
        .await
        .map_err(fail)?;
    let latest = client
        .prepare_cached(&shared.sql.upsert_latest)
        .await
        .map_err(fail)?;
    let transaction = client.transaction().await.map_err(fail)?;
    let rows = transaction
        .query(&existing, &[&points.series, &points.ts])
        .await
        .map_err(fail)?;
    transaction
        .execute(&upsert, &points.params())
        .await
        .map_err(fail)?;
    transaction
        .execute(&latest, &newest.params())
        .await
        .map_err(fail)?;
    transaction.commit().await.map_err(fail)?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
