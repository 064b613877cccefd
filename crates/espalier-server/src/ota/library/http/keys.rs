//! Keys and key sets: one's own.

use super::view::{KeySetView, KeyView, key_set_view};
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::Caller;
use crate::ota::library::keys;
use crate::{ApiError, AppState};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

/// One's keys, oldest first, retired ones too.
#[utoipa::path(get, path = "/firmware/keys", tag = "firmware", security(("bearer" = [])), responses(
    (status = 200, description = "The keys", body = [KeyView]),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem)))]
pub async fn list(State(app): State<AppState>, caller: Caller) -> Json<Vec<KeyView>> {
    let keys = app.ota.library.keys(caller.account);
    Json(keys.iter().map(|key| KeyView::from(&**key)).collect())
}

/// A key to trust.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewSigningKey {
    /// What to call it, 1 to 100 characters.
    name: String,
    /// The text of the `.pub` file, or its base64 alone.
    public_key: String,
}

/// Trust a key: images that it signs are taken from now on.
#[utoipa::path(post, path = "/firmware/keys", tag = "firmware", security(("bearer" = [])), request_body = NewSigningKey, responses(
    (status = 200, description = "The key was trusted already", body = KeyView),
    (status = 201, description = "The key is trusted", body = KeyView),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 409, description = "The key was retired, or there are too many", body = Problem),
    (status = 422, description = "Not a public key", body = Problem)))]
pub async fn add(
    State(app): State<AppState>,
    caller: Caller,
    Json(new): Json<NewSigningKey>,
) -> ApiResult<(StatusCode, Json<KeyView>)> {
    let (key, is_new) = keys::add(&app, &caller, &new.name, &new.public_key).await?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(KeyView::from(&*key))))
}

/// Retire a key: what only it signed is not offered any more, and it does not come back.
#[utoipa::path(delete, path = "/firmware/keys/{id}", tag = "firmware", security(("bearer" = [])),
    params(("id" = String, Path, description = "The key's id")), responses(
    (status = 200, description = "The key is retired", body = KeyView),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 404, description = "No such key of yours", body = Problem)))]
pub async fn retire(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<KeyView>> {
    let key = keys::retire(&app, &caller, &id).await?;
    Ok(Json(KeyView::from(&*key)))
}

/// The key set that one's boards are to keep.
#[utoipa::path(get, path = "/firmware/keys/set", tag = "firmware", security(("bearer" = [])), responses(
    (status = 200, description = "The key set", body = KeySetView),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem),
    (status = 404, description = "There is none yet", body = Problem)))]
pub async fn get_set(State(app): State<AppState>, caller: Caller) -> ApiResult<Json<KeySetView>> {
    let set = app.ota.library.key_set(caller.account);
    let set = set.ok_or_else(|| ApiError::not_found("Key set"))?;
    Ok(Json(key_set_view(&app, &set)))
}

/// A key set to keep.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewKeySet {
    /// The signed text, as `espalier firmware` makes it.
    document: String,
}

/// Put a signed key set: boards take it with their next update.
///
/// Keys in it that were unknown are trusted from now on, because a trusted key vouches for them.
#[utoipa::path(put, path = "/firmware/keys/set", tag = "firmware", security(("bearer" = [])), request_body = NewKeySet, responses(
    (status = 200, description = "The key set", body = KeySetView),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "The account may only look", body = Problem),
    (status = 409, description = "The serial does not grow, or there are too many keys", body = Problem),
    (status = 422, description = "Not a key set, or no trusted key signed it", body = Problem)))]
pub async fn put_set(
    State(app): State<AppState>,
    caller: Caller,
    Json(new): Json<NewKeySet>,
) -> ApiResult<Json<KeySetView>> {
    let set = keys::put_set(&app, &caller, new.document).await?;
    Ok(Json(key_set_view(&app, &set)))
}
