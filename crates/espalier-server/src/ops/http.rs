//! The operator's paths: `/`, `/health`, `/metrics`, `/docs`, `/openapi.json`, backup and restore.

use super::{archive, metrics};
use crate::clock::iso;
use crate::error::Problem;
use crate::http::Json;
use crate::identity::{self, Admin};
use crate::{ApiError, AppState, pages};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::LazyLock;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

fn accepts(headers: &HeaderMap, kinds: &[&str]) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    kinds.iter().any(|kind| accept.contains(kind))
}

/// What this server is and where to go next
///
/// Browsers get the web app, programs get JSON.
#[utoipa::path(get, path = "/", tag = "ops", responses((status = 200, description = "Where to go next", body = Value)))]
pub async fn root(State(app): State<AppState>, headers: HeaderMap) -> Response {
    if accepts(&headers, &["text/html"]) {
        return pages::index(&headers);
    }
    let base = app.config.base_url();
    Json(json!({
        "message": "Espalier, the home of your ESP32 fleet",
        "version": env!("CARGO_PKG_VERSION"),
        "status": "running",
        "docs": "/docs",
        "documentation": format!("{base}/docs"),
        "health": "/health",
        "websocket_endpoint": format!("{}/ws", base.replacen("http", "ws", 1)),
        "features": ["telemetry", "control", "dashboards", "live"],
    }))
    .into_response()
}

/// The state of the server and of what it depends on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `healthy`, `degraded` (something optional is missing) or `unhealthy`.
    status: &'static str,
    /// Whether everything needed works.
    ok: bool,
    /// Now.
    timestamp: String,
    /// Now, milliseconds UTC.
    time: i64,
    /// `connected` or `disconnected`.
    database: &'static str,
    /// Open sockets and streams.
    websocket_connections: i64,
    /// The MQTT listener.
    mqtt: Switch,
    /// The Kafka pipeline of older clients.
    kafka: Switch,
    /// The program's version.
    version: &'static str,
    /// Seconds since the start.
    uptime: i64,
}

/// Whether an optional part is switched on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Switch {
    enabled: bool,
}

/// How the server is
///
/// 503 only when the database cannot be asked.
#[utoipa::path(get, path = "/health", tag = "ops", responses(
    (status = 200, description = "It works", body = Health),
    (status = 503, description = "The database cannot be asked", body = Health),
))]
pub async fn health(State(app): State<AppState>) -> (StatusCode, Json<Health>) {
    let connected = app.db.ping().await;
    let now = app.clock.now_ms();
    let health = Health {
        status: if connected { "healthy" } else { "unhealthy" },
        ok: connected,
        timestamp: iso(now),
        time: now,
        database: if connected {
            "connected"
        } else {
            "disconnected"
        },
        websocket_connections: metrics::connections(&app),
        mqtt: Switch { enabled: false },
        kafka: Switch { enabled: false },
        version: env!("CARGO_PKG_VERSION"),
        uptime: (now - app.ops.started_at) / 1000,
    };
    (
        if connected {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        Json(health),
    )
}

/// Whether the process answers at all
#[utoipa::path(get, path = "/health/live", tag = "ops", responses((status = 200, description = "It answers", body = Value)))]
pub async fn live() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// Whether requests can be served now
#[utoipa::path(get, path = "/health/ready", tag = "ops", responses(
    (status = 200, description = "Ready", body = Value),
    (status = 503, description = "Starting, stopping, or without its database", body = Problem),
))]
pub async fn ready(State(app): State<AppState>) -> Result<Json<Value>, ApiError> {
    if app.shutdown.is_cancelled() || !app.db.ping().await {
        return Err(ApiError::busy(
            "The server is not ready; try again in a moment.",
            2,
        ));
    }
    Ok(Json(json!({ "status": "ready" })))
}

/// What the server counts
///
/// JSON, or the Prometheus text format when the request accepts `text/plain` or `application/openmetrics-text`.
#[utoipa::path(get, path = "/metrics", tag = "ops", responses(
    (status = 200, description = "Counters, gauges and histograms", content((Value = "application/json"), (String = "text/plain"))),
))]
pub async fn metrics(
    State(app): State<AppState>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if accepts(&headers, &["openmetrics"]) {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        let text = metrics::prometheus(&app)
            .await
            .map_err(ApiError::internal)?;
        return Ok(([(header::CONTENT_TYPE, kind)], text).into_response());
    }
    if accepts(&headers, &["text/plain"]) {
        let text = metrics::prometheus(&app)
            .await
            .map_err(ApiError::internal)?;
        return Ok((
            [(
                header::CONTENT_TYPE,
                "text/plain; version=0.0.4; charset=utf-8",
            )],
            metrics::classic(&text),
        )
            .into_response());
    }
    Ok(Json(metrics::json(&app).await).into_response())
}

/// The description of this API (OpenAPI 3.1)
#[utoipa::path(get, path = "/openapi.json", tag = "ops", responses((status = 200, description = "The description", body = Value)))]
pub async fn openapi() -> Response {
    // The description does not change while the program runs; it is written once.
    static TEXT: LazyLock<String> =
        LazyLock::new(|| crate::openapi().to_json().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// The page that shows the description; its parts are inside the program, nothing is loaded from elsewhere.
pub fn docs() -> OpenApiRouter<AppState> {
    let page = utoipa_swagger_ui::SwaggerUi::new("/docs")
        .config(utoipa_swagger_ui::Config::from("/openapi.json"));
    OpenApiRouter::from(axum::Router::from(page))
}

/// A copy of everything, while the server works
///
/// One file with the whole control plane and all telemetry, for `espalier restore` on either database.
#[utoipa::path(get, path = "/admin/backup", tag = "ops", security(("bearer" = [])), responses(
    (status = 200, description = "The archive", body = Vec<u8>, content_type = "application/zstd"),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "Not an admin", body = Problem),
))]
pub async fn backup(State(app): State<AppState>, admin: Admin) -> Result<Response, ApiError> {
    identity::audit(&app, &admin.0, "backup", "everything", Value::Null).await?;
    let archive = archive::stream(app);
    let headers = [
        (header::CONTENT_TYPE, "application/zstd"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"espalier-backup.zst\"",
        ),
    ];
    Ok((headers, Body::from_stream(archive)).into_response())
}

/// Replaces everything by what an archive holds
///
/// All accounts, devices and telemetry of this server are replaced, all sessions end. The control plane changes
/// as a whole or not at all.
#[utoipa::path(post, path = "/admin/restore", tag = "ops", security(("bearer" = [])),
    request_body(content = Vec<u8>, content_type = "application/zstd"), responses(
    (status = 200, description = "Restored", body = archive::Restored),
    (status = 400, description = "Not an archive", body = Problem),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "Not an admin", body = Problem),
    (status = 409, description = "Another restore is running", body = Problem),
))]
pub async fn restore(
    State(app): State<AppState>,
    admin: Admin,
    body: Body,
) -> Result<Json<archive::Restored>, ApiError> {
    identity::audit(&app, &admin.0, "restore", "everything", Value::Null).await?;
    archive::restore_body(&app, body).await.map(Json)
}
