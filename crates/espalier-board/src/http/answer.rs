//! The head of an answer: status and the few headers that a board reads. What follows is the body's.

use embedded_io_async::{Read, Write};

use super::body::Framing;
use super::date;
use crate::channel::Channel;
use crate::error::NetError;

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub status: u16,
    /// The server's time in milliseconds UTC.
    pub date: Option<i64>,
    pub retry_after_s: Option<u32>,
    /// The proof that the server speaks WebSocket.
    pub socket_accept: Option<&'a str>,
    /// What tells this body from others, as it is written: with its quotes.
    pub etag: Option<&'a str>,
    pub framing: Framing,
}

/// Reads the head of an answer into a buffer; returns its length and how many bytes are in the buffer. Informational answers
/// (1xx but 101) are skipped.
///
/// # Errors
/// When the connection fails or ends, or when the head does not fit.
pub(crate) async fn read_head<S: Read + Write>(
    channel: &mut Channel<'_, '_, S>,
    buffer: &mut [u8],
) -> Result<(usize, usize), NetError> {
    let mut filled = 0;
    loop {
        if let Some(length) = whole_head(buffer, &mut filled) {
            return Ok((length, filled));
        }
        let room = buffer.get_mut(filled..).unwrap_or_default();
        if room.is_empty() {
            return Err(NetError::Answer);
        }
        match channel.read(room).await? {
            0 => return Err(NetError::Ended),
            count => filled += count,
        }
    }
}

/// Returns the length of the head that the first `filled` bytes of a buffer begin with, when it is whole. Informational heads
/// before it are taken away.
pub(crate) fn whole_head(buffer: &mut [u8], filled: &mut usize) -> Option<usize> {
    loop {
        let length = buffer.get(..*filled).and_then(end_of_head)?;
        let status = buffer.get(..length).and_then(parse).map(|head| head.status);
        let Some(100 | 102..=199) = status else {
            return Some(length);
        };
        buffer.copy_within(length..*filled, 0);
        *filled -= length;
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
}

impl<'a> Head<'a> {
    /// Reads a head that [`read_head`] has found.
    ///
    /// # Errors
    /// When it is no HTTP.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NetError> {
        parse(bytes).ok_or(NetError::Answer)
    }
}

fn parse(bytes: &[u8]) -> Option<Head<'_>> {
    let text = core::str::from_utf8(bytes).ok()?;
    let mut lines = text.split("\r\n");
    let (version, rest) = lines.next()?.split_once(' ')?;
    let digits = rest.get(..3)?;
    let ends = matches!(rest.as_bytes().get(3), None | Some(b' '));
    if !version.starts_with("HTTP/1.") || !digits.bytes().all(|b| b.is_ascii_digit()) || !ends {
        return None;
    }
    let mut head = Head {
        status: digits.parse().ok()?,
        date: None,
        retry_after_s: None,
        socket_accept: None,
        etag: None,
        framing: Framing::UntilEnd,
    };
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            // Chunks win over a length, as the standard says.
            let length = value.parse().ok()?;
            if head.framing != Framing::Chunked {
                head.framing = Framing::Length(length);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return None;
            }
            head.framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("date") {
            head.date = date::parse(value);
        } else if name.eq_ignore_ascii_case("retry-after") {
            head.retry_after_s = value.parse().ok();
        } else if name.eq_ignore_ascii_case("sec-websocket-accept") {
            head.socket_accept = Some(value);
        } else if name.eq_ignore_ascii_case("etag") {
            // It goes into a head of ours: nothing may end its line.
            head.etag = Some(value).filter(|tag| tag.bytes().all(|b| b.is_ascii_graphic()));
        }
    }
    if matches!(head.status, 100..=199 | 204 | 304) {
        head.framing = Framing::Length(0);
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_whatever_their_case() {
        let head = parse(
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-LENGTH: 12\r\nRetry-After:  7 \r\nETag: \"5\"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
        )
        .unwrap();
        assert_eq!(
            head,
            Head {
                status: 503,
                date: Some(784_111_777_000),
                retry_after_s: Some(7),
                socket_accept: None,
                etag: Some("\"5\""),
                framing: Framing::Length(12),
            }
        );
        let chunked =
            parse(b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n");
        assert_eq!(chunked.unwrap().framing, Framing::Chunked);
        assert_eq!(
            parse(b"HTTP/1.0 204 No Content\r\n\r\n").unwrap().framing,
            Framing::Length(0)
        );
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for bad in [
            "",
            "\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse(&[0xff; 40]), None);
    }
}
