//! What a claimed old board says goes where it belongs: facts, profile, measured values, presence.
//!
//! A sketch whose sensor fails sends the made-up values 22.5/50 or 23.5/45; nothing tells them from real ones, so they are kept.

use super::legacy;
use super::said::Said;
use crate::devices::{Device, Facts, facts};
use crate::error::ApiResult;
use crate::telemetry::{self, Sample};
use crate::{ApiError, AppState, ota};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// How often an old board counts as expected when it says nothing of it, seconds: it is offline after 300, as it always was.
const INTERVAL_S: u32 = 100;

/// Takes over what a board says of itself.
///
/// # Errors
/// Fails when the database does.
pub async fn introduce(app: &AppState, device: &Device, said: &Said) -> ApiResult<()> {
    let known = device.facts.as_deref().cloned().unwrap_or_default();
    let version = said.version.clone().or(known.firmware_version.clone());
    // Another version is another image; what was known of the old one holds no longer.
    let same = version == known.firmware_version;
    let facts = Facts {
        firmware_sha256: known.firmware_sha256.filter(|_| same),
        firmware_version: version,
        expected_interval_seconds: known.expected_interval_seconds.or(Some(INTERVAL_S)),
        ..known
    };
    facts::introduce(app, device.id, facts).await
}

/// Takes over what a claimed board says: facts, its network and capabilities, and what it measured.
///
/// # Errors
/// Fails when a store does, with 503 when trying again helps.
pub async fn take(
    app: &AppState,
    device: &Arc<Device>,
    id: &str,
    said: Said,
    sensors: Map<String, Value>,
) -> ApiResult<()> {
    introduce(app, device, &said).await?;
    tell_fleet(app, device, &said);
    describe(app, device, id, &said).await?;
    let mut data = vitals(&said);
    data.extend(sensors);
    let sample = Sample { ts: None, data };
    telemetry::ingest(app, device, vec![sample]).await?;
    Ok(())
}

/// Tells what runs on the board. The type that counts for firmware is the one of the sign of life; a registration names another.
fn tell_fleet(app: &AppState, device: &Arc<Device>, said: &Said) {
    ota::fleet::heard(app, device, |running| {
        running.version.clone_from(&said.version);
        running.uptime_s = said.uptime_s;
        running.heap_free = said.free_heap;
        running.rssi = said.rssi;
        let alive = said.uptime_s.is_some();
        running.device_type = said.device_type.clone().filter(|_| alive);
    });
}

async fn describe(app: &AppState, device: &Device, id: &str, said: &Said) -> ApiResult<()> {
    let known = legacy::of(app, device.id).map(|legacy| legacy.profile.clone());
    let known = known.unwrap_or_default();
    let (wifi_ssid, capabilities) = (said.wifi_ssid.clone(), said.capabilities.clone());
    let news = (wifi_ssid.is_some() && wifi_ssid != known.wifi_ssid)
        || (capabilities.is_some() && capabilities != known.capabilities);
    if !news {
        return Ok(());
    }
    legacy::change(app, device.id, id, move |legacy| {
        let profile = &mut legacy.profile;
        profile.wifi_ssid = wifi_ssid.or(profile.wifi_ssid.take());
        profile.capabilities = capabilities.or(profile.capabilities.take());
    })
    .await?;
    Ok(())
}

/// The vital signs as series.
fn vitals(said: &Said) -> Map<String, Value> {
    let values = [
        ("uptime_seconds", said.uptime_s.map(|n| json!(n))),
        ("free_heap", said.free_heap.map(|n| json!(n))),
        ("wifi_rssi", said.rssi.map(|n| json!(n))),
        ("current_mode", said.mode.as_ref().map(|text| json!(text))),
        ("dashboard_loaded", said.dashboard_loaded.map(|b| json!(b))),
        ("image_loaded", said.image_loaded.map(|b| json!(b))),
    ];
    let values = values.into_iter();
    values
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

/// What sensors a body speaks of, in the order of the contract.
///
/// # Errors
/// 400 for a value of another kind. `null` is what a failed sensor sends, and was not measured.
pub fn sensors(body: &Map<String, Value>) -> ApiResult<Map<String, Value>> {
    let mut measured = Map::new();
    for key in ["temperature", "humidity", "motion_detected", "sleep_mode"] {
        let flag = matches!(key, "motion_detected" | "sleep_mode");
        let value = match body.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::Number(number)) if !flag => Value::Number(number.clone()),
            Some(Value::Bool(value)) if flag => Value::Bool(*value),
            Some(Value::Number(number)) if number.as_u64().is_some_and(|n| n < 2) => {
                Value::Bool(number.as_u64() == Some(1))
            }
            Some(_) => {
                let wanted = if flag { "true or false" } else { "a number" };
                let sentence =
                    format!("{key} must be {wanted}; leave it out when it was not measured.");
                return Err(ApiError::bad_request("invalid", sentence));
            }
        };
        measured.insert(key.to_owned(), value);
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: Value) -> Result<Value, String> {
        let body = body.as_object().cloned().unwrap_or_default();
        sensors(&body)
            .map(Value::Object)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn sensors_are_numbers_and_flags_and_what_failed_is_left_out() {
        let body = json!({"temperature": 21.5, "humidity": null, "motion_detected": 1, "sleep_mode": false, "x": 1});
        let measured = json!({"temperature": 21.5, "motion_detected": true, "sleep_mode": false});
        assert_eq!(of(body), Ok(measured));
        assert!(
            of(json!({"temperature": "warm"}))
                .unwrap_err()
                .contains("a number")
        );
        assert!(
            of(json!({"sleep_mode": 7}))
                .unwrap_err()
                .contains("true or false")
        );
    }
}
