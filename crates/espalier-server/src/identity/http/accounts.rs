//! Signing up, in and out, and one's own account.

use super::types::{
    LoggedOut, Login, ProfileUpdate, RenewedEither, SignedIn, SignedInEither, Signup, TokenForm,
    TokenPair, UserOut,
};
use super::{Message, entry, message};
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Peer, Raw, parse_body};
use crate::identity::accounts::{self, ProfileChange};
use crate::identity::principal::{Identified, Principal};
use crate::identity::{Caller, carrier, sessions, signup};
use crate::{ApiError, AppState};
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(sign_up))
        .routes(routes!(token))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(me, update_me, delete_me))
}

/// Create an account
///
/// Who may is a setting: anybody, whoever has an invitation, or nobody. With `"cookie": true` the answer
/// holds no tokens but sets the browser's cookie.
#[utoipa::path(post, path = "/signup", tag = "identity", request_body = Signup, responses(
    (status = 200, description = "The account and its first tokens, or the cookie", body = SignedInEither),
    (status = 400, description = "The e-mail or username is taken", body = Problem),
    (status = 403, description = "Sign-up is closed or needs an invitation", body = Problem),
    (status = 422, description = "A field is wrong", body = Problem),
    (status = 429, description = "Too many attempts", body = Problem),
    (status = 503, description = "Too many people are signing in", body = Problem)))]
async fn sign_up(
    State(app): State<AppState>,
    peer: Peer,
    headers: HeaderMap,
    Json(body): Json<Signup>,
) -> ApiResult<Response> {
    if body.cookie {
        entry::may_set_cookie(&headers)?;
    }
    let wanted = signup::Wanted {
        email: body.email,
        username: body.username,
        password: body.password,
        full_name: body.full_name,
        invite: body.invite,
    };
    let account = signup::sign_up(&app, wanted, peer.0).await?;
    entry::open(&app, account, peer, &headers, body.cookie).await
}

/// Sign in with a form
#[utoipa::path(post, path = "/token", tag = "identity",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "Tokens and the account", body = SignedIn),
    (status = 400, description = "Name and password do not belong together", body = Problem),
    (status = 403, description = "The account is disabled", body = Problem),
    (status = 422, description = "A field is missing", body = Problem),
    (status = 429, description = "Too many failed attempts", body = Problem),
    (status = 503, description = "Too many people are signing in", body = Problem)))]
async fn token(
    State(app): State<AppState>,
    peer: Peer,
    headers: HeaderMap,
    Raw(body): Raw,
) -> ApiResult<Response> {
    let form = String::from_utf8_lossy(&body);
    let field = |name: &str| {
        carrier::form_value(&form, name)
            .ok_or_else(|| ApiError::invalid(&["body", name], "Field required"))
    };
    let (name, password) = (field("username")?, field("password")?);
    let account = accounts::sign_in(&app, &name, password, peer.0).await?;
    entry::open(&app, account, peer, &headers, false).await
}

/// Sign in with JSON
///
/// With `"cookie": true` the answer holds no tokens but sets the browser's cookie; a page then asks `GET /me`
/// who it is, and what it writes must come from our own origin.
#[utoipa::path(post, path = "/login", tag = "identity", request_body = Login, responses(
    (status = 200, description = "The account with tokens, or with the cookie", body = SignedInEither),
    (status = 400, description = "Name and password do not belong together", body = Problem),
    (status = 403, description = "The account is disabled", body = Problem),
    (status = 422, description = "A field is missing", body = Problem),
    (status = 429, description = "Too many failed attempts", body = Problem),
    (status = 503, description = "Too many people are signing in", body = Problem)))]
async fn login(
    State(app): State<AppState>,
    peer: Peer,
    headers: HeaderMap,
    Json(body): Json<Login>,
) -> ApiResult<Response> {
    if body.product_id.is_some() {
        return Err(ApiError::bad_request(
            "product_login_unavailable",
            "Boards cannot sign in with a product id on this server yet; use the device's token.",
        ));
    }
    if body.cookie {
        entry::may_set_cookie(&headers)?;
    }
    let name = body
        .email
        .or(body.username)
        .ok_or_else(|| ApiError::invalid(&["body", "email"], "Field required"))?;
    let account = accounts::sign_in(&app, &name, body.password, peer.0).await?;
    entry::open(&app, account, peer, &headers, body.cookie).await
}

/// A refresh token as JSON or form.
#[derive(Deserialize, utoipa::ToSchema)]
struct RefreshBody {
    /// The refresh token; a browser that has the cookie sends none.
    refresh_token: Option<String>,
}

/// Exchange a refresh token
///
/// The token may be in the query (as older clients send it), in a JSON body or in a form. It is good for
/// one use; showing it again ends the session. A browser sends nothing but its cookie, and gets it renewed.
#[utoipa::path(post, path = "/refresh", tag = "identity",
    params(("refresh_token" = Option<String>, Query, description = "The refresh token; better in the body")),
    request_body = Option<RefreshBody>, responses(
    (status = 200, description = "The next tokens, or the cookie again", body = RenewedEither),
    (status = 401, description = "The token is wrong, expired or was used before", body = Problem),
    (status = 403, description = "Another site sent this with the cookie", body = Problem),
    (status = 422, description = "No token was given", body = Problem)))]
async fn refresh(
    State(app): State<AppState>,
    uri: Uri,
    headers: HeaderMap,
    Raw(body): Raw,
) -> ApiResult<Response> {
    let named = |text: &str| carrier::form_value(text, "refresh_token");
    let is_form = headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    let secret = match uri.query().and_then(named) {
        Some(secret) => secret,
        None if is_form => named(&String::from_utf8_lossy(&body))
            .ok_or_else(|| ApiError::invalid(&["body", "refresh_token"], "Field required"))?,
        None => {
            let token = match body.is_empty() {
                true => None,
                false => parse_body::<Option<RefreshBody>>(&body)?.and_then(|b| b.refresh_token),
            };
            match token {
                Some(token) => token,
                None => return entry::renew(&app, &uri, &headers).await,
            }
        }
    };
    let next = sessions::refresh(&app, &secret).await?;
    Ok(Json(TokenPair::from(next)).into_response())
}

/// Sign out everywhere
///
/// It ends every session of the account and may be repeated; without a good token it says so.
#[utoipa::path(post, path = "/logout", tag = "identity", security((), ("bearer" = [])), responses(
    (status = 200, description = "Signed out", body = LoggedOut),
    (status = 403, description = "An API key cannot sign out, or another site sent this", body = Problem)))]
async fn logout(
    State(app): State<AppState>,
    Extension(identified): Extension<Identified>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let out = match identified {
        Identified::Known(Principal::Account(caller)) => LoggedOut {
            message: "Logged out successfully",
            tokens_deleted: sessions::end_all(&app, caller.account).await?,
            already_logged_out: false,
        },
        _ => LoggedOut {
            message: "Already logged out",
            tokens_deleted: 0,
            already_logged_out: true,
        },
    };
    Ok(entry::forget(&app, &headers, out))
}

/// One's own account
#[utoipa::path(get, path = "/me", tag = "identity", security(("bearer" = [])), responses(
    (status = 200, description = "The account", body = UserOut),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "A device asks, or the key's scope does not cover it", body = Problem)))]
async fn me(State(app): State<AppState>, caller: Caller) -> ApiResult<Json<UserOut>> {
    let account = crate::identity::account(&app, caller.account).await?;
    Ok(Json(account.into()))
}

/// Change one's own account
#[utoipa::path(put, path = "/me", tag = "identity", security(("bearer" = [])), request_body = ProfileUpdate, responses(
    (status = 200, description = "The account as it is now", body = UserOut),
    (status = 400, description = "The e-mail or username is taken, or the current password is wrong", body = Problem),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "An API key or a device asks", body = Problem),
    (status = 422, description = "A field is wrong", body = Problem),
    (status = 429, description = "Too many wrong passwords", body = Problem)))]
async fn update_me(
    State(app): State<AppState>,
    caller: Caller,
    peer: Peer,
    Json(body): Json<ProfileUpdate>,
) -> ApiResult<Json<UserOut>> {
    let settings = body.notification_settings;
    let change = ProfileChange {
        email: body.email,
        username: body.username,
        full_name: body.full_name,
        notification_settings: settings
            .map(serde_json::to_value)
            .transpose()
            .map_err(ApiError::internal)?,
        integrations: body.integrations.map(serde_json::Value::Object),
        password: body.password,
        current_password: body.current_password,
    };
    let account = accounts::change_profile(&app, &caller, peer.0, change).await?;
    Ok(Json(account.into()))
}

/// Delete one's own account with everything that belongs to it
#[utoipa::path(delete, path = "/me", tag = "identity", security(("bearer" = [])), responses(
    (status = 200, description = "The account is gone", body = Message),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "An API key or a device asks", body = Problem),
    (status = 409, description = "The last owner cannot go", body = Problem)))]
async fn delete_me(State(app): State<AppState>, caller: Caller) -> ApiResult<Json<Message>> {
    accounts::delete_own(&app, &caller).await?;
    Ok(message("Account deleted successfully"))
}
