//! What the access rules say about notifications. An inbox is its account's own; rules can but narrow what
//! the account sees and does in it. Nothing here runs while the rules that ship hold.

use super::notifications::{KEEP, Stored};
use super::store;
use crate::identity::{self, Caller, Collection, RuleData};
use crate::{ApiError, AppState};
use espalier_model::Action;

/// Tells whether the caller may do `action` with a notification of its own.
pub(super) fn permits(app: &AppState, caller: &Caller, action: Action, stored: &Stored) -> bool {
    with(caller, stored, |data| {
        identity::allowed(app, caller, Collection::Notifications, action, data)
    })
}

fn with<T>(caller: &Caller, stored: &Stored, ask: impl FnOnce(&RuleData<'_>) -> T) -> T {
    ask(&RuleData {
        kind: &stored.kind,
        device: stored.device.as_deref().unwrap_or_default(),
        ..RuleData::of(caller.account, &stored.id, &stored.title)
    })
}

/// Every notification of the caller's that may be seen, newest first.
pub(super) async fn visible(app: &AppState, caller: &Caller) -> Result<Vec<Stored>, ApiError> {
    let account = caller.account;
    let read = move |c: &espalier_db::Conn<'_>| store::list(c, account, KEEP, None);
    let mut all = app.db.read(read).await?;
    all.retain(|stored| permits(app, caller, Action::Read, stored));
    Ok(all)
}

/// Refuses what the rules do not permit with one notification.
///
/// # Errors
/// 404 when there is none or it may not be seen, else 403.
pub(super) async fn require(
    app: &AppState,
    caller: &Caller,
    action: Action,
    id: &str,
) -> Result<(), ApiError> {
    if identity::by_default(app) {
        return Ok(());
    }
    let all = visible(app, caller).await?;
    let stored = all.iter().find(|stored| stored.id == id);
    let stored = stored.ok_or_else(|| ApiError::not_found("Notification"))?;
    with(caller, stored, |data| {
        identity::require(app, caller, Collection::Notifications, action, data)
    })
}

/// The ids of the notifications with which the caller may do `action`; nothing means all.
pub(super) async fn chosen(
    app: &AppState,
    caller: &Caller,
    action: Action,
) -> Result<Option<Vec<String>>, ApiError> {
    if identity::by_default(app) {
        return Ok(None);
    }
    let mut all = visible(app, caller).await?;
    all.retain(|stored| permits(app, caller, action, stored));
    Ok(Some(all.into_iter().map(|stored| stored.id).collect()))
}
