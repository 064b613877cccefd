//! Sessions: opaque secrets, stored as digests, remembered in memory, gone at once when revoked.

use super::cache::{Entry, Fresh};
use super::principal::{Caller, CallerInfo, Credential, Scopes};
use super::store::{keys as key_store, sessions as store};
use super::{Revoked, carrier};
use crate::{ApiError, AppState, random};
use axum::http::{HeaderMap, HeaderValue, header};
use espalier_model::AccountId;
use std::sync::Arc;

/// How long an access token lives, milliseconds: 30 minutes, as existing clients expect.
pub const ACCESS_MS: i64 = 30 * 60 * 1000;
/// How long a refresh token lives, milliseconds: 7 days.
pub const REFRESH_MS: i64 = 7 * 24 * 3_600_000;
/// How long a browser's session lives without being used, milliseconds: 7 days.
pub const BROWSER_MS: i64 = 7 * 24 * 3_600_000;
/// The longest a browser's session lives however much it is used, milliseconds: 30 days.
pub const BROWSER_MAX_MS: i64 = 30 * 24 * 3_600_000;

/// The prefix of API keys' secrets.
pub const KEY_PREFIX: &str = "esp_key_";
const ACCESS_PREFIX: &str = "esp_at_";
const REFRESH_PREFIX: &str = "esp_rt_";
const BROWSER_PREFIX: &str = "esp_web_";

/// The secrets of a new or renewed session, in clear for the only time.
pub struct Tokens {
    /// Goes with every request.
    pub access: String,
    /// Gets the next pair.
    pub refresh: String,
}

/// From where and with what somebody signs in; shown in the list of sessions.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The client's address.
    pub address: Option<String>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
}

/// The caller whose access token, browser secret or API key this is.
pub async fn caller(app: &AppState, secret: &str) -> Result<Option<Caller>, ApiError> {
    let is_key = secret.starts_with(KEY_PREFIX);
    if !is_key && !secret.starts_with(ACCESS_PREFIX) && !secret.starts_with(BROWSER_PREFIX) {
        return Ok(None);
    }
    let digest = random::digest(secret);
    let now = app.clock.now_ms();
    let cache = &app.identity.cache;
    if let Some(known) = cache.get(&digest, now) {
        return Ok(Some(known));
    }
    let fresh = cache.fresh();
    let found = if is_key {
        app.db
            .read(move |c| key_store::by_digest(c, digest, now))
            .await?
    } else {
        app.db
            .read(move |c| store::by_digest(c, digest, now))
            .await?
    };
    Ok(found.map(|found| remember(app, digest, found, fresh, now)))
}

/// A credential that is still good, as the database knows it.
pub struct Good {
    /// The account.
    pub account: AccountId,
    /// The name to sign in with.
    pub username: String,
    /// The role.
    pub role: espalier_model::Role,
    /// The credential's id.
    pub credential: Credential,
    /// What it may be used for.
    pub scopes: Scopes,
    /// Until when it is good, milliseconds UTC.
    pub expires_at: i64,
}

fn remember(app: &AppState, digest: [u8; 32], good: Good, fresh: Fresh, now: i64) -> Caller {
    let caller = Caller(Arc::new(CallerInfo {
        account: good.account,
        username: good.username,
        role: good.role,
        credential: good.credential,
        scopes: good.scopes,
    }));
    let entry = Entry::new(caller.clone(), good.expires_at, now);
    app.identity.cache.put(digest, entry, fresh, now);
    caller
}

/// Opens a session.
///
/// # Errors
/// Fails when the database does.
pub async fn open(app: &AppState, account: AccountId, origin: Origin) -> Result<Tokens, ApiError> {
    let tokens = Tokens {
        access: random::secret(ACCESS_PREFIX),
        refresh: random::secret(REFRESH_PREFIX),
    };
    let now = app.clock.now_ms();
    let new = store::New {
        id: random::oid(&app.clock).to_string(),
        account,
        access: random::digest(&tokens.access),
        access_expires_at: now + ACCESS_MS,
        refresh: Some(random::digest(&tokens.refresh)),
        refresh_expires_at: Some(now + REFRESH_MS),
        origin,
        now,
    };
    app.db.write(move |c| store::insert(c, &new)).await?;
    Ok(tokens)
}

/// Opens a browser's session and returns the `Set-Cookie` header that carries it.
///
/// # Errors
/// Fails when the database does.
pub async fn open_browser(
    app: &AppState,
    account: AccountId,
    origin: Origin,
    tls: bool,
) -> Result<String, ApiError> {
    let secret = random::secret(BROWSER_PREFIX);
    let now = app.clock.now_ms();
    let new = store::New {
        id: random::oid(&app.clock).to_string(),
        account,
        access: random::digest(&secret),
        access_expires_at: now + BROWSER_MS,
        refresh: None,
        refresh_expires_at: None,
        origin,
        now,
    };
    app.db.write(move |c| store::insert(c, &new)).await?;
    Ok(set_cookie(&secret, BROWSER_MAX_MS / 1000, tls))
}

/// A browser's session that was prolonged.
pub struct Renewed {
    /// The `Set-Cookie` header that carries it on.
    pub cookie: String,
    /// Until when it lives without being used, milliseconds UTC.
    pub expires_at: i64,
}

/// Prolongs a browser's session, as its use does. Its secret stays: another tab holds the same one.
///
/// # Errors
/// 401 when it is no browser's session, or not good any more.
pub async fn renew_browser(app: &AppState, secret: &str, tls: bool) -> Result<Renewed, ApiError> {
    let ended = || ApiError::unauthorized("The browser's session has ended; sign in again.");
    let caller = caller(app, secret).await?.ok_or_else(ended)?;
    let id = caller.session().ok_or_else(ended)?.to_owned();
    let (now, session) = (app.clock.now_ms(), id.clone());
    let life = app
        .db
        .write(move |c| {
            store::touch(c, &[(Credential::Session(session.clone()), now)])?;
            store::browser_life(c, &session)
        })
        .await?;
    let (created_at, expires_at) = life.ok_or_else(ended)?;
    // What is remembered of it has the old end.
    app.identity.cache.forget_session(&id);
    let left = (created_at + BROWSER_MAX_MS - now).max(0) / 1000;
    Ok(Renewed {
        cookie: set_cookie(secret, left, tls),
        expires_at,
    })
}

/// The header that makes a browser forget its session.
pub fn clear_cookie(tls: bool) -> String {
    set_cookie("", 0, tls)
}

/// Tells whether the browser speaks TLS with us, directly or through a proxy: it says so in the origin of
/// its page; without one the installation's own address does.
pub fn over_tls(app: &AppState, headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    match origin {
        Some(origin) if origin.starts_with(b"https://") => true,
        Some(origin) if origin.starts_with(b"http://") => false,
        _ => app.config.public_url.starts_with("https://"),
    }
}

/// `Lax` and not `Strict`: a link in a mail, and a connected service that sends the browser back to us, must
/// find the person signed in. Another site's scripts and forms get nothing by it (`guard.rs`).
fn set_cookie(secret: &str, max_age: i64, tls: bool) -> String {
    let secure = if tls { "; Secure" } else { "" };
    format!(
        "{}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}",
        carrier::COOKIE
    )
}

/// Exchanges a refresh token for a new pair. One that was exchanged before ends its session, because then
/// two parties hold it and one of them should not.
///
/// # Errors
/// 401 when the token is unknown, expired or was used before.
pub async fn refresh(app: &AppState, secret: &str) -> Result<Tokens, ApiError> {
    let old = random::digest(secret);
    let tokens = Tokens {
        access: random::secret(ACCESS_PREFIX),
        refresh: random::secret(REFRESH_PREFIX),
    };
    let now = app.clock.now_ms();
    let next = store::Rotation {
        access: random::digest(&tokens.access),
        access_expires_at: now + ACCESS_MS,
        refresh: random::digest(&tokens.refresh),
        refresh_expires_at: now + REFRESH_MS,
    };
    let rotated = app
        .db
        .write(move |c| store::rotate(c, old, &next, now))
        .await?;
    match rotated {
        store::Rotated::Done(session) => {
            app.identity.cache.forget_session(&session);
            Ok(tokens)
        }
        store::Rotated::Reused(session) => {
            revoked(app, Revoked::Session(session));
            tracing::warn!("a refresh token was used twice; its session has ended");
            Err(ApiError::unauthorized(
                "This refresh token was used before, so its session has ended; sign in again.",
            ))
        }
        store::Rotated::Unknown => Err(ApiError::unauthorized(
            "The refresh token is wrong, expired or revoked; sign in again.",
        )),
    }
}

/// Ends every session of an account and returns how many there were.
///
/// # Errors
/// Fails when the database does.
pub async fn end_all(app: &AppState, account: AccountId) -> Result<u64, ApiError> {
    let ended = app.db.write(move |c| store::delete_all(c, account)).await?;
    revoked(app, Revoked::Account(account));
    Ok(ended)
}

/// Forgets what was revoked and tells the sockets that live on it.
pub fn revoked(app: &AppState, what: Revoked) {
    app.identity.cache.forget(&what);
    // Nobody listens when no socket is open.
    let _ = app.identity.revoked.send(what);
}

/// How long a right name and password of HTTP Basic are remembered, milliseconds: 5 minutes, so that a
/// script that sends them with every request does not cost a hash each time.
const BASIC_MS: i64 = 5 * 60 * 1000;

/// The caller with this name and password (HTTP Basic).
///
/// # Errors
/// 429 after too many failures.
pub async fn by_password(
    app: &AppState,
    user: &str,
    password: &str,
    address: std::net::IpAddr,
) -> Result<Option<Caller>, ApiError> {
    let digest = random::digest(&format!("basic\0{user}\0{password}"));
    let now = app.clock.now_ms();
    if let Some(known) = app.identity.cache.get(&digest, now) {
        return Ok(Some(known));
    }
    let fresh = app.identity.cache.fresh();
    let account = match super::accounts::verify(app, user, password.to_owned(), address).await {
        Ok(account) => account,
        Err(error) if error.status() == axum::http::StatusCode::TOO_MANY_REQUESTS => {
            return Err(error);
        }
        Err(error) if error.status().is_client_error() => return Ok(None),
        Err(error) => return Err(error),
    };
    let good = Good {
        account: account.id,
        username: account.username,
        role: account.role,
        credential: Credential::Password,
        scopes: Scopes::ALL,
        expires_at: now + BASIC_MS,
    };
    Ok(Some(remember(app, digest, good, fresh, now)))
}
