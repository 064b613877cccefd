//! Images.

use super::{bytes, id, wrong};
use crate::ota::library::Firmware;
use espalier_db::{Conn, Result, Row, params};
use espalier_model::{AccountId, FirmwareId};

const COLUMNS: &str = "id, owner_id, sha256, md5, size, chip, project, version, secure_version, elf_sha256, appended_sha256, facts, \
                       device_type, legacy_key, filename, description, manifest, created_by, created_at";

/// Every image.
pub fn all(c: &Conn<'_>) -> Result<Vec<Firmware>> {
    let sql = format!("select {COLUMNS} from firmware order by id");
    c.query(&sql, params![])?.iter().map(read).collect()
}

/// How often each image was downloaded.
pub fn downloads(c: &Conn<'_>) -> Result<Vec<(FirmwareId, u64)>> {
    let rows = c.query("select id, downloads from firmware", params![])?;
    rows.iter()
        .map(|row| Ok((id(row, "id")?, row.get::<i64>("downloads")?.unsigned_abs())))
        .collect()
}

/// Adds to how often images were downloaded; one that is gone is passed over.
pub fn add_downloads(c: &Conn<'_>, counted: &[(FirmwareId, u64)]) -> Result<()> {
    let sql = "update firmware set downloads = downloads + $1 where id = $2";
    for (id, n) in counted {
        let n = i64::try_from(*n).unwrap_or(i64::MAX);
        c.execute(sql, params![n, id.to_string()])?;
    }
    Ok(())
}

/// How many images an account has.
pub fn count(c: &Conn<'_>, owner: AccountId) -> Result<i64> {
    let sql = "select count(*) as n from firmware where owner_id = $1";
    c.query_one(sql, params![owner.to_string()])?.get("n")
}

/// Whether an image of anybody has this key already.
pub fn key_is_taken(c: &Conn<'_>, key: &str) -> Result<bool> {
    let sql = "select 1 as one from firmware where legacy_key = $1";
    Ok(c.query_opt(sql, params![key.to_owned()])?.is_some())
}

/// Adds an image.
pub fn insert(c: &Conn<'_>, firmware: &Firmware) -> Result<()> {
    let sql = format!(
        "insert into firmware ({COLUMNS}) values \
         ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"
    );
    let facts = serde_json::to_string(&firmware.facts).map_err(|e| wrong("facts", e))?;
    let size = i64::try_from(firmware.size).map_err(|e| wrong("size", e))?;
    let row = params![
        firmware.id.to_string(),
        firmware.owner.to_string(),
        firmware.sha256,
        firmware.md5,
        size,
        firmware.chip.clone(),
        firmware.project.clone(),
        firmware.version.clone(),
        i64::from(firmware.secure_version),
        firmware.elf_sha256,
        firmware.appended_sha256,
        facts,
        firmware.device_type.clone(),
        firmware.legacy_key.clone(),
        firmware.filename.clone(),
        firmware.description.clone(),
        firmware.manifest.clone(),
        firmware.created_by.clone(),
        firmware.created_at,
    ];
    c.execute(&sql, row).map(|_| ())
}

/// What of an image can change.
#[derive(Debug, Clone)]
pub struct Change {
    pub id: FirmwareId,
    pub device_type: Option<String>,
    pub description: String,
    pub manifest: Option<String>,
}

/// Changes an image; tells whether it was there.
pub fn update(c: &Conn<'_>, change: &Change) -> Result<bool> {
    let sql = "update firmware set device_type = $1, description = $2, manifest = $3 where id = $4";
    let row = params![
        change.device_type.clone(),
        change.description.clone(),
        change.manifest.clone(),
        change.id.to_string(),
    ];
    Ok(c.execute(sql, row)? > 0)
}

/// Removes an image.
pub fn delete(c: &Conn<'_>, id: FirmwareId) -> Result<()> {
    let sql = "delete from firmware where id = $1";
    c.execute(sql, params![id.to_string()]).map(|_| ())
}

fn read(row: &Row) -> Result<Firmware> {
    Ok(Firmware {
        id: id(row, "id")?,
        owner: id(row, "owner_id")?,
        sha256: bytes(row, "sha256")?,
        md5: bytes(row, "md5")?,
        size: row.get::<i64>("size")?.unsigned_abs(),
        chip: row.get("chip")?,
        project: row.get("project")?,
        version: row.get("version")?,
        secure_version: u32::try_from(row.get::<i64>("secure_version")?).unwrap_or(u32::MAX),
        elf_sha256: bytes(row, "elf_sha256")?,
        appended_sha256: match row.get::<Option<Vec<u8>>>("appended_sha256")? {
            Some(_) => Some(bytes(row, "appended_sha256")?),
            None => None,
        },
        facts: serde_json::from_str(&row.get::<String>("facts")?).map_err(|e| wrong("facts", e))?,
        device_type: row.get("device_type")?,
        legacy_key: row.get("legacy_key")?,
        filename: row.get("filename")?,
        description: row.get("description")?,
        manifest: row.get("manifest")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
    })
}
