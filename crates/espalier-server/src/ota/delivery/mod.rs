//! Boards ask what to install, fetch it and report: ours with their token, old Arduino sketches with a link that works once.
//!
//! - `native`: `/device/update…` for boards with our firmware
//! - `legacy`, `download`: `/api/ota/check`, `/api/ota/download`, `/api/ota/force-update` for old sketches
//! - `tickets`: the secret in such a link
//! - `send`, `range`, `slots`: bytes on their way
//! - `progress`: what is known of a board that does not report
//!
//! It turns decisions of [`super::rollouts`] into answers and knows no rule of its own about who gets what, but two: nothing is
//! offered that runs already, and an image of another type is never given to an old sketch unless a person wants that.

mod download;
mod legacy;
mod native;
mod progress;
mod range;
mod send;
mod slots;
mod tickets;

pub use legacy::DEFAULT_TYPE;
pub use progress::{not_taken, settled, tick};

use crate::AppState;
use crate::error::ApiResult;
use crate::ota::library::Firmware;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use espalier_model::AccountId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What lives in memory.
#[derive(Default)]
pub struct State {
    slots: slots::Slots,
    tickets: tickets::Tickets,
    progress: progress::Progress,
}

/// Gives a person an image, whole or in part. It takes a place among the downloads: slow readers of many images must not keep
/// them all in memory.
///
/// # Errors
/// 503 when too many download; 404 or 500 when the file is missing or damaged.
pub async fn to_person(
    app: &AppState,
    account: AccountId,
    (method, headers): (&Method, &HeaderMap),
    image: &Firmware,
) -> ApiResult<Response> {
    let blob = send::Blob {
        digest: image.sha256,
        size: image.size,
    };
    send::send(app, slots::By::Person(account), method, headers, &blob, ()).await
}

/// The routes of this part.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(native::check))
        .routes(routes!(native::image))
        .routes(routes!(native::patch))
        .routes(routes!(native::report))
        .routes(routes!(legacy::check))
        .routes(routes!(legacy::force))
        .routes(routes!(download::download))
}

/// Starts the background work of this part.
pub(super) fn start(app: &AppState) {
    progress::start(app);
}
