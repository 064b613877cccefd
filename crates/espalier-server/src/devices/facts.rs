//! What a board says of itself when it connects: kept on the device, stored only when it changes. Owners cannot
//! change it; what they say about the board stands beside it and wins.

use super::check::MAX_INTERVAL_S;
use super::logic::{self, Note};
use super::{Device, presence};
use crate::{ApiError, AppState};
use espalier_model::DeviceId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// Characters of each word; more is cut off, because a board cannot be asked to choose another.
const MAX_WORD: usize = 64;

/// What a board says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Facts {
    /// The version of the firmware that runs on it.
    pub firmware_version: Option<String>,
    /// The SHA-256 of that firmware, hexadecimal.
    pub firmware_sha256: Option<String>,
    /// Its chip, e.g. `esp32c3`.
    pub chip: Option<String>,
    /// Its board, e.g. `weather`.
    pub board: Option<String>,
    /// How often it means to be heard, seconds; presence follows it unless `expected_interval_seconds` of the
    /// device is set.
    pub expected_interval_seconds: Option<u32>,
}

impl Facts {
    /// Brings what a board sent within the limits; what is empty or out of range counts as not said.
    #[must_use]
    pub fn within_limits(self) -> Self {
        Self {
            firmware_version: word(self.firmware_version),
            firmware_sha256: word(self.firmware_sha256),
            chip: word(self.chip),
            board: word(self.board),
            expected_interval_seconds: self
                .expected_interval_seconds
                .filter(|seconds| (1..=MAX_INTERVAL_S).contains(seconds)),
        }
    }
}

fn word(text: Option<String>) -> Option<String> {
    let clean: String = text?
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_WORD)
        .collect();
    Some(clean).filter(|text| !text.is_empty())
}

/// Keeps what a board said of itself.
///
/// # Errors
/// Fails when the database does, or the device is gone.
pub async fn introduce(app: &AppState, id: DeviceId, facts: Facts) -> Result<(), ApiError> {
    let facts = facts.within_limits();
    let same = |device: &Device| device.facts.as_deref().unwrap_or(&Facts::default()) == &facts;
    if app.devices.get(id).is_none_or(|device| same(&device)) {
        return Ok(());
    }
    let (app, facts) = (app.clone(), facts.clone());
    logic::to_the_end(&app.clone(), async move {
        let decide = |old: &Device| {
            if old.facts.as_deref() == Some(&facts) {
                return Ok(None);
            }
            let note = Note::new("introduced", json!(facts));
            let new = Device {
                facts: Some(Box::new(facts)),
                ..old.clone()
            };
            Ok(Some((new, note)))
        };
        let changed = logic::change(&app, id, decide, |_, _| Ok(())).await?;
        presence::reschedule(&app, &changed);
        Ok(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_empty_or_out_of_range_is_brought_within_the_limits() {
        let said = Facts {
            firmware_version: Some("1.2.\u{7}0 ".to_owned()),
            firmware_sha256: Some("ü".repeat(MAX_WORD + 1)),
            chip: Some(" \n".to_owned()),
            board: None,
            expected_interval_seconds: Some(0),
        };
        let kept = said.within_limits();
        assert_eq!(kept.firmware_version.as_deref(), Some("1.2.0"));
        assert_eq!(kept.firmware_sha256, Some("ü".repeat(MAX_WORD)));
        assert_eq!((kept.chip, kept.expected_interval_seconds), (None, None));
        assert_eq!(word(Some("x".into())), Some("x".into()));
    }
}
