//! What boards measure: ingest, latest state, history, export and import.

use crate::devices::Device;
use crate::{ApiError, AppState};
use espalier_db::Db;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;

/// What this feature keeps in memory.
pub struct State {}

impl State {
    /// Loads what lives in memory.
    ///
    /// # Errors
    /// Returns the database's error.
    pub async fn load(_db: &Db) -> Result<Self, espalier_db::Error> {
        Ok(Self {})
    }
}

/// The routes of this feature.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}

/// Starts the background work of this feature.
pub(crate) fn start(_app: &AppState) {}

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

/// Stores what a device measured; returns when it is durable. The one way in for every transport.
///
/// # Errors
/// 422 when a value breaks a limit (nothing is stored then), 503 when the queue is full.
pub async fn ingest(
    app: &AppState,
    _device: &Arc<Device>,
    _samples: Vec<Sample>,
) -> Result<Ingested, ApiError> {
    Ok(Ingested {
        at: app.clock.now_ms(),
        points: 0,
    })
}

/// The newest value of every key of a device, as reported.
///
/// # Errors
/// Fails when the telemetry store does.
pub async fn latest(
    _app: &AppState,
    _device: &Device,
) -> Result<(serde_json::Map<String, serde_json::Value>, Option<i64>), ApiError> {
    Ok((serde_json::Map::new(), None))
}
