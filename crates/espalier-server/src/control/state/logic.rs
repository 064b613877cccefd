//! Setting, reporting, handing over and expiring; what happens around the state machine.

use super::check::{check_count, check_key, check_value, check_values, fits};
use super::memory::{DeviceTwin, Keys};
use super::{Desired, Reported, store};
use crate::control::{boards, to_the_end};
use crate::devices::Device;
use crate::{ApiError, AppState, live};
use espalier_db::Conn;
use espalier_model::twin::{Effect, Progress, same};
use espalier_model::{DeviceId, Twin};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Sets what a device should be and tells it at once when it is connected. Returns when it is durable; each
/// key's version is greater than any before. `by` says who set it.
///
/// # Errors
/// 422 when a key or value breaks a limit, 404 when the device is gone.
pub async fn set_desired(
    app: &AppState,
    device: &Arc<Device>,
    by: &str,
    values: BTreeMap<String, Value>,
    expires_at: Option<i64>,
) -> Result<BTreeMap<String, Desired>, ApiError> {
    check_values(&values)?;
    let (at, device, by) = (app.clone(), device.clone(), by.to_owned());
    let work = async move { set(&at, &device, by, values, expires_at).await };
    to_the_end(app, work).await
}

async fn set(
    app: &AppState,
    device: &Arc<Device>,
    by: String,
    values: BTreeMap<String, Value>,
    expires_at: Option<i64>,
) -> Result<BTreeMap<String, Desired>, ApiError> {
    let (id, now) = (device.id, app.clock.now_ms());
    let twin = app.control.twins.get_or_new(id);
    let keys: Vec<String> = values.keys().cloned().collect();
    let gate = twin.gate.lock().await;
    let before = twin.keys.read().clone();
    let change = move |c: &Conn<'_>| {
        if !store::device_exists(c, id)? {
            return Err(ApiError::not_found("Device"));
        }
        let mut keys = load(c, id, &before)?;
        for (key, value) in &values {
            keys.entry(key.clone())
                .or_default()
                .set(value.clone(), &by, now, expires_at);
        }
        check_count(&keys)?;
        let changed: Keys = values.keys().filter_map(|k| keys.remove_entry(k)).collect();
        for (key, twin) in &changed {
            store::put(c, id, key, twin)?;
        }
        Ok(changed)
    };
    let changed = app.db.write(change).await?;
    // What this call has set; a moment later somebody else may have set it again.
    let desired = |(key, twin): (&String, &Twin)| {
        let (value, version) = (twin.desired.clone()?, twin.version);
        Some((key.clone(), Desired { value, version }))
    };
    let desired = changed.iter().filter_map(desired).collect();
    remember(&twin, changed);
    if let Some(at) = expires_at {
        app.control.due.at(at);
    }
    push(app, device, &twin, &keys);
    publish(app, device, &twin, &keys);
    drop(gate);
    boards::announce(app, device, &keys).await;
    Ok(desired)
}

/// Takes what a device says of its switches (the `reported` frame, or the `reported` part of a post) and
/// closes the loop: a desired value is done when the device answers its version, or (version 0) reports the
/// same value. Telemetry goes through [`report_telemetry`] instead: most of its keys are nobody's switch.
///
/// # Errors
/// 422 when a key or value breaks a limit; fails when the database does.
pub async fn report(
    app: &AppState,
    device: &Arc<Device>,
    reported: &BTreeMap<String, Reported>,
) -> Result<(), ApiError> {
    for (key, report) in reported {
        if report.refused.is_some() && report.value.is_null() {
            check_key(key)?;
        } else {
            check_value(key, &report.value)?;
        }
    }
    take(app, device, reported).await
}

/// Takes what a device posted as telemetry, as far as it has state for those keys: older firmware closes the
/// loop this way. One look-up when the device has none. `led` stands for `v0` when that is not there.
///
/// # Errors
/// Fails when the database does.
pub async fn report_telemetry(
    app: &AppState,
    device: &Arc<Device>,
    data: &Map<String, Value>,
) -> Result<(), ApiError> {
    let Some(twin) = app.control.twins.get(device.id) else {
        return Ok(());
    };
    let value_of = |key: &String| {
        data.get(key)
            .or_else(|| data.get("led").filter(|_| key == "v0"))
    };
    let reported: BTreeMap<String, Reported> = twin
        .keys
        .read()
        .keys()
        .filter_map(|key| {
            let value = value_of(key)?.clone();
            Some((key.clone(), Reported::new(value, 0, None)))
        })
        .collect();
    if reported.is_empty() {
        return Ok(());
    }
    take(app, device, &reported).await
}

async fn take(
    app: &AppState,
    device: &Arc<Device>,
    reported: &BTreeMap<String, Reported>,
) -> Result<(), ApiError> {
    let twin = app.control.twins.get_or_new(device.id);
    if reported.is_empty() || no_news(&twin, reported, app.clock.now_ms()) {
        return Ok(());
    }
    let (at, device, reported) = (app.clone(), device.clone(), reported.clone());
    let work = async move { take_news(&at, &device, &twin, reported).await };
    to_the_end(app, work).await
}

async fn take_news(
    app: &AppState,
    device: &Arc<Device>,
    twin: &DeviceTwin,
    reported: BTreeMap<String, Reported>,
) -> Result<(), ApiError> {
    let (id, now) = (device.id, app.clock.now_ms());
    let gate = twin.gate.lock().await;
    let before = twin.keys.read().clone();
    let known = before.clone();
    let change = move |c: &Conn<'_>| {
        let mut keys = load(c, id, &known)?;
        let mut changed = Keys::new();
        for (key, report) in &reported {
            if report.refused.is_some() && !keys.contains_key(key) {
                continue;
            }
            let twin = keys.entry(key.clone()).or_default();
            if hear(twin, report, now).changed {
                store::put(c, id, key, twin).map_err(gone)?;
                changed.insert(key.clone(), twin.clone());
            }
        }
        check_count(&keys)?;
        Ok::<_, ApiError>(changed)
    };
    let changed = app.db.write(change).await?;
    let keys: Vec<String> = changed.keys().cloned().collect();
    // A version that went up without a set is one that the device must hear of again.
    let grew = |(key, new): &(&String, &Twin)| {
        let old = before.get(*key);
        old.is_some_and(|old| old.version < new.version)
    };
    let raised: Vec<String> = changed
        .iter()
        .filter(grew)
        .map(|(k, _)| k.clone())
        .collect();
    remember(twin, changed);
    push(app, device, twin, &raised);
    publish(app, device, twin, &keys);
    drop(gate);
    boards::announce(app, device, &keys).await;
    Ok(())
}

/// What the device should be and has not reported yet, by key. Call it only to hand it to the device: it
/// then counts as told.
pub fn pending(app: &AppState, device: DeviceId) -> BTreeMap<String, Desired> {
    let Some(twin) = app.control.twins.get(device) else {
        return BTreeMap::new();
    };
    let now = app.clock.now_ms();
    let is_pending = |t: &Twin| t.progress(now) == Progress::Pending;
    if !twin.keys.read().values().any(is_pending) {
        return BTreeMap::new();
    }
    let mut keys = twin.keys.write();
    keys.iter_mut()
        .filter_map(|(key, twin)| {
            let (value, version) = twin.hand_over(now)?;
            Some((key.clone(), Desired { value, version }))
        })
        .collect()
}

/// Lays what the device should be over what it reported, for the answer that it polls; returns the pending
/// values with their versions.
pub fn over_reported(
    app: &AppState,
    device: DeviceId,
    data: &mut Map<String, Value>,
) -> BTreeMap<String, Desired> {
    let pending = pending(app, device);
    for (key, desired) in &pending {
        data.insert(key.clone(), desired.value.clone());
    }
    pending
}

/// The `led` of the oldest firmware: `v0`, or what the device calls `led`, as 0 or 1 when it is a switch.
pub fn led(data: &Map<String, Value>) -> Value {
    match data.get("v0").or_else(|| data.get("led")) {
        Some(Value::Bool(on)) => Value::from(u8::from(*on)),
        Some(value) => value.clone(),
        None => Value::from(0),
    }
}

/// Marks pending values whose time is over and returns when the next one will be.
///
/// # Errors
/// Fails when the database does.
pub async fn expire(app: &AppState, now: i64) -> Result<Option<i64>, ApiError> {
    app.control
        .twins
        .retain(|device| app.devices.get(device).is_some());
    for id in app.db.read(move |c| store::over(c, now)).await? {
        let Some(device) = app.devices.get(id) else {
            continue;
        };
        let twin = app.control.twins.get_or_new(id);
        let keys = {
            let _gate = twin.gate.lock().await;
            let before = twin.keys.read().clone();
            let change = move |c: &Conn<'_>| {
                let mut changed = Keys::new();
                for (key, mut twin) in load(c, id, &before)? {
                    if twin.expire(now) {
                        store::put(c, id, &key, &twin)?;
                        changed.insert(key, twin);
                    }
                }
                Ok::<_, ApiError>(changed)
            };
            let changed = app.db.write(change).await?;
            let keys: Vec<String> = changed.keys().cloned().collect();
            remember(&twin, changed);
            publish(app, &device, &twin, &keys);
            keys
        };
        boards::announce(app, &device, &keys).await;
    }
    Ok(app.db.read(store::next_over).await?)
}

/// A device that was deleted while its report was on the way is one that does not exist.
fn gone(error: espalier_db::Error) -> ApiError {
    match error {
        espalier_db::Error::ForeignKey => ApiError::not_found("Device"),
        other => other.into(),
    }
}

/// The keys as stored, with what only memory knows of them.
fn load(c: &Conn<'_>, id: DeviceId, memory: &Keys) -> Result<Keys, ApiError> {
    let mut keys = store::keys(c, id)?;
    for (key, twin) in &mut keys {
        if let Some(known) = memory.get(key).filter(|m| m.version == twin.version) {
            twin.maybe_handed = known.maybe_handed;
            twin.handed = known.handed;
        }
    }
    Ok(keys)
}

/// Puts committed keys into memory. A value that was handed over while the transaction ran counts.
fn remember(twin: &DeviceTwin, changed: Keys) {
    let mut keys = twin.keys.write();
    for (key, mut new) in changed {
        if let Some(old) = keys.get(&key) {
            if old.version == new.version {
                new.maybe_handed |= old.maybe_handed;
                new.handed |= old.handed;
            } else if old.maybe_handed && old.version > old.answered {
                match old.desired.as_ref().zip(new.desired.as_ref()) {
                    Some((a, b)) if same(a, b) => new.maybe_handed = true,
                    _ => new.contested |= new.version > new.answered,
                }
            }
        }
        keys.insert(key, new);
    }
}

/// Takes one report, or one refusal with the value that stays.
fn hear(twin: &mut Twin, report: &Reported, now: i64) -> Effect {
    let Some(why) = &report.refused else {
        return twin.report(&report.value, report.version, now);
    };
    let stays = if report.value.is_null() {
        Effect::default()
    } else {
        twin.report(&report.value, 0, now)
    };
    let refused = twin.refuse(report.version, why);
    Effect {
        changed: stays.changed || refused.changed,
        closed: stays.closed,
    }
}

/// Tells whether a report only moves moments, and moves them.
fn no_news(twin: &DeviceTwin, reported: &BTreeMap<String, Reported>, now: i64) -> bool {
    let old = |keys: &Keys, key: &str, r: &Reported| {
        keys.get(key).map_or(r.refused.is_some(), |twin| {
            !hear(&mut twin.clone(), r, now).changed
        })
    };
    {
        let keys = twin.keys.read();
        if !reported.iter().all(|(key, r)| old(&keys, key, r)) {
            return false;
        }
    }
    let mut keys = twin.keys.write();
    for key in reported.keys() {
        if let Some(twin) = keys.get_mut(key) {
            twin.reported_at = Some(now);
        }
    }
    true
}

/// Hands pending values to the device's socket, when it has one.
fn push(app: &AppState, device: &Device, twin: &DeviceTwin, keys: &[String]) {
    let now = app.clock.now_ms();
    let mut stored = twin.keys.write();
    let wanted: BTreeMap<String, Desired> = keys
        .iter()
        .filter_map(|key| {
            let twin = stored.get(key)?;
            let pending = twin.progress(now) == Progress::Pending;
            // One that is too long is refused when the device comes next.
            let value = twin.desired.clone().filter(|v| pending && fits(v))?;
            let version = twin.version;
            Some((key.clone(), Desired { value, version }))
        })
        .collect();
    if !wanted.is_empty() && live::push_desired(app, device.id, &wanted) {
        for key in wanted.keys() {
            stored.get_mut(key).and_then(|twin| twin.hand_over(now));
        }
    }
}

/// Tells who watches where the loop of these keys stands.
fn publish(app: &AppState, device: &Arc<Device>, twin: &DeviceTwin, keys: &[String]) {
    let now = app.clock.now_ms();
    let stored = twin.keys.read();
    for (key, twin) in keys.iter().filter_map(|k| stored.get_key_value(k)) {
        let progress = twin.progress(now);
        let (Some(state), Some(desired)) = (progress.as_str(), &twin.desired) else {
            continue;
        };
        let done = twin
            .reported
            .as_ref()
            .filter(|_| progress == Progress::Done);
        let event = live::Event::Desired {
            device: device.clone(),
            key: key.clone(),
            value: done.unwrap_or(desired).clone(),
            version: twin.version,
            reported_version: twin.reported_version,
            state,
            reason: twin
                .refused
                .clone()
                .filter(|_| progress == Progress::Refused),
        };
        live::publish(app, event);
    }
}
