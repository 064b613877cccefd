//! All SQL of identity.

use super::NewAccount;
use espalier_db::{Conn, Error, Result, params};
use espalier_model::{AccountId, Role};

pub fn insert_account(
    c: &Conn<'_>,
    id: AccountId,
    new: &NewAccount,
    hash: &str,
    now: i64,
) -> Result<()> {
    c.execute(
        "insert into account (id, email, username, password_hash, full_name, role, created_at) \
         values ($1, $2, $3, $4, $5, $6, $7)",
        params![
            id.to_string(),
            new.email.to_lowercase(),
            new.username.to_lowercase(),
            hash,
            new.full_name.clone(),
            new.role.as_str(),
            now
        ],
    )?;
    Ok(())
}

/// A session that is still good.
pub struct Session {
    pub id: String,
    pub account: AccountId,
    pub username: String,
    pub role: Role,
    pub expires_at: i64,
}

pub fn session_by_digest(c: &Conn<'_>, digest: [u8; 32], now: i64) -> Result<Option<Session>> {
    let row = c.query_opt(
        "select s.id, s.account_id, s.access_expires_at, a.username, a.role from session s \
         join account a on a.id = s.account_id \
         where s.access_digest = $1 and s.access_expires_at > $2 and a.is_active = 1",
        params![digest, now],
    )?;
    row.map(|row| {
        Ok(Session {
            id: row.get("id")?,
            account: parse("account_id", &row.get::<String>("account_id")?)?,
            username: row.get("username")?,
            role: parse("role", &row.get::<String>("role")?)?,
            expires_at: row.get("access_expires_at")?,
        })
    })
    .transpose()
}

pub fn insert_session(
    c: &Conn<'_>,
    id: &str,
    account: AccountId,
    digest: [u8; 32],
    now: i64,
    expires: i64,
) -> Result<()> {
    c.execute(
        "insert into session (id, account_id, access_digest, access_expires_at, created_at) values ($1, $2, $3, $4, $5)",
        params![id, account.to_string(), digest, expires, now],
    )?;
    Ok(())
}

/// Parses a column that the product wrote itself.
pub fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(column: &str, text: &str) -> Result<T> {
    text.parse().map_err(|e: T::Err| Error::Column {
        column: column.to_owned(),
        problem: e.to_string(),
    })
}

pub fn insert_audit(
    c: &Conn<'_>,
    id: &str,
    account: AccountId,
    action: &str,
    target: &str,
    detail: &serde_json::Value,
    now: i64,
) -> Result<()> {
    c.execute(
        "insert into audit (id, account_id, action, target, detail, at) values ($1, $2, $3, $4, $5, $6)",
        params![id, account.to_string(), action, target, detail.to_string(), now],
    )?;
    Ok(())
}
