//! What happened to a device: a bounded list of the newest events of each, written in batches.
//!
//! Management actions write their event in their own transaction; what happens often (coming and going,
//! commands, limits) is collected here and stored with the next tick.

use super::{Device, store};
use crate::{ApiError, AppState};
use espalier_model::DeviceId;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;

/// How many events of a device are kept.
pub const KEEP: i64 = 1000;

/// After how many new events of a device the oldest are removed; between two times there may be as many more.
pub const TRIM_EVERY: u32 = 64;

/// Events that wait for the database; when it is away for long, the oldest are dropped.
const WAITING: usize = 65_536;

/// Events of one transaction.
const CHUNK: usize = 500;

/// Bits of an event's id below its milliseconds: four thousand events a millisecond, in order.
const ID_BITS: u32 = 12;

/// One event as it is stored.
#[derive(Debug, Clone)]
pub struct EventRow {
    pub id: i64,
    pub device: DeviceId,
    pub at: i64,
    pub kind: String,
    pub detail: String,
    /// It is time to remove the device's oldest events.
    pub trim: bool,
}

/// The events that wait for the database.
pub struct Journal {
    last: AtomicI64,
    waiting: Mutex<Vec<EventRow>>,
}

impl Journal {
    /// A journal that goes on after the id that was given last.
    pub fn new(last: i64) -> Self {
        Self {
            last: AtomicI64::new(last),
            waiting: Mutex::default(),
        }
    }

    /// Makes a row with the next id, to be stored by the caller.
    pub fn row(&self, device: &Device, at: i64, kind: &str, detail: &Value) -> EventRow {
        let floor = at.max(0) << ID_BITS;
        let next = |last: i64| Some(floor.max(last + 1));
        let id = match self.last.fetch_update(Relaxed, Relaxed, next) {
            Ok(last) | Err(last) => floor.max(last + 1),
        };
        let count = device.presence.events_since_trim.fetch_add(1, Relaxed);
        EventRow {
            id,
            device: device.id,
            at,
            kind: kind.to_owned(),
            detail: detail.to_string(),
            trim: count % TRIM_EVERY == TRIM_EVERY - 1,
        }
    }

    /// Adds an event, to be stored with the next batch.
    pub fn add(&self, device: &Device, at: i64, kind: &str, detail: &Value) {
        let row = self.row(device, at, kind, detail);
        let mut waiting = self.waiting.lock();
        if waiting.len() >= WAITING {
            tracing::warn!(
                "the database does not keep up with device events; the oldest are dropped"
            );
            waiting.drain(..WAITING / 2);
        }
        waiting.push(row);
    }
}

/// Stores the events that wait.
///
/// # Errors
/// Fails when the database does; they then wait for the next time.
pub async fn flush(app: &AppState) -> Result<(), ApiError> {
    let rows = std::mem::take(&mut *app.devices.journal.waiting.lock());
    // A fleet that comes online at once must not hold up other writers for seconds.
    for (done, chunk) in rows.chunks(CHUNK).enumerate() {
        let batch = chunk.to_vec();
        let stored: Result<(), espalier_db::Error> =
            app.db.write(move |c| store::insert_events(c, &batch)).await;
        if let Err(error) = stored {
            let mut waiting = app.devices.journal.waiting.lock();
            let newer = std::mem::replace(&mut *waiting, rows[done * CHUNK..].to_vec());
            waiting.extend(newer);
            return Err(error.into());
        }
    }
    Ok(())
}

/// Events of a device, newest first, older than `before` and of one kind when asked for.
///
/// # Errors
/// Fails when the database does.
pub async fn list(
    app: &AppState,
    device: &Device,
    before: i64,
    kind: Option<String>,
    limit: i64,
) -> Result<Vec<store::EventRead>, ApiError> {
    // What waits belongs to the answer.
    flush(app).await?;
    let id = device.id;
    let read =
        move |c: &espalier_db::Conn<'_>| store::events(c, id, before, kind.as_deref(), limit);
    Ok(app.db.read(read).await?)
}
