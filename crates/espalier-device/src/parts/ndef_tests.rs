//! Business cards against what `ndeflib` of Python encodes, and against a reader of tags.

extern crate std;

use std::format;
use std::string::{String as Text, ToString};
use std::vec;
use std::vec::Vec as List;

use proptest::prelude::*;

use super::*;

const ADA: Card<'_> = Card {
    name: "Ada Lovelace",
    organisation: "Engines, Ltd",
    telephone: "+44 20 7946 0000",
    email: "ada@example.org",
    url: "https://example.org/ada",
    note: "",
};

/// The same card as records, encoded by ndeflib 0.3.3.
const ADA_RECORDS: &str = "920aa7746578742f7663617264424547494e3a56434152440d0a56455253494f4e3a332e300d0a4e3a416461204c6f76656c6163653b3b3b3b0d0a\
464e3a416461204c6f76656c6163650d0a4f52473a456e67696e65735c2c204c74640d0a54454c3a2b3434203230203739343620303030300d0a\
454d41494c3a616461406578616d706c652e6f72670d0a55524c3a68747470733a2f2f6578616d706c652e6f72672f6164610d0a\
454e443a56434152440d0a51011055046578616d706c652e6f72672f616461";

fn hex(bytes: &[u8]) -> Text {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A tag that pages are written to; the reader stops after so many.
fn write(message: &Message, tag: Tag, stop: usize) -> List<u8> {
    // What was there before.
    let mut memory = vec![0x5a; tag.bytes()];
    for (page, content) in message.pages().take(stop) {
        let at = usize::from(page - FIRST_PAGE) * PAGE;
        memory[at..at + PAGE].copy_from_slice(&content);
    }
    memory
}

/// Reads type and payload of every record on a tag.
fn read(memory: &[u8]) -> List<(List<u8>, List<u8>)> {
    assert_eq!(memory[0], 0x03);
    let (len, mut at) = match memory[1] {
        0xff => (usize::from(u16::from_be_bytes([memory[2], memory[3]])), 4),
        len => (usize::from(len), 2),
    };
    let end = at + len;
    assert_eq!(memory[end], 0xfe);
    let mut records = vec![];
    while at < end {
        let (head, kind_len) = (memory[at], usize::from(memory[at + 1]));
        assert_eq!((head & 0x80 != 0, head & 0x20), (records.is_empty(), 0));
        let (payload, skip) = if head & 0x10 != 0 {
            (usize::from(memory[at + 2]), 3)
        } else {
            (
                u32::from_be_bytes(memory[at + 2..at + 6].try_into().unwrap()) as usize,
                6,
            )
        };
        let kind = at + skip;
        let body = kind + kind_len;
        records.push((
            memory[kind..body].to_vec(),
            memory[body..body + payload].to_vec(),
        ));
        at = body + payload;
        assert_eq!(head & 0x40 != 0, at == end);
    }
    assert_eq!(at, end);
    records
}

#[test]
fn a_card_is_encoded_as_another_implementation_does() {
    let message = Message::new(&ADA, Tag::Ntag215).unwrap();
    assert_eq!(hex(message.as_bytes()), format!("03c8{ADA_RECORDS}fe"));
    let memory = write(&message, Tag::Ntag215, usize::MAX);
    let records = read(&memory);
    assert_eq!(
        (records[0].0.as_slice(), records[1].0.as_slice()),
        (VCARD, &b"U"[..])
    );
    assert_eq!(records[1].1, b"\x04example.org/ada");
    // A payload of more than 255 bytes has a long head, as there: c2 0a 00 00 01 76.
    let note = "n".repeat(200);
    let long = Message::new(&Card { note: &note, ..ADA }, Tag::Ntag215).unwrap();
    assert_eq!(hex(&long.as_bytes()[..10]), "03ff019a820a00000176");
    assert_eq!(read(&write(&long, Tag::Ntag215, usize::MAX)).len(), 2);
}

#[test]
fn a_card_that_does_not_fit_is_refused_whole() {
    assert_eq!(
        Message::new(&ADA, Tag::Ntag213).unwrap_err().to_string(),
        "the business card needs 203 bytes and the tag holds 144"
    );
    let small = Card {
        name: "Ada",
        ..Card::default()
    };
    assert_eq!(
        read(&write(
            &Message::new(&small, Tag::Ntag213).unwrap(),
            Tag::Ntag213,
            usize::MAX
        ))
        .len(),
        1
    );
    let note = "n".repeat(700);
    assert_eq!(
        Message::new(
            &Card {
                note: &note,
                ..small
            },
            Tag::Ntag216
        ),
        Err(NdefError::TooLong)
    );
    assert_eq!(
        Message::new(
            &Card {
                url: &note,
                ..small
            },
            Tag::Ntag216
        ),
        Err(NdefError::TooLong)
    );
    assert_eq!(
        Message::new(&Card { name: " ", ..ADA }, Tag::Ntag216),
        Err(NdefError::NoName)
    );
}

#[test]
fn a_tag_that_is_taken_away_is_empty_or_whole() {
    let message = Message::new(&ADA, Tag::Ntag215).unwrap();
    let pages = message.pages().count();
    for stop in 1..pages {
        assert_eq!(
            read(&write(&message, Tag::Ntag215, stop)),
            [],
            "after {stop} pages"
        );
    }
    assert_eq!(read(&write(&message, Tag::Ntag215, pages)).len(), 2);
}

#[test]
fn tags_tell_their_kind() {
    assert_eq!(Tag::of([0xe1, 0x10, 0x12, 0]), Some(Tag::Ntag213));
    assert_eq!(Tag::of([0xe1, 0x10, 0x3e, 0]), Some(Tag::Ntag215));
    assert_eq!(Tag::of([0xe1, 0x10, 0x6d, 0]), Some(Tag::Ntag216));
    assert_eq!(Tag::of([0, 0, 0, 0]), None);
}

proptest! {
    /// Any card that fits is read back: nothing of it breaks out of its line, and no page lies beyond the tag.
    #[test]
    fn any_card_is_read_back_or_refused(
        name in any::<Text>(), note in any::<Text>(), url in "(https://|http://www\\.|tel:|)[a-z./]{0,200}", n in 0..3_usize,
    ) {
        let tag = [Tag::Ntag213, Tag::Ntag215, Tag::Ntag216][n];
        let card = Card { name: &name, note: &note, url: &url, ..Card::default() };
        let Ok(message) = Message::new(&card, tag) else { return Ok(()) };
        prop_assert!(message.as_bytes().len() <= tag.bytes());
        prop_assert!(message.pages().all(|(page, _)| usize::from(page - FIRST_PAGE) * PAGE + PAGE <= tag.bytes()));
        let records = read(&write(&message, tag, usize::MAX));
        let text = Text::from_utf8(records[0].1.clone()).unwrap();
        let lines: List<&str> = text.split("\r\n").collect();
        let expected = 6 + usize::from(!note.is_empty()) + usize::from(!url.is_empty());
        prop_assert_eq!(lines.len(), expected, "{}", text);
        prop_assert!(lines[3].starts_with("FN:") && !lines.iter().any(|line| line.contains(['\r', '\n'])));
        if !url.is_empty() {
            let prefix = PREFIXES.iter().find(|(byte, _)| *byte == records[1].1[0]).map_or("", |(_, prefix)| prefix);
            prop_assert_eq!(format!("{prefix}{}", core::str::from_utf8(&records[1].1[1..]).unwrap()), url);
        }
    }
}
