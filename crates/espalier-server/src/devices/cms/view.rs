//! A device in the old shape: the 24 fields that clients of the old system read.

use super::legacy::{self, Legacy};
use super::said::Said;
use crate::clock::iso;
use crate::devices::Device;
use crate::error::ApiResult;
use crate::{AppState, telemetry};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// A device in the old shape.
#[derive(Debug, Serialize, ToSchema)]
pub struct LegacyDevice {
    /// The device's 24-digit id; null for a board that nobody has claimed.
    pub id: Option<String>,
    /// The id that the board has compiled in.
    pub device_id: String,
    /// What the board calls itself.
    pub device_name: Option<String>,
    /// What its person does.
    pub occupation: Option<String>,
    /// Its type.
    pub device_type: Option<String>,
    /// The network it is in.
    pub wifi_ssid: Option<String>,
    /// What it wants to be shown.
    #[schema(value_type = Object)]
    pub preferences: Value,
    /// What people call it.
    pub nickname: Option<String>,
    /// It was not unlinked.
    pub is_active: bool,
    /// It is there.
    pub is_connected: bool,
    /// When it was last heard of (RFC 3339, UTC).
    pub last_seen: Option<String>,
    /// When the device was created.
    pub created_at: Option<String>,
    /// When its profile was changed last.
    pub updated_at: Option<String>,
    /// Whether content of its own is shown on it.
    pub custom_content_enabled: bool,
    /// The newest temperature; null when none was measured.
    #[schema(value_type = Option<f64>)]
    pub temperature: Value,
    /// The newest humidity.
    #[schema(value_type = Option<f64>)]
    pub humidity: Value,
    /// Whether it saw motion.
    #[schema(value_type = Option<bool>)]
    pub motion_detected: Value,
    /// Whether it sleeps.
    #[schema(value_type = Option<bool>)]
    pub sleep_mode: Value,
    /// When anything was measured last.
    pub sensor_last_update: Option<String>,
    /// The version of its firmware.
    pub firmware_version: Option<String>,
    /// Seconds since it started.
    #[schema(value_type = Option<u64>)]
    pub uptime_seconds: Value,
    /// Free heap, bytes.
    #[schema(value_type = Option<u32>)]
    pub free_heap: Value,
    /// Wi-Fi signal strength, dBm.
    #[schema(value_type = Option<i32>)]
    pub wifi_rssi: Value,
    /// The same as `is_connected`.
    pub is_online: bool,
}

/// The name under which an old board knows a device.
pub fn legacy_id(device: &Device, legacy: Option<&Legacy>) -> String {
    let alias = || device.aliases.first().map(ToString::to_string);
    let known = legacy.map(|legacy| legacy.legacy_id.to_string());
    known
        .or_else(alias)
        .unwrap_or_else(|| device.oid.to_string())
}

fn preferences(legacy: Option<&Legacy>) -> Value {
    let text = legacy.and_then(|legacy| legacy.profile.preferences.as_deref());
    let value = text.and_then(|text| serde_json::from_str(text).ok());
    value.unwrap_or_else(|| json!({}))
}

impl LegacyDevice {
    /// A claimed device with its newest values.
    ///
    /// # Errors
    /// Fails when the telemetry store does.
    pub async fn of(app: &AppState, device: &Device) -> ApiResult<Self> {
        let legacy = legacy::of(app, device.id);
        let legacy = legacy.as_deref();
        let (values, newest) = telemetry::latest(app, device).await?;
        let profile = legacy
            .map(|legacy| legacy.profile.clone())
            .unwrap_or_default();
        let facts = device.facts.as_deref();
        let open = legacy.is_none_or(|legacy| legacy.open);
        Ok(Self {
            id: Some(device.oid.to_string()),
            device_id: legacy_id(device, legacy),
            device_name: Some(profile.device_name.unwrap_or_else(|| device.name.clone())),
            occupation: profile.occupation,
            device_type: device.kind.as_deref().map(str::to_owned),
            wifi_ssid: profile.wifi_ssid,
            preferences: preferences(legacy),
            nickname: Some(device.name.clone()),
            is_active: open || device.is_online(),
            is_connected: device.is_online(),
            last_seen: device.last_active().map(iso),
            created_at: Some(iso(device.created_at)),
            updated_at: Some(iso(
                legacy.map_or(device.created_at, |legacy| legacy.updated_at)
            )),
            custom_content_enabled: profile.custom_content_enabled,
            sensor_last_update: newest.map(iso),
            firmware_version: facts.and_then(|facts| facts.firmware_version.clone()),
            is_online: device.is_online(),
            ..Self::empty(&values)
        })
    }

    /// A board that nobody has claimed: what it said in this request, and nothing else.
    pub fn of_stranger(id: &str, said: Said, sensors: &Map<String, Value>) -> Self {
        let uptime = said.uptime_s.map_or(Value::Null, |n| json!(n));
        Self {
            device_id: id.to_owned(),
            uptime_seconds: uptime,
            ..Self::empty(sensors)
        }
    }

    fn empty(values: &Map<String, Value>) -> Self {
        let value = |key: &str| values.get(key).cloned().unwrap_or(Value::Null);
        Self {
            id: None,
            device_id: String::new(),
            device_name: None,
            occupation: None,
            device_type: None,
            wifi_ssid: None,
            preferences: json!({}),
            nickname: None,
            is_active: true,
            is_connected: true,
            last_seen: None,
            created_at: None,
            updated_at: None,
            custom_content_enabled: false,
            temperature: value("temperature"),
            humidity: value("humidity"),
            motion_detected: value("motion_detected"),
            sleep_mode: value("sleep_mode"),
            sensor_last_update: None,
            firmware_version: None,
            uptime_seconds: value("uptime_seconds"),
            free_heap: value("free_heap"),
            wifi_rssi: value("wifi_rssi"),
            is_online: true,
        }
    }
}
