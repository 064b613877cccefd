//! Dashboards and widgets: what people look at and touch.
//!
//! A dashboard belongs to one account; for everybody else it does not exist, except through its read-only
//! link. A widget shows or sets one key of one device; what its value is lives elsewhere (latest telemetry,
//! desired and reported state) and is put beside it when it is read.

mod config;
mod http;
mod logic;
mod rules;
mod share;
mod store;
mod view;

pub use logic::announce;

use crate::AppState;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this part.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(http::create_dashboard, http::list_dashboards))
        .routes(routes!(
            http::get_dashboard,
            http::change_dashboard,
            http::delete_dashboard
        ))
        .routes(routes!(http::set_layout))
        .routes(routes!(share::create, share::revoke))
        .routes(routes!(share::show))
        .routes(routes!(http::create_widget))
        .routes(routes!(
            http::list_widgets,
            http::change_widget,
            http::delete_widget
        ))
        .routes(routes!(http::set_widget_state))
}
