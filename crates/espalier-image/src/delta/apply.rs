//! Applying a patch as it arrives, in pieces of any size, without a heap. It does not know what a flash memory is ([`Images`]).

use core::fmt;

use super::heatshrink::Decoder;
use super::{MAX_NUMBER, TYPE};

/// Bytes of the old image that are read at once, from an offset that is a multiple of it.
const BLOCK: usize = 128;
const NO_BLOCK: u32 = u32::MAX;

/// An image could not be read or written; whoever failed knows why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed;

/// The image that there is and the one that is made of it.
pub trait Images {
    /// Reads from the old image. `at` is a multiple of 128, and `into` at most 128 bytes and all within the image.
    ///
    /// # Errors
    /// When the bytes cannot be read.
    fn read_old(&mut self, at: u32, into: &mut [u8]) -> Result<(), Failed>;

    /// Writes to the new image. `at` is a multiple of the page, rising from call to call; `bytes` are one page, the last one maybe less.
    /// After a power cut the first one may hold remains of the write that was cut: flash memory is erased before each write.
    ///
    /// # Errors
    /// When the bytes cannot be written.
    fn write_new(&mut self, at: u32, bytes: &[u8]) -> Result<(), Failed>;
}

/// Why a patch cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchError {
    /// It is no patch of the type "sequential" with heatshrink.
    Type,
    /// Its compression needs a larger window than this board has.
    Window,
    /// It uses a data format, which boards do not know.
    DataFormat,
    /// The new image is larger than there is room for.
    Size,
    /// It contains a number that is none.
    Number,
    /// It makes more bytes than it declares.
    TooMuch,
    /// It reads outside the old image: it was made for another one.
    OutsideOld,
    /// Bytes follow after its end.
    Trailing,
    /// It ends before the new image is complete.
    Incomplete,
    /// The old image could not be read.
    Read,
    /// The new image could not be written.
    Write,
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "the patch is of another type than sequential with heatshrink",
            Self::Window => "the patch needs a larger window than this board has",
            Self::DataFormat => "the patch uses a data format, which boards do not know",
            Self::Size => "the new image of the patch is larger than there is room for",
            Self::Number => "the patch is damaged: a length in it is no number",
            Self::TooMuch => "the patch is damaged: it makes more bytes than it declares",
            Self::OutsideOld => {
                "the patch was made for another image: it reads outside the old one"
            }
            Self::Trailing => "the patch is damaged: bytes follow after its end",
            Self::Incomplete => "the patch ends before the new image is complete",
            Self::Read => "the old image could not be read",
            Self::Write => "the new image could not be written",
        })
    }
}

impl core::error::Error for PatchError {}

/// What the patch says next.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Type,
    Size,
    Parameters,
    DataFormat,
    DiffSize,
    Diff,
    ExtraSize,
    Extra,
    Move,
    Done,
}

/// Applies one patch.
///
/// `WINDOW` is the largest heatshrink window that it can follow (a power of two), `PAGE` the size of its writes (a multiple of 128
/// that the flash memory erases or writes at once). Its state is `WINDOW + PAGE` and about 200 bytes.
///
/// After a power cut a patch is applied again from its first byte: [`Patcher::resume`] with the number of bytes of the new image
/// that are known to be complete. It then neither reads the old image for them nor writes them again, which leaves decompression:
/// milliseconds. Nothing else has to survive the cut.
///
/// Whatever bytes it is given, it never panics, never reads outside the old image and never writes more than the patch declares.
pub struct Patcher<const WINDOW: usize, const PAGE: usize> {
    state: State,
    error: Option<PatchError>,
    compressed: Decoder<WINDOW>,
    number: Number,
    old_size: u32,
    room: u32,
    /// The size of the new image, once the patch has said it.
    size: u32,
    /// Bytes of the new image that were made.
    made: u32,
    /// Bytes of the new image that are in their place: a whole number of pages until the end.
    complete: u32,
    /// Where the round reads in the old image, and bytes left of its part.
    from: i64,
    left: u32,
    page: [u8; PAGE],
    block: [u8; BLOCK],
    block_at: u32,
}

impl<const WINDOW: usize, const PAGE: usize> Patcher<WINDOW, PAGE> {
    /// Begins a patch from an image of `old_size` bytes to one of at most `room` bytes.
    #[must_use]
    pub const fn new(old_size: u32, room: u32) -> Self {
        Self::resume(old_size, room, 0)
    }

    /// Begins a patch again whose first `complete` bytes of the new image are already in their place.
    ///
    /// Only whole pages count: a page that is not complete is written as a whole.
    #[must_use]
    pub const fn resume(old_size: u32, room: u32, complete: u32) -> Self {
        const {
            assert!(
                WINDOW.is_power_of_two() && WINDOW >= 16,
                "the window is a power of two"
            );
            assert!(
                PAGE > 0 && PAGE.is_multiple_of(BLOCK),
                "a page is a multiple of 128"
            );
        }
        Self {
            state: State::Type,
            error: None,
            compressed: Decoder::new(),
            number: Number::NEW,
            old_size,
            room,
            size: 0,
            made: 0,
            complete: complete - complete % PAGE as u32,
            from: 0,
            left: 0,
            page: [0; PAGE],
            block: [0; BLOCK],
            block_at: NO_BLOCK,
        }
    }

    /// Applies the next bytes of the patch.
    ///
    /// # Errors
    /// Says why the patch cannot be applied. It stays so: the patch is to be given up, or begun again.
    pub fn push(&mut self, images: &mut impl Images, patch: &[u8]) -> Result<(), PatchError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let result = patch.iter().try_for_each(|&byte| self.byte(images, byte));
        self.error = result.err();
        result
    }

    /// Checks that the patch was complete: to be called after its last byte.
    ///
    /// # Errors
    /// Says why the new image is not complete.
    pub fn finish(&self) -> Result<(), PatchError> {
        match self.error {
            Some(error) => Err(error),
            None if self.is_done() => Ok(()),
            None => Err(PatchError::Incomplete),
        }
    }

    /// Whether the new image is complete and written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.error.is_none() && self.state == State::Done
    }

    /// The size of the new image; nothing before the patch has said it.
    #[must_use]
    pub fn size(&self) -> Option<u32> {
        (!matches!(self.state, State::Type | State::Size)).then_some(self.size)
    }

    /// Bytes of the new image that are in their place, counted from its start: what [`Self::resume`] may be told later.
    #[must_use]
    pub fn complete(&self) -> u32 {
        self.size()
            .map_or(self.complete, |size| self.complete.min(size))
    }

    fn byte(&mut self, images: &mut impl Images, byte: u8) -> Result<(), PatchError> {
        match self.state {
            State::Type if byte == TYPE => self.state = State::Size,
            State::Type => return Err(PatchError::Type),
            State::Size => {
                if let Some(size) = self.number.push(byte)? {
                    self.size = u32::try_from(size).map_err(|_| PatchError::Number)?;
                    if self.size > self.room {
                        return Err(PatchError::Size);
                    }
                    self.state = if self.size == 0 {
                        State::Done
                    } else {
                        State::Parameters
                    };
                }
            }
            State::Parameters => {
                if !self.compressed.configure(byte) {
                    return Err(PatchError::Window);
                }
                self.state = State::DataFormat;
            }
            State::Done => return Err(PatchError::Trailing),
            _ => {
                self.compressed.feed(byte);
                while let Some(byte) = self.compressed.next() {
                    self.step(images, byte)?;
                }
            }
        }
        Ok(())
    }

    /// Takes one decompressed byte.
    fn step(&mut self, images: &mut impl Images, byte: u8) -> Result<(), PatchError> {
        match self.state {
            State::Diff => {
                let old = self.old(images)?;
                self.left -= 1;
                if self.left == 0 {
                    self.state = State::ExtraSize;
                }
                return self.make(images, byte.wrapping_add(old));
            }
            State::Extra => {
                self.left -= 1;
                if self.left == 0 {
                    self.state = State::Move;
                }
                return self.make(images, byte);
            }
            State::Done => return Err(PatchError::TooMuch),
            _ => {}
        }
        let Some(number) = self.number.push(byte)? else {
            return Ok(());
        };
        match self.state {
            State::DataFormat if number == 0 => self.state = State::DiffSize,
            State::DataFormat => return Err(PatchError::DataFormat),
            State::DiffSize => {
                self.left = self.length(number)?;
                if self.left > 0
                    && (self.from < 0
                        || self.from.saturating_add(number) > i64::from(self.old_size))
                {
                    return Err(PatchError::OutsideOld);
                }
                self.state = if self.left == 0 {
                    State::ExtraSize
                } else {
                    State::Diff
                };
            }
            State::ExtraSize => {
                self.left = self.length(number)?;
                self.state = if self.left == 0 {
                    State::Move
                } else {
                    State::Extra
                };
            }
            State::Move => {
                self.from = self
                    .from
                    .checked_add(number)
                    .ok_or(PatchError::OutsideOld)?;
                self.state = if self.made == self.size {
                    State::Done
                } else {
                    State::DiffSize
                };
            }
            _ => return Err(PatchError::TooMuch),
        }
        Ok(())
    }

    /// A length that fits into what is left of the new image.
    fn length(&self, number: i64) -> Result<u32, PatchError> {
        let length = u32::try_from(number).map_err(|_| PatchError::Number)?;
        if length > self.size - self.made {
            return Err(PatchError::TooMuch);
        }
        Ok(length)
    }

    /// The byte of the old image where the round is, and moves on.
    fn old(&mut self, images: &mut impl Images) -> Result<u8, PatchError> {
        let at = u32::try_from(self.from).map_err(|_| PatchError::OutsideOld)?;
        self.from += 1;
        if self.made < self.complete {
            return Ok(0);
        }
        let offset = at % BLOCK as u32;
        if self.block_at != at - offset {
            self.block_at = NO_BLOCK;
            let length = (self.old_size - (at - offset)).min(BLOCK as u32);
            images
                .read_old(at - offset, &mut self.block[..length as usize])
                .map_err(|Failed| PatchError::Read)?;
            self.block_at = at - offset;
        }
        Ok(self.block[offset as usize])
    }

    /// Adds one byte to the new image; writes the page when it is full.
    fn make(&mut self, images: &mut impl Images, byte: u8) -> Result<(), PatchError> {
        let at = self.made as usize % PAGE;
        self.page[at] = byte;
        self.made += 1;
        if (at + 1 == PAGE || self.made == self.size) && self.made > self.complete {
            let start = self.made - (at as u32 + 1);
            images
                .write_new(start, &self.page[..=at])
                .map_err(|Failed| PatchError::Write)?;
            self.complete = self.made;
        }
        Ok(())
    }
}

/// A number that arrives byte by byte.
struct Number {
    value: u64,
    negative: bool,
    bytes: u32,
}

impl Number {
    const NEW: Self = Self {
        value: 0,
        negative: false,
        bytes: 0,
    };

    /// Takes a byte; returns the number with its last one.
    fn push(&mut self, byte: u8) -> Result<Option<i64>, PatchError> {
        if self.bytes == MAX_NUMBER {
            return Err(PatchError::Number);
        }
        if self.bytes == 0 {
            self.negative = byte & 0x40 != 0;
            self.value = u64::from(byte & 0x3f);
        } else {
            self.value |= u64::from(byte & 0x7f) << (7 * self.bytes - 1);
        }
        self.bytes += 1;
        if byte & 0x80 != 0 {
            return Ok(None);
        }
        // At most 34 bits.
        let value = self.value as i64;
        let number = if self.negative { -value } else { value };
        *self = Self::NEW;
        Ok(Some(number))
    }
}
