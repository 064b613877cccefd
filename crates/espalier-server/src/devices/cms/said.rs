//! What an old board says of itself, brought within limits: a board cannot be asked to choose another word. Pure.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

/// Characters of a name, an occupation and a nickname.
const MAX_WORDS: usize = 100;
/// Characters of a type and a version.
const MAX_WORD: usize = 50;
/// Characters of a network's name; the standard has 32 bytes.
const MAX_SSID: usize = 32;
/// Characters of the list of capabilities.
const MAX_CAPABILITIES: usize = 200;
/// Bytes of the preferences as JSON.
const MAX_PREFERENCES: usize = 2048;

/// What was said; what is missing, empty or of another kind was not said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    pub name: Option<String>,
    pub occupation: Option<String>,
    pub nickname: Option<String>,
    pub device_type: Option<String>,
    pub wifi_ssid: Option<String>,
    pub version: Option<String>,
    pub capabilities: Option<String>,
    /// A JSON object as text.
    pub preferences: Option<String>,
    pub uptime_s: Option<u64>,
    pub free_heap: Option<u32>,
    pub rssi: Option<i32>,
    pub mode: Option<String>,
    pub dashboard_loaded: Option<bool>,
    pub image_loaded: Option<bool>,
}

impl Said {
    /// Reads the body of a registration, a heartbeat or a sensor report.
    pub fn of(body: &Map<String, Value>) -> Self {
        let text = |key: &str, max| text(body.get(key), max);
        let number = |key: &str| body.get(key).and_then(Value::as_i64);
        let flag = |key: &str| body.get(key).and_then(Value::as_bool);
        let uptime = number("uptime").or_else(|| number("timestamp"));
        Self {
            name: text("device_name", MAX_WORDS),
            occupation: text("occupation", MAX_WORDS),
            nickname: text("nickname", MAX_WORDS),
            device_type: text("device_type", MAX_WORD),
            wifi_ssid: text("wifi_ssid", MAX_SSID),
            version: text("firmware_version", MAX_WORD).or_else(|| text("version", MAX_WORD)),
            capabilities: text("capabilities", MAX_CAPABILITIES),
            preferences: preferences(body.get("preferences")),
            uptime_s: uptime.and_then(|n| u64::try_from(n).ok()),
            free_heap: number("free_heap").and_then(|n| u32::try_from(n).ok()),
            rssi: number("wifi_rssi").and_then(|n| i32::try_from(n).ok()),
            mode: text("current_mode", MAX_WORD),
            dashboard_loaded: flag("dashboard_loaded"),
            image_loaded: flag("image_loaded"),
        }
    }

    /// Reads what a request without a body says: the type and version under which it asks for firmware.
    pub fn of_headers(headers: &HeaderMap) -> Self {
        let text = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.and_then(|value| clean(value, MAX_WORD))
        };
        Self {
            device_type: text("x-device-type"),
            version: text("x-device-version"),
            ..Self::default()
        }
    }

    /// Takes over what is newer.
    pub fn update(&mut self, newer: Self) {
        fn take<T>(old: &mut Option<T>, new: Option<T>) {
            if new.is_some() {
                *old = new;
            }
        }
        take(&mut self.name, newer.name);
        take(&mut self.occupation, newer.occupation);
        take(&mut self.nickname, newer.nickname);
        take(&mut self.device_type, newer.device_type);
        take(&mut self.wifi_ssid, newer.wifi_ssid);
        take(&mut self.version, newer.version);
        take(&mut self.capabilities, newer.capabilities);
        take(&mut self.preferences, newer.preferences);
        take(&mut self.uptime_s, newer.uptime_s);
        take(&mut self.free_heap, newer.free_heap);
        take(&mut self.rssi, newer.rssi);
        take(&mut self.mode, newer.mode);
        take(&mut self.dashboard_loaded, newer.dashboard_loaded);
        take(&mut self.image_loaded, newer.image_loaded);
    }
}

fn text(value: Option<&Value>, max: usize) -> Option<String> {
    clean(value?.as_str()?, max)
}

/// A text without control characters, trimmed and cut off; `None` when nothing is left.
fn clean(text: &str, max: usize) -> Option<String> {
    let kept = text.trim().chars().filter(|c| !c.is_control()).take(max);
    let kept = kept.collect::<String>().trim_end().to_owned();
    Some(kept).filter(|text| !text.is_empty())
}

fn preferences(value: Option<&Value>) -> Option<String> {
    let object = value.filter(|value| value.is_object())?;
    Some(object.to_string()).filter(|text| text.len() <= MAX_PREFERENCES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(body: Value) -> Said {
        Said::of(body.as_object().unwrap())
    }

    #[test]
    fn every_field_is_brought_within_its_limit() {
        let said = said(json!({
            "device_name": "ü".repeat(1000), "occupation": " \u{7} ", "device_type": 7, "wifi_ssid": "a\u{0}b",
            "preferences": {"jokes": ["x".repeat(5000)]}, "uptime": -1, "free_heap": 1e99, "wifi_rssi": "-60",
            "current_mode": null, "dashboard_loaded": "yes",
        }));
        let expected = Said {
            name: Some("ü".repeat(MAX_WORDS)),
            wifi_ssid: Some("ab".to_owned()),
            ..Said::default()
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn what_was_said_stays_until_something_newer_is() {
        let mut all = said(json!({"device_name": "Desk", "version": "2.4.0", "uptime": 30}));
        all.update(said(json!({"uptime": 60, "wifi_rssi": -61})));
        assert_eq!(
            (all.name.as_deref(), all.version.as_deref()),
            (Some("Desk"), Some("2.4.0"))
        );
        assert_eq!((all.uptime_s, all.rssi), (Some(60), Some(-61)));
    }
}
