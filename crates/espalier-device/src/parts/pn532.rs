//! An NFC reader PN532 that writes a business card onto a tag: its frames, and what is said in which order. Not the bus, and not the
//! card ([`super::ndef`]).
//!
//! # The loop of a binding
//! 1. [`Writer::command`]: send the frame, read [`ACK`], then read the answer, at most [`MAX_ANSWER`] bytes. On I2C every read begins
//!    with a byte whose lowest bit says whether the reader is ready; it is not part of what is handed over here.
//! 2. [`Writer::answered`] with the answer. Until there is no command any more, or a time-out of the binding: without a tag the
//!    writer looks for one again and again.

use core::fmt;

use heapless::Vec;

use super::ndef::{Card, Message, NdefError, PAGE, Tag};

/// The address on the I2C bus.
pub const ADDRESS: u8 = 0x24;
/// What the reader sends when it has taken a command.
pub const ACK: [u8; 6] = [0, 0, 0xff, 0, 0xff, 0];
/// Longest answer, in bytes.
pub const MAX_ANSWER: usize = 40;
/// How long an answer may take, in milliseconds: the longest is that there is no tag.
pub const ANSWER_MS: u32 = 1_000;

/// From us, and from the reader.
const TO_READER: u8 = 0xd4;
const FROM_READER: u8 = 0xd5;
/// Commands of the reader.
const SAM_CONFIGURATION: u8 = 0x14;
const RF_CONFIGURATION: u8 = 0x32;
const IN_DATA_EXCHANGE: u8 = 0x40;
const IN_LIST_PASSIVE_TARGET: u8 = 0x4a;
/// Commands of the tag.
const TAG_READ: u8 = 0x30;
const TAG_WRITE: u8 = 0xa2;
/// The page of a tag that says how large it is, and whether it may be written.
const CAPABILITY_PAGE: u8 = 3;

/// A command, ready to be sent.
pub type Frame = Vec<u8, 24>;

/// Why no card was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pn532Error {
    /// The reader does not answer.
    Silent,
    /// Its answer is damaged, or one to something else.
    Garbled,
    /// It does not know the command.
    Refused,
    /// The tag is of another kind than NTAG213, 215 or 216.
    OtherTag,
    /// The tag can only be read.
    Locked,
    /// The tag was taken away, or failed.
    Lost,
    /// The card has no name or does not fit.
    Card(NdefError),
}

impl Pn532Error {
    /// Says in one sentence what is wrong.
    pub const fn as_str(self) -> &'static str {
        match self {
            Pn532Error::Silent => "the NFC reader does not answer: check its pins and power",
            Pn532Error::Garbled => "the NFC reader answers with what is no answer",
            Pn532Error::Refused => "the NFC reader does not know a command",
            Pn532Error::OtherTag => "the tag is none of NTAG213, NTAG215 and NTAG216",
            Pn532Error::Locked => "the tag can only be read",
            Pn532Error::Lost => "the tag was taken away too early: it is empty now, or as before",
            Pn532Error::Card(NdefError::NoName) => "a business card needs a name",
            Pn532Error::Card(NdefError::TooLong | NdefError::Full(..)) => {
                "the business card does not fit on this tag"
            }
        }
    }
}

impl fmt::Display for Pn532Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pn532Error::Card(error) => error.fmt(f),
            other => f.write_str(other.as_str()),
        }
    }
}

impl core::error::Error for Pn532Error {}

/// Makes a frame of a command and its parameters; what does not fit is a mistake of this file.
fn frame(body: &[u8]) -> Frame {
    let length = u8::try_from(body.len() + 1).unwrap_or(u8::MAX);
    let sum = body.iter().fold(TO_READER, |sum, b| sum.wrapping_add(*b));
    let mut frame = Frame::new();
    for part in [
        &[0, 0, 0xff, length, length.wrapping_neg(), TO_READER][..],
        body,
        &[sum.wrapping_neg(), 0],
    ] {
        let _ = frame.extend_from_slice(part);
    }
    frame
}

/// Takes the frame off an answer to a command.
fn unframe(bytes: &[u8], command: u8) -> Result<&[u8], Pn532Error> {
    let &[0, 0, 0xff, length, check, ref rest @ ..] = bytes else {
        return Err(Pn532Error::Garbled);
    };
    let (Some(body), Some(sum)) = (
        rest.get(..usize::from(length)),
        rest.get(usize::from(length)),
    ) else {
        return Err(Pn532Error::Garbled);
    };
    let all = body.iter().fold(*sum, |sum, b| sum.wrapping_add(*b));
    if length.wrapping_add(check) != 0 || all != 0 {
        return Err(Pn532Error::Garbled);
    }
    match body {
        [FROM_READER, answered, data @ ..] if *answered == command + 1 => Ok(data),
        // The one byte of an error frame.
        [0x7f] => Err(Pn532Error::Refused),
        _ => Err(Pn532Error::Garbled),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Wake,
    Patience,
    Look,
    Read,
    /// Write the page with this number in [`Message::pages`].
    Write(usize),
    Written,
}

/// Writes one card onto the first tag that comes.
#[derive(Debug)]
pub struct Writer<'a> {
    card: Card<'a>,
    message: Option<Message>,
    state: State,
}

impl<'a> Writer<'a> {
    /// Begins with a card.
    ///
    /// # Errors
    /// When the card has no name.
    pub fn new(card: Card<'a>) -> Result<Self, Pn532Error> {
        // The largest tag: what does not fit there fits nowhere.
        Message::new(&card, Tag::Ntag216).map_err(Pn532Error::Card)?;
        Ok(Writer {
            card,
            message: None,
            state: State::Wake,
        })
    }

    /// Returns the next command; none when the card is written.
    pub fn command(&self) -> Option<Frame> {
        Some(match self.state {
            // Normal mode, without its time-out, without its interrupt line.
            State::Wake => frame(&[SAM_CONFIGURATION, 1, 0, 0]),
            // So many times it looks for a tag until it answers that there is none.
            State::Patience => frame(&[RF_CONFIGURATION, 5, 0xff, 1, 8]),
            // One tag of 106 kBd.
            State::Look => frame(&[IN_LIST_PASSIVE_TARGET, 1, 0]),
            State::Read => frame(&[IN_DATA_EXCHANGE, 1, TAG_READ, CAPABILITY_PAGE]),
            State::Write(n) => {
                let (page, [a, b, c, d]) = self.page(n)?;
                frame(&[IN_DATA_EXCHANGE, 1, TAG_WRITE, page, a, b, c, d])
            }
            State::Written => return None,
        })
    }

    /// Takes the answer to the command.
    ///
    /// # Errors
    /// Says why the card cannot be written; begin again with a new writer.
    pub fn answered(&mut self, answer: &[u8]) -> Result<(), Pn532Error> {
        self.state = match self.state {
            State::Wake => {
                unframe(answer, SAM_CONFIGURATION)?;
                State::Patience
            }
            State::Patience => {
                unframe(answer, RF_CONFIGURATION)?;
                State::Look
            }
            State::Look => match unframe(answer, IN_LIST_PASSIVE_TARGET)? {
                [0, ..] => State::Look,
                // The fifth byte tells tags with pages from all others.
                [1, _, _, _, 0, ..] => State::Read,
                [1, ..] => return Err(Pn532Error::OtherTag),
                _ => return Err(Pn532Error::Garbled),
            },
            State::Read => {
                let pages = exchanged(answer)?;
                let capability = *pages.first_chunk().ok_or(Pn532Error::Garbled)?;
                let tag = Tag::of(capability).ok_or(Pn532Error::OtherTag)?;
                if capability[3] & 0x0f != 0 {
                    return Err(Pn532Error::Locked);
                }
                self.message = Some(Message::new(&self.card, tag).map_err(Pn532Error::Card)?);
                State::Write(0)
            }
            State::Write(n) => {
                exchanged(answer)?;
                match self.page(n + 1) {
                    Some(_) => State::Write(n + 1),
                    None => State::Written,
                }
            }
            State::Written => State::Written,
        };
        Ok(())
    }

    /// Says whether a tag was found, so that taking it away matters.
    pub const fn has_tag(&self) -> bool {
        matches!(self.state, State::Read | State::Write(_))
    }

    fn page(&self, n: usize) -> Option<(u8, [u8; PAGE])> {
        self.message.as_ref()?.pages().nth(n)
    }
}

/// Returns what the tag said, when it did.
fn exchanged(answer: &[u8]) -> Result<&[u8], Pn532Error> {
    match unframe(answer, IN_DATA_EXCHANGE)? {
        [0, data @ ..] => Ok(data),
        [_, ..] => Err(Pn532Error::Lost),
        [] => Err(Pn532Error::Garbled),
    }
}

#[cfg(test)]
#[path = "pn532_tests.rs"]
mod tests;
