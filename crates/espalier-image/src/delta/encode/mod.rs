//! Making patches: which bytes of the old image serve for which bytes of the new one, so that the compressed patch is small.
//!
//! - `index`: where in the old image something occurs
//! - `candidates`: stretches of the new image that resemble some stretch of the old one
//! - `plan`: the cheapest way through them, by estimated bits after compression
//! - `squeeze`: heatshrink's encoder, with the fewest bits there can be
//!
//! It does not apply what it made: who keeps a patch applies it first ([`super::Patcher`]).

mod candidates;
mod index;
mod plan;
mod squeeze;

use super::TYPE;
use core::fmt;
use plan::Costs;

pub use squeeze::Squeeze;

/// Why there is no patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// An image has 1 GiB or more.
    TooLarge,
    /// These are no parameters of heatshrink.
    Squeeze,
    /// It was told to stop.
    Stopped,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "patches are made for images below 1 GiB",
            Self::Squeeze => "heatshrink's window is 2^4 to 2^15 bytes and its lookahead 2^3 bytes to half of the window",
            Self::Stopped => "making the patch was stopped",
        })
    }
}

impl std::error::Error for EncodeError {}

/// Makes the patch from `old` to `new` for boards of ours ([`super::BoardPatcher`]): the smallest that they can apply.
///
/// # Errors
/// When an image is too large.
pub fn encode(old: &[u8], new: &[u8]) -> Result<Vec<u8>, EncodeError> {
    make(old, new, &Squeeze::BOARDS, &|| false)
}

/// As [`encode`], but gives up soon after `stop` says so.
///
/// # Errors
/// When an image is too large, or it was stopped.
pub fn encode_unless(
    old: &[u8],
    new: &[u8],
    stop: &dyn Fn() -> bool,
) -> Result<Vec<u8>, EncodeError> {
    make(old, new, &Squeeze::BOARDS, stop)
}

/// Makes the patch from `old` to `new` with these parameters of heatshrink, for other appliers of the format.
///
/// # Errors
/// When an image is too large or the parameters are none.
pub fn encode_with(old: &[u8], new: &[u8], squeeze: Squeeze) -> Result<Vec<u8>, EncodeError> {
    make(old, new, &[squeeze], &|| false)
}

/// Plans for the first of the parameters and takes those that give the smallest patch.
fn make(
    old: &[u8],
    new: &[u8],
    squeezes: &[Squeeze],
    stop: &dyn Fn() -> bool,
) -> Result<Vec<u8>, EncodeError> {
    if old.len().max(new.len()) >= 1 << 30 {
        return Err(EncodeError::TooLarge);
    }
    let mut patch = vec![TYPE];
    number(&mut patch, new.len() as i64);
    let &[first, ..] = squeezes else {
        return Err(EncodeError::Squeeze);
    };
    if squeezes.iter().any(|squeeze| squeeze.header().is_none()) {
        return Err(EncodeError::Squeeze);
    }
    if new.is_empty() {
        return Ok(patch);
    }
    let stretches = candidates::find(old, new, stop)
        .and_then(|found| plan::price(old, new, found, first, stop));
    let stretches = stretches.ok_or(EncodeError::Stopped)?;
    let pieces = plan::cheapest(&stretches, &first.bits_per_byte(new), Costs::USUAL);
    drop(stretches);
    let rounds = rounds(old, new, &pieces);
    let packed = squeezes
        .iter()
        .map(|squeeze| squeeze.pack(&rounds))
        .min_by_key(Vec::len);
    patch.extend(packed.unwrap_or_default());
    Ok(patch)
}

/// A piece of the new image: up to `end`, from the end of the piece before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    end: usize,
    /// Where in the old image its bytes are to be added to, as the distance from the new one; nothing: bytes as they are.
    shift: Option<i64>,
}

/// The uncompressed patch of these pieces.
fn rounds(old: &[u8], new: &[u8], pieces: &[Piece]) -> Vec<u8> {
    let mut out = Vec::with_capacity(new.len() + 16 * pieces.len());
    number(&mut out, 0);
    let (mut at, mut from) = (0, 0);
    let mut pieces = pieces.iter().peekable();
    let mut shift = 0;
    while at < new.len() {
        // The part to add: nothing in a first round that only moves to where the first part is.
        let mut end = at;
        if let Some(piece) = pieces.next_if(|piece| piece.shift == Some(shift)) {
            end = piece.end;
        }
        number(&mut out, (end - at) as i64);
        out.extend(
            new[at..end]
                .iter()
                .zip(&old[from..])
                .map(|(new, old)| new.wrapping_sub(*old)),
        );
        from += end - at;
        at = end;
        if let Some(piece) = pieces.next_if(|piece| piece.shift.is_none()) {
            end = piece.end;
        }
        number(&mut out, (end - at) as i64);
        out.extend_from_slice(&new[at..end]);
        at = end;
        let next = match pieces.peek() {
            Some(Piece {
                shift: Some(next), ..
            }) => {
                shift = *next;
                (at as i64 + next) as usize
            }
            _ => from,
        };
        number(&mut out, next as i64 - from as i64);
        from = next;
    }
    out
}

/// Writes a number: 6 bits and a sign, then 7 bits a byte, lowest first.
fn number(out: &mut Vec<u8>, value: i64) {
    let mut rest = value.unsigned_abs();
    let mut byte = (rest & 0x3f) as u8 | if value < 0 { 0x40 } else { 0 };
    rest >>= 6;
    while rest > 0 {
        out.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    out.push(byte);
}
