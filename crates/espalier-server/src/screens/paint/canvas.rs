//! Lines, areas and text on a picture that is black or white.

use super::Bitmap;
use super::font::{Fonts, Weight};

/// A place and size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    pub x: i32,
    pub y: i32,
    pub w: i32,
    pub h: i32,
}

impl Rect {
    pub fn new(x: i32, y: i32, w: i32, h: i32) -> Self {
        Self { x, y, w, h }
    }

    pub fn right(self) -> i32 {
        self.x + self.w
    }

    pub fn bottom(self) -> i32 {
        self.y + self.h
    }

    /// The same with a margin inside.
    pub fn inset(self, x: i32, y: i32) -> Self {
        Self::new(
            self.x + x,
            self.y + y,
            (self.w - 2 * x).max(0),
            (self.h - 2 * y).max(0),
        )
    }
}

/// How letters look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub weight: Weight,
    /// Pixels.
    pub size: u32,
}

pub const fn regular(size: u32) -> Style {
    Style {
        weight: Weight::Regular,
        size,
    }
}

pub const fn bold(size: u32) -> Style {
    Style {
        weight: Weight::Bold,
        size,
    }
}

impl Style {
    /// From one line to the next, pixels.
    pub fn leading(self) -> i32 {
        (self.size * 13 / 10) as i32
    }

    /// How high a capital letter is, pixels.
    pub fn capital(self) -> i32 {
        (self.size as f32 * 0.729).round() as i32
    }
}

/// Something to draw on.
pub struct Canvas {
    pub picture: Bitmap,
    fonts: Fonts,
}

impl Canvas {
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            picture: Bitmap::white(width, height),
            fonts: Fonts::new(),
        }
    }

    pub fn dot(&mut self, x: i32, y: i32, black: bool) {
        if let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) {
            self.picture.set(x, y, black);
        }
    }

    /// Fills an area.
    pub fn area(&mut self, r: Rect, black: bool) {
        for y in r.y..r.bottom() {
            for x in r.x..r.right() {
                self.dot(x, y, black);
            }
        }
    }

    /// Draws a disc, or a ring when it is not full.
    pub fn disc(&mut self, x: i32, y: i32, radius: i32, full: bool) {
        let inner = radius - 2;
        for dy in -radius..=radius {
            for dx in -radius..=radius {
                let d = 4 * (dx * dx + dy * dy);
                let inside = d <= (2 * radius - 1) * (2 * radius + 1);
                if inside && (full || d > (2 * inner) * (2 * inner + 1)) {
                    self.dot(x + dx, y + dy, true);
                }
            }
        }
    }

    /// Puts another picture onto this one.
    pub fn place(&mut self, other: &Bitmap, x: i32, y: i32) {
        for row in 0..other.height {
            for column in 0..other.width {
                let black = other.is_black(column, row);
                self.dot(x + column as i32, y + row as i32, black);
            }
        }
    }

    pub fn width(&mut self, style: Style, text: &str) -> i32 {
        self.fonts.width(style.weight, style.size, text)
    }

    /// Writes one line; `y` is where the letters stand. Returns where it ends.
    pub fn text(&mut self, style: Style, x: i32, y: i32, text: &str) -> i32 {
        let mut x = x;
        for letter in text.chars() {
            let glyph = self.fonts.glyph(style.weight, style.size, letter);
            for (row, first, count) in &glyph.runs {
                for column in *first..first + count {
                    self.dot(x + column, y + row, true);
                }
            }
            x += glyph.advance;
        }
        x
    }

    /// Writes one line that ends at `right`.
    pub fn text_right(&mut self, style: Style, right: i32, y: i32, text: &str) -> i32 {
        let x = right - self.width(style, text);
        self.text(style, x, y, text);
        x
    }

    /// The same text, shortened with an ellipsis when it is wider than there is room.
    pub fn shorten(&mut self, style: Style, text: &str, room: i32) -> String {
        if self.width(style, text) <= room {
            return text.to_owned();
        }
        let mut letters: Vec<char> = text.chars().collect();
        while !letters.is_empty() {
            letters.pop();
            let shorter: String = letters.iter().collect();
            let shorter = format!("{}…", shorter.trim_end());
            if self.width(style, &shorter) <= room {
                return shorter;
            }
        }
        String::new()
    }

    /// Breaks a text into lines no wider than `room`; a word that is too long is broken.
    pub fn wrap(&mut self, style: Style, text: &str, room: i32) -> Vec<String> {
        let mut lines = Vec::new();
        for paragraph in text.lines() {
            let mut line = String::new();
            for word in paragraph.split_whitespace() {
                let longer = if line.is_empty() {
                    word.to_owned()
                } else {
                    format!("{line} {word}")
                };
                if self.width(style, &longer) <= room {
                    line = longer;
                    continue;
                }
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                for letter in word.chars() {
                    line.push(letter);
                    if line.chars().count() > 1 && self.width(style, &line) > room {
                        line.pop();
                        lines.push(std::mem::replace(&mut line, letter.to_string()));
                    }
                }
            }
            lines.push(line);
        }
        lines
    }

    /// The largest of some styles in which a text fits into a box, and its lines; with the smallest what does not fit is cut.
    pub fn fit(
        &mut self,
        styles: &[Style],
        text: &str,
        w: i32,
        h: i32,
    ) -> Option<(Style, Vec<String>)> {
        let mut last = None;
        for style in styles {
            let lines = self.wrap(*style, text, w);
            let fits = lines.len() as i32 * style.leading() <= h;
            last = Some((*style, lines));
            if fits {
                return last;
            }
        }
        let (style, mut lines) = last?;
        let most = usize::try_from(h / style.leading()).unwrap_or(0);
        if lines.len() > most {
            lines.truncate(most);
            if let Some(end) = lines.last_mut() {
                let longer = format!("{end} …");
                *end = self.shorten(style, &longer, w);
                if !end.ends_with('…') {
                    end.push('…');
                }
            }
        }
        Some((style, lines))
    }
}
