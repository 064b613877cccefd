//! The database file: its tables, its version, how connections to it are set up, and what SQLite's errors mean to us.
//!
//! | table     | a row is                                                                                            |
//! |-----------|-----------------------------------------------------------------------------------------------------|
//! | `series`  | one (device, key) and its number; numbers are never used again                                       |
//! | `journal` | one record per commit (`journal.rs`), deleted from the front by seals                                |
//! | `chunk`   | some consecutive samples of one series (`codec/chunk.rs`) and what they amount to; chunks of a series never overlap in time |
//! | `totals`  | one row: the number of chunks, their points and their bytes                                          |
//!
//! `chunk.first` and `chunk.last` hold a value in SQLite's own kinds: REAL number, INTEGER truth value, TEXT text, BLOB JSON.

use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Error, Result};
use crate::options::{Options, Synchronous};
use crate::types::Value;

/// "EsTs": marks the file as ours for `file(1)` and against opening something else by mistake.
const APPLICATION_ID: i64 = 0x4573_5473;
/// Version of tables, journal records and chunks together.
const SCHEMA_VERSION: i64 = 1;

/// Chunks of about 1,000 points take 1 to 4 KB: on 8 KB pages little is wasted, and a small commit still writes little.
const PAGE_BYTES: i64 = 8192;
/// Pages in the write-ahead log before a commit must fold it into the file itself (32 MB); seals do it earlier, off the
/// commit path.
const WAL_PAGES: i64 = 4096;

const TABLES: &str = "
    create table series (
        id integer primary key autoincrement,
        device blob not null,
        key text not null,
        unique (device, key)
    );
    create table journal (seq integer primary key, data blob not null);
    create table chunk (
        id integer primary key,
        series integer not null,
        t0 integer not null,
        t1 integer not null,
        n integer not null,
        numeric integer not null,
        min, max, sum, first, last,
        data blob not null
    );
    create unique index chunk_by_time on chunk (series, t0);
    create table totals (chunks integer not null, points integer not null, bytes integer not null);
    insert into totals values (0, 0, 0);
";

/// Opens the connection that writes, creating the tables of a new file.
pub(super) fn open_writer(path: &Path, options: &Options) -> Result<Connection> {
    let fail = |e| storage_error(path, e);
    let conn = Connection::open(path).map_err(fail)?;
    conn.pragma_update(None, "page_size", PAGE_BYTES)
        .map_err(fail)?;
    let version = version_of(&conn, path)?;
    // The log mode is stored in the file, so it comes only after we know that the file is ours.
    conn.query_row("pragma journal_mode = wal", [], |_| Ok(()))
        .map_err(fail)?;
    let synchronous = match options.synchronous {
        Synchronous::Full => "full",
        Synchronous::Normal => "normal",
    };
    conn.pragma_update(None, "synchronous", synchronous)
        .map_err(fail)?;
    conn.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)
        .map_err(fail)?;
    // After a checkpoint the log is cut back to this, so one burst does not keep the disk.
    conn.pragma_update(None, "journal_size_limit", WAL_PAGES * PAGE_BYTES)
        .map_err(fail)?;
    conn.pragma_update(None, "cache_size", -16_384)
        .map_err(fail)?;
    if let Some(bytes) = options.max_file_bytes {
        let pages = (bytes / PAGE_BYTES.unsigned_abs()).max(1);
        conn.query_row(&format!("pragma max_page_count = {pages}"), [], |_| Ok(()))
            .map_err(fail)?;
    }
    if version.is_none() {
        let create = format!(
            "begin immediate; {TABLES} pragma application_id = {APPLICATION_ID}; pragma user_version = {SCHEMA_VERSION}; commit;"
        );
        conn.execute_batch(&create).map_err(fail)?;
    }
    plan_once(&conn).map_err(fail)?;
    conn.set_prepared_statement_cache_capacity(32);
    Ok(conn)
}

/// The format version of our file, or nothing for an empty one.
fn version_of(conn: &Connection, path: &Path) -> Result<Option<i64>> {
    let number = |sql: &str| {
        conn.query_row(sql, [], |row| row.get::<_, i64>(0))
            .map_err(|error| storage_error(path, error))
    };
    let application = number("pragma application_id")?;
    let version = number("pragma user_version")?;
    let tables = number("select count(*) from sqlite_schema")?;
    let incompatible = |reason: String| {
        Err(Error::Incompatible {
            path: path.into(),
            reason,
        })
    };
    match (application, version, tables) {
        (APPLICATION_ID, SCHEMA_VERSION, _) => Ok(Some(version)),
        (APPLICATION_ID, newer, _) if newer > SCHEMA_VERSION => incompatible(format!(
            "it has format {newer}, this program knows {SCHEMA_VERSION}; use the newer program"
        )),
        (0, 0, 0) => Ok(None),
        _ => incompatible("it is a database of something else; choose another path".into()),
    }
}

/// Refuses a file that is not a telemetry store of a format we know.
pub(super) fn verify(conn: &Connection, path: &Path) -> Result<()> {
    match version_of(conn, path)? {
        Some(_) => Ok(()),
        None => Err(Error::Incompatible {
            path: path.into(),
            reason: "it is empty".into(),
        }),
    }
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let fail = |e| storage_error(path, e);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(fail)?;
    conn.pragma_update(None, "cache_size", -8_192)
        .map_err(fail)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))
        .map_err(fail)?;
    plan_once(&conn).map_err(fail)?;
    conn.set_prepared_statement_cache_capacity(16);
    Ok(conn)
}

/// Lets SQLite keep the plan of a prepared statement whatever is bound to it. It would otherwise parse and plan range
/// lookups again for every new bound value, which costs several times the lookup itself.
fn plan_once(conn: &Connection) -> rusqlite::Result<bool> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
}

/// The file that keeps a second process out.
pub(super) fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Turns SQLite's error into ours, with the file's name.
pub(super) fn storage_error(path: &Path, error: rusqlite::Error) -> Error {
    let code = error.sqlite_error_code();
    let detail = error.to_string();
    match code {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Error::Corrupt {
            path: path.into(),
            detail,
        },
        _ => Error::Storage {
            path: path.into(),
            detail,
            source: Some(Box::new(error)),
        },
    }
}

/// A value in SQLite's kinds.
pub(super) fn to_sql(value: &Value) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        Value::Number(number) => ValueRef::Real(*number),
        Value::Bool(flag) => ValueRef::Integer((*flag).into()),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Json(text) => ValueRef::Blob(text.as_bytes()),
    })
}

/// The inverse of [`to_sql`]; nothing for what it never wrote.
pub(super) fn from_sql(value: ValueRef<'_>) -> Option<Value> {
    match value {
        ValueRef::Real(number) if number.is_finite() => Some(Value::Number(number)),
        ValueRef::Integer(flag @ 0..=1) => Some(Value::Bool(flag == 1)),
        ValueRef::Text(text) => std::str::from_utf8(text)
            .ok()
            .map(|text| Value::Text(text.into())),
        ValueRef::Blob(text) => std::str::from_utf8(text)
            .ok()
            .map(|text| Value::Json(text.into())),
        _ => None,
    }
}
