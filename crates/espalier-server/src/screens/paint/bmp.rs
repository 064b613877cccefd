//! The one file that boards with a screen read: a BMP of 800×480 pixels and one bit each, 48,062 bytes.
//!
//! It has a header of 14 and 40 bytes, a palette of two colours (0 black, 1 white), and rows of 100 bytes from the bottom up.

use super::Bitmap;

/// Pixels per row.
pub const WIDTH: usize = 800;
/// Rows.
pub const HEIGHT: usize = 480;
/// Bytes of the file.
pub const BMP_BYTES: usize = HEADER + ROW * HEIGHT;

/// Where the pixels begin.
const HEADER: usize = 62;
/// Bytes per row; a multiple of four, as the format wants it.
const ROW: usize = WIDTH / 8;
/// 96 dots per inch.
const DOTS_PER_METRE: u32 = 3780;

/// Writes a picture as a file. What lies outside of 800×480 is left out, what is missing is white.
pub fn encode(picture: &Bitmap) -> Vec<u8> {
    let mut out = Vec::with_capacity(BMP_BYTES);
    out.extend_from_slice(b"BM");
    let header: [u32; 3] = [BMP_BYTES as u32, 0, HEADER as u32];
    header.iter().for_each(|n| word(&mut out, *n));
    [40, WIDTH as u32, HEIGHT as u32]
        .iter()
        .for_each(|n| word(&mut out, *n));
    // One plane, one bit per pixel.
    out.extend_from_slice(&[1, 0, 1, 0]);
    let no_compression = 0;
    let info = [
        no_compression,
        (ROW * HEIGHT) as u32,
        DOTS_PER_METRE,
        DOTS_PER_METRE,
        2,
        2,
    ];
    info.iter().for_each(|n| word(&mut out, *n));
    let (black, white) = (0x0000_0000, 0x00FF_FFFF);
    word(&mut out, black);
    word(&mut out, white);
    for y in (0..HEIGHT).rev() {
        let start = out.len();
        if y < picture.height {
            let row = picture.row(y);
            out.extend_from_slice(&row[..row.len().min(ROW)]);
        }
        out.resize(start + ROW, 0xFF);
    }
    out
}

fn word(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_what_old_boards_read() {
        let file = encode(&Bitmap::white(WIDTH, HEIGHT));
        assert_eq!(file.len(), 48_062);
        let header = [
            b'B', b'M', 0xBE, 0xBB, 0x00, 0x00, 0, 0, 0, 0, 62, 0, 0, 0, // file
            40, 0, 0, 0, 0x20, 0x03, 0, 0, 0xE0, 0x01, 0, 0, 1, 0, 1,
            0, // 800, 480, 1 plane, 1 bit
            0, 0, 0, 0, 0x80, 0xBB, 0, 0, 0xC4, 0x0E, 0, 0, 0xC4, 0x0E, 0, 0, // 48,000 bytes
            2, 0, 0, 0, 2, 0, 0, 0, // two colours, both matter
            0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0, // black, white
        ];
        assert_eq!(file[..62], header);
        assert!(file[62..].iter().all(|byte| *byte == 0xFF));
    }

    #[test]
    fn rows_go_from_the_bottom_up_and_pixels_from_the_highest_bit() {
        let mut picture = Bitmap::white(WIDTH, HEIGHT);
        picture.set(0, 0, true);
        picture.set(799, 479, true);
        let file = encode(&picture);
        assert_eq!(file[62 + 99], 0xFE, "the last pixel of the bottom row");
        assert_eq!(file[48_062 - 100], 0x7F, "the first pixel of the top row");
        assert_eq!(file[62..].iter().filter(|byte| **byte != 0xFF).count(), 2);
    }

    #[test]
    fn what_is_missing_is_white() {
        let mut small = Bitmap::white(8, 1);
        small.set(0, 0, true);
        let file = encode(&small);
        assert_eq!(file.len(), BMP_BYTES);
        assert_eq!(file[BMP_BYTES - 100..BMP_BYTES - 98], [0x7F, 0xFF]);
    }

    #[test]
    fn another_reader_sees_the_same_pixels() {
        let mut picture = Bitmap::white(WIDTH, HEIGHT);
        for n in 0..400 {
            picture.set(n * 2, n, true);
        }
        let read = image::load_from_memory_with_format(&encode(&picture), image::ImageFormat::Bmp);
        let read = read.unwrap().to_luma8();
        for (x, y, pixel) in read.enumerate_pixels() {
            assert_eq!(pixel.0[0] == 0, picture.is_black(x as usize, y as usize));
        }
    }
}
