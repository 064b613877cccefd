//! The writer against a reader that knows its manual, and a tag that can be taken away.

extern crate std;

use std::string::ToString;
use std::vec;
use std::vec::Vec as List;

use proptest::prelude::*;

use super::*;

const ADA: Card<'_> = Card {
    name: "Ada Lovelace",
    organisation: "",
    telephone: "",
    email: "ada@example.org",
    url: "",
    note: "",
};

/// A reader with a tag before it.
struct Reader {
    /// Looks until the tag comes.
    empty: u32,
    /// Commands to the tag until it is taken away.
    stays: u32,
    select: u8,
    capability: [u8; 4],
    memory: List<u8>,
    awake: bool,
}

impl Reader {
    fn new(capability: [u8; 4]) -> Self {
        Reader {
            empty: 0,
            stays: u32::MAX,
            select: 0,
            capability,
            memory: vec![0x5a; 888],
            awake: false,
        }
    }

    /// What the manual says of a frame: start, length, its complement, direction, body, sum, end.
    fn take(&mut self, frame: &[u8]) -> List<u8> {
        let [0, 0, 0xff, length, check, body @ .., 0] = frame else {
            panic!("{frame:02x?}");
        };
        assert_eq!(length.wrapping_add(*check), 0);
        assert_eq!(body.len(), usize::from(*length) + 1);
        assert_eq!(body.iter().fold(0, |sum: u8, b| sum.wrapping_add(*b)), 0);
        assert_eq!(body[0], 0xd4);
        let mut data = self.obey(&body[1..body.len() - 1]);
        data.splice(0..0, [0xd5, body[1] + 1]);
        let sum = data.iter().fold(0, |sum: u8, b| sum.wrapping_add(*b));
        let length = u8::try_from(data.len()).unwrap();
        let mut out = vec![0, 0, 0xff, length, length.wrapping_neg()];
        out.extend(data);
        out.extend([sum.wrapping_neg(), 0]);
        assert!(out.len() <= MAX_ANSWER);
        out
    }

    fn obey(&mut self, command: &[u8]) -> List<u8> {
        match command {
            [0x14, 1, ..] => {
                self.awake = true;
                vec![]
            }
            [0x32, 5, _, _, _] => vec![],
            [0x4a, 1, 0] => {
                assert!(self.awake);
                if self.empty > 0 {
                    self.empty -= 1;
                    return vec![0];
                }
                vec![1, 1, 0, 0x44, self.select, 7, 4, 1, 2, 3, 4, 5, 6]
            }
            // The tag does not answer: a time-out of the field.
            [0x40, ..] if self.stays == 0 => vec![1],
            [0x40, 1, 0x30, 3] => {
                self.stays -= 1;
                let mut answer = vec![0];
                answer.extend(self.capability);
                answer.extend(&self.memory[..12]);
                answer
            }
            [0x40, 1, 0xa2, page, bytes @ ..] => {
                self.stays -= 1;
                let at = (usize::from(*page) - 4) * 4;
                self.memory[at..at + 4].copy_from_slice(bytes);
                vec![0]
            }
            other => panic!("{other:02x?}"),
        }
    }

    fn write(&mut self, card: Card<'_>) -> Result<(), Pn532Error> {
        let mut writer = Writer::new(card)?;
        for _ in 0..1_000 {
            let Some(frame) = writer.command() else {
                return Ok(());
            };
            writer.answered(&self.take(&frame))?;
        }
        panic!("it never ends");
    }
}

const NTAG215: [u8; 4] = [0xe1, 0x10, 0x3e, 0];

#[test]
fn frames_are_those_of_the_manual() {
    // The example that every manual of the reader begins with.
    assert_eq!(frame(&[0x02])[..], [0, 0, 0xff, 2, 0xfe, 0xd4, 2, 0x2a, 0]);
    let version = [0, 0, 0xff, 6, 0xfa, 0xd5, 3, 0x32, 1, 6, 7, 0xe8, 0];
    assert_eq!(unframe(&version, 2), Ok(&[0x32, 1, 6, 7][..]));
    assert_eq!(unframe(&version, 4), Err(Pn532Error::Garbled));
    let refused = [0, 0, 0xff, 1, 0xff, 0x7f, 0x81, 0];
    assert_eq!(unframe(&refused, 2), Err(Pn532Error::Refused));
}

#[test]
fn a_card_is_on_the_tag_when_one_comes() {
    let mut reader = Reader::new(NTAG215);
    reader.empty = 5;
    reader.write(ADA).unwrap();
    let message = Message::new(&ADA, Tag::Ntag215).unwrap();
    assert!(reader.memory.starts_with(message.as_bytes()));
}

#[test]
fn what_cannot_be_written_is_told() {
    let error = |reader: &mut Reader, card| reader.write(card).unwrap_err();
    let nobody = Card { name: " ", ..ADA };
    let told = error(&mut Reader::new(NTAG215), nobody);
    assert_eq!(told.to_string(), "a business card needs a name");
    let mut other = Reader::new([0, 0, 0, 0]);
    assert_eq!(error(&mut other, ADA), Pn532Error::OtherTag);
    let mut bank = Reader::new(NTAG215);
    bank.select = 0x20;
    assert_eq!(error(&mut bank, ADA), Pn532Error::OtherTag);
    let mut locked = Reader::new([0xe1, 0x10, 0x3e, 0x0f]);
    assert_eq!(error(&mut locked, ADA), Pn532Error::Locked);
    assert_eq!(locked.memory[0], 0x5a);
    let note = "n".repeat(200);
    let large = Card { note: &note, ..ADA };
    let mut small = Reader::new([0xe1, 0x10, 0x12, 0]);
    let told = error(&mut small, large);
    assert!(matches!(told, Pn532Error::Card(NdefError::Full(_, 144))));
    assert_eq!(small.memory[0], 0x5a, "nothing was written");
    // Taken away at any time: the tag is as before, or empty, or whole.
    let message = Message::new(&ADA, Tag::Ntag215).unwrap();
    for stays in 0..u32::try_from(message.pages().count()).unwrap() + 1 {
        let mut reader = Reader::new(NTAG215);
        reader.stays = stays;
        assert_eq!(error(&mut reader, ADA), Pn532Error::Lost);
        let first: [u8; 2] = [reader.memory[0], reader.memory[1]];
        assert!([[0x5a, 0x5a], [0x03, 0]].contains(&first), "{stays}");
    }
}

proptest! {
    /// No answer makes the writer fall over, and every sentence fits the answer to a command.
    #[test]
    fn any_answer_is_taken_or_refused(answers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..MAX_ANSWER), 1..20)) {
        let mut writer = Writer::new(ADA).unwrap();
        for answer in answers {
            if let Err(error) = writer.answered(&answer) {
                prop_assert!(error.as_str().len() <= crate::commands::MAX_COMMAND_ERROR);
                break;
            }
        }
    }
}
