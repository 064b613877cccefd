//! Dashboards and widgets: what people look at and touch.
//!
//! A dashboard belongs to one account; for everybody else it does not exist, except through its read-only
//! link. A widget shows or sets one key of one device; what its value is lives elsewhere (latest telemetry,
//! desired and reported state) and is put beside it when it is read.

mod announce;
mod config;
mod http;
mod logic;
mod rules;
mod share;
mod store;
mod view;
mod widgets;

pub use announce::announce;

use crate::AppState;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this part.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(
            http::dashboards::create_dashboard,
            http::dashboards::list_dashboards
        ))
        .routes(routes!(
            http::dashboards::get_dashboard,
            http::dashboards::change_dashboard,
            http::dashboards::delete_dashboard
        ))
        .routes(routes!(http::dashboards::set_layout))
        .routes(routes!(share::create, share::revoke))
        .routes(routes!(share::show))
        .routes(routes!(http::widgets::create_widget))
        .routes(routes!(
            http::widgets::list_widgets,
            http::widgets::change_widget,
            http::widgets::delete_widget
        ))
        .routes(routes!(http::widgets::set_widget_state))
}
