//! The platform's settings: one JSON text and its moment, in the installation's own table.

use espalier_db::{Conn, Result, params};

const KEY: &str = "platform_settings";
const AT: &str = "platform_settings_at";

/// The JSON text and when it was saved.
pub fn get(c: &Conn<'_>) -> Result<Option<(String, i64)>> {
    let read = |key: &str| {
        let row = c.query_opt("select value from meta where key = $1", params![key])?;
        row.map(|row| row.get::<String>("value")).transpose()
    };
    let (Some(text), at) = (read(KEY)?, read(AT)?) else {
        return Ok(None);
    };
    Ok(Some((
        text,
        at.and_then(|at| at.parse().ok()).unwrap_or_default(),
    )))
}

pub fn put(c: &Conn<'_>, text: &str, now: i64) -> Result<()> {
    for (key, value) in [(KEY, text.to_owned()), (AT, now.to_string())] {
        c.execute(
            "insert into meta (key, value) values ($1, $2) on conflict (key) do update set value = excluded.value",
            params![key, value],
        )?;
    }
    Ok(())
}
