//! All SQL of devices.

use super::registry::Device;
use espalier_db::{Conn, Error, Result, Row, params};

pub fn insert(c: &Conn<'_>, device: &Device) -> Result<()> {
    c.execute(
        "insert into device (id, oid, owner_id, name, token_digest, created_at) values ($1, $2, $3, $4, $5, $6)",
        params![
            device.id.to_string(),
            device.oid.to_string(),
            device.owner.to_string(),
            &device.name,
            device.token_digest,
            device.created_at
        ],
    )?;
    Ok(())
}

pub fn all(c: &Conn<'_>) -> Result<Vec<Device>> {
    let rows = c.query(
        "select id, oid, owner_id, name, token_digest, created_at from device",
        params![],
    )?;
    rows.iter().map(device).collect()
}

fn device(row: &Row) -> Result<Device> {
    let digest: Vec<u8> = row.get("token_digest")?;
    Ok(Device {
        id: parse("id", &row.get::<String>("id")?)?,
        oid: parse("oid", &row.get::<String>("oid")?)?,
        owner: parse("owner_id", &row.get::<String>("owner_id")?)?,
        name: row.get("name")?,
        token_digest: digest.try_into().map_err(|_| Error::Column {
            column: "token_digest".to_owned(),
            problem: "not 32 bytes".to_owned(),
        })?,
        shares: Vec::new(),
        created_at: row.get("created_at")?,
    })
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(column: &str, text: &str) -> Result<T> {
    text.parse().map_err(|e: T::Err| Error::Column {
        column: column.to_owned(),
        problem: e.to_string(),
    })
}
