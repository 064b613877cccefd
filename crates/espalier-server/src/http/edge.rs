//! The outermost layer: names the request, catches panics, finds out once who asks, counts, and sets the
//! headers that every answer carries.

use super::limit::{Allowance, Key};
use super::{Peer, REQUEST_ID};
use crate::ops::metrics::Class;
use crate::{ApiError, AppState, identity, ops};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use identity::{Identified, Principal};
use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tower::Service;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
static REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
static RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Header of every answer: what it is, is not guessed.
static NOSNIFF: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-content-type-options"),
    HeaderValue::from_static("nosniff"),
);

/// Headers of every page: it is not framed, tells nobody where it was, and loads nothing from elsewhere but the
/// pictures that people put on their dashboards. Data needs none of them, and small boards read every byte.
static PAGE_SAFETY: [(HeaderName, HeaderValue); 3] = [
    (
        HeaderName::from_static("x-frame-options"),
        HeaderValue::from_static("DENY"),
    ),
    (
        HeaderName::from_static("referrer-policy"),
        HeaderValue::from_static("no-referrer"),
    ),
    (
        HeaderName::from_static("content-security-policy"),
        HeaderValue::from_static(
            "default-src 'self'; img-src 'self' data: blob: https:; style-src 'self' 'unsafe-inline'; \
             frame-ancestors 'none'; base-uri 'none'; object-src 'none'",
        ),
    ),
];

/// A prefix of this process and a counter: unique, and cheaper than a random id per request.
fn next_request_id() -> String {
    static PREFIX: LazyLock<u32> = LazyLock::new(|| u32::from_be_bytes(crate::random::bytes()));
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!(
        "{:08x}{:08x}",
        *PREFIX,
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Paths that never count: they must answer when everything else refuses.
fn exempt(path: &str) -> bool {
    path == "/health"
        || path == "/logout"
        || path == "/metrics"
        || path == "/openapi.json"
        || path.starts_with("/health/")
        || path.starts_with("/docs")
        || crate::pages::is_file(path)
}

/// Boards of the old contracts carry their token in the body, or have none: their handlers count them when they are known.
fn counted_later(method: &Method, path: &str) -> bool {
    let telemetry = *method == Method::POST
        && (path == "/telemetry"
            || (path.starts_with("/devices/") && path.ends_with("/telemetry")));
    telemetry || path.starts_with("/api/ota/check/") || path.starts_with("/api/ota/download/")
}

/// Counts one request of a device that showed its token in the body.
///
/// # Errors
/// 429 when it is one too many.
pub fn count_device(app: &AppState, device: espalier_model::DeviceId) -> Result<(), ApiError> {
    app.http.limiter.check(Key::Device(device)).map(|_| ())
}

/// Counts somebody who showed who they are later than with the request, e.g. in a socket's first frame.
///
/// # Errors
/// 429 when it is one too many.
pub fn count_known(app: &AppState, principal: &Principal) -> Result<(), ApiError> {
    app.http.limiter.check(key_of(principal)).map(|_| ())
}

fn key_of(principal: &Principal) -> Key {
    match principal {
        Principal::Account(caller) => Key::Account(caller.account),
        Principal::Device(device) => Key::Device(device.id),
    }
}

/// Counts a request whose credential turned out to be wrong, against its address.
///
/// # Errors
/// 429 when it is one too many.
pub fn count_stranger(app: &AppState, peer: Peer) -> Result<(), ApiError> {
    app.http.limiter.check(Key::Address(peer.0)).map(|_| ())
}

async fn admit(app: &AppState, request: &mut Request) -> Result<Option<Allowance>, ApiError> {
    let peer = Peer::of(
        request.extensions(),
        request.headers(),
        &app.config.trusted_proxies,
    );
    let asked = identity::Asked {
        method: request.method(),
        headers: request.headers(),
        uri: request.uri(),
        peer,
    };
    let identified = match ops::local_operator(app, request.headers()) {
        Some(operator) => Identified::Known(Principal::Account(operator)),
        None => identity::admit(app, asked).await?,
    };
    let path = request.uri().path();
    let key = match &identified {
        Identified::Known(principal) => Some(key_of(principal)),
        Identified::Nobody if counted_later(request.method(), path) => None,
        Identified::Nobody | Identified::Unknown => Some(Key::Address(peer.0)),
    };
    let allowance = match key {
        Some(key) if !exempt(path) => app.http.limiter.check(key)?,
        _ => None,
    };
    request.extensions_mut().insert(identified);
    Ok(allowance)
}

pub(super) async fn edge(app: &AppState, routes: &Router, mut request: Request) -> Response {
    let started = Instant::now();
    let id = next_request_id();
    let header = HeaderValue::from_str(&id);
    let method = request.method().clone();
    let uri = request.uri().clone();
    let mut routes = routes.clone();
    let serve = async {
        match admit(app, &mut request).await {
            Ok(allowance) => {
                let Ok(mut response) = routes.call(request).await;
                set_allowance(response.headers_mut(), allowance);
                response
            }
            Err(error) => error.into_response(),
        }
    };
    let serve = AssertUnwindSafe(serve).catch_unwind();
    let mut response = REQUEST_ID
        .scope(id, async {
            let response = serve.await.unwrap_or_else(|_| {
                ApiError::internal(anyhow::anyhow!("the handler panicked")).into_response()
            });
            log(&method, &uri, &response, started);
            response
        })
        .await;
    app.ops.metrics.request(
        Class::of(&method, uri.path()),
        response.status(),
        started.elapsed(),
    );
    let headers = response.headers_mut();
    if let Ok(id) = header {
        headers.insert(X_REQUEST_ID.clone(), id);
    }
    headers.insert(NOSNIFF.0.clone(), NOSNIFF.1.clone());
    // Anything but plain data may be shown as a page.
    if !is_data(headers) {
        for (name, value) in &PAGE_SAFETY {
            headers.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    response
}

/// Whether an answer is one of the kinds that browsers never show as a page of ours.
fn is_data(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind == "application/json" || kind == "application/problem+json")
}

fn set_allowance(headers: &mut HeaderMap, allowance: Option<Allowance>) {
    let Some(allowance) = allowance else { return };
    headers.insert(LIMIT.clone(), allowance.limit.into());
    headers.insert(REMAINING.clone(), allowance.remaining.into());
    headers.insert(RESET.clone(), allowance.reset.into());
}

/// One line per request, without the query: it may hold a token.
fn log(method: &Method, uri: &Uri, response: &Response, started: Instant) {
    let status = response.status().as_u16();
    // Most requests are not logged; their line must not be put together either.
    let wanted =
        status >= 500 || tracing::enabled!(target: "espalier::http", tracing::Level::DEBUG);
    if !wanted {
        return;
    }
    let ms = started.elapsed().as_secs_f64() * 1000.0;
    // The path of a shared dashboard ends with its secret.
    let path = match uri.path() {
        path if path.starts_with("/shared/dashboards/") => "/shared/dashboards/…",
        path => path,
    };
    let request_id = super::request_id();
    if status >= 500 {
        tracing::warn!(target: "espalier::http", request_id, %method, path, status, ms, "answered");
    } else {
        tracing::debug!(target: "espalier::http", request_id, %method, path, status, ms, "answered");
    }
}
