//! Accounts and invitations, for admins.

use super::types::UserOut;
use super::{Message, Page, Paging, message};
use crate::clock::iso;
use crate::error::{ApiResult, Problem};
use crate::http::{Json, Query};
use crate::identity::store::one_time::{self, OneTime};
use crate::identity::{Admin, NewAccount, admin, store};
use crate::{ApiError, AppState};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use espalier_model::{AccountId, Action, Role};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .routes(routes!(reset_link))
        .routes(routes!(invites, invite))
        .routes(routes!(withdraw))
}

fn account_id(text: &str) -> Result<AccountId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("User"))
}

fn role(text: &str) -> Result<Role, ApiError> {
    text.parse()
        .map_err(|e: String| ApiError::invalid(&["body", "role"], e))
}

/// Which accounts.
#[derive(Deserialize, IntoParams)]
struct Search {
    /// Text in the e-mail, username or name.
    #[serde(default)]
    search: String,
    /// The page, from 1.
    page: Option<i64>,
    /// Accounts per page, 1 to 200; 20 when absent.
    limit: Option<i64>,
}

/// Accounts, oldest first
#[utoipa::path(get, path = "/admin/users", tag = "identity", security(("bearer" = [])), params(Search), responses(
    (status = 200, description = "One page of accounts, never with passwords", body = Page<UserOut>),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin", body = Problem),
    (status = 422, description = "A parameter is wrong", body = Problem)))]
async fn list(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Query(search): Query<Search>,
) -> ApiResult<Json<Page<UserOut>>> {
    let paging = Paging::of(search.page, search.limit)?;
    let text = search.search.to_lowercase();
    let (accounts, total) = admin::page(&app, &caller, text, paging.offset(), paging.limit).await?;
    let users = accounts.into_iter().map(UserOut::from).collect();
    Ok(Json(paging.page(users, total)))
}

/// An account to create.
#[derive(Deserialize, ToSchema)]
struct NewUser {
    /// The e-mail address.
    email: String,
    /// 3 to 64 letters, digits, `-` or `_`.
    username: String,
    /// The password; without one the answer holds a link to choose it.
    password: Option<String>,
    /// The person's name.
    full_name: Option<String>,
    /// `viewer`, `member` (when absent), `admin` or `owner`.
    role: Option<String>,
}

/// An account just created.
#[derive(Serialize, ToSchema)]
struct CreatedUser {
    /// The account.
    #[serde(flatten)]
    user: UserOut,
    /// The link with which the person chooses a password; good for 24 hours and one use.
    link: Option<String>,
}

/// Create an account
#[utoipa::path(post, path = "/admin/users", tag = "identity", security(("bearer" = [])), request_body = NewUser, responses(
    (status = 201, description = "The account", body = CreatedUser),
    (status = 400, description = "The e-mail or username is taken", body = Problem),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin, or only owners make owners", body = Problem),
    (status = 422, description = "A field is wrong", body = Problem)))]
async fn create(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Json(body): Json<NewUser>,
) -> ApiResult<(StatusCode, Json<CreatedUser>)> {
    let new = NewAccount {
        email: body.email,
        username: body.username,
        password: String::new(),
        full_name: body.full_name,
        role: body.role.as_deref().map_or(Ok(Role::Member), role)?,
    };
    let needs_link = body.password.is_none();
    let account = admin::create(&app, &caller, new, body.password).await?;
    let link = if needs_link {
        Some(crate::identity::invite_link_for(&app, account.id).await?)
    } else {
        None
    };
    Ok((
        StatusCode::CREATED,
        Json(CreatedUser {
            user: account.into(),
            link,
        }),
    ))
}

/// One account
#[utoipa::path(get, path = "/admin/users/{id}", tag = "identity", security(("bearer" = [])),
    params(("id" = String, Path, description = "The account's id")), responses(
    (status = 200, description = "The account", body = UserOut),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin", body = Problem),
    (status = 404, description = "There is no such account", body = Problem)))]
async fn get(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Path(id): Path<String>,
) -> ApiResult<Json<UserOut>> {
    let id = account_id(&id)?;
    let account = app.db.read(move |c| store::accounts::get(c, id)).await?;
    let account = account.ok_or_else(|| ApiError::not_found("User"))?;
    admin::by_rules(&app, &caller, &account, Action::Read)?;
    Ok(Json(account.into()))
}

/// What to change; what is absent stays.
#[derive(Deserialize, ToSchema)]
struct ChangeUser {
    /// `viewer`, `member`, `admin` or `owner`.
    role: Option<String>,
    /// Whether the account may sign in; `false` ends its sessions at once.
    is_active: Option<bool>,
    /// The person's name; empty removes it.
    full_name: Option<String>,
}

/// Change an account
#[utoipa::path(patch, path = "/admin/users/{id}", tag = "identity", security(("bearer" = [])), request_body = ChangeUser,
    params(("id" = String, Path, description = "The account's id")), responses(
    (status = 200, description = "The account as it is now", body = UserOut),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin, or only owners change owners", body = Problem),
    (status = 404, description = "There is no such account", body = Problem),
    (status = 409, description = "It is the last owner or oneself", body = Problem),
    (status = 422, description = "A field is wrong", body = Problem)))]
async fn change(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Path(id): Path<String>,
    Json(body): Json<ChangeUser>,
) -> ApiResult<Json<UserOut>> {
    let wanted = admin::Wanted {
        role: body.role.as_deref().map(role).transpose()?,
        is_active: body.is_active,
        full_name: body.full_name,
    };
    let account = admin::change(&app, &caller, account_id(&id)?, wanted).await?;
    Ok(Json(account.into()))
}

/// Delete an account with everything that belongs to it
#[utoipa::path(delete, path = "/admin/users/{id}", tag = "identity", security(("bearer" = [])),
    params(("id" = String, Path, description = "The account's id")), responses(
    (status = 200, description = "The account is gone", body = Message),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin, or only owners delete owners", body = Problem),
    (status = 404, description = "There is no such account", body = Problem),
    (status = 409, description = "It is the last owner or oneself", body = Problem)))]
async fn delete(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Path(id): Path<String>,
) -> ApiResult<Json<Message>> {
    admin::delete(&app, &caller, account_id(&id)?).await?;
    Ok(message("User deleted"))
}

/// A link to pass on.
#[derive(Serialize, ToSchema)]
struct LinkOut {
    /// The link; good for 24 hours and one use.
    link: String,
}

/// Make a link to choose a new password
#[utoipa::path(post, path = "/admin/users/{id}/reset-link", tag = "identity", security(("bearer" = [])),
    params(("id" = String, Path, description = "The account's id")), responses(
    (status = 200, description = "The link, shown this once", body = LinkOut),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin, or only owners do this for owners", body = Problem),
    (status = 404, description = "There is no such account", body = Problem)))]
async fn reset_link(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Path(id): Path<String>,
) -> ApiResult<Json<LinkOut>> {
    let link = admin::reset_link(&app, &caller, account_id(&id)?).await?;
    Ok(Json(LinkOut { link }))
}

/// An invitation without its code.
#[derive(Serialize, ToSchema)]
struct Invite {
    /// Its id.
    id: String,
    /// The only address that may use it, if any.
    email: Option<String>,
    /// The role of the account that it makes.
    role: String,
    /// The account that made it.
    created_by: Option<String>,
    /// When it was made.
    created_at: String,
    /// Until when it is good.
    expires_at: Option<String>,
    /// When it was used.
    used_at: Option<String>,
}

impl From<OneTime> for Invite {
    fn from(invite: OneTime) -> Self {
        Self {
            id: invite.id,
            email: invite.email,
            role: invite.role.unwrap_or(Role::Member).to_string(),
            created_by: invite.created_by,
            created_at: iso(invite.created_at),
            expires_at: invite.expires_at.map(iso),
            used_at: invite.used_at.map(iso),
        }
    }
}

/// An invitation just made.
#[derive(Serialize, ToSchema)]
struct CreatedInvite {
    /// The invitation.
    #[serde(flatten)]
    invite: Invite,
    /// The code for `invite` of POST /signup, shown this once.
    code: String,
}

/// An invitation to make.
#[derive(Deserialize, ToSchema)]
struct NewInvite {
    /// The only address that may use it.
    email: Option<String>,
    /// `viewer`, `member` (when absent), `admin` or `owner`.
    role: Option<String>,
    /// Hours for which it is good; 168 when absent.
    expires_in_hours: Option<u32>,
}

/// Invitations, newest first
#[utoipa::path(get, path = "/admin/invites", tag = "identity", security(("bearer" = [])), responses(
    (status = 200, description = "The invitations, without their codes", body = [Invite]),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin", body = Problem)))]
async fn invites(State(app): State<AppState>, _admin: Admin) -> ApiResult<Json<Vec<Invite>>> {
    let invites = app.db.read(one_time::invites).await?;
    Ok(Json(invites.into_iter().map(Invite::from).collect()))
}

/// Invite somebody
#[utoipa::path(post, path = "/admin/invites", tag = "identity", security(("bearer" = [])), request_body = NewInvite, responses(
    (status = 201, description = "The invitation with its code, shown this once", body = CreatedInvite),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin, or only owners invite owners", body = Problem),
    (status = 422, description = "A field is wrong", body = Problem)))]
async fn invite(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Json(body): Json<NewInvite>,
) -> ApiResult<(StatusCode, Json<CreatedInvite>)> {
    let role = body.role.as_deref().map_or(Ok(Role::Member), role)?;
    let hours = body.expires_in_hours.unwrap_or(admin::INVITE_HOURS);
    let (invite, code) = admin::invite(&app, &caller, body.email.as_deref(), role, hours).await?;
    Ok((
        StatusCode::CREATED,
        Json(CreatedInvite {
            invite: invite.into(),
            code,
        }),
    ))
}

/// Withdraw an invitation
#[utoipa::path(delete, path = "/admin/invites/{id}", tag = "identity", security(("bearer" = [])),
    params(("id" = String, Path, description = "The invitation's id")), responses(
    (status = 200, description = "The invitation no longer works", body = Message),
    (status = 401, description = "Nobody is signed in", body = Problem),
    (status = 403, description = "Not an admin", body = Problem),
    (status = 404, description = "There is no such invitation", body = Problem)))]
async fn withdraw(
    State(app): State<AppState>,
    Admin(caller): Admin,
    Path(id): Path<String>,
) -> ApiResult<Json<Message>> {
    admin::withdraw(&app, &caller, &id).await?;
    Ok(message("Invitation withdrawn"))
}
