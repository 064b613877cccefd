//! Whether an old sketch took the image that it downloaded. It does not tell: it restarts and speaks again, with the same version text as
//! before when that text is compiled in. Pure.

use super::Running;
use crate::ota::library::Firmware;
use espalier_model::{FirmwareId, UpdateId};
use serde::{Deserialize, Serialize};

/// A board that speaks so soon after the last byte may still be about to restart, milliseconds.
const RESTART_MS: i64 = 10_000;
/// How far a board's count of seconds may be off, milliseconds.
const SLACK_MS: i64 = 3_000;

/// An image that an old sketch has downloaded whole; whether it runs is seen when the board comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// The image.
    pub firmware: FirmwareId,
    /// The update it belongs to.
    pub update: UpdateId,
    /// The attempt.
    pub attempt: u32,
    /// When the last byte left, milliseconds UTC.
    pub at: i64,
    /// Seconds that the board has to come back.
    pub within_s: u32,
    /// The board did not come back in time, and the attempt counts as failed. What it says when it comes back still counts.
    #[serde(default)]
    pub given_up: bool,
}

/// Whether a board took an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The image runs.
    Yes,
    /// The board goes on with what it had.
    No,
    /// It is too early to tell.
    Unknown,
}

impl Fetched {
    /// Judges by what the board says now. A digest tells for certain; else a board that has started since runs the image, because the
    /// updater restarts only into what it verified; else one that came back at all.
    pub fn judge(&self, said: &Running, image: &Firmware, now: i64) -> Taken {
        let names = [
            said.sha256
                .map(|digest| digest == image.sha256 || Some(digest) == image.appended_sha256),
            said.appended_sha256
                .map(|digest| Some(digest) == image.appended_sha256),
            said.md5.map(|md5| md5 == image.md5),
        ];
        if names.contains(&Some(true)) {
            return Taken::Yes;
        }
        if names.contains(&Some(false)) {
            return Taken::No;
        }
        let passed = now - self.at;
        let Some(uptime_s) = said.uptime_s else {
            return Taken::Yes;
        };
        let up = i64::try_from(uptime_s)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        if up <= passed.saturating_add(SLACK_MS) {
            Taken::Yes
        } else if passed > RESTART_MS {
            Taken::No
        } else {
            Taken::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Firmware {
        Firmware {
            id: FirmwareId::mint(1, [1; 10]),
            owner: espalier_model::AccountId::mint(1, [1; 10]),
            sha256: [1; 32],
            md5: [2; 16],
            size: 10,
            chip: "esp32".into(),
            project: String::new(),
            version: "2.4.0".into(),
            secure_version: 0,
            elf_sha256: [0; 32],
            appended_sha256: Some([3; 32]),
            facts: serde_json::Map::new(),
            device_type: None,
            legacy_key: "k".into(),
            filename: String::new(),
            description: String::new(),
            manifest: None,
            created_by: String::new(),
            created_at: 1,
        }
    }

    fn judge(said: Running, passed_ms: i64) -> Taken {
        let fetched = Fetched {
            firmware: image().id,
            update: UpdateId::mint(1, [1; 10]),
            attempt: 1,
            at: 1_000_000,
            within_s: 300,
            given_up: false,
        };
        fetched.judge(&said, &image(), 1_000_000 + passed_ms)
    }

    #[test]
    fn a_digest_tells_for_certain() {
        let names = |md5: u8| Running {
            md5: Some([md5; 16]),
            uptime_s: Some(1),
            ..Running::default()
        };
        assert_eq!(judge(names(2), 1), Taken::Yes);
        assert_eq!(judge(names(9), 100_000), Taken::No);
        let appended = Running {
            appended_sha256: Some([3; 32]),
            ..Running::default()
        };
        assert_eq!(judge(appended, 1), Taken::Yes);
    }

    #[test]
    fn a_start_since_the_download_tells_when_no_digest_does() {
        let up = |seconds: u64| Running {
            uptime_s: Some(seconds),
            version: Some("2.4.0".into()),
            ..Running::default()
        };
        assert_eq!(judge(up(5), 20_000), Taken::Yes);
        assert_eq!(judge(up(4_000), 30_000), Taken::No);
        assert_eq!(judge(up(4_000), 2_000), Taken::Unknown);
        assert_eq!(judge(Running::default(), 20_000), Taken::Yes);
    }
}
