//! Making, changing and touching widgets.

use super::config::{self, Kind, data_key};
use super::logic::{check_name, may_change, no_dashboard, no_widget};
use super::store::{self, Place, Widget};
use super::view::{Values, WidgetView};
use super::{announce, rules};
use crate::control::state;
use crate::devices::{self, Device};
use crate::identity::{Caller, Principal};
use crate::{ApiError, AppState, live, random};
use espalier_db::Conn;
use espalier_model::Action;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Widgets on one dashboard: what a page can still draw at once.
const MAX_WIDGETS: usize = 200;
/// The largest own value of a widget, bytes of JSON.
const MAX_VALUE: usize = 4096;

/// The widgets as the caller sees them.
pub async fn views(
    app: &AppState,
    caller: &Caller,
    widgets: &[Widget],
) -> Result<Vec<WidgetView>, ApiError> {
    let visible = |device: &Device| devices::may_watch(app, caller, device, true);
    let values = Values::read(app, widgets, visible).await?;
    Ok(widgets.iter().map(|w| values.view(app, w)).collect())
}

/// One widget as the caller sees it.
async fn view(app: &AppState, caller: &Caller, widget: Widget) -> Result<WidgetView, ApiError> {
    let mut views = views(app, caller, &[widget]).await?;
    views.pop().ok_or_else(no_widget)
}

/// What is needed to make a widget.
pub struct NewWidget {
    pub dashboard: String,
    pub device: Option<String>,
    pub kind: Kind,
    pub label: Option<String>,
    pub value: Option<Value>,
    pub config: Map<String, Value>,
}

/// Makes a widget. A switch without key gets the lowest virtual pin that is free on its dashboard.
pub async fn create_widget(
    app: &AppState,
    caller: &Caller,
    new: NewWidget,
) -> Result<WidgetView, ApiError> {
    may_change(caller)?;
    let device = find_device(app, caller, new.device.as_deref())?;
    let config = config::check(new.kind, new.config)?;
    if new.kind.controls() && !new.kind.is_switch() && data_key(&config).is_none() {
        let why = format!("is missing: the key that this {} sets", new.kind.as_str());
        return Err(ApiError::invalid(&["body", "config", "key"], why));
    }
    let label = new.label.map(|l| check_name("label", &l)).transpose()?;
    let widget = Widget {
        id: random::oid(&app.clock).to_string(),
        dashboard: new.dashboard,
        dashboard_name: String::new(),
        account: caller.account,
        device: device.map(|d| d.id),
        kind: new.kind,
        label,
        value: check_value(new.value)?,
        config,
        place: Place::default(),
        created_at: app.clock.now_ms(),
    };
    let (at, who) = (app.clone(), caller.clone());
    let insert = move |c: &Conn<'_>| {
        let mut widget = widget.clone();
        let dashboard =
            store::dashboard_of(c, &widget.dashboard, widget.account)?.ok_or_else(no_dashboard)?;
        rules::dashboard(&at, &who, &dashboard, Action::Manage)?;
        rules::new_widget(&at, &who, &widget)?;
        widget.dashboard_name = dashboard.name;
        let others = store::widgets_of(c, &widget.dashboard)?;
        if others.len() >= MAX_WIDGETS {
            let why = format!(
                "A dashboard can have {MAX_WIDGETS} widgets; delete one or start another dashboard."
            );
            return Err(ApiError::conflict("too_many_widgets", why));
        }
        widget.place.order = others.iter().map(|w| w.place.order + 1).max().unwrap_or(0);
        assign_pin(&mut widget, &others);
        store::insert_widget(c, &widget).map_err(gone)?;
        Ok(widget)
    };
    let widget = app.db.write(insert).await?;
    let view = view(app, caller, widget).await?;
    announce::tell(app, caller.account, &view);
    Ok(view)
}

/// Gives a switch without key the lowest virtual pin that is free on its dashboard.
fn assign_pin(widget: &mut Widget, others: &[Widget]) {
    if !widget.kind.is_switch() || data_key(&widget.config).is_some() {
        return;
    }
    let taken: BTreeSet<&str> = others
        .iter()
        .filter_map(|w| w.config.get("virtual_pin")?.as_str())
        .collect();
    let free = (0..=others.len()).map(|n| format!("v{n}"));
    if let Some(pin) = free.into_iter().find(|pin| !taken.contains(pin.as_str())) {
        widget
            .config
            .insert("virtual_pin".to_owned(), Value::String(pin));
    }
}

/// What changes on a widget; what is absent stays.
#[derive(Default)]
pub struct WidgetChange {
    pub device: Option<String>,
    pub label: Option<String>,
    pub value: Option<Value>,
    pub config: Option<Map<String, Value>>,
}

/// Changes a widget. `config` is laid over the old one; null removes a key.
pub async fn change_widget(
    app: &AppState,
    caller: &Caller,
    id: String,
    change: WidgetChange,
) -> Result<WidgetView, ApiError> {
    may_change(caller)?;
    let device = find_device(app, caller, change.device.as_deref())?.map(|d| d.id);
    let label = change.label.map(|l| check_name("label", &l)).transpose()?;
    let value = check_value(change.value)?;
    let (at, who, config) = (app.clone(), caller.clone(), change.config);
    let change = move |c: &Conn<'_>| {
        let mut widget = store::widget_of(c, &id, who.account)?.ok_or_else(no_widget)?;
        rules::widget(&at, &who, &widget, Action::Manage)?;
        widget.device = device.or(widget.device);
        widget.label = label.clone().or(widget.label);
        widget.value = value.clone().or(widget.value);
        if let Some(over) = &config {
            let mut config = std::mem::take(&mut widget.config);
            config.extend(over.clone());
            widget.config = config::check(widget.kind, config)?;
        }
        let others = store::widgets_of(c, &widget.dashboard)?;
        assign_pin(&mut widget, &others);
        if widget.kind.controls() && data_key(&widget.config).is_none() {
            return Err(ApiError::invalid(
                &["body", "config", "key"],
                "must not be removed",
            ));
        }
        store::update_widget(c, &widget).map_err(gone)?;
        Ok(widget)
    };
    let widget = app.db.write(change).await?;
    let view = view(app, caller, widget).await?;
    announce::tell(app, caller.account, &view);
    Ok(view)
}

/// Deletes a widget.
pub async fn delete_widget(app: &AppState, caller: &Caller, id: String) -> Result<(), ApiError> {
    may_change(caller)?;
    let account = caller.account;
    let (at, who) = (app.clone(), caller.clone());
    let remove = move |c: &Conn<'_>| {
        let widget = store::widget_of(c, &id, account)?.ok_or_else(no_widget)?;
        rules::widget(&at, &who, &widget, Action::Manage)?;
        store::delete_widget(c, &id)?;
        Ok::<_, ApiError>(widget)
    };
    let widget = app.db.write(remove).await?;
    let event = live::Event::WidgetDeleted {
        account,
        dashboard: widget.dashboard,
        widget: widget.id,
    };
    live::publish(app, event);
    Ok(())
}

/// What a touch of a widget came to.
pub struct Touched {
    pub state: Value,
    pub key: String,
    pub desired: Value,
    pub version: u64,
    pub status: &'static str,
}

/// Sets what the widget's device should be.
pub async fn touch(
    app: &AppState,
    caller: &Caller,
    id: String,
    input: Option<&Value>,
) -> Result<Touched, ApiError> {
    let account = caller.account;
    let find = move |c: &Conn<'_>| store::widget_of(c, &id, account);
    let widget = app.db.read(find).await?.ok_or_else(no_widget)?;
    rules::widget(app, caller, &widget, Action::Control)?;
    let wanted = config::wanted(widget.kind, &widget.config, input)?;
    let unbound = |what: &str| {
        let why = format!(
            "This widget has no {what}; give it one with PATCH /widgets/{}.",
            widget.id
        );
        ApiError::bad_request("not_bound", why)
    };
    let key = data_key(&widget.config).ok_or_else(|| unbound("key"))?;
    let device = widget.device.ok_or_else(|| unbound("device"))?;
    let device = app.devices.get(device).ok_or_else(no_widget)?;
    let who = Principal::Account(caller.clone());
    let device = devices::require(app, &who, &device.oid.to_string(), Action::Control)?;
    let values = BTreeMap::from([(key.to_owned(), wanted.value.clone())]);
    let set = state::set_desired(app, &device, &account.to_string(), values, None).await?;
    let now = app.clock.now_ms();
    let twin = app.control.twins.key(device.id, key);
    Ok(Touched {
        state: wanted.state,
        key: key.to_owned(),
        desired: wanted.value,
        version: set.get(key).map_or(0, |d| d.version),
        status: twin
            .and_then(|t| t.progress(now).as_str())
            .unwrap_or("pending"),
    })
}

fn find_device(
    app: &AppState,
    caller: &Caller,
    id: Option<&str>,
) -> Result<Option<Arc<Device>>, ApiError> {
    let who = Principal::Account(caller.clone());
    id.filter(|id| !id.is_empty())
        .map(|id| devices::require(app, &who, id, Action::Read))
        .transpose()
}

fn check_value(value: Option<Value>) -> Result<Option<Value>, ApiError> {
    let value = value.filter(|v| !v.is_null());
    if value
        .as_ref()
        .is_some_and(|v| v.to_string().len() > MAX_VALUE)
    {
        let why = format!("may have at most {MAX_VALUE} bytes");
        return Err(ApiError::invalid(&["body", "value"], why));
    }
    Ok(value)
}

/// A device that was deleted between the check and the write is one that does not exist.
fn gone(error: espalier_db::Error) -> ApiError {
    match error {
        espalier_db::Error::ForeignKey => ApiError::not_found("Device"),
        other => other.into(),
    }
}
