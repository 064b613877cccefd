//! WebSocket (RFC 6455) as bytes: the key of the handshake, frames in both directions. Not the connection that carries them.

use core::fmt::Write;

use heapless::String;
use rand_core::RngCore;
use sha1::{Digest, Sha1};

use crate::buffers::FRAME_HEADER;
use crate::error::NetError;

/// The text of a handshake key: 16 random bytes in Base64.
pub(crate) type Key = String<24>;

/// Makes the key of a handshake.
pub(crate) fn key(rng: &mut impl RngCore) -> Key {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    base64(&bytes)
}

/// Says whether the server's answer proves that it has read the key.
pub(crate) fn accepts(key: &str, answer: &str) -> bool {
    let digest = Sha1::new()
        .chain_update(key)
        .chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        .finalize();
    let wanted: String<28> = base64(&digest);
    wanted == answer
}

fn base64<const N: usize>(bytes: &[u8]) -> String<N> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let at = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * n) & 63) as usize];
            let shown = if n <= three.len() {
                char::from(digit)
            } else {
                '='
            };
            // The callers' sizes are those of their inputs.
            let _ = text.write_char(shown);
        }
    }
    text
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    const fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }
}

/// Makes a masked frame in place: the payload is `bytes[FRAME_HEADER..FRAME_HEADER + len]`. Returns where the frame is.
///
/// # Errors
/// When the payload is not in the buffer, or longer than 65,535 bytes.
pub(crate) fn wrap(
    bytes: &mut [u8],
    len: usize,
    opcode: Opcode,
    rng: &mut impl RngCore,
) -> Result<core::ops::Range<usize>, NetError> {
    let too_long = NetError::TooLong;
    let length = u16::try_from(len).map_err(|_| too_long)?;
    let (header, rest) = bytes.split_at_mut_checked(FRAME_HEADER).ok_or(too_long)?;
    let payload = rest.get_mut(..len).ok_or(too_long)?;
    let mut mask = [0; 4];
    rng.fill_bytes(&mut mask);
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    let first = 0x80 | opcode.bits();
    let [high, low] = length.to_be_bytes();
    let [a, b, c, d] = mask;
    let start = if length < 126 {
        header[2..].copy_from_slice(&[first, 0x80 | low, a, b, c, d]);
        2
    } else {
        header.copy_from_slice(&[first, 0x80 | 126, high, low, a, b, c, d]);
        0
    };
    Ok(start..FRAME_HEADER + len)
}

/// What the buffer of incoming frames begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Nothing complete yet.
    Partial,
    /// A text that is complete: bytes `0..len` of the buffer.
    Text { len: usize },
    /// A control frame whose payload is in this part of the buffer.
    Control {
        opcode: Opcode,
        payload: core::ops::Range<usize>,
    },
    /// Something that is not for us, like a binary message.
    Other,
    /// A message has ended that was longer than the buffer; nothing of it is left.
    TooLong,
}

/// Takes frames out of a buffer. Its beginning holds the parts of a message that came in several frames. A message that does not fit
/// is thrown away as it comes, and the next one is heard.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Bytes of the buffer that are filled.
    pub filled: usize,
    /// Bytes of the message so far, at the beginning.
    message: usize,
    /// What the unfinished message is.
    opcode: Option<Opcode>,
    /// Bytes after `message` that were dealt with and go at the next call.
    used: usize,
    /// Whether the message was handed out and goes at the next call.
    delivered: bool,
    /// Whether the message does not fit, so that nothing of it is kept.
    lost: bool,
    /// Bytes still to come of a frame of that message.
    skip: usize,
}

impl Frames {
    /// Returns the next thing in the buffer. Ranges are valid until the next call.
    ///
    /// # Errors
    /// When a frame breaks the rules, or the buffer is too small for a control frame.
    pub fn next(&mut self, buffer: &mut [u8]) -> Result<Incoming, NetError> {
        self.tidy(buffer);
        if self.skip > 0 {
            return Ok(self.skip_on());
        }
        let at = self.message;
        let filled = buffer.get(..self.filled).ok_or(NetError::Frame)?;
        let Some((header, payload)) = parse_header(filled.get(at..).unwrap_or_default())? else {
            return self.partial(buffer);
        };
        let start = at + header.length;
        let end = start.checked_add(payload).ok_or(NetError::Frame)?;
        let Some(first) = self.message_of(&header, payload)? else {
            if end > buffer.len() {
                return self.make_room(buffer);
            }
            if end > self.filled {
                return Ok(Incoming::Partial);
            }
            self.used = end - at;
            return Ok(Incoming::Control {
                opcode: header.opcode,
                payload: start..end,
            });
        };
        if self.lost || end > buffer.len() {
            self.lose(buffer);
            (self.used, self.skip) = (header.length, payload);
            self.opcode = (!header.last).then_some(first);
            return Ok(self.after_lost());
        }
        if end > self.filled {
            return Ok(Incoming::Partial);
        }
        Ok(self.part(buffer, first, header.last, start..end))
    }

    /// What the message is that a frame is a part of; none for a control frame.
    fn message_of(&self, header: &Header, payload: usize) -> Result<Option<Opcode>, NetError> {
        match (header.opcode, self.opcode) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) if header.last && payload <= 125 => {
                Ok(None)
            }
            (first @ (Opcode::Text | Opcode::Binary), None) => Ok(Some(first)),
            (Opcode::Continuation, Some(first)) => Ok(Some(first)),
            _ => Err(NetError::Frame),
        }
    }

    /// Forgets what has come of a message that does not fit.
    fn lose(&mut self, buffer: &mut [u8]) {
        buffer.copy_within(self.message..self.filled, 0);
        self.filled -= self.message;
        (self.message, self.lost) = (0, true);
    }

    /// Throws away what is here of a frame of a lost message.
    fn skip_on(&mut self) -> Incoming {
        let there = self.filled.min(self.skip);
        self.used = there;
        self.skip -= there;
        if self.skip > 0 {
            // All of the buffer is free.
            (self.filled, self.used) = (0, 0);
            return Incoming::Partial;
        }
        self.after_lost()
    }

    /// Says that a lost message has ended, when it has.
    const fn after_lost(&mut self) -> Incoming {
        if self.skip > 0 || self.opcode.is_some() {
            return Incoming::Other;
        }
        self.lost = false;
        Incoming::TooLong
    }

    /// A message in parts gives way to a frame that finds no room behind it.
    fn make_room(&mut self, buffer: &mut [u8]) -> Result<Incoming, NetError> {
        if self.message == 0 {
            return Err(NetError::Frame);
        }
        self.lose(buffer);
        Ok(Incoming::Other)
    }

    /// A part of a message goes to the end of the message.
    fn part(
        &mut self,
        buffer: &mut [u8],
        first: Opcode,
        last: bool,
        payload: core::ops::Range<usize>,
    ) -> Incoming {
        let (len, end) = (payload.len(), payload.end);
        buffer.copy_within(payload, self.message);
        self.used = end - self.message - len;
        self.message += len;
        self.opcode = (!last).then_some(first);
        if !last {
            return Incoming::Other;
        }
        self.delivered = true;
        match first {
            Opcode::Text => Incoming::Text { len: self.message },
            _ => Incoming::Other,
        }
    }

    /// Takes away what was dealt with.
    fn tidy(&mut self, buffer: &mut [u8]) {
        let gone_from = if core::mem::take(&mut self.delivered) {
            0
        } else {
            self.message
        };
        let gone_to = self.message + core::mem::take(&mut self.used);
        if gone_to > gone_from {
            buffer.copy_within(gone_to..self.filled, gone_from);
            self.filled -= gone_to - gone_from;
        }
        self.message = gone_from;
    }

    fn partial(&mut self, buffer: &mut [u8]) -> Result<Incoming, NetError> {
        if self.filled < buffer.len() {
            return Ok(Incoming::Partial);
        }
        self.make_room(buffer)
    }
}

struct Header {
    opcode: Opcode,
    last: bool,
    /// Bytes of the header.
    length: usize,
}

/// Reads a header and the length of its payload; none when it is not complete.
fn parse_header(bytes: &[u8]) -> Result<Option<(Header, usize)>, NetError> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    // No extension was asked for, and servers do not mask.
    if first & 0x70 != 0 || second & 0x80 != 0 {
        return Err(NetError::Frame);
    }
    let opcode = Opcode::from_bits(first & 0x0f).ok_or(NetError::Frame)?;
    let (length, payload) = match (second, rest) {
        (126, [high, low, ..]) => (4, u64::from(u16::from_be_bytes([*high, *low]))),
        (127, rest) => match rest.first_chunk::<8>() {
            Some(eight) => (10, u64::from_be_bytes(*eight)),
            None => return Ok(None),
        },
        (126, _) => return Ok(None),
        (short, _) => (2, u64::from(short)),
    };
    if payload > u64::MAX >> 1 {
        return Err(NetError::Frame);
    }
    let payload = usize::try_from(payload).map_err(|_| NetError::Frame)?;
    let last = first & 0x80 != 0;
    Ok(Some((
        Header {
            opcode,
            last,
            length,
        },
        payload,
    )))
}

#[cfg(test)]
mod tests {
    use std::string::String as Text;
    use std::vec::Vec;

    use rand_core::Error;

    use super::*;

    struct Counting(u8);

    impl RngCore for Counting {
        fn next_u32(&mut self) -> u32 {
            unreachable!("frames and keys fill bytes")
        }
        fn next_u64(&mut self) -> u64 {
            unreachable!("frames and keys fill bytes")
        }
        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            for byte in bytes {
                self.0 = self.0.wrapping_add(1);
                *byte = self.0;
            }
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
            self.fill_bytes(bytes);
            Ok(())
        }
    }

    #[test]
    fn the_handshake_is_that_of_the_standard() {
        assert!(accepts(
            "dGhlIHNhbXBsZSBub25jZQ==",
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        ));
        assert!(!accepts(
            "dGhlIHNhbXBsZSBub25jZR==",
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        ));
        assert_eq!(key(&mut Counting(0)).as_str(), "AQIDBAUGBwgJCgsMDQ4PEA==");
    }

    #[test]
    fn outgoing_frames_are_masked() {
        let mut bytes = [0; 300];
        bytes[8..13].copy_from_slice(b"hello");
        let at = wrap(&mut bytes, 5, Opcode::Text, &mut Counting(0)).unwrap();
        assert_eq!(&bytes[at.clone()][..6], &[0x81, 0x85, 1, 2, 3, 4]);
        let plain: Vec<u8> = bytes[at][6..]
            .iter()
            .zip([1, 2, 3, 4, 1])
            .map(|(b, m)| b ^ m)
            .collect();
        assert_eq!(plain, b"hello");
        let at = wrap(&mut bytes, 200, Opcode::Text, &mut Counting(0)).unwrap();
        assert_eq!(&bytes[at][..4], &[0x81, 0xfe, 0, 200]);
        assert_eq!(
            wrap(&mut bytes, 293, Opcode::Text, &mut Counting(0)).unwrap_err(),
            NetError::TooLong
        );
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = std::vec![first];
        match payload.len() {
            short @ 0..126 => bytes.push(short as u8),
            long => {
                bytes.push(126);
                bytes.extend_from_slice(&(long as u16).to_be_bytes());
            }
        }
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Everything that arrives when the bytes come in pieces.
    fn arrive(bytes: &[u8], piece: usize) -> Result<Vec<Text>, NetError> {
        let mut buffer = [0; 160];
        let mut frames = Frames::default();
        let mut seen = Vec::new();
        let mut rest = bytes;
        loop {
            match frames.next(&mut buffer)? {
                Incoming::Partial => {
                    let room = buffer.len() - frames.filled;
                    let (now, later) = rest.split_at(rest.len().min(piece).min(room));
                    if now.is_empty() {
                        return Ok(seen);
                    }
                    buffer[frames.filled..][..now.len()].copy_from_slice(now);
                    frames.filled += now.len();
                    rest = later;
                }
                Incoming::Text { len } => {
                    seen.push(Text::from_utf8(buffer[..len].to_vec()).unwrap())
                }
                Incoming::Control { opcode, payload } => {
                    let payload = Text::from_utf8(buffer[payload].to_vec()).unwrap();
                    seen.push(std::format!("{opcode:?} {payload}"));
                }
                Incoming::Other => {}
                Incoming::TooLong => seen.push(Text::from("too long")),
            }
        }
    }

    #[test]
    fn frames_arrive_in_any_pieces_and_messages_in_any_frames() {
        let long = [b'x'; 140];
        let bytes = [
            frame(0x81, b"one"),
            frame(0x01, b"tw"),
            frame(0x89, b"alive?"),
            frame(0x00, b""),
            frame(0x80, b"o"),
            frame(0x82, b"binary"),
            frame(0x81, &long),
            frame(0x81, b""),
            frame(0x88, b""),
        ]
        .concat();
        for piece in 1..bytes.len() {
            let seen = arrive(&bytes, piece).unwrap();
            assert_eq!(seen.len(), 6, "{seen:?}");
            assert_eq!(
                (&seen[0][..], &seen[1][..], &seen[2][..]),
                ("one", "Ping alive?", "two")
            );
            assert_eq!(
                (seen[3].as_bytes(), &seen[4][..], &seen[5][..]),
                (&long[..], "", "Close ")
            );
        }
    }

    #[test]
    fn a_message_that_does_not_fit_is_left_out_and_the_next_is_heard() {
        let parts = |part: &[u8]| {
            let more = [frame(0x01, b"begun"), frame(0x00, part), frame(0x00, part)];
            [more.concat(), frame(0x89, b"alive?"), frame(0x80, part)].concat()
        };
        // In one frame, in three that do not fit together, in frames of which none fits.
        let bytes = [
            frame(0x81, b"one"),
            frame(0x81, &[b'x'; 157]),
            frame(0x8a, b"still here"),
            frame(0x81, &[b'x'; 40_000]),
            parts(&[b'y'; 60]),
            frame(0x81, b"two"),
            parts(&[b'z'; 500]),
            frame(0x81, &[b'w'; 156]),
        ]
        .concat();
        for piece in [1, 2, 3, 7, 100, 159, 160, bytes.len()] {
            let seen = arrive(&bytes, piece).unwrap();
            let wanted = [
                "one",
                "too long",
                "Pong still here",
                "too long",
                "Ping alive?",
                "too long",
                "two",
                "Ping alive?",
                "too long",
            ];
            assert_eq!(seen[..9], wanted, "{piece}");
            assert_eq!(seen[9], "w".repeat(156));
        }
    }

    #[test]
    fn a_message_in_parts_gives_way_to_a_control_frame() {
        let full = [frame(0x01, &[b'x'; 150]), frame(0x89, b"are you alive?")].concat();
        let rest = [frame(0x80, b"end"), frame(0x81, b"next")].concat();
        let seen = arrive(&[full, rest].concat(), 9).unwrap();
        assert_eq!(seen, ["Ping are you alive?", "too long", "next"]);
    }

    #[test]
    fn broken_rules_end_the_connection() {
        for bad in [
            frame(0x83, b"unknown"),
            frame(0xc1, b"compressed"),
            frame(0x80, b"continues nothing"),
            [frame(0x01, b"a"), frame(0x81, b"inside another")].concat(),
            frame(0x09, b"a ping in parts"),
            frame(0x89, &[0; 126]),
            [frame(0x01, &[b'x'; 158]), frame(0x81, b"inside another")].concat(),
            std::vec![0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            std::vec![0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
            std::vec![0x81, 0x83, 1, 2, 3, 4, 5, 6, 7],
        ] {
            assert_eq!(arrive(&bad, 7), Err(NetError::Frame), "{bad:?}");
        }
    }
}
