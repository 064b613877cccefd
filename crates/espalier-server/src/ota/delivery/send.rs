//! Sending a blob: whole or in part, compared with what the client has, counted while it goes out.

use super::range::{Wanted, wanted};
use super::slots::{By, Slot};
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

/// Bytes that are handed to the network at once: what is handed over counts as sent, so that a whole image in one piece would
/// count as sent before its first byte is.
const PIECE: usize = 128 * 1024;

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
    by: By,
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
        counted(app, by, blob, part.clone(), watch).await?
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
    by: By,
    blob: &Blob,
    part: Range<u64>,
    watch: impl Watch,
) -> ApiResult<Body> {
    let slot = Slot::take(app, by)?;
    let at = part.start;
    let inner = app.ota.blobs.stream(&blob.digest, part).await?;
    Ok(Body::new(Counted {
        inner,
        rest: Bytes::new(),
        at,
        slot,
        watch,
    }))
}

/// A body that tells how far it is.
struct Counted<W> {
    inner: Body,
    /// What came from it and was not handed over yet.
    rest: Bytes,
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
        let this = &mut *self;
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx))
                .map(|frame| frame.map(Frame::into_data))
            {
                Some(Ok(Ok(bytes))) => this.rest = bytes,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        this.at += piece.len() as u64;
        this.slot.moves();
        this.watch.sent(this.at);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.rest.len() as u64;
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + left);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + left);
        }
        hint
    }
}
