//! How failures reach people: one error type, one sentence, one body.
//!
//! The body is `application/problem+json` (RFC 9457) with the keys that existing clients read beside:
//! `detail` (one sentence, or for 422 the list `{type, loc, msg, input}` they expect), `error` and `code`
//! (a stable word), `message` (the sentence) and `request_id`. What went wrong inside is logged once, here,
//! and never shown.

use crate::http::request_id;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

/// A failure with the status, the stable code and the sentence that the client gets.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    fields: Vec<FieldProblem>,
    retry_after: Option<u32>,
    source: Option<anyhow::Error>,
}

/// One wrong field of a request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FieldProblem {
    /// The kind of the problem, e.g. `value_error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is: `body`, `query` or `path`, then the field's path.
    pub loc: Vec<String>,
    /// What is wrong and what is wanted.
    pub msg: String,
    /// What was given, shortened; never a secret.
    pub input: Option<String>,
}

/// The body of every failure (RFC 9457, with the keys that existing clients read).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the code says what happened.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// One sentence; for 422 the list of wrong fields.
    pub detail: Detail,
    /// A stable word for programs.
    pub code: &'static str,
    /// The same word, under the key that older clients read.
    pub error: &'static str,
    /// The sentence, whatever the status.
    pub message: String,
    /// Names this request in the server's log.
    pub request_id: String,
}

/// The sentence, or the wrong fields.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Detail {
    /// One sentence.
    Sentence(String),
    /// The wrong fields, for status 422.
    Fields(Vec<FieldProblem>),
}

impl ApiError {
    /// A failure with any status.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            fields: Vec::new(),
            retry_after: None,
            source: None,
        }
    }

    /// 400: the request cannot be carried out as it stands.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 401: nobody known is asking.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 403: known, but not permitted.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 404: `what` (with a capital) does not exist, or not for the one who asks.
    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("{what} not found"),
        )
    }

    /// 409: the thing's state does not allow it.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 413: the body or a part of it is too large.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 422: the field at `loc` (`["body", "name"]`) is wrong.
    pub fn invalid(loc: &[&str], msg: impl Into<String>) -> Self {
        let msg = msg.into();
        let mut error = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            format!("{}: {msg}", loc.join(".")),
        );
        error.fields.push(FieldProblem {
            kind: "value_error".to_owned(),
            loc: loc.iter().map(|&part| part.to_owned()).collect(),
            msg,
            input: None,
        });
        error
    }

    /// 429: too many requests; try again after that many seconds.
    pub fn too_many(message: impl Into<String>, retry_after: u32) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
        }
    }

    /// 503: the server cannot take it now; try again after that many seconds.
    pub fn busy(message: impl Into<String>, retry_after: u32) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
        }
    }

    /// 500: our fault. The cause is logged, the client gets the request id.
    pub fn internal(source: impl Into<anyhow::Error>) -> Self {
        let message = "Something went wrong on our side. Try again; if it stays, tell the operator the request id.";
        Self {
            source: Some(source.into()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable word for programs.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Seconds after which to try again, when that helps.
    pub fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }

    /// What went wrong inside, for the log only.
    pub fn cause(&self) -> Option<String> {
        self.source.as_ref().map(|source| format!("{source:#}"))
    }

    /// The same failure with another status, for paths whose clients expect it (merge.md C21).
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

impl From<espalier_db::Error> for ApiError {
    fn from(error: espalier_db::Error) -> Self {
        match error {
            espalier_db::Error::Closed => {
                Self::busy("The server is stopping; try again in a moment.", 2)
            }
            espalier_db::Error::Nul => {
                let sentence =
                    "A text in the path or the body holds the character NUL; leave it out.";
                Self::bad_request("nul", sentence)
            }
            other => Self::internal(other),
        }
    }
}

impl From<espalier_model::id::InvalidId> for ApiError {
    fn from(error: espalier_model::id::InvalidId) -> Self {
        Self::bad_request("invalid_id", error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let request_id = request_id();
        if let Some(source) = &self.source {
            tracing::error!(request_id, error = format!("{source:#}"), "request failed");
        }
        let problem = Problem {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: if self.fields.is_empty() {
                Detail::Sentence(self.message.clone())
            } else {
                Detail::Fields(self.fields)
            },
            code: self.code,
            error: self.code,
            message: self.message,
            request_id,
        };
        let mut response = (self.status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
