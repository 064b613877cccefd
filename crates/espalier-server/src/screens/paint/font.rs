//! Letters that are sharp in black and white: outlines are fitted to the pixels by the font's own instructions, then filled.
//!
//! The fonts are Liberation Sans 2.1.5 (SIL Open Font License 1.1, `assets/fonts`): it covers Latin, Greek and
//! Cyrillic, and its figures are all equally wide.

use skrifa::instance::{LocationRef, Size};
use skrifa::outline::{DrawSettings, Engine, HintingInstance, HintingOptions, OutlinePen, Target};
use skrifa::{FontRef, GlyphId, MetadataProvider};
use std::collections::HashMap;
use std::rc::Rc;

static REGULAR: &[u8] = include_bytes!("../../../assets/fonts/LiberationSans-Regular.ttf");
static BOLD: &[u8] = include_bytes!("../../../assets/fonts/LiberationSans-Bold.ttf");

/// How heavy letters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weight {
    Regular,
    Bold,
}

/// One letter as pixels.
#[derive(Default)]
pub struct Glyph {
    /// How far the next letter is, pixels.
    pub advance: i32,
    /// Black runs: row (from the baseline, down is positive), first pixel, pixels.
    pub runs: Vec<(i32, i32, i32)>,
}

/// The letters of both fonts, kept once they were drawn.
pub struct Fonts {
    regular: Option<FontRef<'static>>,
    bold: Option<FontRef<'static>>,
    sizes: HashMap<(Weight, u32), Option<HintingInstance>>,
    glyphs: HashMap<(Weight, u32, char), Rc<Glyph>>,
}

impl Fonts {
    pub fn new() -> Self {
        Self {
            regular: FontRef::new(REGULAR).ok(),
            bold: FontRef::new(BOLD).ok(),
            sizes: HashMap::new(),
            glyphs: HashMap::new(),
        }
    }

    /// A letter of a size in pixels.
    pub fn glyph(&mut self, weight: Weight, size: u32, letter: char) -> Rc<Glyph> {
        if let Some(found) = self.glyphs.get(&(weight, size, letter)) {
            return found.clone();
        }
        let made = Rc::new(self.make(weight, size, letter).unwrap_or_default());
        self.glyphs.insert((weight, size, letter), made.clone());
        made
    }

    /// How wide a line is, pixels.
    pub fn width(&mut self, weight: Weight, size: u32, text: &str) -> i32 {
        text.chars()
            .map(|letter| self.glyph(weight, size, letter).advance)
            .sum()
    }

    fn make(&mut self, weight: Weight, size: u32, letter: char) -> Option<Glyph> {
        let font = match weight {
            Weight::Regular => self.regular.clone()?,
            Weight::Bold => self.bold.clone()?,
        };
        let outlines = font.outline_glyphs();
        let options = HintingOptions {
            engine: Engine::AutoFallback,
            target: Target::Mono,
        };
        let hints = self.sizes.entry((weight, size)).or_insert_with(|| {
            HintingInstance::new(
                &outlines,
                Size::new(size as f32),
                LocationRef::default(),
                options,
            )
            .ok()
        });
        let hints = hints.as_ref()?;
        // What the font does not have is shown as its empty box.
        let id = font.charmap().map(letter).unwrap_or(GlyphId::NOTDEF);
        let mut path = Path::default();
        let metrics = outlines
            .get(id)?
            .draw(DrawSettings::hinted(hints, false), &mut path)
            .ok()?;
        let metric = font.glyph_metrics(Size::new(size as f32), LocationRef::default());
        let advance = metrics.advance_width.or_else(|| metric.advance_width(id))?;
        Some(Glyph {
            advance: advance.round() as i32,
            runs: path.fill(),
        })
    }
}

/// An outline as straight lines; y grows downwards.
#[derive(Default)]
struct Path {
    lines: Vec<[(f32, f32); 2]>,
    start: (f32, f32),
    at: (f32, f32),
}

impl Path {
    fn line(&mut self, to: (f32, f32)) {
        self.lines.push([self.at, to]);
        self.at = to;
    }

    fn curve(&mut self, point: impl Fn(f32) -> (f32, f32)) {
        const STEPS: u8 = 8;
        for step in 1..=STEPS {
            self.line(point(f32::from(step) / f32::from(STEPS)));
        }
    }

    /// The pixels whose centres are inside (by winding number). A stroke that would fall between two centres keeps the pixel
    /// that it is nearest to, so that no letter breaks.
    fn fill(&self) -> Vec<(i32, i32, i32)> {
        let ys = self.lines.iter().flatten().map(|(_, y)| *y);
        let (top, bottom) = ys.fold((f32::MAX, f32::MIN), |(lo, hi), y| (lo.min(y), hi.max(y)));
        let mut runs = Vec::new();
        if top > bottom {
            return runs;
        }
        for row in top.floor() as i32..=bottom.ceil() as i32 {
            let centre = row as f32 + 0.5;
            let mut crossings: Vec<(f32, i32)> = Vec::new();
            for [(x0, y0), (x1, y1)] in &self.lines {
                let down = *y0 <= centre && *y1 > centre;
                let up = *y1 <= centre && *y0 > centre;
                if down || up {
                    let x = x0 + (centre - y0) / (y1 - y0) * (x1 - x0);
                    crossings.push((x, if down { 1 } else { -1 }));
                }
            }
            crossings.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut winding = 0;
            let mut from = 0.0;
            for (x, turn) in crossings {
                if winding == 0 {
                    from = x;
                }
                winding += turn;
                if winding == 0 {
                    let first = (from - 0.5).ceil() as i32;
                    let last = ((x - 0.5).ceil() as i32 - 1).max(first);
                    runs.push((row, first, last - first + 1));
                }
            }
        }
        runs
    }
}

impl OutlinePen for Path {
    fn move_to(&mut self, x: f32, y: f32) {
        self.start = (x, -y);
        self.at = self.start;
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.line((x, -y));
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        let (a, b, c) = (self.at, (cx, -cy), (x, -y));
        self.curve(|t| {
            let mix = |a: f32, b: f32, c: f32| {
                (1.0 - t) * ((1.0 - t) * a + t * b) + t * ((1.0 - t) * b + t * c)
            };
            (mix(a.0, b.0, c.0), mix(a.1, b.1, c.1))
        });
    }

    fn curve_to(&mut self, ax: f32, ay: f32, bx: f32, by: f32, x: f32, y: f32) {
        let (p, a, b, q) = (self.at, (ax, -ay), (bx, -by), (x, -y));
        self.curve(|t| {
            let s = 1.0 - t;
            let mix = |p: f32, a: f32, b: f32, q: f32| {
                s * s * s * p + 3.0 * s * s * t * a + 3.0 * s * t * t * b + t * t * t * q
            };
            (mix(p.0, a.0, b.0, q.0), mix(p.1, a.1, b.1, q.1))
        });
    }

    fn close(&mut self) {
        if self.at != self.start {
            self.line(self.start);
        }
    }
}
