//! The routes that people and their programs call: state, history, export, import and retention.

use super::answer::Answer;
use super::http::{Options, RawBody, add_derived};
use super::question::Question;
use super::retention;
use super::store::{KeepRule, Scope};
use super::{export, import, ingest, latest};
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query, body_error};
use crate::identity::{self, Caller, Principal};
use crate::{ApiError, AppState, clock, devices};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use espalier_model::Action;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

/// The state of a device, as people see it.
#[derive(Serialize, ToSchema)]
pub(super) struct StateAnswer {
    /// The device's 24-digit id.
    device_id: String,
    /// The latest value of every key, as the device reported it.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// The time of the newest value, ISO; `null` when there is none.
    timestamp: Option<String>,
    /// The time of each value, milliseconds UTC.
    #[schema(value_type = Object)]
    updated_ms: Map<String, Value>,
    /// Derived values, only with `?derived=1`.
    #[schema(value_type = Option<Object>)]
    iot_derived: Option<Map<String, Value>>,
}

/// Names history in a query string.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the query; the pairs are read one by one, because names repeat"
)]
pub(super) struct HistoryParams {
    /// The devices; repeat it or separate with commas.
    device_id: Vec<String>,
    /// The keys; repeat it or separate with commas; without it all keys.
    key: Option<Vec<String>>,
    /// Begin, inclusive: ISO or milliseconds UTC.
    from: Option<String>,
    /// End, exclusive: ISO or milliseconds UTC; without it now.
    to: Option<String>,
    /// Length of the range without `from`: `15m`, `24h` (the default), `7d`, `30d`.
    period: Option<String>,
    /// What to tell of each bucket: `min`, `max`, `mean` (the default), `last`, `first`, `count`, `sum`.
    agg: Option<Vec<String>>,
    /// Length of a bucket: `10s`, `1m`, `1h`, `1d`, `1w`, `1mo`.
    interval: Option<String>,
    /// Number of equal buckets, instead of `interval`.
    buckets: Option<u32>,
    /// IANA time zone of days, weeks, months and of times without an offset; `UTC` without it.
    tz: Option<String>,
    /// Most points of each series, for raw points.
    limit: Option<u32>,
    /// `asc` (the default) or `desc`.
    order: Option<String>,
    /// `null` gives buckets without points too.
    fill: Option<String>,
    /// `series`, `array`, or `parquet` where it is built in.
    format: Option<String>,
}

/// Names an export in a query string.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the query; the pairs are read one by one, because names repeat"
)]
pub(super) struct ExportParams {
    /// `csv` (the default), `ndjson`, or `parquet` where it is built in.
    format: Option<String>,
    /// The devices; repeat it or separate with commas.
    device_id: Vec<String>,
    /// The keys; repeat it or separate with commas; without it all keys.
    key: Option<Vec<String>>,
    /// Begin, inclusive: ISO or milliseconds UTC.
    from: Option<String>,
    /// End, exclusive: ISO or milliseconds UTC; without it now.
    to: Option<String>,
    /// Length of the range without `from`: `15m`, `24h` (the default), `7d`, `30d`.
    period: Option<String>,
    /// IANA time zone of times without an offset; `UTC` without it.
    tz: Option<String>,
}

/// One point of the short form.
#[derive(Serialize, ToSchema)]
pub(super) struct ShortPoint {
    /// ISO.
    timestamp: String,
    /// The value as it was stored.
    value: Value,
}

/// One series of an answer.
#[derive(Serialize, ToSchema)]
pub(super) struct SeriesAnswer {
    /// The device's 24-digit id.
    device_id: String,
    /// The key.
    key: String,
    /// `{t, value}`, or per bucket `{t, mean, …}`; `t` is in milliseconds UTC, of a bucket its begin.
    #[schema(value_type = Vec<Object>)]
    points: Vec<Map<String, Value>>,
    /// Present and true when `limit` cut off further points.
    more: Option<bool>,
}

/// The full form of history.
#[derive(Serialize, ToSchema)]
pub(super) struct HistoryAnswer {
    /// Begin, inclusive, ISO.
    from: String,
    /// End, exclusive, ISO.
    to: String,
    /// The length of a bucket as asked for; `null` for raw points.
    interval: Option<String>,
    /// The time zone of the buckets.
    tz: String,
    /// One entry per series, in the order asked for.
    series: Vec<SeriesAnswer>,
}

/// The two forms of history.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the answer; it is written as text")]
pub(super) enum AnyHistory {
    /// With one device, one key and only `period`, or with `format=array`.
    Short(Vec<ShortPoint>),
    /// Otherwise, or with `format=series`.
    Full(HistoryAnswer),
}

/// What an import did.
#[derive(Serialize, ToSchema)]
pub(super) struct Imported {
    /// Always `ok`.
    message: &'static str,
    /// The device's 24-digit id.
    device_id: String,
    /// The number of points of the file; all of them are stored.
    accepted: usize,
    /// When it was done, ISO.
    timestamp: String,
}

/// What a deletion did.
#[derive(Serialize, ToSchema)]
pub(super) struct Deleted {
    /// A sentence.
    message: &'static str,
    /// The number of points that were removed.
    deleted: u64,
}

fn json_text(text: Vec<u8>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// What a device reported last
///
/// The latest value of every key with its time, as reported; what the device should be is `/devices/{device_id}/state`.
#[utoipa::path(
    get, path = "/devices/{device_id}/telemetry/latest", tag = "telemetry",
    params(("device_id" = String, Path, description = "The device: 24-digit id or alias"), Options),
    responses(
        (status = 200, description = "The state", body = StateAnswer),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "Device not found", body = Problem),
    ),
    security(("bearer" = []), ("device" = [])),
)]
pub(super) async fn get_state(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Query(options): Query<Options>,
) -> ApiResult<Response> {
    let device = devices::require_telemetry(&app, &principal, &id, Action::Read)?;
    let state = latest::of(&app, device.id).await?;
    let mut answer = Answer::new();
    answer.device(&device);
    let newest = state.read(|entries| {
        answer.state("data", entries, &Default::default());
        let times: Map<_, _> = entries
            .iter()
            .map(|entry| (entry.key.to_string(), Value::from(entry.ts)))
            .collect();
        answer.document("updated_ms", &times);
        entries.iter().map(|entry| entry.ts).max()
    });
    answer.moment("timestamp", newest);
    if options.derived() {
        add_derived(&app, &device, &mut answer).await?;
    }
    Ok(answer.respond())
}

/// What was measured
///
/// Raw points, or aggregates per bucket, for many devices and keys at once. With exactly one device, one key and no
/// other parameter than `period` (or with `format=array`) the answer is the short form `[{timestamp, value}]`: up
/// to 10,000 points as they are, a longer range thinned to the mean (of texts the last) of 1,000 equal spans.
/// Otherwise it is `{from, to, interval, tz, series: [{device_id, key, points: [{t, …}]}]}` with `t` in
/// milliseconds UTC. Buckets are whole: the first and last one may reach beyond the range. At most 1,000 series and
/// 100,000 points or buckets; more is an export.
///
/// `format=parquet` gives the same rows as a streamed Parquet file, where the server is built with the cargo feature
/// `parquet`: `device_id`, `key`, `timestamp` (UTC, milliseconds), and `value` or one column per aggregate. `value`,
/// `first` and `last` hold numbers; truth values, texts and objects stand in `value_bool`, `value_text` and
/// `value_json` beside them. It is not bound to 100,000 points, and of buckets only per series.
#[utoipa::path(
    get, path = "/telemetry/history", tag = "telemetry",
    params(HistoryParams),
    responses(
        (status = 200, description = "The points", content(
            (AnyHistory = "application/json"), (String = "application/vnd.apache.parquet"),
        )),
        (status = 400, description = "Parquet is not built into this server", body = Problem),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "Device not found", body = Problem),
        (status = 422, description = "The question makes no sense or is too large", body = Problem),
    ),
    security(("bearer" = []), ("device" = [])),
)]
pub(super) async fn get_history(
    State(app): State<AppState>,
    principal: Principal,
    Query(pairs): Query<Vec<(String, String)>>,
) -> ApiResult<Response> {
    let question = Question::from_pairs(pairs)?;
    if question.is_parquet() {
        return export::parquet(&app, &principal, &question).await;
    }
    let ask = question.ask(&app, &principal).await?;
    if question.is_short() {
        return Ok(json_text(ask.answer_short(&app).await?));
    }
    Ok(json_text(ask.answer(&app).await?))
}

/// What was measured (question in the body)
///
/// The same as `GET /telemetry/history`, for more devices and keys than fit into a URL; never the short form.
#[utoipa::path(
    post, path = "/telemetry/query", tag = "telemetry",
    request_body = Question,
    responses(
        (status = 200, description = "The points", content(
            (HistoryAnswer = "application/json"), (String = "application/vnd.apache.parquet"),
        )),
        (status = 400, description = "Parquet is not built into this server", body = Problem),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "Device not found", body = Problem),
        (status = 422, description = "The question makes no sense or is too large", body = Problem),
    ),
    security(("bearer" = []), ("device" = [])),
)]
pub(super) async fn post_query(
    State(app): State<AppState>,
    principal: Principal,
    Json(question): Json<Question>,
) -> ApiResult<Response> {
    if question.is_parquet() {
        return export::parquet(&app, &principal, &question).await;
    }
    let ask = question.ask(&app, &principal).await?;
    Ok(json_text(ask.answer(&app).await?))
}

/// Everything that was measured, as a file
///
/// Streamed in constant memory, series after series, each oldest first. CSV (RFC 4180) has the columns
/// `timestamp,device_id,key,value` and can be imported again; a text that looks like a number or a formula has an
/// apostrophe before it. NDJSON has one object per line with `timestamp` and `ts` (milliseconds UTC). Parquet, where
/// it is built in, has the columns that `GET /telemetry/history` describes.
#[utoipa::path(
    get, path = "/telemetry/export", tag = "telemetry",
    params(ExportParams),
    responses(
        (status = 200, description = "The file", content(
            (String = "text/csv"), (String = "application/x-ndjson"), (String = "application/vnd.apache.parquet"),
        )),
        (status = 400, description = "The format is not built into this server", body = Problem),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "Device not found", body = Problem),
        (status = 422, description = "The question makes no sense or is too large", body = Problem),
    ),
    security(("bearer" = []), ("device" = [])),
)]
pub(super) async fn get_export(
    State(app): State<AppState>,
    principal: Principal,
    Query(pairs): Query<Vec<(String, String)>>,
) -> ApiResult<Response> {
    export::export(&app, &principal, &Question::from_pairs(pairs)?).await
}

/// Import measured values from a CSV file
///
/// The first line names the columns: `timestamp,temperature,humidity,…` (an empty cell is no value) or
/// `timestamp,key,value` (with or without `device_id`, as the export writes it). Times are ISO, milliseconds or
/// seconds since 1970 UTC. A file is stored whole or not at all: when a line is wrong nothing is stored and the answer
/// names the line. At most 64 MB and 1,000,000 values. Importing a file twice changes nothing.
#[utoipa::path(
    post, path = "/devices/{device_id}/telemetry/import", tag = "telemetry",
    params(("device_id" = String, Path, description = "The device: 24-digit id or alias")),
    request_body(content = String, content_type = "text/csv"),
    responses(
        (status = 200, description = "All points are stored and durable", body = Imported),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Seen, but not yours to change", body = Problem),
        (status = 404, description = "Device not found", body = Problem),
        (status = 413, description = "The file is larger than 64 MB or has more than 1,000,000 values", body = Problem),
        (status = 422, description = "A line is wrong; nothing was stored", body = Problem),
        (status = 503, description = "The server cannot store it now; send it again after `Retry-After`", body = Problem),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn post_import(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    body: RawBody,
) -> ApiResult<Json<Imported>> {
    let principal = Principal::Account(caller);
    let device = devices::require_telemetry(&app, &principal, &id, Action::Manage)?;
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::too_large("The file is larger than 64 MB; split it by lines.")
        }
        _ => body_error(&error),
    })?;
    let imported = import::import(&app, &device, body).await?;
    Ok(Json(Imported {
        message: "ok",
        device_id: device.oid.to_string(),
        accepted: imported.points,
        timestamp: clock::iso(imported.at),
    }))
}

/// Which points to remove.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Removal {
    /// The key; without it all keys.
    key: Option<String>,
    /// Begin, inclusive: ISO or milliseconds UTC; without it the beginning.
    from: Option<String>,
    /// End, exclusive: ISO or milliseconds UTC; without it everything.
    to: Option<String>,
}

/// Remove measured values
///
/// Removes the points of one key or of all keys in a range. This cannot be undone.
#[utoipa::path(
    delete, path = "/devices/{device_id}/telemetry", tag = "telemetry",
    params(("device_id" = String, Path, description = "The device: 24-digit id or alias"), Removal),
    responses(
        (status = 200, description = "Removed", body = Deleted),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Only the owner may do this", body = Problem),
        (status = 404, description = "Device not found", body = Problem),
        (status = 422, description = "The range makes no sense", body = Problem),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn delete_range(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(removal): Query<Removal>,
) -> ApiResult<Json<Deleted>> {
    let principal = Principal::Account(caller.clone());
    let device = devices::require_telemetry(&app, &principal, &id, Action::Own)?;
    let moment = |name, text: Option<&String>, otherwise| match text {
        Some(text) => super::range::moment(text, &TimeZone::UTC)
            .map_err(|what| ApiError::invalid(&["query", name], what)),
        None => Ok(otherwise),
    };
    let from = moment("from", removal.from.as_ref(), i64::MIN)?;
    let to = moment("to", removal.to.as_ref(), i64::MAX)?;
    if from >= to {
        return Err(ApiError::invalid(&["query", "from"], "must be before to"));
    }
    let detail = json!({"key": removal.key, "from": removal.from, "to": removal.to});
    identity::audit(
        &app,
        &caller,
        "telemetry.delete",
        &device.oid.to_string(),
        detail,
    )
    .await?;
    let key = removal.key.as_deref().map(Into::into);
    let deleted = app.tsdb.delete_range(device.id.0, key, from, to).await;
    let deleted = deleted.map_err(ingest::store_error)?;
    app.telemetry.latest.forget(device.id);
    let message = "Telemetry deleted";
    Ok(Json(Deleted { message, deleted }))
}

/// How long a device's values are kept
///
/// A key without a rule here follows the defaults of the owner's account, and without those is kept for ever.
#[utoipa::path(
    get, path = "/devices/{device_id}/retention", tag = "telemetry",
    params(("device_id" = String, Path, description = "The device: 24-digit id or alias")),
    responses(
        (status = 200, description = "The rules, by key", body = Vec<KeepRule>),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 404, description = "Device not found", body = Problem),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn get_retention(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Vec<KeepRule>>> {
    let device = devices::require_telemetry(&app, &Principal::Account(caller), &id, Action::Read)?;
    let rules = retention::read(&app, Scope::Device, device.id.to_string()).await?;
    Ok(Json(rules))
}

/// Decide how long a device's values are kept
///
/// Replaces all rules of the device. They are enforced within the hour.
#[utoipa::path(
    put, path = "/devices/{device_id}/retention", tag = "telemetry",
    params(("device_id" = String, Path, description = "The device: 24-digit id or alias")),
    request_body = Vec<KeepRule>,
    responses(
        (status = 200, description = "The rules as they are now", body = Vec<KeepRule>),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 403, description = "Only the owner may do this", body = Problem),
        (status = 404, description = "Device not found", body = Problem),
        (status = 422, description = "A rule is wrong", body = Problem),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn put_retention(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(rules): Json<Vec<KeepRule>>,
) -> ApiResult<Json<Vec<KeepRule>>> {
    let principal = Principal::Account(caller.clone());
    let device = devices::require_telemetry(&app, &principal, &id, Action::Own)?;
    let rules = retention::replace(&app, Scope::Device, device.id.to_string(), rules).await?;
    let target = device.oid.to_string();
    identity::audit(&app, &caller, "telemetry.retention", &target, json!(rules)).await?;
    Ok(Json(rules))
}

/// How long values are kept by default
///
/// The rules for the devices of the caller's account, for keys that the device itself has no rule for.
#[utoipa::path(
    get, path = "/me/retention", tag = "telemetry",
    responses(
        (status = 200, description = "The rules, by key", body = Vec<KeepRule>),
        (status = 401, description = "Not signed in", body = Problem),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn get_my_retention(
    State(app): State<AppState>,
    caller: Caller,
) -> ApiResult<Json<Vec<KeepRule>>> {
    let id = caller.account.to_string();
    Ok(Json(retention::read(&app, Scope::Account, id).await?))
}

/// Decide how long values are kept by default
///
/// Replaces all rules of the caller's account. They are enforced within the hour.
#[utoipa::path(
    put, path = "/me/retention", tag = "telemetry",
    request_body = Vec<KeepRule>,
    responses(
        (status = 200, description = "The rules as they are now", body = Vec<KeepRule>),
        (status = 401, description = "Not signed in", body = Problem),
        (status = 422, description = "A rule is wrong", body = Problem),
    ),
    security(("bearer" = [])),
)]
pub(super) async fn put_my_retention(
    State(app): State<AppState>,
    caller: Caller,
    Json(rules): Json<Vec<KeepRule>>,
) -> ApiResult<Json<Vec<KeepRule>>> {
    let id = caller.account.to_string();
    let rules = retention::replace(&app, Scope::Account, id.clone(), rules).await?;
    identity::audit(&app, &caller, "telemetry.retention", &id, json!(rules)).await?;
    Ok(Json(rules))
}
