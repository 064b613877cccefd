//! Commands: done once by the device and answered, also by devices that sleep.
//!
//! queued → delivered → done or failed; or expired, or cancelled. Delivery is at least once (a device that
//! reconnects gets what it has not answered again, under the same id), the outcome is exactly one: the first
//! answer stands and every later one changes nothing.

mod device_http;
mod http;
mod logic;
mod store;
mod waiters;

pub(crate) use device_http::own_device;
pub use logic::{NewCommand, command_result, expire, pending_commands, send_command};
pub use waiters::Waiters;

use crate::AppState;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this part.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(http::send, http::list))
        .routes(routes!(device_http::pending))
        .routes(routes!(http::get, http::cancel))
        .routes(routes!(device_http::result))
}

/// A command that waits for its device.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingCommand {
    /// The id under which the device answers.
    pub id: String,
    /// What to do.
    pub name: String,
    /// With what.
    pub params: Value,
    /// When it is no longer wanted, milliseconds UTC.
    pub expires_at: i64,
}
