//! Making patches: whatever was changed, moved or cut, the patch makes the new image of the old one.
#![cfg(feature = "encode")]

use espalier_image::delta::{
    BoardPatcher, EncodeError, Memory, Patcher, Squeeze, encode, encode_unless, encode_with,
};
use proptest::prelude::*;

fn apply<const WINDOW: usize>(old: &[u8], patch: &[u8], chunks: &[usize]) -> Vec<u8> {
    let mut memory = Memory {
        old,
        new: Vec::new(),
    };
    let mut patcher = Patcher::<WINDOW, 4096>::new(old.len() as u32, u32::MAX);
    let mut rest = patch;
    let mut chunks = chunks.iter().cycle();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((*chunks.next().unwrap_or(&1)).clamp(1, rest.len()));
        patcher.push(&mut memory, piece).unwrap();
        rest = after;
    }
    patcher.finish().unwrap();
    memory.new
}

/// What a build does to an image.
#[derive(Debug, Clone)]
enum Edit {
    Change(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Move(usize, usize, usize),
    /// Addresses behind a place grow.
    Shift(usize, usize, u8),
}

impl Edit {
    fn apply(&self, image: &mut Vec<u8>) {
        let within = |at: usize| at % (image.len() + 1);
        match *self {
            Self::Change(at, by) => {
                let at = within(at);
                if let Some(byte) = image.get_mut(at) {
                    *byte = byte.wrapping_add(by);
                }
            }
            Self::Insert(at, ref bytes) => {
                let at = within(at);
                image.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(at, length) => {
                let at = within(at);
                image.drain(at..(at + length).min(image.len()));
            }
            Self::Move(at, length, to) => {
                let at = within(at);
                let moved: Vec<u8> = image.drain(at..(at + length).min(image.len())).collect();
                let to = to % (image.len() + 1);
                image.splice(to..to, moved);
            }
            Self::Shift(at, every, by) => {
                let at = within(at);
                for byte in image[at..].iter_mut().step_by(every.max(4)) {
                    *byte = byte.wrapping_add(by);
                }
            }
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<prop::sample::Index>().prop_map(|i| i.index(1 << 20));
    prop_oneof![
        (place.clone(), any::<u8>()).prop_map(|(at, by)| Edit::Change(at, by)),
        (place.clone(), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(at, b)| Edit::Insert(at, b)),
        (place.clone(), 0..500_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        (place.clone(), 0..900_usize, place.clone())
            .prop_map(|(at, length, to)| Edit::Move(at, length, to)),
        (place, 4..40_usize, any::<u8>()).prop_map(|(at, every, by)| Edit::Shift(at, every, by)),
    ]
}

/// Bytes without order, with few values, or in long repetitions.
fn image() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..6000),
        prop::collection::vec(0..3_u8, 0..3000),
        (prop::collection::vec(any::<u8>(), 1..40), 0..200_usize)
            .prop_map(|(bytes, times)| bytes.repeat(times)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_edit_comes_out(
        old in image(),
        edits in prop::collection::vec(edit(), 0..12),
        chunks in prop::collection::vec(1..700_usize, 1..5),
    ) {
        let mut new = old.clone();
        for edit in &edits {
            edit.apply(&mut new);
        }
        prop_assert_eq!(&apply::<1024>(&old, &encode(&old, &new).unwrap(), &chunks), &new);
        let stock = encode_with(&old, &new, Squeeze::STOCK).unwrap();
        prop_assert_eq!(&apply::<256>(&old, &stock, &chunks), &new);
        prop_assert_eq!(&apply::<1024>(&new, &encode(&new, &old).unwrap(), &chunks), &old);
    }

    #[test]
    fn images_need_nothing_in_common(old in image(), new in image()) {
        prop_assert_eq!(&apply::<1024>(&old, &encode(&old, &new).unwrap(), &[64]), &new);
    }

    #[test]
    fn damage_never_panics(
        old in prop::collection::vec(any::<u8>(), 1..2000),
        edits in prop::collection::vec(edit(), 1..5),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut new = old.clone();
        for edit in &edits {
            edit.apply(&mut new);
        }
        let mut patch = encode(&old, &new).unwrap();
        for (at, value) in &damage {
            let at = at.index(patch.len());
            patch[at] ^= value;
        }
        let mut memory = Memory { old: &old, new: Vec::new() };
        let mut patcher = BoardPatcher::new(old.len() as u32, 1 << 16);
        if patcher.push(&mut memory, &patch).is_ok() && patcher.is_done() {
            prop_assert_eq!(patcher.size(), Some(memory.new.len() as u32));
        }
        if let Some(size) = patcher.size() {
            prop_assert!(memory.new.len() <= size as usize);
        }
    }
}

#[test]
fn a_moved_function_costs_little() {
    // Calls to addresses behind the new code all grow by the same.
    let mut old = Vec::new();
    for call in 0..4000_u32 {
        old.extend_from_slice(&call.wrapping_mul(0x9e37_79b9).to_le_bytes());
        old.extend_from_slice(&(0x4200_0000 + 36 * call).to_le_bytes());
    }
    let mut new = old.clone();
    for word in new[8000..].chunks_exact_mut(8) {
        let address = u32::from_le_bytes([word[4], word[5], word[6], word[7]]) + 0x140;
        word[4..].copy_from_slice(&address.to_le_bytes());
    }
    new.splice(8000..8000, [0x13; 0x140]);
    let patch = encode(&old, &new).unwrap();
    assert_eq!(apply::<1024>(&old, &patch, &[100]), new);
    assert!(patch.len() < 2000, "{} bytes", patch.len());
}

#[test]
fn small_ones_and_none() {
    assert_eq!(encode(b"", b"").unwrap(), [0x04, 0]);
    assert_eq!(encode(b"abc", b"").unwrap(), [0x04, 0]);
    for (old, new) in [
        ("", "a"),
        ("a", "a"),
        ("a", "b"),
        ("ab", "ba"),
        ("aaaaaaaa", "aaaaaaaaa"),
    ] {
        let patch = encode(old.as_bytes(), new.as_bytes()).unwrap();
        assert_eq!(apply::<1024>(old.as_bytes(), &patch, &[1]), new.as_bytes());
    }
}

#[test]
fn impossible_parameters_are_refused() {
    for (window, lookahead) in [(3, 3), (16, 4), (8, 8), (8, 2)] {
        let squeeze = Squeeze { window, lookahead };
        assert_eq!(encode_with(b"a", b"b", squeeze), Err(EncodeError::Squeeze));
    }
    for window in 4..=15 {
        let squeeze = Squeeze {
            window,
            lookahead: window - 1,
        };
        let patch = encode_with(b"abcabc", b"abcabcabcabc", squeeze).unwrap();
        assert_eq!(apply::<32768>(b"abcabc", &patch, &[2]), b"abcabcabcabc");
    }
}

#[test]
fn it_stops_when_told() {
    let bytes: Vec<u8> = (0..20_000_u32)
        .map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8)
        .collect();
    assert_eq!(
        encode_unless(&bytes, &bytes, &|| true),
        Err(EncodeError::Stopped)
    );
    let patch = encode_unless(&bytes, &bytes, &|| false).unwrap();
    assert_eq!(apply::<1024>(&bytes, &patch, &[64]), bytes);
}
