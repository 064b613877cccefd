//! The library as existing web pages and scripts manage it: `/api/ota/upload`, `versions`, `firmware`, `firmware-types`, `delete`
//! and `stats`.
//!
//! Paths, fields and status codes are those of the old system; what was unsafe behind them is not: every call needs a person who
//! is signed in, an upload must be a sound and signed image, and no name of a client becomes a path. It decides nothing of its
//! own but which image is the current one of its type ([`assign`]).

mod assign;
mod http;
mod shape;
mod view;

use super::library;
use crate::AppState;
use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this part.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    let upload = OpenApiRouter::new()
        .routes(routes!(http::upload))
        .layer(DefaultBodyLimit::max(library::MAX_FORM));
    OpenApiRouter::new()
        .merge(upload)
        .routes(routes!(http::versions))
        .routes(routes!(http::firmware))
        .routes(routes!(http::types))
        .routes(routes!(http::delete))
        .routes(routes!(http::stats))
}
