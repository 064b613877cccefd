//! Who may use a device: sharing it, giving it away, renewing its token.

use super::logic::{self, Note};
use super::{Device, store};
use crate::identity::Caller;
use crate::live::{self, Event};
use crate::{ApiError, AppState, identity, random};
use espalier_db::Conn;
use espalier_model::{AccountId, DeviceId, Role, ShareRole};
use serde_json::json;
use std::sync::Arc;

/// With how many accounts a device can be shared.
const MAX_SHARES: usize = 100;

/// An account as somebody named it: by e-mail, username or id.
pub struct Named {
    pub id: AccountId,
    pub username: String,
    pub role: Role,
}

/// Finds the account that somebody named.
///
/// # Errors
/// 404 when nobody active has this name.
pub async fn named(app: &AppState, who: &str) -> Result<Named, ApiError> {
    let login = who.trim().to_lowercase();
    let found = app.db.read(move |c| store::account(c, &login)).await?;
    found.ok_or_else(|| {
        ApiError::new(
            axum::http::StatusCode::NOT_FOUND,
            "no_such_account",
            "There is no account with this e-mail or username; ask them for the one they sign in with.",
        )
    })
}

/// Makes an account that just lost sight of a device see it go. Its current audience does not hear of it.
pub fn vanish(app: &AppState, device: &Device, account: AccountId) {
    let seen_by_them = Device {
        owner: account,
        shares: Vec::new(),
        ..device.clone()
    };
    live::publish(
        app,
        Event::DeviceRemoved {
            device: Arc::new(seen_by_them),
        },
    );
}

/// Makes a device appear where it can be seen now.
pub fn appear(app: &AppState, device: &Arc<Device>) {
    live::publish(
        app,
        Event::DeviceAdded {
            device: device.clone(),
        },
    );
}

/// Shares a device, or changes the role in which it is shared.
///
/// # Errors
/// 404 for an unknown account, 409 for the owner's own or when it is shared with too many.
pub async fn share(
    app: &AppState,
    caller: &Caller,
    device: &Device,
    with: &str,
    role: ShareRole,
) -> Result<Share, ApiError> {
    let (app, caller, id) = (app.clone(), caller.clone(), device.id);
    let to = named(&app, with).await?;
    logic::to_the_end(&app.clone(), async move {
        let (account, now) = (to.id, app.clock.now_ms());
        let detail = json!({ "with": to.username, "role": role, "by": caller.username });
        let mut before = None;
        let audit = detail.clone();
        let shared = logic::change(
            &app,
            id,
            |old| {
                before = old.shared_with(account);
                let shares = with_share(old, account, role)?;
                let new = Device {
                    shares,
                    ..old.clone()
                };
                Ok(Some((new, Note::new("shared", detail))))
            },
            move |c, device| {
                store::put_share(c, device.id, account, role, now).map_err(logic::stored)
            },
        )
        .await?;
        identity::audit(
            &app,
            &caller,
            "device.share",
            &shared.oid.to_string(),
            audit,
        )
        .await?;
        // A changed role is told too: an open page must not offer what would be refused.
        if before != Some(role) {
            appear(&app, &shared);
        }
        let since = shares(&app, &shared).await?;
        let since = since.iter().find(|share| share.account == account);
        let since = since.map_or(now, |share| share.since);
        Ok(Share {
            account,
            username: to.username,
            role,
            since,
        })
    })
    .await
}

fn with_share(
    old: &Device,
    account: AccountId,
    role: ShareRole,
) -> Result<Vec<(AccountId, ShareRole)>, ApiError> {
    if old.owner == account {
        return Err(ApiError::conflict(
            "is_owner",
            "This account owns the device; there is nothing to share with it.",
        ));
    }
    let mut shares = old.shares.clone();
    if let Some(entry) = shares.iter_mut().find(|(to, _)| *to == account) {
        entry.1 = role;
        return Ok(shares);
    }
    if shares.len() >= MAX_SHARES {
        return Err(ApiError::conflict(
            "too_many_shares",
            format!("A device can be shared with at most {MAX_SHARES} accounts; remove one first."),
        ));
    }
    shares.push((account, role));
    Ok(shares)
}

/// Ends a share; the account loses the device at once.
///
/// # Errors
/// 404 when it is not shared with this account.
pub async fn unshare(
    app: &AppState,
    caller: &Caller,
    device: &Device,
    with: Named,
) -> Result<(), ApiError> {
    let (app, caller, id) = (app.clone(), caller.clone(), device.id);
    logic::to_the_end(&app.clone(), async move {
        let account = with.id;
        let detail = json!({ "with": with.username, "by": caller.username });
        let audit = detail.clone();
        let left = logic::change(
            &app,
            id,
            |old| {
                let mut new = old.clone();
                new.shares.retain(|(to, _)| *to != account);
                if new.shares.len() == old.shares.len() {
                    return Err(ApiError::not_found("Share"));
                }
                Ok(Some((new, Note::new("unshared", detail))))
            },
            move |c, device| store::delete_share(c, device.id, account).map_err(logic::stored),
        )
        .await?;
        identity::audit(
            &app,
            &caller,
            "device.unshare",
            &left.oid.to_string(),
            audit,
        )
        .await?;
        vanish(&app, &left, account);
        Ok(())
    })
    .await
}

/// One share, for people to read.
pub struct Share {
    pub account: AccountId,
    pub username: String,
    pub role: ShareRole,
    pub since: i64,
}

/// With whom a device is shared.
///
/// # Errors
/// Fails when the database does.
pub async fn shares(app: &AppState, device: &Device) -> Result<Vec<Share>, ApiError> {
    let id = device.id;
    Ok(app.db.read(move |c| store::shares(c, id)).await?)
}

/// Gives a device to another account. Everybody it was shared with loses it: the new owner did not choose them.
///
/// # Errors
/// 404 for an unknown account, 409 when it owns the device already or may not own devices.
pub async fn transfer(
    app: &AppState,
    caller: &Caller,
    device: &Device,
    to: &str,
) -> Result<Arc<Device>, ApiError> {
    let (app, caller, id) = (app.clone(), caller.clone(), device.id);
    let to = named(&app, to).await?;
    if to.role == Role::Viewer {
        return Err(ApiError::conflict(
            "cannot_own",
            "This account is a viewer and cannot own devices; share the device instead.",
        ));
    }
    logic::to_the_end(&app.clone(), async move {
        let detail = json!({ "to": to.username, "by": caller.username });
        let audit = detail.clone();
        let asker = caller.clone();
        let check = move |old: &Device| {
            // Looked at again under the lock: of two transfers at once, the second is no longer the owner's.
            if old.owner != asker.account && !asker.role.is_admin() {
                return Err(ApiError::not_found("Device"));
            }
            if old.owner == to.id {
                return Err(ApiError::conflict(
                    "is_owner",
                    "This account owns the device already.",
                ));
            }
            Ok(())
        };
        let note = Note::new("transferred", detail);
        let given = give(&app, id, to.id, None, note, check, |_| Ok(())).await?;
        identity::audit(
            &app,
            &caller,
            "device.transfer",
            &given.oid.to_string(),
            audit,
        )
        .await?;
        Ok(given)
    })
    .await
}

/// Lets a device change hands when `check` agrees with what is in memory and `proof` with what is stored;
/// codes to claim it are used up. With a `token` digest, the device gets it in place of the one that its former
/// owner may know; an unclaimed device keeps its own, which only the board and who prepared it know.
pub async fn give(
    app: &AppState,
    id: DeviceId,
    to: AccountId,
    token: Option<[u8; 32]>,
    note: Note,
    check: impl FnOnce(&Device) -> Result<(), ApiError>,
    proof: impl Fn(&Conn<'_>) -> Result<(), ApiError> + Send + 'static,
) -> Result<Arc<Device>, ApiError> {
    let mut before = None;
    let given = logic::change(
        app,
        id,
        |old| {
            check(old)?;
            before = Some(old.clone());
            let new = Device {
                owner: to,
                shares: Vec::new(),
                unclaimed: false,
                token_digest: token.filter(|_| !old.unclaimed).unwrap_or(old.token_digest),
                ..old.clone()
            };
            Ok(Some((new, note)))
        },
        move |c, device| {
            proof(c)?;
            store::delete_shares(c, device.id).map_err(logic::stored)?;
            store::use_up_claims(c, device.id).map_err(logic::stored)
        },
    )
    .await?;
    live::recheck_device(app, id);
    for account in before.iter().flat_map(Device::audience) {
        if account != to {
            vanish(app, &given, account);
        }
    }
    appear(app, &given);
    Ok(given)
}

/// Gives a device a new token and returns it; the old one is dead at once, and so is what it opened.
///
/// # Errors
/// Fails when the database does.
pub async fn rotate(
    app: &AppState,
    caller: &Caller,
    device: &Device,
) -> Result<(Arc<Device>, String), ApiError> {
    let (app, caller, id) = (app.clone(), caller.clone(), device.id);
    logic::to_the_end(&app.clone(), async move {
        let token = hex::encode(random::bytes::<16>());
        let token_digest = random::digest(&token);
        let note = Note::new("token_rotated", json!({ "by": caller.username }));
        let renewed = logic::change(
            &app,
            id,
            |old| {
                Ok(Some((
                    Device {
                        token_digest,
                        ..old.clone()
                    },
                    note,
                )))
            },
            |_, _| Ok(()),
        )
        .await?;
        live::recheck_device(&app, id);
        identity::audit(
            &app,
            &caller,
            "device.rotate_token",
            &renewed.oid.to_string(),
            json!({}),
        )
        .await?;
        Ok((renewed, token))
    })
    .await
}
