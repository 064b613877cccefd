//! Signing keys and key sets.

use super::{bytes, id, wrong};
use crate::ota::library::{Key, KeySet};
use espalier_db::{Conn, Result, Row, params};
use espalier_image::keys::PublicKey;
use espalier_model::AccountId;

const COLUMNS: &str = "owner_id, id, name, public_key, added_at, retired_at";

/// Every key, oldest first.
pub fn all(c: &Conn<'_>) -> Result<Vec<Key>> {
    let sql = format!("select {COLUMNS} from signing_key order by added_at, id");
    c.query(&sql, params![])?.iter().map(read).collect()
}

/// An account's keys, oldest first.
pub fn keys_of(c: &Conn<'_>, owner: AccountId) -> Result<Vec<Key>> {
    let sql =
        format!("select {COLUMNS} from signing_key where owner_id = $1 order by added_at, id");
    let rows = c.query(&sql, params![owner.to_string()])?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Key> {
    let public = PublicKey::from_bytes(&bytes(row, "public_key")?);
    Ok(Key {
        owner: id(row, "owner_id")?,
        name: row.get("name")?,
        public: public.ok_or_else(|| wrong("public_key", "not a key"))?,
        added_at: row.get("added_at")?,
        retired_at: row.get("retired_at")?,
    })
}

/// Adds a key.
pub fn insert(c: &Conn<'_>, key: &Key) -> Result<()> {
    let sql = format!("insert into signing_key ({COLUMNS}) values ($1, $2, $3, $4, $5, $6)");
    let row = params![
        key.owner.to_string(),
        key.id(),
        key.name.clone(),
        *key.public.bytes(),
        key.added_at,
        key.retired_at,
    ];
    c.execute(&sql, row).map(|_| ())
}

/// Retires a key.
pub fn retire(c: &Conn<'_>, owner: AccountId, key: &str, now: i64) -> Result<()> {
    let sql = "update signing_key set retired_at = $1 where owner_id = $2 and id = $3 and retired_at is null";
    let row = params![now, owner.to_string(), key.to_owned()];
    c.execute(sql, row).map(|_| ())
}

/// Every key set.
pub fn sets(c: &Conn<'_>) -> Result<Vec<KeySet>> {
    let sql = "select owner_id, serial, document, updated_at from signing_key_set";
    let rows = c.query(sql, params![])?;
    rows.iter()
        .map(|row| {
            Ok(KeySet {
                owner: id(row, "owner_id")?,
                serial: u32::try_from(row.get::<i64>("serial")?).map_err(|e| wrong("serial", e))?,
                document: row.get("document")?,
                updated_at: row.get("updated_at")?,
            })
        })
        .collect()
}

/// Puts a key set in the place of an account's former one.
pub fn put_set(c: &Conn<'_>, set: &KeySet) -> Result<()> {
    let sql = "insert into signing_key_set (owner_id, serial, document, updated_at) values ($1, $2, $3, $4) \
               on conflict (owner_id) do update set serial = excluded.serial, document = excluded.document, \
               updated_at = excluded.updated_at";
    let row = params![
        set.owner.to_string(),
        i64::from(set.serial),
        set.document.clone(),
        set.updated_at,
    ];
    c.execute(sql, row).map(|_| ())
}
