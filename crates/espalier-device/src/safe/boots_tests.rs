//! The count of starts on a flash that only clears bits, wears, and loses power in the middle of anything.

extern crate std;

use std::vec;
use std::vec::Vec;

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use proptest::prelude::*;

use super::super::{MAX_CUT, MAX_FAILED};
use super::*;

const AT: u32 = 4096;

struct Chip {
    bytes: Vec<u8>,
    erases: u32,
    /// Bits that still change before the power fails; noise for the byte in which it does.
    left: Option<(usize, u8)>,
    dead: bool,
    broken: bool,
}

impl Chip {
    fn new(fill: u8) -> Self {
        Chip {
            bytes: vec![fill; 4 * 4096],
            erases: 0,
            left: None,
            dead: false,
            broken: false,
        }
    }

    fn change(
        &mut self,
        at: usize,
        len: usize,
        new: impl Fn(usize, u8) -> u8,
    ) -> Result<(), NorFlashErrorKind> {
        if self.dead || self.broken {
            return Err(NorFlashErrorKind::Other);
        }
        for (n, byte) in self.bytes[at..at + len].iter_mut().enumerate() {
            if let Some((left, noise)) = &mut self.left {
                if *left == 0 {
                    let after = new(n, *byte);
                    *byte = (*byte & *noise) | (after & !*noise);
                    self.dead = true;
                    return Err(NorFlashErrorKind::Other);
                }
                *left -= 1;
            }
            *byte = new(n, *byte);
        }
        Ok(())
    }

    /// Starts it after a crash.
    fn start(&mut self, slot: u8) -> Start {
        self.start_after(slot, BootReason::Panic)
    }

    fn start_after(&mut self, slot: u8, reason: BootReason) -> Start {
        Boots::start(self, AT, slot, reason)
    }
}

impl ErrorType for Chip {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Chip {
    const READ_SIZE: usize = 4;

    fn read(&mut self, at: u32, into: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        if self.broken {
            return Err(NorFlashErrorKind::Other);
        }
        let at = at as usize;
        into.copy_from_slice(&self.bytes[at..at + into.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for Chip {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        assert!(
            from >= AT && to <= AT + BOOTS_BYTES,
            "outside of its sectors"
        );
        self.erases += 1;
        self.change(from as usize, (to - from) as usize, |_, _| 0xff)
    }

    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        assert!(at >= AT && at + bytes.len() as u32 <= AT + BOOTS_BYTES);
        assert!(at.is_multiple_of(4) && bytes.len().is_multiple_of(4));
        let old = &self.bytes[at as usize..][..bytes.len()];
        assert!(
            self.dead || old.iter().all(|b| *b == 0xff),
            "a word is written twice"
        );
        self.change(at as usize, bytes.len(), |n, old| old & bytes[n])
    }
}

#[test]
fn starts_are_counted_and_failures_in_a_row_lead_to_safe_mode() {
    let mut chip = Chip::new(0xff);
    for n in 0..5 {
        let start = chip.start(0);
        assert_eq!((start.total, start.failed), (n + 1, n));
    }
    let mut good = chip.start(0);
    good.boots.settle(&mut chip).unwrap();
    // A second time changes nothing.
    good.boots.settle(&mut chip).unwrap();
    assert_eq!(chip.start(0).failed, 0);
    assert_eq!(chip.start(0).failed, 1);
    assert_eq!(chip.start(1).failed, 0, "another image begins anew");
    assert_eq!(chip.start(1).failed, 1);
}

#[test]
fn what_the_firmware_did_not_end_has_not_failed() {
    let innocent = [
        BootReason::PowerOn,
        BootReason::Restart,
        BootReason::DeepSleep,
    ];
    for reason in innocent {
        let mut chip = Chip::new(0xff);
        chip.start_after(0, reason);
        for n in 1..MAX_CUT {
            assert_eq!(chip.start_after(0, reason).failed, 0, "{n} {reason:?}");
        }
        // Some chips call a brown-out a power-on.
        assert_eq!(chip.start_after(0, reason).failed, MAX_FAILED);
        chip.start_after(0, reason).boots.settle(&mut chip).unwrap();
        assert_eq!(chip.start_after(0, reason).failed, 0);
    }
    for reason in [
        BootReason::Panic,
        BootReason::Watchdog,
        BootReason::Brownout,
        BootReason::Unknown,
    ] {
        let mut chip = Chip::new(0xff);
        for n in 0..=MAX_FAILED {
            assert_eq!(chip.start_after(0, reason).failed, n, "{reason:?}");
        }
    }
}

#[test]
fn a_power_cut_neither_adds_to_crashes_nor_makes_up_for_them() {
    let mut chip = Chip::new(0xff);
    chip.start_after(0, BootReason::PowerOn);
    assert_eq!(chip.start(0).failed, 1);
    assert_eq!(chip.start(0).failed, 2);
    assert_eq!(chip.start_after(0, BootReason::PowerOn).failed, 2);
    assert_eq!(chip.start(0).failed, 3, "three crashes in all");
    // In safe mode somebody plugs it out.
    assert_eq!(chip.start_after(0, BootReason::PowerOn).failed, 3);
}

#[test]
fn two_thousand_starts_wear_a_sector_out_by_two_erases() {
    let mut chip = Chip::new(0xff);
    for n in 1..=2_000 {
        let mut start = chip.start(1);
        assert_eq!((start.total, start.failed), (n, 0));
        start.boots.settle(&mut chip).unwrap();
    }
    assert_eq!(chip.erases, 4);
}

#[test]
fn a_crash_loop_stays_one_over_the_change_of_sectors() {
    let mut chip = Chip::new(0);
    for n in 0..1_500 {
        let start = chip.start(0);
        assert_eq!(start.total, n + 1);
        assert!(start.failed >= n.min(MAX_FAILED), "{n}: {}", start.failed);
    }
}

#[test]
fn a_flash_that_fails_keeps_nobody_from_starting() {
    let mut chip = Chip::new(0xff);
    chip.broken = true;
    let mut start = chip.start(0);
    assert_eq!((start.total, start.failed), (0, 0));
    assert_eq!(start.boots.settle(&mut chip), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Any contents, then starts that end well, in a crash, by a pulled plug or in a power cut in the middle of the count: the
    /// total never falls nor runs ahead, three crashes lead to safe mode, and one good start leads out of it.
    #[test]
    fn power_cuts_lose_no_count(
        fill in any::<u8>(),
        early in 0..1_100_u32,
        story in proptest::collection::vec((0..4_u8, 0..4_200_usize, any::<u8>()), 1..40),
    ) {
        let mut chip = Chip::new(fill);
        for _ in 0..early {
            chip.start(0).boots.settle(&mut chip).unwrap();
        }
        let (mut least, mut most, mut crashes) = (early, early, 0);
        let mut reason = BootReason::PowerOn;
        for (fate, left, noise) in story {
            if fate == 3 {
                // The power fails within the count itself, perhaps in the first byte of a word, perhaps in an erase.
                chip.left = Some((left % (if left % 2 == 0 { 16 } else { 4_200 }), noise));
                let mut start = chip.start_after(0, reason);
                // A settling that is cut may count or not.
                let settled = start.boots.settle(&mut chip).is_ok();
                reason = if chip.dead { BootReason::PowerOn } else { BootReason::Panic };
                if settled || chip.dead { crashes = 0 } else { crashes += 1 }
                most += 1;
                (chip.left, chip.dead) = (None, false);
                continue;
            }
            let mut start = chip.start_after(0, reason);
            (least, most) = (least.max(start.total), most + 1);
            prop_assert!(start.total <= most && start.total >= least);
            prop_assert!(start.failed >= crashes.min(MAX_FAILED), "{start:?} {crashes}");
            match fate {
                0 => {
                    start.boots.settle(&mut chip).unwrap();
                    (crashes, reason) = (0, BootReason::Restart);
                }
                1 => (crashes, reason) = (crashes + 1, BootReason::Panic),
                _ => reason = BootReason::PowerOn,
            }
        }
        chip.start_after(0, reason).boots.settle(&mut chip).unwrap();
        prop_assert_eq!(chip.start(0).failed, 0);
        for n in 1..=MAX_FAILED {
            prop_assert!(chip.start(0).failed >= n);
        }
    }
}
