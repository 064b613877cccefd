//! The picture of the display: asks for it, passes its rows on as they come, and lets the display refresh. When a picture is due and
//! which rows differ is in `espalier_device::parts`; how it is fetched is the driver's.

use core::cell::{Cell, RefCell};

use embassy_futures::select::{Either3, select3};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Timer};
use esp_hal::peripherals::SPI2;
use esp_println::println;
use espalier_board::{Fetch, Wanted};
use espalier_device::parts::eink::{NoDisplay, PAUSE, RESUME, Refresh, START, refresh_steps};
use espalier_device::parts::health::Sensor;
use espalier_device::parts::screen::{Action, Screen};
use heapless::String;
use static_cell::StaticCell;

use crate::desk::{Desk, now_ms};
use crate::panel::{Panel, take};

/// How long a display that does not answer is left alone.
const LEAVE_ALONE: Duration = Duration::from_secs(60);
/// Longest time until it is noticed that the network has come or gone, in milliseconds.
const NOTICE_MS: u64 = 1_000;

/// What the task and the fetch share.
pub struct Picture {
    screen: RefCell<Screen>,
    panel: RefCell<Panel>,
    /// What is to be fetched.
    wanted: Signal<NoopRawMutex, Wanted>,
    /// What is to be refreshed after a fetch.
    ended: Signal<NoopRawMutex, Refresh>,
    /// Whether what is fetched is still waited for.
    open: Cell<bool>,
    /// Whether the voltages of the display are on.
    powered: Cell<bool>,
}

impl Picture {
    /// Makes the picture of a board that knows its server, when its profile has a display and it is not in safe mode.
    pub fn new(desk: &Desk, bus: SPI2<'static>, seed: u64) -> Option<&'static Self> {
        static PICTURE: StaticCell<Picture> = StaticCell::new();
        let mut station = desk.station.borrow_mut();
        if station.node().is_safe() || !station.settings().has_identity() {
            return None;
        }
        let panel = Panel::new(&desk.profile, bus)?;
        let screen = Screen::new(station.settings().device(), seed);
        Some(PICTURE.init_with(|| Picture {
            screen: RefCell::new(screen),
            panel: RefCell::new(panel),
            wanted: Signal::new(),
            ended: Signal::new(),
            open: Cell::new(false),
            powered: Cell::new(false),
        }))
    }

    /// Begins with a display that knows nothing.
    async fn start(&self) -> Result<(), NoDisplay> {
        self.screen.borrow_mut().forget();
        take(&self.panel, &START).await?;
        take(&self.panel, &PAUSE).await
    }

    async fn power(&self) -> Result<(), NoDisplay> {
        if !self.powered.replace(true) {
            take(&self.panel, &RESUME).await?;
        }
        Ok(())
    }

    /// Ends a picture; says whether the display had anything to do with it.
    async fn finish(&self, refresh: Refresh) -> Result<bool, NoDisplay> {
        if !self.powered.get() {
            return Ok(false);
        }
        take(&self.panel, &refresh_steps(refresh)).await?;
        take(&self.panel, &PAUSE).await?;
        self.powered.set(false);
        Ok(true)
    }

    /// Does what the screen wants now; says whether a picture was given up.
    fn step(&self, online: bool) -> bool {
        let now = now_ms();
        let mut screen = self.screen.borrow_mut();
        screen.step(now, online);
        match screen.poll(now) {
            Some(Action::Fetch {
                path,
                if_none_match,
            }) => self.wanted.signal(Wanted {
                path: String::try_from(path).unwrap_or_default(),
                if_none_match: String::try_from(if_none_match.unwrap_or_default())
                    .unwrap_or_default(),
            }),
            Some(Action::Abandon) => {
                self.wanted.reset();
                self.open.set(false);
                return true;
            }
            None => {}
        }
        false
    }

    async fn live(&self, desk: &Desk) -> Result<(), NoDisplay> {
        self.start().await?;
        desk.used(Sensor::Display, true);
        loop {
            if self.step(desk.address.get().is_some()) {
                self.finish(Refresh::None).await?;
            }
            let rest = self.screen.borrow().due().saturating_sub(now_ms());
            let rest = Timer::after_millis(rest.clamp(1, NOTICE_MS));
            match select3(self.ended.wait(), desk.page.wait(), rest).await {
                Either3::First(refresh) => {
                    if self.finish(refresh).await? {
                        desk.used(Sensor::Display, true);
                    }
                }
                Either3::Second(()) => self.screen.borrow_mut().hurry(now_ms()),
                Either3::Third(()) => {}
            }
        }
    }
}

/// Keeps the display up to date.
#[embassy_executor::task]
pub async fn show(desk: &'static Desk, picture: &'static Picture) {
    loop {
        let Err(error) = picture.live(desk).await else {
            continue;
        };
        println!("espalier: {error}");
        desk.used(Sensor::Display, false);
        picture.powered.set(false);
        Timer::after(LEAVE_ALONE).await;
    }
}

/// The picture as the driver fetches it; nothing on a board without display.
pub struct Eyes(pub Option<&'static Picture>);

impl Fetch for Eyes {
    async fn wanted(&mut self) -> Wanted {
        let Some(picture) = self.0 else {
            return core::future::pending().await;
        };
        let wanted = picture.wanted.wait().await;
        picture.open.set(true);
        wanted
    }

    async fn receive(&mut self, bytes: &[u8]) {
        let Some(picture) = self.0.filter(|picture| picture.open.get()) else {
            return;
        };
        // Only a picture that is new comes this far, so that the voltages stay off most of the time.
        if picture.power().await.is_err() {
            picture.open.set(false);
            return;
        }
        let panel = &mut *picture.panel.borrow_mut();
        let mut screen = picture.screen.borrow_mut();
        screen.receive(bytes, |y, pixels| panel.send_row(y, pixels));
    }

    fn ended(&mut self, status: Option<u16>, etag: Option<&str>) {
        if let Some(picture) = self.0
            && picture.open.replace(false)
        {
            let mut screen = picture.screen.borrow_mut();
            picture.ended.signal(screen.ended(now_ms(), status, etag));
        }
    }
}
