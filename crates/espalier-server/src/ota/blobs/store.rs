//! Which rows refer to blobs. A feature that keeps blobs adds its column to [`REFERENCES`].

use super::super::library::Digest;
use espalier_db::{Conn, Error, Result, params};
use std::collections::HashSet;

/// A column that holds digests of blobs.
struct Reference {
    table: &'static str,
    column: &'static str,
    /// The blob cannot be made again: backups hold it.
    back_up: bool,
}

const REFERENCES: &[Reference] = &[
    Reference {
        table: "firmware",
        column: "sha256",
        back_up: true,
    },
    Reference {
        table: "firmware_patch",
        column: "patch_sha256",
        back_up: false,
    },
    Reference {
        table: "firmware_kit_part",
        column: "sha256",
        back_up: true,
    },
    Reference {
        table: "screen_image",
        column: "sha256",
        back_up: true,
    },
];

/// Every blob that a row refers to.
pub fn referenced(c: &Conn<'_>) -> Result<HashSet<Digest>> {
    read(c, |_| true)
}

/// Every blob that a backup must hold.
///
/// # Errors
/// Returns the database's error.
pub fn to_back_up(c: &Conn<'_>) -> Result<HashSet<Digest>> {
    read(c, |reference| reference.back_up)
}

/// Whether a row refers to this blob.
pub fn is_referenced(c: &Conn<'_>, digest: &Digest) -> Result<bool> {
    for Reference { table, column, .. } in REFERENCES {
        let sql = format!("select 1 as one from {table} where {column} = $1 limit 1");
        if c.query_opt(&sql, params![digest.to_vec()])?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read(c: &Conn<'_>, wanted: impl Fn(&Reference) -> bool) -> Result<HashSet<Digest>> {
    let mut found = HashSet::new();
    for reference in REFERENCES.iter().filter(|reference| wanted(reference)) {
        let Reference { table, column, .. } = reference;
        let sql =
            format!("select distinct {column} as digest from {table} where {column} is not null");
        for row in c.query(&sql, params![])? {
            let digest: Vec<u8> = row.get("digest")?;
            let digest = digest.try_into().map_err(|_| Error::Column {
                column: (*column).to_owned(),
                problem: format!("a digest in {table} has not 32 bytes"),
            })?;
            found.insert(digest);
        }
    }
    Ok(found)
}
