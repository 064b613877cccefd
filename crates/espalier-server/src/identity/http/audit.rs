//! The audit log and the platform's settings.

use super::{Page, Paging};
use crate::AppState;
use crate::clock::iso;
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query};
use crate::identity::Admin;
use crate::identity::settings::{self, Branding, MobileApp, PlatformSettings};
use crate::identity::store::audit::{self as store, Filter};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(app_config))
        .routes(routes!(show_settings, save_settings))
}

/// Which records.
#[derive(Deserialize, IntoParams)]
struct Which {
    /// The id of the account that acted.
    #[serde(default)]
    account: String,
    /// What was done, e.g. `user.update`.
    #[serde(default)]
    action: String,
    /// With what it was done, usually an id.
    #[serde(default)]
    target: String,
    /// The page, from 1.
    page: Option<i64>,
    /// Records per page, 1 to 200; 20 when absent.
    limit: Option<i64>,
}

/// A record of the audit log.
#[derive(Debug, Serialize, ToSchema)]
struct Entry {
    /// Its id.
    id: String,
    /// The account that acted.
    account_id: String,
    /// That account's name, while it exists.
    username: Option<String>,
    /// What was done.
    action: String,
    /// With what.
    target: String,
    /// More about it.
    #[schema(value_type = Object)]
    detail: serde_json::Value,
    /// When.
    at: String,
}

/// The audit log, newest first
#[utoipa::path(get, path = "/admin/audit", tag = "identity", security(("bearer" = [])), params(Which), responses(
    (status = 200, description = "One page of records", body = Page<Entry>),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin", body = Problem),
    (status = 422, description = "A parameter is wrong", body = Problem)))]
async fn list(
    State(app): State<AppState>,
    _admin: Admin,
    Query(which): Query<Which>,
) -> ApiResult<Json<Page<Entry>>> {
    let paging = Paging::of(which.page, which.limit)?;
    let filter = Filter {
        account: which.account,
        action: which.action,
        target: which.target,
    };
    let (records, total) = app
        .db
        .read(move |c| store::page(c, &filter, paging.offset(), paging.limit))
        .await?;
    let entries = records.into_iter().map(|record| Entry {
        id: record.id,
        account_id: record.account,
        username: record.username,
        action: record.action,
        target: record.target,
        detail: record.detail,
        at: iso(record.at),
    });
    Ok(Json(paging.page(entries.collect(), total)))
}

/// What apps read before anybody signs in.
#[derive(Serialize, ToSchema)]
struct AppConfig {
    /// Names.
    branding: Branding,
    /// What the mobile app should know.
    mobile_app: MobileApp,
    /// Who may create an account: `open`, `invite` or `closed`.
    #[schema(value_type = String)]
    signup: crate::config::Signup,
    /// When the settings were last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
}

async fn config(app: &AppState) -> ApiResult<Json<AppConfig>> {
    let (settings, at) = settings::load(app).await?;
    let mut branding = settings.branding;
    if branding.frontend_url.is_empty() {
        branding.frontend_url = app.config.base_url();
    }
    Ok(Json(AppConfig {
        branding,
        mobile_app: settings.mobile_app,
        signup: app.config.signup,
        updated_at: at.map(iso),
    }))
}

/// What apps need to know before signing in
#[utoipa::path(get, path = "/app/config", tag = "identity", responses(
    (status = 200, description = "Names, notices and switches", body = AppConfig)))]
async fn app_config(State(app): State<AppState>) -> ApiResult<Json<AppConfig>> {
    config(&app).await
}

/// The platform's settings
#[utoipa::path(get, path = "/admin/platform-settings", tag = "identity", security(("bearer" = [])), responses(
    (status = 200, description = "The settings", body = PlatformSettings),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin", body = Problem)))]
async fn show_settings(
    State(app): State<AppState>,
    _admin: Admin,
) -> ApiResult<Json<PlatformSettings>> {
    Ok(Json(settings::load(&app).await?.0))
}

/// Replace the platform's settings
#[utoipa::path(put, path = "/admin/platform-settings", tag = "identity", security(("bearer" = [])), request_body = PlatformSettings, responses(
    (status = 200, description = "The settings as they are now", body = PlatformSettings),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin", body = Problem),
    (status = 422, description = "A setting is unknown or wrong", body = Problem)))]
async fn save_settings(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Json(body): Json<PlatformSettings>,
) -> ApiResult<Json<PlatformSettings>> {
    settings::save(&app, &caller, body).await?;
    Ok(Json(settings::load(&app).await?.0))
}
