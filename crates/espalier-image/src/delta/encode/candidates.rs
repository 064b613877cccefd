//! Stretches of the new image that resemble a stretch of the old one: every place that may serve, found by exact matches and
//! extended over single differences. Which of them serve is decided in [`super::plan`].
//!
//! Images that repeat themselves everywhere resemble themselves everywhere: a budget in proportion to their size keeps the work
//! for them within seconds too.

use super::index::Index;
use std::collections::HashMap;

/// Shortest exact match that makes a candidate.
const LEAST: usize = 6;
/// By how much equal bytes outweigh different ones in a candidate.
const WORTH: i32 = 10;
/// Places on each side of the best one that are tried too.
const AROUND: usize = 6;
/// Candidates that are kept of those found at one place.
const KEPT: usize = 3;
/// A stretch ends where it was worse than at its best by this much.
const PATIENCE: i32 = 24;
/// Addresses are this long.
const WORD: usize = 4;
/// An exact match of this length is followed to near its end before the next one is looked for.
const CERTAIN: usize = 32;
/// A match is extended over differences by at most this many bytes to each side; beyond that it is found again.
const FAR: usize = 32 << 10;
/// The same when most of the budget is used up.
const NEAR: usize = 256;
/// Bytes of candidates for each byte of the new image, and what may be used up ahead of it.
const COVER: usize = 16;
const AHEAD: usize = 128 << 10;
/// Bytes that are compared in extending, for each byte of the new image.
const EFFORT: usize = 64;

/// Bytes `start..end` of the new image resemble those of the old one at the same place plus `shift`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub start: usize,
    pub end: usize,
    pub shift: i64,
}

/// All candidates, by their start; nothing when it was stopped.
pub(super) fn find(old: &[u8], new: &[u8], stop: &dyn Fn() -> bool) -> Option<Vec<Stretch>> {
    let mut search = Search {
        old,
        new,
        stretches: Vec::new(),
        reached: HashMap::new(),
        covered: 0,
        compared: 0,
    };
    // Most of an image often stayed where it was.
    if old.first().is_some_and(|first| new.first() == Some(first)) {
        let stretch = search.extend(0, 0, 1, FAR).1;
        search.keep(stretch);
    }
    search.run(stop)?;
    search.stretches.sort_by_key(|s| (s.start, s.shift, s.end));
    Some(search.stretches)
}

struct Search<'a> {
    old: &'a [u8],
    new: &'a [u8],
    stretches: Vec<Stretch>,
    reached: HashMap<i64, usize>,
    covered: usize,
    compared: usize,
}

impl Search<'_> {
    fn run(&mut self, stop: &dyn Fn() -> bool) -> Option<()> {
        let index = Index::new(self.old);
        let mut found = Vec::new();
        let mut offers: Vec<(i32, Stretch)> = Vec::new();
        let (mut at, mut turns) = (0, 0_u32);
        while at < self.new.len() {
            turns += 1;
            if turns.is_multiple_of(1024) && stop() {
                return None;
            }
            let (around, far) = if self.compared < EFFORT * (at + AHEAD) {
                (AROUND, FAR)
            } else {
                (1, NEAR)
            };
            index.places(&self.new[at..], around, LEAST, &mut found);
            offers.clear();
            for &(place, length) in &found {
                let shift = place as i64 - at as i64;
                if self.reached(shift) < at + length {
                    offers.push(self.extend(at, place, length, far));
                }
            }
            offers.retain(|(score, _)| *score >= WORTH);
            offers.sort_by_key(|(score, stretch)| (-score, stretch.shift));
            for (_, stretch) in offers.iter().take(KEPT) {
                self.keep(*stretch);
            }
            let longest = found.iter().map(|place| place.1).max().unwrap_or(0);
            at += if longest >= CERTAIN {
                longest - LEAST
            } else {
                1
            };
        }
        Some(())
    }

    /// The end of the last stretch of this shift: one that continues it begins there.
    fn reached(&self, shift: i64) -> usize {
        self.reached.get(&shift).copied().unwrap_or(0)
    }

    fn keep(&mut self, stretch: Stretch) {
        let length = stretch.end - stretch.start;
        if self.covered + length <= COVER * (stretch.end + AHEAD) {
            self.covered += length;
            self.reached.insert(stretch.shift, stretch.end);
            self.stretches.push(stretch);
        }
    }

    /// Extends an exact match over differences, both ways; returns how good it is.
    fn extend(&mut self, at: usize, place: usize, length: usize, far: usize) -> (i32, Stretch) {
        let (old, new) = (self.old, self.new);
        let differs = |new_at: usize, old_at: usize| new[new_at].wrapping_sub(old[old_at]);
        let (to, from) = (at + length, place + length);
        let most = (new.len() - to).min(old.len() - from).min(far);
        let (ahead, won_ahead) = reach(most, |k| differs(to + k, from + k));
        let most = at.min(place).min(far);
        let (behind, won_behind) = reach(most, |k| differs(at - 1 - k, place - 1 - k));
        self.compared += ahead + behind + 2 * PATIENCE as usize;
        let shift = place as i64 - at as i64;
        let stretch = Stretch {
            start: (at - behind).max(self.reached(shift)),
            end: at + length + ahead,
            shift,
        };
        (length as i32 + won_ahead + won_behind, stretch)
    }
}

/// How far equal bytes outweigh different ones, and by how much. A difference that is the same a word before costs nothing.
fn reach(most: usize, differs: impl Fn(usize) -> u8) -> (usize, i32) {
    let (mut best, mut best_score, mut score) = (0, 0, 0);
    for at in 0..most {
        let differs_by = differs(at);
        if differs_by == 0 {
            score += 1;
        } else if at < WORD || differs(at - WORD) != differs_by {
            score -= 1;
        }
        if score > best_score {
            (best, best_score) = (at + 1, score);
        } else if score < best_score - PATIENCE {
            break;
        }
    }
    (best, best_score)
}
