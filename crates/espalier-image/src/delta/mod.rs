//! Delta patches: from the image that runs to the next one, as a small file.
//!
//! The format is that of the tool detools, type "sequential" with heatshrink compression, which the chip maker's own update
//! component applies too:
//!
//! ```text
//! byte        type << 4 | compression: 0x04
//! number      size of the new image; nothing follows when it is 0
//! byte        heatshrink's parameters: (window - 4) << 4 | (lookahead - 3), both as powers of two
//! compressed  number 0 (no data format), then rounds until the new image is complete:
//!             number, that many bytes to add to bytes of the old image
//!             number, that many bytes to take as they are
//!             number, how far to move in the old image before the next round
//! ```
//!
//! A number has 6 bits and a sign (0x40) in its first byte and 7 bits in each further one, lowest first; 0x80 says that more follow.
//!
//! A patch names neither of its images: who applies one checks the SHA-256 of the old image before and of the new one after.
//! [`Patcher`] applies a patch on a board without a heap; `encode` (feature `encode`) makes one, and `apply` tries it in
//! memory.

mod apply;
#[cfg(feature = "encode")]
mod encode;
mod heatshrink;
#[cfg(feature = "encode")]
mod memory;

pub use apply::{Failed, Images, PatchError, Patcher};
#[cfg(feature = "encode")]
pub use encode::{EncodeError, Squeeze, encode, encode_unless, encode_with};
#[cfg(feature = "encode")]
pub use memory::{Memory, apply};

/// The first byte of every patch: type "sequential", compression "heatshrink".
const TYPE: u8 = 0x04;
/// Longest number, in bytes: enough for any 32-bit length.
const MAX_NUMBER: u32 = 5;

/// The applier of our boards, which `encode` makes patches for: with a window of 1024 bytes patches are about a third smaller than
/// with the usual 256.
pub type BoardPatcher = Patcher<1024, 4096>;
