//! All SQL of what runs where.

use super::Running;
use super::board::{Board, Run};
use super::fetched::Fetched;
use espalier_db::{Conn, Error, Result, Row, params};
use espalier_model::DeviceId;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::Arc;

/// Runs that are kept of each board.
const KEEP: i64 = 100;

/// What is stored of one board.
#[derive(Clone)]
pub struct Saved {
    /// Which.
    pub device: DeviceId,
    /// What it said last, as JSON.
    pub running: String,
    /// What it downloaded, as JSON.
    pub fetched: Option<String>,
    /// Its current run and those that ended, by their beginnings.
    pub runs: Vec<(i64, String)>,
    /// How many of them ended.
    pub ended: usize,
    /// When it spoke last, milliseconds UTC.
    pub at: i64,
}

/// Every board with its newest two runs.
pub fn all(c: &Conn<'_>) -> Result<Vec<(DeviceId, Board)>> {
    let mut boards: HashMap<DeviceId, Board> = HashMap::new();
    for row in c.query(
        "select device_id, running, fetched from device_firmware",
        params![],
    )? {
        let fetched: Option<String> = row.get("fetched")?;
        let fetched: Option<Fetched> = fetched.map(|text| json("fetched", &text)).transpose()?;
        let running: Running = json("running", &row.get::<String>("running")?)?;
        let board = Board {
            running: Arc::new(running),
            fetched,
            ..Board::default()
        };
        boards.insert(device(&row)?, board);
    }
    let sql = "select device_id, run from device_firmware_run order by device_id, from_at";
    for row in c.query(sql, params![])? {
        let run: Run = json("run", &row.get::<String>("run")?)?;
        if let Some(board) = boards.get_mut(&device(&row)?) {
            let earlier = std::mem::replace(&mut board.run, run);
            board.before = (earlier.from_at > 0).then_some(earlier);
        }
    }
    Ok(boards.into_iter().collect())
}

/// Stores boards; those that are gone are passed over.
pub fn save(c: &Conn<'_>, boards: &[Saved]) -> Result<()> {
    for board in boards {
        let id = board.device.to_string();
        if c.query_opt("select id from device where id = $1", params![&id])?
            .is_none()
        {
            continue;
        }
        c.execute(
            "insert into device_firmware (device_id, running, fetched, updated_at) values ($1, $2, $3, $4) \
             on conflict (device_id) do update set running = excluded.running, fetched = excluded.fetched, \
             updated_at = excluded.updated_at",
            params![&id, &board.running, board.fetched.clone(), board.at],
        )?;
        for (from, run) in &board.runs {
            c.execute(
                "insert into device_firmware_run (device_id, from_at, run) values ($1, $2, $3) \
                 on conflict (device_id, from_at) do update set run = excluded.run",
                params![&id, *from, run],
            )?;
        }
        if board.ended > 0 {
            c.execute(
                "delete from device_firmware_run where device_id = $1 and from_at <= \
                 (select from_at from device_firmware_run where device_id = $2 order by from_at desc limit 1 offset $3)",
                params![&id, &id, KEEP],
            )?;
        }
    }
    Ok(())
}

/// The runs of one board, newest first.
pub fn runs(c: &Conn<'_>, device: DeviceId) -> Result<Vec<Run>> {
    let sql = "select run from device_firmware_run where device_id = $1 order by from_at desc";
    let rows = c.query(sql, params![device.to_string()])?;
    rows.iter()
        .map(|row| json("run", &row.get::<String>("run")?))
        .collect()
}

fn device(row: &Row) -> Result<DeviceId> {
    let text: String = row.get("device_id")?;
    text.parse()
        .map_err(|e: espalier_model::id::InvalidId| wrong("device_id", e))
}

fn json<T: DeserializeOwned>(column: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| wrong(column, e))
}

fn wrong(column: &str, problem: impl std::fmt::Display) -> Error {
    Error::Column {
        column: column.to_owned(),
        problem: problem.to_string(),
    }
}
