//! All SQL of images, keys and releases.

mod firmware;
mod keys;
mod releases;

pub use firmware::{
    Change, add_downloads, count as count_firmware, delete as delete_firmware,
    insert as insert_firmware, key_is_taken, update as update_firmware,
};
pub use keys::{insert as insert_key, keys_of, put_set, retire};
pub use releases::{
    count as count_releases, delete as delete_release, insert as insert_release,
    update as update_release,
};

use super::{Firmware, Key, KeySet, Release};
use espalier_db::{Conn, Error, Result, Row};
use espalier_model::FirmwareId;
use std::str::FromStr;

/// Everything that lives in memory.
pub struct Everything {
    pub firmware: Vec<Firmware>,
    pub downloads: Vec<(FirmwareId, u64)>,
    pub releases: Vec<Release>,
    pub keys: Vec<Key>,
    pub key_sets: Vec<KeySet>,
}

/// Reads everything that lives in memory.
pub fn everything(c: &Conn<'_>) -> Result<Everything> {
    Ok(Everything {
        firmware: firmware::all(c)?,
        downloads: firmware::downloads(c)?,
        releases: releases::all(c)?,
        keys: keys::all(c)?,
        key_sets: keys::sets(c)?,
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
