//! Failures as old clients of these paths read them: `{success: false, error: sentence}`, with the keys of every other failure
//! beside.

use crate::ApiError;
use crate::http::request_id;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// A failure on an old path.
#[derive(Debug)]
pub struct Failure(ApiError);

/// The body of a failure of old firmware management.
#[derive(Debug, Serialize, ToSchema)]
pub struct ManagementProblem {
    /// Always `false`.
    success: bool,
    /// One sentence.
    error: String,
    /// The same sentence.
    message: String,
    /// The same sentence.
    detail: String,
    /// A stable word for programs.
    code: &'static str,
    /// The HTTP status.
    status: u16,
    /// Names this request in the server's log.
    request_id: String,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        // The old system knew no 422.
        match error.status() {
            StatusCode::UNPROCESSABLE_ENTITY => Self(error.with_status(StatusCode::BAD_REQUEST)),
            _ => Self(error),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let sentence = self.0.message().to_owned();
        let body = ManagementProblem {
            success: false,
            error: sentence.clone(),
            message: sentence.clone(),
            detail: sentence,
            code: self.0.code(),
            status: self.0.status().as_u16(),
            request_id: request_id(),
        };
        // The headers and the line in the log are those of every failure.
        let (mut parts, _) = self.0.into_response().into_parts();
        parts.headers.remove(header::CONTENT_LENGTH);
        let body = serde_json::to_vec(&body).unwrap_or_default();
        Response::from_parts(parts, Body::from(body))
    }
}
