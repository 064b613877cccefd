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
    AuthenticationMethodConfig, Config, ConnectionError, DisconnectReason, WifiController,
    WifiError,
};
use espalier_device::node::NodeInput;
use espalier_device::settings::Network;
use espalier_device::wifi::{Action, Event, Found};
use heapless::Vec;

use crate::desk::Desk;

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
    Instead(Action),
}

/// Waits for something, unless the machine wants something else.
async fn unless<T>(desk: &Desk, work: impl Future<Output = T>) -> End<T> {
    match select(work, desk.radio.receive()).await {
        Either::First(done) => End::Done(done),
        Either::Second(action) => End::Instead(action),
    }
}

/// Runs for ever.
#[embassy_executor::task]
pub async fn serve(mut radio: Radio) {
    let mut next = None;
    loop {
        let action = match next.take() {
            Some(action) => action,
            None => radio.wait().await,
        };
        next = radio.act(action).await;
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

    /// Waits for the machine; meanwhile it watches whether the network is lost.
    async fn wait(&mut self) -> Action {
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
                Either3::First(action) => return action,
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
    }

    /// Does what is wanted; returns what is wanted instead when the machine has changed its mind.
    async fn act(&mut self, action: Action) -> Option<Action> {
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

    async fn scan(&mut self) -> Option<Action> {
        // A radio that is only an access point, or not started, cannot scan.
        self.apply();
        let config = ScanConfig::default().with_max(MAX_FOUND);
        match unless(self.desk, self.controller.scan_async(&config)).await {
            End::Instead(action) => return Some(action),
            End::Done(Err(_)) => self.tell(Event::ScanFailed),
            End::Done(Ok(list)) => {
                let found: Vec<Found<'_>, MAX_FOUND> = list.iter().map(found).collect();
                self.tell(Event::Scanned(&found));
            }
        }
        None
    }

    async fn connect(&mut self, number: u8) -> Option<Action> {
        let station = {
            let settings = self.desk.settings.borrow();
            let network = settings.networks().get(usize::from(number));
            network.and_then(|network| station(network).ok())
        };
        let Some(station) = station else {
            self.tell(Event::ConnectFailed { refused: false });
            return None;
        };
        self.station = station;
        if !self.apply() {
            self.tell(Event::ConnectFailed { refused: false });
            return None;
        }
        match unless(self.desk, self.controller.connect_async()).await {
            End::Instead(action) => {
                self.leave().await;
                return Some(action);
            }
            End::Done(Err(error)) => {
                println!("espalier: the network does not let the board in: {error:?}");
                self.tell(Event::ConnectFailed {
                    refused: is_refusal(&error),
                });
                return None;
            }
            End::Done(Ok(_)) => {}
        }
        let address = with_timeout(ADDRESS_TIMEOUT, self.stack.wait_config_up());
        match unless(self.desk, address).await {
            End::Instead(action) => {
                self.leave().await;
                Some(action)
            }
            End::Done(Err(_)) => {
                self.leave().await;
                println!("espalier: the network gives the board no address");
                self.tell(Event::ConnectFailed { refused: false });
                None
            }
            End::Done(Ok(())) => {
                self.online = true;
                if let Some(config) = self.stack.config_v4() {
                    println!("espalier: in the network as {}", config.address);
                }
                self.tell(Event::Connected);
                None
            }
        }
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
