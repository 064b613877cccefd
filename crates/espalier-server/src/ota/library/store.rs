//! All SQL of images and releases.

use super::{Firmware, Release};
use espalier_db::{Conn, Error, Result, Row, params};
use std::collections::HashMap;
use std::str::FromStr;

const FIRMWARE: &str = "id, owner_id, sha256, md5, size, chip, project, version, secure_version, elf_sha256, appended_sha256, facts, \
                        device_type, legacy_key, filename, description, manifest, created_by, created_at";

/// Every image.
pub fn firmware(c: &Conn<'_>) -> Result<Vec<Firmware>> {
    let sql = format!("select {FIRMWARE} from firmware order by id");
    c.query(&sql, params![])?
        .iter()
        .map(read_firmware)
        .collect()
}

/// Every release with its images.
pub fn releases(c: &Conn<'_>) -> Result<Vec<Release>> {
    let mut images: HashMap<String, Vec<espalier_model::FirmwareId>> = HashMap::new();
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

fn read_firmware(row: &Row) -> Result<Firmware> {
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

fn id<T: FromStr<Err = espalier_model::id::InvalidId>>(
    row: &Row,
    column: &'static str,
) -> Result<T> {
    row.get::<String>(column)?
        .parse()
        .map_err(|e: espalier_model::id::InvalidId| wrong(column, e))
}

fn bytes<const N: usize>(row: &Row, column: &'static str) -> Result<[u8; N]> {
    let found: Vec<u8> = row.get(column)?;
    found
        .try_into()
        .map_err(|_| wrong(column, format_args!("not {N} bytes")))
}

fn wrong(column: &str, problem: impl std::fmt::Display) -> Error {
    Error::Column {
        column: column.to_owned(),
        problem: problem.to_string(),
    }
}
