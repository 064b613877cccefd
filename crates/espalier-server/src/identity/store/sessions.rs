//! Sessions and the refresh tokens they have spent.

use super::parse;
use crate::identity::principal::{Credential, Scopes};
use crate::identity::sessions::{BROWSER_MAX_MS, BROWSER_MS, Good, Origin};
use espalier_db::{Conn, Result, Row, params};
use espalier_model::AccountId;

/// A session to insert.
pub struct New {
    pub id: String,
    pub account: AccountId,
    pub access: [u8; 32],
    pub access_expires_at: i64,
    pub refresh: Option<[u8; 32]>,
    pub refresh_expires_at: Option<i64>,
    pub origin: Origin,
    pub now: i64,
}

/// The next secrets of a session.
pub struct Rotation {
    pub access: [u8; 32],
    pub access_expires_at: i64,
    pub refresh: [u8; 32],
    pub refresh_expires_at: i64,
}

/// What came of showing a refresh token.
pub enum Rotated {
    /// The session with this id has new secrets.
    Done(String),
    /// The token had been exchanged before; the session with this id is gone.
    Reused(String),
    /// Nobody has this token.
    Unknown,
}

/// A session as people see it in their list.
pub struct Listed {
    pub id: String,
    pub created_at: i64,
    pub last_used_at: Option<i64>,
    pub expires_at: i64,
    pub user_agent: Option<String>,
    pub address: Option<String>,
    pub browser: bool,
}

pub fn insert(c: &Conn<'_>, new: &New) -> Result<()> {
    c.execute(
        "insert into session (id, account_id, access_digest, access_expires_at, refresh_digest, refresh_expires_at, \
         created_at, user_agent, address) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        params![
            &new.id,
            new.account.to_string(),
            new.access,
            new.access_expires_at,
            new.refresh,
            new.refresh_expires_at,
            new.now,
            new.origin.user_agent.clone(),
            new.origin.address.clone()
        ],
    )?;
    Ok(())
}

/// Reads the columns that every credential has: `id`, `account_id`, `username`, `role`.
pub fn good(row: &Row, credential: Credential, scopes: Scopes, expires_at: i64) -> Result<Good> {
    Ok(Good {
        account: parse("account_id", &row.get::<String>("account_id")?)?,
        username: row.get("username")?,
        role: parse("role", &row.get::<String>("role")?)?,
        credential,
        scopes,
        expires_at,
    })
}

/// The session whose access token or browser secret has this digest, when its account may sign in.
pub fn by_digest(c: &Conn<'_>, digest: [u8; 32], now: i64) -> Result<Option<Good>> {
    let row = c.query_opt(
        "select s.id, s.account_id, s.access_expires_at, a.username, a.role from session s \
         join account a on a.id = s.account_id \
         where s.access_digest = $1 and s.access_expires_at > $2 and a.is_active = 1",
        params![digest, now],
    )?;
    row.map(|row| {
        let credential = Credential::Session(row.get("id")?);
        good(&row, credential, Scopes::ALL, row.get("access_expires_at")?)
    })
    .transpose()
}

pub fn rotate(c: &Conn<'_>, old: [u8; 32], next: &Rotation, now: i64) -> Result<Rotated> {
    let spent = c.query_opt(
        "select session_id from session_spent where refresh_digest = $1",
        params![old],
    )?;
    if let Some(row) = spent {
        let id: String = row.get("session_id")?;
        c.execute("delete from session where id = $1", params![&id])?;
        return Ok(Rotated::Reused(id));
    }
    let row = c.query_opt(
        "select s.id from session s join account a on a.id = s.account_id \
         where s.refresh_digest = $1 and s.refresh_expires_at > $2 and a.is_active = 1",
        params![old, now],
    )?;
    let Some(row) = row else {
        return Ok(Rotated::Unknown);
    };
    let id: String = row.get("id")?;
    c.execute(
        "update session set access_digest = $1, access_expires_at = $2, refresh_digest = $3, \
         refresh_expires_at = $4, last_used_at = $5 where id = $6",
        params![
            next.access,
            next.access_expires_at,
            next.refresh,
            next.refresh_expires_at,
            now,
            &id
        ],
    )?;
    c.execute(
        "insert into session_spent (refresh_digest, session_id) values ($1, $2)",
        params![old, &id],
    )?;
    Ok(Rotated::Done(id))
}

pub fn delete_all(c: &Conn<'_>, account: AccountId) -> Result<u64> {
    c.execute(
        "delete from session where account_id = $1",
        params![account.to_string()],
    )
}

pub fn delete(c: &Conn<'_>, account: AccountId, id: &str) -> Result<bool> {
    let gone = c.execute(
        "delete from session where id = $1 and account_id = $2",
        params![id, account.to_string()],
    )?;
    Ok(gone > 0)
}

pub fn list(c: &Conn<'_>, account: AccountId, now: i64) -> Result<Vec<Listed>> {
    let rows = c.query(
        "select id, created_at, last_used_at, user_agent, address, \
         coalesce(refresh_expires_at, access_expires_at) as expires_at, \
         case when refresh_digest is null then 1 else 0 end as browser \
         from session where account_id = $1 order by created_at desc, id desc",
        params![account.to_string()],
    )?;
    let listed = rows.iter().map(|row| {
        Ok(Listed {
            id: row.get("id")?,
            created_at: row.get("created_at")?,
            last_used_at: row.get("last_used_at")?,
            expires_at: row.get("expires_at")?,
            user_agent: row.get("user_agent")?,
            address: row.get("address")?,
            browser: row.get("browser")?,
        })
    });
    let listed: Vec<Listed> = listed.collect::<Result<_>>()?;
    Ok(listed.into_iter().filter(|s| s.expires_at > now).collect())
}

/// Notes when credentials were used, and prolongs the browsers' sessions among them.
pub fn touch(c: &Conn<'_>, used: &[(Credential, i64)]) -> Result<()> {
    for (credential, at) in used {
        match credential {
            Credential::Session(id) => {
                c.execute(
                    "update session set last_used_at = $1 where id = $2",
                    params![*at, id],
                )?;
                c.execute(
                    "update session set access_expires_at = \
                     case when created_at + $1 < $2 then created_at + $3 else $4 end \
                     where id = $5 and refresh_digest is null",
                    params![
                        BROWSER_MAX_MS,
                        *at + BROWSER_MS,
                        BROWSER_MAX_MS,
                        *at + BROWSER_MS,
                        id
                    ],
                )?;
            }
            Credential::ApiKey(id) => {
                c.execute(
                    "update api_key set last_used_at = $1 where id = $2",
                    params![*at, id],
                )?;
            }
            Credential::Password => {}
        }
    }
    Ok(())
}

/// When a browser's session was opened and until when it lives, milliseconds UTC.
pub fn browser_life(c: &Conn<'_>, id: &str) -> Result<Option<(i64, i64)>> {
    let row = c.query_opt(
        "select created_at, access_expires_at from session where id = $1 and refresh_digest is null",
        params![id],
    )?;
    row.map(|row| Ok((row.get("created_at")?, row.get("access_expires_at")?)))
        .transpose()
}

/// Removes the sessions that nothing can renew any more.
pub fn delete_expired(c: &Conn<'_>, now: i64) -> Result<u64> {
    c.execute(
        "delete from session where coalesce(refresh_expires_at, access_expires_at) <= $1",
        params![now],
    )
}

/// Until when a credential is good, milliseconds UTC; `None` when it is not (any more).
pub fn good_until(c: &Conn<'_>, credential: &Credential, now: i64) -> Result<Option<i64>> {
    let (sql, id) = match credential {
        Credential::Session(id) => (
            "select s.access_expires_at as until from session s join account a on a.id = s.account_id \
             where s.id = $1 and a.is_active = 1",
            id,
        ),
        Credential::ApiKey(id) => (
            "select k.expires_at as until from api_key k join account a on a.id = k.account_id \
             where k.id = $1 and a.is_active = 1",
            id,
        ),
        Credential::Password => return Ok(None),
    };
    let Some(row) = c.query_opt(sql, params![id])? else {
        return Ok(None);
    };
    let until = row.get::<Option<i64>>("until")?.unwrap_or(i64::MAX);
    Ok(Some(until).filter(|&until| until > now))
}
