//! The audit log.

use espalier_db::{Conn, Result, params};

/// A record.
#[derive(Debug, Clone)]
pub struct Record {
    pub id: String,
    pub account: String,
    pub username: Option<String>,
    pub action: String,
    pub target: String,
    pub detail: serde_json::Value,
    pub at: i64,
}

pub fn insert(c: &Conn<'_>, record: &Record) -> Result<()> {
    c.execute(
        "insert into audit (id, account_id, action, target, detail, at) values ($1, $2, $3, $4, $5, $6)",
        params![
            &record.id,
            &record.account,
            &record.action,
            &record.target,
            record.detail.to_string(),
            record.at
        ],
    )?;
    Ok(())
}

/// What to look for; an empty text matches everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub account: String,
    pub action: String,
    pub target: String,
}

/// One page of records, newest first, and how many there are in all.
pub fn page(c: &Conn<'_>, filter: &Filter, offset: i64, limit: i64) -> Result<(Vec<Record>, i64)> {
    let mut wheres = Vec::new();
    let mut values: Vec<espalier_db::Value> = Vec::new();
    for (column, wanted) in [
        ("u.account_id", &filter.account),
        ("u.action", &filter.action),
        ("u.target", &filter.target),
    ] {
        if !wanted.is_empty() {
            values.push(wanted.into());
            wheres.push(format!("{column} = ${}", values.len()));
        }
    }
    let filter = if wheres.is_empty() {
        String::new()
    } else {
        format!("where {}", wheres.join(" and "))
    };
    let total = c
        .query_one(
            &format!("select count(*) as n from audit u {filter}"),
            &values,
        )?
        .get("n")?;
    let sql = format!(
        "select u.id, u.account_id, a.username, u.action, u.target, u.detail, u.at from audit u \
         left join account a on a.id = u.account_id {filter} \
         order by u.at desc, u.id desc limit ${} offset ${}",
        values.len() + 1,
        values.len() + 2
    );
    values.extend([limit.into(), offset.into()]);
    let rows = c.query(&sql, &values)?;
    let records = rows.iter().map(|row| {
        let detail: String = row.get("detail")?;
        Ok(Record {
            id: row.get("id")?,
            account: row.get("account_id")?,
            username: row.get("username")?,
            action: row.get("action")?,
            target: row.get("target")?,
            detail: serde_json::from_str(&detail).unwrap_or(serde_json::Value::String(detail)),
            at: row.get("at")?,
        })
    });
    Ok((records.collect::<Result<_>>()?, total))
}
