//! The serial byte stream that the console and Improv share: it takes packets out and makes lines of the rest. Not what either means.

use heapless::Vec;

use crate::settings::MAX_BOARD;

/// Longest line, in bytes: a board profile and the command before it. What is longer is dropped whole.
pub const MAX_LINE: usize = MAX_BOARD + 16;
/// The first bytes of an Improv packet, with the version.
pub const PREFIX: [u8; 7] = *b"IMPROV\x01";
/// Bytes of a packet beside its data: the prefix, type, length, checksum.
pub const AROUND: usize = PREFIX.len() + 3;
/// Milliseconds after which the rest of a packet does not come any more.
const PACKET_TIMEOUT_MS: u64 = 1_000;

/// What a byte completed.
#[expect(
    clippy::large_enum_variant,
    reason = "made once per packet, and there is no heap to put it on"
)]
pub(super) enum Event {
    /// A line: [`Serial::take_line`] has it.
    Line,
    /// A line that was longer than [`MAX_LINE`].
    Overlong,
    /// Someone pressed Ctrl-C or Escape.
    Cancel,
    /// A packet with a right checksum.
    Packet {
        /// Its type.
        kind: u8,
        /// Its data.
        data: Vec<u8, 255>,
    },
    /// A packet with a wrong checksum.
    Damaged,
}

/// The stream.
#[derive(Default)]
pub(super) struct Serial {
    packet: Vec<u8, { AROUND + 255 }>,
    line: Vec<u8, MAX_LINE>,
    overlong: bool,
    /// Whether the byte before was a CR, whose LF ends nothing more.
    after_cr: bool,
    heard_at: u64,
}

impl Serial {
    /// Takes one byte.
    pub fn feed(&mut self, now: u64, byte: u8) -> Option<Event> {
        self.tick(now);
        self.heard_at = now;
        let held = self.packet.len();
        if held >= PREFIX.len() {
            return self.packet_byte(byte);
        }
        if PREFIX[held] == byte {
            // Shorter than its room.
            let _ = self.packet.push(byte);
            return None;
        }
        if held == 0 {
            return self.text_byte(byte);
        }
        self.give_back();
        if byte == PREFIX[0] {
            let _ = self.packet.push(byte);
            return None;
        }
        self.text_byte(byte)
    }

    /// Returns the line that is complete, without its end; the next one begins empty.
    pub fn take_line(&mut self) -> Vec<u8, MAX_LINE> {
        core::mem::take(&mut self.line)
    }

    /// Lets the time pass: the start of a packet that does not go on was text, the rest of one is dropped.
    pub fn tick(&mut self, now: u64) {
        if self.due_at().is_some_and(|at| now >= at) {
            if self.packet.len() < PREFIX.len() {
                self.give_back();
            }
            self.packet.clear();
        }
    }

    /// Returns when the packet that began is given up.
    pub fn due_at(&self) -> Option<u64> {
        (!self.packet.is_empty()).then_some(self.heard_at + PACKET_TIMEOUT_MS)
    }

    /// Moves what looked like a packet to the line; its bytes are letters.
    fn give_back(&mut self) {
        for byte in core::mem::take(&mut self.packet) {
            self.letter(byte);
        }
    }

    fn packet_byte(&mut self, byte: u8) -> Option<Event> {
        // The length byte bounds it to its room.
        let _ = self.packet.push(byte);
        let len = usize::from(*self.packet.get(PREFIX.len() + 1)?);
        if self.packet.len() < AROUND + len {
            return None;
        }
        let packet = core::mem::take(&mut self.packet);
        let (sum, body) = packet.split_last()?;
        if checksum(body) != *sum {
            return Some(Event::Damaged);
        }
        Some(Event::Packet {
            kind: packet[PREFIX.len()],
            data: body[PREFIX.len() + 2..].iter().copied().collect(),
        })
    }

    fn letter(&mut self, byte: u8) {
        self.after_cr = false;
        self.overlong |= self.line.push(byte).is_err();
    }

    fn text_byte(&mut self, byte: u8) -> Option<Event> {
        match byte {
            b'\n' if core::mem::take(&mut self.after_cr) => None,
            b'\r' | b'\n' => {
                self.after_cr = byte == b'\r';
                if core::mem::take(&mut self.overlong) {
                    self.line.clear();
                    return Some(Event::Overlong);
                }
                Some(Event::Line)
            }
            0x08 | 0x7f => {
                // One character, however many bytes it has.
                while let Some(byte) = self.line.pop() {
                    if byte & 0xc0 != 0x80 {
                        break;
                    }
                }
                None
            }
            0x03 | 0x1b => {
                self.line.clear();
                self.overlong = false;
                Some(Event::Cancel)
            }
            // Nothing else that controls is part of a line.
            0..=0x1f => None,
            _ => {
                self.letter(byte);
                None
            }
        }
    }
}

/// The checksum of a packet: the sum of all bytes before it.
pub(super) fn checksum(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}
