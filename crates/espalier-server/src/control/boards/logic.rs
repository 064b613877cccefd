//! Making, changing and touching widgets; telling who watches.

use super::config::{self, Kind, data_key};
use super::rules;
use super::store::{self, Dashboard, Place, Widget};
use super::view::{Values, WidgetView, account_may};
use crate::control::state;
use crate::devices::{self, Device};
use crate::identity::{self, Caller, Principal};
use crate::{ApiError, AppState, live, random};
use espalier_db::Conn;
use espalier_model::{Action, Role};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Dashboards of one account.
const MAX_DASHBOARDS: i64 = 200;
/// Widgets on one dashboard: what a page can still draw at once.
const MAX_WIDGETS: usize = 200;
/// The longest name and label, characters.
const MAX_NAME: usize = 100;
/// The longest description, characters.
const MAX_DESCRIPTION: usize = 1000;
/// The largest own value of a widget, bytes of JSON.
const MAX_VALUE: usize = 4096;
/// Places and sizes lie within this, in the app's own units.
const MAX_UNITS: i64 = 100_000;

fn no_dashboard() -> ApiError {
    ApiError::not_found("Dashboard")
}

fn no_widget() -> ApiError {
    ApiError::not_found("Widget")
}

/// Refuses accounts that may only look.
pub fn may_change(caller: &Caller) -> Result<(), ApiError> {
    if caller.role == Role::Viewer {
        return Err(ApiError::forbidden(
            "Your account may only look; ask an admin for the member role.",
        ));
    }
    Ok(())
}

/// Checks a name or label: 1 to 100 characters, no control characters.
pub fn check_name(field: &str, name: &str) -> Result<String, ApiError> {
    let name = name.trim();
    let fits =
        (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits {
        return Ok(name.to_owned());
    }
    let why = format!("must have 1 to {MAX_NAME} characters on one line");
    Err(ApiError::invalid(&["body", field], why))
}

/// Checks a description; an empty one is none.
pub fn check_description(text: &str) -> Result<Option<String>, ApiError> {
    if text.chars().count() > MAX_DESCRIPTION || text.contains('\0') {
        let why = format!("may have at most {MAX_DESCRIPTION} characters");
        return Err(ApiError::invalid(&["body", "description"], why));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// Makes a dashboard.
pub async fn create_dashboard(
    app: &AppState,
    caller: &Caller,
    name: &str,
    description: Option<&str>,
) -> Result<Dashboard, ApiError> {
    may_change(caller)?;
    let dashboard = Dashboard {
        id: random::oid(&app.clock).to_string(),
        account: caller.account,
        name: check_name("name", name)?,
        description: check_description(description.unwrap_or_default())?,
        shared: false,
        created_at: app.clock.now_ms(),
    };
    rules::new_dashboard(app, caller, &dashboard)?;
    let row = dashboard.clone();
    let insert = move |c: &Conn<'_>| {
        if store::count_dashboards(c, row.account)? >= MAX_DASHBOARDS {
            let why = format!("An account can have {MAX_DASHBOARDS} dashboards; delete one first.");
            return Err(ApiError::conflict("too_many_dashboards", why));
        }
        Ok(store::insert_dashboard(c, &row)?)
    };
    app.db.write(insert).await?;
    Ok(dashboard)
}

/// The dashboards of the caller, oldest first.
pub async fn dashboards(app: &AppState, caller: &Caller) -> Result<Vec<Dashboard>, ApiError> {
    let account = caller.account;
    let read = move |c: &Conn<'_>| store::dashboards_of(c, account);
    let mut all = app.db.read(read).await?;
    if !identity::by_default(app) {
        all.retain(|d| rules::dashboard(app, caller, d, Action::Read).is_ok());
    }
    Ok(all)
}

/// Deletes a dashboard with its widgets and its link.
pub async fn delete_dashboard(app: &AppState, caller: &Caller, id: String) -> Result<(), ApiError> {
    may_change(caller)?;
    let (at, who, target) = (app.clone(), caller.clone(), id.clone());
    let remove = move |c: &Conn<'_>| {
        let dashboard = store::dashboard_of(c, &id, who.account)?.ok_or_else(no_dashboard)?;
        rules::dashboard(&at, &who, &dashboard, Action::Own)?;
        Ok::<_, ApiError>(store::delete_dashboard(c, &id, who.account)?)
    };
    app.db.write(remove).await?;
    identity::audit(app, caller, "dashboard.delete", &target, json!({})).await
}

/// Renames or describes a dashboard.
pub async fn change_dashboard(
    app: &AppState,
    caller: &Caller,
    id: String,
    name: Option<String>,
    description: Option<String>,
) -> Result<Dashboard, ApiError> {
    may_change(caller)?;
    let name = name.map(|n| check_name("name", &n)).transpose()?;
    let description = description.map(|d| check_description(&d)).transpose()?;
    let (at, who) = (app.clone(), caller.clone());
    let change = move |c: &Conn<'_>| {
        let mut dashboard = store::dashboard_of(c, &id, who.account)?.ok_or_else(no_dashboard)?;
        rules::dashboard(&at, &who, &dashboard, Action::Manage)?;
        if let Some(name) = &name {
            dashboard.name.clone_from(name);
        }
        if let Some(description) = &description {
            dashboard.description.clone_from(description);
        }
        store::update_dashboard(c, &dashboard)?;
        Ok::<_, ApiError>(dashboard)
    };
    app.db.write(change).await
}

/// A dashboard of the caller with its widgets as shown.
pub async fn dashboard(
    app: &AppState,
    caller: &Caller,
    id: String,
) -> Result<(Dashboard, Vec<WidgetView>), ApiError> {
    let account = caller.account;
    let read = move |c: &Conn<'_>| {
        let dashboard = store::dashboard_of(c, &id, account)?.ok_or_else(no_dashboard)?;
        let widgets = store::widgets_of(c, &dashboard.id)?;
        Ok::<_, ApiError>((dashboard, widgets))
    };
    let (dashboard, mut widgets) = app.db.read(read).await?;
    rules::dashboard(app, caller, &dashboard, Action::Read)?;
    rules::keep_visible(app, caller, &mut widgets);
    let views = views(app, caller, &widgets).await?;
    Ok((dashboard, views))
}

async fn views(
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

/// Where one widget goes; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Move {
    pub id: String,
    pub order: Option<i64>,
    pub x: Option<i64>,
    pub y: Option<i64>,
    pub width: Option<i64>,
    pub height: Option<i64>,
}

/// Places widgets; all of them or none.
pub async fn set_layout(
    app: &AppState,
    caller: &Caller,
    id: String,
    moves: Vec<Move>,
) -> Result<usize, ApiError> {
    may_change(caller)?;
    for m in &moves {
        let numbers = [m.order, m.x, m.y, m.width, m.height];
        if numbers
            .iter()
            .flatten()
            .any(|n| !(0..=MAX_UNITS).contains(n))
        {
            let why = format!(
                "widget {}: numbers must lie between 0 and {MAX_UNITS}",
                m.id
            );
            return Err(ApiError::invalid(&["body", "layout"], why));
        }
    }
    let (at, who) = (app.clone(), caller.clone());
    let change = move |c: &Conn<'_>| {
        let dashboard = store::dashboard_of(c, &id, who.account)?.ok_or_else(no_dashboard)?;
        rules::dashboard(&at, &who, &dashboard, Action::Manage)?;
        let widgets = store::widgets_of(c, &id)?;
        for m in &moves {
            let widget = widgets
                .iter()
                .find(|w| w.id == m.id)
                .ok_or_else(no_widget)?;
            rules::widget(&at, &who, widget, Action::Manage)?;
            let old = widget.place;
            let place = Place {
                order: m.order.unwrap_or(old.order),
                x: m.x.or(old.x),
                y: m.y.or(old.y),
                width: m.width.or(old.width),
                height: m.height.or(old.height),
            };
            store::place_widget(c, &m.id, place)?;
        }
        Ok::<_, ApiError>(moves.len())
    };
    app.db.write(change).await
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
    tell(app, caller.account, &view);
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
    tell(app, caller.account, &view);
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

fn tell(app: &AppState, account: espalier_model::AccountId, view: &WidgetView) {
    if let Ok(widget) = serde_json::to_value(view) {
        let dashboard = view.dashboard_id.clone();
        live::publish(
            app,
            live::Event::Widget {
                account,
                dashboard,
                widget,
            },
        );
    }
}

/// Tells who watches that the desired or reported state of these keys changed, as widgets. A failure is
/// logged: the change itself is stored, and every reader sees it at its next look.
pub async fn announce(app: &AppState, device: &Arc<Device>, keys: &[String]) {
    if let Err(error) = try_announce(app, device, keys).await {
        tracing::warn!(device = %device.oid, %error, "cannot tell about changed widgets");
    }
}

async fn try_announce(
    app: &AppState,
    device: &Arc<Device>,
    keys: &[String],
) -> Result<(), ApiError> {
    if keys.is_empty() {
        return Ok(());
    }
    let (id, keys) = (device.id, keys.to_vec());
    let find = move |c: &Conn<'_>| {
        let mut found = Vec::new();
        for key in &keys {
            found.extend(store::widgets_on(c, id, key)?);
        }
        Ok::<_, espalier_db::Error>(found)
    };
    let mut widgets = app.db.read(find).await?;
    widgets.retain(|w| account_may(device, w.account, Action::Read));
    let widgets = rules::keep_told(app, device, widgets).await?;
    if widgets.is_empty() {
        return Ok(());
    }
    let values = Values::read(app, &widgets, |_| true).await?;
    for widget in &widgets {
        tell(app, widget.account, &values.view(app, widget));
    }
    Ok(())
}
