//! Pictures for screens of 800×480 pixels that are black or white: made here, without I/O, clock or settings.
//!
//! `decode` reads what people upload, `dither` turns it into dots, `font` and `canvas` draw text and shapes that are sharp
//! without grey, `chart` draws curves, `board` puts it all together, and `bmp` writes what old boards read.

pub mod bmp;
pub mod board;
mod canvas;
pub mod chart;
pub mod decode;
pub mod dither;
mod font;

pub use bmp::{BMP_BYTES, HEIGHT, WIDTH};

/// A picture whose pixels are black or white.
#[derive(Clone, PartialEq, Eq)]
pub struct Bitmap {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Eight pixels a byte, the leftmost in the highest bit, 1 is white; rows from the top, each padded to a byte.
    bits: Vec<u8>,
}

impl Bitmap {
    /// A white picture.
    pub fn white(width: usize, height: usize) -> Self {
        let bits = vec![0xFF; width.div_ceil(8) * height];
        Self {
            width,
            height,
            bits,
        }
    }

    /// The bytes of one row.
    pub fn row(&self, y: usize) -> &[u8] {
        let stride = self.width.div_ceil(8);
        &self.bits[y * stride..(y + 1) * stride]
    }

    /// Whether a pixel is black; outside nothing is.
    pub fn is_black(&self, x: usize, y: usize) -> bool {
        x < self.width && y < self.height && self.row(y)[x / 8] & (0x80 >> (x % 8)) == 0
    }

    /// Makes a pixel black or white; outside nothing happens.
    pub fn set(&mut self, x: usize, y: usize, black: bool) {
        if x >= self.width || y >= self.height {
            return;
        }
        let stride = self.width.div_ceil(8);
        let byte = &mut self.bits[y * stride + x / 8];
        let bit = 0x80 >> (x % 8);
        if black {
            *byte &= !bit;
        } else {
            *byte |= bit;
        }
    }

    /// The same picture as a PNG.
    ///
    /// # Errors
    /// Fails when the encoder does.
    pub fn png(&self) -> image::ImageResult<Vec<u8>> {
        use image::ImageEncoder;
        let grey = (0..self.height).flat_map(|y| {
            (0..self.width).map(move |x| if self.is_black(x, y) { 0u8 } else { 255 })
        });
        let grey: Vec<u8> = grey.collect();
        let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut out = Vec::new();
        image::codecs::png::PngEncoder::new(&mut out).write_image(
            &grey,
            side(self.width),
            side(self.height),
            image::ExtendedColorType::L8,
        )?;
        Ok(out)
    }
}

impl std::fmt::Debug for Bitmap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bitmap({}×{})", self.width, self.height)
    }
}
