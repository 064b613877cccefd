//! Who asks, and what they may do: accounts, sessions, API keys, roles, access rules, audit log.
//!
//! Every carrier of a credential (Bearer, Basic, `X-API-Key`, cookie, query, body, first frame) leads through
//! [`admit`], [`admit_secret`], [`principal_of`] or [`device_by_token`] to one [`Principal`]. What a caller may
//! do with one device is decided where the device lives; what holds for every request (scopes, viewers,
//! cross-site requests) is decided once in `guard.rs`.

mod accounts;
mod admin;
mod cache;
mod carrier;
mod guard;
mod http;
mod keys;
pub mod mail;
mod page;
mod passwords;
mod principal;
mod reset;
mod rules;
mod sessions;
mod settings;
mod setup;
mod signup;
mod store;
mod throttle;
mod validate;

pub use accounts::{NewAccount, create_account, create_account_without_password};
pub use carrier::COOKIE;
pub use principal::{Admin, Caller, CallerInfo, Credential, Identified, Principal, Scopes};
pub use rules::{Collection, RuleData, allowed, by_default, require, require_new};
pub use setup::{invite_link_for, setup_link};

use crate::devices::Device;
use crate::http::Peer;
use crate::{ApiError, AppState, Clock, random};
use arc_swap::ArcSwap;
use axum::http::{HeaderMap, Method, Uri};
use carrier::Carried;
use espalier_db::Db;
use espalier_model::{AccountId, Role};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::broadcast;
use utoipa_axum::router::OpenApiRouter;

/// Revocations that a slow listener may fall behind; one that falls further behind must check again.
const REVOKED_BACKLOG: usize = 1024;
/// How often uses are written down and what has expired is removed, seconds.
const TICK_SECONDS: u64 = 30;

/// How long used and expired one-time secrets are kept, milliseconds: 30 days, to answer "who used it".
const KEEP_USED_MS: i64 = 30 * 24 * 3_600_000;

/// What lives in memory.
pub struct State {
    cache: cache::Cache,
    passwords: passwords::Passwords,
    throttle: throttle::Throttle,
    revoked: broadcast::Sender<Revoked>,
    outbox: mail::Outbox,
    rules: ArcSwap<rules::RuleSet>,
    /// The set-up link's secret, while nobody manages this installation.
    setup: Mutex<Option<String>>,
}

/// Credentials that are no longer good; whatever was opened with them must close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoked {
    /// Everything of this account.
    Account(AccountId),
    /// The session with this id.
    Session(String),
    /// The API key with this id.
    ApiKey(String),
}

impl Revoked {
    /// Tells whether this ends what `caller` has open.
    pub fn ends(&self, caller: &Caller) -> bool {
        match self {
            Self::Account(account) => caller.account == *account,
            Self::Session(id) => caller.session() == Some(id),
            Self::ApiKey(id) => caller.credential == Credential::ApiKey(id.clone()),
        }
    }
}

impl State {
    /// Prepares what is remembered; caches fill as credentials are used.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(db: &Db, clock: &Clock) -> anyhow::Result<Self> {
        Ok(Self {
            cache: cache::Cache::default(),
            passwords: passwords::Passwords::new(),
            throttle: throttle::Throttle::default(),
            revoked: broadcast::channel(REVOKED_BACKLOG).0,
            outbox: mail::Outbox::default(),
            rules: ArcSwap::from_pointee(rules::load(db).await?),
            setup: Mutex::new(setup::prepare(db, clock).await?),
        })
    }

    /// Hears of every revocation from now on. A socket listens and closes when [`Revoked::ends`] its caller.
    pub fn revocations(&self) -> broadcast::Receiver<Revoked> {
        self.revoked.subscribe()
    }
}

/// The routes of this feature.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    http::routes()
}

/// Starts the background work of this feature.
pub(crate) fn start(app: &AppState) {
    mail::start(app);
    let app = app.clone();
    app.tasks.clone().spawn(async move {
        let mut every = tokio::time::interval(std::time::Duration::from_secs(TICK_SECONDS));
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = app.shutdown.cancelled() => break,
            }
            if let Err(error) = tick(&app).await {
                tracing::warn!(%error, "the uses of sessions could not be written down");
            }
        }
        // What was used since the last tick is written before the database closes.
        let _ = tick(&app).await;
    });
}

/// Writes down when credentials were used and removes what has expired.
///
/// # Errors
/// Fails when the database does.
pub async fn tick(app: &AppState) -> Result<(), ApiError> {
    let now = app.clock.now_ms();
    app.identity.throttle.prune(now);
    let used = app.identity.cache.take_used(now);
    app.db
        .write(move |c| {
            store::sessions::touch(c, &used)?;
            store::one_time::delete_old(c, now - KEEP_USED_MS)?;
            store::sessions::delete_expired(c, now)
        })
        .await?;
    Ok(())
}

/// A request, as far as it matters for who asks.
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The path and query.
    pub uri: &'a Uri,
    /// Where it comes from.
    pub peer: Peer,
}

/// Tells whether a request carries the browser's cookie and nothing else, as those of our own pages do.
pub fn came_by_cookie(headers: &HeaderMap, uri: &Uri) -> bool {
    matches!(
        carrier::carried(headers, uri),
        Some(carrier::Carried::Cookie(_))
    )
}

/// Finds out who sends a request and refuses what nobody like that may send.
///
/// # Errors
/// 403 when another site made the browser send it, or the credential's scope or role does not cover it;
/// 429 when passwords are guessed. A wrong credential is no error but an [`Identified`] that says so.
pub async fn admit(app: &AppState, asked: Asked<'_>) -> Result<Identified, ApiError> {
    let Some(carried) = carrier::carried(asked.headers, asked.uri) else {
        return Ok(Identified::Nobody);
    };
    let identified = match &carried {
        Carried::Header(secret) | Carried::Cookie(secret) | Carried::Query(secret) => {
            principal_of(app, secret).await?
        }
        Carried::Basic { user, password } => {
            basic(app, user, password, asked.peer, asked.uri.path()).await?
        }
    };
    if let Identified::Known(Principal::Account(caller)) = &identified {
        guard::check_origin(&carried, asked.method, asked.headers)?;
        guard::check_caller(caller, asked.method, asked.uri)?;
    }
    Ok(identified)
}

/// Finds out whose secret this is and refuses it for what its scope or role does not cover: for secrets that
/// come later than the request, e.g. in the first frame of a socket.
///
/// # Errors
/// As [`admit`].
pub async fn admit_secret(
    app: &AppState,
    secret: &str,
    method: &Method,
    uri: &Uri,
) -> Result<Identified, ApiError> {
    let identified = principal_of(app, secret).await?;
    if let Identified::Known(Principal::Account(caller)) = &identified {
        guard::check_caller(caller, method, uri)?;
    }
    Ok(identified)
}

/// Checks that a caller who was admitted for something else may ask for this, too.
///
/// # Errors
/// 403 when the credential's scope or the role does not cover it.
pub fn check_caller(caller: &Caller, method: &Method, uri: &Uri) -> Result<(), ApiError> {
    guard::check_caller(caller, method, uri)
}

/// HTTP Basic: a device's id or alias with its token anywhere, an account's name with its password below
/// `/admin` only.
async fn basic(
    app: &AppState,
    user: &str,
    password: &str,
    peer: Peer,
    path: &str,
) -> Result<Identified, ApiError> {
    if let Some(device) = device_by_token(app, password) {
        let named = app.devices.resolve(user);
        return Ok(match named {
            Some(named) if named.id == device.id => Identified::Known(Principal::Device(device)),
            _ => Identified::Unknown,
        });
    }
    if !guard::under(path, "/admin") {
        return Ok(Identified::Unknown);
    }
    let caller = sessions::by_password(app, user, password, peer.0).await?;
    Ok(caller.map_or(Identified::Unknown, |caller| {
        Identified::Known(Principal::Account(caller))
    }))
}

/// Finds the principal whose secret this is, whatever it may be used for.
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

/// An account as it is now, to ask what its owner may see when a link or an event is read in their place.
///
/// # Errors
/// Fails when the database does.
pub async fn in_place_of(app: &AppState, id: AccountId) -> Result<Option<Caller>, ApiError> {
    let found = app.db.read(move |c| store::accounts::get(c, id)).await?;
    Ok(found.map(|account| {
        Caller(Arc::new(CallerInfo {
            account: id,
            username: account.username,
            role: account.role,
            credential: Credential::Password,
            scopes: Scopes::ALL,
        }))
    }))
}

/// Until when what `caller` showed is good, milliseconds UTC; `None` when it is not any more. A session that
/// was renewed meanwhile is good for longer.
///
/// # Errors
/// Fails when the database does.
pub async fn good_until(app: &AppState, caller: &Caller) -> Result<Option<i64>, ApiError> {
    let (credential, now) = (caller.credential.clone(), app.clock.now_ms());
    let read = move |c: &espalier_db::Conn<'_>| store::sessions::good_until(c, &credential, now);
    Ok(app.db.read(read).await?)
}

/// The device whose token this is.
pub fn device_by_token(app: &AppState, token: &str) -> Option<Arc<Device>> {
    app.devices.by_token(&random::digest(token))
}

/// An account as it is now.
async fn account(app: &AppState, id: AccountId) -> Result<store::accounts::Account, ApiError> {
    app.db
        .read(move |c| store::accounts::get(c, id))
        .await?
        .ok_or_else(|| ApiError::not_found("Account"))
}

/// Opens a session for an account and returns the access token, in clear for the only time.
///
/// # Errors
/// Fails when the database does.
pub async fn open_session(app: &AppState, account: AccountId) -> Result<String, ApiError> {
    let tokens = sessions::open(app, account, sessions::Origin::default()).await?;
    Ok(tokens.access)
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
    record(app, &caller.account.to_string(), action, target, detail).await
}

/// Records an action of somebody who is not signed in: `by` is an account's id, or `operator`.
async fn record(
    app: &AppState,
    by: &str,
    action: &str,
    target: &str,
    detail: serde_json::Value,
) -> Result<(), ApiError> {
    let record = store::audit::Record {
        id: random::oid(&app.clock).to_string(),
        account: by.to_owned(),
        username: None,
        action: action.to_owned(),
        target: target.to_owned(),
        detail,
        at: app.clock.now_ms(),
    };
    app.db
        .write(move |c| store::audit::insert(c, &record))
        .await?;
    Ok(())
}

/// The account that this installation belongs to, when that is clear: the only active owner, or the only active admin where there
/// is no owner.
///
/// # Errors
/// Fails when the database does.
pub async fn only_owner(app: &AppState) -> Result<Option<AccountId>, ApiError> {
    let found = app.db.read(|c| {
        let owners = store::accounts::active(c, Role::Owner)?;
        match owners.is_empty() {
            true => store::accounts::active(c, Role::Admin),
            false => Ok(owners),
        }
    });
    let found = found.await?;
    Ok(match found.as_slice() {
        [only] => Some(*only),
        _ => None,
    })
}

/// The account with this username, if there is one.
///
/// # Errors
/// Fails when the database does.
pub async fn account_named(app: &AppState, username: &str) -> Result<Option<AccountId>, ApiError> {
    let username = username.to_owned();
    let found = app
        .db
        .read(move |c| store::accounts::by_login(c, &username))
        .await?;
    Ok(found.map(|(account, _)| account.id))
}

/// The usernames of those of the accounts that are still there.
///
/// # Errors
/// Fails when the database does.
pub async fn usernames(
    app: &AppState,
    accounts: HashSet<AccountId>,
) -> Result<HashMap<AccountId, String>, ApiError> {
    let read = move |c: &espalier_db::Conn<'_>| {
        let mut names = HashMap::new();
        for id in &accounts {
            let found = store::accounts::get(c, *id)?;
            names.extend(found.map(|account| (*id, account.username)));
        }
        Ok(names)
    };
    app.db.read(read).await
}
