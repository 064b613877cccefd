//! Where a request may carry its credential: headers, the browser's cookie, or the query.

use axum::http::{HeaderMap, Uri, header};

/// The cookie of the browser's session.
pub const COOKIE: &str = "espalier_session";

/// Takes the first credential that the request carries.
pub fn secret(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    bearer(headers)
        .or_else(|| plain(headers, "x-api-key"))
        .or_else(|| cookie(headers))
        .or_else(|| query(uri))
}

fn plain(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)?
        .to_str()
        .ok()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then(|| value.to_owned())
    })
}

/// The existing clients' `?device_token=` and the sockets' `?token=`.
fn query(uri: &Uri) -> Option<String> {
    uri.query()?.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let known = matches!(name, "device_token" | "token") && !value.is_empty();
        known
            .then(|| {
                percent_encoding::percent_decode_str(value)
                    .decode_utf8()
                    .ok()
                    .map(Into::into)
            })
            .flatten()
    })
}
