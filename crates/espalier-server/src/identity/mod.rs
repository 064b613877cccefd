//! Who asks, and what they may do: accounts, sessions, API keys, roles, access rules, audit log.
//!
//! Every carrier of a credential (Bearer, Basic, `X-API-Key`, cookie, query, body) leads through
//! [`identify`] or [`device_by_token`] to one [`Principal`]. It does not know what a device can do; that is
//! decided where the device lives, with [`State::permits`].

mod carrier;
mod principal;
mod sessions;
mod store;

pub use principal::{Admin, Caller, Credential, Identified, Principal};

use crate::devices::Device;
use crate::{ApiError, AppState, random};
use axum::http::{HeaderMap, Uri};
use espalier_db::Db;
use espalier_model::{AccountId, Role};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// Sessions and API keys in memory.
pub struct State {
    sessions: sessions::Cache,
}

impl State {
    /// Prepares the caches; they fill as credentials are used.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(_db: &Db) -> Result<Self, espalier_db::Error> {
        Ok(Self {
            sessions: sessions::Cache::default(),
        })
    }
}

/// The routes of this feature.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}

/// Starts the background work of this feature.
pub(crate) fn start(_app: &AppState) {}

/// Finds out who asks from the headers and the query.
///
/// # Errors
/// Fails only when the database does; a wrong credential is an [`Identified`] that says so.
pub async fn identify(
    app: &AppState,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Identified, ApiError> {
    let Some(secret) = carrier::secret(headers, uri) else {
        return Ok(Identified::Nobody);
    };
    principal_of(app, &secret).await
}

/// Finds the principal whose secret this is.
///
/// # Errors
/// Fails only when the database does.
pub async fn principal_of(app: &AppState, secret: &str) -> Result<Identified, ApiError> {
    if let Some(device) = device_by_token(app, secret) {
        return Ok(Identified::Known(Principal::Device(device)));
    }
    Ok(match sessions::caller(app, secret).await? {
        Some(caller) => Identified::Known(Principal::Account(caller)),
        None => Identified::Unknown,
    })
}

/// The device whose token this is.
pub fn device_by_token(app: &AppState, token: &str) -> Option<Arc<Device>> {
    app.devices.by_token(&random::digest(token))
}

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

/// Creates an account.
///
/// # Errors
/// 400 when the e-mail or username is taken.
pub async fn create_account(app: &AppState, new: NewAccount) -> Result<AccountId, ApiError> {
    let id = random::account_id(&app.clock);
    let now = app.clock.now_ms();
    let hash = sessions::hash_password(new.password.clone()).await?;
    app.db
        .write(move |c| store::insert_account(c, id, &new, &hash, now))
        .await
        .map_err(|error: espalier_db::Error| match error {
            espalier_db::Error::Unique(_) => {
                ApiError::bad_request("already_registered", "Email or username already registered")
            }
            other => other.into(),
        })?;
    Ok(id)
}

/// Opens a session for an account and returns the access token, in clear for the only time.
///
/// # Errors
/// Fails when the database does.
pub async fn open_session(app: &AppState, account: AccountId) -> Result<String, ApiError> {
    sessions::open(app, account).await
}

/// Records a management action: who did what to which thing. It is written when the call returns.
///
/// # Errors
/// Fails when the database does; the caller then fails too, because an action without its record must not
/// go unnoticed.
pub async fn audit(
    app: &AppState,
    caller: &Caller,
    action: &str,
    target: &str,
    detail: serde_json::Value,
) -> Result<(), ApiError> {
    let (id, now) = (random::oid(&app.clock).to_string(), app.clock.now_ms());
    let (account, action, target) = (caller.account, action.to_owned(), target.to_owned());
    app.db
        .write(move |c| store::insert_audit(c, &id, account, &action, &target, &detail, now))
        .await?;
    Ok(())
}
