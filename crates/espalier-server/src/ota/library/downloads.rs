//! How often each image was downloaded: counted in memory, written down now and then.

use super::store;
use crate::AppState;
use crate::error::ApiResult;
use espalier_model::FirmwareId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// How often the counts are written down.
const EVERY: Duration = Duration::from_secs(30);

/// The counts.
pub struct Downloads {
    counts: Mutex<HashMap<FirmwareId, Count>>,
}

#[derive(Default, Clone, Copy)]
struct Count {
    total: u64,
    /// How many of them the database does not have yet.
    unsaved: u64,
}

impl Downloads {
    /// Begins with what the database has.
    pub fn new(saved: Vec<(FirmwareId, u64)>) -> Self {
        let saved = saved.into_iter();
        let counts = saved.map(|(id, total)| (id, Count { total, unsaved: 0 }));
        Self {
            counts: Mutex::new(counts.collect()),
        }
    }

    /// How often an image was downloaded.
    pub fn of(&self, id: FirmwareId) -> u64 {
        self.counts.lock().get(&id).map_or(0, |count| count.total)
    }

    fn count(&self, id: FirmwareId) {
        let mut counts = self.counts.lock();
        let count = counts.entry(id).or_default();
        count.total += 1;
        count.unsaved += 1;
    }

    pub(super) fn forget(&self, id: FirmwareId) {
        self.counts.lock().remove(&id);
    }

    fn take(&self) -> Vec<(FirmwareId, u64)> {
        let mut counts = self.counts.lock();
        let unsaved = counts.iter_mut().filter(|(_, count)| count.unsaved > 0);
        unsaved
            .map(|(id, count)| (*id, std::mem::take(&mut count.unsaved)))
            .collect()
    }

    fn put_back(&self, taken: &[(FirmwareId, u64)]) {
        let mut counts = self.counts.lock();
        for (id, n) in taken {
            if let Some(count) = counts.get_mut(id) {
                count.unsaved += n;
            }
        }
    }
}

/// Notes that a board has downloaded an image.
pub fn count_download(app: &AppState, firmware: FirmwareId) {
    app.ota.library.downloads.count(firmware);
}

/// Writes the counts down now and then, and at the end.
pub fn start(app: &AppState) {
    let app = app.clone();
    app.clone().tasks.spawn(async move {
        let mut every = tokio::time::interval(EVERY);
        loop {
            let last = tokio::select! {
                () = app.shutdown.cancelled() => true,
                _ = every.tick() => false,
            };
            if let Err(error) = flush(&app).await {
                tracing::warn!(%error, cause = error.cause(), "downloads could not be written down; it is tried again");
            }
            if last {
                return;
            }
        }
    });
}

/// Writes down what was counted.
///
/// # Errors
/// Fails when the database does; nothing is lost, the next call writes it.
pub async fn flush(app: &AppState) -> ApiResult<()> {
    let downloads = &app.ota.library.downloads;
    let taken = downloads.take();
    if taken.is_empty() {
        return Ok(());
    }
    let rows = taken.clone();
    let written = app.db.write(move |c| store::add_downloads(c, &rows)).await;
    if written.is_err() {
        downloads.put_back(&taken);
    }
    Ok(written?)
}
