//! Reading and writing bytes: variable-length integers (LEB128, signed ones zigzagged) and slices.

use super::Damaged;

/// Maps small negative numbers to small positive ones.
#[inline]
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[inline]
pub(crate) fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// Appends an unsigned integer, 7 bits per byte, lowest first.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Damaged> {
        let (first, rest) = self.rest.split_first().ok_or(Damaged("unexpected end"))?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(Damaged("unexpected end"))?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Damaged> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Damaged("integer too long"))
    }

    #[inline]
    pub(crate) fn signed(&mut self) -> Result<i64, Damaged> {
        self.varint().map(unzigzag)
    }

    /// A count of things of which each takes at least a bit of room somewhere, refused above `max`.
    pub(crate) fn count(&mut self, max: usize) -> Result<usize, Damaged> {
        usize::try_from(self.varint()?)
            .ok()
            .filter(|count| *count <= max)
            .ok_or(Damaged("impossible count"))
    }

    #[inline]
    pub(crate) fn f64(&mut self) -> Result<f64, Damaged> {
        self.take(8)?
            .try_into()
            .map(f64::from_le_bytes)
            .map_err(|_| Damaged("unexpected end"))
    }
}
