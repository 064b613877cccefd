//! Accounts.

use super::parse;
use espalier_db::{Conn, Error, Result, Row, params};
use espalier_model::{AccountId, Role};
use serde_json::Value;

/// An account as stored.
#[derive(Debug, Clone)]
pub struct Account {
    pub id: AccountId,
    pub email: String,
    pub username: String,
    pub full_name: Option<String>,
    pub role: Role,
    pub is_active: bool,
    pub created_at: i64,
    pub last_login: Option<i64>,
    pub notification_settings: Value,
    pub integrations: Value,
}

/// A row to insert; e-mail and username are in lower case already.
pub struct New {
    pub id: AccountId,
    pub email: String,
    pub username: String,
    pub hash: Option<String>,
    pub full_name: Option<String>,
    pub role: Role,
    pub now: i64,
}

/// Fields to change; `None` leaves one as it is.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    pub email: Option<String>,
    pub username: Option<String>,
    pub hash: Option<String>,
    pub full_name: Option<Option<String>>,
    pub role: Option<Role>,
    pub is_active: Option<bool>,
    pub notification_settings: Option<Value>,
    pub integrations: Option<Value>,
}

const COLUMNS: &str = "id, email, username, full_name, role, is_active, created_at, last_login, notification_settings, integrations";

fn account(row: &Row) -> Result<Account> {
    Ok(Account {
        id: parse("id", &row.get::<String>("id")?)?,
        email: row.get("email")?,
        username: row.get("username")?,
        full_name: row.get("full_name")?,
        role: parse("role", &row.get::<String>("role")?)?,
        is_active: row.get("is_active")?,
        created_at: row.get("created_at")?,
        last_login: row.get("last_login")?,
        notification_settings: json(row, "notification_settings")?,
        integrations: json(row, "integrations")?,
    })
}

fn json(row: &Row, column: &str) -> Result<Value> {
    serde_json::from_str(&row.get::<String>(column)?).map_err(|e| Error::Column {
        column: column.to_owned(),
        problem: e.to_string(),
    })
}

pub fn insert(c: &Conn<'_>, new: &New) -> Result<()> {
    c.execute(
        "insert into account (id, email, username, password_hash, full_name, role, created_at) \
         values ($1, $2, $3, $4, $5, $6, $7)",
        params![
            new.id.to_string(),
            &new.email,
            &new.username,
            new.hash.clone(),
            new.full_name.clone(),
            new.role.as_str(),
            new.now
        ],
    )?;
    Ok(())
}

pub fn get(c: &Conn<'_>, id: AccountId) -> Result<Option<Account>> {
    let row = c.query_opt(
        &format!("select {COLUMNS} from account where id = $1"),
        params![id.to_string()],
    )?;
    row.as_ref().map(account).transpose()
}

/// The account that signs in under this name (e-mail or username, in lower case) and its password's hash.
pub fn by_login(c: &Conn<'_>, login: &str) -> Result<Option<(Account, Option<String>)>> {
    let column = if login.contains('@') {
        "email"
    } else {
        "username"
    };
    let row = c.query_opt(
        &format!("select {COLUMNS}, password_hash from account where {column} = $1"),
        params![login],
    )?;
    row.map(|row| Ok((account(&row)?, row.get("password_hash")?)))
        .transpose()
}

pub fn password_hash(c: &Conn<'_>, id: AccountId) -> Result<Option<String>> {
    let row = c.query_opt(
        "select password_hash from account where id = $1",
        params![id.to_string()],
    )?;
    row.map_or(Ok(None), |row| row.get("password_hash"))
}

pub fn signed_in(c: &Conn<'_>, id: AccountId, now: i64) -> Result<()> {
    c.execute(
        "update account set last_login = $1 where id = $2",
        params![now, id.to_string()],
    )?;
    Ok(())
}

/// Changes an account; returns whether there is one.
pub fn update(c: &Conn<'_>, id: AccountId, changes: &Changes) -> Result<bool> {
    let mut sets: Vec<String> = Vec::new();
    let mut values = Vec::new();
    let mut set = |column: &str, value: espalier_db::Value| {
        values.push(value);
        sets.push(format!("{column} = ${}", values.len()));
    };
    if let Some(v) = &changes.email {
        set("email", v.into());
    }
    if let Some(v) = &changes.username {
        set("username", v.into());
    }
    if let Some(v) = &changes.hash {
        set("password_hash", v.into());
    }
    if let Some(v) = &changes.full_name {
        set("full_name", v.clone().into());
    }
    if let Some(v) = changes.role {
        set("role", v.as_str().into());
    }
    if let Some(v) = changes.is_active {
        set("is_active", v.into());
    }
    if let Some(v) = &changes.notification_settings {
        set("notification_settings", v.to_string().into());
    }
    if let Some(v) = &changes.integrations {
        set("integrations", v.to_string().into());
    }
    if sets.is_empty() {
        return Ok(get(c, id)?.is_some());
    }
    values.push(id.to_string().into());
    let sql = format!(
        "update account set {} where id = ${}",
        sets.join(", "),
        values.len()
    );
    Ok(c.execute(&sql, &values)? > 0)
}

pub fn delete(c: &Conn<'_>, id: AccountId) -> Result<bool> {
    let gone = c.execute("delete from account where id = $1", params![id.to_string()])?;
    Ok(gone > 0)
}

/// How many active accounts other than `except` have this role.
pub fn active_with_role(c: &Conn<'_>, role: Role, except: AccountId) -> Result<i64> {
    c.query_one(
        "select count(*) as n from account where role = $1 and is_active = 1 and id <> $2",
        params![role.as_str(), except.to_string()],
    )?
    .get("n")
}

/// The active accounts with this role, oldest first; at most two, to tell whether there is only one.
pub fn active(c: &Conn<'_>, role: Role) -> Result<Vec<AccountId>> {
    let sql =
        "select id from account where role = $1 and is_active = 1 order by created_at, id limit 2";
    let rows = c.query(sql, params![role.as_str()])?;
    rows.iter()
        .map(|row| parse("id", &row.get::<String>("id")?))
        .collect()
}

/// Whether nobody manages this installation yet.
pub fn unmanaged(c: &Conn<'_>) -> Result<bool> {
    let managers: i64 = c
        .query_one(
            "select count(*) as n from account where role in ('owner', 'admin')",
            params![],
        )?
        .get("n")?;
    Ok(managers == 0)
}

/// One page of accounts whose e-mail, username or name holds `search` (in lower case), oldest first, and
/// how many there are in all.
pub fn page(c: &Conn<'_>, search: &str, offset: i64, limit: i64) -> Result<(Vec<Account>, i64)> {
    let escaped = search
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    let like = format!("%{escaped}%");
    let filter =
        "lower(email || ' ' || username || ' ' || coalesce(full_name, '')) like $1 escape '\\'";
    let total = c
        .query_one(
            &format!("select count(*) as n from account where {filter}"),
            params![&like],
        )?
        .get("n")?;
    let rows = c.query(
        &format!("select {COLUMNS} from account where {filter} order by created_at, id limit $2 offset $3"),
        params![&like, limit, offset],
    )?;
    Ok((rows.iter().map(account).collect::<Result<_>>()?, total))
}
