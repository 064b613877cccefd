//! Product passwords: argon2id, off the async threads, a few at a time.

use crate::{ApiError, random};
use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many passwords are worked on at once; each takes 19 MB and some ten milliseconds of a core.
const AT_ONCE: usize = 2;

/// Whose turn it is to work on a password.
pub struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

async fn work<T: Send + 'static>(
    turns: &Turns,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let turn = turns
        .0
        .clone()
        .acquire_owned()
        .await
        .map_err(ApiError::internal)?;
    // The turn moves into the work: a client that hangs up must not free a core that is still busy.
    let job = move || {
        let _turn = turn;
        job()
    };
    tokio::task::spawn_blocking(job)
        .await
        .map_err(ApiError::internal)
}

/// Hashes a product password.
///
/// # Errors
/// Fails when the machine does.
pub async fn hash(turns: &Turns, password: String) -> Result<String, ApiError> {
    let hash = move || {
        Argon2::default()
            .hash_password_with_salt(password.as_bytes(), &random::bytes::<16>())
            .map(|hash| hash.to_string())
    };
    work(turns, hash)
        .await?
        .map_err(|e| ApiError::internal(anyhow::anyhow!("argon2: {e}")))
}

/// Tells whether a password fits its hash. Without a hash it takes as long and says no.
///
/// # Errors
/// Fails when the machine does.
pub async fn verify(
    turns: &Turns,
    password: String,
    hash: Option<String>,
) -> Result<bool, ApiError> {
    work(turns, move || {
        let Some(hash) = hash else {
            let _ = Argon2::default().hash_password_with_salt(password.as_bytes(), &[0; 16]);
            return false;
        };
        PasswordHash::new(&hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        })
    })
    .await
}
