//! Series in memory: the samples that are not sealed yet, the ones being sealed, and what is remembered of sealed ones.
//! The registry finds a series by device and key; it knows every series of the file.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use crate::types::{Sample, Value};

/// One (device, key). `id` is its number in the file.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) id: i64,
    pub(super) device: Uuid,
    pub(super) key: Arc<str>,
    pub(super) state: Mutex<State>,
}

/// What is in memory of one series. Reads overlay `head` over `frozen` over the sealed chunks.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Not sealed, in order of time, one sample per ts.
    pub(super) head: Vec<Sample>,
    /// Handed to the sealer, until its chunks are committed; in order of time.
    pub(super) frozen: Arc<Vec<Sample>>,
    /// Time of the newest sealed sample.
    pub(super) sealed_to: Option<i64>,
    /// Value of that sample, when it was needed once.
    pub(super) sealed_last: Option<Value>,
    /// The newest sealed numbers, when they were asked for once.
    pub(super) tail: Option<Tail>,
    /// Counts changes of the sealed part, so that what a reader loaded meanwhile is not remembered by mistake.
    pub(super) sealed_generation: u64,
}

/// The newest sealed numbers of a series, oldest first.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    pub(super) samples: Vec<(i64, f64)>,
    /// Whether these are all sealed numbers there are.
    pub(super) complete: bool,
}

/// How many points of a run were there before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Applied {
    pub(super) added_to_head: usize,
    pub(super) new: u64,
}

impl State {
    /// Adds a run of samples in the order given; the last of equal ts wins. `sealed` tells whether the sealed part has a
    /// ts; it is asked only for late samples that are not in memory.
    pub(super) fn apply(
        &mut self,
        run: Vec<Sample>,
        mut sealed: impl FnMut(i64) -> bool,
    ) -> Applied {
        let newest = self.head.last().map(|sample| sample.ts);
        let frozen_to = self.frozen.last().map(|sample| sample.ts);
        let known_to = newest.max(frozen_to).max(self.sealed_to);
        let ascending = run.windows(2).all(|pair| pair[0].ts < pair[1].ts);
        if ascending
            && run
                .first()
                .is_some_and(|first| known_to.is_none_or(|ts| ts < first.ts))
        {
            let applied = Applied {
                added_to_head: run.len(),
                new: run.len() as u64,
            };
            self.head.extend(run);
            return applied;
        }
        let run = sorted_last_wins(run);
        let mut applied = Applied::default();
        for sample in &run {
            let in_head = self.head.binary_search_by_key(&sample.ts, |s| s.ts).is_ok();
            applied.added_to_head += usize::from(!in_head);
            let exists = in_head
                || self
                    .frozen
                    .binary_search_by_key(&sample.ts, |s| s.ts)
                    .is_ok()
                || (self.sealed_to.is_some_and(|to| sample.ts <= to) && sealed(sample.ts));
            applied.new += u64::from(!exists);
        }
        match run.len() {
            1 => run
                .into_iter()
                .for_each(|sample| insert(&mut self.head, sample)),
            _ => self.head = overlay(&std::mem::take(&mut self.head), &run),
        }
        applied
    }

    /// Removes unsealed samples with `from <= ts < to`; not to be called while something is frozen.
    pub(super) fn remove(&mut self, from: i64, to: i64) -> usize {
        let range = range(&self.head, from, to);
        let removed = range.len();
        self.head.drain(range);
        removed
    }

    /// Hands all unsealed samples to the sealer.
    pub(super) fn freeze(&mut self) -> Arc<Vec<Sample>> {
        self.frozen = Arc::new(std::mem::take(&mut self.head));
        Arc::clone(&self.frozen)
    }

    /// Takes frozen samples back after a seal that failed. Returns how many ts were in both.
    pub(super) fn thaw(&mut self) -> usize {
        let frozen = std::mem::take(&mut self.frozen);
        let before = frozen.len() + self.head.len();
        self.head = overlay(&frozen, &self.head);
        before - self.head.len()
    }

    /// Forgets frozen samples whose chunks are committed now, remembering at most `keep` of them for `recent`.
    pub(super) fn sealed(&mut self, keep: usize) {
        let frozen = std::mem::take(&mut self.frozen);
        let Some(last) = frozen.last() else { return };
        self.sealed_generation += 1;
        let late = frozen
            .first()
            .is_some_and(|first| self.sealed_to.is_some_and(|to| first.ts <= to));
        if late {
            self.tail = None;
        } else if let Some(tail) = &mut self.tail {
            tail.samples.extend(
                frozen
                    .iter()
                    .filter_map(|s| Some((s.ts, s.value.as_number()?))),
            );
            let surplus = tail.samples.len().saturating_sub(keep);
            tail.complete &= surplus == 0;
            tail.samples.drain(..surplus);
        }
        if self.sealed_to.is_none_or(|to| last.ts >= to) {
            self.sealed_to = Some(last.ts);
            self.sealed_last = Some(last.value.clone());
        }
    }

    /// The newest sample in memory, and whether a sealed one may be newer whose value is not in memory.
    pub(super) fn latest(&self) -> Latest {
        let newest = [self.head.last(), self.frozen.last()]
            .into_iter()
            .flatten()
            .reduce(|a, b| if b.ts > a.ts { b } else { a });
        match (newest, self.sealed_to) {
            (Some(sample), sealed_to) if sealed_to.is_none_or(|to| to <= sample.ts) => {
                Latest::Known(sample.clone())
            }
            (_, Some(ts)) => match &self.sealed_last {
                Some(value) => Latest::Known(Sample {
                    ts,
                    value: value.clone(),
                }),
                None => Latest::Sealed,
            },
            _ => Latest::None,
        }
    }

    /// A copy of what is not sealed within `from <= ts < to`, in order of time.
    pub(super) fn unsealed(&self, from: i64, to: i64) -> Vec<Sample> {
        overlay(
            &self.frozen[range(&self.frozen, from, to)],
            &self.head[range(&self.head, from, to)],
        )
    }
}

/// Where the newest sample of a series is.
#[derive(Debug)]
pub(super) enum Latest {
    None,
    Known(Sample),
    Sealed,
}

fn insert(samples: &mut Vec<Sample>, sample: Sample) {
    match samples.binary_search_by_key(&sample.ts, |s| s.ts) {
        Ok(at) => samples[at] = sample,
        Err(at) => samples.insert(at, sample),
    }
}

/// Sorts by time and keeps the last given of equal ts.
pub(super) fn sorted_last_wins(mut run: Vec<Sample>) -> Vec<Sample> {
    run.sort_by_key(|sample| sample.ts);
    run.dedup_by(|later, earlier| {
        let same = later.ts == earlier.ts;
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
    run
}

/// Merges two sorted runs; where both have a ts, `above` wins.
pub(super) fn overlay(below: &[Sample], above: &[Sample]) -> Vec<Sample> {
    let mut merged = Vec::with_capacity(below.len() + above.len());
    let mut rest = below;
    for sample in above {
        let older = rest.partition_point(|s| s.ts < sample.ts);
        merged.extend_from_slice(&rest[..older]);
        rest = &rest[older..];
        if rest.first().is_some_and(|s| s.ts == sample.ts) {
            rest = &rest[1..];
        }
        merged.push(sample.clone());
    }
    merged.extend_from_slice(rest);
    merged
}

/// The positions of the samples with `from <= ts < to`.
pub(super) fn range(samples: &[Sample], from: i64, to: i64) -> std::ops::Range<usize> {
    let start = samples.partition_point(|s| s.ts < from);
    start..samples.partition_point(|s| s.ts < to).max(start)
}

type Keys = HashMap<Arc<str>, Arc<Series>>;

/// All series of the file.
#[derive(Debug, Default)]
pub(super) struct Registry {
    devices: RwLock<HashMap<Uuid, Keys>>,
}

impl Registry {
    pub(super) fn get(&self, device: Uuid, key: &str) -> Option<Arc<Series>> {
        self.devices.read().get(&device)?.get(key).cloned()
    }

    /// The series of a device, in no order.
    pub(super) fn of_device(&self, device: Uuid) -> Vec<Arc<Series>> {
        self.devices
            .read()
            .get(&device)
            .map(|keys| keys.values().cloned().collect())
            .unwrap_or_default()
    }

    pub(super) fn insert(&self, series: Arc<Series>) {
        self.devices
            .write()
            .entry(series.device)
            .or_default()
            .insert(Arc::clone(&series.key), series);
    }

    pub(super) fn remove_device(&self, device: Uuid) {
        self.devices.write().remove(&device);
    }

    pub(super) fn len(&self) -> usize {
        self.devices.read().values().map(Keys::len).sum()
    }

    /// Every series, in no order.
    pub(super) fn all(&self) -> Vec<Arc<Series>> {
        self.devices
            .read()
            .values()
            .flat_map(Keys::values)
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(pairs: &[(i64, f64)]) -> Vec<Sample> {
        pairs
            .iter()
            .map(|(ts, v)| Sample {
                ts: *ts,
                value: Value::Number(*v),
            })
            .collect()
    }

    #[test]
    fn late_repeated_and_replacing_samples_are_counted_and_ordered() {
        let mut state = State {
            sealed_to: Some(4),
            ..State::default()
        };
        let applied = state.apply(samples(&[(5, 1.0), (6, 1.0)]), |_| {
            unreachable!("newer than all sealed")
        });
        assert_eq!((applied.added_to_head, applied.new), (2, 2));
        let applied = state.apply(samples(&[(6, 2.0), (3, 1.0), (2, 1.0), (6, 3.0)]), |ts| {
            ts == 3
        });
        assert_eq!((applied.added_to_head, applied.new), (2, 1));
        assert_eq!(
            state.head,
            samples(&[(2, 1.0), (3, 1.0), (5, 1.0), (6, 3.0)])
        );
        state.freeze();
        state.apply(samples(&[(5, 9.0)]), |_| unreachable!("frozen"));
        assert_eq!(state.unsealed(3, 6), samples(&[(3, 1.0), (5, 9.0)]));
        assert_eq!(state.thaw(), 1);
        assert_eq!(
            state.head,
            samples(&[(2, 1.0), (3, 1.0), (5, 9.0), (6, 3.0)])
        );
    }
}
