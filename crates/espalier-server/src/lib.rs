//! The product, as a library: one folder per feature, entered by its face.
//!
//! Reading order: `app.rs` (what a running server holds), `error.rs` (how failures reach people), `http/`
//! (what every request passes), then the features:
//!
//! - [`identity`]: accounts, sessions, API keys, roles, access rules, audit log
//! - [`devices`]: boards, their tokens, aliases, groups, shares, presence and events
//! - [`telemetry`]: what boards measure: ingest, latest state, history, export and import
//! - [`control`]: dashboards, widgets, desired and reported state, commands
//! - [`live`]: what is pushed: app socket, server-sent events, device socket, notifications
//! - [`ota`]: firmware: library, releases, rollouts, delivery
//! - [`screens`]: pictures, texts and dashboards for boards with a screen
//! - [`ops`]: health, metrics, documentation, backup
//! - [`pages`]: the files of the web app
//!
//! A request takes three hops in one folder: `http.rs` (convert) → `logic.rs` (decide) → `store.rs` (SQL).
//! Invariant: no rule lives in a transport; what two transports can reach is a function of a feature's face.

pub mod app;
pub mod clock;
pub mod config;
pub mod control;
pub mod devices;
pub mod error;
pub mod http;
pub mod identity;
pub mod live;
pub mod ops;
pub mod ota;
pub mod pages;
pub mod random;
pub mod screens;
pub mod telemetry;

pub use app::{App, AppState};
pub use clock::Clock;
pub use config::Config;
pub use error::ApiError;

use utoipa_axum::router::OpenApiRouter;

/// Every route of the product with its description.
fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(identity::routes())
        .merge(devices::routes())
        .merge(telemetry::routes())
        .merge(control::routes())
        .merge(live::routes())
        .merge(ota::routes())
        .merge(screens::routes())
        .merge(ops::routes())
        .merge(pages::routes())
}

/// A running server as one service: every route, and what a request passes on its way there and back.
pub fn site(app: AppState) -> http::Site {
    let (router, _) = routes().split_for_parts();
    http::wrap(router, app)
}

/// The same as a router, for whoever mounts it into another.
pub fn router(app: AppState) -> axum::Router {
    axum::Router::new().fallback_service(site(app))
}

/// The OpenAPI description of every route.
pub fn openapi() -> utoipa::openapi::OpenApi {
    ops::describe(routes().split_for_parts().1)
}
