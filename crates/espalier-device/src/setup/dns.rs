//! The DNS of the board's own network: every name leads to the board, so that a phone finds the portal. Not a resolver.

use super::ADDRESS;

/// Most bytes of an answer; the question is repeated in it.
pub const PACKET: usize = 512;
/// Seconds that an answer may be kept: short, for it is a lie outside this network.
const TTL: u32 = 5;
const HEADER: usize = 12;
const MAX_NAME: usize = 255;
const TYPE_A: u16 = 1;
const TYPE_ANY: u16 = 255;
const CLASS_IN: u16 = 1;
const FORMAT_ERROR: u8 = 1;
const NOT_IMPLEMENTED: u8 = 4;

/// Answers a query: writes the answer and returns its length; nothing when the packet is no query or deserves no answer.
pub fn answer(query: &[u8], into: &mut [u8; PACKET]) -> Option<usize> {
    let (head, rest) = query.split_first_chunk::<HEADER>()?;
    let [id0, id1, flags, _, q0, q1, ..] = *head;
    // Never answer an answer: two such servers would talk for ever.
    if flags & 0x80 != 0 {
        return None;
    }
    let operation = (flags >> 3) & 15;
    let questions = u16::from_be_bytes([q0, q1]);
    let question = question(rest).filter(|_| questions == 1);
    let (code, question) = match (operation, question) {
        (0, Some(question)) => (0, Some(question)),
        (0, None) => (FORMAT_ERROR, None),
        _ => (NOT_IMPLEMENTED, None),
    };
    let found =
        question.is_some_and(|q| q.class == CLASS_IN && [TYPE_A, TYPE_ANY].contains(&q.kind));
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        into.get_mut(len..len + bytes.len())?.copy_from_slice(bytes);
        len += bytes.len();
        Some(())
    };
    // An authoritative answer, with recursion where it was wanted: then phones ask no further.
    put(&[id0, id1, 0x84 | (flags & 0x79), 0x80 | code])?;
    let count = |there: bool| [0, u8::from(there)];
    put(&count(question.is_some()))?;
    put(&count(found))?;
    put(&[0; 4])?;
    if let Some(question) = question {
        put(question.bytes)?;
    }
    if found {
        // The name of the question, an address, of the Internet.
        put(&[0xc0, HEADER as u8, 0, TYPE_A as u8, 0, CLASS_IN as u8])?;
        put(&TTL.to_be_bytes())?;
        put(&[0, ADDRESS.len() as u8])?;
        put(&ADDRESS)?;
    }
    Some(len)
}

#[derive(Clone, Copy)]
struct Question<'a> {
    /// The name, type and class as they came.
    bytes: &'a [u8],
    kind: u16,
    class: u16,
}

/// Reads the question; a name in it cannot point elsewhere.
fn question(bytes: &[u8]) -> Option<Question<'_>> {
    let mut at = 0;
    loop {
        let len = usize::from(*bytes.get(at)?);
        at += 1 + len;
        if len > 63 || at > MAX_NAME {
            return None;
        }
        if len == 0 {
            break;
        }
    }
    let [k0, k1, c0, c1] = *bytes.get(at..)?.first_chunk::<4>()?;
    Some(Question {
        bytes: &bytes[..at + 4],
        kind: u16::from_be_bytes([k0, k1]),
        class: u16::from_be_bytes([c0, c1]),
    })
}
