//! All SQL of dashboards and widgets.

use super::config::Kind;
use espalier_db::{Conn, Error, Result, Row, params};
use espalier_model::{AccountId, DeviceId};
use serde_json::{Map, Value};

/// A dashboard as stored.
#[derive(Debug, Clone)]
pub struct Dashboard {
    pub id: String,
    pub account: AccountId,
    pub name: String,
    pub description: Option<String>,
    pub shared: bool,
    pub created_at: i64,
}

/// Where a widget stands on its dashboard, in the app's own units.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    pub order: i64,
    pub x: Option<i64>,
    pub y: Option<i64>,
    pub width: Option<i64>,
    pub height: Option<i64>,
}

/// A widget as stored.
#[derive(Debug, Clone)]
pub struct Widget {
    pub id: String,
    pub dashboard: String,
    pub dashboard_name: String,
    pub account: AccountId,
    pub device: Option<DeviceId>,
    pub kind: Kind,
    pub label: Option<String>,
    pub value: Option<Value>,
    pub config: Map<String, Value>,
    pub place: Place,
    pub created_at: i64,
}

const DASHBOARD: &str =
    "select id, account_id, name, description, share_digest, created_at from dashboard";

const WIDGET: &str = "select w.id, w.dashboard_id, d.account_id, d.name as dashboard_name, w.device_id, w.kind, w.label, w.value, w.config, \
                      w.position, w.x, w.y, w.width, w.height, w.created_at \
                      from widget w join dashboard d on d.id = w.dashboard_id";

pub fn insert_dashboard(c: &Conn<'_>, d: &Dashboard) -> Result<()> {
    c.execute(
        "insert into dashboard (id, account_id, name, description, created_at) values ($1, $2, $3, $4, $5)",
        params![&d.id, d.account.to_string(), &d.name, d.description.clone(), d.created_at],
    )?;
    Ok(())
}

pub fn count_dashboards(c: &Conn<'_>, account: AccountId) -> Result<i64> {
    c.query_one(
        "select count(*) as n from dashboard where account_id = $1",
        params![account.to_string()],
    )?
    .get("n")
}

pub fn dashboards_of(c: &Conn<'_>, account: AccountId) -> Result<Vec<Dashboard>> {
    let rows = c.query(
        &format!("{DASHBOARD} where account_id = $1 order by created_at, id"),
        params![account.to_string()],
    )?;
    rows.iter().map(dashboard).collect()
}

/// A dashboard of this account.
pub fn dashboard_of(c: &Conn<'_>, id: &str, account: AccountId) -> Result<Option<Dashboard>> {
    let row = c.query_opt(
        &format!("{DASHBOARD} where id = $1 and account_id = $2"),
        params![id, account.to_string()],
    )?;
    row.as_ref().map(dashboard).transpose()
}

pub fn dashboard_by_share(c: &Conn<'_>, digest: [u8; 32]) -> Result<Option<Dashboard>> {
    let row = c.query_opt(
        &format!("{DASHBOARD} where share_digest = $1"),
        params![digest],
    )?;
    row.as_ref().map(dashboard).transpose()
}

pub fn update_dashboard(c: &Conn<'_>, d: &Dashboard) -> Result<()> {
    c.execute(
        "update dashboard set name = $1, description = $2 where id = $3",
        params![&d.name, d.description.clone(), &d.id],
    )?;
    Ok(())
}

pub fn delete_dashboard(c: &Conn<'_>, id: &str, account: AccountId) -> Result<bool> {
    let gone = c.execute(
        "delete from dashboard where id = $1 and account_id = $2",
        params![id, account.to_string()],
    )?;
    Ok(gone > 0)
}

/// Sets or removes the digest of the read-only link; tells whether the dashboard exists.
pub fn set_share(
    c: &Conn<'_>,
    id: &str,
    account: AccountId,
    digest: Option<[u8; 32]>,
) -> Result<bool> {
    let changed = c.execute(
        "update dashboard set share_digest = $1 where id = $2 and account_id = $3",
        params![digest, id, account.to_string()],
    )?;
    Ok(changed > 0)
}

pub fn widgets_of(c: &Conn<'_>, dashboard: &str) -> Result<Vec<Widget>> {
    let rows = c.query(
        &format!("{WIDGET} where w.dashboard_id = $1 order by w.position, w.created_at, w.id"),
        params![dashboard],
    )?;
    rows.iter().map(widget).collect()
}

/// A widget on a dashboard of this account.
pub fn widget_of(c: &Conn<'_>, id: &str, account: AccountId) -> Result<Option<Widget>> {
    let row = c.query_opt(
        &format!("{WIDGET} where w.id = $1 and d.account_id = $2"),
        params![id, account.to_string()],
    )?;
    row.as_ref().map(widget).transpose()
}

/// The widgets, of whomever, that show or set this key of a device.
pub fn widgets_on(c: &Conn<'_>, device: DeviceId, key: &str) -> Result<Vec<Widget>> {
    let rows = c.query(
        &format!("{WIDGET} where w.device_id = $1 and w.data_key = $2"),
        params![device.to_string(), key],
    )?;
    rows.iter().map(widget).collect()
}

pub fn insert_widget(c: &Conn<'_>, w: &Widget) -> Result<()> {
    c.execute(
        "insert into widget (id, dashboard_id, device_id, kind, label, value, config, data_key, position, x, y, \
         width, height, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        params![
            &w.id,
            &w.dashboard,
            w.device.map(|d| d.to_string()),
            w.kind.as_str(),
            w.label.clone(),
            w.value.as_ref().map(Value::to_string),
            Value::Object(w.config.clone()).to_string(),
            super::config::data_key(&w.config).map(str::to_owned),
            w.place.order,
            w.place.x,
            w.place.y,
            w.place.width,
            w.place.height,
            w.created_at
        ],
    )?;
    Ok(())
}

pub fn update_widget(c: &Conn<'_>, w: &Widget) -> Result<()> {
    c.execute(
        "update widget set device_id = $1, label = $2, value = $3, config = $4, data_key = $5 where id = $6",
        params![
            w.device.map(|d| d.to_string()),
            w.label.clone(),
            w.value.as_ref().map(Value::to_string),
            Value::Object(w.config.clone()).to_string(),
            super::config::data_key(&w.config).map(str::to_owned),
            &w.id
        ],
    )?;
    Ok(())
}

pub fn place_widget(c: &Conn<'_>, id: &str, place: Place) -> Result<()> {
    c.execute(
        "update widget set position = $1, x = $2, y = $3, width = $4, height = $5 where id = $6",
        params![place.order, place.x, place.y, place.width, place.height, id],
    )?;
    Ok(())
}

pub fn delete_widget(c: &Conn<'_>, id: &str) -> Result<bool> {
    Ok(c.execute("delete from widget where id = $1", params![id])? > 0)
}

fn dashboard(row: &Row) -> Result<Dashboard> {
    Ok(Dashboard {
        id: row.get("id")?,
        account: parse(row, "account_id")?,
        name: row.get("name")?,
        description: row.get("description")?,
        shared: row.get::<Option<Vec<u8>>>("share_digest")?.is_some(),
        created_at: row.get("created_at")?,
    })
}

fn widget(row: &Row) -> Result<Widget> {
    let device: Option<String> = row.get("device_id")?;
    let value: Option<String> = row.get("value")?;
    let config: String = row.get("config")?;
    Ok(Widget {
        id: row.get("id")?,
        dashboard: row.get("dashboard_id")?,
        dashboard_name: row.get("dashboard_name")?,
        account: parse(row, "account_id")?,
        device: device
            .map(|id| id.parse().map_err(|_| bad("device_id")))
            .transpose()?,
        kind: parse(row, "kind")?,
        label: row.get("label")?,
        value: value
            .map(|text| serde_json::from_str(&text).map_err(|_| bad("value")))
            .transpose()?,
        config: serde_json::from_str(&config).map_err(|_| bad("config"))?,
        place: Place {
            order: row.get("position")?,
            x: row.get("x")?,
            y: row.get("y")?,
            width: row.get("width")?,
            height: row.get("height")?,
        },
        created_at: row.get("created_at")?,
    })
}

fn parse<T: std::str::FromStr>(row: &Row, column: &str) -> Result<T> {
    row.get::<String>(column)?.parse().map_err(|_| bad(column))
}

fn bad(column: &str) -> Error {
    Error::Column {
        column: column.to_owned(),
        problem: "not what this program writes".to_owned(),
    }
}
