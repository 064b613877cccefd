//! Forgotten passwords.

use super::{Message, message};
use crate::AppState;
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Peer, Query};
use crate::identity::reset;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(forgot))
        .routes(routes!(verify))
        .routes(routes!(set))
}

/// Whose password is forgotten.
#[derive(Deserialize, ToSchema)]
struct Forgot {
    /// The account's e-mail address.
    email: String,
}

/// A reset code.
#[derive(Deserialize, IntoParams)]
struct Code {
    /// The code from the mail.
    token: String,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
struct NewPassword {
    /// The code from the mail.
    token: String,
    /// 8 to 72 characters with lower-case and upper-case letters and a digit.
    new_password: String,
}

/// Ask for a password reset
///
/// The answer is the same whether the account exists or not, so that nobody can find out who has one.
#[utoipa::path(post, path = "/forgot-password", tag = "identity", request_body = Forgot, responses(
    (status = 200, description = "A mail is on its way if there is such an account", body = Message),
    (status = 422, description = "Not an e-mail address", body = Problem),
    (status = 429, description = "Too many requests", body = Problem)))]
async fn forgot(
    State(app): State<AppState>,
    peer: Peer,
    Json(body): Json<Forgot>,
) -> ApiResult<Json<Message>> {
    reset::forgot(&app, &body.email, peer.0).await?;
    Ok(message(
        "If there is an account with this address, a mail with a link is on its way.",
    ))
}

/// Check a reset code
#[utoipa::path(get, path = "/verify-reset-token", tag = "identity", params(Code), responses(
    (status = 200, description = "The code is good", body = Message),
    (status = 400, description = "The code is wrong, used or expired", body = Problem),
    (status = 422, description = "No code was given", body = Problem),
    (status = 429, description = "Too many wrong codes", body = Problem)))]
async fn verify(
    State(app): State<AppState>,
    peer: Peer,
    Query(code): Query<Code>,
) -> ApiResult<Json<Message>> {
    reset::verify(&app, &code.token, peer.0).await?;
    Ok(message("Token is valid"))
}

/// Set a new password with a reset code
///
/// It ends every session of the account.
#[utoipa::path(post, path = "/reset-password", tag = "identity", request_body = NewPassword, responses(
    (status = 200, description = "The password is set", body = Message),
    (status = 400, description = "The code is wrong, used or expired", body = Problem),
    (status = 422, description = "The password is too weak", body = Problem),
    (status = 429, description = "Too many wrong codes", body = Problem)))]
async fn set(
    State(app): State<AppState>,
    peer: Peer,
    Json(body): Json<NewPassword>,
) -> ApiResult<Json<Message>> {
    reset::reset(&app, &body.token, body.new_password, peer.0).await?;
    Ok(message("Password reset successfully"))
}
