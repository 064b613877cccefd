//! Passwords: argon2id, never on the async threads, never more than two at once.

use crate::{ApiError, random};
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Hashes at the same time: each takes 19 MiB and a core for some 20 ms.
const AT_ONCE: usize = 2;
/// Hashes that may wait for their turn, about two seconds of work; more are refused.
const WAITING: usize = 128;

/// Hashes and verifies passwords.
pub struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// The hash of a password nobody has: an unknown name costs as much time as a known one.
    dummy: String,
}

impl Passwords {
    /// Prepares the hash that unknown names are verified against.
    pub fn new() -> Self {
        Self {
            running: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(WAITING)),
            dummy: dummy(),
        }
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// 503 when too many wait.
    pub async fn hash(&self, password: String) -> Result<String, ApiError> {
        self.run(move || hash(&password)).await?
    }

    /// Tells whether `password` is the one that was hashed. Without a hash it takes as long and says no.
    ///
    /// # Errors
    /// 503 when too many wait.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, ApiError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.dummy.clone());
        let verified = self
            .run(move || {
                Argon2::default()
                    .verify_password(password.as_bytes(), hash.as_str())
                    .is_ok()
            })
            .await?;
        Ok(verified && known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let _place = self.waiting.try_acquire().map_err(|_| {
            ApiError::busy("Too many people are signing in; try again in a moment.", 2)
        })?;
        let turn = self
            .running
            .clone()
            .acquire_owned()
            .await
            .map_err(ApiError::internal)?;
        // The permit moves into the work: a client that hangs up must not free a core that is still busy.
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        })
        .await
        .map_err(ApiError::internal)
    }
}

/// A hash in the usual form whose password nobody knows. It is put together and not computed: the 19 MiB that
/// a computation takes would stay with the idle server.
fn dummy() -> String {
    let salt = BASE64_STANDARD_NO_PAD.encode(random::bytes::<16>());
    let digest = BASE64_STANDARD_NO_PAD.encode(random::bytes::<32>());
    let params = argon2::Params::default();
    let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
    format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${digest}")
}

fn hash(password: &str) -> Result<String, ApiError> {
    Argon2::default()
        .hash_password_with_salt(password.as_bytes(), &random::bytes::<16>())
        .map(|hash| hash.to_string())
        .map_err(|e| ApiError::internal(anyhow::anyhow!("argon2: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dummy_costs_what_a_real_hash_costs() {
        let real = hash("Correct-horse-1").expect("argon2 hashes");
        let dummy = dummy();
        let cost = |text: &str| text.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(cost(&dummy), cost(&real));
        assert_eq!(dummy.len(), real.len());
        assert!(argon2::PasswordHash::new(&dummy).is_ok(), "{dummy}");
        assert!(
            Argon2::default()
                .verify_password(b"", dummy.as_str())
                .is_err()
        );
    }
}
