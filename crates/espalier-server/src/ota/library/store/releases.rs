//! Releases.

use super::id;
use crate::ota::library::Release;
use espalier_db::{Conn, Result, params};
use espalier_model::{AccountId, FirmwareId, ReleaseId};
use std::collections::HashMap;

/// Every release with its images.
pub fn all(c: &Conn<'_>) -> Result<Vec<Release>> {
    let mut images: HashMap<String, Vec<FirmwareId>> = HashMap::new();
    let sql = "select release_id, firmware_id from firmware_release_image order by firmware_id";
    for row in c.query(sql, params![])? {
        let release = row.get::<String>("release_id")?;
        images
            .entry(release)
            .or_default()
            .push(id(&row, "firmware_id")?);
    }
    let sql = "select id, owner_id, version, channel, notes, created_by, created_at, withdrawn_at from firmware_release order by id";
    let rows = c.query(sql, params![])?;
    rows.iter()
        .map(|row| {
            Ok(Release {
                id: id(row, "id")?,
                owner: id(row, "owner_id")?,
                version: row.get("version")?,
                channel: row.get("channel")?,
                notes: row.get("notes")?,
                firmware: images.remove(&row.get::<String>("id")?).unwrap_or_default(),
                created_by: row.get("created_by")?,
                created_at: row.get("created_at")?,
                withdrawn_at: row.get("withdrawn_at")?,
            })
        })
        .collect()
}

/// How many releases an account has.
pub fn count(c: &Conn<'_>, owner: AccountId) -> Result<i64> {
    let sql = "select count(*) as n from firmware_release where owner_id = $1";
    c.query_one(sql, params![owner.to_string()])?.get("n")
}

/// Adds a release with its images.
pub fn insert(c: &Conn<'_>, release: &Release) -> Result<()> {
    let sql = "insert into firmware_release (id, owner_id, version, channel, notes, created_by, created_at, withdrawn_at) \
               values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let row = params![
        release.id.to_string(),
        release.owner.to_string(),
        release.version.clone(),
        release.channel.clone(),
        release.notes.clone(),
        release.created_by.clone(),
        release.created_at,
        release.withdrawn_at,
    ];
    c.execute(sql, row)?;
    let sql = "insert into firmware_release_image (release_id, firmware_id) values ($1, $2)";
    for firmware in &release.firmware {
        c.execute(sql, params![release.id.to_string(), firmware.to_string()])?;
    }
    Ok(())
}

/// Writes what of a release can change; tells whether it was there.
pub fn update(c: &Conn<'_>, release: &Release) -> Result<bool> {
    let sql = "update firmware_release set version = $1, channel = $2, notes = $3, withdrawn_at = $4 where id = $5";
    let row = params![
        release.version.clone(),
        release.channel.clone(),
        release.notes.clone(),
        release.withdrawn_at,
        release.id.to_string(),
    ];
    Ok(c.execute(sql, row)? > 0)
}

/// Removes a release; its images stay.
pub fn delete(c: &Conn<'_>, id: ReleaseId) -> Result<()> {
    let sql = "delete from firmware_release where id = $1";
    c.execute(sql, params![id.to_string()]).map(|_| ())
}
