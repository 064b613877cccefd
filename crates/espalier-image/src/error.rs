//! Why bytes are refused as firmware: one sentence each, with what was found, what was wanted and what to do.

use crate::chip::Chip;
use crate::merged::Kind;
use core::fmt;

/// A text field of an app descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The version.
    Version,
    /// The project's name.
    Project,
    /// The time of the build.
    Time,
    /// The date of the build.
    Date,
    /// The version of ESP-IDF.
    IdfVersion,
}

impl Field {
    /// What people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Field::Version => "version",
            Field::Project => "project name",
            Field::Time => "build time",
            Field::Date => "build date",
            Field::IdfVersion => "ESP-IDF version",
        }
    }
}

/// Why an image is refused. Its text is one sentence for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageError {
    /// The file is something else.
    Other(Kind),
    /// There are too few bytes for the beginning of an image.
    TooShort {
        /// Bytes that are there.
        found: usize,
    },
    /// The first byte is not the magic byte of an image.
    Magic {
        /// The byte.
        found: u8,
    },
    /// The header names a chip that does not exist.
    Chip {
        /// The number of the chip.
        found: u16,
    },
    /// The header announces no segment or more than 16.
    SegmentCount {
        /// The announced count.
        found: u8,
    },
    /// The header says neither that a SHA-256 follows nor that none does.
    DigestFlag {
        /// The byte, which should be 0 or 1.
        found: u8,
    },
    /// There is no app descriptor.
    Descriptor,
    /// A text of the app descriptor holds something else than printable ASCII.
    Text {
        /// Which.
        field: Field,
    },
    /// A segment's length is not a multiple of four, or 16 MB and more.
    SegmentLength {
        /// Which segment, from 0.
        segment: u8,
        /// Its length.
        found: u32,
    },
    /// The file ends before the image does.
    CutShort {
        /// Bytes that the image needs, as far as they are known.
        wanted: usize,
        /// Bytes that the file has.
        found: usize,
    },
    /// The checksum over the segments is wrong.
    Checksum {
        /// The checksum in the file.
        found: u8,
        /// The checksum of the bytes.
        wanted: u8,
    },
    /// The SHA-256 at the end is not that of the bytes.
    Digest,
    /// There are bytes after the end.
    Trailing {
        /// Where the image ends.
        end: usize,
        /// Bytes that the file has.
        found: usize,
    },
    /// A signature block of Secure Boot is damaged or was made for other bytes.
    SignatureBlock {
        /// Which block, from 0.
        block: u8,
    },
    /// The image is for another chip.
    WrongChip {
        /// The image's chip.
        found: Chip,
        /// The board's chip.
        wanted: Chip,
    },
    /// The image does not fit into the slot.
    TooLarge {
        /// Bytes of the image.
        size: u64,
        /// Bytes of the slot.
        slot: u64,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Other(kind) => write!(f, "{kind}"),
            Self::TooShort { found } => write!(
                f,
                "The file has {found} bytes, but an app image has at least {}: it was cut short; build it again or upload it again.",
                crate::app::HEAD
            ),
            Self::Magic { found } => write!(
                f,
                "The first byte is 0x{found:02x}, but an app image begins with 0xe9: upload the app's .bin file."
            ),
            Self::Chip { found } => write!(
                f,
                "The image is for a chip with the number {found}, which is no chip of the ESP32 family known here: build it for one of them (images for the ESP8266 cannot be used)."
            ),
            Self::SegmentCount { found } => write!(
                f,
                "The header announces {found} segments, but an image has 1 to 16: the file is damaged; build it again or upload it again."
            ),
            Self::DigestFlag { found } => write!(
                f,
                "The header's byte that announces the SHA-256 is {found}, but it is 0 or 1 in an image: the file is damaged; build it again or upload it again."
            ),
            Self::Descriptor => f.write_str(
                "The image has no app descriptor, so it is no app or was built with a very old ESP-IDF: upload the app's .bin file, built with ESP-IDF 3.2 or newer.",
            ),
            Self::Text { field } => write!(
                f,
                "The {} in the app descriptor holds something else than printable ASCII: set it to plain text and build again.",
                field.as_str()
            ),
            Self::SegmentLength { segment, found } => write!(
                f,
                "Segment {segment} has the length {found}, but the bootloader takes only multiples of 4 below 16 MB: the file is damaged; build it again or upload it again."
            ),
            Self::CutShort { wanted, found } => write!(
                f,
                "The file has {found} bytes, but the image needs at least {wanted}: it was cut short; upload it again."
            ),
            Self::Checksum { found, wanted } => write!(
                f,
                "The image's checksum is 0x{found:02x}, but its bytes have 0x{wanted:02x}: the file is damaged; build it again or upload it again."
            ),
            Self::Digest => f.write_str(
                "The SHA-256 at the image's end is not the one of its bytes: the file is damaged or was changed after the build; build it again or upload it again.",
            ),
            Self::Trailing { end, found } => write!(
                f,
                "The image ends after {end} bytes, but the file has {found}: what follows is no part of it; upload the .bin file as the build made it."
            ),
            Self::SignatureBlock { block } => write!(
                f,
                "The Secure Boot signature block {block} is damaged or belongs to other bytes: sign the image again with espsecure."
            ),
            Self::WrongChip { found, wanted } => write!(
                f,
                "The image is for {found}, but the board is {wanted}: build it for {}.",
                wanted.as_str()
            ),
            Self::TooLarge { size, slot } => write!(
                f,
                "The image has {size} bytes, but the slot only {slot}: make the image smaller or flash a partition table with larger slots over USB."
            ),
        }
    }
}

impl core::error::Error for ImageError {}
