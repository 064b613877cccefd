//! What is pushed: the app socket, server-sent events, the device socket, notifications.

use crate::control::{Desired, PendingCommand};
use crate::devices::Device;
use crate::{ApiError, AppState};
use espalier_model::{AccountId, DeviceId, Oid};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// What this feature keeps in memory.
#[derive(Default)]
pub struct State {}

impl State {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The routes of this feature.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}

/// Starts the background work of this feature.
pub(crate) fn start(_app: &AppState) {}

/// Something that people or boards who watch should know at once. Events about a device reach its owner and
/// those it is shared with, and nobody else.
#[derive(Debug, Clone)]
pub enum Event {
    /// New values; `data` holds the keys that came.
    Telemetry {
        device: Arc<Device>,
        ts: i64,
        data: Arc<Map<String, Value>>,
    },
    /// The device came online or went offline.
    Status {
        device: Arc<Device>,
        online: bool,
        at: i64,
    },
    /// A device was created.
    DeviceAdded { device: Arc<Device> },
    /// A device was deleted.
    DeviceRemoved { device: Arc<Device> },
    /// A widget was created or changed; `widget` is its JSON on the wire.
    Widget {
        account: AccountId,
        dashboard: String,
        widget: Value,
    },
    /// A widget was deleted.
    WidgetDeleted {
        account: AccountId,
        dashboard: String,
        widget: String,
    },
    /// A desired value was set, reported or expired; `state` is `pending`, `done` or `expired`.
    Desired {
        device: Arc<Device>,
        key: String,
        value: Value,
        version: u64,
        reported_version: u64,
        state: &'static str,
    },
    /// A command was sent, delivered, answered or expired; `command` is its JSON on the wire.
    Command { device: Arc<Device>, command: Value },
}

/// Tells everybody who watches. It never waits and never fails: who reads too slowly loses telemetry first.
pub fn publish(_app: &AppState, _event: Event) {}

/// Pushes desired values to the device's socket, when it has one. Returns whether it was handed over.
pub fn push_desired(
    _app: &AppState,
    _device: DeviceId,
    _desired: &BTreeMap<String, Desired>,
) -> bool {
    false
}

/// Pushes a command to the device's socket, when it has one. Returns whether it was handed over.
pub fn push_command(_app: &AppState, _device: DeviceId, _command: &PendingCommand) -> bool {
    false
}

/// What a notification says.
#[derive(Debug, Clone)]
pub struct NewNotification {
    /// A few words.
    pub title: String,
    /// A sentence.
    pub message: String,
    /// `info`, `warning`, `success` or `error`.
    pub kind: &'static str,
    /// Anything a program may want to know.
    pub details: Value,
    /// The device it is about.
    pub device: Option<Oid>,
    /// The widget it is about.
    pub widget: Option<String>,
}

/// Puts a notification into an account's inbox and pushes it to everything that account has open.
///
/// # Errors
/// Fails when the database does.
pub async fn notify(
    _app: &AppState,
    _account: AccountId,
    _new: NewNotification,
) -> Result<(), ApiError> {
    Ok(())
}
