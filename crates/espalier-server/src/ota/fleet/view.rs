//! The fleet counted: how many boards run what, how well, and what one board has run.

use super::board::{Board, Run};
use super::{Running, image, store};
use crate::clock::iso;
use crate::devices::{self, Device};
use crate::error::ApiResult;
use crate::identity::{Caller, Principal};
use crate::ota::library::{Digest, Firmware};
use crate::{ApiError, AppState};
use espalier_model::FirmwareId;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use utoipa::ToSchema;

/// The fleet by what runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct FleetView {
    /// Boards that the caller sees.
    boards: usize,
    /// Those that are there now.
    online: usize,
    /// Those that never said what runs on them.
    unknown: usize,
    /// What runs, the most boards first.
    images: Vec<ImageStats>,
    /// Boards by chip.
    chips: BTreeMap<String, usize>,
}

/// How one image does.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ImageStats {
    /// The image's id, when it is in a library that the caller sees.
    firmware: Option<String>,
    /// SHA-256 of the image, hexadecimal, when it is known.
    sha256: Option<String>,
    /// The version, as the boards or the library say.
    version: Option<String>,
    /// The type or project.
    project: Option<String>,
    /// The chip.
    chip: Option<String>,
    /// Boards that run it.
    boards: usize,
    /// Those that are there now.
    online: usize,
    /// Those on which it runs on trial.
    trial: usize,
    /// Boards that ran it until they took the image that they run now.
    left: usize,
    /// Starts after a crash since the boards took it.
    crashes: u64,
    /// Hours in which boards that run or ran it were heard.
    board_hours: u64,
    /// The share of boards that run or ran it and never crashed on it, 0 to 1.
    crash_free_boards: Option<f64>,
    /// The share of those hours without a crash, 0 to 1.
    crash_free_hours: Option<f64>,
    /// Free heap of the boards that run it, as they said last.
    heap: Option<HeapStats>,
    #[serde(skip)]
    tally: Tally,
}

/// Free heap of several boards, bytes.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeapStats {
    /// The least.
    min: u32,
    /// As many boards have more as have less.
    median: u32,
}

/// What the shares are made of.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    crashed: u64,
    crash_hours: u64,
    heap: Vec<u32>,
}

/// By what boards count as running the same.
#[derive(PartialEq, Eq, Hash, Clone)]
enum Same {
    Image(FirmwareId),
    File(Digest),
    End(Digest),
    Md5([u8; 16]),
    Text(Option<String>, Option<String>),
}

/// Counts what the boards run that a caller sees; `all`: every board of the installation, for admins.
///
/// # Errors
/// 403 when somebody else asks for all.
pub fn fleet(app: &AppState, caller: &Caller, all: bool) -> ApiResult<FleetView> {
    if all && !caller.role.is_admin() {
        let why = "Only an admin sees the boards of everybody; leave out `all`.";
        return Err(ApiError::forbidden(why));
    }
    let devices = if all {
        app.devices.all()
    } else {
        devices::visible(app, caller)
    };
    let mut count = Count::default();
    for device in &devices {
        let board = app.ota.fleet.board(device.id);
        let spoken = board.as_ref().map(|board| board.lock());
        match spoken.filter(|board| board.running.at > 0) {
            Some(board) => count.board(app, caller, device, &board),
            None => count.unknown += 1,
        }
    }
    let mut images: Vec<ImageStats> = count.images.into_values().map(ImageStats::finish).collect();
    images.sort_by(|a, b| {
        let order = |s: &ImageStats| {
            (
                std::cmp::Reverse((s.boards, s.left)),
                s.version.clone(),
                s.sha256.clone(),
            )
        };
        order(a).cmp(&order(b))
    });
    Ok(FleetView {
        boards: devices.len(),
        online: devices.iter().filter(|device| device.is_online()).count(),
        unknown: count.unknown,
        images,
        chips: count.chips,
    })
}

#[derive(Default)]
struct Count {
    unknown: usize,
    images: HashMap<Same, ImageStats>,
    chips: BTreeMap<String, usize>,
}

impl Count {
    fn board(&mut self, app: &AppState, caller: &Caller, device: &Device, board: &Board) {
        let running = &board.running;
        if let Some(chip) = &running.chip {
            *self.chips.entry(chip.clone()).or_default() += 1;
        }
        let stats = self.of(app, caller, device, running);
        stats.boards += 1;
        stats.online += usize::from(device.is_online());
        stats.trial += usize::from(running.trial);
        stats.tally.heap.extend(running.heap_free);
        stats.run(&board.run);
        if let Some(before) = &board.before {
            let was = Running {
                device_type: running.device_type.clone(),
                chip: running.chip.clone(),
                ..before.image()
            };
            let stats = self.of(app, caller, device, &was);
            stats.left += 1;
            stats.run(before);
        }
    }

    fn of(
        &mut self,
        app: &AppState,
        caller: &Caller,
        device: &Device,
        running: &Running,
    ) -> &mut ImageStats {
        let found = image(app, device, running);
        let same = match (&found, running) {
            (Some(firmware), _) => Same::Image(firmware.id),
            (
                None,
                Running {
                    sha256: Some(digest),
                    ..
                },
            ) => Same::File(*digest),
            (
                None,
                Running {
                    appended_sha256: Some(digest),
                    ..
                },
            ) => Same::End(*digest),
            (
                None,
                Running {
                    md5: Some(digest), ..
                },
            ) => Same::Md5(*digest),
            (None, _) => Same::Text(running.device_type.clone(), running.version.clone()),
        };
        let new = || ImageStats::named(caller, found.as_deref(), running);
        self.images.entry(same).or_insert_with(new)
    }
}

impl ImageStats {
    fn named(caller: &Caller, found: Option<&Firmware>, running: &Running) -> Self {
        let sha256 = found.map(|firmware| firmware.sha256).or(running.sha256);
        let seen = found.filter(|firmware| caller.sees(firmware.owner));
        Self {
            firmware: seen.map(|firmware| firmware.id.to_string()),
            sha256: sha256.map(hex::encode),
            version: found
                .map(|f| f.version.clone())
                .filter(|v| !v.is_empty())
                .or_else(|| running.version.clone()),
            project: found
                .map(|f| f.device_type.clone().unwrap_or_else(|| f.project.clone()))
                .or_else(|| running.device_type.clone()),
            chip: found
                .map(|f| f.chip.clone())
                .or_else(|| running.chip.clone()),
            ..Self::default()
        }
    }

    fn run(&mut self, run: &Run) {
        self.crashes += u64::from(run.crashes);
        self.board_hours += u64::from(run.all_hours());
        self.tally.runs += 1;
        self.tally.crashed += u64::from(run.crashes > 0);
        self.tally.crash_hours += u64::from(run.crash_hours);
    }

    fn finish(mut self) -> Self {
        self.crash_free_boards = share_free(self.tally.crashed, self.tally.runs);
        self.crash_free_hours = share_free(self.tally.crash_hours, self.board_hours);
        self.tally.heap.sort_unstable();
        let median = self.tally.heap.get(self.tally.heap.len() / 2);
        self.heap = self
            .tally
            .heap
            .first()
            .zip(median)
            .map(|(min, median)| HeapStats {
                min: *min,
                median: *median,
            });
        self
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of boards and hours")]
fn share_free(bad: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| 1.0 - bad.min(of) as f64 / of as f64)
}

/// What runs on one board.
#[derive(Debug, Serialize, ToSchema)]
pub struct BoardView {
    /// The image, when it is in the owner's library and the caller sees that.
    image: Option<ImageRef>,
    /// The version, as the board says.
    version: Option<String>,
    /// SHA-256 of the image, hexadecimal.
    sha256: Option<String>,
    /// SHA-256 at the image's end, hexadecimal.
    appended_sha256: Option<String>,
    /// MD5 of the image, hexadecimal.
    md5: Option<String>,
    /// The type under which an old sketch asks.
    device_type: Option<String>,
    /// The chip.
    chip: Option<String>,
    /// The chip's revision, e.g. `0.3`.
    chip_revision: Option<String>,
    /// The image runs on trial: it has not proven itself.
    trial: bool,
    /// It speaks our update protocol and rolls back by itself.
    native: bool,
    /// Bytes of the slot for the next image; 0: there is none, updates over the air are not possible.
    slot_bytes: Option<u64>,
    /// The lowest secure version that the board accepts.
    secure_version: Option<u32>,
    /// The serial of the key set that the board holds.
    key_serial: Option<u32>,
    /// Why it started last.
    boot_reason: Option<String>,
    /// How often it has started in its life.
    boots: Option<u32>,
    /// Seconds since it started, when it spoke last.
    uptime_s: Option<u64>,
    /// Free heap, bytes.
    heap_free: Option<u32>,
    /// Wi-Fi signal strength, dBm.
    rssi: Option<i32>,
    /// When it spoke last (RFC 3339, UTC).
    heard_at: Option<String>,
    /// What ran on it, newest first; the first runs now.
    history: Vec<RunView>,
}

/// An image of the library, to show.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageRef {
    /// Its id.
    id: String,
    /// Its project.
    project: String,
    /// Its version.
    version: String,
    /// The file's name when it was uploaded.
    filename: String,
    /// Bytes.
    size: u64,
}

/// One image's time on a board.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunView {
    /// The image, when it is in the owner's library and the caller sees that.
    image: Option<ImageRef>,
    /// The version.
    version: Option<String>,
    /// SHA-256 of the image, hexadecimal.
    sha256: Option<String>,
    /// Since when (RFC 3339, UTC).
    from: String,
    /// Until when; null: it runs.
    to: Option<String>,
    /// Starts that were noticed.
    boots: u32,
    /// Those that followed a crash.
    crashes: u32,
    /// Why it crashed last.
    crash_reason: Option<String>,
    /// When it crashed last (RFC 3339, UTC).
    crashed_at: Option<String>,
    /// The least free heap that it told of, bytes.
    heap_min: Option<u32>,
}

/// Tells what runs on a board and what ran before.
///
/// # Errors
/// Fails when the database does.
pub async fn board(app: &AppState, who: &Principal, device: &Device) -> ApiResult<BoardView> {
    super::flush(app).await?;
    let id = device.id;
    let runs = app.db.read(move |c| store::runs(c, id)).await?;
    let running = app.ota.fleet.get(id).unwrap_or_default();
    let heard = (running.at > 0).then(|| iso(running.at));
    Ok(BoardView {
        image: image_ref(app, who, device, &running),
        version: running.version.clone(),
        sha256: running.sha256.map(hex::encode),
        appended_sha256: running.appended_sha256.map(hex::encode),
        md5: running.md5.map(hex::encode),
        device_type: running.device_type.clone(),
        chip: running.chip.clone(),
        chip_revision: running
            .chip_revision
            .map(|r| format!("{}.{}", r / 100, r % 100)),
        trial: running.trial,
        native: running.native,
        slot_bytes: running.slot_bytes,
        secure_version: running.secure_version,
        key_serial: running.key_serial,
        boot_reason: running.boot_reason.clone(),
        boots: running.boots,
        uptime_s: running.uptime_s,
        heap_free: running.heap_free,
        rssi: running.rssi,
        heard_at: heard,
        history: runs
            .iter()
            .map(|run| run_view(app, who, device, run))
            .collect(),
    })
}

fn run_view(app: &AppState, who: &Principal, device: &Device, run: &Run) -> RunView {
    RunView {
        image: image_ref(app, who, device, &run.image()),
        version: run.version.clone(),
        sha256: run.sha256.map(hex::encode),
        from: iso(run.from_at),
        to: run.to_at.map(iso),
        boots: run.boots,
        crashes: run.crashes,
        crash_reason: run.crash_reason.clone(),
        crashed_at: run.crashed_at.map(iso),
        heap_min: run.heap_min,
    }
}

fn image_ref(
    app: &AppState,
    who: &Principal,
    device: &Device,
    running: &Running,
) -> Option<ImageRef> {
    let firmware: Arc<Firmware> = image(app, device, running)?;
    let seen = match who {
        Principal::Account(caller) => caller.sees(firmware.owner),
        Principal::Device(_) => true,
    };
    seen.then(|| ImageRef {
        id: firmware.id.to_string(),
        project: firmware.project.clone(),
        version: firmware.version.clone(),
        filename: firmware.filename.clone(),
        size: firmware.size,
    })
}
