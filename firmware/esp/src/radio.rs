//! The radio of the chip, as the station's orders need it.

use embassy_futures::select::select;
use embassy_net::Stack;
use esp_println::println;
use esp_radio::wifi::ap::{AccessPointConfig, AccessPointInfo};
use esp_radio::wifi::scan::ScanConfig;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethod, AuthenticationMethodConfig, Config, ConnectionError, DisconnectReason,
    WifiController, WifiError,
};
use espalier_board::radio::{self, Air};
use espalier_device::settings::Network;
use espalier_device::setup::Seen;
use heapless::Vec;

use crate::desk::Desk;

/// Most networks that a scan tells of.
const MAX_FOUND: usize = 16;

/// The radio and what it was told.
pub struct Radio {
    controller: WifiController<'static>,
    /// The network side of the station.
    stack: Stack<'static>,
    station: StationConfig,
    /// The access point of the portal, while it is open.
    portal: Option<AccessPointConfig>,
    /// The name and password of the portal.
    own: AccessPointConfig,
}

/// Runs for ever.
#[embassy_executor::task]
pub async fn serve(desk: &'static Desk, radio: Radio) {
    radio::serve(desk, radio).await
}

impl Radio {
    /// Takes the radio. `own` is the access point that the portal has.
    pub fn new(
        controller: WifiController<'static>,
        stack: Stack<'static>,
        own: AccessPointConfig,
    ) -> Self {
        Radio {
            controller,
            stack,
            station: StationConfig::default(),
            portal: None,
            own,
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

impl Air for Radio {
    async fn scan(&mut self, tell: impl FnOnce(&[Seen<'_>])) -> bool {
        let config = ScanConfig::default().with_max(MAX_FOUND);
        let Ok(list) = self.controller.scan_async(&config).await else {
            return false;
        };
        let seen: Vec<Seen<'_>, MAX_FOUND> = list.iter().map(seen).take(MAX_FOUND).collect();
        tell(&seen);
        true
    }

    async fn connect(&mut self, network: &Network) -> Result<(), bool> {
        self.station = station(network).map_err(|_| false)?;
        if !self.apply() {
            return Err(false);
        }
        match self.controller.connect_async().await {
            Ok(_) => Ok(()),
            Err(error) => {
                println!("espalier: the network does not let the board in: {error:?}");
                Err(is_refusal(&error))
            }
        }
    }

    async fn address(&mut self) -> [u8; 4] {
        loop {
            self.stack.wait_config_up().await;
            if let Some(config) = self.stack.config_v4() {
                return config.address.address().octets();
            }
        }
    }

    async fn disconnect(&mut self) {
        // A radio that is in no network says so with an error.
        let _ = self.controller.disconnect_async().await;
        // The address of this network must not be taken for one of the next.
        self.stack.wait_config_down().await;
    }

    async fn lost(&mut self) {
        let left = self.controller.wait_for_disconnect_async();
        select(left, self.stack.wait_config_down()).await;
    }

    fn portal(&mut self, open: bool) -> bool {
        self.portal = open.then(|| self.own.clone());
        self.apply()
    }

    fn rssi(&mut self) -> Option<i32> {
        self.controller.rssi().ok()
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
