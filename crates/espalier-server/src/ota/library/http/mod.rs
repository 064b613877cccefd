//! The routes of the library.

mod firmware;
mod keys;
mod releases;
mod view;

use crate::AppState;
use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this part.
pub fn routes() -> OpenApiRouter<AppState> {
    let uploads = OpenApiRouter::new()
        .routes(routes!(firmware::list, firmware::upload))
        .routes(routes!(firmware::inspect))
        .layer(DefaultBodyLimit::max(super::firmware::MAX_FORM));
    OpenApiRouter::new()
        .merge(uploads)
        .routes(routes!(firmware::get, firmware::patch, firmware::delete))
        .routes(routes!(firmware::image))
        .routes(routes!(firmware::sign))
        .routes(routes!(keys::list, keys::add))
        .routes(routes!(keys::retire))
        .routes(routes!(keys::get_set, keys::put_set))
        .routes(routes!(releases::list, releases::create))
        .routes(routes!(releases::get, releases::patch, releases::delete))
        .routes(routes!(releases::withdraw))
}
