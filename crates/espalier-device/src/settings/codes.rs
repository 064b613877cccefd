//! Base64 (the standard alphabet, with padding) and lower-case hexadecimal digits, both ways. Nothing else of either.

use core::fmt::{self, Write};

use heapless::Vec;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn sextet(letter: u8) -> Option<u32> {
    ALPHABET
        .iter()
        .position(|l| *l == letter)
        .map(|at| at as u32)
}

/// Reads base64 in its only spelling; nothing when it is malformed or has more bytes than fit.
pub(super) fn from_base64<const N: usize>(text: &[u8]) -> Option<Vec<u8, N>> {
    let mut out = Vec::new();
    let (quads, rest) = text.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    for (n, quad) in quads.iter().enumerate() {
        let padding = quad.iter().rev().take_while(|l| **l == b'=').count();
        if padding > 2 || (padding > 0 && n + 1 < quads.len()) {
            return None;
        }
        let (letters, _) = quad.split_at(4 - padding);
        let bits = letters
            .iter()
            .try_fold(0, |bits, l| Some(bits << 6 | sextet(*l)?))?
            << (6 * padding);
        let [_, bytes @ ..] = bits.to_be_bytes();
        let (bytes, unused) = bytes.split_at(3 - padding);
        if unused.iter().any(|b| *b != 0) {
            return None;
        }
        out.extend_from_slice(bytes).ok()?;
    }
    Some(out)
}

/// Writes base64.
pub(super) fn write_base64(bytes: &[u8], out: &mut impl Write) -> fmt::Result {
    for part in bytes.chunks(3) {
        let byte = |i: usize| u32::from(part.get(i).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let letter = match i <= part.len() {
                true => ALPHABET[(bits >> (18 - 6 * i)) as usize & 63],
                false => b'=',
            };
            out.write_char(char::from(letter))?;
        }
    }
    Ok(())
}

/// Reads 64 hexadecimal digits of either case.
pub(super) fn from_hex(text: &[u8]) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_chunks::<2>();
    let mut out = [0; 32];
    if pairs.len() != out.len() || !rest.is_empty() {
        return None;
    }
    let digit = |d: u8| char::from(d).to_digit(16);
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
    }
    Some(out)
}

/// Writes lower-case hexadecimal digits.
pub(super) fn write_hex(bytes: &[u8], out: &mut impl Write) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapless::String;

    #[test]
    fn base64_is_that_of_the_standard() {
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in pairs {
            let mut out = String::<16>::new();
            write_base64(plain.as_bytes(), &mut out).unwrap();
            assert_eq!(out, coded);
            assert_eq!(
                from_base64::<8>(coded.as_bytes()).unwrap(),
                plain.as_bytes()
            );
        }
        for bad in [
            "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "====", "Z===", "Zm 9", "Zm9_",
        ] {
            assert_eq!(from_base64::<8>(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(from_base64::<2>(b"Zm9v"), None);
    }

    #[test]
    fn keys_are_sixty_four_digits() {
        let mut out = String::<64>::new();
        let key: [u8; 32] = core::array::from_fn(|i| (i * 8) as u8);
        write_hex(&key, &mut out).unwrap();
        assert_eq!(from_hex(out.as_bytes()), Some(key));
        out.pop();
        assert_eq!(from_hex(out.as_bytes()), None);
        let _ = out.push('g');
        assert_eq!(from_hex(out.as_bytes()), None);
    }
}
