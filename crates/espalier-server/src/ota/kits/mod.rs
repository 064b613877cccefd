//! Kits: what a board is flashed with over USB the first time: bootloader, partition table and app, and where in flash its
//! settings go.
//!
//! Invariant: every part of a kept kit was checked against its digest and read byte by byte; together they boot and can be
//! updated over the air. The app is an image of the library, under the same rule of signatures. A kit's identity is the digest
//! of its description without the notes. It does not flash anything: a browser does, with what it downloads here.

mod check;
mod file;
mod http;
mod intake;
mod logic;
mod store;
#[cfg(test)]
mod tests;

pub use file::{KitFile, MAX_KIT_FILE};
pub use intake::Upload;
pub use logic::{Kept, keep, owner_named};

use super::library::Digest;
use crate::AppState;
use espalier_model::{AccountId, KitId};
use utoipa_axum::router::OpenApiRouter;

/// A range of flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Where it begins, bytes from the beginning of flash.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

impl Region {
    /// Where it ends; beyond 4 GB it cannot.
    pub fn end(self) -> u64 {
        u64::from(self.offset) + u64::from(self.size)
    }

    /// Whether two ranges share bytes.
    pub fn overlaps(self, other: Self) -> bool {
        u64::from(self.offset) < other.end() && u64::from(other.offset) < self.end()
    }
}

/// A file of a kit.
#[derive(Debug, Clone)]
pub struct Part {
    /// `bootloader`, `partitions` or `app`.
    pub name: String,
    /// Where in flash it goes, and its bytes.
    pub place: Region,
    /// SHA-256 of the file: its name in the blob store.
    pub sha256: Digest,
}

/// A kit in somebody's library.
#[derive(Debug, Clone)]
pub struct Kit {
    /// Its id.
    pub id: KitId,
    /// Whose it is.
    pub owner: AccountId,
    /// SHA-256 over everything that makes it what it is.
    pub digest: Digest,
    /// Which of our firmwares it is, e.g. `base`.
    pub variant: String,
    /// The chip as tools that flash call it, e.g. `ESP32-C3`.
    pub chip: String,
    /// The project's name from the app descriptor.
    pub project: String,
    /// The version from the app descriptor.
    pub version: String,
    /// Bytes of flash that a board must have.
    pub flash_size: u32,
    /// Where a board keeps its settings.
    pub settings: Region,
    /// What says which app starts; it is erased when the kit is flashed.
    pub otadata: Region,
    /// What people should know of it.
    pub notes: String,
    /// Its files, in the order of flash.
    pub parts: Vec<Part>,
    /// Who uploaded it: an account's id.
    pub created_by: String,
    /// When, milliseconds UTC.
    pub created_at: i64,
}

impl Kit {
    /// The file with this name.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }
}

/// The routes of this part.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    http::routes()
}
