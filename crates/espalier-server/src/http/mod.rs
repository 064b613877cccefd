//! What every request passes on its way to a feature and back; extractors that features use.
//!
//! It knows no feature but [`crate::identity`], which tells who asks.

mod body;
mod edge;
pub mod limit;
mod peer;
mod serve;
mod site;

pub use body::{Json, Query, Raw, body_error, parse_body};
pub use edge::{count_device, count_known, count_stranger};
pub use peer::Peer;
pub use serve::serve;
pub use site::Site;

use crate::{ApiError, AppState, Clock, Config};
use axum::Router;
use axum::http::StatusCode;

/// The largest request body, bytes; routes that stream raise it for themselves.
pub const MAX_BODY: usize = 1 << 20;

/// What the transport layer keeps in memory.
pub struct State {
    /// Counts requests per principal.
    pub limiter: limit::Limiter,
}

impl State {
    /// Prepares the limiter.
    pub fn new(config: &Config, clock: &Clock) -> Self {
        Self {
            limiter: limit::Limiter::new(config, clock),
        }
    }
}

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request that this task serves; empty outside of one.
pub fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Puts what every request passes around the routes.
pub(crate) fn wrap(router: Router<AppState>, app: AppState) -> Site {
    let routes = router
        .fallback(|| async {
            ApiError::new(
                StatusCode::NOT_FOUND,
                "no_such_path",
                "There is nothing at this path; see /docs for what is.",
            )
        })
        .method_not_allowed_fallback(|| async {
            let sentence = "This path does not take this method; see /docs for what it takes.";
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                sentence,
            )
        })
        .with_state(app.clone());
    Site::new(app, routes)
}
