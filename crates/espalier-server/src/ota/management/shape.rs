//! Failures as old clients of these paths read them: `{success: false, error: sentence}`, and 400 where others get 422.

use crate::ApiError;
use crate::devices::cms;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// A failure on an old path.
#[derive(Debug)]
pub struct Failure(cms::Failure);

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        // The old system knew no 422.
        Self(cms::Failure::flagged(match error.status() {
            StatusCode::UNPROCESSABLE_ENTITY => error.with_status(StatusCode::BAD_REQUEST),
            _ => error,
        }))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
