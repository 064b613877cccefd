//! Whole screens: the dashboard with its tiles, one text on its own, and what stands there before there is anything to show.
//!
//! Everything is laid out on a grid of 8 pixels with a margin of 24; text is black on white, areas are separated by space and
//! thin lines, not by boxes.

use super::canvas::{Canvas, Rect, Style, bold, regular};
use super::chart::{self, Curve};
use super::{Bitmap, HEIGHT, WIDTH};
use serde::Serialize;
use std::sync::Arc;

/// Space at the edges and between columns.
const MARGIN: i32 = 24;
const W: i32 = WIDTH as i32;
const H: i32 = HEIGHT as i32;
/// Where the heading ends and the status line begins.
const HEAD: i32 = 72;
const FOOT: i32 = H - 44;

/// Everything that a dashboard shows, in words.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Board {
    pub title: String,
    pub date: Option<String>,
    pub time: Option<String>,
    pub online: bool,
    /// E.g. `Online`, or since when not.
    pub status: String,
    /// E.g. `Values of 14:32`.
    pub updated: Option<String>,
    pub tiles: Vec<Tile>,
    pub words: Option<Words>,
    /// How far the curves reach back, e.g. `24 h`.
    #[serde(skip)]
    pub span: Option<&'static str>,
    #[serde(skip)]
    pub image: Option<Arc<Bitmap>>,
}

/// One value.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tile {
    pub label: String,
    /// The value as text; nothing when nothing was measured yet.
    pub value: Option<String>,
    pub unit: String,
    /// Digits after the point, when they were chosen.
    pub decimals: Option<u8>,
    #[serde(skip)]
    pub curve: Option<Curve>,
    /// The lowest and highest value of the curve.
    #[serde(skip)]
    pub range: Option<(String, String)>,
}

/// A text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Words {
    pub title: Option<String>,
    pub text: String,
    pub answer: Option<String>,
}

/// The size that a picture on the dashboard must have, given what else is there.
pub fn image_size(tiles: bool, words: bool) -> (usize, usize) {
    let room = image_room(tiles, words);
    (
        room.w.unsigned_abs() as usize,
        room.h.unsigned_abs() as usize,
    )
}

fn body(words: bool) -> Rect {
    let bottom = if words { FOOT - 116 } else { FOOT };
    Rect::new(MARGIN, HEAD + 12, W - 2 * MARGIN, bottom - HEAD - 24)
}

fn image_room(tiles: bool, words: bool) -> Rect {
    let all = body(words);
    if tiles {
        let w = 280;
        Rect::new(all.right() - w, all.y, w, all.h)
    } else {
        all
    }
}

/// Draws a dashboard.
pub fn dashboard(board: &Board) -> Bitmap {
    let mut c = Canvas::new(WIDTH, HEIGHT);
    heading(&mut c, board);
    status(&mut c, board);
    let words = board.words.as_ref();
    let mut room = body(words.is_some());
    if let Some(image) = &board.image {
        let place = image_room(!board.tiles.is_empty(), words.is_some());
        c.place(image, place.x, place.y);
        room.w = place.x - MARGIN - room.x;
    }
    match words {
        // A text alone has the whole middle.
        Some(words) if board.tiles.is_empty() && board.image.is_none() => {
            let all = body(false);
            text_block(
                &mut c,
                all,
                words,
                &[bold(40), bold(36), bold(32), bold(28), bold(24)],
            );
        }
        Some(words) => {
            let y = FOOT - 116;
            c.area(Rect::new(MARGIN, y, W - 2 * MARGIN, 1), true);
            let place = Rect::new(MARGIN, y + 10, W - 2 * MARGIN, 116 - 18);
            strip(&mut c, place, words);
        }
        None => {}
    }
    if !board.tiles.is_empty() {
        tiles(&mut c, room, &board.tiles);
    } else if words.is_none() && board.image.is_none() {
        middle(
            &mut c,
            body(false),
            "Waiting for data",
            "No values have arrived from this board yet.",
        );
    }
    c.picture
}

/// Draws one text on its own, with the name of the screen above and its place in the row below.
pub fn text(title: &str, words: &Words, place: &str) -> Bitmap {
    let mut c = Canvas::new(WIDTH, HEIGHT);
    let heading = c.shorten(bold(24), title, W - 2 * MARGIN);
    c.text(bold(24), MARGIN, 44, &heading);
    c.area(Rect::new(MARGIN, 60, W - 2 * MARGIN, 2), true);
    let room = Rect::new(MARGIN + 24, 84, W - 2 * MARGIN - 48, FOOT - 84 - 12);
    text_block(
        &mut c,
        room,
        words,
        &[
            bold(44),
            bold(40),
            bold(36),
            bold(32),
            bold(28),
            bold(24),
            bold(20),
        ],
    );
    c.text_right(regular(18), W - MARGIN, H - 18, place);
    c.picture
}

/// Draws what stands on a screen before there is anything to show.
pub fn fallback(title: &str, says: &str, hint: &str) -> Bitmap {
    let mut c = Canvas::new(WIDTH, HEIGHT);
    let frame = Rect::new(MARGIN, MARGIN, W - 2 * MARGIN, H - 2 * MARGIN);
    c.area(frame, true);
    c.area(frame.inset(2, 2), false);
    let room = frame.inset(40, 40);
    let sizes = [bold(56), bold(48), bold(40), bold(32)];
    if let Some((style, lines)) = c.fit(&sizes, title, room.w, 150) {
        let mut y = 150 - (lines.len() as i32 - 1) * style.leading() / 2;
        for line in lines {
            centred(&mut c, style, y, &line);
            y += style.leading();
        }
    }
    centred(&mut c, regular(32), 268, says);
    if let Some((style, lines)) = c.fit(&[regular(22), regular(20), regular(18)], hint, room.w, 110)
    {
        let mut y = 340;
        for line in lines {
            centred(&mut c, style, y, &line);
            y += style.leading();
        }
    }
    c.picture
}

fn centred(c: &mut Canvas, style: Style, y: i32, text: &str) {
    let x = (W - c.width(style, text)) / 2;
    c.text(style, x, y, text);
}

fn middle(c: &mut Canvas, room: Rect, says: &str, hint: &str) {
    let y = room.y + room.h / 2;
    centred(c, bold(40), y - 6, says);
    centred(c, regular(22), y + 34, hint);
}

fn heading(c: &mut Canvas, board: &Board) {
    let base = 50;
    let mut right = W - MARGIN;
    if let Some(time) = &board.time {
        right = c.text_right(bold(40), right, base, time) - 20;
    }
    if let Some(date) = &board.date {
        right = c.text_right(regular(22), right, base, date) - 24;
    }
    let title = c.shorten(bold(36), &board.title, right - MARGIN);
    c.text(bold(36), MARGIN, base, &title);
    c.area(Rect::new(MARGIN, HEAD - 4, W - 2 * MARGIN, 3), true);
}

fn status(c: &mut Canvas, board: &Board) {
    c.area(Rect::new(MARGIN, FOOT + 2, W - 2 * MARGIN, 1), true);
    let base = H - 16;
    c.disc(MARGIN + 7, base - 7, 7, board.online);
    let mut right = W - MARGIN;
    if let Some(updated) = &board.updated {
        let span = board.span.map(|span| format!(" · curves of {span}"));
        let updated = format!("{updated}{}", span.unwrap_or_default());
        right = c.text_right(regular(20), right, base, &updated) - 24;
    }
    let says = c.shorten(regular(20), &board.status, right - MARGIN - 24);
    c.text(regular(20), MARGIN + 24, base, &says);
}

/// How many columns so many tiles have.
fn columns(tiles: usize, wide: bool) -> usize {
    match (tiles, wide) {
        (0 | 1, _) => 1,
        (2 | 4, _) | (_, false) => 2,
        (3 | 5 | 6, true) => 3,
        (_, true) => 4,
    }
}

fn tiles(c: &mut Canvas, room: Rect, all: &[Tile]) {
    let columns = columns(all.len(), room.w > 600);
    let rows = all.len().div_ceil(columns);
    let (n, m) = (columns as i32, rows as i32);
    let (w, h) = ((room.w - (n - 1) * MARGIN) / n, (room.h - (m - 1) * 16) / m);
    let place = |index: usize| {
        let (column, row) = ((index % columns) as i32, (index / columns) as i32);
        Rect::new(
            room.x + column * (w + MARGIN),
            room.y + row * (h + 16),
            w,
            h,
        )
    };
    // Values that are about as long stand in one size; a long text alone is smaller.
    let sizes: Vec<u32> = all
        .iter()
        .enumerate()
        .map(|(i, tile)| value_size(c, place(i), tile))
        .collect();
    let short = |tile: &Tile| {
        tile.value
            .as_ref()
            .is_none_or(|value| value.chars().count() <= 6)
    };
    let common = all
        .iter()
        .zip(&sizes)
        .filter(|(tile, _)| short(tile))
        .map(|(_, size)| *size)
        .min();
    for (index, (tile, size)) in all.iter().zip(sizes).enumerate() {
        let at = place(index);
        if index % columns > 0 {
            c.area(Rect::new(at.x - MARGIN / 2, at.y + 4, 1, h - 8), true);
        }
        draw_tile(c, at, tile, common.unwrap_or(size).min(size));
    }
}

/// How much of a tile is left below its label.
fn below_label(at: Rect) -> i32 {
    at.h - label_of(at).capital() - 2 - 12
}

fn label_of(at: Rect) -> Style {
    if at.h < 90 { regular(18) } else { regular(20) }
}

fn has_curve(at: Rect, tile: &Tile) -> bool {
    at.h >= 110 && tile.curve.is_some()
}

fn unit_of(size: u32) -> Style {
    regular((size * 45 / 100).clamp(18, 40))
}

/// The largest size in which a tile's value and unit fit.
fn value_size(c: &mut Canvas, at: Rect, tile: &Tile) -> u32 {
    const SIZES: [u32; 16] = [
        112, 96, 88, 80, 72, 64, 56, 48, 44, 40, 36, 32, 28, 24, 20, 18,
    ];
    let left = below_label(at);
    let room = if has_curve(at, tile) {
        (left * 45 / 100).clamp(34, 96)
    } else {
        left.min(96)
    };
    let value = tile.value.as_deref().unwrap_or("–");
    let fits = |c: &mut Canvas, size: u32| {
        let unit = if tile.unit.is_empty() {
            0
        } else {
            c.width(unit_of(size), &tile.unit) + gap(size)
        };
        bold(size).capital() <= room && c.width(bold(size), value) + unit <= at.w
    };
    SIZES.into_iter().find(|size| fits(c, *size)).unwrap_or(18)
}

fn draw_tile(c: &mut Canvas, at: Rect, tile: &Tile, size: u32) {
    let label = label_of(at);
    let name = c.shorten(label, &tile.label, at.w);
    let mut y = at.y + label.capital() + 2;
    c.text(label, at.x, y, &name);
    let style = bold(size);
    y += 12 + style.capital();
    let value = tile.value.as_deref().unwrap_or("–");
    let shown = c.shorten(style, value, at.w);
    let end = c.text(style, at.x - 1, y, &shown);
    if shown == value && tile.value.is_some() && !tile.unit.is_empty() {
        c.text(unit_of(size), end + gap(size), y, &tile.unit);
    }
    if let Some(curve) = tile.curve.as_ref().filter(|_| has_curve(at, tile)) {
        draw_curve(
            c,
            Rect::new(at.x, y + 12, at.w, at.bottom() - y - 12),
            tile,
            curve,
        );
    }
}

fn gap(size: u32) -> i32 {
    (size as i32 / 10).max(4)
}

fn draw_curve(c: &mut Canvas, at: Rect, tile: &Tile, curve: &Curve) {
    let small = regular(16);
    let mut room = at;
    if let Some((low, high)) = &tile.range
        && at.w >= 150
        && at.h >= 40
    {
        let w = c.width(small, low).max(c.width(small, high));
        c.text_right(small, at.right(), at.y + small.capital(), high);
        c.text_right(small, at.right(), at.bottom() - 1, low);
        room.w -= w + 10;
    }
    chart::draw(c, room, curve);
}

/// A text below the tiles: all of it in one block, the answer of a riddle on a line of its own.
fn strip(c: &mut Canvas, at: Rect, words: &Words) {
    let mut text = words.text.clone();
    if let Some(answer) = &words.answer {
        text = format!("{text}\n{answer}");
    }
    let words = Words {
        title: words.title.clone(),
        text,
        answer: None,
    };
    text_block(
        c,
        at,
        &words,
        &[
            regular(26),
            regular(24),
            regular(22),
            regular(20),
            regular(18),
        ],
    );
}

fn text_block(c: &mut Canvas, at: Rect, words: &Words, sizes: &[Style]) {
    let mut room = at;
    let smaller = |style: Style| regular((style.size * 3 / 4).max(18));
    if let Some(title) = &words.title {
        let style = sizes
            .first()
            .map_or(bold(20), |style| bold(smaller(*style).size.max(20)));
        let title = c.shorten(style, title, room.w);
        c.text(style, room.x, room.y + style.capital(), &title);
        let used = style.leading() + 2;
        room = Rect::new(room.x, room.y + used, room.w, room.h - used);
    }
    let answer_room = if words.answer.is_some() {
        room.h / 3
    } else {
        0
    };
    let Some((style, lines)) = c.fit(sizes, &words.text, room.w, room.h - answer_room) else {
        return;
    };
    let mut y = room.y + style.capital();
    for line in &lines {
        c.text(style, room.x, y, line);
        y += style.leading();
    }
    if let Some(answer) = &words.answer {
        let style = smaller(style);
        let from = y - style.capital() + 10;
        if let Some((style, lines)) =
            c.fit(&[style, regular(18)], answer, room.w, room.bottom() - from)
        {
            let mut y = from + style.capital();
            for line in lines {
                c.text(style, room.x, y, &line);
                y += style.leading();
            }
        }
    }
}
