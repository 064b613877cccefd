//! Simulated boards for a served app: they run the machines of the firmware, and connect over its port.

use crate::socket::Server;
use espalier_sim::{BoardKind, BoardSpec, Fleet, FleetHandle, SimOptions};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How much faster than a real one such a board measures and joins its Wi-Fi.
const RATE: f64 = 20.0;

/// A board that is switched off when it is dropped.
pub struct SimulatedBoard {
    /// What it does.
    pub fleet: FleetHandle,
    _power: DropGuard,
}

impl Server {
    /// Switches a board on that is this device.
    ///
    /// # Panics
    /// Panics when the device's id or token cannot be a board's.
    pub fn board(&self, kind: BoardKind, device: &str, token: &str) -> SimulatedBoard {
        let spec = BoardSpec {
            kind,
            name: kind.as_str().to_owned(),
            device_id: device.to_owned(),
            token: token.to_owned(),
            seed: 1,
            outage: None,
        };
        let mut options = SimOptions::new(self.url(""));
        options.rate = RATE;
        let power = CancellationToken::new();
        SimulatedBoard {
            fleet: Fleet::run(vec![spec], &options, &power).expect("the board starts"),
            _power: power.drop_guard(),
        }
    }
}
