//! Who speaks for the id of an old board: the one decision that every old path asks for.

use super::pin::{self, Station};
use super::said::Said;
use super::{claim, legacy};
use crate::devices::Device;
use crate::error::ApiResult;
use crate::http::Peer;
use crate::identity::{Identified, Principal};
use crate::{ApiError, AppState, random};
use axum::http::HeaderMap;
use std::sync::Arc;

/// Who was let in.
#[derive(Debug, Clone)]
pub enum Admitted {
    /// The device for which the request speaks.
    Device(Arc<Device>),
    /// A board that nobody claimed, or that claims to be another's: it is answered 200 in the shape it knows, told nothing that
    /// it did not say itself, and nothing is stored of it.
    Quarantined,
}

/// Decides who speaks for `id` on an old path.
///
/// - With a device's token it is that device, if the id is one of its names.
/// - Without a credential it is the device that its owner opened to old boards and that is pinned to the request's station.
/// - Everybody else, whether the id is known or not, waits in quarantine, where `legacy_boards` lets boards speak at all.
///
/// # Errors
/// 401 for a wrong credential, and where old boards may not speak or were blocked; 403 for a person; 404 when the token is another
/// device's or the id cannot be one.
pub async fn admit(
    app: &AppState,
    id: &str,
    peer: Peer,
    headers: &HeaderMap,
    who: &Identified,
) -> ApiResult<Admitted> {
    let said = Said::of_headers(headers);
    speak(app, id, peer, headers, who, said).await
}

/// The same for a request that says more of the board, in case that it has to wait.
pub(super) async fn speak(
    app: &AppState,
    id: &str,
    peer: Peer,
    headers: &HeaderMap,
    who: &Identified,
    said: Said,
) -> ApiResult<Admitted> {
    match who {
        Identified::Known(Principal::Device(device)) if legacy::names(app, id, device) => {
            Ok(Admitted::Device(device.clone()))
        }
        Identified::Known(Principal::Device(_)) => Err(ApiError::not_found("Device")),
        Identified::Known(Principal::Account(_)) => Err(ApiError::forbidden(
            "A person cannot speak for a board; send the board's token.",
        )),
        Identified::Unknown => Err(ApiError::unauthorized(
            "The token is wrong or was renewed; send the device's token, or none.",
        )),
        Identified::Nobody => stranger(app, id, peer, headers, said).await,
    }
}

/// Whether a request comes from the old board of this device. Unlike [`admit`] it only looks: who guesses at a link is nobody who
/// waits to be claimed.
pub fn is_from(app: &AppState, device: &Device, peer: Peer, headers: &HeaderMap) -> bool {
    let station = Station::of(peer, headers);
    let Some(known) = legacy::of(app, device.id) else {
        return false;
    };
    let id = known.legacy_id.to_string();
    pin::may_speak(app.config.legacy_boards, peer, headers)
        && !claim::is_blocked(app, &id, station)
        && legacy::at(app, &id, station).is_some_and(|found| found.id == device.id)
}

async fn stranger(
    app: &AppState,
    id: &str,
    peer: Peer,
    headers: &HeaderMap,
    said: Said,
) -> ApiResult<Admitted> {
    let station = Station::of(peer, headers);
    let silent = !pin::may_speak(app.config.legacy_boards, peer, headers);
    if silent || claim::is_blocked(app, id, station) {
        return Err(ApiError::unauthorized(
            "Boards without a token are not heard from here; send the device's token, or ask the operator about \
             `legacy_boards`.",
        ));
    }
    if !pin::is_id(id) {
        return Err(ApiError::not_found("Device"));
    }
    if let Some(device) = legacy::at(app, id, station) {
        follow(app, &device, station).await?;
        return Ok(Admitted::Device(device));
    }
    let (now, fresh) = (app.clock.now_ms(), random::oid(&app.clock));
    let mut waiting = app.devices.cms.waiting.lock();
    waiting.heard(id, station, said, now, fresh);
    Ok(Admitted::Quarantined)
}

/// So long after a board was heard at its address nobody else moves it to another one, milliseconds.
const STAYS_MS: i64 = 120_000;

/// Learns the MAC of a board when it first sends it, and follows a known MAC to another address of the own network: routers
/// give boards new ones. A board that is still heard where it was has not moved, whoever shows its MAC.
async fn follow(app: &AppState, device: &Device, station: Station) -> ApiResult<()> {
    let Some(known) = legacy::of(app, device.id) else {
        return Ok(());
    };
    let now = app.clock.now_ms();
    if known.address == Some(station.address) {
        app.devices.cms.heard.lock().insert(device.id, now);
    }
    let Some(mac) = station.mac else {
        return Ok(());
    };
    let heard = app.devices.cms.heard.lock().get(&device.id).copied();
    let stays = heard.is_some_and(|at| at + STAYS_MS > now);
    let moved = known
        .address
        .filter(|address| *address != station.address && !stays);
    let moved = moved.is_some_and(|from| pin::is_local(from) && pin::is_local(station.address));
    if known.mac.is_some() && !moved {
        return Ok(());
    }
    legacy::change(app, device.id, &known.legacy_id, move |legacy| {
        legacy.mac = Some(mac);
        if moved {
            legacy.address = Some(station.address);
        }
    })
    .await?;
    Ok(())
}
