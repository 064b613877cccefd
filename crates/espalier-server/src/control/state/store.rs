//! All SQL of desired and reported state.

use super::memory::Keys;
use espalier_db::{Conn, Error, Result, Row, params};
use espalier_model::{DeviceId, Twin};
use serde_json::Value;

const COLUMNS: &str = "key, desired, version, answered, contested, expired, expires_at, set_by, set_at, \
                       reported, reported_version, reported_at, refused";

/// Every key of every device.
pub fn all(c: &Conn<'_>) -> Result<Vec<(DeviceId, String, Twin)>> {
    let rows = c.query(&format!("select device_id, {COLUMNS} from twin"), params![])?;
    rows.iter()
        .map(|row| {
            let device: String = row.get("device_id")?;
            let device = device.parse().map_err(|_| bad("device_id"))?;
            let (key, twin) = twin(row)?;
            Ok((device, key, twin))
        })
        .collect()
}

/// The keys of one device.
pub fn keys(c: &Conn<'_>, device: DeviceId) -> Result<Keys> {
    let rows = c.query(
        &format!("select {COLUMNS} from twin where device_id = $1"),
        params![device.to_string()],
    )?;
    rows.iter().map(twin).collect()
}

/// Writes one key.
pub fn put(c: &Conn<'_>, device: DeviceId, key: &str, twin: &Twin) -> Result<()> {
    c.execute(
        "insert into twin (device_id, key, desired, version, answered, contested, expired, expires_at, set_by, \
         set_at, reported, reported_version, reported_at, refused) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         on conflict (device_id, key) do update set desired = excluded.desired, version = excluded.version, \
         answered = excluded.answered, contested = excluded.contested, expired = excluded.expired, \
         expires_at = excluded.expires_at, set_by = excluded.set_by, set_at = excluded.set_at, \
         reported = excluded.reported, reported_version = excluded.reported_version, \
         reported_at = excluded.reported_at, refused = excluded.refused",
        params![
            device.to_string(),
            key,
            twin.desired.as_ref().map(Value::to_string),
            stored(twin.version),
            stored(twin.answered),
            twin.contested,
            twin.expired,
            twin.expires_at,
            twin.set_by.clone(),
            twin.set_at,
            twin.reported.as_ref().map(Value::to_string),
            stored(twin.reported_version),
            twin.reported_at,
            twin.refused.clone()
        ],
    )?;
    Ok(())
}

/// Tells whether the device exists.
pub fn device_exists(c: &Conn<'_>, device: DeviceId) -> Result<bool> {
    let found = c.query_opt(
        "select id from device where id = $1",
        params![device.to_string()],
    )?;
    Ok(found.is_some())
}

/// The devices with pending values whose time is over at `now`.
pub fn over(c: &Conn<'_>, now: i64) -> Result<Vec<DeviceId>> {
    let rows = c.query(
        "select distinct device_id from twin where answered < version and expired = 0 and refused is null \
         and expires_at <= $1",
        params![now],
    )?;
    rows.iter()
        .map(|row| {
            let device: String = row.get("device_id")?;
            device.parse().map_err(|_| bad("device_id"))
        })
        .collect()
}

/// The next moment at which a pending value is over.
pub fn next_over(c: &Conn<'_>) -> Result<Option<i64>> {
    c.query_one(
        "select min(expires_at) as at from twin where answered < version and expired = 0 \
         and refused is null",
        params![],
    )?
    .get("at")
}

fn twin(row: &Row) -> Result<(String, Twin)> {
    let (version, answered) = (version(row, "version")?, version(row, "answered")?);
    let twin = Twin {
        desired: json(row, "desired")?,
        version,
        answered,
        contested: row.get("contested")?,
        expired: row.get("expired")?,
        expires_at: row.get("expires_at")?,
        set_by: row.get("set_by")?,
        set_at: row.get("set_at")?,
        reported: json(row, "reported")?,
        reported_version: self::version(row, "reported_version")?,
        reported_at: row.get("reported_at")?,
        maybe_handed: answered < version,
        handed: false,
        refused: row.get("refused")?,
    };
    Ok((row.get("key")?, twin))
}

fn version(row: &Row, column: &str) -> Result<u64> {
    u64::try_from(row.get::<i64>(column)?).map_err(|_| bad(column))
}

/// Versions grow by one from at most 2^53, so they always fit.
fn stored(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

fn json(row: &Row, column: &str) -> Result<Option<Value>> {
    row.get::<Option<String>>(column)?
        .map(|text| serde_json::from_str(&text).map_err(|_| bad(column)))
        .transpose()
}

fn bad(column: &str) -> Error {
    Error::Column {
        column: column.to_owned(),
        problem: "not what this program writes".to_owned(),
    }
}
