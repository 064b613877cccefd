//! The networks of the last scan: the strongest, each name once. Not the scan, which the binding makes.

use heapless::String;

use super::{MAX_SEEN, Seen, Setup};
use crate::settings::MAX_SSID;

/// Milliseconds after which a scan is old.
const SCAN_AFTER_MS: u64 = 10_000;

/// A network that was seen. Small, because every page that is on its way keeps a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub ssid: String<MAX_SSID, u8>,
    /// Signal strength in dBm.
    pub rssi: i8,
    pub encryption: u8,
}

impl Setup {
    pub(super) fn want_scan(&mut self) {
        if self.scan_since.is_none() {
            self.scan_since = Some(self.now);
            self.scan_wanted = true;
        }
    }

    /// Says whether the last scan tells too little of what is there now.
    pub(super) fn scan_is_old(&self) -> bool {
        self.scanned_at.is_none() || self.due(self.scanned_at, SCAN_AFTER_MS)
    }

    pub(super) fn scanned(&mut self, seen: &[Seen<'_>]) {
        self.seen.clear();
        for one in seen.iter().filter(|one| !one.ssid.is_empty()) {
            self.see(one);
        }
        self.scanned_at = Some(self.now);
        self.scan_ended();
    }

    /// Puts a network among the others, the strongest first, each name once.
    fn see(&mut self, one: &Seen<'_>) {
        let Ok(ssid) = String::try_from(one.ssid) else {
            return;
        };
        let rssi = one.rssi.clamp(i8::MIN.into(), i8::MAX.into()) as i8;
        if let Some(at) = self.seen.iter().position(|known| known.ssid == ssid) {
            if self.seen[at].rssi >= rssi {
                return;
            }
            self.seen.remove(at);
        }
        let at = self
            .seen
            .iter()
            .take_while(|known| known.rssi >= rssi)
            .count();
        if at == MAX_SEEN {
            return;
        }
        self.seen.truncate(MAX_SEEN - 1);
        let known = Known {
            ssid,
            rssi,
            encryption: one.encryption,
        };
        // There is room now.
        let _ = self.seen.insert(at, known);
    }

    pub(super) fn scan_ended(&mut self) {
        self.scan_since = None;
        self.scan_wanted = false;
        if core::mem::take(&mut self.improv_scan) {
            self.improv_networks();
        }
    }
}
