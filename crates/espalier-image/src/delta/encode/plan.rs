//! The cheapest way through the candidates: for every byte of the new image, which stretch of the old one it is made from or
//! whether it is taken as it is, such that the estimated bits after compression are fewest (Viterbi's algorithm).
//!
//! What a byte will take after compression is estimated by compressing every candidate for itself: differences that repeat, as
//! those of shifted addresses do, are then as cheap as they will be. Every change to another stretch costs the numbers of a round.

use super::Piece;
use super::candidates::Stretch;
use super::squeeze::{BIT, LITERAL, Squeeze};

/// Stretches that are followed at the same time.
const LANES: usize = 32;
const NONE: u32 = u32::MAX;

/// Estimated bits, in parts of [`BIT`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    /// To go on in another stretch.
    change: u64,
    /// To begin a part that is taken as it is.
    plain: u64,
}

impl Costs {
    /// Three numbers of a round take about five bytes, the longer length of a part that is taken as it is one.
    pub(super) const USUAL: Self = Self {
        change: 5 * (LITERAL * BIT) as u64,
        plain: (LITERAL * BIT) as u64,
    };
}

/// A stretch and what each of its bytes takes.
pub(super) struct Priced {
    stretch: Stretch,
    bits: Vec<u16>,
}

/// Estimates what every byte of every stretch takes; nothing when it was stopped.
pub(super) fn price(
    old: &[u8],
    new: &[u8],
    stretches: Vec<Stretch>,
    squeeze: Squeeze,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Priced>> {
    let mut differences = Vec::new();
    let priced = stretches.into_iter().map(|stretch| {
        differences.clear();
        let from = (stretch.start as i64 + stretch.shift) as usize;
        let both = new[stretch.start..stretch.end].iter().zip(&old[from..]);
        differences.extend(both.map(|(new, old)| new.wrapping_sub(*old)));
        (!stop()).then(|| Priced {
            stretch,
            bits: squeeze.bits_per_byte(&differences),
        })
    });
    priced.collect()
}

/// A way to the current byte.
#[derive(Clone, Copy)]
struct Way {
    bits: u64,
    /// Where its last piece began, and the piece before.
    start: u32,
    before: u32,
    /// Its last piece among [`Ways::pieces`], once another way began from it.
    piece: u32,
}

/// A stretch that is followed; without a shift: bytes as they are.
struct Lane<'a> {
    shift: Option<i64>,
    start: usize,
    bits: &'a [u16],
    way: Way,
}

impl Lane<'_> {
    fn end(&self) -> usize {
        self.start + self.bits.len()
    }
}

/// A piece that other ways began from.
struct Taken {
    start: u32,
    before: u32,
    shift: Option<i64>,
}

/// All ways that may still become the best one.
struct Ways<'a> {
    pieces: Vec<Taken>,
    /// The first one takes bytes as they are.
    lanes: Vec<Lane<'a>>,
}

/// The pieces that make the new image with the fewest estimated bits; `plain` has the bits of its bytes taken as they are.
pub(super) fn cheapest(stretches: &[Priced], plain: &[u16], costs: Costs) -> Vec<Piece> {
    let start = Way {
        bits: 0,
        start: 0,
        before: NONE,
        piece: NONE,
    };
    let mut ways = Ways {
        pieces: Vec::new(),
        lanes: vec![Lane {
            shift: None,
            start: 0,
            bits: plain,
            way: start,
        }],
    };
    let mut coming = stretches.iter().peekable();
    for at in 0..plain.len() {
        let starting = std::iter::from_fn(|| coming.next_if(|s| s.stretch.start == at));
        ways.turn(at, starting, costs);
        for lane in &mut ways.lanes {
            lane.way.bits += u64::from(lane.bits[at - lane.start]);
        }
    }
    ways.best_pieces(plain.len())
}

impl<'a> Ways<'a> {
    /// Before the byte `at`: ends lanes, starts others, and lets every lane begin anew from the best way where that is cheaper.
    fn turn(&mut self, at: usize, starting: impl Iterator<Item = &'a Priced>, costs: Costs) {
        let best = self.best_lane();
        let bits = self.lanes[best].way.bits;
        let mut from = NONE;
        let mut anew = |ways: &mut Self, extra: u64| {
            if from == NONE {
                from = ways.take(best);
            }
            Way {
                bits: bits + extra,
                start: at as u32,
                before: from,
                piece: NONE,
            }
        };
        let mut ended = false;
        for lane in 0..self.lanes.len() {
            let extra = if lane == 0 { costs.plain } else { costs.change };
            ended |= self.lanes[lane].end() == at;
            if self.lanes[lane].way.bits > bits + extra && self.lanes[lane].end() > at {
                self.lanes[lane].way = anew(self, extra);
            }
        }
        for Priced {
            stretch,
            bits: prices,
        } in starting
        {
            // A long stretch comes in parts.
            let same = self
                .lanes
                .iter()
                .filter(|lane| lane.shift == Some(stretch.shift));
            let same = same.map(|lane| lane.way).min_by_key(|way| way.bits);
            let limit = bits + if at == 0 { 0 } else { costs.change };
            let way = same
                .filter(|way| way.bits <= limit)
                .unwrap_or_else(|| anew(self, limit - bits));
            self.lanes.push(Lane {
                shift: Some(stretch.shift),
                start: at,
                bits: prices,
                way,
            });
        }
        if ended {
            self.lanes.retain(|lane| lane.end() > at);
        }
        while self.lanes.len() > LANES {
            // The one that would end first.
            let first = (1..self.lanes.len()).min_by_key(|lane| self.lanes[*lane].end());
            self.lanes.swap_remove(first.unwrap_or(1));
        }
    }

    fn best_lane(&self) -> usize {
        (0..self.lanes.len())
            .min_by_key(|lane| self.lanes[*lane].way.bits)
            .unwrap_or(0)
    }

    /// The last piece of a lane's way, for others to begin from.
    fn take(&mut self, lane: usize) -> u32 {
        let lane = &mut self.lanes[lane];
        if lane.way.piece == NONE {
            lane.way.piece = self.pieces.len() as u32;
            self.pieces.push(Taken {
                start: lane.way.start,
                before: lane.way.before,
                shift: lane.shift,
            });
        }
        lane.way.piece
    }

    /// The pieces of the best way.
    fn best_pieces(mut self, end: usize) -> Vec<Piece> {
        let mut end = end;
        let mut pieces: Vec<Piece> = Vec::new();
        let mut next = self.take(self.best_lane());
        while let Some(taken) = self.pieces.get(next as usize) {
            let start = taken.start as usize;
            // A piece begins where the one before ends: two of the same kind are one.
            if start < end && pieces.last().is_none_or(|after| after.shift != taken.shift) {
                pieces.push(Piece {
                    end,
                    shift: taken.shift,
                });
            }
            end = start;
            next = taken.before;
        }
        pieces.reverse();
        pieces
    }
}
