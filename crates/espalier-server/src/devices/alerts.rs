//! Values that a person should hear of: a battery that runs low, a board that runs hot.
//!
//! One notification when a value crosses its limit, none while it stays there, and at most one per device,
//! kind and hour however it swings. Rules of people's own are a matter of automation, not of this file.

use super::Device;
use crate::AppState;
use crate::live::NewNotification;
use serde_json::{Map, Value, json};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64};

/// The shortest time between two notifications of one kind about one device, milliseconds: an hour.
pub const COOLDOWN_MS: i64 = 60 * 60 * 1000;

/// Whether one kind of alert was raised for one device.
#[derive(Default)]
pub struct Alert {
    raised: AtomicBool,
    /// When it was raised last, milliseconds UTC; 0 for never.
    at: AtomicI64,
}

/// One kind of alert. The limits are those that existing installations know; a value must come back past
/// `normal` before the alert can be raised again.
struct Kind {
    key: &'static str,
    event: &'static str,
    title: &'static str,
    unit: &'static str,
    too: fn(f64) -> bool,
    normal: fn(f64) -> bool,
}

const KINDS: [Kind; 2] = [
    Kind {
        key: "battery",
        event: "low_battery",
        title: "Low battery",
        unit: " %",
        too: |value| value < 10.0,
        normal: |value| value >= 15.0,
    },
    Kind {
        key: "temperature",
        event: "high_temperature",
        title: "High temperature",
        unit: " °C",
        too: |value| value > 70.0,
        normal: |value| value <= 65.0,
    },
];

/// Looks at what a device has just measured and tells its owner when a limit is crossed. It never waits.
pub fn observe(app: &AppState, device: &Device, data: &Map<String, Value>) {
    for (kind, alert) in KINDS.iter().zip(&device.presence.alerts) {
        let Some(value) = data.get(kind.key).and_then(Value::as_f64) else {
            continue;
        };
        if (kind.normal)(value) {
            alert.raised.store(false, Relaxed);
        } else if (kind.too)(value) && !alert.raised.load(Relaxed) {
            raise(app, device, kind, alert, value);
        }
    }
}

fn raise(app: &AppState, device: &Device, kind: &Kind, alert: &Alert, value: f64) {
    let now = app.clock.now_ms();
    let last = alert.at.load(Relaxed);
    if last != 0 && now - last < COOLDOWN_MS {
        return;
    }
    // Of two reports at once, one raises it.
    if alert.raised.swap(true, Relaxed) {
        return;
    }
    alert.at.store(now, Relaxed);
    let details = json!({ "key": kind.key, "value": value });
    app.devices.journal.add(device, now, kind.event, &details);
    let notification = NewNotification {
        title: kind.title.to_owned(),
        message: format!("{}: {} is {value}{}.", device.name, kind.key, kind.unit),
        kind: "warning",
        details,
        device: Some(device.oid),
        widget: None,
    };
    app.devices.tracker.send(device.owner, notification);
}
