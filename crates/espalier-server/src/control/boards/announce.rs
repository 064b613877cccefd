//! Telling who watches that widgets have changed.

use super::rules;
use super::store;
use super::view::{Values, WidgetView, account_may};
use crate::devices::Device;
use crate::{ApiError, AppState, live};
use espalier_db::Conn;
use espalier_model::{AccountId, Action};
use std::sync::Arc;

/// Tells an account's readers how a widget is now.
pub fn tell(app: &AppState, account: AccountId, view: &WidgetView) {
    if let Ok(widget) = serde_json::to_value(view) {
        let dashboard = view.dashboard_id.clone();
        live::publish(
            app,
            live::Event::Widget {
                account,
                dashboard,
                widget,
            },
        );
    }
}

/// Tells who watches that the desired or reported state of these keys changed, as widgets. A failure is
/// logged: the change itself is stored, and every reader sees it at its next look.
pub async fn announce(app: &AppState, device: &Arc<Device>, keys: &[String]) {
    if let Err(error) = try_announce(app, device, keys).await {
        tracing::warn!(device = %device.oid, %error, "cannot tell about changed widgets");
    }
}

async fn try_announce(
    app: &AppState,
    device: &Arc<Device>,
    keys: &[String],
) -> Result<(), ApiError> {
    if keys.is_empty() {
        return Ok(());
    }
    let (id, keys) = (device.id, keys.to_vec());
    let find = move |c: &Conn<'_>| {
        let mut found = Vec::new();
        for key in &keys {
            found.extend(store::widgets_on(c, id, key)?);
        }
        Ok::<_, espalier_db::Error>(found)
    };
    let mut widgets = app.db.read(find).await?;
    widgets.retain(|w| account_may(device, w.account, Action::Read));
    let widgets = rules::keep_told(app, device, widgets).await?;
    if widgets.is_empty() {
        return Ok(());
    }
    let values = Values::read(app, &widgets, |_| true).await?;
    for widget in &widgets {
        tell(app, widget.account, &values.view(app, widget));
    }
    Ok(())
}
