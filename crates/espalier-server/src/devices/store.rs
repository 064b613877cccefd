//! All SQL of devices.

use super::access::{Named, Share};
use super::events::{EventRow, KEEP};
use super::facts::Facts;
use super::presence::Presence;
use super::registry::Device;
use espalier_db::{Conn, Error, Result, Row, params};
use espalier_model::{AccountId, DeviceId, ShareRole};
use std::collections::HashMap;
use std::sync::Arc;

/// Stores a new device.
pub fn insert(c: &Conn<'_>, device: &Device) -> Result<()> {
    c.execute(
        "insert into device (id, oid, owner_id, name, kind, location, tags, group_names, expected_interval_s, \
         facts, unclaimed, token_digest, created_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        params![
            device.id.to_string(),
            device.oid.to_string(),
            device.owner.to_string(),
            &device.name,
            device.kind.as_deref(),
            device.location.as_deref(),
            json(&device.tags)?,
            json(&device.groups)?,
            device.expected_interval_s,
            facts(device)?,
            device.unclaimed,
            device.token_digest,
            device.created_at
        ],
    )?;
    c.execute(
        "insert into device_presence (device_id) values ($1)",
        params![device.id.to_string()],
    )?;
    add_aliases(c, device)
}

fn add_aliases(c: &Conn<'_>, device: &Device) -> Result<()> {
    for alias in &device.aliases {
        c.execute(
            "insert into device_alias (alias, device_id) values ($1, $2)",
            params![&**alias, device.id.to_string()],
        )?;
    }
    Ok(())
}

/// Stores what people can change of a device, its owner and its token.
///
/// # Errors
/// [`Error::NoRow`] when the device is gone.
pub fn update(c: &Conn<'_>, device: &Device) -> Result<()> {
    let changed = c.execute(
        "update device set owner_id = $1, name = $2, kind = $3, location = $4, tags = $5, group_names = $6, \
         expected_interval_s = $7, facts = $8, unclaimed = $9, token_digest = $10 where id = $11",
        params![
            device.owner.to_string(),
            &device.name,
            device.kind.as_deref(),
            device.location.as_deref(),
            json(&device.tags)?,
            json(&device.groups)?,
            device.expected_interval_s,
            facts(device)?,
            device.unclaimed,
            device.token_digest,
            device.id.to_string()
        ],
    )?;
    if changed == 0 {
        return Err(Error::NoRow);
    }
    Ok(())
}

/// Replaces the aliases of a device.
pub fn replace_aliases(c: &Conn<'_>, device: &Device) -> Result<()> {
    c.execute(
        "delete from device_alias where device_id = $1",
        params![device.id.to_string()],
    )?;
    add_aliases(c, device)
}

/// Tells which of these aliases belongs to another device, if any.
pub fn taken_alias(c: &Conn<'_>, device: &Device) -> Result<Option<String>> {
    for alias in &device.aliases {
        let row = c.query_opt(
            "select alias from device_alias where alias = $1 and device_id <> $2",
            params![&**alias, device.id.to_string()],
        )?;
        if row.is_some() {
            return Ok(Some(alias.to_string()));
        }
    }
    Ok(None)
}

/// Removes a device with everything that refers to it, and notes that its telemetry is still to be removed.
pub fn delete(c: &Conn<'_>, id: DeviceId, now: i64) -> Result<bool> {
    let removed = c.execute("delete from device where id = $1", params![id.to_string()])?;
    if removed > 0 {
        c.execute(
            "insert into device_deletion (device_id, deleted_at) values ($1, $2) on conflict (device_id) do nothing",
            params![id.to_string(), now],
        )?;
    }
    Ok(removed > 0)
}

/// Removes every device of an account and notes that their telemetry is still to be removed.
pub fn delete_owned(c: &Conn<'_>, account: AccountId, now: i64) -> Result<()> {
    let owned = c.query(
        "select id from device where owner_id = $1",
        params![account.to_string()],
    )?;
    for row in owned {
        delete(c, parse("id", &row.get::<String>("id")?)?, now)?;
    }
    Ok(())
}

/// The devices whose telemetry is still to be removed, and when they were deleted.
pub fn deletions(c: &Conn<'_>) -> Result<Vec<(DeviceId, i64)>> {
    c.query(
        "select device_id, deleted_at from device_deletion",
        params![],
    )?
    .iter()
    .map(|row| {
        let id = parse("device_id", &row.get::<String>("device_id")?)?;
        Ok((id, row.get("deleted_at")?))
    })
    .collect()
}

/// Forgets a finished deletion.
pub fn deletion_done(c: &Conn<'_>, id: DeviceId) -> Result<()> {
    c.execute(
        "delete from device_deletion where device_id = $1",
        params![id.to_string()],
    )?;
    Ok(())
}

/// Every device with its aliases, shares and presence.
pub fn all(c: &Conn<'_>) -> Result<Vec<Device>> {
    let mut aliases: HashMap<String, Vec<Box<str>>> = HashMap::new();
    for row in c.query(
        "select device_id, alias from device_alias order by alias",
        params![],
    )? {
        let alias = row.get::<String>("alias")?.into();
        aliases
            .entry(row.get("device_id")?)
            .or_default()
            .push(alias);
    }
    let mut shares: HashMap<String, Vec<(AccountId, ShareRole)>> = HashMap::new();
    for row in c.query(
        "select device_id, account_id, role from device_share order by created_at, account_id",
        params![],
    )? {
        let account = parse("account_id", &row.get::<String>("account_id")?)?;
        let role = parse("role", &row.get::<String>("role")?)?;
        shares
            .entry(row.get("device_id")?)
            .or_default()
            .push((account, role));
    }
    let rows = c.query(
        "select d.id, d.oid, d.owner_id, d.name, d.kind, d.location, d.tags, d.group_names, d.expected_interval_s, \
         d.facts, d.unclaimed, d.token_digest, d.created_at, p.online, p.last_active, p.status_at \
         from device d left join device_presence p on p.device_id = d.id",
        params![],
    )?;
    rows.iter()
        .map(|row| {
            let mut device = device(row)?;
            let id = device.id.to_string();
            device.aliases = aliases.remove(&id).unwrap_or_default().into();
            device.shares = shares.remove(&id).unwrap_or_default();
            Ok(device)
        })
        .collect()
}

fn facts(device: &Device) -> Result<Option<String>> {
    device
        .facts
        .as_ref()
        .map(|facts| json(&**facts))
        .transpose()
}

fn said(row: &Row) -> Result<Option<Box<Facts>>> {
    let Some(text) = row.get::<Option<String>>("facts")? else {
        return Ok(None);
    };
    let facts = serde_json::from_str(&text).map_err(|error| Error::Column {
        column: "facts".to_owned(),
        problem: error.to_string(),
    })?;
    Ok(Some(Box::new(facts)))
}

fn device(row: &Row) -> Result<Device> {
    let digest: Vec<u8> = row.get("token_digest")?;
    Ok(Device {
        id: parse("id", &row.get::<String>("id")?)?,
        oid: parse("oid", &row.get::<String>("oid")?)?,
        owner: parse("owner_id", &row.get::<String>("owner_id")?)?,
        name: row.get("name")?,
        kind: row.get::<Option<String>>("kind")?.map(Into::into),
        location: row.get::<Option<String>>("location")?.map(Into::into),
        tags: list(row, "tags")?,
        groups: list(row, "group_names")?,
        aliases: Box::default(),
        expected_interval_s: row.get("expected_interval_s")?,
        facts: said(row)?,
        unclaimed: row.get("unclaimed")?,
        token_digest: digest.try_into().map_err(|_| Error::Column {
            column: "token_digest".to_owned(),
            problem: "not 32 bytes".to_owned(),
        })?,
        shares: Vec::new(),
        created_at: row.get("created_at")?,
        presence: Arc::new(Presence::restored(
            row.get::<Option<bool>>("online")?.unwrap_or(false),
            row.get("last_active")?,
            row.get("status_at")?,
        )),
    })
}

fn list(row: &Row, column: &str) -> Result<Box<[Box<str>]>> {
    let text: String = row.get(column)?;
    // Most devices have neither tags nor groups; an empty list costs no allocation.
    if text == "[]" {
        return Ok(Box::default());
    }
    serde_json::from_str(&text).map_err(|e| Error::Column {
        column: column.to_owned(),
        problem: e.to_string(),
    })
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Column {
        column: "json".to_owned(),
        problem: e.to_string(),
    })
}

/// Parses a column that the product wrote itself.
pub fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(column: &str, text: &str) -> Result<T> {
    text.parse().map_err(|e: T::Err| Error::Column {
        column: column.to_owned(),
        problem: e.to_string(),
    })
}

/// The presence of one device as it is stored.
#[derive(Debug, Clone)]
pub struct PresenceRow {
    pub device: DeviceId,
    pub online: bool,
    pub last_active: Option<i64>,
    pub status_at: Option<i64>,
}

/// Devices per statement and transaction when presence is stored: large enough that the round trips do not
/// matter, small enough that other writers get their turn.
pub const PRESENCE_CHUNK: usize = 256;

/// Stores the presence of devices; those that are gone are passed over.
pub fn save_presence(c: &Conn<'_>, rows: &[PresenceRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut values = Vec::with_capacity(rows.len() * 4);
    let mut sql = String::from(
        "update device_presence set online = v.column2, last_active = v.column3, status_at = v.column4 from (values ",
    );
    for (i, row) in rows.iter().enumerate() {
        let n = i * 4;
        let comma = if i == 0 { "" } else { ", " };
        sql.push_str(&format!(
            "{comma}(cast(${} as text), cast(${} as bigint), cast(${} as bigint), cast(${} as bigint))",
            n + 1,
            n + 2,
            n + 3,
            n + 4
        ));
        values.push(row.device.to_string().into());
        values.push(row.online.into());
        values.push(row.last_active.into());
        values.push(row.status_at.into());
    }
    sql.push_str(") as v where device_presence.device_id = v.column1");
    c.execute(&sql, &values)?;
    Ok(())
}

/// The id of the newest event of all devices; 0 when there is none.
pub fn last_event(c: &Conn<'_>) -> Result<i64> {
    let row = c.query_one("select max(id) as id from device_event", params![])?;
    Ok(row.get::<Option<i64>>("id")?.unwrap_or(0))
}

/// Stores one event; the device exists.
pub fn insert_event(c: &Conn<'_>, event: &EventRow) -> Result<()> {
    c.execute(
        "insert into device_event (id, device_id, at, kind, detail) values ($1, $2, $3, $4, $5)",
        params![
            event.id,
            event.device.to_string(),
            event.at,
            &event.kind,
            &event.detail
        ],
    )?;
    if event.trim {
        c.execute(
            "delete from device_event where device_id = $1 and id <= \
             (select id from device_event where device_id = $2 order by id desc limit 1 offset $3)",
            params![event.device.to_string(), event.device.to_string(), KEEP],
        )?;
    }
    Ok(())
}

/// Stores events of devices that may have been deleted meanwhile; theirs are passed over.
pub fn insert_events(c: &Conn<'_>, events: &[EventRow]) -> Result<()> {
    let mut known: HashMap<DeviceId, bool> = HashMap::new();
    for event in events {
        let exists = if let Some(&exists) = known.get(&event.device) {
            exists
        } else {
            let row = c.query_opt(
                "select id from device where id = $1",
                params![event.device.to_string()],
            )?;
            known.insert(event.device, row.is_some());
            row.is_some()
        };
        if exists {
            insert_event(c, event)?;
        }
    }
    Ok(())
}

/// One event as it is read.
pub struct EventRead {
    pub id: i64,
    pub at: i64,
    pub kind: String,
    pub detail: String,
}

/// Events of a device, newest first, older than `before` and of one kind when asked for.
pub fn events(
    c: &Conn<'_>,
    device: DeviceId,
    before: i64,
    kind: Option<&str>,
    limit: i64,
) -> Result<Vec<EventRead>> {
    let rows = match kind {
        Some(kind) => c.query(
            "select id, at, kind, detail from device_event where device_id = $1 and id < $2 and kind = $3 \
             order by id desc limit $4",
            params![device.to_string(), before, kind, limit],
        )?,
        None => c.query(
            "select id, at, kind, detail from device_event where device_id = $1 and id < $2 \
             order by id desc limit $3",
            params![device.to_string(), before, limit],
        )?,
    };
    rows.iter()
        .map(|row| {
            Ok(EventRead {
                id: row.get("id")?,
                at: row.get("at")?,
                kind: row.get("kind")?,
                detail: row.get("detail")?,
            })
        })
        .collect()
}

/// Stores with what a device can be claimed.
pub fn insert_product(c: &Conn<'_>, id: DeviceId, product_id: &str, hash: &str) -> Result<()> {
    c.execute(
        "insert into device_claim (device_id, product_id, password_hash) values ($1, $2, $3)",
        params![id.to_string(), product_id, hash],
    )?;
    Ok(())
}

/// The active account with this e-mail, username or id, in lower case.
pub fn account(c: &Conn<'_>, login: &str) -> Result<Option<Named>> {
    let row = c.query_opt(
        "select id, username, role from account where (email = $1 or username = $2 or id = $3) and is_active = 1",
        params![login, login, login],
    )?;
    row.map(|row| {
        Ok(Named {
            id: parse("id", &row.get::<String>("id")?)?,
            username: row.get("username")?,
            role: parse("role", &row.get::<String>("role")?)?,
        })
    })
    .transpose()
}

/// Shares a device, or changes the role in which it is shared.
pub fn put_share(
    c: &Conn<'_>,
    id: DeviceId,
    account: AccountId,
    role: ShareRole,
    now: i64,
) -> Result<()> {
    c.execute(
        "insert into device_share (device_id, account_id, role, created_at) values ($1, $2, $3, $4) \
         on conflict (device_id, account_id) do update set role = excluded.role",
        params![id.to_string(), account.to_string(), role.as_str(), now],
    )?;
    Ok(())
}

/// Ends one share.
pub fn delete_share(c: &Conn<'_>, id: DeviceId, account: AccountId) -> Result<()> {
    c.execute(
        "delete from device_share where device_id = $1 and account_id = $2",
        params![id.to_string(), account.to_string()],
    )?;
    Ok(())
}

/// Ends every share of a device.
pub fn delete_shares(c: &Conn<'_>, id: DeviceId) -> Result<()> {
    c.execute(
        "delete from device_share where device_id = $1",
        params![id.to_string()],
    )?;
    Ok(())
}

/// With whom a device is shared, the oldest share first.
pub fn shares(c: &Conn<'_>, id: DeviceId) -> Result<Vec<Share>> {
    let rows = c.query(
        "select s.account_id, a.username, s.role, s.created_at from device_share s \
         join account a on a.id = s.account_id where s.device_id = $1 order by s.created_at, a.username",
        params![id.to_string()],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Share {
                account: parse("account_id", &row.get::<String>("account_id")?)?,
                username: row.get("username")?,
                role: parse("role", &row.get::<String>("role")?)?,
                since: row.get("created_at")?,
            })
        })
        .collect()
}

/// Stores a claim code in place of a former one.
pub fn put_code(c: &Conn<'_>, id: DeviceId, digest: [u8; 32], expires_at: i64) -> Result<()> {
    c.execute(
        "insert into device_claim (device_id, code_digest, code_expires_at) values ($1, $2, $3) \
         on conflict (device_id) do update set code_digest = excluded.code_digest, \
         code_expires_at = excluded.code_expires_at",
        params![id.to_string(), digest, expires_at],
    )?;
    Ok(())
}

/// The device that a code is for, while it works.
pub fn by_code(c: &Conn<'_>, digest: [u8; 32], now: i64) -> Result<Option<DeviceId>> {
    let row = c.query_opt(
        "select device_id from device_claim where code_digest = $1 and code_expires_at > $2",
        params![digest, now],
    )?;
    row.map(|row| parse("device_id", &row.get::<String>("device_id")?))
        .transpose()
}

/// Takes a device's code out of use and tells whether it still worked.
pub fn use_up_code(c: &Conn<'_>, id: DeviceId, digest: [u8; 32], now: i64) -> Result<bool> {
    let used = c.execute(
        "update device_claim set code_digest = null, code_expires_at = null \
         where device_id = $1 and code_digest = $2 and code_expires_at > $3",
        params![id.to_string(), digest, now],
    )?;
    Ok(used > 0)
}

/// Takes whatever code a device has out of use.
pub fn use_up_claims(c: &Conn<'_>, id: DeviceId) -> Result<()> {
    c.execute(
        "update device_claim set code_digest = null, code_expires_at = null where device_id = $1",
        params![id.to_string()],
    )?;
    Ok(())
}

/// The device with this product id, and the hash of its password.
pub fn by_product(c: &Conn<'_>, product: &str) -> Result<Option<(DeviceId, String)>> {
    let row = c.query_opt(
        "select device_id, password_hash from device_claim where product_id = $1 and password_hash is not null",
        params![product],
    )?;
    row.map(|row| {
        let id = parse("device_id", &row.get::<String>("device_id")?)?;
        Ok((id, row.get("password_hash")?))
    })
    .transpose()
}

/// Tells whether a device still waits to be claimed.
pub fn is_unclaimed(c: &Conn<'_>, id: DeviceId) -> Result<bool> {
    let row = c.query_opt(
        "select unclaimed from device where id = $1",
        params![id.to_string()],
    )?;
    row.map_or(Ok(false), |row| row.get("unclaimed"))
}
