//! What admins do with accounts: list, create, change, disable, delete, invite.
//!
//! Two rules hold for all of it: only an owner touches owners, and an installation never loses its last
//! active owner.

use super::accounts::{self, NewAccount, last_owner};
use super::rules::{self, Collection, RuleData};
use super::store::accounts::{self as store, Account, Changes};
use super::store::one_time::{self, Kind, OneTime};
use super::{Caller, Revoked, sessions, validate};
use crate::{ApiError, AppState, random};
use espalier_model::{AccountId, Action, Role};
use serde_json::json;

/// How long an invitation is good unless the admin says otherwise, hours: a week.
pub const INVITE_HOURS: u32 = 7 * 24;
/// The longest an invitation may be good, hours: 90 days.
const MAX_INVITE_HOURS: u32 = 90 * 24;

/// What an admin wants to change about an account.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The role.
    pub role: Option<Role>,
    /// Whether it may sign in.
    pub is_active: Option<bool>,
    /// The name; empty removes it.
    pub full_name: Option<String>,
}

/// Refuses what the access rules do not permit with an account. No rule holds for owners: whatever was
/// saved, somebody can still help the others.
///
/// # Errors
/// 404 when the account may not even be seen, else 403.
pub fn by_rules(
    app: &AppState,
    caller: &Caller,
    account: &Account,
    action: Action,
) -> Result<(), ApiError> {
    if caller.role == Role::Owner {
        return Ok(());
    }
    let id = account.id.to_string();
    let data = RuleData {
        kind: account.role.as_str(),
        ..RuleData::of(account.id, &id, &account.username)
    };
    rules::require(app, caller, Collection::Users, action, &data)
}

/// Refuses to make an account or invitation that the access rules do not permit.
fn new_by_rules(app: &AppState, caller: &Caller, name: &str, role: Role) -> Result<(), ApiError> {
    if caller.role == Role::Owner {
        return Ok(());
    }
    let data = RuleData {
        kind: role.as_str(),
        ..RuleData::of(AccountId(uuid::Uuid::nil()), "", name)
    };
    rules::require_new(app, caller, Collection::Users, Action::Manage, &data)
}

/// One page of the accounts that the caller may see, and how many there are.
///
/// # Errors
/// Fails when the database does.
pub async fn page(
    app: &AppState,
    caller: &Caller,
    search: String,
    offset: i64,
    limit: i64,
) -> Result<(Vec<Account>, i64), ApiError> {
    if caller.role == Role::Owner || rules::by_default(app) {
        let read = move |c: &espalier_db::Conn<'_>| store::page(c, &search, offset, limit);
        return Ok(app.db.read(read).await?);
    }
    let read = move |c: &espalier_db::Conn<'_>| store::page(c, &search, 0, i64::from(i32::MAX));
    let (mut all, _) = app.db.read(read).await?;
    all.retain(|account| by_rules(app, caller, account, Action::Read).is_ok());
    let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let (skip, take) = (usize::try_from(offset), usize::try_from(limit));
    let page = all.into_iter().skip(skip.unwrap_or(usize::MAX));
    Ok((page.take(take.unwrap_or_default()).collect(), total))
}

fn may_touch(caller: &Caller, role: Role) -> Result<(), ApiError> {
    if role == Role::Owner && caller.role != Role::Owner {
        return Err(ApiError::forbidden(
            "Only an owner may do this with an owner.",
        ));
    }
    Ok(())
}

/// Creates an account. Without a password it gets one by a link ([`super::invite_link_for`]).
///
/// # Errors
/// 422 when a field is wrong, 400 when a name is taken, 403 when an admin wants to make an owner.
pub async fn create(
    app: &AppState,
    caller: &Caller,
    new: NewAccount,
    password: Option<String>,
) -> Result<Account, ApiError> {
    may_touch(caller, new.role)?;
    new_by_rules(app, caller, &new.username, new.role)?;
    let role = new.role;
    let id = match password {
        Some(password) => accounts::create_account(app, NewAccount { password, ..new }).await?,
        None => without_password(app, &new).await?,
    };
    let account = super::account(app, id).await?;
    let detail = json!({ "username": account.username, "role": role });
    super::audit(app, caller, "user.create", &id.to_string(), detail).await?;
    Ok(account)
}

async fn without_password(app: &AppState, new: &NewAccount) -> Result<AccountId, ApiError> {
    let full_name = new
        .full_name
        .as_deref()
        .map(validate::full_name)
        .transpose()?;
    let created =
        accounts::create_account_without_password(app, &new.email, &new.username, new.role);
    let id = created.await?;
    let changes = Changes {
        full_name,
        ..Changes::default()
    };
    app.db
        .write(move |c| store::update(c, id, &changes))
        .await?;
    Ok(id)
}

/// Changes an account. A new role holds at once; disabling ends its sessions and sockets at once.
///
/// # Errors
/// 404 without such an account, 403 for an owner when the caller is none, 409 for oneself and for the last
/// owner.
pub async fn change(
    app: &AppState,
    caller: &Caller,
    id: AccountId,
    wanted: Wanted,
) -> Result<Account, ApiError> {
    let changes = Changes {
        role: wanted.role,
        is_active: wanted.is_active,
        full_name: wanted
            .full_name
            .as_deref()
            .map(validate::full_name)
            .transpose()?,
        ..Changes::default()
    };
    let (at, who, row) = (app.clone(), caller.clone(), changes.clone());
    let account = app
        .db
        .write(move |c| {
            let before = store::get(c, id)?.ok_or_else(|| ApiError::not_found("User"))?;
            by_rules(&at, &who, &before, Action::Manage)?;
            check(c, &who, &before, &row)?;
            store::update(c, id, &row)?;
            if row.is_active == Some(false) {
                super::store::sessions::delete_all(c, id)?;
            }
            store::get(c, id)?.ok_or_else(|| ApiError::not_found("User"))
        })
        .await?;
    if changes.is_active == Some(false) || changes.role.is_some() {
        // With a new role the sessions stay, but sockets must be opened again.
        sessions::revoked(app, Revoked::Account(id));
    }
    let detail = json!({ "role": wanted.role, "is_active": wanted.is_active, "full_name": wanted.full_name });
    super::audit(app, caller, "user.update", &id.to_string(), detail).await?;
    Ok(account)
}

fn check(
    c: &espalier_db::Conn<'_>,
    caller: &Caller,
    before: &Account,
    changes: &Changes,
) -> Result<(), ApiError> {
    may_touch(caller, before.role)?;
    if let Some(role) = changes.role {
        may_touch(caller, role)?;
    }
    let demoted = changes.role.is_some_and(|role| role < before.role);
    let disabled = changes.is_active == Some(false);
    if (demoted || disabled) && before.id == caller.account {
        return Err(ApiError::conflict(
            "own_account",
            "You cannot demote or disable yourself; ask another admin.",
        ));
    }
    if (demoted || disabled)
        && before.role == Role::Owner
        && store::active_with_role(c, Role::Owner, before.id)? == 0
    {
        return Err(last_owner());
    }
    Ok(())
}

/// Deletes an account with everything that belongs to it.
///
/// # Errors
/// As [`change`].
pub async fn delete(app: &AppState, caller: &Caller, id: AccountId) -> Result<(), ApiError> {
    if id == caller.account {
        return Err(ApiError::conflict(
            "own_account",
            "You cannot delete yourself here; use DELETE /me.",
        ));
    }
    let account = app
        .db
        .read(move |c| store::get(c, id))
        .await?
        .ok_or_else(|| ApiError::not_found("User"))?;
    by_rules(app, caller, &account, Action::Own)?;
    may_touch(caller, account.role)?;
    accounts::delete(app, id).await?;
    let detail = json!({ "username": account.username, "email": account.email });
    super::audit(app, caller, "user.delete", &id.to_string(), detail).await
}

/// Makes a link with which an account chooses a new password; the admin passes it on.
///
/// # Errors
/// 404 without such an account, 403 for an owner when the caller is none.
pub async fn reset_link(
    app: &AppState,
    caller: &Caller,
    id: AccountId,
) -> Result<String, ApiError> {
    let account = app
        .db
        .read(move |c| store::get(c, id))
        .await?
        .ok_or_else(|| ApiError::not_found("User"))?;
    by_rules(app, caller, &account, Action::Own)?;
    may_touch(caller, account.role)?;
    let link = super::invite_link_for(app, id).await?;
    super::audit(app, caller, "user.reset-link", &id.to_string(), json!({})).await?;
    Ok(link)
}

/// Creates an invitation and returns it with its code, in clear for the only time.
///
/// # Errors
/// 422 when a field is wrong, 403 when an admin invites an owner.
pub async fn invite(
    app: &AppState,
    caller: &Caller,
    email: Option<&str>,
    role: Role,
    hours: u32,
) -> Result<(OneTime, String), ApiError> {
    may_touch(caller, role)?;
    new_by_rules(app, caller, email.unwrap_or_default(), role)?;
    if !(1..=MAX_INVITE_HOURS).contains(&hours) {
        return Err(ApiError::invalid(
            &["body", "expires_in_hours"],
            "must be 1 to 2160 (90 days)",
        ));
    }
    let code = random::secret("esp_invite_");
    let now = app.clock.now_ms();
    let new = OneTime {
        id: random::oid(&app.clock).to_string(),
        account: None,
        email: email.map(validate::email).transpose()?,
        role: Some(role),
        created_by: Some(caller.account.to_string()),
        created_at: now,
        expires_at: Some(now + i64::from(hours) * 3_600_000),
        used_at: None,
    };
    let (row, digest) = (new.clone(), random::digest(&code));
    app.db
        .write(move |c| one_time::insert(c, Kind::Invite, digest, &row))
        .await?;
    let detail = json!({ "email": new.email, "role": role });
    super::audit(app, caller, "invite.create", &new.id, detail).await?;
    Ok((new, code))
}

/// Withdraws an invitation.
///
/// # Errors
/// 404 when there is none with this id.
pub async fn withdraw(app: &AppState, caller: &Caller, id: &str) -> Result<(), ApiError> {
    let invite = id.to_owned();
    if !app
        .db
        .write(move |c| one_time::delete_invite(c, &invite))
        .await?
    {
        return Err(ApiError::not_found("Invitation"));
    }
    super::audit(app, caller, "invite.delete", id, json!({})).await
}
