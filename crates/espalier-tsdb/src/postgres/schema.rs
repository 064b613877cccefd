//! The tables in PostgreSQL and every statement on them. All live in one schema, made by the engine itself.
//!
//! | table    | a row is                                                                                              |
//! |----------|-------------------------------------------------------------------------------------------------------|
//! | `format` | the version of these tables                                                                            |
//! | `series` | one (device, key) and its id; never removed, so that ids may be cached by every server                 |
//! | `point`  | one point; primary key (series, ts); partitioned by month of `ts`, with a default partition            |
//! | `latest` | the newest point of a series                                                                           |
//!
//! `kind` is 0 number, 1 truth value (0 or 1 in `number`), 2 text, 3 JSON (UTF-8 in `body`: bytes, because PostgreSQL's
//! text cannot hold every string). A partition `point_YYYY_MM` is made when the first point of its month arrives; points
//! of times where none can be made go to the default partition. Only plain SQL: no extension, no advisory lock, no
//! NOTIFY, so that databases that speak PostgreSQL's protocol will do.

use deadpool_postgres::Client;

use super::database_error;
use crate::error::{Error, Result};

const VERSION: i32 = 1;

/// First and last month that get a partition, as months since year 0: 2015 to 2099. Other times are clocks that were
/// never set; a partition for each of their months would be a way to fill the catalogue.
const FIRST_MONTH: i64 = 2015 * 12;
const LAST_MONTH: i64 = 2100 * 12 - 1;

const DAY_MS: i64 = 86_400_000;

/// The statements, with the name of the schema in them.
#[derive(Debug)]
pub(super) struct Sql {
    schema: String,
    pub(super) add_series: String,
    pub(super) series_ids: String,
    pub(super) find_series: String,
    pub(super) all_series: String,
    pub(super) insert_new: String,
    pub(super) existing: String,
    pub(super) upsert: String,
    pub(super) upsert_latest: String,
    pub(super) delete_points: String,
    pub(super) delete_latest: String,
    pub(super) refill_latest: String,
    pub(super) expire_points: String,
    pub(super) expire_latest: String,
    pub(super) latest: String,
    pub(super) raw_asc: String,
    pub(super) raw_desc: String,
    pub(super) recent: String,
    pub(super) sizes: String,
}

impl Sql {
    pub(super) fn new(schema: &str) -> Result<Self> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if schema.is_empty()
            || schema.len() > 40
            || !schema.chars().all(plain)
            || schema.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(Error::Unsupported(
                "the PostgreSQL schema for telemetry must be a name of a-z, 0-9 and _, at most 40 long",
            ));
        }
        let s = schema;
        let rows = "unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::float8[], $5::bytea[])";
        let raw = |order: &str| {
            format!(
                "select ts, kind, number, body from {s}.point where series = $1 and ts >= $2 and ts < $3 order by ts {order} limit $4"
            )
        };
        Ok(Self {
            add_series: format!(
                "insert into {s}.series (device, key) select * from unnest($1::uuid[], $2::text[]) on conflict (device, key) do nothing"
            ),
            series_ids: format!(
                "select s.id, s.device, s.key from {s}.series s \
                 join unnest($1::uuid[], $2::text[]) as w (device, key) on s.device = w.device and s.key = w.key"
            ),
            find_series: format!(
                "select id from {s}.series where device = $1 and key = coalesce($2::text, key) order by id"
            ),
            all_series: format!("select id, device, key from {s}.series order by id"),
            insert_new: format!(
                "insert into {s}.point (series, ts, kind, number, body) select * from {rows} on conflict (series, ts) do nothing"
            ),
            existing: format!(
                "select p.series, p.ts from {s}.point p \
                 join unnest($1::bigint[], $2::bigint[]) as w (series, ts) on p.series = w.series and p.ts = w.ts"
            ),
            upsert: format!(
                "insert into {s}.point (series, ts, kind, number, body) select * from {rows} \
                 on conflict (series, ts) do update set kind = excluded.kind, number = excluded.number, body = excluded.body"
            ),
            upsert_latest: format!(
                "insert into {s}.latest (series, ts, kind, number, body) select * from {rows} \
                 on conflict (series) do update set ts = excluded.ts, kind = excluded.kind, number = excluded.number, \
                 body = excluded.body where {s}.latest.ts <= excluded.ts"
            ),
            delete_points: format!(
                "delete from {s}.point where series = any($1) and ts >= $2 and ts < $3"
            ),
            delete_latest: format!(
                "delete from {s}.latest where series = any($1) and ts >= $2 and ts < $3"
            ),
            refill_latest: format!(
                "insert into {s}.latest (series, ts, kind, number, body) \
                 select p.series, p.ts, p.kind, p.number, p.body from unnest($1::bigint[]) as w (series) \
                 cross join lateral (select * from {s}.point where series = w.series order by ts desc limit 1) p \
                 on conflict (series) do update set ts = excluded.ts, kind = excluded.kind, number = excluded.number, \
                 body = excluded.body where {s}.latest.ts <= excluded.ts"
            ),
            expire_points: format!(
                "delete from {s}.point p using unnest($1::bigint[], $2::bigint[]) as w (series, cutoff) \
                 where p.series = w.series and p.ts < w.cutoff"
            ),
            expire_latest: format!(
                "delete from {s}.latest l using unnest($1::bigint[], $2::bigint[]) as w (series, cutoff) \
                 where l.series = w.series and l.ts < w.cutoff"
            ),
            latest: format!(
                "select s.key, l.ts, l.kind, l.number, l.body from {s}.series s join {s}.latest l on l.series = s.id where s.device = $1"
            ),
            raw_asc: raw("asc"),
            raw_desc: raw("desc"),
            recent: format!(
                "select ts, number from {s}.point where series = $1 and kind < 2 order by ts desc limit $2"
            ),
            sizes: format!(
                "select (select count(*) from {s}.series), \
                 coalesce(sum(greatest(c.reltuples, 0)) filter (where c.relname like 'point%' and c.relkind = 'r'), 0)::bigint, \
                 coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint \
                 from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = '{s}' and c.relkind = 'r'"
            ),
            schema: schema.to_owned(),
        })
    }

    /// The statement that makes the partition of `month`, or nothing when that month does not get one.
    pub(super) fn create_partition(&self, month: i64) -> Option<String> {
        if !(FIRST_MONTH..=LAST_MONTH).contains(&month) {
            return None;
        }
        let (s, year, in_year) = (&self.schema, month / 12, month % 12 + 1);
        let (from, to) = (month_start(month), month_start(month + 1));
        // Making a partition needs a short exclusive lock; if a long query holds it up, the default partition will do.
        Some(format!(
            "set local lock_timeout = '2s'; \
             create table if not exists {s}.point_{year}_{in_year:02} partition of {s}.point for values from ({from}) to ({to})"
        ))
    }
}

/// The month of a time, as months since year 0 (may be negative).
pub(super) fn month_of(ts: i64) -> i64 {
    let (year, month, _) = civil(ts.div_euclid(DAY_MS));
    year * 12 + month - 1
}

/// Milliseconds at which a month starts.
fn month_start(month: i64) -> i64 {
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    // Counted from March, so that the leap day is the last of a year; the well-known arithmetic of the civil calendar.
    let (year, shifted) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * shifted + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era - 719_468) * DAY_MS
}

/// Year, month and day of a day since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Makes the tables when they are missing. Several servers may start at once: who loses the race looks again.
pub(super) async fn create(client: &mut Client, sql: &Sql) -> Result<()> {
    const ATTEMPTS: usize = 5;
    let mut attempt = 1;
    loop {
        match try_create(client, sql).await {
            Err(Error::Database {
                source: Some(source),
                ..
            }) if attempt < ATTEMPTS && is_race(&*source) => attempt += 1,
            result => return result,
        }
    }
}

fn is_race(error: &(dyn std::error::Error + 'static)) -> bool {
    use tokio_postgres::error::SqlState;
    let code = error
        .downcast_ref::<tokio_postgres::Error>()
        .and_then(tokio_postgres::Error::code);
    code.is_some_and(|code| {
        [
            SqlState::UNIQUE_VIOLATION,
            SqlState::DUPLICATE_TABLE,
            SqlState::DUPLICATE_SCHEMA,
            SqlState::DUPLICATE_OBJECT,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
        ]
        .contains(code)
    })
}

async fn try_create(client: &mut Client, sql: &Sql) -> Result<()> {
    let fail = database_error("make the tables for telemetry");
    let s = &sql.schema;
    let exists = format!("select to_regclass('{s}.format') is not null");
    let exists: bool = client.query_one(&exists, &[]).await.map_err(fail)?.get(0);
    if !exists {
        let transaction = client.transaction().await.map_err(fail)?;
        let tables = format!(
            "create schema if not exists {s}; \
             create table {s}.format (version integer primary key); \
             create table {s}.series (id bigint generated always as identity primary key, device uuid not null, \
                 key text not null, unique (device, key)); \
             create table {s}.point (series bigint not null, ts bigint not null, kind smallint not null, \
                 number double precision, body bytea, primary key (series, ts)) partition by range (ts); \
             create table {s}.point_default partition of {s}.point default; \
             create table {s}.latest (series bigint primary key, ts bigint not null, kind smallint not null, \
                 number double precision, body bytea) with (fillfactor = 70); \
             insert into {s}.format values ({VERSION})"
        );
        transaction.batch_execute(&tables).await.map_err(fail)?;
        transaction.commit().await.map_err(fail)?;
    }
    let version = format!("select max(version) from {s}.format");
    let version: Option<i32> = client.query_one(&version, &[]).await.map_err(fail)?.get(0);
    match version {
        Some(VERSION) => Ok(()),
        found => {
            let found = found.map_or("none".to_owned(), |version| version.to_string());
            let reason = format!(
                "its format is {found}, this program knows {VERSION}; use the program that made it"
            );
            Err(Error::Incompatible {
                path: format!("PostgreSQL schema {s}").into(),
                reason,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_follow_the_calendar() {
        assert_eq!(month_of(0), 1970 * 12);
        assert_eq!(month_of(-1), 1970 * 12 - 1);
        assert_eq!(
            month_of(1_709_164_800_000),
            2024 * 12 + 1,
            "29 February 2024"
        );
        assert_eq!(month_of(1_709_251_200_000), 2024 * 12 + 2, "1 March 2024");
        for month in -5000..50_000 {
            let start = month_start(month);
            assert_eq!((month_of(start), month_of(start - 1)), (month, month - 1));
        }
        // The ends of time have months, too.
        assert!(month_of(i64::MIN) < 0 && month_of(i64::MAX) > LAST_MONTH);
    }

    #[test]
    fn only_plain_names_become_sql() {
        assert!(Sql::new("telemetry_2").is_ok());
        for name in ["", "2x", "a-b", "A", "x; drop table y", &"x".repeat(41)] {
            assert!(Sql::new(name).is_err(), "{name}");
        }
        let sql = Sql::new("t").unwrap();
        assert!(sql.create_partition(month_of(0)).is_none());
        let partition = sql.create_partition(2026 * 12 + 10).unwrap();
        assert!(partition.contains("t.point_2026_11 partition of t.point for values from (1793491200000) to (1796083200000)"), "{partition}");
    }
}
