//! What the device sends on the socket, in this order: heartbeat, command results, reports, telemetry, ping.

use core::fmt;

use espalier_wire::device::{Firmware, Heartbeat, Hello, Sample, Up, write_samples};
use espalier_wire::http::HeartbeatPost;
use espalier_wire::json::{Json, ObjectWriter, Text};
use espalier_wire::limits::PROTOCOL_VERSION;

use super::{Action, Core, FRAME_OVERHEAD, Sent};
use crate::clock::Clock;
use crate::config::Config;
use crate::queue::{Record, Stamp};
use crate::update::{Updates, hex};

/// Most samples in one frame, so that a refused batch is searched quickly.
const MAX_SAMPLES_PER_FRAME: usize = 64;

fn present(name: &str) -> Option<Text<'_>> {
    Some(Text::new(name)).filter(|text| !text.is_empty())
}

/// Who the device is and what it runs.
fn hello<'a>(config: &'a Config, updates: &'a Updates, sha256: Option<&'a str>) -> Hello<'a> {
    let version = updates.running().and_then(|(_, version)| present(version));
    let boot = updates.boot();
    Hello {
        token: None,
        proto: PROTOCOL_VERSION,
        firmware: version
            .or(present(config.firmware()))
            .map(|version| Firmware {
                version,
                sha256: sha256.map(Text::new),
                trial: updates.is_trial(),
            }),
        chip: present(config.chip()),
        board: present(config.board()),
        expected_interval_s: Some(config.expected_interval_s()),
        boot_reason: boot.map(|(reason, _)| Text::new(reason.as_str())),
        boots: boot.map(|(_, boots)| boots),
    }
}

impl<const QUEUE: usize, const FRAME: usize> Core<QUEUE, FRAME> {
    pub(super) fn write_hello(&mut self) {
        let sha256 = self.image_digest();
        let hello = hello(&self.config, &self.updates, sha256.as_deref());
        self.frame.clear();
        // Names are bounded, so the frame has room; a cut frame would be refused by the server, not misread.
        let _ = Up::Hello(hello).write(&mut self.frame);
    }

    /// SHA-256 of the image that runs, in digits.
    fn image_digest(&self) -> Option<heapless::String<64>> {
        self.updates.running().map(|(sha256, _)| hex(sha256))
    }

    /// Returns the next frame of a welcomed device.
    pub(super) fn next_frame(&mut self) -> Option<Action> {
        let now = self.clock.uptime();
        let on_trial = self.updates.beat_at();
        if now >= self.heartbeat_at || on_trial.is_some_and(|at| now >= at) {
            self.heartbeat_at = now + self.heartbeat_ms;
            // An image on trial asks whether it is heard, from the moment on from which that counts.
            let id = on_trial.filter(|at| now >= *at).map(|_| self.take_id());
            if let Some(id) = id {
                self.updates.beat_sent(now, id);
            }
            self.write_heartbeat(id);
            return Some(Action::Send(None));
        }
        if self.commands.result_due() {
            self.frame.clear();
            let result = self.commands.next_result()?;
            let _ = Up::CommandResult(result).write(&mut self.frame);
            return Some(Action::Send(None));
        }
        if now >= self.hold_until && !self.sent.is_full() {
            if self.switches.report_due() {
                return self.send_report();
            }
            let refusals = self.refusals.due_within(FRAME - FRAME_OVERHEAD);
            if refusals > 0 {
                return self.send_refusals(refusals);
            }
            if let Some(id) = self.write_telemetry() {
                return Some(self.note_sent(id));
            }
        }
        if now >= self.ping_at {
            self.ping_at = now + self.heartbeat_ms;
            self.pinged_at = now;
            self.frame.clear();
            let _ = Up::Ping.write(&mut self.frame);
            return Some(Action::Send(None));
        }
        None
    }

    pub(super) fn note_sent(&mut self, id: u32) -> Action {
        // The callers have checked that the window has room.
        let _ = self.sent.push(Sent {
            id,
            at: self.clock.uptime(),
        });
        Action::Send(Some(id))
    }

    fn write_heartbeat(&mut self, id: Option<u32>) {
        let sha256 = self.image_digest();
        let heartbeat = Heartbeat {
            id,
            sha256: sha256.as_deref().map(Text::new),
            ..self.vital_signs()
        };
        self.frame.clear();
        let _ = Up::Heartbeat(heartbeat).write(&mut self.frame);
    }

    /// Writes the sign of life of a device that has no socket.
    ///
    /// # Errors
    /// Fails when the frame is full, which bounded names prevent.
    pub(super) fn write_heartbeat_post(&mut self) -> fmt::Result {
        let (sha256, heartbeat) = (self.image_digest(), self.vital_signs());
        let hello = hello(&self.config, &self.updates, sha256.as_deref());
        self.frame.clear();
        HeartbeatPost { hello, heartbeat }.write(&mut self.frame)
    }

    fn vital_signs(&self) -> Heartbeat<'static> {
        let reason = match self.updates.boot() {
            Some((reason, _)) => reason.as_str(),
            None if self.restarted => "restart",
            None => "power_on",
        };
        Heartbeat {
            id: None,
            uptime_s: self.clock.uptime() / 1000,
            heap_free: self.heap_free,
            rssi: self.rssi,
            boot_reason: Some(Text::new(reason)),
            sha256: None,
        }
    }

    fn send_report(&mut self) -> Option<Action> {
        let count = self.switches.due_within(FRAME - FRAME_OVERHEAD);
        let id = self.take_id();
        self.frame.clear();
        let write = |out: &mut heapless::String<FRAME>| {
            let mut message = ObjectWriter::message(out, "reported")?;
            message.number("id", u64::from(id))?;
            self.switches
                .write_report(message.value_of("state")?, count)?;
            message.end()
        };
        write(&mut self.frame).ok()?;
        self.switches.mark_reported(count, id);
        Some(self.note_sent(id))
    }

    fn send_refusals(&mut self, count: usize) -> Option<Action> {
        let id = self.take_id();
        self.frame.clear();
        let (refusals, switches) = (&self.refusals, &self.switches);
        let write = |out: &mut heapless::String<FRAME>| {
            let mut message = ObjectWriter::message(out, "reported")?;
            message.number("id", u64::from(id))?;
            refusals.write(message.value_of("state")?, count, switches)?;
            message.end()
        };
        write(&mut self.frame).ok()?;
        self.refusals.mark_sent(count, id);
        Some(self.note_sent(id))
    }

    /// Writes a frame with as many waiting samples as fit; returns its id.
    fn write_telemetry(&mut self) -> Option<u32> {
        let count = self.fitting(FRAME - FRAME_OVERHEAD);
        if count == 0 {
            return None;
        }
        let id = self.take_id();
        self.frame.clear();
        let clock = &self.clock;
        let mut samples = waiting(self.queue.iter(), clock).take(count);
        let write = |out: &mut heapless::String<FRAME>| -> fmt::Result {
            let mut message = ObjectWriter::message(out, "telemetry")?;
            message.number("id", u64::from(id))?;
            match (count, samples.next()) {
                (1, Some(one)) => {
                    message.optional("ts", one.ts)?;
                    message.member("data", one.data)?;
                }
                (_, first) => write_samples(
                    message.value_of("samples")?,
                    first.into_iter().chain(samples),
                )?,
            }
            message.end()
        };
        write(&mut self.frame).ok()?;
        self.queue.mark_sent(count, id);
        Some(id)
    }

    /// Returns how many waiting samples fit into `room` bytes; those that must travel alone go one by one.
    pub(super) fn fitting(&self, room: usize) -> usize {
        // Besides its text, a sample needs `{"ts":-9223372036854775808,"data":},`.
        const AROUND: usize = 40;
        let most = if self.alone > 0 {
            1
        } else {
            MAX_SAMPLES_PER_FRAME
        };
        let mut used = 0;
        let fits = |record: &Record<'_>| {
            let first = used == 0;
            used += record.data.len() + AROUND;
            first || used <= room
        };
        self.queue
            .iter()
            .filter(|r| r.frame.is_none())
            .take(most)
            .take_while(fits)
            .count()
    }
}

/// The samples that no frame carries, with their times as far as the clock knows them now.
pub(super) fn waiting<'q>(
    records: impl Iterator<Item = Record<'q>>,
    clock: &Clock,
) -> impl Iterator<Item = Sample<'q>> {
    records.filter(|r| r.frame.is_none()).map(|record| Sample {
        ts: match record.stamp {
            Stamp::Wall(ms) => Some(ms),
            Stamp::Uptime(uptime) => clock.wall_at(uptime),
            Stamp::Unknown => None,
        },
        // The queue holds only what was written as an object.
        data: Json::parse(record.data).unwrap_or(Json::EMPTY_OBJECT),
    })
}
