//! Texts for screens.

use super::ScreenDone;
use crate::AppState;
use crate::clock::iso;
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::Caller;
use crate::screens::content::{self, NewText, SourceView, Text};
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

/// A text of one's own.
#[derive(Debug, Serialize, ToSchema)]
pub struct TextView {
    /// Its 24-digit id.
    pub id: String,
    /// The device that shows it; null means all of yours.
    pub device_id: Option<String>,
    /// `custom`, `jokes`, `riddles` or `news`.
    pub category: String,
    /// The subcategory.
    pub subcategory: String,
    /// Its heading.
    pub title: String,
    /// What it says.
    pub text: String,
    /// The higher is shown first.
    pub priority: i64,
    /// When it is no longer shown (RFC 3339, UTC).
    pub expires_at: Option<String>,
    /// When it was written (RFC 3339, UTC).
    pub created_at: String,
}

impl TextView {
    fn of(app: &AppState, text: Text) -> Self {
        let device = text.device.and_then(|id| app.devices.get(id));
        Self {
            id: text.id,
            device_id: device.map(|device| device.oid.to_string()),
            category: text.category,
            subcategory: text.subcategory,
            title: text.title,
            text: text.body,
            priority: text.priority,
            expires_at: text.expires_at.map(iso),
            created_at: iso(text.created_at),
        }
    }
}

/// Lists the caller's own texts, the most important first.
#[utoipa::path(get, path = "/screens/content", tag = "screens", security(("bearer" = [])), responses(
    (status = 200, description = "The texts", body = Vec<TextView>),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem)))]
pub async fn list_texts(
    State(app): State<AppState>,
    caller: Caller,
) -> ApiResult<Json<Vec<TextView>>> {
    let all = content::list(&app, &caller).await?;
    Ok(Json(
        all.into_iter()
            .map(|text| TextView::of(&app, text))
            .collect(),
    ))
}

/// Adds a text, for one device or all of the caller's.
#[utoipa::path(post, path = "/screens/content", tag = "screens", security(("bearer" = [])), request_body = NewText, responses(
    (status = 200, description = "The text", body = TextView),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 404, description = "No such device of yours", body = Problem),
    (status = 409, description = "Too many texts", body = Problem),
    (status = 422, description = "A field is wrong", body = Problem)))]
pub async fn post_text(
    State(app): State<AppState>,
    caller: Caller,
    Json(new): Json<NewText>,
) -> ApiResult<Json<TextView>> {
    let text = content::put(&app, &caller, None, new).await?;
    Ok(Json(TextView::of(&app, text)))
}

/// Puts another text in the place of one.
#[utoipa::path(put, path = "/screens/content/{id}", tag = "screens", security(("bearer" = [])), request_body = NewText,
    params(("id" = String, Path, description = "The text's id")), responses(
    (status = 200, description = "The text", body = TextView),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 404, description = "No such text or device of yours", body = Problem),
    (status = 422, description = "A field is wrong", body = Problem)))]
pub async fn put_text(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(new): Json<NewText>,
) -> ApiResult<Json<TextView>> {
    let text = content::put(&app, &caller, Some(&id), new).await?;
    Ok(Json(TextView::of(&app, text)))
}

/// Deletes a text.
#[utoipa::path(delete, path = "/screens/content/{id}", tag = "screens", security(("bearer" = [])),
    params(("id" = String, Path, description = "The text's id")), responses(
    (status = 200, description = "Deleted", body = ScreenDone),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 404, description = "No such text of yours", body = Problem)))]
pub async fn delete_text(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<ScreenDone>> {
    content::delete(&app, &caller, &id).await?;
    let message = "Text deleted";
    Ok(Json(ScreenDone { message }))
}

/// Lists every kind of text, and where the caller's screens take it from.
#[utoipa::path(get, path = "/screens/sources", tag = "screens", security(("bearer" = [])), responses(
    (status = 200, description = "The kinds of text", body = Vec<SourceView>),
    (status = 401, description = "Not signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem)))]
pub async fn list_sources(
    State(app): State<AppState>,
    caller: Caller,
) -> ApiResult<Json<Vec<SourceView>>> {
    content::sources(&app, &caller).await.map(Json)
}
