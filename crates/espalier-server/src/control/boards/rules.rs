//! What the access rules say about dashboards and widgets. Both exist for their owner only; rules can but
//! narrow what the owner may do with them.

use super::store::{Dashboard, Widget};
use crate::devices::{self, Device};
use crate::identity::{self, Caller, Collection, RuleData, in_place_of};
use crate::{ApiError, AppState};
use espalier_model::Action;

fn dashboard_data(d: &Dashboard) -> RuleData<'_> {
    RuleData::of(d.account, &d.id, &d.name)
}

/// Refuses what the rules do not permit with a dashboard.
///
/// # Errors
/// 404 when it may not even be seen, else 403.
pub fn dashboard(
    app: &AppState,
    caller: &Caller,
    dashboard: &Dashboard,
    action: Action,
) -> Result<(), ApiError> {
    let data = dashboard_data(dashboard);
    identity::require(app, caller, Collection::Dashboards, action, &data)
}

/// Refuses to make a dashboard that the rules do not permit.
///
/// # Errors
/// 403.
pub fn new_dashboard(
    app: &AppState,
    caller: &Caller,
    dashboard: &Dashboard,
) -> Result<(), ApiError> {
    let data = dashboard_data(dashboard);
    identity::require_new(app, caller, Collection::Dashboards, Action::Manage, &data)
}

/// Refuses to make a widget that the rules do not permit; its dashboard is asked apart.
///
/// # Errors
/// 403.
pub fn new_widget(app: &AppState, caller: &Caller, widget: &Widget) -> Result<(), ApiError> {
    with_widget(app, widget, |data| {
        identity::require_new(app, caller, Collection::Widgets, Action::Manage, data)
    })
}

/// Refuses what the rules do not permit with a widget or its dashboard.
///
/// # Errors
/// 404 when either may not even be seen, else 403.
pub fn widget(
    app: &AppState,
    caller: &Caller,
    widget: &Widget,
    action: Action,
) -> Result<(), ApiError> {
    let board = RuleData::of(widget.account, &widget.dashboard, &widget.dashboard_name);
    let of_widget = |action| {
        with_widget(app, widget, |data| {
            identity::require(app, caller, Collection::Widgets, action, data)
        })
    };
    // What cannot be seen does not exist, whatever else is refused.
    of_widget(Action::Read)?;
    identity::require(app, caller, Collection::Dashboards, action, &board)?;
    of_widget(action)
}

fn with_widget<T>(app: &AppState, widget: &Widget, ask: impl FnOnce(&RuleData<'_>) -> T) -> T {
    let device = widget.device.and_then(|id| app.devices.get(id));
    let device = device.map_or_else(String::new, |device| device.oid.to_string());
    ask(&RuleData {
        kind: widget.kind.as_str(),
        device: &device,
        ..RuleData::of(
            widget.account,
            &widget.id,
            widget.label.as_deref().unwrap_or_default(),
        )
    })
}

/// Keeps the widgets that the caller may see.
pub fn keep_visible(app: &AppState, caller: &Caller, widgets: &mut Vec<Widget>) {
    if !identity::by_default(app) {
        widgets.retain(|w| widget(app, caller, w, Action::Read).is_ok());
    }
}

/// Keeps the widgets that their owners may see now with the values of this device.
///
/// # Errors
/// Fails when the database does.
pub async fn keep_told(
    app: &AppState,
    device: &Device,
    widgets: Vec<Widget>,
) -> Result<Vec<Widget>, ApiError> {
    if identity::by_default(app) {
        return Ok(widgets);
    }
    let mut owners = Vec::<Caller>::new();
    let mut kept = Vec::new();
    for w in widgets {
        let known = owners.iter().position(|owner| owner.account == w.account);
        let owner = match known {
            Some(at) => owners[at].clone(),
            None => match in_place_of(app, w.account).await? {
                Some(owner) => {
                    owners.push(owner.clone());
                    owner
                }
                None => continue,
            },
        };
        let sees_values = devices::may_watch(app, &owner, device, true);
        if sees_values && widget(app, &owner, &w, Action::Read).is_ok() {
            kept.push(w);
        }
    }
    Ok(kept)
}
