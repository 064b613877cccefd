//! Sequences of finite 64-bit floats, bit for bit.
//!
//! ```text
//! numbers = 0 exponent:u8  integers  count:varint  (gap:varint value:f64)*     decimal
//!         | 1 bits                                                            XOR with the one before
//! ```
//! *Decimal*: sensors report few decimals (21.37), so `value = integer / 10^exponent` holds exactly for nearly all and the
//! integers, coded as in `ints.rs`, take a few bits each. A value for which it does not hold (−0.0, a computed 1/3) is an
//! exception: its integer repeats the one before and its bits follow, with the gap to the previous exception's position.
//!
//! *XOR*: for computed values with full mantissas; the coding of Facebook's Gorilla paper: bit 0 = same as before; 10 =
//! the changed bits fit the window of the one before; 11 = 6 bits of leading zeros, 6 bits of length − 1, then the bits.
//! The first value is XORed with 0. The encoder writes both and keeps the smaller; it does not try XOR when the
//! decimals are few and fit.

use super::Damaged;
use super::bytes::{Reader, put_varint};
use super::ints;

const DECIMAL: u8 = 0;
const XOR: u8 = 1;

/// Largest scale tried: 10^15 still leaves room below 2^53 for numbers up to 9.
const MAX_EXPONENT: usize = 15;
const POWERS: [f64; MAX_EXPONENT + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];

/// Up to this many decimals the decimal coding wins over XOR for every sensor seen; beyond, both are tried.
const PLAIN_EXPONENT: usize = 6;

/// Integers above this are not all representable as floats, so the division would not be exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The integer that gives back exactly `value` when divided by 10^exponent.
#[inline]
fn scaled(value: f64, exponent: usize) -> Option<i64> {
    let rounded = (value * POWERS[exponent]).round();
    // Through the integer, because that is what will be stored: it has no negative zero.
    let integer = rounded as i64;
    let back = integer as f64 / POWERS[exponent];
    (rounded.abs() < EXACT && back.to_bits() == value.to_bits()).then_some(integer)
}

/// Appends finite `values`.
pub(crate) fn encode(values: &[f64], out: &mut Vec<u8>) {
    let start = out.len();
    let exponent = choose_exponent(values);
    let exceptions = exponent.map(|exponent| encode_decimal(values, exponent, out));
    let plain = exponent.is_some_and(|e| e <= PLAIN_EXPONENT) && exceptions == Some(0);
    if !plain {
        let mut xored = Vec::with_capacity(values.len() * 7);
        xored.push(XOR);
        encode_xor(values, &mut xored);
        if exponent.is_none() || xored.len() < out.len() - start {
            out.truncate(start);
            out.extend_from_slice(&xored);
        }
    }
}

/// The smallest exponent that fits all values but a few, or nothing when decimals are not the nature of this series.
fn choose_exponent(values: &[f64]) -> Option<usize> {
    let mut exponent = 0;
    let mut misfits = 0;
    for value in values {
        if scaled(*value, exponent).is_some() {
            continue;
        }
        match (exponent + 1..=MAX_EXPONENT).find(|e| scaled(*value, *e).is_some()) {
            Some(larger) => exponent = larger,
            None => misfits += 1,
        }
        if misfits * 8 > values.len() {
            return None;
        }
    }
    Some(exponent)
}

fn encode_decimal(values: &[f64], exponent: usize, out: &mut Vec<u8>) -> usize {
    let mut exceptions = Vec::new();
    let mut count = 0;
    let mut next = 0;
    let mut previous = 0;
    let integers: Vec<i64> = values
        .iter()
        .enumerate()
        .map(|(position, value)| {
            previous = scaled(*value, exponent).unwrap_or_else(|| {
                put_varint(&mut exceptions, (position - next) as u64);
                exceptions.extend_from_slice(&value.to_le_bytes());
                next = position + 1;
                count += 1;
                previous
            });
            previous
        })
        .collect();
    out.push(DECIMAL);
    out.push(exponent as u8);
    ints::encode(&integers, out);
    put_varint(out, count as u64);
    out.extend_from_slice(&exceptions);
    count
}

/// Reads `count` numbers.
pub(crate) fn decode(reader: &mut Reader<'_>, count: usize) -> Result<Vec<f64>, Damaged> {
    match reader.u8()? {
        DECIMAL => decode_decimal(reader, count),
        XOR => decode_xor(reader, count),
        _ => Err(Damaged("unknown number coding")),
    }
}

fn decode_decimal(reader: &mut Reader<'_>, count: usize) -> Result<Vec<f64>, Damaged> {
    let power = *POWERS
        .get(usize::from(reader.u8()?))
        .ok_or(Damaged("unknown decimal scale"))?;
    let integers = ints::decode(reader, count)?;
    let mut values: Vec<f64> = integers
        .into_iter()
        .map(|integer| integer as f64 / power)
        .collect();
    let mut position = 0usize;
    for _ in 0..reader.count(count)? {
        position = position.saturating_add(reader.count(count)?);
        *values
            .get_mut(position)
            .ok_or(Damaged("exception out of range"))? = reader.f64()?;
        position += 1;
    }
    Ok(values)
}

/// Collects bits, highest first within a value, into bytes.
struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u128,
    bits: u32,
}

impl BitWriter<'_> {
    /// Appends the low `len` (at most 64) bits of `value`.
    #[inline]
    fn put(&mut self, value: u64, len: u32) {
        self.pending = (self.pending << len) | u128::from(value);
        self.bits += len;
        while self.bits >= 8 {
            self.bits -= 8;
            self.out.push((self.pending >> self.bits) as u8);
        }
        self.pending &= (1 << self.bits) - 1;
    }
}

fn encode_xor(values: &[f64], out: &mut Vec<u8>) {
    let mut writer = BitWriter {
        out,
        pending: 0,
        bits: 0,
    };
    let (mut previous, mut window) = (0u64, None::<(u32, u32)>);
    for value in values {
        let xor = value.to_bits() ^ previous;
        previous = value.to_bits();
        if xor == 0 {
            writer.put(0, 1);
            continue;
        }
        let (lead, trail) = (xor.leading_zeros(), xor.trailing_zeros());
        match window {
            // The old window is kept while it does not waste more than writing a new one costs.
            Some((l, t)) if lead >= l && trail >= t && (lead - l) + (trail - t) < 12 => {
                writer.put(0b10, 2);
                writer.put(xor >> t, 64 - l - t);
            }
            _ => {
                let len = 64 - lead - trail;
                writer.put(0b11, 2);
                writer.put(u64::from(lead), 6);
                writer.put(u64::from(len - 1), 6);
                writer.put(xor >> trail, len);
                window = Some((lead, trail));
            }
        }
    }
    let padding = (8 - writer.bits % 8) % 8;
    writer.put(0, padding);
}

/// Reads bits in the order [`BitWriter`] wrote them.
struct BitReader<'r, 'a> {
    reader: &'r mut Reader<'a>,
    pending: u128,
    bits: u32,
}

impl BitReader<'_, '_> {
    #[inline]
    fn get(&mut self, len: u32) -> Result<u64, Damaged> {
        while self.bits < len {
            self.pending = (self.pending << 8) | u128::from(self.reader.u8()?);
            self.bits += 8;
        }
        self.bits -= len;
        let value = (self.pending >> self.bits) as u64;
        self.pending &= (1 << self.bits) - 1;
        Ok(value)
    }
}

fn decode_xor(reader: &mut Reader<'_>, count: usize) -> Result<Vec<f64>, Damaged> {
    let mut values = Vec::with_capacity(count.min(reader.rest().len().saturating_mul(8)));
    let mut bits = BitReader {
        reader,
        pending: 0,
        bits: 0,
    };
    let (mut previous, mut window) = (0u64, None);
    for _ in 0..count {
        if bits.get(1)? == 1 {
            if bits.get(1)? == 1 {
                let (lead, len) = (bits.get(6)? as u32, bits.get(6)? as u32 + 1);
                let trail = 64u32
                    .checked_sub(lead + len)
                    .ok_or(Damaged("impossible bit window"))?;
                window = Some((len, trail));
            }
            let (len, trail) = window.ok_or(Damaged("bit window missing"))?;
            previous ^= bits.get(len)? << trail;
        }
        values.push(f64::from_bits(previous));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(values: &[f64]) -> usize {
        let mut bytes = Vec::new();
        encode(values, &mut bytes);
        let mut reader = Reader::new(&bytes);
        let decoded = decode(&mut reader, values.len()).unwrap();
        assert!(reader.is_empty());
        assert_eq!(decoded.len(), values.len());
        for (a, b) in decoded.iter().zip(values) {
            assert_eq!(a.to_bits(), b.to_bits(), "{a} is not {b}");
        }
        bytes.len()
    }

    #[test]
    fn edge_cases_survive() {
        round_trip(&[]);
        round_trip(&[-0.0]);
        round_trip(&[
            0.0,
            -0.0,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            5e-324,
            0.1 + 0.2,
            1.0 / 3.0,
            9_007_199_254_740_993.0,
        ]);
        round_trip(&vec![1.0 / 3.0; 500]);
    }

    #[test]
    fn sensor_values_take_about_a_byte() {
        let temperatures: Vec<f64> = (0..1024)
            .map(|i| ((20.0 + (f64::from(i) / 90.0).sin()) * 100.0).round() / 100.0)
            .collect();
        assert!(round_trip(&temperatures) < 512);
        let mut with_outlier = temperatures.clone();
        with_outlier[500] = 1.0 / 3.0;
        assert!(round_trip(&with_outlier) < 540);
    }

    proptest! {
        #[test]
        fn all_finite_bit_patterns_survive(bits in prop::collection::vec(any::<u64>(), 0..300)) {
            let values: Vec<f64> = bits.into_iter().map(f64::from_bits).filter(|v| v.is_finite()).collect();
            round_trip(&values);
        }

        #[test]
        fn decimals_with_misfits_survive(values in prop::collection::vec((any::<i32>(), 0usize..12, 0u8..20), 0..300)) {
            let values: Vec<f64> = values
                .into_iter()
                .map(|(i, e, odd)| if odd == 0 { f64::from(i) / 3.0 } else { f64::from(i) / POWERS[e] })
                .collect();
            round_trip(&values);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), count in 0usize..2000) {
            let _ = decode(&mut Reader::new(&bytes), count);
        }
    }
}
