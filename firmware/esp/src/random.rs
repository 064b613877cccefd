//! The chip's generator of random numbers for keys. It is fed by the noise of the radio, which is on before anybody asks.

use esp_hal::rng::Rng;
use rand_core::{CryptoRng, Error, RngCore};

/// The generator.
#[derive(Clone, Copy)]
pub struct Random(Rng);

impl Random {
    /// Takes the generator; all copies are the same one.
    pub fn new() -> Self {
        Random(Rng::new())
    }
}

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        self.0.random()
    }

    fn next_u64(&mut self) -> u64 {
        u64::from(self.0.random()) << 32 | u64::from(self.0.random())
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.read(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Random {}
