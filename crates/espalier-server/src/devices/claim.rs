//! Claiming a device: with a code that its owner gave away, or with the password that came with the product.
//!
//! A code is short, so it lives a limited time, works once, and whoever guesses has few attempts.
//!
//! Whoever claims with a code from a former owner gets a new token for the board, because the former owner was
//! shown the old one and could go on speaking for the board, or listening as it. A board that waits to be
//! claimed keeps its token: nobody ever owned it, only the installation's admin and the board itself know the
//! token, and the board would be cut off by its own claim.

use super::logic::{self, Note};
use super::{Device, access, check, password, store};
use crate::identity::Caller;
use crate::{ApiError, AppState, identity, random};
use espalier_model::{AccountId, Role};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

/// How long a code works when nobody says otherwise, seconds: a day.
pub const DEFAULT_CODE_S: u32 = 24 * 3600;
/// The longest time a code may work, seconds: a week.
pub const MAX_CODE_S: u32 = 7 * 24 * 3600;
/// Letters of a code: 40 bits, and an account has ten guesses in a quarter of an hour.
const CODE_LETTERS: usize = 8;
/// Crockford's base 32: no letter is mistaken for another.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Wrong attempts that an account, or a product, has within [`ATTEMPTS_MS`].
const ATTEMPTS: u32 = 10;
/// The time in which wrong attempts are counted, milliseconds.
const ATTEMPTS_MS: i64 = 15 * 60 * 1000;
/// Entries of the counters before the expired ones are removed.
const COUNTERS: usize = 10_000;

/// Whose wrong attempts are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Account(AccountId),
    Product(String),
}

/// Wrong attempts, with the moment of the first one.
#[derive(Default)]
pub struct Attempts(Mutex<HashMap<Who, (u32, i64)>>);

impl Attempts {
    /// Counts an attempt before it is made, so that attempts at once cannot slip past the limit.
    fn begin(&self, who: &Who, now: i64) -> Result<(), ApiError> {
        let mut counters = self.0.lock();
        if counters.len() >= COUNTERS {
            counters.retain(|_, (_, since)| now - *since < ATTEMPTS_MS);
        }
        let (count, since) = counters.entry(who.clone()).or_insert((0, now));
        if now - *since >= ATTEMPTS_MS {
            (*count, *since) = (0, now);
        }
        if *count >= ATTEMPTS {
            let wait = (ATTEMPTS_MS - (now - *since)) / 1000 + 1;
            return Err(ApiError::too_many(
                "Too many wrong attempts to claim a device; wait a few minutes.",
                u32::try_from(wait).unwrap_or(u32::MAX),
            ));
        }
        *count += 1;
        Ok(())
    }

    fn succeeded(&self, who: &Who) {
        self.0.lock().remove(who);
    }
}

/// A code as it is told to people: two groups of four.
fn new_code() -> String {
    let letters = random::bytes::<CODE_LETTERS>()
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    let (left, right) = letters.split_at(CODE_LETTERS / 2);
    left.iter().chain(&['-']).chain(right).collect()
}

/// The digest of a code, however it was typed.
fn digest(code: &str) -> [u8; 32] {
    let letters: String = code
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect();
    random::digest(&letters)
}

/// Makes a code with which somebody else can take over a device, and returns it with its end. A former code no
/// longer works.
///
/// # Errors
/// 422 when the time is out of range.
pub async fn make_code(
    app: &AppState,
    caller: &Caller,
    device: &Device,
    seconds: Option<u32>,
) -> Result<(String, i64), ApiError> {
    let seconds = seconds.unwrap_or(DEFAULT_CODE_S);
    if !(60..=MAX_CODE_S).contains(&seconds) {
        return Err(ApiError::invalid(
            &["body", "expires_in_seconds"],
            format!("must be 60 to {MAX_CODE_S}"),
        ));
    }
    let (app, caller, id) = (app.clone(), caller.clone(), device.id);
    logic::to_the_end(&app.clone(), async move {
        let code = new_code();
        let now = app.clock.now_ms();
        let expires_at = now + i64::from(seconds) * 1000;
        let digest = digest(&code);
        let asker = caller.clone();
        let detail = json!({ "by": caller.username });
        let device = logic::change(
            &app,
            id,
            |old| {
                // Under the lock: a device that has just changed hands is no longer its old owner's to give.
                if old.owner != asker.account && !asker.role.is_admin() {
                    return Err(ApiError::not_found("Device"));
                }
                Ok(Some((old.clone(), Note::new("claim_code", detail))))
            },
            move |c, device| {
                store::put_code(c, device.id, digest, expires_at).map_err(logic::stored)
            },
        )
        .await?;
        let audit = json!({ "expires_at": expires_at });
        identity::audit(
            &app,
            &caller,
            "device.claim_code",
            &device.oid.to_string(),
            audit,
        )
        .await?;
        Ok((code, expires_at))
    })
    .await
}

/// With what somebody claims a device.
pub enum Proof {
    Code {
        code: String,
        /// Leaves the token as it is, e.g. between two accounts of one person.
        keep_token: bool,
    },
    Product {
        id: String,
        password: String,
    },
}

fn may_own(caller: &Caller) -> Result<(), ApiError> {
    if caller.role == Role::Viewer {
        return Err(ApiError::forbidden(
            "A viewer cannot own devices; ask an admin for the role of a member.",
        ));
    }
    Ok(())
}

/// Makes the caller the owner of the device that the proof is for, and returns it with its new token in clear,
/// when it got one.
///
/// # Errors
/// 404 when the proof is wrong or expired, 409 when the device is claimed already, 429 after too many wrong
/// attempts.
pub async fn claim(
    app: &AppState,
    caller: &Caller,
    proof: Proof,
) -> Result<(Arc<Device>, Option<String>), ApiError> {
    may_own(caller)?;
    let (app, caller) = (app.clone(), caller.clone());
    logic::to_the_end(&app.clone(), async move {
        let account = Who::Account(caller.account);
        app.devices.attempts.begin(&account, app.clock.now_ms())?;
        let (device, token) = match proof {
            Proof::Code { code, keep_token } => by_code(&app, &caller, &code, keep_token).await,
            Proof::Product { id, password } => by_product(&app, &caller, id, password)
                .await
                .map(|device| (device, None)),
        }?;
        app.devices.attempts.succeeded(&account);
        identity::audit(
            &app,
            &caller,
            "device.claim",
            &device.oid.to_string(),
            json!({ "token_rotated": token.is_some() }),
        )
        .await?;
        Ok((device, token))
    })
    .await
}

fn wrong_code() -> ApiError {
    ApiError::new(
        axum::http::StatusCode::NOT_FOUND,
        "wrong_code",
        "This code is wrong, used or expired; ask the owner for a new one.",
    )
}

async fn by_code(
    app: &AppState,
    caller: &Caller,
    code: &str,
    keep_token: bool,
) -> Result<(Arc<Device>, Option<String>), ApiError> {
    let (digest, now) = (digest(code), app.clock.now_ms());
    let found = app.db.read(move |c| store::by_code(c, digest, now)).await?;
    let id = found.ok_or_else(wrong_code)?;
    let to = caller.account;
    let note = Note::new("claimed", json!({ "by": caller.username, "with": "code" }));
    let check = |old: &Device| {
        if old.owner == to {
            return Err(ApiError::conflict(
                "is_owner",
                "You own this device already; the code is for somebody else.",
            ));
        }
        Ok(())
    };
    // The code is used up in the same transaction, so of two who have it one wins.
    let proof = move |c: &espalier_db::Conn<'_>| {
        if store::use_up_code(c, id, digest, now).map_err(logic::stored)? {
            return Ok(());
        }
        Err(wrong_code())
    };
    let token = hex::encode(random::bytes::<16>());
    let fresh = random::digest(&token);
    let offered = (!keep_token).then_some(fresh);
    let given = access::give(app, id, to, offered, note, check, proof).await?;
    let renewed = given.token_digest == fresh;
    Ok((given, renewed.then_some(token)))
}

fn wrong_product() -> ApiError {
    ApiError::new(
        axum::http::StatusCode::NOT_FOUND,
        "wrong_product",
        "There is no product with this id and password; look at its label again.",
    )
}

fn already_claimed() -> ApiError {
    ApiError::conflict(
        "already_claimed",
        "This device has an owner already; ask them to transfer or share it.",
    )
}

async fn by_product(
    app: &AppState,
    caller: &Caller,
    product: String,
    secret: String,
) -> Result<Arc<Device>, ApiError> {
    if secret.len() > check::MAX_PASSWORD {
        return Err(wrong_product());
    }
    let who = Who::Product(product.chars().take(64).collect());
    app.devices.attempts.begin(&who, app.clock.now_ms())?;
    let found = app.db.read(move |c| store::by_product(c, &product)).await?;
    let (id, hash) = found.unzip();
    if !password::verify(&app.devices.password_turns, secret, hash).await? {
        return Err(wrong_product());
    }
    let id = id.ok_or_else(wrong_product)?;
    app.devices.attempts.succeeded(&who);
    let to = caller.account;
    let note = Note::new(
        "claimed",
        json!({ "by": caller.username, "with": "product" }),
    );
    let check = |old: &Device| {
        if old.unclaimed {
            return Ok(());
        }
        Err(already_claimed())
    };
    let proof = move |c: &espalier_db::Conn<'_>| {
        if store::is_unclaimed(c, id).map_err(logic::stored)? {
            return Ok(());
        }
        Err(already_claimed())
    };
    access::give(app, id, to, None, note, check, proof).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code = new_code();
        assert_eq!(code.len(), CODE_LETTERS + 1);
        let typed = code.to_lowercase().replace('-', " ");
        assert_eq!(digest(&typed), digest(&code));
        assert_eq!(digest("O1LI-00oo"), digest("0111-0000"));
    }

    #[test]
    fn wrong_attempts_are_limited_and_forgotten_in_time() {
        let attempts = Attempts::default();
        let who = Who::Product("p".to_owned());
        for _ in 0..ATTEMPTS {
            assert!(attempts.begin(&who, 1_000).is_ok());
        }
        assert_eq!(
            attempts.begin(&who, 1_000).unwrap_err().retry_after(),
            Some(901)
        );
        assert!(attempts.begin(&Who::Product("q".to_owned()), 1_000).is_ok());
        assert!(attempts.begin(&who, 1_000 + ATTEMPTS_MS).is_ok());
        attempts.succeeded(&who);
        assert!(attempts.begin(&who, 1_000 + ATTEMPTS_MS).is_ok());
    }
}
