//! Messages between the server and apps: the socket `/ws` and the event streams. Not the REST bodies.
//!
//! Times are ISO texts here, because the app contract has them so. `data` is generic: the server passes whatever
//! serialises to an object, a client decodes it into [`serde_json::Value`].

use alloc::{string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A message from the server to an app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage<D = Value> {
    /// The connection is open and authenticated.
    Connected {
        /// A sentence for people.
        message: String,
        /// Server time, ISO.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timestamp: Option<String>,
    },
    /// The answer to a ping.
    Pong {
        /// Server time, ISO.
        timestamp: String,
    },
    /// The channels that now reach this connection.
    Subscribed {
        /// Channel names.
        channels: Vec<String>,
    },
    /// A message of the app was refused.
    Error {
        /// One sentence for people.
        message: String,
        /// A stable code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// New values of a device.
    TelemetryUpdate {
        /// The device.
        device_id: String,
        /// Time of the values, ISO.
        timestamp: String,
        /// Key → value of what changed.
        data: D,
    },
    /// A device came or went.
    StatusUpdate {
        /// The device.
        device_id: String,
        /// Its presence.
        status: Presence,
        /// When, ISO.
        timestamp: String,
    },
    /// A widget was added or changed.
    WidgetUpdate {
        /// The dashboard that holds it.
        dashboard_id: String,
        /// The widget as the REST interface shows it.
        widget: D,
        /// When, ISO.
        timestamp: String,
    },
    /// A widget was deleted.
    WidgetDeleted {
        /// The widget.
        widget_id: String,
        /// The dashboard that held it.
        dashboard_id: String,
        /// When, ISO.
        timestamp: String,
    },
    /// A device was added to the account.
    DeviceAdded {
        /// The device.
        device_id: String,
        /// The device as the REST interface shows it, without its token.
        data: D,
        /// When, ISO.
        timestamp: String,
    },
    /// A device was removed from the account.
    DeviceRemoved {
        /// The device.
        device_id: String,
        /// `{"id": …}`
        data: D,
        /// When, ISO.
        timestamp: String,
    },
    /// Something the person should know.
    Notification {
        /// What.
        notification: Notification,
    },
    /// A command went to a device.
    ControlCommand {
        /// The device.
        device_id: String,
        /// Name of the command.
        command: String,
        /// Its parameters.
        params: D,
        /// When, ISO.
        timestamp: String,
    },
    /// The loop between desired and reported state moved.
    DesiredUpdate {
        /// The device.
        device_id: String,
        /// The state's key.
        key: String,
        /// The desired value.
        value: D,
        /// The desired version.
        version: u64,
        /// The newest version that the device has reported; 0 when none.
        reported_version: u64,
        /// Where the loop stands.
        state: DesiredProgress,
        /// Why the device refused it, in one sentence; absent unless it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A rollout moved: its state, or how many of its devices stand where. At most a few per second and rollout, to its owner.
    Rollout {
        /// The rollout.
        rollout_id: String,
        /// The rollout as the REST interface shows it.
        rollout: D,
        /// When, ISO.
        timestamp: String,
    },
    /// A device's way to an image moved. To everybody who may see the device.
    Update {
        /// The device.
        device_id: String,
        /// The update as the REST interface shows it.
        update: D,
        /// When, ISO.
        timestamp: String,
    },
    /// A command moved.
    CommandUpdate {
        /// The device.
        device_id: String,
        /// The command.
        command_id: String,
        /// Where it stands.
        state: CommandProgress,
        /// What it returned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<D>,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// When, ISO.
        timestamp: String,
    },
}

/// Whether a device is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Heard of within its expected interval.
    Online,
    /// Not heard of for too long.
    Offline,
}

/// Where a desired value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DesiredProgress {
    /// Stored; the device has not reported it yet.
    Pending,
    /// The device reported this version or a newer one.
    Done,
    /// The device did not report in time.
    Expired,
    /// The device said that it will not apply it.
    Refused,
}

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandProgress {
    /// Stored, not yet handed to the device.
    Pending,
    /// Handed to the device.
    Sent,
    /// The device did it.
    Done,
    /// The device could not do it.
    Failed,
    /// Nobody answered in time.
    Expired,
    /// A person took it back.
    Cancelled,
}

/// Something the person should know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Id of the notification.
    pub id: String,
    /// Headline.
    pub title: String,
    /// The text.
    pub message: String,
    /// Severity.
    #[serde(rename = "type")]
    pub kind: Severity,
    /// Anything a program may want to know; older senders put text here.
    #[serde(default)]
    pub details: Option<Value>,
    /// Time of day for display, `hh:mm AM`.
    pub time: String,
    /// When, ISO.
    pub timestamp: String,
    /// The device concerned.
    #[serde(default)]
    pub device_id: Option<String>,
    /// The widget concerned.
    #[serde(default)]
    pub widget_id: Option<String>,
}

/// How urgent a notification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// May need attention.
    Warning,
    /// Something went well.
    Success,
    /// Something failed.
    Error,
}

/// A message from an app to the server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// Keeps the connection alive and asks for a pong.
    Ping,
    /// Chooses what to hear.
    Subscribe {
        /// Channel names.
        channels: Vec<String>,
    },
    /// Authenticates a connection that was opened without a token; must be the first message then.
    Auth {
        /// The access token.
        token: String,
    },
}

impl fmt::Debug for ClientMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientMessage::Ping => f.write_str("Ping"),
            ClientMessage::Subscribe { channels } => f
                .debug_struct("Subscribe")
                .field("channels", channels)
                .finish(),
            ClientMessage::Auth { .. } => f.write_str("Auth(…)"),
        }
    }
}
