//! Removing blobs that nothing refers to any more.
//!
//! A blob is written before the row that refers to it, so one without a row may be on its way: it is removed when it had
//! none for an hour. Whoever deletes a row asks for its blob at once ([`release`]).

use super::super::library::Digest;
use super::store;
use crate::error::ApiResult;
use crate::{ApiError, AppState};
use std::time::Duration;

/// How often unused blobs are looked for.
const EVERY: Duration = Duration::from_secs(3600);
/// How long a blob must have been unused, milliseconds.
const GRACE_MS: i64 = 3_600_000;

/// Looks for unused blobs at the start and then once an hour.
pub fn start(app: &AppState) {
    let app = app.clone();
    app.clone().tasks.spawn(async move {
        let mut every = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = app.shutdown.cancelled() => return,
                _ = every.tick() => {}
            }
            if let Err(error) = collect(&app).await {
                tracing::warn!(%error, cause = error.cause(), "unused blobs could not be removed; it is tried again");
            }
        }
    });
}

/// Removes blobs that were unused for an hour, and notes those that are now. Returns how many were removed.
///
/// # Errors
/// Fails when the database or the store of blobs does.
pub async fn collect(app: &AppState) -> ApiResult<usize> {
    let blobs = &app.ota.blobs;
    let there = blobs.place.list().await.map_err(ApiError::internal)?;
    let used = app.db.read(store::referenced).await?;
    let now = app.clock.now_ms();
    let due: Vec<Digest> = {
        let mut unused = blobs.unused.lock();
        unused.retain(|digest, _| !used.contains(digest));
        let idle = there.into_iter().filter(|digest| !used.contains(digest));
        idle.filter(|digest| now - *unused.entry(*digest).or_insert(now) >= GRACE_MS)
            .collect()
    };
    let mut removed = 0;
    for digest in due {
        removed += usize::from(release(app, &digest).await?);
    }
    if removed > 0 {
        tracing::info!(removed, "unused blobs were removed");
    }
    Ok(removed)
}

/// Removes a blob unless a row still refers to it; tells whether it was removed.
///
/// # Errors
/// Fails when the database or the store of blobs does.
pub async fn release(app: &AppState, digest: &Digest) -> ApiResult<bool> {
    let blobs = &app.ota.blobs;
    let _hold = blobs.hold(digest).await;
    let wanted = *digest;
    if app
        .db
        .read(move |c| store::is_referenced(c, &wanted))
        .await?
    {
        return Ok(false);
    }
    blobs.delete(digest).await?;
    blobs.unused.lock().remove(digest);
    Ok(true)
}
