//! What every request passes on its way to a feature and back; extractors that features use.
//!
//! It knows no feature but [`crate::identity`], which tells who asks.

mod body;
mod edge;
mod peer;

pub use body::{Json, Query};
pub use peer::Peer;

use crate::{ApiError, AppState};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;

/// The largest request body, bytes; routes that stream raise it for themselves.
pub const MAX_BODY: usize = 1 << 20;

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request that this task serves; empty outside of one.
pub fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Puts the common layers around the routes.
pub(crate) fn wrap(router: Router<AppState>, app: AppState) -> Router {
    router
        .fallback(|| async {
            ApiError::new(
                StatusCode::NOT_FOUND,
                "no_such_path",
                "There is nothing at this path; see /docs for what is.",
            )
        })
        .method_not_allowed_fallback(|| async {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This path does not take this method; see /docs.",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(app.clone(), edge::edge))
        .with_state(app)
}
