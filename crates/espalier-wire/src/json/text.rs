//! Strings of a message without copying them. Escapes are decoded character by character when someone asks.

use core::fmt::{self, Write};

use super::scan;

/// A string of a message: plain text, or the still escaped inside of a JSON string. Both compare by their characters.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// Makes a text from plain characters; they are escaped when written.
    pub const fn new(plain: &'a str) -> Self {
        Text {
            raw: plain,
            escaped: false,
        }
    }

    /// Makes a text from the checked inside of a JSON string.
    pub(super) fn from_escaped(inner: &'a str) -> Self {
        Text {
            raw: inner,
            escaped: inner.contains('\\'),
        }
    }

    /// Returns the characters as one slice, unless escapes stand between them.
    pub const fn as_plain(self) -> Option<&'a str> {
        if self.escaped { None } else { Some(self.raw) }
    }

    /// Returns the characters, decoded.
    pub const fn chars(self) -> Chars<'a> {
        Chars { text: self, at: 0 }
    }

    /// Returns the length in bytes of UTF-8, decoded.
    pub fn len(self) -> usize {
        if self.escaped {
            self.chars().map(char::len_utf8).sum()
        } else {
            self.raw.len()
        }
    }

    /// Says whether there are no characters.
    pub const fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// Returns the decoded characters, borrowed where possible.
    #[cfg(feature = "alloc")]
    pub fn to_cow(self) -> alloc::borrow::Cow<'a, str> {
        match self.as_plain() {
            Some(plain) => plain.into(),
            None => self.chars().collect::<alloc::string::String>().into(),
        }
    }

    /// Returns the decoded characters as an owned string.
    #[cfg(feature = "alloc")]
    pub fn to_owned_string(self) -> alloc::string::String {
        self.to_cow().into_owned()
    }

    /// Writes the text as a JSON string with its quotes.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn write_json(self, out: &mut impl Write) -> fmt::Result {
        out.write_char('"')?;
        if self.escaped {
            out.write_str(self.raw)?;
        } else {
            write_escaped(self.raw, out)?;
        }
        out.write_char('"')
    }
}

fn write_escaped(plain: &str, out: &mut impl Write) -> fmt::Result {
    let mut from = 0;
    for (at, c) in plain
        .char_indices()
        .filter(|(_, c)| matches!(c, '"' | '\\' | '\0'..='\x1f'))
    {
        out.write_str(&plain[from..at])?;
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            other => write!(out, "\\u{:04x}", u32::from(other))?,
        }
        from = at + c.len_utf8();
    }
    out.write_str(&plain[from..])
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(plain: &'a str) -> Self {
        Text::new(plain)
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.chars().eq(other.chars())
    }
}

impl Eq for Text<'_> {}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        match self.as_plain() {
            Some(plain) => plain == other,
            None => self.chars().eq(other.chars()),
        }
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_plain() {
            Some(plain) => f.write_str(plain),
            None => self.chars().try_for_each(|c| f.write_char(c)),
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        self.chars()
            .flat_map(char::escape_debug)
            .try_for_each(|c| f.write_char(c))?;
        f.write_char('"')
    }
}

/// The decoded characters of a [`Text`].
#[derive(Debug, Clone)]
pub struct Chars<'a> {
    text: Text<'a>,
    at: usize,
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let raw = self.text.raw;
        let c = raw.get(self.at..)?.chars().next()?;
        self.at += c.len_utf8();
        if !self.text.escaped || c != '\\' {
            return Some(c);
        }
        // Escapes were checked when the message was parsed; the fallbacks keep this total.
        let escape = raw.get(self.at..)?.chars().next()?;
        self.at += escape.len_utf8();
        Some(match escape {
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => self.unicode_escape(),
            other => other,
        })
    }
}

impl Chars<'_> {
    fn unicode_escape(&mut self) -> char {
        let raw = self.text.raw;
        let high = scan::hex4(raw, self.at).unwrap_or(0xfffd);
        self.at += 4;
        let code = match scan::low_surrogate(raw, self.at) {
            Some(low) if (0xd800..0xdc00).contains(&high) => {
                self.at += 6;
                0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
            }
            _ => high,
        };
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

/// A text that must not be shown: `Debug` hides it, and there is no `Display`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret<'a>(Text<'a>);

impl<'a> Secret<'a> {
    /// Wraps a secret text.
    pub const fn new(text: Text<'a>) -> Self {
        Secret(text)
    }

    /// Returns the secret for the one who checks or sends it.
    pub const fn expose(self) -> Text<'a> {
        self.0
    }
}

impl<'a> From<&'a str> for Secret<'a> {
    fn from(plain: &'a str) -> Self {
        Secret(Text::new(plain))
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
