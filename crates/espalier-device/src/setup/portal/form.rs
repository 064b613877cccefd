//! The form of the portal: `application/x-www-form-urlencoded` bytes to fields. Not what the fields mean.

use heapless::{String, Vec};

/// Longest value of a field, in bytes; none that is used is longer.
pub const MAX_VALUE: usize = 192;

/// A value that was sent: none when it is longer than any valid one or no UTF-8.
pub type Value = Option<String<MAX_VALUE>>;

/// Decodes percent signs and pluses.
fn decode(bytes: &[u8]) -> Value {
    let mut out = Vec::<u8, MAX_VALUE>::new();
    let mut left = bytes;
    while let [first, rest @ ..] = left {
        let digit = |d: &u8| char::from(*d).to_digit(16);
        let (byte, after) = match (first, rest) {
            (b'+', _) => (b' ', rest),
            (b'%', [high, low, after @ ..]) => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => ((high << 4 | low) as u8, after),
                _ => (b'%', rest),
            },
            _ => (*first, rest),
        };
        out.push(byte).ok()?;
        left = after;
    }
    String::from_utf8(out).ok()
}

/// Returns the last value of a field, decoded; nothing when it was not sent.
pub fn field(form: &[u8], name: &str) -> Option<Value> {
    let mut found = None;
    for pair in form.split(|b| *b == b'&') {
        let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let (key, value) = pair.split_at(at);
        if decode(key).is_some_and(|key| key == name) {
            found = Some(decode(value.get(1..).unwrap_or_default()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(form: &str, name: &str) -> Option<String<MAX_VALUE>> {
        field(form.as_bytes(), name).flatten()
    }

    #[test]
    fn fields_are_decoded() {
        let form = "a=1&b=x+y%2B%20%C3%A9&c&d=&%61b=%&e=%4&e=%zz&=x";
        assert_eq!(value(form, "a").unwrap(), "1");
        assert_eq!(value(form, "b").unwrap(), "x y+ é");
        assert_eq!(value(form, "c").unwrap(), "");
        assert_eq!(value(form, "d").unwrap(), "");
        assert_eq!(value(form, "ab").unwrap(), "%");
        assert_eq!(value(form, "e").unwrap(), "%zz");
        assert_eq!(field(form.as_bytes(), "f"), None);
        assert_eq!(field(b"a=%ff", "a"), Some(None));
        let mut long = [b'x'; MAX_VALUE + 3];
        long[..2].copy_from_slice(b"a=");
        assert_eq!(field(&long, "a"), Some(None));
    }
}
