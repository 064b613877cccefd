//! The page behind one-time links, for people and for programs.

use super::types::{SignedIn, origin};
use crate::error::{ApiResult, Problem};
use crate::http::{Peer, Query, Raw, parse_body};
use crate::identity::page::{self, Page};
use crate::identity::setup::{self, Entered, Purpose};
use crate::identity::{accounts, carrier, sessions};
use crate::{ApiError, AppState};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show, complete))
}

/// The secret of a link.
#[derive(Deserialize, utoipa::IntoParams)]
struct Link {
    /// The secret of the link.
    #[serde(default)]
    token: String,
}

/// What was entered on the page of a one-time link.
#[derive(Deserialize, utoipa::ToSchema)]
struct SetupBody {
    /// The secret of the link.
    token: String,
    /// The e-mail address of the first account.
    email: Option<String>,
    /// The username of the first account.
    username: Option<String>,
    /// The password.
    password: String,
}

/// The page behind a one-time link
#[utoipa::path(get, path = "/setup", tag = "identity", params(Link), responses(
    (status = 200, description = "A form", body = String, content_type = "text/html"),
    (status = 404, description = "The link is wrong, used or expired", body = String, content_type = "text/html"),
    (status = 429, description = "Too many wrong links", body = String, content_type = "text/html")))]
async fn show(
    State(app): State<AppState>,
    peer: Peer,
    Query(link): Query<Link>,
) -> ApiResult<Response> {
    let purpose = match setup::purpose(&app, &link.token, peer.0).await {
        Ok(purpose) => purpose,
        Err(error) if error.status().is_server_error() => return Err(error),
        Err(error) => return Ok(html(error.status(), page::sorry(error.message()))),
    };
    let page = Page {
        token: &link.token,
        account: account_name(&purpose),
        problem: None,
        email: "",
        username: "",
    };
    Ok(html(StatusCode::OK, page::form(&page)))
}

/// Use a one-time link
///
/// A form is answered with the browser's cookie and a redirect to the start page, JSON with tokens.
#[utoipa::path(post, path = "/setup", tag = "identity", request_body = SetupBody, responses(
    (status = 200, description = "Tokens and the account (JSON)", body = SignedIn),
    (status = 303, description = "Done; the browser is signed in (form)"),
    (status = 400, description = "A name is taken", body = Problem),
    (status = 403, description = "Another site sent this form", body = Problem),
    (status = 404, description = "The link is wrong, used or expired", body = Problem),
    (status = 422, description = "A field is wrong", body = Problem),
    (status = 429, description = "Too many wrong links", body = Problem)))]
async fn complete(
    State(app): State<AppState>,
    peer: Peer,
    headers: HeaderMap,
    Raw(body): Raw,
) -> ApiResult<Response> {
    let origin = origin(peer, &headers);
    let tls = sessions::over_tls(&app, &headers);
    if !is_form(&headers) {
        let body: SetupBody = parse_body(&body)?;
        let account = setup::complete(&app, &body.token, peer.0, entered(&body)).await?;
        let tokens = sessions::open(&app, account.id, origin.clone()).await?;
        let cookie = sessions::open_browser(&app, account.id, origin, tls).await?;
        let account = accounts::signed_in(&app, account).await?;
        let answer = axum::Json(SignedIn::new(account, tokens));
        return Ok(([(header::SET_COOKIE, cookie)], answer).into_response());
    }
    let form = form(&body);
    match setup::complete(&app, &form.token, peer.0, entered(&form)).await {
        Ok(account) => {
            let account = accounts::signed_in(&app, account).await?;
            let cookie = sessions::open_browser(&app, account.id, origin, tls).await?;
            let to = [
                (header::SET_COOKIE, cookie),
                (header::LOCATION, "/".to_owned()),
            ];
            Ok((StatusCode::SEE_OTHER, to).into_response())
        }
        Err(error) if error.status().is_server_error() => Err(error),
        Err(error) => Ok(again(&app, &form, peer, &error).await),
    }
}

/// The form once more with the sentence that says what was wrong.
async fn again(app: &AppState, form: &SetupBody, peer: Peer, error: &ApiError) -> Response {
    let Ok(purpose) = setup::purpose(app, &form.token, peer.0).await else {
        return html(error.status(), page::sorry(error.message()));
    };
    let sentence = error
        .message()
        .strip_prefix("body.")
        .unwrap_or(error.message());
    let page = Page {
        token: &form.token,
        account: account_name(&purpose),
        problem: Some(sentence),
        email: form.email.as_deref().unwrap_or_default(),
        username: form.username.as_deref().unwrap_or_default(),
    };
    html(error.status(), page::form(&page))
}

fn account_name(purpose: &Purpose) -> Option<&str> {
    match purpose {
        Purpose::FirstAccount => None,
        Purpose::Password(account) => Some(&account.username),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    })
}

fn form(body: &[u8]) -> SetupBody {
    let text = String::from_utf8_lossy(body);
    SetupBody {
        token: carrier::form_value(&text, "token").unwrap_or_default(),
        email: carrier::form_value(&text, "email"),
        username: carrier::form_value(&text, "username"),
        password: carrier::form_value(&text, "password").unwrap_or_default(),
    }
}

fn entered(body: &SetupBody) -> Entered {
    Entered {
        email: body.email.clone(),
        username: body.username.clone(),
        password: body.password.clone(),
    }
}

/// A page that no cache keeps: its address holds a secret.
fn html(status: StatusCode, text: String) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Html(text)).into_response()
}
