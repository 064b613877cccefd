//! What goes into the set-up machine and what comes out: the whole contract between it and a binding.

use heapless::String;

use crate::config::MAX_NAME;
use crate::settings::Network;

/// What the board says about itself.
#[derive(Debug, Clone)]
pub struct About {
    /// Name and variant of the firmware: `espalier-base`.
    pub firmware: String<MAX_NAME>,
    /// Version of the firmware.
    pub version: String<MAX_NAME>,
    /// The chip: `ESP32-C3`.
    pub chip: String<MAX_NAME>,
    /// The address of its radio.
    pub mac: [u8; 6],
}

impl About {
    /// Takes the three names, cut to [`MAX_NAME`] bytes each, and the address of the radio.
    pub fn new(firmware: &str, version: &str, chip: &str, mac: [u8; 6]) -> Self {
        let cut = |text: &str| {
            let mut out = String::new();
            for c in text.chars() {
                if out.push(c).is_err() {
                    break;
                }
            }
            out
        };
        About {
            firmware: cut(firmware),
            version: cut(version),
            chip: cut(chip),
            mac,
        }
    }
}

/// A network that a scan found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Its name; hidden ones have none and are left out.
    pub ssid: &'a str,
    /// Its signal strength in dBm.
    pub rssi: i32,
    /// How it is protected, in the numbers of ESP-IDF: 0 open, 1 WEP, 2 WPA, 3 WPA2, 4 WPA and WPA2, 6 WPA3, 7 WPA2 and WPA3.
    pub encryption: u8,
}

/// What only the binding knows, for `status` and the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// The address that the board has in the network it joined.
    pub address: Option<[u8; 4]>,
    /// Wi-Fi signal strength in dBm.
    pub rssi: Option<i32>,
    /// Whether the server answers.
    pub online: bool,
    /// What went wrong last with the server, as the end of a sentence.
    pub trouble: Option<&'static str>,
    /// Milliseconds since the start.
    pub uptime_ms: u64,
    /// Free heap in bytes.
    pub heap_free: Option<u32>,
}

/// Something that happened. Time comes beside it.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Nothing but the passing of time.
    Tick,
    /// Bytes came over the serial line.
    Serial(&'a [u8]),
    /// A scan is done, whoever asked for it.
    Scanned(&'a [Seen<'a>]),
    /// The scan that was asked for failed.
    ScanFailed,
    /// The board joined a network, whoever asked for it.
    Joined {
        /// The name of the network.
        ssid: &'a str,
        /// The address that it has there.
        address: [u8; 4],
    },
    /// A network cannot be joined, whoever asked for it.
    NotJoined {
        /// The name of the network.
        ssid: &'a str,
        /// Whether the network is there and refused the password.
        refused: bool,
    },
    /// What only the binding knows has changed.
    Facts(Facts),
}

/// Something that should be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output<'s> {
    /// Send these bytes over the serial line.
    Serial(&'s [u8]),
    /// Look for networks; answer with `Scanned` or `ScanFailed`.
    Scan,
    /// Try this network, which is not saved yet; answer with `Joined` or `NotJoined`.
    Join(&'s Network),
    /// The board is another device now, or one of another server, or nobody's: stop the core, which must store and send nothing more.
    /// A restart follows.
    Halt,
    /// Other settings are stored now: take the networks from [`super::Setup::settings`].
    Changed,
    /// A person uses the portal.
    PortalUsed,
    /// A person wants the portal.
    WantPortal,
    /// Restart the board.
    Restart,
}
