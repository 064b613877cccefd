//! Storing what boards said: soon when it must outlive the process, else every few minutes and at the end.
//!
//! Nobody waits for it: a board says it all again when it connects, so a crash loses nothing that does not come back.

use super::board::Board;
use super::store::{self, Saved};
use crate::{ApiError, AppState};
use espalier_model::DeviceId;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::Notify;

/// Boards of one transaction.
const CHUNK: usize = 256;
/// How often counts of hours are stored.
const COUNTS_EVERY: Duration = Duration::from_secs(300);
/// How long changes are collected before they are stored, and the pause after the database failed.
const COLLECT: Duration = Duration::from_millis(200);

/// Boards whose stored copy is out of date.
#[derive(Default)]
pub struct Unsaved {
    soon: Mutex<HashSet<DeviceId>>,
    later: Mutex<HashSet<DeviceId>>,
    wake: Notify,
    /// Held by whoever stores.
    storing: tokio::sync::Mutex<()>,
}

impl Unsaved {
    /// Notes what [`Board::hear`] said of a board.
    pub fn note(&self, device: DeviceId, durable: impl Into<Option<bool>>) {
        match durable.into() {
            None => {}
            Some(false) => {
                self.later.lock().insert(device);
            }
            Some(true) => {
                self.soon.lock().insert(device);
                self.wake.notify_one();
            }
        }
    }
}

/// Starts to store.
pub fn start(app: &AppState) {
    let app = app.clone();
    app.tasks.clone().spawn(async move {
        let mut counts = tokio::time::interval(COUNTS_EVERY);
        loop {
            let (last, everything) = tokio::select! {
                () = app.shutdown.cancelled() => (true, true),
                _ = counts.tick() => (false, true),
                () = app.ota.fleet.unsaved.wake.notified() => (false, false),
            };
            if let Err(error) = save(&app, everything).await {
                tracing::warn!(%error, "what boards run could not be stored; it is tried again");
                app.ota.fleet.unsaved.wake.notify_one();
            }
            if last {
                return;
            }
            tokio::select! {
                () = app.shutdown.cancelled() => {}
                () = tokio::time::sleep(COLLECT) => {}
            }
        }
    });
}

/// Stores everything that is not stored yet.
///
/// # Errors
/// Fails when the database does; then it is tried again.
pub async fn flush(app: &AppState) -> Result<(), ApiError> {
    save(app, true).await
}

async fn save(app: &AppState, everything: bool) -> Result<(), ApiError> {
    let unsaved = &app.ota.fleet.unsaved;
    let _alone = unsaved.storing.lock().await;
    let mut ids = std::mem::take(&mut *unsaved.soon.lock());
    if everything {
        ids.extend(std::mem::take(&mut *unsaved.later.lock()));
    }
    let ids: Vec<DeviceId> = ids.into_iter().collect();
    for (n, chunk) in ids.chunks(CHUNK).enumerate() {
        let rows: Vec<Saved> = chunk
            .iter()
            .filter_map(|&id| row(app, id))
            .collect::<Result<_, _>>()
            .map_err(ApiError::internal)?;
        let ended: Vec<(DeviceId, usize)> = rows.iter().map(|r| (r.device, r.ended)).collect();
        if let Err(error) = app.db.write(move |c| store::save(c, &rows)).await {
            unsaved.soon.lock().extend(&ids[n * CHUNK..]);
            return Err(error.into());
        }
        for (id, stored) in ended {
            if let Some(board) = app.ota.fleet.board(id) {
                board.lock().ended.drain(..stored);
            }
        }
    }
    Ok(())
}

/// What to store of a board that has spoken.
fn row(app: &AppState, device: DeviceId) -> Option<Result<Saved, serde_json::Error>> {
    let board = app.ota.fleet.board(device)?;
    let board = board.lock();
    (board.running.at > 0).then(|| snapshot(device, &board))
}

fn snapshot(device: DeviceId, board: &Board) -> Result<Saved, serde_json::Error> {
    fn text(value: &impl Serialize) -> Result<String, serde_json::Error> {
        serde_json::to_string(value)
    }
    let runs = board.ended.iter().chain(std::iter::once(&board.run));
    let runs = runs.map(|run| Ok((run.from_at, text(run)?)));
    Ok(Saved {
        device,
        running: text(&*board.running)?,
        fetched: board.fetched.as_ref().map(text).transpose()?,
        runs: runs.collect::<Result<_, serde_json::Error>>()?,
        ended: board.ended.len(),
        at: board.running.at,
    })
}
