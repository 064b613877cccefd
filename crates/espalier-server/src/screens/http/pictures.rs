//! Answers that are pictures: files for boards, PNG for people, and 304 for who has them.

use crate::ApiError;
use crate::error::ApiResult;
use crate::screens::render::Shown;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;

/// The file that boards read.
pub fn bmp(shown: &Shown, headers: &HeaderMap) -> ApiResult<Response> {
    answer(headers, &shown.etag, "image/bmp", || Ok(shown.bmp.clone()))
}

/// The same pixels for browsers.
pub fn png(shown: &Shown, headers: &HeaderMap) -> ApiResult<Response> {
    answer(headers, &shown.etag, "image/png", || {
        shown
            .picture
            .png()
            .map(Bytes::from)
            .map_err(ApiError::internal)
    })
}

fn answer(
    headers: &HeaderMap,
    etag: &str,
    kind: &'static str,
    body: impl FnOnce() -> ApiResult<Bytes>,
) -> ApiResult<Response> {
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let known = known.is_some_and(|list| {
        let mut tags = list
            .split(',')
            .map(|tag| tag.trim().trim_start_matches("W/"));
        tags.any(|tag| tag == etag || tag == "*")
    });
    let (status, body) = match known {
        true => (StatusCode::NOT_MODIFIED, Body::empty()),
        false => (StatusCode::OK, Body::from(body()?)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::ETAG,
        HeaderValue::from_str(etag).map_err(ApiError::internal)?,
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    if status == StatusCode::OK {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    Ok(response)
}
