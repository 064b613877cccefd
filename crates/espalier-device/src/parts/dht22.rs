//! The DHT22 (AM2302) temperature and humidity sensor: from the lengths of its pulses to a reading, or to the reason why there
//! is none. Not the pin: the binding pulls it low for a millisecond, lets go, and times what follows.
//!
//! The sensor answers with one high pulse of 80 us, then 40 bits, each a high pulse: about 27 us is 0, about 70 us is 1. The bits
//! are humidity and temperature in tenths, 16 bits each, and the sum of these four bytes.

use core::fmt;

/// Bits of an answer.
pub const BITS: usize = 40;
/// Shortest time between two questions, in milliseconds; the sensor answers nonsense before.
pub const MIN_INTERVAL_MS: u64 = 2_000;

/// Lengths of a pulse that is a 0, in microseconds.
const ZERO_US: core::ops::RangeInclusive<u16> = 10..=45;
/// Lengths of a pulse that is a 1.
const ONE_US: core::ops::RangeInclusive<u16> = 55..=95;
/// The range of the sensor, in tenths of a degree Celsius and of a percent.
const TEMPERATURE: core::ops::RangeInclusive<i16> = -400..=800;
const HUMIDITY: core::ops::RangeInclusive<u16> = 0..=1000;

/// What the sensor measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Temperature in tenths of a degree Celsius.
    pub temperature_d: i16,
    /// Relative humidity in tenths of a percent.
    pub humidity_d: u16,
}

impl Reading {
    /// Returns the temperature in degrees Celsius.
    pub fn temperature(self) -> f64 {
        f64::from(self.temperature_d) / 10.0
    }

    /// Returns the relative humidity in percent.
    pub fn humidity(self) -> f64 {
        f64::from(self.humidity_d) / 10.0
    }
}

/// Why there is no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dht22Error {
    /// The sensor did not answer at all.
    Silent,
    /// It answered with so many bits instead of 40.
    Incomplete(u8),
    /// A pulse is neither a 0 nor a 1; its length in microseconds.
    Pulse(u16),
    /// The sum is wrong: a bit was lost on the line.
    Checksum,
    /// The values are none that the sensor can measure.
    Range,
}

impl fmt::Display for Dht22Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dht22Error::Silent => f.write_str("the DHT22 does not answer: check its pin and power"),
            Dht22Error::Incomplete(bits) => {
                write!(f, "the DHT22 stopped after {bits} of {BITS} bits")
            }
            Dht22Error::Pulse(us) => {
                write!(f, "the DHT22 sent a pulse of {us} us, which is no bit")
            }
            Dht22Error::Checksum => f.write_str("the checksum of the DHT22 is wrong"),
            Dht22Error::Range => f.write_str("the DHT22 sent values that it cannot measure"),
        }
    }
}

impl core::error::Error for Dht22Error {}

/// Decodes the lengths of the high pulses, in microseconds, in their order. The pulse of the answer before the bits may be there
/// or not.
///
/// # Errors
/// Says why they are no reading.
pub fn decode(pulses: &[u16]) -> Result<Reading, Dht22Error> {
    let bits = match pulses {
        [] => return Err(Dht22Error::Silent),
        [_, bits @ ..] if bits.len() == BITS => bits,
        bits if bits.len() == BITS => bits,
        other => {
            return Err(Dht22Error::Incomplete(
                u8::try_from(other.len().saturating_sub(1)).unwrap_or(u8::MAX),
            ));
        }
    };
    let mut word = 0_u64;
    for pulse in bits {
        let bit = match pulse {
            us if ZERO_US.contains(us) => 0,
            us if ONE_US.contains(us) => 1,
            us => return Err(Dht22Error::Pulse(*us)),
        };
        word = word << 1 | bit;
    }
    let [_, _, _, h1, h0, t1, t0, sum] = word.to_be_bytes();
    if h1.wrapping_add(h0).wrapping_add(t1).wrapping_add(t0) != sum {
        return Err(Dht22Error::Checksum);
    }
    // The highest bit is the sign, the others are the amount.
    let amount = i16::from_be_bytes([t1 & 0x7f, t0]);
    let reading = Reading {
        temperature_d: if t1 & 0x80 == 0 { amount } else { -amount },
        humidity_d: u16::from_be_bytes([h1, h0]),
    };
    let sound =
        TEMPERATURE.contains(&reading.temperature_d) && HUMIDITY.contains(&reading.humidity_d);
    // A line that is stuck low for the bits sums up correctly: dry air at the freezing point does not exist in practice.
    let stuck = word == 0;
    if sound && !stuck {
        Ok(reading)
    } else {
        Err(Dht22Error::Range)
    }
}

/// Takes the edges of the line as they come, and collects its high pulses.
#[derive(Debug)]
pub struct Edges {
    pulses: heapless::Vec<u16, { BITS + 2 }>,
    rose: Option<u32>,
}

impl Default for Edges {
    fn default() -> Self {
        Edges {
            pulses: heapless::Vec::new(),
            rose: None,
        }
    }
}

impl Edges {
    /// Notes the level after an edge, and when it came, in microseconds of a clock that may wrap. The first falling edge, with which
    /// the sensor begins its answer, counts for nothing.
    pub fn push(&mut self, high: bool, at_us: u32) {
        if high {
            self.rose = Some(at_us);
        } else if let Some(rose) = self.rose.take() {
            let length = u16::try_from(at_us.wrapping_sub(rose)).unwrap_or(u16::MAX);
            // More than an answer has: decoding says that it is none.
            let _ = self.pulses.push(length);
        }
    }

    /// Says whether the whole answer is there.
    pub fn is_complete(&self) -> bool {
        self.pulses.len() > BITS
    }

    /// Decodes what came.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn decode(&self) -> Result<Reading, Dht22Error> {
        decode(&self.pulses)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn pulses(bytes: [u8; 5]) -> Vec<u16> {
        let mut out = Vec::from([80]);
        for byte in bytes {
            out.extend(
                (0..8)
                    .rev()
                    .map(|n| if byte >> n & 1 == 1 { 70 } else { 27 }),
            );
        }
        out
    }

    fn with_sum(a: [u8; 4]) -> [u8; 5] {
        let sum = a.iter().fold(0_u8, |s, b| s.wrapping_add(*b));
        [a[0], a[1], a[2], a[3], sum]
    }

    #[test]
    fn the_examples_of_the_data_sheet_are_read() {
        // 65.2 % and 35.1 °C; -10.1 °C.
        let warm = decode(&pulses([0x02, 0x8c, 0x01, 0x5f, 0xee])).unwrap();
        assert_eq!((warm.humidity(), warm.temperature()), (65.2, 35.1));
        let cold = decode(&pulses(with_sum([0x02, 0x8c, 0x80, 0x65]))).unwrap();
        assert_eq!(cold.temperature(), -10.1);
        // Without the pulse before the bits as well.
        assert_eq!(
            decode(&pulses([0x02, 0x8c, 0x01, 0x5f, 0xee])[1..]),
            Ok(warm)
        );
    }

    #[test]
    fn every_failure_is_an_error_and_no_value() {
        let good = pulses([0x02, 0x8c, 0x01, 0x5f, 0xee]);
        assert_eq!(decode(&[]), Err(Dht22Error::Silent));
        for bits in 0..BITS {
            // All but the case in which the first pulse may be a bit.
            if bits != BITS - 1 {
                assert_eq!(
                    decode(&good[..=bits]),
                    Err(Dht22Error::Incomplete(bits as u8))
                );
            }
        }
        assert_eq!(decode(&good[..BITS]), Err(Dht22Error::Checksum));
        for us in [0, 5, 50, 120, u16::MAX] {
            let mut bad = good.clone();
            bad[17] = us;
            assert_eq!(decode(&bad), Err(Dht22Error::Pulse(us)));
        }
        for bytes in [
            [0, 0, 0, 0],
            [0x03, 0xe9, 0, 1],
            [0, 1, 0x03, 0x21],
            [0, 1, 0x81, 0x91],
            [0xff; 4],
        ] {
            assert_eq!(
                decode(&pulses(with_sum(bytes))),
                Err(Dht22Error::Range),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn edges_become_pulses_also_when_the_clock_wraps() {
        let (mut edges, mut at) = (Edges::default(), u32::MAX - 500);
        edges.push(false, at);
        for pulse in pulses([0x02, 0x8c, 0x01, 0x5f, 0xee]) {
            assert!(!edges.is_complete());
            at = at.wrapping_add(50);
            edges.push(true, at);
            at = at.wrapping_add(u32::from(pulse));
            edges.push(false, at);
        }
        assert!(edges.is_complete());
        assert_eq!(edges.decode().unwrap().temperature_d, 351);
        // A line that goes on for ever fills nothing up.
        for n in 0..1_000 {
            edges.push(n % 2 == 0, n);
        }
        assert!(matches!(edges.decode(), Err(Dht22Error::Incomplete(_))));
    }

    proptest! {
        /// Every value that the sensor can send is read back, also with pulses that are a little off; one wrong bit never passes
        /// as another value.
        #[test]
        fn values_come_through_and_wrong_bits_do_not(
            t in -400..=800_i16, h in 0..=1000_u16, jitter in proptest::collection::vec(-8..8_i16, BITS + 1), flip in 1..=BITS,
        ) {
            prop_assume!((t, h) != (0, 0));
            let [t1, t0] = t.unsigned_abs().to_be_bytes();
            let [h1, h0] = h.to_be_bytes();
            let sent = pulses(with_sum([h1, h0, t1 | if t < 0 { 0x80 } else { 0 }, t0]));
            let mut heard: Vec<u16> = sent.iter().zip(jitter).map(|(p, j)| p.saturating_add_signed(j)).collect();
            let reading = Reading { temperature_d: t, humidity_d: h };
            prop_assert_eq!(decode(&heard), Ok(reading));
            heard[flip] = if heard[flip] > 50 { 27 } else { 70 };
            prop_assert!(decode(&heard).is_err());
        }
    }
}
