//! How a board gets new firmware: the bodies of the update routes, and the order of reports.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /device/update?running=SHA256[&trial=1][&slot=BYTES][&secure=N][&keys=SERIAL]` | – | 200 [`Offer`]; 204: nothing to do; 304: as before (`If-None-Match`) |
//! | `GET /device/update/{update}/image` | – | the image; `Range` and `ETag` (its SHA-256) |
//! | `GET /device/update/{update}/patch` | – | the patch from the image that runs; `Range` and `ETag`; 404: take the whole image |
//! | `POST /device/update/{update}` | [`Report`] | 200: noted, also when it was noted before |
//!
//! The token travels as `Authorization: Bearer TOKEN`. A board with a socket is nudged by `{"type":"update"}` ([`crate::device::Down::Update`])
//! and then asks as always: the socket carries no decision. Reports may be lost, repeated or late; the server accepts them in any
//! order, and what a board says it runs (`hello`, `GET /device/update`) outweighs them.

use core::fmt::{self, Write};

use crate::device::{WireError, pick};
use crate::json::{Json, ObjectWriter, Text};

/// Longest signed manifest, in bytes.
pub const MAX_MANIFEST: usize = 1024;
/// Longest signed key set, in bytes.
pub const MAX_KEY_SET: usize = 1024;
/// Longest reason of a report, in bytes; more is cut off.
pub const MAX_REASON: usize = 96;

/// An image that a board should install.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offer<'a> {
    /// The id of this device's update; every report names it.
    pub update: Text<'a>,
    /// The attempt, counted from 1; every report names it.
    pub attempt: u32,
    /// SHA-256 of the image, 64 hexadecimal digits: its identity.
    pub sha256: Text<'a>,
    /// Bytes of the image.
    pub size: u32,
    /// Version text, for people.
    pub version: Text<'a>,
    /// The signed manifest as text; absent only when the installation allows unsigned firmware.
    pub manifest: Option<Text<'a>>,
    /// Bytes of the patch from the running image; absent when there is none that pays.
    pub patch_size: Option<u32>,
    /// Seconds that the image has, after its first boot, to confirm itself before the board takes the old one back.
    pub confirm_within_s: u32,
    /// A newer key set than the board's, as signed text. A board whose serial is 0 may be sent the owner's keys as a set that nobody
    /// signed: it counts only when the board knows no key at all, for the first set that such a board gets is the one it trusts.
    pub keys: Option<Text<'a>>,
}

impl<'a> Offer<'a> {
    /// Parses an answer.
    ///
    /// # Errors
    /// Says what is wrong with the answer.
    pub fn parse(body: &'a str) -> Result<Self, WireError> {
        let f = pick(
            Json::parse(body)?,
            [
                "update",
                "attempt",
                "sha256",
                "size",
                "version",
                "manifest",
                "patch_size",
                "confirm_within_s",
                "keys",
            ],
        )?;
        Ok(Offer {
            update: f.need_text(0)?,
            attempt: f.need_int(1)?,
            sha256: f.need_text(2)?,
            size: f.need_int(3)?,
            version: f.need_text(4)?,
            manifest: f.text(5)?,
            patch_size: f.int(6)?,
            confirm_within_s: f.need_int(7)?,
            keys: f.text(8)?,
        })
    }

    /// Writes the answer.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn write(&self, out: &mut impl Write) -> fmt::Result {
        let mut m = ObjectWriter::begin(out)?;
        m.member("update", self.update)?;
        m.number("attempt", u64::from(self.attempt))?;
        m.member("sha256", self.sha256)?;
        m.number("size", u64::from(self.size))?;
        m.member("version", self.version)?;
        m.optional("manifest", self.manifest)?;
        m.optional("patch_size", self.patch_size.map(i64::from))?;
        m.number("confirm_within_s", u64::from(self.confirm_within_s))?;
        m.optional("keys", self.keys)?;
        m.end()
    }
}

/// How far a board is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The image or patch is coming in.
    Downloading,
    /// The image is in the other slot, whole and verified; the board restarts next.
    Written,
    /// The image runs for the first time and has not proven itself.
    Trial,
    /// The image has proven itself and stays.
    Confirmed,
    /// The old image is back.
    RolledBack,
    /// The attempt ended before the image ran; `reason` says why.
    Failed,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Stage; 6] = [
        Stage::Downloading,
        Stage::Written,
        Stage::Trial,
        Stage::Confirmed,
        Stage::RolledBack,
        Stage::Failed,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Stage::Downloading => "downloading",
            Stage::Written => "written",
            Stage::Trial => "trial",
            Stage::Confirmed => "confirmed",
            Stage::RolledBack => "rolled_back",
            Stage::Failed => "failed",
        }
    }

    fn from_text(text: Text<'_>) -> Option<Self> {
        let name = text.as_plain()?;
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }
}

/// How far a board is with an update. Idempotent: the same report twice is one report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report<'a> {
    /// The attempt of the offer.
    pub attempt: u32,
    /// How far.
    pub stage: Stage,
    /// Bytes of the new image that are in flash, while downloading.
    pub bytes: Option<u32>,
    /// Whether a patch is applied instead of the whole image taken.
    pub patch: bool,
    /// SHA-256 of the image that runs now, 64 hexadecimal digits.
    pub running: Option<Text<'a>>,
    /// Why it failed or was rolled back: one of [`reasons`], or a sentence.
    pub reason: Option<Text<'a>>,
}

impl<'a> Report<'a> {
    /// Parses a body.
    ///
    /// # Errors
    /// Says what is wrong with the body.
    pub fn parse(body: &'a str) -> Result<Self, WireError> {
        let f = pick(
            Json::parse(body)?,
            ["attempt", "stage", "bytes", "patch", "running", "reason"],
        )?;
        let stage = f.need_text(1)?;
        Ok(Report {
            attempt: f.need_int(0)?,
            stage: Stage::from_text(stage).ok_or(WireError::UnknownType)?,
            bytes: f.int(2)?,
            patch: f.bool(3)?.unwrap_or(false),
            running: f.text(4)?,
            reason: f.text(5)?,
        })
    }

    /// Writes the body.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn write(&self, out: &mut impl Write) -> fmt::Result {
        let mut m = ObjectWriter::begin(out)?;
        m.number("attempt", u64::from(self.attempt))?;
        m.member("stage", Text::new(self.stage.as_str()))?;
        m.optional("bytes", self.bytes.map(i64::from))?;
        m.optional("patch", self.patch.then_some(true))?;
        m.optional("running", self.running)?;
        m.optional("reason", self.reason)?;
        m.end()
    }
}

/// Stable reasons of [`Report`]s.
pub mod reasons {
    /// The manifest or its signature is wrong, or no trusted key signed it.
    pub const SIGNATURE: &str = "signature";
    /// The bytes do not have the digest of the offer.
    pub const DIGEST: &str = "digest";
    /// The image is for another chip.
    pub const CHIP: &str = "chip";
    /// The image's secure version is lower than the board's.
    pub const SECURE_VERSION: &str = "secure_version";
    /// The image does not fit the slot.
    pub const SLOT: &str = "slot";
    /// The flash could not be written.
    pub const FLASH: &str = "flash";
    /// The download broke off too often.
    pub const DOWNLOAD: &str = "download";
    /// The patch could not be applied; the next attempt takes the whole image.
    pub const PATCH: &str = "patch";
    /// The image crashed again and again on trial.
    pub const CRASH_LOOP: &str = "crash_loop";
    /// The image could not reach the server on trial.
    pub const NO_SERVER: &str = "no_server";
    /// The image's own check of its hardware failed on trial.
    pub const SELF_TEST: &str = "self_test";
    /// The bootloader refused the image and started the old one.
    pub const BOOTLOADER: &str = "bootloader";
}
