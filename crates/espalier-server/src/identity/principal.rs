//! Who asks: the one form that every credential is turned into, and the extractors that demand it.

use crate::devices::Device;
use crate::{ApiError, AppState};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use espalier_model::{AccountId, Role};
use std::ops::Deref;
use std::sync::Arc;

/// Somebody known.
#[derive(Debug, Clone)]
pub enum Principal {
    /// A person, or a program with a person's API key.
    Account(Caller),
    /// A board.
    Device(Arc<Device>),
}

/// What was found out about a request; kept in its extensions.
#[derive(Debug, Clone)]
pub enum Identified {
    /// No credential was given.
    Nobody,
    /// A credential was given that nobody has (any more).
    Unknown,
    /// Somebody known asks.
    Known(Principal),
}

/// With what a caller showed who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A session, by its id.
    Session(String),
    /// An API key, by its id.
    ApiKey(String),
    /// Name and password with every request (HTTP Basic), only below `/admin`.
    Password,
}

/// What an API key may be used for. Everything else has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes {
    /// GET and HEAD.
    pub read: bool,
    /// Every other method.
    pub write: bool,
    /// Everything below `/admin`.
    pub admin: bool,
}

impl Scopes {
    /// Every scope: what a signed-in person has.
    pub const ALL: Self = Self {
        read: true,
        write: true,
        admin: true,
    };
}

/// A signed-in person; a handler that takes it cannot be reached by anybody else.
#[derive(Debug, Clone)]
pub struct Caller(pub Arc<CallerInfo>);

/// What a [`Caller`] is known by.
#[derive(Debug)]
pub struct CallerInfo {
    /// The account.
    pub account: AccountId,
    /// The name to sign in with.
    pub username: String,
    /// The role at the time of asking.
    pub role: Role,
    /// With what the caller showed who they are.
    pub credential: Credential,
    /// What the credential may be used for.
    pub scopes: Scopes,
}

impl Deref for Caller {
    type Target = CallerInfo;
    fn deref(&self) -> &CallerInfo {
        &self.0
    }
}

impl Caller {
    /// The operator at the command line of this machine; it has no account.
    pub fn local_operator() -> Self {
        Self(Arc::new(CallerInfo {
            account: AccountId(uuid::Uuid::nil()),
            username: "local operator".to_owned(),
            role: Role::Owner,
            credential: Credential::ApiKey("local".to_owned()),
            scopes: Scopes::ALL,
        }))
    }
}

impl CallerInfo {
    /// Whether a person may see and change what an account has for itself, such as its library of firmware: the account, and admins.
    pub fn sees(&self, owner: AccountId) -> bool {
        self.account == owner || self.role.is_admin()
    }

    /// The id of the session that asks, when it is one.
    pub fn session(&self) -> Option<&str> {
        match &self.credential {
            Credential::Session(id) => Some(id),
            Credential::ApiKey(_) | Credential::Password => None,
        }
    }
}

/// A signed-in person who manages the installation.
#[derive(Debug, Clone)]
pub struct Admin(pub Caller);

impl FromRequestParts<AppState> for Principal {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        match parts.extensions.get::<Identified>() {
            Some(Identified::Known(principal)) => Ok(principal.clone()),
            Some(Identified::Unknown) => Err(ApiError::unauthorized(
                "The credential is wrong, expired or revoked; sign in again.",
            )),
            _ => Err(ApiError::unauthorized(
                "Not authenticated; send `Authorization: Bearer <token>`.",
            )),
        }
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        match Principal::from_request_parts(parts, app).await? {
            Principal::Account(caller) => Ok(caller),
            Principal::Device(_) => Err(ApiError::forbidden(
                "A device token cannot be used here; sign in as a person.",
            )),
        }
    }
}

impl FromRequestParts<AppState> for Admin {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        if caller.role.is_admin() {
            return Ok(Self(caller));
        }
        Err(ApiError::forbidden("Only an admin may do this."))
    }
}
