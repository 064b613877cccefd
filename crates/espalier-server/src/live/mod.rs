//! What is pushed: the app socket, server-sent events, the device socket, notifications.
//!
//! `hub` knows who watches and hands each event over once, `queue` bounds what a slow reader may hold up,
//! `signal` ends connections, `sweep` watches the clock for all of them, `frame` writes events as JSON. It decides nothing about devices or accounts:
//! who may see a device is asked of the device at the moment of each event.

mod admission;
mod app_socket;
mod device_http;
mod device_socket;
mod frame;
mod http;
mod hub;
mod notifications;
mod pace;
mod permitted;
mod queue;
mod replay;
mod signal;
mod sse;
mod store;
mod sweep;

use crate::control::{Desired, PendingCommand};
use crate::devices::Device;
use crate::{ApiError, AppState};
use espalier_model::{AccountId, DeviceId, Oid};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Where apps connect.
const APP_PATH: &str = "/ws";

/// Where devices connect.
const DEVICE_PATH: &str = "/ws/device";

/// The largest frame that a client may send, bytes.
const MAX_FRAME: usize = espalier_wire::limits::MAX_FRAME_BYTES;

/// Who watches, and which devices are connected.
#[derive(Default)]
pub struct State {
    hub: hub::Hub,
    links: device_socket::Links,
    tickets: sse::Tickets,
}

impl State {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many apps watch: sockets and event streams.
    pub fn watchers(&self) -> usize {
        self.hub.len()
    }

    /// How many devices are connected by socket.
    pub fn connected_devices(&self) -> usize {
        self.links.len()
    }

    /// How many apps and devices were cut off since the start because they did not read what was sent to them.
    pub fn cut_off(&self) -> [(&'static str, u64); 2] {
        [
            ("app", self.hub.cut_off()),
            ("device", self.links.cut_off()),
        ]
    }

    /// Tells whether a device is connected by socket.
    pub fn is_connected(&self, device: DeviceId) -> bool {
        self.links.get(device).is_some()
    }
}

/// The routes of this feature.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(http::app))
        .routes(routes!(http::device))
        .routes(routes!(device_http::heartbeat))
        .routes(routes!(sse::ticket))
        .routes(routes!(sse::events))
        .routes(routes!(sse::notifications))
        .routes(routes!(notifications::list, notifications::delete_all))
        .routes(routes!(notifications::health))
        .routes(routes!(notifications::mark_all))
        .routes(routes!(notifications::mark))
        .routes(routes!(notifications::delete))
}

/// Starts the background work of this feature.
pub(crate) fn start(app: &AppState) {
    sweep::start(app);
}

/// Looks after every connection once: ends those that are dead or no longer permitted.
pub async fn tick(app: &AppState) {
    sweep::tick(app).await;
}

/// Ends a device's connection when its token was renewed or the device is gone; call it after either.
pub fn recheck_device(app: &AppState, device: DeviceId) {
    device_socket::recheck(app, device);
}

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
    /// A desired value was set, reported or expired; `state` is `pending`, `done`, `expired` or `refused`.
    Desired {
        device: Arc<Device>,
        key: String,
        value: Value,
        version: u64,
        reported_version: u64,
        state: &'static str,
        /// Why the device refused it.
        reason: Option<String>,
    },
    /// A rollout moved; `rollout` is its JSON on the wire.
    Rollout { account: AccountId, rollout: Value },
    /// A device's way to an image moved; `update` is its JSON on the wire.
    Update { device: Arc<Device>, update: Value },
    /// A command was sent, delivered, answered or expired; `command` is its JSON on the wire.
    Command { device: Arc<Device>, command: Value },
}

/// Tells everybody who watches. It never waits and never fails: who reads too slowly loses telemetry first.
pub fn publish(app: &AppState, event: Event) {
    hub::publish(app, &event);
    if let Event::DeviceRemoved { device } = &event {
        device_socket::recheck(app, device.id);
    }
}

/// Pushes desired values to the device's socket, when it has one. Returns whether it was handed over.
pub fn push_desired(app: &AppState, device: DeviceId, desired: &BTreeMap<String, Desired>) -> bool {
    device_socket::push_desired(app, device, desired)
}

/// Pushes a command to the device's socket, when it has one. Returns whether it was handed over.
pub fn push_command(app: &AppState, device: DeviceId, command: &PendingCommand) -> bool {
    device_socket::push_command(app, device, command)
}

/// Tells a device's socket, when it has one, that there may be an image for it; it then asks as always. Returns whether
/// it was handed over.
pub fn nudge(app: &AppState, device: DeviceId) -> bool {
    device_socket::nudge(app, device)
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
    app: &AppState,
    account: AccountId,
    new: NewNotification,
) -> Result<(), ApiError> {
    notifications::notify(app, account, new).await
}
