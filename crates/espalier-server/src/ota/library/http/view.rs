//! Images, releases and keys as they go over the wire.

use crate::AppState;
use crate::clock::iso;
use crate::ota::library::{Firmware, Key, KeySet, Release, Signed, firmware, keys};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Who vouches for an image.
#[derive(Debug, Serialize, ToSchema)]
pub struct Signature {
    /// `trusted`, `retired` (only by a key that was retired) or `unsigned`.
    state: &'static str,
    /// The key's id.
    key: Option<String>,
    /// What people call the key.
    key_name: Option<String>,
}

impl Signature {
    /// Of an image.
    pub fn of(signed: &Signed) -> Self {
        let (state, key) = match signed {
            Signed::Unsigned => ("unsigned", None),
            Signed::Trusted(key) => ("trusted", Some(key)),
            Signed::Retired(key) => ("retired", Some(key)),
        };
        Self {
            state,
            key: key.map(|key| key.id()),
            key_name: key.map(|key| key.name.clone()),
        }
    }
}

/// A release that an image is in.
#[derive(Debug, Serialize, ToSchema)]
pub struct InRelease {
    /// Its id.
    id: String,
    /// Its version.
    version: String,
    /// Its channel.
    channel: String,
}

/// A firmware image.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Firmware")]
pub struct FirmwareView {
    /// Its id.
    pub id: String,
    /// The account whose library it is in.
    owner_id: String,
    /// SHA-256 of the file: what boards call it.
    sha256: String,
    /// MD5 of the file, which the Arduino updater compares.
    md5: String,
    /// Bytes.
    size: u64,
    /// The chip it is for, e.g. `esp32c3`.
    chip: String,
    /// The project's name.
    project: String,
    /// The version that it says of itself.
    version: String,
    /// The secure version; a board with anti-rollback takes no lower one than it has.
    secure_version: u32,
    /// SHA-256 of the ELF file, to find the symbols of a crash.
    elf_sha256: String,
    /// The SHA-256 at its end, which the Arduino updater sends.
    appended_sha256: Option<String>,
    /// Everything else that it says of itself: flash, chip revisions, ESP-IDF, time of the build, Secure Boot.
    #[schema(value_type = Object)]
    facts: Value,
    /// The type under which old clients ask for it.
    device_type: Option<String>,
    /// What old clients call it.
    key: String,
    /// The name of the file.
    filename: String,
    /// What people say of it.
    description: String,
    /// Who vouches for it.
    signature: Signature,
    /// The signed manifest as text.
    manifest: Option<String>,
    /// Whether boards are offered it.
    installable: bool,
    /// Why they are not.
    why_not: Option<&'static str>,
    /// How often boards have downloaded it.
    downloads: u64,
    /// The releases it is in, newest first, without withdrawn ones.
    releases: Vec<InRelease>,
    /// The account that uploaded it.
    created_by: String,
    /// When it was uploaded.
    created_at: String,
}

/// An image as it goes over the wire.
pub fn firmware_view(app: &AppState, one: &Firmware) -> FirmwareView {
    let library = &app.ota.library;
    let refusal = library.installable(one, app.config.allow_unsigned).err();
    let releases = firmware::releases_of(app, one.id);
    FirmwareView {
        id: one.id.to_string(),
        owner_id: one.owner.to_string(),
        sha256: hex::encode(one.sha256),
        md5: hex::encode(one.md5),
        size: one.size,
        chip: one.chip.clone(),
        project: one.project.clone(),
        version: one.version.clone(),
        secure_version: one.secure_version,
        elf_sha256: hex::encode(one.elf_sha256),
        appended_sha256: one.appended_sha256.map(hex::encode),
        facts: Value::Object(one.facts.clone()),
        device_type: one.device_type.clone(),
        key: one.legacy_key.clone(),
        filename: one.filename.clone(),
        description: one.description.clone(),
        signature: Signature::of(&library.signed(one)),
        manifest: one.manifest.clone(),
        installable: refusal.is_none(),
        why_not: refusal.map(|refusal| refusal.sentence()),
        downloads: library.downloads(one.id),
        releases: releases.iter().map(|release| in_release(release)).collect(),
        created_by: one.created_by.clone(),
        created_at: iso(one.created_at),
    }
}

fn in_release(release: &Release) -> InRelease {
    InRelease {
        id: release.id.to_string(),
        version: release.version.clone(),
        channel: release.channel.clone(),
    }
}

/// A release.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Release")]
pub struct ReleaseView {
    /// Its id.
    pub id: String,
    /// The account whose it is.
    owner_id: String,
    /// The version.
    version: String,
    /// The channel.
    channel: String,
    /// What is new, as Markdown.
    notes: String,
    /// Its images.
    firmware: Vec<ReleaseImage>,
    /// The account that made it.
    created_by: String,
    /// When it was made.
    created_at: String,
    /// When it was withdrawn; no rollout may begin with it since.
    withdrawn_at: Option<String>,
}

/// An image of a release.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReleaseImage {
    /// The image's id.
    id: String,
    /// Its SHA-256.
    sha256: String,
    /// Bytes.
    size: u64,
    /// The chip it is for.
    chip: String,
    /// The project's name.
    project: String,
    /// The version that it says of itself.
    version: String,
    /// The type under which old clients ask for it.
    device_type: Option<String>,
    /// Whether boards are offered it.
    installable: bool,
}

/// A release as it goes over the wire.
pub fn release_view(app: &AppState, release: &Release) -> ReleaseView {
    let library = &app.ota.library;
    let images = library.images(release);
    let image = |one: &std::sync::Arc<Firmware>| ReleaseImage {
        id: one.id.to_string(),
        sha256: hex::encode(one.sha256),
        size: one.size,
        chip: one.chip.clone(),
        project: one.project.clone(),
        version: one.version.clone(),
        device_type: one.device_type.clone(),
        installable: library.installable(one, app.config.allow_unsigned).is_ok(),
    };
    ReleaseView {
        id: release.id.to_string(),
        owner_id: release.owner.to_string(),
        version: release.version.clone(),
        channel: release.channel.clone(),
        notes: release.notes.clone(),
        firmware: images.iter().map(image).collect(),
        created_by: release.created_by.clone(),
        created_at: iso(release.created_at),
        withdrawn_at: release.withdrawn_at.map(iso),
    }
}

/// A public key whose signatures one's boards trust.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "SigningKey")]
pub struct KeyView {
    /// Its id: 16 hexadecimal digits, as in signatures.
    id: String,
    /// What people call it.
    name: String,
    /// The key as the text of a `.pub` file.
    public_key: String,
    /// When it was added.
    added_at: String,
    /// When it was retired: what only it signed is not offered any more.
    retired_at: Option<String>,
}

impl From<&Key> for KeyView {
    fn from(key: &Key) -> Self {
        Self {
            id: key.id(),
            name: key.name.clone(),
            public_key: key.public.to_file(),
            added_at: iso(key.added_at),
            retired_at: key.retired_at.map(iso),
        }
    }
}

/// The signed key set that one's boards are to keep.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "KeySet")]
pub struct KeySetView {
    /// Its serial; a board takes only a higher one than it has.
    serial: u32,
    /// The signed text.
    document: String,
    /// The ids of its keys.
    keys: Vec<String>,
    /// The ids of one's current keys that it leaves out: boards refuse what only they sign.
    left_out: Vec<String>,
    /// When it was put here.
    updated_at: String,
}

/// A key set as it goes over the wire.
pub fn key_set_view(app: &AppState, set: &KeySet) -> KeySetView {
    KeySetView {
        serial: set.serial,
        document: set.document.clone(),
        keys: keys::ids(set),
        left_out: keys::left_out(app, set),
        updated_at: iso(set.updated_at),
    }
}
