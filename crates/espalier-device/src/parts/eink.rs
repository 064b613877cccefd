//! A display of electronic paper with 800×480 pixels and a controller UC8179 (GDEW075T7 and its like): what has to change, and the
//! commands for it as data. Not the SPI bus, and not a picture in memory: of what is shown only a checksum per row is kept.
//!
//! # How a picture gets onto the glass
//! 1. Once, and after [`SLEEP`] or a reset: [`Glass::forget`], then [`START`], step by step. The controller knows nothing then.
//! 2. [`RESUME`]. For each row of the picture ([`super::bmp`]) ask [`Glass::changes`]; of those that changed send [`row_steps`] with
//!    the pixels. The controller keeps the others. When a picture breaks off, the next one goes on from there.
//! 3. Ask [`Glass::refresh`], send [`refresh_steps`], then [`PAUSE`]: the picture stays, and the voltages are off.
//!
//! When a step fails, begin again at 1.

use core::fmt;

use super::bmp::{HEIGHT, ROW};
use crate::storage::crc32;

/// Partial refreshes until a full one: each leaves a shadow of what was there before.
pub const MAX_PARTIAL: u8 = 20;
/// Changed rows from which on a full refresh is better.
const MANY_ROWS: u16 = 300;
/// How long the controller may be busy with a command, in milliseconds.
const SHORT_MS: u32 = 2_000;
/// How long a refresh may take, in milliseconds.
const REFRESH_MS: u32 = 30_000;

/// One step of talking to the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Pull the reset line low for so many milliseconds, let go, and wait as long.
    Reset(u32),
    /// Send a command (D/C low), then its data (D/C high): the first bytes of the array.
    Send {
        /// The command.
        command: u8,
        /// Its data.
        data: [u8; 9],
        /// How many of them.
        len: u8,
    },
    /// Send a command, then the pixels of the row.
    SendRow(u8),
    /// Wait until the busy line is high, at most so many milliseconds. When it never is, no display is there: see [`NoDisplay`].
    WaitReady(u32),
}

/// The busy line never became high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoDisplay;

impl fmt::Display for NoDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the display does not answer: its busy line stays low")
    }
}

impl core::error::Error for NoDisplay {}

const fn send<const N: usize>(command: u8, bytes: [u8; N]) -> Step {
    let mut data = [0; 9];
    let mut n = 0;
    while n < N {
        data[n] = bytes[n];
        n += 1;
    }
    Step::Send {
        command,
        data,
        len: N as u8,
    }
}

/// From the reset to a controller that takes pictures.
pub const START: [Step; 11] = [
    Step::Reset(20),
    Step::WaitReady(SHORT_MS),
    // Voltages: gate 20 V, source ±15 V.
    send(0x01, [0x07, 0x07, 0x3f, 0x3f]),
    // Booster.
    send(0x06, [0x17, 0x17, 0x28, 0x17]),
    send(0x04, []),
    Step::WaitReady(SHORT_MS),
    // Panel: black and white, waveform of the controller.
    send(0x00, [0x1f]),
    // 800×480.
    send(0x61, [0x03, 0x20, 0x01, 0xe0]),
    // One SPI line.
    send(0x15, [0x00]),
    // Border, and: after a refresh the new picture becomes the old one, so that a partial refresh knows both.
    send(0x50, [0x29, 0x07]),
    send(0x60, [0x22]),
];

/// Switches the voltages on.
pub const RESUME: [Step; 2] = [send(0x04, []), Step::WaitReady(SHORT_MS)];

/// Switches the voltages off; what the controller holds stays.
pub const PAUSE: [Step; 2] = [send(0x02, []), Step::WaitReady(SHORT_MS)];

/// Lets the controller sleep until it is reset; it forgets what it holds, and so must the [`Glass`].
pub const SLEEP: [Step; 3] = [
    send(0x02, []),
    Step::WaitReady(SHORT_MS),
    send(0x07, [0xa5]),
];

/// A window of whole rows: both ends included.
const fn window(first: u16, last: u16) -> Step {
    let [f1, f0] = first.to_be_bytes();
    let [l1, l0] = last.to_be_bytes();
    // Pixels 0 to 799, and gates outside of the window scan, too.
    send(0x90, [0x00, 0x00, 0x03, 0x1f, f1, f0, l1, l0, 0x01])
}

/// The steps that put the pixels of a row into the controller, wherever the row before was.
pub const fn row_steps(y: u16) -> [Step; 4] {
    [
        send(0x91, []),
        window(y, y),
        Step::SendRow(0x13),
        send(0x92, []),
    ]
}

/// What has to be refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Nothing: the picture is there already.
    None,
    /// These rows, both included; a second without flicker.
    Partial {
        /// The first row from the top.
        first: u16,
        /// The last row.
        last: u16,
    },
    /// Everything; some seconds with flicker.
    Full,
}

/// The steps of a refresh.
pub fn refresh_steps(refresh: Refresh) -> heapless::Vec<Step, 5> {
    let steps: &[Step] = match refresh {
        Refresh::None => &[],
        Refresh::Full => &[send(0x12, []), Step::WaitReady(REFRESH_MS)],
        Refresh::Partial { first, last } => &[
            send(0x91, []),
            window(first, last),
            send(0x12, []),
            Step::WaitReady(REFRESH_MS),
            send(0x92, []),
        ],
    };
    steps.iter().copied().collect()
}

/// What is on the glass.
#[derive(Debug)]
pub struct Glass {
    rows: [u32; HEIGHT],
    known: bool,
    first: u16,
    last: u16,
    changed: u16,
    partials: u8,
}

impl Default for Glass {
    fn default() -> Self {
        Glass {
            rows: [0; HEIGHT],
            known: false,
            first: u16::MAX,
            last: 0,
            changed: 0,
            partials: 0,
        }
    }
}

impl Glass {
    /// Says whether a row differs from what the controller holds, and takes it over. Rows may come in any order; a row below the
    /// last one does not exist.
    pub fn changes(&mut self, y: u16, pixels: &[u8; ROW]) -> bool {
        let Some(row) = self.rows.get_mut(usize::from(y)) else {
            return false;
        };
        let sum = crc32(0, pixels);
        let changed = core::mem::replace(row, sum) != sum || !self.known;
        if changed {
            (self.first, self.last) = (self.first.min(y), self.last.max(y));
            self.changed += 1;
        }
        changed
    }

    /// Returns what has to be refreshed after all rows of a picture, and begins the next picture.
    pub fn refresh(&mut self) -> Refresh {
        let refresh = if self.changed == 0 {
            Refresh::None
        } else if !self.known || self.changed >= MANY_ROWS || self.partials >= MAX_PARTIAL {
            self.partials = 0;
            Refresh::Full
        } else {
            self.partials += 1;
            Refresh::Partial {
                first: self.first,
                last: self.last,
            }
        };
        (self.known, self.first, self.last, self.changed) = (true, u16::MAX, 0, 0);
        refresh
    }

    /// Forgets what is on the glass: the display was off, or a picture broke off in the middle.
    pub fn forget(&mut self) {
        let partials = self.partials;
        *self = Glass::default();
        self.partials = partials;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// A controller that understands the commands it is sent, as its data sheet has them.
    struct Controller {
        ram: Vec<[u8; ROW]>,
        glass: Vec<[u8; ROW]>,
        partial: bool,
        window: (u16, u16),
        powered: bool,
        asleep: bool,
        full: u32,
    }

    impl Controller {
        fn new() -> Self {
            Controller {
                ram: vec![[0xaa; ROW]; HEIGHT],
                glass: vec![[0xaa; ROW]; HEIGHT],
                partial: false,
                window: (0, 0),
                powered: false,
                asleep: true,
                full: 0,
            }
        }

        fn take(&mut self, step: Step, row: &[u8; ROW]) {
            match step {
                Step::Reset(ms) => {
                    assert!(ms >= 10);
                    (self.asleep, self.powered, self.partial) = (false, false, false);
                }
                Step::WaitReady(ms) => assert!(!self.asleep && ms > 0),
                Step::SendRow(command) => {
                    assert!(self.powered && self.partial && command == 0x13);
                    assert_eq!(self.window.0, self.window.1);
                    self.ram[usize::from(self.window.0)] = *row;
                }
                Step::Send { command, data, len } => {
                    assert!(!self.asleep);
                    let data = &data[..usize::from(len)];
                    match command {
                        0x04 => self.powered = true,
                        0x02 => self.powered = false,
                        0x07 => {
                            assert!(!self.powered && data == [0xa5]);
                            self.asleep = true;
                            self.ram = vec![[0x55; ROW]; HEIGHT];
                        }
                        0x91 => self.partial = true,
                        0x92 => self.partial = false,
                        0x90 => {
                            assert!(data[..4] == [0, 0, 3, 0x1f] && data.len() == 9);
                            let word = |n: usize| u16::from_be_bytes([data[n], data[n + 1]]);
                            self.window = (word(4), word(6));
                            assert!(
                                self.window.0 <= self.window.1
                                    && usize::from(self.window.1) < HEIGHT
                            );
                        }
                        0x12 => {
                            assert!(self.powered);
                            let (first, last) = if self.partial { self.window } else { (0, 479) };
                            self.full += u32::from(!self.partial);
                            for y in usize::from(first)..=usize::from(last) {
                                self.glass[y] = self.ram[y];
                            }
                        }
                        0x61 => assert_eq!(data, [3, 0x20, 1, 0xe0]),
                        _ => {}
                    }
                }
            }
        }

        fn run(&mut self, steps: &[Step]) {
            steps.iter().for_each(|step| self.take(*step, &[0; ROW]));
        }

        fn show(&mut self, glass: &mut Glass, picture: &[[u8; ROW]]) -> (Refresh, usize) {
            let mut sent = 0;
            if self.asleep {
                glass.forget();
                self.run(&START);
            }
            self.run(&RESUME);
            for (y, row) in picture.iter().enumerate().rev() {
                if glass.changes(y as u16, row) {
                    sent += 1;
                    row_steps(y as u16)
                        .iter()
                        .for_each(|step| self.take(*step, row));
                }
            }
            let refresh = glass.refresh();
            refresh_steps(refresh)
                .iter()
                .chain(&PAUSE)
                .for_each(|step| self.take(*step, &[0; ROW]));
            assert!(self.glass == picture, "the glass shows something else");
            (refresh, sent)
        }
    }

    #[test]
    fn only_what_has_changed_is_sent_and_refreshed() {
        let (mut controller, mut glass) = (Controller::new(), Glass::default());
        let mut picture = vec![[0xff; ROW]; HEIGHT];
        assert_eq!(
            controller.show(&mut glass, &picture),
            (Refresh::Full, HEIGHT)
        );
        assert_eq!(controller.show(&mut glass, &picture), (Refresh::None, 0));
        picture[470][99] = 0;
        picture[472][0] = 0;
        assert_eq!(
            controller.show(&mut glass, &picture),
            (
                Refresh::Partial {
                    first: 470,
                    last: 472
                },
                2
            )
        );
        picture.iter_mut().take(300).for_each(|row| row[3] = 1);
        assert_eq!(controller.show(&mut glass, &picture), (Refresh::Full, 300));
        // A picture breaks off after a row: the next one puts that row right, too.
        controller.run(&RESUME);
        assert!(glass.changes(3, &[9; ROW]));
        row_steps(3)
            .iter()
            .for_each(|step| controller.take(*step, &[9; ROW]));
        let (refresh, sent) = controller.show(&mut glass, &picture);
        assert_eq!((refresh, sent), (Refresh::Partial { first: 3, last: 3 }, 1));
        // The controller slept: everything is sent again.
        controller.run(&SLEEP);
        assert_eq!(
            controller.show(&mut glass, &picture),
            (Refresh::Full, HEIGHT)
        );
        assert!(!glass.changes(480, &[0; ROW]), "there is no such row");
    }

    #[test]
    fn shadows_are_wiped_away_now_and_then() {
        let (mut controller, mut glass) = (Controller::new(), Glass::default());
        let mut picture = vec![[0xff; ROW]; HEIGHT];
        controller.show(&mut glass, &picture);
        for n in 0..3 * (u32::from(MAX_PARTIAL) + 1) {
            picture[7][0] = n as u8;
            controller.show(&mut glass, &picture);
        }
        assert_eq!(controller.full, 1 + 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Whatever pictures come, the glass shows the last one.
        #[test]
        fn the_glass_shows_the_last_picture(
            pictures in proptest::collection::vec(proptest::collection::vec((0..HEIGHT, 0..ROW, any::<u8>()), 0..12), 1..12),
        ) {
            let (mut controller, mut glass) = (Controller::new(), Glass::default());
            let mut picture = vec![[0xff; ROW]; HEIGHT];
            for changes in pictures {
                changes.iter().for_each(|(y, x, byte)| picture[*y][*x] = *byte);
                controller.show(&mut glass, &picture);
            }
        }
    }
}
