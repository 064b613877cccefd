//! One simulated board: the device core and its node bound to a model, a socket, a flash chip and mishaps. One task each.
//!
//! `firmware.rs` starts what is in flash, `node.rs` does what the node decides, `radio.rs` joins the Wi-Fi, `link.rs` waits for what the
//! network brings, `hands.rs` reads the sensors, sets the switches and runs the commands.

mod firmware;
mod hands;
mod link;
mod node;
mod radio;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use espalier_device::node::Node;
use espalier_device::update::BootReason;
use espalier_device::{Config, ConfigError, Core, Input, Method, Output};
use futures_util::SinkExt;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::faults::{Mishap, Plan};
use crate::flash::Pool;
use crate::net::{self, Answer, Target};
use crate::options::{BoardSpec, SimOptions};
use crate::physics::{self, Physics};
use crate::summary::{Counters, Share};
use firmware::Computer;
use link::{Download, Event, Link, Requesting, next_event};
use radio::Radio;

/// Bytes of the offline queue: some minutes of samples, little enough for thousands of boards in one process.
const QUEUE: usize = 8192;
/// Bytes of one frame.
const FRAME: usize = 2048;
/// How long a frame may wait in the socket before the network counts as dead.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

type BoardCore = Core<QUEUE, FRAME>;
/// What the core asked for, copied out of its buffers.
enum Wish {
    Open,
    Close,
    Send(Option<u32>, String),
    Request(Method, String, String),
    Measure,
    Apply(String, String),
    Run(String, String),
    Acked(u32),
    Persist,
    Work,
    Download(String, u32, u32),
    Abandon,
    SelfTest,
    Restart,
}

pub(crate) struct Board {
    spec: BoardSpec,
    config: Config,
    core: Box<BoardCore>,
    node: Box<Node>,
    model: Box<dyn Physics>,
    computer: Computer,
    target: Arc<Target>,
    counters: Arc<Counters>,
    share: Share,
    plan: Plan,
    link: Link,
    request: Option<Requesting>,
    download: Option<Download>,
    radio: Radio,
    /// Whether the network behind the access point lets anything through.
    network: bool,
    /// Whether the core waits for a socket and the board for its Wi-Fi.
    open_waits: bool,
    /// How much faster than usual its radio is: at least 1.
    rate: f64,
    clock_started: Instant,
    clock_offset_ms: i64,
    utc_offset_s: i32,
    download_rate: Option<u32>,
    measured_at: Option<f64>,
    samples: u64,
    /// Frames that wait for an acknowledgement: id, when sent.
    sent: Vec<(u32, Instant)>,
    /// Whether a schedule has switched something that was not measured yet.
    switched: bool,
}

/// Makes the configuration of a board.
pub(crate) fn config(spec: &BoardSpec, options: &SimOptions) -> Result<Config, ConfigError> {
    let scaled = |d: Duration| d.div_f64(options.rate).as_millis().clamp(100, 86_400_000) as u32;
    let config = Config::new(&options.server, &spec.device_id, &spec.token)?
        .with_names(spec.kind.as_str(), spec.kind.chip(), "")?
        .with_updates(options.updates, &options.keys)?
        .with_intervals(scaled(spec.kind.interval()), scaled(Duration::from_secs(4)))?;
    match spec.kind.wakes_every() {
        Some(every) => config.with_sleep(scaled(every)),
        None => Ok(config),
    }
}

impl Board {
    pub(crate) fn new(
        spec: BoardSpec,
        config: Config,
        options: &SimOptions,
        pool: &Pool,
        target: Arc<Target>,
        counters: Arc<Counters>,
    ) -> std::io::Result<Self> {
        let now = Instant::now();
        Ok(Board {
            computer: firmware::computer(&spec, options, pool)?,
            core: Box::new(Core::new(config.clone(), spec.seed)),
            node: node::first(&spec, options),
            model: physics::model(spec.kind, spec.seed),
            plan: Plan::new(spec.seed, options.faults.clone(), spec.outage, now),
            link: Link::None,
            request: None,
            download: None,
            radio: Radio::new(spec.seed, true),
            network: true,
            open_waits: false,
            rate: options.rate.max(1.0),
            clock_started: now,
            clock_offset_ms: 0,
            utc_offset_s: options.utc_offset_s,
            download_rate: options.download_rate,
            measured_at: None,
            samples: 0,
            sent: Vec::new(),
            switched: false,
            share: Share::default(),
            spec,
            config,
            target,
            counters,
        })
    }

    /// Runs the board until it is cancelled.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        self.start(BootReason::PowerOn);
        loop {
            self.drain().await;
            self.publish();
            let wake = self.wake_at();
            let event = tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                event = next_event(&mut self.link, &mut self.request, &mut self.download) => Some(event),
                () = sleep_until(wake) => None,
            };
            match event {
                Some(event) => self.receive(event).await,
                None => self.time_passed(),
            }
        }
        // A board that is switched off says nothing; its socket just ends.
        self.link = Link::None;
        self.counters
            .take_over(&mut self.share, self.core.stats(), 0, false);
    }

    fn publish(&mut self) {
        let core = &self.core;
        self.counters.take_over(
            &mut self.share,
            core.stats(),
            core.queued(),
            core.is_online(),
        );
        let runs = self.runs();
        self.counters.runs(&mut self.share, runs);
    }

    fn wake_at(&self) -> Instant {
        let core = (!self.is_bricked())
            .then(|| Instant::now() + Duration::from_millis(self.core.wake_in_ms()));
        let node = (!self.is_bricked()).then(|| self.node_at());
        let all = [core, node, self.plan.next_at(), self.fate_at()];
        // A board that runs has a core that wants to be stepped.
        all.into_iter().flatten().min().unwrap_or_else(Instant::now)
    }

    /// The board's own clock, which may jump.
    fn clock_ms(&self) -> u64 {
        let ran = u64::try_from(self.clock_started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.chip_ms(ran)
    }

    fn step(&mut self, input: Input<'_>) {
        let now = self.clock_ms();
        self.core.step(now, input);
        self.look();
    }

    fn time_passed(&mut self) {
        if self.is_bricked() {
            // Nothing that happens to it matters any more.
            let _ = self.plan.take(Instant::now());
            return;
        }
        self.hear_radio();
        if self.meet_fate() {
            return;
        }
        match self.plan.take(Instant::now()) {
            None => self.step(Input::Tick),
            Some(Mishap::Cut) => {
                self.network = false;
                self.drop_network();
            }
            Some(Mishap::Restore) => self.network = true,
            Some(Mishap::OutOfReach) => {
                self.radio.set_air(false);
                self.lose_wifi();
            }
            Some(Mishap::InReach) => self.radio.set_air(true),
            Some(Mishap::ClockJump(ms)) => {
                self.clock_offset_ms = self.clock_offset_ms.saturating_add(ms);
                self.step(Input::Tick);
            }
            Some(Mishap::Restart) => {
                self.counters.power_cut();
                self.restart(BootReason::PowerOn);
            }
            Some(Mishap::WeakPower) => self.weaken_power(),
        }
    }

    /// Goes on with what waited for the Wi-Fi.
    fn see_radio(&mut self) {
        if self.is_joined() && std::mem::take(&mut self.open_waits) {
            self.open();
        }
    }

    fn drop_network(&mut self) {
        self.open_waits = false;
        self.sent.clear();
        match std::mem::replace(&mut self.link, Link::None) {
            Link::None => {}
            Link::Opening(_) => self.step(Input::OpenFailed { status: None }),
            Link::Open(_) => self.step(Input::Closed),
        }
        if self.request.take().is_some() {
            self.step(Input::RequestFailed);
        }
        if self.download.take().is_some() {
            self.step(Input::Downloaded {
                status: None,
                retry_after_s: None,
            });
        }
    }

    async fn receive(&mut self, event: Event) {
        match event {
            Event::Opened(Ok(socket)) => {
                self.link = Link::Open(socket);
                self.step(Input::Opened);
            }
            Event::Opened(Err(status)) => {
                self.link = Link::None;
                self.step(Input::OpenFailed { status });
            }
            Event::Text(text) => {
                self.slow_network().await;
                self.step(Input::Frame(&text));
            }
            Event::Closed => {
                self.link = Link::None;
                self.sent.clear();
                self.step(Input::Closed);
            }
            Event::Answered(answer) => {
                self.request = None;
                match answer {
                    Some(Answer {
                        status,
                        body,
                        date,
                        retry_after_s,
                    }) => {
                        self.step(Input::Answer {
                            status,
                            body: &body,
                            date,
                            retry_after_s,
                        });
                    }
                    None => self.step(Input::RequestFailed),
                }
            }
            Event::Bytes(bytes) => {
                self.slow_network().await;
                let computer = &mut self.computer;
                self.core
                    .receive(&bytes, &mut computer.records, &mut computer.flash);
                self.step(Input::Tick);
            }
            Event::Downloaded(status, retry_after_s) => {
                self.download = None;
                self.step(Input::Downloaded {
                    status,
                    retry_after_s,
                });
            }
        }
    }

    async fn slow_network(&mut self) {
        if let Some(delay) = self.plan.delay() {
            tokio::time::sleep(delay).await;
        }
    }

    async fn drain(&mut self) {
        loop {
            self.check_power();
            if self.is_bricked() {
                return;
            }
            let Some(wish) = self.next_wish() else {
                return;
            };
            self.grant(wish).await;
        }
    }

    fn next_wish(&mut self) -> Option<Wish> {
        // What a schedule changes is seen at once, not at the next interval.
        if std::mem::take(&mut self.switched) {
            return Some(Wish::Measure);
        }
        Some(match self.core.poll()? {
            Output::OpenSocket => Wish::Open,
            Output::CloseSocket => Wish::Close,
            Output::Send { id, frame } => Wish::Send(id, frame.to_owned()),
            Output::Request { method, path, body } => {
                Wish::Request(method, path.to_owned(), body.to_owned())
            }
            Output::Measure => Wish::Measure,
            Output::Apply { key, value } => Wish::Apply(key.to_owned(), value.as_str().to_owned()),
            Output::Run { id, name, .. } => Wish::Run(id.to_owned(), name.to_owned()),
            Output::Acked { id, .. } => Wish::Acked(id),
            Output::Persist => Wish::Persist,
            Output::Work => Wish::Work,
            Output::Download { path, from, len } => Wish::Download(path.to_owned(), from, len),
            Output::Abandon => Wish::Abandon,
            Output::SelfTest => Wish::SelfTest,
            Output::Restart => Wish::Restart,
        })
    }

    async fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Open => self.open(),
            Wish::Close => {
                self.open_waits = false;
                self.sent.clear();
                self.link = Link::None;
            }
            Wish::Send(id, frame) => self.send(id, frame).await,
            Wish::Request(method, path, body) => self.ask(method, path, body),
            Wish::Measure => self.measure(),
            Wish::Apply(key, value) => self.apply(&key, &value),
            Wish::Run(id, name) => self.command(&id, &name),
            Wish::Acked(id) => {
                if let Some(at) = self.sent.iter().position(|(sent, _)| *sent == id) {
                    self.counters
                        .acked_after(self.sent.swap_remove(at).1.elapsed());
                }
            }
            Wish::Persist => self.core.persist(&mut self.computer.records),
            Wish::Work => {
                let computer = &mut self.computer;
                self.core.work(&mut computer.records, &mut computer.flash);
            }
            Wish::Download(path, from, len) => self.fetch(path, from, len),
            Wish::Abandon => (self.request, self.download) = (None, None),
            Wish::SelfTest => self.self_test(),
            Wish::Restart => {
                self.core.persist(&mut self.computer.records);
                self.restart(BootReason::Restart);
            }
        }
    }

    const fn is_joined(&self) -> bool {
        self.node.wifi().is_online()
    }

    const fn is_connected(&self) -> bool {
        self.network && self.is_joined()
    }

    fn fetch(&mut self, path: String, from: u32, len: u32) {
        self.download = Some(if self.is_connected() {
            Download::Opening(Box::pin(net::download(
                Arc::clone(&self.target),
                self.spec.token.clone(),
                path,
                (from, len),
                self.download_rate,
            )))
        } else {
            Download::Opening(Box::pin(std::future::ready(None)))
        });
    }

    fn open(&mut self) {
        self.link = Link::Opening(if self.is_connected() {
            Box::pin(net::open_socket(
                Arc::clone(&self.target),
                self.spec.token.clone(),
            ))
        } else if self.is_joined() {
            Box::pin(std::future::ready(Err(None)))
        } else {
            // The core has its own patience for a board that finds no network.
            self.open_waits = true;
            Box::pin(std::future::pending())
        });
    }

    fn ask(&mut self, method: Method, path: String, body: String) {
        self.request = Some(if self.is_connected() {
            Box::pin(net::request(
                Arc::clone(&self.target),
                self.spec.token.clone(),
                method,
                path,
                body,
            ))
        } else {
            Box::pin(std::future::ready(None))
        });
    }

    async fn send(&mut self, id: Option<u32>, frame: String) {
        self.slow_network().await;
        let Link::Open(socket) = &mut self.link else {
            return;
        };
        if let Some(id) = id {
            self.sent.push((id, Instant::now()));
            self.counters.sent(points_in(&frame));
        }
        let sent = timeout(SEND_TIMEOUT, socket.send(Message::text(frame))).await;
        if !matches!(sent, Ok(Ok(()))) {
            self.drop_network();
        }
    }
}

/// Counts the values in a telemetry frame.
fn points_in(frame: &str) -> u64 {
    use espalier_wire::device::Up;
    let Ok(Up::Telemetry { telemetry, .. }) = Up::parse(frame) else {
        return 0;
    };
    telemetry
        .samples()
        .filter_map(|s| s.data.members())
        .map(|members| members.count() as u64)
        .sum()
}
