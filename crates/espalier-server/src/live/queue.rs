//! What waits for one reader: every control event, and telemetry thinned to the newest values when the reader
//! is slow. Bounded; no I/O and no waiting.

use super::frame;
use axum::extract::ws::Utf8Bytes;
use espalier_model::{DeviceId, Oid};
use serde_json::{Map, Value};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Telemetry events that may wait one by one; behind that a device has one waiting event with its newest
/// values. A reader that keeps up never has that many.
pub(super) const THIN_AT: usize = 256;

/// Telemetry events that may wait at all: one for each of very many devices.
pub(super) const MAX_TELEMETRY: usize = 16_384;

/// Control events that may wait. They are rare; a reader that lets a thousand pile up does not read.
pub(super) const MAX_CONTROL: usize = 1_024;

/// Bytes of control events that may wait; widgets can be large.
pub(super) const MAX_CONTROL_BYTES: usize = 4 << 20;

/// The control events exceed their bound: the reader must be cut off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overflow;

/// New values of a device on their way to readers.
#[derive(Debug, Clone)]
pub(super) struct Values {
    pub(super) id: DeviceId,
    pub(super) oid: Oid,
    pub(super) ts: i64,
    pub(super) data: Arc<Map<String, Value>>,
    /// Its place among the events that streams can resume; 0 where nobody does.
    pub(super) seq: u64,
    /// The frame as all readers share it; `None` after values were merged for a slow one.
    pub(super) text: Option<Utf8Bytes>,
}

impl Values {
    fn merge(&mut self, newer: &Self) {
        let data = Arc::make_mut(&mut self.data);
        for (key, value) in newer.data.iter() {
            data.insert(key.clone(), value.clone());
        }
        self.ts = self.ts.max(newer.ts);
        // The place stays: who resumes from it hears the newer values again rather than miss what lies between.
        self.text = None;
    }
}

#[derive(Debug)]
enum Item {
    Control(u64, Utf8Bytes),
    Values(Box<Values>),
}

/// The events that wait for one reader, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    /// How many items were ever taken: the position of an item is its place in the stream minus this.
    taken: u64,
    /// The place in the stream of a device's last waiting values.
    newest: HashMap<DeviceId, u64>,
    control: usize,
    control_bytes: usize,
}

impl Queue {
    /// Adds a control event; `seq` is its place as in [`Values::seq`].
    pub(super) fn control(&mut self, seq: u64, text: Utf8Bytes) -> Result<(), Overflow> {
        if self.control >= MAX_CONTROL || self.control_bytes + text.len() > MAX_CONTROL_BYTES {
            *self = Self::default();
            return Err(Overflow);
        }
        self.control += 1;
        self.control_bytes += text.len();
        self.items.push_back(Item::Control(seq, text));
        Ok(())
    }

    /// Adds new values, or merges them into waiting ones of the same device. Returns whether the reader gets
    /// their frame as it is.
    pub(super) fn values(&mut self, values: &Values, seq: u64) -> bool {
        let waiting = self.items.len() - self.control;
        if waiting >= THIN_AT
            && let Some(place) = self.newest.get(&values.id)
            && let Some(Item::Values(older)) = place
                .checked_sub(self.taken)
                .and_then(|at| self.items.get_mut(usize::try_from(at).ok()?))
        {
            older.merge(values);
            return false;
        }
        if waiting >= MAX_TELEMETRY {
            return false;
        }
        let place = self.taken + self.items.len() as u64;
        self.newest.insert(values.id, place);
        self.items.push_back(Item::Values(Box::new(Values {
            seq,
            ..values.clone()
        })));
        true
    }

    /// Takes the frame of the oldest event, with its place.
    pub(super) fn pop(&mut self) -> Option<(u64, Utf8Bytes)> {
        let item = self.items.pop_front()?;
        let place = self.taken;
        self.taken += 1;
        let popped = match item {
            Item::Control(seq, text) => {
                self.control -= 1;
                self.control_bytes -= text.len();
                (seq, text)
            }
            Item::Values(values) => {
                if self.newest.get(&values.id) == Some(&place) {
                    self.newest.remove(&values.id);
                }
                let text = values
                    .text
                    .unwrap_or_else(|| frame::telemetry(values.oid, values.ts, &values.data));
                (values.seq, text)
            }
        };
        if self.items.is_empty() && self.items.capacity() > THIN_AT {
            // A burst must not leave its memory behind.
            self.items = VecDeque::new();
            self.newest = HashMap::new();
        }
        Some(popped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn values(device: u8, key: &str, value: i64) -> Values {
        let data = Arc::new(Map::from_iter([(key.to_owned(), json!(value))]));
        let oid = Oid::mint(0, [device; 8]);
        let text = Some(frame::telemetry(oid, value, &data));
        Values {
            id: DeviceId::mint(0, [device; 10]),
            oid,
            ts: value,
            data,
            seq: 0,
            text,
        }
    }

    fn drain(queue: &mut Queue) -> Vec<Value> {
        std::iter::from_fn(|| queue.pop())
            .map(|(_, text)| serde_json::from_str(&text).unwrap())
            .collect()
    }

    #[test]
    fn a_reader_that_keeps_up_gets_every_value() {
        let mut queue = Queue::default();
        for i in 0..THIN_AT as i64 {
            queue.values(&values(1, "t", i), 0);
        }
        let seen: Vec<_> = drain(&mut queue)
            .iter()
            .map(|frame| frame["data"]["t"].as_i64().unwrap())
            .collect();
        assert_eq!(seen, (0..THIN_AT as i64).collect::<Vec<_>>());
    }

    #[test]
    fn thinned_values_lose_no_key() {
        let mut queue = Queue::default();
        for i in 0..THIN_AT as i64 {
            queue.values(&values(1, "t", i), 0);
        }
        queue.values(&values(1, "humidity", 7_000), 0);
        queue.values(&values(1, "t", 8_000), 0);
        let frames = drain(&mut queue);
        assert_eq!(frames.len(), THIN_AT);
        let last = frames.last().unwrap();
        assert_eq!(last["data"], json!({"t": 8_000, "humidity": 7_000}));
    }

    #[test]
    fn too_many_control_events_cut_the_reader_off() {
        let mut queue = Queue::default();
        for _ in 0..MAX_CONTROL {
            assert_eq!(queue.control(0, "{}".into()), Ok(()));
        }
        assert_eq!(queue.control(0, "{}".into()), Err(Overflow));
        assert!(queue.pop().is_none());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Control,
        Values(u8, u8, u16),
        Pop(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => Just(Step::Control),
            30 => (0u8..4, 0u8..3, any::<u16>()).prop_map(|(d, k, v)| Step::Values(d, k, v)),
            1 => (0u16..400).prop_map(Step::Pop),
        ]
    }

    proptest! {
        // Long runs, because thinning begins only behind hundreds of events; few, because they are long.
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever the reader's pace: control events come all and in order, and the last value of every
        /// key of every device arrives last.
        #[test]
        fn the_newest_values_and_all_control_events_arrive(steps in proptest::collection::vec(step(), 0..800)) {
            let mut queue = Queue::default();
            let (mut controls, mut expected) = (0u64, HashMap::new());
            let (mut seen_controls, mut seen) = (Vec::new(), HashMap::new());
            let mut note = |(_, text): (u64, Utf8Bytes)| {
                let frame: Value = serde_json::from_str(&text).unwrap();
                if let Some(n) = frame["n"].as_u64() {
                    seen_controls.push(n);
                    return;
                }
                let device = frame["device_id"].as_str().unwrap().to_owned();
                for (key, value) in frame["data"].as_object().unwrap() {
                    seen.insert((device.clone(), key.clone()), value.clone());
                }
            };
            for step in steps {
                match step {
                    Step::Control => {
                        queue.control(0, json!({"n": controls}).to_string().into()).unwrap();
                        controls += 1;
                    }
                    Step::Values(device, key, value) => {
                        let values = values(device, &format!("k{key}"), value.into());
                        expected.insert((values.oid.to_string(), format!("k{key}")), json!(value));
                        queue.values(&values, 0);
                    }
                    Step::Pop(n) => (0..n).map_while(|_| queue.pop()).for_each(&mut note),
                }
            }
            while let Some(popped) = queue.pop() {
                note(popped);
            }
            prop_assert_eq!(seen_controls, (0..controls).collect::<Vec<_>>());
            prop_assert_eq!(seen, expected);
            prop_assert!(queue.newest.is_empty());
        }
    }
}
