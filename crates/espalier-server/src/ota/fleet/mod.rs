//! What runs where: the firmware and the vital signs of every board, as the boards themselves say.
//!
//! It believes what a board runs over what it was told to run. It does not decide what a board should run.
//!
//! `board.rs` decides what a statement of a board means, `fetched.rs` whether an old sketch took what it downloaded, `keep.rs` stores what must outlive the process, `view.rs` counts.

mod board;
mod fetched;
mod http;
mod keep;
mod store;
mod view;

pub use board::{Run, is_crash};
pub use fetched::Fetched;
pub use keep::flush;

use super::library::{Digest, Firmware};
use super::{delivery, rollouts};
use crate::AppState;
use crate::devices::Device;
use board::Board;
use espalier_db::Db;
use espalier_model::DeviceId;
use fetched::Taken;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// What a board said of the firmware that runs on it, newest first in time. Absent: it never said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Running {
    /// SHA-256 of the whole image file; what boards with our firmware say.
    #[serde(with = "board::hexadecimal")]
    pub sha256: Option<Digest>,
    /// The SHA-256 at the image's end; what the Arduino updater says.
    #[serde(with = "board::hexadecimal")]
    pub appended_sha256: Option<Digest>,
    /// MD5 of the image; what older Arduino updaters say.
    #[serde(with = "board::hexadecimal")]
    pub md5: Option<[u8; 16]>,
    /// The version text.
    pub version: Option<String>,
    /// The type under which an old sketch asks, e.g. `ESP32_OTA_Base`.
    pub device_type: Option<String>,
    /// The chip, e.g. `esp32c3`.
    pub chip: Option<String>,
    /// The chip's revision: major x 100 + minor.
    pub chip_revision: Option<u16>,
    /// The image runs on trial.
    pub trial: bool,
    /// Bytes that the slot for the next image has; 0: the board has no second slot.
    pub slot_bytes: Option<u64>,
    /// The lowest secure version that the board accepts.
    pub secure_version: Option<u32>,
    /// The serial of the key set that it holds.
    pub key_serial: Option<u32>,
    /// It speaks our update protocol, verifies signatures and rolls back by itself.
    pub native: bool,
    /// Why it started last.
    pub boot_reason: Option<String>,
    /// How often it has started in its life.
    pub boots: Option<u32>,
    /// Seconds since it started.
    pub uptime_s: Option<u64>,
    /// Free heap, bytes.
    pub heap_free: Option<u32>,
    /// Wi-Fi signal strength, dBm.
    pub rssi: Option<i32>,
    /// When it said so last, milliseconds UTC.
    pub at: i64,
}

/// Every board that ever said what runs on it.
#[derive(Default)]
pub struct State {
    boards: RwLock<HashMap<DeviceId, Arc<Mutex<Board>>>>,
    unsaved: keep::Unsaved,
}

impl State {
    /// Loads what boards said before this start.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(db: &Db) -> Result<Self, espalier_db::Error> {
        let boards = db.read(store::all).await?;
        let shared = boards
            .into_iter()
            .map(|(id, board)| (id, Arc::new(Mutex::new(board))));
        Ok(Self {
            boards: RwLock::new(shared.collect()),
            unsaved: keep::Unsaved::default(),
        })
    }

    /// What a board said last.
    pub fn get(&self, device: DeviceId) -> Option<Arc<Running>> {
        Some(self.board(device)?.lock().running.clone())
    }

    /// The image that a board has downloaded and not shown yet.
    pub fn fetched(&self, device: DeviceId) -> Option<Fetched> {
        self.board(device)?.lock().fetched.clone()
    }

    fn board(&self, device: DeviceId) -> Option<Arc<Mutex<Board>>> {
        self.boards.read().get(&device).cloned()
    }

    fn board_or_new(&self, device: DeviceId) -> Arc<Mutex<Board>> {
        let found = self.board(device);
        found.unwrap_or_else(|| self.boards.write().entry(device).or_default().clone())
    }
}

/// Takes in what a board says of itself, stores what must outlive the process, and returns what is known now.
///
/// `change` fills in what the board says now; what it leaves out stays as it was, unless the board says that another image runs.
pub fn heard(
    app: &AppState,
    device: &Arc<Device>,
    change: impl FnOnce(&mut Running),
) -> Arc<Running> {
    let now = app.clock.now_ms();
    let board = app.ota.fleet.board_or_new(device.id);
    let (running, durable, refused) = {
        let mut board = board.lock();
        let mut said = Running {
            trial: board.running.trial,
            native: board.running.native,
            ..Running::default()
        };
        change(&mut said);
        complete(app, device, &board.running, &mut said);
        let (settled, refused) = settle(app, &mut board, &mut said, now);
        let durable = board.hear(said, now);
        (
            board.running.clone(),
            durable.or(settled.then_some(true)),
            refused,
        )
    };
    // A board that was deleted meanwhile must not come back.
    if device.is_deleted() {
        forget(app, device.id);
        return running;
    }
    app.ota.fleet.unsaved.note(device.id, durable);
    rollouts::observed(app, device, &running);
    if let Some(fetched) = refused {
        delivery::not_taken(app, device, &fetched);
    }
    running
}

/// Decides whether a board that downloaded an image runs it now: then it is what the board says, whatever else it says. Returns whether
/// that is settled, and the image when the board did not take it.
fn settle(
    app: &AppState,
    board: &mut Board,
    said: &mut Running,
    now: i64,
) -> (bool, Option<Fetched>) {
    let Some(fetched) = board.fetched.clone() else {
        return (false, None);
    };
    let Some(image) = app.ota.library.get(fetched.firmware) else {
        board.fetched = None;
        return (true, None);
    };
    match fetched.judge(said, &image, now) {
        Taken::Yes => {
            board.fetched = None;
            said.sha256 = Some(image.sha256);
            said.appended_sha256 = image.appended_sha256;
            said.md5 = Some(image.md5);
            (true, None)
        }
        Taken::No => {
            board.fetched = None;
            (true, Some(fetched))
        }
        Taken::Unknown => (false, None),
    }
}

/// Notes that an old sketch has downloaded an image whole, or (`None`) that this is settled.
pub fn set_fetched(app: &AppState, device: DeviceId, fetched: Option<Fetched>) {
    app.ota.fleet.board_or_new(device).lock().fetched = fetched;
    app.ota.fleet.unsaved.note(device, true);
}

/// Every image that was downloaded and not shown yet.
pub fn all_fetched(app: &AppState) -> Vec<(DeviceId, Fetched)> {
    let boards = app.ota.fleet.boards.read();
    let open =
        |(id, board): (&DeviceId, &Arc<Mutex<Board>>)| Some((*id, board.lock().fetched.clone()?));
    boards.iter().filter_map(open).collect()
}

/// The image of the owner's library that runs on a device, if it is one.
pub fn image(app: &AppState, device: &Device, running: &Running) -> Option<Arc<Firmware>> {
    let library = &app.ota.library;
    let by_file = |digest: &Digest| library.by_digest(device.owner, digest);
    let by_end = |digest: &Digest| library.by_appended(device.owner, digest);
    let (file, end) = (running.sha256.as_ref(), running.appended_sha256.as_ref());
    file.and_then(by_file)
        .or_else(|| end.and_then(by_end))
        .or_else(|| file.and_then(by_end))
        .or_else(|| library.by_md5(device.owner, running.md5.as_ref()?))
}

/// Gives what a board says of its image all the names that the image has, so that whoever compares need not know which of them the
/// board uses.
fn complete(app: &AppState, device: &Device, known: &Running, said: &mut Running) {
    let names = said.sha256.is_some() || said.appended_sha256.is_some() || said.md5.is_some();
    let old_news = said.sha256.is_some() && said.sha256 == known.sha256;
    if !names || old_news {
        return;
    }
    if let Some(image) = image(app, device, said) {
        said.sha256 = Some(image.sha256);
        said.appended_sha256 = image.appended_sha256.or(said.appended_sha256);
        said.md5 = Some(image.md5);
    }
}

/// Forgets a device.
pub fn forget(app: &AppState, device: DeviceId) {
    app.ota.fleet.boards.write().remove(&device);
}

/// The routes of this part.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    http::routes()
}

/// Starts the background work of this part.
pub(super) fn start(app: &AppState) {
    keep::start(app);
}
