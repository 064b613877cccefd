//! The radio: does what the node's Wi-Fi machine wants, one thing after the other, and tells it what came of it. It decides
//! nothing: which network, when, and whether there is a portal, is the machine's.

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
use espalier_device::node::NodeInput;
use espalier_device::settings::Network;
use espalier_device::setup::{self, Seen};
use espalier_device::wifi::{Action, Event, Found};
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

/// How something ended that the machine may have changed its mind about.
enum End<T> {
    Done(T),
    Instead(Order),
}

/// Waits for something, unless the machine wants something else.
async fn unless<T>(desk: &Desk, work: impl Future<Output = T>) -> End<T> {
    match select(work, desk.radio.receive()).await {
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
        next = match order {
            Order::Node(action) => radio.act(action).await,
            Order::Scan => radio.look().await,
            Order::Join(network) => radio.try_out(network).await,
        };
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

    fn tell(&self, event: Event<'_>) {
        self.desk.tell(NodeInput::Wifi(event));
    }

    /// Waits for an order; meanwhile it watches whether the network is lost.
    async fn wait(&mut self) -> Order {
        loop {
            if !self.online {
                return self.desk.radio.receive().await;
            }
            self.desk.rssi.set(self.controller.rssi().ok());
            let lost = async {
                match select(
                    self.controller.wait_for_disconnect_async(),
                    self.stack.wait_config_down(),
                )
                .await
                {
                    Either::First(_) | Either::Second(()) => {}
                }
            };
            match select3(self.desk.radio.receive(), lost, Timer::after(RSSI_EVERY)).await {
                Either3::First(order) => return order,
                Either3::Second(()) => {
                    self.offline();
                    println!("espalier: the network is lost");
                    self.tell(Event::Lost);
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

    /// Does what the node wants; returns what is wanted instead when somebody has changed their mind.
    async fn act(&mut self, action: Action) -> Option<Order> {
        match action {
            Action::Scan => return self.scan().await,
            Action::Connect { network } => return self.connect(network).await,
            Action::Disconnect => self.leave().await,
            Action::OpenPortal => {
                self.portal = Some(self.own.clone());
                self.reconfigure();
            }
            Action::ClosePortal => {
                self.portal = None;
                self.reconfigure();
            }
            // The link finds out by itself: it waits for an address.
            Action::Online { .. } | Action::Offline => {}
        }
        None
    }

    /// Looks for networks for the node.
    async fn scan(&mut self) -> Option<Order> {
        match self.list().await {
            End::Done(Some(list)) => {
                let found: Vec<Found<'_>, MAX_FOUND> = list.iter().map(found).collect();
                self.tell(Event::Scanned(&found));
                None
            }
            End::Done(None) => {
                self.tell(Event::ScanFailed);
                None
            }
            End::Instead(order) => {
                if !matches!(order, Order::Node(_)) {
                    self.tell(Event::ScanFailed);
                }
                Some(order)
            }
        }
    }

    /// Looks for networks for a person.
    async fn look(&mut self) -> Option<Order> {
        match self.list().await {
            End::Done(Some(_)) => None,
            End::Done(None) => {
                self.desk.set_up(setup::Input::ScanFailed);
                None
            }
            End::Instead(order) => {
                self.desk.set_up(setup::Input::ScanFailed);
                Some(order)
            }
        }
    }

    /// Scans. Whoever asked, a person may see what was found.
    async fn list(&mut self) -> End<Option<List>> {
        let config = ScanConfig::default().with_max(MAX_FOUND);
        match unless(self.desk, self.controller.scan_async(&config)).await {
            End::Instead(order) => End::Instead(order),
            End::Done(Err(_)) => End::Done(None),
            End::Done(Ok(list)) => {
                let list: List = list.into_iter().take(MAX_FOUND).collect();
                let seen: Vec<Seen<'_>, MAX_FOUND> = list.iter().map(seen).collect();
                self.desk.set_up(setup::Input::Scanned(&seen));
                drop(seen);
                End::Done(Some(list))
            }
        }
    }

    /// Joins a saved network for the node.
    async fn connect(&mut self, number: u8) -> Option<Order> {
        let network = {
            let setup = self.desk.setup.borrow();
            setup
                .settings()
                .networks()
                .get(usize::from(number))
                .cloned()
        };
        let Some(network) = network else {
            self.tell(Event::ConnectFailed { refused: false });
            return None;
        };
        match self.join(&network).await {
            End::Done(Ok(())) => {
                self.online = true;
                self.tell(Event::Connected);
                None
            }
            End::Done(Err(refused)) => {
                self.tell(Event::ConnectFailed { refused });
                None
            }
            End::Instead(order) => {
                if !matches!(order, Order::Node(_)) {
                    self.tell(Event::ConnectFailed { refused: false });
                }
                Some(order)
            }
        }
    }

    /// Tries a network for a person. When it works the set-up saves it, and the node joins it for good.
    async fn try_out(&mut self, network: Network) -> Option<Order> {
        let was_online = self.online;
        self.leave().await;
        let instead = match self.join(&network).await {
            End::Done(_) => None,
            End::Instead(order) => {
                let ssid = network.ssid();
                self.desk.set_up(setup::Input::NotJoined {
                    ssid,
                    refused: false,
                });
                Some(order)
            }
        };
        self.leave().await;
        if was_online {
            self.tell(Event::Lost);
        }
        instead
    }

    /// Joins a network and waits for an address; else says whether the network is there and refuses the password. A person
    /// hears of it, too.
    async fn join(&mut self, network: &Network) -> End<Result<(), bool>> {
        let ssid = network.ssid();
        let not_joined = |radio: &Self, refused| {
            radio.desk.set_up(setup::Input::NotJoined { ssid, refused });
            End::Done(Err(refused))
        };
        let Ok(station) = station(network) else {
            return not_joined(self, false);
        };
        self.station = station;
        if !self.apply() {
            return not_joined(self, false);
        }
        match unless(self.desk, self.controller.connect_async()).await {
            End::Instead(order) => {
                self.leave().await;
                return End::Instead(order);
            }
            End::Done(Err(error)) => {
                println!("espalier: the network does not let the board in: {error:?}");
                return not_joined(self, is_refusal(&error));
            }
            End::Done(Ok(_)) => {}
        }
        let address = with_timeout(ADDRESS_TIMEOUT, self.stack.wait_config_up());
        match unless(self.desk, address).await {
            End::Instead(order) => {
                self.leave().await;
                return End::Instead(order);
            }
            End::Done(Err(_)) => {
                self.leave().await;
                println!("espalier: the network gives the board no address");
                return not_joined(self, false);
            }
            End::Done(Ok(())) => {}
        }
        let Some(config) = self.stack.config_v4() else {
            return not_joined(self, false);
        };
        println!("espalier: in the network as {}", config.address);
        let address = config.address.address().octets();
        self.desk.address.set(Some(address));
        self.desk.set_up(setup::Input::Joined { ssid, address });
        End::Done(Ok(()))
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
            self.tell(Event::Lost);
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

/// What a scan found.
type List = Vec<AccessPointInfo, MAX_FOUND>;

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

fn found(info: &AccessPointInfo) -> Found<'_> {
    Found {
        ssid: info.ssid.as_str(),
        rssi: i32::from(info.signal_strength),
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
