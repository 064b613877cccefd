//! Frames of a device turned into calls of the features, and what came of them into frames for the device.

use super::work::Work;
use crate::control::{self, Reported};
use crate::devices::{self, Device, Facts};
use crate::live::signal::End;
use crate::ota::fleet::Running;
use crate::telemetry::{self, Sample};
use crate::{ApiError, AppState, ota, random};
use axum::extract::ws::Utf8Bytes;
use axum::http::StatusCode;
use espalier_wire::codes;
use espalier_wire::device::{
    CommandResult, Down, Heartbeat, Hello, StateMap, Telemetry, Up, WireError,
};
use espalier_wire::http::HeartbeatPost;
use espalier_wire::json::{Json, Text};
use espalier_wire::limits::{MAX_KEYS_PER_SAMPLE, check_key};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Milliseconds after which a device may try again when the failure names no time.
const RETRY_MS: u32 = 1_000;

/// Characters of a word that a board says of itself.
const MAX_WORD: usize = 64;

/// What came of one frame at once.
pub(super) enum Heard {
    /// It is being handled; the answer comes from [`Work`].
    Taken,
    /// The answer.
    Answer(Utf8Bytes),
    /// It was wrong; the answer says how.
    Wrong(Utf8Bytes),
    /// The connection must end.
    End(End),
}

/// Takes one frame of a device.
pub(super) fn hear(
    app: &AppState,
    device: &Arc<Device>,
    text: &str,
    work: &mut Work,
    introduced: &mut bool,
) -> Heard {
    let up = match Up::parse(text) {
        Ok(up) => up,
        Err(error) => return Heard::Wrong(refusal(text, &error)),
    };
    let taken = match up {
        Up::Hello(hello) => {
            let heard = greet(device, &hello);
            if matches!(heard, Heard::Taken) {
                tell_fleet(app, device, &said(&hello));
            }
            // Once per connection: a board does not change while it is connected.
            if matches!(heard, Heard::Taken) && !std::mem::replace(introduced, true) {
                introduce(app, device, facts(&hello), work);
            }
            return heard;
        }
        Up::Ping => {
            let time = Some(app.clock.now_ms());
            return Heard::Answer(Down::Pong { time }.to_json().into());
        }
        Up::Telemetry { id, telemetry } => measure(app, device, id, telemetry, work),
        Up::Reported { id, state } => report(app, device, id, state, work),
        Up::Heartbeat(heartbeat) => {
            beat(app, device, &heartbeat, work);
            Ok(())
        }
        Up::CommandResult(result) => answer_command(app, device, &result, work),
    };
    match taken {
        Ok(()) => Heard::Taken,
        Err(wrong) => Heard::Wrong(wrong),
    }
}

/// A greeting of a device that is signed in already: it may repeat its token, but not show another one.
fn greet(device: &Device, hello: &Hello<'_>) -> Heard {
    let other = hello
        .token
        .is_some_and(|token| random::digest(&token.expose().to_cow()) != device.token_digest);
    if other {
        return Heard::End(End::Unauthorized);
    }
    Heard::Taken
}

/// What a greeting says of the board.
pub(super) fn facts(hello: &Hello<'_>) -> Facts {
    let firmware = hello.firmware.as_ref();
    Facts {
        firmware_version: firmware.map(|firmware| firmware.version.to_owned_string()),
        firmware_sha256: firmware.and_then(|f| f.sha256.map(Text::to_owned_string)),
        chip: hello.chip.map(Text::to_owned_string),
        board: hello.board.map(Text::to_owned_string),
        expected_interval_seconds: hello.expected_interval_s,
    }
}

/// What a greeting says of the firmware that runs.
pub(super) fn said(hello: &Hello<'_>) -> Running {
    let firmware = hello.firmware.as_ref();
    Running {
        sha256: firmware.and_then(|f| ota::digest(f.sha256?.as_plain()?)),
        version: firmware.map(|f| word(f.version)),
        trial: firmware.is_some_and(|f| f.trial),
        chip: hello.chip.map(word),
        boot_reason: hello.boot_reason.map(word),
        boots: hello.boots,
        ..Running::default()
    }
}

/// A word of a board: as long as it may be, because a board cannot be asked to choose another.
fn word(text: Text<'_>) -> String {
    let words = text.to_cow();
    words
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_WORD)
        .collect()
}

/// Tells what runs on a board that greets. A greeting that names no image leaves open what runs.
pub(super) fn tell_fleet(app: &AppState, device: &Arc<Device>, said: &Running) {
    ota::fleet::heard(app, device, |running| {
        let named = said.sha256.is_some() || said.version.is_some();
        let before = (running.trial, running.native);
        *running = said.clone();
        running.native = before.1 || said.sha256.is_some();
        if !named {
            running.trial = before.0;
        }
    });
    ota::rollouts::connected(app, device.id);
}

/// Keeps what the board said of itself; nobody waits for it.
pub(super) fn introduce(app: &AppState, device: &Device, facts: Facts, work: &mut Work) {
    let (app, id) = (app.clone(), device.id);
    work.side_by_side(Box::pin(async move {
        if let Err(error) = devices::introduce(&app, id, facts).await {
            tracing::warn!(%error, "what a board says of itself could not be stored; it is when it connects again");
        }
        None
    }));
}

fn measure(
    app: &AppState,
    device: &Arc<Device>,
    id: u32,
    telemetry: Telemetry<'_>,
    work: &mut Work,
) -> Result<(), Utf8Bytes> {
    let samples: Result<Vec<Sample>, serde_json::Error> = telemetry
        .samples()
        .map(|sample| {
            Ok(Sample {
                ts: sample.ts,
                data: serde_json::from_str(sample.data.as_str())?,
            })
        })
        .collect();
    let samples = samples
        .map_err(|error| error_frame(Some(id), codes::INVALID_DATA, &error.to_string(), None))?;
    ingest(app, device, Some(id), samples, work);
    Ok(())
}

fn ingest(
    app: &AppState,
    device: &Arc<Device>,
    id: Option<u32>,
    samples: Vec<Sample>,
    work: &mut Work,
) {
    let (app, device) = (app.clone(), device.clone());
    work.side_by_side(Box::pin(async move {
        let stored = telemetry::ingest(&app, &device, samples).await;
        settle(id, stored.map(|_| ()))
    }));
}

/// Vital signs are series like any other.
fn beat(app: &AppState, device: &Arc<Device>, heartbeat: &Heartbeat<'_>, work: &mut Work) {
    ota::fleet::heard(app, device, |running| vital_signs(heartbeat, running));
    let sample = vital_sample(heartbeat);
    ingest(app, device, heartbeat.id, vec![sample], work);
}

/// Notes vital signs beside what is known of a board.
fn vital_signs(heartbeat: &Heartbeat<'_>, running: &mut Running) {
    running.uptime_s = Some(heartbeat.uptime_s);
    running.heap_free = heartbeat.heap_free;
    running.rssi = heartbeat.rssi;
    running.boot_reason = heartbeat.boot_reason.map(word);
    let sha256 = heartbeat
        .sha256
        .and_then(|sha| ota::digest(sha.as_plain()?));
    running.sha256 = sha256.or(running.sha256.take());
}

/// Takes the sign of life of a device without a socket, which says in one body what a greeting and a heartbeat say.
pub(in crate::live) async fn hear_post(
    app: &AppState,
    device: &Arc<Device>,
    post: &HeartbeatPost<'_>,
) -> Result<(), ApiError> {
    devices::introduce(app, device.id, facts(&post.hello)).await?;
    let mut said = said(&post.hello);
    vital_signs(&post.heartbeat, &mut said);
    tell_fleet(app, device, &said);
    telemetry::ingest(app, device, vec![vital_sample(&post.heartbeat)]).await?;
    Ok(())
}

fn vital_sample(heartbeat: &Heartbeat<'_>) -> Sample {
    let mut data = Map::new();
    data.insert("uptime".to_owned(), json!(heartbeat.uptime_s));
    if let Some(free) = heartbeat.heap_free {
        data.insert("heap_free".to_owned(), json!(free));
    }
    if let Some(rssi) = heartbeat.rssi {
        data.insert("rssi".to_owned(), json!(rssi));
    }
    Sample { ts: None, data }
}

fn report(
    app: &AppState,
    device: &Arc<Device>,
    id: u32,
    state: StateMap<'_>,
    work: &mut Work,
) -> Result<(), Utf8Bytes> {
    let reported =
        reported(state).map_err(|why| error_frame(Some(id), codes::INVALID_DATA, &why, None))?;
    let (app, device) = (app.clone(), device.clone());
    work.in_order(Box::pin(async move {
        settle(Some(id), control::report(&app, &device, &reported).await)
    }));
    Ok(())
}

fn reported(state: StateMap<'_>) -> Result<BTreeMap<String, Reported>, String> {
    let mut reported = BTreeMap::new();
    for entry in state.iter() {
        let key = entry.key.to_cow();
        check_key(&key).map_err(|error| error.to_string())?;
        let value = parse(entry.value).map_err(|error| format!("{key}: {error}"))?;
        let report = Reported::new(value, entry.version, entry.error);
        reported.insert(key.into_owned(), report);
        if reported.len() > MAX_KEYS_PER_SAMPLE {
            return Err(format!(
                "a report may hold at most {MAX_KEYS_PER_SAMPLE} keys"
            ));
        }
    }
    Ok(reported)
}

fn answer_command(
    app: &AppState,
    device: &Arc<Device>,
    result: &CommandResult<'_>,
    work: &mut Work,
) -> Result<(), Utf8Bytes> {
    let id = result.id.to_owned_string();
    let outcome = if result.ok {
        let value = result.result.map_or(Ok(Value::Null), parse);
        Ok(value.map_err(|e| error_frame(None, codes::INVALID_DATA, &e.to_string(), None))?)
    } else {
        let why = result.error.map(Text::to_owned_string);
        Err(why.unwrap_or_else(|| "the device could not do it".to_owned()))
    };
    let (app, device) = (app.clone(), device.clone());
    work.in_order(Box::pin(async move {
        match control::command_result(&app, &device, &id, outcome).await {
            Ok(()) => None,
            Err(error)
                if matches!(error.status(), StatusCode::NOT_FOUND | StatusCode::CONFLICT) =>
            {
                let detail = format!("{id}: {}", error.message());
                Some(error_frame(None, codes::UNKNOWN_COMMAND, &detail, None))
            }
            Err(error) => Some(failure(None, &error)),
        }
    }));
    Ok(())
}

fn parse(json: Json<'_>) -> Result<Value, serde_json::Error> {
    serde_json::from_str(json.as_str())
}

/// The answer to a message with an id: acknowledged only when it is durable.
fn settle(id: Option<u32>, outcome: Result<(), ApiError>) -> Option<Utf8Bytes> {
    match outcome {
        Ok(()) => id.map(|id| Down::Ack { id }.to_json().into()),
        Err(error) => Some(failure(id, &error)),
    }
}

/// A failure of a feature as an error frame.
pub(super) fn failure(id: Option<u32>, error: &ApiError) -> Utf8Bytes {
    let code = match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => codes::TOO_LARGE,
        StatusCode::TOO_MANY_REQUESTS => codes::RATE_LIMITED,
        StatusCode::SERVICE_UNAVAILABLE => codes::UNAVAILABLE,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => codes::UNAUTHORIZED,
        status if status.is_client_error() => codes::INVALID_DATA,
        _ => codes::INTERNAL,
    };
    if code == codes::INTERNAL {
        tracing::error!(error = error.cause(), "a message of a device failed");
    }
    let named = error
        .retry_after()
        .map(|seconds| seconds.saturating_mul(1_000));
    let retry = codes::is_retryable(code).then_some(named.unwrap_or(RETRY_MS));
    error_frame(id, code, error.message(), retry)
}

fn refusal(text: &str, error: &WireError) -> Utf8Bytes {
    let code = match error {
        WireError::UnknownType => codes::UNKNOWN_TYPE,
        _ => codes::BAD_MESSAGE,
    };
    error_frame(Up::peek_id(text), code, &error.to_string(), None)
}

/// Letters of a detail at most: a board must be able to hold the frame, and some details name what the board has sent.
const MAX_DETAIL: usize = 256;

/// An error frame; a long detail is cut.
pub(super) fn error_frame(
    id: Option<u32>,
    code: &str,
    detail: &str,
    retry_after_ms: Option<u32>,
) -> Utf8Bytes {
    let end = detail
        .char_indices()
        .nth(MAX_DETAIL)
        .map_or(detail.len(), |(at, _)| at);
    Down::Error {
        id,
        code: Text::new(code),
        detail: Text::new(&detail[..end]),
        retry_after_ms,
    }
    .to_json()
    .into()
}
