//! What a device's screen shows, as people set it.

use super::pictures;
use crate::AppState;
use crate::clock::iso;
use crate::devices;
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query};
use crate::identity::{Caller, Principal};
use crate::screens::content::Preferences;
use crate::screens::settings::{ClockFace, Mode, ScreenLayout, Settings};
use crate::screens::view::{self, Change, View};
use crate::screens::{Fit, render};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use espalier_model::Action;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What a device's screen shows.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScreenView {
    /// The device's 24-digit id.
    pub device_id: String,
    /// The settings.
    #[serde(flatten)]
    pub settings: Settings,
    /// The ids of its pictures, in their order.
    pub images: Vec<String>,
    /// Which kinds of text it shows.
    pub preferences: Preferences,
    /// Grows with every change; 0 before the first.
    pub version: i64,
    /// When it was changed last (RFC 3339, UTC).
    pub updated_at: Option<String>,
    /// What it shows now, as a PNG.
    pub preview_url: String,
    /// The same as boards read it.
    pub bmp_url: String,
}

impl From<View> for ScreenView {
    fn from(view: View) -> Self {
        let id = view.device.oid.to_string();
        Self {
            preview_url: format!("/screens/preview?device={id}"),
            bmp_url: format!("/dashboards/{id}_current.bmp"),
            device_id: id,
            settings: view.settings,
            images: view.pictures.into_iter().map(|image| image.id).collect(),
            preferences: view.preferences,
            version: view.version,
            updated_at: view.updated_at.map(iso),
        }
    }
}

/// What to change of a screen; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct ScreenChange {
    /// What it shows: `dashboard`, `images` or `content`.
    pub mode: Option<Mode>,
    /// The ids of its pictures, in their order; at most 50.
    #[schema(max_items = 50)]
    pub images: Option<Vec<String>>,
    /// How long each picture or text stays, 30 to 86400 seconds.
    #[schema(minimum = 30, maximum = 86400)]
    pub rotation_seconds: Option<u32>,
    /// How pictures fill the screen.
    pub fit: Option<Fit>,
    /// The time zone of dates and times, an IANA name.
    pub timezone: Option<String>,
    /// Whether the dashboard tells the time.
    pub clock: Option<ClockFace>,
    /// What the dashboard is made of, as a whole.
    pub layout: Option<ScreenLayout>,
    /// Which kinds of text it shows.
    pub preferences: Option<Preferences>,
}

/// Shows how a device's screen is set.
#[utoipa::path(get, path = "/devices/{id}/screen", tag = "screens", security(("bearer" = [])),
    params(("id" = String, Path, description = "The device")), responses(
    (status = 200, description = "The screen", body = ScreenView),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 404, description = "No such device of yours", body = Problem)))]
pub async fn get_screen(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> ApiResult<Json<ScreenView>> {
    let device = devices::require(&app, &principal, &id, Action::Read)?;
    let view = view::of(&app, &device).await?;
    Ok(Json(view.into()))
}

/// Sets what a device's screen shows.
#[utoipa::path(put, path = "/devices/{id}/screen", tag = "screens", security(("bearer" = [])), request_body = ScreenChange,
    params(("id" = String, Path, description = "The device")), responses(
    (status = 200, description = "The screen", body = ScreenView),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "You may only see this device", body = Problem),
    (status = 404, description = "No such device or picture of yours", body = Problem),
    (status = 422, description = "A field is wrong", body = Problem)))]
pub async fn put_screen(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(change): Json<ScreenChange>,
) -> ApiResult<Json<ScreenView>> {
    let device = devices::require(
        &app,
        &Principal::Account(caller.clone()),
        &id,
        Action::Control,
    )?;
    let old = view::of(&app, &device).await?.settings;
    let settings = Settings {
        mode: change.mode.unwrap_or(old.mode),
        rotation_seconds: change.rotation_seconds.unwrap_or(old.rotation_seconds),
        fit: change.fit.unwrap_or(old.fit),
        timezone: change.timezone.unwrap_or(old.timezone),
        clock: change.clock.unwrap_or(old.clock),
        layout: change.layout.unwrap_or(old.layout),
    };
    let change = Change {
        settings: Some(settings),
        preferences: change.preferences,
        pictures: change.images,
    };
    let view = view::change(&app, &device, caller.account, change).await?;
    Ok(Json(view.into()))
}

/// Which device.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfDevice {
    /// The device.
    device: String,
}

/// Shows what a device's screen shows now: the same pixels as its board gets.
#[utoipa::path(get, path = "/screens/preview", tag = "screens", security(("bearer" = [])), params(OfDevice), responses(
    (status = 200, description = "The picture", content_type = "image/png", body = Vec<u8>),
    (status = 304, description = "You have it"),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "You may not see what it measures", body = Problem),
    (status = 404, description = "No such device of yours", body = Problem),
    (status = 422, description = "Say which device", body = Problem)))]
pub async fn preview(
    State(app): State<AppState>,
    principal: Principal,
    Query(of): Query<OfDevice>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let device = devices::require_telemetry(&app, &principal, &of.device, Action::Read)?;
    let shown = render::current(&app, &device).await?;
    pictures::png(&shown, &headers)
}
