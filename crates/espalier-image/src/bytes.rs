//! Reading little-endian fields and texts at checked places, and the CRC that ESP-IDF uses.

use crate::error::{Field, ImageError};

/// `N` bytes at a place; nothing when the input ends before.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// A byte.
pub(crate) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

/// A 16-bit number.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// A 32-bit number.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// A text in a fixed field: printable ASCII up to the first zero byte.
pub(crate) fn field(bytes: &[u8], field: Field) -> Result<&str, ImageError> {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    printable(text).ok_or(ImageError::Text { field })
}

/// The bytes as text when all of them are printable ASCII.
pub(crate) fn printable(bytes: &[u8]) -> Option<&str> {
    let plain = bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    core::str::from_utf8(bytes).ok().filter(|_| plain)
}

/// CRC-32 (the one of zlib) continued from `start`; 0 begins it as zlib does, `u32::MAX` as OTA data does.
pub(crate) fn crc32(start: u32, bytes: &[u8]) -> u32 {
    let mut register = !start;
    for byte in bytes {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = register & 1;
            register = (register >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(carry));
        }
    }
    !register
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_crc_is_the_usual_one() {
        assert_eq!(super::crc32(0, b"123456789"), 0xCBF4_3926);
    }
}
