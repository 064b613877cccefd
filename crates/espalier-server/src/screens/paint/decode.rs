//! Reads the pictures that people upload, within limits: what is too large is refused before it takes memory.

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// The largest file, bytes.
pub const MAX_FILE: usize = 10 * 1024 * 1024;
/// The most pixels.
pub const MAX_PIXELS: u64 = 40_000_000;
/// The most memory for one picture, bytes.
const MAX_MEMORY: u64 = 320 * 1024 * 1024;

/// A picture as it was uploaded, upright.
pub struct Decoded {
    /// `png`, `jpeg`, `gif`, `webp` or `bmp`.
    pub kind: &'static str,
    /// Its pixels.
    pub picture: DynamicImage,
}

/// Reads a picture; of an animation its first frame. What it is, is told by its bytes, never by its name.
///
/// # Errors
/// One sentence for people.
pub fn decode(file: &[u8]) -> Result<Decoded, String> {
    if file.len() > MAX_FILE {
        return Err(format!(
            "A picture may have at most {} MB; make it smaller.",
            MAX_FILE >> 20
        ));
    }
    let reader = ImageReader::new(Cursor::new(file)).with_guessed_format();
    let mut reader = reader.map_err(|_| unknown())?;
    let kind = match reader.format() {
        Some(ImageFormat::Png) => "png",
        Some(ImageFormat::Jpeg) => "jpeg",
        Some(ImageFormat::Gif) => "gif",
        Some(ImageFormat::WebP) => "webp",
        Some(ImageFormat::Bmp) => "bmp",
        _ => return Err(unknown()),
    };
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| unreadable(&e))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(format!(
            "The picture says that it has {width}×{height} pixels; send one with at most {} million.",
            MAX_PIXELS / 1_000_000
        ));
    }
    if decoder.total_bytes() > MAX_MEMORY {
        return Err(too_heavy());
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| unreadable(&e))?;
    picture.apply_orientation(orientation);
    Ok(Decoded { kind, picture })
}

fn unknown() -> String {
    "This file is not a picture that can be shown; send PNG, JPEG, GIF, WebP or BMP.".to_owned()
}

fn too_heavy() -> String {
    "The picture takes too much memory; send one with fewer pixels or colours.".to_owned()
}

fn unreadable(error: &ImageError) -> String {
    match error {
        ImageError::Limits(_) => too_heavy(),
        ImageError::Unsupported(_) => {
            "The picture uses a form of its format that cannot be read; save it again as PNG or JPEG."
                .to_owned()
        }
        _ => "The picture is damaged or was cut off; send it again.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;

    fn file(format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        let picture = DynamicImage::ImageRgb8(RgbImage::from_fn(9, 5, |x, y| {
            image::Rgb([x as u8 * 20, y as u8 * 40, 7])
        }));
        picture.write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    #[test]
    fn every_format_is_read_by_its_bytes() {
        let formats = [
            (ImageFormat::Png, "png"),
            (ImageFormat::Jpeg, "jpeg"),
            (ImageFormat::Gif, "gif"),
            (ImageFormat::WebP, "webp"),
            (ImageFormat::Bmp, "bmp"),
        ];
        for (format, kind) in formats {
            let read = decode(&file(format)).unwrap();
            assert_eq!((read.kind, read.picture.width()), (kind, 9));
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for wrong in [
            &b"<html><script>alert(1)</script>"[..],
            b"",
            b"<svg/>",
            b"II*\0xx",
        ] {
            let error = decode(wrong).err().unwrap();
            assert!(error.contains("not a picture"), "{error}");
        }
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp] {
            let whole = file(format);
            for end in 12..whole.len() - 12 {
                if let Err(error) = decode(&whole[..end]) {
                    assert!(!error.contains("pixels; send one with at most"), "{error}");
                }
            }
            assert!(decode(&whole[..whole.len() / 2]).is_err(), "{format:?}");
        }
    }

    #[test]
    fn a_picture_that_claims_to_be_huge_is_refused_before_it_takes_memory() {
        let mut png = file(ImageFormat::Png);
        // Width and height of the first chunk, and its checksum.
        png[16..24].copy_from_slice(&[0, 0, 0xF0, 0, 0, 0, 0xF0, 0]);
        let sum = crc(&png[12..29]);
        png[29..33].copy_from_slice(&sum.to_be_bytes());
        let error = decode(&png).err().unwrap();
        assert!(error.contains("61440×61440"), "{error}");
    }

    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |mut crc, byte| {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1));
            }
            crc
        })
    }
}
