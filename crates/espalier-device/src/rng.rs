//! A small seeded generator for jitter. Not for secrets.

/// SplitMix64: eight bytes of state, good enough to spread reconnections, the same on every target.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Starts a generator; equal seeds give equal sequences.
    pub const fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// Returns 64 uniform bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number in `0..=max`; the bias of the multiplication is below 2^-32 for the delays used here.
    pub fn up_to(&mut self, max: u64) -> u64 {
        let bits = u128::from(self.next_u64()) * (u128::from(max) + 1);
        // The upper half of the product is at most `max`.
        (bits >> 64) as u64
    }
}
