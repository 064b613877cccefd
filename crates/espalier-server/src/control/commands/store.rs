//! All SQL of commands.

use espalier_db::{Conn, Error, Result, Row, params};
use espalier_model::DeviceId;
use serde_json::Value;
use std::str::FromStr;

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Queued,
    Delivered,
    Done,
    Failed,
    Expired,
    Cancelled,
}

impl Phase {
    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Tells whether the outcome is still open.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Delivered)
    }
}

impl FromStr for Phase {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        const ALL: [Phase; 6] = [
            Phase::Queued,
            Phase::Delivered,
            Phase::Done,
            Phase::Failed,
            Phase::Expired,
            Phase::Cancelled,
        ];
        ALL.into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or_else(|| {
                "must be queued, delivered, done, failed, expired or cancelled".to_owned()
            })
    }
}

/// A command as stored.
#[derive(Debug, Clone)]
pub struct Command {
    pub id: String,
    pub device: DeviceId,
    pub name: String,
    pub params: Value,
    pub phase: Phase,
    pub created_by: String,
    pub created_at: i64,
    pub expires_at: i64,
    pub delivered_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub result: Option<Value>,
    pub error: Option<String>,
}

const COLUMNS: &str = "id, device_id, name, params, state, created_by, created_at, expires_at, delivered_at, \
                       finished_at, result, error";

pub fn insert(c: &Conn<'_>, command: &Command) -> Result<()> {
    c.execute(
        "insert into command (id, device_id, name, params, state, created_by, created_at, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        params![
            &command.id,
            command.device.to_string(),
            &command.name,
            command.params.to_string(),
            command.phase.as_str(),
            &command.created_by,
            command.created_at,
            command.expires_at
        ],
    )?;
    Ok(())
}

/// How many commands of a device are open.
pub fn count_open(c: &Conn<'_>, device: DeviceId, now: i64) -> Result<i64> {
    c.query_one(
        "select count(*) as n from command where device_id = $1 and expires_at > $2 \
         and state in ('queued', 'delivered')",
        params![device.to_string(), now],
    )?
    .get("n")
}

pub fn get(c: &Conn<'_>, device: DeviceId, id: &str) -> Result<Option<Command>> {
    let row = c.query_opt(
        &format!("select {COLUMNS} from command where device_id = $1 and id = $2"),
        params![device.to_string(), id],
    )?;
    row.as_ref().map(command).transpose()
}

/// The newest commands of a device, newest first.
pub fn list(
    c: &Conn<'_>,
    device: DeviceId,
    phase: Option<Phase>,
    limit: u32,
) -> Result<Vec<Command>> {
    // An empty text means any state, so that there is one statement.
    let phase = phase.map_or("", Phase::as_str);
    let rows = c.query(
        &format!(
            "select {COLUMNS} from command where device_id = $1 and (state = $2 or $3 = '') \
             order by created_at desc, id desc limit $4"
        ),
        params![device.to_string(), phase, phase, limit],
    )?;
    rows.iter().map(command).collect()
}

/// The commands that the device should still do, oldest first.
pub fn open(c: &Conn<'_>, device: DeviceId, now: i64) -> Result<Vec<Command>> {
    let rows = c.query(
        &format!(
            "select {COLUMNS} from command where device_id = $1 and expires_at > $2 \
             and state in ('queued', 'delivered') order by created_at, id"
        ),
        params![device.to_string(), now],
    )?;
    rows.iter().map(command).collect()
}

/// Marks a command as delivered; false when it no longer waits.
pub fn deliver(c: &Conn<'_>, id: &str, now: i64) -> Result<bool> {
    let changed = c.execute(
        "update command set state = 'delivered', delivered_at = $1 where id = $2 and state = 'queued'",
        params![now, id],
    )?;
    Ok(changed > 0)
}

/// Writes the outcome.
pub fn finish(c: &Conn<'_>, command: &Command) -> Result<()> {
    c.execute(
        "update command set state = $1, finished_at = $2, result = $3, error = $4 where id = $5",
        params![
            command.phase.as_str(),
            command.finished_at,
            command.result.as_ref().map(Value::to_string),
            command.error.clone(),
            &command.id
        ],
    )?;
    Ok(())
}

/// Expires what is over at `now` and returns it.
pub fn expire(c: &Conn<'_>, now: i64) -> Result<Vec<Command>> {
    let rows = c.query(
        &format!(
            "update command set state = 'expired', finished_at = $1 where expires_at <= $2 \
             and state in ('queued', 'delivered') returning {COLUMNS}"
        ),
        params![now, now],
    )?;
    rows.iter().map(command).collect()
}

/// Tells whether anything is over at `now`, so that nothing is written when not.
pub fn any_over(c: &Conn<'_>, now: i64) -> Result<bool> {
    let found = c.query_opt(
        "select id from command where expires_at <= $1 and state in ('queued', 'delivered') limit 1",
        params![now],
    )?;
    Ok(found.is_some())
}

/// The next moment at which an open command is over.
pub fn next_over(c: &Conn<'_>) -> Result<Option<i64>> {
    c.query_one(
        "select min(expires_at) as at from command where state in ('queued', 'delivered')",
        params![],
    )?
    .get("at")
}

/// Forgets outcomes that are older than `before`.
pub fn forget(c: &Conn<'_>, before: i64) -> Result<u64> {
    c.execute(
        "delete from command where created_at < $1 and state not in ('queued', 'delivered')",
        params![before],
    )
}

fn command(row: &Row) -> Result<Command> {
    let bad = |column: &str| Error::Column {
        column: column.to_owned(),
        problem: "not what this program writes".to_owned(),
    };
    let json = |column: &str, text: String| serde_json::from_str(&text).map_err(|_| bad(column));
    Ok(Command {
        id: row.get("id")?,
        device: row
            .get::<String>("device_id")?
            .parse()
            .map_err(|_| bad("device_id"))?,
        name: row.get("name")?,
        params: json("params", row.get("params")?)?,
        phase: row
            .get::<String>("state")?
            .parse()
            .map_err(|_| bad("state"))?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        delivered_at: row.get("delivered_at")?,
        finished_at: row.get("finished_at")?,
        result: row
            .get::<Option<String>>("result")?
            .map(|text| json("result", text))
            .transpose()?,
        error: row.get("error")?,
    })
}
