//! App images: what a build makes and the bootloader starts.
//!
//! [`parse`] checks a whole file byte by byte, as strictly as the bootloader and more: what it accepts boots, as far as bytes can
//! tell. [`Head`] is what the first 288 bytes say, for a board that must decide before the rest is there. It does not check
//! signatures: see [`crate::manifest`] for ours; those of Secure Boot are recognised and described.

use crate::bytes::{array, field, u8_at, u16_at, u32_at};
use crate::chip::Chip;
use crate::error::{Field, ImageError};
use crate::merged;
use crate::secure_boot::{self, SecureBoot};
use core::fmt;
use sha2::{Digest, Sha256};

/// Bytes of an image that [`Head::parse`] needs: header, first segment's header, app descriptor.
pub const HEAD: usize = 288;
/// The first byte of an image.
pub const MAGIC: u8 = 0xE9;
/// Most segments of an image.
pub const MAX_SEGMENTS: u8 = 16;
/// The number at the beginning of an app descriptor.
pub(crate) const DESCRIPTOR_MAGIC: u32 = 0xABCD_5432;
/// Where the app descriptor is: at the beginning of the first segment.
pub(crate) const DESCRIPTOR: usize = HEADER + SEGMENT_HEADER;
/// Bytes of an image's header.
pub(crate) const HEADER: usize = 24;
const SEGMENT_HEADER: usize = 8;
/// The checksum is the last byte of a block of 16.
const CHECKSUM_PLACE: u32 = 15;
/// Bytes of an app descriptor.
pub(crate) const DESCRIPTOR_SIZE: usize = 256;
/// What the checksum begins with.
pub(crate) const CHECKSUM_SEED: u8 = 0xEF;
/// A segment is smaller than this.
const MAX_SEGMENT: u32 = 16 << 20;

/// A revision of a chip or of its fuses: `v3.1` is 301.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u16);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.0 / 100, self.0 % 100)
    }
}

/// How the image wants its flash to be read, as codes of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flash {
    /// The code of the mode.
    pub mode: u8,
    /// The code of the size.
    pub size: u8,
    /// The code of the frequency.
    pub frequency: u8,
}

impl Flash {
    /// The mode's name, e.g. `dio`.
    pub const fn mode_name(self) -> Option<&'static str> {
        match self.mode {
            0 => Some("qio"),
            1 => Some("qout"),
            2 => Some("dio"),
            3 => Some("dout"),
            4 => Some("fast-read"),
            5 => Some("slow-read"),
            _ => None,
        }
    }

    /// The size in megabytes.
    pub const fn megabytes(self) -> Option<u32> {
        if self.size < 8 {
            Some(1 << self.size)
        } else {
            None
        }
    }
}

/// What an image says of itself in its first [`HEAD`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// The chip it is for.
    pub chip: Chip,
    /// How many segments it has.
    pub segments: u8,
    /// Where it begins to run.
    pub entry: u32,
    /// How it wants its flash to be read.
    pub flash: Flash,
    /// The oldest revision of the chip that it runs on.
    pub min_revision: Revision,
    /// The newest revision of the chip that it runs on; nothing when there is no limit.
    pub max_revision: Option<Revision>,
    /// Whether a SHA-256 follows the checksum.
    pub hash_appended: bool,
    /// The secure version: boards with anti-rollback start no lower one again.
    pub secure_version: u32,
    /// The version.
    pub version: &'a str,
    /// The project's name.
    pub project: &'a str,
    /// The time of the build.
    pub time: &'a str,
    /// The date of the build.
    pub date: &'a str,
    /// The version of ESP-IDF.
    pub idf_version: &'a str,
    /// SHA-256 of the ELF file, with which crash dumps find their symbols.
    pub elf_sha256: [u8; 32],
    /// The oldest revision of the fuse block that it runs with.
    pub min_efuse_revision: Revision,
    /// The newest revision of the fuse block that it runs with; nothing when there is no limit.
    pub max_efuse_revision: Option<Revision>,
    /// Bytes of a page of the flash mapping; nothing when the image does not say.
    pub mmu_page: Option<u32>,
}

impl<'a> Head<'a> {
    /// Reads the beginning of an image; more bytes than [`HEAD`] are welcome and not looked at.
    ///
    /// # Errors
    /// Says what is wrong with the bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let header = Header::parse(bytes)?;
        let short = ImageError::TooShort { found: bytes.len() };
        let descriptor = bytes.get(DESCRIPTOR..HEAD).ok_or(short)?;
        if u32_at(descriptor, 0) != Some(DESCRIPTOR_MAGIC) {
            return Err(ImageError::Descriptor);
        }
        // A first segment shorter than the descriptor would give it bytes of the next one.
        let first = u32_at(bytes, HEADER + 4).ok_or(short)?;
        if usize::try_from(first).is_ok_and(|length| length < DESCRIPTOR_SIZE) {
            return Err(ImageError::Descriptor);
        }
        let text =
            |from: usize, to: usize, name| field(descriptor.get(from..to).ok_or(short)?, name);
        Ok(Self {
            chip: header.chip,
            segments: header.segments,
            entry: header.entry,
            flash: header.flash,
            min_revision: header.min_revision,
            max_revision: header.max_revision,
            hash_appended: header.hash_appended,
            secure_version: u32_at(descriptor, 4).ok_or(short)?,
            version: text(16, 48, Field::Version)?,
            project: text(48, 80, Field::Project)?,
            time: text(80, 96, Field::Time)?,
            date: text(96, 112, Field::Date)?,
            idf_version: text(112, 144, Field::IdfVersion)?,
            elf_sha256: array(descriptor, 144).ok_or(short)?,
            min_efuse_revision: Revision(u16_at(descriptor, 176).ok_or(short)?),
            max_efuse_revision: limit(u16_at(descriptor, 178).ok_or(short)?),
            mmu_page: u8_at(descriptor, 180)
                .filter(|&power| power > 0)
                .and_then(|power| 1u32.checked_shl(u32::from(power))),
        })
    }

    /// Whether the image runs on a chip of this kind; [`Self::runs_on_revision`] says whether on its revision.
    ///
    /// # Errors
    /// Says that the image is for another chip.
    pub fn runs_on(&self, chip: Chip) -> Result<(), ImageError> {
        if self.chip == chip {
            Ok(())
        } else {
            Err(ImageError::WrongChip {
                found: self.chip,
                wanted: chip,
            })
        }
    }

    /// Whether the image runs on this revision of its chip.
    pub fn runs_on_revision(&self, revision: Revision) -> bool {
        revision >= self.min_revision && self.max_revision.is_none_or(|newest| revision <= newest)
    }
}

impl Head<'_> {
    /// Returns the bytes of the image without what may follow, for who does not hold it in memory. `number` reads the 32-bit number at
    /// an offset of the image; none when it cannot, or when the image is longer than 4 GB.
    pub fn length(&self, mut number: impl FnMut(u32) -> Option<u32>) -> Option<u32> {
        let (header, segment_header) = (HEADER as u32, SEGMENT_HEADER as u32);
        let mut at = header;
        for _ in 0..self.segments {
            let length = number(at.checked_add(4)?)?;
            at = at.checked_add(segment_header)?.checked_add(length)?;
        }
        let digest = if self.hash_appended { 32 } else { 0 };
        (at | CHECKSUM_PLACE).checked_add(1 + digest)
    }
}

/// A revision that 0 and 65535 mean no limit for.
fn limit(revision: u16) -> Option<Revision> {
    (revision != 0 && revision != u16::MAX).then_some(Revision(revision))
}

/// The first 24 bytes of an app or a bootloader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) chip: Chip,
    segments: u8,
    entry: u32,
    flash: Flash,
    min_revision: Revision,
    max_revision: Option<Revision>,
    hash_appended: bool,
}

impl Header {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let short = ImageError::TooShort { found: bytes.len() };
        let header: [u8; HEADER] = array(bytes, 0).ok_or(short)?;
        let [magic, segments, mode, size_and_frequency, ..] = header;
        if magic != MAGIC {
            return Err(ImageError::Magic { found: magic });
        }
        if segments == 0 || segments > MAX_SEGMENTS {
            return Err(ImageError::SegmentCount { found: segments });
        }
        let id = u16_at(&header, 12).ok_or(short)?;
        let chip = Chip::from_id(id).ok_or(ImageError::Chip { found: id })?;
        let legacy = u16::from(u8_at(&header, 14).ok_or(short)?);
        let oldest = u16_at(&header, 15).ok_or(short)?;
        let newest = u16_at(&header, 17).ok_or(short)?;
        // Images of old ESP-IDF know one byte only: a major revision of the ESP32, a minor one of the ESP32-C3.
        let min_revision = match chip {
            Chip::Esp32 if oldest == 0 && newest == 0 => legacy.saturating_mul(100),
            Chip::Esp32C3 if oldest == 0 && newest == 0 => legacy,
            _ => oldest,
        };
        let flag = u8_at(&header, 23).ok_or(short)?;
        if flag > 1 {
            return Err(ImageError::DigestFlag { found: flag });
        }
        Ok(Self {
            chip,
            segments,
            entry: u32_at(&header, 4).ok_or(short)?,
            flash: Flash {
                mode,
                size: size_and_frequency >> 4,
                frequency: size_and_frequency & 15,
            },
            min_revision: Revision(min_revision),
            max_revision: limit(newest),
            hash_appended: flag == 1,
        })
    }
}

/// A piece of an image that is loaded into, or mapped at, one place in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Where in memory.
    pub address: u32,
    /// Where its bytes are in the file.
    pub offset: usize,
    /// Its bytes.
    pub data: &'a [u8],
}

/// The segments of an image, in order.
#[derive(Debug, Clone)]
pub struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
    next: u8,
    count: u8,
}

impl<'a> Segments<'a> {
    fn of(bytes: &'a [u8], count: u8) -> Self {
        Self {
            bytes,
            at: HEADER,
            next: 0,
            count,
        }
    }

    /// The next segment, or why it is none.
    fn step(&mut self) -> Result<Segment<'a>, ImageError> {
        let cut = |wanted| ImageError::CutShort {
            wanted,
            found: self.bytes.len(),
        };
        let data_at = self.at.saturating_add(SEGMENT_HEADER);
        let address = u32_at(self.bytes, self.at).ok_or(cut(data_at))?;
        let found = u32_at(self.bytes, self.at.saturating_add(4)).ok_or(cut(data_at))?;
        if found % 4 != 0 || found >= MAX_SEGMENT {
            return Err(ImageError::SegmentLength {
                segment: self.next,
                found,
            });
        }
        let end =
            usize::try_from(found).map_or(usize::MAX, |length| data_at.saturating_add(length));
        let data = self.bytes.get(data_at..end).ok_or(cut(end))?;
        let segment = Segment {
            address,
            offset: data_at,
            data,
        };
        self.at = end;
        self.next = self.next.saturating_add(1);
        Ok(segment)
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        (self.next < self.count).then(|| self.step().ok()).flatten()
    }
}

/// What the bytes between header and end hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body {
    checksum: u8,
    appended_sha256: Option<[u8; 32]>,
    /// Bytes of the image without what may follow.
    pub(crate) length: usize,
}

impl Body {
    /// Checks segments, checksum and digest.
    pub(crate) fn parse(bytes: &[u8], header: &Header) -> Result<Self, ImageError> {
        let mut segments = Segments::of(bytes, header.segments);
        let mut wanted = CHECKSUM_SEED;
        for _ in 0..header.segments {
            let segment = segments.step()?;
            wanted = segment.data.iter().fold(wanted, |sum, byte| sum ^ byte);
        }
        let place = segments.at | CHECKSUM_PLACE as usize;
        let plain = place.saturating_add(1);
        let length = plain.saturating_add(if header.hash_appended { 32 } else { 0 });
        let cut = ImageError::CutShort {
            wanted: length,
            found: bytes.len(),
        };
        let found = u8_at(bytes, place).ok_or(cut)?;
        if found != wanted {
            return Err(ImageError::Checksum { found, wanted });
        }
        let mut appended_sha256 = None;
        if header.hash_appended {
            let digest: [u8; 32] = array(bytes, plain).ok_or(cut)?;
            let signed = bytes.get(..plain).ok_or(cut)?;
            if <[u8; 32]>::from(Sha256::digest(signed)) != digest {
                return Err(ImageError::Digest);
            }
            appended_sha256 = Some(digest);
        }
        Ok(Self {
            checksum: found,
            appended_sha256,
            length,
        })
    }
}

/// A whole and sound app image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppImage<'a> {
    /// What it says of itself.
    pub head: Head<'a>,
    /// The checksum over its segments.
    pub checksum: u8,
    /// The SHA-256 at its end, over all bytes before.
    pub appended_sha256: Option<[u8; 32]>,
    /// Bytes of the image without signature blocks: where they begin, the image ends.
    pub length: usize,
    /// The signature blocks of Secure Boot v2, when it has some.
    pub secure_boot: Option<SecureBoot>,
    bytes: &'a [u8],
}

impl<'a> AppImage<'a> {
    /// The segments, in order.
    pub fn segments(&self) -> Segments<'a> {
        Segments::of(self.bytes, self.head.segments)
    }

    /// Bytes of the file, with signature blocks.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// SHA-256 of the file: its identity in the library and in manifests.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.bytes).into()
    }

    /// What the first segment holds after the app descriptor.
    pub fn payload(&self) -> &'a [u8] {
        let first = self.segments().next().map_or(&[][..], |first| first.data);
        first.get(DESCRIPTOR_SIZE..).unwrap_or_default()
    }

    /// Whether the file fits into a slot.
    ///
    /// # Errors
    /// Says how large both are.
    pub fn fits(&self, slot: u64) -> Result<(), ImageError> {
        let size = u64::try_from(self.size()).unwrap_or(u64::MAX);
        if size <= slot {
            Ok(())
        } else {
            Err(ImageError::TooLarge { size, slot })
        }
    }
}

/// Reads a whole file and checks every part of it.
///
/// # Errors
/// Says what is wrong with the file, or what it is instead of an app image.
pub fn parse(bytes: &[u8]) -> Result<AppImage<'_>, ImageError> {
    let head = match Head::parse(bytes) {
        Ok(head) => head,
        Err(error) => return Err(merged::explain(bytes).map_or(error, ImageError::Other)),
    };
    let body = Body::parse(bytes, &Header::parse(bytes)?)?;
    let secure_boot = secure_boot::after(bytes, body.length)?;
    Ok(AppImage {
        head,
        checksum: body.checksum,
        appended_sha256: body.appended_sha256,
        length: body.length,
        secure_boot,
        bytes,
    })
}
