//! Heatshrink's decoder: bytes in, bytes out, one at a time, with the window as its only memory.

/// What the decoder reads next.
#[derive(Clone, Copy)]
enum Next {
    Tag,
    Literal,
    Distance,
    Count,
    Copy,
}

/// A decoder for windows of at most `WINDOW` bytes.
pub(super) struct Decoder<const WINDOW: usize> {
    window: [u8; WINDOW],
    head: usize,
    window_bits: u32,
    count_bits: u32,
    /// Bits that were given and not yet used: the lowest `pending` of them.
    bits: u32,
    pending: u32,
    next: Next,
    distance: usize,
    left: u32,
}

impl<const WINDOW: usize> Decoder<WINDOW> {
    pub(super) const fn new() -> Self {
        Self {
            window: [0; WINDOW],
            head: 0,
            window_bits: 0,
            count_bits: 0,
            bits: 0,
            pending: 0,
            next: Next::Tag,
            distance: 0,
            left: 0,
        }
    }

    /// Takes the parameters of a stream; false when it needs more than there is, or is none of heatshrink's.
    pub(super) fn configure(&mut self, header: u8) -> bool {
        self.window_bits = u32::from(header >> 4) + 4;
        self.count_bits = u32::from(header & 15) + 3;
        self.window_bits <= 15
            && self.count_bits < self.window_bits
            && (1 << self.window_bits) <= WINDOW
    }

    /// Gives one compressed byte. Only after [`Self::next`] has said that it needs one.
    pub(super) fn feed(&mut self, byte: u8) {
        self.bits = self.bits << 8 | u32::from(byte);
        self.pending += 8;
    }

    /// The next byte, or nothing when more input is needed.
    pub(super) fn next(&mut self) -> Option<u8> {
        loop {
            match self.next {
                Next::Tag => {
                    self.next = if self.take(1)? == 1 {
                        Next::Literal
                    } else {
                        Next::Distance
                    };
                }
                Next::Literal => {
                    let byte = self.take(8)?.to_le_bytes()[0];
                    self.next = Next::Tag;
                    return Some(self.keep(byte));
                }
                Next::Distance => {
                    self.distance = self.take(self.window_bits)? as usize + 1;
                    self.next = Next::Count;
                }
                Next::Count => {
                    self.left = self.take(self.count_bits)? + 1;
                    self.next = Next::Copy;
                }
                Next::Copy => {
                    self.left -= 1;
                    if self.left == 0 {
                        self.next = Next::Tag;
                    }
                    let byte = self.window[self.head.wrapping_sub(self.distance) & self.mask()];
                    return Some(self.keep(byte));
                }
            }
        }
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        self.pending = self.pending.checked_sub(count)?;
        Some(self.bits >> self.pending & ((1 << count) - 1))
    }

    fn keep(&mut self, byte: u8) -> u8 {
        let at = self.head & self.mask();
        self.window[at] = byte;
        self.head = self.head.wrapping_add(1);
        byte
    }

    fn mask(&self) -> usize {
        (1 << self.window_bits) - 1
    }
}
