//! Events as frames of the app socket and the event streams, written once however many read them.

use super::Event;
use crate::clock::iso;
use crate::devices::{Device, DeviceView};
use axum::extract::ws::Utf8Bytes;
use espalier_model::{AccountId, Oid};
use espalier_wire::app::{CommandProgress, DesiredProgress, Presence, ServerMessage};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A message as text.
pub(super) fn text<D: Serialize>(message: &ServerMessage<D>) -> Utf8Bytes {
    json_text(message)
}

/// Anything of ours as JSON text. Our messages hold string keys and finite numbers only, so that writing
/// them cannot fail; a fault here must still not take a connection down.
pub(super) fn json_text(value: &impl Serialize) -> Utf8Bytes {
    serde_json::to_string(value).map_or_else(
        |error| {
            tracing::error!(%error, "an event could not be written as JSON");
            Utf8Bytes::from_static(r#"{"type":"error","message":"an event could not be written"}"#)
        },
        Utf8Bytes::from,
    )
}

/// New values of a device.
pub(super) fn telemetry(oid: Oid, ts: i64, data: &Map<String, Value>) -> Utf8Bytes {
    text(&ServerMessage::TelemetryUpdate {
        device_id: oid.to_string(),
        timestamp: iso(ts),
        data,
    })
}

/// The frames of an event other than telemetry, oldest first; `now` is the time for those that carry none.
pub(super) fn control(event: &Event, now: i64) -> Vec<Utf8Bytes> {
    let timestamp = iso(now);
    match event {
        Event::Telemetry { device, ts, data } => vec![telemetry(device.oid, *ts, data)],
        Event::Status { device, online, at } => one(&ServerMessage::<Value>::StatusUpdate {
            device_id: device.oid.to_string(),
            status: if *online {
                Presence::Online
            } else {
                Presence::Offline
            },
            timestamp: iso(*at),
        }),
        Event::DeviceAdded { device } => vec![added(device, device.owner, now)],
        Event::DeviceRemoved { device } => one(&ServerMessage::DeviceRemoved {
            device_id: device.oid.to_string(),
            data: json!({ "id": device.oid }),
            timestamp,
        }),
        Event::Widget {
            dashboard, widget, ..
        } => one(&ServerMessage::WidgetUpdate {
            dashboard_id: dashboard.clone(),
            widget,
            timestamp,
        }),
        Event::WidgetDeleted {
            dashboard, widget, ..
        } => one(&ServerMessage::<Value>::WidgetDeleted {
            widget_id: widget.clone(),
            dashboard_id: dashboard.clone(),
            timestamp,
        }),
        Event::Desired {
            device,
            key,
            value,
            version,
            reported_version,
            state,
            reason,
        } => one(&ServerMessage::DesiredUpdate {
            device_id: device.oid.to_string(),
            key: key.clone(),
            value,
            version: *version,
            reported_version: *reported_version,
            state: match *state {
                "done" => DesiredProgress::Done,
                "expired" => DesiredProgress::Expired,
                "refused" => DesiredProgress::Refused,
                _ => DesiredProgress::Pending,
            },
            reason: reason.clone(),
        }),
        Event::Rollout { rollout, .. } => one(&ServerMessage::Rollout {
            rollout_id: rollout["id"].as_str().unwrap_or_default().to_owned(),
            rollout,
            timestamp,
        }),
        Event::Update { device, update } => one(&ServerMessage::Update {
            device_id: device.oid.to_string(),
            update,
            timestamp,
        }),
        Event::Command { device, command } => commands(device, command, &timestamp),
    }
}

/// A device that came in sight, as one account sees it.
pub(super) fn added(device: &Device, account: AccountId, now: i64) -> Utf8Bytes {
    text(&ServerMessage::DeviceAdded {
        device_id: device.oid.to_string(),
        data: DeviceView::of(device, account),
        timestamp: iso(now),
    })
}

fn one<D: Serialize>(message: &ServerMessage<D>) -> Vec<Utf8Bytes> {
    vec![text(message)]
}

/// A command that begins is told as `control_command`, as existing clients know it; every step of it as
/// `command_update`.
fn commands(device: &Device, command: &Value, timestamp: &str) -> Vec<Utf8Bytes> {
    let field = |names: [&str; 2]| {
        names
            .iter()
            .find_map(|name| command[name].as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let state = match field(["state", "status"]).as_str() {
        "sent" | "delivered" => CommandProgress::Sent,
        "cancelled" => CommandProgress::Cancelled,
        "done" => CommandProgress::Done,
        "failed" => CommandProgress::Failed,
        "expired" => CommandProgress::Expired,
        _ => CommandProgress::Pending,
    };
    let mut frames = Vec::with_capacity(2);
    if state == CommandProgress::Pending {
        frames.push(text(&ServerMessage::ControlCommand {
            device_id: device.oid.to_string(),
            command: field(["name", "command"]),
            params: &command["params"],
            timestamp: timestamp.to_owned(),
        }));
    }
    frames.push(text(&ServerMessage::CommandUpdate {
        device_id: device.oid.to_string(),
        command_id: field(["id", "_id"]),
        state,
        result: Some(&command["result"]).filter(|result| !result.is_null()),
        error: command["error"].as_str().map(str::to_owned),
        timestamp: timestamp.to_owned(),
    }));
    frames
}
