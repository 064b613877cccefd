//! The outermost layer: names the request, catches panics, and finds out once who asks.

use super::REQUEST_ID;
use crate::{ApiError, AppState, identity};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

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

pub(super) async fn edge(
    State(app): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = next_request_id();
    let header = HeaderValue::from_str(&id);
    let serve = async move {
        match identity::identify(&app, request.headers(), request.uri()).await {
            Ok(identified) => {
                request.extensions_mut().insert(identified);
            }
            Err(error) => return error.into_response(),
        }
        next.run(request).await
    };
    let serve = AssertUnwindSafe(serve).catch_unwind();
    let mut response = REQUEST_ID
        .scope(id, async {
            serve.await.unwrap_or_else(|_| {
                ApiError::internal(anyhow::anyhow!("the handler panicked")).into_response()
            })
        })
        .await;
    if let Ok(header) = header {
        response.headers_mut().insert(X_REQUEST_ID.clone(), header);
    }
    response
}
