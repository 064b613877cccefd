//! All SQL of patches.

use super::{Pair, Patch};
use crate::ota::library::Digest;
use espalier_db::{Conn, Error, Result, Row, params};

/// Everything that was made.
pub fn all(c: &Conn<'_>) -> Result<Vec<(Pair, Option<Patch>)>> {
    let sql = "select from_sha256, to_sha256, patch_sha256, size from firmware_patch";
    let rows = c.query(sql, params![])?;
    rows.iter()
        .map(|row| {
            let size = row.get::<i64>("size")?.unsigned_abs();
            let patch = row
                .get::<Option<Vec<u8>>>("patch_sha256")?
                .map(digest)
                .transpose()?;
            let pair = (of(row, "from_sha256")?, of(row, "to_sha256")?);
            Ok((pair, patch.map(|sha256| Patch { sha256, size })))
        })
        .collect()
}

/// Keeps what was made, unless one of the images is gone; tells whether it was kept.
pub fn keep(c: &Conn<'_>, pair: &Pair, patch: Option<&Digest>, size: u64, at: i64) -> Result<bool> {
    if !exists(c, &pair.0)? || !exists(c, &pair.1)? {
        return Ok(false);
    }
    c.execute(
        "insert into firmware_patch (from_sha256, to_sha256, patch_sha256, size, made_at) values ($1, $2, $3, $4, $5) \
         on conflict (from_sha256, to_sha256) do update set patch_sha256 = excluded.patch_sha256, size = excluded.size, \
         made_at = excluded.made_at",
        params![
            pair.0.to_vec(),
            pair.1.to_vec(),
            patch.map(|digest| digest.to_vec()),
            i64::try_from(size).unwrap_or(i64::MAX),
            at
        ],
    )?;
    Ok(true)
}

/// Removes what was made from or to an image that no account has any more; returns the patches, nothing while one has it.
pub fn forget(c: &Conn<'_>, image: &Digest) -> Result<Option<Vec<Digest>>> {
    if exists(c, image)? {
        return Ok(None);
    }
    let sql = "delete from firmware_patch where from_sha256 = $1 or to_sha256 = $1 returning patch_sha256";
    let mut patches = Vec::new();
    for row in c.query(sql, params![image.to_vec()])? {
        if let Some(patch) = row.get::<Option<Vec<u8>>>("patch_sha256")? {
            patches.push(digest(patch)?);
        }
    }
    Ok(Some(patches))
}

/// Removes one, because its bytes are gone.
pub fn lose(c: &Conn<'_>, pair: &Pair) -> Result<()> {
    let sql = "delete from firmware_patch where from_sha256 = $1 and to_sha256 = $2";
    c.execute(sql, params![pair.0.to_vec(), pair.1.to_vec()])?;
    Ok(())
}

fn exists(c: &Conn<'_>, image: &Digest) -> Result<bool> {
    let sql = "select 1 as one from firmware where sha256 = $1 limit 1";
    Ok(c.query_opt(sql, params![image.to_vec()])?.is_some())
}

fn of(row: &Row, column: &str) -> Result<Digest> {
    digest(row.get::<Vec<u8>>(column)?)
}

fn digest(bytes: Vec<u8>) -> Result<Digest> {
    bytes.try_into().map_err(|_| Error::Column {
        column: "sha256".to_owned(),
        problem: "a digest in firmware_patch has not 32 bytes".to_owned(),
    })
}
