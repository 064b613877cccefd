//! When the picture of a display is fetched, and what becomes of it. The server decides what it shows; the board asks for it every
//! half minute and takes in only what is new (`ETag`). Not the connection, and not the bus of the display.
//!
//! # The loop of a binding
//! [`Screen::poll`] says [`Action::Fetch`]: GET the path with the token as Bearer and `If-None-Match`; hand the bytes of a 200 to
//! [`Screen::receive`] and end with [`Screen::ended`]. Rows and refreshes go to the display as [`super::eink`] says.

use heapless::String;

use super::bmp::{Decoder, ROW};
use super::eink::{Glass, Refresh};
use crate::backoff::Backoff;
use crate::config::MAX_DEVICE_ID;
use crate::rng::Rng;

/// Time between two questions, in milliseconds.
pub const ASK_EVERY_MS: u64 = 30_000;
/// How long a picture may take to come in, in milliseconds.
pub const FETCH_TIMEOUT_MS: u64 = 60_000;
/// Longest entity tag that is remembered, in bytes; one that is longer is not, and the picture comes whole each time.
pub const MAX_ETAG: usize = 80;
/// Longest path, in bytes.
const MAX_PATH: usize = MAX_DEVICE_ID + 24;

/// What the binding should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Ask for the picture.
    Fetch {
        /// The path, below the configured server.
        path: &'a str,
        /// For the header `If-None-Match`; none when every picture is welcome.
        if_none_match: Option<&'a str>,
    },
    /// Drop the picture that is on its way, and report nothing more about it.
    Abandon,
}

#[derive(Debug)]
enum State {
    Resting {
        until: u64,
    },
    Wanted,
    /// Bytes come in. An answer that cannot be read is taken to its end and counts as none.
    Fetching {
        since: u64,
        decoder: Decoder,
        sound: bool,
    },
    Abandoned,
}

/// The machine.
#[derive(Debug)]
pub struct Screen {
    path: String<MAX_PATH>,
    etag: String<MAX_ETAG>,
    glass: Glass,
    state: State,
    backoff: Backoff,
    rng: Rng,
    online: bool,
    /// Pictures that could not be read.
    refused: u32,
}

impl Screen {
    /// Makes the machine for a device; the seed spreads its questions.
    pub fn new(device_id: &str, seed: u64) -> Self {
        let mut path = String::new();
        // An id that does not fit was refused by the configuration.
        let _ = path.push_str("/dashboards/");
        let _ = path.push_str(device_id);
        let _ = path.push_str("_current.bmp");
        Screen {
            path,
            etag: String::new(),
            glass: Glass::default(),
            state: State::Resting { until: 0 },
            backoff: Backoff::default(),
            rng: Rng::new(seed),
            online: false,
            refused: 0,
        }
    }

    /// Lets time pass; `now` is in milliseconds of a clock that counts up, `online` says whether the server can be reached.
    pub fn step(&mut self, now: u64, online: bool) {
        if online && !self.online {
            // The picture may be old.
            if let State::Resting { .. } = self.state {
                self.state = State::Resting { until: now };
            }
        }
        self.online = online;
        match &self.state {
            State::Resting { until } if online && now >= *until => self.state = State::Wanted,
            State::Fetching { since, .. } if now >= since.saturating_add(FETCH_TIMEOUT_MS) => {
                self.state = State::Abandoned;
            }
            _ => {}
        }
    }

    /// Asks at once, because a person wants to see something else.
    pub fn hurry(&mut self, now: u64) {
        if let State::Resting { .. } = self.state {
            self.state = State::Resting { until: now };
        }
    }

    /// The display was reset, lost its power or failed: the next picture is sent to it whole.
    pub fn forget(&mut self) {
        self.glass.forget();
        self.etag.clear();
    }

    /// Returns the next thing to do; nothing more until the next step when it returns none.
    pub fn poll(&mut self, now: u64) -> Option<Action<'_>> {
        match self.state {
            State::Wanted => {
                self.state = State::Fetching {
                    since: now,
                    decoder: Decoder::default(),
                    sound: true,
                };
                Some(Action::Fetch {
                    path: &self.path,
                    if_none_match: (!self.etag.is_empty()).then_some(&self.etag),
                })
            }
            State::Abandoned => {
                self.rest(now);
                Some(Action::Abandon)
            }
            _ => None,
        }
    }

    /// Takes in the next bytes of the picture and calls `row` with the place and the pixels of every row that the display must get.
    pub fn receive(&mut self, bytes: &[u8], mut row: impl FnMut(u16, &[u8; ROW])) {
        let State::Fetching { decoder, sound, .. } = &mut self.state else {
            return;
        };
        if !*sound {
            return;
        }
        let glass = &mut self.glass;
        let taken = decoder.push(bytes, |y, pixels| {
            if glass.changes(y, pixels) {
                row(y, pixels);
            }
        });
        *sound = taken.is_ok();
    }

    /// The answer has ended, with its status (none when there was none) and its `ETag`. Returns what the display must refresh.
    pub fn ended(&mut self, now: u64, status: Option<u16>, etag: Option<&str>) -> Refresh {
        let before = core::mem::replace(&mut self.state, State::Resting { until: now });
        let State::Fetching { decoder, sound, .. } = before else {
            self.state = before;
            return Refresh::None;
        };
        let whole = status == Some(200) && sound && decoder.is_complete();
        if whole {
            self.etag = etag
                .and_then(|tag| String::try_from(tag).ok())
                .unwrap_or_default();
        } else if status == Some(200) {
            self.refused = self.refused.saturating_add(u32::from(!sound));
        }
        if whole || status == Some(304) {
            self.backoff.reset();
            let spread = self.rng.up_to(ASK_EVERY_MS / 10);
            self.state = State::Resting {
                until: now.saturating_add(ASK_EVERY_MS + spread),
            };
        } else {
            self.rest(now);
        }
        if whole {
            self.glass.refresh()
        } else {
            Refresh::None
        }
    }

    fn rest(&mut self, now: u64) {
        let delay = self.backoff.next_delay(&mut self.rng).max(1_000);
        self.state = State::Resting {
            until: now.saturating_add(delay),
        };
    }

    /// Returns when [`Screen::step`] must be called again, in milliseconds of its clock.
    pub fn due(&self) -> u64 {
        match &self.state {
            State::Resting { until } if self.online => *until,
            State::Resting { .. } => u64::MAX,
            State::Wanted | State::Abandoned => 0,
            State::Fetching { since, .. } => since.saturating_add(FETCH_TIMEOUT_MS),
        }
    }

    /// Returns how many pictures could not be read.
    pub const fn refused(&self) -> u32 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::super::bmp::HEIGHT;
    use super::*;

    /// A picture whose rows are all alike, but for one.
    fn picture(y: usize, byte: u8) -> Vec<u8> {
        let mut out = vec![
            b'B', b'M', 0xbe, 0xbb, 0, 0, 0, 0, 0, 0, 62, 0, 0, 0, 40, 0, 0, 0, 0x20, 3, 0, 0,
            0xe0, 1, 0, 0, 1, 0, 1, 0,
        ];
        out.resize(54, 0);
        out.extend([0, 0, 0, 0, 0xff, 0xff, 0xff, 0]);
        for row in (0..HEIGHT).rev() {
            out.extend([if row == y { byte } else { 0xff }; ROW]);
        }
        out
    }

    struct World {
        screen: Screen,
        now: u64,
        shown: Vec<[u8; ROW]>,
        fetches: u32,
        tag: Option<std::string::String>,
        last: Refresh,
    }

    impl World {
        fn new() -> Self {
            let mut screen = Screen::new("dev1", 1);
            screen.step(0, true);
            World {
                screen,
                now: 0,
                shown: vec![[0; ROW]; HEIGHT],
                fetches: 0,
                tag: None,
                last: Refresh::None,
            }
        }

        /// Time passes until the picture is asked for; the answer is given to it.
        fn fetch(&mut self, answer: Option<(u16, &[u8], &str)>) {
            for _ in 0..10 {
                self.now = self.screen.due().clamp(self.now, self.now + 600_000);
                self.screen.step(self.now, true);
                match self.screen.poll(self.now) {
                    Some(Action::Fetch {
                        path,
                        if_none_match,
                    }) => {
                        assert_eq!(path, "/dashboards/dev1_current.bmp");
                        self.tag = if_none_match.map(ToString::to_string);
                        self.fetches += 1;
                        if let Some((_, body, _)) = answer {
                            for part in body.chunks(777) {
                                self.screen
                                    .receive(part, |y, row| self.shown[usize::from(y)] = *row);
                            }
                        }
                        let status = answer.map(|(status, ..)| status);
                        self.last =
                            self.screen
                                .ended(self.now, status, answer.map(|(_, _, tag)| tag));
                        return;
                    }
                    Some(Action::Abandon) | None => {}
                }
            }
            panic!("it never asks");
        }
    }

    #[test]
    fn a_picture_is_shown_and_asked_for_again_only_if_it_is_new() {
        let mut w = World::new();
        w.fetch(Some((200, &picture(5, 0), "\"a\"")));
        assert_eq!(
            (w.last, w.tag.clone(), w.shown[5]),
            (Refresh::Full, None, [0; ROW])
        );
        w.fetch(Some((304, &[], "\"a\"")));
        assert_eq!((w.last, w.tag.as_deref()), (Refresh::None, Some("\"a\"")));
        assert!((30_000..=33_000).contains(&w.now));
        w.fetch(Some((200, &picture(7, 0), "\"b\"")));
        assert_eq!(w.last, Refresh::Partial { first: 5, last: 7 });
        assert_eq!((w.shown[5], w.shown[7]), ([0xff; ROW], [0; ROW]));
        // The display failed: the picture is asked for although it is the same, and sent whole.
        w.screen.forget();
        w.fetch(Some((200, &picture(7, 0), "\"b\"")));
        assert_eq!((w.last, w.tag.clone()), (Refresh::Full, None));
    }

    #[test]
    fn failures_are_patient_and_show_nothing_half() {
        let mut w = World::new();
        w.fetch(Some((200, &picture(5, 0), "\"a\"")));
        let whole = picture(9, 0);
        for _ in 0..12 {
            w.fetch(None);
            w.fetch(Some((503, &[], "")));
            w.fetch(Some((200, &whole[..30_000], "\"b\"")));
            assert_eq!(w.last, Refresh::None);
        }
        let hours = w.now;
        assert!(hours > 120_000, "{hours}");
        // A page of another network is no picture.
        w.fetch(Some((200, &[b'<'; 50_000], "\"c\"")));
        assert_eq!((w.last, w.screen.refused()), (Refresh::None, 1));
        w.fetch(Some((200, &whole, "\"b\"")));
        assert_eq!(
            (w.last, w.tag.as_deref()),
            (Refresh::Partial { first: 5, last: 9 }, Some("\"a\""))
        );
        assert_eq!((w.shown[5], w.shown[9]), ([0xff; ROW], [0; ROW]));
    }

    #[test]
    fn it_asks_when_it_is_online_when_someone_wants_and_never_waits_for_ever() {
        let mut w = World::new();
        let mut offline = Screen::new("dev1", 1);
        offline.step(0, false);
        assert_eq!((offline.due(), offline.poll(0)), (u64::MAX, None));
        w.fetch(Some((200, &picture(5, 0), "\"a\"")));
        w.screen.hurry(w.now + 100);
        let asked_at = w.now;
        w.fetch(Some((304, &[], "")));
        assert!(w.now <= asked_at + 100);
        // An answer that never comes.
        w.now = w.screen.due();
        w.screen.step(w.now, true);
        assert!(matches!(w.screen.poll(w.now), Some(Action::Fetch { .. })));
        w.now = w.screen.due();
        w.screen.step(w.now, true);
        assert_eq!(w.screen.poll(w.now), Some(Action::Abandon));
        // What comes after all is not taken.
        w.screen
            .receive(&picture(1, 1), |_, _| panic!("nobody waits for it"));
        assert_eq!(w.screen.ended(w.now, Some(200), None), Refresh::None);
        w.fetch(Some((200, &picture(5, 1), "\"b\"")));
        assert_eq!(w.last, Refresh::Partial { first: 5, last: 5 });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Whatever the network does: after the next whole answer the display shows that picture.
        #[test]
        fn the_next_whole_picture_is_shown(story in proptest::collection::vec((0..5_u8, 0..HEIGHT, any::<u8>(), 0..48_062_usize), 0..12)) {
            let mut w = World::new();
            for (what, y, byte, cut) in story {
                let file = picture(y, byte);
                match what {
                    0 => w.fetch(None),
                    1 => w.fetch(Some((200, &file[..cut], "\"x\""))),
                    2 => w.fetch(Some((500, &file, "\"x\""))),
                    3 => w.screen.hurry(w.now),
                    _ => w.fetch(Some((200, &file, "\"y\""))),
                }
            }
            let last = picture(77, 0x3c);
            w.fetch(Some((200, &last, "\"z\"")));
            for (y, row) in w.shown.iter().enumerate() {
                prop_assert_eq!(*row, [if y == 77 { 0x3c } else { 0xff }; ROW]);
            }
        }
    }
}
