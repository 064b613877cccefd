//! What a statement of a board means: the same image or another, a start or a crash. Pure.

use super::fetched::Fetched;
use super::{Digest, Running};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// Parts of boot reasons that mean the firmware did not end by itself, in every dialect: ours, ESP-IDF's and Arduino's.
const CRASHES: [&str; 11] = [
    "panic",
    "wdt",
    "watchdog",
    "brownout",
    "brown_out",
    "exception",
    "crash",
    "abort",
    "lockup",
    "glitch",
    "fault",
];

/// Tells whether a boot reason means that the firmware crashed.
pub fn is_crash(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    CRASHES.iter().any(|crash| reason.contains(crash))
}

/// One image's time on one board.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// When the board first said that the image runs, milliseconds UTC.
    pub from_at: i64,
    /// When it said that another does.
    pub to_at: Option<i64>,
    /// As in [`Running`].
    #[serde(with = "hexadecimal")]
    pub sha256: Option<Digest>,
    /// As in [`Running`].
    #[serde(with = "hexadecimal")]
    pub appended_sha256: Option<Digest>,
    /// As in [`Running`].
    #[serde(with = "hexadecimal")]
    pub md5: Option<[u8; 16]>,
    /// As in [`Running`].
    pub version: Option<String>,
    /// Starts that were noticed.
    pub boots: u32,
    /// Those that followed a crash.
    pub crashes: u32,
    /// Why it crashed last.
    pub crash_reason: Option<String>,
    /// When it crashed last, milliseconds UTC.
    pub crashed_at: Option<i64>,
    /// Different hours in which the board was heard.
    pub hours: u32,
    /// Those in which it crashed.
    pub crash_hours: u32,
    /// The least free heap that it told of.
    pub heap_min: Option<u32>,
    /// The last hour that was counted.
    last_hour: i64,
}

impl Run {
    fn new(running: &Running, now: i64) -> Self {
        let mut run = Self {
            from_at: now,
            ..Self::default()
        };
        run.name(running);
        run
    }

    fn name(&mut self, running: &Running) {
        self.sha256 = running.sha256;
        self.appended_sha256 = running.appended_sha256;
        self.md5 = running.md5;
        self.version.clone_from(&running.version);
    }

    /// The image as [`Running`], to look it up.
    pub fn image(&self) -> Running {
        Running {
            sha256: self.sha256,
            appended_sha256: self.appended_sha256,
            md5: self.md5,
            version: self.version.clone(),
            ..Running::default()
        }
    }

    fn count_hour(&mut self, now: i64) -> bool {
        let new = self.last_hour != now / HOUR_MS;
        if new {
            self.last_hour = now / HOUR_MS;
            self.hours = self.hours.saturating_add(1);
        }
        new
    }

    fn count_crash(&mut self, reason: &str, now: i64) {
        let before = self.crashed_at.map(|at| at / HOUR_MS);
        self.crashes = self.crashes.saturating_add(1);
        if before != Some(now / HOUR_MS) {
            self.crash_hours = self.crash_hours.saturating_add(1);
        }
        self.crash_reason = Some(reason.to_owned());
        self.crashed_at = Some(now);
    }

    /// Hours in which the board was heard, at least as many as those in which it crashed.
    pub fn all_hours(&self) -> u32 {
        self.hours.max(self.crash_hours)
    }
}

/// What is known of one board.
#[derive(Default)]
pub struct Board {
    /// What it said last.
    pub running: Arc<Running>,
    /// The time of the image that runs.
    pub run: Run,
    /// The time of the image before.
    pub before: Option<Run>,
    /// Runs that ended and are not stored yet.
    pub ended: Vec<Run>,
    /// See [`Fetched`].
    pub fetched: Option<Fetched>,
}

impl Board {
    /// Takes in what a board says; returns whether that must outlive the process, `None` when it changes nothing but the moment.
    pub fn hear(&mut self, said: Running, now: i64) -> Option<bool> {
        let old = self.running.clone();
        let first = old.at == 0;
        let other = !first && is_other_image(&old, &said);
        let booted = has_booted(&old, &said);
        let crash = (booted || first)
            .then(|| said.boot_reason.clone())
            .flatten()
            .filter(|reason| is_crash(reason));
        let new = merge(&old, said, other, booted, now);
        // A crash that ends in a return to the image before belongs to the image that was left.
        let back = other
            && self
                .before
                .as_ref()
                .is_some_and(|run| !is_other_image(&run.image(), &new));
        if let (true, Some(reason)) = (back, &crash) {
            self.run.count_crash(reason, now);
        }
        if first || other {
            // No two runs of a board begin at one moment: it is what tells them apart.
            let from = now.max(self.run.from_at + 1);
            let ended = std::mem::replace(&mut self.run, Run::new(&new, from));
            if other {
                let ended = Run {
                    to_at: Some(from),
                    ..ended
                };
                self.ended.push(ended.clone());
                self.before = Some(ended);
            }
        } else {
            self.run.name(&new);
        }
        if booted {
            self.run.boots = self.run.boots.saturating_add(1);
        }
        if let (false, Some(reason)) = (back, &crash) {
            self.run.count_crash(reason, now);
        }
        let hour = self.run.count_hour(now);
        if let Some(heap) = new.heap_free {
            self.run.heap_min = Some(self.run.heap_min.map_or(heap, |least| least.min(heap)));
        }
        let durable = first || other || crash.is_some() || lasting(&old) != lasting(&new);
        self.running = Arc::new(new);
        (durable || hour).then_some(durable)
    }
}

/// What of a statement outlives the process.
fn lasting(running: &Running) -> Running {
    Running {
        uptime_s: None,
        heap_free: None,
        rssi: None,
        at: 0,
        ..running.clone()
    }
}

/// Tells whether a board that ran `old` says that another image runs.
pub fn is_other_image(old: &Running, said: &Running) -> bool {
    let pairs = [
        differ(&old.sha256, &said.sha256),
        differ(&old.appended_sha256, &said.appended_sha256),
        differ(&old.md5, &said.md5),
    ];
    if pairs.contains(&Some(true)) {
        return true;
    }
    if pairs.contains(&Some(false)) {
        return false;
    }
    // A version alone says less than a digest that the board itself named.
    let only_text = said.sha256.is_none() && said.appended_sha256.is_none() && said.md5.is_none();
    if only_text && old.native && old.sha256.is_some() {
        return false;
    }
    differ(&old.version, &said.version) == Some(true)
}

fn differ<T: PartialEq>(old: &Option<T>, said: &Option<T>) -> Option<bool> {
    Some(old.as_ref()? != said.as_ref()?)
}

/// Tells whether a board has started since it spoke last: by its count, else by the time it is up, else by another reason.
fn has_booted(old: &Running, said: &Running) -> bool {
    if let (Some(old), Some(said)) = (old.boots, said.boots) {
        return old != said;
    }
    if let (Some(old), Some(said)) = (old.uptime_s, said.uptime_s) {
        return said < old;
    }
    // Once a board counts its starts, only the count tells.
    old.boots.is_none() && differ(&old.boot_reason, &said.boot_reason) == Some(true)
}

fn merge(old: &Running, said: Running, other: bool, booted: bool, now: i64) -> Running {
    let kept = |value: bool| value.then_some(old);
    let image = kept(!other);
    // What a board counted before it started says nothing about now.
    let vitals = kept(!booted);
    Running {
        sha256: said.sha256.or(image.and_then(|old| old.sha256)),
        appended_sha256: said
            .appended_sha256
            .or(image.and_then(|old| old.appended_sha256)),
        md5: said.md5.or(image.and_then(|old| old.md5)),
        version: said.version.or_else(|| image?.version.clone()),
        device_type: said.device_type.or_else(|| old.device_type.clone()),
        chip: said.chip.or_else(|| old.chip.clone()),
        chip_revision: said.chip_revision.or(old.chip_revision),
        trial: said.trial,
        slot_bytes: said.slot_bytes.or(old.slot_bytes),
        secure_version: said.secure_version.or(old.secure_version),
        key_serial: said.key_serial.or(old.key_serial),
        native: said.native,
        boot_reason: said.boot_reason.or_else(|| old.boot_reason.clone()),
        boots: said.boots.or(old.boots),
        uptime_s: said.uptime_s.or(vitals.and_then(|old| old.uptime_s)),
        heap_free: said.heap_free.or(vitals.and_then(|old| old.heap_free)),
        rssi: said.rssi.or(old.rssi),
        at: now,
    }
}

/// Optional bytes as hexadecimal text.
pub mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes them.
    #[expect(clippy::ref_option, reason = "the form that serde calls")]
    pub fn serialize<S: Serializer, const N: usize>(
        bytes: &Option<[u8; N]>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => to.serialize_str(&hex::encode(bytes)),
            None => to.serialize_none(),
        }
    }

    /// Reads them.
    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        from: D,
    ) -> Result<Option<[u8; N]>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        let mut bytes = [0; N];
        hex::decode_to_slice(text, &mut bytes).map_err(serde::de::Error::custom)?;
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(sha: u8, boots: u32, reason: &str) -> Running {
        Running {
            sha256: Some([sha; 32]),
            version: Some(format!("1.{sha}")),
            boots: Some(boots),
            boot_reason: Some(reason.to_owned()),
            native: true,
            ..Running::default()
        }
    }

    #[test]
    fn a_repeated_greeting_is_no_start_and_a_crash_counts_once() {
        let mut board = Board::default();
        assert_eq!(board.hear(said(1, 7, "power_on"), 1_000), Some(true));
        assert_eq!(board.hear(said(1, 7, "power_on"), 2_000), None);
        assert_eq!(board.run.boots, 0);
        board.hear(said(1, 8, "task_wdt"), 3_000);
        board.hear(said(1, 8, "task_wdt"), 4_000);
        assert_eq!(
            (board.run.boots, board.run.crashes, board.run.crash_hours),
            (1, 1, 1)
        );
    }

    #[test]
    fn another_digest_begins_another_run_and_the_old_names_do_not_stick() {
        let mut board = Board::default();
        let old = Running {
            md5: Some([9; 16]),
            ..said(1, 1, "power_on")
        };
        board.hear(old, 1_000);
        board.hear(said(2, 2, "software"), HOUR_MS);
        assert_eq!(board.running.md5, None);
        assert_eq!(board.ended[0].to_at, Some(HOUR_MS));
        assert_eq!(board.run.version.as_deref(), Some("1.2"));
    }

    #[test]
    fn a_crash_that_brings_the_old_image_back_belongs_to_the_new_one() {
        let mut board = Board::default();
        board.hear(said(1, 1, "power_on"), 1_000);
        board.hear(said(2, 2, "software"), 2_000);
        board.hear(said(1, 5, "panic"), 3_000);
        assert_eq!(board.run.crashes, 0);
        assert_eq!(board.before.as_ref().map(|run| run.crashes), Some(1));
    }

    #[test]
    fn a_version_text_says_less_than_a_digest_but_more_than_nothing() {
        let mut board = Board::default();
        board.hear(said(1, 1, "power_on"), 1_000);
        let text = |version: &str, native: bool| Running {
            version: Some(version.to_owned()),
            native,
            ..Running::default()
        };
        board.hear(text("9.9", true), 2_000);
        assert_eq!(board.running.sha256, Some([1; 32]));
        let mut sketch = Board::default();
        sketch.hear(text("2.4.0", false), 1_000);
        sketch.hear(text("2.4.0", false), 2_000);
        assert!(sketch.ended.is_empty());
        sketch.hear(text("2.4.1", false), 3_000);
        assert_eq!(sketch.ended.len(), 1);
    }

    #[test]
    fn time_that_goes_back_is_a_start() {
        let mut board = Board::default();
        let up = |seconds: u64| Running {
            uptime_s: Some(seconds),
            boot_reason: Some("panic".to_owned()),
            ..Running::default()
        };
        board.hear(up(100), 1_000);
        board.hear(up(130), 31_000);
        assert_eq!((board.run.boots, board.run.crashes), (0, 1));
        board.hear(up(5), 61_000);
        assert_eq!((board.run.boots, board.run.crashes), (1, 2));
    }

    #[test]
    fn what_is_kept_reads_back() {
        let kept = Running {
            md5: Some([3; 16]),
            slot_bytes: Some(1 << 20),
            ..said(1, 2, "panic")
        };
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Running>(&text).unwrap(), kept);
        assert_eq!(
            serde_json::from_str::<Running>("{}").unwrap(),
            Running::default()
        );
    }
}
