//! Sending a blob: whole or in part, compared with what the client has, counted while it goes out.

use super::range::{Wanted, wanted};
use super::slots::Slot;
use crate::error::ApiResult;
use crate::ota::library::Digest;
use crate::{ApiError, AppState};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Told how a download goes on. It is called while bytes are on their way and must be quick.
pub trait Watch: Send + Unpin + 'static {
    /// The bytes up to this one were handed to the network.
    fn sent(&mut self, up_to: u64);
}

impl Watch for () {
    fn sent(&mut self, _: u64) {}
}

/// A blob to send.
pub struct Blob {
    /// Its name.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

impl Blob {
    fn etag(&self) -> String {
        format!("\"{}\"", hex::encode(self.digest))
    }
}

/// Answers with a blob, as `Range`, `If-Range` and `If-None-Match` want it.
///
/// # Errors
/// 416 for bytes that it does not have, 503 when too many download or the store of blobs is away.
pub async fn send(
    app: &AppState,
    method: &Method,
    headers: &HeaderMap,
    blob: &Blob,
    watch: impl Watch,
) -> ApiResult<Response> {
    let etag = blob.etag();
    let has = headers.get(header::IF_NONE_MATCH);
    if has.is_some_and(|has| has.as_bytes() == etag.as_bytes()) {
        return Ok(with_names(StatusCode::NOT_MODIFIED.into_response(), &etag));
    }
    let (status, part) = match wanted(headers, &etag, blob.size) {
        Wanted::Whole => (StatusCode::OK, 0..blob.size),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::Nothing => return Ok(out_of_range(blob.size)),
    };
    let length = part.end - part.start;
    let body = if *method == Method::HEAD {
        Body::empty()
    } else {
        counted(app, blob, part.clone(), watch).await?
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let names = response.headers_mut();
    names.insert(header::CONTENT_LENGTH, length.into());
    names.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    if status == StatusCode::PARTIAL_CONTENT {
        let (first, last) = (part.start, part.end - 1);
        let range = format!("bytes {first}-{last}/{}", blob.size);
        names.insert(header::CONTENT_RANGE, value(&range));
    }
    Ok(with_names(response, &etag))
}

fn with_names(mut response: Response, etag: &str) -> Response {
    let names = response.headers_mut();
    names.insert(header::ETAG, value(etag));
    names.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // It may be somebody's secret; no proxy keeps it.
    names.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    response
}

fn out_of_range(size: u64) -> Response {
    let why = format!("The file has {size} bytes; ask for bytes that it has, or for all.");
    let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "out_of_range", why);
    let mut response = error.into_response();
    let range = value(&format!("bytes */{size}"));
    response.headers_mut().insert(header::CONTENT_RANGE, range);
    response
}

/// Text that is made of digits and punctuation here.
pub fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

async fn counted(
    app: &AppState,
    blob: &Blob,
    part: Range<u64>,
    watch: impl Watch,
) -> ApiResult<Body> {
    let slot = Slot::take(app)?;
    let at = part.start;
    let inner = app.ota.blobs.stream(&blob.digest, part).await?;
    Ok(Body::new(Counted {
        inner,
        at,
        slot,
        watch,
    }))
}

/// A body that tells how far it is.
struct Counted<W> {
    inner: Body,
    at: u64,
    slot: Slot,
    watch: W,
}

impl<W: Watch> HttpBody for Counted<W> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            let this = &mut *self;
            this.at += bytes.len() as u64;
            this.slot.moves();
            this.watch.sent(this.at);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
