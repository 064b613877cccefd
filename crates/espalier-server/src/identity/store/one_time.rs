//! Secrets that are good for one use.

use super::parse;
use espalier_db::{Conn, Result, Row, params};
use espalier_model::{AccountId, Role};

/// What a secret is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Creating the first account.
    Setup,
    /// Choosing a password without knowing the old one, from a link that an operator or admin passes on.
    Password,
    /// The same, from a link that was mailed.
    Reset,
    /// Creating an account while sign-up is by invitation.
    Invite,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Password => "password",
            Self::Reset => "reset",
            Self::Invite => "invite",
        }
    }
}

/// A secret as stored.
#[derive(Debug, Clone)]
pub struct OneTime {
    pub id: String,
    pub account: Option<AccountId>,
    pub email: Option<String>,
    pub role: Option<Role>,
    pub created_by: Option<String>,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub used_at: Option<i64>,
}

const COLUMNS: &str = "id, account_id, email, role, created_by, created_at, expires_at, used_at";

fn one_time(row: &Row) -> Result<OneTime> {
    let account: Option<String> = row.get("account_id")?;
    let role: Option<String> = row.get("role")?;
    Ok(OneTime {
        id: row.get("id")?,
        account: account.map(|text| parse("account_id", &text)).transpose()?,
        email: row.get("email")?,
        role: role.map(|text| parse("role", &text)).transpose()?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        used_at: row.get("used_at")?,
    })
}

pub fn insert(c: &Conn<'_>, kind: Kind, digest: [u8; 32], new: &OneTime) -> Result<()> {
    c.execute(
        "insert into one_time (id, digest, kind, account_id, email, role, created_by, created_at, expires_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        params![
            &new.id,
            digest,
            kind.as_str(),
            new.account.map(|id| id.to_string()),
            new.email.clone(),
            new.role.map(Role::as_str),
            new.created_by.clone(),
            new.created_at,
            new.expires_at
        ],
    )?;
    Ok(())
}

/// The secret of this kind with this digest, when it is still good.
pub fn good(c: &Conn<'_>, kind: Kind, digest: [u8; 32], now: i64) -> Result<Option<OneTime>> {
    let row = c.query_opt(
        &format!(
            "select {COLUMNS} from one_time where digest = $1 and kind = $2 and used_at is null \
             and (expires_at is null or expires_at > $3)"
        ),
        params![digest, kind.as_str(), now],
    )?;
    row.as_ref().map(one_time).transpose()
}

/// Uses a secret up.
pub fn burn(c: &Conn<'_>, id: &str, now: i64) -> Result<()> {
    c.execute(
        "update one_time set used_at = $1 where id = $2",
        params![now, id],
    )?;
    Ok(())
}

/// Removes every secret of a kind.
pub fn delete_kind(c: &Conn<'_>, kind: Kind) -> Result<()> {
    c.execute(
        "delete from one_time where kind = $1",
        params![kind.as_str()],
    )?;
    Ok(())
}

/// Removes every link with which the password of an account could be chosen.
pub fn delete_password_links(c: &Conn<'_>, account: AccountId) -> Result<()> {
    c.execute(
        "delete from one_time where account_id = $1 and kind in ('password', 'reset')",
        params![account.to_string()],
    )?;
    Ok(())
}

/// When the newest reset code of an account was made.
pub fn newest_reset(c: &Conn<'_>, account: AccountId) -> Result<Option<i64>> {
    c.query_one(
        "select max(created_at) as at from one_time where account_id = $1 and kind = 'reset'",
        params![account.to_string()],
    )?
    .get("at")
}

/// The invitations, newest first.
pub fn invites(c: &Conn<'_>) -> Result<Vec<OneTime>> {
    let rows = c.query(
        &format!(
            "select {COLUMNS} from one_time where kind = 'invite' order by created_at desc, id desc"
        ),
        params![],
    )?;
    rows.iter().map(one_time).collect()
}

/// Removes an invitation; returns whether there was one.
pub fn delete_invite(c: &Conn<'_>, id: &str) -> Result<bool> {
    let gone = c.execute(
        "delete from one_time where id = $1 and kind = 'invite'",
        params![id],
    )?;
    Ok(gone > 0)
}

/// Removes what expired or was used before `before`.
pub fn delete_old(c: &Conn<'_>, before: i64) -> Result<u64> {
    c.execute(
        "delete from one_time where expires_at < $1 or used_at < $2",
        params![before, before],
    )
}
