//! All SQL of screens.

use super::content::{Source, Text};
use super::images::Image;
use espalier_db::{Conn, Error, Result, Row, params};
use espalier_model::{AccountId, DeviceId};
use std::str::FromStr;

/// What is stored of a device's screen.
#[derive(Debug, Clone)]
pub struct Screen {
    pub settings: String,
    pub preferences: String,
    pub version: i64,
    pub updated_at: i64,
}

const IMAGE: &str =
    "i.id, i.owner_id, i.sha256, i.name, i.title, i.kind, i.width, i.height, i.size, i.created_at";

pub fn insert_image(c: &Conn<'_>, i: &Image) -> Result<()> {
    c.execute(
        "insert into screen_image (id, owner_id, sha256, name, title, kind, width, height, size, created_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        params![
            &i.id,
            i.owner.to_string(),
            i.sha256,
            &i.name,
            &i.title,
            &i.kind,
            i.width,
            i.height,
            i.size,
            i.created_at
        ],
    )?;
    Ok(())
}

pub fn count_images(c: &Conn<'_>, owner: AccountId) -> Result<i64> {
    let sql = "select count(*) as n from screen_image where owner_id = $1";
    c.query_one(sql, params![owner.to_string()])?.get("n")
}

/// An account's pictures, the newest first.
pub fn images_of(c: &Conn<'_>, owner: AccountId) -> Result<Vec<Image>> {
    let sql = format!(
        "select {IMAGE} from screen_image i where i.owner_id = $1 order by i.created_at desc, i.id desc"
    );
    images(c.query(&sql, params![owner.to_string()])?)
}

pub fn image(c: &Conn<'_>, id: &str) -> Result<Option<Image>> {
    let sql = format!("select {IMAGE} from screen_image i where i.id = $1");
    c.query_opt(&sql, params![id])?
        .as_ref()
        .map(read_image)
        .transpose()
}

pub fn image_by_name(c: &Conn<'_>, name: &str) -> Result<Option<Image>> {
    let sql = format!("select {IMAGE} from screen_image i where i.name = $1");
    c.query_opt(&sql, params![name])?
        .as_ref()
        .map(read_image)
        .transpose()
}

/// The picture that an account has with this digest.
pub fn image_by_digest(c: &Conn<'_>, owner: AccountId, sha256: [u8; 32]) -> Result<Option<Image>> {
    let sql = format!("select {IMAGE} from screen_image i where i.owner_id = $1 and i.sha256 = $2");
    let row = c.query_opt(&sql, params![owner.to_string(), sha256])?;
    row.as_ref().map(read_image).transpose()
}

pub fn delete_image(c: &Conn<'_>, id: &str) -> Result<bool> {
    Ok(c.execute("delete from screen_image where id = $1", params![id])? > 0)
}

/// The devices whose screens show a picture.
pub fn shown_on(c: &Conn<'_>, image: &str) -> Result<Vec<DeviceId>> {
    let sql =
        "select distinct device_id from screen_picture where image_id = $1 order by device_id";
    let rows = c.query(sql, params![image])?;
    rows.iter().map(|row| id(row, "device_id")).collect()
}

/// A device's pictures in their order.
pub fn pictures(c: &Conn<'_>, device: DeviceId) -> Result<Vec<Image>> {
    let sql = format!(
        "select {IMAGE} from screen_picture p join screen_image i on i.id = p.image_id where p.device_id = $1 order by p.position"
    );
    images(c.query(&sql, params![device.to_string()])?)
}

pub fn put_pictures(c: &Conn<'_>, device: DeviceId, images: &[String]) -> Result<()> {
    let device = device.to_string();
    c.execute(
        "delete from screen_picture where device_id = $1",
        params![device.clone()],
    )?;
    for (position, image) in (0i64..).zip(images) {
        c.execute(
            "insert into screen_picture (device_id, position, image_id) values ($1, $2, $3)",
            params![device.clone(), position, image],
        )?;
    }
    Ok(())
}

pub fn screen(c: &Conn<'_>, device: DeviceId) -> Result<Option<Screen>> {
    let sql = "select settings, preferences, version, updated_at from screen where device_id = $1";
    let row = c.query_opt(sql, params![device.to_string()])?;
    row.map(|row| {
        Ok(Screen {
            settings: row.get("settings")?,
            preferences: row.get("preferences")?,
            version: row.get("version")?,
            updated_at: row.get("updated_at")?,
        })
    })
    .transpose()
}

/// Keeps a screen as its next version.
pub fn put_screen(
    c: &Conn<'_>,
    device: DeviceId,
    settings: &str,
    preferences: &str,
    now: i64,
) -> Result<()> {
    c.execute(
        "insert into screen (device_id, settings, preferences, version, updated_at) values ($1, $2, $3, 1, $4) \
         on conflict (device_id) do update set settings = excluded.settings, preferences = excluded.preferences, \
         version = screen.version + 1, updated_at = excluded.updated_at",
        params![device.to_string(), settings, preferences, now],
    )?;
    Ok(())
}

const TEXT: &str = "select id, owner_id, device_id, category, subcategory, title, body, priority, expires_at, created_at from screen_text";

/// Everything that an account wrote, the most important first.
pub fn texts_of(c: &Conn<'_>, owner: AccountId) -> Result<Vec<Text>> {
    let sql = format!("{TEXT} where owner_id = $1 order by priority desc, created_at, id");
    let rows = c.query(&sql, params![owner.to_string()])?;
    rows.iter().map(read_text).collect()
}

/// What a device's owner wrote for it or for all devices and has not expired, the most important first.
pub fn texts_for(c: &Conn<'_>, owner: AccountId, device: DeviceId, now: i64) -> Result<Vec<Text>> {
    let sql = format!(
        "{TEXT} where owner_id = $1 and (device_id is null or device_id = $2) and (expires_at is null or expires_at > $3) \
         order by priority desc, created_at, id"
    );
    let rows = c.query(&sql, params![owner.to_string(), device.to_string(), now])?;
    rows.iter().map(read_text).collect()
}

pub fn text(c: &Conn<'_>, id: &str) -> Result<Option<Text>> {
    let row = c.query_opt(&format!("{TEXT} where id = $1"), params![id])?;
    row.as_ref().map(read_text).transpose()
}

pub fn count_texts(c: &Conn<'_>, owner: AccountId) -> Result<i64> {
    let sql = "select count(*) as n from screen_text where owner_id = $1";
    c.query_one(sql, params![owner.to_string()])?.get("n")
}

/// Keeps a new text, or the new form of one.
pub fn put_text(c: &Conn<'_>, t: &Text) -> Result<()> {
    c.execute(
        "insert into screen_text (id, owner_id, device_id, category, subcategory, title, body, priority, expires_at, created_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (id) do update set device_id = excluded.device_id, \
         category = excluded.category, subcategory = excluded.subcategory, title = excluded.title, body = excluded.body, \
         priority = excluded.priority, expires_at = excluded.expires_at",
        params![
            &t.id,
            t.owner.to_string(),
            t.device.map(|device| device.to_string()),
            &t.category,
            &t.subcategory,
            &t.title,
            &t.body,
            t.priority,
            t.expires_at,
            t.created_at
        ],
    )?;
    Ok(())
}

pub fn delete_text(c: &Conn<'_>, id: &str) -> Result<bool> {
    Ok(c.execute("delete from screen_text where id = $1", params![id])? > 0)
}

/// The sources that an account chose: category, subcategory, source.
pub fn sources(c: &Conn<'_>, owner: AccountId) -> Result<Vec<(String, String, Source)>> {
    let sql = "select category, subcategory, source from screen_source where owner_id = $1 order by category, subcategory";
    let rows = c.query(sql, params![owner.to_string()])?;
    rows.iter()
        .map(|row| {
            let source = row.get::<String>("source")?.parse();
            let source = source.map_err(|e: String| wrong("source", e))?;
            Ok((row.get("category")?, row.get("subcategory")?, source))
        })
        .collect()
}

pub fn put_source(
    c: &Conn<'_>,
    owner: AccountId,
    category: &str,
    subcategory: &str,
    source: Source,
) -> Result<()> {
    c.execute(
        "insert into screen_source (owner_id, category, subcategory, source) values ($1, $2, $3, $4) \
         on conflict (owner_id, category, subcategory) do update set source = excluded.source",
        params![owner.to_string(), category, subcategory, source.as_str()],
    )?;
    Ok(())
}

fn images(rows: Vec<Row>) -> Result<Vec<Image>> {
    rows.iter().map(read_image).collect()
}

fn read_image(row: &Row) -> Result<Image> {
    let sha256: Vec<u8> = row.get("sha256")?;
    Ok(Image {
        id: row.get("id")?,
        owner: id(row, "owner_id")?,
        sha256: sha256
            .try_into()
            .map_err(|_| wrong("sha256", "not 32 bytes"))?,
        name: row.get("name")?,
        title: row.get("title")?,
        kind: row.get("kind")?,
        width: row.get("width")?,
        height: row.get("height")?,
        size: row.get("size")?,
        created_at: row.get("created_at")?,
    })
}

fn read_text(row: &Row) -> Result<Text> {
    let device: Option<String> = row.get("device_id")?;
    Ok(Text {
        id: row.get("id")?,
        owner: id(row, "owner_id")?,
        device: device.map(|text| parse("device_id", &text)).transpose()?,
        category: row.get("category")?,
        subcategory: row.get("subcategory")?,
        title: row.get("title")?,
        body: row.get("body")?,
        priority: row.get("priority")?,
        expires_at: row.get("expires_at")?,
        created_at: row.get("created_at")?,
    })
}

fn id<T: FromStr<Err = espalier_model::id::InvalidId>>(
    row: &Row,
    column: &'static str,
) -> Result<T> {
    parse(column, &row.get::<String>(column)?)
}

fn parse<T: FromStr<Err = espalier_model::id::InvalidId>>(
    column: &'static str,
    text: &str,
) -> Result<T> {
    text.parse()
        .map_err(|e: espalier_model::id::InvalidId| wrong(column, e))
}

fn wrong(column: &str, problem: impl std::fmt::Display) -> Error {
    Error::Column {
        column: column.to_owned(),
        problem: problem.to_string(),
    }
}
