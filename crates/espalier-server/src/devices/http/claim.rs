//! The routes with which a device changes hands by code or product password.

use crate::clock::iso;
use crate::devices::claim::{self, Proof};
use crate::devices::require;
use crate::devices::view::DeviceView;
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::{Caller, Principal};
use crate::{ApiError, AppState};
use axum::extract::{Path, State};
use espalier_model::Action;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(post_claim))
        .routes(routes!(post_code))
}

/// With what the caller claims a device: a code, or product id and password.
#[derive(Deserialize, ToSchema)]
pub struct ClaimBody {
    /// A code that the owner gave away.
    pub code: Option<String>,
    /// With a code: leave the board's token as it is. Without this the board gets a new one, because its former
    /// owner knows the old one; the answer shows it once, and the board must be set up with it.
    #[serde(default)]
    pub keep_token: bool,
    /// The id printed on the product.
    pub product_id: Option<String>,
    /// The password that came with it.
    pub password: Option<String>,
}

impl ClaimBody {
    fn proof(self) -> Result<Proof, ApiError> {
        match (self.code, self.product_id, self.password) {
            (Some(code), None, None) => Ok(Proof::Code {
                code,
                keep_token: self.keep_token,
            }),
            (None, Some(id), Some(password)) => Ok(Proof::Product { id, password }),
            _ => Err(ApiError::invalid(
                &["body"],
                "must have either code, or product_id and password",
            )),
        }
    }
}

/// How long a code is to work.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct CodeBody {
    /// Seconds, 60 to 604800; a day when left out.
    pub expires_in_seconds: Option<u32>,
}

/// A code, shown once.
#[derive(Serialize, ToSchema)]
pub struct CodeAnswer {
    /// The code; it works once.
    pub code: String,
    /// Until when (RFC 3339, UTC).
    pub expires_at: String,
}

/// Claim a device.
///
/// With a code from a former owner the board gets a new token, which the answer shows for the only time; with a
/// product password it keeps its own.
#[utoipa::path(post, path = "/devices/claim", tag = "devices", request_body = ClaimBody, security(("bearer" = [])),
    responses((status = 200, description = "The device, now the caller's", body = DeviceView),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, description = "The code or password is wrong", body = Problem),
        (status = 409, description = "It is claimed already", body = Problem), (status = 422, body = Problem),
        (status = 429, description = "Too many wrong attempts", body = Problem)))]
async fn post_claim(
    State(app): State<AppState>,
    caller: Caller,
    Json(body): Json<ClaimBody>,
) -> ApiResult<Json<DeviceView>> {
    let (device, token) = claim::claim(&app, &caller, body.proof()?).await?;
    let view = DeviceView::of(&device, caller.account);
    Ok(Json(match token {
        Some(token) => view.with_token(token),
        None => view,
    }))
}

/// Make a code with which somebody else can claim the device.
///
/// It works once; a former code no longer works.
#[utoipa::path(post, path = "/devices/{id}/claim-code", tag = "devices", request_body = CodeBody,
    security(("bearer" = [])),
    params(("id" = String, Path, description = "24-digit id, UUID or alias")),
    responses((status = 200, body = CodeAnswer), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn post_code(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<CodeBody>,
) -> ApiResult<Json<CodeAnswer>> {
    let principal = Principal::Account(caller.clone());
    let device = require(&app, &principal, &id, Action::Own)?;
    let (code, expires_at) =
        claim::make_code(&app, &caller, &device, body.expires_in_seconds).await?;
    Ok(Json(CodeAnswer {
        code,
        expires_at: iso(expires_at),
    }))
}
