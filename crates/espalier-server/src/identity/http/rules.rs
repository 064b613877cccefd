//! Access rules, for admins.

use crate::clock::iso;
use crate::error::{ApiResult, Problem};
use crate::http::Json;
use crate::identity::rules::{self, default_document};
use crate::identity::{Admin, store};
use crate::{ApiError, AppState};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Revisions that the list shows.
const HISTORY: i64 = 50;
/// The longest expression that may be tried, bytes; as long as one that may be saved.
const MAX_TRIED: usize = 1000;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(show, save))
        .routes(routes!(test))
}

/// The access rules in force.
#[derive(Debug, Serialize, ToSchema)]
struct Rules {
    /// Per collection the expressions `.read`, `.control`, `.manage`, `.own`.
    #[schema(value_type = Object)]
    rules: Value,
    /// The revision; 0 while nobody saved any.
    revision: i64,
    /// Whether these are the rules that ship.
    is_default: bool,
    /// The newest revisions, newest first.
    history: Vec<Revision>,
}

/// One revision.
#[derive(Debug, Serialize, ToSchema)]
struct Revision {
    /// Its number.
    revision: i64,
    /// The account that saved it.
    created_by: String,
    /// When it was saved.
    created_at: String,
    /// The document.
    #[schema(value_type = Object)]
    rules: Value,
}

/// New access rules.
#[derive(Deserialize, ToSchema)]
struct SaveRules {
    /// Per collection the expressions `.read`, `.control` (or `.write`), `.manage`, `.own`.
    #[schema(value_type = Object)]
    rules: Value,
    /// The revision that was edited; another one in force is a 409.
    revision: Option<i64>,
}

/// One expression to try.
#[derive(Deserialize, ToSchema)]
struct TryRule {
    /// The expression.
    expression: String,
    /// The variable `auth`: `uid`, `role`, `access_right`, `is_admin`.
    #[schema(value_type = Object)]
    #[serde(default)]
    auth: Value,
    /// The variable `data`: `owner`, `share`, `id`, `name`, `kind`, `device`, `tags`.
    #[schema(value_type = Object)]
    #[serde(default)]
    data: Value,
}

/// What came of trying.
#[derive(Debug, Serialize, ToSchema)]
struct Tried {
    /// Whether it permits; a failure denies.
    allowed: bool,
    /// Why it fails.
    error: Option<String>,
}

/// The access rules
#[utoipa::path(get, path = "/admin/security-rules", tag = "identity", security(("bearer" = [])), responses(
    (status = 200, description = "The rules in force and earlier ones", body = Rules),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin", body = Problem)))]
async fn show(State(app): State<AppState>, _admin: Admin) -> ApiResult<Json<Rules>> {
    current(&app).await
}

async fn current(app: &AppState) -> ApiResult<Json<Rules>> {
    let saved = app.db.read(|c| store::rules::history(c, HISTORY)).await?;
    let parse = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let history = saved.iter().map(|saved| Revision {
        revision: saved.revision,
        created_by: saved.created_by.clone(),
        created_at: iso(saved.created_at),
        rules: parse(&saved.document),
    });
    Ok(Json(Rules {
        rules: saved
            .first()
            .map_or_else(default_document, |newest| parse(&newest.document)),
        revision: saved.first().map_or(0, |newest| newest.revision),
        is_default: app.identity.rules.load().is_default(),
        history: history.collect(),
    }))
}

/// Save access rules
///
/// They are compiled and tried on samples first, and hold from the moment of the answer, for lists and live
/// events too. Collections are `devices`, `telemetry`, `dashboards`, `widgets`, `notifications` and `users`.
/// What no rule permits is denied; these routes alone follow no rule, so that no admin is locked out.
#[utoipa::path(post, path = "/admin/security-rules", tag = "identity", security(("bearer" = [])), request_body = SaveRules, responses(
    (status = 200, description = "The rules in force now", body = Rules),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin", body = Problem),
    (status = 409, description = "Somebody saved other rules meanwhile", body = Problem),
    (status = 422, description = "A rule is wrong; the sentence names it and the place", body = Problem)))]
async fn save(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Json(body): Json<SaveRules>,
) -> ApiResult<Json<Rules>> {
    rules::save(&app, &caller, body.rules, body.revision).await?;
    current(&app).await
}

/// Try one expression
#[utoipa::path(post, path = "/admin/security-rules/test", tag = "identity", security(("bearer" = [])), request_body = TryRule, responses(
    (status = 200, description = "Whether it permits", body = Tried),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin", body = Problem),
    (status = 422, description = "The body is wrong", body = Problem)))]
async fn test(_admin: Admin, Json(body): Json<TryRule>) -> ApiResult<Json<Tried>> {
    if body.expression.len() > MAX_TRIED {
        return Err(ApiError::invalid(
            &["body", "expression"],
            "is longer than 1000 bytes",
        ));
    }
    let tried = move || {
        let or_empty = |value: Value| if value.is_null() { json!({}) } else { value };
        rules::evaluate(&body.expression, &or_empty(body.auth), &or_empty(body.data))
    };
    let tried = tokio::task::spawn_blocking(tried)
        .await
        .map_err(ApiError::internal)?;
    Ok(Json(match tried {
        Ok(allowed) => Tried {
            allowed,
            error: None,
        },
        Err(error) => Tried {
            allowed: false,
            error: Some(error),
        },
    }))
}
