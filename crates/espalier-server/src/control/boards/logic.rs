//! Making, changing, placing and deleting dashboards.

use super::store::{self, Dashboard, Place};
use super::view::WidgetView;
use super::{rules, widgets};
use crate::identity::{self, Caller};
use crate::{ApiError, AppState, random};
use espalier_db::Conn;
use espalier_model::{Action, Role};
use serde_json::json;

/// Dashboards of one account.
const MAX_DASHBOARDS: i64 = 200;
/// The longest name and label, characters.
const MAX_NAME: usize = 100;
/// The longest description, characters.
const MAX_DESCRIPTION: usize = 1000;
/// Places and sizes lie within this, in the app's own units.
const MAX_UNITS: i64 = 100_000;

/// There is no such dashboard of the caller's.
pub fn no_dashboard() -> ApiError {
    ApiError::not_found("Dashboard")
}

/// There is no such widget of the caller's.
pub fn no_widget() -> ApiError {
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
    let views = widgets::views(app, caller, &widgets).await?;
    Ok((dashboard, views))
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
