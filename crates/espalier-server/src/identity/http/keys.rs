//! One's own API keys and sessions.

use super::{Message, message};
use crate::clock::iso;
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::store::keys::Key;
use crate::identity::{Caller, Revoked, keys, sessions, store};
use crate::{ApiError, AppState};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_keys, create_key))
        .routes(routes!(delete_key))
        .routes(routes!(list_sessions))
        .routes(routes!(end_session))
}

/// An API key without its secret.
#[derive(Debug, Serialize, ToSchema)]
struct ApiKey {
    /// Its id.
    id: String,
    /// What it is for.
    name: String,
    /// The start of the secret.
    hint: String,
    /// `read`, `write`, `admin`.
    scopes: Vec<String>,
    /// When it was created.
    created_at: String,
    /// When it stops working; never when absent.
    expires_at: Option<String>,
    /// When it was last used, to half a minute.
    last_used_at: Option<String>,
}

impl From<Key> for ApiKey {
    fn from(key: Key) -> Self {
        Self {
            id: key.id,
            name: key.name,
            hint: key.hint,
            scopes: key.scopes.split(' ').map(str::to_owned).collect(),
            created_at: iso(key.created_at),
            expires_at: key.expires_at.map(iso),
            last_used_at: key.last_used_at.map(iso),
        }
    }
}

/// A key just created.
#[derive(Serialize, ToSchema)]
struct CreatedKey {
    /// The key.
    #[serde(flatten)]
    key: ApiKey,
    /// The secret; it is shown this once.
    secret: String,
}

/// A key to create.
#[derive(Deserialize, ToSchema)]
struct NewKey {
    /// What it is for, 1 to 100 characters.
    name: String,
    /// `read` (GET), `write` (everything else), `admin` (everything below `/admin`).
    scopes: Vec<String>,
    /// When it stops working (RFC 3339); never when absent.
    expires_at: Option<String>,
}

/// One's own API keys
#[utoipa::path(get, path = "/me/api-keys", tag = "identity", security(("bearer" = [])), responses(
    (status = 200, description = "The keys, without their secrets", body = [ApiKey]),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem)))]
async fn list_keys(State(app): State<AppState>, caller: Caller) -> ApiResult<Json<Vec<ApiKey>>> {
    let account = caller.account;
    let keys = app.db.read(move |c| store::keys::list(c, account)).await?;
    Ok(Json(keys.into_iter().map(ApiKey::from).collect()))
}

/// Create an API key
#[utoipa::path(post, path = "/me/api-keys", tag = "identity", security(("bearer" = [])), request_body = NewKey, responses(
    (status = 201, description = "The key with its secret, shown this once", body = CreatedKey),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "An API key asks, or only admins may have this scope", body = Problem),
    (status = 409, description = "Too many keys", body = Problem),
    (status = 422, description = "A field is wrong", body = Problem)))]
async fn create_key(
    State(app): State<AppState>,
    caller: Caller,
    Json(body): Json<NewKey>,
) -> ApiResult<(StatusCode, Json<CreatedKey>)> {
    let expires = body.expires_at.map(|text| {
        text.parse::<jiff::Timestamp>()
            .map(jiff::Timestamp::as_millisecond)
            .map_err(|_| {
                ApiError::invalid(
                    &["body", "expires_at"],
                    "must be a moment such as 2027-01-31T00:00:00Z",
                )
            })
    });
    let (key, secret) = keys::create(
        &app,
        &caller,
        &body.name,
        &body.scopes,
        expires.transpose()?,
    )
    .await?;
    Ok((
        StatusCode::CREATED,
        Json(CreatedKey {
            key: key.into(),
            secret,
        }),
    ))
}

/// Delete an API key
#[utoipa::path(delete, path = "/me/api-keys/{id}", tag = "identity", security(("bearer" = [])),
    params(("id" = String, Path, description = "The key's id")), responses(
    (status = 200, description = "The key no longer works", body = Message),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "An API key asks", body = Problem),
    (status = 404, description = "There is no such key", body = Problem)))]
async fn delete_key(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Message>> {
    keys::delete(&app, &caller, &id).await?;
    Ok(message("API key deleted"))
}

/// One sign-in.
#[derive(Debug, Serialize, ToSchema)]
struct Session {
    /// Its id.
    id: String,
    /// Whether it is the one that asks.
    current: bool,
    /// Whether a browser's cookie carries it.
    browser: bool,
    /// When it began.
    created_at: String,
    /// When it was last used, to half a minute.
    last_used_at: Option<String>,
    /// When it ends unless it is used.
    expires_at: String,
    /// What the client called itself.
    user_agent: Option<String>,
    /// Where it came from.
    address: Option<String>,
}

/// One's own sessions
#[utoipa::path(get, path = "/me/sessions", tag = "identity", security(("bearer" = [])), responses(
    (status = 200, description = "The sessions that are good, newest first", body = [Session]),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "A device asks", body = Problem)))]
async fn list_sessions(
    State(app): State<AppState>,
    caller: Caller,
) -> ApiResult<Json<Vec<Session>>> {
    let (account, now) = (caller.account, app.clock.now_ms());
    let listed = app
        .db
        .read(move |c| store::sessions::list(c, account, now))
        .await?;
    let sessions = listed.into_iter().map(|session| Session {
        current: caller.session() == Some(&session.id),
        browser: session.browser,
        created_at: iso(session.created_at),
        last_used_at: session.last_used_at.map(iso),
        expires_at: iso(session.expires_at),
        user_agent: session.user_agent,
        address: session.address,
        id: session.id,
    });
    Ok(Json(sessions.collect()))
}

/// End a session
#[utoipa::path(delete, path = "/me/sessions/{id}", tag = "identity", security(("bearer" = [])),
    params(("id" = String, Path, description = "The session's id")), responses(
    (status = 200, description = "The session has ended", body = Message),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "An API key asks", body = Problem),
    (status = 404, description = "There is no such session", body = Problem)))]
async fn end_session(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Message>> {
    let (account, session) = (caller.account, id.clone());
    if !app
        .db
        .write(move |c| store::sessions::delete(c, account, &session))
        .await?
    {
        return Err(ApiError::not_found("Session"));
    }
    sessions::revoked(&app, Revoked::Session(id.clone()));
    crate::identity::audit(&app, &caller, "session.end", &id, serde_json::json!({})).await?;
    Ok(message("Session ended"))
}
