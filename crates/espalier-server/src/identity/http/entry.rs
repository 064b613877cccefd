//! What everybody gets who signs in: tokens for programs, the cookie for browsers.

use super::types::{BrowserSession, SignedIn, SignedInBrowser, origin};
use crate::error::ApiResult;
use crate::http::{Json, Peer};
use crate::identity::carrier::{self, Carried};
use crate::identity::store::accounts::Account;
use crate::identity::{guard, sessions};
use crate::{ApiError, AppState};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{AppendHeaders, IntoResponse, Response};

/// Refuses a cookie to another site, which would sign its visitor in as somebody else. Asked before the
/// password is looked at.
///
/// # Errors
/// 403.
pub fn may_set_cookie(headers: &HeaderMap) -> Result<(), ApiError> {
    if guard::same_origin(headers) == Some(false) {
        return Err(guard::cross_origin());
    }
    Ok(())
}

/// Opens a session for whoever showed who they are.
pub async fn open(
    app: &AppState,
    account: Account,
    peer: Peer,
    headers: &HeaderMap,
    cookie: bool,
) -> ApiResult<Response> {
    let origin = origin(peer, headers);
    if !cookie {
        let tokens = sessions::open(app, account.id, origin).await?;
        return Ok(Json(SignedIn::new(account, tokens)).into_response());
    }
    let tls = sessions::over_tls(app, headers);
    let cookie = sessions::open_browser(app, account.id, origin, tls).await?;
    let answer = SignedInBrowser {
        session: BrowserSession::of(sessions::BROWSER_MS),
        user: account.into(),
    };
    Ok(with_cookie(cookie, answer))
}

/// Prolongs the session of the browser that asks; without a cookie nobody knows what to renew.
///
/// # Errors
/// 401 when the session has ended, 422 without a cookie, 403 from another site.
pub async fn renew(app: &AppState, uri: &Uri, headers: &HeaderMap) -> ApiResult<Response> {
    let Some(Carried::Cookie(secret)) = carrier::carried(headers, uri) else {
        return Err(ApiError::invalid(
            &["query", "refresh_token"],
            "Field required",
        ));
    };
    may_set_cookie(headers)?;
    let tls = sessions::over_tls(app, headers);
    let renewed = sessions::renew_browser(app, &secret, tls).await?;
    let session = BrowserSession::of(renewed.expires_at - app.clock.now_ms());
    Ok(with_cookie(renewed.cookie, session))
}

/// An answer that also makes the browser forget its session, unless another site made it ask.
pub fn forget(app: &AppState, headers: &HeaderMap, answer: impl serde::Serialize) -> Response {
    if may_set_cookie(headers).is_err() {
        return Json(answer).into_response();
    }
    with_cookie(
        sessions::clear_cookie(sessions::over_tls(app, headers)),
        answer,
    )
}

fn with_cookie(cookie: String, answer: impl serde::Serialize) -> Response {
    let cookie = AppendHeaders([(header::SET_COOKIE, cookie)]);
    (cookie, Json(answer)).into_response()
}
