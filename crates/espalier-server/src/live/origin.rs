//! Whether a handshake may use the browser's cookie: a page of another site must not open our sockets with it.

use axum::http::{HeaderMap, header};

/// Tells whether the request may be served as the cookie's owner: it carries no cookie, or another credential
/// besides, or it comes from one of our own pages. Browsers always name the page's origin in a WebSocket
/// handshake; programs that are no browsers name none and hold no cookie by accident.
pub(super) fn may_use_cookie(headers: &HeaderMap, public_url: &str) -> bool {
    if !headers.contains_key(header::COOKIE)
        || headers.contains_key(header::AUTHORIZATION)
        || headers.contains_key("x-api-key")
    {
        return true;
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let authority = |url: &str| {
        url.split_once("://")
            .map(|(_, rest)| rest.trim_end_matches('/').to_owned())
    };
    let Some(origin) = origin.to_str().ok().and_then(authority) else {
        return false;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    host.is_some_and(|host| host.eq_ignore_ascii_case(&origin))
        || authority(public_url).is_some_and(|own| own.eq_ignore_ascii_case(&origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn only_our_own_pages_may_use_the_cookie() {
        let ours = "https://home.example";
        let cookie = ("cookie", "espalier_session=x");
        let host = ("host", "127.0.0.1:8000");
        assert!(may_use_cookie(&headers(&[cookie, host]), ours));
        assert!(may_use_cookie(
            &headers(&[cookie, host, ("origin", "http://127.0.0.1:8000")]),
            ours
        ));
        assert!(may_use_cookie(
            &headers(&[cookie, host, ("origin", "https://home.example")]),
            ours
        ));
        assert!(!may_use_cookie(
            &headers(&[cookie, host, ("origin", "https://evil.example")]),
            ours
        ));
        assert!(!may_use_cookie(
            &headers(&[cookie, host, ("origin", "null")]),
            ours
        ));
        assert!(may_use_cookie(
            &headers(&[host, ("origin", "https://evil.example")]),
            ours
        ));
    }
}
