//! Failures as old clients read them: `{error: sentence}` or `{success: false, message}`, with the keys of every other failure
//! beside.

use crate::ApiError;
use crate::http::request_id;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// A failure on an old path.
#[derive(Debug)]
pub struct Failure {
    error: ApiError,
    flagged: bool,
}

/// The body of a failure on an old path.
#[derive(Debug, Serialize, ToSchema)]
pub struct LegacyProblem {
    /// `false`, on the paths whose clients look for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// One sentence.
    pub error: String,
    /// The same sentence.
    pub message: String,
    /// The same sentence.
    pub detail: String,
    /// A stable word for programs.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Names this request in the server's log.
    pub request_id: String,
}

impl Failure {
    /// The same for clients that look for `success: false`.
    pub fn flagged(error: ApiError) -> Self {
        Self {
            error,
            flagged: true,
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            flagged: false,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let sentence = self.error.message().to_owned();
        let body = LegacyProblem {
            success: self.flagged.then_some(false),
            error: sentence.clone(),
            message: sentence.clone(),
            detail: sentence,
            code: self.error.code(),
            status: self.error.status().as_u16(),
            request_id: request_id(),
        };
        // The headers and the line in the log are those of every failure.
        let (mut parts, _) = self.error.into_response().into_parts();
        parts.headers.remove(header::CONTENT_LENGTH);
        let body = serde_json::to_vec(&body).unwrap_or_default();
        Response::from_parts(parts, Body::from(body))
    }
}
