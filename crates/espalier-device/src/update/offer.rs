//! Whether a board takes an offer: signed by a key that it trusts, for its chip, not older than its secure version, small
//! enough for its slot, and not what it runs or has just tried. Pure decisions; nothing is written here.

use core::fmt::Write;

use espalier_image::app::Head;
use espalier_image::chip::Chip;
use espalier_image::keys::KeySet;
use espalier_image::manifest::Manifest;
use espalier_wire::json::Text;
use espalier_wire::ota::{MAX_KEY_SET, MAX_MANIFEST, Offer, Stage, reasons};
use heapless::{String, Vec};

use super::journal::{Job, JobStage, Journal, Keys, Reason, UpdateId, cut};
use super::layout::Sha;

/// Longest trial, in seconds: who grants more would leave a board between two images for good.
const MAX_CONFIRM_S: u32 = 86_400;

/// What a board is, as far as offers are concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub running: &'a Sha,
    pub chip: Chip,
    pub slot_size: u32,
    /// Where the image would go, and where the old one is.
    pub slots: (u8, u8),
    /// The lowest secure version that the board takes.
    pub secure_version: u32,
    pub keys: &'a Keys,
    pub allow_unsigned: bool,
}

/// What a board makes of an offer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It goes to work; the bytes of the patch, when it takes one.
    Take(Job, Option<u32>),
    /// It does not want it, and says why.
    Refuse(Job, &'static str),
    /// It runs it already.
    Runs(Job),
    /// It has ended this attempt before, and says so again.
    Ended,
    /// It does not understand it.
    Nonsense,
}

/// Decides about an offer.
pub(crate) fn judge(offer: &Offer<'_>, facts: &Facts<'_>, journal: &Journal) -> Answer {
    let (Some(update), Some(sha256)) = (
        copy::<{ super::journal::MAX_UPDATE }>(offer.update),
        sha(offer.sha256),
    ) else {
        return Answer::Nonsense;
    };
    if update.is_empty() {
        return Answer::Nonsense;
    }
    let mut job = job(update, sha256, offer, facts);
    let last = journal.outcome.as_ref();
    let ended = last.filter(|last| last.update == job.update && last.attempt >= job.attempt);
    if sha256 == *facts.running {
        // Noted once: a server that offers it again and again must not wear the storage out.
        return match ended {
            Some(last) if last.stage == Stage::Confirmed => Answer::Ended,
            _ => Answer::Runs(job),
        };
    }
    if ended.is_some() {
        return Answer::Ended;
    }
    let patch_failed = last.is_some_and(|last| last.patch && last.sha256 == sha256);
    if let Some(reason) = refusal(offer, facts, &mut job) {
        return Answer::Refuse(job, reason);
    }
    let pays = |size: &u32| (1..offer.size).contains(size) && !patch_failed;
    let patch = offer.patch_size.filter(pays);
    job.patch = patch.is_some();
    Answer::Take(job, patch)
}

fn job(update: UpdateId, sha256: Sha, offer: &Offer<'_>, facts: &Facts<'_>) -> Job {
    Job {
        update,
        attempt: offer.attempt,
        sha256,
        size: offer.size,
        secure_version: 0,
        confirm_within_s: offer.confirm_within_s.min(MAX_CONFIRM_S),
        patch: false,
        bytes: 0,
        stage: JobStage::Loading,
        slot: facts.slots.0,
        old: facts.slots.1,
        sequence: 0,
        starts: 0,
        reason: Reason::new(),
    }
}

fn refusal(offer: &Offer<'_>, facts: &Facts<'_>, job: &mut Job) -> Option<&'static str> {
    if offer.size == 0 || offer.size > facts.slot_size {
        return Some(reasons::SLOT);
    }
    let Some(text) = offer.manifest else {
        return (!facts.allow_unsigned).then_some(reasons::SIGNATURE);
    };
    let Some(text) = copy::<MAX_MANIFEST>(text) else {
        return Some(reasons::SIGNATURE);
    };
    let Ok(manifest) = Manifest::parse(&text) else {
        return Some(reasons::SIGNATURE);
    };
    if manifest.verify(&facts.keys.public()).is_err() && !facts.allow_unsigned {
        return Some(reasons::SIGNATURE);
    }
    if manifest.sha256 != job.sha256 || manifest.size != offer.size {
        return Some(reasons::DIGEST);
    }
    if manifest.chip != facts.chip {
        return Some(reasons::CHIP);
    }
    if manifest.secure_version < facts.secure_version {
        return Some(reasons::SECURE_VERSION);
    }
    job.secure_version = manifest.secure_version;
    None
}

/// Decides about the first bytes of an image before they are written, whatever the manifest said.
pub(crate) fn check_head(bytes: &[u8], chip: Chip, secure_version: u32) -> Result<u32, Reason> {
    let head = Head::parse(bytes).map_err(|error| {
        let mut why = String::<512>::new();
        let _ = write!(why, "{error}");
        cut(&why)
    })?;
    if head.chip != chip {
        return Err(cut(reasons::CHIP));
    }
    if head.secure_version < secure_version {
        return Err(cut(reasons::SECURE_VERSION));
    }
    Ok(head.secure_version)
}

/// Returns the keys of a set that a trusted key signed and that is newer than the board's; of any set, when the board knows no key at
/// all and trusts the first.
pub(crate) fn newer_keys(text: Text<'_>, known: &Keys, trusts_first: bool) -> Option<Keys> {
    let text = copy::<MAX_KEY_SET>(text)?;
    let set = KeySet::parse(&text).ok()?;
    if !(known.keys.is_empty() && trusts_first) {
        set.verify(&known.public(), known.serial).ok()?;
    }
    let mut keys = Vec::new();
    for key in &set.keys {
        keys.push(*key.bytes()).ok()?;
    }
    Some(known.followed_by(set.serial, keys))
}

/// Copies a text that may hold escapes; none when it is too long.
fn copy<const N: usize>(text: Text<'_>) -> Option<String<N>> {
    let mut plain = String::new();
    for c in text.chars() {
        plain.push(c).ok()?;
    }
    Some(plain)
}

/// Reads 64 hexadecimal digits.
fn sha(text: Text<'_>) -> Option<Sha> {
    let digits = text.as_plain()?.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut sha = [0; 32];
    for (byte, pair) in sha.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(nibble(*high)? << 4 | nibble(*low)?).ok()?;
    }
    Some(sha)
}

/// Writes a digest as 64 hexadecimal digits.
pub(crate) fn hex(sha: &Sha) -> String<64> {
    let mut text = String::new();
    for byte in sha {
        // 32 bytes are 64 digits.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
