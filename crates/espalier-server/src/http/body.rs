//! Request bodies and query strings, with errors that name the field.

use crate::ApiError;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A JSON body; also a JSON answer.
///
/// The content type is not asked for, because many small devices send none. A body that is not JSON or not
/// of the wanted shape is a 422 that names the place; one that is too large a 413.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|e| body_error(&e))?;
        parse_body(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// A body as it came, for what is no JSON or is read otherwise; one that is too large is a 413 like everywhere.
#[derive(Debug, Clone)]
pub struct Raw(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await;
        bytes.map(Self).map_err(|error| body_error(&error))
    }
}

/// Turns a failure to read the body into the error for the client.
pub fn body_error(error: &BytesRejection) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::too_large(format!(
            "The body is larger than {} bytes; send less at once.",
            super::MAX_BODY
        ));
    }
    ApiError::bad_request(
        "unreadable_body",
        "The body could not be read to its end; send it again.",
    )
}

/// Parses a JSON body.
///
/// # Errors
/// A 422 that names the place where it does not fit.
pub fn parse_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let mut loc = vec!["body"];
        if path != "." {
            loc.extend(path.split('.'));
        }
        ApiError::invalid(&loc, error.inner().to_string())
    })?;
    deserializer
        .end()
        .map_err(|error| ApiError::invalid(&["body"], error.to_string()))?;
    Ok(value)
}

/// A query string; a wrong one is a 422 that says why.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|error| ApiError::invalid(&["query"], error.body_text()))
    }
}
