//! The radio: does what the station wants, one thing after the other, and tells it what came of it. It decides nothing: which
//! network, when, and whether there is a portal, is the station's.

use core::future::Future;

use embassy_futures::select::{Either, Either3, select, select3};
use embassy_net::Stack;
use embassy_time::{Duration, Timer, with_timeout};
use esp_println::println;
use esp_radio::wifi::ap::{AccessPointConfig, AccessPointInfo};
use esp_radio::wifi::scan::ScanConfig;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethod, AuthenticationMethodConfig, Config, ConnectionError, DisconnectReason,
    WifiController, WifiError,
};
use espalier_device::node::StationInput;
use espalier_device::settings::Network;
use espalier_device::setup::Seen;
use heapless::Vec;

use crate::desk::{Desk, Order};

/// How long the network may take to give an address.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(15);
/// How long leaving a network may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often the signal strength is read.
const RSSI_EVERY: Duration = Duration::from_secs(10);
/// Most networks that a scan tells of.
const MAX_FOUND: usize = 16;

/// The radio and what it was told.
pub struct Radio {
    desk: &'static Desk,
    controller: WifiController<'static>,
    /// The network side of the station.
    stack: Stack<'static>,
    station: StationConfig,
    /// The access point of the portal, while it is open.
    portal: Option<AccessPointConfig>,
    /// The name and password of the portal.
    own: AccessPointConfig,
    online: bool,
}

/// How something ended that the station may have changed its mind about.
enum End<T> {
    Done(T),
    Instead(Order),
}

/// Waits for something, unless the station wants something else. A scan must wait for its turn.
async fn unless<T>(desk: &Desk, work: impl Future<Output = T>) -> End<T> {
    let other = async {
        loop {
            match desk.radio.receive().await {
                Order::Scan => desk.tell(StationInput::ScanFailed),
                order => return order,
            }
        }
    };
    match select(work, other).await {
        Either::First(done) => End::Done(done),
        Either::Second(order) => End::Instead(order),
    }
}

/// Runs for ever.
#[embassy_executor::task]
pub async fn serve(mut radio: Radio) {
    let mut next = None;
    loop {
        let order = match next.take() {
            Some(order) => order,
            None => radio.wait().await,
        };
        next = radio.obey(order).await;
    }
}

impl Radio {
    /// Takes the radio. `own` is the access point that the portal has.
    pub fn new(
        desk: &'static Desk,
        controller: WifiController<'static>,
        stack: Stack<'static>,
        own: AccessPointConfig,
    ) -> Self {
        Radio {
            desk,
            controller,
            stack,
            station: StationConfig::default(),
            portal: None,
            own,
            online: false,
        }
    }

    /// Waits for an order; meanwhile it watches whether the network is lost.
    async fn wait(&mut self) -> Order {
        loop {
            if !self.online {
                return self.desk.radio.receive().await;
            }
            self.desk.rssi.set(self.controller.rssi().ok());
            let lost = select(
                self.controller.wait_for_disconnect_async(),
                self.stack.wait_config_down(),
            );
            match select3(self.desk.radio.receive(), lost, Timer::after(RSSI_EVERY)).await {
                Either3::First(order) => return order,
                Either3::Second(_) => {
                    self.leave().await;
                    println!("espalier: the network is lost");
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
            Order::OpenPortal => {
                self.portal = Some(self.own.clone());
                self.reconfigure();
            }
            Order::ClosePortal => {
                self.portal = None;
                self.reconfigure();
            }
        }
        None
    }

    async fn scan(&mut self) -> Option<Order> {
        let config = ScanConfig::default().with_max(MAX_FOUND);
        match unless(self.desk, self.controller.scan_async(&config)).await {
            End::Done(Ok(list)) => {
                let seen: Vec<Seen<'_>, MAX_FOUND> =
                    list.iter().map(seen).take(MAX_FOUND).collect();
                self.desk.tell(StationInput::Scanned(&seen));
                None
            }
            End::Done(Err(_)) => {
                self.desk.tell(StationInput::ScanFailed);
                None
            }
            End::Instead(order) => {
                self.desk.tell(StationInput::ScanFailed);
                Some(order)
            }
        }
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
        let Ok(station) = station(network) else {
            return End::Done(Err(false));
        };
        self.station = station;
        if !self.apply() {
            return End::Done(Err(false));
        }
        match unless(self.desk, self.controller.connect_async()).await {
            End::Done(Ok(_)) => {}
            End::Done(Err(error)) => {
                println!("espalier: the network does not let the board in: {error:?}");
                return End::Done(Err(is_refusal(&error)));
            }
            End::Instead(order) => return End::Instead(order),
        }
        let address = with_timeout(ADDRESS_TIMEOUT, self.stack.wait_config_up());
        match unless(self.desk, address).await {
            End::Done(Ok(())) => {}
            End::Done(Err(_)) => {
                println!("espalier: the network gives the board no address");
                return End::Done(Err(false));
            }
            End::Instead(order) => return End::Instead(order),
        }
        End::Done(match self.stack.config_v4() {
            Some(config) => {
                println!("espalier: in the network as {}", config.address);
                Ok(config.address.address().octets())
            }
            None => Err(false),
        })
    }

    async fn leave(&mut self) {
        self.offline();
        // A radio that is in no network says so with an error.
        let _ = with_timeout(LEAVE_TIMEOUT, self.controller.disconnect_async()).await;
    }

    /// Opens or closes the access point, which interrupts the station.
    fn reconfigure(&mut self) {
        let was_online = self.online;
        if self.apply() && was_online {
            self.offline();
            self.desk.tell(StationInput::Lost);
        }
    }

    /// Gives the radio its configuration; says whether it took it.
    fn apply(&mut self) -> bool {
        let config = match &self.portal {
            None => Config::Station(self.station.clone()),
            Some(portal) => Config::AccessPointStation(self.station.clone(), portal.clone()),
        };
        let result = self.controller.set_config(&config);
        if let Err(error) = &result {
            println!("espalier: the radio refuses its configuration: {error:?}");
        }
        result.is_ok()
    }
}

fn station(network: &Network) -> Result<StationConfig, WifiError> {
    let authentication = if network.is_open() {
        AuthenticationMethodConfig::Open
    } else {
        AuthenticationMethodConfig::Wpa2Personal(network.password().try_into()?)
    };
    Ok(StationConfig::default()
        .with_ssid(network.ssid().try_into()?)
        .with_authentication(authentication))
}

fn seen(info: &AccessPointInfo) -> Seen<'_> {
    let encryption = match info.auth_method {
        Some(AuthenticationMethod::None) => 0,
        Some(AuthenticationMethod::Wep) => 1,
        Some(AuthenticationMethod::Wpa) => 2,
        Some(AuthenticationMethod::WpaWpa2Personal) => 4,
        Some(AuthenticationMethod::Wpa3Personal) => 6,
        Some(AuthenticationMethod::Wpa2Wpa3Personal) => 7,
        // Whatever else it is, it is not open.
        _ => 3,
    };
    Seen {
        ssid: info.ssid.as_str(),
        rssi: i32::from(info.signal_strength),
        encryption,
    }
}

/// Says whether a network is there and refuses the password.
fn is_refusal(error: &ConnectionError) -> bool {
    matches!(
        error,
        ConnectionError::Failed(info) if matches!(
            info.reason,
            DisconnectReason::AuthenticationFailed
                | DisconnectReason::FourWayHandshakeTimeout
                | DisconnectReason::HandshakeTimeout
        )
    )
}

/// Makes the access point of the portal; an open one when there is no password yet.
///
/// # Errors
/// When name or password are longer than the radio takes.
pub fn access_point(name: &str, password: &str) -> Result<AccessPointConfig, WifiError> {
    let authentication = if password.is_empty() {
        AuthenticationMethodConfig::Open
    } else {
        AuthenticationMethodConfig::Wpa2Personal(password.try_into()?)
    };
    Ok(AccessPointConfig::default()
        .with_ssid(name.try_into()?)
        .with_authentication(authentication))
}
