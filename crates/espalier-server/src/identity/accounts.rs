//! Accounts: signing up, signing in, and what people change about themselves.

use super::sessions;
use super::store::accounts::{self as store, Account, Changes};
use super::throttle::key;
use super::{Caller, Revoked, validate};
use crate::{ApiError, AppState, devices, ota, random};
use axum::http::StatusCode;
use espalier_model::{AccountId, Role};
use serde_json::Value;
use std::net::IpAddr;

/// The largest `integrations` object that is kept, bytes of JSON.
const MAX_INTEGRATIONS: usize = 16 * 1024;
/// Failures per address over all names that cost nothing: a class signs in behind one address.
const FREE_PER_ADDRESS: u32 = 50;

/// What is needed to create an account.
pub struct NewAccount {
    /// The e-mail address; unique without regard to case.
    pub email: String,
    /// The name to sign in with; unique without regard to case and never an e-mail address.
    pub username: String,
    /// The password in clear; hashed here and nowhere kept.
    pub password: String,
    /// The person's name.
    pub full_name: Option<String>,
    /// The role.
    pub role: Role,
}

/// Creates an account after checking every field.
///
/// # Errors
/// 422 when a field is wrong, 400 when the e-mail or username is taken.
pub async fn create_account(app: &AppState, new: NewAccount) -> Result<AccountId, ApiError> {
    let row = prepare(app, new).await?;
    let id = row.id;
    app.db
        .write(move |c| store::insert(c, &row))
        .await
        .map_err(taken)?;
    Ok(id)
}

/// Creates an account that nobody can sign in to until a password is chosen with
/// [`super::invite_link_for`].
///
/// # Errors
/// As [`create_account`].
pub async fn create_account_without_password(
    app: &AppState,
    email: &str,
    username: &str,
    role: Role,
) -> Result<AccountId, ApiError> {
    let row = store::New {
        id: random::account_id(&app.clock),
        email: validate::email(email)?,
        username: validate::username(username)?,
        hash: None,
        full_name: None,
        role,
        now: app.clock.now_ms(),
    };
    let id = row.id;
    app.db
        .write(move |c| store::insert(c, &row))
        .await
        .map_err(taken)?;
    Ok(id)
}

/// Checks a new account and hashes its password.
///
/// # Errors
/// 422 when a field is wrong.
pub async fn prepare(app: &AppState, new: NewAccount) -> Result<store::New, ApiError> {
    let email = validate::email(&new.email)?;
    let username = validate::username(&new.username)?;
    validate::password("password", &new.password)?;
    let full_name = match &new.full_name {
        Some(name) => validate::full_name(name)?,
        None => None,
    };
    Ok(store::New {
        id: random::account_id(&app.clock),
        email,
        username,
        hash: Some(app.identity.passwords.hash(new.password).await?),
        full_name,
        role: new.role,
        now: app.clock.now_ms(),
    })
}

/// Turns the database's "not unique" into the sentence for people.
pub fn taken(error: espalier_db::Error) -> ApiError {
    match error {
        espalier_db::Error::Unique(_) => {
            ApiError::bad_request("already_registered", "Email or username already registered")
        }
        other => other.into(),
    }
}

/// Signs in with an e-mail or username and a password.
///
/// # Errors
/// 400 when they do not belong together, 403 when the account is disabled, 429 after too many failures.
pub async fn sign_in(
    app: &AppState,
    login: &str,
    password: String,
    address: IpAddr,
) -> Result<Account, ApiError> {
    let account = verify(app, login, password, address).await?;
    signed_in(app, account).await
}

/// Notes the moment of a sign-in.
///
/// # Errors
/// Fails when the database does.
pub async fn signed_in(app: &AppState, mut account: Account) -> Result<Account, ApiError> {
    let (id, now) = (account.id, app.clock.now_ms());
    app.db.write(move |c| store::signed_in(c, id, now)).await?;
    account.last_login = Some(now);
    Ok(account)
}

/// Finds the active account of a name and a password, and makes guessing slow.
///
/// # Errors
/// As [`sign_in`].
pub async fn verify(
    app: &AppState,
    login: &str,
    password: String,
    address: IpAddr,
) -> Result<Account, ApiError> {
    let login = login.trim().to_ascii_lowercase();
    let throttle = &app.identity.throttle;
    let (mine, all) = (
        key(&format!("login {login}"), address),
        key("login", address),
    );
    let now = app.clock.now_ms();
    if let Some(wait) = throttle.wait(&mine, now).max(throttle.wait(&all, now)) {
        return Err(slow_down(wait));
    }
    let found = {
        let login = login.clone();
        app.db.read(move |c| store::by_login(c, &login)).await?
    };
    let (account, hash) = found.unzip();
    let right = app
        .identity
        .passwords
        .verify(password, hash.flatten())
        .await?;
    let Some(account) = account.filter(|_| right) else {
        throttle.failed(mine, now);
        throttle.failed_with(all, FREE_PER_ADDRESS, now);
        return Err(ApiError::bad_request(
            "wrong_credentials",
            "Incorrect username or password",
        ));
    };
    throttle.succeeded(&mine);
    if account.is_active {
        return Ok(account);
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "account_disabled",
        "This account is disabled; ask an admin to enable it.",
    ))
}

/// 429 with the seconds to wait.
pub fn slow_down(wait_ms: i64) -> ApiError {
    let seconds = u32::try_from((wait_ms + 999) / 1000).unwrap_or(u32::MAX);
    ApiError::too_many(
        format!("Too many failed attempts; try again in {seconds} seconds."),
        seconds,
    )
}

/// What a person wants to change about their own account.
#[derive(Debug, Default)]
pub struct ProfileChange {
    /// A new e-mail address.
    pub email: Option<String>,
    /// A new username.
    pub username: Option<String>,
    /// A new name; empty removes it.
    pub full_name: Option<String>,
    /// How to notify.
    pub notification_settings: Option<Value>,
    /// Free settings of connected apps.
    pub integrations: Option<Value>,
    /// A new password.
    pub password: Option<String>,
    /// The password until now; needed to change it.
    pub current_password: Option<String>,
}

/// Changes the caller's own account. A new password ends every other session.
///
/// # Errors
/// 422 when a field is wrong, 400 when the e-mail or username is taken or the current password is wrong.
pub async fn change_profile(
    app: &AppState,
    caller: &Caller,
    address: IpAddr,
    wanted: ProfileChange,
) -> Result<Account, ApiError> {
    let hash = match wanted.password {
        Some(password) => {
            Some(new_password(app, caller, address, password, wanted.current_password).await?)
        }
        None => None,
    };
    if wanted
        .integrations
        .as_ref()
        .is_some_and(|v| v.to_string().len() > MAX_INTEGRATIONS)
    {
        return Err(ApiError::invalid(
            &["body", "integrations"],
            "must be at most 16 KiB of JSON",
        ));
    }
    let changes = Changes {
        email: wanted.email.as_deref().map(validate::email).transpose()?,
        username: wanted
            .username
            .as_deref()
            .map(validate::username)
            .transpose()?,
        full_name: wanted
            .full_name
            .as_deref()
            .map(validate::full_name)
            .transpose()?,
        notification_settings: wanted.notification_settings,
        integrations: wanted.integrations,
        hash,
        ..Changes::default()
    };
    let what = changed_names(&changes);
    let (new_password, renamed) = (changes.hash.is_some(), changes.username.is_some());
    let id = caller.account;
    let account = app
        .db
        .write(move |c| {
            store::update(c, id, &changes)?;
            store::get(c, id)
        })
        .await
        .map_err(taken)?
        .ok_or_else(|| ApiError::not_found("Account"))?;
    if new_password {
        end_other_sessions(app, caller).await?;
    } else if renamed {
        app.identity.cache.forget(&Revoked::Account(id));
    }
    super::audit(
        app,
        caller,
        "account.update",
        &id.to_string(),
        serde_json::json!({ "changed": what }),
    )
    .await?;
    Ok(account)
}

fn changed_names(changes: &Changes) -> Vec<&'static str> {
    let all = [
        ("email", changes.email.is_some()),
        ("username", changes.username.is_some()),
        ("full_name", changes.full_name.is_some()),
        (
            "notification_settings",
            changes.notification_settings.is_some(),
        ),
        ("integrations", changes.integrations.is_some()),
        ("password", changes.hash.is_some()),
    ];
    all.into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(name, _)| name)
        .collect()
}

async fn new_password(
    app: &AppState,
    caller: &Caller,
    address: IpAddr,
    password: String,
    current: Option<String>,
) -> Result<String, ApiError> {
    validate::password("password", &password)?;
    let Some(current) = current else {
        return Err(ApiError::invalid(
            &["body", "current_password"],
            "is needed to change the password",
        ));
    };
    let guess = key(&format!("password {}", caller.account), address);
    let now = app.clock.now_ms();
    if let Some(wait) = app.identity.throttle.wait(&guess, now) {
        return Err(slow_down(wait));
    }
    let id = caller.account;
    let hash = app.db.read(move |c| store::password_hash(c, id)).await?;
    if !app.identity.passwords.verify(current, hash).await? {
        app.identity.throttle.failed(guess, now);
        return Err(ApiError::bad_request(
            "wrong_password",
            "The current password is wrong.",
        ));
    }
    app.identity.throttle.succeeded(&guess);
    app.identity.passwords.hash(password).await
}

/// Ends every session of the caller but the one that asks.
async fn end_other_sessions(app: &AppState, caller: &Caller) -> Result<(), ApiError> {
    let (account, mine) = (caller.account, caller.session().map(str::to_owned));
    let now = app.clock.now_ms();
    let ended = app
        .db
        .write(move |c| {
            let all = super::store::sessions::list(c, account, now)?;
            let others = all
                .into_iter()
                .map(|s| s.id)
                .filter(|id| Some(id) != mine.as_ref());
            let others: Vec<String> = others.collect();
            for id in &others {
                super::store::sessions::delete(c, account, id)?;
            }
            Ok::<_, espalier_db::Error>(others)
        })
        .await?;
    for id in ended {
        sessions::revoked(app, Revoked::Session(id));
    }
    // Passwords that were remembered for Basic must be asked for again.
    app.identity.cache.forget(&Revoked::Account(account));
    Ok(())
}

/// Deletes an account with everything that belongs to it.
///
/// # Errors
/// 409 for the last owner, 404 when there is no such account.
pub async fn delete(app: &AppState, id: AccountId) -> Result<(), ApiError> {
    let now = app.clock.now_ms();
    app.db
        .write(move |c| {
            let account = store::get(c, id)?.ok_or_else(|| ApiError::not_found("Account"))?;
            if account.role == Role::Owner && store::active_with_role(c, Role::Owner, id)? == 0 {
                return Err(last_owner());
            }
            devices::note_account_deletion(c, id, now)?;
            store::delete(c, id)?;
            Ok(())
        })
        .await?;
    devices::forget_account(app, id).await?;
    ota::forget_account(app, id).await?;
    sessions::revoked(app, Revoked::Account(id));
    Ok(())
}

/// Deletes the caller's own account.
///
/// # Errors
/// 409 for the last owner.
pub async fn delete_own(app: &AppState, caller: &Caller) -> Result<(), ApiError> {
    delete(app, caller.account).await?;
    let id = caller.account.to_string();
    super::audit(
        app,
        caller,
        "account.delete",
        &id,
        serde_json::json!({ "username": caller.username }),
    )
    .await
}

/// 409: without an owner nobody could manage the installation.
pub fn last_owner() -> ApiError {
    ApiError::conflict(
        "last_owner",
        "This is the last active owner; make somebody else an owner first.",
    )
}
