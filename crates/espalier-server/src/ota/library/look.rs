//! What a file says of itself.

use super::Digest;
use espalier_image::app::{self, AppImage};
use espalier_image::merged;
use md5::Digest as _;
use serde_json::{Map, Value, json};

/// What an app image says of itself, and its digests.
#[derive(Debug, Clone)]
pub struct Look {
    pub sha256: Digest,
    pub md5: [u8; 16],
    pub size: u64,
    pub chip: &'static str,
    pub project: String,
    pub version: String,
    pub secure_version: u32,
    pub elf_sha256: Digest,
    pub appended_sha256: Option<Digest>,
    pub facts: Map<String, Value>,
}

/// Why a file is no app image.
#[derive(Debug, Clone)]
pub struct NoImage {
    /// What it is, as a word for programs.
    pub kind: &'static str,
    /// One sentence that says what is wrong and what to do.
    pub sentence: String,
}

/// Reads a whole file and checks every byte of it; it takes a moment.
pub fn look(bytes: &[u8]) -> Result<Look, NoImage> {
    let image = app::parse(bytes).map_err(|error| NoImage {
        kind: merged::recognise(bytes).as_str(),
        sentence: error.to_string(),
    })?;
    let head = image.head;
    Ok(Look {
        sha256: sha2::Sha256::digest(bytes).into(),
        md5: md5::Md5::digest(bytes).into(),
        size: bytes.len() as u64,
        chip: head.chip.as_str(),
        project: head.project.to_owned(),
        version: head.version.to_owned(),
        secure_version: head.secure_version,
        elf_sha256: head.elf_sha256,
        appended_sha256: image.appended_sha256,
        facts: facts(&image),
    })
}

fn facts(image: &AppImage<'_>) -> Map<String, Value> {
    let head = &image.head;
    let facts = json!({
        "chip_title": head.chip.title(),
        "flash_mode": head.flash.mode_name(),
        "flash_megabytes": head.flash.megabytes(),
        "flash_mhz": head.chip.flash_mhz(head.flash.frequency),
        "min_chip_revision": head.min_revision.0,
        "max_chip_revision": head.max_revision.map(|revision| revision.0),
        "idf_version": head.idf_version,
        "built": format!("{} {}", head.date, head.time).trim(),
        "segments": head.segments,
        "secure_boot": image.secure_boot.map(|signed| json!({
            "scheme": signed.scheme.as_str(),
            "blocks": signed.blocks,
        })),
    });
    match facts {
        Value::Object(facts) => facts
            .into_iter()
            .filter(|(_, fact)| !fact.is_null())
            .collect(),
        _ => Map::new(),
    }
}
