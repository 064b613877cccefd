//! The download of old sketches, as Arduino's `HTTPUpdate` makes it: it says in headers what the board runs and has room for, and obeys
//! 200, 304 and `x-MD5`.

use super::legacy::{offer_for, word};
use super::progress::{Following, refused};
use super::send::{Blob, send, value};
use super::slots::By;
use super::tickets::Ticket;
use crate::devices::cms::{self, Admitted, Failure, LegacyProblem as Problem};
use crate::devices::{self, Device};
use crate::http::{self, Peer, Query};
use crate::identity::{Caller, Identified, Principal};
use crate::ota::fleet::{self, Running};
use crate::ota::library::{Digest, Firmware};
use crate::ota::rollouts::Offer;
use crate::{ApiError, AppState, ota};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use espalier_wire::ota::reasons;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Flash before the first slot: bootloader, partition table, settings.
const BEFORE_SLOTS: u64 = 0x1_0000;

/// The secret of a link.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Link {
    /// From the `firmware_url` of a check.
    ticket: Option<String>,
}

/// What the updater says of its board.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Updater {
    /// SHA-256 at the end of the running sketch.
    sha256: Option<Digest>,
    md5: Option<[u8; 16]>,
    /// The version that the sketch passed on.
    version: Option<String>,
    /// Bytes of the slot for the next image.
    free: Option<u64>,
    /// Bytes of the flash.
    flash: Option<u64>,
    /// What it wants: `sketch`, or an image of a file system.
    mode: Option<String>,
}

impl Updater {
    fn of(headers: &HeaderMap) -> Self {
        let number = |name| word(headers, name).and_then(|text| text.parse().ok());
        let md5 = word(headers, "x-esp32-sketch-md5").and_then(|text| {
            let mut md5 = [0; 16];
            hex::decode_to_slice(text, &mut md5).ok()?;
            Some(md5)
        });
        let digest = headers.get("x-esp32-sketch-sha256");
        Self {
            sha256: digest.and_then(|text| ota::digest(text.to_str().ok()?.trim())),
            md5,
            version: word(headers, "x-esp32-version"),
            free: number("x-esp32-free-space"),
            flash: number("x-esp32-chip-size"),
            mode: word(headers, "x-esp32-mode"),
        }
    }

    /// Bytes that an image may have: none when the flash has no room for a second slot of that size, because then the updater would
    /// write over what runs.
    fn slot(&self) -> Option<u64> {
        let free = self.free?;
        // What a board says is not believed to be a number that can be added to.
        let both = free.saturating_mul(2).saturating_add(BEFORE_SLOTS);
        let single = self.flash.is_some_and(|flash| both > flash);
        Some(if single { 0 } else { free })
    }

    /// Tells whether the board runs this image by its version alone, when it says nothing better.
    fn names(&self, firmware: &Firmware) -> bool {
        let digests = self.sha256.is_some() || self.md5.is_some();
        !digests && !firmware.version.is_empty() && self.version.as_ref() == Some(&firmware.version)
    }
}

/// Give an old sketch, or a person, an image.
#[utoipa::path(get, path = "/api/ota/download/{key}", tag = "firmware",
    security((), ("device" = []), ("bearer" = [])), params(Link,
        ("key" = String, Path, description = "The image's key, e.g. `ESP32_OTA_Base_20260301.120000`")),
    responses((status = 200, description = "The image; `x-MD5` is its MD5", content_type = "application/octet-stream"),
        (status = 304, description = "The board runs it"),
        (status = 401, description = "No link and no token", body = Problem),
        (status = 403, description = "The link is another board's", body = Problem),
        (status = 404, description = "No such image, or the link is used up", body = Problem),
        (status = 409, description = "The image does not fit the board", body = Problem),
        (status = 429, description = "Asked too often", body = Problem),
        (status = 503, description = "Too many boards download", body = Problem)))]
pub async fn download(
    State(app): State<AppState>,
    peer: Peer,
    Extension(who): Extension<Identified>,
    Path(key): Path<String>,
    Query(link): Query<Link>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let nobody = matches!(who, Identified::Nobody);
    let secret = link
        .ticket
        .filter(|_| !matches!(who, Identified::Known(Principal::Account(_))));
    let answer = match (secret, who) {
        (Some(secret), who) => {
            let found = ticket(&app, &secret, &key, &who);
            if nobody {
                match &found {
                    Ok((_, device)) => http::count_device(&app, device.id)?,
                    Err(_) => http::count_stranger(&app, peer)?,
                }
            }
            let (ticket, device) = found?;
            pinned(&app, &device, peer, &headers).await?;
            let updater = Updater::of(&headers);
            // Who follows the same link again has not started what came by it before, whatever else it does not say.
            if !updater.names(&ticket.offer.firmware) {
                fleet::set_fetched(&app, device.id, None);
            }
            let running = hear(&app, &device, &updater);
            board(
                &app,
                &device,
                &running,
                &updater,
                ticket.offer,
                Some(secret),
                &method,
            )
            .await
        }
        (None, Identified::Known(Principal::Device(device))) => {
            with_token(&app, &device, &key, &headers, &method).await
        }
        (None, Identified::Known(Principal::Account(caller))) => {
            person(&app, &caller, &key, &method, &headers).await
        }
        (None, Identified::Nobody) => {
            http::count_stranger(&app, peer)?;
            Err(stranger())
        }
        (None, Identified::Unknown) => Err(stranger()),
    };
    Ok(answer?)
}

fn stranger() -> ApiError {
    ApiError::unauthorized(
        "Firmware is given to boards with a link from `/api/ota/check/{id}` or with their token, and to signed-in people.",
    )
}

fn no_firmware() -> ApiError {
    ApiError::not_found("Firmware")
}

/// What a link stands for, and for which board.
fn ticket(
    app: &AppState,
    secret: &str,
    key: &str,
    who: &Identified,
) -> Result<(Ticket, Arc<Device>), ApiError> {
    let over = || {
        let why = "This link was used or is too old; the board gets a new one with its next check.";
        ApiError::new(StatusCode::NOT_FOUND, "link_over", why)
    };
    let found = app.ota.delivery.tickets.find(secret, app.clock.now_ms());
    let ticket = found.ok_or_else(over)?;
    let device = app.devices.get(ticket.device).ok_or_else(over)?;
    let other = matches!(who, Identified::Known(Principal::Device(own)) if own.id != device.id);
    // A device that was given away since does not take what its owner before sent.
    let given_away = ticket.offer.firmware.owner != device.owner;
    if other || given_away || ticket.offer.firmware.legacy_key != key {
        return Err(no_firmware());
    }
    Ok((ticket, device))
}

/// A board without a token must come from the station that its device is pinned to; the updater is the one that tells the MAC.
async fn pinned(
    app: &AppState,
    device: &Device,
    peer: Peer,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    let Some(legacy) = cms::of(app, device.id).filter(|legacy| legacy.open) else {
        return Ok(());
    };
    let speaks = cms::admit(app, &legacy.legacy_id, peer, headers, &Identified::Nobody).await?;
    match speaks {
        Admitted::Device(found) if found.id == device.id => Ok(()),
        _ => Err(ApiError::forbidden(
            "This link belongs to another board; each board must have an id of its own.",
        )),
    }
}

/// Takes in what the updater says.
fn hear(app: &AppState, device: &Arc<Device>, updater: &Updater) -> Arc<Running> {
    devices::seen(app, device);
    fleet::heard(app, device, |running| {
        running.native = false;
        running.trial = false;
        running.appended_sha256 = updater.sha256;
        running.md5 = updater.md5;
        running.version.clone_from(&updater.version);
        running.slot_bytes = updater.slot();
    })
}

async fn with_token(
    app: &AppState,
    device: &Arc<Device>,
    key: &str,
    headers: &HeaderMap,
    method: &Method,
) -> Result<Response, ApiError> {
    let updater = Updater::of(headers);
    let running = hear(app, device, &updater);
    let firmware = app.ota.library.by_key(key);
    let firmware = firmware.filter(|one| one.owner == device.owner);
    let firmware = firmware.ok_or_else(no_firmware)?;
    if running.sha256 == Some(firmware.sha256) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    // A board gets what it is to install, and nothing else of its owner's library.
    let offer = offer_for(app, device, &running).filter(|offer| offer.firmware.id == firmware.id);
    let offer = offer.ok_or_else(no_firmware)?;
    ota::rollouts::offered(app, device, &offer).await?;
    board(app, device, &running, &updater, offer, None, method).await
}

/// Gives a board what it was offered.
async fn board(
    app: &AppState,
    device: &Arc<Device>,
    running: &Running,
    updater: &Updater,
    offer: Offer,
    secret: Option<String>,
    method: &Method,
) -> Result<Response, ApiError> {
    let firmware = offer.firmware.clone();
    if updater.mode.as_deref().is_some_and(|mode| mode != "sketch") {
        return Err(no_firmware());
    }
    if updater.names(&firmware) {
        fleet::heard(app, device, |running| {
            running.sha256 = Some(firmware.sha256)
        });
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    if running.sha256 == Some(firmware.sha256) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    if let Some(slot) = running.slot_bytes.filter(|slot| *slot < firmware.size) {
        refused(app, device, &offer, reasons::SLOT).await?;
        return Err(does_not_fit(slot, firmware.size));
    }
    // It asks again, so it has not started what was sent before.
    if app.ota.fleet.fetched(device.id).is_some() {
        fleet::set_fetched(app, device.id, None);
    }
    let following = Following::of(app, device, &offer, secret);
    // The updater begins anew when a download broke off, so parts are not given.
    let none = HeaderMap::new();
    let blob = blob(&firmware);
    Ok(named(
        send(app, By::Board(device.id), method, &none, &blob, following).await?,
        &firmware,
    ))
}

fn does_not_fit(slot: u64, size: u64) -> ApiError {
    let why = match slot {
        0 => "This board's flash has one slot for programs, so it cannot be updated over the air; flash it once over USB with a \
              partition table that has two."
            .to_owned(),
        slot => format!("The image has {size} bytes and the board's slot {slot}; make the image smaller or the slot larger."),
    };
    ApiError::conflict("slot", why)
}

fn blob(firmware: &Firmware) -> Blob {
    Blob {
        digest: firmware.sha256,
        size: firmware.size,
    }
}

/// Adds what the updater and browsers read.
fn named(mut response: Response, firmware: &Firmware) -> Response {
    let headers = response.headers_mut();
    headers.insert("x-md5", value(&hex::encode(firmware.md5)));
    let name = format!("attachment; filename=\"{}.bin\"", firmware.legacy_key);
    headers.insert(header::CONTENT_DISPOSITION, value(&name));
    response
}

async fn person(
    app: &AppState,
    caller: &Caller,
    key: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let found = app.ota.library.by_key(key);
    let firmware = found
        .filter(|one| caller.sees(one.owner))
        .ok_or_else(no_firmware)?;
    let blob = blob(&firmware);
    let response = send(app, By::Person(caller.account), method, headers, &blob, ()).await?;
    Ok(named(response, &firmware))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> Updater {
        let mut headers = HeaderMap::new();
        for (name, text) in pairs {
            headers.insert(*name, text.parse().unwrap());
        }
        Updater::of(&headers)
    }

    #[test]
    fn a_flash_without_a_second_slot_has_no_room() {
        let slot = |free: u64, flash: u64| {
            let (free, flash) = (free.to_string(), flash.to_string());
            of(&[("x-esp32-free-space", &free), ("x-esp32-chip-size", &flash)]).slot()
        };
        let flash = 4 << 20;
        // The usual table, the one with small file system, `huge_app` and `no_ota`.
        assert_eq!(slot(0x14_0000, flash), Some(0x14_0000));
        assert_eq!(slot(0x1E_0000, flash), Some(0x1E_0000));
        assert_eq!(slot(0x30_0000, flash), Some(0));
        assert_eq!(slot(0x20_0000, flash), Some(0));
        assert_eq!(of(&[]).slot(), None);
        assert_eq!(slot(u64::MAX, flash), Some(0));
    }

    #[test]
    fn what_is_no_digest_is_not_said() {
        let wrong = of(&[
            ("x-esp32-sketch-md5", "xyz"),
            ("x-esp32-sketch-sha256", "12"),
            ("x-esp32-version", " "),
        ]);
        assert_eq!(wrong, Updater::default());
    }
}
