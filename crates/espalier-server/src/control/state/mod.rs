//! Desired and reported state of devices: what each key should be, what it is, and whether the loop closed.
//!
//! The decisions are [`espalier_model::twin`]'s; here they are stored, kept in memory and told to whoever
//! watches. The database decides (a transaction reads, changes and writes), memory follows after the commit:
//! what is acknowledged is on disk. Only devices that have such state are in memory at all, so that a
//! telemetry post of any other device costs one look-up.

mod check;
mod http;
mod logic;
mod memory;
mod parts;
mod store;

use espalier_wire::json::Text;

pub(crate) use check::depth;
pub use http::KeyState;
pub use logic::{expire, led, over_reported, pending, report, report_telemetry, set_desired};
pub use parts::{next_part, parts, split};

pub use memory::{Due, Twins};

use crate::AppState;
use espalier_model::DeviceId;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The longest time between two looks for what is over, milliseconds: what another replica has set is found
/// by then.
pub(super) const SWEEP_MS: i64 = 60_000;

/// The routes of this part.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(http::set_desired))
        .routes(routes!(http::get_state))
}

/// One reported value: the value, and the desired version that it answers (0 when the device changed it by
/// itself or does not speak of versions).
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// The value.
    pub value: Value,
    /// The desired version that it answers, or 0.
    pub version: u64,
    /// Why the device will not apply that version; `value` is then what it stays, or null when it has no such switch.
    pub refused: Option<String>,
}

/// Characters of the sentence with which a board refuses a value.
const MAX_REASON: usize = 200;

impl Reported {
    /// What one entry of a state map says; the value has been parsed.
    pub fn new(value: Value, version: u64, error: Option<Text<'_>>) -> Self {
        let sentence = |text: Text<'_>| {
            let words = text.to_cow();
            let plain = words.chars().filter(|c| !c.is_control());
            plain.take(MAX_REASON).collect()
        };
        Self {
            value,
            version,
            refused: error.map(sentence),
        }
    }
}

/// One desired value that the device has not reported yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The value.
    pub value: Value,
    /// Grows with every change of this key.
    pub version: u64,
}

/// Drops what memory holds of a deleted device; its rows go with the device's row.
pub fn forget(app: &AppState, device: DeviceId) {
    app.control.twins.forget(device);
}
