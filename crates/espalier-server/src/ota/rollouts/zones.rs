//! Time zones of devices, for maintenance windows.

use super::store;
use crate::devices;
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::{self, Caller, Principal};
use crate::{ApiError, AppState};
use axum::extract::{Path, State};
use espalier_db::Conn;
use espalier_model::ota::window::{Local, Weekday, Window, minutes_until};
use espalier_model::{Action, DeviceId};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_zone, put_zone))
}

/// The zones as stored. One that this machine's zone data does not know any more counts as none.
pub fn load(c: &Conn<'_>) -> Result<HashMap<DeviceId, TimeZone>, espalier_db::Error> {
    let stored = store::zones(c)?.into_iter();
    Ok(stored
        .filter_map(|(id, name)| Some((id, TimeZone::get(&name).ok()?)))
        .collect())
}

/// Checks the name of a time zone.
///
/// # Errors
/// 422 when there is none of this name.
pub fn check(field: &[&str], name: &str) -> ApiResult<TimeZone> {
    TimeZone::get(name).map_err(|_| {
        ApiError::invalid(
            field,
            "must be the name of a time zone, for example Europe/Berlin or UTC",
        )
    })
}

/// When one of the windows opens next, milliseconds UTC; nothing when one is open.
pub fn next_opening(windows: &[Window], zone: &TimeZone, now: i64) -> Option<i64> {
    let Ok(moment) = Timestamp::from_millisecond(now) else {
        return None;
    };
    let local = zone.to_datetime(moment);
    let day = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
    let minute =
        u32::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
    let at = Local {
        weekday: Weekday::from_monday(day),
        minute,
    };
    match minutes_until(windows, at) {
        0 => None,
        // A change of the clocks in between makes it off by that; it is asked again then.
        minutes => Some(now - now.rem_euclid(60_000) + i64::from(minutes) * 60_000),
    }
}

/// The time zone of a device.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ZoneBody {
    /// Its name, for example `Europe/Berlin`; null: as each rollout says.
    #[serde(default)]
    pub time_zone: Option<String>,
}

/// The time zone of a device
#[utoipa::path(get, path = "/devices/{id}/time-zone", tag = "updates", security(("bearer" = [])),
    params(("id" = String, Path, description = "The device's id or alias")),
    responses(
        (status = 200, description = "Its time zone", body = ZoneBody),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 404, description = "No such device", body = Problem)))]
async fn get_zone(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<ZoneBody>> {
    let device = devices::require(&app, &Principal::Account(caller), &id, Action::Read)?;
    let core = app.ota.rollouts.core.lock();
    let zone = core
        .zones
        .get(&device.id)
        .and_then(|zone| zone.iana_name().map(str::to_owned));
    Ok(Json(ZoneBody { time_zone: zone }))
}

/// Set the time zone of a device
///
/// Maintenance windows of rollouts are meant in it.
#[utoipa::path(put, path = "/devices/{id}/time-zone", tag = "updates", security(("bearer" = [])), request_body = ZoneBody,
    params(("id" = String, Path, description = "The device's id or alias")),
    responses(
        (status = 200, description = "Its time zone now", body = ZoneBody),
        (status = 401, description = "Nobody is signed in", body = Problem),
        (status = 403, description = "You may see the device, but not change it", body = Problem),
        (status = 404, description = "No such device", body = Problem),
        (status = 422, description = "There is no such time zone", body = Problem)))]
async fn put_zone(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ZoneBody>,
) -> ApiResult<Json<ZoneBody>> {
    let device = devices::require(
        &app,
        &Principal::Account(caller.clone()),
        &id,
        Action::Manage,
    )?;
    let zone = body
        .time_zone
        .as_deref()
        .map(|name| check(&["body", "time_zone"], name))
        .transpose()?;
    let name = zone
        .as_ref()
        .and_then(|zone| zone.iana_name().map(str::to_owned));
    let (id, stored) = (device.id, name.clone());
    app.db
        .write(move |c| store::put_zone(c, id, stored.as_deref()))
        .await?;
    {
        let mut core = app.ota.rollouts.core.lock();
        match zone {
            Some(zone) => core.zones.insert(device.id, zone),
            None => core.zones.remove(&device.id),
        };
    }
    app.ota.rollouts.bump();
    let detail = json!({ "time_zone": name });
    identity::audit(
        &app,
        &caller,
        "device.time_zone",
        &device.oid.to_string(),
        detail,
    )
    .await?;
    Ok(Json(ZoneBody { time_zone: name }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_opens_in_the_time_of_the_place() {
        // 2026-03-01T12:00:30Z, a Sunday: 13:00 in Berlin, 21:00 in Tokyo.
        let now = 1_772_366_430_000;
        let windows = [Window {
            weekdays: vec![],
            from: 22 * 60,
            to: 24 * 60,
        }];
        let wait = |zone: &str| {
            next_opening(&windows, &TimeZone::get(zone).expect("a zone"), now)
                .map(|at| (at - now) / 1000)
        };
        assert_eq!(wait("Europe/Berlin"), Some(9 * 3600 - 30));
        assert_eq!(wait("Asia/Tokyo"), Some(3600 - 30));
        assert_eq!(wait("Pacific/Auckland"), Some(21 * 3600 - 30));
        assert_eq!(next_opening(&[], &TimeZone::UTC, now), None);
    }
}
