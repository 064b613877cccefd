//! The HTTP side of identity: what comes and goes on the wire, one file per kind of thing.

mod accounts;
mod admin;
mod audit;
mod entry;
mod keys;
mod reset;
mod rules;
mod setup;
mod types;

use crate::http::Json;
use crate::{ApiError, AppState};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

/// Every route of this feature.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(accounts::routes())
        .merge(setup::routes())
        .merge(admin::routes())
        .merge(audit::routes())
        .merge(keys::routes())
        .merge(reset::routes())
        .merge(rules::routes())
}

/// A sentence that says what was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Message {
    /// The sentence.
    pub message: String,
}

/// An answer that is only a sentence.
fn message(text: impl Into<String>) -> Json<Message> {
    Json(Message {
        message: text.into(),
    })
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The things on this page.
    pub data: Vec<T>,
    /// How many there are in all.
    pub total: i64,
    /// This page, from 1.
    pub page: i64,
    /// Things per page.
    pub limit: i64,
    /// How many pages there are.
    pub pages: i64,
}

/// Things per page when the client does not say.
const PAGE: i64 = 20;
/// The most things per page.
const MAX_PAGE: i64 = 200;
/// The last page that can be asked for: far beyond any list, and no product of it overflows.
const LAST_PAGE: i64 = 1_000_000;

/// Which page of a list.
#[derive(Debug, Clone, Copy)]
pub struct Paging {
    page: i64,
    limit: i64,
}

impl Paging {
    /// Checks what the client asks for.
    ///
    /// # Errors
    /// 422 when a number is out of range.
    pub fn of(page: Option<i64>, limit: Option<i64>) -> Result<Self, ApiError> {
        let (page, limit) = (page.unwrap_or(1), limit.unwrap_or(PAGE));
        if !(1..=LAST_PAGE).contains(&page) {
            return Err(ApiError::invalid(
                &["query", "page"],
                "must be 1 to 1000000",
            ));
        }
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(ApiError::invalid(&["query", "limit"], "must be 1 to 200"));
        }
        Ok(Self { page, limit })
    }

    /// How many things come before this page.
    pub fn offset(self) -> i64 {
        (self.page - 1) * self.limit
    }

    /// Puts things on this page.
    pub fn page<T>(self, data: Vec<T>, total: i64) -> Page<T> {
        Page {
            data,
            total,
            page: self.page,
            limit: self.limit,
            pages: (total + self.limit - 1) / self.limit,
        }
    }
}
