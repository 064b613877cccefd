//! Delta patches as a board applies them: whatever they say, reads stay within the old image, writes follow each other and stay
//! within the declared size, and neither the pieces in which a patch comes nor a power cut change the outcome.

use espalier_image::delta::{Failed, Images, PatchError, Patcher, Squeeze, encode, encode_with};

use crate::{Target, Verdict};

const PAGE: usize = 128;
/// Room for the new image.
const ROOM: u32 = 1 << 20;

type Small = Patcher<1024, PAGE>;

pub const PATCH: Target = Target {
    name: "image_patch",
    run: patch,
    seeds,
    words: &[
        b"\x04",
        b"\x44",
        b"\x66",
        b"\x80\x01",
        b"\xff\xff\xff\xff\x0f",
        b"\xc0\x7f",
        b"\x80\x40\x20",
        b"\xff\xff",
        b"\0\0\0\0",
    ],
};

fn old() -> Vec<u8> {
    let byte = |n: u32| (n.wrapping_mul(0x9e37_79b9) >> 24).to_le_bytes()[0];
    (0..1000).map(byte).collect()
}

fn seeds() -> Vec<Vec<u8>> {
    let old = old();
    let mut moved = old[500..].to_vec();
    moved.extend_from_slice(b"something new");
    moved.extend_from_slice(&old[..400]);
    moved[700] ^= 1;
    let mut seeds = Vec::new();
    for new in [&old, &moved, &Vec::new(), &vec![7; 3000]] {
        seeds.extend(encode(&old, new));
        seeds.extend(encode_with(&old, new, Squeeze::STOCK));
    }
    seeds
}

struct Memory<'a> {
    old: &'a [u8],
    new: Vec<u8>,
}

impl Images for Memory<'_> {
    fn read_old(&mut self, at: u32, into: &mut [u8]) -> Result<(), Failed> {
        let at = at as usize;
        assert!(
            at + into.len() <= self.old.len(),
            "it reads outside the old image"
        );
        into.copy_from_slice(&self.old[at..at + into.len()]);
        Ok(())
    }

    fn write_new(&mut self, at: u32, bytes: &[u8]) -> Result<(), Failed> {
        assert_eq!(
            at as usize,
            self.new.len(),
            "it leaves a gap or writes twice"
        );
        assert!(bytes.len() <= PAGE && self.new.len().is_multiple_of(PAGE));
        self.new.extend_from_slice(bytes);
        Ok(())
    }
}

fn apply(
    mut patcher: Small,
    memory: &mut Memory<'_>,
    patch: &[u8],
    chunk: usize,
) -> Result<(), PatchError> {
    let pushed = patch
        .chunks(chunk)
        .try_for_each(|piece| patcher.push(memory, piece));
    assert!(
        memory.new.len() <= patcher.size().unwrap_or(0) as usize,
        "it writes more than it declares"
    );
    assert_eq!(patcher.complete() as usize, memory.new.len());
    pushed.and_then(|()| patcher.finish())
}

fn patch(bytes: &[u8]) -> Verdict {
    let old = old();
    let memory = |new| Memory { old: &old, new };
    let size = old.len() as u32;
    let mut whole = memory(Vec::new());
    let outcome = apply(
        Small::new(size, ROOM),
        &mut whole,
        bytes,
        bytes.len().max(1),
    );
    let mut pieces = memory(Vec::new());
    assert_eq!(
        apply(Small::new(size, ROOM), &mut pieces, bytes, 3),
        outcome
    );
    assert_eq!(pieces.new, whole.new);
    let half = whole.new.len() / 2 / PAGE * PAGE;
    let mut again = memory(whole.new[..half].to_vec());
    assert_eq!(
        apply(
            Small::resume(size, ROOM, half as u32),
            &mut again,
            bytes,
            64
        ),
        outcome
    );
    assert_eq!(again.new, whole.new);
    match outcome {
        Ok(()) => Verdict::Accepted,
        Err(_) => Verdict::Refused,
    }
}
