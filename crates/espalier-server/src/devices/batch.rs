//! Many new devices at once: a class, a production run, a simulated fleet.

use super::http::items::NewDeviceBody;
use super::logic::{self, Draft};
use super::view::DeviceView;
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::{self, Caller};
use crate::{ApiError, AppState};
use axum::extract::State;
use espalier_model::Role;
use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Devices in one request at most.
const MAX: usize = 500;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(post_batch))
}

/// The new devices.
#[derive(Debug, Deserialize, ToSchema)]
pub struct BatchBody {
    /// 1 to 500 devices. Aliases and product ids are given one by one.
    pub devices: Vec<NewDeviceBody>,
}

/// Create up to 500 devices.
///
/// All are checked before the first is created. The answer holds their tokens in clear, for the only time.
#[utoipa::path(post, path = "/devices/batch", tag = "devices", request_body = BatchBody, security(("bearer" = [])),
    responses(
        (status = 200, description = "The devices with their tokens, in the order asked for", body = [DeviceView]),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 413, body = Problem),
        (status = 422, body = Problem)))]
async fn post_batch(
    State(app): State<AppState>,
    caller: Caller,
    Json(body): Json<BatchBody>,
) -> ApiResult<Json<Vec<DeviceView>>> {
    create_all(&app, &caller, body.devices).await.map(Json)
}

async fn create_all(
    app: &AppState,
    caller: &Caller,
    bodies: Vec<NewDeviceBody>,
) -> ApiResult<Vec<DeviceView>> {
    if caller.role == Role::Viewer {
        return Err(ApiError::forbidden(
            "A viewer has no devices of their own; ask an admin for the role of a member.",
        ));
    }
    if bodies.is_empty() || bodies.len() > MAX {
        return Err(ApiError::invalid(
            &["body", "devices"],
            format!("must hold 1 to {MAX} devices"),
        ));
    }
    let mut drafts = Vec::with_capacity(bodies.len());
    for (index, body) in bodies.iter().enumerate() {
        let unique = body.alias.is_some() || !body.aliases.is_empty() || body.product_id.is_some();
        if unique || body.password.is_some() {
            let sentence = "aliases and product ids are given one by one; leave them out here";
            return Err(ApiError::invalid(
                &["body", "devices", &index.to_string()],
                sentence,
            ));
        }
        drafts.push(Draft::of(body)?);
    }
    // They wait for the database together, so they share its commits.
    let made = try_join_all(
        drafts
            .into_iter()
            .map(|draft| logic::create(app, caller.account, draft)),
    )
    .await?;
    identity::audit(
        app,
        caller,
        "device.create_batch",
        "devices",
        json!({ "count": made.len() }),
    )
    .await?;
    Ok(made
        .into_iter()
        .map(|(device, token)| DeviceView::of(&device, caller.account).with_token(token))
        .collect())
}
