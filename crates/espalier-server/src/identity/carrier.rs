//! Where a request may carry its credential: headers, the browser's cookie, or the query.

use axum::http::{HeaderMap, Uri, header};
use base64::Engine;

/// The cookie of the browser's session.
pub const COOKIE: &str = "espalier_session";

/// A credential as it was carried.
#[derive(Clone, PartialEq, Eq)]
pub enum Carried {
    /// `Authorization: Bearer` or `X-API-Key`.
    Header(String),
    /// `Authorization: Basic`, which browsers may send by themselves.
    Basic {
        /// The name: an account's, or a device's id or alias.
        user: String,
        /// The password, or the device's token.
        password: String,
    },
    /// The browser's cookie, which it sends by itself.
    Cookie(String),
    /// `?device_token=` or `?token=`.
    Query(String),
}

/// Takes the first credential that the request carries.
pub fn carried(headers: &HeaderMap, uri: &Uri) -> Option<Carried> {
    authorization(headers)
        .or_else(|| plain(headers, "x-api-key").map(Carried::Header))
        .or_else(|| cookie(headers).map(Carried::Cookie))
        .or_else(|| query(uri).map(Carried::Query))
}

fn plain(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)?
        .to_str()
        .ok()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

fn authorization(headers: &HeaderMap) -> Option<Carried> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, value) = text.split_once(' ')?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Carried::Header(value.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(value)
        .ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(Carried::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE && !value.is_empty()).then(|| value.to_owned())
    })
}

/// The existing clients' `?device_token=` and the sockets' `?token=`.
fn query(uri: &Uri) -> Option<String> {
    form_value(uri.query()?, "device_token").or_else(|| form_value(uri.query()?, "token"))
}

/// The first non-empty value of `name` in a query string or form body.
pub fn form_value(form: &str, name: &str) -> Option<String> {
    form.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        if key != name || value.is_empty() {
            return None;
        }
        let spaced = value.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced)
            .decode_utf8()
            .ok()
            .map(Into::into)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(name: &str, value: &str) -> Option<Carried> {
        let mut headers = HeaderMap::new();
        headers.insert(
            name.parse::<header::HeaderName>().unwrap(),
            value.parse().unwrap(),
        );
        carried(&headers, &Uri::from_static("/"))
    }

    #[test]
    fn every_carrier_is_understood() {
        assert!(of("authorization", "bearer abc") == Some(Carried::Header("abc".into())));
        assert!(of("x-api-key", "abc") == Some(Carried::Header("abc".into())));
        assert!(of("cookie", "a=b; espalier_session=abc") == Some(Carried::Cookie("abc".into())));
        let basic = Carried::Basic {
            user: "ada".into(),
            password: "a:b".into(),
        };
        assert!(of("authorization", "Basic YWRhOmE6Yg==") == Some(basic));
        assert!(of("authorization", "Basic !!!").is_none());
        let uri = Uri::from_static("/ws?x=1&token=a%2Bb");
        assert!(carried(&HeaderMap::new(), &uri) == Some(Carried::Query("a+b".into())));
    }

    proptest! {
        #[test]
        fn reading_a_header_never_panics(text in "[ -~]{0,60}", form in ".{0,60}") {
            let _ = of("authorization", &text);
            let _ = of("cookie", &text);
            let _ = form_value(&form, "token");
        }
    }
}
