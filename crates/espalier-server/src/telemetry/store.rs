//! All SQL of telemetry: the rules of retention. Points are in the telemetry engine.

use espalier_db::{Conn, Result, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How long the points of a key are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepRule {
    /// The key, or `*` for all keys without a rule of their own.
    #[schema(example = "*")]
    pub key: String,
    /// Days to keep, 1 to 36500.
    #[schema(example = 365, minimum = 1, maximum = 36500)]
    pub keep_days: i64,
}

/// Whose rules they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One device's.
    Device,
    /// The defaults of an account, for all its devices.
    Account,
}

/// The rules of a device or account, by key.
pub fn rules(c: &Conn<'_>, scope: Scope, id: &str) -> Result<Vec<KeepRule>> {
    let sql = match scope {
        Scope::Device => {
            "select key, keep_days from telemetry_retention_device where device_id = $1 order by key"
        }
        Scope::Account => {
            "select key, keep_days from telemetry_retention_account where account_id = $1 order by key"
        }
    };
    let rows = c.query(sql, params![id])?;
    rows.iter()
        .map(|row| {
            Ok(KeepRule {
                key: row.get("key")?,
                keep_days: row.get("keep_days")?,
            })
        })
        .collect()
}

/// Replaces the rules of a device or account.
pub fn replace(c: &Conn<'_>, scope: Scope, id: &str, rules: &[KeepRule]) -> Result<()> {
    let (delete, insert) = match scope {
        Scope::Device => (
            "delete from telemetry_retention_device where device_id = $1",
            "insert into telemetry_retention_device (device_id, key, keep_days) values ($1, $2, $3)",
        ),
        Scope::Account => (
            "delete from telemetry_retention_account where account_id = $1",
            "insert into telemetry_retention_account (account_id, key, keep_days) values ($1, $2, $3)",
        ),
    };
    c.execute(delete, params![id])?;
    for rule in rules {
        c.execute(insert, params![id, &rule.key, rule.keep_days])?;
    }
    Ok(())
}

/// Every rule: whose, for which id, and what.
pub fn all_rules(c: &Conn<'_>) -> Result<Vec<(Scope, String, KeepRule)>> {
    let sql = "select cast(0 as bigint) as scope, device_id as id, key, keep_days from telemetry_retention_device \
               union all select cast(1 as bigint), account_id, key, keep_days from telemetry_retention_account";
    let rows = c.query(sql, params![])?;
    rows.iter()
        .map(|row| {
            let scope = match row.get::<i64>("scope")? {
                0 => Scope::Device,
                _ => Scope::Account,
            };
            let rule = KeepRule {
                key: row.get("key")?,
                keep_days: row.get("keep_days")?,
            };
            Ok((scope, row.get("id")?, rule))
        })
        .collect()
}
