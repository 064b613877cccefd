//! The readers of outside bytes as the fuzz targets call them, who must not know more of the driver than a server does. For nobody
//! else: it is only there with the feature `fuzz`, and changes without notice.

use crate::error::NetError;
use crate::http::answer::{Head, whole_head};
use crate::http::body::{Body, Framing};
use crate::http::date;
use crate::tls::certificate::Certificate;
use crate::tls::der::Reader;
use crate::tls::name;
use crate::ws::{Frames, Incoming, Opcode};

/// Hands out tag, content and whole of each value at the top of some DER; says whether nothing is left.
pub fn der<'a>(bytes: &'a [u8], mut seen: impl FnMut(u8, &'a [u8], &'a [u8])) -> bool {
    let mut reader = Reader::new(bytes);
    while let Some(value) = reader.next() {
        seen(value.tag, value.content, value.whole);
    }
    reader.is_empty()
}

/// What a certificate says.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// All of it.
    pub whole: &'a [u8],
    /// The distinguished names in DER.
    pub issuer: &'a [u8],
    /// The same of whom it is for.
    pub subject: &'a [u8],
    /// The key with its algorithm.
    pub key_info: &'a [u8],
    /// Whether it is a key that signatures can be checked with.
    pub has_key: bool,
    /// Unix seconds; moments before 1970 are 0.
    pub valid: (u64, u64),
    /// The general names, when there are any.
    pub names: Option<&'a [u8]>,
    /// Whether it is an authority.
    pub is_authority: bool,
    /// How many authorities may follow below it, up to 255.
    pub path_length: Option<u8>,
    /// Whether it may sign others, and may identify servers.
    pub may: (bool, bool),
}

/// Reads a certificate.
pub fn certificate(bytes: &[u8]) -> Option<Seen<'_>> {
    let read = Certificate::parse(bytes)?;
    Some(Seen {
        whole: read.whole,
        issuer: read.issuer,
        subject: read.subject,
        key_info: read.key_info,
        has_key: read.key().is_some(),
        valid: (read.not_before, read.not_after),
        names: read.names,
        is_authority: read.is_authority(),
        path_length: read.path_length,
        may: (read.may_sign(), read.may_serve()),
    })
}

/// Says whether a host is among general names.
pub fn is_named(names: &[u8], host: &str) -> bool {
    name::is_named(names, host)
}

/// Takes WebSocket frames that arrive in pieces of one size, and hands out what is in them: the letter `T` with a text, `C`, `P` or
/// `O` with the payload of a close, ping or pong, `L` without anything where a message does not fit `room`.
///
/// # Errors
/// When a frame breaks the rules, or `room` is too small for a control frame.
pub fn frames(
    bytes: &[u8],
    piece: usize,
    room: &mut [u8],
    mut seen: impl FnMut(char, &[u8]),
) -> Result<(), NetError> {
    let mut frames = Frames::default();
    let mut rest = bytes;
    loop {
        match frames.next(room)? {
            Incoming::Partial => {
                let free = room.get_mut(frames.filled..).ok_or(NetError::Frame)?;
                let count = rest.len().min(piece.max(1)).min(free.len());
                let (now, later) = rest.split_at(count);
                if now.is_empty() {
                    return Ok(());
                }
                for (to, byte) in free.iter_mut().zip(now) {
                    *to = *byte;
                }
                frames.filled += count;
                rest = later;
            }
            Incoming::Text { len } => seen('T', room.get(..len).ok_or(NetError::Frame)?),
            Incoming::Control { opcode, payload } => {
                let letter = match opcode {
                    Opcode::Close => 'C',
                    Opcode::Ping => 'P',
                    _ => 'O',
                };
                seen(letter, room.get(payload).ok_or(NetError::Frame)?);
            }
            Incoming::TooLong => seen('L', &[]),
            Incoming::Other => {}
        }
    }
}

/// What the head of an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The server's time in milliseconds UTC.
    pub date: Option<i64>,
    /// Seconds to wait.
    pub retry_after_s: Option<u32>,
    /// The proof of a WebSocket server.
    pub socket_accept: Option<&'a str>,
    /// What tells the body from others.
    pub etag: Option<&'a str>,
    /// How its end is told: `L` for a length, `C` for chunks, `E` for the end of the connection.
    pub framing: (char, u64),
}

/// Reads the head at the beginning of a buffer; returns it and the bytes that came after it.
pub fn answer(buffer: &mut [u8]) -> Option<(Answer<'_>, &[u8])> {
    let mut filled = buffer.len();
    let length = whole_head(buffer, &mut filled)?;
    let (head, rest) = buffer.get(..filled)?.split_at_checked(length)?;
    let head = Head::parse(head).ok()?;
    let answer = Answer {
        status: head.status,
        date: head.date,
        retry_after_s: head.retry_after_s,
        socket_accept: head.socket_accept,
        etag: head.etag,
        framing: match head.framing {
            Framing::Length(length) => ('L', length),
            Framing::Chunked => ('C', 0),
            Framing::UntilEnd => ('E', 0),
        },
    };
    Some((answer, rest))
}

/// Takes the framing, as [`Answer::framing`] names it, out of a body that arrives in pieces of one size; says whether it is whole.
///
/// # Errors
/// When the chunks are malformed.
pub fn body(
    framing: (char, u64),
    bytes: &mut [u8],
    piece: usize,
    mut seen: impl FnMut(&[u8]),
) -> Result<bool, NetError> {
    let mut body = Body::new(match framing {
        ('L', length) => Framing::Length(length),
        ('C', _) => Framing::Chunked,
        _ => Framing::UntilEnd,
    });
    for part in bytes.chunks_mut(piece.max(1)) {
        let kept = body.unwrap(part, part.len())?;
        seen(part.get(..kept).ok_or(NetError::Answer)?);
    }
    Ok(body.is_done())
}

/// Returns the milliseconds UTC of a `Date` header.
pub fn date(text: &str) -> Option<i64> {
    date::parse(text)
}
