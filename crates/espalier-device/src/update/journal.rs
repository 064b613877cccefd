//! What a board remembers of updates across restarts: one record in two copies, of which the newest whole one counts. Whatever
//! the storage does when the power fails, at most the change that was being written is lost.

use espalier_image::keys::{MAX_KEYS, PublicKey};
use espalier_wire::ota::{MAX_REASON, Stage};
use heapless::{String, Vec};

use super::layout::Sha;
use crate::storage::{self, ENVELOPE, Slot, Storage};

/// Longest id of an update.
pub(crate) const MAX_UPDATE: usize = 48;
/// Most bytes of a record.
const RECORD: usize = 512;

pub(crate) type UpdateId = String<MAX_UPDATE>;
pub(crate) type Reason = String<MAX_REASON>;

/// How far the update is that the board works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobStage {
    /// The image comes in.
    Loading,
    /// The image is whole; its slot is chosen next, or just was.
    Written,
    /// The image was started and has not proven itself.
    Trial,
    /// The old image is taken back.
    Returning,
}

/// The update that the board works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Empty when nobody wants to hear of it.
    pub update: UpdateId,
    pub attempt: u32,
    pub sha256: Sha,
    pub size: u32,
    pub secure_version: u32,
    pub confirm_within_s: u32,
    pub patch: bool,
    /// Bytes of the image that are in flash for sure; whole pages.
    pub bytes: u32,
    pub stage: JobStage,
    /// Where the image goes, and where the old one is.
    pub slot: u8,
    pub old: u8,
    /// The number of the entry that chooses the slot.
    pub sequence: u32,
    /// Starts in the present stage.
    pub starts: u8,
    /// Why the old image is taken back.
    pub reason: Reason,
}

/// How the last attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub update: UpdateId,
    pub attempt: u32,
    pub sha256: Sha,
    pub stage: Stage,
    pub reason: Reason,
    pub patch: bool,
    /// Whether the server has heard of it.
    pub reported: bool,
}

/// The image that was confirmed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Installed {
    pub slot: u8,
    pub size: u32,
    pub sha256: Sha,
}

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Journal {
    /// Counts the writes of the record.
    serial: u32,
    pub boots: u32,
    pub secure_version: u32,
    pub installed: Option<Installed>,
    pub job: Option<Job>,
    pub outcome: Option<Outcome>,
}

const COPIES: [Slot; 2] = [Slot::JournalA, Slot::JournalB];

impl Journal {
    /// Reads the newest whole copy; an empty record when there is none.
    pub fn load<S: Storage>(storage: &mut S) -> Self {
        let mut newest: Option<Journal> = None;
        for slot in COPIES {
            let mut bytes = [0; RECORD + ENVELOPE];
            let Ok(len) = storage.read(slot, &mut bytes) else {
                continue;
            };
            let copy = bytes
                .get(..len)
                .and_then(storage::open)
                .and_then(|content| Journal::decode(&mut Bytes(content)));
            if let Some(copy) = copy
                && newest.as_ref().is_none_or(|n| copy.is_after(n))
            {
                newest = Some(copy);
            }
        }
        newest.unwrap_or_default()
    }

    fn is_after(&self, other: &Journal) -> bool {
        // Numbers may wrap around in a very long life.
        self.serial.wrapping_sub(other.serial) < 1 << 31
    }

    /// Writes the record over the older copy.
    pub fn save<S: Storage>(&mut self, storage: &mut S) -> Result<(), S::Error> {
        let next = Journal {
            serial: self.serial.wrapping_add(1),
            ..self.clone()
        };
        let mut content = Vec::<u8, RECORD>::new();
        // Every part is bounded; a record has at most 430 bytes.
        let _ = next.encode(&mut content);
        let slot = if next.serial.is_multiple_of(2) {
            Slot::JournalA
        } else {
            Slot::JournalB
        };
        storage.write(slot, &[&storage::seal(&content), &content])?;
        self.serial = next.serial;
        Ok(())
    }

    /// Ends the update that the board works on.
    pub fn end(&mut self, stage: Stage, reason: &str) {
        let Some(job) = self.job.take() else { return };
        if job.update.is_empty() {
            return;
        }
        self.outcome = Some(Outcome {
            update: job.update,
            attempt: job.attempt,
            sha256: job.sha256,
            stage,
            reason: cut(reason),
            patch: job.patch,
            reported: false,
        });
    }

    fn encode(&self, out: &mut Vec<u8, RECORD>) -> Option<()> {
        put(out, &self.serial.to_le_bytes())?;
        put(out, &self.boots.to_le_bytes())?;
        put(out, &self.secure_version.to_le_bytes())?;
        put(out, &[u8::from(self.installed.is_some())])?;
        if let Some(installed) = &self.installed {
            put(out, &[installed.slot])?;
            put(out, &installed.size.to_le_bytes())?;
            put(out, &installed.sha256)?;
        }
        put(out, &[u8::from(self.job.is_some())])?;
        if let Some(job) = &self.job {
            put_text(out, &job.update)?;
            for number in [
                job.attempt,
                job.size,
                job.secure_version,
                job.confirm_within_s,
                job.bytes,
                job.sequence,
            ] {
                put(out, &number.to_le_bytes())?;
            }
            put(out, &job.sha256)?;
            let stage = job.stage as u8;
            put(
                out,
                &[u8::from(job.patch), stage, job.slot, job.old, job.starts],
            )?;
            put_text(out, &job.reason)?;
        }
        put(out, &[u8::from(self.outcome.is_some())])?;
        if let Some(outcome) = &self.outcome {
            put_text(out, &outcome.update)?;
            put(out, &outcome.attempt.to_le_bytes())?;
            put(out, &outcome.sha256)?;
            let flags = u8::from(outcome.patch) | u8::from(outcome.reported) << 1;
            put(out, &[outcome.stage as u8, flags])?;
            put_text(out, &outcome.reason)?;
        }
        Some(())
    }

    fn decode(from: &mut Bytes<'_>) -> Option<Self> {
        let mut journal = Journal {
            serial: from.number()?,
            boots: from.number()?,
            secure_version: from.number()?,
            ..Journal::default()
        };
        if from.byte()? == 1 {
            journal.installed = Some(Installed {
                slot: from.byte()?,
                size: from.number()?,
                sha256: from.array()?,
            });
        }
        if from.byte()? == 1 {
            journal.job = Some(Job::decode(from)?);
        }
        if from.byte()? == 1 {
            let (update, attempt, sha256) = (from.text()?, from.number()?, from.array()?);
            let stage = usize::from(from.byte()?);
            let flags = from.byte()?;
            journal.outcome = Some(Outcome {
                update,
                attempt,
                sha256,
                stage: *Stage::ALL.get(stage)?,
                patch: flags & 1 != 0,
                reported: flags & 2 != 0,
                reason: from.text()?,
            });
        }
        Some(journal)
    }
}

impl Job {
    fn decode(from: &mut Bytes<'_>) -> Option<Self> {
        Some(Job {
            update: from.text()?,
            attempt: from.number()?,
            size: from.number()?,
            secure_version: from.number()?,
            confirm_within_s: from.number()?,
            bytes: from.number()?,
            sequence: from.number()?,
            sha256: from.array()?,
            patch: from.byte()? == 1,
            stage: match from.byte()? {
                0 => JobStage::Loading,
                1 => JobStage::Written,
                2 => JobStage::Trial,
                3 => JobStage::Returning,
                _ => return None,
            },
            slot: from.byte()?,
            old: from.byte()?,
            starts: from.byte()?,
            reason: from.text()?,
        })
    }
}

/// The keys that a board trusts, and how new they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Keys {
    pub serial: u32,
    /// Which keys of the settings the set stands for: with other ones in the settings, a person has decided anew, and it does not
    /// count.
    base: u32,
    pub keys: Vec<[u8; 32], MAX_KEYS>,
}

const KEY_COPIES: [Slot; 2] = [Slot::KeysA, Slot::KeysB];
const KEY_RECORD: usize = 4 + 4 + 32 * MAX_KEYS;

/// What storage holds of key sets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StoredKeys {
    copies: Vec<Keys, 2>,
    /// Whether something is there that cannot be read: such a board has known keys.
    pub is_damaged: bool,
}

impl StoredKeys {
    /// Reads both copies.
    pub fn load<S: Storage>(storage: &mut S) -> Self {
        let mut found = StoredKeys::default();
        for slot in KEY_COPIES {
            match Keys::read(storage, slot) {
                Ok(Some(copy)) => {
                    // There are as many copies as places.
                    let _ = found.copies.push(copy);
                }
                Ok(None) => {}
                Err(()) => found.is_damaged = true,
            }
        }
        found
    }

    /// Forgets all sets, the newest last: a power cut brings no older one back.
    pub fn forget<S: Storage>(storage: &mut S) -> Result<(), S::Error> {
        let serial = |storage: &mut S, slot| {
            let copy = Keys::read(storage, slot).ok().flatten();
            copy.map(|copy| copy.serial)
        };
        let [a, b] = KEY_COPIES;
        let older_first = if serial(storage, a) > serial(storage, b) {
            [b, a]
        } else {
            [a, b]
        };
        older_first
            .into_iter()
            .try_for_each(|slot| storage.forget(slot))
    }

    /// Returns the newest set that stands for the same keys of the settings as these.
    pub fn newest(&self, of: &Keys) -> Option<&Keys> {
        let same = self.copies.iter().filter(|copy| copy.base == of.base);
        same.max_by_key(|copy| copy.serial)
    }
}

impl Keys {
    /// Takes the keys of the settings, which no set has followed yet.
    pub fn given(keys: &[[u8; 32]]) -> Self {
        Keys {
            serial: 0,
            base: keys
                .iter()
                .fold(0, |sum, key| storage::crc32(sum, key.as_slice())),
            // The settings have no more.
            keys: keys.iter().copied().take(MAX_KEYS).collect(),
        }
    }

    /// Makes the set that follows these keys.
    pub fn followed_by(&self, serial: u32, keys: Vec<[u8; 32], MAX_KEYS>) -> Self {
        Keys {
            serial,
            base: self.base,
            keys,
        }
    }

    /// Reads one copy: none when nothing was written, an error when what is there cannot be read.
    fn read<S: Storage>(storage: &mut S, slot: Slot) -> Result<Option<Self>, ()> {
        let mut bytes = [0; KEY_RECORD + ENVELOPE];
        let len = storage.read(slot, &mut bytes).map_err(|_| ())?;
        if len == 0 {
            return Ok(None);
        }
        let content = bytes.get(..len).and_then(storage::open);
        content.and_then(Keys::decode).map(Some).ok_or(())
    }

    fn decode(content: &[u8]) -> Option<Self> {
        let mut from = Bytes(content);
        let (serial, base) = (from.number()?, from.number()?);
        let mut keys = Vec::new();
        while !from.0.is_empty() {
            keys.push(from.array()?).ok()?;
        }
        (!keys.is_empty()).then_some(Keys { serial, base, keys })
    }

    /// Stores the set beside the one that it follows.
    pub fn save<S: Storage>(&self, storage: &mut S) -> Result<(), S::Error> {
        let mut content = Vec::<u8, KEY_RECORD>::new();
        // There is room for every key.
        let _ = content.extend_from_slice(&self.serial.to_le_bytes());
        let _ = content.extend_from_slice(&self.base.to_le_bytes());
        for key in &self.keys {
            let _ = content.extend_from_slice(key);
        }
        // The newest set that counts is never written over; a set may have the serial 0.
        let held = |storage: &mut S, slot| {
            let copy = Keys::read(storage, slot).ok().flatten();
            copy.filter(|copy| copy.base == self.base)
                .map(|copy| copy.serial)
        };
        let slot = if held(storage, Slot::KeysA) > held(storage, Slot::KeysB) {
            Slot::KeysB
        } else {
            Slot::KeysA
        };
        storage.write(slot, &[&storage::seal(&content), &content])
    }

    /// Returns the keys as points of the curve.
    pub fn public(&self) -> Vec<PublicKey, MAX_KEYS> {
        self.keys.iter().filter_map(PublicKey::from_bytes).collect()
    }
}

/// Cuts a reason to what a report carries.
pub(crate) fn cut(reason: &str) -> Reason {
    let mut short = Reason::new();
    for c in reason.chars() {
        if short.push(c).is_err() {
            break;
        }
    }
    short
}

fn put(out: &mut Vec<u8, RECORD>, bytes: &[u8]) -> Option<()> {
    out.extend_from_slice(bytes).ok()
}

fn put_text(out: &mut Vec<u8, RECORD>, text: &str) -> Option<()> {
    put(out, &[u8::try_from(text.len()).ok()?])?;
    put(out, text.as_bytes())
}

/// Bytes that are read from the front.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn text<const N: usize>(&mut self) -> Option<String<N>> {
        let len = usize::from(self.byte()?);
        let (front, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        String::try_from(core::str::from_utf8(front).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::collections::HashMap;
    use std::vec::Vec as Bag;

    use super::*;

    #[derive(Default)]
    struct Memory(HashMap<Slot, Bag<u8>>);

    impl Storage for Memory {
        type Error = ();

        fn read(&mut self, slot: Slot, into: &mut [u8]) -> Result<usize, ()> {
            let bytes = self.0.get(&slot).map_or(&[][..], |bytes| bytes);
            into.get_mut(..bytes.len())
                .ok_or(())?
                .copy_from_slice(bytes);
            Ok(bytes.len())
        }

        fn write(&mut self, slot: Slot, parts: &[&[u8]]) -> Result<(), ()> {
            self.0.insert(slot, parts.concat());
            Ok(())
        }
    }

    fn newest(storage: &mut Memory, given: &[[u8; 32]]) -> Option<Keys> {
        let stored = StoredKeys::load(storage);
        stored.newest(&Keys::given(given)).cloned()
    }

    fn full(boots: u32) -> Journal {
        let longest = |c: &str, n| c.repeat(n);
        let update = String::try_from(longest("u", MAX_UPDATE).as_str()).unwrap();
        Journal {
            serial: 0,
            boots,
            secure_version: 3,
            installed: Some(Installed {
                slot: 1,
                size: 700_000,
                sha256: [1; 32],
            }),
            job: Some(Job {
                update: update.clone(),
                attempt: u32::MAX,
                sha256: [2; 32],
                size: u32::MAX,
                secure_version: 9,
                confirm_within_s: 600,
                patch: true,
                bytes: 65_536,
                stage: JobStage::Returning,
                slot: 1,
                old: 0,
                sequence: 77,
                starts: 2,
                reason: cut(&longest("r", 200)),
            }),
            outcome: Some(Outcome {
                update,
                attempt: 4,
                sha256: [3; 32],
                stage: Stage::RolledBack,
                reason: cut(&longest("ü", 200)),
                patch: false,
                reported: true,
            }),
        }
    }

    #[test]
    fn the_longest_record_fits_and_comes_back() {
        let (mut storage, mut journal) = (Memory::default(), full(5));
        journal.save(&mut storage).unwrap();
        assert_eq!(Journal::load(&mut storage), journal);
        assert_eq!(Journal::load(&mut Memory::default()), Journal::default());
    }

    #[test]
    fn the_newest_whole_copy_counts_also_when_numbers_wrap() {
        let mut storage = Memory::default();
        let mut journal = full(1);
        journal.serial = u32::MAX - 2;
        for boots in 2..8 {
            let before = journal.clone();
            journal.boots = boots;
            journal.save(&mut storage).unwrap();
            assert_eq!(Journal::load(&mut storage).boots, boots);
            // The write is torn: what was there before counts.
            let slot = COPIES[usize::from(!journal.serial.is_multiple_of(2))];
            let whole = storage.0.get(&slot).cloned().unwrap();
            storage.0.insert(slot, whole[..whole.len() / 2].to_vec());
            let found = Journal::load(&mut storage);
            assert!(boots == 2 || found == before, "{boots}");
            storage.0.insert(slot, whole);
        }
    }

    #[test]
    fn keys_are_never_written_over_the_newest() {
        let mut storage = Memory::default();
        for serial in 0..5 {
            let mut keys = Keys {
                serial,
                ..Keys::default()
            };
            keys.keys.resize(MAX_KEYS, [serial as u8; 32]).unwrap();
            keys.save(&mut storage).unwrap();
            assert_eq!(newest(&mut storage, &[]), Some(keys));
            assert_eq!(storage.0.len(), if serial == 0 { 1 } else { 2 });
        }
        assert_eq!(newest(&mut Memory::default(), &[]), None);
    }

    #[test]
    fn other_keys_in_the_settings_outdate_a_set() {
        let (old, new) = ([[1; 32]], [[2; 32]]);
        let mut storage = Memory::default();
        let set = |given: &[[u8; 32]], serial| {
            Keys::given(given).followed_by(serial, Vec::from_slice(&[[serial as u8; 32]]).unwrap())
        };
        let (six, seven) = (set(&old, 6), set(&old, 7));
        six.save(&mut storage).unwrap();
        seven.save(&mut storage).unwrap();
        assert_eq!(newest(&mut storage, &new), None);
        assert_eq!(newest(&mut storage, &[]), None);
        // A set of the new keys counts from its first serial on, and takes the place of the outdated ones.
        for serial in [0, 1, 3] {
            set(&new, serial).save(&mut storage).unwrap();
            assert_eq!(newest(&mut storage, &new), Some(set(&new, serial)));
        }
        assert_eq!(newest(&mut storage, &old), None);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let mut storage = Memory::default();
        assert!(!StoredKeys::load(&mut storage).is_damaged);
        storage.0.insert(Slot::KeysB, Bag::new());
        assert!(!StoredKeys::load(&mut storage).is_damaged, "forgotten");
        for damaged in [&b"keys"[..], &[0; KEY_RECORD + ENVELOPE + 1]] {
            storage.0.insert(Slot::KeysB, damaged.to_vec());
            assert!(StoredKeys::load(&mut storage).is_damaged);
        }
    }
}
