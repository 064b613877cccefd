//! Who may open something that pushes, when the credential comes later than the request: in a socket's first
//! frame, or with a ticket. It applies the rules that the edge applies to headers, cookies and queries, and has
//! none of its own.

use super::signal::End;
use crate::identity::{self, Caller, Identified, Principal};
use crate::{ApiError, AppState, http};
use axum::http::{Method, StatusCode, Uri};

/// The principal whose secret came in the first frame of a socket at `path`.
///
/// # Errors
/// The reason to end the socket: nobody has this secret, its scope does not cover the path, or its owner asks
/// too often.
pub(super) async fn by_first_frame(
    app: &AppState,
    secret: &str,
    path: &'static str,
) -> Result<Principal, End> {
    match identity::admit_secret(app, secret, &Method::GET, &Uri::from_static(path)).await {
        Ok(Identified::Known(principal)) => {
            http::count_known(app, &principal).map_err(|_| End::Busy)?;
            Ok(principal)
        }
        Ok(Identified::Nobody | Identified::Unknown) => Err(End::Unauthorized),
        Err(error) if error.status() == StatusCode::FORBIDDEN => Err(End::Forbidden),
        Err(_) => Err(End::Busy),
    }
}

/// Checks that who bought a ticket, which is a POST, may also read the stream that it opens.
///
/// # Errors
/// 403 that names the missing scope.
pub(super) fn by_ticket(caller: Caller, path: &'static str) -> Result<Caller, ApiError> {
    identity::check_caller(&caller, &Method::GET, &Uri::from_static(path))?;
    Ok(caller)
}

/// Tells whether a caller may hear every device of the installation, as an admin does below `/admin`.
pub(super) fn may_hear_admin(caller: &Caller) -> bool {
    caller.role.is_admin()
        && identity::check_caller(caller, &Method::GET, &Uri::from_static("/admin")).is_ok()
}
