//! The routes that devices call: posts and polls, in the shapes that existing firmware sends and reads.

use super::answer::Answer;
use super::latest::{self, Entry};
use super::parse::{Post, parse_post};
use super::refusal::{Reason, Refusal};
use super::{Ingested, derived, ingest, values};
use crate::control::{self, Desired, Reported};
use crate::devices::Device;
use crate::error::{ApiResult, Problem};
use crate::http::{Peer, Query, body_error, count_device, count_stranger};
use crate::identity::{self, Identified, Principal};
use crate::{ApiError, AppState};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use espalier_model::{DeviceId, Oid};
use espalier_wire::device::StateMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// One sample of a batch.
#[derive(Serialize, ToSchema)]
pub(super) struct SampleBody {
    /// When it was measured, milliseconds UTC, from 2000-01-01 to one day ahead of now; without it the moment of
    /// arrival counts.
    #[schema(example = 1_772_366_400_000_i64)]
    ts: Option<i64>,
    /// Keys and values: numbers, booleans, texts, small objects. At most 256 keys.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
}

/// What a device posts: `data`, or `samples`.
#[derive(Serialize, ToSchema)]
pub(super) struct TelemetryBody {
    /// The device token, unless a header carries it.
    device_token: Option<String>,
    /// Keys and values of one moment.
    #[schema(value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
    /// When `data` was measured, milliseconds UTC; without it the moment of arrival counts.
    ts: Option<i64>,
    /// Several moments, instead of `data`. At most 10,000 values.
    samples: Option<Vec<SampleBody>>,
    /// What the switches are now: key → `{value, version}`, where version is the desired version that it answers.
    #[schema(value_type = Option<Object>)]
    reported: Option<Map<String, Value>>,
}

/// The answer to a post of `data`. A batch is answered with `accepted` in place of `data`.
#[derive(Serialize, ToSchema)]
pub(super) struct TelemetryAnswer {
    /// Always `ok`.
    message: String,
    /// The device's 24-digit id.
    device_id: String,
    /// The latest value of every key; a desired value stands over the reported one until the device reports it.
    #[schema(value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
    /// The number of values taken, for a batch.
    accepted: Option<u64>,
    /// When it arrived, ISO.
    timestamp: String,
    /// Derived values, only with `?derived=1`.
    #[schema(value_type = Option<Object>)]
    iot_derived: Option<Map<String, Value>>,
}

/// The answer to a post on the older path.
#[derive(Serialize, ToSchema)]
pub(super) struct LegacyAnswer {
    /// Always `ok`.
    message: String,
    /// The device's 24-digit id.
    device_id: String,
    /// What the LED should be: `v0`, or without it `led`; 0 or 1 for a switch.
    led: Value,
    /// The latest value of every key.
    #[schema(value_type = Object)]
    updated_data: Map<String, Value>,
    /// When it arrived, ISO.
    timestamp: String,
}

/// The state of a device, as it polls it.
#[derive(Serialize, ToSchema)]
pub(super) struct LatestAnswer {
    /// The device's 24-digit id.
    device_id: String,
    /// The latest value of every key; a desired value stands over the reported one until the device reports it.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// The time of the newest value, ISO; `null` when there is none.
    timestamp: Option<String>,
    /// The server's time, milliseconds UTC.
    time: i64,
    /// The desired values that are not reported yet: key → `{value, version}`; absent when there are none.
    #[schema(value_type = Option<Object>)]
    desired: Option<Map<String, Value>>,
    /// Derived values, only with `?derived=1`.
    #[schema(value_type = Option<Object>)]
    iot_derived: Option<Map<String, Value>>,
}

/// What an answer should also hold.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Options {
    /// `1` or `true` adds `iot_derived`.
    #[serde(default)]
    derived: Option<String>,
}

impl Options {
    pub(super) fn derived(&self) -> bool {
        is_yes(self.derived.as_deref())
    }
}

/// What the answer to a poll should hold.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LatestOptions {
    /// `1` or `true` adds `iot_derived`.
    #[serde(default)]
    derived: Option<String>,
    /// `desired` leaves `data` and `timestamp` away and bounds the answer.
    #[serde(default)]
    only: Option<String>,
}

impl LatestOptions {
    fn derived(&self) -> bool {
        is_yes(self.derived.as_deref())
    }

    fn only_desired(&self) -> ApiResult<bool> {
        match self.only.as_deref() {
            None => Ok(false),
            Some("desired") => Ok(true),
            Some(_) => Err(ApiError::invalid(&["query", "only"], "must be `desired`")),
        }
    }
}

fn is_yes(option: Option<&str>) -> bool {
    matches!(option, Some("1" | "true"))
}

/// A body as it came, or why it could not be read.
pub(super) type RawBody = Result<Bytes, BytesRejection>;

/// Stores what a device measured
///
/// Takes one sample (`data`) or a batch (`samples`, each with its own time). The answer comes when everything is
/// durable; a body is stored whole or not at all. The same point twice is one point, and late points land where they
/// belong. Values are finite numbers (integers up to 2^53), booleans, texts up to 4096 bytes and objects or arrays
/// up to 4096 bytes and 8 levels; `null` is refused. Keys have up to 128 letters, digits, `_ . : - /` and spaces,
/// and do not begin with `_`.
#[utoipa::path(
    post, path = "/devices/{device_id}/telemetry", tag = "telemetry",
    params(("device_id" = String, Path, description = "The device: 24-digit id or alias"), Options),
    request_body = TelemetryBody,
    responses(
        (status = 200, description = "Stored and durable", body = TelemetryAnswer),
        (status = 400, description = "Invalid device ID", body = Problem),
        (status = 403, description = "The token is not this device's", body = Problem),
        (status = 404, description = "Device not found", body = Problem),
        (status = 413, description = "Too much at once", body = Problem),
        (status = 422, description = "The body breaks a rule; nothing was stored", body = Problem),
        (status = 503, description = "The server cannot store it now; send it again after `Retry-After`", body = Problem),
    ),
    security(("device" = []), ()),
)]
pub(super) async fn post_telemetry(
    State(app): State<AppState>,
    Path(id): Path<String>,
    Query(options): Query<Options>,
    Extension(who): Extension<Identified>,
    peer: Peer,
    body: RawBody,
) -> ApiResult<Response> {
    let body = read(&app, body)?;
    let post = parse_post(&body).map_err(|refusal| ingest::refuse(&app, refusal))?;
    let device = device_in_path(&app, &id)?;
    let authorised = match sender(&app, &post, &who, peer)? {
        Sender::Known(sender) if sender.id == device.id => Ok(()),
        Sender::Known(_) | Sender::Wrong => {
            Err(ApiError::forbidden("Invalid device_token for device"))
        }
        Sender::Nobody => Err(ApiError::invalid(&["body", "device_token"], TOKEN_REQUIRED)),
    };
    authorised.inspect_err(|_| app.ops.metrics.refused(Reason::Unauthorized.label()))?;
    let batch = post.readings.is_batch();
    let stored = take(&app, &device, post).await?;
    if !batch {
        return state_answer(&app, &device, &stored, "data", options.derived()).await;
    }
    let mut answer = Answer::new();
    answer.text("message", "ok");
    answer.device(&device);
    answer.int("accepted", i64::try_from(stored.points).unwrap_or(i64::MAX));
    answer.moment("timestamp", Some(stored.at));
    Ok(answer.respond())
}

/// Stores what a device measured (older path)
///
/// The device is found by its token. Everything else is as with `POST /devices/{device_id}/telemetry`.
#[utoipa::path(
    post, path = "/telemetry", tag = "telemetry",
    params(Options),
    request_body = TelemetryBody,
    responses(
        (status = 200, description = "Stored and durable", body = LegacyAnswer),
        (status = 400, description = "The token is missing", body = Problem),
        (status = 404, description = "No device has this token", body = Problem),
        (status = 413, description = "Too much at once", body = Problem),
        (status = 422, description = "The body breaks a rule; nothing was stored", body = Problem),
        (status = 503, description = "The server cannot store it now; send it again after `Retry-After`", body = Problem),
    ),
    security(("device" = []), ()),
)]
pub(super) async fn post_telemetry_legacy(
    State(app): State<AppState>,
    Query(options): Query<Options>,
    Extension(who): Extension<Identified>,
    peer: Peer,
    body: RawBody,
) -> ApiResult<Response> {
    let body = read(&app, body)?;
    let post = parse_post(&body).map_err(|refusal| ingest::refuse(&app, refusal))?;
    let device = match sender(&app, &post, &who, peer)? {
        Sender::Known(device) => Ok(device),
        Sender::Wrong => Err(ApiError::not_found("Device")),
        Sender::Nobody => Err(ApiError::bad_request(
            "missing_token",
            "Missing device_token; send it in the body or as `Authorization: Bearer`.",
        )),
    };
    let device = device.inspect_err(|_| app.ops.metrics.refused(Reason::Unauthorized.label()))?;
    let stored = take(&app, &device, post).await?;
    state_answer(&app, &device, &stored, "updated_data", options.derived()).await
}

/// What a device should show and do now
///
/// The latest value of every key, with desired values over the reported ones until the device reports them. A poll
/// does not mark the device online. A small board asks with `only=desired`: no `data`, and at most 2,048 bytes; when
/// more is desired than fits, the next answer goes on where this one ended.
#[utoipa::path(
    get, path = "/telemetry/latest", tag = "telemetry",
    params(("device_token" = Option<String>, Query, description = "The device token; better in `Authorization: Bearer`"), LatestOptions),
    responses(
        (status = 200, description = "The state", body = LatestAnswer),
        (status = 404, description = "No device has this token", body = Problem),
        (status = 422, description = "The token is missing, or a parameter is wrong", body = Problem),
    ),
    security(("device" = []), ()),
)]
pub(super) async fn get_latest(
    State(app): State<AppState>,
    Query(options): Query<LatestOptions>,
    Extension(who): Extension<Identified>,
) -> ApiResult<Response> {
    let only_desired = options.only_desired()?;
    let device = match who {
        Identified::Known(Principal::Device(device)) => device,
        Identified::Nobody => {
            return Err(ApiError::invalid(
                &["query", "device_token"],
                TOKEN_REQUIRED,
            ));
        }
        _ => return Err(ApiError::not_found("Device")),
    };
    if only_desired {
        return desired_answer(&app, &device).await;
    }
    let pending = control::pending(&app, device.id);
    let state = latest::of(&app, device.id).await?;
    let mut answer = Answer::new();
    answer.device(&device);
    let newest = state.read(|entries| {
        answer.state("data", entries, &pending);
        entries.iter().map(|entry| entry.ts).max()
    });
    answer.moment("timestamp", newest);
    answer.int("time", app.clock.now_ms());
    if !pending.is_empty() {
        answer.desired("desired", &pending);
    }
    if options.derived() {
        add_derived(&app, &device, &mut answer).await?;
    }
    Ok(answer.respond())
}

/// The part of the state that a board needs to obey, no larger than it can hold.
async fn desired_answer(app: &AppState, device: &Arc<Device>) -> ApiResult<Response> {
    let pending = control::next_part(app, device).await?;
    let mut answer = Answer::new();
    answer.device(device);
    answer.int("time", app.clock.now_ms());
    if !pending.is_empty() {
        answer.desired("desired", &pending);
    }
    Ok(answer.respond())
}

fn read(app: &AppState, body: RawBody) -> ApiResult<Bytes> {
    body.map_err(|error| {
        app.ops.metrics.refused(Reason::TooLarge.label());
        body_error(&error)
    })
}

/// The device that a path names; a path of these routes that names none in any form is a 400, as existing clients
/// expect it.
fn device_in_path(app: &AppState, id: &str) -> ApiResult<Arc<Device>> {
    app.devices.resolve(id).ok_or_else(|| {
        if id.parse::<Oid>().is_ok() || id.parse::<DeviceId>().is_ok() {
            return ApiError::not_found("Device");
        }
        ApiError::bad_request("invalid_device_id", "Invalid device ID")
    })
}

const TOKEN_REQUIRED: &str = "field required; or send the token as `Authorization: Bearer`";

/// Who sends a body.
enum Sender {
    Known(Arc<Device>),
    /// A token came that no device has.
    Wrong,
    /// No token came.
    Nobody,
}

/// Finds out who sends a body and counts the request, where the edge could not know yet.
fn sender(app: &AppState, post: &Post<'_>, who: &Identified, peer: Peer) -> ApiResult<Sender> {
    let sender = match (&post.token, who) {
        (Some(token), _) => {
            identity::device_by_token(app, token).map_or(Sender::Wrong, Sender::Known)
        }
        (None, Identified::Known(Principal::Device(device))) => Sender::Known(device.clone()),
        (None, Identified::Nobody) => Sender::Nobody,
        (None, _) => Sender::Wrong,
    };
    if let Identified::Nobody = who {
        match &sender {
            Sender::Known(device) => count_device(app, device.id)?,
            Sender::Wrong | Sender::Nobody => count_stranger(app, peer)?,
        }
    }
    Ok(sender)
}

/// Stores a post and notes what it reports of the device's switches.
async fn take(app: &AppState, device: &Arc<Device>, post: Post<'_>) -> ApiResult<Ingested> {
    let reported = post.reported.map(reported).transpose();
    let reported = reported.map_err(|refusal| ingest::refuse(app, refusal))?;
    let stored = ingest::store(app, device, post.readings).await?;
    if let Some(reported) = reported.filter(|reported| !reported.is_empty()) {
        control::report(app, device, &reported).await?;
    }
    Ok(stored)
}

fn reported(text: &str) -> Result<BTreeMap<String, Reported>, Refusal> {
    let refuse = |error: String| Refusal::at(vec!["body".to_owned(), "reported".to_owned()], error);
    let json = espalier_wire::json::Json::parse(text).map_err(|error| refuse(error.to_string()))?;
    let map = StateMap::check(json).map_err(|error| refuse(error.to_string()))?;
    map.iter()
        .map(|entry| {
            let value = serde_json::from_str(entry.value.as_str());
            let value = value.map_err(|error| refuse(error.to_string()))?;
            let report = Reported::new(value, entry.version, entry.error);
            Ok((entry.key.to_owned_string(), report))
        })
        .collect()
}

/// The answer to a post of one sample, on both paths.
async fn state_answer(
    app: &AppState,
    device: &Arc<Device>,
    stored: &Ingested,
    name: &str,
    derived: bool,
) -> ApiResult<Response> {
    let pending = control::pending(app, device.id);
    let state = latest::of(app, device.id).await?;
    let mut answer = Answer::new();
    answer.text("message", "ok");
    answer.device(device);
    state.read(|entries| {
        if name == "updated_data" {
            answer.document("led", &led(entries, &pending));
        }
        answer.state(name, entries, &pending);
    });
    answer.moment("timestamp", Some(stored.at));
    if derived {
        add_derived(app, device, &mut answer).await?;
    }
    Ok(answer.respond())
}

/// What the oldest firmware reads as `led`, desired over reported.
fn led(entries: &[Entry], pending: &BTreeMap<String, Desired>) -> Value {
    let state = |key: &str| {
        let desired = pending.get(key).map(|desired| desired.value.clone());
        let reported = || entries.iter().find(|entry| *entry.key == *key);
        let value = desired.or_else(|| Some(values::document(&reported()?.value)))?;
        Some((key.to_owned(), value))
    };
    control::led(&["v0", "led"].into_iter().filter_map(state).collect())
}

/// Adds `iot_derived`, from the newest points of each numeric key.
pub(super) async fn add_derived(
    app: &AppState,
    device: &Device,
    answer: &mut Answer,
) -> ApiResult<()> {
    let state = latest::of(app, device.id).await?;
    let keys: Vec<Arc<str>> = state.read(|entries| {
        let numeric = |entry: &&Entry| matches!(entry.value, espalier_tsdb::Value::Number(_));
        let keys = entries
            .iter()
            .filter(numeric)
            .map(|entry| entry.key.clone());
        keys.take(MAX_DERIVED_KEYS).collect()
    });
    let mut recent = Vec::with_capacity(keys.len());
    for key in keys {
        let points = app
            .tsdb
            .recent(device.id.0, &key, derived::RECENT_POINTS)
            .await;
        let points = points.map_err(ingest::store_error)?;
        let numbers = points.into_iter().map(|(_, number)| number).collect();
        recent.push((key.to_string(), numbers));
    }
    answer.document("iot_derived", &derived::derive(&recent));
    Ok(())
}

/// From how many keys values are derived at most: each is a read.
const MAX_DERIVED_KEYS: usize = 64;
