//! Sequences of 64-bit integers: differences, then blocks of bit-packed residuals with patched exceptions.
//!
//! ```text
//! sequence = order:u8  seed:signed × order  block*         (the count is known from outside)
//! block    = head:u8  reference:signed  [exceptions:u8 + exception*]  packed bits      of up to 128 residuals
//! head     = width (0–64, bits 0–6) | 0x80 when there are exceptions
//! exception= position:u8  high:varint                      (bits above `width` of the residual at that position)
//! packed   = ceil(n × width / 8) bytes, first residual in the lowest bits
//! ```
//! Order 0 stores the values, order 1 their differences, order 2 the differences of the differences; the encoder goes
//! on while it gets smaller. All arithmetic wraps, so every 64-bit integer is representable. A residual is its value minus the
//! smallest of the block, so steady sequences (a clock tick, a constant) take no bits at all; a few outliers (a gap in
//! time) are patched instead of widening the whole block.

use super::Damaged;
use super::bytes::{Reader, put_varint, zigzag};

/// Residuals per block: long enough to share one reference, short enough that noise stays local.
const BLOCK: usize = 128;
const HAS_EXCEPTIONS: u8 = 0x80;

/// Appends `values` in the smallest of the three orders.
pub(crate) fn encode(values: &[i64], out: &mut Vec<u8>) {
    let mut level = values.to_vec();
    let mut best: Option<(u8, Vec<u8>)> = None;
    let mut seeds = Vec::new();
    for order in 0..=2u8 {
        if order > 0 {
            if level.is_empty() {
                break;
            }
            seeds.push(level[0]);
            for i in (1..level.len()).rev() {
                level[i] = level[i].wrapping_sub(level[i - 1]);
            }
            level.remove(0);
        }
        let mut bytes = Vec::with_capacity(level.len());
        for seed in &seeds {
            put_varint(&mut bytes, zigzag(*seed));
        }
        for block in level.chunks(BLOCK) {
            encode_block(block, &mut bytes);
        }
        if best
            .as_ref()
            .is_none_or(|(_, smallest)| bytes.len() < smallest.len())
        {
            best = Some((order, bytes));
        }
    }
    if let Some((order, bytes)) = best {
        out.push(order);
        out.extend_from_slice(&bytes);
    }
}

fn encode_block(values: &[i64], out: &mut Vec<u8>) {
    let reference = values.iter().copied().min().unwrap_or(0);
    let residual = |value: i64| value.wrapping_sub(reference) as u64;
    let width = best_width(values, reference);
    let mask = low_mask(width);
    let exceptions = values.iter().filter(|v| residual(**v) & !mask != 0).count();
    out.push(width as u8 | if exceptions > 0 { HAS_EXCEPTIONS } else { 0 });
    put_varint(out, zigzag(reference));
    if exceptions > 0 {
        out.push(exceptions as u8);
        for (position, value) in values.iter().enumerate() {
            if residual(*value) & !mask != 0 {
                out.push(position as u8);
                put_varint(out, residual(*value) >> width);
            }
        }
    }
    pack(values.iter().map(|v| residual(*v) & mask), width, out);
}

/// The width that makes the block smallest. Only widths at which some residual just fits can be best, apart from 0.
fn best_width(values: &[i64], reference: i64) -> u32 {
    let mut lengths = [0usize; 65];
    for value in values {
        lengths[bit_len(value.wrapping_sub(reference) as u64) as usize] += 1;
    }
    let widest = (0..=64).rev().find(|len| lengths[*len] > 0).unwrap_or(0);
    let mut best = (usize::MAX, widest);
    for width in (0..=widest)
        .rev()
        .filter(|width| *width == 0 || lengths[*width] > 0)
    {
        let wider = (width + 1..=widest).filter(|len| lengths[*len] > 0);
        let patches: usize = wider
            .map(|len| lengths[len] * (1 + (len - width).div_ceil(7)))
            .sum();
        let size = (values.len() * width).div_ceil(8) + patches + usize::from(patches > 0);
        if size < best.0 {
            best = (size, width);
        }
    }
    best.1 as u32
}

#[inline]
fn bit_len(value: u64) -> u32 {
    64 - value.leading_zeros()
}

#[inline]
fn low_mask(width: u32) -> u64 {
    if width >= 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    }
}

fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let mut pending = 0u128;
    let mut bits = 0;
    for value in values {
        pending |= u128::from(value) << bits;
        bits += width;
        while bits >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(pending as u8);
    }
}

/// Reads `count` integers.
pub(crate) fn decode(reader: &mut Reader<'_>, count: usize) -> Result<Vec<i64>, Damaged> {
    let order = usize::from(reader.u8()?);
    if order > 2 || order > count {
        return Err(Damaged("unknown integer coding"));
    }
    let mut seeds = [0i64; 2];
    for seed in &mut seeds[..order] {
        *seed = reader.signed()?;
    }
    // Room for the values is only taken block by block as the input provides them.
    let mut values =
        Vec::with_capacity(count.min(reader.rest().len().saturating_mul(BLOCK)) + order);
    values.extend_from_slice(&seeds[..order]);
    while values.len() < count {
        let len = (count - values.len()).min(BLOCK);
        decode_block(reader, len, &mut values)?;
    }
    for level in (0..order).rev() {
        let mut sum = seeds[level];
        for value in &mut values[level + 1..] {
            sum = sum.wrapping_add(*value);
            *value = sum;
        }
    }
    Ok(values)
}

fn decode_block(reader: &mut Reader<'_>, len: usize, values: &mut Vec<i64>) -> Result<(), Damaged> {
    let head = reader.u8()?;
    let width = u32::from(head & !HAS_EXCEPTIONS);
    if width > 64 {
        return Err(Damaged("impossible bit width"));
    }
    let reference = reader.signed()?;
    let mut patches = [(0u8, 0u64); BLOCK];
    let mut patched = 0;
    if head & HAS_EXCEPTIONS != 0 {
        patched = usize::from(reader.u8()?);
        for patch in patches
            .get_mut(..patched)
            .ok_or(Damaged("too many exceptions"))?
        {
            *patch = (reader.u8()?, reader.varint()?);
        }
    }
    let start = values.len();
    unpack(
        reader.take((len * width as usize).div_ceil(8))?,
        width,
        len,
        reference,
        values,
    );
    for (position, high) in &patches[..patched] {
        let value = values
            .get_mut(start + usize::from(*position))
            .ok_or(Damaged("exception out of range"))?;
        *value = value.wrapping_add(high.checked_shl(width).unwrap_or(0) as i64);
    }
    Ok(())
}

fn unpack(packed: &[u8], width: u32, len: usize, reference: i64, values: &mut Vec<i64>) {
    if width == 0 {
        values.resize(values.len() + len, reference);
        return;
    }
    // A copy with room behind it lets every residual be read as one unaligned word; 64 bits × 128 is the largest block.
    let mut padded = [0u8; BLOCK * 8 + 16];
    padded[..packed.len()].copy_from_slice(packed);
    let mask = low_mask(width);
    for index in 0..len {
        let bit = index * width as usize;
        let word = &padded[bit / 8..bit / 8 + 9];
        let mut low = [0u8; 8];
        low.copy_from_slice(&word[..8]);
        let shift = (bit % 8) as u32;
        let mut residual = u64::from_le_bytes(low) >> shift;
        if width + shift > 64 {
            residual |= u64::from(word[8]) << (64 - shift);
        }
        values.push(reference.wrapping_add((residual & mask) as i64));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(values: &[i64]) -> usize {
        let mut bytes = Vec::new();
        encode(values, &mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(decode(&mut reader, values.len()).unwrap(), values);
        assert!(reader.is_empty());
        bytes.len()
    }

    #[test]
    fn edge_cases_survive() {
        round_trip(&[]);
        round_trip(&[0]);
        round_trip(&[i64::MIN]);
        round_trip(&[i64::MIN, i64::MAX, i64::MIN, 0, -1, 1, i64::MAX]);
        round_trip(
            &(0..1000)
                .map(|i| if i % 7 == 0 { i64::MAX } else { i })
                .collect::<Vec<_>>(),
        );
    }

    #[test]
    fn steady_sequences_take_no_bits_and_a_gap_does_not_widen_its_block() {
        let steady: Vec<i64> = (0..1024).map(|i| 1_700_000_000_000 + i * 1000).collect();
        assert!(round_trip(&steady) < 40);
        let gap: Vec<i64> = (0..1024)
            .map(|i| i * 1000 + if i > 500 { 3_600_000 } else { 0 })
            .collect();
        assert!(round_trip(&gap) < 50);
    }

    proptest! {
        #[test]
        fn any_integers_survive(values in prop::collection::vec(any::<i64>(), 0..400)) {
            round_trip(&values);
        }

        #[test]
        fn mixed_magnitudes_survive(values in prop::collection::vec((0u32..64, any::<i64>()).prop_map(|(s, v)| v >> s), 0..400)) {
            round_trip(&values);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), count in 0usize..2000) {
            let _ = decode(&mut Reader::new(&bytes), count);
        }
    }
}
