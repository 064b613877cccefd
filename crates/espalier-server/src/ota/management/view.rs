//! Images as old clients read them.

use crate::AppState;
use crate::clock::iso;
use crate::ota::library::Firmware;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// Images among the most recent ones.
const RECENT: usize = 10;

/// What old clients know of an image.
#[derive(Debug, Serialize, ToSchema)]
pub struct FirmwareInfo {
    /// The version that the image says of itself.
    version: String,
    /// Its type.
    device_type: String,
    /// The name of the file that was uploaded.
    filename: String,
    /// A name under which to save the file; never a path of the server.
    filepath: String,
    /// What people say of it.
    description: String,
    /// When it was uploaded.
    upload_date: String,
    /// Bytes.
    file_size: u64,
    /// SHA-256 of the file.
    file_hash: String,
    /// How often boards have downloaded it.
    download_count: u64,
    /// Boards are offered it.
    is_active: bool,
}

/// An image with its key.
#[derive(Debug, Serialize, ToSchema)]
pub struct FirmwareVersion {
    /// Its key: `{type}_{YYYYMMDD.HHMMSS}`.
    key: String,
    /// What is known of it.
    #[serde(flatten)]
    info: FirmwareInfo,
}

/// What was uploaded.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadedFirmware {
    /// Always `true`.
    pub success: bool,
    /// Its key.
    pub firmware_key: String,
    /// What is known of it.
    pub firmware_info: FirmwareInfo,
}

/// The images there are.
#[derive(Debug, Serialize, ToSchema)]
pub struct FirmwareVersions {
    /// Newest first.
    pub firmware_versions: Vec<FirmwareVersion>,
}

/// The types there are images for.
#[derive(Debug, Serialize, ToSchema)]
pub struct FirmwareTypes {
    /// In order of the alphabet.
    pub firmware_types: Vec<String>,
}

/// Counts of one type.
#[derive(Debug, Serialize, ToSchema)]
pub struct TypeStats {
    /// Images.
    count: usize,
    /// The newest one.
    latest_version: FirmwareVersion,
    /// How often boards have downloaded one of them.
    total_downloads: u64,
}

/// Counts of the library.
#[derive(Debug, Serialize, ToSchema)]
pub struct FirmwareStats {
    /// Images.
    total_firmware_versions: usize,
    /// How often boards have downloaded one.
    total_downloads: u64,
    /// Each type.
    device_types: BTreeMap<String, TypeStats>,
    /// The ten newest images.
    recent_uploads: Vec<FirmwareVersion>,
}

/// What old clients know of an image.
pub fn info(app: &AppState, one: &Firmware) -> FirmwareInfo {
    let library = &app.ota.library;
    FirmwareInfo {
        version: one.version.clone(),
        device_type: one.kind().to_owned(),
        filename: one.filename.clone(),
        filepath: format!("{}.bin", one.legacy_key),
        description: one.description.clone(),
        upload_date: iso(one.created_at),
        file_size: one.size,
        file_hash: hex::encode(one.sha256),
        download_count: library.downloads(one.id),
        is_active: library.installable(one, app.config.allow_unsigned).is_ok(),
    }
}

/// An image with its key.
pub fn version(app: &AppState, one: &Firmware) -> FirmwareVersion {
    FirmwareVersion {
        key: one.legacy_key.clone(),
        info: info(app, one),
    }
}

/// Counts of these images, newest first.
pub fn stats(app: &AppState, images: &[Arc<Firmware>]) -> FirmwareStats {
    let mut device_types: BTreeMap<String, TypeStats> = BTreeMap::new();
    let mut total_downloads = 0;
    for one in images {
        let downloads = app.ota.library.downloads(one.id);
        total_downloads += downloads;
        // The newest comes first.
        let stats = device_types.entry(one.kind().to_owned());
        let stats = stats.or_insert_with(|| TypeStats {
            count: 0,
            latest_version: version(app, one),
            total_downloads: 0,
        });
        stats.count += 1;
        stats.total_downloads += downloads;
    }
    let recent = images.iter().take(RECENT).map(|one| version(app, one));
    FirmwareStats {
        total_firmware_versions: images.len(),
        total_downloads,
        device_types,
        recent_uploads: recent.collect(),
    }
}
