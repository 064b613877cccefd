//! Making patches: one at a time on a thread for long work, tried before they are kept.

use super::{Pair, Patch, store};
use crate::AppState;
use crate::error::ApiResult;
use anyhow::ensure;
use bytes::Bytes;
use espalier_image::delta::{self, encode_unless};
use sha2::Digest as _;
use std::time::Instant;

/// Makes what is asked for until the server stops.
pub fn start(app: &AppState) {
    let app = app.clone();
    app.clone().tasks.spawn(async move {
        tokio::select! {
            () = app.shutdown.cancelled() => {}
            () = work(&app) => {}
        }
    });
}

async fn work(app: &AppState) {
    if let Err(error) = lose_missing(app).await {
        tracing::warn!(%error, cause = error.cause(), "patches could not be looked through");
    }
    let state = &app.ota.deltas;
    loop {
        let next = state.waiting.lock().front().copied();
        let Some(pair) = next else {
            state.asked.notified().await;
            continue;
        };
        let patch = match make(app, pair).await {
            Ok(made) => made,
            Err(error) => {
                tracing::warn!(
                    from = hex::encode(pair.0),
                    to = hex::encode(pair.1),
                    cause = error.cause(),
                    "no patch could be made; boards get the whole image"
                );
                Some(None)
            }
        };
        {
            let mut waiting = state.waiting.lock();
            // Whoever deleted an image meanwhile took the pair away.
            if let (Some(patch), true) = (patch, waiting.contains(&pair)) {
                state.made.write().insert(pair, patch);
            }
            waiting.retain(|other| *other != pair);
        }
        state.done.notify_waiters();
    }
}

/// Forgets patches whose bytes are not there, as after a restore: they are made again.
async fn lose_missing(app: &AppState) -> ApiResult<()> {
    let state = &app.ota.deltas;
    let kept: Vec<(Pair, Patch)> = {
        let made = state.made.read();
        let kept = made.iter();
        kept.filter_map(|(pair, patch)| Some((*pair, (*patch)?)))
            .collect()
    };
    for (pair, patch) in kept {
        if !app.ota.blobs.exists(&patch.sha256).await? {
            app.db.write(move |c| store::lose(c, &pair)).await?;
            state.made.write().remove(&pair);
        }
    }
    Ok(())
}

/// Makes and keeps one; `Some(None)` when it does not pay, `None` when an image is gone.
async fn make(app: &AppState, pair: Pair) -> ApiResult<Option<Option<Patch>>> {
    let (old, new) = (
        app.ota.blobs.get(&pair.0).await?,
        app.ota.blobs.get(&pair.1).await?,
    );
    let whole = new.len() as u64;
    let stop = app.shutdown.clone();
    let started = Instant::now();
    let made = tokio::task::spawn_blocking(move || tried(&old, &new, &|| stop.is_cancelled()));
    let bytes = made.await.map_err(crate::ApiError::internal)?;
    let bytes = bytes.map_err(crate::ApiError::internal)?;
    let size = bytes.len() as u64;
    let pays = size <= whole / 2;
    tracing::info!(
        from = hex::encode(pair.0),
        to = hex::encode(pair.1),
        size,
        whole,
        pays,
        took_ms = started.elapsed().as_millis() as u64,
        "a patch was made"
    );
    let now = app.clock.now_ms();
    if !pays {
        let kept = app
            .db
            .write(move |c| store::keep(c, &pair, None, size, now))
            .await?;
        return Ok(kept.then_some(None));
    }
    let sha256 = sha2::Sha256::digest(&bytes).into();
    let _hold = app.ota.blobs.hold(&sha256).await;
    app.ota.blobs.put(Bytes::from(bytes)).await?;
    let kept = app
        .db
        .write(move |c| store::keep(c, &pair, Some(&sha256), size, now))
        .await?;
    Ok(kept.then_some(Some(Patch { sha256, size })))
}

/// Makes a patch and applies it as a board will.
fn tried(old: &[u8], new: &[u8], stop: &dyn Fn() -> bool) -> anyhow::Result<Vec<u8>> {
    let patch = encode_unless(old, new, stop)?;
    let made = delta::apply(old, &patch)?;
    ensure!(made == new, "the patch makes another image than it should");
    Ok(patch)
}
