//! The password of the portal, one per board. Not the password of any other network, and no generator: random bytes come in.

use heapless::String;

/// Letters and digits that nobody takes for one another.
const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Letters of a password, beside the hyphens between each four.
const COUNT: usize = 12;

/// A password: twelve letters and digits in groups of four, 59 bits.
pub type Password = String<{ COUNT + 2 }>;

/// Makes a password of 128 random bits, which must come from a generator fit for secrets.
pub fn from_random(random: [u8; 16]) -> Password {
    let mut bits = u128::from_le_bytes(random);
    let mut out = Password::new();
    for n in 0..COUNT {
        if n > 0 && n.is_multiple_of(4) {
            let _ = out.push('-');
        }
        // The remainder's bias is below 2^-60.
        let letter = LETTERS[(bits % 31) as usize];
        bits /= 31;
        // There is room for each.
        let _ = out.push(char::from(letter));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_plain_to_read_and_differ() {
        assert_eq!(from_random([0; 16]), "aaaa-aaaa-aaaa");
        let most = from_random([0xff; 16]);
        assert_eq!(most.len(), 14);
        let one = from_random(*b"sixteen of these");
        assert_eq!(one, from_random(*b"sixteen of these"));
        assert_ne!(one, from_random(*b"sixteen of those"));
        for password in [most, one] {
            let plain = |c: char| c == '-' || LETTERS.contains(&(c as u8));
            assert!(password.chars().all(plain), "{password}");
        }
    }
}
