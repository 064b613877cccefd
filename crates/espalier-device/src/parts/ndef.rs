//! Business cards for NFC tags: a vCard 3.0 and a link as one NDEF message, cut into the pages of an NTAG213, 215 or 216. Not the
//! reader: the binding writes the pages.

use core::fmt::{self, Write};

use heapless::{String, Vec};

/// Longest vCard, in bytes.
pub const MAX_CARD: usize = 640;
/// Longest message with everything around it: what the largest tag holds, in bytes.
pub const MAX_MESSAGE: usize = 888;
/// The first page of a tag that a message is written to.
pub const FIRST_PAGE: u8 = 4;
/// Bytes of a page.
pub const PAGE: usize = 4;

/// The kinds of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// 144 bytes.
    Ntag213,
    /// 504 bytes.
    Ntag215,
    /// 888 bytes.
    Ntag216,
}

impl Tag {
    /// Returns the kind from the capability container, which is in page 3; none when it is no tag of these.
    pub const fn of(container: [u8; PAGE]) -> Option<Self> {
        match container {
            [0xe1, _, 0x12, _] => Some(Tag::Ntag213),
            [0xe1, _, 0x3e, _] => Some(Tag::Ntag215),
            [0xe1, _, 0x6d | 0x6f, _] => Some(Tag::Ntag216),
            _ => None,
        }
    }

    /// Returns how many bytes a message may have.
    pub const fn bytes(self) -> usize {
        match self {
            Tag::Ntag213 => 144,
            Tag::Ntag215 => 504,
            Tag::Ntag216 => 888,
        }
    }
}

/// Why a card is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NdefError {
    /// It has no name.
    NoName,
    /// The card itself is longer than [`MAX_CARD`], or the link than 255 bytes.
    TooLong,
    /// The message needs so many bytes, and the tag has so many.
    Full(usize, usize),
}

impl fmt::Display for NdefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NdefError::NoName => f.write_str("a business card needs a name"),
            NdefError::TooLong => write!(f, "the business card is longer than {MAX_CARD} bytes"),
            NdefError::Full(need, have) => {
                write!(
                    f,
                    "the business card needs {need} bytes and the tag holds {have}"
                )
            }
        }
    }
}

impl core::error::Error for NdefError {}

/// What is on a business card; what is empty is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Card<'a> {
    /// The name, which must be there.
    pub name: &'a str,
    /// The organisation.
    pub organisation: &'a str,
    /// A telephone number.
    pub telephone: &'a str,
    /// An e-mail address.
    pub email: &'a str,
    /// A link: in the card, and as a record of its own that phones open at once.
    pub url: &'a str,
    /// A note.
    pub note: &'a str,
}

/// A message, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    bytes: Vec<u8, MAX_MESSAGE>,
}

/// The beginnings of links that one byte stands for, longest first where one begins like another.
const PREFIXES: [(u8, &str); 6] = [
    (0x02, "https://www."),
    (0x01, "http://www."),
    (0x04, "https://"),
    (0x03, "http://"),
    (0x05, "tel:"),
    (0x06, "mailto:"),
];

/// Bits of the head of a record.
const MESSAGE_BEGIN: u8 = 0x80;
const MESSAGE_END: u8 = 0x40;
const SHORT: u8 = 0x10;
const WELL_KNOWN: u8 = 0x01;
const MIME: u8 = 0x02;
/// Around the message on the tag.
const TLV_MESSAGE: u8 = 0x03;
const TLV_END: u8 = 0xfe;

impl Message {
    /// Makes the message of a card for a tag.
    ///
    /// # Errors
    /// When it has no name or does not fit: a card is never cut.
    pub fn new(card: &Card<'_>, tag: Tag) -> Result<Self, NdefError> {
        if card.name.trim().is_empty() {
            return Err(NdefError::NoName);
        }
        let text = card.vcard().ok_or(NdefError::TooLong)?;
        if card.url.len() > 255 {
            return Err(NdefError::TooLong);
        }
        let link = (!card.url.is_empty()).then(|| link(card.url));
        let of_link = link.map_or(0, |(_, rest)| record_len(1, 1 + rest.len()));
        let inside = record_len(VCARD.len(), text.len()) + of_link;
        let need = inside + if inside < 255 { 3 } else { 5 };
        if need > tag.bytes() {
            return Err(NdefError::Full(need, tag.bytes()));
        }
        let mut out = Out(Vec::new());
        out.byte(TLV_MESSAGE);
        match u8::try_from(inside) {
            Ok(short) if short < 255 => out.byte(short),
            _ => {
                out.byte(0xff);
                // Below the largest tag.
                out.bytes(&(inside as u16).to_be_bytes());
            }
        }
        let end = if link.is_none() { MESSAGE_END } else { 0 };
        out.head(MESSAGE_BEGIN | end | MIME, VCARD, text.len());
        out.bytes(text.as_bytes());
        if let Some((prefix, rest)) = link {
            out.head(MESSAGE_END | WELL_KNOWN, b"U", 1 + rest.len());
            out.byte(prefix);
            out.bytes(rest.as_bytes());
        }
        out.byte(TLV_END);
        Ok(Message { bytes: out.0 })
    }

    /// Returns the bytes on the tag.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the numbers and contents of the pages to write, in this order. The first one makes the tag empty and is written
    /// again at the end: a tag that is taken away too early is empty, not a broken card.
    pub fn pages(&self) -> impl Iterator<Item = (u8, [u8; PAGE])> {
        let page = |n: usize| {
            let bytes = self.bytes.chunks(PAGE).nth(n)?;
            let mut content = [0; PAGE];
            content.get_mut(..bytes.len())?.copy_from_slice(bytes);
            Some((FIRST_PAGE.checked_add(u8::try_from(n).ok()?)?, content))
        };
        let count = self.bytes.len().div_ceil(PAGE);
        let empty = (FIRST_PAGE, [TLV_MESSAGE, 0, TLV_END, 0]);
        core::iter::once(empty).chain((1..count).chain([0]).filter_map(page))
    }
}

/// The type of the first record.
const VCARD: &[u8] = b"text/vcard";

/// Returns the bytes of a record with a type and a payload of these lengths.
const fn record_len(kind: usize, payload: usize) -> usize {
    2 + if payload < 256 { 1 } else { 4 } + kind + payload
}

fn link(url: &str) -> (u8, &str) {
    let found = PREFIXES
        .iter()
        .find_map(|(byte, prefix)| Some((*byte, url.strip_prefix(prefix)?)));
    found.unwrap_or((0x00, url))
}

/// Bytes whose number was checked before.
struct Out(Vec<u8, MAX_MESSAGE>);

impl Out {
    fn byte(&mut self, byte: u8) {
        let _ = self.0.push(byte);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.0.extend_from_slice(bytes);
    }

    fn head(&mut self, flags: u8, kind: &[u8], payload: usize) {
        let length = u32::try_from(payload).unwrap_or(u32::MAX);
        let short = u8::try_from(payload).ok();
        self.byte(flags | if short.is_some() { SHORT } else { 0 });
        self.byte(u8::try_from(kind.len()).unwrap_or(u8::MAX));
        match short {
            Some(length) => self.byte(length),
            None => self.bytes(&length.to_be_bytes()),
        }
        self.bytes(kind);
    }
}

impl Card<'_> {
    /// Returns the text of the card; none when it is too long.
    fn vcard(&self) -> Option<String<MAX_CARD>> {
        let mut out = String::new();
        out.push_str("BEGIN:VCARD\r\nVERSION:3.0\r\n").ok()?;
        // Version 3.0 wants the structured name as well; what is the family name nobody knows.
        for (name, value, end) in [
            ("N:", self.name, ";;;;"),
            ("FN:", self.name, ""),
            ("ORG:", self.organisation, ""),
            ("TEL:", self.telephone, ""),
            ("EMAIL:", self.email, ""),
            ("URL:", self.url, ""),
            ("NOTE:", self.note, ""),
        ] {
            if !value.is_empty() {
                out.push_str(name).ok()?;
                escape(value, &mut out).ok()?;
                out.push_str(end).ok()?;
                out.push_str("\r\n").ok()?;
            }
        }
        out.push_str("END:VCARD\r\n").ok()?;
        Some(out)
    }
}

fn escape(value: &str, out: &mut impl Write) -> fmt::Result {
    for c in value.chars() {
        match c {
            '\\' | ',' | ';' => {
                out.write_char('\\')?;
                out.write_char(c)?;
            }
            '\n' => out.write_str("\\n")?,
            // Other control characters have no business on a card.
            c if c.is_control() => {}
            c => out.write_char(c)?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "ndef_tests.rs"]
mod tests;
