//! All SQL of rollouts, updates, their events, and time zones of devices.

use super::memory::{Row, Track, Way};
use crate::ota::library::Digest;
use espalier_db::{Conn, Error, Result, Row as DbRow, params};
use espalier_model::ota::rollout::State;
use espalier_model::ota::update;
use espalier_model::{AccountId, DeviceId, RolloutId, UpdateId};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::str::FromStr;

const ROLLOUT: &str = "id, owner_id, name, release_id, version, channel, target, plan, state, reason_code, reason, opened, \
                       reached_at, cut_offs, counts, created_by, created_by_name, started_by, approved_by, created_at, started_at, ended_at";

const UPDATE: &str = "id, rollout_id, device_id, way, firmware_id, sha256, version, from_sha256, from_version, wave, facts, signs, \
                      verdict, created_by, created_at, updated_at";

/// Every rollout.
pub fn rollouts(c: &Conn<'_>) -> Result<Vec<Row>> {
    let sql = format!("select {ROLLOUT} from rollout order by id");
    c.query(&sql, params![])?.iter().map(read_rollout).collect()
}

/// Writes a rollout, new or changed.
pub fn put_rollout(c: &Conn<'_>, row: &Row) -> Result<()> {
    c.execute(
        "insert into rollout (id, owner_id, name, release_id, version, channel, target, plan, state, reason_code, reason, opened, \
         reached_at, cut_offs, counts, created_by, created_by_name, started_by, approved_by, created_at, started_at, ended_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) \
         on conflict (id) do update set name = excluded.name, release_id = excluded.release_id, version = excluded.version, \
         channel = excluded.channel, target = excluded.target, plan = excluded.plan, state = excluded.state, \
         reason_code = excluded.reason_code, reason = excluded.reason, opened = excluded.opened, \
         reached_at = excluded.reached_at, cut_offs = excluded.cut_offs, counts = excluded.counts, \
         started_by = excluded.started_by, approved_by = excluded.approved_by, started_at = excluded.started_at, \
         ended_at = excluded.ended_at",
        params![
            row.id.to_string(),
            row.owner.to_string(),
            &row.name,
            row.release.to_string(),
            &row.version,
            &row.channel,
            json(&row.target)?,
            json(&row.plan)?,
            row.state.as_str(),
            row.reason.as_ref().map(|(code, _)| code.clone()),
            row.reason.as_ref().map(|(_, sentence)| sentence.clone()),
            json(&row.opened)?,
            row.reached_at,
            json(&row.cut_offs)?,
            json(&row.counts)?,
            row.created_by.to_string(),
            &row.created_by_name,
            row.started_by.map(|id| id.to_string()),
            row.approved_by.map(|id| id.to_string()),
            row.created_at,
            row.started_at,
            row.ended_at
        ],
    )?;
    Ok(())
}

/// Deletes a rollout with its updates and events.
pub fn delete_rollout(c: &Conn<'_>, id: RolloutId) -> Result<()> {
    c.execute("delete from rollout where id = $1", params![id.to_string()])?;
    Ok(())
}

/// Writes an update, new or changed. A device that is gone meanwhile has none.
pub fn put_update(c: &Conn<'_>, device: DeviceId, track: &Track) -> Result<()> {
    let known = c.query_opt(
        "select id from device where id = $1",
        params![device.to_string()],
    )?;
    if known.is_none() {
        return Ok(());
    }
    let (rollout, way) = match track.way {
        Way::Forward(id) => (Some(id.to_string()), "forward"),
        Way::Back(id) => (Some(id.to_string()), "back"),
        Way::Forced => (None, "forced"),
    };
    c.execute(
        "insert into device_update (id, rollout_id, device_id, way, firmware_id, sha256, version, from_sha256, from_version, wave, state, \
         attempt, reason, facts, signs, verdict, created_by, created_at, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
         on conflict (id) do update set from_sha256 = excluded.from_sha256, from_version = excluded.from_version, wave = excluded.wave, \
         state = excluded.state, attempt = excluded.attempt, reason = excluded.reason, facts = excluded.facts, \
         signs = excluded.signs, verdict = excluded.verdict, updated_at = excluded.updated_at",
        params![
            track.id.to_string(),
            rollout,
            device.to_string(),
            way,
            track.firmware.to_string(),
            track.sha256.to_vec(),
            &track.version,
            track.from.map(|digest| digest.to_vec()),
            track.from_version.clone(),
            track.wave.map(i64::from),
            track.update.state().as_str(),
            i64::from(track.update.attempt()),
            track.update.reason().map(str::to_owned),
            json(&track.update)?,
            track.signs.as_ref().map(json).transpose()?,
            track.verdict.clone(),
            track.created_by.clone(),
            track.created_at,
            track.updated_at
        ],
    )?;
    Ok(())
}

fn read_updates(rows: &[DbRow]) -> Result<Vec<(DeviceId, Track)>> {
    rows.iter().map(read_update).collect()
}

/// The updates of a rollout.
pub fn updates_of(c: &Conn<'_>, rollout: RolloutId) -> Result<Vec<(DeviceId, Track)>> {
    let sql = format!("select {UPDATE} from device_update where rollout_id = $1 order by id");
    read_updates(&c.query(&sql, params![rollout.to_string()])?)
}

/// The forced updates that are not over.
pub fn open_forced(c: &Conn<'_>) -> Result<Vec<(DeviceId, Track)>> {
    let sql = format!(
        "select {UPDATE} from device_update where way = 'forced' and state not in ('confirmed', 'cancelled') order by id"
    );
    read_updates(&c.query(&sql, params![])?)
}

/// The newest updates of a device, newest first.
pub fn updates_for(
    c: &Conn<'_>,
    device: DeviceId,
    limit: i64,
    offset: i64,
) -> Result<(Vec<Track>, i64)> {
    let total = c
        .query_one(
            "select count(*) as n from device_update where device_id = $1",
            params![device.to_string()],
        )?
        .get("n")?;
    let sql = format!(
        "select {UPDATE} from device_update where device_id = $1 order by created_at desc, id desc limit $2 offset $3"
    );
    let rows = c.query(&sql, params![device.to_string(), limit, offset])?;
    let tracks = read_updates(&rows)?;
    Ok((tracks.into_iter().map(|(_, track)| track).collect(), total))
}

/// The state of one of a device's updates.
pub fn state_of(c: &Conn<'_>, device: DeviceId, update: UpdateId) -> Result<Option<update::State>> {
    let row = c.query_opt(
        "select state from device_update where id = $1 and device_id = $2",
        params![update.to_string(), device.to_string()],
    )?;
    row.map(|row| {
        let name: String = row.get("state")?;
        update::State::named(&name).ok_or_else(|| wrong("state", "no such state"))
    })
    .transpose()
}

/// For every device the moment at which it was last given what it has confirmed since.
pub fn last_taken(c: &Conn<'_>) -> Result<Vec<(DeviceId, i64)>> {
    let sql = "select device_id, max(created_at) as at from device_update where state = 'confirmed' group by device_id";
    let rows = c.query(sql, params![])?;
    rows.iter()
        .map(|row| Ok((id(row, "device_id")?, row.get("at")?)))
        .collect()
}

/// An event of a rollout.
#[derive(Debug, Clone)]
pub struct Happened {
    /// Its id, which sorts by time.
    pub id: String,
    /// The rollout.
    pub rollout: RolloutId,
    /// The device, when it is about one.
    pub device: Option<DeviceId>,
    /// When, milliseconds UTC.
    pub at: i64,
    /// What.
    pub kind: String,
    /// More about it.
    pub detail: Value,
}

/// Keeps an event; one of a device that is gone is kept without it.
pub fn add_event(c: &Conn<'_>, event: &Happened) -> Result<()> {
    let device = match event.device {
        Some(id) => c
            .query_opt(
                "select id from device where id = $1",
                params![id.to_string()],
            )?
            .map(|_| id.to_string()),
        None => None,
    };
    c.execute(
        "insert into update_event (id, rollout_id, device_id, at, kind, detail) values ($1, $2, $3, $4, $5, $6)",
        params![
            &event.id,
            event.rollout.to_string(),
            device,
            event.at,
            &event.kind,
            event.detail.to_string()
        ],
    )?;
    Ok(())
}

/// The newest events of a rollout, newest first, and how many there are.
pub fn events(
    c: &Conn<'_>,
    rollout: RolloutId,
    limit: i64,
    offset: i64,
) -> Result<(Vec<Happened>, i64)> {
    let total = c
        .query_one(
            "select count(*) as n from update_event where rollout_id = $1",
            params![rollout.to_string()],
        )?
        .get("n")?;
    let rows = c.query(
        "select id, rollout_id, device_id, at, kind, detail from update_event where rollout_id = $1 \
         order by id desc limit $2 offset $3",
        params![rollout.to_string(), limit, offset],
    )?;
    let read = |row: &DbRow| {
        Ok(Happened {
            id: row.get("id")?,
            rollout: id(row, "rollout_id")?,
            device: opt_id(row, "device_id")?,
            at: row.get("at")?,
            kind: row.get("kind")?,
            detail: from_json(row, "detail")?,
        })
    };
    Ok((rows.iter().map(read).collect::<Result<_>>()?, total))
}

/// Every device that has a time zone of its own.
pub fn zones(c: &Conn<'_>) -> Result<Vec<(DeviceId, String)>> {
    let rows = c.query("select device_id, zone from device_zone", params![])?;
    rows.iter()
        .map(|row| Ok((id(row, "device_id")?, row.get("zone")?)))
        .collect()
}

/// Gives a device a time zone, or takes it away.
pub fn put_zone(c: &Conn<'_>, device: DeviceId, zone: Option<&str>) -> Result<()> {
    match zone {
        None => c.execute("delete from device_zone where device_id = $1", params![device.to_string()])?,
        Some(zone) => c.execute(
            "insert into device_zone (device_id, zone) values ($1, $2) on conflict (device_id) do update set zone = excluded.zone",
            params![device.to_string(), zone],
        )?,
    };
    Ok(())
}

fn read_rollout(row: &DbRow) -> Result<Row> {
    let state: String = row.get("state")?;
    let code: Option<String> = row.get("reason_code")?;
    let sentence: Option<String> = row.get("reason")?;
    Ok(Row {
        id: id(row, "id")?,
        owner: id(row, "owner_id")?,
        name: row.get("name")?,
        release: id(row, "release_id")?,
        version: row.get("version")?,
        channel: row.get("channel")?,
        target: from_json(row, "target")?,
        plan: from_json(row, "plan")?,
        state: State::named(&state).ok_or_else(|| wrong("state", "no such state"))?,
        reason: code.zip(sentence),
        opened: from_json(row, "opened")?,
        reached_at: row.get("reached_at")?,
        cut_offs: from_json(row, "cut_offs")?,
        counts: from_json(row, "counts")?,
        created_by: id(row, "created_by")?,
        created_by_name: row.get("created_by_name")?,
        started_by: opt_id::<AccountId>(row, "started_by")?,
        approved_by: opt_id::<AccountId>(row, "approved_by")?,
        created_at: row.get("created_at")?,
        started_at: row.get("started_at")?,
        ended_at: row.get("ended_at")?,
    })
}

fn read_update(row: &DbRow) -> Result<(DeviceId, Track)> {
    let rollout: Option<RolloutId> = opt_id(row, "rollout_id")?;
    let way = match (row.get::<String>("way")?.as_str(), rollout) {
        ("forward", Some(id)) => Way::Forward(id),
        ("back", Some(id)) => Way::Back(id),
        ("forced", None) => Way::Forced,
        _ => return Err(wrong("way", "no such way")),
    };
    let from: Option<Vec<u8>> = row.get("from_sha256")?;
    let signs: Option<String> = row.get("signs")?;
    let track = Track {
        id: id::<UpdateId>(row, "id")?,
        way,
        firmware: id(row, "firmware_id")?,
        sha256: digest(row.get("sha256")?)?,
        version: row.get("version")?,
        from: from.map(digest).transpose()?,
        from_version: row.get("from_version")?,
        wave: row
            .get::<Option<i64>>("wave")?
            .and_then(|wave| u8::try_from(wave).ok()),
        update: from_json(row, "facts")?,
        pending: None,
        signs: signs
            .map(|text| serde_json::from_str(&text).map_err(|e| wrong("signs", e)))
            .transpose()?,
        verdict: row.get("verdict")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    };
    Ok((id(row, "device_id")?, track))
}

fn digest(bytes: Vec<u8>) -> Result<Digest> {
    bytes
        .try_into()
        .map_err(|_| wrong("sha256", "not 32 bytes"))
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| wrong("json", e))
}

fn from_json<T: DeserializeOwned>(row: &DbRow, column: &'static str) -> Result<T> {
    serde_json::from_str(&row.get::<String>(column)?).map_err(|e| wrong(column, e))
}

fn opt_id<T: FromStr<Err = espalier_model::id::InvalidId>>(
    row: &DbRow,
    column: &'static str,
) -> Result<Option<T>> {
    let found: Option<String> = row.get(column)?;
    found
        .map(|text| text.parse().map_err(|e| wrong(column, e)))
        .transpose()
}

fn id<T: FromStr<Err = espalier_model::id::InvalidId>>(
    row: &DbRow,
    column: &'static str,
) -> Result<T> {
    row.get::<String>(column)?
        .parse()
        .map_err(|e| wrong(column, e))
}

fn wrong(column: &str, problem: impl std::fmt::Display) -> Error {
    Error::Column {
        column: column.to_owned(),
        problem: problem.to_string(),
    }
}
