//! Reads from PostgreSQL. Buckets are formed here from streamed rows, with the arithmetic both engines share.

use std::pin::pin;
use std::sync::Arc;

use futures_util::TryStreamExt;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{Shared, database_error};
use crate::error::{Error, Result};
use crate::query::{Bucketer, Buckets, Mode, Order, Query, Rows, SeriesData};
use crate::types::{Sample, Value};

/// The sample in the columns `ts, kind, number, body` that start at `at`.
fn sample(row: &Row, at: usize) -> Result<Sample> {
    let text = || {
        row.get::<_, Option<&[u8]>>(at + 3)
            .and_then(|body| std::str::from_utf8(body).ok())
    };
    let number = || row.get::<_, Option<f64>>(at + 2);
    let value = match row.get::<_, i16>(at + 1) {
        0 => number().map(Value::Number),
        1 => number().map(|number| Value::Bool(number != 0.0)),
        2 => text().map(|text| Value::Text(text.into())),
        3 => text().map(|text| Value::Json(text.into())),
        _ => None,
    };
    let damaged = || Error::Corrupt {
        path: "the PostgreSQL database".into(),
        detail: "a point has an unknown value".into(),
    };
    Ok(Sample {
        ts: row.get(at),
        value: value.ok_or_else(damaged)?,
    })
}

pub(super) async fn latest(shared: &Shared, device: Uuid) -> Result<Vec<(Arc<str>, Sample)>> {
    let fail = database_error("read the latest telemetry");
    let client = shared.client().await?;
    let statement = client
        .prepare_cached(&shared.sql.latest)
        .await
        .map_err(fail)?;
    let rows = client.query(&statement, &[&device]).await.map_err(fail)?;
    let one = |row: &Row| Ok((Arc::from(row.get::<_, &str>(0)), sample(row, 1)?));
    let mut latest: Vec<(Arc<str>, Sample)> = rows.iter().map(one).collect::<Result<_>>()?;
    // Here and not in SQL, where the order would depend on the collation of the database.
    latest.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(latest)
}

async fn series_id(
    shared: &Shared,
    client: &deadpool_postgres::Client,
    device: Uuid,
    key: &str,
) -> Result<Option<i64>> {
    if let Some(id) = shared.known(device, key) {
        return Ok(Some(id));
    }
    let fail = database_error("find a series of telemetry");
    let statement = client
        .prepare_cached(&shared.sql.find_series)
        .await
        .map_err(fail)?;
    let id = client
        .query_opt(&statement, &[&device, &Some(key)])
        .await
        .map_err(fail)?
        .map(|row| row.get(0));
    if let Some(id) = id {
        shared.remember(device, key.into(), id);
    }
    Ok(id)
}

pub(super) async fn query(shared: &Shared, query: Query) -> Result<Vec<SeriesData>> {
    let client = shared.client().await?;
    let mut answer = Vec::with_capacity(query.series.len());
    for (device, key) in query.series {
        let id = series_id(shared, &client, device, &key).await?;
        let rows = match &query.mode {
            Mode::Raw { limit, order } => {
                raw(shared, &client, id, (query.from, query.to), *limit, *order).await?
            }
            Mode::Buckets(buckets) => {
                bucketed(shared, &client, id, (query.from, query.to), buckets).await?
            }
        };
        answer.push(SeriesData { device, key, rows });
    }
    Ok(answer)
}

async fn raw(
    shared: &Shared,
    client: &deadpool_postgres::Client,
    id: Option<i64>,
    (from, to): (i64, i64),
    limit: usize,
    order: Order,
) -> Result<Rows> {
    let fail = database_error("read telemetry");
    let Some(id) = id else {
        return Ok(Rows::Raw {
            samples: Vec::new(),
            more: false,
        });
    };
    let sql = match order {
        Order::Asc => &shared.sql.raw_asc,
        Order::Desc => &shared.sql.raw_desc,
    };
    let statement = client.prepare_cached(sql).await.map_err(fail)?;
    // One row more than the limit tells whether there are more.
    let rows = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let rows = client
        .query(&statement, &[&id, &from, &to, &rows])
        .await
        .map_err(fail)?;
    let samples = rows
        .iter()
        .take(limit)
        .map(|row| sample(row, 0))
        .collect::<Result<_>>()?;
    Ok(Rows::Raw {
        samples,
        more: rows.len() > limit,
    })
}

async fn bucketed(
    shared: &Shared,
    client: &deadpool_postgres::Client,
    id: Option<i64>,
    (from, to): (i64, i64),
    buckets: &Buckets,
) -> Result<Rows> {
    let fail = database_error("read telemetry");
    let mut bucketer = Bucketer::new(buckets);
    if let Some(id) = id
        && !buckets.is_empty()
    {
        let from = from.max(buckets.bounds(0).0);
        let to = to.min(buckets.bounds(buckets.len() - 1).1);
        let statement = client
            .prepare_cached(&shared.sql.raw_asc)
            .await
            .map_err(fail)?;
        let params: [&(dyn ToSql + Sync); 4] = [&id, &from, &to, &i64::MAX];
        let mut rows = pin!(client.query_raw(&statement, params).await.map_err(fail)?);
        while let Some(row) = rows.try_next().await.map_err(fail)? {
            let sample = sample(&row, 0)?;
            bucketer.push(sample.ts, &sample.value);
        }
    }
    Ok(Rows::Buckets(bucketer.finish()))
}

pub(super) async fn recent(
    shared: &Shared,
    device: Uuid,
    key: &str,
    n: usize,
) -> Result<Vec<(i64, f64)>> {
    let fail = database_error("read recent telemetry");
    let client = shared.client().await?;
    let Some(id) = series_id(shared, &client, device, key).await? else {
        return Ok(Vec::new());
    };
    let statement = client
        .prepare_cached(&shared.sql.recent)
        .await
        .map_err(fail)?;
    let limit = i64::try_from(n).unwrap_or(i64::MAX);
    let rows = client
        .query(&statement, &[&id, &limit])
        .await
        .map_err(fail)?;
    let number = |row: &Row| Some((row.get(0), row.get::<_, Option<f64>>(1)?));
    Ok(rows.iter().rev().filter_map(number).collect())
}
