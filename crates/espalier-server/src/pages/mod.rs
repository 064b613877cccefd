//! The web app's files, as browsers want them: compressed as they can read it, kept as long as they may be.
//!
//! The files come from [`espalier_ui`]. `/` is shared with programs, which get JSON there ([`crate::ops`]).

use crate::{ApiError, AppState};
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use espalier_ui::File;
use utoipa_axum::router::OpenApiRouter;

/// A name that changes with the content is kept for a year, and asked for never again.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Everything else is asked for each time, and mostly answered with 304.
const ASK: HeaderValue = HeaderValue::from_static("no-cache");

/// The routes of the app's files. They are no part of the API and not in its description.
pub fn routes() -> OpenApiRouter<AppState> {
    let page = get(|headers: HeaderMap| async move { index(&headers) });
    OpenApiRouter::new()
        .route("/ui", page.clone())
        .route("/ui/{*path}", page)
        // Where people managed firmware in the system before.
        .route(
            "/ota-management",
            get(|| async { Redirect::to("/ui/firmware") }),
        )
        .route(
            "/ota-upload",
            get(|| async { Redirect::to("/ui/firmware?upload") }),
        )
        .route("/assets/{*path}", get(asset))
        .route(
            "/icon.svg",
            get(|headers: HeaderMap| async move { named("icon.svg", &headers) }),
        )
        .route(
            "/manifest.webmanifest",
            get(|headers: HeaderMap| async move { named("manifest.webmanifest", &headers) }),
        )
}

/// Whether a path is one of the app's files, which are the same for everybody.
pub fn is_file(path: &str) -> bool {
    path.starts_with("/assets/")
        || path == "/ui"
        || path.starts_with("/ui/")
        || matches!(path, "/icon.svg" | "/manifest.webmanifest")
}

/// The page that every address of the app begins with.
pub fn index(headers: &HeaderMap) -> Response {
    named("index.html", headers)
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    named(&format!("assets/{path}"), &headers)
}

fn named(path: &str, headers: &HeaderMap) -> Response {
    match espalier_ui::file(path) {
        Some(file) => answer(file, headers),
        None => ApiError::not_found("File").into_response(),
    }
}

fn answer(file: &'static File, headers: &HeaderMap) -> Response {
    let text = |name| {
        let value = headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok());
        value.unwrap_or_default()
    };
    let keep = if file.is_immutable() { FOR_GOOD } else { ASK };
    let tag = HeaderValue::from_static(file.etag);
    let same = [
        (header::CACHE_CONTROL, keep),
        (header::ETAG, tag),
        (
            header::VARY,
            HeaderValue::from_static("accept-encoding, accept"),
        ),
    ];
    if text(header::IF_NONE_MATCH)
        .split(',')
        .any(|known| known.trim().trim_start_matches("W/") == file.etag)
    {
        return (StatusCode::NOT_MODIFIED, same).into_response();
    }
    let reads = |coding: &str| {
        let accepted = text(header::ACCEPT_ENCODING);
        accepted.split(',').any(|one| {
            let (name, quality) = one.split_once(';').unwrap_or((one, ""));
            name.trim().eq_ignore_ascii_case(coding) && quality.trim() != "q=0"
        })
    };
    let (coding, bytes) = match (file.brotli, file.gzip) {
        (Some(bytes), _) if reads("br") => (Some("br"), bytes),
        (_, Some(bytes)) if reads("gzip") => (Some("gzip"), bytes),
        _ => (None, file.plain),
    };
    let mut response = (same, Body::from(Bytes::from_static(bytes))).into_response();
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind()));
    if let Some(coding) = coding {
        head.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}
