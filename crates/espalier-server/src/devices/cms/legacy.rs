//! What is known of claimed old boards: under which id, from where, and whether they may speak without a token.
//!
//! Invariant: as for devices, the database is written first, then the memory, both under the device's lock.

use super::pin::{Mac, Station};
use super::store;
use crate::devices::{Device, logic, permits, require};
use crate::identity::Principal;
use crate::{ApiError, AppState};
use espalier_model::{Action, DeviceId};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What an old board said of itself when it was claimed; of these, a claimed board may change its network and capabilities only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// What the board calls itself; what people call it is the device's name.
    pub device_name: Option<String>,
    /// What its person does, e.g. `Teacher`.
    pub occupation: Option<String>,
    /// The network it is in.
    pub wifi_ssid: Option<String>,
    /// What it can, e.g. `dashboard,images,ota`.
    pub capabilities: Option<String>,
    /// What it wanted to be shown when it registered, a JSON object as text.
    pub preferences: Option<String>,
    /// Whether content of its own is shown on it.
    pub custom_content_enabled: bool,
}

/// One claimed old board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Legacy {
    /// The id that it has compiled in; several devices may share it.
    pub legacy_id: Box<str>,
    /// It may speak without a token, from its station.
    pub open: bool,
    /// The MAC of its station, once it sent one.
    pub mac: Option<Mac>,
    /// The address of its station; `None` is every address from which old boards may speak.
    pub address: Option<IpAddr>,
    /// What it said of itself.
    pub profile: Profile,
    /// When this was changed last, milliseconds UTC.
    pub updated_at: i64,
}

impl Legacy {
    /// A board of which only the id is known; it is not open.
    pub fn new(legacy_id: &str) -> Self {
        Self {
            legacy_id: legacy_id.into(),
            open: false,
            mac: None,
            address: None,
            profile: Profile::default(),
            updated_at: 0,
        }
    }

    /// Tells whether nothing the station shows speaks against it being this board's.
    fn allows_mac(&self, station: Station) -> bool {
        self.mac.is_none() || station.mac.is_none() || self.mac == station.mac
    }

    /// Tells whether this board and one at the station could not be told apart.
    pub fn clashes(&self, mac: Option<Mac>, address: IpAddr) -> bool {
        let differ = self.mac.is_some() && mac.is_some() && self.mac != mac;
        self.open
            && !differ
            && (self.address == Some(address) || (mac.is_some() && self.mac == mac))
    }
}

/// The claimed old boards, found by device and by the id they have compiled in.
#[derive(Default)]
pub struct Index {
    by_device: HashMap<DeviceId, Arc<Legacy>>,
    by_id: HashMap<Box<str>, Vec<DeviceId>>,
}

impl Index {
    /// Builds the index of what is stored.
    pub fn of(rows: Vec<(DeviceId, Legacy)>) -> Self {
        let mut index = Self::default();
        for (device, legacy) in rows {
            index.put(device, legacy);
        }
        index
    }

    /// Adds or replaces a board.
    pub fn put(&mut self, device: DeviceId, legacy: Legacy) {
        self.remove(device);
        let same = self.by_id.entry(legacy.legacy_id.clone()).or_default();
        same.push(device);
        self.by_device.insert(device, Arc::new(legacy));
    }

    /// Forgets a board.
    pub fn remove(&mut self, device: DeviceId) {
        let Some(old) = self.by_device.remove(&device) else {
            return;
        };
        if let Some(same) = self.by_id.get_mut(&old.legacy_id) {
            same.retain(|id| *id != device);
            if same.is_empty() {
                self.by_id.remove(&old.legacy_id);
            }
        }
    }

    /// The boards that have this id compiled in, in the order in which they were claimed.
    fn with_id(&self, legacy_id: &str) -> Vec<(DeviceId, Arc<Legacy>)> {
        let ids = self.by_id.get(legacy_id).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.by_device.get(id)?.clone())))
            .collect()
    }

    /// The open board that is pinned to this station. A MAC tells for certain, then an address, and then a board without a pin;
    /// when two fit, neither is believed.
    fn at(&self, legacy_id: &str, station: Station) -> Option<DeviceId> {
        let mut open = self.with_id(legacy_id);
        open.retain(|(_, legacy)| legacy.open && legacy.allows_mac(station));
        if station.mac.is_some() {
            let known = open.iter().find(|(_, legacy)| legacy.mac == station.mac);
            if let Some((device, _)) = known {
                return Some(*device);
            }
        }
        let only = |address: Option<IpAddr>| {
            let mut fit = open.iter().filter(|(_, legacy)| legacy.address == address);
            let first = fit.next().map(|(device, _)| *device);
            (fit.next().is_none(), first)
        };
        match only(Some(station.address)) {
            (true, None) => {}
            (alone, found) => return found.filter(|_| alone),
        }
        let (alone, found) = only(None);
        found.filter(|_| alone)
    }
}

/// What is known of a device as an old board.
pub fn of(app: &AppState, device: DeviceId) -> Option<Arc<Legacy>> {
    app.devices.cms.known.read().by_device.get(&device).cloned()
}

/// The devices that have this id compiled in.
pub fn with_id(app: &AppState, legacy_id: &str) -> Vec<(Arc<Device>, Arc<Legacy>)> {
    let known = app.devices.cms.known.read().with_id(legacy_id);
    let known = known.into_iter();
    known
        .filter_map(|(id, legacy)| Some((app.devices.get(id)?, legacy)))
        .collect()
}

/// The open device that is pinned to this station.
pub fn at(app: &AppState, legacy_id: &str, station: Station) -> Option<Arc<Device>> {
    let found = app.devices.cms.known.read().at(legacy_id, station)?;
    app.devices.get(found)
}

/// Tells whether an old path names this device: by its 24-digit id, its UUID, an alias, or the id compiled into its board.
pub fn names(app: &AppState, id: &str, device: &Device) -> bool {
    let resolved = app.devices.resolve(id);
    resolved.is_some_and(|found| found.id == device.id)
        || of(app, device.id).is_some_and(|legacy| *legacy.legacy_id == *id)
}

/// Finds the device that an old path names for somebody who is signed in. Of several boards with one compiled id it is the one
/// that answers to it as an alias, or else the only one that may be seen.
///
/// # Errors
/// As [`require`].
pub fn find_for(
    app: &AppState,
    principal: &Principal,
    id: &str,
    action: Action,
) -> Result<Arc<Device>, ApiError> {
    let refused = match require(app, principal, id, action) {
        Err(error) if error.status() == axum::http::StatusCode::NOT_FOUND => error,
        other => return other,
    };
    let mut seen = with_id(app, id);
    seen.retain(|(device, _)| permits(app, principal, device, Action::Read));
    match seen.as_slice() {
        [(device, _)] => require(app, principal, &device.oid.to_string(), action),
        _ => Err(refused),
    }
}

/// Changes what is known of a device as an old board; one of which nothing is known begins with this id.
///
/// # Errors
/// 404 when the device is gone; fails when the database does.
pub async fn change(
    app: &AppState,
    device: DeviceId,
    legacy_id: &str,
    edit: impl FnOnce(&mut Legacy) + Send + 'static,
) -> Result<Arc<Legacy>, ApiError> {
    let (app, legacy_id) = (app.clone(), legacy_id.to_owned());
    logic::to_the_end(&app.clone(), async move {
        let _guard = app.devices.lock(device).await;
        if app.devices.get(device).is_none() {
            return Err(ApiError::not_found("Device"));
        }
        let old = of(&app, device);
        let known = old.as_deref().cloned();
        let mut new = known.unwrap_or_else(|| Legacy::new(&legacy_id));
        edit(&mut new);
        if let Some(old) = old.filter(|old| **old == new) {
            return Ok(old);
        }
        new.updated_at = app.clock.now_ms();
        let row = new.clone();
        let write = move |c: &espalier_db::Conn<'_>| store::put(c, device, &row);
        app.db.write(write).await.map_err(logic::stored)?;
        super::remember(&app, device, new.clone());
        Ok(Arc::new(new))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(open: bool, mac: Option<&str>, address: Option<&str>) -> Legacy {
        Legacy {
            open,
            mac: mac.map(|mac| mac.parse().unwrap()),
            address: address.map(|address| address.parse().unwrap()),
            ..Legacy::new("ESP32_OTA_BASE_001")
        }
    }

    fn station(mac: Option<&str>, address: &str) -> Station {
        Station {
            mac: mac.map(|mac| mac.parse().unwrap()),
            address: address.parse().unwrap(),
        }
    }

    fn id(n: u8) -> DeviceId {
        DeviceId::mint(1000, [n; 10])
    }

    fn index(boards: Vec<Legacy>) -> Index {
        let numbered = (0..).zip(boards).map(|(n, board)| (id(n), board));
        Index::of(numbered.collect())
    }

    const A: Option<&str> = Some("24:6F:28:00:00:0A");
    const B: Option<&str> = Some("24:6F:28:00:00:0B");
    const ID: &str = "ESP32_OTA_BASE_001";

    #[test]
    fn a_station_speaks_for_the_board_that_is_pinned_to_it_and_no_other() {
        let index = index(vec![
            board(true, A, Some("10.0.0.1")),
            board(true, None, Some("10.0.0.2")),
            board(false, B, Some("10.0.0.3")),
        ]);
        assert_eq!(index.at(ID, station(A, "10.0.0.9")), Some(id(0)));
        assert_eq!(index.at(ID, station(None, "10.0.0.1")), Some(id(0)));
        assert_eq!(index.at(ID, station(B, "10.0.0.1")), None);
        assert_eq!(index.at(ID, station(B, "10.0.0.2")), Some(id(1)));
        assert_eq!(index.at(ID, station(B, "10.0.0.3")), None, "it is not open");
        assert_eq!(index.at(ID, station(None, "10.0.0.4")), None);
        assert_eq!(index.at("OTHER", station(A, "10.0.0.1")), None);
    }

    #[test]
    fn of_two_that_fit_neither_is_believed() {
        let two = index(vec![board(true, None, None), board(true, None, None)]);
        assert_eq!(two.at(ID, station(None, "10.0.0.1")), None);
        let pinned = index(vec![
            board(true, None, None),
            board(true, None, Some("10.0.0.1")),
        ]);
        assert_eq!(pinned.at(ID, station(None, "10.0.0.1")), Some(id(1)));
        assert_eq!(pinned.at(ID, station(None, "10.0.0.2")), Some(id(0)));
        let behind = index(vec![
            board(true, A, Some("10.0.0.1")),
            board(true, B, Some("10.0.0.1")),
        ]);
        assert_eq!(behind.at(ID, station(None, "10.0.0.1")), None);
        assert_eq!(behind.at(ID, station(B, "10.0.0.1")), Some(id(1)));
    }

    #[test]
    fn a_forgotten_board_leaves_nothing() {
        let mut index = index(vec![board(true, A, None)]);
        index.put(
            id(0),
            Legacy {
                legacy_id: "NEW".into(),
                ..board(true, A, None)
            },
        );
        assert_eq!(index.at(ID, station(A, "10.0.0.1")), None);
        index.remove(id(0));
        assert!(index.by_id.is_empty() && index.by_device.is_empty());
    }
}
