//! The body of an answer as a stream: a known length, chunks, or all that comes before the end of the connection.

use embedded_io_async::{Read, Write};

use crate::channel::Channel;
use crate::error::NetError;

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks with their lengths.
    Chunked,
    /// The end of the connection.
    UntilEnd,
}

/// Longest line with the length of a chunk and its extensions, in bytes.
const MAX_CHUNK_LINE: u32 = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes of content are still to come.
    Content(u64),
    UntilEnd,
    /// In the hexadecimal length of a chunk: what was read of it, its digits, and the bytes of the line.
    Size {
        size: u64,
        digits: u8,
        line: u32,
    },
    /// In what follows the length, up to the end of the line.
    Extension {
        size: u64,
        line: u32,
    },
    /// In a chunk.
    Chunk(u64),
    /// In the line end after a chunk.
    AfterChunk,
    /// In the lines after the last chunk: bytes of the present line, and of all of them.
    Trailer {
        line: u32,
        all: u32,
    },
    Done,
}

const SIZE: State = State::Size {
    size: 0,
    digits: 0,
    line: 0,
};

/// A body that is coming in. Bytes go through it in pieces of any size.
#[derive(Debug)]
pub(crate) struct Body(State);

impl Body {
    pub const fn new(framing: Framing) -> Self {
        Body(match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Content(length),
            Framing::UntilEnd => State::UntilEnd,
            Framing::Chunked => SIZE,
        })
    }

    pub const fn is_done(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// Takes the framing out of the first `filled` bytes of a buffer, in place; returns how many bytes of content are left at its
    /// beginning.
    ///
    /// # Errors
    /// When the chunks are malformed.
    pub fn unwrap(&mut self, buffer: &mut [u8], filled: usize) -> Result<usize, NetError> {
        let mut kept = 0;
        let mut at = 0;
        while at < filled {
            let there = filled - at;
            match self.0 {
                State::Content(left) | State::Chunk(left) => {
                    let now = usize::try_from(left).map_or(there, |left| left.min(there));
                    buffer.copy_within(at..at + now, kept);
                    (kept, at) = (kept + now, at + now);
                    let left = left - now as u64;
                    self.0 = match self.0 {
                        State::Content(_) if left == 0 => State::Done,
                        State::Content(_) => State::Content(left),
                        _ if left == 0 => State::AfterChunk,
                        _ => State::Chunk(left),
                    };
                }
                State::UntilEnd => {
                    buffer.copy_within(at..filled, kept);
                    return Ok(kept + there);
                }
                // What a server sends after the end is nobody's.
                State::Done => break,
                _ => {
                    let byte = buffer.get(at).copied().ok_or(NetError::Answer)?;
                    self.0 = self.framing_byte(byte).ok_or(NetError::Answer)?;
                    at += 1;
                }
            }
        }
        Ok(kept)
    }

    fn framing_byte(&self, byte: u8) -> Option<State> {
        Some(match self.0 {
            State::Size { size, digits, line } if line < MAX_CHUNK_LINE => {
                match (char::from(byte).to_digit(16), byte) {
                    (Some(digit), _) if digits < 15 => State::Size {
                        size: size * 16 + u64::from(digit),
                        digits: digits + 1,
                        line: line + 1,
                    },
                    (None, b'\r' | b';' | b' ' | b'\t') if digits > 0 => State::Extension {
                        size,
                        line: line + 1,
                    },
                    _ => return None,
                }
            }
            State::Extension { size: 0, .. } if byte == b'\n' => State::Trailer { line: 0, all: 0 },
            State::Extension { size, .. } if byte == b'\n' => State::Chunk(size),
            State::Extension { size, line } if line < MAX_CHUNK_LINE => State::Extension {
                size,
                line: line + 1,
            },
            State::AfterChunk if byte == b'\r' => State::AfterChunk,
            State::AfterChunk if byte == b'\n' => SIZE,
            State::Trailer { line: 0, .. } if byte == b'\n' => State::Done,
            State::Trailer { all, .. } if byte == b'\n' => State::Trailer { line: 0, all },
            State::Trailer { line, all } if byte == b'\r' => State::Trailer { line, all },
            State::Trailer { line, all } if all < 8 * MAX_CHUNK_LINE => State::Trailer {
                line: line + 1,
                all: all + 1,
            },
            _ => return None,
        })
    }

    /// Reads the next bytes of content; 0 at the end. `buffer` may already hold `filled` bytes that were read before.
    ///
    /// # Errors
    /// When the connection fails, or ends in the middle of the body.
    pub async fn read<S: Read + Write>(
        &mut self,
        channel: &mut Channel<'_, '_, S>,
        buffer: &mut [u8],
        filled: usize,
    ) -> Result<usize, NetError> {
        let mut filled = filled;
        loop {
            let kept = self.unwrap(buffer, filled)?;
            if kept > 0 || self.is_done() {
                return Ok(kept);
            }
            filled = channel.read(buffer).await?;
            if filled == 0 {
                let complete = self.0 == State::UntilEnd;
                self.0 = State::Done;
                return if complete {
                    Ok(0)
                } else {
                    Err(NetError::Ended)
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Feeds bytes in pieces of one size and returns the content and whether the body is complete.
    fn feed(framing: Framing, bytes: &[u8], piece: usize) -> Result<(Vec<u8>, bool), NetError> {
        let mut body = Body::new(framing);
        let mut all = Vec::new();
        for part in bytes.chunks(piece) {
            let mut buffer = part.to_vec();
            let kept = body.unwrap(&mut buffer, part.len())?;
            all.extend_from_slice(&buffer[..kept]);
        }
        Ok((all, body.is_done()))
    }

    #[test]
    fn chunks_are_unwrapped_however_they_arrive() {
        let bytes = b"4\r\nWiki\r\n5;name=x\r\npedia\r\nE\r\n in\r\n\r\nchunks.\r\n0\r\nTrailer: yes\r\n\r\nrest";
        for piece in 1..bytes.len() {
            let (content, done) = feed(Framing::Chunked, bytes, piece).unwrap();
            assert_eq!(content, b"Wikipedia in\r\n\r\nchunks.", "{piece}");
            assert!(done);
        }
        for bad in [
            &b"x\r\n"[..],
            b"\r\n",
            b"4\r\nWikix",
            b"ffffffffffffffff\r\n",
            &[b'1'; 200],
        ] {
            assert!(feed(Framing::Chunked, bad, 3).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_length_ends_a_body_and_so_does_the_end_of_the_connection() {
        assert_eq!(
            feed(Framing::Length(3), b"abcdef", 2),
            Ok((b"abc".to_vec(), true))
        );
        assert_eq!(
            feed(Framing::Length(9), b"abcdef", 2),
            Ok((b"abcdef".to_vec(), false))
        );
        assert_eq!(feed(Framing::Length(0), b"", 1), Ok((Vec::new(), true)));
        assert_eq!(
            feed(Framing::UntilEnd, b"abcdef", 4),
            Ok((b"abcdef".to_vec(), false))
        );
    }
}
