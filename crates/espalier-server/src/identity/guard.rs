//! What holds for every request, whoever asks and whatever for: decided once, at the edge.
//!
//! Pure. It knows methods, paths, scopes and roles, but no feature; what a caller may do with one thing is
//! decided where the thing lives.

use super::carrier::Carried;
use super::principal::{Caller, Credential};
use crate::ApiError;
use axum::http::{HeaderMap, Method, Uri, header};
use espalier_model::Role;

/// Paths on which a viewer may send more than GET: its own account, signing in and out, marking its
/// notifications as read, and asking for a ticket to its own events.
const VIEWER_MAY_WRITE: [&str; 11] = [
    "/me",
    "/logout",
    "/refresh",
    "/login",
    "/token",
    "/signup",
    "/setup",
    "/notifications",
    "/events/ticket",
    "/forgot-password",
    "/reset-password",
];

/// Paths that a key may not write to: whoever finds a key must not make it more than it is.
const KEY_MAY_NOT_WRITE: [&str; 2] = ["/me", "/logout"];

/// Tells whether a method promises to change nothing.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Tells whether `path` is `prefix` or below it.
pub fn under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn under_any(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| under(path, prefix))
}

/// Checks that a request which a browser may have sent by itself comes from our own pages. A link on another
/// site may lead to ours, but no script there may read or stream with our cookie.
///
/// # Errors
/// 403 when another site made the browser send it.
pub fn check_origin(
    carried: &Carried,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    // A socket opened with a cookie can write although its method is GET.
    let opens_socket = headers.contains_key(header::UPGRADE);
    if is_safe(method) && !opens_socket {
        let stranger = matches!(carried, Carried::Cookie(_))
            && same_origin(headers) == Some(false)
            && headers
                .get("sec-fetch-mode")
                .is_none_or(|mode| mode != "navigate");
        return if stranger {
            Err(cross_origin())
        } else {
            Ok(())
        };
    }
    let fine = match carried {
        Carried::Header(_) | Carried::Query(_) => true,
        Carried::Cookie(_) => same_origin(headers) == Some(true),
        // Programs that use Basic send neither header.
        Carried::Basic { .. } => same_origin(headers) != Some(false),
    };
    if fine { Ok(()) } else { Err(cross_origin()) }
}

/// The refusal of what another site made the browser send.
pub fn cross_origin() -> ApiError {
    ApiError::new(
        axum::http::StatusCode::FORBIDDEN,
        "cross_origin",
        "This request came from another site; open Espalier itself and try again.",
    )
}

/// Whether the browser says that one of our own pages sent this; `None` when it says nothing.
pub fn same_origin(headers: &HeaderMap) -> Option<bool> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return Some(matches!(site, "same-origin" | "none"));
    }
    let origin = text("origin")?;
    let host = text("host")?;
    let authority = origin.split_once("://").map(|(_, rest)| rest);
    Some(authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)))
}

/// Checks the scopes of an API key and the role of a viewer.
///
/// # Errors
/// 403 that names the missing scope, or says that viewers change nothing.
pub fn check_caller(caller: &Caller, method: &Method, uri: &Uri) -> Result<(), ApiError> {
    let path = uri.path();
    if matches!(caller.credential, Credential::ApiKey(_)) {
        let (allowed, scope) = if under(path, "/admin") {
            (caller.scopes.admin, "admin")
        } else if is_safe(method) {
            (caller.scopes.read, "read")
        } else {
            (caller.scopes.write, "write")
        };
        if !allowed {
            return Err(ApiError::forbidden(format!(
                "This API key lacks the scope `{scope}`; create one that has it."
            )));
        }
        if !is_safe(method) && under_any(path, &KEY_MAY_NOT_WRITE) {
            return Err(ApiError::forbidden(
                "An API key cannot change the account it belongs to; sign in as a person.",
            ));
        }
    }
    if caller.role == Role::Viewer && !is_safe(method) && !under_any(path, &VIEWER_MAY_WRITE) {
        return Err(ApiError::forbidden(
            "A viewer may look but not change anything; ask an admin for another role.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::principal::{CallerInfo, Scopes};
    use super::*;
    use std::sync::Arc;

    fn caller(role: Role, credential: Credential, scopes: Scopes) -> Caller {
        Caller(Arc::new(CallerInfo {
            account: "0190d3c0-0000-7000-8000-000000000000".parse().unwrap(),
            username: "ada".to_owned(),
            role,
            credential,
            scopes,
        }))
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    (*name).parse::<header::HeaderName>().unwrap(),
                    value.parse().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn each_scope_opens_its_own_door_only() {
        let none = Scopes {
            read: false,
            write: false,
            admin: false,
        };
        let doors = [
            (Scopes { read: true, ..none }, Method::GET, "/devices"),
            (
                Scopes {
                    write: true,
                    ..none
                },
                Method::POST,
                "/devices",
            ),
            (
                Scopes {
                    admin: true,
                    ..none
                },
                Method::GET,
                "/admin/users",
            ),
        ];
        for (i, (scopes, _, _)) in doors.iter().enumerate() {
            let key = caller(Role::Owner, Credential::ApiKey("k".into()), *scopes);
            for (j, (_, method, path)) in doors.iter().enumerate() {
                let opened = check_caller(&key, method, &path.parse().unwrap()).is_ok();
                assert_eq!(opened, i == j, "{method} {path}");
            }
        }
    }

    #[test]
    fn a_key_cannot_make_keys_and_a_viewer_changes_only_its_own_account() {
        let key = caller(Role::Owner, Credential::ApiKey("k".into()), Scopes::ALL);
        let post = |who: &Caller, path: &'static str| {
            check_caller(who, &Method::POST, &Uri::from_static(path)).is_ok()
        };
        assert!(!post(&key, "/me/api-keys"));
        assert!(post(&key, "/meters"));
        let viewer = caller(Role::Viewer, Credential::Session("s".into()), Scopes::ALL);
        assert!(post(&viewer, "/me/api-keys"));
        assert!(!post(&viewer, "/devices"));
        assert!(check_caller(&viewer, &Method::GET, &Uri::from_static("/devices")).is_ok());
    }

    #[test]
    fn only_our_own_pages_may_use_the_cookie() {
        let cookie = Carried::Cookie("c".into());
        let post = |pairs: &[(&'static str, &'static str)]| {
            check_origin(&cookie, &Method::POST, &headers(pairs)).is_ok()
        };
        assert!(!post(&[]));
        assert!(!post(&[
            ("sec-fetch-site", "cross-site"),
            ("origin", "http://a"),
            ("host", "a")
        ]));
        assert!(!post(&[("sec-fetch-site", "same-site")]));
        assert!(!post(&[
            ("origin", "https://evil.example"),
            ("host", "a.example")
        ]));
        assert!(!post(&[("origin", "null"), ("host", "a.example")]));
        assert!(post(&[
            ("origin", "https://a.example:8000"),
            ("host", "a.example:8000")
        ]));
        assert!(post(&[("sec-fetch-site", "same-origin")]));
        assert!(check_origin(&cookie, &Method::GET, &headers(&[])).is_ok());
        let get = |pairs: &[(&'static str, &'static str)]| {
            check_origin(&cookie, &Method::GET, &headers(pairs)).is_ok()
        };
        assert!(get(&[
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "cors")
        ]));
        assert!(get(&[
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate")
        ]));
        assert!(!get(&[
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "cors")
        ]));
        assert!(!get(&[("origin", "http://a:5000"), ("host", "a:8000")]));
        let socket = headers(&[
            ("upgrade", "websocket"),
            ("origin", "https://evil"),
            ("host", "a"),
        ]);
        assert!(check_origin(&cookie, &Method::GET, &socket).is_err());
        assert!(check_origin(&Carried::Header("t".into()), &Method::POST, &headers(&[])).is_ok());
    }
}
