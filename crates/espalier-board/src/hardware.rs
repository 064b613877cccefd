//! What a board can do: the one trait between the driver and pins, sensors and the chip. Not their drivers.

use embassy_time::Duration;
use espalier_device::Led;
use espalier_device::node::View;
use espalier_device::refusals::MAX_REASON;
use espalier_wire::json::{Json, Value};
use heapless::{String, Vec};

/// How long measuring, a switch, a command or the self-test may take before the driver gives it up: for a command that waits for a
/// person, and short of what a watchdog should bear.
pub const HARDWARE_TIMEOUT: Duration = Duration::from_secs(20);
/// Most values of one sample.
pub const MAX_VALUES: usize = 24;

/// The values of one measurement. A value that does not fit any more is left out.
#[derive(Debug, Default)]
pub struct Sample(pub(crate) Vec<(&'static str, Value<'static>), MAX_VALUES>);

impl Sample {
    /// Adds a value; says whether there was room for it.
    pub fn add(&mut self, key: &'static str, value: Value<'static>) -> bool {
        self.0.push((key, value)).is_ok()
    }
}

/// How the chip feels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Free heap in bytes, when there is a heap.
    pub heap_free: Option<u32>,
    /// Wi-Fi signal strength in dBm.
    pub rssi: Option<i32>,
}

/// What a command has done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Done {
    /// It worked and returns nothing.
    Ok,
    /// It worked and returns this.
    Value(Value<'static>),
    /// It failed; one sentence says why.
    Failed(&'static str),
    /// It worked when a sample was taken: the driver measures at once, and the command fails where nothing is measured.
    Measure,
    /// It works when the board has restarted: the answer is sent, then the board restarts.
    Restart,
}

/// What people do at a board.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Happening {
    /// A switch was changed: its key and its value.
    Switch(&'static str, Value<'static>),
    /// New firmware is wanted now.
    AskForUpdate,
}

/// The hardware of a board. What is async is dropped when it takes longer than [`HARDWARE_TIMEOUT`], and has failed then.
pub trait Hardware {
    /// Reads the sensors. A sensor that does not answer adds no value.
    async fn measure(&mut self, sample: &mut Sample);

    /// Sets a switch; says whether the value took effect.
    async fn apply(&mut self, key: &str, value: Json<'_>) -> bool;

    /// Returns why the value of the last [`Hardware::apply`] that did not take effect never will; none when it may later.
    fn refusal(&mut self) -> Option<String<MAX_REASON>> {
        None
    }

    /// Runs a command with an object of parameters.
    async fn run(&mut self, name: &str, params: Json<'_>) -> Done;

    /// Says whether the hardware works with the image that runs, which is on trial.
    async fn self_test(&mut self) -> bool;

    /// Waits until something happens at the board itself. Dropped and called again at any time.
    async fn happens(&mut self) -> Happening {
        core::future::pending().await
    }

    /// Returns how the chip feels.
    fn vitals(&mut self) -> Vitals {
        Vitals::default()
    }

    /// Shows on the status LED how the connection is.
    fn led(&mut self, _led: Led) {}

    /// Looks at how the core is, whenever that may have changed: what [`espalier_device::node::NodeInput::Core`] is given.
    fn look(&mut self, _view: View) {}

    /// Notes what went wrong with the network, for people who watch the serial port.
    fn log(&mut self, _error: crate::NetError) {}

    /// Says that the driver is alive: called at least every five seconds whatever the network does, and not while the hardware
    /// itself is at work, which has its [`HARDWARE_TIMEOUT`]. Where a watchdog is fed, that should bite after 30 seconds.
    fn alive(&mut self) {}
}
