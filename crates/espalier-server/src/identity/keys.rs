//! API keys: for programs that act for a person, with no more rights than they need.

use super::sessions::{self, KEY_PREFIX};
use super::store::keys::{self as store, Key};
use super::{Caller, Revoked};
use crate::{ApiError, AppState, random};
use serde_json::json;

/// Keys one account may have.
const MAX_KEYS: i64 = 100;
/// The longest name, characters.
const MAX_NAME: usize = 100;
/// Characters of the secret that the list shows, so that a person recognises a key.
const HINT: usize = KEY_PREFIX.len() + 4;
/// What a key may be used for.
const SCOPES: [&str; 3] = ["read", "write", "admin"];

/// Creates a key and returns it with its secret, in clear for the only time.
///
/// # Errors
/// 422 when a field is wrong, 403 when a member wants the scope `admin`, 409 when there are too many.
pub async fn create(
    app: &AppState,
    caller: &Caller,
    name: &str,
    scopes: &[String],
    expires_at: Option<i64>,
) -> Result<(Key, String), ApiError> {
    let now = app.clock.now_ms();
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME {
        return Err(ApiError::invalid(
            &["body", "name"],
            "must be 1 to 100 characters",
        ));
    }
    if scopes.is_empty() || scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(ApiError::invalid(
            &["body", "scopes"],
            "must be one or more of `read`, `write`, `admin`",
        ));
    }
    if scopes.iter().any(|scope| scope == "admin") && !caller.role.is_admin() {
        return Err(ApiError::forbidden(
            "Only an admin may create a key with the scope `admin`.",
        ));
    }
    if expires_at.is_some_and(|at| at <= now) {
        return Err(ApiError::invalid(
            &["body", "expires_at"],
            "must be in the future",
        ));
    }
    let secret = random::secret(KEY_PREFIX);
    let wanted = SCOPES
        .into_iter()
        .filter(|name| scopes.iter().any(|scope| scope == name));
    let key = Key {
        id: random::oid(&app.clock).to_string(),
        name: name.to_owned(),
        hint: secret.chars().take(HINT).collect(),
        scopes: wanted.collect::<Vec<_>>().join(" "),
        created_at: now,
        expires_at,
        last_used_at: None,
    };
    let (row, digest, account) = (key.clone(), random::digest(&secret), caller.account);
    app.db
        .write(move |c| {
            if store::count(c, account)? >= MAX_KEYS {
                return Err(ApiError::conflict(
                    "too_many_keys",
                    "This account has 100 API keys; delete some first.",
                ));
            }
            Ok(store::insert(c, account, &row, digest)?)
        })
        .await?;
    let detail = json!({ "name": key.name, "scopes": key.scopes });
    super::audit(app, caller, "api-key.create", &key.id, detail).await?;
    Ok((key, secret))
}

/// Deletes a key; it stops working at once.
///
/// # Errors
/// 404 when the caller has no such key.
pub async fn delete(app: &AppState, caller: &Caller, id: &str) -> Result<(), ApiError> {
    let (account, key) = (caller.account, id.to_owned());
    let gone = app
        .db
        .write(move |c| store::delete(c, account, &key))
        .await?;
    if !gone {
        return Err(ApiError::not_found("API key"));
    }
    sessions::revoked(app, Revoked::ApiKey(id.to_owned()));
    super::audit(app, caller, "api-key.delete", id, json!({})).await
}
