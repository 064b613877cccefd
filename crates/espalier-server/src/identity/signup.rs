//! Who may create an account: anybody, whoever has an invitation, or nobody.

use super::accounts::{self, NewAccount, slow_down, taken};
use super::store::accounts::{self as store, Account};
use super::store::one_time::{self, Kind};
use super::throttle::key;
use crate::config::Signup;
use crate::{ApiError, AppState, random};
use axum::http::StatusCode;
use espalier_model::Role;
use std::net::IpAddr;

/// Sign-ups and wrong invitations per address that cost nothing.
const FREE_PER_ADDRESS: u32 = 30;

/// What somebody says who signs up.
pub struct Wanted {
    /// The e-mail address.
    pub email: String,
    /// The name to sign in with.
    pub username: String,
    /// The password in clear.
    pub password: String,
    /// The person's name.
    pub full_name: Option<String>,
    /// The invitation's secret.
    pub invite: Option<String>,
}

/// Creates an account for somebody who is not signed in; a session is opened for them next.
///
/// # Errors
/// 403 when sign-up is closed or the invitation is missing or not good, 422 for wrong fields, 400 when the
/// name is taken, 429 after too many attempts.
pub async fn sign_up(app: &AppState, wanted: Wanted, address: IpAddr) -> Result<Account, ApiError> {
    let invite = wanted
        .invite
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty());
    match (app.config.signup, &invite) {
        (Signup::Closed, _) => {
            return Err(refused(
                "signup_closed",
                "Sign-up is closed here; ask an admin to create an account for you.",
            ));
        }
        (Signup::Invite, None) => {
            return Err(refused(
                "invite_needed",
                "Sign-up needs an invitation; ask an admin for one and put it into `invite`.",
            ));
        }
        _ => {}
    }
    let guess = key("signup", address);
    let now = app.clock.now_ms();
    if let Some(wait) = app.identity.throttle.wait(&guess, now) {
        return Err(slow_down(wait));
    }
    app.identity
        .throttle
        .failed_with(guess, FREE_PER_ADDRESS, now);
    let digest = invite.as_deref().map(random::digest);
    if let Some(digest) = digest {
        // Before the password is hashed: a wrong invitation must cost nothing.
        let good = app
            .db
            .read(move |c| one_time::good(c, Kind::Invite, digest, now))
            .await?;
        good.ok_or_else(bad_invite)?;
    }
    let row = accounts::prepare(
        app,
        NewAccount {
            email: wanted.email,
            username: wanted.username,
            password: wanted.password,
            full_name: wanted.full_name,
            role: Role::Member,
        },
    )
    .await?;
    let id = row.id;
    let mut row = row;
    let account = app
        .db
        .write(move |c| {
            if let Some(digest) = digest {
                let invite =
                    one_time::good(c, Kind::Invite, digest, now)?.ok_or_else(bad_invite)?;
                if invite.email.is_some_and(|email| email != row.email) {
                    return Err(refused(
                        "invite_for_another",
                        "This invitation is for another e-mail address; sign up with that one.",
                    ));
                }
                row.role = invite.role.unwrap_or(Role::Member);
                one_time::burn(c, &invite.id, now)?;
            }
            store::insert(c, &row).map_err(taken)?;
            store::signed_in(c, id, now)?;
            store::get(c, id)?.ok_or_else(|| ApiError::not_found("Account"))
        })
        .await?;
    super::record(
        app,
        &id.to_string(),
        "account.signup",
        &id.to_string(),
        serde_json::json!({ "role": account.role }),
    )
    .await?;
    Ok(account)
}

fn refused(code: &'static str, sentence: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, code, sentence)
}

fn bad_invite() -> ApiError {
    refused(
        "invite_not_good",
        "This invitation is wrong, used or expired; ask an admin for a new one.",
    )
}
