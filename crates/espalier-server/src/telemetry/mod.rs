//! What boards measure: ingest, latest state, history, export and import.
//!
//! Every transport enters by [`ingest()`] or [`ingest_wire`]: values are checked whole, made durable in one append,
//! and only then acknowledged, shown and compared with what was desired. Points live in the telemetry engine
//! (`espalier-tsdb`), not in the control plane's database. What a device *should* do is [`crate::control`].
//!
//! Reading order: `parse.rs` (bytes to values), `ingest.rs` (the one way in), `latest.rs` (state in memory),
//! `http.rs` and `answer.rs` (what devices call and get).

mod answer;
mod cell;
mod derived;
mod export;
mod history;
mod http;
mod import;
mod ingest;
mod latest;
#[cfg(feature = "parquet")]
mod parquet_file;
#[cfg(feature = "parquet")]
mod parquet_stream;
mod parse;
mod people;
mod question;
mod range;
mod refusal;
mod retention;
mod store;
mod values;

pub use export::write_csv_line;
pub use import::{MAX_IMPORT_POINTS, read_file};
pub use ingest::MAX_KEYS_PER_DEVICE;
pub use parse::{Post, Readings, parse_post, parse_wire};
pub use range::zone;
pub use refusal::{Reason, Refusal};

use crate::devices::Device;
use crate::{ApiError, AppState};
use axum::extract::DefaultBodyLimit;
use espalier_db::Db;
use espalier_model::DeviceId;
use std::sync::Arc;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What this feature keeps in memory.
pub struct State {
    latest: latest::Index,
    /// Files are imported one at a time: each is held in memory and is one large append.
    imports: Semaphore,
}

impl State {
    /// Loads what lives in memory.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(_db: &Db) -> Result<Self, espalier_db::Error> {
        Ok(Self {
            latest: latest::Index::default(),
            imports: Semaphore::new(1),
        })
    }
}

/// The routes of this feature.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(people::post_import))
        .layer(DefaultBodyLimit::max(import::MAX_FILE))
        .routes(routes!(http::post_telemetry, people::delete_range))
        .routes(routes!(http::post_telemetry_legacy))
        .routes(routes!(http::get_latest))
        .routes(routes!(people::get_state))
        .routes(routes!(people::get_history))
        .routes(routes!(people::post_query))
        .routes(routes!(people::get_export))
        .routes(routes!(people::get_retention, people::put_retention))
        .routes(routes!(people::get_my_retention, people::put_my_retention))
}

/// Starts the background work of this feature.
pub(crate) fn start(app: &AppState) {
    retention::start(app);
}

/// Removes what the rules of retention no longer keep and returns how many points that were. The server calls it
/// every hour.
///
/// # Errors
/// Fails when a database does; what was removed until then stays removed.
pub async fn tick(app: &AppState) -> Result<u64, ApiError> {
    retention::tick(app).await
}

/// What a device measured at one moment: keys and values, and the device's own time when it has one.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Milliseconds UTC; `None` means the moment of arrival.
    pub ts: Option<i64>,
    /// Keys and values as they came (numbers, booleans, strings, small objects).
    pub data: serde_json::Map<String, serde_json::Value>,
}

/// What came of an ingest.
#[derive(Debug, Clone)]
pub struct Ingested {
    /// The moment of arrival, milliseconds UTC.
    pub at: i64,
    /// Points accepted.
    pub points: usize,
}

/// Stores what a device measured; returns when it is durable. For transports that have JSON documents.
///
/// # Errors
/// 422 when a value breaks a limit and 413 when there are too many (nothing is stored then), 503 when the queue is
/// full or the store fails.
pub async fn ingest(
    app: &AppState,
    device: &Arc<Device>,
    samples: Vec<Sample>,
) -> Result<Ingested, ApiError> {
    let readings = ingest::check(&samples).map_err(|refusal| ingest::refuse(app, refusal))?;
    ingest::store(app, device, readings).await
}

/// Stores the telemetry of a device frame straight from its text; otherwise as [`ingest()`].
///
/// # Errors
/// As [`ingest()`].
pub async fn ingest_wire(
    app: &AppState,
    device: &Arc<Device>,
    telemetry: espalier_wire::device::Telemetry<'_>,
) -> Result<Ingested, ApiError> {
    let readings = parse_wire(telemetry).map_err(|refusal| ingest::refuse(app, refusal))?;
    ingest::store(app, device, readings).await
}

/// The newest value of every key of a device, as reported, and the time of the newest.
///
/// # Errors
/// Fails when the telemetry store does.
pub async fn latest(
    app: &AppState,
    device: &Device,
) -> Result<(serde_json::Map<String, serde_json::Value>, Option<i64>), ApiError> {
    let latest = latest::of(app, device.id).await?;
    Ok(latest.read(|entries| {
        let newest = entries.iter().map(|entry| entry.ts).max();
        (values::map(entries), newest)
    }))
}

/// The means of equal spans of time of some keys of a device, `count` spans of `width` milliseconds from `start`; nothing where
/// nothing was measured.
///
/// # Errors
/// Fails when the telemetry store does.
pub async fn means(
    app: &AppState,
    device: &Device,
    keys: &[&str],
    start: i64,
    width: i64,
    count: usize,
) -> Result<Vec<Vec<Option<f64>>>, ApiError> {
    history::means(app, device, keys, start, width, count).await
}

/// Removes everything that a device has measured and returns how many points that were. For the deletion of devices.
///
/// # Errors
/// Fails when the telemetry store does; then nothing was removed.
pub async fn forget(app: &AppState, device: DeviceId) -> Result<u64, ApiError> {
    let removed = app.tsdb.delete_device(device.0).await;
    let removed = removed.map_err(ingest::store_error)?;
    app.telemetry.latest.forget(device);
    Ok(removed)
}

/// Forgets the latest state of every device, after the telemetry store was changed behind it.
pub fn reload(app: &AppState) {
    app.telemetry.latest.forget_all();
}
