//! The one-time links: the first account of an installation, and a first password for an account that has
//! none. Whoever can read the server's terminal may follow them, nobody else knows them.

use super::accounts::{self, NewAccount, slow_down, taken};
use super::sessions;
use super::store::accounts::{self as store, Account, Changes};
use super::store::one_time::{self, Kind, OneTime};
use super::throttle::key;
use super::{Revoked, validate};
use crate::{ApiError, App, AppState, Clock, random};
use espalier_db::Db;
use espalier_model::{AccountId, Role};
use std::net::IpAddr;

/// How long a link to choose a password is good, milliseconds: 24 hours.
const PASSWORD_LINK_MS: i64 = 24 * 3_600_000;
/// Wrong links per address that cost nothing.
const FREE_PER_ADDRESS: u32 = 10;

/// Makes a new set-up secret when nobody manages this installation yet; earlier ones are no longer good.
///
/// # Errors
/// Fails when the database does.
pub async fn prepare(db: &Db, clock: &Clock) -> Result<Option<String>, espalier_db::Error> {
    let secret = random::secret("esp_setup_");
    let digest = random::digest(&secret);
    let link = OneTime {
        id: random::oid(clock).to_string(),
        account: None,
        email: None,
        role: Some(Role::Owner),
        created_by: None,
        created_at: clock.now_ms(),
        expires_at: None,
        used_at: None,
    };
    let made = db
        .write(move |c| {
            one_time::delete_kind(c, Kind::Setup)?;
            let wanted = store::unmanaged(c)?;
            if wanted {
                one_time::insert(c, Kind::Setup, digest, &link)?;
            }
            Ok::<_, espalier_db::Error>(wanted)
        })
        .await?;
    Ok(made.then_some(secret))
}

/// The link with which the first account is created; `None` once there is one. It is for the operator's
/// terminal only.
pub fn setup_link(app: &App) -> Option<String> {
    let secret = app.identity.setup.lock().clone()?;
    Some(link(app, &secret))
}

/// The page on which a one-time secret is used.
pub fn link(app: &App, secret: &str) -> String {
    let base = app.config.base_url();
    format!("{base}/setup?token={secret}")
}

/// Makes a link with which an account chooses a password, good for 24 hours and for one use; earlier ones
/// are no longer good.
///
/// # Errors
/// 404 when there is no such account.
pub async fn invite_link_for(app: &AppState, account: AccountId) -> Result<String, ApiError> {
    let secret = random::secret("esp_link_");
    let digest = random::digest(&secret);
    let now = app.clock.now_ms();
    let new = OneTime {
        id: random::oid(&app.clock).to_string(),
        account: Some(account),
        email: None,
        role: None,
        created_by: None,
        created_at: now,
        expires_at: Some(now + PASSWORD_LINK_MS),
        used_at: None,
    };
    app.db
        .write(move |c| {
            store::get(c, account)?.ok_or_else(|| ApiError::not_found("Account"))?;
            one_time::delete_password_links(c, account)?;
            Ok::<_, ApiError>(one_time::insert(c, Kind::Password, digest, &new)?)
        })
        .await?;
    Ok(link(app, &secret))
}

/// What a link is good for.
pub enum Purpose {
    /// Creating the first account.
    FirstAccount,
    /// Choosing the password of this account.
    Password(Box<Account>),
}

/// What was entered on the page.
#[derive(Default)]
pub struct Entered {
    /// The e-mail address of the first account.
    pub email: Option<String>,
    /// The username of the first account.
    pub username: Option<String>,
    /// The password.
    pub password: String,
}

/// Tells what a link is good for.
///
/// # Errors
/// 404 when it is wrong, used or expired, 429 after too many wrong ones.
pub async fn purpose(app: &AppState, secret: &str, address: IpAddr) -> Result<Purpose, ApiError> {
    let guess = key("setup", address);
    let now = app.clock.now_ms();
    if let Some(wait) = app.identity.throttle.wait(&guess, now) {
        return Err(slow_down(wait));
    }
    let digest = random::digest(secret.trim());
    let found = app.db.read(move |c| find(c, digest, now)).await?;
    if found.is_none() {
        app.identity
            .throttle
            .failed_with(guess, FREE_PER_ADDRESS, now);
    }
    let (_, account) = found.ok_or_else(not_good)?;
    Ok(account.map_or(Purpose::FirstAccount, |a| Purpose::Password(Box::new(a))))
}

type Found = Option<(OneTime, Option<Account>)>;

fn find(
    c: &espalier_db::Conn<'_>,
    digest: [u8; 32],
    now: i64,
) -> Result<Found, espalier_db::Error> {
    if let Some(first) = one_time::good(c, Kind::Setup, digest, now)? {
        // Somebody may have been made an admin at the command line meanwhile.
        return Ok(store::unmanaged(c)?.then_some((first, None)));
    }
    let link = match one_time::good(c, Kind::Password, digest, now)? {
        Some(link) => Some(link),
        // The mail of a forgotten password leads here too.
        None => one_time::good(c, Kind::Reset, digest, now)?,
    };
    let Some(link) = link else {
        return Ok(None);
    };
    let account = match link.account {
        Some(id) => store::get(c, id)?,
        None => None,
    };
    Ok(account
        .filter(|a| a.is_active)
        .map(|account| (link, Some(account))))
}

fn not_good() -> ApiError {
    ApiError::new(
        axum::http::StatusCode::NOT_FOUND,
        "link_not_good",
        "This link is wrong, used or expired; restart the server for a new set-up link, or ask an admin for a new one.",
    )
}

/// Uses a link: creates the first account as owner, or sets the account's password and ends its sessions.
///
/// # Errors
/// 422 when a field is wrong, 400 when a name is taken, 404 when the link is not good, 429 as [`purpose`].
pub async fn complete(
    app: &AppState,
    secret: &str,
    address: IpAddr,
    entered: Entered,
) -> Result<Account, ApiError> {
    let purpose = purpose(app, secret, address).await?;
    let digest = random::digest(secret.trim());
    match purpose {
        Purpose::FirstAccount => first_account(app, digest, entered).await,
        Purpose::Password(account) => {
            validate::password("password", &entered.password)?;
            let hash = app.identity.passwords.hash(entered.password).await?;
            let set = set_password(app, Kind::Password, digest, account.id, hash.clone()).await;
            match set {
                Err(error) if error.code() == "link_not_good" => {
                    set_password(app, Kind::Reset, digest, account.id, hash).await
                }
                set => set,
            }
        }
    }
}

async fn first_account(
    app: &AppState,
    digest: [u8; 32],
    entered: Entered,
) -> Result<Account, ApiError> {
    let new = NewAccount {
        email: entered.email.unwrap_or_default(),
        username: entered.username.unwrap_or_default(),
        password: entered.password,
        full_name: None,
        role: Role::Owner,
    };
    let row = accounts::prepare(app, new).await?;
    let now = app.clock.now_ms();
    let account = app
        .db
        .write(move |c| {
            let found = find(c, digest, now)?;
            let (link, _) = found.filter(|(_, a)| a.is_none()).ok_or_else(not_good)?;
            store::insert(c, &row).map_err(taken)?;
            one_time::burn(c, &link.id, now)?;
            store::signed_in(c, row.id, now)?;
            store::get(c, row.id)?.ok_or_else(|| ApiError::not_found("Account"))
        })
        .await?;
    *app.identity.setup.lock() = None;
    let id = account.id.to_string();
    super::record(
        app,
        &id,
        "setup.owner",
        &id,
        serde_json::json!({ "username": account.username }),
    )
    .await?;
    Ok(account)
}

/// Burns a link, sets the password of its account and ends every session and other link of it.
///
/// # Errors
/// 404 when the link is no longer good.
pub async fn set_password(
    app: &AppState,
    kind: Kind,
    digest: [u8; 32],
    id: AccountId,
    hash: String,
) -> Result<Account, ApiError> {
    let now = app.clock.now_ms();
    let account = app
        .db
        .write(move |c| {
            let link = one_time::good(c, kind, digest, now)?.ok_or_else(not_good)?;
            if link.account != Some(id) {
                return Err(not_good());
            }
            one_time::delete_password_links(c, id)?;
            let changes = Changes {
                hash: Some(hash.clone()),
                ..Changes::default()
            };
            store::update(c, id, &changes)?;
            super::store::sessions::delete_all(c, id)?;
            store::get(c, id)?.ok_or_else(not_good)
        })
        .await?;
    sessions::revoked(app, Revoked::Account(id));
    let id = id.to_string();
    super::record(
        app,
        &id,
        "account.password",
        &id,
        serde_json::json!({ "by": "one-time link" }),
    )
    .await?;
    Ok(account)
}
