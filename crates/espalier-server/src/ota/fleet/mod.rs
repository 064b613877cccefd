//! What runs where: the firmware and the vital signs of every board, as the boards themselves say.
//!
//! It believes what a board runs over what it was told to run. It does not decide what a board should run.

use super::library::Digest;
use espalier_model::DeviceId;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// What a board said of the firmware that runs on it, newest first in time. Absent: it never said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// SHA-256 of the whole image file; what boards with our firmware say.
    pub sha256: Option<Digest>,
    /// The SHA-256 at the image's end; what the Arduino updater says.
    pub appended_sha256: Option<Digest>,
    /// MD5 of the image; what older Arduino updaters say.
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
    /// Bytes that the slot for the next image has.
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
    boards: RwLock<HashMap<DeviceId, Arc<Running>>>,
}

impl State {
    /// What a board said last.
    pub fn get(&self, device: DeviceId) -> Option<Arc<Running>> {
        self.boards.read().get(&device).cloned()
    }
}
