//! What an operator needs: health, metrics, documentation, backup.

use crate::AppState;
use utoipa_axum::router::OpenApiRouter;

/// What this feature keeps in memory.
#[derive(Default)]
pub struct State {}

impl State {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The routes of this feature.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}

/// Starts the background work of this feature.
pub(crate) fn start(_app: &AppState) {}

/// Completes the description of the API with what no route says of itself.
pub(crate) fn describe(mut api: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    api.info.title = "Espalier".to_owned();
    api.info.version = env!("CARGO_PKG_VERSION").to_owned();
    api
}
