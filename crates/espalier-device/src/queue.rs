//! The offline queue: encoded samples in one fixed buffer, oldest first, until the server has acknowledged them.
//! It does not decide when to send, and it forgets only what was acknowledged, refused for good, or pushed out.
//!
//! A record is a header of [`HEADER`] bytes and the JSON text of its `data`. Records lie one after another; removing
//! moves the rest down, which for a few kilobytes is cheaper than the bookkeeping of a ring.

use core::fmt;

/// Bytes of a record before its text: length, points, stamp kind, stamp, frame id.
pub const HEADER: usize = 2 + 2 + 1 + 8 + 4;

/// When a sample was taken, as far as the device knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// Milliseconds UTC.
    Wall(i64),
    /// Milliseconds since this start; turned into wall time once the server has told the time.
    Uptime(u64),
    /// Taken before a restart without a known time; the server's time of arrival has to do.
    Unknown,
}

impl Stamp {
    fn encode(self) -> (u8, [u8; 8]) {
        match self {
            Stamp::Wall(ms) => (0, ms.to_le_bytes()),
            Stamp::Uptime(ms) => (1, ms.to_le_bytes()),
            Stamp::Unknown => (2, [0; 8]),
        }
    }

    fn decode(kind: u8, bytes: [u8; 8]) -> Self {
        match kind {
            0 => Stamp::Wall(i64::from_le_bytes(bytes)),
            1 => Stamp::Uptime(u64::from_le_bytes(bytes)),
            _ => Stamp::Unknown,
        }
    }
}

/// One queued sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was taken.
    pub stamp: Stamp,
    /// How many values it holds.
    pub points: u16,
    /// The frame that carries it now; none while it waits.
    pub frame: Option<u32>,
    /// The JSON object of its values.
    pub data: &'a str,
}

/// Why a sample was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushError {
    /// The sample is larger than the bound of the queue.
    TooLarge,
    /// The sample holds a number that JSON cannot express.
    NotJson,
}

/// A bounded queue of samples in `BYTES` bytes.
pub struct Queue<const BYTES: usize> {
    buffer: [u8; BYTES],
    used: usize,
    samples: u32,
    /// Grows with every change, so that the owner knows when the stored image is out of date.
    changes: u32,
}

impl<const BYTES: usize> Default for Queue<BYTES> {
    fn default() -> Self {
        Queue {
            buffer: [0; BYTES],
            used: 0,
            samples: 0,
            changes: 0,
        }
    }
}

impl<const BYTES: usize> Queue<BYTES> {
    /// Queues a sample that `write` encodes, pushing out the oldest ones if it must; returns how many it pushed out.
    ///
    /// # Errors
    /// Refuses a sample whose text is longer than `max` bytes or than the queue itself, and leaves the queue as it was
    /// except for what was pushed out.
    pub fn push(
        &mut self,
        stamp: Stamp,
        points: u16,
        max: usize,
        write: impl Fn(&mut dyn fmt::Write) -> fmt::Result,
    ) -> Result<u32, PushError> {
        let mut measure = Counter(0);
        write(&mut measure).map_err(|_| PushError::NotJson)?;
        let Counter(len) = measure;
        if len > max || len + HEADER > BYTES || len > usize::from(u16::MAX) {
            return Err(PushError::TooLarge);
        }
        let mut dropped = 0;
        while self.used + HEADER + len > BYTES {
            self.remove_at(0);
            dropped += 1;
        }
        let at = self.used;
        let mut text = Cursor {
            buffer: &mut self.buffer[at + HEADER..at + HEADER + len],
            used: 0,
        };
        if write(&mut text).is_err() || text.used != len {
            return Err(PushError::NotJson);
        }
        let (kind, time) = stamp.encode();
        // The bound above keeps the length in 16 bits.
        self.buffer[at..at + 2].copy_from_slice(&(len as u16).to_le_bytes());
        self.buffer[at + 2..at + 4].copy_from_slice(&points.to_le_bytes());
        self.buffer[at + 4] = kind;
        self.buffer[at + 5..at + 13].copy_from_slice(&time);
        self.set_frame(at, None);
        self.used += HEADER + len;
        self.samples += 1;
        self.changes = self.changes.wrapping_add(1);
        Ok(dropped)
    }

    /// Returns the samples, oldest first.
    pub fn iter(&self) -> Records<'_> {
        Records {
            bytes: &self.buffer[..self.used],
        }
    }

    /// Marks the first `count` waiting samples as carried by a frame.
    pub fn mark_sent(&mut self, count: usize, frame: u32) {
        let mut left = count;
        self.for_each_at(|queue, at| {
            if left > 0 && queue.frame_at(at).is_none() {
                queue.set_frame(at, Some(frame));
                left -= 1;
            }
        });
    }

    /// Forgets the samples of a frame; returns how many samples and points that were.
    pub fn acknowledge(&mut self, frame: u32) -> (u32, u32) {
        let (mut samples, mut points, mut at) = (0, 0, 0);
        while at < self.used {
            if self.frame_at(at) == Some(frame) {
                points += u32::from(self.points_at(at));
                samples += 1;
                self.remove_at(at);
            } else {
                at += self.record_len(at);
            }
        }
        (samples, points)
    }

    /// Lets the samples of a frame, or of all frames, wait again; returns how many.
    pub fn return_sent(&mut self, frame: Option<u32>) -> u32 {
        let mut count = 0;
        self.for_each_at(|queue, at| {
            let carried = queue.frame_at(at);
            if carried.is_some() && (frame.is_none() || carried == frame) {
                queue.set_frame(at, None);
                count += 1;
            }
        });
        count
    }

    /// Returns the number of samples, sent or waiting.
    pub const fn len(&self) -> u32 {
        self.samples
    }

    /// Says whether nothing is queued.
    pub const fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// Returns a number that differs after every change.
    pub const fn changes(&self) -> u32 {
        self.changes
    }

    /// Returns the bytes to store across a restart.
    pub fn image(&self) -> &[u8] {
        &self.buffer[..self.used]
    }

    /// Takes over stored bytes in front of an empty queue; returns how many samples were in them. Times since the
    /// earlier start mean nothing now, and nothing is on its way.
    pub fn restore(&mut self, image: &[u8]) -> u32 {
        if !self.is_empty() || image.len() > BYTES {
            return 0;
        }
        let mut records = Records { bytes: image };
        let samples = records.by_ref().count();
        if !records.bytes.is_empty() {
            return 0; // not an image of ours
        }
        self.buffer[..image.len()].copy_from_slice(image);
        self.used = image.len();
        self.samples = u32::try_from(samples).unwrap_or(u32::MAX);
        self.for_each_at(|queue, at| {
            queue.set_frame(at, None);
            if queue.buffer[at + 4] == 1 {
                queue.buffer[at + 4] = 2;
            }
        });
        self.samples
    }

    fn for_each_at(&mut self, mut visit: impl FnMut(&mut Self, usize)) {
        let mut at = 0;
        while at < self.used {
            visit(self, at);
            at += self.record_len(at);
        }
    }

    fn record_len(&self, at: usize) -> usize {
        HEADER + usize::from(u16::from_le_bytes([self.buffer[at], self.buffer[at + 1]]))
    }

    fn points_at(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.buffer[at + 2], self.buffer[at + 3]])
    }

    fn frame_at(&self, at: usize) -> Option<u32> {
        frame_of(&self.buffer[at..])
    }

    fn set_frame(&mut self, at: usize, frame: Option<u32>) {
        self.buffer[at + 13..at + HEADER].copy_from_slice(&frame.unwrap_or(0).to_le_bytes());
    }

    fn remove_at(&mut self, at: usize) {
        let next = at + self.record_len(at);
        self.buffer.copy_within(next..self.used, at);
        self.used -= next - at;
        self.samples -= 1;
        self.changes = self.changes.wrapping_add(1);
    }
}

impl<const BYTES: usize> fmt::Debug for Queue<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("samples", &self.samples)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

/// Frame ids start at 1, so 0 stands for "waiting".
fn frame_of(record: &[u8]) -> Option<u32> {
    let id = record.get(13..HEADER)?;
    Some(u32::from_le_bytes(id.try_into().ok()?)).filter(|id| *id != 0)
}

/// The samples of a [`Queue`], oldest first.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let header = self.bytes.get(..HEADER)?;
        let len = usize::from(u16::from_le_bytes([header[0], header[1]]));
        let data = core::str::from_utf8(self.bytes.get(HEADER..HEADER + len)?).ok()?;
        let time = header.get(5..13)?.try_into().ok()?;
        self.bytes = &self.bytes[HEADER + len..];
        Some(Record {
            stamp: Stamp::decode(header[4], time),
            points: u16::from_le_bytes([header[2], header[3]]),
            frame: frame_of(header),
            data,
        })
    }
}

struct Counter(usize);

impl fmt::Write for Counter {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0 += s.len();
        Ok(())
    }
}

struct Cursor<'a> {
    buffer: &'a mut [u8],
    used: usize,
}

impl fmt::Write for Cursor<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.used + s.len();
        self.buffer
            .get_mut(self.used..end)
            .ok_or(fmt::Error)?
            .copy_from_slice(s.as_bytes());
        self.used = end;
        Ok(())
    }
}
