//! Heatshrink's encoder. Every byte is a literal (9 bits) or part of a back reference (1 bit, window and lookahead bits), which
//! may be as long as it can be: what follows never gets dearer by starting later. So one pass from the end finds the fewest bits.

/// Bits of a literal.
pub(super) const LITERAL: u32 = 9;
/// One bit in estimates.
pub(super) const BIT: u32 = 256;

/// Parameters of heatshrink: powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Squeeze {
    /// A back reference reaches back `1 << window` bytes.
    pub window: u8,
    /// A back reference repeats up to `1 << lookahead` bytes.
    pub lookahead: u8,
}

impl Squeeze {
    /// What detools uses unless told otherwise, and the only parameters that the chip maker's component is built for.
    pub const STOCK: Self = Self::of(8, 7);

    /// What boards of ours can follow and what is worth a try: most images change little, so that long runs of zeros count most.
    pub(super) const BOARDS: [Self; 3] = [Self::of(10, 9), Self::of(10, 8), Self::of(10, 7)];

    const fn of(window: u8, lookahead: u8) -> Self {
        Self { window, lookahead }
    }

    /// The byte that says these parameters; nothing when heatshrink cannot have them.
    pub(super) fn header(self) -> Option<u8> {
        let possible =
            (4..=15).contains(&self.window) && self.lookahead >= 3 && self.lookahead < self.window;
        possible.then(|| (self.window - 4) << 4 | (self.lookahead - 3))
    }

    /// Bits of a back reference.
    pub(super) fn reference(self) -> u32 {
        1 + u32::from(self.window) + u32::from(self.lookahead)
    }

    /// Longest back reference.
    pub(super) fn longest(self) -> usize {
        1 << self.lookahead
    }

    /// Compresses; the parameters come first.
    pub(super) fn pack(self, data: &[u8]) -> Vec<u8> {
        let lengths = self.tokens(data);
        let mut out = Bits::default();
        out.bytes.extend(self.header());
        let mut at = 0;
        while at < data.len() {
            let length = usize::from(lengths[at]);
            if length == 0 {
                out.put(1 << 8 | u32::from(data[at]), LITERAL);
                at += 1;
            } else {
                let distance = self.distance(data, at, length);
                out.put(distance as u32 - 1, 1 + u32::from(self.window));
                out.put(length as u32 - 1, u32::from(self.lookahead));
                at += length;
            }
        }
        out.bytes
    }

    /// For every byte of `data` what it takes, in parts of [`BIT`], when all of it is compressed as it is.
    pub(super) fn bits_per_byte(self, data: &[u8]) -> Vec<u16> {
        let mut bits = self.tokens(data);
        let mut at = 0;
        while at < data.len() {
            let length = usize::from(bits[at]);
            let (end, each) = match length {
                0 => (at + 1, LITERAL * BIT),
                _ => (at + length, self.reference() * BIT / length as u32),
            };
            bits[at..end].fill(each as u16);
            at = end;
        }
        bits
    }

    /// For every byte the length of the back reference to use if a token begins there; 0 for a literal.
    fn tokens(self, data: &[u8]) -> Vec<u16> {
        let mut lengths = self.longest_matches(data);
        let mut bits = vec![0_u32; data.len() + 1];
        for at in (0..data.len()).rev() {
            let literal = LITERAL + bits[at + 1];
            let length = usize::from(lengths[at]);
            let reference = self.reference() + bits[at + length];
            if length == 0 || literal <= reference {
                lengths[at] = 0;
                bits[at] = literal;
            } else {
                bits[at] = reference;
            }
        }
        lengths
    }

    /// For every byte the longest match that begins there and within the window before it.
    fn longest_matches(self, data: &[u8]) -> Vec<u16> {
        let window = 1 << self.window;
        let mut longest = vec![0; data.len()];
        // One counter for each distance: how long the bytes from here on equal those so far before them. From the end to the
        // start each grows by one or falls to zero, all in one sweep that the compiler makes wide.
        let mut counters = vec![0_u16; window];
        for at in (0..data.len()).rev() {
            let first = at.saturating_sub(window);
            let before = &data[first..at];
            let counters = &mut counters[window - before.len()..];
            let byte = data[at];
            let mut most = 0;
            for (counter, other) in counters.iter_mut().zip(before) {
                *counter = if *other == byte {
                    counter.saturating_add(1)
                } else {
                    0
                };
                most = most.max(*counter);
            }
            longest[at] = most.min(self.longest().min(usize::from(u16::MAX)) as u16);
        }
        longest
    }

    /// The nearest distance at which `length` bytes match.
    fn distance(self, data: &[u8], at: usize, length: usize) -> usize {
        let reach = at.min(1 << self.window);
        (1..=reach)
            .find(|distance| (0..length).all(|k| data[at + k] == data[at + k - distance]))
            .unwrap_or(1)
    }
}

/// Bits, the highest of a byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    free: u32,
}

impl Bits {
    fn put(&mut self, value: u32, mut count: u32) {
        while count > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let take = self.free.min(count);
            let part = value >> (count - take) & ((1 << take) - 1);
            self.free -= take;
            count -= take;
            if let Some(last) = self.bytes.last_mut() {
                *last |= (part << self.free) as u8;
            }
        }
    }
}
