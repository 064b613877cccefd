//! The inbox: what an account should know, kept until it is deleted or a thousand newer ones came.

use super::hub::Subject;
use super::{NewNotification, frame, permitted, store};
use crate::clock::iso;
use crate::error::Problem;
use crate::http::{Json, Query};
use crate::identity::{self, Caller};
use crate::{ApiError, AppState, random};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use espalier_model::{AccountId, Action};
use espalier_wire::app::{Notification, ServerMessage, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Notifications kept per account; older ones are dropped when a new one comes.
pub(super) const KEEP: i64 = 1_000;

/// A notification as the database holds it.
pub struct Stored {
    pub id: String,
    pub title: String,
    pub message: String,
    pub kind: String,
    pub details: Option<Value>,
    pub device: Option<String>,
    pub widget: Option<String>,
    pub read: bool,
    pub created_at: i64,
}

/// A notification.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Notification")]
pub struct NotificationView {
    /// The id.
    #[serde(rename = "_id")]
    legacy_id: String,
    /// The same id.
    id: String,
    /// A few words.
    title: String,
    /// A sentence.
    message: String,
    /// `info`, `warning`, `success` or `error`.
    #[serde(rename = "type")]
    kind: String,
    /// Anything a program may want to know.
    #[schema(value_type = Object, nullable)]
    details: Option<Value>,
    /// The device it is about.
    device_id: Option<String>,
    /// The widget it is about.
    widget_id: Option<String>,
    /// Whether somebody has read it.
    read: bool,
    /// When it came (RFC 3339, UTC).
    created_at: String,
}

impl From<Stored> for NotificationView {
    fn from(stored: Stored) -> Self {
        Self {
            legacy_id: stored.id.clone(),
            id: stored.id,
            title: stored.title,
            message: stored.message,
            kind: stored.kind,
            details: stored.details,
            device_id: stored.device,
            widget_id: stored.widget,
            read: stored.read,
            created_at: iso(stored.created_at),
        }
    }
}

/// A list of notifications.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationList {
    /// The newest first.
    notifications: Vec<NotificationView>,
    /// How many are not read, also beyond this list.
    unread_count: i64,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Marked {
    /// A sentence.
    message: &'static str,
    /// How many were changed.
    modified_count: u64,
}

/// Whether notifications work.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationHealth {
    /// `healthy`, or `degraded` when the inbox cannot be read.
    status: &'static str,
    /// How many sockets and streams the caller has open.
    connections: usize,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// How many at most, 1 to 1000.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: i64,
    /// Only those that are read (`true`) or not (`false`).
    read: Option<bool>,
}

fn default_limit() -> i64 {
    50
}

/// Stores a notification and pushes it, unless the account has switched pushing off.
pub(super) async fn notify(
    app: &AppState,
    account: AccountId,
    new: NewNotification,
) -> Result<(), ApiError> {
    let (id, now) = (random::oid(&app.clock).to_string(), app.clock.now_ms());
    let stored = app
        .db
        .write(move |c| store::insert(c, &id, account, &new, now, KEEP))
        .await?;
    if let Some((stored, settings)) = stored
        && pushes(&settings)
        && may_hear(app, account, &stored).await?
    {
        let text = frame::text(&ServerMessage::<Value>::Notification {
            notification: on_the_wire(stored),
        });
        app.live
            .hub
            .to_account(account, Subject::Notification, &text);
    }
    Ok(())
}

/// Whether the access rules let the account see it.
async fn may_hear(app: &AppState, account: AccountId, stored: &Stored) -> Result<bool, ApiError> {
    if identity::by_default(app) {
        return Ok(true);
    }
    let caller = identity::in_place_of(app, account).await?;
    Ok(caller.is_some_and(|caller| permitted::permits(app, &caller, Action::Read, stored)))
}

/// Whether the settings allow pushing; what is not said is allowed.
fn pushes(settings: &str) -> bool {
    serde_json::from_str::<Value>(settings).map_or(true, |s| s["enabled"] != Value::Bool(false))
}

fn on_the_wire(stored: Stored) -> Notification {
    Notification {
        id: stored.id,
        title: stored.title,
        message: stored.message,
        kind: match stored.kind.as_str() {
            "warning" => Severity::Warning,
            "success" => Severity::Success,
            "error" => Severity::Error,
            _ => Severity::Info,
        },
        details: stored.details,
        time: time_of_day(stored.created_at),
        timestamp: iso(stored.created_at),
        device_id: stored.device,
        widget_id: stored.widget,
    }
}

/// The time of day in UTC as existing clients show it: `08:15 AM`.
fn time_of_day(ms: i64) -> String {
    let minutes = ms.div_euclid(60_000).rem_euclid(24 * 60);
    let (hour, minute) = (minutes / 60, minutes % 60);
    let half = if hour < 12 { "AM" } else { "PM" };
    let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
    format!("{hour:02}:{minute:02} {half}")
}

/// The newest unread notifications of an account, for a stream that begins.
pub(super) async fn unread(
    app: &AppState,
    caller: &Caller,
    limit: i64,
) -> Result<Vec<NotificationView>, ApiError> {
    let (found, _) = listed(app, caller, limit, Some(false)).await?;
    Ok(found.into_iter().map(Into::into).collect())
}

/// The newest notifications that the caller may see, and how many of all that are not read.
async fn listed(
    app: &AppState,
    caller: &Caller,
    limit: i64,
    read: Option<bool>,
) -> Result<(Vec<Stored>, i64), ApiError> {
    if !identity::by_default(app) {
        let mut all = permitted::visible(app, caller).await?;
        let unread = all.iter().filter(|stored| !stored.read).count();
        all.retain(|stored| read.is_none_or(|read| stored.read == read));
        all.truncate(usize::try_from(limit).unwrap_or_default());
        return Ok((all, i64::try_from(unread).unwrap_or(KEEP)));
    }
    let account = caller.account;
    let read = move |c: &espalier_db::Conn<'_>| {
        let list = store::list(c, account, limit, read)?;
        Ok::<_, espalier_db::Error>((list, store::unread(c, account)?))
    };
    Ok(app.db.read(read).await?)
}

/// Lists the caller's notifications, newest first.
#[utoipa::path(
    get, path = "/notifications", tag = "live", params(ListQuery),
    responses(
        (status = 200, body = NotificationList),
        (status = 401, body = Problem, description = "Not signed in."),
        (status = 422, body = Problem, description = "A parameter is wrong."),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<NotificationList>, ApiError> {
    if !(1..=KEEP).contains(&query.limit) {
        let why = format!("must be from 1 to {KEEP}");
        return Err(ApiError::invalid(&["query", "limit"], why));
    }
    let (list, unread_count) = listed(&app, &caller, query.limit, query.read).await?;
    Ok(Json(NotificationList {
        notifications: list.into_iter().map(Into::into).collect(),
        unread_count,
    }))
}

/// Marks a notification as read.
#[utoipa::path(
    put, path = "/notifications/{id}/read", tag = "live",
    params(("id" = String, Path, description = "The notification.")),
    responses(
        (status = 200, body = Marked),
        (status = 401, body = Problem, description = "Not signed in."),
        (status = 403, body = Problem, description = "The access rules do not permit it."),
        (status = 404, body = Problem, description = "The caller has no such notification."),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn mark(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Marked>, ApiError> {
    permitted::require(&app, &caller, Action::Control, &id).await?;
    let account = caller.account;
    let found = app.db.write(move |c| store::mark(c, account, &id)).await?;
    if !found {
        return Err(ApiError::not_found("Notification"));
    }
    Ok(Json(Marked {
        message: "Notification marked as read",
        modified_count: 1,
    }))
}

/// Marks every notification as read.
#[utoipa::path(
    put, path = "/notifications/read-all", tag = "live",
    responses(
        (status = 200, body = Marked),
        (status = 401, body = Problem, description = "Not signed in."),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn mark_all(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<Json<Marked>, ApiError> {
    let account = caller.account;
    let chosen = permitted::chosen(&app, &caller, Action::Control).await?;
    let mark = move |c: &espalier_db::Conn<'_>| match &chosen {
        None => store::mark_all(c, account),
        Some(ids) => store::mark_each(c, account, ids),
    };
    let modified_count = app.db.write(mark).await?;
    Ok(Json(Marked {
        message: "All notifications marked as read",
        modified_count,
    }))
}

/// Deletes a notification.
#[utoipa::path(
    delete, path = "/notifications/{id}", tag = "live",
    params(("id" = String, Path, description = "The notification.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 401, body = Problem, description = "Not signed in."),
        (status = 403, body = Problem, description = "The access rules do not permit it."),
        (status = 404, body = Problem, description = "The caller has no such notification."),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    permitted::require(&app, &caller, Action::Own, &id).await?;
    let account = caller.account;
    let found = app
        .db
        .write(move |c| store::delete(c, account, &id))
        .await?;
    if !found {
        return Err(ApiError::not_found("Notification"));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes every notification of the caller.
#[utoipa::path(
    delete, path = "/notifications", tag = "live",
    responses(
        (status = 204, description = "The inbox is empty."),
        (status = 401, body = Problem, description = "Not signed in."),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn delete_all(
    State(app): State<AppState>,
    caller: Caller,
) -> Result<StatusCode, ApiError> {
    let account = caller.account;
    let chosen = permitted::chosen(&app, &caller, Action::Own).await?;
    let delete = move |c: &espalier_db::Conn<'_>| match &chosen {
        None => store::delete_all(c, account),
        Some(ids) => store::delete_each(c, account, ids),
    };
    app.db.write(delete).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells whether notifications work for the caller.
#[utoipa::path(
    get, path = "/notifications/health", tag = "live",
    responses(
        (status = 200, body = NotificationHealth),
        (status = 401, body = Problem, description = "Not signed in."),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn health(
    State(app): State<AppState>,
    caller: Caller,
) -> Json<NotificationHealth> {
    let healthy = app.db.ping().await;
    Json(NotificationHealth {
        status: if healthy { "healthy" } else { "degraded" },
        connections: app.live.hub.of_account(caller.account),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_reads_as_on_a_watch() {
        let at = |hour: i64, minute: i64| time_of_day((hour * 60 + minute) * 60_000);
        assert_eq!(at(0, 5), "12:05 AM");
        assert_eq!(at(8, 15), "08:15 AM");
        assert_eq!(at(12, 0), "12:00 PM");
        assert_eq!(at(23, 59), "11:59 PM");
    }

    #[test]
    fn only_a_clear_no_switches_pushing_off() {
        assert!(!pushes(r#"{"enabled":false}"#));
        assert!(pushes(r#"{"enabled":true}"#));
        assert!(pushes("{}"));
        assert!(pushes("not json"));
    }
}
