//! Desired values that the device will not take, until the server has heard why: a switch that it does not have, a value out of
//! its bounds. Not values that it may take later, as after safe mode.

use core::fmt::{self, Write};

use espalier_wire::device::write_refusals;
use espalier_wire::json::Json;
use heapless::{String, Vec};

use crate::state::{MAX_SWITCH_KEY, MAX_SWITCH_VALUE, Report, Switches};

/// Most refusals that wait; of more the oldest is forgotten, and its value stays pending at the server.
pub const MAX_REFUSALS: usize = 4;
/// Longest reason, in bytes; the rest is cut off.
pub const MAX_REASON: usize = 96;
/// Bytes of one refusal in a report beside its key, value and reason.
const AROUND: usize = 48;

#[derive(Debug)]
struct Refusal {
    key: String<MAX_SWITCH_KEY>,
    version: u64,
    why: String<MAX_REASON>,
    report: Report,
}

/// The refusals of a device, oldest first.
#[derive(Debug, Default)]
pub struct Refusals(Vec<Refusal, MAX_REFUSALS>);

impl Refusals {
    /// Notes that a version of a key is refused. A key that is longer than any of a switch, or empty, is not noted.
    pub fn note(&mut self, key: &str, version: u64, why: &str) {
        self.forget(key);
        let Ok(key) = String::try_from(key) else {
            return;
        };
        if key.is_empty() {
            return;
        }
        let mut reason = String::new();
        // What does not fit is left away.
        let plain = why.chars().filter(|c| !c.is_control());
        let _ = plain.take(MAX_REASON).try_for_each(|c| reason.push(c));
        if self.0.is_full() {
            self.0.remove(0);
        }
        // There is room: one was removed.
        let _ = self.0.push(Refusal {
            key,
            version,
            why: reason,
            report: Report::Due,
        });
    }

    /// Forgets the refusal of a key: a newer value was taken.
    pub fn forget(&mut self, key: &str) {
        self.0.retain(|one| one.key != key);
    }

    /// Says whether something waits to be told or answered.
    pub fn is_busy(&self) -> bool {
        !self.0.is_empty()
    }

    /// Says whether something waits to be told.
    pub fn is_due(&self) -> bool {
        self.due().next().is_some()
    }

    /// Returns how many refusals that wait fit into `room` bytes.
    pub fn due_within(&self, room: usize) -> usize {
        let mut used = 0;
        let fits = |one: &&Refusal| {
            let escaped = one
                .why
                .bytes()
                .filter(|b| matches!(b, b'"' | b'\\'))
                .count();
            used += one.key.len() + MAX_SWITCH_VALUE + one.why.len() + escaped + AROUND;
            used <= room
        };
        self.due().take_while(fits).count()
    }

    fn due(&self) -> impl Iterator<Item = &Refusal> {
        self.0.iter().filter(|one| one.report == Report::Due)
    }

    /// Writes the state map of the first `count` that wait; a short value says what the switch stays.
    ///
    /// # Errors
    /// Fails when the output is full.
    pub fn write(&self, out: &mut impl Write, count: usize, switches: &Switches) -> fmt::Result {
        let stays = |key: &str| {
            let value = switches.get(key);
            let short = value.filter(|value| value.as_str().len() <= MAX_SWITCH_VALUE);
            short.unwrap_or(Json::NULL)
        };
        let entries = self.due().take(count);
        write_refusals(
            out,
            entries.map(|one| {
                (
                    one.key.as_str(),
                    stays(&one.key),
                    one.version,
                    one.why.as_str(),
                )
            }),
        )
    }

    /// Marks the first `count` that wait as sent with this id.
    pub fn mark_sent(&mut self, count: usize, id: u32) {
        let due = self.0.iter_mut().filter(|one| one.report == Report::Due);
        due.take(count)
            .for_each(|one| one.report = Report::Sent(id));
    }

    /// The server has kept the report with this id.
    pub fn acknowledge(&mut self, id: u32) {
        self.0.retain(|one| one.report != Report::Sent(id));
    }

    /// Makes the report with this id, or every report on its way, due again.
    pub fn return_sent(&mut self, id: Option<u32>) {
        for one in &mut self.0 {
            if let Report::Sent(sent) = one.report
                && id.is_none_or(|id| id == sent)
            {
                one.report = Report::Due;
            }
        }
    }
}
