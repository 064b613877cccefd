//! Desired and reported state over HTTP, for apps without widgets.

use super::logic;
use super::memory::Keys;
use crate::clock::iso;
use crate::devices::{self, Device};
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query};
use crate::identity::{Caller, Principal};
use crate::{ApiError, AppState};
use axum::extract::{Path, State};
use espalier_model::{Action, Twin};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// The longest that a desired value may wait for its device, seconds (a year).
const MAX_EXPIRY_S: u32 = 366 * 24 * 3600;

/// What one key of a device should be and what it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyState {
    /// What it should be; null when nobody has set it.
    pub desired: Option<Value>,
    /// The version of `desired`; grows with every change.
    pub version: u64,
    /// What the device says it is.
    pub reported: Option<Value>,
    /// The version that the device named with it; 0 when it changed by itself or does not speak of versions.
    pub reported_version: u64,
    /// `pending`, `done`, `offline` (pending, and the device is not connected), `expired` or `refused`; null when
    /// nothing was ever desired.
    pub status: Option<&'static str>,
    /// Why the device will not apply it, in its own words; null unless it refused.
    pub reason: Option<String>,
    /// Since when it is pending.
    pub pending_since: Option<String>,
    /// Who set it.
    pub set_by: Option<String>,
    /// When it was set.
    pub set_at: Option<String>,
    /// When it is no longer wanted.
    pub expires_at: Option<String>,
    /// When the device reported last.
    pub reported_at: Option<String>,
}

impl KeyState {
    /// The state as shown, of a device that is there or not.
    pub fn new(twin: &Twin, online: bool, now: i64) -> Self {
        let status = match twin.progress(now).as_str() {
            Some("pending") if !online => Some("offline"),
            other => other,
        };
        let waiting = matches!(status, Some("pending" | "offline"));
        Self {
            desired: twin.desired.clone(),
            version: twin.version,
            reported: twin.reported.clone(),
            reported_version: twin.reported_version,
            status,
            reason: twin.refused.clone().filter(|_| status == Some("refused")),
            pending_since: twin.set_at.filter(|_| waiting).map(iso),
            set_by: twin.set_by.clone(),
            set_at: twin.set_at.map(iso),
            expires_at: twin.expires_at.map(iso),
            reported_at: twin.reported_at.map(iso),
        }
    }
}

/// The desired and reported state of a device.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceState {
    /// The device.
    pub device_id: String,
    /// Key → what it should be and what it is.
    pub state: BTreeMap<String, KeyState>,
    /// When the device reported any of them last.
    pub last_reported_at: Option<String>,
    /// The server's time.
    pub timestamp: String,
}

impl DeviceState {
    fn new(app: &AppState, device: &Device, keys: &Keys) -> Self {
        let (now, online) = (app.clock.now_ms(), device.is_online());
        let view = |(key, twin): (&String, &Twin)| (key.clone(), KeyState::new(twin, online, now));
        Self {
            device_id: device.oid.to_string(),
            state: keys.iter().map(view).collect(),
            last_reported_at: keys.values().filter_map(|t| t.reported_at).max().map(iso),
            timestamp: iso(now),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SetQuery {
    /// Seconds after which the values are no longer wanted; without it they wait for the device for ever.
    #[param(minimum = 1, maximum = 31_622_400)]
    expires_in_seconds: Option<u32>,
}

/// Sets what a device should be.
///
/// Each key gets a new version. A connected device hears of it at once; any other at its next poll. Values
/// are pending until the device reports them.
#[utoipa::path(
    put, path = "/devices/{id}/desired", tag = "control",
    params(("id" = String, Path, description = "The device's id or alias"), SetQuery),
    request_body(content = BTreeMap<String, Value>, description = "Key → value; numbers, booleans, texts and small objects", example = json!({"v0": 1, "target": 21.5})),
    responses(
        (status = 200, description = "Stored; the state of these keys", body = DeviceState),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "You may see the device, but not control it", body = Problem),
        (status = 404, description = "No such device", body = Problem),
        (status = 422, description = "A key or value is wrong; nothing is set", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn set_desired(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<SetQuery>,
    Json(values): Json<BTreeMap<String, Value>>,
) -> ApiResult<Json<DeviceState>> {
    let by = caller.account.to_string();
    let device = devices::require(&app, &Principal::Account(caller), &id, Action::Control)?;
    let expires_at = match query.expires_in_seconds {
        Some(s) if (1..=MAX_EXPIRY_S).contains(&s) => {
            Some(app.clock.now_ms() + i64::from(s) * 1000)
        }
        Some(_) => {
            let why = format!("must be between 1 and {MAX_EXPIRY_S}");
            return Err(ApiError::invalid(&["query", "expires_in_seconds"], why));
        }
        None => None,
    };
    let set = logic::set_desired(&app, &device, &by, values, expires_at).await?;
    let mut keys = app.control.twins.keys(device.id);
    keys.retain(|key, _| set.contains_key(key));
    Ok(Json(DeviceState::new(&app, &device, &keys)))
}

/// Shows what a device should be and what it is.
#[utoipa::path(
    get, path = "/devices/{id}/state", tag = "control",
    params(("id" = String, Path, description = "The device's id or alias")),
    responses(
        (status = 200, description = "Every key that was ever set or reported as state", body = DeviceState),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "No such device", body = Problem),
    ),
    security(("bearer" = []), ("device" = []))
)]
pub async fn get_state(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> ApiResult<Json<DeviceState>> {
    let device = devices::require(&app, &principal, &id, Action::Read)?;
    let keys = app.control.twins.keys(device.id);
    Ok(Json(DeviceState::new(&app, &device, &keys)))
}
