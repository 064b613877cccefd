//! Pictures for the display: a BMP file of 800×480 pixels and one bit each, taken in as it comes and handed out row by row.
//! Nothing of it is kept but one row. Not a decoder of other pictures: the server sends no others.
//!
//! Rows are handed out with 1 for white, whatever the palette says, and with their place counted from the top; in most files the
//! bottom row comes first.

use core::fmt;

/// Pixels of a row.
pub const WIDTH: usize = 800;
/// Rows.
pub const HEIGHT: usize = 480;
/// Bytes of a row.
pub const ROW: usize = WIDTH / 8;
/// Bytes of the headers that are read: file, information, two colours.
const HEADER: usize = 62;
/// The farthest place at which the pixels may begin.
const MAX_OFFSET: u32 = 4_096;

/// Why a file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BmpError {
    /// It does not begin like a BMP.
    NotBmp,
    /// It has another size, in pixels.
    Size(i32, i32),
    /// It has another number of bits per pixel, or is compressed.
    Format,
    /// Its two colours are not black and white, or its pixels begin at an impossible place.
    Header,
    /// It ended after so many rows.
    Short(u16),
}

impl fmt::Display for BmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BmpError::NotBmp => f.write_str("the picture is no BMP"),
            BmpError::Size(width, height) => {
                write!(
                    f,
                    "the picture has {width}x{height} pixels, not {WIDTH}x{HEIGHT}"
                )
            }
            BmpError::Format => {
                f.write_str("the picture must have one bit per pixel, uncompressed")
            }
            BmpError::Header => f.write_str("the header of the picture is damaged"),
            BmpError::Short(rows) => write!(f, "the picture ended after {rows} of {HEIGHT} rows"),
        }
    }
}

impl core::error::Error for BmpError {}

/// Takes in a file.
#[derive(Debug)]
pub struct Decoder {
    /// The header, then one row at a time.
    buffer: [u8; ROW],
    filled: usize,
    /// Bytes between the header and the pixels that are still to be skipped.
    skip: u32,
    shape: Option<Shape>,
    rows: u16,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    bottom_up: bool,
    /// Whether 1 is black in the file.
    inverted: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder {
            buffer: [0; ROW],
            filled: 0,
            skip: 0,
            shape: None,
            rows: 0,
        }
    }
}

impl Decoder {
    /// Takes in the next bytes, however many, and calls `row` with the place from the top and the pixels of every row that is
    /// whole. What follows the last row is ignored.
    ///
    /// # Errors
    /// Says why the file is refused; then nothing more may be pushed.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        mut row: impl FnMut(u16, &[u8; ROW]),
    ) -> Result<(), BmpError> {
        while !bytes.is_empty() && !self.is_complete() {
            let wanted = match self.shape {
                None => HEADER,
                Some(_) => ROW,
            };
            if self.skip > 0 {
                let count = bytes
                    .len()
                    .min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                bytes = bytes.get(count..).unwrap_or_default();
                // At most `skip`.
                self.skip -= count as u32;
                continue;
            }
            let count = bytes.len().min(wanted - self.filled);
            let (now, later) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
            if let Some(place) = self.buffer.get_mut(self.filled..self.filled + count) {
                place.copy_from_slice(now);
            }
            (self.filled, bytes) = (self.filled + count, later);
            if self.filled < wanted {
                break;
            }
            self.filled = 0;
            match self.shape {
                None => self.shape = Some(self.read_header()?),
                Some(shape) => {
                    if shape.inverted {
                        self.buffer.iter_mut().for_each(|byte| *byte = !*byte);
                    }
                    let last = HEIGHT as u16 - 1;
                    let place = if shape.bottom_up {
                        last - self.rows
                    } else {
                        self.rows
                    };
                    self.rows += 1;
                    row(place, &self.buffer);
                }
            }
        }
        Ok(())
    }

    /// Says whether every row was handed out.
    pub const fn is_complete(&self) -> bool {
        self.rows as usize == HEIGHT
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When rows are missing.
    pub const fn finish(self) -> Result<(), BmpError> {
        if self.is_complete() {
            Ok(())
        } else {
            Err(BmpError::Short(self.rows))
        }
    }

    fn read_header(&mut self) -> Result<Shape, BmpError> {
        let word = |at: usize| {
            let bytes = self.buffer.get(at..).and_then(|b| b.first_chunk::<4>());
            u32::from_le_bytes(bytes.copied().unwrap_or_default())
        };
        if !self.buffer.starts_with(b"BM") || word(14) < 40 {
            return Err(BmpError::NotBmp);
        }
        let (width, height) = (word(18).cast_signed(), word(22).cast_signed());
        if width.unsigned_abs() as usize != WIDTH
            || height.unsigned_abs() as usize != HEIGHT
            || width < 0
        {
            return Err(BmpError::Size(width, height));
        }
        // One plane of one bit, no compression.
        if word(26) != 0x0001_0001 || word(30) != 0 {
            return Err(BmpError::Format);
        }
        // A longer information header pushes the colours away from where they are read; then 1 is white, as everywhere.
        let colours = (word(54) & 0x00ff_ffff, word(58) & 0x00ff_ffff);
        let inverted = match (word(14), colours) {
            (40, (0, 0x00ff_ffff)) => false,
            (40, (0x00ff_ffff, 0)) => true,
            (40, _) => return Err(BmpError::Header),
            _ => false,
        };
        let offset = word(10);
        self.skip = match offset.checked_sub(HEADER as u32) {
            Some(skip) if offset <= MAX_OFFSET => skip,
            _ => return Err(BmpError::Header),
        };
        Ok(Shape {
            bottom_up: height > 0,
            inverted,
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// A file as the server writes it, with a pattern that tells every row from every other.
    fn file() -> Vec<u8> {
        let mut out = vec![
            b'B', b'M', 0xbe, 0xbb, 0, 0, 0, 0, 0, 0, 62, 0, 0, 0, // file
            40, 0, 0, 0, 0x20, 3, 0, 0, 0xe0, 1, 0, 0, 1, 0, 1,
            0, // 800×480, one plane, one bit
            0, 0, 0, 0, 0x80, 0xbb, 0, 0, 0xc4, 0x0e, 0, 0, 0xc4, 0x0e, 0, 0, 2, 0, 0, 0, 2, 0, 0,
            0, // the rest
            0, 0, 0, 0, 0xff, 0xff, 0xff, 0, // black, white
        ];
        for y in (0..HEIGHT).rev() {
            out.extend(row(y));
        }
        assert_eq!(out.len(), 48_062);
        out
    }

    fn row(y: usize) -> [u8; ROW] {
        core::array::from_fn(|x| (y * 7 + x * 13 + (y >> 8)) as u8)
    }

    fn rows_of(
        file: &[u8],
        chunks: impl Iterator<Item = usize>,
    ) -> Result<Vec<(u16, [u8; ROW])>, BmpError> {
        let (mut decoder, mut rows, mut rest) = (Decoder::default(), vec![], file);
        for size in chunks {
            let (now, later) = rest.split_at(size.min(rest.len()));
            decoder.push(now, |y, row| rows.push((y, *row)))?;
            rest = later;
        }
        decoder.push(rest, |y, row| rows.push((y, *row)))?;
        decoder.finish().map(|()| rows)
    }

    #[test]
    fn rows_come_out_from_the_bottom_up() {
        let rows = rows_of(&file(), core::iter::empty()).unwrap();
        assert_eq!(rows.len(), HEIGHT);
        for (n, (y, pixels)) in rows.iter().enumerate() {
            assert_eq!(
                (usize::from(*y), *pixels),
                (HEIGHT - 1 - n, row(HEIGHT - 1 - n))
            );
        }
    }

    #[test]
    fn other_palettes_directions_and_offsets_are_understood() {
        let plain = rows_of(&file(), core::iter::empty()).unwrap();
        let mut inverted = file();
        inverted[54..62].copy_from_slice(&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0]);
        let rows = rows_of(&inverted, core::iter::empty()).unwrap();
        assert!(
            rows.iter()
                .zip(&plain)
                .all(|(a, b)| a.0 == b.0 && a.1 == b.1.map(|byte| !byte))
        );
        let mut top_down = file();
        top_down[22..26].copy_from_slice(&(-480_i32).to_le_bytes());
        assert_eq!(rows_of(&top_down, core::iter::empty()).unwrap()[0].0, 0);
        let mut later = file();
        later[10] = 70;
        later.splice(62..62, [1; 8]);
        later.extend([9; 100]);
        assert_eq!(rows_of(&later, core::iter::empty()).unwrap(), plain);
    }

    #[test]
    fn what_is_no_such_picture_is_refused() {
        let with = |at: usize, byte: u8| {
            let mut file = file();
            file[at] = byte;
            rows_of(&file, core::iter::empty()).unwrap_err()
        };
        assert_eq!(
            (with(0, b'X'), with(14, 12)),
            (BmpError::NotBmp, BmpError::NotBmp)
        );
        assert_eq!(with(18, 0x21), BmpError::Size(801, 480));
        assert_eq!(
            (with(28, 8), with(30, 1)),
            (BmpError::Format, BmpError::Format)
        );
        assert_eq!(
            (with(58, 0x80), with(10, 61), with(12, 1)),
            (BmpError::Header, BmpError::Header, BmpError::Header)
        );
        let whole = file();
        for (len, rows) in [(0, 0), (61, 0), (62 + 99, 0), (62 + 100, 1), (48_061, 479)] {
            assert_eq!(
                rows_of(&whole[..len], core::iter::empty()),
                Err(BmpError::Short(rows))
            );
        }
        assert_eq!(
            BmpError::Size(1, 2).to_string(),
            "the picture has 1x2 pixels, not 800x480"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// However the network cuts the file, the rows are the same.
        #[test]
        fn chunks_make_no_difference(sizes in proptest::collection::vec(1..3_000_usize, 0..60)) {
            prop_assert_eq!(rows_of(&file(), sizes.into_iter()), rows_of(&file(), core::iter::empty()));
        }

        /// No bytes make the decoder fall over.
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..62_usize, byte: u8) {
            let _ = rows_of(&bytes, core::iter::empty());
            let mut file = file();
            file[at] = byte;
            if let Ok(rows) = rows_of(&file, core::iter::empty()) {
                prop_assert_eq!(rows.len(), HEIGHT);
            }
        }
    }
}
