//! OTA data against the bytes of real boards, and against power cuts at every erase and write.

extern crate std;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

use super::*;

const OFFSET: u32 = 4096;
const SIZE: usize = 4 * 4096;

/// Flash whose power fails in the middle of an operation.
#[derive(Clone)]
struct Nor {
    bytes: Vec<u8>,
    /// Operations until the power fails, and the bits that the last one changes still.
    cut: Option<(u32, u64)>,
    dead: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dead;

impl NorFlashError for Dead {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for Nor {
    type Error = Dead;
}

impl ReadNorFlash for Nor {
    const READ_SIZE: usize = 4;

    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), Dead> {
        assert!(at.is_multiple_of(4) && into.len().is_multiple_of(4));
        let at = at as usize;
        into.copy_from_slice(&self.bytes[at..at + into.len()]);
        if self.dead { Err(Dead) } else { Ok(()) }
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

impl Nor {
    fn blank() -> Self {
        Nor {
            bytes: vec![0xff; SIZE],
            cut: None,
            dead: false,
        }
    }

    /// Says which bits of an operation still happen: none when it is complete.
    fn torn(&mut self) -> Result<Option<u64>, Dead> {
        if self.dead {
            return Err(Dead);
        }
        match &mut self.cut {
            Some((0, noise)) => {
                self.dead = true;
                Ok(Some(*noise))
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn change(&mut self, at: u32, len: usize, new: impl Fn(usize, u8) -> u8) -> Result<(), Dead> {
        let torn = self.torn()?;
        let mut noise = torn.unwrap_or(0);
        for (i, byte) in self.bytes[at as usize..][..len].iter_mut().enumerate() {
            let wanted = new(i, *byte);
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Each byte has changed completely, not at all, or in some of its bits.
            let mask = match (torn, noise >> 62) {
                (None, _) | (_, 0) => 0xff,
                (_, 1) => 0,
                _ => (noise >> 40) as u8,
            };
            *byte = (*byte & !mask) | (wanted & mask);
        }
        if torn.is_some() { Err(Dead) } else { Ok(()) }
    }
}

impl NorFlash for Nor {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Dead> {
        assert!(from.is_multiple_of(4096) && to.is_multiple_of(4096) && from < to);
        self.change(from, (to - from) as usize, |_, _| 0xff)
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Dead> {
        assert!(at.is_multiple_of(4) && bytes.len().is_multiple_of(4));
        self.change(at, bytes.len(), |i, old| old & bytes[i])
    }
}

fn read(flash: &Nor) -> OtaData {
    let mut awake = Nor {
        dead: false,
        ..flash.clone()
    };
    OtaData::read(&mut awake, OFFSET).unwrap()
}

#[test]
fn entries_have_the_bytes_of_real_boards() {
    // As esptool and boot_app0.bin know them.
    for (sequence, crc) in [(1, 0x4743_989a), (2, 0x55f6_3774)] {
        assert_eq!(checksum(sequence), crc);
    }
    let bytes = Entry::new(1, State::Valid).to_bytes();
    assert_eq!(bytes[..4], [1, 0, 0, 0]);
    assert_eq!(bytes[4..24], [0xff; 20]);
    assert_eq!(bytes[24..], [2, 0, 0, 0, 0x9a, 0x98, 0x43, 0x47]);
    assert_eq!(Entry::parse(&bytes), Some(Entry::new(1, State::Valid)));
    assert_eq!(Entry::parse(&[0xff; ENTRY]), None);
    assert_eq!(Entry::parse(&[0; ENTRY]), None);
}

#[test]
fn the_highest_valid_entry_is_followed() {
    let of = |a, b| OtaData::from_entries([a, b]).selected(2);
    let entry = |n, state| Some(Entry::new(n, state));
    assert_eq!(of(None, None), 0);
    assert_eq!(of(entry(2, State::New), None), 1);
    assert_eq!(of(entry(2, State::Valid), entry(3, State::New)), 0);
    assert_eq!(of(entry(2, State::Valid), entry(3, State::Aborted)), 1);
    assert_eq!(of(entry(2, State::Invalid), entry(3, State::Aborted)), 0);
    // What the bootloader makes of the number that crashes others.
    assert_eq!(of(entry(0, State::Valid), None), 1);
}

#[test]
fn blank_data_takes_a_first_choice_of_either_slot() {
    for slot in [0, 1] {
        let mut flash = Nor::blank();
        let entry = choose(&mut flash, OFFSET, 2, slot, State::New).unwrap();
        assert_eq!(entry.sequence, u32::from(slot) + 1);
        assert_eq!(
            (read(&flash).selected(2), read(&flash).state()),
            (slot, State::New)
        );
    }
    let mut flash = Nor::blank();
    set_state(&mut flash, OFFSET, 2, State::Valid).unwrap();
    assert_eq!(
        (read(&flash).selected(2), read(&flash).state()),
        (0, State::Valid)
    );
    assert_eq!(
        choose(&mut flash, OFFSET, 2, 2, State::New),
        Err(OtaDataError::NoSlot)
    );
    assert_eq!(
        choose(&mut flash, OFFSET, 0, 0, State::New),
        Err(OtaDataError::NoSlot)
    );
}

#[test]
fn counting_starts_again_at_the_end_of_the_numbers() {
    for last in [MAX_SEQUENCE - 1, MAX_SEQUENCE] {
        for slot in [0, 1] {
            let mut flash = Nor::blank();
            put(&mut flash, OFFSET, 1, Entry::new(last, State::Valid)).unwrap();
            for _ in 0..4 {
                choose(&mut flash, OFFSET, 2, slot, State::New).unwrap();
                assert_eq!(read(&flash).selected(2), slot);
            }
        }
    }
}

/// Where the numbers end the old entry has the higher one: while it goes, it is followed as it was or not at all.
#[test]
fn a_cut_at_the_end_of_the_numbers_keeps_the_old_state() {
    let mut flash = Nor::blank();
    put(
        &mut flash,
        OFFSET,
        1,
        Entry::new(MAX_SEQUENCE - 1, State::New),
    )
    .unwrap();
    assert_eq!(read(&flash).selected(2), 0);
    let before = (0, State::New);
    for n in 0..20_000_u64 {
        let mut flash = flash.clone();
        flash.cut = Some(((n % 6) as u32, n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        assert!(choose(&mut flash, OFFSET, 2, 0, State::Valid).is_err());
        let now = (read(&flash).selected(2), read(&flash).state());
        assert!(now == before || now == (0, State::Valid), "{n}: {now:?}");
    }
}

/// A number and its checksum without the state would be a choice that nobody made.
#[test]
fn a_cut_write_is_no_choice() {
    for n in 0..40_000_u64 {
        let mut flash = Nor::blank();
        // All of the number but one byte is as in erased flash, so that few bytes make it whole.
        put(
            &mut flash,
            OFFSET,
            0,
            Entry::new(MAX_SEQUENCE - 9, State::Valid),
        )
        .unwrap();
        flash.cut = Some(((n % 4) as u32, n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        assert!(choose(&mut flash, OFFSET, 2, 1, State::New).is_err());
        let now = (read(&flash).selected(2), read(&flash).state());
        let before = (0, State::Valid);
        assert!(now == before || now == (1, State::New), "{n}: {now:?}");
    }
}

/// An entry that was given up has the highest number: however its removal breaks off, it is not followed again.
#[test]
fn a_cut_never_lifts_a_refusal() {
    let mut flash = Nor::blank();
    put(&mut flash, OFFSET, 0, Entry::new(2, State::Valid)).unwrap();
    put(&mut flash, OFFSET, 1, Entry::new(3, State::Aborted)).unwrap();
    for n in 0..20_000_u64 {
        let mut flash = flash.clone();
        flash.cut = Some(((n % 5) as u32, n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        assert!(choose(&mut flash, OFFSET, 2, 1, State::Valid).is_err());
        assert_eq!(read(&flash).selected(2), 1, "{n}");
    }
}

#[derive(Debug, Clone)]
enum Op {
    Choose(u8, State),
    Mark(State),
    AbortOther(u8),
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::New),
        Just(State::PendingVerify),
        Just(State::Valid),
        Just(State::Undefined),
    ]
}

fn op(slots: u8) -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..slots, state()).prop_map(|(slot, state)| Op::Choose(slot, state)),
        state().prop_map(Op::Mark),
        (0..slots).prop_map(Op::AbortOther),
    ]
}

fn sequence() -> impl Strategy<Value = u32> {
    prop_oneof![0..20_u32, MAX_SEQUENCE - 6..=MAX_SEQUENCE, any::<u32>()]
}

fn old_entry() -> impl Strategy<Value = Option<Entry>> {
    let any_state = prop_oneof![state(), Just(State::Invalid), Just(State::Aborted)];
    proptest::option::of((sequence(), any_state).prop_map(|(n, state)| Entry::new(n, state)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever was there and wherever the power fails: the bootloader follows the old choice or the new one, and the
    /// next attempt succeeds.
    #[test]
    fn a_power_cut_leaves_the_old_choice_or_the_new_one(
        (slots, ops) in (2..5_u8).prop_flat_map(|n| (Just(n), proptest::collection::vec(op(n), 1..5))),
        first in old_entry(),
        second in old_entry(),
        cut in 0..8_u32,
        noise in any::<u64>(),
    ) {
        let mut flash = Nor::blank();
        for (sector, entry) in [first, second].into_iter().enumerate() {
            if let Some(entry) = entry {
                put(&mut flash, OFFSET, sector, entry).unwrap();
            }
        }
        for op in ops {
            let before = (read(&flash).selected(slots), read(&flash).state());
            let after = match op {
                Op::Choose(slot, state) => (slot, state),
                Op::Mark(state) => (before.0, state),
                Op::AbortOther(_) => before,
            };
            let go = |flash: &mut Nor| match op {
                Op::Choose(slot, state) => choose(flash, OFFSET, slots, slot, state).map(drop),
                Op::Mark(state) => set_state(flash, OFFSET, slots, state).map(drop),
                Op::AbortOther(slot) => abort_other(flash, OFFSET, slots, slot),
            };
            let was_blank = read(&flash).active().is_none();
            flash.cut = Some((cut, noise));
            let done = go(&mut flash);
            (flash.cut, flash.dead) = (None, false);
            let now = (read(&flash).selected(slots), read(&flash).state());
            prop_assert!(now == before || now == after, "{before:?} -> {now:?}, wanted {after:?}");
            prop_assert!(was_blank || read(&flash).active().is_some());
            if done.is_err() {
                prop_assert_eq!(go(&mut flash), Ok(()));
            }
            let now = (read(&flash).selected(slots), read(&flash).state());
            prop_assert_eq!(now, after);
        }
    }
}
