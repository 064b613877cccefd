//! All SQL of live: the inbox.

use super::NewNotification;
use super::notifications::Stored;
use espalier_db::{Conn, Error, Result, Row, params};
use espalier_model::AccountId;
use serde_json::Value;

/// Adds a notification and drops those beyond the newest `keep`. Returns what was stored and the account's
/// notification settings as JSON; nothing when the account does not exist (any more).
pub fn insert(
    c: &Conn<'_>,
    id: &str,
    account: AccountId,
    new: &NewNotification,
    now: i64,
    keep: i64,
) -> Result<Option<(Stored, String)>> {
    let account = account.to_string();
    let settings = c.query_opt(
        "select notification_settings from account where id = $1",
        params![&account],
    )?;
    let Some(settings) = settings else {
        return Ok(None);
    };
    // A device that is gone meanwhile is not named any more.
    let row = c.query_one(
        "insert into notification (id, account_id, seq, title, message, kind, details, device_oid, widget_id, created_at) \
         values ($1, $2, (select coalesce(max(seq), 0) + 1 from notification where account_id = $3), $4, $5, $6, $7, \
         (select oid from device where oid = $8), $9, $10) \
         returning id, title, message, kind, details, device_oid, widget_id, is_read, created_at",
        params![
            id,
            &account,
            &account,
            &new.title,
            &new.message,
            new.kind,
            new.details.to_string(),
            new.device.map(|oid| oid.to_string()),
            new.widget.clone(),
            now
        ],
    )?;
    c.execute(
        "delete from notification where account_id = $1 and seq <= \
         (select seq from notification where account_id = $2 order by seq desc limit 1 offset $3)",
        params![&account, &account, keep],
    )?;
    Ok(Some((
        stored(&row)?,
        settings.get("notification_settings")?,
    )))
}

/// The newest notifications of an account, newest first; `read` chooses the read or unread ones.
pub fn list(
    c: &Conn<'_>,
    account: AccountId,
    limit: i64,
    read: Option<bool>,
) -> Result<Vec<Stored>> {
    let columns = "select id, title, message, kind, details, device_oid, widget_id, is_read, created_at \
                   from notification where account_id = $1";
    let rows = match read {
        None => c.query(
            &format!("{columns} order by seq desc limit $2"),
            params![account.to_string(), limit],
        ),
        Some(read) => c.query(
            &format!("{columns} and is_read = $2 order by seq desc limit $3"),
            params![account.to_string(), read, limit],
        ),
    };
    rows?.iter().map(stored).collect()
}

/// How many notifications of an account are not read.
pub fn unread(c: &Conn<'_>, account: AccountId) -> Result<i64> {
    c.query_one(
        "select count(*) as n from notification where account_id = $1 and is_read = 0",
        params![account.to_string()],
    )?
    .get("n")
}

/// Marks one notification as read; returns whether there is one.
pub fn mark(c: &Conn<'_>, account: AccountId, id: &str) -> Result<bool> {
    let changed = c.execute(
        "update notification set is_read = 1 where account_id = $1 and id = $2",
        params![account.to_string(), id],
    )?;
    Ok(changed > 0)
}

/// Marks every notification of an account as read; returns how many were not.
pub fn mark_all(c: &Conn<'_>, account: AccountId) -> Result<u64> {
    c.execute(
        "update notification set is_read = 1 where account_id = $1 and is_read = 0",
        params![account.to_string()],
    )
}

/// Marks these notifications of an account as read; returns how many were not.
pub fn mark_each(c: &Conn<'_>, account: AccountId, ids: &[String]) -> Result<u64> {
    let mut changed = 0;
    for id in ids {
        changed += c.execute(
            "update notification set is_read = 1 where account_id = $1 and id = $2 and is_read = 0",
            params![account.to_string(), id],
        )?;
    }
    Ok(changed)
}

/// Deletes these notifications of an account; returns how many there were.
pub fn delete_each(c: &Conn<'_>, account: AccountId, ids: &[String]) -> Result<u64> {
    let mut gone = 0;
    for id in ids {
        gone += u64::from(delete(c, account, id)?);
    }
    Ok(gone)
}

/// Deletes one notification; returns whether there was one.
pub fn delete(c: &Conn<'_>, account: AccountId, id: &str) -> Result<bool> {
    let gone = c.execute(
        "delete from notification where account_id = $1 and id = $2",
        params![account.to_string(), id],
    )?;
    Ok(gone > 0)
}

/// Deletes every notification of an account.
pub fn delete_all(c: &Conn<'_>, account: AccountId) -> Result<u64> {
    c.execute(
        "delete from notification where account_id = $1",
        params![account.to_string()],
    )
}

fn stored(row: &Row) -> Result<Stored> {
    let details: String = row.get("details")?;
    let details: Value = serde_json::from_str(&details).map_err(|error| Error::Column {
        column: "details".to_owned(),
        problem: error.to_string(),
    })?;
    Ok(Stored {
        id: row.get("id")?,
        title: row.get("title")?,
        message: row.get("message")?,
        kind: row.get("kind")?,
        details: Some(details).filter(|details| !details.is_null()),
        device: row.get("device_oid")?,
        widget: row.get("widget_id")?,
        read: row.get::<i64>("is_read")? != 0,
        created_at: row.get("created_at")?,
    })
}
