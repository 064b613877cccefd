//! API keys.

use super::sessions::good;
use crate::identity::principal::{Credential, Scopes};
use crate::identity::sessions::Good;
use espalier_db::{Conn, Result, params};
use espalier_model::AccountId;

/// A key without its secret.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: String,
    pub name: String,
    pub hint: String,
    /// Names of scopes, separated by spaces.
    pub scopes: String,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub last_used_at: Option<i64>,
}

/// Reads scopes as stored.
pub fn scopes(text: &str) -> Scopes {
    let has = |name: &str| text.split(' ').any(|scope| scope == name);
    Scopes {
        read: has("read"),
        write: has("write"),
        admin: has("admin"),
    }
}

pub fn insert(c: &Conn<'_>, account: AccountId, key: &Key, digest: [u8; 32]) -> Result<()> {
    c.execute(
        "insert into api_key (id, account_id, name, digest, hint, scopes, created_at, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        params![
            &key.id,
            account.to_string(),
            &key.name,
            digest,
            &key.hint,
            &key.scopes,
            key.created_at,
            key.expires_at
        ],
    )?;
    Ok(())
}

pub fn count(c: &Conn<'_>, account: AccountId) -> Result<i64> {
    c.query_one(
        "select count(*) as n from api_key where account_id = $1",
        params![account.to_string()],
    )?
    .get("n")
}

pub fn list(c: &Conn<'_>, account: AccountId) -> Result<Vec<Key>> {
    let rows = c.query(
        "select id, name, hint, scopes, created_at, expires_at, last_used_at from api_key \
         where account_id = $1 order by created_at, id",
        params![account.to_string()],
    )?;
    let keys = rows.iter().map(|row| {
        Ok(Key {
            id: row.get("id")?,
            name: row.get("name")?,
            hint: row.get("hint")?,
            scopes: row.get("scopes")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            last_used_at: row.get("last_used_at")?,
        })
    });
    keys.collect()
}

pub fn delete(c: &Conn<'_>, account: AccountId, id: &str) -> Result<bool> {
    let gone = c.execute(
        "delete from api_key where id = $1 and account_id = $2",
        params![id, account.to_string()],
    )?;
    Ok(gone > 0)
}

/// The key whose secret has this digest, when its account may sign in.
pub fn by_digest(c: &Conn<'_>, digest: [u8; 32], now: i64) -> Result<Option<Good>> {
    let row = c.query_opt(
        "select k.id, k.account_id, k.scopes, k.expires_at, a.username, a.role from api_key k \
         join account a on a.id = k.account_id \
         where k.digest = $1 and (k.expires_at is null or k.expires_at > $2) and a.is_active = 1",
        params![digest, now],
    )?;
    row.map(|row| {
        let credential = Credential::ApiKey(row.get("id")?);
        let granted = scopes(&row.get::<String>("scopes")?);
        let expires: Option<i64> = row.get("expires_at")?;
        good(&row, credential, granted, expires.unwrap_or(i64::MAX))
    })
    .transpose()
}
