//! The read-only link of a dashboard: whoever has it sees these widgets and their values, and nothing else.

use super::config::Kind;
use super::http::Done;
use super::store::{self, Widget};
use super::view::{Values, account_may};
use super::{logic, rules};
use crate::clock::iso;
use crate::devices::{self, Device};
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::{self, Caller};
use crate::{ApiError, AppState, random};
use axum::extract::{Path, State};
use espalier_model::Action;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// A new read-only link; the token is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShareLink {
    /// The secret part of the link, stored hashed.
    token: String,
    /// The path to read.
    path: String,
}

/// Makes a read-only link to a dashboard; an older link stops working.
#[utoipa::path(
    post, path = "/dashboards/{id}/share", tag = "control",
    params(("id" = String, Path, description = "The dashboard's id")),
    responses(
        (status = 200, description = "The link, for the only time", body = ShareLink),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "The account may only look", body = Problem),
        (status = 404, description = "No such dashboard of yours", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<ShareLink>> {
    let token = random::secret("esp_ds_");
    set(
        &app,
        &caller,
        id,
        Some(random::digest(&token)),
        "dashboard.share",
    )
    .await?;
    let path = format!("/shared/dashboards/{token}");
    Ok(Json(ShareLink { token, path }))
}

/// Revokes the read-only link of a dashboard; it stops working at once.
#[utoipa::path(
    delete, path = "/dashboards/{id}/share", tag = "control",
    params(("id" = String, Path, description = "The dashboard's id")),
    responses(
        (status = 200, description = "Revoked, or there was none", body = Done),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "The account may only look", body = Problem),
        (status = 404, description = "No such dashboard of yours", body = Problem),
    ),
    security(("bearer" = []))
)]
pub async fn revoke(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Done>> {
    set(&app, &caller, id, None, "dashboard.unshare").await?;
    Ok(Json(Done {
        message: "Link revoked",
    }))
}

async fn set(
    app: &AppState,
    caller: &Caller,
    id: String,
    digest: Option<[u8; 32]>,
    action: &str,
) -> Result<(), ApiError> {
    logic::may_change(caller)?;
    let (account, target) = (caller.account, id.clone());
    let (at, who) = (app.clone(), caller.clone());
    let change = move |c: &espalier_db::Conn<'_>| {
        let dashboard = store::dashboard_of(c, &id, account)?
            .ok_or_else(|| ApiError::not_found("Dashboard"))?;
        rules::dashboard(&at, &who, &dashboard, Action::Own)?;
        Ok::<_, ApiError>(store::set_share(c, &id, account, digest)?)
    };
    app.db.write(change).await?;
    identity::audit(app, caller, action, &target, json!({})).await
}

/// A dashboard as its read-only link shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SharedDashboard {
    /// What it is called.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// Its widgets in their order.
    widgets: Vec<SharedWidget>,
    /// The server's time.
    timestamp: String,
}

/// A widget as the read-only link shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SharedWidget {
    /// The id.
    id: String,
    /// What it is.
    #[serde(rename = "type")]
    kind: Kind,
    /// What it is called.
    label: Option<String>,
    /// The current value of its key.
    value: Option<Value>,
    /// How it shows; keys that an app keeps for itself are left out.
    #[schema(value_type = Object)]
    config: Map<String, Value>,
    /// Its place in the order.
    order: i64,
    /// Its place from the left.
    x: Option<i64>,
    /// Its place from the top.
    y: Option<i64>,
    /// How wide it is.
    width: Option<i64>,
    /// How high it is.
    height: Option<i64>,
}

impl SharedWidget {
    fn new(widget: Widget, value: Option<Value>) -> Self {
        let mut config = widget.config;
        config.retain(|key, _| Kind::known(key) && key != "schedules");
        Self {
            id: widget.id,
            kind: widget.kind,
            label: widget.label,
            value,
            config,
            order: widget.place.order,
            x: widget.place.x,
            y: widget.place.y,
            width: widget.place.width,
            height: widget.place.height,
        }
    }
}

/// Shows a shared dashboard: its widgets and the latest values of their keys.
#[utoipa::path(
    get, path = "/shared/dashboards/{token}", tag = "control",
    params(("token" = String, Path, description = "The secret part of the link")),
    responses(
        (status = 200, description = "The dashboard", body = SharedDashboard),
        (status = 404, description = "No such link, or it was revoked", body = Problem),
    )
)]
pub async fn show(
    State(app): State<AppState>,
    Path(token): Path<String>,
) -> ApiResult<Json<SharedDashboard>> {
    let digest = random::digest(&token);
    let read = move |c: &espalier_db::Conn<'_>| {
        let dashboard = store::dashboard_by_share(c, digest)?
            .ok_or_else(|| ApiError::not_found("Shared dashboard"))?;
        let widgets = store::widgets_of(c, &dashboard.id)?;
        Ok::<_, ApiError>((dashboard, widgets))
    };
    let (dashboard, mut widgets) = app.db.read(read).await?;
    let owner = identity::in_place_of(&app, dashboard.account).await?;
    let owner = owner.ok_or_else(|| ApiError::not_found("Shared dashboard"))?;
    // What the owner may no longer see, the link does not show either.
    rules::dashboard(&app, &owner, &dashboard, Action::Read)
        .map_err(|_| ApiError::not_found("Shared dashboard"))?;
    rules::keep_visible(&app, &owner, &mut widgets);
    let visible = |device: &Device| {
        account_may(device, owner.account, Action::Read)
            && devices::may_watch(&app, &owner, device, true)
    };
    let values = Values::read(&app, &widgets, visible).await?;
    let widgets = widgets.into_iter().map(|widget| {
        let value = values.current(&app, &widget);
        SharedWidget::new(widget, value)
    });
    Ok(Json(SharedDashboard {
        name: dashboard.name,
        description: dashboard.description,
        widgets: widgets.collect(),
        timestamp: iso(app.clock.now_ms()),
    }))
}
