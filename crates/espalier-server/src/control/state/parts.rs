//! Pending values in parts that a device can hold: a set may be far larger than a message to a small board.

use super::check::{fits, too_long};
use super::logic::{pending, report};
use super::{Desired, Reported};
use crate::devices::Device;
use crate::{ApiError, AppState};
use espalier_model::Twin;
use espalier_model::twin::Progress;
use espalier_wire::limits::{MAX_DOWN_BYTES, MAX_KEY_BYTES, MAX_WISH_BYTES};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a message that carries values, besides them: its frame, and in an answer the device's id and the time.
const AROUND: usize = 84;
/// Bytes of one value in a message, besides key and value: quotes, names and a version of twenty digits.
const AROUND_ONE: usize = 44;
const _: () = assert!(
    MAX_WISH_BYTES + MAX_KEY_BYTES + AROUND_ONE + AROUND <= MAX_DOWN_BYTES,
    "the largest value fits a message to a device"
);

/// Everything that a device should be and has not reported yet, in parts of at most [`MAX_DOWN_BYTES`]; it then counts as told.
///
/// # Errors
/// Fails when the database does.
pub async fn parts(
    app: &AppState,
    device: &Arc<Device>,
) -> Result<Vec<BTreeMap<String, Desired>>, ApiError> {
    refuse_too_long(app, device).await?;
    Ok(split(pending(app, device.id)))
}

/// Values in parts, each of which fits a message.
pub fn split(values: BTreeMap<String, Desired>) -> Vec<BTreeMap<String, Desired>> {
    let mut parts: Vec<BTreeMap<String, Desired>> = Vec::new();
    let mut room = 0;
    for (key, desired) in values {
        let size = size(&key, &desired.value);
        match parts.last_mut().filter(|_| size <= room) {
            Some(part) => {
                room -= size;
                part.insert(key, desired);
            }
            None => {
                room = (MAX_DOWN_BYTES - AROUND).saturating_sub(size);
                parts.push(BTreeMap::from([(key, desired)]));
            }
        }
    }
    parts
}

/// As much of it as one answer holds; what is in it counts as told. Each answer begins where the last one ended, so that no value
/// waits for ever behind others that the device does not take.
///
/// # Errors
/// Fails when the database does.
pub async fn next_part(
    app: &AppState,
    device: &Arc<Device>,
) -> Result<BTreeMap<String, Desired>, ApiError> {
    refuse_too_long(app, device).await?;
    let Some(twin) = app.control.twins.get(device.id) else {
        return Ok(BTreeMap::new());
    };
    let now = app.clock.now_ms();
    let mut next = twin.next.lock();
    let mut keys = twin.keys.write();
    let waits = |twin: &Twin| twin.progress(now) == Progress::Pending;
    let waiting = keys.iter().filter(|(_, twin)| waits(twin));
    let mut waiting: Vec<(String, usize)> = waiting
        .filter_map(|(key, twin)| Some((key.clone(), size(key, twin.desired.as_ref()?))))
        .collect();
    let first = waiting.partition_point(|(key, _)| *key < *next);
    waiting.rotate_left(first);
    let mut room = MAX_DOWN_BYTES - AROUND;
    let mut takes = |(_, size): &(String, usize)| {
        let left = room.checked_sub(*size);
        room = left.unwrap_or(0);
        left.is_some()
    };
    let taken = waiting.iter().take_while(|one| takes(one)).count();
    *next = waiting
        .get(taken)
        .map_or_else(String::new, |(key, _)| key.clone());
    let hand_over = |(key, _): (String, usize)| {
        let (value, version) = keys.get_mut(&key)?.hand_over(now)?;
        Some((key, Desired { value, version }))
    };
    Ok(waiting
        .into_iter()
        .take(taken)
        .filter_map(hand_over)
        .collect())
}

/// Refuses in the device's place what was set before there was a bound and fits no message: it could never be told.
async fn refuse_too_long(app: &AppState, device: &Arc<Device>) -> Result<(), ApiError> {
    let Some(twin) = app.control.twins.get(device.id) else {
        return Ok(());
    };
    let now = app.clock.now_ms();
    let unfit = |(key, twin): (&String, &Twin)| {
        let waits = twin.progress(now) == Progress::Pending;
        twin.desired
            .as_ref()
            .filter(|value| waits && !fits(value))?;
        let refusal = Reported {
            value: Value::Null,
            version: twin.version,
            refused: Some(too_long()),
        };
        Some((key.clone(), refusal))
    };
    let refused: BTreeMap<String, Reported> = twin.keys.read().iter().filter_map(unfit).collect();
    report(app, device, &refused).await
}

/// Bytes of a key with its value in a message, at most.
fn size(key: &str, value: &Value) -> usize {
    // Keys are plain, so that nothing in them grows on the wire.
    key.len() + value.to_string().len() + AROUND_ONE
}
