//! Forgotten passwords: a single-use code of 256 bits by mail, good for two hours.
//!
//! Asking never tells whether an account exists: the answer is the same and takes the same work. (The old
//! system answered 404 for an unknown address; that told everybody who has an account.)

use super::accounts::slow_down;
use super::mail::{self, Mail};
use super::setup::set_password;
use super::store::accounts as store;
use super::store::one_time::{self, Kind, OneTime};
use super::throttle::key;
use super::validate;
use crate::{ApiError, AppState, random};
use std::net::IpAddr;

/// How long a code is good, milliseconds: 2 hours, as existing clients are told.
const RESET_MS: i64 = 2 * 3_600_000;
/// The least time between two mails to one account, milliseconds: nobody's inbox is flooded.
const BETWEEN_MS: i64 = 60_000;
/// Requests per address that cost nothing.
const FREE_REQUESTS: u32 = 20;
/// Wrong codes per address that cost nothing.
const FREE_GUESSES: u32 = 5;

/// Mails a code to the account with this address, if there is one.
///
/// # Errors
/// 422 when it is no e-mail address, 429 after too many requests.
pub async fn forgot(app: &AppState, email: &str, address: IpAddr) -> Result<(), ApiError> {
    let email = validate::email(email)?;
    let now = app.clock.now_ms();
    let asked = key("forgot", address);
    if let Some(wait) = app.identity.throttle.wait(&asked, now) {
        return Err(slow_down(wait));
    }
    app.identity.throttle.failed_with(asked, FREE_REQUESTS, now);
    let secret = random::secret("esp_reset_");
    let digest = random::digest(&secret);
    let id = random::oid(&app.clock).to_string();
    let to = email.clone();
    let made = app
        .db
        .write(move |c| {
            let Some((account, _)) = store::by_login(c, &email)? else {
                return Ok(false);
            };
            let newest = one_time::newest_reset(c, account.id)?;
            if !account.is_active || newest.is_some_and(|at| now - at < BETWEEN_MS) {
                return Ok(false);
            }
            let new = OneTime {
                id: id.clone(),
                account: Some(account.id),
                email: None,
                role: None,
                created_by: None,
                created_at: now,
                expires_at: Some(now + RESET_MS),
                used_at: None,
            };
            one_time::insert(c, Kind::Reset, digest, &new)?;
            Ok::<_, espalier_db::Error>(true)
        })
        .await?;
    if made {
        mail::send(app, letter(app, to, &secret));
    }
    Ok(())
}

fn letter(app: &AppState, to: String, secret: &str) -> Mail {
    let base = app.config.base_url();
    // The page of one-time links takes this secret too.
    let link = super::setup::link(app, secret);
    Mail {
        to,
        subject: "Choose a new password".to_owned(),
        text: format!(
            "Somebody, probably you, asked for a new password at {base}.\r\n\r\n\
             Choose one within two hours: {link}\r\n\r\n\
             Apps ask for this code: {secret}\r\n\r\n\
             If it was not you, ignore this mail; nothing has changed.\r\n"
        ),
        link: Some(link),
    }
}

/// Tells whether a code is good.
///
/// # Errors
/// 400 when it is not, 429 after too many wrong ones.
pub async fn verify(app: &AppState, code: &str, address: IpAddr) -> Result<(), ApiError> {
    account_of(app, code, address).await.map(|_| ())
}

async fn account_of(
    app: &AppState,
    code: &str,
    address: IpAddr,
) -> Result<espalier_model::AccountId, ApiError> {
    let guess = key("reset", address);
    let now = app.clock.now_ms();
    if let Some(wait) = app.identity.throttle.wait(&guess, now) {
        return Err(slow_down(wait));
    }
    let digest = random::digest(code.trim());
    let found = app
        .db
        .read(move |c| one_time::good(c, Kind::Reset, digest, now))
        .await?;
    if let Some(account) = found.and_then(|found| found.account) {
        return Ok(account);
    }
    app.identity.throttle.failed_with(guess, FREE_GUESSES, now);
    Err(bad_code())
}

fn bad_code() -> ApiError {
    ApiError::bad_request(
        "bad_reset_token",
        "Invalid or expired reset token; ask for a new one.",
    )
}

/// Sets a new password with a code, and ends every session of the account.
///
/// # Errors
/// 422 for a weak password, 400 when the code is not good, 429 after too many wrong ones.
pub async fn reset(
    app: &AppState,
    code: &str,
    password: String,
    address: IpAddr,
) -> Result<(), ApiError> {
    validate::password("new_password", &password)?;
    let account = account_of(app, code, address).await?;
    let hash = app.identity.passwords.hash(password).await?;
    let digest = random::digest(code.trim());
    match set_password(app, Kind::Reset, digest, account, hash).await {
        Err(error) if error.code() == "link_not_good" => Err(bad_code()),
        other => other.map(|_| ()),
    }
}
