//! What an operator needs: health, metrics, documentation, backup and restore.
//!
//! It reads the other features' state and changes none of it, except for restore, which replaces all of it.

pub mod archive;
mod http;
pub mod metrics;

use crate::identity::Caller;
use crate::{AppState, Clock, random};
use axum::http::{HeaderMap, header};
use metrics::Metrics;
use subtle::ConstantTimeEq;
use tokio::sync::RwLock;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What this feature keeps in memory.
pub struct State {
    /// Counters and histograms; other features count here.
    pub metrics: Metrics,
    /// When the server started, milliseconds UTC.
    pub started_at: i64,
    /// Held for reading by nobody and for writing by a restore, so that only one runs.
    pub(crate) restoring: RwLock<()>,
    local_token: String,
}

impl State {
    /// Everything at zero.
    pub fn new(clock: &Clock) -> Self {
        Self {
            metrics: Metrics::new(),
            started_at: clock.now_ms(),
            restoring: RwLock::new(()),
            local_token: random::secret("esp_local_"),
        }
    }
}

impl State {
    /// The secret that commands on this machine show to the running server; new at each start.
    pub fn local_token(&self) -> &str {
        &self.local_token
    }
}

/// The operator on this machine, when the request carries the secret of [`State::local_token`]: whoever can
/// read it can read the whole data folder anyway.
pub(crate) fn local_operator(app: &AppState, headers: &HeaderMap) -> Option<Caller> {
    let given = headers
        .get(header::AUTHORIZATION)?
        .as_bytes()
        .strip_prefix(b"Bearer ")?;
    let same: bool = given.ct_eq(app.ops.local_token.as_bytes()).into();
    same.then(Caller::local_operator)
}

/// The routes of this feature.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(http::root))
        .routes(routes!(http::health))
        .routes(routes!(http::live))
        .routes(routes!(http::ready))
        .routes(routes!(http::metrics))
        .routes(routes!(http::openapi))
        .routes(routes!(http::backup))
        .routes(routes!(http::restore))
        .merge(http::docs())
}

/// Starts the background work of this feature: once a minute what is no longer needed is forgotten.
pub(crate) fn start(app: &AppState) {
    let worker = app.clone();
    app.tasks.spawn(async move {
        let mut minute = tokio::time::interval(std::time::Duration::from_secs(60));
        loop {
            tokio::select! {
                () = worker.shutdown.cancelled() => return,
                _ = minute.tick() => worker.http.limiter.tick(),
            }
        }
    });
}

/// Completes the description of the API with what no route says of itself.
pub(crate) fn describe(mut api: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    api.info.title = "Espalier".to_owned();
    api.info.version = env!("CARGO_PKG_VERSION").to_owned();
    api.info.description = Some(
        "The self-hosted home for ESP32 fleets. People sign in and send `Authorization: Bearer <access token>` or \
         `X-API-Key`; boards send their device token the same way, or in the body as existing firmware does. \
         Failures are `application/problem+json`."
            .to_owned(),
    );
    api.info.contact = None;
    name_operations(&mut api);
    let components = api.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A person's access token or API key."))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let device = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A board's token."))
        .build();
    components.add_security_scheme("device", SecurityScheme::Http(device));
    let key = ApiKey::Header(ApiKeyValue::with_description(
        "X-API-Key",
        "An API key or a board's token.",
    ));
    components.add_security_scheme("api_key", SecurityScheme::ApiKey(key));
    api
}

/// Gives every operation a name that no other has, made of its method and path, for client generators: the
/// handlers' own names are unique in their file only.
fn name_operations(api: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut api.paths.paths {
        let slug = path.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let slug = slug
            .split('_')
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("_");
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                let name = if slug.is_empty() { "root" } else { &slug };
                operation.operation_id = Some(format!("{method}_{name}"));
            }
        }
    }
}
