//! What a fleet is made of: boards, rates and faults. Plain structs; command lines and files are read elsewhere.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use espalier_device::UpdatePolicy;

use crate::kinds::BoardKind;

/// One board to simulate. `Debug` hides the token.
#[derive(Clone)]
pub struct BoardSpec {
    /// What it measures and switches.
    pub kind: BoardKind,
    /// What people call it.
    pub name: String,
    /// Its id on the server.
    pub device_id: String,
    /// Its token on the server.
    pub token: String,
    /// Equal seeds give equal weather, noise and jitter.
    pub seed: u64,
    /// When it drops off and returns by itself.
    pub outage: Option<Outage>,
}

impl fmt::Debug for BoardSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoardSpec")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("device_id", &self.device_id)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// A board whose access point goes out of reach again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// How long the access point is in reach each time.
    pub up: Duration,
    /// How long it is out of reach each time.
    pub away: Duration,
}

/// How a fleet behaves.
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// The server, `http://host:port`. TLS is not spoken: simulated fleets test the server, not the proxy before it.
    pub server: String,
    /// How much faster than its kind says every board measures and joins its Wi-Fi; 1 is normal.
    pub rate: f64,
    /// Over how long the boards start; a thousand handshakes at once are their own test.
    pub start_over: Duration,
    /// Seconds that the boards' local time is ahead of UTC, so that their days have mornings.
    pub utc_offset_s: i32,
    /// What goes wrong.
    pub faults: Faults,
    /// The version of the firmware that the boards have from the factory.
    pub firmware: String,
    /// Bytes of the contents of that firmware.
    pub firmware_size: usize,
    /// Bytes per second of a board's download; as fast as it can when there is no limit.
    pub download_rate: Option<u32>,
    /// Where the flash of each board is kept as a file; in memory when there is none.
    pub flash_dir: Option<PathBuf>,
    /// The public keys whose firmware the boards take.
    pub keys: Vec<[u8; 32]>,
    /// When the boards ask for firmware, and what they take.
    pub updates: UpdatePolicy,
}

impl SimOptions {
    /// Returns a calm fleet at normal rates.
    pub fn new(server: impl Into<String>) -> Self {
        SimOptions {
            server: server.into(),
            rate: 1.0,
            start_over: Duration::ZERO,
            utc_offset_s: 0,
            faults: Faults::default(),
            firmware: "1.0.0".to_owned(),
            firmware_size: 64 * 1024,
            download_rate: None,
            flash_dir: None,
            keys: Vec::new(),
            updates: UpdatePolicy {
                check_interval_ms: 300_000,
                retry_ms: 15_000,
                settle_ms: 8_000,
                allow_unsigned: false,
            },
        }
    }
}

/// What goes wrong, for every board by itself, at random times with these means. None of it happens by default.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Mean time between losses of the network behind the access point.
    pub cut_every: Option<Duration>,
    /// Mean length of such a loss.
    pub cut_for: Duration,
    /// Mean delay that the network adds to every frame, in each direction.
    pub latency: Option<Duration>,
    /// Mean time between jumps of the board's clock, forwards or backwards.
    pub clock_jump_every: Option<Duration>,
    /// Largest jump.
    pub clock_jump_max: Duration,
    /// Mean time between power cuts: the board starts again with what it had stored.
    pub restart_every: Option<Duration>,
    /// Mean time between power cuts in the middle of a write to flash; a board that writes nothing keeps its power.
    pub weak_power_every: Option<Duration>,
}

/// Why a fleet cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The server's address cannot be used.
    #[error("{0}")]
    Server(#[source] espalier_device::ConfigError),
    /// The server's address wants TLS.
    #[error(
        "the simulator speaks no TLS: use the http:// address of the server, on its own machine or network"
    )]
    Tls,
    /// The rate is not a positive number.
    #[error("the rate must be between 0.001 and 100, for example 2 for twice as fast")]
    Rate,
    /// The firmware from the factory does not fit into a slot.
    #[error("the firmware from the factory has {0} bytes, a slot 1,966,080: take less")]
    FirmwareSize(usize),
    /// The folder for the flash of the boards cannot be used.
    #[error("cannot keep the flash of the boards in {path}: {source}")]
    FlashDir {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// A board's identity cannot be used.
    #[error("board \"{name}\": {source}")]
    Board {
        /// Name of the board.
        name: String,
        /// What is wrong.
        source: espalier_device::ConfigError,
    },
}
