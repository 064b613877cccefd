//! Dashboards and widgets as clients see them.

use super::config::{Kind, data_key};
use super::store::{Dashboard, Widget};
use crate::clock::iso;
use crate::control::state::KeyState;
use crate::devices::Device;
use crate::{ApiError, AppState, telemetry};
use espalier_model::{AccountId, Action, DeviceId, Twin};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use utoipa::ToSchema;

/// A dashboard.
#[derive(Debug, Serialize, ToSchema)]
pub struct DashboardView {
    /// The id.
    #[serde(rename = "_id")]
    pub legacy_id: String,
    /// The same id.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether a read-only link exists.
    pub shared: bool,
    /// When it was made.
    pub created_at: String,
}

impl From<Dashboard> for DashboardView {
    fn from(d: Dashboard) -> Self {
        Self {
            legacy_id: d.id.clone(),
            id: d.id,
            user_id: d.account.to_string(),
            name: d.name,
            description: d.description,
            shared: d.shared,
            created_at: iso(d.created_at),
        }
    }
}

/// A dashboard with its widgets.
#[derive(Debug, Serialize, ToSchema)]
pub struct DashboardWithWidgets {
    /// The dashboard.
    #[serde(flatten)]
    pub dashboard: DashboardView,
    /// Its widgets in their order.
    pub widgets: Vec<WidgetView>,
}

/// A widget with the current value of its key.
#[derive(Debug, Serialize, ToSchema)]
pub struct WidgetView {
    /// The id.
    #[serde(rename = "_id")]
    pub legacy_id: String,
    /// The same id.
    pub id: String,
    /// The dashboard that holds it.
    pub dashboard_id: String,
    /// The device whose key it shows or sets.
    pub device_id: Option<String>,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What it is called.
    pub label: Option<String>,
    /// The current value of its key, as the device reports it; its own value when it has no key.
    pub value: Option<Value>,
    /// How it shows and what it sets.
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
    /// Its place in the order.
    pub order: i64,
    /// Its place from the left.
    pub x: Option<i64>,
    /// Its place from the top.
    pub y: Option<i64>,
    /// How wide it is.
    pub width: Option<i64>,
    /// How high it is.
    pub height: Option<i64>,
    /// What its key should be; null when nobody has set it.
    pub desired: Option<Value>,
    /// What its key is.
    pub reported: Option<Value>,
    /// The version of `desired`; 0 when nobody has set it.
    pub version: u64,
    /// `pending`, `done`, `offline`, `expired` or `refused`; null when nothing was ever desired.
    pub state: Option<&'static str>,
    /// Why the device will not apply it, in its own words; null unless it refused.
    pub reason: Option<String>,
    /// Since when it is pending.
    pub pending_since: Option<String>,
    /// The next scheduled change; always null while there are no schedules.
    pub next_schedule: Option<String>,
    /// When it was made.
    pub created_at: String,
}

/// Tells whether an account may do `action` with a device, whoever asks on its behalf.
pub fn account_may(device: &Device, account: AccountId, action: Action) -> bool {
    let mut shares = device.shares.iter();
    device.owner == account || shares.any(|(with, role)| *with == account && role.permits(action))
}

/// What the devices of some widgets say now, read once per device.
pub struct Values(HashMap<DeviceId, (Arc<Device>, Map<String, Value>)>);

impl Values {
    /// Reads the latest values of the devices that `visible` lets through.
    ///
    /// # Errors
    /// Fails when the telemetry store does.
    pub async fn read(
        app: &AppState,
        widgets: &[Widget],
        visible: impl Fn(&Device) -> bool,
    ) -> Result<Self, ApiError> {
        let mut found = HashMap::new();
        for id in widgets.iter().filter_map(|w| w.device) {
            let Some(device) = app.devices.get(id).filter(|d| visible(d)) else {
                continue;
            };
            if let Entry::Vacant(place) = found.entry(id) {
                let (latest, _) = telemetry::latest(app, &device).await?;
                place.insert((device, latest));
            }
        }
        Ok(Self(found))
    }

    /// The widget's key: its device, what the device says, and its desired and reported state.
    fn key<'a>(&'a self, app: &AppState, widget: &'a Widget) -> Option<Key<'a>> {
        let (device, latest) = self.0.get(&widget.device?)?;
        let name = data_key(&widget.config)?;
        let twin = app.control.twins.key(device.id, name);
        // The oldest firmware calls its first pin `led`.
        let latest = latest
            .get(name)
            .or_else(|| latest.get("led").filter(|_| name == "v0"));
        Some(Key {
            device,
            latest,
            twin,
        })
    }

    /// The current value of the widget's key; its own value when it has no key.
    pub fn current(&self, app: &AppState, widget: &Widget) -> Option<Value> {
        if widget.device.is_none() || data_key(&widget.config).is_none() {
            return widget.value.clone();
        }
        self.key(app, widget)?.value()
    }

    /// The widget as shown.
    pub fn view(&self, app: &AppState, widget: &Widget) -> WidgetView {
        let key = self.key(app, widget);
        let state = key.as_ref().and_then(|key| {
            let online = key.device.is_online();
            let twin = key.twin.as_ref()?;
            Some(KeyState::new(twin, online, app.clock.now_ms()))
        });
        let device = widget.device.and_then(|id| app.devices.get(id));
        WidgetView {
            legacy_id: widget.id.clone(),
            id: widget.id.clone(),
            dashboard_id: widget.dashboard.clone(),
            device_id: device.map(|d| d.oid.to_string()),
            kind: widget.kind,
            label: widget.label.clone(),
            value: self.current(app, widget),
            config: widget.config.clone(),
            order: widget.place.order,
            x: widget.place.x,
            y: widget.place.y,
            width: widget.place.width,
            height: widget.place.height,
            reported: key.as_ref().and_then(Key::value),
            desired: state.as_ref().and_then(|s| s.desired.clone()),
            version: state.as_ref().map_or(0, |s| s.version),
            state: state.as_ref().and_then(|s| s.status),
            reason: state.as_ref().and_then(|s| s.reason.clone()),
            pending_since: state.and_then(|s| s.pending_since),
            next_schedule: None,
            created_at: iso(widget.created_at),
        }
    }
}

struct Key<'a> {
    device: &'a Device,
    latest: Option<&'a Value>,
    twin: Option<Twin>,
}

impl Key<'_> {
    fn value(&self) -> Option<Value> {
        let reported = self.twin.as_ref().and_then(|twin| twin.reported.as_ref());
        reported.or(self.latest).cloned()
    }
}
