//! What boards should do: dashboards, widgets, desired and reported state, commands.

use crate::devices::Device;
use crate::{ApiError, AppState};
use espalier_db::Db;
use espalier_model::DeviceId;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// What this feature keeps in memory.
pub struct State {}

impl State {
    /// Loads what lives in memory.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(_db: &Db) -> Result<Self, espalier_db::Error> {
        Ok(Self {})
    }
}

/// The routes of this feature.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}

/// Starts the background work of this feature.
pub(crate) fn start(_app: &AppState) {}

/// One reported value: the value, and the desired version that it answers (0 when the device changed it by
/// itself or does not speak of versions).
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// The value.
    pub value: Value,
    /// The desired version that it answers, or 0.
    pub version: u64,
}

/// One desired value that the device has not reported yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The value.
    pub value: Value,
    /// Grows with every change of this key.
    pub version: u64,
}

/// A command that waits for its device.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingCommand {
    /// The id under which the device answers.
    pub id: String,
    /// What to do.
    pub name: String,
    /// With what.
    pub params: Value,
    /// When it is no longer wanted, milliseconds UTC.
    pub expires_at: i64,
}

/// Takes what a device reports of its controllable keys, from telemetry or the device socket, and closes the
/// loop: a desired value is done when the device reports its version, or (version 0) the same value.
///
/// # Errors
/// Fails when the database does.
pub async fn report(
    _app: &AppState,
    _device: &Arc<Device>,
    _reported: &BTreeMap<String, Reported>,
) -> Result<(), ApiError> {
    Ok(())
}

/// What the device should be and has not reported yet, by key.
pub fn pending(_app: &AppState, _device: DeviceId) -> BTreeMap<String, Desired> {
    BTreeMap::new()
}

/// The commands that wait for a device, oldest first.
///
/// # Errors
/// Fails when the database does.
pub async fn pending_commands(
    _app: &AppState,
    _device: DeviceId,
) -> Result<Vec<PendingCommand>, ApiError> {
    Ok(Vec::new())
}

/// Takes a device's answer to a command.
///
/// # Errors
/// 404 when the device has no such command, 409 when it is answered or expired.
pub async fn command_result(
    _app: &AppState,
    _device: &Arc<Device>,
    _id: &str,
    _result: Result<Value, String>,
) -> Result<(), ApiError> {
    Ok(())
}
