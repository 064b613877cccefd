//! A client that speaks to the router without a socket.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use axum::response::Response;
use serde_json::Value;
use tower::ServiceExt;

/// Sends requests through the real router, with the headers it was given.
#[derive(Clone)]
pub struct Client {
    router: axum::Router,
    headers: HeaderMap,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status as a number.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub bytes: Vec<u8>,
}

impl Client {
    pub(crate) fn new(router: axum::Router) -> Self {
        Self {
            router,
            headers: HeaderMap::new(),
        }
    }

    /// The same client with `Authorization: Bearer token`.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// The same client with one more header.
    #[must_use]
    pub fn header(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        let name: HeaderName = name.parse().expect("a header name");
        client
            .headers
            .insert(name, HeaderValue::from_str(value).expect("a header value"));
        client
    }

    /// Sends a request with a body of any kind.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: impl Into<Body>,
    ) -> Answer {
        let response = self.open(method, path, content_type, body).await;
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX)
            .await
            .expect("a whole body")
            .to_vec();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            bytes,
        }
    }

    /// Sends a request and leaves the body of the answer unread, as a client does that takes its time.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: impl Into<Body>,
    ) -> Response {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(body.into())
            .expect("a request");
        *request.headers_mut() = self.headers.clone();
        if let Some(kind) = content_type {
            request.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_str(kind).expect("a content type"),
            );
        }
        let sent = self.router.clone().oneshot(request).await;
        sent.expect("the router answers")
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, Body::empty()).await
    }

    /// Sends a DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None, Body::empty()).await
    }

    /// Sends a POST with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(
            Method::POST,
            path,
            Some("application/json"),
            body.to_string(),
        )
        .await
    }

    /// Sends a PUT with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(
            Method::PUT,
            path,
            Some("application/json"),
            body.to_string(),
        )
        .await
    }

    /// Sends a PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(
            Method::PATCH,
            path,
            Some("application/json"),
            body.to_string(),
        )
        .await
    }

    /// Sends a POST with a form body.
    pub async fn form(&self, path: &str, form: &str) -> Answer {
        self.send(
            Method::POST,
            path,
            Some("application/x-www-form-urlencoded"),
            form.to_owned(),
        )
        .await
    }
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// Panics with the body when it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The body as JSON, after checking the status.
    ///
    /// # Panics
    /// Panics with the body when the status is another one.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.bytes.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }
}
