//! All SQL of kits.

use super::{Kit, Part, Region};
use crate::ota::library::Digest;
use espalier_db::{Conn, Error, Result, Row, params};
use espalier_model::id::InvalidId;
use espalier_model::{AccountId, KitId};
use std::collections::HashMap;
use std::str::FromStr;

const COLUMNS: &str = "id, owner_id, digest, variant, chip, project, version, flash_size, settings_at, settings_size, \
                       otadata_at, otadata_size, notes, created_by, created_at";

/// An account's kits, or everybody's, newest first.
pub fn list(c: &Conn<'_>, owner: Option<AccountId>) -> Result<Vec<Kit>> {
    let order = "order by created_at desc, id desc";
    let (kits, parts) = match owner {
        None => (
            c.query(&format!("select {COLUMNS} from firmware_kit {order}"), params![])?,
            c.query("select kit_id, name, address, size, sha256 from firmware_kit_part order by address", params![])?,
        ),
        Some(owner) => (
            c.query(
                &format!("select {COLUMNS} from firmware_kit where owner_id = $1 {order}"),
                params![owner.to_string()],
            )?,
            c.query(
                "select kit_id, name, address, size, sha256 from firmware_kit_part \
                 where kit_id in (select id from firmware_kit where owner_id = $1) order by address",
                params![owner.to_string()],
            )?,
        ),
    };
    let mut by_kit: HashMap<KitId, Vec<Part>> = HashMap::new();
    for row in &parts {
        by_kit
            .entry(id(row, "kit_id")?)
            .or_default()
            .push(part(row)?);
    }
    let whole = |row: &Row| {
        let mut kit = read(row)?;
        kit.parts = by_kit.remove(&kit.id).unwrap_or_default();
        Ok(kit)
    };
    kits.iter().map(whole).collect()
}

/// A kit.
pub fn get(c: &Conn<'_>, id: KitId) -> Result<Option<Kit>> {
    let sql = format!("select {COLUMNS} from firmware_kit where id = $1");
    with_parts(c, c.query_opt(&sql, params![id.to_string()])?)
}

/// An account's kit with this digest.
pub fn by_digest(c: &Conn<'_>, owner: AccountId, digest: &Digest) -> Result<Option<Kit>> {
    let sql = format!("select {COLUMNS} from firmware_kit where owner_id = $1 and digest = $2");
    let row = c.query_opt(&sql, params![owner.to_string(), *digest])?;
    with_parts(c, row)
}

/// How many kits an account has.
pub fn count(c: &Conn<'_>, owner: AccountId) -> Result<i64> {
    let sql = "select count(*) as n from firmware_kit where owner_id = $1";
    c.query_one(sql, params![owner.to_string()])?.get("n")
}

/// Adds a kit with its parts.
pub fn insert(c: &Conn<'_>, kit: &Kit) -> Result<()> {
    let sql = format!(
        "insert into firmware_kit ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
    );
    let row = params![
        kit.id.to_string(),
        kit.owner.to_string(),
        kit.digest,
        kit.variant.clone(),
        kit.chip.clone(),
        kit.project.clone(),
        kit.version.clone(),
        i64::from(kit.flash_size),
        i64::from(kit.settings.offset),
        i64::from(kit.settings.size),
        i64::from(kit.otadata.offset),
        i64::from(kit.otadata.size),
        kit.notes.clone(),
        kit.created_by.clone(),
        kit.created_at,
    ];
    c.execute(&sql, row)?;
    let sql = "insert into firmware_kit_part (kit_id, name, address, size, sha256) values ($1, $2, $3, $4, $5)";
    for part in &kit.parts {
        let row = params![
            kit.id.to_string(),
            part.name.clone(),
            i64::from(part.place.offset),
            i64::from(part.place.size),
            part.sha256,
        ];
        c.execute(sql, row)?;
    }
    Ok(())
}

/// Removes a kit with its parts; tells whether it was there.
pub fn delete(c: &Conn<'_>, id: KitId) -> Result<bool> {
    let sql = "delete from firmware_kit where id = $1";
    Ok(c.execute(sql, params![id.to_string()])? > 0)
}

fn with_parts(c: &Conn<'_>, row: Option<Row>) -> Result<Option<Kit>> {
    let Some(row) = row else {
        return Ok(None);
    };
    let mut kit = read(&row)?;
    let sql = "select name, address, size, sha256 from firmware_kit_part where kit_id = $1 order by address";
    let parts = c.query(sql, params![kit.id.to_string()])?;
    kit.parts = parts.iter().map(part).collect::<Result<_>>()?;
    Ok(Some(kit))
}

fn read(row: &Row) -> Result<Kit> {
    Ok(Kit {
        id: id(row, "id")?,
        owner: id(row, "owner_id")?,
        digest: digest(row, "digest")?,
        variant: row.get("variant")?,
        chip: row.get("chip")?,
        project: row.get("project")?,
        version: row.get("version")?,
        flash_size: number(row, "flash_size")?,
        settings: Region {
            offset: number(row, "settings_at")?,
            size: number(row, "settings_size")?,
        },
        otadata: Region {
            offset: number(row, "otadata_at")?,
            size: number(row, "otadata_size")?,
        },
        notes: row.get("notes")?,
        parts: Vec::new(),
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
    })
}

fn part(row: &Row) -> Result<Part> {
    Ok(Part {
        name: row.get("name")?,
        place: Region {
            offset: number(row, "address")?,
            size: number(row, "size")?,
        },
        sha256: digest(row, "sha256")?,
    })
}

fn id<T: FromStr<Err = InvalidId>>(row: &Row, column: &'static str) -> Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error| wrong(column, error))
}

fn digest(row: &Row, column: &'static str) -> Result<Digest> {
    let found: Vec<u8> = row.get(column)?;
    let found = found.try_into();
    found.map_err(|_| wrong(column, "not 32 bytes"))
}

fn number(row: &Row, column: &'static str) -> Result<u32> {
    let found: i64 = row.get(column)?;
    u32::try_from(found).map_err(|error| wrong(column, error))
}

fn wrong(column: &str, problem: impl std::fmt::Display) -> Error {
    Error::Column {
        column: column.to_owned(),
        problem: problem.to_string(),
    }
}
