//! Applying patches: every image comes out as it should, whatever the chunks and the power cuts, and every damaged patch is refused.

use espalier_image::delta::{BoardPatcher, Failed, Images, PatchError, Patcher};

/// Two images in memory, strict about how they are used.
struct Memory<'a> {
    old: &'a [u8],
    new: Vec<u8>,
    page: usize,
    /// Writes that work before the power goes.
    writes: usize,
}

impl<'a> Memory<'a> {
    fn new(old: &'a [u8]) -> Self {
        Self {
            old,
            new: Vec::new(),
            page: 4096,
            writes: usize::MAX,
        }
    }
}

impl Images for Memory<'_> {
    fn read_old(&mut self, at: u32, into: &mut [u8]) -> Result<(), Failed> {
        let at = at as usize;
        assert!(at.is_multiple_of(128) && !into.is_empty() && into.len() <= 128);
        into.copy_from_slice(
            self.old
                .get(at..at + into.len())
                .expect("a read within the old image"),
        );
        Ok(())
    }

    fn write_new(&mut self, at: u32, bytes: &[u8]) -> Result<(), Failed> {
        self.writes = self.writes.checked_sub(1).ok_or(Failed)?;
        assert_eq!(at as usize, self.new.len(), "writes follow each other");
        assert!(
            self.new.len().is_multiple_of(self.page)
                && !bytes.is_empty()
                && bytes.len() <= self.page
        );
        self.new.extend_from_slice(bytes);
        Ok(())
    }
}

/// Writes heatshrink with literals only, and back references where told.
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("a byte was pushed");
            *last |= ((value >> bit & 1) as u8) << (7 - self.used % 8);
            self.used += 1;
        }
    }

    fn literals(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.put(0x100 | u32::from(byte), 9);
        }
    }
}

/// A patch with this header whose decompressed part is `body`.
fn literal_patch(header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bits = Bits {
        bytes: header.to_vec(),
        used: 8 * header.len() as u32,
    };
    bits.literals(body);
    bits.bytes
}

fn apply(old: &[u8], patch: &[u8], chunk: usize) -> Result<Vec<u8>, PatchError> {
    let mut memory = Memory::new(old);
    let mut patcher = BoardPatcher::new(old.len() as u32, 1 << 20);
    for piece in patch.chunks(chunk) {
        patcher.push(&mut memory, piece)?;
    }
    patcher.finish()?;
    assert_eq!(patcher.size(), Some(memory.new.len() as u32));
    assert_eq!(patcher.complete(), memory.new.len() as u32);
    Ok(memory.new)
}

// Size 5; heatshrink with 2^8 and 2^7.
const HEADER: [u8; 3] = [0x04, 5, 0x44];

#[test]
fn a_patch_by_hand() {
    // Add [0, 1] to the old bytes, take "xy", step back 2, add [0].
    let patch = literal_patch(&HEADER, &[0, 2, 0, 1, 2, b'x', b'y', 0x42, 1, 0, 0, 0]);
    for chunk in 1..=patch.len() {
        assert_eq!(apply(b"ab", &patch, chunk).unwrap(), b"acxya");
    }
}

#[test]
fn a_reference_may_reach_before_the_start() {
    // The window begins as zeros: data format 0 and the first round's "add nothing" come from there.
    let mut bits = Bits {
        bytes: HEADER.to_vec(),
        used: 24,
    };
    bits.put(0, 1);
    bits.put(255, 8);
    bits.put(1, 7);
    bits.literals(&[5, b'h', b'e', b'l', b'l', b'o', 0]);
    assert_eq!(apply(b"", &bits.bytes, 3).unwrap(), b"hello");
}

#[test]
fn an_empty_image_has_an_empty_patch() {
    assert_eq!(apply(b"ab", &[0x04, 0], 1).unwrap(), b"");
    assert_eq!(apply(b"ab", &[0x04, 0, 0], 1), Err(PatchError::Trailing));
}

#[test]
fn damaged_patches_are_refused() {
    let refused =
        |header: &[u8], body: &[u8]| apply(b"ab", &literal_patch(header, body), 7).unwrap_err();
    assert_eq!(refused(&[0x14, 5, 0x44], &[0]), PatchError::Type);
    assert_eq!(refused(&[0x05, 5, 0x44], &[0]), PatchError::Type);
    assert_eq!(refused(&[0x04, 5, 0x74], &[0]), PatchError::Window);
    assert_eq!(refused(&[0x04, 5, 0x45], &[0]), PatchError::Window);
    assert_eq!(refused(&[0x04, 5, 0xff], &[0]), PatchError::Window);
    assert_eq!(refused(&[0x04, 0x45, 0x44], &[0]), PatchError::Number);
    assert_eq!(
        refused(&[0x04, 0x80, 0x80, 0x80, 2, 0x44], &[0]),
        PatchError::Size
    );
    assert_eq!(
        refused(&[0x04, 0xff, 0xff, 0xff, 0xff, 0xff, 0x44], &[0]),
        PatchError::Number
    );
    assert_eq!(refused(&HEADER, &[1, 0]), PatchError::DataFormat);
    assert_eq!(refused(&HEADER, &[0, 6]), PatchError::TooMuch);
    assert_eq!(refused(&HEADER, &[0, 0x41]), PatchError::Number);
    assert_eq!(refused(&HEADER, &[0, 3, 0, 0, 0]), PatchError::OutsideOld);
    assert_eq!(
        refused(&HEADER, &[0, 0, 0, 0x41, 1, 0]),
        PatchError::OutsideOld
    );
    assert_eq!(
        refused(&HEADER, &[0, 0, 5, 1, 2, 3, 4, 5]),
        PatchError::Incomplete
    );
    assert_eq!(
        refused(&HEADER, &[0, 0, 5, 1, 2, 3, 4, 5, 0, 0x80]),
        PatchError::Trailing
    );
    let mut patch = literal_patch(&HEADER, &[0, 0, 5, 1, 2, 3, 4, 5, 0]);
    assert!(apply(b"ab", &patch, 1).is_ok());
    patch.push(0);
    assert_eq!(apply(b"ab", &patch, 1), Err(PatchError::Trailing));
    assert_eq!(apply(b"ab", &patch[..4], 1), Err(PatchError::Incomplete));
    assert_eq!(apply(b"ab", &[], 1), Err(PatchError::Incomplete));
}

#[test]
fn a_reference_beyond_the_end_is_refused() {
    let mut bits = Bits {
        bytes: HEADER.to_vec(),
        used: 24,
    };
    bits.literals(&[0, 0, 5, 1, 0]);
    // Three more zeros complete the image, the fourth moves by nothing, the fifth is one too many.
    bits.put(0, 9);
    bits.put(5, 7);
    assert_eq!(apply(b"", &bits.bytes, 1), Err(PatchError::TooMuch));
}

#[test]
fn what_failed_stays_failed() {
    let mut patcher = BoardPatcher::new(2, 100);
    let mut memory = Memory::new(b"ab");
    assert_eq!(patcher.push(&mut memory, &[9]), Err(PatchError::Type));
    assert_eq!(patcher.push(&mut memory, &[4]), Err(PatchError::Type));
    assert_eq!(patcher.finish(), Err(PatchError::Type));
    assert!(!patcher.is_done());
}

#[test]
fn a_power_cut_at_every_write() {
    const PAGE: usize = 128;
    let old: Vec<u8> = (0..=255).cycle().take(1000).collect();
    // 450 old bytes, each one more, from offset 300, then 50 new ones; a back reference repeats "1" as often as it may.
    let mut bits = Bits {
        bytes: vec![0x04, 0x80 | 52, 7, 0x44],
        used: 32,
    };
    bits.literals(&[0, 0, 0, 0x80 | 44, 4, 0x80 | 2, 7, 1]);
    for run in [128, 128, 128, 65] {
        bits.put(0, 1 + 8);
        bits.put(run - 1, 7);
    }
    bits.literals(&[50]);
    bits.literals(&[7; 50]);
    bits.literals(&[0]);
    let expected: Vec<u8> = old[300..750]
        .iter()
        .map(|b| b.wrapping_add(1))
        .chain([7; 50])
        .collect();
    for writes in 0..=4 {
        let mut memory = Memory {
            writes,
            page: PAGE,
            ..Memory::new(&old)
        };
        let mut patcher = Patcher::<256, PAGE>::new(old.len() as u32, 500);
        let cut = bits
            .bytes
            .chunks(5)
            .try_for_each(|piece| patcher.push(&mut memory, piece));
        if writes < 4 {
            assert_eq!(cut, Err(PatchError::Write));
        }
        let complete = patcher.complete();
        assert_eq!(complete as usize, memory.new.len());
        // Also when less is known to be complete than was written: a half page counts as nothing.
        for known in [complete, complete.saturating_sub(1), 0] {
            let kept = known as usize / PAGE * PAGE;
            let mut memory = Memory {
                new: memory.new[..kept].to_vec(),
                page: PAGE,
                ..Memory::new(&old)
            };
            let mut patcher = Patcher::<256, PAGE>::resume(old.len() as u32, 500, known);
            assert_eq!(patcher.complete() as usize, kept);
            patcher.push(&mut memory, &bits.bytes).unwrap();
            patcher.finish().unwrap();
            assert_eq!(memory.new, expected);
        }
    }
}

#[test]
fn the_state_is_small() {
    assert!(
        size_of::<BoardPatcher>() <= 5376,
        "{} bytes",
        size_of::<BoardPatcher>()
    );
}
