//! Desired and reported state of the device's switches: what should be, what was applied, what the server knows.
//! It does not touch pins; the binding applies a value and says whether it worked.

use core::fmt::{self, Write};

use espalier_wire::device::{StateEntry, StateMap, write_state};
use espalier_wire::json::{Json, Value, write_object};
use heapless::{String, Vec};

/// Most switches of one device.
pub const MAX_SWITCHES: usize = 16;
/// Longest key of a switch, in bytes.
pub const MAX_SWITCH_KEY: usize = 32;
/// Longest value of a switch, in bytes of JSON.
pub const MAX_SWITCH_VALUE: usize = 96;
/// Longest value of the one switch that may have a long one, in bytes of JSON.
pub const MAX_LONG_VALUE: usize = 704;
/// Bytes that hold every switch as a state map, except the long one.
pub const STATE_IMAGE: usize = MAX_SWITCHES * (MAX_SWITCH_KEY + MAX_SWITCH_VALUE + 56) + 2;

type ValueText = String<MAX_SWITCH_VALUE>;

/// Whether the server knows the current value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// It does.
    Clean,
    /// It does not yet.
    Due,
    /// A frame with this id carries it.
    Sent(u32),
}

#[derive(Debug)]
struct Switch {
    key: String<MAX_SWITCH_KEY>,
    value: ValueText,
    /// The newest desired version that was applied; 0 before the first.
    applied: u64,
    /// The newest desired value that was not applied yet.
    wanted: Option<(ValueText, u64)>,
    /// The value that the binding is applying.
    applying: Option<(ValueText, u64)>,
    /// The newest applied version that the server has acknowledged.
    answered: u64,
    report: Report,
    /// Whether the texts are those of [`Long`], and the ones here stay empty.
    long: bool,
}

/// The texts of the switch whose values may be long.
#[derive(Debug, Default)]
struct Long {
    /// Longest value that a report of this device can carry, in bytes.
    most: usize,
    value: String<MAX_LONG_VALUE>,
    wanted: String<MAX_LONG_VALUE>,
    applying: String<MAX_LONG_VALUE>,
}

/// The switches of a device. One of them may have a long value, such as a list of schedules; it is not stored with the others,
/// because whoever applies it keeps it.
#[derive(Debug, Default)]
pub struct Switches {
    list: Vec<Switch, MAX_SWITCHES>,
    long: Long,
    changes: u32,
}

/// What became of one desired entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Desire {
    /// It will be applied.
    Taken,
    /// It was applied before; it will be reported again.
    Known,
    /// It never will be: the device has no such switch, or the value does not fit. The reason is one sentence.
    Refused(&'static str),
}

impl Switches {
    /// Adds a switch with its first value; a second time it only sets the value. Returns false when there is no room.
    pub fn declare(&mut self, key: &str, value: Value<'_>) -> bool {
        let Some(value) = text_of(value) else {
            return false;
        };
        if let Some(switch) = self.find(key) {
            switch.value = value;
            return true;
        }
        let Ok(key) = String::try_from(key) else {
            return false;
        };
        self.list.push(Switch::new(key, value, false)).is_ok()
    }

    /// Adds the switch with a long value, of which a report can carry `most` bytes; a second time it only sets the value. Returns
    /// false when there is no room, or another one is there already.
    pub fn declare_long(&mut self, key: &str, value: Value<'_>, most: usize) -> bool {
        let Some(value) = text_of(value).filter(|value| value.len() <= most) else {
            return false;
        };
        let there = self.list.iter().find(|s| s.long).map(|s| s.key == key);
        if there == Some(false) {
            return false;
        }
        if there.is_none() {
            let Ok(key) = String::try_from(key) else {
                return false;
            };
            if self
                .list
                .push(Switch::new(key, String::new(), true))
                .is_err()
            {
                return false;
            }
        }
        (self.long.most, self.long.value) = (most, value);
        true
    }

    fn find(&mut self, key: &str) -> Option<&mut Switch> {
        self.list.iter_mut().find(|s| s.key == key)
    }

    /// Returns the current value of a switch.
    pub fn get(&self, key: &str) -> Option<Json<'_>> {
        let switch = self.list.iter().find(|s| s.key == key)?;
        Json::parse(switch.text(&self.long)).ok()
    }

    /// Notes what the server wants.
    pub fn desire(&mut self, entry: StateEntry<'_>) -> Desire {
        let Some(switch) = self.list.iter_mut().find(|s| entry.key == s.key.as_str()) else {
            return Desire::Refused("this board has no switch of this name");
        };
        if entry.version <= switch.applied {
            // The server still waits for it, so its acknowledgement is not worth what we thought.
            switch.answered = 0;
            switch.report = Report::Due;
            return Desire::Known;
        }
        let newest = switch
            .wanted
            .as_ref()
            .or(switch.applying.as_ref())
            .map_or(0, |w| w.1);
        if entry.version > newest {
            let Some(value) = wish(switch, &mut self.long, entry.value) else {
                return Desire::Refused("the value is longer than this board can hold");
            };
            switch.wanted = Some((value, entry.version));
        }
        Desire::Taken
    }

    /// Takes a plain value from a server that knows no versions: applied when it differs, reported as a local change.
    /// A change at the device that the server has not heard of yet is newer than what the server shows.
    pub fn desire_plain(&mut self, key: &str, value: Json<'_>) {
        let Some(switch) = self.list.iter_mut().find(|s| s.key == key) else {
            return;
        };
        if switch.report != Report::Clean {
            return;
        }
        let idle = switch.wanted.is_none() && switch.applying.is_none();
        if idle
            && switch.text(&self.long) != value.as_str()
            && let Some(value) = wish(switch, &mut self.long, value)
        {
            switch.wanted = Some((value, 0));
        }
    }

    /// Says whether a value waits to be applied.
    pub fn has_to_apply(&self) -> bool {
        self.list
            .iter()
            .any(|s| s.applying.is_none() && s.wanted.is_some())
    }

    /// Hands out the next value to apply; the answer comes back through [`Switches::applied`].
    pub fn next_to_apply(&mut self) -> Option<(&str, Json<'_>)> {
        let switch = self
            .list
            .iter_mut()
            .find(|s| s.applying.is_none() && s.wanted.is_some())?;
        switch.applying = switch.wanted.take();
        let (mut value, _) = switch.applying.as_ref().map(|(v, n)| (v.as_str(), n))?;
        if switch.long {
            core::mem::swap(&mut self.long.applying, &mut self.long.wanted);
            value = &self.long.applying;
        }
        Some((&switch.key, Json::parse(value).ok()?))
    }

    /// Notes whether the value that was handed out last took effect; returns whether there was one.
    pub fn applied(&mut self, key: &str, ok: bool) -> bool {
        let Some(switch) = self.list.iter_mut().find(|s| s.key == key) else {
            return false;
        };
        let Some((value, version)) = switch.applying.take() else {
            return false;
        };
        if ok {
            if switch.long {
                core::mem::swap(&mut self.long.value, &mut self.long.applying);
            }
            switch.value = value;
            switch.applied = switch.applied.max(version);
            switch.report = Report::Due;
            self.changes = self.changes.wrapping_add(1);
        }
        ok
    }

    /// Gives up the value that was handed out last, because the device will not take it; returns its version.
    pub fn give_up(&mut self, key: &str) -> Option<u64> {
        self.find(key)?.applying.take().map(|(_, version)| version)
    }

    /// Notes a change made at the device, by a button or by its own logic.
    pub fn changed_locally(&mut self, key: &str, value: Value<'_>) {
        let Some(switch) = self.list.iter_mut().find(|s| s.key == key) else {
            return;
        };
        if switch.long {
            if let Some(value) =
                text_of(value).filter(|v| v.len() <= self.long.most && *v != self.long.value)
            {
                self.long.value = value;
                switch.report = Report::Due;
            }
            return;
        }
        let Some(value) = text_of(value) else { return };
        if switch.value != value {
            switch.value = value;
            switch.report = Report::Due;
            self.changes = self.changes.wrapping_add(1);
        }
    }

    /// Says whether something waits to be reported, applied or answered.
    pub fn is_busy(&self) -> bool {
        self.list
            .iter()
            .any(|s| s.report != Report::Clean || s.wanted.is_some() || s.applying.is_some())
    }

    /// Says whether a report is due.
    pub fn report_due(&self) -> bool {
        self.list.iter().any(|s| s.report == Report::Due)
    }

    /// Says whether a report is due that answers the server.
    pub fn answer_due(&self) -> bool {
        self.due().any(|s| s.applied > s.answered)
    }

    /// Returns how many due reports fit into `room` bytes, as a state map and again as plain values.
    pub fn due_within(&self, room: usize) -> usize {
        let mut used = 0;
        let fits = |switch: &&Switch| {
            used += 2 * (switch.key.len() + switch.text(&self.long).len()) + 64;
            used <= room
        };
        self.due().take_while(fits).count()
    }

    fn due(&self) -> impl Iterator<Item = &Switch> {
        self.list.iter().filter(|s| s.report == Report::Due)
    }

    /// Writes the state map of the first `count` reports due.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn write_report(&self, out: &mut impl Write, count: usize) -> fmt::Result {
        write_state(
            out,
            self.due().take(count).filter_map(|s| s.entry(&self.long)),
        )
    }

    /// Writes the first `count` reports due as a plain object of values, as servers without versions understand it.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn write_values(&self, out: &mut impl Write, count: usize) -> fmt::Result {
        write_object(
            out,
            self.due()
                .take(count)
                .filter_map(|s| s.entry(&self.long))
                .map(|(key, value, _)| (key, value)),
        )
    }

    /// Marks the first `count` reports due as sent with this id.
    pub fn mark_reported(&mut self, count: usize, id: u32) {
        for switch in self
            .list
            .iter_mut()
            .filter(|s| s.report == Report::Due)
            .take(count)
        {
            switch.report = Report::Sent(id);
        }
    }

    /// Notes that the server has kept the report with this id; returns how many values it carried.
    pub fn acknowledge(&mut self, id: u32) -> u32 {
        let mut count = 0;
        for switch in self
            .list
            .iter_mut()
            .filter(|s| s.report == Report::Sent(id))
        {
            switch.report = Report::Clean;
            switch.answered = switch.applied;
            count += 1;
        }
        count
    }

    /// Makes the report with this id, or every report on its way, due again; returns how many values it carried.
    pub fn return_sent(&mut self, id: Option<u32>) -> u32 {
        let mut count = 0;
        for switch in &mut self.list {
            if let Report::Sent(sent) = switch.report
                && id.is_none_or(|id| id == sent)
            {
                switch.report = Report::Due;
                count += 1;
            }
        }
        count
    }

    /// Writes every value as a state map to store across a restart. Versions are left out: a server that was restored
    /// from a backup may count again from below, and applying a switch twice is harmless.
    pub fn write_image(&self, out: &mut String<STATE_IMAGE>) -> bool {
        let entries = self
            .list
            .iter()
            .filter(|s| !s.long)
            .filter_map(|s| Some((s.key.as_str(), Json::parse(&s.value).ok()?.into(), 0)));
        out.clear();
        write_state(out, entries).is_ok()
    }

    /// Takes over the stored values of the switches that this device has; the binding asks for them afterwards.
    pub fn restore(&mut self, image: &str) -> u32 {
        let Some(map) = Json::parse(image)
            .ok()
            .and_then(|json| StateMap::check(json).ok())
        else {
            return 0;
        };
        let mut count = 0;
        for entry in map.iter() {
            if let Some(switch) = self
                .list
                .iter_mut()
                .find(|s| entry.key == s.key.as_str() && !s.long)
                && let Ok(value) = String::try_from(entry.value.as_str())
            {
                switch.value = value;
                count += 1;
            }
        }
        count
    }

    /// Hands out every value, as after [`Switches::restore`]. One that is not taken is not what the device does: it stays stored,
    /// and is not reported until it changes.
    pub fn resume(&mut self, mut take: impl FnMut(&str, Json<'_>) -> bool) {
        for switch in &mut self.list {
            let value = Json::parse(switch.text(&self.long));
            if value.is_ok_and(|value| !take(&switch.key, value)) {
                switch.report = Report::Clean;
            }
        }
    }

    /// Returns a number that differs after every change of a value.
    pub const fn changes(&self) -> u32 {
        self.changes
    }

    /// Returns the keys and current values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Json<'_>)> {
        self.list
            .iter()
            .filter_map(|s| Some((s.key.as_str(), Json::parse(s.text(&self.long)).ok()?)))
    }
}

impl Switch {
    fn new(key: String<MAX_SWITCH_KEY>, value: ValueText, long: bool) -> Self {
        Switch {
            key,
            value,
            applied: 0,
            wanted: None,
            applying: None,
            answered: 0,
            report: Report::Due,
            long,
        }
    }

    /// The text of the current value.
    fn text<'t>(&'t self, long: &'t Long) -> &'t str {
        if self.long { &long.value } else { &self.value }
    }

    /// What to report: the version is named until the server has it, after that a change is the device's own.
    fn entry<'t>(&'t self, long: &'t Long) -> Option<(&'t str, Value<'t>, u64)> {
        let version = if self.applied > self.answered {
            self.applied
        } else {
            0
        };
        Some((
            &self.key,
            Json::parse(self.text(long)).ok()?.into(),
            version,
        ))
    }
}

/// Keeps the text of a value that a switch should get; none when it does not fit.
fn wish(switch: &Switch, long: &mut Long, value: Json<'_>) -> Option<ValueText> {
    if !switch.long {
        return String::try_from(value.as_str()).ok();
    }
    let text = String::try_from(value.as_str()).ok()?;
    if text.len() > long.most {
        return None;
    }
    long.wanted = text;
    Some(String::new())
}

fn text_of<const N: usize>(value: Value<'_>) -> Option<String<N>> {
    let mut text = CheckedText(String::new());
    value.write_json(&mut text).ok()?;
    Some(text.0)
}

struct CheckedText<const N: usize>(String<N>);

impl<const N: usize> Write for CheckedText<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.push_str(s).map_err(|_| fmt::Error)
    }
}
