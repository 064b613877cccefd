//! Access rules, every revision.

use espalier_db::{Conn, Result, Row, params};

/// A saved revision.
#[derive(Debug, Clone)]
pub struct Saved {
    pub revision: i64,
    pub document: String,
    pub created_by: String,
    pub created_at: i64,
}

fn saved(row: &Row) -> Result<Saved> {
    Ok(Saved {
        revision: row.get("revision")?,
        document: row.get("document")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
    })
}

pub fn insert(c: &Conn<'_>, revision: i64, document: &str, by: &str, now: i64) -> Result<()> {
    c.execute(
        "insert into security_rules (revision, document, created_by, created_at) values ($1, $2, $3, $4)",
        params![revision, document, by, now],
    )?;
    Ok(())
}

pub fn newest(c: &Conn<'_>) -> Result<Option<Saved>> {
    let row = c.query_opt(
        "select revision, document, created_by, created_at from security_rules order by revision desc limit 1",
        params![],
    )?;
    row.as_ref().map(saved).transpose()
}

/// The newest revisions, newest first.
pub fn history(c: &Conn<'_>, limit: i64) -> Result<Vec<Saved>> {
    let rows = c.query(
        "select revision, document, created_by, created_at from security_rules order by revision desc limit $1",
        params![limit],
    )?;
    rows.iter().map(saved).collect()
}
