//! ASN.1 in its distinguished encoding, as far as certificates need it: tags, lengths, and what is inside. Strict: a length that
//! could be shorter is an error.

/// Tags of the values that certificates are made of.
pub(crate) mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const OID: u8 = 0x06;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const SEQUENCE: u8 = 0x30;

    /// A constructed value with a number of its own.
    pub const fn context(number: u8) -> u8 {
        0xa0 | number
    }

    /// A simple value with a number of its own.
    pub const fn context_primitive(number: u8) -> u8 {
        0x80 | number
    }
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    /// With tag and length.
    pub whole: &'a [u8],
}

/// Reads values one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the next value, whatever it is.
    pub fn next(&mut self) -> Option<Value<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        // Tags of several bytes do not occur in certificates.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            short @ 0..=0x7f => (usize::from(short), rest),
            0x81 => {
                let (&byte, rest) = rest.split_first()?;
                (usize::from(byte), rest)
            }
            0x82 => {
                let (two, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*two)), rest)
            }
            _ => return None,
        };
        let shortest = match first {
            0x81 => length >= 0x80,
            0x82 => length >= 0x100,
            _ => true,
        };
        let (content, after) = rest.split_at_checked(length).filter(|_| shortest)?;
        let whole = self.0.get(..self.0.len() - after.len())?;
        self.0 = after;
        Some(Value {
            tag,
            content,
            whole,
        })
    }

    /// Returns the next value when it has this tag.
    pub fn take(&mut self, tag: u8) -> Option<Value<'a>> {
        self.next().filter(|value| value.tag == tag)
    }

    /// Returns the next value if it has this tag, and leaves it there otherwise.
    pub fn take_if(&mut self, tag: u8) -> Option<Value<'a>> {
        let mut ahead = *self;
        let value = ahead.take(tag)?;
        *self = ahead;
        Some(value)
    }

    /// Enters the next value when it has this tag.
    pub fn enter(&mut self, tag: u8) -> Option<Reader<'a>> {
        self.take(tag).map(|value| Reader(value.content))
    }

    /// Returns a boolean with its default where it is absent.
    pub fn boolean_or(&mut self, default: bool) -> Option<bool> {
        match self.take_if(tag::BOOLEAN) {
            None => Some(default),
            Some(value) => match value.content {
                [0] => Some(false),
                [0xff] => Some(true),
                _ => None,
            },
        }
    }

    /// Returns the bytes of a bit string without unused bits.
    pub fn bits(&mut self) -> Option<&'a [u8]> {
        match self.take(tag::BIT_STRING)?.content.split_first()? {
            (0, bytes) => Some(bytes),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_long_ways_to_say_little_are_refused() {
        let bytes = [0x30, 3, 0x02, 1, 5, 0x01, 1, 0xff];
        let mut reader = Reader::new(&bytes);
        let mut inside = reader.enter(tag::SEQUENCE).unwrap();
        assert_eq!(inside.take(tag::INTEGER).unwrap().content, [5]);
        assert!(inside.is_empty());
        assert_eq!(reader.take_if(tag::INTEGER), None);
        assert_eq!(reader.boolean_or(false), Some(true));
        assert_eq!(reader.boolean_or(false), Some(false));
        for bad in [
            &[0x30][..],
            &[0x30, 1],
            &[0x30, 0x81, 1, 0],
            &[0x30, 0x82, 0, 1, 0],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x83, 0, 0, 1, 0],
            &[0x1f, 0x81, 0],
        ] {
            assert_eq!(Reader::new(bad).next(), None, "{bad:?}");
        }
        assert_eq!(Reader::new(&[1, 1, 1]).boolean_or(false), None);
        assert_eq!(Reader::new(&[3, 2, 1, 0]).bits(), None);
    }
}
