//! Pictures with light and shade as black and white dots.
//!
//! Luminance is computed in linear light, and so is the error that Floyd and Steinberg's method hands on: a grey area reflects
//! as much light as its dots do together. Everything is integer arithmetic in a fixed order, so the same picture gives the
//! same dots on every machine.

use super::Bitmap;
use image::{DynamicImage, GenericImageView, ImageBuffer, Luma, imageops::FilterType};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;
use utoipa::ToSchema;

/// How a picture fills a screen of another shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// All of it, with white beside it.
    #[default]
    Contain,
    /// The whole screen; what sticks out on two sides is cut off.
    Cover,
}

/// A picture in linear light: 0 is black, 65535 is white.
type Light = ImageBuffer<Luma<u16>, Vec<u16>>;

/// Full light.
const WHITE: u16 = u16::MAX;

/// Linear light of each value of an sRGB channel.
static LINEAR: LazyLock<[u16; 256]> = LazyLock::new(|| {
    std::array::from_fn(|value| {
        let v = value as f64 / 255.0;
        let linear = if v <= 0.040_45 {
            v / 12.92
        } else {
            ((v + 0.055) / 1.055).powf(2.4)
        };
        (linear * f64::from(WHITE)).round() as u16
    })
});

/// Makes dots of a picture.
pub fn dots(picture: &DynamicImage, width: usize, height: usize, fit: Fit) -> Bitmap {
    let side = |n: usize| u32::try_from(n.max(1)).unwrap_or(1);
    let light = fill(light_of(picture), side(width), side(height), fit);
    floyd_steinberg(&light, width, height)
}

/// The luminance of a picture on white paper.
fn light_of(picture: &DynamicImage) -> Light {
    let (width, height) = picture.dimensions();
    let values: Vec<u16> = match picture {
        DynamicImage::ImageLuma8(grey) => grey
            .as_raw()
            .iter()
            .map(|v| LINEAR[usize::from(*v)])
            .collect(),
        DynamicImage::ImageRgb8(colour) => {
            let pixels = colour.as_raw().chunks_exact(3);
            pixels.map(|p| luminance(p[0], p[1], p[2])).collect()
        }
        other => {
            let rgba = other.to_rgba8();
            let pixels = rgba.as_raw().chunks_exact(4);
            pixels
                .map(|p| on_white(luminance(p[0], p[1], p[2]), p[3]))
                .collect()
        }
    };
    Light::from_raw(width, height, values).unwrap_or_else(|| Light::from_pixel(1, 1, Luma([WHITE])))
}

/// The luminance of a colour (Rec. 709), in linear light. The weights add up to 65536.
fn luminance(red: u8, green: u8, blue: u8) -> u16 {
    let part = |weight: u64, value: u8| weight * u64::from(LINEAR[usize::from(value)]);
    let sum = part(13_933, red) + part(46_871, green) + part(4_732, blue);
    ((sum + 32_768) >> 16) as u16
}

fn on_white(light: u16, alpha: u8) -> u16 {
    let (alpha, light) = (u32::from(alpha), u32::from(light));
    ((light * alpha + u32::from(WHITE) * (255 - alpha) + 127) / 255) as u16
}

/// Scales and places a picture. One that has the size already stays as it is.
fn fill(light: Light, width: u32, height: u32, fit: Fit) -> Light {
    let (w, h) = light.dimensions();
    if (w, h) == (width, height) {
        return light;
    }
    // Whether the picture is wider than the screen, in exact arithmetic.
    let wider = u64::from(w) * u64::from(height) > u64::from(h) * u64::from(width);
    let share = |a: u32, b: u32, c: u32| {
        let exact = (u64::from(a) * u64::from(b) + u64::from(c) / 2) / u64::from(c.max(1));
        u32::try_from(exact).unwrap_or(u32::MAX).max(1)
    };
    let light = DynamicImage::ImageLuma16(light);
    match fit {
        Fit::Contain => {
            let (new_w, new_h) = match wider {
                true => (width, share(h, width, w).min(height)),
                false => (share(w, height, h).min(width), height),
            };
            let scaled = scale(&light, new_w, new_h);
            let mut paper = Light::from_pixel(width, height, Luma([WHITE]));
            let (x, y) = ((width - new_w) / 2, (height - new_h) / 2);
            image::imageops::replace(&mut paper, &scaled, i64::from(x), i64::from(y));
            paper
        }
        Fit::Cover => {
            let (cut_w, cut_h) = match wider {
                true => (share(width, h, height).min(w), h),
                false => (w, share(height, w, width).min(h)),
            };
            let (x, y) = ((w - cut_w) / 2, (h - cut_h) / 2);
            scale(&light.crop_imm(x, y, cut_w, cut_h), width, height)
        }
    }
}

fn scale(light: &DynamicImage, width: u32, height: u32) -> Light {
    if light.dimensions() == (width, height) {
        return light.to_luma16();
    }
    light
        .resize_exact(width, height, FilterType::CatmullRom)
        .into_luma16()
}

/// Hands the error of each pixel on to its neighbours: 7/16 ahead, 3/16, 5/16 and 1/16 below. Every second row goes from right
/// to left, which avoids the worms that one direction makes.
fn floyd_steinberg(light: &Light, width: usize, height: usize) -> Bitmap {
    let mut dots = Bitmap::white(width, height);
    // One more at each end, for errors that leave the picture.
    let (mut here, mut below) = (vec![0i32; width + 2], vec![0i32; width + 2]);
    let values = light.as_raw();
    for y in 0..height {
        let leftward = y % 2 == 1;
        for step in 0..width {
            let x = if leftward { width - 1 - step } else { step };
            let wanted = i32::from(values[y * width + x]) + here[x + 1];
            let black = wanted < 32_768;
            dots.set(x, y, black);
            let error = wanted - if black { 0 } else { i32::from(WHITE) };
            let (ahead, behind) = if leftward { (x, x + 2) } else { (x + 2, x) };
            let (seven, three, five) = (error * 7 / 16, error * 3 / 16, error * 5 / 16);
            here[ahead] += seven;
            below[behind] += three;
            below[x + 1] += five;
            below[ahead] += error - seven - three - five;
        }
        std::mem::swap(&mut here, &mut below);
        below.fill(0);
    }
    dots
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Rgba, RgbaImage};

    fn grey(width: u32, height: u32, value: u8) -> DynamicImage {
        DynamicImage::ImageLuma8(GrayImage::from_pixel(width, height, Luma([value])))
    }

    fn black(dots: &Bitmap) -> usize {
        let rows = 0..dots.height;
        rows.map(|y| (0..dots.width).filter(|x| dots.is_black(*x, y)).count())
            .sum()
    }

    #[test]
    fn white_stays_white_and_black_stays_black() {
        assert_eq!(
            black(&dots(&grey(800, 480, 255), 800, 480, Fit::Contain)),
            0
        );
        let all = black(&dots(&grey(40, 24, 0), 800, 480, Fit::Contain));
        assert_eq!(all, 800 * 480);
    }

    #[test]
    fn a_checkerboard_of_the_right_size_stays_itself() {
        let board = GrayImage::from_fn(80, 48, |x, y| {
            Luma([if (x + y) % 2 == 0 { 0 } else { 255 }])
        });
        let dots = dots(&DynamicImage::ImageLuma8(board), 80, 48, Fit::Cover);
        for y in 0..48 {
            for x in 0..80 {
                assert_eq!(dots.is_black(x, y), (x + y) % 2 == 0);
            }
        }
    }

    #[test]
    fn grey_reflects_as_much_light_as_its_dots() {
        // sRGB 188 is half the light of white.
        for (value, share) in [(188u8, 0.5), (137, 0.75), (225, 0.25)] {
            let found =
                black(&dots(&grey(200, 200, value), 200, 200, Fit::Cover)) as f64 / 40_000.0;
            assert!((found - share).abs() < 0.01, "{value}: {found}");
        }
    }

    #[test]
    fn colours_have_the_luminance_that_the_eye_sees() {
        assert_eq!(luminance(255, 255, 255), WHITE);
        assert_eq!(luminance(0, 0, 0), 0);
        assert!(luminance(0, 255, 0) > luminance(255, 0, 0));
        assert!(luminance(255, 0, 0) > luminance(0, 0, 255));
    }

    #[test]
    fn what_is_transparent_is_paper() {
        let clear = RgbaImage::from_pixel(8, 8, Rgba([0, 0, 0, 0]));
        let dots = dots(&DynamicImage::ImageRgba8(clear), 8, 8, Fit::Contain);
        assert_eq!(black(&dots), 0);
    }

    #[test]
    fn contain_leaves_white_beside_and_cover_does_not() {
        let square = grey(100, 100, 0);
        let contained = dots(&square, 800, 480, Fit::Contain);
        assert_eq!(black(&contained), 480 * 480);
        assert!(!contained.is_black(159, 240) && contained.is_black(160, 240));
        assert_eq!(black(&dots(&square, 800, 480, Fit::Cover)), 800 * 480);
    }

    #[test]
    fn extreme_shapes_stay_within_bounds() {
        for (w, h) in [(1, 1), (1, 5000), (5000, 1), (3, 2)] {
            for fit in [Fit::Contain, Fit::Cover] {
                let dots = dots(&grey(w, h, 0), 800, 480, fit);
                assert!(black(&dots) >= 1, "{w}×{h}");
            }
        }
    }

    #[test]
    fn the_same_picture_gives_the_same_dots() {
        let picture = GrayImage::from_fn(97, 61, |x, y| Luma([(x * 7 + y * 3) as u8]));
        let picture = DynamicImage::ImageLuma8(picture);
        let once = dots(&picture, 800, 480, Fit::Cover);
        assert_eq!(once, dots(&picture, 800, 480, Fit::Cover));
    }
}
