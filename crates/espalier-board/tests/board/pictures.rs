//! A board with a display: its picture comes over the driver, whole or not at all, and never keeps the core from its work.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use espalier_board::{Fetch, Wanted};
use espalier_device::parts::bmp::{HEIGHT, ROW};
use espalier_device::parts::eink::Refresh;
use espalier_device::parts::screen::{Action, Screen};
use espalier_device::update::BootReason;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::server::{DEVICE, Server};
use crate::story::{PATIENCE, plain, tls};
use crate::world::{TestBoard, image};

/// A white picture with one black row.
fn picture(black: usize) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    for word in [
        48_062,
        0,
        62,
        40,
        800,
        480,
        0x1_0001,
        0,
        48_000,
        0,
        0,
        2,
        2,
        0,
        0x00ff_ffff_u32,
    ] {
        file.extend(word.to_le_bytes());
    }
    for y in (0..HEIGHT).rev() {
        file.extend([if y == black { 0 } else { 0xff }; ROW]);
    }
    file
}

/// What a display shows, and what it was told to refresh.
struct Shown {
    screen: Screen,
    rows: Vec<[u8; ROW]>,
    sent: usize,
    ended: Vec<(Option<u16>, Refresh)>,
}

/// The screen of a board, as firmware binds it.
#[derive(Clone)]
struct Eyes(Rc<(RefCell<Shown>, Notify, Instant)>);

impl Eyes {
    fn new() -> Self {
        let shown = Shown {
            screen: Screen::new(DEVICE, 1),
            rows: vec![[0x55; ROW]; HEIGHT],
            sent: 0,
            ended: vec![],
        };
        Eyes(Rc::new((
            RefCell::new(shown),
            Notify::new(),
            Instant::now(),
        )))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.2.elapsed().as_millis()).unwrap()
    }

    /// Somebody presses the button.
    fn hurry(&self) {
        self.0.0.borrow_mut().screen.hurry(self.now());
        self.0.1.notify_waiters();
    }

    /// Waits until so many fetches have ended, and returns how the last one did.
    async fn ended(&self, count: usize) -> (Option<u16>, Refresh) {
        loop {
            let news = self.0.1.notified();
            if let Some(ended) = self.0.0.borrow().ended.get(count - 1) {
                return *ended;
            }
            news.await;
        }
    }

    fn black(&self) -> Vec<usize> {
        let shown = self.0.0.borrow();
        (0..HEIGHT).filter(|y| shown.rows[*y] == [0; ROW]).collect()
    }
}

impl Fetch for Eyes {
    async fn wanted(&mut self) -> Wanted {
        loop {
            let news = self.0.1.notified();
            let now = self.now();
            {
                let screen = &mut self.0.0.borrow_mut().screen;
                screen.step(now, true);
                if let Some(Action::Fetch {
                    path,
                    if_none_match,
                }) = screen.poll(now)
                {
                    return Wanted {
                        path: path.try_into().unwrap(),
                        if_none_match: if_none_match.unwrap_or_default().try_into().unwrap(),
                    };
                }
            }
            news.await;
        }
    }

    async fn receive(&mut self, bytes: &[u8]) {
        let shown = &mut *self.0.0.borrow_mut();
        let (rows, sent) = (&mut shown.rows, &mut shown.sent);
        shown.screen.receive(bytes, |y, row| {
            rows[usize::from(y)] = *row;
            *sent += 1;
        });
    }

    fn ended(&mut self, status: Option<u16>, etag: Option<&str>) {
        let now = self.now();
        {
            let shown = &mut *self.0.0.borrow_mut();
            let refresh = shown.screen.ended(now, status, etag);
            shown.ended.push((status, refresh));
        }
        self.0.1.notify_waiters();
    }
}

async fn shows((server, mut board): (Server, TestBoard)) {
    let show = |row, tag: &str| {
        server.with(|s| s.picture = (picture(row), tag.to_owned()));
    };
    let eyes = Eyes::new();
    show(5, "\"a\"");
    let test = async {
        assert_eq!(eyes.ended(1).await, (Some(200), Refresh::Full));
        assert_eq!((eyes.black(), eyes.0.0.borrow().sent), (vec![5], HEIGHT));
        // Nothing new comes as nothing.
        eyes.hurry();
        assert_eq!(eyes.ended(2).await, (Some(304), Refresh::None));
        // Of what is new only the rows that differ are sent to the display.
        show(7, "\"b\"");
        eyes.hurry();
        let partial = Refresh::Partial { first: 5, last: 7 };
        assert_eq!(eyes.ended(3).await, (Some(200), partial));
        assert_eq!(
            (eyes.black(), eyes.0.0.borrow().sent),
            (vec![7], HEIGHT + 2)
        );
        // Meanwhile the core does its own.
        let samples = server.with(|s| s.samples);
        server.until(|s| s.samples > samples).await;
    };
    let mut fetch = eyes.clone();
    let both = async {
        tokio::select! {
            () = board.power_on_with(BootReason::PowerOn, &mut fetch) => panic!("the board restarted"),
            () = test => {}
        }
    };
    timeout(PATIENCE, both).await.expect("the picture comes");
    let asked = server.with(|s| s.asked.clone());
    let tag = Some("\"a\"".to_owned());
    assert_eq!(asked, [None, tag.clone(), tag]);
}

#[tokio::test]
async fn a_picture_comes_when_it_is_new() {
    shows(plain().await).await;
}

#[tokio::test]
async fn a_picture_comes_when_it_is_new_in_tls() {
    shows(tls().await).await;
}

#[tokio::test]
async fn a_picture_that_hangs_gives_way_to_new_firmware() {
    let (server, mut board) = plain().await;
    let (new, manifest) = image("2.0.0");
    let eyes = Eyes::new();
    server.with(|s| {
        s.picture = (picture(5), "\"a\"".to_owned());
        s.silent_after = Some(20_000);
    });
    let mut fetch = eyes.clone();
    let running = board.power_on_with(BootReason::PowerOn, &mut fetch);
    let offering = async {
        server.until(|s| !s.asked.is_empty()).await;
        server.with(|s| s.firmware = Some((new.clone(), manifest.clone())));
    };
    // Less than a fetch may take: nobody waited for it.
    let patience = Duration::from_secs(30);
    timeout(patience, async { tokio::join!(running, offering) })
        .await
        .expect("the board takes the update");
    assert_eq!(board.selected(), 1);
    let first = eyes.0.0.borrow().ended[0];
    assert_eq!(first, (None, Refresh::None));
    // Not half of a picture was kept for the whole.
    assert_eq!(eyes.black(), Vec::<usize>::new());
}
