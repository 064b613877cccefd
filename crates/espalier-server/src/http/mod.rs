//! What every request passes on its way to a feature and back; extractors that features use.
//!
//! It knows no feature but [`crate::identity`], which tells who asks.

mod body;
mod edge;
pub mod limit;
mod peer;
mod serve;

pub use body::{Json, Query, body_error, parse_body};
pub use edge::{count_device, count_known, count_stranger};
pub use peer::Peer;
pub use serve::serve;

use crate::{ApiError, AppState, Clock, Config};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use std::time::Duration;
use tower::util::option_layer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::timeout::RequestBodyTimeoutLayer;

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

/// How long a body may pause while it is sent; slower senders hold resources for nothing.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request that this task serves; empty outside of one.
pub fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// Puts the common layers around the routes.
pub(crate) fn wrap(router: Router<AppState>, app: AppState) -> Router {
    let cors = (!app.config.cors_origins.is_empty()).then(|| cors(&app.config));
    router
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
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(RequestBodyTimeoutLayer::new(BODY_PATIENCE))
        .layer(from_fn_with_state(app.clone(), edge::edge))
        .layer(option_layer(cors))
        .with_state(app)
}

/// Other sites may call the API from a browser only when the operator named them, and never with cookies.
fn cors(config: &Config) -> CorsLayer {
    let origins: Vec<HeaderValue> = config
        .cors_origins
        .iter()
        .filter_map(|origin| origin.parse().ok())
        .collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("x-api-key"),
        ])
}
