//! What old sketches ask: is there something to install? The answer is a link that works once.
//!
//! Their version text decides nothing: it is compiled in and says what the author wrote, not what runs. A download and what the board
//! says afterwards do.

use super::progress;
use crate::devices::cms::{self, Admitted, Failure, LegacyProblem as Problem};
use crate::devices::{self, Device};
use crate::http::{self, Json, Peer, Raw, parse_body};
use crate::identity::{self, Caller, Identified, Principal};
use crate::ota::fleet::{self, Running};
use crate::ota::library::Firmware;
use crate::ota::rollouts::{self, Decision, Offer};
use crate::{ApiError, AppState, clock};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use espalier_model::Action;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// The type of a sketch or an upload that names none.
pub const DEFAULT_TYPE: &str = "ESP32_PersonalCMS";
/// The version of a sketch that names none.
const DEFAULT_VERSION: &str = "1.0.0";
/// Characters of what a sketch says of itself.
const MAX_WORD: usize = 50;
/// Bytes of an answer. Sketches parse it in a document of 1 KB, where every member costs 16 bytes more.
const MAX_ANSWER: usize = 800;

/// What a sketch may install, or that there is nothing.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum CheckView {
    /// Install this.
    Update(OldUpdate),
    /// Nothing to do.
    Nothing(NothingView),
}

/// What to install.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "LegacyUpdate")]
pub struct OldUpdate {
    /// Always true.
    update_available: bool,
    /// The image's version.
    version: String,
    /// What people say of it, shortened.
    description: String,
    /// Where it is; absolute.
    firmware_url: String,
    /// Bytes.
    file_size: u64,
    /// When it was uploaded (RFC 3339, UTC).
    release_date: String,
    /// `same_type`, `cross_firmware` or `forced_cross_firmware`.
    update_type: &'static str,
    /// The type that the image has.
    target_firmware: String,
}

/// There is nothing to install.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "LegacyNoUpdate")]
pub struct NothingView {
    /// Always false.
    update_available: bool,
    /// Why, in a few words.
    message: &'static str,
    /// The version that the sketch named.
    current_version: String,
}

fn nothing(message: &'static str, current_version: String) -> Json<CheckView> {
    Json(CheckView::Nothing(NothingView {
        update_available: false,
        message,
        current_version,
    }))
}

/// Tell an old sketch whether there is something to install.
#[utoipa::path(get, path = "/api/ota/check/{id}", tag = "firmware", security((), ("device" = [])),
    params(("id" = String, Path, description = "The id compiled into the sketch, or any id of the device"),
        ("X-Device-Version" = Option<String>, Header, description = "The sketch's version"),
        ("X-Device-Type" = Option<String>, Header, description = "The sketch's type")),
    responses((status = 200, description = "What to install, or that there is nothing", body = CheckView),
        (status = 401, description = "Boards without a token are not heard from there", body = Problem),
        (status = 403, description = "A person asked", body = Problem),
        (status = 404, description = "The token is another device's", body = Problem),
        (status = 429, description = "Asked too often", body = Problem)))]
pub async fn check(
    State(app): State<AppState>,
    peer: Peer,
    Extension(who): Extension<Identified>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<CheckView>, Failure> {
    let version = word(&headers, "x-device-version");
    let shown = version
        .clone()
        .unwrap_or_else(|| DEFAULT_VERSION.to_owned());
    let admitted = cms::admit(&app, &id, peer, &headers, &who).await;
    let nobody = matches!(who, Identified::Nobody);
    let device = match admitted {
        Ok(Admitted::Device(device)) => device,
        Ok(Admitted::Quarantined) => {
            http::count_stranger(&app, peer)?;
            return Ok(nothing("No firmware available", shown));
        }
        Err(error) => {
            if nobody {
                http::count_stranger(&app, peer)?;
            }
            return Err(error.into());
        }
    };
    if nobody {
        http::count_device(&app, device.id)?;
    }
    let device_type = word(&headers, "x-device-type");
    let running = hear(&app, &device, version, device_type).await?;
    let Some(offer) = offer_for(&app, &device, &running) else {
        return Ok(nothing("No updates available", shown));
    };
    rollouts::offered(&app, &device, &offer).await?;
    let secret = app
        .ota
        .delivery
        .tickets
        .issue(device.id, &offer, app.clock.now_ms());
    let url = format!(
        "{}?ticket={secret}",
        url_of(&app, &headers, &offer.firmware)
    );
    let same = is_same_type(&offer.firmware, &running);
    Ok(Json(CheckView::Update(view(
        &offer.firmware,
        url,
        offer.forced,
        same,
    ))))
}

/// Takes in what a sketch says when it asks, and settles what became of its last download.
async fn hear(
    app: &AppState,
    device: &Arc<Device>,
    version: Option<String>,
    device_type: Option<String>,
) -> Result<Arc<Running>, ApiError> {
    devices::seen(app, device);
    let waited = app.ota.fleet.fetched(device.id).is_some();
    let known = app
        .ota
        .fleet
        .get(device.id)
        .and_then(|running| running.device_type.clone());
    let running = fleet::heard(app, device, |running| {
        running.native = false;
        running.trial = false;
        running.version = version;
        running.device_type = device_type
            .or(known)
            .or_else(|| Some(DEFAULT_TYPE.to_owned()));
    });
    if waited {
        progress::settled(app).await;
    }
    Ok(running)
}

/// What a sketch is to install.
pub fn offer_for(app: &AppState, device: &Device, running: &Running) -> Option<Offer> {
    let Decision::Offer(offer) = rollouts::decide(app, device, running) else {
        return None;
    };
    let library = &app.ota.library;
    let right = offer.forced || is_same_type(&offer.firmware, running);
    let signed = library.installable(&offer.firmware, app.config.allow_unsigned);
    let runs = running.sha256 == Some(offer.firmware.sha256);
    (right && signed.is_ok() && !runs).then_some(offer)
}

/// An image without a type is none for old sketches.
fn is_same_type(firmware: &Firmware, running: &Running) -> bool {
    firmware.device_type.is_some() && firmware.device_type == running.device_type
}

fn view(firmware: &Firmware, firmware_url: String, forced: bool, same: bool) -> OldUpdate {
    let target = firmware.device_type.clone();
    let mut view = OldUpdate {
        update_available: true,
        version: firmware.version.clone(),
        description: String::new(),
        firmware_url,
        file_size: firmware.size,
        release_date: clock::iso(firmware.created_at),
        update_type: match (same, forced) {
            (true, _) => "same_type",
            (false, true) => "forced_cross_firmware",
            (false, false) => "cross_firmware",
        },
        target_firmware: target.unwrap_or_else(|| firmware.project.clone()),
    };
    let length = serde_json::to_string(&view).map_or(MAX_ANSWER, |text| text.len());
    view.description = shortened(&firmware.description, MAX_ANSWER.saturating_sub(length));
    view
}

/// As much of a text as fits into so many bytes of JSON.
fn shortened(text: &str, room: usize) -> String {
    let mut left = room;
    let fits = |c: &char| {
        let cost = match c {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            c if c.is_control() => 6,
            c => c.len_utf8(),
        };
        let fits = cost <= left;
        left = left.saturating_sub(cost);
        fits
    };
    text.chars().take_while(fits).collect()
}

/// Where an image is, for whoever sends these headers: under the configured URL, else under the name by which they reached this server.
/// Old sketches speak plain HTTP only.
fn url_of(app: &AppState, headers: &HeaderMap, firmware: &Firmware) -> String {
    let configured = &app.config.public_url;
    let plain = configured
        .starts_with("http://")
        .then(|| app.config.base_url());
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let base = plain
        .or_else(|| Some(format!("http://{}", host.filter(|host| is_host(host))?)))
        .unwrap_or_else(|| app.config.base_url().replacen("https://", "http://", 1));
    format!("{base}/api/ota/download/{}", firmware.legacy_key)
}

/// Tells whether a `Host` header names a host and nothing else.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (text, "0"),
    };
    let inner = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let named = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
            (1..=253).contains(&name.len()) && name.chars().all(fits)
        }
    };
    named && port.parse::<u16>().is_ok()
}

/// A word of a sketch, brought within limits.
pub fn word(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    let kept = text.trim().chars().filter(|c| !c.is_control());
    Some(kept.take(MAX_WORD).collect::<String>()).filter(|text| !text.is_empty())
}

/// What to force.
#[derive(Deserialize, ToSchema)]
pub struct ForceUpdateBody {
    /// The type whose newest image the board is to install.
    firmware_type: String,
}

/// Make a board install the newest image of a type, whatever its own type. It stands until the board runs it.
#[utoipa::path(post, path = "/api/ota/force-update/{id}", tag = "firmware", security(("bearer" = [])),
    params(("id" = String, Path, description = "The id compiled into the sketch, or any id of the device")),
    request_body = ForceUpdateBody,
    responses((status = 200, description = "What the board will be told to install", body = OldUpdate),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "No such device, or no image of that type", body = Problem),
        (status = 409, description = "The image does not fit the board, or it runs it already", body = Problem),
        (status = 422, body = Problem)))]
pub async fn force(
    State(app): State<AppState>,
    caller: Result<Caller, ApiError>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<OldUpdate>, Failure> {
    let caller = caller?;
    let who = Principal::Account(caller.clone());
    let device = cms::find_for(&app, &who, &id, Action::Manage)?;
    let ForceUpdateBody { firmware_type } = parse_body(&body)?;
    let newest = app.ota.library.newest_of_type(device.owner, &firmware_type);
    let firmware =
        newest.ok_or_else(|| ApiError::not_found(&format!("Firmware of type {firmware_type}")))?;
    rollouts::force(&app, &caller, &device, firmware.clone()).await?;
    let detail = json!({ "firmware": firmware.id.to_string(), "type": firmware_type });
    identity::audit(
        &app,
        &caller,
        "device.force-update",
        &device.oid.to_string(),
        detail,
    )
    .await?;
    let running = app.ota.fleet.get(device.id).unwrap_or_default();
    let same = is_same_type(&firmware, &running);
    let url = url_of(&app, &headers, &firmware);
    Ok(Json(view(&firmware, url, true, same)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_are_hosts() {
        for good in [
            "espalier.local",
            "192.168.1.2:5000",
            "[fd00::1]:8000",
            "[::1]",
            "a_b-c.example:80",
        ] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "", ":80", "a b", "evil/x", "a:b", "a@b", "[::1", "x:99999", "[zz]:1", "a?b",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn a_description_is_cut_to_what_is_left() {
        assert_eq!(shortened("abc", 2), "ab");
        assert_eq!(shortened("a\"b", 2), "a");
        assert_eq!(shortened("äö", 3), "ä");
        assert_eq!(shortened("abc", 0), "");
    }
}
