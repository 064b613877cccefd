//! HTTP/1.1 as bytes: heads of requests, heads of answers, and how far a body reaches. One request per connection.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod date;

use core::fmt::Write;

use espalier_device::{Endpoint, Method};
use heapless::String;

pub(crate) use answer::{Head, read_head};
pub(crate) use body::Body;
pub(crate) use date::seconds;

use crate::error::NetError;

/// Longest head of a request, in bytes: path, host and token at their longest, and our own lines.
const MAX_HEAD: usize = 1024;
/// A head to be sent.
pub(crate) type RequestHead = String<MAX_HEAD>;

/// Writes the head of a request. `extra` are whole lines with their line ends.
///
/// # Errors
/// When the head does not fit.
pub(crate) fn head(
    verb: &str,
    endpoint: &Endpoint<'_>,
    path: &str,
    token: &str,
    extra: core::fmt::Arguments<'_>,
) -> Result<RequestHead, NetError> {
    let mut head = RequestHead::new();
    let Endpoint {
        host, port, base, ..
    } = endpoint;
    write!(
        head,
        "{verb} {base}{path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n{extra}\r\n"
    )
    .map_err(|_| NetError::TooLong)?;
    Ok(head)
}

/// Writes the head of a request of the core.
///
/// # Errors
/// When the head does not fit.
pub(crate) fn request(
    method: Method,
    endpoint: &Endpoint<'_>,
    path: &str,
    token: &str,
    body: &str,
) -> Result<RequestHead, NetError> {
    match method {
        Method::Get => head(
            "GET",
            endpoint,
            path,
            token,
            format_args!("Accept: application/json\r\nConnection: close\r\n"),
        ),
        Method::Post => head(
            "POST",
            endpoint,
            path,
            token,
            format_args!(
                "Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n",
                body.len()
            ),
        ),
    }
}

/// Writes the head of a download.
///
/// # Errors
/// When the head does not fit.
pub(crate) fn download(
    endpoint: &Endpoint<'_>,
    path: &str,
    token: &str,
    from: u32,
    len: u32,
) -> Result<RequestHead, NetError> {
    let to = u64::from(from) + u64::from(len.max(1)) - 1;
    head(
        "GET",
        endpoint,
        path,
        token,
        format_args!("Range: bytes={from}-{to}\r\nConnection: close\r\n"),
    )
}

/// Writes the head of a request for something that may be here already, of which `etag` is the tag, or is empty.
///
/// # Errors
/// When the head does not fit.
pub(crate) fn fetch(
    endpoint: &Endpoint<'_>,
    path: &str,
    token: &str,
    etag: &str,
) -> Result<RequestHead, NetError> {
    let (name, end) = if etag.is_empty() {
        ("", "")
    } else {
        ("If-None-Match: ", "\r\n")
    };
    head(
        "GET",
        endpoint,
        path,
        token,
        format_args!("{name}{etag}{end}Connection: close\r\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_name_the_server_below_its_base_and_never_grow_beyond_their_buffer() {
        let endpoint = Endpoint::parse("https://farm.example/espalier").unwrap();
        let head = download(&endpoint, "/device/update/u/image", "t0ken", 4096, 100).unwrap();
        assert_eq!(
            head.as_str(),
            "GET /espalier/device/update/u/image HTTP/1.1\r\nHost: farm.example:443\r\nAuthorization: Bearer t0ken\r\n\
             Range: bytes=4096-4195\r\nConnection: close\r\n\r\n"
        );
        let head = fetch(&endpoint, "/a.bmp", "t0ken", "\"7\"").unwrap();
        assert!(head.ends_with("\r\nIf-None-Match: \"7\"\r\nConnection: close\r\n\r\n"));
        let head = fetch(&endpoint, "/a.bmp", "t0ken", "").unwrap();
        assert!(head.ends_with("Bearer t0ken\r\nConnection: close\r\n\r\n"));
        let long = [b'x'; 1000];
        let long = core::str::from_utf8(&long).unwrap();
        assert_eq!(
            request(Method::Get, &endpoint, long, "t", "").unwrap_err(),
            NetError::TooLong
        );
    }
}
