//! Sessions: opaque secrets, stored as digests, remembered in memory, gone at once when revoked.

use super::principal::{Caller, CallerInfo, Credential};
use super::store;
use crate::{ApiError, AppState, random};
use espalier_model::AccountId;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// How long an access token lives, milliseconds: 30 minutes, as existing clients expect.
pub const ACCESS_MS: i64 = 30 * 60 * 1000;

/// Credentials that were used lately, by digest.
#[derive(Default)]
pub struct Cache(RwLock<HashMap<[u8; 32], (Caller, i64)>>);

impl Cache {
    /// Forgets every credential of an account; the next use asks the database.
    pub fn forget(&self, account: AccountId) {
        self.0
            .write()
            .retain(|_, (caller, _)| caller.account != account);
    }
}

/// The caller whose access token this is.
pub async fn caller(app: &AppState, secret: &str) -> Result<Option<Caller>, ApiError> {
    let digest = random::digest(secret);
    let now = app.clock.now_ms();
    if let Some((caller, expires)) = app.identity.sessions.0.read().get(&digest) {
        return Ok((*expires > now).then(|| caller.clone()));
    }
    let Some(found) = app
        .db
        .read(move |c| store::session_by_digest(c, digest, now))
        .await?
    else {
        return Ok(None);
    };
    let caller = Caller(Arc::new(CallerInfo {
        account: found.account,
        username: found.username,
        role: found.role,
        credential: Credential::Session(found.id),
    }));
    app.identity
        .sessions
        .0
        .write()
        .insert(digest, (caller.clone(), found.expires_at));
    Ok(Some(caller))
}

/// Opens a session and returns its access token in clear.
pub async fn open(app: &AppState, account: AccountId) -> Result<String, ApiError> {
    let token = random::secret("esp_at_");
    let digest = random::digest(&token);
    let id = random::oid(&app.clock).to_string();
    let now = app.clock.now_ms();
    app.db
        .write(move |c| store::insert_session(c, &id, account, digest, now, now + ACCESS_MS))
        .await?;
    Ok(token)
}

/// Hashes a password with argon2id, off the async threads.
pub async fn hash_password(password: String) -> Result<String, ApiError> {
    use argon2::PasswordHasher;
    let hash = move || {
        argon2::Argon2::default()
            .hash_password_with_salt(password.as_bytes(), &random::bytes::<16>())
            .map(|hash| hash.to_string())
    };
    tokio::task::spawn_blocking(hash)
        .await
        .map_err(ApiError::internal)?
        .map_err(|e| ApiError::internal(anyhow::anyhow!("argon2: {e}")))
}
