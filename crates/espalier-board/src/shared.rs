//! What the three futures of the driver share: the core with its flash, wishes and doorbells. No I/O.
//!
//! All of it is borrowed for the length of a call and never over an `await`.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_sync::waitqueue::WakerRegistration;
use embassy_time::Instant;
use embedded_storage::nor_flash::NorFlash;
use espalier_device::config::{MAX_TOKEN, MAX_URL};
use espalier_device::{Config, Core, Endpoint, Input, Method, Storage};
use heapless::String;
use rand_core::{CryptoRng, RngCore};

use crate::error::NetError;
use crate::tls::{Now, Trust};

/// What wakes the one task that polls all futures of the driver. Conditions are looked at again whenever it is polled, so that no
/// ring can be heard by the wrong one.
#[derive(Debug, Default)]
pub(crate) struct Bell(RefCell<WakerRegistration>);

impl Bell {
    /// Lets everybody look again.
    pub fn ring(&self) {
        self.0.borrow_mut().wake();
    }

    /// Waits until a condition holds.
    pub async fn until(&self, mut condition: impl FnMut() -> bool) {
        poll_fn(|cx| {
            if condition() {
                return Poll::Ready(());
            }
            self.0.borrow_mut().register(cx.waker());
            Poll::Pending
        })
        .await;
    }
}

/// Longest path of a request, in bytes: what the core makes at most.
pub const MAX_PATH: usize = 192;

/// The core and what it writes to.
pub(crate) struct Node<'a, S, F, const QUEUE: usize, const FRAME: usize> {
    pub core: &'a mut Core<QUEUE, FRAME>,
    pub storage: &'a mut S,
    pub flash: &'a mut F,
}

/// What the exchange shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request(Method),
    Download { from: u32, len: u32 },
}

/// A request or download with its texts.
#[derive(Debug, Default)]
pub(crate) struct Job<const FRAME: usize> {
    pub kind: Option<Kind>,
    pub path: String<MAX_PATH>,
    pub body: String<FRAME>,
}

/// The frame that waits for the socket.
#[derive(Debug)]
pub(crate) struct Outbox<'a> {
    pub bytes: &'a mut [u8],
    /// Bytes of the text, which begins after the room for its header.
    pub len: usize,
}

pub(crate) struct Shared<'a, S, F, R, const QUEUE: usize, const FRAME: usize> {
    pub node: RefCell<Node<'a, S, F, QUEUE, FRAME>>,
    pub rng: RefCell<&'a mut R>,
    pub target: Target,
    pub trust: &'a Trust<'a>,
    /// Rung after every change of what follows.
    pub bell: Bell,
    /// Whether the core has heard something: the main loop shall look.
    pub heard: Cell<bool>,
    /// Whether the core wanted nothing more when it was asked last, and has heard nothing since.
    pub settled: Cell<bool>,
    /// Whether the link shall be there. Cleared by the main loop, and by the link when it breaks.
    pub link_wanted: Cell<bool>,
    /// Whether the link has no connection.
    pub link_idle: Cell<bool>,
    /// Held by the link while it writes the frame.
    pub outbox: Mutex<NoopRawMutex, Outbox<'a>>,
    pub outbox_full: Cell<bool>,
    /// Held by the exchange while it works on the job.
    pub job: Mutex<NoopRawMutex, Job<FRAME>>,
    pub job_waits: Cell<bool>,
    /// Whether the job that is on its way was given up.
    pub abandon: Cell<bool>,
    pub exchange_idle: Cell<bool>,
    /// What went wrong last, for the log.
    pub trouble: Cell<Option<NetError>>,
    /// Whether the log has heard that something was too large for a buffer.
    pub said_too_large: Cell<bool>,
}

impl<'a, S, F, R, const QUEUE: usize, const FRAME: usize> Shared<'a, S, F, R, QUEUE, FRAME> {
    /// Nothing is on its way, and nobody has heard anything.
    pub fn new(
        node: Node<'a, S, F, QUEUE, FRAME>,
        rng: &'a mut R,
        target: Target,
        trust: &'a Trust<'a>,
        out: &'a mut [u8],
    ) -> Self {
        Shared {
            node: RefCell::new(node),
            rng: RefCell::new(rng),
            target,
            trust,
            bell: Bell::default(),
            heard: Cell::new(false),
            settled: Cell::new(true),
            link_wanted: Cell::new(false),
            link_idle: Cell::new(true),
            outbox: Mutex::new(Outbox { bytes: out, len: 0 }),
            outbox_full: Cell::new(false),
            job: Mutex::new(Job::default()),
            job_waits: Cell::new(false),
            abandon: Cell::new(false),
            exchange_idle: Cell::new(true),
            trouble: Cell::new(None),
            said_too_large: Cell::new(false),
        }
    }
}

impl<'a, S: Storage, F: NorFlash, R: RngCore + CryptoRng, const QUEUE: usize, const FRAME: usize>
    Shared<'a, S, F, R, QUEUE, FRAME>
{
    /// Tells the core something and lets the main loop look. What comes next must wait until it has: [`Shared::is_settled`].
    pub fn tell(&self, input: Input<'_>) {
        self.settled.set(false);
        self.node.borrow_mut().core.step(now_ms(), input);
        self.set(&self.heard, true);
    }

    /// Notes that something was too large for a buffer: a line in the log once, because the server may send it again and again.
    pub fn too_large(&self) {
        if !self.said_too_large.replace(true) {
            self.trouble.set(Some(NetError::TooLarge));
        }
    }

    /// Hands bytes of a download to the core.
    pub fn receive(&self, bytes: &[u8]) {
        let mut node = self.node.borrow_mut();
        let Node {
            core,
            storage,
            flash,
        } = &mut *node;
        core.receive(bytes, *storage, *flash);
        drop(node);
        self.tell(Input::Tick);
    }

    /// Changes something and lets everybody look.
    pub fn set(&self, what: &Cell<bool>, value: bool) {
        what.set(value);
        self.bell.ring();
    }

    /// Whether the main loop has granted every wish that followed from what the core heard.
    pub const fn is_settled(&self) -> bool {
        self.settled.get()
    }

    /// Returns what is known of the time.
    pub fn now(&self) -> Now {
        let told = self.node.borrow().core.wall_ms();
        match told.and_then(|ms| u64::try_from(ms / 1000).ok()) {
            Some(told) => Now::Known(told),
            None => Now::AtLeast(self.trust.floor),
        }
    }

    pub const fn rng(&self) -> SharedRng<'_, 'a, R> {
        SharedRng(&self.rng)
    }
}

/// Returns milliseconds since the start.
pub(crate) fn now_ms() -> u64 {
    Instant::now().as_millis()
}

/// Where the server is and who asks.
pub(crate) struct Target {
    url: String<MAX_URL>,
    pub token: String<MAX_TOKEN>,
}

impl Target {
    pub fn new(config: &Config) -> Self {
        Target {
            url: String::try_from(config.server()).unwrap_or_default(),
            token: String::try_from(config.token()).unwrap_or_default(),
        }
    }

    /// Returns the parts of the server's URL, which the configuration has checked.
    pub fn endpoint(&self) -> Option<Endpoint<'_>> {
        Endpoint::parse(&self.url).ok()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The generator of random numbers, for the length of a call.
pub(crate) struct SharedRng<'s, 'r, R>(&'s RefCell<&'r mut R>);

impl<R: RngCore> RngCore for SharedRng<'_, '_, R> {
    fn next_u32(&mut self) -> u32 {
        self.0.borrow_mut().next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.borrow_mut().next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.borrow_mut().fill_bytes(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.borrow_mut().try_fill_bytes(bytes)
    }
}

impl<R: CryptoRng> CryptoRng for SharedRng<'_, '_, R> {}
