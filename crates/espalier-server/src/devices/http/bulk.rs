//! The routes that change many devices at once.

use super::given;
use crate::devices::bulk::{self, Plan};
use crate::devices::list::Status;
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::Caller;
use crate::{ApiError, AppState};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(patch_status))
        .routes(routes!(post_bulk))
}

/// Which devices, and what they are to count as.
#[derive(Debug, Deserialize, ToSchema)]
pub struct BulkStatus {
    /// Ids or aliases, at most 1000.
    pub device_ids: Vec<String>,
    /// What they are to count as until they are heard of or stay silent.
    pub status: Status,
}

/// How many devices were changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkStatusAnswer {
    /// A sentence.
    pub message: String,
    /// Devices that are the caller's and were set.
    pub modified_count: usize,
}

/// Which devices, and what to do with each.
#[derive(Debug, Deserialize, ToSchema)]
pub struct BulkBody {
    /// Ids or aliases, at most 1000.
    pub device_ids: Vec<String>,
    /// What to do.
    pub action: BulkAction,
}

/// What to do: delete, or any of the others together.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct BulkAction {
    /// Tags to add.
    pub add_tags: Option<Vec<String>>,
    /// Tags to take away.
    pub remove_tags: Option<Vec<String>>,
    /// The only group to be in from now on; `null` for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub set_group: Option<Option<String>>,
    /// Delete the devices.
    pub delete: Option<bool>,
}

/// What came of one device.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkResult {
    /// The id as it was given.
    pub device_id: String,
    /// Whether it was done.
    pub ok: bool,
    /// The HTTP status that the same request for this device alone would have.
    pub status: u16,
    /// Why not, in one sentence.
    pub error: Option<String>,
}

impl BulkResult {
    /// The result of a request for one device.
    pub fn of(device_id: String, result: Result<(), ApiError>) -> Self {
        let error = result.err();
        Self {
            device_id,
            ok: error.is_none(),
            status: error.as_ref().map_or(200, |e| e.status().as_u16()),
            error: error.map(|e| e.message().to_owned()),
        }
    }
}

/// What came of all devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkAnswer {
    /// How many were done.
    pub done: usize,
    /// One result per id, in the order of the request.
    pub results: Vec<BulkResult>,
}

/// Set by hand whether devices count as online.
///
/// Only the caller's own devices count; the next report or silence overrides it.
#[utoipa::path(patch, path = "/devices/bulk/status", tag = "devices", request_body = BulkStatus,
    security(("bearer" = [])),
    responses((status = 200, body = BulkStatusAnswer), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn patch_status(
    State(app): State<AppState>,
    caller: Caller,
    Json(body): Json<BulkStatus>,
) -> ApiResult<Json<BulkStatusAnswer>> {
    let online = body.status == Status::Online;
    let modified_count = bulk::set_status(&app, &caller, body.device_ids, online).await?;
    Ok(Json(BulkStatusAnswer {
        message: format!("{modified_count} devices updated"),
        modified_count,
    }))
}

/// Tag, group or delete many devices.
///
/// The answer has a result per device; one that may not be touched does not stop the others.
#[utoipa::path(post, path = "/devices/bulk", tag = "devices", request_body = BulkBody,
    security(("bearer" = [])),
    responses((status = 200, body = BulkAnswer), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn post_bulk(
    State(app): State<AppState>,
    caller: Caller,
    Json(body): Json<BulkBody>,
) -> ApiResult<Json<BulkAnswer>> {
    let plan = Plan::of(body.action)?;
    let results = bulk::run(&app, &caller, body.device_ids, plan).await?;
    Ok(Json(BulkAnswer {
        done: results.iter().filter(|result| result.ok).count(),
        results,
    }))
}
