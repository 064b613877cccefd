//! The orders of the station for its radio: does one after the other, tells what came of each, and notices when the network is
//! lost. It decides nothing: which network, when, and whether there is a portal, is the station's.

use core::future::Future;

use embassy_futures::select::{Either, Either3, select, select3};
use embassy_time::{Duration, Timer, with_timeout};
use embedded_storage::nor_flash::NorFlash;
use espalier_device::node::StationInput;
use espalier_device::safe::Task;
use espalier_device::settings::Network;
use espalier_device::setup::{JOIN_TIMEOUT_MS, SCAN_TIMEOUT_MS, Seen};

use crate::desk::Desk;

/// How long a scan may take.
const SCAN_TIMEOUT: Duration = Duration::from_millis(SCAN_TIMEOUT_MS);
/// How long a network may take to let the board in.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(JOIN_TIMEOUT_MS);
/// How long the network may take to give an address.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(15);
/// How long leaving a network may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often the signal strength is read, and how often a radio without orders shows that it is alive.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What the radio is asked for.
#[derive(Debug)]
pub enum Order {
    /// Look for networks.
    Scan,
    /// Join a network.
    Join(Network),
    /// Drop the network or the attempt.
    Disconnect,
    /// Open the board's own network.
    OpenPortal,
    /// Close it.
    ClosePortal,
}

/// The radio of a chip. Whatever waits may be dropped and asked for something else.
pub trait Air {
    /// Looks for networks and tells which there are; says whether it could.
    async fn scan(&mut self, tell: impl FnOnce(&[Seen<'_>])) -> bool;

    /// Joins a network.
    ///
    /// # Errors
    /// Says whether the network is there and refuses the password.
    async fn connect(&mut self, network: &Network) -> Result<(), bool>;

    /// Waits until the network has given the board an address.
    async fn address(&mut self) -> [u8; 4];

    /// Leaves the network, if there is one, and waits until its address is gone.
    async fn disconnect(&mut self);

    /// Waits until the network is lost.
    async fn lost(&mut self);

    /// Opens or closes the board's own network, which interrupts the station; says whether the radio took it.
    fn portal(&mut self, open: bool) -> bool;

    /// Returns the signal strength in dBm.
    fn rssi(&mut self) -> Option<i32>;
}

/// How something ended that the station may have changed its mind about.
enum End<T> {
    Done(T),
    Instead(Order),
}

/// Waits for something for a while, unless the station wants something else. A scan must wait for its turn.
async fn unless<F: NorFlash, T>(
    desk: &Desk<F>,
    most: Duration,
    work: impl Future<Output = T>,
) -> End<Option<T>> {
    desk.alive(Task::Radio);
    let other = async {
        loop {
            match desk.radio.receive().await {
                Order::Scan => desk.tell(StationInput::ScanFailed),
                order => return order,
            }
        }
    };
    match select(with_timeout(most, work), other).await {
        Either::First(done) => End::Done(done.ok()),
        Either::Second(order) => End::Instead(order),
    }
}

/// Runs for ever.
pub async fn serve<F: NorFlash>(desk: &Desk<F>, air: impl Air) -> ! {
    let mut radio = Radio {
        desk,
        air,
        online: false,
    };
    let mut next = None;
    loop {
        let order = match next.take() {
            Some(order) => order,
            None => radio.wait().await,
        };
        desk.alive(Task::Radio);
        next = radio.obey(order).await;
    }
}

struct Radio<'d, F, A> {
    desk: &'d Desk<F>,
    air: A,
    online: bool,
}

impl<F: NorFlash, A: Air> Radio<'_, F, A> {
    /// Waits for an order; meanwhile it watches whether the network is lost.
    async fn wait(&mut self) -> Order {
        loop {
            self.desk.alive(Task::Radio);
            let order = self.desk.radio.receive();
            let rest = Timer::after(LOOK_EVERY);
            if !self.online {
                match select(order, rest).await {
                    Either::First(order) => return order,
                    Either::Second(()) => continue,
                }
            }
            self.desk.rssi.set(self.air.rssi());
            match select3(order, self.air.lost(), rest).await {
                Either3::First(order) => return order,
                Either3::Second(()) => {
                    self.leave().await;
                    self.desk.say(format_args!("the network is lost"));
                    self.desk.tell(StationInput::Lost);
                }
                Either3::Third(()) => {}
            }
        }
    }

    fn offline(&mut self) {
        self.online = false;
        self.desk.rssi.set(None);
        self.desk.address.set(None);
    }

    /// Does what is wanted; returns what is wanted instead when the station has changed its mind.
    async fn obey(&mut self, order: Order) -> Option<Order> {
        match order {
            Order::Scan => return self.scan().await,
            Order::Join(network) => return self.join(&network).await,
            Order::Disconnect => self.leave().await,
            Order::OpenPortal => self.portal(true),
            Order::ClosePortal => self.portal(false),
        }
        None
    }

    async fn scan(&mut self) -> Option<Order> {
        let desk = self.desk;
        let scan = self.air.scan(|seen| desk.tell(StationInput::Scanned(seen)));
        let (done, order) = match unless(desk, SCAN_TIMEOUT, scan).await {
            End::Done(done) => (done == Some(true), None),
            End::Instead(order) => (false, Some(order)),
        };
        if !done {
            desk.tell(StationInput::ScanFailed);
        }
        order
    }

    /// Joins a network and waits for an address.
    async fn join(&mut self, network: &Network) -> Option<Order> {
        let ssid = network.ssid();
        let refused = match self.associate(network).await {
            End::Done(Ok(address)) => {
                self.online = true;
                self.desk.address.set(Some(address));
                self.desk.tell(StationInput::Joined { ssid, address });
                return None;
            }
            End::Done(Err(refused)) => refused,
            End::Instead(order) => {
                self.leave().await;
                // Of an attempt that is dropped nothing more is told; one that another order ends has failed.
                if !matches!(order, Order::Disconnect) {
                    let refused = false;
                    self.desk.tell(StationInput::NotJoined { ssid, refused });
                }
                return Some(order);
            }
        };
        self.leave().await;
        self.desk.tell(StationInput::NotJoined { ssid, refused });
        None
    }

    /// Returns the address in the network, or whether the network is there and refuses the password.
    async fn associate(&mut self, network: &Network) -> End<Result<[u8; 4], bool>> {
        self.leave().await;
        let connected = self.air.connect(network);
        match unless(self.desk, CONNECT_TIMEOUT, connected).await {
            End::Done(Some(Ok(()))) => {}
            End::Done(refused) => return End::Done(Err(refused == Some(Err(true)))),
            End::Instead(order) => return End::Instead(order),
        }
        match unless(self.desk, ADDRESS_TIMEOUT, self.air.address()).await {
            End::Done(Some(address)) => {
                let [a, b, c, d] = address;
                self.desk
                    .say(format_args!("in the network as {a}.{b}.{c}.{d}"));
                End::Done(Ok(address))
            }
            End::Done(None) => {
                self.desk
                    .say(format_args!("the network gives the board no address"));
                End::Done(Err(false))
            }
            End::Instead(order) => End::Instead(order),
        }
    }

    async fn leave(&mut self) {
        self.desk.alive(Task::Radio);
        self.offline();
        // A radio that does not answer is told again with the next order.
        let _ = with_timeout(LEAVE_TIMEOUT, self.air.disconnect()).await;
    }

    /// Opens or closes the access point, which interrupts the station.
    fn portal(&mut self, open: bool) {
        if self.air.portal(open) && self.online {
            self.offline();
            self.desk.tell(StationInput::Lost);
        }
    }
}
