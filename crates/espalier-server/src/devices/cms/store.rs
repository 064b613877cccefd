//! All SQL of old boards.

use super::claim::Block;
use super::legacy::{Legacy, Profile};
use crate::devices::store::parse;
use espalier_db::{Conn, Result, Row, params};
use espalier_model::{DeviceId, Oid};

/// Everything that is known of claimed old boards, in the order in which they were made.
pub fn all(c: &Conn<'_>) -> Result<Vec<(DeviceId, Legacy)>> {
    let rows = c.query(
        "select device_id, legacy_id, open, mac, address, device_name, occupation, wifi_ssid, capabilities, preferences, \
         custom_content_enabled, updated_at from legacy_device order by device_id",
        params![],
    )?;
    rows.iter()
        .map(|row| {
            let device = parse("device_id", &row.get::<String>("device_id")?)?;
            Ok((device, legacy(row)?))
        })
        .collect()
}

fn legacy(row: &Row) -> Result<Legacy> {
    Ok(Legacy {
        legacy_id: row.get::<String>("legacy_id")?.into(),
        open: row.get("open")?,
        mac: optional(row, "mac")?,
        address: optional(row, "address")?,
        profile: Profile {
            device_name: row.get("device_name")?,
            occupation: row.get("occupation")?,
            wifi_ssid: row.get("wifi_ssid")?,
            capabilities: row.get("capabilities")?,
            preferences: row.get("preferences")?,
            custom_content_enabled: row.get("custom_content_enabled")?,
        },
        updated_at: row.get("updated_at")?,
    })
}

fn optional<T: std::str::FromStr<Err: std::fmt::Display>>(
    row: &Row,
    column: &str,
) -> Result<Option<T>> {
    let text = row.get::<Option<String>>(column)?;
    text.map(|text| parse(column, &text)).transpose()
}

/// Stores what is known of one old board.
pub fn put(c: &Conn<'_>, device: DeviceId, legacy: &Legacy) -> Result<()> {
    let profile = &legacy.profile;
    c.execute(
        "insert into legacy_device (device_id, legacy_id, open, mac, address, device_name, occupation, wifi_ssid, \
         capabilities, preferences, custom_content_enabled, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict (device_id) do update set \
         legacy_id = excluded.legacy_id, open = excluded.open, mac = excluded.mac, address = excluded.address, \
         device_name = excluded.device_name, occupation = excluded.occupation, wifi_ssid = excluded.wifi_ssid, \
         capabilities = excluded.capabilities, preferences = excluded.preferences, \
         custom_content_enabled = excluded.custom_content_enabled, updated_at = excluded.updated_at",
        params![
            device.to_string(),
            &*legacy.legacy_id,
            legacy.open,
            legacy.mac.map(|mac| mac.to_string()),
            legacy.address.map(|address| address.to_string()),
            profile.device_name.as_deref(),
            profile.occupation.as_deref(),
            profile.wifi_ssid.as_deref(),
            profile.capabilities.as_deref(),
            profile.preferences.as_deref(),
            profile.custom_content_enabled,
            legacy.updated_at
        ],
    )?;
    Ok(())
}

/// The boards that are not to be heard, the newest first.
pub fn blocks(c: &Conn<'_>) -> Result<Vec<Block>> {
    let rows = c.query(
        "select id, legacy_id, mac, address, blocked_by, blocked_at from legacy_block order by blocked_at desc, id desc",
        params![],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Block {
                id: parse("id", &row.get::<String>("id")?)?,
                legacy_id: row.get::<String>("legacy_id")?.into(),
                mac: optional(row, "mac")?,
                address: parse("address", &row.get::<String>("address")?)?,
                by: row.get("blocked_by")?,
                at: row.get("blocked_at")?,
            })
        })
        .collect()
}

/// Stores that a board is not to be heard.
pub fn insert_block(c: &Conn<'_>, block: &Block) -> Result<()> {
    c.execute(
        "insert into legacy_block (id, legacy_id, mac, address, blocked_by, blocked_at) values ($1, $2, $3, $4, $5, $6)",
        params![
            block.id.to_string(),
            &*block.legacy_id,
            block.mac.map(|mac| mac.to_string()),
            block.address.to_string(),
            &block.by,
            block.at
        ],
    )?;
    Ok(())
}

/// Lets a board be heard again and returns whether it was blocked.
pub fn delete_block(c: &Conn<'_>, id: Oid) -> Result<bool> {
    let removed = c.execute(
        "delete from legacy_block where id = $1",
        params![id.to_string()],
    )?;
    Ok(removed > 0)
}
