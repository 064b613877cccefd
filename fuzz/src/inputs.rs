//! Deterministic inputs: a small random generator and mutations of seeds. Not a coverage-guided fuzzer; that is libFuzzer's part.

use crate::Target;

/// Long enough for every limit of a message to be reached by repetition, short enough for thousands of inputs a second.
const MAX_BYTES: usize = 4096;

/// SplitMix64: one word of state, good enough to choose mutations.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts the sequence that belongs to a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below a limit; 0 when the limit is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.word() % limit.max(1) as u64).unwrap_or(0)
    }

    /// Returns one of a list, or an empty piece when it is empty.
    fn choose<'a>(&mut self, list: &[&'a [u8]]) -> &'a [u8] {
        list.get(self.below(list.len()))
            .copied()
            .unwrap_or_default()
    }
}

/// Bytes that readers of numbers, texts and lengths tend to stumble over.
const AWKWARD: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x8c\xb1",
    b"9007199254740993",
    b"-0",
    b"1e999",
    b"\\ud83c",
    b"\\u0000",
    b"[[[[[[[[[[[[[[[[[[[[",
    b"\"",
    b"\\",
    b"",
];

/// The inputs of one target, by number.
#[derive(Debug)]
pub struct Inputs {
    seeds: Vec<Vec<u8>>,
    words: &'static [&'static [u8]],
}

impl Inputs {
    /// Takes over the seeds and words of a target.
    pub fn of(target: &Target) -> Self {
        Self {
            seeds: (target.seeds)(),
            words: target.words,
        }
    }

    /// Returns the valid inputs that all others are made from.
    pub fn seeds(&self) -> &[Vec<u8>] {
        &self.seeds
    }

    /// Makes the input with this number; always the same.
    pub fn make(&self, number: u64) -> Vec<u8> {
        let random = &mut Random::new(number);
        let mut input = match random.below(16) {
            // The seeds themselves must be accepted, and pure noise refused.
            0 => self.seed(random).to_vec(),
            1 => (0..random.below(64)).map(|_| random.word() as u8).collect(),
            _ => {
                let mut input = self.seed(random).to_vec();
                for _ in 0..1 + random.below(4) {
                    self.mutate(&mut input, random);
                }
                input
            }
        };
        input.truncate(MAX_BYTES);
        input
    }

    fn seed(&self, random: &mut Random) -> &[u8] {
        self.seeds
            .get(random.below(self.seeds.len()))
            .map_or(&[], Vec::as_slice)
    }

    fn mutate(&self, input: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(24)).min(input.len());
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.word() as u8,
            2 => drop(input.drain(at..end)),
            3 => {
                let piece = input[at..end].repeat(1 + random.below(64));
                input.splice(at..at, piece);
            }
            4 => input.truncate(at),
            5 => drop(input.splice(at..end, random.choose(AWKWARD).iter().copied())),
            6 => {
                let other = self.seed(random).to_vec();
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => drop(input.splice(at..at, random.choose(self.words).iter().copied())),
        }
    }
}
