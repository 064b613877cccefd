//! Unpredictable bytes from the operating system, and the ids and secrets made of them.

use crate::clock::Clock;
use espalier_model::{AccountId, DeviceId, FirmwareId, KitId, Oid, ReleaseId, RolloutId, UpdateId};
use sha2::{Digest, Sha256};

/// `N` unpredictable bytes.
///
/// # Panics
/// Panics when the operating system has no randomness to give: nothing may go on without it.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A new 24-digit id.
pub fn oid(clock: &Clock) -> Oid {
    Oid::mint(clock.now_ms(), bytes())
}

/// A new account id.
pub fn account_id(clock: &Clock) -> AccountId {
    AccountId::mint(clock.now_ms(), bytes())
}

/// A new device id.
pub fn device_id(clock: &Clock) -> DeviceId {
    DeviceId::mint(clock.now_ms(), bytes())
}

/// A new id of an image in the library.
pub fn firmware_id(clock: &Clock) -> FirmwareId {
    FirmwareId::mint(clock.now_ms(), bytes())
}

/// A new release id.
pub fn release_id(clock: &Clock) -> ReleaseId {
    ReleaseId::mint(clock.now_ms(), bytes())
}

/// A new kit id.
pub fn kit_id(clock: &Clock) -> KitId {
    KitId::mint(clock.now_ms(), bytes())
}

/// A new rollout id.
pub fn rollout_id(clock: &Clock) -> RolloutId {
    RolloutId::mint(clock.now_ms(), bytes())
}

/// A new update id.
pub fn update_id(clock: &Clock) -> UpdateId {
    UpdateId::mint(clock.now_ms(), bytes())
}

/// A new secret of 256 bits with a prefix that says what it is for, e.g. `esp_at_…`.
pub fn secret(prefix: &str) -> String {
    format!("{prefix}{}", hex::encode(bytes::<32>()))
}

/// The digest under which a secret is stored; secrets have full entropy, so one hash is enough.
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
