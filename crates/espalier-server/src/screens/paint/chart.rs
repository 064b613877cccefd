//! A small curve: what a value did lately, without axes. Gaps in the data are gaps in the curve.

use super::canvas::{Canvas, Rect};

/// The averages of equal spans of time, oldest first; nothing where nothing was measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    pub points: Vec<Option<f64>>,
}

impl Curve {
    /// The smallest and largest of its values.
    pub fn range(&self) -> Option<(f64, f64)> {
        let values = self.points.iter().flatten().copied();
        values.fold(None, |range, v| match range {
            None => Some((v, v)),
            Some((lo, hi)) => Some((v.min(lo), v.max(hi))),
        })
    }
}

/// Draws a curve into a box, its newest point marked.
pub fn draw(canvas: &mut Canvas, at: Rect, curve: &Curve) {
    let Some((low, high)) = curve.range() else {
        return;
    };
    // Something that hardly moves is drawn as a line in the middle, not as noise that fills the box.
    let spread = (high - low)
        .max(high.abs().max(low.abs()) * 0.002)
        .max(1e-9);
    let middle = (high + low) / 2.0;
    let last = curve.points.len().saturating_sub(1).max(1) as f64;
    let (w, h) = (f64::from(at.w - 9), f64::from(at.h - 7));
    let place = |index: usize, value: f64| {
        let x = f64::from(at.x + 1) + index as f64 / last * w;
        let share = (value - middle) / spread + 0.5;
        let y = f64::from(at.y + 3) + (1.0 - share.clamp(0.0, 1.0)) * h;
        (x, y)
    };
    let mut before: Option<(f64, f64)> = None;
    let mut newest = None;
    for (index, value) in curve.points.iter().enumerate() {
        let point = value.map(|value| place(index, value));
        match (before, point) {
            (Some(from), Some(to)) => stroke(canvas, from, to),
            (None, Some(alone)) => stroke(canvas, alone, alone),
            _ => {}
        }
        before = point;
        newest = point.or(newest);
    }
    if let Some((x, y)) = newest {
        canvas.disc(x.round() as i32, y.round() as i32, 4, true);
    }
}

/// A line two pixels thick.
fn stroke(canvas: &mut Canvas, from: (f64, f64), to: (f64, f64)) {
    let steps = (to.0 - from.0)
        .abs()
        .max((to.1 - from.1).abs())
        .ceil()
        .max(1.0);
    for step in 0..=steps as i32 {
        let t = f64::from(step) / steps;
        let x = (from.0 + (to.0 - from.0) * t).round() as i32;
        let y = (from.1 + (to.1 - from.1) * t).round() as i32;
        canvas.area(Rect::new(x, y, 2, 2), true);
    }
}
