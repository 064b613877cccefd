//! The main loop: takes what the core wants one by one and sees that it is done. Start reading here.
//!
//! The core is not stepped while a wish is granted, so none of its time-outs can help then: whatever this loop waits for has a
//! bound of its own.

use embassy_futures::select::{Either3, select3};
use embassy_futures::yield_now;
use embassy_time::{Duration, Instant, Timer, with_timeout};
use embedded_nal_async::{Dns, TcpConnect};
use embedded_storage::nor_flash::NorFlash;
use espalier_device::commands::{MAX_COMMAND_ID, MAX_COMMAND_JSON, MAX_COMMAND_NAME};
use espalier_device::node::View;
use espalier_device::state::{MAX_LONG_VALUE, MAX_SWITCH_KEY};
use espalier_device::{Core, Input, Led, Output, Storage};
use espalier_wire::json::Json;
use espalier_wire::limits::MAX_DOWN_BYTES;
use heapless::String;
use rand_core::{CryptoRng, RngCore};

use crate::buffers::{BESIDE_MESSAGE, Buffers, FRAME_HEADER};
use crate::error::NetError;
use crate::fetch::{Fetch, FetchNothing};
use crate::hardware::{Done, HARDWARE_TIMEOUT, Happening, Hardware, Sample};
use crate::shared::{Job, Kind, Node, Shared, Target, now_ms};
use crate::tls::Trust;
use crate::{exchange, link};

/// Longest time between two signs of life to the hardware while nothing is to be done: what is done in between has the rest of
/// the five seconds.
const ALIVE_EVERY: Duration = Duration::from_secs(4);
/// How many times [`ALIVE_EVERY`] a frame may wait for the link to send it. A link gives up earlier by itself, unless it is slow in
/// both directions at once.
const OUTBOX_PATIENCE: u32 = 5;
/// How long sensors are left alone that did not come to an end, so that they do not take all of the time.
const SENSORS_REST: Duration = Duration::from_secs(60);
/// How long the last frame may take to leave before a restart.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Everything a board gives to [`run`]. The core has been started: `restore`, `booted`, switches declared.
pub struct Board<'a, N, H, S, F, R, const QUEUE: usize, const FRAME: usize> {
    /// The core.
    pub core: &'a mut Core<QUEUE, FRAME>,
    /// The network.
    pub net: &'a N,
    /// Sensors and switches.
    pub hardware: &'a mut H,
    /// What survives a restart.
    pub storage: &'a mut S,
    /// The flash with the slots.
    pub flash: &'a mut F,
    /// A generator for keys and masks, seeded by the chip.
    pub rng: &'a mut R,
    /// Who is believed.
    pub trust: &'a Trust<'a>,
}

/// What the core wants, copied out of its buffers.
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time lives on the stack, and there is no allocator to box it"
)]
enum Wish {
    Open,
    Close,
    Exchange,
    Abandon,
    Measure,
    Apply(String<MAX_SWITCH_KEY>, String<MAX_LONG_VALUE>),
    Run(
        String<MAX_COMMAND_ID>,
        String<MAX_COMMAND_NAME>,
        String<MAX_COMMAND_JSON>,
    ),
    SelfTest,
    Restart,
    /// Done in passing, but it took its time: the others go on first.
    Breathe,
    /// Done in passing.
    Nothing,
}

/// Runs a board until it is to restart: when the core chooses another image, or a command asks for it. Samples and switches are
/// stored by then.
pub async fn run<
    N,
    H,
    S,
    F,
    R,
    const QUEUE: usize,
    const FRAME: usize,
    const RECORD_IN: usize,
    const RECORD_OUT: usize,
    const MESSAGE: usize,
    const OUT: usize,
    const ANSWER: usize,
>(
    board: Board<'_, N, H, S, F, R, QUEUE, FRAME>,
    buffers: &mut Buffers<RECORD_IN, RECORD_OUT, MESSAGE, OUT, ANSWER>,
) where
    N: TcpConnect + Dns,
    H: Hardware,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
{
    run_with(board, buffers, &mut FetchNothing).await;
}

/// Does what [`run`] does, and fetches what else the board wants while the core has nothing on its way.
pub async fn run_with<
    N,
    H,
    S,
    F,
    R,
    W,
    const QUEUE: usize,
    const FRAME: usize,
    const RECORD_IN: usize,
    const RECORD_OUT: usize,
    const MESSAGE: usize,
    const OUT: usize,
    const ANSWER: usize,
>(
    board: Board<'_, N, H, S, F, R, QUEUE, FRAME>,
    buffers: &mut Buffers<RECORD_IN, RECORD_OUT, MESSAGE, OUT, ANSWER>,
    fetch: &mut W,
) where
    N: TcpConnect + Dns,
    H: Hardware,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
    W: Fetch,
{
    const {
        assert!(
            OUT >= FRAME + FRAME_HEADER,
            "OUT must hold a frame of the core and its header"
        );
        assert!(
            MESSAGE >= MAX_DOWN_BYTES + BESIDE_MESSAGE && ANSWER >= MAX_DOWN_BYTES,
            "MESSAGE and ANSWER must hold what a server sends at once"
        );
    }
    let Buffers {
        link: link_records,
        exchange: exchange_records,
        message,
        out,
        answer,
    } = buffers;
    let target = Target::new(board.core.config());
    let node = Node {
        core: board.core,
        storage: board.storage,
        flash: board.flash,
    };
    let shared = Shared::new(node, board.rng, target, board.trust, out);
    let mut main = Main {
        shared: &shared,
        hardware: board.hardware,
        next: Job::default(),
        led: None,
        sensors_rest: None,
    };
    // The first to end is the main loop: the other two have no end.
    select3(
        main.run(),
        link::keep(board.net, link_records.slices(), message, &shared),
        exchange::work(board.net, exchange_records.slices(), answer, fetch, &shared),
    )
    .await;
}

struct Main<'s, 'a, H, S, F, R, const QUEUE: usize, const FRAME: usize> {
    shared: &'s Shared<'a, S, F, R, QUEUE, FRAME>,
    hardware: &'s mut H,
    /// The job that the exchange gets next.
    next: Job<FRAME>,
    led: Option<Led>,
    /// Until when the sensors are left alone.
    sensors_rest: Option<Instant>,
}

impl<H, S, F, R, const QUEUE: usize, const FRAME: usize> Main<'_, '_, H, S, F, R, QUEUE, FRAME>
where
    H: Hardware,
    S: Storage,
    F: NorFlash,
    R: RngCore + CryptoRng,
{
    async fn run(&mut self) {
        self.step(Input::Tick);
        loop {
            if self.drain().await {
                return self.farewell().await;
            }
            self.show();
            let wake = self.shared.node.borrow().core.wake_in_ms();
            let sleep = Duration::from_millis(wake).min(ALIVE_EVERY);
            let shared = self.shared;
            let heard = shared.bell.until(|| shared.heard.replace(false));
            match select3(heard, Timer::after(sleep), self.hardware.happens()).await {
                Either3::First(()) => {}
                Either3::Second(()) => self.step(Input::Tick),
                Either3::Third(Happening::Switch(key, value)) => {
                    self.step(Input::LocalChange { key, value });
                }
                Either3::Third(Happening::AskForUpdate) => {
                    self.shared.node.borrow_mut().core.ask_for_update();
                    self.step(Input::Tick);
                }
            }
        }
    }

    fn step(&self, input: Input<'_>) {
        self.shared.node.borrow_mut().core.step(now_ms(), input);
    }

    /// Shows how things are to people and to the watchdog.
    fn show(&mut self) {
        self.hardware.alive();
        let view = {
            let core = &self.shared.node.borrow().core;
            View {
                led: core.led(),
                wall_ms: core.wall_ms(),
                update: core.update_state(),
            }
        };
        self.hardware.look(view);
        let led = view.led;
        if self.led.replace(led) != Some(led) {
            self.hardware.led(led);
        }
        if let Some(error) = self.shared.trouble.take() {
            self.hardware.log(error);
        }
    }

    /// Grants every wish; says whether the board is to restart.
    async fn drain(&mut self) -> bool {
        loop {
            // A wish may be a frame, which needs the outbox.
            self.outbox_free().await;
            self.hardware.alive();
            match self.next_wish() {
                None => {
                    self.shared.set(&self.shared.settled, true);
                    return false;
                }
                Some(Wish::Restart) => return true,
                Some(wish) => self.grant(wish).await,
            }
        }
    }

    /// Waits until the last frame has left, or its link is gone. A link that does not get rid of it is given up.
    async fn outbox_free(&mut self) {
        let shared = self.shared;
        let free = || !shared.outbox_full.get() || !shared.link_wanted.get();
        for _ in 0..OUTBOX_PATIENCE {
            let leaving = with_timeout(ALIVE_EVERY, shared.bell.until(free));
            if leaving.await.is_ok() {
                return;
            }
            self.hardware.alive();
        }
        shared.trouble.set(Some(NetError::TimedOut));
        self.close_link().await;
        self.step(Input::Closed);
    }

    async fn farewell(&mut self) {
        // Whoever asked for the restart should hear that it was understood.
        let _ = with_timeout(LAST_WORDS, self.outbox_free()).await;
        let node = &mut *self.shared.node.borrow_mut();
        node.core.persist(node.storage);
    }

    fn next_wish(&mut self) -> Option<Wish> {
        let shared = self.shared;
        let node = &mut *shared.node.borrow_mut();
        Some(match node.core.poll()? {
            Output::OpenSocket => Wish::Open,
            Output::CloseSocket => Wish::Close,
            Output::Send { frame, .. } => {
                if !shared.link_wanted.get() {
                    return Some(Wish::Nothing);
                }
                // Nobody holds an empty outbox.
                let Ok(mut outbox) = shared.outbox.try_lock() else {
                    return Some(Wish::Nothing);
                };
                let room = outbox.bytes.get_mut(FRAME_HEADER..).unwrap_or_default();
                if let Some(room) = room.get_mut(..frame.len()) {
                    room.copy_from_slice(frame.as_bytes());
                    outbox.len = frame.len();
                    shared.set(&shared.outbox_full, true);
                }
                Wish::Nothing
            }
            Output::Request { method, path, body } => {
                self.next = Job {
                    kind: Some(Kind::Request(method)),
                    path: copy(path),
                    body: copy(body),
                };
                Wish::Exchange
            }
            Output::Download { path, from, len } => {
                self.next.kind = Some(Kind::Download { from, len });
                self.next.path = copy(path);
                self.next.body.clear();
                Wish::Exchange
            }
            Output::Abandon => Wish::Abandon,
            Output::Measure => Wish::Measure,
            Output::Apply { key, value } => Wish::Apply(copy(key), copy(value.as_str())),
            Output::Run { id, name, params } => {
                Wish::Run(copy(id), copy(name), copy(params.as_str()))
            }
            Output::Acked { .. } => Wish::Nothing,
            Output::Persist => {
                node.core.persist(node.storage);
                Wish::Nothing
            }
            Output::Work => {
                node.core.work(node.storage, node.flash);
                node.core.step(now_ms(), Input::Tick);
                Wish::Breathe
            }
            Output::SelfTest => Wish::SelfTest,
            Output::Restart => Wish::Restart,
        })
    }

    async fn grant(&mut self, wish: Wish) {
        let shared = self.shared;
        match wish {
            Wish::Open => {
                self.close_link().await;
                shared.link_idle.set(false);
                shared.set(&shared.link_wanted, true);
            }
            Wish::Close => self.close_link().await,
            Wish::Exchange => {
                self.stop_exchange().await;
                // The exchange lets go of its job when it ends.
                core::mem::swap(&mut *shared.job.lock().await, &mut self.next);
                shared.exchange_idle.set(false);
                shared.set(&shared.job_waits, true);
            }
            Wish::Abandon => self.stop_exchange().await,
            Wish::Measure => {
                self.measure().await;
            }
            Wish::Apply(key, value) => {
                let ok = match Json::parse(&value) {
                    Ok(value) => {
                        let applying = self.hardware.apply(&key, value);
                        with_timeout(HARDWARE_TIMEOUT, applying)
                            .await
                            .unwrap_or(false)
                    }
                    Err(_) => false,
                };
                match self.hardware.refusal().filter(|_| !ok) {
                    Some(why) => self.step(Input::Refused {
                        key: &key,
                        why: &why,
                    }),
                    None => self.step(Input::Applied { key: &key, ok }),
                }
                if ok {
                    // What the switch changes is seen at once, not at the next interval.
                    self.measure_now().await;
                }
            }
            Wish::Run(id, name, params) => self.command(&id, &name, &params).await,
            Wish::SelfTest => {
                let testing = self.hardware.self_test();
                let ok = with_timeout(HARDWARE_TIMEOUT, testing)
                    .await
                    .unwrap_or(false);
                self.step(Input::SelfTested { ok });
            }
            Wish::Breathe => yield_now().await,
            Wish::Restart | Wish::Nothing => {}
        }
    }

    /// Ends the link, which lets go at once. Nobody is told that the board is alive while it does not.
    async fn close_link(&self) {
        let shared = self.shared;
        shared.set(&shared.link_wanted, false);
        shared.bell.until(|| shared.link_idle.get()).await;
        shared.outbox_full.set(false);
    }

    /// Ends the exchange in the same way.
    async fn stop_exchange(&self) {
        let shared = self.shared;
        shared.set(&shared.abandon, true);
        shared.bell.until(|| shared.exchange_idle.get()).await;
        shared.abandon.set(false);
    }

    /// Measures for somebody who has waited already.
    async fn measure_now(&mut self) -> bool {
        self.hardware.alive();
        self.measure().await
    }

    /// Measures, and says whether there was anything.
    async fn measure(&mut self) -> bool {
        let mut sample = Sample::default();
        if self
            .sensors_rest
            .is_none_or(|until| Instant::now() >= until)
        {
            // What has been measured by then counts.
            let measuring = self.hardware.measure(&mut sample);
            let hung = with_timeout(HARDWARE_TIMEOUT, measuring).await.is_err();
            self.sensors_rest = hung.then(|| Instant::now() + SENSORS_REST);
        }
        let vitals = self.hardware.vitals();
        self.step(Input::Vitals {
            heap_free: vitals.heap_free,
            rssi: vitals.rssi,
        });
        let any = !sample.0.is_empty();
        if any {
            self.step(Input::Sample(&sample.0));
        }
        any
    }

    async fn command(&mut self, id: &str, name: &str, params: &str) {
        let done = match Json::parse(params) {
            Ok(params) => with_timeout(HARDWARE_TIMEOUT, self.hardware.run(name, params))
                .await
                .unwrap_or(Done::Failed("the hardware did not come to an end in time")),
            Err(_) => Done::Failed("the parameters are longer than the board can hold"),
        };
        let outcome = match done {
            Done::Ok => Ok(None),
            Done::Value(value) => Ok(Some(value)),
            Done::Failed(why) => Err(why),
            Done::Measure if self.measure_now().await => Ok(None),
            Done::Measure => Err("this board measures nothing now: no sensor answers"),
            Done::Restart => {
                self.shared.node.borrow_mut().core.want_restart();
                Ok(None)
            }
        };
        self.step(Input::CommandDone { id, outcome });
    }
}

/// Copies a text whose bound is that of the core; one that does not fit becomes empty.
fn copy<const N: usize>(text: &str) -> String<N> {
    String::try_from(text).unwrap_or_default()
}
