//! Delta patches between images: known ones from memory, missing ones made in the background, one at a time.
//!
//! A patch belongs to the contents of two images, not to an account. Invariant: a patch that is handed out was applied to the
//! old image once and gave the new one. A patch that does not pay is remembered as none. It does not decide who gets one.

mod make;
mod store;

use super::blobs;
use super::library::{Digest, Firmware};
use crate::AppState;
use crate::error::ApiResult;
use espalier_db::Db;
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, VecDeque};
use tokio::sync::Notify;

/// Larger images are always sent whole: making their patches would need too much memory.
const LARGEST: u64 = 8 << 20;
/// Patches that wait to be made; more are asked for again when a board asks again.
const WAITING: usize = 256;

/// From which image to which.
type Pair = (Digest, Digest);

/// A patch that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// Its name in the blob store.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
}

/// The patches of a running server.
pub struct State {
    /// What was made: a patch, or none because it does not pay.
    made: RwLock<HashMap<Pair, Option<Patch>>>,
    waiting: Mutex<VecDeque<Pair>>,
    /// Something waits.
    asked: Notify,
    /// Something was made.
    done: Notify,
}

impl State {
    /// Loads what was made.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(db: &Db) -> Result<Self, espalier_db::Error> {
        Ok(Self {
            made: RwLock::new(db.read(store::all).await?.into_iter().collect()),
            waiting: Mutex::default(),
            asked: Notify::new(),
            done: Notify::new(),
        })
    }
}

/// The patch from one image to another of the same account and chip; it is made in the background when there is none yet.
pub fn patch(app: &AppState, from: &Firmware, to: &Firmware) -> Option<Patch> {
    if !possible(from, to) {
        return None;
    }
    let state = &app.ota.deltas;
    let pair = (from.sha256, to.sha256);
    if let Some(made) = state.made.read().get(&pair) {
        return *made;
    }
    let mut waiting = state.waiting.lock();
    // Whoever makes patches holds this lock to tell of one.
    if let Some(made) = state.made.read().get(&pair) {
        return *made;
    }
    if waiting.len() < WAITING && !waiting.contains(&pair) {
        waiting.push_back(pair);
        state.asked.notify_one();
    }
    None
}

/// The patch from one image to another of the same account and chip, waiting until it is made; nothing when it does not pay, when
/// too many others wait, or when the server stops.
pub async fn prepare(app: &AppState, from: &Firmware, to: &Firmware) -> Option<Patch> {
    let state = &app.ota.deltas;
    let pair = (from.sha256, to.sha256);
    loop {
        let done = state.done.notified();
        let found = patch(app, from, to);
        let waits = state.waiting.lock().contains(&pair);
        if found.is_some() || !waits {
            // It may have been made between both looks.
            return found.or_else(|| state.made.read().get(&pair).copied().flatten());
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return None,
            () = done => {}
        }
    }
}

/// Forgets the patches from and to an image, to be called after the image was deleted; while another account has the same image
/// they stay.
///
/// # Errors
/// Fails when the database or the store of blobs does.
pub async fn forget(app: &AppState, image: &Digest) -> ApiResult<()> {
    let wanted = *image;
    let Some(patches) = app.db.write(move |c| store::forget(c, &wanted)).await? else {
        return Ok(());
    };
    let state = &app.ota.deltas;
    state
        .waiting
        .lock()
        .retain(|(from, to)| from != image && to != image);
    state
        .made
        .write()
        .retain(|(from, to), _| from != image && to != image);
    for patch in patches {
        blobs::release(app, &patch).await?;
    }
    Ok(())
}

/// Starts the background work.
pub(super) fn start(app: &AppState) {
    make::start(app);
}

fn possible(from: &Firmware, to: &Firmware) -> bool {
    from.owner == to.owner
        && from.chip == to.chip
        && from.sha256 != to.sha256
        && from.size.max(to.size) <= LARGEST
}
